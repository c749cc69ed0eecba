/* SPDX-License-Identifier: Apache-2.0 */
/* error_id.h - every warning and error that a server logs or ends with has an id, which stays the
 * same when its words change. docs/errors.md explains each: what it means, why it matters, what to
 * do. Ids are never used again for something else. */
#ifndef VR_BASE_ERROR_ID_H
#define VR_BASE_ERROR_ID_H

#include "common/base/log_level.h"

enum error_id {
    ERROR_NONE,
    /* VR10..: what a person wrote cannot be */
    ERROR_SETTING,
    ERROR_SETTINGS_TOGETHER,
    ERROR_FILE_SYSTEM,
    ERROR_CONFIGURATION,
    ERROR_ADDRESS,
    ERROR_ADDRESS_UNKNOWN,
    ERROR_ADDRESS_FAMILY,
    ERROR_INSECURE,
    ERROR_REPLICA_EXISTS,
    ERROR_OTHER_CLUSTER,
    ERROR_REBUILD_ALONE,
    ERROR_VARIABLE_UNKNOWN,
    /* VR11..: the process */
    ERROR_MEMORY,
    ERROR_THREADS,
    ERROR_SIGNALS,
    ERROR_INVARIANT,
    ERROR_LOG_LINES_LOST,
    ERROR_STALLED,
    /* VR12..: the data directory */
    ERROR_DIRECTORY_MISSING,
    ERROR_DIRECTORY_IN_USE,
    ERROR_DIRECTORY_EXISTS,
    ERROR_STATE_NEWER,
    ERROR_STATE_FOREIGN,
    ERROR_STATE_DAMAGED,
    ERROR_DIRECTORY_UNUSABLE,
    ERROR_STATE_UNWRITABLE,
    ERROR_STOPPED_UNWRITABLE,
    ERROR_ONLY_COPY_GONE,
    ERROR_LOG_UNWRITABLE,
    ERROR_LOG_DAMAGED,
    ERROR_LOG_TORN,
    ERROR_LOG_VOID,
    ERROR_LOG_ROOM,
    ERROR_LOG_DISK_FULL,
    ERROR_LOG_LOST,
    ERROR_CHECKPOINT_UNWRITABLE,
    ERROR_CHECKPOINT_DAMAGED,
    ERROR_CHECKPOINT_STOPPED,
    ERROR_BACKUP_UNREADABLE,
    ERROR_BACKUP_UNUSABLE,
    ERROR_LOG_UNREADABLE,
    ERROR_STATE_UNREADABLE,
    /* VR13..: the network */
    ERROR_BIND,
    ERROR_FOREIGN_CLUSTER,
    /* VR14..: the group */
    ERROR_REPLICA_SILENT,
    ERROR_NO_QUORUM,
    ERROR_REPLICA_REFUSED,
    ERROR_REFUSED_BY_REPLICA,
    ERROR_GROUP_LOST,
    ERROR_DIVERGED,
    /* VR15..: execution */
    ERROR_LOG_FULL,
    /* VR16..: people */
    ERROR_NOT_PERMITTED,
    ERROR_COUNT,
};

struct error_entry {
    const char *id; /* "VR1301" */
    enum log_subsystem subsystem;
    enum log_level level; /* error or warning */
    const char *title;    /* as docs/errors.md has it */
};

enum { ERROR_ID_MAX = 8 }; /* an id with its NUL */

/* `id` is none of ERROR_NONE and ERROR_COUNT. */
const struct error_entry *error_entry(enum error_id id);

/* The one of that name; ERROR_NONE: there is none. */
enum error_id error_find(const char *id);

#endif
