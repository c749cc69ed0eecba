/* SPDX-License-Identifier: Apache-2.0 */
/* sim.h - a whole cluster in one process and one thread.
 *
 *     options.h    what a run is made of, drawn from its seed
 *     schedule.h   virtual time
 *     network.h    datagrams between nodes: lost, repeated, late, damaged, held back
 *     host.h       one replica's machine: core, executor, application, clock, state file, sockets
 *     client.h     one client process: a proxy, its sessions and what they ask for
 *     model.h      what the log's order must yield, by other code than the replicas run
 *     nemesis.h    crashes, partitions, pauses, holds, clocks: when and whom
 *     trace.h      what happened, on demand
 *     chart.h      the same as a sequence chart
 *     shrink.h     a failing run without what the failure does not need
 *     marks.h      which branches of the protocol were met
 *
 * The replicas are the real core, executor and applications, the clients real proxies, and between
 * them go the real bytes of common/wire. After every step the checkers (test/support/checkers.h)
 * look at what changed. One seed decides everything; separate generators for network, machines,
 * clocks and workload keep a change in one from shifting the others. */
#ifndef VR_SIM_H
#define VR_SIM_H

#include <setjmp.h>

#include "test/sim/chart.h"
#include "test/sim/client.h"
#include "test/sim/client_history.h"
#include "test/sim/differences.h"
#include "test/sim/host.h"
#include "test/sim/model.h"
#include "test/sim/nemesis.h"
#include "test/sim/network.h"
#include "test/support/checkers.h"

/* What a run, and all runs together, went through. One line each in sim_counts_print(). */
struct sim_counts {
    uint64_t messages; /* decoded, and stepped into a core or a proxy */
    uint64_t steps;    /* of cores */
    uint64_t virtual_ns;
    uint64_t healed;      /* runs that converged after their faults ended (I9) ... */
    uint64_t healing_ns;  /* ... and how long they took, together */
    uint64_t operations;  /* that clients got an answer to */
    uint64_t unknown;     /* whose outcome nobody knows */
    uint64_t failed;      /* surely not executed */
    uint64_t reads;       /* that replicas made beside the log */
    uint64_t reads_told;  /* of those, answers that clients took */
    uint64_t reads_stale; /* of those, of any replica */
    uint64_t seen;        /* operations, and pairs of scans, in the histories of keys; ... */
    uint64_t histories;   /* which were judged, ... */
    uint64_t undecided;   /* and were too hard */
    uint64_t committed;   /* ops */
    uint64_t crashes;
    uint64_t crashes_inside; /* between two outputs of a step */
    uint64_t clean_stops;
    uint64_t recoveries; /* ended */
    uint64_t pauses;
    uint64_t partitions;
    uint64_t holds;
    uint64_t black_holes;
    uint64_t wall_jumps;
    uint64_t client_crashes;
    uint64_t views_started;
    uint64_t view_changes; /* times that a replica entered one */
    uint64_t catchup_entries;
    uint64_t catchup_served;
    uint64_t prepares_resent;
    uint64_t busy;
    uint64_t lookups;
    uint64_t evictions;
    uint64_t split_messages;
    uint64_t parts_asked;
    uint64_t state_writes;
    uint64_t writes_lost; /* under way at a crash */
    uint64_t machine_crashes;
    uint64_t power_cuts;    /* of everybody at once, ... */
    uint64_t mass_kills;    /* or of every process */
    uint64_t disk_failures; /* that ended a replica (D4) */
    uint64_t failed_starts;
    uint64_t log_writes;
    uint64_t log_syncs;
    uint64_t logs_resumed; /* starts that found their log counting (D5); of those, and of others: */
    uint64_t logs_torn;
    uint64_t logs_faulty;
    uint64_t logs_broken;
    uint64_t logs_repaired; /* faulty ones that became whole again */
    uint64_t switches_unfinished;
    uint64_t rotted; /* replicas; of those, and beside them: */
    uint64_t sectors_rotted;
    uint64_t sectors_worn; /* of logs and checkpoints; they cannot be read */
    uint64_t segments_lost;
    uint64_t segments_cut;
    uint64_t state_rotted;
    uint64_t logs_refused;
    uint64_t read_failures;
    uint64_t logs_full;    /* they ended a replica */
    uint64_t disks_full;   /* times that all were */
    uint64_t mode_changes; /* D11 */
    uint64_t checkpoints;  /* taken */
    uint64_t checkpoints_offered;
    uint64_t checkpoints_installed;
    uint64_t chunks_sent;
    uint64_t logs_compacted; /* replicas that dropped entries */
    uint64_t segments_dropped;
    uint64_t checkpoint_failures;  /* calls of the disk that cost one, or a piece of one */
    uint64_t checkpoints_unusable; /* at a start */
    uint64_t checkpoints_rotted;
    uint64_t starts_from_checkpoint; /* K3 */
    uint64_t transfers_resumed;
    uint64_t logs_detached;      /* that ended before the checkpoint, or were another one there */
    uint64_t differed;           /* replicas whose state began to differ (K4); of those, ... */
    uint64_t diverged;           /* were told so, and left; ... */
    uint64_t rebuilt;            /* and came back */
    uint64_t wrong_answers;      /* meanwhile */
    uint64_t differences_loaded; /* checkpoints of such a state, at a start or from others */
    uint64_t differences_spread; /* runs in which more than f had one */
    uint64_t inbox_full;
    uint64_t log_full;
    uint64_t groups_lost;
    uint64_t groups_undecided; /* D5 */
    uint64_t disks_lost;
    uint64_t dropped[DROP_REASON_COUNT]; /* by cores */
    uint64_t wire_dropped[WIRE_DROP_COUNT];
    struct sim_network_counts network;
};

