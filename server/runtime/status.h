/* SPDX-License-Identifier: Apache-2.0 */
/* status.h - what one replica says of itself when it is asked (M7): from what was published last,
 * so that it answers in every status and even while the core is busy.
 *
 * Threads: any; it only reads what others publish. */
#ifndef VR_RUNTIME_STATUS_H
#define VR_RUNTIME_STATUS_H

#include "common/base/message.h"
#include "server/runtime/core.h"
#include "server/runtime/receiver.h"
#include "server/runtime/server_log.h"

/* Where the answer comes from; all of it outlives the source. */
struct status_source {
    const struct configuration *configuration;
    uint32_t self; /* own member index */
    struct health *health;
    struct execution *execution;
    struct core *core;
    struct inbox *inbox;
    const struct receiver *receivers[LANE_COUNT];
    const struct datagram_socket *sockets[LANE_COUNT];
    uint64_t started_ns;
    uint64_t view_change_ns; /* T of V1: who was not heard that long is silent */
    uint64_t heartbeat_ns;
    uint64_t log_memory_size;
    struct server_log *log;
    enum durability durability;
};

/* A report and what it borrows. */
struct status_answer {
    struct status_report report;
    struct health_published published;
    struct execution_status executed;
    char note[HEALTH_NOTE_MAX];
    struct status_counter counters[STATUS_COUNTERS_MAX];
};

void status_answer(const struct status_source *source, uint64_t nonce,
                   struct status_answer *answer);

/* The answer without its counters, where there is little room (M3). */
void status_answer_shorten(struct status_answer *answer);

#endif
