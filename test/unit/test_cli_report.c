/* SPDX-License-Identifier: Apache-2.0 */
/* What the command line is told and tells: options, exit codes, JSON lines, messages. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/exit_code.h"
#include "client/cli/report.h"
#include "client/lib/explain.h"
#include "common/os/endpoint.h"

/* ---- options ---- */

static int parse(struct options *options, int count, const char *const *arguments)
{
    static char copies[16][64]; /* options borrow from them until the next call */
    static char *argv[17];
    for (int i = 0; i < count; i++) {
        (void)snprintf(copies[i], sizeof copies[i], "%s", arguments[i]);
        argv[i] = copies[i];
    }
    argv[count] = NULL;
    return options_parse(count, argv, options);
}

START_TEST(options_end_where_the_command_begins)
{
    struct options options;
    unsetenv("VR_CLUSTER");
    ck_assert_int_eq(
        parse(&options, 6,
              (const char *[]){"vr-client", "--json", "--timeout", "250", "incr", "k"}),
        0);
    ck_assert(options.json);
    ck_assert_uint_eq(options.timeout_ms, 250);
    ck_assert_str_eq(options.cluster, "127.0.0.1:8000-8004");
    ck_assert_uint_eq(options.command_count, 2);
    /* What looks like an option behind the command is the command's. */
    ck_assert_int_eq(parse(&options, 5, (const char *[]){"vr-client", "incr", "k", "-5", "--json"}),
                     0);
    ck_assert(!options.json);
    ck_assert_uint_eq(options.command_count, 4);
    ck_assert_str_eq(options.command[2], "-5");
    ck_assert_int_eq(parse(&options, 1, (const char *[]){"vr-client"}), 0);
    ck_assert_uint_eq(options.command_count, 0);
    ck_assert_uint_eq(options.timeout_ms, 5000);
}
END_TEST

START_TEST(environment_names_a_cluster)
{
    struct options options;
    setenv("VR_CLUSTER", "example.org:1", 1);
    ck_assert_int_eq(parse(&options, 2, (const char *[]){"vr-client", "status"}), 0);
    ck_assert_str_eq(options.cluster, "example.org:1");
    ck_assert_int_eq(
        parse(&options, 4, (const char *[]){"vr-client", "--cluster", "[::1]:2", "status"}), 0);
    ck_assert_str_eq(options.cluster, "[::1]:2");
    setenv("VR_CLUSTER", "", 1);
    ck_assert_int_eq(parse(&options, 2, (const char *[]){"vr-client", "status"}), 0);
    ck_assert_str_eq(options.cluster, "127.0.0.1:8000-8004");
}
END_TEST

START_TEST(numbers_are_whole_and_bounded)
{
    uint64_t number = 0;
    ck_assert(option_number("0", 0, 10, &number));
    ck_assert(option_number("10", 0, 10, &number));
    ck_assert_uint_eq(number, 10);
    static const char *const bad[] = {"",   "11",  "-1", "+1",  " 1",
                                      "1 ", "1.0", "x",  "0x1", "99999999999999999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ck_assert_msg(!option_number(bad[i], 0, 10, &number), "%s", bad[i]);
    }
}
END_TEST

/* ---- exit codes ---- */

START_TEST(exit_codes_are_the_promised_ones)
{
    static const struct {
        enum vr_outcome outcome;
        enum vr_error error;
        int code;
    } cases[] = {
        {VR_OK, VR_ERROR_NONE, 0},
        {VR_FAILED, VR_ERROR_NOT_FOUND, 1},
        {VR_FAILED, VR_ERROR_MISMATCH, 1},
        {VR_FAILED, VR_ERROR_OVERFLOW, 1},
        {VR_FAILED, VR_ERROR_NOT_A_NUMBER, 1},
        {VR_FAILED, VR_ERROR_TOO_LARGE, 1},
        {VR_FAILED, VR_ERROR_STORE_FULL, 1},
        {VR_FAILED, VR_ERROR_UNAVAILABLE, 4},
        {VR_FAILED, VR_ERROR_BUSY, 4},
        {VR_UNKNOWN, VR_ERROR_UNAVAILABLE, 5},
        {VR_UNKNOWN, VR_ERROR_BUSY, 5},
        {VR_UNKNOWN, VR_ERROR_SESSION_EXPIRED, 5},
        {VR_UNKNOWN, VR_ERROR_WRONG_CLUSTER, 5},
        {VR_FAILED, VR_ERROR_WRONG_CLUSTER, 7},
        {VR_FAILED, VR_ERROR_WRONG_VERSION, 7},
        {VR_FAILED, VR_ERROR_WRONG_PORT, 7},
        {VR_FAILED, VR_ERROR_NO_MEMORY, 70},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct vr_result result = {.outcome = cases[i].outcome, .error = cases[i].error};
        ck_assert_int_eq(report_exit_code(&result), cases[i].code);
    }
}
END_TEST

