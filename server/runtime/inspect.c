/* SPDX-License-Identifier: Apache-2.0 */
#include "server/runtime/inspect.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "common/os/service.h"
#include "server/runtime/inspect_checkpoints.h"
#include "server/runtime/server_error.h"
#include "server/storage/state_file.h"
#include "server/storage/wal.h"

/* What one segment holds. */
struct segment_summary {
    uint64_t number;
    uint64_t records;
    uint64_t first_op; /* of its entries; 0: it has none */
    uint64_t last_op;
    uint64_t damaged; /* places */
    uint64_t end;     /* behind the last record */
};

struct inspection {
    const char *directory;
    struct durable_state state;
    struct wal_found found;
    struct inspected_checkpoints checkpoints;
    bool unfinished; /* all that its log lacks was being written when it ended: no damage */
    struct segment_summary *segments;
    size_t count;
    bool no_memory;
};

static const char *condition_name(const struct inspection *in)
{
    if (in->unfinished) {
        return "unfinished";
    }
    switch (in->found.condition) {
    case WAL_INTACT:
        return "intact";
    case WAL_FAULTY:
        return "faulty";
    default:
        return "broken";
    }
}

static const char *condition_words(const struct inspection *in)
{
    const struct wal_found *found = &in->found;
    if (in->unfinished) {
        return "whole, but for what was being written when it ended";
    }
    switch (found->condition) {
    case WAL_INTACT:
        return found->damaged_count == 0 ? "intact" : "intact, though its files are damaged";
    case WAL_FAULTY:
        return "faulty: entries are lost, and known to be";
    default:
        return "broken: what was lost, and where it ended, cannot be told";
    }
}

/* --- reading --- */

static struct segment_summary *summary_of(struct inspection *in, uint64_t number)
{
    if (in->count > 0 && in->segments[in->count - 1].number == number) {
        return &in->segments[in->count - 1];
    }
    struct segment_summary *segments =
        realloc(in->segments, (in->count + 1) * sizeof *in->segments);
    if (segments == NULL) {
        in->no_memory = true;
        return NULL;
    }
    in->segments = segments;
    in->segments[in->count] = (struct segment_summary){.number = number};
    return &in->segments[in->count++];
}

static void note_record(void *context, uint64_t segment, uint64_t offset, enum wal_verdict verdict,
                        const struct wal_record *record)
{
    struct segment_summary *summary = summary_of(context, segment);
    if (summary == NULL) {
        return;
    }
    if (verdict != WAL_VALID) {
        summary->damaged++;
    }
    if (record == NULL) {
        return;
    }
    summary->records++;
    summary->end = offset + wal_record_size(record->body_size);
    if (record->type == WAL_ENTRY) {
        summary->first_op = summary->first_op == 0 ? record->op_number : summary->first_op;
        summary->last_op = record->op_number;
    }
}

static int read_log(struct inspection *in, const struct file_ops *ops, struct storage_error *error)
{
    struct wal wal;
    struct wal_options options = {
        .directory = in->directory,
        .owner = {in->state.configuration.cluster_id, in->state.replica_id},
        .segment_size = WAL_SEGMENT_SIZE_DEFAULT,
        .sector_size = WAL_SECTOR_SIZE,
        .visit = note_record,
        .context = in,
    };
    durable_state_expect(&in->state, &options);
    options.base = (struct wal_head){in->checkpoints.base.op_number, in->checkpoints.base.log};
    const int status = wal_read(&wal, ops, &options, NULL, NULL, &in->found, error);
    if (status == 0) {
        wal_close(&wal);
    }
    return status;
}

/* As the next start judges it (server_log.c); of a log that does not count, only what a kill
 * leaves. */
static bool is_unfinished(const struct inspection *in)
{
    uint8_t boot_id[BOOT_ID_SIZE] = {0};
    (void)service_boot_id(boot_id); /* zeros are no boot that a state names */
    return durable_state_was_writing(&in->state, &in->found, boot_id) &&
           (in->found.tail_unfinished || durable_state_trusts_log(&in->state, boot_id));
}

/* --- printing --- */

