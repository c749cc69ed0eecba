/* SPDX-License-Identifier: Apache-2.0 */
/* proxy.h - the client side of VR (VRR section 4.1; rules C1-C6): sessions, request numbers,
 * retries, and who is primary. One proxy serves many sessions over one socket.
 *
 * Pure: bytes, sockets, time and randomness stay outside; the simulator runs it as it is. The
 * driver decodes datagrams and steps the proxy, then takes its outputs until there are none.
 *
 * Threads:   one caller at a time.
 * Ownership: an operation is borrowed from proxy_submit() until its completion is taken; a
 *            completion's result is borrowed until the next call.
 * Memory:    given at init. */
#ifndef VR_PROXY_H
#define VR_PROXY_H

#include "common/base/configuration.h"
#include "common/base/message.h"
#include "common/base/prng.h"

struct proxy;

enum { PROXY_SEEDS_MAX = 32 }; /* addresses that one may be told to look for the group at */

struct proxy_options {
    uint64_t cluster_id; /* 0: adopt the first one that answers, then pin it (M7); operations wait
                            until every seed was heard, or for a short grace */
    uint32_t seed_count;
    struct net_address seeds[PROXY_SEEDS_MAX]; /* where to look first; the configuration in answers
                                                  replaces them */
    uint32_t sessions_max;                     /* sessions this proxy can hold */
    uint64_t random_seed;                      /* for jitter */
    uint64_t retry_first_ns;                   /* C5: default 20 ms */
    uint64_t retry_max_ns; /* C5: default 100 ms within the first second, 500 ms after it */
};

void proxy_options_default(struct proxy_options *options);
size_t proxy_memory_size(const struct proxy_options *options);
struct proxy *proxy_init(void *memory, const struct proxy_options *options);

/* Opens a session by name; it registers through the log with its first request. `client_id` is
 * random and new for every start of a client (C1). Returns its index, or UINT32_MAX if there are
 * sessions_max already, or one of this name. */
uint32_t proxy_open(struct proxy *proxy, struct client_id client_id);

/* True between proxy_open() and proxy_close(). */
bool proxy_is_open(const struct proxy *proxy, uint32_t session);

/* Unregisters, best effort, and frees the index once the outputs are taken. No request may be in
 * flight (asserted). */
void proxy_close(struct proxy *proxy, uint32_t session, uint64_t now_ns);

/* Sends one operation; a session has one in flight (C2; asserted). Completes by deadline_ns at the
 * latest. `is_read`: nothing changes if it is executed, so no answer means "not executed" (C5).
 * While the group is silent and another session probes it, nothing is sent: should the deadline
 * come first, the operation was surely not executed. */
void proxy_submit(struct proxy *proxy, uint32_t session, const uint8_t *operation, size_t size,
                  bool is_read, uint64_t deadline_ns, uint64_t now_ns);

/* A read beside the log (section 5), which takes no place in the log and opens no session there:
 * of the primary, as recent as anything that was answered before it was sent, or of any replica. */
struct proxy_read {
    enum read_mode mode;
    uint64_t min_op; /* what is read shows at least everything up to here */
};

/* As proxy_submit() of a read. One that is too large for this (READ_SIZE_MAX), and one whose
 * primary wants it so (R1), goes through the log after all; a stale one is refused then. */
void proxy_submit_read(struct proxy *proxy, uint32_t session, const uint8_t *operation, size_t size,
                       const struct proxy_read *read, uint64_t deadline_ns, uint64_t now_ns);

/* Gives up the request in flight: completes with the outcome that is then known. */
void proxy_cancel(struct proxy *proxy, uint32_t session, uint64_t now_ns);

/* The header of a datagram from this address named this cluster; false if another one is pinned
 * (two groups answer): the datagram is not to be used, and the refusal in proxy_view() names both.
 * If it is the first word of a seed, the list of addresses is wrong: that ends all requests, those
 * to come as well. Until a configuration is known it ends those in flight, whoever said it. */
bool proxy_heard_cluster(struct proxy *proxy, const struct net_address *address,
                         uint64_t cluster_id);

/* A decoded, validated message from message->address; message->from is the replica. */
void proxy_receive(struct proxy *proxy, const struct message *message, uint64_t now_ns);

/* Retries and deadlines. proxy_deadline() is when to tick next, at the latest; it may be early, and
 * UINT64_MAX means that nothing is waited for. */
