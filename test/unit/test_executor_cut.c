/* SPDX-License-Identifier: Apache-2.0 */
/* Cuts of the executor: client table and application at one op, the same bytes on every replica
 * that executed it, whatever is executed between slices (K1, PITFALLS CT-4, PS-11); and loads of
 * them, after which a replica goes on as if it had executed the log itself. */
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/bytes.h"
#include "common/base/prng.h"
#include "common/wire/kv_codec.h"
#include "server/app/kv.h"
#include "server/executor/executor.h"
#include "server/executor/executor_parts.h"

enum {
    CLIENTS = 40,
    SESSIONS = 16, /* fewer than clients: evictions all the time */
    KEYS = 30,
    LOG_ENTRIES = 3000,
    OPERATION_MAX = 512,
    CUT_MAX = 4 * 1024 * 1024,
};

struct bytes {
    uint8_t *at;
    size_t size;
};

static struct bytes bytes_new(void)
{
    const struct bytes bytes = {malloc(CUT_MAX), 0};
    ck_assert_ptr_nonnull(bytes.at);
    return bytes;
}

/* --- replicas --- */

struct replica {
    struct kv *kv;
    struct app app;
    void *memory;
    struct executor *executor;
};

static struct configuration configuration(void)
{
    struct configuration c = {
        .cluster_id = 7,
        .epoch = EPOCH_FIRST,
        .member_count = 1,
        .parameters = cluster_parameters_default(),
    };
    c.members[0] = (struct member){
        .role = MEMBER_ACTIVE, .host = "127.0.0.1", .port = 8000, .peer_port = 8100};
    c.parameters.sessions_max = SESSIONS;
    return c;
}

static void replica_start(struct replica *r, const struct configuration *c, uint64_t hash_seed)
{
    r->kv = kv_create();
    r->app = kv_app(r->kv);
    const struct executor_options options = {
        .parameters = c->parameters,
        .app = &r->app,
        .hash_seed = hash_seed,
        .configuration = c,
    };
    r->memory = calloc(1, executor_memory_size(&options.parameters));
    ck_assert_ptr_nonnull(r->memory);
    r->executor = executor_init(r->memory, &options);
}

static void replica_new(struct replica *r, uint64_t hash_seed)
{
    const struct configuration c = configuration();
    replica_start(r, &c, hash_seed);
}

static void replica_free(struct replica *r)
{
    free(r->memory);
    kv_destroy(r->kv);
}

/* --- a log --- */

struct log {
    uint8_t *at[LOG_ENTRIES + 1]; /* by op */
    size_t sizes[LOG_ENTRIES + 1];
};

/* Small values and, for reads whose result cannot be kept, some large ones. */
static size_t random_operation(struct prng *prng, uint8_t *bytes)
{
    static uint8_t value[OPERATION_MAX];
    char key[16];
    const int key_size = snprintf(key, sizeof key, "key%d", (int)prng_below(prng, KEYS));
    struct kv_operation operation = {
        .kind = (enum kv_kind)prng_between(prng, KV_GET, KV_SCAN),
        .key = {(const uint8_t *)key, (size_t)key_size},
        .by = 1,
        .expect_absent = prng_chance(prng, 1, 2),
    };
    memset(value, '0' + (int)prng_below(prng, 10), sizeof value);
    operation.value = (struct kv_bytes){value, prng_chance(prng, 1, 3) ? 400 : prng_below(prng, 5)};
    if (operation.kind == KV_SCAN) {
        operation.key.size = 3; /* all keys: over reply_stored_max most of the time */
        operation.limit = 10;
    }
    return kv_operation_encode(&operation, bytes);
}

