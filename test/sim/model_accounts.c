/* SPDX-License-Identifier: Apache-2.0 */
/* Accounts, from the description in test/support/accounts.h and by no code of it. */
#include "common/base/bytes.h"
#include "test/sim/model.h"
#include "test/support/accounts.h"

static size_t say(uint8_t *result, enum accounts_status status, uint64_t number)
{
    result[0] = (uint8_t)status;
    bytes_put_u64(result + 1, number);
    return 9;
}

size_t sim_model_accounts(struct sim_model *model, const uint8_t *operation, size_t size,
                          uint8_t *result, bool *is_read)
{
    *is_read = false;
    if (size != 20) {
        return say(result, ACCOUNTS_MALFORMED, 0);
    }
    const uint8_t kind = operation[0];
    const uint32_t from = bytes_get_u32(operation + 4);
    const uint32_t to = bytes_get_u32(operation + 8);
    const uint64_t amount = bytes_get_u64(operation + 12);
    *is_read = kind == ACCOUNTS_BALANCE || kind == ACCOUNTS_TOTAL;
    if (kind == ACCOUNTS_TOTAL) {
        uint64_t total = 0;
        for (uint32_t i = 0; i < model->balance_count; i++) {
            total += model->balances[i];
        }
        return say(result, ACCOUNTS_OK, total);
    }
    if (from >= model->balance_count || (kind == ACCOUNTS_TRANSFER && to >= model->balance_count)) {
        return say(result, ACCOUNTS_UNKNOWN, 0);
    }
    if (kind == ACCOUNTS_TRANSFER && amount > model->balances[from]) {
        return say(result, ACCOUNTS_INSUFFICIENT, model->balances[from]);
    }
    if (kind == ACCOUNTS_TRANSFER) {
        model->balances[from] -= amount;
        model->balances[to] += amount;
    }
    return say(result, ACCOUNTS_OK, model->balances[from]);
}
