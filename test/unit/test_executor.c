/* SPDX-License-Identifier: Apache-2.0 */
/* The executor: at most once (I3), the same on every replica (I8), whatever the log repeats
 * (PITFALLS CT-1 to CT-9, NC-7, NC-8). And the accounts application, which runs on it. */
#include <check.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/bytes.h"
#include "common/base/prng.h"
#include "server/executor/executor.h"
#include "test/support/accounts.h"

_Static_assert((int)ACCOUNTS_RESULT_SIZE <= (int)REPLY_STORED_MIN,
               "transfers can be repeated (app.h)");

/* An application that counts what it does.
 *     'w' ...        counts; result: the count
 *     'r' size u32   a read; result: `size` bytes, each the count
 *     'i' ...        no read, although the size of its result looks like one */
struct counter {
    uint64_t writes;
    uint64_t executions;
    struct app_context last;
    uint64_t cut; /* what writes was when the cut under way began */
};

static size_t counter_execute(void *state, const struct app_context *context,
                              const uint8_t *operation, size_t size, uint8_t *result)
{
    struct counter *counter = state;
    counter->executions++;
    counter->last = *context;
    if (size >= 5 && operation[0] == 'r') {
        const uint32_t result_size = bytes_get_u32(operation + 1);
        memset(result, (int)counter->writes, result_size);
        return result_size;
    }
    if (size > 0 && operation[0] == 'i') {
        return REPLY_STORED_MAX + 1;
    }
    counter->writes++;
    bytes_put_u64(result, counter->writes);
    return 8;
}

static bool counter_is_read(void *state, const uint8_t *operation, size_t size)
{
    (void)state;
    return size >= 5 && operation[0] == 'r';
}

static struct checksum counter_digest(void *state)
{
    return (struct checksum){((const struct counter *)state)->writes, 0};
}

static uint64_t counter_state_size(void *state)
{
    (void)state;
    return sizeof(uint64_t);
}

static void counter_cut_begin(void *state)
{
    struct counter *counter = state;
    counter->cut = counter->writes;
}

static bool counter_cut(void *state, uint8_t *out, size_t capacity, size_t *size)
{
    ck_assert_uint_ge(capacity, 8);
    bytes_put_u64(out, ((const struct counter *)state)->cut);
    *size = 8;
    return false;
}

static void counter_cut_abandon(void *state)
{
    (void)state;
}

static void counter_load_begin(void *state)
{
    ((struct counter *)state)->writes = UINT64_MAX;
}

static bool counter_load(void *state, const uint8_t *bytes, size_t size)
{
    struct counter *counter = state;
    if (size != 8 || counter->writes != UINT64_MAX) {
        return false;
    }
    counter->writes = bytes_get_u64(bytes);
    return true;
}

static bool counter_load_end(void *state)
{
    return ((const struct counter *)state)->writes != UINT64_MAX;
}

/* --- a replica's executor and the log that feeds it --- */

struct fixture {
    struct counter counter;
    struct app app;
    void *memory;
    struct executor *executor;
    struct reply reply;
    uint8_t *entry;
};

static void fixture_init(struct fixture *f, uint32_t sessions_max)
{
    memset(f, 0, sizeof *f);
    f->app = (struct app){
        .state = &f->counter,
        .execute = counter_execute,
        .is_read = counter_is_read,
        .digest = counter_digest,
        .state_size = counter_state_size,
        .cut_begin = counter_cut_begin,
        .cut = counter_cut,
        .cut_abandon = counter_cut_abandon,
        .load_begin = counter_load_begin,
        .load = counter_load,
        .load_end = counter_load_end,
    };
    struct executor_options options = {
        .parameters = cluster_parameters_default(),
        .app = &f->app,
        .hash_seed = 42,
    };
    options.parameters.sessions_max = sessions_max;
    f->memory = calloc(1, executor_memory_size(&options.parameters));
    f->entry = malloc(ENTRY_SIZE_MAX);
    ck_assert_ptr_nonnull(f->memory);
    ck_assert_ptr_nonnull(f->entry);
    f->executor = executor_init(f->memory, &options);
}

static void fixture_free(struct fixture *f)
{
    free(f->memory);
    free(f->entry);
}

static const struct client_id ALICE = {1, 1};
static const struct client_id BOB = {2, 2};
static const struct client_id CAROL = {3, 3};

