/* SPDX-License-Identifier: Apache-2.0 */
/* replica.h - the state of the core, and what its parts may ask of each other. For server/vr and
 * its tests; everybody else uses vr.h.
 *
 * One file a part of VR: normal.c (N), view_change.c (V), log_sync.c (G), checkpoint_sync.c
 * and checkpoint_serve.c (G4), compaction.c (K), reads.c (R), recovery.c (D, identities), restore.c
 * (D9), replica.c (dispatch, durable state, snapshot). */
#ifndef VR_REPLICA_H
#define VR_REPLICA_H

#include "server/vr/in_flight.h"
#include "server/vr/reads.h"
#include "server/vr/stash.h"
#include "server/vr/timeout.h"
#include "server/vr/vr.h"
#include "server/vr/vr_log.h"

enum {
    ROUNDS_REMEMBERED = 64,       /* sending times kept for RTT samples */
    RESEND_PREPARES_MAX = 2,      /* Prepares resent to one backup a tick (N10) */
    CATCHUP_PER_FLUSH_MAX = 4,    /* CatchupResponses a flush (G2) */
    ANSWERS_PER_HEARTBEAT = 1024, /* NotPrimary and Refused in one heartbeat interval (N1) */
    PREPARE_OVERHEAD = 128,       /* bytes of a Prepare or CatchupResponse beside its entries */
    CHECKPOINTS_MAX = 8 + REPLICAS_MAX, /* own ones remembered, for their digests; those kept too */
    CHUNK_CHECKSUM_SIZE = 16,           /* bytes of the list for each chunk */
};

/* Views that no group goes through: at one a millisecond, 49 days. */
#define VIEW_LEAP_MAX (UINT64_C(1) << 32)

/* What the group knows of one member here. */
struct peer {
    uint64_t incarnation;       /* highest met; older messages are dropped */
    uint64_t heard_ns;          /* last message; 0 never */
    uint64_t recovery_heard_ns; /* last Recovery; 0 none since it took part */

    /* V2, V3 */
    uint64_t vote_view; /* 0 none */
    uint64_t vote_ns;

    /* V4: counts only while present */
    bool do_view_change_present;
    struct log_descriptor do_view_change;
    struct vr_log_end held; /* D5: as far as it has the entries: the log's end, or before it */
    uint64_t base_op;       /* V12: its log begins behind it */
    bool unreachable;       /* V6: did not answer when it was asked for its log */

    /* N5, N10: as the acting primary sees a backup in this view */
    bool acked_in_view;
    uint64_t acked_op;
    uint64_t acked_ns;    /* V1: last PrepareOk that counts for the check of the quorum */
    uint64_t synced_op;   /* V1: how far it has come with pulling this view's log */
    uint64_t progress_ns; /* last time acked_op rose, or it had nothing to ack */
    uint32_t resends;     /* since then; backs off */
    uint64_t acked_round; /* R2: the last round of this view that it acked */
    uint64_t rtt_ns;      /* smoothed; 0 unknown */
    uint64_t rtt_round;   /* last round that gave a sample: repeated answers give none */

    /* K2, K4, G4 */
    struct checkpoint_mark checkpoint; /* the last one that it told of */
    uint64_t pulled_op;                /* of the checkpoint that it asked for last ... */
    uint64_t pulled_ns;                /* ... and when; 0 never */
    uint64_t transfer_staged;          /* V1: how far it has come with that in this view */

    /* bounded rates */
    uint64_t start_view_sent_ns;
    uint64_t refused_sent_ns;
};

/* G1: a range asked for, and the answer if it came out of order. */
struct sync_slot {
    uint64_t from_op; /* 0: free */
    uint64_t to_op;
    uint64_t asked_ns;
    uint32_t repeats; /* of this question; the time until the next one doubles */
    bool held;        /* bytes below are the answer, waiting for what lies before it */
    struct checksum parent_checksum;
    uint32_t entry_count;
    uint32_t entries_size;
    uint8_t entries[DATAGRAM_SIZE_MAX];
};

/* Section 3. One at a time; belongs to (status, view_number, nonce, target) and is dropped when any
 * of these changes (G7). */
struct log_sync {
    bool active;
    uint64_t entering; /* the view that its end leads into; 0: append only (G6) */
    struct log_descriptor target;
    uint64_t nonce;
    uint64_t start_op;    /* staged entries begin behind it */
    bool start_is_guess;  /* own head of the same last_normal_view, not compared yet */
    uint32_t source;      /* member index */
    uint32_t sources;     /* mask of those that may serve */
    uint64_t progress_ns; /* last time that entries were staged */
    uint64_t source_ns;   /* since when this source is asked */
    uint32_t stalls;      /* sources given up since the last progress; backs off */
    uint32_t mismatches;  /* sources whose answers did not lead to the target */
    uint32_t window;      /* slots to use: one where an answer is too large to hold */
    uint32_t range;       /* ops asked for at once: about one message's worth */
    bool pulling;         /* G4: waits for a checkpoint to start from */
};

