/* SPDX-License-Identifier: Apache-2.0 */
#include "server/runtime/recorder.h"

#include <inttypes.h>

#include "common/base/invariant.h"
#include "common/os/clock.h"
#include "common/os/logger.h"
#include "common/os/trace_text.h"

enum direction {
    DIRECTION_RECEIVED,
    DIRECTION_SENT,
};

/* ---- log lines (--log-level network=debug): the names are the replicas' ids, as in status ---- */

static void say_peers(const struct recorder *recorder, const struct trace_event *event,
                      const char *text)
{
    const struct member *members = recorder->configuration->members;
    for (uint32_t i = 0; i < recorder->configuration->member_count; i++) {
        if ((event->peers & (UINT32_C(1) << i)) != 0) {
            log_debug(LOG_NETWORK, "%" PRIu32 " %s %" PRIu32 "  %s",
                      members[recorder->self].replica_id, event->kind == TRACE_SENT ? "->" : "<-",
                      members[i].replica_id, text);
        }
    }
}

static void say(const struct recorder *recorder, const struct trace_event *event)
{
    const uint32_t own = recorder->configuration->members[recorder->self].replica_id;
    char text[TRACE_TEXT_MAX];
    char client[TRACE_CLIENT_TEXT_MAX];
    trace_text(event, text);
    if (event->kind == TRACE_STATE) {
        log_debug(LOG_NETWORK, "%" PRIu32 " :  %s", own, text);
    } else if (trace_event_is_client(event)) {
        log_debug(LOG_NETWORK, "%" PRIu32 " %s %s  %s", own,
                  event->kind == TRACE_SENT ? "->" : "<-", trace_text_client(event, client), text);
    } else {
        say_peers(recorder, event, text);
    }
}

/* ---- events ---- */

/* Room for the next event, and its time: later than that of the one before, so that times tell the
 * order. */
static struct trace_event *next_event(struct recorder *recorder)
{
    if (recorder->pending_count == RING_APPEND_MAX) {
        recorder_flush(recorder);
    }
    return &recorder->pending[recorder->pending_count++];
}

static uint64_t next_time(struct recorder *recorder, uint64_t now_ns)
{
    recorder->last_ns = now_ns > recorder->last_ns ? now_ns : recorder->last_ns + 1;
    return recorder->last_ns;
}

static void add_state(struct recorder *recorder, enum trace_state state,
                      const struct vr_glance *glance, uint64_t first_op, uint64_t last_op,
                      uint64_t detail, uint64_t now_ns)
{
    const uint64_t count = first_op == 0 ? 0 : last_op - first_op + 1;
    *next_event(recorder) = (struct trace_event){
        .time_ns = next_time(recorder, now_ns),
        .kind = TRACE_STATE,
        .type = (uint8_t)state,
        .view_number = glance->view_number,
        .first_op = first_op,
        .op_count = count < UINT32_MAX ? (uint32_t)count : UINT32_MAX,
        .commit_number = glance->commit_number,
        .detail = detail,
    };
}

static struct trace_event *add_message(struct recorder *recorder, const struct message *message,
                                       enum trace_kind kind, uint64_t now_ns)
{
    struct trace_event *event = next_event(recorder);
    trace_event_of_message(message, event);
    event->time_ns = next_time(recorder, now_ns);
    event->kind = (uint8_t)kind;
    return event;
}

/* What makes a message another one than the last of its type; rounds do not. 0: it cannot repeat.
 */
static uint64_t meaning(const struct trace_event *event)
{
    const uint64_t prime = UINT64_C(0x9e3779b97f4a7c15);
    const uint64_t parts[] = {event->view_number, event->commit_number, event->first_op,
                              event->detail};
    size_t count = sizeof parts / sizeof parts[0];
    switch ((enum message_type)event->type) {
    case MESSAGE_COMMIT: /* its op number only repeats what Prepares said */
        count = 2;
        break;
    case MESSAGE_PREPARE_OK:
        count = 3;
        break;
    case MESSAGE_START_VIEW_CHANGE:
    case MESSAGE_DO_VIEW_CHANGE:
    case MESSAGE_START_VIEW:
    case MESSAGE_GET_VIEW:
    case MESSAGE_RECOVERY:
    case MESSAGE_RECOVERY_RESPONSE:
        break;
    default:
        return 0;
    }
    uint64_t mixed = prime;
    for (size_t i = 0; i < count; i++) {
        mixed = (mixed ^ parts[i]) * prime;
        mixed ^= mixed >> 32;
    }
    return mixed != 0 ? mixed : 1;
}

