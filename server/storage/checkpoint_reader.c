/* SPDX-License-Identifier: Apache-2.0 */
#include "server/storage/checkpoint_reader.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/bytes.h"
#include "common/base/invariant.h"
#include "server/storage/sector_read.h"

enum { READ_STEP = 4096 }; /* in which it is read where the disk does not give all of it */

static const char replica_cure[] = "the previous one, or another replica's, must take its place";
static const char backup_cure[] = "use another copy of it, or another backup";

static int damaged(struct checkpoint_reader *reader, struct storage_error *error,
                   const char *format, ...) __attribute__((format(printf, 3, 4)));

static int damaged(struct checkpoint_reader *reader, struct storage_error *error,
                   const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(reader->damage, sizeof reader->damage, format, arguments);
    va_end(arguments);
    return storage_error_set(error, -EBADMSG, "%s is damaged (%s): %s", reader->path,
                             reader->damage, reader->cure);
}

/* --- opening --- */

static int read_all(struct checkpoint_reader *reader, uint64_t offset, uint8_t *bytes, size_t size,
                    struct storage_error *error)
{
    struct unreadable unreadable;
    const int64_t got =
        sector_read(reader->ops, reader->file, offset, bytes, size, READ_STEP, &unreadable);
    if (got < 0) {
        return storage_error_system(error, (int)got, "read", reader->path);
    }
    if (unreadable.count > 0) {
        return damaged(reader, error,
                       "the disk cannot read %" PRIu64 " bytes of it, the first at byte %" PRIu64,
                       (uint64_t)unreadable.count * READ_STEP, unreadable.offsets[0]);
    }
    return (size_t)got == size ? 0
                               : damaged(reader, error, "it is too short: it ends at byte %" PRIu64,
                                         offset + (uint64_t)got);
}

/* `cluster_id` 0: of any. */
static int read_header(struct checkpoint_reader *reader, uint64_t cluster_id,
                       struct storage_error *error)
{
    uint8_t header[CHECKPOINT_HEADER_SIZE];
    const int status = read_all(reader, 0, header, sizeof header, error);
    if (status != 0) {
        return status;
    }
    reader->cluster_id = cluster_id != 0 ? cluster_id : checkpoint_header_cluster(header);
    switch (checkpoint_header_decode(header, reader->cluster_id, &reader->id)) {
    case CHECKPOINT_VALID:
        break;
    case CHECKPOINT_DAMAGED:
        reader->id = (struct checkpoint_id){0};
        return damaged(reader, error, "its header");
    case CHECKPOINT_FOREIGN:
        return storage_error_set(error, -EINVAL,
                                 "%s belongs to another cluster: put the right files back",
                                 reader->path);
    case CHECKPOINT_NEWER:
        return storage_error_set(error, -EPROTO,
                                 "%s was written by a newer version of vr-server, in a format that "
                                 "this one cannot read: start the newer one",
                                 reader->path);
    }
    return 0;
}

static int read_list(struct checkpoint_reader *reader, struct storage_error *error)
{
    const struct file_ops *ops = reader->ops;
    const uint64_t size = reader->id.size;
    const int64_t file_size = ops->size(ops->disk, reader->file);
    if (file_size < 0) {
        return storage_error_system(error, (int)file_size, "read the size of", reader->path);
    }
    if ((uint64_t)file_size != checkpoint_file_size(size)) {
        return damaged(reader, error, "it is %" PRId64 " bytes long, and %" PRIu64 " by its header",
                       file_size, checkpoint_file_size(size));
    }
    const size_t list_size = (size_t)checkpoint_chunk_count(size) * CHECKPOINT_CHECKSUM_SIZE;
    reader->list = malloc(list_size == 0 ? 1 : list_size);
    if (reader->list == NULL) {
        return storage_error_set(error, -ENOMEM, "there is no memory left to read %s",
                                 reader->path);
    }
    const int status =
        read_all(reader, checkpoint_list_offset(size), reader->list, list_size, error);
    if (status != 0) {
        return status;
    }
    return checksum_equal(checkpoint_root(&reader->id, reader->list), reader->id.root)
               ? 0
               : damaged(reader, error, "its list of checksums, from byte %" PRIu64,
                         checkpoint_list_offset(size));
}

static int open_path(struct checkpoint_reader *reader, const char *directory, uint64_t op_number,
                     struct storage_error *error)
{
    const struct file_ops *ops = reader->ops;
    char name[CHECKPOINT_NAME_SIZE];
    checkpoint_file_name(op_number, name);
    const int status = storage_path(reader->path, directory, name, error);
    if (status != 0) {
        return status;
    }
    reader->file = ops->open(ops->disk, reader->path, false);
    return reader->file < 0 ? storage_error_system(error, reader->file, "open", reader->path) : 0;
}

