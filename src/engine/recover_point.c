#include "recover_point.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/text.h"
#include "source/facts.h"
#include "source/wal.h"

#include "wal_path.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SETTINGS_MAX ((size_t)4 << 20)
#define OURS "# By drtool restore"
#define NAME_LEN_MAX 63 /* of a restore point, as the server has it */

/* Seconds and microseconds. What is not said is zero, as the server has it: a mistake
 * within the second that is named must not come back. */
static bool
time_of(const char *text, int64_t *s, unsigned *us)
{
    const char *dot = strchr(text, '.');
    unsigned unit = 100000;

    if (!text_time_begin(text, s))
        return false;
    *us = 0;
    for (const char *p = dot ? dot + 1 : ""; isdigit((unsigned char)*p); p++, unit /= 10)
        *us += (unsigned)(*p - '0') * unit;
    return true;
}

static bool
is_number(const char *text, uint64_t max)
{
    uint64_t n;

    return text_uint(text, max, &n) && n > 0;
}

static int
check_value(const struct recover_point *p, struct err *e)
{
    uint64_t lsn;
    int64_t s;
    unsigned us;

    switch (p->to) {
    case TO_SNAPSHOT:
    case TO_LATEST:
        return 0;
    case TO_TIME:
        return time_of(p->value, &s, &us)
                 ? 0
                 : err_set(e, ERR_USAGE, 0,
                           "\"%s\" is no time such as 2026-11-22T03:00:15.5", p->value);
    case TO_LSN:
        return wal_lsn_parse(p->value, &lsn)
                 ? 0
                 : err_set(e, ERR_USAGE, 0, "\"%s\" is no LSN such as 16/B374D848",
                           p->value);
    case TO_XID:
        return is_number(p->value, UINT64_MAX)
                 ? 0
                 : err_set(e, ERR_USAGE, 0, "\"%s\" is no number of a transaction",
                           p->value);
    case TO_NAME:
        return p->value[0] && strlen(p->value) <= NAME_LEN_MAX && !strchr(p->value, '\n')
                 ? 0
                 : err_set(e, ERR_USAGE, 0, "a restore point's name has 1 to %d bytes",
                           NAME_LEN_MAX);
    }
    return 0;
}

int
recover_check_point(const struct recover_point *p, struct err *e)
{
    const char *t = p->timeline;

    if (t && strcmp(t, "latest") != 0 && strcmp(t, "current") != 0
        && !is_number(t, UINT32_MAX))
        return err_set(e, ERR_USAGE, 0,
                       "\"%s\" is no timeline: give its number, latest or current", t);
    return check_value(p, e);
}

/* Can the log be replayed from the end of this snapshot to the point? */
static bool
lies_before(const struct snapshot *s, const struct recover_point *p)
{
    const char *stop = facts_get(buf_slice(&s->facts), "stop-lsn");
    uint64_t lsn, end;
    int64_t until;
    unsigned us;

    if (p->to == TO_TIME)
        return time_of(p->value, &until, &us)
            && (s->ended.s < until
                || (s->ended.s == until && s->ended.ns <= (int32_t)us * 1000));
    if (p->to == TO_LSN)
        return stop && wal_lsn_parse(stop, &end) && wal_lsn_parse(p->value, &lsn)
            && end <= lsn;
    return true;
}

int
recover_find_base(const struct snapshot_list *l, const struct recover_point *p,
                  struct snapshot_row **row, struct err *e)
{
    struct snapshot_row *newest = *row;

    for (struct snapshot_row *x = newest; x >= l->rows; x--)
        if (snapshot_same_source(x, newest) && (x == newest || snapshot_committed(x))
            && lies_before(&x->info, p)) {
            *row = x;
            return 0;
        }
    return err_set(e, ERR_NOT_FOUND, 0, "no backup of %s was complete before %s",
                   newest->info.source, p->value);
}

int
recover_has_log(struct repo *r, const struct snapshot *s, struct err *e)
{
    struct wal_backup b;
    struct wal_path w;

    if (!wal_backup_of(r, s, &b))
        return 0;
    if (wal_path_load(&w, r, &b, e) < 0)
        return -1;
    bool there = wal_path_has(&w, &b), proves = w.ranges.proves;
    wal_path_release(&w);
    return there || proves ? there
                           : err_set(e, ERR_UNAVAIL, 0,
                                     "too few targets answer to tell whether the "
                                     "server's log is stored; --to-snapshot does without "
                                     "it");
}

int
recover_choose_timeline(struct repo *r, const struct snapshot *s, struct recover_point *p,
                        struct err *e)
{
    struct wal_backup b;
    struct wal_path w;
    uint32_t left;
    uint64_t at;
    char lsn[20];
    int rc = 0;