/* G4: a piece of the list or a chunk that was asked for. */
struct chunk_slot {
    bool busy;
    bool list;
    bool staging; /* it came, and is with storage */
    uint64_t index;
    uint64_t asked_ns;
    uint32_t repeats;
};

/* G4: the checkpoint that is pulled. It outlives the log sync that wanted it: the next one goes on
 * where that one stopped, if it is offered the same. */
struct transfer {
    struct checkpoint_id id; /* op_number 0: none was begun */
    uint64_t view_number;    /* durable here before it is installed */
    uint64_t list_next;      /* what lies below was asked for or is there */
    uint64_t list_count;
    uint64_t chunk_next;
    uint64_t chunk_count;
    uint64_t staged;  /* pieces and chunks that came */
    uint32_t lacking; /* mask of members that offered another one instead, or were long silent */
    uint32_t losses;  /* times that the disk lost what was staged; backs off */
    uint64_t lost_ns; /* last time */
    bool installing;  /* until VR_EVENT_CHECKPOINT_INSTALLED the log stays as it is */
    struct chunk_slot slots[CHUNK_WINDOW_MAX];
};

/* G6: log durable, then state file durable, then status. */
enum install_phase {
    INSTALL_NONE,
    INSTALL_LOG,
    INSTALL_STATE,
};

struct install {
    enum install_phase phase;
    uint64_t view_number; /* being entered */
    struct log_descriptor target;
    bool restores; /* D9: a view change comes after it, not the view */
};

struct catchup_waiting {
    uint32_t peer;
    struct catchup_request request;
};

struct chunks_waiting {
    uint32_t peer;
    struct checkpoint_request request;
};

struct replica {
    struct vr_options options;
    uint32_t self; /* own member index */
    uint32_t member_count;
    uint32_t quorum;
    uint64_t configuration_hash;
    struct prng prng;
    struct vr_time time;        /* of the call under way */
    uint64_t received_ns;       /* arrival of the message being stepped */
    struct vr_outputs *outputs; /* of the call under way */
    struct timeouts timeouts;

    /* Section 1 */
    enum vr_status status;
    uint64_t view_number;
    uint64_t last_normal_view; /* always the durable one (S1) */
    bool acting_primary;       /* P1: volatile */
    uint64_t commit_number;
    uint64_t commit_known; /* D5: so said its disk, which may have lost entries up to there */
    uint64_t executed_op;
    uint64_t handed_op; /* given to the executor */
    bool stopped;
    bool diverged;
    struct peer peers[REPLICAS_MAX];

    /* S1, S4: one write of the state file at a time; what changes meanwhile goes with the next. */
    struct vr_durable_state wanted;
    struct vr_durable_state writing;
    struct vr_durable_state durable;
    bool state_dirty;
    uint64_t state_number; /* of the last write issued */
    bool state_in_flight;

    /* The log and its storage (S4) */
    struct vr_log log;
    struct vr_log staging; /* G3 */
    uint64_t log_generation;
    uint64_t written_op;         /* handed to storage */
    uint64_t durable_op;         /* as durable as the mode requires */
    struct vr_log_end had;       /* D5: what this replica had when it was last normal, and must not
                                    deny, though its disk has lost ... */
    uint64_t held_op;            /* ... all above this op; had.op_number 0: nothing is lost */
    uint64_t written_generation; /* the one that storage was told of last */
    uint64_t settled_generation; /* the last one of which a write has completed */

    /* Normal operation, primary */
    uint64_t prepared_op; /* highest op sent in a Prepare of this view */
    uint64_t round;
    uint64_t round_sent_ns[ROUNDS_REMEMBERED];
    uint64_t started_op;  /* R2: where the log ended when this view was started */
    uint64_t commit_said; /* largest commit_number sent */
    uint64_t later_view;  /* V9: highest view heard of */
    bool abdicated;       /* V1: no quorum answers */
    bool log_full;

    /* Normal operation, backup */
    bool ack_owed;
    uint64_t ack_round;
    uint64_t hint_commit; /* N7, NC-5: commit number of this view that lies beyond the own log */
    struct checksum hint_checksum;

    /* View change */
    bool suspecting;
    bool stall_forgiven;       /* TM-3: nobody was heard since */
    uint32_t failed_views;     /* in a row (V1) */
    uint64_t view_extended_ns; /* V12: what progress has added to this view's time */
    uint64_t primary_synced_op;
    uint64_t get_view_sent_ns;

