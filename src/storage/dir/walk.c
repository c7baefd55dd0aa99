/*
 * One folder's names are in memory at a time for each level, never the tree.
 * A folder sorts as its name with a '/', because that is how the keys below
 * it compare with its neighbours: "a-b" < "a/c" < "a0".
 */
#include "walk.h"

#include "base/cancel.h"
#include "base/clock.h"
#include "base/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAMES_MAX ((size_t)1 << 30) /* bytes of one folder's names */

/* A folder's entries: names one behind the other, each ended by a NUL, and
 * where each begins. */
struct names {
    struct buf bytes;
    const char **at;
    size_t count, cap;
};

static void
names_release(struct names *n)
{
    buf_release(&n->bytes);
    mem_free(n->at);
}

static int
failed(const struct walk *w, int cause, const char *path, struct err *e)
{
    err_sys(e, cause, "listing %s/%s", w->name, path);
    if (e->kind == ERR_IO)
        e->kind = ERR_UNAVAIL;
    return -1;
}

static int
compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool
is_folder(int fd, const struct dirent *d)
{
    struct stat st;

    if (d->d_type != DT_UNKNOWN && d->d_type != DT_LNK)
        return d->d_type == DT_DIR;
    return fstatat(fd, d->d_name, &st, 0) == 0 && S_ISDIR(st.st_mode);
}

/* What a killed put left behind, a day ago or longer. */
static bool
is_stale(int fd, const char *name)
{
    struct stat st;

    return strncmp(name, ".tmp-", 5) == 0
           && fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode)
           && clock_now().s - st.st_mtim.tv_sec > 86400;
}

/* Whether keys at or below `path` (a folder ends with '/') are asked for. */
static bool
wanted(const struct walk *w, const char *path, size_t len)
{
    size_t prefix_len = strlen(w->prefix);
    size_t both = len < prefix_len ? len : prefix_len;
    bool folder = path[len - 1] == '/';

    if (strncmp(path, w->prefix, both) != 0 || (!folder && len < prefix_len))
        return false;
    return folder ? strncmp(w->after, path, len) <= 0 : strcmp(path, w->after) > 0;
}

static void
sort_names(struct names *n)
{
    const char *p = (const char *)n->bytes.ptr;

    n->at = mem_grow(NULL, &n->cap, n->count + 1, sizeof *n->at);
    for (size_t i = 0; i < n->count; i++) {
        n->at[i] = p;
        p += strlen(p) + 1;
    }
    qsort(n->at, n->count, sizeof *n->at, compare);
}

/* Reads the folder `path` ("" or ending with '/') into `out`, sorted. */
static int
read_names(const struct walk *w, const char *path, struct names *out, struct err *e)
{
    int fd = openat(w->root, *path ? path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    char full[STORAGE_KEY_MAX + 300];
    size_t path_len = strlen(path);

    if (!dir) {
        bool gone = errno == ENOENT || errno == ENOTDIR;
        if (!gone)
            failed(w, errno, path, e);
        if (fd >= 0)
            close(fd);
        return gone ? 0 : -1; /* removed just now: nothing to list */
    }
    memcpy(full, path, path_len);
    errno = 0;
    for (struct dirent *d; (d = readdir(dir)) != NULL; errno = 0) {
        size_t len = path_len + strlen(d->d_name);
        memcpy(full + path_len, d->d_name, len - path_len + 1);
        if (is_stale(fd, d->d_name))
            (void)unlinkat(fd, d->d_name, 0);
        if (d->d_name[0] == '.')
            continue;
        if (!storage_key_valid(full)) {
            log_debug("passed over in a listing, not a key: %s", full);
            continue;
        }
        if (is_folder(fd, d)) {
            full[len++] = '/';
            full[len] = 0;
        }
        if (wanted(w, full, len)) {
            buf_put(&out->bytes, full + path_len, len - path_len + 1);
            out->count++;
        }
        if (out->bytes.max - out->bytes.len < sizeof full) {
            errno = EOVERFLOW;
            break;
        }
    }
    int rc = errno ? failed(w, errno, path, e) : 0;
    closedir(dir);
    sort_names(out);
    return rc;
}

static int
tell(const struct walk *w, const char *key, struct err *e)
{
    struct stat st;

    if (fstatat(w->root, key, &st, 0) < 0)
        return errno == ENOENT ? 0 : failed(w, errno, key, e);
    if (!S_ISREG(st.st_mode))
        return 0;
    struct object_info o = { .key = key, .size = (uint64_t)st.st_size,
                             .mtime_s = st.st_mtim.tv_sec, .version = "" };
    return w->fn(w->arg, &o, e);
}

/* Ends because each level adds at least two bytes to a key of bounded length. */
static int
descend(const struct walk *w, const char *path, struct err *e)
{
    CLEANUP(names_release) struct names names = { .bytes = BUF(NAMES_MAX) };
    char full[STORAGE_KEY_MAX + 2];
    size_t len = strlen(path);

    if (cancel_check(e) < 0 || read_names(w, path, &names, e) < 0)
        return -1;
    memcpy(full, path, len);
    for (size_t i = 0; i < names.count; i++) {
        size_t name_len = strlen(names.at[i]);
        memcpy(full + len, names.at[i], name_len + 1);
        bool folder = names.at[i][name_len - 1] == '/';
        if ((folder ? descend(w, full, e) : tell(w, full, e)) < 0)
            return -1;
    }
    return 0;
}

int
walk(const struct walk *w, struct err *e)
{
    const char *slash = strrchr(w->prefix, '/');
    char start[STORAGE_KEY_MAX + 1];
    size_t len = slash ? (size_t)(slash - w->prefix) + 1 : 0;

    memcpy(start, w->prefix, len);
    start[len] = 0;
    return descend(w, start, e);
}
