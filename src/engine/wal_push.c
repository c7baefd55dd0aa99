/*
 * Storing files of the log: those named, and with them what else the server has ready,
 * because opening a repository costs more than one of them. What was stored that way is
 * known when the server asks for it.
 */
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "engine/wal.h"
#include "repo/log.h"

#include "wal_batch.h"
#include "wal_memory.h"
#include "wal_proof.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define POLL_MS 20
#define DELIVER_POLL_MS 1000
#define SEALERS 2            /* threads that compress and seal */
#define LINGER_MIN_MS 500    /* for targets beyond the quorum; */
#define SPOOL_LINGER_MS 2000 /* and when the spool is enough */

struct push {
    struct repo *repo;
    const struct wal_push_options *options;
    struct wal_push_result *result;
    struct wal_memory memory;
    struct wal_batch batch;
    struct wal_prover prover;
    struct log_writer writers[SEALERS]; /* a thread each */
    atomic_size_t next;                 /* job to be stored */
    pthread_mutex_t lock; /* of the memory and the queue's changes with it */
};

static int
other_content(const struct wal_job *j, struct err *e)
{
    return err_set(e, ERR_SOURCE, 0,
                   "another file was stored as %s of this server before; are two servers "
                   "writing the same timeline?",
                   j->file.text);
}

static void
object_key(const struct push *p, const struct wal_job *j, const uint8_t sha[32],
           char out[LOG_KEY_MAX + 1])
{
    struct log_name n = { .timeline = j->file.name.timeline };

    memcpy(n.stream, p->prover.stream, sizeof n.stream);
    memcpy(n.pos, j->pos, sizeof n.pos);
    memcpy(n.sha256, sha, 32);
    log_key(out, &n);
}

struct holders {
    struct fleet *fleet;
    struct wal_job *job;
};

static void
on_holder(void *arg, const char *target, enum queue_end how)
{
    struct holders *h = arg;
    const struct target *t = fleet_find(h->fleet, target);

    for (size_t i = 0; t && i < fleet_count(h->fleet); i++)
        if (fleet_target(h->fleet, i) == t) {
            h->job->have[i] = how == QUEUE_DELIVERED;
            h->job->waits |= how == QUEUE_WAITS;
        }
}

/* Which targets took what this host stored, and does it still wait for one? Rows that
 * are gone prove nothing. */
static int
look_at_queue(struct push *p, struct wal_job *j, struct err *e)
{
    struct holders h = { repo_fleet(p->repo), j };

    memset(j->have, 0, sizeof j->have);
    j->waits = false;
    return j->key[0] ? state_queue_holders(repo_state(p->repo), j->key, on_holder, &h, e)
                     : 0;
}

/* By the queue and the targets together: does the quorum hold it, and nothing else? */
static int
settle(struct push *p, struct wal_job *j, struct err *e)
{
    struct wal_proof proof;

    if (look_at_queue(p, j, e) < 0
        || wal_prove(&p->prover, &j->file, j->pos, j->sha, &j->hashed, j->key, &proof, e)
               < 0)
        return -1;
    if (proof.other) {
        other_content(j, &j->why);
        return 0;
    }
    for (size_t i = 0; i < FLEET_TARGETS_MAX; i++)
        proof.have[i] |= j->have[i];
    j->safe = proof.proves && fleet_quorum_met(repo_fleet(p->repo), proof.have, NULL);
    return 0;
}

/* What this host remembers of the file. */
static int
recall(struct push *p, struct wal_job *j, struct err *e)
{
    static const uint8_t none[32];
    const struct wal_kept *k = wal_memory_find(&p->memory, j->file.text);

    if (!k)
        return 0;
    if (wal_file_hash(&j->file, j->sha, e) < 0)
        return -1;
    j->hashed = true;
    if (memcmp(k->sha256, j->sha, 32) != 0) {
        other_content(j, &j->why);
        return 0;
    }
    j->safe = k->safe;
    if (memcmp(k->object, none, 32) != 0)
        object_key(p, j, k->object, j->key);
    return 0;
}

static void
add_piece(void *arg, struct slice piece)
{
    log_add(arg, piece);
}

static int
save(void *arg, struct err *e)
{
    struct push *p = arg;

    return wal_memory_save(repo_state(p->repo), &p->memory, e);
}

