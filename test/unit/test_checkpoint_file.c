/* SPDX-License-Identifier: Apache-2.0 */
/* Checkpoint files on a disk that forgets and rots: a name `checkpoint.OP` stands over a whole
 * checkpoint or is known to be damaged, whenever the machine stops (K1, K3, G4; PS-3, PS-6). */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "common/base/bytes.h"
#include "server/storage/checkpoint_reader.h"
#include "server/storage/checkpoint_receiver.h"
#include "server/storage/checkpoint_writer.h"
#include "test/support/sim_disk.h"

#define DIRECTORY "data"
#define FILE_7 DIRECTORY "/checkpoint.0000000000000007"
#define FILE_PULL DIRECTORY "/checkpoint.pull"

enum {
    CLUSTER = 0x7f3a91c2,
    CONTENT_SIZE = 3 * CHECKPOINT_CHUNK_SIZE + 1234,
    CHUNKS = 4,
};

struct fixture {
    struct sim_disk disk;
    struct file_ops ops;
    struct storage_error error;
    struct prng prng;
    uint8_t content[CONTENT_SIZE];
    uint8_t chunk[CHECKPOINT_CHUNK_SIZE];
};

static struct fixture *fixture_create(uint64_t seed)
{
    struct fixture *f = calloc(1, sizeof *f);
    ck_assert_ptr_nonnull(f);
    sim_disk_init(&f->disk, seed);
    f->ops = sim_disk_ops(&f->disk);
    prng_seed(&f->prng, seed);
    for (size_t i = 0; i < sizeof f->content; i++) {
        f->content[i] = (uint8_t)prng_below(&f->prng, 256);
    }
    ck_assert_int_eq(f->ops.create_directory(&f->disk, DIRECTORY), 0);
    ck_assert_int_eq(f->ops.sync_directory(&f->disk, "."), 0);
    f->disk.calls = 0;
    return f;
}

static void fixture_destroy(struct fixture *f)
{
    sim_disk_free(&f->disk);
    free(f);
}

static struct checkpoint_id unnamed(uint64_t op_number)
{
    return (struct checkpoint_id){
        .op_number = op_number,
        .view_number = view_make(EPOCH_FIRST, 3),
        .log = {11, 12},
        .digest = {13, 14},
    };
}

/* Writes `size` bytes of the content, in pieces of any size. */
static int write_checkpoint(struct fixture *f, size_t size, struct checkpoint_id *id)
{
    struct checkpoint_writer writer;
    size_t done = 0;
    int status = checkpoint_writer_begin(&writer, &f->ops, DIRECTORY, CLUSTER, &f->error);
    if (status != 0) {
        return status; /* and the writer holds nothing that a sanitizer could call lost */
    }
    while (status == 0 && done < size) {
        const size_t most = 1 + (size_t)prng_below(&f->prng, 100000);
        const size_t part = most < size - done ? most : size - done;
        status = checkpoint_writer_append(&writer, f->content + done, part, &f->error);
        done += part;
    }
    status = status == 0 ? checkpoint_writer_finish(&writer, id, &f->error) : status;
    checkpoint_writer_abandon(&writer);
    return status;
}

/* 0 if checkpoint `op_number` is there, whole, and has this content. */
static int read_checkpoint(struct fixture *f, uint64_t op_number, size_t size)
{
    struct checkpoint_reader reader;
    int status = checkpoint_reader_open(&reader, &f->ops, DIRECTORY, CLUSTER, op_number, &f->error);
    if (status != 0) {
        return status;
    }
    ck_assert_uint_eq(reader.id.size, size);
    for (uint64_t i = 0; status >= 0 && i < checkpoint_chunk_count(size); i++) {
        status = checkpoint_reader_chunk(&reader, i, f->chunk, &f->error);
        ck_assert(status < 0 ||
                  memcmp(f->chunk, f->content + i * CHECKPOINT_CHUNK_SIZE, (size_t)status) == 0);
    }
    checkpoint_reader_close(&reader);
    return status < 0 ? status : 0;
}

/* --- written and read --- */

