/* SPDX-License-Identifier: Apache-2.0 */
/* trace_follow.h - a trace that goes on: rounds of fetching, each followed by the lines that are
 * complete by then.
 *
 * A line is held back for a moment, so that both ends of its message are there. What a replica
 * overwrites before it was fetched is counted and said. Rounds are bounded in what they fetch, and
 * so in what they take from the replicas and hold here. */
#ifndef VR_CLI_TRACE_FOLLOW_H
#define VR_CLI_TRACE_FOLLOW_H

#include "client/cli/trace_show.h"

/* Until Ctrl-C, SIGTERM, or a reader of stdout that went away. Returns the exit code. */
int trace_follow(struct trace *trace);

#endif
