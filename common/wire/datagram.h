/* SPDX-License-Identifier: Apache-2.0 */
/* datagram.h - writing what wire.h describes; within common/wire only. */
#ifndef VR_WIRE_DATAGRAM_H
#define VR_WIRE_DATAGRAM_H

#include "common/wire/wire.h"

enum {
    DATAGRAM_NONCE_AT = 56,
    DATAGRAM_NONCE_SIZE = 24,
    DATAGRAM_CHECKSUM_AT = 80,
};
_Static_assert(DATAGRAM_CHECKSUM_AT + (int)sizeof(struct checksum) == WIRE_HEADER_SIZE,
               "the checksum ends the header");

/* Writes a frame's header; `at` has WIRE_FRAME_HEADER_SIZE room. */
void datagram_write_frame(uint8_t *at, uint16_t type, uint32_t length);

/* Writes the header before frames that are already in place, and the checksum over it all. */
void datagram_seal(uint8_t *bytes, size_t size, const struct wire_header *header);

#endif
