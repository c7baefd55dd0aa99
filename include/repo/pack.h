/*
 * pack: an object that holds many sealed chunks.
 *
 *     header 64 | salt 16 | chunks | padding | sealed directory | footer 48
 *
 * The writer streams into a spool file through aligned windows (O_DIRECT where
 * the file system has it), hashing as it goes: memory does not depend on the size
 * of a pack. One thread at a time, and a scribe's. Bytes: drtool-format(5) PACKS.
 */
#ifndef REPO_PACK_H
#define REPO_PACK_H

#include "repo/chunk.h"

#define PACK_TARGET (32u << 20) /* a pack is closed when it is larger */
#define PACK_MAX (128u << 20)
#define PACK_BODY (HEADER_LEN + 16) /* where the chunks begin */
#define PACK_FOOTER 48
#define PACK_CHUNKS_MAX (1u << 20)
#define PACK_DIRECTORY_MAX (PACK_CHUNKS_MAX * (size_t)CHUNK_RECORD_LEN + 65536)

struct pack_writer;

/* Threads that write for the writers of other ones, with 9 MiB of windows. NULL when
 * none can be started; writers without one do it themselves. */
struct pack_scribe;
struct pack_scribe *pack_scribe_new(void);
void pack_scribe_free(struct pack_scribe *s); /* after its writers */

/* A finished pack: a file in the spool that the caller passes on or unlinks. */
struct pack_done {
    char *path; /* owned by who takes it */
    uint8_t name[32];
    uint64_t size;
    struct buf directory; /* plain, without padding; owned by who takes it */
};

MUST_USE int pack_begin(const struct keys *k, enum chunk_class class,
                        const uint8_t session[ID_LEN], struct random *rnd,
                        struct pack_scribe *scribe, char *path, struct pack_writer **out,
                        struct err *e); /* takes path; scribe: or NULL */
/* Appends one sealed chunk; sets rec->offset and rec->key. */
MUST_USE int pack_add(struct pack_writer *w, struct chunk_record *rec,
                      const struct chunk_key *key, struct slice sealed, struct err *e);
uint64_t pack_size(const struct pack_writer *w);
unsigned pack_count(const struct pack_writer *w);
/* Pads (Padme, at least 16 KiB, when `pad`), seals the directory, syncs. */
MUST_USE int pack_finish(struct pack_writer *w, bool pad, struct pack_done *out,
                         struct err *e);
void pack_abort(struct pack_writer *w);
DEFINE_CLEANUP(struct pack_writer, pack_abort)

/* A parsed directory; borrows from the plain bytes. */
struct directory {
    struct slice plain; /* exactly the directory, padding cut off */
    uint32_t key_count, chunk_count;
    struct slice keys, chunks;
};
/* Checks lengths, offsets and order; `size` is the pack's. */
MUST_USE int directory_parse(struct slice plain, uint64_t size, struct directory *out,
                             struct err *e);
void directory_key(const struct directory *d, uint32_t i, struct chunk_key *out);
void directory_chunk(const struct directory *d, uint32_t i, struct chunk_record *out);

/* Opens the directory of a pack: `head` its first PACK_BODY bytes, `tail` the
 * sealed directory and the footer, as pack_tail() says. Appends the plain. */
MUST_USE int pack_tail(struct slice footer, uint64_t size, uint64_t *directory_at,
                       struct err *e);
MUST_USE int pack_open_directory(const struct keys *k, struct slice head,
                                 struct slice tail, uint64_t size, struct buf *plain,
                                 struct directory *out, struct err *e);

#endif
