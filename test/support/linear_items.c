/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "common/base/invariant.h"
#include "test/support/linear_parts.h"

static void *resize(void *memory, size_t count, size_t size)
{
    memory = realloc(memory, count * size);
    INVARIANT(memory != NULL);
    return memory;
}

static void make_room(struct linear_search *search, size_t operation_count)
{
    const size_t count = operation_count + 1;
    if (count <= search->item_capacity) {
        return;
    }
    INVARIANT(count < NONE / 4);
    search->item_capacity = count;
    search->items = resize(search->items, count, sizeof *search->items);
    search->links = resize(search->links, 2 * count, sizeof *search->links);
    search->sorted = resize(search->sorted, 2 * count, sizeof *search->sorted);
    search->values = resize(search->values, count, sizeof *search->values);
    /* Each chain begins with a frame of its own and ends with a known one. */
    search->frames = resize(search->frames, 2 * count, sizeof *search->frames);
}

static bool is_unknown(const struct linear_operation *operation)
{
    return operation->returned_ns == LINEAR_UNKNOWN;
}

/* Only Set and what succeeds otherwise changes anything. */
static bool keeps_value(const struct linear_operation *operation)
{
    return operation->operation.verb == KV_GET || operation->result.status != KV_OK;
}

/* A read of unknown outcome says nothing. */
static void make_items(struct linear_search *search, const struct linear_operation *operations,
                       size_t count, bool unknown)
{
    for (size_t i = 0; i < count; i++) {
        const struct linear_operation *operation = &operations[i];
        INVARIANT(i == 0 || operation[-1].invoked_ns <= operation->invoked_ns);
        if (is_unknown(operation) != unknown || (unknown && operation->operation.verb == KV_GET)) {
            continue;
        }
        const uint32_t at = search->known_count + search->unknown_count;
        search->items[at] = (struct item){
            .source = operation,
            .name = fingerprint_of(at, 1),
            .keeps_value = !unknown && keeps_value(operation),
            .twin = NONE,
        };
        search->known_count += unknown ? 0 : 1;
        search->unknown_count += unknown ? 1 : 0;
    }
}

static int order(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

uint64_t linear_event_ns(const struct linear_search *search, uint32_t event)
{
    return event < search->known_count
               ? search->items[event].source->invoked_ns
               : search->items[event - search->known_count].source->returned_ns;
}

/* Invocations before returns of the same time: these two are concurrent. */
static int compare_events(const void *left, const void *right, void *context)
{
    const struct linear_search *search = context;
    const uint32_t a = *(const uint32_t *)left;
    const uint32_t b = *(const uint32_t *)right;
    const int by_time = order(linear_event_ns(search, a), linear_event_ns(search, b));
    return by_time != 0 ? by_time : order(a, b);
}

static void link_events(struct linear_search *search)
{
    const uint32_t end = 2 * search->known_count;
    uint32_t before = end;
    for (uint32_t i = 0; i < end; i++) {
        search->sorted[i] = i;
    }
    qsort_r(search->sorted, end, sizeof *search->sorted, compare_events, search);
    for (uint32_t i = 0; i < end; i++) {
        search->links[before].after = search->sorted[i];
        search->links[search->sorted[i]].before = before;
        before = search->sorted[i];
    }
    search->links[before].after = end;
    search->links[end].before = before;
}

static int compare_values(const void *left, const void *right)
{
    const struct cell_value *a = left;
    const struct cell_value *b = right;
    return a->kind != b->kind ? order(a->kind, b->kind) : order(a->content, b->content);
}

bool linear_tells_value(const struct linear_operation *o, struct cell_value *value)
{
    const struct cell_value absent = {.kind = CELL_ABSENT};
    int64_t number;
    *value = absent;
    switch (o->operation.verb) {
    case KV_GET:
        *value = o->result.value;
        return true;
    case KV_DEL:
        return o->result.status == KV_NOT_FOUND;
    case KV_CAS:
        *value = o->result.status == KV_OK ? o->operation.expected : absent;
        return o->result.status != KV_MISMATCH;
    case KV_INCR:
        if (o->result.status != KV_OK ||
            __builtin_sub_overflow((int64_t)o->result.value.content, o->operation.by, &number)) {
            return false;
        }
        *value = cell_number(number);
        return number != 0; /* which may have been absent, too */
    default:
        return false;
    }
}

static void find_wanted(struct linear_search *search)
{
    size_t count = 0;
    for (uint32_t i = 0; i < search->known_count; i++) {
        count += linear_tells_value(search->items[i].source, &search->values[count]) ? 1 : 0;
    }
    qsort(search->values, count, sizeof *search->values, compare_values);
    for (uint32_t i = 0; i < search->unknown_count; i++) {
        struct item *item = &search->items[search->known_count + i];
        item->wanted = bsearch(&item->source->operation.value, search->values, count,
                               sizeof *search->values, compare_values) != NULL;
    }
}

static int compare_operations(const struct cell_operation *a, const struct cell_operation *b)
{
    const int by_verb = order(a->verb, b->verb);
    const int by_value = compare_values(&a->value, &b->value);
    const int by_expected = compare_values(&a->expected, &b->expected);
    return by_verb != 0 ? by_verb
           : by_value != 0
               ? by_value
               : (by_expected != 0 ? by_expected : order((uint64_t)a->by, (uint64_t)b->by));
}

static int compare_items(const void *left, const void *right, void *context)
{
    const struct linear_search *search = context;
    const uint32_t a = *(const uint32_t *)left;
    const uint32_t b = *(const uint32_t *)right;
    const int by_operation = compare_operations(&search->items[a].source->operation,
                                                &search->items[b].source->operation);
    return by_operation != 0 ? by_operation : order(a, b);
}

static void find_twins(struct linear_search *search)
{
    uint32_t *sorted = search->sorted;
    for (uint32_t i = 0; i < search->unknown_count; i++) {
        sorted[i] = search->known_count + i;
    }
    qsort_r(sorted, search->unknown_count, sizeof *sorted, compare_items, search);
    for (uint32_t i = 1; i < search->unknown_count; i++) {
        if (compare_operations(&search->items[sorted[i - 1]].source->operation,
                               &search->items[sorted[i]].source->operation) == 0) {
            search->items[sorted[i]].twin = sorted[i - 1];
        }
    }
}

void linear_take_in(struct linear_search *search, const struct linear_operation *operations,
                    size_t count)
{
    make_room(search, count);
    search->known_count = 0;
    search->unknown_count = 0;
    make_items(search, operations, count, false);
    make_items(search, operations, count, true);
    link_events(search);
    find_wanted(search);
    find_twins(search);
}
