/* SPDX-License-Identifier: Apache-2.0 */
/* The key-value half of vr/client.h: operations encoded, results decoded, sizes checked before
 * anything is sent. */
#include <stdlib.h>
#include <string.h>

#include "client/lib/explain.h"
#include "client/lib/session.h"
#include "common/os/memory.h"
#include "common/wire/kv_codec.h"

static struct kv_bytes bytes_of(const void *bytes, size_t size)
{
    return (struct kv_bytes){.bytes = bytes, .size = size};
}

static enum vr_outcome fail_too_large(struct vr_result *result, const char *what, size_t size,
                                      size_t size_max)
{
    char message[VR_MESSAGE_MAX];
    explain_too_large(what, size, size_max, message, sizeof message);
    return result_fail(result, VR_ERROR_TOO_LARGE, message);
}

/* Refused here, with both numbers, rather than by the cluster. */
static enum vr_outcome check(const struct kv_operation *operation, struct vr_result *result)
{
    const char *key = operation->kind == KV_SCAN ? "prefix" : "key";
    if (operation->key.size > KEY_SIZE_MAX) {
        return fail_too_large(result, key, operation->key.size, KEY_SIZE_MAX);
    }
    if (operation->value.size > VALUE_SIZE_MAX) {
        return fail_too_large(result, "value", operation->value.size, VALUE_SIZE_MAX);
    }
    if (operation->expected.size > VALUE_SIZE_MAX) {
        return fail_too_large(result, "expected value", operation->expected.size, VALUE_SIZE_MAX);
    }
    if (operation->kind != KV_SCAN && operation->key.size == 0) {
        return result_fail(result, VR_ERROR_REFUSED, "the key is empty");
    }
    if (kv_operation_size(operation) > OPERATION_SIZE_MAX) {
        return fail_too_large(result, "operation", kv_operation_size(operation),
                              OPERATION_SIZE_MAX);
    }
    return VR_OK;
}

static enum vr_error error_of_status(enum kv_status status)
{
    switch (status) {
    case KV_OK:
        return VR_ERROR_NONE;
    case KV_NOT_FOUND:
        return VR_ERROR_NOT_FOUND;
    case KV_MISMATCH:
        return VR_ERROR_MISMATCH;
    case KV_OVERFLOW:
        return VR_ERROR_OVERFLOW;
    case KV_NOT_A_NUMBER:
        return VR_ERROR_NOT_A_NUMBER;
    case KV_STORE_FULL:
        return VR_ERROR_STORE_FULL;
    case KV_TOO_LARGE:
    case KV_MALFORMED:
        break;
    }
    return VR_ERROR_REFUSED;
}

/* Decodes what the application answered; *decoded borrows from the session until its next request.
 */
static enum vr_outcome decode(struct vr_session *session, struct vr_result *result,
                              struct kv_result *decoded)
{
    if (session->kv_memory == NULL) {
        session->kv_memory = memory_reserve(KV_ARENA_SIZE);
    }
    struct arena arena;
    arena_init(&arena, session->kv_memory, session->kv_memory != NULL ? KV_ARENA_SIZE : 0);
    const bool good = kv_result_decode(result->data, result->size, &arena, decoded);
    vr_result_free(result); /* *decoded lies in the arena alone */
    if (!good) {
        result->outcome = VR_UNKNOWN;
        result->error = VR_ERROR_BAD_RESULT;
        (void)snprintf(result->message, sizeof result->message,
                       "executed, but the answer is not one of the key-value application: does the "
                       "cluster run another one?");
    } else if (decoded->status != KV_OK) {
        result->outcome = VR_FAILED;
        result->error = error_of_status(decoded->status);
        (void)snprintf(result->message, sizeof result->message, "%s",
                       kv_status_text(decoded->status));
    }
    return result->outcome;
}

/* at_least_op: of a stale read; NULL: it is none. */
static enum vr_outcome execute_so(struct vr_session *session, const struct kv_operation *operation,
                                  const uint64_t *at_least_op, uint32_t timeout_ms,
                                  struct vr_result *result, struct kv_result *decoded)
{
    memset(decoded, 0, sizeof *decoded);
    if (check(operation, result) != VR_OK) {
        return result->outcome;
    }
    uint8_t *bytes = malloc(kv_operation_size(operation));
    if (bytes == NULL) {
        return result_fail(result, VR_ERROR_NO_MEMORY,
                           "there is no memory for the operation; it was not executed");
    }
    const size_t size = kv_operation_encode(operation, bytes);
    const unsigned flags = kv_operation_is_read(operation) ? VR_READ : 0;
    const enum vr_outcome outcome =
        at_least_op != NULL ? vr_call_stale(session, bytes, size, *at_least_op, timeout_ms, result)
                            : vr_call(session, bytes, size, flags, timeout_ms, result);
    free(bytes);
    return outcome == VR_OK ? decode(session, result, decoded) : outcome;
}

static enum vr_outcome execute(struct vr_session *session, const struct kv_operation *operation,
                               uint32_t timeout_ms, struct vr_result *result,
                               struct kv_result *decoded)
{
    return execute_so(session, operation, NULL, timeout_ms, result, decoded);
}

