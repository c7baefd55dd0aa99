#include "engine/wal_windows.h"
#include "base/log.h"
#include "repo/log.h"
#include "source/wal.h"

#include "wal_backup.h"
#include "wal_names.h"
#include "wal_ranges.h"

#include <stdio.h>
#include <string.h>

#define BRANCHES_MAX 256
#define HISTORY_MAX ((size_t)1 << 20)

struct windows {
    struct repo *repo;
    char stream[17];
    uint64_t unit;
    struct wal_ranges ranges;
    struct wal_branch branches[BRANCHES_MAX]; /* of the newest timeline, oldest first */
    size_t branch_count;
    struct wal_windows *out;
};

/* What a file of the stream holds, by its record; false: nobody gives it. */
static bool
look_at(struct windows *w, const struct wal_name *n, struct log_row *row,
        struct log_info *info)
{
    char pos[LOG_POS_MAX + 1];
    struct fleet *f = repo_fleet(w->repo);
    struct err none = { 0 };
    struct log_list l;
    bool found = false;

    wal_pos(n, pos);
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
                    == 0;
        *row = l.rows[i];
    }
    log_list_release(&l);
    return found;
}

static int
check_hash(void *arg, struct slice data, struct err *e)
{
    return format_hash_fits(arg, data)
             ? 0
             : err_set(e, ERR_CORRUPT, 0, "the bytes do not fit the name");
}

static int
take_text(void *arg, struct slice plain, struct err *e)
{
    (void)e;
    buf_put_slice(arg, plain);
    return 0;
}

/* From where the newest timeline branched off, and those before it. Without its history
 * nothing is known of them. */
static void
read_branches(struct windows *w)
{
    struct wal_name n = { .kind = WAL_HISTORY, .timeline = w->ranges.newest };
    AUTOBUF struct buf object = BUF(HISTORY_MAX), text = BUF(HISTORY_MAX);
    struct chunk_tools tools;
    struct log_info info;
    struct log_row row;
    struct err e = { 0 };

    if (n.timeline <= 1 || !look_at(w, &n, &row, &info) || row.size > HISTORY_MAX
        || info.size > HISTORY_MAX)
        return;
    struct range range = { .key = row.key };
    chunk_tools_init(&tools, 1);
    if (fleet_get(repo_fleet(w->repo), NULL, &range, check_hash, row.key, &object, &e) < 0
        || log_open(w->repo, buf_slice(&object), &tools, &info, take_text, &text, &e) < 0)
        log_info("%s: %s", row.key, err_text(&e));
    chunk_tools_release(&tools);
    struct slice rest = buf_slice(&text);
    while (w->branch_count < BRANCHES_MAX
           && wal_branch_next(&rest, &w->branches[w->branch_count]))
        w->branch_count++;
}

/* The timeline that follows on the way to the newest, and the segment with which it
 * begins; 0: none does. */
static uint32_t
next_timeline(const struct windows *w, uint32_t timeline, uint64_t *number)
{
    for (size_t i = 0; i < w->branch_count; i++)
        if (w->branches[i].parent == timeline) {
            *number = w->branches[i].lsn / w->unit;
            return i + 1 < w->branch_count ? w->branches[i + 1].parent : w->ranges.newest;
        }
    return 0;
}

/* Does the way to the newest timeline lead through this position? A server that was
 * restored elsewhere has left for a timeline of its own, while the old one went on. */
static bool
on_the_way(const struct windows *w, uint32_t timeline, uint64_t lsn)
{
    for (size_t i = 0; i < w->branch_count; i++)
        if (w->branches[i].parent == timeline)
            return lsn <= w->branches[i].lsn;
    return timeline == w->ranges.newest;
}

/* How far the log goes without a hole from a backup on: *timeline and *number are those
 * of the last segment then. False: not even the first is there. */
static bool
follow(const struct windows *w, const struct wal_backup *b, uint32_t *timeline,
       uint64_t *number)
{
    uint64_t begins = 0;
    uint32_t next = on_the_way(w, b->timeline, b->lsn)
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

static struct clock_time
time_of(struct windows *w, uint32_t timeline, uint64_t number)
{
    struct wal_name n = { .kind = WAL_SEGMENT,
                          .timeline = timeline,
                          .place = wal_place(number, w->unit) };
    struct log_row row;
    struct log_info info = { 0 };

    return look_at(w, &n, &row, &info) ? info.time : (struct clock_time){ 0, 0 };
}

static bool
later(struct clock_time a, struct clock_time b)
{
    return a.s > b.s || (a.s == b.s && a.ns > b.ns);
}

/* A backup and what follows it; a later one within it begins no window of its own. */
static void
add_window(struct windows *w, const struct snapshot *s, const struct wal_backup *b)
{
    struct wal_windows *out = w->out;
    struct wal_window x = { s->ended, s->ended, b->timeline, b->lsn };
    struct wal_window *last = out->count > 0 ? &out->list[out->count - 1] : NULL;
    uint64_t number;

    if (follow(w, b, &x.timeline, &number)) {
        x.end_lsn = (number + 1) * w->unit;
        if (last && last->timeline == x.timeline && last->end_lsn == x.end_lsn)
            return;
        struct clock_time t = time_of(w, x.timeline, number);
        x.to = later(t, x.to) ? t : x.to;
    }
    if (out->count == WAL_WINDOWS_MAX) { /* the newest count */
        memmove(out->list, out->list + 1, (WAL_WINDOWS_MAX - 1) * sizeof *out->list);
        out->count--;
    }
    out->list[out->count++] = x;
}

/* Is anything stored behind the last window? Then a piece between is missing. */
static void
find_hole(struct windows *w)
{
    struct wal_windows *out = w->out;
    const struct wal_window *last = &out->list[out->count - 1];
    uint64_t end = last->end_lsn / w->unit;

    bool leads_on = last->timeline != w->ranges.newest
                 && on_the_way(w, last->timeline, last->end_lsn);

    for (size_t i = 0; i < w->ranges.count; i++) {
        const struct wal_range *r = &w->ranges.list[i];
        if (r->timeline == last->timeline ? r->last < end
                                          : !leads_on || r->timeline != w->ranges.newest)
            continue;
        out->broken = true;
        out->hole = last->end_lsn;
        out->hole_timeline = last->timeline;
    }
}

int
engine_wal_windows(struct repo *r, const struct snapshot_list *l,
                   const struct snapshot *newest, struct wal_windows *out, struct err *e)
{
    struct windows w = { .repo = r, .out = out };
    struct wal_backup b;

    *out = (struct wal_windows){ 0 };
    if (strcmp(newest->kind, "postgres") != 0 || !wal_backup_of(r, newest, &b))
        return 0;
    memcpy(w.stream, b.stream, sizeof w.stream);
    w.unit = b.unit;
    if (wal_ranges_list(r, w.stream, w.unit, &w.ranges, e) < 0)
        return -1;
    out->stored = w.ranges.count > 0;
    if (out->stored)
        read_branches(&w);
    for (size_t i = 0; i < l->count; i++) {
        const struct snapshot_row *row = &l->rows[i];
        struct wal_backup one;
        if (row->loaded && snapshot_committed(row)
            && strcmp(row->info.source, newest->source) == 0
            && memcmp(row->info.host_id, newest->host_id, ID_LEN) == 0
            && wal_backup_of(r, &row->info, &one) && strcmp(one.stream, w.stream) == 0
            && one.unit == w.unit)
            add_window(&w, &row->info, &one);
    }
    if (out->stored && out->count > 0)
        find_hole(&w);
    wal_ranges_release(&w.ranges);
    return 0;
}
