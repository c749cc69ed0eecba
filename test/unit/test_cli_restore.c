/* SPDX-License-Identifier: Apache-2.0 */
/* What `unsafe-restore` makes of what the replicas say: rule D9. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/restore_choose.h"
#include "common/base/types.h"

enum { COUNT = 3 };

static struct restore_target targets[COUNT];
static struct restore_choice choice;
static uint32_t who;

static struct checksum checksum_of(uint64_t op_number, uint64_t branch)
{
    return (struct checksum){op_number, branch};
}

static void set(uint32_t i, uint64_t view, uint64_t op_number, uint64_t commit_number)
{
    targets[i] = (struct restore_target){
        .replica_id = i,
        .reachable = true,
        .answered = true,
        .report =
            {
                .replica_id = i,
                .outcome = RESTORE_TOLD,
                .status = STATUS_RECOVERING,
                .recovery_nonce = 100 + i,
                .view_number = view_make(1, view),
                .log = {.last_normal_view = view_make(1, view),
                        .op_number = op_number,
                        .head_checksum = checksum_of(op_number, view),
                        .commit_number = commit_number,
                        .commit_checksum = checksum_of(commit_number, 0)},
                .durability = DURABILITY_ASYNC,
            },
    };
}

static void remembers(uint32_t i)
{
    targets[i].report.recovery_nonce = 0;
    targets[i].report.status = STATUS_VIEW_CHANGE;
}

static enum restore_verdict judged(void)
{
    return restore_choose(targets, COUNT, &choice, &who);
}

static void setup(void)
{
    set(0, 4, 10, 8);
    set(1, 4, 12, 7);
    set(2, 4, 11, 9);
}

START_TEST(the_longest_of_the_latest_view)
{
    ck_assert_int_eq((int)judged(), RESTORE_POSSIBLE);
    ck_assert_uint_eq(choice.best, 1);
    ck_assert_uint_eq(choice.restore.source, 1);
    ck_assert_uint_eq(choice.restore.log.op_number, 12);
    ck_assert(checksum_equal(choice.restore.log.head_checksum, checksum_of(12, 4)));
    ck_assert_uint_eq(choice.restore.log.commit_number, 9); /* the largest of all */
    ck_assert(checksum_equal(choice.restore.log.commit_checksum, checksum_of(9, 0)));
    ck_assert_uint_eq(choice.restore.view_number, view_make(1, 5));
    ck_assert_uint_eq(choice.restore.last_normal_view, view_make(1, 4));
    set(0, 5, 9, 8);
    ck_assert_int_eq((int)judged(), RESTORE_POSSIBLE);
    ck_assert_uint_eq(choice.best, 0);
    ck_assert_uint_eq(choice.restore.view_number, view_make(1, 6));
}
END_TEST

/* The state file outlives the log: a later view that has lost what is committed is not chosen. */
START_TEST(what_is_committed_goes_before_the_view)
{
    set(0, 9, 3, 0);
    ck_assert_int_eq((int)judged(), RESTORE_POSSIBLE);
    ck_assert_uint_eq(choice.best, 1);
    ck_assert_uint_eq(choice.restore.last_normal_view, view_make(1, 9));
    ck_assert_uint_eq(choice.restore.log.last_normal_view, view_make(1, 4));
    ck_assert_uint_eq(choice.restore.view_number, view_make(1, 10));
}
END_TEST

START_TEST(a_group_that_lives_is_not_restored)
{
    targets[2].report.acting_primary = true;
    ck_assert_int_eq((int)judged(), RESTORE_HAS_PRIMARY);
    ck_assert_uint_eq(who, 4);
    targets[2].report.acting_primary = false;
    remembers(0);
    ck_assert_int_eq((int)judged(), RESTORE_POSSIBLE);
    ck_assert_uint_eq(choice.remember, 1);
    remembers(1);
    ck_assert_int_eq((int)judged(), RESTORE_MAJORITY);
    targets[2].answered = false; /* whatever the third is */
    ck_assert_int_eq((int)judged(), RESTORE_MAJORITY);
}
END_TEST

START_TEST(who_is_silent_has_to_be_named_and_only_who_is)
{
    targets[1].answered = false;
    ck_assert_int_eq((int)judged(), RESTORE_SILENT);
    ck_assert_uint_eq(who, 2);
    targets[1].without = true;
    ck_assert_int_eq((int)judged(), RESTORE_POSSIBLE);
    ck_assert_uint_eq(choice.best, 2); /* what the silent one held does not count */
    targets[0].without = true;
    ck_assert_int_eq((int)judged(), RESTORE_NOT_DEAD);
    ck_assert_uint_eq(who, 1);
    targets[0].answered = false;
    ck_assert_int_eq((int)judged(), RESTORE_TOO_FEW);
}
END_TEST

START_TEST(nothing_to_restore)
{
    targets[0].answered = targets[1].answered = false;
    targets[0].without = targets[1].without = true;
    remembers(2);
    ck_assert_int_eq((int)judged(), RESTORE_TOO_FEW);
    for (uint32_t i = 0; i < COUNT; i++) {
        set(i, 4, 0, 0);
        targets[i].report.durability = DURABILITY_MEMORY;
    }
    ck_assert_int_eq((int)judged(), RESTORE_NOTHING_LEFT);
    set(1, 4, 5, 5); /* one whose mode is another has some */
    ck_assert_int_eq((int)judged(), RESTORE_POSSIBLE);
}
END_TEST

START_TEST(different_committed_entries_are_no_choice)
{
    set(0, 4, 10, 9);
    targets[0].report.log.commit_checksum = checksum_of(9, 77);
    ck_assert_int_eq((int)judged(), RESTORE_CONTRADICTION);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cli_restore");
    TCase *tests = tcase_create("choose");
    tcase_add_checked_fixture(tests, setup, NULL);
    tcase_add_test(tests, the_longest_of_the_latest_view);
    tcase_add_test(tests, what_is_committed_goes_before_the_view);
    tcase_add_test(tests, a_group_that_lives_is_not_restored);
    tcase_add_test(tests, who_is_silent_has_to_be_named_and_only_who_is);
    tcase_add_test(tests, nothing_to_restore);
    tcase_add_test(tests, different_committed_entries_are_no_choice);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
