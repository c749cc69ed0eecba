/* SPDX-License-Identifier: Apache-2.0 */
#include "server/app/kv_store.h"

#include <stdlib.h>

#include "common/base/digest.h"

void kv_store_init(struct kv_store *store)
{
    store->index = (struct kv_index){.judy = NULL};
    store->digest = (struct checksum){0, 0};
    store->content_bytes = 0;
    kv_cut_init(&store->cut);
}

struct kv_record *kv_store_find(struct kv_store *store, struct kv_bytes key)
{
    return kv_index_find(&store->index, key);
}

static void count_in(struct kv_store *store, const struct kv_record *record)
{
    store->digest = digest_add(store->digest, record->digest);
    store->content_bytes += kv_record_size(record);
}

static void count_out(struct kv_store *store, const struct kv_record *record)
{
    store->digest = digest_subtract(store->digest, record->digest);
    store->content_bytes -= kv_record_size(record);
}

void kv_store_put(struct kv_store *store, struct kv_record *record)
{
    record->cut_number = store->cut.number;
    count_in(store, record);
    struct kv_record *before = kv_index_put(&store->index, kv_record_key(record), record);
    if (before != NULL) {
        count_out(store, before);
        kv_cut_displace(&store->cut, before);
    }
}

bool kv_store_remove(struct kv_store *store, struct kv_bytes key)
{
    struct kv_record *record = kv_index_remove(&store->index, key);
    if (record == NULL) {
        return false;
    }
    count_out(store, record);
    kv_cut_displace(&store->cut, record);
    return true;
}

uint64_t kv_store_size(const struct kv_store *store)
{
    return store->content_bytes + store->index.count * KV_PAIR_ACCOUNTED;
}

bool kv_store_has_room(struct kv_store *store, struct kv_bytes key, struct kv_bytes value,
                       uint64_t size_max)
{
    const uint64_t size = kv_store_size(store);
    const uint64_t added = (uint64_t)key.size + value.size + KV_PAIR_ACCOUNTED;
    if (size_max == 0 || size + added <= size_max) {
        return true; /* whatever was there before */
    }
    const struct kv_record *before = kv_store_find(store, key);
    if (before == NULL) {
        return false;
    }
    return value.size <= before->value_size || size + (value.size - before->value_size) <= size_max;
}

void kv_store_clear(struct kv_store *store)
{
    struct kv_cursor cursor;
    struct kv_record *record = kv_index_first(&store->index, &cursor, (struct kv_bytes){NULL, 0});
    while (record != NULL) {
        struct kv_record *next = kv_index_next(&store->index, &cursor);
        free(record);
        record = next;
    }
    kv_index_clear(&store->index);
    store->digest = (struct checksum){0, 0};
    store->content_bytes = 0;
    kv_cut_clear(&store->cut);
}
