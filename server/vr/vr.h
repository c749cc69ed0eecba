/* SPDX-License-Identifier: Apache-2.0 */
/* vr.h - the protocol core: (replica, event) -> (replica, outputs). VR Revisited, made practical as
 * docs/protocol.md says; rule numbers (N4, V3, ...) are that text's.
 *
 * Pure: no socket, file, clock, thread, lock, randomness or allocation. The same initial values and
 * events give the same outputs, byte for byte.
 *
 * How it is driven (server/runtime and test/sim do the same):
 *
 *     for each waiting event: vr_step(), carry out its outputs in order
 *     vr_flush(), carry out its outputs; events that storage completed meanwhile: step, flush again
 *     sleep until vr_deadline() at the latest, then step a tick
 *
 * vr_flush() sends what the events since the last flush added up to: one Prepare for all requests
 * that waited, one PrepareOk for all Prepares, one log write. Nothing waits on a timer for that.
 *
 * Threads:   none; one caller at a time (the core lock).
 * Ownership: outputs borrow from the replica and its log; they are valid until the next call. An
 *            event's message is borrowed for the call.
 * Memory:    what vr_memory_size() says, given at init by the caller, plus the two log regions. */
#ifndef VR_VR_H
#define VR_VR_H

#include "common/base/configuration.h"
#include "common/base/message.h"
#include "common/base/prng.h"

struct replica; /* server/vr/replica.h, for the core and its tests */
struct vr_log;  /* server/vr/vr_log.h */

/* The end of a log. */
struct vr_log_end {
    uint64_t op_number;
    struct checksum checksum;
};

/* What the core owns of the state file (PROTOCOL section 1); server/storage keeps the rest of it.
 */
struct vr_durable_state {
    uint64_t view_number;
    uint64_t last_normal_view;
    bool log_valid;
    uint64_t identities[REPLICAS_MAX]; /* D10: by member index; 0 until first met. Own included. */
};

/* How a start must begin (D3, D5, D6): server/storage decides it from the state file. */
enum vr_start {
    VR_START_INITIAL, /* first start of a member of a new group: its empty log is intact */
    VR_START_RESUME,  /* D5: the log holds all that it ever acked, or knows what it lacks of it */
    VR_START_RECOVER, /* D6: acked entries may be lost */
};

struct vr_options {
    struct configuration configuration;
    uint32_t replica_id;
    uint64_t incarnation; /* of this start; already durable */
    uint64_t identity;    /* of the own data directory */
    uint64_t nonce;       /* random, new at every start (D6, RC-4) */
    uint64_t seed;        /* for jitter */
    enum durability durability;
    enum vr_start start;
    struct vr_durable_state durable; /* as the state file has it; log_valid already used up (D3) */

    /* What a start has from its disk. A recovering one (D6) may hold some log's beginning: it saves
     * pulling what turns out to be the same, and says nothing. */
    const struct vr_log *log; /* entries, in log_memory; durable; NULL: none. It may begin behind an
                                 op, at or before the checkpoint's */
    uint64_t commit_number;   /* known from an earlier run; at most the log's op_number */
    uint64_t commit_known;    /* committed up to here by what its own disk says; >= commit_number;
                                 entries up to here are never dropped */
    struct vr_log_end had;    /* D5: where the log ended, if it is damaged above its op_number; all
                                 zero: it is not */

    /* K3: the state that the executor was loaded with; op_number 0: none, it begins empty. The log
     * above it goes on from there; where it does not reach the checkpoint, it is over. The first
     * start of a group made from a backup has one, too, and no log. */
    struct checkpoint_id checkpoint;
    uint64_t checkpoint_timestamp; /* of the entry at its op */

    enum reads_mode reads; /* what this replica does as a primary; READS_QUORUM by default */

    /* Times in nanoseconds. */
    uint64_t heartbeat_ns;       /* idle primary's Commit; default 20 ms */
    uint64_t view_change_ns;     /* T of V1; default 6 heartbeats */
    uint64_t view_change_max_ns; /* cap of the doubled timeout; default 8 s */
    uint64_t resend_ns;          /* votes, DoViewChange, Recovery, sync; default one heartbeat */

    /* Bytes of one datagram's frames to a peer: bounds a Prepare and a CatchupResponse. */
    uint32_t message_budget;

    /* Bounds, each at most its namesake in limits.h; the simulator makes them tiny. */
    uint32_t pipeline_max;
    uint32_t request_queue_max;
    uint32_t execute_lag_max;
    uint32_t view_sync_max;     /* VIEW_SYNC_MAX of V12: entries; at least the two queues above */
    uint32_t log_retain;        /* K2: entries kept for laggards, whatever checkpoints there are */
    uint64_t checkpoint_pin_ns; /* K2: a checkpoint stays so long after it was pulled from last */
    uint64_t transfer_rate;     /* G4: bytes of checkpoints served in a second, to all who pull */

