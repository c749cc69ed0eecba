/* SPDX-License-Identifier: Apache-2.0 */
/* replica.c - a replica's life between its parts: how it is made, how events are dispatched, what
 * of its state is durable (S1, S4), and what it shows of itself. */
#include "server/vr/replica.h"

#include <string.h>

#include "common/base/invariant.h"
#include "common/base/mark.h"

void vr_options_default(struct vr_options *options)
{
    const uint64_t millisecond = 1000 * 1000;
    memset(options, 0, sizeof *options);
    options->durability = DURABILITY_MEMORY;
    options->heartbeat_ns = 20 * millisecond;
    options->view_change_ns = 6 * options->heartbeat_ns;
    options->view_change_max_ns = 8000 * millisecond;
    options->resend_ns = options->heartbeat_ns;
    options->reads = READS_QUORUM;
    options->message_budget = DATAGRAM_SIZE_DEFAULT - 200;
    options->pipeline_max = PIPELINE_MAX;
    options->request_queue_max = REQUEST_QUEUE_MAX;
    options->execute_lag_max = EXECUTE_LAG_MAX;
    options->view_sync_max = 100 * 1000;
    options->log_retain = LOG_RETAIN_DEFAULT;
    options->checkpoint_pin_ns = CHECKPOINT_PIN_S * 1000 * millisecond;
    options->transfer_rate = TRANSFER_RATE_DEFAULT;
}

size_t vr_memory_size(void)
{
    return sizeof(struct replica);
}

static void check_options(const struct vr_options *options)
{
    INVARIANT(configuration_reject(&options->configuration) == NULL);
    INVARIANT(configuration_index(&options->configuration, options->replica_id) < REPLICAS_MAX);
    INVARIANT(options->heartbeat_ns > 0);
    INVARIANT(options->view_change_ns > options->heartbeat_ns);
    INVARIANT(options->view_change_max_ns >= options->view_change_ns);
    INVARIANT(options->resend_ns > 0);
    INVARIANT(options->pipeline_max >= 1 && options->pipeline_max <= PIPELINE_MAX);
    INVARIANT(options->request_queue_max <= REQUEST_QUEUE_MAX);
    INVARIANT(options->execute_lag_max >= 1 && options->execute_lag_max <= EXECUTE_LAG_MAX);
    INVARIANT(options->view_sync_max >=
              options->pipeline_max + options->request_queue_max); /* V12 */
    INVARIANT(options->message_budget > PREPARE_OVERHEAD + ENTRY_HEADER_SIZE);
    INVARIANT(options->message_budget <= DATAGRAM_SIZE_MAX);
    INVARIANT(options->transfer_rate >= TRANSFER_RATE_MIN);
    INVARIANT(options->transfer_rate <= TRANSFER_RATE_MAX);
    INVARIANT(options->reads >= READS_LOG && options->reads <= READS_LEASE);
    INVARIANT(options->identity != 0);
    INVARIANT(options->durable.last_normal_view <= options->durable.view_number);
    INVARIANT(view_epoch(options->durable.view_number) == options->configuration.epoch);
}

static void init_log(struct replica *r, struct vr_log *log, void *memory)
{
    const struct vr_options *options = &r->options;
    const struct checkpoint_id *checkpoint = &options->checkpoint;
    const uint64_t cluster_id = options->configuration.cluster_id;
    const struct checksum base =
        checkpoint->op_number > 0 ? checkpoint->log : entry_chain_start(cluster_id);
    if (options->log_block_size == 0) {
        vr_log_init(log, memory, options->log_memory_size, cluster_id, checkpoint->op_number, base);
    } else {
        vr_log_init_blocks(log, memory, options->log_memory_size, options->log_block_size,
                           cluster_id, checkpoint->op_number, base);
    }
}

/* K3: the state begins at the checkpoint, and so does all that is known to be committed. */
static void take_checkpoint(struct replica *r)
{
    const struct checkpoint_id *checkpoint = &r->options.checkpoint;
    if (checkpoint->op_number == 0) {
        return;
    }
    checkpoint_remember(r, checkpoint);
    r->base_timestamp = r->options.checkpoint_timestamp;
    r->commit_number = checkpoint->op_number;
    r->handed_op = checkpoint->op_number;
    r->executed_op = checkpoint->op_number;
    r->written_op = checkpoint->op_number;
    r->durable_op = checkpoint->op_number;
}

