#include "scripts.h"
#include "cli/complete.h"

#include <string.h>

/* Bash and zsh share their shape: find the command among the words, take its
 * options and the kind of its values from a case, then offer what fits. */

static void
put_first_words(const struct command *const *table, struct buf *out)
{
    const char *last = "";
    size_t last_len = 0;

    for (size_t i = 0; table[i]; i++) {
        size_t len = strcspn(table[i]->name, " ");
        if (command_hidden(table[i])
            || (len == last_len && memcmp(last, table[i]->name, len) == 0))
            continue;
        buf_printf(out, "%s%.*s", last_len ? " " : "", (int)len, table[i]->name);
        last = table[i]->name;
        last_len = len;
    }
}

static void
put_option_words(const struct option *o, struct buf *out)
{
    for (; o && o->type != OPT_END; o++) {
        buf_printf(out, " --%s", o->name);
        if (o->letter)
            buf_printf(out, " -%c", o->letter);
    }
}

/* "-t|--target) kind=target ;;" for each option that takes a value; the words
 * of an enum are given themselves. */
static void
put_value_kinds(const struct option *o, const char *indent, struct buf *out)
{
    for (; o && o->type != OPT_END; o++) {
        if (!o->arg)
            continue;
        buf_put_str(out, indent);
        if (o->letter)
            buf_printf(out, "-%c|", o->letter);
        if (o->type == OPT_ENUM) {
            buf_printf(out, "--%s) kind=words; offers=\"", o->name);
            for (const char *p = o->arg; *p; p++)
                buf_put_u8(out, *p == '|' ? ' ' : (uint8_t)*p);
            buf_put_str(out, "\" ;;\n");
        } else {
            buf_printf(out, "--%s) kind=%s ;;\n", o->name, complete_word(o->complete));
        }
    }
}

/* The case over "first second" of the words typed. */
static void
put_cases(const struct command *const *table, struct buf *out)
{
    for (size_t i = 0; table[i]; i++) {
        const struct command *c = table[i];
        if (command_hidden(c))
            continue;
        buf_printf(out, "    \"%s \"*)\n        opts=\"", c->name);
        put_option_words(c->options, out);
        buf_printf(out, "\" kind=%s\n", complete_word(c->complete));
        if (c->options && c->options[0].type != OPT_END) {
            buf_put_str(out, "        case $prev in\n");
            put_value_kinds(c->options, "        ", out);
            buf_put_str(out, "        esac\n");
        }
        buf_put_str(out, "        ;;\n");
    }
    for (size_t i = 0; table[i]; i++) { /* groups wait for their second word */
        size_t len = strcspn(table[i]->name, " ");
        if (!table[i]->name[len]
            || (i > 0 && strncmp(table[i - 1]->name, table[i]->name, len + 1) == 0))
            continue;
        buf_printf(out, "    \"%.*s \"*) kind=words offers=\"", (int)len, table[i]->name);
        for (size_t j = i; table[j]; j++)
            if (strncmp(table[j]->name, table[i]->name, len + 1) == 0)
                buf_printf(out, "%s%s", j > i ? " " : "", table[j]->name + len + 1);
        buf_put_str(out, "\" ;;\n");
    }
}

static void
put_body(const struct command *const *table, struct buf *out)
{
    buf_put_str(out, "    opts= kind=words offers=\"");
    put_first_words(table, out);
    buf_put_str(out, "\"\n    case \"$typed\" in\n");
    put_cases(table, out);
    buf_put_str(out, "    esac\n    opts=\"$opts");
    put_option_words(global_options, out);
    buf_put_str(out, "\"\n    case $prev in\n");
    put_value_kinds(global_options, "    ", out);
    buf_put_str(out, "    esac\n");
}

void
script_bash(const struct command *const *table, struct buf *out)
{
    buf_put_str(out,
        "# bash completion for drtool; made by: drtool completion bash\n"
        "_drtool() {\n"
        "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
        "    local typed= opts kind offers i config=()\n"
        "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
        "        case ${COMP_WORDS[i]} in\n"
        "        -c|--config) config=(-c \"${COMP_WORDS[++i]}\") ;;\n"
        "        -*) ;;\n"
        "        *) typed+=\"${COMP_WORDS[i]} \" ;;\n"
        "        esac\n"
        "    done\n");
    put_body(table, out);
    buf_put_str(out,
        "    if [[ $cur == -* ]]; then\n"
        "        kind=words offers=$opts\n"
        "    fi\n"
        "    case $kind in\n"
        "    none) COMPREPLY=() ;;\n"
        "    file|dir)\n"
        "        compopt -o filenames\n"
        "        mapfile -t COMPREPLY < <(compgen -${kind:0:1} -- \"$cur\")\n"
        "        ;;\n"
        "    words) mapfile -t COMPREPLY < <(compgen -W \"$offers\" -- \"$cur\") ;;\n"
        "    *)\n"
        "        offers=$(drtool \"${config[@]}\" __complete \"$kind\" 2>/dev/null)\n"
        "        mapfile -t COMPREPLY < <(compgen -W \"$offers\" -- \"$cur\")\n"
        "        ;;\n"
        "    esac\n"
        "}\n"
        "complete -F _drtool drtool\n");
}

