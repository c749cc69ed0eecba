/* SPDX-License-Identifier: Apache-2.0 */
#include "server/runtime/log_writer.h"

#include <errno.h>
#include <string.h>

#include "common/base/invariant.h"
#include "common/os/clock.h"
#include "common/os/logger.h"
#include "common/os/thread.h"

/* --- failing (D4) --- */

static void wake_everybody(struct log_writer *writer)
{
    condition_broadcast(&writer->work);
    condition_broadcast(&writer->to_sync);
    condition_broadcast(&writer->changed);
}

/* Called with the mutex, which it lets go of meanwhile. */
static void fail(struct log_writer *writer, const char *text, bool whole)
{
    const bool first = !writer->failed;
    const bool worse = writer->full && !whole;
    writer->failed = true;
    writer->full = whole && (first || writer->full);
    wake_everybody(writer);
    mutex_unlock(&writer->mutex);
    if (first || worse) {
        writer->failure(writer->context, text, whole);
    }
    mutex_lock(&writer->mutex);
}

/* Whoever writes the state file has said why. Called with the mutex. */
static void fail_quietly(struct log_writer *writer)
{
    writer->full = !writer->failed || writer->full;
    writer->failed = true;
    wake_everybody(writer);
}

/* --- writing --- */

/* The segment's file may be closed next: a sync of it must have ended, well, and none may begin. */
static int on_segment_end(void *context)
{
    struct log_writer *writer = context;
    mutex_lock(&writer->mutex);
    writer->segment_ends = true;
    while (writer->syncing) {
        condition_wait(&writer->changed, &writer->mutex);
    }
    const bool failed = writer->failed;
    mutex_unlock(&writer->mutex);
    return failed ? -EIO : 0; /* another sync would succeed, and save nothing (PS-3) */
}

static void note_sync(struct log_writer *writer, uint64_t began_ns)
{
    writer->counters.syncs++;
    writer->counters.sync_ns += clock_monotonic_ns() - began_ns;
}

/* The state file is told of a segment that was begun while the segment's first records are on
 * their way to the disk. */
static void name_segment(struct log_writer *writer)
{
    if (writer->name_segment != NULL && writer->wal->segment.number > writer->named_segment) {
        writer->name_segment(writer->context, writer->wal->segment.number);
    }
}

static int wait_segment(struct log_writer *writer)
{
    const uint64_t segment = writer->wal->segment.number;
    if (writer->wait_segment == NULL || segment <= writer->named_segment) {
        return 0;
    }
    writer->named_segment = segment;
    return writer->wait_segment(writer->context, segment);
}

/* Without the mutex: nothing here is anybody else's. */
static int write_half(struct log_writer *writer, const struct log_queue_half *half,
                      struct storage_error *error)
{
    const int spare_before = wal_spare_error(writer->wal);
    int status = log_queue_append(half, writer->wal, on_segment_end, writer, error);
    const int spare = wal_spare_error(writer->wal);
    if (spare != 0 && spare_before == 0) {
        log_problem(ERROR_LOG_ROOM,
                    "the disk of %s has no room for more of the log (%s); this replica stops when "
                    "what it has reserved is used up: free some space there",
                    writer->wal->directory, strerror(-spare));
    } else if (spare == 0 && spare_before != 0) {
        log_info(LOG_STORAGE, "the disk of %s has room for the log again", writer->wal->directory);
    }
    if (status == 0) {
        name_segment(writer);
    }
    if (status == 0 && writer->durability == DURABILITY_SYNC && half->used > 0) {
        status = wal_sync(writer->wal, error);
    }
    return status;
}

/* Async: what was written waits for the other thread. That sleeps until the time of the oldest
 * byte, so it is woken for the first one and for one too many, and for nothing in between. */
static void note_unsynced(struct log_writer *writer, size_t size)
{
    const bool ended = writer->segment_ends;
    writer->segment_ends = false;
    if (writer->durability != DURABILITY_ASYNC) {
        return;
    }
    if (writer->unsynced == 0 && size > 0) {
        writer->unsynced_ns = clock_monotonic_ns();
    }
    const bool first = writer->unsynced == 0;
    writer->unsynced += size;
    if (ended || (first && size > 0) || writer->unsynced >= LOG_FLUSH_SIZE) {
        condition_signal(&writer->to_sync);
    }
}

