/* SPDX-License-Identifier: Apache-2.0 */
/* types.h - the small nouns that every folder shares. Plain data, compared and copied by value. */
#ifndef VR_BASE_TYPES_H
#define VR_BASE_TYPES_H

#include "common/base/public.h"

static inline bool checksum_equal(struct checksum a, struct checksum b)
{
    return a.low == b.low && a.high == b.high;
}

/* A client's random name, new for every start of its process (C1). Zero is nobody. */
struct client_id {
    uint64_t low;
    uint64_t high;
};

static inline bool client_id_equal(struct client_id a, struct client_id b)
{
    return a.low == b.low && a.high == b.high;
}

static inline bool net_address_equal(const struct net_address *a, const struct net_address *b)
{
    const unsigned char *x = a->ip;
    const unsigned char *y = b->ip;
    unsigned difference = 0;
    for (size_t i = 0; i < sizeof a->ip; i++) {
        difference |= (unsigned)(x[i] ^ y[i]);
    }
    return difference == 0 && a->port == b->port && a->scope_id == b->scope_id;
}

static inline bool net_address_known(const struct net_address *a)
{
    return a->port != 0;
}

/* view_number: the epoch in the upper 24 bits, the view within it in the lower 40 (E1), so that no
 * handler can compare views without their epoch. */
#define VIEW_NONE UINT64_C(0) /* below every view; last_normal_view of a new replica (P1) */
#define VIEW_BITS 40
#define EPOCH_FIRST 1u

static inline uint64_t view_make(uint32_t epoch, uint64_t view)
{
    return ((uint64_t)epoch << VIEW_BITS) | view;
}

static inline uint32_t view_epoch(uint64_t view_number)
{
    return (uint32_t)(view_number >> VIEW_BITS);
}

static inline uint64_t view_within_epoch(uint64_t view_number)
{
    return view_number & ((UINT64_C(1) << VIEW_BITS) - 1);
}

/* VRR's statuses and RECONFIGURATION's fourth, which nothing enters yet. */
enum vr_status {
    STATUS_NORMAL = 1,
    STATUS_VIEW_CHANGE = 2,
    STATUS_RECOVERING = 3,
    STATUS_TRANSITIONING = 4,
};

const char *vr_status_name(enum vr_status status);

const char *durability_name(enum durability durability);

const char *reads_mode_name(enum reads_mode mode);

#endif
