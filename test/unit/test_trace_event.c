/* SPDX-License-Identifier: Apache-2.0 */
/* Events: what they say of messages, their byte form, their lanes, and their words. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/prng.h"
#include "common/base/trace_event.h"
#include "common/os/trace_text.h"
#include "test/support/random_message.h"

static struct trace_event some_event(void)
{
    return (struct trace_event){
        .time_ns = 8,
        .view_number = view_make(1, 3),
        .first_op = 10,
        .op_count = 3,
        .commit_number = 9,
        .detail = 11,
        .peers = 5,
        .payload_size = 64,
        .kind = TRACE_RECEIVED,
        .type = MESSAGE_PREPARE,
        .verdict = VERDICT_GAP,
        .repeated = 1,
    };
}

static bool passes(struct trace_event event)
{
    struct trace_event read;
    return trace_event_decode((const uint8_t *)&event, &read) &&
           memcmp(&read, &event, sizeof read) == 0;
}

/* The form that travels: each field has its place, and keeps it. */
START_TEST(the_byte_form_is_fixed)
{
    const struct trace_event event = some_event();
    static const uint8_t expected[TRACE_EVENT_SIZE] = {
        [0] = 8,   [8] = 3,   [13] = 1,
        [16] = 10, [24] = 9,  [32] = 11,
        [48] = 3,  [52] = 64, [56] = TRACE_RECEIVED,
        [57] = 20, [58] = 1,  [60] = 5,
        [62] = 1,
    };
    ck_assert_mem_eq(&event, expected, TRACE_EVENT_SIZE);
}
END_TEST

/* What a client prints was checked before. */
START_TEST(fields_out_of_range_are_refused)
{
    struct trace_event event = some_event();
    ck_assert(passes(event));
    event.kind = 0;
    ck_assert(!passes(event));
    event.kind = TRACE_STATE + 1;
    ck_assert(!passes(event));
    event = some_event();
    event.type = MESSAGE_NONE;
    ck_assert(!passes(event));
    event.type = 9; /* a number between the messages */
    ck_assert(!passes(event));
    event = some_event();
    event.first_op = UINT64_MAX - 1;
    ck_assert(!passes(event));
    event = some_event();
    event.peers = 1u << REPLICAS_MAX;
    ck_assert(!passes(event));
    event = some_event();
    event.repeated = 2;
    ck_assert(!passes(event));
    event = some_event();
    event.session = 1; /* a client's */
    ck_assert(!passes(event));
    event = some_event();
    event.client_ipv6 = 1;
    ck_assert(!passes(event));
    event = some_event();
    event.verdict = VERDICT_REFUSED + 1;
    ck_assert(!passes(event));
    event.verdict = VERDICT_MAX + 1;
    ck_assert(!passes(event));
    event = some_event();
    event.kind = TRACE_STATE; /* has no peers */
    event.type = TRACE_PRIMARY;
    ck_assert(!passes(event));
    event.peers = 0;
    ck_assert(passes(event));
    event.type = TRACE_STATE_MAX + 1;
    ck_assert(!passes(event));
}
END_TEST

START_TEST(a_client_has_its_address)
{
    char text[TRACE_CLIENT_TEXT_MAX];
    struct message m = {
        .type = MESSAGE_REQUEST,
        .address = {.ip = {[10] = 0xff, [11] = 0xff, 127, 0, 0, 1}, .port = 4711},
        .request = {.client_id = {7, 8}, .session = 3, .request_number = 4},
    };
    struct trace_event event;
    trace_event_of_message(&m, &event);
    event.kind = TRACE_RECEIVED;
    ck_assert(trace_event_is_client(&event));
    ck_assert_uint_eq(trace_event_last_op(&event), 0);
    ck_assert_str_eq(trace_text_client(&event, text), "127.0.0.1:4711");
    ck_assert(passes(event));
    m.address.ip[10] = 0;
    trace_event_of_message(&m, &event);
    ck_assert_str_eq(trace_text_client(&event, text), "[..7f00:0001]:4711");
}
END_TEST

static struct trace_event event_of(const struct message *message)
{
    struct trace_event event;
    trace_event_of_message(message, &event);
    event.kind = TRACE_SENT;
    return event;
}

/* Every message becomes an event that passes, and whose line begins with its name. */
START_TEST(every_message_has_a_line)
{
    struct random_message *random = malloc(sizeof *random);
    struct prng prng;
    prng_seed(&prng, 11);
    for (size_t t = 0; t < RANDOM_MESSAGE_TYPES; t++) {
        for (int round = 0; round < 50; round++) {
            const enum message_type type = random_message_types[t];
            random_message(&prng, type, 1000, random);
            const struct trace_event event = event_of(&random->message);
            ck_assert_msg(passes(event), "%s", message_type_name(type));
            char text[TRACE_TEXT_MAX];
            const char *name = message_type_name(type);
            ck_assert_msg(strncmp(trace_text(&event, text), name, strlen(name)) == 0, "%s: %s",
                          name, text);
        }
    }
    free(random);
}
END_TEST

