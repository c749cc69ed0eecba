/* SPDX-License-Identifier: Apache-2.0 */
/* log_line.h - one line of the log, and the forms that it is written in.
 *
 *     text      2026-01-31T12:00:00.123456Z warning protocol  replica 1 view 0 ...: text [VR1401]
 *     json      {"time":"...","level":"warning","subsystem":"protocol","id":"VR1401",...}
 *     journald  <4>protocol: replica 1 view 0 op 3 commit 3: text [VR1401]
 *
 * journald's has no time, for the journal has its own, and begins with the priority that
 * sd-daemon(3) defines: it goes through stderr like the others, and is never lost where there is no
 * journal.
 *
 * Whatever is in a text (names of files, answers of others) a line stays one line: control
 * characters are escaped, and JSON is valid UTF-8. */
#ifndef VR_OS_LOG_LINE_H
#define VR_OS_LOG_LINE_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/error_id.h"
#include "common/base/log_level.h"

enum {
    LOG_LINE_MAX = 1024,                      /* bytes of a text; what is longer is cut */
    LOG_WRITTEN_MAX = 6 * LOG_LINE_MAX + 512, /* of a line as written: JSON may need 6 for one */
};

enum log_format {
    LOG_FORMAT_AUTO, /* journald if stderr leads to the journal, else text */
    LOG_FORMAT_TEXT,
    LOG_FORMAT_JSON,
    LOG_FORMAT_JOURNALD,
};

/* Who speaks, and where it stands. */
struct log_position {
    uint32_t replica_id;
    uint64_t view; /* within its epoch, as people count them */
    uint64_t op;
    uint64_t commit;
};

struct log_line {
    uint64_t wall_ns;
    enum log_level level;
    enum log_subsystem subsystem;
    enum error_id id; /* ERROR_NONE: not a warning or error */
    bool attributed;  /* position.replica_id is known */
    bool positioned;  /* all of position is */
    struct log_position position;
    uint64_t repeats;        /* the line before this one came so often more; 0: another line */
    char text[LOG_LINE_MAX]; /* no newline, NUL-terminated */
};

/* Writes the line with its newline and a NUL; returns its size without the NUL. The format is not
 * LOG_FORMAT_AUTO. */
size_t log_line_write(const struct log_line *line, enum log_format format,
                      char out[LOG_WRITTEN_MAX]);

/* What LOG_FORMAT_AUTO means for this descriptor: JOURNAL_STREAM names the journal's. */
enum log_format log_format_of(int fd);

#endif
