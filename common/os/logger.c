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
#include <unistd.h>

#include "common/base/invariant.h"
#include "common/os/clock.h"
#include "common/os/thread.h"

enum { LOGGER_STOP_MS = 300 };
#define REPLICA_UNKNOWN UINT64_MAX

/* Where lines go. */
struct log_target {
    int fd;
    struct log_sink sink; /* write == NULL: to fd */
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
    struct log_target target;
    pthread_t thread;
} logger = {.mutex = PTHREAD_MUTEX_INITIALIZER, .target = {.fd = STDERR_FILENO}};

/* Each read by itself: a line between two changes of several levels is no harm. */
static atomic_int logger_level[LOG_SUBSYSTEM_COUNT] = {
    LOG_LEVEL_INFO, LOG_LEVEL_INFO, LOG_LEVEL_INFO, LOG_LEVEL_INFO, LOG_LEVEL_INFO, LOG_LEVEL_INFO,
};
_Static_assert(LOG_SUBSYSTEM_COUNT == 6, "every subsystem begins at info");
static atomic_uint_least64_t logger_replica = REPLICA_UNKNOWN;
static atomic_int logger_form = LOG_FORMAT_TEXT;
static atomic_uint_least64_t logger_lost_total;

static void set_levels(const struct log_levels *levels)
{
    for (size_t i = 0; i < LOG_SUBSYSTEM_COUNT; i++) {
        atomic_store_explicit(&logger_level[i], (int)levels->of[i], memory_order_relaxed);
    }
}

void logger_set_level(enum log_level level)
{
    const struct log_levels levels = log_levels_all(level);
    set_levels(&levels);
}

void logger_levels(struct log_levels *levels)
{
    for (size_t i = 0; i < LOG_SUBSYSTEM_COUNT; i++) {
        levels->of[i] =
            (enum log_level)atomic_load_explicit(&logger_level[i], memory_order_relaxed);
    }
}

bool logger_change_levels(const char *text, struct log_levels *levels)
{
    mutex_lock(&logger.mutex); /* so that of two changes none undoes the other */
    logger_levels(levels);
    const bool changed = log_levels_parse(text, levels);
    if (changed) {
        set_levels(levels);
    }
    mutex_unlock(&logger.mutex);
    return changed;
}

void logger_set_replica(uint32_t replica_id)
{
    atomic_store_explicit(&logger_replica, replica_id, memory_order_relaxed);
}

enum log_format logger_format(void)
{
    return (enum log_format)atomic_load_explicit(&logger_form, memory_order_relaxed);
}

bool logger_enabled(enum log_level level, enum log_subsystem subsystem)
{
    return (int)level <= atomic_load_explicit(&logger_level[subsystem], memory_order_relaxed);
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

static void write_line(const struct log_target *target, const struct log_line *line)
{
    char text[LOG_WRITTEN_MAX];
    const size_t size = log_line_write(line, logger_format(), text);
    if (target->sink.write == NULL) {
        write_all(target->fd, text, size);
        return;
    }
    text[size - 1] = '\0'; /* instead of the newline */
    target->sink.write(target->sink.context, (int)line->level, text, size - 1);
}

/* What the thread remembers between lines, to count repeats instead of printing them. */
struct repeat_filter {
    struct log_line last;
    uint64_t repeats;
};

static void filter_report(struct repeat_filter *filter, const struct log_target *target)
{
    struct log_line note = filter->last; /* its subsystem and position; the id it has said */
    if (filter->repeats == 0) {
        return;
    }
    note.level = LOG_LEVEL_INFO;
    note.id = ERROR_NONE;
    note.repeats = filter->repeats;
    (void)snprintf(note.text, sizeof note.text,
                   "the line before this one came %" PRIu64 " times more", filter->repeats);
    write_line(target, &note);
    filter->repeats = 0;
}

/* The same thing said again; where the replica stands may have moved meanwhile. */
static bool is_repeat(const struct log_line *line, const struct log_line *last)
{
    return line->level == last->level && line->subsystem == last->subsystem &&
           line->id == last->id && line->positioned == last->positioned &&
           line->position.replica_id == last->position.replica_id &&
           line->position.view == last->position.view && strcmp(line->text, last->text) == 0;
}

static void filter_line(struct repeat_filter *filter, const struct log_target *target,
                        const struct log_line *line)
{
    if (is_repeat(line, &filter->last)) {
        filter->repeats++;
        filter->last.wall_ns = line->wall_ns;
        filter->last.position = line->position;
        return;
    }
    filter_report(filter, target);
    write_line(target, line);
    filter->last = *line;
}

static void write_lost(const struct log_target *target, uint64_t wall_ns, uint64_t lost)
{
    struct log_line line = {.wall_ns = wall_ns,
                            .level = error_entry(ERROR_LOG_LINES_LOST)->level,
                            .subsystem = error_entry(ERROR_LOG_LINES_LOST)->subsystem,
                            .id = ERROR_LOG_LINES_LOST};
    (void)snprintf(line.text, sizeof line.text,
                   "%" PRIu64 " log lines were lost: stderr took them too slowly. What happened "
                   "meanwhile is not on record: see what reads stderr, or log less (--log-level)",
                   lost);
    write_line(target, &line);
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
        const struct log_target target = logger.target;
        logger.head = (logger.head + 1) % LOG_RING_MAX;
        logger.count--;
        logger.lost = 0;
        logger.writing = true;
        mutex_unlock(&logger.mutex);
        filter_line(filter, &target, &line);
        if (lost > 0) {
            write_lost(&target, line.wall_ns, lost);
        }
        mutex_lock(&logger.mutex);
        logger.writing = false;
        condition_broadcast(&logger.changed);
    }
    const struct log_target target = logger.target;
    mutex_unlock(&logger.mutex);
    filter_report(filter, &target);
    free(filter);
    mutex_lock(&logger.mutex);
    logger.finished = true;
    condition_broadcast(&logger.changed);
    mutex_unlock(&logger.mutex);
    return NULL;
}

