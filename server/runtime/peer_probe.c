/* SPDX-License-Identifier: Apache-2.0 */
#include "server/runtime/peer_probe.h"

#include <string.h>

#include "common/base/invariant.h"
#include "common/os/clock.h"
#include "common/os/datagram_socket.h"
#include "common/os/endpoint.h"
#include "common/os/memory.h"
#include "common/os/random.h"
#include "common/wire/sender.h"
#include "server/runtime/outbox.h"
#include "server/runtime/server_error.h"

enum { PROBE_STEP_MS = 20 }; /* between two rounds of asking */

/* One other member, while it is being asked. */
struct probe {
    struct net_address address;
    struct datagram_socket sock;
    bool done; /* it answered, or nobody listens there */
};

struct probing {
    const struct configuration *configuration;
    peer_probe_judge judge;
    void *context;
    uint32_t wait_ms;
    uint64_t nonce;
    struct datagram_receiver receiver;
    struct arena arena;
    struct probe probes[REPLICAS_MAX];
    uint32_t count;
};

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

static enum vr_server_exit heard(const struct probing *probing, const struct probe *probe,
                                 const struct message *message, struct vr_server_error *error)
{
    const bool answers =
        message->type == MESSAGE_STATUS && message->status->nonce == probing->nonce;
    return answers || message->type == MESSAGE_REFUSED
               ? probing->judge(probing->context, &probe->address, message, error)
               : VR_SERVER_OK;
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
            const enum vr_server_exit verdict = heard(probing, probe, &message, error);
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
    const uint64_t deadline_ns =
        clock_monotonic_ns() + probing->wait_ms * NANOSECONDS_PER_MILLISECOND;
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

enum vr_server_exit peer_probe(const struct configuration *configuration, uint32_t self,
                               uint32_t wait_ms, peer_probe_judge judge, void *context,
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
    probing->judge = judge;
    probing->context = context;
    probing->wait_ms = wait_ms;
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
