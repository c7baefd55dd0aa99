/* The two ends of a pack, and the directory that the seal of one holds. */
#include "fuzz.h"
#include "repo/pack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct directory d;
    struct err e = { 0 };
    uint64_t at, size = len < 8 ? len : get_u32(data);

    if (len >= PACK_FOOTER)
        (void)!pack_tail(slice_of(data + len - PACK_FOOTER, PACK_FOOTER), size, &at, &e);
    if (len >= PACK_BODY + PACK_FOOTER) {
        AUTOBUF struct buf plain = BUF(len);
        (void)!pack_open_directory(fuzz_keys(), slice_of(data, PACK_BODY),
                                   slice_of(data + PACK_BODY, len - PACK_BODY), len,
                                   &plain, &d, &e);
    }
    if (len < 4 || directory_parse(slice_of(data + 4, len - 4), size, &d, &e) < 0)
        return 0;
    for (uint32_t i = 0; i < d.chunk_count; i++) {
        struct chunk_record c;
        struct chunk_key key;
        directory_chunk(&d, i, &c);
        directory_key(&d, c.key, &key);
        assert((uint64_t)c.offset + c.stored <= size && c.stored >= TAG_LEN);
    }
    return 0;
}
