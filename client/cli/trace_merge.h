/* SPDX-License-Identifier: Apache-2.0 */
/* trace_merge.h - the events of all replicas as one stream: a line for each message, its sending
 * and its receipt put together, and one for each change of a replica.
 *
 * Order: by time, the replicas' clocks brought to the own one; each replica's events stay in its
 * own order, and nothing is received before it was sent, whatever the clocks say.
 *
 * Matching: a sending and a receipt belong together if all that the two events say is the same. Of
 * several alike (a vote that is said again) a receipt takes the latest one before it, but none from
 * before the receiver was started, and none from seconds ago unless the receiver did not run since.
 *
 * Threads: plain data; pure but for memory. */
#ifndef VR_CLI_TRACE_MERGE_H
#define VR_CLI_TRACE_MERGE_H

#include <stddef.h>

#include "client/cli/trace_clock.h"
#include "common/base/trace_event.h"

enum {
    TRACE_CLIENT = REPLICAS_MAX, /* in place of a member index: some client */
    TRACE_PATIENCE_MS = 100,     /* what was sent so recently may still be on its way */
};

/* What one replica remembers. */
struct trace_source {
    bool answered;
    bool gaps; /* events are missing in between */
    struct trace_clock clock;
    struct trace_event *events; /* in any order; merging sorts them by time */
    size_t count;
    uint64_t complete_from_ns[TRACE_LANE_COUNT]; /* its clock: since then nothing is missing */
};

enum trace_fate {
    FATE_RECEIVED,  /* by a replica; `verdict` says what came of it */
    FATE_LOST,      /* the receiver remembers that time, and nothing of it */
    FATE_IN_FLIGHT, /* sent just now */
    FATE_UNKNOWN,   /* the receiver does not answer, does not remember that time, or got one alike
                       so much later that it must be another */
    FATE_TO_CLIENT, /* clients remember nothing */
    FATE_STATE,     /* not a message: a change of replica `from` */
};

struct trace_line {
    enum trace_fate fate;
    uint32_t from; /* member index, or TRACE_CLIENT */
    uint32_t to;
    uint64_t at_ns;       /* own clock, never falling: when it was sent, or else received */
    uint64_t sent_ns;     /* own clock; 0: the sender's record is missing, or it is a client */
    uint64_t received_ns; /* own clock, >= sent_ns; 0: not received, as far as known */
    enum trace_verdict verdict;
    bool repeated;            /* at both ends, as far as both are known */
    struct trace_event event; /* of the sender if known, else of the receiver */
    /* The events it was made of: indices into the source's, SIZE_MAX for none. */
    size_t sent_index;
    size_t received_index;
};

struct trace_lines {
    struct trace_line *items;
    size_t count;
    size_t capacity;
};

/* now_ns: when the events were read, by the own clock. Sorts the sources' events.
 * trace_lines_free() releases what *lines holds. */
void trace_merge(struct trace_source *sources, uint32_t count, uint64_t now_ns,
                 struct trace_lines *lines);

void trace_lines_free(struct trace_lines *lines);

#endif