    if (p->to == TO_SNAPSHOT || p->timeline || !wal_backup_of(r, s, &b))
        return 0;
    if (wal_path_load(&w, r, &b, e) < 0)
        return -1;
    p->timeline = "latest";
    if (!w.known) {
        rc = err_set(e, ERR_UNAVAIL, 0,
                     "the history of timeline %u cannot be read, so nobody knows whether "
                     "it goes on from this backup: say which is meant by --timeline",
                     w.ranges.newest);
    } else if (!wal_path_leads(&w, b.timeline, b.lsn)) {
        log_warn("timeline %u does not go on from this backup: the log is replayed along "
                 "its own, %u",
                 w.ranges.newest, b.timeline);
        p->timeline = "current";
    } else if (wal_path_forks(&w, &b, &left, &at)) {
        rc = err_set(e, ERR_USAGE, 0,
                     "two servers went on from timeline %u at %s: say which is meant by "
                     "--timeline %u or --timeline %u",
                     left, wal_lsn_text(at, lsn), left, w.ranges.newest);
    }
    wal_path_release(&w);
    return rc;
}

/* A value between quotes, as the server's configuration has it. */
static void
put_setting(struct buf *out, const char *name, const char *value)
{
    buf_printf(out, "%s = '", name);
    for (const char *p = value; *p; p++) {
        if (*p == '\'' || *p == '\\')
            buf_put_u8(out, (uint8_t)*p);
        buf_put_u8(out, (uint8_t)*p);
    }
    buf_put_str(out, "'\n");
}

void
recover_time_text(const struct recover_point *p, char out[64])
{
    int64_t s = 0;
    unsigned us = 0;
    struct tm tm;

    out[0] = 0;
    if (p->to != TO_TIME || !time_of(p->value, &s, &us))
        return;
    gmtime_r(&(time_t){ (time_t)s }, &tm);
    snprintf(out, 64, "%04d-%02d-%02d %02d:%02d:%02d.%06u+00", tm.tm_year + 1900,
             tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, us);
}

static void
put_point(struct buf *out, const struct recover_point *p)
{
    static const char *const names[] = { [TO_LSN] = "recovery_target_lsn",
                                         [TO_XID] = "recovery_target_xid",
                                         [TO_NAME] = "recovery_target_name" };

    char time[64];

    recover_time_text(p, time);
    buf_put_str(out, OURS "\n");
    if (p->no_archive)
        buf_put_str(out, "archive_mode = 'off' " OURS "\n");
    if (p->to == TO_SNAPSHOT)
        return;
    put_setting(out, "restore_command", p->command);
    put_setting(out, "recovery_end_command", "rm -rf pg_wal/.drtool-ahead");
    put_setting(out, "recovery_target_timeline", p->timeline ? p->timeline : "latest");
    if (p->to == TO_LATEST)
        return;
    if (p->to == TO_TIME)
        put_setting(out, "recovery_target_time", time);
    else
        put_setting(out, names[p->to], p->value);
    put_setting(out, "recovery_target_action", "promote");
}

/* A line of a recovery, of which the server takes but one, or one that an earlier
 * restore has put there. */
static bool
is_ours(struct slice line)
{
    static const char *const begins[] = { "recovery_target", "restore_command",
                                          "recovery_end_command" };

    for (size_t i = 0; i < COUNT_OF(begins); i++)
        if (line.len >= strlen(begins[i])
            && memcmp(line.ptr, begins[i], strlen(begins[i])) == 0)
            return true;
    return memmem(line.ptr, line.len, OURS, strlen(OURS)) != NULL;
}

static void
keep_others(struct buf *out, struct slice old)
{
    while (old.len > 0) {
        const uint8_t *nl = memchr(old.ptr, '\n', old.len);
        size_t len = nl ? (size_t)(nl - old.ptr) + 1 : old.len;
        struct slice line = slice_sub(old, 0, len);
        if (!is_ours(line))
            buf_put_slice(out, line);
        if (!is_ours(line) && !nl)
            buf_put_str(out, "\n");
        old = slice_sub(old, len, old.len - len);
    }
}

/* Two targets of a recovery are one too many, and those in other files are not ours. */
static void
warn_of_targets(const char *dir)
{
    AUTOFREE char *path = fs_join(dir, "postgresql.conf");
    AUTOBUF struct buf text = BUF(SETTINGS_MAX);
    struct err none = { 0 };

    if (fs_read(path, SETTINGS_MAX - 1, &text, &none) < 0)
        return;
    for (const char *line = buf_cstr(&text); line; line = strchr(line, '\n')) {
        line += strspn(line, "\n \t");
        if (strncmp(line, "recovery_target", strlen("recovery_target")) == 0)
            log_warn(
                "%s sets %.*s: that counts as well; take it out before the server is "
                "started",
                path, (int)strcspn(line, " =\t\n"), line);
    }
}

int
recover_write_point(const char *dir, const struct recover_point *p, struct err *e)
{
    AUTOFREE char *path = fs_join(dir, "postgresql.auto.conf");
    AUTOFREE char *signal = fs_join(dir, "recovery.signal");
    AUTOBUF struct buf old = BUF(SETTINGS_MAX), settings = BUF(2 * SETTINGS_MAX);

    if (p->to == TO_SNAPSHOT && !p->no_archive)
        return 0;
    if (access(path, F_OK) == 0 && fs_read(path, SETTINGS_MAX, &old, e) < 0)
        return -1;
    keep_others(&settings, buf_slice(&old));
    put_point(&settings, p);
    if (fs_replace(path, buf_slice(&settings), 0600, e) < 0)
        return -1;
    if (p->to == TO_SNAPSHOT)
        return 0;
    warn_of_targets(dir);
    return fs_replace(signal, slice_of("", 0), 0600, e);
}
