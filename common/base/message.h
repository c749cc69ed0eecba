/* SPDX-License-Identifier: Apache-2.0 */
/* message.h - every message, decoded. Names are the paper's; fields and bounds are
 * proto/vr.proto's.
 *
 * Ownership: pointers in a message are borrowed for the call that gets it; who keeps something
 * copies it. Nothing here is trusted before message_validate() said yes: it checks what one message
 * can tell by itself; what depends on a replica's state is judged by the handlers (server/vr). */
#ifndef VR_BASE_MESSAGE_H
#define VR_BASE_MESSAGE_H

#include "common/base/checkpoint_id.h"
#include "common/base/configuration.h"
#include "common/base/entry.h"
#include "common/base/limits.h"
#include "common/base/types.h"

/* The numbers are frame types on the wire: never reused, never renumbered. */
enum message_type {
    MESSAGE_NONE = 0,
    /* client -> replica */
    MESSAGE_REQUEST = 1,
    MESSAGE_STATUS_REQUEST = 2,
    MESSAGE_TRACE_REQUEST = 3,
    MESSAGE_LOG_LEVEL_REQUEST = 4,
    MESSAGE_BACKUP_REQUEST = 5,
    MESSAGE_RESTORE_STATUS = 6,
    MESSAGE_RESTORE = 7,
    MESSAGE_READ = 9,
    /* replica -> client */
    MESSAGE_RESTORE_REPORT = 8,
    MESSAGE_REPLY = 10,
    MESSAGE_NOT_PRIMARY = 11,
    MESSAGE_BUSY = 12,
    MESSAGE_CHALLENGE = 13,
    MESSAGE_REFUSED = 14, /* also replica -> replica */
    MESSAGE_STATUS = 15,
    MESSAGE_TRACE_REPORT = 16,
    MESSAGE_LOG_LEVEL_REPORT = 17,
    MESSAGE_BACKUP_OFFER = 18,
    MESSAGE_BACKUP_CHUNK = 19,
    /* replica -> replica: normal operation */
    MESSAGE_PREPARE = 20,
    MESSAGE_PREPARE_OK = 21,
    MESSAGE_COMMIT = 22,
    MESSAGE_GOODBYE = 23,
    /* view change */
    MESSAGE_START_VIEW_CHANGE = 30,
    MESSAGE_DO_VIEW_CHANGE = 31,
    MESSAGE_START_VIEW = 32,
    MESSAGE_GET_VIEW = 33,
    /* log sync */
    MESSAGE_CATCHUP_REQUEST = 40,
    MESSAGE_CATCHUP_RESPONSE = 41,
    /* checkpoint transfer */
    MESSAGE_CHECKPOINT_OFFER = 42,
    MESSAGE_CHECKPOINT_REQUEST = 43,
    MESSAGE_CHECKPOINT_CHUNK = 44,
    /* recovery */
    MESSAGE_RECOVERY = 50,
    MESSAGE_RECOVERY_RESPONSE = 51,
    /* transport: never reach a state machine (common/wire) */
    MESSAGE_PART = 60,
    MESSAGE_PARTS_MISSING = 61,
    MESSAGE_TYPE_MAX = 61,
};

const char *message_type_name(enum message_type type);

/* PROTOCOL section 0: all that DoViewChange, StartView and RecoveryResponse say of a log. */
struct log_descriptor {
    uint64_t last_normal_view;
    uint64_t op_number;
    struct checksum head_checksum;   /* at op_number */
    uint64_t commit_number;          /* <= op_number */
    struct checksum commit_checksum; /* at commit_number */
};

/* K4: the digest of the state at a checkpoint; op_number 0: there is none. */
struct checkpoint_mark {
    uint64_t op_number;
    struct checksum digest;
};

/* N1, C1: what a client asks for. */
struct request {
    struct client_id client_id;
    uint64_t session;        /* 0 to register */
    uint64_t request_number; /* 0 to register or unregister */
    enum entry_kind kind;
    uint32_t operation_size; /* <= OPERATION_SIZE_MAX; 0 unless kind is ENTRY_OPERATION */
    const uint8_t *operation;
};

