/* SPDX-License-Identifier: Apache-2.0 */
/* status.h - `status`: the group and every replica in it, for people and for programs. */
#ifndef VR_CLI_STATUS_H
#define VR_CLI_STATUS_H

#include "client/cli/commands.h"
#include "client/cli/health.h"
#include "client/cli/json_text.h"

/* The command. Returns 0 healthy, 3 degraded, 4 unavailable, 5 unknown; 7 if two groups answer. */
int status_run(struct shell *caller, const struct words *words);

/* "--json" and so on; ends with a NULL. */
extern const char *const status_options[];

/* What --json prints. */
json_t *status_json(const struct survey *survey, const struct health_report *health);

/* Says that two clusters, another version, or ports for peers answer. Returns the exit code. */
int status_report_refusal(const struct shell *shell, const struct survey *survey);

#endif
