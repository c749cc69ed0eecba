/* SPDX-License-Identifier: Apache-2.0 */
/* Checkpoints in the core: what they let go (K1, K2), who is told to pull one and how it takes the
 * log's place (G4), and digests that differ (K4). */
#include <check.h>
#include <stdlib.h>

#include "common/base/entry.h"
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

/* K1: the log goes up to the previous checkpoint, never to the last one. */
START_TEST(log_is_dropped_before_the_previous_checkpoint)
{
    const uint32_t primary = core_form(&f);
    core_write_some(&f, primary, 400);
    ck_assert_uint_eq(core_checkpoint(&f, primary, 1).op_number, 400);
    ck_assert_uint_eq(f.nodes[primary].dropped_op, 0);
    ck_assert_uint_eq(core_see(&f, primary)->base_op, 0);
    core_write_some(&f, primary, 200);
    (void)core_checkpoint(&f, primary, 1);
    ck_assert_uint_eq(f.nodes[primary].dropped_op, 400);
    ck_assert_uint_le(core_see(&f, primary)->base_op, 400);
    ck_assert_uint_gt(core_see(&f, primary)->base_op, 0);
    core_write_some(&f, primary, 10);
    ck_assert_uint_eq(core_see(&f, primary)->commit_number, 610);
}
END_TEST

