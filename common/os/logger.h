/* SPDX-License-Identifier: Apache-2.0 */
/* logger.h - one line an event, on stderr or to whoever is given, that never makes the caller wait
 * (TH-6).
 *
 * A line is put into a bounded ring and written by a thread of its own, so a stuck pipe or a slow
 * disk behind stderr stops nothing: lines that find the ring full are counted, and the count is
 * printed once there is room again. A line that repeats the one before it is counted, not printed.
 *
 * Threads:   all of it is safe anywhere, but logger_start() and logger_stop() in pairs.
 * Memory:    the ring, allocated by logger_start(). Before it and after logger_stop() lines are
 *            written at once, to a file descriptor: never to a sink. */
#ifndef VR_OS_LOGGER_H
#define VR_OS_LOGGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/os/log_line.h"

enum { LOG_RING_MAX = 2048 }; /* lines */

/* Takes lines instead of a file descriptor: each without its newline, NUL-terminated, borrowed for
 * the call. Called by the log's own thread, one line at a time. */
struct log_sink {
    void (*write)(void *context, int level, const char *line, size_t size); /* enum log_level */
    void *context;
};

/* Returns 0, -EBUSY (it is started) or another negative errno. `format` also holds for lines
 * written when it is not started. */
int logger_start(const struct log_levels *levels, enum log_format format, int fd);

/* The same with a sink, which must live until logger_stop() has returned, and if it does not let go
 * within that time, for ever. */
int logger_start_sink(const struct log_levels *levels, enum log_format format,
                      const struct log_sink *sink);

/* Writes what waits, but waits itself for a bounded time only. */
void logger_stop(void);

/* Waits until the ring is written, at most timeout_ms. */
void logger_flush(uint32_t timeout_ms);

/* Lines above their subsystem's level are dropped. Both work before a start, and later. */
void logger_set_level(enum log_level level);
void logger_levels(struct log_levels *levels);

/* As log_levels_parse() changes them, in one step; *levels is what holds from now on. False, and
 * nothing is changed, if `text` names no levels. */
bool logger_change_levels(const char *text, struct log_levels *levels);

bool logger_enabled(enum log_level level, enum log_subsystem subsystem);

/* Whose log this is, for lines without a position. Not for a process of several replicas. */
void logger_set_replica(uint32_t replica_id);

/* The one in use: never LOG_FORMAT_AUTO. */
enum log_format logger_format(void);

/* Lines lost because the ring was full, since the start. */
uint64_t logger_lost_count(void);

/* LOG_LEVEL_INFO and LOG_LEVEL_DEBUG; `position` may be NULL. */
__attribute__((format(printf, 4, 5))) void logger_write(enum log_level level,
                                                        enum log_subsystem subsystem,
                                                        const struct log_position *position,
                                                        const char *format, ...);

/* At LOG_LEVEL_INFO, whatever the levels are: what changes the log itself. */
__attribute__((format(printf, 2, 3))) void logger_announce(enum log_subsystem subsystem,
                                                           const char *format, ...);

/* A warning or error: what happened, why it matters, what to do. Its level and subsystem are the
 * catalogue's (common/base/error_id.c); `position` may be NULL. */
__attribute__((format(printf, 3, 4))) void
logger_problem(enum error_id id, const struct log_position *position, const char *format, ...);

#define log_info(subsystem, ...) logger_write(LOG_LEVEL_INFO, subsystem, NULL, __VA_ARGS__)
/* Its arguments are evaluated only if the line is wanted. */
#define log_debug(subsystem, ...) \
    (logger_enabled(LOG_LEVEL_DEBUG, subsystem) \
         ? logger_write(LOG_LEVEL_DEBUG, subsystem, NULL, __VA_ARGS__) \
         : (void)0)
#define log_problem(id, ...) logger_problem(id, NULL, __VA_ARGS__)

#endif
