/* SPDX-License-Identifier: Apache-2.0 */
/* flood_stats.h - what `flood` counts, and how it prints that. */
#ifndef VR_CLI_FLOOD_STATS_H
#define VR_CLI_FLOOD_STATS_H

#include <jansson.h>

#include "client/cli/flood_cpu.h"
#include "client/cli/flood_options.h"
#include "client/cli/histogram.h"
#include "client/cli/workload.h"
#include "client/proxy/proxy.h"

enum {
    FLOOD_ERRORS_MAX = PROXY_ERROR_CANCELLED + 1, /* kinds: enum proxy_error */
    FLOOD_VIOLATIONS_KEPT = 10,
};

struct flood_stats {
    uint64_t ops; /* acknowledged while measuring */
    uint64_t retries;
    uint64_t failed[FLOOD_ERRORS_MAX];  /* surely not executed, by kind */
    uint64_t unknown[FLOOD_ERRORS_MAX]; /* outcome unknown, by kind */
    uint64_t refused;                   /* by the application */
    uint64_t view_number;               /* of the last answer */
    uint64_t longest_gap_ns;            /* without any acknowledgement, of any session */
    struct histogram latency;           /* nanoseconds; since it was due, with --rate */
    uint64_t overdue;                   /* with --rate: due, and no session was free for it */
    uint64_t overdue_ns;                /* for how long the first of them */
    struct flood_cpu_usage cpu;         /* of all, at the end */
    uint64_t violation_count;
    char violations[FLOOD_VIOLATIONS_KEPT][VIOLATION_MAX]; /* the first ones */
    uint64_t readback_keys;                                /* read in the final pass */
    uint64_t unread_keys;                                  /* that could not be */
};

/* As in JSON: "unavailable". */
const char *flood_error_name(enum proxy_error error);

/* Adds one thread's counts to all. */
void flood_stats_add(struct flood_stats *all, const struct flood_stats *one);

void flood_stats_print(const struct flood_stats *stats, const struct flood_options *options,
                       uint64_t measured_ns);
json_t *flood_stats_json(const struct flood_stats *stats, const struct flood_options *options,
                         uint64_t measured_ns);

/* The progress line of one second: `before` is what was counted up to its begin. */
void flood_stats_print_progress(const struct flood_stats *before, const struct flood_stats *now,
                                uint64_t elapsed_ns, uint64_t interval_ns);

#endif
