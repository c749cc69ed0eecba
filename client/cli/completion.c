/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/completion.h"

#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/backup.h"
#include "client/cli/flood_options.h"
#include "client/cli/log_level.h"
#include "client/cli/memory.h"
#include "client/cli/restore.h"
#include "client/cli/status.h"
#include "client/cli/trace_options.h"
#include "client/cli/words.h"
#include "common/base/invariant.h"

enum { OPTION_TEXT_MAX = 32 }; /* with its dashes */

/* What the arguments of a command may be, beyond nothing in particular. */
static const struct grammar {
    const char *command;
    bool takes_key; /* its first argument is a key, or the beginning of one */
    bool takes_command;
    const char *const *words;          /* ends with a NULL; or NULL */
    const struct argp_option *options; /* ends with one without a name; or NULL */
} grammars[] = {
    {.command = "get",
     .takes_key = true,
     .words = (const char *const[]){"--stale", "--at-least", NULL}},
    {.command = "set", .takes_key = true},
    {.command = "del", .takes_key = true},
    {.command = "cas", .takes_key = true, .words = (const char *const[]){"--absent", NULL}},
    {.command = "incr", .takes_key = true},
    {.command = "scan", .takes_key = true},
    {.command = "help", .takes_command = true},
    {.command = "timing", .takes_command = true, .words = (const char *const[]){"on", "off", NULL}},
    {.command = "status", .words = status_options},
    {.command = "log-level", .words = log_level_options},
    {.command = "unsafe-restore", .words = restore_option_names},
    {.command = "backup", .words = backup_options},
    {.command = "flood", .options = flood_option_table},
    {.command = "trace", .options = trace_option_table},
};

static const struct grammar *find_grammar(const struct word *command)
{
    for (size_t i = 0; i < sizeof grammars / sizeof grammars[0]; i++) {
        if (word_is(command, grammars[i].command)) {
            return &grammars[i];
        }
    }
    return NULL;
}

/* ---- candidates ---- */

/* Borrowed bytes; those of options are made here. */
struct candidates {
    struct seen_key *items;
    size_t count;
    char (*options)[OPTION_TEXT_MAX];
};

static void consider(struct candidates *candidates, const struct word *word, const void *bytes,
                     size_t size)
{
    if (size < word->size || memcmp(bytes, word->bytes, word->size) != 0) {
        return;
    }
    candidates->items =
        must_realloc(candidates->items, (candidates->count + 1) * sizeof *candidates->items);
    candidates->items[candidates->count++] =
        (struct seen_key){.bytes = (uint8_t *)(uintptr_t)bytes, .size = size};
}

static void consider_texts(struct candidates *candidates, const struct word *word,
                           const char *const *texts)
{
    for (size_t i = 0; texts[i] != NULL; i++) {
        consider(candidates, word, texts[i], strlen(texts[i]));
    }
}

static void consider_options(struct candidates *candidates, const struct word *word,
                             const struct argp_option *options)
{
    size_t count = 0;
    while (options[count].name != NULL) {
        count++;
    }
    candidates->options = must_calloc(count + 1, sizeof *candidates->options);
    for (size_t i = 0; i < count; i++) {
        const int size = snprintf(candidates->options[i], OPTION_TEXT_MAX, "--%s", options[i].name);
        INVARIANT(size < OPTION_TEXT_MAX);
        consider(candidates, word, candidates->options[i], (size_t)size);
    }
}

/* All that can stand where the last word stands. */
static void gather(const struct words *words, const char *const *commands,
                   const struct seen_keys *seen, struct candidates *candidates)
{
    const struct word *word = &words->items[words->count - 1];
    if (words->count == 1) {
        consider_texts(candidates, word, commands);
        return;
    }
    const struct grammar *grammar = find_grammar(&words->items[0]);
    if (grammar == NULL) {
        return;
    }
    const bool key = grammar->takes_key && words->count == 2;
    if (grammar->words != NULL && !word->quoted && !key) {
        consider_texts(candidates, word, grammar->words);
    }
    if (grammar->options != NULL && !word->quoted) {
        consider_options(candidates, word, grammar->options);
    }
    if (grammar->takes_command && words->count == 2) {
        consider_texts(candidates, word, commands);
    }
    for (size_t i = 0; i < seen->count && key; i++) {
        consider(candidates, word, seen->keys[i].bytes, seen->keys[i].size);
    }
}

static int compare(const void *a, const void *b)
{
    const struct seen_key *left = a;
    const struct seen_key *right = b;
    const size_t size = left->size < right->size ? left->size : right->size;
    const int order = memcmp(left->bytes, right->bytes, size);
    return order != 0 ? order : (left->size > right->size) - (left->size < right->size);
}

/* How many bytes all begin with, cut to whole UTF-8 characters. */
static size_t common_size(const struct candidates *candidates)
{
    /* In order, whatever the first and the last share, those between them share, too. */
    const struct seen_key *first = &candidates->items[0];
    const struct seen_key *last = &candidates->items[candidates->count - 1];
    size_t size = 0;
    while (size < first->size && size < last->size && first->bytes[size] == last->bytes[size]) {
        size++;
    }
    while (size > 0 && size < first->size && (first->bytes[size] & 0xc0) == 0x80) {
        size--;
    }
    return size;
}

/* As word_escape(), but the word goes on: a quote stays open. */
static char *escape_begun(const uint8_t *bytes, size_t size)
{
    char *text = word_escape(bytes, size);
    const size_t length = strlen(text);
    if (text[0] == '"' && length > 1) {
        text[length - 1] = '\0';
    }
    return text;
}

void completion_find(const char *line, size_t size, const char *const *commands,
                     const struct seen_keys *seen, struct completion *completion)
{
    memset(completion, 0, sizeof *completion);
    struct words words;
    if (!words_parse_begun(line, size, &words)) {
        words_free(&words);
        return;
    }
    const struct word *word = &words.items[words.count - 1];
    struct candidates candidates = {0};
    gather(&words, commands, seen, &candidates);
    if (candidates.count > 0) {
        qsort(candidates.items, candidates.count, sizeof *candidates.items, compare);
        completion->begin = word->begin;
        completion->complete = candidates.count == 1;
        const size_t common = common_size(&candidates);
        completion->insertion = completion->complete
                                    ? word_escape(candidates.items[0].bytes, common)
                                    : escape_begun(candidates.items[0].bytes, common);
        if (common == 0) {
            completion->insertion[0] = '\0'; /* not an open quote */
        }
        completion->candidates = must_calloc(candidates.count, sizeof(char *));
        completion->count = candidates.count;
        for (size_t i = 0; i < candidates.count; i++) {
            completion->candidates[i] =
                word_escape(candidates.items[i].bytes, candidates.items[i].size);
        }
    }
    free(candidates.items);
    free(candidates.options);
    words_free(&words);
}

void completion_free(struct completion *completion)
{
    for (size_t i = 0; i < completion->count; i++) {
        free(completion->candidates[i]);
    }
    free(completion->candidates);
    free(completion->insertion);
    memset(completion, 0, sizeof *completion);
}
