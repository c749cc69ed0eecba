/* SPDX-License-Identifier: Apache-2.0 */
/* commands.h - the commands, one table for the command line, the REPL and pipes.
 *
 * Threads: main's alone. */
#ifndef VR_CLI_COMMANDS_H
#define VR_CLI_COMMANDS_H

#include "client/cli/options.h"
#include "client/cli/seen_keys.h"
#include "client/cli/waiting.h"
#include "client/cli/words.h"
#include "client/lib/vr/client.h"

/* Where commands come from decides what their answers look like. */
enum source {
    SOURCE_ARGUMENTS, /* one-shot: values raw, set says nothing */
    SOURCE_PIPE,      /* one answer a line */
    SOURCE_TERMINAL,
};

struct shell {
    const struct options *options;
    enum source source;
    struct vr_client *client;   /* opened by the first command that needs it */
    struct vr_session *session; /* its only one */
    bool stdin_used;            /* "-" has read it to its end */
    bool timing;                /* each command's time is told */
    struct waiting waiting;
    struct seen_keys *seen; /* for completion; NULL: none is wanted */
    /* The line that is run, so that errors can point at it; NULL: there is none. */
    const char *line;
    size_t line_size;
    size_t line_number;  /* of a pipe, from 1 */
    size_t prompt_width; /* of a terminal, left of the line */
};

struct command {
    const char *name;
    const char *arguments; /* "KEY VALUE" */
    const char *summary;
    const char *details; /* more sentences; may be "" */
    const char *example;
    size_t arguments_min;
    size_t arguments_max;
    /* words->items[0] is the name. Returns an exit code. */
    int (*run)(struct shell *shell, const struct words *words);
};

/* NULL if there is none of that name. */
const struct command *command_find(const struct word *name);

/* The table, for completion and help; ends with a NULL name. */
extern const struct command command_table[];

/* Runs a command line. Returns an exit code. No words: nothing to do. */
int command_run(struct shell *shell, const struct words *words);

/* The names of all commands, and of what the REPL alone knows; ends with a NULL. */
const char *const *command_names(void);

/* Says that there is no such command, and which one may be meant. Returns EXIT_USAGE. */
int command_report_unknown(const struct shell *shell, const struct word *word);

/* Opens the client unless it is open. Returns 0 or an exit code, having said why. */
int shell_open(struct shell *shell);
void shell_close(struct shell *shell);

#endif
