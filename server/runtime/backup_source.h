/* SPDX-License-Identifier: Apache-2.0 */
/* backup_source.h - a replica's state for whoever makes a backup (M9): `vr-client backup`.
 *
 * Who asks gets a checkpoint that holds everything up to the op it names, which is newer than any
 * it waited for: if the one that was made last is not, another one is cut from the executor's state
 * at the next batch's end. It is none of the replica's own checkpoints: the state file does not
 * name it, the core does not hear of it, so the log's retention and the others' digests are not
 * touched by how often backups are made. It lies in a directory of its own, one at a time, while it
 * is asked for and half a minute longer.
 *
 *     IDLE -> WANTED -> CUTTING -> READY -> IDLE, or WANTED again; CUTTING -> FAILED -> IDLE
 *
 * Threads:  answering by the clients' receiver; wanted, begun by the executor; taken by whoever
 *           writes the file. `mutex` guards what they share, and is the innermost lock.
 * Memory:   one chunk, and the list of the file that is read.
 * Bounds:   one file; BACKUP_CHUNKS_PER_SECOND, whoever asks. A chunk is read where it is answered,
 *           in the clients' receiver: peers and heartbeats have a thread of their own. */
#ifndef VR_RUNTIME_BACKUP_SOURCE_H
#define VR_RUNTIME_BACKUP_SOURCE_H

#include <pthread.h>
#include <stdatomic.h>

#include "common/base/message.h"
#include "server/storage/checkpoint_reader.h"

enum {
    BACKUP_CHUNKS_PER_SECOND = 800, /* 50 MiB */
    BACKUP_CHUNKS_BURST = 64,
    BACKUP_WANTED_MS = 10 * 1000, /* nobody asks any more: it is not made */
    BACKUP_IN_USE_MS = 5 * 1000,  /* asked for so lately it is not replaced */
    BACKUP_KEPT_MS = 30 * 1000,
};

/* The directory of backups within the data directory. */
#define BACKUP_DIRECTORY "backup"

enum backup_phase {
    BACKUP_PHASE_IDLE,
    BACKUP_PHASE_WANTED,
    BACKUP_PHASE_CUTTING,
    BACKUP_PHASE_READY,
    BACKUP_PHASE_FAILED, /* to be told once */
};

struct backup_source {
    const struct file_ops *ops;
    uint64_t cluster_id;
    uint32_t replica_id;
    void (*wake)(void *context);   /* the executor: a backup is wanted */
    void (*unused)(void *context); /* the file may go */
    void *context;
    char directory[STORAGE_PATH_MAX];

    pthread_mutex_t mutex; /* guards the next four */
    enum backup_phase phase;
    uint64_t least_op; /* WANTED: of what is cut */
    uint64_t asked_ns; /* when somebody asked last */
    struct checkpoint_id id;
    atomic_bool wanted; /* the phase is WANTED */

    /* The receiver's alone. */
    struct checkpoint_reader reader;
    bool reading;
    uint64_t full_ns; /* when BACKUP_CHUNKS_BURST of them may be sent at once again */
    uint8_t *chunk;
};

/* What this replica is, when it is asked. */
struct backup_state {
    bool in_service; /* normal, and not diverged */
    uint64_t executed_op;
};

/* `directory` is the data directory. Returns 0, -ENAMETOOLONG or -ENOMEM. */
int backup_source_init(struct backup_source *source, const char *directory);
void backup_source_destroy(struct backup_source *source);

/* --- the receiver's thread --- */

/* Answers who asks for an offer, or for pieces of what is not there any more. */
void backup_source_offer(struct backup_source *source, const struct backup_request *request,
                         const struct backup_state *state, uint64_t now_ns,
                         struct backup_offer *offer);

/* Piece or chunk `index` of what was asked for; *chunk borrows until the next call. False: it is
 * not there. */
bool backup_source_piece(struct backup_source *source, const struct backup_request *request,
                         uint64_t index, uint64_t now_ns, struct checkpoint_chunk *chunk);

/* False: so many were sent lately that this one has to be asked for again. */
bool backup_source_allow(struct backup_source *source, uint64_t now_ns);

/* Once in a while. */
void backup_source_tick(struct backup_source *source, uint64_t now_ns);

/* --- the executor's --- */

/* Whether one is to be cut at this op. */
bool backup_source_wants(struct backup_source *source, uint64_t op_number);

/* It is being cut from now on; or cannot be yet, after all: it is wanted as before. */
void backup_source_begun(struct backup_source *source);
void backup_source_refused(struct backup_source *source);

/* --- whoever writes it --- */

/* It is there; NULL: it could not be written, or its cut was given up. */
void backup_source_taken(struct backup_source *source, const struct checkpoint_id *id);

#endif
