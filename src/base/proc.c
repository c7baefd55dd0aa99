#include "base/proc.h"
#include "base/cancel.h"
#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* The child's side of proc_start(): only async-signal-safe calls and exec. */
static void __attribute__((noreturn))
become(const struct proc_options *o, int out, int err, int report, char **envp)
{
    sigset_t none;

    setpgid(0, 0);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    int null = open("/dev/null", O_RDWR);
    dup2(o->in > 0 ? o->in : null, 0);
    if (!(o->flags & PROC_OUT_INHERIT))
        dup2(out >= 0 ? out : null, 1);
    if (err >= 0)
        dup2(err, 2);
    if (!o->cwd || chdir(o->cwd) == 0)
        execvpe(o->argv[0], (char *const *)(uintptr_t)o->argv, envp);
    int cause = errno;
    (void)!write(report, &cause, sizeof cause);
    _exit(127);
}

#define HIDDEN_MAX 64 /* variables; a configuration names a few at most */

static char *hidden[HIDDEN_MAX];
static size_t hidden_count;
static pthread_mutex_t hidden_lock = PTHREAD_MUTEX_INITIALIZER;

void
proc_hide_env(const char *name)
{
    bool known = false;

    pthread_mutex_lock(&hidden_lock);
    for (size_t i = 0; i < hidden_count && !known; i++)
        known = strcmp(hidden[i], name) == 0;
    if (!known && hidden_count < HIDDEN_MAX)
        hidden[hidden_count++] = mem_strdup(name);
    pthread_mutex_unlock(&hidden_lock);
}

/* True if "NAME=value" is a secret. */
static bool
is_hidden(const char *setting)
{
    size_t len = strcspn(setting, "=");
    bool hit = strncmp(setting, "DRTOOL_PASSPHRASE", 17) == 0;

    pthread_mutex_lock(&hidden_lock);
    for (size_t i = 0; i < hidden_count && !hit; i++)
        hit = strlen(hidden[i]) == len && memcmp(hidden[i], setting, len) == 0;
    pthread_mutex_unlock(&hidden_lock);
    return hit;
}

static char **
environment(const char *const *extra)
{
    size_t n = 0, m = 0, o = 0;

    while (environ[n])
        n++;
    while (extra && extra[m])
        m++;
    char **out = mem_alloc((n + m + 1) * sizeof *out);
    for (size_t i = 0; i < n; i++) {
        bool replaced = false;
        size_t name = strcspn(environ[i], "=") + 1;
        for (size_t j = 0; j < m && !replaced; j++)
            replaced = strncmp(environ[i], extra[j], name) == 0;
        if (!replaced && !is_hidden(environ[i]))
            out[o++] = environ[i];
    }
    for (size_t j = 0; j < m; j++)
        out[o++] = (char *)(uintptr_t)extra[j];
    out[o] = NULL;
    return out;
}

static void
close_pipe(int fds[2])
{
    if (fds[0] >= 0)
        close(fds[0]);
    if (fds[1] >= 0)
        close(fds[1]);
    fds[0] = fds[1] = -1;
}

int
proc_start(struct proc *p, const struct proc_options *o, struct err *e)
{
    int out[2] = { -1, -1 }, err[2] = { -1, -1 }, report[2] = { -1, -1 };
    int cause = 0;

    if (((o->flags & PROC_OUT) && pipe2(out, O_CLOEXEC) < 0)
        || ((o->flags & PROC_ERR) && pipe2(err, O_CLOEXEC) < 0)
        || pipe2(report, O_CLOEXEC) < 0) {
        err_sys(e, errno, "making a pipe");
        close_pipe(out);
        close_pipe(err);
        return -1;
    }
    AUTOFREE char **envp = environment(o->env);
    pid_t pid = fork();
    if (pid == 0)
        become(o, out[1], err[1], report[1], envp);
    cause = pid < 0 ? errno : 0;
    if (pid > 0) {
        setpgid(pid, pid);
        close(report[1]);
        report[1] = -1;
        if (read(report[0], &cause, sizeof cause) == (ssize_t)sizeof cause)
            waitpid(pid, NULL, 0);
        else
            cause = 0;
    }
    close_pipe(report);
    if (cause) {
        close_pipe(out);
        close_pipe(err);
        return err_sys(e, cause, "starting %s", o->argv[0]);
    }
    if (out[1] >= 0)
        close(out[1]);
    if (err[1] >= 0)
        close(err[1]);
    *p = (struct proc){ pid, out[0], err[0] };
    return 0;
}

