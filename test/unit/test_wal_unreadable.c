/* SPDX-License-Identifier: Apache-2.0 */
/* Sectors of the log that a disk cannot read any more: what an error that goes away says is
 * nothing, what stays is damage that is claimed, never an end of the log that nobody misses (D5,
 * D6, PS-2). */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "server/runtime/server_log.h"
#include "test/support/wal_fixture.h"

enum { SECTOR = SIM_DISK_SECTOR_SIZE, LARGE = 256 * 1024 /* bytes of a segment */ };

static struct fixture *fixture_create(uint64_t seed)
{
    struct fixture *f = calloc(1, sizeof *f);
    ck_assert_ptr_nonnull(f);
    fixture_init(f, seed);
    return f;
}

static void fixture_destroy(struct fixture *f)
{
    fixture_free(f);
    free(f);
}

/* A log of `count` entries, each synced by itself or all at once, whose process was killed. */
static struct fixture *make_log(uint64_t seed, uint64_t count, bool one_by_one)
{
    struct fixture *f = fixture_create(seed);
    start_log(f);
    for (uint64_t i = 0; one_by_one && i < count; i++) {
        append_some(f, 1);
    }
    if (!one_by_one) {
        append_some(f, count);
    }
    end_process(f);
    return f;
}

static void expect_read(struct fixture *f)
{
    const int status = read_log(f);
    ck_assert_msg(status == 0, "%s", f->error.text);
}

static size_t end_of_log(struct fixture *f, const char *path, uint64_t number, uint64_t sequence)
{
    struct wal_record record;
    const size_t at = offset_of(f, path, number, sequence, &record);
    return at + wal_record_size(record.body_size);
}

/* --- an error that goes away --- */

START_TEST(one_failed_read_is_no_damage)
{
    bool failed = true;
    for (uint64_t at = 1; failed; at++) {
        struct fixture *f = make_log(at, 40, false);
        const uint64_t faults = f->disk.faults;
        f->disk.read_fail_at = f->disk.reads + at;
        expect_read(f);
        expect_all(f);
        ck_assert_uint_eq(f->found.damaged_count, 0);
        ck_assert_uint_eq(f->found.unreadable_bytes, 0);
        failed = f->disk.faults != faults;
        ck_assert(failed || at > 2); /* there are some segments */
        fixture_destroy(f);
    }
}
END_TEST

static struct {
    int64_t (*read)(void *disk, int file, uint64_t offset, void *bytes, size_t size);
    uint32_t left; /* reads that fail */
} flaky;

static int64_t flaky_read(void *disk, int file, uint64_t offset, void *bytes, size_t size)
{
    if (flaky.left > 0) {
        flaky.left--;
        return -EIO;
    }
    return flaky.read(disk, file, offset, bytes, size);
}

/* The segment and every sector of it once: an error must not void a log that a retry would read. */
START_TEST(a_disk_that_fails_for_a_while_has_lost_nothing)
{
    for (uint32_t left = 1; left <= 1 + SEGMENT_SIZE / SECTOR; left++) {
        struct fixture *f = make_log(left, 10, true);
        flaky.read = f->ops.read;
        flaky.left = left;
        f->ops.read = flaky_read;
        expect_read(f);
        ck_assert_uint_eq(flaky.left, 0);
        expect_all(f);
        ck_assert_uint_eq(f->found.damaged_count, 0);
        ck_assert_uint_eq(f->found.unreadable_bytes, 0);
        fixture_destroy(f);
    }
}
END_TEST

/* --- one that stays --- */

/* Nothing that the log had is denied, whichever sector it is. */
static void check_nothing_denied(struct fixture *f)
{
    const struct wal_found *found = &f->found;
    ck_assert_uint_gt(found->unreadable_bytes, 0);
    ck_assert_uint_eq(found->hole_count, 1);
    if (found->condition != WAL_BROKEN) {
        ck_assert_uint_eq(found->head.op_number, f->log.op_number);
    }
    if (found->condition == WAL_INTACT) {
        expect_all(f);
    } else {
        ck_assert_uint_gt(found->damaged_count, 0);
    }
    if (found->held_op > 0) {
        ck_assert(
            vr_log_matches(&f->read, found->held_op, vr_log_checksum(&f->log, found->held_op)));
    }
}

