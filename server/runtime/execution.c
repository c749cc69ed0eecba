/* SPDX-License-Identifier: Apache-2.0 */
#include "server/runtime/execution.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/invariant.h"
#include "common/os/clock.h"
#include "common/os/logger.h"
#include "common/os/thread.h"
#include "server/runtime/checkpoint_load.h"

enum execution_kind {
    EXECUTION_ENTRY,
    EXECUTION_LOOKUP,
    EXECUTION_READ,   /* the next of `reads` */
    EXECUTION_REPAIR, /* the next of `repairs` */
    EXECUTION_LOAD,
    EXECUTION_CUT,
    EXECUTION_WAKE, /* nothing to do but what the end of each batch does */
};

struct execution_item {
    enum execution_kind kind;
    union {
        struct vr_execution entry;
        struct execution_lookup lookup;
        struct checkpoint_id load;
    };
};

/* A PartsMissing with its bitmap, which a message only borrows. */
struct execution_repair {
    struct message message;
    uint8_t bitmap[PARTS_BITMAP_MAX];
};

enum { EXECUTION_MEAN_OF = 8 };                    /* batches that count for entry_ns */
enum { EXECUTION_LOG_STEP_NS = 200 * 1000 };       /* how often an install looks at the log */
enum { EXECUTION_STOP_STEP_NS = 5 * 1000 * 1000 }; /* how often stopping looks at the queue */

/* With run_lock. */

static void send_reply(struct execution *execution, const struct reply *reply, uint64_t view_number,
                       const struct net_address *address)
{
    struct message message = {.type = MESSAGE_REPLY, .reply = *reply};
    message.reply.view_number = view_number;
    message.address = *address;
    outbox_send(&execution->outbox, address, &message, execution->now_ns);
    recorder_sent_client(&execution->recorder, &message, execution->now_ns);
}

static void execute_entry(struct execution *execution, const struct vr_execution *entry)
{
    struct reply reply;
    executor_execute(execution->executor, entry->bytes, entry->size, &reply);
    recorder_executed(&execution->recorder, entry->op_number);
    if (entry->reply) {
        send_reply(execution, &reply, entry->view_number, &entry->address);
    }
    cut_note_executed(&execution->cut, entry);
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

static void read_state(struct execution *execution)
{
    const uint64_t taken = atomic_load_explicit(&execution->reads_taken, memory_order_relaxed);
    const struct execution_read *read = &execution->reads[taken % EXECUTION_READS_MAX];
    struct reply reply;
    executor_read(execution->executor, read->operation, read->operation_size, &reply);
    reply.client_id = read->client_id;
    reply.request_number = read->nonce;
    reply.commit_number = read->commit_number;
    send_reply(execution, &reply, read->view_number, &read->address);
    atomic_store_explicit(&execution->reads_taken, taken + 1, memory_order_release);
}

static void repair(struct execution *execution)
{
    struct execution_repair repair;
    const enum queue_status status = queue_pop(&execution->repairs, &repair, 0);
    INVARIANT(status == QUEUE_OK); /* pushed before its marker */
    repair.message.parts_missing.bitmap = repair.bitmap;
    wire_sender_parts_missing(execution->outbox.sender, &repair.message, clock_monotonic_ns());
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

/* What was executed is reported before the state goes. */
static void report(struct execution *execution, size_t entries, bool urgent)
{
    if (entries > 0) {
        publish(execution);
        log_debug(LOG_EXECUTION, "executed up to op %" PRIu64 ", %zu entries at once",
                  executor_executed_op(execution->executor), entries);
        execution->executed(execution->context, executor_executed_op(execution->executor), urgent);
    }
}

static int load_file(struct execution *execution, const struct checkpoint_id *id,
                     struct storage_error *error)
{
    const struct checkpointer *files = execution->cut.checkpointer;
    struct checkpoint_reader reader;
    int status = checkpoint_reader_open(&reader, files->ops, files->directory, files->cluster_id,
                                        id->op_number, error);
    if (status != 0) {
        return status;
    }
    status = checkpoint_load(&reader, execution->executor, &execution->stopping, error);
    checkpoint_reader_close(&reader);
    return status;
}

/* G4. If it fails there is no state, so nothing is executed any more: the server stops. */
static void load(struct execution *execution, const struct checkpoint_id *id)
{
    struct storage_error error;
    const uint64_t began_ns = clock_monotonic_ns();
    cut_abandon(&execution->cut);
    const int status = load_file(execution, id, &error);
    if (status == -ECANCELED) {
        return;
    }
    if (status != 0) {
        execution->failed(execution->context, error.text);
        return;
    }
    while (!execution->log_restarted(execution->context)) {
        if (atomic_load(&execution->stopping)) {
            return;
        }
        clock_sleep_ns(EXECUTION_LOG_STEP_NS);
    }
    cut_note_loaded(&execution->cut, id);
    publish(execution);
    log_info(LOG_STORAGE, "checkpoint of op %" PRIu64 " installed, loaded in %.1f s", id->op_number,
             (double)(clock_monotonic_ns() - began_ns) / (double)NANOSECONDS_PER_SECOND);
    checkpointer_loaded(execution->cut.checkpointer, id, executor_timestamp(execution->executor));
}

/* Returns how many entries were executed and not reported. */
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
        case EXECUTION_READ:
            read_state(execution);
            break;
        case EXECUTION_REPAIR:
            repair(execution);
            break;
        case EXECUTION_CUT:
            atomic_store(&execution->cut_wanted, false);
            cut_now(&execution->cut);
            break;
        case EXECUTION_LOAD:
            report(execution, entries, true);
            entries = 0;
            load(execution, &items[i].load);
            break;
        case EXECUTION_WAKE:
            atomic_store(&execution->waking, false);
            break;
        }
    }
    return entries;
}

