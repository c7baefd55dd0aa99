#include "drill/report.h"

#include "base/fs.h"

static int
add_text(const char *text, size_t len, void *arg)
{
    struct buf *out = arg;

    if (len > out->max - out->len)
        return -1;
    buf_put(out, text, len);
    return 0;
}

static int
write_json(const struct drill_result *r, const char *dir, struct err *e)
{
    AUTOFREE char *path = fs_join(dir, "report.json");
    json_t *o = json_object(), *members = report_json(r);
    AUTOBUF struct buf out = BUF(REPORT_MAX);

    json_object_set_new(o, "schema", json_string("drtool.report/1"));
    json_object_set_new(o, "exit", json_integer(status_number(r->status)));
    json_object_set_new(o, "status", json_string(status_name(r->status)));
    json_object_update(o, members);
    int rc = json_dump_callback(o, add_text, &out, JSON_INDENT(2));
    json_decref(members);
    json_decref(o);
    if (rc < 0 || add_text("\n", 1, &out) < 0)
        return err_set(e, ERR_UNSUPPORTED, 0, "it is larger than %zu bytes", out.max);
    return fs_replace(path, buf_slice(&out), 0644, e);
}

int
report_write(const struct drill_result *r, const char *dir, struct err *e)
{
    AUTOFREE char *path = fs_join(dir, "junit.xml");
    AUTOBUF struct buf out = BUF(REPORT_MAX);

    report_junit(r, &out);
    if (fs_mkdirs(dir, 0755, e) < 0 || write_json(r, dir, e) < 0
        || fs_replace(path, buf_slice(&out), 0644, e) < 0)
        return err_in(e, "the report");
    return 0;
}
