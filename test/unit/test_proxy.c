/* SPDX-License-Identifier: Apache-2.0 */
/* The proxy in virtual time: what it sends, to whom, when, and what it says in the end. The group
 * is played by the tests: nothing answers unless a test makes it. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "client/proxy/proxy.h"

enum {
    REPLICAS = 3,
    SENT_MAX = 4096,
    DONE_MAX = 512,
    MS = 1000 * 1000,
};
#define CLUSTER UINT64_C(0xc1a5)
#define SECOND (UINT64_C(1000) * MS)
#define START UINT64_C(5000000000)
#define VIEW(n) view_make(EPOCH_FIRST, n)

struct sent {
    uint64_t at_ns;
    struct net_address address;
    uint64_t token;
    struct message message;
};

struct fixture {
    struct proxy *proxy;
    uint64_t now_ns;
    struct configuration configuration;
    struct sent sent[SENT_MAX];
    uint32_t sent_count;
    struct proxy_output done[DONE_MAX];
    char result[DONE_MAX][32];
    uint32_t done_count;
};

static struct fixture f;
static const uint8_t OPERATION[] = "set k v";

static struct net_address address_of(uint32_t replica)
{
    struct net_address address = {.port = (uint16_t)(8000 + replica)};
    address.ip[15] = 1;
    return address;
}

static struct client_id client(uint64_t n)
{
    return (struct client_id){.low = 1000 + n, .high = 7};
}

static void drain(void)
{
    struct proxy_output output;
    while (proxy_next_output(f.proxy, &output)) {
        if (output.kind == PROXY_OUT_SEND) {
            ck_assert_uint_lt(f.sent_count, SENT_MAX);
            f.sent[f.sent_count++] = (struct sent){.at_ns = f.now_ns,
                                                   .address = output.send.address,
                                                   .token = output.send.token,
                                                   .message = output.send.message};
        } else {
            ck_assert_uint_lt(f.done_count, DONE_MAX);
            ck_assert_uint_lt(output.done.result_size, sizeof f.result[0]);
            if (output.done.result_size > 0) {
                memcpy(f.result[f.done_count], output.done.result, output.done.result_size);
            }
            f.done[f.done_count++] = output;
        }
    }
}

static void setup_with(struct proxy_options options)
{
    free(f.proxy);
    memset(&f, 0, sizeof f);
    f.now_ns = START;
    f.configuration = (struct configuration){.cluster_id = CLUSTER,
                                             .epoch = EPOCH_FIRST,
                                             .member_count = REPLICAS,
                                             .parameters = cluster_parameters_default()};
    for (uint32_t i = 0; i < REPLICAS; i++) {
        struct member *member = &f.configuration.members[i];
        *member = (struct member){.replica_id = i,
                                  .role = MEMBER_ACTIVE,
                                  .host = "127.0.0.1",
                                  .port = (uint16_t)(8000 + i),
                                  .peer_port = (uint16_t)(8100 + i)};
        options.seeds[i] = address_of(i);
    }
    options.seed_count = REPLICAS;
    options.random_seed = 42;
    f.proxy = proxy_init(malloc(proxy_memory_size(&options)), &options);
}

static void setup(void)
{
    struct proxy_options options;
    proxy_options_default(&options);
    options.sessions_max = 256;
    options.cluster_id = CLUSTER;
    setup_with(options);
}

/* M7: the cluster's id is not known, and the seeds are checked first. */
static void setup_unpinned(void)
{
    struct proxy_options options;
    proxy_options_default(&options);
    options.sessions_max = 256;
    setup_with(options);
}

static void teardown(void)
{
    free(f.proxy);
    f.proxy = NULL;
}

/* ---- what happens ---- */

static void advance_to(uint64_t at_ns)
{
    while (proxy_deadline(f.proxy) <= at_ns) {
        const uint64_t due = proxy_deadline(f.proxy);
        f.now_ns = due > f.now_ns ? due : f.now_ns;
        proxy_tick(f.proxy, f.now_ns);
        drain();
    }
    f.now_ns = at_ns;
}

static void advance_ms(uint64_t ms)
{
    advance_to(f.now_ns + ms * MS);
}

static void submit_as(uint32_t session, bool is_read, uint64_t timeout_ms)
{
    proxy_submit(f.proxy, session, OPERATION, sizeof OPERATION - 1, is_read,
                 f.now_ns + timeout_ms * MS, f.now_ns);
    drain();
}

static void submit(uint32_t session)
{
    submit_as(session, false, 5000);
}

static void receive(uint32_t replica, struct message message)
{
    message.from = replica;
    message.address = address_of(replica);
    proxy_receive(f.proxy, &message, f.now_ns);
    drain();
}

static void reply(uint32_t replica, struct reply body)
{
    receive(replica, (struct message){.type = MESSAGE_REPLY, .reply = body});
}

static void registered(uint32_t replica, uint64_t view, struct client_id id, uint64_t session)
{
    reply(replica, (struct reply){.view_number = view,
                                  .op_number = session,
                                  .client_id = id,
                                  .session = session,
                                  .status = REPLY_OK});
}

static void answered(uint32_t replica, uint64_t view, struct client_id id, uint64_t session,
                     uint64_t request_number, const char *result)
{
    reply(replica, (struct reply){.view_number = view,
                                  .op_number = session + request_number,
                                  .client_id = id,
                                  .session = session,
                                  .request_number = request_number,
                                  .status = REPLY_OK,
                                  .result = (const uint8_t *)result,
                                  .result_size = (uint32_t)strlen(result)});
}

static void refused_reply(enum reply_status status, uint64_t session, uint64_t request_number)
{
    reply(0, (struct reply){.view_number = VIEW(0),
                            .client_id = client(0),
                            .session = session,
                            .request_number = request_number,
                            .status = status});
}

static void not_primary(uint32_t replica, struct client_id id, uint64_t session,
                        uint64_t request_number, uint64_t view)
{
    receive(replica, (struct message){.type = MESSAGE_NOT_PRIMARY,
                                      .not_primary = {.client_id = id,
                                                      .session = session,
                                                      .request_number = request_number,
                                                      .last_normal_view = view,
                                                      .status = STATUS_VIEW_CHANGE}});
}

static uint64_t status_nonce(void)
{
    for (uint32_t i = f.sent_count; i > 0; i--) {
        if (f.sent[i - 1].message.type == MESSAGE_STATUS_REQUEST) {
            return f.sent[i - 1].message.status_request.nonce;
        }
    }
    ck_abort_msg("no StatusRequest was sent");
}

static void status_with_nonce(uint32_t replica, uint64_t view, uint64_t nonce)
{
    const struct status_report report = {.nonce = nonce,
                                         .cluster_id = CLUSTER,
                                         .replica_id = replica,
                                         .view_number = view,
                                         .last_normal_view = view,
                                         .status = STATUS_NORMAL,
                                         .configuration = &f.configuration};
    receive(replica, (struct message){.type = MESSAGE_STATUS, .status = &report});
}

static void status(uint32_t replica, uint64_t view)
{
    status_with_nonce(replica, view, status_nonce());
}

static void challenge(uint32_t replica, uint64_t token)
{
    receive(replica, (struct message){.type = MESSAGE_CHALLENGE, .challenge = {.token = token}});
}

/* ---- what was seen ---- */

static void forget_sent(void)
{
    f.sent_count = 0;
}

static uint32_t count_sent(enum message_type type)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < f.sent_count; i++) {
        count += f.sent[i].message.type == type ? 1u : 0u;
    }
    return count;
}

static uint32_t count_to(uint32_t replica, enum entry_kind kind)
{
    const struct net_address address = address_of(replica);
    uint32_t count = 0;
    for (uint32_t i = 0; i < f.sent_count; i++) {
        const struct sent *sent = &f.sent[i];
        count += sent->message.type == MESSAGE_REQUEST && sent->message.request.kind == kind &&
                         net_address_equal(&sent->address, &address)
                     ? 1u
                     : 0u;
    }
    return count;
}

static const struct sent *last_sent(void)
{
    ck_assert_uint_gt(f.sent_count, 0);
    return &f.sent[f.sent_count - 1];
}

static const struct proxy_output *only_done(enum proxy_outcome outcome, enum proxy_error error)
{
    ck_assert_uint_eq(f.done_count, 1);
    ck_assert_int_eq((int)f.done[0].done.outcome, (int)outcome);
    ck_assert_int_eq((int)f.done[0].done.error, (int)error);
    return &f.done[0];
}

/* A session that is registered with replica 0, primary of view 0; session numbers are 100 + n. */
static uint32_t open_registered(uint64_t n)
{
    const uint32_t session = proxy_open(f.proxy, client(n));
    submit(session);
    registered(0, VIEW(0), client(n), 100 + n);
    answered(0, VIEW(0), client(n), 100 + n, 1, "ok");
    ck_assert_uint_eq(f.done_count, 1);
    f.done_count = 0;
    forget_sent();
    return session;
}

