/* SPDX-License-Identifier: Apache-2.0 */
#include "client/lib/channel.h"

#include <errno.h>
#include <string.h>

#include "common/base/invariant.h"
#include "common/os/endpoint.h"
#include "common/os/memory.h"
#include "common/os/random.h"

/* ---- opening and closing ---- */

/* Loopback if the whole group is there, so that nobody else can reach this socket; else any
 * address, of IPv4 alone if that is enough. */
static struct net_address address_to_bind(const struct net_address *peers, size_t peer_count)
{
    bool all_ipv4 = true;
    bool all_loopback = true;
    for (size_t i = 0; i < peer_count; i++) {
        all_ipv4 = all_ipv4 && net_address_is_ipv4(&peers[i]);
        all_loopback = all_loopback && net_address_is_loopback(&peers[i]);
    }
    struct net_address address = {.port = 0};
    if (all_ipv4) {
        address.ip[10] = 0xff;
        address.ip[11] = 0xff;
        address.ip[12] = all_loopback ? 127 : 0;
        address.ip[15] = all_loopback ? 1 : 0;
    }
    return address;
}

static void emit(void *context, const struct wire_datagram *datagrams, size_t count)
{
    struct channel *channel = context;
    struct datagram_out items[DATAGRAM_BATCH_MAX];
    while (count > 0) {
        const size_t batch = count < DATAGRAM_BATCH_MAX ? count : DATAGRAM_BATCH_MAX;
        for (size_t i = 0; i < batch; i++) {
            items[i] = (struct datagram_out){.address = datagrams[i].address,
                                             .bytes = datagrams[i].bytes,
                                             .size = datagrams[i].size};
        }
        datagram_send(&channel->socket, items, batch);
        datagrams += batch;
        count -= batch;
    }
}

static bool make_wire(struct channel *channel)
{
    struct wire_sender_options sending;
    wire_sender_options_default(&sending);
    sending.sender = REPLICA_NONE;
    sending.incarnation = random_nonzero_u64(); /* of a client: new for every start */
    sending.emit = emit;
    sending.emit_context = channel;
    struct wire_reassembler_options receiving;
    wire_reassembler_options_default(&receiving);

    channel->sender_size = wire_sender_memory_size(&sending);
    channel->reassembler_size = wire_reassembler_memory_size(&receiving);
    const size_t arena_size = wire_arena_size(MESSAGE_SIZE_MAX);
    void *sender = memory_reserve(channel->sender_size);
    void *reassembler = memory_reserve(channel->reassembler_size);
    void *arena = memory_reserve(arena_size);
    if (sender == NULL || reassembler == NULL || arena == NULL) {
        memory_release(sender, channel->sender_size);
        memory_release(reassembler, channel->reassembler_size);
        memory_release(arena, arena_size);
        return false;
    }
    channel->sender = wire_sender_init(sender, &sending);
    channel->reassembler = wire_reassembler_init(reassembler, &receiving);
    arena_init(&channel->arena, arena, arena_size);
    return true;
}

static void destroy_wire(struct channel *channel)
{
    memory_release(channel->sender, channel->sender_size);
    memory_release(channel->reassembler, channel->reassembler_size);
    memory_release(channel->arena.memory, channel->arena.size);
}

int channel_open(struct channel *channel, const struct channel_handler *handler,
                 const struct net_address *peers, size_t peer_count, uint32_t datagram_size)
{
    INVARIANT(datagram_size == 0 || datagram_size >= DATAGRAM_SIZE_MIN);
    INVARIANT(datagram_size <= DATAGRAM_SIZE_LOOPBACK);
    memset(channel, 0, sizeof *channel);
    channel->datagram_size = datagram_size;
    channel->handler = *handler;
    const struct net_address own = address_to_bind(peers, peer_count);
    int error = datagram_socket_open(&channel->socket, &own, CHANNEL_WAIT_MS);
    if (error != 0) {
        return error;
    }
    error = datagram_receiver_init(&channel->receiver);
    if (error != 0) {
        goto close_socket;
    }
    if (!make_wire(channel)) {
        error = -ENOMEM;
        goto destroy_receiver;
    }
    return 0;

destroy_receiver:
    datagram_receiver_destroy(&channel->receiver);
close_socket:
    datagram_socket_close(&channel->socket);
    return error;
}

void channel_close(struct channel *channel)
{
    destroy_wire(channel);
    datagram_receiver_destroy(&channel->receiver);
    datagram_socket_close(&channel->socket);
}

/* ---- sending ---- */

