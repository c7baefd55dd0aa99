#include "engine/retire.h"

static int
count_copies(struct repo *r, struct target *t, const struct retire_options *o,
             struct retire_result *out, struct err *e)
{
    CLEANUP(snapshot_list_release) struct snapshot_list l = { 0 };
    struct fleet *f = repo_fleet(r);

    if (repo_snapshots(r, &l, e) < 0)
        return -1;
    for (size_t i = 0; i < l.count; i++) {
        const struct snapshot_row *row = &l.rows[i];
        bool have[FLEET_TARGETS_MAX] = { false };
        unsigned copies = 0;
        for (size_t k = 0; k < fleet_count(f); k++) {
            have[k] = (row->snap & row->done & ~row->gone) >> k & 1;
            copies += have[k] && fleet_target(f, k) != t;
        }
        out->snapshots += (row->snap & row->done & ~row->gone) != 0;
        if ((row->snap & row->done & ~row->gone) == 0 || fleet_quorum_met(f, have, t))
            continue;
        out->short_of++;
        if (o->short_of)
            o->short_of(o->arg, row, copies);
    }
    return 0;
}

/* Can those that are left meet the quorum at all? */
static int
check_rest(struct repo *r, const struct target *t, struct retire_result *out,
           struct err *e)
{
    unsigned left = (unsigned)fleet_count(repo_fleet(r)) - 1;

    out->needed = fleet_quorum(repo_fleet(r), t);
    if (left == 0)
        return err_set(e, ERR_USAGE, 0, "%s is the only target", t->name);
    if (out->needed > left)
        return err_set(e, ERR_USAGE, 0,
                       "the configuration asks for a quorum of %u, which %u targets "
                       "cannot meet without %s",
                       out->needed, left, t->name);
    return 0;
}

int
engine_retire(struct repo *r, struct target *t, const struct retire_options *o,
              struct retire_result *out, struct err *e)
{
    struct sync_options so = { .from = t->name, .tick = o->tick };
    struct sync_result res;

    *out = (struct retire_result){ .retired = false };
    if (check_rest(r, t, out, e) < 0)
        return -1;
    if (!target_is_up(repo_fleet(r), t) && !o->force) {
        fleet_why(repo_fleet(r), t, e);
        return err_in(e,
                      "target %s is away, and what it alone holds with it (--force "
                      "lets it go all the same)",
                      t->name);
    }
    if (!o->dry_run && engine_sync(r, &so, &res, e) < 0)
        return -1;
    if (count_copies(r, t, o, out, e) < 0)
        return -1;
    if (o->dry_run || (out->short_of > 0 && !o->force))
        return 0;
    if (state_target_gone(repo_state(r), t->name, e) < 0)
        return -1;
    out->retired = true;
    fleet_forget(repo_fleet(r), t);
    return 0;
}
