#include "sim/sched.h"

#include "base/clock.h"
#include "sim/random.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define THREADS_MAX 4096
#define EPOCH_S 2000000000 /* 2033: later than any file that the run makes */
#define SWITCH_ONE_IN 4    /* free locks at which another thread may go on */

enum wait { WAIT_NONE, WAIT_LOCK, WAIT_COND, WAIT_TIME, WAIT_JOIN, WAIT_ALL };

static const char *const wait_names[] = { "runs",   "a lock",   "a condition",
                                          "a time", "a thread", "all" };

struct thread {
    pthread_t id;
    sem_t go;
    int host;
    bool ended;
    enum wait wait;
    const void *on;   /* what it waits for */
    int64_t until_ms; /* INT64_MAX: for ever */
    bool timed_out;
    void *(*fn)(void *);
    void *arg;
};

static struct {
    bool on;
    struct sim_clock *clock;
    uint64_t seed, drawn;
    struct thread threads[THREADS_MAX];
    size_t count;
    bool dead[HOSTS];
    uint64_t steps[HOSTS], die_at[HOSTS], suspend_at[HOSTS];
    int64_t suspend_ms[HOSTS], asleep_until_ms[HOSTS];
} s;

static __thread struct thread *self;

/* The real ones. */
int __real_pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*fn)(void *),
                          void *arg);
int __real_pthread_join(pthread_t t, void **out);
int __real_pthread_mutex_lock(pthread_mutex_t *m);
int __real_pthread_mutex_unlock(pthread_mutex_t *m);
int __real_pthread_cond_wait(pthread_cond_t *c, pthread_mutex_t *m);
int __real_pthread_cond_timedwait(pthread_cond_t *c, pthread_mutex_t *m,
                                  const struct timespec *until);
int __real_pthread_cond_signal(pthread_cond_t *c);
int __real_pthread_cond_broadcast(pthread_cond_t *c);
int __real_pthread_rwlock_rdlock(pthread_rwlock_t *l);
int __real_pthread_rwlock_wrlock(pthread_rwlock_t *l);
int __real_pthread_rwlock_unlock(pthread_rwlock_t *l);

int __wrap_pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*fn)(void *),
                          void *arg);
int __wrap_pthread_join(pthread_t t, void **out);
int __wrap_pthread_mutex_lock(pthread_mutex_t *m);
int __wrap_pthread_mutex_unlock(pthread_mutex_t *m);
int __wrap_pthread_cond_wait(pthread_cond_t *c, pthread_mutex_t *m);
int __wrap_pthread_cond_timedwait(pthread_cond_t *c, pthread_mutex_t *m,
                                  const struct timespec *until);
int __wrap_pthread_cond_signal(pthread_cond_t *c);
int __wrap_pthread_cond_broadcast(pthread_cond_t *c);
int __wrap_pthread_rwlock_rdlock(pthread_rwlock_t *l);
int __wrap_pthread_rwlock_wrlock(pthread_rwlock_t *l);
int __wrap_pthread_rwlock_unlock(pthread_rwlock_t *l);

uint32_t
sched_draw(uint32_t below)
{
    return (uint32_t)(sim_mix(s.seed, ++s.drawn) % below);
}

static bool
is_dead(const struct thread *t)
{
    return t->host != HOST_NONE && s.dead[t->host];
}

static bool
is_over(const struct thread *t)
{
    return t->ended || is_dead(t);
}

static bool
all_over(void)
{
    for (size_t i = 0; i < s.count; i++)
        if (s.threads[i].host != HOST_NONE && !is_over(&s.threads[i]))
            return false;
    return true;
}

/* From when on a thread that is not over may run, if nobody wakes it before. */
static int64_t
runs_at(const struct thread *t)
{
    int64_t asleep = t->host == HOST_NONE ? 0 : s.asleep_until_ms[t->host];
    bool ready = t->wait == WAIT_NONE || (t->wait == WAIT_JOIN && is_over(t->on))
              || (t->wait == WAIT_ALL && all_over());

    return ready || t->until_ms < asleep ? asleep : t->until_ms;
}

static void
tell_threads(void)
{
    for (size_t i = 0; i < s.count; i++) {
        const struct thread *t = &s.threads[i];
        if (!is_over(t))
            fprintf(stderr, "  thread %zu of host %d waits for %s\n", i, t->host,
                    wait_names[t->wait]);
    }
}

/* Which thread is next; moves the clock when all wait for a time. */
static struct thread *
choose(void)
{
    for (;;) {
        static struct thread *ready[THREADS_MAX];
        int64_t first = INT64_MAX;
        size_t n = 0;
        for (size_t i = 0; i < s.count; i++) {
            struct thread *t = &s.threads[i];
            int64_t at = is_over(t) ? INT64_MAX : runs_at(t);
            if (at <= s.clock->ms)
                ready[n++] = t;
            else if (at < first)
                first = at;
        }
        if (n > 0)
            return ready[n == 1 ? 0 : sched_draw((uint32_t)n)];
        if (first == INT64_MAX) {
            fprintf(stderr, "sim: nobody can go on: a deadlock\n");
            tell_threads();
            _exit(99);
        }
        s.clock->ms = first;
    }
}

