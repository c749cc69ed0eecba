/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/flood_options.h"

#include <argp.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/exit_code.h"
#include "client/cli/options.h"
#include "common/base/limits.h"
#include "common/os/clock.h"
#include "common/os/random.h"
#include "common/settings/near_miss.h"

enum option_key {
    OPTION_CLIENTS = 256,
    OPTION_DURATION,
    OPTION_COUNT,
    OPTION_MIX,
    OPTION_KEY_COUNT,
    OPTION_VALUE_SIZE,
    OPTION_WARMUP,
    OPTION_DIST,
    OPTION_RATE,
    OPTION_CSV,
    OPTION_PLOT,
    OPTION_SEED,
    OPTION_VERIFY,
    OPTION_JSON,
    OPTION_HELP,
};

const struct argp_option flood_option_table[] = {
    {"clients", OPTION_CLIENTS, "N", 0, "Sessions with one request in flight each (16)", 0},
    {"duration", OPTION_DURATION, "S", 0, "Seconds to measure (10)", 0},
    {"count", OPTION_COUNT, "N", 0, "Operations to measure, instead of a duration", 0},
    {"warmup", OPTION_WARMUP, "S", 0, "Seconds before measuring begins (0)", 0},
    {"mix", OPTION_MIX, "WRITE%", 0, "Percentage of writes, the rest being reads (50)", 0},
    {"key-count", OPTION_KEY_COUNT, "N", 0, "Different keys (1000)", 0},
    {"dist", OPTION_DIST, "uniform|zipf", 0,
     "Which keys: all alike (uniform), or few of them most of the time (zipf)", 0},
    {"rate", OPTION_RATE, "OPS", 0,
     "So many operations a second are due, however fast they are answered; latency counts from "
     "when one was due",
     0},
    {"csv", OPTION_CSV, "FILE", 0, "A row for each second", 0},
    {"plot", OPTION_PLOT, "FILE.png", 0,
     "Throughput, latency and view changes over time, drawn by gnuplot", 0},
    {"value-size", OPTION_VALUE_SIZE, "BYTES", 0, "Size of values (64)", 0},
    {"seed", OPTION_SEED, "N", 0, "The same seed makes the same operations (random)", 0},
    {"verify", OPTION_VERIFY, NULL, 0,
     "Each session owns its keys; what is read back must lie between what was last acknowledged "
     "and what was last sent",
     0},
    {"json", OPTION_JSON, NULL, 0, "The summary as one JSON object", 0},
    {"help", OPTION_HELP, NULL, 0, "This list", -1},
    {0},
};

static error_t refuse(struct argp_state *state, const char *option, const char *argument,
                      const char *wanted)
{
    argp_error(state, "--%s %s: not %s", option, argument, wanted);
    return EINVAL;
}

static error_t parse_count(struct argp_state *state, const char *option, const char *argument,
                           uint64_t max, uint64_t *number)
{
    if (!option_number(argument, 1, max, number)) {
        return refuse(state, option, argument, "a number in range, from 1");
    }
    return 0;
}

static error_t parse_seconds(struct argp_state *state, const char *option, const char *argument,
                             uint64_t *ns)
{
    char *end;
    const double seconds = strtod(argument, &end);
    if (end == argument || *end != '\0' || !isfinite(seconds) || seconds < 0 ||
        seconds > FLOOD_SECONDS_MAX) {
        return refuse(state, option, argument, "a number of seconds, at most a week's");
    }
    *ns = (uint64_t)(seconds * (double)NANOSECONDS_PER_SECOND);
    return 0;
}

static error_t parse_u32(struct argp_state *state, const char *option, const char *argument,
                         uint32_t min, uint32_t max, uint32_t *out)
{
    uint64_t number;
    if (!option_number(argument, min, max, &number)) {
        argp_error(state, "--%s %s: not a number from %u to %u", option, argument, min, max);
        return EINVAL;
    }
    *out = (uint32_t)number;
    return 0;
}

