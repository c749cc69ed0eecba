/* SPDX-License-Identifier: Apache-2.0 */
/* storage_path.h - names of files within a data directory. */
#ifndef VR_STORAGE_PATH_H
#define VR_STORAGE_PATH_H

#include "server/storage/storage_error.h"

enum { STORAGE_PATH_MAX = 4096 };

/* "directory/name". Returns 0, or -ENAMETOOLONG and a text. */
int storage_path(char path[STORAGE_PATH_MAX], const char *directory, const char *name,
                 struct storage_error *error);

#endif
