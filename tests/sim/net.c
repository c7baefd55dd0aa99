#include "sim/net.h"

#include "base/clock.h"
#include "storage/driver.h"
#include "storage/wrap.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

struct end {
    struct storage base; /* first: a struct end is a struct storage */
    struct storage *fault;
    struct net *net;
    size_t target;
    char *folder;
};

static struct end *
end_of(struct storage *s)
{
    return (struct end *)s;
}

static struct line *
line_of(const struct end *x)
{
    int host = sched_host();

    return &x->net->line[host == HOST_NONE ? 0 : host][x->target];
}

/* The way to the store: it takes its time, may be cut, and something may happen
 * to this very call. */
static int
go(const struct end *x, struct err *e)
{
    const struct line *l = line_of(x);
    int64_t now;

    sched_sleep(l->latency_ms ? sched_draw(l->latency_ms) : 0);
    now = clock_mono_ms();
    if (now >= l->gone_ms && now < l->back_ms) {
        sched_sleep(sched_draw(20000)); /* until it is noticed */
        return err_set(e, ERR_UNAVAIL, 0, "simulated: t%zu does not answer", x->target);
    }
    if (l->faults > 0 && sched_draw(1000) < l->faults) {
        struct fault_plan plan = { .at = 1, .count = 1 };
        do
            plan.mode = sched_draw(FAULT_MISSING);
        while (!(l->modes >> plan.mode & 1));
        storage_fault_plan(x->fault, &plan);
    }
    return 0;
}

static void
come_back(const struct end *x)
{
    const struct line *l = line_of(x);

    sched_sleep(l->latency_ms ? sched_draw(l->latency_ms) : 0);
}

/* What is new is listed some time later, and as old as the store's clock says. */
static void
note_put(const struct end *x, const char *key, bool known)
{
    struct store *s = &x->net->store[x->target];
    int64_t now = clock_mono_ms();
    struct clock_time t = clock_now();
    struct timespec times[2] = { { .tv_sec = t.s }, { .tv_sec = t.s } };
    char path[PATH_MAX];

    if (sched_host() != HOST_NONE) /* of the store, not of the host */
        times[0].tv_sec = times[1].tv_sec = clock_after(0).tv_sec;
    times[0].tv_sec += s->skew_s;
    times[1].tv_sec += s->skew_s;
    snprintf(path, sizeof path, "%s/%s", x->folder, key);
    utimensat(AT_FDCWD, path, times, 0);
    if (known || s->late_ms == 0)
        return;
    for (size_t i = 0; i < LATE_MAX; i++)
        if (s->late[i].until_ms <= now) {
            s->late[i].until_ms = now + sched_draw(s->late_ms);
            storage_key_copy(s->late[i].key, key);
            return;
        }
}

static bool
is_late(const struct end *x, const char *key)
{
    const struct store *s = &x->net->store[x->target];
    int64_t now = clock_mono_ms();

    for (size_t i = 0; i < LATE_MAX; i++)
        if (s->late[i].until_ms > now && strcmp(s->late[i].key, key) == 0)
            return true;
    return false;
}

/* A pack that was deleted stays away. */
static void
note_deletes(const struct end *x, const char *const *keys, size_t count)
{
    struct store *s = &x->net->store[x->target];

    for (size_t i = 0; i < count; i++)
        if (strncmp(keys[i], "pack/", 5) == 0)
            storage_key_copy(s->deleted[s->deleted_count++ % DELETED_MAX], keys[i]);
}

static void
note_return(const struct end *x, const char *key)
{
    struct store *s = &x->net->store[x->target];

    for (unsigned i = 0; i < s->deleted_count && i < DELETED_MAX; i++)
        if (strcmp(s->deleted[i], key) == 0)
            storage_key_copy(s->back, key);
}

static int
end_put(struct storage *s, const char *key, const struct body *body, unsigned flags,
        struct err *e)
{
    struct end *x = end_of(s);
    struct stat st;
    char path[PATH_MAX];

    if (go(x, e) < 0)
        return -1;
    snprintf(path, sizeof path, "%s/%s", x->folder, key);
    bool known = stat(path, &st) == 0;
    if (!known)
        note_return(x, key);
    int rc = storage_put(x->fault, key, body, flags, e);
    if (rc == 0 || stat(path, &st) == 0)
        note_put(x, key, known);
    come_back(x);
    return rc;
}

static int
end_get(struct storage *s, const struct range *r, struct buf *out, struct err *e)
{
    struct end *x = end_of(s);

    if (go(x, e) < 0)
        return -1;
    if (range_check(r, e) < 0)
        return -1;
    int rc = storage_get(x->fault, r, out, e);
    come_back(x);
    return rc;
}

static int
end_head(struct storage *s, const char *key, struct object_info *out, struct err *e)
{
    struct end *x = end_of(s);

    if (go(x, e) < 0)
        return -1;
    int rc = storage_head(x->fault, key, out, e);
    come_back(x);
    return rc;
}

struct listing {
    const struct end *end;
    storage_list_fn *fn;
    void *arg;
};

static int
listed(void *arg, const struct object_info *o, struct err *e)
{
    struct listing *l = arg;

    return is_late(l->end, o->key) ? 0 : l->fn(l->arg, o, e);
}

static int
end_list(struct storage *s, const char *prefix, const char *after, storage_list_fn *fn,
         void *arg, struct err *e)
{
    struct end *x = end_of(s);
    struct listing l = { x, fn, arg };

    if (go(x, e) < 0)
        return -1;
    int rc = storage_list_after(x->fault, prefix, after, listed, &l, e);
    if (rc == 0)
        come_back(x);
    return rc;
}

static int
end_remove(struct storage *s, const char *const *keys, size_t count, struct err *e)
{
    struct end *x = end_of(s);

    if (go(x, e) < 0)
        return -1;
    note_deletes(x, keys, count);
    int rc = storage_remove(x->fault, keys, count, e);
    come_back(x);
    return rc;
}

static int
end_now(struct storage *s, int64_t *out_s, struct err *e)
{
    struct end *x = end_of(s);

    if (go(x, e) < 0)
        return -1;
    *out_s = clock_after(0).tv_sec + x->net->store[x->target].skew_s;
    return 0;
}

static void
end_close(struct storage *s)
{
    struct end *x = end_of(s);

    storage_close(x->fault);
    mem_free(x->folder);
    mem_free(x);
}

struct storage *
net_wrap(struct net *net, size_t target, struct storage *inner)
{
    static const struct storage_ops ops = {
        .put = end_put,
        .get = end_get,
        .head = end_head,
        .list = end_list,
        .remove = end_remove,
        .now = end_now,
        .close = end_close,
    };
    struct end *x = mem_zalloc(sizeof *x);
    struct fault_plan none = { .at = 0 };
    unsigned traits = storage_traits(inner);

    x->net = net;
    x->target = target;
    x->folder = mem_strdup(storage_url(inner) + strlen("file://"));
    x->fault = storage_fault(inner, &none);
    if (line_of(x)->remote)
        traits &= ~(unsigned)STORAGE_LOCAL;
    x->base = (struct storage){ .ops = &ops,
                                .traits = traits,
                                .url = mem_strdup(storage_url(inner)) };
    return &x->base;
}

bool
net_lags(const struct net *net, size_t target)
{
    const struct store *s = &net->store[target];
    bool lags = s->late_ms > 0;

    for (size_t i = 0; i < LATE_MAX && !lags; i++)
        lags = s->late[i].until_ms > clock_mono_ms();
    return lags;
}

void
net_heal(struct net *net)
{
    memset(net, 0, sizeof *net);
}