    struct log_sync sync;
    struct install install;
    struct transfer transfer;
    uint64_t full_at_op; /* no log that reaches this op fits; UINT64_MAX: none was met */

    /* Checkpoints (K) */
    struct checkpoint_id checkpoints[CHECKPOINTS_MAX]; /* own ones, the newest first */
    uint32_t checkpoints_gone;                         /* bit i: storage may have thrown it away */
    uint32_t checkpoint_count;
    uint64_t asked_checkpoint_ns; /* when one was asked for, 0: none is waited for */
    uint64_t base_timestamp; /* where the log is empty: of the last entry that was in it (N3) */
    uint64_t dropped_op;     /* storage was told to drop up to here */
    struct checkpoint_mark agreed; /* K4: the last one that a quorum agreed on, as a primary said */
    uint32_t chunk_queue_count;    /* G4 */
    uint64_t chunks_due_ns;        /* when the next one may be served */

    /* Recovery */
    struct restore restore; /* D9: taken up last; view_number 0: none, or given up for a primary's
                               log */
    uint64_t lost_since_ns; /* since when too few remember anything (D9); 0 not so */

    /* G2 */
    uint32_t catchup_count;
    uint32_t catchup_head;

    uint64_t answers_window_ns; /* N1's bounded rate */
    uint32_t answers_in_window;

    /* What came of the message stepped last (vr_glance). */
    enum drop_reason dropped_last;
    bool gap_last;

    /* Counters */
    uint64_t view_changes;
    uint64_t suspicions;
    uint64_t views_started;
    uint64_t catchup_entries;
    uint64_t catchup_served;
    uint64_t checkpoints_offered;
    uint64_t checkpoints_installed;
    uint64_t chunks_served;
    uint64_t prepares_resent;
    uint64_t requests_seen;
    uint64_t busy_count;
    uint64_t dropped[DROP_REASON_COUNT];

    /* The large parts last: vr_init() leaves them untouched until they are used. */
    struct in_flight in_flight;
    struct catchup_waiting catchup_queue[CATCHUP_QUEUE_MAX];
    struct chunks_waiting chunk_queue[CHUNK_QUEUE_MAX];
    struct sync_slot sync_slots[SYNC_WINDOW_MAX];
    struct stash stash;
    struct reads reads;
};

/* replica.c */
void drop(struct replica *r, enum drop_reason reason);
bool outputs_have_room(const struct replica *r, uint32_t count);
struct vr_output *output_add(struct replica *r, enum vr_output_kind kind);
void send_to_mask(struct replica *r, uint32_t mask, const struct message *message);
void send_to_peer(struct replica *r, uint32_t peer, const struct message *message);
void send_to_others(struct replica *r, const struct message *message);
void send_to_client(struct replica *r, const struct net_address *address,
                    const struct message *message);
bool take_answer(struct replica *r);   /* N1: one more within the bounded rate? */
void state_changed(struct replica *r); /* `wanted` differs from what is on disk */
uint32_t primary_of(const struct replica *r, uint64_t view_number);
uint32_t others_mask(const struct replica *r);
struct log_descriptor describe_log(const struct replica *r); /* only what is durable (V4) */
void forget_lost(struct replica *r, bool whatever);          /* D5 */
/* All of an acting primary's log (V8, D6): a backup may have acked what is not durable here yet. */
struct log_descriptor describe_whole_log(const struct replica *r);
void diverge(struct replica *r, uint64_t op_number, struct checksum theirs, uint32_t peer);

void diverge_state(struct replica *r, const struct checkpoint_mark *own,
                   const struct checkpoint_mark *theirs, uint32_t peer); /* K4 */

/* normal.c */
void on_request(struct replica *r, const struct message *m);
uint64_t last_timestamp(const struct replica *r); /* of what was appended last (N3) */
void on_prepare(struct replica *r, const struct message *m, uint32_t peer);
void on_prepare_ok(struct replica *r, const struct message *m, uint32_t peer);
void on_commit(struct replica *r, const struct message *m, uint32_t peer);
void on_goodbye(struct replica *r, const struct message *m, uint32_t peer);
void count_as_heard(struct peer *peer, uint64_t heard_ns); /* V1: by the quorum's check */
void note_progress(struct replica *r, uint32_t peer, uint64_t synced_op);
void note_transfer(struct replica *r, uint32_t peer, uint64_t staged);
bool is_serving(const struct replica *r); /* acting primary that knows of no reason to stop */
void commit_up_to(struct replica *r, uint64_t commit_number);
void count_acks(struct replica *r); /* N5 */
void primary_begin(struct replica *r);
void backup_begin(struct replica *r);
void stash_drain(struct replica *r);
void normal_tick(struct replica *r);
bool normal_flush(struct replica *r);
void send_commit(struct replica *r);

