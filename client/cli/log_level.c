/* SPDX-License-Identifier: Apache-2.0 */
/* log_level.c - asks who the group is (survey.h), then each replica, or the one that was named. */
#include "client/cli/log_level.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/exit_code.h"
#include "client/cli/interrupt.h"
#include "client/cli/memory.h"
#include "client/cli/report.h"
#include "client/cli/status.h"
#include "client/cli/suggest.h"
#include "client/cli/survey.h"
#include "client/lib/channel.h"
#include "client/lib/cluster_list.h"
#include "common/base/log_level.h"
#include "common/os/clock.h"
#include "common/os/random.h"

enum { ASK_AGAIN_MS = 100 };

/* What was asked for on the command line. */
struct level_options {
    struct options options; /* the caller's, with --json taken after the command, too */
    const char *levels;     /* "": only show */
    bool one;               /* --replica */
    uint64_t replica_id;
};

/* One replica that is asked. */
struct level_target {
    uint32_t replica_id;
    const char *name; /* the survey's */
    struct net_address address;
    uint64_t token;
    uint64_t next_ns;
    bool reachable; /* it answered the survey */
    bool answered;
    enum log_level_outcome outcome;
    char levels[STATUS_TEXT_MAX];
};

struct level_asker {
    struct channel channel;
    uint64_t nonce;
    const char *levels;
    uint32_t count;
    struct level_target targets[REPLICAS_MAX];
};

/* ---- asking ---- */

static struct level_target *find_target(struct level_asker *asker,
                                        const struct net_address *address)
{
    for (uint32_t i = 0; i < asker->count; i++) {
        if (net_address_equal(&asker->targets[i].address, address)) {
            return &asker->targets[i];
        }
    }
    return NULL;
}

static void ask(struct level_asker *asker, struct level_target *target, uint64_t now_ns)
{
    const struct message message = {
        .type = MESSAGE_LOG_LEVEL_REQUEST,
        .from = REPLICA_NONE,
        .log_level_request = {.nonce = asker->nonce, .levels = asker->levels},
    };
    target->next_ns = now_ns + ASK_AGAIN_MS * NANOSECONDS_PER_MILLISECOND;
    channel_send(&asker->channel, &target->address, target->token, &message, now_ns);
}

static bool heard_cluster(void *context, const struct net_address *address, uint64_t cluster_id)
{
    (void)address;
    const struct level_asker *asker = context;
    return cluster_id == asker->channel.cluster_id;
}

static void take_message(void *context, const struct message *message, uint64_t now_ns)
{
    struct level_asker *asker = context;
    struct level_target *target = find_target(asker, &message->address);
    if (target == NULL || target->answered) {
        return;
    }
    if (message->type == MESSAGE_CHALLENGE && target->token != message->challenge.token) {
        target->token = message->challenge.token;
        ask(asker, target, now_ns);
    } else if (message->type == MESSAGE_LOG_LEVEL_REPORT &&
               message->log_level_report.nonce == asker->nonce) {
        target->answered = true;
        target->outcome = message->log_level_report.outcome;
        (void)snprintf(target->levels, sizeof target->levels, "%s",
                       message->log_level_report.levels);
    }
}

static uint64_t token_of(void *context, const struct net_address *address)
{
    const struct level_target *target = find_target(context, address);
    return target != NULL ? target->token : 0;
}

/* Asks whoever is due; false once all have answered. */
static bool ask_who_is_due(struct level_asker *asker, uint64_t now_ns)
{
    bool waiting = false;
    for (uint32_t i = 0; i < asker->count; i++) {
        struct level_target *target = &asker->targets[i];
        if (!target->reachable || target->answered) {
            continue;
        }
        waiting = true;
        if (target->next_ns <= now_ns) {
            ask(asker, target, now_ns);
        }
    }
    return waiting;
}

static int ask_all(struct level_asker *asker, uint64_t cluster_id, const struct options *options)
{
    struct net_address addresses[REPLICAS_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < asker->count; i++) {
        if (asker->targets[i].reachable) {
            addresses[count++] = asker->targets[i].address;
        }
    }
    if (count == 0) {
        return 0; /* nobody to ask: shown as such */
    }
    const struct channel_handler handler = {
        .context = asker,
        .heard_cluster = heard_cluster,
        .message = take_message,
        .token = token_of,
    };
    const int error =
        channel_open(&asker->channel, &handler, addresses, count, options->datagram_size);
    if (error != 0) {
        return error;
    }
    channel_set_cluster(&asker->channel, cluster_id);
    uint64_t now_ns = clock_monotonic_ns();
    const uint64_t deadline_ns = now_ns + options->timeout_ms * NANOSECONDS_PER_MILLISECOND;
    while (now_ns < deadline_ns && ask_who_is_due(asker, now_ns) && !interrupt_seen()) {
        channel_flush(&asker->channel);
        (void)channel_receive(&asker->channel, CHANNEL_WAIT_MS * NANOSECONDS_PER_MILLISECOND);
        now_ns = clock_monotonic_ns();
        channel_dispatch(&asker->channel, now_ns);
    }
    channel_close(&asker->channel);
    return 0;
}

