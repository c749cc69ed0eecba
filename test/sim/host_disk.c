/* SPDX-License-Identifier: Apache-2.0 */
/* A replica's log on its disk, as server/runtime has it: a queue, a writer behind it, syncs. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/invariant.h"
#include "test/sim/host_parts.h"
#include "test/sim/sim.h"
#include "test/sim/trace.h"

enum {
    FLUSH_MS = 50, /* async: as server/runtime/log_writer.h has it */
    ARMED_CALLS_MAX = 12,
};

bool host_on_disk(const struct sim_host *host)
{
    return host->durability != DURABILITY_MEMORY;
}

void host_disk_make(struct sim_host *host)
{
    if (host->platter == NULL) {
        host->platter = sim_allocate(sizeof *host->platter);
        memset(host->platter, 0, sizeof *host->platter);
    }
    sim_disk_free(host->platter);
    sim_disk_init(host->platter, prng_next(&host->sim->machine_prng));
    host->ops = sim_disk_ops(host->platter);
    host->durability = host->sim->options.durability;
    host->promised = (struct wal_head){.op_number = 0};
    host->lost = false;
    host->rotten = false;
    host->refused = false;
    host->differ_armed = false;
    host->differs = false;
    host->suspect = false;
    host->leaving = false;
    host->disk_armed = false;
    host->checkpoint_rotten = false;
    host_state_make(host);
}

/* ---- what a disk can do ---- */

void sim_host_arm_disk(struct sim_host *host, struct prng *prng, enum sim_end end, int status)
{
    const uint64_t far = prng_chance(prng, 1, 2) ? ARMED_CALLS_MAX : 3;
    const uint64_t call = host->platter->calls + prng_between(prng, 1, far);
    host->disk_armed = true;
    host->crash_machine = end == SIM_END_POWER;
    if (status == 0) {
        host->platter->power_cut_at = call;
    } else {
        host->platter->fail_at = call;
        host->platter->fail_status = status;
    }
}

void sim_host_disarm_disk(struct sim_host *host)
{
    host->disk_armed = false;
    if (host->platter != NULL) {
        host->platter->power_cut_at = 0;
        host->platter->fail_at = 0;
        host->platter->read_fail_at = 0;
        host->platter->room = 0;
    }
}

void sim_host_arm_read(struct sim_host *host, struct prng *prng)
{
    host->platter->read_fail_at = host->platter->reads + prng_between(prng, 1, 8);
}

/* A call of the disk did not return 0: the end of the process or of the machine, or a failure that
 * the server reports, makes durable where it can, and ends by (D4). */
void host_end_of_storage(struct sim_host *host)
{
    struct sim *sim = host->sim;
    host->disk_armed = false;
    if (!host->platter->power_off && host->log_open && wal_is_full(&host->wal)) {
        sim->counts.logs_full++;
        trace_node(sim, host->index, "its log is full");
        sim_host_crash(host, SIM_END_CLEAN); /* all that was written before is whole */
        return;
    }
    if (!host->platter->power_off) {
        sim->counts.disk_failures++;
        trace_node(sim, host->index, "its disk fails");
        /* The state file still can be written, or not: nothing rests on that. */
        if (host_on_disk(host) && prng_chance(&sim->nemesis.disk_prng, 3, 4)) {
            host->log_void = true;
            (void)host_state_store(host, &host->disk.vr);
        }
    }
    if (host->platter->power_off) {
        sim->counts.crashes_inside++;
        sim_host_crash(host, host->crash_machine ? SIM_END_POWER : SIM_END_KILLED);
        return;
    }
    sim_host_crash(host, SIM_END_KILLED);
    host->lost = host->lost || !host->disk.vr.log_valid;
}

/* ---- what the queue reads of the core ---- */

const uint8_t *host_log_entry(void *context, uint64_t op_number, size_t *size)
{
    return vr_log_bytes(((const struct sim_host *)context)->replica, op_number, size);
}

struct checksum host_log_chain(void *context, uint64_t op_number)
{
    return vr_log_checksum_at(((const struct sim_host *)context)->replica, op_number);
}

uint64_t host_log_commit(void *context)
{
    return vr_commit_number(((const struct sim_host *)context)->replica);
}

/* ---- reports ---- */

static void arm_write(struct sim_host *host)
{
    if (!host->log_write_scheduled && host->half == NULL) {
        struct sim *sim = host->sim;
        host->log_write_scheduled = true;
        host_schedule(host, SIM_EVENT_LOG_WRITE,
                      host_now_ns(host) + prng_below(&sim->machine_prng, 100 * SIM_US), 0);
    }
}

