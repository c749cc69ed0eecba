/* SPDX-License-Identifier: Apache-2.0 */
#include "server/runtime/core.h"

#include <string.h>

#include "common/base/invariant.h"
#include "common/os/clock.h"
#include "common/os/thread.h"

static struct vr_time time_now(void)
{
    return (struct vr_time){.now_ns = clock_monotonic_ns(), .wall_ns = clock_wall_ns()};
}

/* Outputs. */

static void send_peers(struct core *core, const struct vr_output *output, uint64_t now_ns)
{
    struct net_address addresses[REPLICAS_MAX];
    size_t count = 0;
    INVARIANT((output->send.member_mask & (UINT32_C(1) << core->self)) == 0);
    for (uint32_t i = 0; i < core->configuration.member_count; i++) {
        if ((output->send.member_mask & (UINT32_C(1) << i)) != 0) {
            addresses[count++] = core->peer_addresses[i];
        }
    }
    outbox_send_many(&core->peers, addresses, count, &output->send.message, now_ns);
    if (output->send.message.type == MESSAGE_REFUSED) {
        health_refused_peers(core->health, output->send.member_mask, &output->send.message.refused);
    }
    recorder_sent_peers(&core->recorder, output->send.member_mask, &output->send.message, now_ns);
}

static void send_client(struct core *core, const struct message *message, uint64_t now_ns)
{
    outbox_send(&core->clients, &message->address, message, now_ns);
    recorder_sent_client(&core->recorder, message, now_ns);
}

static void write_log(struct core *core, const struct vr_output *output)
{
    const struct log_write write = {
        .generation = output->write_log.generation,
        .cut_to = output->write_log.cut_to,
        .first_op = output->write_log.first_op,
        .last_op = output->write_log.last_op,
    };
    core->log_store.write(core->log_store.state, &write);
}

static void execute(struct core *core, uint64_t first_op, uint64_t last_op)
{
    struct vr_execution entries[EXECUTION_BATCH_MAX];
    size_t count = 0;
    for (uint64_t op = first_op; op <= last_op; op++) {
        vr_execution(core->replica, op, &entries[count++]);
        if (count == EXECUTION_BATCH_MAX || op == last_op) {
            execution_push(core->execution, entries, count);
            core->pushed = true;
            count = 0;
        }
    }
}

static void look_up(struct core *core, const struct vr_output *output)
{
    const struct execution_lookup lookup = {
        .client_id = output->lookup.client_id,
        .session = output->lookup.session,
        .request_number = output->lookup.request_number,
        .kind = output->lookup.kind,
        .operation_checksum = output->lookup.operation_checksum,
        .view_number = output->lookup.view_number,
        .address = output->lookup.address,
    };
    execution_look_up(core->execution, &lookup);
    core->pushed = true;
}

/* Section 5. The executor has a queue of its own for reads, which may be full. */
static void let_read(struct core *core, const struct vr_output *output, uint64_t now_ns)
{
    core->pushed = true;
    if (execution_read(core->execution, output)) {
        return;
    }
    struct message busy = {
        .type = MESSAGE_BUSY,
        .busy = {.client_id = output->read.client_id,
                 .request_number = output->read.nonce,
                 .view_number = output->read.view_number,
                 .reason = BUSY_EXECUTOR},
        .address = output->read.address,
    };
    vr_envelope(core->replica, &busy);
    send_client(core, &busy, now_ns);
}

/* K2: the log and the checkpoints that it followed. */
static void drop_log(struct core *core, const struct vr_output *output)
{
    if (core->log_store.drop != NULL) {
        core->log_store.drop(core->log_store.state, output->drop_log.through_op);
    }
    checkpointer_drop(core->checkpointer, output->drop_log.checkpoints_from,
                      output->drop_log.pulled, output->drop_log.pulled_count);
}

static void serve_checkpoint(struct core *core, const struct vr_output *output)
{
    const struct checkpointer_serve serve = {
        .peer = output->serve_checkpoint.peer,
        .id = output->serve_checkpoint.id,
        .nonce = output->serve_checkpoint.nonce,
        .list = output->serve_checkpoint.list,
        .first = output->serve_checkpoint.first,
        .count = output->serve_checkpoint.count,
    };
    checkpointer_serve(core->checkpointer, &serve);
}

