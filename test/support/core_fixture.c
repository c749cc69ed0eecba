/* SPDX-License-Identifier: Apache-2.0 */
#include "test/support/core_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/invariant.h"
#include "server/vr/replica.h"
#include "test/support/message_text.h"

static const struct client_id the_client = {0xc11e, 1};

static void *allocate(size_t size)
{
    void *bytes = malloc(size);
    INVARIANT(bytes != NULL);
    return bytes;
}

static struct vr_time time_of(const struct core_fixture *f)
{
    const int64_t wall_2027 = INT64_C(1800000000) * 1000 * (int64_t)CORE_MS;
    return (struct vr_time){
        .now_ns = f->now_ns,
        .wall_ns = (uint64_t)(wall_2027 + (int64_t)f->now_ns + f->wall_offset_ns),
    };
}

/* ---- the queue ---- */

/* Where a message's borrowed bytes are, if it has any. */
static const uint8_t **bytes_of(struct message *m, uint32_t *size)
{
    switch (m->type) {
    case MESSAGE_PREPARE:
        *size = m->prepare.entries_size;
        return &m->prepare.entries;
    case MESSAGE_CATCHUP_RESPONSE:
        *size = m->catchup_response.entries_size;
        return &m->catchup_response.entries;
    case MESSAGE_CHECKPOINT_CHUNK:
        *size = m->checkpoint_chunk.size;
        return &m->checkpoint_chunk.bytes;
    default:
        *size = 0;
        return NULL;
    }
}

static bool fits(const struct core_message *queued, int type, int from, int to)
{
    return (type == CORE_ANY || (int)queued->message.type == type) &&
           (from == CORE_ANY || (int)queued->from == from) &&
           (to == CORE_ANY || (int)queued->to == to);
}

static void enqueue(struct core_fixture *f, uint32_t from, uint32_t to,
                    const struct message *message)
{
    INVARIANT(f->queued < CORE_QUEUE_MAX);
    struct core_message *queued = &f->queue[f->queued++];
    *queued = (struct core_message){.from = from, .to = to, .message = *message};
    uint32_t size;
    const uint8_t **bytes = bytes_of(&queued->message, &size);
    if (bytes != NULL && size > 0) {
        queued->bytes = allocate(size);
        memcpy(queued->bytes, *bytes, size);
        *bytes = queued->bytes;
    }
}

static struct core_message dequeue(struct core_fixture *f, uint32_t at)
{
    const struct core_message taken = f->queue[at];
    f->queued--;
    memmove(&f->queue[at], &f->queue[at + 1], (f->queued - at) * sizeof f->queue[0]);
    return taken;
}

/* Index of the oldest from `at` on, or f->queued. */
static uint32_t find(const struct core_fixture *f, uint32_t at, int type, int from, int to)
{
    while (at < f->queued && !fits(&f->queue[at], type, from, to)) {
        at++;
    }
    return at;
}

/* ---- steps ---- */

static void carry_out(struct core_fixture *f, uint32_t index);

static void check_state(const struct vr_snapshot *s)
{
    INVARIANT(s->commit_number <= s->op_number);
    INVARIANT(s->executed_op <= s->commit_number);
    INVARIANT(s->last_normal_view <= s->view_number);
    INVARIANT(s->status != STATUS_NORMAL || s->last_normal_view == s->view_number);
    INVARIANT(s->status != STATUS_VIEW_CHANGE || s->last_normal_view < s->view_number);
    INVARIANT(!s->acting_primary || s->status == STATUS_NORMAL);
}

static void step(struct core_fixture *f, uint32_t index, struct vr_event *event)
{
    struct core_node *node = &f->nodes[index];
    if (!node->up) {
        return;
    }
    event->time = time_of(f);
    vr_step(node->replica, event, &f->outputs);
    carry_out(f, index);
}

struct checkpoint_id core_checkpoint(struct core_fixture *f, uint32_t index, uint64_t chunks)
{
    struct core_node *node = &f->nodes[index];
    vr_snapshot(node->replica, &node->snapshot);
    const uint64_t op = node->snapshot.executed_op;
    struct vr_event event = {
        .kind = VR_EVENT_CHECKPOINT,
        .checkpoint =
            {
                .op_number = op,
                .view_number = view_make(EPOCH_FIRST, 0),
                .log = vr_log_checksum_at(node->replica, op),
                .digest = {op, 1},
                .size = chunks * CHECKPOINT_CHUNK_SIZE - 5,
                .root = {op, 2},
            },
    };
    step(f, index, &event);
    vr_snapshot(node->replica, &node->snapshot);
    return event.checkpoint;
}

