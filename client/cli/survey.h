/* SPDX-License-Identifier: Apache-2.0 */
/* survey.h - what every replica says of itself: one StatusRequest each, answered in parallel (M7).
 *
 * Threads: the caller's. Memory: one allocation per answer; survey_free() releases them. */
#ifndef VR_CLI_SURVEY_H
#define VR_CLI_SURVEY_H

#include "client/proxy/proxy.h"
#include "common/base/message.h"

struct survey_counter {
    char name[STATUS_TEXT_MAX];
    uint64_t value;
};

/* One replica's answer, copied. */
struct survey_report {
    uint32_t replica_id;
    uint64_t view_number;
    uint64_t last_normal_view;
    enum vr_status status;
    bool acting_primary;
    uint64_t op_number;
    uint64_t commit_number;
    uint64_t executed_op;
    uint64_t uptime_s;
    uint64_t disk_bytes;
    enum durability durability;
    uint64_t digest_op;
    struct checksum digest;
    uint32_t silent_mask;
    uint32_t suspect_mask;
    struct configuration configuration; /* as this replica has it (E0) */
    uint64_t rtt_ns;                    /* of the request that was answered */
    char version[STATUS_TEXT_MAX];
    char note[STATUS_TEXT_MAX];
    uint32_t counter_count;
    struct survey_counter *counters;
};

struct survey_target {
    struct net_address address;
    char name[HOST_SIZE_MAX + 8]; /* as the configuration writes it, else as numbers */
    bool answered;
    struct survey_report report;
    struct refused refusal; /* it cannot be understood: another version; reason 0: it can */
};

struct survey {
    uint64_t cluster_id; /* 0: nobody answered */
    bool has_configuration;
    struct configuration configuration;
    uint32_t target_count; /* the members in configuration order; the seeds while nobody answered */
    struct survey_target targets[PROXY_SEEDS_MAX];
    struct refused refusal; /* a wrong cluster or version; reason 0: none */
    uint64_t took_ns;
};

/* Asks until all have answered, or timeout_ms passed; once one has, the others get half a second,
 * or a few round trips. Returns 0 or a negative errno. */
int survey_run(struct survey *survey, const struct net_address *seeds, uint32_t seed_count,
               uint32_t timeout_ms, uint32_t datagram_size);

void survey_free(struct survey *survey);

#endif
