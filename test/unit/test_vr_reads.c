/* SPDX-License-Identifier: Apache-2.0 */
/* Reads beside the log, by scripted schedules: rules R1, R2 and R4. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "server/vr/replica.h"
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

static uint32_t next(uint32_t node)
{
    return (node + 1) % f.count;
}

static void answered_by(uint32_t node, uint32_t count)
{
    ck_assert_uint_eq(f.read_count, count);
    if (count > 0) {
        ck_assert_uint_eq(f.read_from, node);
        ck_assert_uint_eq(f.read.read.operation_size, 3);
        ck_assert_int_eq(memcmp(f.read.read.operation, "get", 3), 0);
        ck_assert_uint_eq(f.read.read.nonce, f.request_number);
    }
}

/* R2: a quorum acks a round that began after the read arrived; the log stays as it is. */
START_TEST(r2_read_waits_for_a_quorum_and_leaves_the_log_alone)
{
    const uint32_t primary = core_form(&f);
    core_request(&f, primary, "x");
    core_settle(&f);
    core_hold(&f, MESSAGE_PREPARE_OK, CORE_ANY, CORE_ANY);
    core_read(&f, primary, READ_LINEARIZABLE, 0);
    core_settle(&f);
    answered_by(primary, 0);
    core_no_rules(&f);
    core_settle(&f);
    answered_by(primary, 1);
    ck_assert_uint_eq(f.read.read.op_number, 1);
    ck_assert_uint_eq(core_see(&f, primary)->op_number, 1);
    ck_assert_uint_eq(core_see(&f, primary)->read_rounds, 1);
}
END_TEST

/* R2: what was said before the read arrived says nothing of what has happened since. */
START_TEST(r2_ack_of_an_older_round_counts_not)
{
    const uint32_t primary = core_form(&f);
    core_hold(&f, MESSAGE_PREPARE_OK, CORE_ANY, CORE_ANY);
    core_request(&f, primary, "x");
    core_settle(&f);
    core_drop(&f, MESSAGE_COMMIT, CORE_ANY, CORE_ANY);
    core_read(&f, primary, READ_LINEARIZABLE, 0);
    while (core_deliver(&f, MESSAGE_PREPARE_OK, CORE_ANY, (int)primary)) {
    }
    ck_assert_uint_eq(core_see(&f, primary)->commit_number, 1);
    answered_by(primary, 0);
}
END_TEST

/* The rounds that this replica, as a primary, began since its process started. */
static uint64_t rounds_of(uint32_t node)
{
    return f.nodes[node].replica->round;
}

/* The primary's next round is `round`, and nobody hears of its rounds any more. */
static void run_until_next_round_is(uint32_t primary, uint64_t round)
{
    ck_assert_uint_lt(rounds_of(primary), round);
    for (int ms = 0; ms < 5000 && rounds_of(primary) < round - 1; ms++) {
        core_run(&f, 1);
    }
    ck_assert_uint_eq(rounds_of(primary), round - 1);
    ck_assert(core_see(&f, primary)->acting_primary);
    core_drop(&f, MESSAGE_COMMIT, CORE_ANY, CORE_ANY);
}

/* R2: nor does what was said in this view of a round of an older one: of another primary, who had
 * begun more of them. It could have been said long before the read arrived. */
START_TEST(r2_ack_of_another_primarys_round_counts_not)
{
    const uint32_t first = core_form(&f);
    core_run(&f, 1000);
    const uint64_t view_number = core_view(&f, first);
    const uint32_t backup = next(next(first));
    const uint64_t round = rounds_of(first);
    ck_assert_uint_eq(f.nodes[backup].replica->ack_round, round);
    core_isolate(&f, first);
    const uint32_t second = core_run_until_primary_above(&f, view_number, 2000);
    ck_assert_uint_eq(second, next(first));
    core_no_rules(&f);
    ck_assert(core_run_until_normal(&f, 2000)); /* the first one's acks keep the second going */

    core_hold(&f, MESSAGE_PREPARE_OK, (int)backup, CORE_ANY);
    run_until_next_round_is(second, round);
    core_read(&f, second, READ_LINEARIZABLE, 0);
    ck_assert_uint_eq(rounds_of(second), round);
    ck_assert_uint_gt(core_queued(&f, MESSAGE_PREPARE_OK, (int)backup, (int)second), 0);
    while (core_deliver(&f, MESSAGE_PREPARE_OK, (int)backup, (int)second)) {
    }
    answered_by(second, 0);
    core_no_rules(&f);
    core_run(&f, 30);
    answered_by(second, 1);
}
END_TEST

