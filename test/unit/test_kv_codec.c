/* SPDX-License-Identifier: Apache-2.0 */
/* Operations and results of the key-value store: what goes in comes out, and nothing else does. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/prng.h"
#include "common/wire/kv_codec.h"
#include "proto/kv.pb-c.h"

static _Alignas(ARENA_ALIGNMENT) uint8_t arena_memory[KV_ARENA_SIZE];
static uint8_t buffer[2 * OPERATION_SIZE_MAX];
static uint8_t large[VALUE_SIZE_MAX + 1];

static struct arena *fresh_arena(void)
{
    static struct arena arena;
    arena_init(&arena, arena_memory, sizeof arena_memory);
    return &arena;
}

static struct kv_bytes text(const char *string)
{
    return (struct kv_bytes){(const uint8_t *)string, strlen(string)};
}

static struct kv_bytes bytes_of(size_t size)
{
    return (struct kv_bytes){large, size};
}

static bool bytes_equal(struct kv_bytes a, struct kv_bytes b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.bytes, b.bytes, a.size) == 0);
}

static bool operations_equal(const struct kv_operation *a, const struct kv_operation *b)
{
    return a->kind == b->kind && bytes_equal(a->key, b->key) && bytes_equal(a->value, b->value) &&
           bytes_equal(a->expected, b->expected) && a->expect_absent == b->expect_absent &&
           a->has_after == b->has_after && bytes_equal(a->after, b->after) &&
           a->limit == b->limit && a->by == b->by;
}

static void comes_back(const struct kv_operation *operation)
{
    struct kv_operation decoded;
    const size_t size = kv_operation_size(operation);
    ck_assert_uint_le(size, sizeof buffer);
    ck_assert_uint_eq(kv_operation_encode(operation, buffer), size);
    ck_assert(kv_operation_decode(buffer, size, fresh_arena(), &decoded));
    ck_assert(operations_equal(operation, &decoded));
    ck_assert_int_eq(kv_operation_check(operation), KV_OK);
    ck_assert_uint_le(size, OPERATION_SIZE_MAX);
}

START_TEST(every_operation_comes_back)
{
    static const char binary[] = "\0\1\xff k\n";
    const struct kv_bytes key = {(const uint8_t *)binary, sizeof binary};
    const struct kv_operation operations[] = {
        {.kind = KV_GET, .key = key},
        {.kind = KV_GET, .key = bytes_of(KEY_SIZE_MAX)},
        {.kind = KV_SET, .key = key, .value = text("value")},
        {.kind = KV_SET, .key = key}, /* an empty value is a value */
        {.kind = KV_SET, .key = bytes_of(KEY_SIZE_MAX), .value = bytes_of(VALUE_SIZE_MAX)},
        {.kind = KV_DEL, .key = key},
        {.kind = KV_CAS, .key = key, .expected = text("old"), .value = text("new")},
        {.kind = KV_CAS, .key = key, .value = text("new")}, /* expects an empty value */
        {.kind = KV_CAS, .key = key, .expect_absent = true, .value = text("new")},
        {.kind = KV_INCR, .key = key, .by = 41},
        {.kind = KV_INCR, .key = key, .by = INT64_MIN},
        {.kind = KV_INCR, .key = key, .by = INT64_MAX},
        {.kind = KV_SCAN},
        {.kind = KV_SCAN, .key = text("prefix"), .limit = 10},
        {.kind = KV_SCAN, .key = text("p"), .limit = UINT32_MAX, .has_after = true, .after = key},
    };
    for (size_t i = 0; i < sizeof operations / sizeof operations[0]; i++) {
        comes_back(&operations[i]);
        ck_assert_int_eq(kv_operation_is_read(&operations[i]),
                         operations[i].kind == KV_GET || operations[i].kind == KV_SCAN);
    }
}
END_TEST

