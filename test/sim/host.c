/* SPDX-License-Identifier: Apache-2.0 */
#include "test/sim/host.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/invariant.h"
#include "test/sim/applications.h"
#include "test/sim/host_parts.h"
#include "test/sim/sim.h"
#include "test/sim/trace.h"

/* ---- the clock ---- */

uint64_t host_now_ns(const struct sim_host *host)
{
    return host->sim->schedule.now_ns;
}

struct vr_time host_local_time(const struct sim_host *host)
{
    const uint64_t local = host->clock_offset_ns + host_now_ns(host) * host->clock_rate / 1000;
    const uint64_t wall_2026 = UINT64_C(1767225600) * SIM_S;
    return (struct vr_time){
        .now_ns = local,
        .wall_ns = (uint64_t)((int64_t)(wall_2026 + local) + host->wall_offset_ns),
    };
}

/* When the own clock will show `local_ns`, in virtual time; never too early. */
static uint64_t virtual_time(const struct sim_host *host, uint64_t local_ns)
{
    if (local_ns == UINT64_MAX) {
        return UINT64_MAX;
    }
    if (local_ns <= host->clock_offset_ns) {
        return 0;
    }
    return (local_ns - host->clock_offset_ns) * 1000 / host->clock_rate + 1;
}

void host_schedule(struct sim_host *host, enum sim_event_kind kind, uint64_t at_ns,
                   uint64_t argument)
{
    sim_schedule_add(&host->sim->schedule, (struct sim_event){.at_ns = at_ns,
                                                              .kind = kind,
                                                              .node = host->index,
                                                              .argument = argument,
                                                              .life = host->life});
}

void host_arm_timer(struct sim_host *host)
{
    uint64_t at_ns = virtual_time(host, vr_deadline(host->replica));
    for (enum sim_lane lane = SIM_LANE_PEERS; lane <= SIM_LANE_CLIENTS; lane++) {
        const uint64_t sender = virtual_time(host, wire_sender_deadline(host->senders[lane]));
        const uint64_t parts =
            virtual_time(host, wire_reassembler_deadline(host->reassemblers[lane]));
        at_ns = sender < at_ns ? sender : at_ns;
        at_ns = parts < at_ns ? parts : at_ns;
    }
    if (at_ns < host->timer_at_ns) {
        host->timer_at_ns = at_ns;
        host_schedule(host, SIM_EVENT_TIMER, at_ns, 0);
    }
}

void host_arm_drain(struct sim_host *host)
{
    if (!host->drain_scheduled) {
        host->drain_scheduled = true;
        const uint64_t delay =
            sim_exponential(&host->sim->machine_prng, host->sim->options.drain_delay_ns);
        host_schedule(host, SIM_EVENT_DRAIN, host_now_ns(host) + delay, 0);
    }
}

/* ---- events ---- */

static void on_timer(struct sim_host *host)
{
    const uint64_t local = host_local_time(host).now_ns;
    host->timer_at_ns = UINT64_MAX;
    for (enum sim_lane lane = SIM_LANE_PEERS; lane <= SIM_LANE_CLIENTS; lane++) {
        wire_sender_tick(host->senders[lane], local);
        wire_reassembler_tick(host->reassemblers[lane], local, host_ask_parts, host);
    }
    struct vr_event event = {.kind = VR_EVENT_TICK};
    if (vr_deadline(host->replica) > local) {
        host_end_drain(host);
    } else if (host_drain(host, UINT32_MAX) && host_step(host, &event)) {
        host_end_drain(host);
    }
}

static void on_state_durable(struct sim_host *host)
{
    struct sim *sim = host->sim;
    INVARIANT(host->state_write_count > 0);
    const struct sim_durable before = host->reported;
    if (host_state_store(host, &host->state_writes[0].state) != 0) {
        host_end_of_storage(host);
        return;
    }
    struct vr_event event = {
        .kind = VR_EVENT_STATE_DURABLE,
        .state_durable = {.number = host->state_writes[0].number},
    };
    host->reported =
        (struct sim_durable){host->disk.vr.view_number, host->disk.vr.last_normal_view};
    sim_expect(sim, sim_check_durable_progress(&before, &host->reported, &sim->report));
    host->state_write_count--;
    memmove(&host->state_writes[0], &host->state_writes[1],
            host->state_write_count * sizeof host->state_writes[0]);
    if (!sim->failed && host_step(host, &event)) {
        host_end_drain(host);
    }
}

