/* SPDX-License-Identifier: Apache-2.0 */
/* Each checker of the simulator is fed exactly its fault and must reject it; and, beside it, the
 * nearest state that is right, which it must let pass. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "test/support/checkers.h"

enum { LOG_MAX = 16 };

static struct sim_history history;
static struct sim_views views;
static struct sim_executions executions;
static struct sim_digests digests;
static struct sim_report report;

/* Logs for the tests: `ours` and one that differs from op 5 on. */
static struct checksum ours[LOG_MAX];
static struct checksum theirs[LOG_MAX];

static void setup(void)
{
    for (uint32_t i = 0; i < LOG_MAX; i++) {
        ours[i] = (struct checksum){i, 1};
        theirs[i] = (struct checksum){i, i < 5 ? 1 : 2};
    }
    sim_history_reset(&history, ours[0]);
    sim_views_reset(&views);
    sim_executions_reset(&executions);
    sim_digests_reset(&digests);
    report.text[0] = '\0';
}

static void teardown(void)
{
    sim_history_free(&history);
    sim_views_free(&views);
    sim_executions_free(&executions);
    sim_digests_free(&digests);
}

static uint64_t view(uint64_t number)
{
    return view_make(EPOCH_FIRST, number);
}

/* A replica that is normal in a view, with this log. */
static struct sim_observed normal(uint32_t replica, uint64_t view_number,
                                  const struct checksum *chain, uint64_t op, uint64_t commit)
{
    return (struct sim_observed){
        .replica = replica,
        .incarnation = 1,
        .status = STATUS_NORMAL,
        .view_number = view(view_number),
        .last_normal_view = view(view_number),
        .op_number = op,
        .commit_number = commit,
        .head_checksum = chain[op],
        .commit_checksum = chain[commit],
        .chain = chain,
    };
}

static struct sim_observed primary(uint32_t replica, uint64_t view_number,
                                   const struct checksum *chain, uint64_t op, uint64_t commit)
{
    struct sim_observed observed = normal(replica, view_number, chain, op, commit);
    observed.acting_primary = true;
    return observed;
}

/* A rejection names its invariant. */
static void rejected(bool ok, const char *invariant)
{
    ck_assert(!ok);
    ck_assert_msg(strncmp(report.text, invariant, strlen(invariant)) == 0, "%s", report.text);
}

/* ---- I1 ---- */

START_TEST(i1_two_histories)
{
    const struct sim_observed a = normal(0, 1, ours, 8, 6);
    const struct sim_observed b = normal(1, 1, theirs, 8, 4);
    const struct sim_observed c = normal(1, 1, theirs, 8, 5);
    ck_assert(sim_check_agreement(&history, &a, 0, &report));
    ck_assert_uint_eq(history.committed, 6);
    ck_assert(sim_check_agreement(&history, &b, 0, &report));
    rejected(sim_check_agreement(&history, &c, 4, &report), "I1");
}
END_TEST

START_TEST(i1_committed_entry_was_replaced)
{
    struct sim_observed a = normal(0, 1, ours, 8, 6);
    ck_assert(sim_check_agreement(&history, &a, 0, &report));
    a = normal(0, 1, theirs, 8, 6); /* nothing new is committed, but what was is gone */
    rejected(sim_check_agreement(&history, &a, 6, &report), "I1");
}
END_TEST

/* ---- I2 ---- */

START_TEST(i2_view_begins_without_what_was_committed)
{
    const struct sim_observed a = normal(0, 1, ours, 8, 6);
    ck_assert(sim_check_agreement(&history, &a, 0, &report));
    const struct sim_observed whole = primary(1, 2, ours, 6, 0);
    const struct sim_observed shorter = primary(1, 2, ours, 5, 0);
    const struct sim_observed other = primary(1, 2, theirs, 8, 0);
    ck_assert(sim_check_view_start(&history, &whole, &report));
    rejected(sim_check_view_start(&history, &shorter, &report), "I2");
    rejected(sim_check_view_start(&history, &other, &report), "I2");
}
END_TEST

