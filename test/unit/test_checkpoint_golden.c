/* SPDX-License-Identifier: Apache-2.0 */
/* The format of checkpoint and backup files is a promise (docs/formats.md): these are its bytes, of
 * the file around a state, and of a small state in it, as writing them makes them. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/wire/kv_codec.h"
#include "server/app/kv.h"
#include "server/executor/executor.h"
#include "server/storage/checkpoint_reader.h"
#include "server/storage/checkpoint_writer.h"
#include "test/support/sim_disk.h"

#define DIRECTORY "data"

/* The 112 bytes of a header that are not zero always; then, the zeros left out, list or content
 * and list. */
static const uint8_t golden_file[] = {
#include "test/unit/golden/checkpoint_file.inc"
};
static const uint8_t golden_state[] = {
#include "test/unit/golden/checkpoint_state.inc"
};

enum {
    FIELDS_SIZE = 112,
    TAIL_SIZE = 1000, /* of the last chunk */
    FILE_CONTENT_SIZE = CHECKPOINT_CHUNK_SIZE + TAIL_SIZE,
    STATE_SIZE = sizeof golden_state - FIELDS_SIZE - CHECKPOINT_CHECKSUM_SIZE,
};

static const uint64_t cluster = UINT64_C(0x1122334455667788);

struct fixture {
    struct sim_disk disk;
    struct file_ops ops;
    struct storage_error error;
};

static struct fixture *fixture_create(void)
{
    struct fixture *f = calloc(1, sizeof *f);
    ck_assert_ptr_nonnull(f);
    sim_disk_init(&f->disk, 1);
    f->ops = sim_disk_ops(&f->disk);
    ck_assert_int_eq(f->ops.create_directory(&f->disk, DIRECTORY), 0);
    return f;
}

static void fixture_destroy(struct fixture *f)
{
    sim_disk_free(&f->disk);
    free(f);
}

static struct checkpoint_id id_of(uint64_t op_number, struct checksum digest)
{
    return (struct checkpoint_id){
        .op_number = op_number,
        .view_number = view_make(EPOCH_FIRST, 5),
        .log = {0xaaaaaaaaaaaaaaaa, 0xbbbbbbbbbbbbbbbb},
        .digest = digest,
    };
}

/* The file that writing `content` makes. */
static const uint8_t *write_file(struct fixture *f, struct checkpoint_id *id,
                                 const uint8_t *content, size_t size)
{
    char path[sizeof DIRECTORY + CHECKPOINT_NAME_SIZE] = DIRECTORY "/";
    struct checkpoint_writer writer;
    size_t file_size;
    ck_assert_int_eq(checkpoint_writer_begin(&writer, &f->ops, DIRECTORY, cluster, &f->error), 0);
    ck_assert_int_eq(checkpoint_writer_append(&writer, content, size, &f->error), 0);
    ck_assert_int_eq(checkpoint_writer_finish(&writer, id, &f->error), 0);
    checkpoint_writer_abandon(&writer);
    checkpoint_file_name(id->op_number, path + sizeof DIRECTORY);
    const uint8_t *file = sim_disk_bytes(&f->disk, path, &file_size);
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(file_size, checkpoint_file_size(size));
    return file;
}

static void expect_header(const uint8_t *file, const uint8_t *golden)
{
    static const uint8_t zeros[CHECKPOINT_HEADER_SIZE - FIELDS_SIZE];
    ck_assert_mem_eq(file, golden, FIELDS_SIZE);
    ck_assert_mem_eq(file + FIELDS_SIZE, zeros, sizeof zeros);
}

/* Two chunks, the second one short; byte i of the content is i mod 251. */
START_TEST(the_bytes_around_a_state_stay_what_they_are)
{
    static uint8_t content[FILE_CONTENT_SIZE];
    struct fixture *f = fixture_create();
    struct checkpoint_id id =
        id_of(0x63, (struct checksum){0xcccccccccccccccc, 0xdddddddddddddddd});
    for (size_t i = 0; i < sizeof content; i++) {
        content[i] = (uint8_t)(i % 251);
    }
    ck_assert_uint_eq(sizeof golden_file, FIELDS_SIZE + 2 * CHECKPOINT_CHECKSUM_SIZE);
    const uint8_t *file = write_file(f, &id, content, sizeof content);
    expect_header(file, golden_file);
    ck_assert_mem_eq(file + CHECKPOINT_HEADER_SIZE, content, sizeof content);
    ck_assert_mem_eq(file + CHECKPOINT_HEADER_SIZE + sizeof content, golden_file + FIELDS_SIZE,
                     2 * CHECKPOINT_CHECKSUM_SIZE);
    fixture_destroy(f);
}
END_TEST

/* --- a state --- */

struct replica {
    struct kv *kv;
    struct app app;
    struct configuration configuration;
    void *memory;
    struct executor *executor;
};

static void replica_new(struct replica *r)
{
    r->kv = kv_create();
    r->app = kv_app(r->kv);
    r->configuration = (struct configuration){
        .cluster_id = cluster,
        .epoch = EPOCH_FIRST,
        .member_count = 1,
        .parameters = cluster_parameters_default(),
    };
    r->configuration.members[0] = (struct member){
        .role = MEMBER_ACTIVE, .host = "127.0.0.1", .port = 8000, .peer_port = 8100};
    const struct executor_options options = {
        .parameters = r->configuration.parameters,
        .app = &r->app,
        .hash_seed = 1,
        .configuration = &r->configuration,
    };
    r->memory = calloc(1, executor_memory_size(&options.parameters));
    ck_assert_ptr_nonnull(r->memory);
    r->executor = executor_init(r->memory, &options);
}