/* The first place that is damaged, in words; "" if there is none. */
static void damage_text(const struct inspection *in, char *text, size_t size)
{
    char name[WAL_NAME_SIZE];
    text[0] = '\0';
    if (in->found.damaged_segment != 0 && !in->unfinished) {
        wal_segment_name(in->found.damaged_segment, name);
        (void)snprintf(text, size, "%s at byte %" PRIu64, name, in->found.damaged_offset);
    }
}

static void print_parameters(const struct cluster_parameters *p, FILE *out)
{
    fprintf(out,
            "checkpoints      every %" PRIu32 " ops\n"
            "limits           state %" PRIu64 " bytes, operation %" PRIu32
            " bytes, sessions %" PRIu32 ", stored reply %" PRIu32 " bytes\n",
            p->checkpoint_interval, p->state_size_max, p->operation_size_max, p->sessions_max,
            p->reply_stored_max);
}

static void print_state(const struct inspection *in, FILE *out)
{
    const struct durable_state *s = &in->state;
    char lnv[32] = "none";
    if (s->vr.last_normal_view != VIEW_NONE) {
        (void)snprintf(lnv, sizeof lnv, "%" PRIu64, view_within_epoch(s->vr.last_normal_view));
    }
    fprintf(out,
            "data directory   %s\n"
            "replica          %" PRIu32 " of cluster %" PRIx64 ", epoch %" PRIu32 ", %" PRIu32
            " members\n"
            "view             %" PRIu64 ", last normal view %s\n"
            "starts           %" PRIu64 ", the last in mode %s, %s\n"
            "log counts       %s\n"
            "diverged         %s\n",
            in->directory, s->replica_id, s->configuration.cluster_id, s->configuration.epoch,
            s->configuration.member_count, view_within_epoch(s->vr.view_number), lnv,
            s->incarnation, durability_name(s->durability),
            s->clean_shutdown ? "ended cleanly" : "not ended cleanly",
            s->vr.log_valid ? "yes" : "no: this replica fetches it from the others when it starts",
            s->diverged ? "yes: from what the others have; it starts with --rebuild only" : "no");
    print_parameters(&s->configuration.parameters, out);
    if (s->clean_shutdown && s->log_end.segment != 0) {
        fprintf(out, "log ended        at op %" PRIu64 ", in segment %" PRIu64 "\n",
                s->log_end.head.op_number, s->log_end.segment);
    } else if (s->log_segment != 0) {
        fprintf(out, "log reaches      to segment %" PRIu64 " at least\n", s->log_segment);
    }
}

static void print_holes(const struct wal_found *f, FILE *out)
{
    if (f->hole_count > 0) {
        fprintf(out, "unreadable       %" PRIu64 " bytes of the log in %" PRIu64 " places\n",
                f->unreadable_bytes, f->hole_count);
    }
    for (uint64_t i = 0; i < f->hole_count && i < WAL_HOLES_SAID; i++) {
        char name[WAL_NAME_SIZE];
        wal_segment_name(f->holes[i].segment, name);
        fprintf(out, "  %s  bytes %" PRIu64 " to %" PRIu64 "\n", name, f->holes[i].offset,
                f->holes[i].offset + f->holes[i].size - 1);
    }
}

static void print_log(const struct inspection *in, FILE *out)
{
    const struct wal_found *f = &in->found;
    fprintf(out, "log              %" PRIu64 " segments, %" PRIu64 " bytes\n", f->segment_count,
            f->disk_bytes);
    for (size_t i = 0; i < in->count; i++) {
        const struct segment_summary *s = &in->segments[i];
        char name[WAL_NAME_SIZE];
        wal_segment_name(s->number, name);
        fprintf(out, "  %s  %" PRIu64 " records, ops %" PRIu64 " to %" PRIu64 "%s\n", name,
                s->records, s->first_op, s->last_op, s->damaged > 0 ? ", damaged" : "");
    }
    fprintf(out,
            "entries          %" PRIu64 " to %" PRIu64 " are whole; the log ended at %" PRIu64 "\n"
            "committed        up to %" PRIu64 " at least\n",
            f->base_op + 1, f->held_op, f->head.op_number, f->commit_known);
    if (f->torn_bytes > 0) {
        char name[WAL_NAME_SIZE];
        wal_segment_name(f->torn_segment, name);
        fprintf(out,
                "torn tail        %" PRIu64 " bytes of %s from byte %" PRIu64
                " were being written when it ended\n",
                f->torn_bytes, name, f->torn_offset);
    }
    if (in->unfinished) {
        fprintf(out,
                "unfinished       ops %" PRIu64 " to %" PRIu64
                " were being written when it ended%s\n",
                f->held_op + 1, f->head.op_number,
                in->state.configuration.member_count > 1
                    ? "; it asks the others for them when it starts"
                    : "; they were never acknowledged, and a start cuts them");
    }
    print_holes(f, out);
    char damage[64];
    damage_text(in, damage, sizeof damage);
    fprintf(out, "log damage       %s\n", damage[0] == '\0' ? "none" : damage);
    fprintf(out, "judgement        %s\n", condition_words(in));
}

