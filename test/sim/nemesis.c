/* SPDX-License-Identifier: Apache-2.0 */
#include "test/sim/nemesis.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "common/base/invariant.h"
#include "test/sim/sim.h"
#include "test/sim/trace.h"

static void plan_in(struct sim *sim, enum nemesis_move move, uint64_t delay_ns, uint32_t node)
{
    sim_schedule_add(&sim->schedule, (struct sim_event){.at_ns = sim->schedule.now_ns + delay_ns,
                                                        .kind = SIM_EVENT_NEMESIS,
                                                        .node = node,
                                                        .argument = move});
}

/* The next move of a class; none if the class is switched off. */
static void plan(struct sim *sim, struct prng *prng, enum nemesis_move move, uint64_t mean_ns)
{
    if (mean_ns > 0) {
        plan_in(sim, move, sim_exponential(prng, mean_ns), 0);
    }
}

static uint32_t pick_replica(struct sim *sim, struct prng *prng)
{
    return (uint32_t)prng_below(prng, sim->options.replica_count);
}

/* The acting primary of the latest view, or anybody. */
static uint32_t pick_primary(struct sim *sim, struct prng *prng)
{
    uint32_t primary = pick_replica(sim, prng);
    uint64_t view_number = 0;
    for (uint32_t i = 0; i < sim->options.replica_count; i++) {
        const struct sim_host *host = &sim->hosts[i];
        if (host->running && host->observed.acting_primary &&
            host->observed.view_number > view_number) {
            view_number = host->observed.view_number;
            primary = i;
        }
    }
    return primary;
}

/* The primary falls silent for a while, so that another view begins. */
static void provoke_view_change(struct sim *sim, uint32_t victim)
{
    struct prng *prng = &sim->nemesis.machine_prng;
    const uint32_t primary = pick_primary(sim, prng);
    struct sim_host *host = &sim->hosts[primary];
    if (primary != victim && host->running && !host->paused && host->crash_after == 0) {
        const uint64_t length = prng_between(prng, 1, 5) * sim->options.view_change_ns;
        sim_host_pause(host, sim->schedule.now_ns + length);
    }
}

/* ---- partitions ---- */

enum cut_direction {
    CUT_BOTH,
    CUT_IN,
    CUT_OUT,
};

static void cut(struct sim *sim, uint32_t a, uint32_t b, enum cut_direction direction)
{
    if (direction != CUT_OUT) {
        sim->network.links[b][a].cut = true;
    }
    if (direction != CUT_IN) {
        sim->network.links[a][b].cut = true;
    }
}

static void uncut_all(struct sim *sim)
{
    for (uint32_t from = 0; from < SIM_NODES_MAX; from++) {
        for (uint32_t to = 0; to < SIM_NODES_MAX; to++) {
            sim->network.links[from][to].cut = false;
        }
    }
}

static void isolate(struct sim *sim, uint32_t replica, enum cut_direction direction,
                    bool clients_too)
{
    const uint32_t nodes =
        sim->options.replica_count + (clients_too ? sim->options.proxy_count : 0);
    for (uint32_t node = 0; node < nodes; node++) {
        if (node != replica) {
            cut(sim, replica, node, direction);
        }
    }
}

/* Every node, clients included, on one of two sides. */
static void split(struct sim *sim, struct prng *prng, enum cut_direction direction)
{
    const uint32_t nodes = sim->options.replica_count + sim->options.proxy_count;
    const uint64_t sides = prng_next(prng);
    for (uint32_t a = 0; a < nodes; a++) {
        for (uint32_t b = 0; b < nodes; b++) {
            if ((sides >> a & 1) != 0 && (sides >> b & 1) == 0) {
                cut(sim, a, b, direction);
            }
        }
    }
}

/* Each replica hears only its neighbours (VC-17). */
static void chain(struct sim *sim, struct prng *prng)
{
    const uint32_t count = sim->options.replica_count;
    uint32_t order[SIM_REPLICAS_MAX];
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t j = (uint32_t)prng_below(prng, (uint64_t)i + 1);
        order[i] = i;
        order[i] = order[j];
        order[j] = i;
    }
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t j = i + 2; j < count; j++) {
            cut(sim, order[i], order[j], CUT_BOTH);
        }
    }
}

