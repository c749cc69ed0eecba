/* SPDX-License-Identifier: Apache-2.0 */
/* Normal operation of the core, by scripted schedules: rules N1 to N10, P1's part in them, V1's
 * check of the quorum, and PITFALLS NC-*. */
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

static uint64_t commit_of(uint32_t node)
{
    return core_see(&f, node)->commit_number;
}

static uint64_t op_of(uint32_t node)
{
    return core_see(&f, node)->op_number;
}

static uint32_t next(uint32_t node)
{
    return (node + 1) % f.count;
}

/* N1 to N6: a request is prepared, acked by a quorum, committed, and learnt by the backups. */
START_TEST(request_commits_everywhere)
{
    const uint32_t primary = core_form(&f);
    core_request(&f, primary, "x");
    core_settle(&f);
    ck_assert_uint_eq(commit_of(primary), 1);
    core_run(&f, 50); /* N6: a heartbeat tells the backups */
    for (uint32_t i = 0; i < f.count; i++) {
        ck_assert_uint_eq(commit_of(i), 1);
        ck_assert(core_holds(&f, i, 1, "x"));
    }
}
END_TEST

/* n = 1 is legal: its own durable log is the quorum. */
START_TEST(group_of_one_commits_alone)
{
    core_free(&f);
    core_init(&f, 1);
    const uint32_t primary = core_form(&f);
    core_request(&f, primary, "x");
    ck_assert_uint_eq(commit_of(0), 1);
}
END_TEST

/* N1: who is not the acting primary says so, with its last normal view, and keeps nothing. */
START_TEST(backup_answers_not_primary)
{
    const uint32_t primary = core_form(&f);
    core_request(&f, next(primary), "x");
    ck_assert_int_eq(f.to_client.type, MESSAGE_NOT_PRIMARY);
    ck_assert_uint_eq(f.to_client.not_primary.last_normal_view, core_see(&f, primary)->view_number);
    ck_assert_uint_eq(op_of(next(primary)), 0);
}
END_TEST

/* N2: the same number is not appended again, a lower one is dropped. */
START_TEST(repeated_request_is_not_appended)
{
    const uint32_t primary = core_form(&f);
    core_request_again(&f, primary, 5, "x");
    core_request_again(&f, primary, 5, "x");
    core_request_again(&f, primary, 4, "old");
    ck_assert_uint_eq(op_of(primary), 1);
    core_request_again(&f, primary, 6, "y");
    ck_assert_uint_eq(op_of(primary), 2);
}
END_TEST

/* N3: at most pipeline_max in flight, request_queue_max behind them, then Busy. */
START_TEST(queue_is_bounded_and_says_busy)
{
    f.defaults.pipeline_max = 2;
    f.defaults.request_queue_max = 3;
    const uint32_t primary = core_form(&f);
    core_drop(&f, MESSAGE_PREPARE_OK, CORE_ANY, CORE_ANY);
    for (uint32_t i = 0; i < 5; i++) {
        core_request(&f, primary, "x");
    }
    ck_assert_uint_eq(op_of(primary), 5);
    f.to_client.type = MESSAGE_NONE;
    core_request(&f, primary, "one too many");
    ck_assert_int_eq(f.to_client.type, MESSAGE_BUSY);
    ck_assert_int_eq((int)f.to_client.busy.reason, BUSY_QUEUE_FULL);
    ck_assert_uint_eq(op_of(primary), 5);
    core_settle(&f);
    ck_assert_uint_eq(op_of(next(primary)), 2); /* no more than the pipeline left */
}
END_TEST

/* N9: a primary whose executor trails says Busy; acks and heartbeats go on. */
START_TEST(executor_lag_says_busy)
{
    f.defaults.execute_lag_max = 2;
    const uint32_t primary = core_form(&f);
    f.nodes[primary].hold_execution = true;
    for (uint32_t i = 0; i < 2; i++) {
        core_request(&f, primary, "x");
        core_settle(&f);
    }
    core_request(&f, primary, "y");
    ck_assert_int_eq(f.to_client.type, MESSAGE_BUSY);
    ck_assert_int_eq((int)f.to_client.busy.reason, BUSY_EXECUTOR);
    core_run(&f, 500);
    ck_assert(core_see(&f, primary)->acting_primary);
    f.nodes[primary].hold_execution = false;
    core_executed(&f, primary);
    core_request(&f, primary, "y");
    ck_assert_uint_eq(op_of(primary), 3);
}
END_TEST

