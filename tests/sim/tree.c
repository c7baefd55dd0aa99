#include "sim/tree.h"

#include "base/fs.h"
#include "sim/random.h"
#include "support/fixture.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILES 10
#define SHARED 3 /* files that all hosts have alike */
#define LARGE 9  /* the number of the large one */
#define ROOM ((size_t)320 << 10)

/* What a file was given last, and whether it is there. */
static uint64_t
content_of(int host, unsigned file, unsigned version)
{
    uint64_t who = file < SHARED ? 77 : 100 + (uint64_t)host;
    unsigned v = version;

    while (v > 0 && sim_mix(who, file * 1000 + v) % 3 != 0)
        v--;
    return sim_mix(who, file * 1000 + 500000 + v);
}

static bool
is_there(int host, unsigned file, unsigned version)
{
    return sim_mix(7 + (uint64_t)host, file * 1000 + version / 3) % 8 != 0;
}

static struct slice
bytes_of(int host, unsigned file, unsigned version, uint8_t room[ROOM])
{
    uint64_t seed = content_of(host, file, version);
    size_t len = file == LARGE ? ROOM - seed % 5000 : (size_t)(seed % 9000);

    fill_bytes(room, len, seed);
    return slice_of(room, len);
}

static char *
path_of(const char *dir, unsigned file)
{
    return mem_printf("%s/f%u", dir, file);
}

static void
put(const char *path, struct slice data, unsigned version, int64_t when_s)
{
    struct timespec t = { .tv_sec = when_s, .tv_nsec = version };
    struct timespec times[2] = { t, t };
    struct err e = { 0 };

    assert_ok(fs_replace(path, data, 0644, &e), &e);
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static bool
same(const char *path, struct slice data)
{
    AUTOBUF struct buf got = BUF(ROOM);
    struct err e = { 0 };

    return fs_read(path, ROOM, &got, &e) == 0 && slice_equal(buf_slice(&got), data);
}

void
tree_write(const char *dir, int host, unsigned version, int64_t when_s)
{
    static uint8_t room[ROOM];
    AUTOFREE char *mark = fs_join(dir, "version");
    AUTOFREE char *text = mem_printf("%u", version);
    struct err e = { 0 };

    assert_ok(fs_mkdirs(dir, 0755, &e), &e);
    for (unsigned i = 0; i < FILES; i++) {
        AUTOFREE char *path = path_of(dir, i);
        struct slice data = bytes_of(host, i, version, room);
        if (!is_there(host, i, version))
            unlink(path);
        else if (!same(path, data))
            put(path, data, version, when_s);
    }
    put(mark, slice_str(text), version, when_s);
}

bool
tree_read(const char *dir, int host, unsigned *version, struct err *e)
{
    static uint8_t room[ROOM];
    AUTOFREE char *mark = fs_join(dir, "version");
    AUTOBUF struct buf text = BUF(16);

    if (fs_read(mark, 16, &text, e) < 0)
        return false;
    *version = (unsigned)strtoul(buf_cstr(&text), NULL, 10);
    for (unsigned i = 0; i < FILES; i++) {
        AUTOFREE char *path = path_of(dir, i);
        bool there = access(path, F_OK) == 0;
        if (there != is_there(host, i, *version)
            || (there && !same(path, bytes_of(host, i, *version, room)))) {
            err_set(e, ERR_CORRUPT, 0, "f%u is not that of version %u", i, *version);
            return false;
        }
    }
    return true;
}
