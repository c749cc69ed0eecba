/* SPDX-License-Identifier: Apache-2.0 */
/* help.h - `help`: the commands in a list, or one of them with an example. */
#ifndef VR_CLI_HELP_H
#define VR_CLI_HELP_H

#include "client/cli/commands.h"

int help_run(struct shell *shell, const struct words *words);

#endif
