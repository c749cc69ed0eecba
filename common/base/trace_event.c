/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/trace_event.h"

#include <string.h>

#include "common/base/bytes.h" /* the byte form needs a little-endian machine */

const char *trace_verdict_name(enum trace_verdict verdict)
{
    static const char *const names[VERDICT_MAX + 1] = {
        [VERDICT_ACCEPTED] = "accepted",
        [VERDICT_GAP] = "gap",
        [VERDICT_ANSWERED] = "answered before",
        [VERDICT_REDIRECTED] = "not the primary",
        [VERDICT_BUSY] = "busy",
        [VERDICT_REFUSED] = "refused",
        [VERDICT_INVALID] = "invalid",
        [VERDICT_NOT_MEMBER] = "not a member",
        [VERDICT_CONFIGURATION] = "other configuration",
        [VERDICT_IDENTITY] = "identity not known",
        [VERDICT_INCARNATION] = "from before a restart",
        [VERDICT_STATUS] = "wrong status for it",
        [VERDICT_OLD_VIEW] = "old view",
        [VERDICT_NEWER_VIEW] = "newer view",
        [VERDICT_EPOCH] = "other epoch",
        [VERDICT_NOT_PRIMARY] = "not primary",
        [VERDICT_NOT_FROM_PRIMARY] = "not from the primary",
        [VERDICT_DUPLICATE] = "duplicate",
        [VERDICT_CHECKSUM] = "other log",
        [VERDICT_UNKNOWN_OP] = "unknown op",
        [VERDICT_NONCE] = "answers no question",
        [VERDICT_STASH_FULL] = "gap, no room",
        [VERDICT_LOG_FULL] = "log full",
        [VERDICT_RATE] = "rate limit",
        [VERDICT_OLD_REQUEST] = "old request",
        [VERDICT_STOPPED] = "stopped",
    };
    return (unsigned)verdict <= VERDICT_MAX ? names[verdict] : NULL;
}

const char *trace_state_name(enum trace_state state)
{
    static const char *const names[TRACE_STATE_MAX + 1] = {
        [TRACE_STARTED] = "started",
        [TRACE_VIEW_CHANGE] = "view change",
        [TRACE_PRIMARY] = "primary",
        [TRACE_BACKUP] = "backup",
        [TRACE_RECOVERING] = "recovering",
        [TRACE_SUSPECTS] = "suspects the primary",
        [TRACE_HEARS] = "hears the primary again",
        [TRACE_COMMITTED] = "committed",
        [TRACE_EXECUTED] = "executed",
        [TRACE_SYNC_BEGAN] = "log sync began",
        [TRACE_SYNC_ENDED] = "log sync ended",
        [TRACE_DIVERGED] = "diverged",
        [TRACE_STOPPED] = "stopped",
        [TRACE_NO_QUORUM] = "hears no quorum",
        [TRACE_HEARS_QUORUM] = "hears a quorum again",
        [TRACE_DURABLE] = "state durable",
    };
    return (unsigned)state <= TRACE_STATE_MAX ? names[state] : NULL;
}

bool trace_event_is_client(const struct trace_event *event)
{
    return event->kind != TRACE_STATE && event->type != MESSAGE_REFUSED &&
           !message_is_from_replica((enum message_type)event->type);
}

uint64_t trace_event_last_op(const struct trace_event *event)
{
    if (trace_event_is_client(event) || event->op_count == 0) {
        return event->first_op;
    }
    return event->first_op + event->op_count - 1;
}

/* ---- from a message ---- */

static void of_client(struct trace_event *e, const struct message *m, struct client_id client_id,
                      uint64_t session, uint64_t request_number)
{
    memcpy(&e->client_ip, m->address.ip + sizeof m->address.ip - sizeof e->client_ip,
           sizeof e->client_ip);
    e->client_port = m->address.port;
    e->client_ipv6 = m->address.ip[10] != 0xff || m->address.ip[11] != 0xff; /* types.h */
    e->client_id_low = client_id.low;
    e->session = session;
    e->request_number = request_number;
}

