/* SPDX-License-Identifier: Apache-2.0 */
/* The checker of client histories is fed histories that have exactly one fault each and, beside
 * each, the nearest that is right. Small random ones are judged a second time by trying every order
 * there is; large ones are made right, and then falsified in ways that cannot be right. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/prng.h"
#include "test/support/linearizability.h"

enum { OPERATIONS_MAX = 200 * 1000, KEY = 1 };
#define NEVER LINEAR_UNKNOWN /* as a return: its client gave up */

static struct linear_search *search;
static struct linear_operation *history;
static size_t count;

static void setup(void)
{
    search = linear_create();
    history = calloc(OPERATIONS_MAX, sizeof *history);
    count = 0;
}

static void teardown(void)
{
    linear_destroy(search);
    free(history);
}

/* ---- histories by hand ---- */

static struct cell_value text(const char *value)
{
    return value == NULL ? (struct cell_value){.kind = CELL_ABSENT}
                         : cell_text(value, strlen(value));
}

static void add(uint64_t invoked, uint64_t returned, struct cell_operation operation,
                struct cell_result result)
{
    ck_assert_uint_lt(count, OPERATIONS_MAX);
    history[count] = (struct linear_operation){
        .key = KEY,
        .tag = (uint32_t)count,
        .invoked_ns = invoked,
        .returned_ns = returned,
        .operation = operation,
        .result = result,
    };
    count++;
}

/* NULL: not found. */
static void get(uint64_t invoked, uint64_t returned, const char *value)
{
    add(invoked, returned, (struct cell_operation){.verb = KV_GET},
        (struct cell_result){value == NULL ? KV_NOT_FOUND : KV_OK, text(value)});
}

static void set(uint64_t invoked, uint64_t returned, const char *value)
{
    add(invoked, returned, (struct cell_operation){.verb = KV_SET, .value = text(value)},
        (struct cell_result){.status = KV_OK});
}

static void del(uint64_t invoked, uint64_t returned, enum kv_status status)
{
    add(invoked, returned, (struct cell_operation){.verb = KV_DEL},
        (struct cell_result){.status = status});
}

static void cas(uint64_t invoked, uint64_t returned, const char *expected, const char *value,
                enum kv_status status)
{
    add(invoked, returned,
        (struct cell_operation){.verb = KV_CAS, .expected = text(expected), .value = text(value)},
        (struct cell_result){.status = status});
}

static void incr(uint64_t invoked, uint64_t returned, int64_t by, int64_t number)
{
    add(invoked, returned, (struct cell_operation){.verb = KV_INCR, .by = by},
        (struct cell_result){KV_OK, cell_number(number)});
}

static void incr_fails(uint64_t invoked, uint64_t returned, int64_t by, enum kv_status status)
{
    add(invoked, returned, (struct cell_operation){.verb = KV_INCR, .by = by},
        (struct cell_result){.status = status});
}

static struct linear_verdict judge(void)
{
    uint64_t undecided;
    return linear_check(search, history, count, LINEAR_STEPS_MAX, &undecided);
}

/* What was added since the last verdict. */
static void right(void)
{
    ck_assert_int_eq(judge().outcome, LINEAR_YES);
    count = 0;
}

static void wrong(void)
{
    ck_assert_int_eq(judge().outcome, LINEAR_NO);
    count = 0;
}

START_TEST(nothing_at_all)
{
    right();
    set(0, NEVER, "a"); /* and nothing whose outcome is known */
    right();
    get(0, NEVER, NULL);
    right();
    uint64_t undecided;
    ck_assert_int_eq(linear_check(search, NULL, 0, 1, &undecided).outcome, LINEAR_YES);
}
END_TEST

/* A mismatch fits whatever hides the value that the next read wants: long chains towards that read,
 * from each such place, would take for ever. */
