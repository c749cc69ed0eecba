/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/trace.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/exit_code.h"
#include "client/cli/memory.h"
#include "client/cli/report.h"
#include "client/cli/status.h"
#include "client/cli/trace_options.h"
#include "client/cli/trace_print.h"
#include "client/cli/trace_pull.h"
#include "client/lib/cluster_list.h"
#include "client/lib/explain.h"
#include "common/os/clock.h"

enum {
    FOLLOW_STEP_MS = 100, /* between two rounds: what is shown is as late as this and HOLD_MS */
    FOLLOW_ROUND_MS = 500,
    HOLD_MS = 150, /* lines are held back until both ends of a message are there */
    LAST_SPARE = 2 * TRACE_EVENTS_MAX, /* events beyond the lines that are shown */
};

struct trace {
    const struct shell *shell;
    struct trace_options options;
    struct survey survey;
    struct trace_pull pull;
    struct trace_names names;
    bool colour;
};

/* ---- Ctrl-C ---- */

static volatile sig_atomic_t interrupted;

static void on_interrupt(int number)
{
    (void)number;
    interrupted = 1;
}

static void catch_interrupt(struct sigaction old[2])
{
    struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = (int)SA_RESETHAND};
    interrupted = 0;
    (void)sigemptyset(&action.sa_mask);
    (void)sigaction(SIGINT, &action, &old[0]);
    (void)sigaction(SIGTERM, &action, &old[1]);
}

static void release_interrupt(const struct sigaction old[2])
{
    (void)sigaction(SIGINT, &old[0], NULL);
    (void)sigaction(SIGTERM, &old[1], NULL);
}

/* ---- what is said around the lines ---- */

static void print_clock_json(const struct trace *trace, uint32_t member)
{
    const struct trace_source *source = &trace->pull.sources[member];
    json_t *object = json_object();
    json_set_text(object, "kind", "replica");
    json_set_u64(object, "replica", trace->names.replica_ids[member]);
    (void)json_object_set_new(object, "answered", source->answered ? json_true() : json_false());
    if (source->answered) {
        (void)json_object_set_new(
            object, "clock_offset_us",
            json_real((double)trace_clock_offset(&source->clock) / NANOSECONDS_PER_MICROSECOND));
        (void)json_object_set_new(
            object, "rtt_us",
            json_real((double)source->clock.rtt_ns / NANOSECONDS_PER_MICROSECOND));
        json_set_u64(object, "events", source->count);
    }
    json_print_line(object);
}

static void print_clock_text(const struct trace *trace, uint32_t member)
{
    const struct trace_source *source = &trace->pull.sources[member];
    const char *name = trace->survey.targets[member].name;
    const uint32_t id = trace->names.replica_ids[member];
    if (source->answered) {
        (void)printf("# replica %" PRIu32 "  %s  clock %+.3f ms, round trip %.3f ms\n", id, name,
                     (double)trace_clock_offset(&source->clock) / NANOSECONDS_PER_MILLISECOND,
                     (double)source->clock.rtt_ns / NANOSECONDS_PER_MILLISECOND);
    } else {
        (void)printf("# replica %" PRIu32 "  %s  no answer: its side of the story is missing\n", id,
                     name);
    }
}

static void print_clocks(const struct trace *trace)
{
    for (uint32_t i = 0; i < trace->pull.member_count; i++) {
        if (trace->options.form == TRACE_FORM_JSON) {
            print_clock_json(trace, i);
        } else if (trace->options.form == TRACE_FORM_TEXT) {
            print_clock_text(trace, i);
        }
    }
}

static void print_line(const struct trace *trace, const struct trace_line *line)
{
    if (trace->options.form == TRACE_FORM_JSON) {
        trace_print_json(&trace->names, line);
    } else {
        trace_print_text(&trace->names, line, trace->colour);
    }
}

static void print_columns(const struct trace *trace)
{
    if (trace->options.form == TRACE_FORM_TEXT) {
        (void)printf("#%11s  %11s    %-11s %9s  %s\n", "ms", "from", "to", "took ms", "what");
    }
}

static int print_lines(struct trace *trace, const struct trace_lines *lines)
{
    trace->names.begin_ns = lines->count > 0 ? lines->items[0].at_ns : 0;
    if (trace->options.form == TRACE_FORM_MERMAID) {
        trace_print_mermaid(&trace->names, lines);
        return EXIT_DONE;
    }
    print_columns(trace);
    for (size_t i = 0; i < lines->count && !ferror(stdout); i++) {
        print_line(trace, &lines->items[i]);
    }
    return EXIT_DONE;
}

