/* SPDX-License-Identifier: Apache-2.0 */
/* common/os/queue: FIFO, bounds, closing, and no wake-up lost among many threads. */
#include <check.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "common/os/clock.h"
#include "common/os/queue.h"
#include "common/os/thread.h"

enum { CAPACITY = 4 };

START_TEST(items_come_out_in_order_around_the_end)
{
    struct queue queue;
    ck_assert_int_eq(queue_init(&queue, CAPACITY, sizeof(int)), 0);
    int next_in = 0;
    int next_out = 0;
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < 3; i++) {
            ck_assert_int_eq((int)queue_push(&queue, &next_in), QUEUE_OK);
            next_in++;
        }
        for (int i = 0; i < 3; i++) {
            int item = -1;
            ck_assert_int_eq((int)queue_pop(&queue, &item, 0), QUEUE_OK);
            ck_assert_int_eq(item, next_out);
            next_out++;
        }
    }
    queue_destroy(&queue);
}
END_TEST

START_TEST(full_queue_refuses_and_counts)
{
    struct queue queue;
    ck_assert_int_eq(queue_init(&queue, CAPACITY, sizeof(int)), 0);
    for (int i = 0; i < CAPACITY; i++) {
        ck_assert_int_eq((int)queue_push(&queue, &i), QUEUE_OK);
    }
    const int more = 99;
    ck_assert_int_eq((int)queue_push(&queue, &more), QUEUE_FULL);
    ck_assert_uint_eq(queue_full_count(&queue), 1);
    ck_assert_uint_eq(queue_count(&queue), CAPACITY);
    int item;
    ck_assert_int_eq((int)queue_pop(&queue, &item, 0), QUEUE_OK);
    ck_assert_int_eq(item, 0);
    queue_destroy(&queue);
}
END_TEST

START_TEST(many_items_are_pushed_whole_or_not_at_all)
{
    struct queue queue;
    const int items[CAPACITY + 1] = {10, 11, 12, 13, 14};
    int taken_items[CAPACITY + 1];
    size_t taken;
    ck_assert_int_eq(queue_init(&queue, CAPACITY, sizeof(int)), 0);
    ck_assert_int_eq((int)queue_push_many(&queue, items, CAPACITY + 1), QUEUE_FULL);
    ck_assert_uint_eq(queue_count(&queue), 0);
    ck_assert_int_eq((int)queue_push_many(&queue, items, 3), QUEUE_OK);
    ck_assert_int_eq((int)queue_push_many(&queue, items, 2), QUEUE_FULL);
    ck_assert_int_eq((int)queue_pop_many(&queue, taken_items, CAPACITY, &taken, 0), QUEUE_OK);
    ck_assert_uint_eq(taken, 3);
    ck_assert_int_eq(taken_items[2], 12);
    ck_assert_int_eq((int)queue_pop_many(&queue, taken_items, CAPACITY, &taken, 0), QUEUE_EMPTY);
    ck_assert_uint_eq(taken, 0);
    queue_destroy(&queue);
}
END_TEST

/* PITFALLS TH-1, TM-2: the wait is on the monotonic clock, and ends. */
START_TEST(empty_pop_waits_as_long_as_it_was_told)
{
    struct queue queue;
    int item;
    const uint64_t wait_ns = 20 * NANOSECONDS_PER_MILLISECOND;
    ck_assert_int_eq(queue_init(&queue, CAPACITY, sizeof(int)), 0);
    const uint64_t before_ns = clock_monotonic_ns();
    ck_assert_int_eq((int)queue_pop(&queue, &item, wait_ns), QUEUE_EMPTY);
    ck_assert_uint_ge(clock_monotonic_ns() - before_ns, wait_ns);
    queue_destroy(&queue);
}
END_TEST

START_TEST(closed_queue_is_drained_first)
{
    struct queue queue;
    int item = 7;
    ck_assert_int_eq(queue_init(&queue, CAPACITY, sizeof(int)), 0);
    ck_assert_int_eq((int)queue_push(&queue, &item), QUEUE_OK);
    queue_close(&queue);
    ck_assert_int_eq((int)queue_push(&queue, &item), QUEUE_CLOSED);
    item = 0;
    ck_assert_int_eq((int)queue_pop(&queue, &item, QUEUE_WAIT_FOREVER), QUEUE_OK);
    ck_assert_int_eq(item, 7);
    ck_assert_int_eq((int)queue_pop(&queue, &item, QUEUE_WAIT_FOREVER), QUEUE_CLOSED);
    queue_destroy(&queue);
}
END_TEST

