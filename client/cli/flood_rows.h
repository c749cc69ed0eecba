/* SPDX-License-Identifier: Apache-2.0 */
/* flood_rows.h - what `flood` saw, second by second: for --csv, which gets each row as its second
 * ends, and for --plot, which is drawn from all of them at the end.
 *
 * Threads: main's. Memory: rows are kept while somebody wants a plot. */
#ifndef VR_CLI_FLOOD_ROWS_H
#define VR_CLI_FLOOD_ROWS_H

#include <stdio.h>

#include "client/cli/flood_stats.h"

enum { FLOOD_VIEW_CHANGES_KEPT = 1000 }; /* marks in a plot; more are left out */

struct flood_row {
    double at_s;     /* its end, since measuring began */
    double seconds;  /* its length: 1, but for the last one */
    uint64_t ops;    /* acknowledged in it */
    uint64_t p50_us; /* of those */
    uint64_t p90_us;
    uint64_t p99_us;
    uint64_t p999_us;
    uint64_t max_us; /* to the precision of the histogram */
    uint64_t errors;
    uint64_t retries;
    uint64_t overdue; /* due and not begun, with --rate */
    uint64_t view;
    bool cpu_known;
    double replicas_cpu; /* cores */
    double own_cpu;
};

struct flood_view_change {
    double at_s;
    uint64_t view;
};

struct flood_rows {
    FILE *csv; /* or NULL */
    bool kept;
    size_t count;
    size_t capacity;
    struct flood_row *rows;
    size_t view_change_count;
    struct flood_view_change view_changes[FLOOD_VIEW_CHANGES_KEPT];
};

/* Counts between two looks. */
void flood_row_fill(struct flood_row *row, const struct flood_stats *before,
                    const struct flood_stats *now);

void flood_rows_begin(struct flood_rows *rows, FILE *csv, bool kept);
void flood_rows_add(struct flood_rows *rows, const struct flood_row *row);
void flood_rows_view_change(struct flood_rows *rows, double at_s, uint64_t view);
void flood_rows_free(struct flood_rows *rows);

#endif
