#include "base/clock.h"
#include "base/fs.h"
#include "base/text.h"
#include "cli/output.h"
#include "engine/wal_windows.h"
#include "source/wal.h"

#include "status.h"

#include <stdio.h>
#include <unistd.h>

static void
tell_windows(const struct snapshot *s, const struct wal_windows *w, struct table *t,
             json_t *all)
{
    json_t *o = json_add_object(all);
    char lsn[20];

    json_put_text(o, "source", s->source);
    json_put_text(o, "host", s->host);
    json_put_bool(o, "stored", w->stored);
    json_t *windows = json_put_array(o, "windows");
    for (size_t i = 0; i < w->count; i++) {
        const struct wal_window *x = &w->list[i];
        bool last = i + 1 == w->count;
        int64_t age_ms = (clock_now().s - x->to.s) * 1000;
        json_t *one = json_add_object(windows);
        json_put_time(one, "from", x->from.s, x->from.ns);
        json_put_time(one, "to", x->to.s, x->to.ns);
        json_put_int(one, "timeline", x->timeline);
        json_put_text(one, "end_lsn", wal_lsn_text(x->end_lsn, lsn));
        if (last) /* changes since may be lost */
            json_put_seconds(o, "unprotected", age_ms);
        TABLE_ROW(t, s->source, s->host, text_of_time(x->from.s), text_of_time(x->to.s),
                  last ? text_of_duration(age_ms < 0 ? 0 : age_ms) : "",
                  wal_lsn_text(x->end_lsn, lsn));
    }
    if (!w->broken)
        return;
    json_t *hole = json_put_object(o, "hole");
    json_put_int(hole, "timeline", w->hole_timeline);
    json_put_text(hole, "lsn", wal_lsn_text(w->hole, lsn));
}

/* What waits in the log's own spool. */
static int
tell_waiting(struct app *app, struct repo *r, struct err *e)
{
    AUTOFREE char *dir = fs_join(repo_dir(r), "wal");
    AUTOFREE char *db = fs_join(dir, "state.db");
    CLEANUP(state_close_p) struct state *state = NULL;
    json_t *all = json_put_array(app->result, "waiting_logs");

    if (access(db, R_OK | W_OK) < 0)
        return 0;
    if (state_open(dir, false, &state, e) < 0)
        return -1;
    for (size_t i = 0; i < fleet_count(repo_fleet(r)); i++) {
        const char *name = fleet_target(repo_fleet(r), i)->name;
        uint64_t rows, bytes;
        if (state_queue_sum(state, name, &rows, &bytes, e) < 0)
            return -1;
        if (rows == 0)
            continue;
        json_t *o = json_add_object(all);
        json_put_text(o, "target", name);
        json_put_int(o, "objects", (int64_t)rows);
        json_put_int(o, "bytes", (int64_t)bytes);
        app_note(app, STATUS_DEGRADED);
        if (!app->json)
            printf("%llu files of a log (%s) wait for %s\n", (unsigned long long)rows,
                   text_of_size(bytes), name);
    }
    return 0;
}

int
status_logs(struct app *app, struct repo *r, const struct snapshot_list *l, struct err *e)
{
    static const char *const heads[] = { "LOG OF", "HOST", "ANY MOMENT FROM",
                                         "TO",     ">AGE", "LSN",
                                         NULL };
    CLEANUP(table_free_p) struct table *t = table_new(heads);
    json_t *all = json_put_array(app->result, "logs");
    bool any = false;

    for (size_t k = 0; k < l->count; k++) {
        const struct snapshot *s = &l->rows[k].info;
        struct wal_windows w;
        char lsn[20];
        if (!snapshot_is_newest(l, k))
            continue;
        if (engine_wal_windows(r, l, &l->rows[k], &w, e) < 0)
            return -1;
        if (!w.stored)
            continue;
        tell_windows(s, &w, t, all);
        any = true;
        if (w.broken && !app->json)
            printf(
                "%s: a file of the log is missing at %s of timeline %u; what is stored "
                "behind it needs a new backup\n",
                s->source, wal_lsn_text(w.hole, lsn), w.hole_timeline);
    }
    if (any && !app->json) {
        putchar('\n');
        table_print(t, stdout);
    }
    return tell_waiting(app, r, e);
}
