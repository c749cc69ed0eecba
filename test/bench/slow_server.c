/* SPDX-License-Identifier: Apache-2.0 */
/* slow_server.c - a replicated application that does nothing but takes its time: each operation
 * costs so many microseconds of CPU, whatever it is. To every operation it answers what the
 * key-value store answers to a set, so that flood can offer it a load.
 *
 *     slow_server init DIR REPLICA CLUSTER CLUSTER_ID     once for each replica
 *     slow_server start DIR MICROSECONDS                  until SIGTERM */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "server/runtime/server.h"

enum { COUNT_SIZE = 8 };

struct slow {
    uint64_t cost_ns;
    uint64_t count;
    uint8_t bytes[COUNT_SIZE]; /* of a cut, on their way out or in */
    size_t at;
};

static uint64_t thread_cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

static size_t slow_execute(void *state, const struct app_context *context, const uint8_t *operation,
                           size_t operation_size, uint8_t *result)
{
    static const uint8_t set_answer[] = {0x08, 0x01}; /* status = OK, see proto/kv.proto */
    struct slow *slow = state;
    (void)context;
    (void)operation;
    (void)operation_size;
    const uint64_t until_ns = thread_cpu_ns() + slow->cost_ns;
    while (thread_cpu_ns() < until_ns) {
    }
    slow->count++;
    memcpy(result, set_answer, sizeof set_answer);
    return sizeof set_answer;
}

static bool slow_is_read(void *state, const uint8_t *operation, size_t operation_size)
{
    (void)state;
    (void)operation;
    (void)operation_size;
    return false;
}

static struct checksum slow_digest(void *state)
{
    return (struct checksum){.low = ((struct slow *)state)->count};
}

static uint64_t slow_state_size(void *state)
{
    (void)state;
    return COUNT_SIZE;
}

static void slow_cut_begin(void *state)
{
    struct slow *slow = state;
    memcpy(slow->bytes, &slow->count, COUNT_SIZE);
    slow->at = 0;
}

static bool slow_cut(void *state, uint8_t *out, size_t capacity, size_t *size)
{
    struct slow *slow = state;
    const size_t left = COUNT_SIZE - slow->at;
    *size = left < capacity ? left : capacity;
    memcpy(out, slow->bytes + slow->at, *size);
    slow->at += *size;
    return slow->at < COUNT_SIZE;
}

static void slow_cut_abandon(void *state)
{
    (void)state;
}

static void slow_load_begin(void *state)
{
    struct slow *slow = state;
    slow->count = 0;
    slow->at = 0;
}

static bool slow_load(void *state, const uint8_t *bytes, size_t size)
{
    struct slow *slow = state;
    if (size > COUNT_SIZE - slow->at) {
        return false;
    }
    memcpy(slow->bytes + slow->at, bytes, size);
    slow->at += size;
    return true;
}

static bool slow_load_end(void *state)
{
    struct slow *slow = state;
    memcpy(&slow->count, slow->bytes, COUNT_SIZE);
    return slow->at == COUNT_SIZE;
}

static enum vr_server_exit start(const char *directory, const char *cost_us,
                                 struct vr_server_error *error)
{
    struct slow slow = {.cost_ns = strtoull(cost_us, NULL, 10) * 1000};
    const struct app app = {
        .state = &slow,
        .execute = slow_execute,
        .is_read = slow_is_read,
        .digest = slow_digest,
        .state_size = slow_state_size,
        .cut_begin = slow_cut_begin,
        .cut = slow_cut,
        .cut_abandon = slow_cut_abandon,
        .load_begin = slow_load_begin,
        .load = slow_load,
        .load_end = slow_load_end,
    };
    const struct vr_server_options options = {
        .data_directory = directory,
        .durability = DURABILITY_MEMORY,
    };
    enum vr_server_exit result = vr_server_log_start(NULL, error);
    if (result == VR_SERVER_OK) {
        result = vr_server_run(&options, &app, error);
        vr_server_log_stop();
    }
    return result;
}

int main(int argc, char **argv)
{
    struct vr_server_error error = {.text = "usage: init DIR REPLICA CLUSTER ID | start DIR US"};
    enum vr_server_exit result = VR_SERVER_USAGE;
    if (argc == 6 && strcmp(argv[1], "init") == 0) {
        const struct vr_server_init_options options = {
            .data_directory = argv[2],
            .cluster = argv[4],
            .replica_id = (uint32_t)strtoul(argv[3], NULL, 10),
            .cluster_id = strtoull(argv[5], NULL, 16),
            .parameters = cluster_parameters_default(),
        };
        result = vr_server_init(&options, &error);
    } else if (argc == 4 && strcmp(argv[1], "start") == 0) {
        result = start(argv[2], argv[3], &error);
    }
    if (result != VR_SERVER_OK) {
        fprintf(stderr, "slow_server: %s\n", error.text);
    }
    return (int)result;
}
