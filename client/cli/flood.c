/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/flood.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/exit_code.h"
#include "client/cli/flood_lane.h"
#include "client/cli/flood_plot.h"
#include "client/cli/interrupt.h"
#include "client/cli/memory.h"
#include "client/cli/report.h"
#include "client/cli/usage.h"
#include "common/os/clock.h"
#include "common/os/random.h"
#include "common/os/thread.h"

enum {
    LANES_MAX = 4,
    SESSIONS_PER_LANE = 1024, /* one thread keeps up with that many closed loops */
    LOOK_MS = 20,             /* how often it looks whether something is over */
    ROW_MS_MIN = 100,         /* the last row covers at least that, or is the only one */
};

struct flood {
    struct flood_options options;
    struct flood_shared shared;
    struct lane *lanes;
    uint32_t lane_count;
    uint64_t begin_ns; /* of measuring */
    uint64_t end_ns;   /* of measuring */
    struct flood_stats *stats;
    struct flood_cpu cpu;
    FILE *csv; /* NULL: not wanted */
    FILE *png;
    struct flood_rows rows;
};

/* What was counted up to a time, so that what came since can be told. */
struct look {
    uint64_t at_ns;
    struct flood_stats stats;
};

/* ---- running ---- */

static void collect(struct flood *flood, struct flood_stats *stats)
{
    memset(stats, 0, sizeof *stats);
    for (uint32_t i = 0; i < flood->lane_count; i++) {
        lane_add_stats(&flood->lanes[i], stats);
    }
}

static bool is_over(struct flood *flood, uint64_t now_ns)
{
    return interrupt_seen() || atomic_load(&flood->shared.stopping) ||
           atomic_load(&flood->shared.lanes_loading) == 0 ||
           (flood->options.duration_ns > 0 &&
            now_ns >= flood->begin_ns + flood->options.duration_ns);
}

static double seconds_since(uint64_t since_ns, uint64_t now_ns)
{
    return (double)(now_ns - since_ns) / (double)NANOSECONDS_PER_SECOND;
}

static void show_progress(struct flood *flood, struct look *last, uint64_t started_ns,
                          uint64_t now_ns)
{
    struct look *now = must_calloc(1, sizeof *now);
    now->at_ns = now_ns;
    collect(flood, &now->stats);
    flood_stats_print_progress(&last->stats, &now->stats, now_ns - started_ns,
                               now_ns - last->at_ns);
    *last = *now;
    free(now);
}

static void add_row(struct flood *flood, struct look *last, uint64_t now_ns)
{
    struct look *now = must_calloc(1, sizeof *now);
    struct flood_cpu_usage cpu;
    now->at_ns = now_ns;
    collect(flood, &now->stats);
    flood_cpu_latest(&flood->cpu, &cpu);
    struct flood_row row = {
        .at_s = seconds_since(flood->begin_ns, now_ns),
        .seconds = seconds_since(last->at_ns, now_ns),
        .overdue = now->stats.overdue,
        .cpu_known = cpu.replicas_known,
        .replicas_cpu = cpu.replicas,
        .own_cpu = cpu.own,
    };
    flood_row_fill(&row, &last->stats, &now->stats);
    flood_rows_add(&flood->rows, &row);
    *last = *now;
    free(now);
}

static bool wants_rows(const struct flood *flood)
{
    return flood->csv != NULL || flood->png != NULL;
}

/* Rows end a whole number of seconds after measuring began, but for the last one; `last` is where
 * the one before ended, and its time is 0 before measuring began. */
static void make_rows(struct flood *flood, struct look *last, uint64_t now_ns)
{
    if (!wants_rows(flood) || now_ns < flood->begin_ns) {
        return;
    }
    if (last->at_ns == 0) {
        collect(flood, &last->stats);
        last->at_ns = now_ns;
        return;
    }
    const uint64_t done = (last->at_ns - flood->begin_ns) / NANOSECONDS_PER_SECOND;
    if (now_ns >= flood->begin_ns + (done + 1) * NANOSECONDS_PER_SECOND) {
        add_row(flood, last, now_ns);
    }
}

static void make_last_row(struct flood *flood, struct look *last)
{
    if (wants_rows(flood) && last->at_ns != 0 && flood->end_ns > last->at_ns &&
        (flood->end_ns - last->at_ns >= ROW_MS_MIN * NANOSECONDS_PER_MILLISECOND ||
         flood->rows.count == 0)) {
        add_row(flood, last, flood->end_ns);
    }
}

static uint64_t mark_view_change(struct flood *flood, uint64_t known, uint64_t now_ns)
{
    const uint64_t view = atomic_load(&flood->shared.view_number);
    if (view > known && known != 0 && now_ns >= flood->begin_ns) {
        flood_rows_view_change(&flood->rows, seconds_since(flood->begin_ns, now_ns),
                               view_within_epoch(view));
    }
    return view;
}

