#include "base/fs.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/open.h"
#include "engine/tree.h"

#include <string.h>
#include <unistd.h>

enum format { FORMAT_RAW, FORMAT_TAR };

struct options {
    int format;
    const char *output;
};

static int
dump(struct repo *r, const struct snapshot *s, struct slice path, enum format format,
     int fd, struct err *e)
{
    return format == FORMAT_TAR ? tree_dump_tar(r, s, path, fd, e)
                                : tree_dump(r, s, path, fd, e);
}

/* A file appears whole or not at all. */
static int
dump_to_file(struct repo *r, const struct snapshot *s, struct slice path,
             const struct options *o, struct err *e)
{
    CLEANUP(tmpfile_abort) struct tmpfile t = TMPFILE_NONE;

    if (tmpfile_open(&t, o->output, 0600, e) < 0
        || dump(r, s, path, (enum format)o->format, t.fd, e) < 0
        || tmpfile_commit(&t, e) < 0)
        return err_in(e, "writing %s", o->output);
    return 0;
}

static enum status
run(struct app *app, struct err *e)
{
    const struct options *o = app->options;
    CLEANUP(repo_close_p) struct repo *r = NULL;
    CLEANUP(snapshot_list_release) struct snapshot_list l = { 0 };
    struct snapshot_row *row = NULL;
    struct slice path = { 0 };

    if (app->arg_count < 1 || app->arg_count > 2
        || (app->arg_count == 1 && o->format == FORMAT_RAW))
        err_set(e, ERR_USAGE, 0, "give a snapshot and a path");
    else if (o->format == FORMAT_TAR && !o->output && isatty(STDOUT_FILENO))
        err_set(e, ERR_USAGE, 0,
                "an archive is not for a terminal; give --output FILE "
                "or send it on");
    if (e->kind != ERR_NONE
        || (app->arg_count == 2 && tree_path(app->args[1], &path, e) < 0)
        || open_for_reading(app, &r, e) < 0
        || open_snapshot(r, app->args[0], &l, &row, e) < 0)
        return app_fail(e);
    int rc = o->output
               ? dump_to_file(r, &row->info, path, o, e)
               : dump(r, &row->info, path, (enum format)o->format, STDOUT_FILENO, e);
    return rc < 0 ? app_fail(e) : STATUS_OK;
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
    "Write a folder as a tar archive.",
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
