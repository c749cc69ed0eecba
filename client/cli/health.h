/* SPDX-License-Identifier: Apache-2.0 */
/* health.h - what a survey of the replicas adds up to: four words, a reason, and how many more may
 * fail. */
#ifndef VR_CLI_HEALTH_H
#define VR_CLI_HEALTH_H

#include "client/cli/disagreement.h"
#include "client/cli/survey.h"

enum health {
    HEALTH_HEALTHY,     /* everybody is normal in one view */
    HEALTH_DEGRADED,    /* it serves; not everybody takes part */
    HEALTH_UNAVAILABLE, /* it does not serve */
    HEALTH_UNKNOWN,     /* nobody answers */
};

struct health_report {
    enum health health;
    uint32_t primary;     /* index among the targets, or UINT32_MAX */
    uint64_t view_number; /* the primary's, else the latest normal one heard of; VIEW_NONE: none */
    uint64_t head_commit; /* the largest commit number of all */
    uint32_t may_fail;    /* more replicas that may fail before writes stop */
    char reason[1024];    /* "" if healthy */
    bool reason_is_note;  /* the words of the replicas that are recovering */
    char outlook[320];    /* a sentence: how many more may fail, or what it takes to go on */
    uint32_t warning_count;
    char warnings[WARNINGS_MAX][WARNING_SIZE_MAX]; /* what does not make it less healthy */
    bool in_doubt; /* a silence between replicas that answer decided: look again before believing */
};

void health_judge(const struct survey *survey, struct health_report *report);

/* "healthy", "degraded", "unavailable", "unknown" */
const char *health_name(enum health health);

#endif
