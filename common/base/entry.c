/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/entry.h"

#include "common/base/bytes.h"
#include "common/base/invariant.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

size_t entry_encode(const struct entry *entry, uint8_t *bytes)
{
    INVARIANT(entry->body_size <= OPERATION_SIZE_MAX);
    bytes_put_u64(bytes + 0, entry->op_number);
    bytes_put_u64(bytes + 8, entry->view_number);
    bytes_put_u64(bytes + 16, entry->timestamp);
    bytes_put_u64(bytes + 24, entry->client_id.low);
    bytes_put_u64(bytes + 32, entry->client_id.high);
    bytes_put_u64(bytes + 40, entry->session);
    bytes_put_u64(bytes + 48, entry->request_number);
    bytes_put_u32(bytes + 56, (uint32_t)entry->kind);
    bytes_put_u32(bytes + 60, entry->body_size);
    if (entry->body_size > 0) {
        memcpy(bytes + ENTRY_HEADER_SIZE, entry->body, entry->body_size);
    }
    return ENTRY_HEADER_SIZE + (size_t)entry->body_size;
}

/* What a kind says of the other fields; op and view are judged where they are compared. */
static bool fields_fit_kind(const struct entry *entry)
{
    switch (entry->kind) {
    case ENTRY_OPERATION:
        return entry->session != 0 && entry->request_number != 0;
    case ENTRY_REGISTER:
        return entry->session == 0 && entry->request_number == 0 && entry->body_size == 0;
    case ENTRY_UNREGISTER:
        return entry->session != 0 && entry->request_number == 0 && entry->body_size == 0;
    }
    return false;
}

size_t entry_decode(const uint8_t *bytes, size_t available, struct entry *entry)
{
    if (available < ENTRY_HEADER_SIZE) {
        return 0;
    }
    /* One load covers the kind and the three bytes that must be zero. */
    const uint32_t kind = bytes_get_u32(bytes + 56);
    const uint32_t body_size = bytes_get_u32(bytes + 60);
    if (kind < ENTRY_OPERATION || kind > ENTRY_UNREGISTER || body_size > OPERATION_SIZE_MAX ||
        body_size > available - ENTRY_HEADER_SIZE) {
        return 0;
    }
    *entry = (struct entry){
        .op_number = bytes_get_u64(bytes + 0),
        .view_number = bytes_get_u64(bytes + 8),
        .timestamp = bytes_get_u64(bytes + 16),
        .client_id = {bytes_get_u64(bytes + 24), bytes_get_u64(bytes + 32)},
        .session = bytes_get_u64(bytes + 40),
        .request_number = bytes_get_u64(bytes + 48),
        .kind = (enum entry_kind)kind,
        .body_size = body_size,
        .body = bytes + ENTRY_HEADER_SIZE,
    };
    return fields_fit_kind(entry) ? ENTRY_HEADER_SIZE + (size_t)body_size : 0;
}

struct checksum entry_chain_start(uint64_t cluster_id)
{
    static const char label[] = "viewstamp log";
    const XXH128_hash_t hash = XXH3_128bits_withSeed(label, sizeof label, cluster_id);
    return (struct checksum){hash.low64, hash.high64};
}

struct checksum entry_checksum(uint64_t cluster_id, struct checksum parent, const uint8_t *bytes,
                               size_t size)
{
    /* The entry is hashed where it lies, and the outer hash covers the parent and that digest in
     * full: one pass, no copy. */
    const XXH128_hash_t body = XXH3_128bits_withSeed(bytes, size, cluster_id);
    const uint64_t link[4] = {parent.low, parent.high, body.low64, body.high64};
    const XXH128_hash_t hash = XXH3_128bits_withSeed(link, sizeof link, cluster_id);
    return (struct checksum){hash.low64, hash.high64};
}

uint64_t operation_checksum(enum entry_kind kind, const uint8_t *operation, size_t size)
{
    return XXH3_64bits_withSeed(operation, size, (uint64_t)kind);
}
