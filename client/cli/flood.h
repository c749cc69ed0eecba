/* SPDX-License-Identifier: Apache-2.0 */
/* flood.h - `flood`: the benchmark. A closed loop: every session has one request in flight, and
 * makes the next as soon as that is answered. */
#ifndef VR_CLI_FLOOD_H
#define VR_CLI_FLOOD_H

#include "client/cli/commands.h"

/* The command. Returns 0; 1 if --verify found a violation; 4 if nothing was ever answered; or what
 * an error means. */
int flood_run(struct shell *shell, const struct words *words);

#endif
