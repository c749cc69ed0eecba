/* SPDX-License-Identifier: Apache-2.0 */
/* settings.h - a program's settings, read: flag before environment before file before default.
 *
 *     settings_read()      flags are judged at once, as argp does: a wrong one ends the program
 *     settings_complain()  what is wrong in the environment and the file, all of it
 *     settings_warn()      what may be meant otherwise: variables VR_... that are no option
 *
 * A file is INI: sections of setting_sections, `key = value`, comments after ; or # at the start of
 * a line, and after a blank and ; behind a value. Sections and keys that are not known, keys given
 * twice and values that are not allowed are problems, each with its file and line, also where a
 * flag overrides it: a file that is wrong is wrong. A variable VR_... that is no option, of either
 * program, may be somebody else's: a warning.
 *
 * Threads:   one, before others start.
 * Ownership: values point into argv, the environment, or memory of *settings: settings_free(). */
#ifndef VR_SETTINGS_SETTINGS_H
#define VR_SETTINGS_SETTINGS_H

#include <stdio.h>

#include "common/settings/setting.h"

enum {
    SETTINGS_PROBLEMS_MAX = 16,                   /* told in one go */
    SETTINGS_WARNINGS_MAX = 4,                    /* so, too */
    SETTINGS_PROBLEM_MAX = 2 * SETTING_VALUE_MAX, /* bytes of each: the file has a name, too */
    SETTINGS_FILE_MAX = 1024 * 1024,              /* bytes: what is larger is no such file */
    SETTINGS_LINE_MAX = SETTING_VALUE_MAX + 256,
};

enum setting_origin {
    SETTING_FROM_DEFAULT,
    SETTING_FROM_FILE,
    SETTING_FROM_ENVIRONMENT,
    SETTING_FROM_FLAG,
};

struct setting_value {
    const char *text; /* NULL: not set, and there is no default */
    uint64_t number;  /* see setting_parse() */
    enum setting_origin origin;
    unsigned line; /* of the file */
};

struct settings {
    enum setting_program program;
    struct setting_value values[SETTING_COUNT];
    const char *file; /* --config; NULL: none */
    char **rest;      /* the client: its command and what follows */
    size_t rest_count;
    size_t problem_count; /* may exceed SETTINGS_PROBLEMS_MAX: the others are not kept */
    char *problems[SETTINGS_PROBLEMS_MAX];
    size_t warning_count; /* the same of warnings */
    char *warnings[SETTINGS_WARNINGS_MAX];
    char *owned[SETTING_COUNT]; /* texts from the file */
};

/* What a program says of itself in --help; `usage_exit` is its exit code for wrong flags. */
struct settings_about {
    enum setting_program program;
    const char *arguments; /* behind the options; NULL: it takes none */
    const char *text;
    int usage_exit;
    bool goes_on; /* a wrong flag does not end the program; --help and the like are wrong, too */
};

/* Reads all of them into *settings, whatever is wrong outside of the flags. Ends the program when a
 * flag is wrong, or for --help and --version; if it is to go on, returns false instead. Whatever is
 * wrong with a flag is said on stderr. */
bool settings_read(struct settings *settings, const struct settings_about *about, int argc,
                   char **argv);

/* The parts of settings_read() behind the flags; for tests. */
void settings_read_environment(struct settings *settings);
void settings_read_file(struct settings *settings, const char *path);
void settings_apply_defaults(struct settings *settings);

void settings_free(struct settings *settings);

/* One line a problem, each with `prefix` before and `suffix` behind it. False if there was none. */
bool settings_complain(const struct settings *settings, FILE *out, const char *prefix,
                       const char *suffix);

/* The same of warnings. */
bool settings_warn(const struct settings *settings, FILE *out, const char *prefix,
                   const char *suffix);

/* Calls `say` for each of them, for whoever has no stream. */
void settings_each_warning(const struct settings *settings, void (*say)(const char *text));

/* Adds a problem of a value that only its user could see, with its origin. */
void settings_add_problem(struct settings *settings, enum setting_id id, const char *why);

/* --print-config: itself such a file, with where each value came from. */
void settings_print(const struct settings *settings, FILE *out);

static inline const char *settings_text(const struct settings *settings, enum setting_id id)
{
    return settings->values[id].text;
}

static inline uint64_t settings_number(const struct settings *settings, enum setting_id id)
{
    return settings->values[id].number;
}

static inline bool settings_given(const struct settings *settings, enum setting_id id)
{
    return settings->values[id].origin != SETTING_FROM_DEFAULT;
}

/* "flag --x", "environment VR_X", "vr.conf:12" or "default". */
enum { SETTING_ORIGIN_MAX = SETTING_VALUE_MAX + 64 };
const char *settings_origin(const struct settings *settings, enum setting_id id,
                            char text[SETTING_ORIGIN_MAX]);

#endif