/* The group is known: configuration, view 0, one registered session; nothing is remembered as sent.
 */
static uint32_t settled(void)
{
    const uint32_t session = proxy_open(f.proxy, client(0));
    submit(session);
    status(0, VIEW(0));
    struct net_address addresses[REPLICAS];
    for (uint32_t i = 0; i < REPLICAS; i++) {
        addresses[i] = address_of(i);
    }
    proxy_set_member_addresses(f.proxy, addresses, f.now_ns);
    drain();
    registered(0, VIEW(0), client(0), 100);
    answered(0, VIEW(0), client(0), 100, 1, "ok");
    ck_assert_uint_eq(f.done_count, 1);
    f.done_count = 0;
    forget_sent();
    return session;
}

/* ---- C1, C2: sessions ---- */

/* C1: the first request registers the session through the log; both go out without being asked. */
START_TEST(first_request_registers)
{
    const uint32_t session = proxy_open(f.proxy, client(0));
    ck_assert_uint_eq(f.sent_count, 0);
    submit(session);
    for (uint32_t i = 0; i < REPLICAS; i++) {
        ck_assert_uint_eq(count_to(i, ENTRY_REGISTER), 1); /* nobody knows who is primary yet */
    }
    ck_assert_uint_eq(count_sent(MESSAGE_STATUS_REQUEST), REPLICAS);

    forget_sent();
    registered(0, VIEW(0), client(0), 17);
    ck_assert_uint_eq(f.sent_count, 1);
    const struct request *request = &last_sent()->message.request;
    ck_assert_uint_eq(request->session, 17);
    ck_assert_uint_eq(request->request_number, 1);
    ck_assert_int_eq((int)request->kind, ENTRY_OPERATION);
    ck_assert_ptr_eq(request->operation, OPERATION);

    answered(0, VIEW(0), client(0), 17, 1, "done");
    const struct proxy_output *done = only_done(PROXY_OK, PROXY_ERROR_NONE);
    ck_assert_uint_eq(done->done.result_size, 4);
    ck_assert_str_eq(f.result[0], "done");
    ck_assert_uint_eq(done->done.op_number, 18);
    ck_assert_uint_eq(done->done.view_number, VIEW(0));
}
END_TEST

/* C2: request numbers rise within a session, and a session registers once. */
START_TEST(request_numbers_rise)
{
    const uint32_t session = open_registered(0);
    for (uint64_t n = 2; n < 5; n++) {
        submit(session);
        ck_assert_uint_eq(f.sent_count, 1);
        ck_assert_uint_eq(last_sent()->message.request.request_number, n);
        forget_sent();
        answered(0, VIEW(0), client(0), 100, n, "ok");
    }
    ck_assert_uint_eq(f.done_count, 3);
}
END_TEST

START_TEST(sessions_are_bounded_and_named_once)
{
    struct proxy_options options;
    proxy_options_default(&options);
    options.sessions_max = 2;
    setup_with(options);
    ck_assert_uint_eq(proxy_open(f.proxy, client(0)), 0);
    ck_assert_uint_eq(proxy_open(f.proxy, client(0)), UINT32_MAX);
    const uint32_t second = proxy_open(f.proxy, client(1));
    ck_assert_uint_eq(proxy_open(f.proxy, client(2)), UINT32_MAX);
    proxy_close(f.proxy, second, f.now_ns);
    drain();
    ck_assert_uint_eq(f.sent_count, 0); /* it never registered: there is nothing to close */
    ck_assert_uint_ne(proxy_open(f.proxy, client(2)), UINT32_MAX);
}
END_TEST

START_TEST(close_unregisters_once)
{
    const uint32_t session = open_registered(0);
    proxy_close(f.proxy, session, f.now_ns);
    drain();
    ck_assert_uint_eq(f.sent_count, 1);
    ck_assert_uint_eq(count_to(0, ENTRY_UNREGISTER), 1);
    ck_assert_uint_eq(last_sent()->message.request.session, 100);
    ck_assert_uint_eq(last_sent()->message.request.request_number, 0);
    advance_ms(10000);
    ck_assert_uint_eq(f.sent_count, 1); /* best effort */
    uint32_t free_count = 0;
    while (proxy_open(f.proxy, client(9 + free_count)) != UINT32_MAX) {
        free_count++;
    }
    ck_assert_uint_eq(free_count, 256); /* its slot is free again */
}
END_TEST

/* PITFALLS CT-2: a late reply to an older request, to another session number, or of another client
 * is never taken for the answer. */
START_TEST(replies_to_something_else_are_ignored)
{
    const uint32_t session = open_registered(0);
    submit(session); /* request 2 */
    answered(0, VIEW(0), client(0), 100, 1, "old");
    answered(0, VIEW(0), client(0), 99, 2, "other session");
    answered(0, VIEW(0), client(0), 100, 3, "future");
    answered(0, VIEW(0), client(5), 100, 2, "other client");
    registered(0, VIEW(0), client(0), 100); /* a duplicate of the Register's */
    ck_assert_uint_eq(f.done_count, 0);
    answered(0, VIEW(0), client(0), 100, 2, "mine");
    ck_assert_str_eq(f.result[0], "mine");
    only_done(PROXY_OK, PROXY_ERROR_NONE);
    answered(0, VIEW(0), client(0), 100, 2, "mine"); /* duplicated */
    ck_assert_uint_eq(f.done_count, 1);
}
END_TEST

/* Only what a session has in flight can be answered: a reply to a closed one finds nobody. */
START_TEST(replies_after_close_are_ignored)
{
    const uint32_t session = open_registered(0);
    proxy_close(f.proxy, session, f.now_ns);
    drain();
    registered(0, VIEW(0), client(0), 100);
    answered(0, VIEW(0), client(0), 100, 1, "late");
    ck_assert_uint_eq(f.done_count, 0);
}
END_TEST

/* ---- C4: eviction ---- */

/* PITFALLS CT-3, CT-8: sent once is not arrived once. The network's first copy was executed, its
 * reply lost, the session evicted; the second copy is what is answered here. */
START_TEST(expired_session_is_unknown_even_if_sent_once)
{
    const uint32_t session = open_registered(0);
    forget_sent();
    submit(session);
    ck_assert_uint_eq(f.sent_count, 1);
    refused_reply(REPLY_SESSION_EXPIRED, 100, 2);
    only_done(PROXY_UNKNOWN, PROXY_ERROR_SESSION_EXPIRED);
}
END_TEST

/* PITFALLS CT-3, CT-4, CT-8: sent more than once, an earlier copy may have been executed. */
START_TEST(expired_session_is_unknown_if_sent_before)
{
    const uint32_t session = open_registered(0);
    submit(session);
    advance_ms(30); /* it was sent again */
    refused_reply(REPLY_SESSION_EXPIRED, 100, 2);
    only_done(PROXY_UNKNOWN, PROXY_ERROR_SESSION_EXPIRED);

    f.done_count = 0;
    forget_sent();
    submit(session); /* the session itself is usable again */
    ck_assert_uint_eq(count_to(0, ENTRY_REGISTER), 1);
}
END_TEST

/* Reads change nothing, so they may be asked again in any case, in a session of their own. */
START_TEST(expired_session_goes_on_with_a_read)
{
    const uint32_t session = open_registered(0);
    submit_as(session, true, 5000);
    advance_ms(30);
    forget_sent();
    refused_reply(REPLY_SESSION_EXPIRED, 100, 2);
    ck_assert_uint_eq(f.done_count, 0);
    ck_assert_uint_eq(count_to(0, ENTRY_REGISTER), 1);
    /* A late duplicate of the first Register's reply names the evicted session. */
    registered(0, VIEW(0), client(0), 100);
    ck_assert_uint_eq(count_to(0, ENTRY_OPERATION), 0);
    registered(0, VIEW(0), client(0), 500);
    ck_assert_uint_eq(last_sent()->message.request.session, 500);
    ck_assert_uint_eq(last_sent()->message.request.request_number, 3);
    answered(0, VIEW(0), client(0), 500, 3, "ok");
    only_done(PROXY_OK, PROXY_ERROR_NONE);
}
END_TEST

/* PITFALLS CT-7, CT-9: the number belongs to another payload: an error, and surely not executed. */
START_TEST(payload_mismatch_is_an_error)
{
    const uint32_t session = open_registered(0);
    submit(session);
    refused_reply(REPLY_PAYLOAD_MISMATCH, 100, 2);
    only_done(PROXY_FAILED, PROXY_ERROR_PAYLOAD_MISMATCH);
}
END_TEST

/* PITFALLS CT-4, CT-7: a later request of the session was executed: by another process. */
START_TEST(superseded_is_unknown)
{
    const uint32_t session = open_registered(0);
    submit(session);
    refused_reply(REPLY_SUPERSEDED, 100, 2);
    only_done(PROXY_UNKNOWN, PROXY_ERROR_PAYLOAD_MISMATCH);
}
END_TEST

