#include "base/fs.h"
#include "base/log.h"
#include "base/text.h"
#include "conf/secret.h"

#include "impl.h"

#include <string.h>

/* What the configuration offers to open slots with. */
struct secret {
    enum slot_kind kind;
    uint8_t bytes[SECRET_MAX];
    size_t len;
};

static int
read_key_file(const char *path, struct secret *s, struct err *e)
{
    struct conf_secret ref = { .from = SECRET_FILE };
    struct buf text = BUF(SECRET_MAX + 1);

    ref.value = mem_strdup(path);
    int rc = secret_resolve(&ref, &text, e);
    mem_free(ref.value);
    if (rc == 0)
        rc = key_file_parse(buf_slice(&text), s->bytes, e);
    if (text.ptr)
        crypto_wipe(text.ptr, text.cap);
    buf_release(&text);
    s->kind = SLOT_FILE;
    s->len = KEY_FILE_SECRET;
    return rc < 0 ? err_in(e, "key file %s", path) : 0;
}

/* A passphrase that is a recovery code, with its check characters, is one. */
static void
take_passphrase(const struct buf *given, struct secret *s)
{
    struct buf text = BUF(SECRET_MAX + 1); /* ends in a NUL */
    struct err not_a_code = { 0 };

    buf_room(&text, SECRET_MAX + 1);
    buf_put_slice(&text, buf_slice(given));
    if (code_parse(buf_cstr(&text), s->bytes, &not_a_code) == 0) {
        s->kind = SLOT_CODE;
        s->len = CODE_SECRET;
    } else {
        s->kind = SLOT_PASSPHRASE;
        s->len = text.len;
        memcpy(s->bytes, text.ptr, text.len);
    }
    crypto_wipe(text.ptr, text.cap);
    buf_release(&text);
}

static int
read_passphrase(const struct conf_secret *ref, struct secret *s, struct err *e)
{
    struct buf text = BUF(SECRET_MAX + 1);
    int rc = secret_resolve(ref, &text, e);

    if (rc == 0)
        take_passphrase(&text, s);
    if (text.ptr)
        crypto_wipe(text.ptr, text.cap);
    buf_release(&text);
    return rc < 0 ? err_in(e, "reading the passphrase") : 0;
}

static int
read_secret(const struct conf *c, const struct buf *passphrase, struct secret *s,
            struct err *e)
{
    if (passphrase) {
        take_passphrase(passphrase, s);
        return 0;
    }
    if (c->key.file)
        return read_key_file(c->key.file, s, e);
    if (c->key.passphrase.from != SECRET_NONE)
        return read_passphrase(&c->key.passphrase, s, e);
    return err_set(e, ERR_USAGE, 0, "%s: `key` names neither a file nor a passphrase",
                   c->path);
}

/* Tries one slot; keeps the keys in r->keys. 1 opened, 0 not, -1. */
static int
try_slot(struct repo *r, struct slice object, const struct secret *s, struct err *e)
{
    return slot_open(object, s->kind, slice_of(s->bytes, s->len), &r->keys, e);
}

/* Slots kept locally, as a record with a field per slot. */
static int
try_kept(struct repo *r, const struct secret *s, struct err *e)
{
    AUTOBUF struct buf kept = BUF(SLOT_MAX);

    if (state_get(r->state, "slot", &kept, e) < 0)
        return -1;
    return kept.len ? try_slot(r, buf_slice(&kept), s, e) : 0;
}

struct search {
    struct repo *repo;
    const struct secret *secret;
    struct target *target;
    unsigned seen;     /* slots of this target */
    struct err unread; /* why one of them could not be tried */
    bool opened;
};

static int
try_listed(void *arg, const struct object_info *o, struct err *e)
{
    struct search *s = arg;
    AUTOBUF struct buf object = BUF(SLOT_MAX);
    struct range range = { .key = o->key };
    struct err one = { 0 };

    if (s->opened || o->size > SLOT_MAX)
        return 0;
    s->seen++;
    if (storage_get(s->target->store, &range, &object, &one) < 0) {
        log_info("target %s: %s: %s", s->target->name, o->key, err_text(&one));
        s->unread = one;
        return 0;
    }
    int rc = try_slot(s->repo, buf_slice(&object), s->secret, &one);
    if (rc < 0) {
        log_warn("target %s: %s: %s", s->target->name, o->key, err_text(&one));
        s->unread = one;
    }
    if (rc == 1) {
        s->opened = true;
        return state_put(s->repo->state, "slot", buf_slice(&object), e);
    }
    return 0;
}

/* A secret is only wrong when some target has let it try all slots that it lists. */
static int
try_targets(struct repo *r, const struct secret *secret, struct err *e)
{
    struct err last = { 0 }, unread = { 0 };
    unsigned answered = 0, tried = 0;

    for (size_t i = 0; i < fleet_count(r->fleet); i++) {
        struct search s = { .repo = r,
                            .secret = secret,
                            .target = fleet_target(r->fleet, i) };
        int rc = storage_list(s.target->store, "keys/", try_listed, &s, &last);
        if (rc < 0)
            fleet_fail(r->fleet, s.target, &last);
        if (s.opened)
            return 0;
        answered += rc == 0;
        if (s.unread.kind != ERR_NONE)
            unread = s.unread;
        else if (rc == 0 && s.seen > tried)
            tried = s.seen;
    }
    if (tried > 0)
        return err_set(e, ERR_DENIED, 0,
                       "%s opens none of the %u key slots of this repository",
                       secret->kind == SLOT_PASSPHRASE ? "the passphrase"
                       : secret->kind == SLOT_CODE     ? "the recovery code"
                                                       : "the key file",
                       tried);
    if (unread.kind != ERR_NONE) {
        *e = unread;
        return err_in(e, "reading the key slots");
    }
    if (last.kind != ERR_NONE) {
        *e = last;
        return err_in(e, answered ? "no target that answers holds a repository"
                                  : "no target answers");
    }
    return err_set(e, ERR_NOT_FOUND, 0,
                   "no target holds a repository; `drtool init` makes one");
}

int
repo_unlock(struct repo *r, const struct buf *passphrase, struct err *e)
{
    struct secret *s = crypto_alloc(sizeof *s);
    int rc = read_secret(r->conf, passphrase, s, e);

    if (rc == 0) {
        rc = try_kept(r, s, e);
        if (rc == 0)
            rc = try_targets(r, s, e);
        else if (rc == 1)
            rc = 0;
    }
    crypto_free(s);
    return rc;
}
