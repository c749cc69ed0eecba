/* SPDX-License-Identifier: Apache-2.0 */
/* vr_log.h - the log: entries base_op + 1 .. op_number in their one byte form, one behind the
 * other, in blocks of one region of memory, each with its chain checksum.
 *
 * In a block entries grow from the bottom, their index from the top; it is full when the two meet,
 * and the next block begins. So any run of entries is one run of bytes within a block: a Prepare, a
 * write and a CatchupResponse borrow them as they lie. Entries never move: the executor reads those
 * at or below the commit number without the core lock. What a checkpoint has made dispensable
 * leaves by whole blocks at the front (K1), and these are used again at the end, those lowest in
 * memory first: so a log that is kept short touches little of its region.
 *
 * A second vr_log holds staged entries (G3) until a log sync installs them. */
#ifndef VR_VR_LOG_H
#define VR_VR_LOG_H

#include "common/base/entry.h"

enum {
    VR_LOG_BLOCKS_MAX = 64,                  /* one bit each in `free_blocks` */
    VR_LOG_BLOCK_SIZE_MIN = 8 * 1024 * 1024, /* unless asked for smaller ones: seven of the largest
                                                entries fit, little is left over */
};

_Static_assert(ENTRY_SIZE_MAX + 64 <= VR_LOG_BLOCK_SIZE_MIN, "any entry fits in a block");

struct vr_log_block {
    uint64_t base_op;      /* its entries begin behind this op */
    uint64_t bytes_before; /* of the entries in the blocks before it, those that left included */
    size_t bytes_used;     /* of its entries */
    uint32_t place;        /* in the region, in blocks */
};

struct vr_log {
    uint8_t *memory;
    size_t block_size; /* a multiple of the index slot's size */
    uint32_t block_count;
    uint64_t cluster_id;
    uint64_t base_op; /* the log starts behind this op: 0, a checkpoint's, or what was dropped */
    struct checksum base_checksum;
    uint64_t op_number;    /* head; base_op if there is no entry */
    uint64_t protected_op; /* S3: nothing at or below it is ever cut: the commit number */
    uint64_t free_blocks;  /* bit i: the block at place i is not in use */
    uint32_t first_block;  /* a ring: of the blocks in use the one that comes first ... */
    uint32_t used_blocks;  /* ... and how many there are */
    struct vr_log_block blocks[VR_LOG_BLOCKS_MAX];
};

/* An empty log behind {base_op, base_checksum}. The region is not touched. Blocks are a 64th of the
 * region, but at least VR_LOG_BLOCK_SIZE_MIN; a region too small for two of these is one block. */
void vr_log_init(struct vr_log *log, void *memory, size_t memory_size, uint64_t cluster_id,
                 uint64_t base_op, struct checksum base_checksum);

/* The same with blocks of (about) this size, or as large as 64 blocks make them. An entry that is
 * larger than a block never fits. */
void vr_log_init_blocks(struct vr_log *log, void *memory, size_t memory_size, size_t block_size,
                        uint64_t cluster_id, uint64_t base_op, struct checksum base_checksum);

/* The same region and blocks, empty again, behind {base_op, base_checksum}: what was protected is
 * given up too. For staged entries, and for a checkpoint that takes the log's place (G4). */
void vr_log_restart(struct vr_log *log, uint64_t base_op, struct checksum base_checksum);

/* True for base_op .. op_number: what vr_log_checksum() knows. */
bool vr_log_has_checksum(const struct vr_log *log, uint64_t op_number);

/* The checksum of everything up to op_number; asserts vr_log_has_checksum(). */
struct checksum vr_log_checksum(const struct vr_log *log, uint64_t op_number);

/* True if `checksum` is what the log has at op_number; false also where it has nothing. */
bool vr_log_matches(const struct vr_log *log, uint64_t op_number, struct checksum checksum);

/* The bytes of one entry, base_op < op_number <= the head (asserted). */
const uint8_t *vr_log_entry(const struct vr_log *log, uint64_t op_number, size_t *size);

/* The bytes of entries first_op, first_op + 1, ... up to last_op, as many as fit in size_max and
 * lie in one block, but always the first. Returns their number. */
uint32_t vr_log_run(const struct vr_log *log, uint64_t first_op, uint64_t last_op, size_t size_max,
                    const uint8_t **bytes, size_t *size);

/* Bytes of entries first_op .. last_op; none if last_op is first_op - 1. */
size_t vr_log_run_size(const struct vr_log *log, uint64_t first_op, uint64_t last_op);

/* True if an entry of this many bytes can be appended. */
bool vr_log_has_room(const struct vr_log *log, size_t size);

/* Appends what `other` has above this log's head, up to last_op: one copy, the checksums as they
 * are. Both logs are the same at this log's head, and there is room (both asserted). */
void vr_log_append_from(struct vr_log *log, const struct vr_log *other, uint64_t last_op);

/* True if entries after_op + 1 .. last_op of `other` fit behind this log's after_op. */
bool vr_log_has_room_after(const struct vr_log *log, uint64_t after_op, const struct vr_log *other,
                           uint64_t last_op);

/* Appends an entry: encodes it, or copies its byte form. Its op_number is the head's + 1 and there
 * is room (both asserted). */
void vr_log_append(struct vr_log *log, const struct entry *entry);
void vr_log_append_bytes(struct vr_log *log, const uint8_t *bytes, size_t size);

/* Drops every entry above op_number, which is at least protected_op (S3, asserted). */
void vr_log_cut(struct vr_log *log, uint64_t op_number);

/* Drops the blocks whose entries are all at or below through_op, which is at most protected_op
 * (asserted): base_op moves to the last of them. */
void vr_log_drop(struct vr_log *log, uint64_t through_op);

/* The same for the oldest block alone; false: there is none that could go. */
bool vr_log_drop_block(struct vr_log *log, uint64_t through_op);

/* S3: from here on nothing at or below op_number is cut. Never goes back (asserted). */
void vr_log_protect(struct vr_log *log, uint64_t op_number);

/* Bytes in use, index included; what is left over at the end of a block is not. */
size_t vr_log_bytes_used(const struct vr_log *log);

/* Bytes of the blocks that are not in use. */
size_t vr_log_bytes_free(const struct vr_log *log);

#endif
