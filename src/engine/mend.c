#include "mend.h"

#include "base/cancel.h"
#include "base/log.h"
#include "base/text.h"
#include "crypto/hash.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define WINDOW ((size_t)4 << 20)

/* Fetches the object in the size that is known (0: not), or that one of the others
 * tells. */
static int
fetch(struct repo *r, struct target *t, const char *key, uint64_t size,
      const uint8_t sha[32], char **path, uint64_t *got, struct err *e)
{
    struct fleet *f = repo_fleet(r);

    *got = size;
    if (size > 0)
        return fleet_fetch(f, t, key, size, sha, path, e);
    err_set(e, ERR_NOT_FOUND, 0, "no other target has it");
    for (size_t i = 0; i < fleet_count(f); i++) {
        struct target *from = fleet_target(f, i);
        struct object_info info;
        struct err none = { 0 };
        if (from == t || !target_is_up(f, from)
            || storage_head(from->store, key, &info, &none) < 0)
            continue;
        *got = info.size;
        if (fleet_fetch(f, t, key, info.size, sha, path, e) == 0)
            return 0;
    }
    return -1;
}

/* What was pruned does not come back. What lies there damaged, also when a mark names
 * it, somebody may need. */
static int
may_mend(struct repo *r, struct target *t, const char *key, struct err *e)
{
    struct object_info o;
    struct err none = { 0 };

    return storage_head(t->store, key, &o, &none) == 0 ? 1 : repo_may_put(r, t, key, e);
}

int
mend_object(struct repo *r, struct target *t, const char *key, uint64_t size,
            struct err *e)
{
    AUTOFREE char *path = NULL;
    struct body body = { .fd = -1 };

    if (!format_hash_of(key, body.sha256))
        return err_set(e, ERR_NOT_FOUND, 0, "no other target has a good copy");
    int rc = may_mend(r, t, key, e);
    if (rc > 0 && fetch(r, t, key, size, body.sha256, &path, &body.size, e) < 0)
        return -1;
    if (rc > 0) /* that may have taken long */
        rc = may_mend(r, t, key, e);
    if (rc == 0)
        rc = err_set(e, ERR_CONFLICT, 0, "it was pruned there");
    if (rc > 0) {
        body.fd = open(path, O_RDONLY | O_CLOEXEC);
        rc = body.fd < 0 ? err_set(e, ERR_IO, 0, "opening %s", path)
                         : storage_put(t->store, key, &body, 0, e);
    }
    if (body.fd >= 0)
        close(body.fd);
    if (path)
        unlink(path);
    return rc;
}

/* The hash of what the target holds, in windows. */
static int
hash_of(struct target *t, const char *key, uint8_t out[32], struct err *e)
{
    AUTOBUF struct buf window = BUF(WINDOW);
    CLEANUP(sha256_free_p) struct sha256 *h = sha256_new();
    struct object_info info;

    if (storage_head(t->store, key, &info, e) < 0)
        return -1;
    for (uint64_t at = 0; at < info.size; at += window.len) {
        struct range r = { .key = key,
                           .offset = at,
                           .len = info.size - at < WINDOW ? info.size - at : WINDOW };
        buf_clear(&window);
        if (cancel_check(e) < 0 || storage_get(t->store, &r, &window, e) < 0)
            return -1;
        sha256_feed(h, buf_slice(&window));
    }
    sha256_end(h, out);
    return 0;
}

/* Still bad? 1 and what is there instead, as words; 0; -1 it cannot be told. */
static int
is_bad(struct target *t, const char *key, char found[65], struct err *e)
{
    uint8_t want[32], have[32];

    if (!format_hash_of(key, want))
        return 0;
    if (hash_of(t, key, have, e) < 0) {
        memcpy(found, "nothing", sizeof "nothing");
        return e->kind == ERR_NOT_FOUND ? 1 : -1;
    }
    text_hex(found, have, 32);
    return memcmp(want, have, 32) != 0;
}

static bool
all_answer(struct fleet *f)
{
    for (size_t i = 0; i < fleet_count(f); i++)
        if (!target_is_up(f, fleet_target(f, i)))
            return false;
    return true;
}

/* 1 the row may go, 0 it stays. */
static int
mend_one(struct repo *r, struct target *t, const char *key, struct mend_result *out)
{
    struct err e = { 0 };
    char found[65];

    if (fleet_queued(repo_fleet(r), key)) /* what is on its way is no damage */
        return 1;
    int bad = is_bad(t, key, found, &e);
    if (bad == 0)
        return 1;
    e = bad > 0 ? (struct err){ 0 } : e;
    if (bad > 0 && mend_object(r, t, key, 0, &e) == 0) {
        uint8_t want[32];
        char hex[65];
        (void)format_hash_of(key, want);
        text_hex(hex, want, 32);
        log_note("target %s: %s is replaced from another target: there was %s, SHA-256 "
                 "%s is expected",
                 t->name, key, found, hex);
        out->mended++;
        return 1;
    }
    if (e.kind == ERR_CONFLICT) /* nor is what is not to be there */
        return 1;
    log_warn("target %s: %s is not what it should be and is not mended: %s", t->name, key,
             err_text(&e));
    if (all_answer(repo_fleet(r))) /* nobody has it: verify tells what that means */
        return 1;
    out->left++;
    out->why = e;
    return 0;
}

int
mend_target(struct repo *r, struct target *t, struct mend_result *out, struct err *e)
{
    AUTOBUF struct buf key = BUF(STORAGE_KEY_MAX + 1);
    struct state *state = repo_state(r);
    int64_t id = 0;
    int rc;

    while ((rc = state_bad_next(state, t->name, &id, &key, e)) == 1) {
        if (cancel_check(e) < 0)
            return -1;
        if (mend_one(r, t, buf_cstr(&key), out) && state_bad_drop(state, id, e) < 0)
            return -1;
        buf_clear(&key);
    }
    return rc;
}
