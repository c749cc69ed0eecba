/* SPDX-License-Identifier: Apache-2.0 */
#include "server/storage/wal_format.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/bytes.h"
#include "common/base/invariant.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

static const uint8_t segment_magic[8] = {'V', 'R', 'L', 'O', 'G', 0, 0, '\n'};

enum {
    RECORD_MAGIC = 0x52525601, /* 0x01 "VRR" */
    RECORD_CHECKSUM_OFFSET = 128,
    SEGMENT_CHECKSUM_OFFSET = 80,
};

static const char name_prefix[] = "log.";

/* --- helpers --- */

static struct checksum get_checksum(const uint8_t *bytes)
{
    return (struct checksum){bytes_get_u64(bytes), bytes_get_u64(bytes + 8)};
}

static void put_checksum(uint8_t *bytes, struct checksum checksum)
{
    bytes_put_u64(bytes, checksum.low);
    bytes_put_u64(bytes + 8, checksum.high);
}

static bool is_zero(const uint8_t *bytes, size_t size)
{
    unsigned any = 0;
    for (size_t i = 0; i < size; i++) {
        any |= bytes[i];
    }
    return any == 0;
}

/* Over the header and its place: put behind one another, for a hash in pieces costs several times
 * as much as one of so few bytes. */
static struct checksum header_checksum(const uint8_t *bytes, size_t size, uint64_t segment,
                                       uint64_t offset)
{
    uint8_t whole[16 + RECORD_CHECKSUM_OFFSET];
    INVARIANT(size <= RECORD_CHECKSUM_OFFSET);
    bytes_put_u64(whole, segment);
    bytes_put_u64(whole + 8, offset);
    memcpy(whole + 16, bytes, size);
    const XXH128_hash_t hash = XXH3_128bits(whole, 16 + size);
    return (struct checksum){hash.low64, hash.high64};
}

/* --- records --- */

static size_t padded(size_t size)
{
    return (size + WAL_ALIGNMENT - 1) / WAL_ALIGNMENT * WAL_ALIGNMENT;
}

size_t wal_record_size(uint32_t body_size)
{
    return WAL_RECORD_HEADER_SIZE + padded(body_size);
}

void wal_record_encode(const struct wal_record *record, const struct wal_owner *owner,
                       uint64_t segment, uint64_t offset, uint8_t *bytes)
{
    INVARIANT(record->body_size <= ENTRY_SIZE_MAX);
    memset(bytes, 0, WAL_RECORD_HEADER_SIZE);
    bytes_put_u32(bytes + 0, RECORD_MAGIC);
    bytes[4] = (uint8_t)record->type;
    bytes_put_u64(bytes + 8, owner->cluster_id);
    bytes_put_u32(bytes + 16, owner->replica_id);
    bytes_put_u32(bytes + 20, record->body_size);
    bytes_put_u64(bytes + 24, record->sequence);
    bytes_put_u64(bytes + 32, record->op_number);
    bytes_put_u64(bytes + 40, record->view_number);
    bytes_put_u64(bytes + 48, record->incarnation);
    bytes_put_u64(bytes + 56, record->commit_number);
    bytes_put_u64(bytes + 64, record->through_op);
    put_checksum(bytes + 72, record->checksum);
    put_checksum(bytes + 88, record->other);
    bytes_put_u64(bytes + 104, XXH3_64bits(record->body, record->body_size));
    bytes_put_u64(bytes + 112, record->synced_sequence);
    put_checksum(bytes + RECORD_CHECKSUM_OFFSET,
                 header_checksum(bytes, RECORD_CHECKSUM_OFFSET, segment, offset));
    uint8_t *body = bytes + WAL_RECORD_HEADER_SIZE;
    if (record->body_size > 0) {
        memcpy(body, record->body, record->body_size);
    }
    memset(body + record->body_size, 0, padded(record->body_size) - record->body_size);
}

/* What a whole header may say. What it says was once written by this very code, so this is about
 * programs that are to come. */
static bool fields_make_sense(const uint8_t *bytes, const struct wal_record *record)
{
    const bool entry = record->type == WAL_ENTRY;
    const bool replace = record->type == WAL_REPLACE;
    const bool mark = record->type == WAL_ABANDON || record->type == WAL_RESTART;
    return (entry || replace || mark) && is_zero(bytes + 5, 3) && is_zero(bytes + 120, 8) &&
           record->synced_sequence < record->sequence && entry == (record->body_size > 0) &&
           record->body_size <= ENTRY_SIZE_MAX &&
           (replace ? record->through_op >= record->op_number : record->through_op == 0);
}

/* The body is an entry, and the one that the header speaks of. */
static bool body_fits(const struct wal_record *record, uint64_t cluster_id)
{
    struct entry entry;
    return entry_decode(record->body, record->body_size, &entry) == record->body_size &&
           entry.op_number == record->op_number && entry.view_number == record->view_number &&
           checksum_equal(
               entry_checksum(cluster_id, record->other, record->body, record->body_size),
               record->checksum);
}

