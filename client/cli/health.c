/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/health.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/os/clock.h"

const char *health_name(enum health health)
{
    switch (health) {
    case HEALTH_HEALTHY:
        return "healthy";
    case HEALTH_DEGRADED:
        return "degraded";
    case HEALTH_UNAVAILABLE:
        return "unavailable";
    case HEALTH_UNKNOWN:
        break;
    }
    return "unknown";
}

/* Adds a part to the reason, with "; " between parts. */
__attribute__((format(printf, 2, 3))) static void because(struct health_report *report,
                                                          const char *format, ...)
{
    size_t used = strlen(report->reason);
    if (used > 0 && used + 3 < sizeof report->reason) {
        memcpy(report->reason + used, "; ", 3);
        used += 2;
    }
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(report->reason + used, sizeof report->reason - used, format, arguments);
    va_end(arguments);
}

static uint32_t member_id(const struct survey *survey, uint32_t index)
{
    return survey->configuration.members[index].replica_id;
}

/* The acting primary of the latest view: an older one may not have heard yet that it is none. */
static uint32_t find_primary(const struct survey *survey)
{
    uint32_t found = UINT32_MAX;
    for (uint32_t i = 0; i < survey->target_count; i++) {
        const struct survey_target *target = &survey->targets[i];
        if (target->answered && target->report.acting_primary &&
            target->report.status == STATUS_NORMAL &&
            (found == UINT32_MAX ||
             target->report.view_number > survey->targets[found].report.view_number)) {
            found = i;
        }
    }
    return found;
}

struct tally {
    uint32_t answered;
    uint32_t taking_part; /* normal in the primary's view */
    uint32_t full;        /* normal in it, too, but their logs take nothing more */
    uint32_t recovering;
    uint32_t changing; /* in view_change, or normal in an older view */
    uint64_t view_change_to;
};

static struct tally count(const struct survey *survey, struct health_report *report)
{
    struct tally tally = {0};
    for (uint32_t i = 0; i < survey->target_count; i++) {
        const struct survey_report *r = &survey->targets[i].report;
        if (!survey->targets[i].answered) {
            continue;
        }
        tally.answered++;
        if (r->commit_number > report->head_commit) {
            report->head_commit = r->commit_number;
        }
        if (r->last_normal_view > report->view_number) {
            report->view_number = r->last_normal_view;
        }
        if (r->status == STATUS_RECOVERING) {
            tally.recovering++;
        } else if (r->status == STATUS_NORMAL && report->primary != UINT32_MAX &&
                   r->view_number == survey->targets[report->primary].report.view_number) {
            tally.taking_part += r->log_full ? 0u : 1u;
            tally.full += r->log_full ? 1u : 0u;
        } else {
            tally.changing++;
            if (r->view_number > tally.view_change_to) {
                tally.view_change_to = r->view_number;
            }
        }
    }
    return tally;
}

/* One part for each replica that does not take part. */
static void explain_degraded(const struct survey *survey, struct health_report *report)
{
    const uint64_t view_number = survey->targets[report->primary].report.view_number;
    for (uint32_t i = 0; i < survey->target_count; i++) {
        const struct survey_report *r = &survey->targets[i].report;
        if (!survey->targets[i].answered) {
            because(report, "replica %" PRIu32 " does not answer", member_id(survey, i));
        } else if (r->status != STATUS_NORMAL) {
            because(report, "replica %" PRIu32 " is in status %s", member_id(survey, i),
                    vr_status_name(r->status));
        } else if (r->view_number != view_number) {
            because(report, "replica %" PRIu32 " is still in view %" PRIu64, member_id(survey, i),
                    view_within_epoch(r->view_number));
        } else if (r->log_full) {
            because(report, "the log of replica %" PRIu32 " is full", member_id(survey, i));
        }
    }
}

