/* SPDX-License-Identifier: Apache-2.0 */
/* trace_print.h - lines of a trace on stdout: aligned text, JSON, or a Mermaid sequence diagram. */
#ifndef VR_CLI_TRACE_PRINT_H
#define VR_CLI_TRACE_PRINT_H

#include "client/cli/trace_explain.h"
#include "client/cli/trace_names.h"

/* What became of a message, in a word: "accepted", "gap", "lost", "in flight", ... */
const char *trace_outcome(const struct trace_line *line);

/* True if stdout is a terminal that shows colours, and nobody said NO_COLOR. */
bool trace_wants_colour(void);

enum { TRACE_WIDE_COLUMNS = 100 }; /* a narrower terminal gets the narrow form */

/* Columns of stdout if lines are to be narrow, each cut to one row; 0 if they are to be wide, as
 * for anything that is no terminal. */
size_t trace_narrow_columns(void);

/* What stands above the lines of text. */
void trace_print_columns(void);

void trace_print_text(const struct trace_names *names, const struct trace_line *line, bool colour);

void trace_print_json(const struct trace_names *names, const struct trace_line *line);

void trace_print_mermaid(const struct trace_names *names, const struct trace_lines *lines);

#endif
