#include "wal_batch.h"

#include "base/fs.h"
#include "base/log.h"

#include "wal_names.h"

#include <dirent.h>
#include <string.h>
#include <unistd.h>

#define READY ".ready"

static bool
has(const struct wal_batch *b, const char *file)
{
    for (size_t i = 0; i < b->count; i++)
        if (strcmp(b->jobs[i].file.text, file) == 0)
            return true;
    return false;
}

static int
add(struct wal_batch *b, const char *path, bool named, struct err *e)
{
    struct wal_job *j = &b->jobs[b->count];

    *j = (struct wal_job){ .named = named };
    if (wal_file_open(&j->file, path, e) < 0)
        return -1;
    if (has(b, j->file.text)) {
        wal_file_close(&j->file);
        return 0;
    }
    if (b->count > 0 && j->file.system != b->jobs[0].file.system) {
        wal_file_close(&j->file);
        return err_set(e, ERR_SOURCE, 0, "%s belongs to another server than %s", path,
                       b->jobs[0].file.path);
    }
    wal_pos(&j->file.name, j->pos);
    b->count++;
    return 0;
}

/* How much of a path is its folder, with the slash. */
static int
dir_len(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? (int)(slash + 1 - path) : 0;
}

/* The folder in which the server says what has ended, beside a file; free it. */
static char *
status_dir(const char *path)
{
    return mem_printf("%.*sarchive_status", dir_len(path), path);
}

/* A file that the server still writes must not be stored under the name of what it will
 * be. */
static int
check_ended(const char *path, struct err *e)
{
    AUTOFREE char *status = status_dir(path);
    const char *file = path + dir_len(path);
    AUTOFREE char *ready = mem_printf("%s/%s" READY, status, file);
    AUTOFREE char *done = mem_printf("%s/%s.done", status, file);

    return access(status, F_OK) < 0 || access(ready, F_OK) == 0 || access(done, F_OK) == 0
             ? 0
             : err_set(e, ERR_SOURCE, 0,
                       "%s: the server may still write it: %s is not there", path, ready);
}

/* The first names of what is ready, sorted, so that the oldest come along. */
static size_t
list_ready(const char *dir, char *names[WAL_BATCH_FILES])
{
    DIR *d = opendir(dir);
    const struct dirent *x;
    size_t count = 0;

    while (d && (x = readdir(d))) {
        size_t len = strlen(x->d_name), at = count;
        if (len <= strlen(READY) || strcmp(x->d_name + len - strlen(READY), READY) != 0)
            continue;
        char *name = mem_printf("%.*s", (int)(len - strlen(READY)), x->d_name);
        while (at > 0 && strcmp(name, names[at - 1]) < 0)
            at--;
        if (at == WAL_BATCH_FILES) {
            mem_free(name);
            continue;
        }
        if (count == WAL_BATCH_FILES)
            mem_free(names[--count]);
        memmove(&names[at + 1], &names[at], (count - at) * sizeof *names);
        names[at] = name;
        count++;
    }
    if (d)
        closedir(d);
    return count;
}

static void
add_ready(struct wal_batch *b)
{
    const char *first = b->jobs[0].file.path;
    AUTOFREE char *status = status_dir(first);
    char *names[WAL_BATCH_FILES];
    uint64_t bytes = 0;
    size_t count = list_ready(status, names);

    for (size_t i = 0; i < count; i++) {
        AUTOFREE char *path = mem_printf("%.*s%s", dir_len(first), first, names[i]);
        struct err none = { 0 };
        bool fits = b->count < WAL_BATCH_FILES && bytes < WAL_BATCH_BYTES;
        if (fits && add(b, path, false, &none) == 0)
            bytes += b->jobs[b->count - 1].file.size;
        else if (fits) /* told when the server asks for it */
            log_info("%s", err_text(&none));
        mem_free(names[i]);
    }
}

int
wal_batch_gather(struct wal_batch *b, const char *const *paths, struct err *e)
{
    for (size_t i = 0; paths[i]; i++) {
        if (b->count == WAL_BATCH_FILES)
            return err_set(e, ERR_USAGE, 0, "at most %d files at once", WAL_BATCH_FILES);
        if (check_ended(paths[i], e) < 0 || add(b, paths[i], true, e) < 0)
            return -1;
    }
    add_ready(b);
    return 0;
}

void
wal_batch_release(struct wal_batch *b)
{
    for (size_t i = 0; i < b->count; i++)
        wal_file_close(&b->jobs[i].file);
}
