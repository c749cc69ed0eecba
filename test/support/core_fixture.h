/* SPDX-License-Identifier: Apache-2.0 */
/* core_fixture.h - a group of real cores and a network moved by hand, for scripted schedules.
 *
 * Nothing happens by itself. Messages wait in one queue until they are delivered, dropped or, by a
 * rule, held; time stands still until it is advanced. The state file and the log are durable at
 * once unless a test holds them; committed entries are executed at once. So a test reads like the
 * trace that it replays:
 *
 *     core_drop(&f, MESSAGE_PREPARE, 0, 2);     // the link 0 -> 2 loses Prepares from now on
 *     core_request(&f, 0, "x");
 *     core_settle(&f);                          // deliver until nothing moves
 *     core_crash(&f, 0);
 *
 * Replicas are named by member index; their replica_id is the index + 1.
 *
 * After every step the checkers' own tests of a state (S2) are asserted. */
#ifndef VR_TEST_CORE_FIXTURE_H
#define VR_TEST_CORE_FIXTURE_H

#include "server/vr/vr.h"
#include "server/vr/vr_log.h"

enum {
    CORE_QUEUE_MAX = 8192,
    CORE_RULES_MAX = 64,
    CORE_LOG_SIZE = 1024 * 1024,
    CORE_ANY = -1, /* in rules: every type, every replica */
};

#define CORE_MS UINT64_C(1000000)

struct core_message {
    uint32_t from;
    uint32_t to;
    struct message message; /* its bytes are the queue's own copy */
    uint8_t *bytes;
};

enum core_action {
    CORE_DROP,
    CORE_HOLD, /* stays in the queue until it is released */
};

struct core_rule {
    enum core_action action;
    int type;
    int from;
    int to;
};

struct core_node {
    bool up;
    bool started_before;
    struct replica *replica;
    void *memory;
    void *log_memory;
    void *staging_memory;
    uint64_t incarnation;
    uint64_t identity;
    struct vr_durable_state disk;

    bool hold_state; /* state-file writes wait for core_state_done() */
    bool state_waits;
    uint64_t state_number;
    struct vr_durable_state state_writing;

    bool hold_log; /* log writes wait for core_log_done() */
    bool log_waits;
    uint64_t log_generation;
    uint64_t log_op;

    struct vr_log kept;    /* the log as it was at the last crash */
    uint64_t commit_known; /* what core_resume() finds said to be committed; set by a test */

    bool hold_flush; /* its drain goes on: what is stepped meanwhile is flushed together, later */

    bool hold_execution;
    uint64_t execute_to;

    /* Checkpoints: every chunk is the op number of its checkpoint. */
    bool hold_install;    /* an install waits for core_installed() */
    bool refuse_chunks;   /* what comes is found to be damaged */
    uint32_t lose_chunks; /* so many times the disk fails at a chunk, and loses the list */
    bool list_kept;
    uint64_t pieces_staged;          /* of lists, that came */
    struct checkpoint_id installing; /* op_number 0: none */
    struct checkpoint_id staged;     /* of the last chunk that came */
    bool stage_waits;
    bool staged_list;
    uint64_t staged_index;
    uint64_t checkpoints_wanted; /* VR_OUT_TAKE_CHECKPOINTs */
    uint64_t dropped_op;         /* storage was told to drop the log up to here */
    struct vr_snapshot snapshot; /* after the last step */
};

struct core_fixture {
    uint32_t count;
    struct configuration configuration;
    struct vr_options defaults; /* a test may change them before core_start() */
    uint64_t now_ns;
    int64_t wall_offset_ns; /* of the clock that timestamps come from */
    uint64_t nonce;
    uint64_t request_number;
    struct core_node nodes[REPLICAS_MAX];
    struct core_message queue[CORE_QUEUE_MAX]; /* oldest first */
    uint32_t queued;
    struct core_rule rules[CORE_RULES_MAX];
    uint32_t rule_count;
    struct message to_client; /* the last message to a client */
    uint32_t to_client_count;
    struct vr_output read; /* the last VR_OUT_READ, of replica read_from */
    uint32_t read_from;
    uint32_t read_count;
    struct vr_outputs outputs;
};

/* A group of `count` that is not started. */
void core_init(struct core_fixture *f, uint32_t count);
void core_free(struct core_fixture *f);

/* A first start, or after core_crash() one that recovers. f->defaults.checkpoint is what its state
 * was loaded from: at a first start a backup's (K3). */
void core_start(struct core_fixture *f, uint32_t node);

/* After core_crash(): a start that finds the first `held_op` entries of its log (D5); if that had
 * more, the rest is damaged, and it knows. */
void core_resume(struct core_fixture *f, uint32_t node, uint64_t held_op);