void channel_send(struct channel *channel, const struct net_address *address, uint64_t token,
                  const struct message *message, uint64_t now_ns)
{
    const struct wire_destination destination = {
        .address = *address,
        .token = token,
        .budget = channel->datagram_size > 0 ? channel->datagram_size
                                             : net_address_datagram_size(address),
        /* M3: who echoes no token is answered with at most as many bytes as it sent. */
        .padded_size = token == 0 ? DATAGRAM_SIZE_MIN : 0,
    };
    wire_send(channel->sender, &destination, message, now_ns);
}

void channel_flush(struct channel *channel)
{
    wire_flush(channel->sender);
}

void channel_set_cluster(struct channel *channel, uint64_t cluster_id)
{
    if (channel->cluster_id != cluster_id) {
        channel->cluster_id = cluster_id;
        wire_sender_set_cluster(channel->sender, cluster_id);
    }
}

/* ---- receiving ---- */

size_t channel_receive(struct channel *channel, uint64_t timeout_ns)
{
    return datagram_receive(&channel->socket, &channel->receiver, timeout_ns);
}

static void take_message(struct channel *channel, const struct message *message, uint64_t now_ns)
{
    switch (message->type) {
    case MESSAGE_PARTS_MISSING:
        wire_sender_parts_missing(channel->sender, message, now_ns);
        return;
    case MESSAGE_PART: {
        struct message whole;
        const enum wire_drop drop =
            wire_reassemble(channel->reassembler, message, now_ns, &channel->arena, &whole);
        if (drop != WIRE_OK) {
            channel->dropped[drop]++;
        } else if (whole.type != MESSAGE_NONE) {
            channel->handler.message(channel->handler.context, &whole, now_ns);
        }
        return;
    }
    default:
        channel->handler.message(channel->handler.context, message, now_ns);
        return;
    }
}

/* A replica of another version: its header is all that can be read (M3). */
static void take_other_version(struct channel *channel, const struct datagram *datagram,
                               const struct wire_header *header, uint64_t now_ns)
{
    const struct message refused = {
        .type = MESSAGE_REFUSED,
        .from = REPLICA_NONE,
        .address = datagram->address,
        .refused = {.reason = REFUSED_VERSION, .own = header->version, .yours = WIRE_VERSION},
    };
    channel->handler.message(channel->handler.context, &refused, now_ns);
}

static void take_datagram(struct channel *channel, const struct datagram *datagram, uint64_t now_ns)
{
    struct wire_header header;
    struct wire_cursor cursor;
    const enum wire_drop opened =
        wire_open(datagram->bytes, datagram->size, &datagram->address, &header, &cursor);
    if (opened != WIRE_OK) {
        channel->dropped[opened]++;
        if (opened == WIRE_DROP_VERSION) {
            take_other_version(channel, datagram, &header, now_ns);
        }
        return;
    }
    if (!channel->handler.heard_cluster(channel->handler.context, &datagram->address,
                                        header.cluster_id)) {
        channel->dropped[WIRE_DROP_CLUSTER]++;
        return;
    }
    for (;;) {
        struct message message;
        arena_reset(&channel->arena);
        const enum wire_drop drop = wire_next(&cursor, &channel->arena, &message);
        if (drop == WIRE_END) {
            return;
        }
        if (drop == WIRE_OK) {
            take_message(channel, &message, now_ns);
        } else {
            channel->dropped[drop]++;
        }
    }
}

static void ask_for_parts(void *context, const struct net_address *address,
                          const struct message *message)
{
    struct channel *channel = context;
    const uint64_t token = channel->handler.token(channel->handler.context, address);
    channel_send(channel, address, token, message, channel->now_ns);
}

void channel_dispatch(struct channel *channel, uint64_t now_ns)
{
    channel->now_ns = now_ns;
    for (size_t i = 0; i < channel->receiver.count; i++) {
        take_datagram(channel, &channel->receiver.items[i], now_ns);
    }
    channel->receiver.count = 0;
    if (wire_reassembler_deadline(channel->reassembler) <= now_ns) {
        wire_reassembler_tick(channel->reassembler, now_ns, ask_for_parts, channel);
    }
    if (wire_sender_deadline(channel->sender) <= now_ns) {
        wire_sender_tick(channel->sender, now_ns);
    }
}

uint64_t channel_deadline(const struct channel *channel)
{
    const uint64_t parts = wire_reassembler_deadline(channel->reassembler);
    const uint64_t paced = wire_sender_deadline(channel->sender);
    return parts < paced ? parts : paced;
}