/* Another thread may go on; returns when this one is chosen again. */
static void
give_way(void)
{
    struct thread *me = self, *next;

    if (me->host != HOST_NONE && !s.dead[me->host]) {
        uint64_t step = ++s.steps[me->host];
        if (s.die_at[me->host] != 0 && step >= s.die_at[me->host])
            s.dead[me->host] = true;
        if (step == s.suspend_at[me->host])
            s.asleep_until_ms[me->host] = s.clock->ms + s.suspend_ms[me->host];
    }
    next = choose();
    if (next == me)
        return;
    sem_post(&next->go);
    while (sem_wait(&me->go) < 0 && errno == EINTR)
        continue;
}

/* Waits until woken or the time is over; false: it is. */
static bool
wait_for(enum wait what, const void *on, int64_t until_ms)
{
    self->wait = what;
    self->on = on;
    self->until_ms = until_ms;
    give_way();
    bool woken = self->wait == WAIT_NONE;
    self->wait = WAIT_NONE;
    self->until_ms = INT64_MAX;
    return woken;
}

static void
wake(enum wait what, const void *on, bool all)
{
    static struct thread *waiting[THREADS_MAX];
    size_t n = 0;

    for (size_t i = 0; i < s.count; i++) {
        struct thread *t = &s.threads[i];
        if (!is_over(t) && t->wait == what && t->on == on)
            waiting[n++] = t;
    }
    if (n == 0)
        return;
    if (all)
        for (size_t i = 0; i < n; i++)
            waiting[i]->wait = WAIT_NONE;
    else
        waiting[sched_draw((uint32_t)n)]->wait = WAIT_NONE;
}

static struct thread *
new_thread(int host)
{
    if (s.count == THREADS_MAX) {
        fprintf(stderr, "sim: more than %d threads\n", THREADS_MAX);
        _exit(99);
    }
    struct thread *t = &s.threads[s.count++];

    *t = (struct thread){ .host = host, .until_ms = INT64_MAX };
    sem_init(&t->go, 0, 0);
    return t;
}

void
sched_begin(struct sim_clock *clock, uint64_t seed)
{
    assert(!s.on);
    s.clock = clock;
    s.seed = seed;
    sim_random_begin(sim_mix(seed, 0));
    s.on = true;
    self = new_thread(HOST_NONE);
    self->id = pthread_self();
}

static void *
begin_thread(void *arg)
{
    struct thread *t = arg;
    void *out;

    self = t;
    while (sem_wait(&t->go) < 0 && errno == EINTR)
        continue;
    out = t->fn(t->arg);
    t->ended = true;
    sem_post(&choose()->go);
    return out;
}

static int
start(int host, void *(*fn)(void *), void *arg, pthread_t *out)
{
    struct thread *t = new_thread(host);
    pthread_attr_t small;

    t->fn = fn;
    t->arg = arg;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 2 << 20);
    int rc = __real_pthread_create(&t->id, &small, begin_thread, t);
    pthread_attr_destroy(&small);
    if (rc != 0)
        t->ended = true;
    else
        *out = t->id;
    return rc;
}

struct call {
    sched_fn *fn;
    void *arg;
};

static void *
call_main(void *arg)
{
    struct call c = *(struct call *)arg;

    free(arg);
    c.fn(c.arg);
    return NULL;
}

void
sched_run(int host, sched_fn *fn, void *arg)
{
    struct call *c = malloc(sizeof *c);
    pthread_t id;

    *c = (struct call){ fn, arg };
    if (start(host, call_main, c, &id) != 0)
        abort();
}

void
sched_wait_all(void)
{
    (void)wait_for(WAIT_ALL, NULL, INT64_MAX);
}

int
sched_host(void)
{
    return self ? self->host : HOST_NONE;
}

void
sched_die_after(int host, uint64_t steps)
{
    s.die_at[host] = steps ? s.steps[host] + steps : 0;
}

void
sched_suspend(int host, uint64_t steps, int64_t ms)
{
    s.suspend_at[host] = steps ? s.steps[host] + steps : 0;
    s.suspend_ms[host] = ms;
}

bool
sched_died(int host)
{
    return s.dead[host];
}

uint64_t
sched_steps(int host)
{
    return s.steps[host];
}

void
sched_sleep(int64_t ms)
{
    (void)wait_for(WAIT_TIME, NULL, s.clock->ms + ms);
}

/* The calls of the program. */

