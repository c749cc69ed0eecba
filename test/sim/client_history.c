/* SPDX-License-Identifier: Apache-2.0 */
#include "test/sim/client_history.h"

#include <stdlib.h>

#include "common/base/invariant.h"

void sim_client_history_reset(struct sim_client_history *history)
{
    if (history->search == NULL) {
        history->search = linear_create();
    }
    history->count = 0;
}

void sim_client_history_free(struct sim_client_history *history)
{
    linear_destroy(history->search);
    sim_memory_free(&history->arena);
    free(history->operations);
    *history = (struct sim_client_history){0};
}

static struct linear_operation *append(struct sim_client_history *history,
                                       const struct sim_seen *seen, struct kv_bytes key)
{
    if (history->count == history->capacity) {
        history->capacity = 2 * history->capacity + 1024;
        history->operations =
            realloc(history->operations, history->capacity * sizeof *history->operations);
        INVARIANT(history->operations != NULL);
    }
    struct linear_operation *operation = &history->operations[history->count++];
    *operation = (struct linear_operation){
        .key = cell_key(key.bytes, key.size),
        .client = seen->client,
        .invoked_ns = seen->invoked_ns,
        .returned_ns = seen->returned_ns,
        .hint = seen->op_number,
        .operation.verb = KV_GET,
    };
    return operation;
}

static void add_pairs(struct sim_client_history *history, const struct sim_seen *seen,
                      const struct kv_result *result)
{
    for (uint32_t i = 0; i < result->pair_count; i++) {
        const struct kv_bytes value = result->pairs[i].value;
        append(history, seen, result->pairs[i].key)->result =
            (struct cell_result){KV_OK, cell_text(value.bytes, value.size)};
    }
}

bool sim_client_history_add(struct sim_client_history *history, const struct sim_seen *seen)
{
    struct arena arena;
    struct kv_operation operation;
    struct kv_result result = {.status = KV_OK};
    arena_init(&arena, sim_memory_room(&history->arena, 2 * KV_ARENA_SIZE), 2 * KV_ARENA_SIZE);
    const bool encoded =
        kv_operation_decode(seen->operation, seen->operation_size, &arena, &operation);
    INVARIANT(encoded);
    if (kv_operation_check(&operation) != KV_OK) {
        return true; /* it changes nothing, whatever the state; I4 has seen its answer */
    }
    const bool unknown = seen->returned_ns == LINEAR_UNKNOWN;
    if (!unknown && !kv_result_decode(seen->result, seen->result_size, &arena, &result)) {
        return false;
    }
    if (operation.kind == KV_SCAN) {
        add_pairs(history, seen, &result);
        return true;
    }
    struct linear_operation *added = append(history, seen, operation.key);
    added->operation = cell_operation(&operation);
    added->result = unknown ? (struct cell_result){0} : cell_result(&operation, &result);
    return true;
}

struct linear_verdict sim_client_history_judge(struct sim_client_history *history, uint64_t *keys,
                                               uint64_t *undecided)
{
    const struct linear_verdict verdict = linear_check(
        history->search, history->operations, history->count, SIM_HISTORY_STEPS_MAX, undecided);
    *keys = 0;
    for (size_t i = 0; i < history->count; i++) {
        *keys += i == 0 || history->operations[i - 1].key != history->operations[i].key ? 1 : 0;
    }
    return verdict;
}
