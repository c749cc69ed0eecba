/* SPDX-License-Identifier: Apache-2.0 */
/* checkpointer.h - the thread that has to do with checkpoint files while a replica runs (K1, G4),
 * so that neither the core nor the executor waits for a disk.
 *
 *     take      chunks come from the executor's thread, through a bounded ring; the file that they
 *               become is durable, then named in the state file, then the core is told
 *     serve     chunks are read for the core, which sends them
 *     stage     chunks that came are verified and kept for the core
 *     install   what was staged becomes a checkpoint, durable and named; then the core lets the log
 *               restart and the executor load it, and the executor says when that is done
 *     drop      older files are removed
 *     back up   taken like a checkpoint, but for somebody who asked (backup_source.h): into a
 *               directory of its own, named nowhere, and no news for the core
 *
 * The disk is the log's first: what a checkpoint writes is synced bit by bit, so that no other sync
 * waits for much of it, and with pauses of twice the time that took.
 *
 * A checkpoint that cannot be written costs that checkpoint only, said once: the next interval
 * tries again. One that was pulled and cannot be made durable stops the replica, for the core waits
 * for it and a failed sync must not be tried again (PITFALLS PS-3).
 *
 * Threads:   "vr-checkpoint" does the work. Each function says who may call it. What the thread has
 *            for the core waits in `news`; who posts it says so through `posted`.
 * Memory:    the buffers below, one region, touched as they are used; the storage's own are 17
 *            bytes for each chunk of what is written, read or received.
 * Bounds:    `news` has room for all that can be under way, for a buffer is free again, and the
 * next checkpoint begun, only when the core has heard. A chunk that comes while all buffers are
 * taken is refused, and asked for again. */
#ifndef VR_RUNTIME_CHECKPOINTER_H
#define VR_RUNTIME_CHECKPOINTER_H

#include <stdatomic.h>

#include "common/os/queue.h"
#include "server/runtime/backup_source.h"
#include "server/runtime/state_writer.h"
#include "server/storage/checkpoint_reader.h"
#include "server/storage/checkpoint_receiver.h"
#include "server/storage/checkpoint_writer.h"
#include "server/vr/vr.h"

enum {
    CHECKPOINTER_RING = 16,                          /* chunks between executor and writer */
    CHECKPOINTER_STAGE_SLOTS = 2 * CHUNK_WINDOW_MAX, /* an old transfer's, and the next one's */
    CHECKPOINTER_SERVE_SLOTS = 16,                   /* chunks read and not sent */
    CHECKPOINTER_SERVE_JOBS = 64,                    /* requests that wait; beyond it dropped */
    CHECKPOINTER_REFUSALS = 64, /* refused chunks that the core may be told of */
    CHECKPOINTER_NEWS_MAX = CHECKPOINTER_STAGE_SLOTS + CHECKPOINTER_SERVE_SLOTS +
                            CHECKPOINTER_REFUSALS + 4 /* taken, ready, installed, and one spare */,
    CHECKPOINTER_NO_SLOT = 32,
    CHECKPOINTER_FLUSH_SIZE = 4 * 1024 * 1024, /* written or received and not synced */
    CHECKPOINTER_PAUSES = 2, /* as long as a sync took, so many times, nothing is written */
    CHECKPOINTER_PAUSE_MAX_MS = 1000,
    CHECKPOINTER_SAY_S = 60,     /* how often a checkpoint that was taken is told at info */
    CHECKPOINTER_FILES_MAX = 64, /* looked at when older ones are removed */
};

enum checkpointer_news_kind {
    CHECKPOINTER_TAKEN,      /* VR_EVENT_CHECKPOINT */
    CHECKPOINTER_UNREADABLE, /* VR_EVENT_CHECKPOINT_UNREADABLE */
    CHECKPOINTER_STAGED,     /* VR_EVENT_CHUNK_STAGED */
    CHECKPOINTER_SERVED,     /* to be sent, then checkpointer_release() */
    CHECKPOINTER_READY,      /* the one to install is durable and named */
    CHECKPOINTER_INSTALLED,  /* VR_EVENT_CHECKPOINT_INSTALLED */
};

struct checkpointer_news {
    enum checkpointer_news_kind kind;
    union {
        struct {
            struct checkpoint_id id;
            uint64_t timestamp; /* installed only */
        } checkpoint;           /* taken, ready, installed */
        uint64_t unreadable_op;
        struct {
            struct checksum root;
            bool list;
            uint64_t index;
            bool ok;
            uint64_t missing;
            bool lost;
            uint32_t slot; /* the checkpointer's own */
        } staged;
        struct {
            uint32_t peer;
            uint32_t slot;
            uint64_t nonce;
            struct checksum root;
            bool list;
            uint64_t index;
            uint32_t size;
            const uint8_t *bytes; /* until checkpointer_release() */
        } served;
    };
};

/* What VR_OUT_SERVE_CHECKPOINT asks for; `first` and `count` move on as it is done. */
struct checkpointer_serve {
    uint32_t peer;
    struct checkpoint_id id;
    uint64_t nonce;
    bool list;
    uint64_t first;
    uint32_t count;
};

struct checkpointer_stage {
    struct checkpoint_id id;
    bool list;
    uint64_t index;
    uint32_t size;
    uint32_t slot;
};

