/* SPDX-License-Identifier: Apache-2.0 */
/* trace_show.h - a trace under way, and how it is shown: who answered, then lines, in the form that
 * was asked for. */
#ifndef VR_CLI_TRACE_SHOW_H
#define VR_CLI_TRACE_SHOW_H

#include "client/cli/commands.h"
#include "client/cli/trace_names.h"
#include "client/cli/trace_options.h"
#include "client/cli/trace_pull.h"

struct trace {
    const struct shell *shell;
    struct trace_options options;
    struct survey survey;
    struct trace_pull pull;
    struct trace_names names;
    bool colour;
};

/* The replicas, whether they answer, and how far their clocks are off. */
void trace_show_clocks(const struct trace *trace);

/* Over the lines of a text. */
void trace_show_columns(const struct trace *trace);

void trace_show_line(const struct trace *trace, const struct trace_line *line);

/* All of them, times counted from the first. Returns EXIT_DONE. */
int trace_show_lines(struct trace *trace, const struct trace_lines *lines);

bool trace_anybody_answered(const struct trace *trace);

/* Say so. Return the exit code. */
int trace_nobody_answers(const struct trace *trace);
int trace_cancelled(const struct trace *trace);

#endif
