/* SPDX-License-Identifier: Apache-2.0 */
/* trace_event.h - what a replica remembers of one message it sent or stepped, or of one change of
 * its own state, for people who want to see the protocol at work (M8).
 *
 * An event is small and of one size, says who, what and when, and holds no payload.
 *
 * Threads: plain data; the functions are pure. */
#ifndef VR_BASE_TRACE_EVENT_H
#define VR_BASE_TRACE_EVENT_H

#include "common/base/message.h"

enum trace_kind {
    TRACE_RECEIVED = 1, /* a message was stepped; `verdict` says what came of it */
    TRACE_SENT = 2,     /* a message was handed to the socket */
    TRACE_STATE = 3,    /* the replica itself changed: `type` is an enum trace_state */
};

/* The numbers travel: never reused. */
enum trace_state {
    TRACE_STARTED = 1,       /* detail: the incarnation */
    TRACE_VIEW_CHANGE = 2,   /* entered status view_change, for view_number */
    TRACE_PRIMARY = 3,       /* primary of view_number */
    TRACE_BACKUP = 4,        /* normal in view_number, as a backup */
    TRACE_RECOVERING = 5,    /* waits for a primary to get its log from (D6) */
    TRACE_SUSPECTS = 6,      /* V1; extra: enum trace_suspicion; after a silence detail is its
                                nanoseconds, 0 unknown */
    TRACE_HEARS = 7,         /* suspects no more, in the same view */
    TRACE_COMMITTED = 8,     /* first_op..last_op are committed, as far as this replica knows */
    TRACE_EXECUTED = 9,      /* first_op..last_op are executed here */
    TRACE_SYNC_BEGAN = 10,   /* gets first_op..last_op from others (section 3) */
    TRACE_SYNC_ENDED = 11,   /* has them, or gave that up; last_op: its head */
    TRACE_DIVERGED = 12,     /* left service (N7) */
    TRACE_STOPPED = 13,      /* a clean stop */
    TRACE_NO_QUORUM = 14,    /* a primary that hears from no quorum falls silent (V1) */
    TRACE_HEARS_QUORUM = 15, /* and speaks again, in the same view */
    TRACE_DURABLE = 16, /* the state file was written (S1, S4); extra: enum trace_durable; detail:
                           nanoseconds that it took, until the core heard of it */
    TRACE_STATE_MAX = 16,
};

/* Why a replica votes for the next view (V1). The numbers travel: never reused. */
enum trace_suspicion {
    SUSPICION_SILENCE = 0,
    SUSPICION_NO_QUORUM = 1, /* the primary itself does, as it hears from no quorum */
    SUSPICION_GOODBYE = 2,   /* the primary said that it stops */
};

/* What is on disk now that was not before. The numbers travel: never reused. */
enum trace_durable {
    DURABLE_REST = 0,        /* whom it has met (D10), above all */
    DURABLE_PROMISE = 1,     /* view_number: nothing is said in earlier views any more */
    DURABLE_NORMAL_VIEW = 2, /* view_number is the last normal one */
};

/* What came of a message that was received. The numbers travel: never reused. */
enum trace_verdict {
    VERDICT_ACCEPTED = 0,
    VERDICT_GAP = 1,        /* a Prepare, kept until what lies before it has come (N4) */
    VERDICT_ANSWERED = 2,   /* a Request that was executed already: its Reply goes out again (N2) */
    VERDICT_REDIRECTED = 3, /* a Request, answered with NotPrimary */
    VERDICT_BUSY = 4,       /* a Request, answered with Busy */
    VERDICT_REFUSED = 5,    /* a Request, answered with a Reply that says why */
    /* Dropped, by the core's reasons (server/vr/vr.h). */
    VERDICT_INVALID = 10,
    VERDICT_NOT_MEMBER = 11,
    VERDICT_CONFIGURATION = 12,
    VERDICT_IDENTITY = 13,
    VERDICT_INCARNATION = 14,
    VERDICT_STATUS = 15,
    VERDICT_OLD_VIEW = 16,
    VERDICT_NEWER_VIEW = 17,
    VERDICT_EPOCH = 18,
    VERDICT_NOT_PRIMARY = 19,
    VERDICT_NOT_FROM_PRIMARY = 20,
    VERDICT_DUPLICATE = 21,
    VERDICT_CHECKSUM = 22,
    VERDICT_UNKNOWN_OP = 23,
    VERDICT_NONCE = 24,
    VERDICT_STASH_FULL = 25,
    VERDICT_LOG_FULL = 26,
    VERDICT_RATE = 27,
    VERDICT_OLD_REQUEST = 28,
    VERDICT_STOPPED = 29,
    VERDICT_MAX = 29,
};

