/* The sealed body of a snapshot: sealed here as a host would that lies. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct session *s;
    static const uint8_t nonce[NONCE_LEN];
    AUTOBUF struct buf object = BUF(SNAPSHOT_MAX + 4096), aad = BUF(256);
    struct header h = { .type = OBJECT_SNAP };
    struct snapshot out = { .seq = 0 };
    uint8_t info[22] = "drtool-v1/snap", key[KEY_LEN];
    struct err e = { 0 };

    if (len > SNAPSHOT_MAX - 1024)
        return 0;
    s = s ? s : session_new(fuzz_keys(), NULL);
    header_put(&object, &h);
    buf_put_u64(&object, 0); /* the sequence number */
    buf_put_u32(&object, s->key[CLASS_META].epoch);
    buf_put(&object, s->key[CLASS_META].sealed, SEALED_KEY_LEN);
    buf_put_str(&aad, format_label(OBJECT_SNAP));
    buf_put_slice(&aad, buf_slice(&object));
    crypto_expand32(key, &s->prk[CLASS_META], slice_of(info, sizeof info));
    crypto_lock(&object, key, nonce, buf_slice(&aad), slice_of(data, len));
    struct slice all = buf_slice(&object);
    int rc = snapshot_parse(fuzz_keys(), slice_sub(all, 0, HEADER_LEN),
                            slice_sub(all, HEADER_LEN, all.len - HEADER_LEN), &out, &e);
    assert(rc == 0 || strcmp(e.text, "a snapshot's body is malformed") == 0);
    assert(out.tag_count <= TAGS_MAX && out.root.level < TREE_LEVELS_MAX);
    snapshot_release(&out);
    return 0;
}
