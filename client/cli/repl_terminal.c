/* SPDX-License-Identifier: Apache-2.0 */
/* The REPL on a terminal: libedit reads lines; history and completion come from here.
 *
 * While a line is edited Ctrl-C ends el_gets() with EINTR (libedit puts the terminal back and
 * passes the signal on to our handler, which only notes it); while a command runs it cancels what
 * is waited for. A terminal that understands no escape sequences gets a prompt and the terminal's
 * own line discipline. */
#include <errno.h>
#include <histedit.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>

#include "client/cli/completion.h"
#include "client/cli/exit_code.h"
#include "client/cli/history_file.h"
#include "client/cli/interrupt.h"
#include "client/cli/memory.h"
#include "client/cli/repl.h"
#include "client/cli/report.h"
#include "client/cli/terminal.h"

enum {
    PROMPT_MAX = 64,
    FIND_PRIMARY_MS = 500, /* how long the first prompt may wait for a view to show */
    LIST_GAP = 2,          /* columns between candidates */
};

/* libedit keeps one pointer for its callbacks. */
struct terminal {
    struct shell *shell;
    EditLine *editor;
    History *lines;
    char prompt[PROMPT_MAX];
    char history_path[HISTORY_PATH_MAX]; /* "": nothing is kept */
};

/* ---- prompt ---- */

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

/* ---- completion ---- */

static void list_candidates(const struct completion *completion)
{
    const size_t shown =
        completion->count < COMPLETION_SHOWN_MAX ? completion->count : COMPLETION_SHOWN_MAX;
    size_t widest = 1;
    for (size_t i = 0; i < shown; i++) {
        const char *text = completion->candidates[i];
        const size_t width = terminal_width(text, strlen(text));
        widest = width > widest ? width : widest;
    }
    const size_t columns = terminal_columns(stdout) / (widest + LIST_GAP);
    (void)putchar('\n');
    for (size_t i = 0; i < shown; i++) {
        const char *text = completion->candidates[i];
        const bool last = columns == 0 || (i + 1) % columns == 0 || i + 1 == shown;
        const size_t width = terminal_width(text, strlen(text));
        (void)printf("%s%*s", text, last ? 0 : (int)(widest + LIST_GAP - width), "");
        if (last) {
            (void)putchar('\n');
        }
    }
    if (shown < completion->count) {
        (void)printf("... and %zu more\n", completion->count - shown);
    }
}

/* libedit counts characters, not bytes. */
static int character_count(const char *text, size_t size)
{
    char *copy = must_realloc(NULL, size + 1);
    memcpy(copy, text, size);
    copy[size] = '\0';
    const size_t count = mbstowcs(NULL, copy, 0);
    free(copy);
    return (int)(count != (size_t)-1 ? count : size);
}

static unsigned char complete(EditLine *editor, int key)
{
    (void)key;
    struct terminal *terminal;
    (void)el_get(editor, EL_CLIENTDATA, &terminal);
    const LineInfo *line = el_line(editor);
    const size_t size = (size_t)(line->cursor - line->buffer);
    struct completion found;
    completion_find(line->buffer, size, command_names(), terminal->shell->seen, &found);
    unsigned char then = CC_REFRESH_BEEP;
    if (found.count > 0) {
        const char *word = line->buffer + found.begin;
        const size_t word_size = size - found.begin;
        const bool longer =
            found.insertion[0] != '\0' &&
            (strlen(found.insertion) != word_size || memcmp(found.insertion, word, word_size) != 0);
        if (longer) {
            el_deletestr(editor, character_count(word, word_size));
            (void)el_insertstr(editor, found.insertion); /* no room: the line stays as it is */
        }
        if (found.complete) {
            (void)el_insertstr(editor, " ");
        } else if (!longer) {
            list_candidates(&found);
        }
        then = longer || found.complete ? CC_REFRESH : CC_REDISPLAY;
    }
    completion_free(&found);
    return then;
}

/* ---- history ---- */

static void enter(void *context, const char *line)
{
    struct terminal *terminal = context;
    HistEvent event;
    (void)history(terminal->lines, &event, H_ENTER, line);
}

/* Once: from then on it goes on without. */
static void give_up_history(struct terminal *terminal, int error)
{
    if (!terminal->shell->options->quiet) {
        (void)fprintf(stderr, "the history is not kept: %s: %s\n", terminal->history_path,
                      strerror(-error));
    }
    terminal->history_path[0] = '\0';
}

