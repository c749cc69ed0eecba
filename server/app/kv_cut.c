/* SPDX-License-Identifier: Apache-2.0 */
#include "server/app/kv_cut.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/bytes.h"
#include "common/base/invariant.h"

enum { SWEEP_STEPS = 2 }; /* records looked at by each operation that displaces one */

static const struct kv_bytes no_key = {NULL, 0};

void kv_cut_init(struct kv_cut *cut)
{
    *cut = (struct kv_cut){.active = false};
}

/* --- aside --- */

static bool is_stale(const struct kv_cut *cut, const struct kv_record *record)
{
    return !cut->active || record->cut_number != cut->number;
}

static void count_out(struct kv_cut *cut, const struct kv_record *record)
{
    cut->aside_bytes -= kv_record_size(record);
    if (is_stale(cut, record)) {
        INVARIANT(cut->stale_count > 0);
        cut->stale_count--;
    }
}

static void aside_take(struct kv_cut *cut, struct kv_record *record)
{
    const struct kv_record *taken = kv_index_remove(&cut->aside, kv_record_key(record));
    INVARIANT(taken == record);
    count_out(cut, record);
}

/* Once aside a record is older than the cut, so its cut_number is free to say whose it is. */
static void aside_put(struct kv_cut *cut, struct kv_record *record)
{
    record->cut_number = cut->number;
    cut->aside_bytes += kv_record_size(record);
    struct kv_record *before = kv_index_put(&cut->aside, kv_record_key(record), record);
    if (before != NULL) {
        INVARIANT(is_stale(cut, before)); /* a key has one record that is older than the cut */
        count_out(cut, before);
        free(before);
    }
}

/* Goes round over what is aside as long as something there is stale. Two steps for every record
 * that comes at most: so leftovers go, however often cuts are begun and abandoned. */
static void sweep(struct kv_cut *cut)
{
    for (uint32_t i = 0; i < SWEEP_STEPS && cut->stale_count > 0; i++) {
        struct kv_record *record = kv_index_next(&cut->aside, &cut->sweep);
        if (record == NULL) {
            record = kv_index_first(&cut->aside, &cut->sweep, no_key);
            INVARIANT(record != NULL);
        }
        if (is_stale(cut, record)) {
            aside_take(cut, record);
            free(record);
        }
    }
}

/* --- where the cut is --- */

static struct kv_bytes through(const struct kv_cut *cut)
{
    return (struct kv_bytes){cut->through, cut->through_size};
}

static void go_through(struct kv_cut *cut, const struct kv_record *record)
{
    memcpy(cut->through, record->bytes, record->key_size);
    cut->through_size = record->key_size;
}

/* What was being written is out, or given up. */
static void drop_current(struct kv_cut *cut)
{
    if (cut->current_displaced) {
        free(cut->current);
    }
    cut->current = NULL;
    cut->current_displaced = false;
    cut->head_size = 0;
    cut->done = 0;
}

void kv_cut_begin(struct kv_cut *cut, uint64_t count)
{
    INVARIANT(!cut->active);
    INVARIANT(cut->current == NULL);
    cut->active = true;
    cut->number++;
    cut->through_size = 0;
    bytes_put_u32(cut->head, KV_CUT_FORMAT);
    bytes_put_u64(cut->head + 4, count);
    cut->head_size = KV_CUT_HEADER_SIZE;
}

void kv_cut_displace(struct kv_cut *cut, struct kv_record *record)
{
    sweep(cut);
    if (record == cut->current) {
        cut->current_displaced = true;
    } else if (cut->active && record->cut_number != cut->number &&
               kv_bytes_compare(kv_record_key(record), through(cut)) > 0) {
        aside_put(cut, record);
    } else {
        free(record);
    }
}

void kv_cut_abandon(struct kv_cut *cut)
{
    drop_current(cut);
    cut->active = false;
    cut->stale_count = cut->aside.count;
}

void kv_cut_clear(struct kv_cut *cut)
{
    struct kv_cursor cursor;
    kv_cut_abandon(cut);
    struct kv_record *record = kv_index_first(&cut->aside, &cursor, no_key);
    while (record != NULL) {
        struct kv_record *next = kv_index_next(&cut->aside, &cursor);
        free(record);
        record = next;
    }
    kv_index_clear(&cut->aside);
    cut->aside_bytes = 0;
    cut->stale_count = 0;
}

