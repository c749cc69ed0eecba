/* SPDX-License-Identifier: Apache-2.0 */
#include "test/support/accounts.h"

#include <string.h>

#include "common/base/bytes.h"
#include "common/base/digest.h"
#include "common/base/invariant.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

struct accounts_operation {
    uint8_t kind;
    uint32_t from;
    uint32_t to;
    uint64_t amount;
};

static struct checksum account_checksum(uint32_t index, uint64_t balance)
{
    const uint64_t words[2] = {index, balance};
    const XXH128_hash_t hash = XXH3_128bits(words, sizeof words);
    return (struct checksum){hash.low64, hash.high64};
}

static struct checksum books_digest(const struct accounts *accounts)
{
    struct checksum sum = {0, 0};
    for (uint32_t i = 0; i < accounts->count; i++) {
        sum = digest_add(sum, account_checksum(i, accounts->balances[i]));
    }
    return sum;
}

void accounts_init(struct accounts *accounts, uint32_t count, uint64_t opening_balance)
{
    INVARIANT(count > 0);
    INVARIANT(count <= ACCOUNTS_MAX);
    INVARIANT(opening_balance <= UINT64_MAX / ACCOUNTS_MAX);
    *accounts = (struct accounts){.count = count, .opening_balance = opening_balance};
    for (uint32_t i = 0; i < count; i++) {
        accounts->balances[i] = opening_balance;
    }
    accounts->digest = books_digest(accounts);
}

/* --- operations --- */

static size_t operation_encode(uint8_t *bytes, const struct accounts_operation *operation)
{
    memset(bytes, 0, ACCOUNTS_OPERATION_SIZE);
    bytes[0] = operation->kind;
    bytes_put_u32(bytes + 4, operation->from);
    bytes_put_u32(bytes + 8, operation->to);
    bytes_put_u64(bytes + 12, operation->amount);
    return ACCOUNTS_OPERATION_SIZE;
}

static bool operation_decode(const uint8_t *bytes, size_t size,
                             struct accounts_operation *operation)
{
    if (size != ACCOUNTS_OPERATION_SIZE || (bytes[1] | bytes[2] | bytes[3]) != 0) {
        return false;
    }
    *operation = (struct accounts_operation){
        .kind = bytes[0],
        .from = bytes_get_u32(bytes + 4),
        .to = bytes_get_u32(bytes + 8),
        .amount = bytes_get_u64(bytes + 12),
    };
    switch (operation->kind) {
    case ACCOUNTS_TRANSFER:
        return true;
    case ACCOUNTS_BALANCE:
        return operation->to == 0 && operation->amount == 0;
    case ACCOUNTS_TOTAL:
        return operation->from == 0 && operation->to == 0 && operation->amount == 0;
    default:
        return false;
    }
}

size_t accounts_transfer(uint8_t *operation, uint32_t from, uint32_t to, uint64_t amount)
{
    return operation_encode(operation,
                            &(struct accounts_operation){ACCOUNTS_TRANSFER, from, to, amount});
}

size_t accounts_balance(uint8_t *operation, uint32_t account)
{
    return operation_encode(
        operation, &(struct accounts_operation){.kind = ACCOUNTS_BALANCE, .from = account});
}

size_t accounts_total(uint8_t *operation)
{
    return operation_encode(operation, &(struct accounts_operation){.kind = ACCOUNTS_TOTAL});
}

size_t accounts_random(struct prng *prng, uint32_t count, uint8_t *operation)
{
    const uint32_t from = (uint32_t)prng_below(prng, count);
    switch (prng_below(prng, 10)) {
    case 0:
        return accounts_balance(operation, from);
    case 1:
        return accounts_total(operation);
    case 2:
        return accounts_transfer(operation, from, count + (uint32_t)prng_below(prng, 3), 1);
    case 3:
        return accounts_transfer(operation, from, (uint32_t)prng_below(prng, count),
                                 prng_next(prng));
    default:
        return accounts_transfer(operation, from, (uint32_t)prng_below(prng, count),
                                 prng_below(prng, 100));
    }
}

/* --- results --- */

static size_t result_encode(uint8_t *bytes, enum accounts_status status, uint64_t number)
{
    bytes[0] = (uint8_t)status;
    bytes_put_u64(bytes + 1, number);
    return ACCOUNTS_RESULT_SIZE;
}

bool accounts_result_decode(const uint8_t *bytes, size_t size, struct accounts_result *result)
{
    if (size != ACCOUNTS_RESULT_SIZE || bytes[0] < ACCOUNTS_OK || bytes[0] > ACCOUNTS_MALFORMED) {
        return false;
    }
    result->status = (enum accounts_status)bytes[0];
    result->number = bytes_get_u64(bytes + 1);
    return true;
}

/* --- the application --- */

static void balance_set(struct accounts *accounts, uint32_t index, uint64_t balance)
{
    accounts->digest =
        digest_subtract(accounts->digest, account_checksum(index, accounts->balances[index]));
    accounts->balances[index] = balance;
    accounts->digest = digest_add(accounts->digest, account_checksum(index, balance));
}

static uint64_t books_total(const struct accounts *accounts)
{
    uint64_t total = 0;
    for (uint32_t i = 0; i < accounts->count; i++) {
        total += accounts->balances[i];
    }
    return total;
}

static size_t execute_transfer(struct accounts *accounts,
                               const struct accounts_operation *operation, uint8_t *result)
{
    if (operation->from >= accounts->count || operation->to >= accounts->count) {
        return result_encode(result, ACCOUNTS_UNKNOWN, 0);
    }
    const uint64_t balance = accounts->balances[operation->from];
    if (operation->amount > balance) {
        return result_encode(result, ACCOUNTS_INSUFFICIENT, balance);
    }
    balance_set(accounts, operation->from, balance - operation->amount);
    balance_set(accounts, operation->to, accounts->balances[operation->to] + operation->amount);
    accounts->transfers++;
    return result_encode(result, ACCOUNTS_OK, accounts->balances[operation->from]);
}

