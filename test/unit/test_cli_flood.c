/* SPDX-License-Identifier: Apache-2.0 */
/* flood: percentiles, the operations it makes, and that --verify finds what it is for. */
#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/exit_code.h"
#include "client/cli/flood_options.h"
#include "client/cli/flood_stats.h"
#include "client/cli/histogram.h"
#include "client/cli/workload.h"
#include "common/base/prng.h"
#include "common/os/memory.h"

/* ---- the histogram ---- */

static int compare_u64(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a;
    const uint64_t y = *(const uint64_t *)b;
    return x < y ? -1 : x > y ? 1 : 0;
}

/* Against sorted values, at many magnitudes: never below, and at most 1/64 above. */
START_TEST(percentiles_are_right_to_a_64th)
{
    enum { VALUES = 10000 };
    static const uint32_t wanted[] = {1, 1000, 50000, 90000, 99000, 99900, 99990, 100000};
    static uint64_t values[VALUES];
    struct prng prng;
    prng_seed(&prng, 7);
    for (unsigned bits = 1; bits <= 40; bits += 3) {
        static struct histogram histogram;
        histogram_reset(&histogram);
        for (unsigned i = 0; i < VALUES; i++) {
            values[i] = prng_next(&prng) >> (64 - bits);
            histogram_record(&histogram, values[i]);
        }
        qsort(values, VALUES, sizeof values[0], compare_u64);
        for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
            const uint64_t rank = ((uint64_t)wanted[i] * VALUES + 99999) / 100000;
            const uint64_t exact = values[rank > 0 ? rank - 1 : 0];
            const uint64_t told = histogram_percentile(&histogram, wanted[i]);
            ck_assert_uint_ge(told, exact);
            ck_assert_uint_le(told, exact + exact / HISTOGRAM_PRECISION + 1);
        }
        ck_assert_uint_eq(histogram.max, values[VALUES - 1]);
    }
}
END_TEST

START_TEST(histograms_of_little_and_of_much)
{
    static struct histogram histogram;
    histogram_reset(&histogram);
    ck_assert_uint_eq(histogram_percentile(&histogram, 50000), 0);
    histogram_record(&histogram, 5);
    ck_assert_uint_eq(histogram_percentile(&histogram, 1), 5);
    ck_assert_uint_eq(histogram_percentile(&histogram, 100000), 5);
    histogram_record(&histogram, UINT64_MAX); /* counts as the largest value there is */
    ck_assert_uint_eq(histogram_percentile(&histogram, 100000),
                      (UINT64_C(1) << HISTOGRAM_VALUE_BITS) - 1);
    static struct histogram sum;
    histogram_reset(&sum);
    histogram_add(&sum, &histogram);
    histogram_add(&sum, &histogram);
    ck_assert_uint_eq(sum.count, 4);
    ck_assert_uint_eq(histogram_percentile(&sum, 50000), 5);
}
END_TEST

/* ---- options ---- */

static int parse(struct flood_options *options, size_t count, const char *const *arguments)
{
    char *copies[16] = {0};
    for (size_t i = 0; i < count; i++) {
        copies[i] = strdup(arguments[i]);
    }
    char *argv[17] = {0};
    memcpy(argv, copies, sizeof copies);
    const int code = flood_options_parse(count, argv, options);
    for (size_t i = 0; i < count; i++) {
        free(copies[i]);
    }
    return code;
}

START_TEST(options_have_defaults_and_bounds)
{
    struct flood_options options;
    ck_assert_int_eq(parse(&options, 1, (const char *[]){"flood"}), 0);
    ck_assert_uint_eq(options.clients, 16);
    ck_assert_uint_eq(options.duration_ns, UINT64_C(10000000000));
    ck_assert_int_eq(parse(&options, 9,
                           (const char *[]){"flood", "--clients", "64", "--count", "1000", "--mix",
                                            "5", "--seed", "42"}),
                     0);
    ck_assert_uint_eq(options.clients, 64);
    ck_assert_uint_eq(options.count, 1000);
    ck_assert_uint_eq(options.duration_ns, 0);
    ck_assert_uint_eq(options.mix_percent, 5);
    ck_assert_uint_eq(options.seed, 42);
    static const char *const bad[][3] = {
        {"flood", "--clients", "0"},
        {"flood", "--clients", "x"},
        {"flood", "--clients", "-1"},
        {"flood", "--mix", "101"},
        {"flood", "--duration", "-1"},
        {"flood", "--duration", "nan"},
        {"flood", "--value-size", "1048577"},
        {"flood", "--key-count", "0"},
        {"flood", "--count", "0"},
        {"flood", "--seed", "1.5"},
        {"flood", "--dist", "normal"},
        {"flood", "--rate", "0"},
        {"flood", "--csv", ""},
        {"flood", "--plot", ""},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ck_assert_int_eq(parse(&options, 3, bad[i]), EXIT_USAGE);
    }
    ck_assert_int_eq(parse(&options, 2, (const char *[]){"flood", "--nonsense"}), EXIT_USAGE);
    ck_assert_int_eq(parse(&options, 2, (const char *[]){"flood", "word"}), EXIT_USAGE);
    ck_assert_int_eq(
        parse(&options, 5, (const char *[]){"flood", "--count", "5", "--duration", "5"}),
        EXIT_USAGE);
}
END_TEST

