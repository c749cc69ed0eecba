/* SPDX-License-Identifier: Apache-2.0 */
#include "server/runtime/trace.h"

#include "common/os/clock.h"

void trace_answer(struct trace_source *source, const struct trace_request *request,
                  struct trace_report *report)
{
    struct event_range range;
    struct health_published published;
    event_ring_read(source->ring, (enum trace_lane)request->lane, request->from_event,
                    request->events_max, source->events, &range);
    health_published(source->health, &published);
    *report = (struct trace_report){
        .nonce = request->nonce,
        .replica_id = source->replica_id,
        .lane = request->lane,
        .now_ns = clock_monotonic_ns(),
        .wall_ns = clock_wall_ns(),
        .view_number = published.snapshot.view_number,
        .status = published.snapshot.status,
        .oldest_event = range.oldest,
        .next_event = range.next,
        .first_event = range.first,
        .event_count = range.count,
        .events = (const uint8_t *)source->events,
    };
}
