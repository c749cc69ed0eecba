/* SPDX-License-Identifier: Apache-2.0 */
#include "test/support/cell.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/invariant.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { NUMBER_TEXT_MAX = 20 }; /* "-9223372036854775808" */

struct cell_value cell_number(int64_t number)
{
    return (struct cell_value){.kind = CELL_NUMBER, .content = (uint64_t)number};
}

/* Only the text that a number is printed as is a number. */
struct cell_value cell_text(const void *bytes, size_t size)
{
    char text[NUMBER_TEXT_MAX + 1] = "";
    char again[NUMBER_TEXT_MAX + 1];
    if (size > 0 && size <= NUMBER_TEXT_MAX) {
        memcpy(text, bytes, size);
        const int64_t number = strtoll(text, NULL, 10);
        const int printed = snprintf(again, sizeof again, "%" PRId64, number);
        if ((size_t)printed == size && memcmp(text, again, size) == 0) {
            return cell_number(number);
        }
    }
    return (struct cell_value){.kind = CELL_TEXT, .content = XXH3_64bits(bytes, size)};
}

uint64_t cell_key(const void *bytes, size_t size)
{
    return XXH3_64bits(bytes, size);
}

static struct cell_value text_of(struct kv_bytes bytes)
{
    return cell_text(bytes.bytes, bytes.size);
}

struct cell_operation cell_operation(const struct kv_operation *operation)
{
    struct cell_operation cell = {.verb = operation->kind};
    INVARIANT(operation->kind != KV_SCAN);
    if (operation->kind == KV_SET || operation->kind == KV_CAS) {
        cell.value = text_of(operation->value);
    }
    if (operation->kind == KV_CAS && !operation->expect_absent) {
        cell.expected = text_of(operation->expected);
    }
    if (operation->kind == KV_INCR) {
        cell.by = operation->by;
    }
    return cell;
}

struct cell_result cell_result(const struct kv_operation *operation, const struct kv_result *result)
{
    struct cell_result cell = {.status = result->status};
    if (result->status == KV_OK && operation->kind == KV_GET) {
        cell.value = text_of(result->value);
    }
    if (result->status == KV_OK && operation->kind == KV_INCR) {
        cell.value = cell_number(result->number);
    }
    return cell;
}

/* ---- execution ---- */

static struct cell_result say(enum kv_status status)
{
    return (struct cell_result){.status = status};
}

static struct cell_result cas(const struct cell_operation *operation, struct cell_value *cell)
{
    if (!cell_value_equal(*cell, operation->expected)) {
        return say(cell->kind == CELL_ABSENT ? KV_NOT_FOUND : KV_MISMATCH);
    }
    *cell = operation->value;
    return say(KV_OK);
}

static struct cell_result incr(const struct cell_operation *operation, struct cell_value *cell)
{
    int64_t number = cell->kind == CELL_NUMBER ? (int64_t)cell->content : 0;
    if (cell->kind == CELL_TEXT) {
        return say(KV_NOT_A_NUMBER);
    }
    if (__builtin_add_overflow(number, operation->by, &number)) {
        return say(KV_OVERFLOW);
    }
    *cell = cell_number(number);
    return (struct cell_result){.status = KV_OK, .value = *cell};
}

struct cell_result cell_apply(const struct cell_operation *operation, struct cell_value *cell)
{
    const bool present = cell->kind != CELL_ABSENT;
    switch (operation->verb) {
    case KV_GET:
        return (struct cell_result){.status = present ? KV_OK : KV_NOT_FOUND, .value = *cell};
    case KV_SET:
        *cell = operation->value;
        return say(KV_OK);
    case KV_DEL:
        *cell = (struct cell_value){.kind = CELL_ABSENT};
        return say(present ? KV_OK : KV_NOT_FOUND);
    case KV_CAS:
        return cas(operation, cell);
    case KV_INCR:
        return incr(operation, cell);
    case KV_SCAN:
        break;
    }
    return say(KV_MALFORMED);
}

bool cell_value_equal(struct cell_value a, struct cell_value b)
{
    return a.kind == b.kind && a.content == b.content;
}

bool cell_result_equal(struct cell_result a, struct cell_result b)
{
    return a.status == b.status && cell_value_equal(a.value, b.value);
}
