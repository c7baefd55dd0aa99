/* What mariadb-backup and mariadb-dump tell of a backup's moment. */
#include "mariadb.h"

#include <stdio.h>
#include <string.h>

/* Its files, by their name up to 10.11 and later. */
static const char *const files[] = { "xtrabackup_checkpoints", "xtrabackup_binlog_info",
                                     "mariadb_backup_checkpoints",
                                     "mariadb_backup_binlog_info" };

bool
mariadb_has_facts(struct slice path)
{
    for (size_t i = 0; i < COUNT_OF(files); i++)
        if (slice_equal(path, slice_str(files[i])))
            return true;
    return false;
}

/* "NAME = VALUE" on a line of its own. */
static void
put_setting(struct buf *facts, const char *fact, const char *text, const char *name)
{
    AUTOFREE char *key = mem_printf("\n%s = ", name);
    AUTOFREE char *all = mem_printf("\n%s", text);
    const char *at = strstr(all, key);

    if (!at)
        return;
    at += strlen(key);
    AUTOFREE char *value = mem_printf("%.*s", (int)strcspn(at, "\n"), at);
    facts_put(facts, fact, value);
}

/* "FILE\tPOSITION\tGTID", of which the last may be missing. */
static void
put_position(struct buf *facts, const char *text)
{
    size_t name = strcspn(text, "\t\n");
    const char *number = text + name + (text[name] == '\t');
    size_t digits = strspn(number, "0123456789");

    if (name == 0 || digits == 0)
        return;
    AUTOFREE char *place = mem_printf("%.*s:%.*s", (int)name, text, (int)digits, number);
    facts_put(facts, "binlog", place);
    if (number[digits] != '\t' || number[digits + 1] == '\n' || !number[digits + 1])
        return;
    number += digits + 1;
    AUTOFREE char *gtid = mem_printf("%.*s", (int)strcspn(number, "\n"), number);
    facts_put(facts, "gtid", gtid);
}

void
mariadb_put_facts(struct buf *facts, const char *text)
{
    put_setting(facts, "to-lsn", text, "to_lsn");
    put_setting(facts, "last-lsn", text, "last_lsn");
    put_position(facts, text);
}

/* In a dump: "-- CHANGE MASTER TO MASTER_LOG_FILE='NAME', MASTER_LOG_POS=123;" */
void
mariadb_put_coordinates(struct buf *facts, const char *fact, const char *head)
{
    static const char before[] = "-- CHANGE MASTER TO MASTER_LOG_FILE='",
                      between[] = "', MASTER_LOG_POS=";
    const char *at = strstr(head, before), *end;

    if (!at)
        return;
    at += strlen(before);
    end = strstr(at, between);
    size_t digits = end ? strspn(end + strlen(between), "0123456789") : 0;
    if (digits == 0 || memchr(at, '\n', (size_t)(end - at)))
        return;
    AUTOFREE char *place = mem_printf("%.*s:%.*s", (int)(end - at), at, (int)digits,
                                      end + strlen(between));
    facts_put(facts, fact, place);
}
