/* SPDX-License-Identifier: Apache-2.0 */
/* checkpoint_reader.h - a checkpoint file, read and checked: to be loaded at a start (K3), and to
 * be served, chunk by chunk, to a replica that is far behind (G4).
 *
 * Nothing is returned that was not verified: the header by its seal, the list of checksums by the
 * root, each chunk by the list. That a checkpoint can be read does not say that it is durable: its
 * name may be there although the sync behind the rename failed. So a start goes by what the state
 * file names, which is written after that sync (K1).
 *
 * A backup is such a file, too, under a name of its own and of any cluster.
 *
 * Threads: one caller at a time for each reader. Memory: the list, 16 bytes a chunk.
 * Errors:  0 or a negative errno with a text. -ENOENT: there is no such checkpoint; -EBADMSG: it is
 *          damaged, or the disk cannot read all of it, tried twice: the previous one or another
 *          replica's must do (K3); -EIO: the disk may not answer at all; -EPROTO: of a
 *          newer format; -EINVAL: another cluster's. */
#ifndef VR_STORAGE_CHECKPOINT_READER_H
#define VR_STORAGE_CHECKPOINT_READER_H

#include "server/storage/checkpoint_format.h"
#include "server/storage/file_ops.h"
#include "server/storage/storage_error.h"
#include "server/storage/storage_path.h"

enum { CHECKPOINT_DAMAGE_MAX = 128 };

struct checkpoint_reader {
    const struct file_ops *ops; /* outlives the reader */
    int file;
    uint64_t cluster_id;
    struct checkpoint_id id; /* op number 0 until the header was read, and is whole */
    uint8_t *list;
    const char *cure;                   /* of damage, */
    char damage[CHECKPOINT_DAMAGE_MAX]; /* which is, where an error was -EBADMSG, what and where */
    char path[STORAGE_PATH_MAX];
};

int checkpoint_reader_open(struct checkpoint_reader *reader, const struct file_ops *ops,
                           const char *directory, uint64_t cluster_id, uint64_t op_number,
                           struct storage_error *error);

/* Opens the file `path`, whatever its name and cluster. */
int checkpoint_reader_open_backup(struct checkpoint_reader *reader, const struct file_ops *ops,
                                  const char *path, struct storage_error *error);

/* Reads chunk `index` (of those there are: asserted) into `chunk`. Returns its size. */
int checkpoint_reader_chunk(struct checkpoint_reader *reader, uint64_t index,
                            uint8_t chunk[CHECKPOINT_CHUNK_SIZE], struct storage_error *error);

void checkpoint_reader_close(struct checkpoint_reader *reader);

/* The ops of the checkpoints in a directory, newest first, at most `max`; the number goes into
 * *count. Their files were not looked into. */
int checkpoint_list_ops(const struct file_ops *ops, const char *directory, uint64_t *op_numbers,
                        uint32_t max, uint32_t *count, struct storage_error *error);

/* Removes a checkpoint; that it is not there is no error. */
int checkpoint_remove(const struct file_ops *ops, const char *directory, uint64_t op_number,
                      struct storage_error *error);

#endif
