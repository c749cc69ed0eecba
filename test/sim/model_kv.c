/* SPDX-License-Identifier: Apache-2.0 */
/* The key-value store, from the description in proto/kv.proto and by no code of the store's: a
 * sorted array that is searched from the front. Only the codec is shared. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/invariant.h"
#include "common/wire/kv_codec.h"
#include "test/sim/memory.h"
#include "test/sim/model.h"

static int compare(struct kv_bytes a, const struct sim_model_cell *b)
{
    const size_t shorter = a.size < b->key_size ? a.size : b->key_size;
    const int order = shorter == 0 ? 0 : memcmp(a.bytes, b->key, shorter);
    if (order != 0) {
        return order;
    }
    return (a.size > b->key_size) - (a.size < b->key_size);
}

/* Where the key is, or would be. */
static uint32_t place_of(const struct sim_model *model, struct kv_bytes key)
{
    uint32_t at = 0;
    while (at < model->cell_count && compare(key, &model->cells[at]) > 0) {
        at++;
    }
    return at;
}

static struct sim_model_cell *find(struct sim_model *model, struct kv_bytes key)
{
    const uint32_t at = place_of(model, key);
    return at < model->cell_count && compare(key, &model->cells[at]) == 0 ? &model->cells[at]
                                                                          : NULL;
}

static uint64_t hash_of_get(struct sim_model *model, const struct sim_model_cell *cell)
{
    struct arena arena;
    struct kv_result result = {.status = KV_NOT_FOUND};
    uint8_t *out = sim_memory_room(&model->encoded, RESULT_SIZE_MAX);
    if (cell != NULL) {
        result = (struct kv_result){.status = KV_OK, .value = {cell->value, cell->value_size}};
    }
    arena_init(&arena, sim_memory_room(&model->versions_arena, KV_ARENA_SIZE), KV_ARENA_SIZE);
    return sim_result_hash(out, kv_result_encode(&result, &arena, out, RESULT_SIZE_MAX));
}

/* The key has changed, by the entry that is being executed. */
static void note_version(struct sim_model *model, struct kv_bytes key)
{
    if (model->version_count == model->version_capacity) {
        model->version_capacity = 2 * model->version_capacity + 1024;
        model->versions =
            realloc(model->versions, model->version_capacity * sizeof *model->versions);
        INVARIANT(model->versions != NULL);
    }
    struct sim_model_version *version = &model->versions[model->version_count++];
    INVARIANT(key.size <= sizeof version->key);
    *version = (struct sim_model_version){
        .op_number = model->executed_op,
        .result_hash = hash_of_get(model, find(model, key)),
        .key_size = (uint32_t)key.size,
    };
    memcpy(version->key, key.bytes, key.size);
}

static uint64_t hash_at(struct sim_model *model, uint64_t op_number, struct kv_bytes key)
{
    for (size_t i = model->version_count; i > 0; i--) {
        const struct sim_model_version *version = &model->versions[i - 1];
        if (version->op_number <= op_number && version->key_size == key.size &&
            memcmp(version->key, key.bytes, key.size) == 0) {
            return version->result_hash;
        }
    }
    return hash_of_get(model, NULL);
}

bool sim_model_read(struct sim_model *model, uint64_t op_number, const struct sim_asked *asked,
                    uint64_t *result_hash)
{
    struct arena arena;
    struct kv_operation operation;
    arena_init(&arena, sim_memory_room(&model->arena, KV_ARENA_SIZE), KV_ARENA_SIZE);
    if (model->application != SIM_APPLICATION_KV ||
        !kv_operation_decode(asked->operation, asked->size, &arena, &operation) ||
        operation.kind != KV_GET || kv_operation_check(&operation) != KV_OK ||
        operation.key.size > SIM_MODEL_KEY_SIZE) {
        return false;
    }
    *result_hash = hash_at(model, op_number, operation.key);
    return true;
}

static void put(struct sim_model *model, struct kv_bytes key, struct kv_bytes value)
{
    struct sim_model_cell *cell = find(model, key);
    if (cell == NULL) {
        const uint32_t at = place_of(model, key);
        INVARIANT(model->cell_count < SIM_MODEL_KEYS_MAX);
        INVARIANT(key.size <= SIM_MODEL_KEY_SIZE);
        cell = &model->cells[at];
        memmove(cell + 1, cell, (model->cell_count - at) * sizeof *cell);
        model->cell_count++;
        *cell = (struct sim_model_cell){.key_size = (uint32_t)key.size};
        memcpy(cell->key, key.bytes, key.size);
    }
    free(cell->value);
    cell->value = sim_allocate(value.size + 1);
    cell->value_size = (uint32_t)value.size;
    if (value.size > 0) {
        memcpy(cell->value, value.bytes, value.size);
    }
    note_version(model, key);
}

static void drop(struct sim_model *model, struct sim_model_cell *cell)
{
    free(cell->value);
    model->cell_count--;
    memmove(cell, cell + 1, (size_t)(&model->cells[model->cell_count] - cell) * sizeof *cell);
}