static size_t app_execute(void *state, const struct app_context *context, const uint8_t *bytes,
                          size_t size, uint8_t *result)
{
    struct accounts *accounts = state;
    struct accounts_operation operation;
    (void)context;
    if (!operation_decode(bytes, size, &operation)) {
        return result_encode(result, ACCOUNTS_MALFORMED, 0);
    }
    switch (operation.kind) {
    case ACCOUNTS_TRANSFER:
        return execute_transfer(accounts, &operation, result);
    case ACCOUNTS_BALANCE:
        if (operation.from >= accounts->count) {
            return result_encode(result, ACCOUNTS_UNKNOWN, 0);
        }
        return result_encode(result, ACCOUNTS_OK, accounts->balances[operation.from]);
    default:
        return result_encode(result, ACCOUNTS_OK, books_total(accounts));
    }
}

static bool app_is_read(void *state, const uint8_t *bytes, size_t size)
{
    struct accounts_operation operation;
    (void)state;
    return operation_decode(bytes, size, &operation) && operation.kind != ACCOUNTS_TRANSFER;
}

static struct checksum app_digest(void *state)
{
    const struct accounts *accounts = state;
    const uint64_t words[3] = {accounts->digest.low, accounts->digest.high, accounts->transfers};
    const XXH128_hash_t hash = XXH3_128bits(words, sizeof words);
    return (struct checksum){hash.low64, hash.high64};
}

static uint64_t app_state_size(void *state)
{
    return sizeof(uint64_t) * ((const struct accounts *)state)->count;
}

/* --- cuts --- */

enum { ACCOUNTS_CUT_FORMAT = 1 };

static size_t cut_size(const struct accounts *accounts)
{
    return 16 + (size_t)accounts->count * 8;
}

static void app_cut_begin(void *state)
{
    struct accounts *accounts = state;
    bytes_put_u32(accounts->cut, ACCOUNTS_CUT_FORMAT);
    bytes_put_u32(accounts->cut + 4, accounts->count);
    bytes_put_u64(accounts->cut + 8, accounts->transfers);
    for (uint32_t i = 0; i < accounts->count; i++) {
        bytes_put_u64(accounts->cut + 16 + (size_t)i * 8, accounts->balances[i]);
    }
    accounts->cut_size = cut_size(accounts);
    accounts->cut_done = 0;
}

static bool app_cut(void *state, uint8_t *out, size_t capacity, size_t *size)
{
    struct accounts *accounts = state;
    const size_t left = accounts->cut_size - accounts->cut_done;
    *size = left < capacity ? left : capacity;
    memcpy(out, accounts->cut + accounts->cut_done, *size);
    accounts->cut_done += *size;
    return accounts->cut_done < accounts->cut_size;
}

static void app_cut_abandon(void *state)
{
    (void)state; /* the next cut writes over it */
}

static void app_load_begin(void *state)
{
    struct accounts *accounts = state;
    accounts_init(accounts, accounts->count, accounts->opening_balance);
}

static bool app_load(void *state, const uint8_t *bytes, size_t size)
{
    struct accounts *accounts = state;
    if (size > cut_size(accounts) - accounts->cut_size) {
        return false;
    }
    memcpy(accounts->cut + accounts->cut_size, bytes, size);
    accounts->cut_size += size;
    return true;
}

static bool app_load_end(void *state)
{
    struct accounts *accounts = state;
    if (accounts->cut_size != cut_size(accounts) ||
        bytes_get_u32(accounts->cut) != ACCOUNTS_CUT_FORMAT ||
        bytes_get_u32(accounts->cut + 4) != accounts->count) {
        return false;
    }
    accounts->transfers = bytes_get_u64(accounts->cut + 8);
    for (uint32_t i = 0; i < accounts->count; i++) {
        accounts->balances[i] = bytes_get_u64(accounts->cut + 16 + (size_t)i * 8);
    }
    accounts->digest = books_digest(accounts);
    return true;
}

struct app accounts_app(struct accounts *accounts)
{
    return (struct app){
        .state = accounts,
        .is_quick = true,
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

/* --- checks --- */

const char *accounts_check(const struct accounts *accounts)
{
    if (books_total(accounts) != accounts->opening_balance * accounts->count) {
        return "money was made or lost";
    }
    if (!checksum_equal(accounts->digest, books_digest(accounts))) {
        return "the digest is not that of the balances";
    }
    return NULL;
}

const char *accounts_check_answer(uint32_t count, uint64_t opening_balance,
                                  const uint8_t *operation, size_t operation_size,
                                  const uint8_t *result, size_t result_size)
{
    struct accounts_operation asked;
    struct accounts_result answer;
    if (!accounts_result_decode(result, result_size, &answer)) {
        return "the answer is no result of this application";
    }
    if (!operation_decode(operation, operation_size, &asked)) {
        return answer.status == ACCOUNTS_MALFORMED ? NULL : "a malformed operation was accepted";
    }
    const uint64_t total = opening_balance * count;
    if (answer.number > total) {
        return "a balance is above all the money there is";
    }
    if (asked.kind == ACCOUNTS_TOTAL && answer.number != total) {
        return "the total is not what was opened";
    }
    const bool unknown = asked.from >= count || asked.to >= count;
    return unknown == (answer.status == ACCOUNTS_UNKNOWN) ? NULL : "an account that is not there";
}
