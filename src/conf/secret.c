#include "conf/secret.h"
#include "base/fs.h"
#include "base/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define COMMAND_TIMEOUT_MS 60000

static int
open_private(const char *path, int *out, struct err *e)
{
    AUTOCLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0)
        return err_set(e, ERR_DENIED, errno, "opening the secret %s: %s", path,
                       strerror(errno));
    if (S_ISDIR(st.st_mode))
        return err_set(e, ERR_DENIED, 0, "the secret %s is a folder", path);
    if (S_ISREG(st.st_mode) && (st.st_mode & 007))
        return err_set(e, ERR_DENIED, 0,
                       "everybody may use the secret %s; run chmod o= %s first", path,
                       path);
    *out = fd;
    fd = -1;
    return 0;
}

static int
read_file(const char *path, struct buf *out, struct err *e)
{
    AUTOCLOSE int fd = -1;

    if (open_private(path, &fd, e) < 0)
        return -1;
    while (out->len < out->max) { /* longer is seen by who asked */
        ssize_t n = read(fd, out->ptr + out->len, out->max - out->len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(e, errno, "reading the secret %s", path);
        if (n == 0)
            return 0;
        out->len += (size_t)n;
    }
    return 0;
}

static int
read_env(const char *name, struct buf *out, struct err *e)
{
    const char *value = getenv(name);

    if (!value)
        return err_set(e, ERR_DENIED, 0, "the environment variable %s is not set", name);
    size_t len = strlen(value);
    buf_put(out, value, len < out->max ? len : out->max);
    return 0;
}

static int
run_command(char *const *argv, struct buf *out, struct err *e)
{
    const struct proc_options o = { .argv = (const char *const *)argv };
    int status = 0;

    if (proc_run(&o, COMMAND_TIMEOUT_MS, out, NULL, &status, e) < 0)
        return -1;
    if (status != 0)
        return err_set(e, ERR_DENIED, 0, "the command %s for a secret %s %d", argv[0],
                       status == 124 ? "was stopped after 60 seconds, status"
                                     : "ended with status", status);
    return 0;
}

static int
fetch(const struct conf_secret *s, struct buf *out, struct err *e)
{
    const char *from = s->from == SECRET_COMMAND ? s->argv[0] : s->value;

    if (s->from == SECRET_NONE)
        return err_set(e, ERR_DENIED, 0, "no secret is configured");
    int rc = s->from == SECRET_FILE  ? read_file(s->value, out, e)
           : s->from == SECRET_ENV   ? read_env(s->value, out, e)
                                     : run_command(s->argv, out, e);
    if (rc < 0)
        return -1;
    if (out->len > 0 && out->ptr[out->len - 1] == '\n')
        out->len--;
    if (out->len == 0)
        return err_set(e, ERR_DENIED, 0, "the secret from %s is empty", from);
    if (out->len > SECRET_MAX)
        return err_set(e, ERR_DENIED, 0, "the secret from %s is longer than %d bytes",
                       from, SECRET_MAX);
    return 0;
}

int
secret_resolve(const struct conf_secret *s, struct buf *out, struct err *e)
{
    struct buf got = BUF(SECRET_MAX + 2); /* with a newline, and one too many */

    buf_room(&got, got.max); /* at once, so that growing leaves no copy behind */
    int rc = fetch(s, &got, e);
    if (rc == 0)
        buf_put_slice(out, buf_slice(&got));
    explicit_bzero(got.ptr, got.cap);
    buf_release(&got);
    return rc;
}
