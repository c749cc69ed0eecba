/* SPDX-License-Identifier: Apache-2.0 */
/* The log on a disk that forgets, lies and rots (PITFALLS ST-2, PS-1 to PS-5): what was reported
 * durable is found again, or known to be missing; never denied. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "common/base/bytes.h"
#include "server/storage/log_queue.h"
#include "test/support/wal_fixture.h"

static struct fixture f;

/* --- what is written is what is read --- */

START_TEST(an_empty_log_is_intact)
{
    fixture_init(&f, 1);
    start_log(&f);
    expect_all(&f);
    ck_assert_uint_eq(f.found.segment_count, 0);
    end_process(&f);
    start_log(&f);
    expect_all(&f);
    ck_assert_uint_eq(f.found.segment_count, 1);
    fixture_free(&f);
}
END_TEST

START_TEST(entries_come_back_over_many_segments)
{
    fixture_init(&f, 2);
    start_log(&f);
    append_some(&f, 100);
    ck_assert_uint_gt(f.wal.segment.number, 3);
    end_process(&f);
    start_log(&f);
    expect_all(&f);
    append_some(&f, 10);
    lose_power(&f);
    start_log(&f);
    expect_all(&f);
    fixture_free(&f);
}
END_TEST

START_TEST(the_commit_number_comes_back)
{
    fixture_init(&f, 3);
    start_log(&f);
    append_some(&f, 5);
    f.commit_number = 4;
    append_some(&f, 1);
    end_process(&f);
    start_log(&f);
    ck_assert_uint_eq(f.found.commit_number, 4);
    fixture_free(&f);
}
END_TEST

START_TEST(a_replacement_counts_as_one)
{
    fixture_init(&f, 4);
    start_log(&f);
    append_some(&f, 30);
    ck_assert_int_eq(replace_suffix(&f, 12, 40), 0);
    append_some(&f, 3);
    end_process(&f);
    start_log(&f);
    expect_all(&f);
    ck_assert_int_eq(replace_suffix(&f, 20, 0), 0); /* a cut, and nothing in its place */
    append_some(&f, 3);
    end_process(&f);
    start_log(&f);
    expect_all(&f);
    fixture_free(&f);
}
END_TEST

/* The format is a promise (docs/formats.md): these are its bytes. */
START_TEST(the_bytes_of_a_log_stay_what_they_are)
{
    static const uint8_t golden_segment[96] = {
#include "test/unit/golden/wal_segment.inc"
    };
    static const uint8_t golden_records[] = {
#include "test/unit/golden/wal_records.inc"
    };
    const struct wal_owner owner = {UINT64_C(0x1122334455667788), 7};
    static uint8_t bytes[WAL_SEGMENT_HEADER_SIZE];
    const struct wal_segment_header header = {
        .number = 0x2a,
        .size = 16 * 1024 * 1024,
        .first_sequence = 1000,
        .synced_sequence = 1004,
        .head_op = 990,
        .head_checksum = {0xaaaaaaaaaaaaaaaa, 0xbbbbbbbbbbbbbbbb},
    };
    wal_segment_header_encode(&header, &owner, bytes);
    ck_assert_mem_eq(bytes, golden_segment, sizeof golden_segment);

    static uint8_t body[ENTRY_HEADER_SIZE + 5];
    const struct entry entry = {
        .op_number = 991,
        .view_number = view_make(1, 5),
        .timestamp = 1767225600000000000,
        .client_id = {3, 4},
        .session = 17,
        .request_number = 8,
        .kind = ENTRY_OPERATION,
        .body_size = 5,
        .body = (const uint8_t *)"hello",
    };
    const size_t size = entry_encode(&entry, body);
    const struct wal_record records[3] = {
        {
            .type = WAL_ENTRY,
            .sequence = 1000,
            .op_number = 991,
            .view_number = view_make(1, 5),
            .incarnation = 6,
            .commit_number = 989,
            .synced_sequence = 998,
            .checksum = entry_checksum(owner.cluster_id, header.head_checksum, body, size),
            .other = header.head_checksum,
            .body_size = (uint32_t)size,
            .body = body,
        },
        {
            .type = WAL_REPLACE,
            .sequence = 1001,
            .op_number = 990,
            .incarnation = 6,
            .commit_number = 990,
            .synced_sequence = 1000,
            .through_op = 995,
            .checksum = header.head_checksum,
            .other = {0xcccccccccccccccc, 0xdddddddddddddddd},
        },
        {
            .type = WAL_ABANDON,
            .sequence = 1002,
            .op_number = 991,
            .incarnation = 7,
            .synced_sequence = 1001,
            .checksum = {1, 2},
        },
    };
    size_t at = 0;
    for (size_t i = 0; i < 3; i++) {
        wal_record_encode(&records[i], &owner, 0x2a, WAL_SEGMENT_HEADER_SIZE + at, bytes + at);
        at += wal_record_size(records[i].body_size);
    }
    ck_assert_uint_eq(at, sizeof golden_records);
    ck_assert_mem_eq(bytes, golden_records, sizeof golden_records);
    struct wal_record read;
    ck_assert_int_eq(wal_record_decode(golden_records, sizeof golden_records, &owner, 0x2a,
                                       WAL_SEGMENT_HEADER_SIZE, &read),
                     WAL_VALID);
    ck_assert_uint_eq(read.op_number, 991);
    ck_assert_uint_eq(read.synced_sequence, 998);
    /* Elsewhere it is none (PS-5). */
    ck_assert_int_eq(wal_record_decode(golden_records, sizeof golden_records, &owner, 0x2b,
                                       WAL_SEGMENT_HEADER_SIZE, &read),
                     WAL_DAMAGED);
}
END_TEST

/* --- torn, rotten, missing --- */

