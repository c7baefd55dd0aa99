#include "base/log.h"
#include "codec/record.h"

#include "impl.h"

/* An index segment: the directories of some packs, locked under the index key
 * and signed by who made it. Its plain body is a record with a field per pack:
 * drtool-format(5) INDEX SEGMENTS. */
enum segment_tag { TAG_PACK = 1 };
enum pack_tag {
    PACK_NAME = 1,
    PACK_SIZE = 2,
    PACK_ORIGIN = 3,
    PACK_SIGNATURE = 4,
    PACK_DIRECTORY = 5
};

/* What a host signs about a pack it made: repository, name, size, directory. */
static void
origin_message(const struct repo *r, const uint8_t name[32], uint64_t size,
               struct slice directory, struct buf *out)
{
    uint8_t hash[32];

    sha256(directory, hash);
    buf_put(out, r->keys->repo_id, ID_LEN);
    buf_put(out, name, 32);
    buf_put_u64(out, size);
    buf_put(out, hash, 32);
}

void
segment_put_pack(const struct repo *r, struct buf *out, const uint8_t name[32],
                 uint64_t size, struct slice directory)
{
    AUTOBUF struct buf message = BUF(256);
    uint8_t sig[SIGN_LEN];
    size_t at = record_begin(out, TAG_PACK);

    origin_message(r, name, size, directory, &message);
    sign_make(sig, r->host_seed, "drtool-v1/pack", buf_slice(&message));
    record_put(out, PACK_NAME, slice_of(name, 32));
    record_put_u64(out, PACK_SIZE, size);
    record_put(out, PACK_ORIGIN, slice_of(r->host_id, ID_LEN));
    record_put(out, PACK_SIGNATURE, slice_of(sig, sizeof sig));
    record_put(out, PACK_DIRECTORY, directory);
    record_end(out, at);
}

/* Checks one pack's field. 1; 0 when it is not to be used; -1. */
static int
open_pack(struct repo *r, struct slice rec, struct segment_pack *p, struct err *e)
{
    AUTOBUF struct buf message = BUF(256);
    uint8_t origin[ID_LEN], sig[SIGN_LEN], pub[KEY_LEN];
    struct slice directory = record_get(rec, PACK_DIRECTORY);
    struct err bad = { 0 };

    p->size = record_u64(rec, PACK_SIZE);
    if (!record_copy(rec, PACK_NAME, p->name, 32)
        || !record_copy(rec, PACK_ORIGIN, origin, ID_LEN)
        || !record_copy(rec, PACK_SIGNATURE, sig, SIGN_LEN)
        || directory_parse(directory, p->size, &p->directory, e) < 0)
        return err_set(e, ERR_CORRUPT, 0, "an index segment is malformed");
    origin_message(r, p->name, p->size, p->directory.plain, &message);
    if (!repo_signer(r, origin, pub)
        || sign_check(sig, pub, "drtool-v1/pack", buf_slice(&message), &bad) < 0) {
        log_warn("a pack of an unknown host is not used");
        return 0;
    }
    p->revoked = repo_revoked(r, origin);
    return 1;
}

int
segment_read(struct repo *r, struct target *t, const char *key, segment_pack_fn *fn,
             void *arg, struct err *e)
{
    AUTOBUF struct buf object = BUF(SEGMENT_MAX), plain = BUF(SEGMENT_MAX);
    AUTOBUF struct buf aad = BUF(256);
    struct range range = { .key = key };
    uint8_t signer[ID_LEN];
    struct segment_pack p;
    struct header h;
    struct slice body, v;
    uint16_t tag;

    if (storage_get(t->store, &range, &object, e) < 0)
        return -1;
    if (!format_hash_fits(key, buf_slice(&object)))
        return err_set(e, ERR_CORRUPT, 0, "the bytes do not fit the name");
    if (signed_open(buf_slice(&object), OBJECT_INDEX, r->keys->repo_id, repo_signer, r,
                    &h, signer, &body, e)
        < 0)
        return -1;
    signed_associated(&aad, OBJECT_INDEX, buf_slice(&object));
    if (crypto_unlock(&plain, r->keys->index_key, buf_slice(&aad), body, e) < 0)
        return -1;
    struct reader rd = reader_of(buf_slice(&plain));
    while (record_next(&rd, &tag, &v)) {
        int rc = tag == TAG_PACK ? open_pack(r, v, &p, e) : 0;
        if (rc < 0 || (rc == 1 && fn(arg, &p, e) < 0))
            return -1;
    }
    return rd.bad ? err_set(e, ERR_CORRUPT, 0, "an index segment is malformed") : 0;
}
