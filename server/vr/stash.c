/* SPDX-License-Identifier: Apache-2.0 */
#include "server/vr/stash.h"

#include <string.h>

#include "common/base/invariant.h"

void stash_clear(struct stash *stash)
{
    for (uint32_t i = 0; i < STASH_MAX; i++) {
        stash->slots[i].first_op = 0;
    }
    stash->count = 0;
}

/* A free slot, or the one farthest ahead if that is farther than first_op, or NULL. */
static struct stash_slot *choose_slot(struct stash *stash, uint64_t first_op)
{
    struct stash_slot *farthest = NULL;
    for (uint32_t i = 0; i < STASH_MAX; i++) {
        struct stash_slot *slot = &stash->slots[i];
        if (slot->first_op == first_op) {
            return NULL;
        }
        if (slot->first_op == 0) {
            if (farthest == NULL || farthest->first_op != 0) {
                farthest = slot;
            }
        } else if (slot->first_op > first_op &&
                   (farthest == NULL ||
                    (farthest->first_op != 0 && slot->first_op > farthest->first_op))) {
            farthest = slot;
        }
    }
    return farthest;
}

bool stash_put(struct stash *stash, const struct prepare *prepare)
{
    if (prepare->entries_size > sizeof stash->slots[0].entries) {
        return false;
    }
    struct stash_slot *slot = choose_slot(stash, prepare->first_op);
    if (slot == NULL) {
        return false;
    }
    stash->count += slot->first_op == 0 ? 1 : 0;
    slot->first_op = prepare->first_op;
    slot->parent_checksum = prepare->parent_checksum;
    slot->entry_count = prepare->entry_count;
    slot->entries_size = prepare->entries_size;
    memcpy(slot->entries, prepare->entries, prepare->entries_size);
    return true;
}

struct stash_slot *stash_find(struct stash *stash, uint64_t next_op)
{
    for (uint32_t i = 0; stash->count > 0 && i < STASH_MAX; i++) {
        struct stash_slot *slot = &stash->slots[i];
        if (slot->first_op != 0 && slot->first_op <= next_op) {
            return slot;
        }
    }
    return NULL;
}

void stash_free(struct stash *stash, struct stash_slot *slot)
{
    INVARIANT(slot->first_op != 0);
    slot->first_op = 0;
    stash->count--;
}
