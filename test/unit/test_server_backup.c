/* SPDX-License-Identifier: Apache-2.0 */
/* A new cluster from a backup: the same checkpoint on every replica, whose first start is an
 * ordinary one; what is damaged, or does not fit, is refused. And the source that backups come
 * from. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/error_id.h"
#include "common/os/clock.h"
#include "common/wire/kv_codec.h"
#include "server/app/kv.h"
#include "server/runtime/backup_source.h"
#include "server/runtime/checkpoint_load.h"
#include "server/runtime/restore_steps.h"
#include "server/runtime/server_backup.h"
#include "server/runtime/server_checkpoint.h"
#include "server/storage/checkpoint_writer.h"

enum {
    OPS = 300,
    VALUE_SIZE = 900, /* several chunks in all */
    PATH_SIZE = 512,
};
#define OLD_CLUSTER UINT64_C(0xaa11)
#define NEW_CLUSTER UINT64_C(0xbb22)

/* --- a cluster's state --- */

static char directory[64];
static struct file_ops ops;
static char backup_path[PATH_SIZE];

static struct configuration configuration_of(uint64_t cluster_id, uint32_t member_count)
{
    struct configuration c = {
        .cluster_id = cluster_id,
        .epoch = EPOCH_FIRST,
        .member_count = member_count,
        .parameters = cluster_parameters_default(),
    };
    for (uint32_t i = 0; i < member_count; i++) {
        c.members[i] = (struct member){.replica_id = i,
                                       .role = MEMBER_ACTIVE,
                                       .host = "127.0.0.1",
                                       .port = (uint16_t)(8000 + i),
                                       .peer_port = (uint16_t)(8100 + i)};
    }
    return c;
}

struct state {
    struct kv *kv;
    struct app app;
    void *memory;
    struct executor *executor;
};

static void state_open(struct state *s, const struct configuration *c)
{
    s->kv = kv_create();
    s->app = kv_app(s->kv);
    s->memory = calloc(1, executor_memory_size(&c->parameters));
    ck_assert_ptr_nonnull(s->memory);
    s->executor = executor_init(s->memory, &(struct executor_options){.parameters = c->parameters,
                                                                      .app = &s->app,
                                                                      .hash_seed = 3,
                                                                      .configuration = c});
}

static void state_close(struct state *s)
{
    free(s->memory);
    kv_destroy(s->kv);
}

static void execute(struct state *s, const struct entry *entry)
{
    static uint8_t bytes[8192];
    struct reply reply;
    executor_execute(s->executor, bytes, entry_encode(entry, bytes), &reply);
    ck_assert_int_eq((int)reply.status, REPLY_OK);
}

/* A session, then keys. */
static void fill(struct state *s)
{
    static uint8_t operation[4096];
    static uint8_t value[VALUE_SIZE];
    struct entry entry = {.op_number = 1,
                          .view_number = view_make(EPOCH_FIRST, 4),
                          .timestamp = 1000,
                          .client_id = {1, 2},
                          .kind = ENTRY_REGISTER};
    execute(s, &entry);
    entry.kind = ENTRY_OPERATION;
    entry.session = 1;
    for (uint64_t op = 2; op <= OPS; op++) {
        char key[16];
        memset(value, (int)('a' + op % 26), sizeof value);
        const int key_size = snprintf(key, sizeof key, "key%d", (int)op);
        const struct kv_operation set = {.kind = KV_SET,
                                         .key = {(const uint8_t *)key, (size_t)key_size},
                                         .value = {value, sizeof value}};
        entry.op_number = op;
        entry.timestamp = 1000 * op;
        entry.request_number = op;
        entry.body = operation;
        entry.body_size = (uint32_t)kv_operation_encode(&set, operation);
        execute(s, &entry);
    }
}

