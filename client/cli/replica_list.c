/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/replica_list.h"

#include <inttypes.h>
#include <stdio.h>

uint32_t replica_count(uint32_t mask)
{
    uint32_t count = 0;
    for (; mask != 0; mask &= mask - 1) {
        count++;
    }
    return count;
}

const char *replica_list(const struct configuration *configuration, uint32_t mask,
                         char text[REPLICA_LIST_MAX])
{
    uint32_t left = replica_count(mask);
    size_t used = (size_t)snprintf(text, REPLICA_LIST_MAX, "replica%s", left == 1 ? "" : "s");
    const char *separator = " ";
    for (uint32_t i = 0; i < configuration->member_count && used < REPLICA_LIST_MAX; i++) {
        if ((mask & UINT32_C(1) << i) != 0) {
            used += (size_t)snprintf(text + used, REPLICA_LIST_MAX - used, "%s%" PRIu32, separator,
                                     configuration->members[i].replica_id);
            left--;
            separator = left == 1 ? " and " : ", ";
        }
    }
    return text;
}