START_TEST(what_hides_the_next_value_is_taken_back_soon)
{
    static const char *const digits[] = {"a", "b", "c", "d", "e", "f", "g", "h"};
    for (uint32_t i = 0; i < 64; i++) {
        const char value[] = {digits[i / 8][0], digits[i % 8][0], '\0'};
        set(0, NEVER, value);
        incr(0, NEVER, 100000 + (int64_t)i * i, 0);
        cas(0, NEVER, digits[i / 8], value, KV_OK);
    }
    incr(0, NEVER, 8, 0);
    incr(10, 20, 5, 5);
    cas(30, 40, "5", "x", KV_MISMATCH);
    add(50, 60, (struct cell_operation){.verb = KV_GET},
        (struct cell_result){KV_OK, cell_number(13)});
    uint64_t undecided;
    const struct linear_verdict verdict =
        linear_check(search, history, count, UINT64_C(1000000), &undecided);
    ck_assert_int_eq(verdict.outcome, LINEAR_YES);
}
END_TEST

START_TEST(stale_read)
{
    set(0, 10, "a");
    set(20, 30, "b");
    get(40, 50, "a");
    wrong();
    set(0, 10, "a");
    set(20, 30, "b");
    get(29, 50, "a"); /* b was still under way */
    right();
    set(0, 10, "a");
    set(20, 30, "b");
    get(30, 50, "a"); /* at the same moment: nobody knows which was first */
    right();
}
END_TEST

START_TEST(read_of_a_value_never_written)
{
    set(0, 10, "a");
    set(5, NEVER, "b");
    get(20, 30, "c");
    wrong();
    get(0, 10, "a"); /* of a key that does not exist */
    wrong();
    get(0, 10, NULL);
    right();
}
END_TEST

START_TEST(read_from_the_future)
{
    get(0, 10, "a");
    set(20, 30, "a");
    wrong();
    get(0, 10, "a");
    set(20, NEVER, "a");
    wrong();
    get(0, 20, "a");
    set(10, 30, "a");
    right();
}
END_TEST

START_TEST(lost_update)
{
    incr(0, 10, 1, 1);
    incr(5, 15, 1, 1);
    wrong();
    incr(0, 10, 1, 1);
    incr(5, 15, 1, 2);
    right();
    set(0, 10, "a"); /* by reading and writing */
    cas(20, 30, "a", "b", KV_OK);
    cas(25, 35, "a", "c", KV_OK);
    wrong();
    set(0, 10, "a");
    cas(20, 30, "a", "b", KV_OK);
    cas(25, 35, "a", "c", KV_MISMATCH);
    right();
}
END_TEST

START_TEST(lost_write)
{
    set(0, 10, "a");
    get(20, 30, NULL);
    wrong();
    set(0, NEVER, "a");
    get(20, 30, NULL);
    right();
}
END_TEST

START_TEST(applied_twice)
{
    incr(0, 10, 1, 2);
    wrong();
    incr(0, NEVER, 1, 0); /* sent again and again: once, at the most */
    get(20, 30, "1");
    get(40, 50, "2");
    wrong();
    incr(0, NEVER, 1, 0);
    incr(5, NEVER, 1, 0);
    get(20, 30, "1");
    get(40, 50, "2");
    right();
    set(0, 10, "a"); /* a set that comes back after it was overwritten */
    set(20, 30, "b");
    get(40, 50, "b");
    get(60, 70, "a");
    wrong();
}
END_TEST

START_TEST(unknown_effect_disappears)
{
    set(0, 10, "a");
    set(20, NEVER, "b");
    get(40, 50, "b");
    get(60, 70, "a");
    wrong();
    set(0, 10, "a");
    set(20, NEVER, "b");
    get(40, 50, "a");
    get(60, 70, "b"); /* late, but it may */
    right();
    set(0, 10, "a");
    set(20, NEVER, "b");
    get(40, 50, "a");
    get(60, 70, "a"); /* never */
    right();
}
END_TEST

START_TEST(unknown_effect_before_its_invocation)
{
    get(0, 10, "a");
    set(11, NEVER, "a");
    wrong();
    del(0, 10, KV_OK);
    set(11, NEVER, "a");
    wrong();
}
END_TEST

