/* SPDX-License-Identifier: Apache-2.0 */
/* world.h - a small group of real cores in which everything that can happen next is a list of
 * actions: the world of the exhaustive search.
 *
 * An action changes one node and the network. What it changes is saved before and put back after,
 * so that a search can go down one branch, return and go down the next. Memory stays where it is:
 * cores point into their own logs.
 *
 * Time. Each node has a clock of its own, which stands still but for its own timers: a tick takes
 * it to the earliest deadline, a suspicion to the one at which it stops believing in its primary.
 * So any order of timers and messages is possible, and equal states are equal whatever the clocks
 * say: times count only as distances from now.
 *
 * Loss is not an action of its own. A message that is never delivered is lost, the invariants are
 * checked after every step, and nothing has to happen: whatever a group can do in which some
 * messages were lost, it does here with them still on their way. Nor is a node that is down: a
 * crash and the start after it are one action, and what does not happen between them is silence.
 *
 * Threads:   none.
 * Ownership: letters are in the world's arena, and go with the step back. */
#ifndef VR_EXPLORE_WORLD_H
#define VR_EXPLORE_WORLD_H

#include "server/vr/replica.h"
#include "test/support/checkers.h"

enum {
    WORLD_NODES = 3,
    WORLD_REQUESTS_MAX = 4,
    WORLD_OPS_MAX = 12,      /* entries of any log */
    WORLD_LETTERS_MAX = 192, /* on their way at the same time */
    WORLD_LIVES_MAX = 4,     /* starts of one node */
    WORLD_ACTIONS_MAX = WORLD_LETTERS_MAX + WORLD_NODES * (WORLD_REQUESTS_MAX + 8),
    WORLD_LOG_SIZE = 64 * 1024,
    WORLD_LOG_BOTTOM = 1024, /* what entries may fill of that, from below, */
    WORLD_LOG_TOP = 512,     /* and their index, from above */
    WORLD_KEPT_MAX = 8,      /* answers and Prepares that wait in one node */
    WORLD_KEPT_SIZE = 1024,  /* bytes of one of these */
};

/* What may happen in a world: each counts down. */
struct world_budget {
    uint32_t requests;    /* different operations of clients */
    uint32_t submissions; /* times that one of them reaches a primary */
    uint32_t suspicions;  /* times that somebody gives its primary up */
    uint32_t ticks;       /* heartbeats, and whatever is sent again */
    uint32_t crashes;
    uint32_t views;  /* view changes behind the view that all begin in */
    bool sync;       /* logs survive a crash (D5); else the crashed one recovers (D6) */
    bool slow_disks; /* state file and log are durable later, as an action of its own */
};

enum world_action_kind {
    WORLD_DELIVER,
    WORLD_REQUEST,
    WORLD_SUSPECT,
    WORLD_TICK,
    WORLD_STATE_DONE,
    WORLD_LOG_DONE,
    WORLD_CRASH,
    WORLD_CRASH_WRITTEN, /* what was being written is found on the disk */
};

struct world_action {
    enum world_action_kind kind;
    uint32_t node;
    uint32_t request; /* WORLD_REQUEST: which */
    uint64_t letter;  /* WORLD_DELIVER: its hash */
};

/* A message on its way. */
struct world_letter {
    uint64_t hash; /* of sender, receiver and its wire form */
    uint32_t from; /* member indices */
    uint32_t to;
    struct message message; /* what it borrows lies behind the letter */
};

/* What of a node is not in its core. */
struct world_node {
    uint64_t now_ns;
    uint64_t incarnation;
    uint64_t hash; /* of the node, its core included */
    struct vr_durable_state disk;
    uint64_t durable_op; /* of its log, as reported to the core */
    bool state_waits;
    uint64_t state_number;
    struct vr_durable_state state_writing;
    bool log_waits;
    uint64_t log_generation;
    uint64_t log_cut;
    uint64_t log_op;
    uint64_t vote_heard; /* the latest view that a vote came for in this life */
    uint32_t submitted;  /* bit k: request k reached it */
    struct sim_observed observed;
    struct checksum chain[WORLD_OPS_MAX + 1];
};