/* ---- C5: resends and outcomes ---- */

START_TEST(resends_back_off_to_everybody)
{
    const uint32_t session = open_registered(0);
    submit(session);
    ck_assert_uint_eq(f.sent_count, 1); /* the first goes to the primary alone */
    const uint64_t begin = f.now_ns;
    advance_ms(3000);
    uint64_t last = begin;
    uint32_t rounds = 0;
    for (uint32_t i = 1; i < f.sent_count; i++) {
        const struct sent *sent = &f.sent[i];
        if (sent->message.type != MESSAGE_REQUEST || sent->at_ns == last) {
            continue;
        }
        const uint64_t gap = sent->at_ns - last;
        ck_assert_uint_ge(gap, 15 * MS); /* 20 ms less a quarter of jitter */
        ck_assert_uint_le(gap, sent->at_ns - begin < SECOND ? 100 * MS : 500 * MS);
        last = sent->at_ns;
        rounds++;
    }
    ck_assert_uint_ge(rounds, 12);
    ck_assert_uint_le(rounds, 25);
    for (uint32_t i = 0; i < REPLICAS; i++) {
        ck_assert_uint_eq(count_to(i, ENTRY_OPERATION), rounds + (i == 0 ? 1 : 0));
    }
}
END_TEST

/* C5: 4 round trips where those are long. */
START_TEST(first_resend_waits_four_round_trips)
{
    const uint32_t session = open_registered(0);
    for (uint64_t n = 2; n < 60; n++) {
        submit_as(session, false, 5000);
        advance_ms(n < 10 ? 10 : 40);
        answered(0, VIEW(0), client(0), 100, n, "ok");
    }
    forget_sent();
    const uint64_t begin = f.now_ns;
    submit(session);
    advance_ms(115); /* 4 * 40 ms, less a quarter */
    ck_assert_uint_eq(count_sent(MESSAGE_REQUEST), 1);
    advance_ms(60);
    ck_assert_uint_gt(count_sent(MESSAGE_REQUEST), 1);
    ck_assert_uint_gt(proxy_view(f.proxy)->rtt_ns, 30 * MS);
    ck_assert_uint_eq(f.sent[0].at_ns, begin);
}
END_TEST

/* A request that was sent is unknown after silence; PITFALLS CT-8. */
START_TEST(silence_after_a_write_is_unknown)
{
    const uint32_t session = open_registered(0);
    submit_as(session, false, 1000);
    advance_ms(999);
    ck_assert_uint_eq(f.done_count, 0);
    advance_ms(1);
    const struct proxy_output *done = only_done(PROXY_UNKNOWN, PROXY_ERROR_TIMEOUT);
    ck_assert_uint_gt(done->done.retries, 5);
}
END_TEST

START_TEST(silence_after_a_read_is_failed)
{
    const uint32_t session = open_registered(0);
    submit_as(session, true, 1000);
    advance_ms(1000);
    only_done(PROXY_FAILED, PROXY_ERROR_TIMEOUT);
}
END_TEST

/* The operation itself was never sent: no session yet. */
START_TEST(silence_before_registration_is_failed)
{
    const uint32_t session = proxy_open(f.proxy, client(0));
    submit_as(session, false, 1000);
    advance_ms(1000);
    only_done(PROXY_FAILED, PROXY_ERROR_TIMEOUT);
    ck_assert_uint_eq(count_to(0, ENTRY_OPERATION), 0);
    ck_assert_uint_gt(count_sent(MESSAGE_STATUS_REQUEST), REPLICAS);
    forget_sent();
    advance_ms(10000);
    ck_assert_uint_eq(f.sent_count, 0); /* nobody wants anything: no traffic */
}
END_TEST

START_TEST(deadline_in_the_past_is_failed_and_not_sent)
{
    const uint32_t session = open_registered(0);
    proxy_submit(f.proxy, session, OPERATION, sizeof OPERATION - 1, false, f.now_ns, f.now_ns);
    drain();
    only_done(PROXY_FAILED, PROXY_ERROR_TIMEOUT);
    ck_assert_uint_eq(f.sent_count, 0);
}
END_TEST

START_TEST(cancel_says_what_is_known)
{
    const uint32_t session = open_registered(0);
    submit(session);
    proxy_cancel(f.proxy, session, f.now_ns);
    drain();
    only_done(PROXY_UNKNOWN, PROXY_ERROR_CANCELLED);
    f.done_count = 0;
    const uint32_t unregistered = proxy_open(f.proxy, client(1));
    submit(unregistered);
    proxy_cancel(f.proxy, unregistered, f.now_ns);
    drain();
    only_done(PROXY_FAILED, PROXY_ERROR_CANCELLED);
    proxy_cancel(f.proxy, unregistered, f.now_ns); /* nothing in flight: nothing happens */
    drain();
    ck_assert_uint_eq(f.done_count, 1);
}
END_TEST

START_TEST(too_large_is_failed_and_not_sent)
{
    const uint32_t session = settled();
    uint8_t *large = calloc(1, OPERATION_SIZE_MAX + 1);
    proxy_submit(f.proxy, session, large, OPERATION_SIZE_MAX + 1, false, f.now_ns + SECOND,
                 f.now_ns);
    drain();
    only_done(PROXY_FAILED, PROXY_ERROR_TOO_LARGE);
    ck_assert_uint_eq(f.sent_count, 0);
    free(large);
}
END_TEST

/* A cluster may be initialised with a smaller limit than this client knows (E0). */
START_TEST(too_large_for_this_cluster_is_failed)
{
    f.configuration.parameters.operation_size_max = 4;
    const uint32_t session = proxy_open(f.proxy, client(0));
    submit(session); /* the limit is not known yet */
    status(0, VIEW(0));
    registered(0, VIEW(0), client(0), 100);
    refused_reply(REPLY_OPERATION_TOO_LARGE, 100, 1);
    only_done(PROXY_FAILED, PROXY_ERROR_TOO_LARGE);
    forget_sent();
    submit(session);
    ck_assert_uint_eq(f.done_count, 2);
    ck_assert_int_eq((int)f.done[1].done.error, PROXY_ERROR_TOO_LARGE);
    ck_assert_uint_eq(count_sent(MESSAGE_REQUEST), 0);
}
END_TEST

/* ---- C5: one session probes ---- */

START_TEST(one_session_probes_a_silent_group)
{
    enum { SESSIONS = 40 };
    uint32_t sessions[SESSIONS];
    for (uint32_t i = 0; i < SESSIONS; i++) {
        sessions[i] = open_registered(i);
    }
    advance_ms(1000); /* so that the replies are long ago */
    for (uint32_t i = 0; i < SESSIONS; i++) {
        submit(sessions[i]);
    }
    ck_assert_uint_eq(count_to(0, ENTRY_OPERATION), SESSIONS);
    forget_sent();
    advance_ms(500);
    struct client_id prober = f.sent[0].message.request.client_id;
    for (uint32_t i = 0; i < f.sent_count; i++) {
        if (f.sent[i].message.type == MESSAGE_REQUEST) {
            ck_assert(client_id_equal(f.sent[i].message.request.client_id, prober));
        }
    }
    ck_assert_uint_gt(count_to(1, ENTRY_OPERATION), 4);
    ck_assert_uint_ne(proxy_view(f.proxy)->silent_since_ns, 0);

    /* An answer to the prober: all the others resume at once, at the primary. */
    forget_sent();
    answered(0, VIEW(0), prober, 100 + (prober.low - 1000), 2, "ok");
    ck_assert_uint_eq(f.done_count, 1);
    ck_assert_uint_eq(count_to(0, ENTRY_OPERATION), SESSIONS - 1);
    ck_assert_uint_eq(f.sent_count, SESSIONS - 1);
    ck_assert_uint_eq(f.sent[0].at_ns, f.now_ns);
    ck_assert_uint_eq(proxy_view(f.proxy)->silent_since_ns, 0);
}
END_TEST

/* What is submitted while the group is silent is not sent, so its failure is definite. */
START_TEST(requests_during_silence_are_not_sent)
{
    const uint32_t first = open_registered(0);
    const uint32_t second = open_registered(1);
    advance_ms(1000);
    submit(first);
    advance_ms(100);
    forget_sent();
    submit_as(second, false, 300);
    ck_assert_uint_eq(f.sent_count, 0);
    advance_ms(300);
    only_done(PROXY_FAILED, PROXY_ERROR_TIMEOUT);
    ck_assert_uint_eq(f.done[0].done.session, second);
}
END_TEST