/* Waits for the end of the measuring, with a line a second where somebody watches. */
static void watch(struct flood *flood, bool progress)
{
    struct look *line = must_calloc(1, sizeof *line);
    struct look *row = must_calloc(1, sizeof *row);
    const uint64_t started_ns = clock_monotonic_ns();
    uint64_t now_ns = started_ns;
    uint64_t view = 0;
    line->at_ns = started_ns;
    row->at_ns = flood->options.warmup_ns == 0 ? flood->begin_ns : 0;
    while (!is_over(flood, now_ns)) {
        clock_sleep_ns(LOOK_MS * NANOSECONDS_PER_MILLISECOND);
        now_ns = clock_monotonic_ns();
        view = mark_view_change(flood, view, now_ns);
        if (progress && now_ns - line->at_ns >= NANOSECONDS_PER_SECOND) {
            show_progress(flood, line, started_ns, now_ns);
        }
        make_rows(flood, row, now_ns);
    }
    flood->end_ns = now_ns;
    make_last_row(flood, row);
    free(line);
    free(row);
}

/* The silence at the end is a gap like any other; with --count the end is the last answer. */
static void close_measuring(struct flood *flood)
{
    const uint64_t last_ns = atomic_load(&flood->shared.last_ack_ns);
    const uint64_t since_ns = last_ns > flood->begin_ns ? last_ns : flood->begin_ns;
    if (flood->options.count > 0 && last_ns > flood->begin_ns) {
        flood->end_ns = last_ns;
    }
    if (flood->end_ns > since_ns && flood->end_ns - since_ns > flood->stats->longest_gap_ns) {
        flood->stats->longest_gap_ns = flood->end_ns - since_ns;
    }
}

static int start_lanes(struct flood *flood, const struct cluster_list *list)
{
    const uint32_t clients = flood->options.clients;
    uint32_t wanted = (clients + SESSIONS_PER_LANE - 1) / SESSIONS_PER_LANE;
    wanted = wanted < LANES_MAX ? wanted : LANES_MAX;
    flood->lanes = must_calloc(wanted, sizeof(struct lane));
    for (uint32_t i = 0; i < wanted; i++) {
        const uint32_t first = (uint32_t)((uint64_t)clients * i / wanted);
        const uint32_t next = (uint32_t)((uint64_t)clients * (i + 1) / wanted);
        const int error = lane_start(&flood->lanes[i], &flood->shared, list, first, next - first);
        if (error != 0) {
            return error;
        }
        flood->lane_count++;
    }
    return 0;
}

static void join_lanes(struct flood *flood)
{
    atomic_store(&flood->shared.stopping, true);
    while (atomic_load(&flood->shared.lanes_running) > 0) {
        clock_sleep_ns(LOOK_MS * NANOSECONDS_PER_MILLISECOND / 4);
    }
    collect(flood, flood->stats);
    for (uint32_t i = 0; i < flood->lane_count; i++) {
        lane_join(&flood->lanes[i]);
    }
    free(flood->lanes);
}

/* ---- the end ---- */

static int code_of_error(const struct flood_shared *shared)
{
    switch (shared->first_error) {
    case PROXY_ERROR_WRONG_CLUSTER:
    case PROXY_ERROR_WRONG_VERSION:
    case PROXY_ERROR_WRONG_PORT:
        return EXIT_WRONG_GROUP;
    case PROXY_ERROR_TOO_LARGE:
    case PROXY_ERROR_PAYLOAD_MISMATCH:
        return EXIT_DEFINITE_FAILURE;
    default:
        return shared->first_outcome == PROXY_UNKNOWN ? EXIT_UNKNOWN : EXIT_UNAVAILABLE;
    }
}

static const char *name_of_error(const struct flood_shared *shared)
{
    switch (code_of_error(shared)) {
    case EXIT_WRONG_GROUP:
        return flood_error_name(shared->first_error);
    case EXIT_DEFINITE_FAILURE:
        return "failed";
    case EXIT_UNKNOWN:
        return "unknown";
    default:
        return "unavailable";
    }
}

/* The picture, if one is wanted; and whether all that was written is there. */
static int close_files(struct shell *shell, struct flood *flood)
{
    int code = EXIT_DONE;
    if (flood->csv != NULL) {
        const bool whole = !ferror(flood->csv);
        if (fclose(flood->csv) != 0 || !whole) {
            code = report_error(shell, EXIT_IO, "io", "flood: cannot write %s: %s",
                                flood->options.csv, strerror(errno));
        }
    }
    if (flood->png != NULL) {
        const int error = flood->rows.count > 0
                              ? flood_plot_draw(fileno(flood->png), &flood->rows, &flood->options)
                              : -ENODATA;
        if (fclose(flood->png) != 0 || error != 0) {
            code =
                report_error(shell, EXIT_IO, "io", "flood: cannot draw %s: %s", flood->options.plot,
                             error == -EPROTO    ? "gnuplot failed"
                             : error == -ENODATA ? "nothing was measured"
                                                 : strerror(error != 0 ? -error : errno));
        }
    }
    return code;
}

