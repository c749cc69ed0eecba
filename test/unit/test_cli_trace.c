/* SPDX-License-Identifier: Apache-2.0 */
/* client/cli: clocks compared, events of several replicas merged, filtered and explained. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/trace_explain.h"
#include "client/cli/trace_filter.h"
#include "client/cli/trace_print.h"
#include "client/cli/trace_summary.h"

#define MS UINT64_C(1000000)

enum { EVENTS = 64, CLIENT = 0xc11e };

/* Three replicas; times in milliseconds of the own clock. */
static struct trace_source sources[3];
static struct trace_event events[3][EVENTS];
static struct trace_lines lines;

static void setup(void)
{
    memset(sources, 0, sizeof sources);
    memset(events, 0, sizeof events);
    for (uint32_t i = 0; i < 3; i++) {
        sources[i].answered = true;
        sources[i].events = events[i];
        trace_clock_add(&sources[i].clock, 1000, 1000, 1000);
    }
}

static void teardown(void)
{
    trace_lines_free(&lines);
}

static void merge(uint64_t now_ms)
{
    trace_lines_free(&lines);
    trace_merge(sources, 3, now_ms * MS, &lines);
}

/* Notes an event at a replica; where `theirs_ms` is by its own clock. */
static struct trace_event *note(uint32_t replica, uint64_t theirs_ms, enum trace_kind kind,
                                uint8_t type)
{
    struct trace_event *event = &events[replica][sources[replica].count++];
    *event = (struct trace_event){
        .time_ns = theirs_ms * MS + sources[replica].count, /* later than the one before */
        .kind = (uint8_t)kind,
        .type = type,
        .view_number = view_make(1, 0),
    };
    return event;
}

static struct trace_event *sent(uint32_t from, uint32_t to_mask, uint64_t ms,
                                enum message_type type, uint64_t op)
{
    struct trace_event *event = note(from, ms, TRACE_SENT, (uint8_t)type);
    event->peers = (uint16_t)to_mask;
    event->first_op = op;
    event->op_count = 1;
    return event;
}

static struct trace_event *received(uint32_t to, uint32_t from, uint64_t ms, enum message_type type,
                                    uint64_t op)
{
    struct trace_event *event = note(to, ms, TRACE_RECEIVED, (uint8_t)type);
    event->peers = (uint16_t)(1u << from);
    event->first_op = op;
    event->op_count = 1;
    return event;
}

static struct trace_event *client_event(uint32_t replica, uint64_t ms, enum message_type type,
                                        uint64_t session, uint64_t request, uint64_t op)
{
    const bool asks = type == MESSAGE_REQUEST;
    struct trace_event *event =
        note(replica, ms, asks ? TRACE_RECEIVED : TRACE_SENT, (uint8_t)type);
    event->client_id_low = CLIENT;
    event->session = session;
    event->request_number = request;
    event->first_op = op;
    return event;
}

static void state(uint32_t replica, uint64_t ms, enum trace_state what, uint64_t op)
{
    struct trace_event *event = note(replica, ms, TRACE_STATE, (uint8_t)what);
    event->first_op = op;
    event->op_count = 1;
}

/* ---- clocks ---- */

START_TEST(the_same_clock_has_no_offset)
{
    struct trace_clock clock = {0};
    trace_clock_add(&clock, 1000, 1800, 1100); /* slow on the way back */
    ck_assert_int_eq(trace_clock_offset(&clock), 0);
    ck_assert_uint_eq(clock.rtt_ns, 800);
}
END_TEST

