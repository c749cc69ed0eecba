/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/health.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "client/cli/outlook.h"
#include "client/cli/replica_list.h"
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

static uint32_t bit(uint32_t i)
{
    return UINT32_C(1) << i;
}

static bool suspects(const struct survey *survey, uint32_t i)
{
    return (survey->targets[i].report.suspect_mask & bit(i)) != 0;
}

/* Normal in the primary's view, and the two do hear each other: its acks count. */
static bool takes_part(const struct survey *survey, uint32_t primary, uint32_t i)
{
    const struct survey_report *r = &survey->targets[i].report;
    const struct survey_report *p = &survey->targets[primary].report;
    return survey->targets[i].answered && r->status == STATUS_NORMAL &&
           r->view_number == p->view_number && !suspects(survey, i) &&
           (i == primary || (p->silent_mask & bit(i)) == 0);
}

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
            tally.recovering_mask |= bit(i);
        } else if (report->primary != UINT32_MAX && takes_part(survey, report->primary, i)) {
            tally.taking_part++;
        } else {
            tally.changing++;
            if (r->view_number > tally.view_change_to) {
                tally.view_change_to = r->view_number;
            }
        }
    }
    return tally;
}

/* For how long the primary has not heard a replica, in ms; 0: it does not say. */
static uint64_t silent_ms(const struct survey *survey, uint32_t primary, uint32_t i)
{
    char name[32];
    (void)snprintf(name, sizeof name, "silent_ms_%" PRIu32, i);
    const struct survey_report *report = &survey->targets[primary].report;
    for (uint32_t j = 0; j < report->counter_count; j++) {
        if (strcmp(report->counters[j].name, name) == 0) {
            return report->counters[j].value;
        }
    }
    return 0;
}

static void explain_no_answer(const struct survey *survey, struct health_report *report, uint32_t i)
{
    const uint64_t ms = report->primary != UINT32_MAX ? silent_ms(survey, report->primary, i) : 0;
    if (survey->targets[i].refusal.reason == REFUSED_VERSION) {
        because(report, "replica %" PRIu32 " speaks another protocol version",
                member_id(survey, i));
    } else if (ms > 0) {
        because(report, "replica %" PRIu32 " silent for %.1f s", member_id(survey, i),
                (double)ms / 1000.0);
    } else {
        because(report, "replica %" PRIu32 " does not answer", member_id(survey, i));
    }
}

/* Why a replica that answers does not take part. */
static void explain_absent(const struct survey *survey, struct health_report *report, uint32_t i)
{
    const struct survey_report *r = &survey->targets[i].report;
    const struct survey_report *p = &survey->targets[report->primary].report;
    const uint32_t id = member_id(survey, i);
    if (r->status != STATUS_NORMAL) {
        because(report, "replica %" PRIu32 " is in status %s", id, vr_status_name(r->status));
    } else if (r->view_number != p->view_number) {
        because(report, "replica %" PRIu32 " is still in view %" PRIu64, id,
                view_within_epoch(r->view_number));
    } else if (i == report->primary) {
        because(report, "the primary hears from too few: %" PRIu32 " needed",
                configuration_quorum(&survey->configuration));
    } else if (suspects(survey, i)) {
        because(report, "replica %" PRIu32 " does not hear the primary", id);
    } else {
        because(report, "the primary does not hear replica %" PRIu32, id);
        report->in_doubt = true;
    }
}

/* Replicas of other parameters, and parts of a split network, which explains what they report.
 * Returns those of whom nothing more is to be said. */
static uint32_t explain_disagreement(const struct survey *survey,
                                     const struct disagreement *disagreement,
                                     struct health_report *report)
{
    char text[WARNING_SIZE_MAX];
    uint32_t explained = disagreement->other_configuration;
    for (uint32_t i = 0; i < survey->target_count; i++) {
        if ((disagreement->other_configuration & bit(i)) != 0) {
            disagreement_say_configuration(survey, report->primary, i, text, sizeof text);
            because(report, "%s", text);
        }
    }
    if (disagreement->part_count > 1) {
        disagreement_say_split(survey, disagreement, text, sizeof text);
        because(report, "%s", text);
        report->in_doubt = true;
        const uint32_t serving =
            report->primary != UINT32_MAX ? disagreement_part(disagreement, report->primary) : 0;
        for (uint32_t i = 0; i < disagreement->part_count; i++) {
            explained |= disagreement->parts[i] != serving ? disagreement->parts[i] : 0;
        }
    }
    return explained;
}

/* One part for each replica that does not take part, but for those in `explained`. */
static void explain_degraded(const struct survey *survey, uint32_t explained,
                             struct health_report *report)
{
    for (uint32_t i = 0; i < survey->target_count; i++) {
        if ((explained & bit(i)) != 0) {
            continue;
        }
        if (!survey->targets[i].answered) {
            explain_no_answer(survey, report, i);
        } else if (!takes_part(survey, report->primary, i)) {
            explain_absent(survey, report, i);
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

/* It serves unless it says that it does not: a silence that the survey happened to see may be over
 * before the primary minds. */
static bool serves(const struct survey *survey, const struct tally *tally, uint32_t primary)
{
    const uint32_t quorum = configuration_quorum(&survey->configuration);
    return !suspects(survey, primary) &&
           (tally->taking_part >= quorum || heard_by_primary(survey, primary) >= quorum);
}

static void judge_with_primary(const struct survey *survey, const struct tally *tally,
                               const struct disagreement *disagreement,
                               struct health_report *report)
{
    const uint32_t quorum = configuration_quorum(&survey->configuration);
    report->view_number = survey->targets[report->primary].report.view_number;
    if (tally->taking_part == survey->target_count) {
        report->health = HEALTH_HEALTHY;
    } else if (serves(survey, tally, report->primary)) {
        report->health = HEALTH_DEGRADED;
    } else {
        report->health = HEALTH_UNAVAILABLE;
        because(report, "the primary hears from too few: %" PRIu32 " needed", quorum);
    }
    if (report->health != HEALTH_HEALTHY) {
        uint32_t explained = explain_disagreement(survey, disagreement, report);
        if (report->health == HEALTH_UNAVAILABLE) {
            explained |= bit(report->primary);
        }
        explain_degraded(survey, explained, report);
    }
    if (report->health != HEALTH_UNAVAILABLE && tally->taking_part > quorum) {
        report->may_fail = tally->taking_part - quorum;
    }
}

void health_judge(const struct survey *survey, struct health_report *report)
{
    memset(report, 0, sizeof *report);
    report->view_number = VIEW_NONE;
    report->primary = UINT32_MAX;
    struct tally tally = {0};
    struct disagreement disagreement = {0};
    if (!survey->has_configuration) {
        report->health = HEALTH_UNKNOWN;
        explain_unknown(survey, report);
    } else {
        report->primary = find_primary(survey);
        tally = count(survey, report);
        disagreement_find(survey, report->primary, &disagreement);
        if (report->primary != UINT32_MAX) {
            judge_with_primary(survey, &tally, &disagreement, report);
        } else {
            report->health = HEALTH_UNAVAILABLE;
            explain_unavailable(survey, &tally, report);
            (void)explain_disagreement(survey, &disagreement, report);
        }
    }
    report->warning_count = disagreement_warn(survey, &disagreement, report->warnings);
    outlook_say(survey, &tally, &disagreement, report);
}