static void on_log_durable(struct sim_host *host, uint64_t number)
{
    struct vr_event event = {
        .kind = VR_EVENT_LOG_DURABLE,
        .log_durable = {.generation = host->log_writes[number % SIM_LOG_WRITES].generation,
                        .op_number = host->log_writes[number % SIM_LOG_WRITES].op_number},
    };
    if (host_step_log_durable(host, &event)) {
        host_end_drain(host);
    }
}

static void on_drain(struct sim_host *host)
{
    host->drain_scheduled = false;
    const uint32_t count =
        (uint32_t)prng_between(&host->sim->machine_prng, 1, host->sim->options.drain_max);
    if (host_drain(host, count)) {
        host_end_drain(host);
    }
    if (host->running && host->inboxes[0].count + host->inboxes[1].count > 0) {
        host_arm_drain(host);
    }
}

void sim_host_event(struct sim_host *host, const struct sim_event *event)
{
    if (event->life != host->life || !host->running) {
        return;
    }
    if (host->paused) {
        host_schedule(host, event->kind, host->resume_ns, event->argument);
        return;
    }
    switch (event->kind) {
    case SIM_EVENT_DRAIN:
        on_drain(host);
        break;
    case SIM_EVENT_TIMER:
        if (host->timer_at_ns <= host_now_ns(host)) {
            on_timer(host);
        }
        break;
    case SIM_EVENT_STATE_DURABLE:
        on_state_durable(host);
        break;
    case SIM_EVENT_LOG_DURABLE:
        on_log_durable(host, event->argument);
        break;
    case SIM_EVENT_LOG_WRITE:
        host_on_log_write(host);
        break;
    case SIM_EVENT_LOG_SYNC:
        host_on_log_sync(host);
        break;
    case SIM_EVENT_EXECUTE:
        host_execute(host);
        break;
    case SIM_EVENT_CHECKPOINT:
        host_on_checkpoint(host, event->argument);
        break;
    case SIM_EVENT_STAGE:
        host_on_stage(host);
        break;
    case SIM_EVENT_DROP:
        host_on_drop(host);
        break;
    case SIM_EVENT_INSTALL:
        host_on_install(host);
        break;
    default:
        sim_fail(host->sim, "event %d is not for a replica", (int)event->kind);
    }
}

/* ---- life and death ---- */

static void start_core(struct sim_host *host, enum vr_start start)
{
    struct sim *sim = host->sim;
    const struct sim_options *o = &sim->options;
    struct vr_options options;
    vr_options_default(&options);
    options.configuration = sim->configuration;
    options.replica_id = sim->configuration.members[host->index].replica_id;
    options.incarnation = host->disk.incarnation;
    options.identity = host->disk.identity;
    options.nonce = prng_next(&sim->machine_prng);
    options.seed = prng_next(&sim->machine_prng);
    options.start = start;
    options.durable = host->disk.vr;
    options.heartbeat_ns = o->heartbeat_ns;
    options.view_change_ns = o->view_change_ns;
    options.view_change_max_ns = o->view_change_max_ns;
    options.resend_ns = o->resend_ns;
    options.reads = o->reads;
    options.message_budget = o->datagram_size - WIRE_OVERHEAD;
    options.pipeline_max = o->pipeline_max;
    options.request_queue_max = o->request_queue_max;
    options.execute_lag_max = o->execute_lag_max;
    options.view_sync_max = o->view_sync_max;
    options.log_memory = sim_memory_room(&host->log_memory, o->log_memory_size);
    options.staging_memory = sim_memory_room(&host->staging_memory, o->log_memory_size);
    options.log_memory_size = o->log_memory_size;
    options.durability = host->durability;
    options.log_block_size = o->log_block_size;
    options.log_retain = o->log_retain;
    options.checkpoint_pin_ns = o->checkpoint_pin_ns;
    options.transfer_rate = o->transfer_rate;
    options.checkpoint = host->base;
    options.checkpoint_timestamp = executor_timestamp(host->executor);
    host_log_describe(host, &options);
    host->replica =
        vr_init(sim_memory_room(&host->memory, vr_memory_size()), &options, host_local_time(host));
}