static struct entry random_entry(struct prng *prng, uint64_t op, uint64_t sessions[CLIENTS],
                                 uint8_t *operation)
{
    /* Some clients are busy and some mostly idle, so that C4's order is not that of sessions. */
    const uint64_t who = prng_chance(prng, 1, 2) ? prng_below(prng, CLIENTS) : prng_below(prng, 5);
    struct entry entry = {
        .op_number = op,
        .view_number = view_make(EPOCH_FIRST, 1),
        .timestamp = 1000 * op,
        .client_id = {who, 7},
        .kind = ENTRY_OPERATION,
        .session = sessions[who],
    };
    const uint64_t kind = prng_below(prng, 20);
    if (kind < 3 || sessions[who] == 0) {
        entry.kind = ENTRY_REGISTER;
        entry.session = 0;
        sessions[who] = op; /* or stale: then its requests meet an expired session */
    } else if (kind == 3) {
        entry.kind = ENTRY_UNREGISTER;
    } else {
        entry.request_number = op / 8 + prng_below(prng, 3) + 1; /* often repeated */
        entry.body = operation;
        entry.body_size = (uint32_t)random_operation(prng, operation);
    }
    return entry;
}

static void log_new(struct log *log, struct prng *prng)
{
    uint64_t sessions[CLIENTS] = {0};
    uint8_t operation[OPERATION_MAX + 64];
    for (uint64_t op = 1; op <= LOG_ENTRIES; op++) {
        const struct entry entry = random_entry(prng, op, sessions, operation);
        log->at[op] = malloc(ENTRY_HEADER_SIZE + (size_t)entry.body_size);
        log->sizes[op] = entry_encode(&entry, log->at[op]);
    }
}

static void log_free(struct log *log)
{
    for (uint64_t op = 1; op <= LOG_ENTRIES; op++) {
        free(log->at[op]);
    }
}

static void replica_execute(struct replica *r, const struct log *log, uint64_t op,
                            struct reply *reply)
{
    executor_execute(r->executor, log->at[op], log->sizes[op], reply);
}

static void replica_execute_to(struct replica *r, const struct log *log, uint64_t op)
{
    struct reply reply;
    while (executor_executed_op(r->executor) < op) {
        replica_execute(r, log, executor_executed_op(r->executor) + 1, &reply);
    }
}

static bool replies_equal(const struct reply *a, const struct reply *b)
{
    return a->op_number == b->op_number && a->session == b->session &&
           a->request_number == b->request_number && a->status == b->status &&
           client_id_equal(a->client_id, b->client_id) && a->result_size == b->result_size &&
           (a->result_size == 0 || memcmp(a->result, b->result, a->result_size) == 0);
}

/* --- cuts and loads --- */

static void cut_at_once(struct replica *r, struct bytes *cut)
{
    size_t size;
    bool more;
    cut->size = 0;
    executor_cut_begin(r->executor);
    do {
        more = executor_cut(r->executor, cut->at + cut->size, CUT_MAX - cut->size, &size);
        cut->size += size;
    } while (more);
    ck_assert(!executor_cut_active(r->executor));
}

/* In random slices, with entries of the log in between; false: given up halfway. */
static bool cut_slowly(struct replica *r, const struct log *log, struct prng *prng,
                       struct bytes *cut)
{
    const uint64_t slice_max = prng_chance(prng, 1, 2) ? 40 : 2000;
    const uint64_t between = prng_below(prng, 8);
    const bool abandoned = prng_chance(prng, 1, 4);
    size_t size;
    bool more;
    cut->size = 0;
    executor_cut_begin(r->executor);
    do {
        const uint64_t op = executor_executed_op(r->executor) + prng_below(prng, between + 1);
        replica_execute_to(r, log, op < LOG_ENTRIES ? op : LOG_ENTRIES);
        const uint64_t capacity = prng_between(prng, 1, slice_max);
        more = executor_cut(r->executor, cut->at + cut->size, capacity, &size);
        if (size > capacity) {
            ck_abort_msg("%d bytes for %d", (int)size, (int)capacity);
        }
        cut->size += size;
        if (more && abandoned && prng_chance(prng, 1, 20)) {
            executor_cut_abandon(r->executor);
            return false;
        }
    } while (more);
    return true;
}

