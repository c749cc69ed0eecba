/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/flood_lane.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/memory.h"
#include "client/lib/explain.h"
#include "common/base/invariant.h"
#include "common/os/clock.h"
#include "common/os/memory.h"
#include "common/os/thread.h"

enum {
    READBACK_ATTEMPTS = 3, /* at one key, a whole timeout each */
    GRACE_MS = 1000,       /* for what is in flight when the time is over, unless verifying */
};

/* ---- errors ---- */

/* More of the same would not help. */
static bool is_fatal(enum proxy_error error)
{
    return error == PROXY_ERROR_WRONG_CLUSTER || error == PROXY_ERROR_WRONG_VERSION ||
           error == PROXY_ERROR_WRONG_PORT || error == PROXY_ERROR_TOO_LARGE ||
           error == PROXY_ERROR_PAYLOAD_MISMATCH;
}

static void note_error(struct lane *lane, const struct lane_slot *slot,
                       const struct driver_done *done)
{
    struct flood_shared *shared = lane->shared;
    const bool never_answered = atomic_load(&shared->last_ack_ns) == 0;
    mutex_lock(&shared->mutex);
    if (!shared->has_error) {
        const struct explain_request request = {
            .outcome = done->outcome,
            .error = done->error,
            .submitted_ns = slot->begun_ns,
            .now_ns = lane->now_ns,
            .size = slot->workload.operation_size,
        };
        shared->has_error = true;
        shared->first_error = done->error;
        shared->first_outcome = done->outcome;
        explain_failure(proxy_view(lane->driver.proxy), &request, shared->error_text,
                        sizeof shared->error_text);
    }
    mutex_unlock(&shared->mutex);
    if (is_fatal(done->error) || never_answered) {
        atomic_store(&shared->stopping, true);
    }
}

/* ---- one operation after the other ---- */

static void submit(struct lane *lane, uint32_t session, uint64_t since_ns)
{
    struct lane_slot *slot = &lane->slots[session];
    slot->begun_ns = lane->now_ns;
    slot->since_ns = since_ns;
    slot->in_flight = true;
    const struct proxy_read read = {.mode = READ_LINEARIZABLE};
    const uint64_t deadline_ns = lane->now_ns + lane->shared->timeout_ns;
    if (slot->workload.is_read) {
        driver_submit_read(&lane->driver, session, slot->workload.operation,
                           slot->workload.operation_size, &read, deadline_ns, lane->now_ns);
    } else {
        driver_submit(&lane->driver, session, slot->workload.operation,
                      slot->workload.operation_size, false, deadline_ns, lane->now_ns);
    }
}

/* False if --count is used up. */
static bool take_from_budget(struct flood_shared *shared)
{
    if (shared->options->count == 0) {
        return true;
    }
    uint_least64_t left = atomic_load(&shared->budget);
    while (left > 0 && !atomic_compare_exchange_weak(&shared->budget, &left, left - 1)) {
    }
    return left > 0;
}

static bool is_open_loop(const struct lane *lane)
{
    return lane->shared->options->rate > 0;
}

static bool is_stopping(const struct lane *lane)
{
    return atomic_load_explicit(&lane->shared->stopping, memory_order_relaxed);
}

static void become_idle(struct lane *lane, uint32_t session)
{
    INVARIANT(lane->idle_count < lane->slot_count);
    lane->idle[(lane->idle_head + lane->idle_count++) % lane->slot_count] = session;
}

/* True if this session, which is free, has something to begin; and since when it should have. */
static bool take_turn(struct lane *lane, uint32_t session, uint64_t *since_ns)
{
    *since_ns = lane->now_ns;
    if (is_stopping(lane)) {
        return false;
    }
    if (!is_open_loop(lane)) {
        return take_from_budget(lane->shared);
    }
    if (pace_take(&lane->pace, lane->now_ns, since_ns)) {
        return take_from_budget(lane->shared);
    }
    become_idle(lane, session);
    return false;
}

static void begin_next(struct lane *lane, uint32_t session)
{
    struct lane_slot *slot = &lane->slots[session];
    uint64_t since_ns;
    if (lane->reading_back) {
        if (workload_next_readback(&slot->workload)) {
            slot->attempts = 1;
            submit(lane, session, lane->now_ns);
        }
    } else if (take_turn(lane, session, &since_ns)) {
        workload_next(&slot->workload);
        submit(lane, session, since_ns);
    }
}

/* With --rate: what is due now, as long as sessions are free. */
static void begin_due(struct lane *lane)
{
    while (lane->idle_count > 0 && pace_next_ns(&lane->pace) <= lane->now_ns) {
        const uint32_t session = lane->idle[lane->idle_head];
        lane->idle_head = (lane->idle_head + 1) % lane->slot_count;
        lane->idle_count--;
        begin_next(lane, session);
    }
}

