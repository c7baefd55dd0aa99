/*
 * A run of the simulation: what happens to the world, step by step, and after each
 * step whether what was promised still holds.
 *
 *   promised   a target that a run told to hold a snapshot shows it as complete, and
 *              what a target shows as complete is restored from it alone, exactly,
 *              unless that very target was hurt since
 *   survival   at most one target is hurt at a time; then the others keep it all
 *   deletes    old snapshots are forgotten, on all targets or on one, and what nothing
 *              needs is pruned (sim/prune.h) while others store: what is not forgotten
 *              stays whole, and a pack that was deleted is not put there again
 *   quiet      over good lines with all targets whole a backup ends well, and
 *              after a sync all targets hold all snapshots that are not forgotten
 *              there, and nothing waits
 *   honesty    a status never tells of more targets than hold the snapshot, a
 *              restore that succeeds gave the right files, nobody crashes or hangs
 */
#include "sim/random.h"
#include "sim/tree.h"
#include "sim/world.h"

#include "base/fs.h"
#include "base/log.h"
#include "crypto/hash.h"
#include "crypto/seal.h"
#include "support/fixture.h"

#include <fcntl.h>
#include <malloc.h>
#include <sched.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* Paths are part of what is stored, so they are the same each time. */
#define ROOT "/dev/shm/drtool-sim"
#define QUORUM 2
#define SNAPS_MAX SEEN_MAX
#define NOBODY TARGETS
#define DAY_S (24 * 3600)

/* A snapshot that a run has told of. */
struct snap {
    char key[CHAIN_KEY_LEN + 1];
    int host;
    unsigned version;
    unsigned acked;     /* targets that must have it */
    unsigned forgotten; /* targets that need not have it any more */
    bool quorum;        /* it was told to be safe */
};

struct run {
    struct place place;
    struct world *world;
    uint64_t seed;
    struct random chance;
    unsigned step;
    bool verbose, failed;
    bool touched; /* something happened to the targets since the last check */
    unsigned version[HOSTS];
    struct snap snaps[SNAPS_MAX];
    size_t snap_count;
    size_t hurt; /* the target that was hurt; NOBODY */
    bool wiped;  /* nothing is left of it, or another target than is known */
    unsigned made[TARGETS], saved_made; /* how often they were made targets again */
    bool saved;                         /* there is an old copy of saved_target */
    size_t saved_target;
    unsigned saved_snaps; /* how many snaps were there then */
    unsigned saved_acked[SNAPS_MAX];
    uint64_t usual_steps[DEEDS]; /* to choose when one dies */
    bool remote[TARGETS];
    uint64_t spool_max;
};

static uint32_t
draw(struct run *r, uint32_t below)
{
    return (uint32_t)(sim_mix(r->chance.seed, ++r->chance.counter) % below);
}

static bool
one_in(struct run *r, uint32_t n)
{
    return draw(r, n) == 0;
}

static void say(struct run *r, const char *fmt, ...) PRINTF(2, 3);

static void
say(struct run *r, const char *fmt, ...)
{
    va_list ap;

    if (!r->verbose)
        return;
    printf("%3u %8.1f s  ", r->step, (double)r->world->clock.ms / 1000);
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    printf("\n");
    fflush(stdout);
}

static void wrong(struct run *r, const char *fmt, ...) PRINTF(2, 3);

static void
wrong(struct run *r, const char *fmt, ...)
{
    va_list ap;

    if (r->failed)
        return;
    r->failed = true;
    printf("seed %llu, step %u: ", (unsigned long long)r->seed, r->step);
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    printf("\n  again: make sim SEED=%llu RUNS=1 VERBOSE=1\n",
           (unsigned long long)r->seed);
    fflush(stdout);
}

static uint64_t
next_seed(struct run *r)
{
    return sim_mix(r->chance.seed, ++r->chance.counter);
}

static void shell(struct run *r, const char *fmt, ...) PRINTF(2, 3);

static void
shell(struct run *r, const char *fmt, ...)
{
    char command[1000];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(command, sizeof command, fmt, ap);
    va_end(ap);
    if (system(command) != 0)
        wrong(r, "cannot: %s", command);
}

