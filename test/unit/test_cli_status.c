/* SPDX-License-Identifier: Apache-2.0 */
/* status: what a survey of the replicas adds up to, and the shape of its JSON. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/status.h"

static struct survey survey;
static struct health_report health;

static void setup(void)
{
    memset(&survey, 0, sizeof survey);
}

/* n replicas, all normal in view 2 of epoch 1, whose primary is 2. */
static void all_normal(uint32_t n)
{
    survey.cluster_id = 0xabcdef;
    survey.has_configuration = true;
    survey.configuration = (struct configuration){.cluster_id = 0xabcdef,
                                                  .epoch = 1,
                                                  .member_count = n,
                                                  .parameters = cluster_parameters_default()};
    survey.target_count = n;
    for (uint32_t i = 0; i < n; i++) {
        survey.configuration.members[i] = (struct member){.replica_id = i,
                                                          .role = MEMBER_ACTIVE,
                                                          .host = "127.0.0.1",
                                                          .port = (uint16_t)(8000 + i),
                                                          .peer_port = (uint16_t)(8100 + i)};
        struct survey_target *target = &survey.targets[i];
        (void)snprintf(target->name, sizeof target->name, "127.0.0.1:%u", 8000 + i);
        target->answered = true;
        target->report = (struct survey_report){.replica_id = i,
                                                .view_number = view_make(1, 2),
                                                .last_normal_view = view_make(1, 2),
                                                .status = STATUS_NORMAL,
                                                .acting_primary = i == 2,
                                                .op_number = 100,
                                                .commit_number = 100,
                                                .executed_op = 100,
                                                .durability = DURABILITY_MEMORY,
                                                .version = "0.1.0",
                                                .rtt_ns = 210000};
    }
}

static void silence(uint32_t replica)
{
    survey.targets[replica].answered = false;
}

static void set_status(uint32_t replica, enum vr_status status, const char *note)
{
    struct survey_report *report = &survey.targets[replica].report;
    report->status = status;
    report->acting_primary = false;
    (void)snprintf(report->note, sizeof report->note, "%s", note);
}

static void expect(enum health expected, uint32_t may_fail)
{
    health_judge(&survey, &health);
    ck_assert_str_eq(health_name(health.health), health_name(expected));
    ck_assert_uint_eq(health.may_fail, may_fail);
}

START_TEST(everybody_normal_is_healthy)
{
    static const uint32_t may_fail[] = {0, 0, 0, 1, 1, 2, 2, 3};
    for (uint32_t n = 3; n <= 7; n++) {
        all_normal(n);
        expect(HEALTH_HEALTHY, may_fail[n]);
        ck_assert_str_eq(health.reason, "");
        ck_assert_uint_eq(health.primary, 2);
    }
}
END_TEST

START_TEST(one_silent_is_degraded)
{
    all_normal(5);
    silence(4);
    expect(HEALTH_DEGRADED, 1);
    ck_assert_str_eq(health.reason, "replica 4 does not answer");
    silence(0);
    expect(HEALTH_DEGRADED, 0);
    ck_assert_str_eq(health.reason, "replica 0 does not answer; replica 4 does not answer");
}
END_TEST

START_TEST(one_recovering_is_degraded)
{
    all_normal(3);
    set_status(0, STATUS_RECOVERING, "catch-up 50 %");
    expect(HEALTH_DEGRADED, 0);
    ck_assert_str_eq(health.reason, "replica 0 is in status recovering");
}
END_TEST

/* The primary takes nothing more, reads included; a backup only does not help any more. */
START_TEST(full_logs_are_not_healthy)
{
    all_normal(5);
    survey.targets[2].report.log_full = true;
    expect(HEALTH_UNAVAILABLE, 0);
    ck_assert_str_eq(
        health.reason,
        "the primary's log is full: requests are refused, reads too, but for those that still fit");

    all_normal(5);
    survey.targets[0].report.log_full = true;
    expect(HEALTH_DEGRADED, 1);
    ck_assert_str_eq(health.reason, "the log of replica 0 is full");
    survey.targets[1].report.log_full = true;
    expect(HEALTH_DEGRADED, 0);
    survey.targets[3].report.log_full = true;
    expect(HEALTH_UNAVAILABLE, 0);
}
END_TEST

START_TEST(old_views_do_not_take_part)
{
    all_normal(3);
    survey.targets[0].report.view_number = view_make(1, 1);
    expect(HEALTH_DEGRADED, 0);
    ck_assert_str_eq(health.reason, "replica 0 is still in view 1");
    /* An old primary that has not heard of the view change is none. */
    all_normal(3);
    survey.targets[1].report.view_number = view_make(1, 1);
    survey.targets[1].report.acting_primary = true;
    expect(HEALTH_DEGRADED, 0);
    ck_assert_uint_eq(health.primary, 2);
}
END_TEST

