/* SPDX-License-Identifier: Apache-2.0 */
/* codec.c - one pair of functions per message, encode_x and decode_x, each a list of assignments in
 * the order of proto/vr.proto. Those of normal operation are encoded by codec_straight.c, and
 * decoded here only where a body is not as that writes it.
 *
 * What a stranger can do to the decoder (UDP-9): a body has at most its type's size before
 * protobuf-c sees it; protobuf-c takes memory from the arena only, and a message that wants more is
 * dropped; a missing field fails there, an enum that is out of range in message_validate(). The
 * schema nests two levels and refers to itself nowhere, so the decoder's recursion is bounded as
 * well. */
#include "common/wire/codec.h"

#include <string.h>

#include "common/base/invariant.h"
#include "common/base/trace_event.h"
#include "common/wire/codec_straight.h"

/* Enums travel as their own numbers. */
#define SAME_NUMBER(wire, base) _Static_assert((int)(wire) == (int)(base), #base)
SAME_NUMBER(VR__REQUEST_KIND__REQUEST_OPERATION, ENTRY_OPERATION);
SAME_NUMBER(VR__REQUEST_KIND__REQUEST_REGISTER, ENTRY_REGISTER);
SAME_NUMBER(VR__REQUEST_KIND__REQUEST_UNREGISTER, ENTRY_UNREGISTER);
SAME_NUMBER(VR__REPLY_STATUS__REPLY_OK, REPLY_OK);
SAME_NUMBER(VR__REPLY_STATUS__REPLY_SESSION_EXPIRED, REPLY_SESSION_EXPIRED);
SAME_NUMBER(VR__REPLY_STATUS__REPLY_PAYLOAD_MISMATCH, REPLY_PAYLOAD_MISMATCH);
SAME_NUMBER(VR__REPLY_STATUS__REPLY_SUPERSEDED, REPLY_SUPERSEDED);
SAME_NUMBER(VR__REPLY_STATUS__REPLY_OPERATION_TOO_LARGE, REPLY_OPERATION_TOO_LARGE);
SAME_NUMBER(VR__REPLY_STATUS__REPLY_READ_BY_LOG, REPLY_READ_BY_LOG);
SAME_NUMBER(VR__REPLY_STATUS__REPLY_NOT_A_READ, REPLY_NOT_A_READ);
SAME_NUMBER(VR__READ_MODE__READ_LINEARIZABLE, READ_LINEARIZABLE);
SAME_NUMBER(VR__READ_MODE__READ_STALE, READ_STALE);
SAME_NUMBER(VR__STATUS__STATUS_NORMAL, STATUS_NORMAL);
SAME_NUMBER(VR__STATUS__STATUS_VIEW_CHANGE, STATUS_VIEW_CHANGE);
SAME_NUMBER(VR__STATUS__STATUS_RECOVERING, STATUS_RECOVERING);
SAME_NUMBER(VR__STATUS__STATUS_TRANSITIONING, STATUS_TRANSITIONING);
SAME_NUMBER(VR__BUSY_REASON__BUSY_QUEUE_FULL, BUSY_QUEUE_FULL);
SAME_NUMBER(VR__BUSY_REASON__BUSY_EXECUTOR, BUSY_EXECUTOR);
SAME_NUMBER(VR__BUSY_REASON__BUSY_LOG_FULL, BUSY_LOG_FULL);
SAME_NUMBER(VR__BUSY_REASON__BUSY_NO_QUORUM, BUSY_NO_QUORUM);
SAME_NUMBER(VR__BUSY_REASON__BUSY_BEHIND, BUSY_BEHIND);
SAME_NUMBER(VR__REFUSED_REASON__REFUSED_CLUSTER, REFUSED_CLUSTER);
SAME_NUMBER(VR__REFUSED_REASON__REFUSED_VERSION, REFUSED_VERSION);
SAME_NUMBER(VR__REFUSED_REASON__REFUSED_CONFIGURATION, REFUSED_CONFIGURATION);
SAME_NUMBER(VR__REFUSED_REASON__REFUSED_IDENTITY, REFUSED_IDENTITY);
SAME_NUMBER(VR__REFUSED_REASON__REFUSED_PEERS_PORT, REFUSED_PEERS_PORT);
SAME_NUMBER(VR__DURABILITY__DURABILITY_MEMORY, DURABILITY_MEMORY);
SAME_NUMBER(VR__DURABILITY__DURABILITY_ASYNC, DURABILITY_ASYNC);
SAME_NUMBER(VR__DURABILITY__DURABILITY_SYNC, DURABILITY_SYNC);
SAME_NUMBER(VR__LOG_LEVEL_OUTCOME__LOG_LEVELS_TOLD, LOG_LEVELS_TOLD);
SAME_NUMBER(VR__LOG_LEVEL_OUTCOME__LOG_LEVELS_CHANGED, LOG_LEVELS_CHANGED);
SAME_NUMBER(VR__LOG_LEVEL_OUTCOME__LOG_LEVELS_NOT_PERMITTED, LOG_LEVELS_NOT_PERMITTED);
SAME_NUMBER(VR__LOG_LEVEL_OUTCOME__LOG_LEVELS_UNKNOWN, LOG_LEVELS_UNKNOWN);
SAME_NUMBER(VR__RESTORE_OUTCOME__RESTORE_TOLD, RESTORE_TOLD);
SAME_NUMBER(VR__RESTORE_OUTCOME__RESTORE_DONE, RESTORE_DONE);
SAME_NUMBER(VR__RESTORE_OUTCOME__RESTORE_OTHER, RESTORE_OTHER);
SAME_NUMBER(VR__BACKUP_OUTCOME__BACKUP_READY, BACKUP_READY);
SAME_NUMBER(VR__BACKUP_OUTCOME__BACKUP_TAKING, BACKUP_TAKING);
SAME_NUMBER(VR__BACKUP_OUTCOME__BACKUP_EMPTY, BACKUP_EMPTY);
SAME_NUMBER(VR__BACKUP_OUTCOME__BACKUP_NOT_NORMAL, BACKUP_NOT_NORMAL);
SAME_NUMBER(VR__BACKUP_OUTCOME__BACKUP_FAILED, BACKUP_FAILED);

