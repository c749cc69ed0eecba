/* SPDX-License-Identifier: Apache-2.0 */
/* checkpoint_writer.h - a checkpoint's content in, a durable file out (K1).
 *
 * The content streams into `checkpoint.new`; the header, which says that it is all there, comes
 * last, then sync, rename, sync of the directory. So a name `checkpoint.OP` always stands over a
 * whole file, and the one before it is untouched until that is so (PITFALLS PS-6).
 *
 * Threads: one caller at a time. Memory: one chunk, and 16 bytes for each chunk written.
 * Errors:  0 or a negative errno with a text; afterwards only checkpoint_writer_abandon(). A write
 *          or sync that failed costs this checkpoint, nothing else: what was written is removed,
 *          never believed, and the older checkpoint and the log behind it are still there. */
#ifndef VR_STORAGE_CHECKPOINT_WRITER_H
#define VR_STORAGE_CHECKPOINT_WRITER_H

#include "server/storage/checkpoint_format.h"
#include "server/storage/file_ops.h"
#include "server/storage/storage_error.h"
#include "server/storage/storage_path.h"

struct checkpoint_writer {
    const struct file_ops *ops; /* outlives the writer */
    uint64_t cluster_id;
    int file; /* < 0: nothing is being written */
    uint64_t size;
    uint8_t *list;
    uint64_t list_capacity; /* chunks */
    uint8_t *chunk;
    size_t chunk_used;
    char directory[STORAGE_PATH_MAX];
};

/* Begins a checkpoint; what an earlier one left in `checkpoint.new` is thrown away.
 * After an error the writer holds nothing: it need not be abandoned. */
int checkpoint_writer_begin(struct checkpoint_writer *writer, const struct file_ops *ops,
                            const char *directory, uint64_t cluster_id,
                            struct storage_error *error);

int checkpoint_writer_append(struct checkpoint_writer *writer, const uint8_t *bytes, size_t size,
                             struct storage_error *error);

/* Ends it; there is content (asserted). *id says op, view, log and digest; size and root are filled
 * in here. Returns 0 once the checkpoint is durable under its name. */
int checkpoint_writer_finish(struct checkpoint_writer *writer, struct checkpoint_id *id,
                             struct storage_error *error);

/* Removes what was written. Allowed at any time after a begin, also a failed one, and after finish
 * (then nothing). */
void checkpoint_writer_abandon(struct checkpoint_writer *writer);

#endif
