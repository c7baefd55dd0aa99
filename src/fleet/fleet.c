#include "fleet/fleet.h"
#include "base/clock.h"
#include "base/log.h"
#include "storage/open.h"

#include "hedge.h"
#include "impl.h"

#include <assert.h>
#include <string.h>

struct health_now
fleet_now(void)
{
    return (struct health_now){ clock_mono_ms(), clock_now().s };
}

/* A try failed that will be made again: to be slowed down is worth knowing before
 * the operation ends. */
static void
tried(void *arg, const struct err *e)
{
    struct target *t = arg;

    if (e->kind == ERR_THROTTLED)
        fleet_event(t->fleet, t, HEALTH_SLOWDOWN, e);
}

int
fleet_open(const struct fleet_options *o, struct fleet **out, struct err *e)
{
    struct fleet *f = mem_zalloc(sizeof *f);

    assert(o->target_count <= FLEET_TARGETS_MAX);
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->changed, NULL);
    f->state = o->state;
    f->spool_dir = mem_strdup(o->spool_dir);
    f->spool_max = o->spool_max;
    f->breaker_ms = o->breaker_ms;
    f->order = o->order;
    f->hedge = hedge_new(f);
    f->distinct_sites = o->distinct_sites;
    f->quorum = o->quorum;
    for (size_t i = 0; i < o->target_count; i++) {
        const struct conf_target *c = &o->targets[i];
        struct target *t = &f->targets[f->count];
        t->conf = c;
        t->name = c->name;
        t->site = c->site ? c->site : c->name;
        struct storage_watch watch = { tried, t, &t->traffic };
        t->fleet = f;
        if (storage_open(c, &watch, &t->store, e) < 0) {
            fleet_close(f);
            return err_in(e, "target %s", c->name);
        }
        if (o->wrap)
            t->store = o->wrap(o->wrap_arg, t->name, t->store);
        f->count++;
        if (memory_recall(f, t, e) < 0) {
            fleet_close(f);
            return -1;
        }
    }
    *out = f;
    return 0;
}

void
fleet_close(struct fleet *f)
{
    if (!f)
        return;
    fleet_stop(f);
    hedge_free(f->hedge);
    memory_keep(f);
    for (size_t i = 0; i < f->count; i++)
        storage_close(f->targets[i].store);
    for (size_t i = 0; i < f->bad_count; i++)
        mem_free(f->bad[i].key);
    pthread_mutex_destroy(&f->lock);
    pthread_cond_destroy(&f->changed);
    mem_free(f->spool_dir);
    mem_free(f);
}

size_t
fleet_count(const struct fleet *f)
{
    return f->count;
}

struct target *
fleet_target(struct fleet *f, size_t i)
{
    assert(i < f->count);
    return &f->targets[i];
}

struct target *
fleet_find(struct fleet *f, const char *name)
{
    for (size_t i = 0; i < f->count; i++)
        if (strcmp(f->targets[i].name, name) == 0)
            return &f->targets[i];
    return NULL;
}

unsigned
fleet_quorum(const struct fleet *f, const struct target *but)
{
    unsigned n = (unsigned)f->count - (but != NULL);

    return f->quorum ? f->quorum : n < 3 ? n : 2;
}

/* On how many different sites the targets with have[i] (NULL: all) stand. */
static unsigned
sites(const struct fleet *f, const bool *have, const struct target *but)
{
    unsigned n = 0;

    for (size_t i = 0; i < f->count; i++) {
        bool first = (!have || have[i]) && &f->targets[i] != but;
        for (size_t j = 0; j < i && first; j++)
            first = !((!have || have[j]) && &f->targets[j] != but
                      && strcmp(f->targets[i].site, f->targets[j].site) == 0);
        n += first;
    }
    return n;
}

bool
fleet_quorum_met(const struct fleet *f, const bool *have, const struct target *but)
{
    unsigned n = 0, quorum = fleet_quorum(f, but);
    bool two = f->distinct_sites && quorum > 1 && sites(f, NULL, but) > 1;

    for (size_t i = 0; i < f->count; i++)
        n += have[i] && &f->targets[i] != but;
    return n >= quorum && sites(f, have, but) >= (two ? 2 : 1);
}

/* Reads are checked by what they bring; who writes has to know whom he writes to.
 * With the lock. */
static bool
usable(const struct fleet *f, const struct target *t)
{
    return health_answers(&t->health) && !(f->started && t->health.unsure);
}

bool
target_is_up(struct fleet *f, const struct target *t)
{
    pthread_mutex_lock(&f->lock);
    bool up = usable(f, t);
    pthread_mutex_unlock(&f->lock);
    return up;
}