START_TEST(i2_commit_behind_the_back_of_a_later_view)
{
    bool started;
    const struct sim_observed old = normal(0, 1, ours, 8, 4);
    const struct sim_observed later = primary(1, 2, ours, 6, 4);
    ck_assert(sim_check_agreement(&history, &old, 0, &report));
    ck_assert(sim_check_acting_primary(&views, &history, &later, 1, &started, &report));
    struct sim_observed committing = normal(0, 1, ours, 8, 6);
    ck_assert(sim_check_agreement(&history, &committing, 4, &report));
    ck_assert(sim_check_late_commit(&views, &history, 6, view(1), &report));
    committing = normal(0, 1, ours, 8, 7);
    ck_assert(sim_check_agreement(&history, &committing, 6, &report));
    rejected(sim_check_late_commit(&views, &history, 7, view(1), &report), "I2");
    ck_assert(sim_check_late_commit(&views, &history, 7, view(2), &report));
}
END_TEST

START_TEST(i2_commit_that_a_later_view_has_otherwise)
{
    bool started;
    const struct sim_observed later = primary(1, 2, theirs, 6, 0);
    ck_assert(sim_check_acting_primary(&views, &history, &later, 1, &started, &report));
    const struct sim_observed old = normal(0, 1, ours, 8, 5);
    ck_assert(sim_check_agreement(&history, &old, 0, &report));
    ck_assert(sim_check_late_commit(&views, &history, 4, view(1), &report));
    rejected(sim_check_late_commit(&views, &history, 5, view(1), &report), "I2");
}
END_TEST

START_TEST(i2_client_was_told_too_early)
{
    const struct sim_observed a = normal(0, 1, ours, 8, 6);
    ck_assert(sim_check_agreement(&history, &a, 0, &report));
    ck_assert(sim_check_acknowledged(&history, 6, &report));
    ck_assert_uint_eq(history.acknowledged, 6);
    rejected(sim_check_acknowledged(&history, 7, &report), "I2");
}
END_TEST

/* ---- I3, C5 ---- */

static const struct sim_request_key request = {{5, 6}, 3, 1};

START_TEST(i3_executed_twice)
{
    ck_assert(sim_check_executed_once(&executions, &request, 10, &report));
    ck_assert(sim_check_executed_once(&executions, &request, 10, &report)); /* another replica */
    rejected(sim_check_executed_once(&executions, &request, 11, &report), "I3");
}
END_TEST

START_TEST(i3_many_requests_are_told_apart)
{
    for (uint64_t i = 1; i < 20000; i++) {
        const struct sim_request_key key = {{7, 8}, 1 + i % 7, i};
        ck_assert(sim_check_executed_once(&executions, &key, i, &report));
    }
    const struct sim_request_key again = {{7, 8}, 1 + 500 % 7, 500};
    rejected(sim_check_executed_once(&executions, &again, 20001, &report), "I3");
}
END_TEST

START_TEST(c5_executed_though_reported_as_failed)
{
    ck_assert(sim_check_executed_once(&executions, &request, 10, &report));
    rejected(sim_check_never_executed(&executions, &request, &report), "C5");
    const struct sim_request_key later = {{5, 6}, 3, 2};
    ck_assert(sim_check_never_executed(&executions, &later, &report));
    rejected(sim_check_executed_once(&executions, &later, 11, &report), "C5");
}
END_TEST

/* ---- I4 ---- */

START_TEST(i4_wrong_answer)
{
    const struct sim_answer answer = {.op_number = 5, .acknowledged_before = 4, .result_hash = 77};
    ck_assert(sim_check_answer(&answer, 77, &report));
    rejected(sim_check_answer(&answer, 78, &report), "I4");
}
END_TEST

START_TEST(i4_answer_from_the_past)
{
    const struct sim_answer answer = {.op_number = 5, .acknowledged_before = 5, .result_hash = 77};
    rejected(sim_check_answer(&answer, 77, &report), "I4");
}
END_TEST

/* ---- I5 ---- */