static json_t *parameters_json(const struct cluster_parameters *p)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I}", "checkpoint_interval",
                     (json_int_t)p->checkpoint_interval, "state_size_max",
                     (json_int_t)p->state_size_max, "operation_size_max",
                     (json_int_t)p->operation_size_max, "sessions_max", (json_int_t)p->sessions_max,
                     "reply_stored_max", (json_int_t)p->reply_stored_max);
}

static json_t *state_json(const struct inspection *in)
{
    const struct durable_state *s = &in->state;
    char cluster[24];
    (void)snprintf(cluster, sizeof cluster, "%" PRIx64, s->configuration.cluster_id);
    const bool ended = s->clean_shutdown && s->log_end.segment != 0;
    return json_pack(
        "{s:s, s:I, s:I, s:I, s:I, s:o, s:I, s:s, s:b, s:b, s:b, s:I, s:o, s:o}", "cluster_id",
        cluster, "replica_id", (json_int_t)s->replica_id, "epoch",
        (json_int_t)s->configuration.epoch, "members", (json_int_t)s->configuration.member_count,
        "view", (json_int_t)view_within_epoch(s->vr.view_number), "last_normal_view",
        s->vr.last_normal_view == VIEW_NONE
            ? json_null()
            : json_integer((json_int_t)view_within_epoch(s->vr.last_normal_view)),
        "starts", (json_int_t)s->incarnation, "durability", durability_name(s->durability),
        "clean_shutdown", (int)s->clean_shutdown, "log_valid", (int)s->vr.log_valid, "diverged",
        (int)s->diverged, "log_segment", (json_int_t)s->log_segment, "log_end",
        ended ? json_pack("{s:I, s:I}", "segment", (json_int_t)s->log_end.segment, "op",
                          (json_int_t)s->log_end.head.op_number)
              : json_null(),
        "parameters", parameters_json(&s->configuration.parameters));
}

static json_t *segments_json(const struct inspection *in)
{
    json_t *list = json_array();
    for (size_t i = 0; i < in->count; i++) {
        const struct segment_summary *s = &in->segments[i];
        char name[WAL_NAME_SIZE];
        wal_segment_name(s->number, name);
        (void)json_array_append_new(
            list, json_pack("{s:s, s:I, s:I, s:I, s:I}", "file", name, "records",
                            (json_int_t)s->records, "first_op", (json_int_t)s->first_op, "last_op",
                            (json_int_t)s->last_op, "damaged", (json_int_t)s->damaged));
    }
    return list;
}

static json_t *log_json(const struct inspection *in)
{
    const struct wal_found *f = &in->found;
    char damage[64];
    damage_text(in, damage, sizeof damage);
    return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:I, s:o, s:o}", "condition",
                     condition_name(in), "bytes", (json_int_t)f->disk_bytes, "checkpoint_op",
                     (json_int_t)in->checkpoints.base.op_number, "base_op", (json_int_t)f->base_op,
                     "held_op", (json_int_t)f->held_op, "head_op", (json_int_t)f->head.op_number,
                     "commit", (json_int_t)f->commit_known, "torn_bytes", (json_int_t)f->torn_bytes,
                     "unfinished_replacement", (int)f->unfinished_replacement, "unreadable_bytes",
                     (json_int_t)f->unreadable_bytes, "first_damage",
                     damage[0] == '\0' ? json_null() : json_string(damage), "segments",
                     segments_json(in));
}

