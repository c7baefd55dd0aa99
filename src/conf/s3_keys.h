/*
 * s3_keys: what targets and sources have in common that are buckets.
 */
#ifndef CONF_S3_KEYS_H
#define CONF_S3_KEYS_H

#include "conf/config.h"

/* The rows of a struct conf_credentials at `at`. */
#define CREDENTIAL_KEYS(at_) \
    { .name = "profile", .type = CONF_STRING, \
      .at = (at_) + offsetof(struct conf_credentials, profile), \
      .help = "Profile of the shared credentials file. Default: AWS_PROFILE, or " \
              "default." }, \
    { .name = "file", .type = CONF_PATH, \
      .at = (at_) + offsetof(struct conf_credentials, file), \
      .help = "The shared credentials file. Default: AWS_SHARED_CREDENTIALS_FILE, or " \
              "~/.aws/credentials." }, \
    { .name = "access-key", .type = CONF_SECRET, \
      .at = (at_) + offsetof(struct conf_credentials, access_key), \
      .help = "The access key. Default: AWS_ACCESS_KEY_ID, then the profile." }, \
    { .name = "secret-key", .type = CONF_SECRET, \
      .at = (at_) + offsetof(struct conf_credentials, secret_key), \
      .help = "The secret key; needed with access-key." }, \
    { .name = "session-token", .type = CONF_SECRET, \
      .at = (at_) + offsetof(struct conf_credentials, session_token), \
      .help = "The token of temporary credentials." }

/* The words of enum conf_style. */
extern const char *const conf_styles[];

/* `n` is the map that has them. ERR_USAGE with its line. */
MUST_USE int s3_keys_check(const char *endpoint, const struct conf_credentials *c,
                           const struct yaml_node *n, struct err *e);

#endif
