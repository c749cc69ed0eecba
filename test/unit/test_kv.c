/* SPDX-License-Identifier: Apache-2.0 */
/* The key-value store: against a sorted array so naive that it cannot be wrong, and at each of its
 * bounds (PITFALLS NC-7, NC-8). */
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/prng.h"
#include "common/wire/kv_codec.h"
#include "server/app/kv.h"
#include "server/app/kv_index.h"

static struct kv *kv;
static struct app app;
static uint64_t state_size_max; /* 0: no limit */
static uint8_t operation_bytes[OPERATION_SIZE_MAX + 1];
static uint8_t result_bytes[RESULT_SIZE_MAX];
static uint8_t large[VALUE_SIZE_MAX + 1];
static _Alignas(ARENA_ALIGNMENT) uint8_t arena_memory[KV_ARENA_SIZE];

static void setup(void)
{
    kv = kv_create();
    app = kv_app(kv);
    memset(large, 'v', sizeof large);
}

static void teardown(void)
{
    kv_destroy(kv);
}

static struct kv_bytes text(const char *string)
{
    return (struct kv_bytes){(const uint8_t *)string, strlen(string)};
}

static bool bytes_equal(struct kv_bytes a, struct kv_bytes b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.bytes, b.bytes, a.size) == 0);
}

static struct kv_result execute_bytes(struct app *on, size_t size)
{
    static uint64_t op_number;
    op_number++;
    const struct app_context context = {op_number, op_number, state_size_max};
    struct kv_result result;
    struct arena arena;
    const size_t result_size =
        on->execute(on->state, &context, operation_bytes, size, result_bytes);
    arena_init(&arena, arena_memory, sizeof arena_memory);
    if (result_size > RESULT_SIZE_MAX ||
        !kv_result_decode(result_bytes, result_size, &arena, &result)) {
        ck_abort_msg("no result, of %d bytes", (int)result_size);
    }
    if (!on->is_read(on->state, operation_bytes, size) && result_size > REPLY_STORED_MIN) {
        ck_abort_msg("a write's result of %d bytes cannot be kept", (int)result_size); /* app.h */
    }
    return result;
}

static struct kv_result execute_on(struct app *on, const struct kv_operation *operation)
{
    return execute_bytes(on, kv_operation_encode(operation, operation_bytes));
}

static struct kv_result execute(const struct kv_operation operation)
{
    return execute_on(&app, &operation);
}

static enum kv_status set(const char *key, const char *value)
{
    return execute((struct kv_operation){.kind = KV_SET, .key = text(key), .value = text(value)})
        .status;
}

static struct kv_result get(const char *key)
{
    return execute((struct kv_operation){.kind = KV_GET, .key = text(key)});
}

static struct kv_result incr(const char *key, int64_t by)
{
    return execute((struct kv_operation){.kind = KV_INCR, .key = text(key), .by = by});
}

static bool holds(const char *key, const char *value)
{
    const struct kv_result result = get(key);
    return result.status == KV_OK && bytes_equal(result.value, text(value));
}

/* --- one by one --- */

START_TEST(set_get_del)
{
    ck_assert_int_eq(get("a").status, KV_NOT_FOUND);
    ck_assert_int_eq(set("a", "1"), KV_OK);
    ck_assert(holds("a", "1"));
    ck_assert_int_eq(set("a", "another"), KV_OK);
    ck_assert(holds("a", "another"));
    ck_assert_uint_eq(kv_key_count(kv), 1);
    ck_assert_uint_eq(kv_content_bytes(kv), 8);
    ck_assert_int_eq(get("b").status, KV_NOT_FOUND);
    const struct kv_operation del = {.kind = KV_DEL, .key = text("a")};
    ck_assert_int_eq(execute(del).status, KV_OK);
    ck_assert_int_eq(execute(del).status, KV_NOT_FOUND);
    ck_assert_int_eq(get("a").status, KV_NOT_FOUND);
    ck_assert_uint_eq(kv_key_count(kv), 0);
    ck_assert_uint_eq(kv_content_bytes(kv), 0);
}
END_TEST

