/* SPDX-License-Identifier: Apache-2.0 */
/* digest.h - digests of sets: the sum, mod 2^128, of the checksums of the members.
 *
 * A sum does not depend on order, and a member is added, taken out or changed in constant time, so
 * the digest of a large state is kept up to date instead of computed (I8, K4). It tells replicas
 * that differ by accident apart; it is no defence against somebody who may choose the members. */
#ifndef VR_BASE_DIGEST_H
#define VR_BASE_DIGEST_H

#include "common/base/types.h"

static inline struct checksum digest_add(struct checksum sum, struct checksum member)
{
    const uint64_t low = sum.low + member.low;
    const uint64_t carry = low < sum.low ? 1 : 0;
    return (struct checksum){low, sum.high + member.high + carry};
}

static inline struct checksum digest_subtract(struct checksum sum, struct checksum member)
{
    const uint64_t borrow = sum.low < member.low ? 1 : 0;
    return (struct checksum){sum.low - member.low, sum.high - member.high - borrow};
}

#endif
