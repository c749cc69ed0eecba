/* SPDX-License-Identifier: Apache-2.0 */
/* trace_explain.c - first whose request became the op, then all lines that are about the one or the
 * other, then, if the group changed its view meanwhile or had no quorum, that. */
#include "client/cli/trace_explain.h"

#include <stdlib.h>

#include "client/cli/memory.h"
#include "common/os/clock.h"

enum {
    /* A client that opens a session for one request sends that as soon as the session is there. */
    FIRST_REQUEST_MS = 50,
};

static bool is_state(const struct trace_line *line, enum trace_state state)
{
    return line->fate == FATE_STATE && line->event.type == state;
}

static bool is_message(const struct trace_line *line, enum message_type type)
{
    return line->fate != FATE_STATE && line->event.type == type;
}

static const char *step_of_state(enum trace_state state)
{
    switch (state) {
    case TRACE_SUSPECTS:
    case TRACE_NO_QUORUM:
        return "silence";
    case TRACE_DURABLE:
        return "durable";
    case TRACE_COMMITTED:
        return "committed";
    case TRACE_EXECUTED:
        return "executed";
    case TRACE_VIEW_CHANGE:
        return "view_change";
    case TRACE_PRIMARY:
        return "new_primary";
    case TRACE_BACKUP:
        return "backup";
    case TRACE_RECOVERING:
        return "recovery";
    case TRACE_SYNC_BEGAN:
    case TRACE_SYNC_ENDED:
        return "log_sync";
    case TRACE_STARTED:
    case TRACE_HEARS:
    case TRACE_HEARS_QUORUM:
    case TRACE_DIVERGED:
    case TRACE_STOPPED:
        break;
    }
    return "state";
}

const char *trace_step(const struct trace_line *line)
{
    if (line->fate == FATE_STATE) {
        return step_of_state((enum trace_state)line->event.type);
    }
    switch ((enum message_type)line->event.type) {
    case MESSAGE_REQUEST:
        return "request";
    case MESSAGE_READ:
        return "read";
    case MESSAGE_REPLY:
        return "reply";
    case MESSAGE_NOT_PRIMARY:
        return "redirected";
    case MESSAGE_BUSY:
        return "busy";
    case MESSAGE_PREPARE:
        return "prepare";
    case MESSAGE_PREPARE_OK:
        return "prepare_ok";
    case MESSAGE_COMMIT:
        return "commit";
    case MESSAGE_START_VIEW_CHANGE:
        return "vote";
    case MESSAGE_DO_VIEW_CHANGE:
        return "do_view_change";
    case MESSAGE_START_VIEW:
        return "start_view";
    case MESSAGE_GET_VIEW:
        return "get_view";
    case MESSAGE_CATCHUP_REQUEST:
    case MESSAGE_CATCHUP_RESPONSE:
        return "log_sync";
    case MESSAGE_CHECKPOINT_OFFER:
    case MESSAGE_CHECKPOINT_REQUEST:
    case MESSAGE_CHECKPOINT_CHUNK:
        return "checkpoint";
    case MESSAGE_RECOVERY:
    case MESSAGE_RECOVERY_RESPONSE:
        return "recovery";
    default:
        return "other";
    }
}

/* ---- whose request ---- */

struct name {
    uint64_t client_id_low;
    uint64_t session; /* 0: the Register */
    uint64_t request_number;
};

/* Whose request an event is of. Opening a session is named by no session, though the answer has the
 * one that it opened: the op itself. Closing it has number 0 as well. */
static struct name name_of(const struct trace_event *event)
{
    const bool opened = event->type == MESSAGE_REPLY && event->request_number == 0 &&
                        event->session == event->first_op;
    return (struct name){event->client_id_low, opened ? 0 : event->session, event->request_number};
}

static bool is_named(const struct trace_line *line, const struct name *name)
{
    if (line->fate == FATE_STATE || !trace_event_is_client(&line->event)) {
        return false;
    }
    const struct name own = name_of(&line->event);
    return own.client_id_low == name->client_id_low && own.session == name->session &&
           own.request_number == name->request_number;
}

