/* SPDX-License-Identifier: Apache-2.0 */
/* execution.h - the executor: committed entries in, replies out (N6).
 *
 * Apart from the core, with a thread of its own, so that a slow operation does not delay a
 * heartbeat or an ack (N9). Checkpoints are cut and loaded here as well.
 *
 * To wake a thread costs more than to run a few quick operations. So if the application says that
 * all of its operations are quick (app.h), a receiver that drove the core, and has nothing else to
 * do, works off a short queue itself, for EXECUTION_RECEIVER_NS at most and one operation; the
 * thread gets everything else, and everything of other applications. What lately has been cannot
 * tell of the first operation that is slow: three replicas that execute the same one would all be
 * deaf at once, and give up their view.
 *
 * Threads: entries and look-ups come from the holder of the core lock, repairs from the clients'
 *          receiver; whatever an application does happens with `run_lock`. */
#ifndef VR_RUNTIME_EXECUTION_H
#define VR_RUNTIME_EXECUTION_H

#include <stdatomic.h>

#include "common/os/queue.h"
#include "server/executor/executor.h"
#include "server/runtime/cut.h"
#include "server/runtime/outbox.h"
#include "server/runtime/recorder.h"
#include "server/vr/vr.h"

enum {
    EXECUTION_LOOKUPS_MAX = 1024, /* repeated requests that wait (N2); beyond it they are dropped */
    EXECUTION_REPAIRS_MAX = 64,   /* PartsMissing that wait (M6); beyond it they are dropped */
    EXECUTION_READS_MAX = 4096,   /* reads that wait; beyond it they are told so */
    EXECUTION_CUTS_MAX = 1,       /* what is asked for once more before it is begun is one */
    EXECUTION_LOADS_MAX = 1,      /* the core waits for a checkpoint that it installs */
    EXECUTION_WAKES_MAX = 1,
    EXECUTION_QUEUE_MAX = EXECUTE_LAG_MAX + EXECUTION_LOOKUPS_MAX + EXECUTION_REPAIRS_MAX +
                          EXECUTION_LOADS_MAX + EXECUTION_CUTS_MAX + EXECUTION_WAKES_MAX +
                          EXECUTION_READS_MAX,
    EXECUTION_BATCH_MAX = 64,       /* items between two flushes of replies */
    EXECUTION_SHORT_MAX = 16,       /* items that a receiver may work off, */
    EXECUTION_QUICK_NS = 20000,     /* if one takes no longer than this on average */
    EXECUTION_RECEIVER_NS = 200000, /* after this time it leaves the rest to the thread */
};

/* N2's look-up, as VR_OUT_LOOKUP gives it. */
struct execution_lookup {
    struct client_id client_id;
    uint64_t session;
    uint64_t request_number;
    enum entry_kind kind;
    uint64_t operation_checksum;
    uint64_t view_number;
    struct net_address address;
};

/* A read beside the log, as VR_OUT_READ gives it. */
struct execution_read {
    struct client_id client_id;
    uint64_t nonce;
    uint64_t view_number;
    uint64_t commit_number;
    struct net_address address;
    uint32_t operation_size;
    uint8_t operation[READ_SIZE_MAX];
};

/* What others may know of it. */
struct execution_status {
    uint64_t executed_op;
    struct checksum digest; /* at executed_op */
    uint64_t session_count;
    uint64_t evicted_count;
    struct wire_sender_counters sender; /* of the replies */
};

struct execution {
    /* Filled in by the server before execution_start(). */
    struct executor *executor;
    struct outbox outbox; /* the clients' socket, number OUTBOX_EXECUTOR */
    struct recorder recorder;

    /* Called with run_lock. Everything up to op_number is executed; `urgent`: the queue is long, so
     * the core should know soon. */
    void (*executed)(void *context, uint64_t op_number, bool urgent);
    /* A checkpoint that was to be installed cannot be loaded: this replica has no state. */
    void (*failed)(void *context, const char *text);
    /* True if the log is durably what the checkpoint says, which is installed only then: else a
     * start that had to do without that checkpoint would take the old log for the one that was
     * promised. */
    bool (*log_restarted)(void *context);
    void *context;
    struct cut cut; /* its part for the server, too */

    /* Held by who takes from `work`, until that is done: the executor, the outbox, the recorder and
     * the cut are its holder's. */
    pthread_mutex_t run_lock;
    uint64_t now_ns;   /* when the batch under way began */
    uint64_t entry_ns; /* how long an entry takes, on average of the last few batches */

    struct queue work;    /* struct execution_item */
    struct queue repairs; /* struct execution_repair, one for each repair in `work` */
    /* A ring that the holder of the core lock fills and the thread empties, in the order of their
     * items in `work`: a read is copied once. */
    struct execution_read *reads;
    uint64_t reads_pushed;             /* the holder's */
    atomic_uint_least64_t reads_taken; /* the thread's; a slot below it is free again */
    atomic_uint_least64_t reads_refused;
    atomic_uint lookups_waiting;
    atomic_uint_least64_t lookups_dropped;
    atomic_bool waking;     /* one is in `work` */
    atomic_bool cut_wanted; /* is in `work` */
    atomic_bool abandon;    /* stop without executing what waits */
    atomic_bool stopping;   /* a load is not gone on with */
    bool running;           /* its thread */
    bool made;              /* until it is destroyed */
    pthread_t thread;

    pthread_mutex_t status_mutex; /* guards status, for a copy in or out */
    struct execution_status status;
};

/* Returns 0 or a negative errno. */
int execution_start(struct execution *execution);

/* Committed entries, in op order; somebody has to call execution_go_on() soon, without the core
 * lock. There is always room: the core hands over at most EXECUTE_LAG_MAX
 * (asserted). */
void execution_push(struct execution *execution, const struct vr_execution *entries, size_t count);

/* As execution_push(). */
void execution_look_up(struct execution *execution, const struct execution_lookup *lookup);

/* False if there are EXECUTION_READS_MAX already; else the operation is copied. As
 * execution_push(). */
bool execution_read(struct execution *execution, const struct vr_output *output);

/* Sees to it that what was pushed is worked off: wakes the thread, or does it itself if the caller
 * may be held up for EXECUTION_RECEIVER_NS and an operation. */
void execution_go_on(struct execution *execution, bool may_execute);

/* G4: behind what was handed over, the state becomes that of a checkpoint, whose file is there;
 * then the checkpointer is told. */
void execution_load(struct execution *execution, const struct checkpoint_id *id);

/* A backup is wanted. Any thread, while it runs. */
void execution_wake(struct execution *execution);

/* A checkpoint is to be taken behind what was handed over, whatever its op. */
void execution_want_cut(struct execution *execution);

/* A client lacks parts of a reply. The message is copied. */
void execution_repair(struct execution *execution, const struct message *parts_missing);

void execution_status(struct execution *execution, struct execution_status *status);

/* Executes what waits, for grace_ns at most, and joins. What is left over is committed: the others
 * have it, and this replica comes back by recovery (D6). From here on nothing is executed; whoever
 * drove the core may still come by (execution_go_on()). */
void execution_stop(struct execution *execution, uint64_t grace_ns);

/* Once it is stopped, or never started, and all that drive the core have ended, too. */
void execution_destroy(struct execution *execution);

#endif
