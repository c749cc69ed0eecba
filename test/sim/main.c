/* SPDX-License-Identifier: Apache-2.0 */
/* main.c - runs simulated clusters by seed.
 *
 *     sim --seed N [--trace]         one run, its options first
 *     sim --seeds COUNT [--start S]  a batch, after the regression seeds of --regressions FILE
 *     sim --mode MODE ...            all of it in one mode of durability
 *     sim --marks ...                ... and how often each coverage mark was met
 *     sim --shrink --seed N          the failure of that seed with as little as it needs, as a
 * chart
 *
 * Exit code 0: everything passed; 1: some seed failed; 2: usage. */
#include <argp.h>
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/base/invariant.h"
#include "test/sim/marks.h"
#include "test/sim/shrink.h"
#include "test/sim/sim.h"

enum { FAILURES_SHOWN_MAX = 64, FAILURES_STOP = 20, PROGRESS_SEEDS = 500, SHRINK_RUNS_MAX = 6000 };

struct arguments {
    uint64_t seed;
    bool single;
    bool trace;
    bool marks;
    bool shrink;
    uint64_t seeds;
    uint64_t start;
    uint64_t failures_max;
    const char *regressions;
    const enum durability *only;
    enum durability mode;
};

struct batch {
    struct sim sim;
    struct sim_counts total;
    uint64_t passed;
    uint64_t failed;
    uint64_t first_failed_after; /* seeds run until the first failure; 0: none */
    uint64_t repeated;
    uint64_t longest_healing_ns;
    uint64_t failures[FAILURES_SHOWN_MAX];
};

static struct batch batch;

/* ---- what must be said whatever happens ---- */

static uint64_t seed_now;

/* Only async-signal-safe calls: whatever broke, the seed is left behind. */
static void say_seed(void)
{
    char text[] = "\nsim: replay with: build/sim --trace --seed 00000000000000000000\n";
    uint64_t seed = seed_now;
    for (size_t at = sizeof text - 3; text[at] == '0'; at--) {
        text[at] = (char)('0' + seed % 10);
        seed /= 10;
    }
    (void)!write(STDERR_FILENO, text, sizeof text - 1);
}

static void on_signal(int number)
{
    say_seed();
    (void)signal(number, SIG_DFL);
    (void)raise(number);
}

/* A promise of the product was broken: this seed failed; the others go on. */
_Noreturn void invariant_failed(const char *condition, const char *file, int line,
                                const char *function)
{
    struct sim *sim = &batch.sim;
    if (sim->escape == NULL) {
        fprintf(stderr, "INVARIANT(%s) in %s, %s:%d\n", condition, function, file, line);
        abort();
    }
    sim->failed = true;
    (void)snprintf(sim->report.text, sizeof sim->report.text, "INVARIANT(%s) in %s, %s:%d",
                   condition, function, file, line);
    longjmp(*sim->escape, 1);
}

/* ---- running ---- */

static void note_failure(uint64_t seed)
{
    if (batch.failed < FAILURES_SHOWN_MAX) {
        batch.failures[batch.failed] = seed;
    }
    batch.failed++;
    if (batch.first_failed_after == 0) {
        batch.first_failed_after = batch.passed + batch.failed;
    }
}

/* The same seed again must do the same, byte for byte. */
static bool run_again(const struct sim_options *options)
{
    const uint64_t fingerprint = batch.sim.fingerprint;
    batch.repeated++;
    if (sim_run(&batch.sim, options) && batch.sim.fingerprint == fingerprint) {
        return true;
    }
    if (!batch.sim.failed) {
        sim_fail(&batch.sim, "not deterministic: a second run of the seed went another way");
    }
    return false;
}

