/* SPDX-License-Identifier: Apache-2.0 */
/* The client table by itself: found by session and by client, evicted in log order (PITFALLS CT-3),
 * the same digest for the same content, against a table so naive that it cannot be wrong. */
#include <check.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/prng.h"
#include "server/executor/client_table.h"

enum { KEPT_MAX = 32, MODEL_MAX = 64 };

static struct client_table *table_new(uint32_t sessions_max, uint64_t hash_seed)
{
    const size_t size = client_table_memory_size(sessions_max, KEPT_MAX);
    struct client_table *table = malloc(sizeof *table);
    void *memory = calloc(1, size);
    ck_assert_ptr_nonnull(table);
    ck_assert_ptr_nonnull(memory);
    client_table_init(table, memory, sessions_max, KEPT_MAX, hash_seed);
    return table;
}

static void table_delete(struct client_table *table)
{
    free(table->records); /* where the memory begins */
    free(table);
}

static struct client_id client(uint64_t number)
{
    return (struct client_id){number, ~number};
}

START_TEST(a_registered_client_is_found_both_ways)
{
    struct client_table *table = table_new(4, 1);
    ck_assert_ptr_null(client_table_find(table, 7));
    ck_assert_ptr_null(client_table_find_client(table, client(1)));
    const struct client_record *record = client_table_register(table, client(1), 7);
    ck_assert_uint_eq(record->session, 7);
    ck_assert_uint_eq(record->request_number, 0);
    ck_assert_ptr_eq(client_table_find(table, 7), record);
    ck_assert_ptr_eq(client_table_find_client(table, client(1)), record);
    ck_assert_ptr_null(client_table_find(table, 1));
    ck_assert_uint_eq(table->count, 1);
    table_delete(table);
}
END_TEST

/* PITFALLS CT-3: the victim is the session whose last executed op is smallest, not the one that
 * registered first. */
START_TEST(the_session_idle_longest_is_evicted)
{
    struct client_table *table = table_new(3, 1);
    for (uint64_t op = 1; op <= 3; op++) {
        client_table_register(table, client(op), op);
    }
    client_table_executed(table, client_table_find(table, 1), 1, 0, 4, KEPT_NOTHING, NULL, 0);
    client_table_register(table, client(4), 5);
    ck_assert_ptr_null(client_table_find(table, 2));
    ck_assert_ptr_null(client_table_find_client(table, client(2)));
    ck_assert_ptr_nonnull(client_table_find(table, 1));
    client_table_register(table, client(5), 6);
    ck_assert_ptr_null(client_table_find(table, 3));
    client_table_register(table, client(6), 7);
    ck_assert_ptr_null(client_table_find(table, 1));
    ck_assert_uint_eq(table->count, 3);
    ck_assert_uint_eq(table->evicted_count, 3);
    table_delete(table);
}
END_TEST

START_TEST(one_session_is_the_smallest_table)
{
    struct client_table *table = table_new(1, 1);
    for (uint64_t op = 1; op < 100; op++) {
        client_table_register(table, client(op), op);
        ck_assert_ptr_nonnull(client_table_find(table, op));
        ck_assert_uint_eq(table->count, 1);
    }
    ck_assert_uint_eq(table->evicted_count, 98);
    client_table_unregister(table, client_table_find(table, 99));
    ck_assert_uint_eq(table->count, 0);
    ck_assert(checksum_equal(table->digest, (struct checksum){0, 0}));
    table_delete(table);
}
END_TEST

/* I8: equal content, equal digest, whatever came before and wherever records lie; each field
 * counts.
 */
