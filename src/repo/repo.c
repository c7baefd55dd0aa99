#include "repo/repo.h"
#include "base/fs.h"
#include "base/log.h"
#include "conf/env.h"
#include "storage/open.h"

#include "impl.h"
#include "lists.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Readers hold the index only while they bring it up to date. */
#define INDEX_WAIT_MS (10 * 60 * 1000)

static int
open_temporary(struct repo *r, struct err *e)
{
    r->temporary = true;
    return env_temp_folder("/tmp", "drtool", &r->dir, e);
}

/* The folder of local state; a temporary one when nothing may be kept, or when
 * a reader may not write there. */
static int
open_dir(struct repo *r, const struct repo_options *o, struct err *e)
{
    struct err why = { 0 };

    r->dir = fs_join(o->conf->state, o->conf->repository);
    if (o->log) {
        r->host_dir = r->dir;
        r->dir = fs_join(r->host_dir, "wal");
    }
    if (!o->temporary && fs_mkdirs(r->dir, 0700, &why) == 0
        && access(r->dir, R_OK | W_OK | X_OK) == 0)
        return 0;
    if (o->write) {
        if (why.kind == ERR_NONE)
            err_sys(&why, EACCES, "%s", r->dir);
        *e = why;
        return err_in(e, "local state");
    }
    mem_free(r->dir);
    return open_temporary(r, e);
}

/* The index belongs to who holds its lock; others read from one of their own. */
static int
open_index(struct repo *r, struct err *e)
{
    AUTOFREE char *lock = fs_join(r->dir, "index.lock");
    struct err held = { 0 };

    r->index_dir = fs_join(r->dir, "index");
    if (fs_lock(lock, r->write ? INDEX_WAIT_MS : 0, &r->index_lock_fd, &held) < 0) {
        if (r->write) {
            *e = held;
            return -1;
        }
        mem_free(r->index_dir);
        r->index_temporary = true;
        if (env_temp_folder("/tmp", "drtool-index", &r->index_dir, e) < 0)
            return -1;
    }
    if (index_open(r->index_dir, true, &r->index, &held) == 0)
        return 0;
    return repo_renew_index(r, &held, e);
}

static int
open_fleet(struct repo *r, const struct repo_options *o, struct err *e)
{
    AUTOFREE char *spool = fs_join(r->dir, "spool");
    struct fleet_options f = {
        .targets = o->conf->targets,
        .target_count = o->conf->target_count,
        .quorum = o->conf->fleet.quorum,
        .order = o->conf->fleet.order,
        .distinct_sites = o->conf->fleet.distinct_sites,
        .spool_dir = spool,
        .spool_max = o->log ? o->conf->wal.spool_max : o->conf->fleet.spool_max,
        .state = r->state,
        .breaker_ms = o->breaker_ms,
        .wrap = o->wrap,
        .wrap_arg = o->wrap_arg,
    };

    if (fs_mkdirs(spool, 0700, e) < 0)
        return -1;
    return fleet_open(&f, &r->fleet, e);
}

static struct repo *
repo_new(const struct repo_options *o)
{
    struct repo *r = mem_zalloc(sizeof *r);

    r->conf = o->conf;
    r->write = o->write;
    r->log = o->log;
    r->as_found = o->as_found;
    r->lock_fd = r->index_lock_fd = -1;
    r->random.seed = o->seed;
    r->opened = crypto_alloc(OPENED_KEYS * sizeof *r->opened);
    r->host_seed = crypto_alloc(SEED_LEN);
    pthread_mutex_init(&r->gc_lock, NULL);
    pthread_mutex_init(&r->load_lock, NULL);
    pthread_mutex_init(&r->span_lock, NULL);
    chunk_tools_init(&r->tools, 1);
    for (size_t i = 0; i < SPANS; i++)
        r->spans[i].bytes = BUF(SPAN_LEN + CHUNK_STORED_MAX);
    if (gethostname(r->host_name, sizeof r->host_name - 1) < 0)
        snprintf(r->host_name, sizeof r->host_name, "unknown");
    return r;
}

/* The state is a memory: who only reads goes on without a damaged one. */
static int
open_state(struct repo *r, struct err *e)
{
    struct err bad = { 0 };

    if (state_open(r->dir, r->temporary, &r->state, &bad) == 0)
        return 0;
    if (r->write && bad.kind == ERR_CORRUPT)
        return err_set(e, ERR_IO, 0,
                       "the local state in %s is damaged (%s); move that "
                       "folder away and run again: nothing is lost but what was queued",
                       r->dir, bad.text);
    *e = bad;
    if (r->write || r->temporary)
        return -1;
    log_warn("%s; going on without it", err_text(&bad));
    mem_free(r->dir);
    if (open_temporary(r, e) < 0)
        return -1;
    *e = (struct err){ 0 };
    return state_open(r->dir, true, &r->state, e);
}

