/* SPDX-License-Identifier: Apache-2.0 */
/* Cuts of the key-value store: what was there when they began, whatever operations do between
 * slices (K1, PITFALLS PS-11); and loads of them, from bytes that may be anything. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/bytes.h"
#include "common/base/prng.h"
#include "common/wire/kv_codec.h"
#include "server/app/kv.h"
#include "server/app/kv_cut.h"
#include "server/app/kv_store.h"

enum { CUT_MAX = 32 * 1024 * 1024, HEADER = 12 };

static struct kv *kv;
static struct app app;
static uint64_t state_size_max; /* 0: no limit */
static uint8_t operation_bytes[OPERATION_SIZE_MAX];
static uint8_t result_bytes[RESULT_SIZE_MAX];
static uint8_t large[VALUE_SIZE_MAX];
static _Alignas(ARENA_ALIGNMENT) uint8_t arena_memory[KV_ARENA_SIZE];

struct bytes {
    uint8_t *at;
    size_t size;
};

static struct bytes expected; /* what a cut must be, by the naive encoder */
static struct bytes cut;      /* what it was */

static void setup(void)
{
    kv = kv_create();
    app = kv_app(kv);
    state_size_max = 0;
    expected = (struct bytes){malloc(CUT_MAX), 0};
    cut = (struct bytes){malloc(CUT_MAX), 0};
    ck_assert_ptr_nonnull(expected.at);
    ck_assert_ptr_nonnull(cut.at);
    memset(large, 'v', sizeof large);
}

static void teardown(void)
{
    kv_destroy(kv);
    free(expected.at);
    free(cut.at);
}

/* --- operations --- */

static struct kv_bytes text(const char *string)
{
    return (struct kv_bytes){(const uint8_t *)string, strlen(string)};
}

static struct kv_result execute(const struct kv_operation operation)
{
    const struct app_context context = {1, 1, state_size_max};
    struct kv_result result;
    struct arena arena;
    const size_t size = kv_operation_encode(&operation, operation_bytes);
    const size_t result_size =
        app.execute(app.state, &context, operation_bytes, size, result_bytes);
    arena_init(&arena, arena_memory, sizeof arena_memory);
    if (!kv_result_decode(result_bytes, result_size, &arena, &result)) {
        ck_abort_msg("no result, of %d bytes", (int)result_size);
    }
    return result;
}

static enum kv_status set_bytes(struct kv_bytes key, struct kv_bytes value)
{
    return execute((struct kv_operation){.kind = KV_SET, .key = key, .value = value}).status;
}

static enum kv_status set(const char *key, const char *value)
{
    return set_bytes(text(key), text(value));
}

static enum kv_status del(const char *key)
{
    return execute((struct kv_operation){.kind = KV_DEL, .key = text(key)}).status;
}

/* --- the naive encoder: the store's own scans, page by page --- */

static void expect_pair(const struct kv_pair *pair)
{
    uint8_t *at = expected.at + expected.size;
    bytes_put_u16(at, (uint16_t)pair->key.size);
    bytes_put_u32(at + 2, (uint32_t)pair->value.size);
    memcpy(at + 6, pair->key.bytes, pair->key.size);
    if (pair->value.size > 0) {
        memcpy(at + 6 + pair->key.size, pair->value.bytes, pair->value.size);
    }
    expected.size += 6 + pair->key.size + pair->value.size;
}

static void expect_state(void)
{
    static uint8_t after[KEY_SIZE_MAX];
    struct kv_operation scan = {.kind = KV_SCAN};
    bytes_put_u32(expected.at, 1);
    bytes_put_u64(expected.at + 4, kv_key_count(kv));
    expected.size = HEADER;
    for (;;) {
        const struct kv_result result = execute(scan);
        for (uint32_t i = 0; i < result.pair_count; i++) {
            expect_pair(&result.pairs[i]);
        }
        if (!result.more) {
            return;
        }
        const struct kv_bytes last = result.pairs[result.pair_count - 1].key;
        memcpy(after, last.bytes, last.size);
        scan.has_after = true;
        scan.after = (struct kv_bytes){after, last.size};
    }
}

