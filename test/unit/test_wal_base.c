/* SPDX-License-Identifier: Apache-2.0 */
/* The log of a replica that starts from checkpoints (K1, K3, G4): what lies before one may be gone
 * or damaged and is not missed; what lies behind it is held to everything that test_wal.c says. */
#include <check.h>
#include <errno.h>
#include <string.h>

#include "server/storage/log_queue.h"
#include "test/support/wal_fixture.h"

static struct fixture f;

/* A checkpoint of an op is durable, and the state file names it. */
static void name_checkpoint(uint64_t op_number)
{
    f.base = (struct wal_head){op_number, vr_log_checksum(&f.log, op_number)};
    if (f.log.protected_op < op_number) {
        vr_log_protect(&f.log, op_number); /* S3: it is committed */
    }
}

static void drop(uint64_t through_op)
{
    const int status = wal_drop(&f.wal, through_op, &f.error);
    ck_assert_msg(status == 0, "%s", f.error.text);
}

static bool is_there(const char *path)
{
    const int file = f.ops.open(&f.disk, path, false);
    if (file >= 0) {
        f.ops.close(&f.disk, file);
    }
    return file >= 0;
}

/* The log was read from the base on at least, and all of it. */
static void expect_from_base(void)
{
    expect_all(&f);
    ck_assert_uint_le(f.read.base_op, f.base.op_number);
    ck_assert(vr_log_matches(&f.read, f.base.op_number, f.base.checksum));
    ck_assert_uint_eq(f.found.base_op, f.read.base_op);
    ck_assert_uint_ge(f.found.commit_known, f.base.op_number);
}

static const uint8_t *queue_entry(void *context, uint64_t op_number, size_t *size)
{
    const struct fixture *fixture = context;
    return op_number > fixture->log.op_number ? NULL : vr_log_entry(&fixture->log, op_number, size);
}

static struct checksum queue_chain(void *context, uint64_t op_number)
{
    return vr_log_checksum(&((const struct fixture *)context)->log, op_number);
}

static uint64_t queue_commit(void *context)
{
    return ((const struct fixture *)context)->log.protected_op;
}

static void append_segments(uint64_t count)
{
    const uint64_t number = f.wal.segment.number + count;
    while (f.wal.segment.number < number) {
        append_some(&f, 1);
    }
}

/* --- dropping --- */

START_TEST(whole_segments_leave_and_the_rest_is_read)
{
    fixture_init(&f, 1);
    start_log(&f);
    append_segments(4);
    append_some(&f, 2);
    const uint64_t bytes = f.wal.disk_bytes;
    const uint64_t third = f.wal.marks[2].head_op;
    name_checkpoint(third + 1);
    drop(third - 1); /* not all of the second */
    ck_assert(!is_there(SEGMENT_1));
    ck_assert(is_there(SEGMENT_2));
    drop(third);
    ck_assert(!is_there(SEGMENT_2));
    ck_assert_uint_eq(f.wal.disk_bytes, bytes - 2 * (uint64_t)SEGMENT_SIZE);
    append_some(&f, 3);
    end_process(&f);
    start_log(&f);
    expect_from_base();
    ck_assert_uint_eq(f.found.damaged_count, 0);
    ck_assert_uint_eq(f.read.base_op, third); /* for laggards: what is there is held */
    append_segments(1);
    name_checkpoint(f.log.op_number);
    drop(f.log.op_number); /* what a start has read is dropped as well */
    ck_assert_uint_eq(f.wal.mark_count, 1);
    end_process(&f);
    start_log(&f);
    expect_from_base();
    fixture_free(&f);
}
END_TEST

/* What began in a segment before is needed to read the ones behind it. */
START_TEST(a_replacement_over_segments_keeps_its_beginning)
{
    fixture_init(&f, 2);
    start_log(&f);
    append_some(&f, 6);
    name_checkpoint(3);
    ck_assert_int_eq(replace_suffix(&f, 4, 60), 0);
    ck_assert_uint_gt(f.wal.segment.number, 2);
    drop(3);
    ck_assert(is_there(SEGMENT_1));
    end_process(&f);
    start_log(&f);
    expect_from_base();
    append_segments(1);
    name_checkpoint(f.log.op_number - 1);
    drop(f.log.op_number - 1);
    ck_assert(!is_there(SEGMENT_1));
    end_process(&f);
    start_log(&f);
    expect_from_base();
    fixture_free(&f);
}
END_TEST

