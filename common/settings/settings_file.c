/* SPDX-License-Identifier: Apache-2.0 */
/* settings_file.c - the INI file, read with inih.
 *
 * inih as Debian builds it tells its handler no line numbers, so the lines are counted where they
 * are handed to it. */
#include <errno.h>
#include <ini.h>
#include <stdlib.h>
#include <string.h>

#include "common/settings/settings_parts.h"

struct setting_file {
    struct settings *settings;
    const char *path;
    FILE *stream;
    unsigned line; /* the last one that was handed out, from 1 */
    size_t size;   /* bytes so far */
    bool broken;   /* it is no text file; said once */
    bool seen[SETTING_COUNT];
    unsigned seen_line[SETTING_COUNT];
};

static void give_up(struct setting_file *file, const char *why)
{
    file->broken = true;
    settings_problem(file->settings, "%s:%u: %s", file->path, file->line, why);
}

/* Sections. */

static bool section_known(const char *section)
{
    for (size_t i = 0; setting_sections[i] != NULL; i++) {
        if (strcmp(section, setting_sections[i]) == 0) {
            return true;
        }
    }
    return false;
}

static const char *all_sections(char text[SETTING_WHY_MAX])
{
    size_t used = 0;
    for (size_t i = 0; setting_sections[i] != NULL; i++) {
        used += (size_t)snprintf(text + used, SETTING_WHY_MAX - used, "%s[%s]", i == 0 ? "" : ", ",
                                 setting_sections[i]);
    }
    return text;
}

static void unknown_section(struct setting_file *file, const char *section)
{
    const char *meant = setting_did_you_mean(section, setting_sections);
    char all[SETTING_WHY_MAX];
    settings_problem(file->settings, "%s:%u: there is no section [%.100s].%s%s%s Sections are %s",
                     file->path, file->line, section, meant != NULL ? " Did you mean [" : "",
                     meant != NULL ? meant : "", meant != NULL ? "]?" : "", all_sections(all));
}

/* Lines. inih would tell of the first one only that makes no sense, and of no section that holds
 * no key. False, having said why, if the line is none. */
static bool check_line(struct setting_file *file, char *line)
{
    char *at = line;
    if (file->line == 1 && strncmp(at, "\xef\xbb\xbf", 3) == 0) {
        at += 3; /* a byte order mark */
    }
    at += strspn(at, " \t\r\n\v\f");
    if (*at == '\0' || *at == ';' || *at == '#') {
        return true;
    }
    if (*at != '[' && strpbrk(at, "=:") != NULL) {
        return true;
    }
    char *end = *at == '[' ? strchr(at, ']') : NULL;
    if (end == NULL) {
        settings_problem(file->settings,
                         "%s:%u: neither a section nor a key with a value; for example: "
                         "heartbeat-ms = 20",
                         file->path, file->line);
        return false;
    }
    *end = '\0';
    if (!section_known(at + 1)) {
        unknown_section(file, at + 1);
    }
    *end = ']';
    return true;
}

/* One line, with its newline; NULL at the end, or where it makes no sense to go on. */
static char *read_line(char *line, int size_max, void *context)
{
    struct setting_file *file = context;
    int size = 0;
    int c = EOF;
    if (file->broken) {
        return NULL;
    }
    file->line++;
    while (size < size_max - 1 && (c = fgetc(file->stream)) != EOF) {
        line[size++] = (char)c;
        if (c == '\0' || ++file->size > SETTINGS_FILE_MAX) {
            give_up(file, c == '\0' ? "this is no text file: it holds a zero byte"
                                    : "this is no configuration: it is larger than 1 MiB");
            return NULL;
        }
        if (c == '\n') {
            break;
        }
    }
    if (ferror(file->stream)) {
        file->broken = true;
        settings_problem(file->settings, "%s: cannot read this configuration file: %s", file->path,
                         strerror(errno));
        return NULL;
    }
    if (size == size_max - 1 && c != '\n') {
        give_up(file, "this line is too long; a value may have 4,096 bytes");
        return NULL;
    }
    line[size] = '\0';
    if (size == 0) {
        return NULL;
    }
    if (!check_line(file, line)) {
        line[0] = '\0'; /* said, and nothing for inih */
    }
    return line;
}

/* Keys. */

