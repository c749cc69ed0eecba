/* SPDX-License-Identifier: Apache-2.0 */
/* words.h - a command line of the REPL, or of a pipe, split into words of bytes.
 *
 *     set greeting "hello \"world\""      double quotes; \" \\ \n \r \t \xNN inside
 *     set binary \x00\xff                 the same escapes outside of quotes
 *     set literal 'no \escapes here'      single quotes: everything as it is
 *     set dash "-"                        quoted, "-" is a value and not stdin
 *     # a comment, to the end of the line
 *
 * Threads: none of this is shared. */
#ifndef VR_CLI_WORDS_H
#define VR_CLI_WORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes, NUL-terminated for convenience; they may hold NULs themselves. */
struct word {
    uint8_t *bytes;
    size_t size;
    bool quoted;  /* any part of it was quoted or escaped */
    size_t begin; /* where it stands in the line: bytes begin to end - 1 */
    size_t end;
};

struct words {
    struct word *items;
    size_t count;
    /* If parsing failed: what is wrong, and where in the line. */
    const char *error;
    size_t error_at;
};

/* True on success; on false `error` says why and nothing else is set. Aborts if memory is short.
 * words_free() in any case. */
bool words_parse(const char *line, size_t size, struct words *words);

/* For completion: what is left of the cursor. The last word is the one that the cursor stands at
 * the end of, perhaps empty, perhaps in a quote that is not closed yet. False if there is nothing
 * to complete: in a comment, or behind half an escape. words_free() in any case. */
bool words_parse_begun(const char *line, size_t size, struct words *words);

/* Words that were split already: the arguments of a program. They stand nowhere in a line. */
void words_from_arguments(char **arguments, size_t count, struct words *words);

void words_free(struct words *words);

/* True if the word is exactly this text. */
bool word_is(const struct word *word, const char *text);

/* Writes bytes so that words_parse() reads them back as one word: as they are if they need nothing,
 * else in double quotes; UTF-8 that can be printed stays. Returns a malloc'ed string. */
char *word_escape(const uint8_t *bytes, size_t size);

#endif
