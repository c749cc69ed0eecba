/* SPDX-License-Identifier: Apache-2.0 */
#include "common/os/queue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/invariant.h"
#include "common/os/clock.h"
#include "common/os/thread.h"

int queue_init(struct queue *queue, size_t capacity, size_t item_size)
{
    INVARIANT(capacity > 0);
    INVARIANT(item_size > 0);
    unsigned char *slots = calloc(capacity, item_size);
    if (slots == NULL) {
        return -ENOMEM;
    }
    *queue = (struct queue){.slots = slots, .item_size = item_size, .capacity = capacity};
    mutex_init(&queue->mutex);
    condition_init(&queue->not_empty);
    return 0;
}

void queue_destroy(struct queue *queue)
{
    condition_destroy(&queue->not_empty);
    mutex_destroy(&queue->mutex);
    free(queue->slots);
    queue->slots = NULL;
}

/* Copies items in at the tail, or out from the head, in at most two pieces around the end. */
static void copy_in(struct queue *queue, const unsigned char *items, size_t count)
{
    const size_t tail = (queue->head + queue->count) % queue->capacity;
    const size_t before_end = queue->capacity - tail;
    const size_t first = count < before_end ? count : before_end;
    memcpy(queue->slots + tail * queue->item_size, items, first * queue->item_size);
    memcpy(queue->slots, items + first * queue->item_size, (count - first) * queue->item_size);
    queue->count += count;
}

static void copy_out(struct queue *queue, unsigned char *items, size_t count)
{
    const size_t before_end = queue->capacity - queue->head;
    const size_t first = count < before_end ? count : before_end;
    memcpy(items, queue->slots + queue->head * queue->item_size, first * queue->item_size);
    memcpy(items + first * queue->item_size, queue->slots, (count - first) * queue->item_size);
    queue->head = (queue->head + count) % queue->capacity;
    queue->count -= count;
}

enum queue_status queue_push(struct queue *queue, const void *item)
{
    return queue_push_many(queue, item, 1);
}

/* Called with the mutex. */
static enum queue_status push(struct queue *queue, const void *items, size_t count)
{
    if (queue->closed) {
        return QUEUE_CLOSED;
    }
    if (queue->capacity - queue->count < count) {
        queue->full_count++;
        return QUEUE_FULL;
    }
    copy_in(queue, items, count);
    return QUEUE_OK;
}

enum queue_status queue_push_many(struct queue *queue, const void *items, size_t count)
{
    mutex_lock(&queue->mutex);
    const enum queue_status status = push(queue, items, count);
    const bool asleep = queue->waiting > 0;
    mutex_unlock(&queue->mutex);
    /* Not before: who is woken wants the mutex first. One signal may wake one sleeper, who may take
     * one item: several items need them all. */
    if (status == QUEUE_OK && asleep && count == 1) {
        condition_signal(&queue->not_empty);
    } else if (status == QUEUE_OK && asleep) {
        condition_broadcast(&queue->not_empty);
    }
    return status;
}

enum queue_status queue_push_quietly(struct queue *queue, const void *items, size_t count)
{
    mutex_lock(&queue->mutex);
    const enum queue_status status = push(queue, items, count);
    mutex_unlock(&queue->mutex);
    return status;
}

void queue_nudge(struct queue *queue)
{
    mutex_lock(&queue->mutex);
    queue->nudged = true;
    const bool asleep = queue->waiting > 0;
    mutex_unlock(&queue->mutex);
    if (asleep) {
        condition_broadcast(&queue->not_empty);
    }
}

enum queue_status queue_pop(struct queue *queue, void *item, uint64_t timeout_ns)
{
    size_t taken;
    return queue_pop_many(queue, item, 1, &taken, timeout_ns);
}

/* Sleeps until there is an item, the queue is closed, or the time is up; called with the mutex. */
static void wait_for_item(struct queue *queue, uint64_t timeout_ns, bool nudges)
{
    const uint64_t now_ns = timeout_ns == 0 ? 0 : clock_monotonic_ns();
    const bool forever = timeout_ns > UINT64_MAX - now_ns;
    bool in_time = timeout_ns != 0;
    queue->waiting++;
    while (queue->count == 0 && !queue->closed && !(nudges && queue->nudged) && in_time) {
        if (forever) {
            condition_wait(&queue->not_empty, &queue->mutex);
        } else {
            in_time = condition_wait_until(&queue->not_empty, &queue->mutex, now_ns + timeout_ns);
        }
    }
    queue->waiting--;
}

enum queue_status queue_pop_many(struct queue *queue, void *items, size_t items_max, size_t *taken,
                                 uint64_t timeout_ns)
{
    INVARIANT(items_max > 0);
    enum queue_status status = QUEUE_OK;
    *taken = 0;
    mutex_lock(&queue->mutex);
    wait_for_item(queue, timeout_ns, false);
    if (queue->count > 0) {
        *taken = queue->count < items_max ? queue->count : items_max;
        copy_out(queue, items, *taken);
    } else {
        status = queue->closed ? QUEUE_CLOSED : QUEUE_EMPTY;
    }
    mutex_unlock(&queue->mutex);
    return status;
}

enum queue_status queue_wait(struct queue *queue, uint64_t timeout_ns)
{
    mutex_lock(&queue->mutex);
    wait_for_item(queue, timeout_ns, true);
    const enum queue_status status = queue->count > 0 || (queue->nudged && !queue->closed)
                                         ? QUEUE_OK
                                     : queue->closed ? QUEUE_CLOSED
                                                     : QUEUE_EMPTY;
    queue->nudged = false;
    mutex_unlock(&queue->mutex);
    return status;
}

size_t queue_pop_while(struct queue *queue, void *items, size_t items_max,
                       bool (*wanted)(const void *item))
{
    size_t taken = 0;
    mutex_lock(&queue->mutex);
    while (taken < queue->count && taken < items_max &&
           wanted(queue->slots + (queue->head + taken) % queue->capacity * queue->item_size)) {
        taken++;
    }
    copy_out(queue, items, taken);
    mutex_unlock(&queue->mutex);
    return taken;
}

void queue_close(struct queue *queue)
{
    mutex_lock(&queue->mutex);
    queue->closed = true;
    condition_broadcast(&queue->not_empty);
    mutex_unlock(&queue->mutex);
}

size_t queue_count(struct queue *queue)
{
    mutex_lock(&queue->mutex);
    const size_t count = queue->count;
    mutex_unlock(&queue->mutex);
    return count;
}

uint64_t queue_full_count(struct queue *queue)
{
    mutex_lock(&queue->mutex);
    const uint64_t full_count = queue->full_count;
    mutex_unlock(&queue->mutex);
    return full_count;
}
