/* SPDX-License-Identifier: Apache-2.0 */
/* vr-client: one command, or commands that are read. */
#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/commands.h"
#include "client/cli/exit_code.h"
#include "client/cli/repl.h"
#include "client/cli/terminal.h"
#include "common/os/process.h"

static int run(struct shell *shell)
{
    if (shell->options->command_count == 0) {
        const bool terminal = isatty(STDIN_FILENO) == 1 && isatty(STDOUT_FILENO) == 1;
        shell->source = terminal ? SOURCE_TERMINAL : SOURCE_PIPE;
        return terminal ? repl_run_terminal(shell) : repl_run_pipe(shell);
    }
    shell->source = SOURCE_ARGUMENTS;
    struct words words;
    words_from_arguments(shell->options->command, shell->options->command_count, &words);
    const int code = command_run(shell, &words);
    words_free(&words);
    return code;
}

/* A full disk behind stdout is an error like any other, though the command itself was done. */
static int finish_stdout(int code)
{
    if (fflush(stdout) == 0 && !ferror(stdout)) {
        return code;
    }
    (void)fprintf(stderr, "vr-client: cannot write to stdout: %s\n", strerror(errno));
    return code != EXIT_DONE ? code : EXIT_IO;
}

int main(int argc, char **argv)
{
    if (!process_open_standard()) {
        return EXIT_INTERNAL;
    }
    (void)setlocale(LC_CTYPE, "");  /* line editing knows what a character is; "C" will do, too */
    (void)signal(SIGPIPE, SIG_IGN); /* a reader that went away is an error of stdout */
    if (sodium_init() < 0) {
        (void)fputs("vr-client: cannot initialise libsodium\n", stderr);
        return EXIT_INTERNAL;
    }
    struct options options;
    int code = options_parse(argc, argv, &options);
    if (code == 0 && options.print_config) {
        settings_print(&options.settings, stdout);
    } else if (code == 0) {
        const bool told = isatty(STDERR_FILENO) == 1 && !options.quiet && !options.json;
        struct shell shell = {
            .options = &options,
            .waiting = {.shown_to_user = told, .in_place = terminal_has_cursor(stderr)},
        };
        code = run(&shell);
        shell_close(&shell);
    }
    options_free(&options);
    return finish_stdout(code);
}
