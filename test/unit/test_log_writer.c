/* SPDX-License-Identifier: Apache-2.0 */
/* The threads between log and disk (D1, D2, D4, S4): what is reported is there; a disk that fails
 * is told once; what does not fit waits. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/os/clock.h"
#include "common/os/thread.h"
#include "server/runtime/log_writer.h"
#include "test/support/sim_disk.h"

enum { CLUSTER = 77, LOG_MEMORY = 64 * 1024 * 1024, PATIENCE_MS = 20000 };

static struct {
    pthread_mutex_t mutex; /* stands for the core lock */
    struct vr_log log;
    struct log_store store;
    uint64_t reported_op;
    uint64_t failures;
    struct sim_disk disk;
    struct file_ops ops;
    struct wal wal;
    struct wal_found found;
    struct log_writer writer;
    void *memory;
    char directory[64];
} t;

static const uint8_t *entry_of(void *context, uint64_t op_number, size_t *size)
{
    (void)context;
    return vr_log_entry(&t.log, op_number, size);
}

static struct checksum chain_of(void *context, uint64_t op_number)
{
    (void)context;
    return vr_log_checksum(&t.log, op_number);
}

static uint64_t commit_of(void *context)
{
    (void)context;
    return 0;
}

static void on_durable(void *context, uint64_t generation, uint64_t op_number)
{
    (void)context;
    mutex_lock(&t.mutex);
    ck_assert_uint_le(generation, 1);
    t.reported_op = op_number > t.reported_op ? op_number : t.reported_op;
    t.store.resume(t.store.state);
    mutex_unlock(&t.mutex);
}

static void on_failure(void *context, const char *text)
{
    (void)context;
    ck_assert_ptr_nonnull(strstr(text, "the log in"));
    mutex_lock(&t.mutex);
    t.failures++;
    mutex_unlock(&t.mutex);
}

static void begin(enum durability durability, const char *directory)
{
    static const struct log_store_client client = {
        .entry = entry_of, .chain = chain_of, .commit = commit_of};
    struct storage_error error;
    const struct wal_options options = {
        .directory = directory,
        .owner = {CLUSTER, 1},
        .segment_size = WAL_SEGMENT_SIZE_DEFAULT,
        .sector_size = WAL_SECTOR_SIZE,
    };
    t.memory = t.memory == NULL ? malloc(LOG_MEMORY) : t.memory;
    vr_log_init(&t.log, t.memory, LOG_MEMORY, CLUSTER, 0, entry_chain_start(CLUSTER));
    ck_assert_int_eq(wal_read(&t.wal, &t.ops, &options, NULL, NULL, &t.found, &error), 0);
    ck_assert_int_eq(wal_start(&t.wal, 1, &error), 0);
    t.writer.durability = durability;
    t.writer.wal = &t.wal;
    t.writer.durable = on_durable;
    t.writer.failure = on_failure;
    ck_assert_int_eq(log_writer_init(&t.writer, &client, &t.found), 0);
    t.store = log_writer_store(&t.writer);
    ck_assert_int_eq(log_writer_start(&t.writer), 0);
}

static void end(int expected)
{
    ck_assert_int_eq(log_writer_stop(&t.writer), expected);
    log_writer_destroy(&t.writer);
    wal_close(&t.wal);
}

static void write_some(uint64_t count, uint32_t body_size)
{
    static uint8_t body[VALUE_SIZE_MAX];
    mutex_lock(&t.mutex);
    const uint64_t from = t.log.op_number;
    for (uint64_t i = 0; i < count; i++) {
        const struct entry entry = {
            .op_number = t.log.op_number + 1,
            .view_number = view_make(1, 1),
            .timestamp = 1,
            .client_id = {1, 2},
            .session = 3,
            .request_number = 4,
            .kind = ENTRY_OPERATION,
            .body_size = body_size,
            .body = body,
        };
        vr_log_append(&t.log, &entry);
    }
    t.store.write(t.store.state, &(struct log_write){.generation = 1,
                                                     .cut_to = from,
                                                     .first_op = from + 1,
                                                     .last_op = t.log.op_number});
    mutex_unlock(&t.mutex);
}

static bool wait_for(const uint64_t *value, uint64_t least)
{
    const uint64_t deadline_ns = clock_monotonic_ns() + PATIENCE_MS * NANOSECONDS_PER_MILLISECOND;
    bool there = false;
    while (!there && clock_monotonic_ns() < deadline_ns) {
        mutex_lock(&t.mutex);
        there = *value >= least;
        mutex_unlock(&t.mutex);
        clock_sleep_ns(NANOSECONDS_PER_MILLISECOND);
    }
    return there;
}

