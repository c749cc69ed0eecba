/* SPDX-License-Identifier: Apache-2.0 */
#include "test/sim/options.h"

#include <inttypes.h>

#include "common/base/message.h"
#include "server/storage/wal_format.h"

/* -log2 of a uniform number: the leading zeros give the whole part, the bits behind the leading one
 * the fraction (linearly, which is near enough); times ln 2 that is exponential with mean 1. */
uint64_t sim_exponential(struct prng *prng, uint64_t mean)
{
    const uint64_t random = prng_next(prng) | 1;
    const unsigned zeros = (unsigned)__builtin_clzll(random);
    const uint64_t fraction = zeros < 48 ? (random << zeros << 1) >> 48 : 0;
    const uint64_t log2_times_65536 = ((uint64_t)zeros + 1) * 65536 - fraction;
    /* ln 2 = 45426 / 65536 */
    return mean / 1024 * (log2_times_65536 * 45426 / 65536) / 64;
}

static bool half(struct prng *prng)
{
    return prng_chance(prng, 1, 2);
}

/* True in `percent` of all seeds. */
static bool percent(struct prng *prng, uint64_t part)
{
    return prng_chance(prng, part, 100);
}

static uint32_t draw(struct prng *prng, uint64_t low, uint64_t high)
{
    return (uint32_t)prng_between(prng, low, high);
}

/* Spread evenly over orders of magnitude. */
static uint64_t draw_scale(struct prng *prng, uint64_t low, uint64_t high)
{
    uint64_t scale = low;
    while (scale < high / 2 && half(prng)) {
        scale *= 2;
    }
    const uint64_t top = scale * 2 < high ? scale * 2 : high;
    return prng_between(prng, scale, top);
}

/* 3 and 5 most often: the smallest groups that tolerate one failure and two. */
static uint32_t draw_replica_count(struct prng *prng)
{
    static const uint8_t counts[20] = {1, 2, 3, 3, 3, 3, 3, 3, 3, 3, 3, 4, 5, 5, 5, 5, 5, 5, 6, 7};
    return counts[prng_below(prng, sizeof counts)];
}

static void draw_group(struct sim_options *o, struct prng *p)
{
    o->replica_count = draw_replica_count(p);
    o->application = percent(p, 20) ? SIM_APPLICATION_ACCOUNTS : SIM_APPLICATION_KV;
    o->small_group_limits = percent(p, 20);
    o->heartbeat_ns = percent(p, 70) ? 20 * SIM_MS : draw(p, 5, 50) * SIM_MS;
    o->view_change_ns = (percent(p, 70) ? 6 : draw(p, 3, 12)) * o->heartbeat_ns;
    o->view_change_max_ns = percent(p, 70) ? 2 * SIM_S : draw(p, 1, 8) * SIM_S;
    o->resend_ns = percent(p, 70) ? o->heartbeat_ns : draw(p, 5, 40) * SIM_MS;
    const bool tiny = percent(p, 40);
    o->datagram_size = percent(p, 10) ? draw(p, 1400, 60000)
                       : tiny         ? (half(p) ? 512 : draw(p, 512, 800))
                                      : 1400;
    o->pipeline_max = tiny || percent(p, 20) ? draw(p, 1, 8) : draw(p, 9, 256);
    o->request_queue_max = tiny || percent(p, 20) ? draw(p, 1, 8) : draw(p, 9, 256);
    o->execute_lag_max = percent(p, 30) ? draw(p, 1, 16) : draw(p, 17, 512);
    o->view_sync_max = o->pipeline_max + o->request_queue_max; /* the least (V12) */
    o->view_sync_max += percent(p, 30) ? draw(p, 1, 32) : draw(p, 33, 4096);
    o->log_memory_size = percent(p, 3) ? 128 * 1024 : 4 * 1024 * 1024;
    o->inbox_max = percent(p, 30) ? draw(p, 16, 64) : draw(p, 65, 1024);
    o->drain_max = percent(p, 40) ? draw(p, 1, 4) : draw(p, 5, 64);
    o->drain_delay_ns = percent(p, 60) ? 5 * SIM_US : draw(p, 1, 1000) * SIM_US;
}

