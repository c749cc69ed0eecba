/* SPDX-License-Identifier: Apache-2.0 */
/* Log sync of the core, by scripted schedules: rules G1 to G7, and PITFALLS ST-*. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "test/support/core_fixture.h"

static struct core_fixture f;

static void setup(void)
{
    core_init(&f, 3);
}

static void teardown(void)
{
    core_free(&f);
}

static uint64_t op_of(uint32_t node)
{
    return core_see(&f, node)->op_number;
}

static uint64_t commit_of(uint32_t node)
{
    return core_see(&f, node)->commit_number;
}

static enum vr_status status_of(uint32_t node)
{
    return core_see(&f, node)->status;
}

static uint32_t primary_of(uint64_t view)
{
    return (uint32_t)(view % f.count);
}

static struct message vote(uint64_t view)
{
    return (struct message){
        .type = MESSAGE_START_VIEW_CHANGE,
        .start_view_change = {.view_number = view_make(EPOCH_FIRST, view)},
    };
}

static void request_some(uint32_t node, uint32_t count, const char *body)
{
    for (uint32_t i = 0; i < count; i++) {
        core_request(&f, node, body);
    }
    core_settle(&f);
}

/* PITFALLS ST-1 [T], G3: nothing is given up before its replacement is there, and last_normal_view
 * is not raised before.
 *
 * A commits "kept" with B's ack (B does not know that). C starts a later view with A's log and
 * appends; B hears of it, has a gap, and asks. Then the view ends. B's DoViewChange must still
 * speak of the log that it acked, not of an empty log of C's view. */
START_TEST(st_1_log_is_kept_until_its_replacement_is_there)
{
    const uint32_t A = core_form(&f);
    const uint64_t v = core_view(&f, A);
    const uint32_t B = primary_of(v + 1);
    const uint32_t C = primary_of(v + 2);
    core_drop(&f, MESSAGE_PREPARE, (int)A, (int)C);
    core_drop(&f, MESSAGE_COMMIT, CORE_ANY, CORE_ANY);
    request_some(A, 1, "kept");
    ck_assert_uint_eq(commit_of(A), 1);
    ck_assert_uint_eq(commit_of(B), 0);
    ck_assert_uint_eq(op_of(C), 0);

    /* C leads view v + 2 with A alone. */
    core_no_rules(&f);
    core_isolate(&f, B);
    core_inject(&f, C, A, vote(v + 2));
    core_inject(&f, C, B, vote(v + 2));
    ck_assert_uint_eq(core_run_until_primary_above(&f, v, 3000), C);
    const uint64_t w = core_view(&f, C);
    ck_assert(core_holds(&f, C, 1, "kept"));
    request_some(C, 2, "more");

    /* B hears of it: StartView arrives, the entries do not. */
    core_no_rules(&f);
    core_drop(&f, MESSAGE_CATCHUP_RESPONSE, CORE_ANY, (int)B);
    core_run(&f, 100);
    ck_assert_uint_eq(core_view(&f, B), w);
    ck_assert_uint_gt(core_see(&f, B)->sync_target, 0);
    ck_assert_uint_eq(core_last_normal_view(&f, B), v);
    ck_assert(core_holds(&f, B, 1, "kept"));
    ck_assert_int_eq((int)status_of(B), STATUS_VIEW_CHANGE);

    /* The next view change: B says what it holds. */
    core_hold(&f, MESSAGE_DO_VIEW_CHANGE, (int)B, CORE_ANY);
    core_inject(&f, B, A, vote(w + 1));
    core_inject(&f, B, C, vote(w + 1));
    core_discard(&f, MESSAGE_DO_VIEW_CHANGE, (int)B, CORE_ANY);
    core_run(&f, 30);
    const struct message *dvc = core_oldest(&f, MESSAGE_DO_VIEW_CHANGE, (int)B, CORE_ANY);
    ck_assert_uint_eq(view_within_epoch(dvc->do_view_change.log.last_normal_view), v);
    ck_assert_uint_eq(dvc->do_view_change.log.op_number, 1);

    core_no_rules(&f);
    ck_assert(core_run_until_normal(&f, 10000));
    for (uint32_t i = 0; i < 3; i++) {
        ck_assert(core_holds(&f, i, 1, "kept"));
    }
}
END_TEST

