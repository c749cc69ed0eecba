/* SPDX-License-Identifier: Apache-2.0 */
/* The group: its network, its disks, what its actions do, and what is checked after each step. */
#include "test/explore/world.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/invariant.h"
#include "test/support/message_text.h"

#define MS UINT64_C(1000000)

enum {
    ARENA_SIZE = 64 * 1024 * 1024,
    TICKS_BEFORE = 16, /* of other timers, until one that gives its primary up */
    ROUNDS_MAX = 256,  /* of flushes and completions until a core has no more to say */
    TICKS_AT_ONCE = 4, /* at the same time: what is due again at once waits for a tick of its own */
};

static void *allocate(size_t size)
{
    void *bytes = calloc(1, size);
    INVARIANT(bytes != NULL);
    return bytes;
}

static struct vr_time time_of(const struct world *world, uint32_t node)
{
    /* One wall clock that stands: an entry is the same whenever it is made (N3). */
    return (struct vr_time){
        .now_ns = world->now.nodes[node].now_ns,
        .wall_ns = UINT64_C(1800000000) * 1000 * MS,
    };
}

/* ---- what is checked ---- */

static void expect(struct world *world, bool holds)
{
    world->failed = world->failed || !holds;
}

static bool same(const struct sim_observed *a, const struct sim_observed *b)
{
    return a->status == b->status && a->acting_primary == b->acting_primary &&
           a->view_number == b->view_number && a->last_normal_view == b->last_normal_view &&
           a->op_number == b->op_number && a->commit_number == b->commit_number &&
           a->executed_op == b->executed_op && checksum_equal(a->head_checksum, b->head_checksum);
}

static void check_views(struct world *world, const struct sim_observed *observed)
{
    struct sim_report *report = &world->report;
    bool started;
    const uint32_t primary = configuration_primary(&world->configuration, observed->view_number);
    expect(world, sim_check_acting_primary(&world->views, &world->history, observed, primary,
                                           &started, report));
    if (started) {
        const uint64_t fields[] = {observed->view_number, observed->replica, observed->incarnation,
                                   observed->head_checksum.low, observed->head_checksum.high};
        world->now.views_hash = world_mix(world->now.views_hash, fields, sizeof fields);
        world->now.views_count = world->views.count;
        if (!world->failed) {
            expect(world, sim_check_view_start(&world->history, observed, report));
        }
    }
    if (!world->failed) {
        expect(world, sim_check_holds_view_start(&world->views, observed, report));
    }
    for (uint32_t i = 0; i < WORLD_NODES && !world->failed; i++) {
        expect(world, sim_check_prefix(observed, &world->now.nodes[i].observed, report));
    }
}

/* After every step of a core, before its outputs are carried out. */
static void observe(struct world *world, uint32_t index)
{
    struct world_node *node = &world->now.nodes[index];
    const struct replica *r = world->replicas[index];
    const struct sim_observed before = node->observed;
    node->observed = (struct sim_observed){
        .replica = index,
        .incarnation = node->incarnation,
        .status = r->status,
        .acting_primary = r->acting_primary,
        .view_number = r->view_number,
        .last_normal_view = r->last_normal_view,
        .op_number = r->log.op_number,
        .commit_number = r->commit_number,
        .executed_op = r->executed_op,
        .head_checksum = vr_log_checksum(&r->log, r->log.op_number),
        .commit_checksum = vr_log_checksum(&r->log, r->commit_number),
        .chain = node->chain,
    };
    if (world->failed || same(&before, &node->observed)) {
        return;
    }
    if (r->log.op_number > WORLD_OPS_MAX) {
        world->now.cut = true;
        return;
    }
    for (uint64_t op = 0; op <= r->log.op_number; op++) {
        node->chain[op] = vr_log_checksum(&r->log, op);
    }
    const uint64_t committed = world->history.committed;
    expect(world, sim_check_state(&node->observed, &world->report));
    if (!world->failed && before.incarnation == node->incarnation) {
        expect(world, sim_check_progress(&before, &node->observed, &world->report));
    }
    if (!world->failed) {
        expect(world, sim_check_agreement(&world->history, &node->observed, before.commit_number,
                                          &world->report));
    }
    for (uint64_t op = committed + 1; op <= world->history.committed && !world->failed; op++) {
        expect(world, sim_check_late_commit(&world->views, &world->history, op,
                                            node->observed.last_normal_view, &world->report));
    }
    if (!world->failed) {
        check_views(world, &node->observed);
    }
    world->now.committed = world->history.committed;
}

