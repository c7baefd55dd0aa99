#include "base/log.h"

#include "impl.h"
#include "lists.h"

#include <stdio.h>
#include <string.h>

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
    struct early_list *early = lists_begin(t, "conf/");
    int rc = storage_get(t->store, &range, &object, &e);

    lists_free(r->early[index]);
    r->early[index] = lists_end(early);
    if (rc < 0) {
        if (e.kind == ERR_NOT_FOUND) {
            doubt(r, index, true, &e);
            err_set(&e, ERR_UNAVAIL, 0,
                    "it holds no repository, although this one exists: an unmounted "
                    "disk or a new bucket? `drtool target add %s` makes it a target",
                    t->name);
            fleet_found(r->fleet, t, TARGET_EMPTY, &e);
        } else if (e.kind == ERR_CORRUPT) { /* longer than a header may be, or cut */
            doubt(r, index, false, &e);
            fleet_found(r->fleet, t, TARGET_FOREIGN, &e);
        } else {
            fleet_fail(r->fleet, t, &e);
        }
        return;
    }
    if (repo_check_header(r, t, buf_slice(&object), &e) == 0) {
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
        if (e->kind == ERR_NOT_FOUND || e->kind == ERR_CORRUPT)
            fleet_found(r->fleet, t,
                        e->kind == ERR_CORRUPT ? TARGET_FOREIGN : TARGET_EMPTY, e);
        return -1;
    }
    if (repo_check_header(r, t, buf_slice(&object), e) < 0) {
        fleet_found(r->fleet, t, TARGET_FOREIGN, e);
        return -1;
    }
    return conf_bring_up(r, t, e) < 0 ? -1 : repo_load_gc(r, t, index, e);
}

int
repo_start(struct repo *r, struct err *e)
{
    struct fleet_rules rules = { repo_may_put, probe_again, r };

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