/* Each exchange bounds it, and together they do better than the fastest alone. */
START_TEST(exchanges_narrow_an_offset_down)
{
    struct trace_clock clock = {0};
    const uint64_t ahead = 5000 * MS;
    trace_clock_add(&clock, 100, 500, ahead + 150); /* between ahead - 350 and ahead + 50 */
    trace_clock_add(&clock, 1000, 1400, ahead + 1380);
    ck_assert_int_ge(trace_clock_offset(&clock), (int64_t)ahead - 20);
    ck_assert_int_le(trace_clock_offset(&clock), (int64_t)ahead + 50);
    ck_assert_uint_le(trace_clock_uncertainty(&clock), 35);
    ck_assert_uint_le(trace_clock_own(&clock, ahead + 700), 720);

    struct trace_clock behind = {0};
    trace_clock_add(&behind, 9000, 9100, 50);
    ck_assert_int_eq(trace_clock_offset(&behind), -9000);
    ck_assert_uint_eq(trace_clock_own(&behind, 50), 9050);
}
END_TEST

/* Clocks that run apart contradict what was known: the newest counts. */
START_TEST(contradictions_begin_anew)
{
    struct trace_clock clock = {0};
    trace_clock_add(&clock, 1000, 1010, 2000);
    trace_clock_add(&clock, 5000, 5010, 9000);
    ck_assert_int_eq(trace_clock_offset(&clock), 3995);
    trace_clock_add(&clock, 6000, 5000, 1); /* no exchange at all */
    ck_assert_int_eq(trace_clock_offset(&clock), 3995);
}
END_TEST

/* ---- merging ---- */

START_TEST(a_message_is_one_line)
{
    sent(0, 6, 10, MESSAGE_PREPARE, 1);
    received(1, 0, 11, MESSAGE_PREPARE, 1);
    received(2, 0, 13, MESSAGE_PREPARE, 1)->verdict = VERDICT_GAP;
    merge(1000);
    ck_assert_uint_eq(lines.count, 2);
    ck_assert_uint_eq(lines.items[0].to, 1);
    ck_assert_int_eq((int)lines.items[0].fate, FATE_RECEIVED);
    ck_assert_uint_eq(lines.items[0].sent_ns / MS, 10);
    ck_assert_uint_eq(lines.items[0].received_ns / MS, 11);
    ck_assert_str_eq(trace_outcome(&lines.items[0]), "accepted");
    ck_assert_uint_eq(lines.items[1].to, 2);
    ck_assert_str_eq(trace_outcome(&lines.items[1]), "gap");
}
END_TEST

/* One replica's clock runs an hour ahead, and a little wrong beyond that. */
START_TEST(nothing_is_received_before_it_was_sent)
{
    const uint64_t hour = 3600 * 1000;
    sources[1].clock = (struct trace_clock){0};
    trace_clock_add(&sources[1].clock, 0, 8 * MS, hour * MS); /* true: 0; taken for: -4 ms */
    sent(0, 2, 10, MESSAGE_PREPARE, 1);
    received(1, 0, hour + 5, MESSAGE_PREPARE, 1); /* at 9 ms, it seems */
    state(1, hour + 5, TRACE_COMMITTED, 1);
    sent(1, 1, hour + 6, MESSAGE_PREPARE_OK, 1);
    received(0, 1, 12, MESSAGE_PREPARE_OK, 1);
    merge(1000);
    ck_assert_uint_eq(lines.count, 3);
    ck_assert_uint_eq(lines.items[0].event.type, MESSAGE_PREPARE);
    ck_assert_uint_ge(lines.items[0].received_ns, lines.items[0].sent_ns);
    ck_assert_int_eq((int)lines.items[1].fate, FATE_STATE);
    ck_assert_uint_eq(lines.items[2].event.type, MESSAGE_PREPARE_OK);
    for (size_t i = 1; i < lines.count; i++) {
        ck_assert_uint_ge(lines.items[i].at_ns, lines.items[i - 1].at_ns);
    }
}
END_TEST

