/* base/random.c as the simulation links it: even the kernel's bytes come from the
 * seed, so that keys, nonces and names are the same each time. */
#include "base/random.h"

#include "sim/random.h"

#include <sodium.h>
#include <string.h>

static struct random kernel;

static const char *
name(void)
{
    return "simulated";
}

static uint32_t
number(void)
{
    return random_below(NULL, UINT32_MAX);
}

static void
fill(void *out, size_t len)
{
    random_bytes(NULL, out, len);
}

void
sim_random_begin(uint64_t seed)
{
    static randombytes_implementation sodium = { .implementation_name = name,
                                                 .random = number,
                                                 .buf = fill };

    randombytes_set_implementation(&sodium); /* sealing draws by itself */
    kernel = (struct random){ .seed = seed | 1 };
}

void
random_bytes(struct random *r, void *out, size_t len)
{
    struct random *from = r && r->seed ? r : &kernel;
    uint8_t *p = out;

    while (len > 0) {
        uint64_t v = sim_mix(from->seed, ++from->counter);
        size_t n = len < sizeof v ? len : sizeof v;
        memcpy(p, &v, n);
        p += n;
        len -= n;
    }
}

uint32_t
random_below(struct random *r, uint32_t n)
{
    uint64_t v;

    random_bytes(r, &v, sizeof v);
    return (uint32_t)(v % n);
}