/* D5, D6: what a start brings along. */
static void take_log(struct replica *r)
{
    const struct vr_options *options = &r->options;
    const struct checkpoint_id *checkpoint = &options->checkpoint;
    const struct vr_log *log = options->log;
    if (log == NULL) {
        return;
    }
    INVARIANT(options->start != VR_START_INITIAL);
    INVARIANT(log->memory == options->log_memory);
    if (checkpoint->op_number > 0 && !vr_log_matches(log, checkpoint->op_number, checkpoint->log)) {
        /* It ends before the checkpoint, or is another one: storage has to write the next entries
         * where it ended, behind the checkpoint. */
        INVARIANT(options->had.op_number <= checkpoint->op_number);
        r->written_generation = 0;
        r->settled_generation = 0;
        return;
    }
    INVARIANT(log->base_op <= checkpoint->op_number);
    r->log = *log;
    vr_log_protect(&r->log, checkpoint->op_number);
    r->dropped_op = r->log.base_op;
    r->written_op = r->log.op_number;
    r->durable_op = r->log.op_number;
    if (options->had.op_number > 0) {
        INVARIANT(options->start == VR_START_RESUME);
        INVARIANT(options->had.op_number > r->log.op_number);
        VR_MARK(D5_starts_with_lost_entries);
        r->had = options->had;
        r->held_op = r->log.op_number;
    }
    if (options->start == VR_START_RECOVER) {
        /* What the disk has beyond it is void, and is said to be before the log counts again. */
        r->written_generation = 0;
        r->settled_generation = 0;
    }
    r->commit_known = options->commit_known;
    commit_up_to(r, options->commit_number);
}

/* D5: normal as a backup, even in a view that was its own: being its primary is volatile (P1). */
static void resume_normal(struct replica *r)
{
    const bool was_primary = primary_of(r, r->view_number) == r->self;
    VR_MARK(D5_resumes_in_its_view);
    VR_MARK_IF(was_primary, P1_restarted_primary_leads_no_more);
    r->status = STATUS_NORMAL;
    r->ack_owed = true;
    timeout_set(&r->timeouts, TIMEOUT_SUSPECT,
                r->time.now_ns + (was_primary ? 0 : view_change_timeout(r)));
}

struct replica *vr_init(void *memory, const struct vr_options *options, struct vr_time time)
{
    check_options(options);
    struct replica *r = memory;
    memset(r, 0, offsetof(struct replica, in_flight));
    for (uint32_t i = 0; i < SYNC_WINDOW_MAX; i++) {
        r->sync_slots[i].from_op = 0;
    }
    stash_clear(&r->stash);
    in_flight_init(&r->in_flight, options->seed);
    reads_init(&r->reads);

    r->options = *options;
    r->self = configuration_index(&options->configuration, options->replica_id);
    r->member_count = options->configuration.member_count;
    r->quorum = configuration_quorum(&options->configuration);
    r->configuration_hash = configuration_hash(&options->configuration);
    prng_seed(&r->prng, options->seed);
    r->time = time;
    r->received_ns = time.now_ns;
    timeouts_stop_all(&r->timeouts);

    r->durable = options->durable;
    r->wanted = options->durable;
    r->view_number = options->durable.view_number;
    r->last_normal_view = options->durable.last_normal_view;
    if (r->wanted.identities[r->self] == 0) {
        r->wanted.identities[r->self] = options->identity;
        r->state_dirty = true;
    }
    init_log(r, &r->log, options->log_memory);
    init_log(r, &r->staging, options->staging_memory);
    r->full_at_op = UINT64_MAX;
    r->log_generation = 1;
    r->written_generation = 1;
    r->settled_generation = 1;
    take_checkpoint(r);
    take_log(r);

    if (options->start == VR_START_RECOVER) {
        recovery_begin(r);
    } else if (r->last_normal_view == r->view_number) {
        resume_normal(r);
    } else {
        /* P1: a fresh group is no exception; its first primary comes from V6 like every other. */
        r->status = STATUS_VIEW_CHANGE;
        timeout_set(&r->timeouts, TIMEOUT_DO_VIEW_CHANGE, time.now_ns);
        timeout_set(&r->timeouts, TIMEOUT_SUSPECT, time.now_ns + view_change_timeout(r));
    }
    return r;
}

