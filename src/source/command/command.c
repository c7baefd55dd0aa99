#include "../driver.h"
#include "../owner.h"

#include "base/cancel.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/proc.h"
#include "base/text.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define STDERR_KEPT 4096    /* bytes, the last ones */
#define PIPE_ROOM (1 << 20) /* bytes; so that the command seldom waits for us */
#define ASK_EVERY_MS 100    /* whether the run was cancelled */
#define ASK_MAX_MS 10000    /* for the shell to find a program */

struct command {
    struct source base; /* first: a struct command is a struct source */
    const char *const *argv;
    const char *as;
    uint64_t least; /* fewer bytes are an error */
    bool given;
    struct proc proc;
    uint64_t bytes;
    bool ended;      /* stdout is at its end */
    struct buf said; /* the end of its stderr */
    struct owners *owners;
    struct buf user, group;
};

static const struct source_ops command_ops;

static struct command *
command_of(struct source *s)
{
    assert(s->ops == &command_ops);
    return (struct command *)s;
}

static int
command_next(struct source *s, struct entry *out, struct err *e)
{
    struct command *c = command_of(s);
    struct clock_time now = clock_now();

    (void)e;
    proc_abort(&c->proc);
    if (c->given)
        return 0;
    c->given = true;
    *out = (struct entry){ .path = slice_str(c->as),
                           .type = ENTRY_FILE,
                           .mode = 0600,
                           .uid = geteuid(),
                           .gid = getegid(),
                           .mtime_s = now.s,
                           .mtime_ns = (uint32_t)now.ns,
                           .ctime_s = now.s,
                           .ctime_ns = (uint32_t)now.ns };
    return 1;
}

static int
command_describe(struct source *s, struct entry *en, struct err *e)
{
    struct command *c = command_of(s);

    (void)e;
    buf_clear(&c->user);
    buf_clear(&c->group);
    owner_name(c->owners, OWNER_USER, en->uid, &c->user);
    owner_name(c->owners, OWNER_GROUP, en->gid, &c->group);
    en->user = buf_slice(&c->user);
    en->group = buf_slice(&c->group);
    return 1;
}

static int
command_read_begin(struct source *s, struct entry *en, struct err *e)
{
    struct command *c = command_of(s);
    struct proc_options o = { .argv = c->argv, .flags = PROC_OUT | PROC_ERR };

    (void)en;
    proc_abort(&c->proc);
    buf_clear(&c->said);
    c->bytes = 0;
    c->ended = false;
    if (proc_start(&c->proc, &o, e) < 0)
        return err_set(e, ERR_SOURCE, e->cause, "the command %s cannot be started: %s",
                       c->argv[0], strerror(e->cause));
    (void)fcntl(c->proc.out, F_SETPIPE_SZ, PIPE_ROOM);
    return 1;
}

/* Keeps the last bytes of what the command writes to stderr. */
static void
hear(struct command *c)
{
    uint8_t block[STDERR_KEPT];
    ssize_t n = read(c->proc.err, block, sizeof block);

    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (n <= 0) {
        close(c->proc.err);
        c->proc.err = -1;
        return;
    }
    size_t over = c->said.len + (size_t)n > STDERR_KEPT
                    ? c->said.len + (size_t)n - STDERR_KEPT
                    : 0;
    if (over) {
        memmove(c->said.ptr, c->said.ptr + over, c->said.len - over);
        c->said.len -= over;
    }
    buf_put(&c->said, block, (size_t)n);
}

static int
command_read(struct source *s, uint8_t *out, size_t len, size_t *got, uint64_t *hole,
             struct err *e)
{
    struct command *c = command_of(s);

