/* SPDX-License-Identifier: Apache-2.0 */
/* report.h - how a command tells what came of it: as text or as JSON, and as an exit code. */
#ifndef VR_CLI_REPORT_H
#define VR_CLI_REPORT_H

#include "client/cli/commands.h"
#include "client/cli/json_text.h"

/* The exit code of a result, executed or not. */
int report_exit_code(const struct vr_result *result);

/* {"ok":true,"op":..,"view":..}, for the caller to add to. */
json_t *report_json_ok(const struct vr_result *result);

/* Done, and nothing to say beyond that. Returns EXIT_DONE. */
int report_ok(const struct shell *shell, const struct vr_result *result);

/* Done: these bytes, or this number. Returns EXIT_DONE. */
int report_value(const struct shell *shell, const struct vr_result *result);
int report_number(const struct shell *shell, const struct vr_result *result);

/* Not done. Returns the exit code. */
int report_failure(const struct shell *shell, const struct vr_result *result);

/* Nothing was tried: the command is wrong, or this program could not go on. Returns `code`. */
__attribute__((format(printf, 4, 5))) int report_error(const struct shell *shell, int code,
                                                       const char *error, const char *format, ...);

/* The same of a command that is written wrong, exit code EXIT_USAGE: on a terminal a caret points
 * at the bytes begin to end - 1 of the line. */
__attribute__((format(printf, 4, 5))) int report_usage(const struct shell *shell, size_t begin,
                                                       size_t end, const char *format, ...);

#endif