void drop(struct replica *r, enum drop_reason reason)
{
    r->dropped[reason]++;
    if (r->dropped_last == DROP_NONE) {
        r->dropped_last = reason;
    }
}

bool outputs_have_room(const struct replica *r, uint32_t count)
{
    return r->outputs->count + count <= VR_OUTPUTS_MAX;
}

struct vr_output *output_add(struct replica *r, enum vr_output_kind kind)
{
    INVARIANT(r->outputs->count < VR_OUTPUTS_MAX);
    struct vr_output *output = &r->outputs->items[r->outputs->count++];
    output->kind = kind;
    return output;
}

void vr_envelope(const struct replica *r, struct message *message)
{
    message->from = r->options.replica_id;
    message->incarnation = r->options.incarnation;
    message->identity = r->options.identity;
    message->configuration_hash = r->configuration_hash;
}

static struct vr_output *add_send(struct replica *r, enum vr_output_kind kind,
                                  const struct message *message)
{
    struct vr_output *output = output_add(r, kind);
    output->send.message = *message;
    vr_envelope(r, &output->send.message);
    return output;
}

void send_to_mask(struct replica *r, uint32_t mask, const struct message *message)
{
    mask &= others_mask(r);
    if (mask != 0) {
        add_send(r, VR_OUT_SEND_PEERS, message)->send.member_mask = mask;
    }
}

void send_to_peer(struct replica *r, uint32_t peer, const struct message *message)
{
    INVARIANT(peer < r->member_count);
    send_to_mask(r, 1u << peer, message);
}

void send_to_others(struct replica *r, const struct message *message)
{
    send_to_mask(r, others_mask(r), message);
}

void send_to_client(struct replica *r, const struct net_address *address,
                    const struct message *message)
{
    struct vr_output *output = add_send(r, VR_OUT_SEND_CLIENT, message);
    output->send.member_mask = 0;
    output->send.message.address = *address;
}

bool take_answer(struct replica *r)
{
    if (r->time.now_ns - r->answers_window_ns >= r->options.heartbeat_ns) {
        r->answers_window_ns = r->time.now_ns;
        r->answers_in_window = 0;
    }
    if (r->answers_in_window >= ANSWERS_PER_HEARTBEAT) {
        drop(r, DROP_RATE);
        return false;
    }
    r->answers_in_window++;
    return true;
}

uint32_t primary_of(const struct replica *r, uint64_t view_number)
{
    return configuration_primary(&r->options.configuration, view_number);
}

uint32_t others_mask(const struct replica *r)
{
    return ((1u << r->member_count) - 1) & ~(1u << r->self);
}

static struct log_descriptor describe_up_to(const struct replica *r, uint64_t op_number)
{
    const uint64_t commit = r->commit_number < op_number ? r->commit_number : op_number;
    return (struct log_descriptor){
        .last_normal_view = r->last_normal_view,
        .op_number = op_number,
        .head_checksum = vr_log_checksum(&r->log, op_number),
        .commit_number = commit,
        .commit_checksum = vr_log_checksum(&r->log, commit),
    };
}

struct log_descriptor describe_log(const struct replica *r)
{
    return describe_up_to(r, r->durable_op);
}

struct log_descriptor describe_whole_log(const struct replica *r)
{
    INVARIANT(r->acting_primary);
    return describe_up_to(r, r->log.op_number);
}

/* D5: what was lost is there again, or belongs to a view that is over. */
void forget_lost(struct replica *r, bool whatever)
{
    if (r->had.op_number > 0 && (whatever || r->durable_op >= r->had.op_number)) {
        r->had = (struct vr_log_end){0};
        r->held_op = 0;
    }
}

/* N7: never repaired silently. The replica leaves service; what it answers to status stays true. */
static struct vr_output *leave_service(struct replica *r, uint32_t peer)
{
    struct vr_output *output = output_add(r, VR_OUT_DIVERGED);
    output->diverged.peer = r->options.configuration.members[peer].replica_id;
    r->diverged = true;
    r->acting_primary = false;
    sync_drop(r);
    timeouts_stop_all(&r->timeouts);
    return output;
}

