/* SPDX-License-Identifier: Apache-2.0 */
/* wire.c - the datagram's header and its frames. */
#include "common/wire/wire.h"

#include <string.h>

#include "common/base/bytes.h"
#include "common/wire/codec.h"
#include "common/wire/datagram.h"

#include <sodium/crypto_shorthash.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

_Static_assert(WIRE_TOKEN_SECRET_SIZE == crypto_shorthash_KEYBYTES, "SipHash-2-4 has this key");
_Static_assert(sizeof(uint64_t) == crypto_shorthash_BYTES, "and this result");

const char *wire_drop_name(enum wire_drop drop)
{
    switch (drop) {
    case WIRE_OK:
        return "ok";
    case WIRE_END:
        return "end";
    case WIRE_DROP_SIZE:
        return "size";
    case WIRE_DROP_MAGIC:
        return "magic";
    case WIRE_DROP_CHECKSUM:
        return "checksum";
    case WIRE_DROP_VERSION:
        return "version";
    case WIRE_DROP_CLUSTER:
        return "cluster";
    case WIRE_DROP_KEY:
        return "key";
    case WIRE_DROP_FRAME:
        return "frame";
    case WIRE_DROP_TYPE:
        return "type";
    case WIRE_DROP_BODY_SIZE:
        return "body_size";
    case WIRE_DROP_BODY:
        return "body";
    case WIRE_DROP_MEMORY:
        return "memory";
    case WIRE_DROP_INVALID:
        return "invalid";
    case WIRE_DROP_PART_MISMATCH:
        return "part_mismatch";
    case WIRE_DROP_PART_REPEATED:
        return "part_repeated";
    case WIRE_DROP_PART_LIMIT:
        return "part_limit";
    case WIRE_DROP_PART_CHECKSUM:
        return "part_checksum";
    case WIRE_DROP_COUNT:
        break;
    }
    return "?";
}

void datagram_write_frame(uint8_t *at, uint16_t type, uint32_t length)
{
    bytes_put_u16(at, type);
    bytes_put_u16(at + 2, 0);
    bytes_put_u32(at + 4, length);
}

void datagram_seal(uint8_t *bytes, size_t size, const struct wire_header *header)
{
    memset(bytes, 0, WIRE_HEADER_SIZE);
    bytes_put_u32(bytes + 0, WIRE_MAGIC);
    bytes_put_u16(bytes + 4, header->version);
    bytes_put_u16(bytes + 6, header->flags);
    bytes_put_u64(bytes + 8, header->cluster_id);
    bytes_put_u32(bytes + 16, header->sender);
    bytes_put_u32(bytes + 20, header->key_id);
    bytes_put_u64(bytes + 24, header->incarnation);
    bytes_put_u64(bytes + 32, header->identity);
    bytes_put_u64(bytes + 40, header->configuration_hash);
    bytes_put_u64(bytes + 48, header->token);
    const XXH128_hash_t hash = XXH3_128bits(bytes, size);
    bytes_put_u64(bytes + DATAGRAM_CHECKSUM_AT, hash.low64);
    bytes_put_u64(bytes + DATAGRAM_CHECKSUM_AT + 8, hash.high64);
}

/* Puts zeros in the place of the checksum while it hashes: one pass over contiguous bytes. */
static bool checksum_matches(uint8_t *bytes, size_t size)
{
    const uint64_t low = bytes_get_u64(bytes + DATAGRAM_CHECKSUM_AT);
    const uint64_t high = bytes_get_u64(bytes + DATAGRAM_CHECKSUM_AT + 8);
    bytes_put_u64(bytes + DATAGRAM_CHECKSUM_AT, 0);
    bytes_put_u64(bytes + DATAGRAM_CHECKSUM_AT + 8, 0);
    const XXH128_hash_t hash = XXH3_128bits(bytes, size);
    bytes_put_u64(bytes + DATAGRAM_CHECKSUM_AT, low);
    bytes_put_u64(bytes + DATAGRAM_CHECKSUM_AT + 8, high);
    return hash.low64 == low && hash.high64 == high;
}

static bool nonce_is_zero(const uint8_t *bytes)
{
    static const uint8_t zeros[DATAGRAM_NONCE_SIZE];
    return memcmp(bytes + DATAGRAM_NONCE_AT, zeros, sizeof zeros) == 0;
}