/* A recovering replica knows whether the group can be had back, and says so in its note. */
static const char *note_of_recovering(const struct survey *survey)
{
    for (uint32_t i = 0; i < survey->target_count; i++) {
        const struct survey_target *target = &survey->targets[i];
        if (target->answered && target->report.status == STATUS_RECOVERING &&
            target->report.note[0] != '\0') {
            return target->report.note;
        }
    }
    return NULL;
}

static void explain_unavailable(const struct survey *survey, const struct tally *tally,
                                struct health_report *report)
{
    const uint32_t quorum = configuration_quorum(&survey->configuration);
    const char *note = note_of_recovering(survey);
    if (tally->recovering > survey->target_count - quorum && note != NULL) {
        because(report, "%s", note);
        report->reason_is_note = true;
    } else if (tally->answered < quorum) {
        because(report, "%" PRIu32 " of %" PRIu32 " replicas answer, %" PRIu32 " are needed",
                tally->answered, survey->target_count, quorum);
    } else if (tally->recovering > survey->target_count - quorum) {
        because(report, "%" PRIu32 " of %" PRIu32 " replicas are recovering, and need a primary",
                tally->recovering, survey->target_count);
    } else {
        because(report, "no primary: view change to %" PRIu64 " is under way",
                view_within_epoch(tally->view_change_to));
    }
}

static void explain_unknown(const struct survey *survey, struct health_report *report)
{
    because(report, "no replica answers: asked");
    for (uint32_t i = 0; i < survey->target_count; i++) {
        const size_t used = strlen(report->reason);
        (void)snprintf(report->reason + used, sizeof report->reason - used, "%s %s",
                       i > 0 ? "," : "", survey->targets[i].name);
    }
    const size_t used = strlen(report->reason);
    (void)snprintf(report->reason + used, sizeof report->reason - used, " for %.1f s",
                   (double)survey->took_ns / (double)NANOSECONDS_PER_SECOND);
}

/* Members from whom the primary hears, itself included: it may hear from more than answer us. */
static uint32_t heard_by_primary(const struct survey *survey, uint32_t primary)
{
    const uint32_t silent = survey->targets[primary].report.silent_mask;
    uint32_t heard = 0;
    for (uint32_t i = 0; i < survey->target_count; i++) {
        heard += i == primary || (silent & (1u << i)) == 0 ? 1u : 0u;
    }
    return heard;
}

void health_judge(const struct survey *survey, struct health_report *report)
{
    memset(report, 0, sizeof *report);
    report->view_number = VIEW_NONE;
    report->primary = UINT32_MAX;
    if (!survey->has_configuration) {
        report->health = HEALTH_UNKNOWN;
        explain_unknown(survey, report);
        return;
    }
    report->primary = find_primary(survey);
    const struct tally tally = count(survey, report);
    const uint32_t quorum = configuration_quorum(&survey->configuration);
    if (report->primary == UINT32_MAX) {
        report->health = HEALTH_UNAVAILABLE;
        explain_unavailable(survey, &tally, report);
        return;
    }
    report->view_number = survey->targets[report->primary].report.view_number;
    if (survey->targets[report->primary].report.log_full) {
        report->health = HEALTH_UNAVAILABLE;
        because(report, "the primary's log is full: requests are refused, reads too, but for those "
                        "that still fit");
        return;
    }
    const uint32_t heard = heard_by_primary(survey, report->primary);
    if (tally.taking_part == survey->target_count) {
        report->health = HEALTH_HEALTHY;
    } else if (tally.taking_part >= quorum || heard >= quorum + tally.full) {
        report->health = HEALTH_DEGRADED;
        explain_degraded(survey, report);
    } else {
        report->health = HEALTH_UNAVAILABLE;
        because(report, "the primary hears from too few: %" PRIu32 " needed", quorum);
        explain_degraded(survey, report);
    }
    if (report->health != HEALTH_UNAVAILABLE && tally.taking_part > quorum) {
        report->may_fail = tally.taking_part - quorum;
    }
}
