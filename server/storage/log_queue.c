/* SPDX-License-Identifier: Apache-2.0 */
#include "server/storage/log_queue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/bytes.h"
#include "common/base/invariant.h"

/* In a half: this, then body_size bytes, padded so that the next item is aligned. */
struct item {
    struct wal_record record; /* body: not a pointer yet */
    uint64_t size;            /* of item, body and padding */
};
_Static_assert(sizeof(struct item) + _Alignof(struct item) <= LOG_QUEUE_ITEM_OVERHEAD,
               "an item's overhead is bounded");

int log_queue_init(struct log_queue *queue, const struct log_store_client *client, size_t capacity,
                   const struct wal_found *found)
{
    INVARIANT(capacity >= LOG_QUEUE_SIZE_MIN);
    capacity -= capacity % _Alignof(struct item);
    *queue = (struct log_queue){
        .client = *client,
        .capacity = capacity,
        .wanted_op = found->held_op,
        .copied = found->head,
        .uncertain = found->condition != WAL_INTACT,
        .faulty = found->condition == WAL_FAULTY,
    };
    queue->memory = malloc(2 * capacity);
    if (queue->memory == NULL) {
        return -ENOMEM;
    }
    queue->halves[0].bytes = queue->memory;
    queue->halves[1].bytes = queue->memory + capacity;
    return 0;
}

void log_queue_destroy(struct log_queue *queue)
{
    free(queue->memory);
    queue->memory = NULL;
}

/* --- the producer --- */

static struct log_queue_half *filling(struct log_queue *queue)
{
    return &queue->halves[queue->filling];
}

static size_t item_size(size_t body_size)
{
    const size_t alignment = _Alignof(struct item);
    return sizeof(struct item) + (body_size + alignment - 1) / alignment * alignment;
}

static bool put(struct log_queue *queue, const struct wal_record *record)
{
    struct log_queue_half *half = filling(queue);
    const size_t size = item_size(record->body_size);
    if (half->used + size > queue->capacity) {
        return false;
    }
    struct item *item = (struct item *)(void *)(half->bytes + half->used);
    item->record = *record;
    item->record.commit_number = queue->client.commit(queue->client.context);
    item->size = size;
    if (record->body_size > 0) {
        memcpy(item + 1, record->body, record->body_size);
    }
    half->used += size;
    return true;
}

static struct checksum chain(const struct log_queue *queue, uint64_t op_number)
{
    return queue->client.chain(queue->client.context, op_number);
}

static bool announce(struct log_queue *queue)
{
    const struct wal_record record = {
        .type = WAL_REPLACE,
        .op_number = queue->base_op,
        .checksum = chain(queue, queue->base_op),
        .through_op = queue->through_op,
        .other = chain(queue, queue->through_op),
    };
    if (!put(queue, &record)) {
        return false;
    }
    queue->announced = true;
    queue->copied = (struct wal_head){record.op_number, record.checksum};
    return true;
}

static bool copy_entry(struct log_queue *queue, uint64_t op_number)
{
    size_t size;
    const uint8_t *bytes = queue->client.entry(queue->client.context, op_number, &size);
    INVARIANT(bytes != NULL);
    INVARIANT(size <= ENTRY_SIZE_MAX);
    const struct wal_record record = {
        .type = WAL_ENTRY,
        .op_number = op_number,
        .view_number = bytes_get_u64(bytes + 8), /* entry.h */
        .checksum = chain(queue, op_number),
        .other = queue->copied.checksum,
        .body_size = (uint32_t)size,
        .body = bytes,
    };
    if (!put(queue, &record)) {
        return false;
    }
    queue->copied = (struct wal_head){op_number, record.checksum};
    return true;
}

/* What is copied so far is a log that the core may be told of; not within a replacement. */
static void note_report(struct log_queue *queue)
{
    if (queue->replacing) {
        return;
    }
    filling(queue)->report = (struct log_report){
        .any = true,
        .generation = queue->generation,
        .op_number = queue->copied.op_number,
    };
    queue->reported = queue->generation;
}