START_TEST(what_did_not_arrive_was_lost_or_cannot_be_known)
{
    sent(0, 2, 10, MESSAGE_PREPARE, 1);  /* 1 remembers that time */
    sent(0, 4, 10, MESSAGE_PREPARE, 1);  /* 2 does not */
    sent(0, 2, 995, MESSAGE_PREPARE, 2); /* just now */
    sources[2].complete_from_ns[TRACE_LANE_OPERATIONS] = 20 * MS;
    merge(1000);
    ck_assert_int_eq((int)lines.items[0].fate, FATE_LOST);
    ck_assert_int_eq((int)lines.items[1].fate, FATE_UNKNOWN);
    ck_assert_int_eq((int)lines.items[2].fate, FATE_IN_FLIGHT);
    sources[1].answered = false;
    merge(1000);
    ck_assert_int_eq((int)lines.items[0].fate, FATE_UNKNOWN);
    ck_assert_int_eq((int)lines.items[2].fate, FATE_UNKNOWN);
    sources[1].answered = true;
    sources[1].gaps = true;
    merge(1000);
    ck_assert_int_eq((int)lines.items[0].fate, FATE_UNKNOWN);
}
END_TEST

/* A vote is said again and again in the same words. */
START_TEST(a_receipt_belongs_to_the_latest_sending_before_it)
{
    sent(0, 2, 10, MESSAGE_START_VIEW_CHANGE, 0);
    sent(0, 2, 30, MESSAGE_START_VIEW_CHANGE, 0);
    sent(0, 2, 50, MESSAGE_START_VIEW_CHANGE, 0);
    received(1, 0, 31, MESSAGE_START_VIEW_CHANGE, 0);
    merge(1000);
    ck_assert_uint_eq(lines.count, 3);
    ck_assert_int_eq((int)lines.items[0].fate, FATE_LOST);
    ck_assert_uint_eq(lines.items[1].received_ns / MS, 31);
    ck_assert_int_eq((int)lines.items[2].fate, FATE_LOST);
}
END_TEST

/* The sender was killed, and its memory with it. */
START_TEST(a_receipt_alone_is_a_line)
{
    sources[0].answered = false;
    received(1, 0, 31, MESSAGE_PREPARE, 4);
    sent(0, 2, 50, MESSAGE_PREPARE, 4); /* later: another one */
    merge(1000);
    ck_assert_uint_eq(lines.count, 2);
    ck_assert_uint_eq(lines.items[0].from, 0);
    ck_assert_uint_eq(lines.items[0].sent_ns, 0);
    ck_assert_uint_eq(lines.items[0].received_ns / MS, 31);
}
END_TEST

/* Replica 0 was dead when the vote for it was sent; the same one came to its next process. */
START_TEST(nothing_is_received_across_a_start)
{
    sent(1, 1, 10, MESSAGE_START_VIEW_CHANGE, 0);
    state(0, 500, TRACE_STARTED, 0);
    sources[0].complete_from_ns[TRACE_LANE_CHANGES] = 500 * MS;
    received(0, 1, 600, MESSAGE_START_VIEW_CHANGE, 0);
    merge(1000);
    ck_assert_uint_eq(lines.count, 3);
    ck_assert_int_eq((int)lines.items[0].fate, FATE_UNKNOWN);
    ck_assert_uint_eq(lines.items[0].received_ns, 0);
    ck_assert_uint_eq(lines.items[2].sent_ns, 0);
    ck_assert_uint_eq(lines.items[2].received_ns / MS, 600);
}
END_TEST

START_TEST(nothing_takes_seconds_on_its_way)
{
    sent(1, 1, 10, MESSAGE_START_VIEW_CHANGE, 0);
    state(0, 900, TRACE_COMMITTED, 1); /* it ran */
    received(0, 1, 4000, MESSAGE_START_VIEW_CHANGE, 0);
    merge(10000);
    ck_assert_uint_eq(lines.count, 3);
    ck_assert_int_eq((int)lines.items[0].fate, FATE_UNKNOWN);
    ck_assert_uint_eq(lines.items[2].sent_ns, 0);
}
END_TEST