/* Executes the next entry of the log; its answer is in f->reply. */
static const struct reply *run(struct fixture *f, struct entry entry)
{
    entry.op_number = executor_executed_op(f->executor) + 1;
    entry.view_number = view_make(EPOCH_FIRST, 3);
    entry.timestamp = 1000 + entry.op_number;
    const size_t size = entry_encode(&entry, f->entry);
    executor_execute(f->executor, f->entry, size, &f->reply);
    return &f->reply;
}

static uint64_t open_session(struct fixture *f, struct client_id client_id)
{
    const struct reply *reply =
        run(f, (struct entry){.kind = ENTRY_REGISTER, .client_id = client_id});
    ck_assert_int_eq(reply->status, REPLY_OK);
    ck_assert(client_id_equal(reply->client_id, client_id));
    ck_assert_uint_eq(reply->result_size, 0);
    return reply->session;
}

static const struct reply *ask_bytes(struct fixture *f, struct client_id client_id,
                                     uint64_t session, uint64_t request_number,
                                     const uint8_t *operation, size_t size)
{
    return run(f, (struct entry){
                      .kind = ENTRY_OPERATION,
                      .client_id = client_id,
                      .session = session,
                      .request_number = request_number,
                      .body = operation,
                      .body_size = (uint32_t)size,
                  });
}

static const struct reply *ask(struct fixture *f, struct client_id client_id, uint64_t session,
                               uint64_t request_number, const char *operation)
{
    return ask_bytes(f, client_id, session, request_number, (const uint8_t *)operation,
                     strlen(operation));
}

static uint64_t result_number(const struct reply *reply)
{
    ck_assert_int_eq(reply->status, REPLY_OK);
    ck_assert_uint_eq(reply->result_size, 8);
    return bytes_get_u64(reply->result);
}

static bool look_up(struct fixture *f, struct client_id client_id, uint64_t session,
                    uint64_t request_number, const char *operation)
{
    return executor_lookup(
        f->executor, client_id, session, request_number, ENTRY_OPERATION,
        operation_checksum(ENTRY_OPERATION, (const uint8_t *)operation, strlen(operation)),
        &f->reply);
}

/* --- sessions --- */

/* C1, PITFALLS CT-2: a session is the op of its Register; the same client gets the same one. */
START_TEST(a_session_is_the_op_of_its_register)
{
    struct fixture f;
    fixture_init(&f, 8);
    ck_assert_uint_eq(open_session(&f, ALICE), 1);
    ck_assert_uint_eq(open_session(&f, BOB), 2);
    ck_assert_uint_eq(open_session(&f, ALICE), 1);
    ck_assert_uint_eq(f.reply.op_number, 1);
    ck_assert_uint_eq(executor_session_count(f.executor), 2);
    fixture_free(&f);
}
END_TEST

START_TEST(what_a_request_is_told)
{
    struct fixture f;
    fixture_init(&f, 8);
    const uint64_t session = open_session(&f, ALICE);
    const struct reply *reply = ask(&f, ALICE, session, 1, "w");
    ck_assert_uint_eq(result_number(reply), 1);
    ck_assert_uint_eq(reply->op_number, 2);
    ck_assert_uint_eq(reply->session, session);
    ck_assert_uint_eq(reply->request_number, 1);
    ck_assert(client_id_equal(reply->client_id, ALICE));
    ck_assert_uint_eq(executor_executed_op(f.executor), 2);
    ck_assert_uint_eq(f.counter.last.op_number, 2); /* PITFALLS NC-8: from the entry alone */
    ck_assert_uint_eq(f.counter.last.timestamp, 1002);
    fixture_free(&f);
}
END_TEST

/* I3, PITFALLS CT-1, CT-4: a duplicate in the log executes nothing and is told the same. */
START_TEST(a_repeated_request_is_executed_once)
{
    struct fixture f;
    fixture_init(&f, 8);
    const uint64_t session = open_session(&f, ALICE);
    ask(&f, ALICE, session, 1, "w");
    const struct checksum digest = executor_digest(f.executor);
    for (int i = 0; i < 3; i++) {
        const struct reply *reply = ask(&f, ALICE, session, 1, "w");
        ck_assert_uint_eq(result_number(reply), 1);
        ck_assert_uint_eq(reply->op_number, 2);
    }
    ck_assert_uint_eq(f.counter.executions, 1);
    ck_assert(checksum_equal(executor_digest(f.executor), digest)); /* C4's order included */
    ck_assert_uint_eq(result_number(ask(&f, ALICE, session, 2, "w")), 2);
    fixture_free(&f);
}
END_TEST

