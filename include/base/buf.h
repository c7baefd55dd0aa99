/*
 * buf: bytes. A slice is borrowed, a buf is owned and has a maximum.
 *
 * A buf never grows past its maximum: that is a programmer's mistake, because
 * lengths from outside are checked before anything is appended. The put_
 * and reader functions are little-endian, as everything in the format is.
 * Not thread-safe; a buf belongs to one thread at a time.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/err.h"
#include "base/mem.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct slice {
    const uint8_t *ptr;
    size_t len;
};

struct buf {
    uint8_t *ptr;
    size_t len;
    size_t cap;
    size_t max;
};

#define BUF(max_) ((struct buf){ .max = (max_) })
#define SLICE(text) ((struct slice){ (const uint8_t *)("" text), sizeof(text) - 1 })

struct slice slice_of(const void *p, size_t len);
struct slice slice_str(const char *s);
struct slice slice_sub(struct slice s, size_t from, size_t len); /* must lie within */
bool slice_equal(struct slice a, struct slice b);
int slice_compare(struct slice a, struct slice b); /* memcmp, then shorter first */

void buf_release(struct buf *b);
void buf_clear(struct buf *b);
struct slice buf_slice(const struct buf *b);
uint8_t *buf_room(struct buf *b, size_t len); /* len writable bytes after the end */
void buf_put(struct buf *b, const void *p, size_t len);
void buf_put_slice(struct buf *b, struct slice s);
void buf_put_str(struct buf *b, const char *s);
/* Keeps the last `max` bytes of all that was put so: the oldest make room. */
void buf_put_last(struct buf *b, const void *p, size_t len);
void buf_put_u8(struct buf *b, uint8_t v);
void buf_put_u16(struct buf *b, uint16_t v);
void buf_put_u32(struct buf *b, uint32_t v);
void buf_put_u64(struct buf *b, uint64_t v);
void buf_put_var(struct buf *b, uint64_t v); /* LEB128: 7 bits a byte, low first */
void buf_put_zero(struct buf *b, size_t len);
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF(2, 3);
const char *buf_cstr(struct buf *b); /* adds a NUL behind the end, not counted */

#define AUTOBUF CLEANUP(buf_release)

void put_u16(uint8_t *p, uint16_t v);
void put_u32(uint8_t *p, uint32_t v);
void put_u64(uint8_t *p, uint64_t v);
uint16_t get_u16(const uint8_t *p);
uint32_t get_u32(const uint8_t *p);
uint64_t get_u64(const uint8_t *p);

/* A cursor over bytes from outside. Reading past the end gives zeros and sets
 * `bad`, so a parser checks once, at its end. */
struct reader {
    const uint8_t *ptr;
    size_t left;
    bool bad;
};

struct reader reader_of(struct slice s);
uint8_t read_u8(struct reader *r);
uint16_t read_u16(struct reader *r);
uint32_t read_u32(struct reader *r);
uint64_t read_u64(struct reader *r);
uint64_t read_var(struct reader *r);
struct slice read_slice(struct reader *r, size_t len); /* empty when bad */
void read_copy(struct reader *r, void *out, size_t len);

#endif