/* ---- the workload ---- */

static struct arena arena;
static uint8_t result_bytes[8192];
static char violation[VIOLATION_MAX];

static struct kv_operation decode(const struct workload *workload)
{
    struct kv_operation operation;
    arena_reset(&arena);
    ck_assert(
        kv_operation_decode(workload->operation, workload->operation_size, &arena, &operation));
    return operation;
}

static enum workload_judgement judge(struct workload *workload, struct kv_result result)
{
    static struct arena encoding;
    if (encoding.memory == NULL) {
        arena_init(&encoding, memory_reserve(KV_ARENA_SIZE), KV_ARENA_SIZE);
    }
    arena_reset(&encoding);
    const size_t size = kv_result_encode(&result, &encoding, result_bytes, sizeof result_bytes);
    ck_assert_uint_gt(size, 0);
    violation[0] = '\0';
    return workload_judge(workload, result_bytes, size, &arena, violation);
}

static struct flood_options verifying(void)
{
    return (struct flood_options){.clients = 4,
                                  .mix_percent = 50,
                                  .key_count = 40,
                                  .value_size = 100,
                                  .seed = 9,
                                  .verify = true};
}

static void setup(void)
{
    arena_init(&arena, memory_reserve(KV_ARENA_SIZE), KV_ARENA_SIZE);
}

static void teardown(void)
{
    memory_release(arena.memory, KV_ARENA_SIZE);
}

START_TEST(mix_is_a_percentage_of_writes)
{
    enum { ROUNDS = 20000 };
    for (uint32_t mix = 0; mix <= 100; mix += 25) {
        const struct flood_options options = {
            .clients = 1, .mix_percent = mix, .key_count = 100, .value_size = 10, .seed = mix};
        struct workload workload;
        workload_init(&workload, &options, 1, 0);
        uint32_t writes = 0;
        for (uint32_t i = 0; i < ROUNDS; i++) {
            workload_next(&workload);
            writes += workload.is_read ? 0u : 1u;
        }
        ck_assert_uint_ge(writes, mix == 0 ? 0 : mix * ROUNDS / 100 - ROUNDS / 50);
        ck_assert_uint_le(writes, mix == 100 ? ROUNDS : mix * ROUNDS / 100 + ROUNDS / 50);
        ck_assert(mix > 0 || writes == 0);
        ck_assert(mix < 100 || writes == ROUNDS);
        const struct kv_operation operation = decode(&workload);
        ck_assert_int_eq((int)operation.kind, workload.is_read ? KV_GET : KV_SET);
        ck_assert_uint_eq(operation.value.size, workload.is_read ? 0 : 10);
        workload_free(&workload);
    }
}
END_TEST

/* The same seed makes the same operations; sessions differ. */
START_TEST(operations_follow_from_the_seed)
{
    const struct flood_options options = {
        .clients = 2, .mix_percent = 50, .key_count = 1000, .value_size = 10, .seed = 3};
    struct workload a;
    struct workload b;
    struct workload other;
    workload_init(&a, &options, 1, 0);
    workload_init(&b, &options, 2, 0);
    workload_init(&other, &options, 1, 1);
    uint32_t same = 0;
    for (unsigned i = 0; i < 100; i++) {
        workload_next(&a);
        workload_next(&b);
        workload_next(&other);
        ck_assert_uint_eq(a.operation_size, b.operation_size);
        ck_assert_mem_eq(a.operation, b.operation, a.operation_size);
        same += a.key == other.key ? 1u : 0u;
    }
    ck_assert_uint_lt(same, 20);
    workload_free(&a);
    workload_free(&b);
    workload_free(&other);
}
END_TEST

