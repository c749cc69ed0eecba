/* SPDX-License-Identifier: Apache-2.0 */
#include "server/runtime/cut.h"

#include <inttypes.h>

#include "common/base/bytes.h"
#include "common/base/invariant.h"
#include "common/os/clock.h"
#include "common/os/logger.h"

/* Of the last entry, unless one is under way. */
static bool begin(struct cut *cut, bool backup)
{
    if (cut->active || !checkpointer_begin(cut->checkpointer, backup)) {
        return false;
    }
    INVARIANT(cut->last_op == executor_executed_op(cut->executor));
    cut->id = (struct checkpoint_id){
        .op_number = cut->last_op,
        .view_number = cut->last_view,
        .log = cut->last_log,
        .digest = executor_digest(cut->executor),
    };
    executor_cut_begin(cut->executor);
    cut->active = true;
    cut->chunk = NULL;
    cut->filled = 0;
    cut->full = false;
    cut->next_ns = 0;
    return true;
}

static void begin_checkpoint(struct cut *cut)
{
    if (!begin(cut, false)) {
        log_debug(LOG_STORAGE, "no checkpoint of op %" PRIu64 ": the last one is not done yet",
                  cut->last_op);
    }
}

void cut_note_executed(struct cut *cut, const struct vr_execution *entry)
{
    cut->last_op = entry->op_number;
    cut->last_view = bytes_get_u64(entry->bytes + 8); /* entry.h */
    cut->last_log = entry->log;
    if (cut->interval > 0 && entry->op_number % cut->interval == 0) {
        begin_checkpoint(cut);
    }
}

void cut_now(struct cut *cut)
{
    if (cut->last_op > cut->loaded_op) {
        begin_checkpoint(cut);
    }
}

void cut_note_loaded(struct cut *cut, const struct checkpoint_id *id)
{
    cut->loaded_op = id->op_number;
    cut->last_op = id->op_number;
    cut->last_view = id->view_number;
    cut->last_log = id->log;
}

void cut_begin_backup(struct cut *cut)
{
    cut->refused = false;
    if (cut->backup == NULL || !backup_source_wants(cut->backup, cut->last_op)) {
        return;
    }
    backup_source_begun(cut->backup); /* before anybody can say what became of it */
    cut->refused = !begin(cut, true);
    if (cut->refused) {
        backup_source_refused(cut->backup);
    }
}

/* False: there is no room now, or the checkpoint is given up. */
static bool has_chunk(struct cut *cut)
{
    if (cut->chunk != NULL) {
        return true;
    }
    const enum checkpointer_room room = checkpointer_reserve(cut->checkpointer, &cut->chunk);
    cut->full = room == CHECKPOINTER_FULL;
    cut->filled = 0;
    if (room == CHECKPOINTER_LOST) {
        executor_cut_abandon(cut->executor);
        cut->active = false;
    }
    return room == CHECKPOINTER_ROOM;
}

static void push(struct cut *cut)
{
    checkpointer_push(cut->checkpointer, cut->filled);
    cut->chunk = NULL;
    cut->filled = 0;
}

static void cut_some(struct cut *cut)
{
    size_t size;
    const bool more = executor_cut(cut->executor, cut->chunk + cut->filled,
                                   CHECKPOINT_CHUNK_SIZE - cut->filled, &size);
    cut->filled += (uint32_t)size;
    if (cut->filled == CHECKPOINT_CHUNK_SIZE || (!more && cut->filled > 0)) {
        push(cut);
    }
    if (!more) {
        checkpointer_end(cut->checkpointer, &cut->id);
        cut->chunk = NULL;
        cut->active = false;
    }
}

void cut_slice(struct cut *cut, bool busy)
{
    if (!cut->active) {
        return;
    }
    const uint64_t began_ns = clock_monotonic_ns();
    cut->busy_ns = busy ? began_ns : cut->busy_ns;
    if (began_ns < cut->next_ns || !has_chunk(cut)) {
        return;
    }
    cut_some(cut);
    const uint64_t now_ns = clock_monotonic_ns();
    const bool quiet = now_ns - cut->busy_ns > CUT_BUSY_MS * NANOSECONDS_PER_MILLISECOND;
    const uint64_t share = quiet ? CUT_IDLE_SHARE : CUT_BUSY_SHARE;
    cut->next_ns = now_ns + (share - 1) * (now_ns - began_ns);
}

uint64_t cut_wait(const struct cut *cut)
{
    if (!cut->active) {
        return cut->refused ? CUT_FULL_WAIT_MS * NANOSECONDS_PER_MILLISECOND : UINT64_MAX;
    }
    if (cut->full) {
        return CUT_FULL_WAIT_MS * NANOSECONDS_PER_MILLISECOND;
    }
    const uint64_t now_ns = clock_monotonic_ns();
    return cut->next_ns > now_ns ? cut->next_ns - now_ns : 0;
}

void cut_abandon(struct cut *cut)
{
    cut->last_op = 0;
    if (cut->active) {
        executor_cut_abandon(cut->executor);
        checkpointer_abandon(cut->checkpointer);
        cut->active = false;
        cut->chunk = NULL;
    }
}
