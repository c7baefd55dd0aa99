#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../src/source/mariadb/xbstream.h"
#include "stream.h"

#define STREAM_MAX ((size_t)1 << 20)

/* Reads all of it and writes down what came: "a@0=text;a.". -1 with `e`. */
static int
play(struct slice bytes, size_t piece, struct buf *seen, struct err *e)
{
    struct given g = { bytes, piece };
    struct xbstream x;
    int rc;

    xbstream_init(&x, give, &g);
    while ((rc = xbstream_next(&x, e)) == 1) {
        uint8_t block[7];
        size_t got = 1;
        buf_put_slice(seen, x.path);
        if (x.end) {
            buf_put_str(seen, ".");
            continue;
        }
        buf_printf(seen, "@%llu=", (unsigned long long)x.offset);
        while (got > 0) {
            if (xbstream_data(&x, block, sizeof block, &got, e) < 0)
                return -1;
            buf_put(seen, block, got);
        }
        buf_put_str(seen, ";");
    }
    assert_true(rc == 0 || e->kind == ERR_SOURCE);
    return rc;
}

static void
fails(const struct buf *b, const char *words)
{
    for (size_t piece = 1; piece <= 64; piece *= 8) {
        AUTOBUF struct buf seen = BUF(STREAM_MAX);
        struct err e = { 0 };
        assert_int_equal(play(buf_slice(b), piece, &seen, &e), -1);
        assert_int_equal(e.kind, ERR_SOURCE);
        if (!strstr(err_text(&e), words))
            fail_msg("\"%s\" is not in: %s", words, err_text(&e));
    }
}

static void
put_good(struct buf *b)
{
    put_chunk(b, "ibdata1", 0, "some pages");
    put_chunk(b, "crm/a.ibd", 0, "x");
    put_chunk(b, "ibdata1", 10, " and more");
    put_end(b, "crm/a.ibd");
    put_chunk(b, "ibdata1", 19, "");
    put_end(b, "ibdata1");
}

static void
chunks_come_as_they_were_written(void **state)
{
    (void)state;
    for (size_t piece = 1; piece < 100; piece++) {
        AUTOBUF struct buf b = BUF(STREAM_MAX), seen = BUF(STREAM_MAX);
        struct err e = { 0 };
        put_good(&b);
        assert_int_equal(play(buf_slice(&b), piece, &seen, &e), 0);
        assert_string_equal(buf_cstr(&seen),
                            "ibdata1@0=some pages;crm/a.ibd@0=x;ibdata1@10= and more;"
                            "crm/a.ibd.ibdata1@19=;ibdata1.");
    }
}

static void
an_empty_stream_has_no_chunks(void **state)
{
    AUTOBUF struct buf seen = BUF(STREAM_MAX);
    struct err e = { 0 };

    (void)state;
    assert_int_equal(play(SLICE(""), 1, &seen, &e), 0);
    assert_int_equal(seen.len, 0);
}

/* Cut at any byte it is an error, unless a chunk ends there. */
static void
a_cut_is_seen(void **state)
{
    AUTOBUF struct buf b = BUF(STREAM_MAX);
    size_t ends[7] = { 0 }, n = 0, good = 0;

    (void)state;
    put_good(&b);
    for (size_t at = 1; at + 8 <= b.len; at++)
        if (memcmp(b.ptr + at, "XBSTCK01", 8) == 0)
            ends[++n] = at;
    assert_int_equal(n, 5);
    for (size_t len = 0; len < b.len; len++) {
        AUTOBUF struct buf seen = BUF(STREAM_MAX);
        struct err e = { 0 };
        int want = good <= n && len == ends[good] ? 0 : -1;
        good += want == 0;
        assert_int_equal(play(slice_of(b.ptr, len), 5, &seen, &e), want);
        if (want < 0)
            assert_non_null(strstr(err_text(&e), "within a file"));
    }
    assert_int_equal(good, n + 1);
}

/* A flipped bit is an error, or nothing that was said is as before: never unnoticed,
 * but for the flags, of which only one means something. */
static void
a_flipped_bit_is_seen(void **state)
{
    AUTOBUF struct buf b = BUF(STREAM_MAX), whole = BUF(STREAM_MAX);
    struct err e = { 0 };

    (void)state;
    put_good(&b);
    assert_int_equal(play(buf_slice(&b), 64, &whole, &e), 0);
    for (size_t bit = 0; bit < 8 * b.len; bit++) {
        AUTOBUF struct buf seen = BUF(STREAM_MAX);
        size_t at = bit / 8;
        if (at >= 8 && memcmp(b.ptr + at - 8, "XBSTCK01", 8) == 0)
            continue;
        b.ptr[at] ^= (uint8_t)(1 << bit % 8);
        if (play(buf_slice(&b), 64, &seen, &e) == 0)
            assert_false(slice_equal(buf_slice(&seen), buf_slice(&whole)));
        b.ptr[at] ^= (uint8_t)(1 << bit % 8);
    }
}

