#include "engine/backup.h"
#include "base/cancel.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "engine/deliver.h"

#include "beside.h"
#include "hooks.h"
#include "parent.h"
#include "reader.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* Times this close before the last walk may have hidden a change (git's rule). */
#define RACY_S 2
#define CONFIG_KEPT_MAX ((size_t)256 << 10) /* a larger one is left out */
#define TAG_LEN_MAX 255
#define SHRUNK_ENTRIES_MIN 100 /* smaller sources may shrink as they like */

struct run {
    struct hooks hooks;
    struct repo *repo;
    const struct backup_options *options;
    struct backup_result *result;
    struct backup_progress progress;
    struct session *session;
    struct source *source;
    struct pipeline *pipeline;
    struct content_reader reader;
    /* The parent snapshot, read beside the walk. */
    struct snapshot_row *parent;
    struct snapshot_row kept_parent; /* for who may not or cannot ask the targets */
    struct beside beside;
    struct chunk_id last_used; /* the chunk looked up last */
    uint64_t own_entries;      /* below the source's paths */
    uint64_t links_read[LINKS_MAX];
    size_t link_count;
    int64_t next_tick_ms;
    struct clock_time started;
};

static void
on_issue(void *arg, enum source_issue kind, struct slice path, const char *why)
{
    struct run *run = arg;

    if (kind != SOURCE_SOCKET)
        atomic_fetch_add(&run->progress.issues, 1);
    if (run->options->issue)
        run->options->issue(run->options->arg, kind, path, why);
}

static void
tick(void *arg)
{
    struct run *run = arg;
    int64_t now;

    if (!run->options->tick)
        return;
    now = clock_mono_ms();
    if (now < run->next_tick_ms)
        return;
    run->next_tick_ms = now + 200;
    run->options->tick(run->options->arg, &run->progress);
}

/* Another host that is called as this one is this one before it lost its state, or
 * is not: only inodes and change times tell files of the same size and time apart. */
static bool
is_ours(const struct run *run, const struct snapshot *s)
{
    const struct conf_source *c = run->options->source;

    return memcmp(s->host_id, repo_host_id(run->repo), ID_LEN) == 0
        || ((c->kind != SOURCE_FILES || c->files.match_inode)
            && strcmp(s->host, repo_host_name(run->repo)) == 0);
}

/* The newest committed snapshot of this source and host. */
static struct snapshot_row *
find_parent(struct run *run, struct snapshot_list *l)
{
    struct snapshot_row *best = NULL;

    for (size_t i = 0; i < l->count; i++) {
        struct snapshot_row *row = &l->rows[i];
        if (strcmp(row->info.source, run->options->source->name) == 0
            && is_ours(run, &row->info) && (row->snap & ~row->gone)
            && !(row->info.flags & SNAPSHOT_PARTIAL))
            best = row;
    }
    return best;
}

/* Is the chunk there? Its pack is marked as used. */
static int
use_chunk(struct run *run, const struct chunk_id *id, struct err *e)
{
    struct location at;

    if (chunk_id_is_hole(id) || chunk_id_equal(id, &run->last_used))
        return 1;
    int rc = index_find(repo_index(run->repo), id, repo_usable, run->repo, &at, e);
    if (rc == 1) {
        run->last_used = *id;
        pipeline_use_pack(run->pipeline, at.pack);
    }
    return rc;
}

static int
use_node(void *arg, const struct chunk_id *id, struct err *e)
{
    int rc = use_chunk(arg, id, e);

    return rc == 0 ? err_set(e, ERR_NOT_FOUND, 0, "a chunk is gone") : rc < 0 ? -1 : 0;
}

static int
use_extent(void *arg, uint64_t at, const struct extent *x, struct err *e)
{
    (void)at;
    return use_node(arg, &x->id, e);
}

