/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/restore_choose.h"

#include <string.h>

#include "common/base/types.h"

/* Who is what; the masks are of those that answered, but for `silent`. */
struct restore_census {
    uint32_t silent;
    uint32_t not_dead;
    uint32_t primaries;
    uint32_t lost;
};

static struct restore_census take_census(const struct restore_target *targets, uint32_t count,
                                         struct restore_choice *choice)
{
    struct restore_census census = {0};
    for (uint32_t i = 0; i < count; i++) {
        const struct restore_target *target = &targets[i];
        const uint32_t bit = UINT32_C(1) << i;
        if (!target->answered) {
            census.silent |= target->without ? 0 : bit;
            continue;
        }
        choice->answered++;
        census.not_dead |= target->without ? bit : 0;
        census.primaries |= target->report.acting_primary ? bit : 0;
        census.lost |= target->report.recovery_nonce != 0 ? bit : 0;
        choice->remember += target->report.recovery_nonce == 0 ? 1 : 0;
    }
    return census;
}

/* The largest of everything that was reported. False: two know different entries to be committed at
 * one op. */
static bool take_largest(const struct restore_target *targets, uint32_t count,
                         struct restore_choice *choice)
{
    struct restore *restore = &choice->restore;
    bool any = false;
    for (uint32_t i = 0; i < count; i++) {
        const struct restore_report *report = &targets[i].report;
        const struct log_descriptor *log = &report->log;
        if (!targets[i].answered) {
            continue;
        }
        choice->view_max =
            report->view_number > choice->view_max ? report->view_number : choice->view_max;
        if (log->last_normal_view > restore->last_normal_view) {
            restore->last_normal_view = log->last_normal_view;
        }
        if (any && log->commit_number == restore->log.commit_number &&
            !checksum_equal(log->commit_checksum, restore->log.commit_checksum)) {
            return false;
        }
        if (!any || log->commit_number > restore->log.commit_number) {
            restore->log.commit_number = log->commit_number;
            restore->log.commit_checksum = log->commit_checksum;
            any = true;
        }
    }
    restore->view_number = choice->view_max + 1;
    return true;
}

/* V6's order among the logs that hold all that is known to be committed: one that has lost it may
 * well be of the latest view. False: there is none. */
static bool take_best(const struct restore_target *targets, uint32_t count,
                      struct restore_choice *choice)
{
    const struct log_descriptor *best = NULL;
    struct log_descriptor *chosen = &choice->restore.log;
    for (uint32_t i = 0; i < count; i++) {
        const struct log_descriptor *log = &targets[i].report.log;
        if (targets[i].answered && log->op_number >= chosen->commit_number &&
            (best == NULL || log->last_normal_view > best->last_normal_view ||
             (log->last_normal_view == best->last_normal_view &&
              log->op_number > best->op_number))) {
            best = log;
            choice->best = i;
        }
    }
    if (best == NULL) {
        return false;
    }
    chosen->last_normal_view = best->last_normal_view;
    chosen->op_number = best->op_number;
    chosen->head_checksum = best->head_checksum;
    choice->restore.source = targets[choice->best].replica_id;
    return true;
}

static bool all_in_memory(const struct restore_target *targets, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (targets[i].answered && targets[i].report.durability != DURABILITY_MEMORY) {
            return false;
        }
    }
    return true;
}

enum restore_verdict restore_choose(const struct restore_target *targets, uint32_t count,
                                    struct restore_choice *choice, uint32_t *who)
{
    memset(choice, 0, sizeof *choice);
    choice->quorum = count / 2 + 1;
    const struct restore_census census = take_census(targets, count, choice);
    *who = census.primaries;
    if (census.primaries != 0) {
        return RESTORE_HAS_PRIMARY;
    }
    *who = census.not_dead;
    if (census.not_dead != 0) {
        return RESTORE_NOT_DEAD;
    }
    *who = census.silent;
    if (choice->remember >= choice->quorum) {
        return RESTORE_MAJORITY;
    }
    if (census.silent != 0) {
        return RESTORE_SILENT;
    }
    if (choice->answered < choice->quorum) {
        return RESTORE_TOO_FEW;
    }
    if (census.lost == 0) {
        return RESTORE_NOBODY_LOST;
    }
    if (!take_largest(targets, count, choice) || !take_best(targets, count, choice)) {
        return RESTORE_CONTRADICTION;
    }
    return choice->restore.log.op_number == 0 && all_in_memory(targets, count)
               ? RESTORE_NOTHING_LEFT
               : RESTORE_POSSIBLE;
}

bool restore_has_primary(const struct restore_target *targets, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (targets[i].answered && targets[i].report.acting_primary) {
            return true;
        }
    }
    return false;
}

bool restore_is_refused(const struct restore_target *targets, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const enum restore_outcome outcome = targets[i].report.outcome;
        if (outcome == RESTORE_NOT_PERMITTED || outcome == RESTORE_CHANGED ||
            outcome == RESTORE_CONFLICT) {
            return true;
        }
    }
    return false;
}
