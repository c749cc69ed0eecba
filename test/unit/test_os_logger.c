/* SPDX-License-Identifier: Apache-2.0 */
/* common/os/logger: lines that nobody waits for. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/prng.h"
#include "common/os/clock.h"
#include "common/os/logger.h"
#include "common/os/thread.h"

enum { FLUSH_MS = 30000 };

static int pipe_fds[2];

static void open_pipe(void)
{
    ck_assert_int_eq(pipe(pipe_fds), 0);
}

static void close_pipe(void)
{
    close(pipe_fds[0]);
    close(pipe_fds[1]);
}

/* Everything that was written so far, as text. */
static const char *written(void)
{
    static char text[65536];
    ck_assert_int_eq(fcntl(pipe_fds[0], F_SETFL, O_NONBLOCK), 0);
    size_t size = 0;
    ssize_t got;
    while ((got = read(pipe_fds[0], text + size, sizeof text - 1 - size)) > 0) {
        size += (size_t)got;
    }
    text[size] = '\0';
    return text;
}

static size_t line_count(const char *text)
{
    size_t count = 0;
    for (; *text != '\0'; text++) {
        count += *text == '\n' ? 1 : 0;
    }
    return count;
}

static void start(enum log_format format)
{
    const struct log_levels levels = log_levels_all(LOG_LEVEL_INFO);
    ck_assert_int_eq(logger_start(&levels, format, pipe_fds[1]), 0);
}

static const struct log_position position = {.replica_id = 3, .view = 4, .op = 5, .commit = 6};

START_TEST(lines_have_time_level_subsystem_and_text)
{
    start(LOG_FORMAT_TEXT);
    log_info(LOG_RUNTIME, "view %d", 7);
    log_debug(LOG_RUNTIME, "not this");
    log_problem(ERROR_BIND, "nor that it was %s", "quiet");
    logger_write(LOG_LEVEL_INFO, LOG_PROTOCOL, &position, "here");
    logger_stop();
    const char *text = written();
    ck_assert_uint_eq(line_count(text), 3);
    ck_assert_ptr_nonnull(strstr(text, "Z info    runtime   view 7\n"));
    ck_assert_ptr_nonnull(strstr(text, "Z error   network   nor that it was quiet [VR1301]\n"));
    ck_assert_ptr_nonnull(
        strstr(text, "Z info    protocol  replica 3 view 4 op 5 commit 6: here\n"));
}
END_TEST

struct collected {
    unsigned count;
    int level;
    char text[4096];
};

static void collect(void *context, int level, const char *line, size_t size)
{
    struct collected *collected = context;
    ck_assert_uint_eq(strlen(line), size);
    ck_assert_ptr_null(strchr(line, '\n'));
    collected->count++;
    collected->level = level;
    (void)strcat(strcat(collected->text, line), "|");
}

/* Whole lines, and none once it has stopped: what it writes to may be gone then. */
START_TEST(a_sink_takes_the_lines_until_it_stops)
{
    static struct collected collected;
    const struct log_levels levels = log_levels_all(LOG_LEVEL_INFO);
    const struct log_sink sink = {.write = collect, .context = &collected};
    ck_assert_int_eq(logger_start_sink(&levels, LOG_FORMAT_JOURNALD, &sink), 0);
    ck_assert_int_eq(logger_start_sink(&levels, LOG_FORMAT_JOURNALD, &sink), -EBUSY);
    log_info(LOG_RUNTIME, "one");
    log_info(LOG_RUNTIME, "one");
    log_problem(ERROR_BIND, "two");
    logger_stop();
    ck_assert_str_eq(collected.text,
                     "<6>runtime: one|<6>runtime: the line before this one came 1 times more|"
                     "<3>network: two [VR1301]|");
    ck_assert_uint_eq(collected.count, 3);
    ck_assert_int_eq(collected.level, LOG_LEVEL_ERROR);
    log_info(LOG_RUNTIME, "to stderr");
    ck_assert_uint_eq(collected.count, 3);
    ck_assert_int_eq(logger_start_sink(&levels, LOG_FORMAT_AUTO, &sink), 0);
    log_info(LOG_RUNTIME, "again");
    logger_stop();
    ck_assert_uint_eq(collected.count, 4);
    ck_assert_ptr_nonnull(strstr(collected.text, "Z info    runtime   again|"));
}
END_TEST