static void write_backup(struct state *s, const char *path)
{
    struct checkpoint_writer writer;
    struct storage_error error;
    static uint8_t slice[CHECKPOINT_CHUNK_SIZE];
    char name[CHECKPOINT_NAME_SIZE];
    char from[PATH_SIZE];
    struct checkpoint_id id = {.op_number = OPS,
                               .view_number = view_make(EPOCH_FIRST, 4),
                               .log = {5, 6},
                               .digest = executor_digest(s->executor)};
    ck_assert_int_eq(checkpoint_writer_begin(&writer, &ops, directory, OLD_CLUSTER, &error), 0);
    executor_cut_begin(s->executor);
    for (bool more = true; more;) {
        size_t size;
        more = executor_cut(s->executor, slice, sizeof slice, &size);
        ck_assert_int_eq(checkpoint_writer_append(&writer, slice, size, &error), 0);
    }
    ck_assert_int_eq(checkpoint_writer_finish(&writer, &id, &error), 0);
    checkpoint_writer_abandon(&writer);
    checkpoint_file_name(OPS, name);
    (void)snprintf(from, sizeof from, "%s/%s", directory, name);
    ck_assert_int_eq(rename(from, path), 0);
}

static void remove_tree(void)
{
    char command[PATH_SIZE];
    (void)snprintf(command, sizeof command, "rm -rf %s", directory);
    ck_assert_int_eq(system(command), 0);
}

