/* SPDX-License-Identifier: Apache-2.0 */
/* client_table.h - VRR's client-table: who opened which session, what it asked last, what it was
 * answered (C3, C4).
 *
 * State of the replicated machine: it changes only when an entry is executed, in log order, and
 * every choice in it follows from the log alone. So it is the same on every replica, and so is its
 * digest. The session evicted for a new one is that whose last executed op is smallest, whatever
 * clocks and networks did (PITFALLS CT-3): an intrusive list, ordered by that op, has it at its
 * head.
 *
 * Two open-addressing hash tables (linear probing, no tombstones: removal shifts back) find a
 * record by session and by client_id. Where a record lies depends on hash_seed; nothing that can be
 * seen from outside does.
 *
 * Threads:   one caller at a time.
 * Ownership: records and kept bytes belong to the table; pointers are good until the next call that
 *            changes it.
 * Memory:    given at init, for sessions_max records and as many old forms; touched only as
 *            sessions are opened, and as they change during a cut. */
#ifndef VR_CLIENT_TABLE_H
#define VR_CLIENT_TABLE_H

#include "common/base/limits.h"
#include "common/base/types.h"

/* How a repeated request is answered again. */
enum kept {
    KEPT_NOTHING, /* not at all: a read whose result and whose operation were both too large */
    KEPT_RESULT,  /* with the bytes kept, which were the result */
    KEPT_READ,    /* by executing the bytes kept, which were the operation: it changes nothing */
};

struct client_record {
    struct client_id client_id;
    uint64_t session;            /* op_number of its Register (C1) */
    uint64_t request_number;     /* of the last request executed; 0: none yet */
    uint64_t operation_checksum; /* of that request (PITFALLS CT-9) */
    uint64_t last_op;            /* where it, or else the Register, stands in the log: C4's order */
    uint32_t kept;               /* enum kept */
    uint32_t kept_size;          /* bytes */
    uint32_t older;              /* neighbours in C4's order, or CLIENT_NONE */
    uint32_t newer;
    struct checksum digest; /* this record's term in the table's digest */
};

#define CLIENT_NONE UINT32_MAX

/* A cut of the table (K1, PITFALLS CT-4): its records as they were when it began, in C4's order,
 * handed out one by one while the table changes. That order is that of `last_op`, so whether a
 * record was handed out, is still to come or is younger than the cut is seen from its last_op
 * alone. The old form of what changes before its turn is kept in memory of the cut's own, found
 * again by a heap on last_op. */
struct client_cut {
    bool active;
    uint64_t op;      /* records whose last_op is above are younger */
    uint64_t through; /* last_op of the record handed out last */
    uint32_t next;    /* the oldest in the table that was not handed out, or CLIENT_NONE */
    struct client_record *records; /* old forms; linked by `newer` when free */
    uint8_t *kept;                 /* theirs */
    uint32_t fresh;                /* of `records`: from here on not used in this cut */
    uint32_t free;
    uint32_t *heap; /* indexes of `records`, that with the smallest last_op on top */
    uint32_t heap_count;
};

struct client_table {
    uint32_t sessions_max;
    uint32_t kept_max; /* bytes one record may keep */
    uint64_t hash_seed;
    uint64_t slot_mask;
    uint32_t *by_session; /* slots: 0 empty, else index of a record + 1 */
    uint32_t *by_client;
    struct client_record *records;
    uint8_t *kept;   /* kept_max bytes a record */
    uint32_t fresh;  /* records from here on were never used */
    uint32_t free;   /* list of used ones given back, through `newer` */
    uint32_t oldest; /* ends of C4's order */
    uint32_t newest;
    uint32_t count;
    uint64_t evicted_count;
    struct checksum digest; /* sum over the records */
    struct client_cut cut;
};

size_t client_table_memory_size(uint32_t sessions_max, uint32_t kept_max);

/* `memory` is zeroed, client_table_memory_size() bytes, aligned as malloc aligns. */
void client_table_init(struct client_table *table, void *memory, uint32_t sessions_max,
                       uint32_t kept_max, uint64_t hash_seed);

/* Back to what it was after init; a cut under way is forgotten. */
void client_table_clear(struct client_table *table);

/* NULL if there is none. */
struct client_record *client_table_find(const struct client_table *table, uint64_t session);
struct client_record *client_table_find_client(const struct client_table *table,
                                               struct client_id client_id);

/* Opens session `op_number` for a client that has none; evicts the oldest if the table is full. */
struct client_record *client_table_register(struct client_table *table, struct client_id client_id,
                                            uint64_t op_number);

void client_table_unregister(struct client_table *table, struct client_record *record);

/* Notes that request `request_number` was executed as op `op_number`; request numbers and ops rise.
 * Copies `size` <= kept_max bytes, which must not be those kept before. */
void client_table_executed(struct client_table *table, struct client_record *record,
                           uint64_t request_number, uint64_t operation_checksum, uint64_t op_number,
                           enum kept kept, const uint8_t *bytes, uint32_t size);

const uint8_t *client_table_kept(const struct client_table *table,
                                 const struct client_record *record);

/* --- client_table_cut.c --- */

/* The table as it is, after op `op_number`, is to be cut. No cut is under way. */
void client_table_cut_begin(struct client_table *table, uint64_t op_number);

/* The next record of the cut and what it keeps, good until the next call that changes the table.
 * NULL: that was the last one, and the cut is over. */
const struct client_record *client_table_cut_next(struct client_table *table, const uint8_t **kept);

void client_table_cut_abandon(struct client_table *table);

/* Puts a record of a cut into a table that is being loaded; of *fields the links and the digest do
 * not count. Returns false, and changes nothing, if it cannot stand there: the table is full, its
 * last_op is not above those before, its session or client is there already, or the fields
 * contradict each other. */
bool client_table_load(struct client_table *table, const struct client_record *fields,
                       const uint8_t *bytes);

/* For client_table.c: the record is about to change or to go. */
void client_table_cut_keep(struct client_table *table, const struct client_record *record);

#endif
