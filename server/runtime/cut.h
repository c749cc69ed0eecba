/* SPDX-License-Identifier: Apache-2.0 */
/* cut.h - how the executor's thread cuts checkpoints (K1): begun exactly behind an entry whose op
 * is a multiple of the interval, then in slices of a few milliseconds at most between batches of
 * entries, which go on meanwhile.
 *
 * For a backup (backup_source.h) one is begun where somebody asked for it, behind any entry.
 *
 * Where the log fills up earlier it is begun behind any entry. A multiple that comes while the last
 * checkpoint is not done yet is passed over: the disk is too slow for the interval, and entries do
 * not wait for it.
 *
 * Threads: the executor's. */
#ifndef VR_RUNTIME_CUT_H
#define VR_RUNTIME_CUT_H

#include <stdatomic.h>

#include "server/executor/executor.h"
#include "server/runtime/checkpointer.h"

enum {
    CUT_IDLE_SHARE = 2,   /* slices take one part of so many of the time, */
    CUT_BUSY_SHARE = 4,   /* and so while entries were executed */
    CUT_BUSY_MS = 100,    /* in that time */
    CUT_FULL_WAIT_MS = 2, /* how soon a full ring is looked at again */
};

struct cut {
    /* Filled in by the server. */
    struct executor *executor;
    struct checkpointer *checkpointer;
    uint64_t interval; /* ops; 0: none is ever taken */
    struct backup_source *backup;
    struct checkpoint_id at; /* where the executor stands: op, view, log; op 0: it is empty */

    atomic_bool wanted; /* one is, behind the next entry: any thread sets it */

    bool active;
    struct checkpoint_id id; /* but size and root */
    uint8_t *chunk;          /* being filled; NULL: none is reserved */
    uint32_t filled;
    bool full;        /* there was no room the last time */
    uint64_t busy_ns; /* when entries were executed last */
    uint64_t next_ns; /* no slice before that */
    bool refused;     /* a backup is wanted and could not be begun */
};

/* An entry was executed. */
void cut_note_executed(struct cut *cut, const struct vr_execution *entry);

/* That was the last entry for now, and is not reported yet. */
void cut_note_batch(struct cut *cut, const struct vr_execution *last);

/* The executor has loaded a checkpoint. */
void cut_note_loaded(struct cut *cut, const struct checkpoint_id *id);

/* Begins what the backup source wants, if it can. */
void cut_begin_backup(struct cut *cut);

/* A slice, if one is due; `busy`: entries were executed since the last call. */
void cut_slice(struct cut *cut, bool busy);

/* How long the thread may sleep, in nanoseconds; UINT64_MAX: for ever. */
uint64_t cut_wait(const struct cut *cut);

/* The state is about to go, or the thread to end. */
void cut_abandon(struct cut *cut);

#endif