static void partition(struct sim *sim)
{
    struct prng *prng = &sim->nemesis.network_prng;
    const enum cut_direction direction =
        prng_chance(prng, 1, 2) ? CUT_BOTH : (enum cut_direction)prng_below(prng, 3);
    const bool clients_too = prng_chance(prng, 1, 2);
    const uint64_t shape = prng_below(prng, 4);
    uncut_all(sim);
    if (shape == 0) {
        isolate(sim, pick_replica(sim, prng), direction, clients_too);
    } else if (shape == 1) {
        isolate(sim, pick_primary(sim, prng), direction, clients_too);
    } else if (shape == 2) {
        split(sim, prng, direction);
    } else {
        chain(sim, prng);
    }
    sim->counts.partitions++;
    trace_node(sim, 0, "partition: shape %" PRIu64 ", direction %d", shape, (int)direction);
    plan_in(sim, NEMESIS_PARTITION_END, prng_below(prng, sim->options.partition_max_ns) + SIM_MS,
            0);
}

/* ---- links ---- */

/* The types whose late arrival is dangerous, and two that carry the rest. */
static const enum message_type held_types[] = {
    MESSAGE_START_VIEW_CHANGE, MESSAGE_DO_VIEW_CHANGE,
    MESSAGE_START_VIEW,        MESSAGE_PREPARE,
    MESSAGE_PREPARE_OK,        MESSAGE_COMMIT,
    MESSAGE_CATCHUP_REQUEST,   MESSAGE_CATCHUP_RESPONSE,
    MESSAGE_RECOVERY,          MESSAGE_RECOVERY_RESPONSE,
    MESSAGE_GET_VIEW,          MESSAGE_PART,
    MESSAGE_CHECKPOINT_OFFER,  MESSAGE_CHECKPOINT_CHUNK,
    MESSAGE_REQUEST,           MESSAGE_REPLY,
};

/* One message type is held back on one link, or on all links to or from one node. */
static void hold(struct sim *sim)
{
    struct prng *prng = &sim->nemesis.network_prng;
    const uint64_t type = held_types[prng_below(prng, sizeof held_types / sizeof held_types[0])];
    const uint64_t all = sim->options.held_types;
    const uint64_t until = sim->schedule.now_ns + prng_below(prng, sim->options.hold_max_ns);
    const bool from_client = type == MESSAGE_REQUEST;
    const bool to_client = type == MESSAGE_REPLY;
    const uint32_t client =
        sim_client_node(sim, (uint32_t)prng_below(prng, sim->options.proxy_count));
    const uint32_t from = all != 0      ? pick_primary(sim, prng)
                          : from_client ? client
                                        : pick_replica(sim, prng);
    const uint32_t to = to_client ? client : pick_replica(sim, prng);
    const bool all_from = prng_chance(prng, 1, 4);
    const bool all_to = !all_from && prng_chance(prng, 1, 4);
    for (uint32_t a = 0; a < SIM_NODES_MAX; a++) {
        for (uint32_t b = 0; b < SIM_NODES_MAX; b++) {
            struct sim_link *link = &sim->network.links[a][b];
            if ((a == from || all_to) && (b == to || all_from)) {
                link->hold_types = all != 0 ? all : UINT64_C(1) << type;
                link->hold_until_ns = until;
            }
        }
    }
    sim->counts.holds++;
    trace_node(sim, from, "%s held back to %u", message_type_name((enum message_type)type), to);
}

/* Large datagrams vanish on one link (VC-15): small pings pass while Prepares do not. */
static void black_hole(struct sim *sim)
{
    struct prng *prng = &sim->nemesis.network_prng;
    const uint32_t from = pick_primary(sim, prng);
    const uint32_t to = pick_replica(sim, prng);
    for (uint32_t b = 0; b < sim->options.replica_count; b++) {
        if (b == to || prng_chance(prng, 1, 2)) {
            sim->network.links[from][b].size_limit =
                prng_between(prng, 250, sim->options.datagram_size);
        }
    }
    sim->counts.black_holes++;
    plan_in(sim, NEMESIS_BLACK_HOLE_END, prng_below(prng, 10 * SIM_S), 0);
}

static void black_hole_end(struct sim *sim)
{
    for (uint32_t from = 0; from < SIM_NODES_MAX; from++) {
        for (uint32_t to = 0; to < SIM_NODES_MAX; to++) {
            sim->network.links[from][to].size_limit = 0;
        }
    }
}

