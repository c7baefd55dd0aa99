#include "base/crc32c.h"

/* Bit by bit: it only ever sees 60 bytes. */
uint32_t
crc32c(struct slice data)
{
    uint32_t c = ~0u;

    for (size_t i = 0; i < data.len; i++) {
        c ^= data.ptr[i];
        for (int k = 0; k < 8; k++)
            c = c >> 1 ^ (c & 1 ? 0x82f63b78u : 0);
    }
    return ~c;
}
