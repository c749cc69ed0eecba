/* SPDX-License-Identifier: Apache-2.0 */
/* logger.c - see logger.h.
 *
 * One ring for the process, like the stderr that it feeds. The mutex guards all of it and is held
 * while a line is formatted into its slot or copied out of it, never across a write(). */
#include "common/os/logger.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/os/clock.h"
#include "common/os/thread.h"

enum { LOGGER_STOP_MS = 300 };

struct log_line {
    uint64_t wall_ns;
    enum log_level level;
    char text[LOG_LINE_MAX]; /* no newline, NUL-terminated */
};

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed; /* a line came or went, or stopping */
    struct log_line *ring;  /* NULL: not started */
    size_t head;
    size_t count;
    bool writing; /* the thread has a line in hand */
    bool stopping;
    bool finished; /* the thread has left its loop */
    uint64_t lost; /* not yet reported */
    int fd;
    pthread_t thread;
} logger = {.mutex = PTHREAD_MUTEX_INITIALIZER, .fd = STDERR_FILENO};

static atomic_int logger_level = LOG_LEVEL_INFO;
static atomic_uint_least64_t logger_lost_total;

static const char *const level_names[] = {
    [LOG_LEVEL_ERROR] = "error",
    [LOG_LEVEL_WARNING] = "warning",
    [LOG_LEVEL_INFO] = "info",
    [LOG_LEVEL_DEBUG] = "debug",
};

const char *log_level_name(enum log_level level)
{
    return level_names[level];
}

bool log_level_parse(const char *name, enum log_level *level)
{
    for (size_t i = 0; i < sizeof level_names / sizeof level_names[0]; i++) {
        if (strcmp(name, level_names[i]) == 0) {
            *level = (enum log_level)i;
            return true;
        }
    }
    return false;
}

void logger_set_level(enum log_level level)
{
    atomic_store_explicit(&logger_level, (int)level, memory_order_relaxed);
}

bool logger_enabled(enum log_level level)
{
    return (int)level <= atomic_load_explicit(&logger_level, memory_order_relaxed);
}

uint64_t logger_lost_count(void)
{
    return atomic_load_explicit(&logger_lost_total, memory_order_relaxed);
}

static void write_all(int fd, const char *bytes, size_t size)
{
    while (size > 0) {
        const ssize_t written = write(fd, bytes, size);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written <= 0) {
            return; /* nobody is left to be told */
        }
        bytes += written;
        size -= (size_t)written;
    }
}

/* "2026-01-31T12:00:00.123456Z info    text\n" */
static void write_line(int fd, const struct log_line *line)
{
    enum { STAMP_MAX = 64 };
    const time_t seconds = (time_t)(line->wall_ns / NANOSECONDS_PER_SECOND);
    const uint64_t micros = line->wall_ns % NANOSECONDS_PER_SECOND / NANOSECONDS_PER_MICROSECOND;
    struct tm parts;
    (void)gmtime_r(&seconds, &parts); /* fails for years beyond 2^31 only */
    char stamp[STAMP_MAX];
    (void)strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &parts);
    char text[LOG_LINE_MAX + 2 * STAMP_MAX];
    const int length = snprintf(text, sizeof text, "%s.%06" PRIu64 "Z %-7s %s\n", stamp, micros,
                                log_level_name(line->level), line->text);
    if (length > 0) {
        write_all(fd, text, (size_t)length < sizeof text ? (size_t)length : sizeof text - 1);
    }
}

__attribute__((format(printf, 3, 4))) static void write_note(int fd, uint64_t wall_ns,
                                                             const char *format, ...)
{
    struct log_line line = {.wall_ns = wall_ns, .level = LOG_LEVEL_WARNING};
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(line.text, sizeof line.text, format, arguments);
    va_end(arguments);
    write_line(fd, &line);
}

/* What the thread remembers between lines, to count repeats instead of printing them. */
struct repeat_filter {
    struct log_line last;
    uint64_t repeats;
};

static void filter_report(struct repeat_filter *filter, int fd)
{
    if (filter->repeats > 0) {
        write_note(fd, filter->last.wall_ns, "the line before this one came %" PRIu64 " times more",
                   filter->repeats);
        filter->repeats = 0;
    }
}

static void filter_line(struct repeat_filter *filter, int fd, const struct log_line *line)
{
    if (line->level == filter->last.level && strcmp(line->text, filter->last.text) == 0) {
        filter->repeats++;
        filter->last.wall_ns = line->wall_ns;
        return;
    }
    filter_report(filter, fd);
    write_line(fd, line);
    filter->last = *line;
}

