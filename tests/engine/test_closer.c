/* Packs that are ended behind the packer's back. */
#include "../../src/engine/closer.h"
#include "base/clock.h"
#include "support/lab.h"

#include <sys/stat.h>

static struct pack_writer *
begin_pack(struct lab *l, const struct session *s, uint32_t *number)
{
    struct repo *r = l->site.repo;
    struct pack_writer *w = NULL;

    assert_ok(index_pack_begin(repo_index(r), number, &l->e), &l->e);
    assert_ok(pack_begin(repo_keys(r), CLASS_DATA, s->id, repo_random(r), NULL,
                         fleet_spool_tmp(repo_fleet(r)), &w, &l->e),
              &l->e);
    return w;
}

static void
all_are_stored_when_the_wait_is_over(struct lab *l, bool threaded)
{
    lab_open(l);
    struct repo *r = l->site.repo;
    CLEANUP(session_free_p) struct session *s = session_new(repo_keys(r), repo_random(r));
    struct closer *c = closer_new(r, threaded);
    uint32_t numbers[5];

    for (unsigned i = 0; i < COUNT_OF(numbers); i++) {
        struct pack_writer *w = begin_pack(l, s, &numbers[i]);
        assert_ok(closer_take(c, w, numbers[i], i == 4, &l->e), &l->e);
    }
    assert_ok(closer_wait(c, &l->e), &l->e);
    for (unsigned i = 0; i < COUNT_OF(numbers); i++) {
        char key[PACK_KEY_LEN + 1];
        uint8_t name[32];
        uint64_t size;
        assert_int_equal(index_pack(repo_index(r), numbers[i], name, &size, &l->e), 1);
        pack_key(key, name);
        assert_true(fleet_holds(repo_fleet(r), key));
    }
    closer_free(c);
    site_close(&l->site);
}

static void
packs_are_stored(void **state)
{
    LAB(l);

    (void)state;
    all_are_stored_when_the_wait_is_over(&l, true);
    all_are_stored_when_the_wait_is_over(&l, false);
}

/* The first error is told, also by what comes behind it, and nothing else is stored. */
static void
an_error_ends_it(void **state)
{
    LAB(l);

    (void)state;
    lab_open(&l);
    struct repo *r = l.site.repo;
    CLEANUP(session_free_p) struct session *s = session_new(repo_keys(r), repo_random(r));
    struct closer *c = closer_new(r, true);
    AUTOFREE char *spool = mem_printf("%s/spool", repo_dir(r));
    AUTOFREE char *away = mem_printf("%s/away", repo_dir(r));
    struct pack_writer *packs[50];
    uint32_t numbers[COUNT_OF(packs)];
    uint8_t name[32];
    uint64_t size;
    size_t given = 0;

    for (size_t i = 0; i < COUNT_OF(packs); i++)
        packs[i] = begin_pack(&l, s, &numbers[i]);
    assert_int_equal(rename(spool, away), 0);
    while (given < COUNT_OF(packs)
           && closer_take(c, TAKE(packs[given]), numbers[given], false, &l.e) == 0) {
        clock_sleep_ms(10); /* until the thread has met it */
        given++;
    }
    assert_true(given < COUNT_OF(packs));
    assert_int_equal(l.e.kind, ERR_NOT_FOUND); /* the spool */
    struct err again = { 0 };
    assert_err(closer_wait(c, &again), &again, ERR_NOT_FOUND);
    for (size_t i = 0; i < COUNT_OF(packs); i++) {
        assert_int_equal(index_pack(repo_index(r), numbers[i], name, &size, &l.e), 0);
        pack_abort(packs[i]);
    }
    closer_free(c);
    assert_int_equal(rename(away, spool), 0);
    site_close(&l.site);
    back_up_well(&l);
}

/* Who gives up leaves no file behind. */
static void
what_waits_is_given_up(void **state)
{
    LAB(l);

    (void)state;
    lab_open(&l);
    struct repo *r = l.site.repo;
    CLEANUP(session_free_p) struct session *s = session_new(repo_keys(r), repo_random(r));
    struct closer *c = closer_new(r, true);

    for (unsigned i = 0; i < 3; i++) {
        uint32_t number;
        struct pack_writer *w = begin_pack(&l, s, &number);
        assert_ok(closer_take(c, w, number, false, &l.e), &l.e);
    }
    closer_free(c);
    site_close(&l.site);
    back_up_well(&l);
    verify_well(&l, 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packs_are_stored),
        cmocka_unit_test(an_error_ends_it),
        cmocka_unit_test(what_waits_is_given_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