/* PITFALLS NC-1, N5: an integer would count a repeated ack twice; n = 5 shows it. */
START_TEST(nc_1_repeated_ack_counts_once)
{
    core_free(&f);
    core_init(&f, 5);
    const uint32_t primary = core_form(&f);
    const int backup = (int)next(primary);
    core_hold(&f, MESSAGE_PREPARE_OK, CORE_ANY, CORE_ANY);
    core_request(&f, primary, "x");
    core_settle(&f);
    core_discard(&f, MESSAGE_PREPARE_OK, (int)next((uint32_t)backup), CORE_ANY);
    for (uint32_t i = 0; i < 5; i++) {
        core_duplicate(&f, MESSAGE_PREPARE_OK, backup, (int)primary);
        ck_assert(core_deliver(&f, MESSAGE_PREPARE_OK, backup, (int)primary));
        ck_assert_uint_eq(commit_of(primary), 0);
    }
    ck_assert(core_deliver(&f, MESSAGE_PREPARE_OK, (int)((primary + 3) % 5), (int)primary));
    ck_assert_uint_eq(commit_of(primary), 1);
}
END_TEST

/* PITFALLS NC-2, N5, N6: an ack is cumulative; what commits, commits in op order. */
START_TEST(nc_2_later_ack_commits_everything_before)
{
    const uint32_t primary = core_form(&f);
    const int backup = (int)next(primary);
    core_hold(&f, MESSAGE_PREPARE_OK, CORE_ANY, CORE_ANY);
    core_request(&f, primary, "a");
    core_settle(&f);
    core_request(&f, primary, "b");
    core_settle(&f);
    /* The ack of op 1 is lost, that of op 2 arrives. */
    ck_assert_uint_eq(
        core_oldest(&f, MESSAGE_PREPARE_OK, backup, (int)primary)->prepare_ok.op_number, 1);
    core_discard(&f, MESSAGE_PREPARE_OK, (int)next((uint32_t)backup), CORE_ANY);
    while (core_oldest(&f, MESSAGE_PREPARE_OK, backup, CORE_ANY) != NULL) {
        core_deliver(&f, MESSAGE_PREPARE_OK, backup, CORE_ANY);
    }
    ck_assert_uint_eq(commit_of(primary), 2);
    ck_assert_uint_eq(core_see(&f, primary)->executed_op, 2);
}
END_TEST

/* PITFALLS NC-3, N5: acks of another view, or with another checksum, prove nothing. */
START_TEST(nc_3_ack_of_another_view_or_log_is_dropped)
{
    const uint32_t primary = core_form(&f);
    const uint32_t backup = next(primary);
    core_hold(&f, MESSAGE_PREPARE_OK, CORE_ANY, CORE_ANY);
    core_request(&f, primary, "x");
    core_settle(&f);
    const struct message ack = *core_oldest(&f, MESSAGE_PREPARE_OK, (int)backup, CORE_ANY);

    struct message wrong = ack;
    wrong.prepare_ok.view_number++;
    core_inject(&f, primary, backup, wrong);
    wrong = ack;
    wrong.prepare_ok.checksum.low ^= 1;
    core_inject(&f, primary, backup, wrong);
    wrong = ack;
    wrong.prepare_ok.op_number = 2; /* not even known here */
    core_inject(&f, primary, backup, wrong);
    wrong = ack;
    wrong.prepare_ok.view_number = view_make(EPOCH_FIRST + 1, 0);
    core_inject(&f, primary, backup, wrong);
    ck_assert_uint_eq(commit_of(primary), 0);
}
END_TEST

/* PITFALLS NC-3 for a view gone by: an ack sent in view v is not counted in view v + 1. */
START_TEST(nc_3_ack_of_the_view_before_is_dropped)
{
    const uint32_t old = core_form(&f);
    const uint64_t view = core_view(&f, old);
    const uint32_t leader = (uint32_t)(view + 1) % 3;
    const uint32_t other = (uint32_t)(view + 2) % 3;
    core_hold(&f, MESSAGE_PREPARE_OK, (int)other, CORE_ANY);
    core_run(&f, 30);
    const struct message ack = *core_oldest(&f, MESSAGE_PREPARE_OK, (int)other, CORE_ANY);
    core_crash(&f, old);
    ck_assert_uint_eq(core_run_until_primary_above(&f, view, 5000), leader);
    core_drop(&f, MESSAGE_PREPARE, CORE_ANY, CORE_ANY);
    core_request(&f, leader, "x");
    struct message stale = ack;
    stale.prepare_ok.op_number = 1;
    stale.prepare_ok.checksum = core_see(&f, leader)->head_checksum;
    core_inject(&f, leader, other, stale);
    ck_assert_uint_eq(commit_of(leader), 0);
    ck_assert_uint_gt(core_see(&f, leader)->dropped[DROP_OLD_VIEW], 0);
}
END_TEST

