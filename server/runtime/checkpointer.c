/* SPDX-License-Identifier: Apache-2.0 */
#include "server/runtime/checkpointer.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "common/base/invariant.h"
#include "common/os/clock.h"
#include "common/os/logger.h"
#include "common/os/memory.h"
#include "common/os/thread.h"

static size_t memory_size(void)
{
    return (size_t)(CHECKPOINTER_RING + CHECKPOINTER_STAGE_SLOTS + CHECKPOINTER_SERVE_SLOTS) *
           CHECKPOINT_CHUNK_SIZE;
}

static uint8_t *slot_bytes(uint8_t *slots, uint32_t index)
{
    return slots + (size_t)index * CHECKPOINT_CHUNK_SIZE;
}

/* The lowest of the free slots, which there is. */
static uint32_t take_slot(uint32_t *free_slots)
{
    uint32_t slot = 0;
    while ((*free_slots & UINT32_C(1) << slot) == 0) {
        slot++;
    }
    *free_slots &= ~(UINT32_C(1) << slot);
    return slot;
}

static void post(struct checkpointer *c, const struct checkpointer_news *news)
{
    const enum queue_status status = queue_push(&c->news, news);
    INVARIANT(status != QUEUE_FULL);
    c->posted(c->context);
}

/* --- the directory --- */

static uint64_t file_bytes(const struct checkpointer *c, uint64_t op_number)
{
    char path[STORAGE_PATH_MAX];
    char name[CHECKPOINT_NAME_SIZE];
    struct storage_error unused;
    checkpoint_file_name(op_number, name);
    const int file = storage_path(path, c->directory, name, &unused) == 0
                         ? c->ops->open(c->ops->disk, path, false)
                         : -1;
    if (file < 0) {
        return 0;
    }
    const int64_t size = c->ops->size(c->ops->disk, file);
    c->ops->close(c->ops->disk, file);
    return size > 0 ? (uint64_t)size : 0;
}

/* What status shows. Without the mutex. */
static void measure(struct checkpointer *c)
{
    uint64_t ops[CHECKPOINTER_FILES_MAX];
    uint32_t count = 0;
    struct storage_error unused;
    uint64_t bytes = 0;
    (void)checkpoint_list_ops(c->ops, c->directory, ops, CHECKPOINTER_FILES_MAX, &count, &unused);
    for (uint32_t i = 0; i < count; i++) {
        bytes += file_bytes(c, ops[i]);
    }
    mutex_lock(&c->mutex);
    c->disk_bytes = bytes;
    mutex_unlock(&c->mutex);
}

/* --- taking: the thread's side (K1) --- */

static void say_write_failed(struct checkpointer *c, const struct storage_error *error)
{
    if (c->taking_backup) {
        log_problem(ERROR_CHECKPOINT_UNWRITABLE,
                    "%s. There will be no backup for who asked for it; nothing else is affected",
                    error->text);
    } else if (!c->write_failed) {
        c->write_failed = true;
        log_problem(ERROR_CHECKPOINT_UNWRITABLE,
                    "%s. The log goes on, and is kept until a checkpoint can be written: the next "
                    "one is tried when it is due",
                    error->text);
    }
}

/* What was written of it goes. */
static void give_up_writing(struct checkpointer *c)
{
    if (c->writing) {
        checkpoint_writer_abandon(&c->writer);
        c->writing = false;
    }
}

/* Called with the mutex. */
static void lose_taking(struct checkpointer *c)
{
    const bool loses =
        c->taking == TAKING_CONTENT || c->taking == TAKING_END || c->taking == TAKING_ABANDONED;
    if (loses && c->taking_backup) {
        backup_source_taken(c->backup, NULL);
    }
    if (c->taking == TAKING_CONTENT) {
        c->taking = TAKING_LOST;
    } else if (c->taking == TAKING_END || c->taking == TAKING_ABANDONED) {
        c->taking = TAKING_NOTHING;
    }
    c->ring_count = 0;
}

/* The executor has abandoned it. Called with the mutex, which it lets go of meanwhile. */
static void clear_taking(struct checkpointer *c)
{
    mutex_unlock(&c->mutex);
    give_up_writing(c);
    mutex_lock(&c->mutex);
    lose_taking(c);
}

