#include "base/log.h"
#include "base/text.h"
#include "codec/record.h"

#include "impl.h"

#include <stdio.h>
#include <string.h>

/* The header object drt.repo: signed by root, so that only the owner of the
 * repository can make a place one of its targets. */
enum tag { TAG_TARGET = 1, TAG_CREATED = 2 };

#define REPO_OBJECT_MAX 4096

void
repo_header_object(const struct keys *k, const uint8_t target_id[ID_LEN], struct buf *out)
{
    struct header h = { .type = OBJECT_REPO };

    memcpy(h.repo, k->repo_id, ID_LEN);
    header_put(out, &h);
    record_put(out, TAG_TARGET, slice_of(target_id, ID_LEN));
    record_put_u64(out, TAG_CREATED, (uint64_t)clock_now().s);
    signed_end(out, OBJECT_REPO, signer_root, k->root_seed);
}

/* The target's id becomes what its header says, if that is ours. */
static int
read_header(struct repo *r, struct target *t, struct slice object, struct err *e)
{
    uint8_t signer[ID_LEN];
    struct header h;
    struct slice body;

    if (signed_open(object, OBJECT_REPO, r->keys->repo_id, repo_signer, r, &h, signer,
                    &body, e)
        < 0)
        return -1;
    if (memcmp(signer, signer_root, ID_LEN) != 0
        || !record_copy(body, TAG_TARGET, t->id, ID_LEN))
        return err_set(e, ERR_FORGED, 0, "the repository header is malformed");
    if (r->write && h.must_write != 0)
        return err_set(e, ERR_UNSUPPORTED, 0,
                       "writing to it needs features (bits %08x) that this drtool does "
                       "not know; use a newer drtool",
                       h.must_write);
    return 0;
}

static int
check_header(struct repo *r, struct target *t, struct slice object, struct err *e)
{
    AUTOBUF struct buf kept = BUF(64);
    uint8_t known[ID_LEN];

    if (read_header(r, t, object, e) < 0
        || state_about_get(r->state, t->name, "id", &kept, e) < 0)
        return -1;
    if (kept.len == ID_LEN) {
        memcpy(known, kept.ptr, ID_LEN);
        if (memcmp(known, t->id, ID_LEN) != 0)
            return err_set(e, ERR_FORGED, 0,
                           "the place answers as another target of this repository than "
                           "it did before; check the URL and the mounts, or if another "
                           "host has replaced it run `drtool target add %s`",
                           t->name);
        return 0;
    }
    return state_about_put(r->state, t->name, "id", slice_of(t->id, ID_LEN), e);
}

/* Is the place what this host knows as another of its targets? 1, 0, -1. */
static int
is_known(struct repo *r, const struct target *t, struct err *e)
{
    for (size_t i = 0; i < fleet_count(r->fleet); i++) {
        const struct target *other = fleet_target(r->fleet, i);
        AUTOBUF struct buf id = BUF(64);
        if (other == t)
            continue;
        if (state_about_get(r->state, other->name, "id", &id, e) < 0)
            return -1;
        if (slice_equal(buf_slice(&id), slice_of(t->id, ID_LEN)))
            return 1;
    }
    return 0;
}

int
repo_take_replaced(struct repo *r, struct target *t, struct err *e)
{
    AUTOBUF struct buf object = BUF(REPO_OBJECT_MAX);
    struct range range = { .key = "drt.repo" };
    struct err not_ours = { 0 };

    if (target_state(r->fleet, t) != TARGET_FOREIGN
        || storage_get(t->store, &range, &object, &not_ours) < 0
        || read_header(r, t, buf_slice(&object), &not_ours) < 0)
        return 0;
    int known = is_known(r, t, e);
    if (known != 0)
        return known < 0 ? -1
                         : err_set(e, ERR_EXISTS, 0,
                                   "the place is what is another target of the "
                                   "configuration; check the URL and the mounts");
    if (conf_bring_up(r, t, e) < 0 || state_target_new(r->state, t->name, e) < 0
        || state_about_put(r->state, t->name, "id", slice_of(t->id, ID_LEN), e) < 0)
        return -1;
    return 1;
}

