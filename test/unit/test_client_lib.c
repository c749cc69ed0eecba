/* SPDX-License-Identifier: Apache-2.0 */
/* The library over real sockets, against one replica that the test plays: a thread that registers
 * sessions, executes operations on the real key-value store, and misbehaves when told to. */
#include <check.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/lib/channel.h"
#include "client/lib/vr/client.h"
#include "common/os/clock.h"
#include "common/os/endpoint.h"
#include "common/os/memory.h"
#include "common/os/thread.h"
#include "server/app/kv.h"

#define CLUSTER UINT64_C(0x1234567890abcdef)
#define TOKEN UINT64_C(77)

enum {
    TIMEOUT_MS = 20000, /* of what is expected to succeed: generous, machines are slow */
    SHORT_MS = 200,     /* of what is expected to fail */
    DATAGRAM_SIZE = 1400,
    CLIENTS = 128,
};

/* ---- the replica ---- */

struct replica_fake {
    struct channel channel;
    struct configuration configuration;
    struct kv *kv;
    struct app app;
    pthread_t thread;
    uint8_t *result;
    uint64_t op_number;
    struct client_fake {
        struct client_id id;
        uint64_t request_number;
        uint8_t result[64];
        size_t result_size;
    } clients[CLIENTS]; /* what was executed last for each, so that a resend is not executed again
                         */
    atomic_bool stopping;
    atomic_bool mute_operations; /* executes them, answers none */
    atomic_bool mute;            /* hears nothing at all */
    atomic_bool busy;
    atomic_uint executed;
    atomic_uint registered;
    atomic_uint unregistered;
};

static struct replica_fake fake;

static bool any_cluster(void *context, const struct net_address *address, uint64_t cluster_id)
{
    (void)context;
    (void)address;
    return cluster_id == 0 || cluster_id == CLUSTER;
}

static uint64_t no_token(void *context, const struct net_address *address)
{
    (void)context;
    (void)address;
    return TOKEN; /* a replica's answers carry none that matters; not 0, so that nothing is padded
                   */
}

static void send_to(const struct message *to, struct message message, uint64_t now_ns)
{
    channel_send(&fake.channel, &to->address, TOKEN, &message, now_ns);
}

static void answer(const struct message *message, enum reply_status status, size_t result_size,
                   uint64_t now_ns)
{
    const struct request *request = &message->request;
    const bool is_register = request->kind == ENTRY_REGISTER;
    send_to(message,
            (struct message){.type = MESSAGE_REPLY,
                             .reply = {.view_number = view_make(1, 0),
                                       .op_number = fake.op_number,
                                       .client_id = request->client_id,
                                       .session = is_register ? fake.op_number : request->session,
                                       .request_number = request->request_number,
                                       .status = status,
                                       .result = fake.result,
                                       .result_size = (uint32_t)result_size}},
            now_ns);
}

static struct client_fake *find_client(struct client_id id)
{
    for (unsigned i = 0; i < CLIENTS; i++) {
        struct client_fake *client = &fake.clients[i];
        if (client_id_equal(client->id, id) || client->request_number == 0) {
            client->id = id;
            return client;
        }
    }
    ck_abort_msg("more clients than a test has");
}

static void on_operation(const struct message *message, uint64_t now_ns)
{
    const struct request *request = &message->request;
    if (atomic_load(&fake.busy)) {
        send_to(message,
                (struct message){.type = MESSAGE_BUSY,
                                 .busy = {.client_id = request->client_id,
                                          .session = request->session,
                                          .request_number = request->request_number,
                                          .view_number = view_make(1, 0),
                                          .reason = BUSY_QUEUE_FULL}},
                now_ns);
        return;
    }
    struct client_fake *client = find_client(request->client_id);
    if (client->request_number == request->request_number && client->result_size > 0) {
        memcpy(fake.result, client->result, client->result_size);
        if (!atomic_load(&fake.mute_operations)) {
            answer(message, REPLY_OK, client->result_size, now_ns);
        }
        return;
    }
    const struct app_context context = {.op_number = ++fake.op_number, .timestamp = now_ns};
    const size_t size = fake.app.execute(fake.app.state, &context, request->operation,
                                         request->operation_size, fake.result);
    atomic_fetch_add(&fake.executed, 1);
    client->request_number = request->request_number;
    client->result_size = size <= sizeof client->result ? size : 0; /* a read: executed again */
    memcpy(client->result, fake.result, client->result_size);
    if (!atomic_load(&fake.mute_operations)) {
        answer(message, REPLY_OK, size, now_ns);
    }
}

