/* SPDX-License-Identifier: Apache-2.0 */
/* A replica's checkpoints: cut behind the executor, written, named, kept, served, as server/runtime
 * does it, with server/storage on the simulated disk. Each step is an event of its own, so that
 * ends and failures come between any two of them, and at any call within. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/invariant.h"
#include "test/sim/host_parts.h"
#include "test/sim/sim.h"
#include "test/sim/trace.h"

/* ---- what all steps share ---- */

/* A call of the disk did not return 0. That costs the checkpoint, not the replica, unless it was
 * the end of its process or its machine. */
bool host_checkpoint_failed(struct sim_host *host)
{
    const struct sim_disk *disk = host->platter;
    if (disk->power_off) {
        host_end_of_storage(host);
        return false;
    }
    host->disk_armed =
        host->disk_armed && (disk->power_cut_at > disk->calls || disk->fail_at > disk->calls);
    host->sim->counts.checkpoint_failures++;
    return true;
}

void host_keep_checkpoint(struct sim_host *host, const struct checkpoint_id *id)
{
    INVARIANT(host->kept_count < SIM_CHECKPOINTS_MAX);
    memmove(&host->kept[1], &host->kept[0], host->kept_count * sizeof host->kept[0]);
    host->kept[0] = *id;
    host->kept_count++;
}

static void arm_taking(struct sim_host *host)
{
    struct sim *sim = host->sim;
    const uint64_t latency =
        sim_exponential(&sim->machine_prng, sim->options.checkpoint_latency_ns / 2);
    host_schedule(host, SIM_EVENT_CHECKPOINT, host_now_ns(host) + latency, host->taking_number);
}

/* ---- taking (K1) ---- */

/* An interval ends: the state as it is now is cut, while entries go on being executed. */
void host_note_executed(struct sim_host *host, const struct entry *entry)
{
    const uint32_t interval = host->sim->options.checkpoint_interval;
    if (interval == 0 || entry->op_number % interval != 0 || host->sim->failed ||
        host->taking != SIM_TAKING_NOTHING || host->installing != SIM_INSTALLING_NOTHING) {
        return;
    }
    host->taken = (struct checkpoint_id){
        .op_number = entry->op_number,
        .view_number = entry->view_number,
        .log = vr_log_checksum_at(host->replica, entry->op_number),
        .digest = executor_digest(host->executor),
    };
    host_note_cut(host, &host->taken);
    executor_cut_begin(host->executor);
    host->taking = SIM_TAKING_CONTENT;
    host->taking_number++;
    arm_taking(host);
}

void host_abandon_taking(struct sim_host *host)
{
    if (host->taking == SIM_TAKING_NOTHING) {
        return;
    }
    executor_cut_abandon(host->executor);
    if (host->writing) {
        checkpoint_writer_abandon(&host->writer);
        host->writing = false;
    }
    host->taking = SIM_TAKING_NOTHING;
}

static size_t draw_slice(struct prng *prng)
{
    return prng_chance(prng, 1, 2) ? CHECKPOINT_CHUNK_SIZE
                                   : prng_between(prng, 256, CHECKPOINT_CHUNK_SIZE / 4);
}