/* The weather of a step. */

static void
draw_lines(struct run *r)
{
    static const uint32_t latencies[] = { 0, 20, 300 },
                          faults[] = { 0, 0, 0, 10, 60, 250 };
    int64_t now = r->world->clock.ms;

    for (int h = 0; h < HOSTS; h++)
        for (size_t i = 0; i < TARGETS; i++) {
            struct line *l = &r->world->net.line[h][i];
            *l = (struct line){ .latency_ms = latencies[draw(r, COUNT_OF(latencies))],
                                .faults = faults[draw(r, COUNT_OF(faults))],
                                .remote = r->remote[i] };
            do
                l->modes = draw(r, 1u << FAULT_MISSING) & ~(1u << FAULT_DENY);
            while (l->modes == 0);
            if (one_in(r, 6)) {
                l->gone_ms = now + (one_in(r, 2) ? 0 : (int64_t)draw(r, 30000));
                l->back_ms = l->gone_ms + (int64_t)draw(r, 600000);
            }
        }
}

static void
good_lines(struct run *r)
{
    for (int h = 0; h < HOSTS; h++)
        for (size_t i = 0; i < TARGETS; i++)
            r->world->net.line[h][i] = (struct line){ .remote = r->remote[i] };
    for (size_t i = 0; i < TARGETS; i++)
        memset(r->world->net.store[i].late, 0, sizeof r->world->net.store[i].late);
}

/* Looking whether promises hold. */

static bool
is_hurt(const struct run *r, size_t target)
{
    return r->hurt == target;
}

static const struct seen *
find_seen(const struct world *w, const char *key)
{
    for (size_t i = 0; i < w->seen_count; i++)
        if (strcmp(w->seen[i].key, key) == 0)
            return &w->seen[i];
    return NULL;
}

static const struct snap *
find_snap(const struct run *r, const char *key)
{
    for (size_t i = 0; i < r->snap_count; i++)
        if (strcmp(r->snaps[i].key, key) == 0)
            return &r->snaps[i];
    return NULL;
}

static void
check_seen(struct run *r, const struct seen *s)
{
    const struct snap *known = find_snap(r, s->key);

    for (size_t i = 0; i < TARGETS; i++) {
        if (!s->read[i])
            continue;
        if (!s->good[i] && (!is_hurt(r, i) || s->e.kind == ERR_FORGED))
            wrong(r, "%s is complete on t%zu, and is not: %s", s->key, i,
                  err_text(&s->e));
        if (s->good[i] && known && known->version != s->version)
            wrong(r, "%s on t%zu has version %u, not %u", s->key, i, s->version,
                  known->version);
    }
}

static void
check(struct run *r, bool full)
{
    struct world *w = r->world;
    struct net kept = w->net;

    net_heal(&w->net);
    w->full_check = full;
    if (!world_check(&r->place, next_seed(r)))
        wrong(r, "looking at the targets crashed or hung");
    w->net = kept;
    if (w->trouble.kind != ERR_NONE && r->hurt == NOBODY)
        wrong(r, "looking at the targets: %s", err_text(&w->trouble));
    for (size_t i = 0; i < w->seen_count; i++)
        check_seen(r, &w->seen[i]);
    for (size_t i = 0; i < r->snap_count; i++) {
        const struct snap *s = &r->snaps[i];
        const struct seen *seen = find_seen(w, s->key);
        unsigned on = seen ? seen->on : 0, hurt = 1u << r->hurt;
        if (s->acked & ~on & ~hurt)
            wrong(r, "%s was told to be on targets %x, and is on %x", s->key, s->acked,
                  on);
    }
}

/* What hosts do. */

static const char *const deeds[DEEDS] = { "-",    "init",   "backup", "sync",   "restore",
                                          "heal", "verify", "add",    "forget", "prune" };

static void
write_files(struct run *r, int host)
{
    AUTOFREE char *name = mem_printf("src%d", host);
    AUTOFREE char *src = place_path(&r->place, name);

    tree_write(src, host, r->version[host], 2000000000 + r->world->clock.ms / 1000);
}