/* The journal has its own time, and takes the priority from the front of a line. */
START_TEST(journald_lines_have_priorities)
{
    start(LOG_FORMAT_JOURNALD);
    log_info(LOG_STORAGE, "a");
    log_problem(ERROR_BIND, "b");
    logger_problem(ERROR_REPLICA_SILENT, &position, "c");
    logger_set_level(LOG_LEVEL_DEBUG);
    log_debug(LOG_ADMIN, "d");
    logger_stop();
    ck_assert_str_eq(written(), "<6>storage: a\n<3>network: b [VR1301]\n"
                                "<4>protocol: replica 3 view 4 op 5 commit 6: c [VR1401]\n"
                                "<7>admin: d\n");
}
END_TEST

START_TEST(levels_are_by_subsystem_and_change_while_it_runs)
{
    struct log_levels levels = log_levels_all(LOG_LEVEL_INFO);
    ck_assert(log_levels_parse("warning,network=debug", &levels));
    ck_assert_int_eq(logger_start(&levels, LOG_FORMAT_JOURNALD, pipe_fds[1]), 0);
    log_info(LOG_RUNTIME, "not this");
    log_debug(LOG_NETWORK, "one");
    ck_assert(!logger_enabled(LOG_LEVEL_DEBUG, LOG_STORAGE));
    ck_assert(!logger_change_levels("storage=debug,network=loud", &levels));
    ck_assert(!logger_enabled(LOG_LEVEL_DEBUG, LOG_STORAGE));
    ck_assert(logger_change_levels("storage=debug", &levels));
    ck_assert(levels.of[LOG_STORAGE] == LOG_LEVEL_DEBUG &&
              levels.of[LOG_NETWORK] == LOG_LEVEL_DEBUG);
    log_debug(LOG_STORAGE, "two");
    ck_assert(logger_change_levels("error", &levels));
    log_problem(ERROR_REPLICA_SILENT, "nor this");
    log_problem(ERROR_BIND, "three");
    logger_stop();
    ck_assert_str_eq(written(), "<7>network: one\n<7>storage: two\n<3>network: three [VR1301]\n");
}
END_TEST

/* Every combination can be said, and read back. */
START_TEST(levels_as_text)
{
    unsigned combinations = 1;
    for (size_t i = 0; i < LOG_SUBSYSTEM_COUNT; i++) {
        combinations *= LOG_LEVEL_COUNT;
    }
    for (unsigned n = 0; n < combinations; n++) {
        struct log_levels levels;
        struct log_levels back = log_levels_all(LOG_LEVEL_ERROR);
        char text[LOG_LEVELS_TEXT_MAX];
        unsigned rest = n;
        for (size_t i = 0; i < LOG_SUBSYSTEM_COUNT; i++, rest /= LOG_LEVEL_COUNT) {
            levels.of[i] = (enum log_level)(rest % LOG_LEVEL_COUNT);
        }
        ck_assert(log_levels_parse(log_levels_text(&levels, text), &back));
        ck_assert_mem_eq(&levels, &back, sizeof levels);
    }
    const struct log_levels info = log_levels_all(LOG_LEVEL_INFO);
    struct log_levels levels = info;
    char text[LOG_LEVELS_TEXT_MAX];
    ck_assert(log_levels_parse("network=debug", &levels));
    ck_assert_str_eq(log_levels_text(&levels, text), "info,network=debug");
    static const char *const bad[] = {"",          "loud",
                                      "info,",     ",info",
                                      "=debug",    "network=",
                                      "net=debug", "network=debug=info",
                                      "Info",      "info, network=debug",
                                      "network"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        levels = info;
        ck_assert_msg(!log_levels_parse(bad[i], &levels), "%s", bad[i]);
        ck_assert_mem_eq(&levels, &info, sizeof info);
    }
}
END_TEST

/* Forms of a line. */

static struct log_line line_of(const char *text)
{
    struct log_line line = {.wall_ns = UINT64_C(1769860800123456789),
                            .level = LOG_LEVEL_WARNING,
                            .subsystem = LOG_NETWORK,
                            .id = ERROR_FOREIGN_CLUSTER};
    (void)snprintf(line.text, sizeof line.text, "%s", text);
    return line;
}

static json_t *json_of(const struct log_line *line)
{
    char out[LOG_WRITTEN_MAX];
    json_error_t error;
    const size_t size = log_line_write(line, LOG_FORMAT_JSON, out);
    ck_assert_uint_eq(size, strlen(out));
    ck_assert(size > 0 && out[size - 1] == '\n' && strchr(out, '\n') == out + size - 1);
    json_t *object = json_loads(out, JSON_REJECT_DUPLICATES, &error);
    ck_assert_msg(object != NULL, "%s: %s", error.text, out);
    return object;
}

