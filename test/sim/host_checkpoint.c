/* SPDX-License-Identifier: Apache-2.0 */
/* A replica's checkpoints: taken behind the executor, kept, served, received and installed, as
 * server/runtime and server/storage do it. The content is the entries up to the op one behind the
 * other: as canonical as the log is, and loaded by executing them anew. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/invariant.h"
#include "test/sim/applications.h"
#include "test/sim/host_parts.h"
#include "test/sim/sim.h"
#include "test/sim/trace.h"

enum { CHUNK_CHECKSUM = sizeof(struct checksum) };

static struct checksum checksum_of(const void *bytes, size_t size)
{
    static const struct checksum none;
    return entry_checksum(1, none, bytes, size);
}

/* ---- what a checkpoint is ---- */

static uint64_t list_size(const struct checkpoint_id *id)
{
    return checkpoint_chunk_count(id->size) * CHUNK_CHECKSUM;
}

static struct checksum root_of(const struct checkpoint_id *id, const uint8_t *list)
{
    const uint64_t numbers[] = {id->op_number, id->view_number, id->log.low,     id->log.high,
                                id->size,      id->digest.low,  id->digest.high, 0};
    return entry_checksum(2, checksum_of(numbers, sizeof numbers), list, list_size(id));
}

static void drop_content(struct sim_checkpoint *checkpoint)
{
    free(checkpoint->bytes);
    free(checkpoint->list);
    memset(checkpoint, 0, sizeof *checkpoint);
}

static void make_list(struct sim_checkpoint *checkpoint)
{
    checkpoint->list = sim_allocate(list_size(&checkpoint->id));
    for (uint64_t i = 0; i < checkpoint_chunk_count(checkpoint->id.size); i++) {
        const struct checksum checksum = checksum_of(checkpoint->bytes + i * CHECKPOINT_CHUNK_SIZE,
                                                     checkpoint_chunk_size(checkpoint->id.size, i));
        memcpy(checkpoint->list + i * CHUNK_CHECKSUM, &checksum, sizeof checksum);
    }
}

static struct sim_checkpoint *checkpoint_with(struct sim_host *host, struct checksum root)
{
    for (uint32_t i = 0; i < host->checkpoint_count; i++) {
        if (checksum_equal(host->checkpoints[i].id.root, root)) {
            return &host->checkpoints[i];
        }
    }
    return NULL;
}

/* ---- taking (K1) ---- */

static void prefix_add(struct sim_host *host, const uint8_t *bytes, size_t size)
{
    if (host->prefix_size + size > host->prefix_capacity) {
        host->prefix_capacity = 2 * (host->prefix_size + size) + 4096;
        host->prefix = realloc(host->prefix, host->prefix_capacity);
        INVARIANT(host->prefix != NULL);
    }
    memcpy(host->prefix + host->prefix_size, bytes, size);
    host->prefix_size += size;
}

/* K1: the same op gives the same bytes everywhere. */
static void check_root(struct sim *sim, const struct sim_host *host, const struct checkpoint_id *id)
{
    const uint64_t at = id->op_number / sim->options.checkpoint_interval;
    struct checksum *root = &sim->checkpoint_roots[at % SIM_ROOTS_MAX];
    static const struct checksum none;
    if (at < SIM_ROOTS_MAX && checksum_equal(*root, none)) {
        *root = id->root;
    } else if (at < SIM_ROOTS_MAX && !checksum_equal(*root, id->root)) {
        sim_fail(sim, "K1: the checkpoint of replica %u at op %" PRIu64 " has other bytes",
                 host->index, id->op_number);
    }
}

static void take(struct sim_host *host, const struct entry *entry)
{
    struct sim *sim = host->sim;
    struct sim_checkpoint *taking = &host->taking;
    drop_content(taking);
    taking->id = (struct checkpoint_id){
        .op_number = entry->op_number,
        .view_number = entry->view_number,
        .log = vr_log_checksum_at(host->replica, entry->op_number),
        .digest = executor_digest(host->executor),
        .size = host->prefix_size,
    };
    taking->timestamp = entry->timestamp;
    taking->bytes = sim_allocate(host->prefix_size);
    memcpy(taking->bytes, host->prefix, host->prefix_size);
    make_list(taking);
    taking->id.root = root_of(&taking->id, taking->list);
    check_root(sim, host, &taking->id);
    const uint64_t latency =
        sim_exponential(&sim->machine_prng, sim->options.checkpoint_latency_ns);
    host_schedule(host, SIM_EVENT_CHECKPOINT, host_now_ns(host) + latency, 0);
}

