/* SPDX-License-Identifier: Apache-2.0 */
/* Checkpoints in the core: what they let go (K1, K2), who is told to pull one and how it takes the
 * log's place (G4), and digests that differ (K4). */
#include <check.h>
#include <stdlib.h>

#include "server/vr/replica.h"
#include "test/support/core_fixture.h"

enum { A, B, C };

static struct core_fixture f;

static void setup(void)
{
    core_init(&f, 3);
    f.defaults.log_block_size = 1024;
    f.defaults.log_retain = 0;
}

static void teardown(void)
{
    core_free(&f);
}

static void write_some(uint32_t primary, int count)
{
    for (int i = 0; i < count; i++) {
        core_request(&f, primary, "an entry of a certain size, so that blocks fill up soon enough");
        core_settle(&f);
    }
    core_run(&f, 60);
}

/* K1: the log goes up to the previous checkpoint, never to the last one. */
START_TEST(log_is_dropped_before_the_previous_checkpoint)
{
    const uint32_t primary = core_form(&f);
    write_some(primary, 400);
    ck_assert_uint_eq(core_checkpoint(&f, primary, 1).op_number, 400);
    ck_assert_uint_eq(f.nodes[primary].dropped_op, 0);
    ck_assert_uint_eq(core_see(&f, primary)->base_op, 0);
    write_some(primary, 200);
    (void)core_checkpoint(&f, primary, 1);
    ck_assert_uint_eq(f.nodes[primary].dropped_op, 400);
    ck_assert_uint_le(core_see(&f, primary)->base_op, 400);
    ck_assert_uint_gt(core_see(&f, primary)->base_op, 0);
    write_some(primary, 10);
    ck_assert_uint_eq(core_see(&f, primary)->commit_number, 610);
}
END_TEST

/* K2: entries are kept for laggards. */
START_TEST(log_retains_entries)
{
    f.defaults.log_retain = 500;
    const uint32_t primary = core_form(&f);
    write_some(primary, 400);
    (void)core_checkpoint(&f, primary, 1);
    write_some(primary, 200);
    (void)core_checkpoint(&f, primary, 1);
    ck_assert_uint_eq(f.nodes[primary].dropped_op, 100);
}
END_TEST

/* K1: a log that fills up faster than the interval asks for checkpoints, and goes on; the one on
 * disk is kept behind the previous of them all the same (K3). */
START_TEST(a_log_that_fills_up_asks_for_checkpoints)
{
    const uint32_t primary = core_form(&f);
    uint64_t previous[3] = {0};
    uint64_t last[3] = {0};
    for (int i = 0; i < 20; i++) {
        write_some(primary, 500);
        for (uint32_t node = 0; node < 3; node++) {
            if (f.nodes[node].checkpoints_wanted > 0) {
                f.nodes[node].checkpoints_wanted = 0;
                previous[node] = last[node];
                last[node] = core_checkpoint(&f, node, 1).op_number;
                ck_assert_uint_le(f.nodes[node].dropped_op, previous[node]);
            }
        }
    }
    ck_assert_uint_ge(previous[primary], 1000);
    ck_assert_uint_eq(core_see(&f, primary)->commit_number, 10000);
    ck_assert_uint_eq(core_see(&f, primary)->busy_count, 0);
    ck_assert_uint_lt(core_see(&f, primary)->log_bytes, CORE_LOG_SIZE);
}
END_TEST

/* Where none is taken it is asked for again, not all the time. */
START_TEST(a_checkpoint_that_does_not_come_is_asked_for_again)
{
    const uint32_t primary = core_form(&f);
    write_some(primary, 2500);
    const uint64_t before = f.nodes[primary].checkpoints_wanted;
    ck_assert_uint_gt(before, 0);
    core_run(&f, 10000);
    ck_assert_uint_gt(f.nodes[primary].checkpoints_wanted, before);
    ck_assert_uint_lt(f.nodes[primary].checkpoints_wanted, before + 20);
    (void)core_checkpoint(&f, primary, 1);
    const uint64_t after = f.nodes[primary].checkpoints_wanted;
    core_run(&f, 10000);
    ck_assert_uint_eq(f.nodes[primary].checkpoints_wanted, after);
}
END_TEST

/* One that was away while the others dropped what it lacks. */
static uint32_t leave_behind(uint32_t primary)
{
    const uint32_t laggard = (primary + 1) % 3;
    const uint32_t other = (primary + 2) % 3;
    core_isolate(&f, laggard);
    for (int i = 0; i < 2; i++) {
        write_some(primary, 300);
        (void)core_checkpoint(&f, primary, 5);
        (void)core_checkpoint(&f, other, 5);
    }
    write_some(primary, 20);
    ck_assert_uint_gt(core_see(&f, primary)->base_op, 0);
    return laggard;
}

