#include "base/text.h"
#include "cli/commands.h"
#include "cli/open.h"
#include "cli/output.h"
#include "engine/tree.h"

#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

struct options {
    bool recursive, names;
};

struct listing {
    struct app *app;
    json_t *entries;
};

/* "-rwxr-sr-t", as ls writes it. */
static const char *
mode_text(const struct entry *en, char out[11])
{
    static const char types[] = "?-dlpcb";
    static const char bits[] = "rwxrwxrwx";

    out[0] = types[en->type];
    for (int i = 0; i < 9; i++)
        out[i + 1] = en->mode >> (8 - i) & 1 ? bits[i] : '-';
    if (en->mode & 04000)
        out[3] = en->mode & 0100 ? 's' : 'S';
    if (en->mode & 02000)
        out[6] = en->mode & 0010 ? 's' : 'S';
    if (en->mode & 01000)
        out[9] = en->mode & 0001 ? 't' : 'T';
    out[10] = 0;
    return out;
}

#define OWNER_LEN 33

static void
owner_text(char out[OWNER_LEN], struct slice name, uint32_t id)
{
    if (name.len)
        snprintf(out, OWNER_LEN, "%s", text_of_name(name));
    else
        snprintf(out, OWNER_LEN, "%u", id);
}

#define SIZE_LEN 24

/* Bytes of a file, "major, minor" of a device. */
static const char *
size_text(const struct entry *en, char out[SIZE_LEN])
{
    if (en->type == ENTRY_CHAR || en->type == ENTRY_BLOCK)
        snprintf(out, SIZE_LEN, "%u, %u", major(en->rdev), minor(en->rdev));
    else
        snprintf(out, SIZE_LEN, "%llu", (unsigned long long)en->size);
    return out;
}

static const char *
type_text(const struct entry *en)
{
    static const char *const names[] = { "unknown", "file", "folder", "link",
                                         "fifo",    "char", "block" };
    return names[en->type];
}

static void
tell_json(struct listing *l, const struct entry *en)
{
    json_t *o = json_add_object(l->entries);

    json_put_name(o, "path", en->path);
    json_put_text(o, "type", type_text(en));
    json_put_int(o, "mode", en->mode);
    json_put_int(o, "uid", en->uid);
    json_put_int(o, "gid", en->gid);
    json_put_name(o, "user", en->user);
    json_put_name(o, "group", en->group);
    json_put_int(o, "size", (int64_t)en->size);
    json_put_time(o, "mtime", en->mtime_s, (int32_t)en->mtime_ns);
    if (en->type == ENTRY_LINK)
        json_put_name(o, "target", en->target);
    if (en->type == ENTRY_CHAR || en->type == ENTRY_BLOCK) {
        json_put_int(o, "major", major(en->rdev));
        json_put_int(o, "minor", minor(en->rdev));
    }
    if (en->flags & ENTRY_CHANGED)
        json_put_bool(o, "changed_while_read", true);
}

static int
tell(void *arg, const struct entry *en, struct err *e)
{
    struct listing *l = arg;
    const struct options *o = l->app->options;
    char mode[11], user[OWNER_LEN], group[OWNER_LEN], size[SIZE_LEN];

    (void)e;
    if (l->app->json) {
        tell_json(l, en);
        return 0;
    }
    if (!o->names) {
        owner_text(user, en->user, en->uid);
        owner_text(group, en->group, en->gid);
        printf("%s %-8s %-8s %12s %s ", mode_text(en, mode), user, group,
               size_text(en, size), text_of_time(en->mtime_s));
    }
    putchar('/');
    name_print(en->path, stdout);
    if (!o->names && en->type == ENTRY_LINK) {
        fputs(" -> ", stdout);
        name_print(en->target, stdout);
    }
    putchar('\n');
    return 0;
}

static enum status
run(struct app *app, struct err *e)
{
    const struct options *o = app->options;
    CLEANUP(repo_close_p) struct repo *r = NULL;
    CLEANUP(snapshot_list_release) struct snapshot_list l = { 0 };
    struct listing listing = { app, json_put_array(app->result, "entries") };
    struct snapshot_row *row = NULL;
    struct slice path = { 0 };

    if (app->arg_count < 1 || app->arg_count > 2) {
        err_set(e, ERR_USAGE, 0, "give a snapshot, and at most one path");
        return app_fail(e);
    }
    if ((app->arg_count == 2 && tree_path(app->args[1], &path, e) < 0)
        || open_for_snapshot(app, &r, e) < 0
        || open_snapshot(r, app->args[0], &l, &row, e) < 0
        || tree_list(r, &row->info, path, o->recursive, tell, &listing, e) < 0)
        return app_fail(e);
    return STATUS_OK;
}

#define AT(field) offsetof(struct options, field)

static const struct option options[] = {
    { OPT_FLAG, "recursive", 'r', NULL, AT(recursive), COMPLETE_NONE,
      "everything below, not one level" },
    { OPT_FLAG, "names", 0, NULL, AT(names), COMPLETE_NONE, "only the paths" },
    { OPT_END, NULL, 0, NULL, 0, COMPLETE_NONE, NULL },
};

static const char *const examples[] = {
    "drtool ls uploads /srv/shop/uploads",
    "List one folder of the newest snapshot.",
    "drtool ls --recursive uploads@2026-11-22",
    "List everything in the newest snapshot of a day.",
    NULL,
};

const struct command cmd_ls = {
    .name = "ls",
    .args = "SNAPSHOT [PATH]",
    .summary = "list the files of a snapshot",
    .options = options,
    .options_size = sizeof(struct options),
    .needs = NEEDS_CONFIG,
    .complete = COMPLETE_SNAPSHOT,
    .examples = examples,
    .run = run,
};