/* A store that does what it should is never accused. */
START_TEST(verify_accepts_a_correct_store)
{
    const struct flood_options options = verifying();
    struct workload workload;
    workload_init(&workload, &options, 1, 2);
    static uint8_t values[16][128];
    static size_t sizes[16];
    memset(sizes, 0, sizeof sizes);
    for (unsigned i = 0; i < 2000; i++) {
        workload_next(&workload);
        const struct kv_operation operation = decode(&workload);
        const uint32_t key = workload.key;
        ck_assert_uint_lt(key, 10); /* 40 keys, 4 clients */
        if (!workload.is_read) {
            const bool lost = i % 7 == 0; /* unanswered: executed or not */
            if (!lost || i % 2 == 0) {
                memcpy(values[key], operation.value.bytes, operation.value.size);
                sizes[key] = operation.value.size;
            }
            if (!lost) {
                ck_assert_int_eq(judge(&workload, (struct kv_result){.status = KV_OK}),
                                 WORKLOAD_FINE);
            }
            continue;
        }
        const struct kv_result result = {
            .status = sizes[key] > 0 ? KV_OK : KV_NOT_FOUND,
            .value = {.bytes = values[key], .size = sizes[key]},
        };
        ck_assert_msg(judge(&workload, result) == WORKLOAD_FINE, "%s", violation);
    }
    workload_free(&workload);
}
END_TEST

/* Makes operations until one of this kind is made for a key. */
static void next_of_kind(struct workload *workload, bool is_read, uint32_t key)
{
    do {
        workload_next(workload);
    } while (workload->is_read != is_read || workload->key != key);
}

/* Writes n = 1..count to key 0, acknowledged all; copies what the last but `back` wrote. */
static size_t write_key_zero(struct workload *workload, unsigned count, unsigned back,
                             uint8_t copy[256])
{
    size_t size = 0;
    unsigned written = 0;
    while (written < count) {
        workload_next(workload);
        if (workload->is_read) {
            continue;
        }
        if (workload->key == 0 && ++written == count - back) {
            const struct kv_operation operation = decode(workload);
            size = operation.value.size;
            ck_assert_uint_le(size, 256);
            memcpy(copy, operation.value.bytes, size);
        }
        ck_assert_int_eq(judge(workload, (struct kv_result){.status = KV_OK}), WORKLOAD_FINE);
    }
    return size;
}

/* A lost write: an older value than the last one acknowledged. */
START_TEST(verify_finds_a_lost_write)
{
    const struct flood_options options = verifying();
    struct workload workload;
    workload_init(&workload, &options, 1, 2);
    uint8_t old[256];
    const size_t size = write_key_zero(&workload, 5, 1, old);
    next_of_kind(&workload, true, 0);
    const struct kv_result result = {.status = KV_OK, .value = {.bytes = old, .size = size}};
    ck_assert_int_eq(judge(&workload, result), WORKLOAD_VIOLATION);
    ck_assert_ptr_nonnull(strstr(violation, "flood/verify/2/0"));
    ck_assert_ptr_nonnull(strstr(violation, "read n=4"));
    ck_assert_int_eq(judge(&workload, (struct kv_result){.status = KV_NOT_FOUND}),
                     WORKLOAD_VIOLATION);
    workload_free(&workload);
}
END_TEST

/* What was seen once cannot be unseen, acknowledged or not. */
START_TEST(verify_finds_a_read_that_goes_back)
{
    const struct flood_options options = verifying();
    struct workload workload;
    workload_init(&workload, &options, 1, 2);
    uint8_t acknowledged[256];
    uint8_t unanswered[256];
    const size_t size = write_key_zero(&workload, 3, 0, acknowledged);
    next_of_kind(&workload, false, 0); /* n = 4, or later: never acknowledged */
    const struct kv_operation operation = decode(&workload);
    memcpy(unanswered, operation.value.bytes, operation.value.size);
    next_of_kind(&workload, true, 0);
    ck_assert_int_eq(
        judge(&workload, (struct kv_result){.status = KV_OK, .value = {acknowledged, size}}),
        WORKLOAD_FINE);
    ck_assert_int_eq(
        judge(&workload, (struct kv_result){.status = KV_OK, .value = {unanswered, size}}),
        WORKLOAD_FINE);
    ck_assert_int_eq(
        judge(&workload, (struct kv_result){.status = KV_OK, .value = {acknowledged, size}}),
        WORKLOAD_VIOLATION);
    workload_free(&workload);
}
END_TEST

/* A value of another session, another key or another run is not this one's. */
START_TEST(verify_finds_a_misplaced_value)
{
    const struct flood_options options = verifying();
    struct workload mine;
    struct workload others;
    workload_init(&mine, &options, 1, 2);
    workload_init(&others, &options, 1, 3);
    uint8_t bytes[256];
    uint8_t own[256];
    const size_t size = write_key_zero(&others, 2, 0, bytes);
    next_of_kind(&mine, true, 0);
    ck_assert_int_eq(judge(&mine, (struct kv_result){.status = KV_OK, .value = {bytes, size}}),
                     WORKLOAD_FINE); /* before the first write anything may be there */
    (void)write_key_zero(&mine, 2, 0, own);
    next_of_kind(&mine, true, 0);
    ck_assert_int_eq(judge(&mine, (struct kv_result){.status = KV_OK, .value = {bytes, size}}),
                     WORKLOAD_VIOLATION);
    workload_free(&mine);
    workload_free(&others);
}
END_TEST