void diverge(struct replica *r, uint64_t op_number, struct checksum theirs, uint32_t peer)
{
    struct vr_output *output = leave_service(r, peer);
    output->diverged.op_number = op_number;
    output->diverged.own = vr_log_checksum(&r->log, op_number);
    output->diverged.theirs = theirs;
    output->diverged.state = false;
}

void diverge_state(struct replica *r, const struct checkpoint_mark *own,
                   const struct checkpoint_mark *theirs, uint32_t peer)
{
    struct vr_output *output = leave_service(r, peer);
    output->diverged.op_number = own->op_number;
    output->diverged.own = own->digest;
    output->diverged.theirs = theirs->digest;
    output->diverged.state = true;
}

/* ---- durable state (S1, S4) ---- */

void state_changed(struct replica *r)
{
    INVARIANT(r->wanted.view_number >= r->durable.view_number);
    INVARIANT(r->wanted.last_normal_view >= r->durable.last_normal_view);
    INVARIANT(r->wanted.last_normal_view <= r->wanted.view_number);
    r->state_dirty = true;
}

static void write_state_if_changed(struct replica *r)
{
    VR_MARK_IF(r->state_dirty && r->state_in_flight, S4_state_changes_while_it_is_written);
    if (!r->state_dirty || r->state_in_flight || !outputs_have_room(r, 1)) {
        return;
    }
    r->state_dirty = false;
    r->state_in_flight = true;
    r->state_number++;
    r->writing = r->wanted;
    struct vr_output *output = output_add(r, VR_OUT_WRITE_STATE);
    output->write_state.number = r->state_number;
    output->write_state.state = r->writing;
}

static void on_state_durable(struct replica *r, uint64_t number)
{
    if (!r->state_in_flight || number != r->state_number) {
        return;
    }
    INVARIANT(r->writing.view_number >= r->durable.view_number);
    INVARIANT(r->writing.last_normal_view >= r->durable.last_normal_view);
    r->state_in_flight = false;
    forget_lost(r, r->writing.last_normal_view > r->durable.last_normal_view);
    r->durable = r->writing;
    r->last_normal_view = r->durable.last_normal_view;
    INVARIANT(r->last_normal_view <= r->view_number);
    install_state_durable(r);
    transfer_state_durable(r);
    if (r->status == STATUS_VIEW_CHANGE && r->durable.view_number == r->view_number) {
        timeout_set_at_latest(&r->timeouts, TIMEOUT_DO_VIEW_CHANGE, r->time.now_ns);
    }
}

static void on_log_durable(struct replica *r, uint64_t generation, uint64_t op_number)
{
    if (generation != r->log_generation || op_number > r->written_op) {
        VR_MARK(S4_write_of_an_older_log);
        return;
    }
    r->settled_generation = generation;
    if (op_number > r->durable_op) {
        r->durable_op = op_number;
        forget_lost(r, false);
        if (r->acting_primary && r->later_view <= r->view_number) {
            count_acks(r); /* V9: none of a view that is known to end */
        } else if (!r->acting_primary && r->status == STATUS_NORMAL) {
            r->ack_owed = true;
        }
    }
    install_log_durable(r);
}

/* ---- dispatch ---- */

/* The view that a message speaks of, where it counts only in its epoch (E3). */
static bool view_of(const struct message *m, uint64_t *view_number)
{
    switch (m->type) {
    case MESSAGE_PREPARE:
        *view_number = m->prepare.view_number;
        return true;
    case MESSAGE_PREPARE_OK:
        *view_number = m->prepare_ok.view_number;
        return true;
    case MESSAGE_COMMIT:
        *view_number = m->commit.view_number;
        return true;
    case MESSAGE_GOODBYE:
        *view_number = m->goodbye.view_number;
        return true;
    case MESSAGE_START_VIEW_CHANGE:
        *view_number = m->start_view_change.view_number;
        return true;
    case MESSAGE_DO_VIEW_CHANGE:
        *view_number = m->do_view_change.view_number;
        return true;
    case MESSAGE_START_VIEW:
        *view_number = m->start_view.view_number;
        return true;
    case MESSAGE_GET_VIEW:
        *view_number = m->get_view.view_number;
        return true;
    case MESSAGE_RECOVERY:
        *view_number = m->recovery.view_number;
        return true;
    case MESSAGE_RECOVERY_RESPONSE:
        *view_number = m->recovery_response.view_number;
        return true;
    case MESSAGE_CHECKPOINT_OFFER:
        *view_number = m->checkpoint_offer.view_number;
        return true;
    default:
        return false;
    }
}