/* G4: offered, pulled, installed; then the log goes on from there. */
START_TEST(a_laggard_pulls_a_checkpoint)
{
    const uint32_t primary = core_form(&f);
    const uint32_t laggard = leave_behind(primary);
    core_no_rules(&f);
    core_run(&f, 2000);
    const struct vr_snapshot *s = core_see(&f, laggard);
    ck_assert_uint_eq(s->checkpoints_installed, 1);
    ck_assert_uint_eq(s->base_op, 600);
    ck_assert_uint_eq(s->commit_number, 620);
    ck_assert_uint_eq(s->checkpoint_op, 600);
    write_some(primary, 5);
    ck_assert_uint_eq(core_see(&f, laggard)->commit_number, 625);
}
END_TEST

/* While the install is under way the log stays as it is, and nothing is acked that it will lack. */
START_TEST(the_log_is_frozen_while_installing)
{
    const uint32_t primary = core_form(&f);
    const uint32_t laggard = leave_behind(primary);
    f.nodes[laggard].hold_install = true;
    core_no_rules(&f);
    core_run(&f, 300);
    ck_assert_uint_eq(f.nodes[laggard].installing.op_number, 600);
    ck_assert_uint_eq(core_see(&f, laggard)->commit_number, 0);
    ck_assert_uint_eq(core_see(&f, laggard)->op_number, 0);
    core_run(&f, 300);
    ck_assert_uint_eq(core_see(&f, laggard)->op_number, 0);
    f.nodes[laggard].hold_install = false;
    core_installed(&f, laggard);
    core_run(&f, 3000);
    ck_assert_uint_eq(core_see(&f, laggard)->commit_number, core_see(&f, primary)->commit_number);
    ck_assert_uint_eq(core_see(&f, laggard)->checkpoints_installed, 1);
}
END_TEST

/* Damaged chunks are asked for again; nothing is installed of them. */
START_TEST(damaged_chunks_install_nothing)
{
    const uint32_t primary = core_form(&f);
    const uint32_t laggard = leave_behind(primary);
    f.nodes[laggard].refuse_chunks = true;
    core_no_rules(&f);
    core_run(&f, 500);
    ck_assert_uint_eq(f.nodes[laggard].installing.op_number, 0);
    ck_assert_uint_eq(core_see(&f, laggard)->checkpoints_installed, 0);
    ck_assert_uint_gt(core_see(&f, laggard)->dropped[DROP_CHECKSUM], 0);
    f.nodes[laggard].refuse_chunks = false;
    core_run(&f, 3000);
    ck_assert_uint_eq(core_see(&f, laggard)->checkpoints_installed, 1);
}
END_TEST

/* The same, and the others' last checkpoints differ: the primary's, which is the newer one, does
 * not reach it. */
static uint32_t leave_with_different_ones(uint32_t primary)
{
    const uint32_t laggard = (primary + 1) % 3;
    const uint32_t other = (primary + 2) % 3;
    core_isolate(&f, laggard);
    write_some(primary, 300);
    (void)core_checkpoint(&f, primary, 5);
    (void)core_checkpoint(&f, other, 5);
    write_some(primary, 200);
    (void)core_checkpoint(&f, other, 5);
    write_some(primary, 100);
    (void)core_checkpoint(&f, primary, 5);
    core_no_rules(&f);
    core_drop(&f, MESSAGE_CHECKPOINT_CHUNK, (int)primary, CORE_ANY);
    return laggard;
}

/* G4: the newest checkpoint is offered, and its owner cannot read it; nobody else has the same. So
 * another one's older one is taken, and the log behind that. */
START_TEST(an_offer_that_nothing_follows_is_given_up)
{
    const uint32_t primary = core_form(&f);
    const uint32_t laggard = leave_with_different_ones(primary);
    core_run(&f, 5000);
    const struct vr_snapshot *s = core_see(&f, laggard);
    ck_assert_uint_eq(s->checkpoints_installed, 1);
    ck_assert_uint_eq(s->base_op, 500);
    ck_assert_uint_eq(s->commit_number, 600);
}
END_TEST

/* G5: one interval of silence is no reason to begin anew with another checkpoint. */
START_TEST(a_source_that_is_silent_for_a_while_is_kept)
{
    const uint32_t primary = core_form(&f);
    const uint32_t laggard = leave_with_different_ones(primary);
    core_run(&f, 200);
    core_no_rules(&f);
    core_run(&f, 2000);
    ck_assert_uint_eq(core_see(&f, laggard)->checkpoints_installed, 1);
    ck_assert_uint_eq(core_see(&f, laggard)->base_op, 600);
}
END_TEST

