/*
 * log: a file of a database's log, sealed as one object.
 *
 *     header 64 | pieces | locked record | its length u32 | signer 16 | signature 64
 *
 * The pieces are chunks of the data class, so a writer's key makes such objects and
 * cannot read them; the record says whose log it is, which file, and what its bytes
 * hash to, and any key of the repository opens it. A file may be stored more than once
 * under one name, with other bytes each time: `content` tells whether it is the same.
 * Bytes: drtool-format(5) LOGS. One thread a writer.
 */
#ifndef REPO_LOG_H
#define REPO_LOG_H

#include "base/clock.h"
#include "repo/repo.h"

#define LOG_PIECE (1u << 20)              /* plain bytes */
#define LOG_FILE_MAX ((uint64_t)64 << 20) /* plain bytes */
#define LOG_OBJECT_MAX ((size_t)72 << 20)
#define LOG_TAIL 16384 /* the last bytes of an object, with all of its record */
#define LOG_POS_MAX 40
#define LOG_KEY_MAX (4 + 16 + 1 + 8 + 1 + LOG_POS_MAX + 1 + 64)

enum log_kind { LOG_POSTGRES = 1 }; /* part of the format */

/* "log/<stream 16>/<timeline 8>/<pos>-<sha256 64>" */
struct log_name {
    char stream[17];
    uint32_t timeline;
    char pos[LOG_POS_MAX + 1]; /* of [0-9a-z.] */
    uint8_t sha256[32];
};
void log_key(char out[LOG_KEY_MAX + 1], const struct log_name *n);
bool log_name(struct log_name *out, const char *key);

/* A stream is all of one database system's log, whoever stores it. */
void log_stream(const struct keys *k, enum log_kind kind, const char *system,
                char out[17]);

struct log_info {
    enum log_kind kind;
    char system[33];        /* who wrote the log, as a number or another identifier */
    char file[65];          /* the file's own name */
    uint64_t size;          /* bytes */
    uint64_t unit;          /* bytes of a segment; 0: it is none */
    struct clock_time time; /* when the file was written last, by its host */
    uint8_t content[32];    /* keyed hash of all its bytes */
};

/* Makes objects, piece by piece, one after the other. */
struct log_writer {
    const struct keys *keys;
    struct chunk_tools tools;
    struct session *session;
    uint32_t counter; /* of the session: another for each piece */
    struct buf object, pieces;
    struct sha256 *hash;
    uint64_t size;
    uint8_t sha256[32]; /* of the file, when it has ended */
};
void log_writer_init(struct log_writer *w, struct repo *r);
void log_writer_release(struct log_writer *w);
void log_begin(struct log_writer *w);
void log_add(struct log_writer *w, struct slice piece); /* at most LOG_PIECE */
/* Fills size and content of `info`. The object is w->object until the next begins. */
void log_end(struct log_writer *w, struct repo *r, struct log_info *info);

/* The keyed hash that stands in a log_info, from a SHA-256 of the bytes. */
void log_content(const struct keys *k, const uint8_t sha[32], uint8_t out[32]);

/* From the first HEADER_LEN bytes and at least the last LOG_TAIL (or all) of an object:
 * what it holds. The signature has not been looked at. */
MUST_USE int log_peek(const struct keys *k, struct slice head, struct slice tail,
                      struct log_info *out, struct err *e);

/* Gets an object whole from any target; its bytes fit its name. */
MUST_USE int log_get(struct repo *r, const char *key, struct buf *out, struct err *e);

/* Checks all that our keys let us: the hash in its name, the signature, the record, and
 * with a key to data its pieces. */
MUST_USE int log_check(struct repo *r, const char *key, struct slice object,
                       struct chunk_tools *t, struct log_info *out, struct err *e);

/* Checks what needs no key to data: the signature, and the record. */
MUST_USE int log_look(struct repo *r, struct slice object, struct log_info *out,
                      struct err *e);

/* Checks all of an object: signature, seals, hash. fn gets the plain pieces in order,
 * and may be NULL. */
typedef int log_piece_fn(void *arg, struct slice plain, struct err *e);
MUST_USE int log_open(struct repo *r, struct slice object, struct chunk_tools *t,
                      struct log_info *out, log_piece_fn *fn, void *arg, struct err *e);

/* Objects of logs as the targets list them. */
struct log_row {
    char key[LOG_KEY_MAX + 1];
    struct log_name name;
    uint64_t size;
    uint32_t have; /* bit i: target i */
};
struct log_list {
    struct log_row *rows; /* by key */
    size_t count;
    uint32_t asked; /* targets that answered */
    struct err why; /* of one that did not */
};
void log_list_release(struct log_list *l);
/* All that begin with `prefix`, from every target that is up, at once: for a few. ERR
 * only when no target is up. */
MUST_USE int log_list(struct repo *r, const char *prefix, struct log_list *out,
                      struct err *e);
/* Would one that enough targets hold have been seen? */
bool log_list_proves(struct repo *r, const struct log_list *l);

#endif
