/* SPDX-License-Identifier: Apache-2.0 */
/* A replica's two sockets: datagrams out, and in as far as the core (M1, M3, M5, M6, M7). */
#include <string.h>

#include "common/base/invariant.h"
#include "test/sim/host_parts.h"
#include "test/sim/sim.h"
#include "test/sim/trace.h"

static void host_emit(void *context, const struct wire_datagram *datagrams, size_t count,
                      enum sim_lane lane)
{
    const struct sim_host *host = context;
    sim_emit(host->sim, host->index, lane, datagrams, count);
}

static void emit_peers(void *context, const struct wire_datagram *datagrams, size_t count)
{
    host_emit(context, datagrams, count, SIM_LANE_PEERS);
}

static void emit_clients(void *context, const struct wire_datagram *datagrams, size_t count)
{
    host_emit(context, datagrams, count, SIM_LANE_CLIENTS);
}

void host_open_sockets(struct sim_host *host)
{
    const struct sim *sim = host->sim;
    struct wire_reassembler_options parts;
    wire_reassembler_options_default(&parts);
    for (enum sim_lane lane = SIM_LANE_PEERS; lane <= SIM_LANE_CLIENTS; lane++) {
        struct wire_sender_options out;
        wire_sender_options_default(&out);
        out.cluster_id = sim->configuration.cluster_id;
        out.sender = sim->configuration.members[host->index].replica_id;
        out.incarnation = host->disk.incarnation;
        out.identity = host->disk.identity;
        out.configuration_hash = configuration_hash(&sim->configuration);
        out.datagram_size = sim->options.datagram_size;
        out.datagram_size_max = sim->options.datagram_size;
        out.emit = lane == SIM_LANE_PEERS ? emit_peers : emit_clients;
        out.emit_context = host;
        host->senders[lane] = wire_sender_init(
            sim_memory_room(&host->sender_memory[lane], wire_sender_memory_size(&out)), &out);
        host->reassemblers[lane] = wire_reassembler_init(
            sim_memory_room(&host->reassembler_memory[lane], wire_reassembler_memory_size(&parts)),
            &parts);
        memset(&host->inboxes[lane], 0, sizeof host->inboxes[lane]);
    }
}

void host_ask_parts(void *context, const struct net_address *address, const struct message *message)
{
    struct sim_host *host = context;
    const uint32_t node = sim_node_at(host->sim, address);
    const enum sim_lane lane =
        node < host->sim->options.replica_count ? SIM_LANE_PEERS : SIM_LANE_CLIENTS;
    const struct wire_destination destination = {.address = *address};
    wire_send(host->senders[lane], &destination, message, host_local_time(host).now_ns);
}

/* M7: answered by the receiver, from the last snapshot. */
static void answer_status(struct sim_host *host, const struct message *request)
{
    const struct vr_snapshot *s = &host->snapshot;
    const struct status_report report = {
        .nonce = request->status_request.nonce,
        .cluster_id = host->sim->configuration.cluster_id,
        .replica_id = host->sim->configuration.members[host->index].replica_id,
        .view_number = host->reported.view_number,
        .last_normal_view = s->last_normal_view,
        .status = s->status,
        .acting_primary = s->acting_primary,
        .op_number = s->op_number,
        .commit_number = s->commit_number,
        .executed_op = s->executed_op,
        .durability = DURABILITY_MEMORY,
        .version = "sim",
        .note = "",
        .configuration = &host->sim->configuration,
    };
    const struct message answer = {.type = MESSAGE_STATUS, .status = &report};
    host_send_client(host, &answer, &request->address);
}

/* False if the replica is gone, or the run is over. */
static bool receive_message(struct sim_host *host, enum sim_lane lane,
                            const struct message *message, uint64_t received_ns)
{
    struct sim *sim = host->sim;
    trace_receive(sim, host->index, sim_node_at(sim, &message->address), message);
    if (message->type == MESSAGE_PARTS_MISSING) {
        wire_sender_parts_missing(host->senders[lane], message, host_local_time(host).now_ns);
        return true;
    }
    if (lane == SIM_LANE_CLIENTS && message->type == MESSAGE_STATUS_REQUEST) {
        answer_status(host, message);
        return true;
    }
    if (message->type == MESSAGE_REFUSED) {
        return true; /* for a person to read */
    }
    if (lane == SIM_LANE_CLIENTS ? message->type != MESSAGE_REQUEST && message->type != MESSAGE_READ
                                 : !message_is_from_replica(message->type)) {
        sim_fail(sim, "replica %u got a %s from node %u", host->index,
                 message_type_name(message->type), sim_node_at(sim, &message->address));
        return false;
    }
    sim->counts.messages++;
    if (message->type == MESSAGE_START_VIEW_CHANGE &&
        message->start_view_change.view_number > host->vote_heard) {
        host->vote_heard = message->start_view_change.view_number;
    }
    struct vr_event event = {
        .kind = VR_EVENT_MESSAGE,
        .message = {.message = message, .received_ns = received_ns},
    };
    uint64_t dropped[DROP_REASON_COUNT];
    memcpy(dropped, host->snapshot.dropped, sizeof dropped);
    const bool alive = host_step(host, &event);
    trace_drops(sim, host->index, dropped, host->snapshot.dropped);
    return alive;
}