/* Is this what the same sender has said to the same before? */
static uint8_t said_before(struct recorder *recorder, enum direction direction,
                           const struct trace_event *event)
{
    const uint32_t peers = event->peers;
    const bool single = (peers & (peers - 1)) == 0;
    const uint32_t slot =
        single && peers != 0 ? (uint32_t)__builtin_ctz(peers) : (uint32_t)REPLICAS_MAX;
    uint64_t *last = &recorder->said[direction][slot][event->type];
    const uint64_t means = meaning(event);
    const bool repeated = means != 0 && means == *last;
    *last = means;
    return repeated ? 1 : 0;
}

static enum trace_verdict verdict_of_drop(enum drop_reason reason)
{
    switch (reason) {
    case DROP_NONE:
    case DROP_REASON_COUNT:
        return VERDICT_ACCEPTED;
    case DROP_INVALID:
        return VERDICT_INVALID;
    case DROP_NOT_MEMBER:
        return VERDICT_NOT_MEMBER;
    case DROP_CONFIGURATION:
        return VERDICT_CONFIGURATION;
    case DROP_IDENTITY:
        return VERDICT_IDENTITY;
    case DROP_INCARNATION:
        return VERDICT_INCARNATION;
    case DROP_STATUS:
        return VERDICT_STATUS;
    case DROP_OLD_VIEW:
        return VERDICT_OLD_VIEW;
    case DROP_NEWER_VIEW:
        return VERDICT_NEWER_VIEW;
    case DROP_EPOCH:
        return VERDICT_EPOCH;
    case DROP_NOT_PRIMARY:
        return VERDICT_NOT_PRIMARY;
    case DROP_NOT_FROM_PRIMARY:
        return VERDICT_NOT_FROM_PRIMARY;
    case DROP_DUPLICATE:
        return VERDICT_DUPLICATE;
    case DROP_CHECKSUM:
        return VERDICT_CHECKSUM;
    case DROP_UNKNOWN_OP:
        return VERDICT_UNKNOWN_OP;
    case DROP_NONCE:
        return VERDICT_NONCE;
    case DROP_STASH_FULL:
        return VERDICT_STASH_FULL;
    case DROP_LOG_FULL:
        return VERDICT_LOG_FULL;
    case DROP_RATE:
        return VERDICT_RATE;
    case DROP_OLD_REQUEST:
        return VERDICT_OLD_REQUEST;
    case DROP_STOPPED:
        return VERDICT_STOPPED;
    }
    return VERDICT_ACCEPTED;
}

/* A request that became no entry was answered otherwise. */
static enum trace_verdict verdict_of_request(const struct vr_outputs *outputs)
{
    for (uint32_t i = 0; i < outputs->count; i++) {
        const struct vr_output *output = &outputs->items[i];
        if (output->kind == VR_OUT_LOOKUP) {
            return VERDICT_ANSWERED;
        }
        if (output->kind == VR_OUT_SEND_CLIENT) {
            switch (output->send.message.type) {
            case MESSAGE_NOT_PRIMARY:
                return VERDICT_REDIRECTED;
            case MESSAGE_BUSY:
                return VERDICT_BUSY;
            default:
                return VERDICT_REFUSED;
            }
        }
    }
    return VERDICT_ACCEPTED;
}

static bool is_asked_by_client(const struct message *message)
{
    return message->type == MESSAGE_REQUEST || message->type == MESSAGE_READ;
}

static enum trace_verdict verdict_of(const struct message *message, const struct vr_glance *glance,
                                     const struct vr_outputs *outputs)
{
    if (glance->dropped != DROP_NONE) {
        return verdict_of_drop(glance->dropped);
    }
    if (is_asked_by_client(message)) {
        return verdict_of_request(outputs);
    }
    return glance->gap ? VERDICT_GAP : VERDICT_ACCEPTED;
}

/* ---- what happens ---- */

void recorder_started(struct recorder *recorder, uint64_t incarnation, uint64_t now_ns)
{
    const struct vr_glance nothing = {.view_number = VIEW_NONE};
    add_state(recorder, TRACE_STARTED, &nothing, 0, 0, incarnation, now_ns);
}