START_TEST(what_was_written_is_read_whatever_its_size)
{
    static const size_t sizes[] = {1, CHECKPOINT_CHUNK_SIZE - 1, CHECKPOINT_CHUNK_SIZE,
                                   CHECKPOINT_CHUNK_SIZE + 1, CONTENT_SIZE};
    struct fixture *f = fixture_create(1);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct checkpoint_id id = unnamed(100 + i);
        ck_assert_int_eq(write_checkpoint(f, sizes[i], &id), 0);
        ck_assert_int_eq(read_checkpoint(f, 100 + i, sizes[i]), 0);
    }
    uint64_t ops[3];
    uint32_t count;
    ck_assert_int_eq(checkpoint_list_ops(&f->ops, DIRECTORY, ops, 3, &count, &f->error), 0);
    ck_assert_uint_eq(count, 3);
    ck_assert(ops[0] == 104 && ops[1] == 103 && ops[2] == 102);
    ck_assert_int_eq(checkpoint_remove(&f->ops, DIRECTORY, 104, &f->error), 0);
    ck_assert_int_eq(checkpoint_remove(&f->ops, DIRECTORY, 104, &f->error), 0);
    ck_assert_int_eq(read_checkpoint(f, 104, CONTENT_SIZE), -ENOENT);
    fixture_destroy(f);
}
END_TEST

/* Replicas that agree name the same bytes alike, whatever pieces they came in; any difference of
 * what is named is another name. */
START_TEST(the_root_names_content_and_place)
{
    struct fixture *f = fixture_create(2);
    struct checkpoint_id a = unnamed(7);
    struct checkpoint_id b = unnamed(7);
    struct checkpoint_id c = unnamed(8);
    ck_assert_int_eq(write_checkpoint(f, CONTENT_SIZE, &a), 0);
    ck_assert_int_eq(write_checkpoint(f, CONTENT_SIZE, &b), 0);
    ck_assert(checkpoint_id_equal(&a, &b));
    ck_assert_int_eq(write_checkpoint(f, CONTENT_SIZE, &c), 0);
    ck_assert(!checksum_equal(a.root, c.root));
    c = unnamed(7);
    c.digest.low++;
    ck_assert_int_eq(write_checkpoint(f, CONTENT_SIZE, &c), 0);
    ck_assert(!checksum_equal(a.root, c.root));
    f->content[CONTENT_SIZE - 1] ^= 1;
    c = unnamed(7);
    ck_assert_int_eq(write_checkpoint(f, CONTENT_SIZE, &c), 0);
    ck_assert(!checksum_equal(a.root, c.root));
    fixture_destroy(f);
}
END_TEST

START_TEST(any_byte_that_rots_is_noticed)
{
    struct fixture *f = fixture_create(3);
    struct checkpoint_id id = unnamed(7);
    ck_assert_int_eq(write_checkpoint(f, CONTENT_SIZE, &id), 0);
    size_t size;
    ck_assert_ptr_nonnull(sim_disk_bytes(&f->disk, FILE_7, &size));
    ck_assert_uint_eq(size, checkpoint_file_size(CONTENT_SIZE));
    for (int i = 0; i < 400; i++) {
        /* Half of them in the header and the list, which are small. */
        const uint64_t list_at = checkpoint_list_offset(CONTENT_SIZE);
        const size_t at = i % 4 == 0   ? (size_t)prng_below(&f->prng, CHECKPOINT_HEADER_SIZE)
                          : i % 4 == 1 ? (size_t)(list_at + prng_below(&f->prng, size - list_at))
                                       : (size_t)prng_below(&f->prng, size);
        sim_disk_rot(&f->disk, FILE_7, at, 1);
        ck_assert_msg(read_checkpoint(f, 7, CONTENT_SIZE) == -EBADMSG, "byte %zu", at);
        sim_disk_rot(&f->disk, FILE_7, at, 1);
    }
    ck_assert_int_eq(read_checkpoint(f, 7, CONTENT_SIZE), 0);
    fixture_destroy(f);
}
END_TEST

