/* SPDX-License-Identifier: Apache-2.0 */
#include "server/runtime/server_error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

enum vr_server_exit server_error_set(struct vr_server_error *error, enum vr_server_exit exit_code,
                                     enum error_id id, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(error->text, sizeof error->text, format, arguments);
    va_end(arguments);
    error->id = id != ERROR_NONE ? error_entry(id)->id : NULL;
    return exit_code;
}

static enum error_id storage_id(int status)
{
    switch (status) {
    case -ENOENT: /* not initialised */
    case -ENOTDIR:
        return ERROR_DIRECTORY_MISSING;
    case -EEXIST: /* initialised already */
        return ERROR_DIRECTORY_EXISTS;
    case -EWOULDBLOCK: /* in use by another process */
        return ERROR_DIRECTORY_IN_USE;
    case -ENOTSUP: /* by the file system */
        return ERROR_FILE_SYSTEM;
    case -EPROTO: /* a newer format */
        return ERROR_STATE_NEWER;
    case -EINVAL:
        return ERROR_STATE_FOREIGN;
    case -EBADMSG:
        return ERROR_STATE_DAMAGED;
    default:
        return ERROR_DIRECTORY_UNUSABLE;
    }
}

static enum vr_server_exit storage_exit(int status)
{
    switch (status) {
    case -ENOENT:
    case -ENOTDIR:
    case -EEXIST:
    case -ENAMETOOLONG:
    case -EWOULDBLOCK:
    case -ENOTSUP:
    case -EPROTO:
        return VR_SERVER_CONFIGURATION;
    default:
        return VR_SERVER_IO;
    }
}

enum vr_server_exit server_error_storage(struct vr_server_error *error, int status,
                                         const struct storage_error *why)
{
    return server_error_set(error, storage_exit(status), storage_id(status), "%s", why->text);
}