static void draw_network(struct sim_options *o, struct prng *p)
{
    o->delay_min_ns = percent(p, 70) ? draw(p, 5, 100) * SIM_US : draw(p, 100, 5000) * SIM_US;
    o->delay_mean_ns = percent(p, 70) ? draw(p, 10, 1000) * SIM_US : draw(p, 1, 30) * SIM_MS;
    o->loss_ppm = percent(p, 40) ? 0 : (uint32_t)draw_scale(p, 1000, 300000);
    o->loss_per_link = half(p);
    o->duplicate_ppm = percent(p, 40) ? 0 : (uint32_t)draw_scale(p, 1000, 300000);
    o->replay_ppm = percent(p, 50) ? 0 : (uint32_t)draw_scale(p, 500, 20000);
    o->flip_ppm = percent(p, 70) ? 0 : (uint32_t)draw_scale(p, 500, 10000);
    o->hold_mean_ns = percent(p, 40) ? 0 : draw_scale(p, 1, 10) * SIM_S;
    o->hold_max_ns = draw_scale(p, 1, 20) * SIM_S;
    o->black_hole_mean_ns = percent(p, 90) ? 0 : draw_scale(p, 2, 20) * SIM_S;
    o->partition_mean_ns = percent(p, 40) ? 0 : draw_scale(p, 1000, 20000) * SIM_MS;
    o->partition_max_ns = draw_scale(p, 300, 20000) * SIM_MS;
}

static void draw_machines(struct sim_options *o, struct prng *p)
{
    o->crash_mean_ns = percent(p, 25) ? 0 : draw_scale(p, 1, 10) * SIM_S;
    o->down_max_ns = draw_scale(p, 200, 20000) * SIM_MS;
    o->exceed_faults = percent(p, 4);
    o->lose_disk = !o->exceed_faults && percent(p, 4);
    o->pause_mean_ns = percent(p, 60) ? 0 : draw_scale(p, 3, 20) * SIM_S;
    o->pause_max_ns = draw_scale(p, 200, 15000) * SIM_MS;
    o->clock_rate_spread = percent(p, 50) ? 0 : draw(p, 1, 200);
    o->wall_jump_mean_ns = percent(p, 60) ? 0 : draw_scale(p, 1, 20) * SIM_S;
    o->state_latency_ns = percent(p, 30) ? 0 : draw_scale(p, 100, 50000) * SIM_US;
    o->log_latency_ns = percent(p, 50) ? 0 : draw_scale(p, 20, 10000) * SIM_US;
    if (percent(p, 10)) {
        o->log_latency_ns = draw(p, 20, 200) * SIM_MS; /* installs take as long as views do */
    }
    o->execute_delay_ns = percent(p, 50) ? 10 * SIM_US : draw_scale(p, 50, 50000) * SIM_US;
}

static void draw_clients(struct sim_options *o, struct prng *p)
{
    o->proxy_count = draw(p, 1, SIM_PROXIES_MAX);
    o->session_count = draw(p, 1, SIM_SESSIONS_MAX);
    o->operation_count = draw(p, 300, 2000);
    const uint32_t sessions = o->proxy_count * o->session_count;
    o->sessions_max = o->small_group_limits ? draw(p, sessions / 2 + 1, sessions + 2) : 256;
    o->key_count = half(p) ? draw(p, 1, 4) : draw(p, 5, 64);
    o->value_size_max = percent(p, 1)   ? draw(p, 20000, 256 * 1024)
                        : percent(p, 6) ? draw(p, 2000, 20000)
                                        : draw(p, 16, 200);
    o->request_timeout_ns = percent(p, 30) ? draw(p, 200, 2000) * SIM_MS : draw(p, 2, 10) * SIM_S;
    o->client_crash_mean_ns = percent(p, 60) ? 0 : draw_scale(p, 2, 20) * SIM_S;
    o->clients_ask_cluster = percent(p, 30);
}