START_TEST(an_empty_value_is_a_value)
{
    ck_assert_int_eq(set("a", ""), KV_OK);
    ck_assert(holds("a", ""));
    const struct kv_operation expect_empty = {.kind = KV_CAS, .key = text("a"), .value = text("x")};
    ck_assert_int_eq(execute(expect_empty).status, KV_OK);
    ck_assert(holds("a", "x"));
}
END_TEST

START_TEST(compare_and_set)
{
    struct kv_operation cas = {
        .kind = KV_CAS, .key = text("k"), .expected = text("old"), .value = text("new")};
    ck_assert_int_eq(execute(cas).status, KV_NOT_FOUND);
    set("k", "other");
    ck_assert_int_eq(execute(cas).status, KV_MISMATCH);
    ck_assert(holds("k", "other"));
    set("k", "olde"); /* longer, the same beginning */
    ck_assert_int_eq(execute(cas).status, KV_MISMATCH);
    set("k", "old");
    ck_assert_int_eq(execute(cas).status, KV_OK);
    ck_assert(holds("k", "new"));

    cas = (struct kv_operation){
        .kind = KV_CAS, .key = text("k"), .expect_absent = true, .value = text("first")};
    ck_assert_int_eq(execute(cas).status, KV_MISMATCH);
    ck_assert(holds("k", "new"));
    cas.key = text("fresh");
    ck_assert_int_eq(execute(cas).status, KV_OK);
    ck_assert(holds("fresh", "first"));
}
END_TEST

START_TEST(increments)
{
    ck_assert_int_eq(incr("n", 41).number, 41); /* missing counts as 0 */
    ck_assert_int_eq(incr("n", 1).number, 42);
    ck_assert(holds("n", "42"));
    ck_assert_int_eq(incr("n", -50).number, -8);
    ck_assert(holds("n", "-8"));
    ck_assert_int_eq(incr("n", 8).number, 0);
    ck_assert(holds("n", "0"));
    ck_assert_int_eq(incr("zero", 0).number, 0);
    ck_assert(holds("zero", "0"));
}
END_TEST

START_TEST(increments_do_not_overflow)
{
    ck_assert_int_eq(incr("n", INT64_MAX).number, INT64_MAX);
    ck_assert_int_eq(incr("n", 1).status, KV_OVERFLOW);
    ck_assert(holds("n", "9223372036854775807"));
    ck_assert_int_eq(incr("n", INT64_MIN).number, -1);
    ck_assert_int_eq(incr("n", INT64_MIN).status, KV_OVERFLOW);
    ck_assert_int_eq(incr("n", INT64_MIN + 1).number, INT64_MIN);
    ck_assert(holds("n", "-9223372036854775808"));
    ck_assert_int_eq(incr("n", -1).status, KV_OVERFLOW);
    ck_assert_int_eq(incr("n", 0).number, INT64_MIN);
}
END_TEST

START_TEST(only_plain_decimals_are_numbers)
{
    static const char *const no[] = {
        "",
        " 1",
        "1 ",
        "+1",
        "01",
        "-0",
        "-",
        "--1",
        "1e3",
        "0x1",
        "1.0",
        "one",
        "00",
        "-01",
        "1\n",
        "\t1",
        "9223372036854775808",
        "-9223372036854775809",
        "99999999999999999999",
        "000000000000000000001",
        "1234567890123456789012345678901234567890",
    };
    static const char *const yes[] = {
        "0", "7", "-7", "9223372036854775806", "-9223372036854775808", "1000000"};
    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++) {
        set("n", no[i]);
        ck_assert_msg(incr("n", 1).status == KV_NOT_A_NUMBER, "'%s'", no[i]);
        ck_assert(holds("n", no[i]));
    }
    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++) {
        set("n", yes[i]);
        ck_assert_msg(incr("n", 1).status == KV_OK, "'%s'", yes[i]);
    }
    const struct kv_operation with_nul = {
        .kind = KV_SET, .key = text("n"), .value = {(const uint8_t *)"1\0002", 3}};
    execute(with_nul);
    ck_assert_int_eq(incr("n", 1).status, KV_NOT_A_NUMBER);
}
END_TEST

/* --- bounds --- */

