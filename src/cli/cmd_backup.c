#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/open.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "engine/backup.h"

#include <stdio.h>
#include <string.h>

#define ISSUES_TOLD 100 /* the rest is counted */

struct options {
    bool dry_run, accept_changed;
    struct opt_strings tags;
    unsigned threads;
    uint64_t memory;
    int64_t wait_ms;
};

struct told {
    struct app *app;
    json_t *issues;
    unsigned long long count, sockets;
};

static const char *
issue_name(enum source_issue kind)
{
    static const char *const names[] = { "vanished", "unreadable", "changed", "socket",
                                         "too-long" };
    return names[kind];
}

static void
on_issue(void *arg, enum source_issue kind, struct slice path, const char *why)
{
    struct told *t = arg;

    if (kind == SOURCE_SOCKET) {
        t->sockets++;
        return;
    }
    if (t->count++ >= ISSUES_TOLD)
        return;
    log_warn("/%s: %s", text_of_name(path), why);
    json_t *o = json_add_object(t->issues);
    json_put_name(o, "path", path);
    json_put_text(o, "kind", issue_name(kind));
    json_put_text(o, "why", why);
}

static void
on_tick(void *arg, const struct backup_progress *p)
{
    struct progress_counts counts = {
        .bytes_done = atomic_load(&p->bytes) + atomic_load(&p->in_hand),
        .bytes_total = p->expected_bytes,
        .files_done = atomic_load(&p->entries),
    };

    (void)arg;
    progress_update(&counts);
}

static void
tell_targets(struct app *app, json_t *o, const struct backup_result *res)
{
    json_t *all = json_put_array(o, "targets");

    for (size_t i = 0; i < res->target_count; i++) {
        const struct target_result *t = &res->targets[i];
        json_t *x = json_add_object(all);
        json_put_text(x, "name", t->name);
        json_put_bool(x, "committed", t->committed);
        json_put_int(x, "sent_bytes", (int64_t)t->sent_bytes);
        json_put_int(x, "sent_objects", (int64_t)t->sent_objects);
        if (t->committed)
            continue;
        json_put_text(x, "error", err_text(&t->why));
        if (!app->json)
            log_warn("target %s does not have this snapshot yet: %s", t->name,
                     err_text(&t->why));
    }
}

static void
tell(struct app *app, json_t *o, const char *source, const struct backup_result *res)
{
    json_put_text(o, "snapshot", res->id[0] ? res->id : NULL);
    json_put_text(o, "status", status_name(res->status));
    json_put_int(o, "entries", (int64_t)res->entries);
    json_put_int(o, "bytes", (int64_t)res->bytes);
    json_put_int(o, "kept", (int64_t)res->kept);
    json_put_int(o, "issues_count", (int64_t)res->issues);
    json_put_int(o, "new_chunks", (int64_t)res->new_chunks);
    json_put_int(o, "new_bytes", (int64_t)res->new_bytes);
    json_put_int(o, "stored_bytes", (int64_t)res->stored_bytes);
    json_put_seconds(o, "elapsed", res->elapsed_ms);
    tell_targets(app, o, res);
    if (!app_chatty(app))
        return;
    size_t good = 0;
    for (size_t i = 0; i < res->target_count; i++)
        good += res->targets[i].committed;
    printf("%s: %llu entries, %s; new: %s, stored as %s; %s", source,
           (unsigned long long)res->entries, text_of_size(res->bytes),
           text_of_size(res->new_bytes), text_of_size(res->stored_bytes),
           text_of_duration(res->elapsed_ms));
    if (res->id[0])
        printf("; snapshot %.12s on %zu of %zu targets", res->id, good,
               res->target_count);
    putchar('\n');
}

/* Remembers the run, for `status`. */
static void
remember(struct repo *r, const char *source, enum status s,
         const struct backup_result *res)
{
    struct err e = { 0 };

    if (state_run_add(repo_state(r), "backup", source, clock_now().s, status_number(s),
                      res->id, &e)
        < 0)
        log_info("%s", err_text(&e));
}

static int
back_up(struct app *app, struct repo *r, const struct conf_source *c, json_t *all,
        struct err *e)
{
    const struct options *o = app->options;
    AUTOFREE const char **tags = mem_zalloc((o->tags.count + 1) * sizeof *tags);
    json_t *out = json_add_object(all);
    struct told told = { .app = app };
    struct backup_result res;

