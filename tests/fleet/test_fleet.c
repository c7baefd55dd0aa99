#include "base/clock.h"
#include "storage/dir.h"
#include "support/fixture.h"

#include <dirent.h>
#include <limits.h>
#include <pthread.h>
#include <unistd.h>

#define TARGETS_MAX 4

/* A fleet on folders t0, t1, ... whose storages a fault may break. */
struct rig {
    struct folder folder;
    struct conf_target conf[TARGETS_MAX];
    size_t count;
    const char *sites[TARGETS_MAX];
    unsigned quorum;
    uint64_t spool_max;
    struct hook *hook; /* round the folder, inside the fault */
    struct hook *slow; /* the same, round t0 alone */
    enum read_order order;
    struct storage *fault[TARGETS_MAX];
    struct state *state;
    struct fleet *fleet;
    struct err e;
};

static struct storage *
wrap(void *arg, const char *target, struct storage *inner)
{
    struct rig *r = arg;
    struct fault_plan none = { .at = 0 };
    size_t i = (size_t)(target[1] - '0');

    if (r->hook)
        inner = storage_hook(inner, r->hook);
    if (r->slow && i == 0)
        inner = storage_hook(inner, r->slow);
    return r->fault[i] = storage_fault(inner, &none);
}

static void
rig_open(struct rig *r)
{
    AUTOFREE char *spool = folder_path(&r->folder, "spool");
    struct fleet_options o = { .targets = r->conf,
                               .target_count = r->count,
                               .distinct_sites = true,
                               .quorum = r->quorum,
                               .order = r->order,
                               .spool_dir = spool,
                               .spool_max = r->spool_max,
                               .breaker_ms = 50,
                               .wrap = wrap,
                               .wrap_arg = r };

    assert_ok(fs_mkdirs(spool, 0700, &r->e), &r->e);
    assert_ok(state_open(r->folder.path, true, &r->state, &r->e), &r->e);
    o.state = r->state;
    assert_ok(fleet_open(&o, &r->fleet, &r->e), &r->e);
    for (size_t i = 0; i < r->count; i++)
        fleet_found(r->fleet, fleet_target(r->fleet, i), TARGET_UP, NULL);
}

static void
rig_close(struct rig *r)
{
    fleet_close(TAKE(r->fleet));
    state_close(TAKE(r->state));
}

static void
rig_init(struct rig *r, size_t count)
{
    *r = (struct rig){ .count = count, .spool_max = 1 << 30 };
    folder_make(&r->folder);
    for (size_t i = 0; i < count; i++) {
        AUTOFREE char *dir = mem_printf("%s/t%zu", r->folder.path, i);
        assert_ok(fs_mkdirs(dir, 0755, &r->e), &r->e);
        r->conf[i].name = mem_printf("t%zu", i);
        r->conf[i].url = mem_printf("file://%s", dir);
    }
}

static void
rig_release(struct rig *r)
{
    rig_close(r);
    for (size_t i = 0; i < r->count; i++) {
        mem_free(r->conf[i].name);
        mem_free(r->conf[i].url);
    }
    folder_remove(&r->folder);
}

#define RIG(name, count)                  \
    CLEANUP(rig_release) struct rig name; \
    rig_init(&name, count)

static void
break_target(struct rig *r, size_t i, enum fault_mode mode, unsigned calls)
{
    struct fault_plan plan = { .mode = mode, .calls = calls, .at = 1, .count = UINT_MAX };

    storage_fault_plan(r->fault[i], &plan);
}

static void
mend(struct rig *r, size_t i)
{
    storage_fault_plan(r->fault[i], &(struct fault_plan){ .at = 0 });
}

/* Far from its next probe. */
static void
down(struct rig *r, size_t i)
{
    struct err away = { .kind = ERR_UNAVAIL, .text = "unplugged" };

    fleet_fail(r->fleet, fleet_target(r->fleet, i), &away);
    fleet_target(r->fleet, i)->health.next_try_ms = INT64_MAX;
}

static void
start(struct rig *r)
{
    assert_ok(fleet_start(r->fleet, &(struct fleet_rules){ 0 }, &r->e), &r->e);
}

/* Kill and come again, as far as files tell. */
static void
restart(struct rig *r)
{
    rig_close(r);
    rig_open(r);
    start(r);
}

static int
wait_for(struct rig *r, size_t i, int64_t ms)
{
    r->e = (struct err){ 0 };
    return fleet_wait(r->fleet, fleet_target(r->fleet, i), fleet_position(r->fleet), ms,
                      &r->e);
}

static char *
content_of(size_t n)
{
    return mem_printf("object %zu, all of it", n);
}

static char *
key_of(size_t n)
{
    return mem_printf("pack/%02zu", n);
}

static void
put(struct rig *r, size_t n)
{
    AUTOFREE char *key = key_of(n), *content = content_of(n);

    assert_ok(fleet_put(r->fleet, key, RANK_PACK, slice_str(content), &r->e), &r->e);
}

/* Does the folder of target `i` hold object `n`, as it should be? */
static bool
holds(struct rig *r, size_t i, size_t n)
{
    AUTOFREE char *content = content_of(n);
    AUTOFREE char *key = key_of(n);
    AUTOFREE char *path = mem_printf("%s/t%zu/%s", r->folder.path, i, key);
    AUTOBUF struct buf got = BUF(1000);
    struct err e = { 0 };

    if (access(path, F_OK) < 0)
        return false;
    assert_ok(fs_read(path, 1000, &got, &e), &e);
    assert_true(slice_equal(buf_slice(&got), slice_str(content)));
    return true;
}

static void
place(struct rig *r, size_t i, size_t n, const char *content)
{
    AUTOFREE char *key = key_of(n);
    AUTOFREE char *name = mem_printf("t%zu/%s", i, key);

    folder_write(&r->folder, name, slice_str(content));
}

static uint64_t
queued(struct rig *r, size_t i)
{
    uint64_t rows = 0, bytes = 0;

    assert_ok(state_queue_sum(r->state, r->conf[i].name, &rows, &bytes, &r->e), &r->e);
    assert_int_equal(rows == 0, bytes == 0);
    return rows;
}

static unsigned
spooled(const struct rig *r)
{
    AUTOFREE char *path = folder_path(&r->folder, "spool");
    DIR *dir = opendir(path);
    unsigned n = 0;

    assert_non_null(dir);
    for (struct dirent *d; (d = readdir(dir)) != NULL;)
        n += strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0;
    closedir(dir);
    return n;
}

/* The rule how many. */

static void
the_usual_quorum_is_all_of_two_and_two_of_more(void **state)
{
    static const unsigned usual[] = { 0, 1, 2, 2, 2 };

    (void)state;
    for (size_t n = 1; n <= 4; n++) {
        RIG(r, n);
        rig_open(&r);
        assert_int_equal(fleet_count(r.fleet), n);
        assert_int_equal(fleet_quorum(r.fleet, NULL), usual[n]);
    }
    RIG(r, 3);
    r.quorum = 3;
    rig_open(&r);
    assert_int_equal(fleet_quorum(r.fleet, NULL), 3);
}

