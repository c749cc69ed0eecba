/* SPDX-License-Identifier: Apache-2.0 */
#include "server/runtime/timer.h"

#include "common/os/clock.h"
#include "common/os/thread.h"
#include "server/runtime/core.h"
#include "server/runtime/receiver.h"

/* V1, TH-3: heartbeats that wait in the kernel while this process did not run must be stepped
 * before a tick concludes that none came. Bounded: under a flood of peers there is always
 * something. */
static void let_peers_catch_up(const struct timer *timer)
{
    const uint64_t give_up_ns = clock_monotonic_ns() + TIMER_CATCH_UP_NS;
    const uint64_t batches = receiver_batches(timer->peers);
    /* Two batches on, whatever had arrived when we asked has been seen, or is beyond our means. */
    while (receiver_batches(timer->peers) < batches + 2 && receiver_behind(timer->peers) &&
           clock_monotonic_ns() < give_up_ns) {
        clock_sleep_ns(TIMER_CATCH_UP_STEP_NS);
    }
}

/* When the next tick is due: not before the last one was stepped. A drain stores the deadline
 * before it counts its tick, so who sees the tick sees the deadline that it left. */
static uint64_t next_tick_ns(const struct timer *timer)
{
    const bool stepped = atomic_load(&timer->core->ticks) == timer->ticks_posted;
    return stepped ? atomic_load(&timer->core->deadline_ns) : UINT64_MAX;
}

/* Sleeps until a tick is due (true), or the core wants to be run or all ends (false).
 *
 * A drain stores deadline and ticks, then reads sleeping_until_ns; here sleeping_until_ns is
 * stored, then those are read: in whatever order, one of the two sees the other (all are seq_cst).
 */
static bool wait_for_tick(struct timer *timer)
{
    while (!atomic_exchange(&timer->run, false) && !atomic_load(&timer->stopping)) {
        const uint64_t until_ns = next_tick_ns(timer);
        atomic_store(&timer->sleeping_until_ns, until_ns);
        if (next_tick_ns(timer) < until_ns) {
            continue;
        }
        /* The deadline may have moved on while we slept. */
        if (!semaphore_wait_until(&timer->changed, until_ns) &&
            clock_monotonic_ns() >= next_tick_ns(timer)) {
            return true;
        }
    }
    return false;
}

static void *run(void *argument)
{
    struct timer *timer = argument;
    while (!atomic_load(&timer->stopping)) {
        const bool due = wait_for_tick(timer);
        atomic_store(&timer->sleeping_until_ns, 0);
        if (due) {
            let_peers_catch_up(timer);
            timer->ticks_posted++;
            inbox_post_tick(timer->core->inbox);
        }
        core_run(timer->core, CORE_OTHER);
    }
    return NULL;
}

void timer_init(struct timer *timer)
{
    semaphore_init(&timer->changed);
}

void timer_destroy(struct timer *timer)
{
    semaphore_destroy(&timer->changed);
}

int timer_start(struct timer *timer)
{
    const int error = thread_start(&timer->thread, "vr-timer", run, timer);
    timer->running = error == 0;
    return error;
}

void timer_wake(struct timer *timer, bool run_core)
{
    const uint64_t deadline_ns = atomic_load(&timer->core->deadline_ns);
    const uint64_t sleeping_until_ns = atomic_load(&timer->sleeping_until_ns);
    if (!run_core &&
        (sleeping_until_ns == 0 || sleeping_until_ns - TIMER_SLACK_NS <= deadline_ns)) {
        return;
    }
    if (run_core) {
        atomic_store(&timer->run, true);
    }
    semaphore_post(&timer->changed);
}

void timer_stop(struct timer *timer)
{
    if (!timer->running) {
        return;
    }
    atomic_store(&timer->stopping, true);
    semaphore_post(&timer->changed);
    thread_join(timer->thread);
    timer->running = false;
}
