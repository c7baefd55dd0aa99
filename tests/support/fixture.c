#include "support/fixture.h"
#include "storage/dir.h"
#include "storage/driver.h"

#include <errno.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* A test that fails leaves by a jump: what it had made is removed at the end. */
#define LIVE_MAX 32
static struct folder live[LIVE_MAX];

/* Folders in memory lie in one of this process: what others make beside it would change
 * the folder above a source, which is part of a snapshot. */
static char shelf[32];

static void
remove_live(void)
{
    struct err ignored = { 0 };

    for (size_t i = 0; i < LIVE_MAX; i++)
        if (live[i].path[0] && fs_remove_tree(live[i].path, &ignored) < 0)
            fprintf(stderr, "%s stays\n", live[i].path);
    if (shelf[0])
        rmdir(shelf);
}

static void
note_live(const struct folder *f, bool made)
{
    static bool registered;
    size_t i = 0;

    while (i < LIVE_MAX && strcmp(live[i].path, made ? "" : f->path) != 0)
        i++;
    if (i < LIVE_MAX)
        live[i] = made ? *f : (struct folder){ .path = "" };
    registered = registered || atexit(remove_live) == 0;
}

void
folder_make(struct folder *f)
{
    *f = (struct folder){ .path = "/tmp/drtool-test-XXXXXX" };
    assert_non_null(mkdtemp(f->path));
    note_live(f, true);
}

/* In memory where there is room, since a repository syncs all it writes. */
static void
folder_make_fast(struct folder *f)
{
    struct statvfs v;

    snprintf(shelf, sizeof shelf, "/dev/shm/drtool-%d", getpid());
    *f = (struct folder){ .path = "" };
    snprintf(f->path, sizeof f->path, "%s/XXXXXX", shelf);
    if (statvfs("/dev/shm", &v) == 0 && v.f_bavail >= ((uint64_t)256 << 20) / v.f_bsize
        && (mkdir(shelf, 0755) == 0 || errno == EEXIST) && mkdtemp(f->path))
        note_live(f, true);
    else
        folder_make(f);
}

void
folder_remove(struct folder *f)
{
    struct err e = { 0 };

    note_live(f, false);
    assert_ok(fs_remove_tree(f->path, &e), &e);
}

char *
folder_path(const struct folder *f, const char *name)
{
    return fs_join(f->path, name);
}

void
folder_write(const struct folder *f, const char *name, struct slice data)
{
    AUTOFREE char *path = folder_path(f, name);
    char *slash = strrchr(path, '/');
    struct err e = { 0 };

    *slash = 0;
    assert_ok(fs_mkdirs(path, 0755, &e), &e);
    *slash = '/';
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(data.ptr, 1, data.len, out), data.len);
    assert_int_equal(fclose(out), 0);
}

void
fill_bytes(uint8_t *out, size_t len, uint64_t seed)
{
    uint64_t x = seed * 0x9e3779b97f4a7c15u + 1;

    for (size_t i = 0; i < len; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        out[i] = (uint8_t)(x >> 24);
    }
}

/* A copy in memory of exactly its length, so that a sanitizer sees overruns. */
static void
refuse(struct slice object, const char *how, size_t at, open_fn *open, void *arg)
{
    AUTOFREE uint8_t *copy = mem_alloc(object.len + !object.len);
    struct err e = { 0 };

    if (object.len)
        memcpy(copy, object.ptr, object.len);
    if (open(arg, slice_of(copy, object.len), &e) == 0)
        fail_msg("%s at %zu is believed", how, at);
    if (e.kind != ERR_CORRUPT && e.kind != ERR_FORGED)
        fail_msg("%s at %zu is %s: %s", how, at, err_name(e.kind), err_text(&e));
}

void
refuse_all_damage(struct slice object, open_fn *open, void *arg)
{
    AUTOFREE uint8_t *copy = mem_alloc(object.len);
    struct err e = { 0 };

    memcpy(copy, object.ptr, object.len);
    assert_ok(open(arg, object, &e), &e);
    for (size_t i = 0; i < object.len; i++)
        for (int bit = 0; bit < 8; bit++) {
            copy[i] ^= (uint8_t)(1 << bit);
            refuse(slice_of(copy, object.len), "a flipped bit", i, open, arg);
            copy[i] ^= (uint8_t)(1 << bit);
        }
    for (size_t len = 0; len < object.len; len++)
        refuse(slice_of(copy, len), "a cut", len, open, arg);
}

struct hooked {
    struct storage base; /* first: a struct hooked is a struct storage */
    struct storage *inner;
    struct hook hook;
};

static struct hooked *
hooked_of(struct storage *s)
{
    return (struct hooked *)s;
}

static void
tell(const struct hooked *h, void (*fn)(void *, enum fault_call, const char *),
     enum fault_call call, const char *key)
{
    if (fn)
        fn(h->hook.arg, call, key);
}

static int
hooked_put(struct storage *s, const char *key, const struct body *body, unsigned flags,
           struct err *e)
{
    struct hooked *h = hooked_of(s);

    tell(h, h->hook.before, FAULT_ON_PUT, key);
    if (storage_put(h->inner, key, body, flags, e) < 0)
        return -1;
    tell(h, h->hook.after, FAULT_ON_PUT, key);
    return 0;
}

