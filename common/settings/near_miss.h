/* SPDX-License-Identifier: Apache-2.0 */
/* near_miss.h - a long option that is misspelt, and which one was meant. argp itself would only say
 * that it does not know it, and getopt takes what begins an option's name for that option.
 *
 * Threads: any; writes to stderr. */
#ifndef VR_SETTINGS_NEAR_MISS_H
#define VR_SETTINGS_NEAR_MISS_H

#include <argp.h>
#include <stdbool.h>

enum { NEAR_MISS_OPTIONS_MAX = 64 }; /* of a table, asserted */

/* Looks at argv[1] and what follows, up to the first that is no option; "--name value" and "-l
 * value" are stepped over. True if one of them is none of `options`, which end with {0}, but near
 * to one: then that was said, with argv[0] before it. --help, --usage and --version are known
 * always.
 */
bool near_miss_refuse(const struct argp_option *options, int argc, char *const *argv);

#endif
