/* SPDX-License-Identifier: Apache-2.0 */
/* vr_log.h - the log: entries base_op + 1 .. op_number in their one byte form, one behind the
 * other, in one region of memory, each with its chain checksum.
 *
 * Entries grow from the bottom of the region, their index from the top; the log is full when the
 * two meet. So any run of entries is one run of bytes: a Prepare, a write and a CatchupResponse
 * borrow them as they lie. Entries never move: those at or below the commit number stay where they
 * are until the log ends, which lets the executor read them without the core lock.
 *
 * A second vr_log holds staged entries (G3) until a log sync installs them. */
#ifndef VR_VR_LOG_H
#define VR_VR_LOG_H

#include "common/base/entry.h"

struct vr_log {
    uint8_t *memory;
    size_t memory_size; /* a multiple of the index slot's size */
    uint64_t cluster_id;
    uint64_t base_op; /* the log starts behind this op: 0, or a checkpoint's */
    struct checksum base_checksum;
    uint64_t op_number;    /* head; base_op if there is no entry */
    size_t bytes_used;     /* of entries */
    uint64_t protected_op; /* S3: nothing at or below it is ever cut: the commit number */
};

/* An empty log behind {base_op, base_checksum}. The region is not touched. */
void vr_log_init(struct vr_log *log, void *memory, size_t memory_size, uint64_t cluster_id,
                 uint64_t base_op, struct checksum base_checksum);

/* True for base_op .. op_number: what vr_log_checksum() knows. */
bool vr_log_has_checksum(const struct vr_log *log, uint64_t op_number);

/* The checksum of everything up to op_number; asserts vr_log_has_checksum(). */
struct checksum vr_log_checksum(const struct vr_log *log, uint64_t op_number);

/* True if `checksum` is what the log has at op_number; false also where it has nothing. */
bool vr_log_matches(const struct vr_log *log, uint64_t op_number, struct checksum checksum);

/* The bytes of one entry, base_op < op_number <= the head (asserted). */
const uint8_t *vr_log_entry(const struct vr_log *log, uint64_t op_number, size_t *size);

/* The bytes of entries first_op, first_op + 1, ... up to last_op, as many as fit in size_max, but
 * always the first. Returns their number. */
uint32_t vr_log_run(const struct vr_log *log, uint64_t first_op, uint64_t last_op, size_t size_max,
                    const uint8_t **bytes, size_t *size);

/* Bytes from the end of entry first_op - 1 to the end of entry last_op. */
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

/* S3: from here on nothing at or below op_number is cut. Never goes back (asserted). */
void vr_log_protect(struct vr_log *log, uint64_t op_number);

/* Bytes in use, index included. */
size_t vr_log_bytes_used(const struct vr_log *log);

#endif
