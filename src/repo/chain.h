/*
 * chain: the known configuration records (chain.c), and how they are learnt from the
 * targets and given to them (follow.c). drtool-format(5) CONFIGURATION RECORDS.
 */
#ifndef REPO_CHAIN_H
#define REPO_CHAIN_H

#include "impl.h"

#define KEPT_MAX ((size_t)64 << 20)
#define CONF_KEY_LEN (5 + 10 + 1 + 64)

/* A root-signed record. They are kept sorted by number, then hash, as their names
 * are. */
struct conf_record {
    uint64_t seq;
    uint8_t hash[32];
    uint8_t previous[32]; /* not in number 0 */
    bool named;           /* by another record */
    struct buf object, plain;
};

void chain_name_of(char key[CONF_KEY_LEN + 1], uint64_t seq, const uint8_t hash[32]);
/* "conf/<seq 10>-<sha256>"; false when it is none. */
bool chain_parse_name(const char *key, uint64_t *seq, uint8_t hash[32]);
struct conf_record *chain_find(const struct repo *r, uint64_t seq,
                               const uint8_t hash[32]); /* NULL: not known */

/* Takes what is kept locally, appended to `kept`: a record with the objects, tag 1
 * each. */
MUST_USE int chain_take_kept(struct repo *r, struct buf *kept, struct err *e);
/* Makes of the records what follows from them. False when one names another that
 * is not there; `told` says so to people. */
bool chain_settle(struct repo *r, bool told);
/* Of that the hosts alone, and who of them is revoked. */
void chain_settle_hosts(struct repo *r);

#endif