/* ---- what is printed ---- */

static char printed[4096];

/* Runs `print` with stdout in a file, and keeps what it wrote. */
static void capture(void (*print)(const struct shell *), const struct shell *shell)
{
    FILE *file = tmpfile();
    ck_assert_ptr_nonnull(file);
    (void)fflush(stdout);
    const int saved = dup(STDOUT_FILENO);
    ck_assert_int_ge(dup2(fileno(file), STDOUT_FILENO), 0);
    print(shell);
    (void)fflush(stdout);
    ck_assert_int_ge(dup2(saved, STDOUT_FILENO), 0);
    (void)close(saved);
    rewind(file);
    const size_t size = fread(printed, 1, sizeof printed - 1, file);
    printed[size] = '\0';
    (void)fclose(file);
}

static struct vr_result ok_result(const char *data, size_t size)
{
    return (struct vr_result){.outcome = VR_OK,
                              .epoch = 1,
                              .view = 12,
                              .op_number = 34,
                              .number = 42,
                              .data = (uint8_t *)(uintptr_t)data,
                              .size = size};
}

static void print_text(const struct shell *shell)
{
    const struct vr_result result = ok_result("gr\303\274n \"x\"", 9);
    (void)report_value(shell, &result);
}

static void print_binary(const struct shell *shell)
{
    const struct vr_result result = ok_result("\0\377\n", 3);
    (void)report_value(shell, &result);
}

static void print_number(const struct shell *shell)
{
    const struct vr_result result = ok_result(NULL, 0);
    (void)report_number(shell, &result);
}

static void print_ok(const struct shell *shell)
{
    const struct vr_result result = ok_result(NULL, 0);
    (void)report_ok(shell, &result);
}

static void print_failure(const struct shell *shell)
{
    struct vr_result result = {.outcome = VR_UNKNOWN, .error = VR_ERROR_UNAVAILABLE};
    (void)snprintf(result.message, sizeof result.message, "no \"luck\"");
    ck_assert_int_eq(report_failure(shell, &result), EXIT_UNKNOWN);
}

START_TEST(json_lines)
{
    const struct options options = {.json = true};
    const struct shell shell = {.options = &options, .source = SOURCE_PIPE};
    capture(print_text, &shell);
    ck_assert_str_eq(printed,
                     "{\"ok\":true,\"op\":34,\"view\":12,\"value\":\"gr\303\274n \\\"x\\\"\"}\n");
    capture(print_binary, &shell);
    ck_assert_str_eq(printed, "{\"ok\":true,\"op\":34,\"view\":12,\"value_base64\":\"AP8K\"}\n");
    capture(print_number, &shell);
    ck_assert_str_eq(printed, "{\"ok\":true,\"op\":34,\"view\":12,\"value\":42}\n");
    capture(print_ok, &shell);
    ck_assert_str_eq(printed, "{\"ok\":true,\"op\":34,\"view\":12}\n");
    capture(print_failure, &shell);
    ck_assert_str_eq(printed, "{\"ok\":false,\"outcome\":\"unknown\",\"error\":\"unavailable\","
                              "\"message\":\"no \\\"luck\\\"\"}\n");
}
END_TEST

/* One-shot is for scripts: raw, and silent where there is nothing to say. A reader of lines gets
 * lines. */
START_TEST(text_depends_on_who_reads_it)
{
    const struct options options = {.json = false};
    const struct options quiet = {.quiet = true};
    const struct shell one_shot = {.options = &options, .source = SOURCE_ARGUMENTS};
    const struct shell pipe = {.options = &options, .source = SOURCE_PIPE};
    const struct shell quiet_pipe = {.options = &quiet, .source = SOURCE_PIPE};
    capture(print_ok, &one_shot);
    ck_assert_str_eq(printed, "");
    capture(print_ok, &pipe);
    ck_assert_str_eq(printed, "ok\n");
    capture(print_ok, &quiet_pipe);
    ck_assert_str_eq(printed, "");
    capture(print_text, &one_shot);
    ck_assert_str_eq(printed, "gr\303\274n \"x\"\n");
    capture(print_text, &pipe);
    ck_assert_str_eq(printed, "\"gr\303\274n \\\"x\\\"\"\n");
    capture(print_binary, &pipe);
    ck_assert_str_eq(printed, "\"\\x00\\xff\\n\"\n");
    capture(print_number, &one_shot);
    ck_assert_str_eq(printed, "42\n");
}
END_TEST