/* What came while its process was stopped waited in the socket. */
START_TEST(who_did_not_run_finds_old_messages)
{
    sent(1, 1, 10, MESSAGE_START_VIEW_CHANGE, 0);
    state(0, 15, TRACE_COMMITTED, 1);
    state(0, 4000, TRACE_COMMITTED, 2); /* it wakes up */
    received(0, 1, 4001, MESSAGE_START_VIEW_CHANGE, 0);
    merge(10000);
    ck_assert_uint_eq(lines.count, 3);
    ck_assert_int_eq((int)lines.items[0].fate, FATE_RECEIVED);
    ck_assert_uint_eq(lines.items[0].received_ns / MS, 4001);
    /* If it does not remember what it did then, nobody can say that it slept. */
    sources[0].complete_from_ns[TRACE_LANE_REPEATS] = 300 * MS;
    merge(10000);
    ck_assert_uint_eq(lines.count, 4);
    ck_assert_int_eq((int)lines.items[0].fate, FATE_UNKNOWN);
}
END_TEST

START_TEST(clients_have_one_end)
{
    client_event(0, 10, MESSAGE_REQUEST, 3, 4, 7);
    client_event(0, 12, MESSAGE_REPLY, 3, 4, 7);
    merge(1000);
    ck_assert_uint_eq(lines.items[0].from, TRACE_CLIENT);
    ck_assert_int_eq((int)lines.items[0].fate, FATE_RECEIVED);
    ck_assert_uint_eq(lines.items[1].to, TRACE_CLIENT);
    ck_assert_int_eq((int)lines.items[1].fate, FATE_TO_CLIENT);
}
END_TEST

/* Whatever replicas say, merging ends and loses no event. */
START_TEST(contradicting_events_do_not_stop_it)
{
    /* Each receives first what the other sends afterwards. */
    received(0, 1, 10, MESSAGE_PREPARE_OK, 1);
    sent(0, 2, 11, MESSAGE_PREPARE, 1);
    received(1, 0, 10, MESSAGE_PREPARE, 1);
    sent(1, 1, 11, MESSAGE_PREPARE_OK, 1);
    for (uint32_t i = 0; i < 2; i++) {
        trace_clock_add(&sources[i].clock, 0, 100 * MS, 50 * MS);
        sources[i].clock.low_ns = -50 * (int64_t)MS;
    }
    merge(1000);
    ck_assert_uint_ge(lines.count, 2);
    ck_assert_uint_le(lines.count, 4);
}
END_TEST

/* ---- filters ---- */

START_TEST(types_are_read_in_any_case)
{
    struct trace_filter filter = {0};
    const char *wrong = NULL;
    size_t size = 0;
    ck_assert(trace_filter_parse_types("prepare,PREPAREOK,State", &filter, &wrong, &size));
    ck_assert_uint_eq(filter.types, UINT64_C(1) << MESSAGE_PREPARE | UINT64_C(1)
                                                                         << MESSAGE_PREPARE_OK);
    ck_assert(filter.states && filter.by_type && !filter.progress);
    ck_assert(!trace_filter_parse_types("prepare,nope", &filter, &wrong, &size));
    ck_assert_uint_eq(size, 4);
    ck_assert_int_eq(strncmp(wrong, "nope", 4), 0);
    ck_assert(!trace_filter_parse_types("", &filter, &wrong, &size));
}
END_TEST

static size_t passing(const struct trace_filter *filter)
{
    size_t count = 0;
    for (size_t i = 0; i < lines.count; i++) {
        count += trace_filter_passes(filter, &lines.items[i]) ? 1 : 0;
    }
    return count;
}

