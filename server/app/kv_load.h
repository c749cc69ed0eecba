/* SPDX-License-Identifier: Apache-2.0 */
/* kv_load.h - a cut (kv_cut.h) back into an empty store, from bytes that nobody vouches for.
 *
 * Refused: another format, a key or a value over its bound, an empty key, keys that do not rise (so
 * none twice), more or fewer pairs than announced. A record is allocated when its sizes were
 * checked, so garbage costs one record of memory at most.
 *
 * Ownership: a record belongs to the load until it is whole. Threads: one caller at a time. */
#ifndef VR_KV_LOAD_H
#define VR_KV_LOAD_H

#include "server/app/kv_store.h"

struct kv_load {
    bool begun;
    bool failed;
    uint8_t head[KV_CUT_HEADER_SIZE]; /* being collected: the header, then the front of each pair */
    size_t head_size;                 /* bytes it will have */
    size_t filled;                    /* bytes of head and record so far */
    uint64_t left;                    /* pairs to come; the one being collected counts */
    struct kv_record *record;         /* being filled, or NULL */
    size_t last_size;                 /* the key before it; 0: none */
    uint8_t last[KEY_SIZE_MAX];
};

void kv_load_init(struct kv_load *load);

/* The store is empty. */
void kv_load_begin(struct kv_load *load);

/* See app.h. */
bool kv_load_bytes(struct kv_load *load, struct kv_store *store, const uint8_t *bytes, size_t size);
bool kv_load_end(struct kv_load *load);

/* Frees what is half collected. */
void kv_load_clear(struct kv_load *load);

#endif