void
script_zsh(const struct command *const *table, struct buf *out)
{
    buf_put_str(out,
        "#compdef drtool\n"
        "# zsh completion for drtool; made by: drtool completion zsh\n"
        "_drtool() {\n"
        "    local prev=${words[CURRENT-1]} cur=${words[CURRENT]} typed= opts kind i\n"
        "    local -a line config\n"
        "    local offers\n"
        "    line=(\"${words[@]}\")\n"
        "    for ((i = 2; i < CURRENT; i++)); do\n"
        "        case ${line[i]} in\n"
        "        -c|--config) config=(-c \"${line[++i]}\") ;;\n"
        "        -*) ;;\n"
        "        *) typed+=\"${line[i]} \" ;;\n"
        "        esac\n"
        "    done\n");
    put_body(table, out);
    buf_put_str(out,
        "    if [[ $cur == -* ]]; then\n"
        "        kind=words offers=$opts\n"
        "    fi\n"
        "    case $kind in\n"
        "    none) ;;\n"
        "    file) _files ;;\n"
        "    dir) _files -/ ;;\n"
        "    words) compadd -- ${=offers} ;;\n"
        "    *) compadd -- ${(f)\"$(drtool $config __complete $kind 2>/dev/null)\"} ;;\n"
        "    esac\n"
        "}\n"
        "if [[ $funcstack[1] == _drtool ]]; then\n"
        "    _drtool \"$@\"\n"
        "else\n"
        "    compdef _drtool drtool\n"
        "fi\n");
}

/* A help text inside single quotes of fish. */
static void
put_quoted(const char *text, struct buf *out)
{
    buf_put_u8(out, '\'');
    for (; *text; text++) {
        if (*text == '\'' || *text == '\\')
            buf_put_u8(out, '\\');
        buf_put_u8(out, (uint8_t)*text);
    }
    buf_put_u8(out, '\'');
}

static void
put_fish_value(enum complete kind, struct buf *out)
{
    if (kind == COMPLETE_FILE)
        buf_put_str(out, " -F");
    else if (kind == COMPLETE_DIR)
        buf_put_str(out, " -a '(__fish_complete_directories)'");
    else if (kind != COMPLETE_NONE)
        buf_printf(out, " -a '(__drtool_ask %s)'", complete_word(kind));
}

static void
put_fish_options(const char *condition, const struct option *o, struct buf *out)
{
    for (; o && o->type != OPT_END; o++) {
        buf_printf(out, "complete -c drtool%s -l %s", condition, o->name);
        if (o->letter)
            buf_printf(out, " -s %c", o->letter);
        if (o->arg)
            buf_put_str(out, o->complete == COMPLETE_FILE ? " -r" : " -x");
        if (o->type == OPT_ENUM) {
            buf_put_str(out, " -a '");
            for (const char *p = o->arg; *p; p++)
                buf_put_u8(out, *p == '|' ? ' ' : (uint8_t)*p);
            buf_put_u8(out, '\'');
        } else if (o->arg) {
            put_fish_value(o->complete, out);
        }
        buf_put_str(out, " -d ");
        put_quoted(o->help, out);
        buf_put_u8(out, '\n');
    }
}

/* The word behind what must be typed already: a command's own, or its second. */
static void
put_fish_word(const struct command *c, struct buf *out)
{
    const char *space = strchr(c->name, ' ');

    buf_printf(out, "complete -c drtool -n '__drtool_typed \"%.*s\"' -a %s -d ",
               space ? (int)(space - c->name) : 0, c->name, space ? space + 1 : c->name);
    put_quoted(c->summary, out);
    buf_put_u8(out, '\n');
}

void
script_fish(const struct command *const *table, struct buf *out)
{
    buf_put_str(out,
        "# fish completion for drtool; made by: drtool completion fish\n"
        "function __drtool_words\n"
        "    set -l skip 0\n"
        "    for word in (commandline -opc)[2..-1]\n"
        "        if test $skip = 1\n"
        "            set skip 0\n"
        "        else if contains -- $word -c --config\n"
        "            set skip 1\n"
        "        else if not string match -q -- '-*' $word\n"
        "            echo $word\n"
        "        end\n"
        "    end\n"
        "end\n"
        "function __drtool_typed\n"
        "    set -l typed (__drtool_words)\n"
        "    test \"$typed\" = \"$argv[1]\"\n"
        "end\n"
        "function __drtool_in\n"
        "    set -l typed (__drtool_words)\n"
        "    string match -q -- \"$argv[1] *\" \"$typed \"\n"
        "end\n"
        "function __drtool_ask\n"
        "    set -l words (commandline -opc)\n"
        "    set -l config\n"
        "    for i in (seq (count $words))\n"
        "        if contains -- $words[$i] -c --config; and set -q words[(math $i + 1)]\n"
        "            set config -c $words[(math $i + 1)]\n"
        "        end\n"
        "    end\n"
        "    drtool $config __complete $argv[1] 2>/dev/null\n"
        "end\n"
        "complete -c drtool -f\n");
    const char *group = "";
    for (size_t i = 0; table[i]; i++) {
        const struct command *c = table[i];
        size_t len = strcspn(c->name, " ");
        if (command_hidden(c))
            continue;
        if (c->name[len] && strncmp(group, c->name, len + 1) != 0)
            buf_printf(out, "complete -c drtool -n '__drtool_typed \"\"' -a %.*s\n",
                       (int)len, c->name);
        group = c->name;
        put_fish_word(c, out);
        AUTOFREE char *in = mem_printf(" -n '__drtool_in \"%s\"'", c->name);
        if (c->complete != COMPLETE_NONE) {
            buf_printf(out, "complete -c drtool%s", in);
            put_fish_value(c->complete, out);
            buf_put_u8(out, '\n');
        }
        put_fish_options(in, c->options, out);
    }
    put_fish_options("", global_options, out);
}
