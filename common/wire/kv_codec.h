/* SPDX-License-Identifier: Apache-2.0 */
/* kv_codec.h - operations and results of the key-value store, and their bytes (proto/kv.proto).
 *
 * Shared by the store and its clients, which check an operation before they send it. Pure; every
 * buffer is the caller's.
 *
 * Ownership: what is encoded is borrowed. A decoded operation borrows from the bytes that it was
 * read from and from the arena, and needs both; a decoded result borrows from the arena alone. */
#ifndef VR_KV_CODEC_H
#define VR_KV_CODEC_H

#include "common/base/limits.h"
#include "common/base/types.h"
#include "common/wire/arena.h"

enum {
    KV_PAGE_PAIRS_MAX = 1024, /* pairs in one result of a scan */

    /* An arena of this size decodes every operation and result that the encoders below can make.
     * Bytes, then protobuf-c's structs and its notes on where fields are. */
    KV_ARENA_SIZE = RESULT_SIZE_MAX + KV_PAGE_PAIRS_MAX * 256 + 64 * 1024,

    KV_PAIR_OVERHEAD_MAX = 16,   /* encoded bytes around a key and a value in a result */
    KV_RESULT_OVERHEAD_MAX = 48, /* and around all of them */
};
_Static_assert(KEY_SIZE_MAX + VALUE_SIZE_MAX + KV_PAIR_OVERHEAD_MAX + KV_RESULT_OVERHEAD_MAX <=
                   RESULT_SIZE_MAX,
               "the largest pair fits a page, so a scan always gets on");

struct kv_bytes {
    const uint8_t *bytes;
    size_t size;
};

enum kv_kind {
    KV_GET = 1,
    KV_SET = 2,
    KV_DEL = 3,
    KV_CAS = 4,
    KV_INCR = 5,
    KV_SCAN = 6,
};

struct kv_operation {
    enum kv_kind kind;
    struct kv_bytes key;      /* of Scan: the prefix */
    struct kv_bytes value;    /* Set, Cas: the new value */
    struct kv_bytes expected; /* Cas */
    bool expect_absent;       /* Cas: the key must not exist; `expected` is empty */
    bool has_after;           /* Scan */
    struct kv_bytes after;    /* Scan: only keys above it */
    uint32_t limit;           /* Scan: at most so many pairs; 0: as many as a page holds */
    int64_t by;               /* Incr */
};

enum kv_status {
    KV_OK = 1,
    KV_NOT_FOUND = 2,
    KV_MISMATCH = 3,
    KV_OVERFLOW = 4,
    KV_NOT_A_NUMBER = 5,
    KV_TOO_LARGE = 6,
    KV_MALFORMED = 7,
    KV_STORE_FULL = 8,
};

struct kv_pair {
    struct kv_bytes key;
    struct kv_bytes value;
};

struct kv_result {
    enum kv_status status;
    struct kv_bytes value; /* of Get */
    int64_t number;        /* of Incr */
    uint32_t pair_count;   /* of Scan; <= KV_PAGE_PAIRS_MAX */
    const struct kv_pair *pairs;
    bool more; /* of Scan: there are keys behind the last pair */
};

/* For people: "key not found". */
const char *kv_status_text(enum kv_status status);

/* KV_OK, or what any replica would answer to an operation that is outside of the bounds: too large
 * a key, prefix or value, an empty key, an unknown kind. */
enum kv_status kv_operation_check(const struct kv_operation *operation);

/* True if it changes nothing. */
bool kv_operation_is_read(const struct kv_operation *operation);

/* Bytes that encoding takes; <= OPERATION_SIZE_MAX if kv_operation_check() said KV_OK. */
size_t kv_operation_size(const struct kv_operation *operation);

/* `bytes` has kv_operation_size() room. Returns the size. */
size_t kv_operation_encode(const struct kv_operation *operation, uint8_t *bytes);

/* False if the bytes are no operation, or the arena is exhausted. Bounds are not checked. What it
 * borrows lies in the arena or in the bytes. */
bool kv_operation_decode(const uint8_t *bytes, size_t size, struct arena *arena,
                         struct kv_operation *operation);

/* Pairs take memory from the arena for the time of encoding. Returns the size, or 0 if that is
 * above `capacity` or the arena is exhausted. */
size_t kv_result_encode(const struct kv_result *result, struct arena *arena, uint8_t *bytes,
                        size_t capacity);

/* False if the bytes are no result, or the arena is exhausted. The bytes may be gone afterwards. */
bool kv_result_decode(const uint8_t *bytes, size_t size, struct arena *arena,
                      struct kv_result *result);

#endif
