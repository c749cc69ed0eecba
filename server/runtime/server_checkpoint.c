/* SPDX-License-Identifier: Apache-2.0 */
#include "server/runtime/server_checkpoint.h"

#include <errno.h>
#include <inttypes.h>

#include "common/os/clock.h"
#include "common/os/logger.h"
#include "server/runtime/checkpoint_load.h"
#include "server/runtime/server_error.h"

enum { CANDIDATES_MAX = 64 };

/* Opens a candidate that is whole. */
static int open_whole(struct checkpoint_reader *reader, const struct file_ops *ops,
                      const char *directory, const struct durable_state *state, uint64_t op_number,
                      struct storage_error *why)
{
    const uint64_t cluster_id = state->configuration.cluster_id;
    int status = checkpoint_reader_open(reader, ops, directory, cluster_id, op_number, why);
    if (status != 0) {
        return status;
    }
    if (op_number == state->checkpoint.op &&
        !checksum_equal(reader->id.root, state->checkpoint.checksum)) {
        status = storage_error_set(why, -EBADMSG,
                                   "%s is another one than the state file names: the previous one, "
                                   "or another replica's, must take its place",
                                   reader->path);
    }
    status = status == 0 ? checkpoint_verify(reader, why) : status;
    if (status != 0) {
        checkpoint_reader_close(reader);
    }
    return status;
}

static int load(struct server_checkpoint *checkpoint, struct checkpoint_reader *reader,
                struct executor *executor, struct storage_error *why)
{
    const uint64_t began_ns = clock_monotonic_ns();
    const int status = checkpoint_load(reader, executor, NULL, why);
    if (status != 0) {
        return status;
    }
    checkpoint->id = reader->id;
    checkpoint->timestamp = executor_timestamp(executor);
    log_info(LOG_STORAGE,
             "starts from the checkpoint of op %" PRIu64 ": %" PRIu64 " bytes, loaded in %.1f s",
             reader->id.op_number, reader->id.size,
             (double)(clock_monotonic_ns() - began_ns) / (double)NANOSECONDS_PER_SECOND);
    return 0;
}

/* Damage is said, and the next one tried; what cannot be understood, or not be read this time, is
 * no reason to go back: the log may not reach the older one, and then all of it would be given up
 * for what the next start might read. */
static bool may_go_back(int status)
{
    return status == -EBADMSG || status == -ENOENT;
}

enum vr_server_exit server_checkpoint_allow(const char *directory,
                                            const struct durable_state *state,
                                            enum durability durability,
                                            struct vr_server_error *error)
{
    if (state->checkpoint.op == 0 || state->incarnation > 0 || durability != DURABILITY_MEMORY) {
        return VR_SERVER_OK;
    }
    return server_error_set(
        error, VR_SERVER_CONFIGURATION, ERROR_BACKUP_UNUSABLE,
        "%s was made from a backup, and a replica that keeps nothing on its disk would begin "
        "without it: start it with --durability sync or async",
        directory);
}

enum vr_server_exit server_checkpoint_load(struct server_checkpoint *checkpoint,
                                           const struct file_ops *ops, const char *directory,
                                           const struct durable_state *state,
                                           enum durability durability, struct executor *executor,
                                           struct vr_server_error *error)
{
    uint64_t ops_there[CANDIDATES_MAX];
    uint32_t count;
    struct storage_error why;
    *checkpoint = (struct server_checkpoint){.lost = false};
    if (state->checkpoint.op == 0 ||
        (state->incarnation > 0 &&
         (durability == DURABILITY_MEMORY || state->durability == DURABILITY_MEMORY))) {
        return VR_SERVER_OK;
    }
    const enum vr_server_exit verdict =
        server_checkpoint_allow(directory, state, durability, error);
    if (verdict != VR_SERVER_OK) {
        return verdict;
    }
    int status = checkpoint_list_ops(ops, directory, ops_there, CANDIDATES_MAX, &count, &why);
    for (uint32_t i = 0; status == 0 && i < count; i++) {
        struct checkpoint_reader reader;
        if (ops_there[i] > state->checkpoint.op) {
            continue;
        }
        status = open_whole(&reader, ops, directory, state, ops_there[i], &why);
        if (status == 0) {
            status = load(checkpoint, &reader, executor, &why);
            checkpoint_reader_close(&reader);
            if (status == 0) {
                return VR_SERVER_OK;
            }
            return server_error_set(error, VR_SERVER_IO, ERROR_CHECKPOINT_STOPPED, "%s", why.text);
        }
        if (may_go_back(status)) {
            log_problem(ERROR_CHECKPOINT_DAMAGED, "%s", why.text);
            status = 0;
        }
    }
    if (status != 0) {
        return server_error_storage(error, status, &why);
    }
    if (state->incarnation == 0) {
        return server_error_set(error, VR_SERVER_IO, ERROR_CHECKPOINT_STOPPED,
                                "%s was made from a backup, and its copy of that is damaged or "
                                "gone. No replica has run from it yet: remove the directory, and "
                                "run the same vr-server init --from-backup again",
                                directory);
    }
    checkpoint->lost = true;
    log_problem(ERROR_CHECKPOINT_DAMAGED,
                "the checkpoint of op %" PRIu64 " is not in %s any more, nor is one before it that "
                "can be read: the log behind it says nothing without it",
                state->checkpoint.op, directory);
    return VR_SERVER_OK;
}

void server_checkpoint_tidy(const struct file_ops *ops, const char *directory,
                            const struct durable_state *state)
{
    uint64_t ops_there[CANDIDATES_MAX];
    uint32_t count;
    struct storage_error why;
    int status = checkpoint_list_ops(ops, directory, ops_there, CANDIDATES_MAX, &count, &why);
    for (uint32_t i = 0; status == 0 && i < count; i++) {
        if (ops_there[i] > state->checkpoint.op) {
            status = checkpoint_remove(ops, directory, ops_there[i], &why);
        }
    }
    if (status != 0) {
        log_info(LOG_STORAGE, "%s; a checkpoint that nobody needs stays", why.text);
    }
}
