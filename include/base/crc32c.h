/* crc32c: the Castagnoli CRC, for spotting accidental damage in headers.
 * Source: RFC 3720 appendix B.4. */
#ifndef BASE_CRC32C_H
#define BASE_CRC32C_H

#include "base/buf.h"

uint32_t crc32c(struct slice data);

#endif