/* So that the sync at the end, and the syncs of others meanwhile, have little to wait for. Without
 * the mutex. */
static int flush_writing(struct checkpointer *c, struct storage_error *error)
{
    if (c->write_unsynced < CHECKPOINTER_FLUSH_SIZE) {
        return 0;
    }
    const uint64_t began_ns = clock_monotonic_ns();
    const int status = c->ops->sync(c->ops->disk, c->writer.file);
    if (status != 0) {
        return storage_error_system(error, status, "sync a checkpoint in", c->directory);
    }
    const uint64_t now_ns = clock_monotonic_ns();
    const uint64_t pause_max_ns = CHECKPOINTER_PAUSE_MAX_MS * NANOSECONDS_PER_MILLISECOND;
    const uint64_t pause_ns = CHECKPOINTER_PAUSES * (now_ns - began_ns);
    c->write_after_ns = now_ns + (pause_ns < pause_max_ns ? pause_ns : pause_max_ns);
    c->write_unsynced = 0;
    return 0;
}

/* Where what is taken goes. */
static const char *taking_directory(const struct checkpointer *c)
{
    return c->taking_backup ? c->backup->directory : c->directory;
}

/* Without the mutex. */
static int begin_writing(struct checkpointer *c, struct storage_error *error)
{
    const char *directory = taking_directory(c);
    int status = c->taking_backup ? c->ops->create_directory(c->ops->disk, directory) : 0;
    if (status != 0 && status != -EEXIST) {
        return storage_error_system(error, status, "create the directory", directory);
    }
    c->write_began_ns = clock_monotonic_ns();
    status = checkpoint_writer_begin(&c->writer, c->ops, directory, c->cluster_id, error);
    c->writing = status == 0;
    c->write_unsynced = 0;
    return status;
}

/* Without the mutex. */
static int write_chunk(struct checkpointer *c, const uint8_t *bytes, uint32_t size,
                       struct storage_error *error)
{
    if (!c->writing) {
        const int status = begin_writing(c, error);
        if (status != 0) {
            return status;
        }
    }
    const int status = checkpoint_writer_append(&c->writer, bytes, size, error);
    c->write_unsynced += size;
    return status == 0 ? flush_writing(c, error) : status;
}

/* The oldest chunk of the ring. Called with the mutex, which it lets go of meanwhile. */
static void write_some(struct checkpointer *c)
{
    struct storage_error error;
    const uint32_t at = c->ring_first;
    mutex_unlock(&c->mutex);
    const int status = write_chunk(c, slot_bytes(c->ring, at), c->ring_sizes[at], &error);
    if (status != 0) {
        say_write_failed(c, &error);
        give_up_writing(c);
    }
    mutex_lock(&c->mutex);
    if (c->taking == TAKING_ABANDONED) {
        return; /* seen to next */
    }
    if (status != 0) {
        lose_taking(c);
        return;
    }
    c->ring_first = (at + 1) % CHECKPOINTER_RING;
    c->ring_count--;
}

/* At info once in a while: under load there may be one every second. */
static void say_taken(struct checkpointer *c, const struct checkpoint_id *id)
{
    const uint64_t now_ns = clock_monotonic_ns();
    const bool news =
        c->taken_said_ns == 0 || c->write_failed ||
        now_ns - c->taken_said_ns >= CHECKPOINTER_SAY_S * (uint64_t)NANOSECONDS_PER_SECOND;
    logger_write(news ? LOG_LEVEL_INFO : LOG_LEVEL_DEBUG, LOG_STORAGE, NULL,
                 "checkpoint of op %" PRIu64 " taken: %" PRIu64 " bytes in %.1f s%s", id->op_number,
                 id->size, (double)(now_ns - c->write_began_ns) / (double)NANOSECONDS_PER_SECOND,
                 c->write_failed ? "; checkpoints can be written again" : "");
    c->taken_said_ns = news ? now_ns : c->taken_said_ns;
    c->write_failed = false;
}

