/* SPDX-License-Identifier: Apache-2.0 */
#include "server/runtime/execution.h"

#include <inttypes.h>
#include <string.h>

#include "common/base/invariant.h"
#include "common/os/clock.h"
#include "common/os/logger.h"
#include "common/os/thread.h"

enum execution_kind {
    EXECUTION_ENTRY,
    EXECUTION_LOOKUP,
    EXECUTION_REPAIR, /* the next of `repairs` */
};

struct execution_item {
    enum execution_kind kind;
    union {
        struct vr_execution entry;
        struct execution_lookup lookup;
    };
};

/* A PartsMissing with its bitmap, which a message only borrows. */
struct execution_repair {
    struct message message;
    uint8_t bitmap[PARTS_BITMAP_MAX];
};

enum { EXECUTION_STOP_STEP_NS = 5 * 1000 * 1000 }; /* how often stopping looks at the queue */

/* The thread. */

static void send_reply(struct execution *execution, const struct reply *reply, uint64_t view_number,
                       const struct net_address *address)
{
    struct message message = {.type = MESSAGE_REPLY, .reply = *reply};
    const uint64_t now_ns = clock_monotonic_ns();
    message.reply.view_number = view_number;
    message.address = *address;
    outbox_send(&execution->outbox, address, &message, now_ns);
    recorder_sent_client(&execution->recorder, &message, now_ns);
}

static void execute_entry(struct execution *execution, const struct vr_execution *entry)
{
    struct reply reply;
    executor_execute(execution->executor, entry->bytes, entry->size, &reply);
    recorder_executed(&execution->recorder, entry->op_number);
    if (entry->reply) {
        send_reply(execution, &reply, entry->view_number, &entry->address);
    }
}

static void look_up(struct execution *execution, const struct execution_lookup *lookup)
{
    struct reply reply;
    atomic_fetch_sub_explicit(&execution->lookups_waiting, 1, memory_order_relaxed);
    if (executor_lookup(execution->executor, lookup->client_id, lookup->session,
                        lookup->request_number, lookup->kind, lookup->operation_checksum, &reply)) {
        send_reply(execution, &reply, lookup->view_number, &lookup->address);
    }
}

static void repair(struct execution *execution)
{
    struct execution_repair repair;
    const enum queue_status status = queue_pop(&execution->repairs, &repair, 0);
    INVARIANT(status == QUEUE_OK); /* pushed before its marker */
    repair.message.parts_missing.bitmap = repair.bitmap;
    wire_sender_parts_missing(execution->outbox.sender, &repair.message, clock_monotonic_ns());
}

/* Returns how many of the items were entries. */
static size_t work_through(struct execution *execution, const struct execution_item *items,
                           size_t count)
{
    size_t entries = 0;
    for (size_t i = 0; i < count; i++) {
        switch (items[i].kind) {
        case EXECUTION_ENTRY:
            execute_entry(execution, &items[i].entry);
            entries++;
            break;
        case EXECUTION_LOOKUP:
            look_up(execution, &items[i].lookup);
            break;
        case EXECUTION_REPAIR:
            repair(execution);
            break;
        }
    }
    return entries;
}

static void publish(struct execution *execution)
{
    const struct executor *executor = execution->executor;
    struct execution_status status = {
        .executed_op = executor_executed_op(executor),
        .digest = executor_digest(executor),
        .session_count = executor_session_count(executor),
        .evicted_count = executor_evicted_count(executor),
    };
    wire_sender_counters(execution->outbox.sender, &status.sender);
    mutex_lock(&execution->status_mutex);
    execution->status = status;
    mutex_unlock(&execution->status_mutex);
}

/* Split replies leave at a pace of their own (M6). */
static uint64_t wait_for(const struct execution *execution)
{
    const uint64_t deadline_ns = wire_sender_deadline(execution->outbox.sender);
    if (deadline_ns == UINT64_MAX) {
        return QUEUE_WAIT_FOREVER;
    }
    const uint64_t now_ns = clock_monotonic_ns();
    return deadline_ns > now_ns ? deadline_ns - now_ns : 0;
}

