/* SPDX-License-Identifier: Apache-2.0 */
#include "server/vr/quorum.h"

#include "common/base/invariant.h"

uint64_t quorum_nth_largest(const uint64_t *values, uint32_t count, uint32_t rank)
{
    INVARIANT(rank >= 1);
    INVARIANT(rank <= count);
    INVARIANT(count <= REPLICAS_MAX);
    uint64_t sorted[REPLICAS_MAX];
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = i;
        while (at > 0 && sorted[at - 1] < values[i]) {
            sorted[at] = sorted[at - 1];
            at--;
        }
        sorted[at] = values[i];
    }
    return sorted[rank - 1];
}
