/* SPDX-License-Identifier: Apache-2.0 */
#include "test/support/message_text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

struct line {
    char *text;
    size_t size;
    size_t used;
};

__attribute__((format(printf, 2, 3))) static void say(struct line *line, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    const int written =
        vsnprintf(line->text + line->used, line->size - line->used, format, arguments);
    va_end(arguments);
    if (written > 0) {
        line->used += (size_t)written;
        if (line->used >= line->size) {
            line->used = line->size - 1;
        }
    }
}

static void say_log(struct line *line, const struct log_descriptor *log)
{
    say(line, " lnv=%" PRIu64 " op=%" PRIu64 "/%04x k=%" PRIu64,
        view_within_epoch(log->last_normal_view), log->op_number,
        (unsigned)(log->head_checksum.low & 0xffff), log->commit_number);
}

static void say_normal(struct line *line, const struct message *m)
{
    switch (m->type) {
    case MESSAGE_PREPARE:
        say(line, " v=%" PRIu64 " ops=%" PRIu64 "..%" PRIu64 " k=%" PRIu64 " round=%" PRIu64,
            view_within_epoch(m->prepare.view_number), m->prepare.first_op,
            m->prepare.first_op + m->prepare.entry_count - 1, m->prepare.commit_number,
            m->prepare.round);
        break;
    case MESSAGE_PREPARE_OK:
        say(line, " v=%" PRIu64 " op=%" PRIu64 "/%04x round=%" PRIu64,
            view_within_epoch(m->prepare_ok.view_number), m->prepare_ok.op_number,
            (unsigned)(m->prepare_ok.checksum.low & 0xffff), m->prepare_ok.round);
        break;
    case MESSAGE_COMMIT:
        say(line, " v=%" PRIu64 " k=%" PRIu64 " op=%" PRIu64 " round=%" PRIu64,
            view_within_epoch(m->commit.view_number), m->commit.commit_number, m->commit.op_number,
            m->commit.round);
        break;
    case MESSAGE_GOODBYE:
        say(line, " v=%" PRIu64, view_within_epoch(m->goodbye.view_number));
        break;
    default:
        break;
    }
}

static void say_view_change(struct line *line, const struct message *m)
{
    switch (m->type) {
    case MESSAGE_START_VIEW_CHANGE:
        say(line, " v=%" PRIu64, view_within_epoch(m->start_view_change.view_number));
        break;
    case MESSAGE_DO_VIEW_CHANGE:
        say(line, " v=%" PRIu64, view_within_epoch(m->do_view_change.view_number));
        say_log(line, &m->do_view_change.log);
        say(line, " synced=%" PRIu64, m->do_view_change.synced_op);
        if (m->do_view_change.faulty_from != 0) {
            say(line, " faulty from %" PRIu64, m->do_view_change.faulty_from);
        }
        break;
    case MESSAGE_START_VIEW:
        say(line, " v=%" PRIu64, view_within_epoch(m->start_view.view_number));
        say_log(line, &m->start_view.log);
        break;
    case MESSAGE_GET_VIEW:
        say(line, " v=%" PRIu64, view_within_epoch(m->get_view.view_number));
        break;
    default:
        break;
    }
}