static int
hooked_get(struct storage *s, const struct range *r, struct buf *out, struct err *e)
{
    struct hooked *h = hooked_of(s);

    tell(h, h->hook.before, FAULT_ON_GET, r->key);
    if (storage_get(h->inner, r, out, e) < 0)
        return -1;
    tell(h, h->hook.after, FAULT_ON_GET, r->key);
    return 0;
}

static int
hooked_head(struct storage *s, const char *key, struct object_info *out, struct err *e)
{
    struct hooked *h = hooked_of(s);

    tell(h, h->hook.before, FAULT_ON_HEAD, key);
    if (storage_head(h->inner, key, out, e) < 0)
        return -1;
    tell(h, h->hook.after, FAULT_ON_HEAD, key);
    return 0;
}

static int
hooked_list(struct storage *s, const char *prefix, const char *after, storage_list_fn *fn,
            void *arg, struct err *e)
{
    struct hooked *h = hooked_of(s);

    tell(h, h->hook.before, FAULT_ON_LIST, prefix);
    if (storage_list_after(h->inner, prefix, after, fn, arg, e) < 0)
        return -1;
    tell(h, h->hook.after, FAULT_ON_LIST, prefix);
    return 0;
}

static int
hooked_remove(struct storage *s, const char *const *keys, size_t count, struct err *e)
{
    return storage_remove(hooked_of(s)->inner, keys, count, e);
}

static int
hooked_now(struct storage *s, int64_t *out_s, struct err *e)
{
    return storage_now(hooked_of(s)->inner, out_s, e);
}

static void
hooked_close(struct storage *s)
{
    storage_close(hooked_of(s)->inner);
    mem_free(s);
}

struct storage *
storage_hook(struct storage *inner, const struct hook *h)
{
    static const struct storage_ops ops = {
        .put = hooked_put,
        .get = hooked_get,
        .head = hooked_head,
        .list = hooked_list,
        .remove = hooked_remove,
        .now = hooked_now,
        .close = hooked_close,
    };
    struct hooked *x = mem_zalloc(sizeof *x);

    x->base = (struct storage){ .ops = &ops,
                                .traits = h->traits,
                                .url = mem_strdup(inner->url) };
    x->inner = inner;
    x->hook = *h;
    return &x->base;
}

void
site_make(struct site *s, size_t targets)
{
    *s = (struct site){ .conf = { .target_count = targets } };
    struct err e = { 0 };

    assert_true(targets <= SITE_TARGETS_MAX);
    crypto_init();
    folder_make_fast(&s->folder);
    s->conf.path = mem_strdup("test.yaml");
    s->conf.repository = mem_strdup("main");
    s->conf.key.file = folder_path(&s->folder, "key");
    s->conf.state = folder_path(&s->folder, "state");
    s->conf.targets = s->targets;
    s->conf.fleet.distinct_sites = true;
    s->conf.fleet.spool_max = (uint64_t)1 << 30;
    for (size_t i = 0; i < targets; i++) {
        s->targets[i].name = mem_printf("t%zu", i);
        s->targets[i].url = mem_printf("file://%s/t%zu", s->folder.path, i);
    }
    struct repo_options o = { .conf = &s->conf };
    assert_ok(repo_init(&o, NULL, s->code, &e), &e);
}

int
site_try(struct site *s, struct err *e)
{
    struct repo_options o = {
        .conf = &s->conf,
        .write = true,
        .as_found = s->as_found,
        .breaker_ms = 30,
        .wrap = s->wrap,
        .wrap_arg = s->wrap_arg,
    };

    assert_null(s->repo);
    return repo_open(&o, &s->repo, e);
}

void
site_open(struct site *s)
{
    struct err e = { 0 };

    assert_ok(site_try(s, &e), &e);
}

void
site_close(struct site *s)
{
    repo_close(TAKE(s->repo));
}

void
site_open_again(struct site *s)
{
    site_close(s);
    site_open(s);
}

void
site_remove(struct site *s)
{
    site_close(s);
    mem_free(s->conf.path);
    mem_free(s->conf.repository);
    mem_free(s->conf.key.file);
    mem_free(s->conf.state);
    for (size_t i = 0; i < s->conf.target_count; i++) {
        mem_free(s->targets[i].name);
        mem_free(s->targets[i].url);
    }
    folder_remove(&s->folder);
}

struct storage *
site_store(const struct site *s, size_t i)
{
    return storage_dir(s->targets[i].url + strlen("file://"));
}

static int
count(void *arg, const struct object_info *o, struct err *e)
{
    size_t *n = arg;

    (void)o;
    (void)e;
    ++*n;
    return 0;
}

size_t
site_count(const struct site *s, size_t i, const char *prefix)
{
    CLEANUP(storage_close_p) struct storage *store = site_store(s, i);
    struct err e = { 0 };
    size_t n = 0;

    assert_ok(storage_list(store, prefix, count, &n, &e), &e);
    return n;
}

void
site_drop_cache(struct site *s)
{
    static const char *const names[] = { "cache.db", "cache.db-wal", "cache.db-shm" };

    assert_null(s->repo);
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        AUTOFREE char *path = mem_printf("%s/main/%s", s->conf.state, names[i]);
        unlink(path);
    }
}
