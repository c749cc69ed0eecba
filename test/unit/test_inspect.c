/* SPDX-License-Identifier: Apache-2.0 */
/* `vr-server inspect`: what a data directory holds is said, what is damaged is named with its
 * place, and nothing is changed. */
#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/bytes.h"
#include "common/base/error_id.h"
#include "server/runtime/inspect.h"
#include "server/storage/checkpoint_receiver.h"
#include "server/storage/checkpoint_writer.h"
#include "server/storage/state_file.h"

enum {
    CONTENT_SIZE = 3 * CHECKPOINT_CHUNK_SIZE + 1234,
    CHUNKS = 4,
    PATH_SIZE = 512,
};
#define CLUSTER UINT64_C(0x7f3a91c2)

static char directory[64];
static struct file_ops ops;
static uint8_t content[CONTENT_SIZE];
static struct storage_error why;

/* --- a data directory --- */

static struct configuration three_members(void)
{
    struct configuration c = {
        .cluster_id = CLUSTER,
        .epoch = EPOCH_FIRST,
        .member_count = 3,
        .parameters = cluster_parameters_default(),
    };
    for (uint32_t i = 0; i < c.member_count; i++) {
        c.members[i] = (struct member){.replica_id = i,
                                       .role = MEMBER_ACTIVE,
                                       .host = "127.0.0.1",
                                       .port = (uint16_t)(8000 + i),
                                       .peer_port = (uint16_t)(8100 + i)};
    }
    return c;
}

static void path_of(const char *name, char path[PATH_SIZE])
{
    (void)snprintf(path, PATH_SIZE, "%s/%s", directory, name);
}

static struct checkpoint_id write_checkpoint(uint64_t op_number, uint64_t cluster_id)
{
    struct checkpoint_writer writer;
    struct checkpoint_id id = {
        .op_number = op_number,
        .view_number = view_make(EPOCH_FIRST, 3),
        .log = {11, 12},
        .digest = {13, 14},
    };
    ck_assert_int_eq(checkpoint_writer_begin(&writer, &ops, directory, cluster_id, &why), 0);
    ck_assert_int_eq(checkpoint_writer_append(&writer, content, CONTENT_SIZE, &why), 0);
    ck_assert_int_eq(checkpoint_writer_finish(&writer, &id, &why), 0);
    checkpoint_writer_abandon(&writer);
    return id;
}

/* A state file that names `checkpoint`, as a start in mode async left it. */
static void write_state(const struct checkpoint_id *checkpoint, bool diverged)
{
    const struct configuration configuration = three_members();
    struct durable_state state;
    durable_state_init(&state, &configuration, 1, 77);
    state.incarnation = 3;
    state.durability = DURABILITY_ASYNC;
    state.diverged = diverged;
    state.checkpoint.op = checkpoint->op_number;
    state.checkpoint.checksum = checkpoint->root;
    ck_assert_int_eq(state_file_create_state(&ops, directory, &state, &why), 0);
}

static void change_byte(const char *name, uint64_t offset)
{
    char path[PATH_SIZE];
    uint8_t byte;
    path_of(name, path);
    const int file = open(path, O_RDWR);
    ck_assert_int_ge(file, 0);
    ck_assert_int_eq((int)pread(file, &byte, 1, (off_t)offset), 1);
    byte ^= 0xff;
    ck_assert_int_eq((int)pwrite(file, &byte, 1, (off_t)offset), 1);
    ck_assert_int_eq(close(file), 0);
}