/* PITFALLS ST-3, VC-13, G7 [mc]: an answer that comes after the view has changed changes nothing.
 */
START_TEST(st_3_answer_of_the_view_before_is_dropped)
{
    const uint32_t primary = core_form(&f);
    const uint64_t v = core_view(&f, primary);
    const uint32_t backup = primary_of(v + 2);
    core_drop(&f, MESSAGE_PREPARE, CORE_ANY, (int)backup);
    core_hold(&f, MESSAGE_CATCHUP_RESPONSE, CORE_ANY, (int)backup);
    request_some(primary, 3, "x");
    core_run(&f, 30);
    ck_assert_uint_gt(core_queued(&f, MESSAGE_CATCHUP_RESPONSE, CORE_ANY, (int)backup), 0);
    core_hold(&f, CORE_ANY, CORE_ANY, CORE_ANY);
    core_inject(&f, backup, primary, vote(v + 1));
    core_inject(&f, backup, primary_of(v + 1), vote(v + 1));
    ck_assert_int_eq((int)status_of(backup), STATUS_VIEW_CHANGE);
    while (core_deliver(&f, MESSAGE_CATCHUP_RESPONSE, CORE_ANY, (int)backup)) {
    }
    ck_assert_uint_eq(op_of(backup), 0);
    ck_assert_uint_eq(core_last_normal_view(&f, backup), v);
    ck_assert_uint_gt(core_see(&f, backup)->dropped[DROP_NONCE], 0);
}
END_TEST

/* G7 [mc]: staged entries go as well when the sync that they belong to ends: what was staged for
 * one target is never installed for another. */
START_TEST(g7_staged_entries_end_with_their_sync)
{
    f.defaults.message_budget = 400; /* a few entries an answer */
    const uint32_t A = core_form(&f);
    const uint64_t v = core_view(&f, A);
    const uint32_t B = primary_of(v + 1);
    const uint32_t C = primary_of(v + 2);
    /* A alone holds twenty dead entries; C begins to pull them. */
    core_drop(&f, MESSAGE_PREPARE, CORE_ANY, CORE_ANY);
    core_drop(&f, MESSAGE_COMMIT, CORE_ANY, CORE_ANY);
    core_drop(&f, MESSAGE_CATCHUP_REQUEST, (int)B, CORE_ANY);
    request_some(A, 20, "dead");
    core_hold(&f, MESSAGE_CATCHUP_RESPONSE, CORE_ANY, CORE_ANY);
    const struct message start = {
        .type = MESSAGE_START_VIEW,
        .start_view = {.view_number = view_make(EPOCH_FIRST, v + 3), .log = core_descriptor(&f, A)},
    };
    struct message claimed = start; /* as if A had started v + 3 with its log */
    claimed.start_view.log.last_normal_view = view_make(EPOCH_FIRST, v + 3);
    core_isolate(&f, B);
    core_inject(&f, C, A, claimed);
    ck_assert_uint_gt(core_see(&f, C)->sync_target, 0);
    /* The view is given up before the pull is over: votes for the next. */
    core_inject(&f, C, A, vote(v + 4));
    core_inject(&f, C, B, vote(v + 4));
    ck_assert_uint_eq(core_see(&f, C)->sync_target, 0);
    ck_assert_uint_eq(op_of(C), 0);
    ck_assert_uint_eq(core_last_normal_view(&f, C), v);
    while (core_deliver(&f, MESSAGE_CATCHUP_RESPONSE, CORE_ANY, (int)C)) {
    }
    ck_assert_uint_eq(op_of(C), 0);
}
END_TEST

/* PITFALLS ST-4, G6 [mc]: in the own normal view a sync only appends: an answer that was overtaken
 * shortens nothing. */
