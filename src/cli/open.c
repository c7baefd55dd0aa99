#include "cli/open.h"
#include "cli/output.h"
#include "conf/env.h"
#include "base/clock.h"
#include "base/text.h"

static int
open_bare(struct app *app, struct repo_options o, struct repo **out, struct err *e)
{
    const char *seed = env_get("DRTOOL_TEST_SEED");
    const char *skew = env_get("DRTOOL_TEST_CLOCK_SKEW");
    uint64_t seconds = 0;

    o.conf = app->conf;
    if (seed && !text_uint(seed, UINT64_MAX, &o.seed))
        return err_set(e, ERR_USAGE, 0, "DRTOOL_TEST_SEED is not a number");
    if (skew && !text_uint(skew, UINT32_MAX, &seconds))
        return err_set(e, ERR_USAGE, 0, "DRTOOL_TEST_CLOCK_SKEW is not a number");
    clock_skew((int64_t)seconds);
    return repo_open(&o, out, e);
}

static int
open_repo(struct app *app, struct repo_options o, struct repo **out, struct err *e)
{
    if (open_bare(app, o, out, e) < 0)
        return -1;
    if (repo_load_index(*out, e) < 0) {
        repo_close(TAKE(*out));
        return -1;
    }
    return 0;
}

static int
start_lanes(struct repo **out, struct err *e)
{
    if (repo_start(*out, e) == 0)
        return 0;
    repo_close(TAKE(*out));
    return -1;
}

int
open_for_reading(struct app *app, struct repo **out, struct err *e)
{
    return open_repo(app, (struct repo_options){ 0 }, out, e);
}

int
open_for_snapshot(struct app *app, struct repo **out, struct err *e)
{
    return open_bare(app, (struct repo_options){ 0 }, out, e);
}

int
open_without_lanes(struct app *app, int64_t wait_ms, struct repo **out, struct err *e)
{
    struct repo_options o = { .write = true, .wait_ms = wait_ms };

    return open_repo(app, o, out, e);
}

int
open_for_writing(struct app *app, int64_t wait_ms, struct repo **out, struct err *e)
{
    return open_without_lanes(app, wait_ms, out, e) < 0 ? -1 : start_lanes(out, e);
}

int
open_log_for_reading(struct app *app, struct repo **out, struct err *e)
{
    return open_bare(app, (struct repo_options){ .log = true }, out, e);
}

int
open_log_for_writing(struct app *app, int64_t wait_ms, struct repo **out, struct err *e)
{
    struct repo_options o = { .write = true, .log = true, .wait_ms = wait_ms };

    return open_bare(app, o, out, e) < 0 ? -1 : start_lanes(out, e);
}

int
open_to_verify(struct app *app, bool heal, struct repo **out, struct err *e)
{
    struct repo_options o = { .write = heal, .as_found = true };

    if (!heal)
        return open_bare(app, o, out, e);
    return open_repo(app, o, out, e) < 0 ? -1 : start_lanes(out, e);
}

int
open_target_args(const struct app *app, bool just_one, struct err *e)
{
    if (just_one && app->arg_count != 1)
        return err_set(e, ERR_USAGE, 0, "which target? name one of the configuration");
    for (size_t i = 0; i < app->arg_count; i++)
        if (!conf_find_target(app->conf, app->args[i]))
            return err_set(e, ERR_USAGE, 0, "%s: there is no target called %s",
                           app->conf->path, app->args[i]);
    return 0;
}

void
open_tell_targets(struct app *app, struct repo *r)
{
    json_t *all = json_put_array(app->result, "targets");

    for (size_t i = 0; i < fleet_count(repo_fleet(r)); i++) {
        const struct target *t = fleet_target(repo_fleet(r), i);
        enum target_state s = target_state(repo_fleet(r), t);
        json_t *o = json_add_object(all);
        json_put_text(o, "name", t->name);
        json_put_text(o, "site", t->site);
        json_put_text(o, "url", storage_url(t->store));
        json_put_text(o, "state", target_state_name(s));
        if (!target_is_up(repo_fleet(r), t))
            json_put_text(o, "error", err_text(&t->why));
        json_put_int(o, "bytes_read", (int64_t)atomic_load(&t->bytes_read));
        json_put_int(o, "bytes_sent", (int64_t)atomic_load(&t->bytes_sent));
        json_put_int(o, "bad_reads", (int64_t)atomic_load(&t->bad_reads));
    }
}

void
open_tell_lost(struct app *app, struct repo *r, const struct snapshot_list *list)
{
    json_t *all = json_put_array(app->result, "lost");

    for (size_t i = 0; i < list->lost_count; i++) {
        const struct snapshot_row *row = &list->lost[i];
        json_t *o = json_add_object(all);
        char hex[65];
        text_hex(hex, row->name.sha256, 32);
        json_put_text(o, "id", hex);
        json_put_text(o, "host", repo_host_tagged(r, row->name.host));
        json_put_int(o, "number", (int64_t)row->name.seq);
        json_t *targets = json_put_array(o, "targets");
        for (size_t k = 0; k < fleet_count(repo_fleet(r)); k++)
            if ((row->done & ~row->gone) >> k & 1)
                json_add_text(targets, fleet_target(repo_fleet(r), k)->name);
        app_note(app, STATUS_DAMAGED);
    }
}

int
open_needs_metadata(struct repo *r, struct err *e)
{
    if (keys_can_open(repo_keys(r), CLASS_META))
        return 0;
    return err_set(e, ERR_DENIED, 0,
                   "a key of role %s may not look into snapshots; use "
                   "one of role admin or reader",
                   role_name(repo_keys(r)->role));
}

int
open_snapshot(struct repo *r, const char *text, struct snapshot_list *list,
              struct snapshot_row **row, struct err *e)
{
    /* In this order: a snapshot that another host stores meanwhile has its index there
     * before it is listed. */
    if (open_needs_metadata(r, e) < 0 || repo_snapshots(r, list, e) < 0
        || repo_load_index(r, e) < 0)
        return -1;
    return repo_find_snapshot(list, text, row, e);
}
