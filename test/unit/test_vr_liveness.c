/* SPDX-License-Identifier: Apache-2.0 */
/* Schedules in which the group could talk and yet did not get on. Each was met by the simulator or
 * by a hostile reader of the core; each fails without the words that it names. */
#include <check.h>
#include <stdlib.h>

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

static uint64_t view(uint64_t within_epoch)
{
    return view_make(EPOCH_FIRST, within_epoch);
}

/* Every write of a state file takes `write_ms`. Returns whether all became normal in time. */
static bool form_with_slow_state_files(uint64_t write_ms, uint64_t limit_ms)
{
    uint64_t since[REPLICAS_MAX] = {0};
    for (uint32_t i = 0; i < f.count; i++) {
        f.nodes[i].hold_state = true;
        core_start(&f, i);
    }
    for (uint64_t ms = 0; ms < limit_ms; ms++) {
        core_run(&f, 1);
        uint32_t normal = 0;
        for (uint32_t i = 0; i < f.count; i++) {
            if (!f.nodes[i].state_waits) {
                since[i] = f.now_ns;
            } else if (f.now_ns - since[i] >= write_ms * CORE_MS) {
                core_state_done(&f, i);
                since[i] = f.now_ns;
            }
            normal += core_see(&f, i)->status == STATUS_NORMAL ? 1u : 0u;
        }
        if (normal == f.count) {
            return true;
        }
    }
    return false;
}

/* V1, VC-18: the doubled timeout lasts until the view commits, for primary and backups alike; else
 * a state file slower than T never lets a view last. */
START_TEST(V1_slow_state_files_delay_a_view_and_do_not_prevent_it)
{
    ck_assert(form_with_slow_state_files(500, 60 * 1000));
}
END_TEST

/* TM-3, TM-5: a backup that always runs late suspects a dead primary all the same. */
START_TEST(TM_3_a_stall_is_forgiven_once)
{
    const uint32_t primary = core_form(&f);
    core_run(&f, 100);
    const uint64_t before = core_view(&f, primary);
    core_crash(&f, primary);
    core_discard(&f, CORE_ANY, CORE_ANY, CORE_ANY);
    for (int step = 0; step < 20; step++) {
        f.now_ns += 200 * CORE_MS;
        for (uint32_t i = 0; i < f.count; i++) {
            if (f.nodes[i].up && vr_deadline(f.nodes[i].replica) <= f.now_ns) {
                core_tick(&f, i);
            }
        }
        core_settle(&f);
    }
    ck_assert_uint_gt(core_view(&f, (primary + 1) % 3), before);
}
END_TEST

/* TH-4, TM-3: after a stall of its own a replica blames nobody: a backup does not suspect the
 * primary, and the primary does not give up its view. The time that passes afterwards counts as
 * ever. */
START_TEST(TM_3_a_late_tick_blames_nobody)
{
    const uint32_t primary = core_form(&f);
    const uint32_t backup = (primary + 1) % 3;
    core_run(&f, 100);
    core_hold(&f, CORE_ANY, CORE_ANY, CORE_ANY);
    f.now_ns += 500 * CORE_MS;
    core_tick(&f, backup);
    core_tick(&f, primary);
    ck_assert(!core_see(&f, backup)->suspecting);
    ck_assert(!core_see(&f, primary)->suspecting);
    ck_assert(is_serving(f.nodes[primary].replica));
    core_run(&f, 2 * f.defaults.view_change_ns / CORE_MS);
    ck_assert(core_see(&f, backup)->suspecting);
    ck_assert(!is_serving(f.nodes[primary].replica));
}
END_TEST

/* N10: a Prepare that was lost while its backup was still entering the view is sent again as soon
 * as the backup's first PrepareOk shows that it lacks something. */