/* R2: rounds are counted from 0 by each process: what a primary was told before it restarted is not
 * about the round that has the same number now. */
START_TEST(r2_ack_of_an_older_view_counts_not)
{
    const uint32_t primary = core_form(&f);
    const uint32_t backup = next(primary);
    core_run(&f, 1500);
    core_hold(&f, MESSAGE_PREPARE_OK, (int)backup, (int)primary);
    core_run(&f, 30);
    const struct message late = *core_oldest(&f, MESSAGE_PREPARE_OK, (int)backup, (int)primary);
    ck_assert_uint_gt(late.prepare_ok.round, 50);

    const uint64_t view_number = core_view(&f, primary);
    core_crash(&f, primary);
    core_discard(&f, CORE_ANY, CORE_ANY, CORE_ANY);
    ck_assert_uint_lt(core_run_until_primary_above(&f, view_number, 2000), f.count);
    core_start(&f, primary);
    core_no_rules(&f);
    ck_assert(core_run_until_normal(&f, 2000));
    for (int turn = 0; turn < 3 && core_primary(&f) != primary; turn++) {
        const uint32_t other = core_primary(&f);
        const uint64_t others_view = core_view(&f, other);
        core_isolate(&f, other);
        ck_assert_uint_lt(core_run_until_primary_above(&f, others_view, 2000), f.count);
        core_no_rules(&f);
        ck_assert(core_run_until_normal(&f, 2000));
    }
    ck_assert_uint_eq(core_primary(&f), primary);
    run_until_next_round_is(primary, late.prepare_ok.round);
    core_read(&f, primary, READ_LINEARIZABLE, 0);
    ck_assert_uint_eq(rounds_of(primary), late.prepare_ok.round);
    core_inject(&f, primary, backup, late);
    answered_by(primary, 0);
    core_no_rules(&f);
    core_run(&f, 30);
    answered_by(primary, 1);
}
END_TEST

/* R2: one ack is no quorum of five, and a repeated one is no second. */
START_TEST(r2_repeated_ack_is_one)
{
    core_free(&f);
    core_init(&f, 5);
    const uint32_t primary = core_form(&f);
    core_settle(&f);
    const uint32_t backup = next(primary);
    for (uint32_t i = 0; i < 5; i++) {
        if (i != primary && i != backup) {
            core_drop(&f, MESSAGE_COMMIT, CORE_ANY, (int)i);
        }
    }
    core_hold(&f, MESSAGE_PREPARE_OK, (int)backup, CORE_ANY);
    core_read(&f, primary, READ_LINEARIZABLE, 0);
    core_settle(&f);
    core_duplicate(&f, MESSAGE_PREPARE_OK, (int)backup, (int)primary);
    while (core_deliver(&f, MESSAGE_PREPARE_OK, (int)backup, (int)primary)) {
    }
    answered_by(primary, 0);
    core_no_rules(&f);
    core_run(&f, 30); /* the next heartbeat's round does */
    answered_by(primary, 1);
}
END_TEST

/* All that wait share a round; those that come while it is under way share the next. */
START_TEST(r2_reads_share_rounds)
{
    enum { READS = 10 };
    const uint32_t primary = core_form(&f);
    core_settle(&f);
    core_hold(&f, MESSAGE_COMMIT, CORE_ANY, CORE_ANY);
    for (uint32_t i = 0; i < READS; i++) {
        core_read(&f, primary, READ_LINEARIZABLE, 0);
    }
    ck_assert_uint_eq(core_queued(&f, MESSAGE_COMMIT, (int)primary, (int)next(primary)), 1);
    core_no_rules(&f);
    core_settle(&f);
    answered_by(primary, READS);
    ck_assert_uint_eq(core_see(&f, primary)->read_rounds, 2);
}
END_TEST

