/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/commands.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/backup.h"
#include "client/cli/exit_code.h"
#include "client/cli/flood.h"
#include "client/cli/help.h"
#include "client/cli/interrupt.h"
#include "client/cli/kv_commands.h"
#include "client/cli/log_level.h"
#include "client/cli/memory.h"
#include "client/cli/report.h"
#include "client/cli/restore.h"
#include "client/cli/status.h"
#include "client/cli/suggest.h"
#include "client/cli/trace.h"
#include "common/os/clock.h"

/* ---- the shell's client ---- */

int shell_open(struct shell *shell)
{
    if (shell->session != NULL) {
        return 0;
    }
    char message[VR_MESSAGE_MAX];
    const struct vr_client_options options = {.sessions_max = 1,
                                              .datagram_size = shell->options->datagram_size,
                                              .waiting = waiting_step,
                                              .waiting_context = &shell->waiting};
    if (shell->client == NULL) {
        const int error =
            vr_client_open(shell->options->cluster, &options, &shell->client, message);
        if (error != 0) {
            return report_no_address(shell, error, EXIT_UNAVAILABLE, message);
        }
    }
    shell->waiting.client = shell->client;
    shell->session = vr_session_open(shell->client);
    if (shell->session == NULL) {
        return report_error(shell, EXIT_INTERNAL, "internal", "no memory for a session");
    }
    return 0;
}

void shell_close(struct shell *shell)
{
    vr_client_close(shell->client);
    shell->client = NULL;
    shell->session = NULL;
    shell->waiting.client = NULL;
}

/* ---- timing ---- */

static int run_timing(struct shell *shell, const struct words *words)
{
    const struct word *what = &words->items[1];
    if (words->count == 2 && (word_is(what, "on") || word_is(what, "off"))) {
        shell->timing = word_is(what, "on");
        return EXIT_DONE;
    }
    const struct words timed = {.items = &words->items[1], .count = words->count - 1};
    const bool before = shell->timing;
    shell->timing = true;
    const int code = command_run(shell, &timed);
    shell->timing = before;
    return code;
}

/* ---- the table ---- */

const struct command command_table[] = {
    {"get", "KEY [--stale] [--at-least OP]", "Prints the value of a key.",
     "--stale asks any replica, even one cut off from the others: the value may be old; with "
     "--at-least OP it shows at least that op. Exit code 1 if there is no such key.",
     "get greeting", 1, 4, kv_get_run},
    {"set", "KEY VALUE", "Sets a key.", "- as VALUE reads the value from stdin; -- - is a dash.",
     "set greeting \"hello world\"", 2, 2, kv_set_run},
    {"del", "KEY", "Deletes a key.", "Exit code 1 if there is no such key.", "del greeting", 1, 1,
     kv_del_run},
    {"cas", "KEY OLD NEW", "Sets a key if its value is OLD.",
     "--absent as OLD: if there is no such key. Exit code 1 if not.", "cas lock --absent mine", 3,
     3, kv_cas_run},
    {"incr", "KEY [N]", "Adds N, or 1, to a number and prints the sum.",
     "Signed 64 bit; a missing key counts as 0.", "incr visits 10", 1, 2, kv_incr_run},
    {"scan", "[PREFIX] [LIMIT]", "Prints keys and values, in order of keys.", "", "scan user/ 10",
     0, 2, kv_scan_run},
    {"status", "[OPTIONS]", "Shows the group and every replica in it.",
     "--watch shows it again every second, or every --interval SECONDS; --json as an object. Exit "
     "codes: 0 healthy, 3 degraded, 4 unavailable, 5 unknown.",
     "status --watch", 0, SIZE_MAX, status_run},
    {"log-level", "[--replica I] [LEVELS]", "Shows or changes how much replicas log.",
     "LEVELS: error, warning, info or debug, for all or a subsystem, as in info,network=debug. "
     "Only "
     "from a replica's own machine. Exit codes: 0 all did, 4 one does not answer, 6 one refused.",
     "log-level network=debug", 0, SIZE_MAX, log_level_run},
    {"unsafe-restore", "[OPTIONS]", "Makes a group serve that lost a majority's logs.",
     "Shows what is left and what will be lost, and asks twice, or goes by --yes CLUSTER_ID. "
     "--without I for each replica that "
     "is gone for good. Exit codes: 0 it serves, 1 it is not lost, 4 too few answer, 6 one "
     "refused.",
     "unsafe-restore --without 2", 0, SIZE_MAX, restore_run},
    {"backup", "[--replica I] [--force] FILE", "Writes the state of the group to a file.",
     "It holds everything that was acknowledged before, and is whole: vr-server init --from-backup "
     "makes a new cluster of it. A backup replica makes it, or --replica I; --force replaces FILE.",
     "backup /var/backups/monday.vrb", 1, SIZE_MAX, backup_run},
    {"flood", "[OPTIONS]", "Measures throughput and latency.", "flood --help lists its options.",
     "flood --clients 64 --duration 10 --mix 50", 0, SIZE_MAX, flood_run},
    {"trace", "[OPTIONS]", "Shows the messages of all replicas, in order.",
     "trace --help lists its options; --op N explains one operation, --follow goes on.",
     "trace --op 12", 0, SIZE_MAX, trace_run},
    {"timing", "on|off|COMMAND ...", "Tells how long each command takes, or this one.",
     "Round trip and all, on stderr.", "timing on", 1, SIZE_MAX, run_timing},
    {"help", "[COMMAND]", "Lists the commands, or explains one.", "", "help set", 0, 1, help_run},
    {NULL, NULL, NULL, NULL, NULL, 0, 0, NULL},
};

