#include "engine/check.h"

#include "base/cancel.h"
#include "base/clock.h"
#include "base/random.h"
#include "base/text.h"
#include "crypto/hash.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define SMALL 4096
#define SKEW_NOTED_S 60 /* S3 servers refuse from 15 minutes on */
#define SKEW_BAD_S 600
#define KEYS_MAX 4

struct check {
    struct storage *store;
    check_fn *fn;
    void *arg;
    char tag[17];
    char *keys[KEYS_MAX]; /* put, to be removed */
    size_t key_count;
    struct buf small;
};

const char *
check_verdict_name(enum check_verdict v)
{
    static const char *const names[] = { "good", "noted", "bad" };

    return names[v];
}

static void PRINTF(4, 5)
    say(struct check *c, const char *what, enum check_verdict v, const char *fmt, ...)
{
    char text[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    c->fn(c->arg, what, v, text);
}

static const char *
new_key(struct check *c)
{
    assert(c->key_count < KEYS_MAX);
    char *key = mem_printf("check/%s-%zu", c->tag, c->key_count);

    return c->keys[c->key_count++] = key;
}

static void
fill(struct buf *b, uint64_t len)
{
    uint8_t *to = buf_room(b, (size_t)len);

    random_bytes(NULL, to, (size_t)len);
    b->len += (size_t)len;
}

static void
check_clock(struct check *c)
{
    struct err e = { 0 };
    int64_t now = 0;

    if (storage_now(c->store, &now, &e) < 0) {
        say(c, "clock", CHECK_BAD, "it does not tell the time: %s", err_text(&e));
        return;
    }
    int64_t skew = now - clock_now().s;
    int64_t off = skew < 0 ? -skew : skew;
    say(c, "clock",
        off >= SKEW_BAD_S     ? CHECK_BAD
        : off >= SKEW_NOTED_S ? CHECK_NOTED
                              : CHECK_GOOD,
        "%s", off < 2 ? "as ours" : text_of_duration(off * 1000));
}

/* Puts the small object that the other checks look at. */
static bool
check_put(struct check *c, const char *key)
{
    struct body body = body_of(buf_slice(&c->small));
    struct err e = { 0 };
    int64_t begun = clock_mono_ms();

    if (storage_put(c->store, key, &body, 0, &e) < 0) {
        say(c, "put", CHECK_BAD, "%s", err_text(&e));
        return false;
    }
    say(c, "put", CHECK_GOOD, "%d bytes in %s", SMALL,
        text_of_duration(clock_mono_ms() - begun));
    return true;
}

static void
check_get(struct check *c, const char *key)
{
    AUTOBUF struct buf all = BUF(2 * SMALL), part = BUF(2 * SMALL);
    struct range whole = { .key = key };
    struct range some = { .key = key, .offset = 1000, .len = 100 };
    struct err e = { 0 };

    if (storage_get(c->store, &whole, &all, &e) < 0
        || storage_get(c->store, &some, &part, &e) < 0) {
        say(c, "get", CHECK_BAD, "%s", err_text(&e));
        return;
    }
    bool right = slice_equal(buf_slice(&all), buf_slice(&c->small))
              && slice_equal(buf_slice(&part),
                             slice_sub(buf_slice(&c->small), 1000, 100));
    say(c, "get", right ? CHECK_GOOD : CHECK_BAD, "%s",
        right ? "whole and in ranges" : "other bytes come back than were put");
}

static void
check_head(struct check *c, const char *key)
{
    struct object_info info;
    struct err e = { 0 };

    if (storage_head(c->store, key, &info, &e) < 0) {
        say(c, "head", CHECK_BAD, "%s", err_text(&e));
        return;
    }
    if (info.size != SMALL) {
        say(c, "head", CHECK_BAD, "it tells %llu bytes of %d",
            (unsigned long long)info.size, SMALL);
        return;
    }
    struct body body = body_of(buf_slice(&c->small));
    if (!info.attested)
        say(c, "head", CHECK_NOTED,
            "no SHA-256 of its own is told: verify --level 1 proves no more than 0");
    else if (memcmp(info.sha256, body.sha256, 32) != 0)
        say(c, "head", CHECK_BAD, "the SHA-256 that it tells is wrong");
    else
        say(c, "head", CHECK_GOOD, "with a SHA-256 of its own%s",
            info.version && info.version[0] ? ", and versions" : "");
}

struct listed {
    const char *key;
    bool found;
};

static int
note_listed(void *arg, const struct object_info *o, struct err *e)
{
    struct listed *l = arg;

    (void)e;
    l->found |= strcmp(o->key, l->key) == 0 && o->size == SMALL;
    return 0;
}

static void
check_list(struct check *c, const char *key)
{
    struct listed l = { key, false };
    struct err e = { 0 };

    if (storage_list(c->store, "check/", note_listed, &l, &e) < 0)
        say(c, "list", CHECK_BAD, "%s", err_text(&e));
    else if (!l.found)
        say(c, "list", CHECK_BAD,
            "what was just put is not listed: commits cannot see "
            "what is there");
    else
        say(c, "list", CHECK_GOOD, "at once after a put");
}

static void
check_if_absent(struct check *c, const char *key)
{
    AUTOBUF struct buf there = BUF(2 * SMALL), other = BUF(SMALL);
    struct range whole = { .key = key };
    struct err e = { 0 };

    if (!(storage_traits(c->store) & STORAGE_IF_ABSENT)) {
        say(c, "create-if-absent", CHECK_NOTED, "not done; nothing depends on it");
        return;
    }
    fill(&other, 100);
    struct body body = body_of(buf_slice(&other));
    int rc = storage_put(c->store, key, &body, PUT_IF_ABSENT, &e);
    struct err ignored = { 0 };
    bool kept = storage_get(c->store, &whole, &there, &ignored) == 0
             && slice_equal(buf_slice(&there), buf_slice(&c->small));
    if (rc < 0 && e.kind == ERR_EXISTS && kept)
        say(c, "create-if-absent", CHECK_GOOD, "an object that is there is left alone");
    else
        say(c, "create-if-absent", CHECK_NOTED, "not honoured; nothing depends on it");
}

/* Bytes that are not those of the announced hash. */
static void
check_checksums(struct check *c)
{
    const char *key = new_key(c);
    struct body body = body_of(buf_slice(&c->small));
    struct err e = { 0 };

    body.sha256[0] ^= 1;
    if (storage_put(c->store, key, &body, 0, &e) < 0)
        say(c, "checksums", CHECK_GOOD, "a put that does not fit its hash is refused");
    else
        say(c, "checksums", CHECK_NOTED,
            "a put that does not fit its hash is taken: only verify --level 3 finds what "
            "the line has damaged");
}

static void
tell_speed(struct check *c, const char *what, uint64_t bytes, int64_t ms)
{
    say(c, what, CHECK_GOOD, "%s/s",
        text_of_size(bytes * 1000 / (uint64_t)(ms ? ms : 1)));
}

static void
check_speed(struct check *c, uint64_t bulk)
{
    AUTOBUF struct buf sent = BUF(bulk), got = BUF(bulk);
    const char *key = new_key(c);
    struct range whole = { .key = key, .len = bulk };
    struct err e = { 0 };

    fill(&sent, bulk);
    struct body body = body_of(buf_slice(&sent));
    int64_t begun = clock_mono_ms();
    if (storage_put(c->store, key, &body, 0, &e) < 0) {
        say(c, "upload", CHECK_BAD, "%s", err_text(&e));
        return;
    }
    tell_speed(c, "upload", bulk, clock_mono_ms() - begun);
    begun = clock_mono_ms();
    if (storage_get(c->store, &whole, &got, &e) < 0)
        say(c, "download", CHECK_BAD, "%s", err_text(&e));
    else if (!slice_equal(buf_slice(&sent), buf_slice(&got)))
        say(c, "download", CHECK_BAD, "other bytes come back than were put");
    else
        tell_speed(c, "download", bulk, clock_mono_ms() - begun);
}

static void
check_remove(struct check *c)
{
    struct object_info info;
    struct err e = { 0 }, gone = { 0 };

    if (storage_remove(c->store, (const char *const *)c->keys, c->key_count, &e) < 0)
        say(c, "remove", CHECK_NOTED,
            "refused, which is right for a key that only backs up; %zu objects stay "
            "below check/: %s",
            c->key_count, err_text(&e));
    else if (storage_head(c->store, c->keys[0], &info, &gone) == 0)
        say(c, "remove", CHECK_NOTED, "what was removed is still there");
    else
        say(c, "remove", CHECK_GOOD, "what was put is gone");
}

int
engine_check(struct target *t, uint64_t bulk, check_fn *fn, void *arg, struct err *e)
{
    struct check c = { .store = t->store, .fn = fn, .arg = arg, .small = BUF(SMALL) };
    uint64_t r;

    random_bytes(NULL, &r, sizeof r);
    text_hex(c.tag, &r, sizeof r);
    fill(&c.small, SMALL);
    check_clock(&c);
    const char *key = new_key(&c);
    if (check_put(&c, key)) {
        check_get(&c, key);
        check_head(&c, key);
        check_list(&c, key);
        check_if_absent(&c, key);
        check_checksums(&c);
        if (bulk > 0 && !cancel_requested())
            check_speed(&c, bulk);
        check_remove(&c);
    }
    for (size_t i = 0; i < c.key_count; i++)
        mem_free(c.keys[i]);
    buf_release(&c.small);
    return cancel_check(e);
}
