#include "home.h"
#include "base/mem.h"

#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *
home_folder(void)
{
    const char *home = getenv("HOME");

    if (home && home[0] == '/')
        return home;
    const struct passwd *p = getpwuid(geteuid()); /* read before threads start */
    return p && p->pw_dir && p->pw_dir[0] == '/' ? p->pw_dir : "/";
}

char *
home_expand(const char *path)
{
    if (path[0] != '~' || (path[1] && path[1] != '/'))
        return mem_strdup(path);
    return mem_printf("%s%s", home_folder(), path + 1);
}
