/* SPDX-License-Identifier: Apache-2.0 */
/* session.h - the sessions of a proxy: found by client_id, kept in lists by what they wait for,
 * woken by one heap of timers. Nothing here knows the protocol; proxy.c does.
 *
 * Every operation is O(1) or, for the heap, O(log sessions). The heap is lazy: a session that was
 * answered stays in it and is looked at when its old time comes, so that a request which is
 * answered in time, the usual case, moves nothing in it.
 *
 * Threads: one caller at a time. Memory: given at init. */
#ifndef VR_PROXY_SESSION_H
#define VR_PROXY_SESSION_H

#include "client/proxy/proxy.h"

enum { SESSION_NONE = UINT32_MAX };

enum session_state {
    SESSION_FREE,
    SESSION_IDLE,        /* open; the caller may submit */
    SESSION_REGISTERING, /* a request waits for the Register before it (C1) */
    SESSION_REQUESTING,  /* the request itself is under way */
    SESSION_READING,     /* a read beside the log is; it needs no session number */
    SESSION_DONE,        /* completed; the completion was not taken yet */
    SESSION_CLOSING,     /* an Unregister is to be sent, then it is free */
};

/* A session is on one list at most. */
enum session_list {
    LIST_NONE,
    LIST_FREE,
    LIST_SEND,    /* has targets to send to */
    LIST_WAITING, /* sent; waits for an answer or its timer */
    LIST_PARKED,  /* lets another session probe a silent group (C5) */
    LIST_HELD,    /* needs no Register; waits for word of all seeds (M7) */
    LIST_DONE,
    LIST_COUNT,
};

struct session {
    struct client_id client_id;
    enum session_state state;
    enum session_list list;
    uint32_t previous; /* on its list; SESSION_NONE at an end */
    uint32_t next;

    uint64_t number;         /* the session number (C1); 0: not registered */
    uint64_t expired_number; /* highest number that was answered SessionExpired */
    uint64_t request_number; /* of the request in flight, or the last one */

    /* The request in flight. */
    const uint8_t *operation;
    size_t operation_size;
    bool is_read;
    enum read_mode read_mode; /* beside the log; 0: through it */
    uint64_t min_op;          /* of such a read */
    uint64_t read_number;     /* its nonce; rises with every one */
    bool operation_sent;      /* ever, in any session: from then on silence proves nothing (C5) */
    uint32_t attempts;        /* rounds of sending since routing last began anew */
    uint32_t retries;         /* rounds beyond the first, in all */
    bool backing_off;         /* the primary said Busy: its timer sends to the primary alone */
    bool last_was_busy;       /* for the error at the deadline */
    bool rtt_valid;           /* its answer measures the round trip */
    uint32_t send_mask;       /* bit i: still to be sent to target i */
    uint32_t tried_mask;      /* bit i: was sent to target i since routing last began anew */
    uint64_t submitted_ns;
    uint64_t sent_ns; /* last round */
    uint64_t interval_ns;
    uint64_t deadline_ns;

    /* Its timer. */
    uint64_t due_ns;     /* when it wants to be looked at; UINT64_MAX: never */
    uint64_t heap_key;   /* when it will be: <= due_ns */
    uint32_t heap_index; /* SESSION_NONE: not in the heap */

    /* Its completion, while SESSION_DONE. */
    enum proxy_outcome outcome;
    enum proxy_error error;
    uint64_t view_number;
    uint64_t op_number;
    uint64_t commit_number;
    const uint8_t *result;
    size_t result_size;
};

struct session_list_ends {
    uint32_t first;
    uint32_t last;
    uint32_t count;
};

struct session_table {
    struct session *sessions;
    uint32_t capacity;
    struct session_list_ends lists[LIST_COUNT];
    uint32_t *buckets; /* open addressing by client_id, SESSION_NONE where empty */
    uint32_t bucket_mask;
    uint32_t *heap;
    uint32_t heap_count;
};

size_t session_table_memory_size(uint32_t capacity);
void session_table_init(struct session_table *table, void *memory, uint32_t capacity);

/* Takes a free slot and names it; SESSION_NONE if there is none, or the name is taken. */
uint32_t session_open(struct session_table *table, struct client_id client_id);

/* Forgets the name at once (so late answers find nobody) and keeps the slot. */
void session_forget_name(struct session_table *table, uint32_t index);

/* Gives the slot back. */
void session_free(struct session_table *table, uint32_t index);

/* SESSION_NONE if nobody has this name. */
uint32_t session_find(const struct session_table *table, struct client_id client_id);

/* Moves a session to the end of a list, from whichever it is on. */
void session_move(struct session_table *table, uint32_t index, enum session_list list);

/* Wants the session looked at once `due_ns` has come; replaces what it wanted before. */
void session_wake_at(struct session_table *table, uint32_t index, uint64_t due_ns);

/* The next session whose time has come, its timer then off; SESSION_NONE if there is none. */
uint32_t session_wake_next(struct session_table *table, uint64_t now_ns);

/* When to ask again, at the latest; UINT64_MAX: never. */
uint64_t session_wake_deadline(const struct session_table *table);

#endif
