/* SPDX-License-Identifier: Apache-2.0 */
/* trace_names.h - who is who in a trace, and since when times count. */
#ifndef VR_CLI_TRACE_NAMES_H
#define VR_CLI_TRACE_NAMES_H

#include <stdio.h>

#include "client/cli/trace_merge.h"

struct trace_names {
    uint32_t replica_ids[REPLICAS_MAX]; /* by member index */
    uint32_t replica_count;
    uint64_t begin_ns; /* own clock: time 0 of what is shown */
};

enum { TRACE_NAME_MAX = 32 };

/* "2" for a replica, "client 3f2a" for a client: by the low bits of its name. */
static inline const char *trace_name(const struct trace_names *names, const struct trace_line *line,
                                     uint32_t end, char text[TRACE_NAME_MAX])
{
    if (end == TRACE_CLIENT) {
        (void)snprintf(text, TRACE_NAME_MAX, "client %04x",
                       (unsigned)(line->event.client_id_low & 0xffff));
    } else {
        (void)snprintf(text, TRACE_NAME_MAX, "%u", (unsigned)names->replica_ids[end]);
    }
    return text;
}

#endif
