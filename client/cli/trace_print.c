/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/trace_print.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/json_text.h"
#include "client/cli/terminal.h"
#include "common/os/clock.h"
#include "common/os/trace_text.h"

const char *trace_outcome(const struct trace_line *line)
{
    switch (line->fate) {
    case FATE_RECEIVED:
        return trace_verdict_name(line->verdict);
    case FATE_LOST:
        return "lost";
    case FATE_IN_FLIGHT:
        return "in flight";
    case FATE_UNKNOWN:
        return "no record of its receipt";
    case FATE_TO_CLIENT:
        return "sent";
    case FATE_STATE:
        break;
    }
    return "";
}

/* ---- text ---- */

bool trace_wants_colour(void)
{
    const char *no_colour = getenv("NO_COLOR");
    const char *term = getenv("TERM");
    return isatty(STDOUT_FILENO) == 1 && (no_colour == NULL || no_colour[0] == '\0') &&
           term != NULL && strcmp(term, "dumb") != 0;
}

#define COLOUR_OFF "\033[0m"

static const char *colour_of(const struct trace_line *line)
{
    if (line->fate == FATE_STATE) {
        return "\033[1m";
    }
    if (line->repeated) {
        return "\033[2m";
    }
    if (line->from == TRACE_CLIENT || line->to == TRACE_CLIENT) {
        return "\033[36m";
    }
    return trace_event_lane(&line->event) == TRACE_LANE_CHANGES ? "\033[35m" : "\033[32m";
}

/* What is worth a word: that a message was taken is the rule. */
static const char *remark(const struct trace_line *line)
{
    const bool usual = line->fate == FATE_STATE || line->fate == FATE_TO_CLIENT ||
                       (line->fate == FATE_RECEIVED && line->verdict == VERDICT_ACCEPTED);
    return usual ? NULL : trace_outcome(line);
}

static void print_time(const struct trace_names *names, const struct trace_line *line)
{
    const double ms =
        (double)(int64_t)(line->at_ns - names->begin_ns) / NANOSECONDS_PER_MILLISECOND;
    (void)printf("%12.3f  ", ms);
}

/* How long the message was on its way. */
static void print_delay(const struct trace_line *line)
{
    if (line->sent_ns != 0 && line->received_ns != 0) {
        (void)printf("%+9.3f  ",
                     (double)(line->received_ns - line->sent_ns) / NANOSECONDS_PER_MILLISECOND);
    } else {
        (void)printf("%9s  ", "");
    }
}

static void print_wide(const struct trace_names *names, const struct trace_line *line, bool colour)
{
    char from[TRACE_NAME_MAX];
    char to[TRACE_NAME_MAX];
    char text[TRACE_TEXT_MAX];
    print_time(names, line);
    (void)printf("%11s ", trace_name(names, line, line->from, from));
    if (line->fate == FATE_STATE) {
        (void)printf("   %-11s ", "");
    } else {
        (void)printf("-> %-11s ", trace_name(names, line, line->to, to));
    }
    print_delay(line);
    (void)fputs(colour ? colour_of(line) : "", stdout);
    if (line->fate == FATE_STATE) {
        (void)fputs(trace_text(&line->event, text), stdout);
    } else {
        (void)printf("%-16s", message_type_name((enum message_type)line->event.type));
    }
    (void)fputs(colour ? COLOUR_OFF : "", stdout);
    if (line->fate != FATE_STATE) {
        (void)printf(" %s", trace_text_details(&line->event, text));
    }
    const char *note = remark(line);
    if (note != NULL) {
        (void)printf("  %s[%s]%s", colour ? "\033[33m" : "", note, colour ? COLOUR_OFF : "");
    }
    (void)putchar('\n');
}

/* "2", "c3f2a" */
static const char *narrow_name(const struct trace_names *names, const struct trace_line *line,
                               uint32_t end, char text[TRACE_NAME_MAX])
{
    if (end != TRACE_CLIENT) {
        return trace_name(names, line, end, text);
    }
    (void)snprintf(text, TRACE_NAME_MAX, "c%04x", (unsigned)(line->event.client_id_low & 0xffff));
    return text;
}

/* What is left of `room` columns after as much of the text as they hold. */
static size_t print_cut(const char *text, size_t room)
{
    const size_t size = strnlen(text, room);
    (void)fwrite(text, 1, size, stdout);
    return room - size;
}

