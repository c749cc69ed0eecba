/* SPDX-License-Identifier: Apache-2.0 */
/* trace.h - the command "trace": the messages of all replicas as one stream. */
#ifndef VR_CLI_TRACE_H
#define VR_CLI_TRACE_H

#include "client/cli/commands.h"

int trace_run(struct shell *shell, const struct words *words);

#endif
