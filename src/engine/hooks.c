#include "hooks.h"

#include "base/log.h"
#include "base/proc.h"
#include "base/text.h"

#define SAID_MAX ((size_t)64 << 10)

static int
run(const struct conf_source *s, const char *what, char **argv, const char *result,
    unsigned flags, struct err *e)
{
    AUTOFREE char *source = mem_printf("DRTOOL_SOURCE=%s", s->name);
    AUTOFREE char *ended = result ? mem_printf("DRTOOL_RESULT=%s", result) : NULL;
    AUTOBUF struct buf said = BUF(SAID_MAX);
    const char *const env[] = { source, ended, NULL };
    struct proc_options o = { .argv = (const char *const *)argv,
                              .env = env,
                              .flags = flags };
    int status = 0;

    log_info("source %s: running %s: %s", s->name, what, argv[0]);
    if (proc_run(&o, s->hook_timeout_ms, NULL, &said, &status, e) < 0) {
        if (e->kind != ERR_CANCELLED)
            e->kind = ERR_SOURCE;
        return err_in(e, "%s", what);
    }
    if (status == 0)
        return 0;
    struct slice line = text_last_line(buf_slice(&said));
    return err_set(e, ERR_SOURCE, 0, "%s: %s %s %d: %s", what, argv[0],
                   status == 124 ? "took too long, or exited with" : "exited with",
                   status, line.len ? text_of_name(line) : "it said nothing on stderr");
}

int
hooks_before(struct hooks *h, struct err *e)
{
    h->begun = true;
    return h->source->before ? run(h->source, "before", h->source->before, NULL, 0, e)
                             : 0;
}

int
hooks_after(struct hooks *h, bool well, struct err *e)
{
    if (!h->begun)
        return 0;
    h->begun = false;
    h->failed = h->source->after
             && run(h->source, "after", h->source->after, well ? "ok" : "failed",
                    PROC_UNDO, e)
                    < 0;
    return h->failed ? -1 : 0;
}