static enum vr_outcome get(struct vr_session *session, const void *key, size_t key_size,
                           const uint64_t *at_least_op, uint32_t timeout_ms,
                           struct vr_result *result)
{
    const struct kv_operation operation = {.kind = KV_GET, .key = bytes_of(key, key_size)};
    struct kv_result decoded;
    if (execute_so(session, &operation, at_least_op, timeout_ms, result, &decoded) != VR_OK) {
        return result->outcome;
    }
    /* One byte more, so that an empty value is no NULL. */
    result->data = malloc(decoded.value.size + 1);
    if (result->data == NULL) {
        return result_fail(result, VR_ERROR_NO_MEMORY, "there is no memory for the value");
    }
    if (decoded.value.size > 0) {
        memcpy(result->data, decoded.value.bytes, decoded.value.size);
    }
    result->data[decoded.value.size] = '\0';
    result->size = decoded.value.size;
    return VR_OK;
}

enum vr_outcome vr_kv_get(struct vr_session *session, const void *key, size_t key_size,
                          uint32_t timeout_ms, struct vr_result *result)
{
    return get(session, key, key_size, NULL, timeout_ms, result);
}

enum vr_outcome vr_kv_get_stale(struct vr_session *session, const void *key, size_t key_size,
                                uint64_t at_least_op, uint32_t timeout_ms, struct vr_result *result)
{
    return get(session, key, key_size, &at_least_op, timeout_ms, result);
}

enum vr_outcome vr_kv_set(struct vr_session *session, const void *key, size_t key_size,
                          const void *value, size_t value_size, uint32_t timeout_ms,
                          struct vr_result *result)
{
    const struct kv_operation operation = {
        .kind = KV_SET, .key = bytes_of(key, key_size), .value = bytes_of(value, value_size)};
    struct kv_result decoded;
    return execute(session, &operation, timeout_ms, result, &decoded);
}

enum vr_outcome vr_kv_del(struct vr_session *session, const void *key, size_t key_size,
                          uint32_t timeout_ms, struct vr_result *result)
{
    const struct kv_operation operation = {.kind = KV_DEL, .key = bytes_of(key, key_size)};
    struct kv_result decoded;
    return execute(session, &operation, timeout_ms, result, &decoded);
}

enum vr_outcome vr_kv_cas(struct vr_session *session, const void *key, size_t key_size,
                          const void *expected, size_t expected_size, const void *value,
                          size_t value_size, uint32_t timeout_ms, struct vr_result *result)
{
    const struct kv_operation operation = {
        .kind = KV_CAS,
        .key = bytes_of(key, key_size),
        .value = bytes_of(value, value_size),
        .expected = bytes_of(expected, expected != NULL ? expected_size : 0),
        .expect_absent = expected == NULL,
    };
    struct kv_result decoded;
    return execute(session, &operation, timeout_ms, result, &decoded);
}

enum vr_outcome vr_kv_incr(struct vr_session *session, const void *key, size_t key_size, int64_t by,
                           uint32_t timeout_ms, struct vr_result *result)
{
    const struct kv_operation operation = {
        .kind = KV_INCR, .key = bytes_of(key, key_size), .by = by};
    struct kv_result decoded;
    if (execute(session, &operation, timeout_ms, result, &decoded) == VR_OK) {
        result->number = decoded.number;
    }
    return result->outcome;
}

/* Hands a page's pairs over; returns how many were wanted. */
static uint32_t hand_over(const struct kv_result *page, uint64_t left, vr_kv_pair *each,
                          void *context, bool *stopped)
{
    uint32_t taken = 0;
    while (taken < page->pair_count && taken < left && !*stopped) {
        const struct kv_pair *pair = &page->pairs[taken++];
        *stopped =
            !each(context, pair->key.bytes, pair->key.size, pair->value.bytes, pair->value.size);
    }
    return taken;
}

enum vr_outcome vr_kv_scan(struct vr_session *session, const void *prefix, size_t prefix_size,
                           uint64_t limit, vr_kv_pair *each, void *context, uint32_t timeout_ms,
                           struct vr_result *result)
{
    uint64_t left = limit > 0 ? limit : UINT64_MAX;
    uint8_t after[KEY_SIZE_MAX];
    struct kv_operation operation = {.kind = KV_SCAN, .key = bytes_of(prefix, prefix_size)};
    for (;;) {
        struct kv_result page;
        operation.limit = left < KV_PAGE_PAIRS_MAX ? (uint32_t)left : 0;
        if (execute(session, &operation, timeout_ms, result, &page) != VR_OK) {
            return result->outcome;
        }
        bool stopped = false;
        left -= hand_over(&page, left, each, context, &stopped);
        if (stopped || left == 0 || !page.more || page.pair_count == 0) {
            return VR_OK;
        }
        const struct kv_bytes last = page.pairs[page.pair_count - 1].key;
        if (last.size > sizeof after) {
            return result_fail(result, VR_ERROR_BAD_RESULT, "a key in the answer is too long");
        }
        memcpy(after, last.bytes, last.size);
        operation.has_after = true;
        operation.after = bytes_of(after, last.size);
    }
}
