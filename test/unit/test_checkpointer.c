/* SPDX-License-Identifier: Apache-2.0 */
/* The thread with the checkpoints (K1, G4): what it tells of is there; a disk without room costs
 * one checkpoint; what one replica serves another one stages and installs; every bound holds. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/os/clock.h"
#include "server/runtime/checkpointer.h"
#include "test/support/sim_disk.h"

#define DIRECTORY "data"

enum { CLUSTER = 99, CHUNKS = 4, LAST_SIZE = 1000, PATIENCE_MS = 20000 };

struct side {
    struct sim_disk disk;
    struct file_ops ops;
    struct checkpointer checkpointer;
    atomic_uint posted;
    atomic_uint failed;
    unsigned taken; /* news */
};

static struct side *sides[2];

static void on_posted(void *context)
{
    struct side *side = context;
    atomic_fetch_add(&side->posted, 1);
}

static void on_failed(void *context, const char *text)
{
    struct side *side = context;
    ck_assert_uint_gt(strlen(text), 0);
    atomic_fetch_add(&side->failed, 1);
}

static void start_side(struct side *side)
{
    memset(&side->checkpointer, 0, sizeof side->checkpointer);
    side->checkpointer.ops = &side->ops;
    side->checkpointer.directory = DIRECTORY;
    side->checkpointer.cluster_id = CLUSTER;
    side->checkpointer.posted = on_posted;
    side->checkpointer.failed = on_failed;
    side->checkpointer.context = side;
    atomic_store(&side->posted, 0);
    side->taken = 0;
    ck_assert_int_eq(checkpointer_init(&side->checkpointer), 0);
    ck_assert_int_eq(checkpointer_start(&side->checkpointer), 0);
}

static void stop_side(struct side *side)
{
    checkpointer_stop(&side->checkpointer);
    checkpointer_destroy(&side->checkpointer);
}

static void setup(void)
{
    for (unsigned i = 0; i < 2; i++) {
        struct side *side = calloc(1, sizeof *side);
        ck_assert_ptr_nonnull(side);
        sim_disk_init(&side->disk, i + 1);
        side->ops = sim_disk_ops(&side->disk);
        ck_assert_int_eq(side->ops.create_directory(&side->disk, DIRECTORY), 0);
        start_side(side);
        sides[i] = side;
    }
}

static void teardown(void)
{
    for (unsigned i = 0; i < 2; i++) {
        stop_side(sides[i]);
        sim_disk_free(&sides[i]->disk);
        free(sides[i]);
    }
}

/* The next news, waited for. */
static struct checkpointer_news next_news(struct side *side)
{
    struct checkpointer_news news;
    for (int ms = 0; atomic_load(&side->posted) == side->taken; ms++) {
        ck_assert_int_lt(ms, PATIENCE_MS);
        clock_sleep_ns(NANOSECONDS_PER_MILLISECOND);
    }
    side->taken++;
    checkpointer_news(&side->checkpointer, &news);
    return news;
}

static bool begins(struct side *side)
{
    for (int ms = 0; ms < PATIENCE_MS; ms++) {
        if (checkpointer_begin(&side->checkpointer, false)) {
            return true;
        }
        clock_sleep_ns(NANOSECONDS_PER_MILLISECOND);
    }
    return false;
}

static enum checkpointer_room reserve(struct side *side, uint8_t **bytes)
{
    for (int ms = 0; ms < PATIENCE_MS; ms++) {
        const enum checkpointer_room room = checkpointer_reserve(&side->checkpointer, bytes);
        if (room != CHECKPOINTER_FULL) {
            return room;
        }
        clock_sleep_ns(NANOSECONDS_PER_MILLISECOND);
    }
    return CHECKPOINTER_FULL;
}

/* Cuts a checkpoint as the executor does; false once it is lost. */
static bool cut(struct side *side, uint64_t op_number)
{
    ck_assert(begins(side));
    for (uint32_t i = 0; i < CHUNKS; i++) {
        uint8_t *bytes;
        if (reserve(side, &bytes) == CHECKPOINTER_LOST) {
            return false;
        }
        memset(bytes, (int)(op_number + i), CHECKPOINT_CHUNK_SIZE);
        checkpointer_push(&side->checkpointer,
                          i + 1 < CHUNKS ? (uint32_t)CHECKPOINT_CHUNK_SIZE : LAST_SIZE);
    }
    const struct checkpoint_id id = {
        .op_number = op_number, .view_number = 5, .log = {1, 2}, .digest = {3, 4}};
    checkpointer_end(&side->checkpointer, &id);
    return true;
}

static struct checkpoint_id take(struct side *side, uint64_t op_number)
{
    ck_assert(cut(side, op_number));
    const struct checkpointer_news news = next_news(side);
    ck_assert_int_eq((int)news.kind, CHECKPOINTER_TAKEN);
    ck_assert_uint_eq(news.checkpoint.id.op_number, op_number);
    return news.checkpoint.id;
}

