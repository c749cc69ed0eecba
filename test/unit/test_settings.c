/* SPDX-License-Identifier: Apache-2.0 */
/* common/settings: flags, environment and files, which goes before which, and what is said of
 * mistakes. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/lib/cluster_list.h"
#include "common/settings/near_miss.h"
#include "common/settings/settings.h"
#include "server/runtime/server.h"

enum { TEXT_MAX = 65536, PATH_SIZE = 64 };

static struct settings settings;
static bool last_read; /* what settings_read() returned */
static char file_path[PATH_SIZE];

static const struct settings_about server_about = {.program = SETTING_SERVER, .usage_exit = 2};
static const struct settings_about client_about = {
    .program = SETTING_CLIENT, .usage_exit = 2, .arguments = "[COMMAND]"};

static void forget_environment(void)
{
    for (size_t i = 0; environ[i] != NULL;) {
        char name[256];
        (void)snprintf(name, sizeof name, "%.*s", (int)strcspn(environ[i], "="), environ[i]);
        if (strncmp(name, "VR_", 3) == 0) {
            unsetenv(name); /* another one takes its place */
        } else {
            i++;
        }
    }
}

static void set_up(void)
{
    forget_environment();
    (void)snprintf(file_path, sizeof file_path, "/tmp/vr-test-conf-XXXXXX");
    const int fd = mkstemp(file_path);
    ck_assert_int_ge(fd, 0);
    (void)close(fd);
}

static void tear_down(void)
{
    (void)unlink(file_path);
}

static void write_bytes(const char *bytes, size_t size)
{
    FILE *file = fopen(file_path, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(bytes, 1, size, file), size);
    ck_assert_int_eq(fclose(file), 0);
}

static void write_file(const char *text)
{
    write_bytes(text, strlen(text));
}

/* The program's arguments; `read` again frees what was read before. */
static void read_arguments(const struct settings_about *about, const char *const *arguments)
{
    static char copies[16][PATH_SIZE]; /* the settings borrow from them */
    static char *argv[17];
    int argc = 0;
    for (; arguments[argc] != NULL; argc++) {
        (void)snprintf(copies[argc], sizeof copies[argc], "%s", arguments[argc]);
        argv[argc] = copies[argc];
    }
    argv[argc] = NULL;
    last_read = settings_read(&settings, about, argc, argv);
}

static void read_server(const char *const *arguments)
{
    read_arguments(&server_about, arguments);
}

/* What a file says by itself. */
static void read_text(const char *text)
{
    write_file(text);
    read_server((const char *[]){"vr-server", "--config", file_path, NULL});
}

/* What settings_complain() or settings_print() write. */
static const char *written(bool print)
{
    static char text[TEXT_MAX];
    FILE *out = fmemopen(text, sizeof text, "w");
    ck_assert_ptr_nonnull(out);
    if (print) {
        settings_print(&settings, out);
    } else {
        (void)settings_complain(&settings, out, "", "");
    }
    ck_assert_int_eq(fclose(out), 0);
    return text;
}

/* `parts` (NULL at the end) come in this order in one line of the complaints. */
static void expect_complaint(const char *const *parts)
{
    const char *text = written(false);
    const char *line = strstr(text, parts[0]);
    ck_assert_msg(line != NULL, "\"%s\" is missing in:\n%s", parts[0], text);
    const char *end = strchr(line, '\n');
    for (size_t i = 1; parts[i] != NULL; i++) {
        line = strstr(line, parts[i]);
        ck_assert_msg(line != NULL && line < end, "\"%s\" is missing in:\n%s", parts[i], text);
    }
}

static void expect_one_complaint(const char *text, unsigned line, const char *const *parts)
{
    char place[PATH_SIZE + 16];
    const char *all[8] = {place};
    (void)snprintf(place, sizeof place, "%s:%u: ", file_path, line);
    for (size_t i = 0; parts[i] != NULL; i++) {
        all[i + 1] = parts[i];
    }
    read_text(text);
    ck_assert_msg(settings.problem_count == 1, "%zu problems:\n%s", settings.problem_count,
                  written(false));
    expect_complaint(all);
    settings_free(&settings);
}

