/* SPDX-License-Identifier: Apache-2.0 */
/* Writes what fuzzing begins with, made by the real encoders: test/fuzz/corpus/TARGET/seed-*.
 *
 *     build/fuzz_seeds DIRECTORY */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/invariant.h"
#include "common/wire/sender.h"
#include "server/storage/state_file.h"
#include "server/storage/wal_format.h"
#include "test/support/random_message.h"
#include "test/support/sim_disk.h"

enum { CLUSTER = 0x7f3a91c2, SEGMENT_BYTES = WAL_SEGMENT_HEADER_SIZE + 2048, ENTRIES = 4 };

static const char *directory;

static void write_seed(const char *target, const char *name, const char *first, size_t first_size,
                       const void *bytes, size_t size)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/%s/seed-%s", directory, target, name);
    FILE *file = fopen(path, "wb");
    INVARIANT(file != NULL);
    INVARIANT(fwrite(first, 1, first_size, file) == first_size);
    INVARIANT(fwrite(bytes, 1, size, file) == size);
    INVARIANT(fclose(file) == 0);
}

/* ---- datagrams ---- */

static void emit(void *context, const struct wire_datagram *datagrams, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        write_seed("wire", context, "", 0, datagrams[i].bytes, datagrams[i].size);
    }
}

static void write_datagrams(void)
{
    static char name[64];
    struct wire_sender_options options;
    wire_sender_options_default(&options);
    options.cluster_id = CLUSTER;
    options.sender = 1;
    options.incarnation = 1;
    options.identity = 1;
    options.configuration_hash = 1;
    options.emit = emit;
    options.emit_context = name;
    void *memory = malloc(wire_sender_memory_size(&options));
    struct random_message *random = malloc(sizeof *random);
    INVARIANT(memory != NULL && random != NULL);
    struct wire_sender *sender = wire_sender_init(memory, &options);
    const struct wire_destination to = {.address = {.port = 1}};
    struct prng prng;
    prng_seed(&prng, 1);
    for (uint32_t i = 0; i < RANDOM_MESSAGE_TYPES; i++) {
        (void)snprintf(name, sizeof name, "%s", message_type_name(random_message_types[i]));
        random_message(&prng, random_message_types[i], 2 * ENTRY_HEADER_SIZE, random);
        wire_send(sender, &to, &random->message, 1);
        wire_flush(sender);
    }
    free(random);
    free(memory);
}

/* ---- a segment of a log ---- */

static void write_segment(void)
{
    static uint8_t bytes[SEGMENT_BYTES];
    const struct wal_owner owner = {CLUSTER, 1};
    struct checksum checksum = entry_chain_start(CLUSTER);
    const struct wal_segment_header header = {
        .number = 1, .size = SEGMENT_BYTES, .first_sequence = 1, .head_checksum = checksum};
    wal_segment_header_encode(&header, &owner, bytes);
    uint64_t offset = WAL_SEGMENT_HEADER_SIZE;
    for (uint64_t op = 1; op <= ENTRIES; op++) {
        uint8_t body[ENTRY_HEADER_SIZE + 1];
        const struct entry entry = {.op_number = op,
                                    .view_number = view_make(EPOCH_FIRST, 0),
                                    .timestamp = op,
                                    .client_id = {1, 1},
                                    .session = 1,
                                    .request_number = op,
                                    .kind = ENTRY_OPERATION,
                                    .body = (const uint8_t *)"x",
                                    .body_size = 1};
        const size_t size = entry_encode(&entry, body);
        struct wal_record record = {.type = WAL_ENTRY,
                                    .sequence = op,
                                    .op_number = op,
                                    .view_number = entry.view_number,
                                    .incarnation = 1,
                                    .other = checksum,
                                    .body_size = (uint32_t)size,
                                    .body = body};
        checksum = entry_checksum(CLUSTER, checksum, body, size);
        record.checksum = checksum;
        wal_record_encode(&record, &owner, 1, offset, bytes + offset);
        offset += wal_record_size((uint32_t)size);
    }
    write_seed("storage", "log", "\0", 1, bytes, sizeof bytes);
}

/* ---- a state file ---- */

static void write_state(void)
{
    static struct sim_disk disk;
    struct configuration configuration = {
        .cluster_id = CLUSTER,
        .epoch = EPOCH_FIRST,
        .member_count = 1,
        .parameters = cluster_parameters_default(),
    };
    configuration.members[0] = (struct member){.replica_id = 1,
                                               .role = MEMBER_ACTIVE,
                                               .host = "127.0.0.1",
                                               .port = 8000,
                                               .peer_port = 8100};
    sim_disk_init(&disk, 1);
    const struct file_ops ops = sim_disk_ops(&disk);
    struct durable_state state;
    struct storage_error error;
    durable_state_init(&state, &configuration, 1, 77);
    INVARIANT(state_file_create(&ops, "data", &state, &error) == 0);
    size_t size;
    uint8_t *bytes = sim_disk_bytes(&disk, "data/state", &size);
    INVARIANT(bytes != NULL && size >= STATE_SLOT_SIZE);
    const uint8_t *slot = bytes;
    while (slot[0] == 0 && slot < bytes + size) {
        slot += STATE_SLOT_SIZE;
    }
    size = STATE_SLOT_SIZE;
    while (slot[size - 1] == 0) {
        size--; /* the target fills up with zeros */
    }
    write_seed("storage", "state", "\1\17", 2, slot, size);
    sim_disk_free(&disk);
}

/* ---- what people write ---- */

static void write_texts(void)
{
    static const char server[] = "[server]\ndata-dir = /var/lib/x ; here\nlisten = 127.0.0.1:8000\n"
                                 "durability = sync\n[log]\nlog-level = debug\n";
    static const char client[] = "[client]\ncluster = a:1,b:2-4\ntimeout-ms = 100\n";
    static const char list[] = "127.0.0.1:8000-8004,[::1]:9:10,localhost:1";
    static const char line[] = "set \"a \\x00\\\"b\" 'c d' \\n # e";
    write_seed("text", "server", "\0", 1, server, sizeof server - 1);
    write_seed("text", "client", "\1", 1, client, sizeof client - 1);
    write_seed("text", "list", "\2", 1, list, sizeof list - 1);
    write_seed("text", "line", "\3", 1, line, sizeof line - 1);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "fuzz_seeds DIRECTORY\n");
        return 2;
    }
    directory = argv[1];
    write_datagrams();
    write_segment();
    write_state();
    write_texts();
    return 0;
}
