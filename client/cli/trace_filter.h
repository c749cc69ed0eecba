/* SPDX-License-Identifier: Apache-2.0 */
/* trace_filter.h - which lines of a trace somebody wants to see.
 *
 * Threads: plain data; the functions are pure. */
#ifndef VR_CLI_TRACE_FILTER_H
#define VR_CLI_TRACE_FILTER_H

#include "client/cli/trace_merge.h"

struct trace_filter {
    bool by_type;     /* only what the next three name */
    uint64_t types;   /* bit t: messages of type t */
    bool states;      /* changes of a replica's status and view */
    bool progress;    /* what it has committed and executed */
    uint32_t members; /* bit i: what member i sent, received or became; 0: all */
    bool by_ops;
    uint64_t first_op; /* with by_ops: what is about any of these */
    uint64_t last_op;
    bool by_view;
    uint64_t view;   /* within the epoch */
    bool heartbeats; /* also what says nothing new */
};

/* True if nothing but --heartbeats was asked for. */
bool trace_filter_is_open(const struct trace_filter *filter);

bool trace_filter_passes(const struct trace_filter *filter, const struct trace_line *line);

/* Reads "Prepare,PrepareOk,state,progress", in any case. False: *wrong and *wrong_size are the name
 * that is none. */
bool trace_filter_parse_types(const char *text, struct trace_filter *filter, const char **wrong,
                              size_t *wrong_size);

/* Leaves only the lines that pass. */
void trace_filter_apply(const struct trace_filter *filter, struct trace_lines *lines);

#endif