/* The table. */

START_TEST(defaults_and_examples_are_values)
{
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        const struct setting *setting = &setting_table[i];
        uint64_t number;
        char why[SETTING_WHY_MAX];
        ck_assert_ptr_nonnull(setting->name);
        ck_assert_ptr_nonnull(setting->help);
        if (setting->kind == SETTING_ACTION) {
            continue;
        }
        ck_assert_msg(setting_parse(setting, setting->example, &number, why), "%s = %s: %s",
                      setting->name, setting->example, why);
        ck_assert_msg(setting->fallback == NULL ||
                          setting_parse(setting, setting->fallback, &number, why),
                      "%s", setting->name);
        ck_assert(setting->section == NULL ||
                  setting_by_key(setting->section, setting->name) == setting);
    }
    ck_assert_str_eq(setting_table[SETTING_CLUSTER].fallback, CLUSTER_LIST_DEFAULT);
    ck_assert_uint_eq(strtoull(setting_table[SETTING_LOG_MEMORY_MAX].fallback, NULL, 10),
                      LOG_MEMORY_MAX);
}
END_TEST

/* Reads docs/vr.conf.example, with every key's line uncommented. */
static char *uncommented_example(void)
{
    static char text[TEXT_MAX];
    char line[512];
    size_t size = 0;
    FILE *file = fopen("docs/vr.conf.example", "r");
    ck_assert_msg(file != NULL, "run from the root of the tree");
    while (fgets(line, sizeof line, file) != NULL) {
        const char *from = line[0] == ';' ? line + 1 : line;
        size += (size_t)snprintf(text + size, sizeof text - size, "%s", from);
    }
    (void)fclose(file);
    return text;
}

static void expect_defaults(enum setting_program program)
{
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        const struct setting *setting = &setting_table[i];
        if (setting->section == NULL || setting->program != program) {
            continue;
        }
        const struct setting_value *value = &settings.values[i];
        ck_assert_msg(value->origin == SETTING_FROM_FILE, "the example lacks %s", setting->name);
        ck_assert_str_eq(value->text,
                         setting->fallback != NULL ? setting->fallback : setting->example);
    }
}

START_TEST(example_file_shows_every_key_with_its_default)
{
    read_text(uncommented_example());
    ck_assert_msg(settings.problem_count == 0, "%s", written(false));
    expect_defaults(SETTING_SERVER);
    settings_free(&settings);
    read_arguments(&client_about, (const char *[]){"vr-client", "--config", file_path, NULL});
    ck_assert_uint_eq(settings.problem_count, 0);
    expect_defaults(SETTING_CLIENT);
    settings_free(&settings);
}
END_TEST

/* Which goes before which. */

START_TEST(flag_before_environment_before_file_before_default)
{
    char origin[SETTING_ORIGIN_MAX];
    char expected[SETTING_ORIGIN_MAX];
    write_file("[timing]\nheartbeat-ms = 30\nview-change-ms = 300\n[network]\n\ninsecure = yes\n");
    setenv("VR_HEARTBEAT_MS", "40", 1);
    setenv("VR_VIEW_CHANGE_MS", "400", 1);
    setenv("VR_CONFIG", file_path, 1);
    setenv("VR_LOG_LEVEL", "", 1); /* empty: not given */
    read_server((const char *[]){"vr-server", "--heartbeat-ms", "50", NULL});
    ck_assert_msg(settings.problem_count == 0, "%s", written(false));
    ck_assert_uint_eq(settings_number(&settings, SETTING_HEARTBEAT_MS), 50);
    ck_assert_str_eq(settings_origin(&settings, SETTING_HEARTBEAT_MS, origin),
                     "flag --heartbeat-ms");
    ck_assert_uint_eq(settings_number(&settings, SETTING_VIEW_CHANGE_MS), 400);
    ck_assert_str_eq(settings_origin(&settings, SETTING_VIEW_CHANGE_MS, origin),
                     "environment VR_VIEW_CHANGE_MS");
    ck_assert_uint_eq(settings_number(&settings, SETTING_INSECURE), 1);
    (void)snprintf(expected, sizeof expected, "%s:6", file_path);
    ck_assert_str_eq(settings_origin(&settings, SETTING_INSECURE, origin), expected);
    ck_assert_str_eq(settings_text(&settings, SETTING_LOG_LEVEL), "info");
    ck_assert_str_eq(settings_origin(&settings, SETTING_LOG_LEVEL, origin), "default");
    ck_assert_ptr_null(settings_text(&settings, SETTING_DATA_DIR));
    settings_free(&settings);
}
END_TEST