/* --- slices --- */

static void begin(void)
{
    expect_state();
    app.cut_begin(app.state);
    cut.size = 0;
}

static bool slice(size_t capacity)
{
    size_t size;
    const bool more = app.cut(app.state, cut.at + cut.size, capacity, &size);
    cut.size += size;
    /* Plain comparisons: an assertion of Check costs more than the rest of a slice. */
    if (size > capacity || cut.size > expected.size) {
        ck_abort_msg("%d bytes for %d, %d in all", (int)size, (int)capacity, (int)cut.size);
    }
    return more;
}

static void finish(void)
{
    uint32_t slices = 0;
    while (slice(64 * 1024)) {
        if (++slices > 10000) {
            ck_abort_msg("a cut without end");
        }
    }
    ck_assert_uint_eq(cut.size, expected.size);
    ck_assert_int_eq(memcmp(cut.at, expected.at, cut.size), 0);
    ck_assert_uint_eq(kv_aside_bytes(kv), 0);
}

/* Slices until `size` bytes are out, and a byte more. */
static void advance_behind(size_t size)
{
    while (cut.size <= size) {
        ck_assert(slice(1));
    }
}

/* --- one by one --- */

START_TEST(an_empty_store_is_a_header)
{
    begin();
    finish();
    ck_assert_uint_eq(cut.size, HEADER);
    ck_assert_uint_eq(bytes_get_u64(cut.at + 4), 0);
}
END_TEST

/* The format, byte by byte: an old checkpoint must be readable for ever. */
START_TEST(the_bytes_of_a_small_store)
{
    static const uint8_t bytes[] = {
        1,   0, 0, 0, 2, 0, 0, 0,   0,   0,   /* format, pairs */
        0,   0, 1, 0, 2, 0, 0, 0,   'a', '1', /* sizes, key, value */
        '2', 2, 0, 0, 0, 0, 0, 'a', 0,        /* an empty value */
    };
    set_bytes((struct kv_bytes){(const uint8_t *)"a\0", 2}, text(""));
    set("a", "12");
    begin();
    finish();
    ck_assert_uint_eq(cut.size, sizeof bytes);
    ck_assert_int_eq(memcmp(cut.at, bytes, sizeof bytes), 0);
}
END_TEST

/* Each way to change a pair, at each place: above, below and under the cut. */
START_TEST(what_operations_change_does_not_appear)
{
    static const char *const keys[] = {"b", "d", "f", "h"};
    enum { KEYS = 4, PAIR = 6 + 1 + 3, WAYS = 10 };
    for (size_t place = 0; place <= KEYS; place++) {
        for (int way = 0; way < WAYS; way++) {
            teardown();
            setup();
            for (size_t i = 0; i < KEYS; i++) {
                set(keys[i], "100");
            }
            begin();
            advance_behind(HEADER + place * PAIR > HEADER ? HEADER + (place - 1) * PAIR : 0);
            for (size_t i = 0; i < KEYS; i++) {
                const char above[] = {(char)(keys[i][0] + 1), 0};
                const struct kv_operation incr = {.kind = KV_INCR, .key = text(keys[i]), .by = 7};
                const struct kv_operation cas = {.kind = KV_CAS,
                                                 .key = text(keys[i]),
                                                 .expected = text("100"),
                                                 .value = text("by cas")};
                switch (way) {
                case 0:
                    ck_assert_int_eq(set(keys[i], "new"), KV_OK);
                    break;
                case 1:
                    ck_assert_int_eq(del(keys[i]), KV_OK);
                    break;
                case 2:
                    ck_assert_int_eq(del(keys[i]), KV_OK);
                    ck_assert_int_eq(set(keys[i], "again"), KV_OK);
                    break;
                case 3:
                    ck_assert_int_eq(execute(incr).number, 107);
                    break;
                case 4:
                    ck_assert_int_eq(execute(cas).status, KV_OK);
                    break;
                case 5:
                    ck_assert_int_eq(set(above, "inserted"), KV_OK);
                    break;
                case 6:
                    ck_assert_int_eq(set(above, "inserted"), KV_OK);
                    ck_assert_int_eq(set(above, "changed"), KV_OK);
                    ck_assert_int_eq(del(above), KV_OK);
                    break;
                case 7:
                    ck_assert_int_eq(set(keys[i], "new"), KV_OK);
                    ck_assert_int_eq(set(keys[i], "newer"), KV_OK);
                    break;
                case 8:
                    ck_assert_int_eq(del(keys[i]), KV_OK);
                    ck_assert_int_eq(set(keys[i], "again"), KV_OK);
                    ck_assert_int_eq(del(keys[i]), KV_OK);
                    break;
                default:
                    ck_assert_int_eq(set(keys[i], "100"), KV_OK); /* the same, another record */
                    break;
                }
            }
            finish();
        }
    }
}
END_TEST

