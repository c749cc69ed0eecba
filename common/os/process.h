/* SPDX-License-Identifier: Apache-2.0 */
/* process.h - what a program puts in order first, before it opens anything and before threads. */
#ifndef VR_OS_PROCESS_H
#define VR_OS_PROCESS_H

#include <stdbool.h>

/* A standard descriptor that the parent closed would be the number of the next file or socket.
 * /dev/null takes its place, opened the wrong way round: using it is the error that it would have
 * been. False if that cannot be done. */
bool process_open_standard(void);

/* Writes to a closed pipe, or beyond a limit on file sizes, become errors instead of deadly
 * signals. */
void process_ignore_signals(void);

/* From here on exit() with what stdout did not take says so, in the name of `program`, and ends
 * with `code`: argp exits by itself after --help and --version. NULL: no longer. */
void process_check_stdout_at_exit(const char *program, int code);

#endif
