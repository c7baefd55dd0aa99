#include "base/queue.h"
#include "base/clock.h"
#include "support/ground.h"

#include <pthread.h>
#include <stdatomic.h>

static void
items_come_out_in_the_order_they_went_in(void **state)
{
    struct queue *q = queue_new(4);
    int items[10];
    void *got;

    (void)state;
    for (int i = 0; i < 10; i++) {
        assert_true(queue_put(q, &items[i]));
        if (i >= 3) {
            assert_true(queue_take(q, &got));
            assert_ptr_equal(got, &items[i - 3]);
        }
    }
    queue_close(q);
    for (int i = 7; i < 10; i++) {
        assert_true(queue_take(q, &got));
        assert_ptr_equal(got, &items[i]);
    }
    assert_false(queue_take(q, &got));
    queue_free(q);
}

static void
trying_an_empty_queue_does_not_wait(void **state)
{
    struct queue *q = queue_new(1);
    void *got;
    int item;

    (void)state;
    assert_false(queue_try_take(q, &got));
    assert_true(queue_put(q, &item));
    assert_true(queue_try_take(q, &got));
    queue_free(q);
    queue_free(NULL);
}

struct shared {
    struct queue *q;
    atomic_long sum, taken, put;
};

static void *
put_many(void *arg)
{
    struct shared *s = arg;

    for (intptr_t i = 1; i <= 20000 && queue_put(s->q, (void *)i); i++)
        atomic_fetch_add(&s->put, 1);
    return NULL;
}

static void *
take_all(void *arg)
{
    struct shared *s = arg;
    void *item;

    while (queue_take(s->q, &item)) {
        atomic_fetch_add(&s->sum, (intptr_t)item);
        atomic_fetch_add(&s->taken, 1);
    }
    return NULL;
}

static void
many_threads_lose_and_double_nothing(void **state)
{
    struct shared s = { .q = queue_new(7) };
    pthread_t putters[3], takers[3];

    (void)state;
    for (int i = 0; i < 3; i++) {
        pthread_create(&takers[i], NULL, take_all, &s);
        pthread_create(&putters[i], NULL, put_many, &s);
    }
    for (int i = 0; i < 3; i++)
        pthread_join(putters[i], NULL);
    queue_close(s.q);
    for (int i = 0; i < 3; i++)
        pthread_join(takers[i], NULL);
    assert_int_equal(atomic_load(&s.taken), 60000);
    assert_int_equal(atomic_load(&s.sum), 3L * 20000 * 20001 / 2);
    queue_free(s.q);
}

/* Putters that wait for room, and takers that wait for items, must both wake. */
static void
cancelling_wakes_everyone(void **state)
{
    struct shared full = { .q = queue_new(2) }, empty = { .q = queue_new(2) };
    pthread_t putter, taker;
    void *got;
    int item;

    (void)state;
    pthread_create(&putter, NULL, put_many, &full);
    pthread_create(&taker, NULL, take_all, &empty);
    while (atomic_load(&full.put) < 2)
        clock_sleep_ms(1);
    queue_cancel(full.q);
    queue_cancel(empty.q);
    pthread_join(putter, NULL);
    pthread_join(taker, NULL);
    assert_int_equal(atomic_load(&full.put), 2);
    assert_false(queue_put(empty.q, &item));
    assert_false(queue_take(full.q, &got));
    assert_false(queue_try_take(full.q, &got));
    queue_free(full.q);
    queue_free(empty.q);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_come_out_in_the_order_they_went_in),
        cmocka_unit_test(trying_an_empty_queue_does_not_wait),
        cmocka_unit_test(many_threads_lose_and_double_nothing),
        cmocka_unit_test(cancelling_wakes_everyone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
