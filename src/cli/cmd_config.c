#include "cli/app.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "conf/secret.h"

#include <string.h>

struct check_options {
    bool secrets;
};

/* Asks for the secret, without keeping it. */
static int
try_secret(const struct conf_secret *s, const char *what, struct err *e)
{
    struct buf out = BUF(SECRET_MAX);
    struct err why = { 0 };

    if (s->from == SECRET_NONE)
        return 0;
    int rc = secret_resolve(s, &out, &why);
    if (out.ptr)
        explicit_bzero(out.ptr, out.cap);
    buf_release(&out);
    if (rc < 0) {
        *e = why;
        return err_in(e, "%s", what);
    }
    return 0;
}

static int
try_secrets(const struct conf *c, struct err *e)
{
    if (try_secret(&c->key.passphrase, "key.passphrase", e) < 0)
        return -1;
    for (size_t i = 0; i < c->target_count; i++) {
        const struct conf_target *t = &c->targets[i];
        if (try_secret(&t->credentials.access_key, "access-key", e) < 0
            || try_secret(&t->credentials.secret_key, "secret-key", e) < 0
            || try_secret(&t->credentials.session_token, "session-token", e) < 0)
            return err_in(e, "target %s", t->name);
    }
    return 0;
}

static void
tell(struct app *app)
{
    const struct conf *c = app->conf;

    json_put_text(app->result, "file", c->path);
    json_put_text(app->result, "repository", c->repository);
    json_t *targets = json_put_array(app->result, "targets");
    for (size_t i = 0; i < c->target_count; i++) {
        json_t *t = json_add_object(targets);
        json_put_text(t, "name", c->targets[i].name);
        json_put_text(t, "url", c->targets[i].url);
        json_put_text(t, "site", c->targets[i].site);
    }
    json_t *sources = json_put_array(app->result, "sources");
    for (size_t i = 0; i < c->source_count; i++)
        json_add_text(sources, c->sources[i].name);
    if (!app->json && !app->quiet)
        printf("%s: repository %s, %zu target%s, %zu source%s: no mistakes found\n",
               c->path, c->repository, c->target_count, c->target_count == 1 ? "" : "s",
               c->source_count, c->source_count == 1 ? "" : "s");
}

static enum status
run(struct app *app, struct err *e)
{
    const struct check_options *o = app->options;

    if (o->secrets && try_secrets(app->conf, e) < 0)
        return app_fail(e);
    tell(app);
    return STATUS_OK;
}

#define AT(field) offsetof(struct check_options, field)

static const struct option options[] = {
    { OPT_FLAG, "secrets", 0, NULL, AT(secrets), COMPLETE_NONE,
      "also ask for every secret, and forget it again" },
    { OPT_END, NULL, 0, NULL, 0, COMPLETE_NONE, NULL },
};

static const char *const examples[] = {
    "drtool config check",
    "Check the configuration that the other commands would use.",
    "drtool -c shop.yaml config check --secrets",
    "Check a file, and that all of its secrets can be had.",
    NULL,
};

const struct command cmd_config_check = {
    .name = "config check",
    .summary = "check the configuration without touching any target",
    .options = options,
    .options_size = sizeof(struct check_options),
    .needs = NEEDS_CONFIG,
    .examples = examples,
    .run = run,
};