/* After core_crash(): a start that has to recover (D6), and finds the first `held_op` entries of
 * its log, of which it knows the first `commit_number` to be committed. */
void core_recover(struct core_fixture *f, uint32_t node, uint64_t held_op, uint64_t commit_number);

/* The log and all volatile state are gone; the state file keeps what was written. A write that was
 * held is lost; call core_state_written() before to have it kept. */
void core_crash(struct core_fixture *f, uint32_t node);

/* Starts all and runs until all are normal in one view; returns its primary. */
uint32_t core_form(struct core_fixture *f);

/* ---- rules of the network; the first that matches counts ---- */

void core_drop(struct core_fixture *f, int type, int from, int to);
void core_hold(struct core_fixture *f, int type, int from, int to);
void core_isolate(struct core_fixture *f, uint32_t node); /* both ways */
void core_no_rules(struct core_fixture *f);               /* what was held moves again */

/* ---- moving ---- */

/* Delivers everything that no rule holds, until nothing moves. Time stands still. */
void core_settle(struct core_fixture *f);

/* Lets time pass, a millisecond at a time: ticks that are due, then what they send. */
void core_run(struct core_fixture *f, uint64_t ms);

/* Runs until all that are up are normal in one view with the same commit number, at most `ms`.
 * Returns whether they are. */
bool core_run_until_normal(struct core_fixture *f, uint64_t ms);

/* Runs until some replica acts as primary of a view above `view_number`; returns it, or
 * REPLICAS_MAX after `ms`. */
uint32_t core_run_until_primary_above(struct core_fixture *f, uint64_t view_number, uint64_t ms);

/* Delivers the oldest queued message of this kind, held or not. Returns false if there is none. */
bool core_deliver(struct core_fixture *f, enum message_type type, int from, int to);

/* Forgets all queued messages of this kind. */
void core_discard(struct core_fixture *f, int type, int from, int to);

/* How many are queued; and the oldest, or NULL. */
uint32_t core_queued(const struct core_fixture *f, int type, int from, int to);
const struct message *core_oldest(const struct core_fixture *f, int type, int from, int to);

/* Puts another copy of the oldest of this kind behind the queue: a duplicate, or a replay. */
void core_duplicate(struct core_fixture *f, enum message_type type, int from, int to);

/* Steps a message that a test made into a node, as if `from` had sent it; a DoViewChange that names
 * no primary names the one that `from` knows (D10). */
void core_inject(struct core_fixture *f, uint32_t to, uint32_t from, struct message message);

/* Steps one tick now. */
void core_tick(struct core_fixture *f, uint32_t node);

/* A request of a new number with this body, straight into a node. */
void core_request(struct core_fixture *f, uint32_t node, const char *body);
/* The same with a given number: a client that resends. */
void core_request_again(struct core_fixture *f, uint32_t node, uint64_t request_number,
                        const char *body);
/* So many new ones, each committed, of a size that soon fills blocks of the log. */
void core_write_some(struct core_fixture *f, uint32_t primary, int count);

/* A read beside the log, of a new nonce, straight into a node. */
void core_read(struct core_fixture *f, uint32_t node, enum read_mode mode, uint64_t min_op);

/* ---- storage and execution ---- */

void core_state_written(struct core_fixture *f, uint32_t node); /* on disk, not reported */
void core_state_done(struct core_fixture *f, uint32_t node);    /* on disk and reported */
void core_log_done(struct core_fixture *f, uint32_t node);
void core_executed(struct core_fixture *f, uint32_t node);

/* The node takes a checkpoint of what it executed (K1), with so many chunks; returns what it is.
 * The same everywhere at the same op. */
struct checkpoint_id core_checkpoint(struct core_fixture *f, uint32_t node, uint64_t chunks);
/* The file of a checkpoint taken there turned out to be damaged. */
void core_unreadable(struct core_fixture *f, uint32_t node, uint64_t op_number);

void core_installed(struct core_fixture *f, uint32_t node); /* G4: the install is done, reported */

/* ---- looking ---- */

const struct vr_snapshot *core_see(const struct core_fixture *f, uint32_t node);

/* View numbers within their epoch, which is 1. */
uint64_t core_view(const struct core_fixture *f, uint32_t node);
uint64_t core_last_normal_view(const struct core_fixture *f, uint32_t node);

/* The acting primary of the latest view, or REPLICAS_MAX. */
uint32_t core_primary(const struct core_fixture *f);

/* True if the entry at this op has this body. */
bool core_holds(const struct core_fixture *f, uint32_t node, uint64_t op_number, const char *body);

/* What a node would say of its log. */
struct log_descriptor core_descriptor(const struct core_fixture *f, uint32_t node);

#endif
