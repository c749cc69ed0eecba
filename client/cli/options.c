/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/options.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/commands.h"
#include "client/cli/exit_code.h"
#include "client/cli/memory.h"
#include "client/cli/usage.h"
#include "client/lib/cluster_list.h"
#include "client/lib/vr/client.h"
#include "common/base/error_id.h"
#include "common/base/limits.h"
#include "common/base/version.h"

/* What --version prints: argp looks for it under this name. */
extern const char *argp_program_version;
const char *argp_program_version = "vr-client " VERSION_TEXT;

bool option_number(const char *text, uint64_t min, uint64_t max, uint64_t *number)
{
    if (!isdigit((unsigned char)text[0])) {
        return false;
    }
    char *end;
    errno = 0;
    const unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0 || *end != '\0' || value < min || value > max) {
        return false;
    }
    *number = value;
    return true;
}

static const char about_before[] =
    "Talks to a viewstamp group. Without COMMAND it reads commands: from a terminal with line "
    "editing, else one a line.\vCommands: ";

static const char about_after[] =
    "\n\n--cluster, --timeout and --datagram-size can also be given in the environment, as "
    "VR_CLUSTER, VR_TIMEOUT and VR_DATAGRAM_SIZE, and under [client] in the file that --config or "
    "VR_CONFIG names; a flag goes before the environment, that before the file.\n\n"
    "Exit codes: 0 done; 1 definite failure (key not found, cas mismatch); 2 usage; 4 unavailable "
    "and surely not executed; 5 outcome unknown; 6 not permitted; 7 wrong cluster or version; "
    "70/74/78 internal, I/O, configuration.";

/* What --help says around the options; the commands are those of the table. malloc'ed. */
static char *about_text(void)
{
    size_t size = sizeof about_before + sizeof about_after;
    for (const struct command *command = command_table; command->name != NULL; command++) {
        size += strlen(command->name) + strlen(command->arguments) + sizeof " | ";
    }
    char *text = must_calloc(size, 1);
    char *at = stpcpy(text, about_before);
    for (const struct command *command = command_table; command->name != NULL; command++) {
        at += sprintf(at, "%s%s %s", command == command_table ? "" : " | ", command->name,
                      command->arguments);
    }
    (void)stpcpy(at, about_after);
    return text;
}

/* A list that a flag names is judged when it is used; one from elsewhere is refused with its place.
 */
static void check_cluster(struct settings *settings)
{
    const struct setting_value *value = &settings->values[SETTING_CLUSTER];
    char message[VR_MESSAGE_MAX];
    if ((value->origin == SETTING_FROM_FILE || value->origin == SETTING_FROM_ENVIRONMENT) &&
        !cluster_list_check(value->text, message, sizeof message)) {
        settings_add_problem(settings, SETTING_CLUSTER, message);
    }
}

static void take(struct options *options)
{
    const struct settings *settings = &options->settings;
    options->cluster = settings_text(settings, SETTING_CLUSTER);
    options->timeout_ms = (uint32_t)settings_number(settings, SETTING_TIMEOUT);
    options->datagram_size = (uint32_t)settings_number(settings, SETTING_CLIENT_DATAGRAM_SIZE);
    options->json = settings_number(settings, SETTING_JSON) != 0;
    options->quiet = settings_number(settings, SETTING_QUIET) != 0;
    options->keep_going = settings_number(settings, SETTING_KEEP_GOING) != 0;
    options->command = settings->rest;
    options->command_count = settings->rest_count;
}

/* --help and the like print and exit, which settings_read() does only if it may. */
static bool asks_for_help(int argc, char **argv)
{
    static const char *const words[] = {"--help", "--usage", "--version"};
    for (int i = 1; i < argc; i++) {
        if (usage_has_letter(argv[i], '?') || usage_has_letter(argv[i], 'V')) {
            return true;
        }
        for (size_t j = 0; j < sizeof words / sizeof words[0]; j++) {
            if (strcmp(argv[i], words[j]) == 0) {
                return true;
            }
        }
    }
    return false;
}

/* Exits when a flag is wrong, but for --json, where that has to be said in another way. */
static int read_settings(int argc, char **argv, struct settings *settings)
{
    const bool json = usage_asks_for_json(argc, argv) && !asks_for_help(argc, argv);
    char *text = about_text();
    const struct settings_about about = {
        .program = SETTING_CLIENT,
        .usage_exit = EXIT_USAGE,
        .arguments = "[COMMAND ARGS...]",
        .text = text,
        .goes_on = json,
    };
    struct usage_capture capture;
    usage_capture_begin(&capture, json);
    const bool right = settings_read(settings, &about, argc, argv);
    free(text);
    return usage_capture_end(&capture, right ? 0 : EXIT_USAGE);
}

static void warn(const struct settings *settings)
{
    char suffix[ERROR_ID_MAX + 4];
    (void)snprintf(suffix, sizeof suffix, " [%s]", error_entry(ERROR_VARIABLE_UNKNOWN)->id);
    (void)settings_warn(settings, stderr, "vr-client: ", suffix);
}

/* What is wrong in the environment and the file. */
static int judge_settings(struct settings *settings)
{
    char suffix[ERROR_ID_MAX + 4];
    (void)snprintf(suffix, sizeof suffix, " [%s]", error_entry(ERROR_SETTING)->id);
    check_cluster(settings);
    if (settings_number(settings, SETTING_QUIET) == 0) {
        warn(settings);
    }
    struct usage_capture capture;
    usage_capture_begin(&capture, settings_number(settings, SETTING_JSON) != 0);
    const bool wrong = settings_complain(settings, stderr, "vr-client: ", suffix);
    return usage_capture_end(&capture, wrong ? EXIT_CONFIGURATION : 0);
}

int options_parse(int argc, char **argv, struct options *options)
{
    memset(options, 0, sizeof *options);
    int code = read_settings(argc, argv, &options->settings);
    if (code == 0) {
        code = judge_settings(&options->settings);
    }
    if (code != 0) {
        return code;
    }
    take(options);
    options->print_config = settings_given(&options->settings, SETTING_CLIENT_PRINT_CONFIG);
    return 0;
}

void options_free(struct options *options)
{
    settings_free(&options->settings);
}