/* There is one backup at a time; `but_op` 0: none. Without the mutex. */
static void remove_backups(struct checkpointer *c, uint64_t but_op)
{
    uint64_t ops[CHECKPOINTER_FILES_MAX];
    uint32_t count = 0;
    struct storage_error unused; /* mostly that there never was one; else the next time does it */
    const char *directory = c->backup->directory;
    (void)checkpoint_list_ops(c->ops, directory, ops, CHECKPOINTER_FILES_MAX, &count, &unused);
    for (uint32_t i = 0; i < count; i++) {
        if (ops[i] != but_op) {
            (void)checkpoint_remove(c->ops, directory, ops[i], &unused);
        }
    }
}

/* From here on it is there for who asked. Without the mutex. */
static void finish_backup(struct checkpointer *c)
{
    struct storage_error error;
    struct checkpoint_id id = c->taken;
    const bool finished = checkpoint_writer_finish(&c->writer, &id, &error) == 0;
    if (finished) {
        remove_backups(c, id.op_number);
        log_info(LOG_STORAGE, "backup of op %" PRIu64 " made for who asked: %" PRIu64 " bytes",
                 id.op_number, id.size);
    } else {
        say_write_failed(c, &error);
    }
    backup_source_taken(c->backup, finished ? &id : NULL);
}

/* True once it is as durable as the mode requires. Without the mutex. */
static bool finish_writing(struct checkpointer *c, struct checkpoint_id *id)
{
    struct storage_error error;
    if (checkpoint_writer_finish(&c->writer, id, &error) != 0) {
        say_write_failed(c, &error);
        return false;
    }
    if (c->state_writer != NULL &&
        state_writer_name_checkpoint(c->state_writer, id->op_number, id->root) != 0) {
        return false; /* the state file's writer has said why, and the replica stops */
    }
    return true;
}

/* Called with the mutex, which it lets go of meanwhile. */
static void end_taking(struct checkpointer *c)
{
    struct checkpointer_news news = {.kind = CHECKPOINTER_TAKEN, .checkpoint = {.id = c->taken}};
    if (c->taking_backup) {
        mutex_unlock(&c->mutex);
        finish_backup(c);
        give_up_writing(c);
        mutex_lock(&c->mutex);
        c->taking = TAKING_NOTHING;
        return;
    }
    mutex_unlock(&c->mutex);
    const bool taken = finish_writing(c, &news.checkpoint.id);
    give_up_writing(c);
    mutex_lock(&c->mutex);
    c->taking = taken ? TAKING_TOLD : TAKING_NOTHING;
    mutex_unlock(&c->mutex);
    if (taken) {
        say_taken(c, &news.checkpoint.id);
        c->unreadable_op = 0; /* it may be the same op's once more */
        measure(c);
        post(c, &news);
    }
    mutex_lock(&c->mutex);
}

/* --- taking: the executor's side --- */

bool checkpointer_begin(struct checkpointer *c, bool backup)
{
    mutex_lock(&c->mutex);
    const bool begins = c->taking == TAKING_NOTHING && !c->installing;
    if (begins) {
        c->taking = TAKING_CONTENT;
        c->taking_backup = backup;
        c->ring_first = 0;
        c->ring_count = 0;
    }
    mutex_unlock(&c->mutex);
    return begins;
}

enum checkpointer_room checkpointer_reserve(struct checkpointer *c, uint8_t **bytes)
{
    enum checkpointer_room room = CHECKPOINTER_ROOM;
    mutex_lock(&c->mutex);
    INVARIANT(c->taking == TAKING_CONTENT || c->taking == TAKING_LOST);
    if (c->taking == TAKING_LOST) {
        c->taking = TAKING_NOTHING;
        room = CHECKPOINTER_LOST;
    } else if (c->ring_count == CHECKPOINTER_RING) {
        room = CHECKPOINTER_FULL;
    } else {
        *bytes = slot_bytes(c->ring, (c->ring_first + c->ring_count) % CHECKPOINTER_RING);
    }
    mutex_unlock(&c->mutex);
    return room;
}

void checkpointer_push(struct checkpointer *c, uint32_t size)
{
    mutex_lock(&c->mutex);
    if (c->taking == TAKING_CONTENT) {
        c->ring_sizes[(c->ring_first + c->ring_count) % CHECKPOINTER_RING] = size;
        c->ring_count++;
        condition_broadcast(&c->changed);
    }
    mutex_unlock(&c->mutex);
}