START_TEST(real_time_order)
{
    set(0, 10, "a");
    set(20, 30, "b");
    get(40, 50, "b");
    get(60, 70, "a");
    wrong();
    set(0, 10, "a");
    set(20, 100, "b");
    get(40, 90, "b");
    get(60, 70, "a");
    right();
}
END_TEST

START_TEST(readers_disagree_about_the_order)
{
    set(0, 100, "a");
    set(0, 100, "b");
    get(110, 120, "a");
    get(130, 140, "b");
    wrong();
    set(0, 200, "a");
    set(0, 200, "b");
    get(10, 20, "a");
    get(30, 40, "b");
    get(11, 21, "b"); /* another reader */
    get(31, 41, "a");
    wrong();
    set(0, 200, "a");
    set(0, 200, "b");
    get(10, 20, "a");
    get(30, 40, "b");
    get(11, 21, "a");
    get(31, 41, "b");
    right();
}
END_TEST

START_TEST(deletes)
{
    del(0, 10, KV_OK);
    wrong();
    set(0, 10, "a");
    del(20, 30, KV_OK);
    del(25, 35, KV_OK);
    wrong();
    set(0, 10, "a");
    del(20, 30, KV_OK);
    del(25, 35, KV_NOT_FOUND);
    right();
    set(0, 10, "a");
    del(20, 30, KV_NOT_FOUND);
    wrong();
    set(0, 10, "a");
    del(20, NEVER, KV_OK);
    del(40, 50, KV_NOT_FOUND);
    right();
}
END_TEST

START_TEST(compare_and_set)
{
    set(0, 10, "a");
    cas(20, 30, "a", "b", KV_MISMATCH);
    wrong();
    set(0, 10, "a");
    cas(20, 30, "b", "c", KV_OK);
    wrong();
    set(0, 10, "a");
    cas(20, 30, NULL, "b", KV_OK);
    wrong();
    cas(0, 10, "a", "b", KV_MISMATCH);
    wrong();
    cas(0, 10, "a", "b", KV_NOT_FOUND);
    cas(20, 30, NULL, "b", KV_OK);
    cas(40, 50, NULL, "c", KV_MISMATCH);
    cas(60, 70, "b", "c", KV_OK);
    get(80, 90, "c");
    right();
}
END_TEST

START_TEST(numbers)
{
    set(0, 10, "a");
    incr(20, 30, 1, 1);
    wrong();
    set(0, 10, "a");
    incr_fails(20, 30, 1, KV_NOT_A_NUMBER);
    get(40, 50, "a");
    right();
    set(0, 10, "07"); /* is no number's text */
    incr_fails(20, 30, 1, KV_NOT_A_NUMBER);
    right();
    set(0, 10, "-7");
    incr(20, 30, 1, -6);
    get(40, 50, "-6");
    right();
    set(0, 10, "9223372036854775807");
    incr_fails(20, 30, 1, KV_OVERFLOW);
    incr(40, 50, -1, INT64_MAX - 1);
    right();
    incr_fails(0, 10, 1, KV_OVERFLOW);
    wrong();
}
END_TEST

/* What nobody knows may have happened in chains, and between any two others. */
START_TEST(unknown_ones_in_chains)
{
    incr(0, 10, 1, 1);
    incr(11, NEVER, 4, 0);
    incr(12, NEVER, 20, 0);
    incr(13, NEVER, 100, 0);
    incr(14, NEVER, 1000, 0);
    incr(20, 30, 1, 1122);
    get(40, 50, "1126");
    right();
    incr(0, NEVER, 4, 0);
    incr(0, NEVER, 20, 0);
    get(10, 20, "25");
    wrong();
    set(0, 10, "a");
    cas(11, NEVER, "a", "b", KV_OK);
    cas(12, NEVER, "c", "d", KV_OK);
    cas(13, NEVER, "b", "c", KV_OK);
    get(20, 30, "d");
    get(40, 50, "d");
    right();
    set(0, 10, "a");
    cas(11, NEVER, "a", "b", KV_OK);
    cas(12, NEVER, "c", "d", KV_OK);
    get(20, 30, "d");
    wrong();
    set(0, NEVER, "5");
    incr(1, NEVER, 2, 0);
    del(10, 20, KV_OK); /* needs one of them, and the other comes later */
    get(30, 40, "2");
    right();
    set(0, NEVER, "5");
    del(10, 20, KV_OK);
    get(30, 40, "5");
    wrong();
    set(0, 10, "a");
    del(20, NEVER, KV_OK);
    cas(30, 40, NULL, "b", KV_OK);
    get(50, 60, "b");
    right();
}
END_TEST