enum {
    BODY_SMALL_MAX = 256, /* messages of a handful of numbers */
    BODY_STATUS_MAX = 32 * 1024,
    BODY_EXTRA = 64, /* the numbers around a StatusRequest's padding or a bitmap */
};
_Static_assert(CONFIGURATION_ENCODED_MAX + (2 + STATUS_COUNTERS_MAX) * (STATUS_TEXT_MAX + 20) +
                       BODY_SMALL_MAX <=
                   BODY_STATUS_MAX,
               "a full Status is not too large");

struct body_type {
    const ProtobufCMessageDescriptor *descriptor;
    uint32_t size_max;
};

static const struct body_type body_types[MESSAGE_TYPE_MAX + 1] = {
    [MESSAGE_REQUEST] = {&vr__request__descriptor, MESSAGE_SIZE_MAX},
    [MESSAGE_STATUS_REQUEST] = {&vr__status_request__descriptor, STATUS_PADDING_MAX + BODY_EXTRA},
    [MESSAGE_LOG_LEVEL_REQUEST] = {&vr__log_level_request__descriptor,
                                   STATUS_TEXT_MAX + BODY_EXTRA},
    [MESSAGE_RESTORE_STATUS] = {&vr__restore_status__descriptor, BODY_SMALL_MAX},
    [MESSAGE_RESTORE] = {&vr__restore__descriptor, BODY_SMALL_MAX},
    [MESSAGE_READ] = {&vr__read__descriptor, READ_SIZE_MAX + BODY_EXTRA},
    [MESSAGE_BACKUP_REQUEST] = {&vr__backup_request__descriptor, BODY_SMALL_MAX},
    [MESSAGE_BACKUP_OFFER] = {&vr__backup_offer__descriptor, BODY_SMALL_MAX},
    [MESSAGE_BACKUP_CHUNK] = {&vr__checkpoint_chunk__descriptor,
                              CHECKPOINT_CHUNK_SIZE + BODY_EXTRA},
    [MESSAGE_REPLY] = {&vr__reply__descriptor, MESSAGE_SIZE_MAX},
    [MESSAGE_TRACE_REQUEST] = {&vr__trace_request__descriptor, BODY_SMALL_MAX},
    [MESSAGE_TRACE_REPORT] = {&vr__trace_report__descriptor,
                              TRACE_REPORT_EVENTS_SIZE_MAX + BODY_SMALL_MAX},
    [MESSAGE_NOT_PRIMARY] = {&vr__not_primary__descriptor, BODY_SMALL_MAX},
    [MESSAGE_BUSY] = {&vr__busy__descriptor, BODY_SMALL_MAX},
    [MESSAGE_CHALLENGE] = {&vr__challenge__descriptor, BODY_SMALL_MAX},
    [MESSAGE_REFUSED] = {&vr__refused__descriptor, BODY_SMALL_MAX},
    [MESSAGE_STATUS] = {&vr__status_report__descriptor, BODY_STATUS_MAX},
    [MESSAGE_LOG_LEVEL_REPORT] = {&vr__log_level_report__descriptor, STATUS_TEXT_MAX + BODY_EXTRA},
    [MESSAGE_RESTORE_REPORT] = {&vr__restore_report__descriptor, BODY_SMALL_MAX},
    [MESSAGE_PREPARE] = {&vr__prepare__descriptor, MESSAGE_SIZE_MAX},
    [MESSAGE_PREPARE_OK] = {&vr__prepare_ok__descriptor, BODY_SMALL_MAX},
    [MESSAGE_COMMIT] = {&vr__commit__descriptor, BODY_SMALL_MAX},
    [MESSAGE_GOODBYE] = {&vr__goodbye__descriptor, BODY_SMALL_MAX},
    [MESSAGE_START_VIEW_CHANGE] = {&vr__start_view_change__descriptor, BODY_SMALL_MAX},
    [MESSAGE_DO_VIEW_CHANGE] = {&vr__do_view_change__descriptor, BODY_SMALL_MAX},
    [MESSAGE_START_VIEW] = {&vr__start_view__descriptor, BODY_SMALL_MAX},
    [MESSAGE_GET_VIEW] = {&vr__get_view__descriptor, BODY_SMALL_MAX},
    [MESSAGE_CATCHUP_REQUEST] = {&vr__catchup_request__descriptor, BODY_SMALL_MAX},
    [MESSAGE_CATCHUP_RESPONSE] = {&vr__catchup_response__descriptor, MESSAGE_SIZE_MAX},
    [MESSAGE_CHECKPOINT_OFFER] = {&vr__checkpoint_offer__descriptor, BODY_SMALL_MAX},
    [MESSAGE_CHECKPOINT_REQUEST] = {&vr__checkpoint_request__descriptor, BODY_SMALL_MAX},
    [MESSAGE_CHECKPOINT_CHUNK] = {&vr__checkpoint_chunk__descriptor,
                                  CHECKPOINT_CHUNK_SIZE + BODY_EXTRA},
    [MESSAGE_RECOVERY] = {&vr__recovery__descriptor, BODY_SMALL_MAX},
    [MESSAGE_RECOVERY_RESPONSE] = {&vr__recovery_response__descriptor, BODY_SMALL_MAX},
    [MESSAGE_PART] = {&vr__part__descriptor, DATAGRAM_SIZE_MAX},
    [MESSAGE_PARTS_MISSING] = {&vr__parts_missing__descriptor, PARTS_BITMAP_MAX + BODY_EXTRA},
};

uint32_t codec_body_size_max(uint32_t type)
{
    return type <= MESSAGE_TYPE_MAX ? body_types[type].size_max : 0;
}

/* protobuf-c takes what it encodes as not const; packing only reads it. */
static ProtobufCBinaryData borrow(const uint8_t *bytes, uint32_t size)
{
    return (ProtobufCBinaryData){.len = size, .data = (uint8_t *)(uintptr_t)bytes};
}

static char *borrow_text(const char *text)
{
    return (char *)(uintptr_t)text;
}

