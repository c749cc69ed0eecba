/* SPDX-License-Identifier: Apache-2.0 */
/* codec_straight.h - the messages of normal operation to and from bytes without protobuf-c's tables
 * (straight.h): Request, Reply, Prepare, PrepareOk, Commit. Within common/wire only.
 *
 * The bytes are those that protobuf-c would write; of what is read, protobuf-c would make the same
 * (test_wire holds both). */
#ifndef VR_WIRE_CODEC_STRAIGHT_H
#define VR_WIRE_CODEC_STRAIGHT_H

#include "common/base/message.h"
#include "common/wire/arena.h"

/* True for the types above: the next two are for these only. */
bool codec_straight_knows(enum message_type type);

/* Bytes of the body. */
size_t codec_straight_size(const struct message *message);

/* Writes the body; returns its size. */
size_t codec_straight_pack(const struct message *message, uint8_t *bytes);

/* True if the body is of such a type, and of the form that codec_straight_pack() gives it: then
 * message->type and its struct are filled in, and borrow from the arena. False, about anything
 * else: a question for protobuf-c, also if the arena is exhausted; the arena is as it was. Nothing
 * is validated. */
bool codec_straight_decode(uint32_t type, const uint8_t *body, size_t size, struct arena *arena,
                           struct message *message);

#endif
