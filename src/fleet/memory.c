/* What state.db remembers of each target between runs: how it was, all that went to
 * it and came from it, and which objects it served badly. */
#include "base/log.h"

#include "impl.h"

static void
take_traffic(struct fleet *f, struct target *t)
{
    AUTOBUF struct buf kept = BUF(256);
    struct err bad = { 0 };

    if (state_about_get(f->state, t->name, "traffic", &kept, &bad) != 1)
        return;
    struct reader r = reader_of(buf_slice(&kept));
    uint64_t v[6];
    for (size_t i = 0; i < COUNT_OF(v); i++)
        v[i] = read_u64(&r);
    if (!r.bad)
        t->before = (struct traffic_sum){ v[0], v[1], v[2], v[3], v[4], v[5] };
}

int
memory_recall(struct fleet *f, struct target *t, struct err *e)
{
    AUTOBUF struct buf kept = BUF(HEALTH_KEPT);
    struct err bad = { 0 };
    uint64_t rows = 0, bytes = 0;
    unsigned max = storage_traits(t->store) & STORAGE_LOCAL ? 1 : LANE_SENDERS_MAX;

    health_init(&t->health, max, f->breaker_ms);
    if (!f->state)
        return 0;
    if (state_about_get(f->state, t->name, "health", &kept, &bad) == 1)
        (void)!health_recall(&t->health, buf_slice(&kept));
    take_traffic(f, t);
    t->health.behind = false; /* the queue knows better */
    if (state_queue_sum(f->state, t->name, &rows, &bytes, e) < 0)
        return -1;
    if (rows > 0)
        health_event(&t->health, HEALTH_BEHIND, fleet_now());
    return 0;
}

struct traffic_sum
target_traffic(const struct target *t)
{
    const struct traffic_sum *b = &t->before;

    return (struct traffic_sum){
        .calls = b->calls + atomic_load(&t->traffic.calls),
        .failures = b->failures + atomic_load(&t->traffic.failures),
        .put_bytes = b->put_bytes + atomic_load(&t->traffic.put_bytes),
        .put_ms = b->put_ms + atomic_load(&t->traffic.put_ms),
        .get_bytes = b->get_bytes + atomic_load(&t->traffic.get_bytes),
        .get_ms = b->get_ms + atomic_load(&t->traffic.get_ms),
    };
}

static int
keep(struct fleet *f, struct target *t, struct err *e)
{
    AUTOBUF struct buf kept = BUF(256);

    if (t->health.state == TARGET_NEW || t->forgotten)
        return 0;
    take_traffic(f, t); /* another run may have added to it */
    struct traffic_sum sum = target_traffic(t);
    health_keep(&t->health, &kept);
    if (state_about_put(f->state, t->name, "health", buf_slice(&kept), e) < 0)
        return -1;
    buf_clear(&kept);
    buf_put_u64(&kept, sum.calls);
    buf_put_u64(&kept, sum.failures);
    buf_put_u64(&kept, sum.put_bytes);
    buf_put_u64(&kept, sum.put_ms);
    buf_put_u64(&kept, sum.get_bytes);
    buf_put_u64(&kept, sum.get_ms);
    return state_about_put(f->state, t->name, "traffic", buf_slice(&kept), e);
}

void
memory_keep(struct fleet *f)
{
    struct err e = { 0 };
    int rc = f->state && f->count > 0 ? state_begin(f->state, &e) : -1;

    if (rc < 0)
        return;
    for (size_t i = 0; i < f->count && rc == 0; i++)
        rc = keep(f, &f->targets[i], &e);
    for (size_t i = 0; i < f->bad_count && rc == 0; i++)
        if (!f->bad[i].target->forgotten)
            rc = state_bad_add(f->state, f->bad[i].target->name, f->bad[i].key, &e);
    if (rc == 0)
        rc = state_commit(f->state, &e);
    else
        state_abort(f->state);
    if (rc < 0) /* a full disk; the next run remembers again */
        log_debug("%s", err_text(&e));
}
