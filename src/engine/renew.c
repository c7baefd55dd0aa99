#include "renew.h"

#include "base/log.h"

#include <string.h>

#define PACKS_MAX ((size_t)1 << 30) /* bytes of pack names of one snapshot */
#define PAIR 64                     /* the name of a pack, and what takes its place */

static const uint8_t nowhere[32];

/* The size of a pack, as any target tells. 1, 0 none has it, -1 one did not say. */
static int
find_pack(struct repo *r, const char *key, uint64_t *size, struct err *e)
{
    struct fleet *f = repo_fleet(r);
    bool all = true;

    for (size_t i = 0; i < fleet_count(f); i++) {
        struct target *t = fleet_target(f, i);
        struct object_info info;
        struct err one = { 0 };
        if (!target_is_up(f, t)) {
            all = false;
        } else if (storage_head(t->store, key, &info, &one) == 0) {
            *size = info.size;
            return 1;
        } else {
            all &= one.kind == ERR_NOT_FOUND;
        }
    }
    return all ? 0 : err_set(e, ERR_UNAVAIL, 0, "no target that answers has %s", key);
}

int
renew_pack(struct repo *r, const uint8_t name[32], struct buf *out, struct err *e)
{
    uint32_t first = index_packs(repo_index(r));
    char key[PACK_KEY_LEN + 1];
    uint8_t new[32];
    uint64_t size = 0;

    pack_key(key, name);
    int rc = find_pack(r, key, &size, e);
    if (rc <= 0)
        return rc;
    if (repo_repack(r, name, size, e) < 0)
        return -1;
    rc = index_pack(repo_index(r), first, new, &size, e);
    if (rc == 1)
        buf_put(out, new, 32);
    return rc;
}

/* Renews what can be; a record of old and new name each is left in `pairs`. */
static int
renew_all(struct repo *r, struct slice condemned, struct buf *pairs, struct err *e)
{
    for (size_t i = 0; i + 32 <= condemned.len; i += 32) {
        AUTOBUF struct buf new = BUF(32);
        struct err one = { 0 };
        int rc = renew_pack(r, condemned.ptr + i, &new, &one);
        if (rc < 0 && one.kind == ERR_CANCELLED) {
            *e = one;
            return -1;
        }
        if (rc < 0) {
            log_warn("%s", err_text(&one));
            continue;
        }
        buf_put(pairs, condemned.ptr + i, 32);
        buf_put(pairs, rc == 1 ? new.ptr : nowhere, 32);
    }
    return pairs->len > 0 ? repo_publish_index(r, e) : 0;
}

static const uint8_t *
in_place_of(struct slice pairs, const uint8_t name[32])
{
    for (size_t i = 0; i + PAIR <= pairs.len; i += PAIR)
        if (memcmp(pairs.ptr + i, name, 32) == 0)
            return pairs.ptr + i + 32;
    return NULL;
}

/* One that waits for target `t`. Its object stays what it is: which packs hold its
 * chunks is the index's matter. */
static int
renew_row(struct repo *r, struct target *t, const char *snapshot, struct slice packs,
          struct slice pairs, struct err *e)
{
    AUTOBUF struct buf now = BUF(PACKS_MAX);
    bool changed = false, lost = false;

    for (size_t i = 0; i + 32 <= packs.len; i += 32) {
        const uint8_t *new = in_place_of(pairs, packs.ptr + i);
        char key[PACK_KEY_LEN + 1];
        pack_key(key, packs.ptr + i);
        if (new && !repo_refused(r, t, key))
            new = NULL;
        changed |= new != NULL;
        lost |= new &&memcmp(new, nowhere, 32) == 0;
        buf_put(&now, new ? new : packs.ptr + i, 32);
    }
    if (!changed)
        return 0;
    if (!lost)
        return state_commit_add(repo_state(r), snapshot, t->name, buf_slice(&now), e);
    log_warn("target %s: %s needs packs that were pruned everywhere: it is not completed",
             t->name, snapshot);
    return state_commit_done(repo_state(r), snapshot, t->name, e);
}

static int
renew_rows(struct repo *r, struct target *t, struct slice pairs, const char *but,
           struct err *e)
{
    int64_t id = 0;
    int rc;

    do {
        AUTOBUF struct buf key = BUF(1024), packs = BUF(PACKS_MAX);
        rc = state_commit_next(repo_state(r), t->name, &id, &key, &packs, e);
        if (rc == 1 && strcmp(buf_cstr(&key), but) != 0
            && renew_row(r, t, buf_cstr(&key), buf_slice(&packs), pairs, e) < 0)
            return -1;
    } while (rc == 1);
    return rc;
}

int
renew_waiting(struct repo *r, struct slice condemned, const char *but, struct err *e)
{
    AUTOBUF struct buf pairs = BUF(PACKS_MAX);

    if (renew_all(r, condemned, &pairs, e) < 0)
        return -1;
    for (size_t i = 0; i < fleet_count(repo_fleet(r)) && pairs.len > 0; i++)
        if (renew_rows(r, fleet_target(repo_fleet(r), i), buf_slice(&pairs), but, e) < 0)
            return -1;
    return 0;
}
