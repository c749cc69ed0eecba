/* SPDX-License-Identifier: Apache-2.0 */
#include "server/app/kv.h"

#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/invariant.h"
#include "server/app/kv_load.h"
#include "server/app/kv_store.h"

enum {
    NUMBER_TEXT_MAX = 21, /* "-9223372036854775808" and a NUL */
    RESULT_ARENA_SIZE = KV_PAGE_PAIRS_MAX * 128,
};

_Static_assert((int)KV_RESULT_OVERHEAD_MAX <= (int)REPLY_STORED_MIN,
               "what changes something has a result without value and pairs, which is always kept");

struct kv {
    struct kv_store store;
    struct kv_load load;
    uint64_t size_max;                      /* of the operation being executed: app.h */
    struct kv_pair page[KV_PAGE_PAIRS_MAX]; /* of the scan being answered */
    /* Two arenas: what a strange operation took must not be missed when its result is encoded. */
    _Alignas(ARENA_ALIGNMENT) uint8_t operation_memory[KV_ARENA_SIZE];
    _Alignas(ARENA_ALIGNMENT) uint8_t result_memory[RESULT_ARENA_SIZE];
};

/* --- changes --- */

/* A full store takes nothing that makes it larger. The sizes follow from the log alone, so every
 * replica says so of the same operations (E0). */
static enum kv_status put(struct kv *kv, struct kv_bytes key, struct kv_bytes value)
{
    if (!kv_store_has_room(&kv->store, key, value, kv->size_max)) {
        return KV_STORE_FULL;
    }
    kv_store_put(&kv->store, kv_record_create(key, value));
    return KV_OK;
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
    const struct kv_record *record = kv_store_find(&kv->store, operation->key);
    if (record == NULL) {
        return KV_NOT_FOUND;
    }
    result->value = kv_record_value(record);
    return KV_OK;
}

static enum kv_status execute_set(struct kv *kv, const struct kv_operation *operation)
{
    return put(kv, operation->key, operation->value);
}

static enum kv_status execute_del(struct kv *kv, const struct kv_operation *operation)
{
    return kv_store_remove(&kv->store, operation->key) ? KV_OK : KV_NOT_FOUND;
}

static enum kv_status execute_cas(struct kv *kv, const struct kv_operation *operation)
{
    const struct kv_record *record = kv_store_find(&kv->store, operation->key);
    if (operation->expect_absent) {
        if (record != NULL) {
            return KV_MISMATCH;
        }
    } else if (record == NULL) {
        return KV_NOT_FOUND;
    } else {
        const struct kv_bytes value = kv_record_value(record);
        if (value.size != operation->expected.size ||
            (value.size > 0 && memcmp(value.bytes, operation->expected.bytes, value.size) != 0)) {
            return KV_MISMATCH;
        }
    }
    return put(kv, operation->key, operation->value);
}

static enum kv_status execute_incr(struct kv *kv, const struct kv_operation *operation,
                                   struct kv_result *result)
{
    const struct kv_record *record = kv_store_find(&kv->store, operation->key);
    int64_t number = 0;
    if (record != NULL && !number_parse(kv_record_value(record), &number)) {
        return KV_NOT_A_NUMBER;
    }
    if (__builtin_add_overflow(number, operation->by, &number)) {
        return KV_OVERFLOW;
    }
    char text[NUMBER_TEXT_MAX];
    const enum kv_status status = put(kv, operation->key, number_print(number, text));
    result->number = status == KV_OK ? number : 0;
    return status;
}

/* --- scans --- */

static bool has_prefix(struct kv_bytes key, struct kv_bytes prefix)
{
    return key.size >= prefix.size &&
           (prefix.size == 0 || memcmp(key.bytes, prefix.bytes, prefix.size) == 0);
}

/* The first record of the page, before it is known whether it has the prefix. */
static struct kv_record *scan_first(struct kv *kv, const struct kv_operation *operation,
                                    struct kv_cursor *cursor)
{
    if (!operation->has_after || kv_bytes_compare(operation->after, operation->key) < 0) {
        return kv_index_first(&kv->store.index, cursor, operation->key);
    }
    struct kv_record *record = kv_index_first(&kv->store.index, cursor, operation->after);
    if (record != NULL && kv_bytes_compare(kv_record_key(record), operation->after) == 0) {
        record = kv_index_next(&kv->store.index, cursor);
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
    while (record != NULL && has_prefix(kv_record_key(record), operation->key)) {
        const size_t size = KV_PAIR_OVERHEAD_MAX + (size_t)record->key_size + record->value_size;
        if (result->pair_count == limit || size > room) {
            result->more = true;
            break;
        }
        room -= size;
        kv->page[result->pair_count++] =
            (struct kv_pair){kv_record_key(record), kv_record_value(record)};
        record = kv_index_next(&kv->store.index, &cursor);
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
    kv->size_max = context->state_size_max; /* nothing here depends on time or position */
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
    return ((const struct kv *)state)->store.digest;
}

static uint64_t app_state_size(void *state)
{
    return kv_store_size(&((const struct kv *)state)->store);
}

static void app_cut_begin(void *state)
{
    struct kv *kv = state;
    kv_cut_begin(&kv->store.cut, kv->store.index.count);
}

static bool app_cut(void *state, uint8_t *out, size_t capacity, size_t *size)
{
    struct kv *kv = state;
    return kv_cut_slice(&kv->store.cut, &kv->store.index, out, capacity, size);
}

static void app_cut_abandon(void *state)
{
    kv_cut_abandon(&((struct kv *)state)->store.cut);
}

static void app_load_begin(void *state)
{
    struct kv *kv = state;
    kv_store_clear(&kv->store);
    kv_load_begin(&kv->load);
}

static bool app_load(void *state, const uint8_t *bytes, size_t size)
{
    struct kv *kv = state;
    return kv_load_bytes(&kv->load, &kv->store, bytes, size);
}

static bool app_load_end(void *state)
{
    return kv_load_end(&((struct kv *)state)->load);
}

struct app kv_app(struct kv *kv)
{
    return (struct app){
        .state = kv,
        .is_quick = true, /* a scan's result is bounded, and so is what it looks at */
        .execute = app_execute,
        .is_read = app_is_read,
        .digest = app_digest,
        .state_size = app_state_size,
        .cut_begin = app_cut_begin,
        .cut = app_cut,
        .cut_abandon = app_cut_abandon,
        .load_begin = app_load_begin,
        .load = app_load,
        .load_end = app_load_end,
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
    kv_store_init(&kv->store);
    kv_load_init(&kv->load);
    kv->size_max = 0;
    return kv;
}

void kv_destroy(struct kv *kv)
{
    kv_load_clear(&kv->load);
    kv_store_clear(&kv->store);
    free(kv);
}

uint64_t kv_key_count(const struct kv *kv)
{
    return kv->store.index.count;
}

uint64_t kv_content_bytes(const struct kv *kv)
{
    return kv->store.content_bytes;
}

uint64_t kv_aside_bytes(const struct kv *kv)
{
    return kv->store.cut.aside_bytes;
}