    /* Regions for the log and for staged entries (G3), each of log_memory_size bytes; touched only
     * as they fill. */
    void *log_memory;
    void *staging_memory;
    size_t log_memory_size;
    size_t log_block_size; /* of vr_log_init_blocks(); 0: vr_log_init()'s */
};

/* Fills in the times, bounds and budget that a server uses unless told otherwise. */
void vr_options_default(struct vr_options *options);

/* Time as the core is told it. `now` is monotonic; `wall` feeds entry timestamps only. */
struct vr_time {
    uint64_t now_ns;
    uint64_t wall_ns;
};

enum vr_event_kind {
    VR_EVENT_MESSAGE,
    VR_EVENT_TICK,          /* after everything received has been stepped (V1, TH-3) */
    VR_EVENT_LOG_DURABLE,   /* S4 */
    VR_EVENT_STATE_DURABLE, /* S4 */
    VR_EVENT_EXECUTED,      /* N9 */
    VR_EVENT_CHECKPOINT, /* K1: one was taken here, of an op that was reported executed, and is as
                            durable as the mode requires: named in the state file */
    VR_EVENT_CHECKPOINT_UNREADABLE, /* a file of one's own, of `unreadable_op`, is damaged */
    VR_EVENT_CHUNK_STAGED,          /* what became of a VR_OUT_STAGE_CHUNK */
    VR_EVENT_CHECKPOINT_INSTALLED,  /* VR_OUT_INSTALL_CHECKPOINT is carried out */
    VR_EVENT_STOP, /* a clean stop begins: Goodbye (V1); nothing is served afterwards */
};

struct vr_event {
    enum vr_event_kind kind;
    struct vr_time time;
    union {
        struct {
            const struct message *message; /* validated; from a peer or a client */
            uint64_t received_ns;          /* stamped on arrival, <= time.now_ns (M5) */
        } message;
        struct {
            uint64_t generation; /* of the write; an older one than the log's is dropped */
            uint64_t op_number;  /* everything up to here is as durable as the mode requires */
        } log_durable;
        struct {
            uint64_t number; /* of the write */
        } state_durable;
        struct {
            uint64_t op_number;
        } executed;
        struct checkpoint_id checkpoint;
        uint64_t unreadable_op;
        struct {
            struct checksum root;
            bool list;
            uint64_t index;
            bool ok;          /* the bytes are right, and kept */
            uint64_t missing; /* if so: the first piece or chunk at or above it that is not there */
            bool lost; /* else: the disk failed, or has not got the list; what was kept before
                          may be gone, too */
        } chunk_staged;
        struct {
            struct checkpoint_id id;
            uint64_t timestamp; /* of the entry at its op */
        } installed;
    };
};

enum vr_output_kind {
    VR_OUT_SEND_PEERS,  /* to every member in the mask; loss is allowed */
    VR_OUT_SEND_CLIENT, /* to message.address; loss is allowed */
    VR_OUT_WRITE_LOG,   /* then report VR_EVENT_LOG_DURABLE, at once or later */
    VR_OUT_WRITE_STATE, /* then report VR_EVENT_STATE_DURABLE, at once or later */
    VR_OUT_EXECUTE,     /* hand ops first..last to the executor, then VR_EVENT_EXECUTED */
    VR_OUT_LOOKUP,      /* N2: let the executor repeat a stored reply */
    VR_OUT_READ,     /* section 5: behind all that was handed over before, let the application read,
                        and answer; loss is allowed */
    VR_OUT_DIVERGED, /* N7, K4: this replica has left service; say so loudly */
    VR_OUT_TAKE_CHECKPOINT,  /* K1: the log fills up before the interval is over: take a checkpoint
                                of an op that is executed next, whatever its number; loss is
                                allowed */
    VR_OUT_DROP_LOG,         /* K2: storage may drop what lies at or below an op; loss is allowed */
    VR_OUT_SERVE_CHECKPOINT, /* G4: read, and send CheckpointChunks; loss is allowed */
    VR_OUT_STAGE_CHUNK,      /* G4: verify and keep, then VR_EVENT_CHUNK_STAGED. A checkpoint with
                                another root is a new transfer: what was staged of the last one
                                may go */
    VR_OUT_INSTALL_CHECKPOINT, /* G4: all of it is staged. In one atomic, durable step the
                                  checkpoint is named in the state file and takes the whole log's
                                  place; what was handed to the executor before is executed, and
                                  reported, then the state is loaded; then
                                  VR_EVENT_CHECKPOINT_INSTALLED. Until then no log is written and
                                  nothing handed over */
};

