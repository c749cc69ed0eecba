/* executor.h - committed entries, executed in op order, once each (N6); the client table (C3, C4).
 *
 * Pure: works in memory that it is given. The client table is application-side state: it changes
 * only here, on execution, in log order, so it is the same on every replica.
 *
 * Threads: one caller at a time (the executor thread). */
#ifndef VR_EXECUTOR_H
#define VR_EXECUTOR_H

#include "common/base/configuration.h"
#include "common/base/entry.h"
#include "common/base/message.h"
#include "server/app/app.h"

struct executor;

struct executor_options {
    struct cluster_parameters parameters;
    const struct app *app; /* outlives the executor */
};

size_t executor_memory_size(const struct cluster_parameters *parameters);

/* Makes an executor in `memory` (zeroed, executor_memory_size() bytes, aligned as malloc aligns; it
 * may be far larger than what gets touched). Nothing is executed yet: executed_op is 0. */
struct executor *executor_init(void *memory, const struct executor_options *options);

/* Executes the entry whose byte form is given; its op_number is executed_op + 1 (asserted). Fills in
 * *reply but for view_number; reply->result borrows from the executor until its next call. */
void executor_execute(struct executor *executor, const uint8_t *entry, size_t size,
                      struct reply *reply);

/* N2: repeats what was answered to a request that was executed before. Changes nothing. Returns
 * false if this request was not executed here, or its result was not kept and cannot be made again:
 * then there is nothing to say, and the client asks again. */
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
