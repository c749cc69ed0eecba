/* SPDX-License-Identifier: Apache-2.0 */
/* server/runtime: what a replica tells people: status notes. */
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/os/clock.h"
#include "common/os/logger.h"
#include "server/runtime/health.h"
#include "server/runtime/supervisor.h"

static struct health health;
static struct health_published published;
static char note[HEALTH_NOTE_MAX];

/* Replica 1 of five, normal, with nothing to say. */
static void setup(void)
{
    struct configuration configuration = {
        .cluster_id = 1,
        .epoch = EPOCH_FIRST,
        .member_count = 5,
        .parameters = cluster_parameters_default(),
    };
    for (uint32_t i = 0; i < configuration.member_count; i++) {
        configuration.members[i].replica_id = i;
        configuration.members[i].role = MEMBER_ACTIVE;
    }
    health_init(&health, &configuration, 1, 1024 * 1024, NANOSECONDS_PER_MILLISECOND);
    memset(&published, 0, sizeof published);
    published.snapshot.status = STATUS_NORMAL;
    published.snapshot.member_count = configuration.member_count;
}

static void teardown(void)
{
    health_destroy(&health);
}

static const char *noted(void)
{
    return health_note(&health, &published, note);
}

START_TEST(healthy_replica_has_nothing_to_say)
{
    ck_assert_str_eq(noted(), "");
}
END_TEST

/* D9: what has happened, how many, and what to do. */
START_TEST(lost_group_is_called_lost)
{
    published.snapshot.status = STATUS_RECOVERING;
    published.snapshot.group_lost = true;
    published.snapshot.members[0].recovering = true;
    published.snapshot.members[4].recovering = true;
    ck_assert_ptr_nonnull(strstr(noted(), "3 of 5 replicas have lost their memory"));
    ck_assert_ptr_nonnull(strstr(note, "vr-client unsafe-restore"));
}
END_TEST

START_TEST(catching_up_shows_how_far_and_how_long)
{
    published.snapshot.sync_from = 1000;
    published.snapshot.sync_op = 1500;
    published.snapshot.sync_target = 2000;
    published.sync_started_ns = 10 * NANOSECONDS_PER_SECOND;
    published.published_ns = 12 * NANOSECONDS_PER_SECOND;
    ck_assert_str_eq(noted(), "catch-up 50 %, about 2 s left");

    published.snapshot.sync_op = 1990; /* it has not ended */
    ck_assert_str_eq(noted(), "catch-up 99 %, about 1 s left");

    published.snapshot.sync_op = 1000;
    ck_assert_str_eq(noted(), "catch-up 0 %");

    published.snapshot.sync_from = 2000; /* only the claim is missing */
    published.snapshot.sync_op = 2000;
    ck_assert_str_eq(noted(), "catch-up 100 %");
}
END_TEST

/* G4: what came since it was begun tells the pace; what an earlier attempt left does not. */
START_TEST(a_transfer_shows_how_far_and_how_long)
{
    published.snapshot.sync_target = 2000;
    published.snapshot.transfer_op = 1000;
    published.snapshot.transfer_chunks = 100;
    published.snapshot.transfer_staged = 23;
    published.transfer_first = 23;
    published.transfer_started_ns = 10 * NANOSECONDS_PER_SECOND;
    published.published_ns = 14 * NANOSECONDS_PER_SECOND;
    ck_assert_str_eq(noted(), "checkpoint 23 %");

    published.snapshot.transfer_staged = 63;
    ck_assert_str_eq(noted(), "checkpoint 63 %, about 4 s left");

    published.snapshot.transfer_staged = 100;
    ck_assert_str_eq(noted(), "checkpoint 100 %, being loaded");
}
END_TEST

/* N7 goes before everything else. */
START_TEST(divergence_is_the_first_thing_to_know)
{
    published.snapshot.diverged = true;
    published.snapshot.log_full = true;
    published.snapshot.sync_target = 5;
    ck_assert_ptr_nonnull(strstr(noted(), "DIVERGED"));
    published.snapshot.diverged = false;
    ck_assert_ptr_nonnull(strstr(noted(), "full"));
}
END_TEST

/* Log lines: one on entering a state, one on leaving it. */

static struct vr_snapshot snapshot;
static uint64_t now_ns;
static int log_pipe[2];

