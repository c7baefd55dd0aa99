#include "engine/sync.h"
#include "engine/verify.h"

/* What was bad has just been read, and most of it need not be read again. */
static unsigned
level_again(const struct verify_options *o, const struct verify_target *first)
{
    bool unsure = !first->asked || first->bad_packs > 0;

    return o->level > 2 && !unsure ? 2 : o->level;
}

static uint64_t
less(uint64_t a, uint64_t b)
{
    return a < b ? 0 : a - b;
}

/* What is left of one target. */
static int
look_again(struct repo *r, const struct verify_options *o, struct verify_target *t,
           struct verify_result *result, struct err *e)
{
    struct verify_options again = *o;
    struct verify_result left;

    again.heal = false;
    again.target = t->name;
    again.level = level_again(o, t);
    if (engine_verify(r, &again, &left, e) < 0)
        return -1;
    result->damaged_files += left.damaged_files;
    result->unhealed += left.unhealed;
    result->unasked += left.unasked;
    if (!t->asked)
        *t = left.targets[0];
    else
        t->healed = less(t->missing + t->damaged,
                         left.targets[0].missing + left.targets[0].damaged);
    t->asked = left.targets[0].asked;
    return 0;
}

int
engine_heal(struct repo *r, const struct verify_options *o, void (*anew)(void *arg),
            struct verify_result *result, struct err *e)
{
    struct sync_options so = { .to = o->target };
    struct sync_result synced;
    int rc = 0;

    if (engine_verify(r, o, result, e) < 0 || engine_sync(r, &so, &synced, e) < 0
        || repo_load_index(r, e) < 0)
        return -1;
    if (anew)
        anew(o->arg);
    result->damaged_files = result->unhealed = result->unasked = 0;
    for (size_t i = 0; i < result->target_count && rc == 0; i++)
        rc = look_again(r, o, &result->targets[i], result, e);
    return rc;
}