START_TEST(filters_choose_lines)
{
    sent(0, 6, 10, MESSAGE_PREPARE, 5);
    received(1, 0, 11, MESSAGE_PREPARE, 5);
    sent(0, 2, 12, MESSAGE_PREPARE, 6)->view_number = view_make(1, 3);
    state(2, 13, TRACE_COMMITTED, 5);
    state(2, 14, TRACE_BACKUP, 5);
    sent(0, 2, 15, MESSAGE_COMMIT, 6)->repeated = 1;
    merge(1000);
    ck_assert_uint_eq(lines.count, 6);
    ck_assert_uint_eq(passing(&(struct trace_filter){0}), 5);
    ck_assert_uint_eq(passing(&(struct trace_filter){.heartbeats = true}), 6);
    ck_assert_uint_eq(
        passing(&(struct trace_filter){.by_type = true, .types = UINT64_C(1) << MESSAGE_PREPARE}),
        3);
    ck_assert_uint_eq(passing(&(struct trace_filter){.by_type = true, .states = true}), 1);
    ck_assert_uint_eq(passing(&(struct trace_filter){.by_type = true, .progress = true}), 1);
    ck_assert_uint_eq(passing(&(struct trace_filter){.members = 1u << 1}), 2);
    ck_assert_uint_eq(passing(&(struct trace_filter){.members = 1u << 2}), 3);
    /* That a backup's log ends at op 5 is nothing about op 5. */
    ck_assert_uint_eq(passing(&(struct trace_filter){.by_ops = true, .first_op = 5, .last_op = 5}),
                      3);
    ck_assert_uint_eq(passing(&(struct trace_filter){.by_ops = true, .first_op = 6, .last_op = 9}),
                      1);
    ck_assert_uint_eq(passing(&(struct trace_filter){.by_view = true, .view = 3}), 1);
}
END_TEST

/* ---- one operation ---- */

/* The steps that are left, as one string. */
static const char *steps(void)
{
    static char text[2048];
    text[0] = '\0';
    for (size_t i = 0; i < lines.count; i++) {
        (void)strcat(text, i > 0 ? " " : "");
        (void)strcat(text, trace_step(&lines.items[i]));
    }
    return text;
}

static void note_operation(uint64_t op, uint64_t request, uint64_t ms)
{
    client_event(0, ms, MESSAGE_REQUEST, 3, request, op);
    sent(0, 6, ms + 1, MESSAGE_PREPARE, op);
    received(1, 0, ms + 2, MESSAGE_PREPARE, op);
    received(2, 0, ms + 2, MESSAGE_PREPARE, op);
    sent(1, 1, ms + 3, MESSAGE_PREPARE_OK, op);
    received(0, 1, ms + 4, MESSAGE_PREPARE_OK, op);
    state(0, ms + 4, TRACE_COMMITTED, op);
    state(0, ms + 5, TRACE_EXECUTED, op);
    client_event(0, ms + 5, MESSAGE_REPLY, 3, request, op);
}

START_TEST(an_operation_is_told_from_request_to_reply)
{
    note_operation(7, 4, 10);
    note_operation(8, 5, 30);
    note_operation(9, 6, 50);
    merge(1000);
    struct trace_explanation explanation;
    trace_explain(8, &lines, &explanation);
    ck_assert(explanation.found);
    ck_assert(explanation.answered);
    ck_assert(!explanation.view_changed);
    ck_assert_uint_eq(explanation.request_number, 5);
    ck_assert_uint_eq((explanation.reply_ns - explanation.begin_ns) / MS, 5);
    ck_assert_str_eq(steps(), "request prepare prepare prepare_ok committed executed reply");
}
END_TEST

START_TEST(an_unknown_operation_is_not_found)
{
    note_operation(7, 4, 10);
    merge(1000);
    struct trace_explanation explanation;
    trace_explain(99, &lines, &explanation);
    ck_assert(!explanation.found);
    ck_assert_uint_eq(lines.count, 0);
}
END_TEST

