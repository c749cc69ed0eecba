/* SPDX-License-Identifier: Apache-2.0 */
/* linearizability.h - whether what clients saw of a key-value store can be explained by executing
 * their operations one after the other, each at some moment between its invocation and its return.
 * It knows nothing of the log, of views or of replicas.
 *
 * A history is linearizable if that of each key is (Herlihy and Wing: locality), so keys are judged
 * one by one, by the search of Wing and Gong with the memo of Lowe: depth first over which
 * operation comes next, and never twice from the same set of operations and the same value of the
 * key.
 *
 * An operation without a known outcome may have been executed at any moment after its invocation,
 * also long after its client gave up, or never.
 *
 * Memory:    grows with the history of the largest key and with the steps of its search, which are
 *            bounded; it is kept between uses.
 * Ownership: histories are borrowed for the call; a verdict points into the one that it judges.
 * Threads:   one at a time for each `struct linear_search`. */
#ifndef VR_SUPPORT_LINEARIZABILITY_H
#define VR_SUPPORT_LINEARIZABILITY_H

#include "test/support/cell.h"

enum {
    LINEAR_STEPS_MAX = 2 * 1000 * 1000, /* of the search of one key; 64 MiB of memo */
    LINEAR_STUCK_MAX = 8,               /* operations that a verdict names */
};

#define LINEAR_UNKNOWN UINT64_MAX /* as returned_ns: nobody knows whether it was executed */

struct linear_operation {
    uint64_t key;
    uint32_t client;
    uint32_t tag;         /* the caller's own: a line in a file, for one */
    uint64_t invoked_ns;  /* of one clock for all of the history */
    uint64_t returned_ns; /* >= invoked_ns. What returned before another was invoked comes first */
    uint64_t hint;        /* where it may stand in the order, for the search to try; 0: no idea */
    struct cell_operation operation;
    struct cell_result result; /* unless its outcome is unknown */
};

enum linear_outcome {
    LINEAR_YES,
    LINEAR_NO,
    LINEAR_UNDECIDED, /* not within the steps allowed */
};

/* What was found; of the first key that is not linearizable. */
struct linear_verdict {
    enum linear_outcome outcome;
    uint64_t steps;
    const struct linear_operation *key; /* the key's operations, by invocation; ... */
    size_t count;                       /* so many */
    size_t ordered;                     /* at the most so many of known outcome can be ordered; */
    struct cell_value value;            /* then the key holds this, */
    const struct linear_operation *writer; /* by this one (NULL: from the beginning), */
    uint32_t stuck_count; /* and none of these, one of which must come next, fits */
    const struct linear_operation *stuck[LINEAR_STUCK_MAX];
};

struct linear_search;

struct linear_search *linear_create(void);
void linear_destroy(struct linear_search *search);

/* Judges the history of one key that does not exist at first. The operations are sorted by
 * invocation. */
struct linear_verdict linear_check_key(struct linear_search *search,
                                       const struct linear_operation *operations, size_t count,
                                       uint64_t steps_max);

/* Judges a history of any number of keys, which it sorts by key and invocation; each key has
 * steps_max. The first key that is not linearizable ends it; those that are undecided do not, and
 * are counted in *undecided: the verdict is then of the first of them. */
struct linear_verdict linear_check(struct linear_search *search,
                                   struct linear_operation *operations, size_t count,
                                   uint64_t steps_max, uint64_t *undecided);

/* The order that the last key that was LINEAR_YES was explained by: operations of unknown outcome
 * that it leaves out had no effect. Returns how many there are. */
size_t linear_order(const struct linear_search *search, const struct linear_operation **order,
                    size_t order_max);

#endif
