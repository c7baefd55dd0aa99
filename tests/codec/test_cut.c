#include "codec/cut.h"
#include "support/fixture.h"

#define LEN ((size_t)TEST_SCALE(24 << 20, 8 << 20))

static uint8_t *bytes; /* LEN of noise */
static struct gear gear;

static int
make_bytes(void **state)
{
    uint8_t random[2048];

    (void)state;
    bytes = mem_alloc(LEN);
    fill_bytes(bytes, LEN, 1);
    fill_bytes(random, sizeof random, 2);
    gear_init(&gear, random);
    return 0;
}

static int
drop_bytes(void **state)
{
    (void)state;
    mem_free(bytes);
    return 0;
}

/* The ends of all chunks of `data`, as u64 in `out`. */
static void
cut_all(const struct cut_profile *p, struct slice data, struct buf *out)
{
    size_t at = 0;

    buf_clear(out);
    while (at < data.len) {
        size_t n = cut_next(&gear, p, slice_sub(data, at, data.len - at), true);
        assert_in_range(n, 1, p->max);
        assert_true(n >= p->min || at + n == data.len);
        at += n;
        buf_put_u64(out, at);
    }
    assert_int_equal(at, data.len);
}

static const struct cut_profile *const profiles[] = { &cut_files, &cut_streams,
                                                      &cut_blocks };

static void
chunks_keep_their_bounds_and_cover_everything(void **state)
{
    AUTOBUF struct buf ends = BUF(1 << 20);

    (void)state;
    for (size_t i = 0; i < COUNT_OF(profiles); i++) {
        cut_all(profiles[i], slice_of(bytes, LEN), &ends);
        size_t average = LEN / (ends.len / 8), want = profiles[i]->avg;
        assert_in_range(average, want * 2 / 3, want * 3 / 2);
        assert_true(profiles[i]->max <= CUT_MAX);
    }
}

static void
blocks_lie_at_multiples_of_their_size(void **state)
{
    AUTOBUF struct buf ends = BUF(1 << 20);

    (void)state;
    cut_all(&cut_blocks, slice_of(bytes, 300000), &ends);
    assert_int_equal(ends.len / 8, 19);
    for (size_t i = 0; i < 18; i++)
        assert_int_equal(get_u64(ends.ptr + 8 * i), 16384 * (i + 1));
}

/* A window that is not full and not the last must wait for more. */
static void
the_length_of_the_window_changes_no_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(profiles); i++) {
        const struct cut_profile *p = profiles[i];
        size_t whole = cut_next(&gear, p, slice_of(bytes, LEN), false);
        for (size_t len = 0; len <= p->max; len += p->max / 64) {
            size_t n = cut_next(&gear, p, slice_of(bytes, len), false);
            if (len < whole)
                assert_int_equal(n, 0);
            else
                assert_true(n == whole || (n == 0 && len == whole));
        }
        assert_int_equal(cut_next(&gear, p, slice_of(bytes, p->max), false), whole);
    }
}

static void
the_rest_is_one_chunk(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(profiles); i++) {
        assert_int_equal(cut_next(&gear, profiles[i], slice_of(bytes, 0), true), 0);
        assert_int_equal(cut_next(&gear, profiles[i], slice_of(bytes, 1), true), 1);
        assert_int_equal(cut_next(&gear, profiles[i], slice_of(bytes, 1), false), 0);
        assert_int_equal(cut_next(&gear, profiles[i],
                                  slice_of(bytes, profiles[i]->min - 1), true),
                         profiles[i]->min - 1);
    }
}

/* What content-defined chunking is for: behind an insertion the cuts are again
 * where they were. */
static void
an_insertion_moves_few_cuts(void **state)
{
    AUTOBUF struct buf before = BUF(1 << 20), after = BUF(1 << 20);
    AUTOFREE uint8_t *changed = mem_alloc(LEN + 5);
    size_t same = 0, at = LEN / 4;

    (void)state;
    memcpy(changed, bytes, at);
    memcpy(changed + at, "hello", 5);
    memcpy(changed + at + 5, bytes + at, LEN - at);
    cut_all(&cut_files, slice_of(bytes, LEN), &before);
    cut_all(&cut_files, slice_of(changed, LEN + 5), &after);
    for (size_t i = 0; i < before.len; i += 8)
        for (size_t k = 0; k < after.len; k += 8) {
            uint64_t end = get_u64(before.ptr + i);
            same += get_u64(after.ptr + k) == (end > at ? end + 5 : end);
        }
    assert_true(before.len / 8 - same <= 6);
}

/* Constant bytes have no place to cut: the longest chunks. */
static void
constant_bytes_are_cut_at_the_most(void **state)
{
    AUTOFREE uint8_t *zero = mem_zalloc(3 << 20);

    (void)state;
    assert_int_equal(cut_next(&gear, &cut_files, slice_of(zero, 3 << 20), true),
                     512 << 10);
}

/* Lengths of chunks must tell nothing to who lacks the key. */
static void
another_key_cuts_elsewhere(void **state)
{
    AUTOBUF struct buf one = BUF(1 << 20), two = BUF(1 << 20);
    struct gear kept = gear;
    uint8_t random[2048];
    size_t same = 0;

    (void)state;
    cut_all(&cut_streams, slice_of(bytes, LEN), &one);
    fill_bytes(random, sizeof random, 3);
    gear_init(&gear, random);
    cut_all(&cut_streams, slice_of(bytes, LEN), &two);
    gear = kept;
    for (size_t i = 0; i + 8 < one.len; i += 8)
        for (size_t k = 0; k + 8 < two.len; k += 8)
            same += get_u64(one.ptr + i) == get_u64(two.ptr + k);
    assert_in_range(same, 0, 3);
}

/* The same key and bytes for ever: what was stored years ago is found. The
 * numbers come from a second program, made after the header alone. */
static void
the_cuts_are_those_of_the_format(void **state)
{
    static const struct cut_profile some = { 16 << 10, 64 << 10, 256 << 10 };
    uint64_t sum = 0;
    AUTOBUF struct buf ends = BUF(1 << 20);

    (void)state;
    cut_all(&some, slice_of(bytes, 4 << 20), &ends);
    for (size_t i = 0; i < ends.len; i += 8)
        sum = sum * 31 + get_u64(ends.ptr + i);
    assert_int_equal(get_u64(ends.ptr), 82726);
    assert_true(sum == 10015728045079506440u);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chunks_keep_their_bounds_and_cover_everything),
        cmocka_unit_test(blocks_lie_at_multiples_of_their_size),
        cmocka_unit_test(the_length_of_the_window_changes_no_cut),
        cmocka_unit_test(the_rest_is_one_chunk),
        cmocka_unit_test(an_insertion_moves_few_cuts),
        cmocka_unit_test(constant_bytes_are_cut_at_the_most),
        cmocka_unit_test(another_key_cuts_elsewhere),
        cmocka_unit_test(the_cuts_are_those_of_the_format),
    };

    return cmocka_run_group_tests(tests, make_bytes, drop_bytes);
}