/* R2, R3: the primary answers, with what it learns of being it. R4: anybody does, at once. */
enum read_mode {
    READ_LINEARIZABLE = 1,
    READ_STALE = 2,
};

/* Section 5: a read that takes no place in the log, and knows of no session. Answers to it name it
 * by client_id and nonce, the latter as their request_number; their session is 0. */
struct read {
    struct client_id client_id;
    uint64_t nonce; /* not 0; never used again by this client_id */
    enum read_mode mode;
    uint64_t min_op;         /* the answer shows at least everything up to here */
    uint32_t operation_size; /* 1 to READ_SIZE_MAX */
    const uint8_t *operation;
};

enum reply_status {
    REPLY_OK = 1,
    REPLY_SESSION_EXPIRED = 2,  /* C4: unknown session; not executed */
    REPLY_PAYLOAD_MISMATCH = 3, /* C3: this number was another request's */
    REPLY_SUPERSEDED =
        4, /* a later request of the session was executed; this one's reply is gone */
    REPLY_OPERATION_TOO_LARGE =
        5,                 /* over the cluster's operation_size_max; never entered the log */
    REPLY_READ_BY_LOG = 6, /* R1: reads go through the log here; not executed */
    REPLY_NOT_A_READ = 7,  /* of a Read: the operation changes something; not executed */
};

/* N6. A reply to a Register carries the session in `session`, to anything else it repeats it. */
struct reply {
    uint64_t view_number;
    uint64_t op_number; /* where the request stands in the log; 0 if it never entered it. Of a read
                           beside the log: the state that was read is the one after it */
    uint64_t commit_number; /* R4: of the replica that answers such a read; else 0 */
    struct client_id client_id;
    uint64_t session;
    uint64_t request_number;
    enum reply_status status;
    uint32_t result_size; /* <= RESULT_SIZE_MAX */
    const uint8_t *result;
};

/* N1. Clients are routed by last_normal_view only. */
struct not_primary {
    struct client_id client_id;
    uint64_t session;
    uint64_t request_number;
    uint64_t last_normal_view;
    enum vr_status status;
};

enum busy_reason {
    BUSY_QUEUE_FULL = 1, /* N3: the pipeline and the queue behind it are full */
    BUSY_EXECUTOR = 2,   /* N9: execution trails by EXECUTE_LAG_MAX */
    BUSY_LOG_FULL = 3,   /* the log in memory holds LOG_MEMORY_MAX bytes */
    BUSY_NO_QUORUM = 4,  /* V1: this primary has not heard from enough backups */
    BUSY_BEHIND = 5,     /* R4: this replica has not executed as far as was asked for */
};

const char *busy_reason_name(enum busy_reason reason);

struct busy {
    struct client_id client_id;
    uint64_t session;
    uint64_t request_number;
    uint64_t view_number;
    enum busy_reason reason;
};

enum refused_reason {
    REFUSED_CLUSTER = 1,       /* own = cluster id of the replica, yours = of the sender */
    REFUSED_VERSION = 2,       /* protocol versions */
    REFUSED_CONFIGURATION = 3, /* configuration hashes (E0) */
    REFUSED_IDENTITY = 4,      /* D10: another data directory than the one first met */
    REFUSED_PEERS_PORT = 5,    /* a client at the peers' port: own = the port for clients */
};

struct refused {
    enum refused_reason reason;
    uint64_t own;
    uint64_t yours;
};

/* M3: "echo this token before I answer at length". */
struct challenge {
    uint64_t token;
};

enum { STATUS_PADDING_MAX = 8192 }; /* a Status of usual size fits in */

/* M7. Padded by the sender to the size of the answer. */
struct status_request {
    uint64_t nonce;
    uint32_t padding_size; /* <= STATUS_PADDING_MAX */
};

/* M8. Events of one lane (enum trace_lane), from from_event on. */
struct trace_request {
    uint64_t nonce;
    uint32_t lane;
    uint32_t events_max; /* 0 to TRACE_EVENTS_MAX; 0 asks for clock and numbers alone */
    uint64_t from_event; /* in the lane; the first is 0 */
};

