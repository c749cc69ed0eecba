/* SPDX-License-Identifier: Apache-2.0 */
/* Driving the core: steps, flushes, and its outputs carried out, as server/runtime does it. */
#include <inttypes.h>
#include <string.h>

#include "common/base/invariant.h"
#include "test/sim/host_parts.h"
#include "test/sim/sim.h"
#include "test/sim/trace.h"

void host_ready(struct sim_host *host, const struct vr_event *event)
{
    INVARIANT(host->ready_count < SIM_READY_MAX);
    host->ready[host->ready_count++] = *event;
}

static void check_revealed(struct sim_host *host, const struct message *message)
{
    sim_expect(host->sim, sim_check_revealed(message, &host->reported, host->durable_op,
                                             host->vote_heard, &host->sim->report));
}

static void send_peers(struct sim_host *host, const struct vr_output *output)
{
    struct sim *sim = host->sim;
    struct wire_destination destinations[REPLICAS_MAX];
    size_t count = 0;
    check_revealed(host, &output->send.message);
    for (uint32_t i = 0; i < sim->options.replica_count; i++) {
        if ((output->send.member_mask & (1u << i)) != 0) {
            INVARIANT(i != host->index);
            trace_send(sim, host->index, i, &output->send.message);
            destinations[count++] =
                (struct wire_destination){.address = sim_address(sim, i, SIM_LANE_PEERS)};
        }
    }
    INVARIANT(output->send.member_mask >> sim->options.replica_count == 0);
    wire_send_many(host->senders[SIM_LANE_PEERS], destinations, count, &output->send.message,
                   host_local_time(host).now_ns);
}

void host_send_client(struct sim_host *host, const struct message *message,
                      const struct net_address *address)
{
    const struct wire_destination destination = {.address = *address};
    check_revealed(host, message);
    trace_send(host->sim, host->index, sim_node_at(host->sim, address), message);
    wire_send(host->senders[SIM_LANE_CLIENTS], &destination, message, host_local_time(host).now_ns);
}

static void write_state(struct sim_host *host, const struct vr_output *output)
{
    struct sim *sim = host->sim;
    INVARIANT(host->state_write_count < SIM_STATE_WRITES);
    host->state_writes[host->state_write_count].number = output->write_state.number;
    host->state_writes[host->state_write_count].state = output->write_state.state;
    host->state_write_count++;
    sim->counts.state_writes++;
    if (host->crash_at_write) {
        host->crash_at_write = false;
        host->crash_after = (uint32_t)prng_between(&sim->machine_prng, 1, 4);
    }
    uint64_t latency = sim_exponential(&sim->machine_prng, sim->options.state_latency_ns);
    if (sim->options.state_latency_ns > 0 && !sim->healing &&
        prng_chance(&sim->machine_prng, 1, 200)) {
        latency += prng_below(&sim->machine_prng, SIM_S); /* a disk that stalls */
    }
    host_schedule(host, SIM_EVENT_STATE_DURABLE, host_now_ns(host) + latency, 0);
}

/* Completions of one generation come in order; an older one's may come after a newer one's (S4). */
static void write_log(struct sim_host *host, const struct vr_output *output)
{
    struct sim *sim = host->sim;
    if (output->write_log.generation != host->log_generation) {
        INVARIANT(output->write_log.generation > host->log_generation);
        host->log_generation = output->write_log.generation;
        host->log_last_ns = 0;
        if (host->durable_op > output->write_log.cut_to) {
            host->durable_op = output->write_log.cut_to;
        }
    }
    const struct vr_event durable = {
        .kind = VR_EVENT_LOG_DURABLE,
        .log_durable = {.generation = output->write_log.generation,
                        .op_number = output->write_log.last_op},
    };
    if (host_on_disk(host)) {
        host_log_write(host, &(struct log_write){.generation = output->write_log.generation,
                                                 .cut_to = output->write_log.cut_to,
                                                 .first_op = output->write_log.first_op,
                                                 .last_op = output->write_log.last_op});
        return;
    }
    if (sim->options.log_latency_ns == 0) {
        host_ready(host, &durable);
        return;
    }
    const uint64_t number = host->log_write_number++;
    host->log_writes[number % SIM_LOG_WRITES].generation = durable.log_durable.generation;
    host->log_writes[number % SIM_LOG_WRITES].op_number = durable.log_durable.op_number;
    const uint64_t latency = sim_exponential(&sim->machine_prng, sim->options.log_latency_ns);
    uint64_t at_ns = host_now_ns(host) + (sim->healing ? latency % (2 * SIM_MS) : latency);
    at_ns = at_ns > host->log_last_ns ? at_ns : host->log_last_ns;
    host->log_last_ns = at_ns;
    host_schedule(host, SIM_EVENT_LOG_DURABLE, at_ns, number);
}

