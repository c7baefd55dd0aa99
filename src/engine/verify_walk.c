#include "base/cancel.h"
#include "base/log.h"

#include "verify_impl.h"

#include <string.h>

/* The chains are listed one after the other: what another host completes meanwhile is
 * asked for once more. */
static bool
is_there_now(struct verify *v, const struct snapshot_row *row)
{
    struct object_info snap;
    struct err e = { 0 };

    return repo_is_done(v->repo, v->target, row->key, &snap, &e) == 1;
}

/* A snapshot that was here: done/ without snap/, or snap/ without done/ while it is
 * complete elsewhere. */
void
verify_chain(struct verify *v)
{
    size_t count = v->snapshots.count;

    for (size_t i = 0; i < count + v->snapshots.lost_count; i++) {
        const struct snapshot_row *row = i < count ? &v->snapshots.rows[i]
                                                   : &v->snapshots.lost[i - count];
        bool snap = row->snap >> v->index & 1, done = row->done >> v->index & 1;
        bool gone = row->gone >> v->index & 1;
        bool elsewhere = (row->snap & row->done & ~row->gone & ~(1u << v->index)) != 0;
        if (gone || snap == done || (snap && !elsewhere) || is_there_now(v, row))
            continue;
        struct verify_damage d = { .target = v->target->name,
                                   .object = row->key,
                                   .why = snap
                                            ? "its done/ is missing: it does not count "
                                              "on this target"
                                            : "it is not there, although it was "
                                              "committed" };
        v->told->missing++;
        v->result->unhealed++;
        if (v->options->damage)
            v->options->damage(v->options->arg, &d);
    }
}

/* Snapshots, read from this target alone. */

struct walk {
    struct verify *v;
    const struct snapshot_row *row;
    struct chunk_tools tools;
    struct chunk_id last;
    bool from_target; /* load metadata from the target itself, not from the cache */
    const char *why;  /* of the entry at hand; NULL: it is whole */
    uint64_t told;
};

static bool
on_target(void *arg, uint32_t pack)
{
    struct verify *v = arg;

    return pack < v->pack_count && verify_bit(v->present, pack);
}

/* An index_usable_fn that takes none: it notes the packs that this target's prune
 * records keep from coming back. */
static bool
note_needed(void *arg, uint32_t pack)
{
    struct verify *v = arg;
    char key[PACK_KEY_LEN + 1];
    uint8_t name[32];
    uint64_t size;
    struct err none = { 0 };

    if (pack >= v->pack_count || verify_bit(v->present, pack)
        || index_pack(repo_index(v->repo), pack, name, &size, &none) != 1)
        return false;
    pack_key(key, name);
    if (repo_refused(v->repo, v->target, key))
        verify_set(v->needed, pack);
    return false;
}

/* Where on this target the chunk is: 1, 0, -1. */
static int
find_here(struct walk *w, const struct chunk_id *id, struct location *at, struct err *e)
{
    struct index *x = repo_index(w->v->repo);
    struct location none;
    int rc = index_find(x, id, on_target, w->v, at, e);

    return rc == 0 ? index_find(x, id, note_needed, w->v, &none, e) : rc;
}

static int
load_node(void *arg, enum chunk_kind kind, const struct chunk_id *id, struct buf *out,
          struct err *e)
{
    struct walk *w = arg;
    struct location at;

    if (!w->from_target)
        return repo_load_node(w->v->repo, kind, id, out, e);
    int rc = find_here(w, id, &at, e);
    if (rc < 0)
        return -1;
    if (rc == 0 || at.kind != kind || at.raw > out->max - out->len)
        return err_set(e, ERR_CORRUPT, 0, "a chunk of metadata is not on this target");
    if (repo_load_chunk(w->v->repo, &w->tools, w->v->target, id, &at,
                        buf_room(out, at.raw), e)
        < 0)
        return -1;
    out->len += at.raw;
    return 0;
}

static int
check_extent(void *arg, uint64_t offset, const struct extent *x, struct err *e)
{
    struct walk *w = arg;
    struct location at;

    (void)offset;
    if (chunk_id_is_hole(&x->id) || chunk_id_equal(&x->id, &w->last))
        return 0;
    int rc = find_here(w, &x->id, &at, e);
    if (rc < 0)
        return -1;
    if (rc == 0)
        w->why = "a chunk of it is missing or damaged";
    else if ((uint64_t)x->offset + x->len > at.raw)
        w->why = "it reaches behind the end of a chunk";
    else
        w->last = x->id;
    return 0;
}

static void
tell_file(struct walk *w, struct slice path, const char *why)
{
    struct verify_damage d = { .target = w->v->target->name,
                               .snapshot_key = w->row->key,
                               .snapshot = &w->row->info,
                               .path = path,
                               .why = why };

    w->v->result->damaged_files++;
    if (w->v->options->damage)
        w->v->options->damage(w->v->options->arg, &d);
}

/* Walks one snapshot; what is not whole is told. -1 only when asking failed. */
static int
walk_snapshot(struct walk *w, struct err *e)
{
    CLEANUP(manifest_reader_free_p)
    struct manifest_reader *m = manifest_reader_new(&w->row->info.root, load_node, w);
    struct entry en;
    struct err bad = { 0 };
    int rc;

    while ((rc = manifest_next(m, &en, &bad)) == 1) {
        verify_tick(w->v);
        if (cancel_check(e) < 0)
            return -1;
        w->why = NULL;
        if (en.type == ENTRY_FILE
            && extent_each(&en, load_node, w, check_extent, w, &bad) < 0) {
            if (bad.kind != ERR_CORRUPT && bad.kind != ERR_NOT_FOUND)
                break;
            w->why = err_text(&bad);
        }
        if (w->why)
            tell_file(w, en.path, w->why);
        bad = (struct err){ 0 };
    }
    if (bad.kind == ERR_NONE)
        return 0;
    if (bad.kind == ERR_CORRUPT || bad.kind == ERR_NOT_FOUND || bad.kind == ERR_FORGED) {
        tell_file(w, slice_of(NULL, 0), err_text(&bad));
        return 0;
    }
    *e = bad;
    return -1;
}

static int
walk_all(struct verify *v, bool from_target, struct err *e)
{
    struct walk w = { .v = v, .from_target = from_target };
    int rc = 0;

    chunk_tools_init(&w.tools, 1);
    for (size_t i = 0; i < v->snapshots.count && rc == 0; i++) {
        w.row = &v->snapshots.rows[i];
        memset(&w.last, 0, sizeof w.last);
        if (!((w.row->snap & w.row->done & ~w.row->gone) >> v->index & 1))
            continue;
        v->told->snapshots++;
        rc = walk_snapshot(&w, e);
    }
    chunk_tools_release(&w.tools);
    return rc;
}

int
verify_structure(struct verify *v, struct err *e)
{
    if (verify_small(v, e) < 0)
        return -1;
    if (!keys_can_open(repo_keys(v->repo), CLASS_META)) {
        log_note("the key of role %s opens no metadata: snapshots are not walked",
                 role_name(repo_keys(v->repo)->role));
        return 0;
    }
    return walk_all(v, true, e);
}

int
verify_tell_files(struct verify *v, struct err *e)
{
    bool any = false;

    if (v->options->level >= 2) /* the walk has told them */
        return 0;
    for (uint32_t n = 0; n < v->pack_count && !any; n++)
        any = verify_bit(v->bad, n);
    if (!any || !keys_can_open(repo_keys(v->repo), CLASS_META))
        return 0;
    return walk_all(v, false, e);
}
