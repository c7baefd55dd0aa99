#include "base/fs.h"
#include "base/proc.h"
#include "base/text.h"

#include "impl.h"

#include <string.h>

#define ENV_MAX 256

/* "NAME=value" of each, NULL-terminated. */
static char **
environment(const struct yaml_node *map)
{
    size_t n = map ? map->count : 0;
    char **env = mem_zalloc((n + 1) * sizeof *env);

    for (size_t i = 0; i < n; i++)
        env[i] = mem_printf("%s=%s", map->items[i].key, map->items[i].text);
    return env;
}

static void
environment_free(char **env)
{
    for (char **p = env; *p; p++)
        mem_free(*p);
    mem_free(env);
}

const char *
command_wrong(const struct runbook *rb, const void *with)
{
    const struct command_with *c = with;

    (void)rb;
    for (size_t i = 0; c->env && i < c->env->count; i++) {
        if (c->env->items[i].kind != YAML_SCALAR)
            return "env must be a map of names to texts, as in { LANG: C }";
        if (!c->env->items[i].key[0] || strchr(c->env->items[i].key, '='))
            return "env has a name that no variable can have";
    }
    return c->env && c->env->count > ENV_MAX ? "env has too many variables" : NULL;
}

int
command_run(struct drill *d, const struct command_with *with, int64_t timeout_ms,
            struct command_run *run, struct err *e)
{
    char **env = environment(with->env);
    struct proc_options o = {
        .argv = (const char *const *)with->argv,
        .env = (const char *const *)env,
        .cwd = with->cwd ? with->cwd : d->runbook->sandbox_dir,
    };
    int64_t begun = clock_mono_ms();

    *run = (struct command_run){ .out = BUF(COMMAND_OUTPUT_MAX + 1),
                                 .err = BUF(COMMAND_OUTPUT_MAX + 1) };
    int rc = proc_run(&o, timeout_ms, &run->out, &run->err, &run->status, e);
    run->timed_out = rc == 0 && timeout_ms && run->status == 124
                  && clock_mono_ms() - begun >= timeout_ms;
    environment_free(env);
    return rc;
}

void
command_run_release(struct command_run *run)
{
    buf_release(&run->out);
    buf_release(&run->err);
}

char *
command_first_line(const struct buf *b)
{
    size_t len = 0;

    while (len < b->len && b->ptr[len] != '\n' && b->ptr[len])
        len++;
    return mem_printf("%.*s", (int)len, len ? (const char *)b->ptr : "");
}

char *
command_last_line(const struct buf *b)
{
    size_t end = b->len, begin;

    while (end > 0 && b->ptr[end - 1] == '\n')
        end--;
    for (begin = end; begin > 0 && b->ptr[begin - 1] != '\n'; begin--)
        continue;
    return mem_printf("%.*s", (int)(end - begin),
                      end > begin ? (const char *)b->ptr + begin : "");
}
