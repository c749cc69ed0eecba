/* SPDX-License-Identifier: Apache-2.0 */
/* server/runtime: whole replicas in this process, on loopback, around an application that is not
 * the key-value store. */
#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "client/lib/vr/client.h"
#include "common/base/trace_event.h"
#include "common/os/clock.h"
#include "common/os/datagram_socket.h"
#include "common/os/endpoint.h"
#include "common/os/logger.h"
#include "common/os/memory.h"
#include "common/os/random.h"
#include "common/os/thread.h"
#include "common/wire/sender.h"
#include "server/runtime/server.h"
#include "server/storage/state_file.h"
#include "test/support/accounts.h"

enum {
    ACCOUNTS = 16,
    OPENING_BALANCE = 1000,
    TIMEOUT_MS = 30000, /* of one request: a slow machine is no failure */
    DEADLINE_S = 60,    /* of a condition that is waited for */
    LOG_MEMORY = 64 * 1024 * 1024,
    NODES_MAX = 3,
    PATH_SIZE = 256,
    PORT_FIRST = 10000, /* below what the kernel gives to those who do not ask for a port */
    PORT_COUNT = 20000,
};
#define CLUSTER_ID UINT64_C(0xabc123)

/* A group in this process. */

struct node {
    char directory[PATH_SIZE];
    struct accounts accounts;
    struct app app;
    struct vr_server *server; /* NULL: not running */
    uint16_t port;
    uint16_t peer_port;
};

static struct {
    char directory[PATH_SIZE];
    char cluster[NODES_MAX * ENDPOINT_TEXT_MAX];
    uint32_t count;
    struct node nodes[NODES_MAX];
} group;

/* A port that is free now, and that the kernel gives to nobody who does not ask for it: other tests
 * run beside these. Each time another one. */
static uint16_t free_port(void)
{
    static uint32_t next;
    if (next == 0) {
        next = (uint32_t)random_nonzero_u64();
    }
    for (uint32_t tries = 0; tries < PORT_COUNT; tries++) {
        struct datagram_socket sock;
        struct net_address address;
        struct endpoint_error error;
        const uint16_t port = (uint16_t)(PORT_FIRST + next++ % PORT_COUNT);
        ck_assert(endpoint_resolve("127.0.0.1", port, &address, &error));
        if (datagram_socket_open(&sock, &address, 1) == 0) {
            datagram_socket_close(&sock);
            return port;
        }
    }
    ck_abort_msg("no free port");
    return 0;
}

static void group_plan(uint32_t count)
{
    memset(&group, 0, sizeof group);
    group.count = count;
    snprintf(group.directory, sizeof group.directory, "/tmp/vr-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(group.directory));
    size_t used = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct node *node = &group.nodes[i];
        node->port = free_port();
        node->peer_port = free_port();
        used +=
            (size_t)snprintf(group.cluster + used, sizeof group.cluster - used, "%s127.0.0.1:%u:%u",
                             i == 0 ? "" : ",", (unsigned)node->port, (unsigned)node->peer_port);
        snprintf(node->directory, sizeof node->directory, "%.200s/%u", group.directory,
                 (unsigned)i);
    }
}

static uint32_t checkpoint_interval; /* of the next group; 0: as usual */

static enum vr_server_exit node_init(uint32_t index, struct vr_server_error *error)
{
    struct vr_server_init_options options = {
        .data_directory = group.nodes[index].directory,
        .cluster = group.cluster,
        .replica_id = index,
        .cluster_id = CLUSTER_ID,
        .parameters = cluster_parameters_default(),
    };
    if (checkpoint_interval > 0) {
        options.parameters.checkpoint_interval = checkpoint_interval;
    }
    return vr_server_init(&options, error);
}

static enum durability mode = DURABILITY_MEMORY; /* of the test under way, */
static bool rebuild;                             /* and whether its next start is one */
static void (*adapt)(struct app *app);           /* changes what is started next; NULL: nothing */

static enum vr_server_exit node_try_start(uint32_t index, struct vr_server_error *error)
{
    struct node *node = &group.nodes[index];
    const struct vr_server_options options = {
        .data_directory = node->directory,
        .durability = mode,
        .log_memory_max = LOG_MEMORY,
        .rebuild = rebuild,
    };
    accounts_init(&node->accounts, ACCOUNTS, OPENING_BALANCE);
    node->app = accounts_app(&node->accounts);
    if (adapt != NULL) {
        adapt(&node->app);
    }
    return vr_server_start(&options, &node->app, &node->server, error);
}

static void node_start(uint32_t index)
{
    struct vr_server_error error = {.text = ""};
    const enum vr_server_exit result = node_try_start(index, &error);
    ck_assert_msg(result == VR_SERVER_OK, "start of replica %u: %s", (unsigned)index, error.text);
}

static void node_stop(uint32_t index)
{
    ck_assert_int_eq((int)vr_server_stop(group.nodes[index].server), VR_SERVER_OK);
    group.nodes[index].server = NULL;
}

static void group_start(uint32_t count)
{
    group_plan(count);
    for (uint32_t i = 0; i < count; i++) {
        struct vr_server_error error = {.text = ""};
        ck_assert_msg(node_init(i, &error) == VR_SERVER_OK, "init: %s", error.text);
    }
    for (uint32_t i = 0; i < count; i++) {
        node_start(i);
    }
}

static void remove_directory(const char *path)
{
    char child[2 * PATH_SIZE];
    DIR *directory = opendir(path);
    struct dirent *entry;
    while (directory != NULL && (entry = readdir(directory)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            snprintf(child, sizeof child, "%s/%s", path, entry->d_name);
            (void)unlink(child);
        }
    }
    if (directory != NULL) {
        closedir(directory);
    }
    (void)rmdir(path);
}

static void group_stop(void)
{
    for (uint32_t i = 0; i < group.count; i++) {
        if (group.nodes[i].server != NULL) {
            node_stop(i);
        }
        remove_directory(group.nodes[i].directory);
    }
    remove_directory(group.directory);
}

/* Clients. */

static struct vr_client *open_client(void)
{
    struct vr_client *client;
    char message[VR_MESSAGE_MAX] = "";
    ck_assert_msg(vr_client_open(group.cluster, NULL, &client, message) == 0, "%s", message);
    return client;
}

/* Returns where it stands in the log. */
static uint64_t transfer(struct vr_session *session, uint32_t from, uint32_t to)
{
    uint8_t operation[ACCOUNTS_OPERATION_SIZE];
    struct vr_result result;
    const size_t size = accounts_transfer(operation, from, to, 1);
    (void)vr_call(session, operation, size, 0, TIMEOUT_MS, &result);
    ck_assert_msg(result.outcome == VR_OK, "transfer: %s", result.message);
    const uint64_t op_number = result.op_number;
    vr_result_free(&result);
    return op_number;
}