/* Two copies in one house burn together. */
static void
a_quorum_stands_on_two_sites(void **state)
{
    static const struct {
        const char *sites[3];
        unsigned quorum;
        bool have[3];
        bool met;
    } cases[] = {
        { { "a", "a", "b" }, 0, { true, true, false }, false },
        { { "a", "a", "b" }, 0, { true, false, true }, true },
        { { "a", "a", "b" }, 0, { false, false, true }, false },
        { { "a", "a", "b" }, 1, { true, false, false }, true },
        { { "a", "a", "a" }, 0, { true, true, false }, true },
        { { NULL, NULL, NULL }, 0, { true, true, false }, true },
        { { NULL, NULL, NULL }, 0, { true, false, false }, false },
        { { NULL, NULL, NULL }, 3, { true, true, false }, false },
        { { "a", "a", "b" }, 3, { true, true, true }, true },
        { { "a", "a", "b" }, 0, { false, false, false }, false },
        { { "t1", NULL, "b" }, 0, { true, true, false }, false },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        RIG(r, 3);
        for (size_t k = 0; k < 3; k++)
            r.conf[k].site = mem_strdup(cases[i].sites[k]);
        r.quorum = cases[i].quorum;
        rig_open(&r);
        if (fleet_quorum_met(r.fleet, cases[i].have, NULL) != cases[i].met)
            fail_msg("case %zu", i);
        rig_close(&r);
        for (size_t k = 0; k < 3; k++)
            mem_free(TAKE(r.conf[k].site));
    }
}

/* As if the last one were gone. */
static void
a_quorum_without_one_follows_the_same_rule(void **state)
{
    static const struct {
        const char *sites[4];
        size_t count;
        unsigned asked, quorum;
        bool have[4];
        bool met;
    } cases[] = {
        { { "a", "b", "c" }, 3, 0, 2, { true, true, true }, true },
        { { "a", "b", "c" }, 3, 0, 2, { true, false, true }, false },
        { { "a", "b" }, 2, 0, 1, { true, true }, true },
        { { "a", "b", "c" }, 3, 3, 3, { true, true, true }, false },
        { { "a", "a", "b", "c" }, 4, 0, 2, { true, true, false, true }, false },
        { { "a", "a", "b", "c" }, 4, 0, 2, { true, false, true, false }, true },
        { { "a", "a", "b" }, 3, 0, 2, { true, true, true }, true },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        RIG(r, cases[i].count);
        for (size_t k = 0; k < r.count; k++)
            r.conf[k].site = mem_strdup(cases[i].sites[k]);
        r.quorum = cases[i].asked;
        rig_open(&r);
        const struct target *last = fleet_target(r.fleet, r.count - 1);
        assert_int_equal(fleet_quorum(r.fleet, last), cases[i].quorum);
        if (fleet_quorum_met(r.fleet, cases[i].have, last) != cases[i].met)
            fail_msg("case %zu", i);
        rig_close(&r);
        for (size_t k = 0; k < r.count; k++)
            mem_free(TAKE(r.conf[k].site));
    }
}

static void
an_error_tells_of_the_target_or_of_the_object(void **state)
{
    static const struct {
        enum err_kind kind;
        enum target_state state;
    } cases[] = {
        { ERR_UNAVAIL, TARGET_DOWN },   { ERR_THROTTLED, TARGET_DOWN },
        { ERR_DENIED, TARGET_DENIED },  { ERR_FULL, TARGET_FULL },
        { ERR_NO_TARGET, TARGET_DOWN }, { ERR_NOT_FOUND, TARGET_UP },
        { ERR_CORRUPT, TARGET_UP },     { ERR_FORGED, TARGET_UP },
        { ERR_CANCELLED, TARGET_UP },
    };
    RIG(r, 1);

    (void)state;
    rig_open(&r);
    struct target *t = fleet_target(r.fleet, 0);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct err e = { 0 };
        err_set(&e, cases[i].kind, 0, "x");
        fleet_found(r.fleet, t, TARGET_UP, NULL);
        fleet_fail(r.fleet, t, &e);
        assert_string_equal(target_state_name(target_state(r.fleet, t)),
                            target_state_name(cases[i].state));
        assert_int_equal(target_is_up(r.fleet, t),
                         cases[i].state == TARGET_UP || cases[i].state == TARGET_FULL);
    }
}

static void
note_asked(void *arg, struct target *t, size_t index)
{
    atomic_uint *asked = arg;

    assert_int_equal(t->name[1] - '0', index);
    atomic_fetch_or(asked, 1u << index);
}

static void
only_targets_that_are_up_are_asked(void **state)
{
    atomic_uint asked = 0;
    RIG(r, 4);

    (void)state;
    rig_open(&r);
    down(&r, 1);
    health_init(&fleet_target(r.fleet, 2)->health, 1, 0);
    fleet_each(r.fleet, false, note_asked, &asked);
    assert_int_equal(atomic_load(&asked), 1 | 8);
    fleet_each(r.fleet, true, note_asked, &asked);
    assert_int_equal(atomic_load(&asked), 1 | 4 | 8);
}

/* Writing. */

static void
what_is_put_gets_to_every_target(void **state)
{
    RIG(r, 3);

    (void)state;
    rig_open(&r);
    start(&r);
    for (size_t n = 0; n < 80; n++) /* more than a lane holds */
        put(&r, n);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(wait_for(&r, i, 20000), 1);
        for (size_t n = 0; n < 80; n++)
            assert_true(holds(&r, i, n));
        assert_int_equal(queued(&r, i), 0);
        assert_int_equal(atomic_load(&fleet_target(r.fleet, i)->objects_sent), 80);
    }
    assert_int_equal(spooled(&r), 0);
}

static void
nothing_to_deliver_is_delivered_at_once(void **state)
{
    RIG(r, 2);

    (void)state;
    rig_open(&r);
    start(&r);
    assert_int_equal(wait_for(&r, 0, 5000), 1);
    assert_int_equal(wait_for(&r, 1, 5000), 1);
}

static void
an_empty_object_is_delivered(void **state)
{
    RIG(r, 1);

    (void)state;
    rig_open(&r);
    start(&r);
    assert_ok(fleet_put(r.fleet, "conf/x", RANK_PACK, SLICE(""), &r.e), &r.e);
    assert_int_equal(wait_for(&r, 0, 5000), 1);
    AUTOFREE char *path = folder_path(&r.folder, "t0/conf/x");
    assert_int_equal(access(path, F_OK), 0);
}

/* One of three is away: the queue remembers it, the spool need not, and the
 * next run gets the bytes from those that have them. */
