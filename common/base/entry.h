/* SPDX-License-Identifier: Apache-2.0 */
/* entry.h - a log entry has one byte form, made once by the primary (PROTOCOL section 0).
 *
 * A fixed little-endian header of ENTRY_HEADER_SIZE bytes, then the body:
 *
 *    0  op_number       u64   position in the log; the first is 1
 *    8  view_number     u64   the view that first proposed it; never restamped
 *   16  timestamp       u64   nanoseconds since 1970; the primary's clock, rising (N3)
 *   24  client_id       128   who asked (C1)
 *   40  session         u64   0 in a Register
 *   48  request_number  u64   0 in a Register and an Unregister
 *   56  kind            u8    enum entry_kind
 *   57  zero            3
 *   60  length          u32   bytes of body that follow
 *
 * Wire, log and catch-up carry exactly these bytes. Entries are hash-chained: an entry's checksum
 * covers its parent's, so equal checksums at op n mean equal logs up to n. */
#ifndef VR_BASE_ENTRY_H
#define VR_BASE_ENTRY_H

#include "common/base/limits.h"
#include "common/base/types.h"

enum entry_kind {
    ENTRY_OPERATION = 1,  /* body: an operation, opaque to the protocol */
    ENTRY_REGISTER = 2,   /* opens the session whose number is this op (C1); no body */
    ENTRY_UNREGISTER = 3, /* closes it; no body */
};

struct entry {
    uint64_t op_number;
    uint64_t view_number;
    uint64_t timestamp;
    struct client_id client_id;
    uint64_t session;
    uint64_t request_number;
    enum entry_kind kind;
    uint32_t body_size;
    const uint8_t *body; /* borrowed: points behind the header */
};

/* Writes header and body; `bytes` has ENTRY_HEADER_SIZE + body_size room. Returns the size. */
size_t entry_encode(const struct entry *entry, uint8_t *bytes);

/* Reads the entry that starts at `bytes`; `entry->body` then points into them. Returns its size, or
 * 0 if no valid entry starts there (short, too long, unknown kind, padding not zero, a field that
 * its kind forbids). */
size_t entry_decode(const uint8_t *bytes, size_t available, struct entry *entry);

/* The chain starts from the cluster id, so entries of another cluster never fit. */
struct checksum entry_chain_start(uint64_t cluster_id);

/* The checksum of an entry: XXH3-128 over its parent's checksum and its bytes, seeded from the
 * cluster id. */
struct checksum entry_checksum(uint64_t cluster_id, struct checksum parent, const uint8_t *bytes,
                               size_t size);

/* Names a payload: a repeated request must carry the same one (C3). */
uint64_t operation_checksum(enum entry_kind kind, const uint8_t *operation, size_t size);

#endif