START_TEST(N10_an_ack_that_lacks_entries_arms_the_resend)
{
    const uint32_t primary = core_form(&f);
    core_run(&f, 100);
    const uint64_t v = core_view(&f, primary);
    const uint32_t a = (uint32_t)((v + 1) % 3);
    const uint32_t b = (uint32_t)((v + 2) % 3);
    core_crash(&f, primary);
    core_hold(&f, MESSAGE_START_VIEW, (int)a, (int)b);
    while (core_queued(&f, MESSAGE_START_VIEW, (int)a, (int)b) == 0) {
        core_run(&f, 1);
    }
    f.nodes[b].hold_state = true;
    core_no_rules(&f);
    core_settle(&f); /* b installs; its state file is being written */
    core_drop(&f, MESSAGE_PREPARE, (int)a, (int)b);
    core_request(&f, a, "y");
    core_settle(&f);
    core_run(&f, 1);
    core_no_rules(&f);
    core_run(&f, 30);
    f.nodes[b].hold_state = false;
    core_state_done(&f, b);
    core_run(&f, 60);
    ck_assert_uint_eq(core_view(&f, a), v + 1);
    ck_assert_uint_eq(core_see(&f, a)->commit_number, 1);
}
END_TEST

/* Time passes on links that bring acks back `round_trip_ms` after what they answer. */
enum { ROUND_TRIP_MAX_MS = 64 };

struct late_acks {
    uint64_t sent[ROUND_TRIP_MAX_MS]; /* how many, until each of the last milliseconds */
    uint64_t delivered;
};

static void run_with_late_acks(struct late_acks *acks, uint32_t round_trip_ms, uint64_t ms)
{
    ck_assert_uint_le(round_trip_ms, ROUND_TRIP_MAX_MS);
    for (uint64_t i = 0; i < ms; i++) {
        core_run(&f, 1);
        uint64_t *sent = &acks->sent[f.now_ns / CORE_MS % round_trip_ms];
        for (; acks->delivered < *sent; acks->delivered++) {
            ck_assert(core_deliver(&f, MESSAGE_PREPARE_OK, CORE_ANY, CORE_ANY));
        }
        *sent = acks->delivered + core_queued(&f, MESSAGE_PREPARE_OK, CORE_ANY, CORE_ANY);
    }
}

/* A fifth of T, which is as long as they should be, and longer. */
static const uint32_t round_trips_ms[] = {24, 30, 40};
enum { ROUND_TRIPS = sizeof round_trips_ms / sizeof round_trips_ms[0] };

/* A primary that knows how long its round trips are; returns it. */
static uint32_t form_with_late_acks(struct late_acks *acks, uint32_t round_trip_ms)
{
    const uint32_t primary = core_form(&f);
    core_run(&f, 100);
    core_hold(&f, MESSAGE_PREPARE_OK, CORE_ANY, CORE_ANY);
    run_with_late_acks(acks, round_trip_ms, 1000);
    for (uint32_t i = 0; i < f.count; i++) {
        const uint64_t rtt_ns = core_see(&f, primary)->members[i].rtt_ns;
        ck_assert(i == primary || rtt_ns > (round_trip_ms - 2) * CORE_MS);
    }
    return primary;
}

/* N10, V1: a Prepare that got lost to all, with nothing behind it that would show the gap, is sent
 * again while its primary still may, however long the round trips are. */
START_TEST(N10_a_resend_comes_before_the_suspicion)
{
    struct late_acks acks = {0};
    const uint32_t round_trip_ms = round_trips_ms[_i];
    const uint32_t primary = form_with_late_acks(&acks, round_trip_ms);
    const uint64_t v = core_view(&f, primary);
    core_request(&f, primary, "x");
    core_discard(&f, MESSAGE_PREPARE, CORE_ANY, CORE_ANY);
    run_with_late_acks(&acks, round_trip_ms, 2 * f.defaults.view_change_ns / CORE_MS);
    ck_assert_uint_eq(core_see(&f, primary)->commit_number, 1);
    for (uint32_t i = 0; i < f.count; i++) {
        ck_assert_uint_eq(core_view(&f, i), v);
    }
}
END_TEST

