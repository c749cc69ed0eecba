/* SPDX-License-Identifier: Apache-2.0 */
/* The REPL's parts that need no terminal: did-you-mean, the caret, completion, the history file,
 * and what is said while a command waits. */
#include <check.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/cli/caret.h"
#include "client/cli/commands.h"
#include "client/cli/completion.h"
#include "client/cli/history_file.h"
#include "client/cli/suggest.h"
#include "client/cli/trace_options.h"
#include "client/cli/waiting.h"

static const char *const commands[] = {"exit", "quit",   "get",   "set",    "del",  "cas", "incr",
                                       "scan", "status", "flood", "timing", "help", NULL};

/* ---- did you mean ---- */

START_TEST(distance_counts_slips_of_the_finger)
{
    ck_assert_uint_eq(suggest_distance("get", "get"), 0);
    ck_assert_uint_eq(suggest_distance("GET", "get"), 0);
    ck_assert_uint_eq(suggest_distance("gte", "get"), 1);  /* swapped */
    ck_assert_uint_eq(suggest_distance("gett", "get"), 1); /* too many */
    ck_assert_uint_eq(suggest_distance("gt", "get"), 1);   /* left out */
    ck_assert_uint_eq(suggest_distance("gat", "get"), 1);  /* changed */
    ck_assert_uint_eq(suggest_distance("", "get"), 3);
    ck_assert_uint_eq(suggest_distance("sitting", "kitten"), 3);
    char longest[SUGGEST_SIZE_MAX + 2];
    memset(longest, 'a', sizeof longest);
    longest[SUGGEST_SIZE_MAX] = '\0';
    ck_assert_uint_eq(suggest_distance(longest, ""), SUGGEST_SIZE_MAX);
    longest[SUGGEST_SIZE_MAX] = 'a';
    longest[SUGGEST_SIZE_MAX + 1] = '\0';
    ck_assert_uint_eq(suggest_distance(longest, "get"), SIZE_MAX);
}
END_TEST

START_TEST(the_nearest_command_is_meant)
{
    static const struct {
        const char *typed;
        const char *meant; /* NULL: nothing is near */
    } cases[] = {{"gte", "get"},        {"Set", "set"},       {"sacn", "scan"},
                 {"satus", "status"},   {"statsu", "status"}, {"stat", "status"},
                 {"timming", "timing"}, {"hlep", "help"},     {"xyzzy", NULL},
                 {"g", NULL},           {"", NULL},           {"floodgates", NULL}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *meant = suggest_nearest(cases[i].typed, commands);
        ck_assert_msg(meant == cases[i].meant || (meant != NULL && cases[i].meant != NULL &&
                                                  strcmp(meant, cases[i].meant) == 0),
                      "%s: %s", cases[i].typed, meant != NULL ? meant : "nothing");
    }
}
END_TEST

/* ---- the caret ---- */

static void expect_caret(const char *line, size_t begin, size_t end, size_t prompt, size_t columns,
                         const char *expected)
{
    const struct caret_line where = {
        .line = line, .size = strlen(line), .prompt_width = prompt, .columns = columns};
    char *text = caret_text(&where, begin, end);
    ck_assert_str_eq(text, expected);
    free(text);
}

START_TEST(the_caret_stands_under_the_bad_part)
{
    expect_caret("gte x\n", 0, 3, 2, 80, "  ^~~\n");
    expect_caret("incr a ten\n", 7, 10, 3, 80, "          ^~~\n");
    expect_caret("get\n", 4, 4, 2, 80, "     ^\n"); /* behind the end */
    expect_caret("get\n", 99, 99, 2, 80, "     ^\n");
    expect_caret("", 0, 0, 0, 80, "^\n");
}
END_TEST