struct vr_output {
    enum vr_output_kind kind;
    union {
        struct {
            uint32_t member_mask; /* bit i: member index i; never the own */
            struct message message;
        } send; /* both sends; for a client, message.address */
        struct {
            uint64_t generation;
            uint64_t cut_to;   /* first drop everything above this op ... */
            uint64_t first_op; /* ... then append first_op..last_op: the log has their bytes */
            uint64_t last_op;  /* first_op - 1 if there is nothing to append */
        } write_log;
        struct {
            uint64_t number; /* rising */
            struct vr_durable_state state;
        } write_state;
        struct {
            uint64_t first_op;
            uint64_t last_op;
        } execute;
        struct {
            struct client_id client_id;
            uint64_t session;
            uint64_t request_number;
            enum entry_kind kind;
            uint64_t operation_checksum;
            uint64_t view_number;
            struct net_address address;
        } lookup;
        struct {
            struct client_id client_id;
            uint64_t nonce;
            uint64_t view_number;   /* for the reply, ... */
            uint64_t commit_number; /* ... too */
            uint64_t op_number;     /* handed over already, or executed */
            struct net_address address;
            uint32_t operation_size;
            const uint8_t *operation; /* the replica's */
        } read;
        struct {
            uint64_t op_number;
            struct checksum own;
            struct checksum theirs;
            uint32_t peer; /* replica_id */
            bool state;    /* K4: the checksums are digests of the state, not of the log */
        } diverged;
        struct {
            uint64_t through_op;
            uint64_t
                checkpoints_from;  /* older checkpoints than of this op are needed no more, ... */
            uint32_t pulled_count; /* ... but those that somebody pulls: their ops */
            uint64_t pulled[REPLICAS_MAX];
        } drop_log;
        struct {
            uint32_t peer; /* member index */
            struct checkpoint_id id;
            uint64_t nonce;
            bool list;
            uint64_t first;
            uint32_t count;
        } serve_checkpoint;
        struct {
            struct checkpoint_id id;
            bool list;
            uint64_t index;
            uint32_t size;
            const uint8_t *bytes; /* the message's */
        } stage_chunk;
        struct checkpoint_id install_checkpoint;
    };
};

struct vr_outputs {
    uint32_t count;
    struct vr_output items[VR_OUTPUTS_MAX];
};

size_t vr_memory_size(void);

/* Makes a replica in `memory` (vr_memory_size() bytes, aligned as malloc aligns). Options are
 * asserted: server/main.c and the state file have validated them. The first outputs come from the
 * first vr_flush(). */
struct replica *vr_init(void *memory, const struct vr_options *options, struct vr_time time);

/* Steps one event; *outputs is overwritten. */
void vr_step(struct replica *replica, const struct vr_event *event, struct vr_outputs *outputs);

/* Ends a drain; *outputs is overwritten. Returns true if it has more to say: carry out, call again.
 */
bool vr_flush(struct replica *replica, struct vr_time time, struct vr_outputs *outputs);

/* When the next tick is due, in now_ns; UINT64_MAX: never. */
uint64_t vr_deadline(const struct replica *replica);

/* One committed entry as the executor needs it. The bytes stay where they are until the entry is
 * reported executed. Ops come from VR_OUT_EXECUTE. */
struct vr_execution {
    uint64_t op_number;
    uint64_t view_number; /* goes into the reply */
    const uint8_t *bytes; /* the entry's one byte form */
    uint32_t size;
    struct checksum log; /* the log's, up to this op: a checkpoint's name has it (K1) */
    bool reply;          /* N6: to `address`; false where it is unknown or not ours to answer */
    struct net_address address;
};
void vr_execution(const struct replica *replica, uint64_t op_number, struct vr_execution *out);

/* An entry of the log by op (storage writes it; checkers read it). NULL if it is not there. */
const uint8_t *vr_log_bytes(const struct replica *replica, uint64_t op_number, size_t *size);

/* The checksum of the log up to an op that it has, 0 included (asserted). */
struct checksum vr_log_checksum_at(const struct replica *replica, uint64_t op_number);

uint64_t vr_commit_number(const struct replica *replica);

/* What VR_OUT_SERVE_CHECKPOINT is answered with: fills in the envelope that the core fills in of
 * its own messages. */
void vr_envelope(const struct replica *replica, struct message *message);