/* N10, V1: and if that gets lost as well, once more. */
START_TEST(N10_two_resends_come_before_the_suspicion)
{
    struct late_acks acks = {0};
    const uint32_t round_trip_ms = round_trips_ms[_i];
    const uint32_t primary = form_with_late_acks(&acks, round_trip_ms);
    const uint64_t before = core_see(&f, primary)->prepares_resent;
    core_drop(&f, MESSAGE_PREPARE, CORE_ANY, CORE_ANY);
    core_request(&f, primary, "x");
    /* The last ack that counted is up to a heartbeat older than the Prepare. */
    const uint64_t left_ns = f.defaults.view_change_ns - f.defaults.heartbeat_ns;
    run_with_late_acks(&acks, round_trip_ms, left_ns / CORE_MS);
    ck_assert_uint_eq(core_see(&f, primary)->prepares_resent, before + 2 * (f.count - 1));
}
END_TEST

/* UDP-7: a heartbeat recorded and said again keeps no dead primary alive. */
START_TEST(UDP_7_a_replayed_heartbeat_is_not_heard)
{
    const uint32_t primary = core_form(&f);
    core_run(&f, 100);
    const uint64_t before = core_view(&f, primary);
    core_hold(&f, MESSAGE_COMMIT, (int)primary, CORE_ANY);
    core_run(&f, 30);
    const struct message recorded = *core_oldest(&f, MESSAGE_COMMIT, (int)primary, CORE_ANY);
    core_no_rules(&f);
    core_run(&f, 30);
    core_crash(&f, primary);
    for (int i = 0; i < 100 && core_view(&f, (primary + 1) % 3) == before; i++) {
        core_run(&f, 50);
        core_inject(&f, (primary + 1) % 3, primary, recorded);
        core_inject(&f, (primary + 2) % 3, primary, recorded);
    }
    ck_assert_uint_gt(core_view(&f, (primary + 1) % 3), before);
}
END_TEST

/* V9: a later view that was heard of and came to nothing does not keep later primaries silent. */
START_TEST(V9_a_view_that_never_was_silences_nobody_for_ever)
{
    core_form(&f);
    for (uint32_t i = 0; i < 3; i++) {
        core_inject(&f, i, (i + 1) % 3,
                    (struct message){.type = MESSAGE_GET_VIEW,
                                     .get_view = {.view_number = view(1000 * 1000)}});
    }
    core_run(&f, 2000);
    const uint32_t primary = core_primary(&f);
    ck_assert_uint_ne(primary, REPLICAS_MAX);
    core_request(&f, primary, "x");
    core_run(&f, 100);
    ck_assert_uint_eq(core_see(&f, primary)->commit_number, 1);
}
END_TEST

/* V9: a primary that has heard of a later view counts no acks, its own neither. */
START_TEST(V9_the_own_log_write_is_no_ack_either)
{
    const uint32_t primary = core_form(&f);
    const uint32_t backup = (primary + 1) % 3;
    core_run(&f, 100);
    core_isolate(&f, (primary + 2) % 3);
    f.nodes[primary].hold_log = true;
    core_request(&f, primary, "x");
    core_settle(&f);
    core_inject(&f, primary, backup,
                (struct message){.type = MESSAGE_GET_VIEW,
                                 .get_view = {.view_number = view(core_view(&f, primary) + 5)}});
    core_log_done(&f, primary);
    ck_assert(core_see(&f, primary)->acting_primary);
    ck_assert_uint_eq(core_see(&f, primary)->commit_number, 0);
}
END_TEST

/* E1: what is adopted is durable, so a leap that no group can have made is not believed, nor a view
 * after which a vote would leave the epoch. */
