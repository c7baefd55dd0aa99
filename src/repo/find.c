#include "base/log.h"
#include "base/text.h"

#include "impl.h"

#include <string.h>

/* Which snapshot is meant by [HOST:]SOURCE[@WHEN], or by the beginning of an id. */

static bool
is_hex(const char *s)
{
    size_t n = strspn(s, "0123456789abcdef");

    return n >= 6 && n <= 64 && s[n] == 0;
}

static int
find_by_id(const struct snapshot_list *l, const char *prefix, struct snapshot_row **out,
           struct err *e)
{
    *out = NULL;
    for (size_t i = 0; i < l->count; i++) {
        char hex[65];
        if (!l->rows[i].loaded)
            continue;
        text_hex(hex, l->rows[i].info.id, 32);
        if (strncmp(hex, prefix, strlen(prefix)) != 0)
            continue;
        if (*out)
            return err_set(e, ERR_USAGE, 0, "several snapshots begin with %s", prefix);
        *out = &l->rows[i];
    }
    return *out ? 0 : -1;
}

/* A newer one of the same source (and host, if one was named) that no target has
 * complete is worth a word. The list is in order of age, also within a second. */
static void
warn_of_newer(const struct snapshot_list *l, const struct snapshot_row *chosen,
              const char *host, int64_t until)
{
    for (const struct snapshot_row *row = chosen + 1; row < l->rows + l->count; row++) {
        char hex[65];
        text_hex(hex, row->name.sha256, 32);
        if (row->loaded && strcmp(row->info.source, chosen->info.source) == 0
            && (!host || strcmp(row->info.host, host) == 0)
            && row->info.started.s <= until && !snapshot_committed(row))
            log_warn("a newer snapshot of %s, %.12s of %s, is complete on no target; "
                     "`drtool snapshots --all` lists it",
                     row->info.source, hex, text_of_time(row->info.started.s));
    }
}

/* What somebody asks for by SOURCE and HOST (NULL: any), not later than `until`. */
struct wish {
    const char *text, *source, *host;
    int64_t until;
    bool known; /* there is one, though perhaps not complete, or later */
};

static bool
fits(const struct wish *w, const struct snapshot_row *row)
{
    return row->loaded && strcmp(row->info.source, w->source) == 0
        && (!w->host || strcmp(row->info.host, w->host) == 0);
}

/* Takes the newest one that is complete; the list is in order of age. */
static struct snapshot_row *
find_newest(const struct snapshot_list *l, struct wish *w)
{
    struct snapshot_row *found = NULL;

    for (size_t i = 0; i < l->count; i++) {
        struct snapshot_row *row = &l->rows[i];
        if (!fits(w, row))
            continue;
        w->known = true;
        if (snapshot_committed(row) && row->info.started.s <= w->until)
            found = row;
    }
    return found;
}

static int
cannot_be_read(const struct wish *w, const struct chain_name *name,
               const struct snapshot_row *found, struct err *e)
{
    char hex[65];

    text_hex(hex, name->sha256, 32);
    return err_in(e,
                  "%s: snapshot %.12s%s cannot be read; another can be named by its "
                  "id or by a time",
                  w->text, hex, found ? ", which is newer and may be meant," : "");
}

/* With a time somebody knows that he asks for an old one. */
static int
check_newest(const struct snapshot_list *l, const struct wish *w,
             const struct snapshot_row *found, struct err *e)
{
    for (size_t i = 0; i < l->unread_count && w->until == INT64_MAX; i++) {
        const struct snapshot_unread *u = &l->unread[i];
        if (found
            && (strcmp(u->name.host, found->name.host) != 0
                || u->name.seq < found->name.seq))
            continue;
        *e = u->why;
        return cannot_be_read(w, &u->name, found, e);
    }
    for (size_t i = 0; i < l->count && w->until == INT64_MAX; i++) {
        const struct snapshot_row *row = &l->rows[i];
        if ((found && row <= found) || !fits(w, row) || snapshot_committed(row)
            || (row->snap & row->doubted & ~row->gone) == 0)
            continue;
        err_set(e, ERR_CORRUPT, 0, "the record that it is complete is damaged");
        return cannot_be_read(w, &row->name, found, e);
    }
    return 0;
}

int
repo_find_snapshot(const struct snapshot_list *l, const char *text,
                   struct snapshot_row **out, struct err *e)
{
    const char *at = strrchr(text, '@');
    AUTOFREE char *name = at ? mem_printf("%.*s", (int)(at - text), text)
                             : mem_strdup(text);
    char *colon = strchr(name, ':');
    struct wish wish = { text, colon ? colon + 1 : name, colon ? name : NULL, INT64_MAX,
                         false };
    struct err none = { 0 };

    if (at && strcmp(at + 1, "latest") != 0 && !text_time(at + 1, &wish.until))
        return err_set(e, ERR_USAGE, 0,
                       "%s: \"%s\" is neither `latest` nor a time such "
                       "as 2026-11-22T03:00",
                       text, at + 1);
    if (colon)
        *colon = 0;
    *out = find_newest(l, &wish);
    if (*out) {
        warn_of_newer(l, *out, wish.host, wish.until);
        return check_newest(l, &wish, *out, e);
    }
    if (!at && !colon && is_hex(text)) {
        if (find_by_id(l, text, out, &none) == 0)
            return 0;
        if (none.kind != ERR_NONE) {
            *e = none;
            return -1;
        }
    }
    if (check_newest(l, &wish, NULL, e) < 0)
        return -1;
    return err_set(e, ERR_NOT_FOUND, 0,
                   wish.known
                       ? "%s: no complete snapshot at or before that time"
                       : "%s: there is no snapshot of that name; see `drtool snapshots`",
                   text);
}
