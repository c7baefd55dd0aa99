#include "base/log.h"

#include "impl.h"

#include <stdlib.h>
#include <string.h>

#define ASKED_MAX 64 /* lost packs that one run looks for again */

static int
take_name(void *arg, struct slice name, struct slice value, struct err *e)
{
    (void)value;
    if (name.len != 32)
        return err_set(e, ERR_CORRUPT, 0, "the local state is damaged");
    buf_put_slice(arg, name);
    return 0;
}

static int
by_name(const void *a, const void *b)
{
    return memcmp(a, b, 32);
}

/* Looks for the first ones again: what is back is forgotten, and of more than one
 * run can ask for, those asked go to the end. The others are moved to `lost`. */
static int
look_again(struct repo *r, struct slice names, struct buf *lost, struct err *e)
{
    size_t asked = names.len < 32 * ASKED_MAX ? names.len : 32 * ASKED_MAX;

    for (size_t i = 0; i + 32 <= names.len; i += 32) {
        struct slice name = slice_sub(names, i, 32);
        char key[PACK_KEY_LEN + 1];
        pack_key(key, name.ptr);
        bool back = r->write && i < asked && fleet_holds(r->fleet, key);
        if (!back)
            buf_put_slice(lost, name);
        else
            log_info("%s was lost and is back", key);
        if (back && state_lost_drop(r->state, name, e) < 0)
            return -1;
        if (!back && r->write && i < asked && asked < names.len
            && state_lost_put(r->state, name, e) < 0)
            return -1;
    }
    return 0;
}

int
repo_load_lost(struct repo *r, struct err *e)
{
    AUTOBUF struct buf names = BUF((size_t)1 << 30);

    buf_release(&r->lost);
    r->lost = BUF((size_t)1 << 30);
    if (state_lost_list(r->state, take_name, &names, e) < 0
        || look_again(r, buf_slice(&names), &r->lost, e) < 0)
        return -1;
    if (r->lost.len > 0)
        qsort(r->lost.ptr, r->lost.len / 32, 32, by_name);
    return 0;
}

bool
repo_lost(const struct repo *r, const uint8_t name[32])
{
    return r->lost.len > 0 && bsearch(name, r->lost.ptr, r->lost.len / 32, 32, by_name);
}

int
repo_note_lost(struct repo *r, const uint8_t name[32], struct err *e)
{
    return state_lost_put(r->state, slice_of(name, 32), e);
}
