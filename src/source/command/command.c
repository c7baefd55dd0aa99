#include "../driver.h"
#include "../owner.h"
#include "programs.h"

#include "base/clock.h"
#include "base/text.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#define TAIL ((size_t)4096) /* bytes of output in which the end mark must stand */

struct command {
    struct source base; /* first: a struct command is a struct source */
    const struct conf_source *conf;
    const char *as;
    const char *const *only[2]; /* the one stage of `argv`, and NULL */
    struct programs stages;
    bool given;
    bool ended; /* the output is at its end */
    uint64_t bytes;
    struct buf tail; /* the end of the output, if a mark is looked for */
    struct owners *owners;
    struct buf user, group;
};

static const struct source_ops command_ops;

static struct command *
command_of(struct source *s)
{
    assert(s->ops == &command_ops);
    return (struct command *)s;
}

static int
command_next(struct source *s, struct entry *out, struct err *e)
{
    struct command *c = command_of(s);

    (void)e;
    programs_abort(&c->stages);
    if (c->given)
        return 0;
    c->given = true;
    *out = source_made(slice_str(c->as), clock_now());
    return 1;
}

static int
command_describe(struct source *s, struct entry *en, struct err *e)
{
    struct command *c = command_of(s);

    (void)e;
    owner_describe(c->owners, en, &c->user, &c->group);
    return 1;
}

static int
command_read_begin(struct source *s, struct entry *en, struct err *e)
{
    struct command *c = command_of(s);

    (void)en;
    programs_abort(&c->stages);
    buf_clear(&c->tail);
    c->bytes = 0;
    c->ended = false;
    return programs_start(&c->stages, NULL, e) < 0 ? -1 : 1;
}

static int
command_read(struct source *s, uint8_t *out, size_t len, size_t *got, uint64_t *hole,
             struct err *e)
{
    struct command *c = command_of(s);

    (void)hole;
    if (c->ended)
        return 0;
    if (programs_read(&c->stages, out, len, got, e) < 0)
        return -1;
    c->ended = *got == 0;
    c->bytes += *got;
    if (c->conf->command.end_mark)
        buf_put_last(&c->tail, out, *got);
    return 0;
}

/* Did it print what a whole output has? */
static int
judge(const struct command *c, struct err *e)
{
    const char *name = c->stages.list[c->stages.count - 1].argv[0];
    const char *mark = c->conf->command.end_mark;
    uint64_t least = c->conf->command.min_bytes;

    if (least == 0)
        least = !c->conf->allow_empty;
    if (c->bytes < least)
        return err_set(e, ERR_SOURCE, 0,
                       "command %s gave %llu bytes, expected are at least %llu", name,
                       (unsigned long long)c->bytes, (unsigned long long)least);
    if (mark && !memmem(c->tail.ptr, c->tail.len, mark, strlen(mark)))
        return err_set(
            e, ERR_SOURCE, 0,
            "command %s did not print the end mark \"%s\" in its last %zu bytes", name,
            mark, TAIL);
    return 0;
}

static int
command_read_end(struct source *s, bool *changed, struct err *e)
{
    struct command *c = command_of(s);

    (void)changed; /* never: it is read once */
    if (!c->ended) {
        programs_abort(&c->stages);
        return err_set(e, ERR_SOURCE, 0, "command %s was stopped before its end",
                       c->stages.list[0].argv[0]);
    }
    return programs_end(&c->stages, e) < 0 ? -1 : judge(c, e);
}

static void
command_close(struct source *s)
{
    struct command *c = command_of(s);

    programs_release(&c->stages);
    owners_free(c->owners);
    buf_release(&c->tail);
    buf_release(&c->user);
    buf_release(&c->group);
    mem_free(c);
}

static const struct source_ops command_ops = {
    .traits = SOURCE_WHOLE | SOURCE_STREAM,
    .moved = "is another program",
    .next = command_next,
    .describe = command_describe,
    .read_begin = command_read_begin,
    .read = command_read,
    .read_end = command_read_end,
    .close = command_close,
};

/* The configured commands, and what the names in them are. */
static int
check(const struct conf_source *c, const char *as, struct err *e)
{
    char ***stages = c->command.stages;
    size_t count = 0;

    if (!stages && (!c->command.argv || !c->command.argv[0]))
        return err_set(e, ERR_USAGE, 0, "the source %s has no command", c->name);
    while (stages && stages[count])
        if (count == STAGES_MAX || !stages[count++][0])
            return err_set(e, ERR_USAGE, 0, "the source %s has more than %d stages",
                           c->name, STAGES_MAX);
    if (!entry_path_valid(slice_str(as)) || strchr(as, '/') || strlen(as) > 255)
        return err_set(e, ERR_USAGE, 0, "the name %s of the output cannot be used",
                       text_of_name(slice_str(as)));
    return 0;
}

int
command_open(const struct conf_source *c, const struct source_options *o,
             struct source **out, struct err *e)
{
    const char *as = c->command.as ? c->command.as : "stdout";

    if (check(c, as, e) < 0)
        return -1;
    struct command *d = mem_zalloc(sizeof *d);
    d->base = (struct source){ .ops = &command_ops, .opt = *o };
    d->conf = c;
    d->as = as;
    d->only[0] = (const char *const *)c->command.argv;
    programs_init(&d->stages, c->command.stages
                                  ? (const char *const *const *)c->command.stages
                                  : d->only);
    d->base.identity = mem_strdup(d->stages.list[0].argv[0]);
    d->tail = BUF(TAIL);
    d->user = d->group = BUF(256);
    d->owners = owners_new();
    if (programs_check(&d->stages, e) < 0) {
        source_close(&d->base);
        return -1;
    }
    *out = &d->base;
    return 0;
}
