/* SPDX-License-Identifier: Apache-2.0 */
/* A checkpoint of other replicas (G4): its pieces go into a file, and it takes the log's and the
 * state's place, step by step. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/invariant.h"
#include "test/sim/host_parts.h"
#include "test/sim/sim.h"
#include "test/sim/trace.h"

/* ---- receiving ---- */

static void close_receiver(struct sim_host *host)
{
    if (host->receiving) {
        checkpoint_receiver_close(&host->receiver);
        host->receiving = false;
    }
}

void host_receiving_close(struct sim_host *host)
{
    close_receiver(host);
    for (uint32_t i = 0; i < host->piece_count; i++) {
        free(host->pieces[i].bytes);
    }
    host->piece_count = 0;
}

void host_stage_chunk(struct sim_host *host, const struct vr_output *output)
{
    struct sim *sim = host->sim;
    const uint32_t size = output->stage_chunk.size;
    INVARIANT(host->piece_count < SIM_PIECES_MAX);
    struct sim_piece *piece = &host->pieces[host->piece_count++];
    *piece = (struct sim_piece){
        .id = output->stage_chunk.id,
        .list = output->stage_chunk.list,
        .index = output->stage_chunk.index,
        .size = size,
        .bytes = sim_allocate(size),
    };
    memcpy(piece->bytes, output->stage_chunk.bytes, size);
    host_schedule(host, SIM_EVENT_STAGE,
                  host_now_ns(host) + prng_below(&sim->machine_prng, 100 * SIM_US), 0);
}

static int open_receiver(struct sim_host *host, const struct checkpoint_id *id,
                         struct storage_error *error)
{
    if (host->receiving && checkpoint_id_equal(&host->receiver.id, id)) {
        return 0;
    }
    close_receiver(host);
    const int status = checkpoint_receiver_begin(&host->receiver, &host->ops, HOST_DIRECTORY,
                                                 host->sim->configuration.cluster_id, id, error);
    host->receiving = status == 0;
    if (status == 0 && host->receiver.received_count > 0) {
        host->sim->counts.transfers_resumed++;
    }
    return status;
}

/* *missing: the first one at or above this that is not there. */
static int keep_piece(struct sim_host *host, const struct sim_piece *piece, uint64_t *missing,
                      struct storage_error *error)
{
    int status = open_receiver(host, &piece->id, error);
    if (status != 0) {
        return status;
    }
    if (piece->list) {
        status = checkpoint_receiver_list(&host->receiver, piece->index * CHECKPOINT_CHUNK_SIZE,
                                          piece->bytes, piece->size, error);
        *missing = checkpoint_chunk_count(host->receiver.list_used);
        return status == 0 && *missing <= piece->index ? -EBADMSG : status;
    }
    if (!checkpoint_receiver_has_list(&host->receiver)) {
        return -ENODATA;
    }
    status =
        checkpoint_receiver_chunk(&host->receiver, piece->index, piece->bytes, piece->size, error);
    *missing = checkpoint_receiver_missing(&host->receiver, piece->index);
    return status;
}

void host_on_stage(struct sim_host *host)
{
    struct storage_error error;
    INVARIANT(host->piece_count > 0);
    const struct sim_piece piece = host->pieces[0];
    host->piece_count--;
    memmove(&host->pieces[0], &host->pieces[1], host->piece_count * sizeof host->pieces[0]);
    struct vr_event event = {
        .kind = VR_EVENT_CHUNK_STAGED,
        .chunk_staged = {.root = piece.id.root, .list = piece.list, .index = piece.index},
    };
    const int status = keep_piece(host, &piece, &event.chunk_staged.missing, &error);
    free(piece.bytes);
    if (status != 0 && status != -EBADMSG && status != -ENODATA) {
        close_receiver(host); /* it is tried again */
        if (!host_checkpoint_failed(host)) {
            return;
        }
    }
    event.chunk_staged.ok = status == 0;
    event.chunk_staged.lost = status != 0 && status != -EBADMSG;
    if (host_step(host, &event)) {
        host_end_drain(host);
    }
}

/* ---- installing ---- */