static void
a_target_that_was_away_is_caught_up_from_the_others(void **state)
{
    RIG(r, 3);

    (void)state;
    rig_open(&r);
    break_target(&r, 2, FAULT_REFUSE, FAULT_ON_PUT);
    start(&r);
    for (size_t n = 0; n < 5; n++)
        put(&r, n);
    assert_int_equal(wait_for(&r, 0, 5000), 1);
    assert_int_equal(wait_for(&r, 1, 5000), 1);
    assert_int_equal(wait_for(&r, 2, 5000), -1);
    assert_int_equal(r.e.kind, ERR_UNAVAIL);
    assert_false(target_is_up(r.fleet, fleet_target(r.fleet, 2)));
    fleet_stop(r.fleet);
    assert_int_equal(queued(&r, 0), 0);
    assert_int_equal(queued(&r, 2), 5);
    assert_int_equal(spooled(&r), 0);
    restart(&r);
    assert_int_equal(wait_for(&r, 2, 5000), 1);
    for (size_t n = 0; n < 5; n++)
        assert_true(holds(&r, 2, n));
    assert_int_equal(queued(&r, 2), 0);
    assert_int_equal(spooled(&r), 0); /* nor what was fetched */
}

/* Too few have it: the spool is the only good copy and must stay. */
static void
without_a_quorum_the_spool_keeps_everything(void **state)
{
    RIG(r, 3);

    (void)state;
    rig_open(&r);
    break_target(&r, 1, FAULT_REFUSE, FAULT_ON_PUT);
    break_target(&r, 2, FAULT_REFUSE, FAULT_ON_PUT);
    start(&r);
    for (size_t n = 0; n < 5; n++)
        put(&r, n);
    assert_int_equal(wait_for(&r, 0, 5000), 1);
    assert_int_equal(wait_for(&r, 1, 5000), -1);
    assert_int_equal(wait_for(&r, 2, 5000), -1);
    fleet_stop(r.fleet);
    assert_int_equal(spooled(&r), 5);
    for (size_t n = 0; n < 5; n++) { /* and t0 is lost too */
        AUTOFREE char *key = key_of(n);
        AUTOFREE char *path = mem_printf("%s/t0/%s", r.folder.path, key);
        assert_int_equal(unlink(path), 0);
    }
    restart(&r);
    assert_int_equal(wait_for(&r, 1, 5000), 1);
    assert_int_equal(wait_for(&r, 2, 5000), 1);
    for (size_t n = 0; n < 5; n++)
        assert_true(holds(&r, 1, n) && holds(&r, 2, n));
    assert_int_equal(spooled(&r), 0);
}

static void
an_answer_that_was_lost_is_asked_for_again(void **state)
{
    RIG(r, 2);

    (void)state;
    rig_open(&r);
    break_target(&r, 1, FAULT_LOSE_ACK, FAULT_ON_PUT);
    start(&r);
    put(&r, 1);
    assert_int_equal(wait_for(&r, 1, 5000), -1);
    assert_true(holds(&r, 1, 1));
    assert_int_equal(queued(&r, 1), 1);
    restart(&r);
    assert_int_equal(wait_for(&r, 1, 5000), 1);
    assert_int_equal(queued(&r, 1), 0);
}

static void
a_target_that_was_down_at_the_start_gets_its_share_later(void **state)
{
    RIG(r, 2);

    (void)state;
    rig_open(&r);
    fleet_found(r.fleet, fleet_target(r.fleet, 1), TARGET_EMPTY, NULL);
    start(&r);
    put(&r, 1);
    assert_int_equal(wait_for(&r, 0, 5000), 1);
    assert_int_equal(wait_for(&r, 1, 5000), -1);
    assert_false(holds(&r, 1, 1));
    assert_int_equal(storage_fault_calls(r.fault[1]), 0); /* never filled by a backup */
    restart(&r);
    assert_int_equal(wait_for(&r, 1, 5000), 1);
    assert_true(holds(&r, 1, 1));
}

/* A remote target: puts in parallel that take a while. It is seen whether what
 * is no pack ever arrives before all that was put before it. */
struct order {
    pthread_mutex_t lock;
    unsigned packs, packs_done, parallel, most;
    unsigned index_at, snap_at; /* packs done when these were begun */
    bool index_done, wrong;
};

static void
order_before(void *arg, enum fault_call call, const char *key)
{
    struct order *o = arg;

    if (call != FAULT_ON_PUT)
        return;
    pthread_mutex_lock(&o->lock);
    o->parallel++;
    o->most = o->parallel > o->most ? o->parallel : o->most;
    if (strncmp(key, "index/", 6) == 0)
        o->index_at = o->packs_done;
    if (strncmp(key, "snap/", 5) == 0) {
        o->snap_at = o->packs_done;
        o->wrong |= !o->index_done;
    }
    pthread_mutex_unlock(&o->lock);
    clock_sleep_ms(key[6] % 4);
}

static void
order_after(void *arg, enum fault_call call, const char *key)
{
    struct order *o = arg;

    if (call != FAULT_ON_PUT)
        return;
    pthread_mutex_lock(&o->lock);
    o->parallel--;
    o->packs_done += strncmp(key, "pack/", 5) == 0;
    o->index_done |= strncmp(key, "index/", 6) == 0;
    pthread_mutex_unlock(&o->lock);
}

static void
a_snapshot_never_arrives_before_its_packs(void **state)
{
    struct order o = { .lock = PTHREAD_MUTEX_INITIALIZER };
    struct hook hook = { order_before, order_after, &o, 0 };
    RIG(r, 1);

    (void)state;
    r.hook = &hook;
    rig_open(&r);
    start(&r);
    for (size_t round = 0; round < 5; round++) {
        AUTOFREE char *index = mem_printf("index/%zu", round);
        AUTOFREE char *snap = mem_printf("snap/%zu", round);
        pthread_mutex_lock(&o.lock);
        o.index_done = false;
        pthread_mutex_unlock(&o.lock);
        for (size_t n = 0; n < 17; n++)
            put(&r, round * 17 + n);
        assert_ok(fleet_put(r.fleet, index, RANK_INDEX, SLICE("i"), &r.e), &r.e);
        assert_ok(fleet_put(r.fleet, snap, RANK_SNAP, SLICE("s"), &r.e), &r.e);
        assert_int_equal(wait_for(&r, 0, 20000), 1);
        assert_int_equal(o.index_at, 17 * (round + 1));
        assert_int_equal(o.snap_at, 17 * (round + 1));
        assert_false(o.wrong);
    }
    assert_in_range(o.most, 2, 16); /* else the test has seen nothing */
}