START_TEST(the_largest_key_and_value)
{
    const struct kv_bytes key = {large, KEY_SIZE_MAX};
    const struct kv_bytes value = {large, VALUE_SIZE_MAX};
    ck_assert_int_eq(
        execute((struct kv_operation){.kind = KV_SET, .key = key, .value = value}).status, KV_OK);
    struct kv_result result = execute((struct kv_operation){.kind = KV_GET, .key = key});
    ck_assert_int_eq(result.status, KV_OK);
    ck_assert(bytes_equal(result.value, value));
    result = execute((struct kv_operation){.kind = KV_SCAN});
    ck_assert_uint_eq(result.pair_count, 1);
    ck_assert(bytes_equal(result.pairs[0].key, key));
    ck_assert(bytes_equal(result.pairs[0].value, value));
    ck_assert(!result.more);
}
END_TEST

/* One past each bound: the same error everywhere, and nothing changed. Built by hand, for an honest
 * client refuses them itself. */
START_TEST(past_the_bounds)
{
    set("a", "1");
    const struct checksum before = app.digest(app.state);
    const struct kv_operation too_large[] = {
        {.kind = KV_SET, .key = {large, KEY_SIZE_MAX + 1}, .value = text("v")},
        {.kind = KV_SET, .key = text("k"), .value = {large, VALUE_SIZE_MAX + 1}},
        {.kind = KV_GET, .key = {large, KEY_SIZE_MAX + 1}},
        {.kind = KV_DEL, .key = {large, KEY_SIZE_MAX + 1}},
        {.kind = KV_INCR, .key = {large, KEY_SIZE_MAX + 1}},
        {.kind = KV_SCAN, .key = {large, KEY_SIZE_MAX + 1}},
        {.kind = KV_SCAN, .has_after = true, .after = {large, KEY_SIZE_MAX + 1}},
    };
    for (size_t i = 0; i < sizeof too_large / sizeof too_large[0]; i++) {
        ck_assert_int_eq(execute(too_large[i]).status, KV_TOO_LARGE);
    }
    ck_assert_int_eq(set("", "v"), KV_MALFORMED);
    ck_assert_int_eq(get("").status, KV_MALFORMED);
    ck_assert_int_eq(execute_bytes(&app, 0).status, KV_MALFORMED);
    memset(operation_bytes, 0xff, sizeof operation_bytes);
    ck_assert_int_eq(execute_bytes(&app, sizeof operation_bytes).status, KV_MALFORMED);
    memset(operation_bytes, 0x0a, sizeof operation_bytes);
    ck_assert_int_eq(execute_bytes(&app, OPERATION_SIZE_MAX).status, KV_MALFORMED);
    ck_assert(checksum_equal(app.digest(app.state), before));
    ck_assert_uint_eq(kv_key_count(kv), 1);
}
END_TEST

/* PITFALLS NC-8: whatever the bytes, there is a result, and two stores agree on it. */
START_TEST(random_bytes_are_executed_alike)
{
    struct kv *other = kv_create();
    struct app other_app = kv_app(other);
    struct prng prng;
    uint32_t done = 0;
    prng_seed(&prng, 8);
    for (uint32_t round = 0; round < 20000; round++) {
        uint8_t key[4];
        for (size_t i = 0; i < sizeof key; i++) {
            key[i] = (uint8_t)prng_below(&prng, 4);
        }
        const struct kv_operation operation = {
            .kind = (enum kv_kind)prng_between(&prng, KV_GET, KV_SCAN),
            .key = {key, 1 + prng_below(&prng, sizeof key)},
            .value = text("17"),
            .by = 1,
            .expect_absent = prng_chance(&prng, 1, 2),
        };
        size_t size = kv_operation_encode(&operation, operation_bytes);
        for (uint64_t i = prng_below(&prng, 3); i > 0; i--) {
            operation_bytes[prng_below(&prng, size)] = (uint8_t)prng_next(&prng);
        }
        const enum kv_status a = execute_bytes(&app, size).status;
        const enum kv_status b = execute_bytes(&other_app, size).status;
        if (a != b || !checksum_equal(app.digest(app.state), other_app.digest(other))) {
            ck_abort_msg("round %d: %d and %d", (int)round, (int)a, (int)b);
        }
        done += a == KV_OK;
    }
    ck_assert_uint_gt(done, 0);
    kv_destroy(other);
}
END_TEST

/* --- scans --- */

