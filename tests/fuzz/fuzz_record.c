/* Records within records. */
#include "codec/record.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static size_t
walk_record(struct slice record, unsigned depth)
{
    struct reader r = reader_of(record);
    struct slice v;
    uint16_t tag;
    size_t n = 0;

    while (record_next(&r, &tag, &v)) {
        AUTOFREE char *text = record_str(record, tag);
        assert(v.ptr >= record.ptr && v.ptr + v.len <= record.ptr + record.len);
        (void)record_u64(record, tag);
        n += 1 + (depth < 4 ? walk_record(v, depth + 1) : 0);
    }
    assert(r.bad != record_valid(record));
    return n;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    return len < 4096 && walk_record(slice_of(data, len), 0) > SIZE_MAX / 2;
}
