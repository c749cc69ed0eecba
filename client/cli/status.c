/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/status.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client/cli/exit_code.h"
#include "client/cli/interrupt.h"
#include "client/cli/memory.h"
#include "client/cli/report.h"
#include "client/cli/screen.h"
#include "client/cli/status_text.h"
#include "client/cli/suggest.h"
#include "client/cli/terminal.h"
#include "client/lib/cluster_list.h"
#include "client/lib/explain.h"
#include "common/os/clock.h"

enum {
    WATCH_TIMEOUT_MS = 2000,
    CONFIRM_MS = 200, /* between two looks */
    INTERVAL_DEFAULT_S = 1,
    INTERVAL_MAX_S = 3600,
};

#define INTERVAL_MIN_S 0.1

static int exit_code_of(enum health health)
{
    switch (health) {
    case HEALTH_HEALTHY:
        return EXIT_DONE;
    case HEALTH_DEGRADED:
        return EXIT_DEGRADED;
    case HEALTH_UNAVAILABLE:
        return EXIT_UNAVAILABLE;
    case HEALTH_UNKNOWN:
        break;
    }
    return EXIT_UNKNOWN;
}

/* ---- JSON ---- */

static void json_replica_silent(json_t *object)
{
    static const char *const names[] = {"op",           "commit",   "lag",      "rtt_us",
                                        "durability",   "version",  "uptime_s", "disk_bytes",
                                        "state_digest", "counters", "note"};
    json_set_text(object, "status", "no answer");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        json_set_text(object, names[i], NULL);
    }
}

static json_t *json_digest(const struct survey_report *report)
{
    char text[33];
    (void)snprintf(text, sizeof text, "%016" PRIx64 "%016" PRIx64, report->digest.high,
                   report->digest.low);
    json_t *digest = json_object();
    json_set_u64(digest, "op", report->digest_op);
    json_set_text(digest, "value", text);
    return digest;
}

static void json_replica_answer(json_t *object, const struct survey *survey,
                                const struct health_report *health, uint32_t target)
{
    const struct survey_report *report = &survey->targets[target].report;
    struct status_note_text note;
    json_set_text(object, "status", vr_status_name(report->status));
    json_set_u64(object, "view", view_within_epoch(report->view_number));
    json_set_u64(object, "op", report->op_number);
    json_set_u64(object, "commit", report->commit_number);
    json_set_u64(object, "lag", status_lag(survey, health, target));
    json_set_u64(object, "rtt_us", report->rtt_ns / NANOSECONDS_PER_MICROSECOND);
    json_set_text(object, "durability", durability_name(report->durability));
    json_set_text(object, "version", report->version);
    json_set_u64(object, "uptime_s", report->uptime_s);
    json_set_u64(object, "disk_bytes", report->disk_bytes);
    (void)json_object_set_new(object, "state_digest", json_digest(report));
    json_t *counters = json_object();
    for (uint32_t i = 0; i < report->counter_count; i++) {
        json_set_u64(counters, report->counters[i].name, report->counters[i].value);
    }
    (void)json_object_set_new(object, "counters", counters);
    json_set_text(object, "note", status_note(survey, health, target, &note));
}

json_t *status_json(const struct survey *survey, const struct health_report *health)
{
    json_t *object = json_object();
    if (survey->cluster_id != 0) {
        json_set_hex(object, "cluster_id", survey->cluster_id);
    } else {
        json_set_text(object, "cluster_id", NULL);
    }
    if (survey->has_configuration) {
        json_set_u64(object, "epoch", survey->configuration.epoch);
        json_set_u64(object, "view", view_within_epoch(health->view_number));
    } else { /* nobody answered: not known is not 0 */
        json_set_text(object, "epoch", NULL);
        json_set_text(object, "view", NULL);
    }
    if (health->primary != UINT32_MAX) {
        json_set_u64(object, "primary", survey->configuration.members[health->primary].replica_id);
    } else {
        json_set_text(object, "primary", NULL);
    }
    json_set_text(object, "health", health_name(health->health));
    json_set_text(object, "reason", health->reason);
    json_set_u64(object, "may_fail", health->may_fail);
    json_set_text(object, "outlook", health->outlook);
    json_t *warnings = json_array();
    for (uint32_t i = 0; i < health->warning_count; i++) {
        (void)json_array_append_new(warnings, json_string(health->warnings[i]));
    }
    (void)json_object_set_new(object, "warnings", warnings);
    json_t *replicas = json_array();
    for (uint32_t i = 0; i < survey->target_count; i++) {
        const struct survey_target *target = &survey->targets[i];
        json_t *replica = json_object();
        if (survey->has_configuration) {
            json_set_u64(replica, "id", survey->configuration.members[i].replica_id);
        } else {
            json_set_text(replica, "id", NULL);
        }
        json_set_text(replica, "address", target->name);
        json_set_text(replica, "role", status_role(survey, health, i));
        if (target->answered) {
            json_replica_answer(replica, survey, health, i);
        } else {
            json_replica_silent(replica);
        }
        (void)json_array_append_new(replicas, replica);
    }
    (void)json_object_set_new(object, "replicas", replicas);
    return object;
}