/* A value of which half is out, while it is replaced and removed. */
START_TEST(a_half_written_value_stays)
{
    static const size_t capacities[] = {1000, 4096, VALUE_SIZE_MAX / 2, VALUE_SIZE_MAX};
    for (size_t i = 0; i < sizeof capacities / sizeof capacities[0]; i++) {
        for (int removed = 0; removed <= 1; removed++) {
            set_bytes(text("k"), (struct kv_bytes){large, VALUE_SIZE_MAX});
            set("l", "after");
            begin();
            ck_assert(slice(capacities[i]));
            set("k", "small");
            if (removed) {
                del("k");
            }
            ck_assert_uint_eq(kv_aside_bytes(kv), 0);
            finish();
        }
        /* Abandoned halfway, which must not leak, and displaced before or not. */
        set_bytes(text("k"), (struct kv_bytes){large, VALUE_SIZE_MAX});
        begin();
        ck_assert(slice(capacities[i]));
        if (i % 2 == 0) {
            set("k", "small");
        }
        app.cut_abandon(app.state);
    }
}
END_TEST

/* --- bounds --- */

static struct kv_bytes numbered(char key[16], uint32_t number)
{
    const int size = snprintf(key, 16, "user:%07u", number);
    return (struct kv_bytes){(const uint8_t *)key, (size_t)size};
}

static void fill(uint32_t from, uint32_t to)
{
    char key[16];
    for (uint32_t i = from; i < to; i++) {
        if (set_bytes(numbered(key, i), text("value")) != KV_OK) {
            ck_abort_msg("key %d", (int)i);
        }
    }
}

static void empty(uint32_t from, uint32_t to)
{
    char key[16];
    for (uint32_t i = from; i < to; i++) {
        execute((struct kv_operation){.kind = KV_DEL, .key = numbered(key, i)});
    }
}

/* Keys that came after the cut began cost a slice its steps, no more: it may have nothing to say,
 * and goes on. */
START_TEST(a_slice_visits_a_bounded_number_of_keys)
{
    enum { KEYS = 5 * KV_CUT_STEPS_MAX };
    uint32_t slices = 0;
    set("z", "last");
    begin();
    fill(0, KEYS);
    while (slice(64 * 1024)) {
        slices++;
    }
    ck_assert_uint_ge(slices, KEYS / KV_CUT_STEPS_MAX);
    ck_assert_int_eq(memcmp(cut.at, expected.at, expected.size), 0);

    /* All removed: the same number of steps. */
    begin();
    empty(0, KEYS);
    slices = 0;
    while (slice(CUT_MAX)) {
        ck_assert_uint_le(cut.size, ++slices * KV_CUT_STEPS_MAX * (6 + 12 + 5) + HEADER);
    }
    ck_assert_uint_ge(slices, KEYS / KV_CUT_STEPS_MAX);
    ck_assert_int_eq(memcmp(cut.at, expected.at, expected.size), 0);
}
END_TEST

