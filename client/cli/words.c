/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/words.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/memory.h"

struct parser {
    const char *line;
    size_t size;
    size_t at;
    bool begun;       /* the end of the line may be the middle of a word */
    struct word word; /* under way */
    size_t capacity;
    const char *error;
    size_t error_at;
};

static void append(struct parser *parser, uint8_t byte)
{
    if (parser->word.size + 1 >= parser->capacity) {
        parser->capacity = parser->capacity == 0 ? 32 : 2 * parser->capacity;
        parser->word.bytes = must_realloc(parser->word.bytes, parser->capacity);
    }
    parser->word.bytes[parser->word.size++] = byte;
    parser->word.bytes[parser->word.size] = '\0';
}

static bool fail(struct parser *parser, size_t at, const char *error)
{
    parser->error = error;
    parser->error_at = at;
    return false;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Stands at a backslash. */
static bool parse_escape(struct parser *parser)
{
    const size_t begin = parser->at++;
    if (parser->at == parser->size) {
        return fail(parser, begin, "a backslash at the end of the line");
    }
    const char kind = parser->line[parser->at++];
    switch (kind) {
    case 'n':
        append(parser, '\n');
        return true;
    case 'r':
        append(parser, '\r');
        return true;
    case 't':
        append(parser, '\t');
        return true;
    case '\\':
    case '"':
    case '\'':
    case ' ':
    case '#':
        append(parser, (uint8_t)kind);
        return true;
    case 'x':
        break;
    default:
        return fail(parser, begin,
                    "an unknown escape: write \\xNN, \\n, \\r, \\t, \\\\, \\\" or \\'");
    }
    const int high = parser->at < parser->size ? hex_digit(parser->line[parser->at]) : -1;
    const int low = parser->at + 1 < parser->size ? hex_digit(parser->line[parser->at + 1]) : -1;
    if (high < 0 || low < 0) {
        return fail(parser, begin, "\\x needs two hexadecimal digits");
    }
    parser->at += 2;
    append(parser, (uint8_t)(high * 16 + low));
    return true;
}

/* Stands at the opening quote. */
static bool parse_quoted(struct parser *parser)
{
    const size_t begin = parser->at;
    const char quote = parser->line[parser->at++];
    while (parser->at < parser->size && parser->line[parser->at] != quote) {
        if (quote == '"' && parser->line[parser->at] == '\\') {
            if (!parse_escape(parser)) {
                return false;
            }
        } else {
            append(parser, (uint8_t)parser->line[parser->at++]);
        }
    }
    if (parser->at == parser->size) {
        return parser->begun || fail(parser, begin, "a quote that is not closed");
    }
    parser->at++;
    return true;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Stands at the first character of a word. */
static bool parse_word(struct parser *parser)
{
    parser->word = (struct word){.bytes = must_realloc(NULL, 1), .begin = parser->at};
    parser->word.bytes[0] = '\0';
    parser->capacity = 1;
    while (parser->at < parser->size && !is_blank(parser->line[parser->at])) {
        const char c = parser->line[parser->at];
        bool good = true;
        if (c == '"' || c == '\'') {
            parser->word.quoted = true;
            good = parse_quoted(parser);
        } else if (c == '\\') {
            parser->word.quoted = true;
            good = parse_escape(parser);
        } else {
            append(parser, (uint8_t)c);
            parser->at++;
        }
        if (!good) {
            free(parser->word.bytes);
            return false;
        }
    }
    parser->word.end = parser->at;
    return true;
}

static void add_word(struct words *words, struct word word)
{
    words->items = must_realloc(words->items, (words->count + 1) * sizeof word);
    words->items[words->count++] = word;
}

/* Up to the end, or to a comment, at which `parser->at` is left. */
static bool parse_line(struct parser *parser, struct words *words)
{
    memset(words, 0, sizeof *words);
    for (;;) {
        while (parser->at < parser->size && is_blank(parser->line[parser->at])) {
            parser->at++;
        }
        if (parser->at == parser->size || parser->line[parser->at] == '#') {
            return true;
        }
        if (!parse_word(parser)) {
            words_free(words);
            words->error = parser->error;
            words->error_at = parser->error_at;
            return false;
        }
        add_word(words, parser->word);
    }
}

bool words_parse(const char *line, size_t size, struct words *words)
{
    struct parser parser = {.line = line, .size = size};
    return parse_line(&parser, words);
}

bool words_parse_begun(const char *line, size_t size, struct words *words)
{
    struct parser parser = {.line = line, .size = size, .begun = true};
    if (!parse_line(&parser, words) || parser.at < size) {
        return false;
    }
    if (words->count == 0 || words->items[words->count - 1].end < size) {
        uint8_t *bytes = must_calloc(1, 1);
        add_word(words, (struct word){.bytes = bytes, .begin = size, .end = size});
    }
    return true;
}

void words_from_arguments(char **arguments, size_t count, struct words *words)
{
    memset(words, 0, sizeof *words);
    for (size_t i = 0; i < count; i++) {
        const size_t size = strlen(arguments[i]);
        uint8_t *bytes = must_realloc(NULL, size + 1);
        memcpy(bytes, arguments[i], size + 1);
        add_word(words, (struct word){.bytes = bytes, .size = size});
    }
}

void words_free(struct words *words)
{
    for (size_t i = 0; i < words->count; i++) {
        free(words->items[i].bytes);
    }
    free(words->items);
    memset(words, 0, sizeof *words);
}

bool word_is(const struct word *word, const char *text)
{
    return word->size == strlen(text) && memcmp(word->bytes, text, word->size) == 0;
}

/* How many bytes the UTF-8 character at the front of these has; 0 if there is none that may be
 * printed: no UTF-8, or a control character. */
static size_t printable_size(const uint8_t *bytes, size_t size)
{
    if (bytes[0] < 0x80) {
        return bytes[0] >= 0x20 && bytes[0] < 0x7f ? 1 : 0;
    }
    const size_t length = bytes[0] >= 0xf0 ? 4 : bytes[0] >= 0xe0 ? 3 : 2;
    if (bytes[0] < 0xc2 || bytes[0] > 0xf4 || length > size) {
        return 0;
    }
    uint32_t code = bytes[0] & (0x7fu >> length);
    for (size_t i = 1; i < length; i++) {
        if ((bytes[i] & 0xc0) != 0x80) {
            return 0;
        }
        code = code << 6 | (bytes[i] & 0x3fu);
    }
    const bool overlong = (length == 3 && code < 0x800) || (length == 4 && code < 0x10000);
    const bool forbidden = code < 0xa0 || (code >= 0xd800 && code < 0xe000) || code > 0x10ffff;
    return overlong || forbidden ? 0 : length;
}

/* Nothing in it means anything but itself. */
static bool is_plain(const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size;) {
        const size_t length = printable_size(bytes + i, size - i);
        if (length == 0 || memchr(" \"'\\#", bytes[i], 5) != NULL) {
            return false;
        }
        i += length;
    }
    return size > 0 && !(size == 1 && bytes[0] == '-');
}

/* Writes one character, escaped if need be; returns how many bytes of input it was. */
static size_t escape_one(const uint8_t *bytes, size_t size, char **at)
{
    const size_t length = printable_size(bytes, size);
    if (bytes[0] == '"' || bytes[0] == '\\') {
        *(*at)++ = '\\';
        *(*at)++ = (char)bytes[0];
        return 1;
    }
    if (length > 0) {
        memcpy(*at, bytes, length);
        *at += length;
        return length;
    }
    if (bytes[0] == '\n') {
        *(*at)++ = '\\';
        *(*at)++ = 'n';
    } else {
        *at += snprintf(*at, 5, "\\x%02x", bytes[0]);
    }
    return 1;
}

char *word_escape(const uint8_t *bytes, size_t size)
{
    const bool quote = !is_plain(bytes, size);
    char *text = must_realloc(NULL, 4 * size + 3);
    char *at = text;
    if (quote) {
        *at++ = '"';
    }
    for (size_t i = 0; i < size;) {
        i += escape_one(bytes + i, size - i, &at);
    }
    if (quote) {
        *at++ = '"';
    }
    *at = '\0';
    return text;
}
