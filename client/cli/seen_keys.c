/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/seen_keys.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/memory.h"
#include "common/base/limits.h"

static bool is_known(const struct seen_keys *seen, const void *bytes, size_t size)
{
    for (size_t i = 0; i < seen->count; i++) {
        if (seen->keys[i].size == size && memcmp(seen->keys[i].bytes, bytes, size) == 0) {
            return true;
        }
    }
    return false;
}

void seen_keys_add(struct seen_keys *seen, const void *bytes, size_t size)
{
    if (size == 0 || size > KEY_SIZE_MAX || is_known(seen, bytes, size)) {
        return;
    }
    struct seen_key *key = &seen->keys[seen->next];
    key->bytes = must_realloc(key->bytes, size);
    memcpy(key->bytes, bytes, size);
    key->size = size;
    seen->next = (seen->next + 1) % SEEN_KEYS_MAX;
    seen->count += seen->count < SEEN_KEYS_MAX ? 1 : 0;
}

void seen_keys_free(struct seen_keys *seen)
{
    for (size_t i = 0; i < seen->count; i++) {
        free(seen->keys[i].bytes);
    }
    memset(seen, 0, sizeof *seen);
}
