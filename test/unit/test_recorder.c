/* SPDX-License-Identifier: Apache-2.0 */
/* server/runtime/recorder: what becomes an event, with which verdict, and what counts as said
 * before. The core is a real one (core_fixture) where its verdict is what is asked for. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "server/runtime/recorder.h"
#include "test/support/core_fixture.h"

static struct event_ring ring;
static struct configuration configuration;
static struct recorder *recorder;
static struct trace_event events[TRACE_EVENTS_MAX];
static struct core_fixture *f;

static void setup(void)
{
    configuration =
        (struct configuration){.cluster_id = 1, .epoch = EPOCH_FIRST, .member_count = 3};
    for (uint32_t i = 0; i < 3; i++) {
        configuration.members[i].replica_id = i + 1; /* as core_fixture names them */
    }
    ck_assert_int_eq(event_ring_init(&ring), 0);
    recorder = calloc(1, sizeof *recorder);
    recorder->ring = &ring;
    recorder->configuration = &configuration;
    recorder->self = 1;
    f = calloc(1, sizeof *f);
    core_init(f, 3);
}

static void teardown(void)
{
    core_free(f);
    free(f);
    free(recorder);
    event_ring_destroy(&ring);
}

/* All events of a lane. */
static uint32_t recorded(enum trace_lane lane)
{
    struct event_range range;
    recorder_flush(recorder);
    event_ring_read(&ring, lane, 0, TRACE_EVENTS_MAX, events, &range);
    return range.count;
}

static struct message commit_of(uint64_t commit_number, uint64_t round)
{
    return (struct message){.type = MESSAGE_COMMIT,
                            .from = 1,
                            .commit = {.view_number = view_make(1, 0),
                                       .commit_number = commit_number,
                                       .op_number = commit_number,
                                       .round = round}};
}

static void receive(const struct message *message, const struct vr_glance *glance)
{
    static const struct vr_outputs nothing;
    recorder_received(recorder, message, glance, &nothing, 1);
}

/* An idle hour consists of these. */
START_TEST(what_is_said_again_is_known_as_such)
{
    const struct vr_glance glance = {.status = STATUS_NORMAL};
    for (uint64_t round = 1; round <= 3; round++) {
        const struct message m = commit_of(5, round);
        receive(&m, &glance);
    }
    const struct message news = commit_of(6, 4);
    receive(&news, &glance);
    struct message other = commit_of(6, 4);
    other.from = 3; /* from somebody else it is new */
    receive(&other, &glance);
    ck_assert_uint_eq(recorded(TRACE_LANE_OPERATIONS), 3);
    ck_assert(!events[0].repeated);
    ck_assert_uint_eq(events[1].commit_number, 6);
    ck_assert_uint_eq(events[2].peers, 1u << 2);
    ck_assert_uint_eq(recorded(TRACE_LANE_REPEATS), 2);
    ck_assert_uint_eq(events[1].detail, 3);
}
END_TEST

START_TEST(one_sending_to_several_is_one_event)
{
    const struct message m = commit_of(5, 1);
    recorder_sent_peers(recorder, 5, &m, 9);
    recorder_sent_peers(recorder, 5, &m, 10);
    ck_assert_uint_eq(recorded(TRACE_LANE_OPERATIONS), 1);
    ck_assert_uint_eq(events[0].peers, 5);
    ck_assert_uint_eq(events[0].time_ns, 9);
    ck_assert_uint_eq(recorded(TRACE_LANE_REPEATS), 1);
}
END_TEST

/* Each reason of the core has a name of its own here. */
START_TEST(every_drop_is_a_verdict)
{
    bool seen[VERDICT_MAX + 1] = {false};
    for (int reason = DROP_NONE + 1; reason < DROP_REASON_COUNT; reason++) {
        const struct vr_glance glance = {.dropped = (enum drop_reason)reason};
        const struct message m = commit_of((uint64_t)reason, 1);
        receive(&m, &glance);
    }
    const uint32_t count = recorded(TRACE_LANE_OPERATIONS);
    ck_assert_uint_eq(count, DROP_REASON_COUNT - 1);
    for (uint32_t i = 0; i < count; i++) {
        ck_assert_uint_ge(events[i].verdict, VERDICT_INVALID);
        ck_assert(!seen[events[i].verdict]);
        seen[events[i].verdict] = true;
        ck_assert_ptr_nonnull(trace_verdict_name((enum trace_verdict)events[i].verdict));
    }
}
END_TEST

static struct message request(void)
{
    return (struct message){.type = MESSAGE_REQUEST,
                            .from = REPLICA_NONE,
                            .address = {.ip = {[10] = 0xff, [11] = 0xff}, .port = 4711},
                            .request = {.client_id = {7, 8},
                                        .session = 3,
                                        .request_number = 4,
                                        .kind = ENTRY_OPERATION,
                                        .operation_size = 10}};
}

