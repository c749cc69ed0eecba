/* SPDX-License-Identifier: Apache-2.0 */
#include "common/os/trace_text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/os/clock.h"

struct line {
    char *text;
    size_t used;
};

/* Words with one space between them; what does not fit is left out. */
__attribute__((format(printf, 2, 3))) static void say(struct line *line, const char *format, ...)
{
    if (line->used > 0 && line->used < TRACE_TEXT_MAX - 1) {
        line->text[line->used++] = ' ';
        line->text[line->used] = '\0';
    }
    va_list arguments;
    va_start(arguments, format);
    const int written =
        vsnprintf(line->text + line->used, TRACE_TEXT_MAX - line->used, format, arguments);
    va_end(arguments);
    line->used += written > 0 ? (size_t)written : 0;
    if (line->used >= TRACE_TEXT_MAX) {
        line->used = TRACE_TEXT_MAX - 1;
    }
}

static void say_view(struct line *line, const char *name, uint64_t view_number)
{
    if (view_number == VIEW_NONE) {
        say(line, "%s none", name);
    } else {
        say(line, "%s %" PRIu64, name, view_within_epoch(view_number));
    }
}

static void say_ops(struct line *line, const struct trace_event *e)
{
    const uint64_t last_op = trace_event_last_op(e);
    if (e->first_op == last_op) {
        say(line, "op %" PRIu64, e->first_op);
    } else {
        say(line, "ops %" PRIu64 "..%" PRIu64, e->first_op, last_op);
    }
}

static void say_request(struct line *line, const struct trace_event *e)
{
    if (e->session != 0) {
        say(line, "session %" PRIu64, e->session);
    }
    if (e->request_number != 0) {
        say(line, "request %" PRIu64, e->request_number);
    }
}

static const char *reply_status_text(enum reply_status status)
{
    switch (status) {
    case REPLY_OK:
        return "";
    case REPLY_SESSION_EXPIRED:
        return "session expired";
    case REPLY_PAYLOAD_MISMATCH:
        return "another request had that number";
    case REPLY_SUPERSEDED:
        return "superseded";
    case REPLY_OPERATION_TOO_LARGE:
        return "operation too large";
    case REPLY_READ_BY_LOG:
        return "reads go through the log";
    case REPLY_NOT_A_READ:
        return "not a read";
    }
    return "?";
}

static void say_client_message(struct line *line, const struct trace_event *e)
{
    switch ((enum message_type)e->type) {
    case MESSAGE_REQUEST:
        if (e->extra == ENTRY_REGISTER) {
            say(line, "opens a session");
        } else if (e->extra == ENTRY_UNREGISTER) {
            say(line, "closes");
        }
        say_request(line, e);
        if (e->first_op != 0) {
            say(line, "becomes op %" PRIu64, e->first_op);
        }
        break;
    case MESSAGE_READ:
        if (e->extra == READ_STALE) {
            say(line, "stale");
        }
        say_request(line, e);
        break;
    case MESSAGE_REPLY:
        say_view(line, "view", e->view_number);
        if (e->first_op != 0) {
            say(line, "op %" PRIu64, e->first_op);
        }
        say_request(line, e);
        if (e->extra != REPLY_OK) {
            say(line, "%s", reply_status_text((enum reply_status)e->extra));
        }
        break;
    case MESSAGE_NOT_PRIMARY:
        say_view(line, "last normal view", e->view_number);
        say(line, "status %s", vr_status_name((enum vr_status)e->extra));
        say_request(line, e);
        break;
    case MESSAGE_BUSY:
        say_view(line, "view", e->view_number);
        say(line, "%s", busy_reason_name((enum busy_reason)e->extra));
        say_request(line, e);
        break;
    default:
        break;
    }
}

static void say_log(struct line *line, const struct trace_event *e, bool with_last_normal)
{
    say_view(line, "view", e->view_number);
    if (with_last_normal) {
        say_view(line, "last normal view", e->detail);
    }
    say(line, "op %" PRIu64 " commit %" PRIu64, e->first_op, e->commit_number);
}

static void say_peer_message(struct line *line, const struct trace_event *e)
{
    switch ((enum message_type)e->type) {
    case MESSAGE_PREPARE:
        say_view(line, "view", e->view_number);
        say_ops(line, e);
        say(line, "commit %" PRIu64, e->commit_number);
        break;
    case MESSAGE_PREPARE_OK:
        say_view(line, "view", e->view_number);
        say_ops(line, e);
        break;
    case MESSAGE_COMMIT:
        say_view(line, "view", e->view_number);
        say(line, "commit %" PRIu64 " op %" PRIu64, e->commit_number, e->first_op);
        break;
    case MESSAGE_GOODBYE:
    case MESSAGE_START_VIEW_CHANGE:
    case MESSAGE_GET_VIEW:
    case MESSAGE_RECOVERY:
        say_view(line, "view", e->view_number);
        break;
    case MESSAGE_DO_VIEW_CHANGE:
        say_log(line, e, true);
        break;
    case MESSAGE_START_VIEW:
    case MESSAGE_RECOVERY_RESPONSE:
        say_log(line, e, false);
        break;
    case MESSAGE_CATCHUP_REQUEST:
        say_ops(line, e);
        break;
    case MESSAGE_CHECKPOINT_OFFER:
        say(line, "of op %" PRIu64 ", %" PRIu64 " bytes", e->first_op, e->detail);
        break;
    case MESSAGE_CHECKPOINT_REQUEST:
        say(line, "chunk %" PRIu64, e->detail);
        break;
    case MESSAGE_CHECKPOINT_CHUNK:
        say(line, "chunk %" PRIu64, e->detail);
        break;
    case MESSAGE_CATCHUP_RESPONSE:
        if (e->payload_size > 0) {
            say_ops(line, e);
        } else {
            say(line, "does not hold op %" PRIu64, e->first_op);
        }
        break;
    default:
        break;
    }
}

