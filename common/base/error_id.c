/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/error_id.h"

#include <string.h>

#include "common/base/invariant.h"

#define E LOG_LEVEL_ERROR
#define W LOG_LEVEL_WARNING
static const struct error_entry entries[ERROR_COUNT] = {
    [ERROR_SETTING] = {"VR1001", LOG_RUNTIME, E, "an option is wrong"},
    [ERROR_SETTINGS_TOGETHER] = {"VR1002", LOG_RUNTIME, E, "options do not fit together"},
    [ERROR_FILE_SYSTEM] = {"VR1003", LOG_RUNTIME, E,
                           "the file system lacks what a data directory needs"},
    [ERROR_CONFIGURATION] = {"VR1004", LOG_RUNTIME, E, "such a cluster cannot be"},
    [ERROR_ADDRESS] = {"VR1005", LOG_RUNTIME, E, "an address is malformed"},
    [ERROR_ADDRESS_UNKNOWN] = {"VR1006", LOG_RUNTIME, E, "a name cannot be resolved"},
    [ERROR_ADDRESS_FAMILY] = {"VR1007", LOG_RUNTIME, E, "addresses of two versions of IP"},
    [ERROR_INSECURE] = {"VR1008", LOG_RUNTIME, E, "anybody could reach this replica"},
    [ERROR_REPLICA_EXISTS] = {"VR1009", LOG_RUNTIME, E, "the group knows this replica already"},
    [ERROR_OTHER_CLUSTER] = {"VR1010", LOG_RUNTIME, E, "another cluster uses that address"},
    [ERROR_REBUILD_ALONE] = {"VR1011", LOG_RUNTIME, E, "there is nobody to rebuild from"},
    [ERROR_VARIABLE_UNKNOWN] = {"VR1012", LOG_RUNTIME, W, "a variable is no option"},

    [ERROR_MEMORY] = {"VR1101", LOG_RUNTIME, E, "there is no memory left"},
    [ERROR_THREADS] = {"VR1102", LOG_RUNTIME, E, "threads cannot be started"},
    [ERROR_SIGNALS] = {"VR1103", LOG_RUNTIME, E, "signals cannot be waited for"},
    [ERROR_INVARIANT] = {"VR1104", LOG_RUNTIME, E, "an invariant is broken"},
    [ERROR_LOG_LINES_LOST] = {"VR1105", LOG_RUNTIME, W, "log lines were lost"},
    [ERROR_STALLED] = {"VR1106", LOG_RUNTIME, W, "the replica did not run for a while"},

    [ERROR_DIRECTORY_MISSING] = {"VR1201", LOG_STORAGE, E, "there is no such data directory"},
    [ERROR_DIRECTORY_IN_USE] = {"VR1202", LOG_STORAGE, E, "the data directory is in use"},
    [ERROR_DIRECTORY_EXISTS] = {"VR1203", LOG_STORAGE, E, "the data directory exists already"},
    [ERROR_STATE_NEWER] = {"VR1204", LOG_STORAGE, E, "the state file is of a newer version"},
    [ERROR_STATE_FOREIGN] = {"VR1205", LOG_STORAGE, E, "the state file is none of vr-server's"},
    [ERROR_STATE_DAMAGED] = {"VR1206", LOG_STORAGE, E, "the state file is damaged"},
    [ERROR_DIRECTORY_UNUSABLE] = {"VR1207", LOG_STORAGE, E, "the data directory cannot be used"},
    [ERROR_STATE_UNWRITABLE] = {"VR1208", LOG_STORAGE, E, "the state file cannot be written"},
    [ERROR_STOPPED_UNWRITABLE] = {"VR1209", LOG_STORAGE, E,
                                  "stopped, because the disk cannot be written"},
    [ERROR_ONLY_COPY_GONE] = {"VR1210", LOG_STORAGE, W, "the only copy of the log is gone"},
    [ERROR_LOG_UNWRITABLE] = {"VR1211", LOG_STORAGE, E, "the log cannot be written"},
    [ERROR_LOG_DAMAGED] = {"VR1212", LOG_STORAGE, W, "the log is damaged"},
    [ERROR_LOG_TORN] = {"VR1213", LOG_STORAGE, W, "the end of the log was torn"},
    [ERROR_LOG_VOID] = {"VR1214", LOG_STORAGE, W, "the log may lack what was acknowledged"},
    [ERROR_LOG_ROOM] = {"VR1215", LOG_STORAGE, W, "the disk has no room for more of the log"},
    [ERROR_LOG_DISK_FULL] = {"VR1216", LOG_STORAGE, E, "stopped, for the log has no more room"},
    [ERROR_LOG_LOST] = {"VR1217", LOG_STORAGE, E, "the only log of the group is damaged"},
    [ERROR_CHECKPOINT_UNWRITABLE] = {"VR1218", LOG_STORAGE, W, "a checkpoint cannot be written"},
    [ERROR_CHECKPOINT_DAMAGED] = {"VR1219", LOG_STORAGE, W, "a checkpoint is damaged"},
    [ERROR_CHECKPOINT_STOPPED] = {"VR1220", LOG_STORAGE, E, "a checkpoint cannot be used"},
    [ERROR_BACKUP_UNREADABLE] = {"VR1221", LOG_STORAGE, E, "a backup cannot be read"},
    [ERROR_BACKUP_UNUSABLE] = {"VR1222", LOG_STORAGE, E, "a backup does not fit"},
    [ERROR_LOG_UNREADABLE] = {"VR1223", LOG_STORAGE, W, "parts of the log cannot be read"},
    [ERROR_STATE_UNREADABLE] = {"VR1224", LOG_STORAGE, W,
                                "copies of the state file cannot be read"},

    [ERROR_BIND] = {"VR1301", LOG_NETWORK, E, "an address cannot be bound"},
    [ERROR_FOREIGN_CLUSTER] = {"VR1302", LOG_NETWORK, W, "datagrams of another cluster arrive"},

    [ERROR_REPLICA_SILENT] = {"VR1401", LOG_PROTOCOL, W, "a replica is silent"},
    [ERROR_NO_QUORUM] = {"VR1402", LOG_PROTOCOL, W, "the primary hears from no quorum"},
    [ERROR_REPLICA_REFUSED] = {"VR1403", LOG_PROTOCOL, W, "a replica is refused"},
    [ERROR_REFUSED_BY_REPLICA] = {"VR1404", LOG_PROTOCOL, W, "a replica refuses this one"},
    [ERROR_GROUP_LOST] = {"VR1405", LOG_PROTOCOL, E, "too many replicas have lost their memory"},
    [ERROR_DIVERGED] = {"VR1406", LOG_PROTOCOL, E, "the replica has diverged"},

    [ERROR_LOG_FULL] = {"VR1501", LOG_EXECUTION, E, "the log in memory is full"},

    [ERROR_NOT_PERMITTED] = {"VR1601", LOG_ADMIN, W, "a request from elsewhere was refused"},
};
#undef E
#undef W

const struct error_entry *error_entry(enum error_id id)
{
    INVARIANT(id > ERROR_NONE);
    INVARIANT(id < ERROR_COUNT);
    return &entries[id];
}

enum error_id error_find(const char *id)
{
    const size_t size = strlen(id) + 1;
    for (int i = ERROR_NONE + 1; i < ERROR_COUNT; i++) {
        if (strlen(entries[i].id) + 1 == size && memcmp(entries[i].id, id, size) == 0) {
            return (enum error_id)i;
        }
    }
    return ERROR_NONE;
}