START_TEST(a_torn_tail_is_cut_and_said)
{
    struct wal_record record;
    size_t size;
    fixture_init(&f, 5);
    start_log(&f);
    append_some(&f, 5);
    const size_t at = offset_of(&f, SEGMENT_1, 1, 5, &record);
    segment_bytes(&f, SEGMENT_1, &size)[at + 40] ^= 1; /* header and body */
    segment_bytes(&f, SEGMENT_1, &size)[at + 140] ^= 1;
    end_process(&f);
    start_log(&f);
    ck_assert_int_eq(f.found.condition, WAL_INTACT);
    ck_assert_uint_eq(f.found.held_op, 4);
    ck_assert_uint_eq(f.found.torn_offset, at);
    ck_assert_uint_gt(f.found.torn_bytes, 0);
    /* What it left is gone, and the log goes on in its place. */
    vr_log_cut(&f.log, 4);
    append_some(&f, 1);
    end_process(&f);
    start_log(&f);
    expect_all(&f);
    ck_assert_uint_eq(f.found.torn_bytes, 0);
    fixture_free(&f);
}
END_TEST

/* PS-2, M-corrupt-as-torn: a whole header says that there was an entry. */
START_TEST(a_bad_body_at_the_end_is_an_entry_this_replica_had)
{
    struct wal_record record;
    size_t size;
    fixture_init(&f, 6);
    start_log(&f);
    append_some(&f, 5);
    const size_t at = offset_of(&f, SEGMENT_1, 1, 5, &record);
    segment_bytes(&f, SEGMENT_1, &size)[at + WAL_RECORD_HEADER_SIZE + 3] ^= 1;
    end_process(&f);
    start_log(&f);
    ck_assert_int_eq(f.found.condition, WAL_FAULTY);
    ck_assert_uint_eq(f.found.held_op, 4);
    ck_assert_uint_eq(f.found.head.op_number, 5);
    ck_assert(checksum_equal(f.found.head.checksum, vr_log_checksum(&f.log, 5)));
    ck_assert(!f.found.lost_durable); /* it may have been torn */
    fixture_free(&f);
}
END_TEST

/* A process killed amid a write leaves whole pages of it and then nothing; no rot looks like that.
 */
START_TEST(a_write_that_was_cut_short_is_told_from_damage)
{
    struct wal_record record;
    size_t size;
    for (uint32_t kind = 0; kind < 3; kind++) {
        const size_t sector = wal_test_options().sector_size;
        size_t at;
        size_t cut;
        size_t end;
        fixture_init(&f, 6);
        start_log(&f);
        do { /* until the last one lies in several sectors */
            append_some(&f, 1);
            at = offset_of(&f, SEGMENT_1, 1, f.log.op_number, &record);
            cut = (at + WAL_RECORD_HEADER_SIZE + sector - 1) / sector * sector;
            end = at + wal_record_size(record.body_size);
        } while (cut >= end);
        uint8_t *bytes = segment_bytes(&f, SEGMENT_1, &size);
        switch (kind) {
        case 0:
            memset(bytes + cut, 0, end - cut);
            break;
        case 1: /* more than one write leaves */
            memset(bytes + cut, 0, end - cut);
            bytes[end - 1] = 1;
            break;
        default:
            bytes[cut] ^= 1;
            break;
        }
        end_process(&f);
        start_log(&f);
        ck_assert_int_eq(f.found.condition, WAL_FAULTY);
        ck_assert_uint_eq(f.found.head.op_number, f.log.op_number);
        ck_assert_int_eq(f.found.tail_unfinished, kind == 0);
        fixture_free(&f);
    }
}
END_TEST

/* Appends until the last record lies in several sectors, and leaves of it what a process leaves
 * that is killed amid the write. */
static void cut_the_last_write_short(void)
{
    const size_t sector = wal_test_options().sector_size;
    struct wal_record record;
    size_t size;
    size_t cut;
    size_t end;
    do {
        append_some(&f, 1);
        const size_t at = offset_of(&f, SEGMENT_1, 1, f.wal.sequence, &record);
        cut = (at + WAL_RECORD_HEADER_SIZE + sector - 1) / sector * sector;
        end = at + wal_record_size(record.body_size);
    } while (cut >= end);
    memset(segment_bytes(&f, SEGMENT_1, &size) + cut, 0, end - cut);
    end_process(&f);
}

/* D5: of a write that an earlier end cut short, and that the log did without since, nothing is
 * missing: it makes no damage of the next one. A group of one starts after either. */
START_TEST(a_second_write_that_was_cut_short_is_no_damage)
{
    fixture_init(&f, 6);
    start_log(&f);
    for (int turn = 0; turn < 2; turn++) {
        cut_the_last_write_short();
        start_log(&f);
        ck_assert_int_eq(f.found.condition, WAL_FAULTY);
        ck_assert_uint_eq(f.found.held_op, f.log.op_number - 1);
        ck_assert(f.found.tail_unfinished);
        ck_assert_int_eq(replace_suffix(&f, f.log.op_number - 1, 1), 0);
        end_process(&f);
        start_log(&f);
        expect_all(&f);
    }
    fixture_free(&f);
}
END_TEST

/* What a sync came after was no torn write. */
START_TEST(damage_before_a_sync_is_told_from_a_torn_batch)
{
    for (uint64_t sequence = 2; sequence <= 5; sequence += 3) {
        struct wal_record record;
        size_t size;
        fixture_init(&f, 6);
        start_log(&f);
        append_some(&f, 3);
        append_some(&f, 3); /* one batch: 5 is torn while 6 is whole */
        const size_t at = offset_of(&f, SEGMENT_1, 1, sequence, &record);
        segment_bytes(&f, SEGMENT_1, &size)[at + WAL_RECORD_HEADER_SIZE + 3] ^= 1;
        end_process(&f);
        start_log(&f);
        ck_assert_int_eq(f.found.condition, WAL_FAULTY);
        ck_assert_int_eq(f.found.lost_durable, sequence == 2);
        fixture_free(&f);
    }
}
END_TEST

/* PS-1: a bad record followed by a good one is no torn write, whatever is bad of it. */
START_TEST(damage_before_a_whole_record_is_no_torn_tail)
{
    for (uint64_t sequence = 1; sequence < 5; sequence++) {
        struct wal_record record;
        size_t size;
        fixture_init(&f, 7);
        start_log(&f);
        append_some(&f, 5);
        const size_t at = offset_of(&f, SEGMENT_1, 1, sequence, &record);
        memset(segment_bytes(&f, SEGMENT_1, &size) + at, 0, wal_record_size(record.body_size));
        end_process(&f);
        start_log(&f);
        ck_assert_int_eq(f.found.condition, WAL_FAULTY);
        ck_assert_uint_eq(f.found.held_op, sequence - 1);
        ck_assert_uint_eq(f.found.head.op_number, 5);
        ck_assert_uint_eq(f.found.damaged_offset, at);
        fixture_free(&f);
    }
}
END_TEST