START_TEST(the_digest_is_that_of_the_content)
{
    struct client_table *a = table_new(8, 1);
    struct client_table *b = table_new(8, 999);
    const uint8_t reply[] = "reply";
    client_table_register(b, client(77), 1); /* comes and goes */
    client_table_register(a, client(5), 2);
    client_table_register(a, client(6), 3);
    client_table_register(b, client(5), 2);
    client_table_register(b, client(6), 3);
    ck_assert(!checksum_equal(a->digest, b->digest));
    client_table_unregister(b, client_table_find(b, 1));
    ck_assert(checksum_equal(a->digest, b->digest));

    struct client_record *in_a = client_table_find(a, 2);
    struct client_record *in_b = client_table_find(b, 2);
    client_table_executed(a, in_a, 1, 11, 4, KEPT_RESULT, reply, 5);
    ck_assert(!checksum_equal(a->digest, b->digest));
    client_table_executed(b, in_b, 1, 11, 4, KEPT_RESULT, reply, 5);
    ck_assert(checksum_equal(a->digest, b->digest));

    /* One difference at a time, each told apart: the number, the payload, the op, what is kept. */
    client_table_executed(a, in_a, 2, 12, 5, KEPT_RESULT, reply, 5);
    const struct checksum expected = a->digest;
    static const struct {
        uint64_t request_number, checksum, op;
        enum kept kept;
        uint32_t size;
    } others[] = {
        {3, 12, 5, KEPT_RESULT, 5}, {2, 13, 5, KEPT_RESULT, 5}, {2, 12, 6, KEPT_RESULT, 5},
        {2, 12, 5, KEPT_READ, 5},   {2, 12, 5, KEPT_RESULT, 4}, {2, 12, 5, KEPT_NOTHING, 0},
    };
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        struct client_table *c = table_new(8, i);
        client_table_register(c, client(5), 2);
        client_table_register(c, client(6), 3);
        client_table_executed(c, client_table_find(c, 2), others[i].request_number,
                              others[i].checksum, others[i].op, others[i].kept, reply,
                              others[i].size);
        ck_assert_msg(!checksum_equal(c->digest, expected), "difference %d", (int)i);
        table_delete(c);
    }
    table_delete(a);
    table_delete(b);
}
END_TEST

/* --- against a naive table --- */

struct model_record {
    struct client_id client_id;
    uint64_t session, request_number, last_op;
    uint32_t kept_size;
    uint8_t kept[KEPT_MAX];
};

struct model {
    uint32_t count;
    struct model_record records[MODEL_MAX];
};

static uint32_t model_oldest(const struct model *model)
{
    uint32_t oldest = 0;
    for (uint32_t i = 1; i < model->count; i++) {
        if (model->records[i].last_op < model->records[oldest].last_op) {
            oldest = i;
        }
    }
    return oldest;
}

static void model_remove(struct model *model, uint32_t index)
{
    model->records[index] = model->records[--model->count];
}

static uint32_t model_find_client(const struct model *model, struct client_id client_id)
{
    for (uint32_t i = 0; i < model->count; i++) {
        if (client_id_equal(model->records[i].client_id, client_id)) {
            return i;
        }
    }
    return MODEL_MAX;
}

/* Plain comparisons: an assertion of Check costs more than the rest of a step. */
static bool record_agrees(const struct client_table *table, const struct client_record *record,
                          const struct model_record *expected)
{
    return client_table_find(table, expected->session) == record &&
           record->session == expected->session &&
           record->request_number == expected->request_number &&
           record->last_op == expected->last_op && record->kept_size == expected->kept_size &&
           memcmp(client_table_kept(table, record), expected->kept, expected->kept_size) == 0;
}

static bool table_agrees(const struct client_table *table, const struct model *model,
                         uint64_t client_count)
{
    for (uint64_t c = 0; c < client_count; c++) {
        const struct client_record *record = client_table_find_client(table, client(c));
        const uint32_t index = model_find_client(model, client(c));
        if ((record != NULL) != (index != MODEL_MAX) ||
            (record != NULL && !record_agrees(table, record, &model->records[index]))) {
            return false;
        }
    }
    return table->count == model->count;
}