static bool load(struct replica *r, struct prng *prng, const struct bytes *cut)
{
    size_t at = 0;
    executor_load_begin(r->executor);
    while (at < cut->size) {
        uint64_t size = prng_below(prng, prng_chance(prng, 1, 2) ? 100 : cut->size + 1);
        size = size < cut->size - at ? size : cut->size - at;
        /* A copy of its own, so that a sanitizer sees a read behind its end. */
        uint8_t *piece = malloc(size + 1);
        memcpy(piece, cut->at + at, size);
        const bool good = executor_load(r->executor, piece, size);
        free(piece);
        if (!good) {
            if (executor_load(r->executor, cut->at, 1)) {
                ck_abort_msg("it does not stay refused");
            }
            return executor_load_end(r->executor);
        }
        at += size;
    }
    return executor_load_end(r->executor);
}

static bool bytes_equal(const struct bytes *a, const struct bytes *b)
{
    return a->size == b->size && memcmp(a->at, b->at, a->size) == 0;
}

/* `fresh` goes on from a cut, `r` from what it executed: the same answers and digests. */
static void go_on_alike(struct replica *r, struct replica *fresh, const struct log *log)
{
    struct reply reply;
    struct reply fresh_reply;
    while (executor_executed_op(fresh->executor) < LOG_ENTRIES) {
        const uint64_t op = executor_executed_op(fresh->executor) + 1;
        replica_execute(r, log, op, &reply);
        replica_execute(fresh, log, op, &fresh_reply);
        if (!replies_equal(&reply, &fresh_reply) ||
            !checksum_equal(executor_digest(r->executor), executor_digest(fresh->executor))) {
            ck_abort_msg("op %d", (int)op);
        }
    }
    ck_assert_uint_eq(executor_evicted_count(r->executor), executor_evicted_count(fresh->executor));
    ck_assert_uint_gt(executor_evicted_count(r->executor), 0);
    ck_assert_uint_eq(executor_session_count(r->executor), executor_session_count(fresh->executor));
}

/* One replica cuts slowly while it executes, another stands still at the same op; a third is loaded
 * from the cut, cuts the same bytes again, and goes on like the second. */
static void compare_cuts(uint64_t seed)
{
    struct prng prng;
    struct log log;
    struct replica busy;
    struct replica still;
    struct replica loaded;
    struct bytes cut = bytes_new();
    struct bytes expected = bytes_new();
    prng_seed(&prng, seed);
    log_new(&log, &prng);
    replica_new(&busy, seed);
    replica_new(&still, seed + 1);
    replica_new(&loaded, seed + 2);
    bool any = false;
    for (;;) {
        const uint64_t op = executor_executed_op(busy.executor) + prng_below(&prng, 400);
        if (op >= LOG_ENTRIES && any) {
            break;
        }
        replica_execute_to(&busy, &log, op < LOG_ENTRIES ? op : LOG_ENTRIES);
        replica_execute_to(&still, &log, executor_executed_op(busy.executor));
        const struct checksum digest = executor_digest(still.executor);
        cut_at_once(&still, &expected);
        if (!cut_slowly(&busy, &log, &prng, &cut)) {
            continue;
        }
        any = true;
        if (!bytes_equal(&cut, &expected)) {
            ck_abort_msg("seed %d: the cut at op %d", (int)seed, (int)op);
        }
        if (!load(&loaded, &prng, &cut) ||
            !checksum_equal(executor_digest(loaded.executor), digest)) {
            ck_abort_msg("seed %d: the load at op %d", (int)seed, (int)op);
        }
        cut_at_once(&loaded, &cut);
        if (!bytes_equal(&cut, &expected)) {
            ck_abort_msg("seed %d: cut again at op %d", (int)seed, (int)op);
        }
    }
    cut_at_once(&still, &cut);
    ck_assert(load(&loaded, &prng, &cut));
    ck_assert_uint_eq(executor_executed_op(loaded.executor), executor_executed_op(still.executor));
    go_on_alike(&still, &loaded, &log);
    replica_free(&busy);
    replica_free(&still);
    replica_free(&loaded);
    log_free(&log);
    free(cut.at);
    free(expected.at);
}

