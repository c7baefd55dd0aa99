#include "wal_path.h"

#include "base/log.h"

#include "wal_names.h"

#include <string.h>

#define HISTORY_MAX ((size_t)1 << 20)

bool
wal_path_look(const struct wal_path *w, const struct wal_name *n, struct log_row *row,
              struct log_info *info)
{
    char pos[LOG_POS_MAX + 1], text[WAL_NAME_MAX + 1];
    struct fleet *f = repo_fleet(w->repo);
    struct err none = { 0 };
    struct log_list l;
    bool found = false;

    wal_pos(n, pos);
    wal_name_text(n, text);
    AUTOFREE char *prefix = mem_printf("log/%s/%08x/%s-", w->stream, n->timeline, pos);
    if (log_list(w->repo, prefix, &l, &none) < 0)
        return false;
    for (size_t i = 0; i < l.count && !found; i++) {
        AUTOBUF struct buf head = BUF(HEADER_LEN), tail = BUF(LOG_TAIL);
        size_t len = l.rows[i].size < LOG_TAIL ? (size_t)l.rows[i].size : LOG_TAIL;
        struct range a = { .key = l.rows[i].key, .len = HEADER_LEN };
        struct range b = { .key = l.rows[i].key,
                           .offset = l.rows[i].size - len,
                           .len = len };
        found = l.rows[i].size > HEADER_LEN
             && fleet_get(f, NULL, &a, NULL, NULL, &head, &none) == 0
             && fleet_get(f, NULL, &b, NULL, NULL, &tail, &none) == 0
             && log_peek(repo_keys(w->repo), buf_slice(&head), buf_slice(&tail), info,
                         &none)
                    == 0
             && strcmp(info->file, text) == 0;
        *row = l.rows[i];
    }
    log_list_release(&l);
    return found;
}

static int
take_text(void *arg, struct slice plain, struct err *e)
{
    (void)e;
    buf_put_slice(arg, plain);
    return 0;
}

/* From where the newest timeline branched off, and those before it. False: its history
 * cannot be had, and nothing is known of the way. */
static bool
read_branches(struct wal_path *w)
{
    struct wal_name n = { .kind = WAL_HISTORY, .timeline = w->ranges.newest };
    AUTOBUF struct buf object = BUF(HISTORY_MAX), text = BUF(HISTORY_MAX);
    struct chunk_tools tools;
    struct log_info info;
    struct log_row row;
    struct err e = { 0 };

    if (n.timeline <= 1)
        return true;
    if (!wal_path_look(w, &n, &row, &info) || row.size > HISTORY_MAX
        || info.size > HISTORY_MAX)
        return false;
    chunk_tools_init(&tools, 1);
    int rc = log_get(w->repo, row.key, &object, &e);
    if (rc == 0)
        rc = log_open(w->repo, buf_slice(&object), &tools, &info, take_text, &text, &e);
    chunk_tools_release(&tools);
    if (rc < 0) {
        log_info("%s: %s", row.key, err_text(&e));
        return false;
    }
    struct slice rest = buf_slice(&text);
    while (w->branch_count < BRANCHES_MAX
           && wal_branch_next(&rest, &w->branches[w->branch_count]))
        w->branch_count++;
    return w->branch_count > 0;
}

/* The timeline that follows on the way to the newest, and the segment with which it
 * begins; 0: none does. */
static uint32_t
next_timeline(const struct wal_path *w, uint32_t timeline, uint64_t *number)
{
    for (size_t i = 0; i < w->branch_count; i++)
        if (w->branches[i].parent == timeline) {
            *number = w->branches[i].lsn / w->unit;
            return i + 1 < w->branch_count ? w->branches[i + 1].parent : w->ranges.newest;
        }
    return 0;
}

bool
wal_path_leads(const struct wal_path *w, uint32_t timeline, uint64_t lsn)
{
    for (size_t i = 0; i < w->branch_count; i++)
        if (w->branches[i].parent == timeline)
            return lsn <= w->branches[i].lsn;
    return timeline == w->ranges.newest;
}

bool
wal_path_follow(const struct wal_path *w, const struct wal_backup *b, uint32_t *timeline,
                uint64_t *number)
{
    uint64_t begins = 0;
    uint32_t next = wal_path_leads(w, b->timeline, b->lsn)
                      ? next_timeline(w, b->timeline, &begins)
                      : 0;

    *timeline = b->timeline;
    *number = b->number;
    if (next && begins <= b->number) { /* it was left within this very segment */
        *timeline = next;
        next = next_timeline(w, next, &begins);
    }
    const struct wal_range *r = wal_ranges_find(&w->ranges, *timeline, *number);
    if (!r)
        return false;
    while (next && r->last + 1 >= begins) {
        const struct wal_range *after = wal_ranges_find(&w->ranges, next, begins);
        if (!after)
            break;
        *timeline = next;
        r = after;
        next = next_timeline(w, next, &begins);
    }
    *number = r->last;
    return true;
}

int
wal_path_load(struct wal_path *w, struct repo *r, const struct wal_backup *b,
              struct err *e)
{
    *w = (struct wal_path){ .repo = r, .unit = b->unit };
    memcpy(w->stream, b->stream, sizeof w->stream);
    if (wal_ranges_list(r, w->stream, w->unit, &w->ranges, e) < 0)
        return -1;
    w->known = read_branches(w);
    return 0;
}

void
wal_path_release(struct wal_path *w)
{
    wal_ranges_release(&w->ranges);
}

bool
wal_path_has(const struct wal_path *w, const struct wal_backup *b)
{
    for (size_t i = 0; i < w->ranges.count; i++) {
        const struct wal_range *r = &w->ranges.list[i];
        if (r->timeline == b->timeline ? r->last >= b->number : r->timeline > b->timeline)
            return true;
    }
    return false;
}

bool
wal_path_forks(const struct wal_path *w, const struct wal_backup *b, uint32_t *timeline,
               uint64_t *lsn)
{
    for (size_t i = 0; i < w->branch_count; i++) {
        const struct wal_branch *x = &w->branches[i];
        if (x->parent < b->timeline || (x->parent == b->timeline && x->lsn < b->lsn))
            continue; /* left before the backup */
        for (size_t k = 0; k < w->ranges.count; k++)
            if (w->ranges.list[k].timeline == x->parent
                && w->ranges.list[k].last >= x->lsn / w->unit) {
                *timeline = x->parent;
                *lsn = x->lsn;
                return true;
            }
    }
    return false;
}