/* ---- the network ---- */

static const uint8_t **bytes_of(struct message *m, uint32_t *size)
{
    *size = 0;
    switch (m->type) {
    case MESSAGE_PREPARE:
        *size = m->prepare.entries_size;
        return &m->prepare.entries;
    case MESSAGE_CATCHUP_RESPONSE:
        *size = m->catchup_response.entries_size;
        return &m->catchup_response.entries;
    default:
        return NULL;
    }
}

static uint64_t share_of(const struct world_letter *letter)
{
    return world_mix(1, &letter->hash, sizeof letter->hash);
}

static void post(struct world *world, uint32_t from, uint32_t to, const struct message *message)
{
    struct world_now *now = &world->now;
    uint32_t size;
    if (now->letter_count == WORLD_LETTERS_MAX) {
        now->cut = true;
        return;
    }
    struct world_letter *letter = (void *)(world->arena + now->arena_used);
    INVARIANT(now->arena_used + sizeof *letter + WORLD_KEPT_SIZE <= ARENA_SIZE);
    letter->from = from;
    letter->to = to;
    letter->message = *message;
    const uint8_t **bytes = bytes_of(&letter->message, &size);
    if (bytes != NULL) {
        INVARIANT(size <= WORLD_KEPT_SIZE);
        memcpy(letter + 1, *bytes, size);
        *bytes = (const uint8_t *)(letter + 1);
    }
    letter->hash = world_letter_hash(letter);
    now->arena_used += (sizeof *letter + size + 15) & ~(size_t)15;
    now->letters[now->letter_count++] = letter;
    now->letters_hash += share_of(letter);
}

static void post_to_mask(struct world *world, uint32_t from, const struct vr_output *output)
{
    const struct world_node *node = &world->now.nodes[from];
    const struct sim_durable durable = {node->disk.view_number, node->disk.last_normal_view};
    const uint64_t durable_op = world->replicas[from]->acting_primary
                                    ? world->replicas[from]->log.op_number
                                    : node->durable_op;
    if (!world->failed) {
        expect(world, sim_check_revealed(&output->send.message, &durable, durable_op,
                                         node->vote_heard, &world->report));
    }
    for (uint32_t to = 0; to < WORLD_NODES; to++) {
        if ((output->send.member_mask & (1u << to)) != 0) {
            post(world, from, to, &output->send.message);
        }
    }
}

/* ---- steps ---- */

static void carry_out(struct world *world, uint32_t index);

static void step(struct world *world, uint32_t index, struct vr_event *event)
{
    event->time = time_of(world, index);
    vr_step(world->replicas[index], event, &world->outputs);
    observe(world, index);
    carry_out(world, index);
}

static void execute(struct world *world, uint32_t index, uint64_t first_op, uint64_t last_op)
{
    for (uint64_t op = first_op; op <= last_op; op++) {
        struct vr_execution execution;
        vr_execution(world->replicas[index], op, &execution);
        if (execution.reply && !world->failed) {
            expect(world, sim_check_acknowledged(&world->history, op, &world->report));
            world->now.acknowledged = world->history.acknowledged;
        }
    }
    struct vr_event event = {.kind = VR_EVENT_EXECUTED, .executed = {.op_number = last_op}};
    step(world, index, &event);
}

