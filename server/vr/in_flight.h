/* SPDX-License-Identifier: Apache-2.0 */
/* in_flight.h - what an acting primary knows of sessions (N2): the requests that became entries,
 * where to send their replies, and the latest one of each session.
 *
 * A ring of IN_FLIGHT_MAX slots indexed by op_number: every entry above executed_op has one, and
 * the slots of entries executed lately stay until the ring comes round, so that a repeated request
 * can be looked up instead of logged again. Volatile; a filter that saves work. At-most-once rests
 * on the client table alone (C3). */
#ifndef VR_IN_FLIGHT_H
#define VR_IN_FLIGHT_H

#include "common/base/entry.h"

struct in_flight_slot {
    uint64_t op_number; /* 0: free */
    struct client_id client_id;
    uint64_t session;
    uint64_t request_number;
    uint64_t operation_checksum; /* operation_checksum() of the request */
    struct net_address address;  /* unknown where the entry came from an earlier view */
    enum entry_kind kind;
    uint32_t next;  /* in its bucket: slot index + 1, 0 ends */
    bool is_latest; /* linked: the session's latest request of this kind */
    bool looked_up; /* the executor was asked to repeat the answer */
};

struct in_flight {
    uint64_t seed;                   /* of the hash: clients choose keys, not buckets */
    uint32_t buckets[IN_FLIGHT_MAX]; /* slot index + 1, 0 empty */
    struct in_flight_slot slots[IN_FLIGHT_MAX];
};

void in_flight_init(struct in_flight *in_flight, uint64_t seed);

/* Forgets everything: a view ended or begins (N2). */
void in_flight_clear(struct in_flight *in_flight);

/* The latest request of the same kind in the entry's session (of the same client, for a Register),
 * or NULL. Valid until the next call that is not const. */
struct in_flight_slot *in_flight_find(struct in_flight *in_flight, enum entry_kind kind,
                                      struct client_id client_id, uint64_t session);

/* Takes the slot of entry->op_number for a new entry, which becomes its session's latest. */
void in_flight_add(struct in_flight *in_flight, const struct entry *entry,
                   const struct net_address *address);

/* The slot of an op, or NULL if it has been used again or never was. */
const struct in_flight_slot *in_flight_at(const struct in_flight *in_flight, uint64_t op_number);

#endif