static int write_slice(struct sim_host *host, struct storage_error *error)
{
    static uint8_t slice[CHECKPOINT_CHUNK_SIZE];
    int status = 0;
    size_t size;
    if (!host->writing) {
        status = checkpoint_writer_begin(&host->writer, &host->ops, HOST_DIRECTORY,
                                         host->sim->configuration.cluster_id, error);
        host->writing = true;
    }
    if (status != 0) {
        return status;
    }
    const bool more =
        executor_cut(host->executor, slice, draw_slice(&host->sim->machine_prng), &size);
    host->taking = more ? SIM_TAKING_CONTENT : SIM_TAKING_FINISH;
    return size > 0 ? checkpoint_writer_append(&host->writer, slice, size, error) : 0;
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

static int finish(struct sim_host *host, struct storage_error *error)
{
    const int status = checkpoint_writer_finish(&host->writer, &host->taken, error);
    if (status == 0) {
        host->writing = false;
        host->taking = SIM_TAKING_NAME;
        if (!host->taken_differs) {
            check_root(host->sim, host, &host->taken);
        }
    }
    return status;
}

/* The core hears of it, and may drop its log. */
static void tell(struct sim_host *host)
{
    struct sim *sim = host->sim;
    struct vr_event event = {.kind = VR_EVENT_CHECKPOINT, .checkpoint = host->taken};
    host->taking = SIM_TAKING_NOTHING;
    if (event.checkpoint.op_number > executor_executed_op(host->executor)) {
        sim_fail(sim, "K1: replica %u has a checkpoint of what it did not execute", host->index);
        return;
    }
    if (event.checkpoint.op_number > host->snapshot.executed_op) {
        host->taking = SIM_TAKING_TELL; /* that it was executed is not reported yet */
        arm_taking(host);
        return;
    }
    host_keep_checkpoint(host, &host->taken);
    sim->counts.checkpoints++;
    if (host_step(host, &event)) {
        host_end_drain(host);
    }
}

void host_on_checkpoint(struct sim_host *host, uint64_t number)
{
    struct storage_error error;
    int status = 0;
    if (host->taking == SIM_TAKING_NOTHING || number != host->taking_number) {
        return; /* given up: one of another replica is installed */
    }
    switch (host->taking) {
    case SIM_TAKING_CONTENT:
        status = write_slice(host, &error);
        break;
    case SIM_TAKING_FINISH:
        status = finish(host, &error);
        break;
    case SIM_TAKING_NAME:
        if (host_state_name_checkpoint(host, &host->taken) != 0) {
            host_end_of_storage(host);
            return;
        }
        host->taking = SIM_TAKING_TELL;
        break;
    default:
        tell(host);
        return;
    }
    if (status == 0) {
        arm_taking(host);
        return;
    }
    host_abandon_taking(host);
    if (host_checkpoint_failed(host)) {
        trace_node(host->sim, host->index, "cannot write the checkpoint of op %" PRIu64,
                   host->taken.op_number);
    }
}

/* ---- dropping (K1, K2) ---- */

static bool is_pulled(const struct sim_host *host, uint64_t op_number)
{
    for (uint32_t i = 0; i < host->drop_but_count; i++) {
        if (host->drop_but[i] == op_number) {
            return true;
        }
    }
    return false;
}

static void forget_kept(struct sim_host *host)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < host->kept_count; i++) {
        if (host->kept[i].op_number >= host->drop_below ||
            is_pulled(host, host->kept[i].op_number)) {
            host->kept[kept++] = host->kept[i];
        }
    }
    host->kept_count = kept;
}

/* K1: what is dropped lies before the previous checkpoint, and the newest is named. */
void host_drop_log(struct sim_host *host, const struct vr_output *output)
{
    struct sim *sim = host->sim;
    const uint64_t through_op = output->drop_log.through_op;
    const bool named = !host_on_disk(host) || host->disk.checkpoint.op >= through_op;
    const bool kept = host->kept_count > 1 && host->kept[1].op_number >= through_op;
    if (through_op > 0 && !(kept && named)) {
        sim_fail(sim, "K1: replica %u drops its log up to op %" PRIu64 " with no checkpoint of it",
                 host->index, through_op);
        return;
    }
    host->drop_through = through_op;
    host->drop_below = output->drop_log.checkpoints_from;
    host->drop_but_count = output->drop_log.pulled_count;
    memcpy(host->drop_but, output->drop_log.pulled, sizeof host->drop_but);
    forget_kept(host);
    host_schedule(host, SIM_EVENT_DROP,
                  host_now_ns(host) + prng_below(&sim->machine_prng, 100 * SIM_US), 0);
}

static void close_reader(struct sim_host *host)
{
    if (host->reading) {
        checkpoint_reader_close(&host->reader);
        host->reading = false;
    }
}

static int remove_older(struct sim_host *host, struct storage_error *error)
{
    uint64_t ops[2 * SIM_CHECKPOINTS_MAX];
    uint32_t count;
    int status = checkpoint_list_ops(&host->ops, HOST_DIRECTORY, ops, 2 * SIM_CHECKPOINTS_MAX,
                                     &count, error);
    for (uint32_t i = 0; status == 0 && i < count; i++) {
        if (ops[i] >= host->drop_below || is_pulled(host, ops[i])) {
            continue;
        }
        if (host->reading && host->reader.id.op_number == ops[i]) {
            close_reader(host);
        }
        status = checkpoint_remove(&host->ops, HOST_DIRECTORY, ops[i], error);
    }
    return status;
}

/* I10: the disk holds no more segments than the entries kept can fill, and what a replacement that
 * spans some of them, or a log cut below them, keeps. */