static void state_done(struct world *world, uint32_t index)
{
    struct world_node *node = &world->now.nodes[index];
    const struct sim_durable before = {node->disk.view_number, node->disk.last_normal_view};
    node->state_waits = false;
    node->disk = node->state_writing;
    const struct sim_durable after = {node->disk.view_number, node->disk.last_normal_view};
    if (!world->failed) {
        expect(world, sim_check_durable_progress(&before, &after, &world->report));
    }
    struct vr_event event = {.kind = VR_EVENT_STATE_DURABLE,
                             .state_durable = {.number = node->state_number}};
    step(world, index, &event);
}

static void log_done(struct world *world, uint32_t index)
{
    struct world_node *node = &world->now.nodes[index];
    node->log_waits = false;
    node->durable_op = node->log_op;
    struct vr_event event = {
        .kind = VR_EVENT_LOG_DURABLE,
        .log_durable = {.generation = node->log_generation, .op_number = node->log_op}};
    step(world, index, &event);
}

static void carry_out(struct world *world, uint32_t index)
{
    struct world_node *node = &world->now.nodes[index];
    /* Steps below reuse the outputs, and need none of these: executions come last, and once. */
    uint64_t execute_from = 0;
    uint64_t execute_to = 0;
    for (uint32_t i = 0; i < world->outputs.count; i++) {
        const struct vr_output *output = &world->outputs.items[i];
        switch (output->kind) {
        case VR_OUT_SEND_PEERS:
            post_to_mask(world, index, output);
            break;
        case VR_OUT_WRITE_STATE:
            node->state_waits = true;
            node->state_number = output->write_state.number;
            node->state_writing = output->write_state.state;
            break;
        case VR_OUT_WRITE_LOG:
            node->log_waits = true;
            node->log_generation = output->write_log.generation;
            node->log_op = output->write_log.last_op;
            node->log_cut = output->write_log.cut_to;
            if (node->durable_op > output->write_log.cut_to) {
                node->durable_op = output->write_log.cut_to;
            }
            break;
        case VR_OUT_EXECUTE:
            execute_from = execute_from == 0 ? output->execute.first_op : execute_from;
            execute_to = output->execute.last_op;
            break;
        case VR_OUT_DIVERGED:
            (void)snprintf(world->report.text, sizeof world->report.text,
                           "N7: replica %u finds that it has diverged", index);
            expect(world, false);
            break;
        case VR_OUT_SEND_CLIENT:
        case VR_OUT_LOOKUP:
        case VR_OUT_READ:
        case VR_OUT_TAKE_CHECKPOINT:
        case VR_OUT_DROP_LOG:
        case VR_OUT_SERVE_CHECKPOINT:
        case VR_OUT_STAGE_CHUNK:
        case VR_OUT_INSTALL_CHECKPOINT:
            break;
        }
    }
    if (execute_to != 0) {
        execute(world, index, execute_from, execute_to);
    }
}

static void tick(struct world *world, uint32_t node, uint64_t at_ns)
{
    struct world_node *n = &world->now.nodes[node];
    n->now_ns = at_ns > n->now_ns ? at_ns : n->now_ns;
    struct vr_event event = {.kind = VR_EVENT_TICK};
    step(world, node, &event);
}

/* Ends an action: the drain's flushes, completions where disks are not slow, and ticks that are due
 * at once, as a server does. */
static void settle(struct world *world, uint32_t index)
{
    struct world_node *node = &world->now.nodes[index];
    bool more = true;
    uint32_t ticks = 0;
    for (uint32_t rounds = 0; more && !world->failed; rounds++) {
        if (rounds == ROUNDS_MAX) {
            (void)snprintf(world->report.text, sizeof world->report.text,
                           "S4: a drain of replica %u does not end", index);
            expect(world, false);
            return;
        }
        more = vr_flush(world->replicas[index], time_of(world, index), &world->outputs);
        observe(world, index);
        more = more || world->outputs.count > 0;
        carry_out(world, index);
        if (!world->now.left.slow_disks && node->state_waits) {
            state_done(world, index);
            more = true;
        }
        if (!world->now.left.slow_disks && node->log_waits) {
            log_done(world, index);
            more = true;
        }
        if (!more && vr_deadline(world->replicas[index]) <= node->now_ns &&
            ticks++ < TICKS_AT_ONCE) {
            tick(world, index, node->now_ns);
            more = true;
        }
    }
}