enum wire_drop wire_open(uint8_t *bytes, size_t size, const struct net_address *address,
                         struct wire_header *header, struct wire_cursor *cursor)
{
    if (size < WIRE_HEADER_SIZE || size > DATAGRAM_SIZE_MAX) {
        return WIRE_DROP_SIZE;
    }
    if (bytes_get_u32(bytes) != WIRE_MAGIC) {
        return WIRE_DROP_MAGIC;
    }
    if (!checksum_matches(bytes, size)) {
        return WIRE_DROP_CHECKSUM;
    }
    *header = (struct wire_header){
        .version = bytes_get_u16(bytes + 4),
        .flags = bytes_get_u16(bytes + 6),
        .cluster_id = bytes_get_u64(bytes + 8),
    };
    if (header->version != WIRE_VERSION) {
        return WIRE_DROP_VERSION;
    }
    header->sender = bytes_get_u32(bytes + 16);
    header->key_id = bytes_get_u32(bytes + 20);
    header->incarnation = bytes_get_u64(bytes + 24);
    header->identity = bytes_get_u64(bytes + 32);
    header->configuration_hash = bytes_get_u64(bytes + 40);
    header->token = bytes_get_u64(bytes + 48);
    if (header->key_id != 0 || !nonce_is_zero(bytes) || (header->flags & ~WIRE_FLAG_ERROR) != 0) {
        return WIRE_DROP_KEY;
    }
    *cursor = (struct wire_cursor){
        .at = bytes + WIRE_HEADER_SIZE,
        .end = bytes + size,
        .header = *header,
        .address = *address,
    };
    return WIRE_OK;
}

/* M7: what somebody may say who does not know the cluster yet. */
static bool needs_no_cluster(const struct message *message)
{
    return message->type == MESSAGE_STATUS_REQUEST ||
           (message->type == MESSAGE_REQUEST && message->request.kind == ENTRY_REGISTER);
}

static enum wire_drop decode_frame(const struct wire_cursor *cursor, uint16_t type,
                                   const uint8_t *body, uint32_t length, struct arena *arena,
                                   struct message *message)
{
    *message = (struct message){
        .from = cursor->header.sender,
        .incarnation = cursor->header.incarnation,
        .identity = cursor->header.identity,
        .configuration_hash = cursor->header.configuration_hash,
        .address = cursor->address,
    };
    const enum wire_drop drop = codec_decode(type, body, length, arena, message);
    if (drop == WIRE_OK && cursor->header.cluster_id == 0 && !needs_no_cluster(message)) {
        return WIRE_DROP_CLUSTER;
    }
    return drop;
}

enum wire_drop wire_next(struct wire_cursor *cursor, struct arena *arena, struct message *message)
{
    while (cursor->at < cursor->end) {
        const size_t available = (size_t)(cursor->end - cursor->at);
        const uint8_t *frame = cursor->at;
        if (available < WIRE_FRAME_HEADER_SIZE || bytes_get_u16(frame + 2) != 0 ||
            bytes_get_u32(frame + 4) > available - WIRE_FRAME_HEADER_SIZE) {
            cursor->at = cursor->end;
            return WIRE_DROP_FRAME;
        }
        const uint16_t type = bytes_get_u16(frame);
        const uint32_t length = bytes_get_u32(frame + 4);
        const uint8_t *body = frame + WIRE_FRAME_HEADER_SIZE;
        cursor->at = body + length;
        if (type != WIRE_FRAME_PADDING) {
            return decode_frame(cursor, type, body, length, arena, message);
        }
    }
    return WIRE_END;
}

size_t wire_arena_size(size_t body_size)
{
    /* Bytes and texts are copied once. The structs around them take most in a datagram full of
     * Requests to register: 80 bytes for a frame of 34. A Status, alone in having more than a few
     * fields, needs the rest: its report, its configuration, protobuf-c's list of its fields. */
    const size_t frames = body_size < DATAGRAM_SIZE_MAX ? body_size : DATAGRAM_SIZE_MAX;
    const size_t status = sizeof(struct status_report) + sizeof(struct configuration) +
                          STATUS_COUNTERS_MAX * 256 + sizeof(Vr__StatusReport);
    return body_size + 2 * frames + status;
}

uint64_t wire_token(const uint8_t secret[WIRE_TOKEN_SECRET_SIZE], const struct net_address *address)
{
    uint8_t form[22];
    memcpy(form, address->ip, sizeof address->ip);
    bytes_put_u16(form + 16, address->port);
    bytes_put_u32(form + 18, address->scope_id);
    uint8_t hash[crypto_shorthash_BYTES];
    (void)crypto_shorthash(hash, form, sizeof form, secret); /* always returns 0 */
    const uint64_t token = bytes_get_u64(hash);
    return token != 0 ? token : 1;
}
