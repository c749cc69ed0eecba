/* SPDX-License-Identifier: Apache-2.0 */
/* invariant.c - how a broken promise ends the process: loudly, at once, with a core to look at. */
#include "common/base/invariant.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/os/logger.h"

enum {
    INVARIANT_LINE_MAX = 512,
    INVARIANT_FLUSH_MS = 200, /* for the log lines that lead up to it */
};

_Noreturn void invariant_failed(const char *condition, const char *file, int line,
                                const char *function)
{
    char text[INVARIANT_LINE_MAX];
    const int length =
        snprintf(text, sizeof text,
                 "INVARIANT failed: %s, in %s at %s:%d. This is a bug in viewstamp. [%s]\n",
                 condition, function, file, line, error_entry(ERROR_INVARIANT)->id);
    logger_flush(INVARIANT_FLUSH_MS);
    if (length > 0) {
        const size_t size = (size_t)length < sizeof text ? (size_t)length : sizeof text - 1;
        /* Nothing sensible is left to do where even this fails. */
        const ssize_t ignored = write(STDERR_FILENO, text, size);
        (void)ignored;
    }
    abort();
}
