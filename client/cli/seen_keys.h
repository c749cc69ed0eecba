/* SPDX-License-Identifier: Apache-2.0 */
/* seen_keys.h - keys that this session has used or was shown, for completion.
 *
 * Bounded: the newest SEEN_KEYS_MAX are kept. Memory: each key is a copy; seen_keys_free() releases
 * them. Threads: the caller's. */
#ifndef VR_CLI_SEEN_KEYS_H
#define VR_CLI_SEEN_KEYS_H

#include <stddef.h>
#include <stdint.h>

enum {
    SEEN_KEYS_MAX = 1000,
    SEEN_KEYS_SCAN_MAX = 500, /* of one scan: it must not push out all that was typed */
};

struct seen_key {
    uint8_t *bytes;
    size_t size;
};

struct seen_keys {
    struct seen_key keys[SEEN_KEYS_MAX];
    size_t count;
    size_t next; /* the place of the next key: the oldest, once all are taken */
};

/* Keeps a key, unless it is known, empty, or longer than a key can be. */
void seen_keys_add(struct seen_keys *seen, const void *bytes, size_t size);

void seen_keys_free(struct seen_keys *seen);

#endif