START_TEST(a_request_says_what_became_of_it)
{
    const struct message m = request();
    struct vr_outputs outputs = {.count = 0};
    struct vr_glance glance = {.status = STATUS_NORMAL, .acting_primary = true, .op_number = 1};
    recorder->seen = (struct vr_glance){.status = STATUS_NORMAL, .acting_primary = true};
    recorder_received(recorder, &m, &glance, &outputs, 1); /* appended */
    recorder_glanced(recorder, &glance, 1);
    outputs.count = 1;
    outputs.items[0].kind = VR_OUT_LOOKUP;
    recorder_received(recorder, &m, &glance, &outputs, 2);
    outputs.items[0].kind = VR_OUT_SEND_CLIENT;
    outputs.items[0].send.message.type = MESSAGE_NOT_PRIMARY;
    recorder_received(recorder, &m, &glance, &outputs, 3);
    outputs.items[0].send.message.type = MESSAGE_BUSY;
    recorder_received(recorder, &m, &glance, &outputs, 4);
    ck_assert_uint_eq(recorded(TRACE_LANE_OPERATIONS), 4);
    ck_assert_uint_eq(events[0].verdict, VERDICT_ACCEPTED);
    ck_assert_uint_eq(events[0].first_op, 1);
    ck_assert_uint_eq(events[0].client_id_low, 7);
    ck_assert_uint_eq(events[0].client_port, 4711);
    ck_assert_uint_eq(events[1].verdict, VERDICT_ANSWERED);
    ck_assert_uint_eq(events[1].first_op, 0);
    ck_assert_uint_eq(events[2].verdict, VERDICT_REDIRECTED);
    ck_assert_uint_eq(events[3].verdict, VERDICT_BUSY);
}
END_TEST

START_TEST(changes_of_state_are_events)
{
    struct vr_glance now = {.status = STATUS_NORMAL, .view_number = view_make(1, 0)};
    recorder_glanced(recorder, &now, 10);
    now.primary_heard_ns = 20;
    recorder_glanced(recorder, &now, 20);
    now.suspicions = 1; /* and its vote was the one that lacked */
    now.status = STATUS_VIEW_CHANGE;
    now.view_number = view_make(1, 1);
    recorder_glanced(recorder, &now, 150);
    now.status = STATUS_NORMAL;
    now.acting_primary = true;
    now.op_number = 7;
    recorder_glanced(recorder, &now, 160);
    now.commit_number = 7;
    recorder_glanced(recorder, &now, 170);
    recorder_glanced(recorder, &now, 180);
    ck_assert_uint_eq(recorded(TRACE_LANE_CHANGES), 4);
    ck_assert_uint_eq(events[0].type, TRACE_BACKUP);
    ck_assert_uint_eq(events[1].type, TRACE_SUSPECTS);
    ck_assert_uint_eq(events[1].detail, 130);
    ck_assert_uint_eq(events[1].view_number, view_make(1, 0)); /* the one that is suspected */
    ck_assert_uint_eq(events[2].type, TRACE_VIEW_CHANGE);
    ck_assert_uint_eq(events[2].view_number, view_make(1, 1));
    ck_assert_uint_eq(events[3].type, TRACE_PRIMARY);
    ck_assert_uint_eq(recorded(TRACE_LANE_OPERATIONS), 1);
    ck_assert_uint_eq(events[0].type, TRACE_COMMITTED);
    ck_assert_uint_eq(events[0].first_op, 1);
    ck_assert_uint_eq(trace_event_last_op(&events[0]), 7);
}
END_TEST

/* A primary that hears from no quorum still speaks: its votes are no sign of life, and no silence.
 */
START_TEST(a_suspicion_has_a_reason)
{
    struct vr_glance now = {.status = STATUS_NORMAL, .view_number = view_make(1, 0)};
    const struct message goodbye = {
        .type = MESSAGE_GOODBYE, .from = 1, .goodbye = {.view_number = view_make(1, 0)}};
    recorder_glanced(recorder, &now, 10);
    now.primary_heard_ns = 20;
    now.primary_gave_up = true;
    recorder_glanced(recorder, &now, 20);
    now.suspecting = true;
    now.suspicions = 1;
    recorder_glanced(recorder, &now, 40);
    now.suspecting = false;
    recorder_glanced(recorder, &now, 50);
    now.primary_gave_up = false;
    recorder_glanced(recorder, &now, 55);
    now.suspicions = 2;
    now.suspecting = true;
    recorder_received(recorder, &goodbye, &now, &(struct vr_outputs){0}, 60);
    recorder_glanced(recorder, &now, 60);
    ck_assert_uint_eq(recorded(TRACE_LANE_CHANGES), 5);
    ck_assert_uint_eq(events[1].type, TRACE_SUSPECTS);
    ck_assert_uint_eq(events[1].extra, SUSPICION_NO_QUORUM);
    ck_assert_uint_eq(events[1].detail, 0);
    ck_assert_uint_eq(events[2].type, TRACE_HEARS);
    ck_assert_uint_eq(events[4].type, TRACE_SUSPECTS);
    ck_assert_uint_eq(events[4].extra, SUSPICION_GOODBYE);
    ck_assert_uint_eq(events[4].detail, 0);
}
END_TEST

