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
#include "common/os/clock.h"
#include "common/os/datagram_socket.h"
#include "common/os/endpoint.h"
#include "common/os/memory.h"
#include "common/os/random.h"
#include "common/wire/sender.h"
#include "server/runtime/outbox.h"
#include "server/runtime/server_backup.h"
#include "server/runtime/server_error.h"
#include "server/storage/state_file.h"

enum {
    PROBE_MS = 300,     /* in all */
    PROBE_STEP_MS = 20, /* between two rounds of asking */
};

/* One other member, while it is being asked. */
struct probe {
    uint32_t index;
    struct net_address address;
    struct datagram_socket sock;
    bool done; /* it answered, or nobody listens there */
};

struct probing {
    const struct configuration *configuration;
    uint32_t self;
    uint64_t nonce;
    struct datagram_receiver receiver;
    struct arena arena;
    struct probe probes[REPLICAS_MAX];
    uint32_t count;
};

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

/* Sends what a wire_sender hands out through the probe's socket. */
static void emit(void *context, const struct wire_datagram *datagrams, size_t count)
{
    struct probe *probe = context;
    for (size_t i = 0; i < count; i++) {
        const struct datagram_out out = {.address = datagrams[i].address,
                                         .bytes = datagrams[i].bytes,
                                         .size = datagrams[i].size};
        datagram_send(&probe->sock, &out, 1);
    }
}

/* An address that we cannot find or reach is nobody who objects. */
static void open_probe(struct probing *probing, uint32_t index)
{
    const struct member *member = &probing->configuration->members[index];
    struct probe *probe = &probing->probes[probing->count];
    struct endpoint_error why;
    probe->index = index;
    if (!endpoint_resolve(member->host, member->port, &probe->address, &why)) {
        return;
    }
    struct net_address any = {.port = 0};
    if (net_address_is_ipv4(&probe->address)) {
        memcpy(any.ip, probe->address.ip, 12); /* the prefix that says IPv4 */
    }
    if (datagram_socket_open(&probe->sock, &any, PROBE_STEP_MS) != 0) {
        return;
    }
    if (datagram_socket_connect(&probe->sock, &probe->address) != 0) {
        datagram_socket_close(&probe->sock);
        return;
    }
    probing->count++;
}

static void ask(const struct probing *probing, struct probe *probe, void *sender_memory,
                const struct wire_sender_options *defaults)
{
    struct wire_sender_options options = *defaults;
    options.emit_context = probe;
    struct wire_sender *sender = wire_sender_init(sender_memory, &options);
    const uint32_t budget = net_address_datagram_size(&probe->address);
    const struct wire_destination destination = {.address = probe->address, .budget = budget};
    const uint32_t room = budget - WIRE_OVERHEAD - MESSAGE_OVERHEAD_MAX;
    const struct message message = {
        .type = MESSAGE_STATUS_REQUEST,
        .status_request = {.nonce = probing->nonce,
                           .padding_size = room < STATUS_PADDING_MAX ? room : STATUS_PADDING_MAX},
    };
    wire_send(sender, &destination, &message, clock_monotonic_ns());
    wire_flush(sender);
}

static enum vr_server_exit judge(const struct probing *probing, const struct probe *probe,
                                 const struct message *message, struct vr_server_error *error)
{
    char address[NET_ADDRESS_TEXT_MAX];
    (void)net_address_text(&probe->address, address);
    if (message->type == MESSAGE_REFUSED && message->refused.reason == REFUSED_CLUSTER) {
        return server_error_set(
            error, VR_SERVER_CONFIGURATION, ERROR_OTHER_CLUSTER,
            "a replica of another cluster (%016" PRIx64 ") runs at %s: a new group cannot use that "
            "address; stop that cluster, or choose other addresses or its --cluster-id",
            message->refused.own, address);
    }
    const bool answers =
        message->type == MESSAGE_STATUS && message->status->nonce == probing->nonce;
    const uint32_t own_bit = UINT32_C(1) << probing->self;
    if (answers && (message->status->bound_mask & own_bit) != 0) {
        return server_error_set(
            error, VR_SERVER_CONFIGURATION, ERROR_REPLICA_EXISTS,
            "replica %" PRIu32 " exists already: %s of this cluster knows it by another data "
            "directory. A new one would have forgotten what the old one promised, and committed "
            "data could be lost. Put the old directory back; if it is gone, vr-client backup and "
            "vr-server init --from-backup make a new group of what this one has",
            probing->configuration->members[probing->self].replica_id, address);
    }
    return VR_SERVER_OK;
}

