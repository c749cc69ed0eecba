/* SPDX-License-Identifier: Apache-2.0 */
/* What a start reads from a disk: segments of the log, the state file, a checkpoint. The first byte
 * says which; the others are the file. Checksums are made right where they stand at a fixed place,
 * so that what they protect is judged as well. Whatever is read must be refused or make sense. */
#include <xxhash.h>

#include "common/base/bytes.h"
#include "server/storage/checkpoint_reader.h"
#include "server/storage/state_file.h"
#include "server/storage/wal.h"
#include "test/fuzz/targets/target.h"
#include "test/support/sim_disk.h"

#define DIRECTORY "data"

enum {
    CLUSTER = 0x7f3a91c2,
    LOG_MEMORY = 256 * 1024,
    FILE_MAX = 128 * 1024,
    CHECKSUM_AT = 32, /* in a slot of the state file */
};

static struct sim_disk disk;
static uint8_t file_bytes[FILE_MAX];
static uint64_t log_memory[2][LOG_MEMORY / sizeof(uint64_t)];

static struct file_ops disk_with(const char *path, const uint8_t *bytes, size_t size)
{
    sim_disk_init(&disk, 1);
    struct file_ops ops = sim_disk_ops(&disk);
    FUZZ_EXPECT(ops.create_directory(ops.disk, DIRECTORY) == 0);
    const int file = ops.open(ops.disk, path, true);
    FUZZ_EXPECT(file >= 0);
    FUZZ_EXPECT(ops.write(ops.disk, file, 0, bytes, size) == 0);
    ops.close(ops.disk, file);
    return ops;
}

/* ---- the log ---- */

static void start_log(struct wal *wal, const struct wal_found *found)
{
    struct storage_error error;
    const uint64_t held = found->held_op;
    FUZZ_EXPECT(wal_start(wal, 7, &error) == 0);
    FUZZ_EXPECT(wal->head.op_number >= held);
}

static void read_log(const uint8_t *bytes, size_t size)
{
    static struct wal wal;
    struct file_ops ops = disk_with(DIRECTORY "/log.0000000000000001", bytes, size);
    const struct wal_options options = {
        .directory = DIRECTORY,
        .owner = {CLUSTER, 1},
        .segment_size = WAL_SEGMENT_SIZE_MIN,
        .sector_size = WAL_SECTOR_SIZE,
    };
    struct vr_log log;
    struct vr_log staging;
    const struct checksum start = entry_chain_start(CLUSTER);
    vr_log_init(&log, log_memory[0], LOG_MEMORY, CLUSTER, 0, start);
    vr_log_init(&staging, log_memory[1], LOG_MEMORY, CLUSTER, 0, start);
    struct wal_found found;
    struct storage_error error;
    memset(&wal, 0, sizeof wal);
    if (wal_read(&wal, &ops, &options, &log, &staging, &found, &error) == 0) {
        FUZZ_EXPECT(log.op_number == found.held_op);
        FUZZ_EXPECT(found.commit_number <= found.held_op);
        FUZZ_EXPECT(found.commit_known >= found.commit_number);
        if (found.condition == WAL_INTACT) {
            start_log(&wal, &found);
        }
        wal_close(&wal);
    }
    sim_disk_free(&disk);
}

/* ---- the state file ---- */

static void repair_slot(uint8_t slot[STATE_SLOT_SIZE])
{
    memset(slot + CHECKSUM_AT, 0, 16);
    const XXH128_hash_t hash = XXH3_128bits(slot, STATE_SLOT_SIZE);
    bytes_put_u64(slot + CHECKSUM_AT, hash.low64);
    bytes_put_u64(slot + CHECKSUM_AT + 8, hash.high64);
}

/* One slot, in all four places: the input says which is whole. */
static void read_state(struct input input)
{
    static struct state_file file;
    const uint8_t whole = input_byte(&input);
    const size_t size = input.size < STATE_SLOT_SIZE ? input.size : STATE_SLOT_SIZE;
    memset(file_bytes, 0, STATE_FILE_SIZE);
    for (uint32_t i = 0; i < STATE_SLOTS; i++) {
        uint8_t *slot = file_bytes + i * STATE_SLOT_SIZE;
        memcpy(slot, input.bytes, size);
        bytes_put_u32(slot + 12, i);
        if ((whole & (1u << i)) != 0) {
            repair_slot(slot);
        }
    }
    struct file_ops ops = disk_with(DIRECTORY "/state", file_bytes, STATE_FILE_SIZE);
    struct durable_state state;
    struct storage_error error;
    if (state_file_open(&file, &ops, DIRECTORY, &state, &error) == 0) {
        FUZZ_EXPECT(durable_state_reject(&state) == NULL);
        FUZZ_EXPECT(state_file_store(&file, &state, &error) == 0);
        state_file_close(&file);
    }
    sim_disk_free(&disk);
}

/* ---- a checkpoint ---- */

static void read_checkpoint(const uint8_t *bytes, size_t size)
{
    static uint8_t chunk[CHECKPOINT_CHUNK_SIZE];
    struct file_ops ops = disk_with(DIRECTORY "/backup", bytes, size);
    struct checkpoint_reader reader;
    struct storage_error error;
    if (checkpoint_reader_open_backup(&reader, &ops, DIRECTORY "/backup", &error) == 0) {
        const uint64_t count = checkpoint_chunk_count(reader.id.size);
        for (uint64_t i = 0; i < count && i < 4; i++) {
            (void)checkpoint_reader_chunk(&reader, i, chunk, &error);
        }
        checkpoint_reader_close(&reader);
    }
    sim_disk_free(&disk);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct input input = {bytes, size};
    if (size > FILE_MAX) {
        return 0;
    }
    switch (input_below(&input, 3)) {
    case 0:
        read_log(input.bytes, input.size);
        break;
    case 1:
        read_state(input);
        break;
    default:
        read_checkpoint(input.bytes, input.size);
        break;
    }
    return 0;
}
