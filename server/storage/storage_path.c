/* SPDX-License-Identifier: Apache-2.0 */
#include "server/storage/storage_path.h"

#include <errno.h>
#include <stdio.h>

int storage_path(char path[STORAGE_PATH_MAX], const char *directory, const char *name,
                 struct storage_error *error)
{
    const int size = snprintf(path, STORAGE_PATH_MAX, "%s/%s", directory, name);
    if (size < 0 || size >= STORAGE_PATH_MAX) {
        return storage_error_set(error, -ENAMETOOLONG,
                                 "the name of the data directory is longer than %d bytes",
                                 STORAGE_PATH_MAX - 32);
    }
    return 0;
}