void checkpointer_end(struct checkpointer *c, const struct checkpoint_id *id)
{
    mutex_lock(&c->mutex);
    if (c->taking == TAKING_CONTENT) {
        c->taken = *id;
        c->taking = TAKING_END;
        condition_broadcast(&c->changed);
    } else {
        c->taking = TAKING_NOTHING; /* it was lost */
    }
    mutex_unlock(&c->mutex);
}

void checkpointer_abandon(struct checkpointer *c)
{
    mutex_lock(&c->mutex);
    if (c->taking == TAKING_CONTENT) {
        c->taking = TAKING_ABANDONED;
        condition_broadcast(&c->changed);
    } else if (c->taking == TAKING_LOST) {
        c->taking = TAKING_NOTHING;
    }
    mutex_unlock(&c->mutex);
}

/* --- serving (G4) --- */

static void close_reader(struct checkpointer *c)
{
    if (c->reading) {
        checkpoint_reader_close(&c->reader);
        c->reading = false;
    }
}

static void say_unreadable(struct checkpointer *c, uint64_t op_number,
                           const struct storage_error *error)
{
    if (c->unreadable_op != op_number) {
        c->unreadable_op = op_number;
        log_problem(ERROR_CHECKPOINT_DAMAGED,
                    "%s. It is served to no other replica; the next one replaces it", error->text);
        if (queue_count(&c->news) < CHECKPOINTER_REFUSALS) {
            post(c, &(struct checkpointer_news){.kind = CHECKPOINTER_UNREADABLE,
                                                .unreadable_op = op_number});
        }
    }
}

static bool open_reader(struct checkpointer *c, const struct checkpoint_id *id)
{
    struct storage_error error;
    if (c->reading && checkpoint_id_equal(&c->reader.id, id)) {
        return true;
    }
    close_reader(c);
    if (c->unreadable_op == id->op_number) {
        return false;
    }
    if (checkpoint_reader_open(&c->reader, c->ops, c->directory, c->cluster_id, id->op_number,
                               &error) != 0) {
        say_unreadable(c, id->op_number, &error);
        return false;
    }
    c->reading = true;
    return checkpoint_id_equal(&c->reader.id, id);
}

/* Returns its size; 0: there is nothing to send. */
static uint32_t read_piece(struct checkpointer *c, const struct checkpointer_serve *serve,
                           uint8_t *bytes)
{
    struct storage_error error;
    if (!open_reader(c, &serve->id)) {
        return 0;
    }
    const uint64_t chunks = checkpoint_chunk_count(serve->id.size);
    const uint64_t list_size = chunks * CHECKPOINT_CHECKSUM_SIZE;
    if (serve->first >= (serve->list ? checkpoint_chunk_count(list_size) : chunks)) {
        return 0;
    }
    if (serve->list) {
        const uint32_t size = checkpoint_chunk_size(list_size, serve->first);
        memcpy(bytes, c->reader.list + serve->first * CHECKPOINT_CHUNK_SIZE, size);
        return size;
    }
    const int size = checkpoint_reader_chunk(&c->reader, serve->first, bytes, &error);
    if (size < 0) {
        say_unreadable(c, serve->id.op_number, &error);
        close_reader(c);
        return 0;
    }
    return (uint32_t)size;
}

/* One chunk of the oldest request. Called with the mutex, which it lets go of meanwhile. */
static void serve_some(struct checkpointer *c)
{
    const struct checkpointer_serve serve = c->serves[0];
    const uint32_t slot = take_slot(&c->serve_free);
    mutex_unlock(&c->mutex);
    uint8_t *bytes = slot_bytes(c->served, slot);
    const uint32_t size = read_piece(c, &serve, bytes);
    if (size > 0) {
        post(c, &(struct checkpointer_news){.kind = CHECKPOINTER_SERVED,
                                            .served = {.peer = serve.peer,
                                                       .slot = slot,
                                                       .nonce = serve.nonce,
                                                       .root = serve.id.root,
                                                       .list = serve.list,
                                                       .index = serve.first,
                                                       .size = size,
                                                       .bytes = bytes}});
    }
    mutex_lock(&c->mutex);
    if (size == 0) {
        c->serve_free |= UINT32_C(1) << slot;
    }
    c->serves[0].first++;
    c->serves[0].count--;
    if (size == 0 || c->serves[0].count == 0) {
        c->serve_count--;
        memmove(c->serves, c->serves + 1, c->serve_count * sizeof c->serves[0]);
    }
}

