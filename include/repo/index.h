/*
 * index: which chunk lies where, on this host's disk.
 *
 * Sorted runs of 40-byte records (16-byte id prefix, pack, place, lengths,
 * key), looked up with one pread per run by a fence of every hundredth
 * prefix; new records gather in memory and become a run when there are
 * 65,536. Runs of similar size are merged, so there are few. About 40 bytes
 * of disk per chunk and 0.1 of memory. It is an accelerator: losing it costs
 * reading the targets' index segments again.
 *
 * Nothing in its files is believed unchecked. Opening checks what is small (the
 * tables of packs and keys, the fence of each run), a look-up checks the block
 * it reads. What does not fit is an index_error(), which never says that the
 * repository is damaged; the folder is marked, does not open any more and is to
 * be made anew. Damage that a look-up meets is mended at once when somebody can
 * (index_on_damage): the runs are made anew and all numbers stay as they are.
 *
 * index_find() may be called from several threads while one other thread adds.
 * Only the holder of the folder's lock changes the folder.
 */
#ifndef REPO_INDEX_H
#define REPO_INDEX_H

#include "repo/pack.h"
#include "state/state.h"

#include <errno.h>

struct index;

/* The cause of an ERR_IO that means: a file of the local index is damaged. */
#define INDEX_DAMAGED ENOTRECOVERABLE
bool index_error(const struct err *e);

struct location {
    uint32_t pack; /* number in this index */
    uint32_t offset, stored, raw, counter;
    uint32_t key; /* number in this index */
    uint8_t encoding, kind;
};

/* `dir` is made when missing. Without `write` nothing is stored. */
MUST_USE int index_open(const char *dir, bool write, struct index **out, struct err *e);
void index_close(struct index *x);
DEFINE_CLEANUP(struct index, index_close)

/* 1 and where a live copy of the chunk is, 0 unknown, -1. `usable` (NULL: any)
 * tells which packs count. */
typedef bool index_usable_fn(void *arg, uint32_t pack);
MUST_USE int index_find(struct index *x, const struct chunk_id *id,
                        index_usable_fn *usable, void *arg, struct location *out,
                        struct err *e);

/* Is a pack with this directory known? 1 and its number, 0, -1. */
MUST_USE int index_known(struct index *x, const uint8_t name[32],
                         const struct directory *d, uint32_t *number, struct err *e);
/* Adds a pack's directory, unless this pack is known; *number is its number. */
MUST_USE int index_add(struct index *x, const uint8_t name[32], uint64_t size,
                       const struct directory *d, uint32_t *number, struct err *e);
/* Adds one chunk of the pack `number` (just begun, named later). */
MUST_USE int index_pack_begin(struct index *x, uint32_t *number, struct err *e);
MUST_USE int index_add_chunk(struct index *x, uint32_t pack, const struct chunk_record *c,
                             const struct chunk_key *key, struct err *e);
MUST_USE int index_pack_end(struct index *x, uint32_t number, const uint8_t name[32],
                            uint64_t size, struct err *e);

uint32_t index_packs(struct index *x); /* numbers are below this */
/* 1 and name and size of a pack, 0 for one that never ended, -1. */
MUST_USE int index_pack(struct index *x, uint32_t number, uint8_t name[32],
                        uint64_t *size, struct err *e);
MUST_USE int index_key(struct index *x, uint32_t number, struct chunk_key *out,
                       struct err *e);

/* Remembers an index segment with its packs' numbers (u32 each). */
MUST_USE int index_segment_add(struct index *x, const char *key, struct slice packs,
                               struct err *e);
MUST_USE int index_segment_get(struct index *x, const char *key, struct buf *packs,
                               struct err *e); /* 1, 0, -1 */
/* All that were flushed: the key, and the numbers. */
MUST_USE int index_segment_each(struct index *x, state_blob_fn *fn, void *arg,
                                struct err *e);

/* From here on nothing is stored; who holds the lock may let it go. */
void index_freeze(struct index *x);

/* Who can bring the runs again: `fn` is called when a look-up or a flush meets
 * damage, with the index held for it alone, and gives index_refill_pack() the
 * directory of every pack. It may call nothing else here. */
struct index_refill;
typedef int index_refill_fn(void *arg, struct index_refill *f, struct err *e);
void index_on_damage(struct index *x, index_refill_fn *fn, void *arg);
/* Packs that the index does not know by name are left out. */
MUST_USE int index_refill_pack(struct index_refill *f, const uint8_t name[32],
                               const struct directory *d, struct err *e);

/* Everything added so far survives from here on. */
MUST_USE int index_flush(struct index *x, struct err *e);

#endif
