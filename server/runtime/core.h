/* SPDX-License-Identifier: Apache-2.0 */
/* core.h - the protocol core among threads: one lock, and whoever has something for it drives it.
 *
 * Nobody waits for the lock. Who put events into the inbox tries it; who gets it drains:
 * completions, then the peers' messages, then the clients', a step each, then a tick that was due,
 * then one flush. Who does not get it leaves its events to the holder, who looks at the inbox once
 * more after unlocking. That is enough: both the look and the putting pass through the inbox's
 * mutex. If the look comes first, the lock was free before the events were put there, so trying it
 * succeeds; if it comes second, it sees them.
 *
 * Nothing that waits for a disk, a name server or an application happens under this lock (TH-3).
 *
 * Threads:   core_run() from any thread; what is said to be the holder's, from under the lock only.
 * Ownership: outputs borrow from the replica, so they are carried out before the next step. */
#ifndef VR_RUNTIME_CORE_H
#define VR_RUNTIME_CORE_H

#include <pthread.h>
#include <stdatomic.h>

#include "server/runtime/checkpointer.h"
#include "server/runtime/execution.h"
#include "server/runtime/health.h"
#include "server/runtime/inbox.h"
#include "server/runtime/outbox.h"
#include "server/runtime/recorder.h"
#include "server/runtime/state_writer.h"
#include "server/storage/log_store.h"
#include "server/vr/vr.h"

enum {
    CORE_LANE_MAX = 256, /* messages of one lane between two flushes */
    CORE_RUN_MAX = 8,    /* drains by one thread in a row; then the timer's thread takes over */
};

struct core {
    pthread_mutex_t lock; /* guards all below but what is atomic */
    struct replica *replica;
    struct inbox *inbox;
    struct outbox peers;   /* the peers' socket, number OUTBOX_CORE */
    struct outbox clients; /* the clients' socket, number OUTBOX_CORE */
    struct execution *execution;
    struct state_writer *state_writer;
    struct checkpointer *checkpointer;
    struct log_store log_store;
    struct health *health;

    struct configuration configuration;
    uint32_t self;                                   /* own member index */
    struct net_address peer_addresses[REPLICAS_MAX]; /* by member index, resolved at start */
    struct recorder recorder;

    struct vr_outputs outputs; /* of the call under way */
    uint64_t log_generation;   /* storage completed this during the last outputs: not stepped yet */
    uint64_t log_op;
    bool log_completed;
    bool pushed; /* the executor has to go on */
    bool halted; /* a stop was stepped: nothing is driven any more */

    atomic_uint_least64_t deadline_ns; /* when the next tick is due */
    atomic_uint_least64_t ticks;       /* stepped so far */
    atomic_uint_least64_t drains;

    /* N7, K4: this replica has diverged, which has been logged. */
    void (*diverged)(void *context);

    /* Tells the timer that the deadline moved, or (true) that it should run the core itself. */
    void (*wake_timer)(void *context, bool run);
    void *wake_context;
};

/* Everything above `outputs` and the timer's wake-up filled in, the rest zero. */
void core_init(struct core *core);
void core_destroy(struct core *core);

/* Says what the replica has to say at first. state_writer, execution and timer run already. */
void core_start(struct core *core);

/* Whose thread it is. A receiver may execute what was committed, if that is quick (execution.h).
 * The timer, the log's writer and the like have something to do that nobody does for them. */
enum core_runner {
    CORE_RECEIVER,
    CORE_OTHER,
};

/* Drives the core as long as there is something to do, unless somebody else does. */
void core_run(struct core *core, enum core_runner runner);

/* Steps a stop (V1: Goodbye) and drives the core no more. Waits for the holder of the lock. */
void core_halt(struct core *core);

/* A log store's callbacks; context is the core. `durable` comes from under the lock for a store
 * that completes at once. */
const uint8_t *core_log_entry(void *context, uint64_t op_number, size_t *size);
struct checksum core_log_chain(void *context, uint64_t op_number);
uint64_t core_log_commit(void *context);
void core_log_durable(void *context, uint64_t generation, uint64_t op_number);

#endif