START_TEST(E1_leaps_of_the_view_are_refused)
{
    const uint32_t primary = core_form(&f);
    const uint64_t before = core_view(&f, primary);
    const uint64_t forged[] = {before + VIEW_LEAP_MAX + 1, (UINT64_C(1) << VIEW_BITS) - 2,
                               (UINT64_C(1) << VIEW_BITS) - 1};
    for (size_t i = 0; i < sizeof forged / sizeof forged[0]; i++) {
        core_inject(&f, primary, (primary + 1) % 3,
                    (struct message){.type = MESSAGE_RECOVERY,
                                     .recovery = {.nonce = 1, .view_number = view(forged[i])}});
        core_run(&f, 50);
        ck_assert_uint_eq(core_view(&f, primary), before);
    }
}
END_TEST

/* RC-10, V4: the best log's replica restarts before it could be asked for it. Its DoViewChange goes
 * with the process that said it, and the view starts from what the others hold. */
START_TEST(RC_10_a_new_incarnation_takes_its_do_view_change_back)
{
    core_free(&f);
    core_init(&f, 5);
    const uint32_t primary = core_form(&f);
    core_run(&f, 100);
    const uint64_t v = core_view(&f, primary);
    const uint32_t next = (uint32_t)((v + 1) % 5);
    const uint32_t best = (uint32_t)((v + 2) % 5);
    for (uint32_t i = 0; i < 5; i++) {
        if (i != best) {
            core_drop(&f, MESSAGE_PREPARE, (int)primary, (int)i);
        }
    }
    core_request(&f, primary, "x");
    core_settle(&f);
    core_crash(&f, primary);
    core_no_rules(&f);
    core_discard(&f, CORE_ANY, CORE_ANY, CORE_ANY);
    core_hold(&f, MESSAGE_CATCHUP_REQUEST, CORE_ANY, (int)best);
    while (core_queued(&f, MESSAGE_CATCHUP_REQUEST, (int)next, (int)best) == 0) {
        core_run(&f, 1);
    }
    core_no_rules(&f);
    core_discard(&f, CORE_ANY, CORE_ANY, CORE_ANY);
    core_crash(&f, best);
    core_start(&f, best);
    const uint32_t started = core_run_until_primary_above(&f, v, 20 * 1000);
    ck_assert_uint_eq(started, next);
    ck_assert_uint_eq(core_view(&f, next), v + 1);
}
END_TEST

/* RC-10, V4: two DoViewChanges and one that a dead process said are no quorum of three. */
START_TEST(RC_10_a_do_view_change_ends_with_its_process)
{
    core_free(&f);
    core_init(&f, 5);
    const uint32_t primary = core_form(&f);
    core_run(&f, 100);
    const uint64_t v = core_view(&f, primary);
    const uint32_t next = (uint32_t)((v + 1) % 5);
    const uint32_t restarts = (uint32_t)((v + 2) % 5);
    struct message dvc = {
        .type = MESSAGE_DO_VIEW_CHANGE,
        .do_view_change = {.view_number = view(v + 1), .log = core_descriptor(&f, next)},
    };
    core_hold(&f, CORE_ANY, CORE_ANY, CORE_ANY);
    core_inject(&f, next, restarts, dvc); /* takes it there (V3) */
    core_run(&f, 1);
    ck_assert_uint_eq(core_view(&f, next), v + 1);
    core_crash(&f, restarts);
    core_start(&f, restarts);
    core_inject(&f, next, restarts,
                (struct message){.type = MESSAGE_RECOVERY,
                                 .recovery = {.nonce = 1, .view_number = view(v)}});
    core_inject(&f, next, (uint32_t)((v + 3) % 5), dvc);
    ck_assert_uint_eq(core_see(&f, next)->views_started, 0);
    core_inject(&f, next, (uint32_t)((v + 4) % 5), dvc);
    ck_assert_uint_eq(core_see(&f, next)->views_started, 1);
}
END_TEST

