/* SPDX-License-Identifier: Apache-2.0 */
#include "test/sim/schedule.h"

#include <stdio.h>
#include <stdlib.h>

void sim_schedule_reset(struct sim_schedule *schedule)
{
    schedule->count = 0;
    schedule->count_max = 0;
    schedule->next_order = 0;
    schedule->now_ns = 0;
}

void sim_schedule_free(struct sim_schedule *schedule)
{
    free(schedule->events);
    *schedule = (struct sim_schedule){0};
}

static bool before(const struct sim_event *a, const struct sim_event *b)
{
    return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->order < b->order;
}

static void grow(struct sim_schedule *schedule)
{
    const size_t capacity = schedule->capacity == 0 ? 4096 : 2 * schedule->capacity;
    struct sim_event *events = realloc(schedule->events, capacity * sizeof *events);
    if (events == NULL) {
        fprintf(stderr, "sim: no memory for %zu events\n", capacity);
        exit(2);
    }
    schedule->events = events;
    schedule->capacity = capacity;
}

void sim_schedule_add(struct sim_schedule *schedule, struct sim_event event)
{
    if (schedule->count == schedule->capacity) {
        grow(schedule);
    }
    if (event.at_ns < schedule->now_ns) {
        event.at_ns = schedule->now_ns;
    }
    event.order = schedule->next_order++;
    size_t at = schedule->count++;
    while (at > 0 && before(&event, &schedule->events[(at - 1) / 2])) {
        schedule->events[at] = schedule->events[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    schedule->events[at] = event;
    if (schedule->count > schedule->count_max) {
        schedule->count_max = schedule->count;
    }
}

uint64_t sim_schedule_next_ns(const struct sim_schedule *schedule)
{
    return schedule->count == 0 ? UINT64_MAX : schedule->events[0].at_ns;
}

/* Lets `event` sink from the root to its place among `count` events. */
static void sift_down(struct sim_event *events, size_t count, const struct sim_event *event)
{
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= count) {
            break;
        }
        if (child + 1 < count && before(&events[child + 1], &events[child])) {
            child++;
        }
        if (!before(&events[child], event)) {
            break;
        }
        events[at] = events[child];
        at = child;
    }
    events[at] = *event;
}

bool sim_schedule_take(struct sim_schedule *schedule, struct sim_event *event)
{
    if (schedule->count == 0) {
        return false;
    }
    *event = schedule->events[0];
    schedule->now_ns = event->at_ns;
    schedule->count--;
    if (schedule->count > 0) {
        const struct sim_event last = schedule->events[schedule->count];
        sift_down(schedule->events, schedule->count, &last);
    }
    return true;
}
