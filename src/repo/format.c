#include "repo/format.h"
#include "base/crc32c.h"
#include "base/text.h"
#include "crypto/hash.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* As PNG's: a byte over 127, CR LF, ^Z and LF show what a text mode broke. */
static const uint8_t magic[8] = { 0x89, 'D', 'R', 'T', '\r', '\n', 0x1a, '\n' };

void
header_put(struct buf *out, const struct header *h)
{
    size_t start = out->len;

    buf_put(out, magic, sizeof magic);
    buf_put_u8(out, (uint8_t)h->type);
    buf_put_u8(out, FORMAT_MAJOR);
    buf_put_u16(out, h->group);
    buf_put_u32(out, 0); /* must know to read */
    buf_put_u32(out, 0); /* to write */
    buf_put_u32(out, 0); /* to delete */
    buf_put(out, h->repo, ID_LEN);
    buf_put(out, h->session, ID_LEN);
    buf_put_u32(out, 0);
    buf_put_u32(out, crc32c(slice_of(out->ptr + start, HEADER_LEN - 4)));
    assert(out->len - start == HEADER_LEN);
}

int
header_parse(struct slice object, enum object_type type, const uint8_t *repo,
             struct header *out, struct err *e)
{
    struct reader r = reader_of(object);

    if (object.len < HEADER_LEN || memcmp(object.ptr, magic, sizeof magic) != 0
        || get_u32(object.ptr + HEADER_LEN - 4)
               != crc32c(slice_of(object.ptr, HEADER_LEN - 4)))
        return err_set(e, ERR_CORRUPT, 0, "the header is damaged");
    read_slice(&r, sizeof magic);
    out->type = (enum object_type)read_u8(&r);
    uint8_t major = read_u8(&r);
    out->group = read_u16(&r);
    uint32_t must_read = read_u32(&r);
    out->must_write = read_u32(&r); /* judged by who writes or deletes */
    out->must_delete = read_u32(&r);
    read_copy(&r, out->repo, ID_LEN);
    read_copy(&r, out->session, ID_LEN);
    if (major != FORMAT_MAJOR)
        return err_set(e, ERR_UNSUPPORTED, 0,
                       "it is of format version %u and this drtool knows version %d; "
                       "use a newer drtool",
                       major, FORMAT_MAJOR);
    if (must_read != 0)
        return err_set(e, ERR_UNSUPPORTED, 0,
                       "it needs features (bits %08x) that this drtool does not know; "
                       "use a newer drtool",
                       must_read);
    if (out->type != type)
        return err_set(e, ERR_FORGED, 0, "it is an object of another type");
    if (repo && memcmp(out->repo, repo, ID_LEN) != 0)
        return err_set(e, ERR_FORGED, 0, "it belongs to another repository");
    return 0;
}

const char *
format_label(enum object_type type)
{
    switch (type) {
    case OBJECT_REPO:
        return "drtool-v1/repo";
    case OBJECT_SLOT:
        return "drtool-v1/slot";
    case OBJECT_CONF:
        return "drtool-v1/conf";
    case OBJECT_DATA:
        return "drtool-v1/data";
    case OBJECT_META:
        return "drtool-v1/meta";
    case OBJECT_INDEX:
        return "drtool-v1/index";
    case OBJECT_SNAP:
        return "drtool-v1/snap";
    case OBJECT_DONE:
        return "drtool-v1/done";
    case OBJECT_GONE:
        return "drtool-v1/gone";
    case OBJECT_PIN:
        return "drtool-v1/pin";
    case OBJECT_MARK:
        return "drtool-v1/mark";
    case OBJECT_SWEEP:
        return "drtool-v1/sweep";
    case OBJECT_DRILL:
        return "drtool-v1/drill";
    case OBJECT_LOG:
        return "drtool-v1/log";
    }
    assert(!"object type");
    return "";
}

void
pack_key(char out[PACK_KEY_LEN + 1], const uint8_t name[32])
{
    memcpy(out, "pack/", 5);
    text_hex(out + 5, name, 1);
    out[7] = '/';
    text_hex(out + 8, name, 32);
}

bool
pack_name(uint8_t name[32], const char *key)
{
    return strncmp(key, "pack/", 5) == 0 && strlen(key) == PACK_KEY_LEN && key[7] == '/'
        && text_unhex(name, 32, key + 8) && memcmp(key + 5, key + 8, 2) == 0;
}

void
chain_key(char out[CHAIN_KEY_LEN + 1], const struct chain_name *n)
{
    char hex[65];

    assert(n->seq <= CHAIN_SEQ_MAX);
    text_hex(hex, n->sha256, 32);
    snprintf(out, CHAIN_KEY_LEN + 1, "%s/%s/%010llu-%s", n->kind, n->host,
             (unsigned long long)n->seq, hex);
}

bool
chain_name(struct chain_name *out, const char *key)
{
    char seq[11], back[CHAIN_KEY_LEN + 1];
    const char *slash = strchr(key, '/');
    size_t kind = slash ? (size_t)(slash - key) : 0;

    if (kind < 3 || kind > 4 || strlen(slash) != 1 + 16 + 1 + 10 + 1 + 64)
        return false;
    memset(out, 0, sizeof *out);
    memcpy(out->kind, key, kind);
    memcpy(out->host, slash + 1, 16);
    memcpy(seq, slash + 18, 10);
    seq[10] = 0;
    uint8_t host[8];
    if (!text_uint(seq, CHAIN_SEQ_MAX, &out->seq) || !text_unhex(host, 8, out->host)
        || !text_unhex(out->sha256, 32, slash + 29))
        return false;
    chain_key(back, out);
    return strcmp(back, key) == 0;
}

bool
format_hash_of(const char *key, uint8_t out[32])
{
    const char *end = strrchr(key, '.');
    size_t len = end ? (size_t)(end - key) : strlen(key);
    char hex[65];

    if (len < 64)
        return false;
    memcpy(hex, key + len - 64, 64);
    hex[64] = 0;
    return text_unhex(out, 32, hex);
}

bool
format_hash_fits(const char *key, struct slice object)
{
    uint8_t want[32], have[32];

    if (!format_hash_of(key, want))
        return true;
    sha256(object, have);
    return memcmp(want, have, 32) == 0;
}