/* ---- machines ---- */

static uint32_t forgotten_count(const struct sim *sim)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < sim->options.replica_count; i++) {
        count += sim_host_forgot(&sim->hosts[i]) ? 1 : 0;
    }
    return count;
}

/* How many would be without memory if everybody ended like this. */
static uint32_t forgotten_if(const struct sim *sim, enum sim_end end)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < sim->options.replica_count; i++) {
        const struct sim_host *host = &sim->hosts[i];
        count += sim_host_forgot(host) || sim_host_would_forget(host, end) ? 1 : 0;
    }
    return count;
}

static enum sim_end draw_end(struct sim *sim)
{
    const bool machine =
        prng_chance(&sim->nemesis.machine_prng, sim->options.machine_crash_ppm, 1000000);
    return machine ? SIM_END_POWER : SIM_END_KILLED;
}

/* True if an end of this kind leaves enough that remember, or may leave too few. */
static bool may_forget(struct sim *sim, const struct sim_host *host, enum sim_end end)
{
    const uint32_t forgotten = forgotten_count(sim) + (sim_host_forgot(host) ? 0 : 1);
    if (!sim_host_would_forget(host, end) ||
        forgotten <= configuration_faults_max(&sim->configuration)) {
        return true;
    }
    sim->exceeded = sim->exceeded || sim->options.exceed_faults;
    return sim->options.exceed_faults;
}

static void restart_in(struct sim *sim, uint32_t index, uint64_t delay_ns)
{
    sim_schedule_add(&sim->schedule, (struct sim_event){.at_ns = sim->schedule.now_ns + delay_ns,
                                                        .kind = SIM_EVENT_RESTART,
                                                        .node = index});
}

/* Everybody at once: their power where that loses nothing, as in mode sync; else their processes.
 */
static void power_cut(struct sim *sim)
{
    struct prng *prng = &sim->nemesis.machine_prng;
    const uint32_t faults = configuration_faults_max(&sim->configuration);
    const bool sync = forgotten_if(sim, SIM_END_POWER) <= faults;
    const bool too_much = !sync && sim->options.exceed_faults && prng_chance(prng, 1, 2);
    const bool power = too_much || (sync && prng_chance(prng, 3, 4));
    if (!power && forgotten_if(sim, SIM_END_KILLED) > faults) {
        return; /* some are in memory (D11) */
    }
    sim->exceeded = sim->exceeded || too_much;
    for (uint32_t i = 0; i < sim->options.replica_count; i++) {
        sim_host_disarm_disk(&sim->hosts[i]);
        sim_host_crash(&sim->hosts[i], power ? SIM_END_POWER : SIM_END_KILLED);
        restart_in(sim, i, sim_exponential(prng, sim->options.down_max_ns / 4) + SIM_MS);
    }
    sim->counts.power_cuts += power ? 1 : 0;
    sim->counts.mass_kills += power ? 0 : 1;
    trace_node(sim, 0, power ? "power fails everywhere" : "all processes are killed");
}

/* A write or a sync of somebody's log fails, soon (D4). */
static void fail_disk(struct sim *sim)
{
    struct prng *prng = &sim->nemesis.machine_prng;
    const uint32_t index = pick_replica(sim, prng);
    struct sim_host *host = &sim->hosts[index];
    const int status = prng_chance(prng, 1, 4) ? -ENOSPC : -EIO;
    const uint64_t down = sim_exponential(prng, sim->options.down_max_ns / 4) + SIM_MS;
    const uint32_t forgotten = forgotten_count(sim) + (sim_host_forgot(host) ? 0 : 1);
    if (!host->running || host->paused || host->crash_after > 0 || host->crash_at_write ||
        host->disk_armed || forgotten > configuration_faults_max(&sim->configuration)) {
        return;
    }
    sim_host_arm_disk(host, prng, SIM_END_KILLED, status);
    if (host->durability == DURABILITY_SYNC) {
        /* Whoever went on after that has its machine taken, too (PS-3). */
        host->crash_machine = true;
        sim_schedule_add(&sim->schedule,
                         (struct sim_event){.at_ns = sim->schedule.now_ns + SIM_S / 2,
                                            .kind = SIM_EVENT_CRASH,
                                            .node = index,
                                            .life = host->life});
    }
    restart_in(sim, index, SIM_S + down);
}

