/* SPDX-License-Identifier: Apache-2.0 */
#include "server/runtime/server_log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "common/os/logger.h"
#include "server/runtime/server_error.h"

/* --- what was found, in words --- */

static void say_torn(const struct server_log *log)
{
    const struct wal_found *f = &log->found;
    if (f->torn_bytes > 0) {
        log_problem(ERROR_LOG_TORN,
                    "the log's last %" PRIu64 " bytes were being written when this replica ended; "
                    "they were never acknowledged and are cut (segment %" PRIu64 ", byte %" PRIu64
                    ")",
                    f->torn_bytes, f->torn_segment, f->torn_offset);
    }
}

/* D5: all that is lost was being written, but its header was there already. */
static void say_unfinished(const struct server_log *log, bool alone)
{
    const struct wal_found *f = &log->found;
    log_problem(ERROR_LOG_TORN,
                "ops %" PRIu64 " to %" PRIu64 " were being written when this replica ended; %s",
                f->held_op + 1, f->head.op_number,
                alone ? "they were never acknowledged and are cut"
                      : "they were not acknowledged by it, and it asks the others for them");
}

static void say_unreadable(const struct server_log *log)
{
    const struct wal_found *f = &log->found;
    for (uint64_t i = 0; i < f->hole_count && i < WAL_HOLES_SAID; i++) {
        char name[WAL_NAME_SIZE];
        wal_segment_name(f->holes[i].segment, name);
        log_problem(ERROR_LOG_UNREADABLE,
                    "the disk cannot read bytes %" PRIu64 " to %" PRIu64
                    " of %s/%s, though it was asked again: what was there counts as damaged",
                    f->holes[i].offset, f->holes[i].offset + f->holes[i].size - 1,
                    log->wal.directory, name);
    }
    if (f->hole_count > WAL_HOLES_SAID) {
        log_problem(ERROR_LOG_UNREADABLE,
                    "in all %" PRIu64 " bytes in %" PRIu64
                    " places of the log in %s cannot be read",
                    f->unreadable_bytes, f->hole_count, log->wal.directory);
    }
}

static void say_damage(const struct server_log *log)
{
    const struct wal_found *f = &log->found;
    if (f->damaged_count > 0) {
        log_problem(ERROR_LOG_DAMAGED,
                    "the log is damaged or missing in %" PRIu64 " places, first in segment %" PRIu64
                    " at byte %" PRIu64 ": look at the disk of %s before trusting it again",
                    f->damaged_count, f->damaged_segment, f->damaged_offset, log->wal.directory);
    }
    if (f->condition == WAL_FAULTY && log->counts) {
        log_problem(ERROR_LOG_DAMAGED,
                    "ops %" PRIu64 " to %" PRIu64
                    " are lost here; this replica knows that it had them, and fetches them from "
                    "the others",
                    f->held_op + 1, f->head.op_number);
    }
}

static void say_why_not(const struct server_log *log, const struct durable_state *state,
                        bool trusted, bool alone)
{
    if (log->counts || state->incarnation == 0) {
        return;
    }
    const char *why =
        state->durability == DURABILITY_MEMORY ? "its last start kept the log in memory"
        : !state->vr.log_valid ? "a start before did not get back all that it had acknowledged"
        : !trusted             ? "the machine stopped before all of it was on the disk"
        : log->found.base_op > log->base.op_number ? "the checkpoint that it goes on from is lost"
        : log->found.segment_count == 0            ? "the files of the log are gone"
                                        : "it is damaged, and where it ended cannot be told";
    log_problem(ERROR_LOG_VOID,
                "the log here may lack what this replica acknowledged (%s): it takes part again "
                "when it has fetched the log from the others",
                why);
    if (alone) {
        log_problem(ERROR_LOG_VOID,
                    "and there are no others: this group of one cannot go on by itself");
    }
}

/* G4: the machine stopped between a checkpoint's becoming the start and the log's end. */
static void say_detached(const struct server_log *log)
{
    if (log->found.detached && log->found.segment_count > 0) {
        log_info(LOG_STORAGE,
                 "the log here ends before the checkpoint of op %" PRIu64
                 ", or was another one there: it begins anew behind it",
                 log->base.op_number);
    }
}

/* --- opening --- */

/* It has nobody to fetch from, and must not go on without what it promised. */
static enum vr_server_exit refuse_loss(const struct server_log *log, struct vr_server_error *error)
{
    const struct wal_found *f = &log->found;
    char what[160];
    if (f->base_op > log->base.op_number) {
        (void)snprintf(what, sizeof what,
                       "it goes on from the checkpoint of op %" PRIu64 ", which is lost",
                       f->base_op);
    } else if (f->condition == WAL_BROKEN) {
        (void)snprintf(what, sizeof what, "what came after op %" PRIu64 " cannot be told",
                       f->held_op);
    } else {
        (void)snprintf(what, sizeof what, "ops %" PRIu64 " to %" PRIu64 " cannot be read%s",
                       f->held_op + 1, f->head.op_number,
                       f->held_op < f->commit_known ? ", and clients were told that they are done"
                                                    : "");
    }
    return server_error_set(
        error, VR_SERVER_IO, ERROR_LOG_LOST,
        "the log in %s is damaged, and no other replica has a copy: %s. Nothing was changed: put "
        "a copy of the damaged files back (%" PRIu64 " places, the first in segment %" PRIu64
        " at byte %" PRIu64 "; see vr-server inspect), or make a new group in another directory "
        "from the last backup or the newest checkpoint here that is whole: vr-server init "
        "--from-backup FILE",
        log->wal.directory, what, f->damaged_count, f->damaged_segment, f->damaged_offset);
}