static void judge(struct lane *lane, struct lane_slot *slot, const struct driver_done *done)
{
    struct flood_stats *stats = &lane->stats;
    char violation[VIOLATION_MAX];
    switch (
        workload_judge(&slot->workload, done->result, done->result_size, &lane->arena, violation)) {
    case WORKLOAD_FINE:
        return;
    case WORKLOAD_REFUSED:
        stats->refused++;
        return;
    case WORKLOAD_VIOLATION:
        if (stats->violation_count < FLOOD_VIOLATIONS_KEPT) {
            memcpy(stats->violations[stats->violation_count], violation, sizeof violation);
        }
        stats->violation_count++;
        return;
    }
}

static void count_ack(struct lane *lane, const struct lane_slot *slot)
{
    lane->acked = true;
    if (!lane->reading_back &&
        slot->since_ns >=
            atomic_load_explicit(&lane->shared->measure_from_ns, memory_order_relaxed)) {
        lane->stats.ops++;
        histogram_record(&lane->stats.latency, lane->now_ns - slot->since_ns);
    }
}

static void note_view(struct lane *lane, uint64_t view_number)
{
    lane->stats.view_number = view_number;
    uint_least64_t known = atomic_load_explicit(&lane->shared->view_number, memory_order_relaxed);
    while (view_number > known &&
           !atomic_compare_exchange_weak(&lane->shared->view_number, &known, view_number)) {
    }
}

static void operation_done(void *context, const struct driver_done *done)
{
    struct lane *lane = context;
    struct lane_slot *slot = &lane->slots[done->session];
    struct flood_stats *stats = &lane->stats;
    slot->in_flight = false;
    stats->retries += done->retries;
    note_view(lane, done->view_number);
    if (done->outcome == PROXY_OK) {
        count_ack(lane, slot);
        judge(lane, slot, done);
        stats->readback_keys += lane->reading_back ? 1 : 0;
        begin_next(lane, done->session);
        return;
    }
    note_error(lane, slot, done);
    if (lane->reading_back && slot->attempts++ < READBACK_ATTEMPTS) {
        submit(lane, done->session, lane->now_ns);
        return;
    }
    stats->unread_keys += lane->reading_back ? 1 : 0;
    if (!lane->reading_back && done->outcome == PROXY_UNKNOWN) {
        stats->unknown[done->error]++;
    } else if (!lane->reading_back) {
        stats->failed[done->error]++;
    }
    begin_next(lane, done->session);
}

/* ---- the thread ---- */

/* Gaps between acknowledgements are those of all lanes together. */
static void note_acks(struct lane *lane)
{
    if (!lane->acked || lane->reading_back) {
        return;
    }
    struct flood_shared *shared = lane->shared;
    const uint64_t last_ns = atomic_exchange(&shared->last_ack_ns, lane->now_ns);
    const uint64_t measured_ns = atomic_load(&shared->measure_from_ns);
    const uint64_t since_ns = last_ns > measured_ns ? last_ns : measured_ns;
    if (lane->now_ns > since_ns && lane->now_ns - since_ns > lane->stats.longest_gap_ns) {
        lane->stats.longest_gap_ns = lane->now_ns - since_ns;
    }
}

/* Until an answer is there, or the next operation is due. */
static uint64_t wait_ns(const struct lane *lane)
{
    const uint64_t usual_ns = driver_wait_ns(&lane->driver, lane->now_ns);
    if (!is_open_loop(lane) || lane->idle_count == 0 || lane->reading_back || is_stopping(lane)) {
        return usual_ns;
    }
    const uint64_t next_ns = pace_next_ns(&lane->pace);
    const uint64_t until_ns = next_ns > lane->now_ns ? next_ns - lane->now_ns : 0;
    return until_ns < usual_ns ? until_ns : usual_ns;
}

/* What no session was free for is in no latency until it was answered, so it is told. */
static void note_overdue(struct lane *lane)
{
    const uint64_t next_ns = pace_next_ns(&lane->pace);
    lane->stats.overdue = pace_overdue(&lane->pace, lane->now_ns);
    lane->stats.overdue_ns = lane->now_ns > next_ns ? lane->now_ns - next_ns : 0;
}