/* PITFALLS CT-5: below the last one it is never executed, above it gaps are allowed. */
START_TEST(an_older_request_is_superseded)
{
    struct fixture f;
    fixture_init(&f, 8);
    const uint64_t session = open_session(&f, ALICE);
    ask(&f, ALICE, session, 5, "w");
    ck_assert_int_eq(ask(&f, ALICE, session, 4, "w")->status, REPLY_SUPERSEDED);
    ck_assert_uint_eq(f.counter.executions, 1);
    ck_assert_int_eq(ask(&f, ALICE, session, 9, "w")->status, REPLY_OK);
    fixture_free(&f);
}
END_TEST

/* PITFALLS CT-9: never the other payload's reply. */
START_TEST(another_payload_of_the_same_number_is_an_error)
{
    struct fixture f;
    fixture_init(&f, 8);
    const uint64_t session = open_session(&f, ALICE);
    ask(&f, ALICE, session, 1, "w one");
    const struct checksum digest = executor_digest(f.executor);
    const struct reply *reply = ask(&f, ALICE, session, 1, "w two");
    ck_assert_int_eq(reply->status, REPLY_PAYLOAD_MISMATCH);
    ck_assert_uint_eq(reply->result_size, 0);
    ck_assert_uint_eq(f.counter.executions, 1);
    ck_assert(checksum_equal(executor_digest(f.executor), digest));
    ck_assert_uint_eq(result_number(ask(&f, ALICE, session, 1, "w one")), 1);
    fixture_free(&f);
}
END_TEST

/* C4, PITFALLS CT-2, CT-7: unknown sessions and other clients' are refused, not executed. */
START_TEST(an_unknown_session_has_expired)
{
    struct fixture f;
    fixture_init(&f, 8);
    const uint64_t session = open_session(&f, ALICE);
    ck_assert_int_eq(ask(&f, ALICE, 99, 1, "w")->status, REPLY_SESSION_EXPIRED);
    ck_assert_int_eq(ask(&f, BOB, session, 1, "w")->status, REPLY_SESSION_EXPIRED);
    ck_assert_uint_eq(f.counter.executions, 0);
    fixture_free(&f);
}
END_TEST

START_TEST(unregister_ends_a_session)
{
    struct fixture f;
    fixture_init(&f, 8);
    const struct checksum empty = executor_digest(f.executor);
    const uint64_t session = open_session(&f, ALICE);
    const struct entry theirs = {.kind = ENTRY_UNREGISTER, .client_id = BOB, .session = session};
    const struct entry own = {.kind = ENTRY_UNREGISTER, .client_id = ALICE, .session = session};
    ck_assert_int_eq(run(&f, theirs)->status, REPLY_SESSION_EXPIRED);
    ck_assert_uint_eq(executor_session_count(f.executor), 1);
    ck_assert_int_eq(run(&f, own)->status, REPLY_OK);
    ck_assert_uint_eq(executor_session_count(f.executor), 0);
    ck_assert(checksum_equal(executor_digest(f.executor), empty));
    ck_assert_int_eq(run(&f, own)->status, REPLY_SESSION_EXPIRED);
    ck_assert_int_eq(ask(&f, ALICE, session, 1, "w")->status, REPLY_SESSION_EXPIRED);
    ck_assert_uint_gt(open_session(&f, ALICE), session); /* a new session, a new number */
    fixture_free(&f);
}
END_TEST

/* C4, PITFALLS CT-3: at execution of a Register, the session whose last executed op is oldest; a
 * late duplicate of its request is refused, never executed. */
START_TEST(the_idle_session_is_evicted_by_the_log)
{
    struct fixture f;
    fixture_init(&f, 2);
    const uint64_t alice = open_session(&f, ALICE);
    const uint64_t bob = open_session(&f, BOB);
    ask(&f, BOB, bob, 1, "w");
    ask(&f, ALICE, alice, 1, "w");
    ask(&f, ALICE, alice, 1, "w"); /* a duplicate: no sign of life */
    ask(&f, BOB, bob, 1, "w");     /* likewise */
    open_session(&f, BOB);         /* likewise */
    open_session(&f, CAROL);
    ck_assert_uint_eq(executor_evicted_count(f.executor), 1);
    ck_assert_int_eq(ask(&f, BOB, bob, 1, "w")->status, REPLY_SESSION_EXPIRED);
    ck_assert_int_eq(ask(&f, ALICE, alice, 2, "w")->status, REPLY_OK);
    ck_assert_uint_eq(f.counter.executions, 3);
    fixture_free(&f);
}
END_TEST

/* --- results that are too large to keep --- */

