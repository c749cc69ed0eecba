/* SPDX-License-Identifier: Apache-2.0 */
/* check_history - says whether what clients saw of a group can be explained by executing their
 * operations one after the other: whether their histories, one or several files of one run
 * (history_file.h), are linearizable. The group began empty.
 *
 *     check_history FILE...
 *
 * Exit code 0: linearizable; 1: not, or not decided; 2: usage, or a file that is no history. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "test/support/history_file.h"
#include "test/support/linear_text.h"

enum { EXIT_USAGE = 2 };

/* As it stands in the file. */
static void print_operation(const struct history *history, const struct linear_operation *operation)
{
    const struct history_place *place = &history->places[operation->tag];
    printf("  %s, line %" PRIu32 ":\n    %s\n    %s\n", place->path, place->line, place->invocation,
           place->end != NULL ? place->end : "(it never ended)");
}

static void print_verdict(const struct history *history, const struct linear_verdict *verdict)
{
    char text[LINEAR_VERDICT_TEXT_MAX];
    linear_verdict_text(verdict, text);
    printf("%s: %s\n", verdict->outcome == LINEAR_NO ? "NOT LINEARIZABLE" : "NOT DECIDED", text);
    if (verdict->writer != NULL) {
        printf("What it holds there is by\n");
        print_operation(history, verdict->writer);
    }
    printf("What does not fit then:\n");
    for (uint32_t i = 0; i < verdict->stuck_count; i++) {
        print_operation(history, verdict->stuck[i]);
    }
}

/* Sorted by key, once they were judged. */
static size_t count_keys(const struct history *history)
{
    size_t keys = 0;
    for (size_t i = 0; i < history->count; i++) {
        keys += i == 0 || history->operations[i].key != history->operations[i - 1].key ? 1 : 0;
    }
    return keys;
}

static int judge(struct history *history)
{
    struct linear_search *search = linear_create();
    uint64_t undecided;
    const struct linear_verdict verdict =
        linear_check(search, history->operations, history->count, LINEAR_STEPS_MAX, &undecided);
    if (verdict.outcome != LINEAR_YES) {
        print_verdict(history, &verdict);
    }
    printf("%zu operations on %zu keys, %zu of unknown outcome, %zu not executed, %" PRIu64
           " steps: %s\n",
           history->count, count_keys(history), history->unknown_count, history->failed_count,
           verdict.steps,
           verdict.outcome == LINEAR_YES  ? "linearizable"
           : verdict.outcome == LINEAR_NO ? "not linearizable"
                                          : "not decided");
    linear_destroy(search);
    return verdict.outcome == LINEAR_YES ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    struct history history = {0};
    char message[HISTORY_MESSAGE_MAX];
    if (argc < 2) {
        fprintf(stderr, "usage: check_history FILE...\n");
        return EXIT_USAGE;
    }
    for (int i = 1; i < argc; i++) {
        if (history_read(&history, argv[i], message) != 0) {
            fprintf(stderr, "check_history: %s\n", message);
            history_free(&history);
            return EXIT_USAGE;
        }
    }
    const int status = judge(&history);
    history_free(&history);
    return status;
}
