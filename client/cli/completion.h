/* SPDX-License-Identifier: Apache-2.0 */
/* completion.h - what Tab can make of the word at the cursor: commands, topics of help, options,
 * and keys that were seen. Candidates are written as they must be typed: quoted where they need it.
 *
 * Pure. Memory: completion_free() releases what completion_find() made. */
#ifndef VR_CLI_COMPLETION_H
#define VR_CLI_COMPLETION_H

#include <stdbool.h>
#include <stddef.h>

#include "client/cli/seen_keys.h"

enum { COMPLETION_SHOWN_MAX = 100 }; /* candidates that are worth a list */

struct completion {
    char **candidates; /* in order of their bytes, each once */
    size_t count;
    size_t begin;    /* where in the line the word begins, in bytes; it ends at the cursor */
    char *insertion; /* what to put in its place; NULL if nothing fits */
    bool complete;   /* the insertion is the only candidate */
};

/* `line` is what stands left of the cursor, `size` bytes. `commands` ends with a NULL. */
void completion_find(const char *line, size_t size, const char *const *commands,
                     const struct seen_keys *seen, struct completion *completion);

void completion_free(struct completion *completion);

#endif
