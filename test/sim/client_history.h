/* SPDX-License-Identifier: Apache-2.0 */
/* client_history.h - what the clients of a run saw, judged at its end without a look at any log
 * (test/support/linearizability.h): the key-value store's operations on one key, and what scans
 * returned as a read of each pair. */
#ifndef VR_SIM_CLIENT_HISTORY_H
#define VR_SIM_CLIENT_HISTORY_H

#include "test/sim/memory.h"
#include "test/support/linearizability.h"

enum { SIM_HISTORY_STEPS_MAX = 200 * 1000 }; /* for one key: a fraction of a second */

struct sim_client_history {
    struct linear_operation *operations;
    size_t count;
    size_t capacity;
    struct linear_search *search;
    struct sim_memory arena; /* for decoding */
};

/* How a client's operation went. */
struct sim_seen {
    uint32_t client;
    uint64_t invoked_ns;
    uint64_t returned_ns; /* LINEAR_UNKNOWN: no outcome, and no result */
    uint64_t op_number;   /* where it says that it stands; 0: not known. Only a hint */
    const uint8_t *operation;
    size_t operation_size;
    const uint8_t *result;
    size_t result_size;
};

void sim_client_history_reset(struct sim_client_history *history);
void sim_client_history_free(struct sim_client_history *history);

/* What was refused before it was executed need not be added. False: the result is none. */
bool sim_client_history_add(struct sim_client_history *history, const struct sim_seen *seen);

/* Of all that was added; *undecided of *keys keys were too hard. */
struct linear_verdict sim_client_history_judge(struct sim_client_history *history, uint64_t *keys,
                                               uint64_t *undecided);

#endif
