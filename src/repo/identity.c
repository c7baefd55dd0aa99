#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "codec/record.h"

#include "impl.h"

#include <string.h>

/* The header object drt.repo, signed by root, so that only the owner of the
 * repository can make a place one of its targets. This host remembers which target
 * a name was. Another one under that name is a wrong mount or URL, or what its
 * provider had before; only one that was made later has taken its place. */
enum tag { TAG_TARGET = 1, TAG_CREATED = 2 };

void
repo_header_object(const struct keys *k, const uint8_t target_id[ID_LEN], int64_t made_s,
                   struct buf *out)
{
    struct header h = { .type = OBJECT_REPO };

    memcpy(h.repo, k->repo_id, ID_LEN);
    header_put(out, &h);
    record_put(out, TAG_TARGET, slice_of(target_id, ID_LEN));
    record_put_u64(out, TAG_CREATED, (uint64_t)made_s);
    signed_end(out, OBJECT_REPO, signer_root, k->root_seed);
}

static int64_t
known_made(struct repo *r, const struct target *t)
{
    AUTOBUF struct buf kept = BUF(8);
    struct err ignored = { 0 };

    return state_about_get(r->state, t->name, "made", &kept, &ignored) == 1
                && kept.len == 8
             ? (int64_t)get_u64(kept.ptr)
             : INT64_MAX; /* nothing is known to be later */
}

int64_t
repo_made_now(struct repo *r, const struct target *t)
{
    int64_t made_s = 0;
    struct err ignored = { 0 };

    /* All hosts read the store's clock; one's own that is ahead would make what others
     * make after it look older. */
    if (storage_now(t->store, &made_s, &ignored) < 0)
        made_s = clock_now().s;
    int64_t known = known_made(r, t);
    if (known != INT64_MAX && known >= made_s)
        made_s = known + 1;
    return made_s;
}

int64_t
repo_made(struct repo *r, const struct target *t)
{
    int64_t known = known_made(r, t);

    return known == INT64_MAX ? repo_made_now(r, t) : known;
}

int
repo_keep_identity(struct repo *r, const struct target *t, int64_t made_s, struct err *e)
{
    uint8_t made[8];

    put_u64(made, (uint64_t)made_s);
    return state_about_put(r->state, t->name, "id", slice_of(t->id, ID_LEN), e) < 0
                || state_about_put(r->state, t->name, "made", slice_of(made, 8), e) < 0
             ? -1
             : 0;
}

static bool
is_another_target(struct repo *r, const struct target *t)
{
    struct err ignored = { 0 };

    for (size_t i = 0; i < fleet_count(r->fleet); i++) {
        AUTOBUF struct buf kept = BUF(64);
        const struct target *o = fleet_target(r->fleet, i);
        if (o != t && state_about_get(r->state, o->name, "id", &kept, &ignored) == 1
            && kept.len == ID_LEN && memcmp(kept.ptr, t->id, ID_LEN) == 0)
            return true;
    }
    return false;
}

/* The name's target is another one than this host knows. */
static int
meet_another(struct repo *r, struct target *t, int64_t made_s, struct err *e)
{
    if (made_s <= known_made(r, t) || is_another_target(r, t))
        return err_set(e, ERR_FORGED, 0,
                       "the place answers as another target of this repository than it "
                       "did before; check the URL and the mounts, or if that is right "
                       "so run `drtool target add %s`",
                       t->name);
    log_note("target %s was made anew on %s: what was known of the old one is forgotten",
             t->name, text_of_time(made_s));
    if (!r->write || r->as_found)
        return 0;
    if (state_target_new(r->state, t->name, e) < 0)
        return -1;
    return repo_keep_identity(r, t, made_s, e);
}

/* The target's id becomes what its header says, if that is ours. */
static int
read_header(struct repo *r, struct target *t, struct slice object, int64_t *made_s,
            struct err *e)
{
    uint8_t signer[ID_LEN];
    struct header h;
    struct slice body;

    if (signed_open(object, OBJECT_REPO, r->keys->repo_id, repo_signer, r, &h, signer,
                    &body, e)
        < 0)
        return -1;
    if (memcmp(signer, signer_root, ID_LEN) != 0
        || !record_copy(body, TAG_TARGET, t->id, ID_LEN))
        return err_set(e, ERR_FORGED, 0, "the repository header is malformed");
    if (r->write && h.must_write != 0)
        return err_set(e, ERR_UNSUPPORTED, 0,
                       "writing to it needs features (bits %08x) that this drtool does "
                       "not know; use a newer drtool",
                       h.must_write);
    *made_s = (int64_t)record_u64(body, TAG_CREATED);
    return 0;
}

int
repo_check_header(struct repo *r, struct target *t, struct slice object, struct err *e)
{
    AUTOBUF struct buf kept = BUF(64);
    int64_t made_s = 0;

    if (read_header(r, t, object, &made_s, e) < 0
        || state_about_get(r->state, t->name, "id", &kept, e) < 0)
        return -1;
    if (kept.len != ID_LEN)
        return repo_keep_identity(r, t, made_s, e);
    if (memcmp(kept.ptr, t->id, ID_LEN) != 0)
        return meet_another(r, t, made_s, e);
    int64_t known = known_made(r, t);
    /* Its header was mended by a host that did not know when it was made. */
    bool newer = known == INT64_MAX || made_s > known;
    return newer ? repo_keep_identity(r, t, made_s, e) : 0;
}

int
repo_take_replaced(struct repo *r, struct target *t, struct err *e)
{
    AUTOBUF struct buf object = BUF(REPO_OBJECT_MAX);
    struct range range = { .key = "drt.repo" };
    struct err not_ours = { 0 };
    int64_t made_s = 0;

    if (target_state(r->fleet, t) != TARGET_FOREIGN
        || storage_get(t->store, &range, &object, &not_ours) < 0
        || read_header(r, t, buf_slice(&object), &made_s, &not_ours) < 0)
        return 0;
    if (is_another_target(r, t))
        return err_set(e, ERR_EXISTS, 0,
                       "the place is what is another target of the configuration; check "
                       "the URL and the mounts");
    if (conf_bring_up(r, t, e) < 0 || state_target_new(r->state, t->name, e) < 0
        || repo_keep_identity(r, t, made_s, e) < 0)
        return -1;
    return 1;
}
