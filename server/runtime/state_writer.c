/* SPDX-License-Identifier: Apache-2.0 */
#include "server/runtime/state_writer.h"

#include <errno.h>

#include "common/base/invariant.h"
#include "common/os/thread.h"

/* Sleeps until there is something to write; false: stop. Called with the mutex. */
static bool wait_for_work(struct state_writer *writer)
{
    while (!writer->waiting && !writer->stopping) {
        condition_wait(&writer->changed, &writer->mutex);
    }
    return writer->waiting;
}

static void *run(void *argument)
{
    struct state_writer *writer = argument;
    int error = 0;
    mutex_lock(&writer->mutex);
    while (error == 0 && wait_for_work(writer)) {
        const uint64_t number = writer->pending_number;
        if (number > 0) {
            writer->state.vr = writer->pending;
        }
        writer->state.vr.log_valid = writer->state.vr.log_valid && !writer->log_lost;
        writer->waiting = false;
        mutex_unlock(&writer->mutex);

        struct storage_error text;
        error = state_file_store(writer->file, &writer->state, &text);
        if (error == 0) {
            writer->durable(writer->context, number);
        } else {
            writer->failed(writer->context, error, text.text);
        }
        mutex_lock(&writer->mutex);
    }
    mutex_unlock(&writer->mutex);
    return NULL;
}

int state_writer_start(struct state_writer *writer)
{
    mutex_init(&writer->mutex);
    condition_init(&writer->changed);
    const int error = thread_start(&writer->thread, "vr-state", run, writer);
    writer->running = error == 0;
    if (error != 0) {
        condition_destroy(&writer->changed);
        mutex_destroy(&writer->mutex);
    }
    return error;
}

void state_writer_submit(struct state_writer *writer, uint64_t number,
                         const struct vr_durable_state *state)
{
    mutex_lock(&writer->mutex);
    INVARIANT(number > writer->pending_number);
    writer->pending = *state;
    writer->pending_number = number;
    writer->waiting = true;
    condition_signal(&writer->changed);
    mutex_unlock(&writer->mutex);
}

void state_writer_lose_log(struct state_writer *writer)
{
    mutex_lock(&writer->mutex);
    writer->log_lost = true;
    writer->waiting = true;
    condition_signal(&writer->changed);
    mutex_unlock(&writer->mutex);
}

int state_writer_stop(struct state_writer *writer)
{
    if (!writer->running) {
        return 0;
    }
    mutex_lock(&writer->mutex);
    writer->stopping = true;
    condition_signal(&writer->changed);
    mutex_unlock(&writer->mutex);
    thread_join(writer->thread);
    writer->running = false;
    const bool written = !writer->waiting && writer->file->failed == 0;
    condition_destroy(&writer->changed);
    mutex_destroy(&writer->mutex);
    return written ? 0 : -EIO;
}