/* K3: the one before takes its place. An error that goes away is none. */
START_TEST(any_sector_that_cannot_be_read_is_damage)
{
    struct fixture *f = fixture_create(3);
    struct checkpoint_id id = unnamed(7);
    ck_assert_int_eq(write_checkpoint(f, CONTENT_SIZE, &id), 0);
    const uint64_t before = f->disk.reads;
    ck_assert_int_eq(read_checkpoint(f, 7, CONTENT_SIZE), 0);
    const uint64_t reads = f->disk.reads - before;
    ck_assert_uint_eq(reads, CHUNKS + 2);
    for (uint64_t i = 1; i <= reads; i++) {
        f->disk.read_fail_at = f->disk.reads + i;
        ck_assert_int_eq(read_checkpoint(f, 7, CONTENT_SIZE), 0);
    }
    const size_t size = checkpoint_file_size(CONTENT_SIZE);
    uint8_t *whole = malloc(size);
    size_t there;
    ck_assert_ptr_nonnull(whole);
    memcpy(whole, sim_disk_bytes(&f->disk, FILE_7, &there), size);
    const int file = f->ops.open(&f->disk, FILE_7, false);
    for (size_t at = 0; at < size; at += 7 * SIM_DISK_SECTOR_SIZE) {
        char place[32];
        sim_disk_wear(&f->disk, FILE_7, at, 1);
        ck_assert_msg(read_checkpoint(f, 7, CONTENT_SIZE) == -EBADMSG, "byte %zu", at);
        ck_assert_msg(strstr(f->error.text, "cannot read") != NULL, "%s", f->error.text);
        (void)snprintf(place, sizeof place, "byte %zu", at / 4096 * 4096);
        ck_assert_msg(at >= checkpoint_list_offset(CONTENT_SIZE) - 4096 ||
                          strstr(f->error.text, place) != NULL,
                      "%s", f->error.text);
        ck_assert_int_eq(f->ops.write(&f->disk, file, 0, whole, size), 0); /* heals it */
    }
    free(whole);
    f->ops.close(&f->disk, file);
    ck_assert_int_eq(read_checkpoint(f, 7, CONTENT_SIZE), 0);
    fixture_destroy(f);
}
END_TEST

START_TEST(another_cluster_and_another_name_are_told_apart)
{
    struct fixture *f = fixture_create(4);
    struct checkpoint_reader reader;
    struct checkpoint_id id = unnamed(7);
    uint8_t header[CHECKPOINT_HEADER_SIZE];
    ck_assert_int_eq(write_checkpoint(f, CONTENT_SIZE, &id), 0);
    ck_assert_int_eq(checkpoint_reader_open(&reader, &f->ops, DIRECTORY, CLUSTER + 1, 7, &f->error),
                     -EINVAL);
    ck_assert_int_eq(f->ops.rename(&f->disk, FILE_7, DIRECTORY "/checkpoint.0000000000000008"), 0);
    ck_assert_int_eq(read_checkpoint(f, 8, CONTENT_SIZE), -EBADMSG);
    ck_assert_uint_eq(checkpoint_file_op("checkpoint.0000000000000008"), 8);
    ck_assert_uint_eq(checkpoint_file_op("checkpoint.000000000000000A"), 0);
    ck_assert_uint_eq(checkpoint_file_op("checkpoint.00000000000000008"), 0);
    ck_assert_uint_eq(checkpoint_file_op("checkpoint.new"), 0);
    ck_assert_uint_eq(checkpoint_file_op("log.0000000000000008"), 0);

    checkpoint_header_encode(&id, CLUSTER, header);
    ck_assert_int_eq(checkpoint_header_decode(header, CLUSTER, &id), CHECKPOINT_VALID);
    header[200] = 1; /* what is zero today is covered, too */
    ck_assert_int_eq(checkpoint_header_decode(header, CLUSTER, &id), CHECKPOINT_DAMAGED);
    fixture_destroy(f);
}
END_TEST

/* As a later version would write it: the format is another one, the seal right (docs/formats.md).
 */
START_TEST(a_newer_format_is_refused)
{
    enum { FORMAT = 8, SEAL = 96 };
    struct fixture *f = fixture_create(5);
    struct checkpoint_reader reader;
    struct checkpoint_id id = unnamed(7);
    size_t size;
    ck_assert_int_eq(write_checkpoint(f, CONTENT_SIZE, &id), 0);
    uint8_t *bytes = sim_disk_bytes(&f->disk, FILE_7, &size);
    bytes_put_u32(bytes + FORMAT, CHECKPOINT_FORMAT + 1);
    const XXH128_hash_t hash = XXH3_128bits(bytes, SEAL);
    bytes_put_u64(bytes + SEAL, hash.low64);
    bytes_put_u64(bytes + SEAL + 8, hash.high64);
    ck_assert_int_eq(checkpoint_reader_open(&reader, &f->ops, DIRECTORY, CLUSTER, 7, &f->error),
                     -EPROTO);
    ck_assert_ptr_nonnull(strstr(f->error.text, "newer version of vr-server"));
    fixture_destroy(f);
}
END_TEST

