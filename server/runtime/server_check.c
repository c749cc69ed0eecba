/* SPDX-License-Identifier: Apache-2.0 */
#include "server/runtime/server_check.h"

#include <inttypes.h>
#include <string.h>

#include "common/os/clock.h"
#include "common/os/endpoint.h"
#include "server/runtime/server_checkpoint.h"
#include "server/runtime/server_error.h"
#include "server/storage/state_file.h"

/* Options. */

void server_options_complete(struct vr_server_options *options)
{
    struct vr_options defaults;
    vr_options_default(&defaults);
    if (options->heartbeat_ns == 0) {
        options->heartbeat_ns = defaults.heartbeat_ns;
    }
    if (options->view_change_ns == 0) {
        options->view_change_ns =
            defaults.view_change_ns / defaults.heartbeat_ns * options->heartbeat_ns;
    }
    if (options->log_memory_max == 0) {
        options->log_memory_max = LOG_MEMORY_MAX;
    }
    if (options->log_retain == 0) {
        options->log_retain = defaults.log_retain;
    }
    if (options->reads == 0) {
        options->reads = defaults.reads;
    }
    if (options->transfer_rate == 0) {
        options->transfer_rate = defaults.transfer_rate;
    }
}

enum vr_server_exit server_options_check(const struct vr_server_options *options,
                                         struct vr_server_error *error)
{
    if (options->view_change_ns <= options->heartbeat_ns) {
        return server_error_set(error, VR_SERVER_CONFIGURATION, ERROR_SETTINGS_TOGETHER,
                                "--view-change-ms must be longer than --heartbeat-ms, or a healthy "
                                "primary would be suspected between two heartbeats; six times as "
                                "long is usual");
    }
    if (options->log_memory_max < LOG_MEMORY_MIN) {
        return server_error_set(error, VR_SERVER_CONFIGURATION, ERROR_SETTING,
                                "--log-memory-max must be at least %d MiB: the log leaves memory "
                                "in pieces of 8 MiB",
                                LOG_MEMORY_MIN / (1024 * 1024));
    }
    if (options->transfer_rate < TRANSFER_RATE_MIN || options->transfer_rate > TRANSFER_RATE_MAX) {
        return server_error_set(error, VR_SERVER_CONFIGURATION, ERROR_SETTING,
                                "--transfer-rate must be 1 MiB to 10 GiB a second");
    }
    if (options->datagram_size != 0 && (options->datagram_size < DATAGRAM_SIZE_MIN ||
                                        options->datagram_size > DATAGRAM_SIZE_MAX)) {
        return server_error_set(error, VR_SERVER_CONFIGURATION, ERROR_SETTING,
                                "--datagram-size must be %d to %d bytes", DATAGRAM_SIZE_MIN,
                                DATAGRAM_SIZE_MAX);
    }
    return VR_SERVER_OK;
}

/* Addresses. */

static enum vr_server_exit resolve(const char *host, uint16_t port, struct net_address *address,
                                   struct vr_server_error *error)
{
    struct endpoint_error why;
    if (!endpoint_resolve(host, port, address, &why)) {
        return server_error_set(error, VR_SERVER_CONFIGURATION, ERROR_ADDRESS_UNKNOWN,
                                "%s. Names are looked up once, at start: check the name server, or "
                                "use numeric addresses",
                                why.text);
    }
    return VR_SERVER_OK;
}

/* TH-6: all names are looked up here, never again. */
static enum vr_server_exit resolve_peers(const struct configuration *configuration, uint32_t self,
                                         struct net_address peers[REPLICAS_MAX],
                                         struct vr_server_error *error)
{
    for (uint32_t i = 0; i < configuration->member_count; i++) {
        const struct member *member = &configuration->members[i];
        if (i == self) {
            continue;
        }
        const enum vr_server_exit result =
            resolve(member->host, member->peer_port, &peers[i], error);
        if (result != VR_SERVER_OK) {
            return result;
        }
    }
    return VR_SERVER_OK;
}

