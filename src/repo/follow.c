#include "base/log.h"
#include "codec/record.h"

#include "chain.h"
#include "lists.h"

#include <string.h>

/* What one target lists, in the order of names; `good` unless the object under
 * that name was seen to be another. */
struct listing {
    struct listed_record {
        char key[CONF_KEY_LEN + 1];
        uint64_t seq;
        uint8_t hash[32];
        bool good;
    } * records;
    size_t count, cap;
    struct err bad; /* of the last that was not */
};

static int
record_listed(void *arg, const struct object_info *o, struct err *e)
{
    struct listing *l = arg;
    struct listed_record c = { .good = true };

    if (!chain_parse_name(o->key, &c.seq, c.hash) || o->size > CONF_OBJECT_MAX)
        return 0;
    if (l->count == CONF_RECORDS_MAX)
        return err_set(e, ERR_CORRUPT, 0, "too many configuration records");
    memcpy(c.key, o->key, sizeof c.key);
    l->records = mem_grow(l->records, &l->cap, l->count + 1, sizeof *l->records);
    l->records[l->count++] = c;
    return 0;
}

/* Takes a listed record that is not known yet. 1 it is new, 0 it is known or not to
 * be believed, -1. */
static int
learn(struct repo *r, struct target *t, struct listing *l, struct listed_record *c,
      struct buf *kept, struct err *e)
{
    AUTOBUF struct buf object = BUF(CONF_OBJECT_MAX);
    struct err bad = { 0 };

    if (chain_find(r, c->seq, c->hash))
        return 0;
    int rc = repo_get_small(r, t, c->key, &object, &bad);
    if (rc == 0)
        rc = conf_take(r, buf_slice(&object), &bad);
    if (rc == 1 && !chain_find(r, c->seq, c->hash))
        rc = err_set(&bad, ERR_FORGED, 0, "it has another number than its name");
    if (rc == 1)
        record_put(kept, 1, buf_slice(&object));
    if (rc >= 0)
        return rc;
    if (!repo_is_unbelievable(&bad)) {
        *e = bad;
        return -1;
    }
    log_warn("target %s: %s is not believed: %s", t->name, c->key, err_text(&bad));
    c->good = false;
    l->bad = bad;
    return 0;
}

/* Learns what one target lists and nobody told before. */
static void
follow(struct repo *r, size_t index, struct listing *l, struct buf *kept)
{
    struct target *t = fleet_target(r->fleet, index);
    struct kept_list *early = TAKE(r->early[index]); /* once: it does not get younger */
    struct err e = { 0 };

    l->count = 0;
    int rc = early ? lists_each(early, record_listed, l, &e)
                   : storage_list(t->store, "conf/", record_listed, l, &e);
    lists_free(early);
    for (size_t i = 0; i < l->count && rc >= 0; i++)
        rc = learn(r, t, l, &l->records[i], kept, &e);
    if (rc < 0 && repo_is_unbelievable(&e))
        fleet_found(r->fleet, t, TARGET_FOREIGN, &e);
    else if (rc < 0)
        fleet_fail(r->fleet, t, &e);
}

static bool
has(const struct listing *l, const struct conf_record *c)
{
    for (size_t i = 0; i < l->count; i++)
        if (l->records[i].good && l->records[i].seq == c->seq
            && memcmp(l->records[i].hash, c->hash, 32) == 0)
            return true;
    return false;
}

/* Gives a target the records that it lacks, in their order, so that it never shows
 * one without those before: a host may have entered with only some of the targets
 * in reach, or this one was set back. */
static int
bring_up(struct repo *r, struct target *t, const struct listing *l, struct err *e)
{
    for (size_t i = 0; i < r->record_count; i++) {
        const struct conf_record *c = &r->records[i];
        struct body body = body_of(buf_slice(&c->object));
        char key[CONF_KEY_LEN + 1];
        if (has(l, c))
            continue;
        chain_name_of(key, c->seq, c->hash);
        log_info("target %s lacks %s; it gets it", t->name, key);
        if (storage_put(t->store, key, &body, 0, e) < 0)
            return -1;
    }
    return 0;
}

int
conf_bring_up(struct repo *r, struct target *t, struct err *e)
{
    struct listing l = { 0 };
    int rc = storage_list(t->store, "conf/", record_listed, &l, e);

    if (rc == 0)
        rc = bring_up(r, t, &l, e);
    mem_free(l.records);
    return rc;
}

/* A place of ours has records: with none that can be believed anywhere, one that
 * lists others is not to be used. */
static void
finish_target(struct repo *r, struct target *t, const struct listing *l)
{
    struct err e = { 0 };

    if (r->record_count == 0 && l->bad.kind != ERR_NONE)
        fleet_found(r->fleet, t, TARGET_FOREIGN, &l->bad);
    else if (r->write && !r->as_found && bring_up(r, t, l, &e) < 0)
        fleet_fail(r->fleet, t, &e);
}

/* Places with a bad header come last: with the hosts that the others know, their
 * records show whether they are ours. */
static void
follow_doubtful(struct repo *r, struct listing *lists, struct buf *kept)
{
    for (size_t i = 0; i < fleet_count(r->fleet); i++) {
        struct target *t = fleet_target(r->fleet, i);
        if (r->doubts[i].header == HEADER_GOOD
            || (r->doubts[i].header == HEADER_MISSING && !r->as_found))
            continue;
        follow(r, i, &lists[i], kept); /* takes nothing that root has not signed */
        chain_settle_hosts(r);         /* who signed done/ there has to be known */
        (void)repo_settle(r, t, i);
    }
}

int
repo_load_conf(struct repo *r, struct err *e)
{
    AUTOBUF struct buf kept = BUF(KEPT_MAX);
    struct listing lists[FLEET_TARGETS_MAX] = { 0 };
    size_t n = fleet_count(r->fleet);
    bool whole = false;

    r->hosts = mem_alloc(HOSTS_MAX * sizeof *r->hosts);
    if (chain_take_kept(r, &kept, e) < 0)
        return -1;
    size_t before = kept.len;
    /* What one target did not show yet another may, or the same a moment later. */
    for (int round = 0; round < 2 && !whole; round++) {
        for (size_t i = 0; i < n; i++)
            if (target_is_up(r->fleet, fleet_target(r->fleet, i)))
                follow(r, i, &lists[i], &kept);
        if (round == 0)
            follow_doubtful(r, lists, &kept);
        whole = chain_settle(r, round > 0);
    }
    r->rollback_seen |= !whole;
    for (size_t i = 0; i < n; i++) {
        if (target_is_up(r->fleet, fleet_target(r->fleet, i)))
            finish_target(r, fleet_target(r->fleet, i), &lists[i]);
        mem_free(lists[i].records);
    }
    return kept.len > before ? state_put(r->state, "conf", buf_slice(&kept), e) : 0;
}
