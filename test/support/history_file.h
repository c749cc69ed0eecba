/* SPDX-License-Identifier: Apache-2.0 */
/* history_file.h - what clients of real processes saw, as lines of text that are written while it
 * happens, so that a client that is killed leaves what it had begun:
 *
 *     viewstamp-history 1
 *     > CLIENT NUMBER NS get KEY            before it is sent; also: set KEY VALUE, del KEY,
 *                                           cas KEY EXPECTED VALUE, incr KEY BY
 *     < CLIENT NUMBER NS ok VALUE @OP       when it has ended; VALUE of get and incr only. Also:
 *                                           not_found, mismatch, not_a_number, overflow; and
 *                                           failed (surely not executed), unknown
 *
 * NS is CLOCK_MONOTONIC, the same for all processes of one machine. Keys and values are words;
 * EXPECTED is - where the key must not exist. A client has one operation at a time, and NUMBER
 * tells them apart; @OP, where the group says that it stands in its log, may be missing. What has
 * no end is of unknown outcome, and a last line without newline counts as never written.
 *
 * Ownership: history_free() releases everything; operations and texts live until then. */
#ifndef VR_SUPPORT_HISTORY_FILE_H
#define VR_SUPPORT_HISTORY_FILE_H

#include "test/support/linearizability.h"

#define HISTORY_HEADER "viewstamp-history 1"
enum { HISTORY_MESSAGE_MAX = 512, HISTORY_LINE_MAX = 1024 };

/* Where an operation is told of; found by its tag. */
struct history_place {
    const char *path; /* the caller's */
    uint32_t line;
    const char *invocation; /* lines, without newline */
    const char *end;        /* NULL: none */
};

struct history {
    struct linear_operation *operations; /* those that failed are reads of unknown outcome now */
    struct history_place *places;        /* by tag */
    size_t count;
    size_t capacity;
    size_t unknown_count;
    size_t failed_count;
    char **texts; /* one a file */
    size_t text_count;
};

/* Adds what a file tells. `path` is kept. Returns 0; -EINVAL: it is no such file; otherwise why it
 * could not be read. `message` says what is wrong, and where. */
int history_read(struct history *history, const char *path, char message[HISTORY_MESSAGE_MAX]);
void history_free(struct history *history);

#endif
