/* SPDX-License-Identifier: Apache-2.0 */
/* restore.c - asks who the group is (survey.h), then each replica what it still holds; shows that,
 * asks twice, and tells those that lost their logs to take over the best one. */
#include "client/cli/restore.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/exit_code.h"
#include "client/cli/memory.h"
#include "client/cli/report.h"
#include "client/cli/restore_show.h"
#include "client/cli/status.h"
#include "client/cli/suggest.h"
#include "client/lib/cluster_list.h"
#include "common/os/clock.h"

enum {
    SERVE_WAIT_MS = 60 * 1000, /* at least so long it is awaited that the group serves */
    ROUND_MS = 500,
    ANSWER_SIZE = 64,
};

struct restore_options {
    struct options options; /* the caller's, with --json taken after the command, too */
    uint64_t without[REPLICAS_MAX];
    uint32_t without_count;
    bool yes; /* --yes, with the cluster's id */
    uint64_t cluster_id;
};

struct restore_command {
    const struct shell *shell;
    const struct restore_options *options;
    uint64_t cluster_id;
    struct restore_asker *asker;
    struct restore_choice choice;
};

/* ---- options ---- */

const char *const restore_option_names[] = {"--json", "--without", "--yes", NULL};

static bool parse_cluster_id(const char *text, uint64_t *id)
{
    char *end;
    if (strlen(text) != 16 || strspn(text, "0123456789abcdefABCDEF") != 16) {
        return false;
    }
    *id = strtoull(text, &end, 16);
    return *id != 0;
}

static int parse_one(const struct shell *shell, const struct words *words, size_t *at,
                     struct restore_options *options)
{
    const struct word *word = &words->items[*at];
    const char *value = *at + 1 < words->count ? (const char *)words->items[*at + 1].bytes : "";
    if (word_is(word, "--json")) {
        options->options.json = true;
        return 0;
    }
    (*at)++;
    if (word_is(word, "--without")) {
        if (options->without_count < REPLICAS_MAX &&
            option_number(value, 0, REPLICA_NONE - 1, &options->without[options->without_count])) {
            options->without_count++;
            return 0;
        }
        return report_error(shell, EXIT_USAGE, "usage",
                            "unsafe-restore: --without needs the number of a replica that is gone "
                            "for good; give it once for each; example: unsafe-restore --without 2");
    }
    if (word_is(word, "--yes")) {
        options->yes = true;
        return parse_cluster_id(value, &options->cluster_id)
                   ? 0
                   : report_error(shell, EXIT_USAGE, "usage",
                                  "unsafe-restore: --yes needs the cluster's id, 16 hexadecimal "
                                  "digits, so that it cannot meet another group");
    }
    const char *meant = suggest_nearest((const char *)word->bytes, restore_option_names);
    return report_error(shell, EXIT_USAGE, "usage",
                        "unsafe-restore: \"%s\" is no option%s%s; there are --without I, --yes "
                        "CLUSTER_ID and --json",
                        word->bytes, meant != NULL ? "; did you mean " : "",
                        meant != NULL ? meant : "");
}

/* Returns 0 or an exit code, having said why. */
static int parse(const struct shell *shell, const struct words *words,
                 struct restore_options *options)
{
    int code = 0;
    for (size_t i = 1; i < words->count && code == 0; i++) {
        code = parse_one(shell, words, &i, options);
    }
    return code;
}

static int mark_without(const struct restore_command *command)
{
    struct restore_asker *asker = command->asker;
    for (uint32_t w = 0; w < command->options->without_count; w++) {
        bool found = false;
        for (uint32_t i = 0; i < asker->count; i++) {
            if (asker->targets[i].replica_id == command->options->without[w]) {
                asker->targets[i].without = true;
                found = true;
            }
        }
        if (!found) {
            return report_error(command->shell, EXIT_USAGE, "usage",
                                "unsafe-restore: there is no replica %" PRIu64 " in this group",
                                command->options->without[w]);
        }
    }
    return 0;
}

/* ---- asking twice ---- */