/* R2: beside the log. */
static void on_read(const struct message *message, uint64_t now_ns)
{
    const struct read *read = &message->read;
    const struct app_context context = {.op_number = fake.op_number, .timestamp = now_ns};
    if (atomic_load(&fake.mute_operations)) {
        return;
    }
    const size_t size = fake.app.execute(fake.app.state, &context, read->operation,
                                         read->operation_size, fake.result);
    send_to(message,
            (struct message){.type = MESSAGE_REPLY,
                             .reply = {.view_number = view_make(1, 0),
                                       .op_number = fake.op_number,
                                       .commit_number = fake.op_number,
                                       .client_id = read->client_id,
                                       .request_number = read->nonce,
                                       .status = REPLY_OK,
                                       .result = fake.result,
                                       .result_size = (uint32_t)size}},
            now_ns);
}

static void on_message(void *context, const struct message *message, uint64_t now_ns)
{
    (void)context;
    if (atomic_load(&fake.mute)) {
        return;
    }
    if (message->type == MESSAGE_STATUS_REQUEST) {
        const struct status_report report = {
            .nonce = message->status_request.nonce,
            .cluster_id = CLUSTER,
            .replica_id = 0,
            .view_number = view_make(1, 0),
            .last_normal_view = view_make(1, 0),
            .status = STATUS_NORMAL,
            .acting_primary = true,
            .durability = DURABILITY_MEMORY,
            .version = "test",
            .note = "",
            .configuration = &fake.configuration,
        };
        send_to(message, (struct message){.type = MESSAGE_STATUS, .status = &report}, now_ns);
        return;
    }
    if (message->type == MESSAGE_READ) {
        on_read(message, now_ns);
        return;
    }
    if (message->type != MESSAGE_REQUEST) {
        return;
    }
    switch (message->request.kind) {
    case ENTRY_REGISTER:
        fake.op_number++;
        atomic_fetch_add(&fake.registered, 1);
        answer(message, REPLY_OK, 0, now_ns);
        return;
    case ENTRY_UNREGISTER:
        atomic_fetch_add(&fake.unregistered, 1);
        return;
    case ENTRY_OPERATION:
        on_operation(message, now_ns);
        return;
    }
}

static void *run_fake(void *argument)
{
    (void)argument;
    while (!atomic_load(&fake.stopping)) {
        (void)channel_receive(&fake.channel, NANOSECONDS_PER_MILLISECOND);
        channel_dispatch(&fake.channel, clock_monotonic_ns());
        channel_flush(&fake.channel);
    }
    return NULL;
}

static char cluster[64];

static void emit(void *context, const struct wire_datagram *datagrams, size_t count)
{
    (void)context;
    for (size_t i = 0; i < count; i++) {
        const struct datagram_out item = {.address = datagrams[i].address,
                                          .bytes = datagrams[i].bytes,
                                          .size = datagrams[i].size};
        datagram_send(&fake.channel.socket, &item, 1);
    }
}

/* A channel is a client's; its datagrams have to come from a replica. */
static void speak_as_replica(void)
{
    struct wire_sender_options options;
    wire_sender_options_default(&options);
    options.sender = 0;
    options.incarnation = 1;
    options.identity = 1;
    options.emit = emit;
    memory_release(fake.channel.sender, fake.channel.sender_size);
    fake.channel.sender_size = wire_sender_memory_size(&options);
    fake.channel.sender = wire_sender_init(memory_reserve(fake.channel.sender_size), &options);
}

