/* SPDX-License-Identifier: Apache-2.0 */
/* bench_cut.c - what a checkpoint costs the thread that executes: the longest slice of a cut (K1),
 * and the longest operation while one is under way.
 *
 *   bench_cut [KEYS]      default a million
 *
 * One executor with its table full of sessions and the key-value store behind it; a cut in slices
 * of SLICE bytes, with OPERATIONS entries executed after each. Rows differ in what these do. CPU
 * time of the thread, so that what else runs on the machine does not count. Printed, never
 * asserted: a number to look at before and after a change. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/prng.h"
#include "common/wire/kv_codec.h"
#include "server/app/kv.h"
#include "server/executor/executor.h"

enum { KEYS_DEFAULT = 1000000, SLICE = 64 * 1024, OPERATIONS = 64, LARGE_KEYS = 500 };

static double now_us(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t); /* always there */
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

struct bench {
    struct kv *kv;
    struct app app;
    void *memory;
    struct executor *executor;
    struct prng prng;
    uint64_t sessions;
    uint64_t keys; /* there, from 0 */
    uint64_t next; /* key of the row's next operation */
    uint64_t requests;
    double longest_us; /* operation */
    uint8_t *cut;
    size_t cut_size;
    size_t cut_capacity;
    uint8_t operation[OPERATION_SIZE_MAX];
    uint8_t entry[ENTRY_SIZE_MAX];
    uint8_t value[VALUE_SIZE_MAX];
};

static void *room(void *memory)
{
    if (memory == NULL) {
        (void)fprintf(stderr, "bench_cut: out of memory\n");
        exit(EXIT_FAILURE);
    }
    return memory;
}

static void run(struct bench *b, struct entry entry)
{
    struct reply reply;
    entry.op_number = executor_executed_op(b->executor) + 1;
    entry.timestamp = entry.op_number;
    const size_t size = entry_encode(&entry, b->entry);
    const double start = now_us();
    executor_execute(b->executor, b->entry, size, &reply);
    const double took = now_us() - start;
    b->longest_us = took > b->longest_us ? took : b->longest_us;
}

static void operate(struct bench *b, enum kv_kind kind, uint64_t key_number, size_t value_size)
{
    char key[32];
    const int key_size = snprintf(key, sizeof key, "user:%" PRIu64, key_number);
    const struct kv_operation operation = {
        .kind = kind,
        .key = {(const uint8_t *)key, (size_t)key_size},
        .value = {b->value, value_size},
    };
    const uint64_t who = b->requests++ % b->sessions;
    run(b, (struct entry){
               .kind = ENTRY_OPERATION,
               .client_id = {who + 1, 1},
               .session = who + 1, /* Registers were the first entries */
               .request_number = b->requests,
               .body = b->operation,
               .body_size = (uint32_t)kv_operation_encode(&operation, b->operation),
           });
}

static void start(struct bench *b)
{
    struct executor_options options = {
        .parameters = cluster_parameters_default(), .app = &b->app, .hash_seed = 1};
    b->kv = kv_create();
    b->app = kv_app(b->kv);
    b->sessions = options.parameters.sessions_max;
    b->memory = room(calloc(1, executor_memory_size(&options.parameters)));
    b->executor = executor_init(b->memory, &options);
    b->cut_capacity = 1024u * 1024 * 1024; /* touched as far as it is used */
    b->cut = room(malloc(b->cut_capacity));
    prng_seed(&b->prng, 1);
    for (uint64_t i = 0; i < b->sessions; i++) {
        run(b, (struct entry){.kind = ENTRY_REGISTER, .client_id = {i + 1, 1}});
    }
}

/* --- what operations do between slices --- */

static void nothing(struct bench *b)
{
    (void)b;
}

static void set_random(struct bench *b)
{
    operate(b, KV_SET, prng_below(&b->prng, b->keys), 16);
}

static void set_new(struct bench *b)
{
    operate(b, KV_SET, b->keys + b->next++, 16);
}

static void del_random(struct bench *b)
{
    operate(b, KV_DEL, prng_below(&b->prng, b->keys), 0);
}

static void set_large(struct bench *b)
{
    operate(b, KV_SET, prng_below(&b->prng, LARGE_KEYS), VALUE_SIZE_MAX);
}

typedef void change_function(struct bench *);

