#include "cli/help.h"

#include <ctype.h>
#include <string.h>

/* Columns that UTF-8 text takes, one a character. */
static size_t
columns(const char *s, size_t len)
{
    size_t n = 0;

    for (size_t i = 0; i < len; i++)
        n += ((unsigned char)s[i] & 0xc0) != 0x80;
    return n;
}

static void
pad(struct buf *out, size_t count)
{
    while (count-- > 0)
        buf_put_u8(out, ' ');
}

void
help_wrap(struct buf *out, const char *text, size_t at, size_t indent)
{
    bool first = true; /* in its line */

    while (*text) {
        size_t len = strcspn(text, " "), wide = columns(text, len);
        if (!first && at + 1 + wide > HELP_WIDTH) {
            buf_put_u8(out, '\n');
            pad(out, indent);
            at = indent;
            first = true;
        }
        if (!first)
            buf_put_u8(out, ' ');
        buf_put(out, text, len);
        at += wide + !first;
        first = false;
        text += len;
        text += strspn(text, " ");
    }
    buf_put_u8(out, '\n');
}

/* "take a snapshot" -> "Take a snapshot." */
static void
put_sentence(struct buf *out, const char *text)
{
    AUTOFREE char *s = mem_printf("%s.", text);

    s[0] = (char)toupper((unsigned char)s[0]);
    help_wrap(out, s, 0, 0);
}

#define OPTION_COLUMN 25 /* where the words of an option begin */

static void
put_options(struct buf *out, const char *head, const struct option *o)
{
    if (!o || o->type == OPT_END)
        return;
    buf_printf(out, "\n%s:\n", head);
    for (; o->type != OPT_END; o++) {
        AUTOFREE char *left = mem_printf("  %c%c%s --%s%s%s", o->letter ? '-' : ' ',
                                         o->letter ? o->letter : ' ',
                                         o->letter ? "," : " ", o->name,
                                         o->arg ? " " : "", o->arg ? o->arg : "");
        size_t at = strlen(left);
        buf_put_str(out, left);
        if (at + 2 > OPTION_COLUMN) {
            buf_put_u8(out, '\n');
            at = 0;
        }
        pad(out, OPTION_COLUMN - at);
        help_wrap(out, o->help, OPTION_COLUMN, OPTION_COLUMN);
    }
}

static void
put_usage(struct buf *out, const struct command *c)
{
    AUTOFREE char *line = mem_printf("usage: drtool %s [OPTION...]%s%s", c->name,
                                     c->args ? " " : "", c->args ? c->args : "");

    help_wrap(out, line, 0, 7);
}

static void
put_examples(struct buf *out, const char *const *examples)
{
    if (!examples || !examples[0])
        return;
    buf_put_str(out, "\nexamples:\n");
    for (size_t i = 0; examples[i]; i += 2) {
        buf_printf(out, "  %s\n      ", examples[i]);
        help_wrap(out, examples[i + 1], 6, 6);
    }
}

void
help_command(const struct command *c, struct buf *out)
{
    put_usage(out, c);
    buf_put_u8(out, '\n');
    put_sentence(out, c->summary);
    put_options(out, "options", c->options);
    put_options(out, "options of every command", global_options);
    put_examples(out, c->examples);
}

bool
help_group(const struct command *const *table, const char *word, struct buf *out)
{
    size_t len = strlen(word);
    bool any = false;

    for (size_t i = 0; table[i]; i++) {
        if (strncmp(table[i]->name, word, len) != 0 || table[i]->name[len] != ' ')
            continue;
        if (any)
            buf_put_u8(out, '\n');
        any = true;
        put_usage(out, table[i]);
        put_sentence(out, table[i]->summary);
        put_options(out, "options", table[i]->options);
        put_examples(out, table[i]->examples);
    }
    if (any)
        put_options(out, "options of every command", global_options);
    return any;
}

void
help_overview(const struct command *const *table, struct buf *out)
{
    buf_put_str(out, "usage: drtool [OPTION...] COMMAND [ARGUMENT...]\n\n");
    help_wrap(out, "Encrypted, deduplicated snapshots at several places at once, and "
              "drills that prove that they come back.", 0, 0);
    buf_put_str(out, "\ncommands:\n");
    for (size_t i = 0; table[i]; i++) {
        const struct command *c = table[i];
        if (command_hidden(c))
            continue;
        size_t at = 2 + strlen(c->name);
        buf_printf(out, "  %s", c->name);
        pad(out, at < 18 ? 18 - at : 1);
        help_wrap(out, c->summary, at < 18 ? 18 : at + 1, 18);
    }
    put_options(out, "options of every command", global_options);
    buf_put_str(out, "\n'drtool help COMMAND' tells more; the manual is drtool(7).\n");
}