/* No disk has room left for another segment; what is reserved, and the state file, still can be
 * written (D4). */
static void fill_disks(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->options.replica_count; i++) {
        sim_disk_fill(sim->hosts[i].platter);
    }
    sim->counts.disks_full++;
    trace_node(sim, 0, "all disks are full");
    plan_in(sim, NEMESIS_DISK_FULL_END,
            prng_below(&sim->nemesis.disk_prng, sim->options.disk_full_max_ns) + SIM_MS, 0);
}

static void empty_disks(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->options.replica_count; i++) {
        sim->hosts[i].platter->room = 0;
    }
    trace_node(sim, 0, "the disks have room again");
    plan(sim, &sim->nemesis.disk_prng, NEMESIS_DISK_FULL, sim->options.disk_full_mean_ns);
}

/* True if a call of its disk that fails, with its log perhaps (D4), leaves enough that remember. */
static bool may_fail(struct sim *sim, const struct sim_host *host)
{
    const uint32_t forgotten = forgotten_count(sim) + (sim_host_forgot(host) ? 0 : 1);
    return sim->options.install_fail_ppm > 0 &&
           forgotten <= configuration_faults_max(&sim->configuration) &&
           prng_chance(&sim->nemesis.disk_prng, sim->options.install_fail_ppm, 1000000);
}

/* What was armed strikes within a while, or the replica ends all the same; then it comes back. */
static void end_soon(struct sim *sim, const struct sim_host *host, struct prng *prng)
{
    const uint64_t latest = 200 * SIM_MS;
    sim_schedule_add(&sim->schedule, (struct sim_event){.at_ns = sim->schedule.now_ns + latest,
                                                        .kind = SIM_EVENT_CRASH,
                                                        .node = host->index,
                                                        .life = host->life});
    restart_in(sim, host->index,
               latest + sim_exponential(prng, sim->options.down_max_ns / 4) + SIM_MS);
}

/* A switch of suffix, and the install of a checkpoint, are written in steps: the best moment for an
 * end (ST-2, G4). */
void sim_nemesis_steps(struct sim *sim, uint32_t index)
{
    struct prng *prng = &sim->nemesis.machine_prng;
    struct sim_host *host = &sim->hosts[index];
    if (sim->healing || sim->options.crash_mean_ns == 0 || host->disk_armed ||
        host->crash_after > 0 || host->crash_at_write || !prng_chance(prng, 1, 3)) {
        return;
    }
    const bool power = host->durability == DURABILITY_SYNC && draw_end(sim) == SIM_END_POWER;
    const bool fails = host->installing != SIM_INSTALLING_NOTHING && may_fail(sim, host);
    sim_host_arm_disk(host, prng, power ? SIM_END_POWER : SIM_END_KILLED, fails ? -EIO : 0);
    end_soon(sim, host, prng);
}

/* The sync that would make the segment's first record durable never comes. */
void sim_nemesis_segment(struct sim *sim, uint32_t index)
{
    struct prng *prng = &sim->nemesis.disk_prng;
    struct sim_host *host = &sim->hosts[index];
    if (sim->healing || host->durability != DURABILITY_SYNC || host->disk_armed ||
        sim->options.segment_end_ppm == 0 ||
        !prng_chance(prng, sim->options.segment_end_ppm, 1000000)) {
        return;
    }
    host->crash_machine = true;
    sim_schedule_add(&sim->schedule, (struct sim_event){.at_ns = sim->schedule.now_ns,
                                                        .kind = SIM_EVENT_CRASH,
                                                        .node = index,
                                                        .life = host->life});
    restart_in(sim, index, sim_exponential(prng, sim->options.down_max_ns / 4) + SIM_MS);
}

/* A start writes in steps, too: that its log does not count before the log is begun anew (D6). */
static void arm_start(struct sim *sim, struct sim_host *host, enum durability mode)
{
    struct prng *prng = &sim->nemesis.disk_prng;
    if (sim->healing || sim->options.start_end_ppm == 0 || mode == DURABILITY_MEMORY ||
        host->disk.incarnation == 0 || !prng_chance(prng, sim->options.start_end_ppm, 1000000)) {
        return;
    }
    const bool power = mode == DURABILITY_SYNC && host->durability == DURABILITY_SYNC &&
                       draw_end(sim) == SIM_END_POWER;
    sim_host_arm_disk(host, prng, power ? SIM_END_POWER : SIM_END_KILLED, 0);
}