START_TEST(no_unreadable_sector_makes_the_log_deny_anything)
{
    static const char *const paths[] = {SEGMENT_1, SEGMENT_2};
    uint64_t conditions[3] = {0};
    for (uint64_t seed = 1; seed <= 6; seed++) {
        for (size_t at = 0; at < 2 * SEGMENT_SIZE; at += SECTOR) {
            struct fixture *f = make_log(seed, seed % 2 == 0 ? 14 : 30, seed % 2 == 0);
            const size_t segment = at / SEGMENT_SIZE;
            size_t size;
            if (sim_disk_bytes(&f->disk, paths[segment], &size) != NULL) {
                sim_disk_wear(&f->disk, paths[segment], at % SEGMENT_SIZE, SECTOR);
                expect_read(f);
                check_nothing_denied(f);
                conditions[f->found.condition]++;
            }
            fixture_destroy(f);
        }
    }
    ck_assert_uint_gt(conditions[WAL_INTACT], 0);
    ck_assert_uint_gt(conditions[WAL_FAULTY], 0);
    ck_assert_uint_gt(conditions[WAL_BROKEN], 0);
}
END_TEST

START_TEST(an_unreadable_entry_is_claimed)
{
    struct wal_record record;
    struct fixture *f = make_log(1, 8, true);
    const size_t at = offset_of(f, SEGMENT_1, 1, 4, &record);
    sim_disk_wear(&f->disk, SEGMENT_1, at, 1);
    expect_read(f);
    ck_assert_int_eq(f->found.condition, WAL_FAULTY);
    ck_assert_uint_eq(f->found.held_op, 3);
    ck_assert_uint_eq(f->found.head.op_number, 8);
    ck_assert_uint_eq(f->found.unreadable_bytes, SECTOR);
    ck_assert_uint_eq(f->found.holes[0].segment, 1);
    ck_assert_uint_eq(f->found.holes[0].offset, at / SECTOR * SECTOR);
    ck_assert_uint_eq(f->found.holes[0].size, SECTOR);
    fixture_destroy(f);
}
END_TEST

/* Where the next record would have begun, one may have been. A clean stop knows better. */
START_TEST(an_unreadable_end_is_no_end)
{
    struct fixture *f = fixture_create(2);
    start_log(f);
    append_some(f, 5);
    const struct wal_end end = wal_end(&f->wal);
    end_process(f);
    const size_t next = end_of_log(f, SEGMENT_1, 1, 5);
    sim_disk_wear(&f->disk, SEGMENT_1, (next + SECTOR - 1) / SECTOR * SECTOR, SECTOR);
    expect_read(f);
    ck_assert_int_eq(f->found.condition, WAL_BROKEN);
    ck_assert_uint_gt(f->found.damaged_count, 0);
    wal_close(&f->wal);
    f->end = end;
    expect_read(f);
    expect_all(f);
    ck_assert_uint_eq(f->found.unreadable_bytes, SECTOR);
    ck_assert_uint_eq(f->found.damaged_count, 0);
    fixture_destroy(f);
}
END_TEST

/* Behind an empty sector nothing was ever durable. A start has the sector's place taken. */
START_TEST(unreadable_room_is_no_loss)
{
    struct fixture *f = make_log(3, 5, true);
    sim_disk_wear(&f->disk, SEGMENT_1, SEGMENT_SIZE - 2 * SECTOR, 2 * SECTOR);
    expect_read(f);
    expect_all(f);
    ck_assert_uint_eq(f->found.unreadable_bytes, 2 * SECTOR);
    ck_assert_uint_eq(f->found.hole_count, 1);
    ck_assert_uint_eq(f->found.holes[0].size, 2 * SECTOR);
    ck_assert_int_eq(wal_start(&f->wal, ++f->incarnation, &f->error), 0);
    end_process(f);
    expect_read(f);
    expect_all(f);
    ck_assert_uint_eq(f->found.unreadable_bytes, 0);
    fixture_destroy(f);
}
END_TEST

static int read_large(struct fixture *f, size_t sector_size)
{
    struct wal_options o = wal_test_options();
    o.segment_size = LARGE;
    o.sector_size = sector_size;
    log_reset(&f->read, f->memory[1]);
    log_reset(&f->spare, f->memory[2]);
    return wal_read(&f->wal, &f->ops, &o, &f->read, &f->spare, &f->found, &f->error);
}

/* Then it is the disk that does not answer, which is no reason to take anything for lost. */
START_TEST(too_many_unreadable_sectors_are_none)
{
    struct fixture *f = fixture_create(4);
    ck_assert_int_eq(read_large(f, SECTOR), 0);
    ck_assert_int_eq(wal_start(&f->wal, 1, &f->error), 0);
    append_some(f, 5);
    end_process(f);
    for (size_t i = 0; i < 255; i++) {
        sim_disk_wear(&f->disk, SEGMENT_1, 100 * 1024 + (i < 20 ? 2 * i : 20 + i) * SECTOR, SECTOR);
    }
    ck_assert_int_eq(read_large(f, SECTOR), 0);
    ck_assert_int_eq(f->found.condition, WAL_INTACT);
    ck_assert_uint_eq(f->found.unreadable_bytes, 255 * SECTOR);
    ck_assert_uint_eq(f->found.hole_count, 21);
    wal_close(&f->wal);
    sim_disk_wear(&f->disk, SEGMENT_1, 64 * 1024, SECTOR);
    ck_assert_int_eq(read_large(f, SECTOR), -EIO);
    ck_assert_ptr_nonnull(strstr(f->error.text, "does not answer"));
    fixture_destroy(f);
}
END_TEST

