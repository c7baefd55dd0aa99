/* Key slots, the bundle that the seal of one holds, and keys as text. */
#include "../../src/repo/bundle.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const uint8_t secret[KEY_FILE_SECRET];
    AUTOFREE char *text = mem_printf("%.*s", (int)len, (const char *)data);
    uint8_t out[KEY_FILE_SECRET];
    struct keys *opened = NULL;
    struct slot_info info;
    struct err e = { 0 };

    (void)fuzz_keys();
    struct slice all = slice_of(data, len);
    (void)!slot_info(all, &info, &e);
    int rc = slot_open(all, SLOT_FILE, slice_of(secret, sizeof secret), &opened, &e);
    assert(rc < 1);
    (void)!key_file_parse(all, out, &e);
    if (code_parse(text, out, &e) == 0) {
        char code[CODE_TEXT_LEN + 1];
        code_text(out, code);
        assert(strlen(code) == CODE_TEXT_LEN);
    }
    CLEANUP(keys_free_p) struct keys *k = keys_new();
    if (bundle_parse(all, k, &e) == 0)
        assert(k->epoch_count > 0 && k->epoch_count <= EPOCHS_MAX);
    return 0;
}
