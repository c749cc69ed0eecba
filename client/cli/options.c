/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/options.h"

#include <argp.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/commands.h"
#include "client/cli/exit_code.h"
#include "client/cli/usage.h"
#include "client/lib/cluster_list.h"
#include "client/lib/vr/client.h"
#include "common/base/limits.h"
#include "common/base/version.h"

const char *argp_program_version = "vr-client " VERSION_TEXT;

enum option_key {
    OPTION_CLUSTER = 'c',
    OPTION_TIMEOUT = 't',
    OPTION_QUIET = 'q',
    OPTION_JSON = 'j',
    OPTION_KEEP_GOING = 'k',
    OPTION_DATAGRAM_SIZE = 256,
};

static const struct argp_option option_table[] = {
    {"cluster", OPTION_CLUSTER, "LIST", 0,
     "Where to find the group: host:port,...; default: $VR_CLUSTER, else " CLUSTER_LIST_DEFAULT, 0},
    {"timeout", OPTION_TIMEOUT, "MS", 0, "How long a command may take, in milliseconds (5000)", 0},
    {"json", OPTION_JSON, NULL, 0, "One JSON object a line", 0},
    {"quiet", OPTION_QUIET, NULL, 0, "No ok and no messages: the exit code tells", 0},
    {"keep-going", OPTION_KEEP_GOING, NULL, 0, "Commands from a pipe: go on after one that failed",
     0},
    {"datagram-size", OPTION_DATAGRAM_SIZE, "BYTES", 0,
     "Largest datagram to send, 512 to 61440; default: what the route carries", 0},
    {0},
};

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

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
    struct options *options = state->input;
    uint64_t number;
    switch (key) {
    case OPTION_CLUSTER:
        options->cluster = argument;
        return 0;
    case OPTION_TIMEOUT:
        if (!option_number(argument, 1, TIMEOUT_MS_MAX, &number)) {
            argp_error(state, "--timeout %s: not a number of milliseconds from 1 to %d", argument,
                       TIMEOUT_MS_MAX);
            return EINVAL;
        }
        options->timeout_ms = (uint32_t)number;
        return 0;
    case OPTION_JSON:
        options->json = true;
        return 0;
    case OPTION_QUIET:
        options->quiet = true;
        return 0;
    case OPTION_KEEP_GOING:
        options->keep_going = true;
        return 0;
    case OPTION_DATAGRAM_SIZE:
        if (!option_number(argument, DATAGRAM_SIZE_MIN, DATAGRAM_SIZE_LOOPBACK, &number)) {
            argp_error(state, "--datagram-size %s: not a number from %d to %d", argument,
                       DATAGRAM_SIZE_MIN, DATAGRAM_SIZE_LOOPBACK);
            return EINVAL;
        }
        options->datagram_size = (uint32_t)number;
        return 0;
    case ARGP_KEY_ARG:
        /* From here on everything is the command's own: a value may begin with a dash. */
        options->command = &state->argv[state->next - 1];
        options->command_count = (size_t)(state->argc - (state->next - 1));
        state->next = state->argc;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* --help and the like print and exit, which argp does only if it may. */
static bool asks_for_help(int argc, char **argv)
{
    static const char *const words[] = {"--help", "-?", "--usage", "--version", "-V"};
    for (int i = 1; i < argc; i++) {
        for (size_t j = 0; j < sizeof words / sizeof words[0]; j++) {
            if (strcmp(argv[i], words[j]) == 0) {
                return true;
            }
        }
    }
    return false;
}

int options_parse(int argc, char **argv, struct options *options)
{
    static const struct argp argp = {
        .options = option_table,
        .parser = parse_option,
        .args_doc = "[COMMAND ARGS...]",
        .doc =
            "Talks to a viewstamp group. Without COMMAND it reads commands: from a terminal with "
            "line editing, else one a line.\v"
            "Commands: get KEY | set KEY VALUE | del KEY | cas KEY OLD NEW | incr KEY [N] | scan "
            "[PREFIX] [LIMIT] | status | flood | help [COMMAND]\n\n"
            "Exit codes: 0 done; 1 definite failure (key not found, cas mismatch); 2 usage; 4 "
            "unavailable and surely not executed; 5 outcome unknown; 6 not permitted; 7 wrong "
            "cluster or version; 70/74/78 internal, I/O, configuration.",
    };
    memset(options, 0, sizeof *options);
    options->timeout_ms = VR_TIMEOUT_DEFAULT;
    const char *from_environment = getenv("VR_CLUSTER");
    options->cluster = from_environment != NULL && from_environment[0] != '\0'
                           ? from_environment
                           : CLUSTER_LIST_DEFAULT;
    argp_err_exit_status = EXIT_USAGE;
    const bool json = usage_asks_for_json(argc, argv) && !asks_for_help(argc, argv);
    const unsigned flags = ARGP_IN_ORDER | (json ? ARGP_NO_EXIT | ARGP_NO_HELP : 0u);
    struct usage_capture capture;
    usage_capture_begin(&capture, json);
    const int error = argp_parse(&argp, argc, argv, flags, NULL, options);
    return usage_capture_end(&capture, error == 0 ? 0 : EXIT_USAGE);
}
