#include "fleet/fleet.h"
#include "base/log.h"
#include "storage/open.h"

#include "impl.h"

#include <assert.h>
#include <string.h>

const char *
target_state_name(enum target_state s)
{
    static const char *const names[] = { "new",  "up",    "down",   "denied",
                                         "full", "empty", "foreign" };

    assert(s < COUNT_OF(names));
    return names[s];
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
    f->distinct_sites = o->distinct_sites;
    f->quorum = o->quorum           ? o->quorum
              : o->target_count < 3 ? (unsigned)o->target_count
                                    : 2;
    for (size_t i = 0; i < o->target_count; i++) {
        const struct conf_target *c = &o->targets[i];
        struct target *t = &f->targets[f->count];
        t->conf = c;
        t->name = c->name;
        t->site = c->site ? c->site : c->name;
        if (storage_open(c, NULL, &t->store, e) < 0) {
            fleet_close(f);
            return err_in(e, "target %s", c->name);
        }
        if (o->wrap)
            t->store = o->wrap(o->wrap_arg, t->name, t->store);
        f->count++;
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

unsigned
fleet_quorum(const struct fleet *f)
{
    return f->quorum;
}

/* How many different sites the targets with have[i] (NULL: all) stand on. */
static unsigned
sites(const struct fleet *f, const bool *have)
{
    unsigned n = 0;

    for (size_t i = 0; i < f->count; i++) {
        bool first = !have || have[i];
        for (size_t j = 0; j < i && first; j++)
            first = !((!have || have[j])
                      && strcmp(f->targets[i].site, f->targets[j].site) == 0);
        n += first;
    }
    return n;
}

bool
fleet_quorum_met(const struct fleet *f, const bool *have)
{
    unsigned n = 0, all = sites(f, NULL);
    unsigned need = !f->distinct_sites || all < 2 || f->quorum < 2 ? 1 : 2;

    for (size_t i = 0; i < f->count; i++)
        n += have[i];
    return n >= f->quorum && sites(f, have) >= need;
}

bool
target_is_up(struct fleet *f, const struct target *t)
{
    pthread_mutex_lock(&f->lock);
    bool up = t->state == TARGET_UP;
    pthread_mutex_unlock(&f->lock);
    return up;
}

void
fleet_set_state(struct fleet *f, struct target *t, enum target_state s,
                const struct err *why)
{
    pthread_mutex_lock(&f->lock);
    bool changed = t->state != s;
    t->state = s;
    if (why)
        t->why = *why;
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
    if (changed && s != TARGET_UP && why)
        log_warn("target %s is %s: %s", t->name, target_state_name(s), err_text(why));
}

void
fleet_why(struct fleet *f, const struct target *t, struct err *why)
{
    pthread_mutex_lock(&f->lock);
    *why = t->why;
    pthread_mutex_unlock(&f->lock);
}

void
fleet_fail(struct fleet *f, struct target *t, const struct err *why)
{
    switch (why->kind) {
    case ERR_DENIED:
        fleet_set_state(f, t, TARGET_DENIED, why);
        return;
    case ERR_FULL:
        fleet_set_state(f, t, TARGET_FULL, why);
        return;
    case ERR_NOT_FOUND:
    case ERR_CORRUPT:
    case ERR_FORGED:
    case ERR_CANCELLED:
        return; /* about one object or about us, not about the target */
    default:
        fleet_set_state(f, t, TARGET_DOWN, why);
    }
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
        bool wanted = t->state == TARGET_UP || (also_new && t->state == TARGET_NEW);
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
