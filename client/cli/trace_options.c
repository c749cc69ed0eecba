/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/trace_options.h"

#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/exit_code.h"
#include "client/cli/options.h"
#include "common/settings/near_miss.h"

enum option_key {
    OPTION_OP = 256,
    OPTION_OPS,
    OPTION_TYPE,
    OPTION_REPLICA,
    OPTION_VIEW,
    OPTION_LAST,
    OPTION_ALL,
    OPTION_HEARTBEATS,
    OPTION_FOLLOW,
    OPTION_JSON,
    OPTION_MERMAID,
    OPTION_HELP,
};

const struct argp_option trace_option_table[] = {
    {"op", OPTION_OP, "N", 0, "Explains one operation: from its request to its reply", 0},
    {"type", OPTION_TYPE, "T[,T]", 0,
     "Messages of these types only, as Prepare,PrepareOk; \"state\": changes of status and view; "
     "\"progress\": what was committed and executed",
     0},
    {"replica", OPTION_REPLICA, "I[,I]", 0, "What these replicas sent, received or became", 0},
    {"ops", OPTION_OPS, "A..B", 0, "What is about any of these operations", 0},
    {"view", OPTION_VIEW, "V", 0, "What is about this view", 0},
    {"heartbeats", OPTION_HEARTBEATS, NULL, 0,
     "Also what says nothing new: idle Commits and their PrepareOks, repeated votes", 0},
    {"last", OPTION_LAST, "N", 0, "At most the last N lines (300)", 0},
    {"all", OPTION_ALL, NULL, 0, "All lines that the replicas remember", 0},
    {"follow", OPTION_FOLLOW, NULL, 0, "What happens from now on, until Ctrl-C", 0},
    {"json", OPTION_JSON, NULL, 0, "One JSON object a line", 0},
    {"mermaid", OPTION_MERMAID, NULL, 0, "A Mermaid sequence diagram", 0},
    {"help", OPTION_HELP, NULL, 0, "This list", -1},
    {0},
};

static error_t parse_number(struct argp_state *state, const char *option, const char *argument,
                            uint64_t min, uint64_t max, uint64_t *number)
{
    if (option_number(argument, min, max, number)) {
        return 0;
    }
    argp_error(state, "--%s %s: not a number from %" PRIu64 " to %" PRIu64, option, argument, min,
               max);
    return EINVAL;
}

/* What receivers answer by themselves never comes to the core. */
static bool is_remembered(enum message_type type)
{
    return type != MESSAGE_STATUS_REQUEST && type != MESSAGE_STATUS &&
           type != MESSAGE_TRACE_REQUEST && type != MESSAGE_TRACE_REPORT &&
           type != MESSAGE_BACKUP_REQUEST && type != MESSAGE_BACKUP_OFFER &&
           type != MESSAGE_BACKUP_CHUNK && type != MESSAGE_CHALLENGE;
}

static error_t parse_types(struct argp_state *state, const char *argument,
                           struct trace_filter *filter)
{
    const char *wrong;
    size_t size;
    if (trace_filter_parse_types(argument, filter, &wrong, &size)) {
        return 0;
    }
    char known[512] = "";
    for (int type = 1; type <= MESSAGE_RECOVERY_RESPONSE; type++) {
        const char *name = message_type_name((enum message_type)type);
        if (name[0] != '?' && is_remembered((enum message_type)type)) {
            (void)strcat(strcat(known, name), ", ");
        }
    }
    argp_error(state, "--type: there is no message \"%.*s\"; there are %sstate and progress",
               (int)size, wrong, known);
    return EINVAL;
}

/* "A..B", or one number. */
static error_t parse_range(struct argp_state *state, const char *argument,
                           struct trace_filter *filter)
{
    char first[24];
    const char *dots = strstr(argument, "..");
    const size_t size = dots != NULL ? (size_t)(dots - argument) : strlen(argument);
    const char *last = dots != NULL ? dots + 2 : argument;
    if (size < sizeof first) {
        memcpy(first, argument, size);
        first[size] = '\0';
        if (option_number(first, 1, UINT64_MAX, &filter->first_op) &&
            option_number(last, filter->first_op, UINT64_MAX, &filter->last_op)) {
            filter->by_ops = true;
            return 0;
        }
    }
    argp_error(state, "--ops %s: not a range of operations, as 10..20", argument);
    return EINVAL;
}