static void
plan(struct run *r, int host, enum deed deed)
{
    r->place.task[host] = (struct task){ .deed = deed,
                                         .threads = one_in(r, 2) ? 0 : 1 + draw(r, 2),
                                         .spool_max = r->spool_max };
    if (deed == DO_BACKUP) {
        if (!one_in(r, 5))
            r->version[host]++;
        else if (one_in(r, 2))
            r->version[host] = draw(r, r->version[host] + 1);
        write_files(r, host);
    }
}

/* At one of its steps, as a task of that kind usually has. */
static uint64_t
draw_step(struct run *r, const struct task *t)
{
    return 1 + draw(r, (uint32_t)r->usual_steps[t->deed] + 100);
}

static void
note_backup(struct run *r, int host, const struct outcome *o)
{
    unsigned copies = (unsigned)__builtin_popcount(o->committed);
    bool safe = o->status == STATUS_OK || o->status == STATUS_DEGRADED;

    if (safe != (copies >= QUORUM) || (o->status == STATUS_OK && copies < TARGETS))
        wrong(r, "a backup on targets %x ends with status %s", o->committed,
              status_name(o->status));
    if (r->snap_count == SNAPS_MAX)
        return;
    struct snap *s = &r->snaps[r->snap_count++];
    *s = (struct snap){
        .host = host, .version = r->version[host], .acked = o->committed, .quorum = safe
    };
    snprintf(s->key, sizeof s->key, "%s", o->key);
}

static void
note(struct run *r, int host)
{
    const struct task *t = &r->place.task[host];
    const struct outcome *o = &r->world->out[host];

    if (t->deed == DO_NOTHING)
        return;
    if (!o->ended) {
        say(r, "host %d: %s died", host, deeds[t->deed]);
        if (t->die_after == 0)
            wrong(r, "host %d did not end its %s", host, deeds[t->deed]);
        return;
    }
    r->usual_steps[t->deed] = o->steps;
    say(r, "host %d: %s: %s, on targets %x%s", host, deeds[t->deed],
        o->rc < 0 ? err_text(&o->e) : status_name(o->status), o->committed,
        o->rollback_seen ? ", a rollback was seen" : "");
    if (t->deed == DO_PRUNE)
        say(r, "host %d: %u packs of t%zu deleted, %zu are marked", host, o->deleted,
            t->target, r->world->plan[host][t->target].count);
    if (o->rc == 0 && t->deed == DO_BACKUP)
        note_backup(r, host, o);
    if (o->rc < 0 && o->e.kind == ERR_FORGED && t->deed == DO_RESTORE)
        wrong(r, "a restore gave wrong files: %s", err_text(&o->e));
}

/* A target may or may not show what it need not keep, but not packs that it deleted. */
static void
note_deletes(struct run *r)
{
    const struct world *w = r->world;

    for (size_t i = 0; i < r->snap_count; i++)
        for (size_t k = 0; k < w->forgotten_count; k++)
            if (strcmp(r->snaps[i].key, w->forgotten[k].key) == 0) {
                r->snaps[i].forgotten = w->forgotten[k].from;
                r->snaps[i].acked &= ~w->forgotten[k].from;
            }
    for (size_t t = 0; t < TARGETS; t++)
        if (w->net.store[t].back[0])
            wrong(r, "%s was deleted from t%zu and put there again", w->net.store[t].back,
                  t);
}

static void
step(struct run *r)
{
    r->touched = true;
    if (!world_step(&r->place, next_seed(r)))
        wrong(r, "a host crashed or hung");
    for (int h = 0; h < HOSTS; h++)
        note(r, h);
    note_deletes(r);
    for (int h = 0; h < HOSTS; h++)
        r->place.task[h] = (struct task){ .deed = DO_NOTHING };
}

/* Over good lines; the deed must succeed. */
static const struct outcome *
do_well(struct run *r, int host, enum deed deed)
{
    const struct outcome *o = &r->world->out[host];

    if (r->failed)
        return o;
    good_lines(r);
    plan(r, host, deed);
    step(r);
    if (o->rc < 0)
        wrong(r, "over good lines host %d cannot %s: %s", host, deeds[deed],
              err_text(&o->e));
    return o;
}