void recorder_received(struct recorder *recorder, const struct message *message,
                       const struct vr_glance *glance, const struct vr_outputs *outputs,
                       uint64_t now_ns)
{
    struct trace_event *event = add_message(recorder, message, TRACE_RECEIVED, now_ns);
    event->verdict = (uint8_t)verdict_of(message, glance, outputs);
    if (!is_asked_by_client(message)) {
        const uint32_t peer = configuration_index(recorder->configuration, message->from);
        event->peers = (uint16_t)(peer < REPLICAS_MAX ? 1u << peer : 0);
        event->repeated = said_before(recorder, DIRECTION_RECEIVED, event);
    }
    if (message->type == MESSAGE_REQUEST && event->verdict == VERDICT_ACCEPTED &&
        glance->op_number == recorder->seen.op_number + 1) {
        event->first_op = glance->op_number; /* the entry that it became */
        event->view_number = glance->view_number;
    }
}

/* Is it what the message says that was stepped just now? */
static bool is_goodbye(const struct recorder *recorder)
{
    const struct trace_event *last =
        recorder->pending_count > 0 ? &recorder->pending[recorder->pending_count - 1] : NULL;
    return last != NULL && last->kind == TRACE_RECEIVED && last->type == MESSAGE_GOODBYE;
}

static void note_suspicion_of_primary(struct recorder *recorder, uint64_t now_ns)
{
    const struct vr_glance *before = &recorder->seen;
    const uint64_t heard_ns = before->primary_heard_ns;
    const enum trace_suspicion why = is_goodbye(recorder)      ? SUSPICION_GOODBYE
                                     : before->primary_gave_up ? SUSPICION_NO_QUORUM
                                                               : SUSPICION_SILENCE;
    const bool known = why == SUSPICION_SILENCE && heard_ns != 0 && heard_ns < now_ns;
    add_state(recorder, TRACE_SUSPECTS, before, 0, 0, known ? now_ns - heard_ns : 0, now_ns);
    recorder->pending[recorder->pending_count - 1].extra = (uint8_t)why;
}

/* V1: a suspicion may be over within the step that began it: its vote was the one that lacked. */
static void note_suspicion(struct recorder *recorder, const struct vr_glance *now, uint64_t now_ns)
{
    const struct vr_glance *before = &recorder->seen;
    if (now->suspicions != before->suspicions && before->acting_primary) {
        add_state(recorder, TRACE_NO_QUORUM, before, 0, 0, 0, now_ns);
    } else if (now->suspicions != before->suspicions) {
        note_suspicion_of_primary(recorder, now_ns);
    } else if (before->suspecting && !now->suspecting && now->view_number == before->view_number &&
               now->status == STATUS_NORMAL && before->status == STATUS_NORMAL) {
        add_state(recorder, now->acting_primary ? TRACE_HEARS_QUORUM : TRACE_HEARS, now, 0, 0, 0,
                  now_ns);
    }
}

static void note_status(struct recorder *recorder, const struct vr_glance *now, uint64_t now_ns)
{
    const struct vr_glance *before = &recorder->seen;
    if (now->status == before->status && now->view_number == before->view_number &&
        (now->status != STATUS_NORMAL || now->acting_primary == before->acting_primary)) {
        return;
    }
    switch (now->status) {
    case STATUS_NORMAL:
        add_state(recorder, now->acting_primary ? TRACE_PRIMARY : TRACE_BACKUP, now, now->op_number,
                  now->op_number, 0, now_ns);
        break;
    case STATUS_VIEW_CHANGE:
        add_state(recorder, TRACE_VIEW_CHANGE, now, now->op_number, now->op_number, 0, now_ns);
        break;
    case STATUS_RECOVERING:
        if (before->status != STATUS_RECOVERING) {
            add_state(recorder, TRACE_RECOVERING, now, 0, 0, 0, now_ns);
        }
        break;
    case STATUS_TRANSITIONING:
        break;
    }
}

static void note_sync(struct recorder *recorder, const struct vr_glance *now, uint64_t now_ns)
{
    const struct vr_glance *before = &recorder->seen;
    if (now->sync_target != 0 && before->sync_target == 0) {
        const uint64_t first_op = now->sync_from + 1;
        add_state(recorder, TRACE_SYNC_BEGAN, now,
                  first_op < now->sync_target ? first_op : now->sync_target, now->sync_target, 0,
                  now_ns);
    } else if (now->sync_target == 0 && before->sync_target != 0) {
        add_state(recorder, TRACE_SYNC_ENDED, now, now->op_number, now->op_number, 0, now_ns);
    }
}