void core_unreadable(struct core_fixture *f, uint32_t index, uint64_t op_number)
{
    step(f, index,
         &(struct vr_event){.kind = VR_EVENT_CHECKPOINT_UNREADABLE, .unreadable_op = op_number});
}

void core_installed(struct core_fixture *f, uint32_t index)
{
    struct core_node *node = &f->nodes[index];
    struct vr_event event = {
        .kind = VR_EVENT_CHECKPOINT_INSTALLED,
        .installed = {.id = node->installing, .timestamp = UINT64_C(1) << 61},
    };
    node->installing.op_number = 0;
    node->execute_to = event.installed.id.op_number;
    step(f, index, &event);
}

/* Ends a drain. Outputs of nested steps reuse f->outputs, so each is carried out at once. */
static void flush(struct core_fixture *f, uint32_t index)
{
    struct core_node *node = &f->nodes[index];
    bool more = node->up && !node->hold_flush;
    while (more) {
        more = vr_flush(node->replica, time_of(f), &f->outputs);
        const bool said = f->outputs.count > 0;
        carry_out(f, index);
        more = more || said; /* completions may have made more to say */
    }
    if (node->up) {
        vr_snapshot(node->replica, &node->snapshot);
        check_state(&node->snapshot);
    }
}

static void send_peers(struct core_fixture *f, uint32_t from, const struct vr_output *output)
{
    for (uint32_t to = 0; to < f->count; to++) {
        if ((output->send.member_mask & (1u << to)) != 0) {
            enqueue(f, from, to, &output->send.message);
        }
    }
}

static void serve_checkpoint(struct core_fixture *f, uint32_t from, const struct vr_output *output)
{
    static uint8_t bytes[CHECKPOINT_CHUNK_SIZE];
    const struct checkpoint_id *id = &output->serve_checkpoint.id;
    const bool list = output->serve_checkpoint.list;
    const uint64_t size = list ? 16 * checkpoint_chunk_count(id->size) : id->size;
    memset(bytes, (int)id->op_number, sizeof bytes);
    for (uint32_t i = 0; i < output->serve_checkpoint.count; i++) {
        struct message m = {
            .type = MESSAGE_CHECKPOINT_CHUNK,
            .checkpoint_chunk = {.nonce = output->serve_checkpoint.nonce,
                                 .root = id->root,
                                 .list = list,
                                 .index = output->serve_checkpoint.first + i,
                                 .bytes = bytes},
        };
        m.checkpoint_chunk.size = checkpoint_chunk_size(size, m.checkpoint_chunk.index);
        vr_envelope(f->nodes[from].replica, &m);
        enqueue(f, from, output->serve_checkpoint.peer, &m);
    }
}

static void write_state(struct core_node *node, const struct vr_output *output)
{
    INVARIANT(!node->state_waits);
    node->state_waits = true;
    node->state_number = output->write_state.number;
    node->state_writing = output->write_state.state;
}

static void write_log(struct core_node *node, const struct vr_output *output)
{
    node->log_waits = true;
    node->log_generation = output->write_log.generation;
    node->log_op = output->write_log.last_op;
}

static void chunk_staged(struct core_fixture *f, uint32_t index)
{
    struct core_node *node = &f->nodes[index];
    if (!node->staged_list && node->lose_chunks > 0) {
        node->lose_chunks--;
        node->list_kept = false;
    }
    node->list_kept = node->list_kept || node->staged_list;
    node->pieces_staged += node->staged_list ? 1u : 0u;
    struct vr_event event = {
        .kind = VR_EVENT_CHUNK_STAGED,
        .chunk_staged = {.root = node->staged.root,
                         .list = node->staged_list,
                         .index = node->staged_index,
                         .ok = node->list_kept && !node->refuse_chunks,
                         .missing = node->staged_index + 1,
                         .lost = !node->list_kept},
    };
    node->stage_waits = false;
    step(f, index, &event);
}