/* Where else the key would be right, or NULL. */
static const struct setting *key_elsewhere(const char *key)
{
    for (size_t i = 0; setting_sections[i] != NULL; i++) {
        const struct setting *setting = setting_by_key(setting_sections[i], key);
        if (setting != NULL) {
            return setting;
        }
    }
    return NULL;
}

static void unknown_key(struct setting_file *file, const char *section, const char *key)
{
    const char *names[SETTING_COUNT + 1];
    size_t count = 0;
    char all[SETTING_WHY_MAX];
    size_t used = 0;
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        const struct setting *setting = &setting_table[i];
        if (setting->section != NULL && strcmp(setting->section, section) == 0) {
            used += (size_t)snprintf(all + used, sizeof all - used, "%s%s", count == 0 ? "" : ", ",
                                     setting->name);
            names[count++] = setting->name;
        }
    }
    names[count] = NULL;
    const char *meant = setting_did_you_mean(key, names);
    const struct setting *elsewhere = key_elsewhere(key);
    const struct setting *example = setting_by_key(section, meant != NULL ? meant : names[0]);
    if (meant == NULL && elsewhere != NULL) {
        settings_problem(file->settings,
                         "%s:%u: %s is no key of [%s], but of [%s]; for example: "
                         "%s = %s under [%s]",
                         file->path, file->line, key, section, elsewhere->section, elsewhere->name,
                         elsewhere->example, elsewhere->section);
        return;
    }
    settings_problem(file->settings,
                     "%s:%u: %s is no key of [%s].%s%s%s Its keys are %s; for "
                     "example: %s = %s",
                     file->path, file->line, key, section, meant != NULL ? " Did you mean " : "",
                     meant != NULL ? meant : "", meant != NULL ? "?" : "", all, example->name,
                     example->example);
}

/* Values. */

static void take_value(struct setting_file *file, const struct setting *setting, const char *text)
{
    const enum setting_id id = setting_id_of(setting);
    char why[SETTING_WHY_MAX];
    struct setting_value value = {.origin = SETTING_FROM_FILE, .line = file->line};
    if (file->seen[id]) {
        settings_problem(file->settings, "%s:%u: %s is given twice, first in line %u; leave one",
                         file->path, file->line, setting->name, file->seen_line[id]);
        return;
    }
    file->seen[id] = true;
    file->seen_line[id] = file->line;
    if (!setting_parse(setting, text, &value.number, why)) {
        settings_problem(file->settings, "%s:%u: %s = %.200s: it %s; for example: %s = %s",
                         file->path, file->line, setting->name, text, why, setting->name,
                         setting->example);
        return;
    }
    if (!setting_is_of(file->settings, setting)) {
        return; /* of the other program that shares the file: checked, and not used */
    }
    file->settings->owned[id] = strdup(text);
    value.text = file->settings->owned[id];
    if (value.text == NULL) {
        settings_problem(file->settings, "%s:%u: there is no memory left", file->path, file->line);
        return;
    }
    settings_take(file->settings, id, value);
}

static int on_value(void *context, const char *section, const char *key, const char *text)
{
    struct setting_file *file = context;
    if (section[0] == '\0') {
        char all[SETTING_WHY_MAX];
        settings_problem(file->settings,
                         "%s:%u: %s stands before any section; sections are %s, for example: "
                         "[timing]",
                         file->path, file->line, key, all_sections(all));
        return 1;
    }
    if (!section_known(section)) {
        return 1; /* said where it begins */
    }
    const struct setting *setting = setting_by_key(section, key);
    if (setting == NULL) {
        unknown_key(file, section, key);
        return 1;
    }
    take_value(file, setting, text);
    return 1; /* inih has nothing to judge */
}

void settings_read_file(struct settings *settings, const char *path)
{
    struct setting_file file = {.settings = settings, .path = path};
    settings->file = path;
    file.stream = fopen(path, "re");
    if (file.stream == NULL) {
        settings_problem(settings,
                         "%s: cannot read this configuration file: %s; --config names it, "
                         "or VR_CONFIG",
                         path, strerror(errno));
        return;
    }
    ini_use_stack = false; /* a line is longer than it would have on its stack */
    ini_max_line = SETTINGS_LINE_MAX;
    ini_initial_alloc = SETTINGS_LINE_MAX;
    ini_allow_multiline = false; /* keys may be indented */
    const int result = ini_parse_stream(read_line, &file, on_value, &file);
    (void)fclose(file.stream); /* only read */
    if (result < 0) {
        settings_problem(settings, "%s: there is no memory left to read it", path);
    }
}
