/* SPDX-License-Identifier: Apache-2.0 */
/* kv_commands.h - the commands that read and write keys, through the shell's session.
 *
 * Each prints its answer or says why there is none, and returns an exit code; the words are as the
 * table of commands promises, and the session is open.
 *
 * Threads: main's alone. */
#ifndef VR_CLI_KV_COMMANDS_H
#define VR_CLI_KV_COMMANDS_H

#include "client/cli/commands.h"

/* True for a word that get itself takes for an option. */
bool kv_is_option_of_get(const struct word *word);

int kv_get_run(struct shell *shell, const struct words *words);
int kv_set_run(struct shell *shell, const struct words *words);
int kv_del_run(struct shell *shell, const struct words *words);
int kv_cas_run(struct shell *shell, const struct words *words);
int kv_incr_run(struct shell *shell, const struct words *words);
int kv_scan_run(struct shell *shell, const struct words *words);

#endif