START_TEST(concurrent_beyond_recognition)
{
    static const char *const values[] = {"a", "b", "c", "d", "e", "f", "g", "h"};
    for (size_t i = 0; i < 8; i++) {
        set(i, 100, values[i]);
    }
    get(110, 120, "c");
    right();
    for (size_t i = 0; i < 8; i++) {
        set(i, 100, values[i]);
    }
    get(50, 60, "h"); /* h, then a, then c again */
    get(70, 80, "a");
    get(110, 120, "c");
    right();
    for (size_t i = 0; i < 8; i++) {
        set(i, 100, values[i]);
    }
    get(50, 60, "h");
    get(70, 80, "a");
    get(110, 120, "h");
    wrong();
}
END_TEST

/* Each key is judged by itself, and the verdict is of the one that is wrong. */
START_TEST(keys_apart)
{
    set(0, 10, "a");
    set(20, 30, "b");
    get(40, 50, "a");
    history[0].key = history[2].key = 7;
    right();
    set(0, 10, "a");
    set(20, 30, "b");
    get(40, 50, NULL);
    history[2].key = 0;
    set(0, 10, "x");
    get(20, 30, "y");
    history[3].key = history[4].key = 9;
    const struct linear_verdict verdict = judge();
    ck_assert_int_eq(verdict.outcome, LINEAR_NO);
    ck_assert_uint_eq(verdict.count, 2);
    ck_assert_uint_eq(verdict.key->key, 9);
}
END_TEST

/* A person gets to see where it ends: what is there, by whom, and what does not fit. */
START_TEST(verdict_says_where)
{
    set(0, 10, "a");
    set(20, 30, "b");
    incr_fails(35, 38, 1, KV_NOT_A_NUMBER);
    get(40, 50, "a");
    get(60, 70, "b");
    const struct linear_verdict verdict = judge();
    ck_assert_int_eq(verdict.outcome, LINEAR_NO);
    ck_assert_uint_eq(verdict.count, 5);
    ck_assert_uint_eq(verdict.ordered, 3);
    ck_assert(cell_value_equal(verdict.value, text("b")));
    ck_assert_uint_eq(verdict.writer->tag, 1);
    ck_assert_uint_eq(verdict.stuck_count, 1);
    ck_assert_uint_eq(verdict.stuck[0]->tag, 3);
}
END_TEST

START_TEST(undecided_is_neither)
{
    uint64_t undecided;
    for (uint64_t i = 0; i < 30; i++) {
        incr(i, NEVER, INT64_C(1) << i, 0); /* any sum of powers of two */
    }
    get(50, 60, "1073741824"); /* but not this one */
    const struct linear_verdict verdict = linear_check(search, history, count, 1000, &undecided);
    ck_assert_int_eq(verdict.outcome, LINEAR_UNDECIDED);
    ck_assert_uint_eq(undecided, 1);
}
END_TEST

/* ---- every order there is ---- */

enum { SMALL_MAX = 7, SMALL_HISTORIES = 30000 };

