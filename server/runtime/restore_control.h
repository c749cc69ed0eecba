/* SPDX-License-Identifier: Apache-2.0 */
/* restore_control.h - whose word to take over a log this replica obeys (D9).
 *
 * Nothing proves yet who sends a datagram, so it is taken from this machine only, or from anywhere
 * where the server was told that its network is trusted; as with log levels (log_control.h).
 *
 * Threads: safe anywhere. */
#ifndef VR_RUNTIME_RESTORE_CONTROL_H
#define VR_RUNTIME_RESTORE_CONTROL_H

#include <stdbool.h>

#include "common/base/types.h"

/* Returns `permitted`, having logged who asked: at most once a minute each way, as requests are
 * repeated. */
bool restore_control(const struct net_address *asker, bool permitted);

#endif