/* PITFALLS NC-4, N4: a Prepare behind a gap is not appended, not acked, and the gap is closed by
 * log sync; then the stashed one counts (ST-7). */
START_TEST(nc_4_gap_is_closed_before_anything_is_acked)
{
    const uint32_t primary = core_form(&f);
    const int backup = (int)next(primary);
    core_run(&f, 25);
    core_discard(&f, CORE_ANY, CORE_ANY, CORE_ANY);
    core_hold(&f, MESSAGE_CATCHUP_REQUEST, CORE_ANY, CORE_ANY);
    core_request(&f, primary, "a");
    core_discard(&f, MESSAGE_PREPARE, CORE_ANY, backup);
    core_request(&f, primary, "b");
    ck_assert(core_deliver(&f, MESSAGE_PREPARE, (int)primary, backup));
    ck_assert_uint_eq(op_of((uint32_t)backup), 0);
    const struct message *ack = core_oldest(&f, MESSAGE_PREPARE_OK, backup, CORE_ANY);
    ck_assert(ack == NULL || ack->prepare_ok.op_number == 0);
    ck_assert_uint_gt(core_queued(&f, MESSAGE_CATCHUP_REQUEST, backup, CORE_ANY), 0);
    core_no_rules(&f);
    core_settle(&f);
    ck_assert_uint_eq(op_of((uint32_t)backup), 2);
    ck_assert(core_holds(&f, (uint32_t)backup, 1, "a"));
    ck_assert(core_holds(&f, (uint32_t)backup, 2, "b"));
}
END_TEST

/* PITFALLS NC-5, N7: a commit number beyond the own log is a hint: as much is executed as is there,
 * the rest is fetched. */
START_TEST(nc_5_commit_beyond_the_log_is_a_hint)
{
    const uint32_t primary = core_form(&f);
    const int backup = (int)next(primary);
    core_drop(&f, MESSAGE_PREPARE, CORE_ANY, backup);
    core_hold(&f, MESSAGE_CATCHUP_RESPONSE, CORE_ANY, CORE_ANY);
    core_request(&f, primary, "a");
    core_request(&f, primary, "b");
    core_settle(&f);
    ck_assert_uint_eq(commit_of(primary), 2);
    core_run(&f, 30); /* Commit says 2 */
    ck_assert_uint_eq(op_of((uint32_t)backup), 0);
    ck_assert_uint_eq(commit_of((uint32_t)backup), 0);
    ck_assert_uint_gt(core_queued(&f, MESSAGE_CATCHUP_RESPONSE, CORE_ANY, backup), 0);
    core_no_rules(&f);
    core_run(&f, 30);
    ck_assert_uint_eq(commit_of((uint32_t)backup), 2);
}
END_TEST

/* PITFALLS NC-6, N5: the primary counts itself only as far as its own log is durable. */
START_TEST(nc_6_primary_counts_itself_when_durable)
{
    const uint32_t primary = core_form(&f);
    f.nodes[primary].hold_log = true;
    core_drop(&f, MESSAGE_PREPARE, (int)primary, (int)next(primary));
    core_request(&f, primary, "x");
    core_settle(&f); /* one backup of two acks: with the primary that were a quorum */
    ck_assert_uint_eq(commit_of(primary), 0);
    core_log_done(&f, primary);
    ck_assert_uint_eq(commit_of(primary), 1);
}
END_TEST