/* ---- Parts of messages ---------------------------------------------------------------------- */

static Vr__LogDescriptor *encode_log(struct codec_form *form, const struct log_descriptor *log)
{
    Vr__LogDescriptor *f = &form->log;
    vr__log_descriptor__init(f);
    f->last_normal_view = log->last_normal_view;
    f->op_number = log->op_number;
    f->head_checksum_low = log->head_checksum.low;
    f->head_checksum_high = log->head_checksum.high;
    f->commit_number = log->commit_number;
    f->commit_checksum_low = log->commit_checksum.low;
    f->commit_checksum_high = log->commit_checksum.high;
    return f;
}

static struct log_descriptor decode_log(const Vr__LogDescriptor *f)
{
    return (struct log_descriptor){
        .last_normal_view = f->last_normal_view,
        .op_number = f->op_number,
        .head_checksum = {f->head_checksum_low, f->head_checksum_high},
        .commit_number = f->commit_number,
        .commit_checksum = {f->commit_checksum_low, f->commit_checksum_high},
    };
}

/* ---- Clients -------------------------------------------------------------------------------- */

static struct request decode_request(const Vr__Request *f)
{
    return (struct request){
        .client_id = {f->client_id_low, f->client_id_high},
        .session = f->session,
        .request_number = f->request_number,
        .kind = (enum entry_kind)f->kind,
        .operation_size = (uint32_t)f->operation.len,
        .operation = f->operation.data,
    };
}

static void encode_read(Vr__Read *f, const struct read *m)
{
    vr__read__init(f);
    f->client_id_low = m->client_id.low;
    f->client_id_high = m->client_id.high;
    f->nonce = m->nonce;
    f->mode = (Vr__ReadMode)m->mode;
    f->min_op = m->min_op;
    f->operation = borrow(m->operation, m->operation_size);
}

static struct read decode_read(const Vr__Read *f)
{
    return (struct read){
        .client_id = {f->client_id_low, f->client_id_high},
        .nonce = f->nonce,
        .mode = (enum read_mode)f->mode,
        .min_op = f->min_op,
        .operation_size = (uint32_t)f->operation.len,
        .operation = f->operation.data,
    };
}

static void encode_status_request(Vr__StatusRequest *f, const struct status_request *m)
{
    static const uint8_t zeros[STATUS_PADDING_MAX];
    INVARIANT(m->padding_size <= sizeof zeros);
    vr__status_request__init(f);
    f->nonce = m->nonce;
    f->padding = borrow(zeros, m->padding_size);
}

static struct status_request decode_status_request(const Vr__StatusRequest *f)
{
    return (struct status_request){
        .nonce = f->nonce,
        .padding_size = (uint32_t)f->padding.len,
    };
}

static struct reply decode_reply(const Vr__Reply *f)
{
    return (struct reply){
        .view_number = f->view_number,
        .op_number = f->op_number,
        .client_id = {f->client_id_low, f->client_id_high},
        .session = f->session,
        .request_number = f->request_number,
        .status = (enum reply_status)f->status,
        .result_size = (uint32_t)f->result.len,
        .result = f->result.data,
        .commit_number = f->commit_number,
    };
}

static void encode_not_primary(Vr__NotPrimary *f, const struct not_primary *m)
{
    vr__not_primary__init(f);
    f->client_id_low = m->client_id.low;
    f->client_id_high = m->client_id.high;
    f->session = m->session;
    f->request_number = m->request_number;
    f->last_normal_view = m->last_normal_view;
    f->status = (Vr__Status)m->status;
}

static struct not_primary decode_not_primary(const Vr__NotPrimary *f)
{
    return (struct not_primary){
        .client_id = {f->client_id_low, f->client_id_high},
        .session = f->session,
        .request_number = f->request_number,
        .last_normal_view = f->last_normal_view,
        .status = (enum vr_status)f->status,
    };
}

static void encode_busy(Vr__Busy *f, const struct busy *m)
{
    vr__busy__init(f);
    f->client_id_low = m->client_id.low;
    f->client_id_high = m->client_id.high;
    f->session = m->session;
    f->request_number = m->request_number;
    f->view_number = m->view_number;
    f->reason = (Vr__BusyReason)m->reason;
}

static struct busy decode_busy(const Vr__Busy *f)
{
    return (struct busy){
        .client_id = {f->client_id_low, f->client_id_high},
        .session = f->session,
        .request_number = f->request_number,
        .view_number = f->view_number,
        .reason = (enum busy_reason)f->reason,
    };
}

static void encode_refused(Vr__Refused *f, const struct refused *m)
{
    vr__refused__init(f);
    f->reason = (Vr__RefusedReason)m->reason;
    f->own = m->own;
    f->yours = m->yours;
}

static struct refused decode_refused(const Vr__Refused *f)
{
    return (struct refused){
        .reason = (enum refused_reason)f->reason,
        .own = f->own,
        .yours = f->yours,
    };
}

/* ---- Log levels ----------------------------------------------------------------------------- */

static void encode_log_level_request(Vr__LogLevelRequest *f, const struct log_level_request *m)
{
    vr__log_level_request__init(f);
    f->nonce = m->nonce;
    f->levels = borrow_text(m->levels);
}

static void encode_log_level_report(Vr__LogLevelReport *f, const struct log_level_report *m)
{
    vr__log_level_report__init(f);
    f->nonce = m->nonce;
    f->replica_id = m->replica_id;
    f->outcome = (Vr__LogLevelOutcome)m->outcome;
    f->levels = borrow_text(m->levels);
}

static struct log_level_report decode_log_level_report(const Vr__LogLevelReport *f)
{
    return (struct log_level_report){
        .nonce = f->nonce,
        .replica_id = f->replica_id,
        .outcome = (enum log_level_outcome)f->outcome,
        .levels = f->levels,
    };
}

/* ---- Status --------------------------------------------------------------------------------- */