static void load_history(struct terminal *terminal)
{
    if (!history_path(getenv("XDG_STATE_HOME"), getenv("HOME"), terminal->history_path)) {
        terminal->history_path[0] = '\0';
        return;
    }
    const int error = history_load(terminal->history_path, enter, terminal);
    if (error != 0) {
        give_up_history(terminal, error);
    }
}

static void keep_line(struct terminal *terminal, const char *line, size_t size)
{
    char *text = must_realloc(NULL, size + 1);
    memcpy(text, line, size);
    text[size] = '\0';
    text[strcspn(text, "\r\n")] = '\0';
    if (history_keeps(text, strlen(text))) {
        HistEvent event;
        const bool repeated =
            history(terminal->lines, &event, H_FIRST) == 0 && strcmp(event.str, text) == 0;
        enter(terminal, text);
        if (!repeated && terminal->history_path[0] != '\0') {
            const int error = history_append(terminal->history_path, text);
            if (error != 0) {
                give_up_history(terminal, error);
            }
        }
    }
    free(text);
}

/* ---- lines ---- */

/* NULL: the terminal has no more. "" after a Ctrl-C. */
static const char *read_line(struct terminal *terminal, int *size)
{
    el_resize(terminal->editor); /* the window may have changed while a command ran */
    interrupt_catch();
    errno = 0;
    const char *line = el_gets(terminal->editor, size);
    const bool whole = line != NULL && *size > 0 && line[*size - 1] == '\n';
    const bool interrupted =
        interrupt_seen() && !whole; /* else it came before the line was begun */
    interrupt_release();
    if (interrupted) {
        int edits = 0;
        (void)el_get(terminal->editor, EL_EDITMODE, &edits);
        (void)puts(edits != 0 ? "^C" : ""); /* else the terminal has shown it */
        *size = 0;
        return "";
    }
    return line != NULL && *size > 0 ? line : NULL;
}

static void read_lines(struct terminal *terminal)
{
    struct shell *shell = terminal->shell;
    int length;
    const char *line;
    while ((line = read_line(terminal, &length)) != NULL) {
        const size_t size = (size_t)length;
        if (repl_is_blank(line, size)) {
            continue;
        }
        if (repl_wants_to_leave(line, size)) {
            return;
        }
        keep_line(terminal, line, size);
        shell->prompt_width = strlen(terminal->prompt);
        (void)repl_run_line(shell, line, size);
        shell->stdin_used = false; /* a terminal has no end */
    }
    (void)putchar('\n');
}

static void set_up(struct terminal *terminal)
{
    EditLine *editor = terminal->editor;
    HistEvent event;
    (void)history(terminal->lines, &event, H_SETSIZE, HISTORY_LINES_MAX);
    (void)history(terminal->lines, &event, H_SETUNIQUE, 1);
    (void)el_set(editor, EL_CLIENTDATA, terminal);
    (void)el_set(editor, EL_PROMPT, make_prompt);
    (void)el_set(editor, EL_EDITOR, "emacs");
    (void)el_set(editor, EL_SIGNAL, 1);
    (void)el_set(editor, EL_HIST, history, terminal->lines);
    /* Of narrow strings libedit keeps copies that it does not free. */
    (void)el_wset(editor, EL_ADDFN, L"vr-complete", L"Completes a command or a key", complete);
    (void)el_set(editor, EL_BIND, "^I", "vr-complete", NULL);
    (void)el_set(editor, EL_BIND, "^R", "em-inc-search-prev", NULL);
    (void)el_source(editor, NULL); /* ~/.editrc, if there is one */
    if (!terminal_has_cursor(stdout)) {
        (void)el_set(editor, EL_EDITMODE, 0);
    }
}

int repl_run_terminal(struct shell *shell)
{
    const int code = shell_open(shell);
    if (code != 0) {
        return code;
    }
    (void)vr_client_find_primary(shell->client,
                                 FIND_PRIMARY_MS); /* the prompt shows what is known */
    struct terminal terminal = {
        .shell = shell,
        .editor = el_init("vr-client", stdin, stdout, stderr),
        .lines = history_init(),
    };
    if (terminal.editor == NULL || terminal.lines == NULL) {
        return report_error(shell, EXIT_INTERNAL, "internal", "cannot set up line editing");
    }
    shell->seen = must_calloc(1, sizeof *shell->seen);
    set_up(&terminal);
    load_history(&terminal);
    interrupt_catch(); /* between a line and its command, too */
    read_lines(&terminal);
    interrupt_release();
    history_end(terminal.lines);
    el_end(terminal.editor);
    seen_keys_free(shell->seen);
    free(shell->seen);
    shell->seen = NULL;
    return EXIT_DONE;
}