/* N4 [mc]: an ack names what is durable, never the head, whatever message is answered. */
START_TEST(n4_ack_names_what_is_durable)
{
    const uint32_t primary = core_form(&f);
    const int backup = (int)next(primary);
    f.nodes[backup].hold_log = true;
    core_hold(&f, MESSAGE_PREPARE_OK, backup, CORE_ANY);
    core_request(&f, primary, "x");
    core_settle(&f);
    core_run(&f, 30); /* a Commit is answered too */
    ck_assert_uint_eq(op_of((uint32_t)backup), 1);
    ck_assert_uint_gt(core_queued(&f, MESSAGE_PREPARE_OK, backup, CORE_ANY), 0);
    while (core_oldest(&f, MESSAGE_PREPARE_OK, backup, CORE_ANY) != NULL) {
        ck_assert_uint_eq(
            core_oldest(&f, MESSAGE_PREPARE_OK, backup, CORE_ANY)->prepare_ok.op_number, 0);
        core_deliver(&f, MESSAGE_PREPARE_OK, backup, CORE_ANY);
    }
    core_log_done(&f, (uint32_t)backup);
    ck_assert_ptr_nonnull(core_oldest(&f, MESSAGE_PREPARE_OK, backup, CORE_ANY));
    ck_assert_uint_eq(core_oldest(&f, MESSAGE_PREPARE_OK, backup, CORE_ANY)->prepare_ok.op_number,
                      1);
}
END_TEST

/* PITFALLS NC-7, N3: many waiting requests share Prepares, none larger than the budget, and each
 * entry is acked and committed for itself. */
START_TEST(nc_7_requests_share_prepares_within_the_budget)
{
    f.defaults.message_budget = 600;
    const uint32_t primary = core_form(&f);
    char body[101];
    memset(body, 'b', sizeof body - 1);
    body[sizeof body - 1] = '\0';
    core_hold(&f, MESSAGE_PREPARE, CORE_ANY, CORE_ANY);
    for (uint32_t i = 0; i < 10; i++) {
        core_request(&f, primary, body);
    }
    core_settle(&f);
    while (core_oldest(&f, MESSAGE_PREPARE, CORE_ANY, CORE_ANY) != NULL) {
        ck_assert_uint_le(
            core_oldest(&f, MESSAGE_PREPARE, CORE_ANY, CORE_ANY)->prepare.entries_size, 600);
        core_deliver(&f, MESSAGE_PREPARE, CORE_ANY, CORE_ANY);
    }
    core_settle(&f);
    ck_assert_uint_eq(commit_of(primary), 10);
}
END_TEST

static uint64_t timestamp_at(uint32_t node, uint64_t op)
{
    size_t size;
    struct entry entry;
    const uint8_t *bytes = vr_log_bytes(f.nodes[node].replica, op, &size);
    ck_assert_uint_eq(entry_decode(bytes, size, &entry), size);
    return entry.timestamp;
}

/* PITFALLS NC-8, TM-1, N3: timestamps rise with op_number, also into the next view, whose primary's
 * clock is behind. */
START_TEST(nc_8_timestamps_rise_over_views)
{
    const uint32_t primary = core_form(&f);
    const uint64_t view = core_view(&f, primary);
    for (uint32_t i = 0; i < 3; i++) {
        core_request(&f, primary, "x"); /* at one moment */
        core_settle(&f);
    }
    ck_assert_uint_gt(timestamp_at(primary, 2), timestamp_at(primary, 1));
    ck_assert_uint_gt(timestamp_at(primary, 3), timestamp_at(primary, 2));
    core_crash(&f, primary);
    const uint32_t leader = core_run_until_primary_above(&f, view, 5000);
    f.wall_offset_ns = -3600 * 1000 * (int64_t)CORE_MS; /* its clock is an hour behind */
    core_request(&f, leader, "y");
    ck_assert_uint_gt(timestamp_at(leader, 4), timestamp_at(leader, 3));
}
END_TEST

/* PITFALLS NC-10, N10: a backup that answers heartbeats and acks nothing gets a bounded number of
 * resends: two Prepares at a time, and less and less often. */
START_TEST(nc_10_resends_are_bounded)
{
    const uint32_t primary = core_form(&f);
    const int silent = (int)next(primary);
    for (uint32_t i = 0; i < 200; i++) {
        core_request(&f, primary, "x");
    }
    core_settle(&f);
    core_drop(&f, MESSAGE_PREPARE, CORE_ANY, silent);
    core_drop(&f, MESSAGE_CATCHUP_RESPONSE, CORE_ANY, silent);
    for (uint32_t i = 0; i < 200; i++) {
        core_request(&f, primary, "y");
    }
    core_settle(&f);
    const uint64_t before = core_see(&f, primary)->prepares_resent;
    core_run(&f, 1000);
    const uint64_t resent = core_see(&f, primary)->prepares_resent - before;
    ck_assert_uint_gt(resent, 0);
    ck_assert_uint_le(resent, 60); /* all that is missing would be eleven at a time */
    ck_assert_uint_eq(commit_of(primary), 400);
}
END_TEST