static int read_log(struct server_log *log, const struct file_ops *ops,
                    const struct wal_options *options, void *log_memory, void *staging_memory,
                    size_t memory_size, struct storage_error *why)
{
    struct vr_log staging;
    const uint64_t cluster_id = options->owner.cluster_id;
    const struct checksum chain = entry_chain_start(cluster_id);
    vr_log_init(&log->log, log_memory, memory_size, cluster_id, 0, chain);
    vr_log_init(&staging, staging_memory, memory_size, cluster_id, 0, chain);
    return wal_read(&log->wal, ops, options, &log->log, &staging, &log->found, why);
}

enum vr_server_exit server_log_open(struct server_log *log, const struct file_ops *ops,
                                    const char *directory, const struct durable_state *state,
                                    enum durability durability, const uint8_t boot_id[BOOT_ID_SIZE],
                                    void *log_memory, void *staging_memory, size_t memory_size,
                                    struct vr_server_error *error)
{
    const bool trusted = durable_state_trusts_log(state, boot_id);
    const bool alone = state->configuration.member_count == 1;
    log->on_disk = durability != DURABILITY_MEMORY;
    if (!log->on_disk) {
        return VR_SERVER_OK;
    }
    struct wal_options options = {
        .directory = directory,
        .owner = {state->configuration.cluster_id, state->replica_id},
        .segment_size = WAL_SEGMENT_SIZE_DEFAULT,
        .sector_size = WAL_SECTOR_SIZE,
        .base = log->base,
        .refuse_truncated = trusted,
    };
    durable_state_expect(state, &options);
    struct storage_error why;
    const int status = read_log(log, ops, &options, log_memory, staging_memory, memory_size, &why);
    if (status != 0) {
        return server_error_storage(error, status, &why);
    }
    if (alone && trusted && state->incarnation > 0 &&
        durable_state_lost_log(state, &log->found, log->base.op_number, boot_id)) {
        wal_close(&log->wal);
        say_unreadable(log);
        return refuse_loss(log, error);
    }
    log->counts = trusted && log->found.condition != WAL_BROKEN &&
                  log->found.base_op <= log->base.op_number &&
                  (log->found.segment_count > 0 || state->incarnation == 0);
    say_torn(log);
    say_detached(log);
    say_unreadable(log);
    if (log->counts && durable_state_was_writing(state, &log->found, boot_id)) {
        say_unfinished(log, alone);
    } else {
        say_damage(log);
    }
    say_why_not(log, state, trusted, alone);
    return VR_SERVER_OK;
}

enum vr_server_exit server_log_begin(struct server_log *log, uint64_t incarnation,
                                     struct vr_server_error *error)
{
    struct storage_error why;
    if (!log->on_disk) {
        return VR_SERVER_OK;
    }
    const int status = wal_start(&log->wal, incarnation, &why);
    if (status != 0) {
        return server_error_storage(error, status, &why);
    }
    if (wal_spare_error(&log->wal) != 0) {
        log_problem(ERROR_LOG_ROOM,
                    "the disk of %s has no room for more of the log; this replica stops when what "
                    "it has reserved is used up: free some space there",
                    log->wal.directory);
    }
    return VR_SERVER_OK;
}

uint64_t server_log_segment(const struct server_log *log)
{
    return log->on_disk ? log->wal.segment.number : 0;
}

void server_log_close(struct server_log *log)
{
    if (log->on_disk) {
        wal_close(&log->wal);
    }
}

void server_log_describe(const struct server_log *log, struct vr_options *options)
{
    /* One that begins behind a checkpoint which is lost says nothing. */
    if (!log->on_disk || options->start == VR_START_INITIAL ||
        log->found.base_op > log->base.op_number) {
        return;
    }
    options->log = &log->log;
    options->commit_number = log->found.commit_number;
    options->commit_known = log->found.commit_known;
    if (log->counts && log->found.condition == WAL_FAULTY) {
        options->had = (struct vr_log_end){log->found.head.op_number, log->found.head.checksum};
    }
}

/* --- running --- */

int server_log_wire(struct server_log *log, const struct log_store_client *client,
                    struct log_store *store)
{
    if (!log->on_disk) {
        *store = log_store_memory_init(&log->memory, client);
        return 0;
    }
    log->writer.wal = &log->wal;
    const int status = log_writer_init(&log->writer, client, &log->found);
    if (status == 0) {
        *store = log_writer_store(&log->writer);
    }
    return status;
}

void server_log_unwire(struct server_log *log)
{
    if (log->on_disk) {
        log_writer_destroy(&log->writer);
    }
}

int server_log_start(struct server_log *log)
{
    return log->on_disk ? log_writer_start(&log->writer) : 0;
}

int server_log_stop(struct server_log *log)
{
    return log->on_disk ? log_writer_stop(&log->writer) : 0;
}

struct wal_end server_log_end(const struct server_log *log)
{
    return log->on_disk ? wal_end(&log->wal) : (struct wal_end){.segment = 0};
}

uint64_t server_log_disk_bytes(struct server_log *log)
{
    return log->on_disk ? log_writer_counters(&log->writer).disk_bytes : 0;
}

bool server_log_restarted(struct server_log *log)
{
    return !log->on_disk || log_writer_restarted(&log->writer);
}
