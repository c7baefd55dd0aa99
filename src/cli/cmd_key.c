#include "base/random.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/open.h"
#include "cli/output.h"
#include "conf/secret.h"

#include <stdio.h>
#include <string.h>

struct add_options {
    const char *role, *key_file, *passphrase_file, *passphrase_env;
    bool code;
};

struct listing {
    struct table *table;
    json_t *all;
    const char *prefix; /* of the key looked for; NULL: all */
    char found[64];
    unsigned matches;
};

static int
take_slot(void *arg, const char *key, const struct slot_info *info, struct err *e)
{
    struct listing *l = arg;
    const char *id = key + 5;

    (void)e;
    if (l->prefix) {
        if (strncmp(id, l->prefix, strlen(l->prefix)) == 0) {
            l->matches++;
            snprintf(l->found, sizeof l->found, "%s", key);
        }
        return 0;
    }
    json_t *o = json_add_object(l->all);
    json_put_text(o, "id", id);
    json_put_text(o, "kind", slot_kind_name(info->kind));
    json_put_text(o, "role", role_name(info->role));
    TABLE_ROW(l->table, id, slot_kind_name(info->kind), role_name(info->role));
    return 0;
}

static enum status
run_list(struct app *app, struct err *e)
{
    static const char *const heads[] = { "ID", "KIND", "ROLE", NULL };
    CLEANUP(repo_close_p) struct repo *r = NULL;
    CLEANUP(table_free_p) struct table *t = table_new(heads);
    struct listing l = { .table = t, .all = json_put_array(app->result, "keys") };

    if (open_for_reading(app, &r, e) < 0 || repo_slots(r, take_slot, &l, e) < 0)
        return app_fail(e);
    if (!app->json)
        table_print(t, stdout);
    return STATUS_OK;
}

static int
check_passphrase(struct buf *text, struct err *e)
{
    uint8_t secret[CODE_SECRET];
    struct err no_code = { 0 };

    if (text->len < 8)
        return err_set(e, ERR_USAGE, 0, "a passphrase needs at least 8 bytes");
    bool is_code = code_parse(buf_cstr(text), secret, &no_code) == 0;
    crypto_wipe(secret, sizeof secret);
    return is_code ? err_set(e, ERR_USAGE, 0,
                             "a recovery code is no passphrase: it would be taken for "
                             "the code when it is used")
                   : 0;
}

static int
add_with_passphrase(struct repo *r, const struct add_options *o, enum role role,
                    char key[22], struct err *e)
{
    AUTOFREE char *value = mem_strdup(o->passphrase_file ? o->passphrase_file
                                                         : o->passphrase_env);
    struct conf_secret ref = { .from = o->passphrase_file ? SECRET_FILE : SECRET_ENV,
                               .value = value };
    struct buf text = BUF(SECRET_MAX + 1);

    buf_room(&text, SECRET_MAX + 1); /* at once, so that growing leaves no copy behind */
    int rc = secret_resolve(&ref, &text, e);
    if (rc == 0)
        rc = check_passphrase(&text, e);
    if (rc == 0)
        rc = repo_slot_add(r, role, SLOT_PASSPHRASE, buf_slice(&text), key, e);
    crypto_wipe(text.ptr, text.cap);
    buf_release(&text);
    return rc;
}

static int
add(struct app *app, struct repo *r, const struct add_options *o, enum role role,
    char key[22], struct err *e)
{
    uint8_t secret[CODE_SECRET];
    char code[CODE_TEXT_LEN + 1] = "";
    int rc;

    if (o->passphrase_file || o->passphrase_env)
        return add_with_passphrase(r, o, role, key, e);
    if (o->key_file)
        return repo_key_file_add(r, role, o->key_file, key, e);
    random_bytes(NULL, secret, CODE_SECRET);
    code_text(secret, code);
    rc = repo_slot_add(r, role, SLOT_CODE, slice_of(secret, CODE_SECRET), key, e);
    if (rc == 0) {
        json_put_text(app->result, "recovery_code", code);
        if (!app->json)
            printf("Recovery code: %s\n", code);
    }
    crypto_wipe(secret, sizeof secret);
    crypto_wipe(code, sizeof code);
    return rc;
}

