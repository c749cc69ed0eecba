/* SPDX-License-Identifier: Apache-2.0 */
/* trace_options.h - what "trace" was asked for. */
#ifndef VR_CLI_TRACE_OPTIONS_H
#define VR_CLI_TRACE_OPTIONS_H

#include <argp.h>

#include "client/cli/trace_filter.h"

enum {
    TRACE_LAST_DEFAULT = 300,
    TRACE_LAST_MAX = 1000 * 1000,
};

enum trace_form {
    TRACE_FORM_TEXT,
    TRACE_FORM_JSON,
    TRACE_FORM_MERMAID,
};

struct trace_options {
    bool help; /* was printed; nothing else is to be done */
    enum trace_form form;
    bool follow;
    uint64_t op;                     /* --op: 0 none */
    uint64_t last;                   /* lines; 0: all */
    bool limited;                    /* --last or --all was given */
    uint64_t replicas[REPLICAS_MAX]; /* ids; the command finds their places (filter.members) */
    uint32_t replica_count;
    struct trace_filter filter;
};

/* Ends with one that has no name; completion knows them from here. */
extern const struct argp_option trace_option_table[];

/* arguments[0] is replaced. Returns 0, or the exit code to end with, having said why. */
int trace_options_parse(size_t count, char **arguments, struct trace_options *options);

#endif
