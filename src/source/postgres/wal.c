#include "source/wal.h"
#include "base/fs.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SEGMENT_DIGITS 24 /* timeline, then two halves of the place */

/* Exactly `digits` digits as the server writes them, upper case. */
static bool
take_hex(const char **at, unsigned digits, uint64_t *out)
{
    *out = 0;
    for (unsigned i = 0; i < digits; i++) {
        char c = (*at)[i];
        if (c >= '0' && c <= '9')
            *out = *out << 4 | (uint64_t)(c - '0');
        else if (c >= 'A' && c <= 'F')
            *out = *out << 4 | (uint64_t)(c - 'A' + 10);
        else
            return false;
    }
    *at += digits;
    return true;
}

bool
wal_name_parse(const char *text, struct wal_name *out)
{
    uint64_t timeline = 0, offset = 0;

    *out = (struct wal_name){ .kind = WAL_SEGMENT };
    if (!take_hex(&text, 8, &timeline) || timeline == 0)
        return false;
    out->timeline = (uint32_t)timeline;
    if (strcmp(text, ".history") == 0) {
        out->kind = WAL_HISTORY;
        return true;
    }
    if (!take_hex(&text, 16, &out->place))
        return false;
    if (!*text)
        return true;
    if (strcmp(text, ".partial") == 0) {
        out->kind = WAL_PARTIAL;
        return true;
    }
    if (*text++ != '.' || !take_hex(&text, 8, &offset) || strcmp(text, ".backup") != 0)
        return false;
    out->kind = WAL_BACKUP;
    out->offset = (uint32_t)offset;
    return true;
}

void
wal_name_text(const struct wal_name *n, char out[WAL_NAME_MAX + 1])
{
    int len = snprintf(out, WAL_NAME_MAX + 1, "%08X", n->timeline);

    if (n->kind != WAL_HISTORY)
        len += snprintf(out + len, SEGMENT_DIGITS - 8 + 1, "%016llX",
                        (unsigned long long)n->place);
    char *rest = out + len;
    size_t room = WAL_NAME_MAX + 1 - (size_t)len;
    if (n->kind == WAL_HISTORY)
        snprintf(rest, room, ".history");
    else if (n->kind == WAL_PARTIAL)
        snprintf(rest, room, ".partial");
    else if (n->kind == WAL_BACKUP)
        snprintf(rest, room, ".%08X.backup", n->offset);
}

/* The first half of a place counts 4 GiB each. */
uint64_t
wal_number(uint64_t place, uint64_t size)
{
    return (place >> 32) * (((uint64_t)1 << 32) / size) + (place & UINT32_MAX);
}

uint64_t
wal_place(uint64_t number, uint64_t size)
{
    uint64_t each = ((uint64_t)1 << 32) / size;

    return number / each << 32 | number % each;
}

static bool
is_size(uint64_t n)
{
    return n >= 1 << 20 && n <= WAL_SEGMENT_MAX && !(n & (n - 1));
}

/* Its MB and GB are powers of two. */
bool
wal_size_parse(const char *text, uint64_t *out)
{
    char unit[4];
    unsigned n;

    if (sscanf(text, "%6u%3s", &n, unit) != 2
        || (strcmp(unit, "MB") != 0 && strcmp(unit, "GB") != 0))
        return false;
    *out = (uint64_t)n << (unit[0] == 'G' ? 30 : 20);
    return is_size(*out);
}

bool
wal_lsn_parse(const char *text, uint64_t *out)
{
    unsigned high, low;
    int end = 0;

    if (strlen(text) > 17 || !isxdigit((unsigned char)text[0])
        || sscanf(text, "%8X/%8X%n", &high, &low, &end) != 2 || text[end])
        return false;
    *out = (uint64_t)high << 32 | low;
    return true;
}

const char *
wal_lsn_text(uint64_t lsn, char out[20])
{
    snprintf(out, 20, "%X/%X", (unsigned)(lsn >> 32), (unsigned)lsn);
    return out;
}

#define LONG_HEADER 0x0002 /* of the page's flags: it begins a segment */

int
wal_page_parse(struct slice head, struct wal_page *out, struct err *e)
{
    const uint8_t *p = head.ptr;

    if (head.len < WAL_PAGE_HEAD || (get_u16(p) & 0xfe00) != 0xd000
        || !(get_u16(p + 2) & LONG_HEADER))
        return err_set(e, ERR_SOURCE, 0, "it does not begin as a segment of a log does");
    *out = (struct wal_page){ .timeline = get_u32(p + 4),
                              .lsn = get_u64(p + 8),
                              .system_id = get_u64(p + 24),
                              .size = get_u32(p + 32) };
    if (!is_size(out->size))
        return err_set(e, ERR_SOURCE, 0, "its segments would have %llu bytes",
                       (unsigned long long)out->size);
    return 0;
}

int
wal_page_fits(const struct wal_page *p, const struct wal_name *n, struct err *e)
{
    char lsn[20];

    /* The first segment of a timeline begins with pages of the one before. */
    if (p->lsn != wal_number(n->place, p->size) * p->size || p->timeline > n->timeline)
        return err_set(e, ERR_SOURCE, 0,
                       "it is not what its name says: it begins at %s of timeline %u",
                       wal_lsn_text(p->lsn, lsn), p->timeline);
    return 0;
}

int
wal_system_of(const char *dir, uint64_t *id, struct err *e)
{
    AUTOFREE char *path = fs_join(dir, "global/pg_control");
    AUTOBUF struct buf control = BUF(65536);

    if (fs_read(path, control.max, &control, e) < 0)
        return -1;
    if (control.len < 8)
        return err_set(e, ERR_SOURCE, 0, "%s is cut short", path);
    *id = get_u64(control.ptr);
    return 0;
}

bool
wal_branch_next(struct slice *rest, struct wal_branch *out)
{
    while (rest->len > 0) {
        const uint8_t *nl = memchr(rest->ptr, '\n', rest->len);
        size_t len = nl ? (size_t)(nl - rest->ptr) : rest->len;
        AUTOFREE char *line = mem_printf("%.*s", (int)(len < 200 ? len : 200),
                                         (const char *)rest->ptr);
        char lsn[20];
        unsigned parent;
        *rest = slice_sub(*rest, nl ? len + 1 : len, rest->len - (nl ? len + 1 : len));
        if (sscanf(line, " %u %19s", &parent, lsn) == 2
            && wal_lsn_parse(lsn, &out->lsn)) {
            out->parent = parent;
            return true;
        }
    }
    return false;
}