/* What the terminal has wrapped cannot be pointed at from below. */
START_TEST(a_line_too_long_for_the_screen_is_shown_again)
{
    expect_caret("gte x", 0, 3, 10, 15, "    gte x\n    ^~~\n");
    char line[301];
    memset(line, 'x', 300);
    line[300] = '\0';
    const struct caret_line where = {.line = line, .size = 300, .prompt_width = 20, .columns = 80};
    char *text = caret_text(&where, 200, 210);
    ck_assert_uint_lt(strcspn(text, "\n"), 80);
    ck_assert_str_eq(strchr(text, '\n') + 1, "                        ^~~~~~~~~~\n");
    free(text);
    /* The bad part may be longer than what is shown of it. */
    text = caret_text(&where, 0, 300);
    ck_assert_uint_lt(strlen(strchr(text, '\n') + 1), 80);
    free(text);
}
END_TEST

START_TEST(the_caret_counts_characters)
{
    if (setlocale(LC_CTYPE, "C.UTF-8") == NULL) {
        return;
    }
    expect_caret("set gr\303\274n x y", 11, 12, 0, 80, "          ^\n");
    expect_caret("set \346\274\242 x y", 10, 11, 0, 80, "         ^\n"); /* two columns */
    expect_caret("set a\tb c d", 8, 9, 30, 80, "    set a b c d\n            ^\n");
}
END_TEST

/* ---- completion ---- */

static struct seen_keys seen;
static struct completion found;

static void see(const char *key)
{
    seen_keys_add(&seen, key, strlen(key));
}

static void forget_all(void)
{
    completion_free(&found);
    seen_keys_free(&seen);
}

static void find(const char *line)
{
    completion_free(&found);
    completion_find(line, strlen(line), commands, &seen, &found);
}

/* One candidate. */
static void expect_only(const char *line, size_t begin, const char *insertion)
{
    find(line);
    ck_assert_msg(found.count == 1 && found.complete, "%s: %zu candidates", line, found.count);
    ck_assert_str_eq(found.insertion, insertion);
    ck_assert_uint_eq(found.begin, begin);
}

static void expect_nothing(const char *line)
{
    find(line);
    ck_assert_msg(found.count == 0, "%s: %s", line, found.count > 0 ? found.candidates[0] : "");
}

START_TEST(tab_completes_commands_and_topics)
{
    expect_only("g", 0, "get");
    expect_only("  inc", 2, "incr");
    expect_only("help fl", 5, "flood");
    find("s");
    ck_assert_uint_eq(found.count, 3);
    ck_assert(!found.complete);
    ck_assert_str_eq(found.insertion, "s");
    ck_assert_str_eq(found.candidates[0], "scan");
    ck_assert_str_eq(found.candidates[2], "status");
    find("");
    ck_assert_uint_eq(found.count, sizeof commands / sizeof commands[0] - 1);
    ck_assert_str_eq(found.insertion, "");
    expect_nothing("xyz");
    expect_nothing("help get s");
    expect_nothing("# g");
    expect_nothing("get \\");
}
END_TEST

START_TEST(tab_completes_options)
{
    expect_only("status --w", 7, "--watch");
    expect_only("status --json --in", 14, "--interval");
    expect_only("flood --clients 4 --ver", 18, "--verify");
    expect_only("cas lock --a", 9, "--absent");
    expect_only("timing of", 7, "off");
    expect_only("trace --fol", 6, "--follow");
    expect_only("trace --type Prepare --heart", 21, "--heartbeats");
    expect_only("log-level --rep", 10, "--replica");
    expect_nothing("get --j");
}
END_TEST

static bool takes_options(const struct command *command)
{
    return strstr(command->arguments, "OPTIONS") != NULL ||
           strstr(command->arguments, "--") != NULL ||
           strstr(command->details, "--") == command->details;
}

/* No command that has options is forgotten. */
START_TEST(tab_completes_options_of_every_command)
{
    for (const struct command *command = command_table; command->name != NULL; command++) {
        char line[64];
        (void)snprintf(line, sizeof line, "%s x --", command->name);
        find(line);
        const bool wanted = takes_options(command);
        ck_assert_msg((found.count > 0) == wanted, "%s: %zu options", command->name, found.count);
    }
}
END_TEST

