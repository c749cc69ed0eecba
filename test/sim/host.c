#include "test/sim/host.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/invariant.h"
#include "test/sim/applications.h"
#include "test/sim/sim.h"
#include "test/sim/trace.h"

static uint64_t now_ns(const struct sim_host *host)
{
    return host->sim->schedule.now_ns;
}

/* ---- the clock ---- */

static struct vr_time local_time(const struct sim_host *host)
{
    const uint64_t local = host->clock_offset_ns + now_ns(host) * host->clock_rate / 1000;
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

static void schedule(struct sim_host *host, enum sim_event_kind kind, uint64_t at_ns,
                     uint64_t argument)
{
    sim_schedule_add(&host->sim->schedule, (struct sim_event){.at_ns = at_ns,
                                                              .kind = kind,
                                                              .node = host->index,
                                                              .argument = argument,
                                                              .life = host->life});
}

static void arm_timer(struct sim_host *host)
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
        schedule(host, SIM_EVENT_TIMER, at_ns, 0);
    }
}

static void arm_drain(struct sim_host *host)
{
    if (!host->drain_scheduled) {
        host->drain_scheduled = true;
        const uint64_t delay =
            sim_exponential(&host->sim->machine_prng, host->sim->options.drain_delay_ns);
        schedule(host, SIM_EVENT_DRAIN, now_ns(host) + delay, 0);
    }
}

/* ---- what the checkers see ---- */

static void chain_grow(struct sim_host *host, uint64_t op_number)
{
    if (op_number >= host->chain_capacity) {
        const size_t capacity = 2 * op_number + 4096;
        host->chain = realloc(host->chain, capacity * sizeof *host->chain);
        INVARIANT(host->chain != NULL);
        host->chain_capacity = capacity;
    }
}

/* Works out the chain's checksums behind `op`, from the bytes that the log holds. */
static void chain_extend(struct sim_host *host, uint64_t op, uint64_t op_number)
{
    const uint64_t cluster_id = host->sim->configuration.cluster_id;
    chain_grow(host, op_number);
    while (op < op_number) {
        op++;
        size_t size;
        const uint8_t *bytes = vr_log_bytes(host->replica, op, &size);
        if (bytes == NULL) {
            sim_fail(host->sim, "replica %u has no entry at op %" PRIu64 " of %" PRIu64,
                     host->index, op, op_number);
            return;
        }
        host->chain[op] = entry_checksum(cluster_id, host->chain[op - 1], bytes, size);
    }
}

/* Brings chain[] up to the log's head. What is committed is never cut (S3), so if the log was cut,
 * everything above the last commit_number seen is worked out again. */
static void chain_follow(struct sim_host *host, uint64_t committed)
{
    const uint64_t op_number = host->snapshot.op_number;
    const struct checksum head = host->snapshot.head_checksum;
    if (op_number <= host->chain_op && checksum_equal(host->chain[op_number], head)) {
        host->chain_op = op_number;
        return;
    }
    if (op_number > host->chain_op) {
        chain_extend(host, host->chain_op, op_number);
    }
    if (!checksum_equal(host->chain[op_number], head)) {
        chain_extend(host, committed < op_number ? committed : op_number, op_number);
    }
    if (!checksum_equal(host->chain[op_number], head)) {
        sim_fail(host->sim,
                 "the head checksum of replica %u at op %" PRIu64
                 " does not follow from its entries",
                 host->index, op_number);
    }
    host->chain_op = op_number;
}

/* Entries committed here for the first time anywhere go to the model. */
static void note_commits(struct sim_host *host, uint64_t from_op)
{
    struct sim *sim = host->sim;
    for (uint64_t op = from_op + 1; op <= sim->history.committed && !sim->failed; op++) {
        size_t size;
        const uint8_t *bytes = vr_log_bytes(host->replica, op, &size);
        struct entry entry;
        INVARIANT(bytes != NULL);
        INVARIANT(entry_decode(bytes, size, &entry) == size);
        sim_model_execute(&sim->model, &entry);
        sim_expect(sim, sim_check_late_commit(&sim->views, &sim->history, op,
                                              host->observed.last_normal_view, &sim->report));
    }
}