void checkpointer_serve(struct checkpointer *c, const struct checkpointer_serve *serve)
{
    mutex_lock(&c->mutex);
    if (c->serve_count < CHECKPOINTER_SERVE_JOBS && serve->count > 0) {
        c->serves[c->serve_count++] = *serve;
        condition_broadcast(&c->changed);
    }
    mutex_unlock(&c->mutex);
}

void checkpointer_release(struct checkpointer *c, uint32_t slot)
{
    mutex_lock(&c->mutex);
    c->serve_free |= UINT32_C(1) << slot;
    condition_broadcast(&c->changed);
    mutex_unlock(&c->mutex);
}

/* --- staging (G4) --- */

static void close_receiver(struct checkpointer *c)
{
    if (c->receiving) {
        checkpoint_receiver_close(&c->receiver);
        c->receiving = false;
    }
}

static int open_receiver(struct checkpointer *c, const struct checkpoint_id *id,
                         struct storage_error *error)
{
    if (c->receiving && checkpoint_id_equal(&c->receiver.id, id)) {
        return 0;
    }
    close_receiver(c);
    if (!c->receive_failed) {
        log_info(LOG_STORAGE, "receiving the checkpoint of op %" PRIu64 ", %" PRIu64 " bytes",
                 id->op_number, id->size);
    }
    const int status =
        checkpoint_receiver_begin(&c->receiver, c->ops, c->directory, c->cluster_id, id, error);
    c->receiving = status == 0;
    return status;
}

static int flush_receiving(struct checkpointer *c, uint32_t size, struct storage_error *error)
{
    c->receive_unsynced += size;
    if (c->receive_unsynced < CHECKPOINTER_FLUSH_SIZE) {
        return 0;
    }
    c->receive_unsynced = 0;
    const int status = c->ops->sync(c->ops->disk, c->receiver.file);
    if (status != 0) {
        close_receiver(c); /* PS-3: what it holds is written again before it counts */
        return storage_error_system(error, status, "sync a checkpoint in", c->directory);
    }
    return 0;
}

/* *missing: the first piece or chunk at or above this one that is not there. -ENODATA: that the
 * list is there, as the core believes, is no longer so. */
static int keep_piece(struct checkpointer *c, const struct checkpointer_stage *stage,
                      uint64_t *missing, struct storage_error *error)
{
    const uint8_t *bytes = slot_bytes(c->staged, stage->slot);
    int status = open_receiver(c, &stage->id, error);
    if (status != 0) {
        return status;
    }
    if (stage->list) {
        status = checkpoint_receiver_list(&c->receiver, stage->index * CHECKPOINT_CHUNK_SIZE, bytes,
                                          stage->size, error);
        const uint64_t pieces = checkpoint_chunk_count(c->receiver.list_used);
        *missing = pieces;
        /* Others than the next are ignored: not there. */
        return status == 0 && pieces <= stage->index
                   ? storage_error_set(error, -EBADMSG, "a piece of the list came out of order")
                   : status;
    }
    if (!checkpoint_receiver_has_list(&c->receiver)) {
        return storage_error_set(error, -ENODATA, "a chunk came before the list");
    }
    status = checkpoint_receiver_chunk(&c->receiver, stage->index, bytes, stage->size, error);
    status = status == 0 ? flush_receiving(c, stage->size, error) : status;
    if (status == 0) {
        *missing = checkpoint_receiver_missing(&c->receiver, stage->index);
    }
    return status;
}

/* Other bytes than they should be are no news: the core counts them, and asks somebody else. A list
 * that is gone went with an error that was told. */
