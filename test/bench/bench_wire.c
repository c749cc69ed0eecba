/* SPDX-License-Identifier: Apache-2.0 */
/* bench_wire.c - what a message costs on its way to and from bytes: nanoseconds each, one thread.
 *
 *   bench_wire [SECONDS]      per row; default 0.2
 *
 * Messages of a type are sent to one destination until its datagrams are full, sealed (checksum)
 * and emitted; the same datagrams are then opened, decoded and validated. `batch` is how many
 * messages share a flush: 1 is an idle cluster, more is load. Printed, never asserted: a number to
 * look at before and after a change. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/wire/sender.h"

enum {
    ARENA_SIZE = 4 * DATAGRAM_SIZE_MAX,
    CAUGHT_MAX = 64,
};

/* CPU time: what others do on the machine does not count. */
static double now_s(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t); /* always there */
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* One flush's datagrams, kept for the decoding half. */
struct caught {
    uint8_t *bytes[CAUGHT_MAX];
    size_t sizes[CAUGHT_MAX];
    size_t count;
    size_t total;
    bool keep;
};

static void catch_datagrams(void *context, const struct wire_datagram *datagrams, size_t count)
{
    struct caught *caught = context;
    for (size_t i = 0; caught->keep && i < count && caught->count < CAUGHT_MAX; i++) {
        memcpy(caught->bytes[caught->count], datagrams[i].bytes, datagrams[i].size);
        caught->sizes[caught->count++] = datagrams[i].size;
        caught->total += datagrams[i].size;
    }
}

static struct wire_sender *new_sender(struct caught *caught, uint32_t datagram_size)
{
    struct wire_sender_options options;
    wire_sender_options_default(&options);
    options.cluster_id = 1;
    options.sender = 0;
    options.datagram_size = datagram_size;
    options.emit = catch_datagrams;
    options.emit_context = caught;
    void *memory = malloc(wire_sender_memory_size(&options));
    if (memory == NULL) {
        fputs("bench_wire: out of memory\n", stderr);
        exit(EXIT_FAILURE);
    }
    return wire_sender_init(memory, &options);
}

static void send_batch(struct wire_sender *sender, const struct message *message, uint32_t batch)
{
    static const struct wire_destination to = {.address = {.ip = {127, 0, 0, 1}, .port = 1}};
    for (uint32_t i = 0; i < batch; i++) {
        wire_send(sender, &to, message, 0);
    }
    wire_flush(sender);
}

static double measure_encode(struct wire_sender *sender, const struct message *message,
                             uint32_t batch, double seconds)
{
    uint64_t messages = 0;
    const double start = now_s();
    double elapsed;
    do {
        for (int i = 0; i < 64; i++) {
            send_batch(sender, message, batch);
        }
        messages += 64 * (uint64_t)batch;
        elapsed = now_s() - start;
    } while (elapsed < seconds);
    return 1e9 * elapsed / (double)messages;
}

/* Opens and decodes one flush's datagrams; returns how many messages they held. */
static uint64_t decode_all(const struct caught *caught, struct arena *arena)
{
    static const struct net_address from = {.ip = {127, 0, 0, 1}, .port = 1};
    uint64_t messages = 0;
    for (size_t i = 0; i < caught->count; i++) {
        struct wire_header header;
        struct wire_cursor cursor;
        struct message message;
        arena_reset(arena);
        if (wire_open(caught->bytes[i], caught->sizes[i], &from, &header, &cursor) != WIRE_OK) {
            continue;
        }
        while (wire_next(&cursor, arena, &message) == WIRE_OK) {
            messages++;
        }
    }
    return messages;
}

static double measure_decode(const struct caught *caught, struct arena *arena, double seconds)
{
    uint64_t messages = 0;
    const double start = now_s();
    double elapsed;
    do {
        for (int i = 0; i < 64; i++) {
            messages += decode_all(caught, arena);
        }
        elapsed = now_s() - start;
    } while (elapsed < seconds);
    return 1e9 * elapsed / (double)messages;
}

