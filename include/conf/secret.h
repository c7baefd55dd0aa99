/*
 * secret: the value behind a conf_secret, asked for at the last moment.
 *
 * A file must not be readable by others (mode & 007 is refused); one trailing
 * newline is cut off. The text of an error names where, never what.
 */
#ifndef CONF_SECRET_H
#define CONF_SECRET_H

#include "conf/config.h"

#define SECRET_MAX 4096 /* bytes */

/* Appends the secret's bytes to `out`, which the caller wipes and which has
 * room for SECRET_MAX more. What cannot be had is ERR_DENIED. */
MUST_USE int secret_resolve(const struct conf_secret *s, struct buf *out, struct err *e);

#endif
