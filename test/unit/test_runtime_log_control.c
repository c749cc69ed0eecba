/* SPDX-License-Identifier: Apache-2.0 */
/* server/runtime/log_control: who may change log levels, and what is logged of it. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/os/endpoint.h"
#include "common/os/logger.h"
#include "server/runtime/log_control.h"

static int pipe_fds[2];
static struct net_address asker;
static char now[LOG_LEVELS_TEXT_MAX];

static void set_up(void)
{
    const struct log_levels levels = log_levels_all(LOG_LEVEL_INFO);
    struct endpoint_error error;
    ck_assert_int_eq(pipe(pipe_fds), 0);
    ck_assert(endpoint_resolve("192.0.2.7", 4711, &asker, &error));
    ck_assert_int_eq(logger_start(&levels, LOG_FORMAT_JOURNALD, pipe_fds[1]), 0);
}

/* All that was logged. */
static const char *logged(void)
{
    static char text[8192];
    logger_stop();
    close(pipe_fds[1]);
    const ssize_t size = read(pipe_fds[0], text, sizeof text - 1);
    ck_assert_int_ge(size, 0);
    text[size] = '\0';
    close(pipe_fds[0]);
    return text;
}

START_TEST(asking_changes_and_logs_nothing)
{
    ck_assert_int_eq(log_control("", &asker, true, now), LOG_LEVELS_TOLD);
    ck_assert_str_eq(now, "info");
    ck_assert_int_eq(log_control("", &asker, false, now), LOG_LEVELS_TOLD);
    ck_assert_str_eq(logged(), "");
}
END_TEST

START_TEST(change_is_logged_with_who_asked_and_only_once)
{
    ck_assert_int_eq(log_control("network=debug", &asker, true, now), LOG_LEVELS_CHANGED);
    ck_assert_str_eq(now, "info,network=debug");
    ck_assert(logger_enabled(LOG_LEVEL_DEBUG, LOG_NETWORK));
    ck_assert(!logger_enabled(LOG_LEVEL_DEBUG, LOG_STORAGE));
    /* The request again, because its answer was lost. */
    ck_assert_int_eq(log_control("network=debug", &asker, true, now), LOG_LEVELS_CHANGED);
    /* Said although nothing at this level is, from now on. */
    ck_assert_int_eq(log_control("error", &asker, true, now), LOG_LEVELS_CHANGED);
    ck_assert_str_eq(now, "error");
    ck_assert_str_eq(logged(), "<6>admin: log levels are info,network=debug now and were info: "
                               "changed by 192.0.2.7:4711\n"
                               "<6>admin: log levels are error now and were info,network=debug: "
                               "changed by 192.0.2.7:4711\n");
}
END_TEST

START_TEST(others_are_refused_and_named_now_and_then)
{
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(log_control("debug", &asker, false, now), LOG_LEVELS_NOT_PERMITTED);
    }
    ck_assert_str_eq(now, "info");
    ck_assert(!logger_enabled(LOG_LEVEL_DEBUG, LOG_NETWORK));
    const char *text = logged();
    ck_assert_ptr_nonnull(strstr(text, "<4>admin: 192.0.2.7:4711 asked"));
    ck_assert_ptr_nonnull(strstr(text, "[VR1601]\n"));
    ck_assert_ptr_eq(strchr(text, '\n'), text + strlen(text) - 1);
}
END_TEST

START_TEST(what_is_no_level_changes_nothing)
{
    ck_assert_int_eq(log_control("storage=debug,loud", &asker, true, now), LOG_LEVELS_UNKNOWN);
    ck_assert_str_eq(now, "info");
    ck_assert(!logger_enabled(LOG_LEVEL_DEBUG, LOG_STORAGE));
    ck_assert_str_eq(logged(), "");
}
END_TEST

static Suite *log_control_suite(void)
{
    Suite *suite = suite_create("log_control");
    TCase *all = tcase_create("all");
    tcase_add_checked_fixture(all, set_up, NULL);
    tcase_add_test(all, asking_changes_and_logs_nothing);
    tcase_add_test(all, change_is_logged_with_who_asked_and_only_once);
    tcase_add_test(all, others_are_refused_and_named_now_and_then);
    tcase_add_test(all, what_is_no_level_changes_nothing);
    suite_add_tcase(suite, all);
    return suite;
}

int main(void)
{
    SRunner *runner = srunner_create(log_control_suite());
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
