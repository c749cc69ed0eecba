/* SPDX-License-Identifier: Apache-2.0 */
/* schedule.h - virtual time: what happens next, in one heap.
 *
 * Events at the same nanosecond happen in the order in which they were added, so a run depends on
 * nothing but its seed. Memory grows to the most that was ever waiting and is kept between runs. */
#ifndef VR_SIM_SCHEDULE_H
#define VR_SIM_SCHEDULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIM_US UINT64_C(1000)
#define SIM_MS UINT64_C(1000000)
#define SIM_S UINT64_C(1000000000)

enum sim_event_kind {
    SIM_EVENT_DATAGRAM,      /* argument: datagram index (network.h) */
    SIM_EVENT_DRAIN,         /* a replica takes from its inbox */
    SIM_EVENT_TIMER,         /* a replica's deadline may have come */
    SIM_EVENT_STATE_DURABLE, /* the oldest state-file write under way is done */
    SIM_EVENT_LOG_DURABLE,   /* argument: index of the log write; mode memory */
    SIM_EVENT_LOG_WRITE,     /* the log's writer has the next batch */
    SIM_EVENT_LOG_SYNC,      /* ... or its sync is done; async: is due */
    SIM_EVENT_EXECUTE,       /* the executor takes the next entries */
    SIM_EVENT_CHECKPOINT, /* the next step of the checkpoint that is taken; argument: its number */
    SIM_EVENT_STAGE,      /* the oldest piece of the one that is received is written */
    SIM_EVENT_INSTALL,    /* the next step of the one that is installed */
    SIM_EVENT_DROP,       /* what checkpoints stand for leaves the disk */
    SIM_EVENT_CRASH,
    SIM_EVENT_RESTART,
    SIM_EVENT_PAUSE,
    SIM_EVENT_RESUME,
    SIM_EVENT_CLIENT_TIMER,
    SIM_EVENT_CLIENT_SUBMIT,
    SIM_EVENT_CLIENT_CRASH,
    SIM_EVENT_NEMESIS, /* argument: enum nemesis_move */
    SIM_EVENT_KIND_COUNT,
};

struct sim_event {
    uint64_t at_ns;
    uint64_t order; /* ties are broken by age */
    enum sim_event_kind kind;
    uint32_t node; /* whom it happens to */
    uint64_t argument;
    uint64_t life; /* of the node when it was added: what a dead process waited for never comes */
};

struct sim_schedule {
    struct sim_event *events; /* binary heap; [0] is next */
    size_t count;
    size_t capacity;
    size_t count_max; /* the most that ever waited (I10) */
    uint64_t next_order;
    uint64_t now_ns;
};

/* Empties the schedule and sets time back to zero. */
void sim_schedule_reset(struct sim_schedule *schedule);
void sim_schedule_free(struct sim_schedule *schedule);

/* A time that has passed means "now". */
void sim_schedule_add(struct sim_schedule *schedule, struct sim_event event);

/* When the next event is due; UINT64_MAX: never. */
uint64_t sim_schedule_next_ns(const struct sim_schedule *schedule);

/* Takes the next event and moves time to it; false if nothing waits. */
bool sim_schedule_take(struct sim_schedule *schedule, struct sim_event *event);

#endif
