/* SPDX-License-Identifier: Apache-2.0 */
#include "test/sim/client.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/invariant.h"
#include "test/sim/applications.h"
#include "test/sim/sim.h"
#include "test/sim/trace.h"

static uint64_t now_ns(const struct sim_client *client)
{
    return client->sim->schedule.now_ns;
}

static void schedule(struct sim_client *client, enum sim_event_kind kind, uint64_t at_ns,
                     uint64_t argument)
{
    sim_schedule_add(&client->sim->schedule, (struct sim_event){.at_ns = at_ns,
                                                                .kind = kind,
                                                                .node = client->node,
                                                                .argument = argument,
                                                                .life = client->life});
}

static void think(struct sim_client *client, uint32_t session)
{
    struct sim *sim = client->sim;
    uint64_t delay = sim_exponential(&sim->workload_prng, sim->options.think_mean_ns);
    if (sim->healing && delay > 100 * SIM_MS) {
        delay = 100 * SIM_MS;
    }
    schedule(client, SIM_EVENT_CLIENT_SUBMIT, now_ns(client) + delay, session);
}

/* ---- outputs of the proxy ---- */

/* Notes under which name (session, request number) an operation leaves: what becomes of it is
 * judged by that (C5). */
static void note_name(struct sim_client *client, const struct request *request)
{
    for (uint32_t i = 0; i < client->sim->options.session_count; i++) {
        struct sim_session *session = &client->sessions[i];
        if (!client_id_equal(session->client_id, request->client_id)) {
            continue;
        }
        for (uint32_t n = 0; n < session->name_count; n++) {
            if (session->names[n].session == request->session &&
                session->names[n].request_number == request->request_number) {
                return;
            }
        }
        if (session->name_count < SIM_NAMES_MAX) {
            session->names[session->name_count++] = (struct sim_request_key){
                request->client_id, request->session, request->request_number};
        }
    }
}

static void send(struct sim_client *client, const struct proxy_output *output)
{
    const struct wire_destination destination = {
        .address = output->send.address,
        .token = output->send.token,
        .padded_size = output->send.token == 0 ? DATAGRAM_SIZE_MIN : 0,
    };
    if (output->send.message.type == MESSAGE_REQUEST &&
        output->send.message.request.kind == ENTRY_OPERATION) {
        note_name(client, &output->send.message.request);
    }
    const uint32_t node = sim_node_at(client->sim, &output->send.address);
    if (node >= client->sim->options.replica_count) {
        sim_fail(client->sim, "client %u sends to nobody", client->index);
        return;
    }
    client->tokens[node] = output->send.token;
    trace_send(client->sim, client->node, node, &output->send.message);
    wire_send(client->sender, &destination, &output->send.message, now_ns(client));
}

/* C4, C5: under none of these names was it executed, nor ever will be. */
static void check_never_executed(struct sim_client *client, const struct sim_session *session,
                                 uint32_t count)
{
    struct sim *sim = client->sim;
    for (uint32_t i = 0; i < count && !session->is_read; i++) {
        sim_expect(sim,
                   sim_check_never_executed(&sim->executions, &session->names[i], &sim->report));
    }
}

/* K4: a replica whose state differed has answered this, and not as the others would have. */
static bool may_be_wrong(const struct sim_client *client, const struct proxy_output *output)
{
    const struct sim *sim = client->sim;
    const struct sim_outcome *outcome = sim_model_outcome(&sim->model, output->done.op_number);
    return sim_differences_answered(&sim->differences, output->done.op_number) &&
           (outcome == NULL || outcome->executed_anew ||
            outcome->result_hash != sim_result_hash(output->done.result, output->done.result_size));
}