START_TEST(a_primary_loses_its_quorum_and_gets_it_back)
{
    struct vr_glance now = {.status = STATUS_NORMAL, .acting_primary = true};
    recorder_glanced(recorder, &now, 10);
    now.suspecting = true;
    now.suspicions = 1;
    recorder_glanced(recorder, &now, 20);
    now.suspecting = false;
    recorder_glanced(recorder, &now, 30);
    ck_assert_uint_eq(recorded(TRACE_LANE_CHANGES), 3);
    ck_assert_uint_eq(events[1].type, TRACE_NO_QUORUM);
    ck_assert_uint_eq(events[2].type, TRACE_HEARS_QUORUM);
}
END_TEST

/* A fail-over waits for these writes. */
START_TEST(what_became_durable_is_told_with_the_time_it_took)
{
    struct vr_durable_state state = {.view_number = view_make(1, 1),
                                     .last_normal_view = view_make(1, 0)};
    recorder->durable_view = view_make(1, 0);
    recorder->durable_normal_view = view_make(1, 0);
    recorder_state_writing(recorder, &state, 100);
    recorder_state_durable(recorder, 150);
    state.last_normal_view = view_make(1, 1);
    recorder_state_writing(recorder, &state, 200);
    recorder_state_durable(recorder, 260);
    state.identities[2] = 7;
    recorder_state_writing(recorder, &state, 300);
    recorder_state_durable(recorder, 370);
    ck_assert_uint_eq(recorded(TRACE_LANE_CHANGES), 3);
    for (uint32_t i = 0; i < 3; i++) {
        ck_assert_uint_eq(events[i].type, TRACE_DURABLE);
        ck_assert_uint_eq(events[i].view_number, view_make(1, 1));
        ck_assert_uint_eq(events[i].detail, 50 + 10 * i);
    }
    ck_assert_uint_eq(events[0].extra, DURABLE_PROMISE);
    ck_assert_uint_eq(events[1].extra, DURABLE_NORMAL_VIEW);
    ck_assert_uint_eq(events[2].extra, DURABLE_REST);
}
END_TEST

/* Executed is said once for a run of ops, in front of the replies to them. */
START_TEST(a_run_of_executed_ops_is_one_event)
{
    struct message reply = {.type = MESSAGE_REPLY, .reply = {.op_number = 5, .status = REPLY_OK}};
    recorder_executed(recorder, 5);
    recorder_sent_client(recorder, &reply, 2);
    recorder_executed(recorder, 6);
    ck_assert_uint_eq(recorded(TRACE_LANE_OPERATIONS), 2);
    ck_assert_uint_eq(events[0].type, TRACE_EXECUTED);
    ck_assert_uint_eq(trace_event_last_op(&events[0]), 6);
    ck_assert_uint_eq(events[1].type, MESSAGE_REPLY);
    recorder_executed(recorder, 7);
    ck_assert_uint_eq(recorded(TRACE_LANE_OPERATIONS), 3);
    ck_assert_uint_eq(events[2].first_op, 7);
}
END_TEST

/* More than one batch is brought to the ring in between, in order. */
START_TEST(nothing_is_lost_between_batches)
{
    for (uint64_t i = 1; i <= RING_APPEND_MAX + 10; i++) {
        const struct message m = commit_of(i, i);
        recorder_sent_peers(recorder, 5, &m, i);
    }
    const uint32_t count = recorded(TRACE_LANE_OPERATIONS);
    ck_assert_uint_eq(count, RING_APPEND_MAX + 10);
    for (uint32_t i = 0; i < count; i++) {
        ck_assert(i == 0 || events[i].time_ns > events[i - 1].time_ns);
        ck_assert_uint_eq(events[i].commit_number, i + 1);
    }
}
END_TEST

/* ---- the core's verdict ---- */

static uint32_t next(uint32_t node)
{
    return (node + 1) % 3;
}