/* K2: entries are kept for laggards. */
START_TEST(log_retains_entries)
{
    f.defaults.log_retain = 500;
    const uint32_t primary = core_form(&f);
    core_write_some(&f, primary, 400);
    (void)core_checkpoint(&f, primary, 1);
    core_write_some(&f, primary, 200);
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
        core_write_some(&f, primary, 500);
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
    core_write_some(&f, primary, 2500);
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

/* One that was away while the others dropped what it lacks; their checkpoints have so many chunks.
 */
static uint32_t leave_behind_by(uint32_t primary, uint64_t chunks)
{
    const uint32_t laggard = (primary + 1) % 3;
    const uint32_t other = (primary + 2) % 3;
    core_isolate(&f, laggard);
    for (int i = 0; i < 2; i++) {
        core_write_some(&f, primary, 300);
        (void)core_checkpoint(&f, primary, chunks);
        (void)core_checkpoint(&f, other, chunks);
    }
    core_write_some(&f, primary, 20);
    ck_assert_uint_gt(core_see(&f, primary)->base_op, 0);
    return laggard;
}

static uint32_t leave_behind(uint32_t primary)
{
    return leave_behind_by(primary, 5);
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
    core_write_some(&f, primary, 5);
    ck_assert_uint_eq(core_see(&f, laggard)->commit_number, 625);
}
END_TEST

static uint64_t chunks_served(void)
{
    uint64_t served = 0;
    for (uint32_t node = 0; node < 3; node++) {
        served += core_see(&f, node)->chunks_served;
    }
    return served;
}

/* G4: so many bytes a second, however far apart heartbeats are, and no more at once than a window.
 */
START_TEST(a_transfer_has_its_rate)
{
    static const uint64_t heartbeats_ms[] = {5, 20, 500};
    const uint64_t chunks_per_second = 4 * 1024 * 1024 / CHECKPOINT_CHUNK_SIZE;
    f.defaults.transfer_rate = 4 * 1024 * 1024;
    f.defaults.heartbeat_ns = heartbeats_ms[_i] * 1000000;
    f.defaults.resend_ns = f.defaults.heartbeat_ns;
    f.defaults.view_change_ns = 6 * f.defaults.heartbeat_ns;
    const uint32_t primary = core_form(&f);
    const uint32_t laggard = leave_behind_by(primary, 1000);
    core_no_rules(&f);
    while (core_see(&f, laggard)->transfer_op == 0) {
        core_run(&f, 1);
    }
    for (uint64_t second = 1; second <= 3; second++) {
        core_run(&f, 1000);
        ck_assert_uint_le(chunks_served(), second * chunks_per_second + 2 * CHUNK_WINDOW_MAX);
        ck_assert_uint_ge(chunks_served(), second * chunks_per_second * 9 / 10);
    }
    core_run(&f, 14000);
    ck_assert_uint_eq(core_see(&f, laggard)->checkpoints_installed, 1);
}
END_TEST

static void ask_chunk(uint32_t from, uint32_t to, const struct checkpoint_id *id, uint64_t index)
{
    core_inject(&f, to, from,
                (struct message){.type = MESSAGE_CHECKPOINT_REQUEST,
                                 .checkpoint_request = {
                                     .nonce = 77, .root = id->root, .first = index, .count = 1}});
}

/* What waits is not asked for twice, nobody has more than a window waiting, and what a sync asked
 * for that is over is not sent. */
START_TEST(what_is_asked_for_waits_once)
{
    f.defaults.transfer_rate = TRANSFER_RATE_MIN;
    const uint32_t primary = core_form(&f);
    const uint32_t backup = (primary + 1) % 3;
    core_write_some(&f, primary, 50);
    const struct checkpoint_id id = core_checkpoint(&f, primary, 100);
    struct replica *r = f.nodes[primary].replica;
    core_hold(&f, MESSAGE_CHECKPOINT_CHUNK, CORE_ANY, CORE_ANY);
    for (uint64_t i = 0; r->chunk_queue_count == 0; i++) {
        ask_chunk(backup, primary, &id, i); /* what leaves at once */
    }
    const uint64_t at_once = r->chunks_served;
    ck_assert_uint_ge(at_once, CHUNK_WINDOW_MAX);
    ck_assert_uint_le(at_once, CHUNK_WINDOW_MAX + 1);
    for (int n = 0; n < 3; n++) {
        ask_chunk(backup, primary, &id, 40);
    }
    ck_assert_uint_eq(r->chunk_queue_count, 2);
    for (uint64_t i = 50; i < 80; i++) {
        ask_chunk(backup, primary, &id, i);
    }
    ck_assert_uint_eq(r->chunk_queue_count, CHUNK_WINDOW_MAX);
    ck_assert_uint_le(vr_deadline(r), f.now_ns + f.defaults.heartbeat_ns);
    core_inject(&f, primary, backup,
                (struct message){
                    .type = MESSAGE_CHECKPOINT_REQUEST,
                    .checkpoint_request = {.nonce = 78, .root = id.root, .first = 1, .count = 1}});
    ck_assert_uint_eq(r->chunk_queue_count, 1);
    core_run(&f, 100);
    ck_assert_uint_eq(r->chunk_queue_count, 0);
    ck_assert_uint_eq(r->chunks_served, at_once + 1);
}
END_TEST

static void checkpoint_all_but(uint32_t laggard, uint64_t chunks)
{
    for (uint32_t node = 0; node < f.count; node++) {
        if (node != laggard && f.nodes[node].up) {
            (void)core_checkpoint(&f, node, chunks);
        }
    }
}

/* A laggard that has pulled a part of the checkpoint of op 600: slowly, for it has many chunks. */
static uint32_t half_pulled(uint32_t primary)
{
    f.defaults.transfer_rate = TRANSFER_RATE_MIN;
    const uint32_t laggard = leave_behind_by(primary, 100);
    core_no_rules(&f);
    while (core_see(&f, laggard)->transfer_staged < 20) {
        core_run(&f, 1);
    }
    return laggard;
}

/* K2: a laggard that is silent for a while, paused or cut off, finds the checkpoint that it pulls,
 * and what follows it, where it left them. */
START_TEST(a_paused_laggard_goes_on)
{
    f.defaults.transfer_rate = TRANSFER_RATE_MIN;
    const uint32_t primary = core_form(&f);
    const uint32_t laggard = half_pulled(primary);
    core_isolate(&f, laggard);
    for (int i = 0; i < 4; i++) {
        core_run(&f, 10000);
        core_write_some(&f, primary, 100);
        checkpoint_all_but(laggard, 100);
    }
    core_no_rules(&f);
    f.nodes[laggard].hold_install = true;
    core_run(&f, 20000);
    ck_assert_uint_eq(f.nodes[laggard].installing.op_number, 600);
    f.nodes[laggard].hold_install = false;
    core_installed(&f, laggard);
    core_run(&f, 2000);
    const struct vr_snapshot *s = core_see(&f, laggard);
    ck_assert_uint_eq(s->checkpoints_installed, 1);
    ck_assert_uint_eq(s->commit_number, core_see(&f, primary)->commit_number);
}
END_TEST

/* The same where the own view changed meanwhile: the newest one is offered, and the one that was
 * begun goes on. */
START_TEST(a_transfer_outlives_its_sync)
{
    f.defaults.transfer_rate = TRANSFER_RATE_MIN;
    const uint32_t primary = core_form(&f);
    const uint32_t laggard = half_pulled(primary);
    core_write_some(&f, primary, 100);
    checkpoint_all_but(laggard, 100);
    sync_drop(f.nodes[laggard].replica);
    f.nodes[laggard].hold_install = true;
    core_run(&f, 20000);
    ck_assert_uint_eq(f.nodes[laggard].installing.op_number, 600);
    f.nodes[laggard].hold_install = false;
    core_installed(&f, laggard);
    core_run(&f, 2000);
    ck_assert_uint_eq(core_see(&f, laggard)->checkpoints_installed, 1);
}
END_TEST

/* Who is away for longer finds that nobody has it any more, and takes the newest instead: also
 * where a member is dead, and will never say so. */
START_TEST(a_checkpoint_that_nobody_has_is_given_up)
{
    teardown();
    core_init(&f, 5);
    f.defaults.log_block_size = 1024;
    f.defaults.log_retain = 0;
    f.defaults.checkpoint_pin_ns = UINT64_C(2000000000);
    f.defaults.transfer_rate = TRANSFER_RATE_MIN;
    const uint32_t primary = core_form(&f);
    const uint32_t laggard = (primary + 1) % 5;
    core_isolate(&f, laggard);
    core_crash(&f, (primary + 2) % 5);
    for (int i = 0; i < 2; i++) {
        core_write_some(&f, primary, 300);
        checkpoint_all_but(laggard, 100);
    }
    core_no_rules(&f);
    while (core_see(&f, laggard)->transfer_staged < 20) {
        core_run(&f, 1);
    }
    core_isolate(&f, laggard);
    core_run(&f, 3000);
    for (int i = 0; i < 3; i++) {
        core_write_some(&f, primary, 100);
        checkpoint_all_but(laggard, 30);
    }
    core_no_rules(&f);
    core_run(&f, 30000);
    const struct vr_snapshot *s = core_see(&f, laggard);
    ck_assert_uint_eq(s->checkpoints_installed, 1);
    ck_assert_uint_eq(s->checkpoint_op, 900);
    ck_assert_uint_eq(s->commit_number, 900);
}
END_TEST

/* K2: disk is bounded however many pull, and those go on that began first. */
START_TEST(few_checkpoints_are_kept_for_others)
{
    teardown();
    core_init(&f, 9);
    const uint32_t primary = core_form(&f);
    const struct replica *r = f.nodes[primary].replica;
    struct checkpoint_id first = {0};
    for (uint32_t i = 1; i < 9; i++) {
        core_write_some(&f, primary, 10);
        const struct checkpoint_id id = core_checkpoint(&f, primary, 100);
        first = i == 1 ? id : first;
        ask_chunk((primary + i) % 9, primary, &id, 0);
    }
    core_write_some(&f, primary, 10);
    (void)core_checkpoint(&f, primary, 100);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < r->checkpoint_count; i++) {
        kept += (r->checkpoints_gone & (UINT32_C(1) << i)) == 0 ? 1u : 0u;
    }
    ck_assert_uint_eq(kept, 2 + CHECKPOINT_PINS_MAX);
    ck_assert_ptr_nonnull(checkpoint_with_root(r, first.root));
}
END_TEST

