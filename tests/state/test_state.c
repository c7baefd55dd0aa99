#include "state/state.h"
#include "support/fixture.h"

#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <unistd.h>

/* A state in a folder of its own, to be closed and opened again. */
struct store {
    struct folder folder;
    struct state *state;
    struct err e;
};

static void
store_open(struct store *s)
{
    assert_ok(state_open(s->folder.path, true, &s->state, &s->e), &s->e);
}

static void
store_again(struct store *s)
{
    state_close(TAKE(s->state));
    store_open(s);
}

static void
store_init(struct store *s)
{
    *s = (struct store){ .state = NULL };
    folder_make(&s->folder);
    store_open(s);
}

static void
store_release(struct store *s)
{
    state_close(s->state);
    folder_remove(&s->folder);
}

#define STORE(name)                           \
    CLEANUP(store_release) struct store name; \
    store_init(&name)

static int64_t
add(struct store *s, const char *target, const char *key, uint64_t size)
{
    struct queue_row row = {
        .target = target, .key = key, .size = size, .rank = RANK_INDEX
    };
    int64_t id = 0;

    fill_bytes(row.sha256, 32, size);
    assert_ok(state_queue_add(s->state, &row, &id, &s->e), &s->e);
    assert_true(id > 0);
    return id;
}

/* Rows as "target key size;". */
static int
write_row(void *arg, const struct queue_row *row, struct err *e)
{
    uint8_t sha[32];

    (void)e;
    fill_bytes(sha, 32, row->size);
    assert_memory_equal(row->sha256, sha, 32);
    assert_int_equal(row->rank, RANK_INDEX);
    buf_printf(arg, "%s %s %llu;", row->target, row->key, (unsigned long long)row->size);
    return 0;
}

static void
assert_queue(struct store *s, const char *target, int64_t after, unsigned limit,
             const char *want)
{
    AUTOBUF struct buf got = BUF(10000);

    assert_ok(state_queue_list(s->state, target, after, limit, write_row, &got, &s->e),
              &s->e);
    assert_string_equal(buf_cstr(&got), want);
}

static void
named_values_are_kept_and_replaced(void **state)
{
    AUTOBUF struct buf got = BUF(100);
    STORE(s);

    (void)state;
    buf_put_str(&got, "x");
    assert_int_equal(state_get(s.state, "a", &got, &s.e), 0);
    assert_ok(state_put(s.state, "a", SLICE("one"), &s.e), &s.e);
    assert_ok(state_put(s.state, "b", slice_of("\0\xff", 2), &s.e), &s.e);
    assert_ok(state_put(s.state, "c", SLICE(""), &s.e), &s.e);
    assert_ok(state_put(s.state, "a", SLICE("two"), &s.e), &s.e);
    store_again(&s);
    assert_int_equal(state_get(s.state, "a", &got, &s.e), 1);
    assert_int_equal(state_get(s.state, "b", &got, &s.e), 1);
    assert_int_equal(state_get(s.state, "c", &got, &s.e), 1);
    assert_int_equal(state_get(s.state, "A", &got, &s.e), 0);
    assert_true(slice_equal(buf_slice(&got), slice_of("xtwo\0\xff", 6)));
}

static void
the_queue_keeps_the_order_in_which_rows_came(void **state)
{
    STORE(s);

    (void)state;
    add(&s, "nas", "z", 1);
    add(&s, "eu", "z", 2);
    int64_t third = add(&s, "nas", "a", 3);
    add(&s, "nas", "m", 4);
    assert_queue(&s, "nas", 0, 10, "nas z 1;nas a 3;nas m 4;");
    assert_queue(&s, NULL, 0, 10, "nas z 1;eu z 2;nas a 3;nas m 4;");
    assert_queue(&s, "nas", 0, 2, "nas z 1;nas a 3;");
    assert_queue(&s, "nas", third, 10, "nas m 4;");
    assert_queue(&s, "nas", third - 1, 1, "nas a 3;");
    assert_queue(&s, "nas", 0, 0, "");
    assert_queue(&s, "none", 0, 10, "");
    store_again(&s);
    assert_queue(&s, NULL, 0, 10, "nas z 1;eu z 2;nas a 3;nas m 4;");
}