static void of_entries(struct trace_event *e, uint64_t first_op, uint32_t count, uint32_t size)
{
    e->first_op = first_op;
    e->op_count = count;
    e->payload_size = size;
}

static void of_log(struct trace_event *e, uint64_t view_number, const struct log_descriptor *log)
{
    e->view_number = view_number;
    e->first_op = log->op_number;
    e->op_count = 1;
    e->commit_number = log->commit_number;
    e->detail = log->last_normal_view;
}

static void of_client_message(const struct message *m, struct trace_event *e)
{
    switch (m->type) {
    case MESSAGE_REQUEST:
        of_client(e, m, m->request.client_id, m->request.session, m->request.request_number);
        e->payload_size = m->request.operation_size;
        e->extra = (uint8_t)m->request.kind;
        break;
    case MESSAGE_READ:
        of_client(e, m, m->read.client_id, 0, m->read.nonce);
        e->payload_size = m->read.operation_size;
        e->extra = (uint8_t)m->read.mode;
        break;
    case MESSAGE_REPLY:
        of_client(e, m, m->reply.client_id, m->reply.session, m->reply.request_number);
        e->view_number = m->reply.view_number;
        /* A read beside the log is no part of an op's story. */
        e->first_op =
            m->reply.session == 0 && m->reply.request_number != 0 ? 0 : m->reply.op_number;
        e->payload_size = m->reply.result_size;
        e->extra = (uint8_t)m->reply.status;
        break;
    case MESSAGE_NOT_PRIMARY:
        of_client(e, m, m->not_primary.client_id, m->not_primary.session,
                  m->not_primary.request_number);
        e->view_number = m->not_primary.last_normal_view;
        e->extra = (uint8_t)m->not_primary.status;
        break;
    case MESSAGE_BUSY:
        of_client(e, m, m->busy.client_id, m->busy.session, m->busy.request_number);
        e->view_number = m->busy.view_number;
        e->extra = (uint8_t)m->busy.reason;
        break;
    case MESSAGE_REFUSED:
        e->extra = (uint8_t)m->refused.reason;
        break;
    default:
        break;
    }
}

static void of_peer_message(const struct message *m, struct trace_event *e)
{
    switch (m->type) {
    case MESSAGE_PREPARE:
        of_entries(e, m->prepare.first_op, m->prepare.entry_count, m->prepare.entries_size);
        e->view_number = m->prepare.view_number;
        e->commit_number = m->prepare.commit_number;
        e->detail = m->prepare.round;
        break;
    case MESSAGE_PREPARE_OK:
        e->view_number = m->prepare_ok.view_number;
        e->first_op = m->prepare_ok.op_number;
        e->op_count = 1;
        e->detail = m->prepare_ok.round;
        break;
    case MESSAGE_COMMIT:
        e->view_number = m->commit.view_number;
        e->first_op = m->commit.op_number;
        e->op_count = 1;
        e->commit_number = m->commit.commit_number;
        e->detail = m->commit.round;
        break;
    case MESSAGE_GOODBYE:
        e->view_number = m->goodbye.view_number;
        break;
    case MESSAGE_START_VIEW_CHANGE:
        e->view_number = m->start_view_change.view_number;
        break;
    case MESSAGE_DO_VIEW_CHANGE:
        of_log(e, m->do_view_change.view_number, &m->do_view_change.log);
        break;
    case MESSAGE_START_VIEW:
        of_log(e, m->start_view.view_number, &m->start_view.log);
        break;
    case MESSAGE_GET_VIEW:
        e->view_number = m->get_view.view_number;
        break;
    case MESSAGE_CATCHUP_REQUEST:
        e->view_number = m->catchup_request.last_normal_view;
        e->first_op = m->catchup_request.from_op;
        e->op_count = (uint32_t)(m->catchup_request.to_op - m->catchup_request.from_op) + 1;
        e->detail = m->catchup_request.nonce;
        break;
    case MESSAGE_CATCHUP_RESPONSE:
        of_entries(e, m->catchup_response.first_op, m->catchup_response.entry_count,
                   m->catchup_response.entries_size);
        e->view_number = m->catchup_response.last_normal_view;
        e->detail = m->catchup_response.nonce;
        break;
    case MESSAGE_CHECKPOINT_OFFER:
        e->view_number = m->checkpoint_offer.view_number;
        e->first_op = m->checkpoint_offer.id.op_number;
        e->op_count = 1;
        e->detail = m->checkpoint_offer.id.size;
        break;
    case MESSAGE_CHECKPOINT_REQUEST:
        e->view_number = m->checkpoint_request.last_normal_view;
        e->detail = m->checkpoint_request.first;
        break;
    case MESSAGE_CHECKPOINT_CHUNK:
        e->detail = m->checkpoint_chunk.index;
        e->payload_size = m->checkpoint_chunk.size;
        break;
    case MESSAGE_RECOVERY:
        e->view_number = m->recovery.view_number;
        e->detail = m->recovery.nonce;
        break;
    case MESSAGE_RECOVERY_RESPONSE:
        of_log(e, m->recovery_response.view_number, &m->recovery_response.log);
        e->detail = m->recovery_response.nonce;
        break;
    default:
        break;
    }
}