static bool is_below_ten(const void *item)
{
    return *(const int *)item < 10;
}

START_TEST(only_what_is_wanted_is_taken)
{
    struct queue queue;
    const int items[] = {1, 2, 10, 3};
    int taken[CAPACITY];
    int item;
    ck_assert_int_eq(queue_init(&queue, CAPACITY, sizeof(int)), 0);
    ck_assert_uint_eq(queue_pop_while(&queue, taken, CAPACITY, is_below_ten), 0);
    ck_assert_int_eq((int)queue_push(&queue, items), QUEUE_OK); /* so that it goes around the end */
    ck_assert_int_eq((int)queue_pop(&queue, &item, 0), QUEUE_OK);
    ck_assert_int_eq((int)queue_push_quietly(&queue, items, CAPACITY), QUEUE_OK);
    ck_assert_int_eq((int)queue_push_quietly(&queue, items, 1), QUEUE_FULL);
    ck_assert_uint_eq(queue_pop_while(&queue, taken, 1, is_below_ten), 1);
    ck_assert_uint_eq(queue_pop_while(&queue, taken + 1, CAPACITY, is_below_ten), 1);
    ck_assert_int_eq(taken[0], 1);
    ck_assert_int_eq(taken[1], 2);
    ck_assert_uint_eq(queue_pop_while(&queue, taken, CAPACITY, is_below_ten), 0);
    ck_assert_uint_eq(queue_count(&queue), 2);
    queue_destroy(&queue);
}
END_TEST

START_TEST(a_nudge_ends_one_wait)
{
    struct queue queue;
    const int item = 5;
    ck_assert_int_eq(queue_init(&queue, CAPACITY, sizeof(int)), 0);
    ck_assert_int_eq((int)queue_wait(&queue, 0), QUEUE_EMPTY);
    queue_nudge(&queue);
    ck_assert_int_eq((int)queue_wait(&queue, QUEUE_WAIT_FOREVER), QUEUE_OK);
    ck_assert_int_eq((int)queue_wait(&queue, 0), QUEUE_EMPTY);
    ck_assert_int_eq((int)queue_push_quietly(&queue, &item, 1), QUEUE_OK);
    queue_close(&queue);
    ck_assert_int_eq((int)queue_push_quietly(&queue, &item, 1), QUEUE_CLOSED);
    ck_assert_int_eq((int)queue_wait(&queue, QUEUE_WAIT_FOREVER), QUEUE_OK);
    int taken;
    ck_assert_int_eq((int)queue_pop(&queue, &taken, 0), QUEUE_OK);
    queue_nudge(&queue);
    ck_assert_int_eq((int)queue_wait(&queue, QUEUE_WAIT_FOREVER), QUEUE_CLOSED);
    queue_destroy(&queue);
}
END_TEST

/* Many threads. */

struct sleeper {
    struct queue queue;
    enum queue_status status;
};

static void *sleep_in_wait(void *argument)
{
    struct sleeper *sleeper = argument;
    sleeper->status = queue_wait(&sleeper->queue, QUEUE_WAIT_FOREVER);
    return NULL;
}

START_TEST(a_nudge_wakes_who_sleeps)
{
    static struct sleeper sleeper;
    pthread_t thread;
    ck_assert_int_eq(queue_init(&sleeper.queue, CAPACITY, sizeof(int)), 0);
    ck_assert_int_eq(thread_start(&thread, "sleeper", sleep_in_wait, &sleeper), 0);
    clock_sleep_ns(10 * NANOSECONDS_PER_MILLISECOND); /* so that it sleeps by now, most often */
    queue_nudge(&sleeper.queue);
    thread_join(thread);
    ck_assert_int_eq((int)sleeper.status, QUEUE_OK);
    queue_destroy(&sleeper.queue);
}
END_TEST

enum {
    PRODUCERS = 3,
    CONSUMERS = 3,
    ITEMS_EACH = 20000,
};

