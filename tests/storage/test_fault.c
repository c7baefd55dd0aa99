#include "storage/mem.h"
#include "storage/wrap.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static int
put(struct storage *s, const char *key, struct err *e)
{
    struct body b = body_of(SLICE("0123456789"));

    return storage_put(s, key, &b, 0, e);
}

static int
get(struct storage *s, const char *key, struct buf *out, struct err *e)
{
    struct range r = { .key = key };

    return storage_get(s, &r, out, e);
}

static int
count(void *arg, const struct object_info *o, struct err *e)
{
    (void)o;
    (void)e;
    ++*(int *)arg;
    return 0;
}

static int
objects(struct storage *s)
{
    struct fault_plan none = { .at = 0 };
    struct err e = { 0 };
    int n = 0;

    storage_fault_plan(s, &none);
    assert_int_equal(storage_list(s, "", count, &n, &e), 0);
    return n;
}

static void
only_the_planned_calls_are_broken(void **state)
{
    struct fault_plan plan = { FAULT_REFUSE, FAULT_ON_PUT, 2, 2, "pack/" };
    CLEANUP(storage_close_p) struct storage *s = storage_fault(storage_mem(), &plan);
    AUTOBUF struct buf out = BUF(64);
    struct err e = { 0 };

    (void)state;
    assert_int_equal(put(s, "pack/1", &e), 0);
    assert_int_equal(put(s, "index/1", &e), 0); /* another prefix does not count */
    assert_int_equal(get(s, "pack/1", &out, &e), 0); /* nor does another call */
    assert_int_equal(put(s, "pack/2", &e), -1);
    assert_int_equal(e.kind, ERR_UNAVAIL);
    assert_int_equal(put(s, "pack/2", &e), -1);
    assert_int_equal(put(s, "pack/2", &e), 0);
    assert_int_equal(storage_fault_calls(s), 4);
    assert_int_equal(storage_fault_hits(s), 2);
}

/* Whether the object is there afterwards is what the modes differ in. */
static void
each_mode_fails_a_put_in_its_own_way(void **state)
{
    static const struct {
        enum fault_mode mode;
        enum err_kind kind;
        int left;
    } cases[] = {
        { FAULT_REFUSE, ERR_UNAVAIL, 0 },   { FAULT_DENY, ERR_DENIED, 0 },
        { FAULT_LOSE_ACK, ERR_UNAVAIL, 1 }, { FAULT_CUT, ERR_UNAVAIL, 0 },
        { FAULT_MISSING, ERR_NOT_FOUND, 0 },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct fault_plan plan = { cases[i].mode, 0, 1, 1, NULL };
        CLEANUP(storage_close_p) struct storage *s = storage_fault(storage_mem(), &plan);
        struct err e = { 0 };
        assert_int_equal(put(s, "a", &e), -1);
        assert_int_equal(e.kind, cases[i].kind);
        assert_int_equal(objects(s), cases[i].left);
    }
}

static void
each_mode_fails_a_get_in_its_own_way(void **state)
{
    static const struct {
        enum fault_mode mode;
        enum err_kind kind;
    } cases[] = {
        { FAULT_REFUSE, ERR_UNAVAIL },   { FAULT_DENY, ERR_DENIED },
        { FAULT_LOSE_ACK, ERR_UNAVAIL }, { FAULT_CUT, ERR_CORRUPT },
        { FAULT_MISSING, ERR_NOT_FOUND },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct fault_plan plan = { cases[i].mode, FAULT_ON_GET, 1, UINT_MAX, NULL };
        CLEANUP(storage_close_p) struct storage *s = storage_fault(storage_mem(), &plan);
        AUTOBUF struct buf out = BUF(64);
        struct err e = { 0 };
        assert_int_equal(put(s, "a", &e), 0);
        assert_int_equal(get(s, "a", &out, &e), -1);
        assert_int_equal(e.kind, cases[i].kind);
        assert_int_equal(out.len, 0);
    }
}

static void
a_garbled_get_differs_in_one_bit(void **state)
{
    struct fault_plan plan = { FAULT_GARBLE, FAULT_ON_GET, 1, 1, NULL };
    CLEANUP(storage_close_p) struct storage *s = storage_fault(storage_mem(), &plan);
    AUTOBUF struct buf out = BUF(64);
    struct err e = { 0 };
    int bits = 0;

    (void)state;
    assert_int_equal(put(s, "a", &e), 0);
    assert_int_equal(get(s, "a", &out, &e), 0);
    assert_int_equal(out.len, 10);
    for (size_t i = 0; i < 10; i++)
        bits += __builtin_popcount((unsigned)(out.ptr[i] ^ (uint8_t)"0123456789"[i]));
    assert_int_equal(bits, 1);
    buf_clear(&out);
    assert_int_equal(get(s, "a", &out, &e), 0); /* what is stored is as it was */
    assert_string_equal(buf_cstr(&out), "0123456789");
}

static void
a_removal_that_is_cut_did_the_first_half(void **state)
{
    static const char *const keys[] = { "a", "b", "c", "d" };
    struct fault_plan plan = { FAULT_CUT, FAULT_ON_REMOVE, 1, 1, NULL };
    CLEANUP(storage_close_p) struct storage *s = storage_fault(storage_mem(), &plan);
    struct err e = { 0 };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(keys); i++)
        assert_int_equal(put(s, keys[i], &e), 0);
    assert_int_equal(storage_remove(s, keys, COUNT_OF(keys), &e), -1);
    assert_int_equal(e.kind, ERR_UNAVAIL);
    assert_int_equal(objects(s), 2);
}

static void
a_new_plan_counts_anew(void **state)
{
    struct fault_plan plan = { FAULT_REFUSE, 0, 1, 1, NULL };
    CLEANUP(storage_close_p) struct storage *s = storage_fault(storage_mem(), &plan);
    struct err e = { 0 };

    (void)state;
    assert_int_equal(put(s, "a", &e), -1);
    assert_int_equal(put(s, "a", &e), 0);
    storage_fault_plan(s, &plan);
    assert_int_equal(storage_fault_calls(s), 0);
    assert_int_equal(put(s, "a", &e), -1);
    assert_int_equal(storage_fault_hits(s), 1);
}

static void
die_ends_the_process_at_the_planned_call(void **state)
{
    struct fault_plan plan = { FAULT_DIE, FAULT_ON_PUT, 2, 1, NULL };
    int status;
    pid_t pid = fork();

    (void)state;
    assert_true(pid >= 0);
    if (pid == 0) {
        struct storage *s = storage_fault(storage_mem(), &plan);
        struct err e;
        _exit(put(s, "a", &e) == 0 && put(s, "b", &e) == 0 ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 137);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_the_planned_calls_are_broken),
        cmocka_unit_test(each_mode_fails_a_put_in_its_own_way),
        cmocka_unit_test(each_mode_fails_a_get_in_its_own_way),
        cmocka_unit_test(a_garbled_get_differs_in_one_bit),
        cmocka_unit_test(a_removal_that_is_cut_did_the_first_half),
        cmocka_unit_test(a_new_plan_counts_anew),
        cmocka_unit_test(die_ends_the_process_at_the_planned_call),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