/* What was taken is as durable as the mode requires: the core hears of it, and copies more. */
static void report(struct sim_host *host)
{
    const struct log_report said = host->half->report;
    log_queue_release(&host->queue, host->half);
    host->half = NULL;
    struct vr_event event = {
        .kind = VR_EVENT_LOG_DURABLE,
        .log_durable = {.generation = said.generation, .op_number = said.op_number},
    };
    if (said.any && !host_step_log_durable(host, &event)) {
        return;
    }
    log_queue_copy(&host->queue);
    arm_write(host);
    if (said.any) {
        host_end_drain(host);
    }
}

void host_log_write(struct sim_host *host, const struct log_write *write)
{
    const bool cuts = write->cut_to < host->queue.copied.op_number;
    log_queue_write(&host->queue, write);
    arm_write(host);
    if (cuts) {
        sim_nemesis_steps(host->sim, host->index);
    }
}

void host_log_restart(struct sim_host *host, const struct wal_head *base)
{
    if (log_queue_restart(&host->queue, base)) {
        arm_write(host);
    }
}

/* ---- the writer ---- */

static uint64_t sync_latency(struct sim_host *host)
{
    struct sim *sim = host->sim;
    const uint64_t latency = sim_exponential(&sim->machine_prng, sim->options.log_latency_ns);
    if (sim->healing) {
        return latency % (2 * SIM_MS);
    }
    const bool stalls = sim->options.flush_stall_ppm > 0 &&
                        prng_chance(&sim->nemesis.disk_prng, sim->options.flush_stall_ppm, 1000000);
    return latency + (stalls ? prng_below(&sim->nemesis.disk_prng, SIM_S) : 0);
}

void host_on_log_write(struct sim_host *host)
{
    struct sim *sim = host->sim;
    struct storage_error error;
    host->log_write_scheduled = false;
    INVARIANT(host->half == NULL);
    host->half = log_queue_take(&host->queue);
    if (host->half == NULL) {
        return;
    }
    const uint64_t segment = host->wal.segment.number;
    sim->counts.log_writes++;
    if (log_queue_append(host->half, &host->wal, NULL, NULL, &error) != 0 ||
        host_state_name_segment(host, host->wal.segment.number) != 0) {
        host_end_of_storage(host);
        return;
    }
    if (host->wal.segment.number != segment) {
        sim_nemesis_segment(sim, host->index);
    }
    if (host->durability == DURABILITY_SYNC) {
        host_schedule(host, SIM_EVENT_LOG_SYNC, host_now_ns(host) + sync_latency(host), 0);
        return;
    }
    if (!host->log_sync_scheduled) {
        host->log_sync_scheduled = true;
        host_schedule(host, SIM_EVENT_LOG_SYNC,
                      host_now_ns(host) + FLUSH_MS * SIM_MS + sync_latency(host), 0);
    }
    report(host);
}

void host_on_log_sync(struct sim_host *host)
{
    struct storage_error error;
    host->log_sync_scheduled = false;
    host->sim->counts.log_syncs++;
    if (wal_sync(&host->wal, &error) != 0) {
        host_end_of_storage(host);
        return;
    }
    if (host->half != NULL && host->durability == DURABILITY_SYNC) {
        report(host);
    }
}

/* A clean end: all of it goes to the disk. */
bool host_log_finish(struct sim_host *host)
{
    struct storage_error error;
    int status = 0;
    if (!host_on_disk(host)) {
        return true;
    }
    if (host->half != NULL) { /* written, and waiting for its sync */
        log_queue_release(&host->queue, host->half);
        host->half = NULL;
    }
    for (bool more = true; status == 0 && more;) {
        log_queue_copy(&host->queue);
        struct log_queue_half *half = log_queue_take(&host->queue);
        more = half != NULL || !log_queue_is_complete(&host->queue);
        if (half != NULL) {
            status = log_queue_append(half, &host->wal, NULL, NULL, &error);
            log_queue_release(&host->queue, half);
        }
    }
    if (status == 0 || wal_is_full(&host->wal)) {
        status = wal_sync(&host->wal, &error);
    }
    if (status != 0) {
        host_end_of_storage(host);
        return false;
    }
    return true;
}

/* ---- start and end ---- */

static void boot_id(const struct sim_host *host, uint8_t id[BOOT_ID_SIZE])
{
    memset(id, 0, BOOT_ID_SIZE);
    memcpy(id, &host->boot, sizeof host->boot);
    id[BOOT_ID_SIZE - 1] = 1;
}

/* A log that is refused is what its owner does without: it starts once in memory (D11). */
static void judge_refusal(struct sim_host *host, int status, const char *text, uint64_t faults)
{
    struct sim *sim = host->sim;
    if (host->platter->faults != faults) {
        sim->counts.read_failures++;
        return;
    }
    if (status == -EBADMSG && host->rotten) {
        sim->counts.logs_refused++;
        host->refused = true;
        return;
    }
    sim_fail(sim, "replica %u cannot read its log: %s", host->index, text);
}