START_TEST(a_missing_segment_is_damage)
{
    fixture_init(&f, 8);
    start_log(&f);
    append_some(&f, 100);
    end_process(&f);
    ck_assert_int_eq(f.ops.remove(&f.disk, SEGMENT_2), 0);
    start_log(&f);
    ck_assert_int_eq(f.found.condition, WAL_FAULTY);
    ck_assert_uint_eq(f.found.head.op_number, 100);
    ck_assert_uint_lt(f.found.held_op, 100);
    fixture_free(&f);
}
END_TEST

/* What a cut was is not guessed (D6). */
START_TEST(a_damaged_cut_leaves_no_known_log)
{
    struct wal_record record;
    size_t size;
    fixture_init(&f, 9);
    start_log(&f);
    append_some(&f, 4);
    f.commit_number = 2;
    append_some(&f, 1);
    ck_assert_int_eq(replace_suffix(&f, 3, 2), 0);
    f.commit_number = 5;
    append_some(&f, 1);
    const size_t at = offset_of(&f, SEGMENT_1, 1, 6, &record);
    ck_assert_int_eq(record.type, WAL_REPLACE);
    segment_bytes(&f, SEGMENT_1, &size)[at + 40] ^= 1;
    end_process(&f);
    start_log(&f);
    ck_assert_int_eq(f.found.condition, WAL_BROKEN);
    /* Only what was committed before is surely of every log that came after. */
    ck_assert_uint_eq(f.found.held_op, 2);
    ck_assert_uint_eq(f.found.commit_number, 2);
    ck_assert_uint_eq(f.found.commit_known, 5); /* it never goes back */
    fixture_free(&f);
}
END_TEST

/* A log that was damaged and written anew from peers is whole again. */
START_TEST(a_replacement_heals_what_it_replaces)
{
    struct wal_record record;
    size_t size;
    fixture_init(&f, 10);
    start_log(&f);
    append_some(&f, 6);
    const size_t at = offset_of(&f, SEGMENT_1, 1, 3, &record);
    segment_bytes(&f, SEGMENT_1, &size)[at + 40] ^= 1;
    end_process(&f);
    start_log(&f);
    ck_assert_uint_eq(f.found.held_op, 2);
    ck_assert_int_eq(replace_suffix(&f, 2, 7), 0);
    end_process(&f);
    start_log(&f);
    expect_all(&f);
    fixture_free(&f);
}
END_TEST

/* The end of a replacement and what came behind it were one batch, which was torn: entries are
 * missing, but nothing else. */
START_TEST(a_batch_torn_around_the_end_of_a_replacement_is_known)
{
    struct wal_record record;
    size_t size;
    fixture_init(&f, 43);
    start_log(&f);
    append_some(&f, 6);
    ck_assert_int_eq(replace_suffix(&f, 3, 4), 0); /* records 7 to 11, to op 7 */
    append_some(&f, 3);                            /* to 14, op 10 */
    end_process(&f);
    for (uint64_t sequence = 10; sequence <= 12; sequence++) {
        const size_t at = offset_of(&f, SEGMENT_1, 1, sequence, &record);
        memset(segment_bytes(&f, SEGMENT_1, &size) + at, 0xee, WAL_RECORD_HEADER_SIZE);
    }
    start_log(&f);
    ck_assert_int_eq(f.found.condition, WAL_FAULTY);
    ck_assert_uint_eq(f.found.held_op, 3);
    ck_assert_uint_eq(f.found.head.op_number, 10);
    ck_assert(checksum_equal(f.found.head.checksum, vr_log_checksum(&f.log, 10)));
    fixture_free(&f);
}
END_TEST

START_TEST(every_flipped_byte_is_noticed_or_harmless)
{
    fixture_init(&f, 11);
    start_log(&f);
    append_some(&f, 6);
    ck_assert_int_eq(replace_suffix(&f, 4, 3), 0);
    const uint64_t end = f.wal.offset;
    for (uint64_t at = 0; at < end; at += 7) {
        size_t size;
        end_process(&f);
        segment_bytes(&f, SEGMENT_1, &size)[at] ^= 0x10;
        const int status = read_log(&f);
        ck_assert_int_eq(status, 0);
        /* Either it is found to be faulty or broken, or what is held is a prefix of the log; and
         * only damage to the last record's header may shorten it (the torn tail's rule). */
        if (f.found.condition == WAL_INTACT && f.found.held_op < f.log.op_number) {
            ck_assert_uint_gt(f.found.torn_bytes, 0);
        } else if (f.found.condition == WAL_FAULTY) {
            ck_assert_uint_eq(f.found.head.op_number, f.log.op_number);
        }
        if (f.found.condition != WAL_BROKEN && f.found.held_op <= f.log.op_number &&
            f.found.head.op_number == f.log.op_number) {
            ck_assert(vr_log_matches(&f.log, f.found.head.op_number, f.found.head.checksum));
        }
        segment_bytes(&f, SEGMENT_1, &size)[at] ^= 0x10;
    }
    fixture_free(&f);
}
END_TEST

/* --- the end of a log --- */

static struct sim_disk_node *node_of(const char *path)
{
    for (uint32_t i = 0; i < SIM_DISK_NAMES_MAX; i++) {
        if (strcmp(f.disk.names[i].path, path) == 0) {
            return &f.disk.nodes[f.disk.names[i].node];
        }
    }
    ck_abort_msg("no file %s", path);
    return NULL;
}

static void cut_file(const char *path, size_t size)
{
    node_of(path)->now.size = size;
}

/* A log whose second segment is the last and has records; dead. */
static void make_two_segments(uint64_t seed)
{
    fixture_init(&f, seed);
    start_log(&f);
    while (f.wal.segment.number == 1) {
        append_some(&f, 1);
    }
    append_some(&f, 2);
    end_process(&f);
}