/* Into the spool and the queue of every target. */
static int
store(struct push *p, struct log_writer *w, struct wal_job *j, struct err *e)
{
    struct log_info info = { .kind = LOG_POSTGRES,
                             .unit = j->file.unit,
                             .time = j->file.time };
    struct wal_kept k = { 0 };

    snprintf(info.system, sizeof info.system, "%llu", (unsigned long long)j->file.system);
    snprintf(info.file, sizeof info.file, "%s", j->file.text);
    log_begin(w);
    if (wal_file_read(&j->file, add_piece, w, e) < 0)
        return -1;
    log_end(w, p->repo, &info);
    if (j->hashed && memcmp(w->sha256, j->sha, 32) != 0)
        return err_set(e, ERR_SOURCE, 0, "%s changed while it was read", j->file.path);
    memcpy(j->sha, w->sha256, 32);
    j->hashed = true;
    sha256(buf_slice(&w->object), k.object);
    memcpy(k.sha256, j->sha, 32);
    memcpy(k.file, j->file.text, sizeof k.file);
    object_key(p, j, k.object, j->key);
    pthread_mutex_lock(&p->lock);
    wal_memory_put(&p->memory, &k);
    p->result->stored++;
    p->result->bytes += j->file.size;
    int rc = fleet_put_with(repo_fleet(p->repo), j->key, RANK_PACK, buf_slice(&w->object),
                            save, p, e);
    pthread_mutex_unlock(&p->lock);
    return rc;
}

/* One sealer, with a writer of its own. */
struct sealer {
    struct push *push;
    struct log_writer *writer;
    pthread_t thread;
    bool started;
};

/* What nobody has and nothing waits for is stored. */
static void *
seal_main(void *arg)
{
    const struct sealer *s = arg;
    struct push *p = s->push;

    for (size_t i; (i = atomic_fetch_add(&p->next, 1)) < p->batch.count;) {
        struct wal_job *j = &p->batch.jobs[i];
        struct err why = { 0 };
        if (!j->safe && !j->waits && j->why.kind == ERR_NONE
            && store(p, s->writer, j, &why) < 0)
            j->why = why;
    }
    return NULL;
}

static void
store_all(struct push *p)
{
    struct sealer sealers[SEALERS];

    for (size_t i = 0; i < SEALERS; i++) {
        struct sealer *s = &sealers[i];
        *s = (struct sealer){ .push = p, .writer = &p->writers[i] };
        s->started = i > 0 && i < p->batch.count
                  && pthread_create(&s->thread, NULL, seal_main, s) == 0;
    }
    seal_main(&sealers[0]);
    for (size_t i = 1; i < SEALERS; i++)
        if (sealers[i].started)
            pthread_join(sealers[i].thread, NULL);
}

/* What is known of each file. What comes along must not keep the server's file from
 * being told as safe. */
static int
look_at_all(struct push *p, struct err *e)
{
    for (size_t i = 0; i < p->batch.count; i++) {
        struct wal_job *j = &p->batch.jobs[i];
        struct err one = { 0 };
        int rc = recall(p, j, &one);
        if (rc == 0 && !j->safe && j->why.kind == ERR_NONE)
            rc = settle(p, j, &one);
        p->result->known += j->safe;
        if (rc == 0)
            continue;
        if (j->named || one.kind == ERR_CANCELLED) {
            *e = one;
            return -1;
        }
        j->why = one;
    }
    return 0;
}

/* Waits until enough targets have all, and for the others about as long again. */
static int
wait_for_quorum(struct push *p, struct err *e)
{
    struct fleet *f = repo_fleet(p->repo);
    int64_t position = fleet_position(f), begun = clock_mono_ms(), until = INT64_MAX;
    bool have[FLEET_TARGETS_MAX] = { 0 }, over[FLEET_TARGETS_MAX] = { 0 };
    size_t open = fleet_count(f);

    if (p->options->ack_spool)
        until = begun + SPOOL_LINGER_MS;
    while (open > 0 && clock_mono_ms() < until) {
        for (size_t i = 0; i < fleet_count(f); i++) {
            struct err why = { 0 };
            int rc = over[i] ? 0
                             : fleet_wait(f, fleet_target(f, i), position, POLL_MS, &why);
            if (rc < 0 && why.kind == ERR_CANCELLED) {
                *e = why;
                return -1;
            }
            have[i] = have[i] || rc == 1;
            open -= rc != 0;
            over[i] = over[i] || rc != 0;
            if (rc < 0)
                log_info("target %s has not all of it: %s", fleet_target(f, i)->name,
                         err_text(&why));
        }
        int64_t now = clock_mono_ms(), took = now - begun;
        if (until == INT64_MAX && fleet_quorum_met(f, have, NULL))
            until = now + (took > LINGER_MIN_MS ? took : LINGER_MIN_MS);
    }
    return 0;
}

/* What is known now, for the next call. */
static int
remember(struct push *p, struct err *e)
{
    for (size_t i = 0; i < p->batch.count; i++) {
        struct wal_job *j = &p->batch.jobs[i];
        struct wal_kept k = { .safe = j->safe };
        struct wal_kept *old = wal_memory_find(&p->memory, j->file.text);
        if (j->why.kind != ERR_NONE || (!old && !j->safe))
            continue;
        memcpy(k.file, j->file.text, sizeof k.file);
        memcpy(k.sha256, j->sha, 32);
        if (old)
            memcpy(k.object, old->object, 32);
        wal_memory_put(&p->memory, &k);
    }
    return wal_memory_save(repo_state(p->repo), &p->memory, e);
}

