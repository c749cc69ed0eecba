/* SPDX-License-Identifier: Apache-2.0 */
/* kv_store.h - the pairs: their index, what they amount to, and the cut that may be under way.
 *
 * The digest is the sum of the records' checksums (common/base/digest.h), the size that of keys and
 * values and KV_PAIR_ACCOUNTED for each pair: both follow from the content alone.
 *
 * Ownership: the store owns its records. Threads: one caller at a time. */
#ifndef VR_KV_STORE_H
#define VR_KV_STORE_H

#include "server/app/kv_cut.h"

/* Accounted for each pair besides its bytes (E0). Measured, with keys "user:N": 26 bytes of index
 * and 28 of record, and some 20 by which malloc rounds up. */
enum { KV_PAIR_ACCOUNTED = 80 };

struct kv_store {
    struct kv_index index;
    struct checksum digest;
    uint64_t content_bytes; /* of keys and values */
    struct kv_cut cut;
};

void kv_store_init(struct kv_store *store);

/* NULL if there is none. */
struct kv_record *kv_store_find(struct kv_store *store, struct kv_bytes key);

/* Takes a sealed record, in place of one of the same key if there is one. */
void kv_store_put(struct kv_store *store, struct kv_record *record);

/* False if there is none. */
bool kv_store_remove(struct kv_store *store, struct kv_bytes key);

/* Accounted bytes (app.h: state_size). */
uint64_t kv_store_size(const struct kv_store *store);

/* True if putting the pair leaves kv_store_size() within `size_max` (0: no limit), or does not make
 * it larger. */
bool kv_store_has_room(struct kv_store *store, struct kv_bytes key, struct kv_bytes value,
                       uint64_t size_max);

/* Frees everything, and what a cut keeps aside. */
void kv_store_clear(struct kv_store *store);

#endif
