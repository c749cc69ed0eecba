/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/trace.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/exit_code.h"
#include "client/cli/interrupt.h"
#include "client/cli/memory.h"
#include "client/cli/report.h"
#include "client/cli/status.h"
#include "client/cli/trace_explain.h"
#include "client/cli/trace_follow.h"
#include "client/cli/trace_print.h"
#include "client/cli/trace_summary.h"
#include "client/cli/usage.h"
#include "client/lib/cluster_list.h"
#include "client/lib/explain.h"
#include "common/os/clock.h"

enum { LAST_SPARE = 2 * TRACE_EVENTS_MAX }; /* events beyond the lines that are shown */

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

static void show_summary(const struct trace *trace, const struct trace_explanation *explanation)
{
    const uint32_t primary = explanation->primary;
    const bool answers =
        primary < trace->pull.member_count && trace->pull.sources[primary].answered;
    char text[TRACE_SUMMARY_MAX];
    if (trace->options.form == TRACE_FORM_JSON) {
        json_print_line(trace_summary_json(&trace->names, trace->options.op, explanation, answers));
    } else if (trace->options.form == TRACE_FORM_TEXT) {
        (void)printf("# %s\n",
                     trace_summary(&trace->names, trace->options.op, explanation, answers, text));
    }
}

static int explain(struct trace *trace, struct trace_lines *lines)
{
    struct trace_explanation explanation;
    trace_explain(trace->options.op, lines, &explanation);
    if (!explanation.found) {
        return report_forgotten(trace);
    }
    trace_show_clocks(trace);
    show_summary(trace, &explanation);
    return trace_show_lines(trace, lines);
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

/* Where nothing is filtered, the last lines come of the last events. */
static uint64_t events_needed(const struct trace_options *options)
{
    if (options->op != 0 || options->last == 0 || !trace_filter_is_open(&options->filter)) {
        return 0;
    }
    return options->last + LAST_SPARE;
}

/* What the filters left. */
static int show_chosen(struct trace *trace, struct trace_lines *lines)
{
    if (lines->count == 0 && !trace_filter_is_open(&trace->options.filter)) {
        return report_error(trace->shell, EXIT_DEFINITE_FAILURE, "not_found",
                            "no replica that answers remembers anything of what was asked for: "
                            "each keeps its last %d events of operations and %d of view changes, "
                            "and forgets them when it stops",
                            TRACE_OPERATIONS_MAX, TRACE_CHANGES_MAX);
    }
    trace_show_clocks(trace);
    return trace_show_lines(trace, lines);
}

static int show_once(struct trace *trace)
{
    const uint64_t timeout_ns = trace->shell->options->timeout_ms * NANOSECONDS_PER_MILLISECOND;
    trace_pull_once(&trace->pull, events_needed(&trace->options),
                    clock_monotonic_ns() + timeout_ns);
    if (interrupt_seen()) {
        return trace_cancelled(trace);
    }
    if (!trace_anybody_answered(trace)) {
        return trace_nobody_answers(trace);
    }
    struct trace_lines lines;
    trace_merge(trace->pull.sources, trace->pull.member_count, clock_monotonic_ns(), &lines);
    int code;
    if (trace->options.op != 0) {
        code = explain(trace, &lines);
    } else {
        trace_filter_apply(&trace->options.filter, &lines);
        keep_last(&lines, trace->options.last);
        code = show_chosen(trace, &lines);
    }
    trace_lines_free(&lines);
    return code;
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
    if (interrupt_seen()) {
        return trace_cancelled(trace);
    }
    if (survey_is_refused(&trace->survey)) {
        return status_report_refusal(trace->shell, &trace->survey);
    }
    if (!trace->survey.has_configuration) {
        return trace_nobody_answers(trace);
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
    const int code = trace->options.follow ? trace_follow(trace) : show_once(trace);
    trace_pull_close(&trace->pull);
    return code;
}

static int survey_and_show(struct trace *trace)
{
    const struct options *options = trace->shell->options;
    struct cluster_list list;
    char message[VR_MESSAGE_MAX];
    int error = cluster_list_resolve(options->cluster, &list, message, sizeof message);
    if (error != 0) {
        return report_no_address(trace->shell, error, EXIT_UNAVAILABLE, message);
    }
    error = survey_run(&trace->survey, list.addresses, list.count, options->timeout_ms,
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
    struct usage_capture capture;
    usage_capture_begin(&capture,
                        caller->options->json || usage_asks_for_json((int)words->count, arguments));
    int code = trace_options_parse(words->count, arguments, &trace->options);
    code = usage_capture_end(&capture, code);
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
