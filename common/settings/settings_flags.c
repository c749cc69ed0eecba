/* SPDX-License-Identifier: Apache-2.0 */
/* settings_flags.c - the table as flags, read with argp, which also prints --help. */
#include <argp.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/settings/near_miss.h"
#include "common/settings/settings_parts.h"

enum { KEY_FIRST = 256 }; /* of options without a letter */

static int key_of(size_t index)
{
    return setting_table[index].letter != 0 ? setting_table[index].letter : KEY_FIRST + (int)index;
}

/* What argp wants to know; returns how many. */
static size_t make_argp_options(enum setting_program program,
                                struct argp_option out[SETTING_COUNT + 1])
{
    size_t count = 0;
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        const struct setting *setting = &setting_table[i];
        if (setting->program != program) {
            continue;
        }
        /* What a file may have switched on, a flag can switch off: --insecure=no. */
        const bool can_be_unset = setting->kind == SETTING_SWITCH && setting->section != NULL;
        out[count++] = (struct argp_option){
            .name = setting->name,
            .key = key_of(i),
            .arg = can_be_unset ? "yes|no" : setting->argument,
            .flags = can_be_unset ? OPTION_ARG_OPTIONAL : 0,
            .doc = setting->help,
        };
    }
    out[count] = (struct argp_option){0};
    return count;
}

static error_t take_flag(struct settings *settings, size_t index, const char *text,
                         const struct argp_state *state)
{
    const struct setting *setting = &setting_table[index];
    char why[SETTING_WHY_MAX];
    struct setting_value value = {.text = text, .origin = SETTING_FROM_FLAG};
    if (setting->kind == SETTING_ACTION || (setting->kind == SETTING_SWITCH && text == NULL)) {
        value.text = "yes";
        value.number = 1;
    } else if (!setting_parse(setting, text, &value.number, why)) {
        argp_error(state, "--%s %s, not \"%s\"", setting->name, why, text); /* may end it all */
        return EINVAL;
    }
    settings->values[index] = value; /* the last one of several flags holds */
    return 0;
}

static error_t parse(int key, char *text, struct argp_state *state)
{
    struct settings *settings = state->input;
    if (key == ARGP_KEY_ARG && settings->program == SETTING_CLIENT) {
        /* From here on everything is the command's own: a value may begin with a dash. */
        settings->rest = &state->argv[state->next - 1];
        settings->rest_count = (size_t)(state->argc - (state->next - 1));
        state->next = state->argc;
        return 0;
    }
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        if (setting_table[i].program == settings->program && key == key_of(i)) {
            return take_flag(settings, i, text, state);
        }
    }
    return ARGP_ERR_UNKNOWN;
}

/* False if a flag is wrong, and the program goes on. */
static bool read_flags(struct settings *settings, const struct settings_about *about, int argc,
                       char **argv)
{
    struct argp_option argp_options[SETTING_COUNT + 1];
    const struct argp argp = {
        .options = argp_options,
        .parser = parse,
        .args_doc = about->arguments,
        .doc = about->text,
    };
    const unsigned order = about->program == SETTING_CLIENT ? ARGP_IN_ORDER : 0u;
    const unsigned ends = about->goes_on ? ARGP_NO_EXIT | ARGP_NO_HELP : 0u;
    (void)make_argp_options(about->program, argp_options);
    argp_err_exit_status = about->usage_exit;
    /* The client's flags end where its command begins; the server has none, and argp says so. */
    const bool right = !near_miss_refuse(argp_options, argc, argv) &&
                       argp_parse(&argp, argc, argv, order | ends, NULL, settings) == 0;
    if (!right && !about->goes_on) {
        exit(about->usage_exit);
    }
    return right;
}

bool settings_read(struct settings *settings, const struct settings_about *about, int argc,
                   char **argv)
{
    const enum setting_id config =
        about->program == SETTING_CLIENT ? SETTING_CLIENT_CONFIG : SETTING_CONFIG;
    *settings = (struct settings){.program = about->program};
    if (!read_flags(settings, about, argc, argv)) {
        return false;
    }
    settings_read_environment(settings);
    if (settings->values[config].text != NULL) {
        settings_read_file(settings, settings->values[config].text);
    }
    settings_apply_defaults(settings);
    return true;
}