/* ---- life ---- */

static void start(struct world *world, uint32_t index, enum vr_start how, const struct vr_log *log)
{
    struct world_node *node = &world->now.nodes[index];
    node->incarnation++;
    struct vr_options options = world->defaults;
    options.configuration = world->configuration;
    options.replica_id = index + 1;
    options.incarnation = node->incarnation;
    options.identity = 1000 + index;
    options.nonce = 1000 * (index + 1) + node->incarnation;
    options.seed = 7 + index + 100 * node->incarnation;
    options.durability = world->defaults.durability;
    options.start = how;
    options.durable = node->disk;
    options.log = log;
    const uint32_t side = log != NULL && log->memory == world->log_memory[index][1] ? 1 : 0;
    options.log_memory = world->log_memory[index][side]; /* a core may exchange the two */
    options.staging_memory = world->log_memory[index][1 - side];
    options.log_memory_size = WORLD_LOG_SIZE;
    node->state_waits = false;
    node->log_waits = false;
    node->vote_heard = 0;
    node->durable_op = log == NULL ? 0 : log->op_number;
    world->replicas[index] = vr_init(world->replicas[index], &options, time_of(world, index));
    node->observed = (struct sim_observed){.replica = index, .incarnation = node->incarnation};
    observe(world, index);
    settle(world, index);
}

/* The process, or with a disk its machine, ends and starts again. */
static void crash(struct world *world, uint32_t index, bool written)
{
    struct world_node *node = &world->now.nodes[index];
    if (written && node->state_waits) {
        node->disk = node->state_writing;
    }
    if (!world->now.left.sync) {
        node->disk.log_valid = false;
        start(world, index, VR_START_RECOVER, NULL);
        return;
    }
    struct vr_log log = world->replicas[index]->log;
    const uint64_t held = written && node->log_waits ? node->log_op : node->durable_op;
    log.protected_op = 0; /* what was committed is not known yet */
    if (held < log.op_number) {
        vr_log_cut(&log, held);
    }
    start(world, index, VR_START_RESUME, &log);
}

static void deliver_all(struct world *world)
{
    for (uint32_t rounds = 0; world->now.letter_count > 0 && rounds < 1000; rounds++) {
        const struct world_action action = {
            .kind = WORLD_DELIVER,
            .node = world->now.letters[0]->to,
            .letter = world->now.letters[0]->hash,
        };
        (void)world_act(world, &action);
    }
}

static bool formed(const struct world *world)
{
    bool primary = false;
    for (uint32_t i = 0; i < WORLD_NODES; i++) {
        const struct sim_observed *o = &world->now.nodes[i].observed;
        primary = primary || o->acting_primary;
        if (o->status != STATUS_NORMAL ||
            o->view_number != world->now.nodes[0].observed.view_number) {
            return false;
        }
    }
    return primary;
}

static void form(struct world *world)
{
    world->now.left = (struct world_budget){.ticks = UINT32_MAX, .views = 100};
    for (uint32_t i = 0; i < WORLD_NODES; i++) {
        start(world, i, VR_START_INITIAL, NULL);
    }
    for (uint32_t rounds = 0; rounds < 100 && !formed(world); rounds++) {
        for (uint32_t i = 0; i < WORLD_NODES; i++) {
            (void)world_act(world, &(struct world_action){.kind = WORLD_TICK, .node = i});
        }
        deliver_all(world);
    }
    INVARIANT(!world->failed);
    INVARIANT(formed(world));
}