static enum vr_server_exit own_endpoint(const char *listen, const struct member *member,
                                        struct endpoint *endpoint, struct vr_server_error *error)
{
    if (listen == NULL) {
        memcpy(endpoint->host, member->host, sizeof endpoint->host);
        endpoint->port = member->port;
        endpoint->peer_port = member->peer_port;
        return VR_SERVER_OK;
    }
    struct endpoint_error why;
    if (!endpoint_parse(listen, endpoint, &why)) {
        return server_error_set(error, VR_SERVER_CONFIGURATION, ERROR_ADDRESS, "--listen: %s",
                                why.text);
    }
    return VR_SERVER_OK;
}

/* A socket of one family cannot reach the other: better said now than by silence. */
static enum vr_server_exit check_families(const struct configuration *configuration, uint32_t self,
                                          const struct server_addresses *addresses,
                                          struct vr_server_error *error)
{
    const struct net_address *own = &addresses->own[LANE_PEERS];
    for (uint32_t i = 0; i < configuration->member_count; i++) {
        const struct net_address *peer = &addresses->peers[i];
        const bool reachable = net_address_is_ipv4(own) == net_address_is_ipv4(peer) ||
                               (net_address_is_wildcard(own) && !net_address_is_ipv4(own));
        if (i != self && !reachable) {
            return server_error_set(
                error, VR_SERVER_CONFIGURATION, ERROR_ADDRESS_FAMILY,
                "replica %" PRIu32 " (%s) is reached by the other version of IP "
                "than this replica listens on: give all of --cluster addresses "
                "of one version, or --listen [::]:port",
                configuration->members[i].replica_id, configuration->members[i].host);
        }
    }
    return VR_SERVER_OK;
}

enum vr_server_exit server_addresses_find(const struct vr_server_options *options,
                                          const struct configuration *configuration, uint32_t self,
                                          struct server_addresses *addresses,
                                          struct vr_server_error *error)
{
    struct endpoint endpoint;
    memset(addresses, 0, sizeof *addresses);
    enum vr_server_exit result = resolve_peers(configuration, self, addresses->peers, error);
    if (result == VR_SERVER_OK) {
        result = own_endpoint(options->listen, &configuration->members[self], &endpoint, error);
    }
    struct net_address *clients = &addresses->own[LANE_CLIENTS];
    if (result == VR_SERVER_OK) {
        result = resolve(endpoint.host, endpoint.port, clients, error);
    }
    if (result != VR_SERVER_OK) {
        return result;
    }
    addresses->own[LANE_PEERS] = *clients;
    addresses->own[LANE_PEERS].port = endpoint.peer_port;
    if (!options->insecure && !net_address_is_loopback(clients)) {
        return server_error_set(
            error, VR_SERVER_CONFIGURATION, ERROR_INSECURE,
            "%s can be reached from other machines, and nothing proves yet who sends a datagram: "
            "anybody there could read and change the data. Use a loopback address, or --insecure "
            "where the network itself is trusted",
            endpoint.host);
    }
    return check_families(configuration, self, addresses, error);
}

/* Both, without starting. */

enum vr_server_exit vr_server_check(const struct vr_server_options *given,
                                    struct vr_server_error *error)
{
    struct vr_server_options options = *given;
    server_options_complete(&options);
    enum vr_server_exit result = server_options_check(&options, error);
    if (result != VR_SERVER_OK) {
        return result;
    }
    const struct file_ops ops = file_ops_posix();
    struct durable_state state;
    struct storage_error why;
    const int status = state_file_peek(&ops, options.data_directory, &state, &why);
    if (status != 0) {
        (void)server_error_storage(error, status, &why);
        return VR_SERVER_CONFIGURATION; /* whatever it is: such a start would fail */
    }
    result = server_checkpoint_allow(options.data_directory, &state, options.durability, error);
    if (result != VR_SERVER_OK) {
        return result;
    }
    struct server_addresses addresses;
    return server_addresses_find(&options, &state.configuration,
                                 configuration_index(&state.configuration, state.replica_id),
                                 &addresses, error);
}
