/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/flood_stats.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/json_text.h"
#include "client/cli/memory.h"
#include "client/lib/explain.h"
#include "common/base/version.h"
#include "common/os/clock.h"

static const struct {
    const char *name;
    uint32_t millipercent;
} percentiles[] = {
    {"p50", 50000},
    {"p90", 90000},
    {"p99", 99000},
    {"p99.9", 99900},
};
enum { PERCENTILE_COUNT = sizeof percentiles / sizeof percentiles[0] };

static const char *const error_names[FLOOD_ERRORS_MAX] = {
    [PROXY_ERROR_TIMEOUT] = "unavailable",
    [PROXY_ERROR_BUSY] = "busy",
    [PROXY_ERROR_SESSION_EXPIRED] = "session_expired",
    [PROXY_ERROR_PAYLOAD_MISMATCH] = "session_misused",
    [PROXY_ERROR_TOO_LARGE] = "too_large",
    [PROXY_ERROR_WRONG_CLUSTER] = "wrong_cluster",
    [PROXY_ERROR_WRONG_VERSION] = "wrong_version",
    [PROXY_ERROR_WRONG_PORT] = "wrong_port",
    [PROXY_ERROR_CANCELLED] = "cancelled",
};

const char *flood_error_name(enum proxy_error error)
{
    return (size_t)error < FLOOD_ERRORS_MAX && error_names[error] != NULL ? error_names[error]
                                                                          : "?";
}

static uint64_t microseconds(uint64_t ns)
{
    return (ns + NANOSECONDS_PER_MICROSECOND / 2) / NANOSECONDS_PER_MICROSECOND;
}

static double seconds(uint64_t ns)
{
    return (double)ns / (double)NANOSECONDS_PER_SECOND;
}

static double per_second(uint64_t count, uint64_t ns)
{
    return ns > 0 ? (double)count / seconds(ns) : 0;
}

void flood_stats_add(struct flood_stats *all, const struct flood_stats *one)
{
    all->ops += one->ops;
    all->retries += one->retries;
    for (uint32_t i = 0; i < FLOOD_ERRORS_MAX; i++) {
        all->failed[i] += one->failed[i];
        all->unknown[i] += one->unknown[i];
    }
    all->refused += one->refused;
    all->view_number = one->view_number > all->view_number ? one->view_number : all->view_number;
    if (one->longest_gap_ns > all->longest_gap_ns) {
        all->longest_gap_ns = one->longest_gap_ns;
    }
    histogram_add(&all->latency, &one->latency);
    all->overdue += one->overdue;
    all->overdue_ns = one->overdue_ns > all->overdue_ns ? one->overdue_ns : all->overdue_ns;
    const uint64_t kept =
        one->violation_count < FLOOD_VIOLATIONS_KEPT ? one->violation_count : FLOOD_VIOLATIONS_KEPT;
    for (uint64_t i = 0; i < kept && all->violation_count + i < FLOOD_VIOLATIONS_KEPT; i++) {
        memcpy(all->violations[all->violation_count + i], one->violations[i], VIOLATION_MAX);
    }
    all->violation_count += one->violation_count;
    all->readback_keys += one->readback_keys;
    all->unread_keys += one->unread_keys;
}

/* ---- text ---- */

static void print_errors(const struct flood_stats *stats)
{
    bool any = stats->refused > 0;
    (void)printf("errors:");
    for (uint32_t i = 0; i < FLOOD_ERRORS_MAX; i++) {
        if (stats->failed[i] > 0) {
            (void)printf(" %s %" PRIu64, error_names[i], stats->failed[i]);
            any = true;
        }
        if (stats->unknown[i] > 0) {
            (void)printf(" unknown(%s) %" PRIu64, error_names[i], stats->unknown[i]);
            any = true;
        }
    }
    if (stats->refused > 0) {
        (void)printf(" refused %" PRIu64, stats->refused);
    }
    (void)printf("%s\n", any ? "" : " none");
}

static void print_verification(const struct flood_stats *stats)
{
    char keys[GROUPED_MAX];
    (void)printf("verified: %s keys read back, %" PRIu64 " violation%s",
                 explain_grouped(stats->readback_keys, keys), stats->violation_count,
                 stats->violation_count == 1 ? "" : "s");
    if (stats->unread_keys > 0) {
        (void)printf(", %" PRIu64 " keys could not be read", stats->unread_keys);
    }
    (void)putchar('\n');
    for (uint32_t i = 0; i < stats->violation_count && i < FLOOD_VIOLATIONS_KEPT; i++) {
        (void)printf("VIOLATION: %s\n", stats->violations[i]);
    }
}

