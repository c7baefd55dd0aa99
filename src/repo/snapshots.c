#include "base/log.h"
#include "base/text.h"
#include "codec/record.h"

#include "impl.h"
#include "lists.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
snapshot_list_release(struct snapshot_list *l)
{
    for (size_t i = 0; i < l->count; i++)
        snapshot_release(&l->rows[i].info);
    mem_free(l->rows);
    mem_free(l->lost);
    mem_free(l->unread);
    *l = (struct snapshot_list){ 0 };
}

/* Finds rows by their names: slots of numbers from 1 up, 0 for none, more than half of
 * them empty. */
struct rows {
    struct snapshot_list *list;
    size_t *slots, count;
};

/* One target's chain objects: snap, done, gone. */
struct listing {
    struct repo *repo;
    struct target *target;
    size_t index;
    struct rows *rows;
};

static bool
same_name(const struct chain_name *a, const struct chain_name *b)
{
    return a->seq == b->seq && memcmp(a->sha256, b->sha256, 32) == 0
        && strcmp(a->host, b->host) == 0;
}

/* The slot that has the name's row, or in which it belongs. */
static size_t *
slot_of(const struct rows *r, const struct chain_name *n)
{
    size_t i = get_u64(n->sha256) % r->count;

    while (r->slots[i] && !same_name(&r->list->rows[r->slots[i] - 1].name, n))
        i = (i + 1) % r->count;
    return &r->slots[i];
}

static void
grow_slots(struct rows *r)
{
    r->count = r->count ? 2 * r->count : 64;
    mem_free(r->slots);
    r->slots = mem_zalloc(r->count * sizeof *r->slots);
    for (size_t i = 0; i < r->list->count; i++)
        *slot_of(r, &r->list->rows[i].name) = i + 1;
}

/* The row of a snapshot's key, a new one when there is none. NULL: it is no such key. */
static struct snapshot_row *
row_of(struct rows *r, const char *key)
{
    struct snapshot_list *l = r->list;
    struct chain_name n;

    if (!chain_name(&n, key) || strcmp(n.kind, "snap") != 0)
        return NULL;
    if (2 * l->count >= r->count)
        grow_slots(r);
    size_t *slot = slot_of(r, &n);
    if (*slot)
        return &l->rows[*slot - 1];
    l->rows = mem_grow(l->rows, &l->cap, l->count + 1, sizeof *l->rows);
    struct snapshot_row *row = &l->rows[l->count++];
    *row = (struct snapshot_row){ .name = n };
    snprintf(row->key, sizeof row->key, "%s", key);
    *slot = l->count;
    return row;
}

static int
snap_listed(void *arg, const struct object_info *o, struct err *e)
{
    struct listing *l = arg;
    struct snapshot_row *row = row_of(l->rows, o->key);

    (void)e;
    if (row && o->size <= SNAPSHOT_MAX)
        row->snap |= 1u << l->index;
    return 0;
}

bool
repo_is_unbelievable(const struct err *e)
{
    return e->kind == ERR_CORRUPT || e->kind == ERR_FORGED || e->kind == ERR_NOT_FOUND
        || e->kind == ERR_UNSUPPORTED;
}

int
repo_open_snapshot(struct repo *r, struct target *t, const char *key, struct buf *object,
                   struct slice *header, struct slice *body, struct err *e)
{
    uint8_t signer[ID_LEN];
    struct chain_name name;
    struct header h;
    char tag[17];

    if (repo_get_small(r, t, key, object, e) < 0
        || signed_open(buf_slice(object), OBJECT_SNAP, r->keys->repo_id, repo_signer, r,
                       &h, signer, body, e)
               < 0)
        return -1;
    keys_host_tag(r->keys, signer, tag);
    if (!chain_name(&name, key) || strcmp(name.host, tag) != 0 || body->len < 8
        || get_u64(body->ptr) != name.seq)
        return err_set(e, ERR_FORGED, 0,
                       "its name, its body and its signature do not belong together");
    *header = slice_sub(buf_slice(object), 0, HEADER_LEN);
    return 0;
}

/* done/ and gone/: a record of (target 1, snapshot key 2), signed by a host;
 * gone/ by maintenance as well. */
enum record_tag { TAG_TARGET = 1, TAG_SNAPSHOT = 2 };