static void carry_out_one(struct core *core, const struct vr_output *output, uint64_t now_ns)
{
    switch (output->kind) {
    case VR_OUT_SEND_PEERS:
        send_peers(core, output, now_ns);
        break;
    case VR_OUT_SEND_CLIENT:
        send_client(core, &output->send.message, now_ns);
        break;
    case VR_OUT_WRITE_LOG:
        write_log(core, output);
        break;
    case VR_OUT_WRITE_STATE:
        recorder_state_writing(&core->recorder, &output->write_state.state, now_ns);
        state_writer_submit(core->state_writer, output->write_state.number,
                            &output->write_state.state);
        break;
    case VR_OUT_EXECUTE:
        execute(core, output->execute.first_op, output->execute.last_op);
        break;
    case VR_OUT_LOOKUP:
        look_up(core, output);
        break;
    case VR_OUT_READ:
        let_read(core, output, now_ns);
        break;
    case VR_OUT_DIVERGED:
        health_diverged(core->health, output->diverged.op_number, output->diverged.own,
                        output->diverged.theirs, output->diverged.peer, output->diverged.state);
        core->diverged(core->wake_context);
        break;
    case VR_OUT_TAKE_CHECKPOINT:
        execution_want_cut(core->execution);
        break;
    case VR_OUT_DROP_LOG:
        drop_log(core, output);
        break;
    case VR_OUT_SERVE_CHECKPOINT:
        serve_checkpoint(core, output);
        break;
    case VR_OUT_STAGE_CHUNK:
        checkpointer_stage(core->checkpointer, &output->stage_chunk.id, output->stage_chunk.list,
                           output->stage_chunk.index, output->stage_chunk.bytes,
                           output->stage_chunk.size);
        break;
    case VR_OUT_INSTALL_CHECKPOINT:
        checkpointer_install(core->checkpointer, &output->install_checkpoint);
        break;
    }
}

static void carry_out(struct core *core, uint64_t now_ns)
{
    for (uint32_t i = 0; i < core->outputs.count; i++) {
        carry_out_one(core, &core->outputs.items[i], now_ns);
    }
}

/* M8: what came in, what that changed, and (as it is carried out) what is said because of it. */
static void record(struct core *core, const struct message *message, uint64_t now_ns)
{
    struct vr_glance glance;
    vr_glance(core->replica, &glance);
    if (message != NULL) {
        recorder_received(&core->recorder, message, &glance, &core->outputs, now_ns);
    }
    recorder_glanced(&core->recorder, &glance, now_ns);
}

static void step_one(struct core *core, const struct vr_event *event)
{
    vr_step(core->replica, event, &core->outputs);
    record(core, event->kind == VR_EVENT_MESSAGE ? event->message.message : NULL,
           event->time.now_ns);
    carry_out(core, event->time.now_ns);
}

/* Steps what a log store completed from within its write; false if it did not. */
static bool step_log_completed(struct core *core, struct vr_time time)
{
    const struct vr_event event = {
        .kind = VR_EVENT_LOG_DURABLE,
        .time = time,
        .log_durable = {.generation = core->log_generation, .op_number = core->log_op},
    };
    if (!core->log_completed) {
        return false;
    }
    core->log_completed = false;
    step_one(core, &event);
    return true;
}

static void step(struct core *core, const struct vr_event *event)
{
    step_one(core, event);
    while (step_log_completed(core, event->time)) {
    }
}

static void flush(struct core *core, struct vr_time time)
{
    bool more = true;
    while (more) {
        more = vr_flush(core->replica, time, &core->outputs);
        const uint64_t now_ns = clock_monotonic_ns(); /* a drain takes its time */
        record(core, NULL, now_ns);
        carry_out(core, now_ns);
        while (step_log_completed(core, time)) {
            more = true;
        }
    }
}

/* Log stores. */

const uint8_t *core_log_entry(void *context, uint64_t op_number, size_t *size)
{
    const struct core *core = context;
    return vr_log_bytes(core->replica, op_number, size);
}

struct checksum core_log_chain(void *context, uint64_t op_number)
{
    const struct core *core = context;
    return vr_log_checksum_at(core->replica, op_number);
}

uint64_t core_log_commit(void *context)
{
    const struct core *core = context;
    return vr_commit_number(core->replica);
}

void core_log_durable(void *context, uint64_t generation, uint64_t op_number)
{
    struct core *core = context;
    core->log_generation = generation;
    core->log_op = op_number;
    core->log_completed = true;
}

/* News of checkpoints. */