static void expect_broken(void)
{
    const int status = read_log(&f);
    ck_assert_msg(status == 0, "%s", f.error.text);
    ck_assert_int_eq(f.found.condition, WAL_BROKEN);
    ck_assert_uint_eq(f.found.torn_bytes, 0);
    ck_assert_uint_gt(f.found.damaged_count, 0);
    ck_assert_uint_eq(f.found.held_op, 0); /* nothing is known to be committed */
    fixture_free(&f);
}

/* D6: a segment gets its name when its header is durable, so one without is not what a crash
 * leaves; what it held nobody knows. */
START_TEST(a_last_segment_without_its_header_is_no_empty_one)
{
    size_t size;
    make_two_segments(30);
    memset(segment_bytes(&f, SEGMENT_2, &size), 0, SEGMENT_SIZE);
    expect_broken();

    make_two_segments(31);
    memset(segment_bytes(&f, SEGMENT_2, &size), 0x5a, SEGMENT_SIZE);
    expect_broken();

    make_two_segments(32);
    cut_file(SEGMENT_2, 0);
    expect_broken();

    make_two_segments(33);
    cut_file(SEGMENT_2, 100);
    expect_broken();

    make_two_segments(34); /* a bad header, and an end that is missing */
    segment_bytes(&f, SEGMENT_2, &size)[9] ^= 1;
    cut_file(SEGMENT_2, SEGMENT_SIZE - 512);
    expect_broken();

    fixture_init(&f, 35); /* the only one */
    start_log(&f);
    append_some(&f, 5);
    end_process(&f);
    cut_file(SEGMENT_1, 0);
    expect_broken();
}
END_TEST

/* A bad header cannot say whether what looks like a torn tail was durable. */
START_TEST(a_torn_tail_behind_a_bad_header_is_a_loss)
{
    for (int header = 0; header < 2; header++) {
        size_t size;
        struct wal_record record;
        make_two_segments(40);
        start_log(&f); /* now the header says what is durable */
        end_process(&f);
        const size_t at = offset_of(&f, SEGMENT_2, 2, f.log.op_number, &record);
        uint8_t *bytes = segment_bytes(&f, SEGMENT_2, &size);
        bytes[at] ^= 1;
        bytes[30] ^= (uint8_t)header;
        expect_broken();
    }
}
END_TEST

/* What stands behind a header that is lost proves that nothing else is. */
START_TEST(a_header_alone_is_no_loss_but_damage)
{
    size_t size;
    make_two_segments(36);
    segment_bytes(&f, SEGMENT_2, &size)[30] ^= 1;
    start_log(&f);
    expect_all(&f);
    ck_assert_uint_eq(f.found.damaged_count, 1);
    ck_assert_uint_eq(f.found.damaged_segment, 2);
    append_some(&f, 3); /* and the start has mended it */
    end_process(&f);
    start_log(&f);
    expect_all(&f);
    ck_assert_uint_eq(f.found.damaged_count, 0);
    fixture_free(&f);
}
END_TEST

/* The state file names the last segment that may hold what was acknowledged. */
START_TEST(a_missing_last_segment_is_missed)
{
    make_two_segments(37);
    f.named_segment = 2;
    ck_assert_int_eq(read_log(&f), 0);
    expect_all(&f);
    wal_close(&f.wal);
    ck_assert_int_eq(f.ops.remove(&f.disk, SEGMENT_2), 0);
    expect_broken();

    fixture_init(&f, 38); /* all of them */
    f.named_segment = 1;
    expect_broken();
}
END_TEST

/* After a clean stop the state file says where the log ended. */
START_TEST(a_clean_end_is_found_again_or_missed)
{
    struct wal_record record;
    size_t size;
    for (int rot = 0; rot < 3; rot++) {
        fixture_init(&f, 39);
        start_log(&f);
        append_some(&f, 5);
        f.end = wal_end(&f.wal);
        ck_assert_uint_eq(f.end.segment, 1);
        ck_assert_uint_eq(f.end.head.op_number, 5);
        end_process(&f);
        ck_assert_int_eq(read_log(&f), 0);
        expect_all(&f);
        wal_close(&f.wal);
        /* What would be a torn tail had the machine stopped. */
        const size_t at = offset_of(&f, SEGMENT_1, 1, 5, &record);
        memset(segment_bytes(&f, SEGMENT_1, &size) + at, rot, wal_record_size(record.body_size));
        if (rot == 2) {
            cut_file(SEGMENT_1, 0);
        }
        expect_broken();
    }
}
END_TEST

/* What a start has read and made durable is never a torn tail afterwards. */
START_TEST(what_a_start_has_renewed_is_never_torn)
{
    struct wal_record record;
    size_t size;
    fixture_init(&f, 40);
    start_log(&f);
    append_some(&f, 5);
    end_process(&f);
    start_log(&f);
    end_process(&f);
    const size_t at = offset_of(&f, SEGMENT_1, 1, 5, &record);
    memset(segment_bytes(&f, SEGMENT_1, &size) + at, 0, wal_record_size(record.body_size));
    expect_broken();
}
END_TEST

/* Each record says what was durable when it was written. */
START_TEST(records_say_what_was_durable_before_them)
{
    struct wal_record record;
    fixture_init(&f, 41);
    start_log(&f);
    append_some(&f, 3);
    append_some(&f, 2);
    (void)offset_of(&f, SEGMENT_1, 1, 3, &record);
    ck_assert_uint_eq(record.synced_sequence, 0);
    (void)offset_of(&f, SEGMENT_1, 1, 5, &record);
    ck_assert_uint_eq(record.synced_sequence, 3);
    /* Where another thread syncs: as far as it says. */
    log_add(&f, &f.log);
    ck_assert_int_eq(append_entry(&f, 6), 0);
    ck_assert_int_eq(wal_flush(&f.wal, &f.error), 0);
    wal_note_synced(&f.wal, 6);
    log_add(&f, &f.log);
    ck_assert_int_eq(append_entry(&f, 7), 0);
    ck_assert_int_eq(wal_flush(&f.wal, &f.error), 0);
    (void)offset_of(&f, SEGMENT_1, 1, 6, &record);
    ck_assert_uint_eq(record.synced_sequence, 5);
    (void)offset_of(&f, SEGMENT_1, 1, 7, &record);
    ck_assert_uint_eq(record.synced_sequence, 6);
    fixture_free(&f);
}
END_TEST

