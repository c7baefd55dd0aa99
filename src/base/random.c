#include "base/random.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* splitmix64 (Steele, Lea, Flood 2014): for seeded tests only. */
static uint64_t
seeded(struct random *r)
{
    uint64_t z = r->seed + 0x9e3779b97f4a7c15u * ++r->counter;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

void
random_bytes(struct random *r, void *out, size_t len)
{
    uint8_t *p = out;

    while (len > 0) {
        if (r && r->seed) {
            uint64_t v = seeded(r);
            size_t n = len < 8 ? len : 8;
            memcpy(p, &v, n);
            p += n;
            len -= n;
            continue;
        }
        ssize_t n = getrandom(p, len, 0);
        if (n < 0 && errno != EINTR)
            abort(); /* a kernel without random numbers: nothing is safe here */
        if (n > 0) {
            p += n;
            len -= (size_t)n;
        }
    }
}

uint32_t
random_below(struct random *r, uint32_t n)
{
    uint64_t v;

    random_bytes(r, &v, sizeof v);
    return (uint32_t)(v % n); /* bias under 2^-32 */
}
