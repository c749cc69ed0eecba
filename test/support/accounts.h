/* SPDX-License-Identifier: Apache-2.0 */
/* accounts.h - a second application behind server/app/app.h: accounts with transfers.
 *
 * It proves that VR knows nothing of keys and values, and it has an invariant of its own: money
 * moves and is never made or lost. An operation lost, repeated or torn apart somewhere between
 * client and application shows in the sum, or in the count of transfers.
 *
 * Operations and results are fixed bytes, little-endian:
 *
 *     operation   0 kind u8 | 1 zero 3 | 4 from u32 | 8 to u32 | 12 amount u64
 *     result      0 status u8 | 1 number u64
 *
 * number is the balance of `from` after a transfer, the balance asked for, or the total.
 *
 * A cut is small, so it is copied when it begins: format u32, count u32, transfers u64, the
 * balances u64 each.
 *
 * Threads: one caller at a time. Memory: none but the struct. */
#ifndef VR_TEST_ACCOUNTS_H
#define VR_TEST_ACCOUNTS_H

#include "common/base/prng.h"
#include "server/app/app.h"

enum {
    ACCOUNTS_MAX = 256,
    ACCOUNTS_OPERATION_SIZE = 20,
    ACCOUNTS_RESULT_SIZE = 9,
    ACCOUNTS_CUT_MAX = 16 + ACCOUNTS_MAX * 8,
};

enum accounts_kind {
    ACCOUNTS_TRANSFER = 1,
    ACCOUNTS_BALANCE = 2, /* a read; `to` and amount are 0 */
    ACCOUNTS_TOTAL = 3,   /* a read; from, to and amount are 0 */
};

enum accounts_status {
    ACCOUNTS_OK = 1,
    ACCOUNTS_INSUFFICIENT = 2, /* nothing moved */
    ACCOUNTS_UNKNOWN = 3,      /* no such account */
    ACCOUNTS_MALFORMED = 4,
};

struct accounts {
    uint32_t count;
    uint64_t opening_balance; /* of each */
    uint64_t transfers;       /* that moved money */
    uint64_t balances[ACCOUNTS_MAX];
    struct checksum digest;        /* sum over (index, balance) */
    uint8_t cut[ACCOUNTS_CUT_MAX]; /* under way, or being loaded */
    size_t cut_size;
    size_t cut_done;
};

void accounts_init(struct accounts *accounts, uint32_t count, uint64_t opening_balance);
struct app accounts_app(struct accounts *accounts);

/* Write an operation of ACCOUNTS_OPERATION_SIZE bytes and return that. */
size_t accounts_transfer(uint8_t *operation, uint32_t from, uint32_t to, uint64_t amount);
size_t accounts_balance(uint8_t *operation, uint32_t account);
size_t accounts_total(uint8_t *operation);

/* A random operation over `count` accounts: mostly transfers, some of them of too much or to
 * nobody, some reads. */
size_t accounts_random(struct prng *prng, uint32_t count, uint8_t *operation);

struct accounts_result {
    enum accounts_status status;
    uint64_t number;
};

/* False if the bytes are no result. */
bool accounts_result_decode(const uint8_t *bytes, size_t size, struct accounts_result *result);

/* What is wrong with the books, or NULL: the sum is what was opened, the digest that of the
 * balances.
 */
const char *accounts_check(const struct accounts *accounts);

/* What is wrong with one answer to one operation, taken alone, or NULL: a total that is not the
 * opened sum, a balance above it. */
const char *accounts_check_answer(uint32_t count, uint64_t opening_balance,
                                  const uint8_t *operation, size_t operation_size,
                                  const uint8_t *result, size_t result_size);

#endif