/* M8. What was asked for, or the oldest there is where that is gone. */
struct trace_report {
    uint64_t nonce;
    uint32_t replica_id;
    uint32_t lane;
    uint64_t now_ns;  /* the replica's monotonic clock, whose time events have */
    uint64_t wall_ns; /* and its wall clock, at the same moment */
    uint64_t view_number;
    enum vr_status status;
    uint64_t oldest_event; /* in the lane: those from here to next_event - 1 are kept */
    uint64_t next_event;
    uint64_t first_event;  /* of `events`, which run on without a gap */
    uint32_t event_count;  /* <= TRACE_EVENTS_MAX */
    const uint8_t *events; /* event_count events in their byte form (trace_event.h) */
};

/* N3. `entries` are entry_count entries in their byte form, one behind the other. */
struct prepare {
    uint64_t view_number;
    uint64_t first_op;
    struct checksum parent_checksum; /* at first_op - 1 */
    uint64_t commit_number;
    struct checksum commit_checksum;
    uint64_t round;
    uint32_t entry_count;
    uint32_t entries_size;
    const uint8_t *entries;
};

/* N4. op_number is the highest op that is as durable as the mode requires. */
struct prepare_ok {
    uint64_t view_number;
    uint64_t op_number;
    struct checksum checksum;          /* at op_number */
    uint64_t round;                    /* of the message that is answered */
    struct checkpoint_mark checkpoint; /* the sender's last one (K4) */
};

/* N6: the heartbeat. */
struct commit {
    uint64_t view_number;
    uint64_t commit_number;
    struct checksum commit_checksum;
    uint64_t op_number;
    uint64_t round;
    struct checkpoint_mark checkpoint; /* the last one that a quorum agrees on (K4) */
};

struct goodbye {
    uint64_t view_number;
};

/* V2: a vote for view_number, one above the sender's own. */
struct start_view_change {
    uint64_t view_number;
};

/* V4. synced_op: how far primary(view_number)'s log sync has come, 0 if none runs (V12).
 * primary_identity: of the data directory that the sender takes for that primary's; 0: it has met
 * none (D10). */
struct do_view_change {
    uint64_t view_number;
    struct log_descriptor log;
    uint64_t synced_op;
    uint64_t primary_identity;
    uint64_t faulty_from;          /* D5: the sender had the entries from here to log.op_number, but
                                      its disk has lost them; 0: it has them all. Where the one at
                                      log.commit_number is lost, log.commit_checksum is zero */
    struct checksum held_checksum; /* at faulty_from - 1, if there are faulty ones */
    uint64_t base_op;              /* entries up to here are gone from the sender's log: who lacks
                                      them needs a checkpoint (V12); <= log.op_number */
};

/* V6; log.last_normal_view == view_number. */
struct start_view {
    uint64_t view_number;
    struct log_descriptor log;
};

/* V8 */
struct get_view {
    uint64_t view_number;
};

/* G1: from_op..to_op, both included, of a log whose last_normal_view is `last_normal_view`. */
struct catchup_request {
    uint64_t nonce;
    uint64_t last_normal_view;
    uint64_t from_op;
    uint64_t to_op;
    uint64_t synced_op; /* everything up to here is staged at the sender: its progress (V1) */
    bool restores;      /* D9: even a recovering replica gives what it holds */
};

struct catchup_response {
    uint64_t nonce;
    uint64_t last_normal_view;
    uint64_t first_op;
    struct checksum parent_checksum;
    uint32_t entry_count; /* 0: the source does not hold first_op */
    uint32_t entries_size;
    const uint8_t *entries;
};

/* G4: the answer to a CatchupRequest, or a CheckpointRequest, for what the sender no longer has. */
struct checkpoint_offer {
    uint64_t nonce;       /* of what is answered */
    uint64_t view_number; /* the sender's durable one: at least the view that committed all this */
    struct checkpoint_id id;
};

/* G4: pieces of the list of chunk checksums (CHECKPOINT_CHUNK_SIZE bytes each, but the last), or
 * chunks. */