static size_t read_operation(uint8_t *operation, size_t size, uint32_t result_size)
{
    memset(operation, 0, size);
    operation[0] = 'r';
    bytes_put_u32(operation + 1, result_size);
    return size;
}

/* C3: replies are kept up to reply_stored_max; a larger read is executed again. */
START_TEST(a_large_read_is_executed_again)
{
    struct fixture f;
    fixture_init(&f, 8);
    uint8_t operation[8];
    const uint64_t session = open_session(&f, ALICE);
    const uint64_t other = open_session(&f, BOB);
    const size_t size = read_operation(operation, 5, REPLY_STORED_MAX + 1);
    const struct reply *reply = ask_bytes(&f, ALICE, session, 1, operation, size);
    ck_assert_uint_eq(reply->result_size, REPLY_STORED_MAX + 1);
    ck_assert_uint_eq(reply->result[0], 0);
    const uint64_t op = reply->op_number;
    ask(&f, BOB, other, 1, "w");
    const struct checksum digest = executor_digest(f.executor);

    reply = ask_bytes(&f, ALICE, session, 1, operation, size);
    ck_assert_int_eq(reply->status, REPLY_OK);
    ck_assert_uint_eq(reply->result_size, REPLY_STORED_MAX + 1);
    ck_assert_uint_eq(reply->op_number, op);
    ck_assert_uint_eq(reply->result[0], 1); /* the state of now: the client still waits */
    ck_assert(checksum_equal(executor_digest(f.executor), digest));

    ck_assert(executor_lookup(f.executor, ALICE, session, 1, ENTRY_OPERATION,
                              operation_checksum(ENTRY_OPERATION, operation, size), &f.reply));
    ck_assert_uint_eq(f.reply.result_size, REPLY_STORED_MAX + 1);
    ck_assert_uint_eq(f.counter.executions, 4);
    ck_assert(checksum_equal(executor_digest(f.executor), digest));
    fixture_free(&f);
}
END_TEST

START_TEST(a_read_that_fits_is_kept)
{
    struct fixture f;
    fixture_init(&f, 8);
    uint8_t operation[8];
    const uint64_t session = open_session(&f, ALICE);
    const size_t size = read_operation(operation, 5, REPLY_STORED_MAX);
    ask_bytes(&f, ALICE, session, 1, operation, size);
    ask_bytes(&f, ALICE, session, 1, operation, size);
    ck_assert_uint_eq(f.reply.result_size, REPLY_STORED_MAX);
    ck_assert_uint_eq(f.counter.executions, 1);
    fixture_free(&f);
}
END_TEST

/* Neither its result nor its operation can be kept: only the log can bring it again. */
START_TEST(a_large_read_with_a_large_operation)
{
    struct fixture f;
    fixture_init(&f, 8);
    static uint8_t operation[READ_KEPT_MAX + 1];
    const uint64_t session = open_session(&f, ALICE);
    const size_t size = read_operation(operation, sizeof operation, RESULT_SIZE_MAX);
    const struct reply *reply = ask_bytes(&f, ALICE, session, 1, operation, size);
    ck_assert_uint_eq(reply->result_size, RESULT_SIZE_MAX);
    ck_assert(!executor_lookup(f.executor, ALICE, session, 1, ENTRY_OPERATION,
                               operation_checksum(ENTRY_OPERATION, operation, size), &f.reply));
    reply = ask_bytes(&f, ALICE, session, 1, operation, size);
    ck_assert_int_eq(reply->status, REPLY_OK);
    ck_assert_uint_eq(reply->result_size, RESULT_SIZE_MAX);
    fixture_free(&f);
}
END_TEST

/* --- reads beside the log --- */

static const struct reply *read_beside(struct fixture *f, const uint8_t *operation, size_t size)
{
    executor_read(f->executor, operation, (uint32_t)size, &f->reply);
    return &f->reply;
}

/* Section 5: of the state behind executed_op, whose op is said; nothing changes, however large the
 * result is. */
