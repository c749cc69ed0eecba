/* SPDX-License-Identifier: Apache-2.0 */
/* quorum.h - what a quorum agrees on, over arrays indexed by member: one slot a replica, so that a
 * repeated message proves nothing (N5, V3, V4; PITFALLS NC-1, VC-3). */
#ifndef VR_QUORUM_H
#define VR_QUORUM_H

#include "common/base/limits.h"
#include "common/base/types.h"

/* The rank-th largest of values[0..count), rank from 1: with rank = quorum, the largest value that
 * a quorum has reached. 1 <= rank <= count <= REPLICAS_MAX (asserted). */
uint64_t quorum_nth_largest(const uint64_t *values, uint32_t count, uint32_t rank);

#endif
