#include "signed.h"

#include <string.h>

const uint8_t signer_root[ID_LEN];
const uint8_t signer_maintain[ID_LEN] = {
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff
};

void
signed_end(struct buf *object, enum object_type type, const uint8_t signer[ID_LEN],
           const uint8_t seed[SEED_LEN])
{
    uint8_t sig[SIGN_LEN];

    buf_put(object, signer, ID_LEN);
    sign_make(sig, seed, format_label(type), buf_slice(object));
    buf_put(object, sig, sizeof sig);
}

int
signed_open(struct slice object, enum object_type type, const uint8_t repo[ID_LEN],
            signer_fn *who, void *arg, struct header *h, uint8_t signer[ID_LEN],
            struct slice *body, struct err *e)
{
    uint8_t pub[KEY_LEN];

    if (header_parse(object, type, repo, h, e) < 0)
        return -1;
    if (object.len < HEADER_LEN + SIGNED_TAIL)
        return err_set(e, ERR_CORRUPT, 0, "a signed object is cut short");
    size_t sig_at = object.len - SIGN_LEN;
    memcpy(signer, object.ptr + sig_at - ID_LEN, ID_LEN);
    if (!who(arg, signer, pub))
        return err_set(e, ERR_FORGED, 0, "it is signed by somebody unknown");
    if (sign_check(object.ptr + sig_at, pub, format_label(type),
                   slice_sub(object, 0, sig_at), e)
        < 0)
        return -1;
    *body = slice_sub(object, HEADER_LEN, sig_at - ID_LEN - HEADER_LEN);
    return 0;
}

void
signed_associated(struct buf *out, enum object_type type, struct slice header)
{
    buf_put_str(out, format_label(type));
    buf_put_slice(out, slice_sub(header, 0, HEADER_LEN));
}
