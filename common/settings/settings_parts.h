/* SPDX-License-Identifier: Apache-2.0 */
/* settings_parts.h - what the files of this folder share: problems. */
#ifndef VR_SETTINGS_SETTINGS_PARTS_H
#define VR_SETTINGS_SETTINGS_PARTS_H

#include "common/settings/settings.h"

/* Notes a problem, cut if it is too long. */
void settings_problem(struct settings *settings, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Of the program, or of the file that both share. */
static inline bool setting_is_of(const struct settings *settings, const struct setting *setting)
{
    return setting->program == settings->program;
}

static inline enum setting_id setting_id_of(const struct setting *setting)
{
    return (enum setting_id)(setting - setting_table);
}

/* Takes a value if nothing that goes before it has set the option. */
void settings_take(struct settings *settings, enum setting_id id, struct setting_value value);

#endif
