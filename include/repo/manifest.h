/*
 * manifest: all entries of a snapshot as one sorted map, kept as a prolly tree.
 *
 * Leaves of about 64 KiB hold front-coded entries in entry_order(); a leaf
 * ends where a keyed hash of its last path says so, so the same entries give
 * the same nodes whatever else the tree holds, and two manifests differ only
 * where their node ids differ. Inner nodes hold the first path of each child.
 * Reading and writing keep one node per level in memory. One thread each.
 * Bytes: drtool-format(5) MANIFEST.
 */
#ifndef REPO_MANIFEST_H
#define REPO_MANIFEST_H

#include "repo/chunk.h"

#define NODE_MAX (1u << 20) /* plain bytes of a node, both trees */
#define TREE_LEVELS_MAX 12
#define XATTRS_INLINE 4096 /* more get a chunk of their own */

/* Store and load metadata chunks. */
typedef int node_store_fn(void *arg, enum chunk_kind kind, struct slice plain,
                          struct chunk_id *id, struct err *e);
typedef int node_load_fn(void *arg, enum chunk_kind kind, const struct chunk_id *id,
                         struct buf *out, struct err *e);

struct manifest_root {
    struct chunk_id id;
    uint8_t level;
    uint64_t entries;
    uint64_t bytes; /* sum of file sizes */
};

struct manifest_writer;
struct manifest_writer *manifest_writer_new(const struct keys *k, node_store_fn *store,
                                            void *arg);
/* From now on entries may come in any order: they wait in a file in `dir` until all
 * are there. */
MUST_USE int manifest_writer_sort(struct manifest_writer *w, const char *dir,
                                  struct err *e);
void manifest_writer_free(struct manifest_writer *w);
DEFINE_CLEANUP(struct manifest_writer, manifest_writer_free)
/* In entry_order(), each path once; when they are sorted first, ERR_EXISTS for one that
 * came before. */
MUST_USE int manifest_add(struct manifest_writer *w, const struct entry *en,
                          struct err *e);
MUST_USE int manifest_finish(struct manifest_writer *w, struct manifest_root *out,
                             struct err *e);

struct manifest_reader;
struct manifest_reader *manifest_reader_new(const struct manifest_root *root,
                                            node_load_fn *load, void *arg);
void manifest_reader_free(struct manifest_reader *r);
DEFINE_CLEANUP(struct manifest_reader, manifest_reader_free)
/* Goes to the first entry not before `path` (empty: the first of all). */
MUST_USE int manifest_seek(struct manifest_reader *r, struct slice path, struct err *e);
/* Goes behind the entry `path` and all below it. */
MUST_USE int manifest_skip(struct manifest_reader *r, struct slice path, struct err *e);
/* Two readers that go in step: passes by what both have next as long as it is the same
 * nodes, which are not loaded. */
MUST_USE int manifest_skip_same(struct manifest_reader *a, struct manifest_reader *b,
                                struct err *e);
/* 1 and the next entry, 0 at the end, -1. Slices live until the next call. */
MUST_USE int manifest_next(struct manifest_reader *r, struct entry *out, struct err *e);

/* Extent trees: the extents of one big file. */
struct extent_writer;
struct extent_writer *extent_writer_new(node_store_fn *store, void *arg);
void extent_writer_free(struct extent_writer *w);
DEFINE_CLEANUP(struct extent_writer, extent_writer_free)
MUST_USE int extent_add(struct extent_writer *w, const struct extent *x, struct err *e);
MUST_USE int extent_finish(struct extent_writer *w, struct chunk_id *root, struct err *e);

/* Calls fn for each extent of an entry, inline or in its tree, with the
 * offset in the file. */
typedef int extent_fn(void *arg, uint64_t at, const struct extent *x, struct err *e);
MUST_USE int extent_each(const struct entry *en, node_load_fn *load, void *load_arg,
                         extent_fn *fn, void *arg, struct err *e);
/* The nodes of an entry's extent tree, for those who care where they lie. */
typedef int extent_node_fn(void *arg, const struct chunk_id *id, struct err *e);
MUST_USE int extent_each_node(const struct entry *en, node_load_fn *load, void *load_arg,
                              extent_node_fn *node, extent_fn *fn, void *arg,
                              struct err *e);

#endif