enum target_state
target_state(struct fleet *f, const struct target *t)
{
    pthread_mutex_lock(&f->lock);
    enum target_state s = t->health.state;
    pthread_mutex_unlock(&f->lock);
    return s;
}

/* Tells a change; without the lock. */
static void
tell(const struct target *t, enum target_state s, const struct err *why)
{
    if (why)
        log_warn("target %s is %s: %s", t->name, target_state_name(s), err_text(why));
    else
        log_info("target %s is %s", t->name, target_state_name(s));
}

void
fleet_found(struct fleet *f, struct target *t, enum target_state s, const struct err *why)
{
    pthread_mutex_lock(&f->lock);
    enum target_state before = t->health.state;
    health_found(&t->health, s, fleet_now());
    s = t->health.state;
    if (why)
        t->why = *why;
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
    if (s != before)
        tell(t, s, why);
}

void
fleet_why(struct fleet *f, const struct target *t, struct err *why)
{
    pthread_mutex_lock(&f->lock);
    *why = t->why;
    pthread_mutex_unlock(&f->lock);
}

void
fleet_event(struct fleet *f, struct target *t, enum health_event what,
            const struct err *why)
{
    pthread_mutex_lock(&f->lock);
    bool changed = health_event(&t->health, what, fleet_now());
    enum target_state s = t->health.state;
    bool good = health_answers(&t->health);
    if (why && (!good || changed))
        t->why = *why;
    if (changed)
        pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
    if (changed)
        tell(t, s, why);
}

void
fleet_outcome(struct fleet *f, struct target *t, bool put, uint64_t bytes,
              const struct err *why)
{
    int what = why ? health_meaning(why) : put ? HEALTH_STORED : HEALTH_ANSWER;

    if (what < 0)
        return;
    if (what == HEALTH_WRONG) /* only who compares with a name can say so */
        what = HEALTH_ANSWER;
    fleet_event(f, t, (enum health_event)what, what == HEALTH_ANSWER ? NULL : why);
    if (why)
        return;
    pthread_mutex_lock(&f->lock);
    health_pace(&t->health, bytes, fleet_now());
    pthread_mutex_unlock(&f->lock);
}

void
fleet_fail(struct fleet *f, struct target *t, const struct err *why)
{
    int what = health_meaning(why);

    if (what < 0 || what == HEALTH_ANSWER || what == HEALTH_WRONG)
        return;
    if (what == HEALTH_SILENCE || what == HEALTH_SLOWDOWN)
        what = HEALTH_AWAY;
    fleet_event(f, t, (enum health_event)what, why);
}

void
fleet_forget(struct fleet *f, struct target *t)
{
    pthread_mutex_lock(&f->lock);
    t->forgotten = true;
    pthread_mutex_unlock(&f->lock);
}

void
fleet_note(struct fleet *f, struct target *t, enum health_event what)
{
    fleet_event(f, t, what, NULL);
}

int
fleet_nobody(struct fleet *f, struct err *e)
{
    const struct target *told = NULL;

    pthread_mutex_lock(&f->lock);
    for (size_t i = 0; i < f->count; i++) {
        const struct target *t = &f->targets[i];
        if (t->why.kind != ERR_NONE && (!told || told->why.kind == ERR_DENIED))
            told = t;
    }
    pthread_mutex_unlock(&f->lock);
    if (!told)
        return err_set(e, ERR_UNAVAIL, 0, "no target answers");
    fleet_why(f, told, e);
    return err_in(e, "no target can be used; %s", told->name);
}

struct each {
    fleet_each_fn *fn;
    void *arg;
    struct target *target;
    size_t index;
    pthread_t thread;
    bool started;
};

static void *
each_main(void *arg)
{
    struct each *x = arg;

    x->fn(x->arg, x->target, x->index);
    return NULL;
}

void
fleet_each(struct fleet *f, bool also_new, fleet_each_fn *fn, void *arg)
{
    struct each each[FLEET_TARGETS_MAX];

    for (size_t i = 0; i < f->count; i++) {
        struct target *t = &f->targets[i];
        each[i] = (struct each){ fn, arg, t, i, 0, false };
        pthread_mutex_lock(&f->lock);
        bool wanted = usable(f, t) || (also_new && t->health.state == TARGET_NEW);
        pthread_mutex_unlock(&f->lock);
        if (!wanted)
            continue;
        each[i].started = pthread_create(&each[i].thread, NULL, each_main, &each[i]) == 0;
        if (!each[i].started)
            fn(arg, t, i);
    }
    for (size_t i = 0; i < f->count; i++)
        if (each[i].started)
            pthread_join(each[i].thread, NULL);
}
