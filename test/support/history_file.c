/* SPDX-License-Identifier: Apache-2.0 */
#include "test/support/history_file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/invariant.h"

enum { WORDS_MAX = 8, CLIENTS_MAX = 1024 };

#define NO_OPERATION SIZE_MAX

/* One file, while it is read. */
struct reading {
    struct history *history;
    const char *path;
    uint32_t line;
    const char *text; /* of the line */
    char *message;
    uint32_t word_count;
    char *words[WORDS_MAX + 1];
    size_t under_way[CLIENTS_MAX]; /* operation of each client, or NO_OPERATION */
    uint64_t numbers[CLIENTS_MAX]; /* and its number */
};

static int refuse(struct reading *r, const char *what)
{
    (void)snprintf(r->message, HISTORY_MESSAGE_MAX, "%s, line %" PRIu32 ": %s: %.200s", r->path,
                   r->line, what, r->text);
    return -EINVAL;
}

static bool parse_u64(const char *word, uint64_t *number)
{
    char *end;
    errno = 0;
    *number = strtoull(word, &end, 10);
    return errno == 0 && *word >= '0' && *word <= '9' && *end == '\0';
}

static bool parse_i64(const char *word, int64_t *number)
{
    char *end;
    errno = 0;
    *number = strtoll(word, &end, 10);
    return errno == 0 && end != word && *end == '\0';
}

static struct kv_bytes word_bytes(const char *word)
{
    return (struct kv_bytes){(const uint8_t *)word, strlen(word)};
}

/* ---- "> CLIENT NUMBER NS VERB KEY ..." ---- */

static bool parse_operation(const struct reading *r, struct kv_operation *o)
{
    static const struct {
        const char *name;
        enum kv_kind kind;
        uint32_t words;
    } verbs[] = {{"get", KV_GET, 6},
                 {"set", KV_SET, 7},
                 {"del", KV_DEL, 6},
                 {"cas", KV_CAS, 8},
                 {"incr", KV_INCR, 7}};
    size_t at = 0;
    while (at < sizeof verbs / sizeof verbs[0] &&
           (r->word_count != verbs[at].words || strcmp(r->words[4], verbs[at].name) != 0)) {
        at++;
    }
    if (at == sizeof verbs / sizeof verbs[0]) {
        return false;
    }
    *o = (struct kv_operation){.kind = verbs[at].kind, .key = word_bytes(r->words[5])};
    if (o->kind == KV_CAS) {
        o->expect_absent = strcmp(r->words[6], "-") == 0;
        o->expected = word_bytes(o->expect_absent ? "" : r->words[6]);
    }
    if (o->kind == KV_SET || o->kind == KV_CAS) {
        o->value = word_bytes(r->words[r->word_count - 1]);
    }
    return o->kind != KV_INCR || parse_i64(r->words[6], &o->by);
}

static void make_room(struct history *history)
{
    if (history->count < history->capacity) {
        return;
    }
    history->capacity = 2 * history->capacity + 4096;
    history->operations =
        realloc(history->operations, history->capacity * sizeof *history->operations);
    history->places = realloc(history->places, history->capacity * sizeof *history->places);
    INVARIANT(history->operations != NULL);
    INVARIANT(history->places != NULL);
}

static int take_invocation(struct reading *r, uint32_t client, uint64_t number, uint64_t at_ns)
{
    struct history *history = r->history;
    struct kv_operation operation;
    if (r->under_way[client] != NO_OPERATION) {
        return refuse(r, "this client's operation before has not ended");
    }
    if (!parse_operation(r, &operation)) {
        return refuse(r, "no operation");
    }
    make_room(history);
    history->places[history->count] = (struct history_place){r->path, r->line, r->text, NULL};
    history->operations[history->count] = (struct linear_operation){
        .key = cell_key(operation.key.bytes, operation.key.size),
        .client = client,
        .tag = (uint32_t)history->count,
        .invoked_ns = at_ns,
        .returned_ns = LINEAR_UNKNOWN,
        .operation = cell_operation(&operation),
    };
    history->unknown_count++;
    r->under_way[client] = history->count++;
    r->numbers[client] = number;
    return 0;
}

/* ---- "< CLIENT NUMBER NS STATUS ..." ---- */

static bool parse_status(const char *word, enum kv_status *status)
{
    static const struct {
        const char *name;
        enum kv_status status;
    } names[] = {{"ok", KV_OK},
                 {"not_found", KV_NOT_FOUND},
                 {"mismatch", KV_MISMATCH},
                 {"not_a_number", KV_NOT_A_NUMBER},
                 {"overflow", KV_OVERFLOW}};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(word, names[i].name) == 0) {
            *status = names[i].status;
            return true;
        }
    }
    return false;
}

static bool parse_result(struct reading *r, struct linear_operation *o)
{
    const enum kv_kind verb = o->operation.verb;
    int64_t number;
    if (r->word_count > 5 && r->words[r->word_count - 1][0] == '@') {
        if (!parse_u64(r->words[--r->word_count] + 1, &o->hint)) {
            return false;
        }
    }
    if (!parse_status(r->words[4], &o->result.status)) {
        return false;
    }
    const bool has_value = o->result.status == KV_OK && (verb == KV_GET || verb == KV_INCR);
    if (r->word_count != (has_value ? 6u : 5u)) {
        return false;
    }
    if (has_value && verb == KV_INCR) {
        const bool parsed = parse_i64(r->words[5], &number);
        o->result.value = cell_number(parsed ? number : 0);
        return parsed;
    }
    if (has_value) {
        o->result.value = cell_text(r->words[5], strlen(r->words[5]));
    }
    return true;
}

