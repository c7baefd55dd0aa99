#include "base/cancel.h"
#include "base/fs.h"
#include "base/log.h"
#include "crypto/hash.h"

#include "impl.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define FETCH_WINDOW ((size_t)4 << 20)

/* Remembers that `t` served nothing or wrong bytes for `key`. */
static void
note_bad(struct fleet *f, struct target *t, const char *key)
{
    atomic_fetch_add(&t->bad_reads, 1);
    pthread_mutex_lock(&f->lock);
    bool known = f->bad_count == FLEET_BAD_MAX;
    for (size_t i = 0; i < f->bad_count && !known; i++)
        known = f->bad[i].target == t && strcmp(f->bad[i].key, key) == 0;
    if (!known)
        f->bad[f->bad_count++] = (struct bad_read){ t, mem_strdup(key) };
    pthread_mutex_unlock(&f->lock);
}

void
fleet_bad_list(struct fleet *f, fleet_bad_fn *fn, void *arg)
{
    for (size_t i = 0; i < f->bad_count; i++)
        fn(arg, f->bad[i].target, f->bad[i].key);
}

static bool
is_about_object(const struct err *e)
{
    return e->kind == ERR_NOT_FOUND || e->kind == ERR_CORRUPT || e->kind == ERR_FORGED;
}

static int
get_from(struct fleet *f, struct target *t, const struct range *r, fleet_check_fn *check,
         void *arg, struct buf *out, struct err *e)
{
    size_t before = out->len;
    int rc = storage_get(t->store, r, out, e);

    if (rc == 0) {
        atomic_fetch_add(&t->bytes_read, out->len - before);
        atomic_fetch_add(&t->reads, 1);
        if (check)
            rc = check(arg, slice_of(out->ptr + before, out->len - before), e);
    }
    if (rc == 0)
        return 0;
    out->len = before;
    if (e->kind == ERR_CANCELLED)
        return -1;
    if (is_about_object(e)) {
        note_bad(f, t, r->key);
        log_info("target %s: %s: %s", t->name, r->key, err_text(e));
    } else {
        fleet_outcome(f, t, false, 0, e);
    }
    return err_in(e, "target %s", t->name);
}

/* Of two failures the one that tells more: damage, then absence, then silence. */
static bool
tells_more(const struct err *a, const struct err *b)
{
    int rank_a = a->kind == ERR_CORRUPT || a->kind == ERR_FORGED
                   ? 2
                   : a->kind == ERR_NOT_FOUND;
    int rank_b = b->kind == ERR_CORRUPT || b->kind == ERR_FORGED
                   ? 2
                   : b->kind == ERR_NOT_FOUND;

    return b->kind == ERR_NONE || rank_a > rank_b;
}

int
fleet_get(struct fleet *f, struct target *from, const struct range *r,
          fleet_check_fn *check, void *arg, struct buf *out, struct err *e)
{
    struct err worst = { 0 }, one = { 0 };

    if (from) {
        if (get_from(f, from, r, check, arg, out, e) == 0)
            return 0;
        return -1;
    }
    for (size_t i = 0; i < f->count; i++) {
        struct target *t = &f->targets[i];
        if (!target_is_up(f, t))
            continue;
        if (get_from(f, t, r, check, arg, out, &one) == 0)
            return 0;
        if (one.kind == ERR_CANCELLED || tells_more(&one, &worst))
            worst = one;
        if (one.kind == ERR_CANCELLED)
            break;
    }
    if (worst.kind == ERR_NONE)
        return fleet_nobody(f, e);
    *e = worst;
    return -1;
}

/* Copies the object from one target into the file; the hash decides. */
static int
fetch_from(struct fleet *f, struct target *t, const char *key, uint64_t size,
           const uint8_t sha[32], int fd, struct err *e)
{
    AUTOBUF struct buf window = BUF(FETCH_WINDOW);
    CLEANUP(sha256_free_p) struct sha256 *h = sha256_new();
    uint8_t got[SHA256_LEN];

    for (uint64_t at = 0; at < size; at += window.len) {
        struct range r = { .key = key,
                           .offset = at,
                           .len = size - at < FETCH_WINDOW ? size - at : FETCH_WINDOW };
        buf_clear(&window);
        if (cancel_check(e) < 0 || get_from(f, t, &r, NULL, NULL, &window, e) < 0
            || fs_pwrite_all(fd, buf_slice(&window), at, e) < 0)
            return -1;
        sha256_feed(h, buf_slice(&window));
    }
    sha256_end(h, got);
    if (memcmp(got, sha, sizeof got) == 0)
        return 0;
    note_bad(f, t, key);
    return err_set(e, ERR_CORRUPT, 0, "target %s: %s: the bytes do not fit the name",
                   t->name, key);
}

int
fleet_fetch(struct fleet *f, const struct target *not_from, const char *key,
            uint64_t size, const uint8_t sha[32], char **path, struct err *e)
{
    AUTOFREE char *tmp = fleet_spool_tmp(f);
    struct err worst = { 0 }, one = { 0 };

    for (size_t i = 0; i < f->count; i++) {
        struct target *t = &f->targets[i];
        if (t == not_from || !target_is_up(f, t))
            continue;
        AUTOCLOSE int fd = open(tmp, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (fd < 0)
            return err_sys(e, errno, "creating %s", tmp);
        if (fetch_from(f, t, key, size, sha, fd, &one) == 0) {
            *path = TAKE(tmp);
            return 0;
        }
        if (tells_more(&one, &worst))
            worst = one;
    }
    unlink(tmp);
    if (worst.kind == ERR_NONE)
        return err_set(e, ERR_UNAVAIL, 0, "no target has %s", key);
    *e = worst;
    return -1;
}