int
__wrap_pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*fn)(void *),
                      void *arg)
{
    if (!s.on)
        return __real_pthread_create(t, a, fn, arg);
    return start(self->host, fn, arg, t);
}

int
__wrap_pthread_join(pthread_t id, void **out)
{
    struct thread *t = NULL;

    if (!s.on)
        return __real_pthread_join(id, out);
    for (size_t i = s.count; i > 0 && !t; i--)
        if (pthread_equal(s.threads[i - 1].id, id))
            t = &s.threads[i - 1];
    assert(t);
    if (!is_over(t))
        (void)wait_for(WAIT_JOIN, t, INT64_MAX);
    return __real_pthread_join(id, out);
}

int
__wrap_pthread_mutex_lock(pthread_mutex_t *m)
{
    if (!s.on)
        return __real_pthread_mutex_lock(m);
    if (sched_draw(SWITCH_ONE_IN) == 0)
        give_way();
    while (pthread_mutex_trylock(m) == EBUSY)
        (void)wait_for(WAIT_LOCK, m, INT64_MAX);
    return 0;
}

int
__wrap_pthread_mutex_unlock(pthread_mutex_t *m)
{
    int rc = __real_pthread_mutex_unlock(m);

    if (s.on)
        wake(WAIT_LOCK, m, true);
    return rc;
}

int
__wrap_pthread_rwlock_rdlock(pthread_rwlock_t *l)
{
    if (!s.on)
        return __real_pthread_rwlock_rdlock(l);
    while (pthread_rwlock_tryrdlock(l) == EBUSY)
        (void)wait_for(WAIT_LOCK, l, INT64_MAX);
    return 0;
}

int
__wrap_pthread_rwlock_wrlock(pthread_rwlock_t *l)
{
    if (!s.on)
        return __real_pthread_rwlock_wrlock(l);
    while (pthread_rwlock_trywrlock(l) == EBUSY)
        (void)wait_for(WAIT_LOCK, l, INT64_MAX);
    return 0;
}

int
__wrap_pthread_rwlock_unlock(pthread_rwlock_t *l)
{
    int rc = __real_pthread_rwlock_unlock(l);

    if (s.on)
        wake(WAIT_LOCK, l, true);
    return rc;
}

static int
wait_cond(pthread_cond_t *c, pthread_mutex_t *m, int64_t until_ms)
{
    __wrap_pthread_mutex_unlock(m);
    bool woken = wait_for(WAIT_COND, c, until_ms);
    while (pthread_mutex_trylock(m) == EBUSY)
        (void)wait_for(WAIT_LOCK, m, INT64_MAX);
    return woken ? 0 : ETIMEDOUT;
}

int
__wrap_pthread_cond_wait(pthread_cond_t *c, pthread_mutex_t *m)
{
    return s.on ? wait_cond(c, m, INT64_MAX) : __real_pthread_cond_wait(c, m);
}

int
__wrap_pthread_cond_timedwait(pthread_cond_t *c, pthread_mutex_t *m,
                              const struct timespec *until)
{
    if (!s.on)
        return __real_pthread_cond_timedwait(c, m, until);
    return wait_cond(c, m, (until->tv_sec - EPOCH_S) * 1000 + until->tv_nsec / 1000000);
}

int
__wrap_pthread_cond_signal(pthread_cond_t *c)
{
    if (!s.on)
        return __real_pthread_cond_signal(c);
    wake(WAIT_COND, c, false);
    return 0;
}

int
__wrap_pthread_cond_broadcast(pthread_cond_t *c)
{
    if (!s.on)
        return __real_pthread_cond_broadcast(c);
    wake(WAIT_COND, c, true);
    return 0;
}

/* The clock, instead of base/clock.c. */

static int64_t
now_ms(void)
{
    return s.clock ? s.clock->ms : 0;
}

struct clock_time
clock_now(void)
{
    int host = sched_host();
    int64_t ms = now_ms(), skew = host == HOST_NONE ? 0 : s.clock->skew_s[host];

    return (struct clock_time){ EPOCH_S + ms / 1000 + skew,
                                (int32_t)(ms % 1000) * 1000000 };
}

int64_t
clock_mono_ms(void)
{
    return now_ms();
}

int64_t
clock_boot_ms(void)
{
    return now_ms();
}

void
clock_sleep_ms(int64_t ms)
{
    if (s.on)
        sched_sleep(ms);
}

struct timespec
clock_after(int64_t ms)
{
    int64_t until = now_ms() + ms;

    return (struct timespec){ EPOCH_S + until / 1000, until % 1000 * 1000000 };
}

void
clock_skew(int64_t seconds)
{
    s.clock->skew_s[sched_host()] = seconds;
}

void
clock_suspend(int64_t ms)
{
    (void)ms; /* see sched_suspend() */
}