static void setup(void)
{
    (void)snprintf(directory, sizeof directory, "/tmp/vr-backup-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(directory));
    ops = file_ops_posix();
    (void)snprintf(backup_path, sizeof backup_path, "%s/monday.vrb", directory);
    struct state s;
    const struct configuration c = configuration_of(OLD_CLUSTER, 5);
    state_open(&s, &c);
    fill(&s);
    write_backup(&s, backup_path);
    state_close(&s);
}

/* --- restoring --- */

/* As init does it, into `name` below the directory. */
static enum vr_server_exit restore(const char *name, const struct configuration *c,
                                   struct durable_state *durable, struct vr_server_error *error)
{
    struct kv *kv = kv_create();
    const struct app app = kv_app(kv);
    struct server_backup backup;
    char path[PATH_SIZE];
    (void)snprintf(path, sizeof path, "%s/%s", directory, name);
    durable_state_init(durable, c, 0, 77);
    enum vr_server_exit result = server_backup_load(&backup, backup_path, &app, error);
    if (result == VR_SERVER_OK) {
        result = server_backup_allow(&backup, c, error);
    }
    if (result == VR_SERVER_OK) {
        ck_assert_int_eq(mkdir(path, 0700), 0);
        result = server_backup_write(&backup, &ops, path, durable, error);
    }
    kv_destroy(kv);
    return result;
}

START_TEST(all_replicas_begin_with_the_same_bytes)
{
    const struct configuration c = configuration_of(NEW_CLUSTER, 3);
    struct durable_state first;
    struct durable_state second;
    struct vr_server_error error;
    ck_assert_int_eq(restore("a", &c, &first, &error), VR_SERVER_OK);
    ck_assert_int_eq(restore("b", &c, &second, &error), VR_SERVER_OK);
    ck_assert_uint_eq(first.checkpoint.op, OPS);
    ck_assert(checksum_equal(first.checkpoint.checksum, second.checkpoint.checksum));

    const struct configuration other = configuration_of(NEW_CLUSTER + 1, 3);
    ck_assert_int_eq(restore("c", &other, &second, &error), VR_SERVER_OK);
    ck_assert(!checksum_equal(first.checkpoint.checksum, second.checkpoint.checksum));
}
END_TEST

/* What the new cluster starts from: the old one's keys, nobody's session, view 0, its own chain. */
START_TEST(a_start_loads_it)
{
    const struct configuration c = configuration_of(NEW_CLUSTER, 3);
    struct durable_state durable;
    struct vr_server_error error;
    struct server_checkpoint base;
    struct state s;
    char path[PATH_SIZE];
    (void)snprintf(path, sizeof path, "%s/a", directory);
    ck_assert_int_eq(restore("a", &c, &durable, &error), VR_SERVER_OK);
    state_open(&s, &c);
    ck_assert_int_eq(
        server_checkpoint_load(&base, &ops, path, &durable, DURABILITY_ASYNC, s.executor, &error),
        VR_SERVER_OK);
    ck_assert(!base.lost);
    ck_assert_uint_eq(base.id.op_number, OPS);
    ck_assert_uint_eq(base.id.view_number, view_make(EPOCH_FIRST, 0));
    ck_assert(checksum_equal(base.id.log, entry_chain_start(NEW_CLUSTER)));
    ck_assert_uint_eq(base.timestamp, 1000 * OPS);
    ck_assert_uint_eq(kv_key_count(s.kv), OPS - 1);
    ck_assert_uint_eq(executor_session_count(s.executor), 0);
    ck_assert_uint_eq(executor_evicted_count(s.executor), 0);
    state_close(&s);
}
END_TEST

/* It would begin without, and the group with nothing. */
START_TEST(the_first_start_is_not_in_memory)
{
    const struct configuration c = configuration_of(NEW_CLUSTER, 3);
    struct durable_state durable;
    struct vr_server_error error;
    ck_assert_int_eq(restore("a", &c, &durable, &error), VR_SERVER_OK);
    ck_assert_int_eq(server_checkpoint_allow("a", &durable, DURABILITY_MEMORY, &error),
                     VR_SERVER_CONFIGURATION);
    ck_assert_int_eq(server_checkpoint_allow("a", &durable, DURABILITY_SYNC, &error), VR_SERVER_OK);
    durable.incarnation = 1; /* later ones recover */
    ck_assert_int_eq(server_checkpoint_allow("a", &durable, DURABILITY_MEMORY, &error),
                     VR_SERVER_OK);
}
END_TEST

/* Nobody has promised anything yet: it is not a replica that lost its memory, but no replica. */
START_TEST(a_first_start_without_it_is_refused)
{
    const struct configuration c = configuration_of(NEW_CLUSTER, 3);
    struct durable_state durable;
    struct vr_server_error error;
    struct server_checkpoint base;
    struct storage_error why;
    struct state s;
    char path[PATH_SIZE];
    (void)snprintf(path, sizeof path, "%s/a", directory);
    ck_assert_int_eq(restore("a", &c, &durable, &error), VR_SERVER_OK);
    ck_assert_int_eq(checkpoint_remove(&ops, path, OPS, &why), 0);
    state_open(&s, &c);
    ck_assert_int_eq(
        server_checkpoint_load(&base, &ops, path, &durable, DURABILITY_ASYNC, s.executor, &error),
        VR_SERVER_IO);
    ck_assert_ptr_nonnull(strstr(error.text, "--from-backup again"));
    state_close(&s);
}
END_TEST

/* --- refusals --- */

static enum vr_server_exit load_only(struct vr_server_error *error)
{
    struct kv *kv = kv_create();
    const struct app app = kv_app(kv);
    struct server_backup backup;
    const enum vr_server_exit result = server_backup_load(&backup, backup_path, &app, error);
    kv_destroy(kv);
    return result;
}

/* Wherever a byte is wrong it is seen: header, content, list. */
START_TEST(damage_is_refused)
{
    struct vr_server_error error;
    struct stat about;
    FILE *file = fopen(backup_path, "r+b");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(fstat(fileno(file), &about), 0);
    ck_assert_int_gt(about.st_size, 3 * CHECKPOINT_CHUNK_SIZE);
    const long places[] = {0,
                           8,
                           20,
                           100,
                           4000,
                           4096,
                           70000,
                           CHECKPOINT_HEADER_SIZE + 2 * CHECKPOINT_CHUNK_SIZE,
                           (long)about.st_size - 60,
                           (long)about.st_size - 1};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        ck_assert_int_eq(fseek(file, places[i], SEEK_SET), 0);
        const int was = fgetc(file);
        ck_assert_int_eq(fseek(file, places[i], SEEK_SET), 0);
        (void)fputc(was ^ 0x10, file);
        (void)fflush(file);
        ck_assert_msg(load_only(&error) == VR_SERVER_IO, "byte %ld: %s", places[i], error.text);
        ck_assert_str_eq(error.id, error_entry(ERROR_BACKUP_UNREADABLE)->id);
        ck_assert_int_eq(fseek(file, places[i], SEEK_SET), 0);
        (void)fputc(was, file);
        (void)fflush(file);
    }
    ck_assert_int_eq(load_only(&error), VR_SERVER_OK);
    ck_assert_int_eq(ftruncate(fileno(file), about.st_size - 1), 0);
    ck_assert_int_eq(load_only(&error), VR_SERVER_IO);
    ck_assert_int_eq(ftruncate(fileno(file), 10), 0);
    ck_assert_int_eq(load_only(&error), VR_SERVER_IO);
    ck_assert_ptr_nonnull(strstr(error.text, "is no backup"));
    (void)fclose(file);
    ck_assert_int_eq(unlink(backup_path), 0);
    ck_assert_int_eq(load_only(&error), VR_SERVER_IO);
    ck_assert_int_eq(mkfifo(backup_path, 0600), 0); /* does not wait for somebody to write */
    ck_assert_int_eq(load_only(&error), VR_SERVER_IO);
}
END_TEST

