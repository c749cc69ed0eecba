/* SPDX-License-Identifier: Apache-2.0 */
/* status: what a survey of the replicas adds up to, and the shape of its JSON. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/replica_list.h"
#include "client/cli/status.h"
#include "client/cli/status_text.h"

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
                                                .uptime_s = 100,
                                                .rtt_ns = 210000};
    }
    for (uint32_t i = 0; i < n; i++) {
        survey.targets[i].report.configuration = survey.configuration;
        /* As in a group that is idle: backups hear the primary, and no other. */
        const uint32_t others = ((UINT32_C(1) << n) - 1) & ~(UINT32_C(1) << i);
        survey.targets[i].report.silent_mask = i == 2 ? 0 : others & ~(UINT32_C(1) << 2);
    }
}

/* Nobody in `part` hears anybody outside of it, nor the other way round. */
static void cut_off(uint32_t part)
{
    const uint32_t everybody = (UINT32_C(1) << survey.target_count) - 1;
    for (uint32_t i = 0; i < survey.target_count; i++) {
        const uint32_t own = (part & UINT32_C(1) << i) != 0 ? part : everybody & ~part;
        survey.targets[i].report.silent_mask = everybody & ~own;
    }
}

static void suspect(uint32_t replica)
{
    survey.targets[replica].report.suspect_mask |= UINT32_C(1) << replica;
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
    static const char larger_logs[] =
        "Writes have stopped; they go on when the replicas have been restarted, one after the "
        "other, with a larger --log-memory-max.";
    all_normal(5);
    survey.targets[2].report.log_full = true;
    expect(HEALTH_UNAVAILABLE, 0);
    ck_assert_str_eq(
        health.reason,
        "the primary's log is full: requests are refused, reads too, but for those that still fit");
    ck_assert_str_eq(health.outlook, larger_logs);
    survey.targets[0].report.log_full = true; /* nor are its acks missed here */
    survey.targets[1].report.log_full = true;
    survey.targets[3].answered = false;
    expect(HEALTH_UNAVAILABLE, 0);
    ck_assert_ptr_nonnull(strstr(health.reason, "the primary's log is full"));
    ck_assert_ptr_nonnull(strstr(health.reason, "replica 3 does not answer"));
    ck_assert_ptr_null(strstr(health.reason, "too few"));
    ck_assert_str_eq(health.outlook, larger_logs);

    all_normal(5);
    survey.targets[0].report.log_full = true;
    expect(HEALTH_DEGRADED, 1);
    ck_assert_str_eq(health.reason, "the log of replica 0 is full");
    survey.targets[1].report.log_full = true;
    expect(HEALTH_DEGRADED, 0);
    ck_assert_str_eq(health.outlook, "0 more replicas may fail before writes stop.");
    survey.targets[3].report.log_full = true;
    expect(HEALTH_UNAVAILABLE, 0);
    ck_assert_ptr_nonnull(strstr(health.reason, "too few logs have room: 3 needed"));
    ck_assert_ptr_nonnull(strstr(health.reason, "the log of replica 3 is full"));
    ck_assert_str_eq(health.outlook, larger_logs);
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
    survey.targets[0].report.silent_mask = 0x1c; /* the two vote, and hear it */
    survey.targets[1].report.silent_mask = 0x1c;
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
        survey.targets[i].report.silent_mask = 1u << 2;
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
START_TEST(json_says_null_of_what_nobody_told)
{
    all_normal(3);
    survey.has_configuration = false;
    survey.cluster_id = 0;
    for (uint32_t i = 0; i < 3; i++) {
        survey.targets[i].answered = false;
    }
    health_judge(&survey, &health);
    json_t *json = status_json(&survey, &health);
    static const char *const names[] = {"cluster_id", "epoch", "view", "primary"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        ck_assert_msg(json_is_null(json_object_get(json, names[i])), "%s", names[i]);
    }
    ck_assert_str_eq(text_of(json, "health"), "unknown");
    json_decref(json);
}
END_TEST

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

/* ---- how many more may fail ---- */

START_TEST(the_outlook_is_right_for_every_size)
{
    static const uint32_t may_fail[] = {0, 0, 0, 1, 1, 2, 2, 3, 3, 4};
    for (uint32_t n = 1; n <= 9; n++) {
        all_normal(n);
        for (uint32_t i = 0; i < n; i++) {
            survey.targets[i].report.acting_primary = i == n - 1;
            survey.targets[i].report.silent_mask = 0;
        }
        for (uint32_t failed = 0; failed < n; failed++) {
            health_judge(&survey, &health);
            char expected[128];
            if (failed <= may_fail[n]) {
                const uint32_t left = may_fail[n] - failed;
                (void)snprintf(expected, sizeof expected,
                               "%u more replica%s may fail before writes stop.", left,
                               left == 1 ? "" : "s");
                ck_assert_uint_eq(health.may_fail, left);
            } else {
                const uint32_t missing = n / 2 + 1 - (n - failed);
                (void)snprintf(expected, sizeof expected,
                               "Writes have stopped; they go on when %u more replica%s answer%s.",
                               missing, missing == 1 ? "" : "s", missing == 1 ? "s" : "");
                ck_assert_int_eq(health.health, HEALTH_UNAVAILABLE);
            }
            ck_assert_msg(strcmp(health.outlook, expected) == 0, "n = %u, %u failed: %s", n, failed,
                          health.outlook);
            /* The primary stays to the end: it hears that the others are silent. */
            survey.targets[failed].answered = false;
            survey.targets[n - 1].report.silent_mask |= UINT32_C(1) << failed;
        }
    }
}
END_TEST

START_TEST(a_replica_that_recovers_will_count_again)
{
    all_normal(5);
    set_status(0, STATUS_RECOVERING, "catch-up 50 %, about 2 s left");
    silence(1);
    expect(HEALTH_DEGRADED, 0);
    ck_assert_str_eq(health.outlook,
                     "0 more replicas may fail before writes stop; 1 once replica 0 "
                     "has caught up.");
    /* Less than a quorum remembers, and those that are silent may, too. */
    all_normal(5);
    for (uint32_t i = 0; i < 3; i++) {
        set_status(i, STATUS_RECOVERING, "");
    }
    silence(3);
    expect(HEALTH_UNAVAILABLE, 0);
    ck_assert_str_eq(health.outlook, "Writes have stopped and cannot go on: 3 replicas that "
                                     "remember the group's data are needed, 2 at most are left.");
    all_normal(5);
    set_status(0, STATUS_RECOVERING, "");
    set_status(2, STATUS_RECOVERING, "");
    silence(3);
    expect(HEALTH_UNAVAILABLE, 0);
    ck_assert_str_eq(health.outlook, "Writes have stopped; they go on when 1 more replica answers "
                                     "and still knows the group's data.");
}
END_TEST

START_TEST(a_view_change_ends_by_itself)
{
    all_normal(5);
    silence(2);
    for (uint32_t i = 0; i < 5; i++) {
        survey.targets[i].report.silent_mask = 1u << 2;
        set_status(i, STATUS_VIEW_CHANGE, "");
        survey.targets[i].report.view_number = view_make(1, 3);
    }
    expect(HEALTH_UNAVAILABLE, 0);
    ck_assert_str_eq(health.outlook, "Writes wait for the view change, which needs nobody's help.");
}
END_TEST

START_TEST(nobody_knows_when_nobody_answers)
{
    survey.target_count = 1;
    expect(HEALTH_UNKNOWN, 0);
    ck_assert_str_eq(health.outlook,
                     "Whether writes go on is not known from here: no replica answers.");
}
END_TEST

/* ---- who hears whom ---- */

/* All say normal, in the same view: but the primary serves nothing. */
START_TEST(a_primary_without_a_quorum_serves_nobody)
{
    all_normal(3);
    cut_off(1u << 2);
    for (uint32_t i = 0; i < 3; i++) {
        suspect(i);
    }
    expect(HEALTH_UNAVAILABLE, 0);
    ck_assert_str_eq(health.reason, "the primary hears from too few: 2 needed; the group is split: "
                                    "replica 2 does not hear replicas 0 and 1");
    ck_assert_str_eq(health.outlook,
                     "Writes have stopped; they go on when 2 replicas hear each other again.");
    ck_assert(health.in_doubt);
}
END_TEST

START_TEST(a_backup_that_does_not_hear_does_not_count)
{
    all_normal(3);
    suspect(0);
    expect(HEALTH_DEGRADED, 0);
    ck_assert_str_eq(health.reason, "replica 0 does not hear the primary");
    all_normal(3);
    survey.targets[2].report.silent_mask = 1u << 1;
    expect(HEALTH_DEGRADED, 0);
    ck_assert_str_eq(health.reason, "the primary does not hear replica 1");
    ck_assert(health.in_doubt);
}
END_TEST

START_TEST(a_group_split_in_two_is_told_as_such)
{
    all_normal(5);
    cut_off(1u << 0 | 1u << 1);
    for (uint32_t i = 0; i < 2; i++) {
        survey.targets[i].report.view_number = view_make(1, 0);
        survey.targets[i].report.acting_primary = i == 0;
    }
    expect(HEALTH_DEGRADED, 0);
    ck_assert_uint_eq(health.primary, 2);
    ck_assert_str_eq(health.reason,
                     "the group is split: replicas 0 and 1 do not hear replicas 2, 3 and 4");
    ck_assert_str_eq(health.outlook, "0 more replicas may fail before writes stop.");
    /* One replica, cut off; and one more that does not answer this client. */
    all_normal(5);
    cut_off(1u << 4);
    survey.targets[4].report.view_number = view_make(1, 1);
    silence(0);
    expect(HEALTH_DEGRADED, 0);
    ck_assert_str_eq(health.reason, "the group is split: replica 4 does not hear replicas 1, 2 and "
                                    "3; replica 0 does not answer");
}
END_TEST

START_TEST(no_part_has_a_quorum)
{
    all_normal(4);
    cut_off(1u << 0 | 1u << 1);
    for (uint32_t i = 0; i < 4; i++) {
        suspect(i);
    }
    expect(HEALTH_UNAVAILABLE, 0);
    ck_assert_ptr_nonnull(
        strstr(health.reason, "the group is split: replicas 0 and 1 do not hear replicas 2 and 3"));
    ck_assert_str_eq(health.outlook,
                     "Writes have stopped; they go on when 3 replicas hear each other again.");
}
END_TEST

START_TEST(nobody_hears_anybody)
{
    all_normal(3);
    for (uint32_t i = 0; i < 3; i++) {
        set_status(i, STATUS_VIEW_CHANGE, "");
        survey.targets[i].report.silent_mask = 7u & ~(1u << i);
    }
    expect(HEALTH_UNAVAILABLE, 0);
    ck_assert_ptr_nonnull(strstr(health.reason, "no replica hears another"));
    /* Not so soon after a start. */
    for (uint32_t i = 0; i < 3; i++) {
        survey.targets[i].report.uptime_s = 0;
    }
    expect(HEALTH_UNAVAILABLE, 0);
    ck_assert_str_eq(health.reason, "no primary: view change to 2 is under way");
}
END_TEST

/* Silences are no news while all is well. */
START_TEST(what_backups_do_not_hear_is_normal)
{
    all_normal(5);
    for (uint32_t i = 0; i < 5; i++) {
        survey.targets[i].report.silent_mask = i == 2 ? 0 : 31u & ~(1u << i);
    }
    expect(HEALTH_HEALTHY, 2);
    ck_assert(!health.in_doubt);
}
END_TEST

START_TEST(the_primary_knows_since_when_it_is_silent)
{
    all_normal(5);
    silence(4);
    struct survey_counter counter = {.name = "silent_ms_4", .value = 8100};
    survey.targets[2].report.counters = &counter;
    survey.targets[2].report.counter_count = 1;
    expect(HEALTH_DEGRADED, 1);
    ck_assert_str_eq(health.reason, "replica 4 silent for 8.1 s");
}
END_TEST

/* ---- what should be alike ---- */

START_TEST(other_parameters_are_told)
{
    all_normal(3);
    set_status(0, STATUS_VIEW_CHANGE, "");
    survey.targets[0].report.configuration.parameters.sessions_max = 100;
    survey.targets[0].report.silent_mask = 6;
    survey.targets[2].report.silent_mask = 1;
    expect(HEALTH_DEGRADED, 0);
    ck_assert_str_eq(health.reason,
                     "replica 0 was initialised with other parameters than the rest (sessions_max "
                     "100, not 16384), which refuses it");
    survey.targets[0].report.configuration = survey.configuration;
    survey.targets[0].report.configuration.parameters.checkpoint_interval = 7;
    expect(HEALTH_DEGRADED, 0);
    ck_assert_ptr_nonnull(strstr(health.reason, "(checkpoint_interval 7, not 100000)"));
    survey.targets[0].report.configuration = survey.configuration;
    survey.targets[0].report.configuration.parameters.state_size_max = STATE_SIZE_MIN;
    expect(HEALTH_DEGRADED, 0);
    ck_assert_ptr_nonnull(strstr(health.reason, "(state_size_max 65536, not 4294967296)"));
    survey.targets[0].report.configuration = survey.configuration;
    survey.targets[0].report.configuration.origin = (struct checksum){1, 2};
    expect(HEALTH_DEGRADED, 0);
    ck_assert_ptr_nonnull(strstr(health.reason, "(from a backup, and the others are from none)"));
    /* The larger number is right where there is no primary. */
    set_status(2, STATUS_VIEW_CHANGE, "");
    survey.targets[0].report.configuration = survey.configuration;
    survey.targets[1].report.configuration.members[0].port = 1;
    set_status(1, STATUS_VIEW_CHANGE, "");
    expect(HEALTH_UNAVAILABLE, 0);
    ck_assert_ptr_nonnull(strstr(health.reason, "replica 1 was initialised with other parameters "
                                                "than the rest (another --cluster list)"));
    survey.targets[0].report.configuration.epoch = 2; /* no two are alike */
    expect(HEALTH_UNAVAILABLE, 0);
    ck_assert_ptr_nonnull(strstr(health.outlook, "same parameters"));
}
END_TEST

START_TEST(mixed_releases_and_durabilities_are_warnings)
{
    all_normal(3);
    expect(HEALTH_HEALTHY, 1);
    ck_assert_uint_eq(health.warning_count, 0);
    (void)snprintf(survey.targets[1].report.version, STATUS_TEXT_MAX, "0.2.0");
    survey.targets[2].report.durability = DURABILITY_SYNC;
    expect(HEALTH_HEALTHY, 1);
    ck_assert_uint_eq(health.warning_count, 2);
    ck_assert_str_eq(health.warnings[0],
                     "mixed releases: 0.1.0 (replicas 0 and 2), 0.2.0 (replica 1)");
    ck_assert_str_eq(health.warnings[1],
                     "mixed durability: memory (replicas 0 and 1), sync (replica 2)");
    /* Who does not answer is of no release. */
    silence(1);
    silence(2);
    health_judge(&survey, &health);
    ck_assert_uint_eq(health.warning_count, 0);
}
END_TEST

START_TEST(options_that_differ_are_warnings)
{
    struct survey_counter usual[] = {{"option_heartbeat_ms", 20}, {"option_log_memory_mib", 2048}};
    struct survey_counter other[] = {{"option_log_memory_mib", 64}, {"option_heartbeat_ms", 20}};
    all_normal(3);
    survey.targets[0].report.counters = usual;
    survey.targets[0].report.counter_count = 2;
    survey.targets[1].report.counters = usual;
    survey.targets[1].report.counter_count = 2;
    expect(HEALTH_HEALTHY, 1); /* the third did not tell */
    ck_assert_uint_eq(health.warning_count, 0);
    survey.targets[2].report.counters = other;
    survey.targets[2].report.counter_count = 2;
    expect(HEALTH_HEALTHY, 1);
    ck_assert_uint_eq(health.warning_count, 1);
    ck_assert_str_eq(health.warnings[0],
                     "mixed --log-memory-max: 2048 MiB (replicas 0 and 1), 64 MiB (replica 2)");
    other[1].value = 60;
    expect(HEALTH_HEALTHY, 1);
    ck_assert_uint_eq(health.warning_count, 2);
    ck_assert_str_eq(health.warnings[0],
                     "mixed --heartbeat-ms: 20 (replicas 0 and 1), 60 (replica 2)");
    for (uint32_t i = 0; i < 3; i++) {
        survey.targets[i].report.counters = NULL;
        survey.targets[i].report.counter_count = 0;
    }
}
END_TEST

START_TEST(another_protocol_version_is_told)
{
    all_normal(3);
    silence(0);
    survey.refusal = (struct refused){.reason = REFUSED_VERSION, .own = 2, .yours = 1};
    survey.targets[0].refusal = survey.refusal;
    expect(HEALTH_DEGRADED, 0);
    ck_assert_str_eq(health.reason, "replica 0 speaks another protocol version");
    ck_assert_uint_eq(health.warning_count, 1);
    ck_assert_str_eq(health.warnings[0], "replica 0 cannot be understood: protocol version 2, this "
                                         "client's is 1");
}
END_TEST

START_TEST(replicas_in_words)
{
    all_normal(9);
    char text[REPLICA_LIST_MAX];
    ck_assert_str_eq(replica_list(&survey.configuration, 1u << 3, text), "replica 3");
    ck_assert_str_eq(replica_list(&survey.configuration, 3, text), "replicas 0 and 1");
    ck_assert_str_eq(replica_list(&survey.configuration, 0x1ff, text),
                     "replicas 0, 1, 2, 3, 4, 5, 6, 7 and 8");
    for (uint32_t i = 0; i < 9; i++) {
        survey.configuration.members[i].replica_id = UINT32_MAX - 1 - i;
    }
    ck_assert_uint_lt(strlen(replica_list(&survey.configuration, 0x1ff, text)), REPLICA_LIST_MAX);
}
END_TEST

/* ---- the table ---- */

static void print(char *text, size_t size)
{
    health_judge(&survey, &health);
    FILE *out = fmemopen(text, size, "w");
    ck_assert_ptr_nonnull(out);
    status_print(out, &survey, &health, "<", ">");
    ck_assert_int_eq(fclose(out), 0);
}

/* As the interface shows it, column by column. */
START_TEST(the_table_is_the_promised_one)
{
    all_normal(5);
    silence(4);
    struct survey_counter counter = {.name = "silent_ms_4", .value = 8100};
    survey.cluster_id = 0x7f3a91c2;
    survey.targets[2].report.counters = &counter;
    survey.targets[2].report.counter_count = 1;
    for (uint32_t i = 0; i < 5; i++) {
        struct survey_report *report = &survey.targets[i].report;
        report->durability = DURABILITY_ASYNC;
        report->op_number = report->commit_number = report->executed_op = 1048577;
    }
    set_status(3, STATUS_RECOVERING, "catch-up 97 %, about 2 s left");
    survey.targets[3].report.op_number = survey.targets[3].report.commit_number = 1019402;
    survey.targets[3].report.executed_op = 1019402;
    char text[4096];
    print(text, sizeof text);
    ck_assert_str_eq(
        text,
        "cluster 000000007f3a91c2  epoch 1  view 2  primary 2 (127.0.0.1:8002)  5 replicas, f=2   "
        "<DEGRADED: replica 3 is in status recovering; replica 4 silent for 8.1 s>\n"
        " id address         role     status       op        commit    lag  rtt     durability "
        "note\n"
        " 0  127.0.0.1:8000  backup   normal       1048577   1048577     0  0.21ms  async\n"
        " 1  127.0.0.1:8001  backup   normal       1048577   1048577     0  0.21ms  async\n"
        " 2  127.0.0.1:8002  primary  normal       1048577   1048577     0  0.21ms  async\n"
        " 3  127.0.0.1:8003  backup   recovering   1019402   1019402 29175  0.21ms  async      "
        "catch-up 97 %, about 2 s left\n"
        " 4  127.0.0.1:8004  ?        no answer\n"
        "0 more replicas may fail before writes stop; 1 once replica 3 has caught up.\n");
    all_normal(3);
    survey.targets[0].report.durability = DURABILITY_SYNC;
    print(text, sizeof text);
    ck_assert_ptr_nonnull(strstr(text, "f=1   healthy\n")); /* good news is not coloured */
    ck_assert_ptr_nonnull(strstr(text, "\nmixed durability: sync (replica 0), memory (replicas 1 "
                                       "and 2)\n1 more replica may fail before writes stop.\n"));
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
    tcase_add_test(tests, json_says_null_of_what_nobody_told);
    tcase_add_test(tests, the_outlook_is_right_for_every_size);
    tcase_add_test(tests, a_replica_that_recovers_will_count_again);
    tcase_add_test(tests, a_view_change_ends_by_itself);
    tcase_add_test(tests, nobody_knows_when_nobody_answers);
    tcase_add_test(tests, a_primary_without_a_quorum_serves_nobody);
    tcase_add_test(tests, a_backup_that_does_not_hear_does_not_count);
    tcase_add_test(tests, a_group_split_in_two_is_told_as_such);
    tcase_add_test(tests, no_part_has_a_quorum);
    tcase_add_test(tests, nobody_hears_anybody);
    tcase_add_test(tests, what_backups_do_not_hear_is_normal);
    tcase_add_test(tests, the_primary_knows_since_when_it_is_silent);
    tcase_add_test(tests, other_parameters_are_told);
    tcase_add_test(tests, mixed_releases_and_durabilities_are_warnings);
    tcase_add_test(tests, options_that_differ_are_warnings);
    tcase_add_test(tests, another_protocol_version_is_told);
    tcase_add_test(tests, replicas_in_words);
    tcase_add_test(tests, the_table_is_the_promised_one);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
