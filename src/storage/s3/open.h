/* open: from a target's configuration to a bucket. */
#ifndef STORAGE_S3_OPEN_H
#define STORAGE_S3_OPEN_H

#include "conf/config.h"
#include "net/url.h"
#include "storage/storage.h"

MUST_USE int storage_s3_open(const struct conf_target *t, const struct url *u,
                             struct storage **out, struct err *e);

#endif
