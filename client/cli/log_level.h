/* SPDX-License-Identifier: Apache-2.0 */
/* log_level.h - `log-level`: how much each replica logs, shown or changed (M7). */
#ifndef VR_CLI_LOG_LEVEL_H
#define VR_CLI_LOG_LEVEL_H

#include "client/cli/commands.h"

/* The command. Returns 0; 4 if a replica that was asked did not answer; 6 if one refused. */
int log_level_run(struct shell *caller, const struct words *words);

/* "--json" and so on; ends with a NULL. */
extern const char *const log_level_options[];

#endif