/* K2: where the memory of the log fills up during a transfer, what follows the checkpoint that is
 * pulled goes last. */
START_TEST(a_log_that_fills_up_is_kept_behind_the_pulled)
{
    f.defaults.log_retain = 3000;
    f.defaults.transfer_rate = TRANSFER_RATE_MIN;
    const uint32_t primary = core_form(&f);
    const uint32_t laggard = (primary + 1) % 3;
    core_isolate(&f, laggard);
    core_write_some(&f, primary, 2000);
    checkpoint_all_but(laggard, 100);
    core_write_some(&f, primary, 1500);
    checkpoint_all_but(laggard, 100);
    ck_assert_uint_gt(core_see(&f, primary)->base_op, 0);
    core_no_rules(&f);
    while (core_see(&f, laggard)->transfer_staged < 20) {
        core_run(&f, 1);
    }
    const uint64_t base = core_see(&f, primary)->base_op;
    core_write_some(&f, primary, 2500);
    checkpoint_all_but(laggard, 100);
    ck_assert_uint_gt(core_see(&f, primary)->base_op, base); /* it was scarce */
    ck_assert_uint_le(core_see(&f, primary)->base_op, 3500);
    core_run(&f, 20000);
    ck_assert_uint_eq(core_see(&f, laggard)->checkpoints_installed, 1);
    ck_assert_uint_eq(core_see(&f, laggard)->commit_number, 6000);
}
END_TEST