/* CPU time of each operation, given how many cores were in use. */
static double us_per_op(double cores, const struct flood_stats *stats, uint64_t measured_ns)
{
    return stats->ops > 0 ? cores * 1e6 * seconds(measured_ns) / (double)stats->ops : 0;
}

static void print_cpu(const struct flood_stats *stats, uint64_t measured_ns)
{
    const struct flood_cpu_usage *cpu = &stats->cpu;
    (void)printf("CPU:");
    if (cpu->replicas_known) {
        (void)printf(" replicas %.2f cores, %.1f us per op;", cpu->replicas,
                     us_per_op(cpu->replicas, stats, measured_ns));
    } else {
        (void)printf(" replicas unknown;");
    }
    if (cpu->own_known) {
        (void)printf(" flood %.2f cores, %.1f us per op\n", cpu->own,
                     us_per_op(cpu->own, stats, measured_ns));
    } else {
        (void)printf(" flood unknown\n");
    }
}

static void print_rate(const struct flood_stats *stats, const struct flood_options *options)
{
    char rate[GROUPED_MAX];
    char overdue[GROUPED_MAX];
    (void)printf("%s ops/s were due", explain_grouped(options->rate, rate));
    if (stats->overdue > 0) {
        (void)printf("; at the end %s of them waited for a free session, the first for %.1f s",
                     explain_grouped(stats->overdue, overdue), seconds(stats->overdue_ns));
    }
    (void)putchar('\n');
}

void flood_stats_print(const struct flood_stats *stats, const struct flood_options *options,
                       uint64_t measured_ns)
{
    char ops[GROUPED_MAX];
    char rate[GROUPED_MAX];
    char keys[GROUPED_MAX];
    (void)printf("%" PRIu32 " clients, %" PRIu32 " %% writes, %s keys (%s), values of %" PRIu32
                 " bytes, seed %" PRIu64 "\n",
                 options->clients, options->mix_percent, explain_grouped(options->key_count, keys),
                 flood_distribution_name(options->distribution), options->value_size,
                 options->seed);
    if (options->rate > 0) {
        print_rate(stats, options);
    }
    (void)printf("%s ops in %.1f s: %s ops/s\n", explain_grouped(stats->ops, ops),
                 seconds(measured_ns),
                 explain_grouped((uint64_t)per_second(stats->ops, measured_ns), rate));
    (void)printf("latency in us:");
    for (uint32_t i = 0; i < PERCENTILE_COUNT; i++) {
        (void)printf(
            " %s %" PRIu64, percentiles[i].name,
            microseconds(histogram_percentile(&stats->latency, percentiles[i].millipercent)));
    }
    (void)printf(" max %" PRIu64 "\n", microseconds(stats->latency.max));
    (void)printf("longest gap %.1f ms, %" PRIu64 " retries, view %" PRIu64 "\n",
                 (double)stats->longest_gap_ns / (double)NANOSECONDS_PER_MILLISECOND,
                 stats->retries, view_within_epoch(stats->view_number));
    print_cpu(stats, measured_ns);
    print_errors(stats);
    if (options->verify) {
        print_verification(stats);
    }
}

void flood_stats_print_progress(const struct flood_stats *before, const struct flood_stats *now,
                                uint64_t elapsed_ns, uint64_t interval_ns)
{
    struct histogram *latency = must_calloc(1, sizeof *latency);
    histogram_subtract(&now->latency, &before->latency, latency);
    char rate[GROUPED_MAX];
    (void)fprintf(stderr,
                  "%6.0f s  %9s ops/s  p50 %" PRIu64 " us  p99 %" PRIu64 " us  retries %" PRIu64
                  "  view %" PRIu64 "\n",
                  seconds(elapsed_ns),
                  explain_grouped((uint64_t)per_second(latency->count, interval_ns), rate),
                  microseconds(histogram_percentile(latency, 50000)),
                  microseconds(histogram_percentile(latency, 99000)),
                  now->retries - before->retries, view_within_epoch(now->view_number));
    free(latency);
}

/* ---- JSON ---- */

static json_t *json_errors(const struct flood_stats *stats)
{
    json_t *errors = json_object();
    for (uint32_t i = 0; i < FLOOD_ERRORS_MAX; i++) {
        if (stats->failed[i] > 0) {
            json_set_u64(errors, error_names[i], stats->failed[i]);
        }
        if (stats->unknown[i] > 0) {
            char name[64];
            (void)snprintf(name, sizeof name, "unknown_%s", error_names[i]);
            json_set_u64(errors, name, stats->unknown[i]);
        }
    }
    if (stats->refused > 0) {
        json_set_u64(errors, "refused", stats->refused);
    }
    return errors;
}

