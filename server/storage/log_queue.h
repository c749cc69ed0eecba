/* SPDX-License-Identifier: Apache-2.0 */
/* log_queue.h - what is on its way from the core's log to the write-ahead log.
 *
 * The producer, under the core lock, copies entries into one of two buffers; the consumer writes
 * the other one to the disk, then they change places. So everything that came up while a write was
 * under way is the next write: batches form by themselves, and one sync serves them all (group
 * commit).
 *
 * The queue also turns "cut to, then append" into records: an entry that continues what was copied
 * before is an ENTRY; a cut below that begins a REPLACE (ST-2), which ends at the op that the log
 * had then. A cut that comes before such a replacement was copied in full begins another one,
 * further down. A checkpoint that takes the log's place (G4) is a RESTART.
 *
 * Memory:  two buffers of LOG_QUEUE_SIZE bytes, one allocation in log_queue_init(). What finds no
 *          room is copied by a later log_queue_copy(), for the core's log still has it.
 * Threads: none of its own: the owner's lock guards it all, but for the bytes of the half that was
 *          taken, which belong to the consumer until it gives them back. */
#ifndef VR_STORAGE_LOG_QUEUE_H
#define VR_STORAGE_LOG_QUEUE_H

#include "server/storage/log_store.h"
#include "server/storage/wal.h"

enum {
    LOG_QUEUE_ITEM_OVERHEAD = 160,
    LOG_QUEUE_SIZE = 4 * 1024 * 1024,
    LOG_QUEUE_SIZE_MIN = LOG_QUEUE_ITEM_OVERHEAD * 4 + ENTRY_SIZE_MAX,
};
_Static_assert(LOG_QUEUE_SIZE >= LOG_QUEUE_SIZE_MIN, "the largest entry fits an empty half");

/* What the core may be told once what was taken is as durable as the mode requires. */
struct log_report {
    bool any;
    uint64_t generation;
    uint64_t op_number;
};

struct log_queue_half {
    uint8_t *bytes;
    size_t used;
    struct log_report report;
};

struct log_queue {
    struct log_store_client client;
    size_t capacity; /* of one half */
    uint8_t *memory;
    struct log_queue_half halves[2];
    uint32_t filling; /* index of the producer's half */
    bool taken;       /* the consumer has the other one */

    uint64_t generation;    /* of the newest write */
    uint64_t reported;      /* generation of the last report that was queued */
    uint64_t wanted_op;     /* the log ends here; all of it is to be on the disk */
    struct wal_head copied; /* the log's end as the disk has it once all halves are written */
    bool uncertain;         /* what the disk has is not what the core began with: replace it */
    bool faulty;            /* uncertain because the disk has lost entries up to `copied` */

    /* A replacement that is being copied. */
    bool replacing;
    bool announced; /* its REPLACE is queued */
    uint64_t base_op;
    uint64_t through_op;

    bool
        restarting; /* a RESTART waits to be copied, before all else; `copied` is where it begins */
};

/* `found` is what the disk has; the core begins with found->held_op entries of it. Returns 0 or
 * -ENOMEM. */
int log_queue_init(struct log_queue *queue, const struct log_store_client *client, size_t capacity,
                   const struct wal_found *found);
void log_queue_destroy(struct log_queue *queue);

/* Producer: notes a write and copies what there is room for. */
void log_queue_write(struct log_queue *queue, const struct log_write *write);

/* Producer: a checkpoint of `base` takes the log's place. Entries that are queued are written
 * before it; the next write begins behind it. Returns false if nothing is written: entries that the
 * disk has lost reach beyond the checkpoint, and that they were here must not be forgotten (D5);
 * what is written next replaces them all. */
bool log_queue_restart(struct log_queue *queue, const struct wal_head *base);

/* Producer: copies more. */
void log_queue_copy(struct log_queue *queue);

/* True if everything the core asked for is in a buffer or on the disk. */
bool log_queue_is_complete(const struct log_queue *queue);

/* Consumer: takes what was copied; NULL if nothing was. One half at a time. */
struct log_queue_half *log_queue_take(struct log_queue *queue);

/* Consumer: appends a half's records to the log and flushes them. `before_segment` is called before
 * a segment may end (may be NULL); unless it returns 0, nothing more is appended. */
int log_queue_append(const struct log_queue_half *half, struct wal *wal,
                     int (*before_segment)(void *context), void *context,
                     struct storage_error *error);

/* Consumer: gives the half back. */
void log_queue_release(struct log_queue *queue, struct log_queue_half *half);

#endif