void world_init(struct world *world, const struct world_budget *budget)
{
    memset(world, 0, sizeof *world);
    world->configuration = (struct configuration){
        .cluster_id = 0x5eed,
        .epoch = EPOCH_FIRST,
        .member_count = WORLD_NODES,
        .parameters = cluster_parameters_default(),
    };
    for (uint32_t i = 0; i < WORLD_NODES; i++) {
        struct member *member = &world->configuration.members[i];
        *member = (struct member){
            .replica_id = i + 1, .role = MEMBER_ACTIVE, .port = 7000, .peer_port = 7100};
        (void)snprintf(member->host, sizeof member->host, "10.0.0.%u", i + 1);
        world->replicas[i] = allocate(vr_memory_size());
        world->log_memory[i][0] = allocate(WORLD_LOG_SIZE);
        world->log_memory[i][1] = allocate(WORLD_LOG_SIZE);
        world->now.nodes[i].now_ns = 1000 * MS;
        world->now.nodes[i].disk.view_number = view_make(EPOCH_FIRST, 0);
        world->now.nodes[i].disk.last_normal_view = VIEW_NONE;
        world->now.nodes[i].disk.identities[i] = 1000 + i;
        for (uint64_t life = 0; life < WORLD_LIVES_MAX; life++) {
            world_find_buckets(world, i, life, 7 + i + 100 * life);
        }
    }
    world->arena = allocate(ARENA_SIZE);
    vr_options_default(&world->defaults);
    /* So far apart that one timer can be due without the others being late. */
    world->defaults.heartbeat_ns = 100 * MS;
    world->defaults.resend_ns = 100 * MS;
    world->defaults.view_change_ns = 120 * MS;
    world->defaults.durability = budget->sync ? DURABILITY_SYNC : DURABILITY_ASYNC;
    world->history.checksums = world->now.committed_checksums;
    world->history.views = world->now.committed_views;
    world->history.capacity = WORLD_OPS_MAX + 1;
    sim_history_reset(&world->history, entry_chain_start(world->configuration.cluster_id));
    form(world);

    world->first_view = world->now.nodes[0].observed.view_number;
    world->now.left = *budget;
    world->now.cut = false;
    world->root = world->now;
    for (uint32_t i = 0; i < WORLD_NODES; i++) {
        world_image_save(world, i, &world->root_images[i]);
    }
}

void world_free(struct world *world)
{
    for (uint32_t i = 0; i < WORLD_NODES; i++) {
        free(world->replicas[i]);
        free(world->log_memory[i][0]);
        free(world->log_memory[i][1]);
    }
    free(world->arena);
    sim_views_free(&world->views);
}

/* ---- to and fro ---- */

void world_save(const struct world *world, uint32_t node, struct world_now *now,
                struct world_image *image)
{
    *now = world->now;
    world_image_save(world, node, image);
}

/* What the checkers remember grows along a path only: it goes back by being cut. */
static void put_back(struct world *world, const struct world_now *now)
{
    world->now = *now;
    world->failed = false;
    world->history.committed = now->committed;
    world->history.acknowledged = now->acknowledged;
    while (world->views.count > now->views_count) {
        free(world->views.views[--world->views.count].chain);
    }
    for (uint32_t i = 0; i < WORLD_NODES; i++) {
        world->now.nodes[i].observed.chain = world->now.nodes[i].chain;
    }
}

void world_restore(struct world *world, uint32_t node, const struct world_now *now,
                   const struct world_image *image)
{
    put_back(world, now);
    world_image_restore(world, node, image);
    if (++world->restored % 64 == 0) { /* a part of a core that is not saved would show */
        INVARIANT(world_node_hash(world, node) == world->now.nodes[node].hash);
    }
}

void world_to_root(struct world *world)
{
    put_back(world, &world->root);
    for (uint32_t i = 0; i < WORLD_NODES; i++) {
        world_image_restore(world, i, &world->root_images[i]);
    }
}