static void setup(void)
{
    memset(&fake, 0, sizeof fake);
    struct net_address loopback;
    struct endpoint_error error;
    ck_assert(endpoint_resolve("127.0.0.1", 1, &loopback, &error));
    const struct channel_handler handler = {
        .heard_cluster = any_cluster, .message = on_message, .token = no_token};
    ck_assert_int_eq(channel_open(&fake.channel, &handler, &loopback, 1, DATAGRAM_SIZE), 0);
    speak_as_replica();
    channel_set_cluster(&fake.channel, CLUSTER);
    const uint16_t port = fake.channel.socket.bound.port;
    (void)snprintf(cluster, sizeof cluster, "127.0.0.1:%u", port);
    fake.configuration = (struct configuration){
        .cluster_id = CLUSTER,
        .epoch = 1,
        .member_count = 1,
        .members = {{.replica_id = 0,
                     .role = MEMBER_ACTIVE,
                     .host = "127.0.0.1",
                     .port = port,
                     .peer_port = (uint16_t)(port == 1 ? 2 : port - 1)}},
        .parameters = cluster_parameters_default(),
    };
    fake.kv = kv_create();
    fake.app = kv_app(fake.kv);
    fake.result = malloc(RESULT_SIZE_MAX);
    ck_assert_int_eq(thread_start(&fake.thread, "fake", run_fake, NULL), 0);
}

static void teardown(void)
{
    atomic_store(&fake.stopping, true);
    thread_join(fake.thread);
    channel_close(&fake.channel);
    kv_destroy(fake.kv);
    free(fake.result);
}

/* ---- helpers ---- */

static struct vr_client *open_client(void)
{
    struct vr_client *client = NULL;
    char message[VR_MESSAGE_MAX] = "";
    const struct vr_client_options options = {.sessions_max = 64, .datagram_size = DATAGRAM_SIZE};
    ck_assert_msg(vr_client_open(cluster, &options, &client, message) == 0, "%s", message);
    return client;
}

static void set_ok(struct vr_session *session, const char *key, const char *value)
{
    struct vr_result result;
    vr_kv_set(session, key, strlen(key), value, strlen(value), TIMEOUT_MS, &result);
    ck_assert_msg(result.outcome == VR_OK, "%s", result.message);
    vr_result_free(&result);
}

static void wait_until(atomic_uint *counter, unsigned at_least)
{
    const uint64_t deadline_ns = clock_monotonic_ns() + TIMEOUT_MS * NANOSECONDS_PER_MILLISECOND;
    while (atomic_load(counter) < at_least) {
        ck_assert_uint_lt(clock_monotonic_ns(), deadline_ns);
        clock_sleep_ns(NANOSECONDS_PER_MILLISECOND);
    }
}

/* ---- calls ---- */

START_TEST(key_value_calls)
{
    struct vr_client *client = open_client();
    struct vr_session *session = vr_session_open(client);
    struct vr_result result;

    set_ok(session, "k", "v");
    ck_assert_int_eq(vr_kv_get(session, "k", 1, TIMEOUT_MS, &result), VR_OK);
    ck_assert_uint_eq(result.size, 1);
    ck_assert_mem_eq(result.data, "v", 2); /* with a NUL behind it */
    ck_assert_uint_eq(result.epoch, 1);
    ck_assert_uint_eq(result.view, 0);
    ck_assert_uint_gt(result.op_number, 0);
    vr_result_free(&result);

    ck_assert_int_eq(vr_kv_get(session, "none", 4, TIMEOUT_MS, &result), VR_FAILED);
    ck_assert_int_eq(result.error, VR_ERROR_NOT_FOUND);
    ck_assert_str_eq(result.message, "key not found");
    ck_assert_int_eq(vr_kv_cas(session, "k", 1, "x", 1, "y", 1, TIMEOUT_MS, &result), VR_FAILED);
    ck_assert_int_eq(result.error, VR_ERROR_MISMATCH);
    ck_assert_int_eq(vr_kv_cas(session, "k", 1, NULL, 0, "y", 1, TIMEOUT_MS, &result), VR_FAILED);
    ck_assert_int_eq(result.error, VR_ERROR_MISMATCH);
    ck_assert_int_eq(vr_kv_cas(session, "k", 1, "v", 1, "y", 1, TIMEOUT_MS, &result), VR_OK);
    ck_assert_int_eq(vr_kv_incr(session, "n", 1, -7, TIMEOUT_MS, &result), VR_OK);
    ck_assert_int_eq(result.number, -7);
    ck_assert_int_eq(vr_kv_incr(session, "k", 1, 1, TIMEOUT_MS, &result), VR_FAILED);
    ck_assert_int_eq(result.error, VR_ERROR_NOT_A_NUMBER);
    ck_assert_int_eq(vr_kv_del(session, "k", 1, TIMEOUT_MS, &result), VR_OK);
    ck_assert_int_eq(vr_kv_del(session, "k", 1, TIMEOUT_MS, &result), VR_FAILED);
    ck_assert_int_eq(result.error, VR_ERROR_NOT_FOUND);
    vr_session_close(session);
    vr_client_close(client);
}
END_TEST