enum checkpointer_taking {
    TAKING_NOTHING,
    TAKING_CONTENT,   /* chunks come */
    TAKING_END,       /* that were all */
    TAKING_TOLD,      /* it is there, and the core will hear of it */
    TAKING_LOST,      /* given up here; the executor does not know yet */
    TAKING_ABANDONED, /* given up by the executor; this thread does not know yet */
};

struct checkpointer {
    /* Filled in by the server; all of it outlives the checkpointer. */
    const struct file_ops *ops;
    const char *directory;
    uint64_t cluster_id;
    struct state_writer *state_writer; /* NULL: mode memory, where no start uses a checkpoint */
    void (*posted)(void *context);     /* there are news: one more */
    void (*failed)(void *context, const char *text); /* this replica must stop */
    void *context;
    struct backup_source *backup; /* whose directory it is, and who hears what comes of it */

    pthread_mutex_t mutex; /* guards all up to `news` */
    pthread_cond_t changed;
    bool stopping;

    enum checkpointer_taking taking;
    bool taking_backup;
    bool drop_backup;
    struct checkpoint_id taken; /* TAKING_END: size and root are still to come */
    uint32_t ring_sizes[CHECKPOINTER_RING];
    uint32_t ring_first;
    uint32_t ring_count;

    struct checkpointer_stage stages[CHECKPOINTER_STAGE_SLOTS]; /* in order */
    uint32_t stage_count;
    uint32_t stage_free; /* bit i: slot i */

    struct checkpointer_serve serves[CHECKPOINTER_SERVE_JOBS]; /* in order */
    uint32_t serve_count;
    uint32_t serve_free;

    bool installing;  /* until the executor has loaded it: none is taken meanwhile */
    bool install_due; /* this thread's part */
    struct checkpoint_id install;

    uint64_t drop_below; /* checkpoints of lower ops may go, */
    uint64_t dropped_below;
    uint64_t drop_but[REPLICAS_MAX]; /* but these: somebody pulls them */
    uint32_t drop_but_count;

    uint64_t disk_bytes; /* of the files, as they were looked at last */

    struct queue news;

    uint8_t *memory;
    uint8_t *ring;
    uint8_t *staged;
    uint8_t *served;

    bool running;
    pthread_t thread;

    /* The thread's alone. */
    struct checkpoint_writer writer;
    bool writing;
    bool write_failed; /* said */
    uint64_t write_unsynced;
    uint64_t write_after_ns; /* the pause's end */
    uint64_t write_began_ns;
    uint64_t taken_said_ns;
    struct checkpoint_receiver receiver;
    bool receiving;
    bool receive_failed; /* said */
    uint64_t receive_unsynced;
    struct checkpoint_reader reader;
    bool reading;
    uint64_t unreadable_op; /* said */
};

/* Returns 0 or a negative errno. */
int checkpointer_init(struct checkpointer *checkpointer);
void checkpointer_destroy(struct checkpointer *checkpointer);

int checkpointer_start(struct checkpointer *checkpointer);

/* Gives up what is under way, and joins. */
void checkpointer_stop(struct checkpointer *checkpointer);

/* --- taking: the executor's thread --- */

enum checkpointer_room {
    CHECKPOINTER_ROOM,
    CHECKPOINTER_FULL, /* later */
    CHECKPOINTER_LOST, /* never: the cut is to be abandoned, and nothing else said */
};

/* False: not now, the last one is not done yet, or one is being installed. `backup`: it is for the
 * backup source. */
bool checkpointer_begin(struct checkpointer *checkpointer, bool backup);

/* Where the next chunk goes, of CHECKPOINT_CHUNK_SIZE bytes. */
enum checkpointer_room checkpointer_reserve(struct checkpointer *checkpointer, uint8_t **bytes);

/* The chunk last reserved is full, or the last one. */
void checkpointer_push(struct checkpointer *checkpointer, uint32_t size);

/* That was all; *id has op, view, log and digest. */
void checkpointer_end(struct checkpointer *checkpointer, const struct checkpoint_id *id);

/* The cut goes no further. */
void checkpointer_abandon(struct checkpointer *checkpointer);

/* The executor has loaded the checkpoint that was to be installed. */
void checkpointer_loaded(struct checkpointer *checkpointer, const struct checkpoint_id *id,
                         uint64_t timestamp);

/* --- the holder of the core lock; none waits for a disk --- */

void checkpointer_serve(struct checkpointer *checkpointer, const struct checkpointer_serve *serve);

/* The bytes are copied. */
void checkpointer_stage(struct checkpointer *checkpointer, const struct checkpoint_id *id,
                        bool list, uint64_t index, const uint8_t *bytes, uint32_t size);

void checkpointer_install(struct checkpointer *checkpointer, const struct checkpoint_id *id);

/* Checkpoints of lower ops may go, but `but_count` of them. */
void checkpointer_drop(struct checkpointer *checkpointer, uint64_t below_op, const uint64_t *but,
                       uint32_t but_count);

/* The next news; there are some (asserted). */
void checkpointer_news(struct checkpointer *checkpointer, struct checkpointer_news *news);

/* What was served is sent. */
void checkpointer_release(struct checkpointer *checkpointer, uint32_t slot);

/* --- any thread --- */

/* The backup is not needed any more. */
void checkpointer_drop_backup(struct checkpointer *checkpointer);

/* Bytes of the checkpoints on the disk. */
uint64_t checkpointer_disk_bytes(struct checkpointer *checkpointer);

#endif
