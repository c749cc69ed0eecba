/* SPDX-License-Identifier: Apache-2.0 */
/* history_file.h - the REPL's history on disk: $XDG_STATE_HOME/viewstamp/history, one line each,
 * oldest first.
 *
 * Values are typed here, so nobody else may read it: 0600 in directories that are made 0700. Every
 * line is appended by itself, under a lock, so that several REPLs share the file; what has become
 * too long is cut when it is loaded, by a new file in the old one's place. Nothing here stops the
 * REPL: what cannot be read or written is said once, and goes on without.
 *
 * Threads: the caller's. */
#ifndef VR_CLI_HISTORY_FILE_H
#define VR_CLI_HISTORY_FILE_H

#include <stdbool.h>
#include <stddef.h>

enum {
    HISTORY_LINES_MAX = 1000,
    HISTORY_LINE_SIZE_MAX = 4096,        /* longer lines, which hold values, are not kept */
    HISTORY_FILE_SIZE_MAX = 1024 * 1024, /* at more, only the newest lines are kept */
    HISTORY_READ_MAX = 16 * 1024 * 1024, /* a file larger than that is not ours */
    HISTORY_PATH_MAX = 1024,
};

/* Where it is, by these two variables of the environment, which may be NULL: a relative
 * XDG_STATE_HOME does not count. False if neither says, or the path is too long. */
bool history_path(const char *state_home, const char *home, char path[HISTORY_PATH_MAX]);

/* What a line must be to be kept: printable, not too long, and not begun with a blank, which is how
 * a user keeps it out. */
bool history_keeps(const char *line, size_t size);

/* Calls `each` for the newest HISTORY_LINES_MAX lines, oldest first. Returns 0, also if there is no
 * file yet, or a negative errno. */
int history_load(const char *path, void (*each)(void *context, const char *line), void *context);

/* Appends a line, which has no newline; one that is not kept counts as done. Returns 0 or a
 * negative errno. */
int history_append(const char *path, const char *line);

#endif