/* What happens to targets. */

/* It is as it was, or empty: what was deleted there since is not known any more. */
static void
unlearn(struct run *r, size_t t)
{
    r->world->net.store[t].deleted_count = 0;
    for (size_t i = 0; i < r->world->forgotten_count; i++)
        r->world->forgotten[i].told &= ~(1u << t);
}

static void
save_target(struct run *r)
{
    size_t t = draw(r, TARGETS);

    if (is_hurt(r, t))
        return;
    say(r, "t%zu is copied away", t);
    shell(r, "rm -rf %s/saved && cp -a %s/t%zu %s/saved", r->place.root, r->place.root, t,
          r->place.root);
    r->saved = true;
    r->saved_target = t;
    r->saved_made = r->made[t];
    r->saved_snaps = (unsigned)r->snap_count;
    for (size_t i = 0; i < r->snap_count; i++)
        r->saved_acked[i] = r->snaps[i].acked;
}

static void
roll_back(struct run *r)
{
    size_t t = r->saved_target;
    unsigned bit = 1u << t;

    if (!r->saved || (r->hurt != NOBODY && r->hurt != t))
        return;
    say(r, "t%zu comes back as it was", t);
    shell(r, "rm -rf %s/t%zu && cp -a %s/saved %s/t%zu", r->place.root, t, r->place.root,
          r->place.root, t);
    r->hurt = t;
    r->wiped = r->saved_made != r->made[t]; /* what it was before is refused */
    unlearn(r, t);
    r->touched = true;
    for (size_t i = 0; i < r->snap_count; i++)
        if (i >= r->saved_snaps || !(r->saved_acked[i] & bit))
            r->snaps[i].acked &= ~bit;
}

static void
wipe(struct run *r)
{
    size_t t = draw(r, TARGETS);

    if (r->hurt != NOBODY)
        return;
    say(r, "t%zu is lost, an empty place stands there", t);
    shell(r, "rm -rf %s/t%zu && mkdir %s/t%zu", r->place.root, t, r->place.root, t);
    r->hurt = t;
    r->wiped = true;
    unlearn(r, t);
    for (size_t i = 0; i < r->snap_count; i++)
        r->snaps[i].acked &= ~(1u << t);
}

/* Some objects are lost or rot: any below the prefix. */
static void
hurt(struct run *r)
{
    static const char *const prefixes[] = { "pack", "pack", "pack", "index",
                                            "snap", "done", "conf" };
    size_t t = draw(r, TARGETS);
    const char *prefix = prefixes[draw(r, COUNT_OF(prefixes))];
    bool rot = one_in(r, 2);

    if (r->hurt != NOBODY || r->snap_count == 0)
        return;
    say(r, "t%zu: objects below %s/ %s", t, prefix, rot ? "rot" : "are lost");
    shell(r,
          "find %s/t%zu/%s -type f 2>/dev/null | sort | awk 'NR %% %u == 0' | "
          "while read f; do %s; done",
          r->place.root, t, prefix, 1 + draw(r, 4),
          rot ? "dd if=/dev/zero of=$f bs=1 seek=70 count=30 conv=notrunc status=none"
              : "rm $f");
    r->hurt = t;
    r->wiped = false;
    r->touched = true;
}

/* What drtool-sync(1) and verify say of a snapshot that has lain incomplete on a target
 * for over three days, which one is whose done/ has rotted, too: the objects are removed
 * there, and sync copies it anew. */
static void
remove_stale(struct run *r)
{
    for (size_t t = 0; t < TARGETS; t++) {
        const struct store *s = &r->world->net.store[t];
        long long until_s = 2000000000 + r->world->clock.ms / 1000 + s->skew_s
                          - 3 * DAY_S;
        shell(r,
              "cd %s/t%zu && for f in $(find snap -type f ! -newermt @%lld 2>/dev/null); "
              "do good=; d=done/${f#snap/}; for d in $(ls ${d%%-*}-* 2>/dev/null); do "
              "echo ${d##*-} $d | sha256sum -c --status && good=1 || rm $d; done; "
              "[ $good ] || rm $f; done",
              r->place.root, t, until_s);
    }
}

