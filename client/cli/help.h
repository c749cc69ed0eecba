/* SPDX-License-Identifier: Apache-2.0 */
/* help.h - `help`: the commands in a list, or one of them with an example. */
#ifndef VR_CLI_HELP_H
#define VR_CLI_HELP_H

#include "client/cli/commands.h"

int help_run(struct shell *shell, const struct words *words);

/* Explains one command, as text or as an object. Returns EXIT_DONE. */
int help_explain(const struct shell *shell, const struct command *command);

#endif
