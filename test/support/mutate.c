/* SPDX-License-Identifier: Apache-2.0 */
#include "test/support/mutate.h"

#include <string.h>

#include "common/base/bytes.h"
#include "common/wire/wire.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { CHECKSUM_OFFSET = 80, CHECKSUM_SIZE = 16, PIECE_MAX = 64, CHANGES_MAX = 4 };

_Static_assert(CHECKSUM_OFFSET + CHECKSUM_SIZE == WIRE_HEADER_SIZE, "wire.h's table");

/* Numbers at which length and range checks tend to be wrong. */
static uint8_t boundary_byte(struct prng *prng)
{
    static const uint8_t values[] = {0x00, 0x01, 0x7f, 0x80, 0xfe, 0xff};
    return values[prng_below(prng, sizeof values)];
}

static size_t change_once(uint8_t *bytes, size_t size, size_t capacity, struct prng *prng)
{
    const uint64_t kind = prng_below(prng, 6);
    if (size == 0 || kind == 0) { /* append */
        size_t room = capacity - size;
        room = room < PIECE_MAX ? room : PIECE_MAX;
        const size_t count = (size_t)prng_below(prng, room + 1);
        for (size_t i = 0; i < count; i++) {
            bytes[size + i] = (uint8_t)prng_next(prng);
        }
        return size + count;
    }
    const size_t at = (size_t)prng_below(prng, size);
    const size_t left = size - at;
    const size_t piece = (size_t)prng_between(prng, 1, left < PIECE_MAX ? left : PIECE_MAX);
    switch (kind) {
    case 1: /* cut the end off */
        return at;
    case 2: /* take a piece out */
        memmove(bytes + at, bytes + at + piece, left - piece);
        return size - piece;
    case 3: /* overwrite a piece with another one */
        memmove(bytes + at, bytes + prng_below(prng, size - piece + 1), piece);
        return size;
    case 4: /* extreme values */
        memset(bytes + at, boundary_byte(prng), prng_chance(prng, 1, 2) ? 1 : piece);
        return size;
    default: /* one bit */
        bytes[at] ^= (uint8_t)(1u << prng_below(prng, 8));
        return size;
    }
}

size_t mutate(uint8_t *bytes, size_t size, size_t capacity, struct prng *prng)
{
    const uint64_t changes = prng_between(prng, 1, CHANGES_MAX);
    for (uint64_t i = 0; i < changes; i++) {
        size = change_once(bytes, size, capacity, prng);
    }
    return size;
}

void mutate_repair_checksum(uint8_t *bytes, size_t size)
{
    if (size < WIRE_HEADER_SIZE) {
        return;
    }
    memset(bytes + CHECKSUM_OFFSET, 0, CHECKSUM_SIZE);
    const XXH128_hash_t hash = XXH3_128bits(bytes, size);
    bytes_put_u64(bytes + CHECKSUM_OFFSET, hash.low64);
    bytes_put_u64(bytes + CHECKSUM_OFFSET + 8, hash.high64);
}
