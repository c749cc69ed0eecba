/* SPDX-License-Identifier: Apache-2.0 */
/* terminal.h - what may be written to a stream: colour, a line that is updated in place, and how
 * wide it is. NO_COLOR (https://no-color.org) and TERM=dumb are honoured.
 *
 * Threads: any. */
#ifndef VR_CLI_TERMINAL_H
#define VR_CLI_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* A terminal that understands escape sequences. */
bool terminal_has_cursor(FILE *stream);

/* And whose user wants colour. */
bool terminal_has_color(FILE *stream);

/* Columns; 80 if that is not known. */
size_t terminal_columns(FILE *stream);

/* Columns that the text takes, in the locale's encoding; bytes that are no characters count one. */
size_t terminal_width(const char *text, size_t size);

/* The same, of a text that may hold escape sequences like those below, which take none. */
size_t terminal_width_shown(const char *text, size_t size);

/* What begins, and ends, text that is bad news; "" where there is no colour. */
const char *terminal_alarm(FILE *stream);
const char *terminal_plain(FILE *stream);

#endif
