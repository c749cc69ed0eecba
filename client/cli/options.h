/* SPDX-License-Identifier: Apache-2.0 */
/* options.h - the command line: what comes before the command. The options themselves, which
 * environment and file share, are common/settings/setting_table.c's. */
#ifndef VR_CLI_OPTIONS_H
#define VR_CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/settings/settings.h"

enum {
    TIMEOUT_MS_MAX = SETTING_TIMEOUT_MS_MAX,
};

struct options {
    const char *cluster; /* --cluster, else VR_CLUSTER, else CLUSTER_LIST_DEFAULT */
    uint32_t timeout_ms;
    uint32_t datagram_size; /* bytes; 0: what the route carries */
    bool json;
    bool quiet;
    bool keep_going; /* a pipe: go on after an error */
    char **command;  /* the command and its arguments; none: REPL or pipe */
    size_t command_count;
    bool print_config; /* print the settings, and do nothing else */
    struct settings settings;
};

/* Returns 0, or the exit code to end with when environment or file is wrong; then, too, *options is
 * to be freed. Ends the program when a flag is wrong, or help or version was wanted. */
int options_parse(int argc, char **argv, struct options *options);

void options_free(struct options *options);

/* Reads a whole decimal number between min and max; false if it is none. */
bool option_number(const char *text, uint64_t min, uint64_t max, uint64_t *number);

#endif