    for (size_t i = 0; i < o->tags.count; i++)
        tags[i] = o->tags.items[i];
    json_put_text(out, "source", c->name);
    told.issues = json_put_array(out, "issues");
    struct backup_options bo = {
        .source = c,
        .tags = tags,
        .config = buf_slice(&app->conf->text),
        .threads = o->threads,
        .memory = o->memory,
        .dry_run = o->dry_run,
        .accept_changed = o->accept_changed,
        .issue = on_issue,
        .tick = on_tick,
        .arg = &told,
    };
    progress_begin(app, "backing up", c->name);
    int rc = engine_backup(r, &bo, &res, e);
    progress_end();
    if (told.count > ISSUES_TOLD)
        log_warn("and %llu more", told.count - ISSUES_TOLD);
    if (rc < 0) {
        json_put_text(out, "error", err_text(e));
        remember(r, c->name, err_status(e->kind), &res);
        return -1;
    }
    tell(app, out, c->name, &res);
    remember(r, c->name, res.status, &res);
    app_note(app, res.status);
    if (res.status == STATUS_NO_QUORUM)
        return err_set(e, ERR_QUORUM, 0,
                       "source %s: too few targets have the snapshot; it is kept in the "
                       "spool, and the next backup or `drtool sync` sends it",
                       c->name);
    return 0;
}

static enum status
run(struct app *app, struct err *e)
{
    const struct options *o = app->options;
    CLEANUP(repo_close_p) struct repo *r = NULL;
    json_t *all = json_put_array(app->result, "sources");
    struct err first = { 0 };

    for (size_t i = 0; i < app->arg_count; i++)
        if (!conf_find_source(app->conf, app->args[i])) {
            err_set(e, ERR_USAGE, 0, "%s: there is no source called %s", app->conf->path,
                    app->args[i]);
            return app_fail(e);
        }
    if (app->conf->source_count == 0) {
        err_set(e, ERR_USAGE, 0, "%s names no sources", app->conf->path);
        return app_fail(e);
    }
    if (app_check_memory(o->memory, e) < 0
        || open_for_writing(app, o->wait_ms, &r, e) < 0)
        return app_fail(e);
    size_t n = app->arg_count ? app->arg_count : app->conf->source_count;
    for (size_t i = 0; i < n; i++) {
        const struct conf_source *c = app->arg_count
                                        ? conf_find_source(app->conf, app->args[i])
                                        : &app->conf->sources[i];
        struct err one = { 0 };
        if (back_up(app, r, c, all, &one) == 0)
            continue;
        app_note(app, err_status(one.kind));
        if (first.kind == ERR_NONE)
            first = one;
        else
            log_warn("%s", err_text(&one)); /* the first is the command's own error */
        if (one.kind == ERR_CANCELLED)
            break;
    }
    if (repo_rollback_seen(r))
        app_note(app, STATUS_ROLLBACK);
    if (first.kind == ERR_NONE)
        return STATUS_OK;
    *e = first;
    return app_fail(e);
}

#define AT(field) offsetof(struct options, field)

static const struct option options[] = {
    { OPT_FLAG, "dry-run", 'n', NULL, AT(dry_run), COMPLETE_NONE,
      "read and deduplicate, but store nothing" },
    { OPT_STRINGS, "tag", 0, "TAG", AT(tags), COMPLETE_NONE,
      "put TAG on the snapshot; may be repeated" },
    { OPT_COUNT, "threads", 0, "N", AT(threads), COMPLETE_NONE,
      "compress and seal with N threads (default: 2; 0: all in one)" },
    OPTION_MEMORY(AT(memory)),
    { OPT_FLAG, "accept-changed-source", 0, NULL, AT(accept_changed), COMPLETE_NONE,
      "take a source that shrank, emptied or moved as it is" },
    { OPT_DURATION, "wait", 0, "TIME", AT(wait_ms), COMPLETE_NONE,
      "wait so long for another run on this host to end" },
    { OPT_END, NULL, 0, NULL, 0, COMPLETE_NONE, NULL },
};

static const struct options defaults = { .threads = 2 };

static const char *const examples[] = {
    "drtool backup",
    "Back up every source of the configuration.",
    "drtool backup --tag before-upgrade uploads",
    "Back up one source and tag its snapshot.",
    NULL,
};

const struct command cmd_backup = {
    .name = "backup",
    .args = "[SOURCE...]",
    .summary = "take a snapshot of each source and send it to every target",
    .options = options,
    .options_size = sizeof(struct options),
    .defaults = &defaults,
    .needs = NEEDS_CONFIG,
    .complete = COMPLETE_SOURCE,
    .examples = examples,
    .run = run,
};