/* From a generator of its own, so that what was drawn before there were disks stays. */
static void draw_disks(struct sim_options *o, const enum durability *only)
{
    struct prng prng;
    struct prng *p = &prng;
    prng_seed(p, o->seed ^ UINT64_C(0xd15c000000000000));
    const uint64_t mode = prng_below(p, 100);
    o->durability = mode < 34 ? DURABILITY_MEMORY : mode < 64 ? DURABILITY_ASYNC : DURABILITY_SYNC;
    o->durability = only != NULL ? *only : o->durability;
    const uint64_t largest = (uint64_t)o->value_size_max + 2048;
    const uint64_t room = half(p) ? draw(p, 24, 64) : draw(p, 64, 512);
    o->segment_size = WAL_SEGMENT_HEADER_SIZE +
                      (room * 1024 > 2 * largest ? room * 1024 : 2 * largest) / 512 * 512;
    o->log_queue_size =
        (uint32_t)(largest + (half(p) ? draw(p, 0, 4096) : draw(p, 4096, 128 * 1024)));
    o->power_cut_mean_ns = half(p) ? 0 : draw_scale(p, 4, 40) * SIM_S;
    o->machine_crash_ppm = percent(p, 20) ? 0 : draw(p, 1, 10) * 100000;
    o->disk_fail_mean_ns = percent(p, 70) ? 0 : draw_scale(p, 4, 40) * SIM_S;
    o->rot_ppm = percent(p, 60) ? 0 : draw(p, 1, 5) * 200000;
    o->read_fail_ppm = percent(p, 70) ? 0 : draw(p, 1, 5) * 100000;
    o->flush_stall_ppm = percent(p, 60) ? 0 : draw(p, 1, 20) * 1000;
    o->mode_change_ppm = percent(p, 80) ? 0 : draw(p, 1, 5) * 100000;
    o->disk_full_mean_ns = percent(p, 75) ? 0 : draw_scale(p, 3, 20) * SIM_S;
    o->disk_full_max_ns = draw_scale(p, 1000, 10000) * SIM_MS;
    if (o->durability == DURABILITY_MEMORY) {
        o->power_cut_mean_ns = 0;
        o->disk_fail_mean_ns = 0;
        o->rot_ppm = 0;
        o->read_fail_ppm = 0;
        o->mode_change_ppm = 0;
        o->disk_full_mean_ns = 0;
    }
}

/* Mixtures that a fault was once found by and that chance alone makes too rarely, in some seeds
 * each; drawn from a stream of their own, so that the other seeds stay what they are. */
static void draw_mixture(struct sim_options *o, struct prng *p)
{
    const uint64_t mixture = prng_below(p, 100);
    if (mixture < 4) {
        /* D6: the primary's own log trails what the others have acked, and these crash. */
        o->replica_count = 3;
        o->log_latency_ns = draw(p, 100, 1000) * SIM_MS;
        o->crash_mean_ns = draw(p, 300, 1000) * SIM_MS;
        o->down_max_ns = 60 * SIM_MS;
        o->exceed_faults = false;
        o->lose_disk = false;
    } else if (mixture < 7) {
        /* C4: copies made by the network outlive their sessions. */
        o->duplicate_ppm = 300000;
        o->delay_mean_ns = draw(p, 10, 30) * SIM_MS;
        o->loss_ppm = 100000;
        o->small_group_limits = true;
        o->proxy_count = 4;
        o->session_count = draw(p, 2, 4);
        o->sessions_max = o->proxy_count * o->session_count / 3 + draw(p, 0, 2);
        o->hold_mean_ns = 1 * SIM_S;
    } else if (mixture < 10) {
        /* V12: replicas know of commits at very different times. */
        o->state_latency_ns = draw(p, 50, 400) * SIM_MS;
        o->crash_mean_ns = 2 * SIM_S;
        o->down_max_ns = 300 * SIM_MS;
        o->exceed_faults = false;
        o->view_sync_max = o->pipeline_max + o->request_queue_max;
    } else if (mixture < 12) {
        /* D10: what was said to a directory that is lost early arrives at the one made in its
         * place. */
        o->lose_disk = true;
        o->exceed_faults = false;
        o->crash_mean_ns = draw(p, 100, 400) * SIM_MS;
        o->down_max_ns = 60 * SIM_MS;
        o->view_change_ns = 12 * o->heartbeat_ns;
        o->delay_mean_ns = draw(p, 10, 30) * SIM_MS;
        o->loss_ppm = 200000;
        o->duplicate_ppm = 300000;
        o->hold_mean_ns = 300 * SIM_MS;
    }
}

