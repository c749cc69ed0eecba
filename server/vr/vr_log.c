/* SPDX-License-Identifier: Apache-2.0 */
#include "server/vr/vr_log.h"

#include <string.h>

#include "common/base/bytes.h"
#include "common/base/invariant.h"

/* The index's slot of one entry: slot 0, the highest in memory, is entry base_op + 1. */
struct index_slot {
    uint64_t end; /* offset behind the entry's last byte */
    struct checksum checksum;
};

static struct index_slot *slot_of(const struct vr_log *log, uint64_t op_number)
{
    INVARIANT(op_number > log->base_op);
    INVARIANT(op_number <= log->op_number);
    struct index_slot *end = (struct index_slot *)(void *)(log->memory + log->memory_size);
    return end - (op_number - log->base_op);
}

static uint64_t end_offset(const struct vr_log *log, uint64_t op_number)
{
    return op_number == log->base_op ? 0 : slot_of(log, op_number)->end;
}

void vr_log_init(struct vr_log *log, void *memory, size_t memory_size, uint64_t cluster_id,
                 uint64_t base_op, struct checksum base_checksum)
{
    INVARIANT((uintptr_t)memory % _Alignof(struct index_slot) == 0);
    *log = (struct vr_log){
        .memory = memory,
        .memory_size = memory_size - memory_size % sizeof(struct index_slot),
        .cluster_id = cluster_id,
        .base_op = base_op,
        .base_checksum = base_checksum,
        .op_number = base_op,
        .protected_op = base_op,
    };
}

bool vr_log_has_checksum(const struct vr_log *log, uint64_t op_number)
{
    return op_number >= log->base_op && op_number <= log->op_number;
}

struct checksum vr_log_checksum(const struct vr_log *log, uint64_t op_number)
{
    return op_number == log->base_op ? log->base_checksum : slot_of(log, op_number)->checksum;
}

bool vr_log_matches(const struct vr_log *log, uint64_t op_number, struct checksum checksum)
{
    return vr_log_has_checksum(log, op_number) &&
           checksum_equal(vr_log_checksum(log, op_number), checksum);
}

const uint8_t *vr_log_entry(const struct vr_log *log, uint64_t op_number, size_t *size)
{
    const uint64_t start = end_offset(log, op_number - 1);
    *size = (size_t)(slot_of(log, op_number)->end - start);
    return log->memory + start;
}

uint32_t vr_log_run(const struct vr_log *log, uint64_t first_op, uint64_t last_op, size_t size_max,
                    const uint8_t **bytes, size_t *size)
{
    INVARIANT(first_op <= last_op);
    const uint64_t start = end_offset(log, first_op - 1);
    uint64_t op = first_op;
    while (op < last_op && slot_of(log, op + 1)->end - start <= size_max) {
        op++;
    }
    *bytes = log->memory + start;
    *size = (size_t)(slot_of(log, op)->end - start);
    return (uint32_t)(op - first_op + 1);
}

size_t vr_log_run_size(const struct vr_log *log, uint64_t first_op, uint64_t last_op)
{
    return (size_t)(end_offset(log, last_op) - end_offset(log, first_op - 1));
}

bool vr_log_has_room(const struct vr_log *log, size_t size)
{
    const uint64_t slots = log->op_number - log->base_op + 1;
    return slots <= log->memory_size / sizeof(struct index_slot) &&
           log->bytes_used + size <= log->memory_size - slots * sizeof(struct index_slot);
}

bool vr_log_has_room_after(const struct vr_log *log, uint64_t after_op, const struct vr_log *other,
                           uint64_t last_op)
{
    const uint64_t slots = last_op - log->base_op;
    const size_t bytes =
        (size_t)end_offset(log, after_op) + vr_log_run_size(other, after_op + 1, last_op);
    return slots <= log->memory_size / sizeof(struct index_slot) &&
           bytes <= log->memory_size - slots * sizeof(struct index_slot);
}

/* The entry's bytes lie behind the last one's already. */
static void append_in_place(struct vr_log *log, size_t size)
{
    const uint8_t *bytes = log->memory + log->bytes_used;
    INVARIANT(bytes_get_u64(bytes) == log->op_number + 1);
    const struct checksum parent = vr_log_checksum(log, log->op_number);
    log->op_number++;
    log->bytes_used += size;
    *slot_of(log, log->op_number) = (struct index_slot){
        .end = log->bytes_used,
        .checksum = entry_checksum(log->cluster_id, parent, bytes, size),
    };
}

void vr_log_append(struct vr_log *log, const struct entry *entry)
{
    INVARIANT(vr_log_has_room(log, ENTRY_HEADER_SIZE + (size_t)entry->body_size));
    append_in_place(log, entry_encode(entry, log->memory + log->bytes_used));
}

void vr_log_append_bytes(struct vr_log *log, const uint8_t *bytes, size_t size)
{
    INVARIANT(vr_log_has_room(log, size));
    memcpy(log->memory + log->bytes_used, bytes, size);
    append_in_place(log, size);
}

void vr_log_append_from(struct vr_log *log, const struct vr_log *other, uint64_t last_op)
{
    INVARIANT(vr_log_matches(other, log->op_number, vr_log_checksum(log, log->op_number)));
    INVARIANT(vr_log_has_room_after(log, log->op_number, other, last_op));
    const uint64_t from = end_offset(other, log->op_number);
    const size_t size = vr_log_run_size(other, log->op_number + 1, last_op);
    const size_t start = log->bytes_used;
    memcpy(log->memory + start, other->memory + from, size);
    log->bytes_used += size;
    while (log->op_number < last_op) {
        log->op_number++;
        const struct index_slot *slot = slot_of(other, log->op_number);
        *slot_of(log, log->op_number) = (struct index_slot){
            .end = start + (slot->end - from),
            .checksum = slot->checksum,
        };
    }
}

void vr_log_cut(struct vr_log *log, uint64_t op_number)
{
    INVARIANT(op_number >= log->protected_op);
    INVARIANT(op_number <= log->op_number);
    log->bytes_used = (size_t)end_offset(log, op_number);
    log->op_number = op_number;
}

void vr_log_protect(struct vr_log *log, uint64_t op_number)
{
    INVARIANT(op_number >= log->protected_op);
    INVARIANT(op_number <= log->op_number);
    log->protected_op = op_number;
}

size_t vr_log_bytes_used(const struct vr_log *log)
{
    return log->bytes_used + (size_t)(log->op_number - log->base_op) * sizeof(struct index_slot);
}