/* A put fails once: what is behind it waits until it was repeated. */
static void
a_snapshot_does_not_overtake_a_pack_that_failed(void **state)
{
    (void)state;
    for (unsigned at = 1; at <= 6; at++) {
        struct fault_plan plan = {
            .mode = FAULT_REFUSE, .calls = FAULT_ON_PUT, .at = at, .count = 1
        };
        struct order o = { .lock = PTHREAD_MUTEX_INITIALIZER, .index_done = true };
        struct hook hook = { order_before, order_after, &o, 0 };
        RIG(r, 1);
        r.hook = &hook;
        rig_open(&r);
        storage_fault_plan(r.fault[0], &plan);
        start(&r);
        for (size_t n = 0; n < 6; n++)
            put(&r, n);
        assert_ok(fleet_put(r.fleet, "snap/0", RANK_SNAP, SLICE("s"), &r.e), &r.e);
        assert_int_equal(wait_for(&r, 0, 20000), 1);
        assert_int_equal(storage_fault_hits(r.fault[0]), 1);
        assert_int_equal(o.snap_at, 6);
        for (size_t n = 0; n < 6; n++)
            assert_true(holds(&r, 0, n));
    }
}

/* The pack fails for good, so the snapshot behind it is never there. */
static void
a_snapshot_does_not_arrive_without_its_packs(void **state)
{
    struct fault_plan plan = { .mode = FAULT_REFUSE,
                               .calls = FAULT_ON_PUT,
                               .at = 1,
                               .count = UINT_MAX,
                               .prefix = "pack/03" };
    RIG(r, 1);

    (void)state;
    rig_open(&r);
    storage_fault_plan(r.fault[0], &plan);
    start(&r);
    for (size_t n = 0; n < 6; n++)
        put(&r, n);
    assert_ok(fleet_put(r.fleet, "snap/0", RANK_SNAP, SLICE("s"), &r.e), &r.e);
    assert_int_equal(wait_for(&r, 0, 20000), -1);
    AUTOFREE char *path = folder_path(&r.folder, "t0/snap/0");
    assert_int_equal(access(path, F_OK), -1);
    restart(&r);
    assert_int_equal(wait_for(&r, 0, 20000), 1);
    assert_int_equal(access(path, F_OK), 0);
}

/* It dies in the middle of the run and comes back in the middle of it: nobody has
 * to start anything anew. */
static void
a_target_that_returns_gets_the_rest(void **state)
{
    RIG(r, 3);

    (void)state;
    rig_open(&r);
    start(&r);
    put(&r, 0);
    assert_int_equal(wait_for(&r, 2, 5000), 1);
    break_target(&r, 2, FAULT_REFUSE, FAULT_ON_ALL);
    for (size_t n = 1; n < 20; n++)
        put(&r, n);
    assert_int_equal(wait_for(&r, 2, 5000), -1);
    assert_int_equal(target_state(r.fleet, fleet_target(r.fleet, 2)), TARGET_DOWN);
    mend(&r, 2);
    for (int i = 0; i < 500 && !target_is_up(r.fleet, fleet_target(r.fleet, 2)); i++)
        clock_sleep_ms(10);
    assert_int_equal(wait_for(&r, 2, 5000), 1);
    for (size_t n = 0; n < 20; n++)
        assert_true(holds(&r, 2, n));
    assert_int_equal(queued(&r, 2), 0);
    for (int i = 0; i < 500; i++) /* and it is level then */
        if (target_state(r.fleet, fleet_target(r.fleet, 2)) != TARGET_UP)
            clock_sleep_ms(10);
    assert_int_equal(target_state(r.fleet, fleet_target(r.fleet, 2)), TARGET_UP);
}

static int
is_another(void *arg, struct target *t, size_t index, struct err *e)
{
    struct rig *r = arg;

    assert_int_equal(index, 1);
    fleet_found(r->fleet, t, TARGET_FOREIGN, NULL);
    return err_set(e, ERR_FORGED, 0, "it is another one now");
}

/* An unmounted disk, another bucket: what returns is looked at before it is given
 * anything. */
static void
what_returns_as_another_gets_nothing(void **state)
{
    RIG(r, 2);

    (void)state;
    rig_open(&r);
    down(&r, 1);
    fleet_target(r.fleet, 1)->health.next_try_ms = 0;
    assert_ok(fleet_start(r.fleet, &(struct fleet_rules){ NULL, is_another, &r }, &r.e),
              &r.e);
    put(&r, 1);
    for (int i = 0; i < 500; i++)
        if (target_state(r.fleet, fleet_target(r.fleet, 1)) != TARGET_FOREIGN)
            clock_sleep_ms(10);
    assert_int_equal(target_state(r.fleet, fleet_target(r.fleet, 1)), TARGET_FOREIGN);
    assert_int_equal(wait_for(&r, 1, 1000), -1);
    fleet_stop(r.fleet);
    assert_int_equal(storage_fault_calls(r.fault[1]), 0);
    assert_int_equal(queued(&r, 1), 1);
}

/* A read of the same run finds that it answers again: that says nothing of who it
 * is, so it is given nothing before the lane has looked. */
static void
a_read_does_not_vouch_for_a_target(void **state)
{
    RIG(r, 2);

    (void)state;
    rig_open(&r);
    down(&r, 0);
    down(&r, 1);
    assert_ok(fleet_start(r.fleet, &(struct fleet_rules){ NULL, is_another, &r }, &r.e),
              &r.e);
    fleet_note(r.fleet, fleet_target(r.fleet, 1), HEALTH_ANSWER); /* as a read does */
    put(&r, 2);
    for (int i = 0; i < 500; i++)
        if (target_state(r.fleet, fleet_target(r.fleet, 1)) != TARGET_FOREIGN)
            clock_sleep_ms(10);
    assert_int_equal(target_state(r.fleet, fleet_target(r.fleet, 1)), TARGET_FOREIGN);
    fleet_stop(r.fleet);
    assert_false(holds(&r, 1, 2));
}

/* What was remembered is told by the next run. */
static void
how_a_target_was_is_remembered(void **state)
{
    RIG(r, 1);

    (void)state;
    rig_open(&r);
    struct target *t = fleet_target(r.fleet, 0);
    for (int i = 0; i < HEALTH_WRONG_MAX; i++)
        fleet_note(r.fleet, t, HEALTH_WRONG);
    t->health.since_s = 1234;
    rig_close(&r);
    rig_open(&r);
    t = fleet_target(r.fleet, 0);
    assert_int_equal(target_state(r.fleet, t), TARGET_QUARANTINED);
    assert_int_equal(t->health.since_s, 1234);
    fleet_note(r.fleet, t, HEALTH_CLEARED);
    rig_close(&r);
    rig_open(&r);
    assert_int_equal(target_state(r.fleet, fleet_target(r.fleet, 0)), TARGET_UP);
}

static int
refuses_odd(void *arg, struct target *t, const char *key, struct err *e)
{
    (void)arg;
    (void)e;
    return strcmp(t->name, "t1") != 0 || key[strlen(key) - 1] % 2 == 0;
}

