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
    uint64_t generation; /* of the log's last write */
    uint64_t failures;
    uint64_t failures_whole; /* of them: for want of room */
    uint64_t named_segment;  /* what a state file would have */
    bool unnameable;         /* it cannot be written */
    uint64_t segment_size;   /* 0: as a server has it */
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
    ck_assert_uint_le(generation, t.generation);
    ck_assert_uint_ge(t.named_segment, t.wal.segment.number); /* known before it is promised */
    t.reported_op = op_number > t.reported_op ? op_number : t.reported_op;
    t.store.resume(t.store.state);
    mutex_unlock(&t.mutex);
}

static void on_failure(void *context, const char *text, bool whole)
{
    (void)context;
    ck_assert_ptr_nonnull(strstr(text, "the log in"));
    mutex_lock(&t.mutex);
    t.failures++;
    t.failures_whole += whole;
    mutex_unlock(&t.mutex);
}

static void name_segment(void *context, uint64_t segment)
{
    (void)context;
    mutex_lock(&t.mutex);
    ck_assert_uint_gt(segment, t.named_segment);
    t.named_segment = t.unnameable ? t.named_segment : segment;
    mutex_unlock(&t.mutex);
}

static int wait_segment(void *context, uint64_t segment)
{
    (void)context;
    mutex_lock(&t.mutex);
    const bool named = t.named_segment >= segment;
    mutex_unlock(&t.mutex);
    return named ? 0 : -EIO;
}

