#include "cli/app.h"
#include "cli/output.h"
#include "engine/memory.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

int
app_load_config(struct app *app, struct err *e)
{
    if (app->conf)
        return 0;
    if (conf_load(app->config_path, &app->conf, e) < 0)
        return -1;
    return conf_limit(app->conf, app->limit_upload, app->limit_download, e);
}

void
app_note(struct app *app, enum status s)
{
    app->noted[s] = true;
}

int
app_open(struct app *app, struct err *e)
{
    unsigned needs = app->command->needs;

    app->result = json_object();
    if ((needs & (NEEDS_CONFIG | NEEDS_REPO)) && app_load_config(app, e) < 0)
        return -1;
    return 0;
}

void
app_close(struct app *app)
{
    conf_free(app->conf);
    app->conf = NULL;
    json_decref(app->result);
    app->result = NULL;
}

bool
app_chatty(const struct app *app)
{
    return !app->json && !app->quiet && (isatty(STDOUT_FILENO) || app->verbose > 0);
}

enum status
app_status(const struct app *app, enum status s)
{
    for (enum status noted = 0; noted < STATUS_COUNT; noted++)
        if (app->noted[noted])
            s = status_worse(s, noted);
    return s;
}

/* {"type":"result", "schema":…, "exit":…, "status":…, "statuses":[…], fields…,
 * "error":{…}} */
static void
print_result(const struct app *app, enum status s, const struct err *e)
{
    AUTOFREE char *schema = mem_printf("drtool.%s/1",
                                       app->command ? app->command->name : "error");
    json_t *o = json_object();

    for (char *p = schema; *p; p++)
        if (*p == ' ')
            *p = '.';
    json_put_text(o, "type", "result");
    json_put_text(o, "schema", schema);
    json_put_int(o, "exit", status_number(s));
    json_put_text(o, "status", status_name(s));
    json_t *all = json_put_array(o, "statuses");
    for (enum status i = 0; i < STATUS_COUNT; i++)
        if (app->noted[i] || i == s)
            json_add_text(all, status_name(i));
    if (app->result)
        json_object_update_missing(o, app->result);
    if (e->kind != ERR_NONE) {
        json_t *error = json_put_object(o, "error");
        json_put_text(error, "kind", err_name(e->kind));
        json_put_text(error, "message", err_text(e));
    }
    json_print(o);
    json_decref(o);
}

void
app_finish(struct app *app, enum status s, const struct err *e)
{
    bool raw = app->command && (app->command->needs & OWNS_STDOUT);

    if (app->json && !raw)
        print_result(app, s, e);
    if (e->kind != ERR_NONE)
        fprintf(stderr, "drtool: %s\n", err_text(e));
}

int
app_check_memory(uint64_t limit, struct err *e)
{
    if (limit == 0 || limit >= MEMORY_MIN)
        return 0;
    return err_set(e, ERR_USAGE, 0, "--memory must be at least %lluMiB",
                   (unsigned long long)(MEMORY_MIN >> 20));
}
