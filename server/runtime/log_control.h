/* SPDX-License-Identifier: Apache-2.0 */
/* log_control.h - how much a running replica logs, as whoever administers it asks (M7).
 *
 * Nothing proves yet who sends a datagram, so a change is taken from this machine only, or from
 * anywhere where the server was told that its network is trusted.
 *
 * Threads: safe anywhere. */
#ifndef VR_RUNTIME_LOG_CONTROL_H
#define VR_RUNTIME_LOG_CONTROL_H

#include "common/base/log_level.h"
#include "common/base/message.h"

/* Changes the levels to `wanted` ("": nothing) if that is permitted, and logs who asked. `now` is
 * what holds afterwards. */
enum log_level_outcome log_control(const char *wanted, const struct net_address *asker,
                                   bool permitted, char now[LOG_LEVELS_TEXT_MAX]);

#endif
