/* SPDX-License-Identifier: Apache-2.0 */
#include "common/settings/settings.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/settings/settings_parts.h"

/* Problems and warnings. */

static char *make_text(const char *format, va_list arguments)
{
    char *text = malloc(SETTINGS_PROBLEM_MAX);
    if (text != NULL) {
        (void)vsnprintf(text, SETTINGS_PROBLEM_MAX, format, arguments);
    }
    for (char *at = text; at != NULL && *at != '\0'; at++) {
        *at = (unsigned char)*at < 0x20 || *at == 0x7f ? '?' : *at; /* for a terminal */
    }
    return text;
}

void settings_problem(struct settings *settings, const char *format, ...)
{
    if (settings->problem_count < SETTINGS_PROBLEMS_MAX) {
        va_list arguments;
        va_start(arguments, format);
        settings->problems[settings->problem_count] = make_text(format, arguments);
        va_end(arguments);
    }
    settings->problem_count++;
}

__attribute__((format(printf, 2, 3))) static void warn(struct settings *settings,
                                                       const char *format, ...)
{
    if (settings->warning_count < SETTINGS_WARNINGS_MAX) {
        va_list arguments;
        va_start(arguments, format);
        settings->warnings[settings->warning_count] = make_text(format, arguments);
        va_end(arguments);
    }
    settings->warning_count++;
}

static bool print_all(char *const *texts, size_t kept_max, size_t count, FILE *out,
                      const char *prefix, const char *suffix)
{
    for (size_t i = 0; i < count && i < kept_max; i++) {
        (void)fprintf(out, "%s%s%s\n", prefix,
                      texts[i] != NULL ? texts[i] : "there is no memory left", suffix);
    }
    if (count > kept_max) {
        (void)fprintf(out, "%sand %zu more like these%s\n", prefix, count - kept_max, suffix);
    }
    return count > 0;
}

bool settings_complain(const struct settings *settings, FILE *out, const char *prefix,
                       const char *suffix)
{
    return print_all(settings->problems, SETTINGS_PROBLEMS_MAX, settings->problem_count, out,
                     prefix, suffix);
}

bool settings_warn(const struct settings *settings, FILE *out, const char *prefix,
                   const char *suffix)
{
    return print_all(settings->warnings, SETTINGS_WARNINGS_MAX, settings->warning_count, out,
                     prefix, suffix);
}

void settings_each_warning(const struct settings *settings, void (*say)(const char *text))
{
    for (size_t i = 0; i < settings->warning_count && i < SETTINGS_WARNINGS_MAX; i++) {
        if (settings->warnings[i] != NULL) {
            say(settings->warnings[i]);
        }
    }
}

void settings_add_problem(struct settings *settings, enum setting_id id, const char *why)
{
    char origin[SETTING_ORIGIN_MAX];
    settings_problem(settings, "%s: %s = %.200s: %s", settings_origin(settings, id, origin),
                     setting_table[id].name, settings->values[id].text, why);
}

const char *settings_origin(const struct settings *settings, enum setting_id id,
                            char text[SETTING_ORIGIN_MAX])
{
    const struct setting *setting = &setting_table[id];
    const struct setting_value *value = &settings->values[id];
    switch (value->origin) {
    case SETTING_FROM_FLAG:
        (void)snprintf(text, SETTING_ORIGIN_MAX, "flag --%s", setting->name);
        break;
    case SETTING_FROM_ENVIRONMENT:
        (void)snprintf(text, SETTING_ORIGIN_MAX, "environment %s", setting->variable);
        break;
    case SETTING_FROM_FILE:
        (void)snprintf(text, SETTING_ORIGIN_MAX, "%s:%u", settings->file, value->line);
        break;
    case SETTING_FROM_DEFAULT:
        (void)snprintf(text, SETTING_ORIGIN_MAX, "default%s%s",
                       setting->meaning != NULL ? ": " : "",
                       setting->meaning != NULL ? setting->meaning : "");
        break;
    }
    return text;
}

/* Sources, after the flags (settings_flags.c). */

void settings_take(struct settings *settings, enum setting_id id, struct setting_value value)
{
    if (settings->values[id].origin < value.origin) {
        settings->values[id] = value;
    }
}

static const char variable_prefix[] = "VR_";
enum { VARIABLE_PREFIX_SIZE = sizeof variable_prefix - 1, VARIABLE_NAME_MAX = 64 };

/* What else there is of that name: run_cluster.sh's. */
static bool is_of_the_script(const char *name)
{
    return strcmp(name, "VR_BIN") == 0 || strncmp(name, "VR_DEMO_", 8) == 0;
}

