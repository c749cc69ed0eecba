/* SPDX-License-Identifier: Apache-2.0 */
#include "server/runtime/server_error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

enum vr_server_exit server_error_set(struct vr_server_error *error, enum vr_server_exit exit_code,
                                     const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(error->text, sizeof error->text, format, arguments);
    va_end(arguments);
    return exit_code;
}

enum vr_server_exit server_error_storage_exit(int status)
{
    switch (status) {
    case -ENOENT: /* not initialised */
    case -EEXIST: /* initialised already */
    case -ENOTDIR:
    case -ENAMETOOLONG:
    case -EWOULDBLOCK: /* in use by another process */
    case -ENOTSUP:     /* a mode that this version has not */
    case -EPROTO:      /* a newer format */
        return VR_SERVER_CONFIGURATION;
    default:
        return VR_SERVER_IO;
    }
}
