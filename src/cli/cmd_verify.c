#include "base/log.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/open.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "engine/verify.h"

#include <stdio.h>
#include <string.h>

#define DAMAGE_TOLD 1000 /* in JSON; the rest is counted */
#define DAMAGE_WARNED 25 /* on the terminal */

struct options {
    unsigned level, threads;
    uint64_t memory;
    const char *target;
    bool heal;
};

struct told {
    json_t *damage;
    unsigned long long count;
};

static void
on_damage(void *arg, const struct verify_damage *d)
{
    struct told *t = arg;

    bool warn = t->count < DAMAGE_WARNED;
    if (t->count++ >= DAMAGE_TOLD)
        return;
    json_t *o = json_add_object(t->damage);
    json_put_text(o, "target", d->target);
    json_put_text(o, "why", d->why);
    if (d->object) {
        json_put_text(o, "object", d->object);
        if (warn)
            log_warn("target %s: %s: %s", d->target, d->object, d->why);
        return;
    }
    char hex[65];
    text_hex(hex, d->snapshot->id, 32);
    json_put_text(o, "snapshot", hex);
    json_put_text(o, "source", d->snapshot->source);
    if (d->path.len)
        json_put_name(o, "path", d->path);
    if (warn)
        log_warn("target %s: snapshot %.12s of %s: %s%s is damaged: %s", d->target, hex,
                 d->snapshot->source, d->path.len ? "/" : "",
                 d->path.len ? text_of_name(d->path) : "its metadata", d->why);
}

static void
on_tick(void *arg, const struct verify_progress *p)
{
    struct progress_counts counts = { .bytes_done = atomic_load(&p->bytes),
                                      .files_done = atomic_load(&p->packs) };

    (void)arg;
    progress_update(&counts);
}

static void
tell(struct app *app, const struct verify_result *res)
{
    static const char *const heads[] = { "TARGET",   ">PACKS",   ">SNAPSHOTS", ">READ",
                                         ">MISSING", ">DAMAGED", ">HEALED",    NULL };
    CLEANUP(table_free_p) struct table *t = table_new(heads);
    json_t *all = json_put_array(app->result, "targets");

    for (size_t i = 0; i < res->target_count; i++) {
        const struct verify_target *x = &res->targets[i];
        const uint64_t numbers[] = { x->packs, x->snapshots, x->missing, x->damaged,
                                     x->healed };
        char cell[COUNT_OF(numbers)][24];
        json_t *o = json_add_object(all);
        for (size_t k = 0; k < COUNT_OF(numbers); k++)
            snprintf(cell[k], sizeof cell[k], "%llu", (unsigned long long)numbers[k]);
        TABLE_ROW(t, x->name, x->asked ? cell[0] : "(away)", cell[1],
                  text_of_size(x->bytes_read), cell[2], cell[3], cell[4]);
        json_put_text(o, "name", x->name);
        json_put_bool(o, "asked", x->asked);
        json_put_int(o, "packs", (int64_t)x->packs);
        json_put_int(o, "objects", (int64_t)x->objects);
        json_put_int(o, "chunks", (int64_t)x->chunks);
        json_put_int(o, "snapshots", (int64_t)x->snapshots);
        json_put_int(o, "attested", (int64_t)x->attested);
        json_put_int(o, "bytes_read", (int64_t)x->bytes_read);
        json_put_int(o, "missing", (int64_t)x->missing);
        json_put_int(o, "damaged", (int64_t)x->damaged);
        json_put_int(o, "healed", (int64_t)x->healed);
    }
    json_put_int(app->result, "damaged_files", (int64_t)res->damaged_files);
    json_put_int(app->result, "log_holes", res->holes);
    json_put_int(app->result, "unhealed", (int64_t)res->unhealed);
    json_put_seconds(app->result, "elapsed", res->elapsed_ms);
    if (app_chatty(app))
        table_print(t, stdout);
}

/* What was told so far has been healed, or is told again. */
static void
tell_anew(void *arg)
{
    struct told *t = arg;

    json_array_clear(t->damage);
    t->count = 0;
}

static enum status
run(struct app *app, struct err *e)
{
    const struct options *o = app->options;
    CLEANUP(repo_close_p) struct repo *r = NULL;
    struct told told = { .count = 0 };
    struct verify_result res;

    if (o->level > 3) {
        err_set(e, ERR_USAGE, 0, "--level is 0, 1, 2 or 3");
        return app_fail(e);
    }
    if (app_check_memory(o->memory, e) < 0 || open_to_verify(app, o->heal, &r, e) < 0)
        return app_fail(e);
    told.damage = json_put_array(app->result, "damage");
    json_put_int(app->result, "level", o->level);
    struct verify_options vo = { .level = o->level,
                                 .target = o->target,
                                 .heal = o->heal,
                                 .threads = o->threads,
                                 .memory = o->memory,
                                 .damage = on_damage,
                                 .tick = on_tick,
                                 .arg = &told };
    progress_begin(app, "verifying", NULL);
    int rc = o->heal ? engine_heal(r, &vo, tell_anew, &res, e)
                     : engine_verify(r, &vo, &res, e);
    progress_end();
    if (rc < 0)
        return app_fail(e);
    if (told.count > DAMAGE_WARNED)
        log_warn("and %llu more; --json lists them", told.count - DAMAGE_WARNED);
    tell(app, &res);
    if (repo_rollback_seen(r) || res.holes > 0)
        app_note(app, STATUS_ROLLBACK);
    if (res.unasked > 0)
        app_note(app, STATUS_DEGRADED);
    if (res.unhealed > 0 || res.damaged_files > 0) {
        err_set(e, ERR_CORRUPT, 0, "%llu objects and %llu files are damaged or missing%s",
                (unsigned long long)res.unhealed, (unsigned long long)res.damaged_files,
                o->heal ? "" : "; --heal replaces what another target has");
        return app_fail(e);
    }
    return STATUS_OK;
}

#define AT(field) offsetof(struct options, field)

static const struct option options[] = {
    { OPT_COUNT, "level", 'l', "N", AT(level), COMPLETE_NONE,
      "0 presence, 1 attested, 2 structure, 3 read (default: 2)" },
    { OPT_STRING, "target", 't', "TARGET", AT(target), COMPLETE_TARGET,
      "verify only TARGET" },
    { OPT_FLAG, "heal", 0, NULL, AT(heal), COMPLETE_NONE,
      "replace bad and missing objects from other targets" },
    { OPT_COUNT, "threads", 0, "N", AT(threads), COMPLETE_NONE,
      "read with N threads (default: 2)" },
    OPTION_MEMORY(AT(memory)),
    { OPT_END, NULL, 0, NULL, 0, COMPLETE_NONE, NULL },
};

static const struct options defaults = { .level = 2, .threads = 2 };

static const char *const examples[] = {
    "drtool verify",
    "Check every target's metadata, and that all data is there.",
    "drtool verify --level 3 --target nas --heal",
    "Read everything one target holds, and replace what is bad.",
    NULL,
};

const struct command cmd_verify = {
    .name = "verify",
    .summary = "check what the targets hold, and mend it",
    .options = options,
    .options_size = sizeof(struct options),
    .defaults = &defaults,
    .needs = NEEDS_CONFIG,
    .examples = examples,
    .run = run,
};