/* K3: one that begins behind a checkpoint which is lost says nothing. */
static bool reaches_base(const struct sim_host *host)
{
    return host->found.base_op <= host->base.op_number;
}

bool host_log_reaches_base(const struct sim_host *host)
{
    return host->log_open && reaches_base(host);
}

static void init_log(const struct sim_host *host, struct vr_log *log, void *memory)
{
    const struct sim_options *o = &host->sim->options;
    const uint64_t cluster_id = host->sim->configuration.cluster_id;
    const struct checksum chain = entry_chain_start(cluster_id);
    if (o->log_block_size == 0) {
        vr_log_init(log, memory, o->log_memory_size, cluster_id, 0, chain);
    } else {
        vr_log_init_blocks(log, memory, o->log_memory_size, o->log_block_size, cluster_id, 0,
                           chain);
    }
}

/* D5: what was reported durable may be as much as the checkpoint that the state file names. */
static bool reaches_named(const struct sim_host *host)
{
    return host->base.op_number == host->disk.checkpoint.op ||
           host->found.head.op_number >= host->disk.checkpoint.op;
}

static int read_log(struct sim_host *host, bool trusted, const uint8_t boot[BOOT_ID_SIZE])
{
    const struct sim *sim = host->sim;
    const uint64_t faults = host->platter->faults;
    const size_t size = sim->options.log_memory_size;
    const uint64_t cluster_id = sim->configuration.cluster_id;
    struct wal_options options = {
        .directory = HOST_DIRECTORY,
        .owner = {cluster_id, sim->configuration.members[host->index].replica_id},
        .segment_size = sim->options.segment_size,
        .sector_size = SIM_DISK_SECTOR_SIZE,
        .base = {host->base.op_number, host->base.log},
        .refuse_truncated = trusted,
    };
    durable_state_expect(&host->disk, &options);
    struct vr_log staging;
    struct storage_error error;
    init_log(host, &host->log, sim_memory_room(&host->log_memory, size));
    init_log(host, &staging, sim_memory_room(&host->staging_memory, size));
    int status =
        wal_read(&host->wal, &host->ops, &options, &host->log, &staging, &host->found, &error);
    if (status != 0) {
        judge_refusal(host, status, error.text, faults);
    } else if (sim->options.replica_count == 1 && trusted && host->disk.incarnation > 0 &&
               durable_state_lost_log(&host->disk, &host->found, host->base.op_number, boot)) {
        sim_fail(host->sim, "a group of one refuses to start from its log");
    }
    return status;
}

/* As server/runtime/server.c has it. */
static int begin_log(struct sim_host *host, bool counts)
{
    struct storage_error error;
    int status = counts ? 0 : state_file_void_log(&host->state_file, &host->disk, &error);
    status = status == 0 ? wal_start(&host->wal, host->disk.incarnation + 1, &error) : status;
    if (status != 0) {
        wal_close(&host->wal);
    }
    return status;
}

static void count_found(struct sim_host *host, bool counts)
{
    struct sim_counts *c = &host->sim->counts;
    const struct wal_found *found = &host->found;
    c->logs_torn += found->torn_bytes > 0 ? 1 : 0;
    c->logs_resumed += counts ? 1 : 0;
    c->logs_faulty += counts && found->condition == WAL_FAULTY ? 1 : 0;
    c->logs_detached += found->detached ? 1 : 0;
    c->logs_broken += found->condition == WAL_BROKEN ? 1 : 0;
    c->switches_unfinished += found->unfinished_replacement ? 1 : 0;
    if (found->condition != WAL_INTACT) {
        trace_node(host->sim, host->index, "its log is %s: held %" PRIu64 " of %" PRIu64,
                   found->condition == WAL_FAULTY ? "faulty" : "broken", found->held_op,
                   found->head.op_number);
    }
}

static void open_queue(struct sim_host *host)
{
    const struct log_store_client client = {
        .context = host,
        .entry = host_log_entry,
        .chain = host_log_chain,
        .commit = host_log_commit,
    };
    const int status = log_queue_init(&host->queue, &client, LOG_QUEUE_SIZE_MIN, &host->found);
    INVARIANT(status == 0);
    host->queue.capacity = host->sim->options.log_queue_size / 64 * 64;
    host->log_open = true;
    host->half = NULL;
    host->log_write_scheduled = false;
    host->log_sync_scheduled = false;
}

/* G4: a checkpoint that was named took the place of a log that is another one at its op, so that
 * nothing behind that can have been committed. */