/* Damage that may be a crash's is told from damage that is the disk's. */
START_TEST(damage_to_what_was_durable_is_told_from_a_batch_cut_short)
{
    struct wal_record record;
    size_t size;
    for (int later = 0; later < 2; later++) {
        fixture_init(&f, 45);
        start_log(&f);
        append_some(&f, 3);
        append_some(&f, 3); /* one batch */
        if (later == 1) {
            append_some(&f, 1); /* says that the one before was synced */
        }
        const size_t at = offset_of(&f, SEGMENT_1, 1, 5, &record);
        memset(segment_bytes(&f, SEGMENT_1, &size) + at, 0, wal_record_size(record.body_size));
        end_process(&f);
        start_log(&f);
        ck_assert_int_eq(f.found.condition, WAL_FAULTY);
        ck_assert_uint_eq(f.found.held_op, 4);
        ck_assert_int_eq(f.found.lost_durable, later == 1);
        fixture_free(&f);
    }
}
END_TEST

/* What was committed stays known although it is not held any more. */
START_TEST(the_commit_number_is_known_beyond_what_is_held)
{
    struct wal_record record;
    size_t size;
    fixture_init(&f, 42);
    start_log(&f);
    append_some(&f, 5);
    f.commit_number = 4;
    append_some(&f, 1);
    size_t at = offset_of(&f, SEGMENT_1, 1, 3, &record);
    segment_bytes(&f, SEGMENT_1, &size)[at + 40] ^= 1;
    end_process(&f);
    start_log(&f);
    ck_assert_int_eq(f.found.condition, WAL_FAULTY);
    ck_assert_uint_eq(f.found.held_op, 2);
    ck_assert_uint_eq(f.found.commit_number, 2);
    ck_assert_uint_eq(f.found.commit_known, 4);
    fixture_free(&f);
}
END_TEST

/* --- crashes --- */

/* What of the log is safe, and the log as it may be found. */
struct promise {
    uint64_t synced_op; /* reported durable */
    uint64_t before_op; /* while a replacement is under way: the log before it */
    struct checksum before;
    bool replacing;
};

static void expect_kept(const struct promise *promise)
{
    const struct wal_head *head = &f.found.head;
    ck_assert_int_ne(f.found.condition, WAL_BROKEN);
    if (promise->replacing && head->op_number == promise->before_op &&
        checksum_equal(head->checksum, promise->before)) {
        return; /* the switch has not happened */
    }
    ck_assert_uint_ge(head->op_number, promise->synced_op);
    ck_assert_uint_le(head->op_number, f.log.op_number);
    ck_assert(checksum_equal(head->checksum, vr_log_checksum(&f.log, head->op_number)));
    ck_assert_uint_le(f.found.held_op, head->op_number);
    ck_assert(vr_log_matches(&f.read, f.found.held_op, vr_log_checksum(&f.log, f.found.held_op)));
    if (f.found.condition == WAL_INTACT) {
        ck_assert_uint_eq(f.found.held_op, head->op_number);
    }
}

/* Some steps of a life, until a call fails. */
static void live(struct promise *promise)
{
    for (int step = 0; step < 40; step++) {
        int status = 0;
        if (prng_chance(&f.prng, 1, 6) && f.log.op_number > 0) {
            promise->before_op = f.log.op_number;
            promise->before = vr_log_checksum(&f.log, f.log.op_number);
            promise->replacing = true;
            const uint64_t cut_to = prng_below(&f.prng, f.log.op_number);
            promise->synced_op = promise->synced_op < cut_to ? promise->synced_op : cut_to;
            status = replace_suffix(&f, cut_to, prng_below(&f.prng, 20));
            promise->replacing = status != 0;
        } else {
            for (uint64_t i = prng_between(&f.prng, 1, 8); status == 0 && i > 0; i--) {
                log_add(&f, &f.log);
                status = append_entry(&f, f.log.op_number);
            }
            status =
                status == 0 && prng_chance(&f.prng, 1, 2) ? wal_flush(&f.wal, &f.error) : status;
            status = status == 0 ? wal_sync(&f.wal, &f.error) : status;
        }
        if (status != 0) {
            return;
        }
        promise->synced_op = f.log.op_number;
        f.named_segment = f.wal.segment.number; /* before it is reported */
    }
}

/* Everywhere that power can go, in life and while starting again. */
START_TEST(a_power_cut_anywhere_loses_nothing_durable)
{
    struct promise promise = {.synced_op = 0};
    fixture_init(&f, (uint64_t)_i + 1000);
    for (int round = 0; round < 8; round++) {
        f.disk.power_cut_at =
            f.disk.calls + prng_between(&f.prng, 1, prng_chance(&f.prng, 1, 2) ? 12 : 200);
        int status = read_log(&f);
        ck_assert_int_eq(status, 0);
        expect_kept(&promise);
        if (f.found.condition == WAL_FAULTY) {
            break; /* repaired by peers: another test */
        }
        if (wal_start(&f.wal, ++f.incarnation, &f.error) == 0) {
            /* From here on what was found is what there is. */
            if (promise.replacing && f.found.head.op_number == promise.before_op) {
                vr_log_cut(&f.log, 0);
                if (f.found.head.op_number > 0) {
                    vr_log_append_from(&f.log, &f.read, f.found.head.op_number);
                }
            } else {
                vr_log_cut(&f.log, f.found.held_op);
            }
            promise.replacing = false;
            promise.synced_op = f.found.held_op;
            f.named_segment = f.wal.segment.number;
            live(&promise);
        }
        lose_power(&f);
    }
    fixture_free(&f);
}
END_TEST