/* --- crashes --- */

/* The machine stops at every call of writing the second checkpoint: the first is still there, and
 * the second is whole or has no name. */
START_TEST(a_power_cut_anywhere_leaves_the_one_before)
{
    uint64_t calls = UINT64_MAX;
    for (uint64_t cut = 1; cut < calls; cut++) {
        struct fixture *f = fixture_create(cut);
        struct checkpoint_id id = unnamed(7);
        ck_assert_int_eq(write_checkpoint(f, 5000, &id), 0);
        f->disk.power_cut_at = f->disk.calls + cut;
        id = unnamed(9);
        const int status = write_checkpoint(f, CONTENT_SIZE, &id);
        calls = status == 0 ? cut : calls;
        sim_disk_power_cut(&f->disk);
        ck_assert_int_eq(read_checkpoint(f, 7, 5000), 0);
        const int second = read_checkpoint(f, 9, CONTENT_SIZE);
        ck_assert(status == 0 ? second == 0 : second == 0 || second == -ENOENT);
        fixture_destroy(f);
    }
    ck_assert_uint_gt(calls, 5);
}
END_TEST

/* Each call fails once: that checkpoint is given up, its file is gone, the next one succeeds. */
START_TEST(an_error_anywhere_costs_one_checkpoint)
{
    static const int errors[] = {-EIO, -ENOSPC};
    for (size_t e = 0; e < 2; e++) {
        bool failed = true;
        for (uint64_t at = 1; failed; at++) {
            struct fixture *f = fixture_create(at);
            struct checkpoint_id id = unnamed(9);
            f->disk.fail_at = f->disk.calls + at;
            f->disk.fail_status = errors[e];
            failed = write_checkpoint(f, CONTENT_SIZE, &id) != 0;
            ck_assert(!failed || f->error.text[0] != '\0');
            f->disk.fail_at = 0;
            id = unnamed(9);
            ck_assert_int_eq(write_checkpoint(f, CONTENT_SIZE, &id), 0);
            sim_disk_power_cut(&f->disk);
            ck_assert_int_eq(read_checkpoint(f, 9, CONTENT_SIZE), 0);
            fixture_destroy(f);
        }
    }
}
END_TEST

/* --- received --- */

/* Takes list and chunks, in random order, out of a checkpoint that another directory has. */
static int receive(struct fixture *f, const struct checkpoint_id *id, const uint8_t *list,
                   uint64_t chunks_at_most)
{
    struct checkpoint_receiver receiver;
    int status = checkpoint_receiver_begin(&receiver, &f->ops, DIRECTORY, CLUSTER, id, &f->error);
    if (status != 0) {
        return status;
    }
    const size_t list_size = CHUNKS * CHECKPOINT_CHECKSUM_SIZE;
    for (size_t at = 0; status == 0 && at < list_size; at += CHECKPOINT_CHECKSUM_SIZE) {
        status =
            checkpoint_receiver_list(&receiver, at, list + at, CHECKPOINT_CHECKSUM_SIZE, &f->error);
    }
    while (status == 0 && receiver.received_count < CHUNKS && chunks_at_most-- > 0) {
        const uint64_t from = prng_below(&f->prng, CHUNKS);
        uint64_t index = checkpoint_receiver_missing(&receiver, from);
        index = index < CHUNKS ? index : checkpoint_receiver_missing(&receiver, 0);
        status =
            checkpoint_receiver_chunk(&receiver, index, f->content + index * CHECKPOINT_CHUNK_SIZE,
                                      checkpoint_chunk_size(CONTENT_SIZE, index), &f->error);
    }
    if (status == 0 && receiver.received_count == CHUNKS) {
        status = checkpoint_receiver_finish(&receiver, &f->error);
    } else if (status == 0) {
        status = -EAGAIN;
    }
    checkpoint_receiver_close(&receiver);
    return status;
}

