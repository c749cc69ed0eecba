/* SPDX-License-Identifier: Apache-2.0 */
/* app.h - the door to any application that VR replicates (the paper's "service code").
 *
 * An application is a deterministic state machine: the same operations in the same order give the
 * same results and the same state on every replica. It must not look at a clock, at randomness, at
 * addresses of memory or at anything else that differs between replicas; the timestamp it gets was
 * chosen once, by the primary. Errors are results: a malformed operation gets the same error result
 * everywhere, and never ends the process. It knows nothing of the protocol.
 *
 * Every function is required.
 *
 * Threads:   every call comes from one thread at a time (the executor holds the application).
 * Ownership: operation bytes are borrowed for the call; the result is written into the caller's
 *            buffer. */
#ifndef VR_APP_H
#define VR_APP_H

#include "common/base/public.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    VR_RESULT_SIZE_MAX = 1024 + 1024 * 1024 + 4096, /* bytes: RESULT_SIZE_MAX, for everybody */
    VR_WRITE_RESULT_SIZE_MAX = 64,                  /* bytes: REPLY_STORED_MIN */
};

struct app_context {
    uint64_t op_number; /* position in the log, rising; of a read beside the log (R2): that of the
                         * entry that was executed last, once more */
    uint64_t timestamp; /* nanoseconds since 1970, rising with op_number; the primary's clock */
    uint64_t state_size_max; /* what state_size() may grow to; 0: no limit. The same on every
                              * replica: an operation that needs more has an error result. */
};

struct app {
    void *state; /* the application's own; passed to every call */

    /* No operation computes for more than about a millisecond, or waits for anything. Then a thread
     * that receives datagrams may execute a few itself, which spares a hand-over; else all run in
     * the executor's thread, and however long one takes, heartbeats and acks go on (N9). Calls come
     * from one thread at a time in either case. */
    bool is_quick;

    /* Executes one operation and writes its result, at most VR_RESULT_SIZE_MAX bytes, to
     * `result`. Returns the result's size. A result of an operation that is not a read is at most
     * VR_WRITE_RESULT_SIZE_MAX bytes, which the client table of every cluster keeps, so that a
     * repeated request can be answered (C3); asserted by the executor. */
    size_t (*execute)(void *state, const struct app_context *context, const uint8_t *operation,
                      size_t operation_size, uint8_t *result);

    /* True if executing the operation changes nothing. Then it may be executed without a place in
     * the log (R2, R4), on one replica alone and also between two slices of a checkpoint; and again
     * for a repeated request whose result was too large to keep (C3): such a read should be at most
     * READ_KEPT_MAX bytes (server/executor), or a lost reply to it is not said again until the
     * request is in the log again. Must depend on the bytes alone. */
    bool (*is_read)(void *state, const uint8_t *operation, size_t operation_size);

    /* A digest of the whole state: equal states have equal digests (I8). Cheap: kept up to date. */
    struct checksum (*digest)(void *state);

    /* Bytes of the state, counted by a rule that gives equal states equal sizes: from the content,
     * never from an allocator. Cheap. execute() keeps it at or below context->state_size_max, so
     * that no replica runs out of memory alone (E0). */
    uint64_t (*state_size)(void *state);

    /* --- checkpoints (K1): the state as bytes, cut in slices while operations go on ---
     *
     * The bytes are canonical: equal states give equal bytes, whatever came before. They begin with
     * a format number, are in an order that follows from the content, hold no padding, no address
     * and nothing of this machine. They say themselves where they end, or load_end() does. */

    /* The state as it is now is to be cut. Cheap, however large the state is. Until the cut is over
     * operations go on between slices, and what they change must not appear: the application keeps
     * the old form of what was not cut yet. No cut is under way. */
    void (*cut_begin)(void *state);

    /* Writes the next bytes of the cut to `out`, at most `capacity` (1 or more), and says in *size
     * how many; there may be none yet, and the bytes do not depend on how they are sliced. Bounded
     * work: at most some 2 ms of CPU for 64 KiB. Returns false when that was all and the cut is
     * over, true while there is more. */
    bool (*cut)(void *state, uint8_t *out, size_t capacity, size_t *size);

    /* Forgets the cut under way. Cheap. */
    void (*cut_abandon)(void *state);

    /* Empties the state, for a cut to be loaded into it; whatever it was, also halfway through a
     * load or a cut. */
    void (*load_begin)(void *state);

    /* The next bytes of a cut, split in any way. They come from a disk or a network: returns false
     * if they are no cut of any state, and then only load_begin() is called again. Memory taken is
     * bounded by the bytes given. */
    bool (*load)(void *state, const uint8_t *bytes, size_t size);

    /* That was all. Returns false if bytes are missing. Else state and digest are what they were
     * when the cut began. */
    bool (*load_end)(void *state);
};

#ifdef __cplusplus
}
#endif

#endif