START_TEST(st_4_sync_in_the_own_view_only_appends)
{
    const uint32_t primary = core_form(&f);
    const int backup = (int)primary_of(core_view(&f, primary) + 1);
    core_hold(&f, MESSAGE_CATCHUP_RESPONSE, CORE_ANY, backup);
    core_hold(&f, MESSAGE_PREPARE, CORE_ANY, backup);
    request_some(primary, 3, "x");
    core_run(&f, 30); /* the heartbeat makes it ask for 1..3 */
    ck_assert_uint_gt(core_queued(&f, MESSAGE_CATCHUP_RESPONSE, CORE_ANY, backup), 0);
    request_some(primary, 2, "y");
    while (core_deliver(&f, MESSAGE_PREPARE, CORE_ANY, backup)) {
    }
    ck_assert_uint_eq(op_of((uint32_t)backup), 5);
    while (core_deliver(&f, MESSAGE_CATCHUP_RESPONSE, CORE_ANY, backup)) {
    }
    ck_assert_uint_eq(op_of((uint32_t)backup), 5);
    ck_assert(core_holds(&f, (uint32_t)backup, 5, "y"));
    core_no_rules(&f);
    core_run(&f, 60);
    ck_assert_uint_eq(commit_of((uint32_t)backup), 5);
}
END_TEST

/* G6 [mc]: the log is cut at the first op that differs, never below it: what both logs share stays
 * held through the install, for it may be committed. PITFALLS ST-2: cut and append are one write.
 */
START_TEST(g6_log_is_cut_at_the_first_difference)
{
    const uint32_t A = core_form(&f);
    const uint64_t v = core_view(&f, A);
    const uint32_t B = primary_of(v + 1);
    /* Ops 1..3 are everywhere and committed at A only; A alone has 4 and 5. */
    core_drop(&f, MESSAGE_COMMIT, CORE_ANY, CORE_ANY);
    request_some(A, 3, "shared");
    core_isolate(&f, A);
    core_request(&f, A, "dead");
    core_request(&f, A, "dead");
    ck_assert_uint_eq(core_run_until_primary_above(&f, v, 3000), B);
    request_some(B, 1, "alive");
    core_no_rules(&f);
    core_discard(&f, CORE_ANY, CORE_ANY, CORE_ANY);
    f.nodes[A].hold_log = true;
    for (uint32_t i = 0; i < 1000 && !f.nodes[A].log_waits; i++) {
        core_run(&f, 1);
    }
    ck_assert(f.nodes[A].log_waits);
    ck_assert(core_holds(&f, A, 3, "shared"));
    ck_assert(core_holds(&f, A, 4, "alive"));
    /* While the write is under way it claims the shared part, no less. */
    core_hold(&f, MESSAGE_DO_VIEW_CHANGE, (int)A, CORE_ANY);
    core_inject(&f, A, B, vote(core_view(&f, B) + 1));
    core_inject(&f, A, primary_of(v + 2), vote(core_view(&f, B) + 1));
    core_discard(&f, MESSAGE_DO_VIEW_CHANGE, CORE_ANY, CORE_ANY);
    core_run(&f, 25);
    const struct message *dvc = core_oldest(&f, MESSAGE_DO_VIEW_CHANGE, (int)A, CORE_ANY);
    ck_assert_ptr_nonnull(dvc);
    ck_assert_uint_ge(dvc->do_view_change.log.op_number, 3);
}
END_TEST

/* G6 [mc]: and it is cut there even if this replica does not know that what is shared is committed,
 * nor does the target: 1..3 may have been acked by it, and a quorum may rest on that ack. A cut
 * down to the commit-number would deny it while the write is under way. */