/* The id and the list of a checkpoint as another replica has it. */
static void foreign_checkpoint(struct fixture *f, struct checkpoint_id *id,
                               uint8_t list[CHUNKS * CHECKPOINT_CHECKSUM_SIZE])
{
    struct checkpoint_reader reader;
    *id = unnamed(7);
    ck_assert_int_eq(write_checkpoint(f, CONTENT_SIZE, id), 0);
    ck_assert_int_eq(checkpoint_reader_open(&reader, &f->ops, DIRECTORY, CLUSTER, 7, &f->error), 0);
    memcpy(list, reader.list, CHUNKS * CHECKPOINT_CHECKSUM_SIZE);
    checkpoint_reader_close(&reader);
    ck_assert_int_eq(checkpoint_remove(&f->ops, DIRECTORY, 7, &f->error), 0);
    ck_assert_int_eq(f->ops.sync_directory(&f->disk, DIRECTORY), 0);
}

START_TEST(a_transfer_goes_on_where_it_was_interrupted)
{
    uint8_t list[CHUNKS * CHECKPOINT_CHECKSUM_SIZE];
    struct fixture *f = fixture_create(5);
    struct checkpoint_id id;
    struct checkpoint_receiver receiver;
    foreign_checkpoint(f, &id, list);
    ck_assert_int_eq(receive(f, &id, list, 2), -EAGAIN);
    sim_disk_process_killed(&f->disk);
    ck_assert_int_eq(
        checkpoint_receiver_begin(&receiver, &f->ops, DIRECTORY, CLUSTER, &id, &f->error), 0);
    ck_assert(checkpoint_receiver_has_list(&receiver));
    ck_assert_uint_eq(receiver.received_count, 2);
    checkpoint_receiver_close(&receiver);
    ck_assert_int_eq(read_checkpoint(f, 7, CONTENT_SIZE), -ENOENT);
    ck_assert_int_eq(receive(f, &id, list, UINT64_MAX), 0);
    sim_disk_power_cut(&f->disk);
    ck_assert_int_eq(read_checkpoint(f, 7, CONTENT_SIZE), 0);
    fixture_destroy(f);
}
END_TEST

START_TEST(what_was_pulled_of_another_checkpoint_is_thrown_away)
{
    uint8_t list[CHUNKS * CHECKPOINT_CHECKSUM_SIZE];
    struct fixture *f = fixture_create(6);
    struct checkpoint_id id;
    struct checkpoint_receiver receiver;
    foreign_checkpoint(f, &id, list);
    ck_assert_int_eq(receive(f, &id, list, 2), -EAGAIN);
    struct checkpoint_id other = id;
    other.op_number = 8;
    other.root = checkpoint_root(&other, list);
    ck_assert_int_eq(
        checkpoint_receiver_begin(&receiver, &f->ops, DIRECTORY, CLUSTER, &other, &f->error), 0);
    ck_assert(!checkpoint_receiver_has_list(&receiver));
    checkpoint_receiver_close(&receiver);
    fixture_destroy(f);
}
END_TEST

