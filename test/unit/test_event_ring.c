/* SPDX-License-Identifier: Apache-2.0 */
/* server/runtime/event_ring: lanes, wrapping, readers that are overtaken, several threads at once.
 */
#include <check.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "common/os/thread.h"
#include "server/runtime/event_ring.h"

static struct event_ring ring;
static struct trace_event read_events[TRACE_EVENTS_MAX];

static void setup(void)
{
    ck_assert_int_eq(event_ring_init(&ring), 0);
}

static void teardown(void)
{
    event_ring_destroy(&ring);
}

static struct trace_event event_of(enum message_type type, uint64_t mark)
{
    return (struct trace_event){.kind = TRACE_SENT, .type = (uint8_t)type, .detail = mark};
}

static void append(enum message_type type, uint64_t mark)
{
    const struct trace_event event = event_of(type, mark);
    event_ring_append(&ring, &event, 1);
}

static struct event_range read_lane(enum trace_lane lane, uint64_t from, uint32_t count)
{
    struct event_range range;
    event_ring_read(&ring, lane, from, count, read_events, &range);
    return range;
}

START_TEST(an_empty_ring_has_nothing)
{
    const struct event_range range = read_lane(TRACE_LANE_OPERATIONS, 0, TRACE_EVENTS_MAX);
    ck_assert_uint_eq(range.count, 0);
    ck_assert_uint_eq(range.oldest, 0);
    ck_assert_uint_eq(range.next, 0);
    ck_assert_uint_eq(read_lane(TRACE_LANE_CHANGES, UINT64_MAX, 0).first, 0);
}
END_TEST

START_TEST(each_lane_has_its_own)
{
    append(MESSAGE_PREPARE, 1);
    append(MESSAGE_START_VIEW, 2);
    append(MESSAGE_PREPARE, 3);
    struct event_range range = read_lane(TRACE_LANE_OPERATIONS, 0, TRACE_EVENTS_MAX);
    ck_assert_uint_eq(range.count, 2);
    ck_assert_uint_eq(range.next, 2);
    ck_assert_uint_eq(read_events[0].detail, 1);
    ck_assert_uint_eq(read_events[1].detail, 3);
    range = read_lane(TRACE_LANE_CHANGES, 0, TRACE_EVENTS_MAX);
    ck_assert_uint_eq(range.count, 1);
    ck_assert_uint_eq(read_events[0].detail, 2);
}
END_TEST

/* The newest are kept; who asks for what is gone gets the oldest there is, and can tell. */
START_TEST(a_reader_that_is_overtaken_can_tell)
{
    const uint64_t total = TRACE_OPERATIONS_MAX + 1000;
    for (uint64_t i = 0; i < total; i++) {
        append(MESSAGE_PREPARE, i);
    }
    struct event_range range = read_lane(TRACE_LANE_OPERATIONS, 10, 5);
    ck_assert_uint_eq(range.oldest, 1000);
    ck_assert_uint_eq(range.next, total);
    ck_assert_uint_eq(range.first, 1000);
    ck_assert_uint_eq(range.count, 5);
    for (uint64_t i = 0; i < 5; i++) {
        ck_assert_uint_eq(read_events[i].detail, 1000 + i);
    }
    range = read_lane(TRACE_LANE_OPERATIONS, total - 3, TRACE_EVENTS_MAX); /* over the end */
    ck_assert_uint_eq(range.count, 3);
    ck_assert_uint_eq(read_events[2].detail, total - 1);
    range = read_lane(TRACE_LANE_OPERATIONS, total + 7, TRACE_EVENTS_MAX);
    ck_assert_uint_eq(range.count, 0);
    ck_assert_uint_eq(range.first, total);
}
END_TEST

START_TEST(a_flood_pushes_out_no_view_change)
{
    append(MESSAGE_DO_VIEW_CHANGE, 42);
    for (uint64_t i = 0; i < 3 * TRACE_OPERATIONS_MAX; i++) {
        append(MESSAGE_PREPARE, i);
    }
    ck_assert_uint_eq(read_lane(TRACE_LANE_CHANGES, 0, 1).count, 1);
    ck_assert_uint_eq(read_events[0].detail, 42);
}
END_TEST

/* ---- threads ---- */

enum { WRITERS = 2, BATCHES = 4000, BATCH = 32 };
static atomic_uint writers_left;

/* Every event of a batch says which one it is of: a torn or mixed copy would show. */
static void *write_events(void *argument)
{
    const uint64_t writer = (uint64_t)(uintptr_t)argument;
    struct trace_event events[BATCH];
    for (uint64_t batch = 0; batch < BATCHES; batch++) {
        for (uint64_t i = 0; i < BATCH; i++) {
            events[i] = event_of(MESSAGE_PREPARE, writer);
            events[i].first_op = batch * BATCH + i;
            events[i].time_ns = events[i].first_op ^ writer;
        }
        event_ring_append(&ring, events, BATCH);
    }
    atomic_fetch_sub(&writers_left, 1);
    return NULL;
}

static void check_page(const struct event_range *range, uint64_t seen[WRITERS])
{
    for (uint32_t i = 0; i < range->count; i++) {
        const struct trace_event *event = &read_events[i];
        ck_assert_uint_lt(event->detail, WRITERS);
        ck_assert_uint_eq(event->time_ns, event->first_op ^ event->detail);
        /* Each writer's events stay in its order. */
        ck_assert_uint_ge(event->first_op + 1, seen[event->detail]);
        seen[event->detail] = event->first_op + 1;
    }
}

START_TEST(writers_and_a_reader_at_once)
{
    pthread_t threads[WRITERS];
    uint64_t seen[WRITERS] = {0};
    uint64_t from = 0;
    atomic_store(&writers_left, WRITERS);
    for (uintptr_t i = 0; i < WRITERS; i++) {
        ck_assert_int_eq(thread_start(&threads[i], "writer", write_events, (void *)i), 0);
    }
    bool more = true;
    while (more) {
        more = atomic_load(&writers_left) > 0;
        struct event_range range = read_lane(TRACE_LANE_OPERATIONS, from, TRACE_EVENTS_MAX);
        check_page(&range, seen);
        from = range.first + range.count;
        more = more || range.count > 0;
    }
    for (size_t i = 0; i < WRITERS; i++) {
        thread_join(threads[i]);
    }
    ck_assert_uint_eq(from, WRITERS * BATCHES * BATCH); /* read, or overtaken: and it knows */
}
END_TEST

static Suite *event_ring_suite(void)
{
    Suite *suite = suite_create("event_ring");
    TCase *all = tcase_create("all");
    tcase_add_checked_fixture(all, setup, teardown);
    tcase_set_timeout(all, 120);
    tcase_add_test(all, an_empty_ring_has_nothing);
    tcase_add_test(all, each_lane_has_its_own);
    tcase_add_test(all, a_reader_that_is_overtaken_can_tell);
    tcase_add_test(all, a_flood_pushes_out_no_view_change);
    tcase_add_test(all, writers_and_a_reader_at_once);
    suite_add_tcase(suite, all);
    return suite;
}

int main(void)
{
    SRunner *runner = srunner_create(event_ring_suite());
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