/* D2: what was handed to the kernel survives the process. */
START_TEST(a_killed_process_loses_nothing_flushed)
{
    fixture_init(&f, 12);
    start_log(&f);
    append_some(&f, 3);
    for (int i = 0; i < 20; i++) {
        log_add(&f, &f.log);
        ck_assert_int_eq(append_entry(&f, f.log.op_number), 0);
    }
    ck_assert_int_eq(wal_flush(&f.wal, &f.error), 0);
    end_process(&f);
    start_log(&f);
    expect_all(&f);
    /* And once a start has read it, a power cut takes none of it either (D5). */
    lose_power(&f);
    ck_assert_int_eq(read_log(&f), 0);
    expect_all(&f);
    fixture_free(&f);
}
END_TEST

/* PS-3: after a failed sync the page cache shows what the disk has not. */
START_TEST(a_failed_sync_is_final_and_nothing_read_is_believed)
{
    fixture_init(&f, 13);
    start_log(&f);
    append_some(&f, 3);
    log_add(&f, &f.log);
    ck_assert_int_eq(append_entry(&f, 4), 0);
    ck_assert_int_eq(wal_flush(&f.wal, &f.error), 0);
    f.disk.fail_at = f.disk.calls + 1;
    f.disk.fail_status = -EIO;
    ck_assert_int_eq(wal_sync(&f.wal, &f.error), -EIO);
    ck_assert_ptr_nonnull(strstr(f.error.text, "disk is failing"));
    ck_assert_int_eq(wal_sync(&f.wal, &f.error), -EIO); /* never tried again */
    ck_assert_int_eq(wal_append(&f.wal, &(struct wal_record){.type = WAL_ABANDON}, &f.error), -EIO);
    end_process(&f);
    start_log(&f); /* reads entry 4 from the cache, and writes it anew */
    ck_assert_uint_eq(f.found.held_op, 4);
    lose_power(&f);
    start_log(&f);
    expect_all(&f);
    fixture_free(&f);
}
END_TEST

START_TEST(a_failed_write_is_final)
{
    fixture_init(&f, 14);
    start_log(&f);
    log_add(&f, &f.log);
    ck_assert_int_eq(append_entry(&f, 1), 0);
    f.disk.fail_at = f.disk.calls + 1;
    f.disk.fail_status = -EIO;
    ck_assert_int_eq(wal_flush(&f.wal, &f.error), -EIO);
    ck_assert_int_eq(wal_sync(&f.wal, &f.error), -EIO);
    fixture_free(&f);
}
END_TEST

/* --- room (PS-4) --- */

/* Appends and syncs until the log says no; returns what it says. What was synced is f.log. */
static int fill(void)
{
    int status = 0;
    while (status == 0) {
        log_add(&f, &f.log);
        status = append_entry(&f, f.log.op_number);
        status = status == 0 ? wal_sync(&f.wal, &f.error) : status;
    }
    vr_log_cut(&f.log, f.log.op_number - 1);
    return status;
}

/* D4: nothing is lost where only room is wanting, for all disks may fill up at the same time. */
START_TEST(a_full_disk_is_noticed_before_the_log_is_full)
{
    fixture_init(&f, 15);
    start_log(&f);
    append_some(&f, 1);
    f.disk.room = 2 * SEGMENT_SIZE; /* the first segment and the spare are there */
    ck_assert_int_eq(wal_spare_error(&f.wal), 0);
    while (f.wal.segment.number == 1) {
        append_some(&f, 1);
    }
    ck_assert_int_eq(wal_spare_error(&f.wal), -ENOSPC); /* said, and the log goes on */
    ck_assert_int_eq(fill(), -ENOSPC);
    ck_assert_ptr_nonnull(strstr(f.error.text, "free some space"));
    ck_assert(wal_is_full(&f.wal));
    ck_assert_int_eq(append_entry(&f, 1), -ENOSPC); /* and stays so, without a second try */
    ck_assert_int_eq(wal_sync(&f.wal, &f.error), 0);
    f.end = wal_end(&f.wal);
    f.named_segment = 2;
    lose_power(&f);
    f.disk.room = 0;
    start_log(&f);
    expect_all(&f);
    append_some(&f, 40);
    fixture_free(&f);
}
END_TEST

/* Whatever hinders a new segment leaves the log before it as it was; only a disk that fails is not
 * believed any more. */
START_TEST(a_segment_that_cannot_be_made_costs_nothing)
{
    static const struct {
        int status;
        bool full;
    } ways[] = {{-ENOSPC, true}, {-EDQUOT, true}, {-EIO, false}, {-EMFILE, true}};
    for (size_t way = 0; way < sizeof ways / sizeof ways[0]; way++) {
        for (uint64_t call = 1; call <= 4; call++) { /* header, sync, rename, directory */
            fixture_init(&f, 43);
            start_log(&f);
            if (ways[way].status == -EMFILE) {
                if (call > 1) {
                    fixture_free(&f);
                    break;
                }
                (void)f.ops.remove(&f.disk, DIRECTORY "/log.spare"); /* open() is the first call */
            }
            log_add(&f, &f.log);
            struct wal_record record = entry_record(&f.log, f.log.op_number);
            while (!wal_may_end_segment(&f.wal, &record)) {
                ck_assert_int_eq(append_entry(&f, f.log.op_number), 0);
                log_add(&f, &f.log);
                record = entry_record(&f.log, f.log.op_number);
            }
            f.disk.fail_at = f.disk.calls + 2 + call; /* write and sync of what waits come first */
            f.disk.fail_status = ways[way].status;
            ck_assert_int_eq(append_entry(&f, f.log.op_number), ways[way].status);
            ck_assert_int_eq(wal_is_full(&f.wal), ways[way].full);
            vr_log_cut(&f.log, f.log.op_number - 1);
            ck_assert_int_eq(wal_sync(&f.wal, &f.error), ways[way].full ? 0 : -EIO);
            f.named_segment = 1;
            lose_power(&f);
            start_log(&f);
            expect_all(&f);
            fixture_free(&f);
        }
    }
}
END_TEST

/* A write that finds no room (a disk that does not keep what it reserved): what was written before
 * is whole, and its sync still counts. */
