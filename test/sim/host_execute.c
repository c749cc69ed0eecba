/* SPDX-License-Identifier: Apache-2.0 */
/* A replica's executor and application, some way behind its core (N9). */
#include <inttypes.h>
#include <string.h>

#include "common/base/invariant.h"
#include "test/sim/applications.h"
#include "test/sim/host_parts.h"
#include "test/sim/sim.h"

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
    const bool wrong = host->differ_armed && host->executing.session != 0 && !is_read;
    const bool before = wrong && prng_chance(&sim->nemesis.disk_prng, 1, 2);
    if (before) {
        host_differ(host, context);
    }
    const size_t size = inner->execute(inner->state, context, operation, operation_size, result);
    if (wrong && !before) {
        host_differ(host, context);
    }
    return size;
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

static uint64_t tap_state_size(void *state)
{
    const struct sim_host *host = state;
    return host->application.inner.state_size(host->application.inner.state);
}

static void tap_cut_begin(void *state)
{
    const struct sim_host *host = state;
    host->application.inner.cut_begin(host->application.inner.state);
}

static bool tap_cut(void *state, uint8_t *out, size_t capacity, size_t *size)
{
    const struct sim_host *host = state;
    return host->application.inner.cut(host->application.inner.state, out, capacity, size);
}

static void tap_cut_abandon(void *state)
{
    const struct sim_host *host = state;
    host->application.inner.cut_abandon(host->application.inner.state);
}

static void tap_load_begin(void *state)
{
    const struct sim_host *host = state;
    host->application.inner.load_begin(host->application.inner.state);
}

static bool tap_load(void *state, const uint8_t *bytes, size_t size)
{
    const struct sim_host *host = state;
    return host->application.inner.load(host->application.inner.state, bytes, size);
}

static bool tap_load_end(void *state)
{
    const struct sim_host *host = state;
    return host->application.inner.load_end(host->application.inner.state);
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
    } else if (!host->differs &&
               outcome->result_hash != sim_result_hash(reply->result, reply->result_size)) {
        sim_fail(sim, "I4: replica %u answers op %" PRIu64 " with another result than the model",
                 host->index, op_number);
    }
}

static void run_entry(struct sim_host *host, const struct entry *entry, const uint8_t *bytes,
                      size_t size, struct reply *reply)
{
    host->executing = (struct sim_request_key){
        .client_id = entry->client_id,
        .session = entry->session,
        .request_number = entry->request_number,
    };
    executor_execute(host->executor, bytes, size, reply);
    host->executing.session = 0;
    check_reply(host, entry->op_number, reply);
    host_check_digest(host, entry->op_number);
}

/* K4: what it answers while its state differs may be wrong. */
static void note_answer(struct sim_host *host, uint64_t op_number)
{
    if (host->suspect) {
        sim_differences_answer(&host->sim->differences, op_number);
    }
}

static void execute_one(struct sim_host *host, uint64_t op_number)
{
    struct sim *sim = host->sim;
    const struct vr_execution execution = host->executions[op_number % EXECUTE_LAG_MAX];
    struct entry entry;
    INVARIANT(execution.op_number == op_number);
    INVARIANT(entry_decode(execution.bytes, execution.size, &entry) == execution.size);
    struct message message = {.type = MESSAGE_REPLY};
    run_entry(host, &entry, execution.bytes, execution.size, &message.reply);
    message.reply.view_number = execution.view_number;
    host_note_executed(host, &entry);
    if (execution.reply && !sim->failed) {
        note_answer(host, message.reply.op_number); /* a repeated request's is an earlier one */
        host_send_client(host, &message, &execution.address);
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
        note_answer(host, message.reply.op_number);
        host_send_client(host, &message, &output->lookup.address);
    }
}

/* What is read from the state behind an op is what the model had then. */
static void check_read(struct sim_host *host, const struct sim_read *read,
                       const struct reply *reply)
{
    struct sim *sim = host->sim;
    const struct sim_asked asked = {read->operation, read->output.read.operation_size};
    uint64_t expected;
    if (reply->op_number < read->output.read.op_number) {
        sim_fail(sim, "R2: replica %u reads behind op %" PRIu64 ", settled was op %" PRIu64,
                 host->index, reply->op_number, read->output.read.op_number);
    } else if (sim_model_read(&sim->model, reply->op_number, &asked, &expected) &&
               sim_result_hash(reply->result, reply->result_size) != expected) {
        sim_fail(sim, "I4: replica %u reads something else behind op %" PRIu64 " than the model",
                 host->index, reply->op_number);
    }
}