START_TEST(a_read_only_file_will_do)
{
    struct vr_server_error error;
    ck_assert_int_eq(chmod(backup_path, 0400), 0);
    ck_assert_int_eq(load_only(&error), VR_SERVER_OK);
}
END_TEST

START_TEST(what_does_not_fit_is_refused)
{
    struct durable_state durable;
    struct vr_server_error error;
    struct configuration c = configuration_of(OLD_CLUSTER, 3);
    ck_assert_int_eq(restore("a", &c, &durable, &error), VR_SERVER_CONFIGURATION);
    ck_assert_ptr_nonnull(strstr(error.text, "always a new cluster"));
    c = configuration_of(NEW_CLUSTER, 3);
    c.parameters.state_size_max = OPS * VALUE_SIZE / 2;
    ck_assert_int_eq(restore("a", &c, &durable, &error), VR_SERVER_CONFIGURATION);
    ck_assert_ptr_nonnull(strstr(error.text, "--state-size-max"));
    c.parameters.state_size_max = OPS * VALUE_SIZE * 2;
    c.parameters.sessions_max = 7; /* others are the new cluster's own */
    ck_assert_int_eq(restore("a", &c, &durable, &error), VR_SERVER_OK);
}
END_TEST

/* --- what is printed --- */

START_TEST(directories_are_numbered)
{
    char text[64];
    restore_steps_directory(text, sizeof text, "/var/lib/viewstamp/0", 0, 2);
    ck_assert_str_eq(text, "/var/lib/viewstamp/2");
    restore_steps_directory(text, sizeof text, "replica-10/", 10, 3);
    ck_assert_str_eq(text, "replica-3");
    restore_steps_directory(text, sizeof text, "/data10", 0, 3); /* not this replica's number */
    ck_assert_str_eq(text, "/data10");
    restore_steps_directory(text, sizeof text, "/data", 0, 3);
    ck_assert_str_eq(text, "/data");
}
END_TEST

START_TEST(words_are_quoted_for_a_shell)
{
    char text[64];
    restore_steps_quote(text, sizeof text, "/a/b.vrb");
    ck_assert_str_eq(text, "/a/b.vrb");
    restore_steps_quote(text, sizeof text, "it's a file");
    ck_assert_str_eq(text, "'it'\\''s a file'");
    restore_steps_quote(text, sizeof text, "");
    ck_assert_str_eq(text, "''");
}
END_TEST