int checkpoint_reader_open(struct checkpoint_reader *reader, const struct file_ops *ops,
                           const char *directory, uint64_t cluster_id, uint64_t op_number,
                           struct storage_error *error)
{
    *reader = (struct checkpoint_reader){.ops = ops, .file = -1, .cure = replica_cure};
    int status = open_path(reader, directory, op_number, error);
    status = status == 0 ? read_header(reader, cluster_id, error) : status;
    if (status == 0 && reader->id.op_number != op_number) {
        status = damaged(reader, error, "it has another name: its header says op %" PRIu64,
                         reader->id.op_number);
    }
    status = status == 0 ? read_list(reader, error) : status;
    if (status != 0) {
        checkpoint_reader_close(reader);
    }
    return status;
}

int checkpoint_reader_open_backup(struct checkpoint_reader *reader, const struct file_ops *ops,
                                  const char *path, struct storage_error *error)
{
    *reader = (struct checkpoint_reader){.ops = ops, .file = -1, .cure = backup_cure};
    if (strlen(path) >= sizeof reader->path) {
        return storage_error_set(error, -ENAMETOOLONG,
                                 "the name of the backup is longer than %zu bytes",
                                 sizeof reader->path - 1);
    }
    memcpy(reader->path, path, strlen(path) + 1);
    reader->file = ops->open(ops->disk, path, false);
    int status = reader->file >= 0 ? 0
                                   : storage_error_set(error, reader->file, "cannot open %s: %s",
                                                       path, strerror(-reader->file));
    status = status == 0 ? read_header(reader, 0, error) : status;
    if (status == -EBADMSG) {
        (void)storage_error_set(error, status, "%s is no backup, or its header is damaged: %s",
                                reader->path, reader->cure);
    }
    status = status == 0 ? read_list(reader, error) : status;
    if (status != 0) {
        checkpoint_reader_close(reader);
    }
    return status;
}

/* --- chunks --- */

int checkpoint_reader_chunk(struct checkpoint_reader *reader, uint64_t index,
                            uint8_t chunk[CHECKPOINT_CHUNK_SIZE], struct storage_error *error)
{
    INVARIANT(index < checkpoint_chunk_count(reader->id.size));
    const uint32_t size = checkpoint_chunk_size(reader->id.size, index);
    const uint64_t offset = CHECKPOINT_HEADER_SIZE + index * CHECKPOINT_CHUNK_SIZE;
    const int status = read_all(reader, offset, chunk, size, error);
    if (status != 0) {
        return status;
    }
    const uint8_t *listed = reader->list + index * CHECKPOINT_CHECKSUM_SIZE;
    const struct checksum expected = {bytes_get_u64(listed), bytes_get_u64(listed + 8)};
    return checksum_equal(checkpoint_chunk_checksum(chunk, size), expected)
               ? (int)size
               : damaged(reader, error,
                         "chunk %" PRIu64 " of %" PRIu64 ", bytes %" PRIu64 " to %" PRIu64,
                         index + 1, checkpoint_chunk_count(reader->id.size), offset,
                         offset + size - 1);
}

void checkpoint_reader_close(struct checkpoint_reader *reader)
{
    if (reader->file >= 0) {
        reader->ops->close(reader->ops->disk, reader->file);
        reader->file = -1;
    }
    free(reader->list);
    reader->list = NULL;
}

/* --- the directory --- */

struct op_list {
    uint64_t *op_numbers;
    uint32_t max;
    uint32_t count;
};

/* Keeps the newest, in order. */
static int note_name(void *context, const char *name)
{
    struct op_list *list = context;
    const uint64_t op_number = checkpoint_file_op(name);
    if (op_number == 0) {
        return 0;
    }
    uint32_t place = list->count;
    while (place > 0 && list->op_numbers[place - 1] < op_number) {
        place--;
    }
    if (place == list->max) {
        return 0;
    }
    const uint32_t moved = list->count < list->max ? list->count - place : list->max - 1 - place;
    memmove(list->op_numbers + place + 1, list->op_numbers + place,
            moved * sizeof list->op_numbers[0]);
    list->op_numbers[place] = op_number;
    list->count += list->count < list->max ? 1 : 0;
    return 0;
}

int checkpoint_list_ops(const struct file_ops *ops, const char *directory, uint64_t *op_numbers,
                        uint32_t max, uint32_t *count, struct storage_error *error)
{
    struct op_list list = {op_numbers, max, 0};
    const int status = ops->list(ops->disk, directory, note_name, &list);
    *count = list.count;
    return status == 0 ? 0 : storage_error_system(error, status, "read the directory", directory);
}

int checkpoint_remove(const struct file_ops *ops, const char *directory, uint64_t op_number,
                      struct storage_error *error)
{
    char path[STORAGE_PATH_MAX];
    char name[CHECKPOINT_NAME_SIZE];
    checkpoint_file_name(op_number, name);
    int status = storage_path(path, directory, name, error);
    if (status == 0) {
        status = ops->remove(ops->disk, path);
        status = status == 0 || status == -ENOENT
                     ? 0
                     : storage_error_system(error, status, "remove", path);
    }
    return status;
}