START_TEST(a_log_that_begins_behind_the_checkpoint_does_not_count)
{
    fixture_init(&f, 3);
    start_log(&f);
    append_segments(3);
    name_checkpoint(f.wal.marks[2].head_op);
    drop(f.base.op_number);
    end_process(&f);
    name_checkpoint(f.base.op_number); /* the older one is all there is: */
    f.base = (struct wal_head){1, vr_log_checksum(&f.log, 1)};
    ck_assert_int_eq(read_log(&f), 0);
    ck_assert_int_ne(f.found.condition, WAL_INTACT);
    ck_assert_uint_eq(f.found.held_op, 1);
    wal_close(&f.wal);
    f.base = (struct wal_head){.op_number = 0};
    ck_assert_int_eq(read_log(&f), 0);
    ck_assert_int_ne(f.found.condition, WAL_INTACT);
    ck_assert_uint_eq(f.found.held_op, 0);
    fixture_free(&f);
}
END_TEST

START_TEST(a_file_that_cannot_be_removed_costs_room_only)
{
    fixture_init(&f, 4);
    start_log(&f);
    append_segments(2);
    name_checkpoint(f.log.op_number);
    f.disk.fail_at = f.disk.calls + 1;
    f.disk.fail_status = -EIO;
    ck_assert_int_eq(wal_drop(&f.wal, f.base.op_number, &f.error), -EIO);
    append_some(&f, 3);
    drop(f.base.op_number);
    ck_assert(!is_there(SEGMENT_1));
    end_process(&f);
    start_log(&f);
    expect_from_base();
    fixture_free(&f);
}
END_TEST

/* --- a checkpoint takes the log's place --- */

/* From here on the core's log is empty behind the base. */
static void restart_core_log(void)
{
    log_reset(&f.log, f.memory[0]);
    vr_log_restart(&f.log, f.base.op_number, f.base.checksum);
}

static void install(uint64_t op_number)
{
    f.base = (struct wal_head){op_number, {op_number * 7, 3}};
    restart_core_log();
}

START_TEST(a_restart_begins_behind_its_checkpoint)
{
    fixture_init(&f, 5);
    start_log(&f);
    append_some(&f, 9);
    install(500);
    ck_assert_int_eq(wal_restart(&f.wal, &f.base, &f.error), 0);
    append_some(&f, 4);
    end_process(&f);
    start_log(&f);
    expect_from_base();
    ck_assert(!f.found.detached);
    ck_assert_uint_eq(f.read.base_op, 500);
    fixture_free(&f);
}
END_TEST

/* The checkpoint is named before the log is told: between the two the log is what it was. */
START_TEST(a_log_that_does_not_reach_its_checkpoint_is_over)
{
    fixture_init(&f, 6);
    start_log(&f);
    append_some(&f, 9);
    install(500);
    for (int again = 0; again < 3; again++) {
        end_process(&f);
        start_log(&f);
        expect_from_base();
        ck_assert(f.found.detached == (again == 0));
        ck_assert_uint_eq(f.read.op_number, f.log.op_number);
        append_some(&f, 2);
    }
    fixture_free(&f);
}
END_TEST

/* It went another way before its end: what it has above the checkpoint's op was never committed. */
START_TEST(a_log_that_is_another_one_there_is_over)
{
    fixture_init(&f, 7);
    start_log(&f);
    append_some(&f, 20);
    install(9);
    end_process(&f);
    start_log(&f);
    expect_from_base();
    ck_assert(f.found.detached);
    append_some(&f, 3);
    end_process(&f);
    start_log(&f);
    expect_from_base();
    ck_assert(!f.found.detached);
    fixture_free(&f);
}
END_TEST