static void check_view(struct sim_host *host)
{
    struct sim *sim = host->sim;
    const struct sim_observed *observed = &host->observed;
    bool started;
    const uint32_t primary = configuration_primary(&sim->configuration, observed->view_number);
    sim_expect(sim, sim_check_acting_primary(&sim->views, &sim->history, observed, primary,
                                             &started, &sim->report));
    if (started) {
        sim_expect(sim, sim_check_view_start(&sim->history, observed, &sim->report));
        sim->counts.views_started++;
        trace_node(sim, host->index, "starts view %" PRIu64,
                   view_within_epoch(observed->view_number));
    }
    sim_expect(sim, sim_check_holds_view_start(&sim->views, observed, &sim->report));
    for (uint32_t i = 0; i < sim->options.replica_count; i++) {
        if (i != host->index && sim->hosts[i].running) {
            sim_expect(sim, sim_check_prefix(observed, &sim->hosts[i].observed, &sim->report));
        }
    }
}

/* Entries that a primary took although they have to wait: those that its view began with do not
 * count (N3). */
static uint64_t waiting_entries(const struct sim_host *host)
{
    const struct vr_snapshot *s = &host->snapshot;
    const struct sim_view *view = sim_views_find(&host->sim->views, s->view_number);
    if (!s->acting_primary || view == NULL) {
        return 0;
    }
    const uint64_t from = view->start_op > s->commit_number ? view->start_op : s->commit_number;
    return s->op_number - from;
}

static void check_bounds(struct sim_host *host)
{
    const struct sim *sim = host->sim;
    const struct vr_snapshot *s = &host->snapshot;
    const struct sim_bound bounds[] = {
        {"log memory", s->log_bytes, sim->options.log_memory_size},
        {"execution lag", host->execute_to - s->executed_op, sim->options.execute_lag_max},
        {"the queue of requests", waiting_entries(host),
         (uint64_t)sim->options.pipeline_max + sim->options.request_queue_max},
        {"outputs", host->outputs.count, VR_OUTPUTS_MAX},
    };
    sim_expect(host->sim, sim_check_bounds(host->index, bounds, sizeof bounds / sizeof bounds[0],
                                           &host->sim->report));
}

static bool same(const struct sim_observed *a, const struct sim_observed *b)
{
    return a->status == b->status && a->acting_primary == b->acting_primary &&
           a->view_number == b->view_number && a->last_normal_view == b->last_normal_view &&
           a->op_number == b->op_number && a->commit_number == b->commit_number &&
           checksum_equal(a->head_checksum, b->head_checksum);
}

/* After every step: reads the replica, and lets the checkers judge what changed. */
static void observe(struct sim_host *host)
{
    struct sim *sim = host->sim;
    const struct sim_observed before = host->observed;
    vr_snapshot(host->replica, &host->snapshot);
    const struct vr_snapshot *s = &host->snapshot;
    host->observed = (struct sim_observed){
        .replica = host->index,
        .incarnation = host->disk.incarnation,
        .status = s->status,
        .acting_primary = s->acting_primary,
        .view_number = s->view_number,
        .last_normal_view = s->last_normal_view,
        .op_number = s->op_number,
        .commit_number = s->commit_number,
        .executed_op = s->executed_op,
        .head_checksum = s->head_checksum,
        .commit_checksum = s->commit_checksum,
    };
    check_bounds(host);
    if (same(&before, &host->observed)) {
        host->observed.chain = host->chain;
        return;
    }
    chain_follow(host, before.commit_number);
    host->observed.chain = host->chain;
    if (sim->failed) {
        return;
    }
    trace_observed(sim, &before, &host->observed);
    sim_expect(sim, sim_check_state(&host->observed, &sim->report));
    sim_expect(sim, sim_check_progress(&before, &host->observed, &sim->report));
    const uint64_t committed = sim->history.committed;
    sim_expect(sim, sim_check_agreement(&sim->history, &host->observed, before.commit_number,
                                        &sim->report));
    note_commits(host, committed);
    check_view(host);
    if (host->was_recovering && s->status != STATUS_RECOVERING) {
        host->was_recovering = false;
        sim->counts.recoveries++;
    }
}

/* ---- outputs ---- */

static void deliver_ready(struct sim_host *host, const struct vr_event *event)
{
    INVARIANT(host->ready_count < SIM_READY_MAX);
    host->ready[host->ready_count++] = *event;
}

static void check_revealed(struct sim_host *host, const struct message *message)
{
    sim_expect(host->sim,
               sim_check_revealed(message, &host->reported, host->durable_op, &host->sim->report));
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
                   local_time(host).now_ns);
}

