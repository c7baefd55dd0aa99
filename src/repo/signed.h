/*
 * signed: small objects with a signature at their end.
 *
 *     header 64 | body | signer 16 | signature 64
 *
 * The signer is a host's id, all zero for root, all 0xff for maintenance; the
 * signature is over everything before it under the type's label.
 */
#ifndef REPO_SIGNED_H
#define REPO_SIGNED_H

#include "repo/keys.h"

#define SIGNED_TAIL (ID_LEN + SIGN_LEN)

extern const uint8_t signer_root[ID_LEN], signer_maintain[ID_LEN];

/* Appends signer and signature behind header and body. */
void signed_end(struct buf *object, enum object_type type, const uint8_t signer[ID_LEN],
                const uint8_t seed[SEED_LEN]);

/* Gives the public key of a signer; false when it is not known (or revoked). */
typedef bool signer_fn(void *arg, const uint8_t signer[ID_LEN], uint8_t pub[KEY_LEN]);

/* Checks header and signature; *body borrows from object. */
MUST_USE int signed_open(struct slice object, enum object_type type,
                         const uint8_t repo[ID_LEN], signer_fn *who, void *arg,
                         struct header *h, uint8_t signer[ID_LEN], struct slice *body,
                         struct err *e);

/* Associated data of a locked body: the label and the header. */
void signed_associated(struct buf *out, enum object_type type, struct slice header);

#endif
