/* SPDX-License-Identifier: Apache-2.0 */
#include "test/sim/sim.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/bytes.h"
#include "common/base/invariant.h"
#include "test/sim/applications.h"
#include "test/sim/trace.h"
#include "test/support/linear_text.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { CLIENT_PORT = 7000, PEER_PORT = 7100 };

/* ---- verdicts ---- */

void sim_expect(struct sim *sim, bool ok)
{
    if (!ok) {
        sim->failed = true;
    }
}

void sim_fail(struct sim *sim, const char *format, ...)
{
    va_list arguments;
    if (sim->failed) {
        return; /* the first one counts */
    }
    va_start(arguments, format);
    (void)vsnprintf(sim->report.text, sizeof sim->report.text, format, arguments);
    va_end(arguments);
    sim->failed = true;
}

void sim_mix(struct sim *sim, uint64_t value)
{
    sim->fingerprint = (sim->fingerprint ^ value) * UINT64_C(0x9e3779b97f4a7c15);
    sim->fingerprint ^= sim->fingerprint >> 32;
}

/* ---- nodes ---- */

uint32_t sim_client_node(const struct sim *sim, uint32_t client)
{
    return sim->options.replica_count + client;
}

/* Replica i is 10.0.0.i+1 with two ports, client i is 10.0.1.i+1. */
struct net_address sim_address(const struct sim *sim, uint32_t node, enum sim_lane lane)
{
    const uint32_t replicas = sim->options.replica_count;
    const bool is_replica = node < replicas;
    struct net_address address = {
        .ip = {[10] = 0xff, [11] = 0xff, [12] = 10, [14] = is_replica ? 0 : 1},
        .port = is_replica && lane == SIM_LANE_PEERS ? PEER_PORT : CLIENT_PORT,
    };
    address.ip[15] = (uint8_t)(1 + (is_replica ? node : node - replicas));
    return address;
}

uint32_t sim_node_at(const struct sim *sim, const struct net_address *address)
{
    const uint32_t index = (uint32_t)address->ip[15] - 1;
    const uint32_t replicas = sim->options.replica_count;
    if (address->ip[12] != 10 || address->ip[15] == 0) {
        return SIM_NODES_MAX;
    }
    if (address->ip[14] == 0) {
        return index < replicas ? index : SIM_NODES_MAX;
    }
    return index < sim->options.proxy_count ? replicas + index : SIM_NODES_MAX;
}

/* The types of the messages inside, from the frames' headers (wire.h). */
static uint64_t types_in(const uint8_t *bytes, size_t size)
{
    uint64_t types = 0;
    for (size_t at = WIRE_HEADER_SIZE; at + WIRE_FRAME_HEADER_SIZE <= size;) {
        types |= UINT64_C(1) << (bytes_get_u16(bytes + at) & 63);
        at += WIRE_FRAME_HEADER_SIZE + bytes_get_u32(bytes + at + 4);
    }
    return types;
}

void sim_emit(struct sim *sim, uint32_t from, enum sim_lane lane,
              const struct wire_datagram *datagrams, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const uint32_t to = sim_node_at(sim, &datagrams[i].address);
        if (to == SIM_NODES_MAX || datagrams[i].size > sim->options.datagram_size) {
            sim_fail(sim, "node %u sends %zu bytes to node %u", from, datagrams[i].size, to);
            return;
        }
        const uint64_t types = types_in(datagrams[i].bytes, datagrams[i].size);
        const char *befell = sim_network_send(&sim->network, from, to, lane, datagrams[i].bytes,
                                              datagrams[i].size, types);
        if (befell != NULL) {
            trace_lost(sim, from, to, befell, types);
        }
    }
}

/* ---- a run begins ---- */

static void make_configuration(struct sim *sim)
{
    struct configuration *configuration = &sim->configuration;
    memset(configuration, 0, sizeof *configuration);
    configuration->cluster_id = sim->options.seed | 1;
    configuration->epoch = EPOCH_FIRST;
    configuration->member_count = sim->options.replica_count;
    configuration->parameters = cluster_parameters_default();
    configuration->parameters.sessions_max = sim->options.sessions_max;
    if (sim->options.small_group_limits) {
        configuration->parameters.reply_stored_max = REPLY_STORED_MIN;
    }
    for (uint32_t i = 0; i < configuration->member_count; i++) {
        struct member *member = &configuration->members[i];
        member->replica_id = i + 1; /* an id is no index (E2) */
        member->role = MEMBER_ACTIVE;
        (void)snprintf(member->host, sizeof member->host, "10.0.0.%u", i + 1);
        member->port = CLIENT_PORT;
        member->peer_port = PEER_PORT;
    }
    const char *refused = configuration_reject(configuration);
    INVARIANT(refused == NULL);
}

