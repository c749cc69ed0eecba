/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/caret.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/memory.h"
#include "client/cli/terminal.h"

enum {
    EXCERPT_BEFORE = 20, /* bytes shown left of the bad part, */
    EXCERPT_SIZE = 56,   /* and in all: with its indent it fits the narrowest screen in use */
    EXCERPT_INDENT = 4,
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Not in the middle of a UTF-8 character. */
static size_t character_begin(const char *line, size_t at)
{
    while (at > 0 && ((uint8_t)line[at] & 0xc0) == 0x80) {
        at--;
    }
    return at;
}

/* Writes `indent` blanks, the caret, and tildes up to `width`. */
static char *draw(char *at, size_t indent, size_t width)
{
    memset(at, ' ', indent);
    at += indent;
    *at++ = '^';
    for (size_t i = 1; i < width; i++) {
        *at++ = '~';
    }
    *at++ = '\n';
    *at = '\0';
    return at;
}

/* Control characters, tabs above all, take one column each, as they do when they are left out. */
static char *copy_printable(char *at, const char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        *at++ = (uint8_t)bytes[i] < 0x20 || bytes[i] == 0x7f ? ' ' : bytes[i];
    }
    return at;
}

static size_t printable_width(const char *bytes, size_t size)
{
    char *copy = must_realloc(NULL, size + 1);
    (void)copy_printable(copy, bytes, size);
    const size_t width = terminal_width(copy, size);
    free(copy);
    return width;
}

char *caret_text(const struct caret_line *where, size_t begin, size_t end)
{
    const char *line = where->line;
    size_t size = where->size;
    while (size > 0 && is_blank(line[size - 1])) {
        size--;
    }
    begin = begin < size ? begin : size;
    end = end < begin ? begin : (end < size ? end : size);
    size_t from = 0;
    size_t indent = where->prompt_width;
    const bool fits = memchr(line, '\t', size) == NULL &&
                      indent + printable_width(line, size) + 1 < where->columns;
    if (!fits) {
        from = begin > EXCERPT_BEFORE ? character_begin(line, begin - EXCERPT_BEFORE) : 0;
        indent = EXCERPT_INDENT;
        if (size - from > EXCERPT_SIZE) {
            size = character_begin(line, from + EXCERPT_SIZE);
            end = end < size ? end : size;
        }
    }
    const size_t left = printable_width(line + from, begin - from);
    const size_t width = printable_width(line + begin, end - begin);
    char *text = must_realloc(NULL, 2 * indent + (size - from) + left + width + 8);
    char *at = text;
    if (!fits) {
        memset(at, ' ', indent);
        at = copy_printable(at + indent, line + from, size - from);
        *at++ = '\n';
    }
    (void)draw(at, indent + left, width);
    return text;
}