static void begin(enum durability durability, const char *directory)
{
    static const struct log_store_client client = {
        .entry = entry_of, .chain = chain_of, .commit = commit_of};
    struct storage_error error;
    const struct wal_options options = {
        .directory = directory,
        .owner = {CLUSTER, 1},
        .segment_size = t.segment_size > 0 ? t.segment_size : WAL_SEGMENT_SIZE_DEFAULT,
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
    t.writer.name_segment = name_segment;
    t.writer.wait_segment = wait_segment;
    t.generation = 1;
    t.named_segment = t.wal.segment.number;
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
    static uint8_t body[OPERATION_SIZE_MAX];
    ck_assert_uint_le(body_size, sizeof body);
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
    t.store.write(t.store.state, &(struct log_write){.generation = t.generation,
                                                     .cut_to = from,
                                                     .first_op = from + 1,
                                                     .last_op = t.log.op_number});
    mutex_unlock(&t.mutex);
}

/* Cuts the log's last `count` entries, and appends one. */
static void replace_some(uint64_t count)
{
    mutex_lock(&t.mutex);
    vr_log_cut(&t.log, t.log.op_number - count);
    t.generation++;
    mutex_unlock(&t.mutex);
    write_some(1, 100);
}

static bool wait_for_either(const uint64_t *value, uint64_t least, const uint64_t *other,
                            uint64_t other_least)
{
    const uint64_t deadline_ns = clock_monotonic_ns() + PATIENCE_MS * NANOSECONDS_PER_MILLISECOND;
    bool there = false;
    while (!there && clock_monotonic_ns() < deadline_ns) {
        mutex_lock(&t.mutex);
        there = *value >= least || *other >= other_least;
        mutex_unlock(&t.mutex);
        clock_sleep_ns(NANOSECONDS_PER_MILLISECOND);
    }
    return there;
}

static bool wait_for(const uint64_t *value, uint64_t least)
{
    return wait_for_either(value, least, value, least);
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

static void remove_files(const char *directory)
{
    char path[sizeof t.directory + WAL_NAME_SIZE + 1];
    for (uint64_t number = 1; number < 1000; number++) {
        char name[WAL_NAME_SIZE];
        wal_segment_name(number, name);
        (void)snprintf(path, sizeof path, "%s/%s", directory, name);
        (void)unlink(path);
    }
    (void)snprintf(path, sizeof path, "%s/log.spare", directory);
    (void)unlink(path);
    ck_assert_int_eq(rmdir(directory), 0);
}

/* A simulated disk takes one caller at a time; the writer's two threads are two. */
static pthread_mutex_t disk_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct file_ops unlocked;

#define LOCKED(type, name, parameters, arguments) \
    static type locked_##name parameters \
    { \
        mutex_lock(&disk_mutex); \
        const type result = unlocked.name arguments; \
        mutex_unlock(&disk_mutex); \
        return result; \
    }
LOCKED(int, sync_directory, (void *disk, const char *path), (disk, path))
LOCKED(int, open, (void *disk, const char *path, bool create), (disk, path, create))
LOCKED(int, write, (void *disk, int file, uint64_t offset, const void *bytes, size_t size),
       (disk, file, offset, bytes, size))
LOCKED(int, sync, (void *disk, int file), (disk, file))
LOCKED(int, sync_data, (void *disk, int file), (disk, file))
LOCKED(int, reserve, (void *disk, int file, uint64_t size), (disk, file, size))
LOCKED(int64_t, size, (void *disk, int file), (disk, file))
LOCKED(int, rename, (void *disk, const char *from, const char *to), (disk, from, to))
LOCKED(int, remove, (void *disk, const char *path), (disk, path))
#undef LOCKED

static void locked_close(void *disk, int handle)
{
    mutex_lock(&disk_mutex);
    unlocked.close(disk, handle);
    mutex_unlock(&disk_mutex);
}

static void on_sim_disk(void)
{
    mutex_init(&t.mutex);
    sim_disk_init(&t.disk, 1);
    unlocked = sim_disk_ops(&t.disk);
    t.ops = unlocked;
    t.ops.sync_directory = locked_sync_directory;
    t.ops.open = locked_open;
    t.ops.write = locked_write;
    t.ops.sync = locked_sync;
    t.ops.sync_data = locked_sync_data;
    t.ops.reserve = locked_reserve;
    t.ops.size = locked_size;
    t.ops.rename = locked_rename;
    t.ops.remove = locked_remove;
    t.ops.close = locked_close;
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
    remove_files(t.directory);
}
END_TEST

/* D4: a disk without room costs nothing that was reported, in the mode where it might. */
START_TEST(a_full_disk_leaves_a_whole_log)
{
    const enum durability mode = _i == 0 ? DURABILITY_SYNC : DURABILITY_ASYNC;
    on_sim_disk();
    t.segment_size = WAL_SEGMENT_SIZE_MIN;
    begin(mode, "data");
    t.disk.room = 2 * WAL_SEGMENT_SIZE_MIN; /* the first segment and the next */
    for (uint64_t op = 1; op <= 40 && t.failures == 0; op++) {
        write_some(1, 100 * 1024);
        ck_assert(wait_for_either(&t.reported_op, op, &t.failures, 1));
    }
    ck_assert_uint_eq(t.failures, 1);
    ck_assert_uint_eq(t.failures_whole, 1);
    ck_assert_uint_gt(t.reported_op, 10);
    end(0); /* what was reported is durable, in mode async too */
    const struct wal_end ended = wal_end(&t.wal);
    ck_assert_uint_ge(ended.head.op_number, t.reported_op);
    sim_disk_power_cut(&t.disk);
    ck_assert_uint_eq(held_after_restart("data"), ended.head.op_number);
    ck_assert_uint_eq(t.failures, 1);
    sim_disk_free(&t.disk);
}
END_TEST

/* Nothing is promised of a segment that the state file does not know; whoever failed to write that
 * has said so. */
START_TEST(an_unknown_segment_is_not_reported)
{
    on_sim_disk();
    t.segment_size = WAL_SEGMENT_SIZE_MIN;
    begin(DURABILITY_SYNC, "data");
    write_some(1, 100);
    ck_assert(wait_for(&t.reported_op, 1));
    t.unnameable = true;
    write_some(2, VALUE_SIZE_MAX); /* the second one is the next segment's */
    const uint64_t deadline_ns = clock_monotonic_ns() + PATIENCE_MS * NANOSECONDS_PER_MILLISECOND;
    for (bool failed = false; !failed && clock_monotonic_ns() < deadline_ns;) {
        mutex_lock(&t.writer.mutex);
        failed = t.writer.failed;
        mutex_unlock(&t.writer.mutex);
        clock_sleep_ns(NANOSECONDS_PER_MILLISECOND);
    }
    end(0);
    ck_assert_uint_eq(t.wal.segment.number, 2);
    ck_assert_uint_lt(t.reported_op, 3);
    ck_assert_uint_eq(t.failures, 0);
    sim_disk_free(&t.disk);
}
END_TEST

/* The real files, with a sync that takes its time, and files that are closed only when nobody
 * syncs them. */
static struct {
    pthread_mutex_t mutex;
    struct file_ops real;
    int syncing; /* the file; -1: none */
    uint64_t syncs;
    uint64_t closed_under_sync;
} slow;

static int slow_sync_data(void *disk, int file)
{
    (void)disk;
    mutex_lock(&slow.mutex);
    const bool first = slow.syncing < 0; /* the other thread's: it is waited for */
    slow.syncing = first ? file : slow.syncing;
    slow.syncs++;
    mutex_unlock(&slow.mutex);
    clock_sleep_ns(first ? 100 * NANOSECONDS_PER_MILLISECOND : 0);
    mutex_lock(&slow.mutex);
    slow.syncing = first ? -1 : slow.syncing;
    mutex_unlock(&slow.mutex);
    return 0;
}

/* The writer's own syncs take no time at all. */
static int no_sync(void *disk, int file)
{
    (void)disk;
    (void)file;
    return 0;
}

static void slow_close(void *disk, int handle)
{
    mutex_lock(&slow.mutex);
    slow.closed_under_sync += handle == slow.syncing;
    mutex_unlock(&slow.mutex);
    slow.real.close(disk, handle);
}

/* A cut syncs, which moves it behind the sector, and so maybe out of the segment. */
START_TEST(a_cut_ends_no_segment_under_a_sync)
{
    mutex_init(&t.mutex);
    mutex_init(&slow.mutex);
    slow.syncing = -1;
    slow.real = file_ops_posix();
    t.ops = slow.real;
    t.ops.sync = no_sync;
    t.ops.sync_data = slow_sync_data;
    t.ops.close = slow_close;
    t.segment_size = WAL_SEGMENT_SIZE_MIN / WAL_SECTOR_SIZE * WAL_SECTOR_SIZE + WAL_SECTOR_SIZE;
    (void)strcpy(t.directory, "/tmp/vr-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(t.directory));
    begin(DURABILITY_ASYNC, t.directory);
    uint64_t begun = 0;
    write_some(1, 3 * WAL_SECTOR_SIZE); /* now one entry more fills the segment */
    ck_assert(wait_for(&t.reported_op, 1));
    for (int round = 0; round < 6; round++) {
        /* Up to the last sector of the segment, so that the next record fits, but not behind it. */
        const uint64_t segment = t.wal.segment.number;
        mutex_lock(&t.mutex);
        const uint64_t op = t.log.op_number;
        mutex_unlock(&t.mutex);
        const uint64_t left = t.wal.segment.size - t.wal.offset;
        const uint64_t overhead = WAL_RECORD_HEADER_SIZE + ENTRY_HEADER_SIZE;
        ck_assert_uint_gt(left, 2 * WAL_SECTOR_SIZE);
        write_some(1, (uint32_t)(left - overhead - WAL_SECTOR_SIZE / 2));
        ck_assert(wait_for(&t.reported_op, op + 1));
        ck_assert_uint_eq(t.wal.segment.number, segment);
        mutex_lock(&slow.mutex);
        const uint64_t syncs = slow.syncs;
        mutex_unlock(&slow.mutex);
        const uint64_t deadline_ns =
            clock_monotonic_ns() + PATIENCE_MS * NANOSECONDS_PER_MILLISECOND;
        for (bool under_way = false; !under_way && clock_monotonic_ns() < deadline_ns;) {
            mutex_lock(&slow.mutex);
            under_way = slow.syncs > syncs;
            mutex_unlock(&slow.mutex);
        }
        t.reported_op = 0;
        replace_some(1);
        ck_assert(wait_for(&t.reported_op, op + 1));
        begun += t.wal.segment.number > segment;
    }
    end(0);
    ck_assert_uint_eq(begun, 6);
    ck_assert_uint_eq(slow.closed_under_sync, 0);
    remove_files(t.directory);
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
    tcase_add_loop_test(tests, a_full_disk_leaves_a_whole_log, 0, 2);
    tcase_add_test(tests, an_unknown_segment_is_not_reported);
    tcase_add_test(tests, a_cut_ends_no_segment_under_a_sync);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
