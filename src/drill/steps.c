#include "base/fs.h"
#include "base/log.h"
#include "base/text.h"
#include "engine/restore.h"

#include "impl.h"

#include <string.h>

#define TOLD_MAX 3 /* issues of a restore that are told by name */

const char *
step_restore_wrong(const struct runbook *rb, const void *with)
{
    const struct restore_with *w = with;

    if (w->source && w->snapshot)
        return "name the source or the snapshot, not both";
    if (!w->source && !w->snapshot && rb->point.select != SELECT_ID)
        return "name the source to restore, or a snapshot";
    return NULL;
}

int
step_find_snapshot(const struct runbook *rb, const struct restore_with *with,
                   const struct snapshot_list *list, struct snapshot_row **out,
                   struct err *e)
{
    enum recovery_select how = rb->point.select;
    AUTOFREE char *name = with->snapshot   ? mem_strdup(with->snapshot)
                        : how == SELECT_ID ? mem_strdup(rb->point.id)
                        : how == SELECT_AS_OF
                            ? mem_printf("%s@%s", with->source, rb->point.at)
                            : mem_strdup(with->source);

    if (repo_find_snapshot(list, name, out, e) < 0)
        return -1;
    if (with->source && strcmp((*out)->info.source, with->source) != 0)
        return err_set(e, ERR_NOT_FOUND, 0, "snapshot %s is of source %s, not of %s",
                       name, (*out)->info.source, with->source);
    if (!snapshot_committed(*out))
        return err_set(e, ERR_NOT_FOUND, 0, "snapshot %s is not complete on any target",
                       name);
    return 0;
}

/* What a restore could not do, in words. */
struct told {
    const struct drill_options *options;
    struct buf text;
    unsigned long long count;
};

static void
on_tick(void *arg, const struct restore_progress *p)
{
    const struct told *t = arg;

    if (t->options->tick)
        t->options->tick(t->options->arg, p);
}

static void
tell_restoring(const struct drill_options *o, const char *source)
{
    if (o->restoring)
        o->restoring(o->arg, source);
}

static void
on_issue(void *arg, enum restore_issue kind, struct slice path, const char *why)
{
    struct told *t = arg;

    if (kind == RESTORE_NOT_SET)
        return;
    if (t->count++ < TOLD_MAX)
        buf_printf(&t->text, "%s/%.150s: %.150s", t->text.len ? "; " : "",
                   text_of_name(path), why);
}

static void
note_snapshot(struct drill_result *r, const struct snapshot *s)
{
    struct drill_snapshot *x;
    char hex[65];

    text_hex(hex, s->id, 32);
    for (size_t i = 0; i < r->snapshot_count; i++)
        if (strcmp(r->snapshots[i].id, hex) == 0)
            return;
    r->snapshots = mem_grow(r->snapshots, &r->snapshot_cap, r->snapshot_count + 1,
                            sizeof *r->snapshots);
    x = &r->snapshots[r->snapshot_count++];
    *x = (struct drill_snapshot){ .source = mem_strdup(s->source),
                                  .started = s->started };
    memcpy(x->id, hex, sizeof hex);
}

static void
put_outputs(struct drill_item *item, const char *path, const struct snapshot *s,
            const struct restore_result *res)
{
    char hex[65];

    text_hex(hex, s->id, 32);
    drill_item_put(item, "path", false, mem_strdup(path));
    drill_item_put(item, "snapshot", false, mem_strdup(hex));
    drill_item_put(item, "bytes", true,
                   mem_printf("%llu", (unsigned long long)res->bytes));
    drill_item_put(item, "files", true,
                   mem_printf("%llu", (unsigned long long)res->files));
}

int
step_restore(struct drill *d, const struct runbook_step *s, const void *with,
             struct drill_item *item, struct err *e)
{
    const struct restore_with *w = with;
    AUTOFREE char *to = fs_join(d->runbook->sandbox_dir, s->id);
    struct told told = { .options = d->options, .text = BUF(TOLD_MAX * 1024) };
    struct snapshot_row *row = NULL;
    struct restore_result res;

    if (step_find_snapshot(d->runbook, w, &d->list, &row, e) < 0)
        return -1;
    struct restore_options o = {
        .snapshot = &row->info,
        .paths = (const char *const *)w->paths,
        .to = to,
        .owner = OWNER_AUTO,
        .threads = d->options->threads,
        .issue = on_issue,
        .tick = on_tick,
        .arg = &told,
    };
    tell_restoring(d->options, row->info.source);
    int rc = engine_restore(d->repo, &o, &res, e);
    tell_restoring(d->options, NULL);
    if (rc == 0) {
        note_snapshot(d->result, &row->info);
        d->steps[s - d->runbook->steps].snapshot = &row->info;
        put_outputs(item, to, &row->info, &res);
        if (res.damaged + res.blocked > 0)
            drill_item_say(item, VERDICT_FAILED,
                           "%llu of %llu entries did not come "
                           "back: %s%s",
                           (unsigned long long)(res.damaged + res.blocked),
                           (unsigned long long)res.entries, buf_cstr(&told.text),
                           told.count > TOLD_MAX ? "; …" : "");
        else if (res.not_set > 0)
            drill_item_say(item, VERDICT_PASSED,
                           "%llu attributes could not be set by "
                           "this user",
                           (unsigned long long)res.not_set);
    }
    buf_release(&told.text);
    return rc;
}

int
step_command(struct drill *d, const struct runbook_step *s, const void *with,
             struct drill_item *item, struct err *e)
{
    CLEANUP(command_run_release) struct command_run run = { 0 };

    if (command_run(d, with, s->timeout_ms, &run, e) < 0) {
        if (e->kind == ERR_CANCELLED)
            return -1;
        drill_item_say(item, VERDICT_ERROR, "%s", err_text(e));
        return 0;
    }
    AUTOFREE char *last = command_last_line(&run.err);
    if (run.timed_out) {
        drill_item_say(item, VERDICT_TIMED_OUT, "still running after %s, and killed",
                       text_of_duration(s->timeout_ms));
        return 0;
    }
    drill_item_put(item, "exit", true, mem_printf("%d", run.status));
    drill_item_put(item, "stdout", false, command_first_line(&run.out));
    if (run.status != 0)
        drill_item_say(item, VERDICT_FAILED, "exit status %d%s%.300s", run.status,
                       last[0] ? ": " : "", text_of_name(slice_str(last)));
    return 0;
}