struct checkpoint_request {
    uint64_t nonce;
    uint64_t last_normal_view; /* of the log sync that this is for */
    struct checksum root;
    bool list;
    uint64_t first;  /* index of a piece or chunk */
    uint32_t count;  /* 1 to CHUNK_WINDOW_MAX */
    uint64_t staged; /* pieces and chunks that the sender has: its progress (V1) */
};

struct checkpoint_chunk {
    uint64_t nonce;
    struct checksum root;
    bool list;
    uint64_t index;
    uint32_t size; /* 1 to CHECKPOINT_CHUNK_SIZE */
    const uint8_t *bytes;
};

/* D6 */
struct recovery {
    uint64_t nonce;
    uint64_t view_number; /* the sender's durable one */
};

struct recovery_response {
    uint64_t nonce;
    uint64_t view_number;
    struct log_descriptor log; /* log.last_normal_view == view_number */
};

/* D9: "what do you still hold?" */
struct restore_status {
    uint64_t nonce;
};

/* D9: "take over this log, and then enter view_number". */
struct restore {
    uint64_t nonce;
    uint64_t recovery_nonce;   /* of the start that is meant, as it was reported */
    uint64_t view_number;      /* above every durable one that was reported */
    uint64_t last_normal_view; /* the largest that was reported; < view_number */
    uint32_t source;           /* replica_id of who holds `log` */
    struct log_descriptor log; /* its commit_number: the largest that was reported */
};

enum restore_outcome {
    RESTORE_TOLD = 1,           /* nothing was to be changed */
    RESTORE_STARTED = 2,        /* it pulls the log, or writes it */
    RESTORE_DONE = 3,           /* it is in that view, or in a later one */
    RESTORE_NOT_PERMITTED = 4,  /* not from where the request came */
    RESTORE_NOT_RECOVERING = 5, /* it remembers all: nothing of it is given up */
    RESTORE_CHANGED = 6,        /* it is not any more what it reported */
    RESTORE_CONFLICT = 7,       /* that log is not what it knows to be committed, or does not fit */
    RESTORE_RECOVERS = 8,       /* an acting primary is giving it all that it lost */
    RESTORE_OTHER = 9,          /* another log is being taken over */
};

struct restore_report {
    uint64_t nonce; /* of the request */
    uint32_t replica_id;
    enum restore_outcome outcome;
    enum vr_status status;
    bool acting_primary;
    uint64_t recovery_nonce; /* of this start; 0: it does not recover */
    uint64_t view_number;    /* durable; VIEW_NONE if it is not told */
    struct log_descriptor log;
    uint64_t synced_op; /* of a log that is being pulled; 0: none is */
    enum durability durability;
};

/* M6 */
struct part {
    uint64_t id;             /* of the whole message, unique per sender and incarnation */
    uint32_t type;           /* enum message_type of the whole */
    uint32_t total_size;     /* bytes of the whole frame body; <= MESSAGE_SIZE_MAX */
    uint32_t part_size;      /* bytes of every part but the last; >= PART_SIZE_MIN, < total_size */
    uint32_t index;          /* which part */
    uint64_t whole_checksum; /* XXH3-64 of the whole body: parts of one message agree in it */
    uint32_t data_size;
    const uint8_t *data;
};

struct parts_missing {
    uint64_t id;
    uint32_t bitmap_size;  /* 1 to PARTS_BITMAP_MAX */
    const uint8_t *bitmap; /* bit i % 8 of byte i / 8 set: part i is missing */
};

struct status_counter {
    const char *name; /* NUL-terminated */
    uint64_t value;
};

enum { STATUS_COUNTERS_MAX = 96, STATUS_TEXT_MAX = 256 }; /* a text's size counts its NUL */

/* M7: what one replica says of itself, from its last published snapshot. */
struct status_report {
    uint64_t nonce;
    uint64_t cluster_id;
    uint32_t replica_id;
    uint64_t view_number;
    uint64_t last_normal_view;
    enum vr_status status;
    bool acting_primary;
    bool log_full; /* a primary refuses all requests then, a backup acknowledges nothing more */
    uint64_t op_number;
    uint64_t commit_number;
    uint64_t executed_op;
    uint64_t snapshot_age_us;
    uint64_t uptime_s;
    uint64_t disk_bytes;
    enum durability durability;
    struct {
        uint64_t op;
        struct checksum value;
    } state_digest;
    uint32_t silent_mask; /* bit i: member i was not heard for a view_change_timeout */
    uint32_t bound_mask;  /* bit i: member i's identity is known here (D10) */
    uint32_t
        suspect_mask; /* bit i: member i voted for a later view lately; the own one: it suspects */
    const char *version; /* NUL-terminated */
    const char *note;    /* "" or what a person should know */
    const struct configuration *configuration;
    uint32_t counter_count;
    const struct status_counter *counters;
};

