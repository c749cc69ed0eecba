/* SPDX-License-Identifier: Apache-2.0 */
#include "common/os/log_line.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "common/base/invariant.h"
#include "common/os/clock.h"

/* A line as it grows. Every part of it fits (LOG_WRITTEN_MAX), and is cut should that be wrong. */
struct writing {
    char *out;
    size_t size;
};

__attribute__((format(printf, 2, 3))) static void put(struct writing *writing, const char *format,
                                                      ...)
{
    const size_t room = LOG_WRITTEN_MAX - writing->size;
    va_list arguments;
    va_start(arguments, format);
    const int length = vsnprintf(writing->out + writing->size, room, format, arguments);
    va_end(arguments);
    if (length > 0) {
        writing->size += (size_t)length < room ? (size_t)length : room - 1;
    }
}

static void put_time(struct writing *writing, uint64_t wall_ns)
{
    enum { STAMP_MAX = 64 };
    const time_t seconds = (time_t)(wall_ns / NANOSECONDS_PER_SECOND);
    const uint64_t micros = wall_ns % NANOSECONDS_PER_SECOND / NANOSECONDS_PER_MICROSECOND;
    struct tm parts;
    (void)gmtime_r(&seconds, &parts); /* fails for years beyond 2^31 only */
    char stamp[STAMP_MAX];
    (void)strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &parts);
    put(writing, "%s.%06" PRIu64 "Z", stamp, micros);
}

/* For people. */

/* Bytes before the next one that a line must not hold as it is. */
static size_t clean_size(const char *text)
{
    size_t size = 0;
    while ((unsigned char)text[size] >= 0x20 && text[size] != 0x7f) {
        size++;
    }
    return size;
}

static void put_plain(struct writing *writing, const char *text)
{
    while (*text != '\0') {
        const size_t size = clean_size(text);
        put(writing, "%.*s", (int)size, text);
        text += size;
        if (*text != '\0') {
            put(writing, "\\x%02x", (unsigned)(unsigned char)*text++);
        }
    }
}

static void put_sentence(struct writing *writing, const struct log_line *line)
{
    if (line->positioned) {
        const struct log_position *at = &line->position;
        put(writing, "replica %" PRIu32 " view %" PRIu64 " op %" PRIu64 " commit %" PRIu64 ": ",
            at->replica_id, at->view, at->op, at->commit);
    }
    put_plain(writing, line->text);
    if (line->id != ERROR_NONE) {
        put(writing, " [%s]", error_entry(line->id)->id);
    }
}

static void put_text(struct writing *writing, const struct log_line *line)
{
    put_time(writing, line->wall_ns);
    put(writing, " %-7s %-9s ", log_level_name(line->level), log_subsystem_name(line->subsystem));
    put_sentence(writing, line);
}

static void put_journald(struct writing *writing, const struct log_line *line)
{
    static const int priorities[LOG_LEVEL_COUNT] = {
        [LOG_LEVEL_ERROR] = 3,
        [LOG_LEVEL_WARNING] = 4,
        [LOG_LEVEL_INFO] = 6,
        [LOG_LEVEL_DEBUG] = 7,
    };
    put(writing, "<%d>%s: ", priorities[line->level], log_subsystem_name(line->subsystem));
    put_sentence(writing, line);
}

/* For programs. */

/* Bytes of the UTF-8 sequence at `text` (RFC 3629: no surrogates, nothing longer than needed), 0 if
 * there is none. */
static size_t utf8_size(const unsigned char *text)
{
    const unsigned char c = text[0];
    const size_t size = c < 0x80   ? 1
                        : c < 0xc2 ? 0
                        : c < 0xe0 ? 2
                        : c < 0xf0 ? 3
                        : c < 0xf5 ? 4
                                   : 0;
    for (size_t i = 1; i < size; i++) {
        if ((text[i] & 0xc0) != 0x80) { /* its NUL, too, ends a sequence that was cut */
            return 0;
        }
    }
    const bool wrong = (c == 0xe0 && text[1] < 0xa0) || (c == 0xed && text[1] > 0x9f) ||
                       (c == 0xf0 && text[1] < 0x90) || (c == 0xf4 && text[1] > 0x8f);
    return wrong ? 0 : size;
}

