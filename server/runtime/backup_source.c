/* SPDX-License-Identifier: Apache-2.0 */
#include "server/runtime/backup_source.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/os/clock.h"
#include "common/os/logger.h"
#include "common/os/thread.h"

int backup_source_init(struct backup_source *source, const char *directory)
{
    struct storage_error unused;
    const int status = storage_path(source->directory, directory, BACKUP_DIRECTORY, &unused);
    if (status != 0) {
        return status;
    }
    source->chunk = malloc(CHECKPOINT_CHUNK_SIZE);
    if (source->chunk == NULL) {
        return -ENOMEM;
    }
    mutex_init(&source->mutex);
    return 0;
}

static void close_reader(struct backup_source *source)
{
    if (source->reading) {
        checkpoint_reader_close(&source->reader);
        source->reading = false;
    }
}

void backup_source_destroy(struct backup_source *source)
{
    close_reader(source);
    mutex_destroy(&source->mutex);
    free(source->chunk);
}

/* Called with the mutex. */
static void set_phase(struct backup_source *source, enum backup_phase phase)
{
    source->phase = phase;
    atomic_store(&source->wanted, phase == BACKUP_PHASE_WANTED);
}

static bool older_than(const struct backup_source *source, uint64_t now_ns, uint64_t age_ms)
{
    return now_ns > source->asked_ns &&
           now_ns - source->asked_ns > age_ms * NANOSECONDS_PER_MILLISECOND;
}

/* --- offers --- */

/* Called with the mutex. Sets *begins if the executor is to be woken. */
static enum backup_outcome judge(struct backup_source *source, uint64_t least_op, uint64_t now_ns,
                                 bool *begins)
{
    switch (source->phase) {
    case BACKUP_PHASE_READY:
        if (source->id.op_number >= least_op) {
            return BACKUP_READY;
        }
        if (!older_than(source, now_ns, BACKUP_IN_USE_MS)) {
            return BACKUP_TAKING; /* somebody else pulls it: it stays until that is done */
        }
        break;
    case BACKUP_PHASE_WANTED:
        /* Who wants less is not kept waiting for what may never come; who wants more asks again. */
        source->least_op = least_op < source->least_op ? least_op : source->least_op;
        return BACKUP_TAKING;
    case BACKUP_PHASE_CUTTING:
        return BACKUP_TAKING;
    case BACKUP_PHASE_FAILED:
        set_phase(source, BACKUP_PHASE_IDLE);
        return BACKUP_FAILED;
    case BACKUP_PHASE_IDLE:
        break;
    }
    *begins = true;
    source->least_op = least_op;
    set_phase(source, BACKUP_PHASE_WANTED);
    return BACKUP_TAKING;
}

void backup_source_offer(struct backup_source *source, const struct backup_request *request,
                         const struct backup_state *state, uint64_t now_ns,
                         struct backup_offer *offer)
{
    bool begins = false;
    *offer = (struct backup_offer){
        .nonce = request->nonce,
        .replica_id = source->replica_id,
        .outcome = state->in_service ? BACKUP_EMPTY : BACKUP_NOT_NORMAL,
        .executed_op = state->executed_op,
    };
    if (!state->in_service || state->executed_op == 0) {
        return;
    }
    mutex_lock(&source->mutex);
    const bool other =
        source->phase == BACKUP_PHASE_READY && source->id.op_number < request->least_op;
    offer->outcome = judge(source, request->least_op, now_ns, &begins);
    if (offer->outcome == BACKUP_READY) {
        offer->id = source->id;
    }
    if (!other || begins) {
        source->asked_ns = now_ns; /* who waits for its end is no reason to keep it */
    }
    mutex_unlock(&source->mutex);
    if (begins) {
        source->wake(source->context);
    }
}

/* --- pieces --- */

/* Copies the id of what is there, if that is what was asked for. */
static bool is_there(struct backup_source *source, struct checksum root, uint64_t now_ns,
                     struct checkpoint_id *id)
{
    mutex_lock(&source->mutex);
    const bool there = source->phase == BACKUP_PHASE_READY && checksum_equal(source->id.root, root);
    if (there) {
        *id = source->id;
        source->asked_ns = now_ns;
    }
    mutex_unlock(&source->mutex);
    return there;
}

static void lose(struct backup_source *source, const struct storage_error *why)
{
    log_problem(ERROR_CHECKPOINT_DAMAGED,
                "%s. It is a backup that somebody asked for: it is made "
                "anew if that is still wanted",
                why->text);
    close_reader(source);
    mutex_lock(&source->mutex);
    if (source->phase == BACKUP_PHASE_READY) {
        set_phase(source, BACKUP_PHASE_IDLE);
    }
    mutex_unlock(&source->mutex);
    source->unused(source->context);
}