START_TEST(probing_is_handed_over)
{
    const uint32_t first = open_registered(0);
    const uint32_t second = open_registered(1);
    advance_ms(1000);
    submit_as(first, false, 200);
    submit_as(second, false, 5000);
    advance_ms(199);
    forget_sent();
    advance_ms(1); /* the prober's deadline */
    only_done(PROXY_UNKNOWN, PROXY_ERROR_TIMEOUT);
    ck_assert_uint_eq(count_sent(MESSAGE_REQUEST), REPLICAS);
    ck_assert(client_id_equal(last_sent()->message.request.client_id, client(1)));
    advance_ms(300);
    ck_assert_uint_gt(count_to(2, ENTRY_OPERATION), 3);
}
END_TEST

/* Others are answered: a session whose own datagram was lost resends by itself. */
START_TEST(a_lost_request_is_resent_while_others_are_served)
{
    const uint32_t lost = open_registered(0);
    const uint32_t served = open_registered(1);
    submit(lost);
    for (uint64_t n = 2; n < 12; n++) {
        submit(served);
        advance_ms(3);
        answered(0, VIEW(0), client(1), 101, n, "ok");
    }
    ck_assert_uint_eq(proxy_view(f.proxy)->silent_since_ns, 0);
    uint32_t resent = 0;
    for (uint32_t i = 0; i < f.sent_count; i++) {
        resent += f.sent[i].message.type == MESSAGE_REQUEST &&
                  client_id_equal(f.sent[i].message.request.client_id, client(0));
    }
    ck_assert_uint_eq(resent, 1 + REPLICAS);
    answered(0, VIEW(0), client(0), 100, 2, "ok");
    ck_assert_uint_eq(f.done[10].done.retries, 1);
}
END_TEST

/* At the very start nobody knows the primary: one session asks everybody, not all of them. */
START_TEST(start_of_many_sessions_asks_once)
{
    for (uint32_t i = 0; i < 50; i++) {
        submit(proxy_open(f.proxy, client(i)));
    }
    ck_assert_uint_eq(count_sent(MESSAGE_REQUEST), REPLICAS);
    forget_sent();
    registered(0, VIEW(0), client(0), 100);
    ck_assert_uint_eq(count_to(0, ENTRY_OPERATION), 1);
    ck_assert_uint_eq(count_to(0, ENTRY_REGISTER), 49);
    ck_assert_uint_eq(f.sent_count, 50);
}
END_TEST

/* ---- C6: who is primary ---- */

START_TEST(not_primary_moves_everybody)
{
    const uint32_t first = settled();
    const uint32_t second = proxy_open(f.proxy, client(1));
    submit(first);
    submit(second);
    forget_sent();
    not_primary(0, client(0), 100, 2, VIEW(1));
    ck_assert_uint_eq(count_to(1, ENTRY_OPERATION), 1);
    ck_assert_uint_eq(count_to(1, ENTRY_REGISTER), 1);
    ck_assert_uint_eq(f.sent_count, 2);
    ck_assert_uint_eq(proxy_view(f.proxy)->primary_id, 1);
    ck_assert_uint_eq(proxy_view(f.proxy)->view_number, VIEW(1));
}
END_TEST

START_TEST(reply_of_later_view_moves_everybody)
{
    const uint32_t first = settled();
    const uint32_t second = proxy_open(f.proxy, client(1));
    submit(first);
    submit(second);
    forget_sent();
    answered(2, VIEW(5), client(0), 100, 2, "ok");
    only_done(PROXY_OK, PROXY_ERROR_NONE);
    ck_assert_uint_eq(count_to(2, ENTRY_REGISTER), 1);
    ck_assert_uint_eq(f.sent_count, 1);
    submit(first);
    ck_assert_uint_eq(count_to(2, ENTRY_OPERATION), 1);
}
END_TEST

/* A view that is known already is no reason to send anything. */
START_TEST(older_views_are_no_news)
{
    const uint32_t session = settled();
    submit(session);
    not_primary(0, client(0), 100, 2, VIEW(4));
    forget_sent();
    not_primary(2, client(0), 100, 2, VIEW(3));
    not_primary(2, client(0), 100, 2, VIEW(4));
    not_primary(2, client(0), 100, 2, VIEW_NONE);
    ck_assert_uint_eq(f.sent_count, 0);
    ck_assert_uint_eq(proxy_view(f.proxy)->view_number, VIEW(4));
}
END_TEST

/* Who was taken for the primary says it is not, and nothing newer: everybody is asked at once. */
START_TEST(not_primary_from_the_primary_asks_everybody)
{
    const uint32_t session = settled();
    submit(session);
    forget_sent();
    not_primary(0, client(0), 100, 2, VIEW(0));
    ck_assert_uint_eq(count_sent(MESSAGE_REQUEST), REPLICAS);
    forget_sent();
    for (uint32_t i = 0; i < 10; i++) {
        not_primary(0, client(0), 100, 2, VIEW(0));
    }
    ck_assert_uint_eq(f.sent_count, 0); /* from now on the timer decides */
}
END_TEST

/* NotPrimary names whose request it answers; one that names nobody here is a stranger's. */
START_TEST(not_primary_of_a_stranger_is_ignored)
{
    const uint32_t session = settled();
    submit(session);
    forget_sent();
    not_primary(0, client(77), 100, 2, VIEW(9));
    ck_assert_uint_eq(f.sent_count, 0);
    ck_assert_uint_eq(proxy_view(f.proxy)->view_number, VIEW(0));
}
END_TEST

/* PITFALLS VC-21: a hint may be wrong. The request is then broadcast, and who answers is asked
 * first from then on, though its view is lower than the hint. */
START_TEST(false_hint_is_corrected)
{
    const uint32_t session = settled();
    submit(session);
    not_primary(2, client(0), 100, 2, VIEW(1000)); /* primary would be replica 1 */
    answered(0, VIEW(0), client(0), 100, 2, "ok");
    f.done_count = 0;
    forget_sent();
    advance_ms(1);
    submit(session);
    ck_assert_uint_eq(count_to(1, ENTRY_OPERATION), 1);
    ck_assert_uint_eq(f.sent_count, 1);
    advance_ms(40);
    ck_assert_uint_ge(count_to(0, ENTRY_OPERATION), 1); /* the fallback */
    answered(0, VIEW(0), client(0), 100, 3, "ok");
    only_done(PROXY_OK, PROXY_ERROR_NONE);
    forget_sent();
    submit(session);
    ck_assert_uint_eq(f.sent_count, 1);
    ck_assert_uint_eq(count_to(0, ENTRY_OPERATION), 1);
    ck_assert_uint_eq(proxy_view(f.proxy)->view_number, VIEW(0));
}
END_TEST

/* Parked sessions go on as soon as a later view is heard of, whoever says so. */
START_TEST(later_view_ends_the_silence)
{
    const uint32_t first = settled();
    const uint32_t second = open_registered(1);
    advance_ms(1000);
    submit(first);
    submit(second);
    advance_ms(200);
    forget_sent();
    not_primary(2, client(0), 100, 2, VIEW(1));
    ck_assert_uint_eq(count_to(1, ENTRY_OPERATION), 2);
    ck_assert_uint_eq(f.sent_count, 2);
    ck_assert_uint_eq(f.sent[0].at_ns, f.now_ns);
}
END_TEST

/* ---- M7: the configuration ---- */

START_TEST(status_tells_who_is_primary)
{
    const uint32_t session = proxy_open(f.proxy, client(0));
    submit(session);
    ck_assert_uint_eq(proxy_view(f.proxy)->primary_id, REPLICA_NONE);
    forget_sent();
    f.sent_count = 0;
    submit(proxy_open(f.proxy, client(1)));
    ck_assert_uint_eq(f.sent_count, 0);
    proxy_ask_status(f.proxy, f.now_ns);
    drain();
    status(0, VIEW(2));
    const struct proxy_view *view = proxy_view(f.proxy);
    ck_assert_ptr_nonnull(view->configuration);
    ck_assert_uint_eq(view->configuration_count, 1);
    ck_assert_uint_eq(view->cluster_id, CLUSTER);
    ck_assert_uint_eq(view->primary_id, 2);
    advance_ms(5);
    forget_sent();
    advance_ms(4000);
    ck_assert_uint_eq(count_sent(MESSAGE_STATUS_REQUEST), 0); /* known: not asked again */
}
END_TEST

START_TEST(status_with_another_nonce_is_ignored)
{
    submit(proxy_open(f.proxy, client(0)));
    status_with_nonce(0, VIEW(2), status_nonce() + 1);
    ck_assert_ptr_null(proxy_view(f.proxy)->configuration);
    ck_assert_uint_eq(proxy_view(f.proxy)->view_number, VIEW_NONE);
}
END_TEST

/* Seeds are only where to look: the members replace them, and what was known of them stays known.
 */