static void step(struct lane *lane)
{
    const bool paced = is_open_loop(lane) && !lane->reading_back && !is_stopping(lane);
    driver_wait(&lane->driver, wait_ns(lane));
    mutex_lock(&lane->mutex);
    lane->now_ns = clock_monotonic_ns();
    lane->acked = false;
    if (paced) {
        begin_due(lane);
    }
    driver_step(&lane->driver, lane->now_ns); /* sends what that began, too */
    if (paced && !is_stopping(lane)) {
        note_overdue(lane);
    }
    note_acks(lane);
    mutex_unlock(&lane->mutex);
}

static void begin_all(struct lane *lane)
{
    mutex_lock(&lane->mutex);
    lane->now_ns = clock_monotonic_ns();
    for (uint32_t i = 0; i < lane->slot_count; i++) {
        begin_next(lane, i);
    }
    driver_flush(&lane->driver, lane->now_ns);
    mutex_unlock(&lane->mutex);
}

/* Something is in flight or, with --rate, will be. */
static bool is_loading(const struct lane *lane)
{
    return lane->driver.in_flight_count > 0 ||
           (is_open_loop(lane) && lane->idle_count > 0 && !is_stopping(lane) &&
            (lane->shared->options->count == 0 || atomic_load(&lane->shared->budget) > 0));
}

static void load(struct lane *lane)
{
    uint64_t grace_until_ns = UINT64_MAX;
    pace_init(&lane->pace, lane->pace.per_second, clock_monotonic_ns());
    begin_all(lane);
    while (is_loading(lane) && lane->now_ns < grace_until_ns) {
        step(lane);
        if (grace_until_ns == UINT64_MAX && is_stopping(lane) && !lane->shared->options->verify) {
            grace_until_ns = lane->now_ns + GRACE_MS * NANOSECONDS_PER_MILLISECOND;
        }
    }
}

static void read_back(struct lane *lane)
{
    lane->reading_back = true;
    begin_all(lane);
    while (lane->driver.in_flight_count > 0) {
        step(lane);
    }
}

static void *run(void *argument)
{
    struct lane *lane = argument;
    load(lane);
    atomic_fetch_sub(&lane->shared->lanes_loading, 1);
    if (lane->shared->options->verify && atomic_load(&lane->shared->last_ack_ns) != 0) {
        read_back(lane);
    }
    atomic_fetch_sub(&lane->shared->lanes_running, 1);
    return NULL;
}

/* ---- starting and joining ---- */

static void destroy(struct lane *lane)
{
    for (uint32_t i = 0; i < lane->slot_count; i++) {
        workload_free(&lane->slots[i].workload);
    }
    free(lane->slots);
    free(lane->idle);
    memory_release(lane->arena.memory, lane->arena.size);
    mutex_destroy(&lane->mutex);
}

int lane_start(struct lane *lane, struct flood_shared *shared, const struct cluster_list *list,
               uint32_t first_session, uint32_t session_count)
{
    memset(lane, 0, sizeof *lane);
    lane->shared = shared;
    const struct driver_options options = {
        .seeds = list->addresses,
        .seed_count = list->count,
        .sessions_max = session_count,
        .datagram_size = shared->datagram_size,
        .done = operation_done,
        .context = lane,
    };
    int error = driver_open(&lane->driver, &options);
    if (error != 0) {
        return error;
    }
    mutex_init(&lane->mutex);
    void *memory = memory_reserve(KV_ARENA_SIZE);
    arena_init(&lane->arena, memory, memory != NULL ? KV_ARENA_SIZE : 0);
    lane->slots = must_calloc(session_count, sizeof(struct lane_slot));
    lane->slot_count = session_count;
    lane->idle = must_calloc(session_count, sizeof *lane->idle);
    lane->pace.per_second =
        (double)shared->options->rate * session_count / shared->options->clients;
    for (uint32_t i = 0; i < session_count; i++) {
        const uint32_t session = driver_open_session(&lane->driver);
        INVARIANT(session < session_count);
        workload_init(&lane->slots[session].workload, shared->options, shared->run,
                      first_session + i);
    }
    atomic_fetch_add(&shared->lanes_loading, 1);
    atomic_fetch_add(&shared->lanes_running, 1);
    error = thread_start(&lane->thread, "flood", run, lane);
    if (error != 0) {
        atomic_fetch_sub(&shared->lanes_loading, 1);
        atomic_fetch_sub(&shared->lanes_running, 1);
        driver_close(&lane->driver);
        destroy(lane);
    }
    return error;
}

void lane_add_stats(struct lane *lane, struct flood_stats *all)
{
    mutex_lock(&lane->mutex);
    flood_stats_add(all, &lane->stats);
    mutex_unlock(&lane->mutex);
}

void lane_join(struct lane *lane)
{
    thread_join(lane->thread);
    driver_close(&lane->driver);
    destroy(lane);
}