static void encode_status(struct codec_form *form, const struct status_report *m)
{
    Vr__StatusReport *f = &form->status;
    INVARIANT(m->counter_count <= STATUS_COUNTERS_MAX);
    vr__status_report__init(f);
    f->nonce = m->nonce;
    f->cluster_id = m->cluster_id;
    f->replica_id = m->replica_id;
    f->view_number = m->view_number;
    f->last_normal_view = m->last_normal_view;
    f->status = (Vr__Status)m->status;
    f->acting_primary = m->acting_primary;
    f->log_full = m->log_full;
    f->op_number = m->op_number;
    f->commit_number = m->commit_number;
    f->executed_op = m->executed_op;
    f->snapshot_age_us = m->snapshot_age_us;
    f->uptime_s = m->uptime_s;
    f->disk_bytes = m->disk_bytes;
    f->durability = (Vr__Durability)m->durability;
    f->digest_op = m->state_digest.op;
    f->digest_low = m->state_digest.value.low;
    f->digest_high = m->state_digest.value.high;
    f->silent_mask = m->silent_mask;
    f->bound_mask = m->bound_mask;
    f->suspect_mask = m->suspect_mask;
    f->version = borrow_text(m->version);
    f->note = borrow_text(m->note);
    f->configuration = (ProtobufCBinaryData){
        .len = configuration_encode(m->configuration, form->status_parts.configuration),
        .data = form->status_parts.configuration,
    };
    for (uint32_t i = 0; i < m->counter_count; i++) {
        Vr__StatusCounter *counter = &form->status_parts.counters[i];
        vr__status_counter__init(counter);
        counter->name = borrow_text(m->counters[i].name);
        counter->value = m->counters[i].value;
        form->status_parts.pointers[i] = counter;
    }
    f->n_counters = m->counter_count;
    f->counters = form->status_parts.pointers;
}

static enum wire_drop decode_counters(const Vr__StatusReport *f, struct arena *arena,
                                      struct status_report *m)
{
    struct status_counter *counters = arena_take(arena, f->n_counters * sizeof *counters);
    if (counters == NULL) {
        return WIRE_DROP_MEMORY;
    }
    for (size_t i = 0; i < f->n_counters; i++) {
        counters[i].name = f->counters[i]->name;
        counters[i].value = f->counters[i]->value;
    }
    m->counter_count = (uint32_t)f->n_counters;
    m->counters = counters;
    return WIRE_OK;
}

static enum wire_drop decode_status(const Vr__StatusReport *f, struct arena *arena,
                                    struct message *message)
{
    struct status_report *m = arena_take(arena, sizeof *m);
    struct configuration *configuration = arena_take(arena, sizeof *configuration);
    if (m == NULL || configuration == NULL) {
        return WIRE_DROP_MEMORY;
    }
    if (!configuration_decode(f->configuration.data, f->configuration.len, configuration)) {
        return WIRE_DROP_INVALID;
    }
    *m = (struct status_report){
        .nonce = f->nonce,
        .cluster_id = f->cluster_id,
        .replica_id = f->replica_id,
        .view_number = f->view_number,
        .last_normal_view = f->last_normal_view,
        .status = (enum vr_status)f->status,
        .acting_primary = f->acting_primary != 0,
        .log_full = f->log_full != 0,
        .op_number = f->op_number,
        .commit_number = f->commit_number,
        .executed_op = f->executed_op,
        .snapshot_age_us = f->snapshot_age_us,
        .uptime_s = f->uptime_s,
        .disk_bytes = f->disk_bytes,
        .durability = (enum durability)f->durability,
        .state_digest = {f->digest_op, {f->digest_low, f->digest_high}},
        .silent_mask = f->silent_mask,
        .bound_mask = f->bound_mask,
        .suspect_mask = f->suspect_mask,
        .version = f->version,
        .note = f->note,
        .configuration = configuration,
    };
    message->status = m;
    return decode_counters(f, arena, m);
}

/* ---- Trace ---------------------------------------------------------------------------------- */

static void encode_trace_request(Vr__TraceRequest *f, const struct trace_request *m)
{
    vr__trace_request__init(f);
    f->nonce = m->nonce;
    f->lane = m->lane;
    f->events_max = m->events_max;
    f->from_event = m->from_event;
}

static struct trace_request decode_trace_request(const Vr__TraceRequest *f)
{
    return (struct trace_request){
        .nonce = f->nonce,
        .lane = f->lane,
        .events_max = f->events_max,
        .from_event = f->from_event,
    };
}

static void encode_trace_report(Vr__TraceReport *f, const struct trace_report *m)
{
    vr__trace_report__init(f);
    f->nonce = m->nonce;
    f->replica_id = m->replica_id;
    f->lane = m->lane;
    f->now_ns = m->now_ns;
    f->wall_ns = m->wall_ns;
    f->view_number = m->view_number;
    f->status = (Vr__Status)m->status;
    f->oldest_event = m->oldest_event;
    f->next_event = m->next_event;
    f->first_event = m->first_event;
    f->events = borrow(m->events, m->event_count * TRACE_EVENT_SIZE);
}

static enum wire_drop decode_trace_report(const Vr__TraceReport *f, struct trace_report *m)
{
    if (f->events.len % TRACE_EVENT_SIZE != 0) {
        return WIRE_DROP_INVALID;
    }
    *m = (struct trace_report){
        .nonce = f->nonce,
        .replica_id = f->replica_id,
        .lane = f->lane,
        .now_ns = f->now_ns,
        .wall_ns = f->wall_ns,
        .view_number = f->view_number,
        .status = (enum vr_status)f->status,
        .oldest_event = f->oldest_event,
        .next_event = f->next_event,
        .first_event = f->first_event,
        .event_count = (uint32_t)(f->events.len / TRACE_EVENT_SIZE),
        .events = f->events.data,
    };
    return WIRE_OK;
}

/* ---- Normal operation ----------------------------------------------------------------------- */

static struct prepare decode_prepare(const Vr__Prepare *f)
{
    return (struct prepare){
        .view_number = f->view_number,
        .first_op = f->first_op,
        .parent_checksum = {f->parent_checksum_low, f->parent_checksum_high},
        .commit_number = f->commit_number,
        .commit_checksum = {f->commit_checksum_low, f->commit_checksum_high},
        .round = f->round,
        .entry_count = f->entry_count,
        .entries_size = (uint32_t)f->entries.len,
        .entries = f->entries.data,
    };
}

