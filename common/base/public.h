/* SPDX-License-Identifier: Apache-2.0 */
/* public.h - the nouns of common/base that programs outside of this tree share with it, for C and
 * C++. Installed as vr/types.h, below vr/app.h and vr/server.h; so it includes nothing of ours. */
#ifndef VR_BASE_PUBLIC_H
#define VR_BASE_PUBLIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A 128-bit XXH3 digest: of an entry and everything before it (entry.h), of state, of bytes. */
struct checksum {
    uint64_t low;
    uint64_t high;
};

/* Where a datagram comes from or goes to. Opaque to pure code, which keeps and compares it; IPv4 is
 * held as an IPv4-mapped IPv6 address, so one form names one place. All zero is "unknown". */
struct net_address {
    uint8_t ip[16];    /* network byte order */
    uint16_t port;     /* host byte order; 0 in an unknown address */
    uint16_t local;    /* which own address it came to, for the answer to leave from; 0 any; the
                          socket's own numbering, not compared */
    uint32_t scope_id; /* of a link-local IPv6 address, else 0 */
};

/* How much of the log is on disk before it counts (section 7). */
enum durability {
    DURABILITY_MEMORY = 1, /* D3 */
    DURABILITY_ASYNC = 2,  /* D2 */
    DURABILITY_SYNC = 3,   /* D1 */
};

/* How an acting primary answers reads (section 5). */
enum reads_mode {
    READS_LOG = 1,    /* R1: through the log, as writes */
    READS_QUORUM = 2, /* R2: once a quorum confirmed that it is primary still */
    READS_LEASE = 3,  /* R3: at once, while a quorum promised to elect nobody else */
};

/* E0: written by init, never a flag of one server. */
struct cluster_parameters {
    uint32_t sessions_max;        /* sessions, then the one idle longest is evicted (C4) */
    uint32_t operation_size_max;  /* bytes of one operation */
    uint32_t reply_stored_max;    /* bytes of a result that the client table keeps (C3) */
    uint32_t checkpoint_interval; /* ops from one checkpoint to the next (K1) */
    uint64_t state_size_max;      /* bytes of the application's state, as it accounts for them */
};

struct cluster_parameters cluster_parameters_default(void);

#ifdef __cplusplus
}
#endif

#endif
