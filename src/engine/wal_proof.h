/*
 * wal_proof: which targets hold a file of the log, by what they give and list.
 *
 * What others stored is read whole and checked: that something of that name is there
 * proves nothing. What this host stored under a name with its hash, and the target took,
 * is there when it is listed, as packs are. One thread.
 */
#ifndef ENGINE_WAL_PROOF_H
#define ENGINE_WAL_PROOF_H

#include "repo/log.h"

#include "wal_file.h"

struct wal_prover {
    struct repo *repo;
    char stream[17];
    char *listed;         /* the prefix of `list`; NULL: of nothing */
    struct log_list list; /* sixteen segments, so that a batch asks seldom */
    struct chunk_tools tools;
    struct buf object;
};

void wal_prover_init(struct wal_prover *x, struct repo *r, const char stream[17]);
void wal_prover_release(struct wal_prover *x);
/* What was listed is old. */
void wal_prover_renew(struct wal_prover *x);

struct wal_proof {
    bool have[FLEET_TARGETS_MAX]; /* this very file */
    bool other;                   /* another file is stored under its name */
    bool
        proves; /* so many targets answered that one on the quorum would have been seen */
};

/* `sha` is that of the file once *hashed, and filled when it is needed; `own` the key of
 * what this host stored (may be ""). */
MUST_USE int wal_prove(struct wal_prover *x, const struct wal_file *f, const char *pos,
                       uint8_t sha[32], bool *hashed, const char *own,
                       struct wal_proof *out, struct err *e);

#endif