static bool
same_times(const struct entry *a, const struct entry *b)
{
    return a->mtime_s == b->mtime_s && a->mtime_ns == b->mtime_ns
        && a->ctime_s == b->ctime_s && a->ctime_ns == b->ctime_ns;
}

/* May the parent's entry stand for this one unread? 1, 0, -1. */
static int
unchanged(struct run *run, const struct entry *en, struct err *e)
{
    const struct entry *old = beside_find(&run->beside, en->path);
    const struct conf_source *c = run->options->source;
    struct err gone = { 0 };

    if (!old || old->type != en->type || (old->flags & ENTRY_CHANGED)
        || (old->flags & ENTRY_ABOVE) != (en->flags & ENTRY_ABOVE))
        return 0;
    int64_t trusted_until = run->parent->info.started.s - RACY_S;
    if (c->kind == SOURCE_FILES && !c->files.match_inode) {
        if (old->mtime_s != en->mtime_s || old->mtime_ns != en->mtime_ns
            || old->mode != en->mode || old->uid != en->uid || old->gid != en->gid)
            return 0;
    } else if (old->ino != en->ino || !same_times(old, en)
               || en->ctime_s >= trusted_until) {
        return 0;
    }
    if (en->mtime_s >= trusted_until || (en->type == ENTRY_FILE && old->size != en->size)
        || old->link_group != en->link_group)
        return 0;
    if (en->type != ENTRY_FILE)
        return 1;
    if (extent_each_node(old, repo_load_node, run->repo, use_node, use_extent, run, &gone)
        == 0)
        return 1;
    if (gone.kind == ERR_CANCELLED || gone.kind == ERR_IO) {
        *e = gone;
        return -1;
    }
    return 0; /* a pack is gone: read and store it anew */
}

/* True if another name of this file has been read in this run. */
static bool
link_was_read(struct run *run, const struct entry *en)
{
    if (!en->link_group || en->type != ENTRY_FILE)
        return false;
    for (size_t i = run->link_count; i > 0; i--)
        if (run->links_read[i - 1] == en->link_group)
            return true;
    return false;
}

static int
store_entry(struct run *run, struct entry *en, struct err *e)
{
    const struct entry *kept = beside_find(&run->beside, en->path);
    struct err gone = { 0 };
    int rc;

    if (kept
        && (kept->type != ENTRY_FILE
            || extent_each(kept, repo_load_node, run->repo, use_extent, run, &gone) < 0))
        kept = NULL;
    rc = source_describe(run->source, en, e);
    if (rc <= 0)
        return rc;
    if (en->type == ENTRY_FILE && link_was_read(run, en)) {
        struct held *h = held_new(en);
        h->takes_link = true;
        return pipeline_entry(run->pipeline, h) < 0
                 ? err_set(e, ERR_CANCELLED, 0, "stopped")
                 : reader_pass(&run->reader, e);
    }
    if (en->type != ENTRY_FILE) {
        if (pipeline_entry(run->pipeline, held_new(en)) < 0)
            return err_set(e, ERR_CANCELLED, 0, "stopped");
        return reader_pass(&run->reader, e);
    }
    rc = reader_file(&run->reader, en, kept, e);
    if (rc == 1 && en->link_group && run->link_count < LINKS_MAX)
        run->links_read[run->link_count++] = en->link_group;
    return rc < 0 ? -1 : 0;
}

static int
keep_entry(struct run *run, const struct entry *en, struct err *e)
{
    struct held *h = held_new(beside_find(&run->beside, en->path));

    h->kept = true;
    atomic_fetch_add(&run->progress.kept, 1);
    if (pipeline_entry(run->pipeline, h) < 0)
        return err_set(e, ERR_CANCELLED, 0, "stopped");
    return reader_pass(&run->reader, e);
}