/* The remark goes before the details, for those may be cut off. */
static void print_narrow(const struct trace_names *names, const struct trace_line *line,
                         bool colour, size_t columns)
{
    const bool is_state = line->fate == FATE_STATE;
    const char *note = line->fate == FATE_UNKNOWN ? "no receipt" : remark(line);
    char from[TRACE_NAME_MAX];
    char to[TRACE_NAME_MAX] = "";
    char text[TRACE_TEXT_MAX];
    char head[2 * TRACE_NAME_MAX + 32];
    if (!is_state) {
        (void)narrow_name(names, line, line->to, to);
    }
    (void)snprintf(head, sizeof head, "%8.1f %5s %2s %-5s ",
                   (double)(int64_t)(line->at_ns - names->begin_ns) / NANOSECONDS_PER_MILLISECOND,
                   narrow_name(names, line, line->from, from), is_state ? "" : "->", to);
    size_t room = print_cut(head, columns);
    (void)fputs(colour ? colour_of(line) : "", stdout);
    room = print_cut(is_state ? trace_text(&line->event, text)
                              : message_type_name((enum message_type)line->event.type),
                     room);
    (void)fputs(colour ? COLOUR_OFF : "", stdout);
    if (note != NULL) {
        room = print_cut("]", print_cut(note, print_cut(" [", room)));
    }
    if (!is_state) {
        (void)print_cut(trace_text_details(&line->event, text), print_cut(" ", room));
    }
    (void)putchar('\n');
}

size_t trace_narrow_columns(void)
{
    const size_t columns = isatty(STDOUT_FILENO) == 1 ? terminal_columns(stdout) : SIZE_MAX;
    return columns < TRACE_WIDE_COLUMNS ? columns : 0;
}

void trace_print_columns(void)
{
    const size_t columns = trace_narrow_columns();
    if (columns == 0) {
        (void)printf("#%11s  %11s    %-11s %9s  %s\n", "ms", "from", "to", "took ms", "what");
    } else {
        (void)print_cut("#     ms  from    to    what", columns);
        (void)putchar('\n');
    }
}

void trace_print_text(const struct trace_names *names, const struct trace_line *line, bool colour)
{
    const size_t columns = trace_narrow_columns(); /* anew: it may have been resized */
    if (columns == 0) {
        print_wide(names, line, colour);
    } else {
        print_narrow(names, line, colour, columns);
    }
}

/* ---- JSON ---- */

static void set_end(json_t *object, const char *name, const struct trace_names *names,
                    const struct trace_line *line, uint32_t end)
{
    char text[TRACE_NAME_MAX];
    if (end == TRACE_CLIENT) {
        json_set_text(object, name, trace_name(names, line, end, text));
    } else {
        json_set_u64(object, name, names->replica_ids[end]);
    }
}

static void set_time(json_t *object, const char *name, const struct trace_names *names,
                     uint64_t at_ns)
{
    const double us = (double)(int64_t)(at_ns - names->begin_ns) / NANOSECONDS_PER_MICROSECOND;
    (void)json_object_set_new(object, name, at_ns != 0 ? json_real(us) : json_null());
}

static void set_numbers(json_t *object, const struct trace_event *event)
{
    if (event->view_number != VIEW_NONE) {
        json_set_u64(object, "view", view_within_epoch(event->view_number));
    }
    if (event->first_op != 0) {
        json_set_u64(object, "first_op", event->first_op);
        json_set_u64(object, "last_op", trace_event_last_op(event));
    }
    const bool has_commit = event->kind == TRACE_STATE
                                ? event->view_number != VIEW_NONE
                                : event->type == MESSAGE_PREPARE || event->type == MESSAGE_COMMIT ||
                                      event->type == MESSAGE_DO_VIEW_CHANGE ||
                                      event->type == MESSAGE_START_VIEW ||
                                      event->type == MESSAGE_RECOVERY_RESPONSE;
    if (has_commit) {
        json_set_u64(object, "commit", event->commit_number);
    }
}

static void set_client(json_t *object, const struct trace_line *line)
{
    char address[TRACE_CLIENT_TEXT_MAX];
    json_set_hex(object, "client", line->event.client_id_low);
    json_set_u64(object, "session", line->event.session);
    json_set_u64(object, "request", line->event.request_number);
    json_set_text(object, "address", trace_text_client(&line->event, address));
}

static void set_message(json_t *object, const struct trace_names *names,
                        const struct trace_line *line)
{
    set_end(object, "from", names, line, line->from);
    set_end(object, "to", names, line, line->to);
    json_set_text(object, "type", message_type_name((enum message_type)line->event.type));
    set_numbers(object, &line->event);
    if (line->from == TRACE_CLIENT || line->to == TRACE_CLIENT) {
        set_client(object, line);
    }
    json_set_u64(object, "payload_bytes", line->event.payload_size);
    set_time(object, "sent_us", names, line->sent_ns);
    set_time(object, "received_us", names, line->received_ns);
    (void)json_object_set_new(object, "accepted",
                              line->fate != FATE_RECEIVED         ? json_null()
                              : line->verdict == VERDICT_ACCEPTED ? json_true()
                                                                  : json_false());
    json_set_text(object, "outcome", trace_outcome(line));
    (void)json_object_set_new(object, "repeated", line->repeated ? json_true() : json_false());
}

