/* SPDX-License-Identifier: Apache-2.0 */
#include "client/proxy/session.h"

#include <string.h>

#include "common/base/invariant.h"

static uint32_t bucket_count(uint32_t capacity)
{
    /* At most half full, so that probe sequences stay short. */
    uint32_t count = 4;
    while (count < 2 * (uint64_t)capacity) {
        count *= 2;
    }
    return count;
}

size_t session_table_memory_size(uint32_t capacity)
{
    return capacity * (sizeof(struct session) + sizeof(uint32_t)) +
           bucket_count(capacity) * sizeof(uint32_t);
}

void session_table_init(struct session_table *table, void *memory, uint32_t capacity)
{
    INVARIANT(capacity > 0);
    INVARIANT(capacity < UINT32_MAX / 4);
    memset(table, 0, sizeof *table);
    table->capacity = capacity;
    table->sessions = memory;
    table->heap = (uint32_t *)(void *)(table->sessions + capacity);
    table->buckets = table->heap + capacity;
    table->bucket_mask = bucket_count(capacity) - 1;
    memset(table->sessions, 0, capacity * sizeof(struct session));
    for (uint32_t i = 0; i <= table->bucket_mask; i++) {
        table->buckets[i] = SESSION_NONE;
    }
    for (uint32_t i = 0; i < LIST_COUNT; i++) {
        table->lists[i] = (struct session_list_ends){SESSION_NONE, SESSION_NONE, 0};
    }
    for (uint32_t i = 0; i < capacity; i++) {
        table->sessions[i].heap_index = SESSION_NONE;
        session_move(table, i, LIST_FREE);
    }
}

/* ---- names ---- */

static uint32_t home_bucket(const struct session_table *table, struct client_id id)
{
    /* Names are random already; the multiplication is for callers whose names only count. */
    const uint64_t mixed = (id.low ^ id.high) * UINT64_C(0x9e3779b97f4a7c15);
    return (uint32_t)(mixed >> 32) & table->bucket_mask;
}

static uint32_t find_bucket(const struct session_table *table, struct client_id id)
{
    uint32_t bucket = home_bucket(table, id);
    while (table->buckets[bucket] != SESSION_NONE &&
           !client_id_equal(table->sessions[table->buckets[bucket]].client_id, id)) {
        bucket = (bucket + 1) & table->bucket_mask;
    }
    return bucket;
}

uint32_t session_find(const struct session_table *table, struct client_id client_id)
{
    return table->buckets[find_bucket(table, client_id)];
}

void session_forget_name(struct session_table *table, uint32_t index)
{
    uint32_t hole = find_bucket(table, table->sessions[index].client_id);
    if (table->buckets[hole] != index) {
        return; /* forgotten already */
    }
    /* Close the gap: an entry may move into the hole unless its home lies behind the hole. */
    uint32_t next = hole;
    for (;;) {
        next = (next + 1) & table->bucket_mask;
        if (table->buckets[next] == SESSION_NONE) {
            break;
        }
        const uint32_t home = home_bucket(table, table->sessions[table->buckets[next]].client_id);
        const uint32_t from_home = (next - home) & table->bucket_mask;
        const uint32_t from_hole = (next - hole) & table->bucket_mask;
        if (from_home >= from_hole) {
            table->buckets[hole] = table->buckets[next];
            hole = next;
        }
    }
    table->buckets[hole] = SESSION_NONE;
}

/* ---- lists ---- */

static void list_remove(struct session_table *table, uint32_t index)
{
    struct session *session = &table->sessions[index];
    struct session_list_ends *ends = &table->lists[session->list];
    if (session->previous == SESSION_NONE) {
        ends->first = session->next;
    } else {
        table->sessions[session->previous].next = session->next;
    }
    if (session->next == SESSION_NONE) {
        ends->last = session->previous;
    } else {
        table->sessions[session->next].previous = session->previous;
    }
    INVARIANT(ends->count > 0);
    ends->count--;
    session->list = LIST_NONE;
}

void session_move(struct session_table *table, uint32_t index, enum session_list list)
{
    struct session *session = &table->sessions[index];
    if (session->list != LIST_NONE) {
        list_remove(table, index);
    }
    if (list == LIST_NONE) {
        return;
    }
    struct session_list_ends *ends = &table->lists[list];
    session->list = list;
    session->previous = ends->last;
    session->next = SESSION_NONE;
    if (ends->last == SESSION_NONE) {
        ends->first = index;
    } else {
        table->sessions[ends->last].next = index;
    }
    ends->last = index;
    ends->count++;
}

