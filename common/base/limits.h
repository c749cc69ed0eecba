/* SPDX-License-Identifier: Apache-2.0 */
/* limits.h - every bound of the system, by name, and how they relate.
 *
 * Sizes are bytes. A cluster may be initialised with smaller limits (configuration.h, E0), never
 * with larger ones. */
#ifndef VR_BASE_LIMITS_H
#define VR_BASE_LIMITS_H

enum {
    /* The group (E2). */
    REPLICAS_MAX = 9,    /* members that count in quorums */
    HOST_SIZE_MAX = 254, /* a host name or numeric address, with its NUL */

    /* Operations, and the log entries they become. */
    KEY_SIZE_MAX = 1024,
    VALUE_SIZE_MAX = 1024 * 1024,
    OPERATION_OVERHEAD_MAX = 4096, /* an application's own encoding around keys and values */
    OPERATION_SIZE_MAX = KEY_SIZE_MAX + VALUE_SIZE_MAX + OPERATION_OVERHEAD_MAX,
    RESULT_SIZE_MAX = OPERATION_SIZE_MAX,
    REPLY_STORED_MAX = 1024, /* largest result that the client table keeps (C3) */
    REPLY_STORED_MIN = 64,  /* a group keeps at least results of this size: writes have no larger */
    ENTRY_HEADER_SIZE = 64, /* entry.h: the fixed part of an entry's one byte form */
    ENTRY_SIZE_MAX = ENTRY_HEADER_SIZE + OPERATION_SIZE_MAX,

    /* Datagrams (M1, M2). */
    DATAGRAM_SIZE_MIN = 512,        /* what --datagram-size accepts at the least */
    DATAGRAM_SIZE_DEFAULT = 1400,   /* where the route is not known to carry more */
    DATAGRAM_SIZE_LOOPBACK = 61440, /* a route whose MTU is 64 KiB */
    DATAGRAM_SIZE_MAX = 65507,      /* UDP over IPv4 */
    MESSAGE_OVERHEAD_MAX = 512,     /* protobuf fields around an entry, an operation or a result */
    MESSAGE_SIZE_MAX = ENTRY_SIZE_MAX + MESSAGE_OVERHEAD_MAX,

    /* Messages in parts (M6). */
    PART_SIZE_MIN = 352, /* of every part but the last: what DATAGRAM_SIZE_MIN has room for */
    PARTS_MAX = (MESSAGE_SIZE_MAX + PART_SIZE_MIN - 1) / PART_SIZE_MIN,
    PARTS_BITMAP_MAX = (PARTS_MAX + 7) / 8, /* fits a datagram of DATAGRAM_SIZE_MIN, too */

    /* Normal operation (N3, N9). The ring of requests in flight holds them all, and as many again
     * that were executed lately. */
    PIPELINE_MAX = 2048,      /* entries sent in Prepares and not committed */
    REQUEST_QUEUE_MAX = 4096, /* entries behind those, waiting for their Prepare; then Busy */
    EXECUTE_LAG_MAX = 4096,   /* committed entries handed to the executor and not executed */
    IN_FLIGHT_MAX = 16384,    /* slots of the ring; a power of two */
    PIPELINE_BYTES_MAX = 16 * 1024 * 1024, /* bytes sent in Prepares and not committed */

    /* Log sync (section 3) and the stash of Prepares behind a gap (N4). */
    SYNC_WINDOW_MAX = 8,    /* CatchupRequests in flight */
    SYNC_ENTRIES_MAX = 512, /* ops asked for in one CatchupRequest */
    STASH_MAX = 64,         /* Prepares kept behind a gap */
    CATCHUP_QUEUE_MAX = 64, /* CatchupRequests that wait to be served (G2) */

    /* Checkpoint transfer (G4). */
    CHUNK_WINDOW_MAX = 8, /* chunks asked for and not there yet; and in one CheckpointRequest */
    CHUNK_QUEUE_MAX = (REPLICAS_MAX - 1) * CHUNK_WINDOW_MAX, /* CheckpointRequests that wait to be
                                                                served: all others' windows */

    CHECKPOINT_PIN_S = 60, /* K2: a checkpoint that was pulled from so lately stays: a process may
                              be paused for as long, a virtual machine moved */
    CHECKPOINT_PINS_MAX = REPLICAS_MAX / 2, /* such checkpoints beside the last two: no more than a
                                               minority lags while the others take new ones */