static void send_chunk(struct core *core, const struct checkpointer_news *news, uint64_t now_ns)
{
    struct message message = {
        .type = MESSAGE_CHECKPOINT_CHUNK,
        .checkpoint_chunk = {.nonce = news->served.nonce,
                             .root = news->served.root,
                             .list = news->served.list,
                             .index = news->served.index,
                             .size = news->served.size,
                             .bytes = news->served.bytes},
    };
    vr_envelope(core->replica, &message);
    outbox_send(&core->peers, &core->peer_addresses[news->served.peer], &message, now_ns);
    recorder_sent_peers(&core->recorder, UINT32_C(1) << news->served.peer, &message, now_ns);
    checkpointer_release(core->checkpointer, news->served.slot);
}

/* G4: the checkpoint is named, so now the log is to be what it says; and behind all that was handed
 * over before, the state. */
static void begin_install(struct core *core, const struct checkpoint_id *id)
{
    if (core->log_store.restart != NULL) {
        core->log_store.restart(core->log_store.state, id->op_number, id->log);
    }
    execution_load(core->execution, id);
}

static void step_staged(struct core *core, const struct checkpointer_news *news,
                        struct vr_time time)
{
    step(core, &(struct vr_event){.kind = VR_EVENT_CHUNK_STAGED,
                                  .time = time,
                                  .chunk_staged = {.root = news->staged.root,
                                                   .list = news->staged.list,
                                                   .index = news->staged.index,
                                                   .ok = news->staged.ok,
                                                   .missing = news->staged.missing,
                                                   .lost = news->staged.lost}});
}

static void step_one_news(struct core *core, const struct checkpointer_news *news,
                          struct vr_time time)
{
    switch (news->kind) {
    case CHECKPOINTER_TAKEN:
        step(core, &(struct vr_event){.kind = VR_EVENT_CHECKPOINT,
                                      .time = time,
                                      .checkpoint = news->checkpoint.id});
        break;
    case CHECKPOINTER_UNREADABLE:
        step(core, &(struct vr_event){.kind = VR_EVENT_CHECKPOINT_UNREADABLE,
                                      .time = time,
                                      .unreadable_op = news->unreadable_op});
        break;
    case CHECKPOINTER_STAGED:
        step_staged(core, news, time);
        break;
    case CHECKPOINTER_SERVED:
        send_chunk(core, news, time.now_ns);
        break;
    case CHECKPOINTER_READY:
        begin_install(core, &news->checkpoint.id);
        break;
    case CHECKPOINTER_INSTALLED:
        step(core, &(struct vr_event){.kind = VR_EVENT_CHECKPOINT_INSTALLED,
                                      .time = time,
                                      .installed = {.id = news->checkpoint.id,
                                                    .timestamp = news->checkpoint.timestamp}});
        break;
    }
}

static void step_news(struct core *core, uint64_t count, struct vr_time time)
{
    for (uint64_t i = 0; i < count; i++) {
        struct checkpointer_news news;
        checkpointer_news(core->checkpointer, &news);
        step_one_news(core, &news, time);
    }
}

/* Draining, with the lock. */

static void step_completions(struct core *core, const struct inbox_take *take, struct vr_time time)
{
    if (take->state_durable) {
        recorder_state_durable(&core->recorder, time.now_ns);
        step(core, &(struct vr_event){.kind = VR_EVENT_STATE_DURABLE,
                                      .time = time,
                                      .state_durable = {.number = take->state_number}});
    }
    if (take->log_durable) {
        step(core, &(struct vr_event){.kind = VR_EVENT_LOG_DURABLE,
                                      .time = time,
                                      .log_durable = {.generation = take->log_generation,
                                                      .op_number = take->log_op}});
        if (core->log_store.resume != NULL) {
            core->log_store.resume(core->log_store.state);
        }
    }
    if (take->executed) {
        step(core, &(struct vr_event){.kind = VR_EVENT_EXECUTED,
                                      .time = time,
                                      .executed = {.op_number = take->executed_op}});
    }
    step_news(core, take->news_count, time);
}

/* Which of the core's outboxes a PartsMissing means: what peers lack went to peers (M6). */
static struct outbox *repaired_outbox(struct core *core, enum lane_kind kind)
{
    return kind == LANE_PEERS ? &core->peers : &core->clients;
}

static void step_lane(struct core *core, enum lane_kind kind, uint64_t count, struct vr_time time)
{
    for (uint64_t i = 0; i < count; i++) {
        const struct inbox_item *item = inbox_next(core->inbox, kind);
        if (item->message.type == MESSAGE_PARTS_MISSING) {
            wire_sender_parts_missing(repaired_outbox(core, kind)->sender, &item->message,
                                      time.now_ns);
            continue;
        }
        if (item->message.type == MESSAGE_REFUSED) {
            health_refused_by(core->health, item->message.from, &item->message.refused);
        }
        step(core, &(struct vr_event){
                       .kind = VR_EVENT_MESSAGE,
                       .time = time,
                       .message = {.message = &item->message, .received_ns = item->received_ns}});
    }
}