/* --- slices --- */

/* The next record of each index. */
struct merge {
    const struct kv_index *live_index;
    struct kv_cursor live_at;
    struct kv_record *live;
    struct kv_cursor aside_at;
    struct kv_record *aside;
};

static void merge_start(struct merge *merge, const struct kv_cut *cut, const struct kv_index *live)
{
    merge->live_index = live;
    merge->live = kv_index_first(live, &merge->live_at, through(cut));
    if (merge->live != NULL && kv_bytes_compare(kv_record_key(merge->live), through(cut)) == 0) {
        merge->live = kv_index_next(live, &merge->live_at);
    }
    /* Nothing is aside whose key was passed but for one of the very key: see merge_step(). */
    merge->aside = kv_index_first(&cut->aside, &merge->aside_at, no_key);
}

static void write_record(struct kv_cut *cut, struct kv_record *record, bool displaced)
{
    cut->current = record;
    cut->current_displaced = displaced;
    bytes_put_u16(cut->head, (uint16_t)record->key_size);
    bytes_put_u32(cut->head + 2, record->value_size);
    cut->head_size = KV_CUT_PAIR_SIZE;
    cut->done = 0;
}

/* One step in key order: a record to be written becomes current, another is passed over. Of one
 * key the store's record comes first; where both exist, one of them does not count. False: that was
 * all. */
static bool merge_step(struct merge *merge, struct kv_cut *cut)
{
    struct kv_record *live = merge->live;
    struct kv_record *aside = merge->aside;
    if (live != NULL &&
        (aside == NULL || kv_bytes_compare(kv_record_key(live), kv_record_key(aside)) <= 0)) {
        go_through(cut, live);
        merge->live = kv_index_next(merge->live_index, &merge->live_at);
        if (live->cut_number != cut->number) {
            write_record(cut, live, false);
        }
        return true;
    }
    if (aside == NULL) {
        return false;
    }
    go_through(cut, aside);
    const bool stale = is_stale(cut, aside);
    aside_take(cut, aside);
    merge->aside = kv_index_next(&cut->aside, &merge->aside_at);
    if (stale) {
        free(aside);
    } else {
        write_record(cut, aside, true);
    }
    return true;
}

static size_t copy_part(const uint8_t *from, size_t from_size, size_t offset, uint8_t *out,
                        size_t capacity)
{
    const size_t left = from_size - offset;
    const size_t size = left < capacity ? left : capacity;
    if (size > 0) {
        memcpy(out, from + offset, size);
    }
    return size;
}

/* Writes on; *finished if the head and the record that belongs to it are out. */
static size_t copy_out(struct kv_cut *cut, uint8_t *out, size_t capacity, bool *finished)
{
    const size_t body_size = cut->current == NULL ? 0 : (size_t)kv_record_size(cut->current);
    size_t size = 0;
    if (cut->done < cut->head_size) {
        size = copy_part(cut->head, cut->head_size, cut->done, out, capacity);
        cut->done += size;
    }
    if (cut->done >= cut->head_size && body_size > 0) {
        const size_t offset = cut->done - cut->head_size;
        const size_t more =
            copy_part(cut->current->bytes, body_size, offset, out + size, capacity - size);
        cut->done += more;
        size += more;
    }
    *finished = cut->done == cut->head_size + body_size;
    return size;
}

bool kv_cut_slice(struct kv_cut *cut, const struct kv_index *live, uint8_t *out, size_t capacity,
                  size_t *size)
{
    INVARIANT(cut->active);
    INVARIANT(capacity > 0);
    struct merge merge;
    merge_start(&merge, cut, live);
    *size = 0;
    for (uint32_t step = 0; step < KV_CUT_STEPS_MAX; step++) {
        bool finished;
        *size += copy_out(cut, out + *size, capacity - *size, &finished);
        if (!finished) {
            return true;
        }
        drop_current(cut);
        if (!merge_step(&merge, cut)) {
            INVARIANT(cut->aside.count == 0);
            cut->active = false;
            return false;
        }
    }
    return true;
}
