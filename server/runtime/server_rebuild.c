/* SPDX-License-Identifier: Apache-2.0 */
#include "server/runtime/server_rebuild.h"

#include <inttypes.h>

#include "common/os/logger.h"
#include "server/runtime/peer_probe.h"
#include "server/runtime/server_error.h"
#include "server/storage/wal.h"

enum { PROBE_MS = 3000 }; /* for the others to say that they are there */

static enum vr_server_exit count_normal(void *context, const struct net_address *from,
                                        const struct message *message,
                                        struct vr_server_error *error)
{
    uint32_t *count = context;
    (void)from;
    (void)error;
    *count += message->type == MESSAGE_STATUS && message->status->status == STATUS_NORMAL ? 1 : 0;
    return VR_SERVER_OK;
}

/* What is committed is on a quorum, of which this replica may be one. So of the others so many must
 * be in service that each quorum has one of them: then they hold all of it, whatever is forgotten
 * here. */
static enum vr_server_exit ask_who_remembers(const struct durable_state *state,
                                             struct vr_server_error *error)
{
    uint32_t count = 0;
    const struct configuration *configuration = &state->configuration;
    const uint32_t self = configuration_index(configuration, state->replica_id);
    const uint32_t needed = configuration->member_count - configuration_quorum(configuration) + 1;
    const enum vr_server_exit result =
        peer_probe(configuration, self, PROBE_MS, count_normal, &count, error);
    if (result != VR_SERVER_OK || count >= needed) {
        return result;
    }
    return server_error_set(
        error, VR_SERVER_CONFIGURATION, ERROR_REBUILD_ALONE,
        "--rebuild would forget what this replica has, and of the others only %" PRIu32
        " say that they are normal; %" PRIu32 " are needed, or committed data could be lost with "
        "it. Nothing was changed: start the others, wait until vr-client status shows them "
        "normal, and rebuild one replica at a time",
        count, needed);
}

enum vr_server_exit server_rebuild(struct state_file *file, struct durable_state *state,
                                   const struct vr_server_options *options,
                                   struct vr_server_error *error)
{
    if (state->diverged && !options->rebuild) {
        return server_error_set(
            error, VR_SERVER_IO, ERROR_DIVERGED,
            "this replica has diverged: what it had committed was not what the others had, so it "
            "must not start from %s again. Keep a copy of that for whoever looks into it; then "
            "start it once with --rebuild, which forgets all of it and fetches it from the others",
            options->data_directory);
    }
    if (!options->rebuild) {
        return VR_SERVER_OK;
    }
    if (state->configuration.member_count == 1) {
        return server_error_set(error, VR_SERVER_CONFIGURATION, ERROR_REBUILD_ALONE,
                                "--rebuild would forget all that this group has: it has no other "
                                "replica to fetch anything from");
    }
    const enum vr_server_exit result = ask_who_remembers(state, error);
    if (result != VR_SERVER_OK) {
        return result;
    }
    struct storage_error why;
    /* The log goes first: a start after a crash in between finds the mark, or a log that ends
     * before the segment that the state names. */
    int status = wal_remove(file->ops, options->data_directory, &why);
    if (status == 0) {
        durable_state_rebuild(state);
        status = state_file_store(file, state, &why);
    }
    if (status != 0) {
        return server_error_storage(error, status, &why);
    }
    log_info(LOG_STORAGE, "rebuild: log and state of this replica are forgotten; it fetches them "
                          "from the others");
    return VR_SERVER_OK;
}