static bool holds(const struct sim_model_cell *cell, struct kv_bytes value)
{
    return cell->value_size == value.size &&
           (value.size == 0 || memcmp(cell->value, value.bytes, value.size) == 0);
}

static struct kv_result cas(struct sim_model *model, const struct kv_operation *operation)
{
    const struct sim_model_cell *cell = find(model, operation->key);
    if (cell == NULL && !operation->expect_absent) {
        return (struct kv_result){.status = KV_NOT_FOUND};
    }
    if (cell != NULL && (operation->expect_absent || !holds(cell, operation->expected))) {
        return (struct kv_result){.status = KV_MISMATCH};
    }
    put(model, operation->key, operation->value);
    return (struct kv_result){.status = KV_OK};
}

/* Only the text that a number is printed as is a number. */
static bool parse_number(const struct sim_model_cell *cell, int64_t *number)
{
    char text[32] = "";
    char again[32];
    if (cell->value_size == 0 || cell->value_size > 20) {
        return false;
    }
    memcpy(text, cell->value, cell->value_size);
    *number = strtoll(text, NULL, 10);
    (void)snprintf(again, sizeof again, "%" PRId64, *number);
    return strcmp(text, again) == 0;
}

static struct kv_result incr(struct sim_model *model, const struct kv_operation *operation)
{
    const struct sim_model_cell *cell = find(model, operation->key);
    int64_t number = 0;
    if (cell != NULL && !parse_number(cell, &number)) {
        return (struct kv_result){.status = KV_NOT_A_NUMBER};
    }
    if (__builtin_add_overflow(number, operation->by, &number)) {
        return (struct kv_result){.status = KV_OVERFLOW};
    }
    char text[32];
    const int size = snprintf(text, sizeof text, "%" PRId64, number);
    put(model, operation->key, (struct kv_bytes){(const uint8_t *)text, (size_t)size});
    return (struct kv_result){.status = KV_OK, .number = number};
}

static bool has_prefix(const struct sim_model_cell *cell, struct kv_bytes prefix)
{
    return cell->key_size >= prefix.size &&
           (prefix.size == 0 || memcmp(cell->key, prefix.bytes, prefix.size) == 0);
}

static struct kv_result scan(const struct sim_model *model, const struct kv_operation *operation,
                             struct kv_pair pairs[SIM_MODEL_KEYS_MAX])
{
    struct kv_result result = {.status = KV_OK, .pairs = pairs};
    for (uint32_t at = 0; at < model->cell_count; at++) {
        const struct sim_model_cell *cell = &model->cells[at];
        if (!has_prefix(cell, operation->key) ||
            (operation->has_after && compare(operation->after, cell) >= 0)) {
            continue;
        }
        if (operation->limit != 0 && result.pair_count == operation->limit) {
            result.more = true;
            break;
        }
        pairs[result.pair_count++] = (struct kv_pair){
            .key = {cell->key, cell->key_size},
            .value = {cell->value, cell->value_size},
        };
    }
    return result;
}

static struct kv_result execute(struct sim_model *model, const struct kv_operation *operation,
                                struct kv_pair pairs[SIM_MODEL_KEYS_MAX])
{
    struct sim_model_cell *cell = operation->kind == KV_SCAN ? NULL : find(model, operation->key);
    switch (operation->kind) {
    case KV_GET:
        if (cell == NULL) {
            return (struct kv_result){.status = KV_NOT_FOUND};
        }
        return (struct kv_result){.status = KV_OK, .value = {cell->value, cell->value_size}};
    case KV_SET:
        put(model, operation->key, operation->value);
        return (struct kv_result){.status = KV_OK};
    case KV_DEL:
        if (cell == NULL) {
            return (struct kv_result){.status = KV_NOT_FOUND};
        }
        drop(model, cell);
        note_version(model, operation->key);
        return (struct kv_result){.status = KV_OK};
    case KV_CAS:
        return cas(model, operation);
    case KV_INCR:
        return incr(model, operation);
    case KV_SCAN:
        return scan(model, operation, pairs);
    }
    return (struct kv_result){.status = KV_MALFORMED};
}

size_t sim_model_kv(struct sim_model *model, const uint8_t *bytes, size_t size, uint8_t *out,
                    bool *is_read)
{
    struct arena arena;
    struct kv_operation operation;
    struct kv_pair pairs[SIM_MODEL_KEYS_MAX];
    struct kv_result result = {.status = KV_MALFORMED};
    arena_init(&arena, sim_memory_room(&model->arena, KV_ARENA_SIZE), KV_ARENA_SIZE);
    *is_read = false;
    if (kv_operation_decode(bytes, size, &arena, &operation)) {
        result.status = kv_operation_check(&operation);
        if (result.status == KV_OK) {
            result = execute(model, &operation, pairs);
            *is_read = operation.kind == KV_GET || operation.kind == KV_SCAN;
        }
    }
    const size_t written = kv_result_encode(&result, &arena, out, RESULT_SIZE_MAX);
    INVARIANT(written > 0);
    return written;
}
