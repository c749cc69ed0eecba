/* SPDX-License-Identifier: Apache-2.0 */
/* state_writer.h - the thread that writes the state file, so that no fsync happens under the core
 * lock (S4, TH-3).
 *
 * Each state is whole and includes all that earlier ones said, so only the newest that waits is
 * written; its number is reported, and stands for the lower ones too. What the log has to say goes
 * with it, or by itself.
 *
 * Threads: state_writer_submit() by the holder of the core lock; start and stop by the server. */
#ifndef VR_RUNTIME_STATE_WRITER_H
#define VR_RUNTIME_STATE_WRITER_H

#include <pthread.h>

#include "server/storage/state_file.h"

struct state_writer {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct vr_durable_state pending; /* guarded by mutex, as is all up to `stopping` */
    uint64_t pending_number;
    uint64_t reported_number; /* the last one, */
    uint64_t named_segment;   /* and the log's last segment, that the file has */
    uint64_t wanted_segment;
    uint64_t named_checkpoint;  /* op of the checkpoint that the file has, */
    uint64_t wanted_checkpoint; /* and of the one that it is to have, with its root */
    struct checksum wanted_root;
    bool waiting;
    bool log_lost;
    bool diverged;
    bool ended; /* a write failed */
    bool stopping;
    bool running;
    pthread_t thread;

    /* The thread's alone while it runs. */
    struct state_file *file;
    struct durable_state state; /* what the file holds */

    /* Called by the thread: `number` is durable (each once), or (once, the last call) writing
     * failed (D4). */
    void (*durable)(void *context, uint64_t number);
    void (*failed)(void *context, int error, const char *text);
    void *context;
};

/* `writer` has file, state, and the callbacks filled in; the rest is zero. Returns 0 or a negative
 * errno. */
int state_writer_start(struct state_writer *writer);

void state_writer_submit(struct state_writer *writer, uint64_t number,
                         const struct vr_durable_state *state);

/* D4: the log has failed. From now on the file says that it does not count. Any thread. */
void state_writer_lose_log(struct state_writer *writer);

/* N7, K4: from now on the file says that this replica has diverged. Any thread. */
void state_writer_diverge(struct state_writer *writer);

/* The log has begun a segment, whose file is durable: from now on the log is not whole without it.
 * Any thread; waits for nothing. */
void state_writer_name_segment(struct state_writer *writer, uint64_t segment);

/* Waits until that is durable. Returns 0, or -EIO if it could not be written. */
int state_writer_wait_segment(struct state_writer *writer, uint64_t segment);

/* K1: a checkpoint is durable under its name: from now on a start may begin from it. Waits until
 * the file says so. An older one than the file has is no news. Returns 0, or -EIO if it could not
 * be written. Any thread but the writer's own. */
int state_writer_name_checkpoint(struct state_writer *writer, uint64_t op_number,
                                 struct checksum root);

/* Writes what waits, then joins. Returns 0 if everything submitted is durable. */
int state_writer_stop(struct state_writer *writer);

#endif
