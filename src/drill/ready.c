#include "base/text.h"

#include "impl.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int
drill_open(struct drill *d, bool with_faults, struct repo **out,
           struct snapshot_list *list, struct err *e)
{
    struct repo_options o = { .conf = d->conf,
                              .temporary = true,
                              .wrap = with_faults ? faults_wrap : NULL,
                              .wrap_arg = d };

    if (repo_open(&o, out, e) < 0)
        return -1;
    if (repo_snapshots(*out, list, e) < 0 || repo_load_index(*out, e) < 0)
        return -1;
    return 0;
}

static const char *
not_yet(void *arg, size_t step, const struct output_kind *o)
{
    (void)arg;
    (void)step;
    (void)o;
    return NULL;
}

int
drill_find(struct drill *d, size_t step, const struct snapshot_list *list,
           struct snapshot_row **out, struct err *e)
{
    const struct runbook_step *s = &d->runbook->steps[step];
    struct refs r = {
        .runbook = d->runbook, .steps_before = step, .within = true, .output = not_yet
    };
    CLEANUP(yaml_doc_free_p) struct yaml_doc *doc = NULL;
    struct restore_with with = { 0 };
    struct err later = { 0 };

    if (s->kind->run != step_restore)
        return 0;
    int rc = runbook_with(&r, s->node, s->kind->keys, &with, &doc, &later) < 0 ? 0
           : step_find_snapshot(d->runbook, &with, list, out, e) < 0           ? -1
                                                                               : 1;
    schema_release(s->kind->keys, &with);
    return rc;
}

static void
ready_sandbox(struct drill *d)
{
    struct drill_item *item = drill_item_begin(d->result, SECTION_READINESS, "sandbox",
                                               NULL, "sandbox");
    const char *slash = strrchr(d->runbook->sandbox_dir, '/');
    AUTOFREE char *root = mem_printf("%.*s", (int)(slash - d->runbook->sandbox_dir),
                                     d->runbook->sandbox_dir);
    struct err e = { 0 };

    if (access(root[0] ? root : "/", W_OK | X_OK) < 0) {
        err_sys(&e, errno, "the sandbox cannot be made in %s", root);
        drill_item_say(item, VERDICT_ERROR, "%s", err_text(&e));
    }
    drill_item_end(item);
}

/* A target that is away is worth a warning: the drill may still pass. */
static void
ready_targets(struct drill *d, struct repo *r)
{
    for (size_t i = 0; i < fleet_count(repo_fleet(r)); i++) {
        struct target *t = fleet_target(repo_fleet(r), i);
        AUTOFREE char *id = mem_printf("target-%s", t->name);
        struct drill_item *item = drill_item_begin(d->result, SECTION_READINESS, id, NULL,
                                                   "target");
        if (!target_is_up(repo_fleet(r), t)) {
            item->warning = true;
            drill_item_say(item, VERDICT_FAILED, "target %s is %s: %s", t->name,
                           target_state_name(target_state(repo_fleet(r), t)),
                           err_text(&t->why));
        }
        drill_item_end(item);
    }
}

static void
ready_snapshots(struct drill *d, const struct snapshot_list *list)
{
    for (size_t i = 0; i < d->runbook->step_count; i++) {
        struct snapshot_row *row = NULL;
        struct err e = { 0 };
        int rc = drill_find(d, i, list, &row, &e);
        if (rc == 0)
            continue;
        AUTOFREE char *id = mem_printf("snapshot-%s", d->runbook->steps[i].id);
        struct drill_item *item = drill_item_begin(d->result, SECTION_READINESS, id, NULL,
                                                   "snapshot");
        if (rc < 0)
            drill_item_say(item, VERDICT_ERROR, "step %s: %s", d->runbook->steps[i].id,
                           err_text(&e));
        drill_item_end(item);
    }
}

void
drill_ready(struct drill *d)
{
    CLEANUP(snapshot_list_release) struct snapshot_list list = { 0 };
    CLEANUP(repo_close_p) struct repo *r = NULL;
    struct err e = { 0 };

    ready_sandbox(d);
    struct drill_item *item = drill_item_begin(d->result, SECTION_READINESS, "repository",
                                               NULL, "repository");
    if (drill_open(d, false, &r, &list, &e) < 0)
        drill_item_say(item, e.kind == ERR_CANCELLED ? VERDICT_ABORTED : VERDICT_ERROR,
                       "%s", err_text(&e));
    drill_item_end(item);
    if (r)
        ready_targets(d, r);
    if (item->verdict == VERDICT_PASSED)
        ready_snapshots(d, &list);
}

bool
drill_is_ready(const struct drill *d)
{
    const struct drill_list *l = &d->result->sections[SECTION_READINESS];

    for (size_t i = 0; i < l->count; i++)
        if (l->items[i]->verdict != VERDICT_PASSED && !l->items[i]->warning)
            return false;
    return true;
}
