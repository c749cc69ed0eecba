/* SPDX-License-Identifier: Apache-2.0 */
/* supervisor.h - what the supervisor of this process, systemd say, is told while a replica serves:
 * that it is ready, what it does in one line for `systemctl status`, and that it stops.
 *
 * No watchdog: in mode memory a replica that is killed forgets, and a machine that is slow enough
 * to miss a watchdog's time is often slow for several replicas.
 *
 * Threads: the main one. It looks at what the core published, so nothing waits for a supervisor. */
#ifndef VR_RUNTIME_SUPERVISOR_H
#define VR_RUNTIME_SUPERVISOR_H

#include "common/os/stop_signal.h"
#include "server/runtime/health.h"

enum {
    SUPERVISOR_TEXT_MAX = HEALTH_NOTE_MAX + 128,
    SUPERVISOR_STEP_MS = 250, /* how often a supervised replica looks for news to tell */
};

/* "STATUS=primary of view 3", and what a person should know besides. Returns `text`. */
const char *supervisor_text(const struct health *health, const struct health_published *published,
                            char text[SUPERVISOR_TEXT_MAX]);

/* Returns when the process should stop: the signal that said so, or 0 if we were told. */
int supervisor_serve(struct health *health, struct stop_signal *stop);

#endif