START_TEST(json_lines_have_every_member)
{
    struct log_line line = line_of("it \"says\" \\ this");
    json_t *object = json_of(&line);
    ck_assert_str_eq(json_string_value(json_object_get(object, "time")),
                     "2026-01-31T12:00:00.123456Z");
    ck_assert_str_eq(json_string_value(json_object_get(object, "level")), "warning");
    ck_assert_str_eq(json_string_value(json_object_get(object, "subsystem")), "network");
    ck_assert_str_eq(json_string_value(json_object_get(object, "id")), "VR1302");
    ck_assert_str_eq(json_string_value(json_object_get(object, "message")), "it \"says\" \\ this");
    static const char *const where[] = {"replica", "view", "op", "commit"};
    for (size_t i = 0; i < 4; i++) {
        ck_assert(json_is_null(json_object_get(object, where[i])));
    }
    json_decref(object);

    line.attributed = true;
    line.position = position;
    object = json_of(&line);
    ck_assert_int_eq(json_integer_value(json_object_get(object, "replica")), 3);
    ck_assert(json_is_null(json_object_get(object, "view")));
    json_decref(object);

    line.positioned = true;
    line.id = ERROR_NONE;
    line.repeats = 9;
    object = json_of(&line);
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(json_integer_value(json_object_get(object, where[i])), 3 + i);
    }
    ck_assert(json_is_null(json_object_get(object, "id")));
    ck_assert_int_eq(json_integer_value(json_object_get(object, "repeats")), 9);
    json_decref(object);
}
END_TEST

/* Names of files, and what strangers send, may hold anything. */
START_TEST(json_is_json_whatever_the_text)
{
    struct log_line line =
        line_of("a\tb\nc\x01 \x7f \xc3\xa9 \xff \xc3 \xed\xa0\x80 \xf4\x90\x80\x80 "
                "\xe2\x82\xac \xf0\x9f\x98\x80 \xc0\xaf");
    json_t *object = json_of(&line);
    const char *replaced = "\xef\xbf\xbd";
    char expected[256];
    (void)snprintf(
        expected, sizeof expected,
        "a\tb\nc\x01 \x7f \xc3\xa9 %s %s %s%s%s %s%s%s%s \xe2\x82\xac \xf0\x9f\x98\x80 %s%s",
        replaced, replaced, replaced, replaced, replaced, replaced, replaced, replaced, replaced,
        replaced, replaced);
    ck_assert_str_eq(json_string_value(json_object_get(object, "message")), expected);
    json_decref(object);

    struct prng prng;
    prng_seed(&prng, 1);
    for (int i = 0; i < 3000; i++) {
        const size_t size = (size_t)prng_below(&prng, sizeof line.text);
        for (size_t j = 0; j < size; j++) {
            const uint64_t kind = prng_below(&prng, 3);
            line.text[j] = (char)(kind == 0 ? 1 + prng_below(&prng, 31)
                                            : 1 + prng_below(&prng, kind == 1 ? 127 : 255));
        }
        line.text[size] = '\0';
        json_decref(json_of(&line));
    }
    memset(line.text, 1, sizeof line.text - 1); /* the longest: six bytes for each */
    line.text[sizeof line.text - 1] = '\0';
    json_decref(json_of(&line));
}
END_TEST

START_TEST(text_stays_one_line)
{
    char out[LOG_WRITTEN_MAX];
    const struct log_line line = line_of("a\nb \x1b[31m\x7f \xc3\xa9");
    (void)log_line_write(&line, LOG_FORMAT_TEXT, out);
    ck_assert_str_eq(out, "2026-01-31T12:00:00.123456Z warning network   "
                          "a\\x0ab \\x1b[31m\\x7f \xc3\xa9 [VR1302]\n");
    (void)log_line_write(&line, LOG_FORMAT_JOURNALD, out);
    ck_assert_str_eq(out, "<4>network: a\\x0ab \\x1b[31m\\x7f \xc3\xa9 [VR1302]\n");
}
END_TEST

/* systemd names the socket that it has given us; whoever redirected stderr has another. */
START_TEST(journal_is_recognised)
{
    struct stat status;
    char stream[64];
    unsetenv("JOURNAL_STREAM");
    ck_assert_int_eq(log_format_of(pipe_fds[1]), LOG_FORMAT_TEXT);
    ck_assert_int_eq(fstat(pipe_fds[1], &status), 0);
    (void)snprintf(stream, sizeof stream, "%ju:%ju", (uintmax_t)status.st_dev,
                   (uintmax_t)status.st_ino);
    setenv("JOURNAL_STREAM", stream, 1);
    ck_assert_int_eq(log_format_of(pipe_fds[1]), LOG_FORMAT_JOURNALD);
    start(LOG_FORMAT_AUTO);
    log_info(LOG_RUNTIME, "in the journal");
    logger_stop();
    ck_assert_str_eq(written(), "<6>runtime: in the journal\n");
    setenv("JOURNAL_STREAM", "1:2", 1);
    ck_assert_int_eq(log_format_of(pipe_fds[1]), LOG_FORMAT_TEXT);
    ck_assert_int_eq(log_format_of(-1), LOG_FORMAT_TEXT);
}
END_TEST