/* Split replies leave at a pace of their own (M6), and a cut goes on. */
static uint64_t wait_for(const struct execution *execution)
{
    const uint64_t cut_ns = cut_wait(&execution->cut);
    const uint64_t deadline_ns = wire_sender_deadline(execution->outbox.sender);
    if (deadline_ns == UINT64_MAX) {
        return cut_ns == UINT64_MAX ? QUEUE_WAIT_FOREVER : cut_ns;
    }
    const uint64_t now_ns = clock_monotonic_ns();
    const uint64_t replies_ns = deadline_ns > now_ns ? deadline_ns - now_ns : 0;
    return replies_ns < cut_ns ? replies_ns : cut_ns;
}

/* One that was slow, or was not let run, makes the thread take over for the next few, not longer.
 */
static void note_entry_time(struct execution *execution, uint64_t entry_ns)
{
    const uint64_t most_ns = EXECUTION_QUICK_NS * EXECUTION_MEAN_OF;
    const uint64_t sample_ns = entry_ns < most_ns ? entry_ns : most_ns;
    execution->entry_ns -= execution->entry_ns / EXECUTION_MEAN_OF;
    execution->entry_ns += sample_ns / EXECUTION_MEAN_OF;
}

/* Items were worked through since `began_ns`: what follows from them leaves. */
static void end_batch(struct execution *execution, uint64_t began_ns, size_t count, size_t entries)
{
    const bool urgent = queue_count(&execution->work) >= EXECUTE_LAG_MAX / 2;
    const uint64_t now_ns = clock_monotonic_ns();
    if (count > 0) {
        note_entry_time(execution, (now_ns - began_ns) / count); /* a slow read counts, too */
    }
    wire_sender_tick(execution->outbox.sender, now_ns);
    outbox_flush(&execution->outbox);
    recorder_flush(&execution->recorder);
    report(execution, entries, urgent);
    cut_begin_backup(&execution->cut);
    cut_slice(&execution->cut, entries > 0);
}

static bool is_any(const void *item)
{
    (void)item;
    return true;
}

/* The thread. */

static void *run(void *argument)
{
    struct execution *execution = argument;
    struct execution_item items[EXECUTION_BATCH_MAX];
    uint64_t wait_ns = QUEUE_WAIT_FOREVER;
    for (;;) {
        const enum queue_status status = queue_wait(&execution->work, wait_ns);
        mutex_lock(&execution->run_lock);
        if (status == QUEUE_CLOSED || atomic_load(&execution->abandon)) {
            cut_abandon(&execution->cut);
            mutex_unlock(&execution->run_lock);
            return NULL;
        }
        const size_t count = queue_pop_while(&execution->work, items, EXECUTION_BATCH_MAX, is_any);
        const uint64_t began_ns = clock_monotonic_ns();
        execution->now_ns = began_ns;
        end_batch(execution, began_ns, count, work_through(execution, items, count));
        wait_ns = wait_for(execution);
        mutex_unlock(&execution->run_lock);
    }
}

/* Receivers. */

static bool is_for_anybody(const void *item)
{
    const enum execution_kind kind = ((const struct execution_item *)item)->kind;
    return kind == EXECUTION_ENTRY || kind == EXECUTION_LOOKUP || kind == EXECUTION_READ;
}

/* Called with run_lock. A cut is going on: there are slices to do, at times of their own. */
static bool is_short(struct execution *execution)
{
    return executor_is_quick(execution->executor) && execution->entry_ns <= EXECUTION_QUICK_NS &&
           queue_count(&execution->work) <= EXECUTION_SHORT_MAX &&
           wait_for(execution) == QUEUE_WAIT_FOREVER;
}

