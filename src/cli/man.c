#include "cli/man.h"
#include "base/fs.h"
#include "cli/help.h"
#include "conf/config.h"
#include "mdoc.h"

#include <stdlib.h>
#include <string.h>

/* Pages of keys in section 5. */
static const struct {
    const char *name, *title;
    const struct conf_key *keys;
} formats[] = {
    { "drtool.yaml", "configuration of drtool", conf_keys },
};

static size_t
first_word(const char *name)
{
    return strcspn(name, " ");
}

/* True for the first command of its page: "key list" of key. */
static bool
begins_page(const struct command *const *table, size_t i)
{
    size_t len = first_word(table[i]->name);

    if (command_hidden(table[i]))
        return false;
    for (size_t j = 0; j < i; j++)
        if (first_word(table[j]->name) == len
            && memcmp(table[j]->name, table[i]->name, len) == 0)
            return false;
    return true;
}

static bool
on_page(const struct command *c, const char *word)
{
    return strncmp(c->name, word, strlen(word)) == 0
        && (!c->name[strlen(word)] || c->name[strlen(word)] == ' ');
}

void
man_list(const struct command *const *table, struct buf *out)
{
    buf_put_str(out, "drtool.1\n");
    for (size_t i = 0; table[i]; i++)
        if (begins_page(table, i))
            buf_printf(out, "drtool-%.*s.1\n", (int)first_word(table[i]->name),
                       table[i]->name);
    for (size_t i = 0; i < COUNT_OF(formats); i++)
        buf_printf(out, "%s.5\n", formats[i].name);
}

/* The options that every command's page leaves to drtool(1). */
static void
put_globals_note(struct buf *out)
{
    buf_put_str(out, "The options that every command has are described in\n"
                     ".Xr drtool 1 .\n");
}

static void
put_command_page(const struct command *const *table, const char *word, struct buf *prose,
                 struct buf *out)
{
    size_t count = 0;
    const struct command *only = NULL;

    for (size_t i = 0; table[i]; i++)
        if (on_page(table[i], word) && count++ == 0)
            only = table[i];
    AUTOFREE char *name = mem_printf("drtool-%s", word);
    AUTOFREE char *about = count == 1 ? mem_strdup(only->summary)
                                      : mem_printf("the %s commands of drtool", word);
    mdoc_head(out, name, "1", about);
    buf_put_str(out, ".Sh SYNOPSIS\n");
    for (size_t i = 0; table[i]; i++)
        if (on_page(table[i], word))
            mdoc_synopsis(out, table[i]);
    mdoc_prose(out, prose, MDOC_DESCRIPTION);
    for (size_t i = 0; table[i]; i++) {
        const struct command *c = table[i];
        if (!on_page(c, word))
            continue;
        if (count > 1) {
            buf_printf(out, ".Ss drtool %s\n", c->name);
            mdoc_sentence(out, c->summary);
        } else if (prose->len == 0) {
            mdoc_sentence(out, c->summary);
        }
        mdoc_options(out, c->options);
    }
    buf_put_str(out, ".Pp\n");
    put_globals_note(out);
    mdoc_prose(out, prose, MDOC_MIDDLE);
    buf_put_str(out, ".Sh EXIT STATUS\nSee\n.Xr drtool 1 .\n");
    mdoc_examples(out, table, word);
    buf_put_str(out, ".Sh SEE ALSO\n.Xr drtool 1 ,\n.Xr drtool.yaml 5 ,\n.Xr drtool 7\n");
    mdoc_prose(out, prose, MDOC_END);
}

static void
put_commands(const struct command *const *table, struct buf *out)
{
    buf_put_str(out, ".Ss Commands\n.Bl -tag -width Ds\n");
    for (size_t i = 0; table[i]; i++) {
        if (command_hidden(table[i]))
            continue;
        buf_printf(out, ".It Cm %s\n", table[i]->name);
        mdoc_sentence(out, table[i]->summary);
        buf_printf(out, "See\n.Xr drtool-%.*s 1 .\n", (int)first_word(table[i]->name),
                   table[i]->name);
    }
    buf_put_str(out, ".El\n");
}

static void
put_statuses(struct buf *out)
{
    buf_put_str(out, ".Sh EXIT STATUS\nWhen several apply, the worst is told, and\n"
                     ".Fl -json\nlists each.\n.Bl -tag -width 3n\n");
    for (int number = 0; number < 256; number++)
        for (enum status s = 0; s < STATUS_COUNT; s++)
            if (status_number(s) == number) {
                buf_printf(out, ".It %d\n", number);
                mdoc_sentence(out, status_meaning(s));
            }
    buf_put_str(out, ".El\n");
}

static int
by_name(const void *a, const void *b)
{
    const struct command *x = *(const struct command *const *)a;
    const struct command *y = *(const struct command *const *)b;

    return strcmp(x->name, y->name);
}

