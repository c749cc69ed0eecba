/* SPDX-License-Identifier: Apache-2.0 */
/* The checkpoint that a start begins from (K3), as server/runtime does it, and what a checkpoint is
 * once it is loaded. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "common/base/invariant.h"
#include "test/sim/host_parts.h"
#include "test/sim/sim.h"
#include "test/sim/trace.h"

enum { CANDIDATES_MAX = 64 };

/* ---- loading ---- */

static int load_chunks(struct sim_host *host, struct checkpoint_reader *reader,
                       struct storage_error *error)
{
    static uint8_t chunk[CHECKPOINT_CHUNK_SIZE];
    for (uint64_t i = 0; i < checkpoint_chunk_count(reader->id.size); i++) {
        const int size = checkpoint_reader_chunk(reader, i, chunk, error);
        if (size < 0) {
            return size;
        }
        if (!executor_load(host->executor, chunk, (size_t)size)) {
            return -EINVAL;
        }
    }
    return executor_load_end(host->executor) ? 0 : -EINVAL;
}

/* I1, I8: log and state at the checkpoint's op are everybody's; it is what its name says. */
static void check_loaded(struct sim_host *host, const struct checkpoint_id *id)
{
    struct sim *sim = host->sim;
    const struct checksum digest = executor_digest(host->executor);
    const uint64_t executed = executor_executed_op(host->executor);
    if (executed != id->op_number || !checksum_equal(digest, id->digest)) {
        sim_fail(sim,
                 "K1: replica %u loads the checkpoint of op %" PRIu64
                 " and has the state of op %" PRIu64 ", or another one",
                 host->index, id->op_number, executed);
        return;
    }
    if (id->op_number > sim->history.committed ||
        !checksum_equal(sim->history.checksums[id->op_number], id->log)) {
        sim_fail(sim, "I1: replica %u has a checkpoint of op %" PRIu64 " that is not committed so",
                 host->index, id->op_number);
        return;
    }
    host_note_loaded(host, id);
}

/* The executor's state becomes that of the checkpoint. 0, or the reader's error: then there is no
 * state. What is whole, and cannot be loaded all the same, ends the run. */
int host_checkpoint_load(struct sim_host *host, uint64_t op_number, struct checkpoint_id *id,
                         struct storage_error *error)
{
    struct checkpoint_reader reader;
    int status = checkpoint_reader_open(&reader, &host->ops, HOST_DIRECTORY,
                                        host->sim->configuration.cluster_id, op_number, error);
    if (status != 0) {
        return status;
    }
    executor_load_begin(host->executor);
    status = load_chunks(host, &reader, error);
    *id = reader.id;
    checkpoint_reader_close(&reader);
    if (status == -EINVAL) {
        sim_fail(host->sim, "K1: replica %u cannot load the checkpoint of op %" PRIu64, host->index,
                 op_number);
    } else if (status == 0) {
        check_loaded(host, id);
        host->execute_to = id->op_number;
    }
    return status;
}

/* ---- a start ---- */

/* A candidate that is whole becomes the base. */
static int try_candidate(struct sim_host *host, uint64_t op_number, struct storage_error *error)
{
    struct checkpoint_id id;
    const int status = host_checkpoint_load(host, op_number, &id, error);
    if (status == 0 && op_number == host->disk.checkpoint.op &&
        !checksum_equal(id.root, host->disk.checkpoint.checksum)) {
        sim_fail(host->sim, "K1: replica %u has another checkpoint of op %" PRIu64 " than it named",
                 host->index, op_number);
    }
    if (status == 0) {
        host->base = id;
        host->base_lost = false;
        host_keep_checkpoint(host, &id);
        host->sim->counts.starts_from_checkpoint++;
        trace_node(host->sim, host->index, "begins from the checkpoint of op %" PRIu64, op_number);
    }
    return status;
}

/* K1: what the state file names is durable, so that it is there, and whole, unless the disk has
 * damaged it. */
static void note_unusable(struct sim_host *host, uint64_t op_number, uint64_t faults,
                          const struct storage_error *error)
{
    host->sim->counts.checkpoints_unusable++;
    trace_node(host->sim, host->index, "cannot use a checkpoint: %s", error->text);
    if (op_number == host->disk.checkpoint.op && !host->checkpoint_rotten &&
        host->platter->faults == faults) {
        sim_fail(host->sim, "K1: the checkpoint that replica %u named is no more: %s", host->index,
                 error->text);
    }
}

static bool begins_empty(const struct sim_host *host)
{
    return !host_on_disk(host) || host->disk.durability == DURABILITY_MEMORY ||
           host->disk.checkpoint.op == 0;
}

int host_base_load(struct sim_host *host)
{
    uint64_t ops[CANDIDATES_MAX];
    uint32_t count = 0;
    struct storage_error error;
    const uint64_t faults = host->platter->faults;
    host_start_executor(host);
    memset(&host->base, 0, sizeof host->base);
    host->kept_count = 0;
    host->base_lost = false;
    if (begins_empty(host)) {
        return 0;
    }
    int status =
        checkpoint_list_ops(&host->ops, HOST_DIRECTORY, ops, CANDIDATES_MAX, &count, &error);
    host->base_lost = true;
    if (count == 0 || ops[0] < host->disk.checkpoint.op) {
        error.text[0] = '\0';
        note_unusable(host, host->disk.checkpoint.op, faults, &error);
    }
    for (uint32_t i = 0; status == 0 && i < count && host->base_lost && !host->sim->failed; i++) {
        if (ops[i] <= host->disk.checkpoint.op && try_candidate(host, ops[i], &error) != 0) {
            note_unusable(host, ops[i], faults, &error);
        }
    }
    if (host->base_lost) {
        host_start_executor(host); /* what was loaded in part goes */
    }
    return host->platter->power_off ? -EIO : status;
}

/* What nobody names is nobody's. */
int host_base_tidy(struct sim_host *host)
{
    uint64_t ops[CANDIDATES_MAX];
    uint32_t count;
    struct storage_error error;
    int status =
        checkpoint_list_ops(&host->ops, HOST_DIRECTORY, ops, CANDIDATES_MAX, &count, &error);
    for (uint32_t i = 0; status == 0 && i < count; i++) {
        if (ops[i] > host->disk.checkpoint.op) {
            status = checkpoint_remove(&host->ops, HOST_DIRECTORY, ops[i], &error);
        }
    }
    return status == 0 || !host->platter->power_off ? 0 : status; /* else they stay, for now */
}

/* Where the log that a start would read has to begin at the latest. */
void host_base_find(struct sim_host *host, struct wal_head *base)
{
    uint64_t ops[CANDIDATES_MAX];
    uint32_t count = 0;
    struct storage_error error;
    *base = (struct wal_head){.op_number = 0};
    (void)checkpoint_list_ops(&host->ops, HOST_DIRECTORY, ops, CANDIDATES_MAX, &count, &error);
    for (uint32_t i = 0; i < count && base->op_number == 0; i++) {
        struct checkpoint_reader reader;
        if (ops[i] <= host->disk.checkpoint.op &&
            checkpoint_reader_open(&reader, &host->ops, HOST_DIRECTORY,
                                   host->sim->configuration.cluster_id, ops[i], &error) == 0) {
            *base = (struct wal_head){reader.id.op_number, reader.id.log};
            checkpoint_reader_close(&reader);
        }
    }
}