/* N4: a Prepare behind a gap was neither taken nor dropped. */
START_TEST(a_prepare_behind_a_gap_is_a_gap)
{
    const uint32_t primary = core_form(f);
    const uint32_t backup = next(primary);
    struct vr_glance glance;
    core_hold(f, MESSAGE_PREPARE, (int)primary, (int)backup);
    core_request(f, primary, "x");
    core_settle(f);
    core_discard(f, MESSAGE_PREPARE, (int)primary, (int)backup);
    core_request(f, primary, "y");
    core_settle(f);
    ck_assert(core_deliver(f, MESSAGE_PREPARE, (int)primary, (int)backup));
    vr_glance(f->nodes[backup].replica, &glance);
    ck_assert(glance.gap);
    ck_assert_int_eq((int)glance.dropped, DROP_NONE);
    ck_assert_uint_eq(glance.sync_target, 1);
}
END_TEST

START_TEST(a_repeated_prepare_is_a_duplicate)
{
    const uint32_t primary = core_form(f);
    const uint32_t backup = next(primary);
    struct vr_glance glance;
    core_hold(f, MESSAGE_PREPARE, (int)primary, (int)backup);
    core_request(f, primary, "x");
    core_settle(f);
    core_duplicate(f, MESSAGE_PREPARE, (int)primary, (int)backup);
    ck_assert(core_deliver(f, MESSAGE_PREPARE, (int)primary, (int)backup));
    vr_glance(f->nodes[backup].replica, &glance);
    ck_assert_int_eq((int)glance.dropped, DROP_NONE);
    ck_assert_uint_eq(glance.op_number, 1);
    ck_assert(core_deliver(f, MESSAGE_PREPARE, (int)primary, (int)backup));
    vr_glance(f->nodes[backup].replica, &glance);
    ck_assert_int_eq((int)glance.dropped, DROP_DUPLICATE);
    core_tick(f, backup); /* the next step has a verdict of its own */
    vr_glance(f->nodes[backup].replica, &glance);
    ck_assert_int_eq((int)glance.dropped, DROP_NONE);
}
END_TEST

START_TEST(suspicions_are_counted)
{
    const uint32_t primary = core_form(f);
    struct vr_glance before;
    struct vr_glance after;
    vr_glance(f->nodes[next(primary)].replica, &before);
    ck_assert_uint_ne(before.primary_heard_ns, 0);
    core_crash(f, primary);
    ck_assert_uint_ne(core_run_until_primary_above(f, core_view(f, next(primary)), 2000),
                      REPLICAS_MAX);
    vr_glance(f->nodes[next(primary)].replica, &after);
    ck_assert_uint_gt(after.suspicions, before.suspicions);
    ck_assert_uint_gt(after.view_number, before.view_number);
}
END_TEST

/* V1: nobody hears of acks any more, so the primary falls silent, but for its votes. */
START_TEST(a_primary_that_gave_up_is_known_as_such)
{
    const uint32_t primary = core_form(f);
    const uint32_t backup = next(primary);
    struct vr_glance glance;
    vr_glance(f->nodes[backup].replica, &glance);
    ck_assert(!glance.primary_gave_up);
    core_drop(f, MESSAGE_PREPARE_OK, CORE_ANY, (int)primary);
    bool seen = false;
    for (int i = 0; i < 1000 && !seen; i++) {
        core_run(f, 1);
        vr_glance(f->nodes[backup].replica, &glance);
        seen = glance.primary_gave_up && !glance.suspecting;
    }
    ck_assert(seen);
}
END_TEST

static Suite *recorder_suite(void)
{
    Suite *suite = suite_create("recorder");
    TCase *all = tcase_create("all");
    tcase_add_checked_fixture(all, setup, teardown);
    tcase_add_test(all, what_is_said_again_is_known_as_such);
    tcase_add_test(all, one_sending_to_several_is_one_event);
    tcase_add_test(all, every_drop_is_a_verdict);
    tcase_add_test(all, a_request_says_what_became_of_it);
    tcase_add_test(all, changes_of_state_are_events);
    tcase_add_test(all, a_suspicion_has_a_reason);
    tcase_add_test(all, a_primary_loses_its_quorum_and_gets_it_back);
    tcase_add_test(all, what_became_durable_is_told_with_the_time_it_took);
    tcase_add_test(all, a_run_of_executed_ops_is_one_event);
    tcase_add_test(all, nothing_is_lost_between_batches);
    tcase_add_test(all, a_prepare_behind_a_gap_is_a_gap);
    tcase_add_test(all, a_repeated_prepare_is_a_duplicate);
    tcase_add_test(all, suspicions_are_counted);
    tcase_add_test(all, a_primary_that_gave_up_is_known_as_such);
    suite_add_tcase(suite, all);
    return suite;
}

int main(void)
{
    SRunner *runner = srunner_create(recorder_suite());
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