/* A write that is prepared after the read arrived asks for it, too. */
START_TEST(r2_acks_of_writes_serve)
{
    const uint32_t primary = core_form(&f);
    core_settle(&f);
    core_drop(&f, MESSAGE_COMMIT, CORE_ANY, CORE_ANY);
    core_read(&f, primary, READ_LINEARIZABLE, 0);
    core_settle(&f);
    answered_by(primary, 0);
    core_request(&f, primary, "x");
    core_settle(&f);
    ck_assert_uint_eq(f.read_count, 1);
}
END_TEST

/* R2: an earlier view may have answered what this one only takes over, and executes late. */
START_TEST(r2_shows_what_the_view_began_with)
{
    f.defaults.execute_lag_max = 1;
    const uint32_t first = core_form(&f);
    core_drop(&f, MESSAGE_PREPARE_OK, CORE_ANY, CORE_ANY);
    core_request(&f, first, "x");
    core_request(&f, first, "y");
    core_settle(&f);
    const uint64_t view_number = core_view(&f, first);
    core_crash(&f, first);
    const uint32_t second = core_run_until_primary_above(&f, view_number, 2000);
    ck_assert_uint_lt(second, f.count);
    f.nodes[second].hold_execution = true;
    ck_assert_uint_eq(core_see(&f, second)->commit_number, 0);
    core_read(&f, second, READ_LINEARIZABLE, 0);
    core_no_rules(&f);
    core_settle(&f);
    core_run(&f, 60);
    ck_assert_uint_eq(core_see(&f, second)->commit_number, 2);
    answered_by(second, 0); /* op 1 alone is handed over */
    f.nodes[second].hold_execution = false;
    core_executed(&f, second);
    core_run(&f, 30);
    answered_by(second, 1);
    ck_assert_uint_eq(f.read.read.op_number, 2);
}
END_TEST

/* R2: whom a later view has replaced answers nothing, and says where to ask once it knows. */
START_TEST(r2_replaced_primary_answers_nothing)
{
    const uint32_t first = core_form(&f);
    const uint64_t view_number = core_view(&f, first);
    core_isolate(&f, first);
    core_read(&f, first, READ_LINEARIZABLE, 0);
    const uint32_t second = core_run_until_primary_above(&f, view_number, 2000);
    ck_assert_uint_lt(second, f.count);
    core_request(&f, second, "x");
    core_settle(&f);
    answered_by(first, 0);
    core_read(&f, first, READ_LINEARIZABLE, 0); /* it has given up by now (V1) */
    ck_assert_int_eq(f.to_client.type, MESSAGE_BUSY);
    ck_assert_int_eq(f.to_client.busy.reason, BUSY_NO_QUORUM);
    ck_assert_uint_eq(f.to_client.busy.request_number, f.request_number);
    core_no_rules(&f);
    ck_assert(core_run_until_normal(&f, 2000));
    ck_assert_uint_eq(f.read_count, 0);
    core_read(&f, first, READ_LINEARIZABLE, 0);
    ck_assert_int_eq(f.to_client.type, MESSAGE_NOT_PRIMARY);
    ck_assert_uint_eq(f.to_client.not_primary.session, 0);
    ck_assert_uint_eq(f.to_client.not_primary.request_number, f.request_number);
}
END_TEST

/* All vote for the next view that has the same primary, as if those between had failed. */
static void vote_for_the_next_turn_of(uint32_t primary)
{
    const struct message vote = {
        .type = MESSAGE_START_VIEW_CHANGE,
        .start_view_change = {core_see(&f, primary)->view_number + f.count},
    };
    core_inject(&f, primary, next(primary), vote);
    core_inject(&f, primary, next(next(primary)), vote);
    ck_assert(!core_see(&f, primary)->acting_primary);
}

/* A read that was asked in an earlier view of the same primary is not confirmed by this one: others
 * may have answered what it does not show in views between. Its client is told to ask again. */
START_TEST(r2_reads_end_with_their_view)
{
    const uint32_t primary = core_form(&f);
    const uint64_t view_number = core_view(&f, primary);
    core_drop(&f, MESSAGE_COMMIT, CORE_ANY, CORE_ANY);
    const uint64_t asked_ns = f.now_ns;
    core_read(&f, primary, READ_LINEARIZABLE, 0);
    core_settle(&f);
    core_no_rules(&f);
    vote_for_the_next_turn_of(primary);
    ck_assert_uint_eq(core_run_until_primary_above(&f, view_number, 100), primary);
    core_run(&f, 30); /* a round */
    ck_assert_uint_lt(f.now_ns - asked_ns, f.defaults.view_change_ns);
    ck_assert_uint_eq(f.read_count, 0);
    ck_assert_int_eq(f.to_client.type, MESSAGE_NOT_PRIMARY);
    ck_assert_uint_eq(f.to_client.not_primary.request_number, f.request_number);
}
END_TEST

