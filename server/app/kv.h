/* SPDX-License-Identifier: Apache-2.0 */
/* kv.h - the key-value store: an application behind app.h. It knows nothing of the protocol.
 *
 * Operations and results are common/wire/kv_codec.h's. Every operation, however malformed, has a
 * result, the same on every replica. Results of what changes something are a few bytes, so that the
 * client table can keep them (C3); Get and Scan, which may have large ones, are reads.
 *
 *     get          the value, or NOT_FOUND
 *     set          OK; STORE_FULL if it is full, as cas and incr
 *     del          OK or NOT_FOUND
 *     cas          OK; MISMATCH, or NOT_FOUND where a value is expected of a missing key
 *     incr         the new number; the value must be a signed 64-bit decimal in its plain form
 * ("0",
 *                  "-7"; no plus, space or leading zero), a missing key counts as 0
 *     scan         a page of pairs in key order, and whether there are more
 *
 * Full: an operation that would make the accounted size (kv_store.h) larger than the cluster's
 * state_size_max changes nothing; what makes it smaller or leaves it is always executed.
 *
 * The digest is the sum of the checksums of the (key, value) pairs (kv_store.h), kept up to date by
 * each change. The cut is the pairs in key order (kv_cut.h), loaded by kv_load.h.
 *
 * Threads: one caller at a time. Memory: the pairs and their index, by malloc; running out of it
 * aborts (PITFALLS NC-8). */
#ifndef VR_KV_H
#define VR_KV_H

#include "server/app/app.h"

struct kv;

/* An empty store. */
struct kv *kv_create(void);
void kv_destroy(struct kv *kv);

struct app kv_app(struct kv *kv);

uint64_t kv_key_count(const struct kv *kv);

/* Bytes of all keys and values. */
uint64_t kv_content_bytes(const struct kv *kv);

/* Bytes of keys and values kept aside for a cut, or left by one that was abandoned. */
uint64_t kv_aside_bytes(const struct kv *kv);

#endif
