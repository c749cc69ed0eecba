/* SPDX-License-Identifier: Apache-2.0 */
/* checkpoint_receiver.h - a checkpoint that is pulled from other replicas, chunk by chunk (G4).
 *
 * First the list of the chunks' checksums, in order, which the root verifies; then chunks, in any
 * order and from anybody, each verified by the list. All of it goes into `checkpoint.pull`, which
 * has the layout of a checkpoint file; when the last chunk is there it is synced and renamed, and
 * only then is it a checkpoint. A transfer that was interrupted goes on: what lies in the file and
 * is whole is not asked for again.
 *
 * Threads: one caller at a time. Memory: list and bitmap, 17 bytes a chunk, and one chunk.
 * Errors:  0 or a negative errno with a text. -EBADMSG: these bytes are not what the checkpoint has
 *          there - ask somebody else; nothing changed. Others are the disk's: abandon. */
#ifndef VR_STORAGE_CHECKPOINT_RECEIVER_H
#define VR_STORAGE_CHECKPOINT_RECEIVER_H

#include "server/storage/checkpoint_format.h"
#include "server/storage/file_ops.h"
#include "server/storage/storage_error.h"
#include "server/storage/storage_path.h"

struct checkpoint_receiver {
    const struct file_ops *ops; /* outlives the receiver */
    uint64_t cluster_id;
    struct checkpoint_id id;
    int file; /* < 0: nothing is being received */
    uint64_t chunk_count;
    uint8_t *list;
    uint64_t list_used; /* bytes; all of them: it was verified */
    uint8_t *received;  /* a byte a chunk: 1 if it is there */
    uint64_t received_count;
    char directory[STORAGE_PATH_MAX];
    char pull_path[STORAGE_PATH_MAX]; /* both in that directory */
    char path[STORAGE_PATH_MAX];
};

/* Begins to receive the checkpoint *id, or goes on with what is there of it. What was there of
 * another one is thrown away. */
int checkpoint_receiver_begin(struct checkpoint_receiver *receiver, const struct file_ops *ops,
                              const char *directory, uint64_t cluster_id,
                              const struct checkpoint_id *id, struct storage_error *error);

/* The same for a backup: into the file `path`, which is `pull_path` until it is whole; both are in
 * `directory`. What has those names already is replaced. */
int checkpoint_receiver_begin_backup(struct checkpoint_receiver *receiver,
                                     const struct file_ops *ops, const char *directory,
                                     const char *pull_path, const char *path, uint64_t cluster_id,
                                     const struct checkpoint_id *id, struct storage_error *error);

/* True once the list is whole: then chunks may come. */
bool checkpoint_receiver_has_list(const struct checkpoint_receiver *receiver);

/* The next bytes of the list, from byte `offset` of it; others than the next are ignored. A list
 * that turns out to be wrong is forgotten, -EBADMSG. */
int checkpoint_receiver_list(struct checkpoint_receiver *receiver, uint64_t offset,
                             const uint8_t *bytes, size_t size, struct storage_error *error);

/* A chunk; one that is there already is ignored. Needs the list (asserted). */
int checkpoint_receiver_chunk(struct checkpoint_receiver *receiver, uint64_t index,
                              const uint8_t *bytes, size_t size, struct storage_error *error);

/* The first chunk at or above `index` that is not there; chunk_count: none is missing. */
uint64_t checkpoint_receiver_missing(const struct checkpoint_receiver *receiver, uint64_t index);

/* All chunks are there (asserted): returns 0 once the checkpoint is durable under its name. */
int checkpoint_receiver_finish(struct checkpoint_receiver *receiver, struct storage_error *error);

/* Removes what an earlier transfer left, if there is anything. */
int checkpoint_receiver_forget(const struct file_ops *ops, const char *directory,
                               struct storage_error *error);

/* What lies in `checkpoint.pull`. */
struct checkpoint_pull {
    struct checkpoint_id id; /* op number 0: not even the header is there, or it is of another
                                cluster */
    bool has_list;           /* else a transfer begins anew */
    uint64_t chunk_count;
    uint64_t received_count; /* chunks that are there, and whole */
};

/* For people: reads all of it, and changes nothing. -ENOENT, without a text: there is none. */
int checkpoint_receiver_peek(const struct file_ops *ops, const char *directory, uint64_t cluster_id,
                             struct checkpoint_pull *pull, struct storage_error *error);

/* Lets go. What was received stays in `checkpoint.pull` for another begin. */
void checkpoint_receiver_close(struct checkpoint_receiver *receiver);

#endif
