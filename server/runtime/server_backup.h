/* SPDX-License-Identifier: Apache-2.0 */
/* server_backup.h - a new cluster from the backup of another one: `init --from-backup`.
 *
 * A backup is a checkpoint file. What is taken over is the application's state and how far the log
 * had come: the new log begins behind that op, with a hash chain of its own, in view 0. Sessions
 * stay behind: they belong to clients of the old cluster, which the new one refuses by its id.
 *
 * Every replica makes the same bytes of the same file and configuration, so that their checkpoints
 * have one root, and each of them serves one that lost its disk.
 *
 * Threads: one caller. Memory: the application's state, the client table of either cluster. */
#ifndef VR_RUNTIME_SERVER_BACKUP_H
#define VR_RUNTIME_SERVER_BACKUP_H

#include "common/base/checkpoint_id.h"
#include "common/base/configuration.h"
#include "server/runtime/server.h"
#include "server/storage/file_ops.h"
#include "server/storage/state_file.h"

struct server_backup {
    const char *path;
    const struct app *app;   /* has the backup's state */
    uint64_t cluster_id;     /* that it is of */
    struct checkpoint_id id; /* as that cluster knew it */
    uint64_t timestamp;      /* of the entry at its op */
};

/* Reads all of `path`, verifies it, and loads it into `app`, whatever that had before. Leaves
 * nothing else behind, whether it succeeds or not. */
enum vr_server_exit server_backup_load(struct server_backup *backup, const char *path,
                                       const struct app *app, struct vr_server_error *error);

/* Why a new cluster of this configuration cannot begin from it. */
enum vr_server_exit server_backup_allow(const struct server_backup *backup,
                                        const struct configuration *configuration,
                                        struct vr_server_error *error);

/* Writes the new cluster's checkpoint into a directory that has no state file yet, durably, and
 * names it in *state, which is init's. */
enum vr_server_exit server_backup_write(const struct server_backup *backup,
                                        const struct file_ops *ops, const char *directory,
                                        struct durable_state *state, struct vr_server_error *error);

#endif