START_TEST(g6_shared_entries_are_claimed_through_the_install)
{
    const uint32_t A = core_form(&f);
    const uint64_t v = core_view(&f, A);
    const uint32_t B = primary_of(v + 1);
    const uint32_t C = primary_of(v + 2);
    core_drop(&f, MESSAGE_PREPARE_OK, CORE_ANY, CORE_ANY); /* nobody learns of a commit */
    request_some(A, 3, "shared");
    core_isolate(&f, A);
    core_request(&f, A, "dead");
    core_request(&f, A, "dead");
    core_inject(&f, B, A, vote(v + 1));
    core_inject(&f, B, C, vote(v + 1));
    core_run(&f, 5);
    ck_assert(core_see(&f, B)->acting_primary);
    request_some(B, 1, "alive");

    core_no_rules(&f);
    core_discard(&f, CORE_ANY, CORE_ANY, CORE_ANY);
    core_drop(&f, MESSAGE_PREPARE_OK, CORE_ANY, CORE_ANY);
    f.nodes[A].hold_log = true;
    core_inject(&f, A, B,
                (struct message){.type = MESSAGE_START_VIEW,
                                 .start_view = {.view_number = core_see(&f, B)->view_number,
                                                .log = core_descriptor(&f, B)}});
    core_settle(&f);
    ck_assert(f.nodes[A].log_waits);
    ck_assert_uint_eq(commit_of(A), 0);
    ck_assert(core_holds(&f, A, 3, "shared"));
    ck_assert(core_holds(&f, A, 4, "alive"));
    core_hold(&f, CORE_ANY, CORE_ANY, CORE_ANY);
    core_inject(&f, A, B, vote(v + 2));
    core_inject(&f, A, C, vote(v + 2));
    core_run(&f, 2);
    const struct message *dvc = core_oldest(&f, MESSAGE_DO_VIEW_CHANGE, (int)A, CORE_ANY);
    ck_assert_ptr_nonnull(dvc);
    ck_assert_uint_eq(view_within_epoch(dvc->do_view_change.view_number), v + 2);
    ck_assert_uint_eq(view_within_epoch(dvc->do_view_change.log.last_normal_view), v);
    ck_assert_uint_eq(dvc->do_view_change.log.op_number, 3);
}
END_TEST

/* G6 [mc]: a target below the own commit number (a late duplicate): met if the own log has it, and
 * nothing committed is cut; else that view is superseded and ignored. */
START_TEST(g6_nothing_committed_is_cut)
{
    const uint32_t A = core_form(&f);
    const uint64_t v = core_view(&f, A);
    const uint32_t B = primary_of(v + 1);
    const uint32_t C = primary_of(v + 2);
    request_some(A, 3, "x");
    core_run(&f, 60);
    ck_assert_uint_eq(commit_of(C), 3);
    /* A StartView of the next view whose log ends at op 1. */
    size_t size;
    const uint8_t *bytes = vr_log_bytes(f.nodes[A].replica, 1, &size);
    const struct checksum first = entry_checksum(
        f.configuration.cluster_id, entry_chain_start(f.configuration.cluster_id), bytes, size);
    struct message start = {
        .type = MESSAGE_START_VIEW,
        .start_view = {.view_number = view_make(EPOCH_FIRST, v + 1),
                       .log = {.last_normal_view = view_make(EPOCH_FIRST, v + 1),
                               .op_number = 1,
                               .head_checksum = {1, 1},
                               .commit_number = 0,
                               .commit_checksum = entry_chain_start(f.configuration.cluster_id)}},
    };
    core_hold(&f, CORE_ANY, CORE_ANY, CORE_ANY);
    core_inject(&f, C, B, start);
    ck_assert_uint_eq(op_of(C), 3);
    ck_assert_uint_eq(commit_of(C), 3);
    ck_assert_int_ne((int)status_of(C), STATUS_NORMAL);
    start.start_view.log.head_checksum = first;
    core_inject(&f, C, B, start);
    core_run(&f, 5);
    ck_assert_uint_eq(op_of(C), 3);
    ck_assert_uint_eq(commit_of(C), 3);
    ck_assert(core_holds(&f, C, 3, "x"));
}
END_TEST

/* PITFALLS ST-5, G2: a source answers in view_change too; one that does not hold the range says so
 * with an empty answer, and another is asked. */
