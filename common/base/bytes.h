/* SPDX-License-Identifier: Apache-2.0 */
/* bytes.h - little-endian integers in byte strings. */
#ifndef VR_BASE_BYTES_H
#define VR_BASE_BYTES_H

#include <stdint.h>
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "bytes.h copies integers as they are; a big-endian machine needs swaps here"
#endif

#define BYTES_INTEGER(bits) \
    static inline void bytes_put_u##bits(uint8_t *at, uint##bits##_t value) \
    { \
        memcpy(at, &value, sizeof value); \
    } \
    static inline uint##bits##_t bytes_get_u##bits(const uint8_t *at) \
    { \
        uint##bits##_t value; \
        memcpy(&value, at, sizeof value); \
        return value; \
    }

BYTES_INTEGER(16)
BYTES_INTEGER(32)
BYTES_INTEGER(64)
#undef BYTES_INTEGER

#endif
