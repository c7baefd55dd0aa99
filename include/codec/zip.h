/*
 * zip: zstd over one buffer (RFC 8878). A context serves one thread.
 */
#ifndef CODEC_ZIP_H
#define CODEC_ZIP_H

#include "base/buf.h"

struct zip;

struct zip *zip_new(int level); /* 1 to 19 */
void zip_free(struct zip *z);
DEFINE_CLEANUP(struct zip, zip_free)
void zip_set_level(struct zip *z, int level); /* from the next call on */

/* Compresses into `out` (room bytes); 0 when the result would not be at least
 * 3 % smaller than `plain`, else its length. */
size_t zip_squeeze(struct zip *z, struct slice plain, uint8_t *out, size_t room);

/* Expands to exactly `len` bytes at `out`. */
MUST_USE int zip_expand(struct zip *z, struct slice packed, uint8_t *out, size_t len,
                        struct err *e);

size_t zip_bound(size_t len); /* the most that zip_squeeze() may write */

#endif
