/* SPDX-License-Identifier: Apache-2.0 */
#include "server/app/kv.h"

#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/digest.h"
#include "common/base/invariant.h"
#include "server/app/kv_index.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

enum {
    NUMBER_TEXT_MAX = 21, /* "-9223372036854775808" and a NUL */
    RESULT_ARENA_SIZE = KV_PAGE_PAIRS_MAX * 128,
};

_Static_assert((int)KV_RESULT_OVERHEAD_MAX <= (int)REPLY_STORED_MIN,
               "what changes something has a result without value and pairs, which is always kept");

struct kv_record {
    struct checksum digest; /* of the pair: its term in the store's */
    uint32_t key_size;
    uint32_t value_size;
    uint8_t bytes[]; /* the key, then the value */
};

struct kv {
    struct kv_index index;
    struct checksum digest;
    uint64_t content_bytes;
    struct kv_pair page[KV_PAGE_PAIRS_MAX]; /* of the scan being answered */
    /* Two arenas: what a strange operation took must not be missed when its result is encoded. */
    _Alignas(ARENA_ALIGNMENT) uint8_t operation_memory[KV_ARENA_SIZE];
    _Alignas(ARENA_ALIGNMENT) uint8_t result_memory[RESULT_ARENA_SIZE];
};

/* --- records --- */

static struct kv_bytes record_key(const struct kv_record *record)
{
    return (struct kv_bytes){record->bytes, record->key_size};
}

static struct kv_bytes record_value(const struct kv_record *record)
{
    return (struct kv_bytes){record->bytes + record->key_size, record->value_size};
}

/* Key and value are hashed apart, so that no two pairs share their bytes by moving the border. */
static struct checksum record_digest(const struct kv_record *record)
{
    const struct kv_bytes key = record_key(record);
    const struct kv_bytes value = record_value(record);
    const XXH128_hash_t of_key = XXH3_128bits(key.bytes, key.size);
    const XXH128_hash_t of_value = XXH3_128bits(value.bytes, value.size);
    const uint64_t words[] = {of_key.low64, of_key.high64, of_value.low64, of_value.high64};
    const XXH128_hash_t hash = XXH3_128bits(words, sizeof words);
    return (struct checksum){hash.low64, hash.high64};
}

static struct kv_record *record_create(struct kv_bytes key, struct kv_bytes value)
{
    const size_t size = sizeof(struct kv_record) + key.size + value.size;
    struct kv_record *record = malloc(size);
    if (record == NULL) {
        kv_out_of_memory(size);
    }
    record->key_size = (uint32_t)key.size;
    record->value_size = (uint32_t)value.size;
    memcpy(record->bytes, key.bytes, key.size);
    if (value.size > 0) {
        memcpy(record->bytes + key.size, value.bytes, value.size);
    }
    record->digest = record_digest(record);
    return record;
}

static void count_in(struct kv *kv, const struct kv_record *record)
{
    kv->digest = digest_add(kv->digest, record->digest);
    kv->content_bytes += (uint64_t)record->key_size + record->value_size;
}

static void count_out(struct kv *kv, const struct kv_record *record)
{
    kv->digest = digest_subtract(kv->digest, record->digest);
    kv->content_bytes -= (uint64_t)record->key_size + record->value_size;
}

static void store(struct kv *kv, struct kv_bytes key, struct kv_bytes value)
{
    struct kv_record *record = record_create(key, value);
    struct kv_record *before = kv_index_put(&kv->index, key, record);
    if (before != NULL) {
        count_out(kv, before);
        free(before);
    }
    count_in(kv, record);
}

/* --- numbers --- */

/* Exactly what number_print() prints, so that a number has one text. */
static bool number_parse(struct kv_bytes text, int64_t *number)
{
    const bool negative = text.size > 0 && text.bytes[0] == '-';
    const size_t first = negative ? 1 : 0;
    if (text.size == first || text.size >= NUMBER_TEXT_MAX ||
        (text.bytes[first] == '0' && text.size > 1)) {
        return false;
    }
    int64_t value = 0;
    for (size_t i = first; i < text.size; i++) {
        const int64_t digit = text.bytes[i] - '0';
        if (digit < 0 || digit > 9) {
            return false;
        }
        /* Towards the sign's own end: there is no +9223372036854775808 to negate. */
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, negative ? -digit : digit, &value)) {
            return false;
        }
    }
    *number = value;
    return true;
}