START_TEST(every_bound_has_two_sides)
{
    const struct {
        struct kv_operation operation;
        enum kv_status expected;
    } cases[] = {
        {{.kind = KV_GET, .key = bytes_of(KEY_SIZE_MAX + 1)}, KV_TOO_LARGE},
        {{.kind = KV_GET}, KV_MALFORMED},
        {{.kind = KV_SET, .value = text("v")}, KV_MALFORMED},
        {{.kind = KV_DEL}, KV_MALFORMED},
        {{.kind = KV_INCR}, KV_MALFORMED},
        {{.kind = KV_CAS}, KV_MALFORMED},
        {{.kind = KV_SET, .key = text("k"), .value = bytes_of(VALUE_SIZE_MAX + 1)}, KV_TOO_LARGE},
        {{.kind = KV_CAS, .key = text("k"), .expected = bytes_of(VALUE_SIZE_MAX + 1)},
         KV_TOO_LARGE},
        {{.kind = KV_CAS,
          .key = text("k"),
          .expected = bytes_of(VALUE_SIZE_MAX),
          .value = bytes_of(VALUE_SIZE_MAX)},
         KV_TOO_LARGE},
        {{.kind = KV_CAS,
          .key = text("k"),
          .expected = bytes_of(VALUE_SIZE_MAX / 2),
          .value = bytes_of(VALUE_SIZE_MAX / 2)},
         KV_OK},
        {{.kind = KV_SCAN, .key = bytes_of(KEY_SIZE_MAX)}, KV_OK},
        {{.kind = KV_SCAN, .key = bytes_of(KEY_SIZE_MAX + 1)}, KV_TOO_LARGE},
        {{.kind = KV_SCAN, .has_after = true, .after = bytes_of(KEY_SIZE_MAX + 1)}, KV_TOO_LARGE},
        {{.kind = (enum kv_kind)0, .key = text("k")}, KV_MALFORMED},
        {{.kind = (enum kv_kind)7, .key = text("k")}, KV_MALFORMED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ck_assert_msg(kv_operation_check(&cases[i].operation) == cases[i].expected, "case %d",
                      (int)i);
    }
}
END_TEST

static bool results_equal(const struct kv_result *a, const struct kv_result *b)
{
    bool equal = a->status == b->status && bytes_equal(a->value, b->value) &&
                 a->number == b->number && a->pair_count == b->pair_count && a->more == b->more;
    for (uint32_t i = 0; equal && i < a->pair_count; i++) {
        equal = bytes_equal(a->pairs[i].key, b->pairs[i].key) &&
                bytes_equal(a->pairs[i].value, b->pairs[i].value);
    }
    return equal;
}

START_TEST(every_result_comes_back)
{
    static _Alignas(ARENA_ALIGNMENT) uint8_t encode_memory[KV_ARENA_SIZE];
    static struct kv_pair pairs[KV_PAGE_PAIRS_MAX];
    for (uint32_t i = 0; i < KV_PAGE_PAIRS_MAX; i++) {
        pairs[i] = (struct kv_pair){bytes_of(1 + i % 900), bytes_of(i % 100)};
    }
    const struct kv_pair largest = {bytes_of(KEY_SIZE_MAX), bytes_of(VALUE_SIZE_MAX)};
    const struct kv_result results[] = {
        {.status = KV_OK},
        {.status = KV_MALFORMED},
        {.status = KV_OK, .value = bytes_of(VALUE_SIZE_MAX)},
        {.status = KV_OK, .value = text("")},
        {.status = KV_OK, .number = INT64_MIN},
        {.status = KV_OK, .pair_count = 3, .pairs = pairs, .more = true},
        {.status = KV_OK, .pair_count = KV_PAGE_PAIRS_MAX, .pairs = pairs},
        {.status = KV_OK, .pair_count = 1, .pairs = &largest, .more = true},
    };
    for (size_t i = 0; i < sizeof results / sizeof results[0]; i++) {
        struct arena arena;
        struct kv_result decoded;
        arena_init(&arena, encode_memory, sizeof encode_memory);
        const size_t size = kv_result_encode(&results[i], &arena, buffer, RESULT_SIZE_MAX);
        ck_assert_msg(size > 0, "result %d", (int)i);
        ck_assert(kv_result_decode(buffer, size, fresh_arena(), &decoded));
        memset(buffer, 0xa5, size); /* which it borrows nothing from */
        ck_assert_msg(results_equal(&results[i], &decoded), "result %d", (int)i);
        ck_assert_uint_eq(kv_result_encode(&results[i], &arena, buffer, size - 1), 0);
    }
    /* What scans count with: a pair never takes more than it is reckoned at. */
    struct arena arena;
    arena_init(&arena, encode_memory, sizeof encode_memory);
    const size_t one = kv_result_encode(&results[7], &arena, buffer, RESULT_SIZE_MAX);
    ck_assert_uint_le(one, KEY_SIZE_MAX + VALUE_SIZE_MAX + KV_PAIR_OVERHEAD_MAX +
                               KV_RESULT_OVERHEAD_MAX);
}
END_TEST

START_TEST(an_exhausted_arena_says_no)
{
    const struct kv_operation operation = {.kind = KV_GET, .key = text("key")};
    const size_t size = kv_operation_encode(&operation, buffer);
    struct kv_operation decoded;
    bool fitted = false;
    for (size_t memory = 0; memory < 512; memory += 16) {
        struct arena arena;
        arena_init(&arena, arena_memory, memory);
        const bool fits = kv_operation_decode(buffer, size, &arena, &decoded);
        ck_assert(fits || !fitted); /* enough is enough */
        fitted = fits;
    }
    ck_assert(fitted);
    struct arena none;
    arena_init(&none, arena_memory, 0);
    const struct kv_pair pair = {text("k"), text("v")};
    const struct kv_result result = {.status = KV_OK, .pair_count = 1, .pairs = &pair};
    ck_assert_uint_eq(kv_result_encode(&result, &none, buffer, sizeof buffer), 0);
}
END_TEST

/* PITFALLS UDP-9, M3: bytes that are no operation are refused; whatever is accepted can be encoded
 * again and says the same. */
START_TEST(hostile_bytes_are_refused_or_harmless)
{
    struct prng prng;
    prng_seed(&prng, 11);
    uint32_t accepted = 0;
    for (uint32_t round = 0; round < 30000; round++) {
        const struct kv_operation seed = {
            .kind = (enum kv_kind)prng_between(&prng, KV_GET, KV_SCAN),
            .key = bytes_of(1 + prng_below(&prng, 20)),
            .value = bytes_of(prng_below(&prng, 20)),
            .by = (int64_t)prng_next(&prng),
        };
        size_t size = kv_operation_encode(&seed, buffer);
        for (uint64_t i = prng_below(&prng, 4); i > 0; i--) {
            buffer[prng_below(&prng, size)] = (uint8_t)prng_next(&prng);
        }
        if (prng_chance(&prng, 1, 4)) {
            size = prng_below(&prng, size + 1);
        }
        uint8_t *exact = malloc(size + 1); /* so that a read beyond the end is seen */
        ck_assert(exact != NULL);
        memcpy(exact, buffer, size);
        struct kv_operation decoded;
        struct kv_result result;
        if (kv_operation_decode(exact, size, fresh_arena(), &decoded)) {
            accepted++;
            (void)kv_operation_check(&decoded);
            (void)kv_operation_size(&decoded);
        }
        (void)kv_result_decode(exact, size, fresh_arena(), &result);
        free(exact);
    }
    ck_assert_uint_gt(accepted, 0);
}
END_TEST

static struct kv_bytes of_binary(ProtobufCBinaryData binary)
{
    return (struct kv_bytes){binary.data, binary.len};
}

/* What protobuf-c makes of the three simplest kinds; false if it is none of them. */
static bool by_protobuf(const Kv__Operation *form, struct kv_operation *operation)
{
    *operation = (struct kv_operation){.kind = (enum kv_kind)form->kind_case};
    switch (form->kind_case) {
    case KV__OPERATION__KIND_GET:
        operation->key = of_binary(form->get->key);
        return true;
    case KV__OPERATION__KIND_SET:
        operation->key = of_binary(form->set->key);
        operation->value = of_binary(form->set->value);
        return true;
    case KV__OPERATION__KIND_DEL:
        operation->key = of_binary(form->del->key);
        return true;
    default:
        return false;
    }
}

/* The kinds that go without protobuf-c: it writes the same, and reads the same of any bytes. */
START_TEST(straight_operations_are_protobufs)
{
    struct prng prng;
    static uint8_t again[4096];
    uint32_t read = 0;
    prng_seed(&prng, 12);
    for (uint32_t round = 0; round < 30000; round++) {
        const struct kv_operation operation = {
            .kind = (enum kv_kind)prng_between(&prng, KV_GET, KV_DEL),
            .key = bytes_of(prng_below(&prng, 300)),
            .value = bytes_of(prng_below(&prng, 300)),
        };
        size_t size = kv_operation_encode(&operation, buffer);
        Kv__Operation *form = kv__operation__unpack(NULL, size, buffer);
        ck_assert_ptr_nonnull(form);
        ck_assert_uint_eq(kv__operation__pack(form, again), size);
        ck_assert_mem_eq(buffer, again, size);
        kv__operation__free_unpacked(form, NULL);
        for (uint64_t i = prng_below(&prng, 3); i > 0; i--) {
            buffer[prng_below(&prng, size < 6 ? size : 6)] = (uint8_t)prng_next(&prng);
        }
        size = prng_chance(&prng, 1, 8) ? (size_t)prng_below(&prng, size + 1) : size;
        struct kv_operation wanted;
        struct kv_operation decoded;
        form = kv__operation__unpack(NULL, size, buffer);
        const bool fine = kv_operation_decode(buffer, size, fresh_arena(), &decoded);
        ck_assert(form != NULL || !fine);
        if (form != NULL && by_protobuf(form, &wanted)) {
            ck_assert(fine);
            ck_assert(operations_equal(&wanted, &decoded));
            read++;
        }
        if (form != NULL) {
            kv__operation__free_unpacked(form, NULL);
        }
    }
    ck_assert_uint_gt(read, 1000);
}
END_TEST

START_TEST(straight_results_are_protobufs)
{
    static uint8_t again[4096];
    for (int status = KV_OK; status <= KV_STORE_FULL; status++) {
        for (size_t value = 0; value <= 300; value += 100) {
            const struct kv_result result = {
                .status = (enum kv_status)status,
                .value = value > 200 ? (struct kv_bytes){NULL, 0} : bytes_of(value),
            };
            const size_t size = kv_result_encode(&result, fresh_arena(), buffer, sizeof buffer);
            Kv__Result *form = kv__result__unpack(NULL, size, buffer);
            struct kv_result decoded;
            ck_assert_ptr_nonnull(form);
            ck_assert_int_eq((int)form->status, status);
            ck_assert_int_eq(form->has_value, result.value.bytes != NULL);
            ck_assert_uint_eq(kv__result__pack(form, again), size);
            ck_assert_mem_eq(buffer, again, size);
            kv__result__free_unpacked(form, NULL);
            ck_assert(kv_result_decode(buffer, size, fresh_arena(), &decoded));
            ck_assert_int_eq((int)decoded.status, status);
            ck_assert(bytes_equal(decoded.value, result.value));
        }
    }
}
END_TEST

START_TEST(what_is_no_operation)
{
    struct kv_operation operation;
    struct kv_result result;
    static const uint8_t no_kind[] = {0x38, 0x01};     /* an unknown field alone */
    static const uint8_t no_key[] = {0x0a, 0x00};      /* a Get without its key */
    static const uint8_t bad_status[] = {0x08, 0x63};  /* status 99 */
    static const uint8_t zero_status[] = {0x08, 0x00}; /* status 0 */
    ck_assert(!kv_operation_decode(buffer, 0, fresh_arena(), &operation));
    ck_assert(!kv_operation_decode(no_kind, sizeof no_kind, fresh_arena(), &operation));
    ck_assert(!kv_operation_decode(no_key, sizeof no_key, fresh_arena(), &operation));
    ck_assert(!kv_result_decode(buffer, 0, fresh_arena(), &result));
    ck_assert(!kv_result_decode(bad_status, sizeof bad_status, fresh_arena(), &result));
    ck_assert(!kv_result_decode(zero_status, sizeof zero_status, fresh_arena(), &result));
}
END_TEST

static Suite *kv_codec_suite(void)
{
    Suite *suite = suite_create("kv_codec");
    TCase *tests = tcase_create("kv_codec");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, every_operation_comes_back);
    tcase_add_test(tests, every_bound_has_two_sides);
    tcase_add_test(tests, every_result_comes_back);
    tcase_add_test(tests, an_exhausted_arena_says_no);
    tcase_add_test(tests, hostile_bytes_are_refused_or_harmless);
    tcase_add_test(tests, straight_operations_are_protobufs);
    tcase_add_test(tests, straight_results_are_protobufs);
    tcase_add_test(tests, what_is_no_operation);
    suite_add_tcase(suite, tests);
    return suite;
}

int main(void)
{
    SRunner *runner = srunner_create(kv_codec_suite());
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
