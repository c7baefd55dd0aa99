#include "base/fs.h"
#include "base/log.h"
#include "codec/record.h"
#include "storage/open.h"

#include "impl.h"

#include <string.h>
#include <unistd.h>

/* One object that goes to every target. */
struct object {
    char key[96];
    struct buf bytes;
};

struct plan {
    struct object slots[3];
    size_t slot_count;
    struct object conf;
};

static int
check_empty(struct target *t, struct err *e)
{
    struct object_info info;

    if (storage_create(t->conf, e) < 0)
        return err_in(e, "target %s", t->name);
    if (storage_head(t->store, "drt.repo", &info, e) == 0)
        return err_set(e, ERR_EXISTS, 0, "target %s (%s) holds a repository already",
                       t->name, storage_url(t->store));
    if (e->kind != ERR_NOT_FOUND)
        return err_in(e, "target %s", t->name);
    *e = (struct err){ 0 };
    return 0;
}

static int
add_slot(struct repo *r, struct plan *p, enum slot_kind kind, struct slice secret,
         struct err *e)
{
    struct object *o = &p->slots[p->slot_count++];

    o->bytes = BUF(SLOT_MAX);
    return slot_make(r->keys, ROLE_ADMIN, kind, secret, &o->bytes, o->key, e);
}

/* The key file, before anything depends on it. One that exists is kept and
 * used: several repositories may share it. */
static int
make_key_file(const char *path, uint8_t secret[KEY_FILE_SECRET], struct err *e)
{
    struct buf text = BUF(256);
    int rc;

    buf_room(&text, 256);
    if (access(path, F_OK) == 0) {
        rc = fs_read(path, 200, &text, e);
        if (rc == 0)
            rc = key_file_parse(buf_slice(&text), secret, e);
    } else {
        const char *slash = strrchr(path, '/');
        AUTOFREE char *dir = slash && slash > path
                               ? mem_printf("%.*s", (int)(slash - path), path)
                               : mem_strdup("/");
        random_bytes(NULL, secret, KEY_FILE_SECRET);
        key_file_text(secret, &text);
        rc = fs_mkdirs(dir, 0700, e);
        if (rc == 0)
            rc = fs_replace(path, buf_slice(&text), 0600, e);
    }
    crypto_wipe(text.ptr, text.cap);
    buf_release(&text);
    return rc < 0 ? err_in(e, "key file %s", path) : 0;
}

static int
make_slots(struct repo *r, const struct buf *passphrase, struct plan *p,
           char code[CODE_TEXT_LEN + 1], struct err *e)
{
    uint8_t secret[KEY_FILE_SECRET];
    int rc = 0;

    random_bytes(NULL, secret, CODE_SECRET);
    code_text(secret, code);
    rc = add_slot(r, p, SLOT_CODE, slice_of(secret, CODE_SECRET), e);
    if (rc == 0 && r->conf->key.file) {
        rc = make_key_file(r->conf->key.file, secret, e);
        if (rc == 0)
            rc = add_slot(r, p, SLOT_FILE, slice_of(secret, KEY_FILE_SECRET), e);
    }
    if (rc == 0 && passphrase)
        rc = add_slot(r, p, SLOT_PASSPHRASE, buf_slice(passphrase), e);
    crypto_wipe(secret, sizeof secret);
    return rc;
}

static int
put(struct target *t, const struct object *o, struct err *e)
{
    struct body body = body_of(buf_slice(&o->bytes));

    return storage_put(t->store, o->key, &body, 0, e);
}

/* Slots and records first, the header last: a place without drt.repo is no
 * repository. */
static int
fill_target(struct repo *r, struct target *t, const struct plan *p, struct err *e)
{
    int64_t made_s = repo_made_now(r, t);
    struct object header = { .key = "drt.repo", .bytes = BUF(4096) };
    unsigned flags = storage_traits(t->store) & STORAGE_IF_ABSENT ? PUT_IF_ABSENT : 0;
    int rc = 0;

    for (size_t i = 0; i < p->slot_count && rc == 0; i++)
        rc = put(t, &p->slots[i], e);
    if (rc == 0 && p->conf.key[0])
        rc = put(t, &p->conf, e);
    if (rc == 0) {
        random_bytes(NULL, t->id, ID_LEN);
        repo_header_object(r->keys, t->id, made_s, &header.bytes);
        struct body body = body_of(buf_slice(&header.bytes));
        rc = storage_put(t->store, header.key, &body, flags, e);
        buf_release(&header.bytes);
    }
    if (rc == 0)
        rc = state_target_new(r->state, t->name, e);
    if (rc == 0)
        rc = repo_keep_identity(r, t, made_s, e);
    return rc < 0 ? err_in(e, "target %s", t->name) : 0;
}