static void crash(struct sim *sim)
{
    struct prng *prng = &sim->nemesis.machine_prng;
    const bool primary = prng_chance(prng, 1, 2);
    const uint32_t index = primary ? pick_primary(sim, prng) : pick_replica(sim, prng);
    struct sim_host *host = &sim->hosts[index];
    const bool inside = prng_chance(prng, 1, 2);
    const bool at_write = inside && prng_chance(prng, 1, 2);
    const bool clean = !inside && prng_chance(prng, 1, 5);
    const uint64_t latest = at_write ? SIM_S : 50 * SIM_MS;
    const uint64_t down = sim_exponential(prng, sim->options.down_max_ns / 4) + SIM_MS;
    const uint32_t after = (uint32_t)prng_between(prng, 1, 24);
    enum sim_end end = draw_end(sim);
    if (!host->running || host->paused || host->crash_after > 0 || host->crash_at_write ||
        host->disk_armed) {
        return;
    }
    if (!may_forget(sim, host, end)) {
        if (host->durability == DURABILITY_MEMORY) {
            return;
        }
        end = SIM_END_KILLED;
    }
    host->crash_machine = end == SIM_END_POWER;
    if (inside && host->durability != DURABILITY_MEMORY && prng_chance(prng, 1, 2)) {
        sim_host_arm_disk(host, prng, end, 0);
        sim_schedule_add(&sim->schedule, (struct sim_event){.at_ns = sim->schedule.now_ns + latest,
                                                            .kind = SIM_EVENT_CRASH,
                                                            .node = index,
                                                            .life = host->life});
    } else if (inside) {
        host->crash_at_write = at_write;
        if (at_write) {
            provoke_view_change(sim, index); /* everybody writes the state file then */
        }
        host->crash_after = at_write ? 0 : after; /* in the middle of some step to come */
        sim_schedule_add(&sim->schedule, (struct sim_event){.at_ns = sim->schedule.now_ns + latest,
                                                            .kind = SIM_EVENT_CRASH,
                                                            .node = index,
                                                            .life = host->life});
    } else {
        sim_host_crash(host, clean ? SIM_END_CLEAN : end);
    }
    sim_schedule_add(&sim->schedule,
                     (struct sim_event){.at_ns = sim->schedule.now_ns + latest + down,
                                        .kind = SIM_EVENT_RESTART,
                                        .node = index});
}

/* True if every other member has met it: from then on they know its identity (D10). */
static bool is_known_to_all(const struct sim *sim, uint32_t index)
{
    for (uint32_t i = 0; i < sim->options.replica_count; i++) {
        if (i != index && sim->hosts[i].disk.vr.identities[index] == 0) {
            return false;
        }
    }
    return true;
}

/* D11: in which mode it starts. Memory is forgotten by its next start at the latest. */
static enum durability draw_mode(struct sim *sim, const struct sim_host *host)
{
    struct prng *prng = &sim->nemesis.disk_prng;
    const enum durability usual = sim->options.durability;
    if (sim->healing || !prng_chance(prng, sim->options.mode_change_ppm, 1000000)) {
        return usual;
    }
    const enum durability mode =
        (enum durability)prng_between(prng, DURABILITY_MEMORY, DURABILITY_SYNC);
    const uint32_t forgotten = forgotten_count(sim) + (sim_host_forgot(host) ? 0 : 1);
    const bool may =
        mode != DURABILITY_MEMORY || forgotten <= configuration_faults_max(&sim->configuration);
    if (!may || mode == host->durability) {
        return usual;
    }
    sim->counts.mode_changes++;
    trace_node(sim, host->index, "starts in mode %s", durability_name(mode));
    return mode;
}

