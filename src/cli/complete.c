#include "cli/complete.h"
#include "scripts.h"

#include <string.h>

static const char *const kind_words[] = {
#define X(name, word) word,
    COMPLETES(X)
#undef X
};

const char *
complete_word(enum complete kind)
{
    return kind_words[kind];
}

int
complete_script(const struct command *const *table, const char *shell, struct buf *out,
                struct err *e)
{
    if (strcmp(shell, "bash") == 0)
        script_bash(table, out);
    else if (strcmp(shell, "zsh") == 0)
        script_zsh(table, out);
    else if (strcmp(shell, "fish") == 0)
        script_fish(table, out);
    else
        return err_set(e, ERR_USAGE, 0, "no completions for \"%.40s\"; there are some "
                       "for bash, zsh and fish", shell);
    return 0;
}
