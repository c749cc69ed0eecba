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
 * Checkpoints (K1): the whole of it - client table, with the answers to repeat (PITFALLS CT-4), and
 * application - is cut in slices between entries, as bytes that are the same on every replica that
 * executed the same op, and loaded from them. docs/formats.md has the bytes.
 *
 * Threads: one caller at a time (the executor thread). */
#ifndef VR_EXECUTOR_H
#define VR_EXECUTOR_H

#include "common/base/configuration.h"
#include "common/base/entry.h"
#include "common/base/message.h"
#include "server/app/app.h"

enum { READ_KEPT_MAX = READ_SIZE_MAX }; /* an operation that names two keys */

struct executor;

struct executor_options {
    struct cluster_parameters parameters;
    const struct app *app; /* outlives the executor */
    uint64_t hash_seed;    /* random; where sessions lie in memory, nothing else follows from it */
    const struct configuration *configuration; /* to be in every cut; NULL: none. Copied. */
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

/* Section 5: lets the application read from the state behind executed_op; neither it nor the client
 * table changes. Fills in status, op_number and result as executor_execute() does; an operation
 * that is no read is not executed, and gets REPLY_NOT_A_READ. */
void executor_read(struct executor *executor, const uint8_t *operation, uint32_t size,
                   struct reply *reply);

uint64_t executor_executed_op(const struct executor *executor);

/* Of the entry at executed_op. */
uint64_t executor_timestamp(const struct executor *executor);

/* What the application says of its operations (app.h). */
bool executor_is_quick(const struct executor *executor);

/* Accounted bytes of the application's state (app.h). */
uint64_t executor_state_size(const struct executor *executor);

/* Sessions open now, and evicted so far (C4). */
uint64_t executor_session_count(const struct executor *executor);
uint64_t executor_evicted_count(const struct executor *executor);

/* Digest of application state and client table at executed_op (I8). */
struct checksum executor_digest(const struct executor *executor);

/* --- cutting (executor_cut.c) ---
 *
 * The state as of executed_op is to be cut; no cut is under way (asserted). Entries may be executed
 * between slices and do not show in them. */
void executor_cut_begin(struct executor *executor);
bool executor_cut_active(const struct executor *executor);

/* Writes the next bytes to `out`, at most `capacity` (1 or more) of them, and says in *size how
 * many: there may be none yet. The bytes do not depend on how they are sliced. A slice of 64 KiB
 * takes at most some 2 ms of CPU. Returns false when that was all and the cut is over. */
bool executor_cut(struct executor *executor, uint8_t *out, size_t capacity, size_t *size);

/* Forgets the cut under way; nothing if there is none. */
void executor_cut_abandon(struct executor *executor);

/* --- loading (executor_load.c) ---
 *
 * Empties executor and application, abandons a cut, and expects the bytes of one. Until
 * executor_load_end() returned true nothing may be executed (asserted). Frees the application's
 * state, which takes as long as that is large. */
void executor_load_begin(struct executor *executor);

/* The next bytes, split in any way. Returns false if they are no cut of a replica of this cluster:
 * another format, cluster, or parameters; damaged. Then only executor_load_begin() helps. */
bool executor_load(struct executor *executor, const uint8_t *bytes, size_t size);

/* That was all. Returns true if it was a whole cut, and state and digest are those of it. */
bool executor_load_end(struct executor *executor);

/* Whose cut it is that `bytes` begin with. Returns false if its front is not whole, or makes no
 * sense, or names no configuration. */
bool executor_read_origin(const uint8_t *bytes, size_t size, struct configuration *configuration);

/* --- a new cluster from the state of another one (executor_load.c) ---
 *
 * An executor just made, over an application that has its state already: that is the state behind
 * `op_number`, whose entry had this timestamp. The client table is empty: sessions stay with the
 * cluster that they were opened in. */
void executor_begin_behind(struct executor *executor, uint64_t op_number, uint64_t timestamp);

#endif
