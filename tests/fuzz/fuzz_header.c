/* Headers of objects, and the names that a target lists. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    AUTOFREE char *name = mem_printf("%.*s", (int)len, (const char *)data);
    struct chain_name chain;
    uint8_t hash[32];
    struct err e = { 0 };
    struct header h;

    (void)!header_parse(slice_of(data, len), OBJECT_SNAP, NULL, &h, &e);
    (void)format_hash_of(name, hash);
    if (pack_name(hash, name)) {
        char back[PACK_KEY_LEN + 1];
        pack_key(back, hash);
        assert(strcmp(back, name) == 0);
    }
    if (chain_name(&chain, name)) {
        char back[CHAIN_KEY_LEN + 1];
        chain_key(back, &chain);
        assert(strcmp(back, name) == 0);
    }
    return 0;
}