START_TEST(members_replace_seeds)
{
    const uint32_t session = proxy_open(f.proxy, client(0));
    submit(session);
    challenge(2, 222);
    status(2, VIEW(0));
    struct net_address addresses[REPLICAS] = {address_of(2), address_of(1), address_of(40)};
    forget_sent();
    proxy_set_member_addresses(f.proxy, addresses, f.now_ns);
    drain();
    const struct proxy_view *view = proxy_view(f.proxy);
    ck_assert_uint_eq(view->target_count, REPLICAS);
    ck_assert(net_address_equal(&view->targets[0].address, &addresses[0]));
    ck_assert_uint_ne(view->targets[0].heard_ns, 0);
    ck_assert_uint_eq(view->targets[2].heard_ns, 0);
    advance_ms(40); /* the retry goes to the members, with the token that belongs to the address */
    bool found = false;
    for (uint32_t i = 0; i < f.sent_count; i++) {
        ck_assert(!net_address_equal(&f.sent[i].address, &(struct net_address){0}));
        if (net_address_equal(&f.sent[i].address, &addresses[0])) {
            ck_assert_uint_eq(f.sent[i].token, 222);
            found = true;
        }
    }
    ck_assert(found);
}
END_TEST

/* Names that cannot be resolved: the seeds are what is left. */
START_TEST(unknown_member_addresses_keep_the_seeds)
{
    submit(proxy_open(f.proxy, client(0)));
    status(0, VIEW(0));
    const struct net_address nowhere[REPLICAS] = {0};
    proxy_set_member_addresses(f.proxy, nowhere, f.now_ns);
    drain();
    const struct net_address seed = address_of(1);
    ck_assert(net_address_equal(&proxy_view(f.proxy)->targets[1].address, &seed));
}
END_TEST

/* A later epoch: the configuration is asked for anew (E1). */
START_TEST(later_epoch_asks_for_the_configuration)
{
    const uint32_t session = settled();
    submit(session);
    forget_sent();
    not_primary(1, client(0), 100, 2, view_make(2, 0));
    ck_assert_uint_eq(count_sent(MESSAGE_STATUS_REQUEST), REPLICAS);
    f.configuration.epoch = 2;
    status(1, view_make(2, 1));
    ck_assert_uint_eq(proxy_view(f.proxy)->configuration_count, 2);
    ck_assert_uint_eq(proxy_view(f.proxy)->primary_id, 1);
}
END_TEST

/* ---- M3, M7: strangers ---- */

/* The token a replica hands out is echoed to it, at once and from then on, and to it alone. */
START_TEST(challenge_is_echoed)
{
    const uint32_t session = proxy_open(f.proxy, client(0));
    submit(session);
    for (uint32_t i = 0; i < f.sent_count; i++) {
        ck_assert_uint_eq(f.sent[i].token, 0);
    }
    forget_sent();
    challenge(1, 111);
    ck_assert_uint_eq(count_to(1, ENTRY_REGISTER), 1);
    ck_assert_uint_eq(count_sent(MESSAGE_STATUS_REQUEST), 1);
    ck_assert_uint_eq(f.sent_count, 2);
    ck_assert_uint_eq(f.sent[0].token, 111);
    ck_assert_uint_eq(f.sent[1].token, 111);
    forget_sent();
    challenge(1, 111); /* a duplicate */
    ck_assert_uint_eq(f.sent_count, 0);
    advance_ms(30);
    for (uint32_t i = 0; i < f.sent_count; i++) {
        const struct net_address second = address_of(1);
        const bool to_second = net_address_equal(&f.sent[i].address, &second);
        ck_assert_uint_eq(f.sent[i].token, to_second ? 111 : 0);
    }
    ck_assert_uint_gt(f.sent_count, 0);
}
END_TEST

/* A replica restarted: its old token means nothing to it, and it challenges again. */
START_TEST(token_of_a_restarted_replica_is_replaced)
{
    const uint32_t session = settled();
    submit(session);
    challenge(0, 5);
    answered(0, VIEW(0), client(0), 100, 2, "ok");
    advance_ms(1000);
    forget_sent();
    submit(session);
    ck_assert_uint_eq(last_sent()->token, 5);
    challenge(0, 6);
    ck_assert_uint_eq(f.sent_count, 2);
    ck_assert_uint_eq(last_sent()->token, 6);
    ck_assert_uint_eq(f.done_count, 1);
}
END_TEST

/* Forged challenges must not make this client a source of traffic. */
START_TEST(challenges_are_answered_at_a_bounded_rate)
{
    const uint32_t session = settled();
    submit(session);
    forget_sent();
    for (uint64_t token = 1; token < 100; token++) {
        challenge(0, token);
    }
    ck_assert_uint_le(f.sent_count, 1);
    receive(7, (struct message){.type = MESSAGE_CHALLENGE, .challenge = {.token = 9}});
    ck_assert_uint_le(f.sent_count, 1); /* nobody we know */
}
END_TEST

START_TEST(wrong_cluster_fails_at_once)
{
    struct proxy_options options;
    proxy_options_default(&options);
    options.cluster_id = 0xbad;
    setup_with(options);
    const uint32_t session = proxy_open(f.proxy, client(0));
    submit(session);
    receive(0, (struct message){
                   .type = MESSAGE_REFUSED,
                   .refused = {.reason = REFUSED_CLUSTER, .own = CLUSTER, .yours = 0xbad}});
    only_done(PROXY_FAILED, PROXY_ERROR_WRONG_CLUSTER);
    ck_assert_uint_eq(proxy_view(f.proxy)->refusal.own, CLUSTER);
}
END_TEST

START_TEST(wrong_version_fails_at_once)
{
    submit(proxy_open(f.proxy, client(0)));
    receive(0, (struct message){.type = MESSAGE_REFUSED,
                                .refused = {.reason = REFUSED_VERSION, .own = 2, .yours = 1}});
    only_done(PROXY_FAILED, PROXY_ERROR_WRONG_VERSION);
}
END_TEST

static bool heard_cluster(uint32_t replica, uint64_t cluster_id)
{
    const struct net_address address = address_of(replica);
    const bool used = proxy_heard_cluster(f.proxy, &address, cluster_id);
    drain();
    return used;
}

static void assert_two_clusters_named(void)
{
    ck_assert_uint_eq(proxy_view(f.proxy)->refusal.own, 0xbad);
    ck_assert_uint_eq(proxy_view(f.proxy)->refusal.yours, CLUSTER);
}

/* M7: the first cluster that answers is pinned; two in one list are an error that names both. */
START_TEST(two_clusters_in_one_list)
{
    setup_unpinned();
    submit(proxy_open(f.proxy, client(0)));
    ck_assert(heard_cluster(0, CLUSTER));
    ck_assert(heard_cluster(1, CLUSTER));
    ck_assert(!heard_cluster(2, 0xbad));
    only_done(PROXY_FAILED, PROXY_ERROR_WRONG_CLUSTER);
    assert_two_clusters_named();
}
END_TEST

/* A client of two clusters: registered with the first, whose configuration it has. */
static uint32_t registered_at_one_of_two(void)
{
    setup_unpinned();
    const uint32_t session = proxy_open(f.proxy, client(0));
    submit(session);
    ck_assert(heard_cluster(0, CLUSTER));
    status(0, VIEW(0));
    registered(0, VIEW(0), client(0), 100);
    return session;
}

/* The quicker one's configuration and session make no difference: nothing is executed by a group
 * that may be the wrong one. */
START_TEST(operations_wait_for_all_seeds)
{
    const uint32_t session = registered_at_one_of_two();
    ck_assert_uint_eq(count_to(0, ENTRY_OPERATION), 0);
    status(1, VIEW(0));
    ck_assert_uint_eq(count_to(0, ENTRY_OPERATION), 0);
    ck_assert(!heard_cluster(2, 0xbad));
    only_done(PROXY_FAILED, PROXY_ERROR_WRONG_CLUSTER);
    assert_two_clusters_named();

    /* The list stays wrong, and nothing is sent any more. */
    f.done_count = 0;
    forget_sent();
    submit(session);
    only_done(PROXY_FAILED, PROXY_ERROR_WRONG_CLUSTER);
    ck_assert_uint_eq(f.sent_count, 0);
}
END_TEST

/* No time passes once all seeds have answered, in whatever way. */
START_TEST(operations_go_on_with_the_last_seed)
{
    registered_at_one_of_two();
    challenge(1, 5);
    ck_assert_uint_eq(count_to(0, ENTRY_OPERATION), 0);
    not_primary(2, client(0), 0, 0, VIEW(0));
    ck_assert_uint_eq(count_to(0, ENTRY_OPERATION), 1);
    answered(0, VIEW(0), client(0), 100, 1, "ok");
    only_done(PROXY_OK, PROXY_ERROR_NONE);
}
END_TEST

/* A dead seed costs a short grace, once, in which it is asked again; and it is not asked about
 * when the cluster's id was known beforehand. */