/* E3: without reconfiguration there is one epoch. A leap over more views than a group can ever have
 * gone through is no view of it, and no view is so late that a vote for the next would leave the
 * epoch: what is adopted is durable, and could not be taken back. */
static bool judge_view(struct replica *r, const struct message *m)
{
    uint64_t view_number;
    if (!view_of(m, &view_number)) {
        return true;
    }
    if (view_epoch(view_number) != r->options.configuration.epoch) {
        drop(r, DROP_EPOCH);
        return false;
    }
    if (view_epoch(view_number + 1) != r->options.configuration.epoch ||
        (view_number > r->view_number && view_number - r->view_number > VIEW_LEAP_MAX)) {
        drop(r, DROP_INVALID);
        return false;
    }
    return true;
}

static void on_peer_message(struct replica *r, const struct message *m)
{
    const uint32_t peer = configuration_index(&r->options.configuration, m->from);
    if (!judge_envelope(r, m, peer) || !judge_view(r, m)) {
        return;
    }
    r->peers[peer].heard_ns = r->received_ns;
    switch (m->type) {
    case MESSAGE_PREPARE:
        on_prepare(r, m, peer);
        break;
    case MESSAGE_PREPARE_OK:
        on_prepare_ok(r, m, peer);
        break;
    case MESSAGE_COMMIT:
        on_commit(r, m, peer);
        break;
    case MESSAGE_GOODBYE:
        on_goodbye(r, m, peer);
        break;
    case MESSAGE_START_VIEW_CHANGE:
        on_start_view_change(r, m, peer);
        break;
    case MESSAGE_DO_VIEW_CHANGE:
        on_do_view_change(r, m, peer);
        break;
    case MESSAGE_START_VIEW:
        on_start_view(r, m, peer);
        break;
    case MESSAGE_GET_VIEW:
        on_get_view(r, m, peer);
        break;
    case MESSAGE_CATCHUP_REQUEST:
        on_catchup_request(r, m, peer);
        break;
    case MESSAGE_CATCHUP_RESPONSE:
        on_catchup_response(r, m, peer);
        break;
    case MESSAGE_CHECKPOINT_OFFER:
        on_checkpoint_offer(r, m, peer);
        break;
    case MESSAGE_CHECKPOINT_REQUEST:
        on_checkpoint_request(r, m, peer);
        break;
    case MESSAGE_CHECKPOINT_CHUNK:
        on_checkpoint_chunk(r, m, peer);
        break;
    case MESSAGE_RECOVERY:
        on_recovery(r, m, peer);
        break;
    case MESSAGE_RECOVERY_RESPONSE:
        on_recovery_response(r, m, peer);
        break;
    default:
        drop(r, DROP_INVALID);
        break;
    }
}

static void on_message(struct replica *r, const struct message *m)
{
    if (m->type == MESSAGE_REQUEST) {
        on_request(r, m);
    } else if (m->type == MESSAGE_READ) {
        on_read(r, m);
    } else if (m->type == MESSAGE_RESTORE_STATUS) {
        on_restore_status(r, m);
    } else if (m->type == MESSAGE_RESTORE) {
        on_restore(r, m);
    } else if (message_is_from_replica(m->type)) {
        on_peer_message(r, m);
    } else {
        drop(r, DROP_INVALID);
    }
}

/* TH-4, TM-3: after a stall of this process all that was due fires once, and nobody is blamed for
 * the silence: what was said meanwhile may still be on its way in. Once only, until somebody is
 * heard: a process that is always late must come to suspect a dead primary, too. A primary finds
 * out by its next heartbeat whether it is one still; whatever it serves needs a quorum's acks. */
