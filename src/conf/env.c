#include "conf/env.h"

#include "home.h"

#include <stdlib.h>

const char *
env_get(const char *name)
{
    const char *value = getenv(name);

    return value && value[0] ? value : NULL;
}

char *
env_path(const char *path)
{
    return home_expand(path);
}