static struct prepare_ok decode_prepare_ok(const Vr__PrepareOk *f)
{
    return (struct prepare_ok){
        .view_number = f->view_number,
        .op_number = f->op_number,
        .checksum = {f->checksum_low, f->checksum_high},
        .round = f->round,
        .checkpoint = {f->checkpoint_op, {f->checkpoint_digest_low, f->checkpoint_digest_high}},
    };
}

static struct commit decode_commit(const Vr__Commit *f)
{
    return (struct commit){
        .view_number = f->view_number,
        .commit_number = f->commit_number,
        .commit_checksum = {f->commit_checksum_low, f->commit_checksum_high},
        .op_number = f->op_number,
        .round = f->round,
        .checkpoint = {f->checkpoint_op, {f->checkpoint_digest_low, f->checkpoint_digest_high}},
    };
}

/* ---- View change, log sync, recovery -------------------------------------------------------- */

static void encode_do_view_change(struct codec_form *form, const struct do_view_change *m)
{
    Vr__DoViewChange *f = &form->do_view_change;
    vr__do_view_change__init(f);
    f->view_number = m->view_number;
    f->log = encode_log(form, &m->log);
    f->synced_op = m->synced_op;
    f->primary_identity = m->primary_identity;
    if (m->faulty_from != 0) {
        f->has_faulty_from = true;
        f->faulty_from = m->faulty_from;
        f->has_held_checksum_low = true;
        f->held_checksum_low = m->held_checksum.low;
        f->has_held_checksum_high = true;
        f->held_checksum_high = m->held_checksum.high;
    }
    f->base_op = m->base_op;
}

static struct do_view_change decode_do_view_change(const Vr__DoViewChange *f)
{
    return (struct do_view_change){
        .view_number = f->view_number,
        .log = decode_log(f->log),
        .synced_op = f->synced_op,
        .primary_identity = f->primary_identity,
        .faulty_from = f->has_faulty_from ? f->faulty_from : 0,
        .held_checksum = {f->held_checksum_low, f->held_checksum_high},
        .base_op = f->base_op,
    };
}

static void encode_start_view(struct codec_form *form, const struct start_view *m)
{
    Vr__StartView *f = &form->start_view;
    vr__start_view__init(f);
    f->view_number = m->view_number;
    f->log = encode_log(form, &m->log);
}

static struct start_view decode_start_view(const Vr__StartView *f)
{
    return (struct start_view){
        .view_number = f->view_number,
        .log = decode_log(f->log),
    };
}

static void encode_catchup_request(Vr__CatchupRequest *f, const struct catchup_request *m)
{
    vr__catchup_request__init(f);
    f->nonce = m->nonce;
    f->last_normal_view = m->last_normal_view;
    f->from_op = m->from_op;
    f->to_op = m->to_op;
    f->synced_op = m->synced_op;
    f->has_restores = m->restores;
    f->restores = m->restores;
}

static struct catchup_request decode_catchup_request(const Vr__CatchupRequest *f)
{
    return (struct catchup_request){
        .nonce = f->nonce,
        .last_normal_view = f->last_normal_view,
        .from_op = f->from_op,
        .to_op = f->to_op,
        .synced_op = f->synced_op,
        .restores = f->has_restores && f->restores,
    };
}

static void encode_catchup_response(Vr__CatchupResponse *f, const struct catchup_response *m)
{
    vr__catchup_response__init(f);
    f->nonce = m->nonce;
    f->last_normal_view = m->last_normal_view;
    f->first_op = m->first_op;
    f->parent_checksum_low = m->parent_checksum.low;
    f->parent_checksum_high = m->parent_checksum.high;
    f->entry_count = m->entry_count;
    f->entries = borrow(m->entries, m->entries_size);
}

static struct catchup_response decode_catchup_response(const Vr__CatchupResponse *f)
{
    return (struct catchup_response){
        .nonce = f->nonce,
        .last_normal_view = f->last_normal_view,
        .first_op = f->first_op,
        .parent_checksum = {f->parent_checksum_low, f->parent_checksum_high},
        .entry_count = f->entry_count,
        .entries_size = (uint32_t)f->entries.len,
        .entries = f->entries.data,
    };
}

static void encode_checkpoint_offer(Vr__CheckpointOffer *f, const struct checkpoint_offer *m)
{
    vr__checkpoint_offer__init(f);
    f->nonce = m->nonce;
    f->view_number = m->view_number;
    f->op_number = m->id.op_number;
    f->op_view_number = m->id.view_number;
    f->log_low = m->id.log.low;
    f->log_high = m->id.log.high;
    f->digest_low = m->id.digest.low;
    f->digest_high = m->id.digest.high;
    f->size = m->id.size;
    f->root_low = m->id.root.low;
    f->root_high = m->id.root.high;
}

static struct checkpoint_offer decode_checkpoint_offer(const Vr__CheckpointOffer *f)
{
    return (struct checkpoint_offer){
        .nonce = f->nonce,
        .view_number = f->view_number,
        .id =
            {
                .op_number = f->op_number,
                .view_number = f->op_view_number,
                .log = {f->log_low, f->log_high},
                .digest = {f->digest_low, f->digest_high},
                .size = f->size,
                .root = {f->root_low, f->root_high},
            },
    };
}

static void encode_checkpoint_request(Vr__CheckpointRequest *f, const struct checkpoint_request *m)
{
    vr__checkpoint_request__init(f);
    f->nonce = m->nonce;
    f->last_normal_view = m->last_normal_view;
    f->root_low = m->root.low;
    f->root_high = m->root.high;
    f->list = m->list;
    f->first = m->first;
    f->count = m->count;
    f->staged = m->staged;
}

static struct checkpoint_request decode_checkpoint_request(const Vr__CheckpointRequest *f)
{
    return (struct checkpoint_request){
        .nonce = f->nonce,
        .last_normal_view = f->last_normal_view,
        .root = {f->root_low, f->root_high},
        .list = f->list,
        .first = f->first,
        .count = f->count,
        .staged = f->staged,
    };
}

