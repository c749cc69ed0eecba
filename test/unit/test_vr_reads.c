/* SPDX-License-Identifier: Apache-2.0 */
/* Reads beside the log, by scripted schedules: rules R1, R2 and R4. */
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

/* A read that was asked in an earlier view of the same primary is not confirmed by this one. */
START_TEST(r2_reads_end_with_their_view)
{
    const uint32_t first = core_form(&f);
    core_drop(&f, MESSAGE_COMMIT, CORE_ANY, CORE_ANY);
    core_read(&f, first, READ_LINEARIZABLE, 0);
    f.to_client.type = MESSAGE_NONE;
    core_inject(&f, first, next(first),
                (struct message){.type = MESSAGE_START_VIEW_CHANGE,
                                 .start_view_change = {core_see(&f, first)->view_number + 1}});
    core_run(&f, 200); /* no heartbeats: the others vote, too */
    core_no_rules(&f);
    ck_assert(core_run_until_normal(&f, 2000));
    ck_assert_uint_eq(f.read_count, 0);
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
    tcase_add_test(tests, r2_repeated_ack_is_one);
    tcase_add_test(tests, r2_reads_share_rounds);
    tcase_add_test(tests, r2_acks_of_writes_serve);
    tcase_add_test(tests, r2_shows_what_the_view_began_with);
    tcase_add_test(tests, r2_replaced_primary_answers_nothing);
    tcase_add_test(tests, r2_reads_end_with_their_view);
    tcase_add_test(tests, r2_group_of_one_answers_at_once);
    tcase_add_test(tests, waiting_reads_are_bounded);
    tcase_add_test(tests, r1_reads_go_through_the_log);
    tcase_add_test(tests, r4_anybody_answers_stale_reads);
    tcase_add_test(tests, r4_at_least_waits_for_its_op);
    tcase_add_test(tests, d6_recovering_replica_answers_no_reads);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
