/* SPDX-License-Identifier: Apache-2.0 */
/* wire.h - datagrams: a fixed header, then frames, each the protobuf form of one message (M1).
 *
 * Three parts, all pure, all deterministic, none of them allocating:
 *
 *     wire.h         what a datagram is, and opening one that arrived
 *     sender.h       messages out: coalesced by destination, split where they are too large
 *     reassembler.h  messages in parts, made whole again (M6)
 *
 * The header, little-endian, WIRE_HEADER_SIZE bytes:
 *
 *    0  magic              u32  WIRE_MAGIC
 *    4  version            u16  WIRE_VERSION
 *    6  flags              u16  WIRE_FLAG_*; others are 0
 *    8  cluster_id         u64  0: the sender does not know it yet (M7)
 *   16  sender             u32  replica_id, or REPLICA_NONE for a client
 *   20  key_id             u32  0 until datagrams are sealed (M4)
 *   24  incarnation        u64  the sender's boot counter; of a client, new for every start
 *   32  identity           u64  of the sender's data directory (D10); 0 from a client
 *   40  configuration_hash u64  of the sender's configuration (E0); 0 from a client
 *   48  token              u64  M3: handed out by a replica, echoed by a client; 0 none
 *   56  nonce              24   0 until datagrams are sealed (M4)
 *   80  checksum           128  XXH3-128 of the whole datagram with this field 0, low half first
 *
 * Every version keeps the fields up to cluster_id and the place of the checksum, so that a stranger
 * of another version or cluster can be told so: magic, checksum and version are checked in that
 * order.
 *
 * A frame, right behind the header or the frame before, WIRE_FRAME_HEADER_SIZE bytes, then its
 * body:
 *
 *    0  type    u16  enum message_type, or WIRE_FRAME_PADDING
 *    2  flags   u16  0
 *    4  length  u32  bytes of body that follow
 *
 * Padding frames are skipped: a client without a token pads, so that an answer never has more bytes
 * than the question (M3).
 *
 * What sealing will add (M4): key_id names a key (replica, admin or client), nonce is the sender's
 * counter under it, and the checksum's 16 bytes hold the Poly1305 tag of XChaCha20-Poly1305 over
 * the frames, with the header in front of it (tag as 0) as associated data. Offsets and sizes stay.
 *
 * Threads: none of this is shared; every thread has its own sender, arena and cursor. */
#ifndef VR_WIRE_H
#define VR_WIRE_H

#include "common/base/message.h"
#include "common/wire/arena.h"

#define WIRE_MAGIC UINT32_C(0x31525653) /* "SVR1" as bytes */

enum {
    WIRE_VERSION = 2,
    WIRE_HEADER_SIZE = 96,
    WIRE_FRAME_HEADER_SIZE = 8,
    WIRE_FRAME_PADDING = 0,
    WIRE_OVERHEAD = WIRE_HEADER_SIZE + WIRE_FRAME_HEADER_SIZE,

    /* The datagram says that another one was refused: it is never answered (M7), whatever its
     * version. Set by the sender on a datagram that holds a Refused. */
    WIRE_FLAG_ERROR = 1,

    WIRE_TOKEN_SECRET_SIZE = 16,
};

struct wire_header {
    uint16_t version;
    uint16_t flags;
    uint64_t cluster_id;
    uint32_t sender;
    uint32_t key_id;
    uint64_t incarnation;
    uint64_t identity;
    uint64_t configuration_hash;
    uint64_t token;
};

/* Why a datagram, a frame or a part went no further; each is for counting. */
enum wire_drop {
    WIRE_OK,                 /* nothing was dropped */
    WIRE_END,                /* wire_next(): no frame is left; nothing was dropped */
    WIRE_DROP_SIZE,          /* shorter than a header or longer than a datagram (UDP-3) */
    WIRE_DROP_MAGIC,         /* not ours */
    WIRE_DROP_CHECKSUM,      /* damaged on the way (UDP-8) */
    WIRE_DROP_VERSION,       /* another protocol version; *header is filled in, for a Refused */
    WIRE_DROP_CLUSTER,       /* another cluster, or none named where one is needed (M7) */
    WIRE_DROP_KEY,           /* sealed, or unknown flags: nothing this version can open */
    WIRE_DROP_FRAME,         /* frame header: flags, or a length beyond the datagram */
    WIRE_DROP_TYPE,          /* unknown message type */
    WIRE_DROP_BODY_SIZE,     /* larger than any message of its type */
    WIRE_DROP_BODY,          /* not the protobuf form of its type */
    WIRE_DROP_MEMORY,        /* the arena is exhausted */
    WIRE_DROP_INVALID,       /* message_validate() said no */
    WIRE_DROP_PART_MISMATCH, /* contradicts an earlier part of the same message */
    WIRE_DROP_PART_REPEATED, /* held already, or of a message that is already whole */
    WIRE_DROP_PART_LIMIT,    /* M6: the source's share, or all reassembly memory, is used up */
    WIRE_DROP_PART_CHECKSUM, /* every part arrived, but they are not one message */
    WIRE_DROP_COUNT,
};

const char *wire_drop_name(enum wire_drop drop);

/* Walks the frames of an opened datagram, which it borrows. */
struct wire_cursor {
    const uint8_t *at;
    const uint8_t *end;
    struct wire_header header;
    struct net_address address;
};

/* Checks what arrived from `address` and reads its header. On WIRE_OK *cursor stands before the
 * first frame; on WIRE_DROP_VERSION *header holds version, flags and cluster_id. The bytes are
 * written to while they are checked and are as they were afterwards.
 *
 * The caller compares header->cluster_id with its own: 0 may pass, wire_next() lets only messages
 * through that may be asked without knowing the cluster (M7); any other is answered with Refused,
 * unless flags say WIRE_FLAG_ERROR, and counted as WIRE_DROP_CLUSTER. */
enum wire_drop wire_open(uint8_t *bytes, size_t size, const struct net_address *address,
                         struct wire_header *header, struct wire_cursor *cursor);

/* Decodes the next frame into *message, which borrows from the arena (and not from the datagram),
 * and validates it. WIRE_OK: *message is valid, its envelope filled in from the header. WIRE_END:
 * there is no more. Anything else: that frame was dropped; call again for the next one (behind
 * WIRE_DROP_FRAME comes only WIRE_END, for nobody knows where another frame would start).
 *
 * Part and PartsMissing come out like other messages; they are for the reassembler and the sender.
 */
enum wire_drop wire_next(struct wire_cursor *cursor, struct arena *arena, struct message *message);

/* An arena of this size is never exhausted by an honest message of `body_size` bytes. For
 * datagrams body_size is the datagram's size, for the reassembler MESSAGE_SIZE_MAX. */
size_t wire_arena_size(size_t body_size);

/* M3: what proves that somebody receives at `address`. A keyed hash (SipHash-2-4); `secret` is
 * random, from the start of the process. Never 0. */
uint64_t wire_token(const uint8_t secret[WIRE_TOKEN_SECRET_SIZE],
                    const struct net_address *address);

#endif