START_TEST(empty_values_are_values)
{
    struct vr_client *client = open_client();
    struct vr_session *session = vr_session_open(client);
    struct vr_result result;
    set_ok(session, "empty", "");
    ck_assert_int_eq(vr_kv_get(session, "empty", 5, TIMEOUT_MS, &result), VR_OK);
    ck_assert_uint_eq(result.size, 0);
    ck_assert_ptr_nonnull(result.data);
    vr_result_free(&result);
    vr_client_close(client);
}
END_TEST

/* The largest value goes through 1,400-byte datagrams and comes back (M6). */
START_TEST(large_values_go_in_parts)
{
    struct vr_client *client = open_client();
    struct vr_session *session = vr_session_open(client);
    char *value = malloc(VR_VALUE_SIZE_MAX);
    for (size_t i = 0; i < VR_VALUE_SIZE_MAX; i++) {
        value[i] = (char)(i * 31 + i / 251);
    }
    struct vr_result result;
    vr_kv_set(session, "large", 5, value, VR_VALUE_SIZE_MAX, TIMEOUT_MS, &result);
    ck_assert_msg(result.outcome == VR_OK, "%s", result.message);
    vr_kv_get(session, "large", 5, TIMEOUT_MS, &result);
    ck_assert_msg(result.outcome == VR_OK, "%s", result.message);
    ck_assert_uint_eq(result.size, VR_VALUE_SIZE_MAX);
    ck_assert_mem_eq(result.data, value, VR_VALUE_SIZE_MAX);
    vr_result_free(&result);
    free(value);
    vr_client_close(client);
}
END_TEST

/* Checked here, with both numbers, and nothing is sent. */
START_TEST(sizes_are_checked_before_sending)
{
    struct vr_client *client = open_client();
    struct vr_session *session = vr_session_open(client);
    char *value = calloc(1, VR_VALUE_SIZE_MAX + 21);
    struct vr_result result;
    ck_assert_int_eq(vr_kv_set(session, "k", 1, value, VR_VALUE_SIZE_MAX + 21, SHORT_MS, &result),
                     VR_FAILED);
    ck_assert_int_eq(result.error, VR_ERROR_TOO_LARGE);
    ck_assert_str_eq(result.message, "value is 1,048,597 bytes; at most 1,048,576");
    ck_assert_int_eq(vr_kv_get(session, value, VR_KEY_SIZE_MAX + 1, SHORT_MS, &result), VR_FAILED);
    ck_assert_str_eq(result.message, "key is 1,025 bytes; at most 1,024");
    ck_assert_int_eq(vr_kv_get(session, "", 0, SHORT_MS, &result), VR_FAILED);
    ck_assert_int_eq(result.error, VR_ERROR_REFUSED);
    ck_assert_int_eq(
        vr_call(session, value, (size_t)VR_OPERATION_SIZE_MAX + 1, 0, SHORT_MS, &result),
        VR_FAILED);
    ck_assert_int_eq(result.error, VR_ERROR_TOO_LARGE);
    ck_assert_uint_eq(atomic_load(&fake.registered), 0);
    free(value);
    vr_client_close(client);
}
END_TEST

struct seen_pairs {
    unsigned count;
    char last[32];
};

static bool see_pair(void *context, const void *key, size_t key_size, const void *value,
                     size_t value_size)
{
    struct seen_pairs *seen = context;
    char name[32];
    ck_assert_uint_lt(key_size, sizeof name);
    memcpy(name, key, key_size);
    name[key_size] = '\0';
    ck_assert_int_lt(strcmp(seen->last, name), 0);
    memcpy(seen->last, name, sizeof name);
    ck_assert_uint_eq(value_size, 1);
    ck_assert_mem_eq(value, "v", 1);
    seen->count++;
    return seen->count != 1500;
}