static bool brute_force(uint32_t done, struct cell_value value)
{
    bool all = true;
    uint64_t horizon = UINT64_MAX;
    for (size_t i = 0; i < count; i++) {
        if ((done >> i & 1) == 0 && history[i].returned_ns != NEVER) {
            all = false;
            horizon = history[i].returned_ns < horizon ? history[i].returned_ns : horizon;
        }
    }
    for (size_t i = 0; i < count && !all; i++) {
        const struct linear_operation *o = &history[i];
        struct cell_value next = value;
        if ((done >> i & 1) == 0 && o->invoked_ns <= horizon) {
            const bool same = cell_result_equal(cell_apply(&o->operation, &next), o->result);
            all = (same || o->returned_ns == NEVER) && brute_force(done | 1u << i, next);
        }
    }
    return all;
}

static struct cell_value random_value(struct prng *prng)
{
    static const char *const values[] = {"0", "1", "2", "3", "a", "b"};
    return text(values[prng_below(prng, 6)]);
}

static struct cell_operation random_operation(struct prng *prng)
{
    struct cell_operation o = {.verb = (enum kv_kind)prng_between(prng, KV_GET, KV_INCR)};
    if (o.verb == KV_SET || o.verb == KV_CAS) {
        o.value = random_value(prng);
    }
    if (o.verb == KV_CAS && prng_chance(prng, 2, 3)) {
        o.expected = random_value(prng);
    }
    if (o.verb == KV_INCR) {
        o.by = (int64_t)prng_between(prng, 0, 3) - 1;
    }
    return o;
}

/* Executed in the order of random points, each within its operation: right so far. */
static void make_small(struct prng *prng)
{
    struct cell_value value = text(NULL);
    count = 0;
    for (uint64_t n = prng_between(prng, 1, SMALL_MAX); n > 0; n--) {
        const uint64_t point = 20 + 5 * count;
        const bool unknown = prng_chance(prng, 1, 3);
        const struct cell_operation o = random_operation(prng);
        struct cell_value next = value;
        const struct cell_result result = cell_apply(&o, &next);
        const bool executed = !unknown || prng_chance(prng, 2, 3);
        value = executed ? next : value;
        add(point - prng_below(prng, 20), unknown ? NEVER : point + prng_below(prng, 20), o,
            result);
        history[count - 1].hint = prng_chance(prng, 1, 2) ? count : prng_below(prng, 3);
    }
}

/* Another result, another time. */
static void spoil(struct prng *prng)
{
    struct linear_operation *o = &history[prng_below(prng, count)];
    struct cell_value value = prng_chance(prng, 1, 3) ? text(NULL) : random_value(prng);
    if (prng_chance(prng, 2, 3)) {
        o->result = cell_apply(&o->operation, &value);
    } else if (o->returned_ns != NEVER) {
        o->invoked_ns = prng_below(prng, 60);
        o->returned_ns = o->invoked_ns + prng_below(prng, 20);
    }
}

START_TEST(agrees_with_trying_everything)
{
    struct prng prng;
    uint32_t right_ones = 0;
    uint32_t wrong_ones = 0;
    prng_seed(&prng, (uint64_t)_i);
    for (uint32_t i = 0; i < SMALL_HISTORIES; i++) {
        make_small(&prng);
        const uint64_t spoilt = prng_below(&prng, 3);
        for (uint64_t n = 0; n < spoilt; n++) {
            spoil(&prng);
        }
        const enum linear_outcome outcome = judge().outcome;
        const bool expected = brute_force(0, text(NULL));
        ck_assert_msg(outcome == (expected ? LINEAR_YES : LINEAR_NO), "history %u of seed %d", i,
                      _i);
        ck_assert(expected || spoilt > 0);
        right_ones += expected ? 1 : 0;
        wrong_ones += expected ? 0 : 1;
    }
    ck_assert_uint_gt(right_ones, SMALL_HISTORIES / 10);
    ck_assert_uint_gt(wrong_ones, SMALL_HISTORIES / 10);
}
END_TEST

/* ---- large ones ---- */

struct point {
    uint64_t at;
    size_t operation;
    bool executed;
};

static int compare_points(const void *left, const void *right)
{
    const struct point *a = left;
    const struct point *b = right;
    return (a->at > b->at) - (a->at < b->at);
}