static void carry_out_one(struct sim_host *host, const struct vr_output *output)
{
    switch (output->kind) {
    case VR_OUT_SEND_PEERS:
        send_peers(host, output);
        break;
    case VR_OUT_SEND_CLIENT:
        host_send_client(host, &output->send.message, &output->send.message.address);
        break;
    case VR_OUT_WRITE_LOG:
        write_log(host, output);
        break;
    case VR_OUT_WRITE_STATE:
        write_state(host, output);
        break;
    case VR_OUT_EXECUTE:
        host_hand_over(host, output);
        break;
    case VR_OUT_LOOKUP:
        if (host->lookup_count < SIM_LOOKUPS_MAX) {
            host->lookups[host->lookup_count++] = *output;
            host_arm_execution(host);
        }
        break;
    case VR_OUT_READ:
        host_let_read(host, output);
        break;
    case VR_OUT_TAKE_CHECKPOINT:
        break; /* its checkpoints are never that far apart */
    case VR_OUT_DROP_LOG:
        host_drop_log(host, output);
        break;
    case VR_OUT_SERVE_CHECKPOINT:
        host_serve_checkpoint(host, output);
        break;
    case VR_OUT_STAGE_CHUNK:
        host_stage_chunk(host, output);
        break;
    case VR_OUT_INSTALL_CHECKPOINT:
        host_install_checkpoint(host, output);
        break;
    case VR_OUT_DIVERGED:
        host_note_diverged(host, output);
        break;
    }
}

/* Carries out what a step said, in order. An armed crash strikes between two outputs: what was sent
 * by then is on its way or, half the time, still in a buffer and gone. */
static void carry_out(struct sim_host *host)
{
    struct sim *sim = host->sim;
    host_observe(host);
    for (uint32_t i = 0; i < host->outputs.count && !sim->failed; i++) {
        carry_out_one(host, &host->outputs.items[i]);
        if (host->leaving && !sim->failed) {
            host_leave(host);
            return;
        }
        if (host->crash_after > 0 && --host->crash_after == 0) {
            if (prng_chance(&sim->machine_prng, 1, 2)) {
                wire_flush(host->senders[SIM_LANE_PEERS]);
                wire_flush(host->senders[SIM_LANE_CLIENTS]);
            }
            sim->counts.crashes_inside++;
            sim_host_crash(host, host->crash_machine ? SIM_END_POWER : SIM_END_KILLED);
            return;
        }
    }
}

/* False if the replica is gone, or the run is over. */
bool host_step(struct sim_host *host, struct vr_event *event)
{
    event->time = host_local_time(host);
    vr_step(host->replica, event, &host->outputs);
    host->sim->counts.steps++;
    carry_out(host);
    return host->running && !host->sim->failed;
}

bool host_step_log_durable(struct sim_host *host, struct vr_event *event)
{
    if (event->kind == VR_EVENT_LOG_DURABLE &&
        event->log_durable.generation == host->log_generation &&
        event->log_durable.op_number > host->durable_op) {
        host->durable_op = event->log_durable.op_number;
    }
    return host_step(host, event);
}

static bool step_ready(struct sim_host *host)
{
    struct vr_event ready[SIM_READY_MAX];
    const uint32_t count = host->ready_count;
    memcpy(ready, host->ready, count * sizeof ready[0]);
    host->ready_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (!host_step_log_durable(host, &ready[i])) {
            return false;
        }
    }
    return true;
}

/* Ends a drain: flushes until nothing more is said, then sends what was collected. */
void host_end_drain(struct sim_host *host)
{
    struct sim *sim = host->sim;
    bool more = true;
    for (uint32_t i = 0; more; i++) {
        if (i == SIM_FLUSHES_MAX) {
            sim_fail(sim, "I10: replica %u never ends its flush", host->index);
            return;
        }
        more = vr_flush(host->replica, host_local_time(host), &host->outputs);
        carry_out(host);
        if (!host->running || sim->failed) {
            return;
        }
        if (host->ready_count > 0) {
            more = true;
            if (!step_ready(host)) {
                return;
            }
        }
    }
    wire_flush(host->senders[SIM_LANE_PEERS]);
    wire_flush(host->senders[SIM_LANE_CLIENTS]);
    host_arm_timer(host);
}