/* What the next run would else ask the targets for: the slot of the configuration's
 * key, which was made behind the recovery code's, and the first record. */
static int
keep_plan(struct repo *r, const struct plan *p, struct err *e)
{
    const struct object *slot = &p->slots[1];
    AUTOBUF struct buf records = BUF(CONF_OBJECT_MAX + 64);

    record_put(&records, 1, buf_slice(&p->conf.bytes));
    return state_put(r->state, "slot", buf_slice(&slot->bytes), e) < 0
                || state_put(r->state, "conf", buf_slice(&records), e) < 0
             ? -1
             : 0;
}

static int
init(struct repo *r, const struct repo_options *o, const struct buf *passphrase,
     struct plan *p, char code[CODE_TEXT_LEN + 1], struct err *e)
{
    AUTOFREE char *dir = fs_join(o->conf->state, o->conf->repository);
    AUTOFREE char *spool = fs_join(dir, "spool");
    struct fleet_options f = { .targets = o->conf->targets,
                               .target_count = o->conf->target_count,
                               .spool_dir = spool };
    AUTOBUF struct buf kept = BUF(SLOT_MAX);

    r->dir = mem_strdup(dir);
    if (!o->conf->key.file && !passphrase)
        return err_set(e, ERR_USAGE, 0, "%s: `key` names neither a file nor a passphrase",
                       o->conf->path);
    if (fs_mkdirs(spool, 0700, e) < 0 || state_open(dir, false, &r->state, e) < 0)
        return -1;
    if (state_get(r->state, "host", &kept, e) < 0)
        return -1;
    if (kept.len > 0)
        return err_set(e, ERR_EXISTS, 0,
                       "%s holds the state of a repository called %s already; choose "
                       "another name or remove that folder",
                       dir, o->conf->repository);
    f.state = r->state;
    if (fleet_open(&f, &r->fleet, e) < 0)
        return -1;
    for (size_t i = 0; i < fleet_count(r->fleet); i++)
        if (check_empty(fleet_target(r->fleet, i), e) < 0)
            return -1;
    r->keys = keys_new();
    keys_generate(r->keys);
    r->conf_seq = -1;
    host_new(r);
    p->conf.bytes = BUF(CONF_OBJECT_MAX);
    if (make_slots(r, passphrase, p, code, e) < 0
        || conf_enroll(r, &p->conf.bytes, p->conf.key, e) < 0)
        return -1;
    for (size_t i = 0; i < fleet_count(r->fleet); i++)
        if (fill_target(r, fleet_target(r->fleet, i), p, e) < 0)
            return -1;
    return host_store(r, e) < 0 ? -1 : keep_plan(r, p, e);
}

int
repo_init(const struct repo_options *o, const struct buf *passphrase,
          char code[CODE_TEXT_LEN + 1], struct err *e)
{
    struct repo *r = mem_zalloc(sizeof *r);
    struct plan p = { .slot_count = 0 };

    r->conf = o->conf;
    r->host_seed = crypto_alloc(SEED_LEN);
    if (gethostname(r->host_name, sizeof r->host_name - 1) < 0)
        memcpy(r->host_name, "unknown", 8);
    int rc = init(r, o, passphrase, &p, code, e);
    for (size_t i = 0; i < p.slot_count; i++)
        buf_release(&p.slots[i].bytes);
    buf_release(&p.conf.bytes);
    fleet_close(r->fleet);
    state_close(r->state);
    keys_free(r->keys);
    crypto_free(r->host_seed);
    mem_free(r->dir);
    mem_free(r);
    return rc;
}

/* The key slots that one target lists, for a new one. */
struct copying {
    struct repo *repo;
    struct target *from, *to;
};

/* Which copy is right sync or verify may find out later. */
static int
copy_slot(void *arg, const struct object_info *o, struct err *e)
{
    struct copying *c = arg;
    AUTOBUF struct buf good = BUF(SLOT_MAX);
    struct err why = { 0 };

    if (repo_slot_judge(c->repo, c->to, o->key, &good, &why, e) < 0)
        return -1;
    if (good.len == 0) {
        log_warn("%s is not copied to %s: %s", o->key, c->to->name, err_text(&why));
        return 0;
    }
    struct body body = body_of(buf_slice(&good));
    return storage_put(c->to->store, o->key, &body, 0, e);
}