void host_note_executed(struct sim_host *host, const struct entry *entry, const uint8_t *bytes,
                        size_t size)
{
    const uint32_t interval = host->sim->options.checkpoint_interval;
    if (interval == 0) {
        return;
    }
    prefix_add(host, bytes, size);
    if (entry->op_number % interval == 0 && host->taking.bytes == NULL && !host->installing) {
        take(host, entry);
    }
}

static void keep(struct sim_host *host, struct sim_checkpoint *checkpoint)
{
    INVARIANT(host->checkpoint_count < SIM_CHECKPOINTS_MAX);
    memmove(&host->checkpoints[1], &host->checkpoints[0],
            host->checkpoint_count * sizeof host->checkpoints[0]);
    host->checkpoints[0] = *checkpoint;
    host->checkpoint_count++;
    memset(checkpoint, 0, sizeof *checkpoint);
}

void host_on_checkpoint(struct sim_host *host)
{
    struct sim *sim = host->sim;
    if (host->taking.bytes == NULL) {
        return; /* the state that it was taken of is gone: a checkpoint was installed */
    }
    struct vr_event event = {.kind = VR_EVENT_CHECKPOINT, .checkpoint = host->taking.id};
    if (event.checkpoint.op_number > executor_executed_op(host->executor)) {
        sim_fail(sim, "K1: replica %u has a checkpoint of what it did not execute", host->index);
        return;
    }
    keep(host, &host->taking);
    sim->counts.checkpoints++;
    if (host_step(host, &event)) {
        host_end_drain(host);
    }
}

static bool is_pulled(const struct vr_output *output, uint64_t op_number)
{
    for (uint32_t i = 0; i < output->drop_log.pulled_count; i++) {
        if (output->drop_log.pulled[i] == op_number) {
            return true;
        }
    }
    return false;
}

void host_drop_log(struct sim_host *host, const struct vr_output *output)
{
    struct sim *sim = host->sim;
    /* K1: what is dropped lies before a checkpoint that is kept. */
    if (host->checkpoint_count == 0 ||
        host->checkpoints[0].id.op_number < output->drop_log.through_op) {
        sim_fail(sim, "K1: replica %u drops its log up to op %" PRIu64 " with no checkpoint of it",
                 host->index, output->drop_log.through_op);
        return;
    }
    uint32_t kept = 0;
    for (uint32_t i = 0; i < host->checkpoint_count; i++) {
        struct sim_checkpoint *checkpoint = &host->checkpoints[i];
        if (checkpoint->id.op_number >= output->drop_log.checkpoints_from ||
            is_pulled(output, checkpoint->id.op_number)) {
            host->checkpoints[kept++] = *checkpoint;
        } else {
            drop_content(checkpoint);
        }
    }
    host->checkpoint_count = kept;
}

/* ---- serving (G4) ---- */

void host_serve_checkpoint(struct sim_host *host, const struct vr_output *output)
{
    struct sim *sim = host->sim;
    const struct sim_checkpoint *checkpoint =
        checkpoint_with(host, output->serve_checkpoint.id.root);
    if (checkpoint == NULL) {
        sim_fail(sim, "K2: replica %u threw away a checkpoint that it serves", host->index);
        return;
    }
    const bool list = output->serve_checkpoint.list;
    const uint8_t *bytes = list ? checkpoint->list : checkpoint->bytes;
    const uint64_t size = list ? list_size(&checkpoint->id) : checkpoint->id.size;
    const uint64_t first = output->serve_checkpoint.first;
    for (uint64_t i = first; i < first + output->serve_checkpoint.count; i++) {
        if (i >= checkpoint_chunk_count(size)) {
            return;
        }
        struct message message = {
            .type = MESSAGE_CHECKPOINT_CHUNK,
            .checkpoint_chunk =
                {
                    .nonce = output->serve_checkpoint.nonce,
                    .root = checkpoint->id.root,
                    .list = list,
                    .index = i,
                    .size = checkpoint_chunk_size(size, i),
                    .bytes = bytes + i * CHECKPOINT_CHUNK_SIZE,
                },
        };
        vr_envelope(host->replica, &message);
        const struct wire_destination destination = {
            .address = sim_address(sim, output->serve_checkpoint.peer, SIM_LANE_PEERS)};
        trace_send(sim, host->index, output->serve_checkpoint.peer, &message);
        wire_send(host->senders[SIM_LANE_PEERS], &destination, &message,
                  host_local_time(host).now_ns);
        sim->counts.chunks_sent++;
    }
}