/* This client may be cut off from replicas that the primary hears. */
START_TEST(the_primary_hears_more_than_we_do)
{
    all_normal(5);
    silence(0);
    silence(1);
    silence(3);
    survey.targets[2].report.silent_mask = 0;
    expect(HEALTH_DEGRADED, 0);
    survey.targets[2].report.silent_mask = 1u << 0 | 1u << 1 | 1u << 3;
    expect(HEALTH_UNAVAILABLE, 0);
}
END_TEST

START_TEST(no_quorum_is_unavailable)
{
    all_normal(5);
    silence(2);
    silence(3);
    silence(4);
    expect(HEALTH_UNAVAILABLE, 0);
    ck_assert_str_eq(health.reason, "2 of 5 replicas answer, 3 are needed");
    ck_assert_uint_eq(health.primary, UINT32_MAX);
    ck_assert_uint_eq(health.view_number, view_make(1, 2));
}
END_TEST

START_TEST(a_view_change_is_unavailable)
{
    all_normal(3);
    silence(2);
    for (uint32_t i = 0; i < 2; i++) {
        set_status(i, STATUS_VIEW_CHANGE, "");
        survey.targets[i].report.view_number = view_make(1, 3);
    }
    expect(HEALTH_UNAVAILABLE, 0);
    ck_assert_str_eq(health.reason, "no primary: view change to 3 is under way");
}
END_TEST

/* The replicas know best that the group is lost: their words are the reason. */
START_TEST(a_lost_group_says_so)
{
    all_normal(5);
    for (uint32_t i = 0; i < 3; i++) {
        set_status(i, STATUS_RECOVERING, "3 of 5 replicas lost their memory");
    }
    expect(HEALTH_UNAVAILABLE, 0);
    ck_assert_str_eq(health.reason, "3 of 5 replicas lost their memory");
}
END_TEST

START_TEST(nobody_is_unknown)
{
    survey.target_count = 2;
    survey.took_ns = UINT64_C(5000000000);
    (void)snprintf(survey.targets[0].name, sizeof survey.targets[0].name, "127.0.0.1:8000");
    (void)snprintf(survey.targets[1].name, sizeof survey.targets[1].name, "127.0.0.1:8001");
    expect(HEALTH_UNKNOWN, 0);
    ck_assert_str_eq(health.reason,
                     "no replica answers: asked 127.0.0.1:8000, 127.0.0.1:8001 for 5.0 s");
    json_t *json = status_json(&survey, &health);
    ck_assert(json_is_null(json_object_get(json, "cluster_id")));
    ck_assert(json_is_null(json_object_get(json, "primary")));
    ck_assert_uint_eq(json_array_size(json_object_get(json, "replicas")), 2);
    json_decref(json);
}
END_TEST

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    ck_assert_msg(text != NULL, "%s", name);
    return text;
}

static const json_t *replica_of(const json_t *json, size_t index)
{
    return json_array_get(json_object_get(json, "replicas"), index);
}

/* The summary has said it: rows are short. */
START_TEST(rows_do_not_repeat_the_reason)
{
    all_normal(3);
    set_status(0, STATUS_RECOVERING, "2 of 3 replicas lost their memory");
    set_status(2, STATUS_RECOVERING, "2 of 3 replicas lost their memory");
    expect(HEALTH_UNAVAILABLE, 0);
    json_t *json = status_json(&survey, &health);
    ck_assert_str_eq(text_of(json, "reason"), "2 of 3 replicas lost their memory");
    ck_assert_str_eq(text_of(replica_of(json, 0), "note"), "recovering");
    ck_assert_str_eq(text_of(replica_of(json, 1), "note"), "");
    json_decref(json);
}
END_TEST

START_TEST(lag_counts_what_is_not_executed)
{
    all_normal(3);
    for (uint32_t i = 0; i < 3; i++) {
        survey.targets[i].report.commit_number = 5000;
        survey.targets[i].report.executed_op = 5000;
    }
    survey.targets[0].report.executed_op = 3999;
    survey.targets[1].report.executed_op = 4000;
    survey.targets[1].report.commit_number = 4500;
    expect(HEALTH_HEALTHY, 1);
    json_t *json = status_json(&survey, &health);
    ck_assert_int_eq(json_integer_value(json_object_get(replica_of(json, 0), "lag")), 1001);
    ck_assert_str_eq(text_of(replica_of(json, 0), "note"), "executing, 1001 behind");
    ck_assert_int_eq(json_integer_value(json_object_get(replica_of(json, 1), "lag")), 1000);
    ck_assert_str_eq(text_of(replica_of(json, 1), "note"), "");
    ck_assert_int_eq(json_integer_value(json_object_get(replica_of(json, 2), "lag")), 0);
    json_decref(json);
    survey.configuration.members[0].role = MEMBER_WITNESS;
    json = status_json(&survey, &health);
    ck_assert_int_eq(json_integer_value(json_object_get(replica_of(json, 0), "lag")), 0);
    json_decref(json);
}
END_TEST

