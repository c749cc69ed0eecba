/* SPDX-License-Identifier: Apache-2.0 */
/* message.c - what a message can tell by itself. Everything here may come from a stranger: nothing
 * is asserted, and a field is read only after those that say whether it may be. */
#include "common/base/message.h"

#include <string.h>

#include "common/base/trace_event.h"

const char *message_type_name(enum message_type type)
{
    switch (type) {
    case MESSAGE_NONE:
        return "None";
    case MESSAGE_REQUEST:
        return "Request";
    case MESSAGE_STATUS_REQUEST:
        return "StatusRequest";
    case MESSAGE_TRACE_REQUEST:
        return "TraceRequest";
    case MESSAGE_LOG_LEVEL_REQUEST:
        return "LogLevelRequest";
    case MESSAGE_RESTORE_STATUS:
        return "RestoreStatus";
    case MESSAGE_RESTORE:
        return "Restore";
    case MESSAGE_READ:
        return "Read";
    case MESSAGE_BACKUP_REQUEST:
        return "BackupRequest";
    case MESSAGE_REPLY:
        return "Reply";
    case MESSAGE_NOT_PRIMARY:
        return "NotPrimary";
    case MESSAGE_BUSY:
        return "Busy";
    case MESSAGE_CHALLENGE:
        return "Challenge";
    case MESSAGE_REFUSED:
        return "Refused";
    case MESSAGE_STATUS:
        return "Status";
    case MESSAGE_TRACE_REPORT:
        return "TraceReport";
    case MESSAGE_LOG_LEVEL_REPORT:
        return "LogLevelReport";
    case MESSAGE_RESTORE_REPORT:
        return "RestoreReport";
    case MESSAGE_BACKUP_OFFER:
        return "BackupOffer";
    case MESSAGE_BACKUP_CHUNK:
        return "BackupChunk";
    case MESSAGE_PREPARE:
        return "Prepare";
    case MESSAGE_PREPARE_OK:
        return "PrepareOk";
    case MESSAGE_COMMIT:
        return "Commit";
    case MESSAGE_GOODBYE:
        return "Goodbye";
    case MESSAGE_START_VIEW_CHANGE:
        return "StartViewChange";
    case MESSAGE_DO_VIEW_CHANGE:
        return "DoViewChange";
    case MESSAGE_START_VIEW:
        return "StartView";
    case MESSAGE_GET_VIEW:
        return "GetView";
    case MESSAGE_CATCHUP_REQUEST:
        return "CatchupRequest";
    case MESSAGE_CATCHUP_RESPONSE:
        return "CatchupResponse";
    case MESSAGE_CHECKPOINT_OFFER:
        return "CheckpointOffer";
    case MESSAGE_CHECKPOINT_REQUEST:
        return "CheckpointRequest";
    case MESSAGE_CHECKPOINT_CHUNK:
        return "CheckpointChunk";
    case MESSAGE_RECOVERY:
        return "Recovery";
    case MESSAGE_RECOVERY_RESPONSE:
        return "RecoveryResponse";
    case MESSAGE_PART:
        return "Part";
    case MESSAGE_PARTS_MISSING:
        return "PartsMissing";
    }
    return "?";
}

const char *busy_reason_name(enum busy_reason reason)
{
    switch (reason) {
    case BUSY_QUEUE_FULL:
        return "the request queue is full";
    case BUSY_EXECUTOR:
        return "execution is behind";
    case BUSY_LOG_FULL:
        return "the log in memory is full";
    case BUSY_NO_QUORUM:
        return "the primary does not hear from enough replicas";
    case BUSY_BEHIND:
        return "the replica has not executed as far as was asked for";
    }
    return "?";
}

bool message_is_from_replica(enum message_type type)
{
    return type >= MESSAGE_PREPARE && type <= MESSAGE_RECOVERY_RESPONSE;
}

/* Answers to clients, and what replicas say to each other; parts are anybody's. */
static bool only_replicas_say(enum message_type type)
{
    return type == MESSAGE_RESTORE_REPORT ||
           (type >= MESSAGE_REPLY && type <= MESSAGE_RECOVERY_RESPONSE);
}

