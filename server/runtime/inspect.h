/* SPDX-License-Identifier: Apache-2.0 */
/* inspect.h - what is in a data directory, for people: `vr-server inspect`. Reads, and changes
 * nothing; no server may run from the directory meanwhile. */
#ifndef VR_RUNTIME_INSPECT_H
#define VR_RUNTIME_INSPECT_H

#include <stdio.h>

#include "server/runtime/server.h"

/* Prints the state file, each checkpoint and what is wrong with it, the log's segments, which
 * entries there are and the first damage found; as one JSON object on request. VR_SERVER_IO, with a
 * text, if log or checkpoints are damaged: what was found is printed all the same. */
enum vr_server_exit vr_server_inspect(const char *data_directory, bool json, FILE *out,
                                      struct vr_server_error *error);

#endif
