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
    struct sim_sent sent[SIM_DATAGRAMS_MAX];
    struct sim_sent sent_now[SIM_DATAGRAMS_MAX]; /* of the one that runs */
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
    s->datagrams = s->sim->network.counts.sent < SIM_DATAGRAMS_MAX ? s->sim->network.counts.sent
                                                                   : SIM_DATAGRAMS_MAX;
    memcpy(s->sent, s->sent_now, (size_t)s->datagrams * sizeof s->sent[0]);
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

/* Of changes that go together; each is made. */
static bool any(bool a, bool b)
{
    return a || b;
}

/* Makes it simpler in the way of this number; false: it is already. */
static bool simplify(struct sim_options *o, unsigned way)
{
    switch (way) {
    case 0: {
        const bool changes = !o->steady;
        o->steady = true;
        return changes;
    }
    case 32:
        return o->replica_count > 3 && set_u32(&o->replica_count, 3);
    case 33:
        return o->replica_count > 5 && set_u32(&o->replica_count, 5);
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
        return any(set_u32(&o->rot_ppm, 0), set_u32(&o->read_fail_ppm, 0));
    case 21:
        return any(set_u32(&o->flush_stall_ppm, 0), set_u32(&o->mode_change_ppm, 0));
    case 22:
        return set_u32(&o->machine_crash_ppm, 0);
    case 23:
        return set_u32(&o->checkpoint_interval, 0);
    case 24:
        return set_u64(&o->log_latency_ns, 0);
    case 25:
        return set_u64(&o->state_latency_ns, 0);
    case 26:
        return any(clear(&o->exceed_faults), any(clear(&o->lose_disk), clear(&o->core_only)));
    case 27:
        return clear(&o->clients_ask_cluster);
    case 28:
        return o->value_size_max > 32 && set_u32(&o->value_size_max, 32);
    case 29:
        return set_u32(&o->key_count, 1);
    case 30:
        return any(set_u64(&o->delay_mean_ns, 100 * SIM_US),
                   set_u64(&o->delay_min_ns, 10 * SIM_US));
    case 31:
        return o->safety_ns > SIM_S && set_u64(&o->safety_ns, o->safety_ns / 2);
    default:
        return false;
    }
}

enum { WAYS = 34, WAY_STEADY = 0, WAY_THREE = 32 };

/* As it is, or with other streams of chance, while it gets no longer by it, or hardly. */
static bool try_simplified(struct shrinker *s, unsigned way)
{
    struct sim_options candidate = s->best->options;
    if (!simplify(&candidate, way)) {
        return false;
    }
    const uint64_t messages_max = s->best->messages + s->best->messages / 8 + 20;
    /* These two are worth a long search: all that follows is easier for them. */
    const unsigned salts = way == WAY_STEADY || way == WAY_THREE ? SALTS_SEARCH : SALTS;
    for (unsigned i = 0; i <= salts; i++) {
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

/* ---- single faults ---- */

/* Leaves out runs of them, long ones first, as long as the failure stays. */
static bool shrink_moves(struct shrinker *s)
{
    uint8_t *left_out = s->best->without.moves;
    uint8_t before[SIM_MOVES_MAX];
    bool smaller = false;
    for (uint64_t chunk = s->moves; chunk > 0; chunk /= 2) {
        for (uint64_t at = 0; at < s->moves && at + chunk <= SIM_MOVES_MAX; at += chunk) {
            memcpy(before, left_out, sizeof before);
            memset(left_out + at, 1, chunk);
            if (memcmp(before, left_out, sizeof before) != 0 &&
                try(s, &s->best->options, s->best->messages)) {
                smaller = true;
            } else {
                memcpy(left_out, before, sizeof before);
            }
        }
    }
    return smaller;
}

/* ---- single datagrams ---- */

static bool mark_left_out(struct shrinker *s, const struct sim_sent *sent)
{
    uint8_t *left_out = &s->best->without.datagrams[sent->number];
    const bool changes = *left_out == 0;
    *left_out = 1;
    return changes;
}

/* What was marked is left out if the failure stays, and else put back. */
static bool try_without(struct shrinker *s, const uint8_t *before, bool changes)
{
    if (changes && try(s, &s->best->options, s->best->messages)) {
        return true;
    }
    memcpy(s->best->without.datagrams, before, sizeof s->best->without.datagrams);
    return false;
}

/* Those of one type from one node, or on one link: whole conversations that nothing hangs on. */
static bool shrink_kinds(struct shrinker *s)
{
    static uint8_t before[SIM_DATAGRAMS_MAX];
    bool smaller = false;
    for (uint32_t from = 0; from < SIM_NODES_MAX; from++) {
        for (uint32_t kind = 1; kind <= MESSAGE_TYPE_MAX + SIM_NODES_MAX; kind++) {
            bool changes = false;
            memcpy(before, s->best->without.datagrams, sizeof before);
            for (uint64_t i = 0; i < s->datagrams; i++) {
                const struct sim_sent *sent = &s->sent[i];
                const bool meant = kind <= MESSAGE_TYPE_MAX
                                       ? sent->types == UINT64_C(1) << kind
                                       : sent->to == kind - MESSAGE_TYPE_MAX - 1;
                if (sent->from == from && meant) {
                    changes = mark_left_out(s, sent) || changes;
                }
            }
            smaller = try_without(s, before, changes) || smaller;
        }
    }
    return smaller;
}

/* The last ones first: what is said before depends on nothing that comes after. */
static bool shrink_datagrams(struct shrinker *s)
{
    static uint8_t before[SIM_DATAGRAMS_MAX];
    bool smaller = false;
    for (uint64_t chunk = s->datagrams / 2; chunk > 0; chunk /= 2) {
        for (uint64_t end = s->datagrams; end > 0; end = end > chunk ? end - chunk : 0) {
            bool changes = false;
            memcpy(before, s->best->without.datagrams, sizeof before);
            end = end < s->datagrams ? end : s->datagrams;
            for (uint64_t i = end > chunk ? end - chunk : 0; i < end; i++) {
                changes = mark_left_out(s, &s->sent[i]) || changes;
            }
            smaller = try_without(s, before, changes) || smaller;
        }
    }
    return smaller;
}

static void shrink_single(struct shrinker *s)
{
    bool smaller = true;
    s->best->options.without = &s->best->without;
    for (unsigned round = 0; round < ROUNDS_MAX && smaller; round++) {
        smaller = shrink_moves(s);
        if (s->best->options.steady) {
            smaller = shrink_kinds(s) || smaller;
            smaller = shrink_datagrams(s) || smaller;
        }
    }
}

bool sim_shrink(struct sim *sim, const struct sim_options *failing, uint64_t runs_max,
                struct sim_shrunk *shrunk)
{
    static struct shrinker s;
    memset(&s, 0, sizeof s);
    memset(shrunk, 0, sizeof *shrunk);
    s.sim = sim;
    s.best = shrunk;
    s.runs_max = runs_max;
    sim->network.sent = s.sent_now;
    if (sim_run(sim, failing)) {
        sim->network.sent = NULL;
        return false;
    }
    kind_of(&sim->report, s.kind);
    shrunk->options = *failing;
    (void)try(&s, failing, 0);
    shrunk->messages_before = shrunk->messages;
    shrink_options(&s);
    search_shorter(&s);
    shrink_options(&s);
    shrink_single(&s);
    shrunk->options.messages_max = 0;
    sim->network.sent = NULL;
    return true;
}