static void replica_free(struct replica *r)
{
    free(r->memory);
    kv_destroy(r->kv);
}

static void execute(struct replica *r, struct entry entry, const struct kv_operation *operation)
{
    uint8_t body[64];
    uint8_t bytes[ENTRY_HEADER_SIZE + sizeof body];
    struct reply reply;
    entry.op_number = executor_executed_op(r->executor) + 1;
    entry.view_number = view_make(EPOCH_FIRST, 5);
    entry.timestamp = UINT64_C(1767225600000000000) + entry.op_number;
    if (operation != NULL) {
        entry.body = body;
        entry.body_size = (uint32_t)kv_operation_encode(operation, body);
    }
    executor_execute(r->executor, bytes, entry_encode(&entry, bytes), &reply);
}

static struct kv_bytes text(const char *bytes)
{
    return (struct kv_bytes){(const uint8_t *)bytes, strlen(bytes)};
}

/* One session that has done something, and one that has not; two pairs, one without a value. */
static void fill(struct replica *r)
{
    const struct client_id alice = {3, 4};
    const struct client_id bob = {5, 6};
    const struct kv_operation set = {.kind = KV_SET, .key = text("empty"), .value = text("")};
    const struct kv_operation incr = {.kind = KV_INCR, .key = text("count"), .by = 41};
    execute(r, (struct entry){.kind = ENTRY_REGISTER, .client_id = alice}, NULL);
    execute(r, (struct entry){.kind = ENTRY_REGISTER, .client_id = bob}, NULL);
    execute(r,
            (struct entry){
                .kind = ENTRY_OPERATION, .client_id = alice, .session = 1, .request_number = 1},
            &set);
    execute(r,
            (struct entry){
                .kind = ENTRY_OPERATION, .client_id = alice, .session = 1, .request_number = 2},
            &incr);
}

static size_t cut(struct replica *r, uint8_t *out, size_t capacity)
{
    size_t done = 0;
    size_t size;
    bool more;
    executor_cut_begin(r->executor);
    do {
        more = executor_cut(r->executor, out + done, capacity - done, &size);
        done += size;
    } while (more);
    return done;
}

START_TEST(the_bytes_of_a_state_stay_what_they_are)
{
    static uint8_t content[4096];
    struct fixture *f = fixture_create();
    struct replica r;
    replica_new(&r);
    fill(&r);
    const size_t size = cut(&r, content, sizeof content);
    struct checkpoint_id id = id_of(4, executor_digest(r.executor));
    const uint8_t *file = write_file(f, &id, content, size);
    ck_assert_uint_eq(size, STATE_SIZE);
    expect_header(file, golden_state);
    ck_assert_mem_eq(file + CHECKPOINT_HEADER_SIZE, golden_state + FIELDS_SIZE,
                     STATE_SIZE + CHECKPOINT_CHECKSUM_SIZE);
    replica_free(&r);
    fixture_destroy(f);
}
END_TEST

/* A file of the format as it is here is read by whatever version this is. */
START_TEST(the_bytes_of_a_state_are_read)
{
    static uint8_t chunk[CHECKPOINT_CHUNK_SIZE];
    static const uint8_t zeros[CHECKPOINT_HEADER_SIZE - FIELDS_SIZE];
    const char *path = DIRECTORY "/checkpoint.0000000000000004";
    struct fixture *f = fixture_create();
    const int file = f->ops.open(&f->disk, path, true);
    ck_assert_int_ge(file, 0);
    ck_assert_int_eq(f->ops.write(&f->disk, file, 0, golden_state, FIELDS_SIZE), 0);
    ck_assert_int_eq(f->ops.write(&f->disk, file, FIELDS_SIZE, zeros, sizeof zeros), 0);
    ck_assert_int_eq(f->ops.write(&f->disk, file, CHECKPOINT_HEADER_SIZE,
                                  golden_state + FIELDS_SIZE,
                                  STATE_SIZE + CHECKPOINT_CHECKSUM_SIZE),
                     0);
    f->ops.close(&f->disk, file);

    struct checkpoint_reader reader;
    ck_assert_int_eq(checkpoint_reader_open(&reader, &f->ops, DIRECTORY, cluster, 4, &f->error), 0);
    const int size = checkpoint_reader_chunk(&reader, 0, chunk, &f->error);
    ck_assert_int_eq(size, STATE_SIZE);
    struct replica r;
    struct replica expected;
    replica_new(&r);
    replica_new(&expected);
    fill(&expected);
    executor_load_begin(r.executor);
    ck_assert(executor_load(r.executor, chunk, (size_t)size));
    ck_assert(executor_load_end(r.executor));
    ck_assert_uint_eq(executor_executed_op(r.executor), 4);
    ck_assert_uint_eq(executor_session_count(r.executor), 2);
    ck_assert(checksum_equal(executor_digest(r.executor), executor_digest(expected.executor)));
    ck_assert(checksum_equal(executor_digest(r.executor), reader.id.digest));
    checkpoint_reader_close(&reader);
    replica_free(&r);
    replica_free(&expected);
    fixture_destroy(f);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("checkpoint_golden");
    TCase *tests = tcase_create("bytes");
    tcase_add_test(tests, the_bytes_around_a_state_stay_what_they_are);
    tcase_add_test(tests, the_bytes_of_a_state_stay_what_they_are);
    tcase_add_test(tests, the_bytes_of_a_state_are_read);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