START_TEST(a_read_beside_the_log_leaves_no_trace)
{
    struct fixture f;
    fixture_init(&f, 8);
    uint8_t operation[8];
    const size_t size = read_operation(operation, 5, REPLY_STORED_MAX + 1);
    ck_assert_uint_eq(read_beside(&f, operation, size)->op_number, 0); /* nobody ever wrote */
    const uint64_t session = open_session(&f, ALICE);
    ask(&f, ALICE, session, 1, "w");
    const struct checksum digest = executor_digest(f.executor);

    const struct reply *reply = read_beside(&f, operation, size);
    ck_assert_int_eq(reply->status, REPLY_OK);
    ck_assert_uint_eq(reply->op_number, 2);
    ck_assert_uint_eq(reply->session, 0);
    ck_assert_uint_eq(reply->result_size, REPLY_STORED_MAX + 1);
    ck_assert_uint_eq(reply->result[0], 1);
    ck_assert_uint_eq(f.counter.last.op_number, 2);
    ck_assert_uint_eq(f.counter.last.timestamp, 1002); /* of that op: replicas agree on it */
    ck_assert_uint_eq(executor_executed_op(f.executor), 2);
    ck_assert(checksum_equal(executor_digest(f.executor), digest));
    ck_assert_uint_eq(result_number(ask(&f, ALICE, session, 1, "w")), 1); /* still kept */

    ask(&f, ALICE, session, 2, "w");
    reply = read_beside(&f, operation, size);
    ck_assert_uint_eq(reply->op_number, 4);
    ck_assert_uint_eq(reply->result[0], 2);
    fixture_free(&f);
}
END_TEST

/* What would change something is not executed, whatever its result would look like. */
START_TEST(a_write_beside_the_log_is_refused)
{
    static const char *const operations[] = {"w", "i", "r", ""};
    struct fixture f;
    fixture_init(&f, 8);
    open_session(&f, ALICE);
    const struct checksum digest = executor_digest(f.executor);
    for (size_t i = 0; i < sizeof operations / sizeof operations[0]; i++) {
        const char *operation = operations[i];
        const struct reply *reply = read_beside(&f, (const uint8_t *)operation, strlen(operation));
        ck_assert_int_eq(reply->status, REPLY_NOT_A_READ);
        ck_assert_uint_eq(reply->op_number, 1);
        ck_assert_uint_eq(reply->result_size, 0);
    }
    ck_assert_uint_eq(f.counter.executions, 0);
    ck_assert_uint_eq(executor_executed_op(f.executor), 1);
    ck_assert(checksum_equal(executor_digest(f.executor), digest));
    fixture_free(&f);
}
END_TEST

/* app.h: only a read may have a result that cannot be kept. */
START_TEST(a_large_result_of_a_write_is_our_own_fault)
{
    struct fixture f;
    fixture_init(&f, 8);
    const uint64_t session = open_session(&f, ALICE);
    ask(&f, ALICE, session, 1, "i"); /* aborts */
}
END_TEST

/* --- the bounds of an operation --- */

START_TEST(an_operation_over_the_limit_is_not_executed)
{
    struct fixture f;
    fixture_init(&f, 8);
    struct executor_options options = {.parameters = cluster_parameters_default(), .app = &f.app};
    options.parameters.operation_size_max = 4;
    free(f.memory);
    f.memory = calloc(1, executor_memory_size(&options.parameters));
    f.executor = executor_init(f.memory, &options);
    const uint64_t session = open_session(&f, ALICE);
    ck_assert_int_eq(ask(&f, ALICE, session, 1, "wwww")->status, REPLY_OK);
    ck_assert_int_eq(ask(&f, ALICE, session, 2, "wwwww")->status, REPLY_OPERATION_TOO_LARGE);
    ck_assert_int_eq(ask(&f, ALICE, session, 2, "w")->status, REPLY_OK);
    ck_assert_uint_eq(f.counter.executions, 2);
    fixture_free(&f);
}
END_TEST

START_TEST(an_empty_operation_is_the_applications_business)
{
    struct fixture f;
    fixture_init(&f, 8);
    const uint64_t session = open_session(&f, ALICE);
    ck_assert_uint_eq(result_number(ask(&f, ALICE, session, 1, "")), 1);
    fixture_free(&f);
}
END_TEST

START_TEST(a_gap_in_the_log_is_our_own_fault)
{
    struct fixture f;
    fixture_init(&f, 8);
    const struct entry entry = {.kind = ENTRY_REGISTER, .op_number = 2, .client_id = ALICE};
    const size_t size = entry_encode(&entry, f.entry);
    executor_execute(f.executor, f.entry, size, &f.reply); /* aborts */
}
END_TEST

/* --- look-ups (N2) --- */

