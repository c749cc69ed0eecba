/* SPDX-License-Identifier: Apache-2.0 */
/* kv_index.h - the store's index: keys in order, each with a record.
 *
 * Judy (JudySL), chosen by measurement (test/bench/bench_index.c; a million keys "user:N" inserted,
 * looked up, scanned in pages of 100 and removed at random; 2-core virtual AMD EPYC, gcc -O2):
 *
 *                     find   scan/key  remove  memory/key  longest insertion
 *     Judy          0.7 us    0.3 us   0.9 us     26 bytes       0.3 ms
 *     red-black     2.3 us    0.2 us   2.4 us     48 bytes       0.4 ms
 *     GTree         2.4 us    0.2 us   2.6 us     57 bytes       0.4 ms
 *
 * A digital tree touches a few cache lines where a binary one misses twenty times, and grows node
 * by node: no step copies more than one node. Hash tables, which are quicker still, keep no order,
 * and those at hand double all at once (45 ms at a million keys).
 *
 * JudySL's keys are C strings; ours are bytes. A key is escaped so that order is kept and no NUL is
 * left: 00 becomes 01 01, 01 becomes 01 02.
 *
 * Threads: one caller at a time. Out of memory: kv_out_of_memory(). */
#ifndef VR_KV_INDEX_H
#define VR_KV_INDEX_H

#include "common/base/limits.h"
#include "common/base/types.h"
#include "common/wire/kv_codec.h"

struct kv_record;

enum { KV_ESCAPED_MAX = 2 * KEY_SIZE_MAX + 1 }; /* bytes, with the NUL */

struct kv_index {
    void *judy;
    uint64_t count;
    uint8_t escaped[KV_ESCAPED_MAX]; /* scratch */
};

/* Where an iteration stands: at a key. The index may change meanwhile; the next one is the next
 * that is there then. */
struct kv_cursor {
    uint8_t at[KV_ESCAPED_MAX];
};

/* Keys are 1 to KEY_SIZE_MAX bytes (asserted). NULL if there is none. */
struct kv_record *kv_index_find(struct kv_index *index, struct kv_bytes key);

/* Puts a record under a key; returns the one that was there before, or NULL. */
struct kv_record *kv_index_put(struct kv_index *index, struct kv_bytes key,
                               struct kv_record *record);

/* Takes a key out; returns its record, or NULL. */
struct kv_record *kv_index_remove(struct kv_index *index, struct kv_bytes key);

/* The first record at or above `key`, which may be empty; NULL if there is none. */
struct kv_record *kv_index_first(const struct kv_index *index, struct kv_cursor *cursor,
                                 struct kv_bytes key);
struct kv_record *kv_index_next(const struct kv_index *index, struct kv_cursor *cursor);

/* Forgets all keys; the records are the caller's. */
void kv_index_clear(struct kv_index *index);

/* A replica that ran out of memory must not answer: the others did not (PITFALLS NC-8). It says so
 * and aborts, as if it had been killed. */
_Noreturn void kv_out_of_memory(size_t size);

#endif