/* "accepted", "duplicate", "old view", ...; NULL: there is no such verdict. */
const char *trace_verdict_name(enum trace_verdict verdict);

/* "view change", "primary", ...; NULL: there is no such state. */
const char *trace_state_name(enum trace_state state);

/* One line of the cache, and at the same time the byte form: little-endian, as it lies here. What a
 * message between replicas has and one to or from a client has not shares its place with the
 * client's (trace_event_is_client() tells). */
struct trace_event {
    uint64_t time_ns;     /* the replica's monotonic clock; no two of one thread have the same */
    uint64_t view_number; /* 0: the message has none */
    uint64_t first_op;    /* the first of the ops that it is about, 0 none; of a log its head */
    union {
        uint64_t commit_number;
        uint64_t request_number; /* client */
    };
    union {
        uint64_t detail; /* Prepare, PrepareOk, Commit: the round; log sync, Recovery: the nonce;
                            DoViewChange, StartView: last_normal_view; a state: see there */
        uint64_t client_id_low; /* client */
    };
    uint64_t session; /* client; else 0 */
    union {
        uint32_t op_count;  /* from first_op on */
        uint32_t client_ip; /* client: the last four bytes of its address, all of an IPv4 one */
    };
    uint32_t payload_size; /* bytes of operation, result or entries */
    uint8_t kind;          /* enum trace_kind */
    uint8_t type;          /* enum message_type, or enum trace_state */
    uint8_t verdict;       /* enum trace_verdict, of what was received */
    uint8_t extra;         /* NotPrimary: enum vr_status; Busy: enum busy_reason; Reply: enum
                              reply_status; Refused: enum refused_reason; Request: enum entry_kind;
                              a state: see there */
    union {
        uint16_t peers;       /* bit i: to or from member i; 0 in a state */
        uint16_t client_port; /* client */
    };
    uint8_t repeated; /* 1: says what the same sender has said before, idle heartbeats above all */
    uint8_t client_ipv6; /* client: 1 if client_ip is the end of an IPv6 address; else 0 */
};

enum { TRACE_EVENT_SIZE = 64 };
_Static_assert(sizeof(struct trace_event) == TRACE_EVENT_SIZE, "no padding: it is the byte form");
_Static_assert(TRACE_EVENTS_MAX *TRACE_EVENT_SIZE <= TRACE_REPORT_EVENTS_SIZE_MAX,
               "a full page fits in a TraceReport");
_Static_assert(REPLICAS_MAX <= 16, "sets of peers are 16-bit masks");

/* A request, or an answer to one. */
bool trace_event_is_client(const struct trace_event *event);

/* The last op that it is about; 0: none. */
uint64_t trace_event_last_op(const struct trace_event *event);

/* Fills in what an event says of the message itself; the rest is the caller's. */
void trace_event_of_message(const struct message *message, struct trace_event *event);

/* What is kept together, so that much of one kind does not push out the little of another. */
enum trace_lane {
    TRACE_LANE_OPERATIONS = 0, /* requests, their way through the group, log sync */
    TRACE_LANE_CHANGES = 1,    /* view changes, recovery, status */
    TRACE_LANE_REPEATS = 2,    /* what says nothing new */
    TRACE_LANE_COUNT = 3,
};
enum trace_lane trace_event_lane(const struct trace_event *event);

/* Reads TRACE_EVENT_SIZE bytes. False if a field is out of its range. */
bool trace_event_decode(const uint8_t *bytes, struct trace_event *event);

#endif