static struct kv_bytes number_print(int64_t number, char text[NUMBER_TEXT_MAX])
{
    const int size = snprintf(text, NUMBER_TEXT_MAX, "%" PRId64, number);
    return (struct kv_bytes){(const uint8_t *)text, (size_t)size};
}

/* --- operations --- */

static enum kv_status execute_get(struct kv *kv, const struct kv_operation *operation,
                                  struct kv_result *result)
{
    const struct kv_record *record = kv_index_find(&kv->index, operation->key);
    if (record == NULL) {
        return KV_NOT_FOUND;
    }
    result->value = record_value(record);
    return KV_OK;
}

static enum kv_status execute_set(struct kv *kv, const struct kv_operation *operation)
{
    store(kv, operation->key, operation->value);
    return KV_OK;
}

static enum kv_status execute_del(struct kv *kv, const struct kv_operation *operation)
{
    struct kv_record *record = kv_index_remove(&kv->index, operation->key);
    if (record == NULL) {
        return KV_NOT_FOUND;
    }
    count_out(kv, record);
    free(record);
    return KV_OK;
}

static enum kv_status execute_cas(struct kv *kv, const struct kv_operation *operation)
{
    const struct kv_record *record = kv_index_find(&kv->index, operation->key);
    if (operation->expect_absent) {
        if (record != NULL) {
            return KV_MISMATCH;
        }
    } else if (record == NULL) {
        return KV_NOT_FOUND;
    } else {
        const struct kv_bytes value = record_value(record);
        if (value.size != operation->expected.size ||
            (value.size > 0 && memcmp(value.bytes, operation->expected.bytes, value.size) != 0)) {
            return KV_MISMATCH;
        }
    }
    store(kv, operation->key, operation->value);
    return KV_OK;
}

static enum kv_status execute_incr(struct kv *kv, const struct kv_operation *operation,
                                   struct kv_result *result)
{
    const struct kv_record *record = kv_index_find(&kv->index, operation->key);
    int64_t number = 0;
    if (record != NULL && !number_parse(record_value(record), &number)) {
        return KV_NOT_A_NUMBER;
    }
    if (__builtin_add_overflow(number, operation->by, &number)) {
        return KV_OVERFLOW;
    }
    char text[NUMBER_TEXT_MAX];
    store(kv, operation->key, number_print(number, text));
    result->number = number;
    return KV_OK;
}

/* --- scans --- */