/* --- a start --- */

static void make_state(struct durable_state *state, uint32_t member_count)
{
    struct configuration configuration = {
        .cluster_id = CLUSTER,
        .epoch = EPOCH_FIRST,
        .member_count = member_count,
        .parameters = cluster_parameters_default(),
    };
    for (uint32_t i = 0; i < member_count; i++) {
        configuration.members[i] = (struct member){.replica_id = 2 + i,
                                                   .role = MEMBER_ACTIVE,
                                                   .host = "127.0.0.1",
                                                   .port = (uint16_t)(8000 + i),
                                                   .peer_port = (uint16_t)(8100 + i)};
    }
    durable_state_init(state, &configuration, 2, 77);
    state->incarnation = 1;
    state->durability = DURABILITY_SYNC;
    state->clean_shutdown = false;
    state->log_segment = 1;
}

static enum vr_server_exit open_log(struct fixture *f, uint32_t member_count,
                                    struct server_log *log)
{
    static const uint8_t boot_id[BOOT_ID_SIZE] = {1}; /* another one: it may be torn */
    struct durable_state state;
    struct vr_server_error error;
    make_state(&state, member_count);
    memset(log, 0, sizeof *log);
    return server_log_open(log, &f->ops, DIRECTORY, &state, DURABILITY_SYNC, boot_id, f->memory[1],
                           f->memory[2], LOG_MEMORY, &error);
}

/* The others have what is lost here; a group of one has no others, and stays as it is. Not even the
 * last entry may be cut there: it is no torn tail, though the machine stopped. */
START_TEST(a_group_goes_on_and_one_alone_refuses)
{
    for (uint64_t sequence = 1; sequence <= 3; sequence++) {
        struct wal_record record;
        struct server_log log;
        struct fixture *f = fixture_create(5);
        ck_assert_int_eq(read_large(f, WAL_SECTOR_SIZE), 0);
        ck_assert_int_eq(wal_start(&f->wal, 1, &f->error), 0);
        for (uint64_t i = 0; i < 3; i++) {
            append_some(f, 1);
        }
        end_process(f);
        const size_t at = offset_of(f, SEGMENT_1, 1, sequence, &record);
        ck_assert_int_eq((int)open_log(f, 1, &log), VR_SERVER_OK);
        server_log_close(&log);
        sim_disk_wear(&f->disk, SEGMENT_1, at, wal_record_size(record.body_size));
        ck_assert_int_eq((int)open_log(f, 1, &log), VR_SERVER_IO);
        ck_assert_int_eq((int)open_log(f, 3, &log), VR_SERVER_OK);
        ck_assert_uint_gt(log.found.unreadable_bytes, 0);
        ck_assert_int_eq(log.found.condition, sequence < 3 ? WAL_FAULTY : WAL_BROKEN);
        ck_assert(log.counts == (sequence < 3));
        ck_assert_uint_eq(log.found.held_op, sequence < 3 ? sequence - 1 : 0);
        server_log_close(&log);
        fixture_destroy(f);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("wal_unreadable");
    TCase *passing = tcase_create("goes away");
    tcase_set_timeout(passing, 300);
    tcase_add_test(passing, one_failed_read_is_no_damage);
    tcase_add_test(passing, a_disk_that_fails_for_a_while_has_lost_nothing);
    suite_add_tcase(suite, passing);
    TCase *staying = tcase_create("stays");
    tcase_set_timeout(staying, 300);
    tcase_add_test(staying, no_unreadable_sector_makes_the_log_deny_anything);
    tcase_add_test(staying, an_unreadable_entry_is_claimed);
    tcase_add_test(staying, an_unreadable_end_is_no_end);
    tcase_add_test(staying, unreadable_room_is_no_loss);
    tcase_add_test(staying, too_many_unreadable_sectors_are_none);
    suite_add_tcase(suite, staying);
    TCase *start = tcase_create("start");
    tcase_set_timeout(start, 300);
    tcase_add_test(start, a_group_goes_on_and_one_alone_refuses);
    suite_add_tcase(suite, start);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
