/* SPDX-License-Identifier: Apache-2.0 */
/* trace_explain.h - the way of one operation through the group, from request to reply, with the
 * view change in between if there was one.
 *
 * Threads: plain data; the functions are pure. */
#ifndef VR_CLI_TRACE_EXPLAIN_H
#define VR_CLI_TRACE_EXPLAIN_H

#include "client/cli/trace_merge.h"

/* Which part a line has in the story: for JSON, and for tests. */
const char *trace_step(const struct trace_line *line);

struct trace_explanation {
    bool found; /* somebody remembers anything of it */
    bool request_known;
    uint64_t client_id_low;  /* whose request it was */
    uint64_t session;        /* 0: it opens one */
    uint64_t request_number; /* 0: it opens or closes its session */
    bool committed;
    bool answered;          /* a Reply is remembered */
    bool view_changed;      /* while it was under way */
    bool no_quorum;         /* its primary heard from no quorum meanwhile */
    uint32_t primary;       /* member that prepared it; REPLICAS_MAX: not known */
    bool primary_restarted; /* after that, and forgot what it had answered */
    uint64_t begin_ns;      /* own clock, of the first line */
    uint64_t reply_ns;      /* of the first reply */
    uint64_t silence_ns;    /* the longest that a backup had not heard its primary; 0: not known */
};

/* Leaves only the lines that tell of this op. It ends with the first Reply or, if nobody remembers
 * one, where it is first known to be committed: what somebody says of it in a later view, or after
 * a start, is no part of it any more. */
void trace_explain(uint64_t op_number, struct trace_lines *lines,
                   struct trace_explanation *explanation);

#endif
