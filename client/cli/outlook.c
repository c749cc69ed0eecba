/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/outlook.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/cli/replica_list.h"

/* Healthy or degraded. */
static void say_may_fail(const struct survey *survey, const struct tally *tally,
                         struct health_report *report)
{
    const uint32_t quorum = configuration_quorum(&survey->configuration);
    if (tally->taking_part < quorum) {
        (void)snprintf(report->outlook, sizeof report->outlook,
                       "How many more may fail is not known from here: the primary hears replicas "
                       "that do not answer this client.");
        return;
    }
    char later[REPLICA_LIST_MAX + 64] = "";
    if (tally->recovering > 0) {
        char list[REPLICA_LIST_MAX];
        (void)snprintf(later, sizeof later, "; %" PRIu32 " once %s %s caught up",
                       tally->taking_part + tally->recovering - quorum,
                       replica_list(&survey->configuration, tally->recovering_mask, list),
                       tally->recovering == 1 ? "has" : "have");
    }
    (void)snprintf(report->outlook, sizeof report->outlook,
                   "%" PRIu32 " more replica%s may fail before writes stop%s.", report->may_fail,
                   report->may_fail == 1 ? "" : "s", later);
}

/* True if room in the logs is what is missing, whoever else answers. `have` replicas do. */
static bool logs_are_full(const struct survey *survey, const struct tally *tally, uint32_t have,
                          const struct health_report *report)
{
    const uint32_t quorum = configuration_quorum(&survey->configuration);
    return report->primary != UINT32_MAX && (survey->targets[report->primary].report.log_full ||
                                             (have >= quorum && have < quorum + tally->full));
}

/* Unavailable. A view change, and so a primary, needs a quorum that remembers the log (D6). */
static void say_stopped(const struct survey *survey, const struct tally *tally,
                        const struct disagreement *disagreement, struct health_report *report)
{
    const uint32_t quorum = configuration_quorum(&survey->configuration);
    const uint32_t refused = replica_count(disagreement->other_configuration);
    const uint32_t useless = tally->recovering + refused;
    const uint32_t have = tally->answered > useless ? tally->answered - useless : 0;
    const uint32_t silent = survey->target_count - tally->answered;
    const uint32_t missing = quorum > have ? quorum - have : 0;
    if (missing > silent + refused) {
        (void)snprintf(report->outlook, sizeof report->outlook,
                       "Writes have stopped and cannot go on: %" PRIu32
                       " replica%s the group's data %s needed, %" PRIu32 " at most %s left.",
                       quorum, quorum == 1 ? " that remembers" : "s that remember",
                       quorum == 1 ? "is" : "are", have + silent + refused,
                       have + silent + refused == 1 ? "is" : "are");
    } else if (logs_are_full(survey, tally, have, report)) {
        (void)snprintf(report->outlook, sizeof report->outlook,
                       "Writes have stopped; they go on when the replicas have been restarted, one "
                       "after the other, with a larger --log-memory-max.");
    } else if (missing > silent) {
        (void)snprintf(report->outlook, sizeof report->outlook,
                       "Writes have stopped; they go on when %" PRIu32
                       " replicas have the same parameters and answer.",
                       quorum);
    } else if (missing > 0) {
        (void)snprintf(report->outlook, sizeof report->outlook,
                       "Writes have stopped; they go on when %" PRIu32
                       " more replica%s answer%s%s.",
                       missing, missing == 1 ? "" : "s", missing == 1 ? "s" : "",
                       tally->recovering == 0 ? ""
                       : missing == 1         ? " and still knows the group's data"
                                              : " and still know the group's data");
    } else if (disagreement->part_count > 1) {
        (void)snprintf(report->outlook, sizeof report->outlook,
                       "Writes have stopped; they go on when %" PRIu32
                       " replicas hear each other again.",
                       quorum);
    } else {
        (void)snprintf(report->outlook, sizeof report->outlook,
                       "Writes wait for the view change, which needs nobody's help.");
    }
}

void outlook_say(const struct survey *survey, const struct tally *tally,
                 const struct disagreement *disagreement, struct health_report *report)
{
    switch (report->health) {
    case HEALTH_HEALTHY:
    case HEALTH_DEGRADED:
        say_may_fail(survey, tally, report);
        return;
    case HEALTH_UNAVAILABLE:
        say_stopped(survey, tally, disagreement, report);
        return;
    case HEALTH_UNKNOWN:
        (void)snprintf(report->outlook, sizeof report->outlook,
                       "Whether writes go on is not known from here: no replica answers.");
        return;
    }
}