static void begin_log(void)
{
    const struct log_levels levels = log_levels_all(LOG_LEVEL_INFO);
    setup();
    snapshot = (struct vr_snapshot){.status = STATUS_NORMAL,
                                    .view_number = view_make(EPOCH_FIRST, 1),
                                    .acting_primary = true,
                                    .member_count = 5,
                                    .op_number = 7,
                                    .commit_number = 6};
    for (uint32_t i = 0; i < snapshot.member_count; i++) {
        snapshot.members[i].replica_id = i;
    }
    now_ns = clock_monotonic_ns();
    ck_assert_int_eq(pipe(log_pipe), 0);
    ck_assert_int_eq(fcntl(log_pipe[0], F_SETFL, O_NONBLOCK), 0);
    ck_assert_int_eq(logger_start(&levels, LOG_FORMAT_JOURNALD, log_pipe[1]), 0);
}

static void end_log(void)
{
    logger_stop();
    close(log_pipe[0]);
    close(log_pipe[1]);
    teardown();
}

/* The same state for a while: the lines that came, without where the replica stands. */
static const char *told(void)
{
    static char text[8192];
    for (int i = 0; i < 3; i++) {
        now_ns += NANOSECONDS_PER_MILLISECOND;
        health_tell(&health, &snapshot, now_ns);
    }
    logger_flush(30000);
    const ssize_t size = read(log_pipe[0], text, sizeof text - 1);
    text[size > 0 ? size : 0] = '\0';
    return text;
}

static void expect_told(const char *level, const char *sentence)
{
    const char *text = told();
    char start[128];
    (void)snprintf(start, sizeof start, "%s: replica 1 view 1 op 7 commit 6: ", level);
    ck_assert_msg(strncmp(text, start, strlen(start)) == 0, "%s", text);
    ck_assert_msg(strstr(text, sentence) == text + strlen(start), "%s", text);
    ck_assert_msg(strchr(text, '\n') == text + strlen(text) - 1, "one line: %s", text);
}

START_TEST(states_are_said_when_entered_and_left)
{
    expect_told("<6>protocol", "primary of view 1\n");
    ck_assert_str_eq(told(), "");

    snapshot.suspecting = true;
    expect_told("<4>protocol", "hears from no quorum");
    snapshot.suspecting = false;
    expect_told("<6>protocol", "hears from a quorum in view 1 again\n");

    snapshot.log_full = true;
    expect_told("<3>execution", "the log in memory is full (1 MiB)");
    snapshot.log_full = false;
    expect_told("<6>protocol", "the log has room again\n");

    snapshot.group_lost = true;
    expect_told("<3>protocol", "0 of 5 replicas have lost their memory");
    snapshot.group_lost = false;
    expect_told("<6>protocol", "enough replicas remember the group's data again\n");

    snapshot.acting_primary = false;
    expect_told("<6>protocol", "backup in view 1, its primary is replica 1\n");
    snapshot.suspecting = true;
    expect_told("<6>protocol", "suspects the primary of view 1 and votes for the next\n");
    snapshot.suspecting = false;
    expect_told("<6>protocol", "suspects the primary of view 1 no more\n");
}
END_TEST

/* A first start: nobody was heard before, and there is no primary to suspect. */
START_TEST(a_view_that_begins_late_is_not_heard_again)
{
    snapshot.acting_primary = false;
    snapshot.status = STATUS_VIEW_CHANGE;
    expect_told("<6>protocol", "view change to view 1, its primary would be replica 1\n");
    snapshot.suspecting = true;
    expect_told("<6>protocol", "view 1 has not begun in time: votes for the next\n");
    published.snapshot = snapshot;
    ck_assert_str_eq(health_note(&health, &published, note), "its view has not begun in time");
    snapshot.suspecting = false;
    snapshot.status = STATUS_NORMAL;
    snapshot.acting_primary = true;
    expect_told("<6>protocol", "primary of view 1\n");
    ck_assert_str_eq(told(), "");
}
END_TEST

START_TEST(silence_is_said_when_it_begins_and_ends)
{
    for (uint32_t i = 0; i < snapshot.member_count; i++) {
        snapshot.members[i].heard_ns = now_ns + 3600 * NANOSECONDS_PER_SECOND;
    }
    expect_told("<6>protocol", "primary of view 1\n");
    snapshot.members[3].heard_ns = now_ns - HEALTH_SILENT_NS;
    expect_told("<4>protocol", "replica 3 is silent: while it is, fewer others may fail.");
    snapshot.members[3].heard_ns = now_ns + 3600 * NANOSECONDS_PER_SECOND;
    expect_told("<6>protocol", "replica 3 is heard again\n");
}
END_TEST