/* ---- the command ---- */

int status_report_refusal(const struct shell *shell, const struct survey *survey)
{
    const struct refused *refusal = &survey->refusal;
    if (refusal->reason == REFUSED_PEERS_PORT) {
        char text[VR_MESSAGE_MAX];
        explain_peers_port(&survey->refused_by, refusal, text, sizeof text);
        return report_error(shell, EXIT_WRONG_GROUP, "wrong_port", "%s", text);
    }
    if (refusal->reason == REFUSED_VERSION) {
        return report_error(shell, EXIT_WRONG_GROUP, "wrong_version",
                            "a replica speaks protocol version %" PRIu64 ", this client %" PRIu64
                            ": use a client of the same release",
                            refusal->own, refusal->yours);
    }
    return report_error(shell, EXIT_WRONG_GROUP, "wrong_cluster",
                        "two clusters answer, %016" PRIx64 " and %016" PRIx64
                        ": the list %s mixes them",
                        refusal->yours, refusal->own, shell->options->cluster);
}

/* What `status` was asked for. */
struct asked {
    struct options options; /* --json is taken after the command, too */
    struct shell shell;     /* with these options: errors are JSON as well */
    bool watch;
    uint64_t interval_ns;
    struct cluster_list list;
};

static int show(const struct asked *request, const struct survey *survey,
                const struct health_report *health, struct screen *screen)
{
    if (survey_is_refused(survey)) {
        return status_report_refusal(&request->shell, survey);
    }
    if (request->options.json) {
        json_print_line(status_json(survey, health));
    } else {
        screen_show(screen, survey, health);
    }
    return exit_code_of(health->health);
}

static int run_survey(const struct asked *request, struct survey *survey)
{
    /* One that watches would rather see soon that nobody answers. */
    const uint32_t timeout_ms = request->watch && request->options.timeout_ms > WATCH_TIMEOUT_MS
                                    ? WATCH_TIMEOUT_MS
                                    : request->options.timeout_ms;
    return survey_run(survey, request->list.addresses, request->list.count, timeout_ms,
                      request->options.datagram_size);
}

static void pause_for(uint64_t ns)
{
    const uint64_t slice_ns = 50 * NANOSECONDS_PER_MILLISECOND; /* soon enough after a Ctrl-C */
    for (uint64_t left = ns; left > 0 && !interrupt_seen();) {
        const uint64_t now = left < slice_ns ? left : slice_ns;
        const struct timespec time = clock_timespec(now);
        (void)nanosleep(&time, NULL); /* woken early, it is a little early */
        left -= now;
    }
}

/* Keeps of a second look only the silences that the first one has seen, too: on a machine that is
 * busy, what is late looks silent for a moment. */
static void confirm_silence(const struct survey *first, struct survey *second)
{
    for (uint32_t i = 0; i < second->target_count && i < first->target_count; i++) {
        if (first->targets[i].answered && second->targets[i].answered) {
            second->targets[i].report.silent_mask &= first->targets[i].report.silent_mask;
        }
    }
}

/* Asks, twice if in doubt, and judges. Returns 0 or a negative errno; survey_free() in any case. */
static int look(const struct asked *request, struct survey *survey, struct health_report *health)
{
    int error = run_survey(request, survey);
    health_judge(survey, health);
    if (error != 0 || !health->in_doubt || interrupt_seen()) {
        return error;
    }
    struct survey *second = must_calloc(1, sizeof *second);
    pause_for(CONFIRM_MS * NANOSECONDS_PER_MILLISECOND);
    error = run_survey(request, second);
    confirm_silence(survey, second);
    survey_free(survey);
    *survey = *second;
    free(second);
    health_judge(survey, health);
    return error;
}