static void
close_ends(struct proc *p)
{
    if (p->out >= 0)
        close(p->out);
    if (p->err >= 0)
        close(p->err);
    p->out = p->err = -1;
}

int
proc_wait(struct proc *p, int *status, struct err *e)
{
    int st = 0;

    close_ends(p);
    while (waitpid(p->pid, &st, 0) < 0)
        if (errno != EINTR)
            return err_sys(e, errno, "waiting for a child process");
    p->pid = 0;
    *status = WIFEXITED(st) ? WEXITSTATUS(st) : 128 + WTERMSIG(st);
    return 0;
}

void
proc_abort(struct proc *p)
{
    if (p->pid > 0) {
        kill(-p->pid, SIGKILL);
        while (waitpid(p->pid, NULL, 0) < 0 && errno == EINTR)
            continue;
        p->pid = 0;
    }
    close_ends(p);
}

/* Moves what `*fd` has into `to` (as much as fits) and closes it at its end. */
static void
drain(int *fd, struct buf *to)
{
    uint8_t block[16384];
    ssize_t n = read(*fd, block, sizeof block);

    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (n <= 0) {
        close(*fd);
        *fd = -1;
        return;
    }
    size_t room = to ? to->max - to->len : 0;
    if (to && room)
        buf_put(to, block, (size_t)n < room ? (size_t)n : room);
    explicit_bzero(block, (size_t)n); /* it may have been a secret */
}

/* Waits for a child whose pipes are closed, or were none: it may live on for
 * long, and neither the limit nor a signal may be missed meanwhile. */
static int
await(struct proc *p, bool undo, int64_t until, int *status, struct err *e)
{
    for (int64_t pause = 1;; pause = pause < 50 ? pause * 2 : 50) {
        siginfo_t info = { 0 };
        if (waitid(P_PID, (id_t)p->pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0
            || info.si_pid != 0)
            return proc_wait(p, status, e);
        if (!undo && cancel_check(e) < 0)
            return -1;
        if (until && clock_mono_ms() >= until) {
            *status = 124;
            return 0; /* who called kills it */
        }
        clock_sleep_ms(pause);
    }
}

int
proc_run(const struct proc_options *o, int64_t timeout_ms, struct buf *out,
         struct buf *err, int *status, struct err *e)
{
    CLEANUP(proc_abort) struct proc p = PROC_NONE;
    struct proc_options with = *o;
    int64_t until = timeout_ms ? clock_mono_ms() + timeout_ms : 0;
    bool undo = o->flags & PROC_UNDO;

    with.flags |= (out ? PROC_OUT : 0u) | (err ? PROC_ERR : 0u);
    if (proc_start(&p, &with, e) < 0)
        return -1;
    while (p.out >= 0 || p.err >= 0) {
        struct pollfd fds[] = { { p.out, POLLIN, 0 }, { p.err, POLLIN, 0 } };
        if (!undo && cancel_check(e) < 0)
            return -1;
        if (until && clock_mono_ms() >= until) {
            *status = 124;
            return 0; /* the cleanup kills it */
        }
        if (poll(fds, 2, 100) <= 0)
            continue;
        if (fds[0].revents)
            drain(&p.out, out);
        if (fds[1].revents)
            drain(&p.err, err);
    }
    return await(&p, undo, until, status, e);
}
