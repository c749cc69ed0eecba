/* SPDX-License-Identifier: Apache-2.0 */
/* shrink.h - makes a failing run small enough to be read.
 *
 * First whole classes of faults, clients, operations and replicas are left out, then single faults,
 * then single datagrams (delta debugging): whatever is not needed for the same kind of failure. A
 * change shifts what chance does afterwards, so each is tried with a few other streams of chance,
 * too. All of it follows from the options that failed: the same again shrinks to the same. */
#ifndef VR_SIM_SHRINK_H
#define VR_SIM_SHRINK_H

#include "test/sim/sim.h"

struct sim_shrunk {
    struct sim_options options;
    struct sim_without without; /* what options.without points to */
    struct sim_report report;   /* the failure that it ends with */
    uint64_t messages_before;   /* stepped until the failure, at first ... */
    uint64_t messages;          /* ... and now */
    uint64_t runs;
};

/* False if the run does not fail. `runs_max`: after so many it stops with what it has. */
bool sim_shrink(struct sim *sim, const struct sim_options *failing, uint64_t runs_max,
                struct sim_shrunk *shrunk);

#endif