START_TEST(the_same_op_gives_the_same_bytes)
{
    for (uint64_t seed = 0; seed < 100; seed++) {
        compare_cuts(seed * 10);
    }
}
END_TEST

/* A cut early in the log, so that much of it follows. */
START_TEST(a_loaded_replica_goes_on_like_the_others)
{
    for (uint64_t seed = 0; seed < 10; seed++) {
        struct prng prng;
        struct log log;
        struct replica a;
        struct replica b;
        struct bytes cut = bytes_new();
        prng_seed(&prng, seed);
        log_new(&log, &prng);
        replica_new(&a, 1);
        replica_new(&b, 2);
        replica_execute_to(&b, &log, prng_below(&prng, 100)); /* whatever it was before */
        replica_execute_to(&a, &log, prng_below(&prng, 1000));
        cut_at_once(&a, &cut);
        ck_assert(load(&b, &prng, &cut));
        go_on_alike(&a, &b, &log);
        replica_free(&a);
        replica_free(&b);
        log_free(&log);
        free(cut.at);
    }
}
END_TEST

/* --- at most once, over a checkpoint (PITFALLS CT-4) --- */

static const struct client_id ALICE = {1, 1};

static void run(struct replica *r, struct entry entry, struct reply *reply)
{
    static uint8_t bytes[ENTRY_HEADER_SIZE + 4096];
    entry.op_number = executor_executed_op(r->executor) + 1;
    entry.view_number = view_make(EPOCH_FIRST, 1);
    entry.timestamp = entry.op_number;
    entry.client_id = ALICE;
    executor_execute(r->executor, bytes, entry_encode(&entry, bytes), reply);
}

static struct entry request(uint64_t request_number, const struct kv_operation *operation,
                            uint8_t *bytes)
{
    return (struct entry){
        .kind = ENTRY_OPERATION,
        .session = 1,
        .request_number = request_number,
        .body = bytes,
        .body_size = (uint32_t)kv_operation_encode(operation, bytes),
    };
}

static const struct kv_bytes KEY = {(const uint8_t *)"k", 1};

START_TEST(what_was_answered_is_answered_again_after_a_load)
{
    struct prng prng;
    struct replica a;
    struct replica b;
    struct reply reply;
    struct bytes cut = bytes_new();
    uint8_t bytes[4096];
    static uint8_t value[2000];
    prng_seed(&prng, 1);
    replica_new(&a, 1);
    replica_new(&b, 2);
    run(&a, (struct entry){.kind = ENTRY_REGISTER}, &reply);
    const struct kv_operation incr = {.kind = KV_INCR, .key = KEY, .by = 5};
    const struct entry incremented = request(1, &incr, bytes);
    run(&a, incremented, &reply);
    ck_assert_int_eq(reply.status, REPLY_OK);
    cut_at_once(&a, &cut);
    ck_assert(load(&b, &prng, &cut));
    struct reply again;
    run(&b, incremented, &again); /* the reply was lost, the client asks the new primary */
    ck_assert_int_eq(again.status, REPLY_OK);
    ck_assert_uint_eq(again.op_number, reply.op_number);
    ck_assert_uint_eq(again.result_size, reply.result_size);
    ck_assert_int_eq(memcmp(again.result, reply.result, reply.result_size), 0);

    /* A read too large to keep: its operation is in the checkpoint, and is executed again. */
    const struct kv_operation set = {.kind = KV_SET, .key = KEY, .value = {value, sizeof value}};
    run(&a, request(2, &set, bytes), &reply);
    const struct kv_operation get = {.kind = KV_GET, .key = KEY};
    const struct entry got = request(3, &get, bytes);
    run(&a, got, &reply);
    ck_assert_uint_gt(reply.result_size, sizeof value);
    cut_at_once(&a, &cut);
    ck_assert(load(&b, &prng, &cut));
    ck_assert(executor_lookup(b.executor, ALICE, 1, 3, ENTRY_OPERATION,
                              operation_checksum(ENTRY_OPERATION, got.body, got.body_size),
                              &again));
    ck_assert_uint_gt(again.result_size, sizeof value);
    replica_free(&a);
    replica_free(&b);
    free(cut.at);
}
END_TEST

