/* Entries of a manifest, one after the other as in a leaf; what was read is put
 * again and must give the same. */
#include "../../src/repo/entry_format.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct reader r = reader_of(slice_of(data, len));
    struct entry_context c = { 0 };
    struct entry en = { .path = SLICE("x") };
    struct chunk_id xattrs;
    bool apart = false;

    for (int i = 0; i < 100 && r.left > 0; i++) {
        AUTOBUF struct buf out = BUF(len * 4 + 1000);
        struct entry_context before = c, again = c;
        struct entry back = { .path = SLICE("x") };
        struct chunk_id id;
        bool has = false;
        if (!entry_get(&r, &c, &en, &xattrs, &apart))
            break;
        entry_put(&out, &before, &en, apart ? &xattrs : NULL);
        struct reader second = reader_of(buf_slice(&out));
        bool ok = entry_get(&second, &again, &back, &id, &has);
        assert(ok && second.left == 0 && has == apart && back.size == en.size);
        assert(back.mtime_s == en.mtime_s && back.extent_count == en.extent_count);
        struct reader x = reader_of(en.xattrs);
        struct slice name, value;
        while (entry_xattr_next(&x, &name, &value))
            assert(name.len > 0 && name.len <= 255);
    }
    return 0;
}