static void send_client(struct sim_host *host, const struct message *message,
                        const struct net_address *address)
{
    const struct wire_destination destination = {.address = *address};
    check_revealed(host, message);
    trace_send(host->sim, host->index, sim_node_at(host->sim, address), message);
    wire_send(host->senders[SIM_LANE_CLIENTS], &destination, message, local_time(host).now_ns);
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
    schedule(host, SIM_EVENT_STATE_DURABLE, now_ns(host) + latency, 0);
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
    if (sim->options.log_latency_ns == 0) {
        deliver_ready(host, &durable);
        return;
    }
    const uint64_t number = host->log_write_number++;
    host->log_writes[number % SIM_LOG_WRITES].generation = durable.log_durable.generation;
    host->log_writes[number % SIM_LOG_WRITES].op_number = durable.log_durable.op_number;
    uint64_t at_ns =
        now_ns(host) + sim_exponential(&sim->machine_prng, sim->options.log_latency_ns);
    at_ns = at_ns > host->log_last_ns ? at_ns : host->log_last_ns;
    host->log_last_ns = at_ns;
    schedule(host, SIM_EVENT_LOG_DURABLE, at_ns, number);
}

static void arm_execution(struct sim_host *host)
{
    struct sim *sim = host->sim;
    if (!host->execute_scheduled) {
        host->execute_scheduled = true;
        schedule(host, SIM_EVENT_EXECUTE,
                 now_ns(host) + sim_exponential(&sim->machine_prng, sim->options.execute_delay_ns),
                 0);
    }
}

static void hand_over(struct sim_host *host, const struct vr_output *output)
{
    INVARIANT(output->execute.first_op == host->execute_to + 1);
    while (host->execute_to < output->execute.last_op) {
        host->execute_to++;
        vr_execution(host->replica, host->execute_to,
                     &host->executions[host->execute_to % EXECUTE_LAG_MAX]);
    }
    arm_execution(host);
}

static void carry_out_one(struct sim_host *host, const struct vr_output *output)
{
    struct sim *sim = host->sim;
    switch (output->kind) {
    case VR_OUT_SEND_PEERS:
        send_peers(host, output);
        break;
    case VR_OUT_SEND_CLIENT:
        send_client(host, &output->send.message, &output->send.message.address);
        break;
    case VR_OUT_WRITE_LOG:
        write_log(host, output);
        break;
    case VR_OUT_WRITE_STATE:
        write_state(host, output);
        break;
    case VR_OUT_EXECUTE:
        hand_over(host, output);
        break;
    case VR_OUT_LOOKUP:
        if (host->lookup_count < SIM_LOOKUPS_MAX) {
            host->lookups[host->lookup_count++] = *output;
            arm_execution(host);
        }
        break;
    case VR_OUT_DIVERGED:
        sim_fail(sim, "N7: replica %u found itself diverged at op %" PRIu64, host->index,
                 output->diverged.op_number);
        break;
    }
}

/* Carries out what a step said, in order. An armed crash strikes between two outputs: what was sent
 * by then is on its way or, half the time, still in a buffer and gone. */
static void carry_out(struct sim_host *host)
{
    struct sim *sim = host->sim;
    observe(host);
    for (uint32_t i = 0; i < host->outputs.count && !sim->failed; i++) {
        carry_out_one(host, &host->outputs.items[i]);
        if (host->crash_after > 0 && --host->crash_after == 0) {
            if (prng_chance(&sim->machine_prng, 1, 2)) {
                wire_flush(host->senders[SIM_LANE_PEERS]);
                wire_flush(host->senders[SIM_LANE_CLIENTS]);
            }
            sim->counts.crashes_inside++;
            sim_host_crash(host, false);
            return;
        }
    }
}

/* False if the replica is gone, or the run is over. */
static bool step(struct sim_host *host, struct vr_event *event)
{
    event->time = local_time(host);
    vr_step(host->replica, event, &host->outputs);
    host->sim->counts.steps++;
    carry_out(host);
    return host->running && !host->sim->failed;
}

static bool step_log_durable(struct sim_host *host, struct vr_event *event)
{
    if (event->log_durable.generation == host->log_generation &&
        event->log_durable.op_number > host->durable_op) {
        host->durable_op = event->log_durable.op_number;
    }
    return step(host, event);
}

static bool step_ready(struct sim_host *host)
{
    struct vr_event ready[SIM_READY_MAX];
    const uint32_t count = host->ready_count;
    memcpy(ready, host->ready, count * sizeof ready[0]);
    host->ready_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (!step_log_durable(host, &ready[i])) {
            return false;
        }
    }
    return true;
}