int
repo_open_record(struct repo *r, struct target *t, const char *key, enum object_type type,
                 char snapshot[CHAIN_KEY_LEN + 1], struct err *e)
{
    AUTOBUF struct buf object = BUF(RECORD_MAX);
    uint8_t signer[ID_LEN], target[ID_LEN];
    struct chain_name name, about;
    struct header h;
    struct slice body;
    char tag[17];

    if (repo_get_small(r, t, key, &object, e) < 0
        || signed_open(buf_slice(&object), type, r->keys->repo_id, repo_signer, r, &h,
                       signer, &body, e)
               < 0)
        return -1;
    struct slice text = record_get(body, TAG_SNAPSHOT);
    if (!record_copy(body, TAG_TARGET, target, ID_LEN)
        || memcmp(target, t->id, ID_LEN) != 0 || text.len > CHAIN_KEY_LEN)
        return err_set(e, ERR_FORGED, 0, "it is a record of another target");
    memcpy(snapshot, text.ptr, text.len);
    snapshot[text.len] = 0;
    if (!chain_name(&name, key) || !chain_name(&about, snapshot)
        || strcmp(about.kind, "snap") != 0 || strcmp(name.host, about.host) != 0
        || name.seq != about.seq)
        return err_set(e, ERR_FORGED, 0,
                       "it is about another snapshot than its name says");
    keys_host_tag(r->keys, signer, tag);
    if (memcmp(signer, signer_root, ID_LEN) == 0
        || (type == OBJECT_GONE && strcmp(tag, about.host) != 0
            && memcmp(signer, signer_maintain, ID_LEN) != 0))
        return err_set(e, ERR_FORGED, 0, "it is signed by who may not");
    return 0;
}

/* Something lies there that should say of this snapshot that it is complete. */
static void
doubt(struct listing *l, const char *done)
{
    struct chain_name about;

    for (size_t i = 0; chain_name(&about, done) && i < l->rows->list->count; i++) {
        struct snapshot_row *row = &l->rows->list->rows[i];
        if (row->name.seq == about.seq && strcmp(row->name.host, about.host) == 0)
            row->doubted |= 1u << l->index;
    }
}

static int
record_listed(struct listing *l, const struct object_info *o, enum object_type type,
              struct err *e)
{
    char snapshot[CHAIN_KEY_LEN + 1];
    struct err bad = { 0 };

    if (o->size > RECORD_MAX)
        return 0;
    if (repo_open_record(l->repo, l->target, o->key, type, snapshot, &bad) < 0) {
        if (!repo_is_unbelievable(&bad)) {
            *e = bad;
            return -1;
        }
        log_warn("target %s: %s is not believed: %s", l->target->name, o->key,
                 err_text(&bad));
        if (type == OBJECT_DONE)
            doubt(l, o->key);
        return 0;
    }
    struct snapshot_row *row = row_of(l->rows, snapshot);
    if (row && type == OBJECT_DONE)
        row->done |= 1u << l->index;
    if (row && type == OBJECT_GONE)
        row->gone |= 1u << l->index;
    return 0;
}

static int
done_listed(void *arg, const struct object_info *o, struct err *e)
{
    return record_listed(arg, o, OBJECT_DONE, e);
}

static int
gone_listed(void *arg, const struct object_info *o, struct err *e)
{
    return record_listed(arg, o, OBJECT_GONE, e);
}

/* The highest number that one target shows of a host, and that snapshot. A name
 * alone shows nothing, unless it is the one that was seen there before. */
static uint64_t
highest_shown(const struct snapshot_list *l, size_t index, const char *tag,
              const char *seen, const char **key)
{
    uint64_t best = 0;

    for (size_t i = 0; i < l->count; i++) {
        const struct snapshot_row *row = &l->rows[i];
        bool gone = row->gone >> index & 1, snap = row->snap >> index & 1;
        if (strcmp(row->name.host, tag) == 0 && row->name.seq >= best
            && (gone || (snap && (row->checked || strcmp(row->key, seen) == 0)))) {
            best = row->name.seq;
            *key = row->key;
        }
    }
    return best;
}

