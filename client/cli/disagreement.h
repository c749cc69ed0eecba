/* SPDX-License-Identifier: Apache-2.0 */
/* disagreement.h - in what the replicas of a survey differ that should be alike: what they were
 * initialised with, whom they hear, the release they run, how durable they are.
 *
 * Pure. */
#ifndef VR_CLI_DISAGREEMENT_H
#define VR_CLI_DISAGREEMENT_H

#include "client/cli/survey.h"

/* Sets of members, bit i for target i. */
struct disagreement {
    uint32_t other_configuration; /* E0: refused by those who have the group's */
    uint32_t other_version;       /* of the protocol: it cannot be understood */
    uint32_t part_count;          /* parts that do not hear each other; 1 in a healthy network */
    uint32_t parts[REPLICAS_MAX]; /* the first part_count; each has one member at least */
};

/* `primary` is the acting primary's index, or UINT32_MAX: its configuration is the group's, else
 * the one that most have. */
void disagreement_find(const struct survey *survey, uint32_t primary,
                       struct disagreement *disagreement);

/* The part that member i is in; 0: it did not answer, or counts in none. */
uint32_t disagreement_part(const struct disagreement *disagreement, uint32_t i);

/* "the group is split: replicas 0 and 1 do not hear replicas 2, 3 and 4" */
void disagreement_say_split(const struct survey *survey, const struct disagreement *disagreement,
                            char *text, size_t size);

/* "replica 2 was initialised with other parameters (sessions_max 100, not 16384): the others refuse
 * it" */
void disagreement_say_configuration(const struct survey *survey, uint32_t primary, uint32_t i,
                                    char *text, size_t size);

enum { WARNINGS_MAX = 4, WARNING_SIZE_MAX = 512 };

/* What does no harm by itself but should not stay: mixed releases and durabilities, a replica of
 * another protocol version. Returns how many lines were written. */
uint32_t disagreement_warn(const struct survey *survey, const struct disagreement *disagreement,
                           char warnings[WARNINGS_MAX][WARNING_SIZE_MAX]);

#endif