START_TEST(switch_of_a_file_can_be_switched_off)
{
    write_file("[network]\ninsecure = yes\n[log]\ntrace-messages = on\n");
    read_server((const char *[]){"vr-server", "--config", file_path, "--insecure=no", NULL});
    ck_assert_uint_eq(settings_number(&settings, SETTING_INSECURE), 0);
    ck_assert_uint_eq(settings_number(&settings, SETTING_TRACE_MESSAGES), 1);
    settings_free(&settings);
    read_server((const char *[]){"vr-server", "--insecure", NULL});
    ck_assert_uint_eq(settings_number(&settings, SETTING_INSECURE), 1);
    settings_free(&settings);
}
END_TEST

/* One file for both programs: each checks all of it and uses its own. */
START_TEST(programs_share_a_file)
{
    write_file("[network]\ndatagram-size = 600\n[client]\ndatagram-size = 700\ntimeout = 9\n");
    read_server((const char *[]){"vr-server", "--config", file_path, NULL});
    ck_assert_uint_eq(settings_number(&settings, SETTING_DATAGRAM_SIZE), 600);
    settings_free(&settings);
    read_arguments(&client_about,
                   (const char *[]){"vr-client", "--config", file_path, "get", "--json", NULL});
    ck_assert_uint_eq(settings_number(&settings, SETTING_CLIENT_DATAGRAM_SIZE), 700);
    ck_assert_uint_eq(settings_number(&settings, SETTING_TIMEOUT), 9);
    ck_assert_uint_eq(settings_number(&settings, SETTING_JSON), 0);
    ck_assert_uint_eq(settings.rest_count, 2);
    settings_free(&settings);
    /* What looks like a near miss is a value here. */
    read_arguments(&client_about, (const char *[]){"vr-client", "-c", "--timeot", "-t", "7", "-j",
                                                   "set", "--timeot", NULL});
    ck_assert_str_eq(settings_text(&settings, SETTING_CLUSTER), "--timeot");
    ck_assert_uint_eq(settings_number(&settings, SETTING_TIMEOUT), 7);
    ck_assert_uint_eq(settings_number(&settings, SETTING_JSON), 1);
    ck_assert_uint_eq(settings.rest_count, 2);
    settings_free(&settings);
}
END_TEST

static const char *warned(void)
{
    static char text[TEXT_MAX];
    FILE *out = fmemopen(text, sizeof text, "w");
    ck_assert_ptr_nonnull(out);
    text[0] = '\0';
    (void)settings_warn(&settings, out, "<", ">");
    (void)fclose(out);
    return text;
}

/* The script's variables, and those of the other program, begin the same way. */
START_TEST(variables_of_others_are_no_mistakes)
{
    setenv("VR_BIN", "/nowhere", 1);
    setenv("VR_DEMO_KILL", "true", 1);
    setenv("VR_TIMEOUT", "x", 1); /* the client's */
    setenv("VRX", "x", 1);
    read_server((const char *[]){"vr-server", NULL});
    ck_assert_msg(settings.problem_count == 0, "%s", written(false));
    ck_assert_str_eq(warned(), "");
    settings_free(&settings);
}
END_TEST