static bool find_name(const struct trace_lines *lines, uint64_t op_number, struct name *name)
{
    for (size_t i = 0; i < lines->count; i++) {
        const struct trace_line *line = &lines->items[i];
        if ((is_message(line, MESSAGE_REQUEST) || is_message(line, MESSAGE_REPLY)) &&
            line->event.first_op == op_number) {
            *name = name_of(&line->event);
            return true;
        }
    }
    return false;
}

/* ---- which lines ---- */

struct story {
    uint64_t op_number;
    struct trace_lines *lines;
    bool *wanted; /* by line */
    struct trace_explanation *explanation;
    uint64_t acked_view[REPLICAS_MAX][REPLICAS_MAX]; /* in which a PrepareOk from, to was shown */
    bool committed[REPLICAS_MAX];                    /* that member knows it is committed */
    bool told[REPLICAS_MAX];                         /* a Commit to it was shown */
    bool left[REPLICAS_MAX];                         /* began something new after the op was done */
    uint64_t committed_ns; /* first known to be committed, anywhere; 0: not */
    uint64_t answered_ns;  /* the first Reply; 0: none is remembered */
};

static bool covers(const struct trace_event *event, uint64_t op_number)
{
    return event->first_op <= op_number && op_number <= trace_event_last_op(event);
}

/* A PrepareOk covers all before its op: the first of a backup in a view that does is the one. */
static bool is_first_ack(struct story *story, const struct trace_line *line)
{
    if (line->event.first_op < story->op_number || line->from >= REPLICAS_MAX ||
        line->to >= REPLICAS_MAX ||
        story->acked_view[line->from][line->to] == line->event.view_number) {
        return false;
    }
    story->acked_view[line->from][line->to] = line->event.view_number;
    return true;
}

/* A Commit that tells a backup of it, unless something else has. */
static bool is_news(struct story *story, const struct trace_line *line)
{
    if (line->event.commit_number < story->op_number || line->to >= REPLICAS_MAX ||
        story->told[line->to] || story->committed[line->to]) {
        return false;
    }
    story->told[line->to] = true;
    return true;
}

static bool is_about(struct story *story, const struct trace_line *line)
{
    if (line->fate == FATE_STATE) {
        const bool committed = line->event.type == TRACE_COMMITTED;
        if ((!committed && line->event.type != TRACE_EXECUTED) ||
            !covers(&line->event, story->op_number)) {
            return false;
        }
        story->committed[line->from] = story->committed[line->from] || committed;
        return true;
    }
    switch ((enum message_type)line->event.type) {
    case MESSAGE_PREPARE:
        return covers(&line->event, story->op_number);
    case MESSAGE_PREPARE_OK:
        return is_first_ack(story, line);
    case MESSAGE_COMMIT:
        return is_news(story, line);
    default:
        return false;
    }
}

static bool is_answer(const struct story *story, const struct trace_line *line)
{
    return is_message(line, MESSAGE_REPLY) && covers(&line->event, story->op_number);
}

static bool is_commit(const struct story *story, const struct trace_line *line)
{
    return (is_state(line, TRACE_COMMITTED) || is_state(line, TRACE_EXECUTED)) &&
           covers(&line->event, story->op_number);
}

/* After this a member says of old ops only that it got to know them again: in a later view, or
 * after a start. */
static bool is_new_life(const struct trace_line *line)
{
    return is_state(line, TRACE_STARTED) || is_state(line, TRACE_VIEW_CHANGE) ||
           is_state(line, TRACE_RECOVERING) || is_state(line, TRACE_PRIMARY) ||
           is_state(line, TRACE_BACKUP);
}

/* Only replicas among themselves: who asks again is answered again. */
static bool is_aftermath(const struct story *story, const struct trace_line *line)
{
    return (line->from < REPLICAS_MAX && story->left[line->from]) ||
           (line->to < REPLICAS_MAX && story->left[line->to]);
}