/* ---- one operation ---- */

static uint64_t head_of(const struct survey *survey)
{
    uint64_t head = 0;
    for (uint32_t i = 0; i < survey->target_count; i++) {
        const uint64_t op = survey->targets[i].answered ? survey->targets[i].report.op_number : 0;
        head = op > head ? op : head;
    }
    return head;
}

static int report_forgotten(const struct trace *trace)
{
    const uint64_t op = trace->options.op;
    const uint64_t head = head_of(&trace->survey);
    char op_text[GROUPED_MAX];
    char head_text[GROUPED_MAX];
    explain_grouped(op, op_text);
    explain_grouped(head, head_text);
    if (op > head) {
        return report_error(trace->shell, EXIT_DEFINITE_FAILURE, "not_found",
                            "op %s has not happened yet: the last one is %s", op_text, head_text);
    }
    return report_error(trace->shell, EXIT_DEFINITE_FAILURE, "not_found",
                        "no replica that answers remembers op %s any more: each keeps its last "
                        "%d events of operations, and forgets them when it stops; the last op is "
                        "%s",
                        op_text, TRACE_OPERATIONS_MAX, head_text);
}

static void print_explanation_json(const struct trace *trace,
                                   const struct trace_explanation *explanation)
{
    json_t *object = json_object();
    json_set_text(object, "kind", "operation");
    json_set_u64(object, "op", trace->options.op);
    if (explanation->request_known) {
        json_set_hex(object, "client", explanation->client_id_low);
        json_set_u64(object, "session", explanation->session);
        json_set_u64(object, "request", explanation->request_number);
    }
    (void)json_object_set_new(
        object, "duration_us",
        explanation->answered ? json_real((double)(explanation->reply_ns - explanation->begin_ns) /
                                          NANOSECONDS_PER_MICROSECOND)
                              : json_null());
    (void)json_object_set_new(object, "view_changed",
                              explanation->view_changed ? json_true() : json_false());
    json_print_line(object);
}

static void print_explanation_text(const struct trace *trace,
                                   const struct trace_explanation *explanation)
{
    (void)printf("# op %" PRIu64, trace->options.op);
    if (explanation->request_known) {
        (void)printf(": request %" PRIu64 " of session %" PRIu64 ", client %04x",
                     explanation->request_number, explanation->session,
                     (unsigned)(explanation->client_id_low & 0xffff));
    }
    if (explanation->answered) {
        (void)printf(", answered after %.3f ms",
                     (double)(explanation->reply_ns - explanation->begin_ns) /
                         NANOSECONDS_PER_MILLISECOND);
    }
    if (explanation->view_changed) {
        (void)printf(", through a view change");
        if (explanation->silence_ns > 0) {
            (void)printf(" (primary silent for %.1f ms)",
                         (double)explanation->silence_ns / NANOSECONDS_PER_MILLISECOND);
        }
    }
    (void)putchar('\n');
}

static int explain(struct trace *trace, struct trace_lines *lines)
{
    struct trace_explanation explanation;
    trace_explain(trace->options.op, lines, &explanation);
    if (!explanation.found) {
        return report_forgotten(trace);
    }
    print_clocks(trace);
    if (trace->options.form == TRACE_FORM_JSON) {
        print_explanation_json(trace, &explanation);
    } else if (trace->options.form == TRACE_FORM_TEXT) {
        print_explanation_text(trace, &explanation);
    }
    return print_lines(trace, lines);
}

/* ---- once ---- */

static void keep_last(struct trace_lines *lines, uint64_t last)
{
    if (last != 0 && lines->count > last) {
        const size_t gone = lines->count - (size_t)last;
        memmove(lines->items, lines->items + gone, (size_t)last * sizeof *lines->items);
        lines->count = (size_t)last;
    }
}

static int nobody_answers(const struct trace *trace)
{
    return report_error(trace->shell, EXIT_UNAVAILABLE, "unavailable",
                        "no replica of %s answers: nobody can tell of any message",
                        trace->shell->options->cluster);
}

static bool anybody_answered(const struct trace *trace)
{
    for (uint32_t i = 0; i < trace->pull.member_count; i++) {
        if (trace->pull.sources[i].answered) {
            return true;
        }
    }
    return false;
}

