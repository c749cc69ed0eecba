/* SPDX-License-Identifier: Apache-2.0 */
/* screen.h - where `status` writes: once, again and again in the same place of a terminal, or in
 * blocks with a blank line between them.
 *
 * Threads: the caller's. */
#ifndef VR_CLI_SCREEN_H
#define VR_CLI_SCREEN_H

#include "client/cli/health.h"

/* All zero: one status, on stdout. */
struct screen {
    bool in_place; /* over what was shown before */
    bool repeated; /* with a blank line before each but the first, unless in place */
    uint64_t interval_ns;
    uint64_t shown_count;
    size_t columns; /* of the terminal, when it was shown last, */
    size_t rows;    /* and how many rows that took */
};

/* Shows it, flushed. */
void screen_show(struct screen *screen, const struct survey *survey,
                 const struct health_report *health);

/* The last one stays, and the cursor stands below it. */
void screen_leave(const struct screen *screen);

#endif