void trace_event_of_message(const struct message *message, struct trace_event *event)
{
    *event = (struct trace_event){.type = (uint8_t)message->type};
    if (message_is_from_replica(message->type)) {
        of_peer_message(message, event);
    } else {
        of_client_message(message, event);
    }
}

/* ---- lanes ---- */

static enum trace_lane lane_of_state(enum trace_state state)
{
    return state == TRACE_COMMITTED || state == TRACE_EXECUTED ? TRACE_LANE_OPERATIONS
                                                               : TRACE_LANE_CHANGES;
}

enum trace_lane trace_event_lane(const struct trace_event *event)
{
    if (event->kind == TRACE_STATE) {
        return lane_of_state((enum trace_state)event->type);
    }
    if (event->repeated) {
        return TRACE_LANE_REPEATS;
    }
    switch ((enum message_type)event->type) {
    case MESSAGE_GOODBYE:
    case MESSAGE_REFUSED:
    case MESSAGE_START_VIEW_CHANGE:
    case MESSAGE_DO_VIEW_CHANGE:
    case MESSAGE_START_VIEW:
    case MESSAGE_GET_VIEW:
    case MESSAGE_RECOVERY:
    case MESSAGE_RECOVERY_RESPONSE:
        return TRACE_LANE_CHANGES;
    default:
        return TRACE_LANE_OPERATIONS;
    }
}

/* ---- what came from outside ---- */

/* What message.c knows no name for is none. */
static bool type_known(const struct trace_event *e)
{
    if (e->kind == TRACE_STATE) {
        return trace_state_name((enum trace_state)e->type) != NULL;
    }
    return (e->kind == TRACE_RECEIVED || e->kind == TRACE_SENT) && e->type != MESSAGE_NONE &&
           message_type_name((enum message_type)e->type)[0] != '?';
}

bool trace_event_decode(const uint8_t *bytes, struct trace_event *e)
{
    memcpy(e, bytes, sizeof *e);
    const bool client = trace_event_is_client(e);
    return type_known(e) && trace_verdict_name((enum trace_verdict)e->verdict) != NULL &&
           e->client_ipv6 <= (client ? 1 : 0) && e->repeated <= (client ? 0 : 1) &&
           (client || e->session == 0) && (client || e->peers < 1u << REPLICAS_MAX) &&
           (client || e->op_count == 0 || e->first_op <= UINT64_MAX - (e->op_count - 1)) &&
           (e->kind != TRACE_STATE || e->peers == 0);
}
