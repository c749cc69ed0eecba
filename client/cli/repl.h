/* SPDX-License-Identifier: Apache-2.0 */
/* repl.h - commands that are read: from a terminal with line editing, or from a pipe one a line. */
#ifndef VR_CLI_REPL_H
#define VR_CLI_REPL_H

#include "client/cli/commands.h"

/* Both return the exit code: of the last failed command, or 0. A pipe stops at the first failure
 * unless --keep-going; a terminal goes on, and its exit code is 0. */
int repl_run_terminal(struct shell *shell);
int repl_run_pipe(struct shell *shell);

#endif
