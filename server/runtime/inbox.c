/* SPDX-License-Identifier: Apache-2.0 */
#include "server/runtime/inbox.h"

#include <errno.h>
#include <string.h>

#include "common/base/invariant.h"
#include "common/os/memory.h"
#include "common/os/thread.h"

static const size_t lane_sizes[LANE_COUNT] = {
    [LANE_PEERS] = LANE_PEERS_SIZE,
    [LANE_CLIENTS] = LANE_CLIENTS_SIZE,
};

static size_t padded(size_t size)
{
    return (size + ARENA_ALIGNMENT - 1) & ~(size_t)(ARENA_ALIGNMENT - 1);
}

/* Items and arenas stay aligned behind one another. */
#define ITEM_SIZE padded(sizeof(struct inbox_item))

int inbox_init(struct inbox *inbox)
{
    memset(inbox, 0, sizeof *inbox);
    for (int i = 0; i < LANE_COUNT; i++) {
        inbox->lanes[i].size = lane_sizes[i];
        inbox->lanes[i].memory = memory_reserve(lane_sizes[i]);
        if (inbox->lanes[i].memory == NULL) {
            for (int j = 0; j < i; j++) {
                memory_release(inbox->lanes[j].memory, inbox->lanes[j].size);
            }
            return -ENOMEM;
        }
    }
    mutex_init(&inbox->mutex);
    return 0;
}

void inbox_destroy(struct inbox *inbox)
{
    mutex_destroy(&inbox->mutex);
    for (int i = 0; i < LANE_COUNT; i++) {
        memory_release(inbox->lanes[i].memory, inbox->lanes[i].size);
    }
}

/* Producer. */

/* Where `need` contiguous bytes are free, or SIZE_MAX. One byte always stays free, so that
 * tail == head means empty. Called with the mutex: the consumer moves head. */
static size_t find_room(struct inbox_lane *lane, size_t need)
{
    const bool idle = lane->consumed == lane->added;
    if (idle) {
        /* Nobody reads or waits: start over where the cache is warm. */
        lane->tail = 0;
        lane->head = 0;
        lane->reading = 0;
    }
    if (lane->tail < lane->head) {
        return need < lane->head - lane->tail ? lane->tail : SIZE_MAX;
    }
    if (need < lane->size - lane->tail) {
        return lane->tail;
    }
    return need < lane->head ? 0 : SIZE_MAX;
}

struct inbox_item *inbox_reserve(struct inbox *inbox, enum lane_kind kind, size_t arena_size,
                                 struct arena *arena)
{
    struct inbox_lane *lane = &inbox->lanes[kind];
    /* Beside the item, room for the mark that the ring goes on at its beginning. */
    const size_t need = ITEM_SIZE + padded(arena_size) + ITEM_SIZE;
    mutex_lock(&inbox->mutex);
    const size_t at = find_room(lane, need);
    if (at == SIZE_MAX) {
        lane->full_count++;
    }
    mutex_unlock(&inbox->mutex);
    if (at == SIZE_MAX) {
        return NULL;
    }
    if (at != lane->tail) {
        struct inbox_item *mark = (struct inbox_item *)(void *)(lane->memory + lane->tail);
        mark->size = 0;
        lane->tail = at;
    }
    arena_init(arena, lane->memory + at + ITEM_SIZE, padded(arena_size));
    return (struct inbox_item *)(void *)(lane->memory + at);
}

void inbox_add(struct inbox *inbox, enum lane_kind kind, struct inbox_item *item,
               const struct arena *arena)
{
    struct inbox_lane *lane = &inbox->lanes[kind];
    INVARIANT((uint8_t *)item == lane->memory + lane->tail);
    item->size = ITEM_SIZE + padded(arena->used);
    lane->tail += item->size;
    lane->added++;
}

void inbox_publish(struct inbox *inbox, enum lane_kind kind)
{
    mutex_lock(&inbox->mutex);
    inbox->lanes[kind].published = inbox->lanes[kind].added;
    mutex_unlock(&inbox->mutex);
}

/* Slots. */

void inbox_post_tick(struct inbox *inbox)
{
    mutex_lock(&inbox->mutex);
    if (!inbox->tick) { /* after a stall one tick is enough (TH-4) */
        inbox->tick = true;
        inbox->tick_after = inbox->lanes[LANE_PEERS].published;
    }
    mutex_unlock(&inbox->mutex);
}