static int
walk(struct run *run, struct err *e)
{
    struct entry en;
    int rc;

    while ((rc = source_next(run->source, &en, e)) == 1) {
        if (source_expected(run->source) > 0)
            run->progress.expected_bytes = source_expected(run->source);
        atomic_fetch_add(&run->progress.entries, 1);
        if (!(en.flags & ENTRY_ABOVE))
            run->own_entries++;
        if (cancel_check(e) < 0 || beside_advance(&run->beside, en.path, e) < 0)
            return -1;
        int same = unchanged(run, &en, e);
        if (same < 0 || (same ? keep_entry(run, &en, e) : store_entry(run, &en, e)) < 0)
            return -1;
        atomic_store(&run->progress.in_hand, 0);
        if (en.type == ENTRY_FILE) /* a stream's size is known only now */
            atomic_fetch_add(&run->progress.bytes, en.size);
        tick(run);
    }
    return rc < 0 ? -1 : reader_finish(&run->reader, e);
}

/* A source that is empty, or half of what it was, is no green snapshot. */
static int
guard(struct run *run, const struct manifest_root *root, struct err *e)
{
    const struct conf_source *c = run->options->source;
    const struct snapshot *old = run->parent ? &run->parent->info : NULL;
    const char *identity = source_identity(run->source);

    if (run->options->accept_changed || c->allow_empty)
        return 0;
    if (c->kind == SOURCE_FILES && run->own_entries <= 1 && root->bytes == 0)
        return err_set(
            e, ERR_SOURCE, 0,
            "source %s is empty: an unmounted disk? Set `allow-empty: true` if "
            "it may be",
            c->name);
    if (c->kind == SOURCE_BUCKET && root->entries == 0)
        return err_set(
            e, ERR_SOURCE, 0,
            "source %s is empty: there are no objects in %s. Set `allow-empty: "
            "true` if there may be none",
            c->name, identity);
    if (!old)
        return 0;
    if (old->identity[0] && identity[0] && strcmp(old->identity, identity) != 0)
        return err_set(e, ERR_SOURCE, 0,
                       "source %s %s (%s) than at its last backup (%s); "
                       "`--accept-changed-source` takes it as it is",
                       c->name, source_moved(run->source), identity, old->identity);
    if (old->root.entries >= SHRUNK_ENTRIES_MIN && root->entries < old->root.entries / 2)
        return err_set(e, ERR_SOURCE, 0,
                       "source %s has shrunk from %llu to %llu entries; "
                       "`--accept-changed-source` takes it as it is",
                       c->name, (unsigned long long)old->root.entries,
                       (unsigned long long)root->entries);
    return 0;
}

static void
fill_snapshot(struct run *run, struct snapshot *s, const struct manifest_root *root)
{
    const struct conf_source *c = run->options->source;

    s->source = mem_strdup(c->name);
    s->kind = mem_strdup(source_kind_name(c));
    s->identity = mem_strdup(source_identity(run->source));
    s->version = mem_strdup(DRTOOL_VERSION);
    s->started = run->started;
    s->ended = clock_now();
    s->root = *root;
    s->issues = atomic_load(&run->progress.issues);
    s->added = atomic_load(&run->progress.stored_bytes);
    s->facts = BUF(FACTS_MAX);
    buf_put_slice(&s->facts, source_facts(run->source));
    s->config = BUF(CONFIG_KEPT_MAX);
    if (run->options->config.len <= CONFIG_KEPT_MAX)
        buf_put_slice(&s->config, run->options->config);
    for (const char *const *t = run->options->tags; t && *t && s->tag_count < TAGS_MAX;
         t++)
        s->tags[s->tag_count++] = mem_strdup(*t);
    if (run->parent)
        memcpy(s->parent, run->parent->info.id, 32);
}

/* Makes this run's snapshot; with `old`, a successor that names what it
 * replaces: the same content under a new number. */
struct snapshot_maker {
    struct run *run;
    const struct manifest_root *root;
};

static int
make_snapshot(void *arg, const char *old, struct slice packs, char key[CHAIN_KEY_LEN + 1],
              struct err *e)
{
    struct snapshot_maker *x = arg;
    struct snapshot s = { 0 };
    struct chain_name name;

