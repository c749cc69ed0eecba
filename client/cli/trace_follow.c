/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/trace_follow.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "client/cli/exit_code.h"
#include "client/cli/interrupt.h"
#include "client/cli/json_text.h"
#include "client/cli/memory.h"
#include "client/lib/explain.h"
#include "common/os/clock.h"

enum {
    FOLLOW_STEP_MS = 100, /* between two rounds: what is shown is as late as this and HOLD_MS */
    FOLLOW_ROUND_MS = 500,
    HOLD_MS = 150, /* lines are held back until both ends of a message are there */
};

/* ---- SIGTERM ---- */

static volatile sig_atomic_t terminated;

static void on_terminate(int number)
{
    (void)number;
    terminated = 1;
}

/* For the one command of a program: it ends as after Ctrl-C. A prompt ends with SIGTERM. */
static void catch_terminate(const struct trace *trace, struct sigaction *old)
{
    struct sigaction action = {.sa_handler = on_terminate, .sa_flags = (int)SA_RESETHAND};
    terminated = 0;
    (void)sigemptyset(&action.sa_mask);
    (void)sigaction(SIGTERM, trace->shell->source == SOURCE_ARGUMENTS ? &action : NULL, old);
}

/* ---- rounds ---- */

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
        (void)printf("# %s events of replica %" PRIu32
                     " lost: they come faster than they are fetched\n",
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
            trace_show_line(trace, line);
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
            (void)fprintf(stderr,
                          "trace: %s events of replica %" PRIu32
                          " were lost: they came faster than they are "
                          "fetched\n",
                          explain_grouped(total_lost[i], count), trace->names.replica_ids[i]);
        }
    }
}

int trace_follow(struct trace *trace)
{
    uint64_t total_lost[REPLICAS_MAX] = {0};
    struct sigaction old;
    catch_terminate(trace, &old);
    trace_pull_more(&trace->pull,
                    clock_monotonic_ns() + FOLLOW_ROUND_MS * NANOSECONDS_PER_MILLISECOND);
    const bool answered = trace_anybody_answered(trace);
    if (answered) {
        trace_show_clocks(trace);
        trace_show_columns(trace);
        (void)fflush(stdout);
    }
    while (answered && !interrupt_seen() && terminated == 0 && !ferror(stdout)) {
        clock_sleep_ns(FOLLOW_STEP_MS * NANOSECONDS_PER_MILLISECOND);
        /* What the pull brings is complete up to here; the rest is held back. */
        const uint64_t now_ns = clock_monotonic_ns();
        trace_pull_more(&trace->pull, now_ns + FOLLOW_ROUND_MS * NANOSECONDS_PER_MILLISECOND);
        show_round(trace, now_ns, total_lost);
    }
    (void)sigaction(SIGTERM, &old, NULL);
    if (!answered) {
        return interrupt_seen() ? trace_cancelled(trace) : trace_nobody_answers(trace);
    }
    interrupt_end_line();
    say_total_lost(trace, total_lost);
    return EXIT_DONE;
}
