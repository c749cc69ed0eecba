/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/kv_commands.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/exit_code.h"
#include "client/cli/interrupt.h"
#include "client/cli/memory.h"
#include "client/cli/report.h"
#include "client/lib/explain.h"

/* ---- arguments ---- */

static const struct word *argument(const struct words *words, size_t number)
{
    return number < words->count ? &words->items[number] : NULL;
}

/* The first argument, which completion is to know from now on. */
static const struct word *key_argument(struct shell *shell, const struct words *words)
{
    const struct word *key = &words->items[1];
    if (shell->seen != NULL) {
        seen_keys_add(shell->seen, key->bytes, key->size);
    }
    return key;
}

/* Reads stdin to its end, or to a Ctrl-C. */
static bool read_stdin(struct word *value)
{
    const size_t limit = 64 * 1024 * 1024; /* so that the message can name the size */
    size_t capacity = 64 * 1024;
    value->bytes = must_realloc(NULL, capacity);
    value->size = 0;
    while (value->size < limit && !feof(stdin) && !ferror(stdin) && !interrupt_seen()) {
        value->size += fread(value->bytes + value->size, 1, capacity - value->size, stdin);
        if (value->size == capacity) {
            capacity *= 2;
            value->bytes = must_realloc(value->bytes, capacity);
        }
    }
    const bool good = !ferror(stdin);
    clearerr(stdin); /* a terminal goes on after Ctrl-D */
    return good;
}

/* The value itself, or what stdin holds if it is "-"; NULL, having said so, if that cannot be read.
 * `read` is what to free. */
static const struct word *value_or_stdin(struct shell *shell, const struct word *word,
                                         struct word *read)
{
    *read = (struct word){0};
    if (word->quoted || !word_is(word, "-")) {
        return word;
    }
    shell->stdin_used = true;
    if (isatty(STDIN_FILENO) == 1 && !shell->options->quiet) {
        (void)fputs("type the value, newlines and all; Ctrl-D on a line of its own ends it\n",
                    stderr);
    }
    const bool good = read_stdin(read);
    if (interrupt_seen()) {
        (void)fputs(isatty(STDIN_FILENO) == 1 ? "\n" : "", stderr); /* behind the terminal's ^C */
        (void)report_error(shell, EXIT_UNAVAILABLE, "cancelled", "cancelled; nothing was sent");
        free(read->bytes);
        return NULL;
    }
    if (!good) {
        (void)report_error(shell, EXIT_IO, "io", "cannot read the value from stdin: %s",
                           strerror(errno));
        free(read->bytes);
        return NULL;
    }
    return read;
}

static bool parse_signed(const struct word *word, int64_t *number)
{
    if (word->size == 0 || strlen((const char *)word->bytes) != word->size) {
        return false;
    }
    char *end;
    errno = 0;
    const long long value = strtoll((const char *)word->bytes, &end, 10);
    *number = value;
    return errno == 0 && *end == '\0' && word->bytes[0] != ' ';
}

/* ---- key and value ---- */

bool kv_is_option_of_get(const struct word *word)
{
    return !word->quoted && (word_is(word, "--stale") || word_is(word, "--at-least"));
}

static bool parse_op(const struct word *word, uint64_t *op_number)
{
    int64_t number;
    if (word == NULL || !parse_signed(word, &number) || number < 1) {
        return false;
    }
    *op_number = (uint64_t)number;
    return true;
}

/* What is read, and how old it may be. */
struct get {
    const struct word *key; /* NULL: none was given */
    bool stale;
    uint64_t at_least_op; /* of a stale one; 0: whatever */
};

/* Options may stand before the key or behind it. EXIT_DONE, or what was said to be wrong. */
static int parse_get(const struct shell *shell, const struct words *words, struct get *get)
{
    *get = (struct get){0};
    for (size_t i = 1; i < words->count; i++) {
        const struct word *word = &words->items[i];
        if (!kv_is_option_of_get(word)) {
            if (get->key != NULL) {
                return report_usage(shell, word->begin, word->end,
                                    "get: one key, please; example: get greeting --stale");
            }
            get->key = word;
            continue;
        }
        get->stale = true;
        if (word_is(word, "--at-least") && !parse_op(argument(words, ++i), &get->at_least_op)) {
            return report_usage(shell, word->begin, word->end,
                                "get: --at-least wants an op number above 0, as --json shows it; "
                                "example: get greeting --at-least 1234");
        }
    }
    if (get->key == NULL) {
        return report_usage(shell, words->items[0].begin, words->items[0].end,
                            "get: which key? example: get greeting --stale");
    }
    if (shell->seen != NULL) {
        seen_keys_add(shell->seen, get->key->bytes, get->key->size);
    }
    return EXIT_DONE;
}

static enum vr_outcome get_value(const struct shell *shell, const struct get *get,
                                 struct vr_result *result)
{
    const struct word *key = get->key;
    const uint32_t timeout_ms = shell->options->timeout_ms;
    return get->stale ? vr_kv_get_stale(shell->session, key->bytes, key->size, get->at_least_op,
                                        timeout_ms, result)
                      : vr_kv_get(shell->session, key->bytes, key->size, timeout_ms, result);
}