/* ---- showing ---- */

static const char *outcome_text(const struct level_target *target)
{
    if (!target->answered) {
        return "no answer";
    }
    switch (target->outcome) {
    case LOG_LEVELS_TOLD:
        return "told";
    case LOG_LEVELS_CHANGED:
        return "changed";
    case LOG_LEVELS_NOT_PERMITTED:
        return "not permitted";
    case LOG_LEVELS_UNKNOWN:
        break;
    }
    return "unknown levels"; /* of another version */
}

static json_t *json_levels(const struct level_target *target)
{
    struct log_levels levels = log_levels_all(LOG_LEVEL_INFO);
    if (!target->answered || !log_levels_parse(target->levels, &levels)) {
        return json_null();
    }
    json_t *object = json_object();
    for (size_t i = 0; i < LOG_SUBSYSTEM_COUNT; i++) {
        json_set_text(object, log_subsystem_name((enum log_subsystem)i),
                      log_level_name(levels.of[i]));
    }
    return object;
}

static void print_json(const struct level_asker *asker, int code)
{
    json_t *object = json_object();
    json_t *replicas = json_array();
    for (uint32_t i = 0; i < asker->count; i++) {
        const struct level_target *target = &asker->targets[i];
        json_t *replica = json_object();
        json_set_u64(replica, "id", target->replica_id);
        json_set_text(replica, "address", target->name);
        json_set_text(replica, "outcome", outcome_text(target));
        (void)json_object_set_new(replica, "levels", json_levels(target));
        (void)json_array_append_new(replicas, replica);
    }
    (void)json_object_set_new(object, "ok", json_boolean(code == EXIT_DONE));
    (void)json_object_set_new(object, "replicas", replicas);
    json_print_line(object);
}

static void print_table(const struct level_asker *asker)
{
    int width = (int)strlen("address");
    for (uint32_t i = 0; i < asker->count; i++) {
        const int length = (int)strlen(asker->targets[i].name);
        width = length > width ? length : width;
    }
    (void)printf("%3s %-*s  log levels\n", "id", width, "address");
    for (uint32_t i = 0; i < asker->count; i++) {
        const struct level_target *target = &asker->targets[i];
        const bool odd = target->answered && (target->outcome == LOG_LEVELS_NOT_PERMITTED ||
                                              target->outcome == LOG_LEVELS_UNKNOWN);
        (void)printf("%2" PRIu32 "  %-*s  %s%s%s%s\n", target->replica_id, width, target->name,
                     target->answered ? target->levels : "no answer", odd ? "  (" : "",
                     odd ? outcome_text(target) : "", odd ? ", not changed)" : "");
    }
}

static int exit_code_of(const struct level_asker *asker)
{
    int code = EXIT_DONE;
    for (uint32_t i = 0; i < asker->count; i++) {
        const struct level_target *target = &asker->targets[i];
        if (target->answered && target->outcome == LOG_LEVELS_NOT_PERMITTED) {
            return EXIT_NOT_PERMITTED;
        }
        if (!target->answered) {
            code = EXIT_UNAVAILABLE;
        } else if (target->outcome == LOG_LEVELS_UNKNOWN && code == EXIT_DONE) {
            code = EXIT_WRONG_GROUP;
        }
    }
    return code;
}

static int show(const struct shell *shell, const struct level_asker *asker)
{
    const int code = exit_code_of(asker);
    if (shell->options->json) {
        print_json(asker, code);
    } else {
        print_table(asker);
    }
    if (code == EXIT_NOT_PERMITTED && !shell->options->json) {
        (void)fprintf(stderr,
                      "vr-client: only who asks from a replica's own machine may change its "
                      "log levels, unless it runs with --insecure\n");
    }
    return code;
}

/* ---- options ---- */

enum {
    OPTION_JSON,
    OPTION_REPLICA,
    OPTION_COUNT,
};

const char *const log_level_options[] = {
    [OPTION_JSON] = "--json",
    [OPTION_REPLICA] = "--replica",
    [OPTION_COUNT] = NULL,
};

static int wrong_levels(const struct shell *shell, const char *levels)
{
    char names[LOG_LEVELS_TEXT_MAX];
    size_t used = 0;
    for (size_t i = 0; i < LOG_SUBSYSTEM_COUNT; i++) {
        used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", i == 0 ? "" : ", ",
                                 log_subsystem_name((enum log_subsystem)i));
    }
    return report_error(shell, EXIT_USAGE, "usage",
                        "log-level: \"%s\" is no level: error, warning, info or debug, for all or "
                        "as SUBSYSTEM=LEVEL; subsystems are %s; example: log-level network=debug",
                        levels, names);
}

static int wrong_option(const struct shell *shell, const char *text)
{
    const char *meant = suggest_nearest(text, log_level_options);
    return report_error(shell, EXIT_USAGE, "usage",
                        "log-level: \"%s\" is no option%s%s; there are --replica I and --json; "
                        "example: log-level --replica 2 debug",
                        text, meant != NULL ? "; did you mean " : "", meant != NULL ? meant : "");
}

