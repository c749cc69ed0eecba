/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/status.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/exit_code.h"
#include "client/cli/memory.h"
#include "client/cli/report.h"
#include "client/lib/cluster_list.h"
#include "client/lib/explain.h"
#include "common/os/clock.h"

static int exit_code_of(enum health health)
{
    switch (health) {
    case HEALTH_HEALTHY:
        return EXIT_DONE;
    case HEALTH_DEGRADED:
        return EXIT_DEGRADED;
    case HEALTH_UNAVAILABLE:
        return EXIT_UNAVAILABLE;
    case HEALTH_UNKNOWN:
        break;
    }
    return EXIT_UNKNOWN;
}

static const char *role_of(const struct survey *survey, const struct health_report *health,
                           uint32_t target)
{
    if (!survey->targets[target].answered || !survey->has_configuration) {
        return NULL;
    }
    if (survey->configuration.members[target].role == MEMBER_WITNESS) {
        return "witness";
    }
    return target == health->primary ? "primary" : "backup";
}

/* ---- a replica's row ---- */

enum {
    EXECUTION_BEHIND_MAX = 1000, /* operations committed and not executed that need no note */
    COMMIT_WIDTH_MIN = 7,
};

/* How far what was committed is executed here: witnesses execute nothing. */
static uint64_t executed_op(const struct survey *survey, uint32_t target)
{
    const struct survey_report *report = &survey->targets[target].report;
    const bool witness = survey->configuration.members[target].role == MEMBER_WITNESS;
    return witness || report->executed_op > report->commit_number ? report->commit_number
                                                                  : report->executed_op;
}

static uint64_t lag_of(const struct survey *survey, const struct health_report *health,
                       uint32_t target)
{
    return health->head_commit - executed_op(survey, target);
}

struct row_note {
    char text[STATUS_TEXT_MAX];
};

/* What the replica says of itself, but for what the summary has said already. */
static const char *note_of(const struct survey *survey, const struct health_report *health,
                           uint32_t target, struct row_note *note)
{
    const struct survey_report *report = &survey->targets[target].report;
    if (health->reason_is_note && report->status == STATUS_RECOVERING) {
        return vr_status_name(STATUS_RECOVERING);
    }
    const uint64_t behind = report->commit_number - executed_op(survey, target);
    if (report->note[0] != '\0' || behind <= EXECUTION_BEHIND_MAX) {
        return report->note;
    }
    (void)snprintf(note->text, sizeof note->text, "executing, %" PRIu64 " behind", behind);
    return note->text;
}

/* ---- JSON ---- */

static void json_replica_silent(json_t *object)
{
    static const char *const names[] = {"op",           "commit",   "lag",      "rtt_us",
                                        "durability",   "version",  "uptime_s", "disk_bytes",
                                        "state_digest", "counters", "note"};
    json_set_text(object, "status", "no answer");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        json_set_text(object, names[i], NULL);
    }
}

static json_t *json_digest(const struct survey_report *report)
{
    char text[33];
    (void)snprintf(text, sizeof text, "%016" PRIx64 "%016" PRIx64, report->digest.high,
                   report->digest.low);
    json_t *digest = json_object();
    json_set_u64(digest, "op", report->digest_op);
    json_set_text(digest, "value", text);
    return digest;
}

static void json_replica_answer(json_t *object, const struct survey *survey,
                                const struct health_report *health, uint32_t target)
{
    const struct survey_report *report = &survey->targets[target].report;
    struct row_note note;
    json_set_text(object, "status", vr_status_name(report->status));
    json_set_u64(object, "view", view_within_epoch(report->view_number));
    json_set_u64(object, "op", report->op_number);
    json_set_u64(object, "commit", report->commit_number);
    json_set_u64(object, "lag", lag_of(survey, health, target));
    json_set_u64(object, "rtt_us", report->rtt_ns / NANOSECONDS_PER_MICROSECOND);
    json_set_text(object, "durability", durability_name(report->durability));
    json_set_text(object, "version", report->version);
    json_set_u64(object, "uptime_s", report->uptime_s);
    json_set_u64(object, "disk_bytes", report->disk_bytes);
    (void)json_object_set_new(object, "state_digest", json_digest(report));
    json_t *counters = json_object();
    for (uint32_t i = 0; i < report->counter_count; i++) {
        json_set_u64(counters, report->counters[i].name, report->counters[i].value);
    }
    (void)json_object_set_new(object, "counters", counters);
    json_set_text(object, "note", note_of(survey, health, target, &note));
}