/* ---- messages ---- */

START_TEST(sizes_have_separators)
{
    char text[GROUPED_MAX];
    ck_assert_str_eq(explain_grouped(0, text), "0");
    ck_assert_str_eq(explain_grouped(999, text), "999");
    ck_assert_str_eq(explain_grouped(1000, text), "1,000");
    ck_assert_str_eq(explain_grouped(1048576, text), "1,048,576");
    ck_assert_str_eq(explain_grouped(UINT64_MAX, text), "18,446,744,073,709,551,615");
    char message[128];
    explain_too_large("value", 1048597, 1048576, message, sizeof message);
    ck_assert_str_eq(message, "value is 1,048,597 bytes; at most 1,048,576");
}
END_TEST

static struct proxy_view view_of(uint32_t targets)
{
    struct proxy_view view = {.target_count = targets, .primary_id = REPLICA_NONE};
    for (uint32_t i = 0; i < targets; i++) {
        struct endpoint_error error;
        ck_assert(
            endpoint_resolve("127.0.0.1", (uint16_t)(8000 + i), &view.targets[i].address, &error));
        view.targets[i].replica_id = REPLICA_NONE;
    }
    return view;
}

/* "Say what was tried, who answered, what it waits for." */
START_TEST(silence_names_whom_it_asked)
{
    struct proxy_view view = view_of(2);
    const struct explain_request request = {.outcome = PROXY_FAILED,
                                            .error = PROXY_ERROR_TIMEOUT,
                                            .submitted_ns = 1000,
                                            .now_ns = 1000 + UINT64_C(5000000000)};
    char text[512];
    explain_failure(&view, &request, text, sizeof text);
    ck_assert_str_eq(text, "no replica answers: asked 127.0.0.1:8000, 127.0.0.1:8001 for 5.0 s; it "
                           "was not executed");
}
END_TEST

START_TEST(answers_without_a_primary_are_named)
{
    struct proxy_view view = view_of(3);
    struct configuration configuration = {.member_count = 3};
    view.configuration = &configuration;
    view.view_number = view_make(1, 6);
    view.targets[0].heard_ns = 2000;
    view.targets[0].replica_id = 0;
    view.targets[0].status = STATUS_VIEW_CHANGE;
    view.targets[2].heard_ns = 500; /* before this request */
    const struct explain_request request = {.outcome = PROXY_UNKNOWN,
                                            .error = PROXY_ERROR_TIMEOUT,
                                            .submitted_ns = 1000,
                                            .now_ns = 1000 + UINT64_C(1200000000)};
    char text[512];
    explain_failure(&view, &request, text, sizeof text);
    ck_assert_str_eq(
        text,
        "no primary for 1.2 s (the last view known is 6); 1 of the 2 needed "
        "answered: replica 0 (view change); asked 127.0.0.1:8000, "
        "127.0.0.1:8001, 127.0.0.1:8002; outcome unknown: it may have been executed, or may yet "
        "be");
}
END_TEST

/* "-" is stdin, but after "--" it is a dash. Nobody listens: what was read tells. */
static bool reads_stdin(const char *line)
{
    const struct options options = {.cluster = "127.0.0.1:1", .timeout_ms = 20, .quiet = true};
    struct shell shell = {.options = &options, .source = SOURCE_PIPE};
    struct words words;
    ck_assert(words_parse(line, strlen(line), &words));
    ck_assert_int_eq(command_run(&shell, &words), EXIT_UNAVAILABLE);
    words_free(&words);
    shell_close(&shell);
    return shell.stdin_used;
}

START_TEST(two_dashes_end_options)
{
    ck_assert_ptr_nonnull(freopen("/dev/null", "r", stdin));
    ck_assert(reads_stdin("set dash -"));
    ck_assert(!reads_stdin("set dash -- -"));
    ck_assert(!reads_stdin("set -- dash -"));
    ck_assert(!reads_stdin("set dash -- --"));
    ck_assert(reads_stdin("cas dash --absent -"));
    ck_assert(!reads_stdin("cas dash --absent -- -"));
}
END_TEST