static uint64_t total(struct vr_session *session)
{
    uint8_t operation[ACCOUNTS_OPERATION_SIZE];
    struct vr_result result;
    struct accounts_result answer = {.number = 0};
    const size_t size = accounts_total(operation);
    (void)vr_call(session, operation, size, VR_READ, TIMEOUT_MS, &result);
    ck_assert_msg(result.outcome == VR_OK, "total: %s", result.message);
    ck_assert(accounts_result_decode(result.data, result.size, &answer));
    vr_result_free(&result);
    return answer.number;
}

/* Talking to one replica without the client library. */

struct raw {
    struct datagram_socket sock;
    struct datagram_receiver receiver;
    struct wire_sender *sender;
    void *sender_memory;
    size_t sender_size;
    struct arena arena;
    size_t sent_size; /* of the last datagram */
    struct message answer;
    struct wire_header answer_header;
    size_t answer_size;
};

static void raw_emit(void *context, const struct wire_datagram *datagrams, size_t count)
{
    struct raw *raw = context;
    for (size_t i = 0; i < count; i++) {
        const struct datagram_out out = {.address = datagrams[i].address,
                                         .bytes = datagrams[i].bytes,
                                         .size = datagrams[i].size};
        raw->sent_size = datagrams[i].size;
        datagram_send(&raw->sock, &out, 1);
    }
}

static void raw_open(struct raw *raw, uint64_t cluster_id)
{
    struct net_address address;
    struct endpoint_error error;
    struct wire_sender_options options;
    memset(raw, 0, sizeof *raw);
    ck_assert(endpoint_resolve("127.0.0.1", 0, &address, &error));
    ck_assert_int_eq(datagram_socket_open(&raw->sock, &address, 20), 0);
    ck_assert_int_eq(datagram_receiver_init(&raw->receiver), 0);
    wire_sender_options_default(&options);
    options.cluster_id = cluster_id;
    options.sender = REPLICA_NONE;
    options.incarnation = 1;
    options.datagram_size_max = DATAGRAM_SIZE_LOOPBACK;
    options.emit = raw_emit;
    options.emit_context = raw;
    raw->sender_size = wire_sender_memory_size(&options);
    raw->sender_memory = memory_reserve(raw->sender_size);
    ck_assert_ptr_nonnull(raw->sender_memory);
    raw->sender = wire_sender_init(raw->sender_memory, &options);
    const size_t arena_size = wire_arena_size(DATAGRAM_SIZE_MAX);
    arena_init(&raw->arena, memory_reserve(arena_size), arena_size);
}

static void raw_close(struct raw *raw)
{
    memory_release(raw->arena.memory, raw->arena.size);
    memory_release(raw->sender_memory, raw->sender_size);
    datagram_receiver_destroy(&raw->receiver);
    datagram_socket_close(&raw->sock);
}

static struct net_address node_address(uint32_t index)
{
    return *vr_server_address(group.nodes[index].server);
}

static void raw_send(struct raw *raw, const struct net_address *to, uint64_t token,
                     const struct message *message)
{
    const struct wire_destination destination = {
        .address = *to, .token = token, .budget = DATAGRAM_SIZE_LOOPBACK};
    wire_send(raw->sender, &destination, message, clock_monotonic_ns());
    wire_flush(raw->sender);
}

/* True if an answer came; it is then in raw->answer. */
static bool raw_receive(struct raw *raw, uint32_t attempts)
{
    for (uint32_t i = 0; i < attempts; i++) {
        if (datagram_receive(&raw->sock, &raw->receiver, UINT64_MAX) > 0) {
            const struct datagram *datagram = &raw->receiver.items[0];
            struct wire_cursor cursor;
            arena_reset(&raw->arena);
            raw->answer_size = datagram->size;
            ck_assert_int_eq((int)wire_open(datagram->bytes, datagram->size, &datagram->address,
                                            &raw->answer_header, &cursor),
                             WIRE_OK);
            ck_assert_int_eq((int)wire_next(&cursor, &raw->arena, &raw->answer), WIRE_OK);
            return true;
        }
    }
    return false;
}

static const struct status_report *raw_status(struct raw *raw, uint32_t index)
{
    const struct net_address to = node_address(index);
    const struct message request = {
        .type = MESSAGE_STATUS_REQUEST,
        .status_request = {.nonce = 77, .padding_size = STATUS_PADDING_MAX},
    };
    for (int i = 0; i < DEADLINE_S; i++) {
        raw_send(raw, &to, 0, &request);
        if (raw_receive(raw, 50) && raw->answer.type == MESSAGE_STATUS) {
            ck_assert_uint_eq(raw->answer.status->nonce, 77);
            return raw->answer.status;
        }
    }
    ck_abort_msg("replica %u says nothing", (unsigned)index);
    return NULL;
}

/* Waits until a replica is normal and has executed `op`. */
static void wait_until_executed(uint32_t index, uint64_t op)
{
    struct raw raw;
    bool done = false;
    raw_open(&raw, CLUSTER_ID);
    for (int i = 0; i < DEADLINE_S * 50 && !done; i++) {
        const struct status_report *status = raw_status(&raw, index);
        done = status->status == STATUS_NORMAL && status->executed_op >= op;
        if (!done) {
            clock_sleep_ns(20 * NANOSECONDS_PER_MILLISECOND);
        }
    }
    raw_close(&raw);
    ck_assert_msg(done, "replica %u did not come to op %llu", (unsigned)index,
                  (unsigned long long)op);
}

/* Waits until all that run are normal and have executed the same ops, `op` among them; then their
 * digests must be equal (I8). */
static void wait_until_agreed(uint64_t op)
{
    struct raw raw;
    bool level = false;
    bool equal = false;
    raw_open(&raw, CLUSTER_ID);
    for (int i = 0; i < DEADLINE_S * 50 && !level; i++) {
        uint64_t first_op = 0;
        struct checksum first = {0, 0};
        level = true;
        equal = true;
        for (uint32_t j = 0; j < group.count; j++) {
            if (group.nodes[j].server == NULL) {
                continue;
            }
            const struct status_report *status = raw_status(&raw, j);
            if (first_op == 0) {
                first_op = status->state_digest.op;
                first = status->state_digest.value;
            }
            level = level && status->status == STATUS_NORMAL && first_op >= op &&
                    status->state_digest.op == first_op;
            equal = equal && checksum_equal(status->state_digest.value, first);
        }
        if (!level) {
            clock_sleep_ns(20 * NANOSECONDS_PER_MILLISECOND);
        }
    }
    raw_close(&raw);
    ck_assert_msg(level, "the replicas did not all come to op %llu", (unsigned long long)op);
    ck_assert_msg(equal, "equal ops, different digests");
}

static uint64_t executed_op(uint32_t index)
{
    struct raw raw;
    raw_open(&raw, CLUSTER_ID);
    const uint64_t op = raw_status(&raw, index)->executed_op;
    raw_close(&raw);
    return op;
}

/* Tests. */

START_TEST(one_replica_serves)
{
    group_start(1);
    struct vr_client *client = open_client();
    struct vr_session *session = vr_session_open(client);
    for (uint32_t i = 0; i < 100; i++) {
        (void)transfer(session, i % ACCOUNTS, (i + 1) % ACCOUNTS);
    }
    ck_assert_uint_eq(total(session), ACCOUNTS * OPENING_BALANCE);
    vr_client_close(client);
    group_stop();
    ck_assert_uint_eq(group.nodes[0].accounts.transfers, 100);
    ck_assert_ptr_null(accounts_check(&group.nodes[0].accounts));
}
END_TEST