void sim_nemesis_restart(struct sim *sim, uint32_t index)
{
    struct sim_host *host = &sim->hosts[index];
    if (host->running || (sim->nemesis.silenced & (1u << index)) != 0) {
        return;
    }
    if (host->disk.diverged && !sim_host_may_rebuild(host)) {
        restart_in(sim, index, 100 * SIM_MS); /* K4: the others first */
        return;
    }
    const bool started_before = host->disk.incarnation > 0;
    const uint32_t forgotten = forgotten_count(sim) + (sim_host_forgot(host) ? 0 : 1);
    if (sim->options.lose_disk && started_before && !sim->nemesis.disk_lost && !sim->healing &&
        forgotten <= configuration_faults_max(&sim->configuration) && is_known_to_all(sim, index)) {
        sim->nemesis.disk_lost = true;
        sim->nemesis.silenced |= 1u << index; /* the others go on without it, for ever */
        sim->counts.disks_lost++;
        sim_host_lose_disk(host);
    }
    if (!sim->healing && started_before && !host->rotten && !sim_host_forgot(host) &&
        prng_chance(&sim->nemesis.machine_prng, sim->options.rot_ppm, 1000000) &&
        forgotten_count(sim) < configuration_faults_max(&sim->configuration)) {
        (void)sim_host_rot(host, &sim->nemesis.disk_prng);
    }
    if (!sim->healing && started_before &&
        prng_chance(&sim->nemesis.disk_prng, sim->options.read_fail_ppm, 1000000)) {
        sim_host_arm_read(host, &sim->nemesis.disk_prng);
    }
    const enum durability mode = draw_mode(sim, host);
    arm_start(sim, host, mode);
    sim_host_start(host, mode);
    if (host->running && host->disk_armed) {
        end_soon(sim, host, &sim->nemesis.disk_prng);
    }
}

static void pause_some(struct sim *sim)
{
    struct prng *prng = &sim->nemesis.machine_prng;
    const bool cut_off = sim->options.sleepers_are_cut_off;
    struct sim_host *host =
        &sim->hosts[cut_off || prng_chance(prng, 1, 2) ? pick_primary(sim, prng)
                                                       : pick_replica(sim, prng)];
    const uint64_t length = prng_between(prng, 50 * SIM_MS, sim->options.pause_max_ns);
    if (host->running && !host->paused && host->crash_after == 0 && !host->crash_at_write) {
        sim->counts.pauses++;
        sim_host_pause(host, sim->schedule.now_ns + length);
        if (cut_off) {
            uncut_all(sim);
            isolate(sim, host->index, CUT_BOTH, false);
            plan_in(sim, NEMESIS_PARTITION_END, length + sim->options.view_change_ns, 0);
        }
    }
}

/* Up to an hour, either way (TM-1). */
static void wall_jump(struct sim *sim)
{
    struct prng *prng = &sim->nemesis.clock_prng;
    const int64_t hour = (int64_t)(3600 * SIM_S);
    sim->hosts[pick_replica(sim, prng)].wall_offset_ns =
        (int64_t)prng_below(prng, (uint64_t)(2 * hour)) - hour;
    sim->counts.wall_jumps++;
}

/* Somebody's state begins to differ, with the next write that it executes (K4). */
static void differ(struct sim *sim)
{
    struct prng *prng = &sim->nemesis.disk_prng;
    struct sim_host *host =
        &sim->hosts[prng_chance(prng, 1, 2) ? pick_primary(sim, prng) : pick_replica(sim, prng)];
    if (host->running && !sim_host_forgot(host) &&
        forgotten_count(sim) < configuration_faults_max(&sim->configuration)) {
        host->differ_armed = true;
    }
}

static void client_crash(struct sim *sim)
{
    struct prng *prng = &sim->nemesis.client_prng;
    struct sim_client *client = &sim->clients[prng_below(prng, sim->options.proxy_count)];
    sim_client_count(client);
    sim->counts.client_crashes++;
    trace_node(sim, client->node, "crashes and starts anew");
    sim_client_start(client);
}

/* ---- the plan ---- */

static uint64_t mean_between(const struct sim_options *o, enum nemesis_move move)
{
    switch (move) {
    case NEMESIS_CRASH:
        return o->crash_mean_ns;
    case NEMESIS_POWER_CUT:
        return o->power_cut_mean_ns;
    case NEMESIS_DISK_FAIL:
        return o->disk_fail_mean_ns;
    case NEMESIS_DISK_FULL:
        return o->disk_full_mean_ns;
    case NEMESIS_PARTITION:
        return o->partition_mean_ns;
    case NEMESIS_HOLD:
        return o->hold_mean_ns;
    case NEMESIS_BLACK_HOLE:
        return o->black_hole_mean_ns;
    case NEMESIS_PAUSE:
        return o->pause_mean_ns;
    case NEMESIS_WALL_JUMP:
        return o->wall_jump_mean_ns;
    case NEMESIS_CLIENT_CRASH:
        return o->client_crash_mean_ns;
    default:
        return 0;
    }
}