static int look_and_show(const struct asked *request, struct screen *screen)
{
    struct survey *survey = must_calloc(1, sizeof *survey);
    struct health_report *health = must_calloc(1, sizeof *health);
    const int error = look(request, survey, health);
    int code;
    if (interrupt_seen()) {
        code = request->watch ? EXIT_DONE
                              : report_error(&request->shell, EXIT_UNKNOWN, "cancelled",
                                             "cancelled before all replicas answered");
    } else if (error != 0) {
        code = report_error(&request->shell, EXIT_INTERNAL, "internal", "cannot open a socket: %s",
                            strerror(-error));
    } else {
        code = show(request, survey, health, screen);
    }
    survey_free(survey);
    free(survey);
    free(health);
    return code;
}

/* Until Ctrl-C, which is how it ends well, or an error. */
static int watch(const struct asked *request, struct screen *screen)
{
    for (;;) {
        const int code = look_and_show(request, screen);
        if (interrupt_seen()) {
            break;
        }
        if (code >= EXIT_NOT_PERMITTED || ferror(stdout)) {
            return code;
        }
        pause_for(request->interval_ns);
        if (interrupt_seen()) {
            break;
        }
    }
    screen_leave(screen);
    return EXIT_DONE;
}

/* ---- options ---- */

enum {
    OPTION_JSON,
    OPTION_WATCH,
    OPTION_INTERVAL,
    OPTION_COUNT,
};

const char *const status_options[] = {
    [OPTION_JSON] = "--json",
    [OPTION_WATCH] = "--watch",
    [OPTION_INTERVAL] = "--interval",
    [OPTION_COUNT] = NULL,
};

static int refuse_option(const struct asked *request, const struct word *word)
{
    const char *meant = suggest_nearest((const char *)word->bytes, status_options);
    return report_usage(&request->shell, word->begin, word->end,
                        "status: \"%s\" is not known%s%s%s; usage: status [--json] [--watch] "
                        "[--interval SECONDS]",
                        word->bytes, meant != NULL ? "; did you mean \"" : "",
                        meant != NULL ? meant : "", meant != NULL ? "\"" : "");
}

static int parse_interval(struct asked *request, const struct words *words, size_t i)
{
    const struct word *word = i < words->count ? &words->items[i] : NULL;
    char *end = NULL;
    const double seconds = word != NULL ? strtod((const char *)word->bytes, &end) : 0;
    if (word == NULL || end == (const char *)word->bytes || *end != '\0' ||
        !(seconds >= INTERVAL_MIN_S && seconds <= INTERVAL_MAX_S)) {
        const struct word *at = word != NULL ? word : &words->items[words->count - 1];
        return report_usage(&request->shell, word != NULL ? at->begin : at->end + 1,
                            word != NULL ? at->end : at->end + 1,
                            "status: --interval needs a number of seconds from 0.1 to 3600; "
                            "example: status --watch --interval 2");
    }
    request->interval_ns = (uint64_t)(seconds * (double)NANOSECONDS_PER_SECOND);
    return 0;
}

static int parse(struct asked *request, const struct words *words)
{
    int code = 0;
    for (size_t i = 1; i < words->count && code == 0; i++) {
        const struct word *word = &words->items[i];
        if (word_is(word, status_options[OPTION_JSON])) {
            request->options.json = true;
        } else if (word_is(word, status_options[OPTION_WATCH])) {
            request->watch = true;
        } else if (word_is(word, status_options[OPTION_INTERVAL])) {
            request->watch = true;
            code = parse_interval(request, words, ++i);
        } else {
            code = refuse_option(request, word);
        }
    }
    return code;
}

int status_run(struct shell *caller, const struct words *words)
{
    struct asked request = {.options = *caller->options,
                            .shell = *caller,
                            .interval_ns = INTERVAL_DEFAULT_S * NANOSECONDS_PER_SECOND};
    request.shell.options = &request.options;
    const int code = parse(&request, words);
    if (code != 0) {
        return code;
    }
    char message[VR_MESSAGE_MAX];
    const int error =
        cluster_list_resolve(request.options.cluster, &request.list, message, sizeof message);
    if (error != 0) {
        return report_no_address(&request.shell, error, EXIT_UNKNOWN, message);
    }
    struct screen screen = {.in_place = request.watch && terminal_has_cursor(stdout),
                            .repeated = request.watch,
                            .interval_ns = request.interval_ns};
    return request.watch ? watch(&request, &screen) : look_and_show(&request, &screen);
}
