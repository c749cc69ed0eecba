/* SPDX-License-Identifier: Apache-2.0 */
#include "server/storage/checkpoint_receiver.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/bytes.h"
#include "common/base/invariant.h"

static const char pull_name[] = "checkpoint.pull";

static uint64_t list_size(const struct checkpoint_receiver *receiver)
{
    return receiver->chunk_count * CHECKPOINT_CHECKSUM_SIZE;
}

static int disk_failed(const struct checkpoint_receiver *receiver, int status,
                       struct storage_error *error)
{
    return storage_error_system(error, status, "receive a checkpoint in", receiver->directory);
}

static bool chunk_matches(const struct checkpoint_receiver *receiver, uint64_t index,
                          const uint8_t *bytes, size_t size)
{
    const uint8_t *listed = receiver->list + index * CHECKPOINT_CHECKSUM_SIZE;
    const struct checksum expected = {bytes_get_u64(listed), bytes_get_u64(listed + 8)};
    return size == checkpoint_chunk_size(receiver->id.size, index) &&
           checksum_equal(checkpoint_chunk_checksum(bytes, size), expected);
}

/* --- writing --- */

/* Header and list first, so that a transfer that is interrupted can tell what it was of. */
static int write_list(struct checkpoint_receiver *receiver, struct storage_error *error)
{
    const struct file_ops *ops = receiver->ops;
    uint8_t header[CHECKPOINT_HEADER_SIZE];
    checkpoint_header_encode(&receiver->id, receiver->cluster_id, header);
    int status = ops->write(ops->disk, receiver->file, 0, header, sizeof header);
    if (status == 0) {
        status = ops->write(ops->disk, receiver->file, checkpoint_list_offset(receiver->id.size),
                            receiver->list, list_size(receiver));
    }
    return status == 0 ? 0 : disk_failed(receiver, status, error);
}

static int write_chunk(struct checkpoint_receiver *receiver, uint64_t index, const uint8_t *bytes,
                       size_t size, struct storage_error *error)
{
    const struct file_ops *ops = receiver->ops;
    const uint64_t offset = CHECKPOINT_HEADER_SIZE + index * CHECKPOINT_CHUNK_SIZE;
    const int status = ops->write(ops->disk, receiver->file, offset, bytes, size);
    if (status != 0) {
        return disk_failed(receiver, status, error);
    }
    receiver->received[index] = 1;
    receiver->received_count++;
    return 0;
}

/* --- what an earlier transfer left --- */

static bool same_checkpoint(const struct checkpoint_receiver *receiver)
{
    const struct file_ops *ops = receiver->ops;
    uint8_t header[CHECKPOINT_HEADER_SIZE];
    struct checkpoint_id id;
    return ops->read(ops->disk, receiver->file, 0, header, sizeof header) ==
               (int64_t)sizeof header &&
           checkpoint_header_decode(header, receiver->cluster_id, &id) == CHECKPOINT_VALID &&
           checkpoint_id_equal(&id, &receiver->id) &&
           ops->read(ops->disk, receiver->file, checkpoint_list_offset(id.size), receiver->list,
                     list_size(receiver)) == (int64_t)list_size(receiver) &&
           checksum_equal(checkpoint_root(&id, receiver->list), id.root);
}

/* All that is found is written once more: it may be in the page cache only, after a sync that
 * failed, and then no later sync would save it (PITFALLS PS-3). */
static int take_over(struct checkpoint_receiver *receiver, uint8_t *chunk,
                     struct storage_error *error)
{
    const struct file_ops *ops = receiver->ops;
    receiver->list_used = list_size(receiver);
    int status = write_list(receiver, error);
    for (uint64_t i = 0; status == 0 && i < receiver->chunk_count; i++) {
        const uint32_t size = checkpoint_chunk_size(receiver->id.size, i);
        const uint64_t offset = CHECKPOINT_HEADER_SIZE + i * CHECKPOINT_CHUNK_SIZE;
        if (ops->read(ops->disk, receiver->file, offset, chunk, size) == (int64_t)size &&
            chunk_matches(receiver, i, chunk, size)) {
            status = write_chunk(receiver, i, chunk, size, error);
        }
    }
    return status;
}

static int resume(struct checkpoint_receiver *receiver, struct storage_error *error)
{
    if (!same_checkpoint(receiver)) {
        receiver->ops->close(receiver->ops->disk, receiver->file);
        receiver->file = -ENOENT;
        return 0;
    }
    uint8_t *chunk = malloc(CHECKPOINT_CHUNK_SIZE);
    if (chunk == NULL) {
        return storage_error_set(error, -ENOMEM, "there is no memory left to receive a checkpoint");
    }
    const int status = take_over(receiver, chunk, error);
    free(chunk);
    return status;
}

