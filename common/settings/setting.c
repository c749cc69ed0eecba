/* SPDX-License-Identifier: Apache-2.0 */
#include "common/settings/setting.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Values. */

static bool parse_number(const struct setting *setting, const char *text, uint64_t *number,
                         char why[SETTING_WHY_MAX])
{
    if (setting->automatic && strcmp(text, "auto") == 0) {
        *number = 0;
        return true;
    }
    char *end;
    errno = 0;
    const unsigned long long value = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || errno != 0 || *end != '\0' || value < setting->least ||
        value > setting->most) {
        (void)snprintf(why, SETTING_WHY_MAX, "must be a number from %" PRIu64 " to %" PRIu64 "%s",
                       setting->least, setting->most, setting->automatic ? ", or auto" : "");
        return false;
    }
    *number = value;
    return true;
}

static bool parse_switch(const char *text, uint64_t *number, char why[SETTING_WHY_MAX])
{
    static const char *const words[] = {"no", "yes", "false", "true", "off", "on", "0", "1"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(text, words[i]) == 0) {
            *number = i % 2;
            return true;
        }
    }
    (void)snprintf(why, SETTING_WHY_MAX, "must be yes or no");
    return false;
}

static bool parse_word(const struct setting *setting, const char *text, uint64_t *number,
                       char why[SETTING_WHY_MAX])
{
    size_t used = (size_t)snprintf(why, SETTING_WHY_MAX, "must be ");
    for (size_t i = 0; setting->words[i] != NULL; i++) {
        if (strcmp(text, setting->words[i]) == 0) {
            *number = i;
            return true;
        }
        const char *between = i == 0 ? "" : setting->words[i + 1] == NULL ? " or " : ", ";
        used += (size_t)snprintf(why + used, SETTING_WHY_MAX - used, "%s%s", between,
                                 setting->words[i]);
    }
    return false;
}

static bool parse_text(const struct setting *setting, const char *text, char why[SETTING_WHY_MAX])
{
    size_t size = 0;
    for (; text[size] != '\0'; size++) {
        if ((unsigned char)text[size] < 0x20 || text[size] == 0x7f) {
            (void)snprintf(why, SETTING_WHY_MAX, "must not hold control characters");
            return false;
        }
    }
    if (size == 0 || size >= SETTING_VALUE_MAX) {
        (void)snprintf(why, SETTING_WHY_MAX, size == 0 ? "must not be empty" : "must be shorter");
        return false;
    }
    return setting->accepts == NULL || setting->accepts(text, why);
}

bool setting_parse(const struct setting *setting, const char *text, uint64_t *number,
                   char why[SETTING_WHY_MAX])
{
    *number = 0;
    switch (setting->kind) {
    case SETTING_NUMBER:
        return parse_number(setting, text, number, why);
    case SETTING_SWITCH:
        return parse_switch(text, number, why);
    case SETTING_WORD:
        return parse_word(setting, text, number, why);
    case SETTING_TEXT:
        return parse_text(setting, text, why);
    case SETTING_ACTION:
        break;
    }
    (void)snprintf(why, SETTING_WHY_MAX, "takes no value");
    return false;
}

/* Names. */

const struct setting *setting_by_key(const char *section, const char *key)
{
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        const struct setting *setting = &setting_table[i];
        if (setting->section != NULL && strcmp(setting->section, section) == 0 &&
            strcmp(setting->name, key) == 0) {
            return setting;
        }
    }
    return NULL;
}

enum { NAME_MAX_COMPARED = 64 };

static size_t least_of(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Insertions, removals and replacements of a character that make one name of the other; two
 * neighbours that changed places count as one. */
static size_t edit_distance(const char *a, const char *b)
{
    const size_t b_size = strlen(b);
    size_t rows[3][NAME_MAX_COMPARED + 1];
    for (size_t j = 0; j <= b_size; j++) {
        rows[0][j] = j;
    }
    size_t i = 0;
    for (; a[i] != '\0'; i++) {
        const size_t *before = rows[(i + 2) % 3];
        const size_t *above = rows[i % 3];
        size_t *row = rows[(i + 1) % 3];
        row[0] = i + 1;
        for (size_t j = 0; j < b_size; j++) {
            row[j + 1] = least_of(least_of(above[j + 1], row[j]) + 1, above[j] + (a[i] != b[j]));
            if (i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j]) {
                row[j + 1] = least_of(row[j + 1], before[j - 1] + 1);
            }
        }
    }
    return rows[i % 3][b_size];
}

const char *setting_did_you_mean(const char *name, const char *const *names)
{
    const size_t size = strlen(name);
    if (size == 0 || size > NAME_MAX_COMPARED) {
        return NULL;
    }
    const char *nearest = NULL;
    size_t nearest_distance = least_of(size / 3 + 1, 3) + 1; /* further is another word */
    for (size_t i = 0; names[i] != NULL; i++) {
        if (strlen(names[i]) > NAME_MAX_COMPARED) {
            continue;
        }
        const size_t distance = edit_distance(name, names[i]);
        if (distance < nearest_distance) {
            nearest = names[i];
            nearest_distance = distance;
        }
    }
    return nearest;
}