    fill_snapshot(x->run, &s, x->root);
    if (old && chain_name(&name, old))
        memcpy(s.replaces, name.sha256, 32);
    int rc = repo_store_snapshot(x->run->repo, x->run->session, &s, old, packs, key, e);
    if (rc == 0) {
        parent_remember(x->run->repo, &s);
        text_hex(x->run->result->id, s.id, 32);
        snprintf(x->run->result->key, sizeof x->run->result->key, "%s", key);
    }
    snapshot_release(&s);
    return rc;
}

/* Of deliver: the lanes are waited for. */
static void
tick_delivery(void *arg)
{
    const struct snapshot_maker *x = arg;

    tick(x->run);
}

static enum status
judge(struct run *run)
{
    struct backup_result *res = run->result;
    bool have[FLEET_TARGETS_MAX] = { false };
    enum status s = run->hooks.failed ? STATUS_FAILED
                  : res->issues       ? STATUS_PARTIAL
                                      : STATUS_OK;
    size_t good = 0;

    for (size_t i = 0; i < res->target_count; i++) {
        have[i] = res->targets[i].committed;
        good += have[i];
    }
    if (!fleet_quorum_met(repo_fleet(run->repo), have, NULL))
        return status_worse(s, STATUS_NO_QUORUM);
    return good < res->target_count ? status_worse(s, STATUS_DEGRADED) : s;
}

static int64_t
linger_of(int64_t elapsed_ms)
{
    int64_t ms = elapsed_ms / 10;

    return ms < 5000 ? 5000 : ms > 300000 ? 300000 : ms;
}

/* Publishes index and snapshot, and sees them committed. */
static int
publish(struct run *run, const struct manifest_root *root, struct slice packs,
        struct err *e)
{
    struct backup_result *res = run->result;
    struct snapshot_maker maker = { run, root };
    char key[CHAIN_KEY_LEN + 1];

    if (repo_publish_index(run->repo, e) < 0
        || make_snapshot(&maker, NULL, packs, key, e) < 0)
        return -1;
    struct deliver_options d = { .snapshot = key,
                                 .linger_ms = linger_of(clock_mono_ms()
                                                        - res->elapsed_ms),
                                 .successor = make_snapshot,
                                 .tick = tick_delivery,
                                 .arg = &maker };
    if (engine_deliver(run->repo, &d, res->targets, e) < 0)
        return -1;
    res->status = judge(run);
    return 0;
}

static int
open_all(struct run *run, struct snapshot_list *l, struct err *e)
{
    struct fleet *f = repo_fleet(run->repo);
    struct source_options so = {
        .tmp_dir = repo_dir(run->repo), .issue = on_issue, .tick = tick, .arg = run
    };
    struct err none = { 0 };

    if (source_open(run->options->source, &so, &run->source, e) < 0)
        return -1;
    bool may_look = keys_can_open(repo_keys(run->repo), CLASS_META);
    if (may_look && repo_snapshots(run->repo, l, &none) < 0) {
        log_warn("no target answers: the backup goes to the spool");
        may_look = false;
    }
    if (may_look)
        run->parent = find_parent(run, l);
    else if (parent_recall(run->repo, run->options->source->name, &run->kept_parent))
        run->parent = &run->kept_parent;
    run->result->has_parent = run->parent != NULL;
    run->result->target_count = fleet_count(f);
    for (size_t i = 0; i < fleet_count(f); i++)
        run->result->targets[i].name = fleet_target(f, i)->name;
    run->session = session_new(repo_keys(run->repo), repo_random(run->repo));
    struct pipeline_options po = { .repo = run->repo,
                                   .session = run->session,
                                   .threads = run->options->threads,
                                   .memory = run->options->memory,
                                   .dry_run = run->options->dry_run,
                                   .unordered = source_traits(run->source)
                                              & SOURCE_UNORDERED,
                                   .progress = &run->progress };
    if (pipeline_start(&po, &run->pipeline, e) < 0)
        return -1;
    if (run->parent) {
        run->progress.expected_bytes = run->parent->info.root.bytes;
        beside_open(&run->beside, run->repo, &run->parent->info.root,
                    source_traits(run->source) & SOURCE_UNORDERED);
    }
    run->reader = (struct content_reader){
        .repo = run->repo,
        .source = run->source,
        .pipeline = run->pipeline,
        .progress = &run->progress,
        .tick = tick,
        .tick_arg = run,
        .rules = run->options->source,
        .traits = source_traits(run->source),
    };
    reader_init(&run->reader);
    return 0;
}