/* Ends a drain: flushes until nothing more is said, then sends what was collected. */
static void end_drain(struct sim_host *host)
{
    struct sim *sim = host->sim;
    bool more = true;
    for (uint32_t i = 0; more; i++) {
        if (i == SIM_FLUSHES_MAX) {
            sim_fail(sim, "I10: replica %u never ends its flush", host->index);
            return;
        }
        more = vr_flush(host->replica, local_time(host), &host->outputs);
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
    arm_timer(host);
}

/* ---- datagrams in ---- */

/* M7: answered by the receiver, from the last snapshot. */
static void answer_status(struct sim_host *host, const struct message *request)
{
    const struct vr_snapshot *s = &host->snapshot;
    const struct status_report report = {
        .nonce = request->status_request.nonce,
        .cluster_id = host->sim->configuration.cluster_id,
        .replica_id = host->sim->configuration.members[host->index].replica_id,
        .view_number = host->reported.view_number,
        .last_normal_view = s->last_normal_view,
        .status = s->status,
        .acting_primary = s->acting_primary,
        .op_number = s->op_number,
        .commit_number = s->commit_number,
        .executed_op = s->executed_op,
        .durability = DURABILITY_MEMORY,
        .version = "sim",
        .note = "",
        .configuration = &host->sim->configuration,
    };
    const struct message answer = {.type = MESSAGE_STATUS, .status = &report};
    send_client(host, &answer, &request->address);
}

/* False if the replica is gone, or the run is over. */
static bool receive_message(struct sim_host *host, enum sim_lane lane,
                            const struct message *message, uint64_t received_ns)
{
    struct sim *sim = host->sim;
    trace_receive(sim, host->index, sim_node_at(sim, &message->address), message);
    if (message->type == MESSAGE_PARTS_MISSING) {
        wire_sender_parts_missing(host->senders[lane], message, local_time(host).now_ns);
        return true;
    }
    if (lane == SIM_LANE_CLIENTS && message->type == MESSAGE_STATUS_REQUEST) {
        answer_status(host, message);
        return true;
    }
    if (message->type == MESSAGE_REFUSED) {
        return true; /* for a person to read */
    }
    if (lane == SIM_LANE_CLIENTS ? message->type != MESSAGE_REQUEST
                                 : !message_is_from_replica(message->type)) {
        sim_fail(sim, "replica %u got a %s from node %u", host->index,
                 message_type_name(message->type), sim_node_at(sim, &message->address));
        return false;
    }
    sim->counts.messages++;
    struct vr_event event = {
        .kind = VR_EVENT_MESSAGE,
        .message = {.message = message, .received_ns = received_ns},
    };
    uint64_t dropped[DROP_REASON_COUNT];
    memcpy(dropped, host->snapshot.dropped, sizeof dropped);
    const bool alive = step(host, &event);
    trace_drops(sim, host->index, dropped, host->snapshot.dropped);
    return alive;
}

/* M3: a client proves that it receives where it says it is, before anything is done for it. */
static bool knows_token(struct sim_host *host, const struct wire_cursor *cursor)
{
    const uint64_t token = wire_token(host->token_secret, &cursor->address);
    if (cursor->header.token == token) {
        return true;
    }
    const struct message challenge = {.type = MESSAGE_CHALLENGE, .challenge = {.token = token}};
    send_client(host, &challenge, &cursor->address);
    return false;
}

static bool receive_frames(struct sim_host *host, enum sim_lane lane, struct wire_cursor *cursor,
                           uint64_t received_ns)
{
    struct sim *sim = host->sim;
    for (;;) {
        struct message message;
        arena_reset(&sim->arena);
        enum wire_drop drop = wire_next(cursor, &sim->arena, &message);
        if (drop == WIRE_END) {
            return true;
        }
        if (drop == WIRE_OK && message.type == MESSAGE_PART) {
            struct message whole;
            arena_reset(&sim->whole);
            drop = wire_reassemble(host->reassemblers[lane], &message, local_time(host).now_ns,
                                   &sim->whole, &whole);
            if (drop == WIRE_OK && whole.type == MESSAGE_NONE) {
                continue;
            }
            message = whole;
        }
        if (drop != WIRE_OK) {
            sim->counts.wire_dropped[drop]++;
            continue;
        }
        if (!receive_message(host, lane, &message, received_ns)) {
            return false;
        }
    }
}

static bool receive_datagram(struct sim_host *host, const struct sim_datagram *datagram,
                             uint64_t received_ns)
{
    struct sim *sim = host->sim;
    const struct net_address address = sim_address(sim, datagram->from, datagram->lane);
    struct wire_header header;
    struct wire_cursor cursor;
    const enum wire_drop drop =
        wire_open(datagram->bytes, datagram->size, &address, &header, &cursor);
    if (drop != WIRE_OK) {
        sim->counts.wire_dropped[drop]++;
        if (!datagram->flipped) {
            sim_fail(sim, "a datagram from node %u was dropped unharmed: %s", datagram->from,
                     wire_drop_name(drop));
        }
        return !sim->failed;
    }
    if (datagram->flipped) {
        sim_fail(sim, "UDP-8: a damaged datagram from node %u was taken", datagram->from);
        return false;
    }
    if (datagram->lane == SIM_LANE_CLIENTS && !knows_token(host, &cursor)) {
        return true;
    }
    return receive_frames(host, datagram->lane, &cursor, received_ns);
}

/* Takes up to `count` datagrams, peers before clients (M5). False if the replica is gone. */
static bool drain(struct sim_host *host, uint32_t count)
{
    struct sim *sim = host->sim;
    for (enum sim_lane lane = SIM_LANE_PEERS; lane <= SIM_LANE_CLIENTS; lane++) {
        struct sim_inbox *inbox = &host->inboxes[lane];
        while (inbox->count > 0 && count > 0) {
            const uint32_t at = inbox->head;
            const uint32_t index = inbox->datagrams[at];
            inbox->head = (at + 1) % SIM_INBOX_MAX;
            inbox->count--;
            count--;
            const bool alive = receive_datagram(host, sim_network_datagram(&sim->network, index),
                                                inbox->received_ns[at]);
            sim_network_release(&sim->network, index);
            if (!alive) {
                return false;
            }
        }
    }
    return true;
}

void sim_host_deliver(struct sim_host *host, uint64_t index)
{
    struct sim *sim = host->sim;
    const struct sim_datagram *datagram = sim_network_datagram(&sim->network, index);
    struct sim_inbox *inbox = &host->inboxes[datagram->lane];
    if (!host->running || inbox->count == sim->options.inbox_max) {
        sim->counts.inbox_full += host->running ? 1 : 0;
        sim_network_release(&sim->network, index);
        return;
    }
    const uint32_t at = (inbox->head + inbox->count) % SIM_INBOX_MAX;
    inbox->datagrams[at] = (uint32_t)index;
    inbox->received_ns[at] = host->paused ? 0 : local_time(host).now_ns;
    inbox->count++;
    if (!host->paused) {
        arm_drain(host);
    }
}

static void inbox_clear(struct sim_host *host, struct sim_inbox *inbox)
{
    for (; inbox->count > 0; inbox->count--) {
        sim_network_release(&host->sim->network, inbox->datagrams[inbox->head]);
        inbox->head = (inbox->head + 1) % SIM_INBOX_MAX;
    }
}

/* ---- execution ---- */

static size_t tap_execute(void *state, const struct app_context *context, const uint8_t *operation,
                          size_t operation_size, uint8_t *result)
{
    struct sim_host *host = state;
    struct sim *sim = host->sim;
    const struct app *inner = &host->application.inner;
    const bool is_read = inner->is_read(inner->state, operation, operation_size);
    if (host->executing.session == 0 && !is_read) {
        sim_fail(sim, "I3: replica %u executes a write again to answer a look-up", host->index);
    } else if (host->executing.session != 0 && !is_read) {
        sim_expect(sim, sim_check_executed_once(&sim->executions, &host->executing,
                                                context->op_number, &sim->report));
    }
    return inner->execute(inner->state, context, operation, operation_size, result);
}

static bool tap_is_read(void *state, const uint8_t *operation, size_t operation_size)
{
    const struct sim_host *host = state;
    const struct app *inner = &host->application.inner;
    return inner->is_read(inner->state, operation, operation_size);
}

static struct checksum tap_digest(void *state)
{
    const struct sim_host *host = state;
    return host->application.inner.digest(host->application.inner.state);
}

/* The reply to the entry at one op is what the model says. */
static void check_reply(struct sim_host *host, uint64_t op_number, const struct reply *reply)
{
    struct sim *sim = host->sim;
    const struct sim_outcome *outcome = sim_model_outcome(&sim->model, op_number);
    if (outcome == NULL) {
        sim_fail(sim, "replica %u executes op %" PRIu64 ", which is not committed", host->index,
                 op_number);
    } else if (reply->status != outcome->status || reply->session != outcome->session) {
        sim_fail(sim,
                 "I4: replica %u answers op %" PRIu64 " with status %d session %" PRIu64
                 ", the model with status %d session %" PRIu64,
                 host->index, op_number, (int)reply->status, reply->session, (int)outcome->status,
                 outcome->session);
    } else if (outcome->result_hash != sim_result_hash(reply->result, reply->result_size)) {
        sim_fail(sim, "I4: replica %u answers op %" PRIu64 " with another result than the model",
                 host->index, op_number);
    }
}

static void execute_one(struct sim_host *host, uint64_t op_number)
{
    struct sim *sim = host->sim;
    const struct vr_execution execution = host->executions[op_number % EXECUTE_LAG_MAX];
    struct entry entry;
    INVARIANT(execution.op_number == op_number);
    INVARIANT(entry_decode(execution.bytes, execution.size, &entry) == execution.size);
    host->executing = (struct sim_request_key){
        .client_id = entry.client_id,
        .session = entry.session,
        .request_number = entry.request_number,
    };
    struct message message = {.type = MESSAGE_REPLY};
    executor_execute(host->executor, execution.bytes, execution.size, &message.reply);
    host->executing.session = 0;
    message.reply.view_number = execution.view_number;
    check_reply(host, op_number, &message.reply);
    sim_expect(sim, sim_check_digest(&sim->digests, host->index, op_number,
                                     executor_digest(host->executor), &sim->report));
    if (execution.reply && !sim->failed) {
        send_client(host, &message, &execution.address);
    }
}

static void look_up(struct sim_host *host, const struct vr_output *output)
{
    struct message message = {.type = MESSAGE_REPLY};
    host->sim->counts.lookups++;
    if (executor_lookup(host->executor, output->lookup.client_id, output->lookup.session,
                        output->lookup.request_number, output->lookup.kind,
                        output->lookup.operation_checksum, &message.reply)) {
        message.reply.view_number = output->lookup.view_number;
        send_client(host, &message, &output->lookup.address);
    }
}

/* One turn of the executor: some entries, or whatever look-ups wait. */
static void execute(struct sim_host *host)
{
    struct sim *sim = host->sim;
    host->execute_scheduled = false;
    uint64_t op_number = executor_executed_op(host->executor);
    uint64_t last = op_number + prng_between(&sim->machine_prng, 1, SIM_EXECUTE_MAX);
    last = last < host->execute_to ? last : host->execute_to;
    while (op_number < last && !sim->failed) {
        execute_one(host, ++op_number);
    }
    for (uint32_t i = 0; i < host->lookup_count && !sim->failed; i++) {
        look_up(host, &host->lookups[i]);
    }
    host->lookup_count = 0;
    wire_flush(host->senders[SIM_LANE_CLIENTS]);
    if (op_number < host->execute_to) {
        arm_execution(host);
    }
    struct vr_event event = {.kind = VR_EVENT_EXECUTED, .executed = {.op_number = op_number}};
    if (!sim->failed && step(host, &event)) {
        end_drain(host);
    }
}

/* ---- events ---- */

static void ask_parts(void *context, const struct net_address *address,
                      const struct message *message)
{
    struct sim_host *host = context;
    const uint32_t node = sim_node_at(host->sim, address);
    const enum sim_lane lane =
        node < host->sim->options.replica_count ? SIM_LANE_PEERS : SIM_LANE_CLIENTS;
    const struct wire_destination destination = {.address = *address};
    wire_send(host->senders[lane], &destination, message, local_time(host).now_ns);
}

static void on_timer(struct sim_host *host)
{
    const uint64_t local = local_time(host).now_ns;
    host->timer_at_ns = UINT64_MAX;
    for (enum sim_lane lane = SIM_LANE_PEERS; lane <= SIM_LANE_CLIENTS; lane++) {
        wire_sender_tick(host->senders[lane], local);
        wire_reassembler_tick(host->reassemblers[lane], local, ask_parts, host);
    }
    struct vr_event event = {.kind = VR_EVENT_TICK};
    if (vr_deadline(host->replica) > local) {
        end_drain(host);
    } else if (drain(host, UINT32_MAX) && step(host, &event)) {
        end_drain(host);
    }
}

static void on_state_durable(struct sim_host *host)
{
    struct sim *sim = host->sim;
    INVARIANT(host->state_write_count > 0);
    const struct sim_durable before = host->reported;
    struct vr_event event = {
        .kind = VR_EVENT_STATE_DURABLE,
        .state_durable = {.number = host->state_writes[0].number},
    };
    host->disk.vr = host->state_writes[0].state;
    host->reported =
        (struct sim_durable){host->disk.vr.view_number, host->disk.vr.last_normal_view};
    sim_expect(sim, sim_check_durable_progress(&before, &host->reported, &sim->report));
    host->state_write_count--;
    memmove(&host->state_writes[0], &host->state_writes[1],
            host->state_write_count * sizeof host->state_writes[0]);
    if (!sim->failed && step(host, &event)) {
        end_drain(host);
    }
}

static void on_log_durable(struct sim_host *host, uint64_t number)
{
    struct vr_event event = {
        .kind = VR_EVENT_LOG_DURABLE,
        .log_durable = {.generation = host->log_writes[number % SIM_LOG_WRITES].generation,
                        .op_number = host->log_writes[number % SIM_LOG_WRITES].op_number},
    };
    if (step_log_durable(host, &event)) {
        end_drain(host);
    }
}

static void on_drain(struct sim_host *host)
{
    host->drain_scheduled = false;
    const uint32_t count =
        (uint32_t)prng_between(&host->sim->machine_prng, 1, host->sim->options.drain_max);
    if (drain(host, count)) {
        end_drain(host);
    }
    if (host->running && host->inboxes[0].count + host->inboxes[1].count > 0) {
        arm_drain(host);
    }
}

void sim_host_event(struct sim_host *host, const struct sim_event *event)
{
    if (event->life != host->life || !host->running) {
        return;
    }
    if (host->paused) {
        schedule(host, event->kind, host->resume_ns, event->argument);
        return;
    }
    switch (event->kind) {
    case SIM_EVENT_DRAIN:
        on_drain(host);
        break;
    case SIM_EVENT_TIMER:
        if (host->timer_at_ns <= now_ns(host)) {
            on_timer(host);
        }
        break;
    case SIM_EVENT_STATE_DURABLE:
        on_state_durable(host);
        break;
    case SIM_EVENT_LOG_DURABLE:
        on_log_durable(host, event->argument);
        break;
    case SIM_EVENT_EXECUTE:
        execute(host);
        break;
    default:
        sim_fail(host->sim, "event %d is not for a replica", (int)event->kind);
    }
}

/* ---- life and death ---- */

static void host_emit(void *context, const struct wire_datagram *datagrams, size_t count,
                      enum sim_lane lane)
{
    const struct sim_host *host = context;
    sim_emit(host->sim, host->index, lane, datagrams, count);
}

static void emit_peers(void *context, const struct wire_datagram *datagrams, size_t count)
{
    host_emit(context, datagrams, count, SIM_LANE_PEERS);
}

static void emit_clients(void *context, const struct wire_datagram *datagrams, size_t count)
{
    host_emit(context, datagrams, count, SIM_LANE_CLIENTS);
}

static void open_sockets(struct sim_host *host)
{
    const struct sim *sim = host->sim;
    struct wire_reassembler_options parts;
    wire_reassembler_options_default(&parts);
    for (enum sim_lane lane = SIM_LANE_PEERS; lane <= SIM_LANE_CLIENTS; lane++) {
        struct wire_sender_options out;
        wire_sender_options_default(&out);
        out.cluster_id = sim->configuration.cluster_id;
        out.sender = sim->configuration.members[host->index].replica_id;
        out.incarnation = host->disk.incarnation;
        out.identity = host->disk.identity;
        out.configuration_hash = configuration_hash(&sim->configuration);
        out.datagram_size = sim->options.datagram_size;
        out.datagram_size_max = sim->options.datagram_size;
        out.emit = lane == SIM_LANE_PEERS ? emit_peers : emit_clients;
        out.emit_context = host;
        host->senders[lane] = wire_sender_init(
            sim_memory_room(&host->sender_memory[lane], wire_sender_memory_size(&out)), &out);
        host->reassemblers[lane] = wire_reassembler_init(
            sim_memory_room(&host->reassembler_memory[lane], wire_reassembler_memory_size(&parts)),
            &parts);
        memset(&host->inboxes[lane], 0, sizeof host->inboxes[lane]);
    }
}

static void start_executor(struct sim_host *host)
{
    const struct sim *sim = host->sim;
    struct sim_application_tap *tap = &host->application;
    sim_application_start(tap, &sim->options);
    tap->app = (struct app){
        .state = host, .execute = tap_execute, .is_read = tap_is_read, .digest = tap_digest};
    const struct executor_options options = {
        .parameters = sim->configuration.parameters,
        .app = &tap->app,
        .hash_seed = prng_next(&host->sim->machine_prng),
    };
    const size_t size = executor_memory_size(&options.parameters);
    void *memory = sim_memory_room(&host->executor_memory, size);
    memset(memory, 0, size);
    host->executor = executor_init(memory, &options);
    host->execute_to = 0;
    host->execute_scheduled = false;
    host->lookup_count = 0;
    host->executing.session = 0;
}

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
    options.message_budget = o->datagram_size - WIRE_OVERHEAD;
    options.pipeline_max = o->pipeline_max;
    options.request_queue_max = o->request_queue_max;
    options.execute_lag_max = o->execute_lag_max;
    options.view_sync_max = o->view_sync_max;
    options.log_memory = sim_memory_room(&host->log_memory, o->log_memory_size);
    options.staging_memory = sim_memory_room(&host->staging_memory, o->log_memory_size);
    options.log_memory_size = o->log_memory_size;
    host->replica =
        vr_init(sim_memory_room(&host->memory, vr_memory_size()), &options, local_time(host));
}