START_TEST(i5_two_primaries_of_a_view)
{
    bool started;
    const struct sim_observed a = primary(1, 1, ours, 4, 0);
    ck_assert(sim_check_acting_primary(&views, &history, &a, 1, &started, &report));
    ck_assert(started);
    ck_assert(sim_check_acting_primary(&views, &history, &a, 1, &started, &report));
    ck_assert(!started);
    struct sim_observed again = a;
    again.incarnation = 2; /* P1: restarted */
    rejected(sim_check_acting_primary(&views, &history, &again, 1, &started, &report), "I5");
}
END_TEST

START_TEST(i5_not_this_views_primary)
{
    bool started;
    const struct sim_observed a = primary(2, 1, ours, 4, 0);
    rejected(sim_check_acting_primary(&views, &history, &a, 1, &started, &report), "I5");
}
END_TEST

START_TEST(i5_primary_that_is_not_normal)
{
    bool started;
    struct sim_observed a = primary(1, 1, ours, 4, 0);
    a.status = STATUS_VIEW_CHANGE;
    rejected(sim_check_acting_primary(&views, &history, &a, 1, &started, &report), "I5");
    a.acting_primary = false;
    ck_assert(sim_check_acting_primary(&views, &history, &a, 1, &started, &report));
}
END_TEST

/* ---- I6 ---- */

START_TEST(i6_something_goes_backwards)
{
    const struct sim_observed before = normal(0, 3, ours, 8, 6);
    struct sim_observed after = before;
    ck_assert(sim_check_progress(&before, &after, &report));
    after.view_number = view(2);
    rejected(sim_check_progress(&before, &after, &report), "I6");
    after = before;
    after.last_normal_view = view(2);
    rejected(sim_check_progress(&before, &after, &report), "I6");
    after = before;
    after.commit_number = 5;
    rejected(sim_check_progress(&before, &after, &report), "I6");
    struct sim_observed executed = before;
    executed.executed_op = 4;
    after = before;
    after.executed_op = 3;
    rejected(sim_check_progress(&executed, &after, &report), "I6");
}
END_TEST

START_TEST(i6_states_that_must_not_be)
{
    const struct sim_observed right = normal(0, 3, ours, 8, 6);
    ck_assert(sim_check_state(&right, &report));
    struct sim_observed wrong = right;
    wrong.last_normal_view = view(4);
    rejected(sim_check_state(&wrong, &report), "I6");
    wrong = right;
    wrong.status = STATUS_VIEW_CHANGE; /* for a view that it was normal in */
    rejected(sim_check_state(&wrong, &report), "I6");
    wrong = right;
    wrong.last_normal_view = view(2); /* normal in a view that is not its last normal one */
    rejected(sim_check_state(&wrong, &report), "I6");
    wrong.status = STATUS_VIEW_CHANGE;
    ck_assert(sim_check_state(&wrong, &report));
    wrong = right;
    wrong.commit_number = 9;
    rejected(sim_check_state(&wrong, &report), "I6");
    wrong = right;
    wrong.executed_op = 7;
    rejected(sim_check_state(&wrong, &report), "I6");
}
END_TEST

START_TEST(i6_state_file_goes_backwards)
{
    const struct sim_durable before = {view(3), view(2)};
    const struct sim_durable older_view = {view(2), view(2)};
    const struct sim_durable older_normal = {view(3), view(1)};
    ck_assert(sim_check_durable_progress(&before, &before, &report));
    rejected(sim_check_durable_progress(&before, &older_view, &report), "I6");
    rejected(sim_check_durable_progress(&before, &older_normal, &report), "I6");
}
END_TEST

/* ---- S1, N4, V4 ---- */

START_TEST(s1_message_reveals_what_is_not_durable)
{
    const struct sim_durable durable = {view(3), view(2)};
    const struct message dvc = {
        .type = MESSAGE_DO_VIEW_CHANGE,
        .do_view_change = {.view_number = view(3),
                           .log = {.last_normal_view = view(2), .op_number = 7}},
    };
    ck_assert(sim_check_revealed(&dvc, &durable, 7, 0, &report));
    struct message wrong = dvc;
    wrong.do_view_change.view_number = view(4);
    rejected(sim_check_revealed(&wrong, &durable, 7, 0, &report), "S1");
    wrong = dvc;
    wrong.do_view_change.log.last_normal_view = view(3);
    rejected(sim_check_revealed(&wrong, &durable, 7, 0, &report), "S1");
    rejected(sim_check_revealed(&dvc, &durable, 6, 0, &report), "N4");
}
END_TEST