const struct command *command_find(const struct word *name)
{
    for (const struct command *command = command_table; command->name != NULL; command++) {
        if (word_is(name, command->name)) {
            return command;
        }
    }
    return NULL;
}

const char *const *command_names(void)
{
    enum { TABLE_SIZE = sizeof command_table / sizeof command_table[0] };
    static const char *names[TABLE_SIZE + 2] = {"exit", "quit"};
    for (size_t i = 0; command_table[i].name != NULL; i++) {
        names[i + 2] = command_table[i].name;
    }
    return names;
}

int command_report_unknown(const struct shell *shell, const struct word *word)
{
    static const struct {
        const char *elsewhere;
        const char *here;
    } known_elsewhere[] = {{"put", "set"},    {"insert", "set"},  {"update", "set"},
                           {"read", "get"},   {"list", "scan"},   {"ls", "scan"},
                           {"keys", "scan"},  {"delete", "del"},  {"rm", "del"},
                           {"remove", "del"}, {"inc", "incr"},    {"add", "incr"},
                           {"?", "help"},     {"bench", "flood"}, {"time", "timing"}};
    const char *meant = NULL;
    for (size_t i = 0; i < sizeof known_elsewhere / sizeof known_elsewhere[0]; i++) {
        meant = word_is(word, known_elsewhere[i].elsewhere) ? known_elsewhere[i].here : meant;
    }
    meant = meant != NULL ? meant : suggest_nearest((const char *)word->bytes, command_names());
    if (meant == NULL) {
        return report_usage(shell, word->begin, word->end,
                            "there is no command \"%s\"; \"help\" lists them", word->bytes);
    }
    return report_usage(shell, word->begin, word->end,
                        "there is no command \"%s\"; did you mean \"%s\"? \"help\" lists them all",
                        word->bytes, meant);
}

/* Commands that use the shell's session; the others find their own way to the group. */
static bool needs_session(const struct command *command)
{
    return command->run != help_run && command->run != status_run && command->run != flood_run &&
           command->run != trace_run && command->run != log_level_run &&
           command->run != restore_run && command->run != backup_run && command->run != run_timing;
}

/* Points at the first argument that is one too many, or behind the last where one is missing. */
static int report_argument_count(const struct shell *shell, const struct command *command,
                                 const struct words *words)
{
    const bool too_few = words->count - 1 < command->arguments_min;
    const struct word *last = &words->items[words->count - 1];
    const struct word *extra = too_few ? last : &words->items[command->arguments_max + 1];
    const char *hint = "";
    if (!too_few) {
        hint = shell->source == SOURCE_ARGUMENTS ? " (options go before the command)"
                                                 : "; a value with blanks in it goes in quotes";
    }
    return report_usage(shell, too_few ? last->end + 1 : extra->begin,
                        too_few ? last->end + 1 : extra->end, "%s: %s arguments; usage: %s %s%s",
                        command->name, too_few ? "too few" : "too many", command->name,
                        command->arguments, hint);
}

/* With Ctrl-C as a cancelled command rather than the end of the program. */
static int run_cancellable(struct shell *shell, const struct command *command,
                           const struct words *words)
{
    const int code = needs_session(command) ? shell_open(shell) : 0;
    if (code != 0) {
        return code;
    }
    waiting_begin(&shell->waiting);
    interrupt_catch();
    const int ended = command->run(shell, words);
    interrupt_release();
    return ended;
}

