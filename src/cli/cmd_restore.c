#include "base/log.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/open.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "engine/recover.h"

#include "point.h"

#include <stdio.h>
#include <string.h>

#define ISSUES_TOLD 100 /* of each kind; the rest is counted */

struct options {
    const char *to;
    struct opt_strings include, exclude, tablespaces;
    int overwrite, owner;
    bool plan, numeric, no_prepare;
    struct point_options point;
    unsigned threads;
    uint64_t memory;
};

struct told {
    json_t *issues;
    unsigned long long count[4];
    bool json;
};

static void
on_issue(void *arg, enum restore_issue kind, struct slice path, const char *why)
{
    static const char *const names[] = { "damaged", "not-set", "kept", "blocked" };
    struct told *t = arg;

    if (t->count[kind]++ >= ISSUES_TOLD)
        return;
    log_warn("/%s: %s%s", text_of_name(path),
             kind == RESTORE_DAMAGED ? "not restored: no good copy: " : "", why);
    json_t *o = json_add_object(t->issues);
    json_put_name(o, "path", path);
    json_put_text(o, "kind", names[kind]);
    json_put_text(o, "why", why);
}

/* Which target served what, and which served what was wrong. */
static void
tell_targets(struct app *app, struct repo *r)
{
    open_tell_targets(app, r);
    for (size_t i = 0; i < fleet_count(repo_fleet(r)); i++) {
        const struct target *t = fleet_target(repo_fleet(r), i);
        uint64_t bad = atomic_load(&t->bad_reads);
        if (bad > 0)
            log_warn("target %s gave no or wrong bytes %llu times; the others were asked "
                     "instead; `drtool verify --target %s --heal` mends it",
                     t->name, (unsigned long long)bad, t->name);
        if (!app->json && !app->quiet)
            printf("  %s: %s read\n", t->name, text_of_size(atomic_load(&t->bytes_read)));
    }
}

static void
tell(struct app *app, const struct snapshot *s, const struct restore_options *o,
     const struct restore_result *res)
{
    json_t *j = app->result;
    char hex[65];

    text_hex(hex, s->id, 32);
    json_put_text(j, "snapshot", hex);
    json_put_text(j, "source", s->source);
    json_put_int(j, "entries", (int64_t)res->entries);
    json_put_int(j, "files", (int64_t)res->files);
    json_put_int(j, "bytes", (int64_t)res->bytes);
    json_put_int(j, "reused_bytes", (int64_t)res->reused);
    json_put_int(j, "damaged", (int64_t)res->damaged);
    json_put_int(j, "not_set", (int64_t)res->not_set);
    json_put_int(j, "kept", (int64_t)res->kept);
    json_put_int(j, "blocked", (int64_t)res->blocked);
    if (o->plan)
        json_put_int(j, "packs", (int64_t)res->packs);
    json_put_seconds(j, "elapsed", res->elapsed_ms);
    if (app->json || app->quiet)
        return;
    hex[12] = 0;
    if (o->plan)
        printf("%llu files of snapshot %s: %s from %llu packs\n",
               (unsigned long long)res->files, hex, text_of_size(res->bytes),
               (unsigned long long)res->packs);
    else
        printf("%llu entries of snapshot %s restored to %s: %s in %s\n",
               (unsigned long long)res->entries, hex, o->to, text_of_size(res->bytes),
               text_of_duration(res->elapsed_ms));
}

static bool
is_whole(const struct app *app, const struct snapshot *s)
{
    const struct options *o = app->options;

    return engine_recovers(s) && app->arg_count == 1 && !o->include.count
        && !o->exclude.count && !o->plan;
}

/* The snapshot to begin with, and to where the log is replayed from there: when
 * nothing else is said, and no older snapshot is named, as far as it is stored. */
static int
choose_point(const struct app *app, struct repo *r, const struct snapshot_list *l,
             struct snapshot_row **row, struct recover_point *p, struct err *e)
{
    const struct options *o = app->options;
    int given = point_take(&o->point, p, e);