const char *flood_distribution_name(enum flood_distribution distribution)
{
    return distribution == FLOOD_ZIPF ? "zipf" : "uniform";
}

static error_t parse_distribution(struct argp_state *state, const char *argument,
                                  enum flood_distribution *distribution)
{
    if (strcmp(argument, "uniform") != 0 && strcmp(argument, "zipf") != 0) {
        return refuse(state, "dist", argument, "uniform or zipf");
    }
    *distribution = argument[0] == 'z' ? FLOOD_ZIPF : FLOOD_UNIFORM;
    return 0;
}

static error_t parse_file(struct argp_state *state, const char *option, const char *argument,
                          const char **name)
{
    if (argument[0] == '\0') {
        return refuse(state, option, "\"\"", "the name of a file");
    }
    *name = argument;
    return 0;
}

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
    struct flood_options *options = state->input;
    switch (key) {
    case OPTION_CLIENTS:
        return parse_u32(state, "clients", argument, 1, FLOOD_CLIENTS_MAX, &options->clients);
    case OPTION_DURATION:
        return parse_seconds(state, "duration", argument, &options->duration_ns);
    case OPTION_COUNT:
        return parse_count(state, "count", argument, UINT64_MAX / 2, &options->count);
    case OPTION_WARMUP:
        return parse_seconds(state, "warmup", argument, &options->warmup_ns);
    case OPTION_MIX:
        return parse_u32(state, "mix", argument, 0, 100, &options->mix_percent);
    case OPTION_KEY_COUNT:
        return parse_u32(state, "key-count", argument, 1, FLOOD_KEYS_MAX, &options->key_count);
    case OPTION_VALUE_SIZE:
        return parse_u32(state, "value-size", argument, 0, VALUE_SIZE_MAX, &options->value_size);
    case OPTION_DIST:
        return parse_distribution(state, argument, &options->distribution);
    case OPTION_RATE:
        return parse_count(state, "rate", argument, FLOOD_RATE_MAX, &options->rate);
    case OPTION_CSV:
        return parse_file(state, "csv", argument, &options->csv);
    case OPTION_PLOT:
        return parse_file(state, "plot", argument, &options->plot);
    case OPTION_SEED:
        if (!option_number(argument, 0, UINT64_MAX, &options->seed)) {
            return refuse(state, "seed", argument, "a number");
        }
        return 0;
    case OPTION_VERIFY:
        options->verify = true;
        return 0;
    case OPTION_JSON:
        options->json = true;
        return 0;
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

int flood_options_parse(size_t count, char **arguments, struct flood_options *options)
{
    static const struct argp argp = {
        .options = flood_option_table,
        .parser = parse_option,
        .doc =
            "Measures the group: every session makes its next request as soon as the last one is "
            "answered; or, with --rate, when the next one is due.\vCtrl-C ends it early and still "
            "prints the summary.",
    };
    memset(options, 0, sizeof *options);
    options->clients = 16;
    options->mix_percent = 50;
    options->key_count = 1000;
    options->value_size = 64;
    options->seed = random_nonzero_u64() >> 32; /* short enough to be typed again */
    static char name[] = "vr-client flood";
    arguments[0] = name;
    /* It may run in the REPL, which must not end with it. */
    if (near_miss_refuse(flood_option_table, (int)count, arguments) ||
        argp_parse(&argp, (int)count, arguments, ARGP_NO_EXIT | ARGP_NO_HELP, NULL, options) != 0) {
        return EXIT_USAGE;
    }
    if (options->count > 0 && options->duration_ns > 0) {
        (void)fputs("vr-client flood: --count and --duration exclude each other\n", stderr);
        return EXIT_USAGE;
    }
    if (options->count == 0 && options->duration_ns == 0) {
        options->duration_ns = 10 * NANOSECONDS_PER_SECOND;
    }
    return 0;
}