/* K3: the newest checkpoint is damaged, and the log begins behind it. */
START_TEST(an_older_checkpoint_does_not_do_for_a_restarted_log)
{
    fixture_init(&f, 8);
    start_log(&f);
    append_some(&f, 9);
    name_checkpoint(5);
    const struct wal_head older = f.base;
    install(500);
    ck_assert_int_eq(wal_restart(&f.wal, &f.base, &f.error), 0);
    append_some(&f, 4);
    end_process(&f);
    f.base = (struct wal_head){.op_number = 0}; /* none is left at all */
    ck_assert_int_eq(read_log(&f), 0);
    ck_assert_int_eq(f.found.condition, WAL_BROKEN);
    ck_assert_uint_eq(f.found.held_op, 0);
    ck_assert_uint_eq(f.read.op_number, 0);
    ck_assert(vr_log_matches(&f.read, 0, entry_chain_start(CLUSTER)));
    wal_close(&f.wal);
    f.base = older;
    ck_assert_int_eq(read_log(&f), 0);
    ck_assert_int_eq(f.found.condition, WAL_BROKEN);
    ck_assert_uint_eq(f.found.held_op, 5);
    ck_assert_int_eq(wal_start(&f.wal, ++f.incarnation, &f.error), 0);
    /* And what is fetched from the others is whole. */
    restart_core_log();
    append_some(&f, 30);
    end_process(&f);
    start_log(&f);
    expect_from_base();
    fixture_free(&f);
}
END_TEST

/* --- damage --- */

/* Above the base damage is what it always was; below it nothing is missed, nor made up. */
START_TEST(every_flipped_byte_before_the_checkpoint_is_harmless)
{
    struct wal_record record;
    fixture_init(&f, 9);
    start_log(&f);
    append_some(&f, 4);
    ck_assert_int_eq(replace_suffix(&f, 2, 6), 0); /* to 8 */
    append_some(&f, 3);                            /* to 11 */
    name_checkpoint(10);
    append_some(&f, 3);                                                      /* to 14 */
    const size_t base = offset_of(&f, SEGMENT_1, 1, 4 + 1 + 6 + 3, &record); /* entry 11 */
    ck_assert_uint_eq(record.op_number, 11);
    for (uint64_t at = 0; at < f.wal.offset; at += 5) {
        size_t size;
        end_process(&f);
        segment_bytes(&f, SEGMENT_1, &size)[at] ^= 0x10;
        ck_assert_int_eq(read_log(&f), 0);
        ck_assert(vr_log_matches(&f.read, 10, f.base.checksum));
        ck_assert_uint_ge(f.found.held_op, 10);
        if (f.found.condition == WAL_INTACT && f.found.torn_bytes == 0) {
            expect_from_base();
        } else if (f.found.condition == WAL_FAULTY) {
            ck_assert_uint_eq(f.found.head.op_number, 14);
            ck_assert_uint_ge(at, base);
        } else if (f.found.condition == WAL_BROKEN) {
            /* The one record that no entry can stand for: a cut. */
            ck_assert_uint_lt(at, base);
        }
        segment_bytes(&f, SEGMENT_1, &size)[at] ^= 0x10;
    }
    fixture_free(&f);
}
END_TEST

/* A cut is lost, the log that it made is not: a segment's header behind it tells where it was. */
START_TEST(a_segment_that_begins_before_the_checkpoint_heals_what_came_before)
{
    struct wal_record record;
    size_t size;
    fixture_init(&f, 10);
    start_log(&f);
    append_some(&f, 4);
    ck_assert_int_eq(replace_suffix(&f, 2, 4), 0);
    append_segments(1);
    append_some(&f, 5);
    name_checkpoint(f.log.op_number - 1);
    append_some(&f, 2);
    end_process(&f);
    const size_t at = offset_of(&f, SEGMENT_1, 1, 5, &record);
    ck_assert_int_eq(record.type, WAL_REPLACE);
    segment_bytes(&f, SEGMENT_1, &size)[at + 40] ^= 1;
    start_log(&f);
    expect_from_base();
    ck_assert_uint_gt(f.found.damaged_count, 0);
    fixture_free(&f);
}
END_TEST

