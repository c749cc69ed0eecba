/* SPDX-License-Identifier: Apache-2.0 */
/* stash.h - Prepares that arrived behind a gap (N4) or during a log sync (V7), until what lies
 * before them is there. Bounded: what does not fit is fetched later. Emptied whenever view or
 * status change (PITFALLS ST-7). */
#ifndef VR_STASH_H
#define VR_STASH_H

#include "common/base/message.h"

struct stash_slot {
    uint64_t first_op; /* 0: free */
    struct checksum parent_checksum;
    uint32_t entry_count;
    uint32_t entries_size;
    uint8_t entries[DATAGRAM_SIZE_MAX];
};

struct stash {
    uint32_t count; /* slots in use */
    struct stash_slot slots[STASH_MAX];
};

void stash_clear(struct stash *stash);

/* Keeps a copy. When full, the entries farthest ahead give way. False if this one was not kept. */
bool stash_put(struct stash *stash, const struct prepare *prepare);

/* A slot whose first op is at most next_op, or NULL. The caller uses and then frees it. */
struct stash_slot *stash_find(struct stash *stash, uint64_t next_op);
void stash_free(struct stash *stash, struct stash_slot *slot);

#endif