static void note_received(struct checkpointer *c, int status, const struct storage_error *error)
{
    if (status == 0) {
        c->receive_failed = false;
        return;
    }
    if (status == -EBADMSG || status == -ENODATA) {
        return;
    }
    /* On a full disk all that is there stays as it is, and only what has no room is asked for
     * again; to begin anew would write it all once more, each time. */
    if (status != -ENOSPC && status != -EDQUOT) {
        close_receiver(c);
    }
    if (!c->receive_failed) {
        c->receive_failed = true;
        log_problem(ERROR_CHECKPOINT_UNWRITABLE,
                    "%s. This replica is behind the others' logs, and cannot go on without the "
                    "checkpoint: it tries again",
                    error->text);
    }
}

/* Called with the mutex, which it lets go of meanwhile. */
static void stage_some(struct checkpointer *c)
{
    const struct checkpointer_stage stage = c->stages[0];
    struct storage_error error;
    struct checkpointer_news news = {
        .kind = CHECKPOINTER_STAGED,
        .staged = {.root = stage.id.root,
                   .list = stage.list,
                   .index = stage.index,
                   .slot = stage.slot},
    };
    mutex_unlock(&c->mutex);
    const int status = keep_piece(c, &stage, &news.staged.missing, &error);
    note_received(c, status, &error);
    news.staged.ok = status == 0;
    news.staged.lost = status != 0 && status != -EBADMSG;
    mutex_lock(&c->mutex);
    c->stage_count--;
    memmove(c->stages, c->stages + 1, c->stage_count * sizeof c->stages[0]);
    mutex_unlock(&c->mutex);
    post(c, &news);
    mutex_lock(&c->mutex);
}

/* There is no buffer for it: it is asked for again. Where even that finds no room it is the sync's
 * timeout that does (G5). */
static void refuse(struct checkpointer *c, struct checksum root, bool list, uint64_t index)
{
    const struct checkpointer_news news = {
        .kind = CHECKPOINTER_STAGED,
        .staged = {.root = root, .list = list, .index = index, .slot = CHECKPOINTER_NO_SLOT},
    };
    if (queue_count(&c->news) < CHECKPOINTER_REFUSALS) {
        post(c, &news);
    }
}

void checkpointer_stage(struct checkpointer *c, const struct checkpoint_id *id, bool list,
                        uint64_t index, const uint8_t *bytes, uint32_t size)
{
    mutex_lock(&c->mutex);
    const bool room = c->stage_free != 0 && size <= CHECKPOINT_CHUNK_SIZE;
    if (room) {
        const uint32_t slot = take_slot(&c->stage_free);
        memcpy(slot_bytes(c->staged, slot), bytes, size);
        c->stages[c->stage_count++] = (struct checkpointer_stage){
            .id = *id, .list = list, .index = index, .size = size, .slot = slot};
        condition_broadcast(&c->changed);
    }
    mutex_unlock(&c->mutex);
    if (!room) {
        refuse(c, id->root, list, index);
    }
}

/* --- installing (G4) --- */

static int make_installed(struct checkpointer *c, const struct checkpoint_id *id,
                          struct storage_error *error)
{
    if (!c->receiving || !checkpoint_id_equal(&c->receiver.id, id) ||
        !checkpoint_receiver_has_list(&c->receiver) ||
        checkpoint_receiver_missing(&c->receiver, 0) < c->receiver.chunk_count) {
        return storage_error_set(error, -EIO,
                                 "what was received of the checkpoint of op %" PRIu64
                                 " is not on the disk any more",
                                 id->op_number);
    }
    const int status = checkpoint_receiver_finish(&c->receiver, error);
    c->receiving = status != 0;
    return status;
}

/* Called with the mutex, which it lets go of meanwhile. */
static void install_some(struct checkpointer *c)
{
    const struct checkpointer_news news = {.kind = CHECKPOINTER_READY,
                                           .checkpoint = {.id = c->install}};
    const struct checkpoint_id *id = &news.checkpoint.id;
    struct storage_error error;
    c->install_due = false;
    lose_taking(c); /* of a state that goes */
    mutex_unlock(&c->mutex);
    give_up_writing(c);
    const int status = make_installed(c, id, &error);
    measure(c);
    if (status != 0) {
        c->failed(c->context, error.text);
    } else if (c->state_writer == NULL ||
               state_writer_name_checkpoint(c->state_writer, id->op_number, id->root) == 0) {
        post(c, &news);
    }
    mutex_lock(&c->mutex);
}