static void
note_holder(void *arg, const char *target, enum queue_end how)
{
    buf_printf(arg, "%s %d;", target, (int)how);
}

static void
assert_holders(struct store *s, const char *key, const char *want)
{
    AUTOBUF struct buf got = BUF(1000);

    assert_ok(state_queue_holders(s->state, key, note_holder, &got, &s->e), &s->e);
    assert_string_equal(buf_cstr(&got), want);
}

/* It is no longer to be sent, but who has the object is still known. */
static void
a_row_that_ended_is_remembered_until_released(void **state)
{
    AUTOBUF struct buf ended = BUF(1000);
    STORE(s);
    uint64_t rows = 9, bytes = 9;

    (void)state;
    int64_t first = add(&s, "nas", "a", 10);
    int64_t second = add(&s, "eu", "a", 10);
    add(&s, "ap", "a", 10);
    add(&s, "nas", "b", 5);
    assert_ok(state_queue_sum(s.state, "nas", &rows, &bytes, &s.e), &s.e);
    assert_true(rows == 2 && bytes == 15);
    assert_holders(&s, "a", "nas 0;eu 0;ap 0;");
    assert_ok(state_queue_end(s.state, first, QUEUE_DELIVERED, &s.e), &s.e);
    assert_ok(state_queue_end(s.state, second, QUEUE_DROPPED, &s.e), &s.e);
    assert_holders(&s, "a", "nas 1;eu 2;ap 0;");
    assert_queue(&s, NULL, 0, 10, "ap a 10;nas b 5;");
    assert_ok(state_queue_sum(s.state, "nas", &rows, &bytes, &s.e), &s.e);
    assert_true(rows == 1 && bytes == 5);
    assert_int_equal(state_queue_ended(s.state, "", &ended, &s.e), 1);
    assert_string_equal(buf_cstr(&ended), "a");
    assert_int_equal(state_queue_ended(s.state, "a", &ended, &s.e), 0);
    assert_ok(state_queue_release(s.state, "b", &s.e), &s.e);
    assert_ok(state_queue_release(s.state, "a", &s.e), &s.e);
    assert_holders(&s, "a", "ap 0;");
    assert_holders(&s, "b", "nas 0;");
}

/* A lane that asks "behind N" must never miss a row for a number used twice. */
static void
numbers_of_the_queue_are_never_used_again(void **state)
{
    STORE(s);

    (void)state;
    int64_t a = add(&s, "nas", "a", 1), b = add(&s, "nas", "b", 1);
    assert_true(b > a);
    assert_ok(state_queue_end(s.state, a, QUEUE_DELIVERED, &s.e), &s.e);
    assert_ok(state_queue_end(s.state, b, QUEUE_DELIVERED, &s.e), &s.e);
    store_again(&s);
    assert_true(add(&s, "nas", "c", 1) > b);
}

static void
the_highest_number_ever_given_is_told(void **state)
{
    int64_t last = -1;
    STORE(s);

    (void)state;
    assert_ok(state_queue_last(s.state, &last, &s.e), &s.e);
    assert_int_equal(last, 0);
    add(&s, "nas", "a", 1);
    int64_t b = add(&s, "nas", "b", 1);
    assert_ok(state_queue_last(s.state, &last, &s.e), &s.e);
    assert_int_equal(last, b);
    assert_ok(state_queue_end(s.state, b, QUEUE_DELIVERED, &s.e), &s.e);
    assert_ok(state_queue_last(s.state, &last, &s.e), &s.e);
    assert_int_equal(last, b);
}

static void
sizes_over_four_gibibytes_are_kept(void **state)
{
    uint64_t rows, bytes;
    STORE(s);

    (void)state;
    add(&s, "nas", "a", (uint64_t)5 << 30);
    add(&s, "nas", "b", (uint64_t)7 << 40);
    assert_ok(state_queue_sum(s.state, "nas", &rows, &bytes, &s.e), &s.e);
    assert_true(bytes == ((uint64_t)5 << 30) + ((uint64_t)7 << 40));
    assert_queue(&s, "nas", 0, 1, "nas a 5368709120;");
}

static int
stop_at_second(void *arg, const struct queue_row *row, struct err *e)
{
    unsigned *seen = arg;

    (void)row;
    return ++*seen == 2 ? err_set(e, ERR_CANCELLED, 0, "enough") : 0;
}