/* What the seeds of a run's streams are counted from. */
static uint64_t stream_seed(const struct sim_options *options)
{
    return options->seed * 16 + options->salt * UINT64_C(0x9e3779b97f4a7c10);
}

static void seed_streams(struct sim *sim)
{
    const uint64_t seed = stream_seed(&sim->options);
    prng_seed(&sim->machine_prng, seed + 1);
    prng_seed(&sim->workload_prng, seed + 2);
    prng_seed(&sim->nemesis.network_prng, seed + 3);
    prng_seed(&sim->nemesis.machine_prng, seed + 4);
    prng_seed(&sim->nemesis.clock_prng, seed + 5);
    prng_seed(&sim->nemesis.client_prng, seed + 6);
    prng_seed(&sim->nemesis.disk_prng, seed + 8);
}

static void make_arena(struct sim_memory *memory, struct arena *arena, size_t body_size)
{
    const size_t size = wire_arena_size(body_size);
    arena_init(arena, sim_memory_room(memory, size), size);
}

static void begin(struct sim *sim, const struct sim_options *options)
{
    sim->options = *options;
    sim->next_unique = 1;
    sim->healing = false;
    sim->healed_after_ns = 0;
    sim->exceeded = false;
    sim->failed = false;
    sim->report.text[0] = '\0';
    sim->fingerprint = 0;
    sim->counts = (struct sim_counts){0};
    make_arena(&sim->arena_memory, &sim->arena, DATAGRAM_SIZE_MAX);
    make_arena(&sim->whole_memory, &sim->whole, MESSAGE_SIZE_MAX);
    seed_streams(sim);
    make_configuration(sim);
    sim_schedule_reset(&sim->schedule);
    sim_network_reset(&sim->network, &sim->options, &sim->schedule, stream_seed(options) + 7);
    sim_history_reset(&sim->history, entry_chain_start(sim->configuration.cluster_id));
    sim_views_reset(&sim->views);
    sim_executions_reset(&sim->executions);
    sim_digests_reset(&sim->digests);
    sim_differences_reset(&sim->differences);
    memset(sim->checkpoint_roots, 0, sizeof sim->checkpoint_roots);
    sim_client_history_reset(&sim->client_history);
    sim_model_reset(&sim->model, &sim->options, sim->configuration.parameters.reply_stored_max);
    for (uint32_t i = 0; i < options->replica_count; i++) {
        sim_host_reset(&sim->hosts[i], sim, i);
        /* One after the other, as a person starts them. */
        sim_schedule_add(&sim->schedule,
                         (struct sim_event){.at_ns = prng_below(&sim->machine_prng, 100 * SIM_MS),
                                            .kind = SIM_EVENT_RESTART,
                                            .node = i});
    }
    for (uint32_t i = 0; i < options->proxy_count; i++) {
        sim_client_reset(&sim->clients[i], sim, i);
        sim_client_start(&sim->clients[i]);
    }
    sim_nemesis_start(sim);
}

/* ---- events ---- */

static void deliver(struct sim *sim, const struct sim_event *event)
{
    const struct sim_datagram *datagram = sim_network_datagram(&sim->network, event->argument);
    sim->network.counts.delivered++;
    sim_mix(sim, XXH3_64bits(datagram->bytes, datagram->size));
    if (event->node < sim->options.replica_count) {
        sim_host_deliver(&sim->hosts[event->node], event->argument);
    } else {
        sim_client_deliver(&sim->clients[event->node - sim->options.replica_count],
                           event->argument);
    }
}