START_TEST(st_5_source_without_the_range_says_so)
{
    const uint32_t primary = core_form(&f);
    const uint64_t v = core_view(&f, primary);
    const uint32_t empty = primary_of(v + 1);
    core_drop(&f, MESSAGE_PREPARE, CORE_ANY, (int)empty);
    core_drop(&f, MESSAGE_CATCHUP_RESPONSE, CORE_ANY, (int)empty);
    request_some(primary, 2, "x");
    core_no_rules(&f);
    core_hold(&f, CORE_ANY, CORE_ANY, CORE_ANY);
    const struct message ask = {
        .type = MESSAGE_CATCHUP_REQUEST,
        .catchup_request = {.nonce = 5,
                            .last_normal_view = core_see(&f, primary)->view_number,
                            .from_op = 1,
                            .to_op = 2},
    };
    core_inject(&f, empty, primary, ask);
    const struct message *answer =
        core_oldest(&f, MESSAGE_CATCHUP_RESPONSE, (int)empty, (int)primary);
    ck_assert_ptr_nonnull(answer);
    ck_assert_uint_eq(answer->catchup_response.entry_count, 0);
    core_inject(&f, primary, primary_of(v + 2), vote(v + 1));
    core_inject(&f, primary, empty, vote(v + 1));
    ck_assert_int_eq((int)status_of(primary), STATUS_VIEW_CHANGE);
    core_inject(&f, primary, empty, ask);
    answer = core_oldest(&f, MESSAGE_CATCHUP_RESPONSE, (int)primary, (int)empty);
    ck_assert_ptr_nonnull(answer);
    ck_assert_uint_eq(answer->catchup_response.entry_count, 2);
}
END_TEST

static void step_peer_message(struct replica *r, uint32_t from, struct message m,
                              struct vr_outputs *outputs)
{
    m.from = from + 1;
    m.incarnation = f.nodes[from].incarnation;
    m.identity = f.nodes[from].identity;
    m.configuration_hash = configuration_hash(&f.configuration);
    vr_step(r,
            &(struct vr_event){.kind = VR_EVENT_MESSAGE,
                               .time = {f.now_ns, f.now_ns},
                               .message = {.message = &m, .received_ns = f.now_ns}},
            outputs);
}

static uint32_t count_sends(const struct vr_outputs *outputs, enum message_type type)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < outputs->count; i++) {
        count += outputs->items[i].kind == VR_OUT_SEND_PEERS &&
                         outputs->items[i].send.message.type == type
                     ? 1u
                     : 0u;
    }
    return count;
}

/* G2: however many wait to be served, a heartbeat and Prepares wait for four answers at the most,
 * and go before those of their own flush; whoever drives the core is asked to come back at once
 * until all are served, and what does not fit the queue is dropped. */