/* All of them, and as they are written. */
START_TEST(tab_knows_the_tables_of_options)
{
    size_t count = 0;
    for (; trace_option_table[count].name != NULL; count++) {
        char line[64];
        (void)snprintf(line, sizeof line, "trace --%s", trace_option_table[count].name);
        find(line);
        ck_assert_msg(found.count > 0, "%s", line);
        ck_assert_str_eq(found.candidates[0], line + strlen("trace "));
    }
    find("trace --");
    ck_assert_uint_eq(found.count, count);
}
END_TEST

START_TEST(tab_completes_keys_that_were_seen)
{
    see("user/ada");
    see("user/alan");
    see("visits");
    expect_only("get v", 4, "visits");
    expect_only("cas vi", 4, "visits");
    find("get u");
    ck_assert_uint_eq(found.count, 2);
    ck_assert_str_eq(found.insertion, "user/a");
    ck_assert_str_eq(found.candidates[0], "user/ada");
    expect_only("scan user/al", 5, "user/alan");
    expect_nothing("set visits v"); /* a value */
    expect_nothing("xyz v");
    forget_all();
}
END_TEST

START_TEST(completed_keys_are_quoted_where_they_must_be)
{
    see("my key");
    seen_keys_add(&seen, "z\000\377", 3);
    expect_only("get my", 4, "\"my key\"");
    expect_only("get \"my k", 4, "\"my key\"");
    expect_only("get 'my ", 4, "\"my key\"");
    expect_only("get my\\ k", 4, "\"my key\"");
    expect_only("get z", 4, "\"z\\x00\\xff\"");
    see("my key 2");
    find("get my");
    ck_assert_str_eq(found.insertion, "\"my key"); /* the word goes on: its quote is open */
    ck_assert(!found.complete);
    /* Never half a character. */
    see("\303\274");
    see("\303\266");
    find("get \303");
    ck_assert_uint_eq(found.count, 2);
    ck_assert_str_eq(found.insertion, "");
    forget_all();
}
END_TEST

START_TEST(seen_keys_are_bounded_and_each_once)
{
    char key[32];
    for (unsigned i = 0; i < 3 * SEEN_KEYS_MAX; i++) {
        (void)snprintf(key, sizeof key, "key%u", i % 2 == 0 ? i : i - 1);
        see(key);
    }
    ck_assert_uint_eq(seen.count, SEEN_KEYS_MAX);
    expect_nothing("get key0"); /* the oldest went */
    (void)snprintf(key, sizeof key, "get key%u", 3 * SEEN_KEYS_MAX - 2);
    expect_only(key, 4, key + 4);
    see("");
    static char large[2000];
    seen_keys_add(&seen, large, sizeof large); /* no key is that long */
    ck_assert_uint_eq(seen.count, SEEN_KEYS_MAX);
    forget_all();
}
END_TEST

/* ---- the history file ---- */

static char directory[] = "/tmp/vr-unit-XXXXXX";
static char path[HISTORY_PATH_MAX];

static void make_directory(void)
{
    memcpy(directory + strlen(directory) - 6, "XXXXXX", 6);
    ck_assert_ptr_nonnull(mkdtemp(directory));
    ck_assert(history_path(directory, NULL, path));
}

static void remove_directory(void)
{
    char text[HISTORY_PATH_MAX];
    (void)snprintf(text, sizeof text, "%s/viewstamp", directory);
    (void)unlink(path);
    (void)rmdir(text);
    ck_assert_int_eq(rmdir(directory), 0); /* nothing is left behind */
}

static char loaded[64 * 1024];
static unsigned loaded_count;

static void remember(void *context, const char *line)
{
    (void)context;
    loaded_count++;
    if (strlen(loaded) + strlen(line) + 2 < sizeof loaded) {
        (void)strcat(strcat(loaded, line), "|");
    }
}

static int load(void)
{
    loaded[0] = '\0';
    loaded_count = 0;
    return history_load(path, remember, NULL);
}