static bool typed(const char *question, const char *wanted)
{
    char line[ANSWER_SIZE];
    (void)fputs(question, stderr);
    (void)fflush(stderr);
    if (fgets(line, sizeof line, stdin) == NULL) {
        clearerr(stdin);
        return false;
    }
    line[strcspn(line, "\r\n")] = '\0';
    return strcmp(line, wanted) == 0;
}

/* Returns 0 if it is to be done. */
static int agree(const struct restore_command *command)
{
    char id[17];
    (void)snprintf(id, sizeof id, "%016" PRIx64, command->cluster_id);
    if (command->options->yes) {
        return command->options->cluster_id == command->cluster_id
                   ? 0
                   : report_error(command->shell, EXIT_WRONG_GROUP, "wrong_cluster",
                                  "this is cluster %s, and not the one that --yes names: nothing "
                                  "was changed",
                                  id);
    }
    if (isatty(STDIN_FILENO) != 1) {
        return report_error(command->shell, EXIT_USAGE, "usage",
                            "unsafe-restore asks before it gives anything up, and stdin is no "
                            "terminal: to go on, run it in one, or with --yes %s. Nothing was "
                            "changed",
                            id);
    }
    char question[128];
    (void)snprintf(question, sizeof question, "\nType the cluster's id, %s, to go on: ", id);
    if (typed(question, id) && typed("Type yes to give up what is lost: ", "yes")) {
        return 0;
    }
    return report_error(command->shell, EXIT_USAGE, "cancelled",
                        "that was not it: nothing was changed");
}

/* ---- doing it ---- */

/* It may have taken a while to answer: is what was agreed to still what is there? */
static bool still_the_same(const struct restore_command *command)
{
    struct restore_choice now;
    uint32_t who;
    restore_ask_status(command->asker, command->options->options.timeout_ms);
    return restore_choose(command->asker->targets, command->asker->count, &now, &who) ==
               RESTORE_POSSIBLE &&
           memcmp(&now.restore, &command->choice.restore, sizeof now.restore) == 0;
}

static int say_unfinished(const struct restore_command *command)
{
    const struct restore_asker *asker = command->asker;
    bool forbidden = false;
    for (uint32_t i = 0; i < asker->count; i++) {
        const struct restore_target *target = &asker->targets[i];
        if (target->report.recovery_nonce == 0) {
            continue;
        }
        forbidden = forbidden || target->report.outcome == RESTORE_NOT_PERMITTED;
        (void)fprintf(stderr, "vr-client: replica %" PRIu32 " %s\n", target->replica_id,
                      restore_outcome_text(target->report.outcome));
    }
    if (forbidden) {
        return report_error(command->shell, EXIT_NOT_PERMITTED, "not_permitted",
                            "only who asks from a replica's own machine may tell it to take over "
                            "a log, unless it runs with --insecure; see --insecure in vr-server's "
                            "manual, and run unsafe-restore again");
    }
    return report_error(command->shell, EXIT_UNAVAILABLE, "unavailable",
                        "the group does not serve yet: see vr-client status, and run "
                        "unsafe-restore again if it still says that the group is lost");
}

/* Repeats what was agreed to until a primary acts. True: one does. */
static bool carry_out(const struct restore_command *command)
{
    struct restore_asker *asker = command->asker;
    const uint32_t asked_ms = command->options->options.timeout_ms;
    const uint32_t wait_ms = asked_ms > SERVE_WAIT_MS ? asked_ms : SERVE_WAIT_MS;
    const uint64_t deadline_ns = clock_monotonic_ns() + wait_ms * NANOSECONDS_PER_MILLISECOND;
    struct restore_report told[REPLICAS_MAX];
    do {
        restore_tell(asker, &command->choice.restore, ROUND_MS);
        for (uint32_t i = 0; i < asker->count; i++) {
            told[i] = asker->targets[i].report;
        }
        const bool refused = restore_is_refused(asker->targets, asker->count);
        restore_ask_status(asker, ROUND_MS);
        if (restore_has_primary(asker->targets, asker->count)) {
            return true;
        }
        for (uint32_t i = 0; i < asker->count; i++) {
            asker->targets[i].report = told[i]; /* whom it was said to, and what came of it */
        }
        if (refused) {
            return false;
        }
    } while (clock_monotonic_ns() < deadline_ns);
    return false;
}