static void
the_callers_error_ends_a_listing(void **state)
{
    unsigned seen = 0;
    STORE(s);

    (void)state;
    for (int i = 0; i < 5; i++)
        add(&s, "nas", "a", 1);
    assert_err(state_queue_list(s.state, NULL, 0, 10, stop_at_second, &seen, &s.e), &s.e,
               ERR_CANCELLED);
    assert_int_equal(seen, 2);
    add(&s, "nas", "b", 1); /* the state is free again */
}

static int
write_blob(void *arg, struct slice name, struct slice value, struct err *e)
{
    (void)e;
    buf_printf(arg, "%.*s=%.*s;", (int)name.len, (const char *)name.ptr, (int)value.len,
               (const char *)value.ptr);
    return 0;
}

static void
assert_pending(struct store *s, bool published_too, const char *want)
{
    AUTOBUF struct buf got = BUF(1000);

    assert_ok(state_pending_list(s->state, published_too, write_blob, &got, &s->e),
              &s->e);
    assert_string_equal(buf_cstr(&got), want);
}

static void
pending_packs_are_kept_until_they_are_dropped(void **state)
{
    STORE(s);

    (void)state;
    assert_ok(state_pending_put(s.state, SLICE("z"), SLICE("1"), &s.e), &s.e);
    assert_ok(state_pending_put(s.state, SLICE("a"), SLICE("2"), &s.e), &s.e);
    assert_ok(state_pending_put(s.state, SLICE("m"), SLICE("3"), &s.e), &s.e);
    store_again(&s);
    assert_pending(&s, true, "z=1;a=2;m=3;");
    assert_pending(&s, false, "z=1;a=2;m=3;");
    assert_ok(state_pending_drop(s.state, SLICE("a"), &s.e), &s.e);
    assert_ok(state_pending_drop(s.state, SLICE("other"), &s.e), &s.e);
    assert_pending(&s, true, "z=1;m=3;");
}

static void
pending_packs_come_one_by_one(void **state)
{
    AUTOBUF struct buf got = BUF(1000), pack = BUF(1), record = BUF(1);
    int64_t id = 0;
    STORE(s);

    (void)state;
    assert_ok(state_pending_put(s.state, SLICE("z"), SLICE("1"), &s.e), &s.e);
    assert_ok(state_pending_put(s.state, SLICE("a"), SLICE("2"), &s.e), &s.e);
    assert_ok(state_pending_published(s.state, SLICE("z"), &s.e), &s.e);
    while (state_pending_next(s.state, &id, &pack, &record, &s.e) == 1) {
        assert_ok(write_blob(&got, buf_slice(&pack), buf_slice(&record), &s.e), &s.e);
        assert_ok(state_pending_drop(s.state, buf_slice(&pack), &s.e), &s.e);
        buf_clear(&pack);
        buf_clear(&record);
    }
    assert_string_equal(buf_cstr(&got), "z=1;a=2;");
    assert_pending(&s, true, "");
    id = 0;
    assert_ok(state_pending_put(s.state, SLICE("longer"), SLICE("1"), &s.e), &s.e);
    assert_err(state_pending_next(s.state, &id, &pack, &record, &s.e), &s.e, ERR_CORRUPT);
}

/* In a segment that is queued, but on no target yet: not published again, and
 * not forgotten either. */
static void
published_packs_are_pending_until_a_target_lists_them(void **state)
{
    STORE(s);

    (void)state;
    assert_ok(state_pending_put(s.state, SLICE("z"), SLICE("1"), &s.e), &s.e);
    assert_ok(state_pending_put(s.state, SLICE("a"), SLICE("2"), &s.e), &s.e);
    assert_ok(state_pending_published(s.state, SLICE("z"), &s.e), &s.e);
    store_again(&s);
    assert_pending(&s, true, "z=1;a=2;");
    assert_pending(&s, false, "a=2;");
    assert_ok(state_pending_drop(s.state, SLICE("z"), &s.e), &s.e);
    assert_pending(&s, true, "a=2;");
}