/* A warning, for it may be somebody else's: its value is never shown. */
START_TEST(unknown_variables_are_warned_of)
{
    setenv("VR_HEARTBEET_MS", "secret", 1);
    read_server((const char *[]){"vr-server", "--heartbeat-ms", "10", NULL});
    ck_assert_uint_eq(settings.problem_count, 0);
    ck_assert_str_eq(warned(),
                     "<environment: VR_HEARTBEET_MS is no option, and is ignored. Did you "
                     "mean VR_HEARTBEAT_MS?>\n");
    settings_free(&settings);
    unsetenv("VR_HEARTBEET_MS");

    setenv("VR_SERVICE_PORT", "secret", 1);
    read_server((const char *[]){"vr-server", NULL});
    ck_assert_str_eq(warned(), "<environment: VR_SERVICE_PORT is no option, and is ignored>\n");
    settings_free(&settings);

    char name[400];
    for (int i = 0; i < 6; i++) {
        (void)snprintf(name, sizeof name, "VR_%c\x1b%0200d", 'A' + i, 0);
        setenv(name, "secret", 1);
    }
    setenv("VR_", "secret", 1);
    read_server((const char *[]){"vr-server", NULL});
    const char *text = warned();
    ck_assert_uint_eq(settings.warning_count, 8);
    ck_assert_ptr_nonnull(strstr(text, "<and 4 more like these>\n"));
    ck_assert_ptr_null(strchr(text, '\x1b'));
    ck_assert_ptr_null(strstr(text, "secret"));
    settings_free(&settings);
    forget_environment();
}
END_TEST

/* What --print-config prints is a file that says the same. */
START_TEST(printed_settings_are_a_file)
{
    setenv("VR_LISTEN", "127.0.0.1:8000", 1);
    read_server((const char *[]){"vr-server", "--data-dir", "/a b/c", "--insecure",
                                 "--view-change-ms=77", NULL});
    const char *text = written(true);
    ck_assert_ptr_nonnull(strstr(text, "; flag --view-change-ms\n"));
    ck_assert_ptr_nonnull(strstr(text, "; environment VR_LISTEN\n"));
    ck_assert_ptr_nonnull(strstr(text, "; default: 2 GiB\n"));
    struct {
        char text[PATH_SIZE];
        uint64_t number;
    } before[SETTING_COUNT] = {0};
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        const struct setting_value *value = &settings.values[i];
        if (setting_table[i].section != NULL && value->text != NULL) {
            (void)snprintf(before[i].text, PATH_SIZE, "%s", value->text);
            before[i].number = value->number;
        }
    }
    settings_free(&settings);
    unsetenv("VR_LISTEN");
    read_text(text);
    ck_assert_msg(settings.problem_count == 0, "%s", written(false));
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        if (before[i].text[0] != '\0') {
            ck_assert_str_eq(settings.values[i].text, before[i].text);
            ck_assert_uint_eq(settings.values[i].number, before[i].number);
        }
    }
    settings_free(&settings);
}
END_TEST

/* Mistakes. */

START_TEST(bad_values_are_said_with_place_and_example)
{
    expect_one_complaint("[timing]\n\nheartbeat-ms = fast\n", 3,
                         (const char *[]){"heartbeat-ms = fast", "a number from 1 to 3600000",
                                          "for example: heartbeat-ms = 20", NULL});
    expect_one_complaint("[timing]\nview-change-ms = 0\n", 2,
                         (const char *[]){"view-change-ms = 0", "or auto",
                                          "for example: view-change-ms = 120", NULL});
    expect_one_complaint("[network]\ninsecure = perhaps", 2,
                         (const char *[]){"yes or no", "for example: insecure = no", NULL});
    expect_one_complaint(
        "[network]\nlisten = 127.0.0.1\n", 2,
        (const char *[]){"must be an address", "127.0.0.1", "for example: listen", NULL});
    expect_one_complaint("[replica]\ndurability = disk\n", 2,
                         (const char *[]){"memory, async or sync", "durability = sync", NULL});
    expect_one_complaint(
        "[log]\nlog-level = loud\n", 2,
        (const char *[]){"error, warning, info or debug", "log-level = info", NULL});
    expect_one_complaint("[replica]\ndata-dir = a\tb\n", 2,
                         (const char *[]){"control characters", NULL});
    expect_one_complaint("[replica]\ndata-dir =\n", 2, (const char *[]){"must not be empty", NULL});
    expect_one_complaint("[client]\ntimeout = -1\n", 2,
                         (const char *[]){"timeout = -1", "a number from 1", NULL});
}
END_TEST

