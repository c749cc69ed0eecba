/* SPDX-License-Identifier: Apache-2.0 */
/* server_error.h - how the server's calls say what went wrong. */
#ifndef VR_RUNTIME_SERVER_ERROR_H
#define VR_RUNTIME_SERVER_ERROR_H

#include "server/runtime/server.h"

/* Sets the text; returns `exit_code`, so that a caller can say it and return it in one line. */
enum vr_server_exit server_error_set(struct vr_server_error *error, enum vr_server_exit exit_code,
                                     const char *format, ...) __attribute__((format(printf, 3, 4)));

/* What a negative errno of storage means for the process. */
enum vr_server_exit server_error_storage_exit(int status);

#endif