static void run_seed(uint64_t seed, const enum durability *only, bool repeat)
{
    struct sim_options options;
    seed_now = seed;
    sim_options_from_seed(&options, seed, only);
    bool passed = sim_run(&batch.sim, &options);
    if (passed && repeat) {
        passed = run_again(&options);
    }
    sim_counts_add(&batch.total, &batch.sim.counts);
    if (batch.sim.healed_after_ns > batch.longest_healing_ns) {
        batch.longest_healing_ns = batch.sim.healed_after_ns;
    }
    if (passed) {
        batch.passed++;
        return;
    }
    printf("FAILED at %.3f ms: %s\n", (double)batch.sim.schedule.now_ns / 1e6,
           batch.sim.report.text);
    sim_options_print(&options, stdout);
    const char *mode = only != NULL ? " --mode " : "";
    const char *name = only != NULL ? durability_name(*only) : "";
    printf("  replay with: build/sim --trace --seed %" PRIu64 "%s%s\n", seed, mode, name);
    printf("  shrink with: build/sim --shrink --seed %" PRIu64 "%s%s\n", seed, mode, name);
    note_failure(seed);
}

/* Of one core's work: what else the machine does is not counted. */
static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void run_regressions(const char *path, const enum durability *only)
{
    FILE *file = fopen(path, "r");
    char line[256];
    if (file == NULL) {
        return;
    }
    while (fgets(line, sizeof line, file) != NULL) {
        char *end;
        const uint64_t seed = strtoull(line, &end, 10);
        if (end != line) {
            run_seed(seed, only, true);
        }
    }
    fclose(file);
}

static void run_batch(const struct arguments *arguments, double began)
{
    run_regressions(arguments->regressions, arguments->only);
    for (uint64_t i = 0; i < arguments->seeds && batch.failed < arguments->failures_max; i++) {
        run_seed(arguments->start + i, arguments->only, i % 100 == 0);
        if (i > 0 && i % PROGRESS_SEEDS == 0) {
            printf("%" PRIu64 " seeds, %.0f s\n", i, seconds_now() - began);
            fflush(stdout);
        }
    }
}

/* Exit code 1: it fails, as was said; 2: it does not. */
static int shrink_seed(uint64_t seed, const enum durability *only)
{
    static struct sim_shrunk shrunk;
    struct sim_chart chart = {0};
    struct sim_options options;
    seed_now = seed;
    sim_options_from_seed(&options, seed, only);
    if (!sim_shrink(&batch.sim, &options, SHRINK_RUNS_MAX, &shrunk)) {
        printf("seed %" PRIu64 " passes: there is nothing to shrink\n", seed);
        return 2;
    }
    sim_chart_reset(&chart, shrunk.options.replica_count, shrunk.options.proxy_count);
    batch.sim.chart = &chart;
    batch.sim.trace = true;
    (void)sim_run(&batch.sim, &shrunk.options);
    sim_options_print(&shrunk.options, stdout);
    printf("shrunk in %" PRIu64 " runs, from %" PRIu64 " messages to %zu\n\n", shrunk.runs,
           shrunk.messages_before, sim_chart_message_count(&chart));
    sim_chart_print(&chart, batch.sim.report.text, stdout);
    printf("\n");
    sim_chart_print_mermaid(&chart, batch.sim.report.text, stdout);
    sim_chart_free(&chart);
    return 1;
}

/* A checker that mostly shrugs proves nothing: one history in a thousand may be too hard. */
static bool is_judged(const struct sim_counts *counts)
{
    if (1000 * counts->undecided <= counts->histories) {
        return true;
    }
    printf("%" PRIu64 " of %" PRIu64 " client histories could not be judged\n", counts->undecided,
           counts->histories);
    return false;
}

static int report(double seconds)
{
    const struct sim_counts *c = &batch.total;
    sim_counts_print(c, stdout);
    printf("%" PRIu64 " messages in %.1f s of CPU: %.0f a second; %.0f virtual s; %" PRIu64
           " seeds run twice\n",
           c->messages, seconds, (double)c->messages / seconds, (double)c->virtual_ns / 1e9,
           batch.repeated);
    printf("healed within %.2f virtual s on average, %.2f at the most\n",
           (double)c->healing_ns / 1e9 / (double)(c->healed > 0 ? c->healed : 1),
           (double)batch.longest_healing_ns / 1e9);
    if (batch.failed > 0) {
        printf("failed seeds (the first after %" PRIu64 " runs):", batch.first_failed_after);
        for (uint64_t i = 0; i < batch.failed && i < FAILURES_SHOWN_MAX; i++) {
            printf(" %" PRIu64, batch.failures[i]);
        }
        printf("\n");
    }
    printf("%" PRIu64 " passed, %" PRIu64 " failed\n", batch.passed, batch.failed);
    return batch.failed > 0 || !is_judged(c) ? 1 : 0;
}