/* G4: all that a primary says of its log is late, and comes while a checkpoint is pulled in its
 * place. */
static void late_prepares(struct sim_options *o, struct prng *p)
{
    o->replica_count = half(p) ? 3 : 5;
    o->heartbeat_ns = 50 * SIM_MS;
    o->view_change_ns = 12 * o->heartbeat_ns;
    o->resend_ns = draw(p, 20, 100) * SIM_MS;
    o->pipeline_max = 256;
    o->request_queue_max = 256;
    o->view_sync_max = 512 + draw(p, 1, 4096);
    o->inbox_max = 1024;
    o->delay_min_ns = draw(p, 100, 2000) * SIM_US;
    o->delay_mean_ns = draw(p, 5, 30) * SIM_MS;
    o->loss_ppm = 0;
    o->duplicate_ppm = half(p) ? 0 : 300000;
    o->partition_mean_ns = 0;
    o->hold_mean_ns = draw(p, 200, 800) * SIM_MS;
    o->hold_max_ns = draw(p, 500, 3000) * SIM_MS;
    o->held_types = UINT64_C(1) << MESSAGE_PREPARE | UINT64_C(1) << MESSAGE_COMMIT;
    o->state_latency_ns = 0;
    o->execute_delay_ns = 10 * SIM_US;
    o->value_size_max = draw(p, 16, 200);
    o->operation_count = 2000;
    o->checkpoint_interval = draw(p, 8, 12);
    o->checkpoint_latency_ns = 10 * SIM_US;
    o->log_retain = 0;
    o->log_block_size = 2048;
    o->transfer_rate = 1024 * 1024;
    o->log_memory_size = 4 * 1024 * 1024;
    o->safety_ns = 20 * SIM_S;
}

/* A disk in mode sync, below machines that lose power all the time. */
static void short_lives(struct sim_options *o, struct prng *p)
{
    o->durability = DURABILITY_SYNC;
    o->replica_count = half(p) ? 3 : 5;
    o->crash_mean_ns = draw(p, 300, 1500) * SIM_MS;
    o->down_max_ns = draw(p, 60, 400) * SIM_MS;
    o->machine_crash_ppm = 1000000;
    o->mode_change_ppm = 0;
    o->read_fail_ppm = 0;
    o->exceed_faults = false;
    o->lose_disk = false;
    o->loss_ppm = 0;
    o->value_size_max = o->value_size_max > 1000 ? 200 : o->value_size_max;
}

/* D6: a start that finds its log broken ends between any two of its steps. */
static void ends_within_starts(struct sim_options *o, struct prng *p)
{
    o->start_end_ppm = draw(p, 3, 7) * 100000;
    o->rot_ppm = 1000000;
    o->disk_fail_mean_ns = 0;
}

/* PS-2: a segment was begun, so that all before it is known to have been durable, and is empty. */
static void ends_of_segments(struct sim_options *o, struct prng *p)
{
    o->segment_end_ppm = draw(p, 1, 5) * 200000;
    o->segment_size = WAL_SEGMENT_HEADER_SIZE + (uint64_t)draw(p, 12, 24) * 512;
    o->log_queue_size = 4096;
    o->log_latency_ns = draw(p, 100, 5000) * SIM_US;
    o->rot_ppm = 1000000;
    o->disk_fail_mean_ns = 0;
}

/* PS-3: a checkpoint of several chunks comes, is not written after all, and is taken up again. */
static void transfers_that_fail(struct sim_options *o, struct prng *p)
{
    o->install_fail_ppm = draw(p, 4, 8) * 100000;
    o->down_max_ns = draw(p, 4, 12) * SIM_S;
    o->value_size_max = draw(p, 2000, 8000);
    o->key_count = draw(p, 16, 64);
    o->operation_count = 1000;
    o->log_memory_size = 16 * 1024 * 1024;
    const uint64_t largest = (uint64_t)o->value_size_max + 2048;
    o->segment_size = WAL_SEGMENT_HEADER_SIZE + 64 * 1024;
    o->log_queue_size = (uint32_t)largest + 4096;
    o->checkpoint_interval = draw(p, 40, 100);
    o->checkpoint_latency_ns = draw(p, 10, 1000) * SIM_US;
    o->log_retain = 0;
    o->log_block_size = 8192;
    o->inbox_max = 1024;
    o->rot_ppm = 300000;
    o->safety_ns = 20 * SIM_S;
}