void proxy_tick(struct proxy *proxy, uint64_t now_ns);
uint64_t proxy_deadline(const struct proxy *proxy);

/* Asks all replicas once who they are and who is primary (M7). A proxy with requests under way does
 * so by itself, until it knows the configuration. */
void proxy_ask_status(struct proxy *proxy, uint64_t now_ns);

/* Where the members of proxy_view()->configuration are, in its order; an address that could not be
 * found out is unknown. The driver calls this whenever `configuration_count` of the view has
 * changed, as names are resolved outside; until then the seeds are used. */
void proxy_set_member_addresses(struct proxy *proxy, const struct net_address *addresses,
                                uint64_t now_ns);

/* The three outcomes (INTERFACES): done; surely not executed; nobody knows. */
enum proxy_outcome {
    PROXY_OK,      /* executed; `result` is the application's */
    PROXY_FAILED,  /* surely never executed */
    PROXY_UNKNOWN, /* may have been executed, or may yet be */
};

/* Why it is not PROXY_OK. */
enum proxy_error {
    PROXY_ERROR_NONE,
    PROXY_ERROR_TIMEOUT,          /* no answer, or none but NotPrimary, until the deadline */
    PROXY_ERROR_BUSY,             /* the last answer before the deadline was Busy */
    PROXY_ERROR_SESSION_EXPIRED,  /* evicted: a write may have been executed (C4) */
    PROXY_ERROR_PAYLOAD_MISMATCH, /* C3; a bug, or two processes with one client_id (CT-7) */
    PROXY_ERROR_TOO_LARGE,        /* over the cluster's operation_size_max */
    PROXY_ERROR_WRONG_CLUSTER,    /* refused: see proxy_view()'s refusal */
    PROXY_ERROR_WRONG_VERSION,
    PROXY_ERROR_WRONG_PORT, /* the list names a port at which replicas talk to each other */
    PROXY_ERROR_CANCELLED,
    PROXY_ERROR_NOT_A_READ, /* it would have changed something */
};

enum proxy_output_kind {
    PROXY_OUT_SEND, /* encode and send to `address`, with `token` in the header; pad to
                       DATAGRAM_SIZE_MIN while the token is 0 (M3) */
    PROXY_OUT_DONE,
};

struct proxy_output {
    enum proxy_output_kind kind;
    union {
        struct {
            struct net_address address;
            uint64_t token;
            struct message message; /* Request, Read or StatusRequest */
        } send;
        struct {
            uint32_t session;
            enum proxy_outcome outcome;
            enum proxy_error error;
            uint64_t view_number;
            uint64_t op_number;     /* of a read beside the log: of the state that was read */
            uint64_t commit_number; /* R4: of the replica that was read from; else 0 */
            const uint8_t *result;
            size_t result_size;
            uint32_t retries; /* how often it, or its Register, was sent again */
        } done;
    };
};

/* M3: the token to echo to this address, for what a driver sends by itself; 0: none. */
uint64_t proxy_token(const struct proxy *proxy, const struct net_address *address);

/* Takes the next output; false when there is none. */
bool proxy_next_output(struct proxy *proxy, struct proxy_output *output);

/* For prompts and messages: what is known of the group. Valid until the next call. */
struct proxy_view {
    uint64_t cluster_id;                       /* 0: nobody answered yet */
    uint64_t view_number;                      /* latest normal view heard of; VIEW_NONE: none */
    uint32_t primary_id;                       /* its primary, or REPLICA_NONE */
    const struct configuration *configuration; /* NULL until one was received */
    uint32_t configuration_count; /* configurations received; see proxy_set_member_addresses() */
    uint32_t target_count;        /* addresses that are tried now */
    struct {
        struct net_address address;
        uint32_t replica_id;   /* REPLICA_NONE until it answered */
        uint64_t heard_ns;     /* 0: never */
        enum vr_status status; /* as it said in its last NotPrimary or Status; 0: it did not */
    } targets[PROXY_SEEDS_MAX];
    uint64_t silent_since_ns;     /* a session probes since then (C5); 0: the group answers */
    uint64_t rtt_ns;              /* of a request, smoothed; 0: not measured yet */
    enum busy_reason busy_reason; /* of the last Busy; 0 none */
    uint64_t busy_since_ns;       /* nothing but Busy was answered since then; 0: not so */
    struct refused refusal;       /* of the last Refused; reason 0 none */
    struct net_address refused_by;
};
const struct proxy_view *proxy_view(const struct proxy *proxy);

#endif
