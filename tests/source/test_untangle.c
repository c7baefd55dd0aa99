#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../src/source/mariadb/untangle.h"
#include "stream.h"

#include <stdlib.h>

#define STREAM_MAX ((size_t)16 << 20)
#define DIR "/tmp"

/* Writes down the files as they come, "a(3)=abc;", with "(?)" for an unknown size. With
 * `skip`, none is read. */
static int
play(struct slice bytes, size_t piece, bool skip, struct buf *seen, struct err *e)
{
    struct given g = { bytes, piece };
    struct untangle u;
    struct slice path;
    uint64_t size;
    int rc;

    untangle_init(&u, give, &g, DIR);
    while ((rc = untangle_next(&u, &path, &size, e)) == 1) {
        uint8_t block[1000];
        size_t got = !skip;
        uint64_t sum = 0;
        buf_put_slice(seen, path);
        if (size == UINT64_MAX)
            buf_put_str(seen, "(?)=");
        else
            buf_printf(seen, "(%llu)=", (unsigned long long)size);
        while (got > 0 && (rc = untangle_read(&u, block, sizeof block, &got, e)) == 0) {
            sum += got;
            buf_put(seen, block, sum < 100 ? got : 0);
        }
        if (rc < 0)
            break;
        assert_true(skip || size == UINT64_MAX || sum == size);
        if (sum >= 100)
            buf_printf(seen, "%llu bytes", (unsigned long long)sum);
        buf_put_str(seen, ";");
    }
    untangle_release(&u);
    assert_true(rc == 0 || e->kind == ERR_SOURCE);
    return rc;
}

static void
gives(const struct buf *b, const char *want)
{
    static const size_t pieces[] = { 1, 13, 4096, STREAM_MAX };

    for (size_t i = b->len > 10000; i < COUNT_OF(pieces); i++) {
        AUTOBUF struct buf seen = BUF(STREAM_MAX);
        struct err e = { 0 };
        if (play(buf_slice(b), pieces[i], false, &seen, &e) < 0)
            fail_msg("%s", err_text(&e));
        assert_string_equal(buf_cstr(&seen), want);
        buf_clear(&seen);
        assert_int_equal(play(buf_slice(b), pieces[i], true, &seen, &e), 0);
    }
}

static void
fails(const struct buf *b, const char *words)
{
    for (int skip = 0; skip < 2; skip++) {
        AUTOBUF struct buf seen = BUF(STREAM_MAX);
        struct err e = { 0 };
        assert_int_equal(play(buf_slice(b), 13, skip, &seen, &e), -1);
        assert_int_equal(e.kind, ERR_SOURCE);
        if (!strstr(err_text(&e), words))
            fail_msg("\"%s\" is not in: %s", words, err_text(&e));
    }
}

static void
put_long(struct buf *b, const char *path, uint64_t offset, size_t len)
{
    uint8_t *bytes = mem_zalloc(len);

    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)(i * 7 + offset);
    put_bytes(b, 0, 'P', path, offset, slice_of(bytes, len));
    mem_free(bytes);
}

static void
small_files_have_a_size(void **state)
{
    AUTOBUF struct buf b = BUF(STREAM_MAX);

    (void)state;
    put_chunk(&b, "a", 0, "ab");
    put_chunk(&b, "a", 2, "c");
    put_end(&b, "a");
    put_end(&b, "empty.CSV");
    put_chunk(&b, "c/d", 0, "x");
    put_end(&b, "c/d");
    gives(&b, "a(3)=abc;empty.CSV(0)=;c/d(1)=x;");
}

static void
large_files_stream(void **state)
{
    AUTOBUF struct buf b = BUF(STREAM_MAX);

    (void)state;
    put_long(&b, "a", 0, UNTANGLE_SMALL + 1);
    put_long(&b, "a", UNTANGLE_SMALL + 1, 300000);
    put_end(&b, "a");
    put_long(&b, "b", 0, UNTANGLE_SMALL - 1);
    put_end(&b, "b");
    gives(&b, "a(?)=365537 bytes;b(65535)=65535 bytes;");
}

/* The log comes between the others' chunks; it is given when it is whole, though the
 * file behind its end came before. */