/* `before` operations between the beginning and the first slice, OPERATIONS after each. */
static void row(struct bench *b, const char *name, change_function *change, uint64_t before)
{
    double longest = 0;
    double total = 0;
    uint64_t slices = 0;
    bool more;
    b->cut_size = 0;
    b->longest_us = 0;
    const double begun = now_us();
    executor_cut_begin(b->executor);
    const double begin = now_us() - begun;
    for (uint64_t i = 0; i < before; i++) {
        change(b);
    }
    const uint64_t aside = kv_aside_bytes(b->kv);
    do {
        size_t size;
        const double start_us = now_us();
        more = executor_cut(b->executor, b->cut + b->cut_size, SLICE, &size);
        const double took = now_us() - start_us;
        longest = took > longest ? took : longest;
        total += took;
        slices++;
        b->cut_size += size;
        for (uint32_t i = 0; more && i < OPERATIONS; i++) {
            change(b);
        }
        if (b->cut_capacity - b->cut_size < SLICE) {
            (void)fprintf(stderr, "bench_cut: %zu bytes are not enough\n", b->cut_capacity);
            exit(EXIT_FAILURE);
        }
    } while (more);
    (void)printf("%-34s %7.1f MiB %7" PRIu64 " %10.0f us %8.0f us %8.0f ms %8.0f us %8.1f MiB\n",
                 name, (double)b->cut_size / 1048576, slices, longest, begin, total / 1e3,
                 b->longest_us, (double)aside / 1048576);
}

static void load(struct bench *b)
{
    const struct checksum digest = executor_digest(b->executor);
    b->cut_size = 0;
    executor_cut_begin(b->executor);
    for (bool more = true; more;) {
        size_t size;
        more = executor_cut(b->executor, b->cut + b->cut_size, SLICE, &size);
        b->cut_size += size;
    }
    double start_us = now_us();
    executor_load_begin(b->executor);
    const double emptied = now_us() - start_us;
    bool good = true;
    start_us = now_us();
    for (size_t at = 0; at < b->cut_size && good; at += SLICE) {
        const size_t left = b->cut_size - at;
        good = executor_load(b->executor, b->cut + at, left < SLICE ? left : SLICE);
    }
    good = executor_load_end(b->executor) && good;
    const struct checksum loaded = executor_digest(b->executor);
    if (!good || loaded.low != digest.low || loaded.high != digest.high) {
        (void)fprintf(stderr, "bench_cut: the cut was not loaded\n");
        exit(EXIT_FAILURE);
    }
    (void)printf("emptying %.0f ms, loading %" PRIu64 " keys, %.1f MiB: %.0f ms\n", emptied / 1e3,
                 kv_key_count(b->kv), (double)b->cut_size / 1048576, (now_us() - start_us) / 1e3);
}

int main(int argc, char **argv)
{
    struct bench *b = room(calloc(1, sizeof *b));
    b->keys = argc > 1 ? strtoull(argv[1], NULL, 10) : KEYS_DEFAULT;
    if (b->keys == 0) {
        (void)fprintf(stderr, "usage: bench_cut [KEYS]\n");
        return EXIT_FAILURE;
    }
    (void)setvbuf(stdout, NULL, _IOLBF, BUFSIZ); /* a row at a time, also into a file */
    start(b);
    for (uint64_t i = 0; i < b->keys; i++) { /* in another order than that of the keys */
        operate(b, KV_SET, i * 7919 % b->keys, 16);
    }
    (void)printf("%" PRIu64 " keys, %" PRIu64 " sessions, slices of %d KiB, CPU time\n"
                 "%-34s %11s %7s %13s %11s %11s %11s %12s\n",
                 kv_key_count(b->kv), executor_session_count(b->executor), SLICE / 1024,
                 "operations between slices", "bytes", "slices", "longest slice", "beginning",
                 "all slices", "longest op", "aside");
    row(b, "none", nothing, 0);
    row(b, "sets of random keys", set_random, 0);
    row(b, "sets of new keys", set_new, 0);
    row(b, "... after a million of them", set_new, b->keys);
    row(b, "... after sets of a million keys", set_random, b->keys);
    load(b);
    row(b, "... after most keys were removed", del_random, 2 * b->keys);
    for (uint64_t i = 0; i < LARGE_KEYS; i++) {
        operate(b, KV_SET, i, VALUE_SIZE_MAX);
    }
    row(b, "values of 1 MiB, none", nothing, 0);
    row(b, "values of 1 MiB, set again", set_large, 0);
    free(b->cut);
    kv_destroy(b->kv);
    free(b->memory);
    free(b);
    return EXIT_SUCCESS;
}