/* V6: where the way to one holder of the best log is broken, another one serves it, in the same
 * view. */
START_TEST(V6_a_second_source_serves_the_choice)
{
    core_free(&f);
    core_init(&f, 5);
    const uint32_t primary = core_form(&f);
    core_run(&f, 100);
    const uint64_t v = core_view(&f, primary);
    const uint32_t next = (uint32_t)((v + 1) % 5);
    core_drop(&f, MESSAGE_PREPARE, (int)primary, (int)next);
    core_drop(&f, MESSAGE_COMMIT, (int)primary, (int)next);
    for (int i = 0; i < 5; i++) {
        core_request(&f, primary, "x");
        core_settle(&f);
    }
    core_crash(&f, primary);
    core_no_rules(&f);
    core_discard(&f, CORE_ANY, CORE_ANY, CORE_ANY);
    core_hold(&f, MESSAGE_CATCHUP_REQUEST, (int)next, CORE_ANY);
    while (core_queued(&f, MESSAGE_CATCHUP_REQUEST, (int)next, CORE_ANY) == 0) {
        core_run(&f, 1);
    }
    uint32_t best = 0;
    while (core_queued(&f, MESSAGE_CATCHUP_REQUEST, (int)next, (int)best) == 0) {
        best++;
    }
    core_no_rules(&f);
    core_discard(&f, CORE_ANY, CORE_ANY, CORE_ANY);
    core_drop(&f, MESSAGE_CATCHUP_REQUEST, (int)next, (int)best);
    ck_assert_uint_eq(core_run_until_primary_above(&f, v, 20 * 1000), next);
    ck_assert_uint_eq(core_view(&f, next), v + 1);
}
END_TEST

/* G5: a target that nobody has - here of a forged heartbeat - is given up, and a real gap that
 * comes after it is closed. */
START_TEST(G5_a_target_that_nobody_has_ends)
{
    const uint32_t primary = core_form(&f);
    core_run(&f, 100);
    const uint32_t backup = (primary + 1) % 3;
    core_drop(&f, MESSAGE_PREPARE, (int)primary, (int)backup);
    core_drop(&f, MESSAGE_COMMIT, (int)primary, (int)backup);
    core_request(&f, primary, "x");
    core_request(&f, primary, "y");
    core_settle(&f);
    core_inject(&f, backup, primary,
                (struct message){.type = MESSAGE_COMMIT,
                                 .commit = {.view_number = core_see(&f, primary)->view_number,
                                            .commit_number = 2,
                                            .commit_checksum = {1, 2},
                                            .op_number = 2,
                                            .round = 1}});
    core_settle(&f); /* ends: asking again is left to the tick */
    core_run(&f, 60);
    core_no_rules(&f);
    core_request(&f, primary, "z");
    ck_assert(core_run_until_normal(&f, 5000));
    ck_assert_uint_eq(core_see(&f, backup)->commit_number, 3);
}
END_TEST

/* N7: after divergence nothing is due any more, whatever was waiting. */
START_TEST(N7_a_diverged_replica_rests)
{
    const uint32_t primary = core_form(&f);
    core_request(&f, primary, "x");
    core_settle(&f);
    core_run(&f, 50);
    const uint32_t backup = (primary + 1) % 3;
    const uint64_t view_number = core_see(&f, primary)->view_number;
    core_inject(&f, backup, primary,
                (struct message){.type = MESSAGE_COMMIT,
                                 .commit = {.view_number = view_number,
                                            .commit_number = 1,
                                            .commit_checksum = {1, 2},
                                            .op_number = 1,
                                            .round = 1000}});
    ck_assert(core_see(&f, backup)->diverged);
    core_inject(&f, backup, (primary + 2) % 3,
                (struct message){
                    .type = MESSAGE_CATCHUP_REQUEST,
                    .catchup_request = {
                        .nonce = 1, .last_normal_view = view_number, .from_op = 1, .to_op = 1}});
    ck_assert_uint_eq(vr_deadline(f.nodes[backup].replica), TIMEOUT_NEVER);
}
END_TEST