/* A variable that is no option of either program, for both may share an environment. */
static void judge_variable(struct settings *settings, const char *name)
{
    const char *names[SETTING_COUNT + 1]; /* without what all of them begin with */
    size_t count = 0;
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        const char *variable = setting_table[i].variable;
        if (variable != NULL && strcmp(variable, name) == 0) {
            return;
        }
        if (variable != NULL) {
            names[count++] = variable + VARIABLE_PREFIX_SIZE;
        }
    }
    names[count] = NULL;
    if (is_of_the_script(name)) {
        return;
    }
    const char *meant = setting_did_you_mean(name + VARIABLE_PREFIX_SIZE, names);
    warn(settings, "environment: %s is no option, and is ignored%s%s%s", name,
         meant != NULL ? ". Did you mean VR_" : "", meant != NULL ? meant : "",
         meant != NULL ? "?" : "");
}

static void judge_variables(struct settings *settings)
{
    for (char *const *at = environ; at != NULL && *at != NULL; at++) {
        char name[VARIABLE_NAME_MAX];
        const size_t size = strcspn(*at, "=");
        if (strncmp(*at, variable_prefix, VARIABLE_PREFIX_SIZE) == 0) {
            (void)snprintf(name, sizeof name, "%.*s", (int)size, *at); /* cut if it is longer */
            judge_variable(settings, name);
        }
    }
}

void settings_read_environment(struct settings *settings)
{
    judge_variables(settings);
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        const struct setting *setting = &setting_table[i];
        const char *text = setting->variable != NULL && setting_is_of(settings, setting)
                               ? getenv(setting->variable)
                               : NULL;
        if (text == NULL || text[0] == '\0') {
            continue; /* empty is how shells say that there is none */
        }
        char why[SETTING_WHY_MAX];
        struct setting_value value = {.text = text, .origin = SETTING_FROM_ENVIRONMENT};
        if (setting_parse(setting, text, &value.number, why)) {
            settings_take(settings, (enum setting_id)i, value);
        } else {
            settings_problem(settings, "environment: %s=%.200s: it %s; for example: %s=%s",
                             setting->variable, text, why, setting->variable, setting->example);
        }
    }
}

void settings_apply_defaults(struct settings *settings)
{
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        struct setting_value *value = &settings->values[i];
        char why[SETTING_WHY_MAX];
        if (value->origin == SETTING_FROM_DEFAULT && setting_table[i].fallback != NULL) {
            value->text = setting_table[i].fallback;
            (void)setting_parse(&setting_table[i], value->text, &value->number, why); /* tested */
        }
    }
}

void settings_free(struct settings *settings)
{
    for (size_t i = 0; i < SETTINGS_PROBLEMS_MAX; i++) {
        free(settings->problems[i]);
        settings->problems[i] = NULL;
    }
    for (size_t i = 0; i < SETTINGS_WARNINGS_MAX; i++) {
        free(settings->warnings[i]);
        settings->warnings[i] = NULL;
    }
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        free(settings->owned[i]);
        settings->owned[i] = NULL;
    }
}

/* --print-config. */

/* A file has no way to say these: blanks around, or what begins a comment. */
static bool can_be_in_file(const char *text)
{
    const size_t size = strlen(text);
    return size > 0 && text[0] != ' ' && text[size - 1] != ' ' && strstr(text, " ;") == NULL;
}

static void print_setting(const struct settings *settings, enum setting_id id, FILE *out)
{
    enum { VALUE_COLUMNS = 40 };
    const struct setting *setting = &setting_table[id];
    const char *text = settings->values[id].text;
    char origin[SETTING_ORIGIN_MAX];
    char line[SETTING_VALUE_MAX + 64];
    if (text == NULL) {
        (void)snprintf(line, sizeof line, "; %s is not set", setting->name);
    } else if (setting->section == NULL || !can_be_in_file(text)) {
        (void)snprintf(line, sizeof line, "; %s = %s", setting->name, text);
    } else {
        (void)snprintf(line, sizeof line, "%s = %s", setting->name, text);
    }
    (void)fprintf(out, "%-*s ; %s\n", VALUE_COLUMNS, line, settings_origin(settings, id, origin));
}

static void print_section(const struct settings *settings, const char *section, FILE *out)
{
    bool begun = false;
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        const struct setting *setting = &setting_table[i];
        const bool same = section == NULL
                              ? setting->section == NULL
                              : setting->section != NULL && strcmp(setting->section, section) == 0;
        if (!same || !setting_is_of(settings, setting) || setting->kind == SETTING_ACTION) {
            continue;
        }
        if (!begun && section != NULL) {
            (void)fprintf(out, "\n[%s]\n", section);
        }
        begun = true;
        print_setting(settings, (enum setting_id)i, out);
    }
}

void settings_print(const struct settings *settings, FILE *out)
{
    (void)fprintf(out, "; flag before environment before file before default\n");
    print_section(settings, NULL, out);
    for (size_t i = 0; setting_sections[i] != NULL; i++) {
        print_section(settings, setting_sections[i], out);
    }
}
