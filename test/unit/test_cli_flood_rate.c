/* SPDX-License-Identifier: Apache-2.0 */
/* flood: when operations of an open loop are due, which keys Zipf's law draws, CPU meters, and what
 * --csv and --plot are given. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/flood_cpu.h"
#include "client/cli/flood_plot.h"
#include "client/cli/flood_rows.h"
#include "client/cli/pace.h"
#include "client/cli/zipf.h"

#define MS UINT64_C(1000000)

/* ---- the open loop ---- */

START_TEST(operations_are_due_evenly)
{
    struct pace pace;
    uint64_t since_ns = 0;
    pace_init(&pace, 1000, 5 * MS);
    ck_assert(!pace_take(&pace, 5 * MS - 1, &since_ns));
    ck_assert_uint_eq(pace_overdue(&pace, 5 * MS - 1), 0);
    for (uint64_t i = 0; i < 100; i++) {
        ck_assert_uint_eq(pace_next_ns(&pace), (5 + i) * MS);
        ck_assert(!pace_take(&pace, (5 + i) * MS - 1, &since_ns));
        ck_assert(pace_take(&pace, (5 + i) * MS, &since_ns));
        ck_assert_uint_eq(since_ns, (5 + i) * MS);
    }
}
END_TEST

/* No coordinated omission: after a stall of 50 ms all that were due in it are late by as much as
 * they should have begun earlier, not only the one that was in flight. */
START_TEST(a_stall_is_in_the_latency_of_all_that_it_delays)
{
    struct pace pace;
    uint64_t since_ns;
    pace_init(&pace, 1000, 0);
    ck_assert(pace_take(&pace, 0, &since_ns));
    ck_assert_uint_eq(pace_overdue(&pace, 50 * MS), 50);
    for (uint64_t i = 1; i <= 50; i++) {
        ck_assert(pace_take(&pace, 50 * MS, &since_ns));
        ck_assert_uint_eq(50 * MS - since_ns, (50 - i) * MS);
    }
    ck_assert_uint_eq(pace_overdue(&pace, 50 * MS), 0);
    ck_assert(!pace_take(&pace, 50 * MS, &since_ns));
}
END_TEST

/* A day at a rate that does not divide a second: nothing has added up. */
START_TEST(rounding_does_not_add_up)
{
    struct pace pace;
    pace_init(&pace, 333333, 0);
    pace.taken = UINT64_C(333333) * 86400;
    ck_assert_uint_le(pace_next_ns(&pace), UINT64_C(86400) * 1000 * MS);
    ck_assert_uint_ge(pace_next_ns(&pace), UINT64_C(86400) * 1000 * MS - 100);
}
END_TEST

/* ---- Zipf's law ---- */

/* How often each rank is drawn, against the law itself; five standard deviations. */
START_TEST(zipf_draws_what_the_law_says)
{
    enum { DRAWS = 200000, COUNT = 1000 };
    static uint32_t drawn[COUNT];
    struct zipf zipf;
    struct prng prng;
    double sum = 0;
    memset(drawn, 0, sizeof drawn);
    prng_seed(&prng, 11);
    zipf_init(&zipf, COUNT);
    for (unsigned i = 0; i < DRAWS; i++) {
        const uint32_t rank = zipf_draw(&zipf, &prng);
        ck_assert_uint_lt(rank, COUNT);
        drawn[rank]++;
    }
    for (unsigned i = 0; i < COUNT; i++) {
        sum += pow(i + 1, -0.99);
    }
    for (unsigned i = 0; i < COUNT; i++) {
        const double share = pow(i + 1, -0.99) / sum;
        const double expected = share * DRAWS;
        const double allowed = 5 * sqrt(expected * (1 - share)) + 1;
        ck_assert_msg(fabs(drawn[i] - expected) < allowed, "rank %u: %u, not %.0f", i, drawn[i],
                      expected);
    }
}
END_TEST

START_TEST(zipf_of_one_and_of_very_many)
{
    struct zipf zipf;
    struct prng prng;
    prng_seed(&prng, 3);
    zipf_init(&zipf, 1);
    for (unsigned i = 0; i < 100; i++) {
        ck_assert_uint_eq(zipf_draw(&zipf, &prng), 0);
    }
    zipf_init(&zipf, FLOOD_KEYS_MAX);
    uint32_t largest = 0;
    for (unsigned i = 0; i < 10000; i++) {
        const uint32_t rank = zipf_draw(&zipf, &prng);
        ck_assert_uint_lt(rank, FLOOD_KEYS_MAX);
        largest = rank > largest ? rank : largest;
    }
    ck_assert_uint_gt(largest, FLOOD_KEYS_MAX / 10);
}
END_TEST

/* ---- CPU ---- */

