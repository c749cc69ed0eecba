/* SPDX-License-Identifier: Apache-2.0 */
/* A replica's state file: the real one, on the simulated disk, in every mode of durability. */
#include <inttypes.h>
#include <string.h>

#include "common/base/invariant.h"
#include "test/sim/host_parts.h"
#include "test/sim/sim.h"
#include "test/sim/trace.h"

/* init makes an empty data directory. */
void host_state_make(struct sim_host *host)
{
    struct sim *sim = host->sim;
    struct storage_error error;
    durable_state_init(&host->disk, &sim->configuration,
                       sim->configuration.members[host->index].replica_id,
                       prng_next(&sim->machine_prng) | 1);
    host->reported =
        (struct sim_durable){host->disk.vr.view_number, host->disk.vr.last_normal_view};
    const int status = state_file_create(&host->ops, HOST_DIRECTORY, &host->disk, &error);
    INVARIANT(status == 0);
    host->state_whole = true;
}

/* S1: what was reported durable is there, whatever the disk went through. */
int host_state_open(struct sim_host *host)
{
    struct sim *sim = host->sim;
    struct storage_error error;
    struct durable_state found;
    const uint64_t faults = host->platter->faults;
    host->state_whole = false;
    const int status =
        state_file_open(&host->state_file, &host->ops, HOST_DIRECTORY, &found, &error);
    if (status != 0) {
        if (host->platter->faults == faults) {
            sim_fail(sim, "replica %u cannot read its state file: %s", host->index, error.text);
        }
        return status;
    }
    host->state_open = true;
    host->state_whole = true;
    host->log_void = false;
    if (found.vr.view_number < host->reported.view_number ||
        found.vr.last_normal_view < host->reported.last_normal_view ||
        found.incarnation < host->disk.incarnation) {
        sim_fail(sim,
                 "S1: the state file of replica %u has gone back: view %" PRIu64 " of %" PRIu64
                 ", last normal %" PRIu64 " of %" PRIu64 ", start %" PRIu64 " of %" PRIu64,
                 host->index, view_within_epoch(found.vr.view_number),
                 view_within_epoch(host->reported.view_number),
                 view_within_epoch(found.vr.last_normal_view),
                 view_within_epoch(host->reported.last_normal_view), found.incarnation,
                 host->disk.incarnation);
    }
    host->disk = found;
    return 0;
}

static int store(struct sim_host *host, const struct durable_state *state)
{
    struct storage_error error;
    struct durable_state next = *state;
    next.vr.log_valid = next.vr.log_valid && !host->log_void;
    const int status = state_file_store(&host->state_file, &next, &error);
    if (status == 0) {
        host->disk = next;
    }
    return status;
}

/* What a start changes in it. */
int host_state_begin(struct sim_host *host, const struct durable_state *state)
{
    return store(host, state);
}

int host_state_store(struct sim_host *host, const struct vr_durable_state *state)
{
    struct durable_state next = host->disk;
    next.vr = *state;
    return store(host, &next);
}

/* K4: it must not start from what it has again. */
int host_state_diverge(struct sim_host *host)
{
    struct durable_state next = host->disk;
    next.diverged = true;
    return store(host, &next);
}

/* A segment of the log was begun: from now on the log is not whole without it. */
int host_state_name_segment(struct sim_host *host, uint64_t segment)
{
    struct durable_state next = host->disk;
    if (segment <= next.log_segment) {
        return 0;
    }
    next.log_segment = segment;
    return store(host, &next);
}

/* K1, G4: a start may begin from it. In mode memory none does. */
int host_state_name_checkpoint(struct sim_host *host, const struct checkpoint_id *id)
{
    struct durable_state next = host->disk;
    if (!host_on_disk(host)) {
        return 0;
    }
    next.checkpoint.op = id->op_number;
    next.checkpoint.checksum = id->root;
    const int status = store(host, &next);
    if (status == 0) {
        host->checkpoint_rotten = false;
    }
    return status;
}

/* The end of a process: of what was being written, any prefix made it, and the next one perhaps in
 * part; a clean end waits for all. */
void host_state_end(struct sim_host *host, bool clean)
{
    struct sim *sim = host->sim;
    struct prng *prng = &sim->nemesis.disk_prng;
    const uint32_t count = host->state_write_count;
    const uint32_t some = (uint32_t)prng_below(&sim->machine_prng, (uint64_t)count + 1);
    const uint32_t kept = clean ? count : some;
    for (uint32_t i = 0; i < kept; i++) {
        (void)host_state_store(host, &host->state_writes[i].state);
    }
    if (kept < count && !host->platter->power_off && prng_chance(prng, 1, 2)) {
        host->platter->power_cut_at = host->platter->calls + prng_between(prng, 1, 2);
        (void)host_state_store(host, &host->state_writes[kept].state);
    }
    sim->counts.writes_lost += count - kept;
    host->state_write_count = 0;
    if (clean) {
        struct durable_state last = host->disk;
        last.clean_shutdown = true;
        if (host->log_open) {
            last.log_segment = host->wal.segment.number;
            last.log_end = wal_end(&host->wal);
        }
        (void)store(host, &last);
    }
}

void host_state_close(struct sim_host *host)
{
    if (host->state_open) {
        state_file_close(&host->state_file);
        host->state_open = false;
    }
}
