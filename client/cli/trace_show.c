/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/trace_show.h"

#include <inttypes.h>
#include <stdio.h>

#include "client/cli/exit_code.h"
#include "client/cli/interrupt.h"
#include "client/cli/report.h"
#include "client/cli/trace_print.h"
#include "common/os/clock.h"

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
    if (trace_narrow_columns() != 0) {
        (void)printf("# replica %" PRIu32 "  %s%s\n", id, name,
                     source->answered ? "" : "  no answer");
    } else if (source->answered) {
        (void)printf("# replica %" PRIu32 "  %s  clock %+.3f ms, round trip %.3f ms\n", id, name,
                     (double)trace_clock_offset(&source->clock) / NANOSECONDS_PER_MILLISECOND,
                     (double)source->clock.rtt_ns / NANOSECONDS_PER_MILLISECOND);
    } else {
        (void)printf("# replica %" PRIu32 "  %s  no answer: its side of the story is missing\n", id,
                     name);
    }
}

void trace_show_clocks(const struct trace *trace)
{
    for (uint32_t i = 0; i < trace->pull.member_count; i++) {
        if (trace->options.form == TRACE_FORM_JSON) {
            print_clock_json(trace, i);
        } else if (trace->options.form == TRACE_FORM_TEXT) {
            print_clock_text(trace, i);
        }
    }
}

void trace_show_line(const struct trace *trace, const struct trace_line *line)
{
    if (trace->options.form == TRACE_FORM_JSON) {
        trace_print_json(&trace->names, line);
    } else {
        trace_print_text(&trace->names, line, trace->colour);
    }
}

void trace_show_columns(const struct trace *trace)
{
    if (trace->options.form == TRACE_FORM_TEXT) {
        trace_print_columns();
    }
}

int trace_show_lines(struct trace *trace, const struct trace_lines *lines)
{
    trace->names.begin_ns = lines->count > 0 ? lines->items[0].at_ns : 0;
    if (trace->options.form == TRACE_FORM_MERMAID) {
        trace_print_mermaid(&trace->names, lines);
        return EXIT_DONE;
    }
    trace_show_columns(trace);
    for (size_t i = 0; i < lines->count && !ferror(stdout) && !interrupt_seen(); i++) {
        trace_show_line(trace, &lines->items[i]);
    }
    return EXIT_DONE;
}

int trace_nobody_answers(const struct trace *trace)
{
    return report_error(trace->shell, EXIT_UNAVAILABLE, "unavailable",
                        "no replica of %s answers: nobody can tell of any message",
                        trace->shell->options->cluster);
}

int trace_cancelled(const struct trace *trace)
{
    interrupt_end_line();
    return report_error(trace->shell, EXIT_UNAVAILABLE, "cancelled",
                        "cancelled before the replicas had told what they remember");
}

bool trace_anybody_answered(const struct trace *trace)
{
    for (uint32_t i = 0; i < trace->pull.member_count; i++) {
        if (trace->pull.sources[i].answered) {
            return true;
        }
    }
    return false;
}