/* Whatever became of the backup: what held still may move again. A failure of that does
 * not take the snapshot away. */
static void
undo(struct run *run, bool well)
{
    struct err why = { 0 };

    if (hooks_after(&run->hooks, well, &why) < 0)
        log_warn("source %s: %s", run->options->source->name, err_text(&why));
}

static int
run_backup(struct run *run, struct err *e)
{
    AUTOBUF struct buf packs = BUF((size_t)1 << 30);
    CLEANUP(snapshot_list_release) struct snapshot_list l = { 0 };
    struct manifest_root root;
    struct err stage = { 0 };

    if (!run->options->dry_run && hooks_before(&run->hooks, e) < 0)
        return -1;
    if (open_all(run, &l, e) < 0)
        return -1;
    int rc = walk(run, e);
    reader_release(&run->reader);
    undo(run, rc == 0);
    if (rc < 0) { /* a stage that failed knows more than who noticed */
        pipeline_stop(run->pipeline, &stage);
        if (e->kind == ERR_CANCELLED && stage.kind != ERR_CANCELLED)
            *e = stage;
        return -1;
    }
    if (pipeline_finish(run->pipeline, &root, &packs, e) < 0 || guard(run, &root, e) < 0)
        return -1;
    run->result->entries = root.entries;
    run->result->bytes = root.bytes;
    run->result->issues = atomic_load(&run->progress.issues);
    run->result->status = run->result->issues ? STATUS_PARTIAL : STATUS_OK;
    return run->options->dry_run ? 0 : publish(run, &root, buf_slice(&packs), e);
}

int
engine_backup(struct repo *r, const struct backup_options *o,
              struct backup_result *result, struct err *e)
{
    int64_t begun = clock_mono_ms();

    for (size_t i = 0; o->tags && o->tags[i]; i++)
        if (i >= TAGS_MAX || strlen(o->tags[i]) > TAG_LEN_MAX)
            return err_set(e, ERR_USAGE, 0, "at most %d tags of %d bytes each", TAGS_MAX,
                           TAG_LEN_MAX);
    *result = (struct backup_result){ .status = STATUS_FAILED, .elapsed_ms = begun };
    struct run *run = mem_zalloc(sizeof *run);
    run->repo = r;
    run->options = o;
    run->result = result;
    run->started = clock_now();
    run->hooks.source = o->source;
    int rc = run_backup(run, e);
    undo(run, false); /* unless it was */
    run->next_tick_ms = 0;
    tick(run);
    reader_release(&run->reader);
    result->kept = atomic_load(&run->progress.kept);
    result->new_chunks = atomic_load(&run->progress.new_chunks);
    result->new_bytes = atomic_load(&run->progress.new_bytes);
    result->stored_bytes = atomic_load(&run->progress.stored_bytes);
    result->elapsed_ms = clock_mono_ms() - begun;
    pipeline_free(run->pipeline);
    beside_close(&run->beside);
    source_close(run->source);
    session_free(run->session);
    snapshot_release(&run->kept_parent.info);
    mem_free(run);
    return rc < 0 ? err_in(e, "source %s", o->source->name) : 0;
}