/* Reads what one member answered, if anything. */
static enum vr_server_exit listen_to(struct probing *probing, struct probe *probe,
                                     struct vr_server_error *error)
{
    const size_t count =
        datagram_receive(&probe->sock, &probing->receiver, NANOSECONDS_PER_MILLISECOND);
    if (atomic_load(&probe->sock.counters.receive_errors) > 0) {
        probe->done = true; /* nobody listens there */
    }
    for (size_t i = 0; i < count; i++) {
        const struct datagram *datagram = &probing->receiver.items[i];
        struct wire_header header;
        struct wire_cursor cursor;
        struct message message;
        arena_reset(&probing->arena);
        if (wire_open(datagram->bytes, datagram->size, &datagram->address, &header, &cursor) ==
                WIRE_OK &&
            wire_next(&cursor, &probing->arena, &message) == WIRE_OK) {
            probe->done = true;
            const enum vr_server_exit verdict = judge(probing, probe, &message, error);
            if (verdict != VR_SERVER_OK) {
                return verdict;
            }
        }
    }
    return VR_SERVER_OK;
}

static bool all_done(const struct probing *probing)
{
    for (uint32_t i = 0; i < probing->count; i++) {
        if (!probing->probes[i].done) {
            return false;
        }
    }
    return true;
}

static enum vr_server_exit probe_all(struct probing *probing, void *sender_memory,
                                     const struct wire_sender_options *sender_options,
                                     struct vr_server_error *error)
{
    const uint64_t deadline_ns = clock_monotonic_ns() + PROBE_MS * NANOSECONDS_PER_MILLISECOND;
    uint64_t ask_ns = 0;
    while (!all_done(probing) && clock_monotonic_ns() < deadline_ns) {
        const bool ask_now = clock_monotonic_ns() >= ask_ns;
        if (ask_now) {
            ask_ns = clock_monotonic_ns() + PROBE_STEP_MS * NANOSECONDS_PER_MILLISECOND;
        }
        for (uint32_t i = 0; i < probing->count; i++) {
            struct probe *probe = &probing->probes[i];
            if (probe->done) {
                continue;
            }
            if (ask_now) {
                ask(probing, probe, sender_memory, sender_options);
            }
            const enum vr_server_exit verdict = listen_to(probing, probe, error);
            if (verdict != VR_SERVER_OK) {
                return verdict;
            }
        }
    }
    return VR_SERVER_OK;
}

/* D10 */
static enum vr_server_exit ask_the_others(const struct configuration *configuration, uint32_t self,
                                          struct vr_server_error *error)
{
    struct wire_sender_options sender_options;
    wire_sender_options_default(&sender_options);
    sender_options.cluster_id = configuration->cluster_id;
    sender_options.sender = REPLICA_NONE;
    sender_options.incarnation = random_nonzero_u64();
    sender_options.datagram_size_max = DATAGRAM_SIZE_LOOPBACK;
    sender_options.emit = emit;

    enum vr_server_exit result = VR_SERVER_OK;
    const size_t arena_size = wire_arena_size(DATAGRAM_SIZE_MAX);
    const size_t sender_size = wire_sender_memory_size(&sender_options);
    struct probing *probing = memory_reserve(sizeof *probing);
    void *arena = memory_reserve(arena_size);
    void *sender = memory_reserve(sender_size);
    if (probing == NULL || arena == NULL || sender == NULL ||
        datagram_receiver_init(&probing->receiver) != 0) {
        result =
            server_error_set(error, VR_SERVER_INTERNAL, ERROR_MEMORY, "there is no memory left");
        goto release;
    }
    probing->configuration = configuration;
    probing->self = self;
    probing->nonce = random_nonzero_u64();
    arena_init(&probing->arena, arena, arena_size);
    for (uint32_t i = 0; i < configuration->member_count; i++) {
        if (i != self) {
            open_probe(probing, i);
        }
    }
    result = probe_all(probing, sender, &sender_options, error);
    for (uint32_t i = 0; i < probing->count; i++) {
        datagram_socket_close(&probing->probes[i].sock);
    }
    datagram_receiver_destroy(&probing->receiver);
release:
    memory_release(sender, sender_size);
    memory_release(arena, arena_size);
    memory_release(probing, sizeof *probing);
    return result;
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
