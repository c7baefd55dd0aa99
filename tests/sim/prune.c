#include "sim/prune.h"

#include "../../src/repo/signed.h"
#include "base/clock.h"
#include "base/text.h"
#include "codec/record.h"
#include "sim/live.h"

#include <stdio.h>
#include <string.h>

#define DAY_S (24 * 3600)
#define DELETE_WITHIN_S (12 * 3600) /* of the sweep */
#define LAG_MS (3600 * 1000)        /* a list may be so late, and by far is not */
#define BATCH 4                     /* packs deleted between two looks at the clock */

enum tag { TAG_TARGET = 1, TAG_PACKS = 2 }; /* the first in gone/, too */
enum gone_tag { GONE_SNAPSHOT = 2, GONE_TIME = 3, GONE_REASON = 4 };

static struct target *
target_of(const struct prune *p)
{
    return fleet_target(repo_fleet(p->repo), p->target);
}

static void
begin_record(struct repo *r, enum object_type type, const struct target *t,
             struct buf *out)
{
    struct header h = { .type = type };

    memcpy(h.repo, repo_keys(r)->repo_id, ID_LEN);
    header_put(out, &h);
    record_put(out, TAG_TARGET, slice_of(t->id, ID_LEN));
}

static struct body
end_record(struct repo *r, enum object_type type, struct buf *out)
{
    signed_end(out, type, signer_maintain, repo_keys(r)->maintain_seed);
    return body_of(buf_slice(out));
}

/* Mark and sweep. */

static int
put_gc(const struct prune *p, enum object_type type, char key[STORAGE_KEY_MAX + 1],
       struct err *e)
{
    struct target *t = target_of(p);
    AUTOBUF struct buf object = BUF(1 << 20);
    int64_t now = 0;
    char hex[65];

    begin_record(p->repo, type, t, &object);
    record_put(&object, TAG_PACKS, slice_of(p->plan->packs, p->plan->count * 32));
    struct body body = end_record(p->repo, type, &object);
    text_hex(hex, body.sha256, 32);
    if (storage_now(t->store, &now, e) < 0)
        return -1;
    snprintf(key, STORAGE_KEY_MAX + 1, "gc/%08llx-%s.%s",
             (unsigned long long)(now / 3600), hex,
             type == OBJECT_MARK ? "mark" : "sweep");
    return storage_put(t->store, key, &body, 0, e);
}

struct candidates {
    struct prune_plan *plan;
    const struct buf *live;
    int64_t now_s;
};

static int
pack_listed(void *arg, const struct object_info *o, struct err *e)
{
    struct candidates *c = arg;
    uint8_t name[32];

    (void)e;
    if (c->plan->count < PRUNE_MAX && pack_name(name, o->key)
        && c->now_s - o->mtime_s > DAY_S && !live_has(c->live, name))
        memcpy(c->plan->packs[c->plan->count++], name, 32);
    return 0;
}

static int
mark(struct prune *p, struct err *e)
{
    struct target *t = target_of(p);
    AUTOBUF struct buf live = BUF(1 << 20);
    struct candidates c = { p->plan, &live, 0 };
    char key[STORAGE_KEY_MAX + 1];

    p->plan->count = 0;
    if (live_packs(p->repo, p->target, &live, e) < 0
        || storage_now(t->store, &c.now_s, e) < 0
        || storage_list(t->store, "pack/", pack_listed, &c, e) < 0)
        return -1;
    if (p->plan->count == 0)
        return 0;
    if (put_gc(p, OBJECT_MARK, key, e) < 0)
        return -1;
    memcpy(p->plan->mark, key, sizeof key);
    return 0;
}

/* How long ago the record was put; by the store's clock. */
static int
age_of(const struct prune *p, const char *key, int64_t *age_s, struct err *e)
{
    struct object_info info;
    int64_t now = 0;

    if (storage_head(target_of(p)->store, key, &info, e) < 0
        || storage_now(target_of(p)->store, &now, e) < 0)
        return -1;
    *age_s = now - info.mtime_s;
    return 0;
}