static void
segments_are_found_by_key(void **state)
{
    AUTOBUF struct buf got = BUF(1000);
    STORE(s);

    (void)state;
    assert_int_equal(state_segment_get(s.state, "index/1", &got, &s.e), 0);
    assert_ok(state_segment_put(s.state, "index/1", SLICE("abcd"), &s.e), &s.e);
    assert_ok(state_segment_put(s.state, "index/2", SLICE(""), &s.e), &s.e);
    store_again(&s);
    assert_int_equal(state_segment_get(s.state, "index/1", &got, &s.e), 1);
    assert_string_equal(buf_cstr(&got), "abcd");
    assert_int_equal(state_segment_get(s.state, "index/2", &got, &s.e), 1);
    assert_int_equal(got.len, 4);
}

static void
commits_wait_in_order_for_each_target(void **state)
{
    AUTOBUF struct buf got = BUF(1000);
    STORE(s);

    (void)state;
    assert_ok(state_commit_add(s.state, "snap/2", "nas", SLICE("p2"), &s.e), &s.e);
    assert_ok(state_commit_add(s.state, "snap/1", "nas", SLICE("p1"), &s.e), &s.e);
    assert_ok(state_commit_add(s.state, "snap/1", "eu", SLICE("p1"), &s.e), &s.e);
    store_again(&s);
    assert_ok(state_commit_list(s.state, "nas", write_blob, &got, &s.e), &s.e);
    assert_string_equal(buf_cstr(&got), "snap/2=p2;snap/1=p1;");
    assert_ok(state_commit_done(s.state, "snap/2", "nas", &s.e), &s.e);
    assert_ok(state_commit_add(s.state, "snap/1", "nas", SLICE("other"), &s.e), &s.e);
    buf_clear(&got);
    assert_ok(state_commit_list(s.state, "nas", write_blob, &got, &s.e), &s.e);
    assert_string_equal(buf_cstr(&got), "snap/1=other;");
    buf_clear(&got);
    assert_ok(state_commit_list(s.state, "eu", write_blob, &got, &s.e), &s.e);
    assert_string_equal(buf_cstr(&got), "snap/1=p1;");
}

static void
commits_are_taken_one_at_a_time(void **state)
{
    AUTOBUF struct buf all = BUF(1000);
    int64_t id = 0;
    int rc;
    STORE(s);

    (void)state;
    assert_ok(state_commit_add(s.state, "snap/2", "nas", SLICE("p2"), &s.e), &s.e);
    assert_ok(state_commit_add(s.state, "snap/1", "nas", SLICE("p1"), &s.e), &s.e);
    assert_ok(state_commit_add(s.state, "snap/3", "eu", SLICE("p3"), &s.e), &s.e);
    do {
        AUTOBUF struct buf key = BUF(100), packs = BUF(100);
        rc = state_commit_next(s.state, "nas", &id, &key, &packs, &s.e);
        if (rc == 1) { /* what was done, or comes meanwhile, does no harm */
            buf_printf(&all, "%s=%.*s;", buf_cstr(&key), (int)packs.len, packs.ptr);
            assert_ok(state_commit_done(s.state, buf_cstr(&key), "nas", &s.e), &s.e);
        }
        if (strcmp(buf_cstr(&key), "snap/2") == 0)
            assert_ok(state_commit_add(s.state, "snap/4", "nas", SLICE("p4"), &s.e),
                      &s.e);
    } while (rc == 1);
    assert_int_equal(rc, 0);
    assert_string_equal(buf_cstr(&all), "snap/2=p2;snap/1=p1;snap/4=p4;");
    buf_clear(&all);
    assert_int_equal(state_commit_get(s.state, "snap/3", "nas", &all, &s.e), 0);
    assert_int_equal(state_commit_get(s.state, "snap/3", "eu", &all, &s.e), 1);
    assert_string_equal(buf_cstr(&all), "p3");
}