static void carry_out(struct core_fixture *f, uint32_t index)
{
    struct core_node *node = &f->nodes[index];
    for (uint32_t i = 0; i < f->outputs.count; i++) {
        const struct vr_output *output = &f->outputs.items[i];
        switch (output->kind) {
        case VR_OUT_SEND_PEERS:
            send_peers(f, index, output);
            break;
        case VR_OUT_SEND_CLIENT:
            f->to_client = output->send.message;
            f->to_client_count++;
            break;
        case VR_OUT_WRITE_STATE:
            write_state(node, output);
            break;
        case VR_OUT_WRITE_LOG:
            write_log(node, output);
            break;
        case VR_OUT_EXECUTE:
            node->execute_to = output->execute.last_op;
            break;
        case VR_OUT_READ:
            INVARIANT(output->read.op_number <= node->execute_to);
            f->read = *output;
            f->read_from = index;
            f->read_count++;
            break;
        case VR_OUT_LOOKUP:
        case VR_OUT_DIVERGED:
            break;
        case VR_OUT_TAKE_CHECKPOINT:
            node->checkpoints_wanted++;
            break;
        case VR_OUT_DROP_LOG:
            node->dropped_op = output->drop_log.through_op;
            break;
        case VR_OUT_SERVE_CHECKPOINT:
            serve_checkpoint(f, index, output);
            break;
        case VR_OUT_STAGE_CHUNK:
            INVARIANT(output->stage_chunk.bytes[0] == (uint8_t)output->stage_chunk.id.op_number);
            node->staged = output->stage_chunk.id;
            node->staged_list = output->stage_chunk.list;
            node->staged_index = output->stage_chunk.index;
            node->stage_waits = true;
            break;
        case VR_OUT_INSTALL_CHECKPOINT:
            node->installing = output->install_checkpoint;
            break;
        }
    }
    /* The outputs are carried out; what completes at once may be stepped now. */
    if (node->state_waits && !node->hold_state) {
        core_state_done(f, index);
    }
    if (node->log_waits && !node->hold_log) {
        core_log_done(f, index);
    }
    if (!node->hold_execution) {
        core_executed(f, index);
    }
    if (node->stage_waits) {
        chunk_staged(f, index);
    }
    if (node->installing.op_number > 0 && !node->hold_install) {
        core_installed(f, index);
    }
}

/* ---- storage and execution ---- */

void core_state_written(struct core_fixture *f, uint32_t index)
{
    f->nodes[index].disk = f->nodes[index].state_writing;
}

void core_state_done(struct core_fixture *f, uint32_t index)
{
    struct core_node *node = &f->nodes[index];
    struct vr_event event = {
        .kind = VR_EVENT_STATE_DURABLE,
        .state_durable = {.number = node->state_number},
    };
    INVARIANT(node->state_waits);
    node->state_waits = false;
    core_state_written(f, index);
    step(f, index, &event);
    flush(f, index);
}

void core_log_done(struct core_fixture *f, uint32_t index)
{
    struct core_node *node = &f->nodes[index];
    struct vr_event event = {
        .kind = VR_EVENT_LOG_DURABLE,
        .log_durable = {.generation = node->log_generation, .op_number = node->log_op},
    };
    INVARIANT(node->log_waits);
    node->log_waits = false;
    step(f, index, &event);
    flush(f, index);
}

void core_executed(struct core_fixture *f, uint32_t index)
{
    struct core_node *node = &f->nodes[index];
    struct vr_event event = {
        .kind = VR_EVENT_EXECUTED,
        .executed = {.op_number = node->execute_to},
    };
    vr_snapshot(node->replica, &node->snapshot);
    if (node->execute_to > node->snapshot.executed_op) {
        step(f, index, &event);
        flush(f, index);
    }
}

/* ---- life ---- */

void core_init(struct core_fixture *f, uint32_t count)
{
    memset(f, 0, sizeof *f);
    f->count = count;
    f->now_ns = 1000 * CORE_MS;
    f->nonce = 1;
    f->configuration = (struct configuration){
        .cluster_id = 0x5eed,
        .epoch = EPOCH_FIRST,
        .member_count = count,
        .parameters = cluster_parameters_default(),
    };
    for (uint32_t i = 0; i < count; i++) {
        struct member *member = &f->configuration.members[i];
        *member = (struct member){
            .replica_id = i + 1, .role = MEMBER_ACTIVE, .port = 7000, .peer_port = 7100};
        (void)snprintf(member->host, sizeof member->host, "10.0.0.%u", i + 1);
        f->nodes[i].disk.view_number = view_make(EPOCH_FIRST, 0);
        f->nodes[i].disk.last_normal_view = VIEW_NONE;
        f->nodes[i].identity = 1000 + i;
        f->nodes[i].disk.identities[i] = 1000 + i;
    }
    vr_options_default(&f->defaults);
}