/* An operator puts all in order: what remains of everything is everywhere then. */
static void
put_in_order(struct run *r)
{
    const struct outcome *o;

    say(r, "all is put in order");
    if (r->hurt != NOBODY && r->wiped) {
        shell(r, "rm -rf %s/t%zu && mkdir %s/t%zu", r->place.root, r->hurt, r->place.root,
              r->hurt);
        unlearn(r, r->hurt);
        r->made[r->hurt]++;
        good_lines(r);
        plan(r, 0, DO_ADD);
        r->place.task[0].target = r->hurt;
        step(r);
        o = &r->world->out[0];
        if (o->rc < 0 && o->e.kind != ERR_EXISTS)
            wrong(r, "t%zu cannot be made a target again: %s", r->hurt, err_text(&o->e));
    }
    remove_stale(r);
    if (r->world->forgotten_count > 0)
        (void)do_well(r, 0, DO_FORGET);
    (void)do_well(r, 0, DO_SYNC);
    (void)do_well(r, 1, DO_SYNC);
    (void)do_well(r, 0, DO_HEAL);
    for (int h = 0; h < HOSTS; h++) { /* what was lost is stored anew */
        o = do_well(r, h, DO_BACKUP);
        if (o->rc == 0 && o->status != STATUS_OK)
            wrong(r, "over good lines a backup of host %d ends with %s", h,
                  status_name(o->status));
    }
    (void)do_well(r, 0, DO_SYNC);
    o = do_well(r, 1, DO_SYNC);
    if (o->committed != (1u << TARGETS) - 1)
        wrong(r, "after a sync over good lines something waits: targets %x",
              o->committed);
    r->hurt = NOBODY;
    if (r->failed)
        return;
    o = do_well(r, 0, DO_VERIFY);
    if (o->unhealed || o->missing || o->damaged)
        wrong(r, "all was put in order, and %llu objects are missing, %llu damaged",
              (unsigned long long)o->missing, (unsigned long long)o->damaged);
    for (size_t i = 0; i < r->snap_count; i++)
        if (r->snaps[i].quorum)
            r->snaps[i].acked = ((1u << TARGETS) - 1) & ~r->snaps[i].forgotten;
}

static void
pass_time(struct run *r)
{
    int64_t s = one_in(r, 4) ? (int64_t)draw(r, 5 * DAY_S) : (int64_t)draw(r, DAY_S / 4);

    say(r, "%lld h go by", (long long)s / 3600);
    r->world->clock.ms += s * 1000;
}

static void
jump(struct run *r)
{
    int h = (int)draw(r, HOSTS);
    size_t t = draw(r, TARGETS);

    r->world->clock.skew_s[h] = (int64_t)draw(r, 2 * DAY_S) - DAY_S;
    r->world->net.store[t].skew_s = (int64_t)draw(r, 1200) - 600;
    say(r, "the clock of host %d is %lld s off, that of t%zu %lld s", h,
        (long long)r->world->clock.skew_s[h], t,
        (long long)r->world->net.store[t].skew_s);
}

static void
work(struct run *r)
{
    static const enum deed usual[] = { DO_BACKUP, DO_BACKUP, DO_BACKUP,  DO_BACKUP,
                                       DO_SYNC,   DO_SYNC,   DO_RESTORE, DO_HEAL };
    int h = (int)draw(r, HOSTS);

    draw_lines(r);
    for (size_t i = 0; i < TARGETS; i++)
        if (one_in(r, 4))
            r->world->net.store[i].late_ms = one_in(r, 2) ? 0 : draw(r, 60000);
    plan(r, h, usual[draw(r, COUNT_OF(usual))]);
    if (one_in(r, 3))
        plan(r, !h, usual[draw(r, COUNT_OF(usual))]);
    for (int i = 0; i < HOSTS; i++)
        if (r->place.task[i].deed != DO_NOTHING && one_in(r, 4))
            r->place.task[i].die_after = draw_step(r, &r->place.task[i]);
    step(r);
}

