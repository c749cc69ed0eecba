/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/flood_rows.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/memory.h"
#include "common/os/clock.h"

static uint64_t count_errors(const struct flood_stats *stats)
{
    uint64_t count = stats->refused;
    for (uint32_t i = 0; i < FLOOD_ERRORS_MAX; i++) {
        count += stats->failed[i] + stats->unknown[i];
    }
    return count;
}

static uint64_t percentile_us(const struct histogram *latency, uint32_t millipercent)
{
    return (histogram_percentile(latency, millipercent) + NANOSECONDS_PER_MICROSECOND / 2) /
           NANOSECONDS_PER_MICROSECOND;
}

void flood_row_fill(struct flood_row *row, const struct flood_stats *before,
                    const struct flood_stats *now)
{
    struct histogram *latency = must_calloc(1, sizeof *latency);
    histogram_subtract(&now->latency, &before->latency, latency);
    row->ops = latency->count;
    row->p50_us = percentile_us(latency, 50000);
    row->p90_us = percentile_us(latency, 90000);
    row->p99_us = percentile_us(latency, 99000);
    row->p999_us = percentile_us(latency, 99900);
    row->max_us = percentile_us(latency, 100000);
    row->errors = count_errors(now) - count_errors(before);
    row->retries = now->retries - before->retries;
    row->view = view_within_epoch(now->view_number);
    free(latency);
}

void flood_rows_begin(struct flood_rows *rows, FILE *csv, bool kept)
{
    memset(rows, 0, sizeof *rows);
    rows->csv = csv;
    rows->kept = kept;
    if (csv != NULL) {
        (void)fputs("time_s,seconds,ops,ops_per_second,p50_us,p90_us,p99_us,p99.9_us,max_us,errors,"
                    "retries,overdue,view,replicas_cpu,flood_cpu\n",
                    csv);
        (void)fflush(csv);
    }
}

static void write_row(FILE *csv, const struct flood_row *row)
{
    (void)fprintf(csv,
                  "%.3f,%.3f,%" PRIu64 ",%.0f,%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64
                  ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",",
                  row->at_s, row->seconds, row->ops, (double)row->ops / row->seconds, row->p50_us,
                  row->p90_us, row->p99_us, row->p999_us, row->max_us, row->errors, row->retries,
                  row->overdue, row->view);
    if (row->cpu_known) {
        (void)fprintf(csv, "%.3f,%.3f\n", row->replicas_cpu, row->own_cpu);
    } else {
        (void)fputs(",\n", csv);
    }
    (void)fflush(csv); /* somebody may look while it runs */
}

void flood_rows_add(struct flood_rows *rows, const struct flood_row *row)
{
    if (rows->csv != NULL) {
        write_row(rows->csv, row);
    }
    if (!rows->kept) {
        return;
    }
    if (rows->count == rows->capacity) {
        rows->capacity = rows->capacity > 0 ? 2 * rows->capacity : 64;
        rows->rows = must_realloc(rows->rows, rows->capacity * sizeof *rows->rows);
    }
    rows->rows[rows->count++] = *row;
}

void flood_rows_view_change(struct flood_rows *rows, double at_s, uint64_t view)
{
    if (rows->view_change_count < FLOOD_VIEW_CHANGES_KEPT) {
        rows->view_changes[rows->view_change_count++] =
            (struct flood_view_change){.at_s = at_s, .view = view};
    }
}

void flood_rows_free(struct flood_rows *rows)
{
    free(rows->rows);
    memset(rows, 0, sizeof *rows);
}
