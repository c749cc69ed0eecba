/* SPDX-License-Identifier: Apache-2.0 */
/* channel.h - a client's socket with everything between datagrams and messages: coalescing,
 * splitting, reassembly, counting what is dropped.
 *
 *     channel_receive()   waits for datagrams; needs no lock, one thread at a time
 *     channel_dispatch()  hands the messages in them to the handler
 *     channel_send() ...  collect; channel_flush() sends them, few datagrams, few system calls
 *
 * Threads: all but channel_receive() by one caller at a time; channel_receive() may overlap with
 *          sending, not with dispatching. */
#ifndef VR_CLIENT_CHANNEL_H
#define VR_CLIENT_CHANNEL_H

#include "common/os/datagram_socket.h"
#include "common/wire/reassembler.h"
#include "common/wire/sender.h"
#include "common/wire/wire.h"

enum { CHANNEL_WAIT_MS = 5 }; /* channel_receive() returns at least this often */

struct channel_handler {
    void *context;

    /* A datagram came from this address and cluster; false: it is not to be used. */
    bool (*heard_cluster)(void *context, const struct net_address *address, uint64_t cluster_id);

    /* A valid message, borrowed for the call. Datagrams of another protocol version, which cannot
     * be read, come as Refused. */
    void (*message)(void *context, const struct message *message, uint64_t now_ns);

    /* M3: the token to echo to this address; 0: none. */
    uint64_t (*token)(void *context, const struct net_address *address);
};

struct channel {
    struct channel_handler handler;
    struct datagram_socket socket;
    struct datagram_receiver receiver;
    struct wire_sender *sender;
    size_t sender_size;
    struct wire_reassembler *reassembler;
    size_t reassembler_size;
    struct arena arena;
    uint32_t datagram_size;            /* M2: bytes; 0: what the route to each address carries */
    uint64_t cluster_id;               /* put into headers; 0: not known yet (M7) */
    uint64_t now_ns;                   /* of the dispatch under way */
    uint64_t dropped[WIRE_DROP_COUNT]; /* datagrams, frames and parts, by reason */
};

/* Binds a socket from which all of these addresses can be reached. datagram_size is 0 (what the
 * route carries) or between DATAGRAM_SIZE_MIN and DATAGRAM_SIZE_LOOPBACK. Returns 0 or a negative
 * errno, with nothing to close. */
int channel_open(struct channel *channel, const struct channel_handler *handler,
                 const struct net_address *peers, size_t peer_count, uint32_t datagram_size);
void channel_close(struct channel *channel);

/* Waits for datagrams, at most timeout_ns and CHANNEL_WAIT_MS; returns how many came. */
size_t channel_receive(struct channel *channel, uint64_t timeout_ns);

/* Hands over what the last receive brought, and does what is due: asks for parts that are missing,
 * sends parts that waited. */
void channel_dispatch(struct channel *channel, uint64_t now_ns);

void channel_send(struct channel *channel, const struct net_address *address, uint64_t token,
                  const struct message *message, uint64_t now_ns);
void channel_flush(struct channel *channel);

/* When channel_dispatch() has something to do though nothing came; UINT64_MAX: never. */
uint64_t channel_deadline(const struct channel *channel);

/* The cluster is known now (M7). */
void channel_set_cluster(struct channel *channel, uint64_t cluster_id);

#endif