/* Takes and writes what there is. Called with the mutex, which it lets go of meanwhile. */
static void write_some(struct log_writer *writer, struct log_queue_half *half)
{
    struct storage_error error;
    const uint64_t began_ns = clock_monotonic_ns();
    /* What was copied is in this half or an earlier one; a RESTART is synced as it is written. */
    const uint64_t restarts =
        writer->queue.restarting ? writer->restarts_done : writer->restarts_wanted;
    wal_note_synced(writer->wal, writer->synced_sequence);
    mutex_unlock(&writer->mutex);
    const int status = write_half(writer, half, &error);
    const int named = status == 0 ? wait_segment(writer) : 0;
    mutex_lock(&writer->mutex);
    writer->flushed_sequence = writer->wal->flushed_sequence;
    writer->restarts_done = status == 0 ? restarts : writer->restarts_done;
    writer->report = half->report.any ? half->report : writer->report;
    const struct log_report report = writer->report;
    note_unsynced(writer, half->used);
    if (writer->durability == DURABILITY_SYNC && half->used > 0) {
        note_sync(writer, began_ns);
    }
    writer->counters.disk_bytes = writer->wal->disk_bytes;
    log_queue_release(&writer->queue, half);
    condition_broadcast(&writer->changed);
    if (status != 0) {
        fail(writer, error.text, wal_is_full(writer->wal));
    } else if (named != 0) {
        fail_quietly(writer);
    } else if (!writer->failed) {
        mutex_unlock(&writer->mutex);
        /* Said again where there is nothing new, so that the core has more copied. */
        writer->durable(writer->context, report.generation, report.op_number);
        mutex_lock(&writer->mutex);
    }
}

/* Whole segments leave (K1). Called with the mutex, which it lets go of meanwhile: what is removed
 * is never the file that is written or synced. */
static void drop_some(struct log_writer *writer)
{
    struct storage_error error;
    const uint64_t through_op = writer->drop_op;
    mutex_unlock(&writer->mutex);
    const int status = wal_drop(writer->wal, through_op, &error);
    if (status != 0 && !writer->drop_failed) {
        log_problem(ERROR_LOG_ROOM, "%s; the log keeps what it could have dropped", error.text);
    }
    writer->drop_failed = status != 0;
    mutex_lock(&writer->mutex);
    writer->dropped_op = through_op;
    writer->counters.disk_bytes = writer->wal->disk_bytes;
}

static void *run_writer(void *argument)
{
    struct log_writer *writer = argument;
    mutex_lock(&writer->mutex);
    while (!writer->failed) {
        if (writer->drop_op > writer->dropped_op && !writer->stopping) {
            drop_some(writer); /* before the next half: under load there always is one */
        }
        struct log_queue_half *half = log_queue_take(&writer->queue);
        if (half != NULL) {
            write_some(writer, half);
        } else if (writer->stopping) {
            break;
        } else {
            condition_wait(&writer->work, &writer->mutex);
        }
    }
    mutex_unlock(&writer->mutex);
    return NULL;
}

/* --- syncing behind the writer (D2) --- */

static bool sync_is_due(const struct log_writer *writer)
{
    return writer->unsynced >= LOG_FLUSH_SIZE ||
           (writer->unsynced > 0 &&
            clock_monotonic_ns() >=
                writer->unsynced_ns + LOG_FLUSH_MS * NANOSECONDS_PER_MILLISECOND);
}

static void wait_for_bytes(struct log_writer *writer)
{
    if (writer->unsynced == 0 || writer->segment_ends) {
        condition_wait(&writer->to_sync, &writer->mutex);
    } else {
        (void)condition_wait_until(&writer->to_sync, &writer->mutex,
                                   writer->unsynced_ns +
                                       LOG_FLUSH_MS * NANOSECONDS_PER_MILLISECOND);
    }
}

static void sync_some(struct log_writer *writer)
{
    const uint64_t began_ns = clock_monotonic_ns();
    const int file = wal_handle(writer->wal);
    const uint64_t sequence = writer->flushed_sequence;
    writer->syncing = true;
    writer->unsynced = 0;
    mutex_unlock(&writer->mutex);
    const struct file_ops *ops = writer->wal->ops;
    const int status = ops->sync_data(ops->disk, file);
    mutex_lock(&writer->mutex);
    writer->syncing = false;
    note_sync(writer, began_ns);
    condition_broadcast(&writer->changed);
    if (status != 0) {
        struct storage_error error;
        (void)storage_error_system(&error, status, "sync the log in", writer->wal->directory);
        fail(writer, error.text, false);
    } else {
        writer->synced_sequence = sequence;
    }
}

static void *run_syncer(void *argument)
{
    struct log_writer *writer = argument;
    mutex_lock(&writer->mutex);
    while (!writer->failed && !writer->stopping) {
        if (!writer->segment_ends && sync_is_due(writer)) {
            sync_some(writer);
        } else {
            wait_for_bytes(writer);
        }
    }
    mutex_unlock(&writer->mutex);
    return NULL;
}

/* --- the store --- */