static int finish(struct shell *shell, struct flood *flood)
{
    const struct flood_shared *shared = &flood->shared;
    struct flood_stats *stats = flood->stats;
    if (stats->ops == 0 && shared->has_error) {
        return report_error(shell, code_of_error(shared), name_of_error(shared), "flood: %s",
                            shared->error_text);
    }
    const uint64_t measured_ns =
        flood->end_ns > flood->begin_ns ? flood->end_ns - flood->begin_ns : 0;
    if (flood->options.json || shell->options->json) {
        json_print_line(flood_stats_json(stats, &flood->options, measured_ns));
    } else {
        flood_stats_print(stats, &flood->options, measured_ns);
        if (shared->has_error && !shell->options->quiet) {
            (void)printf("first error: %s\n", shared->error_text);
        }
    }
    if (stats->violation_count > 0) {
        (void)fprintf(stderr, "vr-client: flood: VIOLATION: %s\n", stats->violations[0]);
        return EXIT_DEFINITE_FAILURE;
    }
    if (shared->has_error && code_of_error(shared) == EXIT_WRONG_GROUP) {
        return EXIT_WRONG_GROUP; /* whatever was done before that was seen */
    }
    return stats->unread_keys > 0 ? EXIT_UNAVAILABLE : EXIT_DONE;
}

static int run(struct shell *shell, struct flood *flood, const struct cluster_list *list)
{
    const bool progress =
        isatty(STDERR_FILENO) == 1 && !shell->options->quiet && !flood->options.json;
    mutex_init(&flood->shared.mutex);
    flood->begin_ns = clock_monotonic_ns() + flood->options.warmup_ns;
    atomic_store(&flood->shared.measure_from_ns, flood->begin_ns);
    flood->stats = must_calloc(1, sizeof *flood->stats);
    flood_rows_begin(&flood->rows, flood->csv, flood->png != NULL);
    flood_cpu_start(&flood->cpu, list, shell->options->datagram_size, flood->begin_ns);
    const int error = start_lanes(flood, list);
    if (error == 0) {
        watch(flood, progress);
    }
    flood_cpu_stop(&flood->cpu);
    interrupt_end_line();
    if (interrupt_seen() && shell->source == SOURCE_ARGUMENTS) {
        interrupt_give_up(); /* the first one ends the measuring; what is in flight may take long */
    }
    join_lanes(flood);
    flood_cpu_join(&flood->cpu, &flood->stats->cpu);
    close_measuring(flood);
    const int code = error == 0 ? finish(shell, flood)
                                : report_error(shell, EXIT_INTERNAL, "internal",
                                               "flood: cannot open a socket and start a thread: %s",
                                               strerror(-error));
    const int written = close_files(shell, flood);
    flood_rows_free(&flood->rows);
    mutex_destroy(&flood->shared.mutex);
    free(flood->stats);
    return code != 0 ? code : written;
}

/* Before anything is measured, so that nothing is measured in vain. */
static int open_file(struct shell *shell, const char *name, FILE **file)
{
    if (name == NULL) {
        return 0;
    }
    *file = fopen(name, "we");
    return *file != NULL ? 0
                         : report_error(shell, EXIT_IO, "io", "flood: cannot write %s: %s", name,
                                        strerror(errno));
}

static int open_files(struct shell *shell, struct flood *flood)
{
    if (flood->options.plot != NULL && !flood_plot_possible()) {
        return report_error(shell, EXIT_CONFIGURATION, "configuration",
                            "flood: --plot needs gnuplot, which cannot be run: install it (Debian: "
                            "gnuplot-nox), or take --csv");
    }
    int code = open_file(shell, flood->options.csv, &flood->csv);
    if (code == 0) {
        code = open_file(shell, flood->options.plot, &flood->png);
    }
    if (code != 0 && flood->csv != NULL) {
        (void)fclose(flood->csv);
    }
    return code;
}

int flood_run(struct shell *shell, const struct words *words)
{
    char **arguments = must_calloc(words->count + 1, sizeof *arguments);
    for (size_t i = 0; i < words->count; i++) {
        arguments[i] = (char *)words->items[i].bytes;
    }
    struct flood *flood = must_calloc(1, sizeof *flood);
    struct usage_capture capture;
    usage_capture_begin(&capture,
                        shell->options->json || usage_asks_for_json((int)words->count, arguments));
    int code =
        usage_capture_end(&capture, flood_options_parse(words->count, arguments, &flood->options));
    free(arguments);
    struct cluster_list list;
    char message[VR_MESSAGE_MAX];
    if (code == 0 && !flood->options.help) {
        const int error =
            cluster_list_resolve(shell->options->cluster, &list, message, sizeof message);
        code = error == 0 ? 0 : report_no_address(shell, error, EXIT_UNAVAILABLE, message);
    }
    if (code == 0 && !flood->options.help) {
        flood->shared.options = &flood->options;
        flood->shared.run = random_nonzero_u64();
        flood->shared.timeout_ns = shell->options->timeout_ms * NANOSECONDS_PER_MILLISECOND;
        flood->shared.datagram_size = shell->options->datagram_size;
        atomic_store(&flood->shared.budget, flood->options.count);
        code = open_files(shell, flood);
        code = code != 0 ? code : run(shell, flood, &list);
    }
    free(flood);
    return code;
}