/* E0, D10: refused once is said once, whatever comes; then that it is over. */
START_TEST(refusals_are_said_when_they_begin_and_end)
{
    const struct refused refused = {.reason = REFUSED_CONFIGURATION, .own = 1, .yours = 2};
    expect_told("<6>protocol", "primary of view 1\n");
    for (int i = 0; i < 3; i++) {
        health_refused_peers(&health, UINT32_C(1) << 2, &refused);
    }
    expect_told("<4>protocol", "replica 2 is refused: its configuration differs");
    snapshot.members[2].heard_ns = clock_monotonic_ns() + NANOSECONDS_PER_SECOND;
    expect_told("<6>protocol", "replica 2 is accepted again\n");
    health_refused_peers(&health, UINT32_C(1) << 2, &refused);
    snapshot.members[2].heard_ns = 0;
    expect_told("<4>protocol", "replica 2 is refused");
    for (int i = 0; i < 3; i++) {
        health_refused_by(&health, 4, &refused);
    }
    expect_told("<4>protocol", "replica 4 refuses this replica: its configuration differs");

    /* One that refuses an identity sends all the same: that alone ends nothing. */
    snapshot.members[4].heard_ns = clock_monotonic_ns() + NANOSECONDS_PER_SECOND;
    ck_assert_str_eq(told(), "");
    health_refused_by(&health, 4, &refused);
    snapshot.members[4].heard_ns = clock_monotonic_ns() + 2 * HEALTH_UNREFUSED_NS;
    expect_told("<6>protocol", "replica 4 is heard and has not refused this replica for ");
    snapshot.members[4].heard_ns = 0;
    ck_assert_str_eq(told(), "");
    health_refused_by(&health, 4, &refused);
    expect_told("<4>protocol", "replica 4 refuses this replica: its configuration differs");
}
END_TEST

START_TEST(divergence_is_an_error)
{
    expect_told("<6>protocol", "primary of view 1\n");
    health_diverged(&health, 5, (struct checksum){1, 2}, (struct checksum){3, 4}, 2, false);
    const char *text = told();
    ck_assert_ptr_nonnull(strstr(text, "<3>protocol: replica 1 view 1 op 7 commit 6: DIVERGED"));
    ck_assert_ptr_nonnull(strstr(text, "[VR1406]\n"));
}
END_TEST

START_TEST(supervisor_is_told_the_role_and_what_is_wrong)
{
    char text[SUPERVISOR_TEXT_MAX];
    published.snapshot.view_number = view_make(1, 7);
    ck_assert_str_eq(supervisor_text(&health, &published, text), "STATUS=backup of view 7");
    published.snapshot.acting_primary = true;
    ck_assert_str_eq(supervisor_text(&health, &published, text), "STATUS=primary of view 7");
    published.snapshot.suspecting = true;
    ck_assert_str_eq(
        supervisor_text(&health, &published, text),
        "STATUS=primary of view 7: hears from no quorum: serves nothing until it does");
    published.snapshot.acting_primary = false;
    published.snapshot.suspecting = false;
    published.snapshot.status = STATUS_VIEW_CHANGE;
    ck_assert_str_eq(supervisor_text(&health, &published, text), "STATUS=view change in view 7");
}
END_TEST

static Suite *health_suite(void)
{
    Suite *suite = suite_create("health");
    TCase *all = tcase_create("all");
    tcase_add_checked_fixture(all, setup, teardown);
    tcase_add_test(all, healthy_replica_has_nothing_to_say);
    tcase_add_test(all, lost_group_is_called_lost);
    tcase_add_test(all, catching_up_shows_how_far_and_how_long);
    tcase_add_test(all, a_transfer_shows_how_far_and_how_long);
    tcase_add_test(all, divergence_is_the_first_thing_to_know);
    tcase_add_test(all, supervisor_is_told_the_role_and_what_is_wrong);
    suite_add_tcase(suite, all);
    TCase *lines = tcase_create("lines");
    tcase_set_timeout(lines, 60);
    tcase_add_checked_fixture(lines, begin_log, end_log);
    tcase_add_test(lines, states_are_said_when_entered_and_left);
    tcase_add_test(lines, a_view_that_begins_late_is_not_heard_again);
    tcase_add_test(lines, silence_is_said_when_it_begins_and_ends);
    tcase_add_test(lines, refusals_are_said_when_they_begin_and_end);
    tcase_add_test(lines, divergence_is_an_error);
    suite_add_tcase(suite, lines);
    return suite;
}

int main(void)
{
    SRunner *runner = srunner_create(health_suite());
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
