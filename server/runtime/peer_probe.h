/* SPDX-License-Identifier: Apache-2.0 */
/* peer_probe.h - what the other members say of themselves, asked before this replica runs.
 *
 * Who has no address, does not answer in time, or whom nobody can reach is passed over: what that
 * means is for the caller to say.
 *
 * Threads:  any; blocks for wait_ms at most, or until all have answered.
 * Memory:   reserved for the call. */
#ifndef VR_RUNTIME_PEER_PROBE_H
#define VR_RUNTIME_PEER_PROBE_H

#include "common/base/configuration.h"
#include "common/base/message.h"
#include "common/base/public.h"
#include "server/runtime/server.h"

/* One member's answer: its MESSAGE_STATUS, or MESSAGE_REFUSED, valid during the call. Anything but
 * VR_SERVER_OK, with its *error, ends the asking and is returned. */
typedef enum vr_server_exit (*peer_probe_judge)(void *context, const struct net_address *address,
                                                const struct message *message,
                                                struct vr_server_error *error);

/* Asks all but member `self`. */
enum vr_server_exit peer_probe(const struct configuration *configuration, uint32_t self,
                               uint32_t wait_ms, peer_probe_judge judge, void *context,
                               struct vr_server_error *error);

#endif