/* A recovering replica (D6) gets there the same way. */
START_TEST(a_recovering_replica_pulls_a_checkpoint)
{
    const uint32_t primary = core_form(&f);
    const uint32_t laggard = leave_behind(primary);
    core_crash(&f, laggard);
    core_no_rules(&f);
    core_start(&f, laggard);
    core_run(&f, 3000);
    const struct vr_snapshot *s = core_see(&f, laggard);
    ck_assert_int_eq((int)s->status, STATUS_NORMAL);
    ck_assert_uint_eq(s->checkpoints_installed, 1);
    ck_assert_uint_eq(s->commit_number, core_see(&f, primary)->commit_number);
}
END_TEST

/* V12: primary(w) would need a checkpoint and somebody else does not: it does not become w's. */
START_TEST(a_primary_to_be_that_needs_a_checkpoint_is_passed_over)
{
    const uint32_t primary = core_form(&f);
    const uint64_t view = core_view(&f, primary);
    const uint32_t laggard = leave_behind(primary); /* the next view's primary */
    core_no_rules(&f);
    core_drop(&f, MESSAGE_CHECKPOINT_OFFER, CORE_ANY, CORE_ANY);
    core_crash(&f, primary);
    const uint32_t next = core_run_until_primary_above(&f, view, 3000);
    ck_assert_uint_ne(next, REPLICAS_MAX);
    ck_assert_uint_ne(next, laggard);
}
END_TEST

/* G4: what is at or below the commit number is not installed, whoever offers it. */
START_TEST(an_offer_below_the_commit_number_is_dropped)
{
    const uint32_t primary = core_form(&f);
    const uint32_t backup = (primary + 1) % 3;
    write_some(primary, 50);
    const struct checkpoint_id id = core_checkpoint(&f, primary, 1);
    struct replica *r = f.nodes[backup].replica;
    r->sync.active = true;
    r->sync.nonce = 77;
    const uint64_t before = core_see(&f, backup)->dropped[DROP_DUPLICATE];
    const struct message m = {
        .type = MESSAGE_CHECKPOINT_OFFER,
        .checkpoint_offer = {.nonce = 77, .view_number = r->view_number, .id = id},
    };
    core_inject(&f, backup, primary, m);
    ck_assert(!r->sync.pulling);
    ck_assert_uint_eq(r->dropped[DROP_DUPLICATE], before + 1);
}
END_TEST

/* K4: whose digest is not the quorum's leaves service; the others go on. */
START_TEST(a_digest_that_differs_ends_the_service)
{
    const uint32_t primary = core_form(&f);
    const uint32_t backup = (primary + 1) % 3;
    write_some(primary, 50);
    (void)core_checkpoint(&f, primary, 1);
    (void)core_checkpoint(&f, (primary + 2) % 3, 1);
    core_run(&f, 100);
    struct vr_event event = {.kind = VR_EVENT_CHECKPOINT};
    event.checkpoint = f.nodes[primary].replica->checkpoints[0];
    event.checkpoint.digest.low++;
    event.time.now_ns = f.now_ns;
    vr_step(f.nodes[backup].replica, &event, &f.outputs);
    ck_assert(f.nodes[backup].replica->diverged);
    ck_assert_int_eq((int)f.outputs.items[0].kind, VR_OUT_DIVERGED);
    ck_assert(f.outputs.items[0].diverged.state);
    write_some(primary, 5);
    ck_assert_uint_eq(core_see(&f, primary)->commit_number, 55);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("checkpoints");
    TCase *tcase = tcase_create("checkpoints");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, log_is_dropped_before_the_previous_checkpoint);
    tcase_add_test(tcase, log_retains_entries);
    tcase_add_test(tcase, a_log_that_fills_up_asks_for_checkpoints);
    tcase_add_test(tcase, a_checkpoint_that_does_not_come_is_asked_for_again);
    tcase_add_test(tcase, a_laggard_pulls_a_checkpoint);
    tcase_add_test(tcase, the_log_is_frozen_while_installing);
    tcase_add_test(tcase, damaged_chunks_install_nothing);
    tcase_add_test(tcase, an_offer_that_nothing_follows_is_given_up);
    tcase_add_test(tcase, a_source_that_is_silent_for_a_while_is_kept);
    tcase_add_test(tcase, a_recovering_replica_pulls_a_checkpoint);
    tcase_add_test(tcase, a_primary_to_be_that_needs_a_checkpoint_is_passed_over);
    tcase_add_test(tcase, an_offer_below_the_commit_number_is_dropped);
    tcase_add_test(tcase, a_digest_that_differs_ends_the_service);
    tcase_set_timeout(tcase, 60);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