/* ---- receiving (G4) ---- */

static void receive_begin(struct sim_host *host, const struct checkpoint_id *id)
{
    struct sim_checkpoint *into = &host->receiving;
    if (into->bytes != NULL && checkpoint_id_equal(&into->id, id)) {
        return;
    }
    drop_content(into);
    free(host->received);
    into->id = *id;
    into->bytes = sim_allocate(id->size);
    into->list = sim_allocate(list_size(id));
    host->received_list = 0;
    host->received = sim_allocate(checkpoint_chunk_count(id->size));
    memset(host->received, 0, checkpoint_chunk_count(id->size));
}

/* The list comes in order, and counts once all of it has the root. */
static bool receive_list(struct sim_host *host, uint64_t index, const uint8_t *bytes, uint32_t size)
{
    struct sim_checkpoint *into = &host->receiving;
    if (index * CHECKPOINT_CHUNK_SIZE != host->received_list) {
        return host->received_list > index * CHECKPOINT_CHUNK_SIZE;
    }
    memcpy(into->list + host->received_list, bytes, size);
    host->received_list += size;
    if (host->received_list == list_size(&into->id) &&
        !checksum_equal(root_of(&into->id, into->list), into->id.root)) {
        host->received_list = 0;
        return false;
    }
    return true;
}

static bool receive_chunk(struct sim_host *host, uint64_t index, const uint8_t *bytes,
                          uint32_t size)
{
    struct sim_checkpoint *into = &host->receiving;
    const struct checksum checksum = checksum_of(bytes, size);
    INVARIANT(host->received_list == list_size(&into->id));
    if (memcmp(into->list + index * CHUNK_CHECKSUM, &checksum, CHUNK_CHECKSUM) != 0) {
        return false;
    }
    memcpy(into->bytes + index * CHECKPOINT_CHUNK_SIZE, bytes, size);
    host->received[index] = 1;
    return true;
}

void host_stage_chunk(struct sim_host *host, const struct vr_output *output)
{
    const uint64_t index = output->stage_chunk.index;
    receive_begin(host, &output->stage_chunk.id);
    struct vr_event event = {
        .kind = VR_EVENT_CHUNK_STAGED,
        .chunk_staged = {.root = output->stage_chunk.id.root,
                         .list = output->stage_chunk.list,
                         .index = index},
    };
    uint64_t missing = index;
    if (output->stage_chunk.list) {
        event.chunk_staged.ok =
            receive_list(host, index, output->stage_chunk.bytes, output->stage_chunk.size);
        missing = checkpoint_chunk_count(host->received_list);
    } else {
        event.chunk_staged.ok =
            receive_chunk(host, index, output->stage_chunk.bytes, output->stage_chunk.size);
        const uint64_t count = checkpoint_chunk_count(host->receiving.id.size);
        while (missing < count && host->received[missing] != 0) {
            missing++;
        }
    }
    event.chunk_staged.missing = missing;
    host_ready(host, &event);
}

/* ---- installing (G4) ---- */

static void arm_install(struct sim_host *host)
{
    struct sim *sim = host->sim;
    host_schedule(host, SIM_EVENT_INSTALL,
                  host_now_ns(host) + SIM_US +
                      sim_exponential(&sim->machine_prng, sim->options.checkpoint_latency_ns),
                  0);
}