static void *run(void *argument)
{
    struct execution *execution = argument;
    struct execution_item items[EXECUTION_BATCH_MAX];
    for (;;) {
        size_t count;
        const enum queue_status status = queue_pop_many(
            &execution->work, items, EXECUTION_BATCH_MAX, &count, wait_for(execution));
        if (status == QUEUE_CLOSED || atomic_load(&execution->abandon)) {
            return NULL;
        }
        const bool urgent = queue_count(&execution->work) >= EXECUTE_LAG_MAX / 2;
        const size_t entries = work_through(execution, items, count);
        wire_sender_tick(execution->outbox.sender, clock_monotonic_ns());
        outbox_flush(&execution->outbox);
        recorder_flush(&execution->recorder);
        if (entries > 0) {
            publish(execution);
            log_debug(LOG_EXECUTION, "executed up to op %" PRIu64 ", %zu entries at once",
                      executor_executed_op(execution->executor), entries);
            execution->executed(execution->context, executor_executed_op(execution->executor),
                                urgent);
        }
    }
}

/* Everybody else. */

int execution_start(struct execution *execution)
{
    int error = queue_init(&execution->work, EXECUTION_QUEUE_MAX, sizeof(struct execution_item));
    if (error != 0) {
        return error;
    }
    error = queue_init(&execution->repairs, EXECUTION_REPAIRS_MAX, sizeof(struct execution_repair));
    if (error != 0) {
        goto destroy_work;
    }
    mutex_init(&execution->status_mutex);
    publish(execution);
    error = thread_start(&execution->thread, "vr-executor", run, execution);
    if (error != 0) {
        goto destroy_repairs;
    }
    execution->running = true;
    return 0;

destroy_repairs:
    mutex_destroy(&execution->status_mutex);
    queue_destroy(&execution->repairs);
destroy_work:
    queue_destroy(&execution->work);
    return error;
}

void execution_push(struct execution *execution, const struct vr_execution *entries, size_t count)
{
    struct execution_item items[EXECUTION_BATCH_MAX];
    INVARIANT(count <= EXECUTION_BATCH_MAX);
    for (size_t i = 0; i < count; i++) {
        items[i] = (struct execution_item){.kind = EXECUTION_ENTRY, .entry = entries[i]};
    }
    const enum queue_status status = queue_push_many(&execution->work, items, count);
    INVARIANT(status != QUEUE_FULL);
}

void execution_look_up(struct execution *execution, const struct execution_lookup *lookup)
{
    const struct execution_item item = {.kind = EXECUTION_LOOKUP, .lookup = *lookup};
    if (atomic_load_explicit(&execution->lookups_waiting, memory_order_relaxed) >=
        EXECUTION_LOOKUPS_MAX) {
        atomic_fetch_add_explicit(&execution->lookups_dropped, 1, memory_order_relaxed);
        return;
    }
    atomic_fetch_add_explicit(&execution->lookups_waiting, 1, memory_order_relaxed);
    const enum queue_status status = queue_push(&execution->work, &item);
    INVARIANT(status != QUEUE_FULL);
}

void execution_repair(struct execution *execution, const struct message *parts_missing)
{
    const struct execution_item item = {.kind = EXECUTION_REPAIR};
    struct execution_repair repair = {.message = *parts_missing};
    INVARIANT(parts_missing->parts_missing.bitmap_size <= sizeof repair.bitmap);
    memcpy(repair.bitmap, parts_missing->parts_missing.bitmap,
           parts_missing->parts_missing.bitmap_size);
    /* Where either queue refuses, the client asks again. */
    if (queue_push(&execution->repairs, &repair) == QUEUE_OK) {
        const enum queue_status status = queue_push(&execution->work, &item);
        INVARIANT(status != QUEUE_FULL);
    }
}

void execution_status(struct execution *execution, struct execution_status *status)
{
    mutex_lock(&execution->status_mutex);
    *status = execution->status;
    mutex_unlock(&execution->status_mutex);
}

void execution_stop(struct execution *execution, uint64_t grace_ns)
{
    if (!execution->running) {
        return;
    }
    const uint64_t deadline_ns = clock_monotonic_ns() + grace_ns;
    while (queue_count(&execution->work) > 0 && clock_monotonic_ns() < deadline_ns) {
        clock_sleep_ns(EXECUTION_STOP_STEP_NS);
    }
    atomic_store(&execution->abandon, queue_count(&execution->work) > 0);
    queue_close(&execution->work);
    thread_join(execution->thread);
    execution->running = false;
    mutex_destroy(&execution->status_mutex);
    queue_destroy(&execution->repairs);
    queue_destroy(&execution->work);
}