struct log_lines {
    unsigned count;
    int level_most;
    bool json;
    bool primary;
};

static void take_log_line(void *context, int level, const char *line, size_t size)
{
    struct log_lines *lines = context;
    ck_assert_uint_eq(strlen(line), size);
    lines->count++;
    lines->level_most = level > lines->level_most ? level : lines->level_most;
    lines->json = line[0] == '{' && line[size - 1] == '}';
    lines->primary = lines->primary || strstr(line, "primary of view") != NULL;
}

/* A program's own log, of the levels and in the form that it wants, as long as it wants. */
START_TEST(log_goes_where_the_program_says)
{
    struct log_lines lines = {.count = 0};
    struct vr_server_error error = {.text = ""};
    struct vr_server_log_options options = {
        .levels = "loud",
        .format = VR_SERVER_LOG_JSON,
        .write = take_log_line,
        .context = &lines,
    };
    ck_assert_int_eq((int)vr_server_log_start(&options, &error), VR_SERVER_USAGE);
    ck_assert_ptr_nonnull(strstr(error.text, "\"loud\" is no level"));
    options.levels = "info,network=debug";
    options.format = (enum vr_server_log_format)4;
    ck_assert_int_eq((int)vr_server_log_start(&options, &error), VR_SERVER_USAGE);
    options.format = VR_SERVER_LOG_JSON;
    ck_assert_int_eq((int)vr_server_log_start(&options, &error), VR_SERVER_OK);
    ck_assert_int_eq((int)vr_server_log_start(&options, &error), VR_SERVER_USAGE);
    ck_assert_ptr_nonnull(strstr(error.text, "started already"));

    group_start(1);
    struct vr_client *client = open_client();
    (void)transfer(vr_session_open(client), 0, 1);
    vr_client_close(client);
    group_stop();
    vr_server_log_stop();
    ck_assert_uint_gt(lines.count, 0);
    ck_assert(lines.json && lines.primary);
    ck_assert_int_eq(lines.level_most, VR_SERVER_LOG_DEBUG);
    vr_server_log_stop(); /* nothing is left to stop */
    ck_assert_int_eq((int)vr_server_log_start(NULL, &error), VR_SERVER_OK);
    vr_server_log_stop();
}
END_TEST

START_TEST(three_replicas_agree)
{
    mode = (enum durability)_i;
    group_start(3);
    struct vr_client *client = open_client();
    struct vr_session *session = vr_session_open(client);
    for (uint32_t i = 0; i < 200; i++) {
        (void)transfer(session, i % ACCOUNTS, (i + 3) % ACCOUNTS);
    }
    vr_client_close(client);
    wait_until_agreed(201); /* with the Register */
    group_stop();
    for (uint32_t i = 0; i < 3; i++) {
        ck_assert_uint_eq(group.nodes[i].accounts.transfers, 200);
    }
}
END_TEST

/* V1, D6: the primary leaves, the others go on; it comes back and has everything again. */
START_TEST(group_survives_its_primary_and_takes_it_back)
{
    mode = (enum durability)_i;
    group_start(3);
    struct vr_client *client = open_client();
    struct vr_session *session = vr_session_open(client);
    (void)transfer(session, 0, 1);
    node_stop(0);
    (void)transfer(session, 1, 2);
    node_start(0);
    (void)transfer(session, 2, 3);
    wait_until_agreed(4); /* with the Register */
    node_stop(1);
    (void)transfer(session, 4, 5);
    ck_assert_uint_eq(total(session), ACCOUNTS * OPENING_BALANCE);
    vr_client_close(client);
    group_stop();
}
END_TEST

/* Shutdown. */

struct load {
    struct vr_client *client;
    atomic_bool stopping;
};

/* Sessions that never stop asking: each end submits again. */
static void again(void *context, struct vr_session *session, const struct vr_result *result)
{
    struct load *load = context;
    uint8_t operation[ACCOUNTS_OPERATION_SIZE];
    (void)result; /* what becomes of it is not this test's matter */
    if (!atomic_load(&load->stopping)) {
        (void)vr_submit(session, operation, accounts_transfer(operation, 1, 2, 0), 0, TIMEOUT_MS,
                        again, context);
    }
}

static void load_start(struct load *load)
{
    enum { SESSIONS = 16 };
    atomic_store(&load->stopping, false);
    load->client = open_client();
    for (int i = 0; i < SESSIONS; i++) {
        struct vr_session *session = vr_session_open(load->client);
        ck_assert_ptr_nonnull(session);
        again(load, session, NULL);
    }
}

static void load_stop(struct load *load)
{
    atomic_store(&load->stopping, true);
    vr_client_close(load->client);
}

/* PITFALLS TH-2: a start and a stop at any moment of a busy life, again and again; every one ends.
 * (A lost join or wake-up would hang until the test's timeout; a race is TSan's to see.) */
START_TEST(stops_whenever_it_is_told_to)
{
    mode = (enum durability)_i;
    enum { ROUNDS = 50 };
    static struct load load;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        group_start(1);
        load_start(&load);
        clock_sleep_ns(round % 10 * NANOSECONDS_PER_MILLISECOND);
        group_stop();
        load_stop(&load);
        ck_assert_ptr_null(accounts_check(&group.nodes[0].accounts));
    }
}
END_TEST

START_TEST(group_stops_under_load)
{
    mode = (enum durability)_i;
    enum { ROUNDS = 5 };
    static struct load load;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        group_start(3);
        load_start(&load);
        clock_sleep_ns(round * 40 * NANOSECONDS_PER_MILLISECOND);
        group_stop();
        load_stop(&load);
    }
}
END_TEST

/* A disk that says no. */

static void note_failure(void *context)
{
    atomic_bool *failed = context;
    atomic_store(failed, true);
}

/* From now on that node's state file cannot be written: what it has open is full. */
static void fill_state_file(uint32_t index)
{
    char wanted[2 * PATH_SIZE];
    char name[64];
    char path[2 * PATH_SIZE];
    bool found = false;
    (void)snprintf(wanted, sizeof wanted, "%s/state", group.nodes[index].directory);
    const int full = open("/dev/full", O_RDWR | O_CLOEXEC);
    ck_assert_int_ge(full, 0);
    for (int fd = 3; fd < 1024 && !found; fd++) {
        (void)snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
        const ssize_t size = readlink(name, path, sizeof path - 1);
        path[size > 0 ? size : 0] = '\0';
        found = strcmp(path, wanted) == 0;
        ck_assert(!found || dup2(full, fd) == fd);
    }
    ck_assert(found);
    (void)close(full);
}

/* Whose view it is, as that node sees it. */
static uint32_t leader_of(uint32_t index)
{
    struct raw raw;
    raw_open(&raw, CLUSTER_ID);
    const uint64_t view_number = raw_status(&raw, index)->view_number;
    raw_close(&raw);
    return (uint32_t)(view_within_epoch(view_number) % group.count);
}