/* A run that is shrunk: what machines draw hangs on whose event it is and, roughly, on when. */
static void be_steady(struct sim *sim, const struct sim_event *event)
{
    const uint64_t key[] = {stream_seed(&sim->options), event->node, (uint64_t)event->kind,
                            event->at_ns / (10 * SIM_MS)};
    prng_seed(&sim->machine_prng, XXH3_64bits(key, sizeof key));
}

static void happen(struct sim *sim, const struct sim_event *event)
{
    if (sim->options.steady) {
        be_steady(sim, event);
    }
    sim_mix(sim, event->at_ns);
    sim_mix(sim, (uint64_t)event->kind << 32 | event->node);
    switch (event->kind) {
    case SIM_EVENT_DATAGRAM:
        deliver(sim, event);
        break;
    case SIM_EVENT_DRAIN:
    case SIM_EVENT_TIMER:
    case SIM_EVENT_STATE_DURABLE:
    case SIM_EVENT_LOG_DURABLE:
    case SIM_EVENT_LOG_WRITE:
    case SIM_EVENT_LOG_SYNC:
    case SIM_EVENT_EXECUTE:
    case SIM_EVENT_CHECKPOINT:
    case SIM_EVENT_STAGE:
    case SIM_EVENT_INSTALL:
    case SIM_EVENT_DROP:
        sim_host_event(&sim->hosts[event->node], event);
        break;
    case SIM_EVENT_CRASH:
        if (event->life == sim->hosts[event->node].life && !sim->healing) {
            sim_host_crash(&sim->hosts[event->node],
                           sim->hosts[event->node].crash_machine ? SIM_END_POWER : SIM_END_KILLED);
        }
        break;
    case SIM_EVENT_RESTART:
        sim_nemesis_restart(sim, event->node);
        break;
    case SIM_EVENT_RESUME:
        if (event->life == sim->hosts[event->node].life) {
            sim_host_resume(&sim->hosts[event->node]);
        }
        break;
    case SIM_EVENT_CLIENT_TIMER:
    case SIM_EVENT_CLIENT_SUBMIT:
        sim_client_event(&sim->clients[event->node - sim->options.replica_count], event);
        break;
    case SIM_EVENT_NEMESIS:
        sim_nemesis_event(sim, event);
        break;
    default:
        sim_fail(sim, "event %d is nobody's", (int)event->kind);
    }
}

/* So many events in one nanosecond are a loop that never ends: a deadline that a tick leaves due.
 */
enum { SAME_TIME_MAX = 100000 };

/* A checker has failed, or nothing is promised any more (K4). */
static bool is_over(const struct sim *sim)
{
    return sim->failed || sim->differences.spread;
}

static void run_until(struct sim *sim, uint64_t end_ns)
{
    struct sim_event event;
    uint64_t same_time = 0;
    while (!is_over(sim) && sim_schedule_next_ns(&sim->schedule) <= end_ns) {
        const uint64_t before_ns = sim->schedule.now_ns;
        (void)sim_schedule_take(&sim->schedule, &event);
        same_time = event.at_ns == before_ns ? same_time + 1 : 0;
        if (same_time == SAME_TIME_MAX) {
            sim_fail(sim, "I10: time stands still at node %u", event.node);
            return;
        }
        happen(sim, &event);
        if (sim->options.messages_max > 0 && sim->counts.messages > sim->options.messages_max) {
            sim_fail(sim, "cut short: after %" PRIu64 " messages", sim->counts.messages);
        }
    }
    if (!is_over(sim)) {
        sim->schedule.now_ns = end_ns;
    }
}

/* ---- healing (I9) ---- */

static uint32_t core_members(const struct sim *sim, struct sim_observed *core)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < sim->options.replica_count; i++) {
        if ((sim->nemesis.silenced & (1u << i)) == 0) {
            core[count] = sim->hosts[i].observed;
            core[count].executed_op = sim->hosts[i].snapshot.executed_op;
            count++;
        }
    }
    return count;
}

static bool log_is_full(const struct sim *sim)
{
    for (uint32_t i = 0; i < sim->options.replica_count; i++) {
        if (sim->hosts[i].running && sim->hosts[i].snapshot.log_full) {
            return true;
        }
    }
    return false;
}