/* The disk ended it, or failed: it is tried again, as a person would. */
static void fail_start(struct sim_host *host)
{
    struct sim *sim = host->sim;
    if (sim->failed) {
        return;
    }
    const bool power = host->platter->power_off && host->crash_machine;
    sim->counts.failed_starts++;
    trace_node(sim, host->index, "cannot start");
    sim_application_stop(&host->application);
    host_log_close(host, power ? SIM_END_POWER : SIM_END_KILLED);
    sim_schedule_add(&sim->schedule, (struct sim_event){.at_ns = host_now_ns(host) + 50 * SIM_MS,
                                                        .kind = SIM_EVENT_RESTART,
                                                        .node = host->index});
}

void sim_host_start(struct sim_host *host, enum durability durability)
{
    struct sim *sim = host->sim;
    enum vr_start start;
    INVARIANT(!host->running);
    host->durability = host->refused ? DURABILITY_MEMORY : durability;
    host->refused = false;
    if (!host_log_open(host, &start)) {
        fail_start(host);
        return;
    }
    host->life++;
    host->running = true;
    host->paused = false;
    host->crash_after = 0;
    host->crash_at_write = false;
    host->state_write_count = 0;
    host->log_write_number = 0;
    host->log_generation = 0;
    host->log_last_ns = 0;
    host->vote_heard = 0;
    host->durable_op = host_log_reaches_base(host) ? host->found.held_op : host->base.op_number;
    host->ready_count = 0;
    host->timer_at_ns = UINT64_MAX;
    host->drain_scheduled = false;
    host->was_recovering = start == VR_START_RECOVER;
    host->resumed = start == VR_START_RESUME;
    host->was_faulty = start == VR_START_RESUME && host->found.condition == WAL_FAULTY;
    host->rotten = host->rotten && host->found.condition != WAL_INTACT;
    host->differ_armed = false;
    host->leaving = false;
    host->suspect = host->differs;
    for (size_t i = 0; i < sizeof host->token_secret; i++) {
        host->token_secret[i] = (uint8_t)prng_next(&sim->machine_prng);
    }
    host_open_sockets(host);
    start_core(host, start);
    host_observe_start(host);
    trace_node(sim, host->index, start == VR_START_RECOVER ? "starts, recovering" : "starts");
    host_end_drain(host);
}

void sim_host_crash(struct sim_host *host, enum sim_end end)
{
    struct sim *sim = host->sim;
    bool clean = end == SIM_END_CLEAN && !host->paused;
    if (!host->running) {
        return;
    }
    if (clean) {
        struct vr_event event = {.kind = VR_EVENT_STOP};
        host->crash_after = 0;
        if (!host_step(host, &event)) {
            return;
        }
        host_end_drain(host);
        if (!host_log_finish(host)) {
            return;
        }
        sim->counts.clean_stops++;
    }
    sim_host_count(host);
    host_state_end(host, clean);
    sim->counts.crashes++;
    trace_node(sim, host->index,
               clean                  ? "stops"
               : end == SIM_END_POWER ? "loses power"
                                      : "crashes");
    host_checkpoints_close(host, clean);
    host_log_close(host, end);
    host_inbox_clear(host, &host->inboxes[SIM_LANE_PEERS]);
    host_inbox_clear(host, &host->inboxes[SIM_LANE_CLIENTS]);
    sim_application_stop(&host->application);
    host->running = false;
    host->paused = false;
    host->crash_after = 0;
    host->crash_at_write = false;
    host->replica = NULL;
    host->life++;
}

bool sim_host_forgot(const struct sim_host *host)
{
    const bool memory = host->durability == DURABILITY_MEMORY;
    const bool armed = host->crash_after > 0 || host->crash_at_write;
    const enum sim_end end = host->crash_machine ? SIM_END_POWER : SIM_END_KILLED;
    return host->replaced || host->lost || host->rotten || host->disk_armed || host->differ_armed ||
           host->suspect || host->disk.diverged || (memory && !host->running) ||
           (armed && sim_host_would_forget(host, end));
}

void sim_host_pause(struct sim_host *host, uint64_t until_ns)
{
    host->paused = true;
    host->resume_ns = until_ns;
    trace_node(host->sim, host->index, "pauses");
    sim_schedule_add(&host->sim->schedule, (struct sim_event){.at_ns = until_ns,
                                                              .kind = SIM_EVENT_RESUME,
                                                              .node = host->index,
                                                              .life = host->life});
}