/* PITFALLS NC-10, N10: and one that says nothing at all for T gets none. */
START_TEST(nc_10_silent_backup_gets_no_resends)
{
    const uint32_t primary = core_form(&f);
    core_request(&f, primary, "x");
    core_settle(&f);
    core_isolate(&f, next(primary));
    for (uint32_t i = 0; i < 50; i++) {
        core_request(&f, primary, "y");
    }
    core_settle(&f);
    core_run(&f, f.defaults.view_change_ns / CORE_MS + 1);
    const uint64_t before = core_see(&f, primary)->prepares_resent;
    ck_assert_uint_gt(before, 0);
    core_run(&f, 1000);
    ck_assert_uint_eq(core_see(&f, primary)->prepares_resent, before);
    ck_assert_uint_eq(commit_of(primary), 51);
}
END_TEST

/* PITFALLS CT-6, N6: nothing is executed before it is committed, and only the acting primary's
 * entries are marked with somebody to answer. */
START_TEST(ct_6_only_the_primary_answers_and_not_too_early)
{
    const uint32_t primary = core_form(&f);
    const uint32_t backup = next(primary);
    core_hold(&f, MESSAGE_PREPARE_OK, CORE_ANY, CORE_ANY);
    core_request(&f, primary, "x");
    core_settle(&f);
    ck_assert_uint_eq(f.nodes[primary].execute_to, 0);
    core_no_rules(&f);
    core_settle(&f);
    core_run(&f, 30);
    ck_assert_uint_eq(f.nodes[primary].execute_to, 1);
    ck_assert_uint_eq(f.nodes[backup].execute_to, 1);
    struct vr_execution execution;
    vr_execution(f.nodes[primary].replica, 1, &execution);
    ck_assert(execution.reply);
    vr_execution(f.nodes[backup].replica, 1, &execution);
    ck_assert(!execution.reply);
    core_request_again(&f, backup, 1, "x"); /* which answers NotPrimary and remembers nobody */
    vr_execution(f.nodes[backup].replica, 1, &execution);
    ck_assert(!execution.reply);
}
END_TEST

/* PITFALLS NC-9, N1: what came out of a log is not proposed again: a new primary's log is what it
 * was, and a request in it that its client repeats is known. */
START_TEST(nc_9_entries_are_not_proposed_again)
{
    const uint32_t A = core_form(&f);
    const uint64_t v = core_view(&f, A);
    const uint32_t B = next(A);
    core_drop(&f, MESSAGE_PREPARE_OK, CORE_ANY, CORE_ANY);
    for (uint64_t number = 1; number <= 3; number++) {
        core_request_again(&f, A, number, "x");
    }
    core_settle(&f);
    core_crash(&f, A);
    ck_assert_uint_eq(core_run_until_primary_above(&f, v, 3000), B);
    ck_assert_uint_eq(core_see(&f, B)->op_number, 3);
    ck_assert_uint_eq(commit_of(B), 0);
    core_request_again(&f, B, 3, "x");
    core_settle(&f);
    ck_assert_uint_eq(core_see(&f, B)->op_number, 3);
    core_no_rules(&f);
    core_run(&f, 500);
    ck_assert_uint_eq(core_see(&f, B)->op_number, 3);
    ck_assert_uint_eq(core_see(&f, B)->executed_op, 3);
}
END_TEST

/* N9: the executor is handed as many entries as it may trail, and the next ones as it gets on. */
START_TEST(n9_executor_is_handed_a_bounded_number)
{
    f.defaults.execute_lag_max = 4;
    const uint32_t primary = core_form(&f);
    const uint32_t backup = next(primary);
    f.nodes[backup].hold_execution = true;
    for (uint32_t i = 0; i < 10; i++) {
        core_request(&f, primary, "x");
        core_settle(&f);
    }
    core_run(&f, 30);
    ck_assert_uint_eq(commit_of(backup), 10); /* appending, acking, learning go on */
    ck_assert_uint_eq(f.nodes[backup].execute_to, 4);
    core_executed(&f, backup);
    ck_assert_uint_eq(f.nodes[backup].execute_to, 8);
    core_executed(&f, backup);
    ck_assert_uint_eq(f.nodes[backup].execute_to, 10);
}
END_TEST

