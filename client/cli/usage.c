/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/usage.h"

#include <stdlib.h>
#include <string.h>

#include "client/cli/exit_code.h"
#include "client/cli/memory.h"
#include "client/cli/report.h"
#include "common/settings/setting.h"

/* NULL: no option of that letter. */
static const struct setting *setting_of_letter(int letter)
{
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        if (setting_table[i].program == SETTING_CLIENT && setting_table[i].letter == letter) {
            return &setting_table[i];
        }
    }
    return NULL;
}

bool usage_has_letter(const char *word, char letter)
{
    if (word[0] != '-' || word[1] == '-') {
        return false;
    }
    for (const char *at = word + 1; *at != '\0'; at++) {
        if (*at == letter) {
            return true;
        }
        const struct setting *setting = setting_of_letter(*at);
        if (setting == NULL || setting->argument != NULL) {
            return false; /* no such group, or the rest is a value */
        }
    }
    return false;
}

bool usage_asks_for_json(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0 || usage_has_letter(argv[i], 'j')) {
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

/* Whatever bytes a file has: a message is always there. */
static json_t *json_message(char *text)
{
    json_t *message = json_string(text);
    for (char *at = text; message == NULL && *at != '\0'; at++) {
        *at = (unsigned char)*at >= 0x80 ? '?' : *at;
    }
    return message != NULL ? message : json_string(text);
}

/* All that is wrong, a line each in `text`: as one message, and each by itself. */
static void report_problems(char *text)
{
    char *all =
        must_calloc(strlen(text) + 1, 1); /* what is left out of a line is longer than "; " */
    json_t *problems = json_array();
    char *rest = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        const char *problem = essence(line);
        (void)strcat(strcat(all, all[0] != '\0' ? "; " : ""), problem);
        (void)json_array_append_new(problems, json_message(line + (problem - line)));
    }
    json_t *object = json_object();
    (void)json_object_set_new(object, "ok", json_false());
    json_set_text(object, "outcome", "failed");
    json_set_text(object, "error", "configuration");
    (void)json_object_set_new(object, "message", json_message(all));
    (void)json_object_set_new(object, "problems", problems);
    json_print_line(object);
    free(all);
}

int usage_capture_end(struct usage_capture *capture, int code)
{
    if (capture->instead == NULL) {
        return code;
    }
    stderr = capture->stderr_was;
    const bool whole = fclose(capture->instead) == 0 && capture->text != NULL;
    if (code == EXIT_CONFIGURATION && whole) {
        report_problems(capture->text);
    } else if (code != 0) {
        const struct options options = {.json = true};
        const struct shell shell = {.options = &options, .source = SOURCE_ARGUMENTS};
        (void)report_error(&shell, code, code == EXIT_USAGE ? "usage" : "configuration", "%s",
                           whole ? essence(capture->text) : "the command line is wrong");
    }
    free(capture->text);
    return code;
}