/* What a target shows of each host must not fall. */
static void
check_marks(struct repo *r, struct snapshot_list *l, struct target *t, size_t index)
{
    for (size_t i = 0; i < r->host_count; i++) {
        AUTOBUF struct buf seen = BUF(CHAIN_KEY_LEN + 1);
        char tag[17];
        uint64_t known = 0;
        const char *key = NULL;
        struct err e = { 0 };
        keys_host_tag(r->keys, r->hosts[i].id, tag);
        int rc = state_mark_get(r->state, t->name, tag, &known, &seen, &e);
        uint64_t best = highest_shown(l, index, tag, buf_cstr(&seen), &key);
        if (rc == 1 && best < known) {
            r->rollback_seen = true;
            log_warn("target %s shows snapshots of host %s up to number %llu, but this "
                     "host has seen %llu there: rolled back?",
                     t->name, r->hosts[i].name, (unsigned long long)best,
                     (unsigned long long)known);
        } else if (key && best > known
                   && state_mark_put(r->state, t->name, tag, best, key, &e) < 0)
            log_info("%s", err_text(&e));
    }
}

/* Opens a row from one target; with a key that opens no metadata it is only
 * checked. */
static int
open_row(struct repo *r, struct target *t, struct snapshot_row *row, struct err *e)
{
    AUTOBUF struct buf object = BUF(SNAPSHOT_MAX);
    struct slice header, body;
    char tag[17];

    if (repo_open_snapshot(r, t, row->key, &object, &header, &body, e) < 0)
        return -1;
    row->checked = true;
    if (!keys_can_open(r->keys, CLASS_META))
        return 0;
    if (snapshot_parse(r->keys, header, body, &row->info, e) < 0) {
        snapshot_release(&row->info);
        return -1;
    }
    keys_host_tag(r->keys, row->info.host_id, tag);
    if (strcmp(tag, row->name.host) != 0 || row->info.seq != row->name.seq) {
        snapshot_release(&row->info);
        return err_set(e, ERR_FORGED, 0, "its body is of another host or number");
    }
    memcpy(row->info.id, row->name.sha256, 32);
    memcpy(row->info.host_tag, tag, sizeof tag);
    buf_release(&row->info.config); /* nobody asks a list for it, and it may be long */
    row->loaded = true;
    return 0;
}

static int
load_row(struct repo *r, struct snapshot_row *row, struct err *e)
{
    struct err one = { 0 };

    for (size_t i = 0; i < fleet_count(r->fleet); i++) {
        struct target *t = fleet_target(r->fleet, i);
        if (!(row->snap >> i & 1) || !target_is_up(r->fleet, t))
            continue;
        one = (struct err){ 0 };
        if (open_row(r, t, row, &one) == 0)
            return 0;
    }
    if (one.kind == ERR_NONE)
        return err_set(e, ERR_UNAVAIL, 0, "no target that has it answers");
    *e = one;
    return -1;
}

static int
by_age(const void *a, const void *b)
{
    const struct snapshot_row *x = a, *y = b;

    if (x->info.started.s != y->info.started.s)
        return x->info.started.s < y->info.started.s ? -1 : 1;
    int host = strcmp(x->name.host, y->name.host);
    return host ? host : (x->name.seq > y->name.seq) - (x->name.seq < y->name.seq);
}

/* Lists what one target has. */
static void
list_target(struct repo *r, struct target *t, size_t index, struct rows *rows,
            struct err *last)
{
    struct listing l = { r, t, index, rows };
    struct kept_list lists[] = { { .prefix = "snap/" },
                                 { .prefix = "done/" },
                                 { .prefix = "gone/" } };

    lists_ask(t, lists, 1); /* first: what is complete by then has its done/ */
    lists_ask(t, lists + 1, 2);
    lists_fetch(r, t, &lists[0], SNAPSHOT_MAX);
    lists_fetch(r, t, &lists[1], RECORD_MAX);
    lists_fetch(r, t, &lists[2], RECORD_MAX);
    if (lists_each(&lists[0], snap_listed, &l, last) < 0
        || lists_each(&lists[1], done_listed, &l, last) < 0
        || lists_each(&lists[2], gone_listed, &l, last) < 0)
        fleet_fail(r->fleet, t, last);
    else
        rows->list->asked |= 1u << index;
    lists_release(lists, COUNT_OF(lists));
}

static void
take_unread(struct snapshot_list *out, const struct snapshot_row *row,
            const struct err *why)
{
    if ((row->done & ~row->gone) == 0) /* a name that nobody has signed */
        return;
    out->unread = mem_grow(out->unread, &out->unread_cap, out->unread_count + 1,
                           sizeof *out->unread);
    out->unread[out->unread_count++] = (struct snapshot_unread){ row->name, *why };
}

