/* SPDX-License-Identifier: Apache-2.0 */
/* codec_straight.c - for each message its size, its bytes and its reading, in the order of
 * proto/vr.proto. */
#include "common/wire/codec_straight.h"

#include <string.h>

#include "common/base/invariant.h"
#include "common/wire/straight.h"

#define ENUM_MAX INT32_MAX

bool codec_straight_knows(enum message_type type)
{
    return type == MESSAGE_REQUEST || type == MESSAGE_REPLY || type == MESSAGE_PREPARE ||
           type == MESSAGE_PREPARE_OK || type == MESSAGE_COMMIT;
}

static struct checksum read_checksum(struct straight *r, uint8_t low, uint8_t high)
{
    struct checksum checksum;
    checksum.low = straight_fixed64(r, low);
    checksum.high = straight_fixed64(r, high);
    return checksum;
}

/* What a body borrows outlives the datagram. */
static const uint8_t *keep(struct straight *r, struct arena *arena, uint8_t tag, uint32_t *size)
{
    const uint8_t *bytes = straight_bytes(r, tag, size);
    if (bytes == NULL) {
        return NULL;
    }
    uint8_t *kept = arena_take(arena, *size);
    if (kept == NULL) {
        straight_fail(r);
        return NULL;
    }
    memcpy(kept, bytes, *size);
    return kept;
}

/* ---- Request -------------------------------------------------------------------------------- */

static size_t request_size(const struct request *m)
{
    return 2 * STRAIGHT_FIXED64_SIZE + straight_varint_size(m->session) +
           straight_varint_size(m->request_number) + straight_varint_size((uint64_t)m->kind) +
           straight_bytes_size(m->operation_size);
}

static uint8_t *put_request(uint8_t *at, const struct request *m)
{
    at = straight_put_fixed64(at, STRAIGHT_FIXED64(1), m->client_id.low);
    at = straight_put_fixed64(at, STRAIGHT_FIXED64(2), m->client_id.high);
    at = straight_put_varint(at, STRAIGHT_VARINT(3), m->session);
    at = straight_put_varint(at, STRAIGHT_VARINT(4), m->request_number);
    at = straight_put_varint(at, STRAIGHT_VARINT(5), (uint64_t)m->kind);
    return straight_put_bytes(at, STRAIGHT_BYTES(6), m->operation, m->operation_size);
}

static void read_request(struct straight *r, struct arena *arena, struct request *m)
{
    m->client_id.low = straight_fixed64(r, STRAIGHT_FIXED64(1));
    m->client_id.high = straight_fixed64(r, STRAIGHT_FIXED64(2));
    m->session = straight_varint(r, STRAIGHT_VARINT(3), UINT64_MAX);
    m->request_number = straight_varint(r, STRAIGHT_VARINT(4), UINT64_MAX);
    m->kind = (enum entry_kind)straight_varint(r, STRAIGHT_VARINT(5), ENUM_MAX);
    m->operation = keep(r, arena, STRAIGHT_BYTES(6), &m->operation_size);
}

/* ---- Reply ---------------------------------------------------------------------------------- */

static size_t reply_size(const struct reply *m)
{
    return 3 * STRAIGHT_FIXED64_SIZE + straight_varint_size(m->op_number) +
           straight_varint_size(m->session) + straight_varint_size(m->request_number) +
           straight_varint_size((uint64_t)m->status) + straight_bytes_size(m->result_size) +
           straight_varint_size(m->commit_number);
}

static uint8_t *put_reply(uint8_t *at, const struct reply *m)
{
    at = straight_put_fixed64(at, STRAIGHT_FIXED64(1), m->view_number);
    at = straight_put_varint(at, STRAIGHT_VARINT(2), m->op_number);
    at = straight_put_fixed64(at, STRAIGHT_FIXED64(3), m->client_id.low);
    at = straight_put_fixed64(at, STRAIGHT_FIXED64(4), m->client_id.high);
    at = straight_put_varint(at, STRAIGHT_VARINT(5), m->session);
    at = straight_put_varint(at, STRAIGHT_VARINT(6), m->request_number);
    at = straight_put_varint(at, STRAIGHT_VARINT(7), (uint64_t)m->status);
    at = straight_put_bytes(at, STRAIGHT_BYTES(8), m->result, m->result_size);
    return straight_put_varint(at, STRAIGHT_VARINT(9), m->commit_number);
}