static void *logger_run(void *argument)
{
    struct repeat_filter *filter = argument;
    mutex_lock(&logger.mutex);
    for (;;) {
        while (logger.count == 0 && !logger.stopping) {
            condition_wait(&logger.changed, &logger.mutex);
        }
        if (logger.count == 0) {
            break;
        }
        const struct log_line line = logger.ring[logger.head];
        const uint64_t lost = logger.lost;
        const int fd = logger.fd;
        logger.head = (logger.head + 1) % LOG_RING_MAX;
        logger.count--;
        logger.lost = 0;
        logger.writing = true;
        mutex_unlock(&logger.mutex);
        filter_line(filter, fd, &line);
        if (lost > 0) {
            write_note(fd, line.wall_ns,
                       "%" PRIu64 " log lines were lost: stderr took them too slowly", lost);
        }
        mutex_lock(&logger.mutex);
        logger.writing = false;
        condition_broadcast(&logger.changed);
    }
    const int fd = logger.fd;
    mutex_unlock(&logger.mutex);
    filter_report(filter, fd);
    free(filter);
    mutex_lock(&logger.mutex);
    logger.finished = true;
    condition_broadcast(&logger.changed);
    mutex_unlock(&logger.mutex);
    return NULL;
}

int logger_start(enum log_level level, int fd)
{
    struct log_line *ring = calloc(LOG_RING_MAX, sizeof *ring);
    struct repeat_filter *filter = calloc(1, sizeof *filter);
    int error = ring == NULL || filter == NULL ? -ENOMEM : 0;
    if (error == 0) {
        logger_set_level(level);
        mutex_lock(&logger.mutex);
        condition_init(&logger.changed);
        logger.ring = ring;
        logger.head = 0;
        logger.count = 0;
        logger.lost = 0;
        logger.stopping = false;
        logger.finished = false;
        logger.fd = fd;
        error = thread_start(&logger.thread, "vr-log", logger_run, filter);
        if (error != 0) {
            logger.ring = NULL;
            condition_destroy(&logger.changed);
        }
        mutex_unlock(&logger.mutex);
    }
    if (error != 0) {
        free(ring);
        free(filter);
    }
    return error;
}

/* Waits, with the mutex, until `ring written` or `thread finished`; false when the time is up. */
static bool wait_for_writer(bool finished, uint64_t deadline_ns)
{
    while (finished ? !logger.finished : (logger.count > 0 || logger.writing)) {
        if (!condition_wait_until(&logger.changed, &logger.mutex, deadline_ns)) {
            return false;
        }
    }
    return true;
}

void logger_flush(uint32_t timeout_ms)
{
    const uint64_t deadline_ns = clock_monotonic_ns() + timeout_ms * NANOSECONDS_PER_MILLISECOND;
    mutex_lock(&logger.mutex);
    if (logger.ring != NULL && !pthread_equal(logger.thread, pthread_self())) {
        (void)wait_for_writer(false, deadline_ns); /* late lines are lost lines */
    }
    mutex_unlock(&logger.mutex);
}

void logger_stop(void)
{
    const uint64_t deadline_ns =
        clock_monotonic_ns() + LOGGER_STOP_MS * NANOSECONDS_PER_MILLISECOND;
    mutex_lock(&logger.mutex);
    if (logger.ring == NULL) {
        mutex_unlock(&logger.mutex);
        return;
    }
    logger.stopping = true;
    condition_broadcast(&logger.changed);
    const bool finished = wait_for_writer(true, deadline_ns);
    struct log_line *ring = logger.ring;
    if (finished) {
        logger.ring = NULL;
    }
    mutex_unlock(&logger.mutex);
    if (!finished) {
        return; /* stuck in a write: it keeps its ring until the process ends */
    }
    thread_join(logger.thread);
    condition_destroy(&logger.changed);
    free(ring);
}

void logger_write(enum log_level level, const char *format, ...)
{
    if (!logger_enabled(level)) {
        return;
    }
    struct log_line line = {.wall_ns = clock_wall_ns(), .level = level};
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(line.text, sizeof line.text, format, arguments);
    va_end(arguments);

    mutex_lock(&logger.mutex);
    const bool started = logger.ring != NULL && !logger.stopping;
    const int fd = logger.fd;
    if (started && logger.count == LOG_RING_MAX) {
        logger.lost++;
        atomic_fetch_add_explicit(&logger_lost_total, 1, memory_order_relaxed);
    } else if (started) {
        logger.ring[(logger.head + logger.count) % LOG_RING_MAX] = line;
        logger.count++;
        condition_broadcast(&logger.changed);
    }
    mutex_unlock(&logger.mutex);
    if (!started) {
        write_line(fd, &line);
    }
}
