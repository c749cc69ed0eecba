/* SPDX-License-Identifier: Apache-2.0 */
#include "test/sim/shrink.h"

#include <string.h>

enum {
    KIND_MAX = 128,
    SALTS = 3,         /* other streams that a simplification is tried with */
    SALTS_SEARCH = 40, /* ... and that are tried for a shorter run */
    ROUNDS_MAX = 4,
};

struct shrinker {
    struct sim *sim;
    struct sim_shrunk *best;
    uint64_t runs_max;
    uint64_t next_salt;
    char kind[KIND_MAX];
    /* Of the best run. */
    uint64_t moves;
    uint64_t datagrams;
};

/* What a report says before its details: "I7", or the INVARIANT. */
static void kind_of(const struct sim_report *report, char *kind)
{
    const bool invariant = strncmp(report->text, "INVARIANT", 9) == 0;
    const size_t length = strcspn(report->text, invariant ? "," : ":");
    (void)snprintf(kind, KIND_MAX, "%.*s", (int)(length < KIND_MAX ? length : KIND_MAX - 1),
                   report->text);
}

/* True, and `candidate` is the best now, if it fails in the same way within so many messages. */
static bool try(struct shrinker *s, const struct sim_options *candidate, uint64_t messages_max)
{
    char kind[KIND_MAX];
    struct sim_options options = *candidate;
    if (s->best->runs >= s->runs_max) {
        return false;
    }
    s->best->runs++;
    options.messages_max = messages_max;
    if (sim_run(s->sim, &options)) {
        return false;
    }
    kind_of(&s->sim->report, kind);
    if (strcmp(kind, s->kind) != 0) {
        return false;
    }
    s->best->options = options;
    s->best->report = s->sim->report;
    s->best->messages = s->sim->counts.messages;
    s->moves = s->sim->nemesis.move_count;
    s->datagrams = s->sim->network.counts.sent;
    return true;
}

/* ---- options ---- */

static bool set_u32(uint32_t *field, uint32_t value)
{
    const bool changes = *field != value;
    *field = value;
    return changes;
}

static bool set_u64(uint64_t *field, uint64_t value)
{
    const bool changes = *field != value;
    *field = value;
    return changes;
}

static bool clear(bool *field)
{
    const bool changes = *field;
    *field = false;
    return changes;
}

/* Makes it simpler in the way of this number; false: it is already. */
static bool simplify(struct sim_options *o, unsigned way)
{
    switch (way) {
    case 0:
        return o->replica_count > 3 && set_u32(&o->replica_count, 3);
    case 1:
        return set_u32(&o->proxy_count, 1);
    case 2:
        return set_u32(&o->session_count, 1);
    case 3:
        return o->session_count > 1 && set_u32(&o->session_count, o->session_count / 2);
    case 4:
        return o->operation_count > 1 && set_u32(&o->operation_count, o->operation_count / 8 + 1);
    case 5:
        return set_u32(&o->loss_ppm, 0);
    case 6:
        return set_u32(&o->duplicate_ppm, 0);
    case 7:
        return set_u32(&o->replay_ppm, 0);
    case 8:
        return set_u32(&o->flip_ppm, 0);
    case 9:
        return set_u64(&o->hold_mean_ns, 0);
    case 10:
        return set_u64(&o->black_hole_mean_ns, 0);
    case 11:
        return set_u64(&o->partition_mean_ns, 0);
    case 12:
        return set_u64(&o->crash_mean_ns, 0);
    case 13:
        return set_u64(&o->pause_mean_ns, 0);
    case 14:
        return set_u64(&o->client_crash_mean_ns, 0);
    case 15:
        return set_u64(&o->wall_jump_mean_ns, 0);
    case 16:
        return set_u32(&o->clock_rate_spread, 0);
    case 17:
        return set_u64(&o->power_cut_mean_ns, 0);
    case 18:
        return set_u64(&o->disk_fail_mean_ns, 0);
    case 19:
        return set_u64(&o->disk_full_mean_ns, 0);
    case 20:
        return set_u32(&o->rot_ppm, 0) | set_u32(&o->read_fail_ppm, 0);
    case 21:
        return set_u32(&o->flush_stall_ppm, 0) | set_u32(&o->mode_change_ppm, 0);
    case 22:
        return set_u32(&o->machine_crash_ppm, 0);
    case 23:
        return set_u32(&o->checkpoint_interval, 0);
    case 24:
        return set_u64(&o->log_latency_ns, 0);
    case 25:
        return set_u64(&o->state_latency_ns, 0);
    case 26:
        return clear(&o->exceed_faults) | clear(&o->lose_disk) | clear(&o->core_only);
    case 27:
        return clear(&o->clients_ask_cluster);
    case 28:
        return o->value_size_max > 32 && set_u32(&o->value_size_max, 32);
    case 29:
        return set_u32(&o->key_count, 1);
    case 30:
        return set_u64(&o->delay_mean_ns, 100 * SIM_US) | set_u64(&o->delay_min_ns, 10 * SIM_US);
    case 31:
        return o->safety_ns > SIM_S && set_u64(&o->safety_ns, o->safety_ns / 2);
    default:
        return false;
    }
}