static bool view_valid(uint64_t view_number)
{
    return view_epoch(view_number) >= EPOCH_FIRST;
}

static bool view_valid_or_none(uint64_t view_number)
{
    return view_number == VIEW_NONE || view_valid(view_number);
}

static bool client_id_valid(struct client_id client_id)
{
    return client_id.low != 0 || client_id.high != 0;
}

static bool bytes_valid(const uint8_t *bytes, uint32_t size, uint32_t size_max)
{
    return size <= size_max && (size == 0 || bytes != NULL);
}

static bool vr_status_valid(enum vr_status status)
{
    return status >= STATUS_NORMAL && status <= STATUS_TRANSITIONING;
}

static bool log_valid(const struct log_descriptor *log)
{
    return view_valid_or_none(log->last_normal_view) && log->commit_number <= log->op_number;
}

/* `count` whole entries that fill `size` bytes: their ops run on from first_op, their timestamps
 * rise (N3), their views never fall and are none that `view_number` does not know yet. */
static bool entries_valid(const uint8_t *bytes, uint32_t size, uint32_t count, uint64_t first_op,
                          uint64_t view_number)
{
    if (first_op == 0 || first_op > UINT64_MAX - count ||
        !bytes_valid(bytes, size, ENTRY_SIZE_MAX) || count > size / ENTRY_HEADER_SIZE) {
        return false;
    }
    uint32_t used = 0;
    uint64_t timestamp = 0;
    uint64_t entry_view = view_make(EPOCH_FIRST, 0);
    for (uint32_t i = 0; i < count; i++) {
        struct entry entry;
        const size_t entry_size = entry_decode(bytes + used, size - used, &entry);
        if (entry_size == 0 || entry.op_number != first_op + i || entry.view_number < entry_view ||
            entry.view_number > view_number || (i > 0 && entry.timestamp <= timestamp)) {
            return false;
        }
        used += (uint32_t)entry_size;
        timestamp = entry.timestamp;
        entry_view = entry.view_number;
    }
    return used == size;
}

static bool request_valid(const struct request *m)
{
    if (!client_id_valid(m->client_id) ||
        !bytes_valid(m->operation, m->operation_size, OPERATION_SIZE_MAX)) {
        return false;
    }
    switch (m->kind) {
    case ENTRY_OPERATION:
        return m->session != 0 && m->request_number != 0;
    case ENTRY_REGISTER:
        return m->session == 0 && m->request_number == 0 && m->operation_size == 0;
    case ENTRY_UNREGISTER:
        return m->session != 0 && m->request_number == 0 && m->operation_size == 0;
    }
    return false;
}

static bool read_valid(const struct read *m)
{
    return client_id_valid(m->client_id) && m->nonce != 0 &&
           (m->mode == READ_LINEARIZABLE || m->mode == READ_STALE) && m->operation_size != 0 &&
           bytes_valid(m->operation, m->operation_size, READ_SIZE_MAX);
}

static bool reply_valid(const struct reply *m)
{
    return view_valid(m->view_number) && client_id_valid(m->client_id) && m->status >= REPLY_OK &&
           m->status <= REPLY_NOT_A_READ && bytes_valid(m->result, m->result_size, RESULT_SIZE_MAX);
}

static bool not_primary_valid(const struct not_primary *m)
{
    return client_id_valid(m->client_id) && view_valid_or_none(m->last_normal_view) &&
           vr_status_valid(m->status);
}

static bool busy_valid(const struct busy *m)
{
    return client_id_valid(m->client_id) && view_valid(m->view_number) &&
           m->reason >= BUSY_QUEUE_FULL && m->reason <= BUSY_BEHIND;
}

static bool refused_valid(const struct refused *m)
{
    return m->reason >= REFUSED_CLUSTER && m->reason <= REFUSED_PEERS_PORT;
}