/* Why the core dropped messages (M3); counted, never answered. */
enum drop_reason {
    DROP_NONE,
    DROP_INVALID, /* message_validate() would not have passed it, or a field out of range */
    DROP_NOT_MEMBER,
    DROP_CONFIGURATION, /* E0 */
    DROP_IDENTITY,      /* D10: refused, or not bound durably yet */
    DROP_INCARNATION,   /* older than one already met */
    DROP_STATUS,
    DROP_OLD_VIEW,
    DROP_NEWER_VIEW,
    DROP_EPOCH, /* E3 */
    DROP_NOT_PRIMARY,
    DROP_NOT_FROM_PRIMARY,
    DROP_DUPLICATE,
    DROP_CHECKSUM, /* does not chain, or not the entry that is acked */
    DROP_UNKNOWN_OP,
    DROP_NONCE, /* answers nothing that was asked (G7, RC-4) */
    DROP_STASH_FULL,
    DROP_LOG_FULL,
    DROP_RATE,        /* an answer that was over its bounded rate */
    DROP_OLD_REQUEST, /* N2: lower request number than one seen */
    DROP_STOPPED,     /* after VR_EVENT_STOP or divergence */
    DROP_REASON_COUNT,
};

const char *drop_reason_name(enum drop_reason reason);

/* What came of the message stepped last, and where the replica stands after the last call: small
 * enough to be looked at after each (M8). */
struct vr_glance {
    enum drop_reason dropped; /* the first reason; DROP_NONE: it was taken */
    bool gap;                 /* a Prepare that waits for what lies before it (N4) */
    enum vr_status status;
    bool acting_primary;
    bool suspecting; /* V1 */
    bool
        primary_gave_up; /* the primary of this view votes for the next one: no quorum answers it */
    bool diverged;
    bool stopped;
    uint64_t view_number;
    uint64_t op_number;
    uint64_t commit_number;
    uint64_t suspicions;       /* times that the primary, or as one the quorum, was suspected */
    uint64_t primary_heard_ns; /* last message of this view's primary; 0 never, or the own view */
    uint64_t sync_from;        /* log sync under way: where it started */
    uint64_t sync_target;      /* and where it ends; 0 if none runs */
};
void vr_glance(const struct replica *replica, struct vr_glance *out);

/* What others may know of a replica: published after each drain (M7), read by checkers. */
struct vr_snapshot {
    uint64_t view_number;
    uint64_t last_normal_view;
    enum vr_status status;
    bool acting_primary;
    bool suspecting;        /* V1 */
    bool diverged;          /* N7 */
    bool log_full;          /* LOG_MEMORY_MAX reached */
    bool group_lost;        /* D9: too few members remember anything for the group to go on */
    bool restores;          /* D9: takes over the log of ... */
    uint32_t restores_from; /* ... this replica */
    uint64_t restores_to;   /* and ends there */
    uint64_t lost_from;     /* D5: the disk has lost the entries from here to ... */
    uint64_t lost_to;       /* ... here, and they are not back yet; 0: none */
    uint64_t op_number;
    struct checksum head_checksum;
    uint64_t commit_number;
    struct checksum commit_checksum;
    uint64_t executed_op;
    uint64_t log_bytes;     /* memory in use, index included */
    uint64_t base_op;       /* the log in memory begins behind it */
    uint64_t checkpoint_op; /* the last checkpoint here, 0: none (K1) */
    struct checksum checkpoint_digest;
    uint64_t transfer_op;     /* a checkpoint is pulled (G4): its op, 0: none is; */
    uint64_t transfer_chunks; /* of so many, its list's pieces included, */
    uint64_t transfer_staged; /* so many are here */
    uint64_t sync_from;       /* log sync under way: where it started, */
    uint64_t sync_op;         /* how far entries are staged, */
    uint64_t sync_target;     /* and where it ends; 0 if none runs */
    uint32_t member_count;
    struct {
        uint32_t replica_id;
        uint64_t heard_ns; /* last message, 0 never */
        uint64_t rtt_ns;   /* smoothed, as the primary saw it; 0 unknown */
        uint64_t acked_op; /* as the primary saw it */
        bool vote_later;   /* V3: a live vote for a view above ours */
        bool recovering;   /* said Recovery lately */
        bool bound;        /* D10 */
    } members[REPLICAS_MAX];
    uint64_t view_changes;    /* times that status view_change was entered */
    uint64_t views_started;   /* times that V6 was completed here */
    uint64_t catchup_entries; /* installed from log sync */
    uint64_t catchup_served;  /* CatchupResponses sent */
    uint64_t checkpoints_offered;
    uint64_t checkpoints_installed;
    uint64_t chunks_served;
    uint64_t prepares_resent;
    uint64_t requests_seen;
    uint64_t busy_count;
    enum reads_mode reads;   /* what it does as a primary */
    uint64_t reads_seen;     /* beside the log (section 5); of those ... */
    uint64_t reads_answered; /* ... handed to the executor */
    uint64_t read_rounds;    /* begun for reads alone (R2) */
    uint64_t reads_late;     /* not confirmed in time, and not answered (R2) */
    uint64_t dropped[DROP_REASON_COUNT];
};
void vr_snapshot(const struct replica *replica, struct vr_snapshot *out);

#endif
