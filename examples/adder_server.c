/* SPDX-License-Identifier: Apache-2.0 */
/* adder_server.c - a replicated application of one's own: one number, and operations that add to
 * it.
 *
 *     cc -o adder_server adder_server.c $(pkg-config --cflags --libs vr)
 *     ./adder_server init  DIR REPLICA CLUSTER CLUSTER_ID     once for each replica
 *     ./adder_server start DIR                                until SIGTERM
 *
 * An operation is a decimal number, its result the sum in decimals; an empty operation only reads.
 * Anything else gets the result "?", the same on every replica. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vr/server.h>

enum { OPERATION_MAX = 20, CUT_SIZE = 12 };

/* All of the state. Every replica executes the same operations in the same order on it. */
struct adder {
    uint64_t sum;
    uint8_t cut[CUT_SIZE]; /* the state as bytes, on their way out or in */
    size_t cut_at;
};

static size_t adder_execute(void *state, const struct app_context *context,
                            const uint8_t *operation, size_t operation_size, uint8_t *result)
{
    struct adder *adder = state;
    char text[OPERATION_MAX + 1] = "";
    char *end = text;
    (void)context; /* op-number and time would be the same on every replica, too */
    if (operation_size <= OPERATION_MAX) {
        memcpy(text, operation, operation_size);
        const uint64_t number = strtoull(text, &end, 10);
        if (end == text + operation_size) {
            adder->sum += number;
            return (size_t)snprintf((char *)result, VR_RESULT_SIZE_MAX, "%llu",
                                    (unsigned long long)adder->sum);
        }
    }
    result[0] = '?';
    return 1;
}

static bool adder_is_read(void *state, const uint8_t *operation, size_t operation_size)
{
    (void)state;
    (void)operation;
    return operation_size == 0;
}

/* Equal states have equal digests: replicas compare them and notice if one goes its own way. */
static struct checksum adder_digest(void *state)
{
    const struct adder *adder = state;
    return (struct checksum){.low = adder->sum};
}

static uint64_t adder_state_size(void *state)
{
    (void)state;
    return sizeof(uint64_t);
}

/* Checkpoints: a format number and the sum, byte by byte, so that they are the same on every
 * machine. A state as small as this is copied when the cut begins; then operations may go on. */
static void adder_cut_begin(void *state)
{
    struct adder *adder = state;
    memset(adder->cut, 0, sizeof adder->cut);
    adder->cut[0] = 1;
    for (int i = 0; i < 8; i++) {
        adder->cut[4 + i] = (uint8_t)(adder->sum >> (8 * i));
    }
    adder->cut_at = 0;
}

static bool adder_cut(void *state, uint8_t *out, size_t capacity, size_t *size)
{
    struct adder *adder = state;
    const size_t left = CUT_SIZE - adder->cut_at;
    *size = left < capacity ? left : capacity;
    memcpy(out, adder->cut + adder->cut_at, *size);
    adder->cut_at += *size;
    return adder->cut_at < CUT_SIZE;
}

static void adder_cut_abandon(void *state)
{
    (void)state;
}

static void adder_load_begin(void *state)
{
    struct adder *adder = state;
    adder->sum = 0;
    adder->cut_at = 0;
}

/* The bytes may be damaged, or not ours at all. */
static bool adder_load(void *state, const uint8_t *bytes, size_t size)
{
    struct adder *adder = state;
    if (size > CUT_SIZE - adder->cut_at) {
        return false;
    }
    memcpy(adder->cut + adder->cut_at, bytes, size);
    adder->cut_at += size;
    return true;
}

static bool adder_load_end(void *state)
{
    static const uint8_t format[4] = {1};
    struct adder *adder = state;
    if (adder->cut_at != CUT_SIZE || memcmp(adder->cut, format, sizeof format) != 0) {
        return false;
    }
    for (int i = 0; i < 8; i++) {
        adder->sum |= (uint64_t)adder->cut[4 + i] << (8 * i);
    }
    return true;
}

int main(int argc, char **argv)
{
    struct adder adder = {0};
    const struct app app = {
        .state = &adder,
        .execute = adder_execute,
        .is_read = adder_is_read,
        .digest = adder_digest,
        .state_size = adder_state_size,
        .cut_begin = adder_cut_begin,
        .cut = adder_cut,
        .cut_abandon = adder_cut_abandon,
        .load_begin = adder_load_begin,
        .load = adder_load,
        .load_end = adder_load_end,
    };
    struct vr_server_error error = {.text = ""};
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
    } else if (argc == 3 && strcmp(argv[1], "start") == 0) {
        const struct vr_server_options options = {
            .data_directory = argv[2],
            .durability = DURABILITY_MEMORY,
        };
        /* Its log on stderr, which then cannot make the replica wait; a function of one's own may
         * take the lines instead. */
        result = vr_server_log_start(NULL, &error);
        if (result == VR_SERVER_OK) {
            result = vr_server_run(&options, &app, &error);
            vr_server_log_stop();
        }
    }
    if (result != VR_SERVER_OK) {
        fprintf(stderr, "adder_server: %s\n", error.text);
    }
    return (int)result;
}
