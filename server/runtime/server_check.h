/* SPDX-License-Identifier: Apache-2.0 */
/* server_check.h - what must be right before a replica starts: options that fit together, and
 * addresses that can be found.
 *
 * Threads: one, at start; looking names up may take a while (TH-6). */
#ifndef VR_RUNTIME_SERVER_CHECK_H
#define VR_RUNTIME_SERVER_CHECK_H

#include "server/runtime/inbox.h"
#include "server/runtime/server.h"

/* Fills in what was left to the server (0: see struct vr_server_options). */
void server_options_complete(struct vr_server_options *options);

/* Of complete options: whether they fit together. */
enum vr_server_exit server_options_check(const struct vr_server_options *options,
                                         struct vr_server_error *error);

struct server_addresses {
    struct net_address own[LANE_COUNT]; /* to bind, for peers and for clients */
    struct net_address peers[REPLICAS_MAX];
};

/* Looks everybody up, once (TH-6), and refuses addresses that this replica must not or cannot use.
 */
enum vr_server_exit server_addresses_find(const struct vr_server_options *options,
                                          const struct configuration *configuration, uint32_t self,
                                          struct server_addresses *addresses,
                                          struct vr_server_error *error);

#endif