struct stress {
    struct queue queue;
    atomic_uint_least64_t pushed_sum;
    atomic_uint_least64_t popped_sum;
    atomic_uint_least64_t popped_count;
};

static void *produce(void *argument)
{
    struct stress *stress = argument;
    for (uint64_t i = 1; i <= ITEMS_EACH;) {
        const uint64_t pair[2] = {i, i + 1};
        /* One and two at a time: a signal for one of several sleepers must not be enough (TH-1). */
        const size_t count = i % 3 == 0 && i < ITEMS_EACH ? 2 : 1;
        if (queue_push_many(&stress->queue, pair, count) == QUEUE_OK) {
            atomic_fetch_add(&stress->pushed_sum, count == 2 ? 2 * i + 1 : i);
            i += count;
        }
    }
    return NULL;
}

static void *consume(void *argument)
{
    struct stress *stress = argument;
    uint64_t item;
    while (queue_pop(&stress->queue, &item, QUEUE_WAIT_FOREVER) == QUEUE_OK) {
        atomic_fetch_add(&stress->popped_sum, item);
        atomic_fetch_add(&stress->popped_count, 1);
    }
    return NULL;
}

/* PITFALLS TH-1: were a wake-up lost, a consumer would sleep for ever and the test time out. */
START_TEST(nothing_is_lost_among_threads)
{
    static struct stress stress;
    pthread_t producers[PRODUCERS];
    pthread_t consumers[CONSUMERS];
    ck_assert_int_eq(queue_init(&stress.queue, CAPACITY, sizeof(uint64_t)), 0);
    for (int i = 0; i < CONSUMERS; i++) {
        ck_assert_int_eq(thread_start(&consumers[i], "consumer", consume, &stress), 0);
    }
    for (int i = 0; i < PRODUCERS; i++) {
        ck_assert_int_eq(thread_start(&producers[i], "producer", produce, &stress), 0);
    }
    for (int i = 0; i < PRODUCERS; i++) {
        thread_join(producers[i]);
    }
    queue_close(&stress.queue);
    for (int i = 0; i < CONSUMERS; i++) {
        thread_join(consumers[i]);
    }
    ck_assert_uint_eq(atomic_load(&stress.popped_count), PRODUCERS * ITEMS_EACH);
    ck_assert_uint_eq(atomic_load(&stress.popped_sum), atomic_load(&stress.pushed_sum));
    queue_destroy(&stress.queue);
}
END_TEST

/* PITFALLS TH-2: closing wakes everybody who waits without an end. */
START_TEST(close_wakes_all_sleepers)
{
    static struct stress stress;
    pthread_t consumers[CONSUMERS];
    ck_assert_int_eq(queue_init(&stress.queue, CAPACITY, sizeof(uint64_t)), 0);
    for (int i = 0; i < CONSUMERS; i++) {
        ck_assert_int_eq(thread_start(&consumers[i], "consumer", consume, &stress), 0);
    }
    clock_sleep_ns(10 * NANOSECONDS_PER_MILLISECOND); /* so that most of them sleep by now */
    queue_close(&stress.queue);
    for (int i = 0; i < CONSUMERS; i++) {
        thread_join(consumers[i]);
    }
    queue_destroy(&stress.queue);
}
END_TEST

static Suite *queue_suite(void)
{
    Suite *suite = suite_create("queue");
    TCase *one = tcase_create("one thread");
    tcase_add_test(one, items_come_out_in_order_around_the_end);
    tcase_add_test(one, full_queue_refuses_and_counts);
    tcase_add_test(one, many_items_are_pushed_whole_or_not_at_all);
    tcase_add_test(one, empty_pop_waits_as_long_as_it_was_told);
    tcase_add_test(one, closed_queue_is_drained_first);
    tcase_add_test(one, only_what_is_wanted_is_taken);
    tcase_add_test(one, a_nudge_ends_one_wait);
    suite_add_tcase(suite, one);
    TCase *many = tcase_create("many threads");
    tcase_set_timeout(many, 60);
    tcase_add_test(many, nothing_is_lost_among_threads);
    tcase_add_test(many, close_wakes_all_sleepers);
    tcase_add_test(many, a_nudge_wakes_who_sleeps);
    suite_add_tcase(suite, many);
    return suite;
}

int main(void)
{
    SRunner *runner = srunner_create(queue_suite());
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