/* Tiny intervals, so that a laggard finds the log gone again and again. */
static void draw_checkpoints(struct sim_options *o)
{
    struct prng prng;
    struct prng *p = &prng;
    prng_seed(p, o->seed ^ UINT64_C(0xc4ec000000000000));
    /* From a chunk or so in a heartbeat interval, to more than a window in one. */
    o->transfer_rate = (uint64_t)draw(p, 1, 64) * 1024 * 1024;
    struct prng pins; /* its own, so that what was drawn before stays */
    prng_seed(&pins, o->seed ^ UINT64_C(0xc4ee000000000000));
    o->checkpoint_pin_ns = draw_scale(&pins, 100, 10000) * SIM_MS;
    if (o->value_size_max > 20000 || percent(p, 15)) {
        return;
    }
    const bool large = o->value_size_max > 1000; /* of several chunks */
    o->checkpoint_interval = large ? draw(p, 40, 100) : half(p) ? draw(p, 8, 16) : draw(p, 17, 64);
    o->checkpoint_latency_ns =
        half(p) ? draw_scale(p, 10, 1000) * SIM_US : draw(p, 1, 100) * SIM_MS;
    /* Who has a disk comes back with most of its log: less is kept, so that it is a laggard. */
    const bool disk = o->durability != DURABILITY_MEMORY;
    o->log_retain = percent(p, disk ? 80 : 50) ? draw(p, 0, disk ? 8 : 16) : draw(p, 17, 300);
    o->log_block_size = half(p) ? 2048 : draw(p, 2048, 8192);
    /* A log that would not hold the run, but for what is dropped of it. */
    o->log_memory_size = half(p) && !large ? 192 * 1024 : o->log_memory_size;
    if (half(p) && !large) { /* segments that are over, and dropped, soon */
        o->segment_size = WAL_SEGMENT_HEADER_SIZE + (uint64_t)draw(p, 12, 40) * 512;
    }
    /* A chunk is more than a hundred of the smallest datagrams. */
    o->inbox_max = o->inbox_max < 256 ? 256 : o->inbox_max;
}

/* From a generator of its own; in half of the seeds all reads go through the log, as they did
 * before there was another way. */
static void draw_reads(struct sim_options *o)
{
    struct prng prng;
    struct prng *p = &prng;
    prng_seed(p, o->seed ^ UINT64_C(0x4ead000000000000));
    o->reads = READS_QUORUM;
    if (half(p)) {
        return;
    }
    o->reads_percent = percent(p, 50) ? 100 : draw(p, 20, 99);
    o->stale_percent = percent(p, 50) ? 0 : draw(p, 5, 50);
    o->reads = percent(p, 5) ? READS_LOG : READS_QUORUM;
}

/* R2: a primary that was replaced in its sleep is asked by clients who know of none but it, as soon
 * as it goes on. They ask seldom, so that each knows little of what the others have seen. */
static void draw_sleepers(struct sim_options *o)
{
    struct prng prng;
    struct prng *p = &prng;
    prng_seed(p, o->seed ^ UINT64_C(0x51ee000000000000));
    if (!percent(p, 3) || o->replica_count < 3 || o->exceed_faults || o->lose_disk ||
        o->value_size_max > 1000) {
        return;
    }
    o->sleepers_are_cut_off = true;
    o->heartbeat_ns = draw(p, 10, 30) * SIM_MS;
    o->view_change_ns = 4 * o->heartbeat_ns;
    o->view_change_max_ns = 16 * o->view_change_ns;
    o->state_latency_ns = draw(p, 1, 5) * SIM_MS;
    o->pause_mean_ns = draw(p, 1000, 2000) * SIM_MS;
    o->pause_max_ns = 10 * o->view_change_ns;
    o->crash_mean_ns = 0;
    o->power_cut_mean_ns = 0;
    o->disk_fail_mean_ns = 0;
    o->disk_full_mean_ns = 0;
    o->partition_mean_ns = 0;
    o->hold_mean_ns = 0;
    o->client_crash_mean_ns = 0;
    o->differ_mean_ns = 0;
    o->loss_ppm = 0;
    o->proxy_count = SIM_PROXIES_MAX;
    o->session_count = 1;
    o->sessions_max = o->small_group_limits ? SIM_PROXIES_MAX : o->sessions_max;
    o->operation_count = draw(p, 200, 600);
    o->reads = READS_QUORUM;
    o->reads_percent = 100;
    o->stale_percent = 0;
}

