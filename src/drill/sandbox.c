#include "sandbox.h"

#include "base/fs.h"
#include "conf/env.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* The path without symbolic links and dots, as far as it exists; what does not
 * exist yet is kept as it is written. */
static char *
resolve(const char *path)
{
    AUTOFREE char *real = mem_alloc(PATH_MAX);

    if (realpath(path, real))
        return mem_strdup(real);
    const char *slash = strrchr(path, '/');
    if (!slash || slash == path)
        return mem_strdup(path);
    if (!slash[1]) { /* "x/" is "x" */
        AUTOFREE char *shorter = mem_printf("%.*s", (int)(slash - path), path);
        return resolve(shorter);
    }
    AUTOFREE char *parent = mem_printf("%.*s", (int)(slash - path), path);
    AUTOFREE char *real_parent = resolve(parent);
    return fs_join(real_parent, slash + 1);
}

static bool
lies_in(const char *path, const char *top)
{
    size_t len = strlen(top);

    while (len > 0 && top[len - 1] == '/')
        len--;
    return strncmp(path, top, len) == 0 && (path[len] == '/' || !path[len]);
}

/* Does the sandbox lie in `top`, or `top` in the sandbox? */
static bool
touches(const char *sandbox, const char *top)
{
    AUTOFREE char *real = resolve(top);

    return lies_in(sandbox, real) || lies_in(real, sandbox);
}

/* What of the configuration the sandbox would touch, in words; NULL: nothing.
 * The caller frees it. */
static char *
forbidden(const char *sandbox, const struct conf *c)
{
    for (size_t i = 0; i < c->source_count; i++) {
        const struct conf_source *s = &c->sources[i];
        for (char **p = s->files.paths; p && *p; p++)
            if (touches(sandbox, *p))
                return mem_printf("source %s (%s)", s->name, *p);
    }
    for (size_t i = 0; i < c->target_count; i++) {
        const struct conf_target *t = &c->targets[i];
        if (strncmp(t->url, "file://", 7) == 0 && touches(sandbox, t->url + 7))
            return mem_printf("target %s (%s)", t->name, t->url + 7);
    }
    if (c->state && touches(sandbox, c->state))
        return mem_printf("the local state (%s)", c->state);
    return NULL;
}

int
sandbox_choose(struct runbook *rb, const struct conf *c, struct err *e)
{
    const struct yaml_node *box = yaml_node_get(yaml_doc_root(rb->doc), "sandbox");
    const struct yaml_node *at = yaml_node_get(box, "root");
    AUTOFREE char *root = resolve(rb->sandbox.root ? rb->sandbox.root
                                                   : env_temp_root("/var/tmp"));
    AUTOFREE char *name = mem_printf("%s%s", SANDBOX_PREFIX, rb->run_id);

    rb->sandbox_dir = fs_join(root, name);
    AUTOFREE char *what = forbidden(rb->sandbox_dir, c);
    if (!what)
        return 0;
    if (at)
        return yaml_node_error(at, e,
                               "the sandbox %s would lie in %s; choose another "
                               "root",
                               rb->sandbox_dir, what);
    return err_set(e, ERR_USAGE, 0,
                   "%s: the sandbox %s would lie in %s; choose "
                   "sandbox.root",
                   rb->path, rb->sandbox_dir, what);
}

int
sandbox_make(const struct runbook *rb, struct err *e)
{
    if (mkdir(rb->sandbox_dir, 0700) < 0)
        return err_sys(e, errno, "making the sandbox %s", rb->sandbox_dir);
    return 0;
}

int
sandbox_destroy(const struct runbook *rb, struct err *e)
{
    struct stat st;

    if (fs_remove_tree(rb->sandbox_dir, e) < 0)
        return -1;
    if (lstat(rb->sandbox_dir, &st) == 0)
        return err_set(e, ERR_IO, 0, "%s is still there", rb->sandbox_dir);
    return 0;
}