struct shape {
    size_t operations;
    uint32_t clients;
    uint32_t keys;
    uint32_t unknown_percent;
    bool hints;
};

static struct cell_operation unique_operation(struct prng *prng, uint64_t unique)
{
    struct cell_operation o = random_operation(prng);
    if (prng_chance(prng, 1, 3)) {
        o = (struct cell_operation){.verb = KV_GET};
    }
    if (o.verb == KV_SET || o.verb == KV_CAS) {
        o.value = (struct cell_value){CELL_TEXT, unique};
    }
    return o;
}

/* One client after the other through its time; then all of it executed by points in time. */
static void make_large(const struct shape *shape, struct prng *prng)
{
    struct point *points = calloc(shape->operations, sizeof *points);
    struct cell_value *cells = calloc(shape->keys, sizeof *cells);
    uint64_t now[64] = {0};
    count = 0;
    while (count < shape->operations) {
        const uint32_t client = (uint32_t)prng_below(prng, shape->clients);
        const uint64_t invoked = now[client] + prng_between(prng, 1, 50);
        const bool unknown = prng_chance(prng, shape->unknown_percent, 100);
        const uint64_t point = invoked + prng_below(prng, unknown ? 5000 : 100);
        const uint64_t returned = point + prng_below(prng, 100);
        points[count] = (struct point){point, count, !unknown || prng_chance(prng, 1, 2)};
        add(invoked, unknown ? NEVER : returned, unique_operation(prng, 1000 + count),
            (struct cell_result){0});
        history[count - 1].key = prng_below(prng, shape->keys);
        now[client] = unknown ? invoked + 500 : returned;
    }
    qsort(points, count, sizeof *points, compare_points);
    for (size_t i = 0; i < count; i++) {
        struct linear_operation *o = &history[points[i].operation];
        if (points[i].executed) {
            o->result = cell_apply(&o->operation, &cells[o->key]);
            o->hint = shape->hints && o->returned_ns != NEVER ? i + 1 : 0;
        }
    }
    free(points);
    free(cells);
}

static const struct shape shapes[] = {
    {100000, 32, 1000, 2, false}, {100000, 16, 64, 1, true}, {20000, 8, 8, 2, false},
    {5000, 4, 1, 1, false},       {2000, 32, 1, 5, true},    {2000, 32, 4, 10, true},
};

START_TEST(large_ones_that_are_right)
{
    struct prng prng;
    prng_seed(&prng, 1);
    make_large(&shapes[_i], &prng);
    const struct linear_verdict verdict = judge();
    ck_assert_msg(verdict.outcome == LINEAR_YES, "shape %d: outcome %d after %llu steps", _i,
                  (int)verdict.outcome, (unsigned long long)verdict.steps);
}
END_TEST

/* The order that was found is one: each answer is what executing it yields, and nothing comes
 * before what had returned before it was invoked. */
START_TEST(the_order_found_is_one)
{
    static const struct linear_operation *order[10000];
    const struct shape shape = {5000, 6, 1, 3, true};
    struct cell_value value = text(NULL);
    struct prng prng;
    uint64_t latest_invocation = 0;
    size_t known = 0;
    prng_seed(&prng, 1);
    make_large(&shape, &prng);
    ck_assert_int_eq(judge().outcome, LINEAR_YES);
    const size_t ordered = linear_order(search, order, 10000);
    for (size_t i = 0; i < ordered; i++) {
        const struct cell_result result = cell_apply(&order[i]->operation, &value);
        ck_assert_uint_ge(order[i]->returned_ns, latest_invocation);
        if (order[i]->returned_ns != NEVER) {
            ck_assert(cell_result_equal(result, order[i]->result));
            known++;
        }
        if (order[i]->invoked_ns > latest_invocation) {
            latest_invocation = order[i]->invoked_ns;
        }
    }
    for (size_t i = 0; i < count; i++) {
        known -= history[i].returned_ns != NEVER ? 1 : 0;
    }
    ck_assert_uint_eq(known, 0);
}
END_TEST