/* Runs a command whose words are what they mean. */
static int run_checked(struct shell *shell, const struct command *command,
                       const struct words *words)
{
    const size_t arguments = words->count - 1;
    if (arguments < command->arguments_min || arguments > command->arguments_max) {
        return report_argument_count(shell, command, words);
    }
    const bool timed = shell->timing && command->run != run_timing;
    const uint64_t began_ns = clock_monotonic_ns();
    const int code = run_cancellable(shell, command, words);
    if (timed) {
        const uint64_t took_ns = clock_monotonic_ns() - began_ns;
        (void)fflush(stdout); /* in order, where both go to one place */
        (void)fprintf(stderr, "(%.2f ms)\n", (double)took_ns / (double)NANOSECONDS_PER_MILLISECOND);
    }
    return code;
}

/* Leaves out the first "--": what follows means itself, as if it were quoted. The bytes stay those
 * of `words`; the caller frees only the items. */
static struct words end_options(const struct words *words)
{
    struct words plain = {.items = must_calloc(words->count, sizeof *words->items)};
    bool ended = false;
    for (size_t i = 0; i < words->count; i++) {
        const struct word *word = &words->items[i];
        if (!ended && !word->quoted && word_is(word, "--")) {
            ended = true;
            continue;
        }
        plain.items[plain.count] = *word;
        plain.items[plain.count++].quoted = word->quoted || ended;
    }
    return plain;
}

/* The first argument that looks like an option, and is no value nor one that the command knows;
 * NULL: there is none. */
static const struct word *find_option(const struct command *command, const struct words *words)
{
    for (size_t i = 1; i < words->count; i++) {
        const struct word *word = &words->items[i];
        if (command->run == kv_get_run && kv_is_option_of_get(word)) {
            continue;
        }
        if (!word->quoted && word->size > 2 && memcmp(word->bytes, "--", 2) == 0) {
            return word;
        }
    }
    return NULL;
}

/* Those of the program itself may have been meant, on its command line. */
static int refuse_option(const struct shell *shell, const struct command *command,
                         const struct word *option)
{
    static const char *const names[] = {"--help",  "--cluster",    "--timeout", "--json",
                                        "--quiet", "--keep-going", "--config",  NULL};
    static const char *const names_inside[] = {"--help", NULL};
    static const char *const names_of_get[] = {"--stale",   "--at-least", "--help",  "--cluster",
                                               "--timeout", "--json",     "--quiet", "--keep-going",
                                               "--config",  NULL};
    static const char *const names_of_cas[] = {"--absent", "--help", NULL};
    const bool from_arguments = shell->source == SOURCE_ARGUMENTS;
    const char *meant =
        suggest_nearest((const char *)option->bytes, command->run == kv_cas_run   ? names_of_cas
                                                     : command->run == kv_get_run ? names_of_get
                                                     : from_arguments             ? names
                                                                                  : names_inside);
    meant = meant != NULL && !word_is(option, meant) ? meant : NULL;
    return report_usage(shell, option->begin, option->end,
                        "%s: no option %s%s%s%s; put -- before it where it is a key or a value",
                        command->name, (const char *)option->bytes,
                        from_arguments ? " (vr-client's go before the command)" : "",
                        meant != NULL ? "; did you mean " : "", meant != NULL ? meant : "");
}

/* Options of a command that parses none: --help explains it, another one is no key by accident.
 * Returns true if that is all there is to do, with an exit code. */
static bool judge_option(const struct shell *shell, const struct command *command,
                         const struct words *words, int *code)
{
    const struct word *option = find_option(command, words);
    const bool parses = command->run == flood_run || command->run == trace_run;
    if (option == NULL || parses || command->run == run_timing) {
        return false;
    }
    if (word_is(option, "--help")) {
        *code = help_explain(shell, command);
        return true;
    }
    if (!needs_session(command) || (command->run == kv_cas_run && word_is(option, "--absent"))) {
        return false;
    }
    *code = refuse_option(shell, command, option);
    return true;
}

int command_run(struct shell *shell, const struct words *words)
{
    if (words->count == 0) {
        return EXIT_DONE;
    }
    const struct command *command = command_find(&words->items[0]);
    if (command == NULL) {
        return command_report_unknown(shell, &words->items[0]);
    }
    struct words plain = end_options(words);
    int code;
    if (!judge_option(shell, command, &plain, &code)) {
        code = run_checked(shell, command, &plain);
    }
    free(plain.items);
    return code;
}
