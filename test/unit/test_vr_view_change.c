/* SPDX-License-Identifier: Apache-2.0 */
/* View changes of the core, by scripted schedules: rules V1 to V9, V12, and PITFALLS VC-*. */
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

/* Anew with n replicas; returns the primary. */
static uint32_t form(uint32_t count)
{
    core_free(&f);
    core_init(&f, count);
    return core_form(&f);
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

static struct message do_view_change(uint64_t view, struct log_descriptor log)
{
    return (struct message){
        .type = MESSAGE_DO_VIEW_CHANGE,
        .do_view_change = {.view_number = view_make(EPOCH_FIRST, view), .log = log},
    };
}

/* Both others vote, so that `node` enters the view (V3): a quorum of three. */
static void vote_into(uint32_t node, uint64_t view)
{
    for (uint32_t i = 0; i < f.count; i++) {
        if (i != node) {
            core_inject(&f, node, i, vote(view));
        }
    }
}

/* V5, V6: the primary dies, the next in order takes over and keeps what was committed. */
START_TEST(dead_primary_is_replaced)
{
    const uint32_t primary = core_form(&f);
    const uint64_t view = core_view(&f, primary);
    core_request(&f, primary, "x");
    core_settle(&f);
    core_crash(&f, primary);
    const uint32_t leader = core_run_until_primary_above(&f, view, 2000);
    ck_assert_uint_eq(leader, primary_of(view + 1));
    ck_assert(core_holds(&f, leader, 1, "x"));
    ck_assert_uint_eq(commit_of(leader), 1);
}
END_TEST

/* P1: a fresh group is no exception: nobody leads before V6. */
START_TEST(fresh_group_begins_with_a_view_change)
{
    core_start(&f, 0);
    core_start(&f, 1);
    ck_assert_int_eq((int)status_of(0), STATUS_VIEW_CHANGE);
    ck_assert(!core_see(&f, 0)->acting_primary);
    ck_assert_uint_eq(core_see(&f, 0)->last_normal_view, VIEW_NONE);
    ck_assert(core_run_until_normal(&f, 2000));
}
END_TEST

/* V1: a primary that stops cleanly says Goodbye, and nobody waits for a timeout. */
START_TEST(goodbye_saves_the_timeout)
{
    const uint32_t primary = core_form(&f);
    const uint64_t view = core_view(&f, primary);
    core_run(&f, 30);
    const struct message goodbye = {
        .type = MESSAGE_GOODBYE,
        .goodbye = {.view_number = core_see(&f, primary)->view_number},
    };
    core_crash(&f, primary);
    core_inject(&f, (primary + 1) % 3, primary, goodbye);
    core_inject(&f, (primary + 2) % 3, primary, goodbye);
    ck_assert_uint_ne(core_run_until_primary_above(&f, view, 20), REPLICAS_MAX);
}
END_TEST

/* PITFALLS VC-1, V3: a later view is entered as it is said, not one by one. */
START_TEST(vc_1_jumps_to_the_view_that_is_said)
{
    const uint32_t primary = core_form(&f);
    const uint64_t view = core_view(&f, primary);
    const uint32_t node = primary_of(view + 1);
    const uint32_t other = primary_of(view + 2);
    core_inject(&f, node, other, do_view_change(view + 7, core_descriptor(&f, other)));
    ck_assert_uint_eq(core_view(&f, node), view + 7);
    ck_assert_int_eq((int)status_of(node), STATUS_VIEW_CHANGE);
    /* A view in between is over: its DoViewChange counts no more. */
    core_inject(&f, node, primary, do_view_change(view + 4, core_descriptor(&f, primary)));
    ck_assert_uint_eq(core_view(&f, node), view + 7);
    ck_assert(core_run_until_normal(&f, 5000));
}
END_TEST

/* V3: votes for different views: the quorum-th largest counts. */
START_TEST(v3_quorum_th_largest_vote)
{
    const uint32_t primary = form(5);
    const uint64_t view = core_view(&f, primary);
    const uint32_t node = primary_of(view + 1);
    core_inject(&f, node, primary_of(view + 2), vote(view + 9));
    core_inject(&f, node, primary_of(view + 3), vote(view + 4));
    ck_assert_uint_eq(core_view(&f, node), view);
    core_inject(&f, node, primary_of(view + 4), vote(view + 3));
    ck_assert_uint_eq(core_view(&f, node), view + 3);
}
END_TEST

/* V3: a vote is alive for three resend intervals; two that never lived together are no quorum. */
START_TEST(v3_votes_expire)
{
    const uint32_t primary = core_form(&f);
    const uint64_t view = core_view(&f, primary);
    const uint32_t node = primary_of(view + 1);
    core_inject(&f, node, primary_of(view + 2), vote(view + 1));
    core_run(&f, 100);
    core_inject(&f, node, primary, vote(view + 1));
    ck_assert_uint_eq(core_view(&f, node), view);
}
END_TEST

/* PITFALLS VC-2, V4: DoViewChanges of different views are no quorum of any. */
START_TEST(vc_2_do_view_changes_of_two_views_do_not_add_up)
{
    const uint32_t primary = form(5);
    const uint64_t view = core_view(&f, primary);
    const uint32_t node = primary_of(view + 1);
    core_hold(&f, CORE_ANY, CORE_ANY, CORE_ANY);
    vote_into(node, view + 1);
    ck_assert_uint_eq(core_view(&f, node), view + 1);
    const uint32_t a = primary_of(view + 2);
    const uint32_t b = primary_of(view + 3);
    core_inject(&f, node, a, do_view_change(view + 1, core_descriptor(&f, a)));
    core_inject(&f, node, b, do_view_change(view, (struct log_descriptor){0}));
    core_run(&f, 30); /* its own counts by now */
    ck_assert(!core_see(&f, node)->acting_primary);
    /* One of a later view moves it there, and all that it had is void. */
    core_inject(&f, node, b, do_view_change(view + 6, core_descriptor(&f, b)));
    ck_assert_uint_eq(core_view(&f, node), view + 6);
    core_run(&f, 30);
    ck_assert(!core_see(&f, node)->acting_primary);
    core_inject(&f, node, a, do_view_change(view + 6, core_descriptor(&f, a)));
    ck_assert(core_see(&f, node)->acting_primary);
}
END_TEST

/* PITFALLS VC-3, V4: one replica counts once, however often and whatever it says. */
START_TEST(vc_3_same_replica_counts_once)
{
    const uint32_t primary = form(5);
    const uint64_t view = core_view(&f, primary);
    const uint32_t node = primary_of(view + 1);
    const uint32_t other = primary_of(view + 2);
    core_hold(&f, CORE_ANY, CORE_ANY, CORE_ANY);
    vote_into(node, view + 1);
    core_run(&f, 30);
    struct log_descriptor log = core_descriptor(&f, other);
    for (uint32_t i = 0; i < 3; i++) {
        core_inject(&f, node, other, do_view_change(view + 1, log));
        ck_assert(!core_see(&f, node)->acting_primary);
    }
}
END_TEST

/* Votes of the same replica: n = 5, three of one are none of three. */
START_TEST(vc_3_same_voter_counts_once)
{
    const uint32_t primary = form(5);
    const uint64_t view = core_view(&f, primary);
    const uint32_t node = primary_of(view + 1);
    for (uint32_t i = 0; i < 5; i++) {
        core_inject(&f, node, primary_of(view + 2), vote(view + 1));
    }
    core_inject(&f, node, primary_of(view + 3), vote(view + 1));
    ck_assert_uint_eq(core_view(&f, node), view);
}
END_TEST

/* PITFALLS VC-4 [T], V6: the log is chosen by (last_normal_view, op_number), where last_normal_view
 * is the stored field. A = primary of views v, v + 3; B of v + 1, C of v + 2.
 *
 * A appends X at op 1 in view v and nobody gets it. B starts v + 1, C does not hear; B appends Y at
 * op 1, nobody gets it. C starts v + 2 from A, adopts X; A acks it: X is committed in v + 2. Then
 * A leads v + 3 with B's DoViewChange: by the view of the last entry (v against v + 1), or by
 * length, Y would win over the acknowledged X. */
START_TEST(vc_4_figure_8)
{
    /* Any view whose primary is 0 will do as v: members are 0 = A, 1 = B, 2 = C. */
    const uint32_t first = core_form(&f);
    uint64_t v = core_view(&f, first);
    while (first != 0 && v % 3 != 0) {
        v++;
    }
    if (first != 0) {
        core_inject(&f, 0, 1, do_view_change(v, core_descriptor(&f, 1)));
        ck_assert(core_run_until_normal(&f, 2000));
        ck_assert_uint_eq(core_view(&f, 0), v);
    }
    const uint32_t A = 0;
    const uint32_t B = 1;
    const uint32_t C = 2;

    /* View v: X reaches nobody. */
    core_isolate(&f, A);
    core_request(&f, A, "X");
    ck_assert_uint_eq(op_of(A), 1);
    core_settle(&f);

    /* View v + 1: B with C's DoViewChange; its StartView and all else from it is lost. */
    core_drop(&f, MESSAGE_START_VIEW, B, C);
    core_drop(&f, MESSAGE_COMMIT, B, C);
    core_drop(&f, MESSAGE_PREPARE, B, C);
    ck_assert_uint_eq(core_run_until_primary_above(&f, v, 2000), B);
    ck_assert_uint_eq(core_view(&f, B), v + 1);
    core_request(&f, B, "Y");
    ck_assert_uint_eq(op_of(B), 1);
    core_settle(&f);
    ck_assert_uint_eq(op_of(C), 0);

    /* View v + 2: C with A; B is cut off. */
    core_no_rules(&f);
    core_discard(&f, CORE_ANY, CORE_ANY, CORE_ANY);
    core_isolate(&f, B);
    ck_assert_uint_eq(core_run_until_primary_above(&f, v + 1, 5000), C);
    ck_assert_uint_eq(core_view(&f, C), v + 2);
    core_run(&f, 200);
    ck_assert(core_holds(&f, C, 1, "X"));
    ck_assert_uint_eq(commit_of(C), 1); /* acked by A: told to a client */

    /* View v + 3: A with B; C is gone. */
    core_no_rules(&f);
    core_discard(&f, CORE_ANY, CORE_ANY, CORE_ANY);
    core_crash(&f, C);
    const uint32_t leader = core_run_until_primary_above(&f, v + 2, 5000);
    ck_assert_uint_ne(leader, REPLICAS_MAX);
    ck_assert(core_run_until_normal(&f, 5000));
    ck_assert(core_holds(&f, A, 1, "X"));
    ck_assert(core_holds(&f, B, 1, "X"));
}
END_TEST

/* V6, M-longest-log: a long log of an old view loses to a short one of a later view. */
START_TEST(v6_longest_log_does_not_win)
{
    const uint32_t primary = core_form(&f);
    const uint64_t v = core_view(&f, primary);
    const uint32_t second = primary_of(v + 1);
    const uint32_t third = primary_of(v + 2);
    core_isolate(&f, primary);
    for (uint32_t i = 0; i < 5; i++) {
        core_request(&f, primary, "dead");
    }
    ck_assert_uint_eq(core_run_until_primary_above(&f, v, 2000), second);
    core_request(&f, second, "alive");
    core_settle(&f);
    ck_assert_uint_eq(commit_of(second), 1);
    core_no_rules(&f);
    core_crash(&f, second);
    ck_assert_uint_eq(core_run_until_primary_above(&f, v + 1, 5000), third);
    ck_assert(core_run_until_normal(&f, 5000));
    ck_assert(core_holds(&f, primary, 1, "alive"));
    ck_assert_uint_eq(op_of(primary), 1);
}
END_TEST

/* PITFALLS VC-5, V6: the commit number is the largest of all DoViewChanges, not the winner's. */
START_TEST(vc_5_commit_is_the_largest_of_all)
{
    const uint32_t primary = form(5);
    const uint64_t v = core_view(&f, primary);
    const uint32_t leader = primary_of(v + 1);
    const uint32_t knows = primary_of(v + 2);
    const uint32_t longest = primary_of(v + 3);
    core_hold(&f, MESSAGE_PREPARE_OK, CORE_ANY, CORE_ANY);
    core_hold(&f, MESSAGE_COMMIT, CORE_ANY, CORE_ANY);
    core_request(&f, primary, "a");
    core_settle(&f);
    core_drop(&f, MESSAGE_PREPARE, (int)primary, (int)leader);
    core_drop(&f, MESSAGE_PREPARE, (int)primary, (int)knows);
    core_drop(&f, MESSAGE_PREPARE, (int)primary, (int)primary_of(v + 4));
    core_request(&f, primary, "b"); /* its Prepare says that nothing is committed yet */
    core_settle(&f);
    ck_assert_uint_eq(op_of(longest), 2);
    core_drop(&f, MESSAGE_PREPARE, CORE_ANY, CORE_ANY);
    core_discard(&f, MESSAGE_PREPARE_OK, (int)longest, CORE_ANY);
    while (core_deliver(&f, MESSAGE_PREPARE_OK, CORE_ANY, (int)primary)) {
    }
    ck_assert_uint_eq(commit_of(primary), 1);
    core_discard(&f, MESSAGE_COMMIT, CORE_ANY, CORE_ANY);
    core_run(&f, 25);
    while (core_deliver(&f, MESSAGE_COMMIT, (int)primary, (int)knows)) {
    }
    ck_assert_uint_eq(commit_of(knows), 1);
    ck_assert_uint_eq(commit_of(longest), 0); /* the winner knows of nothing */
    core_discard(&f, MESSAGE_COMMIT, CORE_ANY, CORE_ANY);
    core_discard(&f, MESSAGE_PREPARE_OK, CORE_ANY, CORE_ANY); /* nor do acks tell */
    core_crash(&f, primary);
    core_drop(&f, MESSAGE_COMMIT, CORE_ANY, CORE_ANY);
    ck_assert_uint_eq(core_run_until_primary_above(&f, v, 2000), leader);
    ck_assert_uint_eq(commit_of(leader), 1);
    ck_assert_uint_eq(op_of(leader), 2);
}
END_TEST

/* PITFALLS VC-5: a backup outside of that quorum may know a larger commit number than StartView
 * says: it keeps its own. */
START_TEST(vc_5_larger_own_commit_is_kept)
{
    const uint32_t primary = form(5);
    const uint64_t v = core_view(&f, primary);
    const uint32_t knows = primary_of(v + 4);
    core_request(&f, primary, "a");
    core_settle(&f);
    core_hold(&f, MESSAGE_COMMIT, CORE_ANY, CORE_ANY);
    core_run(&f, 30);
    ck_assert(core_deliver(&f, MESSAGE_COMMIT, (int)primary, (int)knows));
    core_crash(&f, primary);
    core_drop(&f, MESSAGE_DO_VIEW_CHANGE, (int)knows, CORE_ANY);
    core_drop(&f, MESSAGE_PREPARE_OK, CORE_ANY, CORE_ANY);
    ck_assert_uint_ne(core_run_until_primary_above(&f, v, 2000), REPLICAS_MAX);
    core_run(&f, 60);
    ck_assert_int_eq((int)status_of(knows), STATUS_NORMAL);
    ck_assert_uint_eq(commit_of(knows), 1);
}
END_TEST

/* PITFALLS VC-6, V8, N7: Commit and Prepare of a later view are not executed by number; the view is
 * asked for. */
START_TEST(vc_6_commit_of_a_later_view_is_not_executed)
{
    const uint32_t primary = core_form(&f);
    const uint64_t v = core_view(&f, primary);
    const uint32_t leader = primary_of(v + 1);
    const uint32_t behind = primary_of(v + 2);
    /* `behind` holds Y, which nobody else gets. */
    core_drop(&f, CORE_ANY, (int)primary, (int)leader);
    core_drop(&f, MESSAGE_PREPARE_OK, CORE_ANY, CORE_ANY);
    core_request(&f, primary, "Y");
    core_settle(&f);
    ck_assert(core_holds(&f, behind, 1, "Y"));
    core_discard(&f, CORE_ANY, CORE_ANY, CORE_ANY);
    core_hold(&f, MESSAGE_GET_VIEW, CORE_ANY, CORE_ANY);
    const struct message commit = {
        .type = MESSAGE_COMMIT,
        .commit = {.view_number = view_make(EPOCH_FIRST, v + 1),
                   .commit_number = 1,
                   .commit_checksum = {7, 7},
                   .op_number = 1,
                   .round = 1},
    };
    core_inject(&f, behind, leader, commit);
    ck_assert_uint_eq(commit_of(behind), 0);
    ck_assert(!core_see(&f, behind)->diverged);
    ck_assert_uint_eq(core_view(&f, behind), v);
    ck_assert_uint_eq(core_queued(&f, MESSAGE_GET_VIEW, (int)behind, (int)leader), 1);
}
END_TEST

/* V8 [mc]: nor of its own view while in view_change: the log is not that view's yet. */
START_TEST(v8_commit_of_the_own_view_in_view_change_is_not_executed)
{
    const uint32_t primary = core_form(&f);
    const uint64_t v = core_view(&f, primary);
    const uint32_t leader = primary_of(v + 1);
    const uint32_t behind = primary_of(v + 2);
    core_drop(&f, CORE_ANY, (int)primary, (int)leader);
    core_drop(&f, MESSAGE_PREPARE_OK, CORE_ANY, CORE_ANY);
    core_request(&f, primary, "Y");
    core_settle(&f);
    ck_assert(core_holds(&f, behind, 1, "Y"));
    core_discard(&f, CORE_ANY, CORE_ANY, CORE_ANY);
    vote_into(behind, v + 1);
    ck_assert_int_eq((int)status_of(behind), STATUS_VIEW_CHANGE);
    core_hold(&f, CORE_ANY, CORE_ANY, CORE_ANY);
    const struct checksum own = core_see(&f, behind)->head_checksum;
    const struct message commit = {
        .type = MESSAGE_COMMIT,
        .commit = {.view_number = view_make(EPOCH_FIRST, v + 1),
                   .commit_number = 1,
                   .commit_checksum = own, /* even so: by number and checksum of an old log */
                   .op_number = 1,
                   .round = 1},
    };
    core_inject(&f, behind, leader, commit);
    ck_assert_uint_eq(commit_of(behind), 0);
    ck_assert_int_eq((int)status_of(behind), STATUS_VIEW_CHANGE);
    ck_assert_uint_gt(core_queued(&f, MESSAGE_GET_VIEW, (int)behind, (int)leader), 0);
    ck_assert_uint_eq(core_queued(&f, MESSAGE_PREPARE_OK, (int)behind, CORE_ANY), 0);
}
END_TEST

/* PITFALLS VC-7, V7: a StartView of the view that one is normal in is an old duplicate: ignored. */
START_TEST(vc_7_stale_start_view_is_ignored)
{
    const uint32_t primary = core_form(&f);
    const uint32_t backup = (primary + 1) % 3;
    const struct message start = {
        .type = MESSAGE_START_VIEW,
        .start_view = {.view_number = core_see(&f, primary)->view_number,
                       .log = core_descriptor(&f, primary)}, /* of the empty log */
    };
    core_request(&f, primary, "x");
    core_settle(&f);
    ck_assert_uint_eq(op_of(backup), 1);
    core_inject(&f, backup, primary, start);
    core_settle(&f);
    ck_assert_uint_eq(op_of(backup), 1);
    ck_assert(core_holds(&f, backup, 1, "x"));
    ck_assert_int_eq((int)status_of(backup), STATUS_NORMAL);
}
END_TEST

/* PITFALLS VC-8, V8: a vote for the view that is normal moves nobody; its primary tells the voter.
 */
START_TEST(vc_8_vote_for_the_normal_view_is_answered)
{
    const uint32_t primary = core_form(&f);
    const uint64_t v = core_view(&f, primary);
    core_run(&f, 100);
    core_hold(&f, CORE_ANY, CORE_ANY, CORE_ANY);
    core_discard(&f, CORE_ANY, CORE_ANY, CORE_ANY);
    core_inject(&f, primary, primary_of(v + 1), vote(v));
    ck_assert_int_eq((int)status_of(primary), STATUS_NORMAL);
    ck_assert_uint_eq(core_view(&f, primary), v);
    ck_assert_uint_eq(core_queued(&f, MESSAGE_START_VIEW, (int)primary, (int)primary_of(v + 1)), 1);
}
END_TEST

/* PITFALLS VC-9, V8: a lost StartView is made up for without another view change. */
START_TEST(vc_9_lost_start_view_is_asked_for)
{
    const uint32_t primary = core_form(&f);
    const uint64_t v = core_view(&f, primary);
    const uint32_t leader = primary_of(v + 1);
    const uint32_t other = primary_of(v + 2);
    core_crash(&f, primary);
    core_hold(&f, MESSAGE_START_VIEW, CORE_ANY, CORE_ANY);
    ck_assert_uint_eq(core_run_until_primary_above(&f, v, 2000), leader);
    core_no_rules(&f);
    core_discard(&f, MESSAGE_START_VIEW, CORE_ANY, CORE_ANY);
    core_run(&f, 200);
    ck_assert_int_eq((int)status_of(other), STATUS_NORMAL);
    ck_assert_uint_eq(core_view(&f, other), v + 1);
}
END_TEST

/* PITFALLS VC-9, V2, V4: votes and DoViewChanges are repeated until the view is normal. */
START_TEST(vc_9_lost_votes_and_do_view_changes_are_repeated)
{
    const uint32_t primary = core_form(&f);
    const uint64_t v = core_view(&f, primary);
    core_crash(&f, primary);
    core_hold(&f, MESSAGE_START_VIEW_CHANGE, CORE_ANY, CORE_ANY);
    core_run(&f, 150); /* both suspect */
    core_discard(&f, MESSAGE_START_VIEW_CHANGE, CORE_ANY, CORE_ANY);
    core_no_rules(&f);
    core_hold(&f, MESSAGE_DO_VIEW_CHANGE, CORE_ANY, CORE_ANY);
    core_run(&f, 60);
    ck_assert_uint_eq(core_view(&f, primary_of(v + 1)), v + 1);
    core_discard(&f, MESSAGE_DO_VIEW_CHANGE, CORE_ANY, CORE_ANY);
    core_no_rules(&f);
    ck_assert_uint_eq(core_run_until_primary_above(&f, v, 60), primary_of(v + 1));
}
END_TEST

/* PITFALLS VC-10, V6, S1: the new primary's own DoViewChange is one of the quorum, and exists only
 * once its view is durable. */
START_TEST(vc_10_own_do_view_change_is_needed)
{
    const uint32_t primary = form(5);
    const uint64_t v = core_view(&f, primary);
    const uint32_t leader = primary_of(v + 1);
    core_drop(&f, CORE_ANY, CORE_ANY, (int)leader);
    core_request(&f, primary, "x");
    core_settle(&f);
    core_no_rules(&f);
    core_hold(&f, CORE_ANY, CORE_ANY, CORE_ANY);
    f.nodes[leader].hold_state = true;
    for (uint32_t i = 2; i < 5; i++) {
        const uint32_t other = primary_of(v + i);
        core_inject(&f, leader, other, do_view_change(v + 1, core_descriptor(&f, other)));
    }
    core_run(&f, 25);
    ck_assert_uint_eq(core_view(&f, leader), v + 1);
    ck_assert_uint_eq(core_queued(&f, MESSAGE_DO_VIEW_CHANGE, (int)leader, CORE_ANY), 0);
    /* Three of five have spoken, and nothing of V6 has begun. */
    ck_assert_uint_eq(core_queued(&f, MESSAGE_CATCHUP_REQUEST, (int)leader, CORE_ANY), 0);
    core_state_done(&f, leader);
    core_run(&f, 1);
    ck_assert_uint_gt(core_queued(&f, MESSAGE_CATCHUP_REQUEST, (int)leader, CORE_ANY), 0);
}
END_TEST

/* PITFALLS VC-10: quorums of even groups: n = 4 needs three. */
START_TEST(vc_10_four_replicas_need_three)
{
    const uint32_t primary = form(4);
    const uint64_t v = core_view(&f, primary);
    core_isolate(&f, primary);
    core_isolate(&f, primary_of(v + 1));
    core_request(&f, primary, "x");
    core_run(&f, 3000);
    ck_assert_uint_eq(commit_of(primary), 0);
    const uint32_t now = core_primary(&f);
    ck_assert(now == REPLICAS_MAX || core_view(&f, now) == v);
    core_no_rules(&f);
    ck_assert(core_run_until_normal(&f, 20000));
}
END_TEST

/* PITFALLS VC-11, V6, G1: nothing above its own commit number is trusted by number: the new primary
 * pulls the winner's log from there on, and its own differing entries go. */
START_TEST(vc_11_own_suffix_is_not_mixed_with_the_winners)
{
    const uint32_t primary = core_form(&f);
    const uint64_t v = core_view(&f, primary);
    const uint32_t second = primary_of(v + 1);
    const uint32_t third = primary_of(v + 2);
    /* The old primary holds five entries that nobody else has. */
    core_isolate(&f, primary);
    for (uint32_t i = 0; i < 5; i++) {
        core_request(&f, primary, "dead");
    }
    ck_assert_uint_eq(core_run_until_primary_above(&f, v, 2000), second);
    for (uint32_t i = 0; i < 8; i++) {
        core_request(&f, second, "alive");
    }
    core_settle(&f);
    /* It comes to lead the view after the next, with the others' log. */
    core_no_rules(&f);
    core_isolate(&f, second);
    core_discard(&f, CORE_ANY, CORE_ANY, CORE_ANY);
    uint32_t leader = core_run_until_primary_above(&f, v + 1, 5000);
    ck_assert_uint_eq(leader, third);
    core_no_rules(&f);
    ck_assert(core_run_until_normal(&f, 5000));
    for (uint64_t op = 1; op <= 8; op++) {
        ck_assert(core_holds(&f, primary, op, "alive"));
    }
    core_crash(&f, third);
    leader = core_run_until_primary_above(&f, v + 2, 5000);
    ck_assert_uint_ne(leader, REPLICAS_MAX);
    ck_assert(core_holds(&f, leader, 8, "alive"));
}
END_TEST

/* PITFALLS VC-12, G6: no StartView, and no last_normal_view, before log and state file are durable.
 */
START_TEST(vc_12_start_view_waits_for_log_and_state_file)
{
    const uint32_t primary = form(5);
    const uint64_t v = core_view(&f, primary);
    const uint32_t leader = primary_of(v + 1);
    core_drop(&f, MESSAGE_PREPARE, CORE_ANY, (int)leader);
    core_drop(&f, MESSAGE_CATCHUP_RESPONSE, CORE_ANY, (int)leader);
    core_request(&f, primary, "x");
    core_settle(&f);
    ck_assert_uint_eq(commit_of(primary), 1);
    core_crash(&f, primary);
    core_no_rules(&f);
    f.nodes[leader].hold_log = true;
    core_hold(&f, MESSAGE_START_VIEW, CORE_ANY, CORE_ANY);
    for (uint32_t i = 0; i < 1000 && !f.nodes[leader].log_waits; i++) {
        core_run(&f, 1);
    }
    ck_assert(f.nodes[leader].log_waits); /* it has fetched the entry */
    ck_assert_uint_eq(core_last_normal_view(&f, leader), v);
    ck_assert_uint_eq(core_queued(&f, MESSAGE_START_VIEW, (int)leader, CORE_ANY), 0);
    f.nodes[leader].hold_state = true;
    core_log_done(&f, leader);
    ck_assert(f.nodes[leader].state_waits);
    ck_assert_uint_eq(core_last_normal_view(&f, leader), v);
    ck_assert_uint_eq(core_queued(&f, MESSAGE_START_VIEW, (int)leader, CORE_ANY), 0);
    core_state_done(&f, leader);
    ck_assert(core_see(&f, leader)->acting_primary);
    ck_assert_uint_gt(core_queued(&f, MESSAGE_START_VIEW, (int)leader, CORE_ANY), 0);
}
END_TEST

/* PITFALLS VC-13, V4: the log is frozen in view_change: old Prepares, answers to old questions and
 * requests change nothing. */
START_TEST(vc_13_log_is_frozen_in_view_change)
{
    const uint32_t primary = core_form(&f);
    const uint64_t v = core_view(&f, primary);
    const uint32_t node = primary_of(v + 2);
    core_hold(&f, MESSAGE_PREPARE, CORE_ANY, CORE_ANY);
    core_request(&f, primary, "x");
    core_settle(&f);
    vote_into(node, v + 1);
    ck_assert_int_eq((int)status_of(node), STATUS_VIEW_CHANGE);
    ck_assert(core_deliver(&f, MESSAGE_PREPARE, (int)primary, (int)node));
    core_request(&f, node, "y");
    ck_assert_uint_eq(op_of(node), 0);
    core_hold(&f, CORE_ANY, CORE_ANY, CORE_ANY);
    core_discard(&f, MESSAGE_DO_VIEW_CHANGE, CORE_ANY, CORE_ANY);
    core_run(&f, 25);
    ck_assert_uint_eq(
        core_oldest(&f, MESSAGE_DO_VIEW_CHANGE, (int)node, CORE_ANY)->do_view_change.log.op_number,
        0);
}
END_TEST

/* PITFALLS VC-14, V2: a replica that hears nobody suspects for ever, and topples nobody. */
START_TEST(vc_14_deaf_replica_topples_nobody)
{
    const uint32_t primary = core_form(&f);
    const uint64_t v = core_view(&f, primary);
    const uint32_t deaf = primary_of(v + 1);
    core_drop(&f, CORE_ANY, CORE_ANY, (int)deaf);
    for (uint32_t i = 0; i < 50; i++) {
        core_request(&f, primary, "x");
        core_run(&f, 100);
    }
    ck_assert_uint_eq(core_view(&f, primary), v);
    ck_assert_uint_eq(commit_of(primary), 50);
    ck_assert_uint_eq(core_view(&f, deaf), v); /* V2: its own view stays, too */
    core_no_rules(&f);
    ck_assert(core_run_until_normal(&f, 1000));
    ck_assert_uint_eq(core_view(&f, primary), v);
}
END_TEST

/* PITFALLS VC-15, V1: a primary that cannot hear falls silent and is replaced. */
START_TEST(vc_15_deaf_primary_is_replaced)
{
    const uint32_t primary = core_form(&f);
    const uint64_t v = core_view(&f, primary);
    core_drop(&f, CORE_ANY, CORE_ANY, (int)primary);
    core_request(&f, primary, "x");
    const uint32_t leader = core_run_until_primary_above(&f, v, 3000);
    ck_assert_uint_ne(leader, REPLICAS_MAX);
    ck_assert_uint_ne(leader, primary);
}
END_TEST

/* PITFALLS VC-15, V1: heartbeats alone do not count while entries are in flight: a link that
 * swallows large datagrams must not keep a useless primary. */
START_TEST(vc_15_black_hole_for_prepares_is_noticed)
{
    const uint32_t primary = core_form(&f);
    const uint64_t v = core_view(&f, primary);
    core_drop(&f, MESSAGE_PREPARE, (int)primary, CORE_ANY);
    core_request(&f, primary, "x");
    const uint32_t leader = core_run_until_primary_above(&f, v, 3000);
    ck_assert_uint_ne(leader, REPLICAS_MAX);
    ck_assert_uint_ne(leader, primary);
}
END_TEST

/* PITFALLS VC-15, V6: the same, and nothing of its log arrives that way either. What it says of its
 * log does, and would win; but any quorum's choice is valid, so the others go on without it. */
START_TEST(vc_15_best_log_behind_a_black_hole_is_left_out)
{
    const uint32_t primary = core_form(&f);
    const uint64_t v = core_view(&f, primary);
    core_drop(&f, MESSAGE_PREPARE, (int)primary, CORE_ANY);
    core_drop(&f, MESSAGE_CATCHUP_RESPONSE, (int)primary, CORE_ANY);
    core_request(&f, primary, "x");
    const uint32_t leader = core_run_until_primary_above(&f, v, 3000);
    ck_assert_uint_eq(leader, primary_of(v + 1));
    core_request(&f, leader, "y");
    core_run(&f, 200);
    ck_assert_uint_eq(commit_of(leader), 1);
    ck_assert(core_holds(&f, leader, 1, "y"));
}
END_TEST

/* PITFALLS VC-16, V9: a primary that cannot send is replaced, and obeys what it hears. */
START_TEST(vc_16_mute_primary_is_replaced_and_obeys)
{
    const uint32_t primary = core_form(&f);
    const uint64_t v = core_view(&f, primary);
    core_drop(&f, CORE_ANY, (int)primary, CORE_ANY);
    ck_assert_uint_ne(core_run_until_primary_above(&f, v, 3000), REPLICAS_MAX);
    core_run(&f, 100);
    ck_assert(!core_see(&f, primary)->acting_primary);
    core_request(&f, primary, "x");
    ck_assert_int_eq(f.to_client.type, MESSAGE_NOT_PRIMARY);
}
END_TEST

/* PITFALLS VC-17, V2: a chain of replicas keeps the view of a primary that one end cannot hear. */
START_TEST(vc_17_chain_keeps_its_primary)
{
    const uint32_t primary = core_form(&f);
    const uint64_t v = core_view(&f, primary);
    const int far = (int)primary_of(v + 2);
    core_drop(&f, CORE_ANY, (int)primary, far);
    core_drop(&f, CORE_ANY, far, (int)primary);
    for (uint32_t i = 0; i < 20; i++) {
        core_request(&f, primary, "x");
        core_run(&f, 100);
    }
    ck_assert_uint_eq(core_view(&f, primary), v);
    ck_assert_uint_eq(commit_of(primary), 20);
    core_no_rules(&f);
    ck_assert(core_run_until_normal(&f, 2000));
    ck_assert_uint_eq(core_view(&f, primary), v);
}
END_TEST

/* PITFALLS VC-18, V1: dead next primaries are skipped, each after its timeout; who fails waits
 * longer. */
START_TEST(vc_18_dead_next_primaries_are_skipped)
{
    const uint32_t primary = form(7);
    const uint64_t v = core_view(&f, primary);
    core_crash(&f, primary);
    core_crash(&f, primary_of(v + 1));
    core_crash(&f, primary_of(v + 2));
    const uint32_t leader = core_run_until_primary_above(&f, v, 3000);
    ck_assert_uint_ne(leader, REPLICAS_MAX);
    ck_assert(core_run_until_normal(&f, 1000));
}
END_TEST

/* PITFALLS VC-18, V1: failed views double the timeout, so that views do not race ahead. */
START_TEST(vc_18_failed_views_back_off)
{
    const uint32_t primary = core_form(&f);
    const uint64_t v = core_view(&f, primary);
    core_drop(&f, MESSAGE_DO_VIEW_CHANGE, CORE_ANY, CORE_ANY); /* no view ever becomes normal */
    core_crash(&f, primary);
    core_run(&f, 10000);
    const uint64_t views = core_view(&f, primary_of(v + 1)) - v;
    ck_assert_uint_ge(views, 3);
    ck_assert_uint_le(views, 20); /* without backoff: 80 */
    core_no_rules(&f);
    ck_assert_uint_ne(core_run_until_primary_above(&f, v, 20000), REPLICAS_MAX);
}
END_TEST

/* PITFALLS VC-19: messages to oneself, from nobody, of another epoch or configuration are dropped
 * and counted. */
START_TEST(vc_19_strangers_are_dropped)
{
    const uint32_t primary = core_form(&f);
    const uint32_t node = (primary + 1) % 3;
    const struct log_descriptor log = core_descriptor(&f, primary);
    const struct vr_snapshot before = *core_see(&f, node);

    core_inject(&f, node, node, do_view_change(core_view(&f, node) + 3, log));
    ck_assert_uint_gt(core_see(&f, node)->dropped[DROP_NOT_MEMBER], 0);

    struct message other_epoch = do_view_change(1, log);
    other_epoch.do_view_change.view_number = view_make(EPOCH_FIRST + 1, 1);
    core_inject(&f, node, primary, other_epoch);
    ck_assert_uint_gt(core_see(&f, node)->dropped[DROP_EPOCH], 0);

    f.configuration.cluster_id++; /* so that its hash differs */
    core_inject(&f, node, primary, do_view_change(core_view(&f, node) + 3, log));
    f.configuration.cluster_id--;
    ck_assert_uint_gt(core_see(&f, node)->dropped[DROP_CONFIGURATION], 0);

    f.nodes[primary].identity++;
    core_inject(&f, node, primary, do_view_change(core_view(&f, node) + 3, log));
    f.nodes[primary].identity--;
    ck_assert_uint_gt(core_see(&f, node)->dropped[DROP_IDENTITY], 0);

    ck_assert_uint_eq(core_see(&f, node)->view_number, before.view_number);
    ck_assert_int_eq((int)status_of(node), STATUS_NORMAL);
}
END_TEST

/* PITFALLS VC-20: what an old primary took and did not get prepared is gone with its view; the
 * client's retry brings it into the new one, once. */
START_TEST(vc_20_unprepared_requests_end_with_their_view)
{
    f.defaults.pipeline_max = 1;
    const uint32_t primary = core_form(&f);
    const uint64_t v = core_view(&f, primary);
    core_isolate(&f, primary);
    core_request(&f, primary, "a");
    core_request(&f, primary, "b"); /* waits behind the pipeline */
    ck_assert_uint_eq(op_of(primary), 2);
    const uint32_t leader = core_run_until_primary_above(&f, v, 3000);
    core_request_again(&f, leader, 2, "b");
    core_settle(&f);
    core_no_rules(&f);
    ck_assert(core_run_until_normal(&f, 3000));
    ck_assert_uint_eq(op_of(primary), 1);
    ck_assert(core_holds(&f, primary, 1, "b"));
}
END_TEST

/* PITFALLS VC-21, N1: clients hear of the last normal view only, never of one that is being tried.
 */
START_TEST(vc_21_clients_hear_of_the_last_normal_view)
{
    const uint32_t primary = core_form(&f);
    const uint64_t v = core_view(&f, primary);
    const uint32_t node = primary_of(v + 2);
    vote_into(node, v + 9);
    ck_assert_uint_eq(core_view(&f, node), v + 9);
    core_request(&f, node, "x");
    ck_assert_int_eq(f.to_client.type, MESSAGE_NOT_PRIMARY);
    ck_assert_uint_eq(view_within_epoch(f.to_client.not_primary.last_normal_view), v);
    ck_assert_int_eq((int)f.to_client.not_primary.status, STATUS_VIEW_CHANGE);
}
END_TEST

/* S1: nothing that reveals a view leaves before the state file holds it; serving stops at once. */
START_TEST(s1_view_is_durable_before_it_is_said)
{
    const uint32_t primary = core_form(&f);
    const uint64_t v = core_view(&f, primary);
    core_run(&f, 30);
    core_hold(&f, CORE_ANY, CORE_ANY, CORE_ANY);
    core_discard(&f, CORE_ANY, CORE_ANY, CORE_ANY);
    f.nodes[primary].hold_state = true;
    vote_into(primary, v + 1);
    ck_assert(!core_see(&f, primary)->acting_primary);
    core_run(&f, 60);
    ck_assert_uint_eq(core_queued(&f, MESSAGE_DO_VIEW_CHANGE, (int)primary, CORE_ANY), 0);
    ck_assert_uint_eq(core_queued(&f, MESSAGE_COMMIT, (int)primary, CORE_ANY), 0);
    core_state_done(&f, primary);
    core_run(&f, 30);
    ck_assert_uint_gt(core_queued(&f, MESSAGE_DO_VIEW_CHANGE, (int)primary, CORE_ANY), 0);
}
END_TEST

/* V9: a primary that learns of a later view counts no ack, and takes no request. */
START_TEST(v9_primary_that_learns_of_a_later_view_stops)
{
    const uint32_t primary = core_form(&f);
    const uint64_t v = core_view(&f, primary);
    const uint32_t backup = primary_of(v + 1);
    core_hold(&f, MESSAGE_PREPARE_OK, CORE_ANY, CORE_ANY);
    core_request(&f, primary, "x");
    core_settle(&f);
    const struct message later = {
        .type = MESSAGE_COMMIT,
        .commit = {.view_number = view_make(EPOCH_FIRST, v + 1), .round = 1},
    };
    core_inject(&f, primary, backup, later);
    ck_assert(core_deliver(&f, MESSAGE_PREPARE_OK, (int)backup, (int)primary));
    ck_assert_uint_eq(commit_of(primary), 0);
    core_request(&f, primary, "y");
    ck_assert_int_eq(f.to_client.type, MESSAGE_NOT_PRIMARY);
    ck_assert_uint_eq(core_view(&f, primary), v); /* V3 alone moves it */
}
END_TEST

/* V12: a primary that is too far behind is passed over at once when somebody else is not. */
START_TEST(v12_primary_far_behind_is_passed_over)
{
    f.defaults.pipeline_max = 2;
    f.defaults.request_queue_max = 2;
    f.defaults.view_sync_max = 4;
    const uint32_t primary = core_form(&f);
    const uint64_t v = core_view(&f, primary);
    const uint32_t behind = primary_of(v + 1);
    core_drop(&f, CORE_ANY, CORE_ANY, (int)behind);
    for (uint32_t i = 0; i < 20; i++) {
        core_request(&f, primary, "x");
        core_settle(&f);
    }
    ck_assert_uint_eq(op_of(behind), 0);
    core_crash(&f, primary);
    core_no_rules(&f);
    const uint64_t began = f.now_ns;
    ck_assert_uint_eq(core_run_until_primary_above(&f, v, 3000), primary_of(v + 2));
    ck_assert_uint_lt(f.now_ns - began, 3 * f.defaults.view_change_ns);
}
END_TEST

/* V12: a primary that holds all of the best log lacks nothing, however old the view it was last
 * normal in and however little it knows to be committed; counting from its commit-number alone it
 * was passed over, view after view. */
START_TEST(v12_primary_with_the_same_head_is_not_behind)
{
    f.defaults.pipeline_max = 2;
    f.defaults.request_queue_max = 2;
    f.defaults.view_sync_max = 4;
    const uint32_t A = core_form(&f);
    const uint64_t v = core_view(&f, A);
    const uint32_t B = primary_of(v + 1);
    const uint32_t C = primary_of(v + 2);
    for (uint32_t i = 0; i < 20; i++) {
        core_request(&f, A, "x");
        core_settle(&f);
    }
    core_hold(&f, CORE_ANY, CORE_ANY, CORE_ANY);
    core_inject(&f, C, A, vote(v + 3)); /* A leads v + 3, too */
    core_inject(&f, C, B, vote(v + 3));
    core_run(&f, 1);
    struct message dvc = {
        .type = MESSAGE_DO_VIEW_CHANGE,
        .do_view_change = {.view_number = view_make(EPOCH_FIRST, v + 3),
                           .log = core_descriptor(&f, A)},
    };
    ck_assert_uint_eq(dvc.do_view_change.log.op_number, 20);
    dvc.do_view_change.log.commit_checksum = entry_chain_start(f.configuration.cluster_id);
    dvc.do_view_change.log.commit_number = 0;
    core_inject(&f, C, A, dvc);
    dvc.do_view_change.log.last_normal_view = view_make(EPOCH_FIRST, v + 1);
    core_inject(&f, C, B, dvc);
    ck_assert_uint_eq(core_view(&f, C), v + 3);
    ck_assert(!core_see(&f, C)->suspecting);
    dvc.do_view_change.log.op_number += 1; /* while this would be far ahead of A */
    dvc.do_view_change.log.head_checksum.low ^= 1;
    core_inject(&f, C, B, dvc);
    ck_assert(core_see(&f, C)->suspecting);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("vr view change");
    TCase *tests = tcase_create("schedules");
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, dead_primary_is_replaced);
    tcase_add_test(tests, fresh_group_begins_with_a_view_change);
    tcase_add_test(tests, goodbye_saves_the_timeout);
    tcase_add_test(tests, vc_1_jumps_to_the_view_that_is_said);
    tcase_add_test(tests, v3_quorum_th_largest_vote);
    tcase_add_test(tests, v3_votes_expire);
    tcase_add_test(tests, vc_2_do_view_changes_of_two_views_do_not_add_up);
    tcase_add_test(tests, vc_3_same_replica_counts_once);
    tcase_add_test(tests, vc_3_same_voter_counts_once);
    tcase_add_test(tests, vc_4_figure_8);
    tcase_add_test(tests, v6_longest_log_does_not_win);
    tcase_add_test(tests, vc_5_commit_is_the_largest_of_all);
    tcase_add_test(tests, vc_5_larger_own_commit_is_kept);
    tcase_add_test(tests, vc_6_commit_of_a_later_view_is_not_executed);
    tcase_add_test(tests, v8_commit_of_the_own_view_in_view_change_is_not_executed);
    tcase_add_test(tests, vc_7_stale_start_view_is_ignored);
    tcase_add_test(tests, vc_8_vote_for_the_normal_view_is_answered);
    tcase_add_test(tests, vc_9_lost_start_view_is_asked_for);
    tcase_add_test(tests, vc_9_lost_votes_and_do_view_changes_are_repeated);
    tcase_add_test(tests, vc_10_own_do_view_change_is_needed);
    tcase_add_test(tests, vc_10_four_replicas_need_three);
    tcase_add_test(tests, vc_11_own_suffix_is_not_mixed_with_the_winners);
    tcase_add_test(tests, vc_12_start_view_waits_for_log_and_state_file);
    tcase_add_test(tests, vc_13_log_is_frozen_in_view_change);
    tcase_add_test(tests, vc_14_deaf_replica_topples_nobody);
    tcase_add_test(tests, vc_15_deaf_primary_is_replaced);
    tcase_add_test(tests, vc_15_black_hole_for_prepares_is_noticed);
    tcase_add_test(tests, vc_15_best_log_behind_a_black_hole_is_left_out);
    tcase_add_test(tests, vc_16_mute_primary_is_replaced_and_obeys);
    tcase_add_test(tests, vc_17_chain_keeps_its_primary);
    tcase_add_test(tests, vc_18_dead_next_primaries_are_skipped);
    tcase_add_test(tests, vc_18_failed_views_back_off);
    tcase_add_test(tests, vc_19_strangers_are_dropped);
    tcase_add_test(tests, vc_20_unprepared_requests_end_with_their_view);
    tcase_add_test(tests, vc_21_clients_hear_of_the_last_normal_view);
    tcase_add_test(tests, s1_view_is_durable_before_it_is_said);
    tcase_add_test(tests, v9_primary_that_learns_of_a_later_view_stops);
    tcase_add_test(tests, v12_primary_far_behind_is_passed_over);
    tcase_add_test(tests, v12_primary_with_the_same_head_is_not_behind);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
