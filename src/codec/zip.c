#include "codec/zip.h"

#include <zstd.h>

struct zip {
    ZSTD_CCtx *squeeze;
    ZSTD_DCtx *expand;
    int level;
};

struct zip *
zip_new(int level)
{
    struct zip *z = mem_zalloc(sizeof *z);

    z->level = level;
    return z;
}

void
zip_free(struct zip *z)
{
    if (!z)
        return;
    ZSTD_freeCCtx(z->squeeze);
    ZSTD_freeDCtx(z->expand);
    mem_free(z);
}

size_t
zip_bound(size_t len)
{
    return ZSTD_compressBound(len);
}

size_t
zip_squeeze(struct zip *z, struct slice plain, uint8_t *out, size_t room)
{
    if (!z->squeeze)
        z->squeeze = ZSTD_createCCtx();
    size_t n = ZSTD_compressCCtx(z->squeeze, out, room, plain.ptr, plain.len, z->level);
    if (ZSTD_isError(n) || n > plain.len - plain.len / 32)
        return 0;
    return n;
}

int
zip_expand(struct zip *z, struct slice packed, uint8_t *out, size_t len, struct err *e)
{
    if (!z->expand)
        z->expand = ZSTD_createDCtx();
    size_t n = ZSTD_decompressDCtx(z->expand, out, len, packed.ptr, packed.len);
    if (ZSTD_isError(n))
        return err_set(e, ERR_CORRUPT, 0, "zstd: %s", ZSTD_getErrorName(n));
    if (n != len)
        return err_set(e, ERR_CORRUPT, 0, "a chunk expands to %zu bytes instead of %zu",
                       n, len);
    return 0;
}