static int
open_all(struct repo *r, const struct repo_options *o, struct err *e)
{
    if (open_dir(r, o, e) < 0)
        return -1;
    AUTOFREE char *lock = fs_join(r->dir, "lock");
    if (o->write && fs_lock(lock, o->wait_ms, &r->lock_fd, e) < 0)
        return -1;
    if (open_state(r, e) < 0 || open_fleet(r, o, e) < 0
        || repo_unlock(r, o->passphrase, e) < 0 || repo_probe(r, e) < 0
        || repo_load_conf(r, e) < 0)
        return -1;
    return r->log ? 0 : open_index(r, e);
}

int
repo_open_as_is(const struct repo_options *o, struct repo **out, struct err *e)
{
    struct repo *r = repo_new(o);

    if (open_all(r, o, e) < 0) {
        repo_close(r);
        return -1;
    }
    *out = r;
    return 0;
}

int
repo_open(const struct repo_options *o, struct repo **out, struct err *e)
{
    struct repo *r = NULL;

    if (repo_open_as_is(o, &r, e) < 0)
        return -1;
    if (o->write && repo_load_host(r, e) < 0) {
        repo_close(r);
        return -1;
    }
    *out = r;
    return 0;
}

void
repo_close(struct repo *r)
{
    struct err e = { 0 };

    if (!r)
        return;
    fleet_close(r->fleet);
    if (r->index) /* what is damaged now is for who opens it next */
        index_on_damage(r->index, NULL, NULL);
    if (r->index && !r->index_temporary && index_flush(r->index, &e) < 0)
        log_info("%s", err_text(&e));
    index_close(r->index);
    if (r->state && !r->temporary)
        cache_trim(r->state, (uint64_t)1 << 30);
    state_close(r->state);
    for (size_t i = 0; i < FLEET_TARGETS_MAX; i++) {
        lists_free(r->early[i]);
        mem_free(r->listed[i].packs);
        mem_free(r->listed[i].condemned);
    }
    for (size_t i = 0; i < SPANS; i++)
        buf_release(&r->spans[i].bytes);
    if ((r->index_temporary && fs_remove_tree(r->index_dir, &e) < 0)
        || (r->temporary && r->dir && fs_remove_tree(r->dir, &e) < 0))
        log_warn("%s", err_text(&e));
    keys_free(r->keys);
    crypto_free(r->opened);
    crypto_free(r->host_seed);
    chunk_tools_release(&r->tools);
    pthread_mutex_destroy(&r->gc_lock);
    pthread_mutex_destroy(&r->load_lock);
    pthread_mutex_destroy(&r->span_lock);
    if (r->lock_fd >= 0)
        close(r->lock_fd);
    if (r->index_lock_fd >= 0)
        close(r->index_lock_fd);
    conf_release(r);
    mem_free(r->usable);
    buf_release(&r->lost);
    mem_free(r->hosts);
    mem_free(r->index_dir);
    mem_free(r->host_dir);
    mem_free(r->dir);
    mem_free(r);
}

const struct keys *
repo_keys(const struct repo *r)
{
    return r->keys;
}

struct fleet *
repo_fleet(struct repo *r)
{
    return r->fleet;
}

struct state *
repo_state(struct repo *r)
{
    return r->state;
}

struct index *
repo_index(struct repo *r)
{
    return r->index;
}

struct random *
repo_random(struct repo *r)
{
    return &r->random;
}

const char *
repo_dir(const struct repo *r)
{
    return r->dir;
}

/* What waits for the least busy target, and the level that the processor has time for
 * meanwhile: each halves the speed, more or less, and frees the line for more. Three
 * packs wait now and then for a fast one, too. */
static const struct {
    uint64_t backlog;
    int level;
} auto_levels[] = {
    { (uint64_t)512 << 20, 9 },
    { (uint64_t)256 << 20, 6 },
    { (uint64_t)128 << 20, 3 },
    { 0, 1 },
};

int
repo_level(struct repo *r)
{
    unsigned i = 0;

    if (r->conf->compression != COMPRESSION_AUTO)
        return r->conf->compression;
    for (uint64_t backlog = fleet_backlog(r->fleet); backlog < auto_levels[i].backlog;)
        i++;
    return auto_levels[i].level;
}

const char *
repo_host_name(const struct repo *r)
{
    return r->host_name;
}

const uint8_t *
repo_host_id(const struct repo *r)
{
    return r->host_id;
}

const uint8_t *
repo_conf_head(const struct repo *r)
{
    return r->conf_head;
}

int
repo_get_small(struct repo *r, struct target *from, const char *key, struct buf *out,
               struct err *e)
{
    struct range range = { .key = key };
    size_t before = out->len;

    if (cache_get(r->state, slice_str(key), out)) {
        if (format_hash_fits(key, slice_of(out->ptr + before, out->len - before)))
            return 0;
        out->len = before; /* a damaged cache is an empty one */
    }
    if (storage_get(from->store, &range, out, e) < 0)
        return -1;
    struct slice object = { out->ptr + before, out->len - before };
    if (!format_hash_fits(key, object)) {
        out->len = before;
        return err_set(e, ERR_CORRUPT, 0, "target %s: %s: the bytes do not fit the name",
                       from->name, key);
    }
    cache_put(r->state, slice_str(key), object);
    return 0;
}
