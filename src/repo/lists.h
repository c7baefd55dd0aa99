/*
 * lists: what a target lists below several prefixes, asked for at the same time.
 *
 * Far away each question takes its round trip, and a run begins and ends with a dozen
 * of them. Only those whose order does not matter may be asked together.
 */
#ifndef REPO_LISTS_H
#define REPO_LISTS_H

#include "repo/repo.h"

struct kept_list {
    const char *prefix;
    struct kept_object {
        char key[STORAGE_KEY_MAX + 1];
        uint64_t size;
    } * objects;
    size_t count, cap;
    struct err error; /* why it ended too early */
    struct target *target;
    int64_t asked_ms; /* a moment of clock_boot_ms() */
};

/* Fills them all; each knows for itself whether that went well. */
void lists_ask(struct target *t, struct kept_list *lists, size_t count);
/* Begins to fill one while the caller asks for something else. NULL where that is no
 * gain: near, or without a thread to be had. lists_end() waits for it. */
struct early_list;
struct early_list *lists_begin(struct target *t, const char *prefix);
struct kept_list *lists_end(struct early_list *x); /* for lists_free(); NULL for NULL */
void lists_free(struct kept_list *l);
/* Calls `fn` as storage_list() would have, key and size only; then tells the error. */
MUST_USE int lists_each(const struct kept_list *l, storage_list_fn *fn, void *arg,
                        struct err *e);
void lists_release(struct kept_list *lists, size_t count);

/* Brings small objects into the local cache, several at a time, for who will ask for
 * one after the other. What fails is left to him. */
void lists_fetch(struct repo *r, struct target *t, const struct kept_list *l,
                 uint64_t size_max);

/* Takes what the target lists below gc/ for what is condemned there from now on, as
 * repo_load_gc() does. */
MUST_USE int repo_take_gc(struct repo *r, struct target *t, size_t index,
                          const struct kept_list *gc, struct err *e);

#endif