void sim_nemesis_start(struct sim *sim)
{
    struct sim_nemesis *n = &sim->nemesis;
    const struct sim_options *o = &sim->options;
    n->silenced = 0;
    n->disk_lost = false;
    n->move_count = 0;
    plan(sim, &n->machine_prng, NEMESIS_CRASH, o->crash_mean_ns);
    plan(sim, &n->machine_prng, NEMESIS_PAUSE, o->pause_mean_ns);
    plan(sim, &n->machine_prng, NEMESIS_POWER_CUT, o->power_cut_mean_ns);
    plan(sim, &n->machine_prng, NEMESIS_DISK_FAIL, o->disk_fail_mean_ns);
    plan(sim, &n->disk_prng, NEMESIS_DISK_FULL, o->disk_full_mean_ns);
    plan(sim, &n->disk_prng, NEMESIS_DIFFER, o->differ_mean_ns);
    plan(sim, &n->network_prng, NEMESIS_PARTITION, o->partition_mean_ns);
    plan(sim, &n->network_prng, NEMESIS_HOLD, o->hold_mean_ns);
    plan(sim, &n->network_prng, NEMESIS_BLACK_HOLE, o->black_hole_mean_ns);
    plan(sim, &n->clock_prng, NEMESIS_WALL_JUMP, o->wall_jump_mean_ns);
    plan(sim, &n->client_prng, NEMESIS_CLIENT_CRASH, o->client_crash_mean_ns);
}

/* A shrunk run is without it: the next one of its class comes at the time at which that would have
 * come. */
static bool is_left_out(struct sim *sim, enum nemesis_move move)
{
    struct sim_nemesis *n = &sim->nemesis;
    const struct sim_options *o = &sim->options;
    const struct sim_without *without = o->without;
    if (move == NEMESIS_PARTITION_END || move == NEMESIS_BLACK_HOLE_END ||
        move == NEMESIS_DISK_FULL_END) {
        return false; /* of what was not left out */
    }
    const uint64_t number = n->move_count++;
    if (without == NULL || number >= SIM_MOVES_MAX || without->moves[number] == 0) {
        return false;
    }
    const bool on_machine = move == NEMESIS_CRASH || move == NEMESIS_PAUSE ||
                            move == NEMESIS_POWER_CUT || move == NEMESIS_DISK_FAIL;
    const bool on_network =
        move == NEMESIS_PARTITION || move == NEMESIS_HOLD || move == NEMESIS_BLACK_HOLE;
    struct prng *prng = on_machine                  ? &n->machine_prng
                        : on_network                ? &n->network_prng
                        : move == NEMESIS_WALL_JUMP ? &n->clock_prng
                        : move == NEMESIS_DISK_FULL ? &n->disk_prng
                                                    : &n->client_prng;
    plan(sim, prng, move, mean_between(o, move));
    return true;
}