static int restore_group(struct restore_command *command)
{
    struct restore_asker *asker = command->asker;
    const bool json = command->shell->options->json;
    uint32_t who;
    restore_ask_status(asker, command->options->options.timeout_ms);
    const enum restore_verdict verdict =
        restore_choose(asker->targets, asker->count, &command->choice, &who);
    if (!json) {
        restore_show_table(stdout, asker,
                           verdict == RESTORE_POSSIBLE ? command->choice.best : REPLICAS_MAX);
    }
    if (verdict != RESTORE_POSSIBLE) {
        (void)fflush(stdout);
        return restore_show_verdict(command->shell, asker, verdict, &command->choice, who);
    }
    if (!json) {
        restore_show_meaning(stdout, asker, &command->choice);
    }
    (void)fflush(stdout);
    const int code = agree(command);
    if (code != 0) {
        return code;
    }
    if (!still_the_same(command)) {
        return report_error(command->shell, EXIT_DEFINITE_FAILURE, "changed",
                            "the replicas hold something else by now than was shown, or one does "
                            "not answer any more; perhaps somebody else restores the group. See "
                            "vr-client status, and if it still says that the group is lost run "
                            "unsafe-restore again. Nothing was changed by this one");
    }
    if (!carry_out(command)) {
        return say_unfinished(command);
    }
    if (json) {
        restore_show_json(asker, &command->choice, EXIT_DONE);
    } else {
        (void)printf("The group serves again, with ops 1 to %" PRIu64 " of replica %" PRIu32
                     "'s log.\n",
                     command->choice.restore.log.op_number, command->choice.restore.source);
    }
    return EXIT_DONE;
}

static int run(const struct shell *shell, const struct survey *survey,
               const struct restore_options *options)
{
    if (survey_is_refused(survey)) {
        return status_report_refusal(shell, survey);
    }
    if (!survey->has_configuration) {
        return report_error(shell, EXIT_UNAVAILABLE, "unavailable",
                            "no replica answers, asked %s for %.1f s: see that they run and can be "
                            "reached; nothing was changed",
                            options->options.cluster,
                            (double)survey->took_ns / (double)NANOSECONDS_PER_SECOND);
    }
    struct restore_command command = {
        .shell = shell,
        .options = options,
        .cluster_id = survey->cluster_id,
        .asker = must_calloc(1, sizeof *command.asker),
    };
    const int error = restore_ask_open(command.asker, survey, options->options.datagram_size);
    int code;
    if (error != 0) {
        code = report_error(shell, EXIT_INTERNAL, "internal", "cannot open a socket: %s",
                            strerror(-error));
    } else {
        code = mark_without(&command);
        code = code == 0 ? restore_group(&command) : code;
        restore_ask_close(command.asker);
    }
    free(command.asker);
    return code;
}

int restore_run(struct shell *caller, const struct words *words)
{
    struct restore_options options = {.options = *caller->options};
    const struct shell shell = {.options = &options.options, .source = caller->source};
    struct cluster_list list;
    char message[VR_MESSAGE_MAX];
    int code = parse(&shell, words, &options);
    if (code != 0) {
        return code;
    }
    int error = cluster_list_resolve(options.options.cluster, &list, message, sizeof message);
    if (error != 0) {
        return report_no_address(&shell, error, EXIT_UNAVAILABLE, message);
    }
    struct survey *survey = must_calloc(1, sizeof *survey);
    error = survey_run(survey, list.addresses, list.count, options.options.timeout_ms,
                       options.options.datagram_size);
    code = error == 0 ? run(&shell, survey, &options)
                      : report_error(&shell, EXIT_INTERNAL, "internal", "cannot open a socket: %s",
                                     strerror(-error));
    survey_free(survey);
    free(survey);
    return code;
}
