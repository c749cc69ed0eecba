/* SPDX-License-Identifier: Apache-2.0 */
/* options.h - what one simulated run is made of; all of it follows from the seed.
 *
 * Each class of fault is switched off in a good part of the seeds, so that faults do not drown each
 * other (swarm testing), and limits are tiny in many, so that every bound is met. */
#ifndef VR_SIM_OPTIONS_H
#define VR_SIM_OPTIONS_H

#include "common/base/prng.h"
#include "common/base/types.h"
#include "test/sim/schedule.h"

#include <stdio.h>

enum { SIM_REPLICAS_MAX = 7, SIM_PROXIES_MAX = 4, SIM_SESSIONS_MAX = 8 };

enum sim_application {
    SIM_APPLICATION_KV,
    SIM_APPLICATION_ACCOUNTS,
};

enum { SIM_MOVES_MAX = 1024, SIM_DATAGRAMS_MAX = 1 << 17 };

/* Single things that a shrunk run is without (shrink.h), by their number in it: 1 is left out. */
struct sim_without {
    uint8_t moves[SIM_MOVES_MAX];         /* of the nemesis */
    uint8_t datagrams[SIM_DATAGRAMS_MAX]; /* they are sent, and never arrive; see `steady` */
};

/* Probabilities are per million; means are of exponential distributions; 0 means never. */
struct sim_options {
    uint64_t seed;
    uint64_t salt; /* other streams of chance for the same seed; 0: its own */
    bool steady; /* what befalls a datagram hangs on its link, types and their count alone, and what
                  * machines do on little else, so that leaving out one changes little for others */
    const struct sim_without *without; /* NULL: nothing is left out */
    uint64_t messages_max;             /* a run ends after so many; 0: it does not */

    /* The group. */
    uint32_t replica_count;
    enum sim_application application;
    bool small_group_limits; /* sessions are evicted */
    uint32_t sessions_max;
    uint64_t heartbeat_ns;
    uint64_t view_change_ns;
    uint64_t view_change_max_ns;
    uint64_t resend_ns;
    uint32_t datagram_size;
    uint32_t pipeline_max;
    uint32_t request_queue_max;
    uint32_t execute_lag_max;
    uint32_t view_sync_max;
    size_t log_memory_size;
    uint32_t inbox_max; /* datagrams in the kernel's buffer of one socket */
    uint32_t drain_max; /* events between two flushes */
    uint64_t drain_delay_ns;

    /* The network. */
    uint64_t delay_min_ns;
    uint64_t delay_mean_ns;
    uint32_t loss_ppm;
    bool loss_per_link; /* else the same everywhere */
    uint32_t duplicate_ppm;
    uint32_t replay_ppm;         /* some earlier datagram arrives again */
    uint32_t flip_ppm;           /* one bit of it is flipped */
    uint64_t hold_mean_ns;       /* between two holds of one message type on one link */
    uint64_t hold_max_ns;        /* how long one lasts at most */
    uint64_t held_types;         /* all of them at once, mostly a primary's; 0: one, any */
    uint64_t black_hole_mean_ns; /* between two spells in which a link drops large datagrams */
    uint64_t partition_mean_ns;  /* between two partitions */
    uint64_t partition_max_ns;   /* how long one lasts at most */

    /* Processes and machines. */
    uint64_t crash_mean_ns; /* between two crashes in the group */
    uint64_t down_max_ns;
    bool exceed_faults; /* more than f replicas may lose their memory at once */
    bool lose_disk; /* one restart finds an empty data directory, made anew by a careless hand */
    uint64_t pause_mean_ns;
    uint64_t pause_max_ns;
    bool
        sleepers_are_cut_off;   /* only primaries are paused, and the others cannot tell them that
                                 * they were replaced when they go on: only clients reach them (R2) */
    uint32_t clock_rate_spread; /* thousandths: rates are 1000 +- this */
    uint64_t wall_jump_mean_ns;
    uint64_t state_latency_ns; /* mean of a state-file write */
    uint64_t log_latency_ns;   /* mean of a log write; 0: durable at once */
    uint64_t execute_delay_ns; /* mean of what one batch of execution takes */

    /* Disks. */
    enum durability durability;
    uint64_t segment_size;
    uint32_t log_queue_size;    /* bytes of one of its halves */
    uint64_t power_cut_mean_ns; /* between two moments in which everybody stops at once */
    uint32_t machine_crash_ppm; /* of all crashes; the others only kill the process */
    uint64_t disk_fail_mean_ns; /* between two failures of some disk's write or sync */
    uint32_t rot_ppm;           /* of restarts that find files damaged, cut or gone */
    uint32_t read_fail_ppm;     /* of restarts that cannot read at the first try */
    uint32_t flush_stall_ppm;   /* of syncs of the log that take up to a second more */
    uint32_t mode_change_ppm;   /* of restarts that are in another mode (D11) */
    uint32_t start_end_ppm;     /* of restarts that end in the midst of what they write */
    uint32_t segment_end_ppm;   /* of segments that are begun; the power fails right behind it */
    uint32_t install_fail_ppm;  /* of installs whose end was to come; a call fails instead */
    uint64_t disk_full_mean_ns; /* between two times that all disks are full */
    uint64_t disk_full_max_ns;  /* how long one lasts at most */

    /* Checkpoints. */
    uint32_t checkpoint_interval; /* ops; 0: none are taken */
    uint64_t checkpoint_latency_ns;
    uint32_t log_retain;
    uint64_t transfer_rate;
    uint64_t checkpoint_pin_ns;
    size_t log_block_size;   /* 0: the log's own choice */
    uint64_t differ_mean_ns; /* between two times that some replica's state begins to differ (K4) */

    /* The clients. */
    uint32_t proxy_count;
    uint32_t session_count; /* of each proxy */
    uint32_t operation_count;
    uint32_t key_count;
    uint32_t value_size_max;
    uint64_t think_mean_ns;
    enum reads_mode reads;  /* what primaries do with reads beside the log */
    uint32_t reads_percent; /* of reads that are not asked through the log, ... */
    uint32_t stale_percent; /* and of those, that are asked of anybody (R4) */
    uint64_t request_timeout_ns;
    uint64_t client_crash_mean_ns;
    bool clients_ask_cluster; /* they do not know the cluster id (M7) */

    uint64_t safety_ns; /* how long faults go on */
    uint64_t heal_ns;   /* and how long the group may take afterwards (I9) */
    bool core_only;     /* healing brings back no more than the group needs */
};

/* `only`: this mode of durability instead of the one that the seed draws; NULL: that one. */
void sim_options_from_seed(struct sim_options *options, uint64_t seed, const enum durability *only);
void sim_options_print(const struct sim_options *options, FILE *out);

/* Exponentially distributed with the given mean, in integers alone: the same on every machine. */
uint64_t sim_exponential(struct prng *prng, uint64_t mean);

#endif