START_TEST(a_look_up_says_what_a_repetition_would)
{
    struct fixture f;
    fixture_init(&f, 2);
    ck_assert(!executor_lookup(f.executor, ALICE, 0, 0, ENTRY_REGISTER, 0, &f.reply));
    ck_assert(!look_up(&f, ALICE, 1, 1, "w")); /* not known yet */
    const uint64_t session = open_session(&f, ALICE);
    ck_assert(executor_lookup(f.executor, ALICE, 0, 0, ENTRY_REGISTER, 0, &f.reply));
    ck_assert_uint_eq(f.reply.session, session);
    ck_assert_uint_eq(f.reply.op_number, session);
    ck_assert(!look_up(&f, ALICE, session, 1, "w")); /* not executed yet */
    ask(&f, ALICE, session, 1, "w");
    ask(&f, ALICE, session, 2, "w");
    const struct checksum digest = executor_digest(f.executor);

    ck_assert(look_up(&f, ALICE, session, 2, "w"));
    ck_assert_uint_eq(result_number(&f.reply), 2);
    ck_assert_uint_eq(f.reply.op_number, 3);
    ck_assert_uint_eq(f.reply.session, session);
    ck_assert_uint_eq(f.reply.request_number, 2);
    ck_assert(look_up(&f, ALICE, session, 2, "x"));
    ck_assert_int_eq(f.reply.status, REPLY_PAYLOAD_MISMATCH);
    ck_assert(look_up(&f, ALICE, session, 1, "w"));
    ck_assert_int_eq(f.reply.status, REPLY_SUPERSEDED);
    ck_assert(!look_up(&f, ALICE, session, 3, "w"));
    ck_assert(look_up(&f, BOB, session, 2, "w"));
    ck_assert_int_eq(f.reply.status, REPLY_SESSION_EXPIRED);
    ck_assert(!executor_lookup(f.executor, ALICE, session, 0, ENTRY_UNREGISTER, 0, &f.reply));

    ck_assert_uint_eq(f.counter.executions, 2);
    ck_assert_uint_eq(executor_executed_op(f.executor), 3);
    ck_assert(checksum_equal(executor_digest(f.executor), digest));

    open_session(&f, BOB);
    open_session(&f, CAROL); /* evicts ALICE */
    ck_assert(look_up(&f, ALICE, session, 2, "w"));
    ck_assert_int_eq(f.reply.status, REPLY_SESSION_EXPIRED);
    ck_assert(executor_lookup(f.executor, ALICE, session, 0, ENTRY_UNREGISTER, 0, &f.reply));
    ck_assert_int_eq(f.reply.status, REPLY_SESSION_EXPIRED);
    fixture_free(&f);
}
END_TEST

/* --- many replicas --- */

enum { LOG_ENTRIES = 3000, CLIENTS = 12, ACCOUNTS = 8, OPENING = 1000 };

static struct entry random_entry(struct prng *prng, uint64_t op_number, uint64_t sessions[CLIENTS],
                                 uint8_t *operation)
{
    const uint64_t who = prng_below(prng, CLIENTS);
    struct entry entry = {
        .op_number = op_number,
        .view_number = view_make(EPOCH_FIRST, op_number / 100),
        .timestamp = op_number,
        .client_id = {who, 7},
        .kind = ENTRY_OPERATION,
    };
    switch (prng_below(prng, 20)) {
    case 0:
    case 1:
        entry.kind = ENTRY_REGISTER;
        sessions[who] = op_number; /* or stale: then its requests meet an expired session */
        return entry;
    case 2:
        entry.kind = ENTRY_UNREGISTER;
        entry.session = sessions[who];
        return entry;
    default:
        entry.session = sessions[who];
        entry.request_number = op_number / 8 + prng_below(prng, 3) + 1; /* often repeated */
        entry.body = operation;
        entry.body_size = (uint32_t)accounts_random(prng, ACCOUNTS, operation);
        return entry;
    }
}

static bool replies_equal(const struct reply *a, const struct reply *b)
{
    return a->op_number == b->op_number && a->session == b->session &&
           a->request_number == b->request_number && a->status == b->status &&
           client_id_equal(a->client_id, b->client_id) && a->result_size == b->result_size &&
           (a->result_size == 0 || memcmp(a->result, b->result, a->result_size) == 0);
}

struct replica_state {
    struct accounts accounts;
    struct app app;
    void *memory;
    struct executor *executor;
};

static void replica_init(struct replica_state *r, uint64_t hash_seed)
{
    accounts_init(&r->accounts, ACCOUNTS, OPENING);
    r->app = accounts_app(&r->accounts);
    struct executor_options options = {
        .parameters = cluster_parameters_default(), .app = &r->app, .hash_seed = hash_seed};
    options.parameters.sessions_max = 5; /* fewer than clients: evictions all the time */
    r->memory = calloc(1, executor_memory_size(&options.parameters));
    ck_assert_ptr_nonnull(r->memory);
    r->executor = executor_init(r->memory, &options);
}

