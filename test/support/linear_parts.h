/* SPDX-License-Identifier: Apache-2.0 */
/* linear_parts.h - what the search for an order is made of; within linearizability.c and
 * linear_items.c only. */
#ifndef VR_SUPPORT_LINEAR_PARTS_H
#define VR_SUPPORT_LINEAR_PARTS_H

#include "test/support/linear_memo.h"
#include "test/support/linearizability.h"

enum { NONE = UINT32_MAX };

struct item {
    const struct linear_operation *source;
    struct fingerprint name;
    bool keeps_value; /* by its result it changes nothing; known ones only */
    bool ordered;
    bool wanted;   /* unknown ones only: some result names the value that it leaves */
    uint32_t twin; /* unknown ones only: the one before that does the same, or NONE */
};

/* Invocations and returns of what is not ordered yet, by time: event i is the invocation of item i,
 * known_count + i its return; the last link is the list's end. */
struct link {
    uint32_t before;
    uint32_t after;
};

/* Where the search stands at one place: what it has tried there. */
struct cursor {
    uint32_t goal; /* in a chain: what it is for; NONE: in no chain */
    uint32_t room; /* in a chain: so many more may be taken before the goal */
    bool first;    /* nothing of the chain was taken yet */
    bool begun;
    bool exhausted;
    bool long_chains;   /* the second round of candidates */
    uint32_t candidate; /* what may come next: the one under trial */
    uint32_t length;    /* of the chain to it that was tried last */
    uint32_t unknown;   /* in a chain: the next to try */
};

struct frame {
    struct cursor cursor; /* at the place that was left */
    struct cell_value value;
    uint32_t item; /* NONE: no operation, but the beginning of a chain */
};

struct linear_search {
    struct item *items; /* the known ones, then the others; each by invocation */
    size_t item_capacity;
    uint32_t known_count;
    uint32_t unknown_count;
    struct link *links;
    uint32_t *sorted; /* scratch: events, items */
    struct cell_value *values;
    struct frame *frames;
    size_t depth;
    struct linear_memo memo;

    struct cursor cursor;
    struct cell_value value;
    struct fingerprint set; /* of what was ordered */
    uint32_t ordered_count; /* of the known ones */
    uint32_t chain_limit;   /* of this pass */
    struct linear_verdict verdict;
};

/* Makes items of the operations, links their events, and finds what is wanted and who is a twin.
 * Nothing is ordered yet. */
void linear_take_in(struct linear_search *search, const struct linear_operation *operations,
                    size_t count);

uint64_t linear_event_ns(const struct linear_search *search, uint32_t event);

/* Whether a result tells what the value was before, and what. */
bool linear_tells_value(const struct linear_operation *operation, struct cell_value *value);

#endif
