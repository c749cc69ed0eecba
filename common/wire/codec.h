/* SPDX-License-Identifier: Apache-2.0 */
/* codec.h - messages to and from protobuf; within common/wire only, which alone knows protobuf.
 *
 * Encoding takes two steps, so that a frame's body is packed right where it leaves from:
 *
 *     codec_encode()  makes the protobuf form, which borrows from the message
 *     codec_pack()    writes its bytes
 */
#ifndef VR_WIRE_CODEC_H
#define VR_WIRE_CODEC_H

#include "common/wire/wire.h"
#include "proto/vr.pb-c.h"

struct codec_form {
    union {
        ProtobufCMessage base;
        Vr__Read read;
        Vr__StatusRequest status_request;
        Vr__NotPrimary not_primary;
        Vr__Busy busy;
        Vr__Challenge challenge;
        Vr__Refused refused;
        Vr__StatusReport status;
        Vr__TraceRequest trace_request;
        Vr__TraceReport trace_report;
        Vr__LogLevelRequest log_level_request;
        Vr__LogLevelReport log_level_report;
        Vr__RestoreStatus restore_status;
        Vr__Restore restore;
        Vr__RestoreReport restore_report;
        Vr__Goodbye goodbye;
        Vr__StartViewChange start_view_change;
        Vr__DoViewChange do_view_change;
        Vr__StartView start_view;
        Vr__GetView get_view;
        Vr__CatchupRequest catchup_request;
        Vr__CatchupResponse catchup_response;
        Vr__CheckpointOffer checkpoint_offer;
        Vr__CheckpointRequest checkpoint_request;
        Vr__CheckpointChunk checkpoint_chunk;
        Vr__BackupRequest backup_request;
        Vr__BackupOffer backup_offer;
        Vr__Recovery recovery;
        Vr__RecoveryResponse recovery_response;
        Vr__Part part;
        Vr__PartsMissing parts_missing;
    };
    union { /* what some of them point to */
        Vr__LogDescriptor log;
        struct {
            uint8_t configuration[CONFIGURATION_ENCODED_MAX];
            Vr__StatusCounter counters[STATUS_COUNTERS_MAX];
            Vr__StatusCounter *pointers[STATUS_COUNTERS_MAX];
        } status_parts;
    };
    const struct message *straight; /* packed without a form (codec_straight.h), or NULL */
    size_t size;                    /* bytes that codec_pack() writes */
};

/* *form borrows from *message and from itself: it must not be moved. */
void codec_encode(struct codec_form *form, const struct message *message);

void codec_pack(const struct codec_form *form, uint8_t *bytes);

/* The most bytes that a body of this frame type can have; 0: there is no such type. */
uint32_t codec_body_size_max(uint32_t type);

/* Decodes a body into message->type and its struct, which borrow from the arena, and validates
 * them together with the envelope that *message already has. */
enum wire_drop codec_decode(uint32_t type, const uint8_t *body, size_t size, struct arena *arena,
                            struct message *message);

/* The same of a body that is not too large, by protobuf-c whatever its form; validates nothing. */
enum wire_drop codec_decode_any(uint32_t type, const uint8_t *body, size_t size,
                                struct arena *arena, struct message *message);

#endif
