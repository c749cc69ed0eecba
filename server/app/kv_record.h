/* SPDX-License-Identifier: Apache-2.0 */
/* kv_record.h - one pair of the store. A record never changes: a new value is a new record, so that
 * a cut can keep the old one as it is (kv_cut.h).
 *
 * Ownership: whoever takes a record out of an index frees it, or hands it on. */
#ifndef VR_KV_RECORD_H
#define VR_KV_RECORD_H

#include "common/base/types.h"
#include "common/wire/kv_codec.h"

struct kv_record {
    struct checksum digest; /* of the pair: its term in the store's */
    uint32_t key_size;
    uint32_t value_size;
    uint32_t cut_number; /* kv_cut.h: the cut under way, or the last one, when it was made */
    uint8_t bytes[];     /* the key, then the value */
};

static inline struct kv_bytes kv_record_key(const struct kv_record *record)
{
    return (struct kv_bytes){record->bytes, record->key_size};
}

static inline struct kv_bytes kv_record_value(const struct kv_record *record)
{
    return (struct kv_bytes){record->bytes + record->key_size, record->value_size};
}

/* Bytes of key and value. */
static inline uint64_t kv_record_size(const struct kv_record *record)
{
    return (uint64_t)record->key_size + record->value_size;
}

/* A record without its bytes, for a load that fills them in and then calls kv_record_seal(). */
struct kv_record *kv_record_allocate(uint32_t key_size, uint32_t value_size);

/* Computes the digest. */
void kv_record_seal(struct kv_record *record);

/* A sealed record. */
struct kv_record *kv_record_create(struct kv_bytes key, struct kv_bytes value);

/* Bytewise: less than, equal to or greater than 0. */
int kv_bytes_compare(struct kv_bytes a, struct kv_bytes b);

#endif