/* More pairs than a page holds. */
START_TEST(scan_goes_page_by_page)
{
    enum { PAIRS = 2500 };
    struct vr_client *client = open_client();
    struct vr_session *session = vr_session_open(client);
    for (unsigned i = 0; i < PAIRS; i++) {
        char key[32];
        (void)snprintf(key, sizeof key, "p/%05u", i);
        set_ok(session, key, "v");
    }
    set_ok(session, "q", "other");
    struct vr_result result;
    struct seen_pairs seen = {0};
    vr_kv_scan(session, "p/", 2, 1200, see_pair, &seen, TIMEOUT_MS, &result);
    ck_assert_int_eq(result.outcome, VR_OK);
    ck_assert_uint_eq(seen.count, 1200);
    seen = (struct seen_pairs){.count = 1501}; /* beyond where it would stop */
    vr_kv_scan(session, "p/", 2, 0, see_pair, &seen, TIMEOUT_MS, &result);
    ck_assert_uint_eq(seen.count - 1501, PAIRS);
    ck_assert_str_eq(seen.last, "p/02499");
    seen = (struct seen_pairs){0};
    vr_kv_scan(session, "p/", 2, 0, see_pair, &seen, TIMEOUT_MS, &result);
    ck_assert_int_eq(result.outcome, VR_OK);
    ck_assert_uint_eq(seen.count, 1500); /* the callback said stop */
    vr_client_close(client);
}
END_TEST

/* ---- outcomes ---- */

/* PITFALLS CT-8: what was sent and not answered is unknown, and was in fact executed. */
START_TEST(silence_after_sending_is_unknown)
{
    struct vr_client *client = open_client();
    struct vr_session *session = vr_session_open(client);
    set_ok(session, "a", "1");
    atomic_store(&fake.mute_operations, true);
    struct vr_result result;
    ck_assert_int_eq(vr_kv_set(session, "a", 1, "2", 1, SHORT_MS, &result), VR_UNKNOWN);
    ck_assert_int_eq(result.error, VR_ERROR_UNAVAILABLE);
    ck_assert_ptr_nonnull(strstr(result.message, "it may have been executed"));
    ck_assert_uint_gt(result.retries, 0);
    /* A read changes nothing. */
    ck_assert_int_eq(vr_kv_get(session, "a", 1, SHORT_MS, &result), VR_FAILED);
    ck_assert_int_eq(result.error, VR_ERROR_UNAVAILABLE);
    atomic_store(&fake.mute_operations, false);
    ck_assert_int_eq(vr_kv_get(session, "a", 1, TIMEOUT_MS, &result), VR_OK);
    ck_assert_mem_eq(result.data, "2", 1);
    vr_result_free(&result);
    vr_client_close(client);
}
END_TEST

START_TEST(nobody_there_is_failed_and_says_whom_it_asked)
{
    atomic_store(&fake.mute, true);
    struct vr_client *client = open_client();
    struct vr_session *session = vr_session_open(client);
    struct vr_result result;
    ck_assert_int_eq(vr_kv_set(session, "a", 1, "2", 1, SHORT_MS, &result), VR_FAILED);
    ck_assert_int_eq(result.error, VR_ERROR_UNAVAILABLE);
    ck_assert_ptr_nonnull(strstr(result.message, "no replica answers: asked 127.0.0.1:"));
    ck_assert_ptr_nonnull(strstr(result.message, cluster));
    ck_assert_ptr_nonnull(strstr(result.message, "it was not executed"));
    ck_assert(!vr_client_find_primary(client, SHORT_MS));
    vr_client_close(client);
}
END_TEST

START_TEST(busy_is_said)
{
    struct vr_client *client = open_client();
    struct vr_session *session = vr_session_open(client);
    set_ok(session, "a", "1");
    atomic_store(&fake.busy, true);
    struct vr_result result;
    ck_assert_int_eq(vr_kv_set(session, "a", 1, "2", 1, SHORT_MS, &result), VR_UNKNOWN);
    ck_assert_int_eq(result.error, VR_ERROR_BUSY);
    ck_assert_ptr_nonnull(strstr(result.message, busy_reason_name(BUSY_QUEUE_FULL)));
    vr_client_close(client);
}
END_TEST

/* ---- asynchronous ---- */

struct chain {
    atomic_uint done;
    unsigned wanted;
    struct vr_session *session;
    const uint8_t *operation;
    size_t size;
};