static int take_end(struct reading *r, uint32_t client, uint64_t number, uint64_t at_ns)
{
    struct history *history = r->history;
    const size_t at = r->under_way[client];
    if (at == NO_OPERATION || r->numbers[client] != number) {
        return refuse(r, "this client has no such operation under way");
    }
    struct linear_operation *o = &history->operations[at];
    if (at_ns < o->invoked_ns) {
        return refuse(r, "it ends before it began");
    }
    r->under_way[client] = NO_OPERATION;
    history->places[at].end = r->text;
    if (r->word_count == 5 && strcmp(r->words[4], "unknown") == 0) {
        return 0;
    }
    history->unknown_count--;
    if (r->word_count == 5 && strcmp(r->words[4], "failed") == 0) {
        history->failed_count++;
        o->operation = (struct cell_operation){.verb = KV_GET};
        return 0;
    }
    o->returned_ns = at_ns;
    return parse_result(r, o) ? 0 : refuse(r, "no result of this operation");
}

/* ---- lines ---- */

static int take_line(struct reading *r)
{
    char line[HISTORY_LINE_MAX];
    char *rest = line;
    uint64_t client;
    uint64_t number;
    uint64_t at_ns;
    if (strlen(r->text) >= sizeof line) {
        return refuse(r, "too long a line");
    }
    memcpy(line, r->text, strlen(r->text) + 1);
    r->word_count = 0;
    while (r->word_count <= WORDS_MAX &&
           (r->words[r->word_count] = strtok_r(rest, " ", &rest)) != NULL) {
        r->word_count++;
    }
    if (r->word_count < 5 || r->word_count > WORDS_MAX || !parse_u64(r->words[1], &client) ||
        !parse_u64(r->words[2], &number) || !parse_u64(r->words[3], &at_ns) ||
        at_ns == LINEAR_UNKNOWN) {
        return refuse(r, "expected \"> CLIENT NUMBER NS ...\" or \"< CLIENT NUMBER NS ...\"");
    }
    if (client >= CLIENTS_MAX) {
        return refuse(r, "clients are numbered from 0 to 1023");
    }
    if (strcmp(r->words[0], ">") == 0) {
        return take_invocation(r, (uint32_t)client, number, at_ns);
    }
    return strcmp(r->words[0], "<") == 0 ? take_end(r, (uint32_t)client, number, at_ns)
                                         : refuse(r, "neither > nor <");
}

/* Lines are cut apart in place. */
static int take_text(struct reading *r, char *text)
{
    char *end;
    int error = 0;
    for (; error == 0 && (end = strchr(text, '\n')) != NULL; text = end + 1) {
        *end = '\0';
        r->line++;
        r->text = text;
        if (r->line > 1) {
            error = take_line(r);
        } else if (strcmp(text, HISTORY_HEADER) != 0) {
            error = refuse(r, "a history begins with \"" HISTORY_HEADER "\"");
        }
    }
    if (error == 0 && r->line == 0) {
        r->text = text;
        error = refuse(r, "a history begins with \"" HISTORY_HEADER "\"");
    }
    return error;
}

static char *read_all(const char *path)
{
    FILE *file = fopen(path, "r");
    char *text = NULL;
    size_t size = 0;
    if (file == NULL) {
        return NULL;
    }
    /* Up to a NUL, which no history has: so all of it. */
    const ssize_t length = getdelim(&text, &size, '\0', file);
    if (length < 0 && !ferror(file)) {
        free(text);
        text = strdup("");
    }
    if (ferror(file)) {
        free(text);
        text = NULL;
    }
    (void)fclose(file); /* it was only read */
    return text;
}

int history_read(struct history *history, const char *path, char message[HISTORY_MESSAGE_MAX])
{
    struct reading *reading = calloc(1, sizeof *reading);
    char *text = read_all(path);
    const int error = errno;
    char **texts = realloc(history->texts, (history->text_count + 1) * sizeof *texts);
    INVARIANT(reading != NULL);
    INVARIANT(texts != NULL);
    history->texts = texts;
    if (text == NULL) {
        (void)snprintf(message, HISTORY_MESSAGE_MAX, "%s: %s", path, strerror(error));
        free(reading);
        return error > 0 ? -error : -EIO;
    }
    history->texts[history->text_count++] = text;
    *reading = (struct reading){.history = history, .path = path, .message = message};
    for (size_t i = 0; i < CLIENTS_MAX; i++) {
        reading->under_way[i] = NO_OPERATION;
    }
    const int status = take_text(reading, text);
    free(reading);
    return status;
}

void history_free(struct history *history)
{
    for (size_t i = 0; i < history->text_count; i++) {
        free(history->texts[i]);
    }
    free(history->texts);
    free(history->operations);
    free(history->places);
    *history = (struct history){0};
}
