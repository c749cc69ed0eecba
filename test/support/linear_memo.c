/* SPDX-License-Identifier: Apache-2.0 */
#include "test/support/linear_memo.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/invariant.h"

enum { CAPACITY_MIN = 4096 };

/* The finalizer of splitmix64. */
static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

struct fingerprint fingerprint_of(uint64_t a, uint64_t b)
{
    const uint64_t first = mix(a + UINT64_C(0x9e3779b97f4a7c15));
    return (struct fingerprint){
        .low = mix(first ^ (b + UINT64_C(0x3c6ef372fe94f82a))),
        .high = mix(mix(first + UINT64_C(0xdaa66d2c7ddf743f)) + b),
    };
}

struct fingerprint fingerprint_combine(struct fingerprint a, struct fingerprint b)
{
    return (struct fingerprint){a.low ^ b.low, a.high ^ b.high};
}

static bool is_free(struct fingerprint slot)
{
    return slot.low == 0 && slot.high == 0;
}

void linear_memo_reset(struct linear_memo *memo)
{
    memo->count = 0;
    memo->capacity = 0; /* what is not used is not cleared either */
}

void linear_memo_free(struct linear_memo *memo)
{
    free(memo->slots);
    *memo = (struct linear_memo){0};
}

/* Where it is, or may be put. */
static struct fingerprint *slot_of(const struct linear_memo *memo, struct fingerprint place)
{
    for (uint64_t at = place.low;; at++) {
        struct fingerprint *slot = &memo->slots[at & (memo->capacity - 1)];
        if (is_free(*slot) || (slot->low == place.low && slot->high == place.high)) {
            return slot;
        }
    }
}

static struct fingerprint *allocate(size_t count)
{
    struct fingerprint *slots = malloc(count * sizeof *slots);
    INVARIANT(slots != NULL);
    return slots;
}

static void begin(struct linear_memo *memo)
{
    if (memo->allocated == 0) {
        memo->slots = allocate(CAPACITY_MIN);
        memo->allocated = CAPACITY_MIN;
    }
    memo->capacity = CAPACITY_MIN;
    memset(memo->slots, 0, memo->capacity * sizeof *memo->slots);
}

static void grow(struct linear_memo *memo)
{
    struct linear_memo old = *memo;
    memo->capacity *= 2;
    if (memo->capacity > memo->allocated) {
        memo->allocated = memo->capacity;
    }
    memo->slots = allocate(memo->allocated);
    memset(memo->slots, 0, memo->capacity * sizeof *memo->slots);
    for (size_t i = 0; i < old.capacity; i++) {
        if (!is_free(old.slots[i])) {
            *slot_of(memo, old.slots[i]) = old.slots[i];
        }
    }
    linear_memo_free(&old);
}

bool linear_memo_add(struct linear_memo *memo, struct fingerprint place)
{
    if (memo->capacity == 0) {
        begin(memo);
    } else if (2 * memo->count >= memo->capacity) {
        grow(memo);
    }
    if (is_free(place)) {
        place.low = 1; /* as any other */
    }
    struct fingerprint *slot = slot_of(memo, place);
    if (!is_free(*slot)) {
        return false;
    }
    *slot = place;
    memo->count++;
    return true;
}