/* D9: the group is lost also for a replica that was pulling from a primary that is gone. */
START_TEST(D9_a_dead_source_does_not_hide_that_the_group_is_lost)
{
    const uint32_t primary = core_form(&f);
    for (int i = 0; i < 50; i++) {
        core_request(&f, primary, "some bytes to pull");
        core_settle(&f);
    }
    const uint32_t b = (primary + 1) % 3;
    const uint32_t c = (primary + 2) % 3;
    core_crash(&f, c);
    core_crash(&f, b);
    core_start(&f, b);
    core_drop(&f, MESSAGE_CATCHUP_RESPONSE, CORE_ANY, CORE_ANY);
    core_run(&f, 50);
    ck_assert_uint_gt(core_see(&f, b)->sync_target, 0);
    core_crash(&f, primary);
    core_no_rules(&f);
    core_start(&f, primary);
    core_start(&f, c);
    core_run(&f, 10 * 1000);
    for (uint32_t i = 0; i < 3; i++) {
        ck_assert(core_see(&f, i)->group_lost);
    }
}
END_TEST

/* V1: a member that the quorum needs and that is far behind pulls the view's log for longer than T.
 * Its progress keeps the primary; without it the view, and every later one, would fail. */
START_TEST(V1_progress_of_a_pulling_backup_keeps_the_primary)
{
    const uint32_t primary = core_form(&f);
    core_run(&f, 100);
    const uint32_t laggard = (primary + 2) % 3;
    core_isolate(&f, laggard);
    for (int i = 0; i < 300; i++) {
        core_request(&f, primary, "x");
        core_settle(&f);
        core_run(&f, 1);
    }
    const uint64_t v = core_view(&f, primary);
    core_crash(&f, (primary + 1) % 3);
    core_no_rules(&f);
    core_discard(&f, CORE_ANY, CORE_ANY, CORE_ANY);
    /* One answer every 30 ms: some seconds for all of it, many times T. */
    core_hold(&f, MESSAGE_CATCHUP_RESPONSE, (int)primary, (int)laggard);
    for (int i = 0; i < 500 && core_see(&f, laggard)->commit_number < 300; i++) {
        core_run(&f, 30);
        (void)core_deliver(&f, MESSAGE_CATCHUP_RESPONSE, (int)primary, (int)laggard);
    }
    ck_assert_uint_eq(core_see(&f, laggard)->commit_number, 300);
    ck_assert_uint_eq(core_view(&f, primary), v);
}
END_TEST

/* V2, VC-18: a member that slept while the group went through many views, and is needed now, votes
 * for the view that the others want, and does not time out in each that it missed. */
START_TEST(V2_whoever_slept_votes_for_the_latest)
{
    const uint32_t sleeper = (core_form(&f) + 2) % 3;
    core_run(&f, 100);
    core_isolate(&f, sleeper);
    uint32_t primary = core_primary(&f);
    for (int i = 0; i < 20; i++) {
        const uint64_t v = core_view(&f, primary);
        core_crash(&f, primary);
        core_resume(&f, primary, 0);
        primary = core_run_until_primary_above(&f, v, 60 * 1000);
        ck_assert_uint_lt(primary, 3);
    }
    const uint64_t v = core_view(&f, primary);
    ck_assert_uint_ge(v, core_view(&f, sleeper) + 20);
    core_crash(&f, primary);
    core_no_rules(&f);
    core_discard(&f, CORE_ANY, CORE_ANY, CORE_ANY);
    const uint64_t cap_ms = f.defaults.view_change_max_ns / CORE_MS;
    ck_assert_uint_lt(core_run_until_primary_above(&f, v, 3 * cap_ms), 3);
}
END_TEST

