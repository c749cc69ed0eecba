/* SPDX-License-Identifier: Apache-2.0 */
/* configuration.h - who is in the group, and what must be the same everywhere (E0, E2).
 *
 * A configuration is data: no code knows a number of replicas or an address. It is made by
 * `vr-server init`, kept in the state file, and its hash rides in every replica message. */
#ifndef VR_BASE_CONFIGURATION_H
#define VR_BASE_CONFIGURATION_H

#include "common/base/limits.h"
#include "common/base/types.h"

enum member_role {
    MEMBER_ACTIVE = 1,
    MEMBER_WITNESS = 2, /* counts in quorums, never primary (V5) */
};

#define REPLICA_NONE UINT32_MAX /* a sender that is no replica: a client */

struct member {
    uint32_t replica_id; /* given once, never reused; the sender in every header */
    enum member_role role;
    char host[HOST_SIZE_MAX]; /* numeric address or name, NUL-terminated */
    uint16_t port;            /* clients */
    uint16_t peer_port;       /* replicas */
};

struct configuration {
    uint64_t cluster_id; /* random, never 0 */
    uint32_t epoch;      /* EPOCH_FIRST after init */
    uint32_t member_count;
    struct member members[REPLICAS_MAX]; /* in configuration order; unused ones are zero */
    struct cluster_parameters parameters;
    struct checksum
        origin; /* root of the backup that every member begins with; zero: with nothing */
};

/* Why a configuration is refused, in words, or NULL if it is valid. */
const char *configuration_reject(const struct configuration *configuration);

/* Whether the group was made from a backup. */
bool configuration_has_origin(const struct configuration *configuration);

/* n / 2 + 1; also for even n. */
uint32_t configuration_quorum(const struct configuration *configuration);

/* f: how many may fail, (n - 1) / 2. */
uint32_t configuration_faults_max(const struct configuration *configuration);

/* Index of a member by replica_id, or REPLICAS_MAX if it is none. */
uint32_t configuration_index(const struct configuration *configuration, uint32_t replica_id);

/* V5: index of the primary of `view_number`, round robin over the actives. */
uint32_t configuration_primary(const struct configuration *configuration, uint64_t view_number);

/* The one byte form: little-endian, versioned. Returns its size; `bytes` has
 * CONFIGURATION_ENCODED_MAX room. */
enum {
    MEMBER_ENCODED_MAX = 4 + 1 + 2 + HOST_SIZE_MAX + 2 + 2,
    CONFIGURATION_ENCODED_MAX = 2 + 8 + 4 + 4 + REPLICAS_MAX * MEMBER_ENCODED_MAX + 24 + 16,
};
size_t configuration_encode(const struct configuration *configuration, uint8_t *bytes);

/* Returns false, with *configuration undefined, unless `bytes` hold exactly one valid form. */
bool configuration_decode(const uint8_t *bytes, size_t size, struct configuration *configuration);

/* XXH3-64 of the byte form: rides in every replica message (E0). */
uint64_t configuration_hash(const struct configuration *configuration);

#endif