/* What a host forgot comes back to its files: packs are wanted that nothing needs. */
static void
bring_back(struct run *r, int host)
{
    size_t first = r->snap_count ? draw(r, (uint32_t)r->snap_count) : 0;

    for (size_t i = 0; i < r->snap_count; i++) {
        const struct snap *s = &r->snaps[(first + i) % r->snap_count];
        if (s->forgotten && s->host == host) {
            r->version[host] = s->version;
            write_files(r, host);
            return;
        }
    }
}

static void
forget(struct run *r, int host)
{
    draw_lines(r);
    plan(r, host, DO_FORGET);
    r->place.task[host].forget = 1 + draw(r, 3);
    step(r);
    r->world->clock.ms += (DAY_S + (int64_t)draw(r, DAY_S / 2)) * 1000;
}

/* Somebody prunes while the other host does what it does, which may begin before the
 * mark and end behind the sweep. */
static void
tidy(struct run *r)
{
    static const enum deed others[] = { DO_BACKUP, DO_BACKUP, DO_BACKUP, DO_BACKUP,
                                        DO_BACKUP, DO_SYNC,   DO_SYNC,   DO_PRUNE };
    int h = (int)draw(r, HOSTS);

    if (!one_in(r, 3))
        forget(r, (int)draw(r, HOSTS));
    draw_lines(r);
    plan(r, h, DO_PRUNE);
    plan(r, !h, others[draw(r, COUNT_OF(others))]);
    if (r->place.task[!h].deed == DO_BACKUP && !one_in(r, 4))
        bring_back(r, !h);
    for (int i = 0; i < HOSTS; i++) {
        struct task *t = &r->place.task[i];
        do
            t->target = draw(r, TARGETS);
        while (!(r->place.forgetful >> t->target & 1) && !one_in(r, 4));
        r->world->net.store[t->target].late_ms = one_in(r, 2) ? 0 : draw(r, 20 * 60000);
        t->stays = !one_in(r, 3);
        if (one_in(r, 5))
            t->die_after = draw_step(r, t);
        if (one_in(r, i == h ? 2 : 3))
            continue;
        t->suspend_after = draw_step(r, t);
        t->suspend_ms = 1000
                      * (one_in(r, i == h ? 2 : 4)
                             ? (int64_t)draw(r, 7200)
                             : DAY_S - 1800 + (int64_t)draw(r, 10800));
    }
    step(r);
}

static void
happen(struct run *r)
{
    switch (draw(r, 16)) {
    case 0:
        pass_time(r);
        break;
    case 1:
        jump(r);
        break;
    case 2:
        save_target(r);
        break;
    case 3:
        roll_back(r);
        break;
    case 4:
        if (one_in(r, 2))
            wipe(r);
        else
            hurt(r);
        break;
    case 5:
        if (one_in(r, 2))
            put_in_order(r);
        break;
    case 6:
        tidy(r);
        break;
    default:
        work(r);
    }
}

/* A repository that host 0 has made and host 1 has joined, to be copied. */
static void
begin(struct run *r, const char *template)
{
    snprintf(r->place.root, sizeof r->place.root, ROOT "/%llu",
             (unsigned long long)r->seed);
    shell(r, "rm -rf %s && mkdir -p %s", r->place.root, r->place.root);
    if (template)
        shell(r, "cp -a %s/. %s/", template, r->place.root);
    for (size_t i = 0; i < TARGETS; i++)
        r->remote[i] = one_in(r, 2);
    r->spool_max = one_in(r, 8) ? 700000 : 0;
    r->place.distinct_sites = one_in(r, 2);
    r->place.forgetful = one_in(r, 2) ? (1u << TARGETS) - 1 : 1u << draw(r, TARGETS);
    for (size_t i = 0; i < DEEDS; i++)
        r->usual_steps[i] = i == DO_FORGET || i == DO_PRUNE ? 200 : 1000;
    r->hurt = NOBODY;
    for (int h = 0; h < HOSTS; h++)
        write_files(r, h);
}

static void
end(struct run *r)
{
    if (!r->failed || !r->verbose)
        shell(r, "rm -rf %s", r->place.root);
    else
        printf("  what there is: %s\n", r->place.root);
}

