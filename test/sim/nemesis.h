/* SPDX-License-Identifier: Apache-2.0 */
/* nemesis.h - when which fault strikes whom. */
#ifndef VR_SIM_NEMESIS_H
#define VR_SIM_NEMESIS_H

#include "common/base/prng.h"
#include "test/sim/schedule.h"

struct sim;

enum nemesis_move {
    NEMESIS_CRASH,
    NEMESIS_POWER_CUT,
    NEMESIS_DISK_FAIL,
    NEMESIS_DISK_FULL,
    NEMESIS_DISK_FULL_END,
    NEMESIS_PARTITION,
    NEMESIS_PARTITION_END,
    NEMESIS_HOLD,
    NEMESIS_BLACK_HOLE,
    NEMESIS_BLACK_HOLE_END,
    NEMESIS_PAUSE,
    NEMESIS_WALL_JUMP,
    NEMESIS_CLIENT_CRASH,
    NEMESIS_DIFFER,
};

struct sim_nemesis {
    struct prng network_prng; /* partitions, holds, black holes */
    struct prng machine_prng; /* crashes, pauses */
    struct prng clock_prng;
    struct prng client_prng;
    struct prng disk_prng;
    uint32_t silenced;   /* replicas that healing leaves out, as a mask */
    bool disk_lost;      /* it happens once a run */
    uint64_t move_count; /* so far */
};

/* Schedules the first fault of each class. */
void sim_nemesis_start(struct sim *sim);
void sim_nemesis_event(struct sim *sim, const struct sim_event *event);

/* A replica begins to replace the end of its log on the disk. */
void sim_nemesis_steps(struct sim *sim, uint32_t index);

/* A replica has begun a segment of its log. */
void sim_nemesis_segment(struct sim *sim, uint32_t index);

/* A replica that is down comes back, be it with another disk (D10). */
void sim_nemesis_restart(struct sim *sim, uint32_t index);

/* Ends all faults: restarts who is down, resumes who is paused. With options.core_only some
 * replicas that the rest does not need are left dead, deaf or cut off for ever; `silenced` names
 * them. */
void sim_nemesis_heal(struct sim *sim);

#endif
