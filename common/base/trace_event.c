/* SPDX-License-Identifier: Apache-2.0 */
/* trace_event.c - little-endian, in the order of the struct:
 *
 *    0  ten u64  number to request_number
 *   80  ip       16 bytes
 *   96  port     u16
 *   98  zero     u16
 *  100  scope    u32
 *  104  peers    u32
 *  108  payload  u32
 *  112  kind, type, verdict, extra  u8 each; the top bit of kind: repeated */
#include "common/base/trace_event.h"

#include "common/base/bytes.h"

enum {
    NUMBERS = 10,
    AT_ADDRESS = NUMBERS * 8,
    AT_PEERS = AT_ADDRESS + 24,
    AT_KIND = AT_PEERS + 8,
    KIND_REPEATED = 0x80,
};
_Static_assert(AT_KIND + 4 == TRACE_EVENT_SIZE, "the byte form is as long as its fields");

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
    };
    return (unsigned)state <= TRACE_STATE_MAX ? names[state] : NULL;
}

/* ---- from a message ---- */

static void of_client(struct trace_event *e, struct client_id client_id, uint64_t session,
                      uint64_t request_number)
{
    e->client_id_low = client_id.low;
    e->session = session;
    e->request_number = request_number;
}

static void of_entries(struct trace_event *e, uint64_t first_op, uint32_t count, uint32_t size)
{
    e->first_op = first_op;
    e->last_op = first_op + count - (count > 0 ? 1 : 0);
    e->payload_size = size;
}

static void of_log(struct trace_event *e, uint64_t view_number, const struct log_descriptor *log)
{
    e->view_number = view_number;
    e->first_op = log->op_number;
    e->last_op = log->op_number;
    e->commit_number = log->commit_number;
    e->detail = log->last_normal_view;
}

static void of_client_message(const struct message *m, struct trace_event *e)
{
    switch (m->type) {
    case MESSAGE_REQUEST:
        of_client(e, m->request.client_id, m->request.session, m->request.request_number);
        e->payload_size = m->request.operation_size;
        e->extra = (uint8_t)m->request.kind;
        break;
    case MESSAGE_REPLY:
        of_client(e, m->reply.client_id, m->reply.session, m->reply.request_number);
        e->view_number = m->reply.view_number;
        e->first_op = m->reply.op_number;
        e->last_op = m->reply.op_number;
        e->payload_size = m->reply.result_size;
        e->extra = (uint8_t)m->reply.status;
        break;
    case MESSAGE_NOT_PRIMARY:
        of_client(e, m->not_primary.client_id, m->not_primary.session,
                  m->not_primary.request_number);
        e->view_number = m->not_primary.last_normal_view;
        e->extra = (uint8_t)m->not_primary.status;
        break;
    case MESSAGE_BUSY:
        of_client(e, m->busy.client_id, m->busy.session, m->busy.request_number);
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
        e->last_op = m->prepare_ok.op_number;
        e->detail = m->prepare_ok.round;
        break;
    case MESSAGE_COMMIT:
        e->view_number = m->commit.view_number;
        e->first_op = m->commit.op_number;
        e->last_op = m->commit.op_number;
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
        e->last_op = m->catchup_request.to_op;
        e->detail = m->catchup_request.nonce;
        break;
    case MESSAGE_CATCHUP_RESPONSE:
        of_entries(e, m->catchup_response.first_op, m->catchup_response.entry_count,
                   m->catchup_response.entries_size);
        e->view_number = m->catchup_response.last_normal_view;
        e->detail = m->catchup_response.nonce;
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

/* ---- bytes ---- */

void trace_event_encode(const struct trace_event *e, uint8_t *bytes)
{
    const uint64_t numbers[NUMBERS] = {
        e->number,        e->time_ns, e->view_number,   e->first_op, e->last_op,
        e->commit_number, e->detail,  e->client_id_low, e->session,  e->request_number,
    };
    for (size_t i = 0; i < NUMBERS; i++) {
        bytes_put_u64(bytes + i * 8, numbers[i]);
    }
    memcpy(bytes + AT_ADDRESS, e->address.ip, sizeof e->address.ip);
    bytes_put_u16(bytes + AT_ADDRESS + 16, e->address.port);
    bytes_put_u16(bytes + AT_ADDRESS + 18, 0);
    bytes_put_u32(bytes + AT_ADDRESS + 20, e->address.scope_id);
    bytes_put_u32(bytes + AT_PEERS, e->peers);
    bytes_put_u32(bytes + AT_PEERS + 4, e->payload_size);
    bytes[AT_KIND] = (uint8_t)(e->kind | (e->repeated ? KIND_REPEATED : 0));
    bytes[AT_KIND + 1] = e->type;
    bytes[AT_KIND + 2] = e->verdict;
    bytes[AT_KIND + 3] = e->extra;
}

/* What message.c knows no name for is none. */
static bool type_known(const struct trace_event *e)
{
    if (e->kind == TRACE_STATE) {
        return trace_state_name((enum trace_state)e->type) != NULL;
    }
    return (e->kind == TRACE_RECEIVED || e->kind == TRACE_SENT) && e->type != MESSAGE_NONE &&
           message_type_name((enum message_type)e->type)[0] != '?';
}

static bool event_valid(const struct trace_event *e)
{
    return type_known(e) && e->first_op <= e->last_op && e->peers < UINT32_C(1) << REPLICAS_MAX &&
           trace_verdict_name((enum trace_verdict)e->verdict) != NULL &&
           (e->kind != TRACE_STATE || e->peers == 0);
}

bool trace_event_decode(const uint8_t *bytes, struct trace_event *e)
{
    uint64_t numbers[NUMBERS];
    for (size_t i = 0; i < NUMBERS; i++) {
        numbers[i] = bytes_get_u64(bytes + i * 8);
    }
    *e = (struct trace_event){
        .number = numbers[0],
        .time_ns = numbers[1],
        .view_number = numbers[2],
        .first_op = numbers[3],
        .last_op = numbers[4],
        .commit_number = numbers[5],
        .detail = numbers[6],
        .client_id_low = numbers[7],
        .session = numbers[8],
        .request_number = numbers[9],
        .address = {.port = bytes_get_u16(bytes + AT_ADDRESS + 16),
                    .scope_id = bytes_get_u32(bytes + AT_ADDRESS + 20)},
        .peers = bytes_get_u32(bytes + AT_PEERS),
        .payload_size = bytes_get_u32(bytes + AT_PEERS + 4),
        .kind = (uint8_t)(bytes[AT_KIND] & ~KIND_REPEATED),
        .type = bytes[AT_KIND + 1],
        .verdict = bytes[AT_KIND + 2],
        .extra = bytes[AT_KIND + 3],
        .repeated = (bytes[AT_KIND] & KIND_REPEATED) != 0,
    };
    memcpy(e->address.ip, bytes + AT_ADDRESS, sizeof e->address.ip);
    return event_valid(e) && bytes_get_u16(bytes + AT_ADDRESS + 18) == 0;
}