/* After a stop, when nobody else uses the disk. */
static uint32_t files(struct side *side, uint64_t ops[8])
{
    uint32_t count;
    struct storage_error error;
    ck_assert_int_eq(checkpoint_list_ops(&side->ops, DIRECTORY, ops, 8, &count, &error), 0);
    return count;
}

START_TEST(what_is_told_of_is_there)
{
    const struct checkpoint_id id = take(sides[0], 7);
    ck_assert_uint_eq(id.size, (CHUNKS - 1) * CHECKPOINT_CHUNK_SIZE + LAST_SIZE);
    checkpointer_stop(&sides[0]->checkpointer);
    struct checkpoint_reader reader;
    struct storage_error error;
    ck_assert_int_eq(checkpoint_reader_open(&reader, &sides[0]->ops, DIRECTORY, CLUSTER, 7, &error),
                     0);
    ck_assert(checkpoint_id_equal(&reader.id, &id));
    checkpoint_reader_close(&reader);
}
END_TEST

/* The log goes on without it, and the next interval tries again. */
START_TEST(a_full_disk_costs_one_checkpoint)
{
    sides[0]->disk.room = CHECKPOINT_CHUNK_SIZE;
    (void)cut(sides[0], 7); /* lost at a chunk, or at the end */
    ck_assert(begins(sides[0]));
    checkpointer_abandon(&sides[0]->checkpointer);
    ck_assert(begins(sides[0])); /* the thread is done with the disk */
    checkpointer_abandon(&sides[0]->checkpointer);
    ck_assert_uint_eq(atomic_load(&sides[0]->posted), 0);
    ck_assert_uint_eq(atomic_load(&sides[0]->failed), 0);
    checkpointer_stop(&sides[0]->checkpointer);
    checkpointer_destroy(&sides[0]->checkpointer);
    sides[0]->disk.room = 0;
    start_side(sides[0]);
    (void)take(sides[0], 8);
}
END_TEST

START_TEST(an_abandoned_one_leaves_nothing)
{
    uint8_t *bytes;
    uint64_t ops[8];
    ck_assert(begins(sides[0]));
    ck_assert_int_eq((int)reserve(sides[0], &bytes), CHECKPOINTER_ROOM);
    checkpointer_push(&sides[0]->checkpointer, CHECKPOINT_CHUNK_SIZE);
    ck_assert(!checkpointer_begin(&sides[0]->checkpointer, false));
    checkpointer_abandon(&sides[0]->checkpointer);
    (void)take(sides[0], 9);
    checkpointer_stop(&sides[0]->checkpointer);
    ck_assert_uint_eq(files(sides[0], ops), 1);
    ck_assert_uint_eq(ops[0], 9);
}
END_TEST

START_TEST(older_ones_are_removed)
{
    uint64_t ops[8];
    (void)take(sides[0], 7);
    (void)take(sides[0], 8);
    (void)take(sides[0], 9);
    checkpointer_drop(&sides[0]->checkpointer, 9, NULL, 0);
    (void)take(sides[0], 10); /* a drop goes before what is written */
    checkpointer_stop(&sides[0]->checkpointer);
    ck_assert_uint_eq(files(sides[0], ops), 2);
    ck_assert_uint_eq(ops[0], 10);
    ck_assert_uint_eq(ops[1], 9);
}
END_TEST

/* --- from one side to the other --- */

static struct checkpointer_news serve(const struct checkpoint_id *id, bool list, uint64_t index)
{
    checkpointer_serve(
        &sides[0]->checkpointer,
        &(struct checkpointer_serve){
            .peer = 1, .id = *id, .nonce = 6, .list = list, .first = index, .count = 1});
    const struct checkpointer_news news = next_news(sides[0]);
    ck_assert_int_eq((int)news.kind, CHECKPOINTER_SERVED);
    ck_assert_uint_eq(news.served.peer, 1);
    ck_assert_uint_eq(news.served.nonce, 6);
    ck_assert(news.served.list == list);
    ck_assert_uint_eq(news.served.index, index);
    return news;
}

static struct checkpointer_news stage(const struct checkpoint_id *id,
                                      const struct checkpointer_news *from)
{
    checkpointer_stage(&sides[1]->checkpointer, id, from->served.list, from->served.index,
                       from->served.bytes, from->served.size);
    const struct checkpointer_news news = next_news(sides[1]);
    ck_assert_int_eq((int)news.kind, CHECKPOINTER_STAGED);
    ck_assert(checksum_equal(news.staged.root, id->root));
    ck_assert_uint_eq(news.staged.index, from->served.index);
    return news;
}