static error_t parse_replicas(struct argp_state *state, char *argument,
                              struct trace_options *options)
{
    char *rest = NULL;
    char copy[128];
    if (strlen(argument) < sizeof copy) {
        (void)strcpy(copy, argument);
        for (char *id = strtok_r(copy, ",", &rest); id != NULL; id = strtok_r(NULL, ",", &rest)) {
            if (options->replica_count == REPLICAS_MAX ||
                !option_number(id, 0, UINT32_MAX - 1,
                               &options->replicas[options->replica_count++])) {
                options->replica_count = 0;
                break;
            }
        }
    }
    if (options->replica_count > 0) {
        return 0;
    }
    argp_error(state, "--replica %s: not the number of a replica, or several, as 0,2", argument);
    return EINVAL;
}

static error_t parse_form(struct argp_state *state, enum trace_form form,
                          struct trace_options *options)
{
    if (options->form != TRACE_FORM_TEXT && options->form != form) {
        argp_error(state, "--json and --mermaid are two forms of the same: leave one out");
        return EINVAL;
    }
    options->form = form;
    return 0;
}

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
    struct trace_options *options = state->input;
    switch (key) {
    case OPTION_OP:
        return parse_number(state, "op", argument, 1, UINT64_MAX, &options->op);
    case OPTION_OPS:
        return parse_range(state, argument, &options->filter);
    case OPTION_TYPE:
        return parse_types(state, argument, &options->filter);
    case OPTION_REPLICA:
        return parse_replicas(state, argument, options);
    case OPTION_VIEW:
        options->filter.by_view = true;
        return parse_number(state, "view", argument, 0, UINT64_MAX, &options->filter.view);
    case OPTION_LAST:
        options->limited = true;
        return parse_number(state, "last", argument, 1, TRACE_LAST_MAX, &options->last);
    case OPTION_ALL:
        options->limited = true;
        options->last = 0;
        return 0;
    case OPTION_HEARTBEATS:
        options->filter.heartbeats = true;
        return 0;
    case OPTION_FOLLOW:
        options->follow = true;
        return 0;
    case OPTION_JSON:
        return parse_form(state, TRACE_FORM_JSON, options);
    case OPTION_MERMAID:
        return parse_form(state, TRACE_FORM_MERMAID, options);
    case OPTION_HELP:
        options->help = true;
        argp_state_help(state, stdout,
                        ARGP_HELP_USAGE | ARGP_HELP_PRE_DOC | ARGP_HELP_LONG | ARGP_HELP_POST_DOC);
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "\"%s\" is not an option", argument);
        return EINVAL;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int check(const struct trace_options *options)
{
    const char *wrong = NULL;
    if (options->op != 0 && (options->follow || !trace_filter_is_open(&options->filter) ||
                             options->replica_count > 0 || options->limited)) {
        wrong = "--op chooses its lines itself: leave out --follow, --last, --all and the filters";
    } else if (options->follow && options->form == TRACE_FORM_MERMAID) {
        wrong = "--mermaid draws what has happened: it cannot --follow";
    }
    if (wrong == NULL) {
        return 0;
    }
    (void)fprintf(stderr, "vr-client trace: %s\n", wrong);
    return EXIT_USAGE;
}

int trace_options_parse(size_t count, char **arguments, struct trace_options *options)
{
    static const struct argp argp = {
        .options = trace_option_table,
        .parser = parse_option,
        .doc =
            "Shows the messages of the group, of all replicas in one order: who sent what to "
            "whom, how long it took, and what came of it.\v"
            "Example: trace --op 12 shows the way of operation 12; trace --type "
            "StartViewChange,DoViewChange,StartView,state the last view changes.\n\n"
            "A replica remembers its last 16,384 messages of operations and its last 4,096 of "
            "view changes and recovery, until it stops. Times are those of this machine's "
            "clock; the replicas' clocks are compared first. A terminal of fewer than 100 columns "
            "gets lines without travel times, each cut to one row; pipe them to see all.",
    };
    memset(options, 0, sizeof *options);
    options->last = TRACE_LAST_DEFAULT;
    static char name[] = "vr-client trace";
    arguments[0] = name;
    /* It may run in the REPL, which must not end with it. */
    if (near_miss_refuse(trace_option_table, (int)count, arguments) ||
        argp_parse(&argp, (int)count, arguments, ARGP_NO_EXIT | ARGP_NO_HELP, NULL, options) != 0) {
        return EXIT_USAGE;
    }
    return options->help ? 0 : check(options);
}
