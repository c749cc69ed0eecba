/* SPDX-License-Identifier: Apache-2.0 */
/* pace.h - when the operations of an open loop are due: evenly spaced, whatever became of those
 * before. One that could not begin in time is late by as much, and its latency counts from when it
 * was due: a stall is seen by all that should have run meanwhile, not only by those in flight.
 *
 * Threads: none of this is shared. */
#ifndef VR_CLI_PACE_H
#define VR_CLI_PACE_H

#include <stdbool.h>
#include <stdint.h>

struct pace {
    double per_second; /* more than 0 */
    uint64_t start_ns;
    uint64_t taken; /* operations */
};

void pace_init(struct pace *pace, double per_second, uint64_t start_ns);

/* When the next operation is due. */
uint64_t pace_next_ns(const struct pace *pace);

/* Takes the next operation if it is due; *since_ns says since when. */
bool pace_take(struct pace *pace, uint64_t now_ns, uint64_t *since_ns);

/* How many are due and not taken. */
uint64_t pace_overdue(const struct pace *pace, uint64_t now_ns);

#endif
