/* SPDX-License-Identifier: Apache-2.0 */
#include "server/storage/storage_error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int storage_error_set(struct storage_error *error, int status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(error->text, sizeof error->text, format, arguments); /* cut if too long */
    va_end(arguments);
    return status;
}

static const char *advice(int status)
{
    switch (-status) {
    case ENOSPC:
    case EDQUOT:
        return "; free some space there";
    case EACCES:
    case EPERM:
    case EROFS:
        return "; the replica needs to own its data directory and to be able to write in it";
    case EIO:
        return "; the disk is failing: look at the kernel's log before trusting it again";
    default:
        return "";
    }
}

int storage_error_system(struct storage_error *error, int status, const char *verb,
                         const char *path)
{
    return storage_error_set(error, status, "cannot %s %s: %s%s", verb, path, strerror(-status),
                             advice(status));
}