static bool is_superseded(const struct sim_host *host)
{
    const uint64_t base = host->base.op_number;
    return host->found.detached && base <= host->chain_op &&
           !checksum_equal(host->chain[base], host->base.log);
}

/* D5: who goes on with its log still claims all that it had reported durable. */
static void check_promise(struct sim_host *host)
{
    const struct wal_found *found = &host->found;
    const struct wal_head *promised = &host->promised;
    if (found->head.op_number < promised->op_number && !is_superseded(host)) {
        sim_fail(host->sim,
                 "D5: replica %u denies ops %" PRIu64 " to %" PRIu64
                 ", which it had reported durable",
                 host->index, found->head.op_number + 1, promised->op_number);
    } else if (promised->op_number > 0 && /* 0: it has promised nothing yet */
               promised->op_number <= found->held_op && promised->op_number >= host->log.base_op &&
               !vr_log_matches(&host->log, promised->op_number, promised->checksum)) {
        sim_fail(host->sim, "D5: replica %u has another entry at op %" PRIu64 " than it had",
                 host->index, promised->op_number);
    }
}

/* False: the disk failed, or ended the process, before the start was one. */
bool host_log_open(struct sim_host *host, enum vr_start *start)
{
    uint8_t id[BOOT_ID_SIZE];
    bool counts = false;
    const uint64_t faults = host->platter->faults;
    boot_id(host, id);
    host->found = (struct wal_found){.condition = WAL_INTACT};
    if (host_state_open(host) != 0 || (host->disk.diverged && host_rebuild(host) != 0) ||
        host_base_load(host) != 0 || host->sim->failed) {
        return false;
    }
    struct durable_state state = host->disk;
    if (host_on_disk(host)) {
        const bool trusted = durable_state_trusts_log(&state, id);
        if (read_log(host, trusted, id) != 0) {
            return false;
        }
        counts = trusted && host->found.condition != WAL_BROKEN && reaches_base(host) &&
                 reaches_named(host) && (host->found.segment_count > 0 || state.incarnation == 0);
        if (trusted && !counts && host->platter->faults != faults) {
            host->sim->counts.read_failures++; /* what cannot be read now is not lost */
            wal_close(&host->wal);
            return false;
        }
        if (begin_log(host, counts) != 0) {
            return false;
        }
        state = host->disk;
        open_queue(host);
        count_found(host, counts);
    }
    *start = durable_state_start(&state, host->durability, id, counts);
    state.log_segment = host_on_disk(host) ? host->wal.segment.number : 0;
    if (host->base.op_number == 0) {
        memset(&state.checkpoint, 0, sizeof state.checkpoint);
    }
    if (host_state_begin(host, &state) != 0 || host_base_tidy(host) != 0) {
        return false;
    }
    host->lost = *start == VR_START_RECOVER;
    if (*start == VR_START_RESUME) {
        check_promise(host);
    }
    return !host->sim->failed;
}

/* What it may not deny when it comes back. */
static void note_promise(struct sim_host *host)
{
    if (host->snapshot.lost_to > 0 && host->log_generation == 0) {
        host->promised = host->found.head; /* nothing has taken the place of what was lost */
    } else if (host->durable_op <= host->chain_op) {
        host->promised = (struct wal_head){host->durable_op, host->chain[host->durable_op]};
    }
}

void host_log_close(struct sim_host *host, enum sim_end end)
{
    if (host->running) {
        note_promise(host);
    }
    host_state_close(host);
    if (host->log_open) {
        log_queue_destroy(&host->queue);
        wal_close(&host->wal);
        host->log_open = false;
        host->half = NULL;
    }
    host->lost = host->lost || sim_host_would_forget(host, end);
    host->disk_armed = false;
    if (end == SIM_END_POWER) {
        host->boot++;
        sim_disk_power_cut(host->platter);
        host->sim->counts.machine_crashes++;
    } else {
        sim_disk_process_killed(host->platter);
    }
}

bool sim_host_would_forget(const struct sim_host *host, enum sim_end end)
{
    switch (host->durability) {
    case DURABILITY_SYNC:
        return false;
    case DURABILITY_ASYNC:
        return end == SIM_END_POWER && !host->disk.clean_shutdown;
    default:
        return true;
    }
}

void host_log_describe(const struct sim_host *host, struct vr_options *options)
{
    if (!host_log_reaches_base(host) || options->start == VR_START_INITIAL) {
        return;
    }
    options->log = &host->log;
    options->commit_number = host->found.commit_number;
    options->commit_known = host->found.commit_known;
    if (options->start == VR_START_RESUME && host->found.condition == WAL_FAULTY) {
        options->had = (struct vr_log_end){host->found.head.op_number, host->found.head.checksum};
    }
}