void inbox_post_stop(struct inbox *inbox)
{
    mutex_lock(&inbox->mutex);
    inbox->stop = true;
    mutex_unlock(&inbox->mutex);
}

void inbox_post_executed(struct inbox *inbox, uint64_t op_number, bool urgent)
{
    mutex_lock(&inbox->mutex);
    INVARIANT(op_number >= inbox->executed_op);
    inbox->executed_op = op_number;
    inbox->executed_urgent = inbox->executed_urgent || urgent;
    mutex_unlock(&inbox->mutex);
}

void inbox_post_state_durable(struct inbox *inbox, uint64_t number)
{
    mutex_lock(&inbox->mutex);
    INVARIANT(number > inbox->state_number);
    inbox->state_number = number;
    mutex_unlock(&inbox->mutex);
}

void inbox_post_log_durable(struct inbox *inbox, uint64_t generation, uint64_t op_number)
{
    mutex_lock(&inbox->mutex);
    inbox->log_generation = generation;
    inbox->log_op = op_number;
    inbox->log_reported = true;
    mutex_unlock(&inbox->mutex);
}

void inbox_post_news(struct inbox *inbox)
{
    mutex_lock(&inbox->mutex);
    inbox->news_posted++;
    mutex_unlock(&inbox->mutex);
}

/* Consumer. */

static uint64_t waiting(const struct inbox_lane *lane)
{
    return lane->published - lane->consumed;
}

bool inbox_pending(struct inbox *inbox)
{
    mutex_lock(&inbox->mutex);
    const bool pending =
        waiting(&inbox->lanes[LANE_PEERS]) > 0 || waiting(&inbox->lanes[LANE_CLIENTS]) > 0 ||
        inbox->tick || inbox->stop || inbox->log_reported || inbox->executed_urgent ||
        inbox->state_number != inbox->state_number_taken || inbox->news_posted != inbox->news_taken;
    mutex_unlock(&inbox->mutex);
    return pending;
}

void inbox_take(struct inbox *inbox, uint64_t lane_max, struct inbox_take *take)
{
    mutex_lock(&inbox->mutex);
    for (int i = 0; i < LANE_COUNT; i++) {
        const uint64_t count = waiting(&inbox->lanes[i]);
        take->counts[i] = count < lane_max ? count : lane_max;
    }
    take->stop = inbox->stop;
    inbox->stop = false;

    const struct inbox_lane *peers = &inbox->lanes[LANE_PEERS];
    take->tick = inbox->tick && peers->consumed + take->counts[LANE_PEERS] >= inbox->tick_after;
    inbox->tick = inbox->tick && !take->tick;

    take->executed_op = inbox->executed_op;
    take->executed = inbox->executed_op != inbox->executed_op_taken;
    inbox->executed_op_taken = inbox->executed_op;
    inbox->executed_urgent = false;

    take->state_number = inbox->state_number;
    take->state_durable = inbox->state_number != inbox->state_number_taken;
    inbox->state_number_taken = inbox->state_number;

    take->log_durable = inbox->log_reported;
    take->log_generation = inbox->log_generation;
    take->log_op = inbox->log_op;
    inbox->log_reported = false;

    take->news_count = inbox->news_posted - inbox->news_taken;
    inbox->news_taken = inbox->news_posted;
    mutex_unlock(&inbox->mutex);
}

struct inbox_item *inbox_next(struct inbox *inbox, enum lane_kind kind)
{
    struct inbox_lane *lane = &inbox->lanes[kind];
    struct inbox_item *item = (struct inbox_item *)(void *)(lane->memory + lane->reading);
    if (item->size == 0) {
        lane->reading = 0;
        item = (struct inbox_item *)(void *)lane->memory;
    }
    lane->reading += item->size;
    return item;
}

void inbox_release(struct inbox *inbox, const struct inbox_take *take)
{
    mutex_lock(&inbox->mutex);
    for (int i = 0; i < LANE_COUNT; i++) {
        inbox->lanes[i].consumed += take->counts[i];
        INVARIANT(inbox->lanes[i].consumed <= inbox->lanes[i].published);
        inbox->lanes[i].head = inbox->lanes[i].reading;
    }
    mutex_unlock(&inbox->mutex);
}

uint64_t inbox_full_count(struct inbox *inbox, enum lane_kind kind)
{
    mutex_lock(&inbox->mutex);
    const uint64_t full_count = inbox->lanes[kind].full_count;
    mutex_unlock(&inbox->mutex);
    return full_count;
}
