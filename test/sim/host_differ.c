/* SPDX-License-Identifier: Apache-2.0 */
/* A replica whose state differs from the others', as a bit of its memory that turns over makes it
 * (K4): it goes on, answers, cuts checkpoints and serves them, until its digest is compared. Then
 * it leaves, and comes back by --rebuild, as a person would have it. */
#include <inttypes.h>
#include <stdio.h>

#include "common/base/invariant.h"
#include "common/wire/kv_codec.h"
#include "test/sim/host_parts.h"
#include "test/sim/sim.h"
#include "test/sim/trace.h"

/* ---- it begins ---- */

/* What nobody asked for: a key that clients use, too, so that their next answers are wrong, or one
 * that nobody ever asks for. */
static size_t draw_wrong(struct sim_host *host, uint8_t *operation)
{
    const struct sim_options *o = &host->sim->options;
    struct prng *prng = &host->sim->nemesis.disk_prng;
    const uint32_t number = (uint32_t)prng_below(prng, o->key_count);
    const bool unused = prng_chance(prng, 1, 2);
    if (o->application == SIM_APPLICATION_ACCOUNTS) {
        return accounts_transfer(operation, number, (number + 1) % o->key_count, 1);
    }
    char key[16];
    char value[16];
    const int key_size = snprintf(key, sizeof key, unused ? "nobody%03u" : "key%03u", number);
    const int value_size = snprintf(value, sizeof value, "wrong%u", host->index);
    const struct kv_operation set = {
        .kind = KV_SET,
        .key = {(const uint8_t *)key, (size_t)key_size},
        .value = {(const uint8_t *)value, (size_t)value_size},
    };
    return kv_operation_encode(&set, operation);
}

/* Beside an entry's own operation: before it, so that its answer may be wrong, or after it. */
void host_differ(struct sim_host *host, const struct app_context *context)
{
    static uint8_t result[RESULT_SIZE_MAX]; /* too large for a stack */
    uint8_t operation[128];
    struct sim *sim = host->sim;
    const struct app *inner = &host->application.inner;
    const struct checksum before = inner->digest(inner->state);
    const size_t size = draw_wrong(host, operation);
    (void)inner->execute(inner->state, context, operation, size, result);
    if (checksum_equal(before, inner->digest(inner->state))) {
        return; /* nobody can tell: the next entry will do */
    }
    host->differ_armed = false;
    host->differs = true;
    host->suspect = true;
    sim->counts.differed++;
    trace_node(sim, host->index, "its state differs from op %" PRIu64 " on", context->op_number);
}

/* ---- what it says meanwhile ---- */

static bool is_known(const struct sim *sim, uint64_t op_number)
{
    return op_number < sim->digests.capacity && sim->digests.known[op_number];
}

static bool is_right(const struct sim *sim, const struct checkpoint_mark *mark)
{
    return is_known(sim, mark->op_number) &&
           checksum_equal(sim->digests.digests[mark->op_number], mark->digest);
}

/* I8, after an entry; one whose state differs may have come to be right again: what was wrong has
 * been overwritten. */
void host_check_digest(struct sim_host *host, uint64_t op_number)
{
    struct sim *sim = host->sim;
    const struct checkpoint_mark mark = {op_number, executor_digest(host->executor)};
    if (!host->differs) {
        sim_expect(sim, sim_check_digest(&sim->digests, host->index, op_number, mark.digest,
                                         &sim->report));
    } else if (is_right(sim, &mark)) {
        host->differs = false;
        trace_node(sim, host->index, "its state is right again at op %" PRIu64, op_number);
    }
}

/* A checkpoint is cut. */
void host_note_cut(struct sim_host *host, const struct checkpoint_id *id)
{
    host->taken_differs = host->differs;
    if (host->differs) {
        sim_differences_cut(&host->sim->differences,
                            &(struct checkpoint_mark){id->op_number, id->digest});
    }
}

static uint32_t count_differing(const struct sim *sim)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < sim->options.replica_count; i++) {
        count += sim->hosts[i].suspect ? 1 : 0;
    }
    return count;
}

/* Its state is that of a checkpoint, whoever cut it. */
void host_note_loaded(struct sim_host *host, const struct checkpoint_id *id)
{
    struct sim *sim = host->sim;
    const struct checkpoint_mark mark = {id->op_number, id->digest};
    host->differs = !is_right(sim, &mark) && sim_differences_has_cut(&sim->differences, &mark);
    if (!host->differs) {
        sim_expect(sim, sim_check_digest(&sim->digests, host->index, id->op_number, id->digest,
                                         &sim->report));
        return;
    }
    host->suspect = true;
    sim->counts.differences_loaded++;
    trace_node(sim, host->index, "the checkpoint of op %" PRIu64 " that it has loaded is wrong",
               id->op_number);
    if (count_differing(sim) > configuration_faults_max(&sim->configuration)) {
        sim->differences.spread = true;
    }
}

