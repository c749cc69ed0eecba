/* SPDX-License-Identifier: Apache-2.0 */
#include "test/sim/model.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/invariant.h"
#include "test/sim/applications.h"
#include "test/sim/memory.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

uint64_t sim_result_hash(const uint8_t *result, size_t size)
{
    return XXH3_64bits(result, size);
}

static void cells_clear(struct sim_model *model)
{
    for (uint32_t i = 0; i < model->cell_count; i++) {
        free(model->cells[i].value);
    }
    model->cell_count = 0;
    model->version_count = 0;
}

void sim_model_reset(struct sim_model *model, const struct sim_options *options,
                     uint32_t reply_stored_max)
{
    if (model->result == NULL) {
        model->result = sim_allocate(RESULT_SIZE_MAX);
    }
    cells_clear(model);
    model->application = options->application;
    model->sessions_max = options->sessions_max;
    model->reply_stored_max = reply_stored_max;
    memset(model->sessions, 0, sizeof model->sessions);
    model->session_count = 0;
    model->executed_op = 0;
    model->evictions = 0;
    model->balance_count = options->key_count;
    for (uint32_t i = 0; i < model->balance_count; i++) {
        model->balances[i] = SIM_ACCOUNTS_BALANCE;
    }
    INVARIANT(options->sessions_max <= SIM_MODEL_SESSIONS_MAX);
    INVARIANT(options->key_count <= SIM_MODEL_KEYS_MAX);
}

void sim_model_free(struct sim_model *model)
{
    cells_clear(model);
    sim_memory_free(&model->arena);
    sim_memory_free(&model->versions_arena);
    sim_memory_free(&model->encoded);
    free(model->outcomes);
    free(model->versions);
    free(model->result);
    *model = (struct sim_model){0};
}

/* ---- the client table, by the letter of C1 to C4 ---- */

static struct sim_model_session *find_session(struct sim_model *model, const struct entry *entry)
{
    for (uint32_t i = 0; i < model->session_count; i++) {
        struct sim_model_session *session = &model->sessions[i];
        if (session->session == entry->session &&
            client_id_equal(session->client_id, entry->client_id)) {
            return session;
        }
    }
    return NULL;
}

static void evict_oldest(struct sim_model *model)
{
    uint32_t oldest = 0;
    for (uint32_t i = 1; i < model->session_count; i++) {
        if (model->sessions[i].last_op < model->sessions[oldest].last_op) {
            oldest = i;
        }
    }
    model->sessions[oldest] = model->sessions[--model->session_count];
    model->evictions++;
}

static uint64_t register_client(struct sim_model *model, const struct entry *entry)
{
    for (uint32_t i = 0; i < model->session_count; i++) {
        if (client_id_equal(model->sessions[i].client_id, entry->client_id)) {
            return model->sessions[i].session;
        }
    }
    if (model->session_count == model->sessions_max) {
        evict_oldest(model);
    }
    model->sessions[model->session_count++] = (struct sim_model_session){
        .client_id = entry->client_id,
        .session = entry->op_number,
        .last_op = entry->op_number,
    };
    return entry->op_number;
}

/* ---- entries ---- */

static size_t ask_application(struct sim_model *model, const struct entry *entry, bool *is_read)
{
    return model->application == SIM_APPLICATION_KV
               ? sim_model_kv(model, entry->body, entry->body_size, model->result, is_read)
               : sim_model_accounts(model, entry->body, entry->body_size, model->result, is_read);
}

static void execute_operation(struct sim_model *model, const struct entry *entry,
                              struct sim_outcome *outcome)
{
    struct sim_model_session *session = find_session(model, entry);
    const uint64_t checksum = operation_checksum(entry->kind, entry->body, entry->body_size);
    if (session == NULL) {
        outcome->status = REPLY_SESSION_EXPIRED;
        return;
    }
    if (entry->request_number < session->request_number) {
        outcome->status = REPLY_SUPERSEDED;
        return;
    }
    const bool repeated = entry->request_number == session->request_number;
    if (repeated && checksum != session->operation_checksum) {
        outcome->status = REPLY_PAYLOAD_MISMATCH;
        return;
    }
    if (repeated && !session->executed_anew) {
        *outcome = model->outcomes[session->last_op];
        return;
    }
    bool is_read;
    const size_t size = ask_application(model, entry, &is_read);
    outcome->result_hash = sim_result_hash(model->result, size);
    outcome->executed_anew = size > model->reply_stored_max;
    INVARIANT(is_read || !outcome->executed_anew);
    if (!repeated) {
        session->request_number = entry->request_number;
        session->operation_checksum = checksum;
        session->last_op = entry->op_number;
        session->executed_anew = outcome->executed_anew;
    }
}

static void execute_unregister(struct sim_model *model, const struct entry *entry,
                               struct sim_outcome *outcome)
{
    struct sim_model_session *session = find_session(model, entry);
    if (session == NULL) {
        outcome->status = REPLY_SESSION_EXPIRED;
        return;
    }
    *session = model->sessions[--model->session_count];
}

void sim_model_execute(struct sim_model *model, const struct entry *entry)
{
    INVARIANT(entry->op_number == model->executed_op + 1);
    model->executed_op++;
    if (model->executed_op >= model->outcome_capacity) {
        model->outcome_capacity = 2 * model->outcome_capacity + 4096;
        model->outcomes =
            realloc(model->outcomes, model->outcome_capacity * sizeof *model->outcomes);
        INVARIANT(model->outcomes != NULL);
    }
    struct sim_outcome outcome = {
        .status = REPLY_OK,
        .session = entry->session,
        .result_hash = sim_result_hash(NULL, 0),
    };
    switch (entry->kind) {
    case ENTRY_OPERATION:
        execute_operation(model, entry, &outcome);
        break;
    case ENTRY_REGISTER:
        outcome.session = register_client(model, entry);
        break;
    case ENTRY_UNREGISTER:
        execute_unregister(model, entry, &outcome);
        break;
    }
    model->outcomes[model->executed_op] = outcome;
}

const struct sim_outcome *sim_model_outcome(const struct sim_model *model, uint64_t op_number)
{
    return op_number == 0 || op_number > model->executed_op ? NULL : &model->outcomes[op_number];
}
