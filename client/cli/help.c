/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/help.h"

#include <stdio.h>

#include "client/cli/exit_code.h"
#include "client/cli/report.h"

static void add_help_json(json_t *commands, const struct command *command)
{
    json_t *object = json_object();
    json_set_text(object, "name", command->name);
    json_set_text(object, "arguments", command->arguments);
    json_set_text(object, "summary", command->summary);
    json_set_text(object, "details", command->details);
    json_set_text(object, "example", command->example);
    (void)json_array_append_new(commands, object);
}

/* One command, or all if NULL: {"ok":true,"commands":[...]} */
static void print_help_json(const struct command *only)
{
    json_t *commands = json_array();
    for (const struct command *command = command_table; command->name != NULL; command++) {
        if (only == NULL || command == only) {
            add_help_json(commands, command);
        }
    }
    json_t *object = json_object();
    (void)json_object_set_new(object, "ok", json_true());
    (void)json_object_set_new(object, "commands", commands);
    json_print_line(object);
}

static void print_help(const struct command *command)
{
    (void)printf("%s %s\n    %s\n", command->name, command->arguments, command->summary);
    if (command->details[0] != '\0') {
        (void)printf("    %s\n", command->details);
    }
    (void)printf("    example: %s\n", command->example);
}

int help_explain(const struct shell *shell, const struct command *command)
{
    if (shell->options->json) {
        print_help_json(command);
    } else {
        print_help(command);
    }
    return EXIT_DONE;
}

int help_run(struct shell *shell, const struct words *words)
{
    if (words->count > 1) {
        const struct command *command = command_find(&words->items[1]);
        if (command == NULL) {
            return command_report_unknown(shell, &words->items[1]);
        }
        return help_explain(shell, command);
    }
    if (shell->options->json) {
        print_help_json(NULL);
        return EXIT_DONE;
    }
    for (const struct command *command = command_table; command->name != NULL; command++) {
        char usage[64];
        (void)snprintf(usage, sizeof usage, "%s %s", command->name, command->arguments);
        (void)printf("  %-32s %s\n", usage, command->summary);
    }
    (void)puts(
        "  Words with spaces go in quotes; \\xNN is any byte; \"help set\" says more of set.");
    if (shell->source == SOURCE_TERMINAL) {
        (void)puts("  Tab completes commands and keys seen; Ctrl-C cancels a command; Ctrl-D, quit "
                   "or exit leaves.\n"
                   "  A line that begins with a blank is not kept in the history.");
    }
    return EXIT_DONE;
}
