/* SPDX-License-Identifier: Apache-2.0 */
/* common/os/logger: lines that nobody waits for. */
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

START_TEST(lines_have_time_level_and_text)
{
    ck_assert_int_eq(logger_start(LOG_LEVEL_INFO, pipe_fds[1]), 0);
    log_info("view %d", 7);
    log_debug("not this");
    log_error("nor that it was %s", "quiet");
    logger_stop();
    const char *text = written();
    ck_assert_uint_eq(line_count(text), 2);
    ck_assert_ptr_nonnull(strstr(text, "Z info    view 7\n"));
    ck_assert_ptr_nonnull(strstr(text, "Z error   nor that it was quiet\n"));
}
END_TEST

START_TEST(repeats_are_counted_not_printed)
{
    ck_assert_int_eq(logger_start(LOG_LEVEL_INFO, pipe_fds[1]), 0);
    for (int i = 0; i < 100; i++) {
        log_info("again");
    }
    log_info("other");
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
    ck_assert_int_eq(logger_start(LOG_LEVEL_INFO, pipe_fds[1]), 0);
    log_info("%s", line);
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
    ck_assert_int_eq(logger_start(LOG_LEVEL_INFO, pipe_fds[1]), 0);
    for (int i = 0; i < 3 * LOG_RING_MAX; i++) {
        log_info("line %d, which is long enough to fill a pipe before long", i);
    }
    ck_assert_uint_gt(logger_lost_count(), 0);
    const uint64_t before_ns = clock_monotonic_ns();
    logger_flush(50); /* gives up */
    ck_assert_uint_ge(clock_monotonic_ns() - before_ns, 49 * NANOSECONDS_PER_MILLISECOND);

    ck_assert_int_eq(thread_start(&reader, "reader", read_all, &said), 0);
    logger_flush(FLUSH_MS); /* somebody reads again */
    log_info("after");
    logger_flush(FLUSH_MS);
    logger_stop();
    close(pipe_fds[1]);
    thread_join(reader);
    pipe_fds[1] = dup(pipe_fds[0]); /* for the fixture to close */
    ck_assert(said);
}
END_TEST

START_TEST(levels_have_names)
{
    enum log_level level;
    ck_assert(log_level_parse("debug", &level));
    ck_assert_int_eq((int)level, LOG_LEVEL_DEBUG);
    ck_assert_str_eq(log_level_name(LOG_LEVEL_WARNING), "warning");
    ck_assert(!log_level_parse("loud", &level));
}
END_TEST

static Suite *logger_suite(void)
{
    Suite *suite = suite_create("logger");
    TCase *all = tcase_create("all");
    tcase_set_timeout(all, 60);
    tcase_add_checked_fixture(all, open_pipe, close_pipe);
    tcase_add_test(all, lines_have_time_level_and_text);
    tcase_add_test(all, repeats_are_counted_not_printed);
    tcase_add_test(all, long_lines_are_cut);
    tcase_add_test(all, stuck_pipe_blocks_nobody);
    tcase_add_test(all, levels_have_names);
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