static void pull(const struct checkpoint_id *id, bool list, uint64_t index, uint64_t missing)
{
    const struct checkpointer_news served = serve(id, list, index);
    const struct checkpointer_news staged = stage(id, &served);
    checkpointer_release(&sides[0]->checkpointer, served.served.slot);
    ck_assert(staged.staged.ok);
    ck_assert_uint_eq(staged.staged.missing, missing);
}

START_TEST(what_one_serves_the_other_installs)
{
    const struct checkpoint_id id = take(sides[0], 7);
    pull(&id, true, 0, 1);
    pull(&id, false, 0, 1);
    pull(&id, false, 2, 3);
    pull(&id, false, 1, 3); /* 2 is there already */
    pull(&id, false, 3, 4);
    checkpointer_install(&sides[1]->checkpointer, &id);
    const struct checkpointer_news ready = next_news(sides[1]);
    ck_assert_int_eq((int)ready.kind, CHECKPOINTER_READY);
    ck_assert(checkpoint_id_equal(&ready.checkpoint.id, &id));
    ck_assert(!checkpointer_begin(&sides[1]->checkpointer, false)); /* not while one is installed */
    checkpointer_loaded(&sides[1]->checkpointer, &id, 1234);
    const struct checkpointer_news installed = next_news(sides[1]);
    ck_assert_int_eq((int)installed.kind, CHECKPOINTER_INSTALLED);
    ck_assert_uint_eq(installed.checkpoint.timestamp, 1234);
    (void)take(sides[1], 8);
}
END_TEST

START_TEST(an_install_gives_up_what_is_written)
{
    uint8_t *bytes;
    uint64_t ops[8];
    const struct checkpoint_id id = take(sides[0], 7);
    ck_assert(begins(sides[1]));
    ck_assert_int_eq((int)reserve(sides[1], &bytes), CHECKPOINTER_ROOM);
    checkpointer_push(&sides[1]->checkpointer, CHECKPOINT_CHUNK_SIZE);
    pull(&id, true, 0, 1);
    for (uint64_t i = 0; i < CHUNKS; i++) {
        pull(&id, false, i, i + 1);
    }
    checkpointer_install(&sides[1]->checkpointer, &id);
    ck_assert_int_eq((int)next_news(sides[1]).kind, CHECKPOINTER_READY);
    ck_assert_int_eq((int)checkpointer_reserve(&sides[1]->checkpointer, &bytes), CHECKPOINTER_LOST);
    checkpointer_loaded(&sides[1]->checkpointer, &id, 1);
    ck_assert_int_eq((int)next_news(sides[1]).kind, CHECKPOINTER_INSTALLED);
    checkpointer_stop(&sides[1]->checkpointer);
    ck_assert_uint_eq(files(sides[1], ops), 1);
}
END_TEST

START_TEST(wrong_bytes_are_refused)
{
    const struct checkpoint_id id = take(sides[0], 7);
    struct checkpointer_news chunk = serve(&id, false, 1);
    ck_assert(stage(&id, &chunk).staged.lost); /* before the list */
    pull(&id, true, 0, 1);
    chunk.served.index = 2;
    ck_assert(!stage(&id, &chunk).staged.ok);
    chunk.served.index = 1;
    ck_assert(stage(&id, &chunk).staged.ok);
    checkpointer_release(&sides[0]->checkpointer, chunk.served.slot);
}
END_TEST

/* A write fails, and what was there cannot be read again: the core is told that it begins anew. */
START_TEST(what_the_disk_loses_is_told)
{
    const struct checkpoint_id id = take(sides[0], 7);
    pull(&id, true, 0, 1);
    pull(&id, false, 0, 1);
    struct sim_disk *disk = &sides[1]->disk;
    const struct checkpointer_news served = serve(&id, false, 1);
    disk->fail_at = disk->calls + 1;
    disk->fail_status = -EIO;
    const struct checkpointer_news failed = stage(&id, &served);
    ck_assert(!failed.staged.ok);
    ck_assert(failed.staged.lost);
    disk->read_fail_at = disk->reads + 1;
    const struct checkpointer_news unlisted = stage(&id, &served);
    ck_assert(!unlisted.staged.ok);
    ck_assert(unlisted.staged.lost);
    checkpointer_release(&sides[0]->checkpointer, served.served.slot);
    pull(&id, true, 0, 1);
    for (uint64_t i = 0; i < CHUNKS; i++) {
        pull(&id, false, i, i + 1);
    }
    checkpointer_install(&sides[1]->checkpointer, &id);
    ck_assert_int_eq((int)next_news(sides[1]).kind, CHECKPOINTER_READY);
}
END_TEST

