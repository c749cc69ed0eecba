/* SPDX-License-Identifier: Apache-2.0 */
/* flood_options.h - the options of `flood`. */
#ifndef VR_CLI_FLOOD_OPTIONS_H
#define VR_CLI_FLOOD_OPTIONS_H

#include <argp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    FLOOD_CLIENTS_MAX = 100 * 1000,
    FLOOD_KEYS_MAX = 100 * 1000 * 1000,
    FLOOD_SECONDS_MAX = 7 * 24 * 3600,
    FLOOD_RATE_MAX = 100 * 1000 * 1000,
};

enum flood_distribution {
    FLOOD_UNIFORM,
    FLOOD_ZIPF,
};

const char *flood_distribution_name(enum flood_distribution distribution);

struct flood_options {
    uint32_t clients;     /* sessions, each with one request in flight */
    uint64_t duration_ns; /* of measuring; 0: until `count` operations */
    uint64_t count;       /* operations; 0: until duration_ns */
    uint64_t warmup_ns;   /* before measuring */
    uint32_t mix_percent; /* of writes */
    uint32_t key_count;
    uint32_t value_size;                  /* bytes */
    enum flood_distribution distribution; /* of keys */
    uint64_t rate;                        /* operations a second that are due; 0: a closed loop */
    uint64_t seed;
    const char *csv;  /* a file's name; NULL: none. Both are the argument's bytes */
    const char *plot; /* as csv */
    bool verify;
    bool json;
    bool help; /* was asked for and printed: nothing else to do */
};

/* Ends with one that has no name; completion knows them from here. */
extern const struct argp_option flood_option_table[];

/* `arguments` begin with the command's name. Returns 0 or an exit code, having said what is wrong.
 */
int flood_options_parse(size_t count, char **arguments, struct flood_options *options);

#endif
