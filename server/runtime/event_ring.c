/* SPDX-License-Identifier: Apache-2.0 */
#include "server/runtime/event_ring.h"

#include <errno.h>
#include <string.h>

#include "common/base/invariant.h"
#include "common/os/memory.h"
#include "common/os/thread.h"

static const uint32_t capacities[TRACE_LANE_COUNT] = {
    [TRACE_LANE_OPERATIONS] = TRACE_OPERATIONS_MAX,
    [TRACE_LANE_CHANGES] = TRACE_CHANGES_MAX,
    [TRACE_LANE_REPEATS] = TRACE_REPEATS_MAX,
};

int event_ring_init(struct event_ring *ring)
{
    size_t count = 0;
    for (size_t i = 0; i < TRACE_LANE_COUNT; i++) {
        count += capacities[i];
    }
    *ring = (struct event_ring){.memory_size = count * sizeof(struct trace_event)};
    ring->memory = memory_reserve(ring->memory_size);
    if (ring->memory == NULL) {
        return -ENOMEM;
    }
    struct trace_event *slots = ring->memory;
    for (size_t i = 0; i < TRACE_LANE_COUNT; i++) {
        ring->lanes[i] = (struct event_lane){.slots = slots, .capacity = capacities[i]};
        slots += capacities[i];
    }
    mutex_init(&ring->mutex);
    return 0;
}

void event_ring_destroy(struct event_ring *ring)
{
    mutex_destroy(&ring->mutex);
    memory_release(ring->memory, ring->memory_size);
    ring->memory = NULL;
}

static struct trace_event *slot(struct event_lane *lane, uint64_t event)
{
    return &lane->slots[event & (lane->capacity - 1)];
}

void event_ring_append(struct event_ring *ring, const struct trace_event *events, size_t count)
{
    INVARIANT(count <= RING_APPEND_MAX);
    mutex_lock(&ring->mutex);
    for (size_t i = 0; i < count; i++) {
        struct event_lane *lane = &ring->lanes[trace_event_lane(&events[i])];
        *slot(lane, lane->written++) = events[i];
    }
    mutex_unlock(&ring->mutex);
}

void event_ring_read(struct event_ring *ring, enum trace_lane lane_kind, uint64_t from,
                     uint32_t count_max, struct trace_event *events, struct event_range *range)
{
    INVARIANT(count_max <= TRACE_EVENTS_MAX);
    mutex_lock(&ring->mutex);
    struct event_lane *lane = &ring->lanes[lane_kind];
    range->next = lane->written;
    range->oldest = lane->written > lane->capacity ? lane->written - lane->capacity : 0;
    range->first = from < range->oldest ? range->oldest : from;
    range->first = range->first > range->next ? range->next : range->first;
    const uint64_t there = range->next - range->first;
    range->count = there < count_max ? (uint32_t)there : count_max;
    for (uint32_t i = 0; i < range->count; i++) {
        events[i] = *slot(lane, range->first + i);
    }
    mutex_unlock(&ring->mutex);
}