/* The same where one drain holds all of it, and the primary is never seen without its office. */
START_TEST(r2_reads_end_with_their_view_within_a_drain)
{
    const uint32_t primary = core_form(&f);
    const uint64_t view_number = core_view(&f, primary);
    core_drop(&f, MESSAGE_COMMIT, CORE_ANY, CORE_ANY);
    const uint64_t asked_ns = f.now_ns;
    core_read(&f, primary, READ_LINEARIZABLE, 0);
    core_settle(&f);
    core_no_rules(&f);
    f.nodes[primary].hold_flush = true;
    vote_for_the_next_turn_of(primary);
    ck_assert_uint_eq(core_run_until_primary_above(&f, view_number, 100), primary);
    f.nodes[primary].hold_flush = false;
    core_run(&f, 30);
    ck_assert_uint_lt(f.now_ns - asked_ns, f.defaults.view_change_ns);
    ck_assert_uint_eq(f.read_count, 0);
    ck_assert_int_eq(f.to_client.type, MESSAGE_NOT_PRIMARY);
    ck_assert_uint_eq(f.to_client.not_primary.request_number, f.request_number);
}
END_TEST

/* R2: one that its view has confirmed does not: it is answered when its op is there, in that view's
 * name. */
START_TEST(r2_confirmed_reads_outlive_their_view)
{
    f.defaults.execute_lag_max = 1;
    const uint32_t primary = core_form(&f);
    const uint64_t asked_in = core_see(&f, primary)->view_number;
    f.nodes[primary].hold_execution = true;
    core_request(&f, primary, "x");
    core_request(&f, primary, "y");
    core_settle(&f);
    core_read(&f, primary, READ_LINEARIZABLE, 0);
    core_settle(&f);
    answered_by(primary, 0); /* op 1 alone is handed over */
    vote_for_the_next_turn_of(primary);
    ck_assert_uint_eq(core_run_until_primary_above(&f, view_within_epoch(asked_in), 100), primary);
    answered_by(primary, 0);
    f.nodes[primary].hold_execution = false;
    core_executed(&f, primary);
    answered_by(primary, 1);
    ck_assert_uint_eq(f.read.read.op_number, 2);
    ck_assert_uint_eq(f.read.read.view_number, asked_in);
}
END_TEST

/* R2: none waits for longer than a view change takes: its client, who hears nothing, asks all. */
START_TEST(r2_reads_are_not_answered_late)
{
    const uint32_t primary = core_form(&f);
    core_settle(&f);
    core_drop(&f, MESSAGE_PREPARE_OK, CORE_ANY, CORE_ANY);
    const uint32_t told = f.to_client_count;
    core_read(&f, primary, READ_LINEARIZABLE, 0);
    const uint64_t late_ns = f.now_ns + f.defaults.view_change_ns;
    core_run(&f, 100);
    ck_assert_uint_eq(core_see(&f, primary)->reads_late, 0);
    while (f.now_ns < late_ns + f.defaults.heartbeat_ns) {
        core_run(&f, 1);
    }
    ck_assert(core_see(&f, primary)->acting_primary);
    ck_assert_uint_eq(core_see(&f, primary)->reads_late, 1);
    core_no_rules(&f);
    core_run(&f, 60);
    ck_assert_uint_eq(f.read_count, 0);
    ck_assert_uint_eq(f.to_client_count, told);
}
END_TEST

/* A client that was told of an op by anybody sees it, though a round came sooner. */
START_TEST(r2_shows_what_its_client_has_seen)
{
    const uint32_t primary = core_form(&f);
    core_read(&f, primary, READ_LINEARIZABLE, 1);
    core_settle(&f);
    answered_by(primary, 0);
    core_request(&f, primary, "x");
    core_settle(&f);
    ck_assert_uint_eq(f.read_count, 1);
    ck_assert_uint_eq(f.read.read.op_number, 1);
}
END_TEST