/* Called with run_lock. One at a time, for what was taken out of the queue must be worked off. */
static void work_off(struct execution *execution)
{
    struct execution_item item;
    const uint64_t began_ns = clock_monotonic_ns();
    execution->now_ns = began_ns;
    size_t count = 0;
    size_t entries = 0;
    while (count < EXECUTION_SHORT_MAX &&
           queue_pop_while(&execution->work, &item, 1, is_for_anybody) == 1) {
        entries += work_through(execution, &item, 1);
        count++;
        if (clock_monotonic_ns() - began_ns >= EXECUTION_RECEIVER_NS) {
            break;
        }
    }
    end_batch(execution, began_ns, count, entries);
}

void execution_go_on(struct execution *execution, bool may_execute)
{
    if (may_execute && mutex_try_lock(&execution->run_lock)) {
        if (!atomic_load(&execution->stopping) && is_short(execution)) {
            work_off(execution);
        }
        const bool done =
            queue_count(&execution->work) == 0 && wait_for(execution) == QUEUE_WAIT_FOREVER;
        mutex_unlock(&execution->run_lock);
        if (done) {
            return;
        }
    }
    /* Whoever has the lock may have looked into the queue before we pushed. */
    queue_nudge(&execution->work);
}

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
    execution->reads = calloc(EXECUTION_READS_MAX, sizeof *execution->reads);
    if (execution->reads == NULL) {
        error = -ENOMEM;
        goto destroy_repairs;
    }
    mutex_init(&execution->status_mutex);
    mutex_init(&execution->run_lock);
    execution->entry_ns = EXECUTION_QUICK_NS + 1; /* until we know better */
    publish(execution);
    error = thread_start(&execution->thread, "vr-executor", run, execution);
    if (error != 0) {
        goto free_reads;
    }
    execution->made = true;
    execution->running = true;
    return 0;

free_reads:
    mutex_destroy(&execution->run_lock);
    mutex_destroy(&execution->status_mutex);
    free(execution->reads);
destroy_repairs:
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
    const enum queue_status status = queue_push_quietly(&execution->work, items, count);
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
    const enum queue_status status = queue_push_quietly(&execution->work, &item, 1);
    INVARIANT(status != QUEUE_FULL);
}

bool execution_read(struct execution *execution, const struct vr_output *output)
{
    const struct execution_item item = {.kind = EXECUTION_READ};
    const uint64_t taken = atomic_load_explicit(&execution->reads_taken, memory_order_acquire);
    if (execution->reads_pushed - taken == EXECUTION_READS_MAX) {
        atomic_fetch_add_explicit(&execution->reads_refused, 1, memory_order_relaxed);
        return false;
    }
    struct execution_read *read = &execution->reads[execution->reads_pushed % EXECUTION_READS_MAX];
    INVARIANT(output->read.operation_size <= sizeof read->operation);
    read->client_id = output->read.client_id;
    read->nonce = output->read.nonce;
    read->view_number = output->read.view_number;
    read->commit_number = output->read.commit_number;
    read->address = output->read.address;
    read->operation_size = output->read.operation_size;
    memcpy(read->operation, output->read.operation, output->read.operation_size);
    execution->reads_pushed++;
    const enum queue_status status = queue_push_quietly(&execution->work, &item, 1);
    INVARIANT(status != QUEUE_FULL);
    return true;
}

void execution_load(struct execution *execution, const struct checkpoint_id *id)
{
    const struct execution_item item = {.kind = EXECUTION_LOAD, .load = *id};
    const enum queue_status status = queue_push(&execution->work, &item);
    INVARIANT(status != QUEUE_FULL);
}

void execution_wake(struct execution *execution)
{
    const struct execution_item item = {.kind = EXECUTION_WAKE};
    if (!atomic_exchange(&execution->waking, true)) {
        const enum queue_status status = queue_push(&execution->work, &item);
        INVARIANT(status != QUEUE_FULL);
    }
}

void execution_want_cut(struct execution *execution)
{
    const struct execution_item item = {.kind = EXECUTION_CUT};
    if (!atomic_exchange(&execution->cut_wanted, true)) {
        const enum queue_status status = queue_push(&execution->work, &item);
        INVARIANT(status != QUEUE_FULL);
    }
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
    atomic_store(&execution->stopping, true);
    queue_close(&execution->work);
    thread_join(execution->thread);
    execution->running = false;
}

void execution_destroy(struct execution *execution)
{
    INVARIANT(!execution->running);
    if (!execution->made) {
        return;
    }
    execution->made = false;
    mutex_destroy(&execution->run_lock);
    mutex_destroy(&execution->status_mutex);
    free(execution->reads);
    queue_destroy(&execution->repairs);
    queue_destroy(&execution->work);
}
