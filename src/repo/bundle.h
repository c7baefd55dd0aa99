/* bundle: the keys of one role as a record. Tags: drtool-format(5) BUNDLES. */
#ifndef REPO_BUNDLE_H
#define REPO_BUNDLE_H

#include "repo/keys.h"

enum bundle_tag {
    BUNDLE_ROLE = 1,
    BUNDLE_REPO = 2,
    BUNDLE_ROOT_PUB = 3,
    BUNDLE_GROUP = 4,
    BUNDLE_K_ID = 5,
    BUNDLE_K_CUT = 6,
    BUNDLE_K_DIR = 7,
    BUNDLE_MAINTAIN_PUB = 8,
    BUNDLE_EPOCH = 9,
    BUNDLE_ROOT_SEED = 10,
    BUNDLE_MAINTAIN_SEED = 11,
};

enum epoch_tag {
    EPOCH_NUMBER = 1,
    EPOCH_DATA_PUB = 2,
    EPOCH_META_PUB = 3,
    EPOCH_DATA_SEC = 4,
    EPOCH_META_SEC = 5,
};

void bundle_put(struct buf *out, const struct keys *k, enum role role);
MUST_USE int bundle_parse(struct slice bundle, struct keys *k, struct err *e);

#endif
