/* SPDX-License-Identifier: Apache-2.0 */
/* Starting from a log on disk, by scripted schedules: rule D5, P1, PITFALLS RC-9 and PS-2. */
#include <check.h>
#include <stdlib.h>

#include "server/vr/replica.h"
#include "test/support/core_fixture.h"

static struct core_fixture f;

static void setup(void)
{
    core_init(&f, 3);
    f.defaults.durability = DURABILITY_SYNC;
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

static uint32_t member_of(uint64_t view)
{
    return (uint32_t)(view % f.count);
}

/* Entries that all hold, and know to be committed. */
static uint32_t form_with(uint32_t count)
{
    const uint32_t primary = core_form(&f);
    for (uint32_t i = 0; i < count; i++) {
        core_request(&f, primary, "x");
        core_settle(&f);
    }
    core_run(&f, 50);
    return primary;
}

/* D5: it is normal at once, asks nobody, and its acks count. */
START_TEST(a_backup_goes_on_where_it_was)
{
    const uint32_t primary = form_with(10);
    const uint64_t v = core_view(&f, primary);
    const uint32_t backup = member_of(v + 1);
    core_crash(&f, member_of(v + 2));
    core_crash(&f, backup);
    core_resume(&f, backup, 10);
    ck_assert_int_eq((int)core_see(&f, backup)->status, STATUS_NORMAL);
    ck_assert_uint_eq(op_of(backup), 10);
    ck_assert_uint_eq(core_queued(&f, MESSAGE_RECOVERY, CORE_ANY, CORE_ANY), 0);
    core_request(&f, primary, "y");
    core_settle(&f);
    ck_assert_uint_eq(commit_of(primary), 11);
    ck_assert_uint_eq(core_view(&f, primary), v);
}
END_TEST

/* P1, RC-9: never again in the view that it was primary of. */
START_TEST(a_restarted_primary_leads_no_more)
{
    const uint32_t primary = form_with(3);
    const uint64_t v = core_view(&f, primary);
    core_crash(&f, primary);
    core_resume(&f, primary, 3);
    ck_assert(!core_see(&f, primary)->acting_primary);
    core_request(&f, primary, "y");
    ck_assert_uint_eq(op_of(primary), 3);
    ck_assert(core_run_until_normal(&f, 3000));
    ck_assert_uint_gt(core_view(&f, primary), v);
    ck_assert_uint_eq(op_of(primary), 3);
}
END_TEST

/* PITFALLS PS-9: nothing is executed before it is known to be committed; all of it comes back. */
START_TEST(a_whole_group_comes_back)
{
    (void)form_with(20);
    for (uint32_t i = 0; i < 3; i++) {
        core_crash(&f, i);
    }
    for (uint32_t i = 0; i < 3; i++) {
        core_resume(&f, i, 20);
        ck_assert_uint_eq(core_see(&f, i)->executed_op, 0);
    }
    ck_assert(core_run_until_normal(&f, 3000));
    for (uint32_t i = 0; i < 3; i++) {
        ck_assert_uint_eq(op_of(i), 20);
        ck_assert_uint_eq(commit_of(i), 20);
    }
}
END_TEST

START_TEST(a_group_of_one_comes_back)
{
    core_free(&f);
    core_init(&f, 1);
    f.defaults.durability = DURABILITY_SYNC;
    (void)form_with(5);
    core_crash(&f, 0);
    core_resume(&f, 0, 5);
    ck_assert(core_run_until_normal(&f, 3000));
    ck_assert_uint_eq(core_view(&f, 0), 1);
    ck_assert_uint_eq(commit_of(0), 5);
    /* What was being written when it ended was never acknowledged: nobody else can have it. */
    core_crash(&f, 0);
    core_resume(&f, 0, 4);
    ck_assert(core_run_until_normal(&f, 3000));
    ck_assert_uint_eq(commit_of(0), 4);
}
END_TEST

/* PS-2, M-corrupt-as-torn: X is held by A and by B, whose disk has lost it; C never had it. B and C
 * alone must not begin a view without X. */
START_TEST(a_lost_entry_is_claimed_and_waited_for)
{
    const uint32_t a = form_with(5);
    const uint64_t v = core_view(&f, a);
    const uint32_t b = member_of(v + 1);
    const uint32_t c = member_of(v + 2);
    core_isolate(&f, c);
    core_request(&f, a, "X");
    core_settle(&f);
    ck_assert_uint_eq(commit_of(a), 6);
    core_crash(&f, a);
    core_crash(&f, b);
    core_no_rules(&f);
    core_discard(&f, CORE_ANY, CORE_ANY, CORE_ANY);
    core_resume(&f, b, 5);
    core_run(&f, 3000);
    ck_assert_uint_eq(core_primary(&f), REPLICAS_MAX);
    ck_assert_uint_eq(core_see(&f, b)->lost_from, 6);
    core_resume(&f, a, 6);
    ck_assert(core_run_until_normal(&f, 10000));
    for (uint32_t i = 0; i < 3; i++) {
        ck_assert(core_holds(&f, i, 6, "X"));
        ck_assert_uint_eq(commit_of(i), 6);
    }
    ck_assert_uint_eq(core_see(&f, b)->lost_to, 0);
}
END_TEST

/* The same, and all that ever was of X is what was being written when power failed: as many surely
 * never acked it as make a quorum impossible. */
START_TEST(an_entry_that_nobody_can_have_acked_is_left_out)
{
    const uint32_t a = form_with(5);
    const uint64_t v = core_view(&f, a);
    const uint32_t b = member_of(v + 1);
    core_isolate(&f, b);
    core_isolate(&f, member_of(v + 2));
    core_request(&f, a, "X"); /* only A wrote it, and its disk has lost it */
    core_settle(&f);
    for (uint32_t i = 0; i < 3; i++) {
        core_crash(&f, i);
    }
    core_no_rules(&f);
    core_discard(&f, CORE_ANY, CORE_ANY, CORE_ANY);
    for (uint32_t i = 0; i < 3; i++) {
        core_resume(&f, i, 5);
    }
    ck_assert(core_run_until_normal(&f, 3000));
    for (uint32_t i = 0; i < 3; i++) {
        ck_assert_uint_eq(op_of(i), 5);
        ck_assert_uint_eq(core_see(&f, i)->lost_to, 0);
    }
}
END_TEST

/* All three were writing it: disks of at most one rot, so two of them were torn. */
START_TEST(an_entry_torn_everywhere_is_left_out_when_all_have_spoken)
{
    (void)form_with(6);
    for (uint32_t i = 0; i < 3; i++) {
        core_crash(&f, i);
    }
    core_discard(&f, CORE_ANY, CORE_ANY, CORE_ANY);
    core_resume(&f, 0, 5);
    core_resume(&f, 1, 5);
    core_run(&f, 3000);
    ck_assert_uint_eq(core_primary(&f), REPLICAS_MAX); /* one of the two may have been rot */
    core_resume(&f, 2, 5);
    ck_assert(core_run_until_normal(&f, 10000));
    ck_assert_uint_eq(op_of(0), 5);
}
END_TEST

/* X was committed in a view that all were in. A went on to the next one, which nobody else has
 * seen, and its disk has lost X: that the others' logs belong to an earlier view proves nothing. */
START_TEST(an_entry_of_an_earlier_view_is_not_left_out)
{
    const uint32_t p = form_with(6);
    const uint64_t v = core_view(&f, p);
    const uint32_t a = member_of(v + 1);
    core_drop(&f, MESSAGE_START_VIEW, (int)a, CORE_ANY);
    core_drop(&f, MESSAGE_PREPARE, (int)a, CORE_ANY);
    core_drop(&f, MESSAGE_COMMIT, (int)a, CORE_ANY);
    core_crash(&f, p);
    core_resume(&f, p, 6);
    ck_assert_uint_eq(core_run_until_primary_above(&f, v == 0 ? 0 : v, 3000), a);
    core_crash(&f, a);
    core_no_rules(&f);
    core_discard(&f, CORE_ANY, CORE_ANY, CORE_ANY);
    core_resume(&f, a, 5);
    ck_assert_uint_eq(core_last_normal_view(&f, a), v + 1);
    ck_assert(core_run_until_normal(&f, 20000));
    for (uint32_t i = 0; i < 3; i++) {
        ck_assert_uint_eq(op_of(i), 6);
    }
}
END_TEST

/* Its own disk says that X is committed. Whoever else has spoken, and however many lost X: it is
 * waited for, and said. */
START_TEST(what_is_known_to_be_committed_is_never_left_out)
{
    const uint32_t primary = form_with(6);
    const uint32_t knows = member_of(core_view(&f, primary) + 1);
    for (uint32_t i = 0; i < 3; i++) {
        core_crash(&f, i);
    }
    core_discard(&f, CORE_ANY, CORE_ANY, CORE_ANY);
    f.nodes[knows].commit_known = 6;
    for (uint32_t i = 0; i < 3; i++) {
        core_resume(&f, i, 5);
    }
    core_hold(&f, MESSAGE_DO_VIEW_CHANGE, (int)knows, CORE_ANY);
    core_run(&f, 3000);
    core_no_rules(&f);
    const struct message *m = core_oldest(&f, MESSAGE_DO_VIEW_CHANGE, (int)knows, CORE_ANY);
    ck_assert_ptr_nonnull(m);
    ck_assert_uint_eq(m->do_view_change.log.commit_number, 6);
    ck_assert_uint_eq(m->do_view_change.faulty_from, 6);
    core_run(&f, 20000);
    ck_assert_uint_eq(core_primary(&f), REPLICAS_MAX);
    ck_assert_uint_eq(core_see(&f, knows)->lost_from, 6);
}
END_TEST

/* Nor is a view joined that begins without it: there cannot be one. */
START_TEST(a_view_without_what_is_committed_is_not_joined)
{
    const uint32_t primary = form_with(6);
    const uint64_t v = core_view(&f, primary);
    const uint32_t knows = member_of(v + 2);
    const uint32_t other = member_of(v + 1);
    const struct checksum at_5 = vr_log_checksum(&f.nodes[other].replica->log, 5);
    core_crash(&f, knows);
    core_isolate(&f, knows);
    f.nodes[knows].commit_known = 6;
    core_resume(&f, knows, 4);
    const struct message m = {
        .type = MESSAGE_START_VIEW,
        .start_view =
            {
                .view_number = view_make(EPOCH_FIRST, v + 1),
                .log =
                    {
                        .last_normal_view = view_make(EPOCH_FIRST, v + 1),
                        .op_number = 5,
                        .head_checksum = at_5,
                        .commit_number = 5,
                        .commit_checksum = at_5,
                    },
            },
    };
    core_inject(&f, knows, other, m);
    ck_assert_uint_eq(core_see(&f, knows)->sync_target, 0);
    ck_assert_uint_eq(core_see(&f, knows)->dropped[DROP_OLD_VIEW], 1);
}
END_TEST

/* A group of one has nobody to ask: it says what is missing, and serves nothing. */
START_TEST(a_group_of_one_waits_for_what_is_committed)
{
    core_free(&f);
    core_init(&f, 1);
    f.defaults.durability = DURABILITY_SYNC;
    (void)form_with(5);
    core_crash(&f, 0);
    f.nodes[0].commit_known = 5;
    core_resume(&f, 0, 4);
    core_run(&f, 20000);
    ck_assert_uint_eq(core_primary(&f), REPLICAS_MAX);
    ck_assert_uint_eq(core_see(&f, 0)->lost_from, 5);
    ck_assert_uint_eq(core_see(&f, 0)->lost_to, 5);
}
END_TEST

/* The log that was chosen is all that is held, and the disk's goes on behind it: the disk has to
 * be told before the state file says that this log is the view's (G6). */
START_TEST(a_lost_end_that_is_left_out_is_cut_on_disk)
{
    (void)form_with(6);
    for (uint32_t i = 0; i < 3; i++) {
        core_crash(&f, i);
    }
    core_discard(&f, CORE_ANY, CORE_ANY, CORE_ANY);
    for (uint32_t i = 0; i < 3; i++) {
        core_resume(&f, i, 5);
        f.nodes[i].hold_log = true;
    }
    core_run(&f, 3000);
    uint32_t waiting = 0;
    for (uint32_t i = 0; i < 3; i++) {
        ck_assert_int_ne((int)core_see(&f, i)->status, STATUS_NORMAL);
        waiting += f.nodes[i].log_waits ? 1 : 0;
    }
    ck_assert_uint_ge(waiting, 1);
    for (uint32_t i = 0; i < 3; i++) {
        f.nodes[i].hold_log = false;
        if (f.nodes[i].log_waits) {
            core_log_done(&f, i);
        }
    }
    ck_assert(core_run_until_normal(&f, 10000));
    for (uint32_t i = 0; i < 3; i++) {
        ck_assert_uint_eq(op_of(i), 5);
        ck_assert_uint_ge(f.nodes[i].log_generation, 2);
    }
}
END_TEST

/* What replaces the damaged end of a log reaches as far as that did: another crash denies nothing.
 */
START_TEST(a_damaged_log_is_not_written_short)
{
    const uint32_t primary = form_with(8);
    const uint32_t backup = member_of(core_view(&f, primary) + 1);
    core_crash(&f, backup);
    core_drop(&f, MESSAGE_CATCHUP_RESPONSE, CORE_ANY, (int)backup);
    core_drop(&f, MESSAGE_PREPARE, CORE_ANY, (int)backup);
    core_resume(&f, backup, 5);
    core_run(&f, 100);
    ck_assert_uint_eq(core_see(&f, backup)->lost_to, 8);
    ck_assert_uint_eq(f.nodes[backup].replica->written_op, 5);
    core_no_rules(&f);
    core_run(&f, 500);
    ck_assert_uint_eq(op_of(backup), 8);
    ck_assert_uint_eq(core_see(&f, backup)->lost_to, 0);
    ck_assert_uint_eq(f.nodes[backup].replica->written_op, 8);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("vr_disk");
    TCase *tests = tcase_create("vr_disk");
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, a_backup_goes_on_where_it_was);
    tcase_add_test(tests, a_restarted_primary_leads_no_more);
    tcase_add_test(tests, a_whole_group_comes_back);
    tcase_add_test(tests, a_group_of_one_comes_back);
    tcase_add_test(tests, a_lost_entry_is_claimed_and_waited_for);
    tcase_add_test(tests, an_entry_that_nobody_can_have_acked_is_left_out);
    tcase_add_test(tests, an_entry_torn_everywhere_is_left_out_when_all_have_spoken);
    tcase_add_test(tests, an_entry_of_an_earlier_view_is_not_left_out);
    tcase_add_test(tests, what_is_known_to_be_committed_is_never_left_out);
    tcase_add_test(tests, a_view_without_what_is_committed_is_not_joined);
    tcase_add_test(tests, a_group_of_one_waits_for_what_is_committed);
    tcase_add_test(tests, a_lost_end_that_is_left_out_is_cut_on_disk);
    tcase_add_test(tests, a_damaged_log_is_not_written_short);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