static void scan_page(const char *prefix, uint32_t limit, const char *after, const char *expected,
                      bool more)
{
    char found[1024] = "";
    struct kv_operation scan = {.kind = KV_SCAN, .key = text(prefix), .limit = limit};
    if (after != NULL) {
        scan.has_after = true;
        scan.after = text(after);
    }
    const struct kv_result result = execute(scan);
    ck_assert_int_eq(result.status, KV_OK);
    for (uint32_t i = 0; i < result.pair_count; i++) {
        strncat(found, (const char *)result.pairs[i].key.bytes, result.pairs[i].key.size);
        strcat(found, " ");
    }
    ck_assert_str_eq(found, expected);
    ck_assert_int_eq(result.more, more);
}

START_TEST(scans_by_prefix_in_pages)
{
    static const char *const keys[] = {"b", "ab", "abc", "a", "ac", "abd", "c"};
    scan_page("", 0, NULL, "", false);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        set(keys[i], keys[i]);
    }
    scan_page("", 0, NULL, "a ab abc abd ac b c ", false);
    scan_page("ab", 0, NULL, "ab abc abd ", false);
    scan_page("ab", 2, NULL, "ab abc ", true);
    scan_page("ab", 3, NULL, "ab abc abd ", false);
    scan_page("ab", 2, "abc", "abd ", false);
    scan_page("ab", 0, "abd", "", false);
    scan_page("ab", 0, "zzz", "", false);
    scan_page("ab", 1, "a", "ab ", true); /* below the prefix: from its start */
    scan_page("ab", 1, "", "ab ", true);
    scan_page("", 1, "abca", "abd ", true); /* a key that is not there */
    scan_page("d", 0, NULL, "", false);
    scan_page("abcd", 0, NULL, "", false);
}
END_TEST

START_TEST(keys_are_bytes_in_order)
{
    static const struct kv_bytes keys[] = {
        {(const uint8_t *)"\0", 1},       {(const uint8_t *)"\0\0", 2},
        {(const uint8_t *)"\0\1", 2},     {(const uint8_t *)"\0\xff", 2},
        {(const uint8_t *)"\1", 1},       {(const uint8_t *)"\1\0", 2},
        {(const uint8_t *)"\1\1", 2},     {(const uint8_t *)"\1\2", 2},
        {(const uint8_t *)"\2", 1},       {(const uint8_t *)"a", 1},
        {(const uint8_t *)"a\0", 2},      {(const uint8_t *)"a\0b", 3},
        {(const uint8_t *)"a\1", 2},      {(const uint8_t *)"ab", 2},
        {(const uint8_t *)"\xff", 1},     {(const uint8_t *)"\xff\0", 2},
        {(const uint8_t *)"\xff\xff", 2},
    };
    enum { KEYS = sizeof keys / sizeof keys[0] };
    for (size_t i = 0; i < KEYS; i++) {
        const struct kv_bytes key = keys[(i * 7) % KEYS];
        execute((struct kv_operation){.kind = KV_SET, .key = key, .value = key});
    }
    const struct kv_result result = execute((struct kv_operation){.kind = KV_SCAN});
    ck_assert_uint_eq(result.pair_count, KEYS);
    for (size_t i = 0; i < KEYS; i++) {
        ck_assert_msg(bytes_equal(result.pairs[i].key, keys[i]), "key %d", (int)i);
        ck_assert(bytes_equal(result.pairs[i].value, keys[i]));
    }
}
END_TEST

/* A page is bounded by the size of a result and by a count; pages put together are all there is. */
static uint32_t scan_all(size_t *pages)
{
    static uint8_t after[KEY_SIZE_MAX];
    struct kv_operation scan = {.kind = KV_SCAN};
    uint32_t total = 0;
    *pages = 0;
    for (;;) {
        const struct kv_result result = execute(scan);
        ck_assert_int_eq(result.status, KV_OK);
        total += result.pair_count;
        ++*pages;
        if (!result.more) {
            return total;
        }
        ck_assert_uint_gt(result.pair_count, 0); /* or a scan would never end */
        const struct kv_bytes last = result.pairs[result.pair_count - 1].key;
        memcpy(after, last.bytes, last.size);
        scan.has_after = true;
        scan.after = (struct kv_bytes){after, last.size};
    }
}

