#include "sim/world.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "engine/backup.h"
#include "engine/restore.h"
#include "engine/sync.h"
#include "engine/verify.h"
#include "sim/tree.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define HANGS_S 100 /* real seconds */

struct doing {
    struct place *place;
    int host;
};

/* A host's configuration, as drtool.yaml would give it. */
struct setup {
    struct conf conf;
    struct conf_target targets[TARGETS];
    struct conf_source source;
    char *paths[2];
};

char *
place_path(const struct place *p, const char *name)
{
    return fs_join(p->root, name);
}

static void
setup_init(struct setup *s, const struct place *p, int host)
{
    AUTOFREE char *state = mem_printf("state%d", host);
    AUTOFREE char *src = mem_printf("src%d", host);

    *s = (struct setup){ .conf = { .target_count = TARGETS, .source_count = 1 } };
    s->conf.path = mem_strdup("sim.yaml");
    s->conf.repository = mem_strdup("sim");
    s->conf.key.file = place_path(p, "key");
    s->conf.state = place_path(p, state);
    s->conf.targets = s->targets;
    s->conf.fleet.distinct_sites = p->distinct_sites;
    s->conf.fleet.spool_max = (uint64_t)1 << 30;
    for (size_t i = 0; i < TARGETS; i++) {
        s->targets[i].name = mem_printf("t%zu", i);
        s->targets[i].url = mem_printf("file://%s/t%zu", p->root, i);
    }
    s->paths[0] = place_path(p, src);
    s->source = (struct conf_source){ .name = mem_printf("src%d", host),
                                      .kind = SOURCE_FILES,
                                      .files = { .paths = s->paths,
                                                 .match_inode = true } };
}

static struct storage *
wrap(void *arg, const char *target, struct storage *inner)
{
    struct place *p = arg;

    return net_wrap(&p->world->net, (size_t)(target[1] - '0'), inner);
}

static int
init(struct place *p, struct setup *s, int host, struct err *e)
{
    struct repo_options o = { .conf = &s->conf, .wrap = wrap, .wrap_arg = p };
    char code[CODE_TEXT_LEN + 1];

    if (host == 0)
        return repo_init(&o, NULL, code, e);
    CLEANUP(repo_close_p) struct repo *r = NULL;
    struct join_options j = { .name = "beta" };
    struct join_result res;
    o.write = true;
    return repo_join(&o, &j, &res, &r, e);
}

static unsigned
committed(const struct target_result *t)
{
    unsigned bits = 0;

    for (unsigned i = 0; i < TARGETS; i++)
        bits |= (unsigned)t[i].committed << i;
    return bits;
}

static int
back_up(struct repo *r, struct setup *s, const struct task *t, struct outcome *out,
        struct err *e)
{
    struct backup_options o = { .source = &s->source, .threads = t->threads };
    struct backup_result res;

    if (engine_backup(r, &o, &res, e) < 0)
        return -1;
    out->status = res.status;
    out->committed = committed(res.targets);
    snprintf(out->key, sizeof out->key, "%s", res.key);
    return 0;
}

static int
sync_all(struct repo *r, struct outcome *out, struct err *e)
{
    struct sync_options o = { .dry_run = false };
    struct sync_result res;

    if (engine_sync(r, &o, &res, e) < 0)
        return -1;
    out->committed = committed(res.targets);
    return 0;
}

static void
on_damage(void *arg, const struct verify_damage *d)
{
    (void)arg;
    log_warn("target %s: %s: %s", d->target, d->object ? d->object : "files", d->why);
}

static int
verify(struct repo *r, bool heal, struct outcome *out, struct err *e)
{
    struct verify_options o = {
        .level = 3, .heal = heal, .threads = 1, .damage = on_damage
    };
    struct verify_result res;

    if (engine_verify(r, &o, &res, e) < 0)
        return -1;
    out->unhealed = res.unhealed;
    for (size_t i = 0; i < res.target_count; i++) {
        out->missing += res.targets[i].missing;
        out->damaged += res.targets[i].damaged;
        out->committed |= (unsigned)res.targets[i].asked << i;
    }
    return 0;
}

/* Restores a snapshot and looks whether the files are those of a version. */
static int
restore(struct place *p, struct repo *r, const struct snapshot_row *row, int host,
        unsigned *version, struct err *e)
{
    AUTOFREE char *name = mem_printf("out%d", host);
    AUTOFREE char *to = place_path(p, name);
    AUTOFREE char *top = mem_printf("%s%s/src%d", to, p->root, host);
    struct restore_result res;
    struct restore_options o = {
        .snapshot = &row->info, .to = to, .threads = 1, .owner = OWNER_SKIP
    };

    if (fs_remove_tree(to, e) < 0 || engine_restore(r, &o, &res, e) < 0)
        return -1;
    if (res.damaged > 0 || res.blocked > 0)
        return err_set(e, ERR_CORRUPT, 0, "%llu entries are damaged",
                       (unsigned long long)res.damaged);
    if (!tree_read(top, host, version, e)) {
        e->kind = ERR_FORGED; /* wrong, and nobody said so */
        return -1;
    }
    return 0;
}

