#include "status.h"

#include "base/text.h"
#include "cli/output.h"

#include <stdio.h>
#include <string.h>

/* What one target is asked to tell. */
struct view {
    const struct target *target;
    enum target_state state;
    int64_t since_s, lag_s, unverified_s; /* 0: not known; none; nothing is */
    uint64_t rows, bytes;                 /* that wait for it */
    unsigned commits;
    struct traffic_sum traffic;
    bool known; /* its snapshots could be listed and looked into */
    struct err why;
};

static bool
complete_on(const struct snapshot_row *row, size_t i)
{
    return (row->snap & row->done & ~row->gone) >> i & 1;
}

/* The newest of the row's source that is complete on target i; NULL: none. */
static const struct snapshot_row *
newest(const struct snapshot_list *l, const struct snapshot_row *like, size_t i)
{
    for (size_t k = l->count; k > 0; k--)
        if (snapshot_same_source(&l->rows[k - 1], like)
            && complete_on(&l->rows[k - 1], i))
            return &l->rows[k - 1];
    return NULL;
}

/* How far the target is behind the best one, over all sources; INT64_MAX: it has
 * no snapshot of a source at all. */
static int64_t
lag_of(const struct snapshot_list *l, size_t i)
{
    int64_t worst = 0;

    for (size_t k = 0; k < l->count; k++) {
        if (!snapshot_is_newest(l, k))
            continue;
        const struct snapshot_row *here = newest(l, &l->rows[k], i);
        int64_t lag = here ? l->rows[k].info.started.s - here->info.started.s : INT64_MAX;
        worst = lag > worst ? lag : worst;
    }
    return worst;
}

static int64_t
time_about(struct repo *r, const struct target *t, const char *name)
{
    AUTOBUF struct buf kept = BUF(64);
    struct err none = { 0 };

    return state_about_get(repo_state(r), t->name, name, &kept, &none) == 1
                && kept.len == 8
             ? (int64_t)get_u64(kept.ptr)
             : 0;
}

/* Since when there are bytes on it that no verify of this host has read: of what this
 * host completed there, and of what others took since. 0: there are none. */
static int64_t
unverified_since(struct repo *r, const struct snapshot_list *l, size_t i,
                 const struct target *t)
{
    int64_t verified = time_about(r, t, "verified");
    int64_t oldest = time_about(r, t, "unread");

    for (size_t k = 0; k < l->count; k++) {
        const struct snapshot_row *row = &l->rows[k];
        if (row->loaded && complete_on(row, i) && row->info.ended.s >= verified
            && (oldest == 0 || row->info.started.s < oldest))
            oldest = row->info.started.s;
    }
    return oldest;
}

static int
count_commit(void *arg, struct slice name, struct slice packs, struct err *e)
{
    (void)name;
    (void)packs;
    (void)e;
    ++*(unsigned *)arg;
    return 0;
}

static int
look(struct repo *r, const struct snapshot_list *l, size_t i, struct view *v,
     struct err *e)
{
    struct fleet *f = repo_fleet(r);
    const struct target *t = fleet_target(f, i);

    *v = (struct view){ .target = t,
                        .state = target_state(f, t),
                        .since_s = t->health.since_s,
                        .traffic = target_traffic(t) };
    fleet_why(f, t, &v->why);
    v->known = (l->asked >> i & 1) && keys_can_open(repo_keys(r), CLASS_META);
    v->lag_s = v->known ? lag_of(l, i) : 0;
    v->unverified_s = v->known ? unverified_since(r, l, i, t) : 0;
    if (state_queue_sum(repo_state(r), t->name, &v->rows, &v->bytes, e) < 0
        || state_commit_list(repo_state(r), t->name, count_commit, &v->commits, e) < 0)
        return -1;
    return 0;
}

static void
put_rate(json_t *o, const char *key, uint64_t bytes, uint64_t ms)
{
    if (ms > 0)
        json_put_int(o, key, (int64_t)(bytes * 1000 / ms));
}