static int
delete_packs(struct prune *p, const char *swept, const struct buf *live, struct err *e)
{
    char keys[BATCH][PACK_KEY_LEN + 1];
    const char *batch[BATCH];
    size_t n = 0;

    for (size_t i = 0; i < p->plan->count; i++) {
        int64_t age = 0;
        if (!live_has(live, p->plan->packs[i])) {
            pack_key(keys[n], p->plan->packs[i]);
            batch[n] = keys[n];
            n++;
        }
        if (n == 0 || (n < BATCH && i + 1 < p->plan->count))
            continue;
        if (age_of(p, swept, &age, e) < 0)
            return -1;
        if (age > DELETE_WITHIN_S)
            return err_set(e, ERR_CONFLICT, 0, "the sweep is too old to delete by");
        if (storage_remove(target_of(p)->store, batch, n, e) < 0)
            return -1;
        p->deleted += (unsigned)n;
        n = 0;
    }
    return 0;
}

static int
sweep(struct prune *p, struct err *e)
{
    AUTOBUF struct buf live = BUF(1 << 20);
    char key[STORAGE_KEY_MAX + 1];

    if (put_gc(p, OBJECT_SWEEP, key, e) < 0)
        return -1;
    if (net_lags(p->net, p->target))
        clock_sleep_ms(LAG_MS);
    /* All are walked again, not the new ones alone: what was unfinished at the mark may
     * rely on other packs by now. */
    if (live_packs(p->repo, p->target, &live, e) < 0
        || delete_packs(p, key, &live, e) < 0)
        return -1;
    p->plan->mark[0] = 0;
    return 0;
}

int
prune_run(struct prune *p, struct err *e)
{
    struct prune_plan *plan = p->plan;
    struct target *t = target_of(p);
    int64_t age = 0;

    if (!target_is_up(repo_fleet(p->repo), t)) /* nor would its id be known for sure */
        return err_set(e, ERR_UNAVAIL, 0, "target %s is away", t->name);
    if (plan->mark[0] == 0 && mark(p, e) < 0)
        return -1;
    if (plan->mark[0] == 0)
        return 0;
    if (age_of(p, plan->mark, &age, e) < 0) {
        if (e->kind == ERR_NOT_FOUND) /* the target is not what it was */
            plan->mark[0] = 0;
        return -1;
    }
    if (age < DAY_S && !p->stays)
        return 0;
    if (age < DAY_S)
        clock_sleep_ms((DAY_S - age) * 1000);
    return sweep(p, e);
}

/* Forget. */

static int
put_gone(struct repo *r, struct target *t, const char *snapshot_key,
         const struct chain_name *name, struct err *e)
{
    AUTOBUF struct buf object = BUF(RECORD_MAX);
    struct chain_name gone = *name;
    char key[CHAIN_KEY_LEN + 1];

    begin_record(r, OBJECT_GONE, t, &object);
    record_put_str(&object, GONE_SNAPSHOT, snapshot_key);
    record_put_u64(&object, GONE_TIME, (uint64_t)clock_now().s);
    record_put_str(&object, GONE_REASON, "forget");
    struct body body = end_record(r, OBJECT_GONE, &object);
    memcpy(gone.kind, "gone", sizeof gone.kind);
    memcpy(gone.sha256, body.sha256, 32);
    chain_key(key, &gone);
    return storage_put(t->store, key, &body, 0, e);
}

static int
take_key(void *arg, const struct object_info *o, struct err *e)
{
    struct chain_name name;

    (void)e;
    if (chain_name(&name, o->key))
        buf_put(arg, o->key, (CHAIN_KEY_LEN + 1));
    return 0;
}

int
prune_forget(struct repo *r, struct target *t, const char *snapshot_key, bool has_gone,
             struct err *e)
{
    AUTOBUF struct buf done = BUF(1 << 20);
    struct chain_name name;

    if (!chain_name(&name, snapshot_key))
        return err_set(e, ERR_CORRUPT, 0, "%s is no snapshot", snapshot_key);
    AUTOFREE char *prefix = mem_printf("done/%s/%010llu-", name.host,
                                       (unsigned long long)name.seq);
    if ((!has_gone && put_gone(r, t, snapshot_key, &name, e) < 0)
        || storage_list(t->store, prefix, take_key, &done, e) < 0)
        return -1;
    for (size_t at = 0; at < done.len; at += (CHAIN_KEY_LEN + 1)) {
        const char *key = (const char *)done.ptr + at;
        if (storage_remove(t->store, &key, 1, e) < 0)
            return -1;
    }
    return storage_remove(t->store, &snapshot_key, 1, e);
}
