/* env: the environment, which only conf reads. */
#ifndef CONF_ENV_H
#define CONF_ENV_H

const char *env_get(const char *name); /* NULL: not set, or empty */
char *env_path(const char *path);      /* with ~ as the home folder; free it */

#endif
