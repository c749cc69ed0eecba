/* SPDX-License-Identifier: Apache-2.0 */
/* reads.h - reads that wait at a replica, and take no place in its log (section 5).
 *
 * A read is in one of two lists, oldest first: `pending` are those of an acting primary that does
 * not know yet whether it still was one when they arrived (R2); `settled` wait for their op to be
 * handed to the executor, where they are queued behind it. They are volatile, and bounded in number
 * and time: a client that hears nothing asks again.
 *
 * Threads: the core's caller. Memory: in the replica; slots that were never needed are never
 * touched. */
#ifndef VR_READS_H
#define VR_READS_H

#include "common/base/message.h"

enum { READ_SLOT_NONE = UINT32_MAX };

struct read_slot {
    uint32_t next; /* in its list, or among the free ones */
    uint32_t operation_size;
    struct client_id client_id;
    uint64_t nonce;
    enum read_mode mode;
    struct net_address address;
    uint64_t view_number; /* at arrival */
    uint64_t round;       /* R2: the first one that may begin after it arrived */
    uint64_t op_number;   /* the state that is read is the one behind it, or a later one */
    uint64_t arrived_ns;
};

struct read_list {
    uint32_t first;
    uint32_t last;
};

struct reads {
    struct read_list pending;
    struct read_list settled;
    uint32_t free_first; /* used before, and free again */
    uint32_t used_count; /* slots below it were used */
    uint32_t waiting_count;
    uint64_t asked_round; /* the last one that was begun for reads alone */

    uint64_t seen;      /* counters */
    uint64_t answered;  /* handed to the executor */
    uint64_t confirmed; /* of those, by a round (R2) */
    uint64_t rounds;    /* begun for reads alone */
    uint64_t late;      /* no round confirmed them in time: not answered */

    struct read_slot slots[READS_MAX];
    uint8_t operations[READS_MAX][READ_SIZE_MAX];
};

struct replica;

void reads_init(struct reads *reads);

/* A Read came in, from a client. */
void on_read(struct replica *r, const struct message *m);

/* R2: begins a round, if reads wait for one and none is under way that they could wait for. After
 * the drain's Prepares, whose round serves as well. */
void reads_ask(struct replica *r);

/* Hands over what may be answered, and gives up what never will be. Returns true if there is more
 * than the outputs hold. */
bool reads_flush(struct replica *r);

#endif