/* Replica 0 was killed with its memory; the client asked 1, which became primary. */
START_TEST(a_fail_over_is_part_of_the_story)
{
    const uint64_t view = view_make(1, 1);
    sources[0].answered = false;
    state(1, 5, TRACE_COMMITTED, 6); /* before, and not of it */
    client_event(1, 10, MESSAGE_REQUEST, 3, 4, 0)->verdict = VERDICT_REDIRECTED;
    client_event(1, 10, MESSAGE_NOT_PRIMARY, 3, 4, 0);
    state(1, 100, TRACE_SUSPECTS, 0);
    events[1][sources[1].count - 1].detail = 120 * MS;
    sent(1, 4, 100, MESSAGE_START_VIEW_CHANGE, 0)->view_number = view;
    received(2, 1, 101, MESSAGE_START_VIEW_CHANGE, 0)->view_number = view;
    state(2, 102, TRACE_VIEW_CHANGE, 0);
    sent(2, 2, 103, MESSAGE_DO_VIEW_CHANGE, 6)->view_number = view;
    received(1, 2, 104, MESSAGE_DO_VIEW_CHANGE, 6)->view_number = view;
    state(1, 105, TRACE_PRIMARY, 6);
    sent(1, 4, 105, MESSAGE_START_VIEW, 6)->view_number = view;
    received(2, 1, 106, MESSAGE_START_VIEW, 6)->view_number = view;
    client_event(1, 110, MESSAGE_REQUEST, 3, 4, 7);
    state(1, 112, TRACE_COMMITTED, 7);
    client_event(1, 113, MESSAGE_REPLY, 3, 4, 7);
    sent(1, 4, 500, MESSAGE_START_VIEW, 6)->view_number = view; /* long after */
    merge(1000);
    struct trace_explanation explanation;
    trace_explain(7, &lines, &explanation);
    ck_assert(explanation.view_changed);
    ck_assert_uint_eq(explanation.silence_ns, 120 * MS);
    ck_assert_str_eq(steps(), "request redirected silence vote view_change do_view_change "
                              "new_primary start_view request committed reply");
}
END_TEST

/* A client that opens its session for one request has waited with that. */
START_TEST(the_opening_of_a_session_belongs_to_its_first_request)
{
    client_event(0, 10, MESSAGE_REQUEST, 0, 0, 20)->extra = ENTRY_REGISTER;
    client_event(0, 11, MESSAGE_REPLY, 20, 0, 20);
    client_event(0, 12, MESSAGE_REQUEST, 20, 1, 21);
    client_event(0, 13, MESSAGE_REPLY, 20, 1, 21);
    client_event(0, 14, MESSAGE_REQUEST, 20, 0, 22)->extra = ENTRY_UNREGISTER;
    client_event(0, 15, MESSAGE_REPLY, 20, 0, 22);
    merge(1000);
    struct trace_explanation explanation;
    trace_explain(21, &lines, &explanation);
    ck_assert_str_eq(steps(), "request reply request reply");
    ck_assert_uint_eq((explanation.reply_ns - explanation.begin_ns) / MS, 3);
    merge(1000);
    trace_explain(20, &lines, &explanation); /* the opening itself */
    ck_assert_str_eq(steps(), "request reply");
    merge(1000);
    trace_explain(22, &lines, &explanation); /* and the end */
    ck_assert_str_eq(steps(), "request reply");
}
END_TEST

/* An entry that came by a Prepare of a primary that nobody can ask any more. */
START_TEST(without_a_request_the_prepare_is_what_is_known)
{
    sources[0].answered = false;
    received(1, 0, 10, MESSAGE_PREPARE, 7);
    sent(1, 1, 11, MESSAGE_PREPARE_OK, 7);
    merge(1000);
    struct trace_explanation explanation;
    trace_explain(7, &lines, &explanation);
    ck_assert(explanation.found);
    ck_assert(!explanation.request_known);
    ck_assert_str_eq(steps(), "prepare prepare_ok");
}
END_TEST

/* Replica 0 answered op 7 and was killed; the others had heard that it is committed, changed the
 * view, and replica 0 came back. */