/* The same for mixtures of disks and checkpoints, over what was drawn of them. */
static void draw_disk_mixture(struct sim_options *o, const enum durability *only)
{
    struct prng prng;
    struct prng *p = &prng;
    prng_seed(p, o->seed ^ UINT64_C(0xd157000000000000));
    const uint64_t mixture = prng_below(p, 100);
    if (mixture < 3) {
        late_prepares(o, p);
    } else if (mixture < 12 && (only == NULL || *only == DURABILITY_SYNC)) {
        short_lives(o, p);
        if (mixture < 6) {
            ends_within_starts(o, p);
        } else if (mixture < 9) {
            ends_of_segments(o, p);
        } else {
            transfers_that_fail(o, p);
        }
    }
}

/* In few seeds: what clients see is judged less strictly then. */
static void draw_differences(struct sim_options *o)
{
    struct prng prng;
    struct prng *p = &prng;
    prng_seed(p, o->seed ^ UINT64_C(0xd1ff000000000000));
    if (!percent(p, 5) || o->replica_count < 3 || o->checkpoint_interval == 0 || o->exceed_faults ||
        o->lose_disk) {
        return;
    }
    o->differ_mean_ns = draw_scale(p, 2, 16) * SIM_S;
    o->core_only = false; /* a quorum of others is to be there to compare with */
    /* K4 promises nothing for what is answered until then. Wrong answers of entries are known by
     * their ops, and excused; those of reads are not, so there are none. */
    o->reads_percent = 0;
}

void sim_options_from_seed(struct sim_options *options, uint64_t seed, const enum durability *only)
{
    struct prng prng;
    prng_seed(&prng, seed);
    *options = (struct sim_options){.seed = seed};
    draw_group(options, &prng);
    draw_network(options, &prng);
    draw_machines(options, &prng);
    draw_clients(options, &prng);
    struct prng mixture;
    prng_seed(&mixture, ~seed);
    draw_mixture(options, &mixture);
    options->safety_ns = draw(&prng, 15, 40) * SIM_S;
    /* I9: after the last old message, so many view change timeouts, and so many at their cap. */
    options->heal_ns =
        options->hold_max_ns + 20 * options->view_change_ns + 10 * options->view_change_max_ns;
    options->core_only = half(&prng);
    /* Large values need a log that holds them. */
    if (options->value_size_max > 20000) {
        options->log_memory_size = 64 * 1024 * 1024;
        options->operation_count = options->operation_count / 16;
        /* One value is hundreds of datagrams: a socket that holds 25 would never see a whole one.
         */
        options->inbox_max = 1024;
        options->drain_max = 64;
        options->drain_delay_ns = 5 * SIM_US;
    } else if (options->value_size_max > 1000) {
        options->log_memory_size = 16 * 1024 * 1024;
        options->operation_count = options->operation_count / 4;
    }
    draw_disks(options, only);
    draw_checkpoints(options);
    draw_reads(options);
    draw_disk_mixture(options, only);
    draw_differences(options);
    draw_sleepers(options);
    /* The clients' pace spreads their operations over the faulty time. */
    const uint64_t sessions = (uint64_t)options->proxy_count * options->session_count;
    options->think_mean_ns = options->safety_ns * sessions / options->operation_count / 2;
}