static void setup(void)
{
    (void)snprintf(directory, sizeof directory, "/tmp/vr-inspect-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(directory));
    ops = file_ops_posix();
    for (size_t i = 0; i < sizeof content; i++) {
        content[i] = (uint8_t)(i * 7 + i / 253);
    }
}

static void teardown(void)
{
    DIR *entries = opendir(directory);
    ck_assert_ptr_nonnull(entries);
    for (const struct dirent *entry = readdir(entries); entry != NULL; entry = readdir(entries)) {
        char path[PATH_SIZE];
        path_of(entry->d_name, path);
        (void)unlink(path); /* not `.` and `..` */
    }
    (void)closedir(entries);
    ck_assert_int_eq(rmdir(directory), 0);
}

/* --- what is said --- */

/* For the caller to free. */
static char *inspect(bool as_json, enum vr_server_exit *result, struct vr_server_error *error)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    ck_assert_ptr_nonnull(out);
    *result = vr_server_inspect(directory, as_json, out, error);
    ck_assert_int_eq(fclose(out), 0);
    return text;
}

/* Both forms, which must agree on the end. For the caller to let go of. */
static json_t *expect(enum vr_server_exit wanted, enum error_id id, const char *said)
{
    enum vr_server_exit result;
    struct vr_server_error error = {.id = NULL};
    char *text = inspect(false, &result, &error);
    ck_assert_int_eq((int)result, (int)wanted);
    ck_assert_msg(strstr(text, said) != NULL, "%s", text);
    free(text);
    text = inspect(true, &result, &error);
    ck_assert_int_eq((int)result, (int)wanted);
    if (id != ERROR_NONE) {
        ck_assert_str_eq(error.id, error_entry(id)->id);
    }
    json_t *all = json_loads(text, 0, NULL);
    ck_assert_ptr_nonnull(all);
    free(text);
    return all;
}

static json_t *checkpoint_at(json_t *all, size_t index, size_t count)
{
    json_t *list = json_object_get(all, "checkpoints");
    ck_assert_uint_eq(json_array_size(list), count);
    return json_array_get(list, index);
}

static void check_verdict(json_t *checkpoint, uint64_t op, const char *verdict, const char *damage)
{
    ck_assert_int_eq(json_integer_value(json_object_get(checkpoint, "op")), (json_int_t)op);
    ck_assert_str_eq(json_string_value(json_object_get(checkpoint, "verdict")), verdict);
    if (damage == NULL) {
        ck_assert(json_is_null(json_object_get(checkpoint, "damage")));
    } else {
        const char *said = json_string_value(json_object_get(checkpoint, "damage"));
        ck_assert_msg(said != NULL && strstr(said, damage) != NULL, "%s", said);
    }
}

static json_int_t base_of(json_t *all)
{
    return json_integer_value(json_object_get(json_object_get(all, "log"), "checkpoint_op"));
}

START_TEST(whole_checkpoints_are_listed_newest_first)
{
    char root[40];
    (void)write_checkpoint(10, CLUSTER);
    const struct checkpoint_id named = write_checkpoint(20, CLUSTER);
    (void)write_checkpoint(30, CLUSTER); /* whole, and not named yet */
    write_state(&named, false);
    (void)snprintf(root, sizeof root, "%016llx%016llx", (unsigned long long)named.root.high,
                   (unsigned long long)named.root.low);
    json_t *all = expect(VR_SERVER_OK, ERROR_NONE, root);
    check_verdict(checkpoint_at(all, 0, 3), 30, "whole", NULL);
    json_t *second = checkpoint_at(all, 1, 3);
    check_verdict(second, 20, "whole", NULL);
    ck_assert_str_eq(json_string_value(json_object_get(second, "root")), root);
    ck_assert_int_eq(json_integer_value(json_object_get(second, "size")), CONTENT_SIZE);
    ck_assert(json_is_true(json_object_get(second, "named")));
    check_verdict(checkpoint_at(all, 2, 3), 10, "whole", NULL);
    ck_assert_int_eq(base_of(all), 20);
    ck_assert(json_is_null(json_object_get(all, "transfer")));
    ck_assert(json_is_false(json_object_get(json_object_get(all, "state"), "diverged")));
    json_decref(all);
}
END_TEST