static uint64_t held_after_restart(const char *directory)
{
    struct wal wal;
    struct wal_found found;
    struct storage_error error;
    const struct wal_options options = {
        .directory = directory,
        .owner = {CLUSTER, 1},
        .segment_size = WAL_SEGMENT_SIZE_DEFAULT,
        .sector_size = WAL_SECTOR_SIZE,
    };
    ck_assert_int_eq(wal_read(&wal, &t.ops, &options, NULL, NULL, &found, &error), 0);
    wal_close(&wal);
    ck_assert_int_eq(found.condition, WAL_INTACT);
    return found.held_op;
}

static void on_sim_disk(void)
{
    mutex_init(&t.mutex);
    sim_disk_init(&t.disk, 1);
    t.ops = sim_disk_ops(&t.disk);
    ck_assert_int_eq(t.ops.create_directory(&t.disk, "data"), 0);
    ck_assert_int_eq(t.ops.sync_directory(&t.disk, "."), 0);
}

/* D1: what was reported is there after a power cut. */
START_TEST(sync_reports_what_is_on_the_disk)
{
    on_sim_disk();
    begin(DURABILITY_SYNC, "data");
    for (int i = 0; i < 20; i++) {
        write_some(5, 100);
    }
    ck_assert(wait_for(&t.reported_op, 100));
    end(0);
    sim_disk_power_cut(&t.disk);
    ck_assert_uint_eq(held_after_restart("data"), 100);
    sim_disk_free(&t.disk);
}
END_TEST

/* More than both buffers hold, in one go: copied as room comes free, reported when it is there. */
START_TEST(what_finds_no_room_waits_in_the_log)
{
    on_sim_disk();
    begin(DURABILITY_SYNC, "data");
    write_some(30, 1024 * 1024);
    ck_assert(wait_for(&t.reported_op, 30));
    write_some(12, 1024 * 1024);
    end(0); /* the rest is copied and synced by the stop */
    sim_disk_power_cut(&t.disk);
    ck_assert_uint_eq(held_after_restart("data"), 42);
    sim_disk_free(&t.disk);
}
END_TEST

/* D4, PS-3: told once, tried never again, nothing reported afterwards. */
START_TEST(a_failed_sync_is_told_once)
{
    on_sim_disk();
    begin(DURABILITY_SYNC, "data");
    write_some(1, 100);
    ck_assert(wait_for(&t.reported_op, 1));
    const uint64_t syncs = t.disk.sync_count;
    t.disk.fail_status = -EIO;
    t.disk.fail_at = t.disk.calls + 2; /* a write, then its sync */
    write_some(1, 100);
    ck_assert(wait_for(&t.failures, 1));
    write_some(1, 100);
    end(-EIO);
    ck_assert_uint_eq(t.failures, 1);
    ck_assert_uint_eq(t.reported_op, 1);
    ck_assert_uint_eq(t.disk.sync_count, syncs);
    sim_disk_free(&t.disk);
}
END_TEST

/* D2: reported at once, and synced soon without being asked. */
START_TEST(async_syncs_behind_its_reports)
{
    mutex_init(&t.mutex);
    t.ops = file_ops_posix();
    (void)strcpy(t.directory, "/tmp/vr-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(t.directory));
    begin(DURABILITY_ASYNC, t.directory);
    write_some(10, 1000);
    ck_assert(wait_for(&t.reported_op, 10));
    const uint64_t deadline_ns = clock_monotonic_ns() + PATIENCE_MS * NANOSECONDS_PER_MILLISECOND;
    while (log_writer_counters(&t.writer).syncs == 0 && clock_monotonic_ns() < deadline_ns) {
        clock_sleep_ns(NANOSECONDS_PER_MILLISECOND);
    }
    ck_assert_uint_ge(log_writer_counters(&t.writer).syncs, 1);
    write_some(40, 1024 * 1024); /* over segments, which end while the other thread syncs */
    ck_assert(wait_for(&t.reported_op, 50));
    ck_assert_uint_gt(log_writer_counters(&t.writer).disk_bytes, 40 * 1024 * 1024);
    end(0);
    ck_assert_uint_eq(held_after_restart(t.directory), 50);
    for (uint64_t number = 1; number < 10; number++) {
        char name[WAL_NAME_SIZE];
        char path[sizeof t.directory + WAL_NAME_SIZE + 1];
        wal_segment_name(number, name);
        (void)snprintf(path, sizeof path, "%s/%s", t.directory, name);
        (void)unlink(path);
    }
    char spare[sizeof t.directory + 16];
    (void)snprintf(spare, sizeof spare, "%s/log.spare", t.directory);
    (void)unlink(spare);
    ck_assert_int_eq(rmdir(t.directory), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("log_writer");
    TCase *tests = tcase_create("log_writer");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, sync_reports_what_is_on_the_disk);
    tcase_add_test(tests, what_finds_no_room_waits_in_the_log);
    tcase_add_test(tests, a_failed_sync_is_told_once);
    tcase_add_test(tests, async_syncs_behind_its_reports);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