/* N2, C4: a look-up that the executor cannot answer is followed by an entry, or the client of an
 * evicted session would ask for ever. */
START_TEST(N2_a_look_up_without_an_answer_is_logged_again)
{
    const uint32_t primary = core_form(&f);
    core_request_again(&f, primary, 7, "x");
    core_settle(&f);
    ck_assert_uint_eq(core_see(&f, primary)->commit_number, 1);
    core_request_again(&f, primary, 7, "x"); /* the executor is asked */
    core_settle(&f);
    ck_assert_uint_eq(core_see(&f, primary)->op_number, 1);
    core_request_again(&f, primary, 7, "x"); /* that did not help */
    core_settle(&f);
    ck_assert_uint_eq(core_see(&f, primary)->op_number, 2);
}
END_TEST

/* V11, G3: a replica whose memory ends before the group's log stays out and says so, instead of
 * pulling it again and again. */
START_TEST(G3_a_log_that_does_not_fit_is_pulled_once)
{
    const uint32_t primary = core_form(&f);
    const uint32_t small = (primary + 1) % 3;
    for (int i = 0; i < 200; i++) {
        core_request(&f, primary, "an entry of more than a hundred bytes");
        core_settle(&f);
    }
    core_run(&f, 50);
    core_crash(&f, small);
    f.nodes[small].hold_execution = false;
    core_start(&f, small);
    struct replica *r = f.nodes[small].replica;
    r->log.block_size = r->staging.block_size = 4096 / 24 * 24;
    r->log.block_count = r->staging.block_count = 1;
    r->log.free_blocks = r->staging.free_blocks = 1;
    core_run(&f, 2000);
    ck_assert_int_eq((int)core_see(&f, small)->status, STATUS_RECOVERING);
    ck_assert(core_see(&f, small)->log_full);
    const uint64_t served = core_see(&f, primary)->catchup_served;
    core_run(&f, 2000);
    ck_assert_uint_eq(core_see(&f, primary)->catchup_served, served);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("vr liveness");
    TCase *tcase = tcase_create("vr liveness");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, V1_slow_state_files_delay_a_view_and_do_not_prevent_it);
    tcase_add_test(tcase, TM_3_a_stall_is_forgiven_once);
    tcase_add_test(tcase, TM_3_a_late_tick_blames_nobody);
    tcase_add_test(tcase, N10_an_ack_that_lacks_entries_arms_the_resend);
    tcase_add_loop_test(tcase, N10_a_resend_comes_before_the_suspicion, 0, ROUND_TRIPS);
    tcase_add_loop_test(tcase, N10_two_resends_come_before_the_suspicion, 0, ROUND_TRIPS);
    tcase_add_test(tcase, UDP_7_a_replayed_heartbeat_is_not_heard);
    tcase_add_test(tcase, V9_a_view_that_never_was_silences_nobody_for_ever);
    tcase_add_test(tcase, V9_the_own_log_write_is_no_ack_either);
    tcase_add_test(tcase, E1_leaps_of_the_view_are_refused);
    tcase_add_test(tcase, RC_10_a_new_incarnation_takes_its_do_view_change_back);
    tcase_add_test(tcase, RC_10_a_do_view_change_ends_with_its_process);
    tcase_add_test(tcase, V6_a_second_source_serves_the_choice);
    tcase_add_test(tcase, G5_a_target_that_nobody_has_ends);
    tcase_add_test(tcase, N7_a_diverged_replica_rests);
    tcase_add_test(tcase, D9_a_dead_source_does_not_hide_that_the_group_is_lost);
    tcase_add_test(tcase, V1_progress_of_a_pulling_backup_keeps_the_primary);
    tcase_add_test(tcase, V2_whoever_slept_votes_for_the_latest);
    tcase_add_test(tcase, N2_a_look_up_without_an_answer_is_logged_again);
    tcase_add_test(tcase, G3_a_log_that_does_not_fit_is_pulled_once);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