/* --- the source of backups --- */

struct source_fixture {
    struct backup_source source;
    int woken;
    int unused;
    struct backup_offer offer;
};

static void count_wake(void *context)
{
    ((struct source_fixture *)context)->woken++;
}

static void count_unused(void *context)
{
    ((struct source_fixture *)context)->unused++;
}

static void source_open(struct source_fixture *f)
{
    *f = (struct source_fixture){.woken = 0};
    f->source.ops = &ops;
    f->source.cluster_id = OLD_CLUSTER;
    f->source.replica_id = 2;
    f->source.wake = count_wake;
    f->source.unused = count_unused;
    f->source.context = f;
    ck_assert_int_eq(backup_source_init(&f->source, directory), 0);
}

static enum backup_outcome ask(struct source_fixture *f, uint64_t least_op, uint64_t now_ns)
{
    const struct backup_request request = {.nonce = 9, .least_op = least_op};
    const struct backup_state state = {.in_service = true, .executed_op = 100};
    backup_source_offer(&f->source, &request, &state, now_ns, &f->offer);
    ck_assert_uint_eq(f->offer.nonce, 9);
    return f->offer.outcome;
}

static struct checkpoint_id id_at(uint64_t op_number)
{
    return (struct checkpoint_id){
        .op_number = op_number, .view_number = 1, .size = 1, .root = {op_number, 1}};
}

static void make(struct source_fixture *f, uint64_t op_number)
{
    const struct checkpoint_id id = id_at(op_number);
    ck_assert(backup_source_wants(&f->source, op_number));
    backup_source_begun(&f->source);
    ck_assert(!backup_source_wants(&f->source, op_number));
    backup_source_taken(&f->source, &id);
}

START_TEST(a_backup_holds_what_was_asked_for)
{
    struct source_fixture f;
    source_open(&f);
    const uint64_t now_ns = clock_monotonic_ns();
    ck_assert_int_eq((int)ask(&f, 50, now_ns), BACKUP_TAKING);
    ck_assert_int_eq(f.woken, 1);
    ck_assert(!backup_source_wants(&f.source, 49)); /* not there yet */
    ck_assert_int_eq((int)ask(&f, 60, now_ns), BACKUP_TAKING);
    ck_assert_int_eq(f.woken, 1);
    make(&f, 50);
    ck_assert_int_eq((int)ask(&f, 50, now_ns), BACKUP_READY);
    ck_assert_uint_eq(f.offer.id.op_number, 50);
    ck_assert_int_eq((int)ask(&f, 60, now_ns), BACKUP_TAKING); /* the other one is in use */
    ck_assert(!backup_source_wants(&f.source, 60));
    const uint64_t later_ns =
        clock_monotonic_ns() + (BACKUP_IN_USE_MS + 1) * NANOSECONDS_PER_MILLISECOND;
    ck_assert_int_eq((int)ask(&f, 60, later_ns), BACKUP_TAKING);
    make(&f, 60);
    ck_assert_int_eq((int)ask(&f, 60, later_ns), BACKUP_READY);
    backup_source_destroy(&f.source);
}
END_TEST