/* Each type that says something of its sender, once right and once one too much. */
START_TEST(s1_every_type_is_judged)
{
    const struct sim_durable durable = {view(3), view(3)};
    struct message messages[] = {
        {.type = MESSAGE_PREPARE, .prepare = {.view_number = view(3)}},
        {.type = MESSAGE_COMMIT, .commit = {.view_number = view(3)}},
        {.type = MESSAGE_PREPARE_OK, .prepare_ok = {.view_number = view(3)}},
        {.type = MESSAGE_GOODBYE, .goodbye = {.view_number = view(3)}},
        {.type = MESSAGE_START_VIEW, .start_view = {.view_number = view(3)}},
        {.type = MESSAGE_RECOVERY, .recovery = {.view_number = view(3)}},
        {.type = MESSAGE_RECOVERY_RESPONSE, .recovery_response = {.view_number = view(3)}},
        {.type = MESSAGE_START_VIEW_CHANGE, .start_view_change = {.view_number = view(4)}},
        {.type = MESSAGE_NOT_PRIMARY, .not_primary = {.last_normal_view = view(3)}},
        {.type = MESSAGE_BUSY, .busy = {.view_number = view(3)}},
        {.type = MESSAGE_REPLY, .reply = {.view_number = view(3)}},
    };
    for (size_t i = 0; i < sizeof messages / sizeof messages[0]; i++) {
        const struct sim_durable older = {view(2), view(2)};
        ck_assert(sim_check_revealed(&messages[i], &durable, 0, 0, &report));
        rejected(sim_check_revealed(&messages[i], &older, 0, 0, &report), "S1");
    }
}
END_TEST

/* V2: a vote may follow others' votes, and no further; nothing else may. */
START_TEST(s1_a_vote_follows_votes)
{
    const struct sim_durable durable = {view(3), view(3)};
    const struct message vote = {
        .type = MESSAGE_START_VIEW_CHANGE,
        .start_view_change = {.view_number = view(9)},
    };
    const struct message dvc = {
        .type = MESSAGE_DO_VIEW_CHANGE,
        .do_view_change = {.view_number = view(9), .log = {.last_normal_view = view(3)}},
    };
    ck_assert(sim_check_revealed(&vote, &durable, 0, view(9), &report));
    rejected(sim_check_revealed(&vote, &durable, 0, view(8), &report), "S1");
    rejected(sim_check_revealed(&dvc, &durable, 0, view(9), &report), "S1");
}
END_TEST

/* ---- I7 ---- */

START_TEST(i7_two_logs_in_one_view)
{
    const struct sim_observed a = normal(0, 1, ours, 8, 0);
    const struct sim_observed b = normal(1, 1, theirs, 4, 0);
    struct sim_observed c = normal(1, 1, theirs, 6, 0);
    ck_assert(sim_check_prefix(&a, &b, &report));
    rejected(sim_check_prefix(&a, &c, &report), "I7");
    rejected(sim_check_prefix(&c, &a, &report), "I7");
    c.view_number = view(2);
    ck_assert(sim_check_prefix(&a, &c, &report)); /* another view's log may differ */
}
END_TEST

START_TEST(i7_log_that_the_view_began_with_is_missing)
{
    bool started;
    const struct sim_observed leader = primary(1, 1, ours, 6, 0);
    ck_assert(sim_check_acting_primary(&views, &history, &leader, 1, &started, &report));
    const struct sim_observed whole = normal(0, 1, ours, 6, 0);
    const struct sim_observed shorter = normal(0, 1, ours, 5, 0);
    const struct sim_observed other = normal(0, 1, theirs, 6, 0);
    const struct sim_observed nobody = normal(0, 2, ours, 6, 0);
    ck_assert(sim_check_holds_view_start(&views, &whole, &report));
    rejected(sim_check_holds_view_start(&views, &shorter, &report), "I7");
    rejected(sim_check_holds_view_start(&views, &other, &report), "I7");
    rejected(sim_check_holds_view_start(&views, &nobody, &report), "I7");
}
END_TEST