/* False, and why, as long as something is missing. */
static bool is_healed(struct sim *sim, struct sim_report *why)
{
    struct sim_observed core[SIM_REPLICAS_MAX];
    const uint32_t count = core_members(sim, core);
    if (!sim_check_converged(core, count, why)) {
        return false;
    }
    for (uint32_t i = 0; i < sim->options.proxy_count; i++) {
        if (!sim_client_is_served(&sim->clients[i]) && !log_is_full(sim)) {
            (void)snprintf(why->text, sizeof why->text, "I9: client %u is not served", i);
            return false;
        }
    }
    return true;
}

/* More than f forgot at once, and too few that remember are left: the group may be gone for good
 * (D9). Then it must say so, and stand still. */
static bool is_lost(const struct sim *sim)
{
    uint32_t remembering = 0;
    bool said = false;
    for (uint32_t i = 0; i < sim->options.replica_count; i++) {
        const struct sim_host *host = &sim->hosts[i];
        remembering += sim_host_forgot(host) ? 0 : 1;
        said = said || (host->running && host->snapshot.group_lost);
    }
    return sim->exceeded && remembering < configuration_quorum(&sim->configuration) && said;
}

/* True if this one cannot tell whether it ever acked an entry that `faulty` has lost: its disk is
 * gone, it recovers, or its log is of an earlier view and reaches as far. */
static bool cannot_tell(const struct sim_host *host, const struct sim_host *faulty)
{
    return host->replaced ||
           (host->running &&
            (host->snapshot.status == STATUS_RECOVERING ||
             (host->snapshot.last_normal_view < faulty->snapshot.last_normal_view &&
              host->snapshot.op_number >= faulty->snapshot.lost_from)));
}

/* D5: a replica knows that it had an entry and has lost it, and nobody can say that it was not
 * committed: more than f are impaired at once. Nothing may be guessed then. */
static bool is_undecided(const struct sim *sim)
{
    for (uint32_t i = 0; i < sim->options.replica_count; i++) {
        const struct sim_host *faulty = &sim->hosts[i];
        for (uint32_t j = 0; j < sim->options.replica_count; j++) {
            if (faulty->running && faulty->snapshot.lost_to > 0 &&
                cannot_tell(&sim->hosts[j], faulty)) {
                return true;
            }
        }
    }
    return false;
}

static void heal(struct sim *sim)
{
    struct sim_report why = {.text = ""};
    const uint64_t began_ns = sim->schedule.now_ns;
    const uint64_t end_ns = began_ns + sim->options.heal_ns;
    sim_nemesis_heal(sim);
    while (!is_over(sim) && sim->schedule.now_ns < end_ns) {
        run_until(sim, sim->schedule.now_ns + 50 * SIM_MS);
        if (is_healed(sim, &why)) {
            sim->healed_after_ns = sim->schedule.now_ns - began_ns;
            sim->counts.healing_ns += sim->healed_after_ns;
            sim->counts.healed++;
            return;
        }
    }
    if (sim->differences.spread) {
        return;
    }
    if (is_lost(sim)) {
        sim->counts.groups_lost++;
        return;
    }
    if (is_undecided(sim)) {
        sim->counts.groups_undecided++;
        return;
    }
    sim_fail(sim, "%s", why.text);
}

/* A network so slow that heartbeats alone come late enough for suspicion. */
static bool is_too_slow(const struct sim_options *options)
{
    return options->view_change_ns <
           2 * options->heartbeat_ns + 10 * options->delay_min_ns + 10 * options->delay_mean_ns;
}

/* Whoever was left out, deaf or dead, disturbs a healthy view no more (V2). Old messages may, so
 * that all of them arrive first. */
static void stay(struct sim *sim)
{
    struct sim_observed core[SIM_REPLICAS_MAX];
    struct sim_report why;
    if (is_over(sim) || sim->counts.groups_lost > 0 || sim->counts.groups_undecided > 0 ||
        sim->options.seed % 4 != 0 || is_too_slow(&sim->options)) {
        return;
    }
    run_until(sim, sim->schedule.now_ns + sim->options.hold_max_ns + 2 * SIM_S);
    (void)core_members(sim, core);
    const uint64_t view_number = core[0].view_number;
    run_until(sim, sim->schedule.now_ns + 3 * SIM_S);
    const uint32_t count = core_members(sim, core);
    if (sim->failed) {
        return;
    }
    if (!sim_check_converged(core, count, &why)) {
        sim_fail(sim, "V2: view %" PRIu64 " did not last: %s", view_within_epoch(view_number),
                 why.text);
    } else if (core[0].view_number != view_number) {
        sim_fail(sim, "V2: view %" PRIu64 " did not last: it is %" PRIu64 " now",
                 view_within_epoch(view_number), view_within_epoch(core[0].view_number));
    }
}