/* Notes what the client saw of its operation; output NULL: nothing, for it ended before. */
static void note_seen(struct sim_client *client, const struct sim_session *session,
                      const struct proxy_output *output)
{
    struct sim *sim = client->sim;
    const uint32_t index = (uint32_t)(session - client->sessions);
    const bool answered =
        output != NULL && output->done.outcome == PROXY_OK && !may_be_wrong(client, output);
    if (sim->options.application != SIM_APPLICATION_KV) {
        return; /* its operations span accounts; the order of the log is what judges them */
    }
    struct sim_seen seen = {
        .client = client->index * SIM_SESSIONS_MAX + index,
        .invoked_ns = session->submitted_ns,
        .returned_ns = answered ? now_ns(client) : LINEAR_UNKNOWN,
        .operation = session->operation,
        .operation_size = session->operation_size,
    };
    if (answered) {
        seen.op_number = output->done.op_number;
        seen.result = output->done.result;
        seen.result_size = output->done.result_size;
    }
    if (!sim_client_history_add(&sim->client_history, &seen)) {
        sim_fail(sim, "I4: the answer at op %" PRIu64 " is no result", seen.op_number);
    }
}

/* R2 to R4. A read that its primary sent through the log stands there at an op of its own. */
static void check_read(struct sim_client *client, struct sim_session *session,
                       const struct proxy_output *output)
{
    struct sim *sim = client->sim;
    const bool stale = session->read_mode == READ_STALE;
    const uint64_t op = output->done.op_number;
    const uint64_t least = stale ? session->min_op : session->acknowledged_before;
    sim_expect(sim, sim_check_read(&sim->history, op, least, &sim->report));
    sim->counts.reads_told++;
    sim->counts.reads_stale += stale ? 1 : 0;
    session->done++;
    if (!stale && !sim->failed) {
        sim_expect(sim, sim_check_acknowledged(&sim->history, op, &sim->report));
        note_seen(client, session, output);
    }
}

/* I4, and C5's promise of "surely not executed". */
static void check_outcome(struct sim_client *client, struct sim_session *session,
                          const struct proxy_output *output)
{
    struct sim *sim = client->sim;
    if (output->done.outcome == PROXY_OK && session->read_mode != 0) {
        check_read(client, session, output);
        return;
    }
    switch (output->done.outcome) {
    case PROXY_OK: {
        const struct sim_answer answer = {
            .op_number = output->done.op_number,
            .acknowledged_before = session->acknowledged_before,
            .result_hash = sim_result_hash(output->done.result, output->done.result_size),
        };
        const struct sim_outcome *outcome = sim_model_outcome(&sim->model, answer.op_number);
        sim_expect(sim, sim_check_acknowledged(&sim->history, answer.op_number, &sim->report));
        if (outcome != NULL && may_be_wrong(client, output)) {
            sim->counts.wrong_answers++;
        } else if (outcome != NULL) {
            /* A read that is executed again for a repeated request may answer from a later op. */
            const uint64_t expected =
                outcome->executed_anew ? answer.result_hash : outcome->result_hash;
            sim_expect(sim, sim_check_answer(&answer, expected, &sim->report));
        }
        /* What was answered went by the last name; by another it would have happened twice. */
        if (session->name_count > 0 && session->name_count < SIM_NAMES_MAX) {
            check_never_executed(client, session, session->name_count - 1);
        }
        sim->counts.operations++;
        session->done++;
        note_seen(client, session, output);
        break;
    }
    case PROXY_FAILED:
        sim->counts.failed++;
        check_never_executed(client, session, session->name_count);
        break;
    case PROXY_UNKNOWN:
        sim->counts.unknown++;
        note_seen(client, session, output);
        break;
    }
}

static void complete(struct sim_client *client, const struct proxy_output *output)
{
    for (uint32_t i = 0; i < client->sim->options.session_count; i++) {
        struct sim_session *session = &client->sessions[i];
        if (session->busy && session->index == output->done.session) {
            trace_node(client->sim, client->node, "session %u: outcome %d error %d op %" PRIu64, i,
                       (int)output->done.outcome, (int)output->done.error, output->done.op_number);
            session->busy = false;
            check_outcome(client, session, output);
            think(client, i);
            return;
        }
    }
    sim_fail(client->sim, "client %u completes a request that nobody waits for", client->index);
}

