/* SPDX-License-Identifier: Apache-2.0 */
/* flood_cpu.h - how much CPU the replicas use while `flood` measures, as they say themselves
 * (counter cpu_us of their status), wherever they run; and how much flood uses.
 *
 * A thread asks them when measuring begins, once a second, and when it ends. A replica that was
 * silent counts from its first answer to its last one; one that was restarted counts on.
 *
 * Threads:   `mutex` guards what follows it. flood_cpu_start() and flood_cpu_stop() by one caller.
 * Ownership: the list of addresses outlives it. */
#ifndef VR_CLI_FLOOD_CPU_H
#define VR_CLI_FLOOD_CPU_H

#include <pthread.h>
#include <stdatomic.h>

#include "client/lib/cluster_list.h"

/* CPU time of one process, by what it said at some times. */
struct cpu_meter {
    bool known;
    uint64_t last_us; /* as it said, since its start */
    uint64_t used_us; /* since first_ns */
    uint64_t first_ns;
    uint64_t last_ns;
};

/* It has used this much since its start. */
void cpu_meter_read(struct cpu_meter *meter, uint64_t cpu_us, uint64_t now_ns);

/* Cores in use on average: 1.0 is one of them, all the time. 0 before a second reading. */
double cpu_meter_cores(const struct cpu_meter *meter);

struct flood_cpu_usage {
    bool replicas_known;
    bool own_known;
    double replicas; /* cores, of all replicas together */
    double own;
    uint32_t member_count;
    double members[REPLICAS_MAX]; /* by member index; 0 of one that did not answer twice */
    uint32_t member_ids[REPLICAS_MAX];
};

struct flood_cpu {
    const struct cluster_list *list;
    uint32_t datagram_size;
    uint64_t begin_ns;
    pthread_t thread;
    bool started;
    atomic_bool stopping;
    pthread_mutex_t mutex;
    uint32_t member_count;
    uint32_t member_ids[REPLICAS_MAX];
    struct cpu_meter members[REPLICAS_MAX];
    struct cpu_meter own;
    struct flood_cpu_usage latest; /* in the last second */
};

/* Measuring begins at begin_ns. Without memory for a thread nothing is known, and that is all. */
void flood_cpu_start(struct flood_cpu *cpu, const struct cluster_list *list, uint32_t datagram_size,
                     uint64_t begin_ns);

/* In the latest second. */
void flood_cpu_latest(struct flood_cpu *cpu, struct flood_cpu_usage *usage);

/* Measuring is over: asks once more; then flood_cpu_join() tells of the whole time. */
void flood_cpu_stop(struct flood_cpu *cpu);
void flood_cpu_join(struct flood_cpu *cpu, struct flood_cpu_usage *usage);

#endif