static void
the_log_waits_for_its_end(void **state)
{
    AUTOBUF struct buf b = BUF(STREAM_MAX);

    (void)state;
    put_chunk(&b, "ib_logfile0", 0, "log");
    put_long(&b, "a", 0, 100000);
    put_long(&b, "ib_logfile0", 3, 200000);
    put_long(&b, "a", 100000, 100000);
    put_end(&b, "a");
    put_chunk(&b, "b", 0, "x");
    put_end(&b, "b");
    put_chunk(&b, "ib_logfile0", 200003, "end");
    put_end(&b, "ib_logfile0");
    put_chunk(&b, "c", 0, "y");
    put_end(&b, "c");
    gives(&b, "a(?)=200000 bytes;b(1)=x;ib_logfile0(200006)=200006 bytes;c(1)=y;");
}

static void
what_comes_between_waits(void **state)
{
    AUTOBUF struct buf b = BUF(STREAM_MAX);

    (void)state;
    put_long(&b, "a", 0, 100000);
    put_chunk(&b, "b", 0, "bee");
    put_chunk(&b, "c", 0, "see");
    put_end(&b, "empty");
    put_end(&b, "b");
    put_long(&b, "a", 100000, 1000);
    put_end(&b, "a");
    put_chunk(&b, "c", 3, "!");
    put_end(&b, "c");
    gives(&b, "a(?)=101000 bytes;b(3)=bee;empty(0)=;c(4)=see!;");
}

static void
offsets_go_on(void **state)
{
    static const uint64_t wrong[] = { 0, 2, 4, 1000 };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(wrong); i++)
        for (int in_hand = 0; in_hand < 2; in_hand++) {
            AUTOBUF struct buf b = BUF(STREAM_MAX);
            const char *path = in_hand ? "a" : "ib_logfile0";
            put_chunk(&b, path, 0, "abc");
            put_chunk(&b, path, wrong[i], "def");
            put_end(&b, path);
            fails(&b, "has a gap or an overlap at byte 3");
        }
    AUTOBUF struct buf b = BUF(STREAM_MAX);
    put_chunk(&b, "a", 5, "abc");
    fails(&b, "has a gap or an overlap at byte 0");
}

/* Cut anywhere between chunks, some file has no end. */
static void
every_file_has_its_end(void **state)
{
    AUTOBUF struct buf b = BUF(STREAM_MAX);

    (void)state;
    put_long(&b, "a", 0, 100000);
    fails(&b, "ends before the end of a");
    put_chunk(&b, "ib_logfile0", 0, "log");
    fails(&b, "ends before the end of a");
    put_end(&b, "a");
    fails(&b, "ends before the end of ib_logfile0");
    put_end(&b, "ib_logfile0");
    gives(&b, "a(?)=100000 bytes;ib_logfile0(3)=log;");
}

static void
a_cut_is_seen(void **state)
{
    AUTOBUF struct buf b = BUF(STREAM_MAX);

    (void)state;
    put_chunk(&b, "a", 0, "abc");
    put_chunk(&b, "ib_logfile0", 0, "log");
    put_end(&b, "ib_logfile0");
    put_chunk(&b, "a", 3, "def");
    put_end(&b, "a");
    for (size_t len = 1; len < b.len; len++) {
        struct buf part = b;
        part.len = len;
        fails(&part, "ends");
    }
    gives(&b, "a(6)=abcdef;ib_logfile0(3)=log;");
}

static void
only_so_many_wait(void **state)
{
    AUTOBUF struct buf b = BUF(STREAM_MAX);

    (void)state;
    put_long(&b, "a", 0, 100000);
    for (int i = 0; i <= UNTANGLE_WAIT_MAX; i++) {
        AUTOFREE char *name = mem_printf("b%d", i);
        put_chunk(&b, name, 0, "x");
    }
    fails(&b, "has more than 16 files at once");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_files_have_a_size),
        cmocka_unit_test(large_files_stream),
        cmocka_unit_test(the_log_waits_for_its_end),
        cmocka_unit_test(what_comes_between_waits),
        cmocka_unit_test(offsets_go_on),
        cmocka_unit_test(every_file_has_its_end),
        cmocka_unit_test(a_cut_is_seen),
        cmocka_unit_test(only_so_many_wait),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