static void forgive_stall(struct replica *r)
{
    const uint64_t due = timeouts_next(&r->timeouts);
    if (due == TIMEOUT_NEVER || r->stall_forgiven ||
        r->time.now_ns < due + r->options.view_change_ns / 2) {
        return;
    }
    VR_MARK(V1_stall_is_forgiven);
    r->stall_forgiven = true;
    if (r->timeouts.at_ns[TIMEOUT_SUSPECT] != TIMEOUT_NEVER) {
        timeout_set_at_least(&r->timeouts, TIMEOUT_SUSPECT,
                             r->time.now_ns + r->options.view_change_ns);
    }
    for (uint32_t i = 0; r->acting_primary && i < r->member_count; i++) {
        count_as_heard(&r->peers[i], r->time.now_ns);
    }
}

static void on_tick(struct replica *r)
{
    forgive_stall(r);
    switch (r->status) {
    case STATUS_NORMAL:
        normal_tick(r);
        break;
    case STATUS_VIEW_CHANGE:
        break;
    case STATUS_RECOVERING:
        recovery_tick(r);
        break;
    case STATUS_TRANSITIONING:
        break;
    }
    view_change_tick(r);
    sync_tick(r);
    watch_group(r);
}

static void on_stop(struct replica *r)
{
    if (r->acting_primary && !r->stopped) {
        const struct message m = {.type = MESSAGE_GOODBYE,
                                  .goodbye = {.view_number = r->view_number}};
        send_to_others(r, &m);
    }
    r->stopped = true; /* what is committed is still executed, and answered */
    timeouts_stop_all(&r->timeouts);
}

static void check_state(const struct replica *r)
{
    INVARIANT(r->last_normal_view <= r->view_number);
    INVARIANT(r->status != STATUS_VIEW_CHANGE || r->last_normal_view < r->view_number);
    INVARIANT(r->status != STATUS_NORMAL || r->last_normal_view == r->view_number);
    INVARIANT(!r->acting_primary || r->status == STATUS_NORMAL);
    INVARIANT(r->handed_op <= r->commit_number);
    INVARIANT(r->executed_op <= r->handed_op);
    INVARIANT(r->commit_number <= r->log.op_number);
    INVARIANT(r->durable_op <= r->written_op);
    INVARIANT(r->written_op <= r->log.op_number);
    INVARIANT(r->log.base_op <= r->durable_op);
    INVARIANT(r->log.base_op <= r->executed_op);
}

void vr_step(struct replica *r, const struct vr_event *event, struct vr_outputs *outputs)
{
    outputs->count = 0;
    r->outputs = outputs;
    r->time = event->time;
    r->received_ns = event->time.now_ns;
    r->dropped_last = DROP_NONE;
    r->gap_last = false;
    if (event->kind == VR_EVENT_EXECUTED) {
        INVARIANT(event->executed.op_number <= r->handed_op);
        INVARIANT(event->executed.op_number >= r->executed_op);
        r->executed_op = event->executed.op_number;
        return;
    }
    if (r->stopped || r->diverged) {
        drop(r, DROP_STOPPED);
        return;
    }
    switch (event->kind) {
    case VR_EVENT_MESSAGE:
        r->received_ns = event->message.received_ns;
        on_message(r, event->message.message);
        break;
    case VR_EVENT_TICK:
        on_tick(r);
        break;
    case VR_EVENT_LOG_DURABLE:
        on_log_durable(r, event->log_durable.generation, event->log_durable.op_number);
        break;
    case VR_EVENT_STATE_DURABLE:
        on_state_durable(r, event->state_durable.number);
        break;
    case VR_EVENT_EXECUTED:
        break;
    case VR_EVENT_CHECKPOINT:
        on_checkpoint(r, &event->checkpoint);
        break;
    case VR_EVENT_CHECKPOINT_UNREADABLE:
        on_checkpoint_unreadable(r, event->unreadable_op);
        break;
    case VR_EVENT_CHUNK_STAGED:
        on_chunk_staged(r, event);
        break;
    case VR_EVENT_CHECKPOINT_INSTALLED:
        on_checkpoint_installed(r, event);
        break;
    case VR_EVENT_STOP:
        on_stop(r);
        break;
    }
    write_state_if_changed(r);
    check_state(r);
}