static void say_sync(struct line *line, const struct message *m)
{
    switch (m->type) {
    case MESSAGE_CATCHUP_REQUEST:
        say(line, " lnv=%" PRIu64 " ops=%" PRIu64 "..%" PRIu64 " nonce=%04x",
            view_within_epoch(m->catchup_request.last_normal_view), m->catchup_request.from_op,
            m->catchup_request.to_op, (unsigned)(m->catchup_request.nonce & 0xffff));
        break;
    case MESSAGE_CHECKPOINT_OFFER:
        say(line, " v=%" PRIu64 " op=%" PRIu64 "/%04x root=%04x size=%" PRIu64 " nonce=%04x",
            view_within_epoch(m->checkpoint_offer.view_number), m->checkpoint_offer.id.op_number,
            (unsigned)(m->checkpoint_offer.id.log.low & 0xffff),
            (unsigned)(m->checkpoint_offer.id.root.low & 0xffff), m->checkpoint_offer.id.size,
            (unsigned)(m->checkpoint_offer.nonce & 0xffff));
        break;
    case MESSAGE_CHECKPOINT_REQUEST:
        say(line, " root=%04x %s=%" PRIu64 " nonce=%04x",
            (unsigned)(m->checkpoint_request.root.low & 0xffff),
            m->checkpoint_request.list ? "list" : "chunk", m->checkpoint_request.first,
            (unsigned)(m->checkpoint_request.nonce & 0xffff));
        break;
    case MESSAGE_CHECKPOINT_CHUNK:
        say(line, " root=%04x %s=%" PRIu64 " size=%" PRIu32 " nonce=%04x",
            (unsigned)(m->checkpoint_chunk.root.low & 0xffff),
            m->checkpoint_chunk.list ? "list" : "chunk", m->checkpoint_chunk.index,
            m->checkpoint_chunk.size, (unsigned)(m->checkpoint_chunk.nonce & 0xffff));
        break;
    case MESSAGE_CATCHUP_RESPONSE:
        say(line, " lnv=%" PRIu64 " first=%" PRIu64 " count=%u nonce=%04x",
            view_within_epoch(m->catchup_response.last_normal_view), m->catchup_response.first_op,
            m->catchup_response.entry_count, (unsigned)(m->catchup_response.nonce & 0xffff));
        break;
    case MESSAGE_RECOVERY:
        say(line, " v=%" PRIu64 " nonce=%04x", view_within_epoch(m->recovery.view_number),
            (unsigned)(m->recovery.nonce & 0xffff));
        break;
    case MESSAGE_RECOVERY_RESPONSE:
        say(line, " v=%" PRIu64 " nonce=%04x", view_within_epoch(m->recovery_response.view_number),
            (unsigned)(m->recovery_response.nonce & 0xffff));
        say_log(line, &m->recovery_response.log);
        break;
    default:
        break;
    }
}

static void say_client(struct line *line, const struct message *m)
{
    switch (m->type) {
    case MESSAGE_REQUEST:
        say(line, " client=%04x session=%" PRIu64 " request=%" PRIu64 " kind=%d size=%u",
            (unsigned)(m->request.client_id.low & 0xffff), m->request.session,
            m->request.request_number, (int)m->request.kind, m->request.operation_size);
        break;
    case MESSAGE_READ:
        say(line, " client=%04x nonce=%" PRIu64 " mode=%d min_op=%" PRIu64 " size=%u",
            (unsigned)(m->read.client_id.low & 0xffff), m->read.nonce, (int)m->read.mode,
            m->read.min_op, m->read.operation_size);
        break;
    case MESSAGE_REPLY:
        say(line,
            " client=%04x session=%" PRIu64 " request=%" PRIu64 " status=%d op=%" PRIu64
            " v=%" PRIu64 " size=%u",
            (unsigned)(m->reply.client_id.low & 0xffff), m->reply.session, m->reply.request_number,
            (int)m->reply.status, m->reply.op_number, view_within_epoch(m->reply.view_number),
            m->reply.result_size);
        break;
    case MESSAGE_NOT_PRIMARY:
        say(line, " client=%04x request=%" PRIu64 " lnv=%" PRIu64 " status=%s",
            (unsigned)(m->not_primary.client_id.low & 0xffff), m->not_primary.request_number,
            view_within_epoch(m->not_primary.last_normal_view),
            vr_status_name(m->not_primary.status));
        break;
    case MESSAGE_BUSY:
        say(line, " client=%04x request=%" PRIu64 " reason=%d",
            (unsigned)(m->busy.client_id.low & 0xffff), m->busy.request_number,
            (int)m->busy.reason);
        break;
    case MESSAGE_REFUSED:
        say(line, " reason=%d", (int)m->refused.reason);
        break;
    case MESSAGE_PART:
        say(line, " id=%" PRIx64 " index=%u of %u bytes", m->part.id, m->part.index,
            m->part.total_size);
        break;
    default:
        break;
    }
}

const char *message_text(const struct message *message, char *text, size_t size)
{
    struct line line = {.text = text, .size = size, .used = 0};
    say(&line, "%s", message_type_name(message->type));
    say_normal(&line, message);
    say_view_change(&line, message);
    say_sync(&line, message);
    say_client(&line, message);
    return text;
}
