/* SPDX-License-Identifier: Apache-2.0 */
/* restore_steps.h - what a person has to run after `init --from-backup`, ready to be copied into a
 * shell: one command for each other replica, then the starts. */
#ifndef VR_RUNTIME_RESTORE_STEPS_H
#define VR_RUNTIME_RESTORE_STEPS_H

#include <stdio.h>

#include "server/runtime/server.h"

/* `parameters`: the flags that the cluster's parameters were given by, each with a space before it;
 * `options` are those of an init that succeeded. */
void restore_steps_print(FILE *out, const struct vr_server_init_options *options,
                         const struct vr_server_restored *restored, const char *parameters);

/* Where replica `other` keeps its data if replica `own` keeps it in `directory`: the same, but
 * where the last thing in that name is the number `own` it is the other's. Cut if it does not fit.
 */
void restore_steps_directory(char *text, size_t size, const char *directory, uint32_t own,
                             uint32_t other);

/* `text` as one word of a shell. Cut if it does not fit. */
void restore_steps_quote(char *quoted, size_t size, const char *text);

#endif