/* Everything but the cores' memory: small enough to be copied at every step. */
struct world_now {
    struct world_budget left;
    struct world_node nodes[WORLD_NODES];
    uint32_t letter_count;
    const struct world_letter *letters[WORLD_LETTERS_MAX];
    uint64_t letters_hash; /* a sum: their order does not count */
    size_t arena_used;
    uint64_t committed;
    uint64_t acknowledged;
    struct checksum committed_checksums[WORLD_OPS_MAX + 1];
    uint64_t committed_views[WORLD_OPS_MAX + 1];
    size_t views_count;
    uint64_t views_hash;
    bool cut; /* a bound of the search was met: nothing behind this state is looked at */
};

/* One core's memory, as much of it as is in use. */
struct world_image {
    uint8_t head[offsetof(struct replica, in_flight)];
    struct in_flight_slot slots[WORLD_OPS_MAX + 1];
    uint32_t buckets[WORLD_REQUESTS_MAX];
    uint8_t log_bottom[2][WORLD_LOG_BOTTOM];
    uint8_t log_top[2][WORLD_LOG_TOP];
    uint32_t sync_count;
    struct {
        uint32_t index;
        uint8_t head[offsetof(struct sync_slot, entries)];
        uint8_t entries[WORLD_KEPT_SIZE];
    } sync[SYNC_WINDOW_MAX];
    uint32_t stash_count;
    struct {
        uint32_t index;
        uint8_t head[offsetof(struct stash_slot, entries)];
        uint8_t entries[WORLD_KEPT_SIZE];
    } stash[WORLD_KEPT_MAX];
};

struct world {
    struct configuration configuration;
    struct vr_options defaults;
    struct world_now now;
    struct replica *replicas[WORLD_NODES];
    void *log_memory[WORLD_NODES][2];
    uint32_t buckets[WORLD_NODES][WORLD_LIVES_MAX][WORLD_REQUESTS_MAX];
    uint8_t *arena;
    struct vr_outputs outputs;
    struct sim_history history; /* its arrays are in `now` */
    struct sim_views views;
    bool failed;
    struct sim_report report;
    uint64_t first_view; /* that the search begins in */
    uint64_t restored;   /* times that a step was taken back */

    struct world_now root;
    struct world_image root_images[WORLD_NODES];
};

/* Forms the group, with nothing on its way, and takes that for the root. */
void world_init(struct world *world, const struct world_budget *budget);
void world_free(struct world *world);
void world_to_root(struct world *world);

/* What can happen now; returns how many. */
uint32_t world_actions(const struct world *world, struct world_action *actions);

/* False: it cannot happen here (a path that was shortened). world->failed says whether an invariant
 * broke; one of the core's own goes to invariant_failed(). */
bool world_act(struct world *world, const struct world_action *action);

/* Of the whole world: budgets, cores, letters and what the checkers remember. */
uint64_t world_hash(const struct world *world);

/* Before and after an action on `node`. */
void world_save(const struct world *world, uint32_t node, struct world_now *now,
                struct world_image *image);
void world_restore(struct world *world, uint32_t node, const struct world_now *now,
                   const struct world_image *image);

/* One line for a path; NULL-terminated, cut to `size`. */
void world_action_text(const struct world *world, const struct world_action *action, char *text,
                       size_t size);

/* world_hash.c */
uint64_t world_node_hash(const struct world *world, uint32_t node);
uint64_t world_letter_hash(const struct world_letter *letter);
uint64_t world_mix(uint64_t hash, const void *bytes, size_t size);

/* world_image.c */
void world_image_save(const struct world *world, uint32_t node, struct world_image *image);
void world_image_restore(struct world *world, uint32_t node, const struct world_image *image);
void world_find_buckets(struct world *world, uint32_t node, uint64_t life, uint64_t seed);
struct client_id world_client(uint32_t request); /* each request has a session of its own */

#endif
