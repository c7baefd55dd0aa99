#include "engine/retire.h"

#include "base/log.h"

static unsigned
copies_of(struct repo *r, const struct snapshot_row *row, const struct target *but)
{
    struct fleet *f = repo_fleet(r);
    unsigned n = 0;

    for (size_t i = 0; i < fleet_count(f); i++)
        n += fleet_target(f, i) != but && (row->snap & row->done & ~row->gone) >> i & 1;
    return n;
}

static int
count_copies(struct repo *r, struct target *t, const struct retire_options *o,
             struct retire_result *out, struct err *e)
{
    CLEANUP(snapshot_list_release) struct snapshot_list l = { 0 };

    if (repo_snapshots(r, &l, e) < 0)
        return -1;
    for (size_t i = 0; i < l.count; i++) {
        const struct snapshot_row *row = &l.rows[i];
        if ((row->snap & row->done & ~row->gone) == 0)
            continue;
        unsigned n = copies_of(r, row, t);
        out->snapshots++;
        if (n >= out->needed)
            continue;
        out->short_of++;
        if (o->short_of)
            o->short_of(o->arg, row, n);
    }
    return 0;
}

/* How many of those that are left must hold a thing. */
static int
find_needed(struct repo *r, const struct target *t, struct retire_result *out,
            struct err *e)
{
    unsigned left = (unsigned)fleet_count(repo_fleet(r)) - 1;
    unsigned asked = fleet_quorum_asked(repo_fleet(r));

    if (left == 0)
        return err_set(e, ERR_USAGE, 0, "%s is the only target", t->name);
    if (asked > left)
        return err_set(
            e, ERR_USAGE, 0,
            "the configuration asks for a quorum of %u, which %u targets cannot "
            "meet without %s",
            asked, left, t->name);
    out->needed = asked ? asked : left < 3 ? left : 2;
    return 0;
}

int
engine_retire(struct repo *r, struct target *t, const struct retire_options *o,
              struct retire_result *out, struct err *e)
{
    struct sync_options so = { .from = t->name, .tick = o->tick };
    struct sync_result res;

    *out = (struct retire_result){ .retired = false };
    if (find_needed(r, t, out, e) < 0)
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