/* Returns 0 or an exit code, having said why. */
static int parse(const struct shell *shell, const struct words *words,
                 struct level_options *options)
{
    struct log_levels levels = log_levels_all(LOG_LEVEL_INFO);
    options->levels = "";
    for (size_t i = 1; i < words->count; i++) {
        const char *text = (const char *)words->items[i].bytes;
        if (word_is(&words->items[i], log_level_options[OPTION_JSON])) {
            options->options.json = true;
        } else if (word_is(&words->items[i], log_level_options[OPTION_REPLICA])) {
            i++;
            if (i == words->count || !option_number((const char *)words->items[i].bytes, 0,
                                                    UINT32_MAX - 1, &options->replica_id)) {
                return report_error(shell, EXIT_USAGE, "usage",
                                    "log-level: --replica needs the number of a replica; example: "
                                    "log-level --replica 2 debug");
            }
            options->one = true;
        } else if (strncmp(text, "--", 2) == 0) {
            return wrong_option(shell, text);
        } else if (options->levels[0] != '\0') {
            return report_error(shell, EXIT_USAGE, "usage",
                                "log-level: too many arguments; several levels are written with "
                                "commas; example: log-level info,network=debug");
        } else if (!log_levels_parse(text, &levels) || strlen(text) >= STATUS_TEXT_MAX) {
            return wrong_levels(shell, text);
        } else {
            options->levels = text;
        }
    }
    return 0;
}

/* ---- the command ---- */

/* Fills in whom to ask; returns 0 or an exit code, having said why there is nobody. */
static int choose_targets(const struct shell *shell, const struct survey *survey,
                          const struct level_options *options, struct level_asker *asker)
{
    if (survey_is_refused(survey)) {
        return status_report_refusal(shell, survey);
    }
    if (!survey->has_configuration) {
        return report_error(shell, EXIT_UNAVAILABLE, "unavailable",
                            "no replica answers, asked %s for %.1f s: see that they run and can be "
                            "reached; nothing was changed",
                            options->options.cluster,
                            (double)survey->took_ns / (double)NANOSECONDS_PER_SECOND);
    }
    for (uint32_t i = 0; i < survey->target_count; i++) {
        const uint32_t replica_id = survey->configuration.members[i].replica_id;
        if (!options->one || options->replica_id == replica_id) {
            asker->targets[asker->count++] = (struct level_target){
                .replica_id = replica_id,
                .name = survey->targets[i].name,
                .address = survey->targets[i].address,
                .reachable = survey->targets[i].answered,
            };
        }
    }
    if (asker->count == 0) {
        return report_error(shell, EXIT_USAGE, "usage",
                            "log-level: there is no replica %" PRIu64 " in this group",
                            options->replica_id);
    }
    return 0;
}

/* What was asked may have been done, whether it was answered or not. */
static int report_cancelled(const struct shell *shell, const struct level_options *options)
{
    interrupt_end_line();
    return report_error(
        shell, EXIT_UNKNOWN, "cancelled", "cancelled before all replicas answered%s",
        options->levels[0] != '\0' ? ": some may have changed their levels; log-level shows them"
                                   : "");
}

static int run(const struct shell *shell, const struct survey *survey,
               const struct level_options *options)
{
    if (interrupt_seen()) {
        interrupt_end_line();
        return report_error(shell, EXIT_UNAVAILABLE, "cancelled", "cancelled; nothing was changed");
    }
    struct level_asker *asker = must_calloc(1, sizeof *asker);
    asker->nonce = random_nonzero_u64();
    asker->levels = options->levels;
    int code = choose_targets(shell, survey, options, asker);
    if (code == 0) {
        const int error = ask_all(asker, survey->cluster_id, &options->options);
        if (error != 0) {
            code = report_error(shell, EXIT_INTERNAL, "internal", "cannot open a socket: %s",
                                strerror(-error));
        } else {
            code = interrupt_seen() ? report_cancelled(shell, options) : show(shell, asker);
        }
    }
    free(asker);
    return code;
}

int log_level_run(struct shell *caller, const struct words *words)
{
    struct level_options options = {.options = *caller->options};
    const struct shell shell = {.options = &options.options, .source = caller->source};
    struct cluster_list list;
    char message[VR_MESSAGE_MAX];
    int code = parse(&shell, words, &options);
    if (code != 0) {
        return code;
    }
    int error = cluster_list_resolve(options.options.cluster, &list, message, sizeof message);
    if (error != 0) {
        return report_no_address(&shell, error, EXIT_UNAVAILABLE, message);
    }
    struct survey *survey = must_calloc(1, sizeof *survey);
    error = survey_run(survey, list.addresses, list.count, options.options.timeout_ms,
                       options.options.datagram_size);
    code = error == 0 ? run(&shell, survey, &options)
                      : report_error(&shell, EXIT_INTERNAL, "internal", "cannot open a socket: %s",
                                     strerror(-error));
    survey_free(survey);
    free(survey);
    return code;
}