/* I10: what is kept aside is what was there when the cut began, at most, however much happens. */
START_TEST(aside_is_bounded)
{
    enum { KEYS = 2000 };
    fill(0, KEYS);
    const uint64_t content = kv_content_bytes(kv);
    begin();
    ck_assert(slice(1));
    for (uint32_t round = 0; round < 5; round++) {
        fill(KEYS, 2 * KEYS); /* new ones are never kept */
        empty(KEYS, 2 * KEYS);
        ck_assert_uint_eq(kv_aside_bytes(kv), 0);
    }
    for (uint32_t round = 0; round < 5; round++) {
        fill(0, 2 * KEYS);
        ck_assert_uint_le(kv_aside_bytes(kv), content);
        empty(0, 2 * KEYS);
        ck_assert_uint_le(kv_aside_bytes(kv), content);
    }
    ck_assert_uint_eq(kv_aside_bytes(kv), content);
    finish();
}
END_TEST

/* What an abandoned cut left goes with the operations that follow, two records each, whether
 * another cut is under way or not. */
START_TEST(an_abandoned_cut_is_swept_up)
{
    enum { KEYS = 2000 };
    for (int cutting = 0; cutting <= 1; cutting++) {
        fill(0, KEYS);
        begin();
        fill(0, KEYS);
        app.cut_abandon(app.state);
        ck_assert_uint_gt(kv_aside_bytes(kv), 0);
        fill(KEYS, KEYS + 1);
        if (cutting) {
            begin();
        }
        for (uint32_t i = 0; i < KEYS; i++) {
            ck_assert_int_eq(set("user:0002000", "value"), KV_OK);
        }
        ck_assert_uint_le(kv_aside_bytes(kv), 12 + 5); /* that of the key just set */
        if (cutting) {
            finish();
        }
        ck_assert_uint_eq(kv_aside_bytes(kv), 0);
    }
}
END_TEST

/* Cuts that never come to an end, over keys that never come back. */
START_TEST(leftovers_of_many_abandoned_cuts_do_not_add_up)
{
    enum { KEYS = 200, ROUNDS = 200 };
    uint64_t most = 0;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        fill(round * KEYS, (round + 1) * KEYS);
        begin();
        ck_assert(slice(20));
        empty(round * KEYS, (round + 1) * KEYS);
        most = kv_aside_bytes(kv) > most ? kv_aside_bytes(kv) : most;
        app.cut_abandon(app.state);
    }
    ck_assert_uint_le(most, 3 * KEYS * (12 + 5));
}
END_TEST

START_TEST(a_full_store_says_so)
{
    state_size_max = 2 * (KV_PAIR_ACCOUNTED + 1 + 10);
    ck_assert_int_eq(set("a", "0123456789"), KV_OK);
    ck_assert_int_eq(set("b", "0123456789a"), KV_STORE_FULL);
    ck_assert_int_eq(set("b", "0123456789"), KV_OK); /* to the byte */
    ck_assert_uint_eq(app.state_size(app.state), state_size_max);
    const struct checksum digest = app.digest(app.state);
    ck_assert_int_eq(set("a", "0123456789a"), KV_STORE_FULL);
    ck_assert_int_eq(set("c", ""), KV_STORE_FULL);
    const struct kv_operation incr = {.kind = KV_INCR, .key = text("c"), .by = 1};
    ck_assert_int_eq(execute(incr).status, KV_STORE_FULL);
    const struct kv_operation cas = {
        .kind = KV_CAS, .key = text("c"), .expect_absent = true, .value = text("")};
    ck_assert_int_eq(execute(cas).status, KV_STORE_FULL);
    ck_assert(checksum_equal(app.digest(app.state), digest));

    ck_assert_int_eq(set("a", "9876543210"), KV_OK); /* no larger */
    state_size_max = 1;
    ck_assert_int_eq(set("a", "987654321"), KV_OK); /* smaller, though still too large */
    ck_assert_int_eq(set("a", "9876543210"), KV_STORE_FULL);
    ck_assert_int_eq(del("a"), KV_OK);
    ck_assert_int_eq(execute((struct kv_operation){.kind = KV_GET, .key = text("b")}).status,
                     KV_OK);
}
END_TEST

