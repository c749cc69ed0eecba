/* SPDX-License-Identifier: Apache-2.0 */
/* server_rebuild.h - a replica that has diverged does not start, but to be rebuilt (K4, N7).
 *
 * Threads: one, at start. Waits up to three seconds for the other members where --rebuild is given.
 */
#ifndef VR_RUNTIME_SERVER_REBUILD_H
#define VR_RUNTIME_SERVER_REBUILD_H

#include "server/runtime/server.h"
#include "server/storage/state_file.h"

/* Refuses a state that says `diverged`, unless options->rebuild. With that it forgets log and
 * checkpoints, in `*state` and on the disk, once enough of the others say that they are normal;
 * else it refuses and changes nothing. */
enum vr_server_exit server_rebuild(struct state_file *file, struct durable_state *state,
                                   const struct vr_server_options *options,
                                   struct vr_server_error *error);

#endif
