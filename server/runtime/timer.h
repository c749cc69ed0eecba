/* SPDX-License-Identifier: Apache-2.0 */
/* timer.h - the thread that sleeps until the core's next deadline, and then puts one tick into the
 * inbox. After a stall that is one tick, not one for each missed (TH-4).
 *
 * It is woken early only when the deadline moves ahead of what it sleeps for, so heartbeats that
 * come in time cost it nothing. It also goes on with the core when a receiver has drained enough
 * (core.h).
 *
 * Threads: timer_wake() from any thread. */
#ifndef VR_RUNTIME_TIMER_H
#define VR_RUNTIME_TIMER_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "common/os/datagram_socket.h"

struct core;
struct receiver;

enum {
    TIMER_SLACK_NS = 500 * 1000, /* a deadline so little earlier wakes nobody */
    /* V1: before a tick, how long the peers' receiver may take to empty its socket. */
    TIMER_CATCH_UP_NS = 5 * 1000 * 1000,
    TIMER_CATCH_UP_STEP_NS = 100 * 1000,
};

struct timer {
    struct core *core;
    struct receiver *peers; /* what has arrived before a tick is stepped before it */
    /* Posted after `run`, `stopping` or the deadline changed. Not a condition: on Linux the mutex
     * of one is contended after each wait, so that every tick would cost two system calls more. */
    sem_t changed;
    atomic_uint_least64_t sleeping_until_ns; /* 0: awake */
    uint64_t ticks_posted;                   /* the thread's alone */
    atomic_bool run;                         /* the core wants to be run */
    atomic_bool stopping;
    bool running;
    pthread_t thread;
};

/* core and peers filled in, the rest zero. Whoever may call timer_wake() has to be gone before
 * timer_destroy(). */
void timer_init(struct timer *timer);
void timer_destroy(struct timer *timer);

/* Returns 0 or a negative errno. */
int timer_start(struct timer *timer);

/* The core's deadline may have changed; `run`: and there is more to drain. */
void timer_wake(struct timer *timer, bool run);

/* Ends the thread and joins it. */
void timer_stop(struct timer *timer);

#endif
