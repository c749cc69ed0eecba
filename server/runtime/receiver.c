/* SPDX-License-Identifier: Apache-2.0 */
#include "server/runtime/receiver.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "common/base/invariant.h"
#include "common/os/clock.h"
#include "common/os/endpoint.h"
#include "common/os/logger.h"
#include "common/os/memory.h"
#include "common/os/thread.h"
#include "server/runtime/backup_source.h"
#include "server/runtime/log_control.h"
#include "server/runtime/restore_control.h"
#include "server/runtime/status.h"
#include "server/runtime/trace.h"

/* One datagram on its way through. */
struct arrival {
    const struct datagram *datagram;
    uint64_t now_ns; /* when its batch arrived */
    bool verified;   /* clients: it echoed the token of its address */
    bool challenged; /* it was told to: once is enough */
    size_t limit;    /* M3: bytes that it may still be answered with while not verified */
};

static void count(atomic_uint_least64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

/* Answers of the receiver's own. */

/* False if it was kept back: to somebody unproven it would have been longer than the question. */
static bool answer(struct receiver *receiver, struct arrival *arrival,
                   const struct message *message)
{
    const struct net_address *address = &arrival->datagram->address;
    if (arrival->verified) {
        outbox_send(&receiver->outbox, address, message, arrival->now_ns);
        return true;
    }
    /* What was queued for others is not this answer's to account for. */
    outbox_flush(&receiver->outbox);
    if (!outbox_answer_within(&receiver->outbox, address, message, arrival->limit,
                              arrival->now_ns)) {
        return false;
    }
    arrival->limit = receiver->outbox.limit;
    return true;
}

static void answer_counted(struct receiver *receiver, struct arrival *arrival,
                           const struct message *message, atomic_uint_least64_t *counter)
{
    count(answer(receiver, arrival, message) ? counter : &receiver->counters.answers_short);
}

static bool refusal_allowed(struct receiver *receiver, uint64_t now_ns)
{
    const uint64_t second = now_ns / NANOSECONDS_PER_SECOND;
    if (second != receiver->refusals_second) {
        receiver->refusals_second = second;
        receiver->refusals_in_second = 0;
    }
    return receiver->refusals_in_second++ < RECEIVER_REFUSALS_PER_SECOND;
}

/* M7: says what is wrong, briefly, and never to an error. */
static void refuse(struct receiver *receiver, struct arrival *arrival,
                   const struct wire_header *header, const struct refused *refused)
{
    if ((header->flags & WIRE_FLAG_ERROR) != 0 || !refusal_allowed(receiver, arrival->now_ns)) {
        return;
    }
    const struct message message = {.type = MESSAGE_REFUSED, .refused = *refused};
    arrival->verified = false;
    answer_counted(receiver, arrival, &message, &receiver->counters.refused);
}

static void say_foreign_cluster(struct receiver *receiver, const struct arrival *arrival,
                                uint64_t cluster_id)
{
    char address[NET_ADDRESS_TEXT_MAX];
    if (receiver->foreign_cluster_said) {
        return;
    }
    receiver->foreign_cluster_said = true; /* the counters tell how often */
    log_problem(ERROR_FOREIGN_CLUSTER,
                "%s at %s belongs to cluster %016" PRIx64 ", this replica to %016" PRIx64
                ": it is refused, and asks in vain. One of the two has a wrong address: correct "
                "its list of the cluster",
                receiver->kind == LANE_PEERS ? "a replica" : "a client",
                net_address_text(&arrival->datagram->address, address), cluster_id,
                receiver->configuration.cluster_id);
}

static void challenge(struct receiver *receiver, struct arrival *arrival)
{
    if (arrival->challenged) {
        return;
    }
    arrival->challenged = true;
    const struct message message = {
        .type = MESSAGE_CHALLENGE,
        .challenge = {.token = wire_token(receiver->token_secret, &arrival->datagram->address)},
    };
    answer_counted(receiver, arrival, &message, &receiver->counters.challenged);
}

static void answer_status(struct receiver *receiver, struct arrival *arrival,
                          const struct message *request)
{
    char address[NET_ADDRESS_TEXT_MAX];
    log_debug(LOG_ADMIN, "status asked for by %s",
              net_address_text(&arrival->datagram->address, address));
    struct status_answer status;
    status_answer(receiver->status, request->status_request.nonce, &status);
    const struct message message = {.type = MESSAGE_STATUS, .status = &status.report};
    if (answer(receiver, arrival, &message)) {
        count(&receiver->counters.status_answered);
        return;
    }
    /* M3: with the token it would be told more. */
    challenge(receiver, arrival);
    status_answer_shorten(&status);
    answer_counted(receiver, arrival, &message, &receiver->counters.status_answered);
}

static void answer_log_level(struct receiver *receiver, struct arrival *arrival,
                             const struct message *request)
{
    char levels[LOG_LEVELS_TEXT_MAX];
    const bool permitted =
        receiver->insecure || net_address_is_loopback(&arrival->datagram->address);
    const struct message message = {
        .type = MESSAGE_LOG_LEVEL_REPORT,
        .log_level_report = {
            .nonce = request->log_level_request.nonce,
            .replica_id = receiver->configuration.members[receiver->self].replica_id,
            .outcome = log_control(request->log_level_request.levels, &arrival->datagram->address,
                                   permitted, levels),
            .levels = levels,
        }};
    (void)answer(receiver, arrival, &message); /* verified: it is never kept back */
}

/* D9: passed on to the core only if it comes from whom this replica obeys. */
static bool restore_permitted(struct receiver *receiver, struct arrival *arrival,
                              const struct message *request)
{
    const struct net_address *address = &arrival->datagram->address;
    if (restore_control(address, receiver->insecure || net_address_is_loopback(address))) {
        return true;
    }
    const struct message message = {
        .type = MESSAGE_RESTORE_REPORT,
        .restore_report = {
            .nonce = request->restore.nonce,
            .replica_id = receiver->configuration.members[receiver->self].replica_id,
            .outcome = RESTORE_NOT_PERMITTED,
            .status = STATUS_RECOVERING,
            .durability = DURABILITY_MEMORY,
        }};
    (void)answer(receiver, arrival, &message); /* verified: it is never kept back */
    return false;
}

/* M8: however many ask however often, what is answered in a second is bounded. */
static bool trace_allowed(struct receiver *receiver, uint64_t now_ns)
{
    const uint64_t cost_ns = NANOSECONDS_PER_SECOND / TRACE_REPORTS_PER_SECOND;
    const uint64_t from_ns = receiver->trace_full_ns > now_ns ? receiver->trace_full_ns : now_ns;
    if (from_ns + cost_ns > now_ns + NANOSECONDS_PER_SECOND) {
        return false;
    }
    receiver->trace_full_ns = from_ns + cost_ns;
    return true;
}

/* Only to who has proven its address: the answer is a hundred times as long as the question (M3).
 */
static void answer_trace(struct receiver *receiver, struct arrival *arrival,
                         const struct message *request)
{
    if (!trace_allowed(receiver, arrival->now_ns)) {
        count(&receiver->counters.trace_refused);
        return;
    }
    struct message message = {.type = MESSAGE_TRACE_REPORT};
    trace_answer(receiver->trace, &request->trace_request, &message.trace_report);
    answer_counted(receiver, arrival, &message, &receiver->counters.trace_answered);
}

static void answer_offer(struct receiver *receiver, struct arrival *arrival,
                         const struct backup_request *request)
{
    struct execution_status executed;
    struct health_published published;
    struct message message = {.type = MESSAGE_BACKUP_OFFER};
    execution_status(receiver->execution, &executed);
    health_published(receiver->health, &published);
    const struct backup_state state = {
        .in_service = published.snapshot.status == STATUS_NORMAL && !published.snapshot.diverged,
        .executed_op = executed.executed_op,
    };
    backup_source_offer(receiver->backup, request, &state, arrival->now_ns, &message.backup_offer);
    (void)answer(receiver, arrival, &message); /* verified: it is never kept back */
}

/* M9: who asks for what is not there any more is told what is. */
static void answer_backup(struct receiver *receiver, struct arrival *arrival,
                          const struct backup_request *request)
{
    if (request->count == 0) {
        answer_offer(receiver, arrival, request);
        return;
    }
    for (uint32_t i = 0; i < request->count; i++) {
        struct message message = {.type = MESSAGE_BACKUP_CHUNK};
        if (!backup_source_allow(receiver->backup, arrival->now_ns)) {
            return;
        }
        if (!backup_source_piece(receiver->backup, request, request->first + i, arrival->now_ns,
                                 &message.checkpoint_chunk)) {
            if (i == 0) {
                answer_offer(receiver, arrival, request);
            }
            return;
        }
        answer_counted(receiver, arrival, &message, &receiver->counters.backup_chunks);
    }
}

/* Messages. */

/* Where a decoded message goes: `item` lies in the inbox's lane, or is NULL if that is full. */
static void deliver(struct receiver *receiver, const struct arrival *arrival,
                    struct inbox_item *item, const struct arena *arena)
{
    if (item == NULL) {
        count(&receiver->counters.lane_full);
        return;
    }
    item->received_ns = arrival->now_ns;
    inbox_add(receiver->inbox, receiver->kind, item, arena);
}

/* True if this PartsMissing was for somebody other than the core. */
static bool on_parts_missing(struct receiver *receiver, const struct arrival *arrival,
                             const struct message *message)
{
    switch (wire_part_sender_number(message->parts_missing.id)) {
    case OUTBOX_CORE:
        return false;
    case OUTBOX_RECEIVER:
        wire_sender_parts_missing(receiver->outbox.sender, message, arrival->now_ns);
        return true;
    case OUTBOX_EXECUTOR:
        if (receiver->kind == LANE_CLIENTS) {
            execution_repair(receiver->execution, message);
        }
        return true;
    default:
        count(&receiver->counters.wire[WIRE_DROP_INVALID]);
        return true;
    }
}

static bool belongs_here(const struct receiver *receiver, enum message_type type)
{
    if (type == MESSAGE_PART || type == MESSAGE_PARTS_MISSING) {
        return true;
    }
    if (receiver->kind == LANE_PEERS) {
        return message_is_from_replica(type) || type == MESSAGE_REFUSED;
    }
    return type == MESSAGE_REQUEST || type == MESSAGE_READ || type == MESSAGE_STATUS_REQUEST ||
           type == MESSAGE_TRACE_REQUEST || type == MESSAGE_LOG_LEVEL_REQUEST ||
           type == MESSAGE_BACKUP_REQUEST || type == MESSAGE_RESTORE_STATUS ||
           type == MESSAGE_RESTORE;
}

/* A frame was decoded into item->message, and what it borrows into *arena; `item` may be the
 * scratch, if the lane is full. */
static void on_message(struct receiver *receiver, struct arrival *arrival, struct inbox_item *item,
                       bool scratch, const struct arena *arena)
{
    const struct message *message = &item->message;
    count(&receiver->counters.wire[WIRE_OK]);
    if (!belongs_here(receiver, message->type)) {
        count(&receiver->counters.wrong_socket);
    } else if (message->type == MESSAGE_STATUS_REQUEST) {
        answer_status(receiver, arrival, message);
    } else if (!arrival->verified) {
        challenge(receiver, arrival);
    } else if (message->type == MESSAGE_LOG_LEVEL_REQUEST) {
        answer_log_level(receiver, arrival, message);
    } else if (message->type == MESSAGE_PART) {
        count(&receiver->counters.wire[WIRE_DROP_INVALID]); /* a part made whole of parts */
    } else if (message->type == MESSAGE_TRACE_REQUEST) {
        answer_trace(receiver, arrival, message);
    } else if (message->type == MESSAGE_BACKUP_REQUEST) {
        answer_backup(receiver, arrival, &message->backup_request);
    } else if (message->type == MESSAGE_RESTORE && !restore_permitted(receiver, arrival, message)) {
        return; /* answered */
    } else if (message->type != MESSAGE_PARTS_MISSING ||
               !on_parts_missing(receiver, arrival, message)) {
        deliver(receiver, arrival, scratch ? NULL : item, arena);
    }
}

/* M6: the last part makes a message whole; it is decoded into the inbox. */
static void on_part(struct receiver *receiver, struct arrival *arrival, const struct message *part)
{
    struct arena arena;
    struct inbox_item *item =
        inbox_reserve(receiver->inbox, receiver->kind, wire_arena_size(MESSAGE_SIZE_MAX), &arena);
    if (item == NULL) {
        count(&receiver->counters.lane_full); /* it will be asked for again */
        return;
    }
    const enum wire_drop drop =
        wire_reassemble(receiver->reassembler, part, arrival->now_ns, &arena, &item->message);
    if (drop != WIRE_OK) {
        count(&receiver->counters.wire[drop]);
    } else if (item->message.type != MESSAGE_NONE) {
        on_message(receiver, arrival, item, false, &arena);
    }
}

/* Decodes the next frame. Parts go to scratch memory, everything else straight into the inbox. */
static enum wire_drop take_frame(struct receiver *receiver, struct arrival *arrival,
                                 struct wire_cursor *cursor)
{
    const struct wire_cursor before = *cursor;
    struct inbox_item scratch_item;
    struct arena arena;
    struct inbox_item *item =
        inbox_reserve(receiver->inbox, receiver->kind,
                      wire_arena_size((size_t)(cursor->end - cursor->at)), &arena);
    const bool scratch = item == NULL;
    if (scratch) {
        item = &scratch_item;
        arena_reset(&receiver->scratch);
        arena = receiver->scratch;
    }
    enum wire_drop drop = wire_next(cursor, &arena, &item->message);
    if (drop != WIRE_OK) {
        return drop;
    }
    if (item->message.type == MESSAGE_PART && arrival->verified) {
        struct message part;
        *cursor = before;
        arena_reset(&receiver->scratch);
        drop = wire_next(cursor, &receiver->scratch, &part);
        INVARIANT(drop == WIRE_OK); /* it was, a moment ago */
        count(&receiver->counters.wire[WIRE_OK]);
        on_part(receiver, arrival, &part);
        return WIRE_OK;
    }
    on_message(receiver, arrival, item, scratch, &arena);
    return WIRE_OK;
}

/* M3: is this datagram from whom it says? */
static bool admit(struct receiver *receiver, struct arrival *arrival,
                  const struct wire_header *header)
{
    const struct net_address *address = &arrival->datagram->address;
    if (receiver->kind == LANE_CLIENTS) {
        arrival->verified =
            header->token != 0 && header->token == wire_token(receiver->token_secret, address);
        return true; /* a StatusRequest needs no token, and anything else gets one */
    }
    const uint32_t index = configuration_index(&receiver->configuration, header->sender);
    arrival->verified = index != REPLICAS_MAX && index != receiver->self &&
                        net_address_equal(address, &receiver->peer_addresses[index]);
    if (!arrival->verified) {
        count(&receiver->counters.not_member);
    }
    return arrival->verified;
}

/* No cluster id, at the peers' door: a client that was given the wrong port, and so is no alarm. */
static void show_clients_port(struct receiver *receiver, struct arrival *arrival,
                              const struct wire_header *header)
{
    count(&receiver->counters.wrong_socket);
    refuse(receiver, arrival, header,
           &(struct refused){.reason = REFUSED_PEERS_PORT,
                             .own = receiver->configuration.members[receiver->self].port});
}

static void on_datagram(struct receiver *receiver, const struct datagram *datagram, uint64_t now_ns)
{
    struct arrival arrival = {.datagram = datagram, .now_ns = now_ns, .limit = datagram->size};
    struct wire_header header;
    struct wire_cursor cursor;
    const uint64_t own_cluster = receiver->configuration.cluster_id;
    const enum wire_drop opened =
        wire_open(datagram->bytes, datagram->size, &datagram->address, &header, &cursor);
    if (opened != WIRE_OK) {
        count(&receiver->counters.wire[opened]);
        if (opened == WIRE_DROP_VERSION) {
            refuse(receiver, &arrival, &header,
                   &(struct refused){
                       .reason = REFUSED_VERSION, .own = WIRE_VERSION, .yours = header.version});
        }
        return;
    }
    const bool stranger = header.cluster_id == 0;
    if (stranger && receiver->kind == LANE_PEERS) {
        show_clients_port(receiver, &arrival, &header);
        return;
    }
    if (header.cluster_id != own_cluster && !stranger) {
        count(&receiver->counters.wire[WIRE_DROP_CLUSTER]);
        say_foreign_cluster(receiver, &arrival, header.cluster_id);
        refuse(receiver, &arrival, &header,
               &(struct refused){
                   .reason = REFUSED_CLUSTER, .own = own_cluster, .yours = header.cluster_id});
        return;
    }
    if (!admit(receiver, &arrival, &header)) {
        return;
    }
    enum wire_drop drop = WIRE_OK;
    while (drop != WIRE_END) {
        drop = take_frame(receiver, &arrival, &cursor);
        if (drop != WIRE_OK && drop != WIRE_END) {
            count(&receiver->counters.wire[drop]);
        }
    }
}

/* The thread. */

static void ask(void *context, const struct net_address *address, const struct message *message)
{
    struct receiver *receiver = context;
    outbox_send(&receiver->outbox, address, message, clock_monotonic_ns());
}

static uint64_t deadline(const struct receiver *receiver)
{
    const uint64_t parts_ns = wire_reassembler_deadline(receiver->reassembler);
    const uint64_t sender_ns = wire_sender_deadline(receiver->outbox.sender);
    return parts_ns < sender_ns ? parts_ns : sender_ns;
}

static void tick(struct receiver *receiver, uint64_t now_ns)
{
    struct wire_reassembler_counters whole;
    wire_reassembler_tick(receiver->reassembler, now_ns, ask, receiver);
    wire_sender_tick(receiver->outbox.sender, now_ns);
    wire_reassembler_counters(receiver->reassembler, &whole);
    atomic_store_explicit(&receiver->counters.parts_whole, whole.whole, memory_order_relaxed);
    atomic_store_explicit(&receiver->counters.parts_asked, whole.asked, memory_order_relaxed);
    atomic_store_explicit(&receiver->counters.parts_given_up, whole.given_up, memory_order_relaxed);
    atomic_store_explicit(&receiver->counters.parts_evicted, whole.evicted, memory_order_relaxed);
}

static void receive(struct receiver *receiver, uint64_t timeout_ns)
{
    const size_t arrived = datagram_receive(receiver->sock, &receiver->receiver, timeout_ns);
    if (arrived == 0) {
        return;
    }
    const uint64_t now_ns = clock_monotonic_ns();
    for (size_t i = 0; i < arrived; i++) {
        on_datagram(receiver, &receiver->receiver.items[i], now_ns);
    }
    inbox_publish(receiver->inbox, receiver->kind);
    atomic_fetch_add(&receiver->batches, 1);
    core_run(receiver->core, CORE_RECEIVER);
}

static void *run(void *argument)
{
    struct receiver *receiver = argument;
    uint64_t timeout_ns = UINT64_MAX; /* the socket's own */
    while (!atomic_load(&receiver->stopping)) {
        receive(receiver, timeout_ns);
        if (receiver->backup != NULL) {
            backup_source_tick(receiver->backup, clock_monotonic_ns());
        }
        uint64_t deadline_ns = deadline(receiver);
        timeout_ns = UINT64_MAX;
        if (deadline_ns != UINT64_MAX) {
            const uint64_t now_ns = clock_monotonic_ns();
            if (deadline_ns <= now_ns) {
                tick(receiver, now_ns);
                deadline_ns = deadline(receiver);
            }
            timeout_ns = deadline_ns > now_ns ? deadline_ns - now_ns : 0;
        }
        outbox_flush(&receiver->outbox);
    }
    return NULL;
}

/* Everybody else. */

int receiver_init(struct receiver *receiver, const struct outbox_identity *identity,
                  uint32_t datagram_size)
{
    struct wire_reassembler_options options;
    wire_reassembler_options_default(&options);
    receiver->reassembler_size = wire_reassembler_memory_size(&options);
    const size_t scratch_size = wire_arena_size(DATAGRAM_SIZE_MAX);
    int error =
        outbox_init(&receiver->outbox, receiver->sock, OUTBOX_RECEIVER, identity, datagram_size);
    if (error != 0) {
        return error;
    }
    error = datagram_receiver_init(&receiver->receiver);
    if (error != 0) {
        goto destroy_outbox;
    }
    receiver->reassembler_memory = memory_reserve(receiver->reassembler_size);
    void *scratch = memory_reserve(scratch_size);
    if (receiver->reassembler_memory == NULL || scratch == NULL) {
        memory_release(scratch, scratch_size);
        memory_release(receiver->reassembler_memory, receiver->reassembler_size);
        error = -ENOMEM;
        goto destroy_receiver;
    }
    receiver->reassembler = wire_reassembler_init(receiver->reassembler_memory, &options);
    arena_init(&receiver->scratch, scratch, scratch_size);
    return 0;

destroy_receiver:
    datagram_receiver_destroy(&receiver->receiver);
destroy_outbox:
    outbox_destroy(&receiver->outbox);
    return error;
}

void receiver_destroy(struct receiver *receiver)
{
    memory_release(receiver->scratch.memory, receiver->scratch.size);
    memory_release(receiver->reassembler_memory, receiver->reassembler_size);
    datagram_receiver_destroy(&receiver->receiver);
    outbox_destroy(&receiver->outbox);
}

int receiver_start(struct receiver *receiver)
{
    const int error = thread_start(
        &receiver->thread, receiver->kind == LANE_PEERS ? "vr-peers" : "vr-clients", run, receiver);
    receiver->running = error == 0;
    return error;
}

void receiver_stop(struct receiver *receiver)
{
    atomic_store(&receiver->stopping, true);
    if (receiver->running) {
        datagram_wake(receiver->sock);
    }
}

void receiver_join(struct receiver *receiver)
{
    if (receiver->running) {
        thread_join(receiver->thread);
        receiver->running = false;
    }
}

uint64_t receiver_batches(struct receiver *receiver)
{
    return atomic_load(&receiver->batches);
}

bool receiver_behind(const struct receiver *receiver)
{
    return datagram_waiting(receiver->sock);
}