static void arm_timer(struct sim_client *client)
{
    uint64_t at_ns = proxy_deadline(client->proxy);
    const uint64_t sender = wire_sender_deadline(client->sender);
    const uint64_t parts = wire_reassembler_deadline(client->reassembler);
    at_ns = sender < at_ns ? sender : at_ns;
    at_ns = parts < at_ns ? parts : at_ns;
    if (at_ns < client->timer_at_ns) {
        client->timer_at_ns = at_ns;
        schedule(client, SIM_EVENT_CLIENT_TIMER, at_ns, 0);
    }
}

static void carry_out(struct sim_client *client)
{
    struct sim *sim = client->sim;
    struct proxy_output output;
    for (uint32_t i = 0; proxy_next_output(client->proxy, &output) && !sim->failed; i++) {
        if (i == 10000) {
            sim_fail(sim, "I10: client %u never ends its outputs", client->index);
        } else if (output.kind == PROXY_OUT_SEND) {
            send(client, &output);
        } else {
            complete(client, &output);
        }
    }
    const uint64_t cluster_id = proxy_view(client->proxy)->cluster_id;
    if (!client->cluster_known && cluster_id != 0) {
        client->cluster_known = true;
        wire_sender_set_cluster(client->sender, cluster_id);
    }
    wire_flush(client->sender);
    arm_timer(client);
}

/* ---- events ---- */

/* Through the log or beside it; healing asks for nothing that a lonely replica could answer. */
static void draw_read(struct sim_client *client, struct sim_session *session)
{
    struct sim *sim = client->sim;
    const struct sim_options *o = &sim->options;
    session->read_mode = (enum read_mode)0;
    session->min_op = 0;
    if (!session->is_read || o->reads_percent == 0 || session->operation_size > READ_SIZE_MAX ||
        !prng_chance(&sim->workload_prng, o->reads_percent, 100)) {
        return;
    }
    session->read_mode = READ_LINEARIZABLE;
    if (!sim->healing && prng_chance(&sim->workload_prng, o->stale_percent, 100)) {
        session->read_mode = READ_STALE;
        if (prng_chance(&sim->workload_prng, 1, 2)) {
            session->min_op = sim->history.acknowledged;
        }
    }
}

static void submit(struct sim_client *client, uint32_t index)
{
    struct sim *sim = client->sim;
    struct sim_session *session = &client->sessions[index];
    if (session->busy || (sim->healing && session->done > 0)) {
        return;
    }
    session->operation_size =
        sim_make_operation(&sim->options, &sim->workload_prng, sim->next_unique++,
                           session->operation, &session->is_read);
    draw_read(client, session);
    const uint64_t timeout = sim->healing ? sim->options.heal_ns : sim->options.request_timeout_ns;
    session->busy = true;
    session->name_count = 0;
    session->acknowledged_before = sim->history.acknowledged;
    session->submitted_ns = now_ns(client);
    if (session->read_mode != 0) {
        const struct proxy_read read = {session->read_mode, session->min_op};
        proxy_submit_read(client->proxy, session->index, session->operation,
                          session->operation_size, &read, now_ns(client) + timeout, now_ns(client));
    } else {
        proxy_submit(client->proxy, session->index, session->operation, session->operation_size,
                     session->is_read, now_ns(client) + timeout, now_ns(client));
    }
    carry_out(client);
}

static void ask_parts(void *context, const struct net_address *address,
                      const struct message *message)
{
    struct sim_client *client = context;
    const uint32_t node = sim_node_at(client->sim, address);
    const struct wire_destination destination = {
        .address = *address,
        .token = node < SIM_REPLICAS_MAX ? client->tokens[node] : 0,
    };
    wire_send(client->sender, &destination, message, now_ns(client));
}

