/* SPDX-License-Identifier: Apache-2.0 */
/* logger.h - one line an event, on stderr, that never makes the caller wait (TH-6).
 *
 * A line is put into a bounded ring and written by a thread of its own, so a stuck pipe or a slow
 * disk behind stderr stops nothing: lines that find the ring full are counted, and the count is
 * printed once there is room again. A line that repeats the one before it is counted, not printed.
 *
 * Threads:   all of it is safe anywhere, but logger_start() and logger_stop() in pairs.
 * Memory:    the ring, allocated by logger_start(). Before it and after logger_stop() lines are
 *            written at once. */
#ifndef VR_OS_LOGGER_H
#define VR_OS_LOGGER_H

#include <stdbool.h>
#include <stdint.h>

enum log_level {
    LOG_LEVEL_ERROR, /* this process cannot go on, or a person has to act */
    LOG_LEVEL_WARNING,
    LOG_LEVEL_INFO,
    LOG_LEVEL_DEBUG,
};

enum {
    LOG_LINE_MAX = 512,  /* bytes with newline; what is longer is cut */
    LOG_RING_MAX = 2048, /* lines */
};

const char *log_level_name(enum log_level level);

/* False if `name` is none of error, warning, info, debug. */
bool log_level_parse(const char *name, enum log_level *level);

/* Lines above `level` are dropped. Returns 0 or a negative errno. */
int logger_start(enum log_level level, int fd);

/* The same for a logger that is not started, and later. */
void logger_set_level(enum log_level level);

/* Writes what waits, but waits itself for a bounded time only. */
void logger_stop(void);

/* Waits until the ring is written, at most timeout_ms. */
void logger_flush(uint32_t timeout_ms);

bool logger_enabled(enum log_level level);

/* Lines lost because the ring was full, since the start. */
uint64_t logger_lost_count(void);

__attribute__((format(printf, 2, 3))) void logger_write(enum log_level level, const char *format,
                                                        ...);

#define log_error(...) logger_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) logger_write(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...) logger_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) logger_write(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
