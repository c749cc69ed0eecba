/* SPDX-License-Identifier: Apache-2.0 */
/* backup_pull.h - one replica's state into a file (M9).
 *
 * The replica is asked for an offer until it has one, then for the list of checksums, which the
 * offer's root proves, then for chunks, which the list proves. What does not arrive is asked for
 * again; at most CHUNK_WINDOW_MAX pieces are asked for and not there. Where the replica has another
 * checkpoint meanwhile, all begins anew with that one, BACKUP_OFFERS_MAX times.
 *
 * Threads: the caller's. Memory: 17 bytes a chunk, and a socket's buffers. */
#ifndef VR_CLI_BACKUP_PULL_H
#define VR_CLI_BACKUP_PULL_H

#include "client/lib/channel.h"
#include "server/storage/checkpoint_receiver.h"

enum {
    BACKUP_ASK_OFFER_MS = 50,
    BACKUP_ASK_AGAIN_MS = 150, /* pieces that did not come */
    BACKUP_OFFERS_MAX = 3,
};

/* What it is about; outlives the call. */
struct backup_target {
    uint64_t cluster_id;
    uint32_t replica_id;
    struct net_address address;
    uint64_t least_op;
    const struct file_ops *ops;
    const char *directory; /* of the two files */
    const char *partial;
    const char *path;
    uint32_t datagram_size;
    uint64_t silence_ns; /* so long without anything useful it is given up */
    /* Called now and then; `size` 0: the replica is still making it. May be NULL. */
    void (*progress)(void *context, const struct checkpoint_id *id, uint64_t done, uint64_t size);
    void *context;
};

enum backup_end {
    BACKUP_DONE,
    BACKUP_CANCELLED,
    BACKUP_SILENT,      /* it said nothing useful any more */
    BACKUP_REFUSED,     /* another cluster's or version's replica is there */
    BACKUP_NOT_SERVED,  /* it is not in service */
    BACKUP_NOTHING,     /* nothing was ever executed */
    BACKUP_NOT_WRITTEN, /* it cannot write it */
    BACKUP_CHANGED,     /* another checkpoint each time */
    BACKUP_IN_USE,      /* somebody else writes to `partial` */
    BACKUP_LOCAL,       /* a file or socket here */
};

/* *id is filled in when it is done; `why` for BACKUP_LOCAL and BACKUP_IN_USE. Once done the file is
 * durable under its name; else only `partial` may be there. */
enum backup_end backup_pull(const struct backup_target *target, struct checkpoint_id *id,
                            struct storage_error *why);

#endif
