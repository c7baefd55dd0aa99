/*
 * proc: a child process and its pipes.
 *
 * The child gets an argument list, never a shell line, and an environment
 * without our secrets. It must be waited for; proc_abort() kills its whole
 * process group and waits.
 */
#ifndef BASE_PROC_H
#define BASE_PROC_H

#include "base/buf.h"

#include <sys/types.h>

struct proc {
    pid_t pid; /* 0: none */
    int out;   /* read end of its stdout; -1: not asked for */
    int err;   /* read end of its stderr; -1: not asked for */
};

#define PROC_NONE ((struct proc){ 0, -1, -1 })

enum proc_flag {
    PROC_OUT = 1 << 0, /* a pipe for stdout; else it goes to /dev/null */
    PROC_ERR = 1 << 1, /* a pipe for stderr; else ours */
    PROC_OUT_INHERIT = 1 << 2,
    PROC_UNDO = 1 << 3, /* it puts something right: proc_run() also when cancelled */
};

struct proc_options {
    const char *const *argv; /* NULL-terminated */
    const char *const *env;  /* "NAME=value" to add, NULL-terminated; may be NULL */
    const char *cwd;         /* NULL: ours */
    int in;                  /* what it gets as stdin; 0: /dev/null. Ours stays open */
    unsigned flags;
};

/* Keeps the variable `name`, which holds a secret, from every later child. */
void proc_hide_env(const char *name);

MUST_USE int proc_start(struct proc *p, const struct proc_options *o, struct err *e);

/* Waits; *status is the exit status, or 128 + the signal that ended it. */
MUST_USE int proc_wait(struct proc *p, int *status, struct err *e);
void proc_abort(struct proc *p);

/* Runs to the end with stdout and stderr appended to `out` and `err` (at most
 * their maximum, the rest is read and dropped). timeout_ms 0: none; when it
 * passes the group is killed, and *status is 124. */
MUST_USE int proc_run(const struct proc_options *o, int64_t timeout_ms, struct buf *out,
                      struct buf *err, int *status, struct err *e);

#endif
