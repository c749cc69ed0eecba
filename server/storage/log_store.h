/* SPDX-License-Identifier: Apache-2.0 */
/* log_store.h - the seam between the core's log and a disk (S4).
 *
 * The core says "cut to, then append first..last" (VR_OUT_WRITE_LOG) and goes on; some time later
 * it is told "generation g is durable up to op n" (VR_EVENT_LOG_DURABLE). What durable means is the
 * store's durability mode. A log store hides when and where that happens; the one in memory has
 * nothing to wait for.
 *
 * Threads:   write() is called by whoever holds the core lock, so it must not wait for a disk: a
 *            store that has one copies the bytes into a bounded buffer, returns, and completes from
 * a thread of its own. What finds no room there stays in the core's log until resume(); that is all
 * the back-pressure there is: what is not durable is not acked (N4), so a slow disk slows its
 * replica's acks, and never the core. The completion may therefore come from within write() or from
 * any thread, one at a time, and may only queue an event. Ownership: entries are borrowed for the
 * call. */
#ifndef VR_STORAGE_LOG_STORE_H
#define VR_STORAGE_LOG_STORE_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/types.h"

struct log_write {
    uint64_t generation; /* rises with every cut */
    uint64_t cut_to;     /* first drop everything above this op, */
    uint64_t first_op;   /* then append first_op..last_op; */
    uint64_t last_op;    /* first_op - 1: nothing to append */
};

/* How a store reads the entries that it is asked to write, and whom it tells. */
struct log_store_client {
    void *context;

    /* An entry's one byte form; never NULL for an op that is being written. */
    const uint8_t *(*entry)(void *context, uint64_t op_number, size_t *size);

    /* The checksum of the log up to an op, and the commit number as it is known. */
    struct checksum (*chain)(void *context, uint64_t op_number);
    uint64_t (*commit)(void *context);

    /* Everything up to op_number of generation's log is durable. Cumulative, in order. */
    void (*durable)(void *context, uint64_t generation, uint64_t op_number);
};

struct log_store {
    void *state; /* the store's own; passed to every call */
    enum durability durability;

    /* Notes what is to be written. A store that has failed (D4) completes nothing any more, and
     * says so by itself. */
    void (*write)(void *state, const struct log_write *write);

    /* Called by the holder of the core lock after each completion: a store that had no room for all
     * it was told to write goes on copying. May be NULL. */
    void (*resume)(void *state);

    /* A checkpoint takes the log's place (G4), which is empty behind op_number from now on; that
     * checkpoint is durable and named. Nothing is completed for it. May be NULL, as drop. */
    void (*restart)(void *state, uint64_t op_number, struct checksum checksum);

    /* Entries at or below through_op are not needed any more (K1, K2). A wish. */
    void (*drop)(void *state, uint64_t through_op);
};

/* D3: no log on disk. Every write is durable at once: the completion comes from within write(). */
struct log_store_memory {
    struct log_store_client client;
};
struct log_store log_store_memory_init(struct log_store_memory *memory,
                                       const struct log_store_client *client);

#endif