/* A group of one is its own quorum. */
START_TEST(r2_group_of_one_answers_at_once)
{
    core_free(&f);
    core_init(&f, 1);
    const uint32_t primary = core_form(&f);
    core_request(&f, primary, "x");
    core_settle(&f);
    core_read(&f, primary, READ_LINEARIZABLE, 0);
    answered_by(primary, 1);
    ck_assert_uint_eq(f.read.read.op_number, 1);
}
END_TEST

/* Reads that wait are bounded in number, and what is over that is told so. */
START_TEST(waiting_reads_are_bounded)
{
    const uint32_t primary = core_form(&f);
    core_settle(&f);
    core_drop(&f, MESSAGE_COMMIT, CORE_ANY, CORE_ANY);
    for (uint32_t i = 0; i < READS_MAX; i++) {
        core_read(&f, primary, READ_LINEARIZABLE, 0);
    }
    f.to_client.type = MESSAGE_NONE;
    core_read(&f, primary, READ_LINEARIZABLE, 0);
    ck_assert_int_eq(f.to_client.type, MESSAGE_BUSY);
    ck_assert_int_eq(f.to_client.busy.reason, BUSY_QUEUE_FULL);
    core_no_rules(&f);
    core_run(&f, 30);
    ck_assert_uint_eq(f.read_count, READS_MAX);
    core_read(&f, primary, READ_LINEARIZABLE, 0); /* there is room again */
    core_settle(&f);
    answered_by(primary, READS_MAX + 1);
}
END_TEST

/* R1 */
START_TEST(r1_reads_go_through_the_log)
{
    f.defaults.reads = READS_LOG;
    const uint32_t primary = core_form(&f);
    core_read(&f, primary, READ_LINEARIZABLE, 0);
    core_settle(&f);
    answered_by(primary, 0);
    ck_assert_int_eq(f.to_client.type, MESSAGE_REPLY);
    ck_assert_int_eq(f.to_client.reply.status, REPLY_READ_BY_LOG);
    ck_assert_uint_eq(f.to_client.reply.request_number, f.request_number);
    core_read(&f, primary, READ_STALE, 0); /* which has nothing to do with the mode */
    answered_by(primary, 1);
}
END_TEST

/* R4: any replica answers from what it has, even a lonely one. */
START_TEST(r4_anybody_answers_stale_reads)
{
    const uint32_t primary = core_form(&f);
    core_request(&f, primary, "x");
    core_run(&f, 30);
    const uint32_t backup = next(primary);
    core_isolate(&f, backup);
    core_read(&f, backup, READ_STALE, 0);
    answered_by(backup, 1);
    ck_assert_uint_eq(f.read.read.commit_number, 1);
    core_run(&f, 500);
    core_read(&f, backup, READ_STALE, 1); /* suspecting, or in a view change */
    answered_by(backup, 2);
}
END_TEST

/* R4: an op that is not there yet is waited for, not for ever. */
START_TEST(r4_at_least_waits_for_its_op)
{
    const uint32_t primary = core_form(&f);
    const uint32_t backup = next(primary);
    core_read(&f, backup, READ_STALE, 1);
    answered_by(backup, 0);
    core_request(&f, primary, "x");
    core_run(&f, 30);
    ck_assert_uint_eq(f.read_count, 1);
    f.to_client.type = MESSAGE_NONE;
    core_read(&f, backup, READ_STALE, 99);
    core_run(&f, 400);
    ck_assert_uint_eq(f.read_count, 1);
    ck_assert_int_eq(f.to_client.type, MESSAGE_BUSY);
    ck_assert_int_eq(f.to_client.busy.reason, BUSY_BEHIND);
}
END_TEST

/* G4: while a checkpoint is installed there is no state to be read. */
START_TEST(g4_no_reads_during_an_install)
{
    f.defaults.log_block_size = 1024;
    f.defaults.log_retain = 0;
    const uint32_t primary = core_form(&f);
    const uint32_t laggard = next(primary);
    core_isolate(&f, laggard);
    for (int i = 0; i < 2; i++) {
        core_write_some(&f, primary, 300);
        (void)core_checkpoint(&f, primary, 1);
        (void)core_checkpoint(&f, next(laggard), 1);
    }
    core_no_rules(&f);
    f.nodes[laggard].hold_install = true;
    for (int ms = 0; ms < 2000 && f.nodes[laggard].installing.op_number == 0; ms++) {
        core_run(&f, 1);
    }
    ck_assert_uint_eq(f.nodes[laggard].installing.op_number, 600);
    core_read(&f, laggard, READ_STALE, 0);
    ck_assert_uint_eq(f.read_count, 0);
    core_run(&f, 60);
    ck_assert_uint_eq(f.read_count, 0);
    core_installed(&f, laggard);
    core_run(&f, 20);
    answered_by(laggard, 1);
    ck_assert_uint_eq(f.read.read.commit_number, 600);
}
END_TEST

