/* SPDX-License-Identifier: Apache-2.0 */
/* receiver.h - one socket's thread: datagrams in, messages into its lane of the inbox (M5).
 *
 * Everything that arrives is untrusted (M3). What is wrong is counted by reason and dropped. On the
 * peers' socket a datagram must come from a member's configured address; on the clients' socket it
 * must echo the token of its address, else it is answered with a Challenge and goes no further. The
 * receiver itself answers StatusRequests (M7), TraceRequests (M8) and BackupRequests (M9), tells
 * other clusters and versions that they are wrong here, and makes messages in parts whole (M6).
 *
 * Threads: one thread each; the counters may be read by anyone. */
#ifndef VR_RUNTIME_RECEIVER_H
#define VR_RUNTIME_RECEIVER_H

#include <stdatomic.h>

#include "common/os/datagram_socket.h"
#include "common/wire/reassembler.h"
#include "server/runtime/core.h"
#include "server/runtime/outbox.h"

struct status_source;
struct trace_source;
struct backup_source;

enum {
    RECEIVER_REFUSALS_PER_SECOND = 100,
    /* The longest that a receive waits: stopping ends even if its wake-up is lost (TH-2). */
    RECEIVER_STOP_MS = 500,
};

/* Rising counters. */
struct receiver_counters {
    atomic_uint_least64_t wire[WIRE_DROP_COUNT]; /* by reason; WIRE_OK counts messages */
    atomic_uint_least64_t
        not_member; /* peers: the sender is no other member, or not at its address */
    atomic_uint_least64_t wrong_socket;  /* a type that does not belong on this socket */
    atomic_uint_least64_t challenged;    /* clients: no valid token; answered with a Challenge */
    atomic_uint_least64_t lane_full;     /* messages that found no room in the inbox */
    atomic_uint_least64_t answers_short; /* answers kept back: the question was shorter (M3) */
    atomic_uint_least64_t refused;       /* Refused sent */
    atomic_uint_least64_t status_answered;
    atomic_uint_least64_t trace_answered;
    atomic_uint_least64_t trace_refused; /* over TRACE_REPORTS_PER_SECOND: not answered */
    atomic_uint_least64_t backup_chunks; /* sent */
    atomic_uint_least64_t parts_whole;   /* of the reassembler: wire_reassembler_counters */
    atomic_uint_least64_t parts_asked;
    atomic_uint_least64_t parts_given_up;
    atomic_uint_least64_t parts_evicted;
};

struct receiver {
    /* Filled in by the server before receiver_init(). */
    enum lane_kind kind;
    struct datagram_socket *sock;
    struct core *core;
    struct inbox *inbox;
    struct execution *execution; /* whose replies a client may lack parts of */
    struct configuration configuration;
    uint32_t self;
    struct net_address peer_addresses[REPLICAS_MAX];
    uint8_t token_secret[WIRE_TOKEN_SECRET_SIZE];
    struct status_source *status;
    bool insecure; /* whoever has proven an address may change log levels, not only this machine */
    struct trace_source *trace;
    struct backup_source *backup; /* clients only */
    struct health *health;

    struct outbox outbox; /* this socket, number OUTBOX_RECEIVER */
    struct datagram_receiver receiver;
    struct wire_reassembler *reassembler;
    void *reassembler_memory;
    size_t reassembler_size;
    struct arena scratch;     /* what is not kept: parts, and messages that find no room */
    uint64_t refusals_second; /* bounded rate of Refused */
    uint32_t refusals_in_second;
    bool foreign_cluster_said;
    uint64_t trace_full_ns; /* when TRACE_REPORTS_PER_SECOND of them may be sent at once again */
    atomic_uint_least64_t batches; /* receives that brought something, stepped or handed over */
    atomic_bool stopping;
    bool running;
    pthread_t thread;
    struct receiver_counters counters;
};

/* Takes memory. Returns 0 or a negative errno, with nothing to undo. */
int receiver_init(struct receiver *receiver, const struct outbox_identity *identity,
                  uint32_t datagram_size);
void receiver_destroy(struct receiver *receiver);

int receiver_start(struct receiver *receiver);

/* Asks the thread to end; receiver_join() waits for it, at most RECEIVER_STOP_MS and a little. */
void receiver_stop(struct receiver *receiver);
void receiver_join(struct receiver *receiver);

/* Threads: any. Batches handled so far, and whether more wait in the socket. */
uint64_t receiver_batches(struct receiver *receiver);
bool receiver_behind(const struct receiver *receiver);

#endif