static void say_suspicion(struct line *line, const struct trace_event *e)
{
    const uint64_t view = view_within_epoch(e->view_number);
    switch ((enum trace_suspicion)e->extra) {
    case SUSPICION_NO_QUORUM:
        say(line,
            "votes for view %" PRIu64 ": the primary of view %" PRIu64 " hears from no quorum",
            view + 1, view);
        break;
    case SUSPICION_GOODBYE:
        say(line, "votes for view %" PRIu64 ": the primary of view %" PRIu64 " said goodbye",
            view + 1, view);
        break;
    case SUSPICION_SILENCE:
    default:
        say(line, "suspects the primary of view %" PRIu64, view);
        if (e->detail != 0) {
            say(line, "after %.1f ms of silence", (double)e->detail / NANOSECONDS_PER_MILLISECOND);
        }
        break;
    }
}

static void say_durable(struct line *line, const struct trace_event *e)
{
    const uint64_t view = view_within_epoch(e->view_number);
    switch ((enum trace_durable)e->extra) {
    case DURABLE_PROMISE:
        say(line, "promise of view %" PRIu64, view);
        break;
    case DURABLE_NORMAL_VIEW:
        say(line, "last normal view %" PRIu64, view);
        break;
    case DURABLE_REST:
    default:
        say(line, "state file");
        break;
    }
    say(line, "durable after %.1f ms", (double)e->detail / NANOSECONDS_PER_MILLISECOND);
}

static void say_state(struct line *line, const struct trace_event *e)
{
    const uint64_t view = view_within_epoch(e->view_number);
    switch ((enum trace_state)e->type) {
    case TRACE_STARTED:
        say(line, "started, start %" PRIu64, e->detail);
        break;
    case TRACE_VIEW_CHANGE:
        say(line, "view change to view %" PRIu64, view);
        break;
    case TRACE_PRIMARY:
        say(line, "primary of view %" PRIu64, view);
        break;
    case TRACE_BACKUP:
        say(line, "backup in view %" PRIu64, view);
        break;
    case TRACE_RECOVERING:
        say(line, "recovering: asks the others for its log");
        break;
    case TRACE_SUSPECTS:
        say_suspicion(line, e);
        break;
    case TRACE_NO_QUORUM:
        say(line, "primary of view %" PRIu64 " hears from no quorum", view);
        break;
    case TRACE_HEARS:
        say(line, "hears the primary of view %" PRIu64 " again", view);
        break;
    case TRACE_HEARS_QUORUM:
        say(line, "primary of view %" PRIu64 " hears from a quorum again", view);
        break;
    case TRACE_DURABLE:
        say_durable(line, e);
        break;
    case TRACE_COMMITTED:
        say(line, "committed");
        say_ops(line, e);
        break;
    case TRACE_EXECUTED:
        say(line, "executed");
        say_ops(line, e);
        break;
    case TRACE_SYNC_BEGAN:
        say(line, "gets");
        say_ops(line, e);
        say(line, "from the others");
        break;
    case TRACE_SYNC_ENDED:
        say(line, "log sync ended, head op %" PRIu64, e->first_op);
        break;
    case TRACE_DIVERGED:
        say(line, "DIVERGED: left service");
        break;
    case TRACE_STOPPED:
        say(line, "stopped");
        break;
    }
}

static void say_details(struct line *line, const struct trace_event *e)
{
    if (e->kind == TRACE_STATE) {
        say_state(line, e);
    } else if (message_is_from_replica((enum message_type)e->type)) {
        say_peer_message(line, e);
    } else {
        say_client_message(line, e);
    }
    if (e->payload_size > 0) {
        say(line, "%" PRIu32 " bytes", e->payload_size);
    }
}

const char *trace_text(const struct trace_event *event, char text[TRACE_TEXT_MAX])
{
    struct line line = {.text = text};
    text[0] = '\0';
    if (event->kind != TRACE_STATE) {
        say(&line, "%s", message_type_name((enum message_type)event->type));
    }
    say_details(&line, event);
    return text;
}

const char *trace_text_details(const struct trace_event *event, char text[TRACE_TEXT_MAX])
{
    struct line line = {.text = text};
    text[0] = '\0';
    say_details(&line, event);
    return text;
}

const char *trace_text_client(const struct trace_event *event, char text[TRACE_CLIENT_TEXT_MAX])
{
    uint8_t ip[sizeof event->client_ip];
    memcpy(ip, &event->client_ip, sizeof ip);
    if (event->client_ipv6 != 0) {
        (void)snprintf(text, TRACE_CLIENT_TEXT_MAX, "[..%02x%02x:%02x%02x]:%u", ip[0], ip[1], ip[2],
                       ip[3], (unsigned)event->client_port);
    } else {
        (void)snprintf(text, TRACE_CLIENT_TEXT_MAX, "%u.%u.%u.%u:%u", ip[0], ip[1], ip[2], ip[3],
                       (unsigned)event->client_port);
    }
    return text;
}
