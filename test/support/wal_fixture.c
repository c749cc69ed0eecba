/* SPDX-License-Identifier: Apache-2.0 */
#include "test/support/wal_fixture.h"

#include <check.h>
#include <string.h>

#include "common/base/bytes.h"

void log_reset(struct vr_log *log, uint64_t *memory)
{
    vr_log_init(log, memory, LOG_MEMORY, CLUSTER, 0, entry_chain_start(CLUSTER));
}

void fixture_init(struct fixture *f, uint64_t seed)
{
    sim_disk_init(&f->disk, seed);
    f->ops = sim_disk_ops(&f->disk);
    f->incarnation = 0;
    f->commit_number = 0;
    f->named_segment = 0;
    f->end = (struct wal_end){.segment = 0};
    f->base = (struct wal_head){.op_number = 0};
    prng_seed(&f->prng, seed);
    log_reset(&f->log, f->memory[0]);
    ck_assert_int_eq(f->ops.create_directory(&f->disk, DIRECTORY), 0);
    ck_assert_int_eq(f->ops.sync_directory(&f->disk, "."), 0);
    f->disk.calls = 0;
}

void fixture_free(struct fixture *f)
{
    wal_close(&f->wal);
    sim_disk_free(&f->disk);
}

struct wal_options wal_test_options(void)
{
    return (struct wal_options){
        .directory = DIRECTORY,
        .owner = {CLUSTER, 2},
        .segment_size = SEGMENT_SIZE,
        .sector_size = SIM_DISK_SECTOR_SIZE,
        .refuse_truncated = true,
    };
}

int read_log(struct fixture *f)
{
    struct wal_options o = wal_test_options();
    o.named_segment = f->named_segment;
    o.end = f->end;
    o.base = f->base;
    log_reset(&f->read, f->memory[1]);
    log_reset(&f->spare, f->memory[2]);
    return wal_read(&f->wal, &f->ops, &o, &f->read, &f->spare, &f->found, &f->error);
}

void start_log(struct fixture *f)
{
    int status = read_log(f);
    ck_assert_msg(status == 0, "%s", f->error.text);
    status = wal_start(&f->wal, ++f->incarnation, &f->error);
    ck_assert_msg(status == 0, "%s", f->error.text);
}

void end_process(struct fixture *f)
{
    wal_close(&f->wal);
    sim_disk_process_killed(&f->disk);
}

void lose_power(struct fixture *f)
{
    wal_close(&f->wal);
    sim_disk_power_cut(&f->disk);
}

void log_add(struct fixture *f, struct vr_log *log)
{
    static uint8_t body[BODY_MAX];
    const size_t size = (size_t)prng_between(&f->prng, 1, 400);
    for (size_t i = 0; i < size; i++) {
        body[i] = (uint8_t)prng_next(&f->prng);
    }
    const struct entry entry = {
        .op_number = log->op_number + 1,
        .view_number = view_make(1, 3),
        .timestamp = prng_next(&f->prng),
        .client_id = {1, 2},
        .session = 5,
        .request_number = 7,
        .kind = ENTRY_OPERATION,
        .body_size = (uint32_t)size,
        .body = body,
    };
    vr_log_append(log, &entry);
}

struct wal_record entry_record(const struct vr_log *log, uint64_t op_number)
{
    size_t size;
    const uint8_t *bytes = vr_log_entry(log, op_number, &size);
    return (struct wal_record){
        .type = WAL_ENTRY,
        .op_number = op_number,
        .view_number = bytes_get_u64(bytes + 8),
        .checksum = vr_log_checksum(log, op_number),
        .other = vr_log_checksum(log, op_number - 1),
        .body_size = (uint32_t)size,
        .body = bytes,
    };
}

int append_entry(struct fixture *f, uint64_t op_number)
{
    struct wal_record record = entry_record(&f->log, op_number);
    record.commit_number = f->commit_number;
    return wal_append(&f->wal, &record, &f->error);
}

void append_some(struct fixture *f, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        log_add(f, &f->log);
        ck_assert_int_eq(append_entry(f, f->log.op_number), 0);
    }
    ck_assert_int_eq(wal_sync(&f->wal, &f->error), 0);
}

int replace_suffix(struct fixture *f, uint64_t cut_to, uint64_t count)
{
    vr_log_cut(&f->log, cut_to);
    for (uint64_t i = 0; i < count; i++) {
        log_add(f, &f->log);
    }
    const struct wal_record record = {
        .type = WAL_REPLACE,
        .op_number = cut_to,
        .checksum = vr_log_checksum(&f->log, cut_to),
        .through_op = f->log.op_number,
        .other = vr_log_checksum(&f->log, f->log.op_number),
    };
    int status = wal_append(&f->wal, &record, &f->error);
    for (uint64_t op = cut_to + 1; status == 0 && op <= f->log.op_number; op++) {
        status = append_entry(f, op);
    }
    return status == 0 ? wal_sync(&f->wal, &f->error) : status;
}

void expect_all(const struct fixture *f)
{
    ck_assert_int_eq(f->found.condition, WAL_INTACT);
    ck_assert_uint_eq(f->found.held_op, f->log.op_number);
    ck_assert_uint_eq(f->found.head.op_number, f->log.op_number);
    ck_assert(
        vr_log_matches(&f->read, f->log.op_number, vr_log_checksum(&f->log, f->log.op_number)));
}

uint8_t *segment_bytes(struct fixture *f, const char *path, size_t *size)
{
    uint8_t *bytes = sim_disk_bytes(&f->disk, path, size);
    ck_assert_ptr_nonnull(bytes);
    return bytes;
}

size_t offset_of(struct fixture *f, const char *path, uint64_t number, uint64_t sequence,
                 struct wal_record *record)
{
    size_t size;
    const uint8_t *bytes = segment_bytes(f, path, &size);
    const struct wal_owner owner = {CLUSTER, 2};
    for (size_t at = WAL_SEGMENT_HEADER_SIZE; at < size; at += WAL_ALIGNMENT) {
        if (wal_record_decode(bytes + at, size - at, &owner, number, at, record) == WAL_VALID &&
            record->sequence == sequence) {
            return at;
        }
    }
    ck_abort_msg("no record %d", (int)sequence);
    return 0;
}