static void encode_checkpoint_chunk(Vr__CheckpointChunk *f, const struct checkpoint_chunk *m)
{
    vr__checkpoint_chunk__init(f);
    f->nonce = m->nonce;
    f->root_low = m->root.low;
    f->root_high = m->root.high;
    f->list = m->list;
    f->index = m->index;
    f->bytes = borrow(m->bytes, m->size);
}

static struct checkpoint_chunk decode_checkpoint_chunk(const Vr__CheckpointChunk *f)
{
    return (struct checkpoint_chunk){
        .nonce = f->nonce,
        .root = {f->root_low, f->root_high},
        .list = f->list,
        .index = f->index,
        .size = (uint32_t)f->bytes.len,
        .bytes = f->bytes.data,
    };
}

static void encode_backup_request(Vr__BackupRequest *f, const struct backup_request *m)
{
    vr__backup_request__init(f);
    f->nonce = m->nonce;
    f->least_op = m->least_op;
    f->root_low = m->root.low;
    f->root_high = m->root.high;
    f->list = m->list;
    f->first = m->first;
    f->count = m->count;
}

static struct backup_request decode_backup_request(const Vr__BackupRequest *f)
{
    return (struct backup_request){
        .nonce = f->nonce,
        .least_op = f->least_op,
        .root = {f->root_low, f->root_high},
        .list = f->list,
        .first = f->first,
        .count = f->count,
    };
}

static void encode_backup_offer(Vr__BackupOffer *f, const struct backup_offer *m)
{
    vr__backup_offer__init(f);
    f->nonce = m->nonce;
    f->replica_id = m->replica_id;
    f->outcome = (Vr__BackupOutcome)m->outcome;
    f->executed_op = m->executed_op;
    f->op_number = m->id.op_number;
    f->op_view_number = m->id.view_number;
    f->log_low = m->id.log.low;
    f->log_high = m->id.log.high;
    f->digest_low = m->id.digest.low;
    f->digest_high = m->id.digest.high;
    f->size = m->id.size;
    f->root_low = m->id.root.low;
    f->root_high = m->id.root.high;
}

static struct backup_offer decode_backup_offer(const Vr__BackupOffer *f)
{
    return (struct backup_offer){
        .nonce = f->nonce,
        .replica_id = f->replica_id,
        .outcome = (enum backup_outcome)f->outcome,
        .executed_op = f->executed_op,
        .id =
            {
                .op_number = f->op_number,
                .view_number = f->op_view_number,
                .log = {f->log_low, f->log_high},
                .digest = {f->digest_low, f->digest_high},
                .size = f->size,
                .root = {f->root_low, f->root_high},
            },
    };
}

static void encode_recovery(Vr__Recovery *f, const struct recovery *m)
{
    vr__recovery__init(f);
    f->nonce = m->nonce;
    f->view_number = m->view_number;
}

static void encode_recovery_response(struct codec_form *form, const struct recovery_response *m)
{
    Vr__RecoveryResponse *f = &form->recovery_response;
    vr__recovery_response__init(f);
    f->nonce = m->nonce;
    f->view_number = m->view_number;
    f->log = encode_log(form, &m->log);
}

static struct recovery_response decode_recovery_response(const Vr__RecoveryResponse *f)
{
    return (struct recovery_response){
        .nonce = f->nonce,
        .view_number = f->view_number,
        .log = decode_log(f->log),
    };
}

/* ---- Restore (D9) --------------------------------------------------------------------------- */

static void encode_restore(struct codec_form *form, const struct restore *m)
{
    Vr__Restore *f = &form->restore;
    vr__restore__init(f);
    f->nonce = m->nonce;
    f->recovery_nonce = m->recovery_nonce;
    f->view_number = m->view_number;
    f->last_normal_view = m->last_normal_view;
    f->source = m->source;
    f->log = encode_log(form, &m->log);
}

static struct restore decode_restore(const Vr__Restore *f)
{
    return (struct restore){
        .nonce = f->nonce,
        .recovery_nonce = f->recovery_nonce,
        .view_number = f->view_number,
        .last_normal_view = f->last_normal_view,
        .source = f->source,
        .log = decode_log(f->log),
    };
}

static void encode_restore_report(struct codec_form *form, const struct restore_report *m)
{
    Vr__RestoreReport *f = &form->restore_report;
    vr__restore_report__init(f);
    f->nonce = m->nonce;
    f->replica_id = m->replica_id;
    f->outcome = (Vr__RestoreOutcome)m->outcome;
    f->status = (Vr__Status)m->status;
    f->acting_primary = m->acting_primary;
    f->recovery_nonce = m->recovery_nonce;
    f->view_number = m->view_number;
    f->log = encode_log(form, &m->log);
    f->synced_op = m->synced_op;
    f->durability = (Vr__Durability)m->durability;
}

static struct restore_report decode_restore_report(const Vr__RestoreReport *f)
{
    return (struct restore_report){
        .nonce = f->nonce,
        .replica_id = f->replica_id,
        .outcome = (enum restore_outcome)f->outcome,
        .status = (enum vr_status)f->status,
        .acting_primary = f->acting_primary,
        .recovery_nonce = f->recovery_nonce,
        .view_number = f->view_number,
        .log = decode_log(f->log),
        .synced_op = f->synced_op,
        .durability = (enum durability)f->durability,
    };
}

/* ---- Transport ------------------------------------------------------------------------------ */

static void encode_part(Vr__Part *f, const struct part *m)
{
    vr__part__init(f);
    f->id = m->id;
    f->type = m->type;
    f->total_size = m->total_size;
    f->part_size = m->part_size;
    f->index = m->index;
    f->whole_checksum = m->whole_checksum;
    f->data = borrow(m->data, m->data_size);
}

static struct part decode_part(const Vr__Part *f)
{
    return (struct part){
        .id = f->id,
        .type = f->type,
        .total_size = f->total_size,
        .part_size = f->part_size,
        .index = f->index,
        .whole_checksum = f->whole_checksum,
        .data_size = (uint32_t)f->data.len,
        .data = f->data.data,
    };
}