START_TEST(dead_seed_costs_a_short_grace)
{
    const uint32_t session = registered_at_one_of_two();
    status(1, VIEW(0));
    forget_sent();
    advance_ms(19);
    ck_assert_uint_eq(count_to(0, ENTRY_OPERATION), 0);
    ck_assert_uint_eq(count_sent(MESSAGE_STATUS_REQUEST), 1);
    const struct net_address third = address_of(2);
    ck_assert(net_address_equal(&last_sent()->address, &third));
    advance_ms(1);
    ck_assert_uint_eq(count_to(0, ENTRY_OPERATION), 1);
    answered(0, VIEW(0), client(0), 100, 1, "ok");
    forget_sent();
    submit(session);
    ck_assert_uint_eq(count_to(0, ENTRY_OPERATION), 1);
}
END_TEST

/* Where answers take longer, so may the last one; but not for ever. */
START_TEST(grace_grows_with_the_round_trip)
{
    static const struct {
        uint64_t rtt_ms;
        uint64_t grace_ms;
    } cases[] = {{1, 20}, {10, 40}, {15, 60}, {2000, 100}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        setup_unpinned();
        submit(proxy_open(f.proxy, client(0)));
        advance_ms(cases[i].rtt_ms);
        ck_assert(heard_cluster(0, CLUSTER));
        registered(0, VIEW(0), client(0), 100);
        advance_ms(cases[i].grace_ms - 1);
        ck_assert_uint_eq(count_to(0, ENTRY_OPERATION), 0);
        advance_ms(1);
        ck_assert_uint_eq(count_to(0, ENTRY_OPERATION), 1);
    }
}
END_TEST

/* M7: somebody gave the port of the peers; what else is in the list makes no difference. */
START_TEST(peers_port_is_an_error)
{
    registered_at_one_of_two();
    receive(1, (struct message){.type = MESSAGE_REFUSED,
                                .refused = {.reason = REFUSED_PEERS_PORT, .own = 8000}});
    only_done(PROXY_FAILED, PROXY_ERROR_WRONG_PORT);
    const struct net_address asked = address_of(1);
    ck_assert(net_address_equal(&proxy_view(f.proxy)->refused_by, &asked));
}
END_TEST

/* A deadline within the grace: surely not executed. */
START_TEST(deadline_while_seeds_are_awaited_is_failed)
{
    setup_unpinned();
    const uint32_t session = proxy_open(f.proxy, client(0));
    submit_as(session, false, 10);
    registered(0, VIEW(0), client(0), 100);
    advance_ms(10);
    only_done(PROXY_FAILED, PROXY_ERROR_TIMEOUT);
    ck_assert_uint_eq(count_to(0, ENTRY_OPERATION), 0);
}
END_TEST

/* A seed that nothing was heard of until now may prove the list wrong at any time, though the
 * configuration has replaced the seeds. */
START_TEST(late_foreign_seed_is_an_error)
{
    registered_at_one_of_two();
    const struct net_address addresses[REPLICAS] = {address_of(0), address_of(1), address_of(3)};
    proxy_set_member_addresses(f.proxy, addresses, f.now_ns);
    advance_ms(20);
    ck_assert_uint_eq(count_to(0, ENTRY_OPERATION), 1);
    ck_assert(!heard_cluster(2, 0xbad));
    only_done(PROXY_UNKNOWN, PROXY_ERROR_WRONG_CLUSTER);
    assert_two_clusters_named();
}
END_TEST

/* Once the group is known, a stray answer of another one ends nothing. */
START_TEST(stray_cluster_later_is_only_refused)
{
    const uint32_t session = settled();
    submit(session);
    ck_assert(!heard_cluster(0, 0xbad));
    receive(2, (struct message){.type = MESSAGE_REFUSED,
                                .refused = {.reason = REFUSED_VERSION, .own = 9, .yours = 1}});
    ck_assert_uint_eq(f.done_count, 0);
    answered(0, VIEW(0), client(0), 100, 2, "ok");
    only_done(PROXY_OK, PROXY_ERROR_NONE);
}
END_TEST

/* ---- Busy ---- */

static void busy(uint32_t replica, struct client_id id, uint64_t session, uint64_t request_number)
{
    receive(replica, (struct message){.type = MESSAGE_BUSY,
                                      .busy = {.client_id = id,
                                               .session = session,
                                               .request_number = request_number,
                                               .view_number = VIEW(0),
                                               .reason = BUSY_QUEUE_FULL}});
}

/* Busy: back off, ask the primary alone, and keep the request until its deadline. */
START_TEST(busy_backs_off)
{
    const uint32_t session = settled();
    submit_as(session, false, 2000);
    forget_sent();
    for (uint32_t i = 0; i < 5; i++) {
        busy(0, client(0), 100, 2);
        ck_assert_uint_eq(f.sent_count, i); /* not at once */
        const uint64_t before = f.now_ns;
        while (f.sent_count == i) {
            advance_ms(1);
        }
        ck_assert_uint_ge(f.now_ns - before, 15 * MS);
        ck_assert_uint_eq(f.sent_count, i + 1);
    }
    ck_assert_uint_eq(count_to(0, ENTRY_OPERATION), 5);
    answered(0, VIEW(0), client(0), 100, 2, "ok");
    only_done(PROXY_OK, PROXY_ERROR_NONE);
}
END_TEST

/* C5: once the operation was sent, Busy proves nothing. */
START_TEST(busy_until_the_deadline_is_unknown)
{
    const uint32_t session = settled();
    submit_as(session, false, 300);
    busy(0, client(0), 100, 2);
    const struct proxy_view *view = proxy_view(f.proxy);
    ck_assert_int_eq((int)view->busy_reason, BUSY_QUEUE_FULL);
    advance_ms(300);
    only_done(PROXY_UNKNOWN, PROXY_ERROR_BUSY);
}
END_TEST

START_TEST(busy_while_registering_is_failed)
{
    const uint32_t session = proxy_open(f.proxy, client(0));
    submit_as(session, false, 300);
    busy(0, client(0), 0, 0);
    advance_ms(300);
    only_done(PROXY_FAILED, PROXY_ERROR_BUSY);
}
END_TEST

/* ---- many sessions ---- */

/* Ten thousand sessions through a fail-over: each is answered once, none is forgotten. */
START_TEST(many_sessions_survive_a_view_change)
{
    enum { MANY = 10000 };
    struct proxy_options options;
    proxy_options_default(&options);
    options.sessions_max = MANY;
    setup_with(options);
    uint32_t done = 0;
    uint32_t waiting_at[2] = {0};
    bool cut = false;
    for (uint32_t i = 0; i < MANY; i++) {
        proxy_submit(f.proxy, proxy_open(f.proxy, client(i)), OPERATION, 3, false,
                     f.now_ns + 60 * SECOND, f.now_ns);
    }
    /* Whatever is sent to the primary is answered with the next step; it dies half way. */
    for (uint32_t step = 0; step < 200 && done < MANY; step++) {
        static struct request batch[4 * MANY];
        uint32_t batched = 0;
        struct proxy_output output;
        const uint32_t primary = step < 3 ? 0 : 1;
        const struct net_address place = address_of(primary);
        while (proxy_next_output(f.proxy, &output)) {
            if (output.kind == PROXY_OUT_DONE) {
                ck_assert_int_eq((int)output.done.outcome, PROXY_OK);
                done++;
            } else if (output.send.message.type == MESSAGE_REQUEST &&
                       net_address_equal(&output.send.address, &place) && batched < 4 * MANY) {
                batch[batched++] = output.send.message.request;
            }
        }
        if (step == 2) {
            batched /= 2; /* the other half dies with the primary */
            cut = true;
        }
        waiting_at[primary] += batched;
        f.now_ns += 20 * MS;
        for (uint32_t i = 0; i < batched; i++) {
            const struct request *request = &batch[i];
            const bool is_register = request->kind == ENTRY_REGISTER;
            const struct message message = {
                .type = MESSAGE_REPLY,
                .from = primary,
                .address = place,
                .reply = {.view_number = VIEW(primary),
                          .client_id = request->client_id,
                          .session = is_register ? request->client_id.low : request->session,
                          .request_number = request->request_number,
                          .status = REPLY_OK}};
            proxy_receive(f.proxy, &message, f.now_ns);
            while (step < 2 && proxy_next_output(f.proxy, &output)) {
                if (output.kind == PROXY_OUT_DONE) {
                    done++;
                } else if (output.send.message.type == MESSAGE_REQUEST &&
                           net_address_equal(&output.send.address, &place)) {
                    /* resent by the next timer */
                }
            }
        }
        proxy_tick(f.proxy, f.now_ns);
    }
    ck_assert(cut);
    ck_assert_uint_eq(done, MANY);
    ck_assert_uint_gt(waiting_at[1], 0);
}
END_TEST

/* ---- section 5: reads beside the log ---- */

static void submit_read(uint32_t session, enum read_mode mode, uint64_t min_op)
{
    const struct proxy_read read = {mode, min_op};
    proxy_submit_read(f.proxy, session, OPERATION, sizeof OPERATION - 1, &read,
                      f.now_ns + 5 * SECOND, f.now_ns);
    drain();
}