static void
what_is_to_be_voided_is_kept_for_each_target(void **state)
{
    AUTOBUF struct buf key = BUF(100);
    STORE(s);

    (void)state;
    assert_int_equal(state_void_first(s.state, "nas", &key, &s.e), 0);
    assert_ok(state_void_add(s.state, "snap/2", "nas", &s.e), &s.e);
    assert_ok(state_void_add(s.state, "snap/1", "nas", &s.e), &s.e);
    assert_ok(state_void_add(s.state, "snap/2", "nas", &s.e), &s.e);
    assert_ok(state_void_add(s.state, "snap/2", "eu", &s.e), &s.e);
    store_again(&s);
    assert_int_equal(state_void_first(s.state, "nas", &key, &s.e), 1);
    assert_string_equal(buf_cstr(&key), "snap/2");
    assert_ok(state_void_done(s.state, "snap/2", "nas", &s.e), &s.e);
    buf_clear(&key);
    assert_int_equal(state_void_first(s.state, "nas", &key, &s.e), 1);
    assert_string_equal(buf_cstr(&key), "snap/1");
    assert_ok(state_void_done(s.state, "snap/1", "nas", &s.e), &s.e);
    assert_int_equal(state_void_first(s.state, "nas", &key, &s.e), 0);
    assert_int_equal(state_void_first(s.state, "eu", &key, &s.e), 1);
}

static void
marks_remember_the_highest_number_seen(void **state)
{
    AUTOBUF struct buf snapshot = BUF(1000);
    uint64_t seq = 0;
    STORE(s);

    (void)state;
    assert_int_equal(state_mark_get(s.state, "nas", "h", &seq, NULL, &s.e), 0);
    assert_ok(state_mark_put(s.state, "nas", "h", 9999999999, "snap/x", &s.e), &s.e);
    assert_ok(state_mark_put(s.state, "eu", "h", 3, "snap/y", &s.e), &s.e);
    store_again(&s);
    assert_int_equal(state_mark_get(s.state, "nas", "h", &seq, &snapshot, &s.e), 1);
    assert_true(seq == 9999999999);
    assert_string_equal(buf_cstr(&snapshot), "snap/x");
    assert_int_equal(state_mark_get(s.state, "eu", "h", &seq, NULL, &s.e), 1);
    assert_int_equal(seq, 3);
    assert_int_equal(state_mark_get(s.state, "eu", "other", &seq, NULL, &s.e), 0);
}

/* Everything there is about a target; how many of its rows wait or have ended. */
static void
know(struct store *s, const char *target)
{
    int64_t id = add(s, target, "a", 1);

    add(s, target, "b", 1);
    assert_ok(state_queue_end(s->state, id, QUEUE_DELIVERED, &s->e), &s->e);
    assert_ok(state_about_put(s->state, target, "id", SLICE("x"), &s->e), &s->e);
    assert_ok(state_mark_put(s->state, target, "h", 7, "snap/x", &s->e), &s->e);
    assert_ok(state_bad_add(s->state, target, "pack/x", &s->e), &s->e);
    assert_ok(state_commit_add(s->state, "snap/x", target, SLICE("p"), &s->e), &s->e);
    assert_ok(state_void_add(s->state, "snap/v", target, &s->e), &s->e);
}

static int
known(struct store *s, const char *target)
{
    AUTOBUF struct buf out = BUF(1000);
    uint64_t seq;
    int64_t id = 0;
    int n = state_about_get(s->state, target, "id", &out, &s->e);

    n += state_mark_get(s->state, target, "h", &seq, NULL, &s->e);
    return n + state_bad_next(s->state, target, &id, &out, &s->e);
}

static int
waits(struct store *s, const char *target)
{
    AUTOBUF struct buf out = BUF(1000);

    return state_commit_get(s->state, "snap/x", target, &out, &s->e)
         + state_void_first(s->state, target, &out, &s->e);
}

/* What a new place was seen to take under its old name it does not have. */
static void
a_new_place_under_an_old_name_is_not_the_old_one(void **state)
{
    STORE(s);

    (void)state;
    know(&s, "nas");
    know(&s, "eu");
    assert_int_equal(known(&s, "nas"), 3);
    assert_ok(state_target_new(s.state, "nas", &s.e), &s.e);
    assert_int_equal(known(&s, "nas"), 0);
    assert_int_equal(waits(&s, "nas"), 2);
    assert_queue(&s, "nas", 0, 10, "nas a 1;nas b 1;");
    assert_int_equal(known(&s, "eu"), 3);
    assert_queue(&s, "eu", 0, 10, "eu b 1;");
}