static void next_in_chain(void *context, struct vr_session *session, const struct vr_result *result)
{
    struct chain *chain = context;
    ck_assert_ptr_eq(session, chain->session);
    ck_assert_int_eq(result->outcome, VR_OK);
    if (atomic_fetch_add(&chain->done, 1) + 1 < chain->wanted) {
        ck_assert_int_eq(
            vr_submit(session, chain->operation, chain->size, 0, TIMEOUT_MS, next_in_chain, chain),
            0);
    }
}

/* Many sessions over one socket; each submits its next request from its callback. */
START_TEST(callbacks_submit_again)
{
    enum { SESSIONS = 50, EACH = 20 };
    static const uint8_t operation[] = {0x2a, 0x05, 0x0a, 0x01, 'n', 0x10, 0x02}; /* incr n 1 */
    struct vr_client *client = open_client();
    static struct chain chains[SESSIONS];
    for (unsigned i = 0; i < SESSIONS; i++) {
        chains[i] = (struct chain){.wanted = EACH,
                                   .session = vr_session_open(client),
                                   .operation = operation,
                                   .size = sizeof operation};
        ck_assert_ptr_nonnull(chains[i].session);
        ck_assert_int_eq(vr_submit(chains[i].session, operation, sizeof operation, 0, TIMEOUT_MS,
                                   next_in_chain, &chains[i]),
                         0);
    }
    for (unsigned i = 0; i < SESSIONS; i++) {
        wait_until(&chains[i].done, EACH);
    }
    struct vr_session *session = vr_session_open(client);
    struct vr_result result;
    ck_assert_int_eq(vr_kv_incr(session, "n", 1, 0, TIMEOUT_MS, &result), VR_OK);
    ck_assert_int_eq(result.number, SESSIONS * EACH);
    vr_client_close(client);
}
END_TEST

START_TEST(poll_and_wait)
{
    static const uint8_t operation[] = {0x2a, 0x05, 0x0a, 0x01, 'n', 0x10, 0x02};
    struct vr_client *client = open_client();
    struct vr_session *session = vr_session_open(client);
    ck_assert(!vr_poll(session));
    ck_assert_int_eq(vr_submit(session, operation, sizeof operation, 0, TIMEOUT_MS, NULL, NULL), 0);
    ck_assert_int_eq(vr_submit(session, operation, sizeof operation, 0, TIMEOUT_MS, NULL, NULL),
                     -EBUSY);
    const uint64_t deadline_ns = clock_monotonic_ns() + TIMEOUT_MS * NANOSECONDS_PER_MILLISECOND;
    while (!vr_poll(session)) {
        ck_assert_uint_lt(clock_monotonic_ns(), deadline_ns);
        clock_sleep_ns(NANOSECONDS_PER_MILLISECOND);
    }
    struct vr_result result;
    ck_assert_int_eq(vr_wait(session, &result), VR_OK);
    vr_result_free(&result);
    vr_client_close(client);
}
END_TEST

START_TEST(cancel_ends_a_wait)
{
    static const uint8_t operation[] = {0x2a, 0x05, 0x0a, 0x01, 'n', 0x10, 0x02};
    atomic_store(&fake.mute_operations, true);
    struct vr_client *client = open_client();
    struct vr_session *session = vr_session_open(client);
    ck_assert_int_eq(vr_submit(session, operation, sizeof operation, 0, TIMEOUT_MS, NULL, NULL), 0);
    wait_until(&fake.executed, 1);
    vr_cancel(session);
    struct vr_result result;
    ck_assert_int_eq(vr_wait(session, &result), VR_UNKNOWN);
    ck_assert_int_eq(result.error, VR_ERROR_CANCELLED);
    vr_client_close(client);
}
END_TEST

/* A program that waits, asked whether to go on. */
struct waiter {
    struct vr_client *client;
    unsigned asked;
    unsigned ended;
    unsigned patience; /* times that it says yes */
    bool saw_silence;
    bool saw_busy;
    enum vr_outcome outcome;
};

static bool wait_some(void *context, const struct vr_result *ended)
{
    struct waiter *waiter = context;
    struct vr_client_info info;
    vr_client_info(waiter->client, &info);
    if (ended != NULL) {
        waiter->ended++;
        waiter->outcome = ended->outcome;
        return true;
    }
    waiter->asked++;
    waiter->saw_silence = waiter->saw_silence || (info.silent_ms > 0 && info.waits_for[0] != '\0');
    waiter->saw_busy = waiter->saw_busy || (info.busy_ms > 0 && info.busy_reason[0] != '\0');
    return waiter->asked <= waiter->patience;
}

