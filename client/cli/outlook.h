/* SPDX-License-Identifier: Apache-2.0 */
/* outlook.h - the sentence below the table of `status`: how many more replicas may fail before
 * writes stop, or, where they have stopped, what it takes for them to go on.
 *
 * Pure. */
#ifndef VR_CLI_OUTLOOK_H
#define VR_CLI_OUTLOOK_H

#include "client/cli/health.h"

/* What the replicas that answered say they are. */
struct tally {
    uint32_t answered;
    uint32_t taking_part; /* normal in the primary's view, and heard by it */
    uint32_t recovering;
    uint32_t recovering_mask;
    uint32_t changing; /* in view_change, or normal but not taking part */
    uint64_t view_change_to;
};

/* Fills in report->outlook, by what is in the rest of it. */
void outlook_say(const struct survey *survey, const struct tally *tally,
                 const struct disagreement *disagreement, struct health_report *report);

#endif
