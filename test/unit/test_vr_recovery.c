/* SPDX-License-Identifier: Apache-2.0 */
/* Recovery of the core, by scripted schedules: rules D6 to D10, S1's and P1's part in them, and
 * PITFALLS RC-*. */
#include <check.h>
#include <stdlib.h>

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

static enum vr_status status_of(uint32_t node)
{
    return core_see(&f, node)->status;
}

static uint64_t op_of(uint32_t node)
{
    return core_see(&f, node)->op_number;
}

static uint64_t commit_of(uint32_t node)
{
    return core_see(&f, node)->commit_number;
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

static void restart(uint32_t node)
{
    core_crash(&f, node);
    core_start(&f, node);
}

/* D6: an answer of the acting primary, a sync, and it is normal again with all that was there. */
START_TEST(restarted_backup_recovers)
{
    const uint32_t primary = core_form(&f);
    const uint32_t backup = primary_of(core_view(&f, primary) + 1);
    for (uint32_t i = 0; i < 30; i++) {
        core_request(&f, primary, "x");
    }
    core_settle(&f);
    restart(backup);
    ck_assert_int_eq((int)status_of(backup), STATUS_RECOVERING);
    ck_assert_uint_eq(op_of(backup), 0);
    ck_assert(core_run_until_normal(&f, 1000));
    ck_assert_uint_eq(op_of(backup), 30);
    ck_assert_uint_eq(core_view(&f, backup), core_view(&f, primary));
    core_crash(&f, primary_of(core_view(&f, primary) + 2)); /* it counts again in quorums */
    core_request(&f, primary, "y");
    core_settle(&f);
    ck_assert_uint_eq(commit_of(primary), 31);
}
END_TEST

/* D6: one answer is enough: with one of three dead, the other two go on. */
START_TEST(two_of_three_go_on_while_one_is_dead)
{
    const uint32_t primary = core_form(&f);
    const uint64_t v = core_view(&f, primary);
    core_request(&f, primary, "x");
    core_settle(&f);
    core_crash(&f, primary_of(v + 2));
    restart(primary_of(v + 1));
    core_run(&f, 300);
    ck_assert_int_eq((int)status_of(primary_of(v + 1)), STATUS_NORMAL);
    core_request(&f, primary, "y");
    core_settle(&f);
    ck_assert_uint_eq(commit_of(primary), 2);
}
END_TEST

/* PITFALLS RC-1 [T], S1: VRR without durable views loses X here.
 *
 * B enters v + 1, what it says of that is delayed, and it crashes. In VRR it comes back into v,
 * from A and C, and has forgotten; C does the same after it; then A commits X in v with an ack that
 * the delayed messages deny, and with these B starts v + 1 without X. Here B comes back knowing v +
 * 1: it is never again normal in v, and acks nothing there. */
START_TEST(rc_1_vote_that_was_forgotten)
{
    const uint32_t A = core_form(&f);
    const uint64_t v = core_view(&f, A);
    const uint32_t B = primary_of(v + 1);
    const uint32_t C = primary_of(v + 2);
    core_hold(&f, MESSAGE_START_VIEW_CHANGE, CORE_ANY, CORE_ANY);
    core_hold(&f, MESSAGE_DO_VIEW_CHANGE, CORE_ANY, CORE_ANY);
    core_inject(&f, B, A, vote(v + 1));
    core_inject(&f, B, C, vote(v + 1));
    ck_assert_uint_eq(core_view(&f, B), v + 1);
    core_run(&f, 2);
    ck_assert_uint_gt(core_queued(&f, MESSAGE_DO_VIEW_CHANGE, (int)B, (int)C), 0);
    core_drop(&f, MESSAGE_RECOVERY, (int)B, (int)C); /* C goes on in v for a while */
    core_drop(&f, MESSAGE_RECOVERY, (int)B, (int)A);
    core_drop(&f, MESSAGE_PREPARE, (int)A, (int)C); /* X needs the ack of B */
    core_drop(&f, MESSAGE_CATCHUP_RESPONSE, (int)A, (int)C);
    restart(B);
    ck_assert_uint_eq(core_view(&f, B), v + 1); /* S1: it knows */
    core_request(&f, A, "X");
    core_run(&f, 30);
    ck_assert_int_eq((int)status_of(B), STATUS_RECOVERING);
    ck_assert_uint_eq(commit_of(A), 0);

    /* Even an answer of the primary of v does not bring it back there. */
    core_inject(&f, B, A,
                (struct message){
                    .type = MESSAGE_RECOVERY_RESPONSE,
                    .recovery_response = {.nonce = f.nonce - 1,
                                          .view_number = core_see(&f, A)->view_number,
                                          .log = core_descriptor(&f, A)},
                });
    ck_assert_int_eq((int)status_of(B), STATUS_RECOVERING);

    /* Everything old arrives. */
    core_no_rules(&f);
    ck_assert(core_run_until_normal(&f, 20000));
    ck_assert_uint_gt(core_view(&f, A), v);
}
END_TEST

/* PITFALLS RC-2 [T], D8: a recovering replica whose durable view is above the group's takes the
 * group there, or it would wait for ever. */
START_TEST(rc_2_durable_view_above_the_groups)
{
    const uint32_t A = core_form(&f);
    const uint64_t v = core_view(&f, A);
    const uint32_t B = primary_of(v + 1);
    core_request(&f, A, "x");
    core_settle(&f);
    core_drop(&f, CORE_ANY, (int)B, CORE_ANY); /* what it says in v + 1 is lost */
    core_inject(&f, B, A, vote(v + 1));
    core_inject(&f, B, primary_of(v + 2), vote(v + 1));
    restart(B);
    ck_assert_uint_eq(core_view(&f, B), v + 1);
    ck_assert_uint_eq(core_view(&f, A), v);
    core_no_rules(&f);
    ck_assert(core_run_until_normal(&f, 10000));
    ck_assert_uint_gt(core_view(&f, A), v);
    ck_assert(core_holds(&f, B, 1, "x"));
}
END_TEST

static struct message response(uint64_t nonce, uint64_t view, struct log_descriptor log)
{
    log.last_normal_view = view_make(EPOCH_FIRST, view);
    return (struct message){
        .type = MESSAGE_RECOVERY_RESPONSE,
        .recovery_response = {.nonce = nonce,
                              .view_number = view_make(EPOCH_FIRST, view),
                              .log = log},
    };
}

/* The nonce that a recovering node uses now. */
static uint64_t nonce_of(uint32_t node)
{
    core_run(&f, 25);
    const struct message *recovery = core_oldest(&f, MESSAGE_RECOVERY, (int)node, CORE_ANY);
    ck_assert_ptr_nonnull(recovery);
    return recovery->recovery.nonce;
}

/* PITFALLS RC-3, D6: an answer counts from the primary of its view alone, and not of a view below
 * the durable one. */
START_TEST(rc_3_which_answers_count)
{
    const uint32_t A = core_form(&f);
    const uint64_t v = core_view(&f, A);
    const uint32_t B = primary_of(v + 1);
    const uint32_t C = primary_of(v + 2);
    const struct log_descriptor log = core_descriptor(&f, A);
    core_crash(&f, B);
    f.nodes[B].disk.view_number = view_make(EPOCH_FIRST, v + 4);
    core_hold(&f, CORE_ANY, CORE_ANY, CORE_ANY);
    core_start(&f, B);
    const uint64_t nonce = nonce_of(B);
    core_inject(&f, B, A, response(nonce, v + 3, log)); /* below the durable view */
    ck_assert_int_eq((int)status_of(B), STATUS_RECOVERING);
    core_inject(&f, B, C, response(nonce, v + 6, log)); /* not its primary */
    ck_assert_int_eq((int)status_of(B), STATUS_RECOVERING);
    core_inject(&f, B, A, response(nonce, v + 6, log));
    ck_assert_int_eq((int)status_of(B), STATUS_NORMAL);
    ck_assert_uint_eq(core_view(&f, B), v + 6);
}
END_TEST

/* P1, V9: nobody but the acting primary answers a Recovery. */
START_TEST(rc_3_backups_do_not_answer)
{
    const uint32_t A = core_form(&f);
    const uint64_t v = core_view(&f, A);
    core_hold(&f, MESSAGE_RECOVERY_RESPONSE, CORE_ANY, CORE_ANY);
    restart(primary_of(v + 1));
    core_run(&f, 30);
    ck_assert_uint_gt(core_queued(&f, MESSAGE_RECOVERY_RESPONSE, (int)A, CORE_ANY), 0);
    ck_assert_uint_eq(core_queued(&f, MESSAGE_RECOVERY_RESPONSE, (int)primary_of(v + 2), CORE_ANY),
                      0);
}
END_TEST

/* PITFALLS RC-4, D6: answers to the Recovery of an earlier start do not count. */
START_TEST(rc_4_answer_to_an_earlier_start_is_dropped)
{
    const uint32_t A = core_form(&f);
    const uint32_t B = primary_of(core_view(&f, A) + 1);
    core_hold(&f, MESSAGE_RECOVERY_RESPONSE, CORE_ANY, CORE_ANY);
    restart(B);
    core_run(&f, 5);
    ck_assert_uint_gt(core_queued(&f, MESSAGE_RECOVERY_RESPONSE, (int)A, (int)B), 0);
    core_hold(&f, MESSAGE_RECOVERY, CORE_ANY, CORE_ANY);
    restart(B);
    while (core_deliver(&f, MESSAGE_RECOVERY_RESPONSE, (int)A, (int)B)) {
    }
    ck_assert_int_eq((int)status_of(B), STATUS_RECOVERING);
    ck_assert_uint_gt(core_see(&f, B)->dropped[DROP_NONCE], 0);
}
END_TEST

/* PITFALLS RC-5, D6: while it recovers it answers nobody, votes for and acks nothing, and nothing
 * raises its view. */
START_TEST(rc_5_recovering_replica_takes_no_part)
{
    const uint32_t A = core_form(&f);
    const uint64_t v = core_view(&f, A);
    const uint32_t B = primary_of(v + 1);
    const uint32_t C = primary_of(v + 2);
    core_request(&f, A, "x");
    core_settle(&f);
    core_hold(&f, CORE_ANY, CORE_ANY, CORE_ANY);
    core_crash(&f, B);
    core_start(&f, B);
    core_run(&f, 25);
    core_discard(&f, CORE_ANY, CORE_ANY, CORE_ANY);

    const struct log_descriptor log = core_descriptor(&f, A);
    const uint64_t view_number = core_see(&f, A)->view_number;
    core_inject(&f, B, A, vote(v + 4));
    core_inject(&f, B, C, vote(v + 4));
    core_inject(&f, B, C,
                (struct message){
                    .type = MESSAGE_DO_VIEW_CHANGE,
                    .do_view_change = {.view_number = view_make(EPOCH_FIRST, v + 4), .log = log}});
    core_inject(&f, B, A,
                (struct message){.type = MESSAGE_COMMIT,
                                 .commit = {.view_number = view_number,
                                            .commit_number = 1,
                                            .commit_checksum = log.head_checksum,
                                            .op_number = 1,
                                            .round = 9}});
    core_inject(
        &f, B, A,
        (struct message){.type = MESSAGE_GET_VIEW, .get_view = {.view_number = view_number}});
    core_inject(&f, B, C,
                (struct message){.type = MESSAGE_RECOVERY,
                                 .recovery = {.nonce = 3, .view_number = view_number}});
    core_inject(&f, B, C,
                (struct message){
                    .type = MESSAGE_CATCHUP_REQUEST,
                    .catchup_request = {
                        .nonce = 3, .last_normal_view = view_number, .from_op = 1, .to_op = 1}});
    core_run(&f, 60);
    ck_assert_int_eq((int)status_of(B), STATUS_RECOVERING);
    ck_assert_uint_eq(core_view(&f, B), v);
    ck_assert_uint_eq(op_of(B), 0);
    ck_assert_uint_eq(core_queued(&f, CORE_ANY, (int)B, CORE_ANY),
                      core_queued(&f, MESSAGE_RECOVERY, (int)B, CORE_ANY));
}
END_TEST

/* PITFALLS RC-6, D3, D6: an empty log is never taken for the whole: every later start recovers. */
START_TEST(rc_6_restart_never_resumes_from_what_is_left)
{
    const uint32_t A = core_form(&f);
    const uint64_t v = core_view(&f, A);
    const uint32_t B = primary_of(v + 1);
    core_request(&f, A, "x");
    core_settle(&f);
    core_isolate(&f, B);
    restart(B);
    core_run(&f, 3000);
    ck_assert_int_eq((int)status_of(B), STATUS_RECOVERING);
    ck_assert_uint_eq(core_last_normal_view(&f, B), v); /* durable, and told to nobody */
}
END_TEST

/* D6 [mc]: log_valid is false from the start of a recovery until the write that ends it; a second
 * crash in between must not find a cut log that claims to be whole. In memory mode it stays false
 * (D3). */
START_TEST(d6_log_valid_stays_false_until_the_recovery_ends)
{
    const uint32_t A = core_form(&f);
    const uint64_t v = core_view(&f, A);
    const uint32_t B = primary_of(v + 1);
    core_request(&f, A, "x");
    core_settle(&f);
    core_drop(&f, MESSAGE_CATCHUP_RESPONSE, CORE_ANY, (int)B);
    core_crash(&f, B);
    f.nodes[B].disk.log_valid = false;
    f.nodes[B].hold_state = true;
    core_start(&f, B);
    core_run(&f, 100);
    ck_assert(!f.nodes[B].disk.log_valid);
    ck_assert(!f.nodes[B].state_waits || !f.nodes[B].state_writing.log_valid);
    /* The second crash, in the middle. */
    core_crash(&f, B);
    f.nodes[B].hold_state = false;
    core_start(&f, B);
    core_run(&f, 50);
    ck_assert_int_eq((int)status_of(B), STATUS_RECOVERING);
    ck_assert(!f.nodes[B].disk.log_valid);
    core_no_rules(&f);
    ck_assert(core_run_until_normal(&f, 2000));
    ck_assert(core_holds(&f, B, 1, "x"));
    ck_assert(!f.nodes[B].disk.log_valid);
}
END_TEST

/* G6 in a recovery: log, then state file, then status: nothing is acked before. */
START_TEST(d6_recovery_ends_when_log_and_state_file_are_durable)
{
    const uint32_t A = core_form(&f);
    const uint64_t v = core_view(&f, A);
    const uint32_t B = primary_of(v + 1);
    core_request(&f, A, "x");
    core_settle(&f);
    core_crash(&f, B);
    /* The group goes on to a later view, so that the state file has to change. */
    core_inject(&f, A, primary_of(v + 2), vote(v + 2));
    core_inject(&f, A, B, vote(v + 2));
    ck_assert_uint_eq(core_run_until_primary_above(&f, v, 3000), primary_of(v + 2));
    core_run(&f, 100);
    core_hold(&f, MESSAGE_PREPARE_OK, (int)B, CORE_ANY);
    f.nodes[B].hold_log = true;
    f.nodes[B].hold_state = true;
    core_start(&f, B);
    for (uint32_t i = 0; i < 500 && !f.nodes[B].log_waits; i++) {
        core_run(&f, 1);
        if (f.nodes[B].state_waits) {
            core_state_done(&f, B); /* identities met (D10) */
        }
    }
    ck_assert(f.nodes[B].log_waits);
    ck_assert_int_eq((int)status_of(B), STATUS_RECOVERING);
    core_log_done(&f, B);
    ck_assert(f.nodes[B].state_waits);
    ck_assert_int_eq((int)status_of(B), STATUS_RECOVERING);
    ck_assert_uint_eq(core_queued(&f, MESSAGE_PREPARE_OK, (int)B, CORE_ANY), 0);
    core_state_done(&f, B);
    ck_assert_int_eq((int)status_of(B), STATUS_NORMAL);
    ck_assert_uint_eq(core_last_normal_view(&f, B), core_view(&f, A));
}
END_TEST

/* D7: instead of an answer it may follow a StartView of a greater view, never of an equal one: that
 * may be an old duplicate, of a log that it has acked beyond. */
START_TEST(d7_equal_start_view_is_not_followed)
{
    const uint32_t A = core_form(&f);
    const uint64_t v = core_view(&f, A);
    const uint32_t B = primary_of(v + 1);
    const struct log_descriptor empty = core_descriptor(&f, A);
    core_request(&f, A, "x");
    core_settle(&f);
    core_hold(&f, CORE_ANY, CORE_ANY, CORE_ANY);
    restart(B);
    struct message start = {
        .type = MESSAGE_START_VIEW,
        .start_view = {.view_number = core_see(&f, A)->view_number, .log = empty},
    };
    core_inject(&f, B, A, start);
    ck_assert_int_eq((int)status_of(B), STATUS_RECOVERING);
    start.start_view.view_number = view_make(EPOCH_FIRST, v + 3);
    start.start_view.log.last_normal_view = start.start_view.view_number;
    core_inject(&f, B, A, start);
    ck_assert_int_eq((int)status_of(B), STATUS_NORMAL);
    ck_assert_uint_eq(core_view(&f, B), v + 3);
}
END_TEST

/* A's own log is slow, so "x" commits by the acks of B and C. B forgets it and comes back while
 * none of A's Prepares and Commits reach it; then A, whose log is slow still, must do without C. */
static uint64_t commit_by_two_backups_and_restart_one(uint32_t A)
{
    const uint64_t v = core_view(&f, A);
    const uint32_t B = primary_of(v + 1);
    f.nodes[A].hold_log = true;
    core_request(&f, A, "x");
    core_settle(&f);
    ck_assert_uint_eq(commit_of(A), 1); /* and answered */
    core_isolate(&f, primary_of(v + 2));
    core_drop(&f, MESSAGE_PREPARE, (int)A, (int)B);
    core_drop(&f, MESSAGE_COMMIT, (int)A, (int)B);
    restart(B);
    return v;
}

/* PITFALLS RC-13, D6, N3, N5: what B had acked is more than what is durable at A; B comes back with
 * all of it or not at all. One crash, and no more than one replica out of reach at a time. */
START_TEST(rc_13_answer_names_the_whole_log)
{
    const uint32_t A = core_form(&f);
    const uint64_t v = commit_by_two_backups_and_restart_one(A);
    const uint32_t B = primary_of(v + 1);
    for (uint32_t i = 0; i < 100 && status_of(B) != STATUS_NORMAL; i++) {
        core_run(&f, 1);
    }
    ck_assert_uint_eq(core_last_normal_view(&f, B), v);
    ck_assert(core_holds(&f, B, 1, "x"));
    ck_assert_uint_ne(core_run_until_primary_above(&f, v, 5000), REPLICAS_MAX);
    core_run(&f, 100);
    ck_assert(core_holds(&f, core_primary(&f), 1, "x"));
    core_request(&f, core_primary(&f), "y");
    core_no_rules(&f);
    f.nodes[A].hold_log = false;
    if (f.nodes[A].log_waits) {
        core_log_done(&f, A);
    }
    ck_assert(core_run_until_normal(&f, 10000));
    for (uint32_t i = 0; i < 3; i++) {
        ck_assert(!core_see(&f, i)->diverged);
        ck_assert(core_holds(&f, i, 1, "x"));
    }
}
END_TEST

/* The same for StartView, with which the primary answers GetView: it describes its log as it is now
 * (V8), not what of it is durable. */
START_TEST(v8_start_view_names_the_whole_log)
{
    const uint32_t A = core_form(&f);
    const uint32_t B = primary_of(core_view(&f, A) + 1);
    f.nodes[A].hold_log = true;
    core_request(&f, A, "x");
    core_settle(&f);
    core_run(&f, 30); /* the bounded rate of StartViews */
    core_hold(&f, MESSAGE_START_VIEW, CORE_ANY, CORE_ANY);
    core_inject(&f, A, B,
                (struct message){.type = MESSAGE_GET_VIEW,
                                 .get_view = {.view_number = core_see(&f, A)->view_number}});
    const struct message *start = core_oldest(&f, MESSAGE_START_VIEW, (int)A, (int)B);
    ck_assert_ptr_nonnull(start);
    ck_assert_uint_eq(start->start_view.log.op_number, 1);
    ck_assert_uint_eq(start->start_view.log.commit_number, 1);
}
END_TEST

/* PITFALLS RC-7: one recovers while the others change the view: they finish without it, and it
 * follows. */
START_TEST(rc_7_recovery_during_a_view_change)
{
    const uint32_t A = core_form(&f);
    const uint64_t v = core_view(&f, A);
    core_request(&f, A, "x");
    core_settle(&f);
    restart(A); /* the primary itself: nobody is left who could answer in v */
    ck_assert(core_run_until_normal(&f, 5000));
    ck_assert_uint_gt(core_view(&f, A), v);
    ck_assert(core_holds(&f, A, 1, "x"));
}
END_TEST

/* PITFALLS RC-7, D9: a majority that forgot cannot recover by itself: stuck, consistent, and it
 * says so. */
START_TEST(rc_7_majority_that_forgot_is_stuck_and_says_so)
{
    const uint32_t A = core_form(&f);
    const uint64_t v = core_view(&f, A);
    core_request(&f, A, "x");
    core_settle(&f);
    core_crash(&f, A);
    core_crash(&f, primary_of(v + 1));
    core_start(&f, A);
    core_start(&f, primary_of(v + 1));
    core_run(&f, 10000);
    ck_assert_uint_eq(core_primary(&f), REPLICAS_MAX);
    ck_assert_int_eq((int)status_of(A), STATUS_RECOVERING);
    ck_assert(core_see(&f, A)->group_lost);
    ck_assert(core_see(&f, primary_of(v + 1))->group_lost);
    ck_assert(core_see(&f, primary_of(v + 2))->group_lost); /* the one that remembers, too */
    ck_assert(core_holds(&f, primary_of(v + 2), 1, "x"));
}
END_TEST

/* D6: f that forgot are not a majority: while the primary lives they all come back, even at once.
 */
START_TEST(d6_both_backups_at_once_recover_from_the_primary)
{
    const uint32_t A = core_form(&f);
    const uint64_t v = core_view(&f, A);
    core_request(&f, A, "x");
    core_settle(&f);
    restart(primary_of(v + 1));
    restart(primary_of(v + 2));
    ck_assert(core_run_until_normal(&f, 2000));
    ck_assert_uint_eq(core_view(&f, A), v);
    ck_assert(core_holds(&f, primary_of(v + 2), 1, "x"));
    ck_assert(!core_see(&f, A)->group_lost);
}
END_TEST

/* PITFALLS RC-9, P1: one view and op never name two entries: after its restart the old primary
 * proposes nothing in the view that it led, though the group never left it. */
START_TEST(rc_9_no_second_entry_in_the_same_view)
{
    const uint32_t A = core_form(&f);
    const uint64_t v = core_view(&f, A);
    core_drop(&f, MESSAGE_PREPARE, (int)A, (int)primary_of(v + 2));
    core_drop(&f, MESSAGE_PREPARE_OK, CORE_ANY, CORE_ANY);
    core_request(&f, A, "first");
    core_settle(&f);
    ck_assert(core_holds(&f, primary_of(v + 1), 1, "first"));
    core_no_rules(&f);
    restart(A);
    core_request(&f, A, "second");
    ck_assert(core_run_until_normal(&f, 5000));
    for (uint32_t i = 0; i < 3; i++) {
        ck_assert(!core_holds(&f, i, 1, "second"));
        ck_assert(!core_see(&f, i)->diverged);
    }
}
END_TEST

/* PITFALLS RC-10: messages of an earlier start, still on their way, are dropped once the new one
 * was heard. */
START_TEST(rc_10_messages_of_an_earlier_start_are_dropped)
{
    const uint32_t A = core_form(&f);
    const uint64_t v = core_view(&f, A);
    const uint32_t B = primary_of(v + 1);
    core_hold(&f, MESSAGE_PREPARE_OK, (int)B, CORE_ANY);
    core_drop(&f, MESSAGE_PREPARE, (int)A, (int)primary_of(v + 2));
    core_drop(&f, MESSAGE_CATCHUP_RESPONSE, CORE_ANY, CORE_ANY);
    core_request(&f, A, "x");
    core_settle(&f);
    ck_assert_uint_gt(core_queued(&f, MESSAGE_PREPARE_OK, (int)B, (int)A), 0);
    restart(B); /* it has forgotten what it acks there */
    core_run(&f, 5);
    const uint64_t before = core_see(&f, A)->dropped[DROP_INCARNATION];
    ck_assert(core_deliver(&f, MESSAGE_PREPARE_OK, (int)B, (int)A));
    ck_assert_uint_gt(core_see(&f, A)->dropped[DROP_INCARNATION], before);
    ck_assert_uint_eq(commit_of(A), 0);
}
END_TEST

/* PITFALLS RC-8, D10: the identity first met is bound, durably, before it is trusted; another one
 * is refused. */
START_TEST(d10_another_data_directory_is_refused)
{
    const uint32_t A = core_form(&f);
    const uint64_t v = core_view(&f, A);
    const uint32_t B = primary_of(v + 1);
    ck_assert_uint_eq(f.nodes[A].disk.identities[B], f.nodes[B].identity);
    core_crash(&f, B);
    f.nodes[B].identity = 4711; /* an empty directory in its place */
    f.nodes[B].started_before = false;
    f.nodes[B].disk = (struct vr_durable_state){.view_number = view_make(EPOCH_FIRST, 0)};
    f.nodes[B].disk.identities[B] = 4711;
    core_start(&f, B);
    core_run(&f, 2000);
    ck_assert_int_ne((int)status_of(B), STATUS_NORMAL);
    ck_assert_uint_gt(core_see(&f, A)->dropped[DROP_IDENTITY], 0);
    ck_assert(core_see(&f, A)->acting_primary);
    ck_assert_uint_eq(f.nodes[A].disk.identities[B], 1000 + B);
}
END_TEST

/* PITFALLS RC-8, D10, V6: B has bound the old data directory of A, and what it says to that one in
 * view 0, which it never came to be normal in, does not start view 0 a second time, from nothing.
 */
START_TEST(d10_do_view_change_is_for_one_data_directory)
{
    const uint32_t A = 0; /* leads view 0 */
    const uint32_t B = 1;
    const uint32_t C = 2;
    core_drop(&f, MESSAGE_START_VIEW, (int)A, (int)B);
    for (uint32_t i = 0; i < 3; i++) {
        core_start(&f, i);
    }
    core_run(&f, 100);
    ck_assert(core_see(&f, A)->acting_primary);
    core_request(&f, A, "x");
    core_settle(&f);
    ck_assert_uint_eq(commit_of(A), 1);
    ck_assert_int_eq((int)status_of(B), STATUS_VIEW_CHANGE);
    ck_assert_uint_eq(f.nodes[B].disk.identities[A], f.nodes[A].identity);

    core_crash(&f, A);
    core_isolate(&f, C);
    f.nodes[A].identity = 4711; /* made again, empty */
    f.nodes[A].started_before = false;
    f.nodes[A].incarnation += 1;
    f.nodes[A].disk = (struct vr_durable_state){.view_number = view_make(EPOCH_FIRST, 0)};
    f.nodes[A].disk.identities[A] = 4711;
    core_start(&f, A);
    core_run(&f, 1000);
    ck_assert_uint_eq(core_see(&f, A)->views_started, 0);
    ck_assert_uint_gt(core_see(&f, A)->dropped[DROP_IDENTITY], 0);
}
END_TEST

/* The same for one who knew nobody when it spoke: what it said then may arrive much later, and
 * counts only once it names the one it speaks to. */
START_TEST(d10_do_view_change_to_nobody_does_not_count)
{
    for (uint32_t i = 0; i < 3; i++) {
        f.nodes[i].hold_state = i == 1; /* B binds nobody durably */
        core_start(&f, i);
    }
    core_isolate(&f, 2);
    core_run(&f, 60);
    ck_assert_uint_eq(core_see(&f, 0)->views_started, 0);
    core_state_done(&f, 1);
    f.nodes[1].hold_state = false;
    core_run(&f, 60);
    ck_assert_uint_eq(core_see(&f, 0)->views_started, 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("vr recovery");
    TCase *tests = tcase_create("schedules");
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, restarted_backup_recovers);
    tcase_add_test(tests, two_of_three_go_on_while_one_is_dead);
    tcase_add_test(tests, rc_1_vote_that_was_forgotten);
    tcase_add_test(tests, rc_2_durable_view_above_the_groups);
    tcase_add_test(tests, rc_3_which_answers_count);
    tcase_add_test(tests, rc_3_backups_do_not_answer);
    tcase_add_test(tests, rc_4_answer_to_an_earlier_start_is_dropped);
    tcase_add_test(tests, rc_5_recovering_replica_takes_no_part);
    tcase_add_test(tests, rc_6_restart_never_resumes_from_what_is_left);
    tcase_add_test(tests, d6_log_valid_stays_false_until_the_recovery_ends);
    tcase_add_test(tests, d6_recovery_ends_when_log_and_state_file_are_durable);
    tcase_add_test(tests, d7_equal_start_view_is_not_followed);
    tcase_add_test(tests, rc_13_answer_names_the_whole_log);
    tcase_add_test(tests, v8_start_view_names_the_whole_log);
    tcase_add_test(tests, rc_7_recovery_during_a_view_change);
    tcase_add_test(tests, rc_7_majority_that_forgot_is_stuck_and_says_so);
    tcase_add_test(tests, d6_both_backups_at_once_recover_from_the_primary);
    tcase_add_test(tests, rc_9_no_second_entry_in_the_same_view);
    tcase_add_test(tests, rc_10_messages_of_an_earlier_start_are_dropped);
    tcase_add_test(tests, d10_another_data_directory_is_refused);
    tcase_add_test(tests, d10_do_view_change_is_for_one_data_directory);
    tcase_add_test(tests, d10_do_view_change_to_nobody_does_not_count);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
