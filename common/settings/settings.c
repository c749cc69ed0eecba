/* SPDX-License-Identifier: Apache-2.0 */
#include "common/settings/settings.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "common/settings/settings_parts.h"

/* Problems. */

void settings_problem(struct settings *settings, const char *format, ...)
{
    if (settings->problem_count < SETTINGS_PROBLEMS_MAX) {
        char *text = malloc(SETTINGS_PROBLEM_MAX);
        va_list arguments;
        va_start(arguments, format);
        if (text != NULL) {
            (void)vsnprintf(text, SETTINGS_PROBLEM_MAX, format, arguments);
        }
        va_end(arguments);
        for (char *at = text; at != NULL && *at != '\0'; at++) {
            *at = (unsigned char)*at < 0x20 || *at == 0x7f ? '?' : *at; /* for a terminal */
        }
        settings->problems[settings->problem_count] = text;
    }
    settings->problem_count++;
}

bool settings_complain(const struct settings *settings, FILE *out, const char *prefix,
                       const char *suffix)
{
    for (size_t i = 0; i < settings->problem_count && i < SETTINGS_PROBLEMS_MAX; i++) {
        const char *text = settings->problems[i];
        (void)fprintf(out, "%s%s%s\n", prefix, text != NULL ? text : "there is no memory left",
                      suffix);
    }
    if (settings->problem_count > SETTINGS_PROBLEMS_MAX) {
        (void)fprintf(out, "%sand %zu more like these%s\n", prefix,
                      settings->problem_count - SETTINGS_PROBLEMS_MAX, suffix);
    }
    return settings->problem_count > 0;
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

void settings_read_environment(struct settings *settings)
{
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