    (void)hole;
    while (!c->ended) {
        struct pollfd fds[] = { { c->proc.out, POLLIN, 0 }, { c->proc.err, POLLIN, 0 } };
        if (cancel_check(e) < 0)
            return -1;
        if (poll(fds, 2, ASK_EVERY_MS) <= 0)
            continue;
        if (fds[1].revents)
            hear(c);
        if (!fds[0].revents)
            continue;
        ssize_t n = read(c->proc.out, out, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_set(e, ERR_SOURCE, errno, "reading from the command %s: %s",
                           c->argv[0], strerror(errno));
        c->ended = n == 0;
        c->bytes += (size_t)n;
        *got = (size_t)n;
        return 0;
    }
    return 0;
}

/* Hears stderr to its end, or until the command is over: a grandchild may
 * hold it open for long. */
static int
hear_out(struct command *c, struct err *e)
{
    bool over = false;

    while (c->proc.err >= 0) {
        struct pollfd fd = { c->proc.err, POLLIN, 0 };
        siginfo_t info = { 0 };
        if (cancel_check(e) < 0)
            return -1;
        if (poll(&fd, 1, over ? 0 : ASK_EVERY_MS) > 0)
            hear(c);
        else if (over)
            return 0;
        over = waitid(P_PID, (id_t)c->proc.pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0
            && info.si_pid != 0;
    }
    return 0;
}

/* The last line of stderr that has something in it. */
static struct slice
last_line(const struct command *c)
{
    const char *text = (const char *)c->said.ptr;
    size_t end = c->said.len;

    while (end > 0 && strchr(" \t\r\n", text[end - 1]))
        end--;
    size_t from = end;
    while (from > 0 && text[from - 1] != '\n')
        from--;
    return slice_of(c->said.ptr + from, end - from);
}

static int
judge(struct command *c, int status, struct err *e)
{
    struct slice line = last_line(c);
    const char *said = line.len ? text_of_name(line) : "it said nothing on stderr";

    if (status != 0)
        return err_set(e, ERR_SOURCE, 0, "command %s exited with %d: %s", c->argv[0],
                       status, said);
    if (c->bytes < c->least)
        return err_set(e, ERR_SOURCE, 0,
                       "command %s gave %llu bytes, expected are at least %llu",
                       c->argv[0], (unsigned long long)c->bytes,
                       (unsigned long long)c->least);
    if (line.len)
        log_info("command %s said: %s", c->argv[0], said);
    return 0;
}

static int
command_read_end(struct source *s, bool *changed, struct err *e)
{
    struct command *c = command_of(s);
    int status;

    (void)changed; /* never: it is read once */
    if (!c->ended) {
        proc_abort(&c->proc);
        return err_set(e, ERR_SOURCE, 0, "command %s was stopped before its end",
                       c->argv[0]);
    }
    if (hear_out(c, e) < 0 || proc_wait(&c->proc, &status, e) < 0) {
        proc_abort(&c->proc);
        return -1;
    }
    return judge(c, status, e);
}

static void
command_close(struct source *s)
{
    struct command *c = command_of(s);

    proc_abort(&c->proc);
    owners_free(c->owners);
    buf_release(&c->said);
    buf_release(&c->user);
    buf_release(&c->group);
    mem_free(c);
}

static const struct source_ops command_ops = {
    .next = command_next,
    .describe = command_describe,
    .read_begin = command_read_begin,
    .read = command_read,
    .read_end = command_read_end,
    .close = command_close,
};

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
command_open(const struct conf_source *c, const struct source_options *o,
             struct source **out, struct err *e)
{
    char *const *argv = c->command.argv;
    const char *as = c->command.as ? c->command.as : "stdout";

    if (!argv || !argv[0])
        return err_set(e, ERR_USAGE, 0, "the source %s has no command", c->name);
    if (!entry_path_valid(slice_str(as)) || strchr(as, '/') || strlen(as) > 255)
        return err_set(e, ERR_USAGE, 0, "the name %s of the output cannot be used",
                       text_of_name(slice_str(as)));
    if (!found(argv[0]))
        return err_set(e, ERR_SOURCE, ENOENT,
                       "the command %s cannot be started: no such program", argv[0]);
    struct command *d = mem_zalloc(sizeof *d);
    d->base = (struct source){ .ops = &command_ops, .opt = *o };
    d->base.identity = mem_strdup(argv[0]);
    d->argv = (const char *const *)argv;
    d->as = as;
    d->least = c->command.min_bytes ? c->command.min_bytes : !c->allow_empty;
    d->proc = PROC_NONE;
    d->said = BUF(STDERR_KEPT);
    d->user = d->group = BUF(256);
    d->owners = owners_new();
    *out = &d->base;
    return 0;
}
