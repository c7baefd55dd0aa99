#include "programs.h"

#include "base/cancel.h"
#include "base/log.h"
#include "base/text.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define STDERR_KEPT 4096        /* bytes, the last ones */
#define PIPE_ROOM (1 << 20)     /* bytes; so that the command seldom waits for us */
#define ASK_EVERY_MS 100        /* whether the run was cancelled */
#define ASK_MAX_MS 10000        /* for the shell to find a program */
#define CUT_OFF (128 + SIGPIPE) /* of one whose reader has gone */

void
programs_init(struct programs *s, const char *const *const *argvs)
{
    *s = (struct programs){ 0 };
    for (; argvs[s->count]; s->count++) {
        assert(s->count < STAGES_MAX);
        s->list[s->count] = (struct program){ argvs[s->count], PROC_NONE,
                                              BUF(STDERR_KEPT) };
    }
    assert(s->count > 0);
}

void
programs_abort(struct programs *s)
{
    for (size_t i = 0; i < s->count; i++) {
        proc_abort(&s->list[i].proc);
        buf_clear(&s->list[i].said);
    }
}

void
programs_release(struct programs *s)
{
    programs_abort(s);
    for (size_t i = 0; i < s->count; i++)
        buf_release(&s->list[i].said);
}

static bool
can_run(const char *path)
{
    struct stat st;

    return access(path, X_OK) == 0 && stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* Whether a program of that name can be started. One without a slash is for
 * the shell to find; what cannot be asked is seen when it is started. */
static bool
found(const char *program)
{
    const char *const argv[] = {
        "sh", "-c", "command -v -- \"$1\"", "sh", program, NULL
    };
    struct proc_options o = { .argv = argv };
    AUTOBUF struct buf dropped = BUF(0);
    struct err ignored = { 0 };
    int status;

    if (strchr(program, '/'))
        return can_run(program);
    return proc_run(&o, ASK_MAX_MS, NULL, &dropped, &status, &ignored) < 0 || status == 0
        || status == 124; /* 124: the time was up */
}

int
programs_check(const struct programs *s, struct err *e)
{
    for (size_t i = 0; i < s->count; i++)
        if (!found(s->list[i].argv[0]))
            return err_set(e, ERR_SOURCE, ENOENT,
                           "the command %s cannot be started: no such program",
                           s->list[i].argv[0]);
    return 0;
}

int
programs_start(struct programs *s, const char *const *env, struct err *e)
{
    for (size_t i = 0; i < s->count; i++) {
        struct program *st = &s->list[i];
        struct proc_options o = { .argv = st->argv,
                                  .env = env,
                                  .in = i > 0 ? s->list[i - 1].proc.out : s->in,
                                  .flags = PROC_OUT | PROC_ERR };
        if (proc_start(&st->proc, &o, e) < 0) {
            programs_abort(s);
            return err_set(e, ERR_SOURCE, e->cause,
                           "the command %s cannot be started: %s", st->argv[0],
                           strerror(e->cause));
        }
        (void)fcntl(st->proc.out, F_SETPIPE_SZ, PIPE_ROOM);
        if (i > 0) { /* only the next stage reads it: else it would never see an end */
            close(s->list[i - 1].proc.out);
            s->list[i - 1].proc.out = -1;
        }
    }
    return 0;
}

/* Keeps the last bytes of what a stage writes to stderr. */
static void
hear(struct program *st)
{
    uint8_t block[STDERR_KEPT];
    ssize_t n = read(st->proc.err, block, sizeof block);

    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (n <= 0) {
        close(st->proc.err);
        st->proc.err = -1;
        return;
    }
    buf_put_last(&st->said, block, (size_t)n);
}

/* Waits for words or, with `out` >= 0, for output: true if there is some of that. */
static bool
listen_to(struct programs *s, int out, int wait_ms)
{
    struct pollfd fds[STAGES_MAX + 1];

    for (size_t i = 0; i < s->count; i++)
        fds[i] = (struct pollfd){ s->list[i].proc.err, POLLIN, 0 };
    fds[s->count] = (struct pollfd){ out, POLLIN, 0 };
    if (poll(fds, s->count + 1, wait_ms) <= 0)
        return false;
    for (size_t i = 0; i < s->count; i++)
        if (fds[i].revents)
            hear(&s->list[i]);
    return fds[s->count].revents != 0;
}

int
programs_read(struct programs *s, uint8_t *out, size_t len, size_t *got, struct err *e)
{
    struct program *last = &s->list[s->count - 1];

    for (;;) {
        if (cancel_check(e) < 0)
            return -1;
        if (!listen_to(s, last->proc.out, ASK_EVERY_MS))
            continue;
        ssize_t n = read(last->proc.out, out, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_set(e, ERR_SOURCE, errno, "reading from the command %s: %s",
                           last->argv[0], strerror(errno));
        *got = (size_t)n;
        return 0;
    }
}

static bool
is_over(const struct program *st)
{
    siginfo_t info = { 0 };

    return waitid(P_PID, (id_t)st->proc.pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0
        && info.si_pid != 0;
}

/* Hears stderr to its end, or until the stage is over: a grandchild may
 * hold it open for long. */
static int
hear_out(struct programs *s, struct program *st, struct err *e)
{
    bool over = false;

    while (st->proc.err >= 0) {
        struct pollfd fd = { st->proc.err, POLLIN, 0 };
        if (cancel_check(e) < 0)
            return -1;
        if (over && poll(&fd, 1, 0) <= 0)
            return 0;
        (void)listen_to(s, -1, over ? 0 : ASK_EVERY_MS);
        over = is_over(st);
    }
    return 0;
}

static bool
has_any(struct slice line, const char *const *words)
{
    for (; *words; words++)
        if (memmem(line.ptr, line.len, *words, strlen(*words)))
            return true;
    return false;
}

/* The line by which one that failed says why. */
static struct slice
reason(const struct programs *s, const struct program *st)
{
    struct slice all = buf_slice(&st->said), last = text_last_line(all), line = last;

    while (s->telling && line.len > 0 && !has_any(line, s->telling))
        line = text_last_line(slice_of(all.ptr, (size_t)(line.ptr - all.ptr)));
    return line.len > 0 ? line : last;
}

/* Tells of one that failed. One that was cut off did so because of a later one. */
static int
judge(const struct programs *s, const int *status, struct err *e)
{
    size_t failed = s->count;

    for (size_t i = s->count; i-- > 0;)
        if (status[i] != 0
            && (failed == s->count || status[i] != CUT_OFF || status[failed] == CUT_OFF))
            failed = i;
    for (size_t i = 0; i < s->count && failed == s->count; i++) {
        struct slice line = text_last_line(buf_slice(&s->list[i].said));
        if (line.len)
            log_info("command %s said: %s", s->list[i].argv[0], text_of_name(line));
    }
    if (failed == s->count)
        return 0;
    struct slice line = reason(s, &s->list[failed]);
    return err_set(e, ERR_SOURCE, 0, "command %s exited with %d: %s",
                   s->list[failed].argv[0], status[failed],
                   line.len ? text_of_name(line) : "it said nothing on stderr");
}

struct slice
programs_said(const struct programs *s)
{
    return buf_slice(&s->list[s->count - 1].said);
}

int
programs_end(struct programs *s, struct err *e)
{
    int status[STAGES_MAX];

    for (size_t i = 0; i < s->count; i++) {
        struct program *st = &s->list[i];
        if (hear_out(s, st, e) < 0 || proc_wait(&st->proc, &status[i], e) < 0) {
            programs_abort(s);
            return -1;
        }
    }
    return judge(s, status, e);
}