static int bytes_compare(struct kv_bytes a, struct kv_bytes b)
{
    const size_t common = a.size < b.size ? a.size : b.size;
    const int order = common > 0 ? memcmp(a.bytes, b.bytes, common) : 0;
    return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

static bool has_prefix(struct kv_bytes key, struct kv_bytes prefix)
{
    return key.size >= prefix.size &&
           (prefix.size == 0 || memcmp(key.bytes, prefix.bytes, prefix.size) == 0);
}

/* The first record of the page, before it is known whether it has the prefix. */
static struct kv_record *scan_first(struct kv *kv, const struct kv_operation *operation,
                                    struct kv_cursor *cursor)
{
    if (!operation->has_after || bytes_compare(operation->after, operation->key) < 0) {
        return kv_index_first(&kv->index, cursor, operation->key);
    }
    struct kv_record *record = kv_index_first(&kv->index, cursor, operation->after);
    if (record != NULL && bytes_compare(record_key(record), operation->after) == 0) {
        record = kv_index_next(&kv->index, cursor);
    }
    return record;
}

static enum kv_status execute_scan(struct kv *kv, const struct kv_operation *operation,
                                   struct kv_result *result)
{
    const uint32_t limit = operation->limit == 0 || operation->limit > KV_PAGE_PAIRS_MAX
                               ? KV_PAGE_PAIRS_MAX
                               : operation->limit;
    size_t room = RESULT_SIZE_MAX - KV_RESULT_OVERHEAD_MAX;
    struct kv_cursor cursor;
    const struct kv_record *record = scan_first(kv, operation, &cursor);
    while (record != NULL && has_prefix(record_key(record), operation->key)) {
        const size_t size = KV_PAIR_OVERHEAD_MAX + (size_t)record->key_size + record->value_size;
        if (result->pair_count == limit || size > room) {
            result->more = true;
            break;
        }
        room -= size;
        kv->page[result->pair_count++] = (struct kv_pair){record_key(record), record_value(record)};
        record = kv_index_next(&kv->index, &cursor);
    }
    result->pairs = kv->page;
    return KV_OK;
}

/* --- behind app.h --- */

static enum kv_status execute_kind(struct kv *kv, const struct kv_operation *operation,
                                   struct kv_result *result)
{
    switch (operation->kind) {
    case KV_GET:
        return execute_get(kv, operation, result);
    case KV_SET:
        return execute_set(kv, operation);
    case KV_DEL:
        return execute_del(kv, operation);
    case KV_CAS:
        return execute_cas(kv, operation);
    case KV_INCR:
        return execute_incr(kv, operation, result);
    case KV_SCAN:
        return execute_scan(kv, operation, result);
    }
    return KV_MALFORMED;
}

static bool decode(struct kv *kv, const uint8_t *bytes, size_t size, struct kv_operation *operation)
{
    struct arena arena;
    arena_init(&arena, kv->operation_memory, sizeof kv->operation_memory);
    return kv_operation_decode(bytes, size, &arena, operation);
}

static size_t app_execute(void *state, const struct app_context *context, const uint8_t *bytes,
                          size_t size, uint8_t *result_bytes)
{
    struct kv *kv = state;
    struct kv_operation operation;
    struct kv_result result = {.status = KV_MALFORMED};
    (void)context; /* nothing here depends on time or position */
    if (decode(kv, bytes, size, &operation)) {
        result.status = kv_operation_check(&operation);
        if (result.status == KV_OK) {
            result.status = execute_kind(kv, &operation, &result);
        }
    }
    struct arena arena;
    arena_init(&arena, kv->result_memory, sizeof kv->result_memory);
    const size_t result_size = kv_result_encode(&result, &arena, result_bytes, RESULT_SIZE_MAX);
    INVARIANT(result_size > 0);
    return result_size;
}

static bool app_is_read(void *state, const uint8_t *bytes, size_t size)
{
    struct kv_operation operation;
    return decode(state, bytes, size, &operation) && kv_operation_is_read(&operation);
}

static struct checksum app_digest(void *state)
{
    return ((const struct kv *)state)->digest;
}

struct app kv_app(struct kv *kv)
{
    return (struct app){
        .state = kv,
        .execute = app_execute,
        .is_read = app_is_read,
        .digest = app_digest,
    };
}

/* --- life --- */

struct kv *kv_create(void)
{
#ifdef M_MXFAST
    /* glibc keeps small free blocks in lists of their own and merges all of them when next a large
     * block is asked for: after the removal of a million keys that took 200 ms. Off, blocks are
     * merged as they are freed, and the same costs microseconds (test/bench/bench_index.c). */
    (void)mallopt(M_MXFAST, 0); /* a refusal costs that stall, nothing else */
#endif
    struct kv *kv = aligned_alloc(ARENA_ALIGNMENT, sizeof *kv);
    if (kv == NULL) {
        kv_out_of_memory(sizeof *kv);
    }
    kv->index = (struct kv_index){.judy = NULL};
    kv->digest = (struct checksum){0, 0};
    kv->content_bytes = 0;
    return kv;
}

void kv_destroy(struct kv *kv)
{
    struct kv_cursor cursor;
    struct kv_record *record = kv_index_first(&kv->index, &cursor, (struct kv_bytes){NULL, 0});
    while (record != NULL) {
        struct kv_record *next = kv_index_next(&kv->index, &cursor);
        free(record);
        record = next;
    }
    kv_index_clear(&kv->index);
    free(kv);
}

uint64_t kv_key_count(const struct kv *kv)
{
    return kv->index.count;
}

uint64_t kv_content_bytes(const struct kv *kv)
{
    return kv->content_bytes;
}