/* Names in a target's prune records never come back there. */
static void
a_refused_name_is_not_sent(void **state)
{
    RIG(r, 2);

    (void)state;
    rig_open(&r);
    assert_ok(fleet_start(r.fleet, &(struct fleet_rules){ .may_put = refuses_odd }, &r.e),
              &r.e);
    for (size_t n = 0; n < 4; n++)
        put(&r, n);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(wait_for(&r, i, 5000), 1);
    for (size_t n = 0; n < 4; n++) {
        assert_true(holds(&r, 0, n));
        assert_int_equal(holds(&r, 1, n), n % 2 == 0);
    }
    assert_int_equal(queued(&r, 1), 0);
}

/* Not at first. */
static int
cannot_tell(void *arg, struct target *t, const char *key, struct err *e)
{
    (void)key;
    if (atomic_fetch_add((atomic_uint *)arg, 1) >= 2)
        return 1;
    return err_set(e, ERR_UNAVAIL, 0, "target %s does not list its records", t->name);
}

static void
what_cannot_be_judged_is_sent_later(void **state)
{
    atomic_uint asked = 0;
    struct fleet_rules rules = { .may_put = cannot_tell, .arg = &asked };
    RIG(r, 1);

    (void)state;
    rig_open(&r);
    assert_ok(fleet_start(r.fleet, &rules, &r.e), &r.e);
    put(&r, 1);
    assert_int_equal(wait_for(&r, 0, 5000), 1);
    assert_true(asked > 2);
    assert_true(holds(&r, 0, 1));
    assert_int_equal(queued(&r, 0), 0);
}

static void
a_copy_goes_to_one_target_only(void **state)
{
    AUTOFREE char *content = content_of(3);
    AUTOFREE char *key = key_of(3);
    uint8_t sha[32];
    RIG(r, 3);

    (void)state;
    rig_open(&r);
    place(&r, 1, 3, content);
    start(&r);
    sha256(slice_str(content), sha);
    assert_ok(fleet_copy(r.fleet, key, RANK_PACK, strlen(content), sha,
                         fleet_target(r.fleet, 2), &r.e),
              &r.e);
    assert_int_equal(wait_for(&r, 2, 5000), 1);
    assert_int_equal(wait_for(&r, 0, 5000), 1);
    assert_true(holds(&r, 2, 3));
    assert_false(holds(&r, 0, 3));
    assert_int_equal(spooled(&r), 0);
}

static void
a_full_spool_without_a_quorum_ends_the_run(void **state)
{
    RIG(r, 3);

    (void)state;
    r.spool_max = 100;
    rig_open(&r);
    break_target(&r, 1, FAULT_REFUSE, FAULT_ON_PUT);
    break_target(&r, 2, FAULT_REFUSE, FAULT_ON_PUT);
    start(&r);
    int rc = 0;
    size_t n = 0;
    for (; rc == 0 && n < 100; n++) {
        AUTOFREE char *key = key_of(n), *content = content_of(n);
        rc = fleet_put(r.fleet, key, RANK_PACK, slice_str(content), &r.e);
    }
    assert_int_equal(rc, -1);
    assert_int_equal(r.e.kind, ERR_QUORUM);
    assert_in_range(n, 4, 7);
    assert_int_equal(spooled(&r), n - 1); /* what was taken stays, no more */
    restart(&r);
    assert_int_equal(wait_for(&r, 1, 5000), 1);
    assert_int_equal(wait_for(&r, 2, 5000), 1);
    for (size_t k = 0; k + 1 < n; k++)
        assert_true(holds(&r, 1, k) && holds(&r, 2, k));
}

/* One slow or dead target must not stop a run that has its quorum. */
static void
a_full_spool_makes_room_when_a_quorum_has_it(void **state)
{
    RIG(r, 3);

    (void)state;
    r.spool_max = 100;
    rig_open(&r);
    break_target(&r, 2, FAULT_REFUSE, FAULT_ON_PUT);
    start(&r);
    for (size_t n = 0; n < 30; n++)
        put(&r, n);
    assert_int_equal(wait_for(&r, 0, 5000), 1);
    assert_int_equal(wait_for(&r, 1, 5000), 1);
    assert_int_equal(queued(&r, 2), 30);
}

static void
an_object_larger_than_the_spool_gets_through(void **state)
{
    RIG(r, 2);

    (void)state;
    r.spool_max = 5;
    rig_open(&r);
    start(&r);
    for (size_t n = 0; n < 3; n++)
        put(&r, n);
    assert_int_equal(wait_for(&r, 1, 5000), 1);
    assert_true(holds(&r, 1, 2));
}

static void
slow_before(void *arg, enum fault_call call, const char *key)
{
    (void)arg;
    (void)key;
    if (call == FAULT_ON_PUT)
        clock_sleep_ms(300);
}

static void
waiting_ends_when_the_time_is_over(void **state)
{
    struct hook hook = { .before = slow_before };
    RIG(r, 1);

    (void)state;
    r.hook = &hook;
    rig_open(&r);
    start(&r);
    put(&r, 1);
    assert_int_equal(wait_for(&r, 0, 50), 0);
    assert_int_equal(wait_for(&r, 0, 5000), 1);
}

/* A run that was killed left these; nobody waits for them. */
static void
leftovers_in_the_spool_are_removed_at_the_start(void **state)
{
    RIG(r, 1);

    (void)state;
    rig_open(&r);
    folder_write(&r.folder, "spool/.tmp-0123", SLICE("half a pack"));
    folder_write(&r.folder, "spool/pack_99", SLICE("delivered, but not removed"));
    start(&r);
    assert_int_equal(spooled(&r), 0);
}

/* Three targets are configured where there was one: that the two new ones have
 * never been given an object does not mean that they have it. */
static void
new_targets_hold_nothing_yet(void **state)
{
    RIG(r, 3);

    (void)state;
    r.count = 1;
    rig_open(&r);
    break_target(&r, 0, FAULT_REFUSE, FAULT_ON_PUT);
    start(&r);
    for (size_t n = 0; n < 3; n++)
        put(&r, n);
    assert_int_equal(wait_for(&r, 0, 5000), -1);
    rig_close(&r);
    r.count = 3;
    rig_open(&r);
    break_target(&r, 0, FAULT_REFUSE, FAULT_ON_PUT);
    start(&r);
    assert_int_equal(wait_for(&r, 1, 5000), 1);
    fleet_stop(r.fleet);
    assert_int_equal(spooled(&r), 3);
}

/* t0 had it and lost it, before t1 got it: that is nothing that t1 could mend, and
 * no reason to give it nothing any more. */
