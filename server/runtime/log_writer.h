/* SPDX-License-Identifier: Apache-2.0 */
/* log_writer.h - the threads between the core's log and its disk (D1, D2, S4), so that nothing
 * under the core lock ever waits for one.
 *
 * In mode sync one thread writes what came up, fdatasyncs it, and reports it. What comes up
 * meanwhile is the next write: one fdatasync serves them all. In mode async the same thread writes
 * and reports; another one fdatasyncs behind it, 50 ms or 4 MiB after what it has not synced yet
 * began.
 *
 * A segment that was begun is made known to the state file, and nothing in it is reported before it
 * is: a segment that is missing later on is missed.
 *
 * Room that runs out is said once, while the reserve still lasts; when that is used up it is the
 * end, and the log is whole. A write or sync that fails is the end, too, and nothing is known any
 * more (D4). Either is said once: nothing is reported any more, nothing tried again.
 *
 * Threads: log_writer_store()'s functions by the holder of the core lock; start and stop by the
 *          server; callbacks from the writer's own threads.
 * Memory:  log_queue's two buffers. */
#ifndef VR_RUNTIME_LOG_WRITER_H
#define VR_RUNTIME_LOG_WRITER_H

#include <pthread.h>

#include "server/storage/log_queue.h"

enum {
    LOG_FLUSH_MS = 50, /* async: the oldest byte waits no longer for its fdatasync to begin, */
    LOG_FLUSH_SIZE = 4 * 1024 * 1024, /* or until so many wait */
};

/* What status shows. */
struct log_writer_counters {
    uint64_t disk_bytes;
    uint64_t syncs;
    uint64_t sync_ns; /* of all syncs together */
};

struct log_writer {
    pthread_mutex_t mutex;
    pthread_cond_t work;      /* the first thread: something to write or drop, or the end, */
    pthread_cond_t to_sync;   /* the second: bytes that wait, or more than may, or the end, */
    pthread_cond_t changed;   /* anybody else: a half is free, a sync is over, or the end */
    struct log_queue queue;   /* guarded by mutex, as is all up to `counters` */
    uint64_t unsynced;        /* async: bytes handed to the kernel, */
    uint64_t unsynced_ns;     /* the oldest of them then */
    uint64_t restarts_wanted; /* RESTARTs asked for, */
    uint64_t restarts_done;   /* and durable */
    uint64_t drop_op;         /* entries up to here may go, */
    uint64_t dropped_op;      /* and this was done for */
    bool syncing;             /* the second thread is in fdatasync */
    bool segment_ends;        /* it must not begin another one */
    bool stopping;
    bool failed;
    bool full;                 /* failed, for want of room only */
    uint64_t flushed_sequence; /* async: newest record that was handed to the kernel, */
    uint64_t synced_sequence;  /* and that the second thread has synced */
    struct log_report report;  /* the last one given */
    struct log_writer_counters counters;

    bool running;
    pthread_t writer;
    pthread_t syncer;       /* async only */
    uint64_t named_segment; /* the first thread's alone, */
    bool drop_failed;       /* as is this: said already */

    /* Filled in by the owner. */
    enum durability durability;
    struct wal *wal; /* started; the first thread's alone while it runs */
    void (*durable)(void *context, uint64_t generation, uint64_t op_number);
    /* Once, and nothing is reported durable afterwards. `whole`: all that was written is; else
     * nothing is known any more of what the disk has. May come again, then not whole, from
     * log_writer_stop(). */
    void (*failure)(void *context, const char *text, bool whole);
    /* A segment begins; whether that is known to the state file. Both or neither are NULL. */
    void (*name_segment)(void *context, uint64_t segment);
    int (*wait_segment)(void *context, uint64_t segment);
    void *context;
};

/* `writer` has its last part filled in, the rest is zero; the core begins with `found`. Returns 0
 * or a negative errno. */
int log_writer_init(struct log_writer *writer, const struct log_store_client *client,
                    const struct wal_found *found);
void log_writer_destroy(struct log_writer *writer);

int log_writer_start(struct log_writer *writer);
struct log_store log_writer_store(struct log_writer *writer);

/* The core is driven no more. Writes and syncs all that it asked for, then joins. Returns 0 if all
 * that was reported is durable: all of it, but for what a full disk had no room for. */
int log_writer_stop(struct log_writer *writer);

/* True if every restart that was asked for is durable. */
bool log_writer_restarted(struct log_writer *writer);

struct log_writer_counters log_writer_counters(struct log_writer *writer);

#endif
