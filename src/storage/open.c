#include "storage/open.h"

#include "base/fs.h"
#include "base/log.h"
#include "net/url.h"
#include "s3/open.h"
#include "storage/dir.h"
#include "storage/wrap.h"

#include <string.h>

struct driver {
    const char *scheme;
    int (*open)(const struct conf_target *t, const struct url *u, struct storage **out,
                struct err *e);
    int (*create)(const struct conf_target *t, const struct url *u, struct err *e);
};

static int
check_folder(const struct url *u, struct err *e)
{
    if (u->host[0] && strcmp(u->host, "localhost") != 0)
        return err_set(e, ERR_USAGE, 0,
                       "file://%s/… names a host; write file:///%s/… for "
                       "the folder /%s",
                       u->host, u->host, u->host);
    if (!u->path[0])
        return err_set(e, ERR_USAGE, 0, "the URL names no folder; write file:///path");
    return 0;
}

static int
open_folder(const struct conf_target *t, const struct url *u, struct storage **out,
            struct err *e)
{
    if (t->endpoint || t->region)
        return err_set(e, ERR_USAGE, 0, "a file:// target has no endpoint and no region");
    if (check_folder(u, e) < 0)
        return -1;
    *out = storage_dir(u->path);
    return 0;
}

static int
create_folder(const struct conf_target *t, const struct url *u, struct err *e)
{
    (void)t;
    if (check_folder(u, e) < 0 || fs_mkdirs(u->path, 0750, e) < 0)
        return -1;
    return fs_sync_parent(u->path, e);
}

/* Its administrator makes a bucket; whether it is there, the first call tells. */
static int
create_nothing(const struct conf_target *t, const struct url *u, struct err *e)
{
    (void)t;
    (void)u;
    (void)e;
    return 0;
}

static const struct driver drivers[] = {
    { "file", open_folder, create_folder },
    { "s3", storage_s3_open, create_nothing },
};

static const struct driver *
find(const struct conf_target *t, struct url *u, struct err *e)
{
    if (url_parse(u, t->url, e) < 0)
        return NULL;
    for (size_t i = 0; i < COUNT_OF(drivers); i++)
        if (strcmp(u->scheme, drivers[i].scheme) == 0)
            return &drivers[i];
    err_set(e, ERR_USAGE, 0, "%s:// is no kind of target; there are file:// and s3://",
            u->scheme);
    return NULL;
}

enum direction { UPLOAD, DOWNLOAD };

/* NULL when nothing limits this direction at any hour. */
static struct pace *
make_pace(const struct conf_target *t, enum direction d)
{
    AUTOFREE struct pace_hours *hours = mem_zalloc((t->limit_count + 1) * sizeof *hours);
    bool any = false;

    for (size_t i = 0; i < t->limit_count; i++) {
        const struct conf_limit *l = &t->limits[i];
        hours[i] = (struct pace_hours){ .rate = d == UPLOAD ? l->upload : l->download,
                                        .from_min = l->from_min, .to_min = l->to_min };
        any |= hours[i].rate > 0;
    }
    return any ? pace_new(hours, t->limit_count) : NULL;
}

int
storage_open(const struct conf_target *t, const struct storage_watch *watch,
             struct storage **out, struct err *e)
{
    struct retry_options retry = RETRY_DEFAULT;
    CLEANUP(url_release) struct url u = { 0 };
    const struct driver *d = find(t, &u, e);
    struct storage *s = NULL;

    if (!d || d->open(t, &u, &s, e) < 0)
        return err_in(e, "target %s", t->name);
    if (t->limit_count > 0)
        s = storage_limit(s, make_pace(t, UPLOAD), make_pace(t, DOWNLOAD));
    if (watch) {
        retry.tried = watch->tried;
        retry.arg = watch->arg;
    }
    s = storage_retry(s, &retry);
    *out = storage_trace(s, t->name, watch ? watch->traffic : NULL);
    return 0;
}

int
storage_create(const struct conf_target *t, struct err *e)
{
    CLEANUP(url_release) struct url u = { 0 };
    const struct driver *d = find(t, &u, e);

    if (!d || d->create(t, &u, e) < 0)
        return err_in(e, "target %s", t->name);
    return 0;
}