/* ---- slots ---- */

uint32_t session_open(struct session_table *table, struct client_id client_id)
{
    const uint32_t index = table->lists[LIST_FREE].first;
    const uint32_t bucket = find_bucket(table, client_id);
    if (index == SESSION_NONE || table->buckets[bucket] != SESSION_NONE) {
        return SESSION_NONE;
    }
    session_move(table, index, LIST_NONE);
    struct session *session = &table->sessions[index];
    /* A timer of the slot's last owner may still be in the heap; it stays valid, being lazy. */
    const uint32_t heap_index = session->heap_index;
    const uint64_t heap_key = session->heap_key;
    memset(session, 0, sizeof *session);
    session->heap_index = heap_index;
    session->heap_key = heap_key;
    session->due_ns = UINT64_MAX;
    session->client_id = client_id;
    session->state = SESSION_IDLE;
    table->buckets[bucket] = index;
    return index;
}

void session_free(struct session_table *table, uint32_t index)
{
    session_forget_name(table, index);
    table->sessions[index].state = SESSION_FREE;
    table->sessions[index].due_ns = UINT64_MAX;
    session_move(table, index, LIST_FREE);
}

/* ---- timers: a binary heap by heap_key ---- */

static void heap_place(struct session_table *table, uint32_t position, uint32_t index)
{
    table->heap[position] = index;
    table->sessions[index].heap_index = position;
}

static uint64_t heap_key_at(const struct session_table *table, uint32_t position)
{
    return table->sessions[table->heap[position]].heap_key;
}

static void heap_sift_up(struct session_table *table, uint32_t position)
{
    const uint32_t index = table->heap[position];
    const uint64_t key = table->sessions[index].heap_key;
    while (position > 0 && heap_key_at(table, (position - 1) / 2) > key) {
        heap_place(table, position, table->heap[(position - 1) / 2]);
        position = (position - 1) / 2;
    }
    heap_place(table, position, index);
}

static void heap_sift_down(struct session_table *table, uint32_t position)
{
    const uint32_t index = table->heap[position];
    const uint64_t key = table->sessions[index].heap_key;
    for (;;) {
        uint32_t child = 2 * position + 1;
        if (child >= table->heap_count) {
            break;
        }
        if (child + 1 < table->heap_count &&
            heap_key_at(table, child + 1) < heap_key_at(table, child)) {
            child++;
        }
        if (heap_key_at(table, child) >= key) {
            break;
        }
        heap_place(table, position, table->heap[child]);
        position = child;
    }
    heap_place(table, position, index);
}

static void heap_remove_first(struct session_table *table)
{
    table->sessions[table->heap[0]].heap_index = SESSION_NONE;
    table->heap_count--;
    if (table->heap_count > 0) {
        heap_place(table, 0, table->heap[table->heap_count]);
        heap_sift_down(table, 0);
    }
}

void session_wake_at(struct session_table *table, uint32_t index, uint64_t due_ns)
{
    struct session *session = &table->sessions[index];
    session->due_ns = due_ns;
    if (due_ns == UINT64_MAX) {
        return;
    }
    if (session->heap_index == SESSION_NONE) {
        INVARIANT(table->heap_count < table->capacity);
        session->heap_key = due_ns;
        heap_place(table, table->heap_count++, index);
        heap_sift_up(table, session->heap_index);
    } else if (due_ns < session->heap_key) {
        session->heap_key = due_ns;
        heap_sift_up(table, session->heap_index);
    }
}

uint32_t session_wake_next(struct session_table *table, uint64_t now_ns)
{
    while (table->heap_count > 0 && heap_key_at(table, 0) <= now_ns) {
        const uint32_t index = table->heap[0];
        struct session *session = &table->sessions[index];
        if (session->due_ns == UINT64_MAX) {
            heap_remove_first(table);
        } else if (session->due_ns > now_ns) {
            session->heap_key =
                session->due_ns; /* it was answered, and waits for something later */
            heap_sift_down(table, 0);
        } else {
            session->due_ns = UINT64_MAX;
            heap_remove_first(table);
            return index;
        }
    }
    return SESSION_NONE;
}

uint64_t session_wake_deadline(const struct session_table *table)
{
    return table->heap_count == 0 ? UINT64_MAX : heap_key_at(table, 0);
}
