/* SPDX-License-Identifier: Apache-2.0 */
/* kv_cut.h - the store's content as bytes, cut in slices while it changes (K1, PITFALLS PS-11).
 *
 * The bytes (docs/formats.md): format u32, count of pairs u64; then the pairs in key order, each
 * key_size u16, value_size u32, key, value.
 *
 * Copy on write, without a copy: records never change, so what an operation displaces while a cut
 * is under way moves to an index of its own, `aside`, instead of being freed. A slice merges the
 * two indexes in key order. Of a record in the store only those count that are older than the cut
 * (`cut_number` says which are not); of a record that was displaced, only one that is older and
 * whose key the cut has not passed is kept.
 *
 * Bounds: a slice copies no more than it is asked for and visits KV_CUT_STEPS_MAX records, be they
 * written, passed over or freed. Beginning and abandoning a cut cost nothing: what an abandoned one
 * kept aside is swept up by later operations, two records each, and by the next cut. Aside is at
 * most what the store held when the cut began, and of that what was changed before it was cut; and
 * leftovers of abandoned cuts, which shrink faster than operations can add to them.
 *
 * Ownership: the cut owns what is aside, and the record that is half written once it was displaced.
 * Threads:   one caller at a time. Memory: Judy's, for the index. */
#ifndef VR_KV_CUT_H
#define VR_KV_CUT_H

#include "server/app/kv_index.h"
#include "server/app/kv_record.h"

enum {
    KV_CUT_FORMAT = 1,
    KV_CUT_HEADER_SIZE = 12,
    KV_CUT_PAIR_SIZE = 6,   /* bytes in front of key and value */
    KV_CUT_STEPS_MAX = 512, /* records visited in one slice: some 0.4 ms (make bench-cut) */
};

struct kv_cut {
    bool active;
    uint32_t number; /* of the cut under way, else of the last one; wraps after 4 billion cuts */
    struct kv_index aside;
    uint64_t aside_bytes; /* of keys and values in it */
    uint64_t stale_count; /* records in it that an abandoned cut left */
    struct kv_cursor sweep;

    /* Keys up to here are cut or being cut. */
    size_t through_size;
    uint8_t through[KEY_SIZE_MAX];

    /* What is being written: a head, then a record's bytes; `done` of them are out. */
    uint8_t head[KV_CUT_HEADER_SIZE];
    size_t head_size;
    struct kv_record *current; /* NULL: the head alone */
    bool current_displaced;    /* it is the cut's own now */
    size_t done;
};

void kv_cut_init(struct kv_cut *cut);

/* `count` records are in the store. No cut is under way. */
void kv_cut_begin(struct kv_cut *cut, uint64_t count);

/* Takes a record that was just taken out of the store: keeps it, or frees it. */
void kv_cut_displace(struct kv_cut *cut, struct kv_record *record);

/* The next slice, see app.h. `live` is the store's index. */
bool kv_cut_slice(struct kv_cut *cut, const struct kv_index *live, uint8_t *out, size_t capacity,
                  size_t *size);

void kv_cut_abandon(struct kv_cut *cut);

/* Abandons, and frees all that is aside at once. */
void kv_cut_clear(struct kv_cut *cut);

#endif
