/*
 * err: what went wrong, as a value that the caller owns.
 *
 * Fallible functions return 0 or -1 and take a `struct err *e` last; `e` is
 * untouched on success, so calls chain with ||. Who knows the cause calls
 * err_set(), who knows the purpose calls err_in(); only cli prints.
 * Texts are lower case, without full stop, name the object and the place and
 * say what the person can do where we know it. Secrets never go into one.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stdbool.h>

#define MUST_USE __attribute__((warn_unused_result))
#define PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

/* How a run ended: X(name, exit status, meaning), worst first, so that of
 * several the first one in this list wins. drtool(1) EXIT STATUS, JSON and
 * JUnit come from it. The drill statuses exclude all others. */
#define STATUSES(X)                                                            \
    X(INTERRUPTED, 130, "interrupted by a signal")                             \
    X(STOP, 126, "wal fetch: what is stored cannot be read; the server must not go on") \
    X(ROLLBACK, 11, "rollback, gap or forgery found")                          \
    X(DAMAGED, 6, "stored data is damaged")                                    \
    X(NO_QUORUM, 5, "quorum not met; the work is kept and sent by the next run") \
    X(FAILED, 1, "failed")                                                     \
    X(DENIED, 7, "credentials or permissions were refused")                    \
    X(AWAY, 8, "a target or database did not answer")                          \
    X(SOURCE, 10, "a source is missing, empty, shrunk or not the one it was")  \
    X(BUSY, 9, "another run is active on this host")                           \
    X(DEGRADED, 4, "degraded: quorum met, but not all targets")                \
    X(PARTIAL, 3, "done, but some files could not be read or set")             \
    X(USAGE, 2, "the command line or the configuration is wrong")              \
    X(DRILL_FAILED, 20, "drill: the recovery does not work")                   \
    X(DRILL_MISSED, 21, "drill: an objective was missed")                      \
    X(DRILL_ERROR, 22, "drill: it could not run")                              \
    X(DRILL_LEFT, 23, "drill: it left something behind")                       \
    X(OK, 0, "done")

enum status {
#define X(name, number, meaning) STATUS_##name,
    STATUSES(X)
#undef X
    STATUS_COUNT
};

int status_number(enum status s); /* the exit status */
const char *status_name(enum status s); /* "no-quorum" */
const char *status_meaning(enum status s);
enum status status_worse(enum status a, enum status b);

/* Kinds of error: X(name, status it leads to, is another try sensible). */
#define ERR_KINDS(X)                                                           \
    X(USAGE, USAGE, false)        /* the person must change the command or file */ \
    X(NOT_FOUND, FAILED, false)   /* the thing asked for does not exist */     \
    X(CORRUPT, DAMAGED, false)    /* stored data failed its check */           \
    X(FORGED, ROLLBACK, false)    /* a signature, chain or identity is wrong */ \
    X(DENIED, DENIED, false)      /* credentials or permissions were refused */ \
    X(UNAVAIL, AWAY, true)        /* a target did not answer */                \
    X(THROTTLED, AWAY, true)      /* a target asks for fewer requests */       \
    X(NO_TARGET, AWAY, false)     /* the bucket of a target is not there */    \
    X(FULL, FAILED, false)        /* no space left at a target or locally */   \
    X(IO, FAILED, false)          /* the operating system reported an error */ \
    X(CONFLICT, BUSY, false)      /* another run is active */                  \
    X(EXISTS, FAILED, false)      /* a thing to be created is there already */ \
    X(SOURCE, SOURCE, false)      /* what is backed up is missing or shrunk */ \
    X(QUORUM, NO_QUORUM, false)   /* too few targets hold it */                \
    X(UNSUPPORTED, FAILED, false) /* of a newer version, or not on this system */ \
    X(CANCELLED, INTERRUPTED, false)

enum err_kind {
    ERR_NONE,
#define X(name, status, retry) ERR_##name,
    ERR_KINDS(X)
#undef X
};

struct err {
    enum err_kind kind; /* ERR_NONE: no error */
    int cause;          /* errno or HTTP status behind it; 0: none */
    int retry_after_s;  /* what a throttling server asked for; 0: nothing */
    char where[384];    /* "restoring web: reading pack 4f02", outermost first */
    char text[512];     /* "connection reset by s3.eu-west-1.example" */
};

/* Fills `e` and returns -1, so that a failure is one statement. */
int err_set(struct err *e, enum err_kind kind, int cause, const char *fmt, ...)
    PRINTF(4, 5);

/* The same with the kind that fits `cause` (an errno) and its description
 * appended: err_sys(e, errno, "opening %s", path). */
int err_sys(struct err *e, int cause, const char *fmt, ...) PRINTF(3, 4);

/* Puts what was being done before `where` and returns -1. `text` is never
 * changed, so the first cause cannot be lost however deep the stack. */
int err_in(struct err *e, const char *fmt, ...) PRINTF(2, 3);

/* "where: text" in a static thread-local buffer, for the one who prints. */
const char *err_text(const struct err *e);

enum status err_status(enum err_kind kind);
const char *err_name(enum err_kind kind); /* "not-found" */
bool err_retryable(enum err_kind kind);

#endif
