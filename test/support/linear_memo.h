/* SPDX-License-Identifier: Apache-2.0 */
/* linear_memo.h - the set of places that a search has been to, by 128-bit fingerprints: two places
 * that share one are so unlikely that nobody will see it happen. */
#ifndef VR_SUPPORT_LINEAR_MEMO_H
#define VR_SUPPORT_LINEAR_MEMO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fingerprint {
    uint64_t low;
    uint64_t high;
};

/* Of two numbers; that of a set is its members' combined, in any order. */
struct fingerprint fingerprint_of(uint64_t a, uint64_t b);
struct fingerprint fingerprint_combine(struct fingerprint a, struct fingerprint b);

/* Open addressing, at most half full; all zero at first. */
struct linear_memo {
    struct fingerprint *slots; /* both zero: free */
    size_t capacity;           /* a power of two */
    size_t allocated;          /* slots that there is memory for */
    size_t count;
};

/* Forgets everything, and keeps the memory. */
void linear_memo_reset(struct linear_memo *memo);
void linear_memo_free(struct linear_memo *memo);

/* False if it was there already. */
bool linear_memo_add(struct linear_memo *memo, struct fingerprint place);

#endif
