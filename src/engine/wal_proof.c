#include "wal_proof.h"

#include "base/cancel.h"
#include "base/log.h"

#include "wal_names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
wal_prover_init(struct wal_prover *x, struct repo *r, const char stream[17])
{
    *x = (struct wal_prover){ .repo = r, .object = BUF(LOG_OBJECT_MAX) };
    memcpy(x->stream, stream, sizeof x->stream);
    chunk_tools_init(&x->tools, 1);
}

void
wal_prover_release(struct wal_prover *x)
{
    wal_prover_renew(x);
    chunk_tools_release(&x->tools);
    buf_release(&x->object);
}

void
wal_prover_renew(struct wal_prover *x)
{
    log_list_release(&x->list);
    mem_free(TAKE(x->listed));
}

static const struct log_list *
near(struct wal_prover *x, const struct wal_file *f, const char *pos)
{
    AUTOFREE char *prefix = mem_printf("log/%s/%08x/%.*s", x->stream, f->name.timeline,
                                       WAL_PLACE_DIGITS - 1, pos);
    struct err none = { 0 };

    if (x->listed && strcmp(x->listed, prefix) == 0)
        return &x->list;
    wal_prover_renew(x);
    if (log_list(x->repo, prefix, &x->list, &none) < 0)
        return NULL;
    x->listed = TAKE(prefix);
    return &x->list;
}

/* Gets the object from one target, and all that our keys let us check of it. */
static int
get_checked(struct wal_prover *x, struct target *t, const char *key,
            const struct wal_file *f, struct log_info *info, struct err *e)
{
    struct range range = { .key = key };

    buf_clear(&x->object);
    if (storage_get(t->store, &range, &x->object, e) < 0)
        return -1;
    int rc = log_check(x->repo, key, buf_slice(&x->object), &x->tools, info, e);
    if (rc == 0
        && (strcmp(info->file, f->text) != 0
            || strtoull(info->system, NULL, 10) != f->system))
        rc = err_set(e, ERR_FORGED, 0, "it is %s of the system %s", info->file,
                     info->system);
    return rc;
}

static int
look_at(struct wal_prover *x, const struct log_row *row, const struct wal_file *f,
        const uint8_t content[32], struct wal_proof *out, struct err *e)
{
    struct fleet *fleet = repo_fleet(x->repo);
    bool known = false; /* what the object holds */

    for (size_t i = 0; i < fleet_count(fleet); i++) {
        struct target *t = fleet_target(fleet, i);
        struct log_info info;
        struct err bad = { 0 };
        if (!(row->have >> i & 1) || (known && out->have[i]))
            continue;
        if (cancel_check(e) < 0)
            return -1;
        if (get_checked(x, t, row->key, f, &info, &bad) < 0) {
            log_warn("target %s: %s: %s", t->name, row->key, err_text(&bad));
            continue;
        }
        known = true;
        if (memcmp(info.content, content, 32) == 0)
            out->have[i] = true;
        else
            out->other = true;
    }
    return 0;
}

int
wal_prove(struct wal_prover *x, const struct wal_file *f, const char *pos,
          uint8_t sha[32], bool *hashed, const char *own, struct wal_proof *out,
          struct err *e)
{
    const struct log_list *l = near(x, f, pos);
    uint8_t content[32];

    *out = (struct wal_proof){ .proves = l && log_list_proves(x->repo, l) };
    for (size_t i = 0; l && i < l->count; i++) {
        const struct log_row *row = &l->rows[i];
        if (strcmp(row->name.pos, pos) != 0)
            continue;
        if (strcmp(row->key, own) == 0) {
            for (size_t k = 0; k < FLEET_TARGETS_MAX; k++)
                out->have[k] |= row->have >> k & 1;
            continue;
        }
        if (!*hashed && wal_file_hash(f, sha, e) < 0)
            return -1;
        *hashed = true;
        log_content(repo_keys(x->repo), sha, content);
        if (look_at(x, row, f, content, out, e) < 0)
            return -1;
    }
    return 0;
}