START_TEST(g2_serving_is_in_small_bites_and_comes_last)
{
    static struct vr_outputs outputs;
    const uint32_t primary = core_form(&f);
    const uint64_t v = core_view(&f, primary);
    request_some(primary, 8, "x");
    struct replica *r = f.nodes[primary].replica;
    const struct message ask = {
        .type = MESSAGE_CATCHUP_REQUEST,
        .catchup_request = {.nonce = 5,
                            .last_normal_view = core_see(&f, primary)->view_number,
                            .from_op = 1,
                            .to_op = 8},
    };
    const uint64_t before = core_see(&f, primary)->dropped[DROP_RATE];
    for (uint32_t i = 0; i < CATCHUP_QUEUE_MAX + 1; i++) {
        step_peer_message(r, primary_of(v + 1), ask, &outputs);
        ck_assert_uint_eq(outputs.count, 0);
    }
    struct vr_snapshot seen;
    vr_snapshot(r, &seen);
    ck_assert_uint_eq(seen.dropped[DROP_RATE], before + 1);

    uint32_t served = 0;
    for (uint32_t flushes = 1; served < CATCHUP_QUEUE_MAX; flushes++) {
        ck_assert_uint_le(vr_deadline(r), f.now_ns);
        f.now_ns += f.defaults.heartbeat_ns;
        vr_step(r, &(struct vr_event){.kind = VR_EVENT_TICK, .time = {f.now_ns, f.now_ns}},
                &outputs);
        ck_assert_uint_eq(count_sends(&outputs, MESSAGE_COMMIT), 1);
        struct message request = {
            .type = MESSAGE_REQUEST,
            .from = REPLICA_NONE,
            .address = {.port = 1},
            .request = {.client_id = {1, 1}, .session = 1, .kind = ENTRY_OPERATION},
        };
        request.request.request_number = 1000 + flushes;
        vr_step(r,
                &(struct vr_event){.kind = VR_EVENT_MESSAGE,
                                   .time = {f.now_ns, f.now_ns},
                                   .message = {.message = &request, .received_ns = f.now_ns}},
                &outputs);
        (void)vr_flush(r, (struct vr_time){f.now_ns, f.now_ns}, &outputs);
        ck_assert_uint_eq(count_sends(&outputs, MESSAGE_PREPARE), 1);
        const uint32_t answers = count_sends(&outputs, MESSAGE_CATCHUP_RESPONSE);
        ck_assert_uint_gt(answers, 0);
        ck_assert_uint_le(answers, 4);
        bool answered = false;
        for (uint32_t i = 0; i < outputs.count; i++) {
            const bool is_answer = outputs.items[i].kind == VR_OUT_SEND_PEERS &&
                                   outputs.items[i].send.message.type == MESSAGE_CATCHUP_RESPONSE;
            ck_assert(is_answer || !answered); /* they are last */
            answered = answered || is_answer;
        }
        served += answers;
        vr_snapshot(r, &seen); /* a backup acks, or the primary would give up (V1) */
        const struct message ok = {.type = MESSAGE_PREPARE_OK,
                                   .prepare_ok = {.view_number = seen.view_number,
                                                  .op_number = seen.op_number,
                                                  .checksum = seen.head_checksum}};
        step_peer_message(r, primary_of(v + 1), ok, &outputs);
    }
    ck_assert_uint_gt(vr_deadline(r), f.now_ns);
}
END_TEST

/* G2: entries above the commit number are served only for exactly that last_normal_view. */
START_TEST(g2_uncommitted_entries_are_served_for_their_view_only)
{
    const uint32_t primary = core_form(&f);
    const uint64_t v = core_view(&f, primary);
    core_hold(&f, CORE_ANY, CORE_ANY, CORE_ANY);
    core_request(&f, primary, "x");
    struct message ask = {
        .type = MESSAGE_CATCHUP_REQUEST,
        .catchup_request = {.nonce = 5,
                            .last_normal_view = view_make(EPOCH_FIRST, v + 1),
                            .from_op = 1,
                            .to_op = 1},
    };
    core_discard(&f, CORE_ANY, CORE_ANY, CORE_ANY);
    core_inject(&f, primary, primary_of(v + 1), ask);
    const struct message *answer =
        core_oldest(&f, MESSAGE_CATCHUP_RESPONSE, (int)primary, CORE_ANY);
    ck_assert(answer == NULL || answer->catchup_response.entry_count == 0);
}
END_TEST

/* PITFALLS ST-6: what came by log sync is acked, or the primary waits for ops it will not resend.
 */
START_TEST(st_6_sync_is_acked)
{
    const uint32_t primary = core_form(&f);
    const uint64_t v = core_view(&f, primary);
    const int backup = (int)primary_of(v + 1);
    core_crash(&f, primary_of(v + 2)); /* so that this backup's ack is needed */
    core_drop(&f, MESSAGE_PREPARE, CORE_ANY, backup);
    core_request(&f, primary, "x");
    core_settle(&f);
    ck_assert_uint_eq(commit_of(primary), 0);
    /* A later Prepare comes through, with a gap before it. */
    core_no_rules(&f);
    core_request(&f, primary, "y");
    core_settle(&f);
    ck_assert_uint_eq(op_of((uint32_t)backup), 2);
    ck_assert_uint_eq(commit_of(primary), 2);
}
END_TEST

/* PITFALLS ST-7, N4: Prepares behind a gap are used once it is closed, and forgotten with their
 * view. */
