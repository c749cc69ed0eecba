/* SPDX-License-Identifier: Apache-2.0 */
/* outbox.h - a wire_sender that sends through a socket: messages in, datagrams out.
 *
 * Several outboxes may share a socket; each has one owner, and its number says whose split message
 * a PartsMissing means.
 *
 * Threads: one caller at a time per outbox; the socket may be shared.
 * Memory:  one region, reserved at init, touched as it fills. */
#ifndef VR_RUNTIME_OUTBOX_H
#define VR_RUNTIME_OUTBOX_H

#include "common/os/datagram_socket.h"
#include "common/wire/sender.h"

/* Senders of the peers' socket and of the clients' socket. */
enum outbox_number {
    OUTBOX_RECEIVER = 0, /* what a receiver says itself: both sockets */
    OUTBOX_CORE = 1,     /* the holder of the core lock: both sockets */
    OUTBOX_EXECUTOR = 2, /* replies: the clients' socket */
};

/* What every datagram of this replica says in its header. */
struct outbox_identity {
    uint64_t cluster_id;
    uint32_t replica_id;
    uint64_t incarnation;
    uint64_t identity;
    uint64_t configuration_hash;
};

struct outbox {
    struct wire_sender *sender;
    struct datagram_socket *sock;
    void *memory;
    size_t memory_size;
    uint32_t datagram_size; /* --datagram-size: for every destination; 0: by route (M2) */
    bool limited;           /* M3: the address has not proven itself, ... */
    size_t limit;           /* ... so it gets at most so many bytes */
    uint64_t over_limit;    /* datagrams that this kept back */
};

/* Returns 0 or -ENOMEM. */
int outbox_init(struct outbox *outbox, struct datagram_socket *sock, enum outbox_number number,
                const struct outbox_identity *identity, uint32_t datagram_size);
void outbox_destroy(struct outbox *outbox);

/* M2: bytes of one datagram to that address. */
uint32_t outbox_datagram_size(const struct outbox *outbox, const struct net_address *address);

/* Queues a message for one address; outbox_flush() sends it. */
void outbox_send(struct outbox *outbox, const struct net_address *address,
                 const struct message *message, uint64_t now_ns);

/* The same to several. */
void outbox_send_many(struct outbox *outbox, const struct net_address *addresses, size_t count,
                      const struct message *message, uint64_t now_ns);

void outbox_flush(struct outbox *outbox);

/* Sends one message at once, but not a byte more than `limit` (M3). False if it was too long: then
 * nothing of it was sent. Nothing else may be queued. */
bool outbox_answer_within(struct outbox *outbox, const struct net_address *address,
                          const struct message *message, size_t limit, uint64_t now_ns);

#endif
