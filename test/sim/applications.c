/* SPDX-License-Identifier: Apache-2.0 */
#include "test/sim/applications.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/invariant.h"
#include "common/wire/kv_codec.h"
#include "server/app/kv.h"
#include "test/support/accounts.h"

void sim_application_start(struct sim_application_tap *tap, const struct sim_options *options)
{
    if (options->application == SIM_APPLICATION_KV) {
        tap->kv = kv_create();
        tap->inner = kv_app(tap->kv);
    } else {
        accounts_init(&tap->accounts, options->key_count, SIM_ACCOUNTS_BALANCE);
        tap->inner = accounts_app(&tap->accounts);
    }
}

void sim_application_stop(struct sim_application_tap *tap)
{
    if (tap->kv != NULL) {
        kv_destroy(tap->kv);
        tap->kv = NULL;
    }
}

const char *sim_application_check(const struct sim_application_tap *tap)
{
    return tap->kv == NULL ? accounts_check(&tap->accounts) : NULL;
}

/* ---- operations ---- */

static struct kv_bytes make_key(char text[16], uint64_t number)
{
    const int size = snprintf(text, 16, "key%03" PRIu64, number);
    return (struct kv_bytes){(const uint8_t *)text, (size_t)size};
}

/* Unique, so that a wrong answer shows; of any size up to the option's. */
static struct kv_bytes make_value(const struct sim_options *options, struct prng *prng,
                                  uint64_t unique, uint8_t *bytes)
{
    const uint64_t size = prng_below(prng, (uint64_t)options->value_size_max + 1);
    char text[32];
    const int written = snprintf(text, sizeof text, "v%" PRIu64 "-", unique);
    memset(bytes, 'a' + (int)(unique % 26), size);
    memcpy(bytes, text, size < (uint64_t)written ? size : (uint64_t)written);
    return (struct kv_bytes){bytes, size};
}

static struct kv_bytes make_number(struct prng *prng, uint8_t *bytes)
{
    const int size = snprintf((char *)bytes, 16, "%" PRIu64, prng_below(prng, 1000));
    return (struct kv_bytes){bytes, (size_t)size};
}

static struct kv_operation draw_operation(const struct sim_options *options, struct prng *prng,
                                          uint64_t unique, struct kv_bytes key,
                                          uint8_t value[2][SIM_VALUE_MAX])
{
    const uint64_t kind = prng_below(prng, 100);
    if (kind < 30) {
        return (struct kv_operation){.kind = KV_GET, .key = key};
    }
    if (kind < 55) {
        return (struct kv_operation){
            .kind = KV_SET,
            .key = key,
            .value = make_value(options, prng, unique, value[0]),
        };
    }
    if (kind < 60) {
        return (struct kv_operation){
            .kind = KV_SET, .key = key, .value = make_number(prng, value[0])};
    }
    if (kind < 68) {
        return (struct kv_operation){.kind = KV_DEL, .key = key};
    }
    if (kind < 80) {
        const bool expect_absent = prng_chance(prng, 1, 2);
        struct kv_operation cas = {
            .kind = KV_CAS,
            .key = key,
            .value = make_number(prng, value[0]),
            .expect_absent = expect_absent,
        };
        if (!expect_absent) {
            cas.expected = make_number(prng, value[1]);
        }
        return cas;
    }
    if (kind < 92) {
        return (struct kv_operation){
            .kind = KV_INCR,
            .key = key,
            .by = prng_chance(prng, 1, 20) ? INT64_MAX : (int64_t)prng_below(prng, 100) - 50,
        };
    }
    if (kind < 99) {
        /* One draw after the other: the order within an initialiser is the compiler's. */
        const size_t prefix_size = prng_below(prng, key.size);
        /* The model knows no pages, so what is asked for fits one. */
        const uint64_t fitting = options->value_size_max > 100000 ? 3 : 8;
        const uint32_t limit = (uint32_t)prng_between(prng, 1, fitting);
        const bool has_after = prng_chance(prng, 1, 2);
        return (struct kv_operation){
            .kind = KV_SCAN,
            .key = {key.bytes, prefix_size},
            .limit = limit,
            .has_after = has_after,
            .after = key,
        };
    }
    return (struct kv_operation){.kind = KV_SET, .key = {key.bytes, 0}}; /* an empty key */
}

static size_t make_kv(const struct sim_options *options, struct prng *prng, uint64_t unique,
                      uint8_t *bytes, bool *is_read)
{
    char key[16];
    static uint8_t value[2][SIM_VALUE_MAX]; /* too large for a stack */
    INVARIANT(options->value_size_max <= SIM_VALUE_MAX);
    _Static_assert(3 * (SIM_VALUE_MAX + 64) <= RESULT_SIZE_MAX, "three of the largest fit a page");
    const struct kv_bytes name = make_key(key, prng_below(prng, options->key_count));
    struct kv_operation operation = draw_operation(options, prng, unique, name, value);
    if (operation.kind == KV_SCAN && !operation.has_after) {
        operation.after = (struct kv_bytes){NULL, 0};
    }
    *is_read = kv_operation_is_read(&operation);
    INVARIANT(kv_operation_size(&operation) <= SIM_OPERATION_MAX);
    return kv_operation_encode(&operation, bytes);
}

/* Mostly transfers, some of too much or to nobody; one draw after the other. */
static size_t make_accounts(const struct sim_options *options, struct prng *prng,
                            uint8_t *operation, bool *is_read)
{
    const uint64_t kind = prng_below(prng, 10);
    const uint32_t from = (uint32_t)prng_below(prng, options->key_count);
    const uint32_t to = (uint32_t)prng_below(prng, (uint64_t)options->key_count + (kind == 2));
    const uint64_t amount = kind == 3 ? prng_next(prng) : prng_below(prng, 100);
    *is_read = kind <= 1;
    if (kind == 0) {
        return accounts_balance(operation, from);
    }
    return kind == 1 ? accounts_total(operation) : accounts_transfer(operation, from, to, amount);
}

size_t sim_make_operation(const struct sim_options *options, struct prng *prng, uint64_t unique,
                          uint8_t *operation, bool *is_read)
{
    if (options->application == SIM_APPLICATION_KV) {
        return make_kv(options, prng, unique, operation, is_read);
    }
    return make_accounts(options, prng, operation, is_read);
}