/* Ends up on terminals: no control characters (bytes of UTF-8 sequences are all above them). */
static bool text_valid(const char *text, size_t size_min)
{
    if (text == NULL) {
        return false;
    }
    size_t size = 0;
    while (size < STATUS_TEXT_MAX && text[size] != '\0') {
        const unsigned char c = (unsigned char)text[size];
        if (c < 0x20 || c == 0x7f) {
            return false;
        }
        size++;
    }
    return size >= size_min && size < STATUS_TEXT_MAX;
}

static bool counters_valid(const struct status_report *m)
{
    if (m->counter_count > STATUS_COUNTERS_MAX || (m->counter_count > 0 && m->counters == NULL)) {
        return false;
    }
    for (uint32_t i = 0; i < m->counter_count; i++) {
        if (!text_valid(m->counters[i].name, 1)) {
            return false;
        }
    }
    return true;
}

static bool status_report_valid(const struct status_report *m)
{
    if (m == NULL || m->configuration == NULL || configuration_reject(m->configuration) != NULL) {
        return false;
    }
    const uint32_t members = (UINT32_C(1) << m->configuration->member_count) - 1;
    return m->cluster_id != 0 && m->replica_id != REPLICA_NONE && view_valid(m->view_number) &&
           view_valid_or_none(m->last_normal_view) && m->last_normal_view <= m->view_number &&
           vr_status_valid(m->status) && m->commit_number <= m->op_number &&
           m->durability >= DURABILITY_MEMORY && m->durability <= DURABILITY_SYNC &&
           ((m->silent_mask | m->bound_mask | m->suspect_mask) & ~members) == 0 &&
           text_valid(m->version, 0) && text_valid(m->note, 0) && counters_valid(m);
}

static bool log_level_report_valid(const struct log_level_report *m)
{
    return m->replica_id != REPLICA_NONE && m->outcome >= LOG_LEVELS_TOLD &&
           m->outcome <= LOG_LEVELS_UNKNOWN && text_valid(m->levels, 1);
}

static bool restore_valid(const struct restore *m)
{
    return view_valid(m->view_number) && view_valid_or_none(m->last_normal_view) &&
           m->last_normal_view < m->view_number && log_valid(&m->log) &&
           m->log.last_normal_view <= m->last_normal_view && m->source != REPLICA_NONE;
}

static bool restore_report_valid(const struct restore_report *m)
{
    return m->replica_id != REPLICA_NONE && m->outcome >= RESTORE_TOLD &&
           m->outcome <= RESTORE_OTHER && vr_status_valid(m->status) &&
           view_valid_or_none(m->view_number) && log_valid(&m->log) &&
           m->log.last_normal_view <= m->view_number && m->durability >= DURABILITY_MEMORY &&
           m->durability <= DURABILITY_SYNC;
}

static bool trace_request_valid(const struct trace_request *m)
{
    return m->lane < TRACE_LANE_COUNT && m->events_max <= TRACE_EVENTS_MAX;
}

static bool trace_report_valid(const struct trace_report *m)
{
    if (m->replica_id == REPLICA_NONE || m->lane >= TRACE_LANE_COUNT ||
        !view_valid(m->view_number) || !vr_status_valid(m->status) ||
        m->oldest_event > m->next_event || m->event_count > TRACE_EVENTS_MAX ||
        m->first_event < m->oldest_event || m->first_event > m->next_event ||
        m->event_count > m->next_event - m->first_event ||
        (m->event_count > 0 && m->events == NULL)) {
        return false;
    }
    for (uint32_t i = 0; i < m->event_count; i++) {
        struct trace_event event;
        if (!trace_event_decode(m->events + (size_t)i * TRACE_EVENT_SIZE, &event)) {
            return false;
        }
    }
    return true;
}

/* commit_number may lie anywhere: a Prepare that is sent again carries the newest. */
static bool prepare_valid(const struct prepare *m)
{
    return view_valid(m->view_number) && m->entry_count > 0 &&
           entries_valid(m->entries, m->entries_size, m->entry_count, m->first_op, m->view_number);
}