START_TEST(a_write_without_room_takes_nothing_along)
{
    fixture_init(&f, 44);
    start_log(&f);
    append_some(&f, 3);
    log_add(&f, &f.log);
    ck_assert_int_eq(append_entry(&f, 4), 0);
    ck_assert_int_eq(wal_flush(&f.wal, &f.error), 0);
    log_add(&f, &f.log);
    ck_assert_int_eq(append_entry(&f, 5), 0);
    f.disk.fail_at = f.disk.calls + 1;
    f.disk.fail_status = -ENOSPC;
    ck_assert_int_eq(wal_flush(&f.wal, &f.error), -ENOSPC);
    ck_assert(wal_is_full(&f.wal));
    ck_assert_int_eq(wal_sync(&f.wal, &f.error), 0);
    f.end = wal_end(&f.wal);
    ck_assert_uint_eq(f.end.segment, 0); /* some of what was not written may be there */
    lose_power(&f);
    start_log(&f);
    ck_assert_int_eq(f.found.condition, WAL_INTACT);
    ck_assert_uint_ge(f.found.held_op, 4);
    fixture_free(&f);
}
END_TEST

START_TEST(a_start_on_a_full_disk_works)
{
    fixture_init(&f, 16);
    start_log(&f);
    append_some(&f, 3);
    end_process(&f);
    f.disk.room = 2 * SEGMENT_SIZE;
    start_log(&f);
    expect_all(&f);
    append_some(&f, 1);
    end_process(&f);
    start_log(&f);
    expect_all(&f);
    fixture_free(&f);
}
END_TEST

/* --- refused --- */

START_TEST(a_foreign_log_is_refused)
{
    fixture_init(&f, 17);
    start_log(&f);
    append_some(&f, 3);
    end_process(&f);
    struct wal_options o = wal_test_options();
    o.owner.replica_id = 3;
    log_reset(&f.read, f.memory[1]);
    ck_assert_int_eq(wal_read(&f.wal, &f.ops, &o, &f.read, &f.spare, &f.found, &f.error), -EINVAL);
    ck_assert_ptr_nonnull(strstr(f.error.text, "another replica"));
    o.owner = (struct wal_owner){CLUSTER + 1, 2};
    ck_assert_int_eq(wal_read(&f.wal, &f.ops, &o, &f.read, &f.spare, &f.found, &f.error), -EINVAL);
    fixture_free(&f);
}
END_TEST

/* As a later version would write it: the format is another one, the checksum right
 * (docs/formats.md). */
START_TEST(a_log_of_a_newer_format_is_refused)
{
    enum { FORMAT = 8, CHECKSUM = 80 };
    uint8_t placed[16 + CHECKSUM];
    size_t size;
    fixture_init(&f, 19);
    start_log(&f);
    append_some(&f, 3);
    end_process(&f);
    uint8_t *bytes = segment_bytes(&f, SEGMENT_1, &size);
    bytes_put_u32(bytes + FORMAT, WAL_FORMAT + 1);
    bytes_put_u64(placed, 1); /* the segment's number, and its header's place */
    bytes_put_u64(placed + 8, 0);
    memcpy(placed + 16, bytes, CHECKSUM);
    const XXH128_hash_t hash = XXH3_128bits(placed, sizeof placed);
    bytes_put_u64(bytes + CHECKSUM, hash.low64);
    bytes_put_u64(bytes + CHECKSUM + 8, hash.high64);
    ck_assert_int_eq(read_log(&f), -EPROTO);
    ck_assert_ptr_nonnull(strstr(f.error.text, "newer version of vr-server"));
    ck_assert_ptr_nonnull(strstr(f.error.text, "log.0000000000000001"));
    fixture_free(&f);
}
END_TEST

START_TEST(a_truncated_log_is_refused_with_advice)
{
    fixture_init(&f, 18);
    start_log(&f);
    append_some(&f, 3);
    end_process(&f);
    for (uint32_t i = 0; i < SIM_DISK_NODES_MAX; i++) {
        if (f.disk.nodes[i].used && f.disk.nodes[i].now.size == SEGMENT_SIZE) {
            f.disk.nodes[i].now.size = SEGMENT_SIZE - 100;
        }
    }
    ck_assert_int_eq(read_log(&f), -EBADMSG);
    ck_assert_ptr_nonnull(strstr(f.error.text, "--durability memory"));
    struct wal_options o = wal_test_options();
    o.refuse_truncated = false; /* D6: the others have it all */
    log_reset(&f.read, f.memory[1]);
    ck_assert_int_eq(wal_read(&f.wal, &f.ops, &o, &f.read, &f.spare, &f.found, &f.error), 0);
    fixture_free(&f);
}
END_TEST

/* The advice helps: what has been replaced since is not missed for ever. */
START_TEST(a_log_that_did_without_a_truncated_file_starts)
{
    fixture_init(&f, 18);
    start_log(&f);
    append_some(&f, 100);
    end_process(&f);
    sim_disk_cut(&f.disk, SEGMENT_1, WAL_SEGMENT_HEADER_SIZE + 2000);
    ck_assert_int_eq(read_log(&f), -EBADMSG);
    struct wal_options o = wal_test_options();
    o.refuse_truncated = false;
    log_reset(&f.read, f.memory[1]);
    ck_assert_int_eq(wal_read(&f.wal, &f.ops, &o, &f.read, &f.spare, &f.found, &f.error), 0);
    ck_assert_int_ne(f.found.condition, WAL_INTACT);
    ck_assert_int_eq(wal_start(&f.wal, 77, &f.error), 0);
    ck_assert_int_eq(replace_suffix(&f, f.found.held_op, 100), 0);
    end_process(&f);
    start_log(&f);
    expect_all(&f);
    fixture_free(&f);
}
END_TEST

START_TEST(a_log_larger_than_memory_is_refused_with_advice)
{
    fixture_init(&f, 19);
    start_log(&f);
    append_some(&f, 20);
    end_process(&f);
    const struct wal_options o = wal_test_options();
    vr_log_init(&f.read, f.memory[1], 2000, CLUSTER, 0, entry_chain_start(CLUSTER));
    ck_assert_int_eq(wal_read(&f.wal, &f.ops, &o, &f.read, &f.spare, &f.found, &f.error), -ENOBUFS);
    ck_assert_ptr_nonnull(strstr(f.error.text, "--log-memory-max"));
    fixture_free(&f);
}
END_TEST