/* The same with a list that can be read: what is there is passed over. */
START_TEST(what_the_disk_kept_is_passed_over)
{
    const struct checkpoint_id id = take(sides[0], 7);
    pull(&id, true, 0, 1);
    pull(&id, false, 0, 1);
    pull(&id, false, 1, 2);
    struct sim_disk *disk = &sides[1]->disk;
    const struct checkpointer_news served = serve(&id, false, 2);
    disk->fail_at = disk->calls + 1;
    disk->fail_status = -ENOSPC;
    ck_assert(stage(&id, &served).staged.lost);
    checkpointer_release(&sides[0]->checkpointer, served.served.slot);
    pull(&id, true, 0, 1);
    const struct checkpointer_news first = serve(&id, false, 0);
    const struct checkpointer_news staged = stage(&id, &first);
    checkpointer_release(&sides[0]->checkpointer, first.served.slot);
    ck_assert(staged.staged.ok);
    ck_assert_uint_ge(staged.staged.missing, 2); /* a write that fails may have been done */
}
END_TEST

/* What cannot be made durable is not waited for in silence. */
START_TEST(an_install_that_fails_is_told)
{
    const struct checkpoint_id id = take(sides[0], 7);
    pull(&id, true, 0, 1);
    for (uint64_t i = 0; i < CHUNKS; i++) {
        pull(&id, false, i, i + 1);
    }
    sides[1]->disk.fail_at = sides[1]->disk.calls + 1;
    sides[1]->disk.fail_status = -EIO;
    checkpointer_install(&sides[1]->checkpointer, &id);
    for (int ms = 0; atomic_load(&sides[1]->failed) == 0; ms++) {
        ck_assert_int_lt(ms, PATIENCE_MS);
        clock_sleep_ns(NANOSECONDS_PER_MILLISECOND);
    }
    ck_assert_uint_eq(atomic_load(&sides[1]->posted), sides[1]->taken);
}
END_TEST

/* A buffer is free again when the core has heard what became of it; until then more are refused. */
START_TEST(more_chunks_than_buffers_are_refused)
{
    const struct checkpoint_id id = take(sides[0], 7);
    const struct checkpointer_news served = serve(&id, false, 1);
    for (uint32_t i = 0; i < CHECKPOINTER_STAGE_SLOTS + 3; i++) {
        checkpointer_stage(&sides[1]->checkpointer, &id, false, i, served.served.bytes,
                           served.served.size);
    }
    for (uint32_t i = 0; i < CHECKPOINTER_STAGE_SLOTS + 3; i++) {
        ck_assert(!next_news(sides[1]).staged.ok);
    }
    pull(&id, true, 0, 1);
    ck_assert(stage(&id, &served).staged.ok);
}
END_TEST

START_TEST(a_damaged_one_is_not_served)
{
    const struct checkpoint_id id = take(sides[0], 7);
    const struct checkpoint_id other = take(sides[0], 8);
    checkpointer_stop(&sides[0]->checkpointer);
    checkpointer_destroy(&sides[0]->checkpointer);
    const int file =
        sides[0]->ops.open(&sides[0]->disk, DIRECTORY "/checkpoint.0000000000000007", false);
    ck_assert_int_ge(file, 0);
    ck_assert_int_eq(sides[0]->ops.write(&sides[0]->disk, file, CHECKPOINT_HEADER_SIZE, "x", 1), 0);
    sides[0]->ops.close(&sides[0]->disk, file);
    start_side(sides[0]);
    checkpointer_serve(
        &sides[0]->checkpointer,
        &(struct checkpointer_serve){.peer = 1, .id = id, .nonce = 6, .first = 0, .count = 4});
    const struct checkpointer_news news = next_news(sides[0]);
    ck_assert_int_eq((int)news.kind, CHECKPOINTER_UNREADABLE);
    ck_assert_uint_eq(news.unreadable_op, 7);
    (void)serve(&other, false, 0); /* the next news: nothing of the damaged one came */
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("checkpointer");
    TCase *tcase = tcase_create("checkpointer");
    tcase_set_timeout(tcase, 120);
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, what_is_told_of_is_there);
    tcase_add_test(tcase, a_full_disk_costs_one_checkpoint);
    tcase_add_test(tcase, an_abandoned_one_leaves_nothing);
    tcase_add_test(tcase, older_ones_are_removed);
    tcase_add_test(tcase, what_one_serves_the_other_installs);
    tcase_add_test(tcase, an_install_gives_up_what_is_written);
    tcase_add_test(tcase, wrong_bytes_are_refused);
    tcase_add_test(tcase, what_the_disk_loses_is_told);
    tcase_add_test(tcase, what_the_disk_kept_is_passed_over);
    tcase_add_test(tcase, an_install_that_fails_is_told);
    tcase_add_test(tcase, more_chunks_than_buffers_are_refused);
    tcase_add_test(tcase, a_damaged_one_is_not_served);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
