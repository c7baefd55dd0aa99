#include "engine/wal_windows.h"
#include "wal_path.h"

#include <string.h>

struct windows {
    struct wal_path path;
    struct wal_windows *out;
};

static struct clock_time
time_of(struct windows *w, uint32_t timeline, uint64_t number)
{
    struct wal_name n = { .kind = WAL_SEGMENT,
                          .timeline = timeline,
                          .place = wal_place(number, w->path.unit) };
    struct log_row row;
    struct log_info info = { 0 };

    return wal_path_look(&w->path, &n, &row, &info) ? info.time
                                                    : (struct clock_time){ 0, 0 };
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

    if (wal_path_follow(&w->path, b, &x.timeline, &number)) {
        x.end_lsn = (number + 1) * w->path.unit;
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
    uint64_t end = last->end_lsn / w->path.unit;

    bool leads_on = last->timeline != w->path.ranges.newest
                 && wal_path_leads(&w->path, last->timeline, last->end_lsn);

    for (size_t i = 0; i < w->path.ranges.count; i++) {
        const struct wal_range *r = &w->path.ranges.list[i];
        if (r->timeline == last->timeline
                ? r->last < end
                : !leads_on || r->timeline != w->path.ranges.newest)
            continue;
        out->broken = true;
        out->hole = last->end_lsn;
        out->hole_timeline = last->timeline;
    }
}

int
engine_wal_windows(struct repo *r, const struct snapshot_list *l,
                   const struct snapshot_row *newest, struct wal_windows *out,
                   struct err *e)
{
    struct windows w = { .out = out };
    struct wal_backup b;

    *out = (struct wal_windows){ 0 };
    if (!wal_backup_of(r, &newest->info, &b))
        return 0;
    if (wal_path_load(&w.path, r, &b, e) < 0)
        return -1;
    out->stored = w.path.ranges.count > 0;
    out->proves = w.path.ranges.proves;
    for (size_t i = 0; i < l->count; i++) {
        const struct snapshot_row *row = &l->rows[i];
        struct wal_backup one;
        if (snapshot_same_source(row, newest) && snapshot_committed(row)
            && wal_backup_of(r, &row->info, &one) && strcmp(one.stream, b.stream) == 0
            && one.unit == b.unit)
            add_window(&w, &row->info, &one);
    }
    if (out->stored && out->count > 0 && out->proves)
        find_hole(&w);
    wal_path_release(&w.path);
    return 0;
}
