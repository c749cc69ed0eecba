/* SPDX-License-Identifier: Apache-2.0 */
/* flood_lane.h - one thread of `flood`: a driver with many sessions, one request in flight each.
 *
 * Threads:   `mutex` guards driver, slots and stats while the lane runs; the lane holds it for one
 *            step at a time, so that others can copy the counts. `shared` is atomic.
 * Ownership: lane_start() to lane_join() the lane owns its sessions. */
#ifndef VR_CLI_FLOOD_LANE_H
#define VR_CLI_FLOOD_LANE_H

#include <pthread.h>
#include <stdatomic.h>

#include "client/cli/flood_stats.h"
#include "client/cli/pace.h"
#include "client/cli/workload.h"
#include "client/lib/cluster_list.h"
#include "client/lib/driver.h"

/* What all lanes share. */
struct flood_shared {
    const struct flood_options *options;
    uint64_t run; /* random: see workload.h */
    uint32_t datagram_size;
    uint64_t timeout_ns;       /* of one operation */
    atomic_bool stopping;      /* no new operations; then the final pass, if verifying */
    atomic_uint lanes_loading; /* lanes that have operations in flight still */
    atomic_uint lanes_running;
    atomic_uint_least64_t measure_from_ns; /* operations begun before it are not measured */
    atomic_uint_least64_t budget;          /* operations that may still begin, with --count */
    atomic_uint_least64_t last_ack_ns;     /* 0: none yet */
    atomic_uint_least64_t view_number;     /* the latest that an answer told */

    pthread_mutex_t mutex; /* guards what follows; never held together with a lane's */
    bool has_error;
    enum proxy_error first_error;
    enum proxy_outcome first_outcome;
    char error_text[1024];
};

struct lane_slot {
    struct workload workload;
    uint64_t begun_ns;
    uint64_t since_ns; /* latency counts from here: when it began or, with --rate, was due */
    uint32_t attempts; /* at the same read, in the final pass */
    bool in_flight;
};

struct lane {
    struct flood_shared *shared;
    pthread_t thread;
    pthread_mutex_t mutex;
    struct driver driver;
    struct lane_slot *slots; /* by the driver's session */
    uint32_t slot_count;
    struct pace pace; /* with --rate: this lane's share of it */
    uint32_t *idle;   /* with --rate: sessions that wait for it, a ring of slot_count */
    uint32_t idle_head;
    uint32_t idle_count;
    struct arena arena; /* for results */
    uint64_t now_ns;    /* of the step under way */
    bool acked;         /* something was acknowledged in it */
    bool reading_back;  /* the final pass */
    struct flood_stats stats;
};

/* Returns 0 or a negative errno, with nothing to join. `first_session` counts through all lanes. */
int lane_start(struct lane *lane, struct flood_shared *shared, const struct cluster_list *list,
               uint32_t first_session, uint32_t session_count);

/* Adds what the lane has counted so far. */
void lane_add_stats(struct lane *lane, struct flood_stats *all);

void lane_join(struct lane *lane);

#endif