START_TEST(unknown_names_are_said_with_what_was_meant)
{
    expect_one_complaint("[timing]\nhartbeat-ms = 20\n", 2,
                         (const char *[]){"hartbeat-ms is no key of [timing]",
                                          "Did you mean heartbeat-ms?", "heartbeat-ms = 20", NULL});
    expect_one_complaint("[timing]\nlisten = 127.0.0.1:1\n", 2,
                         (const char *[]){"listen is no key of [timing], but of [network]", NULL});
    expect_one_complaint("[timing]\nsomething = 20\n", 2,
                         (const char *[]){"keys are heartbeat-ms, view-change-ms", NULL});
    expect_one_complaint("\n[timming]\nheartbeat-ms = 20\n", 2,
                         (const char *[]){"no section [timming]", "Did you mean [timing]?",
                                          "[replica], [timing]", NULL});
    expect_one_complaint("[tim", 1, (const char *[]){"neither a section nor a key", NULL});
    expect_one_complaint("[]\n", 1, (const char *[]){"no section []", NULL});
    expect_one_complaint("[log]\n[client2]\n", 2,
                         (const char *[]){"no section [client2]", "Did you mean [client]?", NULL});
    expect_one_complaint("heartbeat-ms = 20\n", 1,
                         (const char *[]){"before any section", "[timing]", NULL});
    expect_one_complaint("[log]\nlog-level=info\n[log]\nlog-level=debug\n", 4,
                         (const char *[]){"log-level is given twice", "line 2", NULL});
}
END_TEST

START_TEST(what_is_no_such_file_is_said)
{
    static char large[SETTINGS_FILE_MAX + 10];
    expect_one_complaint(
        "[timing]\nheartbeat-ms\n", 2,
        (const char *[]){"neither a section nor a key", "heartbeat-ms = 20", NULL});
    memset(large, ';', sizeof large);
    large[sizeof large - 1] = '\0';
    expect_one_complaint(large, 1, (const char *[]){"too long", NULL});
    for (size_t i = 1; i < sizeof large - 1; i += 2) {
        large[i] = '\n';
    }
    read_text(large);
    ck_assert_uint_eq(settings.problem_count, 1);
    ck_assert_ptr_nonnull(strstr(written(false), "larger than 1 MiB"));
    settings_free(&settings);

    static const char zero[] = "[timing]\nheartbeat-ms = 2\0000\n";
    write_bytes(zero, sizeof zero - 1);
    read_server((const char *[]){"vr-server", "--config", file_path, NULL});
    ck_assert_uint_eq(settings.problem_count, 1);
    ck_assert_ptr_nonnull(strstr(written(false), "no text file"));
    settings_free(&settings);

    read_server((const char *[]){"vr-server", "--config", "/nowhere/vr.conf", NULL});
    ck_assert_ptr_nonnull(strstr(written(false), "/nowhere/vr.conf: cannot read"));
    settings_free(&settings);
    read_server((const char *[]){"vr-server", "--config", "/tmp", NULL});
    ck_assert_ptr_nonnull(strstr(written(false), "/tmp: cannot read"));
    settings_free(&settings);
}
END_TEST

/* All of them at once, and those of the environment too; a flag does not hide them. */
START_TEST(all_problems_are_told)
{
    setenv("VR_HEARTBEAT_MS", "x", 1);
    write_file("[timing]\nheartbeat-ms = y\nview-change-ms = z\n");
    read_server((const char *[]){"vr-server", "--config", file_path, "--heartbeat-ms", "10", NULL});
    ck_assert_uint_eq(settings.problem_count, 3);
    expect_complaint((const char *[]){"environment: VR_HEARTBEAT_MS=x", "a number from 1 to",
                                      "for example: VR_HEARTBEAT_MS=20", NULL});
    expect_complaint((const char *[]){"heartbeat-ms = y", NULL});
    expect_complaint((const char *[]){"view-change-ms = z", NULL});
    settings_free(&settings);

    char many[4096] = "[timing]\n";
    for (int i = 0; i < 3 * SETTINGS_PROBLEMS_MAX; i++) {
        strcat(many, "what = ever\n");
    }
    unsetenv("VR_HEARTBEAT_MS");
    read_text(many);
    ck_assert_ptr_nonnull(strstr(written(false), "and 32 more like these"));
    settings_free(&settings);
}
END_TEST