void core_free(struct core_fixture *f)
{
    core_discard(f, CORE_ANY, CORE_ANY, CORE_ANY);
    for (uint32_t i = 0; i < f->count; i++) {
        free(f->nodes[i].memory);
        free(f->nodes[i].log_memory);
        free(f->nodes[i].staging_memory);
    }
}

static void start(struct core_fixture *f, uint32_t index, struct vr_options *options)
{
    struct core_node *node = &f->nodes[index];
    INVARIANT(!node->up);
    if (node->memory == NULL) {
        node->memory = allocate(vr_memory_size());
        node->log_memory = allocate(CORE_LOG_SIZE);
        node->staging_memory = allocate(CORE_LOG_SIZE);
    }
    node->incarnation++;
    options->configuration = f->configuration;
    options->replica_id = index + 1;
    options->incarnation = node->incarnation;
    options->identity = node->identity;
    options->nonce = f->nonce++;
    options->seed = 7 + index;
    options->durable = node->disk;
    options->log_memory = node->log_memory;
    options->staging_memory = node->staging_memory;
    options->log_memory_size = CORE_LOG_SIZE;
    node->replica = vr_init(node->memory, options, time_of(f));
    node->up = true;
    node->started_before = true;
    node->state_waits = false;
    node->log_waits = false;
    node->execute_to = options->checkpoint.op_number; /* what the executor was loaded with */
    flush(f, index);
}

void core_start(struct core_fixture *f, uint32_t index)
{
    struct vr_options options = f->defaults;
    options.start = f->nodes[index].started_before ? VR_START_RECOVER : VR_START_INITIAL;
    start(f, index, &options);
}

void core_resume(struct core_fixture *f, uint32_t index, uint64_t held_op)
{
    struct core_node *node = &f->nodes[index];
    struct vr_options options = f->defaults;
    struct vr_log log = node->kept;
    options.start = VR_START_RESUME;
    options.durability = DURABILITY_SYNC;
    log.protected_op = 0; /* what was committed is not known yet */
    if (held_op < log.op_number) {
        options.had = (struct vr_log_end){log.op_number, vr_log_checksum(&log, log.op_number)};
        vr_log_cut(&log, held_op);
    }
    options.log = &log;
    options.commit_known = node->commit_known;
    options.commit_number = node->commit_known < held_op ? node->commit_known : held_op;
    start(f, index, &options);
}

void core_recover(struct core_fixture *f, uint32_t index, uint64_t held_op, uint64_t commit_number)
{
    struct vr_options options = f->defaults;
    struct vr_log log = f->nodes[index].kept;
    log.protected_op = 0; /* what was committed is known from elsewhere */
    vr_log_cut(&log, held_op);
    options.start = VR_START_RECOVER;
    options.log = &log;
    options.commit_number = commit_number;
    f->nodes[index].disk.log_valid = false;
    start(f, index, &options);
}

void core_crash(struct core_fixture *f, uint32_t index)
{
    if (f->nodes[index].up) {
        f->nodes[index].kept = f->nodes[index].replica->log;
    }
    f->nodes[index].up = false;
    f->nodes[index].state_waits = false;
    f->nodes[index].log_waits = false;
}

uint32_t core_form(struct core_fixture *f)
{
    for (uint32_t i = 0; i < f->count; i++) {
        core_start(f, i);
    }
    const bool formed = core_run_until_normal(f, 5000);
    INVARIANT(formed);
    core_settle(f);
    return core_primary(f);
}

/* ---- rules ---- */

static void add_rule(struct core_fixture *f, struct core_rule rule)
{
    INVARIANT(f->rule_count < CORE_RULES_MAX);
    f->rules[f->rule_count++] = rule;
}

void core_drop(struct core_fixture *f, int type, int from, int to)
{
    add_rule(f, (struct core_rule){CORE_DROP, type, from, to});
}

void core_hold(struct core_fixture *f, int type, int from, int to)
{
    add_rule(f, (struct core_rule){CORE_HOLD, type, from, to});
}