static void
what_nobody_has_holds_up_nothing(void **state)
{
    (void)state;
    for (int away = 0; away < 2; away++) {
        AUTOFREE char *key = key_of(0);
        RIG(r, 2);
        r.quorum = 1;
        rig_open(&r);
        break_target(&r, 1, FAULT_REFUSE, FAULT_ON_PUT);
        start(&r);
        put(&r, 0);
        assert_int_equal(wait_for(&r, 0, 5000), 1);
        assert_int_equal(wait_for(&r, 1, 5000), -1);
        fleet_stop(r.fleet);
        assert_int_equal(spooled(&r), 0);
        AUTOFREE char *path = mem_printf("%s/t0/%s", r.folder.path, key);
        assert_int_equal(unlink(path), 0);
        rig_close(&r);
        rig_open(&r);
        if (away)
            down(&r, 0);
        start(&r);
        put(&r, 1);
        assert_int_equal(wait_for(&r, 1, 5000), 1);
        assert_true(holds(&r, 1, 1));
        assert_true(target_is_up(r.fleet, fleet_target(r.fleet, 1)));
        fleet_stop(r.fleet);
        assert_int_equal(queued(&r, 1), away); /* who is away may still have it */
    }
}

/* Its rows are nobody's any more. */
static void
a_target_that_is_configured_no_longer_fills_no_spool(void **state)
{
    (void)state;
    for (int have = 0; have < 2; have++) {
        RIG(r, 2);
        r.quorum = 1;
        r.spool_max = 100;
        rig_open(&r);
        if (!have)
            break_target(&r, 0, FAULT_REFUSE, FAULT_ON_PUT);
        break_target(&r, 1, FAULT_REFUSE, FAULT_ON_PUT);
        start(&r);
        for (size_t n = 0; n < 5; n++)
            put(&r, n);
        assert_int_equal(wait_for(&r, 0, 5000), have ? 1 : -1);
        assert_int_equal(wait_for(&r, 1, 5000), -1);
        rig_close(&r);
        if (!have) { /* the other one, so that nobody has what waits */
            mem_free(r.conf[0].name);
            r.conf[0].name = mem_strdup("t2");
        }
        r.count = 1;
        rig_open(&r);
        start(&r);
        int rc = 0;
        for (size_t n = 10; n < 20 && rc == 0; n++) {
            AUTOFREE char *key = key_of(n), *content = content_of(n);
            rc = fleet_put(r.fleet, key, RANK_PACK, slice_str(content), &r.e);
        }
        assert_int_equal(rc, have ? 0 : -1);
        if (!have)
            assert_int_equal(r.e.kind, ERR_QUORUM);
        fleet_stop(r.fleet);
        if (!have)
            assert_true(spooled(&r) >= 5);
        rig_close(&r);
        r.count = 2;
    }
}

/* Reading. */

static int
is_object_1(void *arg, struct slice data, struct err *e)
{
    AUTOFREE char *content = content_of(1);

    (void)arg;
    return slice_equal(data, slice_str(content))
             ? 0
             : err_set(e, ERR_CORRUPT, 0, "these are other bytes");
}

static int
get(struct rig *r, struct target *from, struct buf *out)
{
    AUTOFREE char *key = key_of(1);
    struct range range = { .key = key };

    r->e = (struct err){ 0 };
    int rc = fleet_get(r->fleet, from, &range, is_object_1, NULL, out, &r->e);
    assert_int_equal(rc == 0, out->len > 3); /* nothing appended on failure */
    return rc;
}

static void
place_everywhere(struct rig *r)
{
    AUTOFREE char *content = content_of(1);

    for (size_t i = 0; i < r->count; i++)
        place(r, i, 1, content);
}

static void
count_bad(void *arg, const struct target *t, const char *key)
{
    unsigned *bad = arg;

    assert_string_equal(key, "pack/01");
    bad[t->name[1] - '0']++;
}

static void
reading_goes_on_to_the_next_target(void **state)
{
    static const struct {
        enum fault_mode mode;
        bool down, bad;
    } cases[] = {
        { FAULT_REFUSE, false, false },   { FAULT_DENY, true, false },
        { FAULT_LOSE_ACK, false, false }, { FAULT_GARBLE, false, true },
        { FAULT_CUT, false, true },       { FAULT_MISSING, false, true },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTOBUF struct buf out = BUF(1000);
        unsigned bad[TARGETS_MAX] = { 0 };
        RIG(r, 3);
        rig_open(&r);
        place_everywhere(&r);
        buf_put_str(&out, "abc");
        break_target(&r, 0, cases[i].mode, FAULT_ON_GET);
        assert_ok(get(&r, NULL, &out), &r.e);
        assert_memory_equal(out.ptr, "abcobject 1", 11);
        assert_int_equal(target_is_up(r.fleet, fleet_target(r.fleet, 0)), !cases[i].down);
        fleet_bad_list(r.fleet, count_bad, bad);
        assert_int_equal(bad[0], cases[i].bad);
        assert_int_equal(bad[1] + bad[2], 0);
        assert_int_equal(storage_fault_calls(r.fault[2]), 0);
        out.len = 3;
        assert_ok(get(&r, NULL, &out), &r.e);
        /* a target that is down is not asked again, one that is up is */
        assert_int_equal(storage_fault_calls(r.fault[0]), cases[i].down ? 1 : 2);
        fleet_bad_list(r.fleet, count_bad, bad);
        assert_int_equal(bad[0], 2 * cases[i].bad); /* noted once only */
    }
}

/* A folder t0 that answers as a server far away does. */
struct far {
    struct hook hook;
    _Atomic int64_t ms; /* a read that was overtaken may still look */
};

static void
far_before(void *arg, enum fault_call call, const char *key)
{
    struct far *far = arg;

    (void)key;
    if (call == FAULT_ON_GET)
        clock_sleep_ms(far->ms);
}

/* The first answer counts: a place that hangs costs its patience once in a while,
 * and is left out when it goes on. */
static void
a_late_answer_is_overtaken(void **state)
{
    AUTOBUF struct buf out = BUF(1000);
    struct far far = { .ms = 5 };
    RIG(r, 2);

    (void)state;
    far.hook = (struct hook){ .before = far_before, .arg = &far };
    r.slow = &far.hook; /* t0 alone, and as if it were remote */
    rig_open(&r);
    place_everywhere(&r);
    for (int i = 0; i < 40; i++) {
        buf_clear(&out);
        buf_put_str(&out, "abc");
        assert_ok(get(&r, NULL, &out), &r.e);
    }
    assert_int_equal(storage_fault_calls(r.fault[1]), 0);
    far.ms = 900;
    int64_t begun = clock_mono_ms();
    buf_clear(&out);
    buf_put_str(&out, "abc");
    assert_ok(get(&r, NULL, &out), &r.e);
    assert_memory_equal(out.ptr, "abcobject 1", 11);
    assert_true(clock_mono_ms() - begun < 800);
    assert_int_equal(storage_fault_calls(r.fault[1]), 1);
    /* at most one in twenty is asked twice */
    far.ms = 120;
    for (int i = 0; i < 40; i++) {
        buf_clear(&out);
        buf_put_str(&out, "abc");
        assert_ok(get(&r, NULL, &out), &r.e);
    }
    assert_in_range(storage_fault_calls(r.fault[1]), 1, 6);
}