static json_t *json_latency(const struct flood_stats *stats)
{
    json_t *latency = json_object();
    for (uint32_t i = 0; i < PERCENTILE_COUNT; i++) {
        json_set_u64(
            latency, percentiles[i].name,
            microseconds(histogram_percentile(&stats->latency, percentiles[i].millipercent)));
    }
    json_set_u64(latency, "max", microseconds(stats->latency.max));
    return latency;
}

static void json_verification(json_t *object, const struct flood_stats *stats)
{
    json_t *violations = json_array();
    for (uint32_t i = 0; i < stats->violation_count && i < FLOOD_VIOLATIONS_KEPT; i++) {
        (void)json_array_append_new(violations, json_string(stats->violations[i]));
    }
    json_set_u64(object, "violation_count", stats->violation_count);
    (void)json_object_set_new(object, "violations", violations);
    json_set_u64(object, "readback_keys", stats->readback_keys);
    json_set_u64(object, "unread_keys", stats->unread_keys);
}

static json_t *json_number(bool known, double number)
{
    return known ? json_real(number) : json_null();
}

static json_t *json_cpu(const struct flood_stats *stats, uint64_t measured_ns)
{
    const struct flood_cpu_usage *cpu = &stats->cpu;
    json_t *object = json_object();
    (void)json_object_set_new(object, "replicas_cores",
                              json_number(cpu->replicas_known, cpu->replicas));
    (void)json_object_set_new(
        object, "replicas_us_per_op",
        json_number(cpu->replicas_known, us_per_op(cpu->replicas, stats, measured_ns)));
    (void)json_object_set_new(object, "flood_cores", json_number(cpu->own_known, cpu->own));
    (void)json_object_set_new(object, "flood_us_per_op",
                              json_number(cpu->own_known, us_per_op(cpu->own, stats, measured_ns)));
    json_t *replicas = json_array();
    for (uint32_t i = 0; i < cpu->member_count; i++) {
        json_t *replica = json_object();
        json_set_u64(replica, "id", cpu->member_ids[i]);
        (void)json_object_set_new(replica, "cores",
                                  json_number(cpu->members[i] > 0, cpu->members[i]));
        (void)json_array_append_new(replicas, replica);
    }
    (void)json_object_set_new(object, "replicas", replicas);
    return object;
}

static void json_rate(json_t *object, const struct flood_stats *stats,
                      const struct flood_options *options)
{
    json_set_u64(object, "rate", options->rate);
    json_set_u64(object, "overdue", stats->overdue);
    (void)json_object_set_new(
        object, "overdue_ms",
        json_real((double)stats->overdue_ns / (double)NANOSECONDS_PER_MILLISECOND));
}

json_t *flood_stats_json(const struct flood_stats *stats, const struct flood_options *options,
                         uint64_t measured_ns)
{
    json_t *object = json_object();
    json_set_u64(object, "ops", stats->ops);
    (void)json_object_set_new(object, "seconds", json_real(seconds(measured_ns)));
    (void)json_object_set_new(object, "ops_per_second",
                              json_real(per_second(stats->ops, measured_ns)));
    (void)json_object_set_new(object, "latency_us", json_latency(stats));
    (void)json_object_set_new(object, "errors", json_errors(stats));
    (void)json_object_set_new(
        object, "longest_gap_ms",
        json_real((double)stats->longest_gap_ns / (double)NANOSECONDS_PER_MILLISECOND));
    json_set_u64(object, "retries", stats->retries);
    json_set_u64(object, "view", view_within_epoch(stats->view_number));
    (void)json_object_set_new(object, "cpu", json_cpu(stats, measured_ns));
    if (options->verify) {
        json_verification(object, stats);
    }
    if (options->rate > 0) {
        json_rate(object, stats, options);
    }
    json_set_u64(object, "clients", options->clients);
    json_set_u64(object, "mix", options->mix_percent);
    json_set_u64(object, "key_count", options->key_count);
    json_set_u64(object, "value_size", options->value_size);
    json_set_text(object, "dist", flood_distribution_name(options->distribution));
    (void)json_object_set_new(object, "warmup", json_real(seconds(options->warmup_ns)));
    json_set_u64(object, "seed", options->seed);
    (void)json_object_set_new(object, "verify", json_boolean(options->verify));
    json_set_text(object, "version", VERSION_TEXT);
    return object;
}
