/* SPDX-License-Identifier: Apache-2.0 */
/* setting.h - what can be configured: one table for flags, environment and files (setting_table.c).
 *
 * An option is known by one name in all three: --heartbeat-ms 20 as a flag, VR_HEARTBEAT_MS=20 in
 * the environment, `heartbeat-ms = 20` under its section of a file. What it means, which values it
 * takes and what it is when nobody says anything is in the table only.
 *
 * Threads:   the table is constant. */
#ifndef VR_SETTINGS_SETTING_H
#define VR_SETTINGS_SETTING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Who has an option; a file may be shared by both. */
enum setting_program {
    SETTING_SERVER, /* vr-server start */
    SETTING_CLIENT, /* vr-client */
};

enum setting_kind {
    SETTING_TEXT,
    SETTING_NUMBER, /* decimal, `least` to `most` */
    SETTING_SWITCH, /* yes or no; as a flag it needs no value */
    SETTING_WORD,   /* one of `words` */
    SETTING_ACTION, /* a flag only, for this once: to do instead of running, or at a start */
};

/* Places in the table. */
enum setting_id {
    SETTING_CONFIG,
    SETTING_PRINT_CONFIG,
    SETTING_CHECK,
    SETTING_REBUILD,
    SETTING_DATA_DIR,
    SETTING_DURABILITY,
    SETTING_READS,
    SETTING_LOG_MEMORY_MAX,
    SETTING_LOG_RETAIN,
    SETTING_TRANSFER_RATE,
    SETTING_HEARTBEAT_MS,
    SETTING_VIEW_CHANGE_MS,
    SETTING_LISTEN,
    SETTING_DATAGRAM_SIZE,
    SETTING_INSECURE,
    SETTING_LOG_LEVEL,
    SETTING_LOG_FORMAT,
    SETTING_TRACE_MESSAGES,
    SETTING_CLIENT_CONFIG,
    SETTING_CLIENT_PRINT_CONFIG,
    SETTING_CLUSTER,
    SETTING_TIMEOUT,
    SETTING_CLIENT_DATAGRAM_SIZE,
    SETTING_JSON,
    SETTING_QUIET,
    SETTING_KEEP_GOING,
    SETTING_COUNT,
};

enum {
    SETTING_WHY_MAX = 768,                     /* what is wrong with a value, and what is allowed */
    SETTING_VALUE_MAX = 4096,                  /* bytes of a value */
    SETTING_TIMEOUT_MS_MAX = 24 * 3600 * 1000, /* a day */
    SETTING_DURATION_MS_MAX = 3600 * 1000,
    SETTING_LOG_MEMORY_MIN = 32 * 1024 * 1024, /* blocks of 8 MiB that leave one by one */
};

struct setting {
    const char *name; /* of flag and key */
    int letter;       /* the flag's short form; 0: none */
    enum setting_program program;
    const char *section;  /* of a file; NULL: it is no key */
    const char *variable; /* in the environment; NULL: it is none */
    enum setting_kind kind;
    const char *argument; /* stands for the value in --help; NULL: a flag without one */
    const char *fallback; /* the value when nobody says one; NULL: it is not set */
    const char *meaning;  /* of the fallback, where its text does not say it; or NULL */
    const char *example;  /* a value that is right */
    uint64_t least;
    uint64_t most;
    bool automatic;           /* a number that may be "auto", then 0 */
    const char *const *words; /* NULL at the end */
    /* Further demands on the text; false with the reason in `why`. Or NULL. */
    bool (*accepts)(const char *text, char why[SETTING_WHY_MAX]);
    const char *help;
};

extern const struct setting setting_table[SETTING_COUNT];

/* Names of sections of a file, in the order in which they are printed; NULL at the end. */
extern const char *const setting_sections[];

/* Reads `text`: *number is the number, 1 or 0 of a switch, the place of a word. False with what is
 * allowed in `why`, beginning with "must be" or the like. */
bool setting_parse(const struct setting *setting, const char *text, uint64_t *number,
                   char why[SETTING_WHY_MAX]);

/* The option of a section by its key; NULL: there is none. */
const struct setting *setting_by_key(const char *section, const char *key);

/* The nearest of `names` (NULL at the end) that `name` may have been meant to be, or NULL. */
const char *setting_did_you_mean(const char *name, const char *const *names);

#endif