static const struct read *last_read(void)
{
    ck_assert_int_eq(last_sent()->message.type, MESSAGE_READ);
    return &last_sent()->message.read;
}

static void read_answered(uint32_t replica, uint64_t view, uint64_t nonce, enum reply_status status)
{
    reply(replica, (struct reply){.view_number = view,
                                  .op_number = 77,
                                  .commit_number = 80,
                                  .client_id = client(0),
                                  .request_number = nonce,
                                  .status = status,
                                  .result = (const uint8_t *)"value",
                                  .result_size = status == REPLY_OK ? 5 : 0});
}

static uint32_t target_of(const struct sent *sent)
{
    return (uint32_t)sent->address.port - 8000;
}

/* It goes to the primary, with a nonce of its own, and opens no session there. */
START_TEST(read_asks_the_primary_alone)
{
    (void)settled();
    const uint32_t session = proxy_open(f.proxy, client(1));
    submit_read(session, READ_LINEARIZABLE, 9);
    ck_assert_uint_eq(f.sent_count, 1);
    ck_assert_uint_eq(target_of(last_sent()), 0);
    const struct read *read = last_read();
    ck_assert(client_id_equal(read->client_id, client(1)));
    ck_assert_int_eq(read->mode, READ_LINEARIZABLE);
    ck_assert_uint_eq(read->min_op, 9);
    ck_assert_uint_eq(read->operation_size, sizeof OPERATION - 1);
    reply(0, (struct reply){.view_number = VIEW(0),
                            .op_number = 77,
                            .client_id = client(1),
                            .request_number = read->nonce,
                            .status = REPLY_OK,
                            .result = (const uint8_t *)"value",
                            .result_size = 5});
    const struct proxy_output *done = only_done(PROXY_OK, PROXY_ERROR_NONE);
    ck_assert_uint_eq(done->done.op_number, 77);
    ck_assert_str_eq(f.result[0], "value");
}
END_TEST

/* C2: what answers an earlier read, or the log's request of that number, does not answer this. */
START_TEST(late_answers_to_earlier_reads_are_ignored)
{
    const uint32_t session = settled();
    submit_read(session, READ_LINEARIZABLE, 0);
    const uint64_t first = last_read()->nonce;
    read_answered(0, VIEW(0), first, REPLY_OK);
    only_done(PROXY_OK, PROXY_ERROR_NONE);
    f.done_count = 0;
    submit_read(session, READ_LINEARIZABLE, 0);
    const uint64_t second = last_read()->nonce;
    ck_assert_uint_gt(second, first);
    forget_sent();
    read_answered(0, VIEW(0), first, REPLY_OK); /* a copy */
    read_answered(0, VIEW(0), first, REPLY_READ_BY_LOG);
    read_answered(0, VIEW(0), first, REPLY_NOT_A_READ);
    not_primary(0, client(0), 0, first, VIEW(0));
    busy(0, client(0), 0, first);
    answered(0, VIEW(0), client(0), 100, second, "other");
    ck_assert_uint_eq(f.done_count, 0);
    ck_assert_uint_eq(f.sent_count, 0);
    read_answered(0, VIEW(0), second, REPLY_OK);
    only_done(PROXY_OK, PROXY_ERROR_NONE);
    ck_assert_str_eq(f.result[0], "value");
}
END_TEST

START_TEST(what_is_no_read_is_failed)
{
    const uint32_t session = settled();
    submit_read(session, READ_LINEARIZABLE, 0);
    read_answered(0, VIEW(0), last_read()->nonce, REPLY_NOT_A_READ);
    only_done(PROXY_FAILED, PROXY_ERROR_NOT_A_READ);
}
END_TEST

/* R1: told so, it goes through the log at once, as do all that follow in this view; the primary of
 * the next one may want it otherwise. */
START_TEST(read_goes_through_the_log_where_that_is_wanted)
{
    const uint32_t session = settled();
    submit_read(session, READ_LINEARIZABLE, 0);
    const uint64_t nonce = last_read()->nonce;
    forget_sent();
    read_answered(0, VIEW(0), nonce, REPLY_READ_BY_LOG);
    ck_assert_uint_eq(f.done_count, 0);
    ck_assert_uint_eq(f.sent_count, 1);
    ck_assert_uint_eq(count_to(0, ENTRY_OPERATION), 1);
    ck_assert_uint_eq(last_sent()->message.request.session, 100);
    read_answered(0, VIEW(0), nonce, REPLY_READ_BY_LOG); /* a copy */
    ck_assert_uint_eq(f.sent_count, 1);
    answered(0, VIEW(0), client(0), 100, last_sent()->message.request.request_number, "ok");
    ck_assert_str_eq(f.result[0], "ok");
    only_done(PROXY_OK, PROXY_ERROR_NONE);
    f.done_count = 0;

    forget_sent();
    submit_read(session, READ_LINEARIZABLE, 0);
    ck_assert_uint_eq(count_sent(MESSAGE_READ), 0);
    ck_assert_uint_eq(count_to(0, ENTRY_OPERATION), 1);
    answered(1, VIEW(1), client(0), 100, last_sent()->message.request.request_number, "ok");
    ck_assert_uint_eq(f.done_count, 1);

    forget_sent();
    submit_read(session, READ_LINEARIZABLE, 0);
    ck_assert_uint_eq(f.sent_count, 1);
    ck_assert_uint_eq(target_of(last_sent()), 1);
    (void)last_read();
}
END_TEST

/* R1 meets a session that the log does not know yet: it registers first. Nothing came of it until
 * the deadline: a read that was not answered changed nothing. */
START_TEST(read_that_goes_through_the_log_registers_first)
{
    (void)settled();
    const uint32_t session = proxy_open(f.proxy, client(1));
    submit_read(session, READ_LINEARIZABLE, 0);
    const struct read read = *last_read();
    forget_sent();
    reply(0, (struct reply){.view_number = VIEW(0),
                            .client_id = client(1),
                            .request_number = read.nonce,
                            .status = REPLY_READ_BY_LOG});
    ck_assert_uint_eq(count_to(0, ENTRY_REGISTER), 1);
    registered(0, VIEW(0), client(1), 200);
    ck_assert_uint_eq(count_to(0, ENTRY_OPERATION), 1);
    advance_ms(6000);
    only_done(PROXY_FAILED, PROXY_ERROR_TIMEOUT);
}
END_TEST

/* One that is too large for it goes through the log; a stale one cannot. */
START_TEST(large_reads_go_through_the_log)
{
    static uint8_t large[READ_SIZE_MAX + 1];
    const uint32_t session = settled();
    const uint64_t deadline_ns = f.now_ns + 5 * SECOND;
    struct proxy_read read = {READ_LINEARIZABLE, 0};
    proxy_submit_read(f.proxy, session, large, sizeof large, &read, deadline_ns, f.now_ns);
    drain();
    ck_assert_uint_eq(f.sent_count, 1);
    ck_assert_uint_eq(count_to(0, ENTRY_OPERATION), 1);
    answered(0, VIEW(0), client(0), 100, 2, "ok");
    only_done(PROXY_OK, PROXY_ERROR_NONE);
    f.done_count = 0;
    forget_sent();

    read.mode = READ_STALE;
    proxy_submit_read(f.proxy, session, large, sizeof large, &read, deadline_ns, f.now_ns);
    drain();
    only_done(PROXY_FAILED, PROXY_ERROR_TOO_LARGE);
    f.done_count = 0;
    ck_assert_uint_eq(f.sent_count, 0);
    proxy_submit_read(f.proxy, session, large, sizeof large - 1, &read, deadline_ns, f.now_ns);
    drain();
    ck_assert_uint_eq(f.sent_count, 1);
    ck_assert_uint_eq(last_read()->operation_size, READ_SIZE_MAX);
}
END_TEST

/* C6: who is not primary any more says so, and the read goes to who is. */
START_TEST(read_follows_the_primary)
{
    const uint32_t session = settled();
    submit_read(session, READ_LINEARIZABLE, 0);
    const uint64_t nonce = last_read()->nonce;
    forget_sent();
    not_primary(0, client(0), 0, nonce, VIEW(1));
    ck_assert_uint_eq(f.sent_count, 1);
    ck_assert_uint_eq(target_of(last_sent()), 1);
    ck_assert_uint_eq(last_read()->nonce, nonce);
    read_answered(1, VIEW(1), nonce, REPLY_OK);
    ck_assert_uint_eq(only_done(PROXY_OK, PROXY_ERROR_NONE)->done.view_number, VIEW(1));
}
END_TEST

/* R4: stale reads ask one replica each, all of them in turn; what they are told of the state is
 * handed on. */