static void store_write(void *state, const struct log_write *write)
{
    struct log_writer *writer = state;
    mutex_lock(&writer->mutex);
    log_queue_write(&writer->queue, write);
    condition_signal(&writer->work);
    mutex_unlock(&writer->mutex);
}

static void store_resume(void *state)
{
    struct log_writer *writer = state;
    mutex_lock(&writer->mutex);
    if (!log_queue_is_complete(&writer->queue)) {
        log_queue_copy(&writer->queue);
        condition_signal(&writer->work);
    }
    mutex_unlock(&writer->mutex);
}

static void store_restart(void *state, uint64_t op_number, struct checksum checksum)
{
    struct log_writer *writer = state;
    const struct wal_head base = {op_number, checksum};
    mutex_lock(&writer->mutex);
    writer->restarts_wanted += log_queue_restart(&writer->queue, &base) ? 1u : 0u;
    condition_signal(&writer->work);
    mutex_unlock(&writer->mutex);
}

static void store_drop(void *state, uint64_t through_op)
{
    struct log_writer *writer = state;
    mutex_lock(&writer->mutex);
    writer->drop_op = through_op > writer->drop_op ? through_op : writer->drop_op;
    condition_signal(&writer->work);
    mutex_unlock(&writer->mutex);
}

struct log_store log_writer_store(struct log_writer *writer)
{
    return (struct log_store){
        .state = writer,
        .durability = writer->durability,
        .write = store_write,
        .resume = store_resume,
        .restart = store_restart,
        .drop = store_drop,
    };
}

/* --- start and stop --- */

int log_writer_init(struct log_writer *writer, const struct log_store_client *client,
                    const struct wal_found *found)
{
    const int status = log_queue_init(&writer->queue, client, LOG_QUEUE_SIZE, found);
    if (status == 0) {
        mutex_init(&writer->mutex);
        condition_init(&writer->work);
        condition_init(&writer->to_sync);
        condition_init(&writer->changed);
        writer->counters.disk_bytes = writer->wal->disk_bytes;
        writer->named_segment = writer->wal->segment.number;
        writer->flushed_sequence = writer->wal->flushed_sequence;
        writer->synced_sequence = writer->wal->synced_sequence;
    }
    return status;
}

void log_writer_destroy(struct log_writer *writer)
{
    condition_destroy(&writer->changed);
    condition_destroy(&writer->to_sync);
    condition_destroy(&writer->work);
    mutex_destroy(&writer->mutex);
    log_queue_destroy(&writer->queue);
}

int log_writer_start(struct log_writer *writer)
{
    const bool async = writer->durability == DURABILITY_ASYNC;
    int status = thread_start(&writer->writer, "vr-wal", run_writer, writer);
    if (status == 0 && async) {
        status = thread_start(&writer->syncer, "vr-wal-sync", run_syncer, writer);
        if (status != 0) {
            mutex_lock(&writer->mutex);
            writer->stopping = true;
            wake_everybody(writer);
            mutex_unlock(&writer->mutex);
            thread_join(writer->writer);
        }
    }
    writer->running = status == 0;
    return status;
}

/* The core is not driven any more: what it could not hand over yet is copied by this thread. */
static void copy_the_rest(struct log_writer *writer)
{
    while (!writer->failed && !log_queue_is_complete(&writer->queue)) {
        log_queue_copy(&writer->queue);
        condition_signal(&writer->work);
        if (!log_queue_is_complete(&writer->queue)) {
            condition_wait(&writer->changed, &writer->mutex);
        }
    }
}

int log_writer_stop(struct log_writer *writer)
{
    struct storage_error error;
    if (!writer->running) {
        return 0;
    }
    mutex_lock(&writer->mutex);
    copy_the_rest(writer);
    writer->stopping = true;
    wake_everybody(writer);
    mutex_unlock(&writer->mutex);
    thread_join(writer->writer);
    if (writer->durability == DURABILITY_ASYNC) {
        thread_join(writer->syncer);
    }
    writer->running = false;
    if (writer->failed && !writer->full) {
        return -EIO;
    }
    const int status = wal_sync(writer->wal, &error);
    if (status != 0) {
        mutex_lock(&writer->mutex);
        fail(writer, error.text, false);
        mutex_unlock(&writer->mutex);
    }
    return status;
}

bool log_writer_restarted(struct log_writer *writer)
{
    mutex_lock(&writer->mutex);
    const bool done = writer->restarts_done == writer->restarts_wanted;
    mutex_unlock(&writer->mutex);
    return done;
}

struct log_writer_counters log_writer_counters(struct log_writer *writer)
{
    mutex_lock(&writer->mutex);
    const struct log_writer_counters counters = writer->counters;
    mutex_unlock(&writer->mutex);
    return counters;
}
