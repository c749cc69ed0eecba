/* SPDX-License-Identifier: Apache-2.0 */
#include "common/settings/near_miss.h"

#include <stdio.h>
#include <string.h>

#include "common/base/invariant.h"
#include "common/settings/setting.h"

enum { NAME_SIZE = 64, ALWAYS_COUNT = 3 };

/* A table ends with what says nothing at all; titles of groups have no name. */
static bool is_end(const struct argp_option *option)
{
    return option->name == NULL && option->key == 0 && option->doc == NULL && option->group == 0;
}

static const struct argp_option *option_called(const struct argp_option *options, const char *name)
{
    for (; !is_end(options); options++) {
        if (options->name != NULL && strcmp(options->name, name) == 0) {
            return options;
        }
    }
    return NULL;
}

static const struct argp_option *option_of_letter(const struct argp_option *options, int letter)
{
    for (; !is_end(options); options++) {
        if (options->name != NULL && options->key == letter) {
            return options;
        }
    }
    return NULL;
}

static bool begins_some(const char *const *names, const char *name)
{
    for (size_t i = 0; names[i] != NULL; i++) {
        if (strncmp(names[i], name, strlen(name)) == 0) {
            return true;
        }
    }
    return false;
}

/* "--name" or "--name=value"; false for anything else, and for what is too long for any name. */
static bool read_name(const char *argument, char name[NAME_SIZE])
{
    const size_t size = strncmp(argument, "--", 2) == 0 ? strcspn(argument + 2, "=") : 0;
    if (size == 0 || size >= NAME_SIZE) {
        return false;
    }
    memcpy(name, argument + 2, size);
    name[size] = '\0';
    return true;
}

/* Whether the argument behind this one is its value, as in "--timeout 100" and "-t 100". */
static bool takes_the_next(const struct argp_option *options, const char *argument)
{
    char name[NAME_SIZE];
    const struct argp_option *option = NULL;
    if (read_name(argument, name)) {
        option = strchr(argument, '=') == NULL ? option_called(options, name) : NULL;
    } else if (argument[1] != '\0' && argument[2] == '\0') {
        option = option_of_letter(options, argument[1]);
    }
    return option != NULL && option->arg != NULL && (option->flags & OPTION_ARG_OPTIONAL) == 0;
}

static void collect_names(const struct argp_option *options,
                          const char *names[NEAR_MISS_OPTIONS_MAX + ALWAYS_COUNT + 1])
{
    size_t count = 0;
    names[count++] = "help";
    names[count++] = "usage";
    names[count++] = "version";
    for (; !is_end(options); options++) {
        if (options->name != NULL) {
            INVARIANT(count < NEAR_MISS_OPTIONS_MAX + ALWAYS_COUNT);
            names[count++] = options->name;
        }
    }
    names[count] = NULL;
}

bool near_miss_refuse(const struct argp_option *options, int argc, char *const *argv)
{
    const char *names[NEAR_MISS_OPTIONS_MAX + ALWAYS_COUNT + 1];
    char name[NAME_SIZE];
    collect_names(options, names);
    for (int i = 1; i < argc && argv[i][0] == '-' && strcmp(argv[i], "--") != 0; i++) {
        const bool unknown = read_name(argv[i], name) && !begins_some(names, name);
        const char *meant = unknown ? setting_did_you_mean(name, names) : NULL;
        if (meant != NULL) {
            (void)fprintf(stderr, "%s: there is no option --%s; did you mean --%s?\n", argv[0],
                          name, meant);
            return true;
        }
        i += takes_the_next(options, argv[i]) ? 1 : 0;
    }
    return false;
}
