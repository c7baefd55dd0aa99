#include "base/fs.h"
#include "base/log.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/open.h"
#include "engine/tree.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum format { FORMAT_RAW, FORMAT_TAR };

struct options {
    int format;
    const char *output;
};

/* What is dumped. */
struct wanted {
    struct repo *repo;
    const struct snapshot *snapshot;
    struct slice path;
    bool content; /* the path ended in a slash: what is in the folder */
};

static int
dump(const struct wanted *w, const struct options *o, int fd, struct err *e)
{
    if (o->format == FORMAT_TAR)
        return tree_dump_tar(w->repo, w->snapshot, w->path, w->content, fd, e);
    return tree_dump(w->repo, w->snapshot, w->path, o->output != NULL, fd, e);
}

/* A file appears whole or not at all. */
static int
dump_to_file(const struct wanted *w, const struct options *o, struct err *e)
{
    CLEANUP(tmpfile_abort) struct tmpfile t = TMPFILE_NONE;

    if (tmpfile_open(&t, o->output, 0600, e) < 0 || dump(w, o, t.fd, e) < 0
        || tmpfile_commit(&t, e) < 0)
        return err_in(e, "writing %s", o->output);
    return 0;
}

static int
check_line(const struct app *app, struct wanted *w, struct err *e)
{
    const struct options *o = app->options;
    const char *path = app->arg_count > 1 ? app->args[1] : "/";

    if (app->arg_count == 1 && o->format == FORMAT_RAW)
        return err_set(e, ERR_USAGE, 0, "which file? give its path, or --format tar");
    if (o->format == FORMAT_TAR && !o->output && isatty(STDOUT_FILENO))
        return err_set(e, ERR_USAGE, 0,
                       "an archive is not for a terminal; give --output FILE or send "
                       "it on");
    w->content = path[0] && path[strlen(path) - 1] == '/';
    return tree_path(path, &w->path, e);
}

static enum status
run(struct app *app, struct err *e)
{
    const struct options *o = app->options;
    CLEANUP(repo_close_p) struct repo *r = NULL;
    CLEANUP(snapshot_list_release) struct snapshot_list l = { 0 };
    struct snapshot_row *row = NULL;
    struct wanted w = { 0 };

    if (check_line(app, &w, e) < 0 || open_for_snapshot(app, &r, e) < 0
        || open_snapshot(r, app->args[0], &l, &row, e) < 0)
        return app_fail(e);
    if (!snapshot_committed(row))
        log_warn("snapshot %.12s is not complete on any target", row->key + 33);
    w.repo = r;
    w.snapshot = &row->info;
    if ((o->output ? dump_to_file(&w, o, e) : dump(&w, o, STDOUT_FILENO, e)) == 0)
        return STATUS_OK;
    if (e->cause != EPIPE || o->output)
        return app_fail(e);
    *e = (struct err){ 0 }; /* the reader has seen enough, and knows it */
    return STATUS_FAILED;
}

#define AT(field) offsetof(struct options, field)

static const struct option options[] = {
    { OPT_ENUM, "format", 0, "raw|tar", AT(format), COMPLETE_NONE,
      "one file's bytes, or an archive (default: raw)" },
    { OPT_STRING, "output", 'o', "FILE", AT(output), COMPLETE_FILE,
      "write to FILE instead of standard output" },
    { OPT_END, NULL, 0, NULL, 0, COMPLETE_NONE, NULL },
};

static const char *const examples[] = {
    "drtool dump notes /notes.txt",
    "Print one file of the newest snapshot.",
    "drtool dump --format tar uploads /srv/shop/uploads --output uploads.tar",
    "Write a folder as a tar archive, under its whole path.",
    "drtool dump --format tar uploads /srv/shop/uploads/ | tar -xf - -C /mnt/new",
    "Put the content of a folder somewhere else.",
    NULL,
};

const struct command cmd_dump = {
    .name = "dump",
    .args = "SNAPSHOT [PATH]",
    .summary = "write a file, or a folder as an archive, to standard output",
    .options = options,
    .options_size = sizeof(struct options),
    .needs = NEEDS_CONFIG | OWNS_STDOUT,
    .complete = COMPLETE_SNAPSHOT,
    .examples = examples,
    .run = run,
};