static void on_timer(struct sim_client *client)
{
    client->timer_at_ns = UINT64_MAX;
    wire_sender_tick(client->sender, now_ns(client));
    wire_reassembler_tick(client->reassembler, now_ns(client), ask_parts, client);
    if (proxy_deadline(client->proxy) <= now_ns(client)) {
        proxy_tick(client->proxy, now_ns(client));
    }
    carry_out(client);
}

void sim_client_event(struct sim_client *client, const struct sim_event *event)
{
    if (event->life != client->life) {
        return;
    }
    switch (event->kind) {
    case SIM_EVENT_CLIENT_SUBMIT:
        submit(client, (uint32_t)event->argument);
        break;
    case SIM_EVENT_CLIENT_TIMER:
        if (client->timer_at_ns <= now_ns(client)) {
            on_timer(client);
        }
        break;
    default:
        sim_fail(client->sim, "event %d is not for a client", (int)event->kind);
    }
}

/* ---- datagrams in ---- */

static void receive_message(struct sim_client *client, const struct message *message)
{
    struct sim *sim = client->sim;
    trace_receive(sim, client->node, sim_node_at(sim, &message->address), message);
    if (message->type == MESSAGE_PARTS_MISSING) {
        wire_sender_parts_missing(client->sender, message, now_ns(client));
        return;
    }
    sim->counts.messages++;
    proxy_receive(client->proxy, message, now_ns(client));
}

static void receive_frames(struct sim_client *client, struct wire_cursor *cursor)
{
    struct sim *sim = client->sim;
    while (!sim->failed) {
        struct message message;
        arena_reset(&sim->arena);
        enum wire_drop drop = wire_next(cursor, &sim->arena, &message);
        if (drop == WIRE_END) {
            return;
        }
        if (drop == WIRE_OK && message.type == MESSAGE_PART) {
            struct message whole;
            arena_reset(&sim->whole);
            drop =
                wire_reassemble(client->reassembler, &message, now_ns(client), &sim->whole, &whole);
            if (drop == WIRE_OK && whole.type == MESSAGE_NONE) {
                continue;
            }
            message = whole;
        }
        if (drop == WIRE_OK) {
            receive_message(client, &message);
        } else {
            sim->counts.wire_dropped[drop]++;
        }
        /* Results are borrowed until the next call: outputs are taken message by message. */
        carry_out(client);
    }
}

void sim_client_deliver(struct sim_client *client, uint64_t index)
{
    struct sim *sim = client->sim;
    const struct sim_datagram *datagram = sim_network_datagram(&sim->network, index);
    const struct net_address address = sim_address(sim, datagram->from, SIM_LANE_CLIENTS);
    struct wire_header header;
    struct wire_cursor cursor;
    const enum wire_drop drop =
        wire_open(datagram->bytes, datagram->size, &address, &header, &cursor);
    if (drop != WIRE_OK) {
        sim->counts.wire_dropped[drop]++;
    } else if (datagram->flipped) {
        sim_fail(sim, "UDP-8: a damaged datagram from node %u was taken", datagram->from);
    } else if (proxy_heard_cluster(client->proxy, &address, header.cluster_id)) {
        receive_frames(client, &cursor);
    } else {
        sim_fail(sim, "client %u hears of two clusters", client->index);
    }
    sim_network_release(&sim->network, index);
    arm_timer(client);
}

/* ---- life ---- */

static void emit(void *context, const struct wire_datagram *datagrams, size_t count)
{
    const struct sim_client *client = context;
    sim_emit(client->sim, client->node, SIM_LANE_CLIENTS, datagrams, count);
}

static void open_socket(struct sim_client *client)
{
    const struct sim *sim = client->sim;
    struct wire_reassembler_options parts;
    struct wire_sender_options out;
    wire_reassembler_options_default(&parts);
    wire_sender_options_default(&out);
    out.cluster_id = client->cluster_known ? sim->configuration.cluster_id : 0;
    out.sender = REPLICA_NONE;
    out.incarnation = client->incarnation;
    out.datagram_size = sim->options.datagram_size;
    out.datagram_size_max = sim->options.datagram_size;
    out.emit = emit;
    out.emit_context = client;
    client->sender = wire_sender_init(
        sim_memory_room(&client->sender_memory, wire_sender_memory_size(&out)), &out);
    client->reassembler = wire_reassembler_init(
        sim_memory_room(&client->reassembler_memory, wire_reassembler_memory_size(&parts)), &parts);
}