/* N10: a lost Prepare is sent again, without a heartbeat's help. */
START_TEST(n10_lost_prepare_is_sent_again)
{
    const uint32_t primary = core_form(&f);
    core_run(&f, 100);
    core_request(&f, primary, "x");
    core_discard(&f, MESSAGE_PREPARE, CORE_ANY, CORE_ANY);
    core_drop(&f, MESSAGE_COMMIT, CORE_ANY, CORE_ANY);
    core_run(&f, 100);
    ck_assert_uint_eq(commit_of(primary), 1);
    ck_assert_uint_eq(core_view(&f, primary), core_view(&f, next(primary)));
}
END_TEST

/* N6: an idle group repairs its laggards: heartbeats alone bring entries to who missed them. */
START_TEST(n6_heartbeat_repairs_a_laggard)
{
    const uint32_t primary = core_form(&f);
    const uint32_t laggard = next(primary);
    core_drop(&f, MESSAGE_PREPARE, CORE_ANY, (int)laggard);
    core_request(&f, primary, "x");
    core_settle(&f);
    core_run(&f, 60);
    ck_assert_uint_eq(commit_of(laggard), 1);
}
END_TEST

/* N7: another checksum at an op that is there is divergence: said loudly, never repaired. */
START_TEST(n7_divergence_leaves_service)
{
    const uint32_t primary = core_form(&f);
    const uint32_t backup = next(primary);
    core_request(&f, primary, "x");
    core_settle(&f);
    const struct message commit = {
        .type = MESSAGE_COMMIT,
        .commit = {.view_number = core_see(&f, primary)->view_number,
                   .commit_number = 1,
                   .commit_checksum = {1, 2},
                   .op_number = 1,
                   .round = 1000},
    };
    core_inject(&f, backup, primary, commit);
    ck_assert(core_see(&f, backup)->diverged);
    core_discard(&f, CORE_ANY, CORE_ANY, CORE_ANY);
    core_run(&f, 100);
    ck_assert_uint_eq(core_queued(&f, CORE_ANY, (int)backup, CORE_ANY), 0);
    ck_assert(core_holds(&f, backup, 1, "x"));
}
END_TEST

/* N8: a Commit is answered with the round that it carried. */
START_TEST(n8_commit_is_answered_with_its_round)
{
    const uint32_t primary = core_form(&f);
    const int backup = (int)next(primary);
    core_run(&f, 100);
    core_hold(&f, MESSAGE_PREPARE_OK, backup, CORE_ANY);
    core_hold(&f, MESSAGE_COMMIT, CORE_ANY, backup);
    core_run(&f, 25);
    const uint64_t round = core_oldest(&f, MESSAGE_COMMIT, CORE_ANY, backup)->commit.round;
    core_discard(&f, MESSAGE_PREPARE_OK, CORE_ANY, CORE_ANY);
    ck_assert(core_deliver(&f, MESSAGE_COMMIT, (int)primary, backup));
    ck_assert_uint_eq(core_oldest(&f, MESSAGE_PREPARE_OK, backup, CORE_ANY)->prepare_ok.round,
                      round);
}
END_TEST

/* P1 [mc], PITFALLS RC-9: a restarted primary recovers; it never again prepares, commits or starts
 * in a view that it led before, and answers no request in it. */
START_TEST(p1_restarted_primary_does_not_go_on)
{
    const uint32_t primary = core_form(&f);
    core_request(&f, primary, "x");
    core_settle(&f);
    core_crash(&f, primary);
    core_discard(&f, CORE_ANY, CORE_ANY, CORE_ANY);
    /* Nobody else may notice, or tell it anything. */
    core_isolate(&f, primary);
    core_start(&f, primary);
    core_request(&f, primary, "y");
    ck_assert_int_eq(f.to_client.type, MESSAGE_NOT_PRIMARY);
    f.rule_count = 0;
    core_hold(&f, CORE_ANY, (int)primary, CORE_ANY);
    core_drop(&f, CORE_ANY, CORE_ANY, (int)primary);
    for (uint32_t i = 0; i < 500; i++) {
        core_run(&f, 1);
        ck_assert(!core_see(&f, primary)->acting_primary);
    }
    ck_assert_uint_eq(core_queued(&f, MESSAGE_PREPARE, (int)primary, CORE_ANY), 0);
    ck_assert_uint_eq(core_queued(&f, MESSAGE_COMMIT, (int)primary, CORE_ANY), 0);
    ck_assert_uint_eq(core_queued(&f, MESSAGE_START_VIEW, (int)primary, CORE_ANY), 0);
    ck_assert_uint_eq(core_queued(&f, MESSAGE_PREPARE_OK, (int)primary, CORE_ANY), 0);
    core_no_rules(&f);
    ck_assert(core_run_until_normal(&f, 5000));
    ck_assert(core_holds(&f, primary, 1, "x"));
    ck_assert_uint_eq(op_of(primary), 1);
}
END_TEST

