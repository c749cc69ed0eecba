/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/status_text.h"

#include <inttypes.h>
#include <string.h>

#include "common/os/clock.h"

enum {
    EXECUTION_BEHIND_MAX = 1000, /* operations committed and not executed that need no note */
    COMMIT_WIDTH_MIN = 7,
};

const char *status_role(const struct survey *survey, const struct health_report *health,
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

/* How far what was committed is executed here: witnesses execute nothing. */
static uint64_t executed_op(const struct survey *survey, uint32_t target)
{
    const struct survey_report *report = &survey->targets[target].report;
    const bool witness = survey->configuration.members[target].role == MEMBER_WITNESS;
    return witness || report->executed_op > report->commit_number ? report->commit_number
                                                                  : report->executed_op;
}

uint64_t status_lag(const struct survey *survey, const struct health_report *health,
                    uint32_t target)
{
    return health->head_commit - executed_op(survey, target);
}

/* What the replica says of itself, but for what the summary has said already. */
const char *status_note(const struct survey *survey, const struct health_report *health,
                        uint32_t target, struct status_note_text *note)
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

/* ---- the table ---- */

static void print_summary(FILE *out, const struct survey *survey,
                          const struct health_report *health, const char *alarm, const char *plain)
{
    static const char *const words[] = {"healthy", "DEGRADED", "UNAVAILABLE", "UNKNOWN"};
    if (survey->has_configuration) {
        (void)fprintf(out, "cluster %016" PRIx64 "  epoch %" PRIu32 "  view %" PRIu64 "  ",
                      survey->cluster_id, survey->configuration.epoch,
                      view_within_epoch(health->view_number));
        if (health->primary != UINT32_MAX) {
            (void)fprintf(out, "primary %" PRIu32 " (%s)  ",
                          survey->configuration.members[health->primary].replica_id,
                          survey->targets[health->primary].name);
        } else {
            (void)fprintf(out, "no primary  ");
        }
        (void)fprintf(out, "%" PRIu32 " replica%s, f=%" PRIu32 "   ", survey->target_count,
                      survey->target_count == 1 ? "" : "s",
                      configuration_faults_max(&survey->configuration));
    }
    const bool good = health->health == HEALTH_HEALTHY;
    (void)fprintf(out, "%s%s%s%s%s\n", good ? "" : alarm, words[health->health],
                  health->reason[0] != '\0' ? ": " : "", health->reason, good ? "" : plain);
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

static void print_replica(FILE *out, const struct survey *survey,
                          const struct health_report *health, uint32_t index,
                          const struct widths *widths)
{
    const struct survey_target *target = &survey->targets[index];
    const struct survey_report *report = &target->report;
    const char *role = status_role(survey, health, index);
    char id[12] = "?";
    if (survey->has_configuration) {
        (void)snprintf(id, sizeof id, "%" PRIu32, survey->configuration.members[index].replica_id);
    }
    (void)fprintf(out, "%2s  %-*s  %-8s ", id, widths->address, target->name,
                  role != NULL ? role : "?");
    if (!target->answered) {
        (void)fprintf(out, "no answer\n");
        return;
    }
    char rtt[32];
    (void)snprintf(rtt, sizeof rtt, "%.2fms",
                   (double)report->rtt_ns / (double)NANOSECONDS_PER_MILLISECOND);
    struct status_note_text buffer;
    const char *note = status_note(survey, health, index, &buffer);
    const bool has_note = note[0] != '\0';
    (void)fprintf(out, "%-12s %-9" PRIu64 " %-*" PRIu64 " %5" PRIu64 "  %-7s %*s%s%s\n",
                  vr_status_name(report->status), report->op_number, widths->commit,
                  report->commit_number, status_lag(survey, health, index), rtt, has_note ? -10 : 0,
                  durability_name(report->durability), has_note ? " " : "", note);
}

/* A counter of a replica that answered; 0 where it is not among those that it said. */
static uint64_t counter(const struct survey_report *report, const char *name)
{
    for (uint32_t i = 0; i < report->counter_count; i++) {
        if (strcmp(report->counters[i].name, name) == 0) {
            return report->counters[i].value;
        }
    }
    return 0;
}

/* Nothing where nobody has taken one. */
static void print_checkpoints(FILE *out, const struct survey *survey)
{
    uint64_t oldest = UINT64_MAX;
    uint64_t newest = 0;
    for (uint32_t i = 0; i < survey->target_count; i++) {
        if (survey->targets[i].answered) {
            const uint64_t op = counter(&survey->targets[i].report, "checkpoint_op");
            oldest = op < oldest ? op : oldest;
            newest = op > newest ? op : newest;
        }
    }
    if (newest > 0 && oldest == newest) {
        (void)fprintf(out, "last checkpoint: op %" PRIu64 "\n", newest);
    } else if (newest > 0) {
        (void)fprintf(out, "last checkpoints: op %" PRIu64 " to %" PRIu64 "\n", oldest, newest);
    }
}

void status_print(FILE *out, const struct survey *survey, const struct health_report *health,
                  const char *alarm, const char *plain)
{
    const struct widths widths = measure(survey, health);
    print_summary(out, survey, health, alarm, plain);
    (void)fprintf(out, "%3s %-*s  %-8s %-12s %-9s %-*s %5s  %-7s %-10s %s\n", "id", widths.address,
                  "address", "role", "status", "op", widths.commit, "commit", "lag", "rtt",
                  "durability", "note");
    for (uint32_t i = 0; i < survey->target_count; i++) {
        print_replica(out, survey, health, i, &widths);
    }
    print_checkpoints(out, survey);
    for (uint32_t i = 0; i < health->warning_count; i++) {
        (void)fprintf(out, "%s\n", health->warnings[i]);
    }
    (void)fprintf(out, "%s\n", health->outlook);
}