/* A start goes back to the one before (K3). */
START_TEST(a_damaged_chunk_is_named_with_its_place)
{
    const uint64_t chunk = CHECKPOINT_HEADER_SIZE + 2 * CHECKPOINT_CHUNK_SIZE;
    char place[64];
    (void)write_checkpoint(10, CLUSTER);
    const struct checkpoint_id named = write_checkpoint(20, CLUSTER);
    write_state(&named, false);
    change_byte("checkpoint.0000000000000014", chunk + 5);
    (void)snprintf(place, sizeof place, "chunk 3 of 4, bytes %d to %d", (int)chunk,
                   (int)chunk + CHECKPOINT_CHUNK_SIZE - 1);
    json_t *all = expect(VR_SERVER_IO, ERROR_CHECKPOINT_DAMAGED, place);
    check_verdict(checkpoint_at(all, 0, 2), 20, "damaged", place);
    check_verdict(checkpoint_at(all, 1, 2), 10, "whole", NULL);
    ck_assert_int_eq(base_of(all), 10);
    json_decref(all);
    change_byte("checkpoint.0000000000000014", CHECKPOINT_HEADER_SIZE);
    all = expect(VR_SERVER_IO, ERROR_CHECKPOINT_DAMAGED, "chunk 1 of 4");
    check_verdict(checkpoint_at(all, 0, 2), 20, "damaged", "and 1 more");
    json_decref(all);
}
END_TEST

START_TEST(header_list_and_length_are_told_apart)
{
    char path[PATH_SIZE];
    (void)write_checkpoint(10, CLUSTER);
    (void)write_checkpoint(20, CLUSTER);
    const struct checkpoint_id named = write_checkpoint(30, CLUSTER);
    write_state(&named, false);
    change_byte("checkpoint.000000000000000a", 30);
    change_byte("checkpoint.0000000000000014", checkpoint_list_offset(CONTENT_SIZE) + 3);
    path_of("checkpoint.000000000000001e", path);
    ck_assert_int_eq(truncate(path, 100000), 0);
    json_t *all = expect(VR_SERVER_IO, ERROR_CHECKPOINT_DAMAGED, "damaged: its header");
    check_verdict(checkpoint_at(all, 0, 3), 30, "damaged", "it is 100000 bytes long");
    check_verdict(checkpoint_at(all, 1, 3), 20, "damaged", "list of checksums");
    json_t *third = checkpoint_at(all, 2, 3);
    check_verdict(third, 10, "damaged", "its header");
    ck_assert(json_is_null(json_object_get(third, "root")));
    ck_assert_int_eq(base_of(all), 0);
    json_decref(all);
}
END_TEST

START_TEST(a_named_checkpoint_that_is_gone_is_missed)
{
    char path[PATH_SIZE];
    (void)write_checkpoint(10, CLUSTER);
    const struct checkpoint_id named = write_checkpoint(20, CLUSTER);
    write_state(&named, false);
    path_of("checkpoint.0000000000000014", path);
    ck_assert_int_eq(unlink(path), 0);
    json_t *all = expect(VR_SERVER_IO, ERROR_CHECKPOINT_DAMAGED, "missing: the state file names");
    check_verdict(checkpoint_at(all, 0, 2), 20, "missing", "the state file names it");
    check_verdict(checkpoint_at(all, 1, 2), 10, "whole", NULL);
    ck_assert_int_eq(base_of(all), 10);
    json_decref(all);
}
END_TEST

/* Whole as it is, it is not what this replica had. */
START_TEST(another_checkpoint_in_its_place_is_damage)
{
    (void)write_checkpoint(10, CLUSTER + 1);
    struct checkpoint_id named = write_checkpoint(20, CLUSTER);
    named.root.low++;
    write_state(&named, true);
    json_t *all = expect(VR_SERVER_IO, ERROR_CHECKPOINT_DAMAGED, "diverged         yes");
    check_verdict(checkpoint_at(all, 0, 2), 20, "damaged", "another one");
    check_verdict(checkpoint_at(all, 1, 2), 10, "unusable", "another cluster");
    ck_assert(json_is_true(json_object_get(json_object_get(all, "state"), "diverged")));
    json_decref(all);
}
END_TEST