json_t *status_json(const struct survey *survey, const struct health_report *health)
{
    json_t *object = json_object();
    if (survey->cluster_id != 0) {
        json_set_hex(object, "cluster_id", survey->cluster_id);
    } else {
        json_set_text(object, "cluster_id", NULL);
    }
    json_set_u64(object, "epoch", survey->has_configuration ? survey->configuration.epoch : 0);
    json_set_u64(object, "view", view_within_epoch(health->view_number));
    if (health->primary != UINT32_MAX) {
        json_set_u64(object, "primary", survey->configuration.members[health->primary].replica_id);
    } else {
        json_set_text(object, "primary", NULL);
    }
    json_set_text(object, "health", health_name(health->health));
    json_set_text(object, "reason", health->reason);
    json_set_u64(object, "may_fail", health->may_fail);
    json_t *replicas = json_array();
    for (uint32_t i = 0; i < survey->target_count; i++) {
        const struct survey_target *target = &survey->targets[i];
        json_t *replica = json_object();
        if (survey->has_configuration) {
            json_set_u64(replica, "id", survey->configuration.members[i].replica_id);
        } else {
            json_set_text(replica, "id", NULL);
        }
        json_set_text(replica, "address", target->name);
        json_set_text(replica, "role", role_of(survey, health, i));
        if (target->answered) {
            json_replica_answer(replica, survey, health, i);
        } else {
            json_replica_silent(replica);
        }
        (void)json_array_append_new(replicas, replica);
    }
    (void)json_object_set_new(object, "replicas", replicas);
    return object;
}

/* ---- the table ---- */

static void print_summary(const struct survey *survey, const struct health_report *health)
{
    static const char *const words[] = {"healthy", "DEGRADED", "UNAVAILABLE", "UNKNOWN"};
    if (survey->has_configuration) {
        (void)printf("cluster %016" PRIx64 "  epoch %" PRIu32 "  view %" PRIu64 "  ",
                     survey->cluster_id, survey->configuration.epoch,
                     view_within_epoch(health->view_number));
        if (health->primary != UINT32_MAX) {
            (void)printf("primary %" PRIu32 " (%s)  ",
                         survey->configuration.members[health->primary].replica_id,
                         survey->targets[health->primary].name);
        } else {
            (void)printf("no primary  ");
        }
        (void)printf("%" PRIu32 " replica%s, f=%" PRIu32 "   ", survey->target_count,
                     survey->target_count == 1 ? "" : "s",
                     configuration_faults_max(&survey->configuration));
    }
    (void)printf("%s%s%s\n", words[health->health], health->reason[0] != '\0' ? ": " : "",
                 health->reason);
}

/* Widths of the columns that grow with what is in them. */
struct widths {
    int address;
    int commit;
};

static struct widths measure(const struct survey *survey, const struct health_report *health)
{
    struct widths widths = {.address = (int)strlen("address"),
                            .commit = snprintf(NULL, 0, "%" PRIu64, health->head_commit)};
    widths.commit = widths.commit > COMMIT_WIDTH_MIN ? widths.commit : COMMIT_WIDTH_MIN;
    for (uint32_t i = 0; i < survey->target_count; i++) {
        const int length = (int)strlen(survey->targets[i].name);
        widths.address = length > widths.address ? length : widths.address;
    }
    return widths;
}

static void print_replica(const struct survey *survey, const struct health_report *health,
                          uint32_t index, const struct widths *widths)
{
    const struct survey_target *target = &survey->targets[index];
    const struct survey_report *report = &target->report;
    const char *role = role_of(survey, health, index);
    char id[12] = "?";
    if (survey->has_configuration) {
        (void)snprintf(id, sizeof id, "%" PRIu32, survey->configuration.members[index].replica_id);
    }
    (void)printf("%2s  %-*s  %-8s ", id, widths->address, target->name, role != NULL ? role : "?");
    if (!target->answered) {
        (void)printf("no answer\n");
        return;
    }
    char rtt[32];
    (void)snprintf(rtt, sizeof rtt, "%.2fms",
                   (double)report->rtt_ns / (double)NANOSECONDS_PER_MILLISECOND);
    struct row_note buffer;
    const char *note = note_of(survey, health, index, &buffer);
    const bool has_note = note[0] != '\0';
    (void)printf("%-12s %-9" PRIu64 " %-*" PRIu64 " %5" PRIu64 "  %-7s %*s%s%s\n",
                 vr_status_name(report->status), report->op_number, widths->commit,
                 report->commit_number, lag_of(survey, health, index), rtt, has_note ? -10 : 0,
                 durability_name(report->durability), has_note ? " " : "", note);
}

