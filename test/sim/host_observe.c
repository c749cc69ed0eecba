/* SPDX-License-Identifier: Apache-2.0 */
/* What the checkers see of a replica, after every step. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/invariant.h"
#include "test/sim/host_parts.h"
#include "test/sim/sim.h"
#include "test/sim/trace.h"

static void chain_grow(struct sim_host *host, uint64_t op_number)
{
    if (op_number >= host->chain_capacity) {
        const size_t capacity = 2 * op_number + 4096;
        host->chain = realloc(host->chain, capacity * sizeof *host->chain);
        INVARIANT(host->chain != NULL);
        host->chain_capacity = capacity;
    }
}

/* Works out the chain's checksums behind `op`, from the bytes that the log holds. */
static void chain_extend(struct sim_host *host, uint64_t op, uint64_t op_number)
{
    const uint64_t cluster_id = host->sim->configuration.cluster_id;
    chain_grow(host, op_number);
    while (op < op_number) {
        op++;
        size_t size;
        const uint8_t *bytes = vr_log_bytes(host->replica, op, &size);
        if (bytes == NULL) {
            sim_fail(host->sim, "replica %u has no entry at op %" PRIu64 " of %" PRIu64,
                     host->index, op, op_number);
            return;
        }
        const struct checksum checksum =
            entry_checksum(cluster_id, host->chain[op - 1], bytes, size);
        if (op <= host->chain_op && op <= host->durable_op &&
            !checksum_equal(checksum, host->chain[op])) {
            host->durable_op = op - 1; /* the core has cut it; its write comes with the flush */
        }
        host->chain[op] = checksum;
    }
}

/* The log is another one up to there: a checkpoint took its place. */
void host_chain_replace(struct sim_host *host, const struct checksum *checksums, uint64_t op_number)
{
    chain_grow(host, op_number);
    memcpy(host->chain, checksums, (size_t)(op_number + 1) * sizeof *checksums);
    host->chain_op = op_number;
}

/* Brings chain[] up to the log's head. What is committed is never cut (S3), so if the log was cut,
 * everything above the last commit_number seen is worked out again. */
static void chain_follow(struct sim_host *host, uint64_t committed)
{
    const uint64_t op_number = host->snapshot.op_number;
    const struct checksum head = host->snapshot.head_checksum;
    if (op_number <= host->chain_op && checksum_equal(host->chain[op_number], head)) {
        host->chain_op = op_number;
        return;
    }
    if (op_number > host->chain_op) {
        chain_extend(host, host->chain_op, op_number);
    }
    if (!checksum_equal(host->chain[op_number], head)) {
        chain_extend(host, committed < op_number ? committed : op_number, op_number);
    }
    if (!checksum_equal(host->chain[op_number], head)) {
        sim_fail(host->sim,
                 "the head checksum of replica %u at op %" PRIu64
                 " does not follow from its entries",
                 host->index, op_number);
    }
    host->chain_op = op_number;
}

/* Entries committed here for the first time anywhere go to the model. */
static void note_commits(struct sim_host *host, uint64_t from_op)
{
    struct sim *sim = host->sim;
    for (uint64_t op = from_op + 1; op <= sim->history.committed && !sim->failed; op++) {
        size_t size;
        const uint8_t *bytes = vr_log_bytes(host->replica, op, &size);
        struct entry entry;
        INVARIANT(bytes != NULL);
        INVARIANT(entry_decode(bytes, size, &entry) == size);
        sim_model_execute(&sim->model, &entry);
        sim_expect(sim, sim_check_late_commit(&sim->views, &sim->history, op,
                                              host->observed.last_normal_view, &sim->report));
    }
}

static void check_view(struct sim_host *host)
{
    struct sim *sim = host->sim;
    const struct sim_observed *observed = &host->observed;
    bool started;
    const uint32_t primary = configuration_primary(&sim->configuration, observed->view_number);
    sim_expect(sim, sim_check_acting_primary(&sim->views, &sim->history, observed, primary,
                                             &started, &sim->report));
    if (started) {
        sim_expect(sim, sim_check_view_start(&sim->history, observed, &sim->report));
        sim->counts.views_started++;
        trace_node(sim, host->index, "starts view %" PRIu64,
                   view_within_epoch(observed->view_number));
    }
    /* D5: it may know that it lacks some of it; and the primary of a view that nobody began may
     * have got as far as its own disk before it ended (P1). */
    const bool begun = sim_views_find(&sim->views, observed->view_number) != NULL;
    if (host->snapshot.lost_to == 0 && (begun || primary != host->index || !host->resumed)) {
        sim_expect(sim, sim_check_holds_view_start(&sim->views, observed, &sim->report));
    }
    for (uint32_t i = 0; i < sim->options.replica_count; i++) {
        if (i != host->index && sim->hosts[i].running) {
            sim_expect(sim, sim_check_prefix(observed, &sim->hosts[i].observed, &sim->report));
        }
    }
}

