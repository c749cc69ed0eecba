/* SPDX-License-Identifier: Apache-2.0 */
/* backup.h - `backup`: the state of a running group into a file (M9). */
#ifndef VR_CLI_BACKUP_H
#define VR_CLI_BACKUP_H

#include "client/cli/commands.h"

/* The command. Returns 0 once the file is whole, verified and durable; 1 if there is nothing to
 * back up or FILE is there already; 4 if no replica serves it; 74 if it cannot be written here. */
int backup_run(struct shell *caller, const struct words *words);

/* "--json" and so on; ends with a NULL. */
extern const char *const backup_options[];

#endif
