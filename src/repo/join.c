#include "base/fs.h"
#include "base/log.h"

#include "impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A new file for `path`, on the disk; one that exists is left alone. */
static int
write_new(const char *path, struct slice text, struct err *e)
{
    AUTOCLOSE int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (fd < 0 && errno == EEXIST)
        return err_set(e, ERR_EXISTS, 0, "%s exists already", path);
    if (fd < 0)
        return err_sys(e, errno, "making %s", path);
    if (fs_write_all(fd, text, e) < 0) {
        unlink(path);
        return err_in(e, "writing %s", path);
    }
    if (fsync(fd) < 0) {
        err_sys(e, errno, "writing %s", path);
        unlink(path);
        return -1;
    }
    return fs_sync_parent(path, e);
}

int
repo_key_file_add(struct repo *r, enum role role, const char *path, char key[22],
                  struct err *e)
{
    uint8_t secret[KEY_FILE_SECRET];
    struct buf text = BUF(256);

    buf_room(&text, 256);
    random_bytes(NULL, secret, sizeof secret);
    key_file_text(secret, &text);
    int rc = write_new(path, buf_slice(&text), e);
    if (rc == 0) {
        rc = repo_slot_add(r, role, SLOT_FILE, slice_of(secret, sizeof secret), key, e);
        if (rc < 0)
            unlink(path); /* it opens nothing */
    }
    crypto_wipe(text.ptr, text.cap);
    crypto_wipe(secret, sizeof secret);
    buf_release(&text);
    return rc;
}

static int
make_key_file(struct repo *r, const struct join_options *j, struct join_result *res,
              struct err *e)
{
    const char *slash = strrchr(j->key_file, '/');
    AUTOFREE char *dir = slash && slash > j->key_file
                           ? mem_printf("%.*s", (int)(slash - j->key_file), j->key_file)
                           : mem_strdup("/");

    if (fs_mkdirs(dir, 0700, e) < 0
        || repo_key_file_add(r, j->role, j->key_file, res->slot, e) < 0) {
        res->slot[0] = 0;
        return err_in(e, "this host is a member now, but has no key file of its own");
    }
    return 0;
}

/* Puts this host's record on every target that answers; the next run gives it to
 * the others. One at least must have it, or nobody would know. */
static int
publish(struct repo *r, const char *key, struct slice object, struct err *e)
{
    struct body body = body_of(object);
    unsigned have = 0;

    for (size_t i = 0; i < fleet_count(r->fleet); i++) {
        struct target *t = fleet_target(r->fleet, i);
        struct err one = { 0 };
        if (!target_is_up(r->fleet, t))
            continue;
        if (storage_put(t->store, key, &body, 0, &one) == 0) {
            have++;
            continue;
        }
        fleet_fail(r->fleet, t, &one);
        *e = one;
        err_in(e, "target %s", t->name);
    }
    if (have == 0)
        return e->kind == ERR_NONE ? fleet_nobody(r->fleet, e) : -1;
    *e = (struct err){ 0 };
    return 0;
}

static int
enter(struct repo *r, const struct join_options *j, struct err *e)
{
    AUTOBUF struct buf object = BUF(CONF_OBJECT_MAX);
    char key[81];

    if (j->name) {
        snprintf(r->host_name, sizeof r->host_name, "%s", j->name);
        r->host_named = true;
    }
    if (conf_enroll(r, &object, key, e) < 0 || host_store(r, e) < 0
        || publish(r, key, buf_slice(&object), e) < 0
        || conf_keep(r, buf_slice(&object), e) < 0)
        return -1;
    r->enrolled = true;
    return 0;
}

static void
tell(const struct repo *r, struct join_result *res)
{
    snprintf(res->host, sizeof res->host, "%s", r->host_name);
    res->hosts = (unsigned)r->host_count;
    for (size_t i = 0; i < r->host_count; i++)
        res->namesakes += strcmp(r->hosts[i].name, r->host_name) == 0
                       && memcmp(r->hosts[i].id, r->host_id, ID_LEN) != 0;
}

static int
join(struct repo *r, const struct join_options *j, struct join_result *res, struct err *e)
{
    bool key_due = j->key_file && access(j->key_file, F_OK) < 0;
    bool up = false;

    for (size_t i = 0; i < fleet_count(r->fleet) && !up; i++)
        up = target_is_up(r->fleet, fleet_target(r->fleet, i));
    if (!up)
        return fleet_nobody(r->fleet, e);
    if (host_load(r, e) < 0)
        return -1;
    bool member = r->enrolled;
    if (member && !key_due)
        return err_set(e, ERR_EXISTS, 0,
                       "this host is a member of the repository already, as %s; its "
                       "state is in %s",
                       repo_host_of(r, r->host_id), r->dir);
    if (!member && enter(r, j, e) < 0)
        return -1;
    tell(r, res);
    return key_due ? make_key_file(r, j, res, e) : 0;
}

int
repo_join(const struct repo_options *o, const struct join_options *j,
          struct join_result *res, struct repo **out, struct err *e)
{
    *res = (struct join_result){ .slot = "" };
    if (repo_open_as_is(o, out, e) < 0)
        return -1;
    return join(*out, j, res, e);
}
