/*
 * pipeline: from raw chunks to packs, and from entries to the manifest.
 *
 * The reader hands over items in order; workers take the chunks among them;
 * the packer takes all of them in order again. Memory: blocks of raw bytes and
 * buffers for sealed ones, taken once: about 30 MiB, or what the options say.
 */
#ifndef ENGINE_PIPELINE_H
#define ENGINE_PIPELINE_H

#include "engine/backup.h"

#include <pthread.h>

#define BLOCK_SIZE ((size_t)2 << 20)
#define BLOCKS 6 /* of raw bytes, and buffers for sealed ones: the usual number */
#define SEALED_BUFFERS 8
#define BUFFERS_MAX 64
#define BUNDLE_WAIT_MAX 16384 /* entries behind an open bundle */
#define LINKS_MAX 16384       /* link groups whose content is remembered */

/* A buffer of raw bytes that several chunks may share. */
struct block {
    uint8_t *data;
    atomic_int uses;
};

/* An entry on its way to the manifest, with copies of all its slices. */
struct held {
    struct held *next;
    struct entry entry;
    int64_t bundle;     /* its content lies in this bundle; -1: it does not */
    uint32_t offset;    /* there */
    bool takes_extents; /* of the chunks that came just before */
    bool takes_link;    /* the content of its link group */
    bool kept;          /* as in the parent: no other entry takes its content */
    uint8_t bytes[];
};

/* One chunk on its way. */
struct piece {
    struct slice raw;
    uint32_t counter;
    struct chunk_id id;
    struct location known; /* when `hit` */
    bool hit;
    struct chunk_record record;
    const uint8_t *sealed; /* in the item's buffer, unless `hit` */
};

enum item_type { ITEM_ENTRIES, ITEM_CHUNKS, ITEM_HOLE, ITEM_RESET, ITEM_END };

/* Small chunks of a file that follow each other go together: to hand something from
 * thread to thread costs as much as to seal 16 KiB. */
#define PIECES_MAX 16
#define PIECES_BYTES ((size_t)256 << 10)

struct item {
    enum item_type type;
    struct held *first; /* ITEM_ENTRIES */
    uint64_t hole;      /* ITEM_HOLE */
    /* ITEM_CHUNKS */
    enum chunk_kind kind;
    int64_t bundle; /* of KIND_BUNDLE, a single chunk: its number */
    struct block *block;
    bool store; /* do not compress */
    struct piece pieces[PIECES_MAX];
    size_t piece_count, raw_bytes;
    uint8_t *sealed; /* from the pool, or NULL */
    struct err err;
    bool done; /* under the pipeline's lock */
};

struct pipeline;

struct pipeline_options {
    struct repo *repo;
    const struct session *session;
    unsigned threads;
    uint64_t memory;
    bool dry_run;
    bool unordered; /* entries come in any order */
    struct backup_progress *progress;
};

/* What could not be started whole is in *out too, for pipeline_free(). */
MUST_USE int pipeline_start(const struct pipeline_options *o, struct pipeline **out,
                            struct err *e);

/* The reader's side. All fail with -1 once any stage has failed. */
struct block *pipeline_block(struct pipeline *p); /* NULL: failed */
void block_release(struct pipeline *p, struct block *b);
MUST_USE int pipeline_chunk(struct pipeline *p, enum chunk_kind kind, int64_t bundle,
                            struct block *b, struct slice raw, bool store);
MUST_USE int pipeline_hole(struct pipeline *p, uint64_t len);
MUST_USE int pipeline_reset(struct pipeline *p); /* forget the file's chunks so far */
/* Copies the entry. Flags as in struct held. */
struct held *held_new(const struct entry *en);
MUST_USE int pipeline_entry(struct pipeline *p, struct held *h);

/* Ends the stages. 0 with the manifest's root and the packs used, or the first
 * error of any stage. */
MUST_USE int pipeline_finish(struct pipeline *p, struct manifest_root *root,
                             struct buf *packs, struct err *e);
/* Ends the stages where they are; `e` is the first error of any of them, or
 * CANCELLED when none had failed. Only pipeline_free() may follow. */
void pipeline_stop(struct pipeline *p, struct err *e);
/* Marks a pack that a kept entry uses. The reader's thread. */
void pipeline_use_pack(struct pipeline *p, uint32_t pack);
void pipeline_free(struct pipeline *p);
DEFINE_CLEANUP(struct pipeline, pipeline_free)

#endif