static void
tell_json(json_t *o, const struct view *v, const struct snapshot_list *l, size_t i)
{
    const struct traffic_sum *x = &v->traffic;

    json_put_text(o, "name", v->target->name);
    json_put_text(o, "site", v->target->site);
    json_put_text(o, "url", storage_url(v->target->store));
    json_put_text(o, "state", target_state_name(v->state));
    json_put_time(o, "since", v->since_s, 0);
    json_put_text(o, "error",
                  v->state != TARGET_UP && v->why.kind ? err_text(&v->why) : NULL);
    json_put_int(o, "queued_objects", (int64_t)v->rows);
    json_put_int(o, "queued_bytes", (int64_t)v->bytes);
    json_put_int(o, "uncommitted_snapshots", v->commits);
    if (v->known && v->lag_s != INT64_MAX)
        json_put_int(o, "lag_seconds", v->lag_s);
    if (v->unverified_s)
        json_put_time(o, "unverified_since", v->unverified_s, 0);
    json_put_int(o, "requests", (int64_t)x->calls);
    json_put_int(o, "failed_requests", (int64_t)x->failures);
    json_put_int(o, "sent_bytes", (int64_t)x->put_bytes);
    json_put_int(o, "read_bytes", (int64_t)x->get_bytes);
    put_rate(o, "sent_bytes_per_second", x->put_bytes, x->put_ms);
    put_rate(o, "read_bytes_per_second", x->get_bytes, x->get_ms);
    json_t *last = json_put_array(o, "last");
    for (size_t k = 0; k < l->count; k++) {
        const struct snapshot_row *row = snapshot_is_newest(l, k)
                                           ? newest(l, &l->rows[k], i)
                                           : NULL;
        if (!row)
            continue;
        json_t *s = json_add_object(last);
        char hex[65];
        text_hex(hex, row->info.id, 32);
        json_put_text(s, "source", row->info.source);
        json_put_text(s, "host", row->info.host);
        json_put_text(s, "snapshot", hex);
        json_put_time(s, "started", row->info.started.s, row->info.started.ns);
    }
}

static void
tell_row(struct table *t, const struct view *v, int64_t now_s)
{
    char queued[24], waiting[16], since[32], lag[32], unread[32];

    snprintf(queued, sizeof queued, "%llu", (unsigned long long)v->rows);
    snprintf(waiting, sizeof waiting, "%u", v->commits);
    snprintf(since, sizeof since, "%s", text_of_time(v->since_s));
    snprintf(lag, sizeof lag, "%s",
             !v->known               ? "?"
             : v->lag_s == 0         ? "-"
             : v->lag_s == INT64_MAX ? "never"
                                     : text_of_duration(v->lag_s * 1000));
    snprintf(unread, sizeof unread, "%s",
             !v->known              ? "?"
             : v->unverified_s == 0 ? "-"
             : now_s > v->unverified_s
                 ? text_of_duration((now_s - v->unverified_s) * 1000)
                 : "0 s");
    TABLE_ROW(t, v->target->name, v->target->site, target_state_name(v->state), since,
              queued, text_of_size(v->bytes), waiting, lag, unread,
              storage_url(v->target->store));
}

int
status_targets(struct app *app, struct repo *r, const struct snapshot_list *l,
               struct err *e)
{
    static const char *const heads[] = { "TARGET",       "SITE",    "STATE",
                                         "SINCE",        ">QUEUED", ">BYTES",
                                         ">UNCOMMITTED", ">LAG",    ">UNVERIFIED",
                                         "URL",          NULL };
    CLEANUP(table_free_p) struct table *t = table_new(heads);
    json_t *all = json_put_array(app->result, "targets");
    struct view views[FLEET_TARGETS_MAX];
    size_t n = fleet_count(repo_fleet(r));

    for (size_t i = 0; i < n; i++) {
        struct view *v = &views[i];
        if (look(r, l, i, v, e) < 0)
            return -1;
        tell_json(json_add_object(all), v, l, i);
        tell_row(t, v, clock_now().s);
        if (v->state != TARGET_UP || v->rows > 0 || v->commits > 0)
            app_note(app, STATUS_DEGRADED);
    }
    if (app->json)
        return 0;
    table_print(t, stdout);
    for (size_t i = 0; i < n; i++)
        if (views[i].state != TARGET_UP && views[i].why.kind)
            printf("%s: %s\n", views[i].target->name, err_text(&views[i].why));
    return 0;
}