static bool becomes_true(const atomic_bool *flag, int seconds)
{
    for (int i = 0; i < seconds * 100 && !atomic_load(flag); i++) {
        clock_sleep_ns(10 * NANOSECONDS_PER_MILLISECOND);
    }
    return atomic_load(flag);
}

/* D4: a replica whose state file cannot be written stops taking part, and says so. A view change
 * has to write it; whoever leads at the time, and whatever view that is by then, is stopped for
 * that. */
START_TEST(failed_state_file_ends_the_replica)
{
    enum { VICTIM = 2, VIEW_CHANGE_S = 5 };
    atomic_bool failed = false;
    struct vr_server_error error = {.text = ""};
    group_start(3);
    wait_until_executed(1, 0);
    wait_until_executed(VICTIM, 0);
    struct node *node = &group.nodes[VICTIM];
    const struct vr_server_options options = {
        .data_directory = node->directory,
        .durability = DURABILITY_MEMORY,
        .log_memory_max = LOG_MEMORY,
        .failed = note_failure,
        .context = &failed,
    };
    do { /* a replica that comes back follows, unless the others are slow */
        node_stop(VICTIM);
        accounts_init(&node->accounts, ACCOUNTS, OPENING_BALANCE);
        ck_assert_int_eq((int)vr_server_start(&options, &node->app, &node->server, &error),
                         VR_SERVER_OK);
        wait_until_executed(VICTIM, 0);
    } while (leader_of(VICTIM) == VICTIM);

    logger_set_level(LOG_LEVEL_ERROR);
    fill_state_file(VICTIM);
    for (int i = 0; i < DEADLINE_S / VIEW_CHANGE_S && !atomic_load(&failed); i++) {
        const uint32_t leader = leader_of(VICTIM);
        if (leader == VICTIM) {
            break; /* it cannot be: to lead a view it has to write it */
        }
        node_stop(leader);
        if (!becomes_true(&failed, VIEW_CHANGE_S)) {
            node_start(leader); /* it had ceased to lead: the others go on without a view change */
            wait_until_executed(leader, 0);
        }
    }
    ck_assert(atomic_load(&failed));
    ck_assert_int_eq((int)vr_server_stop(node->server), VR_SERVER_IO);
    node->server = NULL;
    group_stop();
}
END_TEST

