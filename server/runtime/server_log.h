/* SPDX-License-Identifier: Apache-2.0 */
/* server_log.h - a replica's log at its start and end: read, judged, made ready, written, closed.
 *
 * Threads: the server's start and stop; the callbacks come from the log's own threads. */
#ifndef VR_RUNTIME_SERVER_LOG_H
#define VR_RUNTIME_SERVER_LOG_H

#include "server/runtime/log_writer.h"
#include "server/runtime/server.h"
#include "server/storage/state_file.h"

struct server_log {
    struct wal_head base; /* the checkpoint that the state was loaded from; op 0: none */
    bool on_disk;         /* else memory mode: nothing below is used but the memory store */
    bool counts;          /* D5: the core may resume from it */
    struct wal wal;
    struct wal_found found;
    struct vr_log log; /* as it was read, in the region that the core takes over */
    struct log_writer writer;
    struct log_store_memory memory;
};

/* Reads what is there, changes nothing, says what it found. `log->base` is filled in. `log_memory`
 * and `staging_memory` are the core's regions. Refuses, with what can be done, where a group of one
 * has lost what it promised. */
enum vr_server_exit server_log_open(struct server_log *log, const struct file_ops *ops,
                                    const char *directory, const struct durable_state *state,
                                    enum durability durability, const uint8_t boot_id[BOOT_ID_SIZE],
                                    void *log_memory, void *staging_memory, size_t memory_size,
                                    struct vr_server_error *error);

/* Makes it ready to be appended to by the start `incarnation`. Where it does not count, the state
 * file says so by now: what this leaves looks whole (D6). */
enum vr_server_exit server_log_begin(struct server_log *log, uint64_t incarnation,
                                     struct vr_server_error *error);
void server_log_close(struct server_log *log);

/* The number of its last segment; 0: it is not on disk. */
uint64_t server_log_segment(const struct server_log *log);

/* What the core is told of it. */
void server_log_describe(const struct server_log *log, struct vr_options *options);

/* The store that the core writes to. `log->writer` has its callbacks filled in. Returns 0 or
 * -ENOMEM; undone by server_log_unwire(). */
int server_log_wire(struct server_log *log, const struct log_store_client *client,
                    struct log_store *store);
void server_log_unwire(struct server_log *log);

/* Threads, where there are any. stop() returns 0 if all that was acknowledged is durable; then it
 * ends at server_log_end(). */
int server_log_start(struct server_log *log);
int server_log_stop(struct server_log *log);
struct wal_end server_log_end(const struct server_log *log);

uint64_t server_log_disk_bytes(struct server_log *log);

/* G4: true if checkpoints that took its place have done so durably. */
bool server_log_restarted(struct server_log *log);

#endif