static void read_state(struct sim_host *host, const struct sim_read *read)
{
    struct message message = {.type = MESSAGE_REPLY};
    executor_read(host->executor, read->operation, read->output.read.operation_size,
                  &message.reply);
    check_read(host, read, &message.reply);
    message.reply.client_id = read->output.read.client_id;
    message.reply.request_number = read->output.read.nonce;
    message.reply.view_number = read->output.read.view_number;
    message.reply.commit_number = read->output.read.commit_number;
    host->sim->counts.reads++;
    if (!host->sim->failed) {
        host_send_client(host, &message, &read->output.read.address);
    }
}

static void read_what_may_be(struct sim_host *host)
{
    uint32_t done = 0;
    while (done < host->read_count && !host->sim->failed &&
           host->reads[done].after_op <= executor_executed_op(host->executor)) {
        read_state(host, &host->reads[done++]);
    }
    host->read_count -= done;
    memmove(&host->reads[0], &host->reads[done], host->read_count * sizeof host->reads[0]);
}

void host_let_read(struct sim_host *host, const struct vr_output *output)
{
    if (host->read_count == SIM_READS_MAX) {
        return;
    }
    struct sim_read *read = &host->reads[host->read_count++];
    read->output = *output;
    read->after_op = host->execute_to;
    INVARIANT(output->read.op_number <= host->execute_to);
    memcpy(read->operation, output->read.operation, output->read.operation_size);
    host_arm_execution(host);
}

/* One turn of the executor: some entries, and whatever look-ups and reads wait. */
void host_execute(struct sim_host *host)
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
    read_what_may_be(host);
    wire_flush(host->senders[SIM_LANE_CLIENTS]);
    if (op_number < host->execute_to) {
        host_arm_execution(host);
    }
    struct vr_event event = {.kind = VR_EVENT_EXECUTED, .executed = {.op_number = op_number}};
    if (!sim->failed && host_step(host, &event)) {
        host_end_drain(host);
    }
}

void host_arm_execution(struct sim_host *host)
{
    struct sim *sim = host->sim;
    if (!host->execute_scheduled) {
        host->execute_scheduled = true;
        host_schedule(host, SIM_EVENT_EXECUTE,
                      host_now_ns(host) +
                          sim_exponential(&sim->machine_prng, sim->options.execute_delay_ns),
                      0);
    }
}

void host_hand_over(struct sim_host *host, const struct vr_output *output)
{
    INVARIANT(output->execute.first_op == host->execute_to + 1);
    while (host->execute_to < output->execute.last_op) {
        host->execute_to++;
        vr_execution(host->replica, host->execute_to,
                     &host->executions[host->execute_to % EXECUTE_LAG_MAX]);
    }
    host_arm_execution(host);
}

void host_start_executor(struct sim_host *host)
{
    const struct sim *sim = host->sim;
    struct sim_application_tap *tap = &host->application;
    sim_application_stop(tap);
    sim_application_start(tap, &sim->options);
    tap->app = (struct app){
        .state = host,
        .execute = tap_execute,
        .is_read = tap_is_read,
        .digest = tap_digest,
        .state_size = tap_state_size,
        .cut_begin = tap_cut_begin,
        .cut = tap_cut,
        .cut_abandon = tap_cut_abandon,
        .load_begin = tap_load_begin,
        .load = tap_load,
        .load_end = tap_load_end,
    };
    const struct executor_options options = {
        .parameters = sim->configuration.parameters,
        .app = &tap->app,
        .hash_seed = prng_next(&host->sim->machine_prng),
        .configuration = &sim->configuration,
    };
    const size_t size = executor_memory_size(&options.parameters);
    void *memory = sim_memory_room(&host->executor_memory, size);
    memset(memory, 0, size);
    host->executor = executor_init(memory, &options);
    host->execute_to = 0;
    host->differs = false;
    host->execute_scheduled = false;
    host->lookup_count = 0;
    host->read_count = 0;
    host->executing.session = 0;
}