/* P1: while the old group still knows the view in which it led, the restarted primary may become a
 * backup there only of another one; the view that it led is never its own again. */
START_TEST(p1_old_view_has_no_primary_after_its_restart)
{
    const uint32_t primary = core_form(&f);
    const uint64_t view = core_view(&f, primary);
    core_crash(&f, primary);
    core_start(&f, primary); /* back before anybody suspects */
    const uint32_t leader = core_run_until_primary_above(&f, view, 5000);
    ck_assert_uint_ne(leader, REPLICAS_MAX);
    ck_assert_uint_gt(core_view(&f, leader), view);
}
END_TEST

/* S4: a "durable to n" of an older generation is dropped. */
START_TEST(s4_stale_log_completion_is_dropped)
{
    const uint32_t primary = core_form(&f);
    const uint32_t backup = next(primary);
    f.nodes[backup].hold_log = true;
    core_hold(&f, MESSAGE_PREPARE_OK, (int)backup, CORE_ANY);
    core_request(&f, primary, "x");
    core_settle(&f);
    ck_assert(f.nodes[backup].log_waits);
    const uint64_t generation = f.nodes[backup].log_generation;
    f.nodes[backup].log_generation = generation - 1;
    core_log_done(&f, backup);
    core_run(&f, 25);
    while (core_oldest(&f, MESSAGE_PREPARE_OK, (int)backup, CORE_ANY) != NULL) {
        ck_assert_uint_eq(
            core_oldest(&f, MESSAGE_PREPARE_OK, (int)backup, CORE_ANY)->prepare_ok.op_number, 0);
        core_deliver(&f, MESSAGE_PREPARE_OK, (int)backup, CORE_ANY);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("vr normal");
    TCase *tests = tcase_create("schedules");
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, request_commits_everywhere);
    tcase_add_test(tests, group_of_one_commits_alone);
    tcase_add_test(tests, backup_answers_not_primary);
    tcase_add_test(tests, repeated_request_is_not_appended);
    tcase_add_test(tests, queue_is_bounded_and_says_busy);
    tcase_add_test(tests, executor_lag_says_busy);
    tcase_add_test(tests, nc_1_repeated_ack_counts_once);
    tcase_add_test(tests, nc_2_later_ack_commits_everything_before);
    tcase_add_test(tests, nc_3_ack_of_another_view_or_log_is_dropped);
    tcase_add_test(tests, nc_3_ack_of_the_view_before_is_dropped);
    tcase_add_test(tests, nc_4_gap_is_closed_before_anything_is_acked);
    tcase_add_test(tests, nc_5_commit_beyond_the_log_is_a_hint);
    tcase_add_test(tests, nc_6_primary_counts_itself_when_durable);
    tcase_add_test(tests, n4_ack_names_what_is_durable);
    tcase_add_test(tests, nc_7_requests_share_prepares_within_the_budget);
    tcase_add_test(tests, nc_8_timestamps_rise_over_views);
    tcase_add_test(tests, ct_6_only_the_primary_answers_and_not_too_early);
    tcase_add_test(tests, nc_9_entries_are_not_proposed_again);
    tcase_add_test(tests, n9_executor_is_handed_a_bounded_number);
    tcase_add_test(tests, nc_10_resends_are_bounded);
    tcase_add_test(tests, nc_10_silent_backup_gets_no_resends);
    tcase_add_test(tests, n10_lost_prepare_is_sent_again);
    tcase_add_test(tests, n6_heartbeat_repairs_a_laggard);
    tcase_add_test(tests, n7_divergence_leaves_service);
    tcase_add_test(tests, n8_commit_is_answered_with_its_round);
    tcase_add_test(tests, p1_restarted_primary_does_not_go_on);
    tcase_add_test(tests, p1_old_view_has_no_primary_after_its_restart);
    tcase_add_test(tests, s4_stale_log_completion_is_dropped);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
