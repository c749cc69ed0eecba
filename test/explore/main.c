/* SPDX-License-Identifier: Apache-2.0 */
/* explore - every interleaving in small worlds of three real cores.
 *
 *     build/explore [--states N] [--seconds N] [--walks N] [--seed N] [WORLD...]
 *
 * Each world is searched until nothing new is found, or its share of the budget is used up; then N
 * paths are taken at random. What was counted is printed. Exit code 1 if an invariant broke: the
 * path there is printed, shortened, as a sequence of messages. */
#include <getopt.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/invariant.h"
#include "test/explore/search.h"

static struct search search;

/* A promise of the core's own was broken: that is a violation like any other. */
_Noreturn void invariant_failed(const char *condition, const char *file, int line,
                                const char *function)
{
    if (search.escape == NULL || strncmp(file, "test/explore", 12) == 0) {
        fprintf(stderr, "INVARIANT(%s) in %s, %s:%d\n", condition, function, file, line);
        abort();
    }
    search.world->failed = true;
    (void)snprintf(search.world->report.text, sizeof search.world->report.text,
                   "INVARIANT(%s) in %s, %s:%d", condition, function, file, line);
    longjmp(*search.escape, 1);
}

struct named_world {
    const char *name;
    const char *text;
    struct world_budget budget;
};

static const struct named_world worlds[] = {
    {"steady",
     "two operations, a heartbeat, nobody suspects anybody",
     {.requests = 2, .submissions = 2, .ticks = 1}},
    {"change",
     "one operation, a view change",
     {.requests = 1, .submissions = 1, .suspicions = 2, .views = 1}},
    {"restart",
     "one operation, a replica loses its memory and recovers",
     {.requests = 1, .submissions = 1, .ticks = 1, .crashes = 1}},
    {"resume",
     "one operation, a view change, a replica starts again with its log",
     {.requests = 1, .submissions = 1, .suspicions = 2, .views = 1, .crashes = 1, .sync = true}},
    {"disks",
     "one operation, a view change, disks that take their time",
     {.requests = 1,
      .submissions = 1,
      .suspicions = 2,
      .views = 1,
      .sync = true,
      .slow_disks = true}},
    {"memory",
     "two operations, two view changes, a replica loses its memory",
     {.requests = 2, .submissions = 3, .suspicions = 4, .ticks = 2, .views = 2, .crashes = 1}},
    {"all",
     "two operations, two view changes, a replica starts again with its log",
     {.requests = 2,
      .submissions = 3,
      .suspicions = 4,
      .ticks = 2,
      .views = 2,
      .crashes = 1,
      .sync = true}},
};

enum { WORLDS = sizeof worlds / sizeof worlds[0] };

static double seconds_of(clock_t since)
{
    return (double)(clock() - since) / CLOCKS_PER_SEC;
}

static void print_counts(const struct named_world *named, double seconds)
{
    const struct search_counts *counts = &search.counts;
    printf("%-8s %s: %" PRIu64 " states, %" PRIu64 " transitions (%" PRIu64
           " to known states, %" PRIu64 " that changed nothing), depth %u, %u views, %" PRIu64
           " ops committed, %" PRIu64 " cut; %.1f s\n",
           named->name, search.complete ? "complete" : "a part of it", counts->states,
           counts->transitions, counts->known, counts->idle, counts->depth, counts->views,
           counts->committed, counts->cut, seconds);
    (void)fflush(stdout);
}

/* False: an invariant broke. */
static bool explore(const struct named_world *named, const uint64_t values[256])
{
    static struct world world;
    world_init(&world, &named->budget);
    search_init(&search, &world);
    search.states_max = values['n'];
    search.seconds_max = values['s'];
    search.walks = values['w'];
    search.seed = values['r'];
    const clock_t since = clock();
    const bool held = search_run(&search);
    print_counts(named, seconds_of(since));
    if (!held) {
        printf("an invariant broke after %u actions: %s\n", search.path_count, world.report.text);
        search_shrink(&search);
        search_print_path(&search);
    }
    search_free(&search);
    world_free(&world);
    return held;
}

static void usage(void)
{
    printf(
        "explore [--states N] [--seconds N] [--walks N] [--seed N] [WORLD...]\n"
        "  N states, or N seconds, of each world at most, then N paths at random; without these\n"
        "  all of it. Worlds:\n");
    for (size_t i = 0; i < WORLDS; i++) {
        printf("  %-8s %s\n", worlds[i].name, worlds[i].text);
    }
}

static bool is_named(const char *name, char **names, int count)
{
    bool named = count == 0;
    for (int i = 0; i < count; i++) {
        named = named || strcmp(name, names[i]) == 0;
    }
    return named;
}

static bool is_known(const char *name)
{
    for (size_t i = 0; i < WORLDS; i++) {
        if (strcmp(worlds[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"states", required_argument, NULL, 'n'}, {"seconds", required_argument, NULL, 's'},
        {"walks", required_argument, NULL, 'w'},  {"seed", required_argument, NULL, 'r'},
        {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0},
    };
    uint64_t values[256] = {0};
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (option == 'h' || option == '?') {
            usage();
            return option == 'h' ? 0 : 2;
        }
        values[option] = strtoull(optarg, NULL, 10);
    }
    for (int i = optind; i < argc; i++) {
        if (!is_known(argv[i])) {
            usage();
            return 2;
        }
    }
    for (size_t i = 0; i < WORLDS; i++) {
        if (is_named(worlds[i].name, argv + optind, argc - optind) &&
            !explore(&worlds[i], values)) {
            return 1;
        }
    }
    return 0;
}
