#include "base/text.h"

#include "restore_impl.h"

#include <stdlib.h>
#include <string.h>

#define PATHS_MAX 1000

static int
by_path(const void *a, const void *b)
{
    const struct selection *x = a, *y = b;

    return entry_order(x->path, y->path);
}

/* "/srv/a" -> what lies at srv/a; "/srv/a/" -> its content, without srv/a. */
int
select_paths(struct run *run, struct err *e)
{
    size_t n = 0, kept = 0;

    while (run->options->paths && run->options->paths[n])
        n++;
    if (n > PATHS_MAX)
        return err_set(e, ERR_USAGE, 0, "more than %d paths", PATHS_MAX);
    run->selections = mem_zalloc((n + 1) * sizeof *run->selections);
    for (size_t i = 0; i < n; i++) {
        struct selection *s = &run->selections[i];
        struct slice p = slice_str(run->options->paths[i]);
        bool content = p.len > 1 && p.ptr[p.len - 1] == '/';
        while (p.len > 0 && p.ptr[0] == '/')
            p = slice_sub(p, 1, p.len - 1);
        while (p.len > 0 && p.ptr[p.len - 1] == '/')
            p.len--;
        if (p.len > 0 && !entry_path_valid(p))
            return err_set(e, ERR_USAGE, 0, "\"%s\" is not a path in a snapshot",
                           run->options->paths[i]);
        *s = (struct selection){ p, content ? p.len + 1 : 0, false };
    }
    run->selection_count = n ? n : 1;
    qsort(run->selections, n, sizeof *run->selections, by_path);
    for (size_t i = 0; i < run->selection_count; i++)
        if (kept == 0
            || !entry_below(run->selections[i].path, run->selections[kept - 1].path))
            run->selections[kept++] = run->selections[i];
    run->selection_count = kept;
    return 0;
}

/* Include and exclude patterns, on the path or its last part. */
static bool
matches_one(const char *const *patterns, const char *path)
{
    const char *slash = strrchr(path, '/');

    for (; patterns && *patterns; patterns++) {
        const char *p = **patterns == '/' ? *patterns + 1 : *patterns;
        if (text_match(p, path) || (!strchr(p, '/') && slash && text_match(p, slash + 1)))
            return true;
    }
    return false;
}

/* 1 wanted, 0 not, 2 not and nothing below it either. */
static int
wanted(const struct restore_options *o, const struct entry *en)
{
    AUTOFREE char *path = NULL;

    if (!o->include && !o->exclude)
        return 1;
    path = mem_printf("%.*s", (int)en->path.len, (const char *)en->path.ptr);
    if (matches_one(o->exclude, path))
        return en->type == ENTRY_DIR ? 2 : 0;
    if (!o->include || !*o->include || en->type == ENTRY_DIR)
        return 1;
    return matches_one(o->include, path);
}

/* The folders above a selection, for their metadata. */
static int
walk_above(struct run *run, struct selection *s, entry_fn *fn, struct err *e)
{
    struct entry en;

    for (size_t i = s->strip ? s->strip : 1; i < s->path.len; i++) {
        if (s->path.ptr[i] != '/' || i < s->strip)
            continue;
        struct slice above = slice_sub(s->path, 0, i);
        if (manifest_seek(run->manifest, above, e) < 0)
            return -1;
        int rc = manifest_next(run->manifest, &en, e);
        if (rc < 0)
            return -1;
        if (rc == 1 && slice_equal(en.path, above) && fn(run, &en, 0, e) < 0)
            return -1;
    }
    return 0;
}

static int
walk_one(struct run *run, struct selection *s, entry_fn *fn, struct err *e)
{
    struct entry en;
    int rc;

    if (s->strip == 0 && walk_above(run, s, fn, e) < 0)
        return -1;
    if (manifest_seek(run->manifest, s->path, e) < 0)
        return -1;
    while ((rc = manifest_next(run->manifest, &en, e)) == 1) {
        if (!entry_below(en.path, s->path))
            return 0;
        s->found = true;
        int want = wanted(run->options, &en);
        if (want == 2 && manifest_skip(run->manifest, en.path, e) < 0)
            return -1;
        if (want == 1 && fn(run, &en, s->strip, e) < 0)
            return -1;
    }
    return rc;
}

int
select_walk(struct run *run, entry_fn *fn, struct err *e)
{
    for (size_t i = 0; i < run->selection_count; i++) {
        struct selection *s = &run->selections[i];
        s->found = false;
        if (walk_one(run, s, fn, e) < 0)
            return -1;
        if (!s->found && s->path.len > 0)
            return err_set(e, ERR_NOT_FOUND, 0, "/%s is not in this snapshot",
                           text_of_name(s->path));
    }
    return 0;
}

void
select_release(struct run *run)
{
    mem_free(run->selections);
}