START_TEST(stale_reads_spread_over_all)
{
    const uint32_t session = settled();
    uint32_t asked[REPLICAS] = {0};
    for (uint32_t i = 0; i < 60; i++) {
        forget_sent();
        f.done_count = 0;
        submit_read(session, READ_STALE, 3);
        ck_assert_uint_eq(f.sent_count, 1);
        ck_assert_int_eq(last_read()->mode, READ_STALE);
        ck_assert_uint_eq(last_read()->min_op, 3);
        const uint32_t target = target_of(last_sent());
        asked[target]++;
        read_answered(target, VIEW(0), last_read()->nonce, REPLY_OK);
        const struct proxy_output *done = only_done(PROXY_OK, PROXY_ERROR_NONE);
        ck_assert_uint_eq(done->done.op_number, 77);
        ck_assert_uint_eq(done->done.commit_number, 80);
    }
    for (uint32_t i = 0; i < REPLICAS; i++) {
        ck_assert_uint_gt(asked[i], 5);
    }
}
END_TEST

/* R4: whoever answers one need not be primary, not even of the view that it names. */
START_TEST(who_answers_a_stale_read_is_not_the_primary)
{
    const uint32_t session = open_registered(0);
    for (uint32_t i = 0; i < REPLICAS; i++) {
        submit_read(session, READ_STALE, 0);
        read_answered(i, VIEW(0), last_read()->nonce, REPLY_OK);
    }
    ck_assert_uint_eq(f.done_count, REPLICAS);
    forget_sent();
    submit_read(session, READ_LINEARIZABLE, 0);
    ck_assert_uint_eq(f.sent_count, 1);
    ck_assert_uint_eq(target_of(last_sent()), 0);
    read_answered(0, VIEW(0), last_read()->nonce, REPLY_OK);

    submit_read(session, READ_STALE, 0);
    read_answered(2, VIEW(1), last_read()->nonce, REPLY_OK);
    forget_sent();
    submit_read(session, READ_LINEARIZABLE, 0);
    ck_assert_uint_eq(count_sent(MESSAGE_READ), REPLICAS); /* somebody's, who is not known */
}
END_TEST

/* R4: who is behind says Busy; after a while one replica is asked, the same or another. That says
 * nothing of the group, which serves others meanwhile. */
START_TEST(stale_read_that_meets_busy_asks_later)
{
    const uint32_t session = settled();
    uint32_t asked[REPLICAS] = {0};
    submit_read(session, READ_STALE, 99);
    const uint64_t nonce = last_read()->nonce;
    for (uint32_t i = 0; i < 12; i++) {
        const uint32_t target = target_of(last_sent());
        asked[target]++;
        forget_sent();
        busy(target, client(0), 0, nonce);
        ck_assert_uint_eq(f.sent_count, 0); /* not at once */
        ck_assert_uint_eq(proxy_view(f.proxy)->busy_since_ns, 0);
        const uint64_t before = f.now_ns;
        for (uint32_t ms = 0; ms < 2000 && f.sent_count == 0; ms++) {
            advance_ms(1);
        }
        ck_assert_uint_ge(f.now_ns - before, 15 * MS);
        ck_assert_uint_eq(f.sent_count, 1);
        ck_assert_uint_eq(last_read()->nonce, nonce);
    }
    for (uint32_t i = 0; i < REPLICAS; i++) {
        ck_assert_uint_gt(asked[i], 0);
    }
    read_answered(2, VIEW(0), nonce, REPLY_OK);
    only_done(PROXY_OK, PROXY_ERROR_NONE);
}
END_TEST

/* R4, D6: a replica that recovers answers nobody: all others are asked at once. */
START_TEST(stale_read_that_meets_a_recovering_replica_asks_all)
{
    const uint32_t session = settled();
    submit_read(session, READ_STALE, 0);
    const uint64_t nonce = last_read()->nonce;
    const uint32_t target = target_of(last_sent());
    forget_sent();
    not_primary(target, client(0), 0, nonce, VIEW(0));
    ck_assert_uint_eq(count_sent(MESSAGE_READ), REPLICAS);
    forget_sent();
    for (uint32_t i = 0; i < 10; i++) {
        not_primary(target, client(0), 0, nonce, VIEW(0));
    }
    ck_assert_uint_eq(f.sent_count, 0); /* from now on the timer decides */
    read_answered((target + 1) % REPLICAS, VIEW(0), nonce, REPLY_OK);
    only_done(PROXY_OK, PROXY_ERROR_NONE);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("proxy");
    TCase *tests = tcase_create("proxy");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, first_request_registers);
    tcase_add_test(tests, request_numbers_rise);
    tcase_add_test(tests, sessions_are_bounded_and_named_once);
    tcase_add_test(tests, close_unregisters_once);
    tcase_add_test(tests, replies_to_something_else_are_ignored);
    tcase_add_test(tests, replies_after_close_are_ignored);
    tcase_add_test(tests, expired_session_is_unknown_even_if_sent_once);
    tcase_add_test(tests, expired_session_is_unknown_if_sent_before);
    tcase_add_test(tests, expired_session_goes_on_with_a_read);
    tcase_add_test(tests, payload_mismatch_is_an_error);
    tcase_add_test(tests, superseded_is_unknown);
    tcase_add_test(tests, resends_back_off_to_everybody);
    tcase_add_test(tests, first_resend_waits_four_round_trips);
    tcase_add_test(tests, silence_after_a_write_is_unknown);
    tcase_add_test(tests, silence_after_a_read_is_failed);
    tcase_add_test(tests, silence_before_registration_is_failed);
    tcase_add_test(tests, deadline_in_the_past_is_failed_and_not_sent);
    tcase_add_test(tests, cancel_says_what_is_known);
    tcase_add_test(tests, too_large_is_failed_and_not_sent);
    tcase_add_test(tests, too_large_for_this_cluster_is_failed);
    tcase_add_test(tests, one_session_probes_a_silent_group);
    tcase_add_test(tests, requests_during_silence_are_not_sent);
    tcase_add_test(tests, probing_is_handed_over);
    tcase_add_test(tests, a_lost_request_is_resent_while_others_are_served);
    tcase_add_test(tests, start_of_many_sessions_asks_once);
    tcase_add_test(tests, not_primary_moves_everybody);
    tcase_add_test(tests, reply_of_later_view_moves_everybody);
    tcase_add_test(tests, older_views_are_no_news);
    tcase_add_test(tests, not_primary_from_the_primary_asks_everybody);
    tcase_add_test(tests, not_primary_of_a_stranger_is_ignored);
    tcase_add_test(tests, false_hint_is_corrected);
    tcase_add_test(tests, later_view_ends_the_silence);
    tcase_add_test(tests, status_tells_who_is_primary);
    tcase_add_test(tests, status_with_another_nonce_is_ignored);
    tcase_add_test(tests, members_replace_seeds);
    tcase_add_test(tests, unknown_member_addresses_keep_the_seeds);
    tcase_add_test(tests, later_epoch_asks_for_the_configuration);
    tcase_add_test(tests, challenge_is_echoed);
    tcase_add_test(tests, token_of_a_restarted_replica_is_replaced);
    tcase_add_test(tests, challenges_are_answered_at_a_bounded_rate);
    tcase_add_test(tests, wrong_cluster_fails_at_once);
    tcase_add_test(tests, wrong_version_fails_at_once);
    tcase_add_test(tests, two_clusters_in_one_list);
    tcase_add_test(tests, operations_wait_for_all_seeds);
    tcase_add_test(tests, operations_go_on_with_the_last_seed);
    tcase_add_test(tests, dead_seed_costs_a_short_grace);
    tcase_add_test(tests, grace_grows_with_the_round_trip);
    tcase_add_test(tests, peers_port_is_an_error);
    tcase_add_test(tests, deadline_while_seeds_are_awaited_is_failed);
    tcase_add_test(tests, late_foreign_seed_is_an_error);
    tcase_add_test(tests, stray_cluster_later_is_only_refused);
    tcase_add_test(tests, busy_backs_off);
    tcase_add_test(tests, busy_until_the_deadline_is_unknown);
    tcase_add_test(tests, busy_while_registering_is_failed);
    tcase_add_test(tests, many_sessions_survive_a_view_change);
    tcase_add_test(tests, read_asks_the_primary_alone);
    tcase_add_test(tests, late_answers_to_earlier_reads_are_ignored);
    tcase_add_test(tests, what_is_no_read_is_failed);
    tcase_add_test(tests, read_goes_through_the_log_where_that_is_wanted);
    tcase_add_test(tests, read_that_goes_through_the_log_registers_first);
    tcase_add_test(tests, large_reads_go_through_the_log);
    tcase_add_test(tests, read_follows_the_primary);
    tcase_add_test(tests, stale_reads_spread_over_all);
    tcase_add_test(tests, who_answers_a_stale_read_is_not_the_primary);
    tcase_add_test(tests, stale_read_that_meets_busy_asks_later);
    tcase_add_test(tests, stale_read_that_meets_a_recovering_replica_asks_all);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
