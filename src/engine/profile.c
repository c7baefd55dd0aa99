#include "profile.h"
#include "base/text.h"

#include <string.h>

/* Names that are likely to hold secrets: never compressed beside what somebody
 * else may have placed there. */
static const char *const secrets[] = { "*.key",    "*.pem",   "*.p12",  "*.pfx",
                                       ".env",     "*.kdbx",  "id_rsa", "id_ed25519",
                                       "id_ecdsa", ".pgpass", ".netrc", "shadow",
                                       "shadow-",  NULL };

/* Databases and images, which are updated in place, page by page. The last ones are
 * PostgreSQL's relations, with and without a tablespace. */
static const char *const paged[] = { "*.ibd",
                                     "ibdata[0-9]*",
                                     "undo[0-9]*",
                                     "undo_[0-9]*",
                                     "*.MAI",
                                     "*.MAD",
                                     "*.MYI",
                                     "*.MYD",
                                     "*.sqlite",
                                     "*.sqlite3",
                                     "*.db",
                                     "*.img",
                                     "*.raw",
                                     "*.qcow2",
                                     "*.vmdk",
                                     "**/base/[0-9]*/[0-9]*",
                                     "**/global/[0-9]*",
                                     "**/PG_[0-9]*/[0-9]*/[0-9]*",
                                     NULL };

/* Dumps: rows move about in them. */
static const char *const dumps[] = { "*.sql", "*.dump", NULL };

struct names {
    char *path;
    const char *name; /* in it */
};

/* Does any of the patterns match the name or the whole path? */
static bool
matches(const char *const *patterns, const struct names *n)
{
    for (; patterns && *patterns; patterns++)
        if (text_match(*patterns, n->name) || text_match(*patterns, n->path))
            return true;
    return false;
}

static struct names
names_of(struct slice path)
{
    struct names n = { .path = mem_printf("%.*s", (int)path.len,
                                          (const char *)path.ptr) };
    const char *slash = strrchr(n.path, '/');

    n.name = slash ? slash + 1 : n.path;
    return n;
}

bool
profile_isolates(const struct conf_source *s, struct slice path)
{
    struct names n = names_of(path);
    bool yes = matches(secrets, &n) || matches((const char *const *)s->files.isolate, &n);

    mem_free(n.path);
    return yes;
}

const struct cut_profile *
profile_cut(const struct conf_source *s, unsigned traits, struct slice path)
{
    if (traits & SOURCE_STREAM)
        return &cut_streams;
    if (traits & SOURCE_PAGED)
        return &cut_blocks;
    struct names n = names_of(path);
    const struct cut_profile *p = matches((const char *const *)s->files.blocks, &n)
                                       || matches(paged, &n)
                                    ? &cut_blocks
                                : matches(dumps, &n) ? &cut_streams
                                                     : &cut_files;
    mem_free(n.path);
    return p;
}
