/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/trace_filter.h"

#include <string.h>
#include <strings.h>

_Static_assert(MESSAGE_TYPE_MAX < 64, "sets of types are 64-bit masks");

bool trace_filter_is_open(const struct trace_filter *filter)
{
    return !filter->by_type && filter->members == 0 && !filter->by_ops && !filter->by_view;
}

static bool is_progress(const struct trace_event *event)
{
    return event->type == TRACE_COMMITTED || event->type == TRACE_EXECUTED;
}

static bool passes_type(const struct trace_filter *filter, const struct trace_line *line)
{
    if (!filter->by_type) {
        return true;
    }
    if (line->fate == FATE_STATE) {
        return is_progress(&line->event) ? filter->progress : filter->states;
    }
    return (filter->types >> line->event.type & 1) != 0;
}

/* What is said of the head of a log is said of the log, not of that op. */
static bool is_about_ops(const struct trace_event *event)
{
    if (event->kind == TRACE_STATE) {
        return is_progress(event);
    }
    switch ((enum message_type)event->type) {
    case MESSAGE_REQUEST:
    case MESSAGE_REPLY:
    case MESSAGE_PREPARE:
    case MESSAGE_PREPARE_OK:
    case MESSAGE_CATCHUP_REQUEST:
    case MESSAGE_CATCHUP_RESPONSE:
        return event->first_op != 0;
    default:
        return false;
    }
}

static bool passes_ops(const struct trace_filter *filter, const struct trace_event *event)
{
    if (!filter->by_ops) {
        return true;
    }
    if (event->kind != TRACE_STATE && event->type == MESSAGE_COMMIT) {
        return event->commit_number >= filter->first_op && event->commit_number <= filter->last_op;
    }
    return is_about_ops(event) && event->first_op <= filter->last_op &&
           trace_event_last_op(event) >= filter->first_op;
}

static bool passes_member(const struct trace_filter *filter, const struct trace_line *line)
{
    const uint32_t ends = UINT32_C(1) << line->from | UINT32_C(1) << line->to;
    return filter->members == 0 || (filter->members & ends) != 0;
}

bool trace_filter_passes(const struct trace_filter *filter, const struct trace_line *line)
{
    return (filter->heartbeats || !line->repeated) && passes_type(filter, line) &&
           passes_member(filter, line) && passes_ops(filter, &line->event) &&
           (!filter->by_view || (line->event.view_number != VIEW_NONE &&
                                 view_within_epoch(line->event.view_number) == filter->view));
}

/* 0: there is no such type. */
static uint64_t type_bit(const char *name, size_t size)
{
    for (int type = 1; type <= MESSAGE_TYPE_MAX; type++) {
        const char *known = message_type_name((enum message_type)type);
        if (strlen(known) == size && strncasecmp(known, name, size) == 0) {
            return UINT64_C(1) << type;
        }
    }
    return 0;
}

static bool is_word(const char *name, size_t size, const char *word)
{
    return strlen(word) == size && strncasecmp(name, word, size) == 0;
}

bool trace_filter_parse_types(const char *text, struct trace_filter *filter, const char **wrong,
                              size_t *wrong_size)
{
    filter->by_type = true;
    for (;;) {
        const size_t size = strcspn(text, ",");
        const uint64_t bit = type_bit(text, size);
        if (is_word(text, size, "state")) {
            filter->states = true;
        } else if (is_word(text, size, "progress")) {
            filter->progress = true;
        } else if (bit != 0) {
            filter->types |= bit;
        } else {
            *wrong = text;
            *wrong_size = size;
            return false;
        }
        if (text[size] == '\0') {
            return true;
        }
        text += size + 1;
    }
}

void trace_filter_apply(const struct trace_filter *filter, struct trace_lines *lines)
{
    size_t kept = 0;
    for (size_t i = 0; i < lines->count; i++) {
        if (trace_filter_passes(filter, &lines->items[i])) {
            lines->items[kept++] = lines->items[i];
        }
    }
    lines->count = kept;
}
