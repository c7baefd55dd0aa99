/*
 * snapshot: one source at one moment, signed by its host and chained.
 *
 * The object is the commit record of a backup; its SHA-256 is the snapshot's
 * id. Bytes: drtool-format(5) SNAPSHOTS.
 */
#ifndef REPO_SNAPSHOT_H
#define REPO_SNAPSHOT_H

#include "base/clock.h"
#include "repo/manifest.h"

#define SNAPSHOT_MAX (1u << 20) /* bytes of the object */
#define RECORD_MAX 8192         /* of one of done/ or gone/ */
#define TAGS_MAX 32

enum snapshot_flag { SNAPSHOT_PARTIAL = 1 };

struct snapshot {
    /* From the name. */
    uint8_t id[32];
    char host_tag[17];
    uint64_t seq;
    /* From the body. */
    char *source, *kind, *host, *identity, *version;
    uint8_t host_id[ID_LEN];
    struct clock_time started, ended;
    struct manifest_root root;
    uint64_t flags;
    uint64_t issues; /* entries that are missing or not whole */
    uint64_t added;  /* bytes stored anew, per target */
    char *tags[TAGS_MAX];
    size_t tag_count;
    uint8_t previous[32];  /* this host's snapshot before; zero: none */
    uint8_t parent[32];    /* of the same source; zero: none */
    uint8_t replaces[32];  /* the one this is a successor of; zero: none */
    uint8_t conf_head[32]; /* newest conf/ record the host knew */
    struct buf facts;      /* what the source told of itself (source/facts.h) */
    struct buf config;     /* drtool.yaml without secrets */
};

void snapshot_release(struct snapshot *s);

/* Builds the object; `seed` is the host's. Fills s->id. */
void snapshot_format(const struct keys *k, const struct session *session,
                     struct snapshot *s, const uint8_t seed[SEED_LEN], struct buf *out);
/* Opens one whose signature was checked. ERR_DENIED without the metadata key. */
MUST_USE int snapshot_parse(const struct keys *k, struct slice header, struct slice body,
                            struct snapshot *out, struct err *e);

#endif