static void read_reply(struct straight *r, struct arena *arena, struct reply *m)
{
    m->view_number = straight_fixed64(r, STRAIGHT_FIXED64(1));
    m->op_number = straight_varint(r, STRAIGHT_VARINT(2), UINT64_MAX);
    m->client_id.low = straight_fixed64(r, STRAIGHT_FIXED64(3));
    m->client_id.high = straight_fixed64(r, STRAIGHT_FIXED64(4));
    m->session = straight_varint(r, STRAIGHT_VARINT(5), UINT64_MAX);
    m->request_number = straight_varint(r, STRAIGHT_VARINT(6), UINT64_MAX);
    m->status = (enum reply_status)straight_varint(r, STRAIGHT_VARINT(7), ENUM_MAX);
    m->result = keep(r, arena, STRAIGHT_BYTES(8), &m->result_size);
    m->commit_number = straight_varint(r, STRAIGHT_VARINT(9), UINT64_MAX);
}

/* ---- Prepare -------------------------------------------------------------------------------- */

static size_t prepare_size(const struct prepare *m)
{
    return 5 * STRAIGHT_FIXED64_SIZE + straight_varint_size(m->first_op) +
           straight_varint_size(m->commit_number) + straight_varint_size(m->round) +
           straight_varint_size(m->entry_count) + straight_bytes_size(m->entries_size);
}

static uint8_t *put_prepare(uint8_t *at, const struct prepare *m)
{
    at = straight_put_fixed64(at, STRAIGHT_FIXED64(1), m->view_number);
    at = straight_put_varint(at, STRAIGHT_VARINT(2), m->first_op);
    at = straight_put_fixed64(at, STRAIGHT_FIXED64(3), m->parent_checksum.low);
    at = straight_put_fixed64(at, STRAIGHT_FIXED64(4), m->parent_checksum.high);
    at = straight_put_varint(at, STRAIGHT_VARINT(5), m->commit_number);
    at = straight_put_fixed64(at, STRAIGHT_FIXED64(6), m->commit_checksum.low);
    at = straight_put_fixed64(at, STRAIGHT_FIXED64(7), m->commit_checksum.high);
    at = straight_put_varint(at, STRAIGHT_VARINT(8), m->round);
    at = straight_put_varint(at, STRAIGHT_VARINT(9), m->entry_count);
    return straight_put_bytes(at, STRAIGHT_BYTES(10), m->entries, m->entries_size);
}

static void read_prepare(struct straight *r, struct arena *arena, struct prepare *m)
{
    m->view_number = straight_fixed64(r, STRAIGHT_FIXED64(1));
    m->first_op = straight_varint(r, STRAIGHT_VARINT(2), UINT64_MAX);
    m->parent_checksum = read_checksum(r, STRAIGHT_FIXED64(3), STRAIGHT_FIXED64(4));
    m->commit_number = straight_varint(r, STRAIGHT_VARINT(5), UINT64_MAX);
    m->commit_checksum = read_checksum(r, STRAIGHT_FIXED64(6), STRAIGHT_FIXED64(7));
    m->round = straight_varint(r, STRAIGHT_VARINT(8), UINT64_MAX);
    m->entry_count = (uint32_t)straight_varint(r, STRAIGHT_VARINT(9), UINT32_MAX);
    m->entries = keep(r, arena, STRAIGHT_BYTES(10), &m->entries_size);
}

/* ---- PrepareOk ------------------------------------------------------------------------------ */

static size_t prepare_ok_size(const struct prepare_ok *m)
{
    return 5 * STRAIGHT_FIXED64_SIZE + straight_varint_size(m->op_number) +
           straight_varint_size(m->round) + straight_varint_size(m->checkpoint.op_number);
}

static uint8_t *put_prepare_ok(uint8_t *at, const struct prepare_ok *m)
{
    at = straight_put_fixed64(at, STRAIGHT_FIXED64(1), m->view_number);
    at = straight_put_varint(at, STRAIGHT_VARINT(2), m->op_number);
    at = straight_put_fixed64(at, STRAIGHT_FIXED64(3), m->checksum.low);
    at = straight_put_fixed64(at, STRAIGHT_FIXED64(4), m->checksum.high);
    at = straight_put_varint(at, STRAIGHT_VARINT(5), m->round);
    at = straight_put_varint(at, STRAIGHT_VARINT(6), m->checkpoint.op_number);
    at = straight_put_fixed64(at, STRAIGHT_FIXED64(7), m->checkpoint.digest.low);
    return straight_put_fixed64(at, STRAIGHT_FIXED64(8), m->checkpoint.digest.high);
}

static void read_prepare_ok(struct straight *r, struct prepare_ok *m)
{
    m->view_number = straight_fixed64(r, STRAIGHT_FIXED64(1));
    m->op_number = straight_varint(r, STRAIGHT_VARINT(2), UINT64_MAX);
    m->checksum = read_checksum(r, STRAIGHT_FIXED64(3), STRAIGHT_FIXED64(4));
    m->round = straight_varint(r, STRAIGHT_VARINT(5), UINT64_MAX);
    m->checkpoint.op_number = straight_varint(r, STRAIGHT_VARINT(6), UINT64_MAX);
    m->checkpoint.digest = read_checksum(r, STRAIGHT_FIXED64(7), STRAIGHT_FIXED64(8));
}

