/* SPDX-License-Identifier: Apache-2.0 */
/* usage.h - errors of a command line as JSON: argp and getopt write theirs to stderr, as text.
 *
 * Threads: main's alone, while no other thread writes to stderr. */
#ifndef VR_CLI_USAGE_H
#define VR_CLI_USAGE_H

#include <stdbool.h>
#include <stdio.h>

struct usage_capture {
    FILE *instead; /* NULL: stderr is what it was */
    FILE *stderr_was;
    char *text;
    size_t size;
};

/* True if this word is a group of options like "-qj", and the letter is one of them. */
bool usage_has_letter(const char *word, char letter);

/* True if --json is among these words, wherever an error may have kept it from being read. */
bool usage_asks_for_json(int argc, char **argv);

/* From here on stderr is kept back, if `json`. Parse so that errors do not end the
 * program (ARGP_NO_EXIT, settings_about.goes_on). */
void usage_capture_begin(struct usage_capture *capture, bool json);

/* Puts stderr back. If `code`, EXIT_USAGE or EXIT_CONFIGURATION, is not 0, prints what was said
 * meanwhile as one JSON object on stdout: of usage the first line, of configuration every line.
 * Returns `code`. */
int usage_capture_end(struct usage_capture *capture, int code);

#endif