/* Bytes that a JSON string holds as they are. */
static size_t json_size(const unsigned char *text)
{
    size_t size = 0;
    size_t next = 1;
    while (next > 0) {
        const unsigned char c = text[size];
        next = c < 0x20 || c == 0x7f || c == '"' || c == '\\' ? 0 : utf8_size(text + size);
        size += next;
    }
    return size;
}

static void put_json_string(struct writing *writing, const char *text)
{
    const unsigned char *at = (const unsigned char *)text;
    put(writing, "\"");
    while (*at != '\0') {
        const size_t size = json_size(at);
        put(writing, "%.*s", (int)size, (const char *)at);
        at += size;
        if (*at == '\0') {
            break;
        }
        if (*at == '"' || *at == '\\') {
            put(writing, "\\%c", *at);
        } else if (*at < 0x80) {
            put(writing, "\\u%04x", (unsigned)*at);
        } else {
            put(writing, "\\ufffd"); /* what is no text */
        }
        at++;
    }
    put(writing, "\"");
}

static void put_json(struct writing *writing, const struct log_line *line)
{
    put(writing, "{\"time\":\"");
    put_time(writing, line->wall_ns);
    put(writing, "\",\"level\":\"%s\",\"subsystem\":\"%s\"", log_level_name(line->level),
        log_subsystem_name(line->subsystem));
    if (line->id != ERROR_NONE) {
        put(writing, ",\"id\":\"%s\"", error_entry(line->id)->id);
    } else {
        put(writing, ",\"id\":null");
    }
    if (line->positioned) {
        const struct log_position *at = &line->position;
        put(writing,
            ",\"replica\":%" PRIu32 ",\"view\":%" PRIu64 ",\"op\":%" PRIu64 ",\"commit\":%" PRIu64,
            at->replica_id, at->view, at->op, at->commit);
    } else if (line->attributed) {
        put(writing, ",\"replica\":%" PRIu32 ",\"view\":null,\"op\":null,\"commit\":null",
            line->position.replica_id);
    } else {
        put(writing, ",\"replica\":null,\"view\":null,\"op\":null,\"commit\":null");
    }
    if (line->repeats > 0) {
        put(writing, ",\"repeats\":%" PRIu64, line->repeats);
    }
    put(writing, ",\"message\":");
    put_json_string(writing, line->text);
    put(writing, "}");
}

size_t log_line_write(const struct log_line *line, enum log_format format,
                      char out[LOG_WRITTEN_MAX])
{
    struct writing writing = {.out = out};
    INVARIANT(format != LOG_FORMAT_AUTO);
    switch (format) {
    case LOG_FORMAT_AUTO:
    case LOG_FORMAT_TEXT:
        put_text(&writing, line);
        break;
    case LOG_FORMAT_JSON:
        put_json(&writing, line);
        break;
    case LOG_FORMAT_JOURNALD:
        put_journald(&writing, line);
        break;
    }
    put(&writing, "\n");
    return writing.size;
}

enum log_format log_format_of(int fd)
{
    const char *journal =
        getenv("JOURNAL_STREAM"); /* "device:inode" of its socket, see systemd.exec(5) */
    struct stat status;
    char own[64];
    if (journal == NULL || fstat(fd, &status) != 0) {
        return LOG_FORMAT_TEXT;
    }
    (void)snprintf(own, sizeof own, "%ju:%ju", (uintmax_t)status.st_dev, (uintmax_t)status.st_ino);
    return strcmp(journal, own) == 0 ? LOG_FORMAT_JOURNALD : LOG_FORMAT_TEXT;
}