    /* Reads beside the log (section 5). */
    READ_SIZE_MAX = 2 * KEY_SIZE_MAX + 64, /* an operation that names two keys; larger ones go
                                              through the log */
    READS_MAX = 4096,                      /* that wait at one replica; then Busy */

    /* Sessions (C4). */
    SESSIONS_MAX = 1024 * 1024, /* what a cluster may be initialised with */
    SESSIONS_DEFAULT = 16384,   /* and is, unless told otherwise */

    /* What a replica remembers of the messages it sent and received (M8), in events. */
    TRACE_OPERATIONS_MAX = 16384, /* requests and their way through the group */
    TRACE_CHANGES_MAX = 4096,     /* view changes, recovery, status: these stay longest */
    TRACE_REPEATS_MAX = 4096,     /* what says nothing new: idle heartbeats */
    TRACE_EVENTS_MAX = 256,       /* events in one TraceReport */
    TRACE_REPORT_EVENTS_SIZE_MAX = 16 * 1024,
    TRACE_REPORTS_PER_SECOND = 400, /* that a replica answers, and at once after a pause */

    /* One event's outputs (server/vr/vr.h). */
    VR_OUTPUTS_MAX = 64,
};

/* Bytes of a checkpoint's content: more than any state_size_max; keeps arithmetic on what a peer or
 * a file says within bounds, and the memory for a list of chunks. */
#define CHECKPOINT_SIZE_MAX (UINT64_C(1) << 40)
#define CHECKPOINT_CHUNKS_MAX (UINT64_C(1) << 24)

/* K1: a checkpoint is taken at every multiple of so many ops, unless the cluster was initialised
 * with another number. */
#define CHECKPOINT_INTERVAL_DEFAULT 100000
#define CHECKPOINT_INTERVAL_MAX 1000000000

/* K2: entries of the log kept for replicas that lag, whatever checkpoints there are. */
#define LOG_RETAIN_DEFAULT 100000
#define LOG_RETAIN_MAX 1000000000

/* G4: bytes of checkpoints that a replica serves in a second, to all who pull. The least still
 * gives each of the others a chunk in half a second; the most is more than a machine can send. */
#define TRANSFER_RATE_DEFAULT (UINT64_C(50) * 1024 * 1024)
#define TRANSFER_RATE_MIN (UINT64_C(1) * 1024 * 1024)
#define TRANSFER_RATE_MAX (UINT64_C(10) * 1024 * 1024 * 1024)

/* Memory of a log that has no disk (D3), bytes and index together; then Busy. */
#define LOG_MEMORY_MAX (UINT64_C(2) * 1024 * 1024 * 1024)

/* Accounted bytes of the application's state (E0, server/app/app.h): the same on every replica, for
 * execution depends on it. While a checkpoint is cut a replica may hold twice as much. */
#define STATE_SIZE_MAX_DEFAULT (UINT64_C(4) * 1024 * 1024 * 1024)
#define STATE_SIZE_MIN (UINT64_C(64) * 1024) /* what a cluster may be initialised with, */
#define STATE_SIZE_MAX (UINT64_C(256) * 1024 * 1024 * 1024) /* and at most */

_Static_assert(PIPELINE_MAX + REQUEST_QUEUE_MAX + EXECUTE_LAG_MAX <= IN_FLIGHT_MAX,
               "every entry above executed_op has a slot in the ring of requests in flight");
_Static_assert((IN_FLIGHT_MAX & (IN_FLIGHT_MAX - 1)) == 0, "the ring is indexed by a mask");
_Static_assert((TRACE_OPERATIONS_MAX & (TRACE_OPERATIONS_MAX - 1)) == 0 &&
                   (TRACE_CHANGES_MAX & (TRACE_CHANGES_MAX - 1)) == 0 &&
                   (TRACE_REPEATS_MAX & (TRACE_REPEATS_MAX - 1)) == 0,
               "the rings of events are indexed by masks");
_Static_assert(DATAGRAM_SIZE_LOOPBACK <= DATAGRAM_SIZE_MAX, "loopback datagrams are UDP datagrams");
_Static_assert(2 * ENTRY_SIZE_MAX <= PIPELINE_BYTES_MAX,
               "the largest entry never waits for itself");
_Static_assert(REPLICAS_MAX <= 32, "sets of members are 32-bit masks");

#endif