/* I8, PITFALLS CT-3, NC-8: the same log, the same answers and digests at every op, although the two
 * lie differently in memory; money is neither made nor lost. */
START_TEST(two_replicas_of_one_log_agree_at_every_op)
{
    uint64_t statuses[REPLY_OPERATION_TOO_LARGE + 1] = {0};
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct prng prng;
        struct replica_state a;
        struct replica_state b;
        uint64_t sessions[CLIENTS];
        uint8_t operation[ACCOUNTS_OPERATION_SIZE];
        uint8_t bytes[ENTRY_HEADER_SIZE + ACCOUNTS_OPERATION_SIZE];
        prng_seed(&prng, seed);
        replica_init(&a, 1);
        replica_init(&b, seed + 2);
        memset(sessions, 1, sizeof sessions);
        for (uint64_t op = 1; op <= LOG_ENTRIES; op++) {
            const struct entry entry = random_entry(&prng, op, sessions, operation);
            const size_t size = entry_encode(&entry, bytes);
            struct reply of_a;
            struct reply of_b;
            executor_execute(a.executor, bytes, size, &of_a);
            executor_execute(b.executor, bytes, size, &of_b);
            if (!replies_equal(&of_a, &of_b) ||
                !checksum_equal(executor_digest(a.executor), executor_digest(b.executor))) {
                ck_abort_msg("seed %d op %d", (int)seed, (int)op);
            }
            statuses[of_a.status]++;
            if (entry.kind == ENTRY_OPERATION && of_a.status == REPLY_OK) {
                ck_assert_ptr_null(accounts_check_answer(
                    ACCOUNTS, OPENING, operation, entry.body_size, of_a.result, of_a.result_size));
            }
            if (op % 3 == 0) { /* a look-up on one of them alone changes nothing */
                struct reply reply;
                (void)executor_lookup(a.executor, entry.client_id, entry.session,
                                      entry.request_number, entry.kind, 0, &reply);
            }
        }
        ck_assert_ptr_null(accounts_check(&a.accounts));
        ck_assert_uint_eq(executor_evicted_count(a.executor), executor_evicted_count(b.executor));
        ck_assert_uint_gt(executor_evicted_count(a.executor), 0);
        free(a.memory);
        free(b.memory);
    }
    for (int status = REPLY_OK; status < REPLY_OPERATION_TOO_LARGE; status++) {
        ck_assert_msg(statuses[status] > 0, "status %d was never met", status);
    }
}
END_TEST

/* I8: an entry that differs in its outcome shows in the digest. */
START_TEST(a_replica_that_differs_has_another_digest)
{
    struct fixture a;
    struct fixture b;
    fixture_init(&a, 8);
    fixture_init(&b, 8);
    ck_assert(checksum_equal(executor_digest(a.executor), executor_digest(b.executor)));
    open_session(&a, ALICE);
    ck_assert(!checksum_equal(executor_digest(a.executor), executor_digest(b.executor)));
    open_session(&b, ALICE);
    ck_assert(checksum_equal(executor_digest(a.executor), executor_digest(b.executor)));
    b.counter.writes++; /* a fault of the application alone */
    ck_assert(!checksum_equal(executor_digest(a.executor), executor_digest(b.executor)));
    fixture_free(&a);
    fixture_free(&b);
}
END_TEST

/* --- accounts --- */

static struct accounts_result accounts_do(struct app *app, const uint8_t *operation, size_t size)
{
    uint8_t result[ACCOUNTS_RESULT_SIZE];
    struct accounts_result decoded;
    const struct app_context context = {1, 1, 0};
    const size_t result_size = app->execute(app->state, &context, operation, size, result);
    ck_assert(accounts_result_decode(result, result_size, &decoded));
    return decoded;
}

