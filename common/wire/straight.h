/* SPDX-License-Identifier: Apache-2.0 */
/* straight.h - protobuf's bytes, read and written straight, for what comes with every operation.
 *
 * protobuf-c goes through a table of descriptors, field by field, and takes memory for each message
 * and each run of bytes. Nearly all messages of a loaded group are of a few kinds whose fields are
 * numbered 1 to 15, each there once and in order, because that is how they are written. For such a
 * body the functions below are a few instructions a field. The reader takes nothing else: whatever
 * deviates, be it well-formed or not, fails it, and is left to protobuf-c, which judges.
 *
 * A reader that has failed stays failed, and its numbers are 0: one look at the end is enough. */
#ifndef VR_WIRE_STRAIGHT_H
#define VR_WIRE_STRAIGHT_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/bytes.h"

/* A field's first byte: its number and how it is encoded. */
#define STRAIGHT_VARINT(field) ((uint8_t)((field) << 3 | 0))
#define STRAIGHT_FIXED64(field) ((uint8_t)((field) << 3 | 1))
#define STRAIGHT_BYTES(field) ((uint8_t)((field) << 3 | 2))

enum { STRAIGHT_FIXED64_SIZE = 9 };

/* ---- Reading -------------------------------------------------------------------------------- */

struct straight {
    const uint8_t *at;
    const uint8_t *end;
    bool failed;
};

static inline void straight_fail(struct straight *reader)
{
    reader->failed = true;
    reader->at = reader->end;
}

static inline bool straight_tag(struct straight *reader, uint8_t tag)
{
    if (reader->at == reader->end || *reader->at != tag) {
        straight_fail(reader);
        return false;
    }
    reader->at++;
    return true;
}

/* Of one that is longer than it must be protobuf-c knows better what it means. */
static inline uint64_t straight_number(struct straight *reader, uint64_t max)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 63 && reader->at < reader->end; shift += 7) {
        const uint8_t byte = *reader->at++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            if ((byte == 0 && shift > 0) || value > max) {
                break;
            }
            return value;
        }
    }
    straight_fail(reader);
    return 0;
}

static inline uint64_t straight_varint(struct straight *reader, uint8_t tag, uint64_t max)
{
    return straight_tag(reader, tag) ? straight_number(reader, max) : 0;
}

static inline uint64_t straight_fixed64(struct straight *reader, uint8_t tag)
{
    if (!straight_tag(reader, tag)) {
        return 0;
    }
    if (reader->end - reader->at < 8) {
        straight_fail(reader);
        return 0;
    }
    const uint64_t value = bytes_get_u64(reader->at);
    reader->at += 8;
    return value;
}

/* Where they lie in the body; NULL if there are none. */
static inline const uint8_t *straight_bytes(struct straight *reader, uint8_t tag, uint32_t *size)
{
    *size = 0;
    if (!straight_tag(reader, tag)) {
        return NULL;
    }
    const uint64_t length = straight_number(reader, UINT32_MAX);
    if (length > (size_t)(reader->end - reader->at)) {
        straight_fail(reader);
        return NULL;
    }
    const uint8_t *bytes = reader->at;
    reader->at += length;
    *size = (uint32_t)length;
    return length > 0 ? bytes : NULL;
}

/* True if all was there, and nothing else. */
static inline bool straight_ended(const struct straight *reader)
{
    return !reader->failed && reader->at == reader->end;
}

/* ---- Writing -------------------------------------------------------------------------------- */

static inline size_t straight_number_size(uint64_t value)
{
    return (size_t)(70 - __builtin_clzll(value | 1)) / 7;
}

static inline size_t straight_varint_size(uint64_t value)
{
    return 1 + straight_number_size(value);
}

static inline size_t straight_bytes_size(size_t size)
{
    return 1 + straight_number_size(size) + size;
}

/* They write what the sizes above say, and return where it ends. */
static inline uint8_t *straight_put_number(uint8_t *at, uint64_t value)
{
    for (; value >= 0x80; value >>= 7) {
        *at++ = (uint8_t)(value | 0x80);
    }
    *at++ = (uint8_t)value;
    return at;
}

static inline uint8_t *straight_put_varint(uint8_t *at, uint8_t tag, uint64_t value)
{
    *at++ = tag;
    return straight_put_number(at, value);
}

static inline uint8_t *straight_put_fixed64(uint8_t *at, uint8_t tag, uint64_t value)
{
    *at++ = tag;
    bytes_put_u64(at, value);
    return at + 8;
}

static inline uint8_t *straight_put_bytes(uint8_t *at, uint8_t tag, const uint8_t *bytes,
                                          size_t size)
{
    *at++ = tag;
    at = straight_put_number(at, size);
    if (size > 0) {
        memcpy(at, bytes, size);
    }
    return at + size;
}

#endif