/* ---- actions ---- */

static bool allowed(const struct world *world, const struct world_action *action)
{
    const struct world_budget *left = &world->now.left;
    const struct world_node *node = &world->now.nodes[action->node];
    const struct replica *r = world->replicas[action->node];
    switch (action->kind) {
    case WORLD_DELIVER:
        return true;
    case WORLD_REQUEST:
        return left->submissions > 0 && action->request < left->requests && r->acting_primary &&
               (node->submitted & (1u << action->request)) == 0;
    case WORLD_SUSPECT:
        return left->suspicions > 0 && r->timeouts.at_ns[TIMEOUT_SUSPECT] != TIMEOUT_NEVER;
    case WORLD_TICK:
        return left->ticks > 0 && vr_deadline(r) != TIMEOUT_NEVER &&
               (left->ticks > WORLD_LETTERS_MAX ||
                vr_deadline(r) != r->timeouts.at_ns[TIMEOUT_SUSPECT]);
    case WORLD_STATE_DONE:
        return node->state_waits;
    case WORLD_LOG_DONE:
        return node->log_waits;
    case WORLD_CRASH:
        return left->crashes > 0;
    case WORLD_CRASH_WRITTEN:
        return left->crashes > 0 && (node->state_waits || node->log_waits);
    }
    return false;
}

uint32_t world_actions(const struct world *world, struct world_action *actions)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < world->now.letter_count; i++) {
        const struct world_letter *letter = world->now.letters[i];
        bool again = false;
        for (uint32_t k = 0; k < i && !again; k++) {
            again = world->now.letters[k]->hash == letter->hash;
        }
        if (!again) {
            actions[count++] = (struct world_action){
                .kind = WORLD_DELIVER, .node = letter->to, .letter = letter->hash};
        }
    }
    for (uint32_t node = 0; node < WORLD_NODES; node++) {
        for (int kind = WORLD_REQUEST; kind <= WORLD_CRASH_WRITTEN; kind++) {
            const uint32_t variants = kind == WORLD_REQUEST ? world->now.left.requests : 1;
            for (uint32_t k = 0; k < variants; k++) {
                const struct world_action action = {
                    .kind = (enum world_action_kind)kind, .node = node, .request = k};
                if (allowed(world, &action)) {
                    actions[count++] = action;
                }
            }
        }
    }
    return count;
}

static const struct world_letter *letter_with(const struct world *world, uint64_t hash)
{
    for (uint32_t i = 0; i < world->now.letter_count; i++) {
        if (world->now.letters[i]->hash == hash) {
            return world->now.letters[i];
        }
    }
    return NULL;
}

static void take_letter(struct world *world, const struct world_letter *letter)
{
    struct world_now *now = &world->now;
    uint32_t at = 0;
    while (now->letters[at] != letter) {
        at++;
    }
    now->letter_count--;
    memmove(&now->letters[at], &now->letters[at + 1],
            (now->letter_count - at) * sizeof now->letters[0]);
    now->letters_hash -= share_of(letter);
}

static void step_message(struct world *world, uint32_t node, const struct message *message)
{
    INVARIANT(message_validate(message));
    uint64_t *heard = &world->now.nodes[node].vote_heard;
    if (message->type == MESSAGE_START_VIEW_CHANGE &&
        message->start_view_change.view_number > *heard) {
        *heard = message->start_view_change.view_number;
    }
    struct vr_event event = {
        .kind = VR_EVENT_MESSAGE,
        .message = {.message = message, .received_ns = world->now.nodes[node].now_ns},
    };
    step(world, node, &event);
}

