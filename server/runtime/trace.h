/* SPDX-License-Identifier: Apache-2.0 */
/* trace.h - what one replica answers when it is asked for its events (M8).
 *
 * Threads: the clients' receiver alone; it reads what others publish. */
#ifndef VR_RUNTIME_TRACE_H
#define VR_RUNTIME_TRACE_H

#include "server/runtime/event_ring.h"
#include "server/runtime/health.h"

/* Where the answer comes from, and what it borrows from until the next one. */
struct trace_source {
    uint32_t replica_id;
    struct event_ring *ring;
    struct health *health;
    struct trace_event events[TRACE_EVENTS_MAX];
};

void trace_answer(struct trace_source *source, const struct trace_request *request,
                  struct trace_report *report);

#endif