static void
nothing_is_kept_of_a_target_that_is_none_any_more(void **state)
{
    STORE(s);

    (void)state;
    know(&s, "nas");
    know(&s, "eu");
    assert_ok(state_target_gone(s.state, "nas", &s.e), &s.e);
    assert_int_equal(known(&s, "nas") + waits(&s, "nas"), 0);
    assert_holders(&s, "a", "eu 1;");
    assert_int_equal(known(&s, "eu") + waits(&s, "eu"), 5);
    assert_queue(&s, "eu", 0, 10, "eu b 1;");
}

static int
write_run(void *arg, const struct run_row *row, struct err *e)
{
    (void)e;
    buf_printf(arg, "%s %s %lld %d %s;", row->kind, row->subject, (long long)row->ended_s,
               row->status, row->detail);
    return 0;
}

static void
runs_are_told_newest_first(void **state)
{
    AUTOBUF struct buf got = BUF(1000);
    STORE(s);

    (void)state;
    assert_ok(state_run_add(s.state, "backup", "web", 100, 0, "{}", &s.e), &s.e);
    assert_ok(state_run_add(s.state, "sync", "", 50, 130, "", &s.e), &s.e);
    assert_ok(state_run_add(s.state, "backup", "web", 70, 4, "x", &s.e), &s.e);
    store_again(&s);
    assert_ok(state_run_list(s.state, 2, write_run, &got, &s.e), &s.e);
    assert_string_equal(buf_cstr(&got), "backup web 70 4 x;sync  50 130 ;");
    buf_clear(&got);
    assert_ok(state_run_list(s.state, 100, write_run, &got, &s.e), &s.e);
    assert_string_equal(buf_cstr(&got),
                        "backup web 70 4 x;sync  50 130 ;backup web 100 0 {};");
}

static void
what_is_aborted_never_was(void **state)
{
    STORE(s);

    (void)state;
    add(&s, "nas", "before", 1);
    assert_ok(state_begin(s.state, &s.e), &s.e);
    add(&s, "nas", "aborted", 2);
    assert_ok(state_put(s.state, "aborted", SLICE("x"), &s.e), &s.e);
    state_abort(s.state);
    assert_queue(&s, NULL, 0, 10, "nas before 1;");
    assert_ok(state_begin(s.state, &s.e), &s.e);
    add(&s, "nas", "committed", 3);
    assert_ok(state_commit(s.state, &s.e), &s.e);
    assert_queue(&s, NULL, 0, 10, "nas before 1;nas committed 3;");
}

/* A kill between begin and commit: nothing of it is there. */
static void
what_was_not_committed_is_gone_after_reopening(void **state)
{
    struct state *again = NULL;
    AUTOBUF struct buf got = BUF(100);
    STORE(s);

    (void)state;
    assert_ok(state_begin(s.state, &s.e), &s.e);
    add(&s, "nas", "lost", 1);
    assert_ok(state_open(s.folder.path, true, &again, &s.e), &s.e);
    assert_ok(state_queue_list(again, NULL, 0, 10, write_row, &got, &s.e), &s.e);
    assert_string_equal(buf_cstr(&got), "");
    state_close(again);
    state_abort(s.state);
}

static void *
add_many(void *arg)
{
    struct state *st = arg;
    struct err e = { 0 };

    for (unsigned i = 0; i < 100; i++) {
        struct queue_row row = { .target = "nas", .key = "k", .size = 1 };
        int64_t one, two;
        if (state_begin(st, &e) < 0 || state_queue_add(st, &row, &one, &e) < 0
            || state_queue_add(st, &row, &two, &e) < 0 || state_commit(st, &e) < 0
            || two != one + 1)
            return st; /* another thread came between */
        cache_put(st, slice_of(&i, sizeof i), SLICE("value"));
        AUTOBUF struct buf got = BUF(100);
        if (!cache_get(st, slice_of(&i, sizeof i), &got))
            return st;
    }
    return NULL;
}

