/*
 * s3: a storage in a bucket of anything that speaks the S3 protocol.
 */
#ifndef STORAGE_S3_H
#define STORAGE_S3_H

#include "s3/s3.h"
#include "storage/storage.h"

/* Everything is copied. ERR_USAGE for an endpoint or bucket name that cannot be. */
MUST_USE int storage_s3(const struct s3_options *o, struct storage **out, struct err *e);

#endif