int
repo_target_add(struct repo *r, struct target *t, struct err *e)
{
    struct plan nothing = { .conf = { .key = "" } };
    struct copying c = { r, NULL, t };

    if (target_is_up(r->fleet, t))
        return err_set(e, ERR_EXISTS, 0, "%s is a target of this repository already",
                       t->name);
    int taken = repo_take_replaced(r, t, e);
    if (taken < 0)
        return err_in(e, "adding target %s", t->name);
    if (taken) {
        fleet_found(r->fleet, t, TARGET_UP, NULL);
        return 0;
    }
    if (!r->keys->has_root)
        return err_set(e, ERR_DENIED, 0, "only a key of role admin may add targets");
    for (size_t i = 0; i < fleet_count(r->fleet) && !c.from; i++)
        if (target_is_up(r->fleet, fleet_target(r->fleet, i)))
            c.from = fleet_target(r->fleet, i);
    if (!c.from)
        return fleet_nobody(r->fleet, e);
    if (check_empty(t, e) < 0
        || storage_list(c.from->store, "keys/", copy_slot, &c, e) < 0
        || conf_bring_up(r, t, e) < 0 || fill_target(r, t, &nothing, e) < 0)
        return err_in(e, "adding target %s", t->name);
    fleet_found(r->fleet, t, TARGET_UP, NULL);
    return 0;
}

struct slots {
    struct repo *repo;
    struct target *target;
    repo_slot_fn *fn;
    void *arg;
};

static int
slot_listed(void *arg, const struct object_info *o, struct err *e)
{
    struct slots *s = arg;
    AUTOBUF struct buf object = BUF(SLOT_MAX);
    struct range range = { .key = o->key };
    struct slot_info info;
    struct err bad = { 0 };

    if (o->size > SLOT_MAX)
        return 0;
    if (storage_get(s->target->store, &range, &object, e) < 0)
        return -1;
    if (slot_info(buf_slice(&object), &info, &bad) < 0) {
        log_warn("%s: %s", o->key, err_text(&bad));
        return 0;
    }
    return s->fn(s->arg, o->key, &info, e);
}

int
repo_slots(struct repo *r, repo_slot_fn *fn, void *arg, struct err *e)
{
    for (size_t i = 0; i < fleet_count(r->fleet); i++) {
        struct slots s = { r, fleet_target(r->fleet, i), fn, arg };
        if (target_is_up(r->fleet, s.target))
            return storage_list(s.target->store, "keys/", slot_listed, &s, e);
    }
    return fleet_nobody(r->fleet, e);
}

/* Changes of slots need every target, or one would keep what was removed. */
static int
need_all(struct repo *r, struct err *e)
{
    for (size_t i = 0; i < fleet_count(r->fleet); i++) {
        struct target *t = fleet_target(r->fleet, i);
        if (!target_is_up(r->fleet, t)) {
            *e = t->why;
            return err_in(e, "keys are changed on all targets at once; target %s",
                          t->name);
        }
    }
    return 0;
}

int
repo_slot_add(struct repo *r, enum role role, enum slot_kind kind, struct slice secret,
              char key[22], struct err *e)
{
    struct object o = { .bytes = BUF(SLOT_MAX) };

    if (r->keys->role != ROLE_ADMIN)
        return err_set(e, ERR_DENIED, 0, "only a key of role admin may add keys");
    int rc = need_all(r, e);
    if (rc == 0)
        rc = slot_make(r->keys, role, kind, secret, &o.bytes, o.key, e);
    for (size_t i = 0; i < fleet_count(r->fleet) && rc == 0; i++)
        rc = put(fleet_target(r->fleet, i), &o, e);
    buf_release(&o.bytes);
    memcpy(key, o.key, 22);
    return rc;
}

struct admins {
    const char *removed;
    unsigned others;
    bool found;
};

static int
count_admin(void *arg, const char *key, const struct slot_info *info, struct err *e)
{
    struct admins *a = arg;

    (void)e;
    if (strcmp(key, a->removed) == 0)
        a->found = true;
    else if (info->role == ROLE_ADMIN)
        a->others++;
    return 0;
}

int
repo_slot_remove(struct repo *r, const char *key, struct err *e)
{
    struct admins a = { .removed = key };

    if (need_all(r, e) < 0 || repo_slots(r, count_admin, &a, e) < 0)
        return -1;
    if (!a.found)
        return err_set(e, ERR_NOT_FOUND, 0, "there is no key %s; see `drtool key list`",
                       key);
    if (a.others == 0)
        return err_set(e, ERR_USAGE, 0,
                       "%s is the last key of role admin: without it "
                       "nobody could open the repository",
                       key);
    for (size_t i = 0; i < fleet_count(r->fleet); i++)
        if (storage_remove(fleet_target(r->fleet, i)->store, &key, 1, e) < 0)
            return -1;
    return 0;
}