enum { WAYS = 32 };

/* As it is, or with other streams of chance, while it gets no longer by it, or hardly. */
static bool try_simplified(struct shrinker *s, unsigned way)
{
    struct sim_options candidate = s->best->options;
    if (!simplify(&candidate, way)) {
        return false;
    }
    const uint64_t messages_max = s->best->messages + s->best->messages / 8 + 20;
    for (unsigned i = 0; i <= SALTS; i++) {
        if (try(s, &candidate, messages_max)) {
            return true;
        }
        candidate.salt = ++s->next_salt;
    }
    return false;
}

static void shrink_options(struct shrinker *s)
{
    bool simpler = true;
    for (unsigned round = 0; round < ROUNDS_MAX && simpler; round++) {
        simpler = false;
        for (unsigned way = 0; way < WAYS; way++) {
            simpler = try_simplified(s, way) || simpler;
        }
    }
}

static void search_shorter(struct shrinker *s)
{
    for (unsigned i = 0; i < SALTS_SEARCH && s->best->messages > 1; i++) {
        struct sim_options candidate = s->best->options;
        candidate.salt = ++s->next_salt;
        (void)try(s, &candidate, s->best->messages - 1);
    }
}

/* ---- single faults, single datagrams ---- */

/* Leaves out runs of `left_out`, long ones first, as long as the failure stays; `count` changes as
 * the run gets shorter. False if nothing could be left out. */
static bool shrink_set(struct shrinker *s, uint8_t *left_out, size_t capacity,
                       const uint64_t *count)
{
    static uint8_t kept[SIM_DATAGRAMS_MAX]; /* the larger of the two */
    bool smaller = false;
    size_t size = (size_t)*count < capacity ? (size_t)*count : capacity;
    for (size_t chunk = size; chunk > 0; chunk /= 2) {
        for (size_t at = 0; at < capacity && at < *count; at += chunk) {
            const size_t end = at + chunk < capacity ? at + chunk : capacity;
            size_t changed = 0;
            memcpy(kept + at, left_out + at, end - at);
            for (size_t i = at; i < end; i++) {
                changed += left_out[i] == 0 ? 1 : 0;
                left_out[i] = 1;
            }
            if (changed > 0 && try(s, &s->best->options, s->best->messages)) {
                smaller = true;
            } else {
                memcpy(left_out + at, kept + at, end - at);
            }
        }
    }
    return smaller;
}

bool sim_shrink(struct sim *sim, const struct sim_options *failing, uint64_t runs_max,
                struct sim_shrunk *shrunk)
{
    struct shrinker s = {.sim = sim, .best = shrunk, .runs_max = runs_max};
    memset(shrunk, 0, sizeof *shrunk);
    if (sim_run(sim, failing)) {
        return false;
    }
    kind_of(&sim->report, s.kind);
    shrunk->options = *failing;
    (void)try(&s, failing, 0);
    shrunk->messages_before = shrunk->messages;
    shrink_options(&s);
    search_shorter(&s);
    shrink_options(&s);
    shrunk->options.without = &shrunk->without;
    bool smaller = true;
    for (unsigned round = 0; round < ROUNDS_MAX && smaller; round++) {
        smaller = shrink_set(&s, shrunk->without.moves, SIM_MOVES_MAX, &s.moves);
        smaller =
            shrink_set(&s, shrunk->without.datagrams, SIM_DATAGRAMS_MAX, &s.datagrams) || smaller;
    }
    shrunk->options.messages_max = 0;
    return true;
}