/* Asks anew: another host may have stored another file meanwhile. */
static int
settle_all(struct push *p, struct err *e)
{
    wal_prover_renew(&p->prover);
    for (size_t i = 0; i < p->batch.count; i++) {
        struct wal_job *j = &p->batch.jobs[i];
        if (!j->safe && j->why.kind == ERR_NONE && settle(p, j, e) < 0)
            return -1;
    }
    return 0;
}

static int
judge(struct push *p, struct err *e)
{
    for (size_t i = 0; i < p->batch.count; i++) {
        struct wal_job *j = &p->batch.jobs[i];
        if (!j->named || j->safe)
            continue;
        if (j->why.kind != ERR_NONE) {
            *e = j->why;
            return -1;
        }
        p->result->waiting++;
        if (!p->options->ack_spool || !j->waits
            || !fleet_holds(repo_fleet(p->repo), j->key))
            return err_set(e, ERR_QUORUM, 0,
                           "%s is not on the %u targets that must have it; %s",
                           j->file.text, fleet_quorum(repo_fleet(p->repo), NULL),
                           j->waits ? "it waits in the spool and is sent by the next "
                                      "call, or by drtool sync"
                                    : "the next call stores it anew");
    }
    return 0;
}

static int
push_all(struct push *p, struct err *e)
{
    char system[24], stream[17];

    if (wal_batch_gather(&p->batch, p->options->paths, e) < 0)
        return -1;
    snprintf(system, sizeof system, "%llu",
             (unsigned long long)p->batch.jobs[0].file.system);
    log_stream(repo_keys(p->repo), LOG_POSTGRES, system, stream);
    wal_prover_init(&p->prover, p->repo, stream);
    if (wal_memory_load(repo_state(p->repo), p->batch.jobs[0].file.system, &p->memory, e)
        < 0)
        return -1;
    if (look_at_all(p, e) < 0)
        return -1;
    store_all(p);
    if (wait_for_quorum(p, e) < 0 || settle_all(p, e) < 0 || remember(p, e) < 0)
        return -1;
    return judge(p, e);
}

int
engine_wal_push(struct repo *r, const struct wal_push_options *o,
                struct wal_push_result *res, struct err *e)
{
    struct push *p = mem_zalloc(sizeof *p);

    *res = (struct wal_push_result){ 0 };
    p->repo = r;
    p->options = o;
    p->result = res;
    pthread_mutex_init(&p->lock, NULL);
    for (size_t i = 0; i < SEALERS; i++)
        log_writer_init(&p->writers[i], r);
    int rc = push_all(p, e);
    for (size_t i = 0; i < SEALERS; i++)
        log_writer_release(&p->writers[i]);
    pthread_mutex_destroy(&p->lock);
    if (p->prover.repo)
        wal_prover_release(&p->prover);
    wal_memory_release(&p->memory);
    wal_batch_release(&p->batch);
    mem_free(p);
    return rc;
}

int
engine_wal_deliver(struct repo *r, struct err *e)
{
    struct fleet *f = repo_fleet(r);

    for (size_t i = 0; i < fleet_count(f); i++) {
        struct err why = { 0 };
        int rc;
        while ((rc = fleet_wait(f, fleet_target(f, i), fleet_position(f), DELIVER_POLL_MS,
                                &why))
               == 0)
            continue;
        if (rc < 0 && why.kind == ERR_CANCELLED) {
            *e = why;
            return -1;
        }
        if (rc < 0)
            log_warn("target %s lacks files of the log: %s", fleet_target(f, i)->name,
                     err_text(&why));
    }
    return 0;
}

int
engine_wal_known(const struct conf *c, const char *path, struct err *e)
{
    AUTOFREE char *dir = mem_printf("%s/%s/wal", c->state, c->repository);
    AUTOFREE char *db = fs_join(dir, "state.db");
    CLEANUP(state_close_p) struct state *state = NULL;
    struct wal_job j = { 0 };
    struct wal_memory m = { 0 };
    struct err none = { 0 };
    uint8_t sha[32];
    int rc = 0;

    if (access(db, R_OK | W_OK) < 0 || state_open(dir, false, &state, &none) < 0)
        return 0;
    if (wal_file_open(&j.file, path, e) < 0)
        return -1;
    if (wal_memory_load(state, j.file.system, &m, &none) == 0) {
        const struct wal_kept *k = wal_memory_find(&m, j.file.text);
        if (k && k->safe)
            rc = wal_file_hash(&j.file, sha, e) < 0      ? -1
               : memcmp(sha, k->sha256, sizeof sha) == 0 ? 1
                                                         : other_content(&j, e);
    }
    wal_memory_release(&m);
    wal_file_close(&j.file);
    return rc;
}
