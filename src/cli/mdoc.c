#include "mdoc.h"
#include "cli/help.h"

#include <ctype.h>
#include <string.h>

#ifndef DRTOOL_RELEASED
#define DRTOOL_RELEASED "January 1, 1970"
#endif

void
mdoc_head(struct buf *out, const char *name, const char *section, const char *about)
{
    buf_put_str(out, ".\\\" Generated from the program's tables and the .prose file; "
                     "do not edit.\n");
    buf_printf(out, ".Dd %s\n.Dt ", DRTOOL_RELEASED);
    for (const char *p = name; *p; p++)
        buf_put_u8(out, (uint8_t)toupper((unsigned char)*p));
    buf_printf(out, " %s\n.Os\n.Sh NAME\n.Nm %s\n.Nd %s\n", section, name, about);
}

/* One line of text, escaped. */
static void
put_line(struct buf *out, const char *s, size_t len)
{
    if (len && (s[0] == '.' || s[0] == '\''))
        buf_put_str(out, "\\&");
    for (size_t i = 0; i < len; i++) {
        if (s[i] == '\\')
            buf_put_str(out, "\\e");
        else
            buf_put_u8(out, (uint8_t)s[i]);
    }
    buf_put_u8(out, '\n');
}

void
mdoc_text(struct buf *out, const char *text)
{
    AUTOBUF struct buf lines = BUF(HELP_MAX);

    while (*text) { /* a sentence ends at ". " before a capital */
        const char *end = text;
        while (*end && !(end[0] == '.' && end[1] == ' '
                         && isupper((unsigned char)end[2])))
            end++;
        size_t len = (size_t)(end - text) + (*end == '.');
        AUTOFREE char *sentence = mem_printf("%.*s", (int)len, text);
        help_wrap(&lines, sentence, 0, 0);
        text += len;
        text += strspn(text, " ");
    }
    for (const char *p = buf_cstr(&lines); *p;) {
        size_t len = strcspn(p, "\n");
        put_line(out, p, len);
        p += len + 1;
    }
}

void
mdoc_sentence(struct buf *out, const char *text)
{
    AUTOFREE char *s = mem_printf("%s.", text);

    s[0] = (char)toupper((unsigned char)s[0]);
    mdoc_text(out, s);
}

/* "SNAPSHOT [PATH...]" as macros; words in capitals stand for something. */
static void
put_args(struct buf *out, const char *args)
{
    int depth = 0;

    for (const char *p = args; *p; p += strspn(p, " ")) {
        size_t len = strcspn(p, " "), open = strspn(p, "[");
        size_t word = strcspn(p + open, " ].");
        bool many = memmem(p, len, "...", 3) != NULL;
        buf_put_str(out, depth == 0 ? "." : " ");
        for (size_t i = 0; i < open; i++)
            buf_put_str(out, "Op ");
        buf_printf(out, "%s %.*s%s", isupper((unsigned char)p[open]) ? "Ar" : "Cm",
                   (int)word, p + open, many ? " ..." : "");
        depth += (int)open;
        for (size_t i = 0; i < len; i++)
            depth -= p[i] == ']';
        if (depth == 0)
            buf_put_u8(out, '\n');
        p += len;
    }
}

void
mdoc_synopsis(struct buf *out, const struct command *c)
{
    buf_printf(out, ".Nm drtool\n.Cm %s\n", c->name);
    for (const struct option *o = c->options; o && o->type != OPT_END; o++) {
        buf_put_str(out, ".Op Fl ");
        if (o->letter)
            buf_printf(out, "%c | -", o->letter);
        else
            buf_put_u8(out, '-');
        buf_printf(out, "%s%s%s\n", o->name, o->arg ? " Ar " : "", o->arg ? o->arg : "");
    }
    if (c->args)
        put_args(out, c->args);
}

void
mdoc_options(struct buf *out, const struct option *o)
{
    if (!o || o->type == OPT_END)
        return;
    buf_put_str(out, ".Bl -tag -width Ds\n");
    for (; o->type != OPT_END; o++) {
        buf_put_str(out, ".It ");
        if (o->letter)
            buf_printf(out, "Fl %c , ", o->letter);
        buf_printf(out, "Fl -%s%s%s\n", o->name, o->arg ? " Ar " : "",
                   o->arg ? o->arg : "");
        mdoc_sentence(out, o->help);
    }
    buf_put_str(out, ".El\n");
}

void
mdoc_examples(struct buf *out, const struct command *const *table, const char *word)
{
    size_t len = strlen(word);
    bool any = false;

    for (size_t i = 0; table[i]; i++) {
        const struct command *c = table[i];
        if (strncmp(c->name, word, len) != 0 || (c->name[len] && c->name[len] != ' '))
            continue;
        for (size_t j = 0; c->examples && c->examples[j]; j += 2) {
            buf_put_str(out, any ? ".Pp\n" : ".Sh EXAMPLES\n");
            any = true;
            mdoc_text(out, c->examples[j + 1]);
            buf_put_str(out, ".Bd -literal -offset indent\n");
            put_line(out, c->examples[j], strlen(c->examples[j]));
            buf_put_str(out, ".Ed\n");
        }
    }
}

static enum mdoc_part
part_of(const char *section)
{
    static const char *const last[] = { "CAVEATS", "BUGS", "SECURITY CONSIDERATIONS" };

    for (size_t i = 0; i < COUNT_OF(last); i++)
        if (strncmp(section, last[i], strlen(last[i])) == 0)
            return MDOC_END;
    return MDOC_MIDDLE;
}

void
mdoc_prose(struct buf *out, struct buf *prose, enum mdoc_part part)
{
    enum mdoc_part at = MDOC_DESCRIPTION;

    if (part == MDOC_DESCRIPTION)
        buf_put_str(out, ".Sh DESCRIPTION\n");
    for (const char *p = buf_cstr(prose); *p;) {
        size_t len = strcspn(p, "\n");
        bool head = strncmp(p, ".Sh DESCRIPTION", 15) == 0; /* ours is there already */
        if (head)
            at = MDOC_DESCRIPTION;
        else if (strncmp(p, ".Sh ", 4) == 0)
            at = part_of(p + 4);
        if (at == part && !head)
            buf_printf(out, "%.*s\n", (int)len, p);
        p += len + (p[len] == '\n');
    }
}
