/* SPDX-License-Identifier: Apache-2.0 */
/* datagram_socket.h - one UDP socket, many datagrams a system call.
 *
 * Receiving blocks, but for at most the socket's timeout, so that a thread that only receives can
 * be told to stop (TH-2). Sending never blocks. Errors of the network are losses: counted, never
 * reported, never a reason to stop (M3; UDP-4).
 *
 * Threads:   one thread receives with one datagram_receiver; any number may send at the same time.
 *            Closing is for whoever has joined them all.
 * Memory:    a receiver allocates its buffers once; sending allocates nothing. */
#ifndef VR_OS_DATAGRAM_SOCKET_H
#define VR_OS_DATAGRAM_SOCKET_H

#include <stdatomic.h>
#include <sys/socket.h>

#include "common/base/limits.h"
#include "common/base/types.h"

enum {
    DATAGRAM_BATCH_MAX = 64,  /* datagrams of one system call */
    LOCAL_ADDRESSES_MAX = 64, /* own addresses that a wildcard socket answers from (UDP-11) */
    SOCKET_BUFFER_SIZE = 8 * 1024 * 1024, /* asked of the kernel, each way; it may give less */
};

/* Rising counters, read by anyone. */
struct datagram_counters {
    atomic_uint_least64_t received;
    atomic_uint_least64_t received_bytes;
    atomic_uint_least64_t receive_calls;
    atomic_uint_least64_t receive_errors; /* ICMP and the like, reported on a receive (UDP-4) */
    atomic_uint_least64_t truncated;      /* longer than the buffer (UDP-3) */
    atomic_uint_least64_t overflowed;     /* dropped by the kernel: our buffer was full (UDP-5) */
    atomic_uint_least64_t sent;
    atomic_uint_least64_t sent_bytes;
    atomic_uint_least64_t send_calls;
    atomic_uint_least64_t send_full;        /* EAGAIN, ENOBUFS: no room to send */
    atomic_uint_least64_t send_unreachable; /* refused, no route, forbidden by a firewall */
    atomic_uint_least64_t send_too_large;   /* EMSGSIZE: our datagram size is wrong for the route */
    atomic_uint_least64_t send_failed;      /* anything else */
};

struct datagram_socket {
    int fd;
    sa_family_t family;
    uint32_t receive_timeout_ms;
    bool wildcard;            /* bound to any address: answers leave from where they came to */
    struct net_address bound; /* with the port that the kernel chose, if it was 0 */
    atomic_uint local_count;  /* entries of `locals` that may be read */
    uint8_t locals[LOCAL_ADDRESSES_MAX][16]; /* written by the receiving thread only */
    struct datagram_counters counters;
};

/* Binds. A port of 0 lets the kernel choose. receive_timeout_ms > 0. Returns 0 or a negative errno,
 * with nothing to close. */
int datagram_socket_open(struct datagram_socket *sock, const struct net_address *address,
                         uint32_t receive_timeout_ms);

/* Only datagrams from `address` arrive from now on, and that nobody listens there is learned from a
 * receive: it fails at once and counts in receive_errors. For probing; replicas and clients do
 * without. Returns 0 or a negative errno. */
int datagram_socket_connect(struct datagram_socket *sock, const struct net_address *address);
void datagram_socket_close(struct datagram_socket *sock);

/* One datagram that arrived: borrows from its receiver until the next receive. */
struct datagram {
    struct net_address address; /* who sent it; `local` says which own address it came to */
    uint8_t *bytes;
    size_t size; /* 0 is legal (UDP-3) */
};

/* One datagram to send. */
struct datagram_out {
    struct net_address address; /* `local`: which own address it leaves from; 0 any */
    const uint8_t *bytes;
    size_t size;
};

struct datagram_receiver {
    uint8_t *buffers; /* DATAGRAM_BATCH_MAX * DATAGRAM_SIZE_MAX, touched only as it fills */
    struct receive_state *state;
    size_t count;
    struct datagram items[DATAGRAM_BATCH_MAX]; /* what the last receive brought: `count` of them */
};

/* Returns 0 or a negative errno. */
int datagram_receiver_init(struct datagram_receiver *receiver);
void datagram_receiver_destroy(struct datagram_receiver *receiver);

/* Waits for the first datagram - at most timeout_ns, and at most the socket's own timeout - takes
 * what else is there, and fills in receiver->items. Returns their number: 0 after the timeout or an
 * error. */
size_t datagram_receive(struct datagram_socket *sock, struct datagram_receiver *receiver,
                        uint64_t timeout_ns);

/* True if a receive would not have to wait. */
bool datagram_waiting(const struct datagram_socket *sock);

/* Ends a receive that another thread waits in, by an empty datagram to the socket itself; loss is
 * possible, and then the timeout ends it. */
void datagram_wake(struct datagram_socket *sock);

/* Sends, in order, what the kernel takes; the rest is lost and counted. */
void datagram_send(struct datagram_socket *sock, const struct datagram_out *items, size_t count);

#endif