START_TEST(a_page_is_bounded_by_size)
{
    enum { KEYS = 20 };
    size_t pages;
    for (uint32_t i = 0; i < KEYS; i++) {
        const uint8_t key = (uint8_t)('a' + i);
        execute((struct kv_operation){
            .kind = KV_SET, .key = {&key, 1}, .value = {large, i % 2 ? VALUE_SIZE_MAX : 300000}});
    }
    ck_assert_uint_eq(scan_all(&pages), KEYS);
    ck_assert_uint_eq(pages, KEYS); /* a large one and a small one never share a page */
}
END_TEST

START_TEST(a_page_is_bounded_by_count)
{
    enum { KEYS = 2 * KV_PAGE_PAIRS_MAX + 1 };
    size_t pages;
    char key[16];
    for (uint32_t i = 0; i < KEYS; i++) {
        (void)snprintf(key, sizeof key, "%u", i);
        if (set(key, key) != KV_OK) {
            ck_abort();
        }
    }
    ck_assert_uint_eq(scan_all(&pages), KEYS);
    ck_assert_uint_eq(pages, 3);
    const struct kv_result all =
        execute((struct kv_operation){.kind = KV_SCAN, .limit = UINT32_MAX});
    ck_assert_uint_eq(all.pair_count, KV_PAGE_PAIRS_MAX);
    ck_assert(all.more);
}
END_TEST

/* --- digests --- */

/* I8: equal content, equal digest, by whatever way it came about; every difference shows. */
START_TEST(the_digest_is_that_of_the_content)
{
    const struct checksum empty = app.digest(app.state);
    set("a", "1");
    set("b", "2");
    const struct checksum two = app.digest(app.state);
    set("a", "2");
    ck_assert(!checksum_equal(app.digest(app.state), two));
    set("b", "1"); /* the same keys, the same values, the other way round */
    ck_assert(!checksum_equal(app.digest(app.state), two));
    execute((struct kv_operation){.kind = KV_DEL, .key = text("a")});
    execute((struct kv_operation){.kind = KV_DEL, .key = text("b")});
    ck_assert(checksum_equal(app.digest(app.state), empty));
    set("ab", "c");
    const struct checksum one = app.digest(app.state);
    execute((struct kv_operation){.kind = KV_DEL, .key = text("ab")});
    set("a", "bc"); /* the same bytes, another border */
    ck_assert(!checksum_equal(app.digest(app.state), one));
    execute((struct kv_operation){.kind = KV_DEL, .key = text("a")});
    set("b", "2");
    incr("a", 1);
    ck_assert(checksum_equal(app.digest(app.state), two));
    get("a");
    execute((struct kv_operation){.kind = KV_SCAN});
    incr("b", INT64_MAX); /* overflows */
    ck_assert(checksum_equal(app.digest(app.state), two));
}
END_TEST

/* --- against a sorted array --- */

enum { MODEL_MAX = 400, MODEL_KEY_MAX = 6 };

struct model_pair {
    uint8_t key[MODEL_KEY_MAX];
    uint8_t value[24];
    size_t key_size, value_size;
};

struct model {
    size_t count;
    struct model_pair pairs[MODEL_MAX];
};

static int model_compare(struct kv_bytes a, struct kv_bytes b)
{
    for (size_t i = 0; i < a.size && i < b.size; i++) {
        if (a.bytes[i] != b.bytes[i]) {
            return a.bytes[i] < b.bytes[i] ? -1 : 1;
        }
    }
    return a.size == b.size ? 0 : a.size < b.size ? -1 : 1;
}

static struct kv_bytes model_key(const struct model_pair *pair)
{
    return (struct kv_bytes){pair->key, pair->key_size};
}

static struct kv_bytes model_value(const struct model_pair *pair)
{
    return (struct kv_bytes){pair->value, pair->value_size};
}

/* Index of the first pair at or above the key. */
static size_t model_seek(const struct model *model, struct kv_bytes key)
{
    size_t i = 0;
    while (i < model->count && model_compare(model_key(&model->pairs[i]), key) < 0) {
        i++;
    }
    return i;
}

static struct model_pair *model_find(struct model *model, struct kv_bytes key)
{
    const size_t i = model_seek(model, key);
    return i < model->count && bytes_equal(model_key(&model->pairs[i]), key) ? &model->pairs[i]
                                                                             : NULL;
}

