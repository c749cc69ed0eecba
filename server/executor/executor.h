/* SPDX-License-Identifier: Apache-2.0 */
/* executor.h - committed entries, executed in op order, once each (N6); the client table (C3, C4).
 *
 * Pure: works in memory that it is given. The client table is application-side state: it changes
 * only here, on execution, in log order, so it is the same on every replica.
 *
 * At most once rests on this room alone. What an entry does follows from the table and the entry:
 *
 *     session unknown, or another client's   nothing; SessionExpired (C4)
 *     request number below the last          nothing; Superseded (PITFALLS CT-5)
 *     the last one, other payload            nothing; PayloadMismatch (PITFALLS CT-9)
 *     the last one                           nothing; the same answer again
 *     above the last                         executed, noted, answered
 *     Register of a client that has one      nothing; the session it has (C1)
 *     Register                               a session whose number is this op; when the table is
 *                                            full, for that whose last executed op is oldest (C4)
 *     Unregister                             the session is gone
 *
 * The same answer again: results up to reply_stored_max are kept. Only reads have larger ones;
 * their operation is kept instead (up to READ_KEPT_MAX) and executed again. That is as linearizable
 * as the first answer was: the client still waits, and everything executed here was committed.
 *
 * The digest of the table is the sum of its records' checksums, kept up to date like the
 * application's, so executor_digest() costs nothing and can be had at any op (I8).
 *
 * Threads: one caller at a time (the executor thread). */
#ifndef VR_EXECUTOR_H
#define VR_EXECUTOR_H

#include "common/base/configuration.h"
#include "common/base/entry.h"
#include "common/base/message.h"
#include "server/app/app.h"

enum { READ_KEPT_MAX = 2 * KEY_SIZE_MAX + 64 }; /* an operation that names two keys */

struct executor;

struct executor_options {
    struct cluster_parameters parameters;
    const struct app *app; /* outlives the executor */
    uint64_t hash_seed;    /* random; where sessions lie in memory, nothing else follows from it */
};

size_t executor_memory_size(const struct cluster_parameters *parameters);

/* Makes an executor in `memory` (zeroed, executor_memory_size() bytes, aligned as malloc aligns; it
 * may be far larger than what gets touched). Nothing is executed yet: executed_op is 0. */
struct executor *executor_init(void *memory, const struct executor_options *options);

/* Executes the entry whose byte form is given; its op_number is executed_op + 1 (asserted). Fills
 * in *reply but for view_number; reply->result borrows from the executor until its next call. */
void executor_execute(struct executor *executor, const uint8_t *entry, size_t size,
                      struct reply *reply);

/* N2: says what executing this request once more would be answered, if that changes nothing.
 * Changes nothing. Returns false if the request was not executed here, or its answer was not kept
 * and cannot be made again: then there is nothing to say, and the client asks again. */
bool executor_lookup(struct executor *executor, struct client_id client_id, uint64_t session,
                     uint64_t request_number, enum entry_kind kind, uint64_t operation_checksum,
                     struct reply *reply);

uint64_t executor_executed_op(const struct executor *executor);

/* Sessions open now, and evicted so far (C4). */
uint64_t executor_session_count(const struct executor *executor);
uint64_t executor_evicted_count(const struct executor *executor);

/* Digest of application state and client table at executed_op (I8). */
struct checksum executor_digest(const struct executor *executor);

#endif