START_TEST(lines_say_views_and_ops)
{
    char text[TRACE_TEXT_MAX];
    const struct message prepare = {
        .type = MESSAGE_PREPARE,
        .prepare = {.view_number = view_make(1, 3),
                    .first_op = 17,
                    .entry_count = 4,
                    .commit_number = 16},
    };
    struct trace_event event = event_of(&prepare);
    ck_assert_str_eq(trace_text(&event, text), "Prepare view 3 ops 17..20 commit 16");
    ck_assert_str_eq(trace_text_details(&event, text), "view 3 ops 17..20 commit 16");

    const struct message change = {
        .type = MESSAGE_DO_VIEW_CHANGE,
        .do_view_change = {.view_number = view_make(1, 2),
                           .log = {.op_number = 9, .commit_number = 8}},
    };
    event = event_of(&change);
    ck_assert_str_eq(trace_text(&event, text),
                     "DoViewChange view 2 last normal view none op 9 commit 8");

    event = (struct trace_event){.kind = TRACE_STATE,
                                 .type = TRACE_SUSPECTS,
                                 .view_number = view_make(1, 2),
                                 .detail = 120300000};
    ck_assert_str_eq(trace_text(&event, text),
                     "suspects the primary of view 2 after 120.3 ms of silence");
    event.extra = SUSPICION_NO_QUORUM;
    ck_assert_str_eq(trace_text(&event, text),
                     "votes for view 3: the primary of view 2 hears from no quorum");
    event.extra = SUSPICION_GOODBYE;
    ck_assert_str_eq(trace_text(&event, text),
                     "votes for view 3: the primary of view 2 said goodbye");
    event.type = TRACE_HEARS_QUORUM;
    ck_assert_str_eq(trace_text(&event, text), "primary of view 2 hears from a quorum again");
    event.type = TRACE_DURABLE;
    event.extra = DURABLE_PROMISE;
    ck_assert_str_eq(trace_text(&event, text), "promise of view 2 durable after 120.3 ms");
    event.extra = DURABLE_NORMAL_VIEW;
    ck_assert_str_eq(trace_text(&event, text), "last normal view 2 durable after 120.3 ms");
    event.extra = 77;
    ck_assert_str_eq(trace_text(&event, text), "state file durable after 120.3 ms");
}
END_TEST

START_TEST(every_state_and_verdict_has_a_name)
{
    for (int state = 1; state <= TRACE_STATE_MAX; state++) {
        struct trace_event event = {.kind = TRACE_STATE, .type = (uint8_t)state};
        char text[TRACE_TEXT_MAX];
        ck_assert_ptr_nonnull(trace_state_name((enum trace_state)state));
        ck_assert_uint_gt(strlen(trace_text(&event, text)), 0);
    }
    ck_assert_ptr_null(trace_state_name((enum trace_state)(TRACE_STATE_MAX + 1)));
    ck_assert_ptr_null(trace_verdict_name((enum trace_verdict)(VERDICT_MAX + 1)));
}
END_TEST

/* A flood must not push out the view change before it. */
START_TEST(lanes_keep_apart_what_is_many_and_what_is_rare)
{
    struct trace_event event = {.kind = TRACE_SENT, .type = MESSAGE_PREPARE};
    ck_assert_int_eq(trace_event_lane(&event), TRACE_LANE_OPERATIONS);
    event.type = MESSAGE_DO_VIEW_CHANGE;
    ck_assert_int_eq(trace_event_lane(&event), TRACE_LANE_CHANGES);
    event.repeated = 1;
    ck_assert_int_eq(trace_event_lane(&event), TRACE_LANE_REPEATS);
    event = (struct trace_event){.kind = TRACE_STATE, .type = TRACE_COMMITTED};
    ck_assert_int_eq(trace_event_lane(&event), TRACE_LANE_OPERATIONS);
    event.type = TRACE_PRIMARY;
    ck_assert_int_eq(trace_event_lane(&event), TRACE_LANE_CHANGES);
}
END_TEST

static Suite *trace_event_suite(void)
{
    Suite *suite = suite_create("trace_event");
    TCase *all = tcase_create("all");
    tcase_add_test(all, the_byte_form_is_fixed);
    tcase_add_test(all, a_client_has_its_address);
    tcase_add_test(all, fields_out_of_range_are_refused);
    tcase_add_test(all, every_message_has_a_line);
    tcase_add_test(all, lines_say_views_and_ops);
    tcase_add_test(all, every_state_and_verdict_has_a_name);
    tcase_add_test(all, lanes_keep_apart_what_is_many_and_what_is_rare);
    suite_add_tcase(suite, all);
    return suite;
}

int main(void)
{
    SRunner *runner = srunner_create(trace_event_suite());
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