/* Keeps a row whose object is nowhere, although a target has promised it. */
static void
take_lost(struct repo *r, struct snapshot_list *out, const struct snapshot_row *row)
{
    const char *host = repo_host_tagged(r, row->name.host);
    struct err why = { 0 };
    char hex[65];

    if (row->snap != 0 || (row->done & ~row->gone) == 0)
        return;
    text_hex(hex, row->name.sha256, 32);
    log_warn("snapshot %.12s of host %s was complete, and its object is on no target: %s",
             hex, host ? host : row->name.host, row->key);
    out->lost = mem_grow(out->lost, &out->lost_cap, out->lost_count + 1,
                         sizeof *out->lost);
    out->lost[out->lost_count++] = *row;
    err_set(&why, ERR_CORRUPT, 0, "its object is on no target");
    take_unread(out, row, &why);
}

/* What was committed behind the list of snap/, or is listed late, is asked for. */
static void
find_unlisted(struct repo *r, const struct snapshot_list *out, struct snapshot_row *row)
{
    uint32_t unlisted = out->asked & row->done & ~row->gone & ~row->snap;

    for (size_t i = 0; i < fleet_count(r->fleet); i++) {
        struct object_info info;
        struct err none = { 0 };
        if (unlisted >> i & 1
            && storage_head(fleet_target(r->fleet, i)->store, row->key, &info, &none)
                   == 0)
            row->snap |= 1u << i;
    }
}

/* Is the row one to tell of? */
static bool
keep_row(struct repo *r, struct snapshot_list *out, struct snapshot_row *row)
{
    struct err bad = { 0 };

    if ((row->snap & ~row->gone) == 0)
        return false;
    if (load_row(r, row, &bad) == 0)
        return true;
    log_warn("%s is left out: %s", row->key, err_text(&bad));
    take_unread(out, row, &bad);
    return false;
}

int
repo_snapshots(struct repo *r, struct snapshot_list *out, struct err *e)
{
    struct rows rows = { .list = out };
    struct err last = { 0 };
    size_t kept = 0;

    for (size_t i = 0; i < fleet_count(r->fleet); i++)
        if (target_is_up(r->fleet, fleet_target(r->fleet, i)))
            list_target(r, fleet_target(r->fleet, i), i, &rows, &last);
    mem_free(rows.slots);
    if (out->asked == 0) {
        (void)fleet_nobody(r->fleet, e);
        return err_in(e, "listing snapshots");
    }
    AUTOFREE bool *keep = mem_zalloc(out->count + 1);
    for (size_t i = 0; i < out->count; i++) {
        find_unlisted(r, out, &out->rows[i]);
        keep[i] = keep_row(r, out, &out->rows[i]);
        take_lost(r, out, &out->rows[i]);
    }
    for (size_t i = 0; i < fleet_count(r->fleet); i++)
        if (out->asked >> i & 1)
            check_marks(r, out, fleet_target(r->fleet, i), i);
    for (size_t i = 0; i < out->count; i++)
        if (keep[i])
            out->rows[kept++] = out->rows[i];
    out->count = kept;
    if (kept > 1)
        qsort(out->rows, kept, sizeof *out->rows, by_age);
    return 0;
}

bool
repo_rollback_seen(const struct repo *r)
{
    return r->rollback_seen;
}

bool
snapshot_committed(const struct snapshot_row *row)
{
    return (row->snap & row->done & ~row->gone) != 0
        && !(row->info.flags & SNAPSHOT_PARTIAL);
}

bool
snapshot_same_source(const struct snapshot_row *a, const struct snapshot_row *b)
{
    return a->loaded && b->loaded && strcmp(a->info.source, b->info.source) == 0
        && memcmp(a->info.host_id, b->info.host_id, ID_LEN) == 0;
}

bool
snapshot_is_newest(const struct snapshot_list *l, size_t k)
{
    if (!l->rows[k].loaded || !snapshot_committed(&l->rows[k]))
        return false;
    for (size_t i = k + 1; i < l->count; i++)
        if (snapshot_same_source(&l->rows[i], &l->rows[k])
            && snapshot_committed(&l->rows[i]))
            return false;
    return true;
}
