/* env: the environment, which only conf reads. */
#ifndef CONF_ENV_H
#define CONF_ENV_H

#include "base/err.h"

const char *env_get(const char *name); /* NULL: not set, or empty */
char *env_path(const char *path);      /* with ~ as the home folder; free it */

/* A new folder "<name>-XXXXXX" in $TMPDIR or else in `usual`; free the path. */
MUST_USE int env_temp_folder(const char *usual, const char *name, char **path,
                             struct err *e);
const char *env_temp_root(const char *usual); /* where that is */

#endif