/* Values of thousands of bytes, blanks, comments, and CR LF. */
START_TEST(files_are_read_as_people_write_them)
{
    static char text[2 * SETTING_VALUE_MAX];
    char path[SETTING_VALUE_MAX];
    memset(path, 'p', sizeof path - 1);
    path[0] = '/';
    path[sizeof path - 1] = '\0';
    (void)snprintf(text, sizeof text,
                   "# first\r\n; second\r\n[replica]\r\n   data-dir   =   %s   ; third\r\n"
                   "\t[timing]\r\n\theartbeat-ms=7\r\n",
                   path);
    read_text(text);
    ck_assert_msg(settings.problem_count == 0, "%s", written(false));
    ck_assert_str_eq(settings_text(&settings, SETTING_DATA_DIR), path);
    ck_assert_uint_eq(settings_number(&settings, SETTING_HEARTBEAT_MS), 7);
    settings_free(&settings);
}
END_TEST

/* Flags end the program: argp's way. */
static const char *const wrong_flags[][3] = {
    {"--heartbeat-ms", "x"}, {"--heartbeat-ms", "0"},      {"--hartbeat-ms", "1"},
    {"--listen", "x"},       {"--durability=everlasting"}, {"--print-config=yes"},
    {"--unheard-of"},        {"--data-dir", ""},           {"--insecure=perhaps"},
};

START_TEST(wrong_flags_end_the_program_with_2)
{
    const char *arguments[4] = {"vr-server", wrong_flags[_i][0], wrong_flags[_i][1], NULL};
    ck_assert_ptr_nonnull(freopen("/dev/null", "w", stderr));
    read_server(arguments);
}
END_TEST

/* But for one that says what is wrong in its own way. */
START_TEST(a_program_may_go_on_after_wrong_flags)
{
    struct settings_about about = server_about;
    about.goes_on = true;
    const char *arguments[4] = {"vr-server", wrong_flags[_i][0], wrong_flags[_i][1], NULL};
    ck_assert_ptr_nonnull(freopen("/dev/null", "w", stderr));
    read_arguments(&about, arguments);
    ck_assert(!last_read);
    settings_free(&settings);
    read_arguments(&about, (const char *[]){"vr-server", "--heartbeat-ms", "7", NULL});
    ck_assert(last_read);
    ck_assert_uint_eq(settings_number(&settings, SETTING_HEARTBEAT_MS), 7);
}
END_TEST

/* What a file holds goes to a terminal, and long values must not hide what is said of them. */
START_TEST(complaints_are_printable_and_whole)
{
    static char text[SETTING_VALUE_MAX];
    expect_one_complaint("[timing]\n\x1b[31m = 1\n", 2,
                         (const char *[]){"?[31m is no key of [timing]", NULL});
    expect_one_complaint("[t\x1b]\n", 1, (const char *[]){"no section [t?]", NULL});
    (void)snprintf(text, sizeof text, "[timing]\nheartbeat-ms = %03500d\n", 0);
    expect_one_complaint(text, 2, (const char *[]){"must be a number", "heartbeat-ms = 20", NULL});
    memset(text, 's', sizeof text - 1);
    memcpy(text, "[", 1);
    memcpy(text + 4000, "]\n", 3);
    expect_one_complaint(text, 1,
                         (const char *[]){"no section [sss", "Sections are [replica]", NULL});
}
END_TEST