void core_isolate(struct core_fixture *f, uint32_t node)
{
    core_drop(f, CORE_ANY, (int)node, CORE_ANY);
    core_drop(f, CORE_ANY, CORE_ANY, (int)node);
}

void core_no_rules(struct core_fixture *f)
{
    f->rule_count = 0;
}

static const struct core_rule *rule_for(const struct core_fixture *f,
                                        const struct core_message *queued)
{
    for (uint32_t i = 0; i < f->rule_count; i++) {
        if (fits(queued, f->rules[i].type, f->rules[i].from, f->rules[i].to)) {
            return &f->rules[i];
        }
    }
    return NULL;
}

/* ---- moving ---- */

static void step_message(struct core_fixture *f, uint32_t to, const struct message *message)
{
    struct vr_event event = {
        .kind = VR_EVENT_MESSAGE,
        .message = {.message = message, .received_ns = f->now_ns},
    };
    INVARIANT(message_validate(message));
    if (getenv("CORE_TRACE") != NULL) {
        char text[MESSAGE_TEXT_MAX];
        fprintf(stderr, "%8.1f %d -> %u  %s\n", (double)f->now_ns / 1e6, (int)message->from - 1, to,
                message_text(message, text, sizeof text));
    }
    step(f, to, &event);
    flush(f, to);
}

static void deliver_at(struct core_fixture *f, uint32_t at)
{
    const struct core_message taken = dequeue(f, at);
    step_message(f, taken.to, &taken.message);
    free(taken.bytes);
}

void core_settle(struct core_fixture *f)
{
    uint32_t at = 0;
    while (at < f->queued) {
        const struct core_rule *rule = rule_for(f, &f->queue[at]);
        if (rule == NULL) {
            deliver_at(f, at);
        } else if (rule->action == CORE_DROP) {
            free(dequeue(f, at).bytes);
        } else {
            at++;
        }
    }
}

void core_tick(struct core_fixture *f, uint32_t index)
{
    struct vr_event event = {.kind = VR_EVENT_TICK};
    step(f, index, &event);
    flush(f, index);
}

void core_write_some(struct core_fixture *f, uint32_t primary, int count)
{
    for (int i = 0; i < count; i++) {
        core_request(f, primary, "an entry of a certain size, so that blocks fill up soon enough");
        core_settle(f);
    }
    core_run(f, 60);
}

void core_run(struct core_fixture *f, uint64_t ms)
{
    core_settle(f);
    for (uint64_t i = 0; i < ms; i++) {
        f->now_ns += CORE_MS;
        for (uint32_t n = 0; n < f->count; n++) {
            if (f->nodes[n].up && vr_deadline(f->nodes[n].replica) <= f->now_ns) {
                core_tick(f, n);
            }
        }
        core_settle(f);
    }
}

static bool all_normal(const struct core_fixture *f)
{
    const struct vr_snapshot *first = NULL;
    for (uint32_t i = 0; i < f->count; i++) {
        const struct vr_snapshot *s = &f->nodes[i].snapshot;
        if (!f->nodes[i].up) {
            continue;
        }
        first = first == NULL ? s : first;
        if (s->status != STATUS_NORMAL || s->view_number != first->view_number ||
            s->op_number != first->op_number || s->commit_number != first->commit_number) {
            return false;
        }
    }
    return core_primary(f) != REPLICAS_MAX;
}

bool core_run_until_normal(struct core_fixture *f, uint64_t ms)
{
    core_settle(f);
    for (uint64_t i = 0; i < ms && !all_normal(f); i++) {
        core_run(f, 1);
    }
    return all_normal(f);
}

uint32_t core_run_until_primary_above(struct core_fixture *f, uint64_t view, uint64_t ms)
{
    for (uint64_t i = 0; i < ms; i++) {
        const uint32_t primary = core_primary(f);
        if (primary != REPLICAS_MAX && core_view(f, primary) > view) {
            return primary;
        }
        core_run(f, 1);
    }
    return REPLICAS_MAX;
}

bool core_deliver(struct core_fixture *f, enum message_type type, int from, int to)
{
    const uint32_t at = find(f, 0, (int)type, from, to);
    if (at == f->queued) {
        return false;
    }
    deliver_at(f, at);
    return true;
}

void core_discard(struct core_fixture *f, int type, int from, int to)
{
    uint32_t at = 0;
    while ((at = find(f, at, type, from, to)) < f->queued) {
        free(dequeue(f, at).bytes);
    }
}

