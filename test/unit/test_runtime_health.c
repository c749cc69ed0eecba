/* SPDX-License-Identifier: Apache-2.0 */
/* server/runtime: what a replica tells people - status notes, and messages as lines. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/os/clock.h"
#include "server/runtime/health.h"
#include "server/runtime/trace.h"

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
    ck_assert_ptr_nonnull(strstr(note, "Destroy"));
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

START_TEST(every_message_has_a_line)
{
    uint32_t known = 0;
    for (int type = MESSAGE_NONE; type <= MESSAGE_TYPE_MAX; type++) {
        char text[TRACE_TEXT_MAX] = "";
        const char *name = message_type_name((enum message_type)type);
        struct message message;
        memset(&message, 0, sizeof message);
        message.type = (enum message_type)type;
        (void)trace_message(&message, text);
        if (text[0] != '\0') { /* the numbers between the kinds of messages are no messages */
            ck_assert_msg(strncmp(text, name, strlen(name)) == 0, "%s: %s", name, text);
            known++;
        }
    }
    ck_assert_uint_eq(known, 23);
}
END_TEST

START_TEST(lines_say_views_and_ops)
{
    char text[TRACE_TEXT_MAX];
    const struct message prepare = {
        .type = MESSAGE_PREPARE,
        .prepare = {.view_number = view_make(1, 3),
                    .first_op = 17,
                    .entry_count = 4,
                    .commit_number = 16},
    };
    ck_assert_str_eq(trace_message(&prepare, text), "Prepare view 3 ops 17..20 commit 16");

    const struct message change = {
        .type = MESSAGE_DO_VIEW_CHANGE,
        .do_view_change = {.view_number = view_make(1, 2),
                           .log = {.op_number = 9, .commit_number = 8}},
    };
    ck_assert_str_eq(trace_message(&change, text),
                     "DoViewChange view 2 last normal view none op 9 commit 8");
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
    tcase_add_test(all, divergence_is_the_first_thing_to_know);
    tcase_add_test(all, every_message_has_a_line);
    tcase_add_test(all, lines_say_views_and_ops);
    suite_add_tcase(suite, all);
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