static bool is_read_of_text(const struct linear_operation *o)
{
    return o->operation.verb == KV_GET && o->returned_ns != NEVER &&
           o->result.value.kind == CELL_TEXT;
}

/* A value that was overwritten for sure, both times by a Set that returned. */
static bool find_stale(const struct linear_operation *read, struct cell_value *stale)
{
    const struct linear_operation *last = NULL;
    for (size_t i = 0; i < count; i++) {
        const struct linear_operation *o = &history[i];
        if (o->key != read->key || o->operation.verb != KV_SET ||
            o->returned_ns >= read->invoked_ns) {
            continue;
        }
        if (last != NULL && last->returned_ns < o->invoked_ns) {
            *stale = last->operation.value;
            return true;
        }
        last = last == NULL || o->returned_ns < last->returned_ns ? o : last;
    }
    return false;
}

START_TEST(large_ones_that_are_falsified)
{
    const struct shape shape = {4000, 6, 8, 1, true};
    struct prng prng;
    uint32_t stale_reads = 0;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct cell_value value = {CELL_TEXT, 1}; /* nobody wrote it */
        prng_seed(&prng, seed);
        make_large(&shape, &prng);
        struct linear_operation *o = &history[prng_below(&prng, count)];
        while (!is_read_of_text(o)) {
            o = &history[prng_below(&prng, count)];
        }
        const bool stale = seed % 2 == 0 && find_stale(o, &value);
        stale_reads += stale ? 1 : 0;
        o->result.value = value;
        const uint32_t tag = o->tag;
        const struct linear_verdict verdict = judge();
        ck_assert_msg(verdict.outcome == LINEAR_NO, "seed %llu: outcome %d after %llu steps",
                      (unsigned long long)seed, (int)verdict.outcome,
                      (unsigned long long)verdict.steps);
        bool named = false;
        for (uint32_t i = 0; i < verdict.stuck_count; i++) {
            named = named || verdict.stuck[i]->tag == tag;
        }
        ck_assert_msg(named, "seed %llu: the verdict names others", (unsigned long long)seed);
    }
    ck_assert_uint_gt(stale_reads, 10);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("linearizability");
    TCase *hand = tcase_create("by hand");
    tcase_add_checked_fixture(hand, setup, teardown);
    tcase_set_timeout(hand, 60);
    tcase_add_test(hand, nothing_at_all);
    tcase_add_test(hand, what_hides_the_next_value_is_taken_back_soon);
    tcase_add_test(hand, stale_read);
    tcase_add_test(hand, read_of_a_value_never_written);
    tcase_add_test(hand, read_from_the_future);
    tcase_add_test(hand, lost_update);
    tcase_add_test(hand, lost_write);
    tcase_add_test(hand, applied_twice);
    tcase_add_test(hand, unknown_effect_disappears);
    tcase_add_test(hand, unknown_effect_before_its_invocation);
    tcase_add_test(hand, real_time_order);
    tcase_add_test(hand, readers_disagree_about_the_order);
    tcase_add_test(hand, deletes);
    tcase_add_test(hand, compare_and_set);
    tcase_add_test(hand, numbers);
    tcase_add_test(hand, unknown_ones_in_chains);
    tcase_add_test(hand, concurrent_beyond_recognition);
    tcase_add_test(hand, keys_apart);
    tcase_add_test(hand, verdict_says_where);
    tcase_add_test(hand, undecided_is_neither);
    suite_add_tcase(suite, hand);
    TCase *random = tcase_create("random");
    tcase_add_checked_fixture(random, setup, teardown);
    tcase_set_timeout(random, 300);
    tcase_add_loop_test(random, agrees_with_trying_everything, 1, 5);
    tcase_add_loop_test(random, large_ones_that_are_right, 0,
                        (int)(sizeof shapes / sizeof shapes[0]));
    tcase_add_test(random, the_order_found_is_one);
    tcase_add_test(random, large_ones_that_are_falsified);
    suite_add_tcase(suite, random);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