/* Where nothing is filtered, the last lines come of the last events. */
static uint64_t events_needed(const struct trace_options *options)
{
    if (options->op != 0 || options->last == 0 || !trace_filter_is_open(&options->filter)) {
        return 0;
    }
    return options->last + LAST_SPARE;
}

static int show_once(struct trace *trace)
{
    const uint64_t timeout_ns = trace->shell->options->timeout_ms * NANOSECONDS_PER_MILLISECOND;
    trace_pull_once(&trace->pull, events_needed(&trace->options),
                    clock_monotonic_ns() + timeout_ns);
    if (!anybody_answered(trace)) {
        return nobody_answers(trace);
    }
    struct trace_lines lines;
    trace_merge(trace->pull.sources, trace->pull.member_count, clock_monotonic_ns(), &lines);
    int code;
    if (trace->options.op != 0) {
        code = explain(trace, &lines);
    } else {
        print_clocks(trace);
        trace_filter_apply(&trace->options.filter, &lines);
        keep_last(&lines, trace->options.last);
        code = print_lines(trace, &lines);
    }
    trace_lines_free(&lines);
    return code;
}

/* ---- following ---- */

static void say_lost(const struct trace *trace, uint32_t member, uint64_t lost)
{
    const uint32_t id = trace->names.replica_ids[member];
    char count[GROUPED_MAX];
    if (trace->options.form == TRACE_FORM_JSON) {
        json_t *object = json_object();
        json_set_text(object, "kind", "lost");
        json_set_u64(object, "replica", id);
        json_set_u64(object, "events", lost);
        json_print_line(object);
    } else {
        (void)printf("# %s events of replica %" PRIu32 " went by unseen: more than is shown here\n",
                     explain_grouped(lost, count), id);
    }
}

/* Lines up to the horizon are shown; the events that they were made of are used up. */
static void show_until(struct trace *trace, struct trace_lines *lines, uint64_t horizon_ns,
                       bool *used[REPLICAS_MAX])
{
    for (size_t i = 0; i < lines->count; i++) {
        const struct trace_line *line = &lines->items[i];
        if (line->at_ns > horizon_ns) {
            break;
        }
        if (line->sent_index != SIZE_MAX) {
            used[line->from][line->sent_index] = true;
        }
        if (line->received_index != SIZE_MAX) {
            used[line->to][line->received_index] = true;
        }
        if (trace->names.begin_ns == 0) {
            trace->names.begin_ns = line->at_ns;
        }
        if (trace_filter_passes(&trace->options.filter, line) && !ferror(stdout)) {
            print_line(trace, line);
        }
    }
}

static void remove_used(struct trace_source *source, const bool *used)
{
    size_t kept = 0;
    for (size_t i = 0; i < source->count; i++) {
        if (!used[i]) {
            source->events[kept++] = source->events[i];
        }
    }
    source->count = kept;
}

static void show_round(struct trace *trace, uint64_t now_ns, uint64_t total_lost[REPLICAS_MAX])
{
    struct trace_pull *pull = &trace->pull;
    bool *used[REPLICAS_MAX] = {NULL};
    for (uint32_t i = 0; i < pull->member_count; i++) {
        const uint64_t lost = trace_pull_take_lost(pull, i);
        total_lost[i] += lost;
        used[i] = must_calloc(pull->sources[i].count + 1, sizeof(bool));
        if (lost > 0) {
            say_lost(trace, i, lost);
        }
    }
    struct trace_lines lines;
    trace_merge(pull->sources, pull->member_count, now_ns, &lines);
    show_until(trace, &lines, now_ns - HOLD_MS * NANOSECONDS_PER_MILLISECOND, used);
    trace_lines_free(&lines);
    for (uint32_t i = 0; i < pull->member_count; i++) {
        remove_used(&pull->sources[i], used[i]);
        free(used[i]);
    }
    (void)fflush(stdout);
}

static void say_total_lost(const struct trace *trace, const uint64_t total_lost[REPLICAS_MAX])
{
    for (uint32_t i = 0; i < trace->pull.member_count; i++) {
        char count[GROUPED_MAX];
        if (total_lost[i] > 0 && !trace->shell->options->quiet) {
            (void)fprintf(stderr, "trace: %s events of replica %" PRIu32 " went by unseen\n",
                          explain_grouped(total_lost[i], count), trace->names.replica_ids[i]);
        }
    }
}

