/* SPDX-License-Identifier: Apache-2.0 */
/* sender.h - messages out: coalesced by destination (M1), split where too large (M6).
 *
 *     wire_send(), wire_send() ...   collect messages in one open datagram per destination
 *     wire_flush()                   hands them all to emit(), in the order they were opened
 *
 * Out of buffers, a sender flushes by itself. A datagram is closed, and another one opened, when
 * the next message does not fit; messages to one destination stay in order, split ones apart.
 *
 * A message too large for a datagram is encoded once, kept, and leaves in Part frames as fast as
 * the pace allows: at once, the rest from wire_sender_tick(). Who lacks some says PartsMissing and
 * gets those again. The oldest kept message makes room for the newest; with it goes the chance to
 * repair it, and what was not sent of it yet: loss, counted.
 *
 * Ids of split messages count up from 1 and carry the sender's number, so that who has several
 * senders on one socket can tell whose PartsMissing it is. Nothing is random.
 *
 * Threads:   one caller at a time; emit() is called inside the calls below.
 * Ownership: messages are copied on the way in; datagrams are borrowed for the call of emit().
 * Memory:    what wire_sender_memory_size() says, given at init. */
#ifndef VR_WIRE_SENDER_H
#define VR_WIRE_SENDER_H

#include "common/wire/wire.h"

enum {
    WIRE_SENDER_NUMBER_MAX = 255,
    WIRE_DESTINATIONS_MAX = REPLICAS_MAX, /* of one wire_send_many() */
};

struct wire_datagram {
    struct net_address address;
    const uint8_t *bytes;
    size_t size;
};

/* Sends all of them (sendmmsg); what the socket refuses is lost. */
typedef void wire_emit(void *context, const struct wire_datagram *datagrams, size_t count);

struct wire_destination {
    struct net_address address;
    uint64_t token;  /* goes into the header; of several in one datagram the last that is not 0 */
    uint32_t budget; /* bytes of a datagram to this address; 0: options.datagram_size (M2) */
    uint32_t padded_size; /* the datagram is padded to at least this, up to its budget; 0: not.
                             DATAGRAM_SIZE_MIN from a client that has no token (M3) */
};

struct wire_sender_options {
    /* The header (wire.h). */
    uint64_t cluster_id;
    uint32_t sender;
    uint64_t incarnation;
    uint64_t identity;
    uint64_t configuration_hash;

    uint32_t number;            /* <= WIRE_SENDER_NUMBER_MAX; differs among senders of one socket */
    uint32_t datagram_size;     /* budget where a destination names none; >= DATAGRAM_SIZE_MIN */
    uint32_t datagram_size_max; /* largest budget a destination may name; >= datagram_size */
    uint32_t buffer_count;      /* datagrams that are collected before they are emitted; >= 1 */

    uint32_t kept_count_max;    /* split messages kept for PartsMissing */
    size_t kept_size;           /* bytes for them; below MESSAGE_SIZE_MAX and a little, the largest
                                   messages cannot be sent (counted) */
    uint32_t pace_bytes_per_ms; /* of split messages */
    uint32_t pace_burst;        /* bytes that may leave at once after a pause */

    wire_emit *emit;
    void *emit_context;
};

/* All but the header's fields, number, emit and emit_context. */
void wire_sender_options_default(struct wire_sender_options *options);

struct wire_sender;

size_t wire_sender_memory_size(const struct wire_sender_options *options);

/* `memory` is aligned as malloc aligns and need not be touched before. Options are asserted. */
struct wire_sender *wire_sender_init(void *memory, const struct wire_sender_options *options);

/* A client learns its cluster (M7); open datagrams are flushed first. */
void wire_sender_set_cluster(struct wire_sender *sender, uint64_t cluster_id);

/* Of *message only type and its struct are read; it is one that message_validate() passes. The
 * message may be lost, now or later. `now_ns` is monotonic. */
void wire_send(struct wire_sender *sender, const struct wire_destination *destination,
               const struct message *message, uint64_t now_ns);

/* The same to each of up to WIRE_DESTINATIONS_MAX destinations, encoded once. */
void wire_send_many(struct wire_sender *sender, const struct wire_destination *destinations,
                    size_t count, const struct message *message, uint64_t now_ns);

/* Emits every open datagram. */
void wire_flush(struct wire_sender *sender);

/* A valid PartsMissing came from message->address. Sends those parts again, as the pace allows, if
 * the message is still kept and was meant for that address; else changes nothing. */
void wire_sender_parts_missing(struct wire_sender *sender, const struct message *message,
                               uint64_t now_ns);

/* Which sender split the message with this id. */
uint32_t wire_part_sender_number(uint64_t id);

/* Sends parts that waited for the pace; then flush. */
void wire_sender_tick(struct wire_sender *sender, uint64_t now_ns);

/* When a tick has something to send; UINT64_MAX: nothing waits. */
uint64_t wire_sender_deadline(const struct wire_sender *sender);

struct wire_sender_counters {
    uint64_t messages; /* by destination */
    uint64_t datagrams;
    uint64_t bytes;
    uint64_t split;        /* messages that went in parts */
    uint64_t parts;        /* Part frames sent, repeated ones included */
    uint64_t parts_asked;  /* parts that somebody lacked */
    uint64_t kept_evicted; /* kept messages dropped with parts of them still to be sent */
    uint64_t too_large;    /* messages not sent: they do not fit into kept_size */
};
void wire_sender_counters(const struct wire_sender *sender, struct wire_sender_counters *out);

#endif