/* What a process knows right after its start. */
static void observe_start(struct sim_host *host)
{
    const struct checksum chain_start = entry_chain_start(host->sim->configuration.cluster_id);
    chain_grow(host, 0);
    host->chain[0] = chain_start;
    host->chain_op = 0;
    host->reported =
        (struct sim_durable){host->disk.vr.view_number, host->disk.vr.last_normal_view};
    host->observed = (struct sim_observed){
        .replica = host->index,
        .incarnation = host->disk.incarnation,
        .view_number = host->reported.view_number,
        .last_normal_view = host->reported.last_normal_view,
        .head_checksum = chain_start,
        .commit_checksum = chain_start,
        .chain = host->chain,
    };
}

void sim_host_start(struct sim_host *host)
{
    struct sim *sim = host->sim;
    static const uint8_t boot_id[BOOT_ID_SIZE] = {1};
    struct storage_error error;
    enum vr_start start;
    INVARIANT(!host->running);
    INVARIANT(durable_state_start(&host->disk, DURABILITY_MEMORY, boot_id, &start, &error) == 0);
    host->life++;
    host->running = true;
    host->paused = false;
    host->crash_after = 0;
    host->crash_at_write = false;
    host->state_write_count = 0;
    host->log_write_number = 0;
    host->log_generation = 0;
    host->log_last_ns = 0;
    host->durable_op = 0;
    host->ready_count = 0;
    host->timer_at_ns = UINT64_MAX;
    host->drain_scheduled = false;
    host->was_recovering = start == VR_START_RECOVER;
    for (size_t i = 0; i < sizeof host->token_secret; i++) {
        host->token_secret[i] = (uint8_t)prng_next(&sim->machine_prng);
    }
    open_sockets(host);
    start_executor(host);
    start_core(host, start);
    observe_start(host);
    trace_node(sim, host->index, start == VR_START_RECOVER ? "starts, recovering" : "starts");
    end_drain(host);
}