    if (given < 0)
        return -1;
    if (!is_whole(app, &(*row)->info))
        return given == 0 && !o->point.no_archive
                 ? 0
                          : err_set(e, ERR_USAGE, 0,
                                    "a point in time is for a whole "
                                    "PostgreSQL server, without PATH, "
                                    "--include, --exclude and --plan");
    if (given == 0 && !strchr(app->args[0], '@')) {
        int has = recover_has_log(r, &(*row)->info, e);
        if (has < 0)
            return -1;
        p->to = has ? TO_LATEST : TO_SNAPSHOT;
    }
    return recover_find_base(l, p, row, e) < 0
                || recover_choose_timeline(r, &(*row)->info, p, e) < 0
             ? -1
             : 0;
}

/* A whole database is more than its files; a part of one is files. */
static int
restore(const struct app *app, struct repo *r, const struct restore_options *ro,
        const struct recover_point *point, struct restore_result *res, struct err *e)
{
    const struct options *o = app->options;
    struct recover_options co = {
        .restore = *ro,
        .tablespaces = o->tablespaces.count ? o->tablespaces.items : NULL,
        .point = *point,
        .no_prepare = o->no_prepare,
    };

    if (is_whole(app, ro->snapshot))
        return engine_recover(r, &co, res, e);
    if (co.tablespaces)
        return err_set(e, ERR_USAGE, 0,
                       "--tablespace is for a whole PostgreSQL server, without PATH, "
                       "--include, --exclude and --plan");
    if (co.no_prepare)
        return err_set(e, ERR_USAGE, 0,
                       "--no-prepare is for a whole MariaDB server, without PATH, "
                       "--include, --exclude and --plan");
    return engine_restore(r, ro, res, e);
}

static enum status
run(struct app *app, struct err *e)
{
    const struct options *o = app->options;
    CLEANUP(repo_close_p) struct repo *r = NULL;
    CLEANUP(snapshot_list_release) struct snapshot_list l = { 0 };
    struct snapshot_row *row = NULL;
    struct told told = { .json = app->json };
    AUTOFREE char *command = NULL;
    struct recover_point point = { 0 };
    struct restore_result res;

    if (app->arg_count == 0 || (!o->to && !o->plan)) {
        err_set(e, ERR_USAGE, 0,
                app->arg_count == 0 ? "which snapshot? see `drtool "
                                      "snapshots`"
                                    : "where to? give --to DIR");
        return app_fail(e);
    }
    if (app_check_memory(o->memory, e) < 0 || open_for_snapshot(app, &r, e) < 0
        || open_snapshot(r, app->args[0], &l, &row, e) < 0
        || choose_point(app, r, &l, &row, &point, e) < 0
        || point_command(app, &command, e) < 0)
        return app_fail(e);
    point.command = command;
    if (!snapshot_committed(row))
        log_warn("snapshot %.12s is not complete on any target", row->key + 33);
    told.issues = json_put_array(app->result, "issues");
    struct restore_options ro = {
        .snapshot = &row->info,
        .paths = app->arg_count > 1 ? app->args + 1 : NULL,
        .to = o->to,
        .plan = o->plan,
        .threads = o->threads,
        .memory = o->memory,
        .overwrite = (enum overwrite)o->overwrite,
        .owner = o->numeric ? OWNER_NUMERIC : (enum owner_mode)o->owner,
        .include = o->include.count ? o->include.items : NULL,
        .exclude = o->exclude.count ? o->exclude.items : NULL,
        .issue = on_issue,
        .tick = progress_restore,
        .arg = &told,
    };
    progress_begin(app, "restoring", row->info.source);
    int rc = restore(app, r, &ro, &point, &res, e);
    progress_end();
    if (rc < 0)
        return app_fail(e);
    tell(app, &row->info, &ro, &res);
    point_tell(app, &point);
    tell_targets(app, r);
    if (res.not_set + res.blocked > 0)
        app_note(app, STATUS_PARTIAL);
    if (res.damaged > 0) {
        err_set(e, ERR_CORRUPT, 0,
                "%llu of %llu entries could not be restored: no target "
                "has a good copy of them",
                (unsigned long long)res.damaged, (unsigned long long)res.entries);
        return app_fail(e);
    }
    return STATUS_OK;
}

#define AT(field) offsetof(struct options, field)