/* --- against the naive encoder --- */

/* Few letters, among them those that the index escapes: keys meet, and are prefixes of each other.
 */
static struct kv_bytes random_key(struct prng *prng, uint8_t *bytes)
{
    static const uint8_t letters[] = {0, 1, 2, 'a', 0xff};
    const size_t size = prng_between(prng, 1, 4);
    for (size_t i = 0; i < size; i++) {
        bytes[i] = letters[prng_below(prng, sizeof letters)];
    }
    return (struct kv_bytes){bytes, size};
}

static void random_operation(struct prng *prng)
{
    static const char *const values[] = {"", "0", "-5", "x", "a value of some length, for slices"};
    uint8_t key[4];
    struct kv_operation operation = {
        .kind = (enum kv_kind)prng_between(prng, KV_SET, KV_INCR),
        .key = random_key(prng, key),
        .by = 3,
        .expect_absent = prng_chance(prng, 1, 2),
    };
    operation.value = text(values[prng_below(prng, sizeof values / sizeof values[0])]);
    if (!operation.expect_absent) {
        operation.expected = text(values[prng_below(prng, sizeof values / sizeof values[0])]);
    }
    execute(operation);
}

static void random_operations(struct prng *prng, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        random_operation(prng);
    }
}

/* Loads `bytes` into a fresh store in random splits. */
static bool load(struct app *into, struct prng *prng, const struct bytes *bytes)
{
    size_t at = 0;
    into->load_begin(into->state);
    while (at < bytes->size) {
        const uint64_t most = prng_chance(prng, 1, 2) ? 10 : bytes->size;
        uint64_t size = prng_below(prng, most + 1);
        size = size < bytes->size - at ? size : bytes->size - at;
        /* A copy of its own, so that a sanitizer sees a read behind its end. */
        uint8_t *piece = malloc(size + 1);
        memcpy(piece, bytes->at + at, size);
        const bool good = into->load(into->state, piece, size);
        free(piece);
        if (!good) {
            return into->load(into->state, bytes->at, 1); /* it stays refused */
        }
        at += size;
    }
    return into->load_end(into->state);
}

static void random_cuts(uint64_t seed)
{
    struct prng prng;
    struct kv *other = kv_create();
    struct app other_app = kv_app(other);
    prng_seed(&prng, seed);
    random_operations(&prng, prng_below(&prng, 600));
    for (uint32_t round = 0; round < 12; round++) {
        const uint64_t slice_max = prng_chance(&prng, 1, 2) ? 12 : 400;
        const uint64_t between = prng_below(&prng, 12);
        const bool abandoned = prng_chance(&prng, 1, 3);
        const struct checksum digest = app.digest(app.state);
        begin();
        do {
            random_operations(&prng, prng_below(&prng, between + 1));
            if (abandoned && prng_chance(&prng, 1, 20)) {
                app.cut_abandon(app.state);
                break;
            }
        } while (slice(prng_between(&prng, 1, slice_max)));
        if (abandoned) {
            app.cut_abandon(app.state); /* also of a cut that is over: nothing */
            continue;
        }
        if (cut.size != expected.size || memcmp(cut.at, expected.at, cut.size) != 0) {
            ck_abort_msg("seed %d round %d", (int)seed, (int)round);
        }
        if (!load(&other_app, &prng, &cut) || !checksum_equal(other_app.digest(other), digest)) {
            ck_abort_msg("seed %d round %d is loaded wrongly", (int)seed, (int)round);
        }
    }
    /* What was loaded is cut to the same bytes. */
    begin();
    finish();
    ck_assert(load(&other_app, &prng, &cut));
    ck_assert_uint_eq(kv_content_bytes(other), kv_content_bytes(kv));
    ck_assert_uint_eq(other_app.state_size(other), app.state_size(app.state));
    size_t size;
    cut.size = 0;
    other_app.cut_begin(other);
    while (other_app.cut(other, cut.at + cut.size, CUT_MAX - cut.size, &size)) {
        cut.size += size;
    }
    cut.size += size;
    ck_assert_uint_eq(cut.size, expected.size);
    ck_assert_int_eq(memcmp(cut.at, expected.at, cut.size), 0);
    kv_destroy(other);
}