static void note_progress(struct story *story, const struct trace_line *line)
{
    story->committed_ns =
        story->committed_ns == 0 && is_commit(story, line) ? line->at_ns : story->committed_ns;
    story->answered_ns =
        story->answered_ns == 0 && is_answer(story, line) ? line->at_ns : story->answered_ns;
    if (is_message(line, MESSAGE_PREPARE) && story->committed_ns == 0) {
        story->explanation->primary = line->from;
    }
}

static void want_direct(struct story *story, const struct name *name)
{
    bool began = false;
    for (size_t i = 0; i < story->lines->count; i++) {
        const struct trace_line *line = &story->lines->items[i];
        const bool asked = name != NULL && is_named(line, name);
        const bool over = story->committed_ns != 0 || story->answered_ns != 0;
        if (over && is_new_life(line)) {
            story->left[line->from] = true;
        }
        /* An ack of something later says nothing of an op that nobody has prepared yet. */
        began = began || asked ||
                (is_message(line, MESSAGE_PREPARE) && covers(&line->event, story->op_number));
        story->wanted[i] = asked || (began && !is_aftermath(story, line) && is_about(story, line));
        if (story->wanted[i]) {
            note_progress(story, line);
        }
    }
}

static size_t first_wanted(const struct story *story)
{
    size_t i = 0;
    while (i < story->lines->count && !story->wanted[i]) {
        i++;
    }
    return i;
}

/* The session was opened for this very request: then its opening belongs to the story. */
static void want_register(struct story *story, const struct name *name)
{
    const struct name opening = {.client_id_low = name->client_id_low};
    const size_t first = first_wanted(story);
    if (name->request_number != 1 || first == story->lines->count) {
        return;
    }
    const uint64_t begin_ns = story->lines->items[first].at_ns;
    uint64_t opened_ns = 0;
    for (size_t i = 0; i < first; i++) {
        const struct trace_line *line = &story->lines->items[i];
        if (is_message(line, MESSAGE_REPLY) && is_named(line, &opening)) {
            opened_ns = line->at_ns;
        }
    }
    if (opened_ns == 0 || begin_ns - opened_ns > FIRST_REQUEST_MS * NANOSECONDS_PER_MILLISECOND) {
        return;
    }
    for (size_t i = 0; i < story->lines->count; i++) {
        const struct trace_line *line = &story->lines->items[i];
        story->wanted[i] = story->wanted[i] || is_named(line, &opening);
    }
}

/* ---- view changes, and primaries without a quorum ---- */

static bool is_normal(const struct trace_line *line)
{
    return is_state(line, TRACE_PRIMARY) || is_state(line, TRACE_BACKUP);
}

/* The first reply; if nobody remembers one, the commit. What is not committed is under way as long
 * as it is spoken of, and beyond that until a view has begun without it. */
static uint64_t end_of(const struct story *story)
{
    if (story->answered_ns != 0 || story->committed_ns != 0) {
        return story->answered_ns != 0 ? story->answered_ns : story->committed_ns;
    }
    size_t i = story->lines->count;
    while (i > 0 && !story->wanted[i - 1]) {
        i--;
    }
    while (i < story->lines->count && !is_normal(&story->lines->items[i])) {
        i++;
    }
    return i < story->lines->count ? story->lines->items[i].at_ns : UINT64_MAX;
}

static bool is_relief(const struct trace_line *line)
{
    return is_state(line, TRACE_HEARS) || is_state(line, TRACE_HEARS_QUORUM);
}

/* If somebody was suspected when the story begins, it begins with that. */
static size_t trouble_before(const struct story *story, size_t first)
{
    size_t begin = first;
    for (size_t i = first; i > 0; i--) {
        const struct trace_line *line = &story->lines->items[i - 1];
        if (is_normal(line) || is_relief(line) || is_message(line, MESSAGE_PREPARE)) {
            break; /* somebody served */
        }
        if (is_state(line, TRACE_SUSPECTS) || is_state(line, TRACE_NO_QUORUM)) {
            begin = i - 1;
        }
    }
    return begin;
}