static bool print_json(const struct inspection *in, FILE *out)
{
    json_t *all =
        json_pack("{s:s, s:o, s:o, s:o, s:o}", "data_directory", in->directory, "state",
                  state_json(in), "checkpoints", inspect_checkpoints_json(&in->checkpoints),
                  "transfer", inspect_transfer_json(&in->checkpoints), "log", log_json(in));
    if (all == NULL) {
        return false;
    }
    const bool done = json_dumpf(all, out, JSON_COMPACT) == 0;
    fputc('\n', out);
    json_decref(all);
    return done;
}

/* What the next start makes of the damage. */
static const char *what_follows(const struct inspection *in)
{
    if (in->found.condition == WAL_INTACT) {
        return "nothing of what it says is lost";
    }
    if (in->state.configuration.member_count == 1) {
        return "this group has no other copy, and does not start without it";
    }
    return in->found.condition == WAL_FAULTY
               ? "this replica knows what it had, and fetches it from the others when it starts"
               : "this replica cannot tell what it had, and recovers from the others when it "
                 "starts";
}

static int look(struct inspection *in, const struct file_ops *ops, struct storage_error *why)
{
    int status = state_file_peek(ops, in->directory, &in->state, why);
    status = status == 0
                 ? inspect_checkpoints(&in->checkpoints, ops, in->directory, &in->state, why)
                 : status;
    status = status == 0 ? read_log(in, ops, why) : status;
    in->unfinished = status == 0 && is_unfinished(in);
    return status;
}

static bool print(const struct inspection *in, bool json, FILE *out)
{
    if (json) {
        return print_json(in, out);
    }
    print_state(in, out);
    inspect_checkpoints_print(&in->checkpoints, out);
    print_log(in, out);
    return true;
}

/* What a start does without the checkpoints that are not whole. */
static const char *what_remains(const struct inspection *in)
{
    if (in->state.checkpoint.op == 0 || in->checkpoints.base.op_number == in->state.checkpoint.op) {
        return "no start needs it";
    }
    if (in->checkpoints.base.op_number != 0) {
        return "a start goes back to the one before it";
    }
    return in->state.configuration.member_count == 1
               ? "there is no other, and nobody else to fetch one from"
               : "there is no other, so a start fetches one from the others";
}

/* Log and checkpoints: the log's is said first, for it may be what is lost. */
static enum vr_server_exit judge_damage(const struct inspection *in, struct vr_server_error *error)
{
    const struct inspected_checkpoints *checkpoints = &in->checkpoints;
    if ((in->found.damaged_count > 0 && !in->unfinished) || in->found.unreadable_bytes > 0) {
        return server_error_set(error, VR_SERVER_IO, ERROR_LOG_DAMAGED,
                                "the log in %s is damaged: %s%s; look at this disk before trusting "
                                "it again",
                                in->directory, what_follows(in),
                                checkpoints->damaged_count > 0 ? "; so are checkpoints" : "");
    }
    if (checkpoints->damaged_count > 0) {
        return server_error_set(error, VR_SERVER_IO, ERROR_CHECKPOINT_DAMAGED,
                                "a checkpoint in %s is damaged, missing or unusable: %s; look at "
                                "this disk before trusting it again",
                                in->directory, what_remains(in));
    }
    return VR_SERVER_OK;
}

enum vr_server_exit vr_server_inspect(const char *data_directory, bool json, FILE *out,
                                      struct vr_server_error *error)
{
    struct inspection in = {.directory = data_directory};
    struct storage_error why;
    const struct file_ops ops = file_ops_posix();
    const int lock = ops.lock_directory(ops.disk, data_directory);
    const int status = lock == -EWOULDBLOCK
                           ? storage_error_set(&why, lock,
                                               "%s is in use: a vr-server runs from it, and its "
                                               "log changes while it is read; stop that one first",
                                               data_directory)
                           : look(&in, &ops, &why);
    enum vr_server_exit result = VR_SERVER_OK;
    if (status != 0) {
        result = server_error_storage(error, status, &why);
    } else if (in.no_memory || !print(&in, json, out)) {
        result =
            server_error_set(error, VR_SERVER_INTERNAL, ERROR_MEMORY, "there is no memory left");
    } else {
        result = judge_damage(&in, error);
    }
    if (lock >= 0) {
        ops.close(ops.disk, lock);
    }
    free(in.segments);
    return result;
}
