#include "source/prepare.h"

#include "../command/programs.h"
#include "server.h"

#include "base/fs.h"
#include "base/log.h"
#include "base/text.h"

#include <errno.h>
#include <string.h>

#define TOOL "mariadb-backup"
#define ASK_MS 60000
#define WORKED "completed OK!" /* its last words, if all went well */

/* How much of a version has to be the same: "10.11" of "10.11.6-MariaDB". */
static size_t
series_len(const char *version)
{
    size_t len = strspn(version, "0123456789");

    if (version[len] == '.')
        len += 1 + strspn(version + len + 1, "0123456789");
    return len;
}

static void
compare(const char *version, struct buf *said)
{
    static const char before[] = "MariaDB server ";
    const char *own = strstr(buf_cstr(said), before);
    size_t len = series_len(version);

    if (!own)
        return;
    own += strlen(before);
    if (series_len(own) != len || strncmp(own, version, len) != 0)
        log_warn(TOOL
                 " is of version %.*s, the server that was backed up of %.*s: the two "
                 "should be the same",
                 (int)series_len(own), own, (int)len, version);
}

int
prepare_check(const char *version, struct err *e)
{
    const char *const argv[] = { TOOL, "--version", NULL };
    struct proc_options o = { .argv = argv };
    AUTOBUF struct buf out = BUF(4096);
    int status = 0;

    /* It has told its version on either. */
    if (proc_run(&o, ASK_MS, &out, &out, &status, e) < 0)
        return e->cause != ENOENT
                 ? -1
                 : err_set(e, ERR_UNSUPPORTED, ENOENT,
                           TOOL
                           " is not installed here, and without it no server can "
                           "start on what is restored: install it, or give "
                           "--no-prepare and run `" TOOL
                           " --prepare --target-dir=DIR` before a server is started");
    if (version)
        compare(version, &out);
    return 0;
}

int
prepare_run(const char *dir, struct err *e)
{
    AUTOFREE char *full = fs_absolute(dir);
    AUTOFREE char *target = mem_printf("--target-dir=%s", full);
    const char *const argv[] = { TOOL, "--prepare", target, NULL };
    const char *const *const all[] = { argv, NULL };
    struct programs tool;
    uint8_t dropped[4096];
    size_t got = 1;
    int rc;

    programs_init(&tool, all);
    tool.telling = server_telling;
    rc = programs_start(&tool, NULL, e);
    while (rc == 0 && got > 0)
        rc = programs_read(&tool, dropped, sizeof dropped, &got, e);
    if (rc == 0)
        rc = programs_end(&tool, e);
    if (rc == 0) {
        struct slice said = programs_said(&tool);
        if (said.len == 0 || !memmem(said.ptr, said.len, WORKED, strlen(WORKED)))
            rc = err_set(e, ERR_IO, 0, TOOL " did not say at its end that it " WORKED);
    } else if (e->kind == ERR_SOURCE) {
        e->kind = ERR_IO; /* it is no source here */
    }
    programs_release(&tool);
    return rc < 0 ? err_in(e, "preparing %s", dir) : 0;
}