static bool belongs_to_view_change(const struct trace_line *line)
{
    return !line->repeated && trace_event_lane(&line->event) == TRACE_LANE_CHANGES;
}

/* What happened to the group between a line and a time. */
static void note_trouble(const struct story *story, size_t begin, uint64_t end_ns)
{
    struct trace_explanation *explanation = story->explanation;
    for (size_t i = begin; i < story->lines->count && story->lines->items[i].at_ns <= end_ns; i++) {
        const struct trace_line *line = &story->lines->items[i];
        explanation->view_changed = explanation->view_changed ||
                                    is_state(line, TRACE_VIEW_CHANGE) ||
                                    is_state(line, TRACE_PRIMARY);
        explanation->no_quorum =
            explanation->no_quorum || is_state(line, TRACE_NO_QUORUM) ||
            (is_state(line, TRACE_SUSPECTS) && line->event.extra == SUSPICION_NO_QUORUM);
    }
}

static void want_trouble(struct story *story)
{
    const size_t first = first_wanted(story);
    if (first == story->lines->count) {
        return;
    }
    const uint64_t end_ns = end_of(story);
    const size_t begin = trouble_before(story, first);
    note_trouble(story, begin, end_ns);
    const bool trouble = story->explanation->view_changed || story->explanation->no_quorum;
    for (size_t i = begin;
         trouble && i < story->lines->count && story->lines->items[i].at_ns <= end_ns; i++) {
        story->wanted[i] = story->wanted[i] || belongs_to_view_change(&story->lines->items[i]);
    }
}

/* ---- all of it ---- */

static void summarise(const struct story *story)
{
    struct trace_explanation *explanation = story->explanation;
    explanation->committed = story->committed_ns != 0 || story->answered_ns != 0;
    explanation->answered = story->answered_ns != 0;
    explanation->reply_ns = story->answered_ns;
    for (size_t i = 0; i < story->lines->count; i++) {
        const struct trace_line *line = &story->lines->items[i];
        if (explanation->found && is_state(line, TRACE_STARTED) &&
            line->from == explanation->primary) {
            explanation->primary_restarted = true;
        }
        if (!story->wanted[i]) {
            continue;
        }
        explanation->begin_ns = explanation->found ? explanation->begin_ns : line->at_ns;
        explanation->found = true;
        if (is_state(line, TRACE_SUSPECTS) && line->event.detail > explanation->silence_ns) {
            explanation->silence_ns = line->event.detail;
        }
    }
}

static void keep_wanted(struct trace_lines *lines, const bool *wanted)
{
    size_t kept = 0;
    for (size_t i = 0; i < lines->count; i++) {
        if (wanted[i]) {
            lines->items[kept++] = lines->items[i];
        }
    }
    lines->count = kept;
}

void trace_explain(uint64_t op_number, struct trace_lines *lines,
                   struct trace_explanation *explanation)
{
    struct name name;
    *explanation = (struct trace_explanation){
        .request_known = find_name(lines, op_number, &name),
        .primary = REPLICAS_MAX,
    };
    struct story *story = must_calloc(1, sizeof *story);
    *story = (struct story){
        .op_number = op_number,
        .lines = lines,
        .wanted = must_calloc(lines->count + 1, sizeof(bool)),
        .explanation = explanation,
    };
    want_direct(story, explanation->request_known ? &name : NULL);
    if (explanation->request_known) {
        explanation->client_id_low = name.client_id_low;
        explanation->session = name.session;
        explanation->request_number = name.request_number;
        want_register(story, &name);
    }
    want_trouble(story);
    summarise(story);
    keep_wanted(lines, story->wanted);
    free(story->wanted);
    free(story);
}
