/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/log_level.h"

#include <stddef.h>
#include <string.h>

static const char *const level_names[LOG_LEVEL_COUNT] = {
    [LOG_LEVEL_ERROR] = "error",
    [LOG_LEVEL_WARNING] = "warning",
    [LOG_LEVEL_INFO] = "info",
    [LOG_LEVEL_DEBUG] = "debug",
};

static const char *const subsystem_names[LOG_SUBSYSTEM_COUNT] = {
    [LOG_RUNTIME] = "runtime", [LOG_PROTOCOL] = "protocol",   [LOG_NETWORK] = "network",
    [LOG_STORAGE] = "storage", [LOG_EXECUTION] = "execution", [LOG_ADMIN] = "admin",
};

const char *log_level_name(enum log_level level)
{
    return level_names[level];
}

const char *log_subsystem_name(enum log_subsystem subsystem)
{
    return subsystem_names[subsystem];
}

struct log_levels log_levels_all(enum log_level level)
{
    struct log_levels levels;
    for (size_t i = 0; i < LOG_SUBSYSTEM_COUNT; i++) {
        levels.of[i] = level;
    }
    return levels;
}

/* Place of the word in the list, or `count`. */
static size_t find(const char *word, size_t size, const char *const *names, size_t count)
{
    size_t i = 0;
    while (i < count && (strlen(names[i]) != size || memcmp(names[i], word, size) != 0)) {
        i++;
    }
    return i;
}

/* One "level" or "subsystem=level". */
static bool parse_item(const char *item, size_t size, struct log_levels *levels)
{
    size_t name_size = 0;
    while (name_size < size && item[name_size] != '=') {
        name_size++;
    }
    const bool named = name_size < size;
    const char *word = named ? item + name_size + 1 : item;
    const size_t word_size = named ? size - name_size - 1 : size;
    const size_t level = find(word, word_size, level_names, LOG_LEVEL_COUNT);
    if (level == LOG_LEVEL_COUNT) {
        return false;
    }
    if (!named) {
        *levels = log_levels_all((enum log_level)level);
        return true;
    }
    const size_t subsystem = find(item, name_size, subsystem_names, LOG_SUBSYSTEM_COUNT);
    if (subsystem == LOG_SUBSYSTEM_COUNT) {
        return false;
    }
    levels->of[subsystem] = (enum log_level)level;
    return true;
}

bool log_levels_parse(const char *text, struct log_levels *levels)
{
    struct log_levels changed = *levels;
    for (;;) {
        size_t size = 0;
        while (text[size] != '\0' && text[size] != ',') {
            size++;
        }
        if (!parse_item(text, size, &changed)) {
            return false;
        }
        if (text[size] == '\0') {
            *levels = changed;
            return true;
        }
        text += size + 1;
    }
}

/* The level that most subsystems have. */
static enum log_level usual_level(const struct log_levels *levels)
{
    size_t counts[LOG_LEVEL_COUNT] = {0};
    size_t usual = 0;
    for (size_t i = 0; i < LOG_SUBSYSTEM_COUNT; i++) {
        counts[levels->of[i]]++;
    }
    for (size_t i = 0; i < LOG_LEVEL_COUNT; i++) {
        usual = counts[i] > counts[usual] ? i : usual;
    }
    return (enum log_level)usual;
}

static char *put(char *at, const char *word)
{
    const size_t size = strlen(word);
    memcpy(at, word, size);
    return at + size;
}

/* ",execution=warning" for each but the usual one, and that. */
_Static_assert((LOG_SUBSYSTEM_COUNT + 1) * 18 + 1 <= LOG_LEVELS_TEXT_MAX, "the longest text fits");

const char *log_levels_text(const struct log_levels *levels, char text[LOG_LEVELS_TEXT_MAX])
{
    const enum log_level usual = usual_level(levels);
    char *at = put(text, level_names[usual]);
    for (size_t i = 0; i < LOG_SUBSYSTEM_COUNT; i++) {
        if (levels->of[i] != usual) {
            at = put(at, ",");
            at = put(at, subsystem_names[i]);
            at = put(at, "=");
            at = put(at, level_names[levels->of[i]]);
        }
    }
    *at = '\0';
    return text;
}