void sim_nemesis_event(struct sim *sim, const struct sim_event *event)
{
    struct sim_nemesis *n = &sim->nemesis;
    const struct sim_options *o = &sim->options;
    if (sim->healing || is_left_out(sim, (enum nemesis_move)event->argument)) {
        return;
    }
    switch ((enum nemesis_move)event->argument) {
    case NEMESIS_CRASH:
        crash(sim);
        plan(sim, &n->machine_prng, NEMESIS_CRASH, o->crash_mean_ns);
        break;
    case NEMESIS_POWER_CUT:
        power_cut(sim);
        plan(sim, &n->machine_prng, NEMESIS_POWER_CUT, o->power_cut_mean_ns);
        break;
    case NEMESIS_DISK_FAIL:
        fail_disk(sim);
        plan(sim, &n->machine_prng, NEMESIS_DISK_FAIL, o->disk_fail_mean_ns);
        break;
    case NEMESIS_DISK_FULL:
        fill_disks(sim);
        break;
    case NEMESIS_DISK_FULL_END:
        empty_disks(sim);
        break;
    case NEMESIS_PAUSE:
        pause_some(sim);
        plan(sim, &n->machine_prng, NEMESIS_PAUSE, o->pause_mean_ns);
        break;
    case NEMESIS_PARTITION:
        partition(sim);
        break;
    case NEMESIS_PARTITION_END:
        uncut_all(sim);
        trace_node(sim, 0, "partition ends");
        if (prng_chance(&n->network_prng, 1, 4)) {
            /* Who was cut off, with entries that nobody else has, is heard in the next choice. */
            provoke_view_change(sim, SIM_NODES_MAX);
        }
        plan(sim, &n->network_prng, NEMESIS_PARTITION, o->partition_mean_ns);
        break;
    case NEMESIS_HOLD:
        hold(sim);
        plan(sim, &n->network_prng, NEMESIS_HOLD, o->hold_mean_ns);
        break;
    case NEMESIS_BLACK_HOLE:
        black_hole(sim);
        break;
    case NEMESIS_BLACK_HOLE_END:
        black_hole_end(sim);
        plan(sim, &n->network_prng, NEMESIS_BLACK_HOLE, o->black_hole_mean_ns);
        break;
    case NEMESIS_WALL_JUMP:
        wall_jump(sim);
        plan(sim, &n->clock_prng, NEMESIS_WALL_JUMP, o->wall_jump_mean_ns);
        break;
    case NEMESIS_CLIENT_CRASH:
        client_crash(sim);
        plan(sim, &n->client_prng, NEMESIS_CLIENT_CRASH, o->client_crash_mean_ns);
        break;
    case NEMESIS_DIFFER:
        differ(sim);
        plan(sim, &n->disk_prng, NEMESIS_DIFFER, o->differ_mean_ns);
        break;
    }
}

/* ---- healing ---- */

/* Leaves out whom the rest does not need: a quorum stays, and a quorum of those that remember. */
static void silence_some(struct sim *sim)
{
    struct prng *prng = &sim->nemesis.machine_prng;
    const uint32_t quorum = configuration_quorum(&sim->configuration);
    uint32_t members =
        sim->options.replica_count - (uint32_t)__builtin_popcount(sim->nemesis.silenced);
    uint32_t remembering = sim->options.replica_count - forgotten_count(sim);
    for (uint32_t tries = 0; tries < 2 * sim->options.replica_count; tries++) {
        const uint32_t index = pick_replica(sim, prng);
        const uint32_t remembers = sim_host_forgot(&sim->hosts[index]) ? 0 : 1;
        const uint32_t bit = 1u << index;
        if ((sim->nemesis.silenced & bit) != 0 || members - 1 < quorum ||
            remembering - remembers < quorum || prng_chance(prng, 1, 3)) {
            continue;
        }
        sim->nemesis.silenced |= bit;
        members--;
        remembering -= remembers;
        switch (prng_below(prng, 3)) {
        case 0:
            isolate(sim, index, CUT_BOTH, true);
            break;
        case 1:
            isolate(sim, index, CUT_IN, true); /* deaf, and still talking (VC-14) */
            break;
        default:
            sim_host_crash(&sim->hosts[index], SIM_END_KILLED); /* dead */
            break;
        }
    }
}

/* D5: an entry that some disk has lost may need everybody's word. */
static bool none_lacks_entries(const struct sim *sim)
{
    bool lacks = false;
    for (uint32_t i = 0; i < sim->options.replica_count; i++) {
        const struct sim_host *host = &sim->hosts[i];
        lacks = lacks || host->rotten || (host->running && host->snapshot.lost_to > 0) ||
                (!host->running && host->durability == DURABILITY_SYNC);
    }
    return !lacks;
}

void sim_nemesis_heal(struct sim *sim)
{
    sim->healing = true;
    sim_network_heal(&sim->network);
    for (uint32_t i = 0; i < sim->options.replica_count; i++) {
        sim->hosts[i].crash_after = 0;
        sim->hosts[i].crash_at_write = false;
        sim->hosts[i].differ_armed = false;
        sim_host_disarm_disk(&sim->hosts[i]);
        sim_host_resume(&sim->hosts[i]);
    }
    trace_node(sim, 0, "faults end");
    if (sim->options.core_only && none_lacks_entries(sim)) {
        silence_some(sim);
    }
    for (uint32_t i = 0; i < sim->options.replica_count; i++) {
        if (!sim->failed) {
            sim_nemesis_restart(sim, i);
        }
    }
    for (uint32_t i = 0; i < sim->options.proxy_count; i++) {
        sim_client_heal(&sim->clients[i]);
    }
}
