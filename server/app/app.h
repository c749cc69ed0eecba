/* SPDX-License-Identifier: Apache-2.0 */
/* app.h - the door to any application that VR replicates (the paper's "service code").
 *
 * An application is a deterministic state machine: the same operations in the same order give the
 * same results and the same state on every replica. It must not look at a clock, at randomness, at
 * addresses of memory or at anything else that differs between replicas; the timestamp it gets was
 * chosen once, by the primary. Errors are results: a malformed operation gets the same error result
 * everywhere, and never ends the process. It knows nothing of the protocol.
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
    uint64_t op_number; /* position in the log, rising */
    uint64_t timestamp; /* nanoseconds since 1970, rising with op_number; the primary's clock */
};

struct app {
    void *state; /* the application's own; passed to every call */

    /* Executes one operation and writes its result, at most VR_RESULT_SIZE_MAX bytes, to
     * `result`. Returns the result's size. A result of an operation that is not a read is at most
     * VR_WRITE_RESULT_SIZE_MAX bytes, which the client table of every cluster keeps, so that a
     * repeated request can be answered (C3); asserted by the executor. */
    size_t (*execute)(void *state, const struct app_context *context, const uint8_t *operation,
                      size_t operation_size, uint8_t *result);

    /* True if executing the operation changes nothing, so that it may be executed again for a
     * repeated request whose result was too large to keep (C3): such a read should be at most
     * READ_KEPT_MAX bytes (server/executor), or a lost reply to it is not said again until the
     * request is in the log again. Must depend on the bytes alone. */
    bool (*is_read)(void *state, const uint8_t *operation, size_t operation_size);

    /* A digest of the whole state: equal states have equal digests (I8). Cheap: kept up to date. */
    struct checksum (*digest)(void *state);
};

#ifdef __cplusplus
}
#endif

#endif