static bool commit_valid(const struct commit *m)
{
    return view_valid(m->view_number) && m->commit_number <= m->op_number;
}

static bool do_view_change_valid(const struct do_view_change *m)
{
    return view_valid(m->view_number) && log_valid(&m->log) &&
           m->log.last_normal_view < m->view_number && m->faulty_from <= m->log.op_number &&
           (m->faulty_from == 0 || m->log.commit_number < m->faulty_from ||
            checksum_equal(m->log.commit_checksum, (struct checksum){0})) &&
           m->base_op <= m->log.op_number;
}

static bool start_view_valid(const struct start_view *m)
{
    return view_valid(m->view_number) && log_valid(&m->log) &&
           m->log.last_normal_view == m->view_number;
}

static bool catchup_request_valid(const struct catchup_request *m)
{
    return view_valid_or_none(m->last_normal_view) && m->from_op > 0 && m->to_op >= m->from_op &&
           m->to_op - m->from_op < SYNC_ENTRIES_MAX && m->synced_op < m->from_op;
}

static bool catchup_response_valid(const struct catchup_response *m)
{
    /* Entries at or below the source's commit_number may be of any view (G2). */
    return view_valid_or_none(m->last_normal_view) && m->entry_count <= SYNC_ENTRIES_MAX &&
           entries_valid(m->entries, m->entries_size, m->entry_count, m->first_op, UINT64_MAX);
}

static bool checkpoint_offer_valid(const struct checkpoint_offer *m)
{
    return view_valid(m->view_number) && m->id.op_number > 0 && view_valid(m->id.view_number) &&
           m->id.view_number <= m->view_number && m->id.size > 0 &&
           m->id.size <= CHECKPOINT_SIZE_MAX;
}

static bool checkpoint_request_valid(const struct checkpoint_request *m)
{
    return view_valid_or_none(m->last_normal_view) && m->count > 0 &&
           m->count <= CHUNK_WINDOW_MAX && m->first < CHECKPOINT_CHUNKS_MAX;
}

static bool checkpoint_chunk_valid(const struct checkpoint_chunk *m)
{
    return m->index < CHECKPOINT_CHUNKS_MAX && m->size > 0 &&
           bytes_valid(m->bytes, m->size, CHECKPOINT_CHUNK_SIZE);
}

static bool backup_request_valid(const struct backup_request *m)
{
    if (checksum_equal(m->root, (struct checksum){0, 0})) {
        return !m->list && m->first == 0 && m->count == 0;
    }
    return m->count > 0 && m->count <= CHUNK_WINDOW_MAX && m->first < CHECKPOINT_CHUNKS_MAX;
}

static bool backup_offer_valid(const struct backup_offer *m)
{
    static const struct checkpoint_id none;
    const struct checkpoint_id *id = &m->id;
    if (m->replica_id == REPLICA_NONE || m->outcome < BACKUP_READY || m->outcome > BACKUP_FAILED) {
        return false;
    }
    if (m->outcome != BACKUP_READY) {
        return checkpoint_id_equal(id, &none);
    }
    return id->op_number > 0 && view_valid(id->view_number) && id->size > 0 &&
           id->size <= CHECKPOINT_SIZE_MAX && !checksum_equal(id->root, none.root);
}

static bool recovery_response_valid(const struct recovery_response *m)
{
    return view_valid(m->view_number) && log_valid(&m->log) &&
           m->log.last_normal_view == m->view_number;
}

static bool part_valid(const struct part *m)
{
    if (m->type == MESSAGE_NONE || m->type >= MESSAGE_PART || m->total_size > MESSAGE_SIZE_MAX ||
        m->part_size < PART_SIZE_MIN || m->part_size >= m->total_size) {
        return false;
    }
    const uint32_t count = (m->total_size + m->part_size - 1) / m->part_size;
    if (m->index >= count || m->data == NULL) {
        return false;
    }
    const uint32_t rest = m->total_size - m->index * m->part_size;
    return m->data_size == (rest < m->part_size ? rest : m->part_size);
}