START_TEST(near_misses_are_found)
{
    static const char *const names[] = {"timing", "network", "log", NULL};
    ck_assert_str_eq(setting_did_you_mean("timnig", names), "timing");
    ck_assert_str_eq(setting_did_you_mean("netwrk", names), "network");
    ck_assert_str_eq(setting_did_you_mean("lgo", names), "log");
    ck_assert_ptr_null(setting_did_you_mean("replica", names));
    ck_assert_ptr_null(setting_did_you_mean("", names));
    char longest[4096];
    memset(longest, 'a', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    ck_assert_ptr_null(setting_did_you_mean(longest, names));
}
END_TEST

/* A value that looks like an option is none, nor what begins one, nor what comes behind the first
 * argument. */
START_TEST(misspelt_options_are_refused)
{
    static const struct argp_option options[] = {
        {"clients", 256, "N", 0, "", 0},
        {"quiet", 'q', NULL, 0, "", 0},
        {"size", 's', "N", 0, "", 0},
        {NULL, 0, NULL, 0, "A group:", 1},
        {"force", 257, "yes|no", OPTION_ARG_OPTIONAL, "", 1},
        {0},
    };
    static const struct {
        char *arguments[4];
        bool refused;
    } cases[] = {
        {{"--cleints", "3"}, true},
        {{"--cleints=3"}, true},
        {{"-q", "--forec"}, true},
        {{"--force", "--cleints"}, true}, /* its value would be behind a = */
        {{"-s", "1", "--cleints"}, true},
        {{"--hepl"}, true},
        {{"--clients", "--cleints"}, false},
        {{"-s", "--cleints"}, false},
        {{"--cl"}, false},
        {{"--elsewhere"}, false},
        {{"word", "--cleints"}, false},
        {{"--", "--cleints"}, false},
        {{"-"}, false},
        {{""}, false},
        {{NULL}, false},
    };
    ck_assert_ptr_nonnull(freopen("/dev/null", "w", stderr));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *argv[6] = {"program"};
        int argc = 1;
        for (; argc < 5 && cases[i].arguments[argc - 1] != NULL; argc++) {
            argv[argc] = cases[i].arguments[argc - 1];
        }
        ck_assert_msg(near_miss_refuse(options, argc, argv) == cases[i].refused, "case %zu", i);
    }
}
END_TEST

static Suite *settings_suite(void)
{
    Suite *suite = suite_create("settings");
    TCase *all = tcase_create("all");
    tcase_set_timeout(all, 60);
    tcase_add_checked_fixture(all, set_up, tear_down);
    tcase_add_test(all, defaults_and_examples_are_values);
    tcase_add_test(all, example_file_shows_every_key_with_its_default);
    tcase_add_test(all, flag_before_environment_before_file_before_default);
    tcase_add_test(all, switch_of_a_file_can_be_switched_off);
    tcase_add_test(all, programs_share_a_file);
    tcase_add_test(all, variables_of_others_are_no_mistakes);
    tcase_add_test(all, unknown_variables_are_warned_of);
    tcase_add_test(all, printed_settings_are_a_file);
    tcase_add_test(all, bad_values_are_said_with_place_and_example);
    tcase_add_test(all, unknown_names_are_said_with_what_was_meant);
    tcase_add_test(all, what_is_no_such_file_is_said);
    tcase_add_test(all, all_problems_are_told);
    tcase_add_test(all, files_are_read_as_people_write_them);
    tcase_add_test(all, complaints_are_printable_and_whole);
    tcase_add_test(all, near_misses_are_found);
    tcase_add_test(all, misspelt_options_are_refused);
    suite_add_tcase(suite, all);
    TCase *flags = tcase_create("flags");
    tcase_add_loop_exit_test(flags, wrong_flags_end_the_program_with_2, 2, 0,
                             sizeof wrong_flags / sizeof wrong_flags[0]);
    tcase_add_loop_test(flags, a_program_may_go_on_after_wrong_flags, 0,
                        sizeof wrong_flags / sizeof wrong_flags[0]);
    suite_add_tcase(suite, flags);
    return suite;
}

int main(void)
{
    SRunner *runner = srunner_create(settings_suite());
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