void sim_counts_add(struct sim_counts *total, const struct sim_counts *counts);
void sim_counts_print(const struct sim_counts *counts, FILE *out);

enum { SIM_ROOTS_MAX = 4096 };

struct sim {
    struct sim_options options;
    bool trace;
    struct sim_chart *chart; /* where the trace goes; NULL: to stdout */
    struct sim_schedule schedule;
    struct sim_network network;
    struct configuration configuration;
    struct sim_host hosts[SIM_REPLICAS_MAX];
    struct sim_client clients[SIM_PROXIES_MAX];
    struct sim_nemesis nemesis;
    struct prng machine_prng;
    struct prng workload_prng;
    uint32_t next_unique; /* makes operations and names differ */

    struct sim_history history;
    struct sim_views views;
    struct sim_executions executions;
    struct sim_digests digests;
    struct sim_differences differences;
    struct sim_model model;
    struct sim_client_history client_history;
    struct checksum checkpoint_roots[SIM_ROOTS_MAX]; /* K1: by op / interval; zero: not taken yet */
    struct sim_counts counts;

    bool healing;
    uint64_t healed_after_ns; /* of this run */
    bool exceeded;            /* more than f replicas were without memory at once */
    bool failed;
    struct sim_report report;
    uint64_t fingerprint; /* over every event: equal runs have equal ones */
    jmp_buf *escape;      /* where a failed INVARIANT of the product goes; NULL: nowhere */

    struct sim_memory arena_memory;
    struct arena arena; /* what one datagram decodes into */
    struct sim_memory whole_memory;
    struct arena whole; /* what a message that came in parts decodes into */
};

/* One run. *sim is zero at first, and keeps its memory between runs. Returns false if a checker, or
 * an INVARIANT of the product, found something: sim->report says what. */
bool sim_run(struct sim *sim, const struct sim_options *options);
void sim_free(struct sim *sim);

/* ---- for the parts ---- */

/* A checker's verdict; the first "no" ends the run. */
void sim_expect(struct sim *sim, bool ok);

/* Something that must not be, found by the simulator itself. */
__attribute__((format(printf, 2, 3))) void sim_fail(struct sim *sim, const char *format, ...);

void sim_mix(struct sim *sim, uint64_t value); /* into the fingerprint */

/* Nodes: replicas first, then clients. */
uint32_t sim_client_node(const struct sim *sim, uint32_t client);
struct net_address sim_address(const struct sim *sim, uint32_t node, enum sim_lane lane);
/* SIM_NODES_MAX if nobody has this address. */
uint32_t sim_node_at(const struct sim *sim, const struct net_address *address);

/* Sends what a wire sender emits, from a node's socket. */
void sim_emit(struct sim *sim, uint32_t from, enum sim_lane lane,
              const struct wire_datagram *datagrams, size_t count);

#endif
