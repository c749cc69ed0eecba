/* SPDX-License-Identifier: Apache-2.0 */
/* replica_list.h - "replica 2", "replicas 0, 1 and 4": a set of members in words.
 *
 * Pure. */
#ifndef VR_CLI_REPLICA_LIST_H
#define VR_CLI_REPLICA_LIST_H

#include "common/base/configuration.h"

enum { REPLICA_LIST_MAX = 160 };

/* `mask` has bit i for member i. Returns `text`. */
const char *replica_list(const struct configuration *configuration, uint32_t mask,
                         char text[REPLICA_LIST_MAX]);

/* How many members are in the set. */
uint32_t replica_count(uint32_t mask);

#endif