/* ---- Commit --------------------------------------------------------------------------------- */

static size_t commit_size(const struct commit *m)
{
    return 5 * STRAIGHT_FIXED64_SIZE + straight_varint_size(m->commit_number) +
           straight_varint_size(m->op_number) + straight_varint_size(m->round) +
           straight_varint_size(m->checkpoint.op_number);
}

static uint8_t *put_commit(uint8_t *at, const struct commit *m)
{
    at = straight_put_fixed64(at, STRAIGHT_FIXED64(1), m->view_number);
    at = straight_put_varint(at, STRAIGHT_VARINT(2), m->commit_number);
    at = straight_put_fixed64(at, STRAIGHT_FIXED64(3), m->commit_checksum.low);
    at = straight_put_fixed64(at, STRAIGHT_FIXED64(4), m->commit_checksum.high);
    at = straight_put_varint(at, STRAIGHT_VARINT(5), m->op_number);
    at = straight_put_varint(at, STRAIGHT_VARINT(6), m->round);
    at = straight_put_varint(at, STRAIGHT_VARINT(7), m->checkpoint.op_number);
    at = straight_put_fixed64(at, STRAIGHT_FIXED64(8), m->checkpoint.digest.low);
    return straight_put_fixed64(at, STRAIGHT_FIXED64(9), m->checkpoint.digest.high);
}

static void read_commit(struct straight *r, struct commit *m)
{
    m->view_number = straight_fixed64(r, STRAIGHT_FIXED64(1));
    m->commit_number = straight_varint(r, STRAIGHT_VARINT(2), UINT64_MAX);
    m->commit_checksum = read_checksum(r, STRAIGHT_FIXED64(3), STRAIGHT_FIXED64(4));
    m->op_number = straight_varint(r, STRAIGHT_VARINT(5), UINT64_MAX);
    m->round = straight_varint(r, STRAIGHT_VARINT(6), UINT64_MAX);
    m->checkpoint.op_number = straight_varint(r, STRAIGHT_VARINT(7), UINT64_MAX);
    m->checkpoint.digest = read_checksum(r, STRAIGHT_FIXED64(8), STRAIGHT_FIXED64(9));
}

/* ---- All of them ---------------------------------------------------------------------------- */

size_t codec_straight_size(const struct message *message)
{
    switch (message->type) {
    case MESSAGE_REQUEST:
        return request_size(&message->request);
    case MESSAGE_REPLY:
        return reply_size(&message->reply);
    case MESSAGE_PREPARE:
        return prepare_size(&message->prepare);
    case MESSAGE_PREPARE_OK:
        return prepare_ok_size(&message->prepare_ok);
    case MESSAGE_COMMIT:
        return commit_size(&message->commit);
    default:
        INVARIANT(false); /* codec_straight_knows() */
        return 0;
    }
}

size_t codec_straight_pack(const struct message *message, uint8_t *bytes)
{
    switch (message->type) {
    case MESSAGE_REQUEST:
        return (size_t)(put_request(bytes, &message->request) - bytes);
    case MESSAGE_REPLY:
        return (size_t)(put_reply(bytes, &message->reply) - bytes);
    case MESSAGE_PREPARE:
        return (size_t)(put_prepare(bytes, &message->prepare) - bytes);
    case MESSAGE_PREPARE_OK:
        return (size_t)(put_prepare_ok(bytes, &message->prepare_ok) - bytes);
    case MESSAGE_COMMIT:
        return (size_t)(put_commit(bytes, &message->commit) - bytes);
    default:
        INVARIANT(false); /* codec_straight_knows() */
        return 0;
    }
}

bool codec_straight_decode(uint32_t type, const uint8_t *body, size_t size, struct arena *arena,
                           struct message *message)
{
    const size_t mark = arena_mark(arena);
    struct straight r = {.at = body, .end = body + size};
    switch ((enum message_type)type) {
    case MESSAGE_REQUEST:
        read_request(&r, arena, &message->request);
        break;
    case MESSAGE_REPLY:
        read_reply(&r, arena, &message->reply);
        break;
    case MESSAGE_PREPARE:
        read_prepare(&r, arena, &message->prepare);
        break;
    case MESSAGE_PREPARE_OK:
        read_prepare_ok(&r, &message->prepare_ok);
        break;
    case MESSAGE_COMMIT:
        read_commit(&r, &message->commit);
        break;
    default:
        return false;
    }
    if (!straight_ended(&r)) {
        arena_rewind(arena, mark); /* the arena has no room for a large body twice */
        return false;
    }
    message->type = (enum message_type)type;
    return true;
}