START_TEST(the_history_is_where_the_standard_says)
{
    char text[HISTORY_PATH_MAX];
    ck_assert(history_path("/state", "/home/ada", text));
    ck_assert_str_eq(text, "/state/viewstamp/history");
    ck_assert(history_path(NULL, "/home/ada", text));
    ck_assert_str_eq(text, "/home/ada/.local/state/viewstamp/history");
    ck_assert(history_path("", "/home/ada", text));
    ck_assert_str_eq(text, "/home/ada/.local/state/viewstamp/history");
    ck_assert(history_path("relative", "/home/ada", text));
    ck_assert_str_eq(text, "/home/ada/.local/state/viewstamp/history");
    ck_assert(!history_path(NULL, NULL, text));
    ck_assert(!history_path(NULL, "", text));
    char long_path[2 * HISTORY_PATH_MAX];
    memset(long_path, '/', sizeof long_path);
    long_path[sizeof long_path - 1] = '\0';
    ck_assert(!history_path(long_path, NULL, text));
}
END_TEST

START_TEST(lines_come_back_in_order)
{
    ck_assert_int_eq(load(), 0); /* no file: no lines */
    ck_assert_uint_eq(loaded_count, 0);
    ck_assert_int_eq(history_append(path, "set a 1"), 0);
    ck_assert_int_eq(history_append(path, "get \"a b\""), 0);
    ck_assert_int_eq(load(), 0);
    ck_assert_str_eq(loaded, "set a 1|get \"a b\"|");
    struct stat status;
    ck_assert_int_eq(stat(path, &status), 0);
    ck_assert_uint_eq(status.st_mode & 0777, 0600);
    char parent[HISTORY_PATH_MAX];
    (void)snprintf(parent, sizeof parent, "%s/viewstamp", directory);
    ck_assert_int_eq(stat(parent, &status), 0);
    ck_assert_uint_eq(status.st_mode & 0777, 0700);
}
END_TEST

START_TEST(some_lines_are_not_kept)
{
    ck_assert_int_eq(history_append(path, " set secret 1"), 0);
    ck_assert_int_eq(history_append(path, ""), 0);
    ck_assert_int_eq(history_append(path, "set a \033[2J"), 0);
    char large[HISTORY_LINE_SIZE_MAX + 2];
    memset(large, 'x', sizeof large);
    large[HISTORY_LINE_SIZE_MAX] = '\0';
    ck_assert(history_keeps(large, HISTORY_LINE_SIZE_MAX));
    large[HISTORY_LINE_SIZE_MAX] = 'x';
    large[HISTORY_LINE_SIZE_MAX + 1] = '\0';
    ck_assert_int_eq(history_append(path, large), 0);
    ck_assert_int_ne(access(path, F_OK), 0);
}
END_TEST

/* Two REPLs: what one appended while the other one cut the file is not lost, and both end up with
 * the newest lines. */
START_TEST(a_long_history_is_cut_to_its_newest_lines)
{
    ck_assert_int_eq(history_append(path, "first"), 0);
    FILE *file = fopen(path, "a");
    ck_assert_ptr_nonnull(file);
    char line[1100];
    memset(line, 'x', sizeof line);
    for (unsigned i = 0; i < 2 * HISTORY_LINES_MAX; i++) {
        (void)fprintf(file, "line %u %.1000s\n", i, line);
    }
    ck_assert_int_eq(fclose(file), 0);
    ck_assert_int_eq(load(), 0);
    ck_assert_uint_eq(loaded_count, HISTORY_LINES_MAX);
    ck_assert_ptr_nonnull(strstr(loaded, "line 1000 x"));
    struct stat status;
    ck_assert_int_eq(stat(path, &status), 0);
    ck_assert_int_lt(status.st_size, HISTORY_LINES_MAX * 1024);
    ck_assert_uint_eq(status.st_mode & 0777, 0600);
    ck_assert_int_eq(history_append(path, "last"), 0);
    ck_assert_int_eq(load(), 0);
    ck_assert_uint_eq(loaded_count, HISTORY_LINES_MAX);
}
END_TEST