static void request(struct world *world, uint32_t node, uint32_t k)
{
    static const char *const bodies[WORLD_REQUESTS_MAX] = {"a", "b", "c", "d"};
    const struct message message = {
        .type = MESSAGE_REQUEST,
        .from = REPLICA_NONE,
        .address = {.port = (uint16_t)(1 + k)},
        .request = {.client_id = world_client(k),
                    .session = 1,
                    .request_number = 1,
                    .kind = ENTRY_OPERATION,
                    .operation_size = 1,
                    .operation = (const uint8_t *)bodies[k]},
    };
    world->now.nodes[node].submitted |= 1u << k;
    world->now.left.submissions--;
    step_message(world, node, &message);
}

/* Nothing is late, so no stall is forgiven (V1): what is due before is done before. */
static void give_up_primary(struct world *world, uint32_t node)
{
    const struct replica *r = world->replicas[node];
    const uint64_t *suspect_ns = &r->timeouts.at_ns[TIMEOUT_SUSPECT];
    for (uint32_t i = 0; i < TICKS_BEFORE && !world->failed && vr_deadline(r) < *suspect_ns; i++) {
        tick(world, node, vr_deadline(r));
        settle(world, node);
    }
    if (*suspect_ns != TIMEOUT_NEVER && !world->failed) { /* else a tick made it think better */
        tick(world, node, *suspect_ns);
    }
}

static void perform(struct world *world, const struct world_action *action,
                    const struct world_letter *letter)
{
    struct world_now *now = &world->now;
    const uint32_t node = action->node;
    switch (action->kind) {
    case WORLD_DELIVER:
        take_letter(world, letter);
        step_message(world, node, &letter->message);
        break;
    case WORLD_REQUEST:
        request(world, node, action->request);
        break;
    case WORLD_SUSPECT:
        now->left.suspicions--;
        give_up_primary(world, node);
        break;
    case WORLD_TICK:
        now->left.ticks--;
        tick(world, node, vr_deadline(world->replicas[node]));
        break;
    case WORLD_STATE_DONE:
        state_done(world, node);
        break;
    case WORLD_LOG_DONE:
        log_done(world, node);
        break;
    case WORLD_CRASH:
    case WORLD_CRASH_WRITTEN:
        now->left.crashes--;
        crash(world, node, action->kind == WORLD_CRASH_WRITTEN);
        return; /* it has settled */
    }
    settle(world, node);
}

bool world_act(struct world *world, const struct world_action *action)
{
    const struct world_letter *letter = letter_with(world, action->letter);
    if ((action->kind == WORLD_DELIVER && letter == NULL) || !allowed(world, action)) {
        return false;
    }
    perform(world, action, letter);
    struct world_node *node = &world->now.nodes[action->node];
    if (node->observed.view_number > world->first_view + world->now.left.views) {
        world->now.cut = true;
    }
    node->hash = world_node_hash(world, action->node);
    return true;
}

void world_action_text(const struct world *world, const struct world_action *action, char *text,
                       size_t size)
{
    static const char *const names[] = {
        [WORLD_REQUEST] = "takes request",
        [WORLD_SUSPECT] = "suspects its primary",
        [WORLD_TICK] = "ticks",
        [WORLD_STATE_DONE] = "has its state file durable",
        [WORLD_LOG_DONE] = "has its log durable",
        [WORLD_CRASH] = "crashes, starts again",
        [WORLD_CRASH_WRITTEN] = "crashes with its writes done, starts again",
    };
    if (action->kind == WORLD_DELIVER) {
        char message[MESSAGE_TEXT_MAX] = "?";
        const struct world_letter *letter = letter_with(world, action->letter);
        if (letter != NULL) {
            (void)message_text(&letter->message, message, sizeof message);
        }
        (void)snprintf(text, size, "%u -> %u   %s", letter == NULL ? 9 : letter->from, action->node,
                       message);
    } else if (action->kind == WORLD_REQUEST) {
        (void)snprintf(text, size, "     %u   %s %u", action->node, names[action->kind],
                       action->request);
    } else {
        (void)snprintf(text, size, "     %u   %s", action->node, names[action->kind]);
    }
}