/* --- beginning --- */

static int open_pull(struct checkpoint_receiver *receiver, struct storage_error *error)
{
    const struct file_ops *ops = receiver->ops;
    const char *path = receiver->pull_path;
    receiver->file = ops->open(ops->disk, path, false);
    int status = receiver->file >= 0 ? resume(receiver, error) : 0;
    if (status != 0 || receiver->file >= 0) {
        return status;
    }
    if (receiver->file == -EWOULDBLOCK) { /* somebody else is at it */
        return disk_failed(receiver, receiver->file, error);
    }
    status = ops->remove(ops->disk, path);
    if (status == 0 || status == -ENOENT) {
        receiver->file = ops->open(ops->disk, path, true);
        status = receiver->file < 0 ? receiver->file : 0;
    }
    return status == 0 ? 0 : disk_failed(receiver, status, error);
}

static void copy_path(char to[STORAGE_PATH_MAX], const char *from)
{
    INVARIANT(strlen(from) < STORAGE_PATH_MAX);
    memcpy(to, from, strlen(from) + 1);
}

int checkpoint_receiver_begin(struct checkpoint_receiver *receiver, const struct file_ops *ops,
                              const char *directory, uint64_t cluster_id,
                              const struct checkpoint_id *id, struct storage_error *error)
{
    char pull_path[STORAGE_PATH_MAX];
    char path[STORAGE_PATH_MAX];
    char name[CHECKPOINT_NAME_SIZE];
    checkpoint_file_name(id->op_number, name);
    *receiver = (struct checkpoint_receiver){.ops = ops, .file = -1};
    int status = storage_path(pull_path, directory, pull_name, error);
    status = status == 0 ? storage_path(path, directory, name, error) : status;
    return status != 0 ? status
                       : checkpoint_receiver_begin_backup(receiver, ops, directory, pull_path, path,
                                                          cluster_id, id, error);
}

int checkpoint_receiver_begin_backup(struct checkpoint_receiver *receiver,
                                     const struct file_ops *ops, const char *directory,
                                     const char *pull_path, const char *path, uint64_t cluster_id,
                                     const struct checkpoint_id *id, struct storage_error *error)
{
    INVARIANT(id->op_number > 0 && id->size > 0 && id->size <= CHECKPOINT_SIZE_MAX);
    *receiver = (struct checkpoint_receiver){
        .ops = ops,
        .cluster_id = cluster_id,
        .id = *id,
        .file = -1,
        .chunk_count = checkpoint_chunk_count(id->size),
    };
    copy_path(receiver->directory, directory);
    copy_path(receiver->pull_path, pull_path);
    copy_path(receiver->path, path);
    receiver->list = malloc(list_size(receiver));
    receiver->received = calloc(receiver->chunk_count, sizeof receiver->received[0]);
    if (receiver->list == NULL || receiver->received == NULL) {
        checkpoint_receiver_close(receiver);
        return storage_error_set(error, -ENOMEM, "there is no memory left to receive a checkpoint");
    }
    const int status = open_pull(receiver, error);
    if (status != 0) {
        checkpoint_receiver_close(receiver);
    }
    return status;
}

int checkpoint_receiver_forget(const struct file_ops *ops, const char *directory,
                               struct storage_error *error)
{
    char path[STORAGE_PATH_MAX];
    int status = storage_path(path, directory, pull_name, error);
    if (status != 0) {
        return status;
    }
    status = ops->remove(ops->disk, path);
    return status == 0 || status == -ENOENT
               ? 0
               : storage_error_system(error, status, "remove what is left of a transfer,", path);
}

/* --- the list --- */

bool checkpoint_receiver_has_list(const struct checkpoint_receiver *receiver)
{
    return receiver->list_used == list_size(receiver);
}

int checkpoint_receiver_list(struct checkpoint_receiver *receiver, uint64_t offset,
                             const uint8_t *bytes, size_t size, struct storage_error *error)
{
    if (checkpoint_receiver_has_list(receiver) || offset != receiver->list_used) {
        return 0;
    }
    if (size > list_size(receiver) - offset) {
        return storage_error_set(error, -EBADMSG, "a list of checksums that is too long was sent");
    }
    memcpy(receiver->list + offset, bytes, size);
    receiver->list_used += size;
    if (!checkpoint_receiver_has_list(receiver)) {
        return 0;
    }
    if (!checksum_equal(checkpoint_root(&receiver->id, receiver->list), receiver->id.root)) {
        receiver->list_used = 0;
        return storage_error_set(error, -EBADMSG, "a wrong list of checksums was sent");
    }
    const int status = write_list(receiver, error);
    receiver->list_used = status == 0 ? receiver->list_used : 0;
    return status;
}