START_TEST(st_7_stash_ends_with_its_view)
{
    const uint32_t primary = core_form(&f);
    const uint64_t v = core_view(&f, primary);
    const uint32_t backup = primary_of(v + 2);
    core_drop(&f, MESSAGE_CATCHUP_REQUEST, CORE_ANY, CORE_ANY);
    core_request(&f, primary, "a");
    core_discard(&f, MESSAGE_PREPARE, CORE_ANY, CORE_ANY);
    core_request(&f, primary, "b");
    core_discard(&f, MESSAGE_PREPARE, CORE_ANY, (int)primary_of(v + 1));
    core_settle(&f); /* stashed at `backup` */
    ck_assert_uint_eq(op_of(backup), 0);
    core_crash(&f, primary);
    core_no_rules(&f);
    core_discard(&f, CORE_ANY, CORE_ANY, CORE_ANY);
    const uint32_t leader = core_run_until_primary_above(&f, v, 3000);
    ck_assert_uint_ne(leader, REPLICAS_MAX);
    core_request(&f, leader, "c");
    core_settle(&f);
    core_run(&f, 60);
    ck_assert_uint_eq(op_of(backup), 1);
    ck_assert(core_holds(&f, backup, 1, "c"));
    ck_assert(!core_see(&f, backup)->diverged);
}
END_TEST

/* PITFALLS ST-9, G1: pulled in ranges, few in flight, none above the budget, until it is whole. */
START_TEST(st_9_sync_is_windowed_and_bounded)
{
    f.defaults.message_budget = 600;
    const uint32_t primary = core_form(&f);
    const int backup = (int)primary_of(core_view(&f, primary) + 1);
    char body[201];
    memset(body, 'x', 200);
    body[200] = '\0';
    core_drop(&f, MESSAGE_PREPARE, CORE_ANY, backup);
    core_hold(&f, MESSAGE_CATCHUP_REQUEST, CORE_ANY, CORE_ANY);
    core_hold(&f, MESSAGE_CATCHUP_RESPONSE, CORE_ANY, CORE_ANY);
    request_some(primary, 300, body);
    core_run(&f, 22); /* a heartbeat */
    ck_assert_uint_gt(core_queued(&f, MESSAGE_CATCHUP_REQUEST, backup, CORE_ANY), 0);
    for (uint32_t rounds = 0; rounds < 400 && op_of((uint32_t)backup) < 300; rounds++) {
        ck_assert_uint_le(core_queued(&f, MESSAGE_CATCHUP_REQUEST, backup, CORE_ANY),
                          2 * SYNC_WINDOW_MAX); /* as many again if they are repeated */
        while (core_deliver(&f, MESSAGE_CATCHUP_REQUEST, backup, CORE_ANY)) {
        }
        core_run(&f, 1);
        const struct message *answer = core_oldest(&f, MESSAGE_CATCHUP_RESPONSE, CORE_ANY, backup);
        ck_assert(answer == NULL || answer->catchup_response.entries_size <= 600);
        while (core_deliver(&f, MESSAGE_CATCHUP_RESPONSE, CORE_ANY, backup)) {
        }
    }
    ck_assert_uint_eq(op_of((uint32_t)backup), 300);
}
END_TEST

/* G5: a lost answer is asked for again; a dead source is replaced by another. */
START_TEST(g5_stalled_sync_asks_another_source)
{
    core_free(&f);
    core_init(&f, 5);
    const uint32_t primary = core_form(&f);
    const uint32_t backup = primary_of(core_view(&f, primary) + 1);
    core_drop(&f, MESSAGE_PREPARE, CORE_ANY, (int)backup);
    core_drop(&f, MESSAGE_CATCHUP_RESPONSE, (int)primary, (int)backup);
    request_some(primary, 3, "x");
    core_run(&f, 500);
    ck_assert_uint_eq(op_of(backup), 3);
}
END_TEST