/* By what is known of them, or by what they cost. */
static void
the_rule_says_who_is_read_first(void **state)
{
    static const enum read_order orders[] = { ORDER_LISTED, ORDER_FASTEST,
                                              ORDER_CHEAPEST };
    static const size_t first[] = { 0, 1, 2 };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(orders); i++) {
        AUTOBUF struct buf out = BUF(1000);
        struct far far = { .ms = 30 };
        RIG(r, 3);
        far.hook = (struct hook){ .before = far_before, .arg = &far };
        r.order = orders[i];
        r.slow = &far.hook;
        r.conf[0].read_cost = 90;
        r.conf[1].read_cost = 10;
        r.conf[2].read_cost = 1;
        rig_open(&r);
        place_everywhere(&r);
        for (int k = 0; k < 10; k++)
            pulse_add(&fleet_target(r.fleet, 2)->pulse, 100, 20);
        for (int k = 0; k < 10; k++) {
            buf_clear(&out);
            buf_put_str(&out, "abc");
            assert_ok(get(&r, NULL, &out), &r.e);
        }
        for (size_t k = 0; k < 3; k++)
            assert_in_range(storage_fault_calls(r.fault[k]), k == first[i] ? 8 : 0,
                            k == first[i] ? 10 : 2);
    }
}

/* Both went silent for a moment: the read waits, it does not fail. */
static void
a_read_outlasts_a_short_silence(void **state)
{
    AUTOBUF struct buf out = BUF(1000);
    RIG(r, 2);

    (void)state;
    rig_open(&r);
    place_everywhere(&r);
    for (size_t i = 0; i < 2; i++) {
        struct fault_plan plan = { .mode = FAULT_REFUSE,
                                   .at = 1,
                                   .count = HEALTH_OPEN_AFTER + 1 };
        storage_fault_plan(r.fault[i], &plan);
    }
    buf_put_str(&out, "abc");
    for (int i = 0; i < HEALTH_OPEN_AFTER - 1; i++)
        assert_int_equal(get(&r, NULL, &out), -1);
    assert_ok(get(&r, NULL, &out), &r.e);
    assert_memory_equal(out.ptr, "abcobject 1", 11);
}

static void
the_error_of_a_read_tells_the_worst(void **state)
{
    static const struct {
        enum fault_mode modes[3];
        enum err_kind kind;
    } cases[] = {
        { { FAULT_MISSING, FAULT_MISSING, FAULT_MISSING }, ERR_NOT_FOUND },
        { { FAULT_GARBLE, FAULT_GARBLE, FAULT_GARBLE }, ERR_CORRUPT },
        { { FAULT_MISSING, FAULT_GARBLE, FAULT_MISSING }, ERR_CORRUPT },
        { { FAULT_GARBLE, FAULT_REFUSE, FAULT_MISSING }, ERR_CORRUPT },
        { { FAULT_REFUSE, FAULT_REFUSE, FAULT_REFUSE }, ERR_UNAVAIL },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTOBUF struct buf out = BUF(1000);
        RIG(r, 3);
        rig_open(&r);
        place_everywhere(&r);
        for (size_t k = 0; k < 3; k++)
            break_target(&r, k, cases[i].modes[k], FAULT_ON_GET);
        assert_int_equal(get(&r, NULL, &out), -1);
        assert_string_equal(err_name(r.e.kind), err_name(cases[i].kind));
    }
}

static void
with_every_target_down_nobody_is_asked(void **state)
{
    AUTOBUF struct buf out = BUF(1000);
    RIG(r, 2);

    (void)state;
    rig_open(&r);
    place_everywhere(&r);
    for (size_t i = 0; i < 2; i++)
        down(&r, i);
    assert_int_equal(get(&r, NULL, &out), -1);
    assert_int_equal(r.e.kind, ERR_UNAVAIL);
    assert_int_equal(storage_fault_calls(r.fault[0]), 0);
}

/* Verifying one target must not be answered by another. */
static void
reading_from_one_target_asks_no_other(void **state)
{
    AUTOBUF struct buf out = BUF(1000);
    RIG(r, 2);

    (void)state;
    rig_open(&r);
    place_everywhere(&r);
    break_target(&r, 0, FAULT_GARBLE, FAULT_ON_GET);
    assert_int_equal(get(&r, fleet_target(r.fleet, 0), &out), -1);
    assert_int_equal(r.e.kind, ERR_CORRUPT);
    assert_non_null(strstr(err_text(&r.e), "t0"));
    assert_int_equal(storage_fault_calls(r.fault[1]), 0);
    assert_ok(get(&r, fleet_target(r.fleet, 1), &out), &r.e);
}

static int
fetch(struct rig *r, const struct target *not_from, struct buf *out)
{
    AUTOFREE char *content = content_of(1), *key = key_of(1), *path = NULL;
    uint8_t sha[32];

    r->e = (struct err){ 0 };
    sha256(slice_str(content), sha);
    if (fleet_fetch(r->fleet, not_from, key, strlen(content), sha, &path, &r->e) < 0) {
        assert_null(path);
        assert_int_equal(spooled(r), 0);
        return -1;
    }
    buf_clear(out);
    assert_ok(fs_read(path, 1000, out, &r->e), &r->e);
    assert_int_equal(unlink(path), 0);
    return 0;
}

static void
a_fetched_object_has_the_hash_it_should_have(void **state)
{
    AUTOFREE char *content = content_of(1);
    AUTOBUF struct buf out = BUF(1000);
    RIG(r, 3);

    (void)state;
    rig_open(&r);
    place_everywhere(&r);
    place(&r, 0, 1, "object 1, all of iT"); /* rot that no call reports */
    assert_ok(fetch(&r, NULL, &out), &r.e);
    assert_true(slice_equal(buf_slice(&out), slice_str(content)));
    place(&r, 1, 1, "short");
    assert_ok(fetch(&r, NULL, &out), &r.e);
    assert_true(slice_equal(buf_slice(&out), slice_str(content)));
    assert_int_equal(fetch(&r, fleet_target(r.fleet, 2), &out), -1);
    assert_int_equal(r.e.kind, ERR_CORRUPT);
}

static void
fetching_goes_on_to_the_next_target(void **state)
{
    static const enum fault_mode modes[] = { FAULT_REFUSE, FAULT_MISSING, FAULT_GARBLE,
                                             FAULT_CUT, FAULT_LOSE_ACK };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(modes); i++) {
        AUTOBUF struct buf out = BUF(1000);
        RIG(r, 2);
        rig_open(&r);
        place_everywhere(&r);
        break_target(&r, 0, modes[i], FAULT_ON_GET);
        assert_ok(fetch(&r, NULL, &out), &r.e);
        mend(&r, 0);
        fleet_found(r.fleet, fleet_target(r.fleet, 0), TARGET_UP, NULL);
        break_target(&r, 1, modes[i], FAULT_ON_GET);
        assert_int_equal(fetch(&r, fleet_target(r.fleet, 0), &out), -1);
        down(&r, 1);
        assert_int_equal(fetch(&r, fleet_target(r.fleet, 0), &out), -1);
        assert_int_equal(r.e.kind, ERR_UNAVAIL);
    }
}