static const struct option options[] = {
    { OPT_STRING, "to", 0, "DIR", AT(to), COMPLETE_DIR,
      "restore below DIR, which is made when missing" },
    { OPT_STRINGS, "include", 0, "PATTERN", AT(include), COMPLETE_NONE,
      "only files that match; may be repeated" },
    { OPT_STRINGS, "exclude", 0, "PATTERN", AT(exclude), COMPLETE_NONE,
      "leave out what matches; may be repeated" },
    { OPT_ENUM, "overwrite", 0, "always|if-changed|never", AT(overwrite), COMPLETE_NONE,
      "what to do with files that exist (default: always)" },
    { OPT_ENUM, "owner", 0, "auto|numeric|skip", AT(owner), COMPLETE_NONE,
      "how to set owners (default: by name where known, as root)" },
    { OPT_FLAG, "numeric-owner", 0, NULL, AT(numeric), COMPLETE_NONE,
      "the same as --owner numeric" },
    { OPT_STRINGS, "tablespace", 0, "A=DIR", AT(tablespaces), COMPLETE_NONE,
      "put the tablespace with number A, or that was at A, into DIR; may be repeated" },
    { OPT_STRING, "to-time", 0, "TIME", AT(point.to_time), COMPLETE_NONE,
      "have a PostgreSQL server replay its log to this moment" },
    { OPT_STRING, "to-lsn", 0, "LSN", AT(point.to_lsn), COMPLETE_NONE,
      "have it replay to this position" },
    { OPT_STRING, "to-xid", 0, "NUMBER", AT(point.to_xid), COMPLETE_NONE,
      "have it replay to this transaction" },
    { OPT_STRING, "to-name", 0, "NAME", AT(point.to_name), COMPLETE_NONE,
      "have it replay to this restore point" },
    { OPT_FLAG, "to-latest", 0, NULL, AT(point.to_latest), COMPLETE_NONE,
      "have it replay all that is stored (default, unless @WHEN is given)" },
    { OPT_FLAG, "to-snapshot", 0, NULL, AT(point.to_snapshot), COMPLETE_NONE,
      "have it replay nothing behind the backup" },
    { OPT_STRING, "timeline", 0, "T", AT(point.timeline), COMPLETE_NONE,
      "along timeline T, a number, latest or current (default: the backup's newest)" },
    { OPT_FLAG, "no-archive", 0, NULL, AT(point.no_archive), COMPLETE_NONE,
      "have the server store no log, as a copy beside the real one" },
    { OPT_FLAG, "no-prepare", 0, NULL, AT(no_prepare), COMPLETE_NONE,
      "leave a MariaDB server's files for mariadb-backup --prepare" },
    { OPT_FLAG, "plan", 0, NULL, AT(plan), COMPLETE_NONE,
      "tell what would be read, and restore nothing" },
    { OPT_COUNT, "threads", 0, "N", AT(threads), COMPLETE_NONE,
      "fetch and write with N threads (default: 4, from afar 16)" },
    OPTION_MEMORY(AT(memory)),
    { OPT_END, NULL, 0, NULL, 0, COMPLETE_NONE, NULL },
};

static const struct options defaults = { 0 };

static const char *const examples[] = {
    "drtool restore uploads --to /srv/restored",
    "Restore the newest snapshot of a source.",
    "drtool restore uploads@2026-11-22 /srv/uploads/ --to /srv/uploads",
    "Restore one folder's content as it was at or before a time.",
    "drtool restore orders --to /var/lib/postgresql/15/main",
    "Restore a PostgreSQL server into an empty folder, from which it can be started.",
    "drtool restore orders --to /srv/pg/main --to-time '2026-11-22 14:32:05'",
    "The same as it was at a moment, from the backup before it and the log.",
    "drtool restore crm --to /var/lib/mysql",
    "The same for a MariaDB server, by mariadb-backup.",
    NULL,
};

const struct command cmd_restore = {
    .name = "restore",
    .args = "SNAPSHOT [PATH...]",
    .summary = "bring files back from whichever targets still have them",
    .options = options,
    .options_size = sizeof(struct options),
    .defaults = &defaults,
    .needs = NEEDS_CONFIG,
    .complete = COMPLETE_SNAPSHOT,
    .examples = examples,
    .run = run,
};