START_TEST(a_quorum_without_a_primary_is_told_from_too_few)
{
    struct proxy_view view = view_of(3);
    struct configuration configuration = {.member_count = 3};
    view.configuration = &configuration;
    view.view_number = VIEW_NONE;
    for (uint32_t i = 0; i < 3; i++) {
        view.targets[i].heard_ns = 2000;
        view.targets[i].replica_id = i;
        view.targets[i].status = i == 0 ? STATUS_RECOVERING : STATUS_NORMAL;
    }
    const struct explain_request request = {.outcome = PROXY_FAILED,
                                            .error = PROXY_ERROR_TIMEOUT,
                                            .submitted_ns = 1000,
                                            .now_ns = 1000 + UINT64_C(5000000000)};
    char text[512];
    explain_failure(&view, &request, text, sizeof text);
    ck_assert_str_eq(text, "no primary for 5.0 s; all 3 replicas answered, none is primary: "
                           "replica 0 (recovering), replica 1 (normal), replica 2 (normal); it "
                           "was not executed");
    view.targets[1].heard_ns = 0;
    view.targets[2].status = STATUS_RECOVERING;
    explain_failure(&view, &request, text, sizeof text);
    ck_assert_str_eq(text, "no primary for 5.0 s; 2 of 3 replicas answered, none is primary: "
                           "replica 0 (recovering), replica 2 (recovering); 2 of 3 are recovering: "
                           "the group may have lost its memory, status tells; asked "
                           "127.0.0.1:8000, 127.0.0.1:8001, 127.0.0.1:8002; it was not executed");
}
END_TEST

START_TEST(wrong_groups_are_named)
{
    struct proxy_view view = view_of(1);
    view.refusal = (struct refused){.reason = REFUSED_CLUSTER, .own = 2, .yours = 1};
    struct explain_request request = {.outcome = PROXY_FAILED, .error = PROXY_ERROR_WRONG_CLUSTER};
    char text[512];
    explain_failure(&view, &request, text, sizeof text);
    ck_assert_ptr_nonnull(strstr(text, "0000000000000001"));
    ck_assert_ptr_nonnull(strstr(text, "0000000000000002"));
    view.refusal = (struct refused){.reason = REFUSED_VERSION, .own = 9, .yours = 1};
    request.error = PROXY_ERROR_WRONG_VERSION;
    explain_failure(&view, &request, text, sizeof text);
    ck_assert_ptr_nonnull(strstr(text, "version 9"));
    view.refusal = (struct refused){.reason = REFUSED_PEERS_PORT, .own = 8000};
    view.refused_by = view.targets[0].address;
    view.refused_by.port = 8100;
    request.error = PROXY_ERROR_WRONG_PORT;
    explain_failure(&view, &request, text, sizeof text);
    ck_assert_str_eq(text, "127.0.0.1:8100 is the port for peers, at which replicas talk to each "
                           "other; clients use port 8000: correct the list of addresses; it was "
                           "not executed");
}
END_TEST

/* However little room there is, the text ends. */
START_TEST(messages_are_cut_not_overrun)
{
    const struct proxy_view view = view_of(9);
    const struct explain_request request = {.error = PROXY_ERROR_TIMEOUT};
    for (size_t size = 1; size < 300; size++) {
        char *text = malloc(size);
        explain_failure(&view, &request, text, size);
        ck_assert_uint_lt(strlen(text), size);
        free(text);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cli_report");
    TCase *tests = tcase_create("cli_report");
    tcase_add_test(tests, options_end_where_the_command_begins);
    tcase_add_test(tests, environment_names_a_cluster);
    tcase_add_test(tests, numbers_are_whole_and_bounded);
    tcase_add_test(tests, exit_codes_are_the_promised_ones);
    tcase_add_test(tests, json_lines);
    tcase_add_test(tests, text_depends_on_who_reads_it);
    tcase_add_test(tests, sizes_have_separators);
    tcase_add_test(tests, silence_names_whom_it_asked);
    tcase_add_test(tests, answers_without_a_primary_are_named);
    tcase_add_test(tests, two_dashes_end_options);
    tcase_add_test(tests, a_quorum_without_a_primary_is_told_from_too_few);
    tcase_add_test(tests, wrong_groups_are_named);
    tcase_add_test(tests, messages_are_cut_not_overrun);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