/* Programs read this: names and types are a promise. */
START_TEST(json_has_the_promised_shape)
{
    all_normal(3);
    silence(1);
    struct survey_counter counters[2] = {{.name = "a", .value = 1}, {.name = "b", .value = 2}};
    survey.targets[0].report.counters = counters;
    survey.targets[0].report.counter_count = 2;
    survey.targets[0].report.digest = (struct checksum){.low = 0x1, .high = 0x2};
    survey.targets[0].report.digest_op = 99;
    health_judge(&survey, &health);
    json_t *json = status_json(&survey, &health);
    ck_assert_str_eq(text_of(json, "cluster_id"), "0000000000abcdef");
    ck_assert_int_eq(json_integer_value(json_object_get(json, "epoch")), 1);
    ck_assert_int_eq(json_integer_value(json_object_get(json, "view")), 2);
    ck_assert_int_eq(json_integer_value(json_object_get(json, "primary")), 2);
    ck_assert_str_eq(text_of(json, "health"), "degraded");
    ck_assert_str_eq(text_of(json, "reason"), "replica 1 does not answer");
    ck_assert_int_eq(json_integer_value(json_object_get(json, "may_fail")), 0);
    const json_t *replicas = json_object_get(json, "replicas");
    ck_assert_uint_eq(json_array_size(replicas), 3);

    const json_t *first = json_array_get(replicas, 0);
    ck_assert_int_eq(json_integer_value(json_object_get(first, "id")), 0);
    ck_assert_str_eq(text_of(first, "address"), "127.0.0.1:8000");
    ck_assert_str_eq(text_of(first, "role"), "backup");
    ck_assert_str_eq(text_of(first, "status"), "normal");
    ck_assert_int_eq(json_integer_value(json_object_get(first, "op")), 100);
    ck_assert_int_eq(json_integer_value(json_object_get(first, "commit")), 100);
    ck_assert_int_eq(json_integer_value(json_object_get(first, "rtt_us")), 210);
    ck_assert_str_eq(text_of(first, "durability"), "memory");
    ck_assert_str_eq(text_of(first, "version"), "0.1.0");
    ck_assert(json_is_integer(json_object_get(first, "uptime_s")));
    ck_assert(json_is_integer(json_object_get(first, "disk_bytes")));
    ck_assert_str_eq(text_of(first, "note"), "");
    const json_t *digest = json_object_get(first, "state_digest");
    ck_assert_int_eq(json_integer_value(json_object_get(digest, "op")), 99);
    ck_assert_str_eq(text_of(digest, "value"), "00000000000000020000000000000001");
    ck_assert_int_eq(json_integer_value(json_object_get(json_object_get(first, "counters"), "b")),
                     2);

    const json_t *second = json_array_get(replicas, 1);
    ck_assert_str_eq(text_of(second, "status"), "no answer");
    ck_assert(json_is_null(json_object_get(second, "op")));
    ck_assert(json_is_null(json_object_get(second, "role")));
    ck_assert_str_eq(text_of(json_array_get(replicas, 2), "role"), "primary");
    json_decref(json);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cli_status");
    TCase *tests = tcase_create("cli_status");
    tcase_add_checked_fixture(tests, setup, NULL);
    tcase_add_test(tests, everybody_normal_is_healthy);
    tcase_add_test(tests, one_silent_is_degraded);
    tcase_add_test(tests, one_recovering_is_degraded);
    tcase_add_test(tests, full_logs_are_not_healthy);
    tcase_add_test(tests, old_views_do_not_take_part);
    tcase_add_test(tests, the_primary_hears_more_than_we_do);
    tcase_add_test(tests, no_quorum_is_unavailable);
    tcase_add_test(tests, a_view_change_is_unavailable);
    tcase_add_test(tests, a_lost_group_says_so);
    tcase_add_test(tests, nobody_is_unknown);
    tcase_add_test(tests, rows_do_not_repeat_the_reason);
    tcase_add_test(tests, lag_counts_what_is_not_executed);
    tcase_add_test(tests, json_has_the_promised_shape);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