static void open_proxy(struct sim_client *client)
{
    struct sim *sim = client->sim;
    struct proxy_options options;
    proxy_options_default(&options);
    options.cluster_id = client->cluster_known ? sim->configuration.cluster_id : 0;
    options.seed_count = sim->options.replica_count;
    for (uint32_t i = 0; i < options.seed_count; i++) {
        options.seeds[i] = sim_address(sim, i, SIM_LANE_CLIENTS);
    }
    options.sessions_max = sim->options.session_count;
    options.random_seed = prng_next(&sim->workload_prng);
    client->proxy =
        proxy_init(sim_memory_room(&client->memory, proxy_memory_size(&options)), &options);
}

void sim_client_end(struct sim_client *client)
{
    for (uint32_t i = 0; i < client->sim->options.session_count; i++) {
        if (client->sessions[i].busy) {
            note_seen(client, &client->sessions[i], NULL);
            client->sessions[i].busy = false;
        }
    }
}

void sim_client_start(struct sim_client *client)
{
    struct sim *sim = client->sim;
    sim_client_end(client);
    client->life++;
    client->incarnation++;
    client->cluster_known = !sim->options.clients_ask_cluster;
    client->timer_at_ns = UINT64_MAX;
    memset(client->tokens, 0, sizeof client->tokens);
    open_socket(client);
    open_proxy(client);
    for (uint32_t i = 0; i < sim->options.session_count; i++) {
        struct sim_session *session = &client->sessions[i];
        if (session->operation == NULL) {
            session->operation = sim_allocate(SIM_OPERATION_MAX);
        }
        session->client_id = (struct client_id){
            .low = prng_next(&sim->workload_prng),
            .high = sim->next_unique++,
        };
        session->busy = false;
        session->done = 0;
        session->index = proxy_open(client->proxy, session->client_id);
        INVARIANT(session->index != UINT32_MAX);
        think(client, i);
    }
    carry_out(client);
}

void sim_client_heal(struct sim_client *client)
{
    for (uint32_t i = 0; i < client->sim->options.session_count; i++) {
        client->sessions[i].done = 0;
        if (!client->sessions[i].busy) {
            schedule(client, SIM_EVENT_CLIENT_SUBMIT, now_ns(client), i);
        }
    }
}

bool sim_client_is_served(const struct sim_client *client)
{
    for (uint32_t i = 0; i < client->sim->options.session_count; i++) {
        if (client->sessions[i].busy || client->sessions[i].done == 0) {
            return false;
        }
    }
    return true;
}

void sim_client_count(struct sim_client *client)
{
    struct wire_sender_counters sent;
    wire_sender_counters(client->sender, &sent);
    client->sim->counts.split_messages += sent.split;
    client->sim->counts.parts_asked += sent.parts_asked;
}

void sim_client_reset(struct sim_client *client, struct sim *sim, uint32_t index)
{
    client->sim = sim;
    client->index = index;
    client->node = sim_client_node(sim, index);
    client->life = 0;
    client->incarnation = 0;
    for (uint32_t i = 0; i < SIM_SESSIONS_MAX; i++) {
        client->sessions[i].busy = false;
    }
}

void sim_client_free(struct sim_client *client)
{
    sim_memory_free(&client->memory);
    sim_memory_free(&client->sender_memory);
    sim_memory_free(&client->reassembler_memory);
    for (uint32_t i = 0; i < SIM_SESSIONS_MAX; i++) {
        free(client->sessions[i].operation);
    }
    *client = (struct sim_client){0};
}