/* ---- it leaves ---- */

/* K4: only whose state is not the one that the others have. */
void host_note_diverged(struct sim_host *host, const struct vr_output *output)
{
    struct sim *sim = host->sim;
    const struct checkpoint_mark own = {output->diverged.op_number, output->diverged.own};
    if (!output->diverged.state) {
        sim_fail(sim, "N7: replica %u found itself diverged at op %" PRIu64, host->index,
                 own.op_number);
    } else if (is_right(sim, &own) || !sim_differences_has_cut(&sim->differences, &own)) {
        sim_fail(sim,
                 "K4: replica %u leaves service at op %" PRIu64
                 " though its state is what everybody's is",
                 host->index, own.op_number);
    }
    host->leaving = true;
}

/* As server/runtime ends it: the state file says so, unless the process is ended before. */
void host_leave(struct sim_host *host)
{
    struct sim *sim = host->sim;
    struct prng *prng = &sim->nemesis.disk_prng;
    host->leaving = false;
    sim->counts.diverged++;
    trace_node(sim, host->index, "has diverged, and leaves service");
    if (prng_chance(prng, 3, 4)) {
        (void)host_state_diverge(host);
    }
    sim_host_crash(host, SIM_END_KILLED);
    sim_schedule_add(&sim->schedule, (struct sim_event){.at_ns = host_now_ns(host) + 50 * SIM_MS +
                                                                 prng_below(prng, SIM_S),
                                                        .kind = SIM_EVENT_RESTART,
                                                        .node = host->index});
}

/* ---- it comes back ---- */

/* As server/runtime/server_rebuild.c asks: enough of the others hold what it forgets. */
bool sim_host_may_rebuild(const struct sim_host *host)
{
    const struct sim *sim = host->sim;
    uint32_t normal = 0;
    for (uint32_t i = 0; i < sim->options.replica_count; i++) {
        const struct sim_host *other = &sim->hosts[i];
        normal += other != host && other->running && other->snapshot.status == STATUS_NORMAL;
    }
    return normal >= sim->options.replica_count - configuration_quorum(&sim->configuration) + 1;
}

/* All that it has is forgotten. 0, or a negative errno: then it is as it was, and can be again. */
int host_rebuild(struct sim_host *host)
{
    struct storage_error error;
    const int status = wal_remove(&host->ops, HOST_DIRECTORY, &error);
    if (status != 0) {
        return status;
    }
    struct durable_state state = host->disk;
    durable_state_rebuild(&state);
    host->promised = (struct wal_head){.op_number = 0};
    host->checkpoint_rotten = false;
    host->lost = true;
    host->sim->counts.rebuilt++;
    trace_node(host->sim, host->index, "is rebuilt");
    return host_state_begin(host, &state);
}

/* ---- the verdict ---- */

static const struct checkpoint_id *wrong_checkpoint(const struct sim_host *host)
{
    for (uint32_t i = 0; i < host->kept_count && i < 2; i++) {
        const struct checkpoint_id *id = &host->kept[i];
        const struct checkpoint_mark mark = {id->op_number, id->digest};
        if (is_known(host->sim, id->op_number) && !is_right(host->sim, &mark)) {
            return id;
        }
    }
    return NULL;
}

/* K4: some time after faults ended nobody is left that has another state than a quorum of others
 * told it of. */
void sim_hosts_judge_differences(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->options.replica_count; i++) {
        const struct sim_host *host = &sim->hosts[i];
        const struct checkpoint_id *wrong = host->running ? wrong_checkpoint(host) : NULL;
        uint32_t against = 0;
        for (uint32_t j = 0; wrong != NULL && j < sim->options.replica_count; j++) {
            const struct sim_host *other = &sim->hosts[j];
            const struct checkpoint_mark mark = {other->kept[0].op_number, other->kept[0].digest};
            against += j != i && other->running && other->kept_count > 0 &&
                       mark.op_number == wrong->op_number && is_right(sim, &mark);
        }
        if (against >= configuration_quorum(&sim->configuration)) {
            sim_fail(sim,
                     "K4: replica %u is in service, and its state is another one than %u others "
                     "had at op %" PRIu64,
                     i, against, wrong->op_number);
        }
    }
}