START_TEST(repeats_are_counted_not_printed)
{
    start(LOG_FORMAT_TEXT);
    for (int i = 0; i < 100; i++) {
        const struct log_position moving = {.op = (uint64_t)i};
        logger_write(LOG_LEVEL_INFO, LOG_RUNTIME, &moving, "again");
    }
    log_info(LOG_RUNTIME, "other");
    logger_stop();
    const char *text = written();
    ck_assert_uint_eq(line_count(text), 3);
    ck_assert_ptr_nonnull(strstr(text, "came 99 times more"));
}
END_TEST

START_TEST(long_lines_are_cut)
{
    char line[2 * LOG_LINE_MAX];
    memset(line, 'x', sizeof line - 1);
    line[sizeof line - 1] = '\0';
    start(LOG_FORMAT_TEXT);
    log_info(LOG_RUNTIME, "%s", line);
    logger_stop();
    const char *text = written();
    ck_assert_uint_eq(line_count(text), 1);
    ck_assert_uint_lt(strlen(text), LOG_LINE_MAX + 64);
}
END_TEST

/* Reads all there is until the other end is closed. */
static void *read_all(void *argument)
{
    bool *said = argument;
    char text[4096];
    size_t size = 0;
    ssize_t got;
    while ((got = read(pipe_fds[0], text + size, sizeof text - 1 - size)) > 0) {
        size += (size_t)got;
        text[size] = '\0';
        *said = *said || strstr(text, "log lines were lost") != NULL;
        if (size > sizeof text / 2) { /* keep the end: what is sought may be cut in two */
            memmove(text, text + size - 100, 101);
            size = 100;
        }
    }
    return NULL;
}

/* PITFALLS TH-6: a pipe that nobody reads stops nobody; what is lost is counted and said. */
START_TEST(stuck_pipe_blocks_nobody)
{
    bool said = false;
    pthread_t reader;
    start(LOG_FORMAT_TEXT);
    for (int i = 0; i < 3 * LOG_RING_MAX; i++) {
        log_info(LOG_RUNTIME, "line %d, which is long enough to fill a pipe before long", i);
    }
    ck_assert_uint_gt(logger_lost_count(), 0);
    const uint64_t before_ns = clock_monotonic_ns();
    logger_flush(50); /* gives up */
    ck_assert_uint_ge(clock_monotonic_ns() - before_ns, 49 * NANOSECONDS_PER_MILLISECOND);

    ck_assert_int_eq(thread_start(&reader, "reader", read_all, &said), 0);
    logger_flush(FLUSH_MS); /* somebody reads again */
    log_info(LOG_RUNTIME, "after");
    logger_flush(FLUSH_MS);
    logger_stop();
    close(pipe_fds[1]);
    thread_join(reader);
    pipe_fds[1] = dup(pipe_fds[0]); /* for the fixture to close */
    ck_assert(said);
}
END_TEST

static Suite *logger_suite(void)
{
    Suite *suite = suite_create("logger");
    TCase *all = tcase_create("all");
    tcase_set_timeout(all, 60);
    tcase_add_checked_fixture(all, open_pipe, close_pipe);
    tcase_add_test(all, lines_have_time_level_subsystem_and_text);
    tcase_add_test(all, a_sink_takes_the_lines_until_it_stops);
    tcase_add_test(all, journald_lines_have_priorities);
    tcase_add_test(all, levels_are_by_subsystem_and_change_while_it_runs);
    tcase_add_test(all, levels_as_text);
    tcase_add_test(all, json_lines_have_every_member);
    tcase_add_test(all, json_is_json_whatever_the_text);
    tcase_add_test(all, text_stays_one_line);
    tcase_add_test(all, journal_is_recognised);
    tcase_add_test(all, repeats_are_counted_not_printed);
    tcase_add_test(all, long_lines_are_cut);
    tcase_add_test(all, stuck_pipe_blocks_nobody);
    suite_add_tcase(suite, all);
    return suite;
}

int main(void)
{
    SRunner *runner = srunner_create(logger_suite());
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
