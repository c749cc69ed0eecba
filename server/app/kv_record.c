/* SPDX-License-Identifier: Apache-2.0 */
#include "server/app/kv_record.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "server/app/kv_index.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

struct kv_record *kv_record_allocate(uint32_t key_size, uint32_t value_size)
{
    const size_t size = offsetof(struct kv_record, bytes) + key_size + value_size;
    /* Never less than the struct, of which the compiler may copy the tail. */
    struct kv_record *record =
        malloc(size > sizeof(struct kv_record) ? size : sizeof(struct kv_record));
    if (record == NULL) {
        kv_out_of_memory(size);
    }
    record->key_size = key_size;
    record->value_size = value_size;
    record->cut_number = 0;
    return record;
}

/* Key and value are hashed apart, so that no two pairs share their bytes by moving the border. */
void kv_record_seal(struct kv_record *record)
{
    const struct kv_bytes key = kv_record_key(record);
    const struct kv_bytes value = kv_record_value(record);
    const XXH128_hash_t of_key = XXH3_128bits(key.bytes, key.size);
    const XXH128_hash_t of_value = XXH3_128bits(value.bytes, value.size);
    const uint64_t words[] = {of_key.low64, of_key.high64, of_value.low64, of_value.high64};
    const XXH128_hash_t hash = XXH3_128bits(words, sizeof words);
    record->digest = (struct checksum){hash.low64, hash.high64};
}

struct kv_record *kv_record_create(struct kv_bytes key, struct kv_bytes value)
{
    struct kv_record *record = kv_record_allocate((uint32_t)key.size, (uint32_t)value.size);
    memcpy(record->bytes, key.bytes, key.size);
    if (value.size > 0) {
        memcpy(record->bytes + key.size, value.bytes, value.size);
    }
    kv_record_seal(record);
    return record;
}

int kv_bytes_compare(struct kv_bytes a, struct kv_bytes b)
{
    const size_t common = a.size < b.size ? a.size : b.size;
    const int order = common > 0 ? memcmp(a.bytes, b.bytes, common) : 0;
    return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}
