/* SPDX-License-Identifier: Apache-2.0 */
/* trace_clock.h - how far a replica's clock is ahead of the own one, from questions and answers.
 *
 * The replica read its clock between the sending of the question and the arrival of the answer:
 * each exchange bounds the offset from both sides, and all of them together bound it better than
 * the fastest one alone. Replicas on the own machine read the very same clock; where 0 is possible
 * it is 0.
 *
 * Threads: plain data; the functions are pure. */
#ifndef VR_CLI_TRACE_CLOCK_H
#define VR_CLI_TRACE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

struct trace_clock {
    bool known;
    int64_t low_ns; /* the replica's clock minus the own one lies between these */
    int64_t high_ns;
    uint64_t rtt_ns; /* the shortest */
};

void trace_clock_add(struct trace_clock *clock, uint64_t asked_ns, uint64_t answered_ns,
                     uint64_t theirs_ns);

/* The replica's clock minus the own one. */
int64_t trace_clock_offset(const struct trace_clock *clock);

/* Half the width of what is possible. */
uint64_t trace_clock_uncertainty(const struct trace_clock *clock);

/* A time of theirs, by the own clock. */
uint64_t trace_clock_own(const struct trace_clock *clock, uint64_t theirs_ns);

#endif
