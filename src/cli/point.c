#include "point.h"
#include "base/fs.h"
#include "cli/output.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

int
point_take(const struct point_options *o, struct recover_point *p, struct err *e)
{
    const struct {
        bool given;
        enum recover_to to;
        const char *value;
    } all[] = {
        { o->to_snapshot, TO_SNAPSHOT, NULL }, { o->to_latest, TO_LATEST, NULL },
        { o->to_time, TO_TIME, o->to_time },   { o->to_lsn, TO_LSN, o->to_lsn },
        { o->to_xid, TO_XID, o->to_xid },      { o->to_name, TO_NAME, o->to_name },
    };
    unsigned given = 0;

    for (size_t i = 0; i < COUNT_OF(all); i++)
        if (all[i].given) {
            *p = (struct recover_point){ .to = all[i].to, .value = all[i].value };
            given++;
        }
    p->timeline = o->timeline;
    p->no_archive = o->no_archive;
    if (given > 1)
        return err_set(e, ERR_USAGE, 0,
                       "only one of --to-time, --to-lsn, --to-xid, "
                       "--to-name, --to-latest and --to-snapshot can be "
                       "given");
    if (o->timeline && p->to == TO_SNAPSHOT)
        return err_set(e, ERR_USAGE, 0,
                       "--timeline says along which the log is replayed: "
                       "it goes with --to-latest or another point");
    return recover_check_point(p, e) < 0 ? -1 : (int)given;
}

/* In a server's settings a % stands for a file. */
int
point_command(const struct app *app, char **out, struct err *e)
{
    AUTOFREE char *conf = fs_absolute(app->conf->path);
    AUTOBUF struct buf line = BUF(16384);
    char self[4096];
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
    const char *words[] = { "drtool", "-c", conf, "wal", "fetch" };

    self[len > 0 ? len : 0] = 0;
    words[0] = len > 0 ? self : words[0];
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        buf_put_str(&line, "\"");
        for (const char *p = words[i]; *p; p++)
            buf_printf(&line,
                       *p == '%'              ? "%%%%"
                       : strchr("\"\\$`", *p) ? "\\%c"
                                              : "%c",
                       *p);
        buf_put_str(&line, "\" ");
    }
    buf_put_str(&line, "%f %p");
    *out = mem_strdup(buf_cstr(&line));
    for (const char *p = *out; *p; p++)
        if ((unsigned char)*p < ' ')
            return err_set(e, ERR_USAGE, 0,
                           "the path of the program or of the configuration cannot stand "
                           "in a server's settings");
    return 0;
}

void
point_tell(struct app *app, const struct recover_point *p)
{
    char exact[64];
    static const char *const names[] = { "snapshot", "latest", "time",
                                         "lsn",      "xid",    "name" };

    recover_time_text(p, exact);
    json_put_text(app->result, "recovers_to", names[p->to]);
    if (p->value)
        json_put_text(app->result, "point", exact[0] ? exact : p->value);
    if (p->to != TO_SNAPSHOT)
        json_put_text(app->result, "timeline", p->timeline);
    if (app->json || app->quiet || p->to == TO_SNAPSHOT)
        return;
    printf("when a server is started on it, it replays its log to %s%s%s, along timeline "
           "%s\n",
           p->to == TO_LATEST ? "the end of what is stored" : names[p->to],
           p->value ? " " : "",
           p->to == TO_TIME ? exact
           : p->value       ? p->value
                            : "",
           p->timeline);
    if (!p->no_archive)
        printf("it stores its log as before; a copy beside the real server needs "
               "--no-archive\n");
}