START_TEST(a_file_of_somebody_else_is_an_error_and_no_crash)
{
    ck_assert_int_eq(history_append(path, "x"), 0);
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    (void)fwrite("\0\377\n\033[1m\nget a\nno newline", 1, 24, file);
    ck_assert_int_eq(fclose(file), 0);
    ck_assert_int_eq(load(), 0);
    ck_assert_str_eq(loaded, "get a|no newline|");
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    ck_assert_int_lt(history_append(path, "x"), 0);
    ck_assert_int_lt(load(), 0);
    ck_assert_int_eq(rmdir(path), 0);
}
END_TEST

/* ---- while it waits ---- */

START_TEST(what_is_waited_for)
{
    struct vr_client_info before = {.primary_known = true, .primary_id = 1, .view = 11};
    struct vr_client_info now = before;
    char silence[WAITING_TEXT_MAX] = "";
    char text[WAITING_TEXT_MAX];
    now.silent_ms = 800;
    waiting_text(&before, &now, 850, silence, text);
    ck_assert_str_eq(text, "primary 1 silent, asking all replicas (0.8 s) ...");
    now.silent_ms = 1200;
    now.needed_count = 3;
    now.answering_count = 2;
    waiting_text(&before, &now, 1250, silence, text);
    ck_assert_str_eq(text, "primary 1 silent, asking all replicas (1.2 s), 2 answer, 3 needed ...");
    now.silent_ms = 0;
    now.view = 12;
    now.primary_id = 2;
    waiting_text(&before, &now, 1300, silence, text);
    ck_assert_str_eq(text, "primary 1 silent, asking all replicas (1.2 s) ... view 12, primary 2");
}
END_TEST

START_TEST(what_is_waited_for_without_silence)
{
    struct vr_client_info before = {0};
    struct vr_client_info now = {0};
    char silence[WAITING_TEXT_MAX] = "";
    char text[WAITING_TEXT_MAX];
    waiting_text(&before, &now, 400, silence, text);
    ck_assert_str_eq(text, "no answer yet (0.4 s) ...");
    now.silent_ms = 400;
    waiting_text(&before, &now, 400, silence, text);
    ck_assert_str_eq(text, "no primary known, asking all replicas (0.4 s) ...");
    silence[0] = '\0';
    now = (struct vr_client_info){.busy_ms = 700, .busy_reason = "the request queue is full"};
    waiting_text(&before, &now, 750, silence, text);
    ck_assert_str_eq(text, "busy: the request queue is full (0.7 s) ...");
    now = (struct vr_client_info){.primary_known = true, .primary_id = 3, .view = 13};
    waiting_text(&before, &now, 900, silence, text);
    ck_assert_str_eq(text, "primary 3 of view 13 has not answered yet (0.9 s) ...");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cli_repl");
    TCase *tests = tcase_create("cli_repl");
    tcase_add_test(tests, distance_counts_slips_of_the_finger);
    tcase_add_test(tests, the_nearest_command_is_meant);
    tcase_add_test(tests, the_caret_stands_under_the_bad_part);
    tcase_add_test(tests, a_line_too_long_for_the_screen_is_shown_again);
    tcase_add_test(tests, the_caret_counts_characters);
    tcase_add_test(tests, tab_completes_commands_and_topics);
    tcase_add_test(tests, tab_completes_options);
    tcase_add_test(tests, tab_completes_options_of_every_command);
    tcase_add_test(tests, tab_knows_the_tables_of_options);
    tcase_add_test(tests, tab_completes_keys_that_were_seen);
    tcase_add_test(tests, completed_keys_are_quoted_where_they_must_be);
    tcase_add_test(tests, seen_keys_are_bounded_and_each_once);
    tcase_add_test(tests, the_history_is_where_the_standard_says);
    tcase_add_test(tests, what_is_waited_for);
    tcase_add_test(tests, what_is_waited_for_without_silence);
    suite_add_tcase(suite, tests);
    TCase *files = tcase_create("history");
    tcase_add_checked_fixture(files, make_directory, remove_directory);
    tcase_add_test(files, lines_come_back_in_order);
    tcase_add_test(files, some_lines_are_not_kept);
    tcase_add_test(files, a_long_history_is_cut_to_its_newest_lines);
    tcase_add_test(files, a_file_of_somebody_else_is_an_error_and_no_crash);
    suite_add_tcase(suite, files);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
