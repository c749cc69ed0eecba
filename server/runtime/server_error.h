/* SPDX-License-Identifier: Apache-2.0 */
/* server_error.h - how the server's calls say what went wrong. */
#ifndef VR_RUNTIME_SERVER_ERROR_H
#define VR_RUNTIME_SERVER_ERROR_H

#include "common/base/error_id.h"
#include "server/runtime/server.h"
#include "server/storage/storage_error.h"

/* Sets id and text; returns `exit_code`, so that a caller can say it and return it in one line. */
enum vr_server_exit server_error_set(struct vr_server_error *error, enum vr_server_exit exit_code,
                                     enum error_id id, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Of storage: what its negative errno means for the process, and which error that is. */
enum vr_server_exit server_error_storage(struct vr_server_error *error, int status,
                                         const struct storage_error *why);

#endif