/* E0: a store that is full says so at the same op everywhere, also after a load. */
START_TEST(a_full_state_is_full_on_every_replica)
{
    static uint8_t value[1000];
    const struct configuration c = configuration();
    struct replica r[2];
    struct reply replies[2];
    struct bytes cut = bytes_new();
    struct prng prng;
    uint8_t bytes[4096];
    bool full = false;
    prng_seed(&prng, 1);
    for (int i = 0; i < 2; i++) {
        r[i].kv = kv_create();
        r[i].app = kv_app(r[i].kv);
        struct executor_options options = {
            .parameters = c.parameters, .app = &r[i].app, .hash_seed = (uint64_t)i};
        options.parameters.state_size_max = 5000;
        r[i].memory = calloc(1, executor_memory_size(&options.parameters));
        r[i].executor = executor_init(r[i].memory, &options);
        run(&r[i], (struct entry){.kind = ENTRY_REGISTER}, &replies[i]);
    }
    for (uint8_t n = 0; n < 10; n++) {
        const struct kv_operation set = {
            .kind = KV_SET, .key = {&n, 1}, .value = {value, sizeof value}};
        const struct entry entry = request(n + 1u, &set, bytes);
        for (int i = 0; i < 2; i++) {
            run(&r[i], entry, &replies[i]);
            ck_assert_uint_le(executor_state_size(r[i].executor), 5000);
        }
        ck_assert(replies_equal(&replies[0], &replies[1]));
        full = full || executor_state_size(r[0].executor) > 4000;
        if (n == 3) {
            cut_at_once(&r[0], &cut);
            ck_assert(load(&r[1], &prng, &cut));
        }
    }
    ck_assert(full);
    ck_assert_uint_eq(kv_key_count(r[0].kv), 4);
    replica_free(&r[0]);
    replica_free(&r[1]);
    free(cut.at);
}
END_TEST

/* --- damage --- */

/* A cut with sessions of every kind. */
static void some_cut(struct replica *r, struct bytes *cut)
{
    struct prng prng;
    struct log log;
    prng_seed(&prng, 99);
    log_new(&log, &prng);
    replica_new(r, 5);
    replica_execute_to(r, &log, 400);
    cut_at_once(r, cut);
    log_free(&log);
}

START_TEST(a_load_of_part_of_a_cut_is_refused)
{
    struct prng prng;
    struct replica r;
    struct bytes cut = bytes_new();
    prng_seed(&prng, 1);
    some_cut(&r, &cut);
    ck_assert(load(&r, &prng, &cut));
    for (size_t size = 0; size < cut.size; size += size < 3000 ? 1 : 97) {
        const struct bytes part = {cut.at, size};
        if (load(&r, &prng, &part)) {
            ck_abort_msg("%d bytes", (int)size);
        }
    }
    cut.at[cut.size++] = 0; /* and one byte too many */
    ck_assert(!load(&r, &prng, &cut));
    replica_free(&r);
    free(cut.at);
}
END_TEST