static struct world *
share_world(void)
{
    struct world *w = mmap(NULL, sizeof *w, PROT_READ | PROT_WRITE,
                           MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    return w == MAP_FAILED ? NULL : w;
}

static bool
run(struct world *w, uint64_t seed, bool verbose, const char *template)
{
    struct run *r = mem_zalloc(sizeof *r);

    memset(w, 0, sizeof *w);
    r->world = r->place.world = w;
    r->seed = seed;
    r->chance.seed = sim_mix(seed, 1);
    r->verbose = verbose;
    begin(r, template);
    unsigned steps = 12 + draw(r, 15);
    for (r->step = 1; r->step <= steps && !r->failed; r->step++) {
        r->touched = false;
        happen(r);
        if (!r->failed && r->touched)
            check(r, false);
    }
    if (!r->failed)
        put_in_order(r);
    if (!r->failed)
        check(r, true);
    bool ok = !r->failed;
    end(r);
    mem_free(r);
    return ok;
}

/* Makes the repository that all runs begin with. */
static void
make_template(struct world *w, char root[64])
{
    struct run *r = mem_zalloc(sizeof *r);

    r->world = r->place.world = w;
    r->chance.seed = 1;
    begin(r, NULL);
    (void)do_well(r, 0, DO_INIT);
    (void)do_well(r, 1, DO_INIT);
    if (r->failed)
        exit(1);
    strcpy(root, r->place.root);
    mem_free(r);
}

/* One thread runs at a time: with two CPUs they would only hand it to and fro. */
static void
stay_on_cpu(unsigned job)
{
    cpu_set_t allowed, one;

    if (sched_getaffinity(0, sizeof allowed, &allowed) < 0)
        return;
    unsigned nth = job % (unsigned)CPU_COUNT(&allowed);
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &allowed) || nth-- > 0)
            continue;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        (void)sched_setaffinity(0, sizeof one, &one);
        return;
    }
}

/* The libraries look round on first use: once for all processes to come. */
static void
wake_libraries(void)
{
    uint8_t hash[SHA256_LEN];

    crypto_init();
    sha256(SLICE(""), hash);
    aead_free(aead_new());
    sqlite3_initialize();
}

/* One simulation at a time: they would share their folders. */
static int
take_turn(void)
{
    int fd = open(ROOT ".lock", O_RDWR | O_CREAT | O_CLOEXEC, 0666);

    return fd < 0 || flock(fd, LOCK_EX) < 0 ? -1 : fd;
}

/* sim SEED RUNS JOBS [verbose] */
int
main(int argc, char **argv)
{
    uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    unsigned runs = argc > 2 ? (unsigned)atoi(argv[2]) : 1;
    unsigned jobs = argc > 3 ? (unsigned)atoi(argv[3]) : 1, passed = 0;
    bool verbose = argc > 4;
    char template[64];

    mallopt(M_ARENA_MAX, 1); /* one thread runs at a time */
    mallopt(M_MMAP_THRESHOLD, 32 << 20);
    mallopt(M_TRIM_THRESHOLD, 256 << 20);
    wake_libraries();
    int turn = take_turn();
    if (turn < 0 || setenv("TMPDIR", "/dev/shm", 1) < 0)
        return 1;
    if (!verbose && !freopen("/dev/null", "w", stderr))
        return 1;
    struct world *w = share_world();
    make_template(w, template);
    unsigned *done = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                          -1, 0);
    for (unsigned j = 0; j < jobs; j++) {
        if (fork() != 0)
            continue;
        stay_on_cpu(j);
        w = share_world();
        for (unsigned i = j; i < runs && done[0] == 0; i += jobs) {
            if (run(w, first + i, verbose, template))
                __atomic_add_fetch(&done[1], 1, __ATOMIC_SEQ_CST);
            else
                done[0] = 1;
        }
        _exit(0);
    }
    while (wait(NULL) > 0)
        continue;
    struct err e = { 0 };
    (void)!fs_remove_tree(template, &e);
    passed = done[1];
    printf("%u of %u runs passed\n", passed, runs);
    return passed == runs ? 0 : 1;
}
