/* SPDX-License-Identifier: Apache-2.0 */
#include "server/storage/checkpoint_format.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/bytes.h"
#include "common/base/invariant.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

static const uint8_t header_magic[8] = {'V', 'R', 'C', 'K', 'P', 'T', 0, '\n'};
static const char name_prefix[] = "checkpoint.";

enum {
    FORMAT_OFFSET = 8,
    CLUSTER_OFFSET = 16,
    ID_OFFSET = 24,
    ID_SIZE = 56, /* what the root covers of an id */
    ROOT_OFFSET = ID_OFFSET + ID_SIZE,
    SEAL_OFFSET = ROOT_OFFSET + 16,
    FIELDS_SIZE = SEAL_OFFSET + 16,
};

static void put_checksum(uint8_t *bytes, struct checksum checksum)
{
    bytes_put_u64(bytes, checksum.low);
    bytes_put_u64(bytes + 8, checksum.high);
}

static struct checksum get_checksum(const uint8_t *bytes)
{
    return (struct checksum){bytes_get_u64(bytes), bytes_get_u64(bytes + 8)};
}

static struct checksum hash_of(const uint8_t *bytes, size_t size)
{
    const XXH128_hash_t hash = XXH3_128bits(bytes, size);
    return (struct checksum){hash.low64, hash.high64};
}

static bool is_zero(const uint8_t *bytes, size_t size)
{
    unsigned any = 0;
    for (size_t i = 0; i < size; i++) {
        any |= bytes[i];
    }
    return any == 0;
}

static void id_encode(const struct checkpoint_id *id, uint8_t bytes[ID_SIZE])
{
    bytes_put_u64(bytes, id->op_number);
    bytes_put_u64(bytes + 8, id->view_number);
    put_checksum(bytes + 16, id->log);
    put_checksum(bytes + 32, id->digest);
    bytes_put_u64(bytes + 48, id->size);
}

static void id_decode(const uint8_t bytes[ID_SIZE], struct checkpoint_id *id)
{
    id->op_number = bytes_get_u64(bytes);
    id->view_number = bytes_get_u64(bytes + 8);
    id->log = get_checksum(bytes + 16);
    id->digest = get_checksum(bytes + 32);
    id->size = bytes_get_u64(bytes + 48);
}

/* --- the header --- */

void checkpoint_header_encode(const struct checkpoint_id *id, uint64_t cluster_id,
                              uint8_t bytes[CHECKPOINT_HEADER_SIZE])
{
    INVARIANT(id->op_number > 0 && id->size > 0 && id->size <= CHECKPOINT_SIZE_MAX);
    memset(bytes, 0, CHECKPOINT_HEADER_SIZE);
    memcpy(bytes, header_magic, sizeof header_magic);
    bytes_put_u32(bytes + FORMAT_OFFSET, CHECKPOINT_FORMAT);
    bytes_put_u64(bytes + CLUSTER_OFFSET, cluster_id);
    id_encode(id, bytes + ID_OFFSET);
    put_checksum(bytes + ROOT_OFFSET, id->root);
    put_checksum(bytes + SEAL_OFFSET, hash_of(bytes, SEAL_OFFSET));
}

enum checkpoint_verdict checkpoint_header_decode(const uint8_t bytes[CHECKPOINT_HEADER_SIZE],
                                                 uint64_t cluster_id, struct checkpoint_id *id)
{
    *id = (struct checkpoint_id){0};
    if (memcmp(bytes, header_magic, sizeof header_magic) != 0 ||
        !checksum_equal(get_checksum(bytes + SEAL_OFFSET), hash_of(bytes, SEAL_OFFSET))) {
        return CHECKPOINT_DAMAGED;
    }
    if (bytes_get_u32(bytes + FORMAT_OFFSET) > CHECKPOINT_FORMAT) {
        return CHECKPOINT_NEWER;
    }
    if (bytes_get_u64(bytes + CLUSTER_OFFSET) != cluster_id) {
        return CHECKPOINT_FOREIGN;
    }
    id_decode(bytes + ID_OFFSET, id);
    id->root = get_checksum(bytes + ROOT_OFFSET);
    const bool sane = bytes_get_u32(bytes + FORMAT_OFFSET) == CHECKPOINT_FORMAT &&
                      id->op_number > 0 && id->size > 0 && id->size <= CHECKPOINT_SIZE_MAX &&
                      is_zero(bytes + FORMAT_OFFSET + 4, 4) &&
                      is_zero(bytes + FIELDS_SIZE, CHECKPOINT_HEADER_SIZE - FIELDS_SIZE);
    return sane ? CHECKPOINT_VALID : CHECKPOINT_DAMAGED;
}

uint64_t checkpoint_header_cluster(const uint8_t bytes[CHECKPOINT_HEADER_SIZE])
{
    return bytes_get_u64(bytes + CLUSTER_OFFSET);
}

/* --- the content --- */

struct checksum checkpoint_chunk_checksum(const uint8_t *chunk, size_t size)
{
    return hash_of(chunk, size);
}

struct checksum checkpoint_root(const struct checkpoint_id *id, const uint8_t *list)
{
    uint8_t encoded[ID_SIZE];
    XXH3_state_t state;
    id_encode(id, encoded);
    XXH3_128bits_reset(&state);
    XXH3_128bits_update(&state, encoded, sizeof encoded);
    XXH3_128bits_update(&state, list, checkpoint_chunk_count(id->size) * CHECKPOINT_CHECKSUM_SIZE);
    const XXH128_hash_t hash = XXH3_128bits_digest(&state);
    return (struct checksum){hash.low64, hash.high64};
}

uint64_t checkpoint_list_offset(uint64_t size)
{
    return CHECKPOINT_HEADER_SIZE + size;
}

uint64_t checkpoint_file_size(uint64_t size)
{
    return checkpoint_list_offset(size) + checkpoint_chunk_count(size) * CHECKPOINT_CHECKSUM_SIZE;
}

/* --- names --- */

void checkpoint_file_name(uint64_t op_number, char name[CHECKPOINT_NAME_SIZE])
{
    (void)snprintf(name, CHECKPOINT_NAME_SIZE, "%s%016" PRIx64, name_prefix, op_number);
}

uint64_t checkpoint_file_op(const char *name)
{
    const size_t prefix_size = sizeof name_prefix - 1;
    if (strncmp(name, name_prefix, prefix_size) != 0 || strlen(name) != prefix_size + 16) {
        return 0;
    }
    uint64_t op_number = 0;
    for (const char *at = name + prefix_size; *at != '\0'; at++) {
        const char *digits = "0123456789abcdef";
        const char *digit = strchr(digits, *at);
        if (digit == NULL) {
            return 0;
        }
        op_number = op_number << 4 | (uint64_t)(digit - digits);
    }
    return op_number;
}