/* Which host's a snapshot is, by the source's name. */
static int
host_of(const struct snapshot_row *row)
{
    return row->info.source ? row->info.source[3] - '0' : -1;
}

static int
restore_newest(struct place *p, struct repo *r, int host, struct err *e)
{
    CLEANUP(snapshot_list_release) struct snapshot_list l = { 0 };
    struct snapshot_row *row = NULL;
    AUTOFREE char *name = mem_printf("src%d", host);
    unsigned version;

    if (repo_snapshots(r, &l, e) < 0 || repo_find_snapshot(&l, name, &row, e) < 0)
        return -1;
    return restore(p, r, row, host, &version, e);
}

static int
add(struct repo *r, size_t target, struct err *e)
{
    return repo_target_add(r, fleet_target(repo_fleet(r), target), e);
}

/* What it was decided to forget, until a target shows no more of it. */
static int
forget_all(struct place *p, struct repo *r, const struct snapshot_list *l, struct err *e)
{
    struct fleet *f = repo_fleet(r);

    for (size_t i = 0; i < p->world->forgotten_count; i++) {
        struct forgotten *x = &p->world->forgotten[i];
        const struct snapshot_row *row = NULL;
        for (size_t k = 0; k < l->count && !row; k++)
            row = strcmp(l->rows[k].key, x->key) == 0 ? &l->rows[k] : NULL;
        for (size_t t = 0; t < TARGETS; t++) {
            unsigned bit = 1u << t;
            bool left = row && (row->snap | row->done) & bit;
            if (!(x->from & bit) || !(l->asked & bit) || (x->told & bit && !left))
                continue;
            if (prune_forget(r, fleet_target(f, t), x->key, row && row->gone & bit, e)
                < 0)
                return -1;
            x->told |= bit;
        }
    }
    return 0;
}

/* May it go? Not the newest of its host that is complete, and none that would be left
 * on less than two targets of those that are to keep it. */
static bool
may_forget(const struct place *p, const struct snapshot_list *l, size_t i)
{
    const struct snapshot_row *row = &l->rows[i];
    unsigned keep = ((1u << TARGETS) - 1) & ~p->forgetful;
    bool newer = false;

    for (size_t k = 0; k < l->count && !newer; k++)
        newer = snapshot_committed(&l->rows[k]) && l->rows[k].name.seq > row->name.seq
             && strcmp(l->rows[k].name.host, row->name.host) == 0;
    for (size_t k = 0; k < p->world->forgotten_count && newer; k++)
        newer = strcmp(p->world->forgotten[k].key, row->key) != 0;
    return newer && snapshot_committed(row)
        && (row->snap & row->done & ~row->gone & keep) == keep;
}

static int
forget(struct place *p, struct repo *r, unsigned count, struct err *e)
{
    CLEANUP(snapshot_list_release) struct snapshot_list l = { 0 };
    struct world *w = p->world;

    if (repo_snapshots(r, &l, e) < 0)
        return -1;
    for (size_t i = 0; i < l.count && count > 0; i++) {
        if (w->forgotten_count == SEEN_MAX || !may_forget(p, &l, i) || sched_draw(2) == 0)
            continue;
        struct forgotten *x = &w->forgotten[w->forgotten_count++];
        *x = (struct forgotten){ .from = p->forgetful };
        snprintf(x->key, sizeof x->key, "%s", l.rows[i].key);
        count--;
    }
    return forget_all(p, r, &l, e);
}

static int
prune(struct place *p, struct repo *r, int host, struct outcome *out, struct err *e)
{
    const struct task *t = &p->task[host];
    struct prune x = { .repo = r,
                       .target = t->target,
                       .net = &p->world->net,
                       .plan = &p->world->plan[host][t->target],
                       .stays = t->stays };
    int rc = prune_run(&x, e);

    out->deleted = x.deleted;
    return rc;
}