/* --- chunks --- */

int checkpoint_receiver_chunk(struct checkpoint_receiver *receiver, uint64_t index,
                              const uint8_t *bytes, size_t size, struct storage_error *error)
{
    INVARIANT(checkpoint_receiver_has_list(receiver));
    if (index >= receiver->chunk_count || !chunk_matches(receiver, index, bytes, size)) {
        return storage_error_set(error, -EBADMSG, "a wrong chunk of a checkpoint was sent");
    }
    return receiver->received[index] != 0 ? 0 : write_chunk(receiver, index, bytes, size, error);
}

uint64_t checkpoint_receiver_missing(const struct checkpoint_receiver *receiver, uint64_t index)
{
    while (index < receiver->chunk_count && receiver->received[index] != 0) {
        index++;
    }
    return index;
}

/* --- looking --- */

/* What is there of the checkpoint that the header names. */
static int peek_chunks(struct checkpoint_receiver *receiver, struct checkpoint_pull *pull,
                       struct storage_error *error)
{
    const struct file_ops *ops = receiver->ops;
    uint8_t *chunk = malloc(CHECKPOINT_CHUNK_SIZE);
    receiver->list = malloc(list_size(receiver));
    if (chunk == NULL || receiver->list == NULL) {
        free(chunk);
        return storage_error_set(error, -ENOMEM, "there is no memory left to read %s", pull_name);
    }
    pull->has_list = same_checkpoint(receiver);
    for (uint64_t i = 0; pull->has_list && i < receiver->chunk_count; i++) {
        const uint32_t size = checkpoint_chunk_size(receiver->id.size, i);
        const uint64_t offset = CHECKPOINT_HEADER_SIZE + i * CHECKPOINT_CHUNK_SIZE;
        const bool whole =
            ops->read(ops->disk, receiver->file, offset, chunk, size) == (int64_t)size &&
            chunk_matches(receiver, i, chunk, size);
        pull->received_count += whole ? 1 : 0;
    }
    free(chunk);
    return 0;
}

int checkpoint_receiver_peek(const struct file_ops *ops, const char *directory, uint64_t cluster_id,
                             struct checkpoint_pull *pull, struct storage_error *error)
{
    struct checkpoint_receiver receiver = {.ops = ops, .cluster_id = cluster_id, .file = -1};
    uint8_t header[CHECKPOINT_HEADER_SIZE];
    *pull = (struct checkpoint_pull){.has_list = false};
    int status = storage_path(receiver.pull_path, directory, pull_name, error);
    if (status != 0) {
        return status;
    }
    receiver.file = ops->open(ops->disk, receiver.pull_path, false);
    if (receiver.file < 0) {
        return receiver.file == -ENOENT
                   ? -ENOENT
                   : storage_error_system(error, receiver.file, "open", receiver.pull_path);
    }
    if (ops->read(ops->disk, receiver.file, 0, header, sizeof header) == (int64_t)sizeof header &&
        checkpoint_header_decode(header, cluster_id, &receiver.id) == CHECKPOINT_VALID) {
        receiver.chunk_count = checkpoint_chunk_count(receiver.id.size);
        pull->id = receiver.id;
        pull->chunk_count = receiver.chunk_count;
        status = peek_chunks(&receiver, pull, error);
    }
    checkpoint_receiver_close(&receiver);
    return status;
}

/* --- ending --- */

int checkpoint_receiver_finish(struct checkpoint_receiver *receiver, struct storage_error *error)
{
    INVARIANT(checkpoint_receiver_has_list(receiver));
    INVARIANT(receiver->received_count == receiver->chunk_count);
    const struct file_ops *ops = receiver->ops;
    int status = ops->sync(ops->disk, receiver->file);
    status = status == 0 ? ops->rename(ops->disk, receiver->pull_path, receiver->path) : status;
    status = status == 0 ? ops->sync_directory(ops->disk, receiver->directory) : status;
    if (status != 0) {
        return disk_failed(receiver, status, error);
    }
    checkpoint_receiver_close(receiver);
    return 0;
}

void checkpoint_receiver_close(struct checkpoint_receiver *receiver)
{
    if (receiver->file >= 0) {
        receiver->ops->close(receiver->ops->disk, receiver->file);
    }
    receiver->file = -1;
    free(receiver->list);
    free(receiver->received);
    receiver->list = NULL;
    receiver->received = NULL;
}
