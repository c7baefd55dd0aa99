#include "base/log.h"
#include "base/text.h"

#include "impl.h"

#include <limits.h>
#include <string.h>

/* By the words of the kinds (kinds.c). */
static const enum fault_mode down_modes[] = { FAULT_REFUSE, FAULT_REFUSE, FAULT_DENY,
                                              FAULT_MISSING };
static const enum fault_mode corrupt_modes[] = { FAULT_GARBLE, FAULT_CUT };

static bool
is_corruption(const struct runbook_fault *f)
{
    return f->kind->expects != NULL;
}

static struct fault_plan
plan_of(const struct runbook_fault *f)
{
    if (!is_corruption(f))
        return (struct fault_plan){ .mode = down_modes[f->options.how],
                                    .at = 1,
                                    .count = UINT_MAX };
    return (struct fault_plan){ .mode = corrupt_modes[f->options.how],
                                .calls = FAULT_ON_GET,
                                .at = 1,
                                .count = UINT_MAX,
                                .prefix = "pack/" };
}

/* Of a fault that strikes a few packs there is a wrapper for each; they wait
 * until faults_aim() knows the packs. */
struct storage *
faults_wrap(void *arg, const char *target, struct storage *inner)
{
    struct drill *d = arg;

    for (size_t i = 0; i < d->runbook->fault_count; i++) {
        const struct runbook_fault *f = &d->runbook->faults[i];
        struct fault_state *state = &d->faults[i];
        struct fault_plan plan = plan_of(f);
        size_t n = f->options.packs ? f->options.packs : 1;
        if (strcmp(f->target, target) != 0)
            continue;
        if (f->options.packs)
            plan.at = 0;
        for (size_t k = 0; k < n; k++)
            inner = state->stores[state->store_count++] = storage_fault(inner, &plan);
    }
    return inner;
}

/* Packs that hold content to be restored, for one fault. */
struct aim {
    struct drill *drill;
    const struct runbook_fault *fault;
    struct fault_state *state;
    size_t target, aimed;
    uint32_t packs[FAULT_PACKS_MAX];
};

static int
aim_at(void *arg, uint64_t at, const struct extent *x, struct err *e)
{
    struct aim *a = arg;
    struct repo *r = a->drill->repo;
    struct location loc;
    char key[PACK_KEY_LEN + 1];
    uint8_t name[32];
    uint64_t size;

    (void)at;
    if (a->aimed == a->fault->options.packs || chunk_id_is_hole(&x->id))
        return 0;
    int rc = repo_find(r, &x->id, &loc, e);
    if (rc <= 0)
        return rc;
    for (size_t i = 0; i < a->aimed; i++)
        if (a->packs[i] == loc.pack)
            return 0;
    if (!repo_listed(r, a->target, loc.pack))
        return 0;
    rc = index_pack(repo_index(r), loc.pack, name, &size, e);
    if (rc <= 0)
        return rc;
    pack_key(key, name);
    struct fault_plan plan = plan_of(a->fault);
    plan.prefix = key;
    a->packs[a->aimed] = loc.pack;
    storage_fault_plan(a->state->stores[a->aimed++], &plan);
    return 0;
}

static int
aim_in(struct aim *a, const struct snapshot *s, struct err *e)
{
    CLEANUP(manifest_reader_free_p)
    struct manifest_reader *m = manifest_reader_new(&s->root, repo_load_node,
                                                    a->drill->repo);
    struct entry en;
    int rc = manifest_seek(m, slice_str(""), e);

    while (rc == 0 && a->aimed < a->fault->options.packs
           && (rc = manifest_next(m, &en, e)) == 1)
        rc = en.type != ENTRY_FILE
               ? 0
               : extent_each(&en, repo_load_node, a->drill->repo, aim_at, a, e);
    return rc;
}

/* The snapshots that steps will restore, as far as that is known before. */
static int
aim_in_steps(struct aim *a, struct err *e)
{
    struct drill *d = a->drill;

    for (size_t i = 0; i < d->runbook->step_count; i++) {
        struct snapshot_row *row = d->steps[i].row;
        if (row && aim_in(a, &row->info, e) < 0)
            return -1;
    }
    return 0;
}

static struct target *
target_of(struct drill *d, const char *name, size_t *index)
{
    struct fleet *f = d->repo ? repo_fleet(d->repo) : NULL;

    for (size_t i = 0; f && i < fleet_count(f); i++)
        if (strcmp(fleet_target(f, i)->name, name) == 0)
            return *index = i, fleet_target(f, i);
    return NULL;
}

int
faults_aim(struct drill *d, struct err *e)
{
    for (size_t i = 0; i < d->runbook->fault_count; i++) {
        struct aim a = { .drill = d,
                         .fault = &d->runbook->faults[i],
                         .state = &d->faults[i] };
        if (!a.fault->options.packs || !target_of(d, a.fault->target, &a.target))
            continue;
        if (aim_in_steps(&a, e) < 0)
            return err_in(e, "choosing packs for fault %s", a.fault->id);
        log_info("fault %s: %zu packs chosen", a.fault->id, a.aimed);
    }
    return 0;
}

/* Did everything come back as it was, whatever the targets answered? */
static bool
is_exact(const struct drill *d)
{
    const struct drill_list *steps = &d->result->sections[SECTION_STEPS];
    const struct drill_list *checks = &d->result->sections[SECTION_CHECKS];
    bool restored = false;

    for (size_t i = 0; i < steps->count; i++) {
        if (strcmp(steps->items[i]->uses, "restore.files") != 0)
            continue;
        if (steps->items[i]->verdict != VERDICT_PASSED)
            return false;
        restored = true;
    }
    for (size_t i = 0; i < checks->count; i++)
        if (strcmp(checks->items[i]->uses, "hash") == 0
            && checks->items[i]->verdict != VERDICT_PASSED)
            return false;
    return restored;
}

static void
judge_one(struct drill *d, const struct runbook_fault *f, struct drill_item *item)
{
    size_t index = 0;
    struct target *t = target_of(d, f->target, &index);
    uint64_t bad = t ? atomic_load(&t->bad_reads) : 0;

    if (!d->repo) {
        drill_item_say(item, VERDICT_SKIPPED, "the repository could not be opened");
        return;
    }
    if (item->hits == 0) {
        item->warning = !f->demanded;
        drill_item_say(item, VERDICT_FAILED,
                       "it never struck: target %s was not asked "
                       "for what it spoils",
                       f->target);
        return;
    }
    if (!is_corruption(f))
        return;
    item->detected = bad > 0;
    if (f->detected && !item->detected)
        drill_item_say(item, VERDICT_FAILED, "wrong bytes of target %s were not noticed",
                       f->target);
    else if (f->detected && !is_exact(d))
        drill_item_say(item, VERDICT_FAILED, "noticed, but not everything came back");
}

void
faults_judge(struct drill *d)
{
    for (size_t i = 0; i < d->runbook->fault_count; i++) {
        const struct runbook_fault *f = &d->runbook->faults[i];
        struct drill_item *item = drill_item_begin(d->result, SECTION_FAULTS, f->id, NULL,
                                                   f->kind->name);
        item->at = d->result->t0;
        item->begun_ms = d->result->t0_ms;
        item->target = mem_strdup(f->target);
        for (size_t k = 0; d->repo && k < d->faults[i].store_count; k++)
            item->hits += storage_fault_hits(d->faults[i].stores[k]);
        judge_one(d, f, item);
        drill_item_end(item);
    }
}