START_TEST(readback_covers_what_was_written)
{
    const struct flood_options options = verifying();
    struct workload workload;
    workload_init(&workload, &options, 1, 0);
    ck_assert(!workload_next_readback(&workload)); /* nothing was */
    workload.readback_next = 0;
    uint32_t written = 0;
    for (unsigned i = 0; i < 6; i++) {
        workload_next(&workload);
    }
    for (uint32_t i = 0; i < workload.key_count; i++) {
        written += workload.keys[i].sent > 0 ? 1u : 0u;
    }
    uint32_t read = 0;
    while (workload_next_readback(&workload)) {
        ck_assert(workload.is_read);
        ck_assert_uint_gt(workload.keys[workload.key].sent, 0);
        read++;
    }
    ck_assert_uint_eq(read, written);
    ck_assert_uint_gt(read, 0);
    workload_free(&workload);
}
END_TEST

START_TEST(refusals_are_told_apart)
{
    const struct flood_options options = verifying();
    struct workload workload;
    workload_init(&workload, &options, 1, 0);
    next_of_kind(&workload, false, 0);
    ck_assert_int_eq(judge(&workload, (struct kv_result){.status = KV_TOO_LARGE}),
                     WORKLOAD_REFUSED);
    ck_assert_int_eq(workload_judge(&workload, (const uint8_t *)"junk", 4, &arena, violation),
                     WORKLOAD_REFUSED);
    ck_assert_uint_eq(workload.keys[0].floor, 0);
    workload_free(&workload);
}
END_TEST

/* ---- the summary ---- */

START_TEST(summary_as_json)
{
    static struct flood_stats stats;
    static struct flood_stats all;
    const struct flood_options options = {
        .clients = 3, .mix_percent = 10, .key_count = 5, .value_size = 6, .seed = 7};
    memset(&stats, 0, sizeof stats);
    memset(&all, 0, sizeof all);
    for (unsigned i = 0; i < 100; i++) {
        histogram_record(&stats.latency, 250000);
    }
    stats.ops = 100;
    stats.retries = 4;
    stats.failed[PROXY_ERROR_TIMEOUT] = 2;
    stats.unknown[PROXY_ERROR_TIMEOUT] = 1;
    stats.longest_gap_ns = 1500000;
    stats.view_number = view_make(1, 9);
    flood_stats_add(&all, &stats);
    json_t *json = flood_stats_json(&all, &options, UINT64_C(2000000000));
    ck_assert_int_eq(json_integer_value(json_object_get(json, "ops")), 100);
    ck_assert_double_eq_tol(json_real_value(json_object_get(json, "seconds")), 2, 1e-9);
    ck_assert_double_eq_tol(json_real_value(json_object_get(json, "ops_per_second")), 50, 1e-9);
    ck_assert_double_eq_tol(json_real_value(json_object_get(json, "longest_gap_ms")), 1.5, 1e-9);
    const json_t *latency = json_object_get(json, "latency_us");
    static const char *const names[] = {"p50", "p90", "p99", "p99.9", "max"};
    for (size_t i = 0; i < 5; i++) {
        ck_assert_int_eq(json_integer_value(json_object_get(latency, names[i])), 250);
    }
    const json_t *errors = json_object_get(json, "errors");
    ck_assert_int_eq(json_integer_value(json_object_get(errors, "unavailable")), 2);
    ck_assert_int_eq(json_integer_value(json_object_get(errors, "unknown_unavailable")), 1);
    ck_assert_int_eq(json_integer_value(json_object_get(json, "view")), 9);
    static const char *const echoed[] = {"clients", "mix",    "key_count", "value_size", "seed",
                                         "warmup",  "verify", "version",   "retries"};
    for (size_t i = 0; i < sizeof echoed / sizeof echoed[0]; i++) {
        ck_assert_ptr_nonnull(json_object_get(json, echoed[i]));
    }
    json_decref(json);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cli_flood");
    TCase *tests = tcase_create("cli_flood");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, percentiles_are_right_to_a_64th);
    tcase_add_test(tests, histograms_of_little_and_of_much);
    tcase_add_test(tests, options_have_defaults_and_bounds);
    tcase_add_test(tests, mix_is_a_percentage_of_writes);
    tcase_add_test(tests, operations_follow_from_the_seed);
    tcase_add_test(tests, verify_accepts_a_correct_store);
    tcase_add_test(tests, verify_finds_a_lost_write);
    tcase_add_test(tests, verify_finds_a_read_that_goes_back);
    tcase_add_test(tests, verify_finds_a_misplaced_value);
    tcase_add_test(tests, readback_covers_what_was_written);
    tcase_add_test(tests, refusals_are_told_apart);
    tcase_add_test(tests, summary_as_json);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
