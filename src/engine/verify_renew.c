#include "base/log.h"

#include "renew.h"
#include "verify_impl.h"

/* A mark may name a pack that a snapshot needs, which was just being completed; then it
 * stays. When such a pack is lost it cannot come back under its name, so its chunks are
 * stored anew under another one, which the sync behind brings to all. */
int
verify_renew(struct verify *v, struct err *e)
{
    bool any = false;

    for (uint32_t n = 0; n < v->pack_count && v->options->heal; n++) {
        AUTOBUF struct buf new = BUF(32);
        uint8_t name[32];
        char key[PACK_KEY_LEN + 1];
        uint64_t size;
        struct err one = { 0 };
        if (!verify_bit(v->needed, n)
            || index_pack(repo_index(v->repo), n, name, &size, &one) != 1)
            continue;
        pack_key(key, name);
        int rc = renew_pack(v->repo, name, &new, &one);
        if (rc < 0 && (one.kind == ERR_CANCELLED || one.kind == ERR_IO)) {
            *e = one;
            return -1;
        }
        if (rc == 1)
            log_note("%s is lost where a prune had marked it, and a snapshot there needs "
                     "it: its chunks are stored anew",
                     key);
        else
            log_warn("%s is lost where a prune had marked it: %s", key,
                     rc == 0 ? "no target has it" : err_text(&one));
        any |= rc == 1;
    }
    return any ? repo_publish_index(v->repo, e) : 0;
}