static void print_table(const struct survey *survey, const struct health_report *health)
{
    const struct widths widths = measure(survey, health);
    print_summary(survey, health);
    (void)printf("%3s %-*s  %-8s %-12s %-9s %-*s %5s  %-7s %-10s %s\n", "id", widths.address,
                 "address", "role", "status", "op", widths.commit, "commit", "lag", "rtt",
                 "durability", "note");
    for (uint32_t i = 0; i < survey->target_count; i++) {
        print_replica(survey, health, i, &widths);
    }
    if (health->health == HEALTH_HEALTHY || health->health == HEALTH_DEGRADED) {
        (void)printf("%" PRIu32 " more replica%s may fail before writes stop.\n", health->may_fail,
                     health->may_fail == 1 ? "" : "s");
    }
}

/* ---- the command ---- */

static int report_refusal(const struct shell *shell, const struct survey *survey)
{
    const struct refused *refusal = &survey->refusal;
    if (refusal->reason == REFUSED_PEERS_PORT) {
        char text[VR_MESSAGE_MAX];
        explain_peers_port(&survey->refused_by, refusal, text, sizeof text);
        return report_error(shell, EXIT_WRONG_GROUP, "wrong_cluster", "%s", text);
    }
    if (refusal->reason == REFUSED_VERSION) {
        return report_error(shell, EXIT_WRONG_GROUP, "wrong_version",
                            "a replica speaks protocol version %" PRIu64 ", this client %" PRIu64
                            ": use a client of the same release",
                            refusal->own, refusal->yours);
    }
    return report_error(shell, EXIT_WRONG_GROUP, "wrong_cluster",
                        "two clusters answer, %016" PRIx64 " and %016" PRIx64
                        ": the list %s mixes them",
                        refusal->yours, refusal->own, shell->options->cluster);
}

static int show(const struct shell *shell, const struct survey *survey)
{
    const enum refused_reason reason = survey->refusal.reason;
    if (reason == REFUSED_CLUSTER || reason == REFUSED_PEERS_PORT ||
        (reason == REFUSED_VERSION && !survey->has_configuration)) {
        return report_refusal(shell, survey);
    }
    struct health_report health;
    health_judge(survey, &health);
    if (shell->options->json) {
        json_print_line(status_json(survey, &health));
    } else {
        print_table(survey, &health);
    }
    return exit_code_of(health.health);
}

int status_run(struct shell *caller, const struct words *words)
{
    /* --json is taken after the command, too, and then errors are JSON as well. */
    struct options options = *caller->options;
    const struct shell asked = {.options = &options, .source = caller->source};
    const struct shell *shell = &asked;
    for (size_t i = 1; i < words->count; i++) {
        if (!word_is(&words->items[i], "--json")) {
            return report_error(shell, EXIT_USAGE, "usage",
                                "status: \"%s\" is not known; usage: status [--json]",
                                words->items[i].bytes);
        }
        options.json = true;
    }
    struct cluster_list list;
    char message[VR_MESSAGE_MAX];
    if (!cluster_list_resolve(shell->options->cluster, &list, message, sizeof message)) {
        return report_error(shell, EXIT_USAGE, "usage", "%s", message);
    }
    struct survey *survey = must_calloc(1, sizeof *survey);
    const int error = survey_run(survey, list.addresses, list.count, shell->options->timeout_ms,
                                 shell->options->datagram_size);
    const int code = error == 0 ? show(shell, survey)
                                : report_error(shell, EXIT_INTERNAL, "internal",
                                               "cannot open a socket: %s", strerror(-error));
    survey_free(survey);
    free(survey);
    return code;
}
