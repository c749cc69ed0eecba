/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/options.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/exit_code.h"
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

static const struct settings_about about = {
    .program = SETTING_CLIENT,
    .usage_exit = EXIT_USAGE,
    .arguments = "[COMMAND ARGS...]",
    .text = "Talks to a viewstamp group. Without COMMAND it reads commands: from a terminal with "
            "line editing, else one a line.\v"
            "Commands: get KEY | set KEY VALUE | del KEY | cas KEY OLD NEW | incr KEY [N] | scan "
            "[PREFIX] [LIMIT] | status | log-level | flood | help [COMMAND]\n\n"
            "--cluster, --timeout and --datagram-size can also be given in the environment, as "
            "VR_CLUSTER, VR_TIMEOUT and VR_DATAGRAM_SIZE, and under [client] in the file that "
            "--config or VR_CONFIG names; a flag goes before the environment, that before the "
            "file.\n\n"
            "Exit codes: 0 done; 1 definite failure (key not found, cas mismatch); 2 usage; 4 "
            "unavailable and surely not executed; 5 outcome unknown; 6 not permitted; 7 wrong "
            "cluster or version; 70/74/78 internal, I/O, configuration.",
};

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

int options_parse(int argc, char **argv, struct options *options)
{
    memset(options, 0, sizeof *options);
    settings_read(&options->settings, &about, argc, argv); /* exits when a flag is wrong */
    check_cluster(&options->settings);
    char suffix[ERROR_ID_MAX + 4];
    (void)snprintf(suffix, sizeof suffix, " [%s]", error_entry(ERROR_SETTING)->id);
    if (settings_complain(&options->settings, stderr, "vr-client: ", suffix)) {
        return EXIT_CONFIGURATION;
    }
    take(options);
    options->print_config = settings_given(&options->settings, SETTING_CLIENT_PRINT_CONFIG);
    return 0;
}

void options_free(struct options *options)
{
    settings_free(&options->settings);
}
