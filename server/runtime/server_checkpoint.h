/* SPDX-License-Identifier: Apache-2.0 */
/* server_checkpoint.h - the checkpoint that a start begins from (K3).
 *
 * Only what the state file names, or came before it, is believed: a name in the directory alone may
 * stand for a file whose sync failed. The newest of these that is whole is loaded; the log goes on
 * behind it.
 *
 * Threads: the server's start. */
#ifndef VR_RUNTIME_SERVER_CHECKPOINT_H
#define VR_RUNTIME_SERVER_CHECKPOINT_H

#include "server/executor/executor.h"
#include "server/runtime/server.h"
#include "server/storage/checkpoint_format.h"
#include "server/storage/state_file.h"

struct server_checkpoint {
    struct checkpoint_id id; /* op_number 0: none, the state is empty */
    uint64_t timestamp;      /* of the entry at its op */
    bool lost; /* the state file names one, and neither that nor one before it can be read */
};

/* What was restored from a backup exists on the disk only, so the first start cannot be one of mode
 * memory, which begins without. */
enum vr_server_exit server_checkpoint_allow(const char *directory,
                                            const struct durable_state *state,
                                            enum durability durability,
                                            struct vr_server_error *error);

/* Loads it into the executor, which is empty, and says what it found; changes no file. */
enum vr_server_exit server_checkpoint_load(struct server_checkpoint *checkpoint,
                                           const struct file_ops *ops, const char *directory,
                                           const struct durable_state *state,
                                           enum durability durability, struct executor *executor,
                                           struct vr_server_error *error);

/* Once the start is durable: removes what is nobody's. `state` as this start left it: where it
 * names no checkpoint, all go. */
void server_checkpoint_tidy(const struct file_ops *ops, const char *directory,
                            const struct durable_state *state);

#endif
