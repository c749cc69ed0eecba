/* SPDX-License-Identifier: Apache-2.0 */
/* server_init.c - `init`: who a replica is, written once (D10, E0).
 *
 * The group may already know this replica: then its data directory was lost, and a new one would
 * have forgotten what the old one promised. So the others are asked first. Nobody at home is no
 * objection: a new group is initialised before anybody runs. */
#include "server/runtime/server.h"

#include <inttypes.h>
#include <string.h>

#include "common/base/invariant.h"
#include "common/os/endpoint.h"
#include "common/os/random.h"
#include "server/runtime/peer_probe.h"
#include "server/runtime/server_backup.h"
#include "server/runtime/server_error.h"
#include "server/storage/state_file.h"

enum { PROBE_MS = 300 }; /* for the others to answer */

static enum vr_server_exit read_configuration(const struct vr_server_init_options *options,
                                              struct configuration *configuration,
                                              struct vr_server_error *error)
{
    struct endpoint endpoints[REPLICAS_MAX];
    struct endpoint_error why;
    size_t count;
    if (!endpoint_list_parse(options->cluster, endpoints, REPLICAS_MAX, &count, &why)) {
        return server_error_set(error, VR_SERVER_USAGE, ERROR_NONE, "--cluster: %s", why.text);
    }
    if (options->replica_id >= count) {
        return server_error_set(error, VR_SERVER_USAGE, ERROR_NONE,
                                "--replica %" PRIu32
                                " is not in --cluster, which has replicas 0 to "
                                "%zu: a replica's number is its place in that list",
                                options->replica_id, count - 1);
    }
    *configuration = (struct configuration){
        .cluster_id = options->cluster_id,
        .epoch = EPOCH_FIRST,
        .member_count = (uint32_t)count,
        .parameters = options->parameters,
    };
    for (uint32_t i = 0; i < count; i++) {
        struct member *member = &configuration->members[i];
        member->replica_id = i;
        member->role = MEMBER_ACTIVE;
        memcpy(member->host, endpoints[i].host, sizeof member->host);
        member->port = endpoints[i].port;
        member->peer_port = endpoints[i].peer_port;
    }
    const char *reason = configuration_reject(configuration);
    if (reason != NULL) {
        return server_error_set(error, VR_SERVER_CONFIGURATION, ERROR_CONFIGURATION,
                                "this cluster cannot be: %s; check --cluster, --cluster-id and the "
                                "cluster parameters",
                                reason);
    }
    return VR_SERVER_OK;
}

/* The member that is to be made. */
struct newcomer {
    const struct configuration *configuration;
    uint32_t self;
};

/* They would refuse each other; said here, it costs no start. */
static enum vr_server_exit judge_origin(const struct configuration *own,
                                        const struct message *message, const char *address,
                                        struct vr_server_error *error)
{
    const struct configuration *theirs = message->status->configuration;
    if (checksum_equal(own->origin, theirs->origin)) {
        return VR_SERVER_OK;
    }
    return server_error_set(
        error, VR_SERVER_CONFIGURATION, ERROR_CONFIGURATION,
        "the replica of this cluster at %s was initialised %s: all replicas of a group begin with "
        "the same. %s. Nothing was initialised",
        address,
        !configuration_has_origin(theirs) ? "without a backup"
        : !configuration_has_origin(own)  ? "from a backup"
                                          : "from another backup",
        !configuration_has_origin(theirs)
            ? "Run init without --from-backup, or initialise that one anew from this file"
            : "Run init with --from-backup and the very file that it was given (compare with "
              "sha256sum)");
}