static void note_forgotten_reply(void)
{
    const uint64_t view = view_make(1, 1);
    received(1, 0, 10, MESSAGE_PREPARE, 7);
    received(2, 0, 10, MESSAGE_PREPARE, 7);
    sent(1, 1, 11, MESSAGE_PREPARE_OK, 7);
    sent(2, 1, 11, MESSAGE_PREPARE_OK, 7);
    state(1, 30, TRACE_COMMITTED, 7);
    state(2, 31, TRACE_COMMITTED, 7);
    state(1, 5000, TRACE_SUSPECTS, 0);
    events[1][sources[1].count - 1].detail = 120 * MS;
    state(2, 5001, TRACE_VIEW_CHANGE, 0);
    state(1, 5003, TRACE_PRIMARY, 7);
    state(2, 5004, TRACE_BACKUP, 7);
    sent(2, 2, 5005, MESSAGE_PREPARE_OK, 9)->view_number = view;
    received(1, 2, 5006, MESSAGE_PREPARE_OK, 9)->view_number = view;
    state(0, 9000, TRACE_STARTED, 0);
    state(0, 9001, TRACE_RECOVERING, 0);
    state(0, 9002, TRACE_BACKUP, 9);
    state(0, 9003, TRACE_COMMITTED, 1);
    events[0][sources[0].count - 1].op_count = 9;
    state(0, 9004, TRACE_EXECUTED, 1);
    events[0][sources[0].count - 1].op_count = 9;
}

static const struct trace_names names = {.replica_ids = {0, 1, 2}, .replica_count = 3};

START_TEST(what_comes_after_the_commit_is_no_part_of_it)
{
    char text[TRACE_SUMMARY_MAX];
    note_forgotten_reply();
    merge(20000);
    struct trace_explanation explanation;
    trace_explain(7, &lines, &explanation);
    ck_assert_str_eq(steps(), "prepare prepare prepare_ok prepare_ok committed committed");
    ck_assert(explanation.committed);
    ck_assert(!explanation.answered);
    ck_assert(!explanation.view_changed);
    ck_assert_str_eq(trace_summary(&names, 7, &explanation, true, text),
                     "op 7, committed; the reply is not remembered: replica 0 was started since");
    json_t *object = trace_summary_json(&names, 7, &explanation, true);
    ck_assert(json_is_false(json_object_get(object, "view_changed")));
    ck_assert(json_is_null(json_object_get(object, "duration_us")));
    ck_assert_str_eq(json_string_value(json_object_get(object, "reply_missing")),
                     "replica 0 was started since");
    json_decref(object);
}
END_TEST

START_TEST(a_reply_is_missed_for_a_reason)
{
    char text[TRACE_SUMMARY_MAX];
    note_forgotten_reply();
    sources[0].answered = false;
    sources[0].count = 0;
    merge(20000);
    struct trace_explanation explanation;
    trace_explain(7, &lines, &explanation);
    ck_assert_str_eq(trace_summary(&names, 7, &explanation, false, text),
                     "op 7, committed; the reply is not remembered: replica 0 does not answer");
    ck_assert_str_eq(trace_summary(&names, 7, &explanation, true, text),
                     "op 7, committed; the reply is not remembered: no replica remembers it");
}
END_TEST

