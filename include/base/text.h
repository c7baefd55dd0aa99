/*
 * text: hex, durations, sizes, times, and the nearest of several words.
 */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include "base/buf.h"

#include <stdint.h>

void text_hex(char *out, const void *p, size_t len); /* 2 * len digits and a NUL */
bool text_unhex(void *out, size_t len, const char *hex); /* exactly 2 * len digits */

/* "90s 15m 4h 7d" and sums such as "1h30m", to milliseconds ("ms" too). */
bool text_duration(const char *s, int64_t *out_ms);
/* "64MiB 5kB 100", to bytes. */
bool text_size(const char *s, uint64_t *out);
/* "2026-11-22[T03:00[:15]][Z|+hh:mm]", local time unless a zone is given, to
 * seconds since 1970. With less than seconds given, the last second that the
 * text covers: "2026-11-22" means until the end of that day. */
bool text_time(const char *s, int64_t *out_s);
/* The same, but the first second that it covers. */
bool text_time_begin(const char *s, int64_t *out_s);
bool text_uint(const char *s, uint64_t max, uint64_t *out); /* decimal digits only */

/* All return a buffer of a small thread-local ring. */
const char *text_of_size(uint64_t bytes);       /* "1.4 GiB" */
const char *text_of_duration(int64_t ms);       /* "850ms", "4.2s", "23m32s" */
const char *text_of_time(int64_t s);            /* local, "2026-11-22 03:00:15" */
const char *text_of_utc(int64_t s, int32_t ns); /* RFC 3339, milliseconds, Z */

/* A printable copy of a name: control bytes and invalid UTF-8 as \xHH. */
const char *text_of_name(struct slice name);
bool text_is_utf8(struct slice s);
/* The last line that has something in it, without the white space at its end. */
struct slice text_last_line(struct slice s);

/* Of the `n` words, the one that `word` was probably meant to be, or NULL. */
const char *text_nearest(const char *word, const char *const *words, size_t n);

/* Shell-style pattern of gitignore's kind: * ? [..] do not match '/', ** does. */
bool text_match(const char *pattern, const char *path);

#endif
