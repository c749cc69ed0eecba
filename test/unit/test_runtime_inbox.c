/* SPDX-License-Identifier: Apache-2.0 */
/* server/runtime/inbox: two lanes that lose nothing they took, and slots that cannot fill up. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/prng.h"
#include "common/os/thread.h"
#include "server/runtime/inbox.h"

static struct inbox inbox;

static void setup(void)
{
    ck_assert_int_eq(inbox_init(&inbox), 0);
}

static void teardown(void)
{
    inbox_destroy(&inbox);
}

/* Adds a Request that carries `number` and `size` bytes of it. False if the lane is full. */
static bool add(enum lane_kind kind, uint64_t number, size_t size)
{
    struct arena arena;
    struct inbox_item *item = inbox_reserve(&inbox, kind, size, &arena);
    if (item == NULL) {
        return false;
    }
    uint8_t *operation = arena_take(&arena, size);
    if (operation == NULL) {
        ck_abort_msg("an arena of %zu bytes has no room for as many", size);
    }
    memset(operation, (int)(number & 0xff), size);
    item->received_ns = number;
    item->message = (struct message){
        .type = MESSAGE_REQUEST,
        .request = {.request_number = number,
                    .operation_size = (uint32_t)size,
                    .operation = operation},
    };
    inbox_add(&inbox, kind, item, &arena);
    return true;
}

static bool intact(const struct inbox_item *item, uint64_t number)
{
    const struct request *request = &item->message.request;
    bool same = request->request_number == number && item->received_ns == number;
    for (size_t i = 0; i < request->operation_size; i++) {
        same = same && request->operation[i] == (number & 0xff);
    }
    return same;
}

/* Takes what waits and checks that it is intact, in order from *next on. */
static uint64_t take_all(enum lane_kind kind, uint64_t lane_max, uint64_t *next)
{
    struct inbox_take take;
    bool all_intact = true;
    inbox_take(&inbox, lane_max, &take);
    for (uint64_t i = 0; i < take.counts[kind]; i++) {
        all_intact = intact(inbox_next(&inbox, kind), *next) && all_intact;
        (*next)++;
    }
    inbox_release(&inbox, &take);
    /* Once a batch: Check writes to a pipe for each assertion. */
    if (!all_intact) {
        ck_abort_msg("damaged or out of order before %llu", (unsigned long long)*next);
    }
    return take.counts[kind];
}

START_TEST(nothing_is_seen_before_it_is_published)
{
    uint64_t next = 1;
    ck_assert(add(LANE_PEERS, 1, 100));
    ck_assert(!inbox_pending(&inbox));
    inbox_publish(&inbox, LANE_PEERS);
    ck_assert(inbox_pending(&inbox));
    ck_assert_uint_eq(take_all(LANE_PEERS, 10, &next), 1);
    ck_assert(!inbox_pending(&inbox));
}
END_TEST

START_TEST(a_reserved_place_that_is_not_used_costs_nothing)
{
    struct arena arena;
    uint64_t next = 1;
    bool reserved = true;
    for (int i = 0; i < 100000; i++) {
        reserved = inbox_reserve(&inbox, LANE_PEERS, 100000, &arena) != NULL && reserved;
    }
    ck_assert(reserved);
    ck_assert(add(LANE_PEERS, 1, 100));
    inbox_publish(&inbox, LANE_PEERS);
    ck_assert_uint_eq(take_all(LANE_PEERS, 10, &next), 1);
}
END_TEST

/* Bounded, refused and counted beyond it; and what was taken in before is all there. */
START_TEST(full_lane_refuses_and_keeps_what_it_has)
{
    enum { SIZE = 100 * 1000 };
    uint64_t added = 0;
    while (add(LANE_CLIENTS, added + 1, SIZE)) {
        added++;
    }
    inbox_publish(&inbox, LANE_CLIENTS);
    ck_assert_uint_gt(added, LANE_CLIENTS_SIZE / SIZE - 5);
    ck_assert_uint_le(added, LANE_CLIENTS_SIZE / SIZE);
    ck_assert_uint_eq(inbox_full_count(&inbox, LANE_CLIENTS), 1);
    uint64_t next = 1;
    ck_assert_uint_eq(take_all(LANE_CLIENTS, 3, &next), 3);
    while (add(LANE_CLIENTS, added + 1, SIZE)) {
        added++;
    }
    inbox_publish(&inbox, LANE_CLIENTS);
    while (take_all(LANE_CLIENTS, UINT64_MAX, &next) > 0) {
    }
    ck_assert_uint_eq(next, added + 1);
}
END_TEST

/* PITFALLS TH-7: any mix of sizes goes around the ring's end without harm. */
START_TEST(random_sizes_go_around_the_end)
{
    struct prng prng;
    prng_seed(&prng, 42);
    uint64_t added = 0;
    uint64_t next = 1;
    for (int round = 0; round < 1500; round++) {
        const uint64_t burst = prng_between(&prng, 1, 30);
        for (uint64_t i = 0; i < burst; i++) {
            const bool large = prng_chance(&prng, 1, 40);
            const size_t size = prng_below(&prng, large ? 500000 : 500);
            if (add(LANE_CLIENTS, added + 1, size)) {
                added++;
            }
        }
        inbox_publish(&inbox, LANE_CLIENTS);
        (void)take_all(LANE_CLIENTS, prng_between(&prng, 1, 40), &next);
    }
    while (take_all(LANE_CLIENTS, UINT64_MAX, &next) > 0) {
    }
    ck_assert_uint_eq(next, added + 1);
    ck_assert_uint_gt(added, 10000);
}
END_TEST