/* What one checkpoint was enough to read is not lost to the next: by a replacement's checksums the
 * log is known again, even where what it builds upon is not held. */
START_TEST(a_later_checkpoint_reads_what_an_earlier_one_could)
{
    struct wal_record record;
    size_t size;
    fixture_init(&f, 12);
    start_log(&f);
    append_some(&f, 4);
    ck_assert_int_eq(replace_suffix(&f, 2, 4), 0);
    name_checkpoint(5);
    ck_assert_int_eq(replace_suffix(&f, 5, 3), 0);
    end_process(&f);
    const size_t at = offset_of(&f, SEGMENT_1, 1, 5, &record);
    ck_assert_int_eq(record.type, WAL_REPLACE);
    segment_bytes(&f, SEGMENT_1, &size)[at + 40] ^= 1;
    start_log(&f);
    expect_from_base();
    append_some(&f, 3);
    name_checkpoint(f.log.op_number - 1);
    append_some(&f, 2);
    end_process(&f);
    start_log(&f);
    expect_from_base();
    fixture_free(&f);
}
END_TEST

START_TEST(entries_lost_on_both_sides_are_missed_behind_it_only)
{
    struct wal_record record;
    size_t size;
    fixture_init(&f, 11);
    start_log(&f);
    append_some(&f, 20);
    name_checkpoint(10);
    end_process(&f);
    for (uint64_t op = 9; op <= 12; op++) {
        const size_t at = offset_of(&f, SEGMENT_1, 1, op, &record);
        memset(segment_bytes(&f, SEGMENT_1, &size) + at, 0xee, WAL_RECORD_HEADER_SIZE);
    }
    start_log(&f);
    ck_assert_int_eq(f.found.condition, WAL_FAULTY);
    ck_assert_uint_eq(f.found.held_op, 10);
    ck_assert_uint_eq(f.found.head.op_number, 20);
    ck_assert(checksum_equal(f.found.head.checksum, vr_log_checksum(&f.log, 20)));
    /* The others had 11 and 12, and what this replica has to say counts again. */
    ck_assert_int_eq(replace_suffix(&f, 10, 12), 0);
    end_process(&f);
    start_log(&f);
    expect_from_base();
    fixture_free(&f);
}
END_TEST

/* D5: a checkpoint takes the place of a log whose end is lost beyond it: that the entries behind
 * the checkpoint were here is still claimed, until what replaces them is whole. */
START_TEST(lost_entries_beyond_a_checkpoint_are_still_claimed)
{
    struct wal_record record;
    struct log_queue queue;
    size_t size;
    const struct log_store_client client = {
        .context = &f, .entry = queue_entry, .chain = queue_chain, .commit = queue_commit};
    fixture_init(&f, 13);
    start_log(&f);
    append_some(&f, 20);
    end_process(&f);
    for (uint64_t op = 12; op <= 19; op++) {
        const size_t at = offset_of(&f, SEGMENT_1, 1, op, &record);
        memset(segment_bytes(&f, SEGMENT_1, &size) + at, 0xee, WAL_RECORD_HEADER_SIZE);
    }
    start_log(&f);
    ck_assert_int_eq(f.found.condition, WAL_FAULTY);
    ck_assert_uint_eq(f.found.held_op, 11);
    name_checkpoint(15);
    ck_assert_int_eq(log_queue_init(&queue, &client, LOG_QUEUE_SIZE_MIN, &f.found), 0);
    ck_assert(!log_queue_restart(&queue, &f.base));
    ck_assert_ptr_null(log_queue_take(&queue));
    log_queue_destroy(&queue);
    end_process(&f);
    start_log(&f);
    ck_assert_int_eq(f.found.condition, WAL_FAULTY);
    ck_assert_uint_eq(f.found.held_op, 15);
    ck_assert_uint_eq(f.found.head.op_number, 20);
    ck_assert(vr_log_matches(&f.read, 15, f.base.checksum));
    fixture_free(&f);
}
END_TEST

