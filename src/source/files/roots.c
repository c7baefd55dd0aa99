#include "roots.h"

#include "base/text.h"
#include "source/entry.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Copies `path` without what changes nothing: "//", "/./", the slashes at
 * both ends. False when it has a part "..". */
static bool
normalize(const char *path, char *out)
{
    char *to = out;

    while (*path) {
        size_t len = strcspn(path, "/");
        if (len == 2 && memcmp(path, "..", 2) == 0)
            return false;
        if (len > 0 && !(len == 1 && *path == '.')) {
            if (to > out)
                *to++ = '/';
            to = (char *)mempcpy(to, path, len);
        }
        path += len + (path[len] == '/');
    }
    *to = 0;
    return true;
}

static int
by_order(const void *a, const void *b)
{
    return entry_order(slice_str(*(char *const *)a), slice_str(*(char *const *)b));
}

static void
sort_unique(struct roots *r)
{
    size_t n = 0;

    if (r->count == 0)
        return;
    qsort(r->paths, r->count, sizeof *r->paths, by_order);
    for (size_t i = 0; i < r->count; i++)
        if (n > 0 && strcmp(r->paths[n - 1], r->paths[i]) == 0)
            mem_free(r->paths[i]);
        else
            r->paths[n++] = r->paths[i];
    r->count = n;
}

int
roots_init(struct roots *r, char *const *paths, bool allow_missing, struct err *e)
{
    struct stat st;
    size_t cap = 0;

    *r = (struct roots){ 0 };
    for (size_t i = 0; paths && paths[i]; i++) {
        AUTOFREE char *path = mem_alloc(strlen(paths[i]) + 1);
        if (paths[i][0] != '/' || !normalize(paths[i], path))
            return err_set(e, ERR_USAGE, 0, "the path %s has to be absolute, without ..",
                           text_of_name(slice_str(paths[i])));
        bool there = stat(paths[i], &st) == 0;
        if (!there && !(allow_missing && (errno == ENOENT || errno == ENOTDIR)))
            return err_set(e, ERR_SOURCE, errno, "%s cannot be backed up: %s",
                           text_of_name(slice_str(paths[i])), strerror(errno));
        if (!there)
            continue;
        r->paths = mem_grow(r->paths, &cap, r->count + 1, sizeof *r->paths);
        r->paths[r->count++] = TAKE(path);
    }
    sort_unique(r);
    return 0;
}

void
roots_release(struct roots *r)
{
    for (size_t i = 0; i < r->count; i++)
        mem_free(r->paths[i]);
    mem_free(r->paths);
    *r = (struct roots){ 0 };
}

struct range
roots_below(const struct roots *r, struct range in, struct slice path)
{
    while (in.from < in.to && !entry_below(slice_str(r->paths[in.from]), path))
        in.from++;
    size_t to = in.from;
    while (to < in.to && entry_below(slice_str(r->paths[to]), path))
        to++;
    in.to = to;
    return in;
}