static void
wrong_bytes_are_seen(void **state)
{
    AUTOBUF struct buf b = BUF(STREAM_MAX);

    (void)state;
    put_chunk(&b, "crm/a.ibd", 0, "a page");
    b.ptr[b.len - 1] ^= 1;
    put_end(&b, "crm/a.ibd");
    fails(&b, "a checksum of crm/a.ibd is wrong");
}

static void
an_empty_chunk_has_the_checksum_of_nothing(void **state)
{
    AUTOBUF struct buf b = BUF(STREAM_MAX);

    (void)state;
    put_chunk(&b, "a", 0, "");
    b.ptr[b.len - 1] ^= 1;
    put_end(&b, "a");
    fails(&b, "a checksum is wrong");
}

/* Nothing is taken for them: the test would be killed otherwise. */
static void
absurd_lengths_are_refused(void **state)
{
    static const uint64_t absurd[][2] = {
        { XBSTREAM_LEN_MAX + 1, 0 }, { UINT64_MAX, 0 },        { 1, INT64_MAX },
        { 0, UINT64_MAX },           { 1, (uint64_t)1 << 63 },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(absurd); i++) {
        AUTOBUF struct buf b = BUF(STREAM_MAX);
        put_head(&b, 0, 'P', "a");
        buf_put_u64(&b, absurd[i][0]);
        buf_put_u64(&b, absurd[i][1]);
        buf_put_u32(&b, 0);
        fails(&b, "too large");
    }
    AUTOBUF struct buf b = BUF(STREAM_MAX);
    buf_put_str(&b, "XBSTCK01");
    buf_put_u8(&b, 0);
    buf_put_u8(&b, 'P');
    buf_put_u32(&b, UINT32_MAX);
    buf_put_zero(&b, 1000);
    fails(&b, "a path is too long");
}

static void
paths_that_lead_elsewhere_are_refused(void **state)
{
    static const char *const paths[] = { "",    "/etc/passwd", "../x", "a/../../x",
                                         "./a", "a//b",        "a/",   ".." };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(paths); i++) {
        AUTOBUF struct buf b = BUF(STREAM_MAX);
        put_chunk(&b, paths[i], 0, "x");
        fails(&b, "a path leads elsewhere");
    }
    AUTOBUF struct buf b = BUF(STREAM_MAX);
    put_chunk(&b, "aXb", 0, "x");
    b.ptr[8 + 2 + 4 + 1] = 0;
    fails(&b, "a path leads elsewhere");
}

static void
unknown_chunks_are_passed_over_if_they_may_be(void **state)
{
    AUTOBUF struct buf b = BUF(STREAM_MAX), seen = BUF(STREAM_MAX);
    struct err e = { 0 };

    (void)state;
    put_bytes(&b, 1, 'Q', "whatever", 7, SLICE("something new"));
    put_chunk(&b, "a", 0, "x");
    put_bytes(&b, 1, 'Q', "a", 7, SLICE(""));
    put_end(&b, "a");
    assert_int_equal(play(buf_slice(&b), 3, &seen, &e), 0);
    assert_string_equal(buf_cstr(&seen), "a@0=x;a.");
    put_bytes(&b, 0, 'S', "a", 0, SLICE("x"));
    fails(&b, "a chunk of an unknown type");
}

static void
what_is_no_stream_is_refused(void **state)
{
    AUTOBUF struct buf b = BUF(STREAM_MAX);

    (void)state;
    buf_put_str(&b, "PK\003\004 this is another kind of archive");
    fails(&b, "no chunk begins");
}

/* What is not read of a chunk is checked all the same. */
static void
a_chunk_may_be_left_unread(void **state)
{
    AUTOBUF struct buf b = BUF(STREAM_MAX);
    struct xbstream x;
    struct err e = { 0 };

    (void)state;
    put_chunk(&b, "a", 0, "some bytes");
    put_end(&b, "a");
    for (int damage = 0; damage < 2; damage++) {
        struct given g = { buf_slice(&b), 64 };
        xbstream_init(&x, give, &g);
        assert_int_equal(xbstream_next(&x, &e), 1);
        assert_int_equal(xbstream_next(&x, &e), damage ? -1 : 1);
        b.ptr[8 + 2 + 4 + 1 + 20 + 3] ^= 4;
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chunks_come_as_they_were_written),
        cmocka_unit_test(an_empty_stream_has_no_chunks),
        cmocka_unit_test(a_cut_is_seen),
        cmocka_unit_test(a_flipped_bit_is_seen),
        cmocka_unit_test(wrong_bytes_are_seen),
        cmocka_unit_test(an_empty_chunk_has_the_checksum_of_nothing),
        cmocka_unit_test(absurd_lengths_are_refused),
        cmocka_unit_test(paths_that_lead_elsewhere_are_refused),
        cmocka_unit_test(unknown_chunks_are_passed_over_if_they_may_be),
        cmocka_unit_test(what_is_no_stream_is_refused),
        cmocka_unit_test(a_chunk_may_be_left_unread),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
