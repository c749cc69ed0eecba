/* SPDX-License-Identifier: Apache-2.0 */
/* cut.h - how the executor's thread cuts checkpoints (K1): begun exactly behind an entry whose op
 * is a multiple of the interval, then in slices of a few milliseconds at most between batches of
 * entries, which go on meanwhile.
 *
 * Where the log fills up earlier it is begun behind the last entry, whatever that is. A multiple
 * that comes while the last checkpoint is not done yet is passed over: the disk is too slow for the
 * interval, and entries do not wait for it.
 *
 * For a backup (backup_source.h) one is begun behind the last entry, too, and belongs to the backup
 * source alone.
 *
 * Threads: the executor's. */
#ifndef VR_RUNTIME_CUT_H
#define VR_RUNTIME_CUT_H

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
    uint64_t interval;            /* ops; 0: none is ever taken */
    struct backup_source *backup; /* NULL: nobody asks for any */

    uint64_t loaded_op; /* 0: the state began empty */
    uint64_t last_op;   /* of the entry executed last, or loaded_op; 0: there is no state */
    uint64_t last_view;
    struct checksum last_log;

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

/* The executor has loaded a checkpoint. */
void cut_note_loaded(struct cut *cut, const struct checkpoint_id *id);

/* Begins what the backup source wants, if it can. */
void cut_begin_backup(struct cut *cut);

/* The log fills up: one is to be taken now, of the last entry. */
void cut_now(struct cut *cut);

/* A slice, if one is due; `busy`: entries were executed since the last call. */
void cut_slice(struct cut *cut, bool busy);

/* How long the thread may sleep, in nanoseconds; UINT64_MAX: for ever. */
uint64_t cut_wait(const struct cut *cut);

/* The state is about to go, or the thread to end. */
void cut_abandon(struct cut *cut);

#endif
