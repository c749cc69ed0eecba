/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/types.h"

const char *vr_status_name(enum vr_status status)
{
    switch (status) {
    case STATUS_NORMAL:
        return "normal";
    case STATUS_VIEW_CHANGE:
        return "view change";
    case STATUS_RECOVERING:
        return "recovering";
    case STATUS_TRANSITIONING:
        return "transitioning";
    }
    return "?";
}

const char *reads_mode_name(enum reads_mode mode)
{
    switch (mode) {
    case READS_LOG:
        return "log";
    case READS_QUORUM:
        return "quorum";
    case READS_LEASE:
        return "lease";
    }
    return "?";
}

const char *durability_name(enum durability durability)
{
    switch (durability) {
    case DURABILITY_MEMORY:
        return "memory";
    case DURABILITY_ASYNC:
        return "async";
    case DURABILITY_SYNC:
        return "sync";
    }
    return "?";
}
