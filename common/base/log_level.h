/* SPDX-License-Identifier: Apache-2.0 */
/* log_level.h - how much is logged, and of what: a level for each subsystem.
 *
 * As people write it, "info,network=debug": a level alone is for all subsystems, what follows goes
 * before it. */
#ifndef VR_BASE_LOG_LEVEL_H
#define VR_BASE_LOG_LEVEL_H

#include <stdbool.h>

enum log_level {
    LOG_LEVEL_ERROR, /* this process cannot go on, or a person has to act */
    LOG_LEVEL_WARNING,
    LOG_LEVEL_INFO,
    LOG_LEVEL_DEBUG,
    LOG_LEVEL_COUNT,
};

enum log_subsystem {
    LOG_RUNTIME,   /* start and stop, configuration, threads, this log itself */
    LOG_PROTOCOL,  /* views, status, recovery, who is silent */
    LOG_NETWORK,   /* sockets and datagrams; debug: every message */
    LOG_STORAGE,   /* the data directory */
    LOG_EXECUTION, /* the application, sessions, the log's memory */
    LOG_ADMIN,     /* what people ask a running replica */
    LOG_SUBSYSTEM_COUNT,
};

struct log_levels {
    enum log_level of[LOG_SUBSYSTEM_COUNT];
};

enum { LOG_LEVELS_TEXT_MAX = 192 }; /* the longest that log_levels_text() writes, with its NUL */

const char *log_level_name(enum log_level level);
const char *log_subsystem_name(enum log_subsystem subsystem);

/* The same level for all. */
struct log_levels log_levels_all(enum log_level level);

/* Changes what `text` names and leaves the rest; false, with *levels untouched, if any of it is no
 * level or subsystem. */
bool log_levels_parse(const char *text, struct log_levels *levels);

/* The shortest text that says all of it. Returns `text`. */
const char *log_levels_text(const struct log_levels *levels, char text[LOG_LEVELS_TEXT_MAX]);

#endif