static void tick(struct core *core, struct vr_time time)
{
    wire_sender_tick(core->peers.sender, time.now_ns);
    wire_sender_tick(core->clients.sender, time.now_ns);
    if (vr_deadline(core->replica) <= time.now_ns) {
        step(core, &(struct vr_event){.kind = VR_EVENT_TICK, .time = time});
    }
}

static uint64_t earliest(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static void publish(struct core *core, uint64_t now_ns)
{
    struct health_senders senders;
    wire_sender_counters(core->peers.sender, &senders.peers);
    wire_sender_counters(core->clients.sender, &senders.clients);
    health_observe(core->health, core->replica, &senders, now_ns);
}

/* Ends a drain: everything that was said leaves, everybody may see where we are. */
static void finish(struct core *core, bool ticked, struct vr_time time)
{
    flush(core, time);
    outbox_flush(&core->peers);
    outbox_flush(&core->clients);
    recorder_flush(&core->recorder);
    if (!core->halted) { /* what a replica is that has stopped is no news */
        publish(core, time.now_ns);
    }
    const uint64_t deadline_ns =
        earliest(vr_deadline(core->replica), earliest(wire_sender_deadline(core->peers.sender),
                                                      wire_sender_deadline(core->clients.sender)));
    atomic_store(&core->deadline_ns, deadline_ns);
    if (ticked) {
        atomic_fetch_add(&core->ticks, 1);
    }
    core->wake_timer(core->wake_context, false);
    atomic_fetch_add_explicit(&core->drains, 1, memory_order_relaxed);
}

static void drain(struct core *core)
{
    struct inbox_take take;
    inbox_take(core->inbox, CORE_LANE_MAX, &take);
    /* Read after the take, so that nothing taken arrived later than `now`. */
    const struct vr_time time = time_now();
    step_completions(core, &take, time);
    step_lane(core, LANE_PEERS, take.counts[LANE_PEERS], time);
    step_lane(core, LANE_CLIENTS, take.counts[LANE_CLIENTS], time);
    if (take.tick) {
        tick(core, time);
    }
    if (take.stop) {
        step(core, &(struct vr_event){.kind = VR_EVENT_STOP, .time = time});
        core->halted = true;
    }
    inbox_release(core->inbox, &take);
    finish(core, take.tick, time);
}

/* Returns true if the executor was given something; whoever unlocks lets it go on, without the
 * lock. */
static bool unlock(struct core *core)
{
    const bool pushed = core->pushed;
    core->pushed = false;
    mutex_unlock(&core->lock);
    return pushed;
}

/* Returns true if everything is done that was there to be done. */
static bool drain_all(struct core *core, bool *pushed)
{
    for (int drains = 0; inbox_pending(core->inbox); drains++) {
        if (drains == CORE_RUN_MAX) {
            /* A receiver has a socket to empty: others go on here. */
            core->wake_timer(core->wake_context, true);
            return false;
        }
        if (!mutex_try_lock(&core->lock)) {
            return false;
        }
        const bool halted = core->halted;
        if (!halted) {
            drain(core);
        }
        *pushed |= unlock(core);
        if (halted) {
            return false;
        }
    }
    return true;
}

/* Operations come last: acks and heartbeats that wait in the inbox wait for none (N9). */
void core_run(struct core *core, enum core_runner runner)
{
    bool pushed = false;
    const bool done = drain_all(core, &pushed);
    if (pushed) {
        execution_go_on(core->execution, done && runner == CORE_RECEIVER);
    }
}

void core_init(struct core *core)
{
    mutex_init(&core->lock);
    atomic_init(&core->deadline_ns, UINT64_MAX);
}

void core_start(struct core *core)
{
    mutex_lock(&core->lock);
    finish(core, false, time_now());
    if (unlock(core)) {
        execution_go_on(core->execution, false);
    }
    /* What completed meanwhile found the lock taken; in a group of one nothing else would come. */
    core_run(core, CORE_OTHER);
}

void core_halt(struct core *core)
{
    inbox_post_stop(core->inbox);
    mutex_lock(&core->lock);
    if (!core->halted) {
        drain(core);
    }
    INVARIANT(core->halted);
    if (unlock(core)) {
        execution_go_on(core->execution, false);
    }
}

void core_destroy(struct core *core)
{
    mutex_destroy(&core->lock);
}