static void run(const char *name, const struct message *message, uint32_t batch,
                uint32_t datagram_size, double seconds)
{
    struct caught *caught = calloc(1, sizeof *caught);
    void *arena_memory = aligned_alloc(ARENA_ALIGNMENT, ARENA_SIZE);
    if (caught == NULL || arena_memory == NULL) {
        fputs("bench_wire: out of memory\n", stderr);
        exit(EXIT_FAILURE);
    }
    for (size_t i = 0; i < CAUGHT_MAX; i++) {
        caught->bytes[i] = malloc(DATAGRAM_SIZE_MAX);
    }
    struct wire_sender *sender = new_sender(caught, datagram_size);
    caught->keep = true;
    send_batch(sender, message, batch);
    caught->keep = false;
    struct arena arena;
    arena_init(&arena, arena_memory, ARENA_SIZE);

    const double encode = measure_encode(sender, message, batch, seconds);
    const double decode = measure_decode(caught, &arena, seconds);
    printf("%-24s %5" PRIu32 " %9" PRIu32 " %9.0f %10.0f %10.0f\n", name, batch, datagram_size,
           (double)caught->total / (double)batch, encode, decode);
    for (size_t i = 0; i < CAUGHT_MAX; i++) {
        free(caught->bytes[i]);
    }
    free(sender);
    free(arena_memory);
    free(caught);
}

/* `count` entries of 128-byte operations, as normal operation has them. */
static struct message prepare_of(uint32_t count)
{
    static uint8_t entries[1024 * (ENTRY_HEADER_SIZE + 128)];
    static const uint8_t body[128];
    uint32_t size = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct entry entry = {
            .op_number = 1000000 + i,
            .view_number = view_make(EPOCH_FIRST, 7),
            .timestamp = UINT64_C(1700000000000000000) + i,
            .client_id = {UINT64_C(0x1234567890abcdef), UINT64_C(0xfedcba0987654321)},
            .session = 1234,
            .request_number = 56789,
            .kind = ENTRY_OPERATION,
            .body_size = sizeof body,
            .body = body,
        };
        size += (uint32_t)entry_encode(&entry, entries + size);
    }
    return (struct message){
        .type = MESSAGE_PREPARE,
        .prepare = {.view_number = view_make(EPOCH_FIRST, 7),
                    .first_op = 1000000,
                    .parent_checksum = {UINT64_C(0x0123456789abcdef), 1},
                    .commit_number = 999990,
                    .commit_checksum = {UINT64_C(0x0123456789abcdef), 2},
                    .round = 31337,
                    .entry_count = count,
                    .entries_size = size,
                    .entries = entries},
    };
}

int main(int argc, char **argv)
{
    const double seconds = argc > 1 ? strtod(argv[1], NULL) : 0.2;
    static const uint8_t operation[128];
    const struct client_id client_id = {UINT64_C(0x1234567890abcdef), UINT64_C(0xfedcba09)};
    const uint64_t view = view_make(EPOCH_FIRST, 7);
    const struct message request = {
        .type = MESSAGE_REQUEST,
        .request = {client_id, 1234, 56789, ENTRY_OPERATION, sizeof operation, operation},
    };
    const struct message reply = {
        .type = MESSAGE_REPLY,
        .reply = {view, 1000000, 0, client_id, 1234, 56789, REPLY_OK, 16, operation},
    };
    const struct checkpoint_mark mark = {900000, {1, UINT64_C(0x0123456789abcdef)}};
    const struct message prepare_ok = {
        .type = MESSAGE_PREPARE_OK,
        .prepare_ok = {view, 1000000, {UINT64_C(0x0123456789abcdef), 1}, 31337, mark},
    };
    const struct message commit = {
        .type = MESSAGE_COMMIT,
        .commit = {view, 999990, {UINT64_C(0x0123456789abcdef), 1}, 1000000, 31337, mark},
    };
    printf("%-24s %5s %9s %9s %10s %10s\n", "message", "batch", "datagram", "bytes", "encode ns",
           "decode ns");
    const uint32_t loopback = DATAGRAM_SIZE_LOOPBACK;
    const struct {
        const char *name;
        struct message message;
        uint32_t batch;
    } rows[] = {
        {"Request, 128 bytes", request, 1},
        {"Request, 128 bytes", request, 64},
        {"Reply, 16 bytes", reply, 1},
        {"Reply, 16 bytes", reply, 64},
        {"PrepareOk", prepare_ok, 1},
        {"PrepareOk", prepare_ok, 64},
        {"Commit", commit, 1},
        {"Commit", commit, 64},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        run(rows[i].name, &rows[i].message, rows[i].batch, loopback, seconds);
    }
    const uint32_t entry_counts[] = {1, 64, 256};
    for (size_t i = 0; i < sizeof entry_counts / sizeof entry_counts[0]; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "Prepare of %" PRIu32, entry_counts[i]);
        const struct message prepare = prepare_of(entry_counts[i]);
        run(name, &prepare, 1, loopback, seconds);
    }
    return EXIT_SUCCESS;
}