/* Entries that a primary took although they have to wait: those that its view began with do not
 * count (N3). */
static uint64_t waiting_entries(const struct sim_host *host)
{
    const struct vr_snapshot *s = &host->snapshot;
    const struct sim_view *view = sim_views_find(&host->sim->views, s->view_number);
    if (!s->acting_primary || view == NULL) {
        return 0;
    }
    const uint64_t from = view->start_op > s->commit_number ? view->start_op : s->commit_number;
    return s->op_number - from;
}

static void check_bounds(struct sim_host *host)
{
    const struct sim *sim = host->sim;
    const struct vr_snapshot *s = &host->snapshot;
    const struct sim_bound bounds[] = {
        {"log memory", s->log_bytes, sim->options.log_memory_size},
        {"execution lag", host->execute_to - s->executed_op, sim->options.execute_lag_max},
        {"the queue of requests", waiting_entries(host),
         (uint64_t)sim->options.pipeline_max + sim->options.request_queue_max},
        {"outputs", host->outputs.count, VR_OUTPUTS_MAX},
    };
    sim_expect(host->sim, sim_check_bounds(host->index, bounds, sizeof bounds / sizeof bounds[0],
                                           &host->sim->report));
}

static bool same(const struct sim_observed *a, const struct sim_observed *b)
{
    return a->status == b->status && a->acting_primary == b->acting_primary &&
           a->view_number == b->view_number && a->last_normal_view == b->last_normal_view &&
           a->op_number == b->op_number && a->commit_number == b->commit_number &&
           checksum_equal(a->head_checksum, b->head_checksum);
}

/* D5: what the disk had lost is there again. */
static void note_repair(struct sim_host *host)
{
    const struct vr_snapshot *s = &host->snapshot;
    if (host->was_faulty && s->lost_to == 0) {
        host->sim->counts.logs_repaired++;
        host->was_faulty = false;
    }
    if (host->rotten && s->lost_to == 0 && s->status == STATUS_NORMAL) {
        host->rotten = false;
    }
}

/* After every step: reads the replica, and lets the checkers judge what changed. */
void host_observe(struct sim_host *host)
{
    struct sim *sim = host->sim;
    const struct sim_observed before = host->observed;
    vr_snapshot(host->replica, &host->snapshot);
    const struct vr_snapshot *s = &host->snapshot;
    host->observed = (struct sim_observed){
        .replica = host->index,
        .incarnation = host->disk.incarnation,
        .status = s->status,
        .acting_primary = s->acting_primary,
        .view_number = s->view_number,
        .last_normal_view = s->last_normal_view,
        .op_number = s->op_number,
        .commit_number = s->commit_number,
        .executed_op = s->executed_op,
        .head_checksum = s->head_checksum,
        .commit_checksum = s->commit_checksum,
    };
    check_bounds(host);
    note_repair(host);
    if (same(&before, &host->observed)) {
        host->observed.chain = host->chain;
        return;
    }
    chain_follow(host, before.commit_number);
    host->observed.chain = host->chain;
    if (sim->failed) {
        return;
    }
    trace_observed(sim, &before, &host->observed);
    sim_expect(sim, sim_check_state(&host->observed, &sim->report));
    sim_expect(sim, sim_check_progress(&before, &host->observed, &sim->report));
    const uint64_t committed = sim->history.committed;
    sim_expect(sim, sim_check_agreement(&sim->history, &host->observed, before.commit_number,
                                        &sim->report));
    note_commits(host, committed);
    check_view(host);
    if (host->was_recovering && s->status != STATUS_RECOVERING) {
        host->was_recovering = false;
        host->lost = false;
        sim->counts.recoveries++;
    }
}

/* What a process knows right after its start. */
void host_observe_start(struct sim_host *host)
{
    const struct checksum chain_start = entry_chain_start(host->sim->configuration.cluster_id);
    chain_grow(host, 0);
    host->chain[0] = chain_start;
    host->chain_op = 0;
    host->reported =
        (struct sim_durable){host->disk.vr.view_number, host->disk.vr.last_normal_view};
    const bool based = host->base.op_number > 0;
    if (based) {
        host_chain_replace(host, host->sim->history.checksums, host->base.op_number);
    }
    host->observed = (struct sim_observed){
        .replica = host->index,
        .incarnation = host->disk.incarnation,
        .view_number = host->reported.view_number,
        .last_normal_view = host->reported.last_normal_view,
        .op_number = host->base.op_number,
        .commit_number = host->base.op_number,
        .executed_op = host->base.op_number,
        .head_checksum = based ? host->base.log : chain_start,
        .commit_checksum = based ? host->base.log : chain_start,
        .chain = host->chain,
    };
}