/* --- the queue between core and log --- */

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
    return ((const struct fixture *)context)->commit_number;
}

/* Cuts, appends and slow consumers in any order: what is reported is on the disk, in the end it is
 * all there, and at each moment one of the logs that the core had since the last report. */
START_TEST(what_the_queue_reports_is_on_the_disk)
{
    struct log_queue queue;
    fixture_init(&f, (uint64_t)_i + 2000);
    start_log(&f);
    const struct log_store_client client = {
        .context = &f, .entry = queue_entry, .chain = queue_chain, .commit = queue_commit};
    ck_assert_int_eq(log_queue_init(&queue, &client, LOG_QUEUE_SIZE_MIN, &f.found), 0);
    /* So little room that hardly anything is copied in one go. */
    queue.capacity = prng_between(&f.prng, 2048, 8192) / 64 * 64;
    uint64_t generation = 1;
    uint64_t written_op = 0;
    for (int step = 0; step < 200; step++) {
        uint64_t cut_to = written_op;
        if (prng_chance(&f.prng, 1, 5) && f.log.op_number > 0) {
            cut_to = prng_below(&f.prng, f.log.op_number + 1);
            vr_log_cut(&f.log, cut_to);
            generation++;
            cut_to = cut_to < written_op ? cut_to : written_op;
        }
        for (uint64_t i = prng_below(&f.prng, 12); i > 0; i--) {
            log_add(&f, &f.log);
        }
        log_queue_write(&queue, &(struct log_write){.generation = generation,
                                                    .cut_to = cut_to,
                                                    .first_op = cut_to + 1,
                                                    .last_op = f.log.op_number});
        written_op = f.log.op_number;
        for (uint64_t i = prng_below(&f.prng, 3); i > 0; i--) {
            struct log_queue_half *half = log_queue_take(&queue);
            if (half == NULL) {
                break;
            }
            ck_assert_int_eq(log_queue_append(half, &f.wal, NULL, NULL, &f.error), 0);
            const struct log_report report = half->report;
            log_queue_release(&queue, half);
            log_queue_copy(&queue);
            if (report.any && report.generation == generation) {
                ck_assert_uint_ge(f.wal.head.op_number, report.op_number);
                ck_assert(!f.wal.group.active || f.wal.head.op_number == report.op_number);
            }
        }
    }
    for (bool more = true; more;) {
        struct log_queue_half *half = log_queue_take(&queue);
        more = half != NULL || !log_queue_is_complete(&queue);
        if (half != NULL) {
            ck_assert_int_eq(log_queue_append(half, &f.wal, NULL, NULL, &f.error), 0);
            log_queue_release(&queue, half);
        }
        log_queue_copy(&queue);
    }
    log_queue_destroy(&queue);
    end_process(&f);
    start_log(&f);
    expect_all(&f);
    fixture_free(&f);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("wal");
    TCase *tests = tcase_create("wal");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, an_empty_log_is_intact);
    tcase_add_test(tests, entries_come_back_over_many_segments);
    tcase_add_test(tests, the_commit_number_comes_back);
    tcase_add_test(tests, a_replacement_counts_as_one);
    tcase_add_test(tests, the_bytes_of_a_log_stay_what_they_are);
    tcase_add_test(tests, a_torn_tail_is_cut_and_said);
    tcase_add_test(tests, a_bad_body_at_the_end_is_an_entry_this_replica_had);
    tcase_add_test(tests, a_write_that_was_cut_short_is_told_from_damage);
    tcase_add_test(tests, a_second_write_that_was_cut_short_is_no_damage);
    tcase_add_test(tests, damage_before_a_whole_record_is_no_torn_tail);
    tcase_add_test(tests, a_missing_segment_is_damage);
    tcase_add_test(tests, a_damaged_cut_leaves_no_known_log);
    tcase_add_test(tests, a_replacement_heals_what_it_replaces);
    tcase_add_test(tests, a_batch_torn_around_the_end_of_a_replacement_is_known);
    tcase_add_test(tests, every_flipped_byte_is_noticed_or_harmless);
    tcase_add_test(tests, a_last_segment_without_its_header_is_no_empty_one);
    tcase_add_test(tests, a_torn_tail_behind_a_bad_header_is_a_loss);
    tcase_add_test(tests, a_header_alone_is_no_loss_but_damage);
    tcase_add_test(tests, a_missing_last_segment_is_missed);
    tcase_add_test(tests, a_clean_end_is_found_again_or_missed);
    tcase_add_test(tests, what_a_start_has_renewed_is_never_torn);
    tcase_add_test(tests, records_say_what_was_durable_before_them);
    tcase_add_test(tests, damage_to_what_was_durable_is_told_from_a_batch_cut_short);
    tcase_add_test(tests, the_commit_number_is_known_beyond_what_is_held);
    tcase_add_loop_test(tests, a_power_cut_anywhere_loses_nothing_durable, 0, 400);
    tcase_add_test(tests, a_killed_process_loses_nothing_flushed);
    tcase_add_test(tests, a_failed_sync_is_final_and_nothing_read_is_believed);
    tcase_add_test(tests, a_failed_write_is_final);
    tcase_add_test(tests, a_full_disk_is_noticed_before_the_log_is_full);
    tcase_add_test(tests, a_segment_that_cannot_be_made_costs_nothing);
    tcase_add_test(tests, a_write_without_room_takes_nothing_along);
    tcase_add_test(tests, a_start_on_a_full_disk_works);
    tcase_add_test(tests, a_foreign_log_is_refused);
    tcase_add_test(tests, a_log_of_a_newer_format_is_refused);
    tcase_add_test(tests, a_truncated_log_is_refused_with_advice);
    tcase_add_test(tests, a_log_that_did_without_a_truncated_file_starts);
    tcase_add_test(tests, damage_before_a_sync_is_told_from_a_torn_batch);
    tcase_add_test(tests, a_log_larger_than_memory_is_refused_with_advice);
    tcase_add_loop_test(tests, what_the_queue_reports_is_on_the_disk, 0, 100);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