void checkpointer_install(struct checkpointer *c, const struct checkpoint_id *id)
{
    mutex_lock(&c->mutex);
    INVARIANT(!c->installing);
    c->installing = true;
    c->install_due = true;
    c->install = *id;
    condition_broadcast(&c->changed);
    mutex_unlock(&c->mutex);
}

void checkpointer_loaded(struct checkpointer *c, const struct checkpoint_id *id, uint64_t timestamp)
{
    mutex_lock(&c->mutex);
    INVARIANT(c->installing);
    c->installing = false;
    mutex_unlock(&c->mutex);
    post(c, &(struct checkpointer_news){.kind = CHECKPOINTER_INSTALLED,
                                        .checkpoint = {.id = *id, .timestamp = timestamp}});
}

/* --- dropping (K1) --- */

static bool is_among(const uint64_t *ops, uint32_t count, uint64_t op)
{
    for (uint32_t i = 0; i < count; i++) {
        if (ops[i] == op) {
            return true;
        }
    }
    return false;
}

static void remove_older(struct checkpointer *c, uint64_t below_op, const uint64_t *but,
                         uint32_t but_count)
{
    uint64_t ops[CHECKPOINTER_FILES_MAX];
    uint32_t count;
    struct storage_error error;
    int status =
        checkpoint_list_ops(c->ops, c->directory, ops, CHECKPOINTER_FILES_MAX, &count, &error);
    for (uint32_t i = 0; status == 0 && i < count; i++) {
        if (ops[i] >= below_op || is_among(but, but_count, ops[i])) {
            continue;
        }
        if (c->reading && c->reader.id.op_number == ops[i]) {
            close_reader(c);
        }
        status = checkpoint_remove(c->ops, c->directory, ops[i], &error);
    }
    if (status != 0) {
        log_info(LOG_STORAGE, "%s; it is tried again after the next checkpoint", error.text);
    }
}

/* Who takes checkpoints of its own needs none that it pulled before, or an earlier run did. */
static void forget_pull(struct checkpointer *c, uint64_t below_op)
{
    if (c->receiving && c->receiver.id.op_number >= below_op) {
        return;
    }
    close_receiver(c);
    struct storage_error unused;
    (void)checkpoint_receiver_forget(c->ops, c->directory, &unused);
}

/* Called with the mutex, which it lets go of meanwhile. */
static void drop_some(struct checkpointer *c)
{
    const uint64_t below_op = c->drop_below;
    const uint32_t but_count = c->drop_but_count;
    uint64_t but[REPLICAS_MAX];
    memcpy(but, c->drop_but, sizeof but);
    mutex_unlock(&c->mutex);
    remove_older(c, below_op, but, but_count);
    forget_pull(c, below_op);
    measure(c);
    mutex_lock(&c->mutex);
    c->dropped_below = below_op;
}

void checkpointer_drop_backup(struct checkpointer *c)
{
    mutex_lock(&c->mutex);
    c->drop_backup = true;
    condition_broadcast(&c->changed);
    mutex_unlock(&c->mutex);
}

/* Called with the mutex, which it lets go of meanwhile. */
static void drop_backups(struct checkpointer *c)
{
    c->drop_backup = false;
    mutex_unlock(&c->mutex);
    remove_backups(c, 0);
    mutex_lock(&c->mutex);
}

void checkpointer_drop(struct checkpointer *c, uint64_t below_op, const uint64_t *but,
                       uint32_t but_count)
{
    INVARIANT(but_count <= REPLICAS_MAX);
    mutex_lock(&c->mutex);
    if (below_op > c->drop_below) {
        c->drop_below = below_op;
        c->drop_but_count = but_count;
        for (uint32_t i = 0; i < but_count; i++) {
            c->drop_but[i] = but[i];
        }
        condition_broadcast(&c->changed);
    }
    mutex_unlock(&c->mutex);
}