/* With the mutex. */
static int start_thread(struct log_line *ring, struct repeat_filter *filter,
                        const struct log_target *target)
{
    if (logger.ring != NULL) {
        return -EBUSY;
    }
    condition_init(&logger.changed);
    logger.ring = ring;
    logger.head = 0;
    logger.count = 0;
    logger.lost = 0;
    logger.stopping = false;
    logger.finished = false;
    logger.target = *target;
    const int error = thread_start(&logger.thread, "vr-log", logger_run, filter);
    if (error != 0) {
        logger.ring = NULL;
        condition_destroy(&logger.changed);
    }
    return error;
}

static int start(const struct log_levels *levels, enum log_format format,
                 const struct log_target *target)
{
    struct log_line *ring = calloc(LOG_RING_MAX, sizeof *ring);
    struct repeat_filter *filter = calloc(1, sizeof *filter);
    int error = ring == NULL || filter == NULL ? -ENOMEM : 0;
    if (error == 0) {
        mutex_lock(&logger.mutex);
        error = start_thread(ring, filter, target);
        if (error == 0) {
            set_levels(levels);
            atomic_store(&logger_form, (int)format);
        }
        mutex_unlock(&logger.mutex);
    }
    if (error != 0) {
        free(ring);
        free(filter);
    }
    return error;
}

int logger_start(const struct log_levels *levels, enum log_format format, int fd)
{
    const struct log_target target = {.fd = fd};
    return start(levels, format == LOG_FORMAT_AUTO ? log_format_of(fd) : format, &target);
}

int logger_start_sink(const struct log_levels *levels, enum log_format format,
                      const struct log_sink *sink)
{
    const struct log_target target = {.fd = STDERR_FILENO, .sink = *sink};
    return start(levels, format == LOG_FORMAT_AUTO ? LOG_FORMAT_TEXT : format, &target);
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

static void take_line(const struct log_line *line)
{
    mutex_lock(&logger.mutex);
    const bool started = logger.ring != NULL && !logger.stopping;
    const struct log_target direct = {.fd = logger.target.fd};
    if (started && logger.count == LOG_RING_MAX) {
        logger.lost++;
        atomic_fetch_add_explicit(&logger_lost_total, 1, memory_order_relaxed);
    } else if (started) {
        logger.ring[(logger.head + logger.count) % LOG_RING_MAX] = *line;
        logger.count++;
        condition_broadcast(&logger.changed);
    }
    mutex_unlock(&logger.mutex);
    if (!started) {
        write_line(&direct, line);
    }
}

__attribute__((format(printf, 5, 0))) static void
make_line(enum log_level level, enum log_subsystem subsystem, enum error_id id,
          const struct log_position *position, const char *format, va_list arguments)
{
    struct log_line line; /* member by member: its text is not worth clearing first */
    line.wall_ns = clock_wall_ns();
    line.level = level;
    line.subsystem = subsystem;
    line.id = id;
    const uint_least64_t replica = atomic_load_explicit(&logger_replica, memory_order_relaxed);
    line.positioned = position != NULL;
    line.attributed = position != NULL || replica != REPLICA_UNKNOWN;
    line.position =
        position != NULL ? *position : (struct log_position){.replica_id = (uint32_t)replica};
    line.repeats = 0;
    (void)vsnprintf(line.text, sizeof line.text, format, arguments);
    take_line(&line);
}

void logger_write(enum log_level level, enum log_subsystem subsystem,
                  const struct log_position *position, const char *format, ...)
{
    INVARIANT(level >= LOG_LEVEL_INFO); /* what is worse has an id: logger_problem() */
    if (logger_enabled(level, subsystem)) {
        va_list arguments;
        va_start(arguments, format);
        make_line(level, subsystem, ERROR_NONE, position, format, arguments);
        va_end(arguments);
    }
}

void logger_announce(enum log_subsystem subsystem, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    make_line(LOG_LEVEL_INFO, subsystem, ERROR_NONE, NULL, format, arguments);
    va_end(arguments);
}

void logger_problem(enum error_id id, const struct log_position *position, const char *format, ...)
{
    const struct error_entry *entry = error_entry(id);
    if (logger_enabled(entry->level, entry->subsystem)) {
        va_list arguments;
        va_start(arguments, format);
        make_line(entry->level, entry->subsystem, id, position, format, arguments);
        va_end(arguments);
    }
}
