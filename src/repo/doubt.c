#include "base/log.h"
#include "codec/record.h"

#include "impl.h"

#include <stdio.h>
#include <string.h>

/* A header that is damaged, cut or gone says nothing of the place it lies at. What
 * else lies there does: configuration records that our root has signed show that
 * the place belongs to the repository, and done/, signed by a host, names the
 * target in what is signed. The local state remembers which target the name was.
 * Nothing else makes a place ours, least of all that it is empty. */

enum done_tag { TAG_TARGET = 1 };

#define DONE_READ 32 /* records that are looked at */

struct proof {
    struct repo *repo;
    struct target *target;
    uint8_t id[ID_LEN]; /* from the local state, or else from done/ */
    bool have_id;
    bool records, done; /* ours lie there; such lie there with this id */
    bool other;         /* or with another one */
    unsigned read;
};

static int
record_listed(void *arg, const struct object_info *o, struct err *e)
{
    struct proof *p = arg;
    AUTOBUF struct buf object = BUF(CONF_OBJECT_MAX);
    struct range range = { .key = o->key };
    uint8_t signer[ID_LEN];
    struct header h;
    struct slice body;
    struct err none = { 0 };

    (void)e;
    if (!p->records && o->size <= CONF_OBJECT_MAX
        && storage_get(p->target->store, &range, &object, &none) == 0
        && signed_open(buf_slice(&object), OBJECT_CONF, p->repo->keys->repo_id,
                       repo_signer, p->repo, &h, signer, &body, &none)
               == 0)
        p->records = true;
    return 0;
}

static int
done_listed(void *arg, const struct object_info *o, struct err *e)
{
    struct proof *p = arg;
    AUTOBUF struct buf object = BUF(RECORD_MAX);
    struct range range = { .key = o->key };
    uint8_t signer[ID_LEN], id[ID_LEN];
    struct header h;
    struct slice body;
    struct err none = { 0 };

    (void)e;
    if (o->size > RECORD_MAX || p->read++ >= DONE_READ
        || storage_get(p->target->store, &range, &object, &none) < 0
        || signed_open(buf_slice(&object), OBJECT_DONE, p->repo->keys->repo_id,
                       repo_signer, p->repo, &h, signer, &body, &none)
               < 0
        || !record_copy(body, TAG_TARGET, id, ID_LEN))
        return 0;
    if (!p->have_id) {
        memcpy(p->id, id, ID_LEN);
        p->have_id = true;
    }
    bool same = memcmp(p->id, id, ID_LEN) == 0;
    p->done |= same;
    p->other |= !same;
    return 0;
}

static bool
is_ours(struct repo *r, struct target *t)
{
    struct proof p = { .repo = r, .target = t };
    AUTOBUF struct buf kept = BUF(64);
    struct err e = { 0 };

    if (state_about_get(r->state, t->name, "id", &kept, &e) < 0)
        return false;
    p.have_id = kept.len == ID_LEN;
    if (p.have_id)
        memcpy(p.id, kept.ptr, ID_LEN);
    if (storage_list(t->store, "conf/", record_listed, &p, &e) < 0
        || storage_list(t->store, "done/", done_listed, &p, &e) < 0) {
        fleet_fail(r->fleet, t, &e);
        return false;
    }
    if (!p.have_id || p.other || !(p.records || p.done))
        return false;
    memcpy(t->id, p.id, ID_LEN);
    if (kept.len == 0
        && state_about_put(r->state, t->name, "id", slice_of(p.id, ID_LEN), &e) < 0)
        log_info("%s", err_text(&e));
    return true;
}

/* Ours, but this key may not sign a header: said, and left alone. */
static void
leave_out(struct repo *r, struct target *t, const struct err *why)
{
    struct err e = { 0 };

    err_set(&e, ERR_CORRUPT, 0,
            "its repository header is damaged (%.200s); nothing is written there until "
            "`drtool verify --heal` with a key of role admin has put it right",
            why->text);
    fleet_found(r->fleet, t, TARGET_FOREIGN, &e);
}

bool
repo_settle(struct repo *r, struct target *t, size_t index)
{
    struct doubt *d = &r->doubts[index];
    struct err e = { 0 };

    if (!is_ours(r, t))
        return false;
    d->ours = true;
    if (r->write && !r->keys->has_root) {
        leave_out(r, t, &d->why);
        return false;
    }
    if (r->write && !r->as_found && repo_mend_header(r, index, &e) < 0) {
        fleet_fail(r->fleet, t, &e);
        return false;
    }
    fleet_found(r->fleet, t, TARGET_UP, NULL);
    if (r->write && !r->as_found)
        log_note("target %s: its repository header was damaged and is written anew",
                 t->name);
    else if (!r->as_found)
        log_warn("target %s: its repository header is damaged: %s; `drtool verify "
                 "--heal` puts it right",
                 t->name, err_text(&d->why));
    return true;
}

const struct err *
repo_header_damage(const struct repo *r, size_t target, bool *missing)
{
    const struct doubt *d = &r->doubts[target];

    *missing = d->header == HEADER_MISSING;
    return d->header != HEADER_GOOD && d->ours ? &d->why : NULL;
}

int
repo_mend_header(struct repo *r, size_t target, struct err *e)
{
    struct target *t = fleet_target(r->fleet, target);
    AUTOBUF struct buf object = BUF(4096);

    if (!r->keys->has_root)
        return err_set(e, ERR_DENIED, 0,
                       "only the root key can sign a new one; run `drtool verify --heal` "
                       "with a key of role admin");
    repo_header_object(r->keys, t->id, repo_made(r, t), &object);
    struct body body = body_of(buf_slice(&object));
    if (storage_put(t->store, "drt.repo", &body, 0, e) < 0)
        return -1;
    r->doubts[target].header = HEADER_GOOD;
    return 0;
}