static bool put_restart(struct log_queue *queue)
{
    const struct wal_record record = {
        .type = WAL_RESTART,
        .op_number = queue->copied.op_number,
        .checksum = queue->copied.checksum,
    };
    queue->restarting = !put(queue, &record);
    return !queue->restarting;
}

void log_queue_copy(struct log_queue *queue)
{
    bool moved = queue->reported != queue->generation;
    if (queue->restarting && !put_restart(queue)) {
        return;
    }
    if (queue->generation == 0) {
        return; /* nothing was asked for: the log on the disk may even end elsewhere (D5) */
    }
    if (queue->replacing && !queue->announced && !announce(queue)) {
        return;
    }
    if (queue->replacing && queue->copied.op_number == queue->through_op) {
        queue->replacing = false; /* nothing but a cut */
        moved = true;
    }
    while (queue->copied.op_number < queue->wanted_op &&
           copy_entry(queue, queue->copied.op_number + 1)) {
        moved = true;
        if (queue->replacing && queue->copied.op_number == queue->through_op) {
            queue->replacing = false;
        }
    }
    if (moved) {
        note_report(queue);
    }
}

void log_queue_write(struct log_queue *queue, const struct log_write *write)
{
    INVARIANT(write->generation >= queue->generation);
    const struct wal_head *copied = &queue->copied;
    const bool differs = queue->uncertain || write->cut_to < copied->op_number ||
                         (queue->replacing && write->cut_to < queue->through_op) ||
                         !checksum_equal(chain(queue, copied->op_number), copied->checksum);
    if (differs) {
        const bool further = queue->replacing && queue->base_op < write->cut_to;
        queue->base_op = further ? queue->base_op : write->cut_to;
        queue->through_op = write->last_op;
        queue->replacing = true;
        queue->announced = false;
        queue->uncertain = false;
    }
    queue->generation = write->generation;
    queue->wanted_op = write->last_op;
    log_queue_copy(queue);
}

bool log_queue_restart(struct log_queue *queue, const struct wal_head *base)
{
    if (queue->uncertain && queue->faulty && queue->copied.op_number > base->op_number) {
        queue->wanted_op = base->op_number;
        return false;
    }
    queue->copied = *base;
    queue->wanted_op = base->op_number;
    queue->uncertain = false;
    queue->replacing = false;
    queue->announced = false;
    queue->restarting = true;
    queue->reported = queue->generation; /* of the log that is over nothing is waited for */
    log_queue_copy(queue);
    return true;
}

bool log_queue_is_complete(const struct log_queue *queue)
{
    if (queue->restarting) {
        return false;
    }
    return queue->generation == 0 ||
           (!queue->replacing && queue->copied.op_number == queue->wanted_op &&
            queue->reported == queue->generation);
}

/* --- the consumer --- */

struct log_queue_half *log_queue_take(struct log_queue *queue)
{
    struct log_queue_half *half = filling(queue);
    INVARIANT(!queue->taken);
    if (half->used == 0 && !half->report.any) {
        return NULL;
    }
    queue->taken = true;
    queue->filling ^= 1u;
    return half;
}

int log_queue_append(const struct log_queue_half *half, struct wal *wal,
                     int (*before_segment)(void *context), void *context,
                     struct storage_error *error)
{
    for (size_t at = 0; at < half->used;) {
        const struct item *item = (const struct item *)(const void *)(half->bytes + at);
        struct wal_record record = item->record;
        record.body = (const uint8_t *)(item + 1);
        int status = 0;
        if (before_segment != NULL && wal_may_end_segment(wal, &record)) {
            status = before_segment(context);
        }
        if (status != 0) {
            return storage_error_set(error, status, "the log in %s failed meanwhile",
                                     wal->directory);
        }
        status = wal_append(wal, &record, error);
        if (status != 0) {
            return status;
        }
        at += item->size;
    }
    return wal_flush(wal, error);
}

void log_queue_release(struct log_queue *queue, struct log_queue_half *half)
{
    INVARIANT(queue->taken);
    half->used = 0;
    half->report = (struct log_report){.any = false};
    queue->taken = false;
}