enum wal_verdict wal_record_decode(const uint8_t *bytes, size_t available,
                                   const struct wal_owner *owner, uint64_t segment, uint64_t offset,
                                   struct wal_record *record)
{
    if (available < WAL_RECORD_HEADER_SIZE || bytes_get_u32(bytes) != RECORD_MAGIC ||
        !checksum_equal(get_checksum(bytes + RECORD_CHECKSUM_OFFSET),
                        header_checksum(bytes, RECORD_CHECKSUM_OFFSET, segment, offset))) {
        return WAL_DAMAGED;
    }
    if (bytes_get_u64(bytes + 8) != owner->cluster_id ||
        bytes_get_u32(bytes + 16) != owner->replica_id) {
        return WAL_FOREIGN;
    }
    *record = (struct wal_record){
        .type = (enum wal_record_type)bytes[4],
        .body_size = bytes_get_u32(bytes + 20),
        .sequence = bytes_get_u64(bytes + 24),
        .op_number = bytes_get_u64(bytes + 32),
        .view_number = bytes_get_u64(bytes + 40),
        .incarnation = bytes_get_u64(bytes + 48),
        .commit_number = bytes_get_u64(bytes + 56),
        .through_op = bytes_get_u64(bytes + 64),
        .synced_sequence = bytes_get_u64(bytes + 112),
        .checksum = get_checksum(bytes + 72),
        .other = get_checksum(bytes + 88),
        .body = bytes + WAL_RECORD_HEADER_SIZE,
    };
    if (!fields_make_sense(bytes, record) || wal_record_size(record->body_size) > available) {
        return WAL_DAMAGED;
    }
    if (XXH3_64bits(record->body, record->body_size) != bytes_get_u64(bytes + 104) ||
        (record->type == WAL_ENTRY && !body_fits(record, owner->cluster_id))) {
        return WAL_BODY_DAMAGED;
    }
    return WAL_VALID;
}

/* --- segments --- */

void wal_segment_header_encode(const struct wal_segment_header *header,
                               const struct wal_owner *owner,
                               uint8_t bytes[WAL_SEGMENT_HEADER_SIZE])
{
    memset(bytes, 0, WAL_SEGMENT_HEADER_SIZE);
    memcpy(bytes, segment_magic, sizeof segment_magic);
    bytes_put_u32(bytes + 8, WAL_FORMAT);
    bytes_put_u32(bytes + 12, owner->replica_id);
    bytes_put_u64(bytes + 16, owner->cluster_id);
    bytes_put_u64(bytes + 24, header->number);
    bytes_put_u64(bytes + 32, header->size);
    bytes_put_u64(bytes + 40, header->first_sequence);
    bytes_put_u64(bytes + 48, header->head_op);
    put_checksum(bytes + 56, header->head_checksum);
    bytes_put_u64(bytes + 72, header->synced_sequence);
    put_checksum(bytes + SEGMENT_CHECKSUM_OFFSET,
                 header_checksum(bytes, SEGMENT_CHECKSUM_OFFSET, header->number, 0));
}

/* Magic, format and checksum keep their places in all formats to come. */
enum wal_verdict wal_segment_header_decode(const uint8_t bytes[WAL_SEGMENT_HEADER_SIZE],
                                           const struct wal_owner *owner, uint64_t number,
                                           struct wal_segment_header *header)
{
    if (memcmp(bytes, segment_magic, sizeof segment_magic) != 0 ||
        !checksum_equal(get_checksum(bytes + SEGMENT_CHECKSUM_OFFSET),
                        header_checksum(bytes, SEGMENT_CHECKSUM_OFFSET, number, 0))) {
        return WAL_DAMAGED;
    }
    if (bytes_get_u32(bytes + 8) > WAL_FORMAT) {
        return WAL_NEWER;
    }
    if (bytes_get_u32(bytes + 12) != owner->replica_id ||
        bytes_get_u64(bytes + 16) != owner->cluster_id) {
        return WAL_FOREIGN;
    }
    *header = (struct wal_segment_header){
        .number = bytes_get_u64(bytes + 24),
        .size = bytes_get_u64(bytes + 32),
        .first_sequence = bytes_get_u64(bytes + 40),
        .head_op = bytes_get_u64(bytes + 48),
        .head_checksum = get_checksum(bytes + 56),
        .synced_sequence = bytes_get_u64(bytes + 72),
    };
    const bool makes_sense = header->number == number && header->first_sequence > 0 &&
                             header->synced_sequence >= header->first_sequence - 1 &&
                             header->size >= WAL_SEGMENT_HEADER_SIZE &&
                             header->size <= WAL_SEGMENT_SIZE_MAX &&
                             bytes_get_u32(bytes + 8) == WAL_FORMAT;
    return makes_sense ? WAL_VALID : WAL_DAMAGED;
}

void wal_segment_name(uint64_t number, char name[WAL_NAME_SIZE])
{
    (void)snprintf(name, WAL_NAME_SIZE, "%s%016" PRIx64, name_prefix, number);
}

uint64_t wal_segment_number(const char *name)
{
    char expected[WAL_NAME_SIZE];
    uint64_t number = 0;
    if (strncmp(name, name_prefix, sizeof name_prefix - 1) != 0) {
        return 0;
    }
    for (const char *at = name + sizeof name_prefix - 1; *at != '\0'; at++) {
        const bool digit = *at >= '0' && *at <= '9';
        if (!digit && (*at < 'a' || *at > 'f')) {
            return 0;
        }
        number = number << 4 | (uint64_t)(digit ? *at - '0' : *at - 'a' + 10);
    }
    wal_segment_name(number, expected);
    return strcmp(name, expected) == 0 ? number : 0;
}
