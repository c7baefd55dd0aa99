#include "base/text.h"
#include "cli/app.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "conf/secret.h"
#include "crypto/seal.h"
#include "repo/repo.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct init_options {
    bool yes_saved;
};

/* The operator types one group of the code, to show that it was written down. */
static int
prove_saved(const char *code, struct err *e)
{
    char line[128] = "", want[5];

    memcpy(want, code + 5 * 5, 4); /* the sixth group */
    want[4] = 0;
    fprintf(stderr, "\nWrite the recovery code down, away from this machine.\n"
                    "Then type its sixth group: ");
    if (!fgets(line, sizeof line, stdin))
        return err_set(
            e, ERR_USAGE, 0,
            "the recovery code was not confirmed; the "
            "repository is made, and `drtool key add --role admin --recovery-code` makes "
            "another code");
    line[strcspn(line, "\r\n")] = 0;
    if (strcasecmp(line, want) != 0)
        return err_set(
            e, ERR_USAGE, 0,
            "that is not the sixth group; the repository is "
            "made, and `drtool key add --role admin --recovery-code` makes another code");
    return 0;
}

static enum status
run(struct app *app, struct err *e)
{
    const struct init_options *o = app->options;
    struct repo_options ro = { .conf = app->conf };
    struct buf passphrase = BUF(SECRET_MAX);
    bool has_passphrase = app->conf->key.passphrase.from != SECRET_NONE;
    char code[CODE_TEXT_LEN + 1] = "";

    if (!o->yes_saved && !isatty(0))
        err_set(e, ERR_USAGE, 0,
                "init prints a recovery code that must be written down; "
                "give --yes-saved to run it without a terminal");
    else if (!has_passphrase
             || secret_resolve(&app->conf->key.passphrase, &passphrase, e) == 0)
        (void)!repo_init(&ro, has_passphrase ? &passphrase : NULL, code, e);
    if (passphrase.ptr)
        crypto_wipe(passphrase.ptr, passphrase.cap);
    buf_release(&passphrase);
    if (e->kind != ERR_NONE)
        return app_fail(e);
    json_put_text(app->result, "repository", app->conf->repository);
    json_put_text(app->result, "recovery_code", code);
    json_put_text(app->result, "key_file", app->conf->key.file);
    if (!app->json) {
        printf("Repository %s is ready on %zu target%s.\n", app->conf->repository,
               app->conf->target_count, app->conf->target_count == 1 ? "" : "s");
        if (app->conf->key.file)
            printf("Key file:      %s\n", app->conf->key.file);
        printf("Recovery code: %s\n", code);
        fflush(stdout);
    }
    if (!o->yes_saved && prove_saved(code, e) < 0)
        return app_fail(e);
    return STATUS_OK;
}

#define AT(field) offsetof(struct init_options, field)

static const struct option options[] = {
    { OPT_FLAG, "yes-saved", 0, NULL, AT(yes_saved), COMPLETE_NONE,
      "do not ask whether the recovery code was written down" },
    { OPT_END, NULL, 0, NULL, 0, COMPLETE_NONE, NULL },
};

static const char *const examples[] = {
    "drtool init",
    "Make the repository on all targets of the configuration.",
    "drtool --json init --yes-saved",
    "The same for automation, which keeps the code from the JSON.",
    NULL,
};

const struct command cmd_init = {
    .name = "init",
    .summary = "make a new repository on all targets of the configuration",
    .options = options,
    .options_size = sizeof(struct init_options),
    .needs = NEEDS_CONFIG,
    .examples = examples,
    .run = run,
};
