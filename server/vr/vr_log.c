/* SPDX-License-Identifier: Apache-2.0 */
#include "server/vr/vr_log.h"

#include <string.h>

#include "common/base/bytes.h"
#include "common/base/invariant.h"

/* The index's slot of one entry: slot 0, the highest in its block, is entry base_op + 1's. */
struct index_slot {
    uint64_t end; /* offset in the block behind the entry's last byte */
    struct checksum checksum;
};

/* ---- blocks ---- */

static const struct vr_log_block *block_at(const struct vr_log *log, uint32_t number)
{
    return &log->blocks[(log->first_block + number) % VR_LOG_BLOCKS_MAX];
}

/* Asserted: there is one. */
static const struct vr_log_block *last_block(const struct vr_log *log)
{
    INVARIANT(log->used_blocks > 0);
    return block_at(log, log->used_blocks - 1);
}

/* The last op of a block in use. */
static uint64_t block_end(const struct vr_log *log, uint32_t number)
{
    return number + 1 < log->used_blocks ? block_at(log, number + 1)->base_op : log->op_number;
}

/* The number of the block that an entry is in: most often the last one. */
static uint32_t block_of(const struct vr_log *log, uint64_t op_number)
{
    INVARIANT(op_number > log->base_op);
    INVARIANT(op_number <= log->op_number);
    uint32_t low = 0;
    uint32_t high = log->used_blocks - 1;
    if (op_number > block_at(log, high)->base_op) {
        return high;
    }
    while (low + 1 < high) {
        const uint32_t middle = (low + high) / 2;
        if (op_number > block_at(log, middle)->base_op) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

static uint8_t *block_memory(const struct vr_log *log, const struct vr_log_block *block)
{
    return log->memory + block->place * log->block_size;
}

static struct index_slot *slot_in(const struct vr_log *log, const struct vr_log_block *block,
                                  uint64_t op_number)
{
    struct index_slot *end =
        (struct index_slot *)(void *)(block_memory(log, block) + log->block_size);
    return end - (op_number - block->base_op);
}

/* Where an entry, or the block's base, ends in the block. */
static size_t end_in(const struct vr_log *log, const struct vr_log_block *block, uint64_t op_number)
{
    return op_number == block->base_op ? 0 : (size_t)slot_in(log, block, op_number)->end;
}

static bool fits(const struct vr_log *log, uint64_t slots, size_t bytes, size_t size)
{
    const size_t slots_max = log->block_size / sizeof(struct index_slot);
    return slots < slots_max &&
           size <= log->block_size - (size_t)(slots + 1) * sizeof(struct index_slot) &&
           bytes <= log->block_size - (size_t)(slots + 1) * sizeof(struct index_slot) - size;
}

static bool fits_last_block(const struct vr_log *log, size_t size)
{
    if (log->used_blocks == 0) {
        return false;
    }
    const struct vr_log_block *block = last_block(log);
    return fits(log, log->op_number - block->base_op, block->bytes_used, size);
}

static struct vr_log_block *add_block(struct vr_log *log)
{
    INVARIANT(log->free_blocks != 0);
    const uint32_t place = (uint32_t)__builtin_ctzll(log->free_blocks);
    uint64_t before = 0;
    if (log->used_blocks > 0) {
        const struct vr_log_block *last = last_block(log);
        before = last->bytes_before + last->bytes_used;
    }
    log->free_blocks &= ~(UINT64_C(1) << place);
    log->used_blocks++;
    struct vr_log_block *block =
        &log->blocks[(log->first_block + log->used_blocks - 1) % VR_LOG_BLOCKS_MAX];
    *block = (struct vr_log_block){
        .base_op = log->op_number,
        .bytes_before = before,
        .place = place,
    };
    return block;
}

/* The block that the next entry goes into; there is room (asserted). */
static struct vr_log_block *block_for(struct vr_log *log, size_t size)
{
    if (!fits_last_block(log, size)) {
        INVARIANT(fits(log, 0, 0, size));
        return add_block(log);
    }
    return &log->blocks[(log->first_block + log->used_blocks - 1) % VR_LOG_BLOCKS_MAX];
}

/* ---- the log as a whole ---- */

void vr_log_init(struct vr_log *log, void *memory, size_t memory_size, uint64_t cluster_id,
                 uint64_t base_op, struct checksum base_checksum)
{
    const size_t block_size =
        memory_size < 2 * (size_t)VR_LOG_BLOCK_SIZE_MIN ? memory_size : VR_LOG_BLOCK_SIZE_MIN;
    vr_log_init_blocks(log, memory, memory_size, block_size, cluster_id, base_op, base_checksum);
}

void vr_log_init_blocks(struct vr_log *log, void *memory, size_t memory_size, size_t block_size,
                        uint64_t cluster_id, uint64_t base_op, struct checksum base_checksum)
{
    INVARIANT((uintptr_t)memory % _Alignof(struct index_slot) == 0);
    const size_t least = memory_size / VR_LOG_BLOCKS_MAX;
    const size_t wanted = block_size > least ? block_size : least;
    memset(log, 0, sizeof *log);
    log->memory = memory;
    log->block_size = wanted - wanted % sizeof(struct index_slot);
    INVARIANT(log->block_size > 0);
    const size_t count = memory_size / log->block_size;
    log->block_count = count < VR_LOG_BLOCKS_MAX ? (uint32_t)count : VR_LOG_BLOCKS_MAX;
    log->cluster_id = cluster_id;
    vr_log_restart(log, base_op, base_checksum);
}

void vr_log_restart(struct vr_log *log, uint64_t base_op, struct checksum base_checksum)
{
    log->base_op = base_op;
    log->base_checksum = base_checksum;
    log->op_number = base_op;
    log->protected_op = base_op;
    log->free_blocks =
        log->block_count == VR_LOG_BLOCKS_MAX ? UINT64_MAX : (UINT64_C(1) << log->block_count) - 1;
    log->first_block = 0;
    log->used_blocks = 0;
}

bool vr_log_has_checksum(const struct vr_log *log, uint64_t op_number)
{
    return op_number >= log->base_op && op_number <= log->op_number;
}

struct checksum vr_log_checksum(const struct vr_log *log, uint64_t op_number)
{
    if (op_number == log->base_op) {
        return log->base_checksum;
    }
    return slot_in(log, block_at(log, block_of(log, op_number)), op_number)->checksum;
}

bool vr_log_matches(const struct vr_log *log, uint64_t op_number, struct checksum checksum)
{
    return vr_log_has_checksum(log, op_number) &&
           checksum_equal(vr_log_checksum(log, op_number), checksum);
}

const uint8_t *vr_log_entry(const struct vr_log *log, uint64_t op_number, size_t *size)
{
    const struct vr_log_block *block = block_at(log, block_of(log, op_number));
    const size_t start = end_in(log, block, op_number - 1);
    *size = end_in(log, block, op_number) - start;
    return block_memory(log, block) + start;
}

uint32_t vr_log_run(const struct vr_log *log, uint64_t first_op, uint64_t last_op, size_t size_max,
                    const uint8_t **bytes, size_t *size)
{
    INVARIANT(first_op <= last_op);
    INVARIANT(last_op <= log->op_number);
    const uint32_t number = block_of(log, first_op);
    const struct vr_log_block *block = block_at(log, number);
    const uint64_t last_here = block_end(log, number);
    const uint64_t last = last_op < last_here ? last_op : last_here;
    const size_t start = end_in(log, block, first_op - 1);
    uint64_t op = first_op;
    while (op < last && end_in(log, block, op + 1) - start <= size_max) {
        op++;
    }
    *bytes = block_memory(log, block) + start;
    *size = end_in(log, block, op) - start;
    return (uint32_t)(op - first_op + 1);
}

/* Bytes of all entries up to an op, those that were dropped since the log was empty included. */
static uint64_t bytes_up_to(const struct vr_log *log, uint64_t op_number)
{
    if (op_number == log->base_op) {
        return log->used_blocks == 0 ? 0 : block_at(log, 0)->bytes_before;
    }
    const struct vr_log_block *block = block_at(log, block_of(log, op_number));
    return block->bytes_before + end_in(log, block, op_number);
}

size_t vr_log_run_size(const struct vr_log *log, uint64_t first_op, uint64_t last_op)
{
    return (size_t)(bytes_up_to(log, last_op) - bytes_up_to(log, first_op - 1));
}

bool vr_log_has_room(const struct vr_log *log, size_t size)
{
    return fits_last_block(log, size) || (log->free_blocks != 0 && fits(log, 0, 0, size));
}

bool vr_log_has_room_after(const struct vr_log *log, uint64_t after_op, const struct vr_log *other,
                           uint64_t last_op)
{
    uint64_t slots = 0;
    size_t bytes = log->block_size; /* no block yet: nothing fits */
    uint32_t left = log->block_count;
    if (after_op > log->base_op) {
        const uint32_t number = block_of(log, after_op);
        const struct vr_log_block *block = block_at(log, number);
        slots = after_op - block->base_op;
        bytes = end_in(log, block, after_op);
        left -= number + 1;
    }
    for (uint64_t op = after_op + 1; op <= last_op; op++) {
        size_t size;
        (void)vr_log_entry(other, op, &size);
        if (!fits(log, slots, bytes, size)) {
            if (left == 0 || !fits(log, 0, 0, size)) {
                return false;
            }
            left--;
            slots = 0;
            bytes = 0;
        }
        slots++;
        bytes += size;
    }
    return true;
}

/* ---- its end ---- */

/* The entry's bytes lie behind the block's last one's already. */
static void append_in_place(struct vr_log *log, struct vr_log_block *block, struct checksum parent,
                            size_t size)
{
    const uint8_t *bytes = block_memory(log, block) + block->bytes_used;
    INVARIANT(bytes_get_u64(bytes) == log->op_number + 1);
    log->op_number++;
    block->bytes_used += size;
    *slot_in(log, block, log->op_number) = (struct index_slot){
        .end = block->bytes_used,
        .checksum = entry_checksum(log->cluster_id, parent, bytes, size),
    };
}

void vr_log_append(struct vr_log *log, const struct entry *entry)
{
    const size_t size = ENTRY_HEADER_SIZE + (size_t)entry->body_size;
    const struct checksum parent = vr_log_checksum(log, log->op_number);
    struct vr_log_block *block = block_for(log, size);
    const size_t encoded = entry_encode(entry, block_memory(log, block) + block->bytes_used);
    INVARIANT(encoded == size);
    append_in_place(log, block, parent, size);
}

void vr_log_append_bytes(struct vr_log *log, const uint8_t *bytes, size_t size)
{
    const struct checksum parent = vr_log_checksum(log, log->op_number);
    struct vr_log_block *block = block_for(log, size);
    memcpy(block_memory(log, block) + block->bytes_used, bytes, size);
    append_in_place(log, block, parent, size);
}

void vr_log_append_from(struct vr_log *log, const struct vr_log *other, uint64_t last_op)
{
    INVARIANT(vr_log_matches(other, log->op_number, vr_log_checksum(log, log->op_number)));
    while (log->op_number < last_op) {
        size_t size;
        const uint8_t *bytes = vr_log_entry(other, log->op_number + 1, &size);
        struct vr_log_block *block = block_for(log, size);
        memcpy(block_memory(log, block) + block->bytes_used, bytes, size);
        block->bytes_used += size;
        log->op_number++;
        *slot_in(log, block, log->op_number) = (struct index_slot){
            .end = block->bytes_used,
            .checksum = vr_log_checksum(other, log->op_number),
        };
    }
}

/* ---- what leaves ---- */

static void free_block(struct vr_log *log, const struct vr_log_block *block)
{
    log->free_blocks |= UINT64_C(1) << block->place;
    log->used_blocks--;
}

void vr_log_cut(struct vr_log *log, uint64_t op_number)
{
    INVARIANT(op_number >= log->protected_op);
    INVARIANT(op_number <= log->op_number);
    while (log->used_blocks > 0 && last_block(log)->base_op >= op_number) {
        free_block(log, last_block(log));
    }
    if (log->used_blocks > 0) {
        struct vr_log_block *block =
            &log->blocks[(log->first_block + log->used_blocks - 1) % VR_LOG_BLOCKS_MAX];
        block->bytes_used = end_in(log, block, op_number);
    }
    log->op_number = op_number;
}

bool vr_log_drop_block(struct vr_log *log, uint64_t through_op)
{
    INVARIANT(through_op <= log->protected_op);
    if (log->used_blocks == 0 || block_end(log, 0) > through_op) {
        return false;
    }
    const struct vr_log_block *block = block_at(log, 0);
    const uint64_t end = block_end(log, 0);
    log->base_checksum = slot_in(log, block, end)->checksum;
    log->base_op = end;
    free_block(log, block);
    log->first_block = (log->first_block + 1) % VR_LOG_BLOCKS_MAX;
    return true;
}

void vr_log_drop(struct vr_log *log, uint64_t through_op)
{
    while (vr_log_drop_block(log, through_op)) {
    }
}

void vr_log_protect(struct vr_log *log, uint64_t op_number)
{
    INVARIANT(op_number >= log->protected_op);
    INVARIANT(op_number <= log->op_number);
    log->protected_op = op_number;
}

size_t vr_log_bytes_used(const struct vr_log *log)
{
    return vr_log_run_size(log, log->base_op + 1, log->op_number) +
           (size_t)(log->op_number - log->base_op) * sizeof(struct index_slot);
}

size_t vr_log_bytes_free(const struct vr_log *log)
{
    return (size_t)(log->block_count - log->used_blocks) * log->block_size;
}
