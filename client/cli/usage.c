/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/usage.h"

#include <stdlib.h>
#include <string.h>

#include "client/cli/exit_code.h"
#include "client/cli/report.h"

bool usage_asks_for_json(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0 || strcmp(argv[i], "-j") == 0) {
            return true;
        }
    }
    return false;
}

void usage_capture_begin(struct usage_capture *capture, bool json)
{
    memset(capture, 0, sizeof *capture);
    capture->stderr_was = stderr;
    if (json) {
        capture->instead = open_memstream(&capture->text, &capture->size);
    }
    if (capture->instead != NULL) { /* without memory it is text after all */
        stderr = capture->instead;  /* glibc: argp and getopt write to whatever this is */
    }
}

/* The first line, without the program's name before it and what else could be typed after it. */
static const char *essence(char *text)
{
    text[strcspn(text, "\n")] = '\0';
    const char *colon = strstr(text, ": ");
    return colon != NULL ? colon + 2 : text;
}

int usage_capture_end(struct usage_capture *capture, int code)
{
    if (capture->instead == NULL) {
        return code;
    }
    stderr = capture->stderr_was;
    const bool whole = fclose(capture->instead) == 0 && capture->text != NULL;
    if (code != 0) {
        const struct options options = {.json = true};
        const struct shell shell = {.options = &options, .source = SOURCE_ARGUMENTS};
        (void)report_error(&shell, code, code == EXIT_USAGE ? "usage" : "configuration", "%s",
                           whole ? essence(capture->text) : "the command line is wrong");
    }
    free(capture->text);
    return code;
}
