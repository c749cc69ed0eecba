/* SPDX-License-Identifier: Apache-2.0 */
#include "server/app/kv_index.h"

#include <Judy.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/invariant.h"

_Noreturn void kv_out_of_memory(size_t size)
{
    (void)fprintf(stderr,
                  "vr-server: out of memory: the key-value state needs %zu more bytes; the replica "
                  "stops, for it cannot leave out what the others do; give it more memory and "
                  "start it again, it will catch up\n",
                  size);
    abort();
}

/* Order-preserving: the escape is the least byte but one, and what follows it sorts as the escaped
 * bytes do; a key that is the start of another one ends where that goes on with 01 or more. */
static void escape(struct kv_bytes key, uint8_t escaped[KV_ESCAPED_MAX])
{
    INVARIANT(key.size <= KEY_SIZE_MAX);
    uint8_t *at = escaped;
    for (size_t i = 0; i < key.size; i++) {
        const uint8_t byte = key.bytes[i];
        if (byte <= 1) {
            *at++ = 1;
        }
        *at++ = byte <= 1 ? (uint8_t)(byte + 1) : byte;
    }
    *at = 0;
}

/* PPJERR of Judy.h: the only error left to a well-formed call is a lack of memory. */
static struct kv_record **slot_of(PPvoid_t slot)
{
    if (slot == PPJERR) {
        kv_out_of_memory(KV_ESCAPED_MAX);
    }
    return (struct kv_record **)slot;
}

static struct kv_record *record_at(PPvoid_t slot)
{
    return slot == NULL ? NULL : *slot_of(slot);
}

struct kv_record *kv_index_find(struct kv_index *index, struct kv_bytes key)
{
    INVARIANT(key.size > 0);
    escape(key, index->escaped);
    return record_at(JudySLGet(index->judy, index->escaped, PJE0));
}

struct kv_record *kv_index_put(struct kv_index *index, struct kv_bytes key,
                               struct kv_record *record)
{
    INVARIANT(key.size > 0);
    escape(key, index->escaped);
    struct kv_record **slot = slot_of(JudySLIns(&index->judy, index->escaped, PJE0));
    struct kv_record *before = *slot; /* NULL in a new slot */
    *slot = record;
    index->count += before == NULL ? 1 : 0;
    return before;
}

struct kv_record *kv_index_remove(struct kv_index *index, struct kv_bytes key)
{
    struct kv_record *record = kv_index_find(index, key);
    if (record == NULL) {
        return NULL;
    }
    /* find() left the escaped key where it is needed. */
    if (JudySLDel(&index->judy, index->escaped, PJE0) != 1) {
        kv_out_of_memory(KV_ESCAPED_MAX);
    }
    index->count--;
    return record;
}

struct kv_record *kv_index_first(const struct kv_index *index, struct kv_cursor *cursor,
                                 struct kv_bytes key)
{
    escape(key, cursor->at);
    return record_at(JudySLFirst(index->judy, cursor->at, PJE0));
}

struct kv_record *kv_index_next(const struct kv_index *index, struct kv_cursor *cursor)
{
    return record_at(JudySLNext(index->judy, cursor->at, PJE0));
}

void kv_index_clear(struct kv_index *index)
{
    (void)JudySLFreeArray(&index->judy, PJE0); /* returns how many bytes it freed */
    index->count = 0;
}