static void model_set(struct model *model, struct kv_bytes key, struct kv_bytes value)
{
    const size_t i = model_seek(model, key);
    if (i == model->count || !bytes_equal(model_key(&model->pairs[i]), key)) {
        memmove(&model->pairs[i + 1], &model->pairs[i],
                (model->count - i) * sizeof model->pairs[0]);
        model->count++;
        memcpy(model->pairs[i].key, key.bytes, key.size);
        model->pairs[i].key_size = key.size;
    }
    if (value.size > 0) {
        memcpy(model->pairs[i].value, value.bytes, value.size);
    }
    model->pairs[i].value_size = value.size;
}

static enum kv_status model_del(struct model *model, struct kv_bytes key)
{
    struct model_pair *pair = model_find(model, key);
    if (pair == NULL) {
        return KV_NOT_FOUND;
    }
    const size_t i = (size_t)(pair - model->pairs);
    memmove(pair, pair + 1, (model->count - i - 1) * sizeof *pair);
    model->count--;
    return KV_OK;
}

static enum kv_status model_cas(struct model *model, const struct kv_operation *operation)
{
    const struct model_pair *pair = model_find(model, operation->key);
    if (operation->expect_absent
            ? pair != NULL
            : pair != NULL && !bytes_equal(model_value(pair), operation->expected)) {
        return KV_MISMATCH;
    }
    if (!operation->expect_absent && pair == NULL) {
        return KV_NOT_FOUND;
    }
    model_set(model, operation->key, operation->value);
    return KV_OK;
}

/* Values of the walk are short, so that nothing overflows here. A number is what prints as itself.
 */
static enum kv_status model_incr(struct model *model, const struct kv_operation *operation,
                                 int64_t *number)
{
    const struct model_pair *pair = model_find(model, operation->key);
    char digits[25] = "";
    *number = operation->by;
    if (pair != NULL) {
        char plain[24];
        memcpy(digits, pair->value, pair->value_size);
        const long long value = strtoll(digits, NULL, 10);
        (void)snprintf(plain, sizeof plain, "%lld", value);
        if (strcmp(plain, digits) != 0) {
            return KV_NOT_A_NUMBER;
        }
        *number += value;
    }
    (void)snprintf(digits, sizeof digits, "%lld", (long long)*number);
    model_set(model, operation->key, text(digits));
    return KV_OK;
}

static bool scan_agrees(const struct model *model, const struct kv_operation *operation,
                        const struct kv_result *result)
{
    uint32_t found = 0;
    for (size_t i = 0; i < model->count; i++) {
        const struct kv_bytes key = model_key(&model->pairs[i]);
        const struct kv_bytes start = {key.bytes, operation->key.size};
        if (key.size < operation->key.size || !bytes_equal(start, operation->key) ||
            (operation->has_after && model_compare(key, operation->after) <= 0)) {
            continue;
        }
        if (found == result->pair_count) {
            return result->more && found == operation->limit;
        }
        if (!bytes_equal(result->pairs[found].key, key) ||
            !bytes_equal(result->pairs[found].value, model_value(&model->pairs[i]))) {
            return false;
        }
        found++;
    }
    return found == result->pair_count && !result->more;
}

static bool step_agrees(struct model *model, const struct kv_operation *operation,
                        const struct kv_result *result)
{
    const struct model_pair *pair;
    int64_t number = 0;
    switch (operation->kind) {
    case KV_GET:
        pair = model_find(model, operation->key);
        return pair == NULL
                   ? result->status == KV_NOT_FOUND
                   : result->status == KV_OK && bytes_equal(result->value, model_value(pair));
    case KV_SET:
        model_set(model, operation->key, operation->value);
        return result->status == KV_OK;
    case KV_DEL:
        return result->status == model_del(model, operation->key);
    case KV_CAS:
        return result->status == model_cas(model, operation);
    case KV_INCR:
        return result->status == model_incr(model, operation, &number) &&
               (result->status != KV_OK || result->number == number);
    case KV_SCAN:
        return scan_agrees(model, operation, result);
    }
    return false;
}

/* Few letters, among them those that the index escapes: keys meet, and are prefixes of each other.
 */