/* It lost the others before it could commit the op, and got them back in the same view. */
START_TEST(waiting_for_a_quorum_is_part_of_the_story)
{
    char text[TRACE_SUMMARY_MAX];
    client_event(0, 10, MESSAGE_REQUEST, 3, 4, 7);
    sent(0, 6, 11, MESSAGE_PREPARE, 7);
    state(0, 130, TRACE_NO_QUORUM, 0);
    merge(1000);
    struct trace_explanation explanation;
    trace_explain(7, &lines, &explanation);
    ck_assert_str_eq(steps(), "request prepare prepare silence");
    ck_assert_str_eq(trace_summary(&names, 7, &explanation, true, text),
                     "op 7: request 4 of session 3, client c11e, not committed as far as any "
                     "replica remembers, while the primary heard from no quorum");
    state(0, 800, TRACE_HEARS_QUORUM, 0);
    received(1, 0, 801, MESSAGE_PREPARE, 7);
    state(0, 803, TRACE_COMMITTED, 7);
    client_event(0, 804, MESSAGE_REPLY, 3, 4, 7);
    state(0, 900, TRACE_NO_QUORUM, 0); /* another time */
    merge(1000);
    trace_explain(7, &lines, &explanation);
    ck_assert(explanation.no_quorum);
    ck_assert(!explanation.view_changed);
    ck_assert_str_eq(steps(), "request prepare prepare silence state committed reply");
}
END_TEST

START_TEST(the_ends_of_a_session_are_called_so)
{
    char text[TRACE_SUMMARY_MAX];
    client_event(0, 10, MESSAGE_REQUEST, 0, 0, 20)->extra = ENTRY_REGISTER;
    client_event(0, 11, MESSAGE_REPLY, 20, 0, 20);
    client_event(0, 14, MESSAGE_REQUEST, 20, 0, 22)->extra = ENTRY_UNREGISTER;
    client_event(0, 15, MESSAGE_REPLY, 20, 0, 22);
    merge(1000);
    struct trace_explanation explanation;
    trace_explain(20, &lines, &explanation);
    ck_assert_str_eq(trace_summary(&names, 20, &explanation, true, text),
                     "op 20: opens a session, client c11e, answered after 1.000 ms");
    merge(1000);
    trace_explain(22, &lines, &explanation);
    ck_assert_str_eq(trace_summary(&names, 22, &explanation, true, text),
                     "op 22: closes session 20, client c11e, answered after 1.000 ms");
}
END_TEST

static Suite *cli_trace_suite(void)
{
    Suite *suite = suite_create("cli_trace");
    TCase *all = tcase_create("all");
    tcase_add_checked_fixture(all, setup, teardown);
    tcase_add_test(all, the_same_clock_has_no_offset);
    tcase_add_test(all, exchanges_narrow_an_offset_down);
    tcase_add_test(all, contradictions_begin_anew);
    tcase_add_test(all, a_message_is_one_line);
    tcase_add_test(all, nothing_is_received_before_it_was_sent);
    tcase_add_test(all, what_did_not_arrive_was_lost_or_cannot_be_known);
    tcase_add_test(all, a_receipt_belongs_to_the_latest_sending_before_it);
    tcase_add_test(all, a_receipt_alone_is_a_line);
    tcase_add_test(all, nothing_is_received_across_a_start);
    tcase_add_test(all, nothing_takes_seconds_on_its_way);
    tcase_add_test(all, who_did_not_run_finds_old_messages);
    tcase_add_test(all, clients_have_one_end);
    tcase_add_test(all, contradicting_events_do_not_stop_it);
    tcase_add_test(all, types_are_read_in_any_case);
    tcase_add_test(all, filters_choose_lines);
    tcase_add_test(all, an_operation_is_told_from_request_to_reply);
    tcase_add_test(all, an_unknown_operation_is_not_found);
    tcase_add_test(all, a_fail_over_is_part_of_the_story);
    tcase_add_test(all, the_opening_of_a_session_belongs_to_its_first_request);
    tcase_add_test(all, without_a_request_the_prepare_is_what_is_known);
    tcase_add_test(all, what_comes_after_the_commit_is_no_part_of_it);
    tcase_add_test(all, a_reply_is_missed_for_a_reason);
    tcase_add_test(all, waiting_for_a_quorum_is_part_of_the_story);
    tcase_add_test(all, the_ends_of_a_session_are_called_so);
    suite_add_tcase(suite, all);
    return suite;
}

int main(void)
{
    SRunner *runner = srunner_create(cli_trace_suite());
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