static bool open_reader(struct backup_source *source, const struct checkpoint_id *id)
{
    struct storage_error why;
    if (source->reading && checkpoint_id_equal(&source->reader.id, id)) {
        return true;
    }
    close_reader(source);
    if (checkpoint_reader_open(&source->reader, source->ops, source->directory, source->cluster_id,
                               id->op_number, &why) != 0) {
        lose(source, &why);
        return false;
    }
    source->reading = true;
    return checkpoint_id_equal(&source->reader.id, id);
}

static bool read_list(const struct backup_source *source, uint64_t index,
                      struct checkpoint_chunk *chunk)
{
    const uint64_t size = checkpoint_chunk_count(source->reader.id.size) * CHECKPOINT_CHECKSUM_SIZE;
    if (index >= checkpoint_chunk_count(size)) {
        return false;
    }
    chunk->size = checkpoint_chunk_size(size, index);
    chunk->bytes = source->reader.list + index * CHECKPOINT_CHUNK_SIZE;
    return true;
}

static bool read_chunk(struct backup_source *source, uint64_t index, struct checkpoint_chunk *chunk)
{
    struct storage_error why;
    if (index >= checkpoint_chunk_count(source->reader.id.size)) {
        return false;
    }
    const int size = checkpoint_reader_chunk(&source->reader, index, source->chunk, &why);
    if (size < 0) {
        lose(source, &why);
        return false;
    }
    chunk->size = (uint32_t)size;
    chunk->bytes = source->chunk;
    return true;
}

bool backup_source_piece(struct backup_source *source, const struct backup_request *request,
                         uint64_t index, uint64_t now_ns, struct checkpoint_chunk *chunk)
{
    struct checkpoint_id id;
    *chunk = (struct checkpoint_chunk){
        .nonce = request->nonce, .root = request->root, .list = request->list, .index = index};
    if (!is_there(source, request->root, now_ns, &id) || !open_reader(source, &id)) {
        return false;
    }
    return request->list ? read_list(source, index, chunk) : read_chunk(source, index, chunk);
}

bool backup_source_allow(struct backup_source *source, uint64_t now_ns)
{
    const uint64_t cost_ns = NANOSECONDS_PER_SECOND / BACKUP_CHUNKS_PER_SECOND;
    const uint64_t from_ns = source->full_ns > now_ns ? source->full_ns : now_ns;
    if (from_ns + cost_ns > now_ns + BACKUP_CHUNKS_BURST * cost_ns) {
        return false;
    }
    source->full_ns = from_ns + cost_ns;
    return true;
}

void backup_source_tick(struct backup_source *source, uint64_t now_ns)
{
    bool unused = false;
    mutex_lock(&source->mutex);
    if (source->phase == BACKUP_PHASE_WANTED && older_than(source, now_ns, BACKUP_WANTED_MS)) {
        set_phase(source, BACKUP_PHASE_IDLE);
        unused = true; /* it was wanted in place of one that nobody asks for any more */
    } else if (source->phase == BACKUP_PHASE_READY && older_than(source, now_ns, BACKUP_KEPT_MS)) {
        set_phase(source, BACKUP_PHASE_IDLE);
        unused = true;
    }
    mutex_unlock(&source->mutex);
    if (unused) {
        close_reader(source);
        source->unused(source->context);
    }
}

/* --- those who make it --- */

bool backup_source_wants(struct backup_source *source, uint64_t op_number)
{
    if (!atomic_load_explicit(&source->wanted, memory_order_relaxed)) {
        return false;
    }
    mutex_lock(&source->mutex);
    const bool wants = source->phase == BACKUP_PHASE_WANTED && op_number >= source->least_op;
    mutex_unlock(&source->mutex);
    return wants && op_number > 0;
}

void backup_source_begun(struct backup_source *source)
{
    mutex_lock(&source->mutex);
    set_phase(source, BACKUP_PHASE_CUTTING);
    mutex_unlock(&source->mutex);
}

void backup_source_refused(struct backup_source *source)
{
    mutex_lock(&source->mutex);
    set_phase(source, BACKUP_PHASE_WANTED);
    mutex_unlock(&source->mutex);
}

void backup_source_taken(struct backup_source *source, const struct checkpoint_id *id)
{
    mutex_lock(&source->mutex);
    if (source->phase == BACKUP_PHASE_CUTTING) {
        set_phase(source, id != NULL ? BACKUP_PHASE_READY : BACKUP_PHASE_FAILED);
        source->asked_ns = clock_monotonic_ns(); /* who asked may come now */
        if (id != NULL) {
            source->id = *id;
        }
    }
    mutex_unlock(&source->mutex);
}