void host_install_checkpoint(struct sim_host *host, const struct vr_output *output)
{
    struct sim *sim = host->sim;
    const struct checkpoint_id *id = &output->install_checkpoint;
    if (id->op_number <= vr_commit_number(host->replica)) {
        sim_fail(sim, "G4: replica %u installs a checkpoint of op %" PRIu64 ", below its commit",
                 host->index, id->op_number);
        return;
    }
    if (host->receiving.bytes == NULL || !checkpoint_id_equal(id, &host->receiving.id)) {
        sim_fail(sim, "G4: replica %u installs what it has not got", host->index);
        return;
    }
    for (uint64_t i = 0; i < checkpoint_chunk_count(id->size); i++) {
        if (host->received[i] == 0) {
            sim_fail(sim, "G4: replica %u installs a checkpoint without chunk %" PRIu64,
                     host->index, i);
            return;
        }
    }
    /* The invariant that G4's adopted view keeps. */
    if (id->op_number <= sim->history.committed &&
        host->reported.view_number < sim->history.views[id->op_number]) {
        sim_fail(sim,
                 "G4: replica %u installs what was committed in view %" PRIu64
                 ", and knows but view %" PRIu64,
                 host->index, view_within_epoch(sim->history.views[id->op_number]),
                 view_within_epoch(host->reported.view_number));
        return;
    }
    host->installing = true;
    arm_install(host);
}

/* The state is that of the checkpoint: a new application, and its entries executed. */
static void load(struct sim_host *host, const struct sim_checkpoint *checkpoint)
{
    sim_application_stop(&host->application);
    host_start_executor(host);
    host->prefix_size = 0;
    prefix_add(host, checkpoint->bytes, checkpoint->id.size);
    for (size_t at = 0; at < checkpoint->id.size && !host->sim->failed;) {
        struct entry entry;
        const size_t size = entry_decode(checkpoint->bytes + at, checkpoint->id.size - at, &entry);
        INVARIANT(size > 0);
        host_execute_entry(host, checkpoint->bytes + at, size);
        host->loaded_timestamp = entry.timestamp;
        at += size;
    }
    host->execute_to = checkpoint->id.op_number;
    if (!checksum_equal(executor_digest(host->executor), checkpoint->id.digest)) {
        sim_fail(host->sim, "K4: replica %u loads op %" PRIu64 " and has another digest",
                 host->index, checkpoint->id.op_number);
    }
}

/* What was committed up to there is what everybody committed. */
static void follow_history(struct sim_host *host, const struct checkpoint_id *id)
{
    const struct sim_history *history = &host->sim->history;
    if (id->op_number > history->committed ||
        !checksum_equal(history->checksums[id->op_number], id->log)) {
        sim_fail(host->sim, "I1: replica %u installs op %" PRIu64 ", which is not committed so",
                 host->index, id->op_number);
        return;
    }
    host_chain_replace(host, history->checksums, id->op_number);
}

void host_on_install(struct sim_host *host)
{
    struct sim *sim = host->sim;
    if (executor_executed_op(host->executor) < host->execute_to) {
        arm_install(host); /* what was handed over before comes first */
        return;
    }
    struct vr_event event = {.kind = VR_EVENT_CHECKPOINT_INSTALLED,
                             .installed = {.id = host->receiving.id}};
    while (host->checkpoint_count > 0) {
        drop_content(&host->checkpoints[--host->checkpoint_count]);
    }
    drop_content(&host->taking);
    keep(host, &host->receiving);
    load(host, &host->checkpoints[0]);
    follow_history(host, &event.installed.id);
    if (sim->failed) {
        return;
    }
    event.installed.timestamp = host->loaded_timestamp;
    host->installing = false;
    host->log_generation = 0; /* completions of what was written before tell nothing any more */
    host->durable_op = event.installed.id.op_number;
    sim->counts.checkpoints_installed++;
    trace_node(sim, host->index, "installs the checkpoint of op %" PRIu64,
               event.installed.id.op_number);
    if (host_step(host, &event)) {
        host_end_drain(host);
    }
}

/* ---- life and death ---- */

void host_checkpoints_clear(struct sim_host *host)
{
    while (host->checkpoint_count > 0) {
        drop_content(&host->checkpoints[--host->checkpoint_count]);
    }
    drop_content(&host->taking);
    drop_content(&host->receiving);
    free(host->received);
    host->received = NULL;
    host->received_list = 0;
    host->prefix_size = 0;
    host->installing = false;
}
