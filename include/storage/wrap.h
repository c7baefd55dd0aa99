/*
 * wrap: storages round a storage. Each owns its inner one and closes it.
 *
 * limit   gives puts and gets a pace
 * retry   repeats what err_retryable() allows, with jitter and a budget
 * trace   counts every call, and logs it at debug level
 * fault   breaks calls on purpose: tests, simulation and drills use the same
 */
#ifndef STORAGE_WRAP_H
#define STORAGE_WRAP_H

#include "base/clock.h"
#include "base/retry.h"
#include "storage/storage.h"

struct storage *storage_retry(struct storage *inner, const struct retry_options *o);
/* The bodies of all puts, and of all gets, share a pace each (NULL: unlimited),
 * which belong to the wrapper from now on. One that the caller brings is kept.
 * What else is said is not counted. */
struct storage *storage_limit(struct storage *inner, struct pace *upload,
                              struct pace *download);
/* What went over a storage: counted by storage_trace(), read by anybody. Only puts
 * and gets that ended well count with their bytes and their time. */
struct traffic {
    atomic_ullong calls, failures, put_bytes, put_ms, get_bytes, get_ms;
};
/* `traffic` may be NULL; it outlives the storage. */
struct storage *storage_trace(struct storage *inner, const char *name,
                              struct traffic *traffic);

enum fault_mode {
    FAULT_REFUSE,   /* ERR_UNAVAIL before anything is done */
    FAULT_DENY,     /* ERR_DENIED */
    FAULT_LOSE_ACK, /* done, but the answer is lost: ERR_UNAVAIL */
    FAULT_GARBLE,   /* a get answers with one bit flipped */
    FAULT_CUT,      /* a get answers ERR_CORRUPT; a put stores nothing, a listing tells
                     * one object, a removal does the first half: ERR_UNAVAIL */
    FAULT_MISSING,  /* ERR_NOT_FOUND */
    FAULT_DIE,      /* _exit(137) */
};

enum fault_call {
    FAULT_ON_PUT = 1,
    FAULT_ON_GET = 2,
    FAULT_ON_HEAD = 4,
    FAULT_ON_LIST = 8,
    FAULT_ON_REMOVE = 16,
    FAULT_ON_ALL = 31,
};

struct fault_plan {
    enum fault_mode mode;
    unsigned calls;     /* which kinds of call count; 0: all */
    unsigned at;        /* the first such call that is broken, from 1; 0: none */
    unsigned count;     /* how many from there on; UINT_MAX: for ever */
    const char *prefix; /* only keys that begin so; NULL: all */
};

struct storage *storage_fault(struct storage *inner, const struct fault_plan *plan);
/* Of a storage made by storage_fault(): another plan (from now on counted
 * anew), the calls seen and the calls broken so far. */
void storage_fault_plan(struct storage *s, const struct fault_plan *plan);
unsigned storage_fault_calls(const struct storage *s);
unsigned storage_fault_hits(const struct storage *s);

#endif
