/* SPDX-License-Identifier: Apache-2.0 */
/* A cut of the client table while it changes: see struct client_cut. */
#include <string.h>

#include "common/base/invariant.h"
#include "server/executor/client_table.h"

/* --- the heap of old forms --- */

static uint64_t heap_op(const struct client_cut *cut, uint32_t at)
{
    return cut->records[cut->heap[at]].last_op;
}

static void heap_swap(struct client_cut *cut, uint32_t a, uint32_t b)
{
    const uint32_t index = cut->heap[a];
    cut->heap[a] = cut->heap[b];
    cut->heap[b] = index;
}

static void heap_push(struct client_cut *cut, uint32_t index)
{
    uint32_t at = cut->heap_count++;
    cut->heap[at] = index;
    while (at > 0 && heap_op(cut, (at - 1) / 2) > heap_op(cut, at)) {
        heap_swap(cut, at, (at - 1) / 2);
        at = (at - 1) / 2;
    }
}

static uint32_t heap_pop(struct client_cut *cut)
{
    const uint32_t top = cut->heap[0];
    cut->heap[0] = cut->heap[--cut->heap_count];
    uint32_t at = 0;
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= cut->heap_count) {
            return top;
        }
        if (child + 1 < cut->heap_count && heap_op(cut, child + 1) < heap_op(cut, child)) {
            child++;
        }
        if (heap_op(cut, at) <= heap_op(cut, child)) {
            return top;
        }
        heap_swap(cut, at, child);
        at = child;
    }
}

/* --- old forms --- */

/* Every session that is open when a cut begins has one old form at most. */
static uint32_t old_form_take(struct client_table *table)
{
    struct client_cut *cut = &table->cut;
    if (cut->free == CLIENT_NONE) {
        INVARIANT(cut->fresh < table->sessions_max);
        return cut->fresh++;
    }
    const uint32_t index = cut->free;
    cut->free = cut->records[index].newer;
    return index;
}

static bool still_to_come(const struct client_cut *cut, const struct client_record *record)
{
    return cut->active && record->last_op > cut->through && record->last_op <= cut->op;
}

void client_table_cut_keep(struct client_table *table, const struct client_record *record)
{
    struct client_cut *cut = &table->cut;
    if (!still_to_come(cut, record)) {
        return;
    }
    if ((uint32_t)(record - table->records) == cut->next) {
        cut->next = record->newer;
    }
    const uint32_t index = old_form_take(table);
    cut->records[index] = *record;
    if (record->kept_size > 0) {
        memcpy(cut->kept + (size_t)index * table->kept_max, client_table_kept(table, record),
               record->kept_size);
    }
    heap_push(cut, index);
}

/* --- the cut --- */

void client_table_cut_begin(struct client_table *table, uint64_t op_number)
{
    struct client_cut *cut = &table->cut;
    INVARIANT(!cut->active);
    cut->active = true;
    cut->op = op_number;
    cut->through = 0;
    cut->next = table->oldest;
    cut->fresh = 0;
    cut->free = CLIENT_NONE;
    cut->heap_count = 0;
}

void client_table_cut_abandon(struct client_table *table)
{
    table->cut.active = false;
}

static const struct client_record *next_in_table(const struct client_table *table)
{
    const struct client_cut *cut = &table->cut;
    if (cut->next == CLIENT_NONE) {
        return NULL;
    }
    const struct client_record *record = &table->records[cut->next];
    return still_to_come(cut, record) ? record : NULL; /* else it and all behind it are younger */
}

static const struct client_record *take_old_form(struct client_table *table, const uint8_t **kept)
{
    struct client_cut *cut = &table->cut;
    const uint32_t index = heap_pop(cut);
    struct client_record *record = &cut->records[index];
    *kept = cut->kept + (size_t)index * table->kept_max;
    record->newer = cut->free;
    cut->free = index;
    return record;
}

const struct client_record *client_table_cut_next(struct client_table *table, const uint8_t **kept)
{
    struct client_cut *cut = &table->cut;
    INVARIANT(cut->active);
    const struct client_record *record = next_in_table(table);
    if (cut->heap_count > 0 && (record == NULL || heap_op(cut, 0) < record->last_op)) {
        record = take_old_form(table, kept);
    } else if (record != NULL) {
        *kept = client_table_kept(table, record);
        cut->next = record->newer;
    } else {
        cut->active = false;
        return NULL;
    }
    INVARIANT(record->last_op > cut->through);
    cut->through = record->last_op;
    return record;
}