/* V1, PITFALLS TH-3: a tick is not stepped before the peers' messages that came before it. */
START_TEST(tick_waits_for_what_came_before_it)
{
    struct inbox_take take;
    for (uint64_t i = 1; i <= 5; i++) {
        ck_assert(add(LANE_PEERS, i, 10));
    }
    inbox_publish(&inbox, LANE_PEERS);
    inbox_post_tick(&inbox);
    ck_assert(add(LANE_PEERS, 6, 10));
    inbox_publish(&inbox, LANE_PEERS);

    inbox_take(&inbox, 4, &take);
    ck_assert_uint_eq(take.counts[LANE_PEERS], 4);
    ck_assert(!take.tick);
    for (int i = 0; i < 4; i++) {
        (void)inbox_next(&inbox, LANE_PEERS);
    }
    inbox_release(&inbox, &take);
    ck_assert(inbox_pending(&inbox));

    inbox_take(&inbox, 1, &take);
    ck_assert_uint_eq(take.counts[LANE_PEERS], 1);
    ck_assert(take.tick); /* the sixth came after it */
    (void)inbox_next(&inbox, LANE_PEERS);
    inbox_release(&inbox, &take);
}
END_TEST

/* PITFALLS TH-4: after a stall there is one tick. */
START_TEST(ticks_do_not_pile_up)
{
    struct inbox_take take;
    for (int i = 0; i < 10; i++) {
        inbox_post_tick(&inbox);
    }
    inbox_take(&inbox, 1, &take);
    ck_assert(take.tick);
    inbox_release(&inbox, &take);
    ck_assert(!inbox_pending(&inbox));
}
END_TEST

START_TEST(only_the_newest_completion_counts)
{
    struct inbox_take take;
    for (uint64_t i = 1; i <= 1000; i++) {
        inbox_post_executed(&inbox, i, false);
        inbox_post_state_durable(&inbox, i);
    }
    ck_assert(inbox_pending(&inbox));
    inbox_take(&inbox, 1, &take);
    ck_assert(take.executed);
    ck_assert_uint_eq(take.executed_op, 1000);
    ck_assert(take.state_durable);
    ck_assert_uint_eq(take.state_number, 1000);
    inbox_release(&inbox, &take);
    inbox_take(&inbox, 1, &take);
    ck_assert(!take.executed);
    ck_assert(!take.state_durable);
    inbox_release(&inbox, &take);

    /* What the executor did is no reason to hurry, unless it says so. */
    inbox_post_executed(&inbox, 1001, false);
    ck_assert(!inbox_pending(&inbox));
    inbox_post_executed(&inbox, 1002, true);
    ck_assert(inbox_pending(&inbox));
}
END_TEST

/* PITFALLS TH-5: one producer and one consumer at the same time, each in places of its own. */

enum { THREADED_ITEMS = 200 * 1000 };

static void *produce(void *argument)
{
    struct prng prng;
    (void)argument;
    prng_seed(&prng, 7);
    for (uint64_t i = 1; i <= THREADED_ITEMS;) {
        if (add(LANE_PEERS, i, prng_below(&prng, 300))) {
            i++;
        }
        if (i % 7 == 0) {
            inbox_publish(&inbox, LANE_PEERS);
        }
    }
    inbox_publish(&inbox, LANE_PEERS);
    return NULL;
}

START_TEST(producer_and_consumer_at_once)
{
    pthread_t producer;
    uint64_t next = 1;
    ck_assert_int_eq(thread_start(&producer, "producer", produce, NULL), 0);
    while (next <= THREADED_ITEMS) {
        (void)take_all(LANE_PEERS, 64, &next);
    }
    thread_join(producer);
    ck_assert(!inbox_pending(&inbox));
}
END_TEST

static Suite *inbox_suite(void)
{
    Suite *suite = suite_create("inbox");
    TCase *all = tcase_create("all");
    tcase_set_timeout(all, 120);
    tcase_add_checked_fixture(all, setup, teardown);
    tcase_add_test(all, nothing_is_seen_before_it_is_published);
    tcase_add_test(all, a_reserved_place_that_is_not_used_costs_nothing);
    tcase_add_test(all, full_lane_refuses_and_keeps_what_it_has);
    tcase_add_test(all, random_sizes_go_around_the_end);
    tcase_add_test(all, tick_waits_for_what_came_before_it);
    tcase_add_test(all, ticks_do_not_pile_up);
    tcase_add_test(all, only_the_newest_completion_counts);
    tcase_add_test(all, producer_and_consumer_at_once);
    suite_add_tcase(suite, all);
    return suite;
}

int main(void)
{
    SRunner *runner = srunner_create(inbox_suite());
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