/* Whatever bit is wrong, the load says so: the front has a checksum, the rest is in the digest. */
START_TEST(every_flipped_bit_is_noticed)
{
    struct prng prng;
    struct replica r;
    struct bytes cut = bytes_new();
    prng_seed(&prng, 2);
    some_cut(&r, &cut);
    for (uint32_t round = 0; round < 6000; round++) {
        const size_t near_front = round < 3000 ? 2000 : cut.size;
        const size_t bit = prng_below(&prng, near_front * 8);
        cut.at[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        if (load(&r, &prng, &cut)) {
            ck_abort_msg("bit %d of byte %d", (int)(bit % 8), (int)(bit / 8));
        }
        cut.at[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    ck_assert(load(&r, &prng, &cut));
    replica_free(&r);
    free(cut.at);
}
END_TEST

/* Bytes overwritten, removed and repeated in the middle; pure noise. */
START_TEST(garbled_cuts_are_refused)
{
    struct prng prng;
    struct replica r;
    struct bytes cut = bytes_new();
    struct bytes garbled = bytes_new();
    prng_seed(&prng, 3);
    some_cut(&r, &cut);
    for (uint32_t round = 0; round < 3000; round++) {
        const size_t at = prng_below(&prng, cut.size);
        const size_t size = 1 + prng_below(&prng, cut.size - at);
        memcpy(garbled.at, cut.at, cut.size);
        garbled.size = cut.size;
        switch (prng_below(&prng, 4)) {
        case 0:
            for (size_t i = 0; i < size && i < 50; i++) {
                garbled.at[at + i] = (uint8_t)prng_next(&prng);
            }
            break;
        case 1:
            memmove(garbled.at + at, garbled.at + at + size, cut.size - at - size);
            garbled.size -= size;
            break;
        case 2:
            memcpy(garbled.at + at + size, cut.at + at, cut.size - at);
            garbled.size += size;
            break;
        default:
            for (size_t i = CUT_FRONT_SIZE; i < cut.size; i++) {
                garbled.at[i] = (uint8_t)prng_below(&prng, 3);
            }
            break;
        }
        if (!bytes_equal(&garbled, &cut) && load(&r, &prng, &garbled)) {
            ck_abort_msg("round %d", (int)round);
        }
    }
    replica_free(&r);
    free(cut.at);
    free(garbled.at);
}
END_TEST

/* --- what is well-formed and cannot be --- */

/* A cut by hand: a front that fits, `count` sessions, an empty store. The digest is not right, so
 * a load is never accepted; but its sessions are, or are not. */
struct session {
    uint64_t client, session, request_number, last_op;
    uint32_t kept, kept_size;
    const uint8_t *bytes;
};

static void put_front(struct bytes *cut, struct replica *r, uint32_t count)
{
    cut_at_once(r, cut);
    const size_t size = CUT_FRONT_SIZE + r->executor->configuration_size;
    bytes_put_u64(cut->at + 8, 1000);
    bytes_put_u32(cut->at + 48, count);
    const struct checksum checksum = cut_front_checksum(cut->at, size);
    bytes_put_u64(cut->at + size, checksum.low);
    bytes_put_u64(cut->at + size + 8, checksum.high);
    cut->size = size + CUT_CHECKSUM_SIZE;
}

static void put_session(struct bytes *cut, const struct session *session)
{
    uint8_t *at = cut->at + cut->size;
    const bool asked = session->request_number > 0;
    memset(at, 0, CUT_SESSION_SIZE);
    bytes_put_u64(at, session->client);
    bytes_put_u64(at + 16, session->session);
    bytes_put_u64(at + 24, session->request_number);
    bytes_put_u64(at + 32,
                  asked ? operation_checksum(ENTRY_OPERATION, session->bytes, session->kept_size)
                        : 0);
    bytes_put_u64(at + 40, session->last_op);
    at[48] = (uint8_t)session->kept;
    bytes_put_u32(at + 49, session->kept_size);
    if (session->kept_size > 0) {
        memcpy(at + CUT_SESSION_SIZE, session->bytes, session->kept_size);
    }
    cut->size += CUT_SESSION_SIZE + (size_t)session->kept_size;
}

START_TEST(sessions_that_cannot_be_are_refused)
{
    static uint8_t many[KEPT_MAX + 1];
    uint8_t read[64];
    uint8_t write[64];
    const struct kv_operation get = {.kind = KV_GET, .key = KEY};
    const struct kv_operation set = {.kind = KV_SET, .key = KEY, .value = KEY};
    const uint32_t read_size = (uint32_t)kv_operation_encode(&get, read);
    const uint32_t write_size = (uint32_t)kv_operation_encode(&set, write);
    const struct {
        struct session second; /* the first is {1, 10, 1, 20} */
        bool good;
    } rows[] = {
        {{2, 11, 0, 21, KEPT_NOTHING, 0, many}, false}, /* nothing asked, later op */
        {{2, 21, 0, 21, KEPT_NOTHING, 0, many}, true},
        {{2, 21, 0, 21, KEPT_RESULT, 0, many}, false}, /* nothing asked, an answer */
        {{2, 11, 5, 21, KEPT_RESULT, 0, many}, true},
        {{2, 11, 5, 21, KEPT_RESULT, REPLY_STORED_MAX, many}, true},
        {{2, 11, 5, 21, KEPT_RESULT, REPLY_STORED_MAX + 1, many}, false},
        {{2, 11, 5, 21, KEPT_RESULT, KEPT_MAX + 1, many}, false},
        {{2, 11, 5, 21, KEPT_NOTHING, 0, many}, true},
        {{2, 11, 5, 21, KEPT_NOTHING, 1, many}, false},
        {{2, 11, 5, 21, KEPT_READ + 1, 0, many}, false},
        {{2, 11, 5, 21, KEPT_READ, read_size, read}, true},
        {{2, 11, 5, 21, KEPT_READ, write_size, write}, false}, /* would change something */
        {{2, 11, 5, 21, KEPT_READ, 5, many}, false},           /* no operation */
        {{1, 11, 5, 21, KEPT_NOTHING, 0, many}, false},        /* the same client */
        {{2, 10, 5, 21, KEPT_NOTHING, 0, many}, false},        /* the same session */
        {{2, 0, 5, 21, KEPT_NOTHING, 0, many}, false},
        {{2, 21, 5, 21, KEPT_NOTHING, 0, many}, false}, /* asked before it was opened */
        {{2, 11, 5, 20, KEPT_NOTHING, 0, many}, false}, /* the same op */
        {{2, 11, 5, 19, KEPT_NOTHING, 0, many}, false}, /* another order */
        {{2, 11, 5, 1000, KEPT_NOTHING, 0, many}, true},
        {{2, 11, 5, 1001, KEPT_NOTHING, 0, many}, false}, /* not executed yet */
    };
    const struct session first = {1, 10, 1, 20, KEPT_RESULT, 3, many};
    struct replica r;
    struct bytes cut = bytes_new();
    replica_new(&r, 1);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        executor_load_begin(r.executor);
        struct replica other;
        replica_new(&other, 2);
        put_front(&cut, &other, 2);
        put_session(&cut, &first);
        put_session(&cut, &rows[i].second);
        const bool good = executor_load(r.executor, cut.at, cut.size);
        ck_assert_msg(good == rows[i].good, "row %d", (int)i);
        ck_assert(!executor_load_end(r.executor));
        replica_free(&other);
    }
    replica_free(&r);
    free(cut.at);
}
END_TEST

START_TEST(too_many_sessions_are_refused)
{
    struct replica r;
    struct replica other;
    struct bytes cut = bytes_new();
    replica_new(&r, 1);
    replica_new(&other, 2);
    for (uint32_t extra = 0; extra <= 1; extra++) {
        put_front(&cut, &other, SESSIONS + extra);
        executor_load_begin(r.executor);
        ck_assert_int_eq(executor_load(r.executor, cut.at, cut.size), extra == 0);
    }
    replica_free(&r);
    replica_free(&other);
    free(cut.at);
}
END_TEST

/* E0: what must be the same everywhere is, or the cut is another cluster's. */
START_TEST(a_cut_of_another_cluster_is_refused)
{
    struct prng prng;
    struct replica r;
    struct replica other;
    struct bytes cut = bytes_new();
    prng_seed(&prng, 4);
    some_cut(&r, &cut);
    struct configuration c = configuration();
    replica_start(&other, &c, 1);
    ck_assert(load(&other, &prng, &cut));
    replica_free(&other);
    for (int i = 0; i < 5; i++) {
        c = configuration();
        c.cluster_id += i == 0;
        c.epoch += i == 1;
        c.parameters.sessions_max += i == 2;
        c.parameters.operation_size_max -= i == 3;
        c.parameters.reply_stored_max -= i == 4;
        replica_start(&other, &c, 1);
        ck_assert_msg(!load(&other, &prng, &cut), "difference %d", i);
        replica_free(&other);
    }
    replica_free(&r);
    free(cut.at);
}
END_TEST

START_TEST(the_front_byte_by_byte)
{
    const struct configuration c = configuration();
    struct replica r;
    struct bytes cut = bytes_new();
    uint8_t encoded[CONFIGURATION_ENCODED_MAX];
    const size_t encoded_size = configuration_encode(&c, encoded);
    replica_new(&r, 1);
    cut_at_once(&r, &cut);
    ck_assert_uint_eq(bytes_get_u32(cut.at), 1);
    ck_assert_uint_eq(bytes_get_u32(cut.at + 4), encoded_size);
    ck_assert_uint_eq(bytes_get_u64(cut.at + 64), STATE_SIZE_MAX_DEFAULT);
    ck_assert_int_eq(memcmp(cut.at + 72, encoded, encoded_size), 0);
    ck_assert_uint_eq(cut.size, 72 + encoded_size + 16 + 12); /* 12: an empty store */
    replica_free(&r);
    free(cut.at);
}
END_TEST

START_TEST(execution_amid_a_load_is_our_own_fault)
{
    struct replica r;
    struct reply reply;
    replica_new(&r, 1);
    executor_load_begin(r.executor);
    run(&r, (struct entry){.kind = ENTRY_REGISTER}, &reply); /* aborts */
}
END_TEST

START_TEST(two_cuts_at_once_are_our_own_fault)
{
    struct replica r;
    replica_new(&r, 1);
    executor_cut_begin(r.executor);
    executor_cut_begin(r.executor); /* aborts */
}
END_TEST

static Suite *executor_cut_suite(bool forks)
{
    Suite *suite = suite_create("executor_cut");
    TCase *tests = tcase_create("executor_cut");
    tcase_set_timeout(tests, 30);
    tcase_add_test(tests, the_same_op_gives_the_same_bytes);
    tcase_add_test(tests, a_loaded_replica_goes_on_like_the_others);
    tcase_add_test(tests, what_was_answered_is_answered_again_after_a_load);
    tcase_add_test(tests, a_full_state_is_full_on_every_replica);
    tcase_add_test(tests, a_load_of_part_of_a_cut_is_refused);
    tcase_add_test(tests, every_flipped_bit_is_noticed);
    tcase_add_test(tests, garbled_cuts_are_refused);
    tcase_add_test(tests, sessions_that_cannot_be_are_refused);
    tcase_add_test(tests, too_many_sessions_are_refused);
    tcase_add_test(tests, a_cut_of_another_cluster_is_refused);
    tcase_add_test(tests, the_front_byte_by_byte);
    if (forks) { /* an abort ends the process it happens in */
        tcase_add_test_raise_signal(tests, execution_amid_a_load_is_our_own_fault, SIGABRT);
        tcase_add_test_raise_signal(tests, two_cuts_at_once_are_our_own_fault, SIGABRT);
    }
    suite_add_tcase(suite, tests);
    return suite;
}

int main(void)
{
    SRunner *empty = srunner_create(NULL);
    const bool forks = srunner_fork_status(empty) == CK_FORK;
    srunner_free(empty);
    SRunner *runner = srunner_create(executor_cut_suite(forks));
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
