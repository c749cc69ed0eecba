/* SPDX-License-Identifier: Apache-2.0 */
/* cell.h - one key of the key-value store, by the description in proto/kv.proto and by no code of
 * the store's: what each operation answers and leaves behind. Of texts only a hash is kept, so that
 * a value is small whatever its size; numbers are kept, for Incr reckons with them.
 *
 * Pure; everything is passed by value. */
#ifndef VR_SUPPORT_CELL_H
#define VR_SUPPORT_CELL_H

#include "common/wire/kv_codec.h"

enum cell_value_kind {
    CELL_ABSENT, /* there is no such key */
    CELL_NUMBER, /* its value is the text that `content`, a signed number, is printed as */
    CELL_TEXT,   /* any other; `content` is its hash */
};

struct cell_value {
    enum cell_value_kind kind;
    uint64_t content;
};

struct cell_operation {
    enum kv_kind verb;          /* any but KV_SCAN */
    struct cell_value value;    /* Set, Cas: the new one */
    struct cell_value expected; /* Cas; absent: the key must not exist */
    int64_t by;                 /* Incr */
};

struct cell_result {
    enum kv_status status;
    struct cell_value value; /* of Get and Incr that are KV_OK; absent otherwise */
};

struct cell_value cell_text(const void *bytes, size_t size); /* a number, if it is one's text */
struct cell_value cell_number(int64_t number);
uint64_t cell_key(const void *bytes, size_t size); /* names a key */

/* The part that one key plays. The operation is no Scan. */
struct cell_operation cell_operation(const struct kv_operation *operation);
struct cell_result cell_result(const struct kv_operation *operation,
                               const struct kv_result *result);

/* Executes it. */
struct cell_result cell_apply(const struct cell_operation *operation, struct cell_value *cell);

bool cell_value_equal(struct cell_value a, struct cell_value b);
bool cell_result_equal(struct cell_result a, struct cell_result b);

#endif