static struct vr_client *open_waiting(struct waiter *waiter)
{
    char message[VR_MESSAGE_MAX];
    const struct vr_client_options options = {.waiting = wait_some, .waiting_context = waiter};
    ck_assert_int_eq(vr_client_open(cluster, &options, &waiter->client, message), 0);
    return waiter->client;
}

START_TEST(who_waits_is_asked_and_may_cancel)
{
    struct waiter waiter = {.patience = UINT32_MAX};
    struct vr_client *client = open_waiting(&waiter);
    struct vr_session *session = vr_session_open(client);
    set_ok(session, "a", "1");
    ck_assert_uint_eq(waiter.asked > 0, waiter.ended > 0); /* slow machines only */
    waiter.asked = waiter.ended = 0;
    waiter.patience = 20;
    atomic_store(&fake.mute_operations, true);
    struct vr_result result;
    ck_assert_int_eq(vr_kv_set(session, "a", 1, "2", 1, 10 * TIMEOUT_MS, &result), VR_UNKNOWN);
    ck_assert_int_eq(result.error, VR_ERROR_CANCELLED);
    ck_assert_ptr_nonnull(strstr(result.message, "outcome unknown"));
    ck_assert_uint_eq(waiter.asked, waiter.patience + 1);
    ck_assert_uint_eq(waiter.ended, 1);
    ck_assert_int_eq(waiter.outcome, VR_UNKNOWN);
    ck_assert(waiter.saw_silence);
    /* The session goes on. */
    atomic_store(&fake.mute_operations, false);
    waiter.patience = UINT32_MAX;
    set_ok(session, "a", "3");
    vr_client_close(client);
}
END_TEST

START_TEST(who_waits_hears_of_busy)
{
    struct waiter waiter = {.patience = UINT32_MAX};
    struct vr_client *client = open_waiting(&waiter);
    struct vr_session *session = vr_session_open(client);
    set_ok(session, "a", "1");
    waiter.asked = 0;
    waiter.patience = 20;
    atomic_store(&fake.busy, true);
    struct vr_result result;
    ck_assert_int_ne(vr_kv_set(session, "a", 1, "2", 1, 10 * TIMEOUT_MS, &result), VR_OK);
    ck_assert(waiter.saw_busy);
    struct vr_client_info info;
    vr_client_info(client, &info);
    ck_assert_uint_eq(info.busy_ms, 0); /* nobody waits any more */
    vr_client_close(client);
}
END_TEST

static void count_cancelled(void *context, struct vr_session *session,
                            const struct vr_result *result)
{
    (void)session;
    ck_assert_int_eq(result->error, VR_ERROR_CANCELLED);
    atomic_fetch_add((atomic_uint *)context, 1);
}

/* Closing calls the callbacks of what was in flight, before it returns. */
START_TEST(close_cancels_what_is_in_flight)
{
    static const uint8_t operation[] = {0x2a, 0x05, 0x0a, 0x01, 'n', 0x10, 0x02};
    atomic_store(&fake.mute_operations, true);
    struct vr_client *client = open_client();
    atomic_uint cancelled = 0;
    for (unsigned i = 0; i < 5; i++) {
        ck_assert_int_eq(vr_submit(vr_session_open(client), operation, sizeof operation, 0,
                                   TIMEOUT_MS, count_cancelled, &cancelled),
                         0);
    }
    wait_until(&fake.executed, 5);
    vr_client_close(client);
    ck_assert_uint_eq(atomic_load(&cancelled), 5);
    wait_until(&fake.unregistered, 5);
}
END_TEST

static void *call_often(void *argument)
{
    struct vr_session *session = argument;
    for (unsigned i = 0; i < 200; i++) {
        struct vr_result result;
        ck_assert_int_eq(vr_kv_incr(session, "shared", 6, 1, TIMEOUT_MS, &result), VR_OK);
    }
    return NULL;
}