static void
threads_do_not_come_between_begin_and_commit(void **state)
{
    pthread_t threads[4];
    uint64_t rows = 0, bytes;
    STORE(s);

    (void)state;
    for (size_t i = 0; i < COUNT_OF(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, add_many, s.state), 0);
    for (size_t i = 0; i < COUNT_OF(threads); i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    assert_ok(state_queue_sum(s.state, "nas", &rows, &bytes, &s.e), &s.e);
    assert_int_equal(rows, 800);
}

/* The cache. */

static bool
cached(struct store *s, unsigned n)
{
    AUTOBUF struct buf got = BUF(100);
    AUTOFREE char *want = mem_printf("value %u", n);

    if (!cache_get(s->state, slice_of(&n, sizeof n), &got))
        return false;
    assert_string_equal(buf_cstr(&got), want);
    return true;
}

static void
cache(struct store *s, unsigned n)
{
    AUTOFREE char *value = mem_printf("value %u", n);

    cache_put(s->state, slice_of(&n, sizeof n), slice_str(value));
}

static void
what_is_cached_is_found_again(void **state)
{
    STORE(s);

    (void)state;
    for (unsigned n = 0; n < 200; n++) {
        assert_false(cached(&s, n));
        cache(&s, n);
        assert_true(cached(&s, n));
    }
    store_again(&s);
    for (unsigned n = 0; n < 200; n++)
        assert_true(cached(&s, n));
    assert_false(cached(&s, 200));
}

/* The caller's buffer is its limit; what does not fit is as not cached. */
static void
a_cached_value_larger_than_the_room_is_not_given(void **state)
{
    AUTOBUF struct buf small = BUF(5);
    STORE(s);

    (void)state;
    for (int flushed = 0; flushed < 2; flushed++) {
        cache_put(s.state, SLICE("name"), SLICE("0123456789"));
        assert_false(cache_get(s.state, SLICE("name"), &small));
        assert_int_equal(small.len, 0);
        store_again(&s);
    }
}

static void
a_trimmed_cache_lost_its_older_half(void **state)
{
    AUTOFREE uint8_t *big = mem_zalloc(20000);
    unsigned left = 0;
    STORE(s);

    (void)state;
    for (unsigned n = 0; n < 256; n++) {
        fill_bytes(big, 20000, n);
        cache_put(s.state, slice_of(&n, sizeof n), slice_of(big, 20000));
    }
    cache_trim(s.state, 1 << 30);
    for (unsigned n = 0; n < 256; n++) {
        AUTOBUF struct buf got = BUF(20000);
        assert_true(cache_get(s.state, slice_of(&n, sizeof n), &got));
    }
    cache_trim(s.state, 1 << 20);
    for (unsigned n = 0; n < 256; n++) {
        AUTOBUF struct buf got = BUF(20000);
        left += cache_get(s.state, slice_of(&n, sizeof n), &got);
    }
    assert_in_range(left, 100, 140);
    cache_trim(s.state, 3 << 20); /* there is room again */
    for (unsigned n = 0; n < 256; n++) {
        AUTOBUF struct buf got = BUF(20000);
        left -= cache_get(s.state, slice_of(&n, sizeof n), &got);
    }
    assert_int_equal(left, 0);
}

static void
cache_sql(struct store *s, const char *sql)
{
    AUTOFREE char *path = folder_path(&s->folder, "cache.db");
    sqlite3 *db = NULL;

    state_close(TAKE(s->state));
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    store_open(s);
}

/* Else the nodes that every backup needs would go before those that it needed once. */
static void
what_is_asked_for_stays_when_a_cache_is_trimmed(void **state)
{
    STORE(s);

    (void)state;
    for (unsigned n = 0; n < 100; n++)
        cache(&s, n);
    cache_sql(&s, "UPDATE objects SET used = used - 1000000");
    for (unsigned n = 0; n < 50; n++)
        assert_true(cached(&s, n));
    store_again(&s);
    cache_trim(s.state, 1);
    for (unsigned n = 0; n < 100; n++)
        assert_int_equal(cached(&s, n), n < 50);
}

static void
spoil(struct store *s, const char *name)
{
    uint8_t noise[8192];

    state_close(TAKE(s->state));
    fill_bytes(noise, sizeof noise, 3);
    folder_write(&s->folder, name, slice_of(noise, sizeof noise));
}

/* It may be deleted at any time, and rot: it is made anew. */
static void
a_damaged_cache_is_an_empty_one(void **state)
{
    STORE(s);

    (void)state;
    add(&s, "nas", "a", 1);
    cache(&s, 1);
    spoil(&s, "cache.db");
    store_open(&s);
    assert_false(cached(&s, 1));
    cache(&s, 2);
    assert_true(cached(&s, 2));
    store_again(&s);
    assert_true(cached(&s, 2));
    assert_queue(&s, NULL, 0, 10, "nas a 1;");
}

/* Damage behind the first page is met later, by a query. */
static void
a_cache_damaged_inside_costs_nothing_but_its_contents(void **state)
{
    uint8_t noise[4096];
    STORE(s);

    (void)state;
    for (unsigned n = 0; n < 500; n++)
        cache(&s, n);
    state_close(TAKE(s.state));
    AUTOFREE char *path = folder_path(&s.folder, "cache.db");
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    fill_bytes(noise, sizeof noise, 1);
    for (off_t at = 4096; at < lseek(fd, 0, SEEK_END); at += 4096)
        assert_int_equal(pwrite(fd, noise, sizeof noise, at), sizeof noise);
    close(fd);
    store_open(&s);
    for (unsigned n = 0; n < 500; n++) {
        (void)cached(&s, n);
        cache(&s, n + 1000);
    }
    cache_trim(s.state, 1);
    add(&s, "nas", "a", 1);
    assert_queue(&s, NULL, 0, 10, "nas a 1;");
}

/* This one holds the queue: it is never thrown away silently. */
static void
a_damaged_state_does_not_open(void **state)
{
    STORE(s);

    (void)state;
    spoil(&s, "state.db");
    assert_int_equal(state_open(s.folder.path, true, &s.state, &s.e), -1);
    assert_int_equal(s.e.kind, ERR_CORRUPT);
    assert_non_null(strstr(err_text(&s.e), "state.db"));
    assert_null(s.state);
}

static void
a_missing_folder_is_an_error(void **state)
{
    struct state *st = NULL;
    struct err e = { 0 };

    (void)state;
    assert_int_equal(state_open("/tmp/no/such/folder", false, &st, &e), -1);
    assert_null(st);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(named_values_are_kept_and_replaced),
        cmocka_unit_test(the_queue_keeps_the_order_in_which_rows_came),
        cmocka_unit_test(a_new_place_under_an_old_name_is_not_the_old_one),
        cmocka_unit_test(nothing_is_kept_of_a_target_that_is_none_any_more),
        cmocka_unit_test(a_row_that_ended_is_remembered_until_released),
        cmocka_unit_test(numbers_of_the_queue_are_never_used_again),
        cmocka_unit_test(the_highest_number_ever_given_is_told),
        cmocka_unit_test(sizes_over_four_gibibytes_are_kept),
        cmocka_unit_test(the_callers_error_ends_a_listing),
        cmocka_unit_test(pending_packs_are_kept_until_they_are_dropped),
        cmocka_unit_test(pending_packs_come_one_by_one),
        cmocka_unit_test(published_packs_are_pending_until_a_target_lists_them),
        cmocka_unit_test(segments_are_found_by_key),
        cmocka_unit_test(commits_wait_in_order_for_each_target),
        cmocka_unit_test(commits_are_taken_one_at_a_time),
        cmocka_unit_test(what_is_to_be_voided_is_kept_for_each_target),
        cmocka_unit_test(marks_remember_the_highest_number_seen),
        cmocka_unit_test(runs_are_told_newest_first),
        cmocka_unit_test(what_is_aborted_never_was),
        cmocka_unit_test(what_was_not_committed_is_gone_after_reopening),
        cmocka_unit_test(threads_do_not_come_between_begin_and_commit),
        cmocka_unit_test(what_is_cached_is_found_again),
        cmocka_unit_test(a_cached_value_larger_than_the_room_is_not_given),
        cmocka_unit_test(a_trimmed_cache_lost_its_older_half),
        cmocka_unit_test(what_is_asked_for_stays_when_a_cache_is_trimmed),
        cmocka_unit_test(a_damaged_cache_is_an_empty_one),
        cmocka_unit_test(a_cache_damaged_inside_costs_nothing_but_its_contents),
        cmocka_unit_test(a_damaged_state_does_not_open),
        cmocka_unit_test(a_missing_folder_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