START_TEST(a_meter_counts_between_readings)
{
    struct cpu_meter meter = {0};
    ck_assert(cpu_meter_cores(&meter) == 0);
    cpu_meter_read(&meter, 7000000, 1000 * MS); /* seven seconds before we looked */
    ck_assert(cpu_meter_cores(&meter) == 0);
    cpu_meter_read(&meter, 7500000, 2000 * MS);
    ck_assert(fabs(cpu_meter_cores(&meter) - 0.5) < 1e-9);
    cpu_meter_read(&meter, 500000, 3000 * MS); /* restarted: half a second since */
    ck_assert(fabs(cpu_meter_cores(&meter) - 0.5) < 1e-9);
}
END_TEST

/* ---- rows ---- */

static void text_of(FILE *file, char *text, size_t size)
{
    rewind(file);
    const size_t got = fread(text, 1, size - 1, file);
    text[got] = '\0';
    (void)fclose(file);
}

START_TEST(rows_tell_what_came_since_the_last_one)
{
    static struct flood_stats before;
    static struct flood_stats now;
    for (unsigned i = 0; i < 100; i++) {
        histogram_record(&before.latency, 1000 * MS); /* slow, but not in this row */
    }
    before.failed[PROXY_ERROR_TIMEOUT] = 3;
    now = before;
    for (unsigned i = 0; i < 10; i++) {
        histogram_record(&now.latency, 2 * MS);
    }
    now.failed[PROXY_ERROR_TIMEOUT] = 4;
    now.unknown[PROXY_ERROR_BUSY] = 1;
    now.retries = 6;
    struct flood_row row = {.at_s = 2, .seconds = 0.5, .overdue = 9};
    flood_row_fill(&row, &before, &now);
    ck_assert_uint_eq(row.ops, 10);
    ck_assert_uint_ge(row.p50_us, 2000);
    ck_assert_uint_le(row.max_us, 2000 + 2000 / HISTOGRAM_PRECISION + 1);
    ck_assert_uint_eq(row.errors, 2);

    FILE *csv = tmpfile();
    char text[1024];
    struct flood_rows rows;
    ck_assert_ptr_nonnull(csv);
    flood_rows_begin(&rows, csv, false);
    row.p50_us = row.p90_us = row.p99_us = row.p999_us = row.max_us = 2000;
    flood_rows_add(&rows, &row);
    row.cpu_known = true;
    row.replicas_cpu = 1.25;
    row.own_cpu = 0.5;
    flood_rows_add(&rows, &row);
    flood_rows_free(&rows);
    text_of(csv, text, sizeof text);
    ck_assert_str_eq(text, "time_s,seconds,ops,ops_per_second,p50_us,p90_us,p99_us,p99.9_us,max_us,"
                           "errors,retries,overdue,view,replicas_cpu,flood_cpu\n"
                           "2.000,0.500,10,20,2000,2000,2000,2000,2000,2,6,9,0,,\n"
                           "2.000,0.500,10,20,2000,2000,2000,2000,2000,2,6,9,0,1.250,0.500\n");
}
END_TEST

/* ---- the plot ---- */

START_TEST(a_plot_has_the_rows_and_marks_view_changes)
{
    const struct flood_options options = {.clients = 2, .value_size = 64, .rate = 500};
    struct flood_rows rows;
    FILE *script = tmpfile();
    static char text[8192];
    ck_assert_ptr_nonnull(script);
    flood_rows_begin(&rows, NULL, true);
    for (unsigned i = 1; i <= 200; i++) {
        const struct flood_row row = {
            .at_s = i, .seconds = 1, .ops = i == 100 ? 0 : 10 * i, .p50_us = 5, .p99_us = 9};
        flood_rows_add(&rows, &row);
    }
    flood_rows_view_change(&rows, 99.5, 7);
    flood_plot_write_script(script, &rows, &options);
    flood_rows_free(&rows);
    text_of(script, text, sizeof text);
    ck_assert_ptr_nonnull(strstr(text, "\n7.000 70.0 5 9\n"));
    ck_assert_ptr_nonnull(strstr(text, "\n100.000 0.0 NaN NaN\n"));
    ck_assert_ptr_nonnull(strstr(text, "set arrow from first 99.500,"));
    ck_assert_ptr_nonnull(strstr(text, "'view 7'"));
    ck_assert_ptr_nonnull(strstr(text, "500 ops/s offered"));
    ck_assert_ptr_nonnull(strstr(text, "set xrange [0:200.000]"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cli flood rate");
    TCase *tests = tcase_create("all");
    suite_add_tcase(suite, tests);
    tcase_add_test(tests, operations_are_due_evenly);
    tcase_add_test(tests, a_stall_is_in_the_latency_of_all_that_it_delays);
    tcase_add_test(tests, rounding_does_not_add_up);
    tcase_add_test(tests, zipf_draws_what_the_law_says);
    tcase_add_test(tests, zipf_of_one_and_of_very_many);
    tcase_add_test(tests, a_meter_counts_between_readings);
    tcase_add_test(tests, rows_tell_what_came_since_the_last_one);
    tcase_add_test(tests, a_plot_has_the_rows_and_marks_view_changes);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