/* ---- the command line ---- */

static bool mode_parse(const char *name, enum durability *mode)
{
    for (*mode = DURABILITY_MEMORY; *mode <= DURABILITY_SYNC; (*mode)++) {
        if (strcmp(name, durability_name(*mode)) == 0) {
            return true;
        }
    }
    return false;
}

static error_t parse(int key, char *value, struct argp_state *state)
{
    struct arguments *arguments = state->input;
    switch (key) {
    case 's':
        arguments->seed = strtoull(value, NULL, 10);
        arguments->single = true;
        return 0;
    case 't':
        arguments->trace = true;
        return 0;
    case 'k':
        arguments->marks = true;
        return 0;
    case 'x':
        arguments->shrink = true;
        return 0;
    case 'n':
        arguments->seeds = strtoull(value, NULL, 10);
        return 0;
    case 'b':
        arguments->start = strtoull(value, NULL, 10);
        return 0;
    case 'f':
        arguments->failures_max = strtoull(value, NULL, 10);
        return 0;
    case 'r':
        arguments->regressions = value;
        return 0;
    case 'm':
        if (!mode_parse(value, &arguments->mode)) {
            argp_error(state, "the modes are memory, async and sync");
        }
        arguments->only = &arguments->mode;
        return 0;
    case ARGP_KEY_ARG:
        argp_usage(state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option options[] = {
    {"seed", 's', "N", 0, "Run this seed alone, and print its options first", 0},
    {"trace", 't', NULL, 0, "Print every message", 0},
    {"marks", 'k', NULL, 0, "Print how often each coverage mark was met", 0},
    {"shrink", 'x', NULL, 0, "Leave out of a failing seed what it does not need, and draw it", 0},
    {"seeds", 'n', "COUNT", 0, "Run this many seeds (default 200)", 0},
    {"start", 'b', "S", 0, "... from this one on (default 1)", 0},
    {"failures", 'f', "COUNT", 0, "Stop after this many failed (default 20)", 0},
    {"mode", 'm', "MODE", 0, "In this mode of durability, whatever the seed draws", 0},
    {"regressions", 'r', "FILE", 0, "Seeds that are always run (default test/sim/seeds.txt)", 0},
    {0},
};

int main(int argc, char **argv)
{
    struct arguments arguments = {
        .seeds = 200,
        .start = 1,
        .failures_max = FAILURES_STOP,
        .regressions = "test/sim/seeds.txt",
    };
    const struct argp argp = {
        .options = options, .parser = parse, .doc = "Simulates whole clusters, by seed."};
    if (argp_parse(&argp, argc, argv, 0, NULL, &arguments) != 0) {
        return 2;
    }
    static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGABRT, SIGINT, SIGTERM};
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        (void)signal(signals[i], on_signal);
    }
    const double began = seconds_now();
    if (arguments.shrink) {
        const int code = shrink_seed(arguments.seed, arguments.only);
        sim_free(&batch.sim);
        return code;
    }
    batch.sim.trace = arguments.trace;
    if (arguments.single) {
        struct sim_options drawn;
        sim_options_from_seed(&drawn, arguments.seed, arguments.only);
        sim_options_print(&drawn, stdout);
        fflush(stdout);
        run_seed(arguments.seed, arguments.only, !arguments.trace);
    } else {
        run_batch(&arguments, began);
    }
    if (arguments.marks) {
        sim_marks_print(stdout);
    }
    const int status = report(seconds_now() - began);
    sim_free(&batch.sim);
    return status;
}