/* M3: a client proves that it receives where it says it is, before anything is done for it. */
static bool knows_token(struct sim_host *host, const struct wire_cursor *cursor)
{
    const uint64_t token = wire_token(host->token_secret, &cursor->address);
    if (cursor->header.token == token) {
        return true;
    }
    const struct message challenge = {.type = MESSAGE_CHALLENGE, .challenge = {.token = token}};
    host_send_client(host, &challenge, &cursor->address);
    return false;
}

static bool receive_frames(struct sim_host *host, enum sim_lane lane, struct wire_cursor *cursor,
                           uint64_t received_ns)
{
    struct sim *sim = host->sim;
    for (;;) {
        struct message message;
        arena_reset(&sim->arena);
        enum wire_drop drop = wire_next(cursor, &sim->arena, &message);
        if (drop == WIRE_END) {
            return true;
        }
        if (drop == WIRE_OK && message.type == MESSAGE_PART) {
            struct message whole;
            arena_reset(&sim->whole);
            drop = wire_reassemble(host->reassemblers[lane], &message, host_local_time(host).now_ns,
                                   &sim->whole, &whole);
            if (drop == WIRE_OK && whole.type == MESSAGE_NONE) {
                continue;
            }
            message = whole;
        }
        if (drop != WIRE_OK) {
            sim->counts.wire_dropped[drop]++;
            continue;
        }
        if (!receive_message(host, lane, &message, received_ns)) {
            return false;
        }
    }
}

static bool receive_datagram(struct sim_host *host, const struct sim_datagram *datagram,
                             uint64_t received_ns)
{
    struct sim *sim = host->sim;
    const struct net_address address = sim_address(sim, datagram->from, datagram->lane);
    struct wire_header header;
    struct wire_cursor cursor;
    const enum wire_drop drop =
        wire_open(datagram->bytes, datagram->size, &address, &header, &cursor);
    if (drop != WIRE_OK) {
        sim->counts.wire_dropped[drop]++;
        if (!datagram->flipped) {
            sim_fail(sim, "a datagram from node %u was dropped unharmed: %s", datagram->from,
                     wire_drop_name(drop));
        }
        return !sim->failed;
    }
    if (datagram->flipped) {
        sim_fail(sim, "UDP-8: a damaged datagram from node %u was taken", datagram->from);
        return false;
    }
    if (datagram->lane == SIM_LANE_CLIENTS && !knows_token(host, &cursor)) {
        return true;
    }
    return receive_frames(host, datagram->lane, &cursor, received_ns);
}

/* Takes up to `count` datagrams, peers before clients (M5). False if the replica is gone. */
bool host_drain(struct sim_host *host, uint32_t count)
{
    struct sim *sim = host->sim;
    for (enum sim_lane lane = SIM_LANE_PEERS; lane <= SIM_LANE_CLIENTS; lane++) {
        struct sim_inbox *inbox = &host->inboxes[lane];
        while (inbox->count > 0 && count > 0) {
            const uint32_t at = inbox->head;
            const uint32_t index = inbox->datagrams[at];
            inbox->head = (at + 1) % SIM_INBOX_MAX;
            inbox->count--;
            count--;
            const bool alive = receive_datagram(host, sim_network_datagram(&sim->network, index),
                                                inbox->received_ns[at]);
            sim_network_release(&sim->network, index);
            if (!alive) {
                return false;
            }
        }
    }
    return true;
}

void sim_host_deliver(struct sim_host *host, uint64_t index)
{
    struct sim *sim = host->sim;
    const struct sim_datagram *datagram = sim_network_datagram(&sim->network, index);
    struct sim_inbox *inbox = &host->inboxes[datagram->lane];
    if (!host->running || inbox->count == sim->options.inbox_max) {
        sim->counts.inbox_full += host->running ? 1 : 0;
        sim_network_release(&sim->network, index);
        return;
    }
    const uint32_t at = (inbox->head + inbox->count) % SIM_INBOX_MAX;
    inbox->datagrams[at] = (uint32_t)index;
    inbox->received_ns[at] = host->paused ? 0 : host_local_time(host).now_ns;
    inbox->count++;
    if (!host->paused) {
        host_arm_drain(host);
    }
}

void host_inbox_clear(struct sim_host *host, struct sim_inbox *inbox)
{
    for (; inbox->count > 0; inbox->count--) {
        sim_network_release(&host->sim->network, inbox->datagrams[inbox->head]);
        inbox->head = (inbox->head + 1) % SIM_INBOX_MAX;
    }
}
