/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/repl.h"

#include <errno.h>
#include <histedit.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/exit_code.h"
#include "client/cli/report.h"

enum {
    HISTORY_LINES_MAX = 1000,
    PROMPT_MAX = 64,
    FIND_PRIMARY_MS = 500, /* how long the first prompt may wait for a view to show */
};

static int run_line(struct shell *shell, const char *line, size_t size)
{
    struct words words;
    int code;
    if (words_parse(line, size, &words)) {
        code = command_run(shell, &words);
    } else {
        code = report_error(shell, EXIT_USAGE, "usage", "%s, at character %zu", words.error,
                            words.error_at + 1);
    }
    words_free(&words);
    (void)fflush(stdout); /* whoever sent the command waits for this; errors are checked at exit */
    return code;
}

static bool is_blank_line(const char *line, size_t size)
{
    return strspn(line, " \t\r\n") == size;
}

/* "quit" or "exit", with blanks around it. */
static bool wants_to_leave(const char *line, size_t size)
{
    const size_t begin = strspn(line, " \t");
    const size_t length = strcspn(line + begin, " \t\r\n");
    return length == 4 && is_blank_line(line + begin + length, size - begin - length) &&
           (memcmp(line + begin, "quit", 4) == 0 || memcmp(line + begin, "exit", 4) == 0);
}

int repl_run_pipe(struct shell *shell)
{
    char *line = NULL;
    size_t capacity = 0;
    ssize_t size;
    int code = EXIT_DONE;
    while (!shell->stdin_used && (size = getline(&line, &capacity, stdin)) >= 0) {
        if (wants_to_leave(line, (size_t)size)) {
            break;
        }
        const int line_code = run_line(shell, line, (size_t)size);
        code = line_code != EXIT_DONE ? line_code : code;
        if ((code != EXIT_DONE && !shell->options->keep_going) || ferror(stdout)) {
            break;
        }
    }
    if (ferror(stdin)) {
        code = report_error(shell, EXIT_IO, "io", "cannot read commands: %s", strerror(errno));
    }
    free(line);
    return code;
}

/* ---- a terminal ---- */

/* libedit keeps one pointer for its callbacks. */
struct terminal {
    struct shell *shell;
    char prompt[PROMPT_MAX];
};

static char *make_prompt(EditLine *editor)
{
    struct terminal *terminal;
    (void)el_get(editor, EL_CLIENTDATA, &terminal);
    struct vr_client_info info;
    vr_client_info(terminal->shell->client, &info);
    if (info.primary_known && info.epoch > 0) {
        (void)snprintf(terminal->prompt, sizeof terminal->prompt,
                       "view %" PRIu64 ", primary %" PRIu32 "> ", info.view, info.primary_id);
    } else if (info.epoch > 0) {
        (void)snprintf(terminal->prompt, sizeof terminal->prompt, "view %" PRIu64 "> ", info.view);
    } else {
        (void)snprintf(terminal->prompt, sizeof terminal->prompt, "no primary> ");
    }
    return terminal->prompt;
}

static void read_lines(struct terminal *terminal, EditLine *editor, History *lines)
{
    HistEvent event;
    int size;
    const char *line;
    while ((line = el_gets(editor, &size)) != NULL && size > 0) {
        if (is_blank_line(line, (size_t)size)) {
            continue;
        }
        if (wants_to_leave(line, (size_t)size)) {
            return;
        }
        (void)history(lines, &event, H_ENTER, line);
        (void)run_line(terminal->shell, line, (size_t)size);
        terminal->shell->stdin_used = false; /* a terminal has no end */
    }
    (void)putchar('\n');
}

int repl_run_terminal(struct shell *shell)
{
    const int code = shell_open(shell);
    if (code != 0) {
        return code;
    }
    (void)vr_client_find_primary(shell->client,
                                 FIND_PRIMARY_MS); /* the prompt shows what is known */
    struct terminal terminal = {.shell = shell};
    EditLine *editor = el_init("vr-client", stdin, stdout, stderr);
    History *lines = history_init();
    if (editor == NULL || lines == NULL) {
        return report_error(shell, EXIT_INTERNAL, "internal", "cannot set up line editing");
    }
    HistEvent event;
    (void)history(lines, &event, H_SETSIZE, HISTORY_LINES_MAX);
    (void)el_set(editor, EL_CLIENTDATA, &terminal);
    (void)el_set(editor, EL_PROMPT, make_prompt);
    (void)el_set(editor, EL_EDITOR, "emacs");
    (void)el_set(editor, EL_SIGNAL, 1);
    (void)el_set(editor, EL_HIST, history, lines);
    (void)el_source(editor, NULL); /* ~/.editrc, if there is one */
    read_lines(&terminal, editor, lines);
    history_end(lines);
    el_end(editor);
    return EXIT_DONE;
}
