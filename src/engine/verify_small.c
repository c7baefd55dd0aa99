#include "base/cancel.h"
#include "base/log.h"

#include "verify_impl.h"

#include <string.h>

#define SMALL_MAX ((size_t)120 << 20)

/* Small objects: what carries its hash in its name must have it. */

struct small {
    struct verify *v;
    struct buf keys; /* NUL-terminated, one after the other */
    struct buf sizes;
};

static int
small_listed(void *arg, const struct object_info *o, struct err *e)
{
    struct small *s = arg;

    buf_put(&s->keys, o->key, strlen(o->key) + 1);
    buf_put_u64(&s->sizes, o->size);
    return cancel_check(e);
}

static int
read_small(struct verify *v, const char *key, uint64_t size, struct err *bad)
{
    AUTOBUF struct buf object = BUF(SMALL_MAX);
    struct range range = { .key = key };

    if (size > SMALL_MAX)
        return err_set(bad, ERR_CORRUPT, 0, "it is too large");
    if (storage_get(v->target->store, &range, &object, bad) < 0)
        return -1;
    return format_hash_fits(key, buf_slice(&object))
             ? 0
             : err_set(bad, ERR_CORRUPT, 0, "its bytes do not fit its name");
}

static int
check_small(struct verify *v, const char *key, uint64_t size, struct err *e)
{
    struct err bad = { 0 };

    v->told->objects++;
    if (read_small(v, key, size, &bad) == 0)
        return 0;
    if (bad.kind == ERR_CORRUPT) { /* or was it bad on the way only? */
        bad = (struct err){ 0 };
        if (read_small(v, key, size, &bad) == 0)
            return 0;
    }
    if (bad.kind != ERR_CORRUPT && bad.kind != ERR_NOT_FOUND) {
        *e = bad;
        return -1;
    }
    verify_bad(v, key, 0, bad.kind == ERR_NOT_FOUND, err_text(&bad));
    return 0;
}

static int
check_prefix(struct verify *v, const char *prefix, struct err *e)
{
    struct small s = { v, BUF((size_t)256 << 20), BUF((size_t)64 << 20) };
    int rc = storage_list(v->target->store, prefix, small_listed, &s, e);
    const char *key = (const char *)s.keys.ptr;

    for (size_t i = 0; rc == 0 && i < s.sizes.len; i += 8) {
        rc = check_small(v, key, get_u64(s.sizes.ptr + i), e);
        key += strlen(key) + 1;
    }
    buf_release(&s.keys);
    buf_release(&s.sizes);
    return rc;
}

/* Configuration records that are known and not listed. Those that are listed are
 * checked as every small object is. */

struct records {
    struct verify *v;
    const char *next, *end; /* of the keys listed, in order */
};

static int
record_known(void *arg, const char *key, struct slice object, struct err *e)
{
    struct records *r = arg;

    (void)object;
    while (r->next < r->end && strcmp(r->next, key) < 0)
        r->next += strlen(r->next) + 1;
    if (r->next >= r->end || strcmp(r->next, key) != 0) {
        r->v->told->objects++;
        verify_bad(r->v, key, 0, true, "it is not there");
    }
    return cancel_check(e);
}

static int
check_records(struct verify *v, struct err *e)
{
    struct small s = { v, BUF((size_t)256 << 20), BUF((size_t)64 << 20) };
    int rc = storage_list(v->target->store, "conf/", small_listed, &s, e);
    const char *keys = (const char *)s.keys.ptr;
    struct records r = { v, keys, keys + s.keys.len };

    if (rc == 0)
        rc = repo_records(v->repo, record_known, &r, e);
    buf_release(&s.keys);
    buf_release(&s.sizes);
    return rc;
}

/* Key slots carry no hash: their copies are compared. */
static int
check_slot(struct verify *v, const char *key, struct err *e)
{
    AUTOBUF struct buf good = BUF(SLOT_MAX);
    struct err why = { 0 };
    int verdict = repo_slot_judge(v->repo, v->target, key, &good, &why, e);

    v->told->objects++;
    if (verdict < 0)
        return -1;
    if (verdict == SLOT_RIGHT)
        return cancel_check(e);
    bool missing = verdict == SLOT_MISSING;
    if (v->options->heal && good.len > 0) {
        struct body body = body_of(buf_slice(&good));
        if (storage_put(v->target->store, key, &body, 0, e) < 0)
            return -1;
        *(missing ? &v->told->missing : &v->told->damaged) += 1;
        v->told->healed++;
        return 0;
    }
    verify_bad(v, key, 0, missing,
               missing ? "it is not there" : "it differs from the other targets' copy");
    return cancel_check(e);
}

/* Every slot that any target lists. */
static int
check_slots(struct verify *v, struct err *e)
{
    struct fleet *f = repo_fleet(v->repo);
    struct small s = { v, BUF((size_t)1 << 20), BUF((size_t)1 << 20) };
    int rc = 0;

    for (size_t i = 0; i < fleet_count(f); i++) {
        struct err none = { 0 };
        if (target_is_up(f, fleet_target(f, i))
            && storage_list(fleet_target(f, i)->store, "keys/", small_listed, &s, &none)
                   < 0)
            log_info("%s", err_text(&none));
    }
    const char *end = (const char *)s.keys.ptr + s.keys.len;
    for (const char *key = (const char *)s.keys.ptr; rc == 0 && key && key < end;
         key += strlen(key) + 1) {
        bool seen = false;
        for (const char *k = (const char *)s.keys.ptr; k < key && !seen;
             k += strlen(k) + 1)
            seen = strcmp(k, key) == 0;
        if (!seen)
            rc = check_slot(v, key, e);
    }
    buf_release(&s.keys);
    buf_release(&s.sizes);
    return rc;
}

int
verify_small(struct verify *v, struct err *e)
{
    static const char *const prefixes[] = { "conf/", "index/", "snap/", "done/",
                                            "gone/", "gc/",    "pin/",  "drill/" };

    if (check_records(v, e) < 0)
        return -1;
    for (size_t i = 0; i < COUNT_OF(prefixes); i++)
        if (check_prefix(v, prefixes[i], e) < 0)
            return -1;
    return check_slots(v, e);
}

void
verify_header(struct verify *v)
{
    bool missing = false;
    const struct err *bad = repo_header_damage(v->repo, v->index, &missing);

    if (!bad)
        return;
    struct err why = *bad; /* healing forgets it */
    verify_bad(v, "drt.repo", 0, missing, err_text(&why));
}