START_TEST(wrong_bytes_are_refused_and_change_nothing)
{
    uint8_t list[CHUNKS * CHECKPOINT_CHECKSUM_SIZE];
    struct fixture *f = fixture_create(7);
    struct checkpoint_id id;
    struct checkpoint_receiver r;
    foreign_checkpoint(f, &id, list);
    ck_assert_int_eq(checkpoint_receiver_begin(&r, &f->ops, DIRECTORY, CLUSTER, &id, &f->error), 0);
    list[3] ^= 1;
    ck_assert_int_eq(checkpoint_receiver_list(&r, 0, list, sizeof list, &f->error), -EBADMSG);
    ck_assert(!checkpoint_receiver_has_list(&r));
    list[3] ^= 1;
    ck_assert_int_eq(checkpoint_receiver_list(&r, 16, list, 16, &f->error), 0); /* not the next */
    ck_assert_int_eq(checkpoint_receiver_list(&r, 0, list, 16, &f->error), 0);
    ck_assert_int_eq(checkpoint_receiver_list(&r, 16, list, sizeof list, &f->error), -EBADMSG);
    ck_assert_int_eq(checkpoint_receiver_list(&r, 16, list + 16, sizeof list - 16, &f->error), 0);
    ck_assert(checkpoint_receiver_has_list(&r));

    const size_t whole = CHECKPOINT_CHUNK_SIZE;
    ck_assert_int_eq(checkpoint_receiver_chunk(&r, 0, f->content + 1, whole, &f->error), -EBADMSG);
    ck_assert_int_eq(checkpoint_receiver_chunk(&r, 0, f->content, whole - 1, &f->error), -EBADMSG);
    ck_assert_int_eq(checkpoint_receiver_chunk(&r, 1, f->content, whole, &f->error), -EBADMSG);
    ck_assert_int_eq(checkpoint_receiver_chunk(&r, CHUNKS, f->content, whole, &f->error), -EBADMSG);
    ck_assert_int_eq(checkpoint_receiver_chunk(&r, UINT64_MAX, f->content, 0, &f->error), -EBADMSG);
    ck_assert_uint_eq(r.received_count, 0);
    ck_assert_int_eq(checkpoint_receiver_chunk(&r, 0, f->content, whole, &f->error), 0);
    ck_assert_int_eq(checkpoint_receiver_chunk(&r, 0, f->content, whole, &f->error), 0);
    ck_assert_uint_eq(r.received_count, 1);
    ck_assert_uint_eq(checkpoint_receiver_missing(&r, 0), 1);
    checkpoint_receiver_close(&r);
    fixture_destroy(f);
}
END_TEST

/* Power cuts and errors at every call of two attempts: in the end it is whole, or not there. */
START_TEST(a_transfer_survives_a_power_cut_and_an_error_anywhere)
{
    for (uint64_t round = 0; round < 2; round++) {
        bool disturbed = true;
        for (uint64_t at = 1; disturbed; at++) {
            uint8_t list[CHUNKS * CHECKPOINT_CHECKSUM_SIZE];
            struct fixture *f = fixture_create(at);
            struct checkpoint_id id;
            foreign_checkpoint(f, &id, list);
            if (round == 0) {
                f->disk.power_cut_at = f->disk.calls + at;
            } else {
                f->disk.fail_at = f->disk.calls + at;
                f->disk.fail_status = -EIO;
            }
            disturbed = receive(f, &id, list, UINT64_MAX) != 0;
            f->disk.fail_at = 0;
            if (round == 0) {
                sim_disk_power_cut(&f->disk);
            }
            const int now = read_checkpoint(f, 7, CONTENT_SIZE);
            ck_assert(now == 0 || (disturbed && now == -ENOENT));
            if (disturbed) {
                /* Nobody said that it is durable, so it does not count, though it may be seen. */
                ck_assert_int_eq(checkpoint_remove(&f->ops, DIRECTORY, 7, &f->error), 0);
                ck_assert_int_eq(receive(f, &id, list, UINT64_MAX), 0);
            }
            sim_disk_power_cut(&f->disk);
            ck_assert_int_eq(read_checkpoint(f, 7, CONTENT_SIZE), 0);
            fixture_destroy(f);
        }
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("checkpoint_file");
    TCase *written = tcase_create("written");
    tcase_add_test(written, what_was_written_is_read_whatever_its_size);
    tcase_add_test(written, the_root_names_content_and_place);
    tcase_add_test(written, any_byte_that_rots_is_noticed);
    tcase_add_test(written, any_sector_that_cannot_be_read_is_damage);
    tcase_add_test(written, another_cluster_and_another_name_are_told_apart);
    tcase_add_test(written, a_newer_format_is_refused);
    suite_add_tcase(suite, written);
    TCase *crashes = tcase_create("crashes");
    tcase_add_test(crashes, a_power_cut_anywhere_leaves_the_one_before);
    tcase_add_test(crashes, an_error_anywhere_costs_one_checkpoint);
    suite_add_tcase(suite, crashes);
    TCase *received = tcase_create("received");
    tcase_add_test(received, a_transfer_goes_on_where_it_was_interrupted);
    tcase_add_test(received, what_was_pulled_of_another_checkpoint_is_thrown_away);
    tcase_add_test(received, wrong_bytes_are_refused_and_change_nothing);
    tcase_add_test(received, a_transfer_survives_a_power_cut_and_an_error_anywhere);
    suite_add_tcase(suite, received);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
