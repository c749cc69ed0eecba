/* SPDX-License-Identifier: Apache-2.0 */
/* repl.h - commands that are read: from a terminal with line editing, or from a pipe one a line. */
#ifndef VR_CLI_REPL_H
#define VR_CLI_REPL_H

#include "client/cli/commands.h"

/* Both return the exit code: of the last failed command, or 0. A pipe stops at the first failure
 * unless --keep-going; a terminal goes on, and its exit code is 0. */
int repl_run_terminal(struct shell *shell); /* repl_terminal.c */
int repl_run_pipe(struct shell *shell);

/* Runs one line; what is wrong with it is said. Returns an exit code. */
int repl_run_line(struct shell *shell, const char *line, size_t size);

/* Nothing but blanks. The line ends with a NUL behind its `size` bytes. */
bool repl_is_blank(const char *line, size_t size);

/* "quit" or "exit", with blanks around it. */
bool repl_wants_to_leave(const char *line, size_t size);

#endif
