/* SPDX-License-Identifier: Apache-2.0 */
#include "server/storage/checkpoint_writer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/bytes.h"
#include "common/base/invariant.h"

static const char new_name[] = "checkpoint.new";

enum { LIST_CAPACITY_FIRST = 256 };

static int out_of_memory(struct storage_error *error)
{
    return storage_error_set(error, -ENOMEM,
                             "there is no memory left to write a checkpoint; the log stays whole "
                             "until one succeeds");
}

static int refuse(const struct checkpoint_writer *writer, int status, struct storage_error *error)
{
    return storage_error_system(error, status, "write a checkpoint in", writer->directory);
}

/* --- beginning --- */

static int make_file(struct checkpoint_writer *writer, const char *path)
{
    const struct file_ops *ops = writer->ops;
    const int removed = ops->remove(ops->disk, path);
    if (removed != 0 && removed != -ENOENT) {
        return removed;
    }
    return ops->open(ops->disk, path, true);
}

static void give_back(struct checkpoint_writer *writer)
{
    if (writer->file >= 0) {
        writer->ops->close(writer->ops->disk, writer->file);
    }
    free(writer->list);
    free(writer->chunk);
    writer->file = -1;
    writer->list = NULL;
    writer->chunk = NULL;
}

int checkpoint_writer_begin(struct checkpoint_writer *writer, const struct file_ops *ops,
                            const char *directory, uint64_t cluster_id, struct storage_error *error)
{
    INVARIANT(strlen(directory) < STORAGE_PATH_MAX);
    *writer = (struct checkpoint_writer){.ops = ops, .cluster_id = cluster_id, .file = -1};
    memcpy(writer->directory, directory, strlen(directory) + 1);
    char path[STORAGE_PATH_MAX];
    const int status = storage_path(path, directory, new_name, error);
    if (status != 0) {
        return status;
    }
    writer->chunk = malloc(CHECKPOINT_CHUNK_SIZE);
    writer->list = malloc(LIST_CAPACITY_FIRST * (size_t)CHECKPOINT_CHECKSUM_SIZE);
    writer->list_capacity = LIST_CAPACITY_FIRST;
    if (writer->chunk == NULL || writer->list == NULL) {
        give_back(writer);
        return out_of_memory(error);
    }
    const int file = make_file(writer, path);
    if (file < 0) {
        give_back(writer);
        return refuse(writer, file, error);
    }
    writer->file = file;
    return 0;
}

/* --- the content --- */

static bool list_has_room(struct checkpoint_writer *writer, uint64_t index)
{
    if (index < writer->list_capacity) {
        return true;
    }
    const uint64_t capacity = 2 * writer->list_capacity;
    uint8_t *list = realloc(writer->list, capacity * CHECKPOINT_CHECKSUM_SIZE);
    if (list == NULL) {
        return false;
    }
    writer->list = list;
    writer->list_capacity = capacity;
    return true;
}

static int write_chunk(struct checkpoint_writer *writer, struct storage_error *error)
{
    const struct file_ops *ops = writer->ops;
    const uint64_t index = writer->size / CHECKPOINT_CHUNK_SIZE;
    if (!list_has_room(writer, index)) {
        return out_of_memory(error);
    }
    const struct checksum checksum = checkpoint_chunk_checksum(writer->chunk, writer->chunk_used);
    bytes_put_u64(writer->list + index * CHECKPOINT_CHECKSUM_SIZE, checksum.low);
    bytes_put_u64(writer->list + index * CHECKPOINT_CHECKSUM_SIZE + 8, checksum.high);
    const int status = ops->write(ops->disk, writer->file, CHECKPOINT_HEADER_SIZE + writer->size,
                                  writer->chunk, writer->chunk_used);
    writer->size += writer->chunk_used;
    writer->chunk_used = 0;
    return status == 0 ? 0 : refuse(writer, status, error);
}

int checkpoint_writer_append(struct checkpoint_writer *writer, const uint8_t *bytes, size_t size,
                             struct storage_error *error)
{
    INVARIANT(writer->file >= 0);
    while (size > 0) {
        const size_t room = CHECKPOINT_CHUNK_SIZE - writer->chunk_used;
        const size_t part = size < room ? size : room;
        memcpy(writer->chunk + writer->chunk_used, bytes, part);
        writer->chunk_used += part;
        bytes += part;
        size -= part;
        if (writer->chunk_used == CHECKPOINT_CHUNK_SIZE) {
            const int status = write_chunk(writer, error);
            if (status != 0) {
                return status;
            }
        }
    }
    return 0;
}

/* --- ending --- */

static int write_end(struct checkpoint_writer *writer, const struct checkpoint_id *id)
{
    const struct file_ops *ops = writer->ops;
    uint8_t header[CHECKPOINT_HEADER_SIZE];
    const size_t list_size =
        (size_t)checkpoint_chunk_count(writer->size) * CHECKPOINT_CHECKSUM_SIZE;
    int status = ops->write(ops->disk, writer->file, checkpoint_list_offset(writer->size),
                            writer->list, list_size);
    checkpoint_header_encode(id, writer->cluster_id, header);
    status = status == 0 ? ops->write(ops->disk, writer->file, 0, header, sizeof header) : status;
    return status == 0 ? ops->sync(ops->disk, writer->file) : status;
}

static int publish(struct checkpoint_writer *writer, uint64_t op_number,
                   struct storage_error *error)
{
    const struct file_ops *ops = writer->ops;
    char from[STORAGE_PATH_MAX];
    char to[STORAGE_PATH_MAX];
    char name[CHECKPOINT_NAME_SIZE];
    checkpoint_file_name(op_number, name);
    int status = storage_path(from, writer->directory, new_name, error);
    status = status == 0 ? storage_path(to, writer->directory, name, error) : status;
    if (status != 0) {
        return status;
    }
    status = ops->rename(ops->disk, from, to);
    status = status == 0 ? ops->sync_directory(ops->disk, writer->directory) : status;
    return status == 0 ? 0 : refuse(writer, status, error);
}

int checkpoint_writer_finish(struct checkpoint_writer *writer, struct checkpoint_id *id,
                             struct storage_error *error)
{
    INVARIANT(writer->file >= 0 && writer->size + writer->chunk_used > 0);
    int status = writer->chunk_used > 0 ? write_chunk(writer, error) : 0;
    if (status != 0) {
        return status;
    }
    id->size = writer->size;
    id->root = checkpoint_root(id, writer->list);
    status = write_end(writer, id);
    if (status != 0) {
        return refuse(writer, status, error);
    }
    status = publish(writer, id->op_number, error);
    if (status == 0) {
        give_back(writer);
    }
    return status;
}

void checkpoint_writer_abandon(struct checkpoint_writer *writer)
{
    char path[STORAGE_PATH_MAX];
    struct storage_error unused;
    if (writer->file >= 0 && storage_path(path, writer->directory, new_name, &unused) == 0) {
        (void)writer->ops->remove(writer->ops->disk, path);
    }
    give_back(writer);
}