uint32_t core_queued(const struct core_fixture *f, int type, int from, int to)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < f->queued; i++) {
        count += fits(&f->queue[i], type, from, to) ? 1 : 0;
    }
    return count;
}

const struct message *core_oldest(const struct core_fixture *f, int type, int from, int to)
{
    const uint32_t at = find(f, 0, type, from, to);
    return at < f->queued ? &f->queue[at].message : NULL;
}

void core_duplicate(struct core_fixture *f, enum message_type type, int from, int to)
{
    const uint32_t at = find(f, 0, (int)type, from, to);
    INVARIANT(at < f->queued);
    const struct core_message original = f->queue[at];
    enqueue(f, original.from, original.to, &original.message);
}

void core_inject(struct core_fixture *f, uint32_t to, uint32_t from, struct message message)
{
    message.from = from + 1;
    message.incarnation = f->nodes[from].incarnation;
    message.identity = f->nodes[from].identity;
    message.configuration_hash = configuration_hash(&f->configuration);
    if (message.type == MESSAGE_DO_VIEW_CHANGE && message.do_view_change.primary_identity == 0) {
        const uint32_t primary =
            configuration_primary(&f->configuration, message.do_view_change.view_number);
        message.do_view_change.primary_identity = f->nodes[from].disk.identities[primary];
    }
    step_message(f, to, &message);
}

void core_request_again(struct core_fixture *f, uint32_t node, uint64_t request_number,
                        const char *body)
{
    const struct message message = {
        .type = MESSAGE_REQUEST,
        .from = REPLICA_NONE,
        .address = {.port = 1},
        .request = {.client_id = the_client,
                    .session = 1,
                    .request_number = request_number,
                    .kind = ENTRY_OPERATION,
                    .operation_size = (uint32_t)strlen(body),
                    .operation = (const uint8_t *)body},
    };
    step_message(f, node, &message);
}

void core_request(struct core_fixture *f, uint32_t node, const char *body)
{
    core_request_again(f, node, ++f->request_number, body);
}

void core_read(struct core_fixture *f, uint32_t node, enum read_mode mode, uint64_t min_op)
{
    const struct message message = {
        .type = MESSAGE_READ,
        .from = REPLICA_NONE,
        .address = {.port = 1},
        .read = {.client_id = the_client,
                 .nonce = ++f->request_number,
                 .mode = mode,
                 .min_op = min_op,
                 .operation_size = 3,
                 .operation = (const uint8_t *)"get"},
    };
    step_message(f, node, &message);
}

/* ---- looking ---- */

const struct vr_snapshot *core_see(const struct core_fixture *f, uint32_t node)
{
    return &f->nodes[node].snapshot;
}

uint64_t core_view(const struct core_fixture *f, uint32_t node)
{
    return view_within_epoch(f->nodes[node].snapshot.view_number);
}

uint64_t core_last_normal_view(const struct core_fixture *f, uint32_t node)
{
    return view_within_epoch(f->nodes[node].snapshot.last_normal_view);
}

uint32_t core_primary(const struct core_fixture *f)
{
    uint32_t primary = REPLICAS_MAX;
    for (uint32_t i = 0; i < f->count; i++) {
        const struct vr_snapshot *s = &f->nodes[i].snapshot;
        if (f->nodes[i].up && s->acting_primary &&
            (primary == REPLICAS_MAX || s->view_number > f->nodes[primary].snapshot.view_number)) {
            primary = i;
        }
    }
    return primary;
}

bool core_holds(const struct core_fixture *f, uint32_t node, uint64_t op_number, const char *body)
{
    size_t size;
    struct entry entry;
    const uint8_t *bytes = vr_log_bytes(f->nodes[node].replica, op_number, &size);
    return bytes != NULL && entry_decode(bytes, size, &entry) == size &&
           entry.body_size == strlen(body) && memcmp(entry.body, body, entry.body_size) == 0;
}

struct log_descriptor core_descriptor(const struct core_fixture *f, uint32_t node)
{
    const struct vr_snapshot *s = &f->nodes[node].snapshot;
    return (struct log_descriptor){
        .last_normal_view = s->last_normal_view,
        .op_number = s->op_number,
        .head_checksum = s->head_checksum,
        .commit_number = s->commit_number,
        .commit_checksum = s->commit_checksum,
    };
}
