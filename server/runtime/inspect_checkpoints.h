/* SPDX-License-Identifier: Apache-2.0 */
/* inspect_checkpoints.h - the checkpoints in a data directory, for `vr-server inspect`: each one
 * that is there, read to its end and judged, the one that is named and missing, and what was
 * fetched of another.
 *
 * Threads: one caller. Memory: one chunk, and 17 bytes for each chunk of one checkpoint at a time.
 */
#ifndef VR_RUNTIME_INSPECT_CHECKPOINTS_H
#define VR_RUNTIME_INSPECT_CHECKPOINTS_H

#include <jansson.h>
#include <stdio.h>

#include "server/storage/checkpoint_receiver.h"
#include "server/storage/state_file.h"

enum {
    INSPECT_CHECKPOINTS_MAX = 64, /* the newest; a replica keeps two or three */
    INSPECT_DAMAGE_MAX = 200,
};

enum checkpoint_finding {
    CHECKPOINT_WHOLE,
    CHECKPOINT_IS_DAMAGED,
    CHECKPOINT_IS_MISSING, /* the state file names it */
    CHECKPOINT_UNUSABLE,   /* of another cluster, or of a newer format */
};

struct inspected_checkpoint {
    uint64_t op_number;      /* as its name says */
    struct checkpoint_id id; /* op number 0: not known */
    enum checkpoint_finding finding;
    bool named;    /* the state file names it, */
    bool believed; /* or one after it: else it is nobody's, and a start removes it */
    char damage[INSPECT_DAMAGE_MAX]; /* what is wrong, and where; "": nothing */
};

struct inspected_checkpoints {
    struct inspected_checkpoint all[INSPECT_CHECKPOINTS_MAX + 1]; /* newest first */
    uint32_t count;
    uint32_t damaged_count;    /* all that are not whole */
    struct checkpoint_id base; /* of the one that a start begins from (K3); op number 0: none */
    bool pulling;              /* there is a checkpoint.pull: */
    struct checkpoint_pull pull;
};

/* Looks at all of them. Returns 0 or a negative errno with a text: the directory cannot be read, or
 * there is no memory. */
int inspect_checkpoints(struct inspected_checkpoints *found, const struct file_ops *ops,
                        const char *directory, const struct durable_state *state,
                        struct storage_error *error);

void inspect_checkpoints_print(const struct inspected_checkpoints *found, FILE *out);

/* Lists for the caller to own; NULL where there is no memory. The transfer is null where there is
 * none. */
json_t *inspect_checkpoints_json(const struct inspected_checkpoints *found);
json_t *inspect_transfer_json(const struct inspected_checkpoints *found);

#endif