/* A target served a wrong copy to one that catches up: it must not get there. */
static void
rot_does_not_spread_by_catching_up(void **state)
{
    RIG(r, 3);

    (void)state;
    rig_open(&r);
    break_target(&r, 2, FAULT_REFUSE, FAULT_ON_PUT);
    start(&r);
    put(&r, 1);
    assert_int_equal(wait_for(&r, 0, 5000), 1);
    assert_int_equal(wait_for(&r, 1, 5000), 1);
    assert_int_equal(wait_for(&r, 2, 5000), -1);
    fleet_stop(r.fleet);
    place(&r, 0, 1, "object 1, all of iT");
    restart(&r);
    assert_int_equal(wait_for(&r, 2, 5000), 1);
    assert_true(holds(&r, 2, 1));
    fleet_stop(r.fleet);
}

/* What the spool's disk has changed or cut comes from a target, and is no fault of
 * the one that waits for it. */
static void
a_spool_that_rots_is_not_sent(void **state)
{
    static const char *const rotten[] = { "object 1, all of iT", "object 1" };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rotten); i++) {
        RIG(r, 3);
        rig_open(&r);
        break_target(&r, 2, FAULT_REFUSE, FAULT_ON_PUT);
        start(&r);
        put(&r, 1);
        assert_int_equal(wait_for(&r, 0, 5000), 1);
        assert_int_equal(wait_for(&r, 2, 5000), -1);
        rig_close(&r);
        AUTOFREE char *key = key_of(1);
        for (char *p = key; *p; p++)
            *p = *p == '/' ? '_' : *p;
        AUTOFREE char *name = fs_join("spool", key);
        folder_write(&r.folder, name, slice_str(rotten[i]));
        restart(&r);
        assert_int_equal(wait_for(&r, 2, 5000), 1);
        assert_true(holds(&r, 2, 1));
        assert_int_equal(fleet_target(r.fleet, 2)->health.state, TARGET_UP);
        fleet_stop(r.fleet);
        assert_int_equal(spooled(&r), 0);
    }
}

static atomic_uint probes;

static int
probe_finds_damage(void *arg, struct target *t, size_t index, struct err *e)
{
    (void)arg;
    (void)t;
    (void)index;
    atomic_fetch_add(&probes, 1);
    return err_set(e, ERR_CORRUPT, 0, "a prune record is damaged");
}

/* Whatever a probe fails of, the target is asked again later, and nobody takes it for
 * one that is about to be back. */
static void
a_probe_that_finds_damage_is_made_again(void **state)
{
    struct fleet_rules rules = { .probe = probe_finds_damage };
    struct err away = { .kind = ERR_UNAVAIL, .text = "unplugged" }, why = { 0 };
    RIG(r, 2);

    (void)state;
    rig_open(&r);
    struct target *t = fleet_target(r.fleet, 1);
    fleet_fail(r.fleet, t, &away);
    assert_ok(fleet_start(r.fleet, &rules, &r.e), &r.e);
    for (int i = 0; i < 500 && atomic_load(&probes) < 2; i++)
        clock_sleep_ms(10);
    assert_true(atomic_load(&probes) >= 2);
    fleet_why(r.fleet, t, &why);
    assert_string_equal(why.text, "a prune record is damaged");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_probe_that_finds_damage_is_made_again),
        cmocka_unit_test(the_usual_quorum_is_all_of_two_and_two_of_more),
        cmocka_unit_test(a_quorum_stands_on_two_sites),
        cmocka_unit_test(a_quorum_without_one_follows_the_same_rule),
        cmocka_unit_test(an_error_tells_of_the_target_or_of_the_object),
        cmocka_unit_test(only_targets_that_are_up_are_asked),
        cmocka_unit_test(what_is_put_gets_to_every_target),
        cmocka_unit_test(nothing_to_deliver_is_delivered_at_once),
        cmocka_unit_test(an_empty_object_is_delivered),
        cmocka_unit_test(a_target_that_was_away_is_caught_up_from_the_others),
        cmocka_unit_test(without_a_quorum_the_spool_keeps_everything),
        cmocka_unit_test(an_answer_that_was_lost_is_asked_for_again),
        cmocka_unit_test(a_target_that_was_down_at_the_start_gets_its_share_later),
        cmocka_unit_test(a_snapshot_never_arrives_before_its_packs),
        cmocka_unit_test(a_snapshot_does_not_overtake_a_pack_that_failed),
        cmocka_unit_test(a_snapshot_does_not_arrive_without_its_packs),
        cmocka_unit_test(a_target_that_returns_gets_the_rest),
        cmocka_unit_test(what_returns_as_another_gets_nothing),
        cmocka_unit_test(a_read_does_not_vouch_for_a_target),
        cmocka_unit_test(how_a_target_was_is_remembered),
        cmocka_unit_test(a_refused_name_is_not_sent),
        cmocka_unit_test(what_cannot_be_judged_is_sent_later),
        cmocka_unit_test(a_copy_goes_to_one_target_only),
        cmocka_unit_test(a_full_spool_without_a_quorum_ends_the_run),
        cmocka_unit_test(a_full_spool_makes_room_when_a_quorum_has_it),
        cmocka_unit_test(an_object_larger_than_the_spool_gets_through),
        cmocka_unit_test(waiting_ends_when_the_time_is_over),
        cmocka_unit_test(leftovers_in_the_spool_are_removed_at_the_start),
        cmocka_unit_test(new_targets_hold_nothing_yet),
        cmocka_unit_test(what_nobody_has_holds_up_nothing),
        cmocka_unit_test(a_target_that_is_configured_no_longer_fills_no_spool),
        cmocka_unit_test(reading_goes_on_to_the_next_target),
        cmocka_unit_test(a_late_answer_is_overtaken),
        cmocka_unit_test(the_rule_says_who_is_read_first),
        cmocka_unit_test(a_read_outlasts_a_short_silence),
        cmocka_unit_test(the_error_of_a_read_tells_the_worst),
        cmocka_unit_test(with_every_target_down_nobody_is_asked),
        cmocka_unit_test(reading_from_one_target_asks_no_other),
        cmocka_unit_test(a_fetched_object_has_the_hash_it_should_have),
        cmocka_unit_test(fetching_goes_on_to_the_next_target),
        cmocka_unit_test(rot_does_not_spread_by_catching_up),
        cmocka_unit_test(a_spool_that_rots_is_not_sent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
