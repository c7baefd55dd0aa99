#include "wal_names.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define TIMELINE_DIGITS 8

void
wal_pos(const struct wal_name *n, char out[LOG_POS_MAX + 1])
{
    char text[WAL_NAME_MAX + 1];
    size_t skip = TIMELINE_DIGITS + (n->kind == WAL_HISTORY); /* with its dot */

    wal_name_text(n, text);
    snprintf(out, LOG_POS_MAX + 1, "%s", text + skip);
    for (char *p = out; *p; p++)
        *p = (char)tolower((unsigned char)*p);
}

bool
wal_of_pos(uint32_t timeline, const char *pos, struct wal_name *out)
{
    char text[WAL_NAME_MAX + 1], back[LOG_POS_MAX + 1];
    bool history = strcmp(pos, "history") == 0;
    int len = snprintf(text, sizeof text, "%08X%s%s", timeline, history ? "." : "", pos);

    if (len >= (int)sizeof text)
        return false;
    char *word = strrchr(text, '.'); /* "partial", "backup", "history" stay as they are */
    for (char *p = text; *p && p != word; p++)
        *p = (char)toupper((unsigned char)*p);
    if (!wal_name_parse(text, out))
        return false;
    wal_pos(out, back);
    return strcmp(back, pos) == 0;
}