static void encode_parts_missing(Vr__PartsMissing *f, const struct parts_missing *m)
{
    vr__parts_missing__init(f);
    f->id = m->id;
    f->bitmap = borrow(m->bitmap, m->bitmap_size);
}

static struct parts_missing decode_parts_missing(const Vr__PartsMissing *f)
{
    return (struct parts_missing){
        .id = f->id,
        .bitmap_size = (uint32_t)f->bitmap.len,
        .bitmap = f->bitmap.data,
    };
}

/* ---- All of them ---------------------------------------------------------------------------- */

static void encode_form(struct codec_form *form, const struct message *message)
{
    switch (message->type) {
    case MESSAGE_NONE:
    case MESSAGE_REQUEST: /* the next five go straight */
    case MESSAGE_REPLY:
    case MESSAGE_PREPARE:
    case MESSAGE_PREPARE_OK:
    case MESSAGE_COMMIT:
        break;
    case MESSAGE_READ:
        encode_read(&form->read, &message->read);
        break;
    case MESSAGE_STATUS_REQUEST:
        encode_status_request(&form->status_request, &message->status_request);
        break;
    case MESSAGE_LOG_LEVEL_REQUEST:
        encode_log_level_request(&form->log_level_request, &message->log_level_request);
        break;
    case MESSAGE_RESTORE_STATUS:
        vr__restore_status__init(&form->restore_status);
        form->restore_status.nonce = message->restore_status.nonce;
        break;
    case MESSAGE_RESTORE:
        encode_restore(form, &message->restore);
        break;
    case MESSAGE_NOT_PRIMARY:
        encode_not_primary(&form->not_primary, &message->not_primary);
        break;
    case MESSAGE_BUSY:
        encode_busy(&form->busy, &message->busy);
        break;
    case MESSAGE_CHALLENGE:
        vr__challenge__init(&form->challenge);
        form->challenge.token = message->challenge.token;
        break;
    case MESSAGE_REFUSED:
        encode_refused(&form->refused, &message->refused);
        break;
    case MESSAGE_STATUS:
        encode_status(form, message->status);
        break;
    case MESSAGE_TRACE_REQUEST:
        encode_trace_request(&form->trace_request, &message->trace_request);
        break;
    case MESSAGE_TRACE_REPORT:
        encode_trace_report(&form->trace_report, &message->trace_report);
        break;
    case MESSAGE_LOG_LEVEL_REPORT:
        encode_log_level_report(&form->log_level_report, &message->log_level_report);
        break;
    case MESSAGE_RESTORE_REPORT:
        encode_restore_report(form, &message->restore_report);
        break;
    case MESSAGE_GOODBYE:
        vr__goodbye__init(&form->goodbye);
        form->goodbye.view_number = message->goodbye.view_number;
        break;
    case MESSAGE_START_VIEW_CHANGE:
        vr__start_view_change__init(&form->start_view_change);
        form->start_view_change.view_number = message->start_view_change.view_number;
        break;
    case MESSAGE_DO_VIEW_CHANGE:
        encode_do_view_change(form, &message->do_view_change);
        break;
    case MESSAGE_START_VIEW:
        encode_start_view(form, &message->start_view);
        break;
    case MESSAGE_GET_VIEW:
        vr__get_view__init(&form->get_view);
        form->get_view.view_number = message->get_view.view_number;
        break;
    case MESSAGE_CATCHUP_REQUEST:
        encode_catchup_request(&form->catchup_request, &message->catchup_request);
        break;
    case MESSAGE_CATCHUP_RESPONSE:
        encode_catchup_response(&form->catchup_response, &message->catchup_response);
        break;
    case MESSAGE_CHECKPOINT_OFFER:
        encode_checkpoint_offer(&form->checkpoint_offer, &message->checkpoint_offer);
        break;
    case MESSAGE_CHECKPOINT_REQUEST:
        encode_checkpoint_request(&form->checkpoint_request, &message->checkpoint_request);
        break;
    case MESSAGE_BACKUP_REQUEST:
        encode_backup_request(&form->backup_request, &message->backup_request);
        break;
    case MESSAGE_BACKUP_OFFER:
        encode_backup_offer(&form->backup_offer, &message->backup_offer);
        break;
    case MESSAGE_BACKUP_CHUNK:
    case MESSAGE_CHECKPOINT_CHUNK:
        encode_checkpoint_chunk(&form->checkpoint_chunk, &message->checkpoint_chunk);
        break;
    case MESSAGE_RECOVERY:
        encode_recovery(&form->recovery, &message->recovery);
        break;
    case MESSAGE_RECOVERY_RESPONSE:
        encode_recovery_response(form, &message->recovery_response);
        break;
    case MESSAGE_PART:
        encode_part(&form->part, &message->part);
        break;
    case MESSAGE_PARTS_MISSING:
        encode_parts_missing(&form->parts_missing, &message->parts_missing);
        break;
    }
}

void codec_encode(struct codec_form *form, const struct message *message)
{
    INVARIANT(codec_body_size_max(message->type) > 0);
    form->straight = codec_straight_knows(message->type) ? message : NULL;
    if (form->straight != NULL) {
        form->size = codec_straight_size(message);
    } else {
        encode_form(form, message);
        form->size = protobuf_c_message_get_packed_size(&form->base);
    }
    INVARIANT(form->size <= codec_body_size_max(message->type));
}

void codec_pack(const struct codec_form *form, uint8_t *bytes)
{
    const size_t size = form->straight != NULL ? codec_straight_pack(form->straight, bytes)
                                               : protobuf_c_message_pack(&form->base, bytes);
    INVARIANT(size == form->size);
}

