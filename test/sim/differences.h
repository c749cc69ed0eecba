/* SPDX-License-Identifier: Apache-2.0 */
/* differences.h - what a group with a replica whose state differs may have done wrong (K4).
 *
 * Between the moment in which a state begins to differ and the next checkpoint that others can be
 * compared with, nothing tells: what that replica answers meanwhile may be wrong. All else is as it
 * always is, so that what may be wrong is named one by one: the answers that it gave, and the
 * checkpoints that it cut. */
#ifndef VR_SIM_DIFFERENCES_H
#define VR_SIM_DIFFERENCES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/message.h"

enum { SIM_DIFFERING_MARKS_MAX = 1024 };

struct sim_differences {
    bool *answered; /* by op: one that differed did */
    size_t capacity;
    struct checkpoint_mark marks[SIM_DIFFERING_MARKS_MAX]; /* of checkpoints cut by such ones */
    uint32_t mark_count;
    bool spread; /* to more than f, by a checkpoint that was fetched: nothing is promised then */
};

void sim_differences_reset(struct sim_differences *differences);
void sim_differences_free(struct sim_differences *differences);

void sim_differences_answer(struct sim_differences *differences, uint64_t op_number);
bool sim_differences_answered(const struct sim_differences *differences, uint64_t op_number);

void sim_differences_cut(struct sim_differences *differences, const struct checkpoint_mark *mark);
bool sim_differences_has_cut(const struct sim_differences *differences,
                             const struct checkpoint_mark *mark);

#endif
