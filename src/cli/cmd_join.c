#include "base/cancel.h"
#include "base/log.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/open.h"
#include "cli/output.h"
#include "conf/secret.h"
#include "crypto/seal.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

struct options {
    const char *name, *role, *key_file, *passphrase_file, *passphrase_env;
    int64_t wait_ms;
};

/* Letters, digits and "._-", so that HOST:SOURCE@WHEN can name it. */
static bool
good_name(const char *name)
{
    size_t n = strlen(name);

    return n > 0 && n <= 64
        && strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                        "0123456789._-")
               == n;
}

static int
check_options(const struct app *app, enum role *role, struct err *e)
{
    const struct options *o = app->options;
    const char *file = app->conf->key.file;
    int keys = (o->key_file != NULL) + (o->passphrase_file != NULL)
             + (o->passphrase_env != NULL);

    if (keys > 1)
        return err_set(e, ERR_USAGE, 0,
                       "give one of --key-file, --passphrase-file and --passphrase-env");
    if (o->name && !good_name(o->name))
        return err_set(e, ERR_USAGE, 0,
                       "%s is no name for a host: up to 64 letters, digits, `.`, `_` and "
                       "`-`",
                       o->name);
    if (!o->role)
        return 0;
    if (!role_parse(o->role, role) || *role == ROLE_MAINTAIN)
        return err_set(e, ERR_USAGE, 0,
                       "%s is no role for a host: writer, reader or admin", o->role);
    if (!file || access(file, F_OK) == 0)
        return err_set(e, ERR_USAGE, 0, "--role is for a new key file, and %s %s",
                       file ? "there is one already:" : "the configuration names none",
                       file ? file : "");
    return 0;
}

/* Waits for input, or for the signal that ends the run. */
static int
wait_for_line(struct err *e)
{
    struct pollfd in = { .fd = 0, .events = POLLIN };

    while (cancel_check(e) == 0)
        if (poll(&in, 1, 200) > 0)
            return 0;
    return -1;
}

/* One line of the terminal, not shown. */
static int
type_secret(struct buf *out, struct err *e)
{
    struct termios before, silent;
    char *line = (char *)buf_room(out, SECRET_MAX);

    if (!isatty(0) || tcgetattr(0, &before) < 0)
        return err_set(e, ERR_USAGE, 0,
                       "joining needs a key of role admin: give --key-file, "
                       "--passphrase-file or --passphrase-env (a recovery code will do), "
                       "or run it on a terminal");
    silent = before;
    silent.c_lflag &= ~(tcflag_t)ECHO;
    (void)!tcsetattr(0, TCSAFLUSH, &silent); /* drops what was typed before */
    fprintf(stderr, "Passphrase or recovery code: ");
    int rc = wait_for_line(e);
    ssize_t n = rc < 0 ? 0 : read(0, line, SECRET_MAX);
    (void)!tcsetattr(0, TCSAFLUSH, &before);
    fprintf(stderr, "\n");
    if (rc < 0)
        return -1;
    while (n > 0 && (line[n - 1] == '\n' || line[n - 1] == '\r'))
        n--;
    if (n <= 0)
        return err_set(e, ERR_USAGE, 0, "nothing was typed");
    out->len = (size_t)n;
    return 0;
}

/* What opens the repository: what was given, else the configuration's key, else
 * what is typed. Leaves `out` empty when `conf` names a key file to use. */
static int
find_key(const struct options *o, struct conf *conf, struct buf *out, struct err *e)
{
    const char *from = o->passphrase_file ? o->passphrase_file : o->passphrase_env;
    AUTOFREE char *value = mem_strdup(from ? from : "");
    struct conf_secret given = { .from = o->passphrase_file ? SECRET_FILE : SECRET_ENV,
                                 .value = value };

    if (o->key_file) {
        mem_free(conf->key.file);
        conf->key.file = mem_strdup(o->key_file);
        return 0;
    }
    if (from)
        return secret_resolve(&given, out, e);
    if (conf->key.file && access(conf->key.file, F_OK) == 0)
        return 0;
    if (conf->key.passphrase.from != SECRET_NONE)
        return secret_resolve(&conf->key.passphrase, out, e);
    return type_secret(out, e);
}

