/* SPDX-License-Identifier: Apache-2.0 */
#include "server/runtime/trace.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#define VIEW(view_number) view_within_epoch(view_number)

__attribute__((format(printf, 2, 3))) static void say(char text[TRACE_TEXT_MAX], const char *format,
                                                      ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, TRACE_TEXT_MAX, format, arguments);
    va_end(arguments);
}

static void say_log(char text[TRACE_TEXT_MAX], const char *name, uint64_t view_number,
                    const struct log_descriptor *log)
{
    char normal[32] = "none";
    if (log->last_normal_view != VIEW_NONE) {
        (void)snprintf(normal, sizeof normal, "%" PRIu64, VIEW(log->last_normal_view));
    }
    say(text, "%s view %" PRIu64 " last normal view %s op %" PRIu64 " commit %" PRIu64, name,
        VIEW(view_number), normal, log->op_number, log->commit_number);
}

const char *trace_message(const struct message *m, char text[TRACE_TEXT_MAX])
{
    const char *name = message_type_name(m->type);
    switch (m->type) {
    case MESSAGE_REQUEST:
        say(text, "%s session %" PRIu64 " number %" PRIu64 " %" PRIu32 " bytes", name,
            m->request.session, m->request.request_number, m->request.operation_size);
        break;
    case MESSAGE_REPLY:
        say(text, "%s view %" PRIu64 " op %" PRIu64 " session %" PRIu64 " number %" PRIu64, name,
            VIEW(m->reply.view_number), m->reply.op_number, m->reply.session,
            m->reply.request_number);
        break;
    case MESSAGE_NOT_PRIMARY:
        say(text, "%s last normal view %" PRIu64 " status %s", name,
            VIEW(m->not_primary.last_normal_view), vr_status_name(m->not_primary.status));
        break;
    case MESSAGE_BUSY:
        say(text, "%s view %" PRIu64 " %s", name, VIEW(m->busy.view_number),
            busy_reason_name(m->busy.reason));
        break;
    case MESSAGE_PREPARE:
        say(text, "%s view %" PRIu64 " ops %" PRIu64 "..%" PRIu64 " commit %" PRIu64, name,
            VIEW(m->prepare.view_number), m->prepare.first_op,
            m->prepare.first_op + m->prepare.entry_count - 1, m->prepare.commit_number);
        break;
    case MESSAGE_PREPARE_OK:
        say(text, "%s view %" PRIu64 " op %" PRIu64, name, VIEW(m->prepare_ok.view_number),
            m->prepare_ok.op_number);
        break;
    case MESSAGE_COMMIT:
        say(text, "%s view %" PRIu64 " commit %" PRIu64 " op %" PRIu64, name,
            VIEW(m->commit.view_number), m->commit.commit_number, m->commit.op_number);
        break;
    case MESSAGE_GOODBYE:
        say(text, "%s view %" PRIu64, name, VIEW(m->goodbye.view_number));
        break;
    case MESSAGE_START_VIEW_CHANGE:
        say(text, "%s view %" PRIu64, name, VIEW(m->start_view_change.view_number));
        break;
    case MESSAGE_DO_VIEW_CHANGE:
        say_log(text, name, m->do_view_change.view_number, &m->do_view_change.log);
        break;
    case MESSAGE_START_VIEW:
        say_log(text, name, m->start_view.view_number, &m->start_view.log);
        break;
    case MESSAGE_GET_VIEW:
        say(text, "%s view %" PRIu64, name, VIEW(m->get_view.view_number));
        break;
    case MESSAGE_CATCHUP_REQUEST:
        say(text, "%s ops %" PRIu64 "..%" PRIu64, name, m->catchup_request.from_op,
            m->catchup_request.to_op);
        break;
    case MESSAGE_CATCHUP_RESPONSE:
        say(text, "%s from op %" PRIu64 " %" PRIu32 " entries", name, m->catchup_response.first_op,
            m->catchup_response.entry_count);
        break;
    case MESSAGE_RECOVERY:
        say(text, "%s view %" PRIu64, name, VIEW(m->recovery.view_number));
        break;
    case MESSAGE_RECOVERY_RESPONSE:
        say_log(text, name, m->recovery_response.view_number, &m->recovery_response.log);
        break;
    case MESSAGE_NONE:
    case MESSAGE_STATUS_REQUEST:
    case MESSAGE_LOG_LEVEL_REQUEST:
    case MESSAGE_CHALLENGE:
    case MESSAGE_REFUSED:
    case MESSAGE_STATUS:
    case MESSAGE_LOG_LEVEL_REPORT:
    case MESSAGE_PART:
    case MESSAGE_PARTS_MISSING:
        say(text, "%s", name);
        break;
    }
    return text;
}
