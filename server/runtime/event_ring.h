/* SPDX-License-Identifier: Apache-2.0 */
/* event_ring.h - a replica's memory of its last messages: one bounded ring per lane, always on.
 *
 * Lanes, so that a flood of requests does not push out the view change before it, nor an idle
 * hour's heartbeats the operation before that.
 *
 * Threads:   any; the mutex is held while at most RING_APPEND_MAX events are copied in, or
 *            TRACE_EVENTS_MAX out. Writers bring their events in batches (recorder.h), so that few
 *            take it. Nothing else is locked meanwhile.
 * Ownership: events are copied in and out.
 * Memory:    one region, reserved at init, touched as it fills: 1.5 MiB at most. */
#ifndef VR_RUNTIME_EVENT_RING_H
#define VR_RUNTIME_EVENT_RING_H

#include <pthread.h>

#include "common/base/trace_event.h"

enum { RING_APPEND_MAX = 64 };

struct event_lane {
    struct trace_event *slots; /* a line of the cache each */
    uint64_t capacity;         /* a power of two */
    uint64_t written;          /* so far; event i lies in slot i modulo capacity */
};

struct event_ring {
    pthread_mutex_t mutex; /* guards all below */
    struct event_lane lanes[TRACE_LANE_COUNT];
    void *memory;
    size_t memory_size;
};

/* What a read found beside the events. */
struct event_range {
    uint64_t oldest; /* kept: oldest .. next - 1 */
    uint64_t next;
    uint64_t first; /* of those copied: what was asked for, or oldest where that is gone */
    uint32_t count;
};

/* Returns 0 or -ENOMEM. */
int event_ring_init(struct event_ring *ring);
void event_ring_destroy(struct event_ring *ring);

/* At most RING_APPEND_MAX events, in order. */
void event_ring_append(struct event_ring *ring, const struct trace_event *events, size_t count);

/* Copies up to count_max events of a lane, from event `from` on. */
void event_ring_read(struct event_ring *ring, enum trace_lane lane, uint64_t from,
                     uint32_t count_max, struct trace_event *events, struct event_range *range);

#endif
