/* SPDX-License-Identifier: Apache-2.0 */
/* model.h - what the order of the log must yield, worked out by other code than the replicas run:
 * the client table by the letter of C1 to C4, the applications by their description.
 *
 * Fed with every entry as it is first committed; small and slow on purpose. */
#ifndef VR_SIM_MODEL_H
#define VR_SIM_MODEL_H

#include "common/base/entry.h"
#include "common/base/message.h"
#include "test/sim/memory.h"
#include "test/sim/options.h"

/* What executing the entry at one op must answer. */
struct sim_outcome {
    enum reply_status status;
    uint64_t session;
    uint64_t result_hash;
    bool executed_anew; /* asked again, it would be executed again: a read with a large result */
};

struct sim_model_session {
    struct client_id client_id;
    uint64_t session; /* 0: free */
    uint64_t request_number;
    uint64_t operation_checksum;
    uint64_t last_op;   /* last executed: the smallest is evicted (C4) */
    bool executed_anew; /* its last request is a read whose result was too large to keep (C3) */
};

/* What a get of one key yields from some op on. */
struct sim_model_version {
    uint64_t op_number;
    uint64_t result_hash;
    uint32_t key_size;
    uint8_t key[32];
};

/* An operation's bytes. */
struct sim_asked {
    const uint8_t *operation;
    size_t size;
};

enum { SIM_MODEL_SESSIONS_MAX = 256, SIM_MODEL_KEYS_MAX = 128, SIM_MODEL_KEY_SIZE = 32 };

/* One key of the key-value store. */
struct sim_model_cell {
    uint8_t key[SIM_MODEL_KEY_SIZE];
    uint32_t key_size;
    uint8_t *value;
    uint32_t value_size;
};

struct sim_model {
    enum sim_application application;
    uint32_t sessions_max;
    uint32_t reply_stored_max;
    struct sim_model_session sessions[SIM_MODEL_SESSIONS_MAX];
    uint32_t session_count;
    struct sim_model_cell cells[SIM_MODEL_KEYS_MAX]; /* sorted by key */
    uint32_t cell_count;
    struct sim_model_version *versions; /* by op: of every key, whenever it changed */
    size_t version_count;
    size_t version_capacity;
    uint64_t balances[SIM_MODEL_KEYS_MAX];
    uint32_t balance_count;
    struct sim_outcome *outcomes; /* [op] */
    size_t outcome_capacity;
    uint64_t executed_op;
    uint64_t evictions;
    struct sim_memory arena; /* for decoding */
    struct sim_memory versions_arena;
    struct sim_memory encoded;
    uint8_t *result; /* RESULT_SIZE_MAX bytes */
};

void sim_model_reset(struct sim_model *model, const struct sim_options *options,
                     uint32_t reply_stored_max);
void sim_model_free(struct sim_model *model);

/* The entry at executed_op + 1. */
void sim_model_execute(struct sim_model *model, const struct entry *entry);

/* NULL above executed_op. */
const struct sim_outcome *sim_model_outcome(const struct sim_model *model, uint64_t op_number);

/* What reading from the state behind an op must yield; false: the model cannot tell, for it
 * remembers old states of single keys only. */
bool sim_model_read(struct sim_model *model, uint64_t op_number, const struct sim_asked *asked,
                    uint64_t *result_hash);

/* The applications, by their description. Each executes one operation, writes the result and says
 * whether the operation only reads. model_kv.c, model_accounts.c. */
size_t sim_model_kv(struct sim_model *model, const uint8_t *operation, size_t size, uint8_t *result,
                    bool *is_read);
size_t sim_model_accounts(struct sim_model *model, const uint8_t *operation, size_t size,
                          uint8_t *result, bool *is_read);

/* Names a result, so that outcomes need not keep it. */
uint64_t sim_result_hash(const uint8_t *result, size_t size);

#endif
