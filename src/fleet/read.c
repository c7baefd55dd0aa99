#include "base/cancel.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "crypto/hash.h"

#include "hedge.h"
#include "impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATIENCE_MAX_MS 60000
#define FETCH_WINDOW ((size_t)4 << 20)

/* Remembers that `t` served nothing or wrong bytes for `key`. */
static void
note_bad(struct fleet *f, struct target *t, const char *key, const struct err *why)
{
    atomic_fetch_add(&t->bad_reads, 1);
    if (why->kind != ERR_NOT_FOUND)
        fleet_event(f, t, HEALTH_WRONG, why);
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

int
read_judge(struct fleet *f, struct target *t, const struct range *r, int rc,
           struct err *e, struct slice data, int64_t took_ms, fleet_check_fn *check,
           void *arg)
{
    if (rc == 0) {
        atomic_fetch_add(&t->bytes_read, data.len);
        atomic_fetch_add(&t->reads, 1);
        pthread_mutex_lock(&f->lock);
        pulse_add(&t->pulse, data.len, took_ms);
        pthread_mutex_unlock(&f->lock);
        rc = check ? check(arg, data, e) : 0;
    }
    if (rc < 0 && e->kind == ERR_CANCELLED)
        return -1;
    fleet_outcome(f, t, false, data.len, rc < 0 ? e : NULL);
    if (rc == 0)
        return 0;
    if (is_about_object(e)) {
        note_bad(f, t, r->key, e);
        log_info("target %s: %s: %s", t->name, r->key, err_text(e));
    }
    return err_in(e, "target %s", t->name);
}

static int
get_from(struct fleet *f, struct target *t, const struct range *r, fleet_check_fn *check,
         void *arg, struct buf *out, struct err *e)
{
    size_t before = out->len;
    int64_t begun = clock_mono_ms();
    int rc = storage_get(t->store, r, out, e);
    struct slice data = slice_of(out->ptr + before, rc == 0 ? out->len - before : 0);

    rc = read_judge(f, t, r, rc, e, data, clock_mono_ms() - begun, check, arg);
    if (rc < 0)
        out->len = before;
    return rc;
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

void
read_worst(struct err *worst, const struct err *one)
{
    if (one->kind == ERR_CANCELLED || tells_more(one, worst))
        *worst = *one;
}

/* A target in the order of reading. */
struct choice {
    struct target *target;
    int rank;        /* by health */
    uint64_t weight; /* by the rule of the fleet */
};

static int
by_choice(const void *a, const void *b)
{
    const struct choice *x = a, *y = b;

    if (x->rank != y->rank)
        return x->rank - y->rank;
    if (x->weight != y->weight)
        return x->weight < y->weight ? -1 : 1;
    return x->target < y->target ? -1 : 1; /* as they are listed */
}

static uint64_t
weight_of(const struct fleet *f, const struct target *t, uint64_t bytes)
{
    uint64_t ms = (uint64_t)pulse_expected_ms(&t->pulse, bytes);

    switch (f->order) {
    case ORDER_FASTEST: /* who was not asked yet comes first: all get known */
        return ms;
    case ORDER_CHEAPEST:
        return ((uint64_t)t->conf->read_cost << 32) + (ms < UINT32_MAX ? ms : UINT32_MAX);
    default:
        return 0;
    }
}

/* The targets that may be read, best first; with `wanted` one of those that are
 * away, as far as their breakers let one probe. */
static size_t
choose(struct fleet *f, const struct target *not_from, uint64_t bytes, bool wanted,
       struct target *out[FLEET_TARGETS_MAX])
{
    struct choice list[FLEET_TARGETS_MAX];
    size_t n = 0;

    pthread_mutex_lock(&f->lock);
    for (size_t i = 0; i < f->count; i++) {
        struct target *t = &f->targets[i];
        int rank = health_read_rank(&t->health);
        if (t == not_from
            || (wanted ? rank >= 0 || !health_may_try(&t->health, false, fleet_now())
                       : rank < 0))
            continue;
        list[n++] = (struct choice){ t, rank, weight_of(f, t, bytes) };
        if (wanted) /* a probe has to be made, so only one */
            break;
    }
    pthread_mutex_unlock(&f->lock);
    qsort(list, n, sizeof *list, by_choice);
    for (size_t i = 0; i < n; i++)
        out[i] = list[i].target;
    return n;
}

/* Nobody answers. How long until one may be probed, if that is worth to be waited
 * for: it has just gone silent. -1: nobody. */
static int64_t
patience_ms(struct fleet *f)
{
    int64_t best = -1;

    pthread_mutex_lock(&f->lock);
    for (size_t i = 0; i < f->count; i++) {
        const struct health *h = &f->targets[i].health;
        int64_t ms = health_wait_ms(h, fleet_now());
        if (h->state == TARGET_DOWN && h->was_good && h->wait_ms <= 2 * h->first_wait_ms
            && ms >= 0 && ms <= PATIENCE_MAX_MS && (best < 0 || ms < best))
            best = ms;
    }
    pthread_mutex_unlock(&f->lock);
    return best;
}

/* Whom to read from now. Waits for a target that may come back; 0: nobody will. */
static size_t
readers(struct fleet *f, const struct target *not_from, uint64_t bytes,
        struct target *out[FLEET_TARGETS_MAX])
{
    for (;;) {
        size_t n = choose(f, not_from, bytes, false, out);
        if (n == 0)
            n = choose(f, not_from, bytes, true, out);
        int64_t ms = n == 0 ? patience_ms(f) : 0;
        if (n > 0 || ms < 0 || cancel_requested())
            return n;
        clock_sleep_ms(ms < 100 ? ms + 1 : 100);
    }
}

static bool
is_local(const struct target *t)
{
    return storage_traits(t->store) & STORAGE_LOCAL;
}

/* One after the other. */
static int
get_in_turn(struct fleet *f, struct target *const *targets, size_t count,
            const struct range *r, fleet_check_fn *check, void *arg, struct buf *out,
            struct err *e)
{
    struct err worst = { 0 };

    for (size_t i = 0; i < count; i++) {
        struct err one = { 0 };
        if (get_from(f, targets[i], r, check, arg, out, &one) == 0)
            return 0;
        read_worst(&worst, &one);
        if (one.kind == ERR_CANCELLED)
            break;
    }
    *e = worst;
    return -1;
}

int
fleet_get(struct fleet *f, struct target *from, const struct range *r,
          fleet_check_fn *check, void *arg, struct buf *out, struct err *e)
{
    struct target *targets[FLEET_TARGETS_MAX];
    size_t count = 0;

    if (from)
        return get_from(f, from, r, check, arg, out, e);
    for (;;) {
        count = readers(f, NULL, r->len, targets);
        if (count == 0)
            return cancel_check(e) < 0 ? -1 : fleet_nobody(f, e);
        int rc = count == 1 || is_local(targets[0])
                   ? get_in_turn(f, targets, count, r, check, arg, out, e)
                   : hedge_get(f->hedge, targets, count, r, check, arg, out, e);
        /* all have gone silent meanwhile: one may be back soon */
        if (rc == 0 || e->kind != ERR_UNAVAIL || choose(f, NULL, 0, false, targets) > 0
            || patience_ms(f) < 0)
            return rc;
    }
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
    err_set(e, ERR_CORRUPT, 0, "target %s: %s: the bytes do not fit the name", t->name,
            key);
    note_bad(f, t, key, e);
    return -1;
}

int
fleet_fetch(struct fleet *f, const struct target *not_from, const char *key,
            uint64_t size, const uint8_t sha[32], char **path, struct err *e)
{
    AUTOFREE char *tmp = fleet_spool_tmp(f);
    struct target *targets[FLEET_TARGETS_MAX];
    size_t count = choose(f, not_from, size, false, targets);
    struct err worst = { 0 };

    for (size_t i = 0; i < count; i++) {
        AUTOCLOSE int fd = open(tmp, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        struct err one = { 0 };
        if (fd < 0)
            return err_sys(e, errno, "creating %s", tmp);
        if (fetch_from(f, targets[i], key, size, sha, fd, &one) == 0) {
            *path = TAKE(tmp);
            return 0;
        }
        read_worst(&worst, &one);
    }
    unlink(tmp);
    if (worst.kind == ERR_NONE)
        return err_set(e, ERR_UNAVAIL, 0, "no target has %s", key);
    *e = worst;
    return -1;
}
