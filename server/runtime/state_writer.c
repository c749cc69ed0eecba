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

/* What the file is to say next. Called with the mutex. */
static void gather(struct state_writer *writer)
{
    struct durable_state *state = &writer->state;
    if (writer->pending_number > 0) {
        state->vr = writer->pending;
    }
    state->vr.log_valid = state->vr.log_valid && !writer->log_lost;
    state->diverged = state->diverged || writer->diverged;
    if (state->log_segment < writer->wanted_segment) {
        state->log_segment = writer->wanted_segment;
    }
    if (state->checkpoint.op < writer->wanted_checkpoint) {
        state->checkpoint.op = writer->wanted_checkpoint;
        state->checkpoint.checksum = writer->wanted_root;
    }
    writer->waiting = false;
}

/* Called with the mutex, which it lets go of meanwhile. Returns 0 or a negative errno. */
static int write_one(struct state_writer *writer)
{
    struct storage_error text;
    gather(writer);
    const uint64_t number = writer->pending_number;
    const uint64_t segment = writer->state.log_segment;
    const uint64_t checkpoint = writer->state.checkpoint.op;
    mutex_unlock(&writer->mutex);
    const int error = state_file_store(writer->file, &writer->state, &text);
    mutex_lock(&writer->mutex);
    const bool news = error == 0 && number > writer->reported_number;
    writer->named_segment = error == 0 ? segment : writer->named_segment;
    writer->named_checkpoint = error == 0 ? checkpoint : writer->named_checkpoint;
    writer->reported_number = error == 0 ? number : writer->reported_number;
    writer->ended = error != 0;
    condition_broadcast(&writer->changed);
    mutex_unlock(&writer->mutex);
    if (news) {
        writer->durable(writer->context, number);
    } else if (error != 0) {
        writer->failed(writer->context, error, text.text);
    }
    mutex_lock(&writer->mutex);
    return error;
}

static void *run(void *argument)
{
    struct state_writer *writer = argument;
    int error = 0;
    mutex_lock(&writer->mutex);
    while (error == 0 && wait_for_work(writer)) {
        error = write_one(writer);
    }
    mutex_unlock(&writer->mutex);
    return NULL;
}

int state_writer_start(struct state_writer *writer)
{
    mutex_init(&writer->mutex);
    condition_init(&writer->changed);
    writer->named_segment = writer->state.log_segment;
    writer->named_checkpoint = writer->state.checkpoint.op;
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
    condition_broadcast(&writer->changed);
    mutex_unlock(&writer->mutex);
}

void state_writer_lose_log(struct state_writer *writer)
{
    mutex_lock(&writer->mutex);
    writer->log_lost = true;
    writer->waiting = true;
    condition_broadcast(&writer->changed);
    mutex_unlock(&writer->mutex);
}

void state_writer_diverge(struct state_writer *writer)
{
    mutex_lock(&writer->mutex);
    writer->diverged = true;
    writer->waiting = true;
    condition_broadcast(&writer->changed);
    mutex_unlock(&writer->mutex);
}

void state_writer_name_segment(struct state_writer *writer, uint64_t segment)
{
    mutex_lock(&writer->mutex);
    if (segment > writer->named_segment && segment > writer->wanted_segment) {
        writer->wanted_segment = segment;
        writer->waiting = true;
        condition_broadcast(&writer->changed);
    }
    mutex_unlock(&writer->mutex);
}

int state_writer_wait_segment(struct state_writer *writer, uint64_t segment)
{
    mutex_lock(&writer->mutex);
    while (writer->named_segment < segment && !writer->ended) {
        condition_wait(&writer->changed, &writer->mutex);
    }
    const bool named = writer->named_segment >= segment;
    mutex_unlock(&writer->mutex);
    return named ? 0 : -EIO;
}

int state_writer_name_checkpoint(struct state_writer *writer, uint64_t op_number,
                                 struct checksum root)
{
    mutex_lock(&writer->mutex);
    if (op_number > writer->named_checkpoint && op_number > writer->wanted_checkpoint) {
        writer->wanted_checkpoint = op_number;
        writer->wanted_root = root;
        writer->waiting = true;
        condition_broadcast(&writer->changed);
    }
    while (writer->named_checkpoint < op_number && !writer->ended) {
        condition_wait(&writer->changed, &writer->mutex);
    }
    const bool named = writer->named_checkpoint >= op_number;
    mutex_unlock(&writer->mutex);
    return named ? 0 : -EIO;
}

int state_writer_stop(struct state_writer *writer)
{
    if (!writer->running) {
        return 0;
    }
    mutex_lock(&writer->mutex);
    writer->stopping = true;
    condition_broadcast(&writer->changed);
    mutex_unlock(&writer->mutex);
    thread_join(writer->thread);
    writer->running = false;
    const bool written = !writer->waiting && writer->file->failed == 0;
    condition_destroy(&writer->changed);
    mutex_destroy(&writer->mutex);
    return written ? 0 : -EIO;
}