/* K4: what marks say is heard with the heartbeats of a while. */
static void judge_states(struct sim *sim)
{
    if (sim->options.differ_mean_ns == 0 || is_over(sim)) {
        return;
    }
    run_until(sim, sim->schedule.now_ns + sim->options.hold_max_ns + 2 * SIM_S);
    if (!is_over(sim)) {
        sim_hosts_judge_differences(sim);
    }
}

/* ---- a run ---- */

static void check_applications(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->options.replica_count && !sim->failed; i++) {
        const struct sim_host *host = &sim->hosts[i];
        const char *wrong = host->running ? sim_application_check(&host->application) : NULL;
        if (wrong != NULL) {
            sim_fail(sim, "the application of replica %u: %s", i, wrong);
        }
    }
}

/* I10 of the whole: what the group has under way, timers and datagrams, is bounded. Most of it are
 * parts of large messages that a link holds back, asked for again and again at the sender's pace.
 */
enum { WAITING_EVENTS_MAX = 500000 };

/* I4 once more, by those who know nothing of the log. */
static void judge_clients(struct sim *sim)
{
    char text[LINEAR_VERDICT_TEXT_MAX];
    for (uint32_t i = 0; i < sim->options.proxy_count; i++) {
        sim_client_end(&sim->clients[i]);
    }
    const struct linear_verdict verdict = sim_client_history_judge(
        &sim->client_history, &sim->counts.histories, &sim->counts.undecided);
    sim->counts.seen = sim->client_history.count;
    if (verdict.outcome == LINEAR_NO) {
        linear_verdict_text(&verdict, text);
        sim_fail(sim, "I4: what clients saw is not linearizable: %s", text);
    }
}

static void end(struct sim *sim)
{
    const struct sim_bound bound = {"events under way", sim->schedule.count_max,
                                    WAITING_EVENTS_MAX};
    if (!sim->failed) {
        sim_expect(sim, sim_check_bounds(0, &bound, 1, &sim->report));
    }
    for (uint32_t i = 0; i < sim->options.replica_count; i++) {
        sim_host_count(&sim->hosts[i]);
    }
    for (uint32_t i = 0; i < sim->options.proxy_count; i++) {
        sim_client_count(&sim->clients[i]);
    }
    sim->counts.virtual_ns = sim->schedule.now_ns;
    sim->counts.committed = sim->history.committed;
    sim->counts.evictions = sim->model.evictions;
    sim->counts.network = sim->network.counts;
    sim->counts.differences_spread = sim->differences.spread ? 1 : 0;
}

bool sim_run(struct sim *sim, const struct sim_options *options)
{
    jmp_buf escape;
    sim->escape = &escape;
    if (setjmp(escape) == 0) {
        begin(sim, options);
        run_until(sim, options->safety_ns);
        if (!sim->failed) {
            heal(sim);
            judge_states(sim);
            stay(sim);
        }
        check_applications(sim);
        if (!sim->failed) {
            judge_clients(sim);
        }
        end(sim);
    }
    sim->escape = NULL;
    return !sim->failed;
}

void sim_free(struct sim *sim)
{
    for (uint32_t i = 0; i < SIM_REPLICAS_MAX; i++) {
        sim_host_free(&sim->hosts[i]);
    }
    for (uint32_t i = 0; i < SIM_PROXIES_MAX; i++) {
        sim_client_free(&sim->clients[i]);
    }
    sim_schedule_free(&sim->schedule);
    sim_network_free(&sim->network);
    sim_history_free(&sim->history);
    sim_views_free(&sim->views);
    sim_executions_free(&sim->executions);
    sim_digests_free(&sim->digests);
    sim_differences_free(&sim->differences);
    sim_model_free(&sim->model);
    sim_client_history_free(&sim->client_history);
    sim_memory_free(&sim->arena_memory);
    sim_memory_free(&sim->whole_memory);
}