void sim_options_print(const struct sim_options *o, FILE *out)
{
    const double ms = 1e6;
    fprintf(out,
            "seed %" PRIu64 ": n=%u %s sessions_max=%u heartbeat=%.0fms T=%.0fms cap=%.0fms "
            "resend=%.0fms budget=%u pipeline=%u queue=%u lag=%u view_sync=%u log=%zuKiB "
            "inbox=%u drain=%u/%.3fms\n",
            o->seed, o->replica_count, o->application == SIM_APPLICATION_KV ? "kv" : "accounts",
            o->sessions_max, (double)o->heartbeat_ns / ms, (double)o->view_change_ns / ms,
            (double)o->view_change_max_ns / ms, (double)o->resend_ns / ms, o->datagram_size,
            o->pipeline_max, o->request_queue_max, o->execute_lag_max, o->view_sync_max,
            o->log_memory_size / 1024, o->inbox_max, o->drain_max, (double)o->drain_delay_ns / ms);
    fprintf(out,
            "  network: delay=%.3f+%.3fms loss=%uppm%s dup=%uppm replay=%uppm flip=%uppm "
            "hold=%.0f/%.0fms%s black_hole=%.0fms partition=%.0f/%.0fms\n",
            (double)o->delay_min_ns / ms, (double)o->delay_mean_ns / ms, o->loss_ppm,
            o->loss_per_link ? " per link" : "", o->duplicate_ppm, o->replay_ppm, o->flip_ppm,
            (double)o->hold_mean_ns / ms, (double)o->hold_max_ns / ms,
            o->held_types != 0 ? " of all" : "", (double)o->black_hole_mean_ns / ms,
            (double)o->partition_mean_ns / ms, (double)o->partition_max_ns / ms);
    fprintf(out,
            "  machines: crash=%.0f/%.0fms%s%s pause=%.0f/%.0fms clock=+-%u/1000 wall_jump=%.0fms "
            "state=%.3fms log=%.3fms execute=%.3fms\n",
            (double)o->crash_mean_ns / ms, (double)o->down_max_ns / ms,
            o->exceed_faults ? " more than f" : "", o->lose_disk ? " a disk is lost" : "",
            (double)o->pause_mean_ns / ms, (double)o->pause_max_ns / ms, o->clock_rate_spread,
            (double)o->wall_jump_mean_ns / ms, (double)o->state_latency_ns / ms,
            (double)o->log_latency_ns / ms, (double)o->execute_delay_ns / ms);
    fprintf(out,
            "  disks: %s segment=%" PRIu64 " queue=%u power_cut=%.0fms machine=%uppm fail=%.0fms "
            "rot=%uppm read_fail=%uppm stall=%uppm mode=%uppm full=%.0f/%.0fms "
            "start_end=%uppm segment_end=%uppm install_fail=%uppm\n",
            durability_name(o->durability), o->segment_size, o->log_queue_size,
            (double)o->power_cut_mean_ns / ms, o->machine_crash_ppm,
            (double)o->disk_fail_mean_ns / ms, o->rot_ppm, o->read_fail_ppm, o->flush_stall_ppm,
            o->mode_change_ppm, (double)o->disk_full_mean_ns / ms, (double)o->disk_full_max_ns / ms,
            o->start_end_ppm, o->segment_end_ppm, o->install_fail_ppm);
    fprintf(out,
            "  checkpoints: every %u ops, latency=%.3fms retain=%u rate=%" PRIu64
            "MiB/s pin=%.0fms block=%zu differ=%.0fms\n",
            o->checkpoint_interval, (double)o->checkpoint_latency_ns / ms, o->log_retain,
            o->transfer_rate / (1024 * 1024), (double)o->checkpoint_pin_ns / ms, o->log_block_size,
            (double)o->differ_mean_ns / ms);
    fprintf(out,
            "  clients: %u x %u sessions, %u operations, %u keys, values to %u, think=%.3fms "
            "timeout=%.0fms crash=%.0fms%s; %.0fs of faults%s\n",
            o->proxy_count, o->session_count, o->operation_count, o->key_count, o->value_size_max,
            (double)o->think_mean_ns / ms, (double)o->request_timeout_ns / ms,
            (double)o->client_crash_mean_ns / ms, o->clients_ask_cluster ? " ask the cluster" : "",
            (double)o->safety_ns / 1e9, o->core_only ? ", then a core" : "");
    fprintf(out, "  reads: %s, %u%% beside the log, %u%% of these stale\n",
            reads_mode_name(o->reads), o->reads_percent, o->stale_percent);
}