static struct kv_bytes random_key(struct prng *prng, uint8_t *bytes, size_t size_min)
{
    static const uint8_t letters[] = {0, 1, 2, 'a', 0xff};
    const size_t size = prng_between(prng, size_min, 4);
    for (size_t i = 0; i < size; i++) {
        bytes[i] = letters[prng_below(prng, sizeof letters)];
    }
    return (struct kv_bytes){bytes, size};
}

static struct kv_bytes random_value(struct prng *prng)
{
    static const char *const values[] = {"", "0", "1", "-5", "12", "x", "abc", "01"};
    return text(values[prng_below(prng, sizeof values / sizeof values[0])]);
}

START_TEST(it_agrees_with_a_sorted_array)
{
    static struct model model;
    uint8_t key[4];
    uint8_t after[4];
    for (uint64_t seed = 0; seed < 10; seed++) {
        struct prng prng;
        prng_seed(&prng, seed);
        model.count = 0;
        teardown();
        setup();
        for (uint32_t step = 0; step < 4000; step++) {
            const enum kv_kind kind = (enum kv_kind)prng_between(&prng, KV_GET, KV_SCAN);
            const bool is_scan = kind == KV_SCAN;
            struct kv_operation operation = {
                .kind = kind,
                .key = random_key(&prng, key, is_scan ? 0 : 1),
                .value = random_value(&prng),
                .expect_absent = prng_chance(&prng, 1, 3),
                .by = (int64_t)prng_below(&prng, 100) - 50,
                .limit = 1 + (uint32_t)prng_below(&prng, 30),
                .has_after = prng_chance(&prng, 1, 2),
                .after = random_key(&prng, after, 0),
            };
            if (!operation.expect_absent) {
                operation.expected = random_value(&prng);
            }
            const struct kv_result result = execute(operation);
            if (model.count == MODEL_MAX - 1) {
                break;
            }
            if (!step_agrees(&model, &operation, &result) || kv_key_count(kv) != model.count) {
                ck_abort_msg("seed %d step %d kind %d", (int)seed, (int)step, (int)kind);
            }
        }
        /* The digest kept up to date is that of a store which got the same content at once. */
        struct kv *again = kv_create();
        struct app again_app = kv_app(again);
        for (size_t i = model.count; i > 0; i--) {
            execute_on(&again_app,
                       &(struct kv_operation){.kind = KV_SET,
                                              .key = model_key(&model.pairs[i - 1]),
                                              .value = model_value(&model.pairs[i - 1])});
        }
        ck_assert(checksum_equal(app.digest(app.state), again_app.digest(again)));
        kv_destroy(again);
    }
}
END_TEST

/* PITFALLS NC-8: a replica that lacks memory stops; it never answers what the others do not. */
START_TEST(out_of_memory_aborts)
{
    kv_out_of_memory(1);
}
END_TEST

static Suite *kv_suite(bool forks)
{
    Suite *suite = suite_create("kv");
    TCase *tests = tcase_create("kv");
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, set_get_del);
    tcase_add_test(tests, an_empty_value_is_a_value);
    tcase_add_test(tests, compare_and_set);
    tcase_add_test(tests, increments);
    tcase_add_test(tests, increments_do_not_overflow);
    tcase_add_test(tests, only_plain_decimals_are_numbers);
    tcase_add_test(tests, the_largest_key_and_value);
    tcase_add_test(tests, past_the_bounds);
    tcase_add_test(tests, random_bytes_are_executed_alike);
    tcase_add_test(tests, scans_by_prefix_in_pages);
    tcase_add_test(tests, keys_are_bytes_in_order);
    tcase_add_test(tests, a_page_is_bounded_by_size);
    tcase_add_test(tests, a_page_is_bounded_by_count);
    tcase_add_test(tests, the_digest_is_that_of_the_content);
    tcase_add_test(tests, it_agrees_with_a_sorted_array);
    if (forks) { /* an abort ends the process it happens in */
        tcase_add_test_raise_signal(tests, out_of_memory_aborts, SIGABRT);
    }
    suite_add_tcase(suite, tests);
    return suite;
}

int main(void)
{
    SRunner *empty = srunner_create(NULL);
    const bool forks = srunner_fork_status(empty) == CK_FORK;
    srunner_free(empty);
    SRunner *runner = srunner_create(kv_suite(forks));
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