/* --- memory --- */

START_TEST(what_lies_before_the_checkpoint_makes_room)
{
    fixture_init(&f, 12);
    start_log(&f);
    append_segments(6);
    name_checkpoint(f.log.op_number);
    append_some(&f, 3);
    end_process(&f);
    struct wal_options o = wal_test_options();
    o.base = f.base;
    /* Room for a few entries, in blocks of two. */
    vr_log_init_blocks(&f.read, f.memory[1], 8000, 1000, CLUSTER, 0, entry_chain_start(CLUSTER));
    log_reset(&f.spare, f.memory[2]);
    ck_assert_int_eq(wal_read(&f.wal, &f.ops, &o, &f.read, &f.spare, &f.found, &f.error), 0);
    expect_from_base();
    ck_assert_uint_gt(f.read.base_op, 0);
    fixture_free(&f);
}
END_TEST

/* --- everything at once --- */

struct life {
    struct log_queue queue;
    uint64_t generation;
    uint64_t written_op;
    uint64_t checkpoints[2];    /* ops, the newest first */
    struct log_report reported; /* durable, of the log as it is now */
    uint64_t synced_op;         /* likewise, after a power cut as well */
};

static int consume(struct life *life)
{
    struct log_queue_half *half = log_queue_take(&life->queue);
    if (half == NULL) {
        return 0;
    }
    int status = log_queue_append(half, &f.wal, NULL, NULL, &f.error);
    status = status == 0 ? wal_sync(&f.wal, &f.error) : status;
    const struct log_report report = half->report;
    log_queue_release(&life->queue, half);
    log_queue_copy(&life->queue);
    if (status == 0 && report.any && report.generation == life->generation) {
        life->synced_op = report.op_number;
        f.named_segment = f.wal.segment.number;
    }
    return status;
}

static void write_core(struct life *life, uint64_t cut_to)
{
    log_queue_write(&life->queue, &(struct log_write){.generation = life->generation,
                                                      .cut_to = cut_to,
                                                      .first_op = cut_to + 1,
                                                      .last_op = f.log.op_number});
    life->written_op = f.log.op_number;
}

static void change(struct life *life)
{
    uint64_t cut_to = life->written_op;
    if (prng_chance(&f.prng, 1, 6)) {
        cut_to = prng_between(&f.prng, f.log.protected_op, f.log.op_number);
        vr_log_cut(&f.log, cut_to);
        life->generation++;
        life->synced_op = life->synced_op < cut_to ? life->synced_op : cut_to;
        cut_to = cut_to < life->written_op ? cut_to : life->written_op;
    }
    for (uint64_t i = prng_below(&f.prng, 12); i > 0; i--) {
        log_add(&f, &f.log);
    }
    write_core(life, cut_to);
}

/* K1: of an op that is committed, and durable here or not; then what lies before the last one goes.
 */
static int take_checkpoint(struct life *life)
{
    const uint64_t op_number = prng_between(&f.prng, f.base.op_number, f.log.op_number);
    if (op_number == f.base.op_number) {
        return 0;
    }
    life->checkpoints[1] = life->checkpoints[0];
    life->checkpoints[0] = op_number;
    name_checkpoint(op_number);
    const uint64_t through =
        life->checkpoints[1] < life->synced_op ? life->checkpoints[1] : life->synced_op;
    return wal_drop(&f.wal, through, &f.error);
}

/* G4 */
static void install_checkpoint(struct life *life)
{
    install(f.log.op_number + prng_between(&f.prng, 1, 50));
    life->checkpoints[0] = f.base.op_number;
    life->checkpoints[1] = f.base.op_number;
    ck_assert(log_queue_restart(&life->queue, &f.base));
    life->generation++;
    life->written_op = f.base.op_number;
    life->synced_op = f.base.op_number;
}