/* --- a transfer --- */

static void pull(const struct checkpoint_id *id, const uint8_t *list, uint64_t chunks)
{
    struct checkpoint_receiver receiver;
    ck_assert_int_eq(checkpoint_receiver_begin(&receiver, &ops, directory, CLUSTER, id, &why), 0);
    ck_assert_int_eq(
        checkpoint_receiver_list(&receiver, 0, list, CHUNKS * CHECKPOINT_CHECKSUM_SIZE, &why), 0);
    for (uint64_t i = 0; i < chunks; i++) {
        ck_assert_int_eq(checkpoint_receiver_chunk(&receiver, i,
                                                   content + i * CHECKPOINT_CHUNK_SIZE,
                                                   CHECKPOINT_CHUNK_SIZE, &why),
                         0);
    }
    checkpoint_receiver_close(&receiver);
}

static json_int_t chunks_there(json_t *all)
{
    return json_integer_value(json_object_get(json_object_get(all, "transfer"), "chunks_there"));
}

/* It is no damage: a transfer goes on with what is whole of it. */
START_TEST(a_transfer_says_how_far_it_is)
{
    uint8_t list[CHUNKS * CHECKPOINT_CHECKSUM_SIZE];
    for (uint64_t i = 0; i < CHUNKS; i++) {
        const struct checksum checksum = checkpoint_chunk_checksum(
            content + i * CHECKPOINT_CHUNK_SIZE, checkpoint_chunk_size(CONTENT_SIZE, i));
        bytes_put_u64(list + i * CHECKPOINT_CHECKSUM_SIZE, checksum.low);
        bytes_put_u64(list + i * CHECKPOINT_CHECKSUM_SIZE + 8, checksum.high);
    }
    struct checkpoint_id id = {.op_number = 40, .log = {1, 2}, .size = CONTENT_SIZE};
    id.root = checkpoint_root(&id, list);
    write_state(&(struct checkpoint_id){.op_number = 0}, false);
    pull(&id, list, 3);
    json_t *all = expect(VR_SERVER_OK, ERROR_NONE, "3 of 4 chunks are there, 75 %");
    json_t *transfer = json_object_get(all, "transfer");
    ck_assert_int_eq(json_integer_value(json_object_get(transfer, "op")), 40);
    ck_assert_int_eq(json_integer_value(json_object_get(transfer, "chunks")), CHUNKS);
    ck_assert_int_eq(chunks_there(all), 3);
    json_decref(all);
    change_byte("checkpoint.pull", CHECKPOINT_HEADER_SIZE + 100);
    all = expect(VR_SERVER_OK, ERROR_NONE, "2 of 4 chunks");
    json_decref(all);
    change_byte("checkpoint.pull", 3);
    all = expect(VR_SERVER_OK, ERROR_NONE, "begins anew");
    ck_assert_int_eq(chunks_there(all), 0);
    json_decref(all);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("inspect");
    TCase *checkpoints = tcase_create("checkpoints");
    tcase_add_checked_fixture(checkpoints, setup, teardown);
    tcase_add_test(checkpoints, whole_checkpoints_are_listed_newest_first);
    tcase_add_test(checkpoints, a_damaged_chunk_is_named_with_its_place);
    tcase_add_test(checkpoints, header_list_and_length_are_told_apart);
    tcase_add_test(checkpoints, a_named_checkpoint_that_is_gone_is_missed);
    tcase_add_test(checkpoints, another_checkpoint_in_its_place_is_damage);
    tcase_add_test(checkpoints, a_transfer_says_how_far_it_is);
    suite_add_tcase(suite, checkpoints);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