static const char *reason_of(const struct trace_event *event)
{
    switch ((enum trace_suspicion)event->extra) {
    case SUSPICION_SILENCE:
        return "silence";
    case SUSPICION_NO_QUORUM:
        return "no quorum";
    case SUSPICION_GOODBYE:
        return "goodbye";
    }
    return "?";
}

static const char *durable_of(const struct trace_event *event)
{
    switch ((enum trace_durable)event->extra) {
    case DURABLE_REST:
        return "rest";
    case DURABLE_PROMISE:
        return "promise";
    case DURABLE_NORMAL_VIEW:
        return "last normal view";
    }
    return "?";
}

static void set_state(json_t *object, const struct trace_names *names,
                      const struct trace_line *line)
{
    const enum trace_state state = (enum trace_state)line->event.type;
    set_end(object, "replica", names, line, line->from);
    json_set_text(object, "state", trace_state_name(state));
    set_numbers(object, &line->event);
    const uint64_t us = line->event.detail / NANOSECONDS_PER_MICROSECOND;
    if (state == TRACE_SUSPECTS) {
        json_set_text(object, "reason", reason_of(&line->event));
        if (line->event.extra == SUSPICION_SILENCE) {
            json_set_u64(object, "silence_us", us);
        }
    } else if (state == TRACE_DURABLE) {
        json_set_text(object, "durable", durable_of(&line->event));
        json_set_u64(object, "took_us", us);
    }
}

void trace_print_json(const struct trace_names *names, const struct trace_line *line)
{
    char text[TRACE_TEXT_MAX];
    json_t *object = json_object();
    json_set_text(object, "kind", line->fate == FATE_STATE ? "state" : "message");
    set_time(object, "time_us", names, line->at_ns);
    json_set_text(object, "step", trace_step(line));
    if (line->fate == FATE_STATE) {
        set_state(object, names, line);
    } else {
        set_message(object, names, line);
    }
    json_set_text(object, "text", trace_text(&line->event, text));
    json_print_line(object);
}

/* ---- Mermaid ---- */

/* A participant's name there: letters and digits. */
static void print_participant(const struct trace_names *names, const struct trace_line *line,
                              uint32_t end)
{
    if (end == TRACE_CLIENT) {
        (void)printf("C%04x", (unsigned)(line->event.client_id_low & 0xffff));
    } else {
        (void)printf("R%" PRIu32, names->replica_ids[end]);
    }
}

static bool has_client(const struct trace_line *line)
{
    return line->from == TRACE_CLIENT || line->to == TRACE_CLIENT;
}

static void declare_participants(const struct trace_names *names, const struct trace_lines *lines)
{
    uint8_t *seen = calloc(1, 65536 / 8); /* a bit for each short client name */
    for (size_t i = 0; seen != NULL && i < lines->count; i++) {
        const struct trace_line *line = &lines->items[i];
        const uint16_t client = (uint16_t)line->event.client_id_low;
        if (has_client(line) && (seen[client / 8] & (1u << client % 8)) == 0) {
            seen[client / 8] = (uint8_t)(seen[client / 8] | 1u << client % 8);
            (void)printf("    participant C%04x as client %04x\n", (unsigned)client,
                         (unsigned)client);
        }
    }
    free(seen);
    for (uint32_t i = 0; i < names->replica_count; i++) {
        (void)printf("    participant R%" PRIu32 " as replica %" PRIu32 "\n", names->replica_ids[i],
                     names->replica_ids[i]);
    }
}

static void print_step(const struct trace_names *names, const struct trace_line *line)
{
    char text[TRACE_TEXT_MAX];
    (void)trace_text(&line->event, text);
    if (line->fate == FATE_STATE) {
        (void)printf("    Note over R%" PRIu32 ": %s\n", names->replica_ids[line->from], text);
        return;
    }
    const char *note = remark(line);
    (void)fputs("    ", stdout);
    print_participant(names, line, line->from);
    (void)fputs(line->fate == FATE_LOST || line->fate == FATE_UNKNOWN ? "-x" : "->>", stdout);
    print_participant(names, line, line->to);
    (void)printf(": %s%s%s%s\n", text, note != NULL ? " (" : "", note != NULL ? note : "",
                 note != NULL ? ")" : "");
}

void trace_print_mermaid(const struct trace_names *names, const struct trace_lines *lines)
{
    (void)puts("sequenceDiagram");
    declare_participants(names, lines);
    for (size_t i = 0; i < lines->count; i++) {
        print_step(names, &lines->items[i]);
    }
}