START_TEST(nobody_asks_any_more)
{
    struct source_fixture f;
    source_open(&f);
    uint64_t now_ns = clock_monotonic_ns();
    ck_assert_int_eq((int)ask(&f, 50, now_ns), BACKUP_TAKING);
    backup_source_tick(&f.source, now_ns);
    ck_assert(backup_source_wants(&f.source, 50));
    now_ns += (BACKUP_WANTED_MS + 1) * NANOSECONDS_PER_MILLISECOND;
    backup_source_tick(&f.source, now_ns);
    ck_assert(!backup_source_wants(&f.source, 50));
    ck_assert_int_eq(f.unused, 1); /* what it would have replaced may go, too */
    ck_assert_int_eq((int)ask(&f, 50, now_ns), BACKUP_TAKING);
    make(&f, 50);
    backup_source_tick(&f.source, clock_monotonic_ns());
    ck_assert_int_eq(f.unused, 1);
    now_ns = clock_monotonic_ns() + (BACKUP_KEPT_MS + 1) * NANOSECONDS_PER_MILLISECOND;
    backup_source_tick(&f.source, now_ns);
    backup_source_tick(&f.source, now_ns);
    ck_assert_int_eq(f.unused, 2);
    backup_source_destroy(&f.source);
}
END_TEST

START_TEST(a_failure_is_told_and_can_be_tried_again)
{
    struct source_fixture f;
    source_open(&f);
    const uint64_t now_ns = clock_monotonic_ns();
    ck_assert_int_eq((int)ask(&f, 50, now_ns), BACKUP_TAKING);
    backup_source_begun(&f.source);
    backup_source_taken(&f.source, NULL);
    ck_assert_int_eq((int)ask(&f, 50, now_ns), BACKUP_FAILED);
    ck_assert_int_eq((int)ask(&f, 50, now_ns), BACKUP_TAKING);
    ck_assert_int_eq(f.woken, 2);
    backup_source_destroy(&f.source);
}
END_TEST

START_TEST(who_has_nothing_says_so)
{
    struct source_fixture f;
    source_open(&f);
    const struct backup_request request = {.nonce = 1};
    struct backup_state state = {.in_service = true};
    backup_source_offer(&f.source, &request, &state, 1, &f.offer);
    ck_assert_int_eq((int)f.offer.outcome, BACKUP_EMPTY);
    state = (struct backup_state){.in_service = false, .executed_op = 9};
    backup_source_offer(&f.source, &request, &state, 1, &f.offer);
    ck_assert_int_eq((int)f.offer.outcome, BACKUP_NOT_NORMAL);
    ck_assert_int_eq(f.woken, 0);
    backup_source_destroy(&f.source);
}
END_TEST

/* However many ask however often. */
START_TEST(chunks_are_rationed)
{
    struct source_fixture f;
    source_open(&f);
    const uint64_t now_ns = clock_monotonic_ns();
    int allowed = 0;
    for (int i = 0; i < 1000; i++) {
        allowed += backup_source_allow(&f.source, now_ns) ? 1 : 0;
    }
    ck_assert_int_eq(allowed, BACKUP_CHUNKS_BURST);
    ck_assert(backup_source_allow(&f.source,
                                  now_ns + NANOSECONDS_PER_SECOND / BACKUP_CHUNKS_PER_SECOND + 1));
    backup_source_destroy(&f.source);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("server_backup");
    TCase *tcase = tcase_create("server_backup");
    tcase_set_timeout(tcase, 120);
    tcase_add_checked_fixture(tcase, setup, remove_tree);
    tcase_add_test(tcase, all_replicas_begin_with_the_same_bytes);
    tcase_add_test(tcase, a_start_loads_it);
    tcase_add_test(tcase, the_first_start_is_not_in_memory);
    tcase_add_test(tcase, a_first_start_without_it_is_refused);
    tcase_add_test(tcase, damage_is_refused);
    tcase_add_test(tcase, a_read_only_file_will_do);
    tcase_add_test(tcase, what_does_not_fit_is_refused);
    tcase_add_test(tcase, directories_are_numbered);
    tcase_add_test(tcase, words_are_quoted_for_a_shell);
    tcase_add_test(tcase, a_backup_holds_what_was_asked_for);
    tcase_add_test(tcase, nobody_asks_any_more);
    tcase_add_test(tcase, a_failure_is_told_and_can_be_tried_again);
    tcase_add_test(tcase, who_has_nothing_says_so);
    tcase_add_test(tcase, chunks_are_rationed);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