/* SEE ALSO is in alphabetical order, unlike the list of commands. */
static void
put_pages_by_name(const struct command *const *table, struct buf *out)
{
    AUTOFREE const struct command **sorted = NULL;
    size_t count = 0, cap = 0;

    for (size_t i = 0; table[i]; i++)
        if (begins_page(table, i)) {
            sorted = mem_grow(sorted, &cap, count + 1, sizeof *sorted);
            sorted[count++] = table[i];
        }
    if (count > 0)
        qsort(sorted, count, sizeof(const struct command *), by_name);
    for (size_t i = 0; i < count; i++)
        buf_printf(out, ".Xr drtool-%.*s 1 ,\n", (int)first_word(sorted[i]->name),
                   sorted[i]->name);
}

static void
put_main_page(const struct command *const *table, struct buf *prose, struct buf *out)
{
    mdoc_head(out, "drtool", "1", "backups at several places and recovery drills");
    buf_put_str(out, ".Sh SYNOPSIS\n.Nm\n.Op Ar OPTION ...\n.Ar COMMAND\n"
                     ".Op Ar ARGUMENT ...\n");
    mdoc_prose(out, prose, MDOC_DESCRIPTION);
    put_commands(table, out);
    buf_put_str(out, ".Ss Options of every command\n");
    mdoc_options(out, global_options);
    mdoc_prose(out, prose, MDOC_MIDDLE);
    put_statuses(out);
    buf_put_str(out, ".Sh SEE ALSO\n");
    put_pages_by_name(table, out);
    buf_put_str(out, ".Xr drtool.yaml 5 ,\n.Xr drtool 7\n");
    mdoc_prose(out, prose, MDOC_END);
}

/* The keys of one map as a list, then of the maps within it. */
static void
put_keys(struct buf *out, const char *path, const struct conf_key *keys)
{
    if (path[0])
        buf_printf(out, ".Ss %s\n", path);
    else
        buf_put_str(out, ".Ss Top level\n");
    buf_put_str(out, ".Bl -tag -width Ds\n");
    for (const struct conf_key *k = keys; k->type != CONF_END; k++) {
        buf_printf(out, ".It Ic %s : No %s%s\n", k->name, schema_type(k),
                   k->flags & CONF_REQUIRED ? ", required" : "");
        mdoc_text(out, k->help);
    }
    buf_put_str(out, ".El\n");
    for (const struct conf_key *k = keys; k->type != CONF_END; k++) {
        if (k->type != CONF_MAP && k->type != CONF_MAPS)
            continue;
        AUTOFREE char *below = mem_printf("%s%s%s%s", path, path[0] ? "." : "", k->name,
                                          k->type == CONF_MAPS ? "[]" : "");
        put_keys(out, below, k->keys);
    }
}

static void
put_format_page(size_t i, struct buf *prose, struct buf *out)
{
    mdoc_head(out, formats[i].name, "5", formats[i].title);
    mdoc_prose(out, prose, MDOC_DESCRIPTION);
    buf_put_str(out, ".Sh KEYS\nA secret is written as a reference, never itself:\n"
                     ".Ql { env: NAME } ,\n.Ql { file: PATH }\nor\n"
                     ".Ql { command: [PROGRAM, ARGUMENT...] } .\n"
                     "A path is absolute or begins with\n.Pa ~/ .\n");
    put_keys(out, "", formats[i].keys);
    mdoc_prose(out, prose, MDOC_MIDDLE);
    buf_put_str(out, ".Sh SEE ALSO\n.Xr drtool 1 ,\n.Xr drtool 7\n");
    mdoc_prose(out, prose, MDOC_END);
}

/* Reads `dir`/NAME.prose, which need not be there. */
static int
read_prose(const char *dir, const char *name, struct buf *out, struct err *e)
{
    AUTOFREE char *file = mem_printf("%s/%s.prose", dir, name);
    struct err missing = { 0 };

    if (fs_read(file, out->max, out, &missing) == 0 || missing.kind == ERR_NOT_FOUND)
        return 0;
    *e = missing;
    return -1;
}

int
man_page(const struct command *const *table, const char *page, const char *prose_dir,
         struct buf *out, struct err *e)
{
    const char *dot = strrchr(page, '.');
    AUTOFREE char *name = mem_printf("%.*s", dot ? (int)(dot - page) : 0, page);
    AUTOBUF struct buf prose = BUF(MAN_MAX);

    for (size_t i = 0; i < COUNT_OF(formats); i++)
        if (strcmp(name, formats[i].name) == 0) {
            if (read_prose(prose_dir, name, &prose, e) < 0)
                return -1;
            return put_format_page(i, &prose, out), 0;
        }
    if (strcmp(name, "drtool") == 0) {
        if (read_prose(prose_dir, name, &prose, e) < 0)
            return -1;
        return put_main_page(table, &prose, out), 0;
    }
    for (size_t i = 0; table[i]; i++)
        if (strncmp(name, "drtool-", 7) == 0 && begins_page(table, i)
            && on_page(table[i], name + 7)) {
            if (read_prose(prose_dir, name + 7, &prose, e) < 0)
                return -1;
            return put_command_page(table, name + 7, &prose, out), 0;
        }
    return err_set(e, ERR_USAGE, 0, "there is no generated page %.60s", page);
}