/* The receiver threads run again and stamp what waited in the kernel. */
void sim_host_resume(struct sim_host *host)
{
    if (!host->paused) {
        return;
    }
    host->paused = false;
    trace_node(host->sim, host->index, "resumes");
    for (enum sim_lane lane = SIM_LANE_PEERS; lane <= SIM_LANE_CLIENTS; lane++) {
        struct sim_inbox *inbox = &host->inboxes[lane];
        for (uint32_t i = 0; i < inbox->count; i++) {
            uint64_t *stamp = &inbox->received_ns[(inbox->head + i) % SIM_INBOX_MAX];
            *stamp = *stamp == 0 ? host_local_time(host).now_ns : *stamp;
        }
    }
    if (!host->drain_scheduled) {
        host_arm_drain(host);
    }
}

void sim_host_count(struct sim_host *host)
{
    struct sim_counts *counts = &host->sim->counts;
    if (host->replica == NULL) {
        return;
    }
    const struct vr_snapshot *s = &host->snapshot;
    vr_snapshot(host->replica, &host->snapshot);
    counts->view_changes += s->view_changes;
    counts->catchup_entries += s->catchup_entries;
    counts->catchup_served += s->catchup_served;
    counts->prepares_resent += s->prepares_resent;
    counts->busy += s->busy_count;
    counts->checkpoints_offered += s->checkpoints_offered;
    counts->logs_compacted += s->base_op > 0 ? 1 : 0;
    counts->log_full += s->log_full ? 1 : 0;
    for (uint32_t reason = 0; reason < DROP_REASON_COUNT; reason++) {
        counts->dropped[reason] += s->dropped[reason];
    }
    for (enum sim_lane lane = SIM_LANE_PEERS; lane <= SIM_LANE_CLIENTS; lane++) {
        struct wire_sender_counters sent;
        wire_sender_counters(host->senders[lane], &sent);
        counts->split_messages += sent.split;
        counts->parts_asked += sent.parts_asked;
    }
}

void sim_host_lose_disk(struct sim_host *host)
{
    INVARIANT(!host->running);
    host->replaced = true;
    trace_node(host->sim, host->index, "has lost its disk");
    host_disk_make(host);
}

void sim_host_reset(struct sim_host *host, struct sim *sim, uint32_t index)
{
    sim_application_stop(&host->application);
    host_checkpoints_close(host, false);
    host->sim = sim;
    host->index = index;
    host->life = 0;
    host->running = false;
    host->paused = false;
    host->replica = NULL;
    if (host->executions == NULL) {
        host->executions = sim_allocate(EXECUTE_LAG_MAX * sizeof *host->executions);
    }
    struct prng *prng = &sim->nemesis.clock_prng;
    const uint32_t spread = sim->options.clock_rate_spread;
    host->clock_rate = prng_between(prng, 1000 - spread, 1000 + spread);
    host->clock_offset_ns = prng_below(prng, 1000 * SIM_S);
    host->wall_offset_ns = (int64_t)prng_below(prng, SIM_S);
    host->replaced = false;
    host->state_open = false;
    if (host->log_open) { /* of a run that was escaped from */
        log_queue_destroy(&host->queue);
        wal_close(&host->wal);
        host->log_open = false;
    }
    host->boot = 1;
    host_disk_make(host);
}

void sim_host_free(struct sim_host *host)
{
    sim_application_stop(&host->application);
    host_checkpoints_close(host, false);
    sim_memory_free(&host->memory);
    sim_memory_free(&host->log_memory);
    sim_memory_free(&host->staging_memory);
    sim_memory_free(&host->executor_memory);
    free(host->executions);
    free(host->chain);
    if (host->log_open) {
        log_queue_destroy(&host->queue);
        wal_close(&host->wal);
    }
    if (host->platter != NULL) {
        sim_disk_free(host->platter);
        free(host->platter);
    }
    for (uint32_t lane = 0; lane < 2; lane++) {
        sim_memory_free(&host->sender_memory[lane]);
        sim_memory_free(&host->reassembler_memory[lane]);
    }
    *host = (struct sim_host){0};
}