/* One write for all that the drain appended or cut (ST-2: a switch of suffix is one step). */
static void write_log(struct replica *r)
{
    if (r->written_op == r->log.op_number && r->written_generation == r->log_generation) {
        return;
    }
    /* D5: what replaces the damaged end of a log reaches as far as that did, or it would deny what
     * is still missing. On the way into another view the log that was chosen takes its place. */
    if (r->had.op_number > r->log.op_number && r->install.phase != INSTALL_LOG) {
        return;
    }
    struct vr_output *output = output_add(r, VR_OUT_WRITE_LOG);
    output->write_log.generation = r->log_generation;
    output->write_log.cut_to = r->written_op;
    output->write_log.first_op = r->written_op + 1;
    output->write_log.last_op = r->log.op_number;
    r->written_op = r->log.op_number;
    r->written_generation = r->log_generation;
}

/* Hands committed entries to the executor, as far as it may trail (N9). */
static void hand_over(struct replica *r)
{
    const uint64_t limit = r->executed_op + r->options.execute_lag_max;
    const uint64_t last = r->commit_number < limit ? r->commit_number : limit;
    VR_MARK_IF(r->commit_number > limit, N9_execution_trails_at_the_bound);
    if (last <= r->handed_op) {
        return;
    }
    if (r->transfer.installing) {
        return; /* G4: the state is about to be another one */
    }
    struct vr_output *output = output_add(r, VR_OUT_EXECUTE);
    output->execute.first_op = r->handed_op + 1;
    output->execute.last_op = last;
    r->handed_op = last;
}

bool vr_flush(struct replica *r, struct vr_time time, struct vr_outputs *outputs)
{
    outputs->count = 0;
    r->outputs = outputs;
    r->time = time;
    if (r->diverged) {
        return false;
    }
    hand_over(r);
    if (r->stopped) {
        return false;
    }
    write_state_if_changed(r);
    bool more = r->status == STATUS_NORMAL && normal_flush(r);
    write_log(r);
    catchup_flush(r);
    chunks_flush(r);
    compaction_flush(r);
    more = reads_flush(r) || more;
    check_state(r);
    return more;
}

uint64_t vr_deadline(const struct replica *r)
{
    if (r->stopped || r->diverged) {
        return TIMEOUT_NEVER;
    }
    return r->catchup_count > 0 ? r->time.now_ns : timeouts_next(&r->timeouts);
}

void vr_execution(const struct replica *r, uint64_t op_number, struct vr_execution *out)
{
    size_t size;
    *out = (struct vr_execution){
        .op_number = op_number,
        .view_number = r->last_normal_view,
        .bytes = vr_log_entry(&r->log, op_number, &size),
        .log = vr_log_checksum(&r->log, op_number),
    };
    out->size = (uint32_t)size;
    const struct in_flight_slot *slot = in_flight_at(&r->in_flight, op_number);
    if (r->acting_primary && slot != NULL && net_address_known(&slot->address)) {
        out->reply = true;
        out->address = slot->address;
    }
}

const uint8_t *vr_log_bytes(const struct replica *r, uint64_t op_number, size_t *size)
{
    if (op_number <= r->log.base_op || op_number > r->log.op_number) {
        return NULL;
    }
    return vr_log_entry(&r->log, op_number, size);
}

struct checksum vr_log_checksum_at(const struct replica *r, uint64_t op_number)
{
    return vr_log_checksum(&r->log, op_number);
}

uint64_t vr_commit_number(const struct replica *r)
{
    return r->commit_number;
}

void vr_glance(const struct replica *r, struct vr_glance *out)
{
    const uint32_t primary = primary_of(r, r->view_number);
    *out = (struct vr_glance){
        .dropped = r->dropped_last,
        .gap = r->gap_last,
        .status = r->status,
        .acting_primary = r->acting_primary,
        .suspecting = r->suspecting,
        .primary_gave_up = primary != r->self && vote_is_live(r, &r->peers[primary]) &&
                           r->peers[primary].vote_view > r->view_number,
        .diverged = r->diverged,
        .stopped = r->stopped,
        .view_number = r->view_number,
        .op_number = r->log.op_number,
        .commit_number = r->commit_number,
        .suspicions = r->suspicions,
        .primary_heard_ns = primary == r->self ? 0 : r->peers[primary].heard_ns,
        .sync_from = r->sync.active ? r->sync.start_op : 0,
        .sync_target = r->sync.active ? r->sync.target.op_number : 0,
    };
}