static enum status
run_add(struct app *app, struct err *e)
{
    const struct add_options *o = app->options;
    CLEANUP(repo_close_p) struct repo *r = NULL;
    int ways = (o->key_file != NULL) + (o->passphrase_file != NULL)
             + (o->passphrase_env != NULL) + o->code;
    enum role role = ROLE_ADMIN;
    char key[22] = "";

    if (!role_parse(o->role, &role))
        err_set(e, ERR_USAGE, 0, "%s is no role: admin, reader, maintain or writer",
                o->role);
    else if (ways != 1)
        err_set(e, ERR_USAGE, 0,
                "give one of --key-file, --passphrase-file, "
                "--passphrase-env and --recovery-code");
    if (e->kind != ERR_NONE || open_for_reading(app, &r, e) < 0
        || add(app, r, o, role, key, e) < 0)
        return app_fail(e);
    json_put_text(app->result, "id", key + 5);
    json_put_text(app->result, "role", role_name(role));
    if (!app->json && !app->quiet)
        printf("key %s (%s) is on all targets\n", key + 5, role_name(role));
    return STATUS_OK;
}

static enum status
run_remove(struct app *app, struct err *e)
{
    CLEANUP(repo_close_p) struct repo *r = NULL;
    struct listing l = { .prefix = app->arg_count == 1 ? app->args[0] : "" };

    if (app->arg_count != 1 || strlen(app->args[0]) < 4)
        err_set(e, ERR_USAGE, 0, "which key? give its id, or at least four digits of it");
    if (e->kind != ERR_NONE || open_for_reading(app, &r, e) < 0
        || repo_slots(r, take_slot, &l, e) < 0)
        return app_fail(e);
    if (l.matches != 1)
        err_set(e, l.matches ? ERR_USAGE : ERR_NOT_FOUND, 0,
                l.matches ? "several keys begin with %s"
                          : "there is no key %s; see "
                            "`drtool key list`",
                app->args[0]);
    if (e->kind != ERR_NONE || repo_slot_remove(r, l.found, e) < 0)
        return app_fail(e);
    json_put_text(app->result, "id", l.found + 5);
    if (!app->json && !app->quiet)
        printf(
            "key %s is removed; what it has opened before stays readable to who kept a "
            "copy\n",
            l.found + 5);
    return STATUS_OK;
}

#define AT(field) offsetof(struct add_options, field)

static const struct option add_table[] = {
    { OPT_STRING, "role", 0, "ROLE", AT(role), COMPLETE_NONE,
      "admin, reader, maintain or writer (default: reader)" },
    { OPT_STRING, "key-file", 0, "FILE", AT(key_file), COMPLETE_FILE,
      "make a new key file" },
    { OPT_STRING, "passphrase-file", 0, "FILE", AT(passphrase_file), COMPLETE_FILE,
      "read a passphrase from FILE" },
    { OPT_STRING, "passphrase-env", 0, "NAME", AT(passphrase_env), COMPLETE_NONE,
      "take a passphrase from the environment" },
    { OPT_FLAG, "recovery-code", 0, NULL, AT(code), COMPLETE_NONE,
      "make a recovery code and print it once" },
    { OPT_END, NULL, 0, NULL, 0, COMPLETE_NONE, NULL },
};

static const struct add_options add_defaults = { .role = "reader" };

static const char *const add_examples[] = {
    "drtool key add --role writer --key-file /etc/drtool/backup.key",
    "A key for a host that may back up but not read.",
    "drtool key add --role admin --recovery-code",
    "Another recovery code.",
    NULL,
};

const struct command cmd_key_list = {
    .name = "key list",
    .summary = "list the keys that open the repository",
    .needs = NEEDS_CONFIG,
    .run = run_list,
};

const struct command cmd_key_add = {
    .name = "key add",
    .summary = "add a key file, a passphrase or a recovery code",
    .options = add_table,
    .options_size = sizeof(struct add_options),
    .defaults = &add_defaults,
    .needs = NEEDS_CONFIG,
    .examples = add_examples,
    .run = run_add,
};

const struct command cmd_key_remove = {
    .name = "key remove",
    .args = "ID",
    .summary = "remove a key from all targets",
    .needs = NEEDS_CONFIG,
    .run = run_remove,
};