static void check_disk(struct sim_host *host)
{
    const struct wal *wal = &host->wal;
    for (size_t i = 1; i < wal->mark_count; i++) {
        if (wal->marks[i].head_op > host->drop_through || wal->marks[i].needs_earlier) {
            continue;
        }
        sim_fail(host->sim, "I10: replica %u keeps %zu segments that nothing needs", host->index,
                 i);
        return;
    }
}

void host_on_drop(struct sim_host *host)
{
    struct storage_error error;
    int status = remove_older(host, &error);
    if (status == 0 && host->log_open) {
        const size_t before = host->wal.mark_count;
        status = wal_drop(&host->wal, host->drop_through, &error);
        host->sim->counts.segments_dropped += before - host->wal.mark_count;
        if (status == 0) {
            check_disk(host);
        }
    }
    if (status != 0) {
        (void)host_checkpoint_failed(host);
    }
}

/* ---- serving (G4) ---- */

static bool open_reader(struct sim_host *host, const struct checkpoint_id *id)
{
    struct sim *sim = host->sim;
    struct storage_error error;
    const uint64_t faults = host->platter->faults;
    if (host->reading && checkpoint_id_equal(&host->reader.id, id)) {
        return true;
    }
    close_reader(host);
    const int status = checkpoint_reader_open(&host->reader, &host->ops, HOST_DIRECTORY,
                                              sim->configuration.cluster_id, id->op_number, &error);
    host->reading = status == 0;
    if (status != 0 && host->platter->faults == faults) {
        sim_fail(sim, "K2: replica %u threw away a checkpoint that it serves: %s", host->index,
                 error.text);
    } else if (status == 0 && !checkpoint_id_equal(&host->reader.id, id)) {
        sim_fail(sim, "K2: replica %u serves another checkpoint than it offered", host->index);
    }
    return status == 0 && !sim->failed;
}

/* What it has to say of one piece of the list, or one chunk. False: it cannot be read. */
static bool read_piece(struct sim_host *host, bool list, uint64_t index, struct message *message)
{
    static uint8_t chunk[CHECKPOINT_CHUNK_SIZE];
    struct storage_error error;
    const uint64_t content = host->reader.id.size;
    const uint64_t size =
        list ? checkpoint_chunk_count(content) * CHECKPOINT_CHECKSUM_SIZE : content;
    if (index >= checkpoint_chunk_count(size)) {
        return false;
    }
    message->checkpoint_chunk.list = list;
    message->checkpoint_chunk.index = index;
    message->checkpoint_chunk.size = checkpoint_chunk_size(size, index);
    message->checkpoint_chunk.bytes =
        list ? host->reader.list + index * CHECKPOINT_CHUNK_SIZE : chunk;
    return list || checkpoint_reader_chunk(&host->reader, index, chunk, &error) >= 0;
}

void host_serve_checkpoint(struct sim_host *host, const struct vr_output *output)
{
    struct sim *sim = host->sim;
    if (!open_reader(host, &output->serve_checkpoint.id)) {
        return;
    }
    const uint64_t first = output->serve_checkpoint.first;
    for (uint64_t i = first; i < first + output->serve_checkpoint.count; i++) {
        struct message message = {
            .type = MESSAGE_CHECKPOINT_CHUNK,
            .checkpoint_chunk = {.nonce = output->serve_checkpoint.nonce,
                                 .root = output->serve_checkpoint.id.root},
        };
        if (!read_piece(host, output->serve_checkpoint.list, i, &message)) {
            return;
        }
        vr_envelope(host->replica, &message);
        const struct wire_destination destination = {
            .address = sim_address(sim, output->serve_checkpoint.peer, SIM_LANE_PEERS)};
        trace_send(sim, host->index, output->serve_checkpoint.peer, &message);
        wire_send(host->senders[SIM_LANE_PEERS], &destination, &message,
                  host_local_time(host).now_ns);
        sim->counts.chunks_sent++;
    }
}

/* ---- the end ---- */

/* A process that is killed leaves on its disk what it was writing. */
static void leave_writer(struct sim_host *host)
{
    free(host->writer.list);
    free(host->writer.chunk);
    host->writer.list = NULL;
    host->writer.chunk = NULL;
    host->writing = false;
}

void host_checkpoints_close(struct sim_host *host, bool clean)
{
    if (clean) {
        host_abandon_taking(host);
    } else if (host->writing) {
        leave_writer(host);
    }
    close_reader(host);
    host_receiving_close(host);
    host->taking = SIM_TAKING_NOTHING;
    host->installing = SIM_INSTALLING_NOTHING;
    host->kept_count = 0;
}