static int follow(struct trace *trace)
{
    uint64_t total_lost[REPLICAS_MAX] = {0};
    struct sigaction old[2];
    catch_interrupt(old);
    trace_pull_more(&trace->pull,
                    clock_monotonic_ns() + FOLLOW_ROUND_MS * NANOSECONDS_PER_MILLISECOND);
    const bool answered = anybody_answered(trace);
    if (answered) {
        print_clocks(trace);
        print_columns(trace);
        (void)fflush(stdout);
    }
    while (answered && interrupted == 0 && !ferror(stdout)) {
        clock_sleep_ns(FOLLOW_STEP_MS * NANOSECONDS_PER_MILLISECOND);
        /* What the pull brings is complete up to here; the rest is held back. */
        const uint64_t now_ns = clock_monotonic_ns();
        trace_pull_more(&trace->pull, now_ns + FOLLOW_ROUND_MS * NANOSECONDS_PER_MILLISECOND);
        show_round(trace, now_ns, total_lost);
    }
    release_interrupt(old);
    if (!answered) {
        return nobody_answers(trace);
    }
    say_total_lost(trace, total_lost);
    return EXIT_DONE;
}

/* ---- the command ---- */

/* The replicas that --replica names, as members. */
static int find_replicas(struct trace *trace)
{
    for (uint32_t i = 0; i < trace->options.replica_count; i++) {
        const uint64_t id = trace->options.replicas[i];
        const uint32_t member = configuration_index(&trace->survey.configuration, (uint32_t)id);
        if (member >= REPLICAS_MAX) {
            return report_error(trace->shell, EXIT_USAGE, "usage",
                                "trace: there is no replica %" PRIu64 " in this group of %" PRIu32,
                                id, trace->survey.configuration.member_count);
        }
        trace->options.filter.members |= UINT32_C(1) << member;
    }
    return 0;
}

static int show(struct trace *trace)
{
    if (trace->survey.refusal.reason == REFUSED_CLUSTER ||
        (trace->survey.refusal.reason == REFUSED_VERSION && !trace->survey.has_configuration)) {
        return status_report_refusal(trace->shell, &trace->survey.refusal);
    }
    if (!trace->survey.has_configuration) {
        return nobody_answers(trace);
    }
    const int wrong = find_replicas(trace);
    if (wrong != 0) {
        return wrong;
    }
    const int error =
        trace_pull_open(&trace->pull, &trace->survey, trace->shell->options->datagram_size);
    if (error != 0) {
        return report_error(trace->shell, EXIT_INTERNAL, "internal", "cannot open a socket: %s",
                            strerror(-error));
    }
    trace->names.replica_count = trace->pull.member_count;
    for (uint32_t i = 0; i < trace->pull.member_count; i++) {
        trace->names.replica_ids[i] = trace->pull.members[i].replica_id;
    }
    const int code = trace->options.follow ? follow(trace) : show_once(trace);
    trace_pull_close(&trace->pull);
    return code;
}

static int survey_and_show(struct trace *trace)
{
    const struct options *options = trace->shell->options;
    struct cluster_list list;
    char message[VR_MESSAGE_MAX];
    if (!cluster_list_resolve(options->cluster, &list, message, sizeof message)) {
        return report_error(trace->shell, EXIT_USAGE, "usage", "%s", message);
    }
    const int error = survey_run(&trace->survey, list.addresses, list.count, options->timeout_ms,
                                 options->datagram_size);
    const int code = error == 0 ? show(trace)
                                : report_error(trace->shell, EXIT_INTERNAL, "internal",
                                               "cannot open a socket: %s", strerror(-error));
    survey_free(&trace->survey);
    return code;
}

int trace_run(struct shell *caller, const struct words *words)
{
    char **arguments = must_calloc(words->count + 1, sizeof *arguments);
    for (size_t i = 0; i < words->count; i++) {
        arguments[i] = (char *)words->items[i].bytes;
    }
    struct trace *trace = must_calloc(1, sizeof *trace);
    int code = trace_options_parse(words->count, arguments, &trace->options);
    free(arguments);
    if (code == 0 && !trace->options.help) {
        /* --json is taken before and after the command, and then errors are JSON as well. */
        struct options options = *caller->options;
        if (options.json && trace->options.form == TRACE_FORM_TEXT) {
            trace->options.form = TRACE_FORM_JSON;
        }
        options.json = trace->options.form == TRACE_FORM_JSON;
        const struct shell shell = {.options = &options, .source = caller->source};
        trace->shell = &shell;
        trace->colour = trace_wants_colour();
        code = survey_and_show(trace);
    }
    free(trace);
    return code;
}
