/* SPDX-License-Identifier: Apache-2.0 */
/* settings_flags.c - the table as flags, read with argp, which also prints --help. */
#include <argp.h>
#include <stdlib.h>
#include <string.h>

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

static void take_flag(struct settings *settings, size_t index, const char *text,
                      const struct argp_state *state)
{
    const struct setting *setting = &setting_table[index];
    char why[SETTING_WHY_MAX];
    struct setting_value value = {.text = text, .origin = SETTING_FROM_FLAG};
    if (setting->kind == SETTING_ACTION || (setting->kind == SETTING_SWITCH && text == NULL)) {
        value.text = "yes";
        value.number = 1;
    } else if (!setting_parse(setting, text, &value.number, why)) {
        argp_error(state, "--%s %s, not \"%s\"", setting->name, why, text); /* ends the program */
    }
    settings->values[index] = value; /* the last one of several flags holds */
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
            take_flag(settings, i, text, state);
            return 0;
        }
    }
    return ARGP_ERR_UNKNOWN;
}

/* A near miss. argp itself would only say that it does not know the flag. */

static const struct setting *flag_called(enum setting_program program, const char *name)
{
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        if (setting_table[i].program == program && strcmp(setting_table[i].name, name) == 0) {
            return &setting_table[i];
        }
    }
    return NULL;
}

static bool begins_some_flag(const char *const *names, const char *name)
{
    for (size_t i = 0; names[i] != NULL; i++) {
        if (strncmp(names[i], name, strlen(name)) == 0) {
            return true;
        }
    }
    return false;
}

enum { FLAG_NAME_MAX = 64 };

/* "--name" or "--name=value"; false for anything else, and for what is too long for any name. */
static bool read_flag_name(const char *argument, char name[FLAG_NAME_MAX])
{
    const size_t size = strncmp(argument, "--", 2) == 0 ? strcspn(argument + 2, "=") : 0;
    if (size == 0 || size >= FLAG_NAME_MAX) {
        return false;
    }
    memcpy(name, argument + 2, size);
    name[size] = '\0';
    return true;
}

/* Whether the argument behind this one is its value, as in "--timeout 100" and "-t 100". */
static bool takes_the_next(enum setting_program program, const char *argument)
{
    char name[FLAG_NAME_MAX];
    if (read_flag_name(argument, name)) {
        const struct setting *setting = flag_called(program, name);
        return setting != NULL && setting->argument != NULL && strchr(argument, '=') == NULL;
    }
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        const struct setting *setting = &setting_table[i];
        if (setting->program == program && setting->letter == argument[1] && argument[1] != '\0' &&
            argument[2] == '\0') {
            return setting->argument != NULL;
        }
    }
    return false;
}

static void refuse_near_miss(const struct settings_about *about, int argc, char **argv)
{
    const char *names[SETTING_COUNT + 4] = {"help", "usage", "version"};
    char name[FLAG_NAME_MAX];
    size_t count = 3;
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        if (setting_table[i].program == about->program) {
            names[count++] = setting_table[i].name;
        }
    }
    names[count] = NULL;
    /* Up to the client's command; the server has none, and argp says so. */
    for (int i = 1; i < argc && argv[i][0] == '-' && strcmp(argv[i], "--") != 0; i++) {
        const bool flag = read_flag_name(argv[i], name) && !begins_some_flag(names, name);
        const char *meant = flag ? setting_did_you_mean(name, names) : NULL;
        if (meant != NULL) {
            (void)fprintf(stderr, "%s: there is no option --%s; did you mean --%s?\n", argv[0],
                          name, meant);
            exit(about->usage_exit);
        }
        i += takes_the_next(about->program, argv[i]) ? 1 : 0;
    }
}

void settings_read(struct settings *settings, const struct settings_about *about, int argc,
                   char **argv)
{
    struct argp_option argp_options[SETTING_COUNT + 1];
    const struct argp argp = {
        .options = argp_options,
        .parser = parse,
        .args_doc = about->arguments,
        .doc = about->text,
    };
    const bool client = about->program == SETTING_CLIENT;
    const enum setting_id config = client ? SETTING_CLIENT_CONFIG : SETTING_CONFIG;
    *settings = (struct settings){.program = about->program};
    (void)make_argp_options(about->program, argp_options);
    argp_err_exit_status = about->usage_exit;
    refuse_near_miss(about, argc, argv);
    (void)argp_parse(&argp, argc, argv, client ? ARGP_IN_ORDER : 0, NULL, settings);
    settings_read_environment(settings);
    if (settings->values[config].text != NULL) {
        settings_read_file(settings, settings->values[config].text);
    }
    settings_apply_defaults(settings);
}
