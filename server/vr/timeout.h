/* SPDX-License-Identifier: Apache-2.0 */
/* timeout.h - the core's timers: one deadline a kind, in the nanoseconds of vr_time.now_ns. */
#ifndef VR_TIMEOUT_H
#define VR_TIMEOUT_H

#include "common/base/types.h"

enum timeout_kind {
    TIMEOUT_HEARTBEAT,      /* acting primary: a Commit is due (N6) */
    TIMEOUT_RESEND,         /* acting primary: entries in flight may have got lost (N10) */
    TIMEOUT_SUSPECT,        /* backup: the primary is silent; view_change: the view is late (V1) */
    TIMEOUT_VOTE,           /* suspecting: StartViewChange again (V2) */
    TIMEOUT_DO_VIEW_CHANGE, /* view_change: DoViewChange again (V4) */
    TIMEOUT_RECOVERY,       /* recovering: Recovery again (D6) */
    TIMEOUT_SYNC,           /* log sync: ask again (G5) */
    TIMEOUT_CHUNKS,         /* chunks of a checkpoint wait for their time (G4) */
    TIMEOUT_STABLE,         /* normal for long enough to forget failed views (V1) */
    TIMEOUT_COUNT,
};

#define TIMEOUT_NEVER UINT64_MAX

struct timeouts {
    uint64_t at_ns[TIMEOUT_COUNT];
};

static inline void timeouts_stop_all(struct timeouts *t)
{
    for (unsigned i = 0; i < TIMEOUT_COUNT; i++) {
        t->at_ns[i] = TIMEOUT_NEVER;
    }
}

static inline void timeout_set(struct timeouts *t, enum timeout_kind kind, uint64_t at_ns)
{
    t->at_ns[kind] = at_ns;
}

/* Sets it unless it is due earlier anyway. */
static inline void timeout_set_at_latest(struct timeouts *t, enum timeout_kind kind, uint64_t at_ns)
{
    if (at_ns < t->at_ns[kind]) {
        t->at_ns[kind] = at_ns;
    }
}

/* Sets it unless it is due later anyway. */
static inline void timeout_set_at_least(struct timeouts *t, enum timeout_kind kind, uint64_t at_ns)
{
    if (t->at_ns[kind] == TIMEOUT_NEVER || at_ns > t->at_ns[kind]) {
        t->at_ns[kind] = at_ns;
    }
}

static inline void timeout_stop(struct timeouts *t, enum timeout_kind kind)
{
    t->at_ns[kind] = TIMEOUT_NEVER;
}

static inline bool timeout_due(const struct timeouts *t, enum timeout_kind kind, uint64_t now_ns)
{
    return t->at_ns[kind] <= now_ns;
}

static inline uint64_t timeouts_next(const struct timeouts *t)
{
    uint64_t next = TIMEOUT_NEVER;
    for (unsigned i = 0; i < TIMEOUT_COUNT; i++) {
        next = t->at_ns[i] < next ? t->at_ns[i] : next;
    }
    return next;
}

#endif
