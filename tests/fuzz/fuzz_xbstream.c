/* What mariadb-backup writes, by way of the files that are made of it. */
#include "../../src/source/mariadb/untangle.h"
#include "../source/stream.h"
#include "fuzz.h"

#include "source/entry.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct given g = { slice_of(data, len), 1000 };
    struct untangle u;
    struct slice path;
    struct err e = { 0 };
    uint64_t size, sum = 0;
    int rc;

    untangle_init(&u, give, &g, "/tmp");
    while ((rc = untangle_next(&u, &path, &size, &e)) == 1) {
        uint8_t block[333];
        size_t got = len % 2; /* half of them are passed over */
        uint64_t of_this = 0;
        assert(entry_path_valid(path));
        while (got > 0 && (rc = untangle_read(&u, block, sizeof block, &got, &e)) == 0)
            of_this += got;
        if (rc < 0)
            break;
        assert(len % 2 == 0 || size == UINT64_MAX || of_this == size);
        sum += of_this;
    }
    assert(rc == 0 || e.kind == ERR_SOURCE);
    assert(sum <= len);
    untangle_release(&u);
    return 0;
}