static enum vr_server_exit judge(void *context, const struct net_address *from,
                                 const struct message *message, struct vr_server_error *error)
{
    const struct newcomer *newcomer = context;
    char address[NET_ADDRESS_TEXT_MAX];
    (void)net_address_text(from, address);
    if (message->type == MESSAGE_REFUSED) {
        return message->refused.reason != REFUSED_CLUSTER
                   ? VR_SERVER_OK
                   : server_error_set(error, VR_SERVER_CONFIGURATION, ERROR_OTHER_CLUSTER,
                                      "a replica of another cluster (%016" PRIx64
                                      ") runs at %s: a new group cannot use that address; stop "
                                      "that cluster, or choose other addresses or its --cluster-id",
                                      message->refused.own, address);
    }
    const enum vr_server_exit result =
        judge_origin(newcomer->configuration, message, address, error);
    if (result != VR_SERVER_OK) {
        return result;
    }
    if ((message->status->bound_mask & (UINT32_C(1) << newcomer->self)) != 0) {
        return server_error_set(
            error, VR_SERVER_CONFIGURATION, ERROR_REPLICA_EXISTS,
            "replica %" PRIu32 " exists already: %s of this cluster knows it by another data "
            "directory. A new one would have forgotten what the old one promised, and committed "
            "data could be lost. Put the old directory back; if it is gone, vr-client backup and "
            "vr-server init --from-backup make a new group of what this one has",
            newcomer->configuration->members[newcomer->self].replica_id, address);
    }
    return VR_SERVER_OK;
}

/* D10 */
static enum vr_server_exit ask_the_others(const struct configuration *configuration, uint32_t self,
                                          struct vr_server_error *error)
{
    struct newcomer newcomer = {.configuration = configuration, .self = self};
    return peer_probe(configuration, self, PROBE_MS, judge, &newcomer, error);
}

static enum vr_server_exit load_backup(const struct vr_server_init_options *options,
                                       const struct configuration *configuration,
                                       struct server_backup *backup, struct vr_server_error *error)
{
    enum vr_server_exit result = server_backup_load(backup, options->backup, options->app, error);
    if (result == VR_SERVER_OK) {
        result = server_backup_allow(backup, configuration, error);
    }
    if (result == VR_SERVER_OK && options->restored != NULL) {
        *options->restored = (struct vr_server_restored){
            .op_number = backup->id.op_number,
            .cluster_id = backup->cluster_id,
            .state_size = options->app->state_size(options->app->state),
        };
    }
    return result;
}

/* The checkpoint is durable before a state names it, and a directory without a state is nobody's.
 */
static enum vr_server_exit create(const char *directory, struct durable_state *state,
                                  const struct server_backup *backup, struct vr_server_error *error)
{
    const struct file_ops ops = file_ops_posix();
    struct storage_error why;
    int status = state_file_create_directory(&ops, directory, &why);
    if (status == 0 && backup->path != NULL) {
        const enum vr_server_exit result =
            server_backup_write(backup, &ops, directory, state, error);
        if (result != VR_SERVER_OK) {
            return result;
        }
    }
    status = status == 0 ? state_file_create_state(&ops, directory, state, &why) : status;
    return status == 0 ? VR_SERVER_OK : server_error_storage(error, status, &why);
}

enum vr_server_exit vr_server_init(const struct vr_server_init_options *options,
                                   struct vr_server_error *error)
{
    INVARIANT(options->cluster_id != 0);
    struct configuration configuration;
    enum vr_server_exit result = read_configuration(options, &configuration, error);
    if (result != VR_SERVER_OK) {
        return result;
    }
    struct server_backup backup = {.path = NULL};
    if (options->backup != NULL) {
        result = load_backup(options, &configuration, &backup, error);
        configuration.origin = backup.id.root; /* E0: all begin with this, or are no group */
    }
    if (result != VR_SERVER_OK) {
        return result;
    }
    result = ask_the_others(&configuration, options->replica_id, error);
    if (result != VR_SERVER_OK) {
        return result;
    }
    struct durable_state state;
    durable_state_init(&state, &configuration, options->replica_id, random_nonzero_u64());
    return create(options->data_directory, &state, &backup, error);
}