static int
work(struct place *p, struct setup *s, int host, struct outcome *out, struct err *e)
{
    const struct task *t = &p->task[host];
    struct repo_options o = { .conf = &s->conf,
                              .write = t->deed != DO_RESTORE && t->deed != DO_VERIFY,
                              .wrap = wrap,
                              .wrap_arg = p };
    CLEANUP(repo_close_p) struct repo *r = NULL;

    if (t->deed == DO_INIT)
        return init(p, s, host, e);
    if (t->spool_max)
        s->conf.fleet.spool_max = t->spool_max;
    if (repo_open(&o, &r, e) < 0)
        return -1;
    out->rollback_seen = repo_rollback_seen(r);
    if (t->deed == DO_ADD)
        return add(r, t->target, e);
    if (t->deed == DO_FORGET)
        return forget(p, r, t->forget, e);
    if (repo_load_index(r, e) < 0)
        return -1;
    if (t->deed == DO_PRUNE)
        return prune(p, r, host, out, e);
    if (t->deed == DO_RESTORE)
        return restore_newest(p, r, host, e);
    if (t->deed == DO_VERIFY || t->deed == DO_HEAL)
        return verify(r, t->deed == DO_HEAL, out, e);
    if (repo_start(r, e) < 0)
        return -1;
    return t->deed == DO_BACKUP ? back_up(r, s, t, out, e) : sync_all(r, out, e);
}

static void
host_main(void *arg)
{
    struct doing *d = arg;
    struct outcome out = { .ended = true };
    struct setup s;

    setup_init(&s, d->place, d->host);
    out.rc = work(d->place, &s, d->host, &out, &out.e);
    out.steps = sched_steps(d->host);
    d->place->world->out[d->host] = out;
}

static void
step_main(struct place *p)
{
    struct doing doing[HOSTS];

    for (int h = 0; h < HOSTS; h++) {
        doing[h] = (struct doing){ p, h };
        p->world->out[h] = (struct outcome){ .ended = false };
        if (p->task[h].deed == DO_NOTHING)
            continue;
        sched_die_after(h, p->task[h].die_after);
        sched_suspend(h, p->task[h].suspend_after, p->task[h].suspend_ms);
        sched_run(h, host_main, &doing[h]);
    }
    sched_wait_all();
}

/* Which snapshots are complete on target `i`, and are some of them there? */
static int
look_at(struct place *p, size_t i, bool restores, struct err *e)
{
    struct world *w = p->world;
    struct setup s;
    CLEANUP(repo_close_p) struct repo *r = NULL;
    CLEANUP(snapshot_list_release) struct snapshot_list l = { 0 };

    setup_init(&s, p, 0);
    s.conf.targets = &s.targets[i];
    s.conf.target_count = 1;
    struct repo_options o = { .conf = &s.conf, .temporary = true };
    if (repo_open(&o, &r, e) < 0 || repo_load_index(r, e) < 0
        || repo_snapshots(r, &l, e) < 0)
        return -1;
    size_t chosen = l.count ? sched_draw((uint32_t)l.count) : 0;
    for (size_t k = 0; k < l.count; k++) {
        const struct snapshot_row *row = &l.rows[k];
        size_t n = 0;
        if (!snapshot_committed(row))
            continue;
        while (n < w->seen_count && strcmp(w->seen[n].key, row->key) != 0)
            n++;
        if (n == SEEN_MAX)
            return err_set(e, ERR_UNSUPPORTED, 0, "too many snapshots");
        struct seen *seen = &w->seen[n];
        if (n == w->seen_count) {
            *seen = (struct seen){ .host = host_of(row) };
            snprintf(seen->key, sizeof seen->key, "%s", row->key);
            w->seen_count++;
        }
        seen->on |= 1u << i;
        if (!w->full_check && (!restores || (k != chosen && k + 1 < l.count)))
            continue;
        seen->read[i] = true;
        struct err one = { 0 };
        seen->good[i] = restore(p, r, row, seen->host, &seen->version, &one) == 0;
        if (!seen->good[i])
            seen->e = one;
    }
    return 0;
}

static void
check_main(struct place *p)
{
    struct world *w = p->world;

    w->seen_count = 0;
    w->trouble = (struct err){ 0 };
    size_t drawn = sched_draw(TARGETS);
    for (size_t i = 0; i < TARGETS; i++) {
        struct err e = { 0 };
        /* one that was lost, or is no more what it was, shows nothing */
        if (look_at(p, i, i == drawn, &e) < 0 && e.kind != ERR_UNAVAIL
            && e.kind != ERR_NO_TARGET && e.kind != ERR_NOT_FOUND)
            w->trouble = e;
    }
}

static bool
in_a_process(struct place *p, uint64_t seed, void (*fn)(struct place *))
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0) {
        alarm(HANGS_S);
        sched_begin(&p->world->clock, seed);
        fn(p);
        _exit(0);
    }
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

bool
world_step(struct place *p, uint64_t seed)
{
    return in_a_process(p, seed, step_main);
}

bool
world_check(struct place *p, uint64_t seed)
{
    return in_a_process(p, seed, check_main);
}
