/* SPDX-License-Identifier: Apache-2.0 */
/* inbox.h - what waits for the core: two lanes of messages, peers before clients (M5), and slots
 * for what must never be lost or wait in a line: ticks, completions, the stop.
 *
 * A lane is a ring of bytes. Its receiver decodes each message straight into the ring's free end -
 * message and everything it borrows lie in one piece - and publishes a whole batch at once; the
 * core steps messages where they lie, then gives the room back. So nothing is copied or allocated,
 * and a full lane refuses, as UDP would.
 *
 * The slots cannot fill up: of ticks one is enough, and completions are cumulative, so only the
 * newest of each counts.
 *
 * Threads:   each lane has one producer, its receiver; slots may be set by anyone; the holder of
 * the core lock is the one consumer. `mutex` guards what they share and is held for a few loads and
 * stores. That both sides pass through it is also why no wake-up is lost: see core_run(). Memory:
 * one region per lane, reserved at init, touched as it fills; a lane that runs empty starts at its
 * beginning again, so that a quiet one stays in the cache. */
#ifndef VR_RUNTIME_INBOX_H
#define VR_RUNTIME_INBOX_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/message.h"
#include "common/wire/arena.h"

enum lane_kind {
    LANE_PEERS,
    LANE_CLIENTS,
    LANE_COUNT,
};

enum {
    /* Room for several of the largest messages, decoded, beside many small ones. */
    LANE_PEERS_SIZE = 32 * 1024 * 1024,
    LANE_CLIENTS_SIZE = 16 * 1024 * 1024,
};

/* One message as it waits. What it borrows lies right behind it. */
struct inbox_item {
    size_t size; /* bytes of the ring, this struct included; 0: the ring goes on at its beginning */
    uint64_t received_ns;
    struct message message;
};

struct inbox_lane {
    uint8_t *memory;
    size_t size;

    /* The producer's alone. */
    size_t tail;    /* where the next item goes */
    uint64_t added; /* items put behind one another, published or not */
    uint64_t full_count;

    /* Guarded by the mutex. */
    size_t head;        /* first item that the core has not done with */
    uint64_t published; /* items that the core may see, since the start */
    uint64_t consumed;  /* items that it has done with */

    /* The consumer's alone. */
    size_t reading; /* where it reads; head follows in inbox_release() */
};

struct inbox {
    pthread_mutex_t mutex;
    struct inbox_lane lanes[LANE_COUNT];

    /* Guarded by the mutex. */
    bool tick;
    uint64_t tick_after; /* peers' items published before the tick: they are stepped first (V1) */
    bool stop;
    uint64_t executed_op; /* newest reported */
    uint64_t executed_op_taken;
    bool executed_urgent;  /* the core should hear of it soon */
    uint64_t state_number; /* newest state file write reported durable */
    uint64_t state_number_taken;
    uint64_t log_generation; /* newest log write reported durable by another thread */
    uint64_t log_op;
    bool log_reported;
    uint64_t news_posted; /* by the checkpointer, which has them, since the start */
    uint64_t news_taken;
};

/* What the core works on next. */
struct inbox_take {
    uint64_t counts[LANE_COUNT]; /* items to step, by lane */
    bool stop;
    bool tick; /* all peers' messages that came before it are among the above or were before */
    bool executed;
    uint64_t executed_op;
    bool state_durable;
    uint64_t state_number;
    bool log_durable;
    uint64_t log_generation;
    uint64_t log_op;
    uint64_t news_count; /* of the checkpointer: what they tell of was reported executed before */
};

/* Returns 0 or -ENOMEM. */
int inbox_init(struct inbox *inbox);
void inbox_destroy(struct inbox *inbox);

/* Producer: room for a message that decodes into at most arena_size bytes; *arena is then where
 * its borrowed parts go. NULL, counted, if the lane is full. Nothing is taken until inbox_add(). */
struct inbox_item *inbox_reserve(struct inbox *inbox, enum lane_kind kind, size_t arena_size,
                                 struct arena *arena);

/* Producer: keeps the item last reserved, and what was used of its arena. */
void inbox_add(struct inbox *inbox, enum lane_kind kind, struct inbox_item *item,
               const struct arena *arena);

/* Producer: lets the core see what was added. */
void inbox_publish(struct inbox *inbox, enum lane_kind kind);

/* Anyone. Executed and durable reports are cumulative. */
void inbox_post_tick(struct inbox *inbox);
void inbox_post_stop(struct inbox *inbox);
void inbox_post_executed(struct inbox *inbox, uint64_t op_number, bool urgent);
void inbox_post_state_durable(struct inbox *inbox, uint64_t number);
void inbox_post_log_durable(struct inbox *inbox, uint64_t generation, uint64_t op_number);

/* One more of the checkpointer's news waits there. */
void inbox_post_news(struct inbox *inbox);

/* True if there is something that the core should do now. */
bool inbox_pending(struct inbox *inbox);

/* Consumer: takes all that waits in slots, and at most lane_max items of each lane. */
void inbox_take(struct inbox *inbox, uint64_t lane_max, struct inbox_take *take);

/* Consumer: the next of the items taken, valid until inbox_release(). */
struct inbox_item *inbox_next(struct inbox *inbox, enum lane_kind kind);

/* Consumer: gives back the room of all items it went through. */
void inbox_release(struct inbox *inbox, const struct inbox_take *take);

uint64_t inbox_full_count(struct inbox *inbox, enum lane_kind kind);

#endif