START_TEST(accounts_move_money_and_keep_the_sum)
{
    struct accounts accounts;
    accounts_init(&accounts, 3, 100);
    struct app app = accounts_app(&accounts);
    uint8_t op[ACCOUNTS_OPERATION_SIZE];
    struct accounts_result r;
    r = accounts_do(&app, op, accounts_transfer(op, 0, 1, 60));
    ck_assert(r.status == ACCOUNTS_OK && r.number == 40);
    r = accounts_do(&app, op, accounts_transfer(op, 0, 1, 41));
    ck_assert(r.status == ACCOUNTS_INSUFFICIENT && r.number == 40);
    r = accounts_do(&app, op, accounts_transfer(op, 0, 0, 40));
    ck_assert(r.status == ACCOUNTS_OK && r.number == 40);
    r = accounts_do(&app, op, accounts_transfer(op, 0, 3, 1));
    ck_assert_int_eq(r.status, ACCOUNTS_UNKNOWN);
    r = accounts_do(&app, op, accounts_balance(op, 1));
    ck_assert(r.status == ACCOUNTS_OK && r.number == 160);
    r = accounts_do(&app, op, accounts_total(op));
    ck_assert(r.status == ACCOUNTS_OK && r.number == 300);
    ck_assert_ptr_null(accounts_check(&accounts));
    ck_assert_uint_eq(accounts.transfers, 2);

    ck_assert(!app.is_read(app.state, op, accounts_transfer(op, 0, 1, 1)));
    ck_assert(app.is_read(app.state, op, accounts_balance(op, 1)));
    ck_assert(app.is_read(app.state, op, accounts_total(op)));
    for (size_t size = 0; size < ACCOUNTS_OPERATION_SIZE; size++) {
        ck_assert_int_eq(accounts_do(&app, op, size).status, ACCOUNTS_MALFORMED);
    }
    op[0] = 9;
    ck_assert_int_eq(accounts_do(&app, op, sizeof op).status, ACCOUNTS_MALFORMED);
}
END_TEST

/* The check that the simulator relies on sees its fault. */
START_TEST(money_made_or_lost_is_noticed)
{
    struct accounts accounts;
    accounts_init(&accounts, 3, 100);
    accounts.balances[1]++;
    ck_assert_ptr_nonnull(accounts_check(&accounts));
    accounts.balances[2]--;
    ck_assert_ptr_nonnull(accounts_check(&accounts)); /* moved behind the digest's back */
    accounts.balances[1]--;
    accounts.balances[2]++;
    ck_assert_ptr_null(accounts_check(&accounts));

    uint8_t op[ACCOUNTS_OPERATION_SIZE];
    uint8_t result[ACCOUNTS_RESULT_SIZE] = {ACCOUNTS_OK};
    const size_t size = accounts_total(op);
    bytes_put_u64(result + 1, 300);
    ck_assert_ptr_null(accounts_check_answer(3, 100, op, size, result, sizeof result));
    bytes_put_u64(result + 1, 299);
    ck_assert_ptr_nonnull(accounts_check_answer(3, 100, op, size, result, sizeof result));
    ck_assert_ptr_nonnull(accounts_check_answer(3, 100, op, size, result, 3));
}
END_TEST

static Suite *executor_suite(bool forks)
{
    Suite *suite = suite_create("executor");
    TCase *tests = tcase_create("executor");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, a_session_is_the_op_of_its_register);
    tcase_add_test(tests, what_a_request_is_told);
    tcase_add_test(tests, a_repeated_request_is_executed_once);
    tcase_add_test(tests, an_older_request_is_superseded);
    tcase_add_test(tests, another_payload_of_the_same_number_is_an_error);
    tcase_add_test(tests, an_unknown_session_has_expired);
    tcase_add_test(tests, unregister_ends_a_session);
    tcase_add_test(tests, the_idle_session_is_evicted_by_the_log);
    tcase_add_test(tests, a_large_read_is_executed_again);
    tcase_add_test(tests, a_read_that_fits_is_kept);
    tcase_add_test(tests, a_large_read_with_a_large_operation);
    tcase_add_test(tests, a_read_beside_the_log_leaves_no_trace);
    tcase_add_test(tests, a_write_beside_the_log_is_refused);
    tcase_add_test(tests, an_operation_over_the_limit_is_not_executed);
    tcase_add_test(tests, an_empty_operation_is_the_applications_business);
    tcase_add_test(tests, a_look_up_says_what_a_repetition_would);
    tcase_add_test(tests, two_replicas_of_one_log_agree_at_every_op);
    tcase_add_test(tests, a_replica_that_differs_has_another_digest);
    tcase_add_test(tests, accounts_move_money_and_keep_the_sum);
    tcase_add_test(tests, money_made_or_lost_is_noticed);
    if (forks) { /* an abort ends the process it happens in */
        tcase_add_test_raise_signal(tests, a_large_result_of_a_write_is_our_own_fault, SIGABRT);
        tcase_add_test_raise_signal(tests, a_gap_in_the_log_is_our_own_fault, SIGABRT);
    }
    suite_add_tcase(suite, tests);
    return suite;
}

int main(void)
{
    SRunner *empty = srunner_create(NULL);
    const bool forks = srunner_fork_status(empty) == CK_FORK;
    srunner_free(empty);
    SRunner *runner = srunner_create(executor_suite(forks));
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
