/* SPDX-License-Identifier: Apache-2.0 */
/* service.h - the machine around a daemon: who supervises it, and which boot this is.
 *
 * Threads: safe anywhere. */
#ifndef VR_OS_SERVICE_H
#define VR_OS_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SERVICE_BOOT_ID_SIZE = 16 };

/* True if the environment names a supervisor to be told. */
bool service_is_supervised(void);

/* Tells the supervisor named by NOTIFY_SOCKET (systemd's protocol: "READY=1", "STOPPING=1",
 * "STATUS=..."); does nothing where there is none. A supervisor that cannot be told, or only by
 * waiting for it, is no reason not to serve; that is also why this is not libsystemd's sd_notify(),
 * which waits. */
void service_notify(const char *state);

/* The kernel's id of this boot (D2). False where there is none to read. */
bool service_boot_id(uint8_t boot_id[SERVICE_BOOT_ID_SIZE]);

#endif