/* M7: levels as log_levels_parse() reads them; "" only asks. */
struct log_level_request {
    uint64_t nonce;
    const char *levels; /* NUL-terminated, < STATUS_TEXT_MAX bytes */
};

enum log_level_outcome {
    LOG_LEVELS_TOLD = 1, /* nothing was to be changed */
    LOG_LEVELS_CHANGED = 2,
    LOG_LEVELS_NOT_PERMITTED = 3, /* not from where the request came */
    LOG_LEVELS_UNKNOWN = 4,       /* no levels that this replica knows */
};

struct log_level_report {
    uint64_t nonce;
    uint32_t replica_id;
    enum log_level_outcome outcome;
    const char *levels; /* that hold now; as above */
};

/* M9: asks for an offer, or for pieces of what was offered, as a CheckpointRequest does. */
struct backup_request {
    uint64_t nonce;
    uint64_t least_op;    /* everything up to here is to be in it */
    struct checksum root; /* zero: an offer is asked for, and all below is 0 */
    bool list;
    uint64_t first;
    uint32_t count;
};

enum backup_outcome {
    BACKUP_READY = 1,
    BACKUP_TAKING = 2,     /* ask again */
    BACKUP_EMPTY = 3,      /* nothing was ever executed */
    BACKUP_NOT_NORMAL = 4, /* this replica is not in service */
    BACKUP_FAILED = 5,     /* it cannot be written there */
};

struct backup_offer {
    uint64_t nonce;
    uint32_t replica_id;
    enum backup_outcome outcome;
    uint64_t executed_op;
    struct checkpoint_id id; /* all zero unless it is ready */
};

/* The envelope: who said it, from the datagram's header, and what. */
struct message {
    enum message_type type;
    uint32_t from;               /* replica_id, or REPLICA_NONE for a client */
    uint64_t incarnation;        /* the sender's boot counter (section 1) */
    uint64_t identity;           /* the sender's data directory (D10) */
    uint64_t configuration_hash; /* E0 */
    struct net_address address;  /* where it came from; clients are answered there */
    union {
        struct request request;
        struct read read;
        struct reply reply;
        struct not_primary not_primary;
        struct busy busy;
        struct refused refused;
        struct challenge challenge;
        struct status_request status_request;
        const struct status_report *status;
        struct trace_request trace_request;
        struct trace_report trace_report;
        struct log_level_request log_level_request;
        struct log_level_report log_level_report;
        struct restore_status restore_status;
        struct restore restore;
        struct restore_report restore_report;
        struct backup_request backup_request;
        struct backup_offer backup_offer;
        struct prepare prepare;
        struct prepare_ok prepare_ok;
        struct commit commit;
        struct goodbye goodbye;
        struct start_view_change start_view_change;
        struct do_view_change do_view_change;
        struct start_view start_view;
        struct get_view get_view;
        struct catchup_request catchup_request;
        struct catchup_response catchup_response;
        struct checkpoint_offer checkpoint_offer;
        struct checkpoint_request checkpoint_request;
        struct checkpoint_chunk checkpoint_chunk; /* of a backup, too */
        struct recovery recovery;
        struct recovery_response recovery_response;
        struct part part;
        struct parts_missing parts_missing;
    };
};

/* Length and range of every field, as far as the message alone can tell: views have an epoch, ops
 * start at 1, commit <= op, entries decode, chain their numbers and are counted right. Never
 * aborts. */
bool message_validate(const struct message *message);

/* True for what only replicas say to replicas: valid on the peer port alone. */
bool message_is_from_replica(enum message_type type);

#endif