START_TEST(cuts_are_the_state_at_their_beginning)
{
    for (uint64_t seed = 0; seed < 60; seed++) {
        random_cuts(seed);
        teardown();
        setup();
    }
}
END_TEST

/* --- damage --- */

static void some_state(void)
{
    set("a", "1");
    set("b", "");
    set_bytes((struct kv_bytes){large, KEY_SIZE_MAX}, text("the longest key"));
    set("c", "22");
    begin();
    finish();
}

START_TEST(a_load_of_part_of_a_cut_is_refused)
{
    struct prng prng;
    prng_seed(&prng, 1);
    some_state();
    for (size_t size = 0; size < cut.size; size++) {
        const struct bytes part = {cut.at, size};
        if (load(&app, &prng, &part)) {
            ck_abort_msg("%d bytes", (int)size);
        }
    }
    ck_assert(load(&app, &prng, &cut));
    cut.at[cut.size++] = 0; /* and one byte too many */
    ck_assert(!load(&app, &prng, &cut));
}
END_TEST

/* Refused, or a state with another digest: the executor compares that. Never a crash. */
START_TEST(a_flipped_bit_is_refused_or_seen)
{
    struct prng prng;
    prng_seed(&prng, 2);
    some_state();
    const struct checksum digest = app.digest(app.state);
    for (size_t bit = 0; bit < cut.size * 8; bit++) {
        cut.at[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        if (load(&app, &prng, &cut) && checksum_equal(app.digest(app.state), digest)) {
            ck_abort_msg("bit %d", (int)bit);
        }
        cut.at[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    ck_assert(load(&app, &prng, &cut));
    ck_assert(checksum_equal(app.digest(app.state), digest));
}
END_TEST

START_TEST(random_bytes_are_refused)
{
    struct prng prng;
    prng_seed(&prng, 3);
    for (uint32_t round = 0; round < 3000; round++) {
        cut.size = prng_below(&prng, 200);
        for (size_t i = 0; i < cut.size; i++) {
            cut.at[i] = (uint8_t)prng_below(&prng, prng_chance(&prng, 1, 2) ? 4 : 256);
        }
        if (prng_chance(&prng, 1, 2)) { /* past the format number */
            bytes_put_u32(cut.at, 1);
        }
        (void)load(&app, &prng, &cut);
    }
}
END_TEST

static void append_pair(uint32_t key_size, uint32_t value_size, const char *key)
{
    uint8_t *at = cut.at + cut.size;
    bytes_put_u16(at, (uint16_t)key_size);
    bytes_put_u32(at + 2, value_size);
    memset(at + 6, key[0], (size_t)key_size + value_size);
    cut.size += 6 + (size_t)key_size + value_size;
}

static void start_cut(uint64_t count)
{
    bytes_put_u32(cut.at, 1);
    bytes_put_u64(cut.at + 4, count);
    cut.size = HEADER;
}

START_TEST(each_rule_of_the_format_is_kept)
{
    struct prng prng;
    prng_seed(&prng, 4);
    static const struct {
        uint32_t key_size, value_size;
        const char *key;
        bool good;
    } second[] = {
        {1, 0, "n", true},
        {2, 0, "m", true},
        {KEY_SIZE_MAX, VALUE_SIZE_MAX, "n", true},
        {1, 0, "m", false},
        {1, 9, "m", false},
        {1, 0, "l", false},
        {0, 5, "z", false},
        {KEY_SIZE_MAX + 1, 0, "n", false},
        {1, VALUE_SIZE_MAX + 1, "n", false},
    };
    for (size_t i = 0; i < sizeof second / sizeof second[0]; i++) {
        start_cut(2);
        append_pair(1, 3, "m");
        append_pair(second[i].key_size, second[i].value_size, second[i].key);
        ck_assert_msg(load(&app, &prng, &cut) == second[i].good, "pair %d", (int)i);
    }
    start_cut(3); /* one is missing */
    append_pair(1, 3, "m");
    append_pair(1, 3, "n");
    ck_assert(!load(&app, &prng, &cut));
    start_cut(1); /* one is too many */
    append_pair(1, 3, "m");
    append_pair(1, 3, "n");
    ck_assert(!load(&app, &prng, &cut));
    start_cut(0);
    bytes_put_u32(cut.at, 2); /* another format */
    ck_assert(!load(&app, &prng, &cut));
}
END_TEST

START_TEST(a_load_begins_from_nothing)
{
    struct prng prng;
    struct bytes small = {malloc(64), 0};
    prng_seed(&prng, 5);
    set("k", "v");
    begin();
    finish();
    small.size = cut.size;
    memcpy(small.at, cut.at, cut.size);
    const struct checksum digest = app.digest(app.state);
    fill(0, 100);
    begin();
    ck_assert(slice(700)); /* within a pair */
    fill(0, 100);
    app.load_begin(app.state); /* amid a cut */
    ck_assert_uint_eq(kv_key_count(kv), 0);
    ck_assert_uint_eq(kv_aside_bytes(kv), 0);
    ck_assert_uint_eq(app.state_size(app.state), 0);
    ck_assert(app.load(app.state, small.at, small.size - 1)); /* amid a load */
    ck_assert(load(&app, &prng, &small));
    ck_assert(checksum_equal(app.digest(app.state), digest));
    ck_assert(!app.load_end(app.state)); /* over */
    free(small.at);
}
END_TEST

static Suite *kv_cut_suite(void)
{
    Suite *suite = suite_create("kv_cut");
    TCase *tests = tcase_create("kv_cut");
    tcase_set_timeout(tests, 120);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, an_empty_store_is_a_header);
    tcase_add_test(tests, the_bytes_of_a_small_store);
    tcase_add_test(tests, what_operations_change_does_not_appear);
    tcase_add_test(tests, a_half_written_value_stays);
    tcase_add_test(tests, a_slice_visits_a_bounded_number_of_keys);
    tcase_add_test(tests, aside_is_bounded);
    tcase_add_test(tests, an_abandoned_cut_is_swept_up);
    tcase_add_test(tests, leftovers_of_many_abandoned_cuts_do_not_add_up);
    tcase_add_test(tests, a_full_store_says_so);
    tcase_add_test(tests, cuts_are_the_state_at_their_beginning);
    tcase_add_test(tests, a_load_of_part_of_a_cut_is_refused);
    tcase_add_test(tests, a_flipped_bit_is_refused_or_seen);
    tcase_add_test(tests, random_bytes_are_refused);
    tcase_add_test(tests, each_rule_of_the_format_is_kept);
    tcase_add_test(tests, a_load_begins_from_nothing);
    suite_add_tcase(suite, tests);
    return suite;
}

int main(void)
{
    SRunner *runner = srunner_create(kv_cut_suite());
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