/* Small tables, so that probes collide, wrap around and shift back all the time. */
static void random_walk(uint64_t seed, uint32_t steps)
{
    struct prng prng;
    prng_seed(&prng, seed);
    const uint32_t sessions_max = (uint32_t)prng_between(&prng, 1, 20);
    const uint64_t client_count = prng_between(&prng, 1, 40);
    struct client_table *table = table_new(sessions_max, prng_next(&prng));
    struct client_table *twin = table_new(sessions_max, prng_next(&prng));
    static struct model model;
    model.count = 0;
    for (uint64_t op = 1; op <= steps; op++) {
        const struct client_id id = client(prng_below(&prng, client_count));
        const uint32_t index = model_find_client(&model, id);
        struct client_record *record = client_table_find_client(table, id);
        struct client_record *twin_record = client_table_find_client(twin, id);
        if (index == MODEL_MAX) {
            if (model.count == sessions_max) {
                model_remove(&model, model_oldest(&model));
            }
            model.records[model.count++] =
                (struct model_record){.client_id = id, .session = op, .last_op = op};
            client_table_register(table, id, op);
            client_table_register(twin, id, op);
        } else if (prng_chance(&prng, 1, 4)) {
            model_remove(&model, index);
            client_table_unregister(table, record);
            client_table_unregister(twin, twin_record);
        } else {
            struct model_record *expected = &model.records[index];
            expected->request_number += prng_between(&prng, 1, 3);
            expected->last_op = op;
            expected->kept_size = (uint32_t)prng_below(&prng, KEPT_MAX + 1);
            memset(expected->kept, (int)op, sizeof expected->kept);
            client_table_executed(table, record, expected->request_number, op, op, KEPT_RESULT,
                                  expected->kept, expected->kept_size);
            client_table_executed(twin, twin_record, expected->request_number, op, op, KEPT_RESULT,
                                  expected->kept, expected->kept_size);
        }
        if (!table_agrees(table, &model, client_count) ||
            !checksum_equal(table->digest, twin->digest)) {
            ck_abort_msg("seed %d op %d", (int)seed, (int)op);
        }
    }
    table_delete(table);
    table_delete(twin);
}

START_TEST(it_agrees_with_a_naive_table)
{
    for (uint64_t seed = 0; seed < 150; seed++) {
        random_walk(seed, 500);
    }
}
END_TEST

/* Full and churning: every session evicts one, in the order of their Registers. */
START_TEST(a_full_table_churns_in_order)
{
    enum { SESSIONS = 1000, ROUNDS = 20000 };
    struct client_table *table = table_new(SESSIONS, 5);
    for (uint64_t op = 1; op <= ROUNDS; op++) {
        client_table_register(table, client(op), op);
        if (op > SESSIONS && (client_table_find(table, op - SESSIONS) != NULL ||
                              client_table_find(table, op - SESSIONS + 1) == NULL)) {
            ck_abort_msg("op %d", (int)op);
        }
    }
    ck_assert_uint_eq(table->count, SESSIONS);
    ck_assert_uint_eq(table->evicted_count, ROUNDS - SESSIONS);
    table_delete(table);
}
END_TEST

/* I10: what a table may need is known beforehand, and most of it is not touched before it is
 * needed.
 */
START_TEST(the_largest_table_costs_little_while_empty)
{
    struct client_table *table = table_new(SESSIONS_MAX, 1);
    for (uint64_t op = 1; op <= 100; op++) {
        client_table_register(table, client(op), op);
    }
    ck_assert_uint_eq(table->fresh, 100);
    table_delete(table);
}
END_TEST

START_TEST(numbers_that_go_back_are_our_own_fault)
{
    struct client_table *table = table_new(2, 1);
    struct client_record *record = client_table_register(table, client(1), 1);
    client_table_executed(table, record, 2, 0, 2, KEPT_NOTHING, NULL, 0);
    client_table_executed(table, record, 2, 0, 3, KEPT_NOTHING, NULL, 0); /* aborts */
}
END_TEST

static Suite *client_table_suite(bool forks)
{
    Suite *suite = suite_create("client_table");
    TCase *tests = tcase_create("client_table");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, a_registered_client_is_found_both_ways);
    tcase_add_test(tests, the_session_idle_longest_is_evicted);
    tcase_add_test(tests, one_session_is_the_smallest_table);
    tcase_add_test(tests, the_digest_is_that_of_the_content);
    tcase_add_test(tests, it_agrees_with_a_naive_table);
    tcase_add_test(tests, a_full_table_churns_in_order);
    tcase_add_test(tests, the_largest_table_costs_little_while_empty);
    if (forks) { /* an abort ends the process it happens in */
        tcase_add_test_raise_signal(tests, numbers_that_go_back_are_our_own_fault, SIGABRT);
    }
    suite_add_tcase(suite, tests);
    return suite;
}

int main(void)
{
    SRunner *empty = srunner_create(NULL);
    const bool forks = srunner_fork_status(empty) == CK_FORK;
    srunner_free(empty);
    SRunner *runner = srunner_create(client_table_suite(forks));
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
