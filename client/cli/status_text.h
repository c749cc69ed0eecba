/* SPDX-License-Identifier: Apache-2.0 */
/* status_text.h - the table of `status`, and what its rows and the JSON have in common.
 *
 * Pure, but for the stream. */
#ifndef VR_CLI_STATUS_TEXT_H
#define VR_CLI_STATUS_TEXT_H

#include <stdio.h>

#include "client/cli/health.h"

/* Writes the summary, a row for each replica, warnings and the outlook; what is not healthy stands
 * between `alarm` and `plain`. */
void status_print(FILE *out, const struct survey *survey, const struct health_report *health,
                  const char *alarm, const char *plain);

/* "primary", "backup", "witness"; NULL if the target did not answer. */
const char *status_role(const struct survey *survey, const struct health_report *health,
                        uint32_t target);

/* Operations that the group has committed and this replica has not executed. */
uint64_t status_lag(const struct survey *survey, const struct health_report *health,
                    uint32_t target);

struct status_note_text {
    char text[STATUS_TEXT_MAX];
};

/* What the replica says of itself, but for what the summary has said already. May use `note`. */
const char *status_note(const struct survey *survey, const struct health_report *health,
                        uint32_t target, struct status_note_text *note);

#endif