/* G5: a source whose entries do not chain is not believed, and proves no divergence. */
START_TEST(g5_wrong_answer_is_not_installed)
{
    const uint32_t primary = core_form(&f);
    const uint32_t backup = primary_of(core_view(&f, primary) + 1);
    core_drop(&f, MESSAGE_PREPARE, CORE_ANY, (int)backup);
    core_hold(&f, MESSAGE_CATCHUP_RESPONSE, CORE_ANY, (int)backup);
    request_some(primary, 2, "x");
    core_run(&f, 30);
    struct message lie = *core_oldest(&f, MESSAGE_CATCHUP_RESPONSE, CORE_ANY, (int)backup);
    uint8_t bytes[4096];
    ck_assert_uint_le(lie.catchup_response.entries_size, sizeof bytes);
    memcpy(bytes, lie.catchup_response.entries, lie.catchup_response.entries_size);
    bytes[lie.catchup_response.entries_size - 1] ^= 1; /* the last byte of the last body */
    lie.catchup_response.entries = bytes;
    core_inject(&f, backup, primary, lie);
    ck_assert_uint_eq(op_of(backup), 0);
    ck_assert(!core_see(&f, backup)->diverged);
    core_no_rules(&f);
    core_run(&f, 300);
    ck_assert_uint_eq(op_of(backup), 2);
    ck_assert(core_holds(&f, backup, 2, "x"));
}
END_TEST

/* V7, G6: on the way into a view PrepareOk waits for the install; Prepares meanwhile are stashed.
 */
START_TEST(v7_backup_acks_nothing_before_the_install)
{
    const uint32_t A = core_form(&f);
    const uint64_t v = core_view(&f, A);
    const uint32_t B = primary_of(v + 1);
    const uint32_t C = primary_of(v + 2);
    core_isolate(&f, C);
    request_some(A, 3, "x");
    core_no_rules(&f);
    core_crash(&f, A);
    core_hold(&f, MESSAGE_CATCHUP_RESPONSE, CORE_ANY, (int)C);
    core_hold(&f, MESSAGE_PREPARE_OK, (int)C, CORE_ANY);
    ck_assert_uint_eq(core_run_until_primary_above(&f, v, 3000), B);
    core_request(&f, B, "y");
    core_run(&f, 60);
    ck_assert_int_eq((int)status_of(C), STATUS_VIEW_CHANGE);
    ck_assert_uint_eq(core_queued(&f, MESSAGE_PREPARE_OK, (int)C, (int)B), 0);
    ck_assert_uint_eq(core_view(&f, C), core_view(&f, B)); /* V7: heartbeats count meanwhile */
    core_no_rules(&f);
    core_run(&f, 100);
    ck_assert_int_eq((int)status_of(C), STATUS_NORMAL);
    ck_assert(core_holds(&f, C, 4, "y"));
    ck_assert_uint_eq(commit_of(B), 4);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("vr sync");
    TCase *tests = tcase_create("schedules");
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, st_1_log_is_kept_until_its_replacement_is_there);
    tcase_add_test(tests, st_3_answer_of_the_view_before_is_dropped);
    tcase_add_test(tests, g7_staged_entries_end_with_their_sync);
    tcase_add_test(tests, st_4_sync_in_the_own_view_only_appends);
    tcase_add_test(tests, g6_log_is_cut_at_the_first_difference);
    tcase_add_test(tests, g6_shared_entries_are_claimed_through_the_install);
    tcase_add_test(tests, g6_nothing_committed_is_cut);
    tcase_add_test(tests, st_5_source_without_the_range_says_so);
    tcase_add_test(tests, g2_serving_is_in_small_bites_and_comes_last);
    tcase_add_test(tests, g2_uncommitted_entries_are_served_for_their_view_only);
    tcase_add_test(tests, st_6_sync_is_acked);
    tcase_add_test(tests, st_7_stash_ends_with_its_view);
    tcase_add_test(tests, st_9_sync_is_windowed_and_bounded);
    tcase_add_test(tests, g5_stalled_sync_asks_another_source);
    tcase_add_test(tests, g5_wrong_answer_is_not_installed);
    tcase_add_test(tests, v7_backup_acks_nothing_before_the_install);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
