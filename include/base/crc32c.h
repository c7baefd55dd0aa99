/* crc32c: the Castagnoli CRC, for spotting accidental damage: in headers, and in
 * the files of the local index. Source: RFC 3720 appendix B.4. */
#ifndef BASE_CRC32C_H
#define BASE_CRC32C_H

#include "base/buf.h"

uint32_t crc32c(struct slice data);
/* Goes on from the CRC of what came before: crc32c_add(crc32c(a), b) is that of
 * both together. */
uint32_t crc32c_add(uint32_t crc, struct slice data);

/* The other one, of Ethernet and zlib, which formats that are not ours have. It goes on
 * from 0 in the same way. Source: ISO 3309, RFC 1952 section 8. */
uint32_t crc32_ieee_add(uint32_t crc, struct slice data);

#endif