static int
join(struct app *app, enum role role, const char *wanted, struct join_result *res,
     struct repo **r, struct err *e)
{
    const struct options *o = app->options;
    struct join_options j = { .name = o->name, .key_file = wanted, .role = role };
    struct buf secret = BUF(SECRET_MAX + 2);

    buf_room(&secret, SECRET_MAX + 2); /* at once: growing would leave copies behind */
    int rc = find_key(o, app->conf, &secret, e);
    struct repo_options ro = { .conf = app->conf,
                               .write = true,
                               .wait_ms = o->wait_ms,
                               .passphrase = secret.len ? &secret : NULL };
    if (rc == 0)
        rc = repo_join(&ro, &j, res, r, e);
    crypto_wipe(secret.ptr, secret.cap);
    buf_release(&secret);
    return rc;
}

static void
tell(struct app *app, struct repo *r, const struct join_result *res, enum role role,
     const char *key_file)
{
    bool made = res->slot[0] != 0;

    json_put_text(app->result, "repository", app->conf->repository);
    json_put_text(app->result, "host", res->host);
    json_put_int(app->result, "hosts", res->hosts);
    json_put_text(app->result, "key_file", made ? key_file : NULL);
    json_put_text(app->result, "key", made ? res->slot + 5 : NULL);
    json_put_text(app->result, "role", made ? role_name(role) : NULL);
    open_tell_targets(app, r);
    for (size_t i = 0; i < fleet_count(repo_fleet(r)); i++)
        if (!target_is_up(repo_fleet(r), fleet_target(repo_fleet(r), i)))
            app_note(app, STATUS_DEGRADED);
    if (repo_rollback_seen(r))
        app_note(app, STATUS_ROLLBACK);
    if (res->namesakes > 0)
        log_warn("the repository knows another host called %s: HOST:SOURCE does not tell "
                 "them apart",
                 res->host);
    if (app->json || app->quiet)
        return;
    printf("Host %s is a member of the repository %s, one of %u.\n", res->host,
           app->conf->repository, res->hosts);
    if (made)
        printf("Key file: %s, with a new key of role %s (%s).\n", key_file,
               role_name(role), res->slot + 5);
}

static enum status
run(struct app *app, struct err *e)
{
    AUTOFREE char *wanted = mem_strdup(app->conf->key.file); /* join() may use another */
    CLEANUP(repo_close_p) struct repo *r = NULL;
    struct join_result res = { .slot = "" };
    enum role role = ROLE_READER;

    if (check_options(app, &role, e) < 0)
        return app_fail(e);
    int rc = join(app, role, wanted, &res, &r, e);
    if (res.host[0])
        tell(app, r, &res, role, wanted);
    return rc < 0 ? app_fail(e) : STATUS_OK;
}

#define AT(field) offsetof(struct options, field)

static const struct option options[] = {
    { OPT_STRING, "name", 0, "HOSTNAME", AT(name), COMPLETE_NONE,
      "what this host is called in the repository (default: its host name)" },
    { OPT_STRING, "role", 0, "ROLE", AT(role), COMPLETE_NONE,
      "of the new key file: writer, reader or admin (default: reader)" },
    { OPT_STRING, "key-file", 0, "FILE", AT(key_file), COMPLETE_FILE,
      "join with the admin key in FILE" },
    { OPT_STRING, "passphrase-file", 0, "FILE", AT(passphrase_file), COMPLETE_FILE,
      "join with the passphrase or recovery code in FILE" },
    { OPT_STRING, "passphrase-env", 0, "NAME", AT(passphrase_env), COMPLETE_NONE,
      "join with the one in this variable of the environment" },
    { OPT_DURATION, "wait", 0, "TIME", AT(wait_ms), COMPLETE_NONE,
      "wait so long for another run on this host to end" },
    { OPT_END, NULL, 0, NULL, 0, COMPLETE_NONE, NULL },
};

static const char *const examples[] = {
    "drtool join",
    "Type the recovery code; the key file of the configuration is made.",
    "drtool join --role writer --passphrase-env CODE",
    "The same without a terminal, with a key that cannot read backups.",
    NULL,
};

const struct command cmd_join = {
    .name = "join",
    .summary = "let this host back up into a repository that exists",
    .options = options,
    .options_size = sizeof(struct options),
    .needs = NEEDS_CONFIG,
    .examples = examples,
    .run = run,
};