int kv_get_run(struct shell *shell, const struct words *words)
{
    struct get get;
    struct vr_result result;
    int code = parse_get(shell, words, &get);
    if (code != EXIT_DONE) {
        return code;
    }
    if (get_value(shell, &get, &result) == VR_OK) {
        code = report_value(shell, &result);
    } else {
        code = report_failure(shell, &result);
    }
    vr_result_free(&result);
    return code;
}

/* Says ok or why not. */
static int report_plain(const struct shell *shell, struct vr_result *result)
{
    const int code =
        result->outcome == VR_OK ? report_ok(shell, result) : report_failure(shell, result);
    vr_result_free(result);
    return code;
}

int kv_set_run(struct shell *shell, const struct words *words)
{
    const struct word *key = key_argument(shell, words);
    struct word read;
    const struct word *value = value_or_stdin(shell, argument(words, 2), &read);
    if (value == NULL) {
        return EXIT_IO;
    }
    struct vr_result result;
    (void)vr_kv_set(shell->session, key->bytes, key->size, value->bytes, value->size,
                    shell->options->timeout_ms, &result);
    free(read.bytes);
    return report_plain(shell, &result);
}

int kv_del_run(struct shell *shell, const struct words *words)
{
    const struct word *key = key_argument(shell, words);
    struct vr_result result;
    (void)vr_kv_del(shell->session, key->bytes, key->size, shell->options->timeout_ms, &result);
    return report_plain(shell, &result);
}

int kv_cas_run(struct shell *shell, const struct words *words)
{
    const struct word *key = key_argument(shell, words);
    const struct word *old = argument(words, 2);
    const bool absent = !old->quoted && word_is(old, "--absent");
    struct word read;
    const struct word *value = value_or_stdin(shell, argument(words, 3), &read);
    if (value == NULL) {
        return EXIT_IO;
    }
    struct vr_result result;
    (void)vr_kv_cas(shell->session, key->bytes, key->size, absent ? NULL : old->bytes, old->size,
                    value->bytes, value->size, shell->options->timeout_ms, &result);
    free(read.bytes);
    return report_plain(shell, &result);
}

int kv_incr_run(struct shell *shell, const struct words *words)
{
    const struct word *key = key_argument(shell, words);
    const struct word *by = argument(words, 2);
    int64_t number = 1;
    if (by != NULL && !parse_signed(by, &number)) {
        return report_usage(shell, by->begin, by->end,
                            "incr: \"%s\" is no signed 64-bit number; example: incr visits -5",
                            by->bytes);
    }
    struct vr_result result;
    int code;
    if (vr_kv_incr(shell->session, key->bytes, key->size, number, shell->options->timeout_ms,
                   &result) == VR_OK) {
        code = report_number(shell, &result);
    } else {
        code = report_failure(shell, &result);
    }
    vr_result_free(&result);
    return code;
}

/* ---- scan ---- */

struct scan_output {
    const struct shell *shell;
    uint64_t count;
};

static bool print_pair(void *context, const void *key, size_t key_size, const void *value,
                       size_t value_size)
{
    struct scan_output *output = context;
    output->count++;
    if (output->shell->seen != NULL && output->count <= SEEN_KEYS_SCAN_MAX) {
        seen_keys_add(output->shell->seen, key, key_size);
    }
    if (output->shell->options->json) {
        json_t *object = json_object();
        json_set_bytes(object, "key", key, key_size);
        json_set_bytes(object, "value", value, value_size);
        json_print_line(object);
    } else if (output->shell->source == SOURCE_ARGUMENTS) {
        (void)fwrite(key, 1, key_size, stdout);
        (void)putchar('\t');
        (void)fwrite(value, 1, value_size, stdout);
        (void)putchar('\n');
    } else {
        char *key_text = word_escape(key, key_size);
        char *value_text = word_escape(value, value_size);
        (void)printf("%s\t%s\n", key_text, value_text);
        free(key_text);
        free(value_text);
    }
    return !ferror(stdout) && !interrupt_seen();
}

int kv_scan_run(struct shell *shell, const struct words *words)
{
    const struct word *prefix = argument(words, 1);
    const struct word *limit_word = argument(words, 2);
    uint64_t limit = 0;
    if (limit_word != NULL &&
        !option_number((const char *)limit_word->bytes, 1, INT64_MAX, &limit)) {
        return report_usage(shell, limit_word->begin, limit_word->end,
                            "scan: the limit \"%s\" is no number above 0; example: scan user/ 10",
                            limit_word->bytes);
    }
    struct scan_output output = {.shell = shell};
    struct vr_result result;
    const enum vr_outcome outcome = vr_kv_scan(
        shell->session, prefix != NULL ? prefix->bytes : NULL, prefix != NULL ? prefix->size : 0,
        limit, print_pair, &output, shell->options->timeout_ms, &result);
    int code = EXIT_DONE;
    if (outcome != VR_OK) {
        code = report_failure(shell, &result);
    } else if (shell->options->json) {
        json_t *object = report_json_ok(&result);
        json_set_u64(object, "count", output.count);
        json_print_line(object);
    } else if (shell->source == SOURCE_TERMINAL) {
        char count[GROUPED_MAX];
        (void)printf("%s key%s\n", explain_grouped(output.count, count),
                     output.count == 1 ? "" : "s");
    }
    vr_result_free(&result);
    return code;
}
