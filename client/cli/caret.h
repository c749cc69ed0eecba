/* SPDX-License-Identifier: Apache-2.0 */
/* caret.h - points at the part of a command line that is wrong.
 *
 *     view 0, primary 0> incr visits ten
 *                                    ^~~
 *
 * Pure, but for the locale's encoding. */
#ifndef VR_CLI_CARET_H
#define VR_CLI_CARET_H

#include <stddef.h>

struct caret_line {
    const char *line;
    size_t size;
    size_t prompt_width; /* columns left of it, on the screen */
    size_t columns;      /* the screen's */
};

/* What to print below the line to point at its bytes begin to end - 1, which may be the place
 * behind its end: a line with the caret, ended by a newline. Where the line was too long for the
 * screen, an excerpt of it comes first. Returns a malloc'ed string. */
char *caret_text(const struct caret_line *where, size_t begin, size_t end);

#endif