static bool parts_missing_valid(const struct parts_missing *m)
{
    return m->bitmap_size > 0 && bytes_valid(m->bitmap, m->bitmap_size, PARTS_BITMAP_MAX);
}

static bool body_valid(const struct message *m)
{
    switch (m->type) {
    case MESSAGE_NONE:
        return false;
    case MESSAGE_REQUEST:
        return request_valid(&m->request);
    case MESSAGE_READ:
        return read_valid(&m->read);
    case MESSAGE_STATUS_REQUEST:
        return m->status_request.padding_size <= STATUS_PADDING_MAX;
    case MESSAGE_LOG_LEVEL_REQUEST:
        return text_valid(m->log_level_request.levels, 0);
    case MESSAGE_RESTORE_STATUS:
        return true;
    case MESSAGE_RESTORE:
        return restore_valid(&m->restore);
    case MESSAGE_BACKUP_REQUEST:
        return backup_request_valid(&m->backup_request);
    case MESSAGE_REPLY:
        return reply_valid(&m->reply);
    case MESSAGE_NOT_PRIMARY:
        return not_primary_valid(&m->not_primary);
    case MESSAGE_BUSY:
        return busy_valid(&m->busy);
    case MESSAGE_CHALLENGE:
        return m->challenge.token != 0;
    case MESSAGE_REFUSED:
        return refused_valid(&m->refused);
    case MESSAGE_STATUS:
        return status_report_valid(m->status);
    case MESSAGE_TRACE_REQUEST:
        return trace_request_valid(&m->trace_request);
    case MESSAGE_TRACE_REPORT:
        return trace_report_valid(&m->trace_report);
    case MESSAGE_LOG_LEVEL_REPORT:
        return log_level_report_valid(&m->log_level_report);
    case MESSAGE_RESTORE_REPORT:
        return restore_report_valid(&m->restore_report);
    case MESSAGE_BACKUP_OFFER:
        return backup_offer_valid(&m->backup_offer);
    case MESSAGE_BACKUP_CHUNK:
        return checkpoint_chunk_valid(&m->checkpoint_chunk);
    case MESSAGE_PREPARE:
        return prepare_valid(&m->prepare);
    case MESSAGE_PREPARE_OK:
        return view_valid(m->prepare_ok.view_number);
    case MESSAGE_COMMIT:
        return commit_valid(&m->commit);
    case MESSAGE_GOODBYE:
        return view_valid(m->goodbye.view_number);
    case MESSAGE_START_VIEW_CHANGE:
        return view_valid(m->start_view_change.view_number);
    case MESSAGE_DO_VIEW_CHANGE:
        return do_view_change_valid(&m->do_view_change);
    case MESSAGE_START_VIEW:
        return start_view_valid(&m->start_view);
    case MESSAGE_GET_VIEW:
        return view_valid(m->get_view.view_number);
    case MESSAGE_CATCHUP_REQUEST:
        return catchup_request_valid(&m->catchup_request);
    case MESSAGE_CATCHUP_RESPONSE:
        return catchup_response_valid(&m->catchup_response);
    case MESSAGE_CHECKPOINT_OFFER:
        return checkpoint_offer_valid(&m->checkpoint_offer);
    case MESSAGE_CHECKPOINT_REQUEST:
        return checkpoint_request_valid(&m->checkpoint_request);
    case MESSAGE_CHECKPOINT_CHUNK:
        return checkpoint_chunk_valid(&m->checkpoint_chunk);
    case MESSAGE_RECOVERY:
        return view_valid(m->recovery.view_number);
    case MESSAGE_RECOVERY_RESPONSE:
        return recovery_response_valid(&m->recovery_response);
    case MESSAGE_PART:
        return part_valid(&m->part);
    case MESSAGE_PARTS_MISSING:
        return parts_missing_valid(&m->parts_missing);
    }
    return false;
}

bool message_validate(const struct message *m)
{
    if (only_replicas_say(m->type) && m->from == REPLICA_NONE) {
        return false;
    }
    return body_valid(m);
}