/* Somebody else's header, or a good one of ours that lies at a wrong place, is no
 * damage. */
static bool
is_damage(struct repo *r, struct slice object)
{
    uint8_t signer[ID_LEN];
    struct header h;
    struct slice body;
    struct err e = { 0 };

    return header_parse(object, OBJECT_REPO, NULL, &h, &e) < 0
        || (memcmp(h.repo, r->keys->repo_id, ID_LEN) == 0
            && signed_open(object, OBJECT_REPO, r->keys->repo_id, repo_signer, r, &h,
                           signer, &body, &e)
                   < 0);
}

static void
doubt(struct repo *r, size_t index, bool missing, const struct err *why)
{
    r->doubts[index].header = missing ? HEADER_MISSING : HEADER_DAMAGED;
    r->doubts[index].why = *why;
}

static void
probe(void *arg, struct target *t, size_t index)
{
    struct repo *r = arg;
    AUTOBUF struct buf object = BUF(REPO_OBJECT_MAX);
    struct range range = { .key = "drt.repo" };
    struct err e = { 0 };

    if (storage_get(t->store, &range, &object, &e) < 0) {
        if (e.kind == ERR_NOT_FOUND) {
            doubt(r, index, true, &e);
            err_set(&e, ERR_UNAVAIL, 0,
                    "it holds no repository, although this one exists: an unmounted "
                    "disk or a new bucket? `drtool target add %s` makes it a target",
                    t->name);
            fleet_found(r->fleet, t, TARGET_EMPTY, &e);
        } else {
            fleet_fail(r->fleet, t, &e);
        }
        return;
    }
    if (check_header(r, t, buf_slice(&object), &e) == 0) {
        fleet_found(r->fleet, t, TARGET_UP, NULL);
        return;
    }
    if (e.kind != ERR_UNSUPPORTED && is_damage(r, buf_slice(&object)))
        doubt(r, index, false, &e);
    size_t len = strlen(e.text);
    if (e.kind == ERR_CORRUPT)
        snprintf(e.text + len, sizeof e.text - len,
                 "; if the place is ours, remove drt.repo there and run `drtool target "
                 "add %s`",
                 t->name);
    fleet_found(r->fleet, t, TARGET_FOREIGN, &e);
}

/* A lane asks before it sends to a target that was away: it may come back as
 * another one, or with prune records that it did not have; and it needs all records
 * of hosts, or alone it could not tell who signed what it gets. */
static int
probe_again(void *arg, struct target *t, size_t index, struct err *e)
{
    struct repo *r = arg;
    AUTOBUF struct buf object = BUF(REPO_OBJECT_MAX);
    struct range range = { .key = "drt.repo" };

    if (storage_get(t->store, &range, &object, e) < 0) {
        if (e->kind == ERR_NOT_FOUND)
            fleet_found(r->fleet, t, TARGET_EMPTY, e);
        return -1;
    }
    if (check_header(r, t, buf_slice(&object), e) < 0) {
        fleet_found(r->fleet, t, TARGET_FOREIGN, e);
        return -1;
    }
    return conf_bring_up(r, t, e) < 0 ? -1 : repo_load_gc(r, t, index, e);
}

int
repo_start(struct repo *r, struct err *e)
{
    struct fleet_rules rules = { repo_refused, probe_again, r };

    return fleet_start(r->fleet, &rules, e);
}

int
repo_probe(struct repo *r, struct err *e)
{
    struct target *newer = NULL;

    fleet_each(r->fleet, true, probe, r);
    for (size_t i = 0; i < fleet_count(r->fleet); i++) {
        struct target *t = fleet_target(r->fleet, i);
        if (target_state(r->fleet, t) == TARGET_FOREIGN && t->why.kind == ERR_UNSUPPORTED)
            newer = t;
    }
    if (!newer)
        return 0;
    *e = newer->why; /* of a newer version: not ours to touch anywhere */
    return err_in(e, "target %s", newer->name);
}