/* What becomes an event if it differs. */
static bool is_moved(const struct vr_glance *before, const struct vr_glance *now)
{
    return now->commit_number != before->commit_number || now->status != before->status ||
           now->view_number != before->view_number ||
           now->acting_primary != before->acting_primary || now->suspecting != before->suspecting ||
           now->suspicions != before->suspicions || now->sync_target != before->sync_target ||
           now->diverged != before->diverged || now->stopped != before->stopped;
}

void recorder_glanced(struct recorder *recorder, const struct vr_glance *now, uint64_t now_ns)
{
    struct vr_glance *before = &recorder->seen;
    if (!is_moved(before, now)) { /* as after most steps */
        before->op_number = now->op_number;
        before->primary_heard_ns = now->primary_heard_ns;
        before->primary_gave_up = now->primary_gave_up;
        return;
    }
    if (now->suspecting != before->suspecting || now->suspicions != before->suspicions) {
        note_suspicion(recorder, now, now_ns);
    }
    note_sync(recorder, now, now_ns);
    note_status(recorder, now, now_ns);
    if (now->commit_number > before->commit_number) {
        add_state(recorder, TRACE_COMMITTED, now, before->commit_number + 1, now->commit_number, 0,
                  now_ns);
    }
    if (now->diverged && !before->diverged) {
        add_state(recorder, TRACE_DIVERGED, now, 0, 0, 0, now_ns);
    }
    if (now->stopped && !before->stopped) {
        add_state(recorder, TRACE_STOPPED, now, 0, 0, 0, now_ns);
    }
    *before = *now;
}

void recorder_sent_peers(struct recorder *recorder, uint32_t member_mask,
                         const struct message *message, uint64_t now_ns)
{
    struct trace_event *event = add_message(recorder, message, TRACE_SENT, now_ns);
    event->peers = (uint16_t)member_mask;
    event->repeated = said_before(recorder, DIRECTION_SENT, event);
}

void recorder_sent_client(struct recorder *recorder, const struct message *message, uint64_t now_ns)
{
    (void)add_message(recorder, message, TRACE_SENT, now_ns);
}

void recorder_state_writing(struct recorder *recorder, const struct vr_durable_state *state,
                            uint64_t now_ns)
{
    recorder->writing_view = state->view_number;
    recorder->writing_normal_view = state->last_normal_view;
    recorder->writing_since_ns = now_ns;
}

void recorder_state_durable(struct recorder *recorder, uint64_t now_ns)
{
    const bool promise = recorder->writing_view != recorder->durable_view;
    const bool normal = recorder->writing_normal_view != recorder->durable_normal_view;
    struct vr_glance glance = recorder->seen;
    glance.view_number = promise ? recorder->writing_view : recorder->writing_normal_view;
    recorder->durable_view = recorder->writing_view;
    recorder->durable_normal_view = recorder->writing_normal_view;
    add_state(recorder, TRACE_DURABLE, &glance, 0, 0, now_ns - recorder->writing_since_ns, now_ns);
    recorder->pending[recorder->pending_count - 1].extra = (uint8_t)(promise  ? DURABLE_PROMISE
                                                                     : normal ? DURABLE_NORMAL_VIEW
                                                                              : DURABLE_REST);
}

/* One event for the run of ops since the last flush, in front of the replies to them. */
void recorder_executed(struct recorder *recorder, uint64_t op_number)
{
    const struct vr_glance nothing = {.view_number = VIEW_NONE};
    if (recorder->executed_count > 0) {
        struct trace_event *run = &recorder->pending[recorder->executed_count - 1];
        INVARIANT(run->kind == TRACE_STATE && run->type == TRACE_EXECUTED);
        INVARIANT(op_number == run->first_op + run->op_count);
        run->op_count++;
        return;
    }
    add_state(recorder, TRACE_EXECUTED, &nothing, op_number, op_number, 0, clock_monotonic_ns());
    recorder->executed_count = recorder->pending_count;
}

void recorder_flush(struct recorder *recorder)
{
    if (recorder->pending_count == 0) {
        return;
    }
    const bool lines = logger_enabled(LOG_LEVEL_DEBUG, LOG_NETWORK);
    for (size_t i = 0; lines && i < recorder->pending_count; i++) {
        say(recorder, &recorder->pending[i]);
    }
    event_ring_append(recorder->ring, recorder->pending, recorder->pending_count);
    recorder->pending_count = 0;
    recorder->executed_count = 0;
}