void sim_host_crash(struct sim_host *host, bool clean)
{
    struct sim *sim = host->sim;
    if (!host->running) {
        return;
    }
    if (clean && !host->paused) {
        struct vr_event event = {.kind = VR_EVENT_STOP};
        host->crash_after = 0;
        if (!step(host, &event)) {
            return;
        }
        end_drain(host);
        sim->counts.clean_stops++;
    }
    sim_host_count(host);
    /* Of what was being written, any prefix made it. */
    const uint64_t kept = prng_below(&sim->machine_prng, (uint64_t)host->state_write_count + 1);
    if (kept > 0) {
        host->disk.vr = host->state_writes[kept - 1].state;
    }
    sim->counts.writes_lost += host->state_write_count - kept;
    sim->counts.crashes++;
    trace_node(sim, host->index, clean ? "stops" : "crashes");
    inbox_clear(host, &host->inboxes[SIM_LANE_PEERS]);
    inbox_clear(host, &host->inboxes[SIM_LANE_CLIENTS]);
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
    return !host->running || host->replaced || host->crash_after > 0 || host->crash_at_write ||
           host->snapshot.status == STATUS_RECOVERING;
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
            *stamp = *stamp == 0 ? local_time(host).now_ns : *stamp;
        }
    }
    if (!host->drain_scheduled) {
        arm_drain(host);
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

static void make_disk(struct sim_host *host)
{
    struct sim *sim = host->sim;
    durable_state_init(&host->disk, &sim->configuration,
                       sim->configuration.members[host->index].replica_id,
                       prng_next(&sim->machine_prng) | 1);
}

void sim_host_lose_disk(struct sim_host *host)
{
    INVARIANT(!host->running);
    host->replaced = true;
    trace_node(host->sim, host->index, "has lost its disk");
    make_disk(host);
}

void sim_host_reset(struct sim_host *host, struct sim *sim, uint32_t index)
{
    sim_application_stop(&host->application);
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
    make_disk(host);
}

void sim_host_free(struct sim_host *host)
{
    sim_application_stop(&host->application);
    sim_memory_free(&host->memory);
    sim_memory_free(&host->log_memory);
    sim_memory_free(&host->staging_memory);
    sim_memory_free(&host->executor_memory);
    free(host->executions);
    free(host->chain);
    for (uint32_t lane = 0; lane < 2; lane++) {
        sim_memory_free(&host->sender_memory[lane]);
        sim_memory_free(&host->reassembler_memory[lane]);
    }
    *host = (struct sim_host){0};
}
