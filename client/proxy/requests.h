/* SPDX-License-Identifier: Apache-2.0 */
/* requests.h - the proxy's own state, and the steps of a request that its files share.
 *
 * A session in flight is on one list: LIST_SEND until proxy_next_output() sent it, LIST_WAITING
 * until an answer or its timer, LIST_PARKED while another session probes a silent group,
 * LIST_HELD while it is not known whether all seeds lead to one group (seeds.h). Answers to
 * any session tell all of them whether the group answers, and who is primary. */
#ifndef VR_PROXY_REQUESTS_H
#define VR_PROXY_REQUESTS_H

#include "client/proxy/group.h"
#include "client/proxy/proxy.h"
#include "client/proxy/seeds.h"
#include "client/proxy/session.h"
#include "common/base/invariant.h"

enum {
    NS_PER_MS = 1000 * 1000,
    RTT_WEIGHT = 8,            /* a new sample counts an eighth */
    RETRY_RTTS = 4,            /* C5 */
    RETRY_LATE_FACTOR = 5,     /* after the first second retries may be this much rarer */
    RETRY_JITTER_DIVISOR = 4,  /* a wait is shortened by up to a quarter */
    TRANSFER_NS_PER_BYTE = 64, /* what an operation's size adds to a wait: 16 MB/s */
    STATUS_PADDING = 1024,     /* M7: what a stranger may be answered with; one datagram */
};
#define FIRST_SECOND_NS (UINT64_C(1000) * NS_PER_MS)

/* Answers to all sessions share what is learned of the group; sessions share one probe. */
struct proxy {
    struct proxy_options options;
    struct prng prng;
    struct group group;
    struct session_table table;
    struct seed_check seeds;
    uint32_t in_flight_count; /* sessions registering, requesting or reading */
    uint64_t log_reads_view;  /* R1: the primary of this view wants reads through the log */

    /* C5: while the group is silent one session probes it; SESSION_NONE: it is not silent. */
    uint32_t probe;
    uint64_t last_answer_ns; /* last Reply, Busy or later view; valid if `answered` */
    bool answered;

    /* StatusRequests (M7). */
    uint64_t status_nonce;
    uint32_t status_mask; /* bit i: still to be sent to target i */
    uint64_t status_due_ns;
    uint64_t status_interval_ns;
};

static inline struct session *session_at(struct proxy *proxy, uint32_t index)
{
    INVARIANT(index < proxy->table.capacity);
    return &proxy->table.sessions[index];
}

static inline uint32_t index_of(const struct proxy *proxy, const struct session *session)
{
    return (uint32_t)(session - proxy->table.sessions);
}

static inline bool in_flight(const struct session *session)
{
    return session->state == SESSION_REGISTERING || session->state == SESSION_REQUESTING ||
           session->state == SESSION_READING;
}

/* R4: any replica answers it, whatever the group is at; what it is answered says nothing of that.
 */
static inline bool is_stale_read(const struct session *session)
{
    return session->read_mode == READ_STALE;
}

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static inline uint64_t add_saturating(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

/* ---- C5: how long to wait ---- */

/* Before the first resend; and before the next one of a request that is age_ns old. */
uint64_t request_first_interval(const struct proxy *proxy);
uint64_t request_next_interval(const struct proxy *proxy, uint64_t interval_ns, uint64_t age_ns);

/* A wait, shortened at random. */
uint64_t request_jittered(struct proxy *proxy, uint64_t interval_ns);

/* The request of this session was answered now. */
void request_measure_rtt(struct proxy *proxy, const struct session *session, uint64_t now_ns);

/* Wakes the session at retry_ns or at its deadline. */
void request_set_timer(struct proxy *proxy, struct session *session, uint64_t retry_ns);

/* ---- sending ---- */

/* The primary, or everybody while it is not known; as a set of targets. */
uint32_t request_first_choice(const struct proxy *proxy);

/* Sends what the session has in flight to these targets, then waits for interval_ns. */
void request_send(struct proxy *proxy, struct session *session, uint32_t mask, uint64_t now_ns);

/* Begins anew: to the first choice, with the shortest wait. */
void request_send_first(struct proxy *proxy, struct session *session, uint64_t now_ns);

/* ---- the steps of a request ---- */

/* Registers if need be, else sends the operation (C1); or parks while another session probes, or
 * holds the operation while the seeds are checked (M7). */
void request_begin(struct proxy *proxy, struct session *session, uint64_t now_ns);

/* Its wait is over. */
void request_retry(struct proxy *proxy, struct session *session, uint64_t now_ns);

/* The group answered somebody: whoever is parked goes on at once. */
void request_group_answers(struct proxy *proxy, uint64_t now_ns);

void request_complete(struct proxy *proxy, struct session *session, enum proxy_outcome outcome,
                      enum proxy_error error);

/* Completes with what is known without an answer; another session probes on if this one did. */
void request_give_up(struct proxy *proxy, struct session *session, enum proxy_error error,
                     uint64_t now_ns);
void request_give_up_all(struct proxy *proxy, enum proxy_error error);

/* What a request fails of once the view holds a refusal that ends requests. */
enum proxy_error request_refusal_error(const struct proxy_view *view);
enum proxy_outcome request_outcome_unanswered(const struct session *session);

/* ---- StatusRequests ---- */

void proxy_ask_status_if_wanted(struct proxy *proxy, uint64_t now_ns);

#endif