static void expect_promises(const struct life *life)
{
    const struct wal_head *head = &f.found.head;
    ck_assert_int_eq(f.found.condition, WAL_INTACT);
    ck_assert(vr_log_matches(&f.read, f.base.op_number, f.base.checksum));
    ck_assert_uint_ge(head->op_number, life->synced_op);
    ck_assert_uint_ge(head->op_number, f.base.op_number);
    ck_assert_uint_eq(f.found.held_op, head->op_number);
    ck_assert_uint_ge(head->op_number, life->synced_op);
    if (life->synced_op >= f.base.op_number) {
        ck_assert(
            vr_log_matches(&f.read, life->synced_op, vr_log_checksum(&f.log, life->synced_op)));
    }
}

/* Cuts, checkpoints, installs, power cuts at any call: what was reported durable is there, from a
 * log that begins at or before the checkpoint. */
START_TEST(a_life_with_checkpoints_loses_nothing)
{
    struct life life = {.generation = 1};
    const struct log_store_client client = {
        .context = &f, .entry = queue_entry, .chain = queue_chain, .commit = queue_commit};
    fixture_init(&f, (uint64_t)_i + 3000);
    f.base.checksum = entry_chain_start(CLUSTER);
    for (int round = 0; round < 8; round++) {
        f.disk.power_cut_at = f.disk.calls + prng_between(&f.prng, 1, 300);
        ck_assert_int_eq(read_log(&f), 0);
        if (f.found.condition == WAL_FAULTY) {
            break; /* repaired by peers */
        }
        expect_promises(&life);
        if (wal_start(&f.wal, ++f.incarnation, &f.error) != 0) {
            lose_power(&f);
            continue;
        }
        f.named_segment = f.wal.segment.number;
        /* The core goes on from what was read. */
        const uint64_t head = f.found.held_op;
        vr_log_restart(&f.log, f.base.op_number, f.base.checksum);
        vr_log_append_from(&f.log, &f.read, head);
        life.synced_op = head;
        life.written_op = head;
        life.generation++;
        ck_assert_int_eq(log_queue_init(&life.queue, &client, LOG_QUEUE_SIZE_MIN, &f.found), 0);
        life.queue.capacity = prng_between(&f.prng, 2048, 8192) / 64 * 64;
        int status = 0;
        for (int step = 0; step < 60 && status == 0; step++) {
            const uint64_t what = prng_below(&f.prng, 20);
            if (what == 0) {
                install_checkpoint(&life);
            } else if (what < 4) {
                status = take_checkpoint(&life);
            } else if (what < 12) {
                change(&life);
            } else {
                status = consume(&life);
            }
        }
        log_queue_destroy(&life.queue);
        lose_power(&f);
    }
    fixture_free(&f);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("wal_base");
    TCase *tests = tcase_create("wal_base");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, whole_segments_leave_and_the_rest_is_read);
    tcase_add_test(tests, a_replacement_over_segments_keeps_its_beginning);
    tcase_add_test(tests, a_log_that_begins_behind_the_checkpoint_does_not_count);
    tcase_add_test(tests, a_file_that_cannot_be_removed_costs_room_only);
    tcase_add_test(tests, a_restart_begins_behind_its_checkpoint);
    tcase_add_test(tests, a_log_that_does_not_reach_its_checkpoint_is_over);
    tcase_add_test(tests, a_log_that_is_another_one_there_is_over);
    tcase_add_test(tests, an_older_checkpoint_does_not_do_for_a_restarted_log);
    tcase_add_test(tests, every_flipped_byte_before_the_checkpoint_is_harmless);
    tcase_add_test(tests, a_segment_that_begins_before_the_checkpoint_heals_what_came_before);
    tcase_add_test(tests, a_later_checkpoint_reads_what_an_earlier_one_could);
    tcase_add_test(tests, entries_lost_on_both_sides_are_missed_behind_it_only);
    tcase_add_test(tests, lost_entries_beyond_a_checkpoint_are_still_claimed);
    tcase_add_test(tests, what_lies_before_the_checkpoint_makes_room);
    tcase_add_loop_test(tests, a_life_with_checkpoints_loses_nothing, 0, 400);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