/* Fills in type and struct from the form that protobuf-c made in the arena. */
static enum wire_drop from_form(uint32_t type, const ProtobufCMessage *base, struct arena *arena,
                                struct message *message)
{
    const void *form = base;
    message->type = (enum message_type)type;
    switch (message->type) {
    case MESSAGE_NONE:
        return WIRE_DROP_TYPE;
    case MESSAGE_REQUEST:
        message->request = decode_request(form);
        break;
    case MESSAGE_READ:
        message->read = decode_read(form);
        break;
    case MESSAGE_STATUS_REQUEST:
        message->status_request = decode_status_request(form);
        break;
    case MESSAGE_LOG_LEVEL_REQUEST:
        message->log_level_request =
            (struct log_level_request){((const Vr__LogLevelRequest *)form)->nonce,
                                       ((const Vr__LogLevelRequest *)form)->levels};
        break;
    case MESSAGE_RESTORE_STATUS:
        message->restore_status.nonce = ((const Vr__RestoreStatus *)form)->nonce;
        break;
    case MESSAGE_RESTORE:
        message->restore = decode_restore(form);
        break;
    case MESSAGE_REPLY:
        message->reply = decode_reply(form);
        break;
    case MESSAGE_NOT_PRIMARY:
        message->not_primary = decode_not_primary(form);
        break;
    case MESSAGE_BUSY:
        message->busy = decode_busy(form);
        break;
    case MESSAGE_CHALLENGE:
        message->challenge.token = ((const Vr__Challenge *)form)->token;
        break;
    case MESSAGE_REFUSED:
        message->refused = decode_refused(form);
        break;
    case MESSAGE_STATUS:
        return decode_status(form, arena, message);
    case MESSAGE_TRACE_REQUEST:
        message->trace_request = decode_trace_request(form);
        break;
    case MESSAGE_TRACE_REPORT:
        return decode_trace_report(form, &message->trace_report);
    case MESSAGE_LOG_LEVEL_REPORT:
        message->log_level_report = decode_log_level_report(form);
        break;
    case MESSAGE_RESTORE_REPORT:
        message->restore_report = decode_restore_report(form);
        break;
    case MESSAGE_PREPARE:
        message->prepare = decode_prepare(form);
        break;
    case MESSAGE_PREPARE_OK:
        message->prepare_ok = decode_prepare_ok(form);
        break;
    case MESSAGE_COMMIT:
        message->commit = decode_commit(form);
        break;
    case MESSAGE_GOODBYE:
        message->goodbye.view_number = ((const Vr__Goodbye *)form)->view_number;
        break;
    case MESSAGE_START_VIEW_CHANGE:
        message->start_view_change.view_number = ((const Vr__StartViewChange *)form)->view_number;
        break;
    case MESSAGE_DO_VIEW_CHANGE:
        message->do_view_change = decode_do_view_change(form);
        break;
    case MESSAGE_START_VIEW:
        message->start_view = decode_start_view(form);
        break;
    case MESSAGE_GET_VIEW:
        message->get_view.view_number = ((const Vr__GetView *)form)->view_number;
        break;
    case MESSAGE_CATCHUP_REQUEST:
        message->catchup_request = decode_catchup_request(form);
        break;
    case MESSAGE_CATCHUP_RESPONSE:
        message->catchup_response = decode_catchup_response(form);
        break;
    case MESSAGE_CHECKPOINT_OFFER:
        message->checkpoint_offer = decode_checkpoint_offer(form);
        break;
    case MESSAGE_CHECKPOINT_REQUEST:
        message->checkpoint_request = decode_checkpoint_request(form);
        break;
    case MESSAGE_BACKUP_REQUEST:
        message->backup_request = decode_backup_request(form);
        break;
    case MESSAGE_BACKUP_OFFER:
        message->backup_offer = decode_backup_offer(form);
        break;
    case MESSAGE_BACKUP_CHUNK:
    case MESSAGE_CHECKPOINT_CHUNK:
        message->checkpoint_chunk = decode_checkpoint_chunk(form);
        break;
    case MESSAGE_RECOVERY:
        message->recovery.nonce = ((const Vr__Recovery *)form)->nonce;
        message->recovery.view_number = ((const Vr__Recovery *)form)->view_number;
        break;
    case MESSAGE_RECOVERY_RESPONSE:
        message->recovery_response = decode_recovery_response(form);
        break;
    case MESSAGE_PART:
        message->part = decode_part(form);
        break;
    case MESSAGE_PARTS_MISSING:
        message->parts_missing = decode_parts_missing(form);
        break;
    }
    return WIRE_OK;
}

/* What protobuf-c allocates from. */
struct unpack_memory {
    struct arena *arena;
    bool exhausted;
};

static void *unpack_alloc(void *data, size_t size)
{
    struct unpack_memory *memory = data;
    void *taken = arena_take(memory->arena, size);
    if (taken == NULL) {
        memory->exhausted = true;
    }
    return taken;
}

static void unpack_free(void *data, void *pointer)
{
    (void)data; /* an arena is given back as a whole */
    (void)pointer;
}

enum wire_drop codec_decode_any(uint32_t type, const uint8_t *body, size_t size,
                                struct arena *arena, struct message *message)
{
    INVARIANT(size <= codec_body_size_max(type));
    struct unpack_memory memory = {.arena = arena};
    ProtobufCAllocator allocator = {unpack_alloc, unpack_free, &memory};
    const ProtobufCMessage *form =
        protobuf_c_message_unpack(body_types[type].descriptor, &allocator, size, body);
    if (form == NULL) {
        return memory.exhausted ? WIRE_DROP_MEMORY : WIRE_DROP_BODY;
    }
    return from_form(type, form, arena, message);
}

enum wire_drop codec_decode(uint32_t type, const uint8_t *body, size_t size, struct arena *arena,
                            struct message *message)
{
    const uint32_t size_max = codec_body_size_max(type);
    if (size_max == 0) {
        return WIRE_DROP_TYPE;
    }
    if (size > size_max) {
        return WIRE_DROP_BODY_SIZE;
    }
    if (!codec_straight_decode(type, body, size, arena, message)) {
        const enum wire_drop drop = codec_decode_any(type, body, size, arena, message);
        if (drop != WIRE_OK) {
            return drop;
        }
    }
    return message_validate(message) ? WIRE_OK : WIRE_DROP_INVALID;
}