static void arm_install(struct sim_host *host)
{
    struct sim *sim = host->sim;
    host_schedule(host, SIM_EVENT_INSTALL,
                  host_now_ns(host) + SIM_US +
                      sim_exponential(&sim->machine_prng, sim->options.checkpoint_latency_ns / 2),
                  0);
}

static bool is_received(const struct sim_host *host, const struct checkpoint_id *id)
{
    const struct checkpoint_receiver *receiver = &host->receiver;
    return host->receiving && checkpoint_id_equal(id, &receiver->id) &&
           checkpoint_receiver_has_list(receiver) &&
           checkpoint_receiver_missing(receiver, 0) == receiver->chunk_count;
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
    /* Staged once, and gone with a failure of the disk since: that ends the replica, below. */
    if (!is_received(host, id) && host->sim->counts.checkpoint_failures == 0) {
        sim_fail(sim, "G4: replica %u installs what it has not got", host->index);
        return;
    }
    host->installing = SIM_INSTALLING_FINISH;
    host->installed = *id;
    arm_install(host);
    if (host_on_disk(host)) {
        sim_nemesis_steps(sim, host->index);
    }
}

static int finish(struct sim_host *host)
{
    struct storage_error error;
    host_abandon_taking(host); /* of a state that goes */
    if (!is_received(host, &host->installed)) {
        return -EIO;
    }
    const int status = checkpoint_receiver_finish(&host->receiver, &error);
    host->receiving = status != 0;
    return status;
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

/* The state, once what was handed over before is executed, and the core's word that it has it. */
static int load(struct sim_host *host)
{
    struct sim *sim = host->sim;
    struct storage_error error;
    struct vr_event event = {.kind = VR_EVENT_CHECKPOINT_INSTALLED,
                             .installed = {.id = host->installed}};
    struct checkpoint_id id;
    const int status = host_checkpoint_load(host, host->installed.op_number, &id, &error);
    if (status != 0) {
        return status;
    }
    if (!checkpoint_id_equal(&id, &host->installed)) {
        sim_fail(sim, "G4: replica %u loads another checkpoint than it installs", host->index);
    }
    follow_history(host, &id);
    if (sim->failed) {
        return 0;
    }
    event.installed.timestamp = executor_timestamp(host->executor);
    host->installing = SIM_INSTALLING_NOTHING;
    host->kept_count = 0;
    host_keep_checkpoint(host, &id);
    host->log_generation = 0; /* completions of what was written before tell nothing any more */
    host->durable_op = id.op_number;
    sim->counts.checkpoints_installed++;
    trace_node(sim, host->index, "installs the checkpoint of op %" PRIu64, id.op_number);
    if (host_step(host, &event)) {
        host_end_drain(host);
    }
    return 0;
}

/* The file of the checkpoint cannot be written or read, as the server then ends: log and state file
 * are what they were, and another start goes on from there. */
static void end_for_want_of_checkpoint(struct sim_host *host)
{
    if (host->platter->power_off) {
        host_end_of_storage(host);
        return;
    }
    trace_node(host->sim, host->index, "has no use for the checkpoint that it pulled, and ends");
    sim_host_crash(host, SIM_END_KILLED);
}

void host_on_install(struct sim_host *host)
{
    int status = 0;
    switch (host->installing) {
    case SIM_INSTALLING_FINISH:
        status = finish(host);
        host->installing = SIM_INSTALLING_NAME;
        break;
    case SIM_INSTALLING_NAME:
        status = host_state_name_checkpoint(host, &host->installed);
        host->installing = SIM_INSTALLING_RESTART;
        break;
    case SIM_INSTALLING_RESTART:
        if (host->log_open) {
            host_log_restart(host,
                             &(struct wal_head){host->installed.op_number, host->installed.log});
        }
        host->installing = SIM_INSTALLING_LOAD;
        break;
    default:
        if (host->snapshot.executed_op < host->execute_to) {
            break; /* what was handed over before comes first */
        }
        if (load(host) != 0) {
            end_for_want_of_checkpoint(host);
        }
        return;
    }
    if (status != 0 && host->installing == SIM_INSTALLING_NAME) {
        end_for_want_of_checkpoint(host);
        return;
    }
    if (status != 0) {
        host_end_of_storage(host);
        return;
    }
    arm_install(host);
}
