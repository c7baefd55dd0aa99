/*
 * fuzz: what the fuzz targets share. Each target is one function; built alone
 * with -fsanitize=fuzzer it is a fuzzer, with driver.c it replays files, and
 * test_corpus.c includes all of them.
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include "base/log.h"
#include "repo/snapshot.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Keys made once; what is fuzzed lies behind the seals. */
static inline const struct keys *
fuzz_keys(void)
{
    static struct keys *k;

    if (!k) {
        crypto_init();
        k = keys_new();
        keys_generate(k);
    }
    return k;
}

#endif
