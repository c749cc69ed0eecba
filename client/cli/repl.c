/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/repl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/exit_code.h"
#include "client/cli/interrupt.h"
#include "client/cli/report.h"

int repl_run_line(struct shell *shell, const char *line, size_t size)
{
    struct words words;
    int code;
    shell->line = line;
    shell->line_size = size;
    if (words_parse(line, size, &words)) {
        code = command_run(shell, &words);
    } else {
        code = report_usage(shell, words.error_at, words.error_at + 1, "%s, at character %zu",
                            words.error, words.error_at + 1);
    }
    words_free(&words);
    shell->line = NULL;
    (void)fflush(stdout); /* whoever sent the command waits for this; errors are checked at exit */
    return code;
}

bool repl_is_blank(const char *line, size_t size)
{
    return strspn(line, " \t\r\n") == size;
}

bool repl_wants_to_leave(const char *line, size_t size)
{
    const size_t begin = strspn(line, " \t");
    const size_t length = strcspn(line + begin, " \t\r\n");
    return length == 4 && repl_is_blank(line + begin + length, size - begin - length) &&
           (memcmp(line + begin, "quit", 4) == 0 || memcmp(line + begin, "exit", 4) == 0);
}

int repl_run_pipe(struct shell *shell)
{
    char *line = NULL;
    size_t capacity = 0;
    ssize_t size;
    int code = EXIT_DONE;
    while (!shell->stdin_used && (size = getline(&line, &capacity, stdin)) >= 0) {
        shell->line_number++;
        if (repl_wants_to_leave(line, (size_t)size)) {
            break;
        }
        const int line_code = repl_run_line(shell, line, (size_t)size);
        code = line_code != EXIT_DONE ? line_code : code;
        if ((code != EXIT_DONE && !shell->options->keep_going) || ferror(stdout) ||
            interrupt_seen()) {
            break;
        }
    }
    if (ferror(stdin)) {
        shell->line_number = 0; /* no line's fault */
        code = report_error(shell, EXIT_IO, "io", "cannot read commands: %s", strerror(errno));
    }
    free(line);
    return code;
}