void vr_snapshot(const struct replica *r, struct vr_snapshot *out)
{
    *out = (struct vr_snapshot){
        .view_number = r->view_number,
        .last_normal_view = r->last_normal_view,
        .status = r->status,
        .acting_primary = r->acting_primary,
        .suspecting = r->suspecting,
        .diverged = r->diverged,
        .log_full = r->log_full,
        .group_lost = group_lost(r),
        .restores = restoring(r),
        .restores_from = r->restore.source,
        .restores_to = r->restore.log.op_number,
        .lost_from = r->had.op_number > 0 ? r->held_op + 1 : 0,
        .lost_to = r->had.op_number,
        .op_number = r->log.op_number,
        .head_checksum = vr_log_checksum(&r->log, r->log.op_number),
        .commit_number = r->commit_number,
        .commit_checksum = vr_log_checksum(&r->log, r->commit_number),
        .executed_op = r->executed_op,
        .log_bytes = vr_log_bytes_used(&r->log),
        .base_op = r->log.base_op,
        .checkpoint_op = checkpoint_last(r).op_number,
        .checkpoint_digest = checkpoint_last(r).digest,
        .checkpoints_offered = r->checkpoints_offered,
        .checkpoints_installed = r->checkpoints_installed,
        .chunks_served = r->chunks_served,
        .member_count = r->member_count,
        .view_changes = r->view_changes,
        .views_started = r->views_started,
        .catchup_entries = r->catchup_entries,
        .catchup_served = r->catchup_served,
        .prepares_resent = r->prepares_resent,
        .requests_seen = r->requests_seen,
        .busy_count = r->busy_count,
        .reads = r->options.reads,
        .reads_seen = r->reads.seen,
        .reads_answered = r->reads.answered,
        .read_rounds = r->reads.rounds,
        .reads_late = r->reads.late,
    };
    if (r->sync.active) {
        out->sync_from = r->sync.start_op;
        out->sync_op = r->staging.op_number;
        out->sync_target = r->sync.target.op_number;
        if (r->sync.pulling) {
            out->transfer_op = r->transfer.id.op_number;
            out->transfer_chunks = r->transfer.list_count + r->transfer.chunk_count;
            out->transfer_staged = r->transfer.staged;
        }
    }
    for (uint32_t i = 0; i < r->member_count; i++) {
        const struct peer *peer = &r->peers[i];
        out->members[i].replica_id = r->options.configuration.members[i].replica_id;
        out->members[i].heard_ns = i == r->self ? r->time.now_ns : peer->heard_ns;
        out->members[i].rtt_ns = peer->rtt_ns;
        out->members[i].acked_op = i == r->self ? r->durable_op : peer->acked_op;
        out->members[i].vote_later = peer->vote_view > r->view_number;
        out->members[i].recovering =
            i == r->self ? r->status == STATUS_RECOVERING : peer->recovery_heard_ns != 0;
        out->members[i].bound = r->durable.identities[i] != 0;
    }
    memcpy(out->dropped, r->dropped, sizeof out->dropped);
}

const char *drop_reason_name(enum drop_reason reason)
{
    static const char *const names[DROP_REASON_COUNT] = {
        [DROP_NONE] = "none",
        [DROP_INVALID] = "invalid",
        [DROP_NOT_MEMBER] = "not_member",
        [DROP_CONFIGURATION] = "configuration",
        [DROP_IDENTITY] = "identity",
        [DROP_INCARNATION] = "incarnation",
        [DROP_STATUS] = "status",
        [DROP_OLD_VIEW] = "old_view",
        [DROP_NEWER_VIEW] = "newer_view",
        [DROP_EPOCH] = "epoch",
        [DROP_NOT_PRIMARY] = "not_primary",
        [DROP_NOT_FROM_PRIMARY] = "not_from_primary",
        [DROP_DUPLICATE] = "duplicate",
        [DROP_CHECKSUM] = "checksum",
        [DROP_UNKNOWN_OP] = "unknown_op",
        [DROP_NONCE] = "nonce",
        [DROP_STASH_FULL] = "stash_full",
        [DROP_LOG_FULL] = "log_full",
        [DROP_RATE] = "rate",
        [DROP_OLD_REQUEST] = "old_request",
        [DROP_STOPPED] = "stopped",
    };
    return reason < DROP_REASON_COUNT && names[reason] != NULL ? names[reason] : "?";
}