/* K4: from the moment in which its state turns out to differ a replica shows it to nobody: neither
 * to whom it was about to, nor to who waits for more of it, nor to who asks later. */
START_TEST(k4_diverged_state_is_not_read)
{
    const uint32_t primary = core_form(&f);
    const uint32_t backup = next(primary);
    core_write_some(&f, primary, 5);
    (void)core_checkpoint(&f, primary, 1);
    (void)core_checkpoint(&f, next(backup), 1);
    core_run(&f, 100); /* the two agree, and say so */
    const uint32_t told = f.to_client_count;
    core_read(&f, backup, READ_STALE, 6);
    f.nodes[backup].hold_flush = true;
    core_read(&f, backup, READ_STALE, 0);
    struct vr_event event = {.kind = VR_EVENT_CHECKPOINT};
    event.checkpoint = f.nodes[primary].replica->checkpoints[0];
    event.checkpoint.digest.low++;
    event.time.now_ns = f.now_ns;
    vr_step(f.nodes[backup].replica, &event, &f.outputs);
    ck_assert(f.nodes[backup].replica->diverged);
    f.nodes[backup].hold_flush = false;
    core_tick(&f, backup);
    ck_assert_uint_eq(f.read_count, 0);
    core_read(&f, backup, READ_STALE, 0);
    core_write_some(&f, primary, 2);
    core_run(&f, 400);
    core_tick(&f, backup);
    ck_assert_uint_eq(f.read_count, 0);
    ck_assert_uint_eq(f.to_client_count, told);
}
END_TEST

/* D6: who may have forgotten answers nobody. */
START_TEST(d6_recovering_replica_answers_no_reads)
{
    const uint32_t primary = core_form(&f);
    const uint32_t backup = next(primary);
    core_crash(&f, backup);
    core_isolate(&f, backup);
    core_start(&f, backup);
    core_read(&f, backup, READ_STALE, 0);
    ck_assert_uint_eq(f.read_count, 0);
    ck_assert_int_eq(f.to_client.type, MESSAGE_NOT_PRIMARY);
    ck_assert_int_eq(f.to_client.not_primary.status, STATUS_RECOVERING);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("vr reads");
    TCase *tests = tcase_create("reads");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, r2_read_waits_for_a_quorum_and_leaves_the_log_alone);
    tcase_add_test(tests, r2_ack_of_an_older_round_counts_not);
    tcase_add_test(tests, r2_ack_of_another_primarys_round_counts_not);
    tcase_add_test(tests, r2_ack_of_an_older_view_counts_not);
    tcase_add_test(tests, r2_repeated_ack_is_one);
    tcase_add_test(tests, r2_reads_share_rounds);
    tcase_add_test(tests, r2_acks_of_writes_serve);
    tcase_add_test(tests, r2_shows_what_the_view_began_with);
    tcase_add_test(tests, r2_replaced_primary_answers_nothing);
    tcase_add_test(tests, r2_reads_end_with_their_view);
    tcase_add_test(tests, r2_reads_end_with_their_view_within_a_drain);
    tcase_add_test(tests, r2_confirmed_reads_outlive_their_view);
    tcase_add_test(tests, r2_reads_are_not_answered_late);
    tcase_add_test(tests, r2_shows_what_its_client_has_seen);
    tcase_add_test(tests, r2_group_of_one_answers_at_once);
    tcase_add_test(tests, waiting_reads_are_bounded);
    tcase_add_test(tests, r1_reads_go_through_the_log);
    tcase_add_test(tests, r4_anybody_answers_stale_reads);
    tcase_add_test(tests, r4_at_least_waits_for_its_op);
    tcase_add_test(tests, g4_no_reads_during_an_install);
    tcase_add_test(tests, k4_diverged_state_is_not_read);
    tcase_add_test(tests, d6_recovering_replica_answers_no_reads);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
