/* SPDX-License-Identifier: Apache-2.0 */
#include "test/support/linear_text.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/wire/kv_codec.h"

const char *cell_value_text(struct cell_value value, char text[CELL_VALUE_TEXT_MAX])
{
    switch (value.kind) {
    case CELL_ABSENT:
        (void)snprintf(text, CELL_VALUE_TEXT_MAX, "no value");
        break;
    case CELL_NUMBER:
        (void)snprintf(text, CELL_VALUE_TEXT_MAX, "%" PRId64, (int64_t)value.content);
        break;
    case CELL_TEXT:
        (void)snprintf(text, CELL_VALUE_TEXT_MAX, "a text (%016" PRIx64 ")", value.content);
        break;
    }
    return text;
}

enum { ASKED_TEXT_MAX = 96 };

static void ask(const struct cell_operation *o, char text[ASKED_TEXT_MAX])
{
    char value[CELL_VALUE_TEXT_MAX];
    char expected[CELL_VALUE_TEXT_MAX];
    switch (o->verb) {
    case KV_SET:
        (void)snprintf(text, ASKED_TEXT_MAX, "set to %s", cell_value_text(o->value, value));
        break;
    case KV_DEL:
        (void)snprintf(text, ASKED_TEXT_MAX, "del");
        break;
    case KV_CAS:
        (void)snprintf(text, ASKED_TEXT_MAX, "cas expecting %s to %s",
                       cell_value_text(o->expected, expected), cell_value_text(o->value, value));
        break;
    case KV_INCR:
        (void)snprintf(text, ASKED_TEXT_MAX, "incr by %" PRId64, o->by);
        break;
    default:
        (void)snprintf(text, ASKED_TEXT_MAX, "get");
    }
}

const char *linear_operation_text(const struct linear_operation *operation,
                                  char text[LINEAR_OPERATION_TEXT_MAX])
{
    char asked[ASKED_TEXT_MAX];
    char value[CELL_VALUE_TEXT_MAX] = "";
    ask(&operation->operation, asked);
    if (operation->returned_ns == LINEAR_UNKNOWN) {
        (void)snprintf(text, LINEAR_OPERATION_TEXT_MAX,
                       "client %" PRIu32 ": %s, invoked at %.3f ms, outcome unknown",
                       operation->client, asked, (double)operation->invoked_ns / 1e6);
        return text;
    }
    const bool has_value = operation->result.value.kind != CELL_ABSENT;
    (void)snprintf(
        text, LINEAR_OPERATION_TEXT_MAX,
        "client %" PRIu32 ": %s, invoked at %.3f ms, %s%s%s at %.3f ms", operation->client, asked,
        (double)operation->invoked_ns / 1e6,
        operation->result.status == KV_OK ? "ok" : kv_status_text(operation->result.status),
        has_value ? " with " : "", has_value ? cell_value_text(operation->result.value, value) : "",
        (double)operation->returned_ns / 1e6);
    return text;
}

void linear_verdict_text(const struct linear_verdict *verdict, char text[LINEAR_VERDICT_TEXT_MAX])
{
    char value[CELL_VALUE_TEXT_MAX];
    char writer[LINEAR_OPERATION_TEXT_MAX] = "the beginning";
    char stuck[LINEAR_OPERATION_TEXT_MAX] = "";
    if (verdict->writer != NULL) {
        (void)linear_operation_text(verdict->writer, writer);
    }
    if (verdict->stuck_count > 0) {
        (void)linear_operation_text(verdict->stuck[0], stuck);
    }
    (void)snprintf(text, LINEAR_VERDICT_TEXT_MAX,
                   "%s the %zu operations on one key: after %zu of them it holds %s (%s), and "
                   "what must come next does not fit: %s%s",
                   verdict->outcome == LINEAR_UNDECIDED ? "no order was found yet that explains"
                                                        : "no order explains",
                   verdict->count, verdict->ordered, cell_value_text(verdict->value, value), writer,
                   stuck, verdict->stuck_count > 1 ? "; nor do others" : "");
}
