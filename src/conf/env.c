#include "conf/env.h"

#include "base/mem.h"

#include "home.h"

#include <errno.h>
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

const char *
env_temp_root(const char *usual)
{
    const char *tmp = env_get("TMPDIR");

    return tmp && tmp[0] == '/' ? tmp : usual;
}

int
env_temp_folder(const char *usual, const char *name, char **path, struct err *e)
{
    *path = mem_printf("%s/%s-XXXXXX", env_temp_root(usual), name);
    return mkdtemp(*path)
             ? 0
             : err_sys(e, errno, "making a temporary folder in %s", env_temp_root(usual));
}