/* One client, several threads, a session each. */
START_TEST(threads_share_a_client)
{
    enum { THREADS = 4 };
    struct vr_client *client = open_client();
    pthread_t threads[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        ck_assert_int_eq(thread_start(&threads[i], "caller", call_often, vr_session_open(client)),
                         0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        thread_join(threads[i]);
    }
    struct vr_result result;
    ck_assert_int_eq(vr_kv_incr(vr_session_open(client), "shared", 6, 0, TIMEOUT_MS, &result),
                     VR_OK);
    ck_assert_int_eq(result.number, THREADS * 200);
    vr_client_close(client);
}
END_TEST

/* ---- the client ---- */

START_TEST(info_knows_the_primary)
{
    struct vr_client *client = open_client();
    struct vr_client_info info;
    vr_client_info(client, &info);
    ck_assert(!info.primary_known);
    ck_assert_uint_eq(info.replica_count, 0);
    ck_assert(vr_client_find_primary(client, TIMEOUT_MS));
    vr_client_info(client, &info);
    ck_assert(info.primary_known);
    ck_assert_uint_eq(info.primary_id, 0);
    ck_assert_uint_eq(info.replica_count, 1);
    ck_assert_uint_eq(info.cluster_id, CLUSTER);
    ck_assert_str_eq(info.primary_address, cluster);
    vr_client_close(client);
}
END_TEST

START_TEST(sessions_are_bounded)
{
    struct vr_client *client;
    char message[VR_MESSAGE_MAX];
    const struct vr_client_options options = {.sessions_max = 2};
    ck_assert_int_eq(vr_client_open(cluster, &options, &client, message), 0);
    struct vr_session *first = vr_session_open(client);
    ck_assert_ptr_nonnull(first);
    ck_assert_ptr_nonnull(vr_session_open(client));
    ck_assert_ptr_null(vr_session_open(client));
    vr_session_close(first);
    ck_assert_ptr_nonnull(vr_session_open(client));
    vr_client_close(client);
}
END_TEST

START_TEST(bad_lists_are_refused)
{
    static const char *const lists[] = {
        "",
        "nohost",
        "127.0.0.1",
        "127.0.0.1:0",
        "127.0.0.1:8004-8000",
        "127.0.0.1:1-99999",
        ",",
        "127.0.0.1:8000,",
        "127.0.0.1:1-40",
    };
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        struct vr_client *client = NULL;
        char message[VR_MESSAGE_MAX] = "";
        ck_assert_int_eq(vr_client_open(lists[i], NULL, &client, message), -EINVAL);
        ck_assert_msg(message[0] != '\0', "%s", lists[i]);
    }
}
END_TEST

/* Written right, and not to be found now: that is no mistake of whoever wrote it. */
START_TEST(a_name_that_does_not_resolve_is_no_bad_list)
{
    struct vr_client *client = NULL;
    char message[VR_MESSAGE_MAX] = "";
    ck_assert_int_eq(vr_client_open("nosuchhost.invalid:8000", NULL, &client, message),
                     -EADDRNOTAVAIL);
    ck_assert_ptr_nonnull(strstr(message, "nosuchhost.invalid"));
    ck_assert_int_eq(vr_client_open("nosuchhost.invalid:8000,127.0.0.1:1", NULL, &client, message),
                     0);
    vr_client_close(client);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("client_lib");
    TCase *tests = tcase_create("client_lib");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, key_value_calls);
    tcase_add_test(tests, empty_values_are_values);
    tcase_add_test(tests, large_values_go_in_parts);
    tcase_add_test(tests, sizes_are_checked_before_sending);
    tcase_add_test(tests, scan_goes_page_by_page);
    tcase_add_test(tests, silence_after_sending_is_unknown);
    tcase_add_test(tests, nobody_there_is_failed_and_says_whom_it_asked);
    tcase_add_test(tests, busy_is_said);
    tcase_add_test(tests, callbacks_submit_again);
    tcase_add_test(tests, poll_and_wait);
    tcase_add_test(tests, cancel_ends_a_wait);
    tcase_add_test(tests, who_waits_is_asked_and_may_cancel);
    tcase_add_test(tests, who_waits_hears_of_busy);
    tcase_add_test(tests, close_cancels_what_is_in_flight);
    tcase_add_test(tests, threads_share_a_client);
    tcase_add_test(tests, info_knows_the_primary);
    tcase_add_test(tests, sessions_are_bounded);
    tcase_add_test(tests, bad_lists_are_refused);
    tcase_add_test(tests, a_name_that_does_not_resolve_is_no_bad_list);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
