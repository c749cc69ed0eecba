/* SPDX-License-Identifier: Apache-2.0 */
/* mutate.h - damaged copies of datagrams, for what attacks real replicas (test/fuzz, relay). */
#ifndef VR_TEST_MUTATE_H
#define VR_TEST_MUTATE_H

#include "common/base/prng.h"

#include <stddef.h>
#include <stdint.h>

/* Changes `size` bytes in one or several ways: flips bits, overwrites with boundary values, cuts,
 * repeats or appends a piece. The buffer has `capacity` bytes; returns the new size, which may be
 * 0, and the result may happen to equal what was there. */
size_t mutate(uint8_t *bytes, size_t size, size_t capacity, struct prng *prng);

/* Makes the header's checksum right for what the datagram holds now, so that the damage is found by
 * what looks deeper. Too short a datagram stays as it is. */
void mutate_repair_checksum(uint8_t *bytes, size_t size);

#endif