void checkpointer_news(struct checkpointer *c, struct checkpointer_news *news)
{
    const enum queue_status status = queue_pop(&c->news, news, 0);
    INVARIANT(status == QUEUE_OK);
    mutex_lock(&c->mutex);
    if (news->kind == CHECKPOINTER_STAGED && news->staged.slot != CHECKPOINTER_NO_SLOT) {
        c->stage_free |= UINT32_C(1) << news->staged.slot;
    } else if (news->kind == CHECKPOINTER_TAKEN) {
        INVARIANT(c->taking == TAKING_TOLD);
        c->taking = TAKING_NOTHING;
    }
    mutex_unlock(&c->mutex);
}

/* --- the thread --- */

/* What waits for the disk's pause to end. Called with the mutex. */
static bool is_pausing(const struct checkpointer *c)
{
    return (c->ring_count > 0 || c->taking == TAKING_END) &&
           clock_monotonic_ns() < c->write_after_ns;
}

/* Does one piece of work; false: there is none. Whoever waits for a transfer goes first. */
static bool work(struct checkpointer *c)
{
    if (c->stage_count > 0) {
        stage_some(c);
    } else if (c->install_due) {
        install_some(c);
    } else if (c->serve_count > 0 && c->serve_free != 0) {
        serve_some(c);
    } else if (c->taking == TAKING_ABANDONED) {
        clear_taking(c);
    } else if (c->drop_below > c->dropped_below) {
        drop_some(c);
    } else if (c->drop_backup) {
        drop_backups(c);
    } else if (is_pausing(c)) {
        return false;
    } else if (c->ring_count > 0) {
        write_some(c);
    } else if (c->taking == TAKING_END) {
        end_taking(c);
    } else {
        return false;
    }
    return true;
}

static void *run(void *argument)
{
    struct checkpointer *c = argument;
    measure(c);
    mutex_lock(&c->mutex);
    while (!c->stopping) {
        if (work(c)) {
            continue;
        }
        if (is_pausing(c)) {
            (void)condition_wait_until(&c->changed, &c->mutex, c->write_after_ns);
        } else {
            condition_wait(&c->changed, &c->mutex);
        }
    }
    mutex_unlock(&c->mutex);
    give_up_writing(c);
    close_receiver(c);
    close_reader(c);
    return NULL;
}

uint64_t checkpointer_disk_bytes(struct checkpointer *c)
{
    mutex_lock(&c->mutex);
    const uint64_t bytes = c->disk_bytes;
    mutex_unlock(&c->mutex);
    return bytes;
}

int checkpointer_init(struct checkpointer *c)
{
    c->memory = memory_reserve(memory_size());
    if (c->memory == NULL) {
        return -ENOMEM;
    }
    const int status =
        queue_init(&c->news, CHECKPOINTER_NEWS_MAX, sizeof(struct checkpointer_news));
    if (status != 0) {
        memory_release(c->memory, memory_size());
        return status;
    }
    c->ring = c->memory;
    c->staged = slot_bytes(c->ring, CHECKPOINTER_RING);
    c->served = slot_bytes(c->staged, CHECKPOINTER_STAGE_SLOTS);
    c->stage_free = (UINT32_C(1) << CHECKPOINTER_STAGE_SLOTS) - 1;
    c->serve_free = (UINT32_C(1) << CHECKPOINTER_SERVE_SLOTS) - 1;
    mutex_init(&c->mutex);
    condition_init(&c->changed);
    return 0;
}

void checkpointer_destroy(struct checkpointer *c)
{
    condition_destroy(&c->changed);
    mutex_destroy(&c->mutex);
    queue_destroy(&c->news);
    memory_release(c->memory, memory_size());
}

int checkpointer_start(struct checkpointer *c)
{
    c->drop_backup = c->backup != NULL; /* what an earlier run left */
    const int status = thread_start(&c->thread, "vr-checkpoint", run, c);
    c->running = status == 0;
    return status;
}

void checkpointer_stop(struct checkpointer *c)
{
    if (!c->running) {
        return;
    }
    mutex_lock(&c->mutex);
    c->stopping = true;
    condition_broadcast(&c->changed);
    mutex_unlock(&c->mutex);
    thread_join(c->thread);
    c->running = false;
}