/* Where even that turns over faster than a transfer, each one brings the laggard further, the
 * others wait for nothing, and once the load eases it is level. */
START_TEST(a_log_that_turns_over_delays_no_one)
{
    f.defaults.transfer_rate = TRANSFER_RATE_MIN;
    const uint32_t primary = core_form(&f);
    const uint32_t laggard = leave_behind_by(primary, 10);
    core_no_rules(&f);
    uint64_t last = 0;
    for (uint64_t round = 1; round <= 2; round++) {
        while (core_see(&f, laggard)->transfer_op <= last) {
            core_run(&f, 1);
        }
        last = core_see(&f, laggard)->transfer_op;
        core_hold(&f, MESSAGE_CHECKPOINT_CHUNK, CORE_ANY, CORE_ANY);
        for (int i = 0; i < 4; i++) {
            core_write_some(&f, primary, 1800);
            checkpoint_all_but(laggard, 10);
        }
        ck_assert_uint_gt(core_see(&f, primary)->base_op, last);
        core_no_rules(&f);
        while (core_see(&f, laggard)->checkpoints_installed < round) {
            core_run(&f, 1);
        }
        ck_assert_uint_eq(core_see(&f, laggard)->commit_number, last);
    }
    core_run(&f, 10000);
    ck_assert_uint_eq(core_see(&f, laggard)->commit_number, core_see(&f, primary)->commit_number);
    ck_assert_uint_eq(core_see(&f, laggard)->checkpoints_installed, 3);
    ck_assert_uint_eq(core_see(&f, primary)->busy_count, 0);
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

/* The own disk fails at a chunk, and the list that was there is gone: it is asked for again, and
 * all behind it; less and less often while the disk goes on failing, and nobody else is blamed. */
START_TEST(what_the_disk_loses_is_asked_for_again)
{
    const uint32_t primary = core_form(&f);
    const uint32_t laggard = leave_behind(primary);
    f.nodes[laggard].lose_chunks = UINT32_MAX;
    core_no_rules(&f);
    core_run(&f, 20000);
    ck_assert_uint_eq(core_see(&f, laggard)->checkpoints_installed, 0);
    ck_assert_uint_ge(f.nodes[laggard].pieces_staged, 10);
    ck_assert_uint_le(f.nodes[laggard].pieces_staged, 30);
    for (uint32_t node = 0; node < 3; node++) {
        ck_assert(!f.nodes[laggard].replica->peers[node].unreachable);
    }
    f.nodes[laggard].lose_chunks = 1;
    core_run(&f, 5000);
    ck_assert_uint_eq(core_see(&f, laggard)->checkpoints_installed, 1);
    ck_assert_uint_eq(core_see(&f, laggard)->commit_number, core_see(&f, primary)->commit_number);
}
END_TEST

/* One's own checkpoint turns out to be damaged: it is not offered any more, another one is taken as
 * soon as there is something new in it, and the one before it stays. */
START_TEST(a_damaged_checkpoint_is_not_offered)
{
    const uint32_t primary = core_form(&f);
    const uint32_t laggard = leave_behind(primary);
    core_drop(&f, CORE_ANY, (int)((primary + 2) % 3), (int)laggard);
    f.nodes[primary].checkpoints_wanted = 0;
    core_unreadable(&f, primary, 600);
    core_run(&f, 20);
    ck_assert_uint_eq(f.nodes[primary].checkpoints_wanted, 1);
    ck_assert_uint_eq(core_checkpoint(&f, primary, 5).op_number, 620);
    ck_assert_uint_eq(f.nodes[primary].dropped_op, 300); /* what a start may fall back to */
    core_unreadable(&f, primary, 620);
    core_no_rules(&f);
    core_drop(&f, CORE_ANY, (int)((primary + 2) % 3), (int)laggard);
    core_run(&f, 2000);
    ck_assert_uint_eq(core_see(&f, laggard)->checkpoints_installed, 1);
    ck_assert_uint_eq(core_see(&f, laggard)->checkpoint_op, 300);
    ck_assert_uint_eq(core_see(&f, laggard)->commit_number, 620);
}
END_TEST

/* The same, and the others' last checkpoints differ: the primary's, which is the newer one, does
 * not reach it. */
static uint32_t leave_with_different_ones(uint32_t primary)
{
    const uint32_t laggard = (primary + 1) % 3;
    const uint32_t other = (primary + 2) % 3;
    core_isolate(&f, laggard);
    core_write_some(&f, primary, 300);
    (void)core_checkpoint(&f, primary, 5);
    (void)core_checkpoint(&f, other, 5);
    core_write_some(&f, primary, 200);
    (void)core_checkpoint(&f, other, 5);
    core_write_some(&f, primary, 100);
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
    core_write_some(&f, primary, 50);
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
    core_write_some(&f, primary, 50);
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
    core_write_some(&f, primary, 5);
    ck_assert_uint_eq(core_see(&f, primary)->commit_number, 55);
}
END_TEST

static void write_held(uint32_t primary, int count)
{
    for (int i = 0; i < count; i++) {
        core_request(&f, primary, "an entry of a certain size, so that blocks fill up soon enough");
        core_settle(&f);
    }
}

/* G4: while a backup pulls a checkpoint, Prepares that were late bring its log past it, and are
 * acked. What it has acked is not given up for the checkpoint, whatever it knows to be committed.
 */
START_TEST(what_is_acked_while_a_checkpoint_is_pulled_stays)
{
    const uint32_t primary = core_form(&f);
    const uint32_t slow = (primary + 1) % 3;
    const uint32_t fast = (primary + 2) % 3;
    const uint64_t view = core_view(&f, primary);
    core_hold(&f, MESSAGE_PREPARE, (int)primary, (int)slow);
    core_hold(&f, MESSAGE_COMMIT, (int)primary, (int)slow);
    write_held(primary, 400);
    core_run(&f, 45);
    (void)core_checkpoint(&f, primary, 1);
    (void)core_checkpoint(&f, fast, 1);
    core_discard(&f, MESSAGE_COMMIT, (int)primary, (int)slow);
    core_run(&f, 21); /* a Commit of 400 waits for the slow one */
    core_hold(&f, MESSAGE_PREPARE, (int)primary, (int)fast);
    write_held(primary, 310);
    while (core_see(&f, fast)->op_number < 700 &&
           core_deliver(&f, MESSAGE_PREPARE, (int)primary, (int)fast)) {
        core_settle(&f);
    }
    core_run(&f, 6);
    ck_assert_uint_eq(core_checkpoint(&f, primary, 1).op_number, 700);
    (void)core_checkpoint(&f, fast, 1);
    core_hold(&f, MESSAGE_CHECKPOINT_CHUNK, CORE_ANY, (int)slow);
    ck_assert(core_deliver(&f, MESSAGE_COMMIT, (int)primary, (int)slow));
    while (core_queued(&f, MESSAGE_CHECKPOINT_CHUNK, CORE_ANY, (int)slow) == 0) {
        core_run(&f, 1);
    }
    core_deliver(&f, MESSAGE_CHECKPOINT_CHUNK, CORE_ANY, (int)slow); /* the list */
    core_settle(&f);
    while (core_deliver(&f, MESSAGE_PREPARE, (int)primary, (int)slow)) {
    }
    core_settle(&f);
    const uint64_t committed = core_see(&f, primary)->commit_number;
    ck_assert_uint_eq(committed, 710);
    ck_assert_uint_lt(core_see(&f, slow)->commit_number, 700);
    while (core_deliver(&f, MESSAGE_CHECKPOINT_CHUNK, CORE_ANY, (int)slow)) {
        core_settle(&f);
    }
    core_crash(&f, primary);
    core_discard(&f, CORE_ANY, (int)primary, CORE_ANY);
    core_no_rules(&f);
    const uint32_t next = core_run_until_primary_above(&f, view, 5000);
    ck_assert_uint_ge(core_see(&f, next)->op_number, committed);
}
END_TEST

static uint64_t timestamp_of(uint32_t index, uint64_t op_number)
{
    struct entry entry;
    size_t size;
    const uint8_t *bytes = vr_log_bytes(f.nodes[index].replica, op_number, &size);
    ck_assert_ptr_nonnull(bytes);
    ck_assert_uint_eq(entry_decode(bytes, size, &entry), size);
    return entry.timestamp;
}

/* N3: a checkpoint may leave the log empty, and a clock may be set back then. */
START_TEST(timestamps_rise_behind_a_log_that_is_gone)
{
    const uint32_t primary = core_form(&f);
    core_write_some(&f, primary, 100);
    const uint64_t last = core_see(&f, primary)->op_number;
    const uint64_t before = timestamp_of(primary, last);
    (void)core_checkpoint(&f, primary, 1);
    compaction_make_room(f.nodes[primary].replica);
    ck_assert_uint_eq(f.nodes[primary].replica->log.base_op, last);
    f.wall_offset_ns -= INT64_C(3600) * 1000 * (int64_t)CORE_MS;
    core_write_some(&f, primary, 1);
    ck_assert_uint_gt(timestamp_of(primary, last + 1), before);
}
END_TEST

/* ---- a group that is made from a backup: init --from-backup ---- */

enum { BACKUP_OP = 500 };

/* Later than the clock of these tests will ever be. */
static const uint64_t backup_timestamp = UINT64_C(1) << 61;

/* What init writes on every replica: the state is the old group's, the log is the new one's own. */
static struct checkpoint_id backup_of(uint64_t digest)
{
    return (struct checkpoint_id){
        .op_number = BACKUP_OP,
        .view_number = view_make(EPOCH_FIRST, 0),
        .log = entry_chain_start(f.configuration.cluster_id),
        .digest = {digest, 1},
        .size = 3 * CHECKPOINT_CHUNK_SIZE,
        .root = {digest, 2},
    };
}

static void begin_with(const struct checkpoint_id *id)
{
    f.defaults.checkpoint = *id;
    f.defaults.checkpoint_timestamp = backup_timestamp;
}

static uint64_t timestamp_at(uint32_t node, uint64_t op_number)
{
    struct entry entry;
    size_t size;
    const uint8_t *bytes = vr_log_bytes(f.nodes[node].replica, op_number, &size);
    ck_assert_ptr_nonnull(bytes);
    ck_assert_uint_eq(entry_decode(bytes, size, &entry), size);
    return entry.timestamp;
}

/* K3: the first start takes the checkpoint for executed, committed and durable, and the log goes on
 * behind it as it does behind op 0 elsewhere. */
START_TEST(a_group_begins_behind_a_backup)
{
    const struct checkpoint_id backup = backup_of(1);
    begin_with(&backup);
    for (uint32_t node = 0; node < 3; node++) {
        core_start(&f, node);
        const struct vr_snapshot *s = core_see(&f, node);
        ck_assert_int_eq((int)s->status, STATUS_VIEW_CHANGE); /* P1: no primary of its own */
        ck_assert(s->base_op == BACKUP_OP && s->op_number == BACKUP_OP);
        ck_assert(s->commit_number == BACKUP_OP && s->executed_op == BACKUP_OP);
        ck_assert_uint_eq(s->checkpoint_op, BACKUP_OP);
        ck_assert(checksum_equal(s->checkpoint_digest, backup.digest));
    }
    ck_assert(core_run_until_normal(&f, 5000));
    ck_assert_uint_eq(core_view(&f, A), 0);
    const uint32_t primary = core_primary(&f);
    core_request(&f, primary, "the first");
    core_settle(&f);
    core_run(&f, 60);
    for (uint32_t node = 0; node < 3; node++) {
        const struct vr_snapshot *s = core_see(&f, node);
        ck_assert(core_holds(&f, node, BACKUP_OP + 1, "the first"));
        ck_assert_uint_eq(s->executed_op, BACKUP_OP + 1);
        ck_assert_uint_eq(s->checkpoints_installed, 0);
        /* N3: time has not gone back, though the old group's clock was ahead. */
        ck_assert_uint_gt(timestamp_at(node, BACKUP_OP + 1), backup_timestamp);
    }
}
END_TEST

/* D5: and goes on like any other, view change and restarts of everybody included. */
START_TEST(a_group_from_a_backup_comes_back_with_its_log)
{
    const struct checkpoint_id backup = backup_of(1);
    begin_with(&backup);
    const uint32_t primary = core_form(&f);
    core_write_some(&f, primary, 7);
    core_crash(&f, primary);
    const uint32_t next = core_run_until_primary_above(&f, 0, 3000);
    ck_assert_uint_ne(next, REPLICAS_MAX);
    core_write_some(&f, next, 3);
    for (uint32_t node = 0; node < 3; node++) {
        core_crash(&f, node);
    }
    for (uint32_t node = 0; node < 3; node++) {
        core_resume(&f, node, f.nodes[node].kept.op_number);
    }
    ck_assert(core_run_until_normal(&f, 5000));
    core_write_some(&f, core_primary(&f), 1);
    for (uint32_t node = 0; node < 3; node++) {
        ck_assert_uint_eq(core_see(&f, node)->commit_number, BACKUP_OP + 11);
        ck_assert_uint_eq(core_see(&f, node)->checkpoints_installed, 0);
    }
}
END_TEST

/* G4: what the group began with is a checkpoint like any other to one that has lost all. */
START_TEST(a_backup_is_served_to_who_has_lost_it)
{
    const struct checkpoint_id backup = backup_of(1);
    begin_with(&backup);
    const uint32_t primary = core_form(&f);
    const uint32_t loser = (primary + 1) % 3;
    core_write_some(&f, primary, 7);
    core_crash(&f, loser);
    f.defaults.checkpoint.op_number = 0;
    core_start(&f, loser);
    ck_assert_uint_eq(core_see(&f, loser)->op_number, 0);
    core_run(&f, 3000);
    const struct vr_snapshot *s = core_see(&f, loser);
    ck_assert_int_eq((int)s->status, STATUS_NORMAL);
    ck_assert_uint_eq(s->checkpoints_installed, 1);
    ck_assert(s->base_op == BACKUP_OP && s->commit_number == BACKUP_OP + 7);
}
END_TEST

/* K4: one that began with another file is told apart by its digest before anything is executed. */
START_TEST(a_replica_that_began_with_another_backup_leaves_service)
{
    const struct checkpoint_id backup = backup_of(1);
    const struct checkpoint_id another = backup_of(3);
    begin_with(&backup);
    core_start(&f, A);
    core_start(&f, B);
    begin_with(&another);
    core_start(&f, C);
    core_run(&f, 1000);
    ck_assert(f.nodes[C].replica->diverged);
    ck_assert(!f.nodes[A].replica->diverged && !f.nodes[B].replica->diverged);
    core_write_some(&f, core_primary(&f), 5);
    ck_assert_uint_eq(core_see(&f, A)->commit_number, BACKUP_OP + 5);
    ck_assert_uint_eq(core_see(&f, C)->executed_op, BACKUP_OP);
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
    tcase_add_loop_test(tcase, a_transfer_has_its_rate, 0, 3);
    tcase_add_test(tcase, what_is_asked_for_waits_once);
    tcase_add_test(tcase, a_paused_laggard_goes_on);
    tcase_add_test(tcase, a_transfer_outlives_its_sync);
    tcase_add_test(tcase, a_checkpoint_that_nobody_has_is_given_up);
    tcase_add_test(tcase, few_checkpoints_are_kept_for_others);
    tcase_add_test(tcase, a_log_that_fills_up_is_kept_behind_the_pulled);
    tcase_add_test(tcase, a_log_that_turns_over_delays_no_one);
    tcase_add_test(tcase, the_log_is_frozen_while_installing);
    tcase_add_test(tcase, damaged_chunks_install_nothing);
    tcase_add_test(tcase, what_the_disk_loses_is_asked_for_again);
    tcase_add_test(tcase, a_damaged_checkpoint_is_not_offered);
    tcase_add_test(tcase, an_offer_that_nothing_follows_is_given_up);
    tcase_add_test(tcase, a_source_that_is_silent_for_a_while_is_kept);
    tcase_add_test(tcase, a_recovering_replica_pulls_a_checkpoint);
    tcase_add_test(tcase, a_primary_to_be_that_needs_a_checkpoint_is_passed_over);
    tcase_add_test(tcase, an_offer_below_the_commit_number_is_dropped);
    tcase_add_test(tcase, a_digest_that_differs_ends_the_service);
    tcase_add_test(tcase, what_is_acked_while_a_checkpoint_is_pulled_stays);
    tcase_add_test(tcase, timestamps_rise_behind_a_log_that_is_gone);
    tcase_add_test(tcase, a_group_begins_behind_a_backup);
    tcase_add_test(tcase, a_group_from_a_backup_comes_back_with_its_log);
    tcase_add_test(tcase, a_backup_is_served_to_who_has_lost_it);
    tcase_add_test(tcase, a_replica_that_began_with_another_backup_leaves_service);
    tcase_set_timeout(tcase, 60);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