/* The files of this process may not grow beyond `size`: a disk that says no. */
static void limit_files(rlim_t size)
{
    const struct rlimit limit = {.rlim_cur = size, .rlim_max = RLIM_INFINITY};
    (void)signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static struct durable_state node_state(uint32_t index)
{
    struct durable_state state;
    struct storage_error error;
    const struct file_ops ops = file_ops_posix();
    const int status = state_file_peek(&ops, group.nodes[index].directory, &state, &error);
    ck_assert_msg(status == 0, "%s", error.text);
    return state;
}

static void log_path(uint32_t index, char path[2 * PATH_SIZE])
{
    char name[WAL_NAME_SIZE];
    wal_segment_name(1, name);
    (void)snprintf(path, 2 * PATH_SIZE, "%s/%s", group.nodes[index].directory, name);
}

/* D4: a log that cannot be written ends the replica, in order, and does not count any more. */
START_TEST(failed_log_ends_the_replica)
{
    enum { STATE_FITS = 20 * 1024 };
    static struct load load;
    atomic_bool failed = false;
    struct vr_server_error error = {.text = ""};
    mode = (enum durability)_i;
    group_plan(1);
    ck_assert_int_eq((int)node_init(0, &error), VR_SERVER_OK);
    struct node *node = &group.nodes[0];
    const struct vr_server_options options = {
        .data_directory = node->directory,
        .durability = mode,
        .log_memory_max = LOG_MEMORY,
        .failed = note_failure,
        .context = &failed,
    };
    accounts_init(&node->accounts, ACCOUNTS, OPENING_BALANCE);
    node->app = accounts_app(&node->accounts);
    ck_assert_int_eq((int)vr_server_start(&options, &node->app, &node->server, &error),
                     VR_SERVER_OK);
    wait_until_executed(0, 0);
    ck_assert(node_state(0).vr.log_valid);
    limit_files(STATE_FITS);
    load_start(&load);
    for (int i = 0; i < DEADLINE_S * 100 && !atomic_load(&failed); i++) {
        clock_sleep_ns(10 * NANOSECONDS_PER_MILLISECOND);
    }
    ck_assert(atomic_load(&failed));
    ck_assert_int_eq((int)vr_server_stop(node->server), VR_SERVER_IO);
    node->server = NULL;
    load_stop(&load);
    ck_assert(!node_state(0).vr.log_valid);
    ck_assert(!node_state(0).clean_shutdown);
    group_stop();
}
END_TEST

/* D6: a log that does not count is void on the disk before it is made to look whole. */
START_TEST(a_broken_log_is_void_before_it_is_renewed)
{
    enum { STATE_FITS = 64 * 1024 };
    char path[2 * PATH_SIZE];
    struct vr_server_error error = {.text = ""};
    mode = DURABILITY_SYNC;
    group_start(3);
    struct vr_client *client = open_client();
    struct vr_session *session = vr_session_open(client);
    (void)transfer(session, 0, 1);
    wait_until_executed(2, 2);
    node_stop(2);
    ck_assert(node_state(2).vr.log_valid);
    ck_assert(node_state(2).clean_shutdown);
    ck_assert_uint_eq(node_state(2).log_segment, 1);
    ck_assert_uint_eq(node_state(2).log_end.segment, 1);
    ck_assert_uint_ge(node_state(2).log_end.head.op_number, 2);
    log_path(2, path);
    ck_assert_int_eq(truncate(path, 0), 0);
    limit_files(STATE_FITS); /* no segment can be made */
    ck_assert_int_eq((int)node_try_start(2, &error), VR_SERVER_IO);
    group.nodes[2].server = NULL;
    ck_assert(!node_state(2).vr.log_valid);
    limit_files(RLIM_INFINITY);
    node_start(2);
    wait_until_executed(2, 2);
    node_stop(2);
    ck_assert(node_state(2).vr.log_valid); /* it has all of it again */
    vr_client_close(client);
    group_stop();
}
END_TEST

static void note_divergence(uint32_t index)
{
    const struct file_ops ops = file_ops_posix();
    struct state_file file;
    struct durable_state state;
    struct storage_error why;
    ck_assert_int_eq(state_file_open(&file, &ops, group.nodes[index].directory, &state, &why), 0);
    state.diverged = true;
    ck_assert_int_eq(state_file_store(&file, &state, &why), 0);
    state_file_close(&file);
}

/* K4: what a replica that has diverged has is never started from. */
START_TEST(a_diverged_replica_starts_only_to_be_rebuilt)
{
    struct vr_server_error error = {.text = ""};
    mode = (enum durability)_i;
    group_start(3);
    struct vr_client *client = open_client();
    struct vr_session *session = vr_session_open(client);
    (void)transfer(session, 0, 1);
    wait_until_executed(2, 2);
    node_stop(2);
    note_divergence(2);
    ck_assert_int_eq((int)node_try_start(2, &error), VR_SERVER_IO);
    group.nodes[2].server = NULL;
    ck_assert_ptr_nonnull(strstr(error.text, "--rebuild"));
    ck_assert(node_state(2).diverged);
    rebuild = true;
    node_start(2);
    rebuild = false;
    (void)transfer(session, 1, 2);
    wait_until_agreed(3);
    node_stop(2);
    ck_assert(!node_state(2).diverged);
    node_start(2); /* as any other */
    wait_until_agreed(3);
    vr_client_close(client);
    group_stop();
}
END_TEST

/* A memory that changes by itself: what is executed is right, what it leaves is not. */
static size_t execute_wrongly(void *state, const struct app_context *context,
                              const uint8_t *operation, size_t operation_size, uint8_t *result)
{
    struct accounts *accounts = state;
    const size_t size =
        accounts_app(accounts).execute(state, context, operation, operation_size, result);
    accounts->digest.low ^= context->op_number == 5 ? 1 : 0;
    return size;
}

/* K4: another state than the majority's, though of the same log, is noticed at the next checkpoint;
 * that replica leaves, the others go on, and it comes back with what they have. */
START_TEST(a_state_that_differs_ends_its_replica)
{
    atomic_bool failed = false;
    struct vr_server_error error = {.text = ""};
    struct node *node = &group.nodes[2];
    mode = (enum durability)_i;
    checkpoint_interval = 8;
    group_plan(3);
    const struct vr_server_options options = {
        .data_directory = node->directory,
        .durability = mode,
        .log_memory_max = LOG_MEMORY,
        .failed = note_failure,
        .context = &failed,
    };
    for (uint32_t i = 0; i < 3; i++) {
        ck_assert_int_eq((int)node_init(i, &error), VR_SERVER_OK);
    }
    node_start(0);
    node_start(1);
    accounts_init(&node->accounts, ACCOUNTS, OPENING_BALANCE);
    node->app = accounts_app(&node->accounts);
    node->app.execute = execute_wrongly;
    ck_assert_int_eq((int)vr_server_start(&options, &node->app, &node->server, &error),
                     VR_SERVER_OK);
    struct vr_client *client = open_client();
    struct vr_session *session = vr_session_open(client);
    for (int i = 0; i < DEADLINE_S * 100 && !atomic_load(&failed); i++) {
        (void)transfer(session, 0, 1);
        clock_sleep_ns(10 * NANOSECONDS_PER_MILLISECOND);
    }
    ck_assert(atomic_load(&failed));
    ck_assert_int_eq((int)vr_server_stop(node->server), VR_SERVER_IO);
    node->server = NULL;
    ck_assert(node_state(2).diverged);
    ck_assert(!node_state(0).diverged);
    ck_assert_int_eq((int)node_try_start(2, &error), VR_SERVER_IO);
    node->server = NULL;
    rebuild = true;
    node_start(2);
    rebuild = false;
    (void)transfer(session, 1, 2);
    wait_until_agreed(10);
    vr_client_close(client);
    group_stop();
    checkpoint_interval = 0;
}
END_TEST

static atomic_uint executed_elsewhere; /* by a thread that is not the executor's */

static size_t execute_noting_the_thread(void *state, const struct app_context *context,
                                        const uint8_t *operation, size_t operation_size,
                                        uint8_t *result)
{
    char name[16] = "";
    (void)pthread_getname_np(pthread_self(), name, sizeof name);
    if (strcmp(name, "vr-executor") != 0) {
        atomic_fetch_add(&executed_elsewhere, 1);
    }
    return accounts_app(state).execute(state, context, operation, operation_size, result);
}

static void note_threads(struct app *app)
{
    app->is_quick = false;
    app->execute = execute_noting_the_thread;
}

/* N9: an operation may take longer than the others wait for a heartbeat, and be the first that
 * does. Unless the application promises that none does, no thread that the protocol needs executes
 * it. */
START_TEST(only_the_executor_runs_what_may_be_slow)
{
    mode = (enum durability)_i;
    atomic_store(&executed_elsewhere, 0);
    adapt = note_threads;
    group_start(3);
    adapt = NULL;
    struct vr_client *client = open_client();
    struct vr_session *session = vr_session_open(client);
    for (int i = 0; i < 200; i++) {
        (void)transfer(session, 0, 1);
    }
    wait_until_agreed(200);
    vr_client_close(client);
    group_stop();
    const unsigned elsewhere = atomic_load(&executed_elsewhere);
    ck_assert_uint_eq(elsewhere, 0);
}
END_TEST

/* What is forgotten must be with the others: one of two that is down may be the one that has it. */
START_TEST(nothing_is_forgotten_that_the_others_may_lack)
{
    struct vr_server_error error = {.text = ""};
    mode = DURABILITY_ASYNC;
    group_start(3);
    wait_until_executed(2, 0);
    node_stop(2);
    node_stop(1);
    rebuild = true;
    ck_assert_int_eq((int)node_try_start(2, &error), VR_SERVER_CONFIGURATION);
    rebuild = false;
    group.nodes[2].server = NULL;
    ck_assert_ptr_nonnull(strstr(error.text, "one replica at a time"));
    ck_assert(node_state(2).vr.log_valid);
    ck_assert(node_state(2).clean_shutdown);
    node_start(1);
    node_start(2);
    wait_until_executed(2, 0);
    group_stop();
}
END_TEST

START_TEST(a_group_of_one_is_never_rebuilt)
{
    struct vr_server_error error = {.text = ""};
    mode = DURABILITY_ASYNC;
    group_start(1);
    wait_until_executed(0, 0);
    node_stop(0);
    rebuild = true;
    ck_assert_int_eq((int)node_try_start(0, &error), VR_SERVER_CONFIGURATION);
    rebuild = false;
    group.nodes[0].server = NULL;
    ck_assert(node_state(0).vr.log_valid);
    node_start(0);
    group_stop();
}
END_TEST

/* A group of one has nobody to ask for what its disk has lost: it does not go on without. */
START_TEST(a_group_of_one_does_not_start_without_what_it_promised)
{
    char path[2 * PATH_SIZE];
    struct vr_server_error error = {.text = ""};
    mode = (enum durability)_i;
    group_start(1);
    struct vr_client *client = open_client();
    struct vr_session *session = vr_session_open(client);
    for (uint32_t i = 0; i < 5; i++) {
        (void)transfer(session, 0, 1);
    }
    vr_client_close(client);
    node_stop(0);
    const struct durable_state before = node_state(0);
    log_path(0, path);
    uint8_t byte;
    const off_t at = WAL_SEGMENT_HEADER_SIZE + WAL_RECORD_HEADER_SIZE + 8; /* in the first body */
    const int fd = open(path, O_RDWR | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(pread(fd, &byte, 1, at), 1);
    byte ^= 1;
    ck_assert_int_eq(pwrite(fd, &byte, 1, at), 1);
    ck_assert_int_eq((int)node_try_start(0, &error), VR_SERVER_IO);
    ck_assert_ptr_nonnull(strstr(error.text, "ops 1 to"));
    ck_assert_ptr_nonnull(strstr(error.text, "no other replica has a copy"));
    ck_assert_ptr_nonnull(strstr(error.text, "were told that they are done"));
    ck_assert_str_eq(error.id, "VR1217");
    ck_assert_uint_eq(node_state(0).incarnation, before.incarnation);
    byte ^= 1;
    ck_assert_int_eq(pwrite(fd, &byte, 1, at), 1);
    (void)close(fd);
    node_start(0); /* nothing was changed */
    wait_until_executed(0, 6);
    node_stop(0);
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq((int)node_try_start(0, &error), VR_SERVER_IO);
    ck_assert_ptr_nonnull(strstr(error.text, "cannot be told"));
    group.nodes[0].server = NULL;
    group_stop();
}
END_TEST

/* Appends entries to the log of a node that does not run, in one write that is never synced, and
 * damages the first of them: as a machine may leave it that loses power (mode sync). */
static void leave_torn_batch(uint32_t index, uint32_t count)
{
    static uint64_t memory[2][1024 * 1024 / sizeof(uint64_t)];
    struct state_file file;
    struct durable_state state;
    struct storage_error error;
    struct wal wal;
    struct wal_found found;
    struct vr_log log;
    struct vr_log staging;
    const struct file_ops ops = file_ops_posix();
    const char *directory = group.nodes[index].directory;
    ck_assert_int_eq(state_file_open(&file, &ops, directory, &state, &error), 0);
    const uint64_t cluster_id = state.configuration.cluster_id;
    const struct wal_options options = {
        .directory = directory,
        .owner = {cluster_id, state.replica_id},
        .segment_size = WAL_SEGMENT_SIZE_DEFAULT,
        .sector_size = WAL_SECTOR_SIZE,
    };
    vr_log_init(&log, memory[0], sizeof memory[0], cluster_id, 0, entry_chain_start(cluster_id));
    vr_log_init(&staging, memory[1], sizeof memory[1], cluster_id, 0,
                entry_chain_start(cluster_id));
    ck_assert_int_eq(wal_read(&wal, &ops, &options, &log, &staging, &found, &error), 0);
    ck_assert_int_eq(wal_start(&wal, state.incarnation, &error), 0);
    const uint64_t offset = wal.offset;
    for (uint32_t i = 0; i < count; i++) {
        size_t size;
        const struct entry entry = {
            .op_number = log.op_number + 1,
            .view_number = state.vr.last_normal_view,
            .timestamp = UINT64_C(1) << 60,
            .client_id = {1, 2},
            .session = 3,
            .request_number = 4,
            .kind = ENTRY_OPERATION,
            .body_size = 4,
            .body = (const uint8_t *)"torn",
        };
        vr_log_append(&log, &entry);
        const struct wal_record record = {
            .type = WAL_ENTRY,
            .op_number = entry.op_number,
            .view_number = entry.view_number,
            .checksum = vr_log_checksum(&log, entry.op_number),
            .other = vr_log_checksum(&log, entry.op_number - 1),
            .body = vr_log_entry(&log, entry.op_number, &size),
            .body_size = ENTRY_HEADER_SIZE + 4,
        };
        ck_assert_int_eq(wal_append(&wal, &record, &error), 0);
    }
    ck_assert_int_eq(wal_flush(&wal, &error), 0);
    ck_assert_int_eq(ops.write(ops.disk, wal_handle(&wal), offset + 200, "x", 1), 0);
    wal_close(&wal);
    memset(state.boot_id, 0x77, sizeof state.boot_id);
    state.clean_shutdown = false;
    ck_assert_int_eq(state_file_store(&file, &state, &error), 0);
    state_file_close(&file);
}

/* D1: what was under way when power failed was never acknowledged, and hinders nobody. */
START_TEST(a_group_of_one_starts_without_what_was_under_way)
{
    mode = DURABILITY_SYNC;
    group_start(1);
    struct vr_client *client = open_client();
    struct vr_session *session = vr_session_open(client);
    (void)transfer(session, 0, 1);
    const uint64_t last = transfer(session, 0, 1);
    node_stop(0);
    leave_torn_batch(0, 3);
    node_start(0);
    wait_until_executed(0, last);
    ck_assert_uint_eq(transfer(session, 0, 1), last + 1); /* nothing of what was torn is there */
    ck_assert_uint_eq(total(session), ACCOUNTS * OPENING_BALANCE);
    vr_client_close(client);
    group_stop();
}
END_TEST

/* Who may be what. */

START_TEST(data_directory_belongs_to_one_process)
{
    struct vr_server_error error = {.text = ""};
    group_start(1);
    struct vr_server *running = group.nodes[0].server;
    ck_assert_int_eq((int)node_try_start(0, &error), VR_SERVER_CONFIGURATION);
    ck_assert_uint_gt(strlen(error.text), 20);
    ck_assert_int_eq((int)node_init(0, &error), VR_SERVER_CONFIGURATION);
    group.nodes[0].server = running;
    group_stop();
}
END_TEST

/* PITFALLS RC-8, D10: a lost data directory is not silently made again. */
START_TEST(init_refuses_a_replica_that_the_group_knows)
{
    struct vr_server_error error = {.text = ""};
    group_start(3);
    struct vr_client *client = open_client();
    struct vr_session *session = vr_session_open(client);
    (void)transfer(session, 0, 1);
    (void)wait_until_executed(1, 2);
    (void)wait_until_executed(2, 2);
    node_stop(1);
    remove_directory(group.nodes[1].directory);
    ck_assert_int_eq((int)node_init(1, &error), VR_SERVER_CONFIGURATION);
    ck_assert_ptr_nonnull(strstr(error.text, "exists already"));
    vr_client_close(client);
    group_stop();
}
END_TEST

START_TEST(init_refuses_addresses_of_another_cluster)
{
    struct vr_server_error error = {.text = ""};
    group_start(3);
    const struct vr_server_init_options options = {
        .data_directory = "/tmp/vr-test-never-made",
        .cluster = group.cluster,
        .replica_id = 1,
        .cluster_id = CLUSTER_ID + 1,
        .parameters = cluster_parameters_default(),
    };
    ck_assert_int_eq((int)vr_server_init(&options, &error), VR_SERVER_CONFIGURATION);
    ck_assert_ptr_nonnull(strstr(error.text, "another cluster"));
    group_stop();
}
END_TEST

START_TEST(bad_options_are_refused_with_a_reason)
{
    struct vr_server_error error;
    struct vr_server *server;
    struct accounts accounts;
    accounts_init(&accounts, 1, 1);
    const struct app app = accounts_app(&accounts);
    group_plan(1);
    ck_assert_int_eq((int)node_init(0, &error), VR_SERVER_OK);
    const struct vr_server_options bad[] = {
        {.durability = DURABILITY_MEMORY, .listen = "0.0.0.0:1"},
        {.durability = DURABILITY_MEMORY, .listen = "nonsense"},
        {.durability = DURABILITY_MEMORY, .heartbeat_ns = 2, .view_change_ns = 1},
        {.durability = DURABILITY_MEMORY, .log_memory_max = 1},
        {.durability = DURABILITY_MEMORY, .datagram_size = DATAGRAM_SIZE_MIN - 1},
        {.durability = DURABILITY_MEMORY, .datagram_size = DATAGRAM_SIZE_MAX + 1},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct vr_server_options options = bad[i];
        options.data_directory = group.nodes[0].directory;
        error.text[0] = '\0';
        ck_assert_int_eq((int)vr_server_start(&options, &app, &server, &error),
                         VR_SERVER_CONFIGURATION);
        ck_assert_uint_gt(strlen(error.text), 20);
    }
    /* None of that used up the first start (D3): the replica still begins with an intact log. */
    node_start(0);
    (void)wait_until_executed(0, 0);
    group_stop();
}
END_TEST

/* M3, M7: strangers. */

static struct message register_request(void)
{
    return (struct message){
        .type = MESSAGE_REQUEST,
        .request = {.client_id = {1, 2}, .kind = ENTRY_REGISTER},
    };
}

/* PITFALLS UDP-6, M3: nothing is done for who has not proven its address, and the answer is no
 * longer than the question. */
START_TEST(request_without_token_is_challenged)
{
    struct raw raw;
    group_start(1);
    (void)wait_until_executed(0, 0);
    raw_open(&raw, CLUSTER_ID);
    const struct net_address to = node_address(0);
    const struct message request = register_request();

    raw_send(&raw, &to, 0, &request);
    ck_assert(raw_receive(&raw, 500));
    ck_assert_int_eq((int)raw.answer.type, MESSAGE_CHALLENGE);
    ck_assert_uint_le(raw.answer_size, raw.sent_size);
    const uint64_t token = raw.answer.challenge.token;

    raw_send(&raw, &to, token ^ 1, &request);
    ck_assert(raw_receive(&raw, 500));
    ck_assert_int_eq((int)raw.answer.type, MESSAGE_CHALLENGE);
    ck_assert_uint_eq(executed_op(0), 0);

    raw_send(&raw, &to, token, &request);
    ck_assert(raw_receive(&raw, 500));
    ck_assert_int_eq((int)raw.answer.type, MESSAGE_REPLY);
    ck_assert_uint_eq(raw.answer.reply.session, 1);
    raw_close(&raw);
    group_stop();
}
END_TEST

/* M3, M7: no level is changed, or even told, for an address that is not proven. */
START_TEST(log_levels_need_a_token)
{
    struct raw raw;
    struct log_levels before;
    struct log_levels levels;
    group_start(1);
    (void)wait_until_executed(0, 0);
    logger_levels(&before);
    raw_open(&raw, CLUSTER_ID);
    const struct net_address to = node_address(0);
    const struct message request = {
        .type = MESSAGE_LOG_LEVEL_REQUEST,
        .log_level_request = {.nonce = 5, .levels = "error,storage=warning"},
    };
    raw_send(&raw, &to, 0, &request);
    ck_assert(raw_receive(&raw, 500));
    ck_assert_int_eq((int)raw.answer.type, MESSAGE_CHALLENGE);
    logger_levels(&levels);
    ck_assert_mem_eq(&levels, &before, sizeof before);

    raw_send(&raw, &to, raw.answer.challenge.token, &request);
    ck_assert(raw_receive(&raw, 500));
    ck_assert_int_eq((int)raw.answer.type, MESSAGE_LOG_LEVEL_REPORT);
    ck_assert_uint_eq(raw.answer.log_level_report.nonce, 5);
    ck_assert_int_eq((int)raw.answer.log_level_report.outcome, LOG_LEVELS_CHANGED);
    ck_assert_str_eq(raw.answer.log_level_report.levels, "error,storage=warning");
    ck_assert(logger_enabled(LOG_LEVEL_WARNING, LOG_STORAGE));
    ck_assert(!logger_enabled(LOG_LEVEL_WARNING, LOG_PROTOCOL));
    raw_close(&raw);
    group_stop();
}
END_TEST

/* M3, M8: a page is long, so it goes only to who has proven its address. It holds what this start
 * did: one replica becomes primary by itself. */
START_TEST(trace_is_for_who_echoes_the_token)
{
    struct raw raw;
    group_start(1);
    raw_open(&raw, CLUSTER_ID);
    const struct net_address to = node_address(0);
    const struct message request = {
        .type = MESSAGE_TRACE_REQUEST,
        .trace_request = {.nonce = 78, .lane = TRACE_LANE_CHANGES, .events_max = TRACE_EVENTS_MAX},
    };
    wait_until_executed(0, 0);
    raw_send(&raw, &to, 0, &request);
    ck_assert(raw_receive(&raw, 500));
    ck_assert_int_eq((int)raw.answer.type, MESSAGE_CHALLENGE);
    ck_assert_uint_le(raw.answer_size, raw.sent_size);

    raw_send(&raw, &to, raw.answer.challenge.token, &request);
    ck_assert(raw_receive(&raw, 500));
    ck_assert_int_eq((int)raw.answer.type, MESSAGE_TRACE_REPORT);
    const struct trace_report *report = &raw.answer.trace_report;
    ck_assert_uint_eq(report->nonce, 78);
    ck_assert_uint_eq(report->first_event, 0);
    ck_assert_uint_eq(report->next_event, report->event_count);
    bool started = false;
    bool primary = false;
    for (uint32_t i = 0; i < report->event_count; i++) {
        struct trace_event event;
        ck_assert(trace_event_decode(report->events + (size_t)i * TRACE_EVENT_SIZE, &event));
        ck_assert_uint_le(event.time_ns, report->now_ns);
        started = started || (event.kind == TRACE_STATE && event.type == TRACE_STARTED);
        primary = primary || (event.kind == TRACE_STATE && event.type == TRACE_PRIMARY);
    }
    ck_assert(started && primary);
    raw_close(&raw);
    group_stop();
}
END_TEST

/* M7: who does not know the cluster may ask; who is of another one is told so, but never twice. */
START_TEST(other_clusters_are_told_so)
{
    struct raw stranger;
    struct raw foreign;
    group_start(1);
    const struct net_address to = node_address(0);
    raw_open(&stranger, 0);
    const struct status_report *status = raw_status(&stranger, 0);
    ck_assert_uint_eq(status->cluster_id, CLUSTER_ID);
    ck_assert_uint_le(stranger.answer_size, stranger.sent_size);

    raw_open(&foreign, CLUSTER_ID + 1);
    const struct message request = register_request();
    raw_send(&foreign, &to, 0, &request);
    ck_assert(raw_receive(&foreign, 500));
    ck_assert_int_eq((int)foreign.answer.type, MESSAGE_REFUSED);
    ck_assert_int_eq((int)foreign.answer.refused.reason, REFUSED_CLUSTER);
    ck_assert_uint_eq(foreign.answer.refused.own, CLUSTER_ID);
    ck_assert_uint_eq(foreign.answer.refused.yours, CLUSTER_ID + 1);
    ck_assert_uint_ne(foreign.answer_header.flags & WIRE_FLAG_ERROR, 0);

    /* Errors are never answered with errors: two replicas would talk for ever. */
    const struct message refused = {.type = MESSAGE_REFUSED,
                                    .refused = {.reason = REFUSED_CLUSTER, .own = 1, .yours = 2}};
    raw_send(&foreign, &to, 0, &refused);
    ck_assert(!raw_receive(&foreign, 10));
    raw_close(&foreign);
    raw_close(&stranger);
    group_stop();
}
END_TEST

/* A client at the door for peers is told where the other one is, in no more bytes than it sent. */
START_TEST(clients_at_the_peers_port_are_shown_the_other)
{
    struct raw raw;
    group_start(1);
    (void)wait_until_executed(0, 0);
    const struct net_address clients = node_address(0);
    struct net_address peers = clients;
    peers.port = group.nodes[0].peer_port;
    raw_open(&raw, 0);
    const struct message question = register_request();
    raw_send(&raw, &peers, 0, &question);
    ck_assert(raw_receive(&raw, 500));
    ck_assert_int_eq((int)raw.answer.type, MESSAGE_REFUSED);
    ck_assert_int_eq((int)raw.answer.refused.reason, REFUSED_PEERS_PORT);
    ck_assert_uint_eq(raw.answer.refused.own, clients.port);
    ck_assert_uint_le(raw.answer_size, raw.sent_size);
    raw_close(&raw);
    group_stop();
}
END_TEST

/* M3: a short question about status gets a short answer, or none. */
START_TEST(status_is_never_longer_than_the_question)
{
    struct raw raw;
    group_start(1);
    const struct net_address to = node_address(0);
    raw_open(&raw, CLUSTER_ID);
    uint32_t answered = 0;
    for (uint32_t padding = 0; padding <= 1024; padding += 64) {
        const struct message request = {
            .type = MESSAGE_STATUS_REQUEST,
            .status_request = {.nonce = padding + 1, .padding_size = padding},
        };
        raw_send(&raw, &to, 0, &request);
        if (raw_receive(&raw, padding == 1024 ? 500 : 3)) {
            ck_assert_uint_le(raw.answer_size, raw.sent_size);
            answered++;
        }
    }
    ck_assert_uint_gt(answered, 0);
    raw_close(&raw);
    group_stop();
}
END_TEST

/* PITFALLS RC-11, VC-19, M5: what replicas say to each other is not believed from anybody else, on
 * either socket. */
START_TEST(strangers_cannot_speak_as_replicas)
{
    struct raw raw;
    group_start(1);
    (void)wait_until_executed(0, 0);
    raw_open(&raw, CLUSTER_ID);
    const struct net_address clients = node_address(0);
    struct net_address peers = clients;
    const char *colon = strrchr(group.cluster, ':');
    peers.port = (uint16_t)strtoul(colon + 1, NULL, 10);
    const struct message vote = {.type = MESSAGE_START_VIEW_CHANGE,
                                 .start_view_change = {.view_number = view_make(1, 9)}};
    raw_send(&raw, &clients, 0, &vote);
    raw_send(&raw, &peers, 0, &vote);
    ck_assert(!raw_receive(&raw, 5));
    const struct status_report *status = raw_status(&raw, 0);
    ck_assert_uint_eq(status->view_number, view_make(1, 0));
    raw_close(&raw);
    group_stop();
}
END_TEST

static Suite *server_suite(void)
{
    Suite *suite = suite_create("server");
    TCase *serving = tcase_create("serving");
    tcase_set_timeout(serving, 180);
    tcase_add_test(serving, one_replica_serves);
    tcase_add_test(serving, log_goes_where_the_program_says);
    tcase_add_loop_test(serving, three_replicas_agree, DURABILITY_MEMORY, DURABILITY_SYNC + 1);
    tcase_add_loop_test(serving, group_survives_its_primary_and_takes_it_back, DURABILITY_MEMORY,
                        DURABILITY_SYNC + 1);
    suite_add_tcase(suite, serving);
    TCase *stopping = tcase_create("stopping");
    tcase_set_timeout(stopping, 300);
    tcase_add_loop_test(stopping, stops_whenever_it_is_told_to, DURABILITY_MEMORY,
                        DURABILITY_SYNC + 1);
    tcase_add_loop_test(stopping, group_stops_under_load, DURABILITY_MEMORY, DURABILITY_SYNC + 1);
    tcase_add_test(stopping, failed_state_file_ends_the_replica);
    tcase_add_loop_test(stopping, failed_log_ends_the_replica, DURABILITY_ASYNC,
                        DURABILITY_SYNC + 1);
    tcase_add_test(stopping, a_broken_log_is_void_before_it_is_renewed);
    tcase_add_loop_test(stopping, a_diverged_replica_starts_only_to_be_rebuilt, DURABILITY_MEMORY,
                        DURABILITY_SYNC + 1);
    tcase_add_loop_test(serving, only_the_executor_runs_what_may_be_slow, DURABILITY_MEMORY,
                        DURABILITY_SYNC + 1);
    tcase_add_loop_test(stopping, a_state_that_differs_ends_its_replica, DURABILITY_MEMORY,
                        DURABILITY_SYNC + 1);
    tcase_add_test(stopping, nothing_is_forgotten_that_the_others_may_lack);
    tcase_add_test(stopping, a_group_of_one_is_never_rebuilt);
    tcase_add_loop_test(stopping, a_group_of_one_does_not_start_without_what_it_promised,
                        DURABILITY_ASYNC, DURABILITY_SYNC + 1);
    tcase_add_test(stopping, a_group_of_one_starts_without_what_was_under_way);
    suite_add_tcase(suite, stopping);
    TCase *refusing = tcase_create("refusing");
    tcase_set_timeout(refusing, 180);
    tcase_add_test(refusing, data_directory_belongs_to_one_process);
    tcase_add_test(refusing, init_refuses_a_replica_that_the_group_knows);
    tcase_add_test(refusing, init_refuses_addresses_of_another_cluster);
    tcase_add_test(refusing, bad_options_are_refused_with_a_reason);
    tcase_add_test(refusing, request_without_token_is_challenged);
    tcase_add_test(refusing, trace_is_for_who_echoes_the_token);
    tcase_add_test(refusing, other_clusters_are_told_so);
    tcase_add_test(refusing, log_levels_need_a_token);
    tcase_add_test(refusing, clients_at_the_peers_port_are_shown_the_other);
    tcase_add_test(refusing, status_is_never_longer_than_the_question);
    tcase_add_test(refusing, strangers_cannot_speak_as_replicas);
    suite_add_tcase(suite, refusing);
    return suite;
}

int main(void)
{
    SRunner *runner = srunner_create(server_suite());
    /* The replicas' own lines would bury Check's; they are for whoever looks into a failure. */
    if (getenv("VR_TEST_LOG") == NULL) {
        logger_set_level(LOG_LEVEL_ERROR);
    }
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