/* ---- I8 ---- */

START_TEST(i8_two_states_at_one_op)
{
    ck_assert(sim_check_digest(&digests, 0, 5000, (struct checksum){1, 1}, &report));
    ck_assert(sim_check_digest(&digests, 1, 5000, (struct checksum){1, 1}, &report));
    ck_assert(sim_check_digest(&digests, 1, 5001, (struct checksum){2, 1}, &report));
    rejected(sim_check_digest(&digests, 2, 5000, (struct checksum){1, 2}, &report), "I8");
}
END_TEST

/* ---- I9 ---- */

static void core_of_three(struct sim_observed *core)
{
    for (uint32_t i = 0; i < 3; i++) {
        core[i] = normal(i, 1, ours, 6, 6);
        core[i].executed_op = 6;
    }
    core[1].acting_primary = true;
}

START_TEST(i9_not_converged)
{
    struct sim_observed core[3];
    core_of_three(core);
    ck_assert(sim_check_converged(core, 3, &report));
    core[2].status = STATUS_VIEW_CHANGE;
    rejected(sim_check_converged(core, 3, &report), "I9");
    core_of_three(core);
    core[2].view_number = view(2);
    rejected(sim_check_converged(core, 3, &report), "I9");
    core_of_three(core);
    core[2].commit_number = 5;
    rejected(sim_check_converged(core, 3, &report), "I9");
    core_of_three(core);
    core[0].executed_op = 5;
    rejected(sim_check_converged(core, 3, &report), "I9");
    core_of_three(core);
    core[1].acting_primary = false;
    rejected(sim_check_converged(core, 3, &report), "I9");
    core_of_three(core);
    core[0].acting_primary = true;
    rejected(sim_check_converged(core, 3, &report), "I9");
}
END_TEST

/* ---- I10 ---- */

START_TEST(i10_over_a_bound)
{
    const struct sim_bound bounds[] = {{"queue", 4, 4}, {"log", 9, 8}};
    ck_assert(sim_check_bounds(0, bounds, 1, &report));
    rejected(sim_check_bounds(0, bounds, 2, &report), "I10");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sim checkers");
    TCase *tests = tcase_create("checkers");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, i1_two_histories);
    tcase_add_test(tests, i1_committed_entry_was_replaced);
    tcase_add_test(tests, i2_view_begins_without_what_was_committed);
    tcase_add_test(tests, i2_commit_behind_the_back_of_a_later_view);
    tcase_add_test(tests, i2_commit_that_a_later_view_has_otherwise);
    tcase_add_test(tests, i2_client_was_told_too_early);
    tcase_add_test(tests, i3_executed_twice);
    tcase_add_test(tests, i3_many_requests_are_told_apart);
    tcase_add_test(tests, c5_executed_though_reported_as_failed);
    tcase_add_test(tests, i4_wrong_answer);
    tcase_add_test(tests, i4_answer_from_the_past);
    tcase_add_test(tests, i5_two_primaries_of_a_view);
    tcase_add_test(tests, i5_not_this_views_primary);
    tcase_add_test(tests, i5_primary_that_is_not_normal);
    tcase_add_test(tests, i6_something_goes_backwards);
    tcase_add_test(tests, i6_states_that_must_not_be);
    tcase_add_test(tests, i6_state_file_goes_backwards);
    tcase_add_test(tests, s1_message_reveals_what_is_not_durable);
    tcase_add_test(tests, s1_a_vote_follows_votes);
    tcase_add_test(tests, s1_every_type_is_judged);
    tcase_add_test(tests, i7_two_logs_in_one_view);
    tcase_add_test(tests, i7_log_that_the_view_began_with_is_missing);
    tcase_add_test(tests, i8_two_states_at_one_op);
    tcase_add_test(tests, i9_not_converged);
    tcase_add_test(tests, i10_over_a_bound);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
