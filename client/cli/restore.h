/* SPDX-License-Identifier: Apache-2.0 */
/* restore.h - `unsafe-restore`: a group of which a majority has lost its logs goes on from the best
 * that is left (D9). */
#ifndef VR_CLI_RESTORE_H
#define VR_CLI_RESTORE_H

#include "client/cli/commands.h"

/* For completion; the last one is NULL. */
extern const char *const restore_option_names[];

/* The command. Returns 0 once the group serves; 1 it is not to be restored, 2 it was not agreed to,
 * 4 too few answer, or it does not serve yet, 6 a replica does not permit it. */
int restore_run(struct shell *caller, const struct words *words);

#endif