/* view_change.c */
void on_start_view_change(struct replica *r, const struct message *m, uint32_t peer);
void on_do_view_change(struct replica *r, const struct message *m, uint32_t peer);
void on_start_view(struct replica *r, const struct message *m, uint32_t peer);
void on_get_view(struct replica *r, const struct message *m, uint32_t peer);
void enter_view_change(struct replica *r, uint64_t view_number);
void suspect(struct replica *r);
/* V3: a vote lives three resend intervals. */
bool vote_is_live(const struct replica *r, const struct peer *peer);
void hear_primary(struct replica *r); /* V2: who hears its primary withdraws */
void ask_view(struct replica *r, uint32_t peer, uint64_t view_number); /* V8 */
void send_start_view(struct replica *r, uint32_t mask);
void send_do_view_change(struct replica *r);
void try_start_view(struct replica *r);                        /* V6 */
void choose_anew(struct replica *r);                           /* V6: a sync that does not get on */
void note_later_view(struct replica *r, uint64_t view_number); /* V9 */
void view_change_tick(struct replica *r);
uint64_t view_change_timeout(struct replica *r);

/* log_sync.c */
void on_catchup_request(struct replica *r, const struct message *m, uint32_t peer);
void on_catchup_response(struct replica *r, const struct message *m, uint32_t peer);
void sync_begin(struct replica *r, const struct log_descriptor *target, uint64_t entering,
                uint32_t source, uint32_t sources);
void sync_drop(struct replica *r); /* G7 */
void sync_tick(struct replica *r);
bool sync_running(const struct replica *r, uint64_t entering); /* that sync or its install */
void install_log_durable(struct replica *r);
void install_state_durable(struct replica *r);
void catchup_flush(struct replica *r);
uint64_t sync_back_off(uint64_t interval_ns, uint32_t times);
void sync_next_source(struct replica *r);
void sync_start_at(struct replica *r, uint64_t op_number); /* G4: goes on from there */

/* checkpoint_serve.c */
void send_checkpoint_offer(struct replica *r, uint32_t peer, uint64_t nonce);
void on_checkpoint_request(struct replica *r, const struct message *m, uint32_t peer);
void chunks_flush(struct replica *r);

/* checkpoint_sync.c */
void on_checkpoint_offer(struct replica *r, const struct message *m, uint32_t peer);
void on_checkpoint_chunk(struct replica *r, const struct message *m, uint32_t peer);
void on_chunk_staged(struct replica *r, const struct vr_event *event);
void on_checkpoint_installed(struct replica *r, const struct vr_event *event);
void transfer_tick(struct replica *r);
void transfer_stalled(struct replica *r);       /* G5: nothing came from the source */
void transfer_pause(struct replica *r);         /* G7: the claim goes, what is verified stays */
void transfer_state_durable(struct replica *r); /* the view of the offer may be durable now */

/* compaction.c */
void on_checkpoint(struct replica *r, const struct checkpoint_id *id);
void compaction_flush(struct replica *r);
void compaction_make_room(struct replica *r); /* drops all that the last checkpoint makes up for */
void checkpoint_remember(struct replica *r, const struct checkpoint_id *id);
const struct checkpoint_id *checkpoint_with_root(const struct replica *r, struct checksum root);
const struct checkpoint_id *checkpoint_offered(const struct replica *r); /* NULL: there is none */
void on_checkpoint_unreadable(struct replica *r, uint64_t op_number);
struct checkpoint_mark checkpoint_last(const struct replica *r);
struct checkpoint_mark checkpoint_agreed(const struct replica *r);
void hear_checkpoint(struct replica *r, const struct checkpoint_mark *mark, uint32_t peer);
void hear_agreed_checkpoint(struct replica *r, const struct checkpoint_mark *mark, uint32_t peer);

/* recovery.c */
bool judge_envelope(struct replica *r, const struct message *m, uint32_t peer);
void on_recovery(struct replica *r, const struct message *m, uint32_t peer);
void on_recovery_response(struct replica *r, const struct message *m, uint32_t peer);
void recovery_begin(struct replica *r);
void recovery_tick(struct replica *r);
bool group_lost(const struct replica *r); /* D9 */
void watch_group(struct replica *r);

/* restore.c */
void on_restore_status(struct replica *r, const struct message *m);
void on_restore(struct replica *r, const struct message *m);
bool restoring(const struct replica *r);   /* pulls, or writes, the log that a person chose */
void restore_abandon(struct replica *r);   /* an acting primary has all, and goes first */
void restore_installed(struct replica *r); /* log and state file are durable */

#endif
