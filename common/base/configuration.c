/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/configuration.h"

#include <string.h>

#include "common/base/bytes.h"
#include "common/base/invariant.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

/* Format 1 ended before the last two parameters, which then were what they are by default. Format 3
 * is that of a group made from a backup, and goes on with its root; all others keep format 2, and
 * so their hash. */
enum {
    CONFIGURATION_FORMAT = 2,
    CONFIGURATION_FORMAT_ORIGIN = 3,
    PARAMETERS_SIZE = 24,
    PARAMETERS_SIZE_1 = 12,
    ORIGIN_SIZE = 16,
};

struct cluster_parameters cluster_parameters_default(void)
{
    return (struct cluster_parameters){
        .sessions_max = SESSIONS_DEFAULT,
        .operation_size_max = OPERATION_SIZE_MAX,
        .reply_stored_max = REPLY_STORED_MAX,
        .checkpoint_interval = CHECKPOINT_INTERVAL_DEFAULT,
        .state_size_max = STATE_SIZE_MAX_DEFAULT,
    };
}

static size_t host_length(const struct member *member)
{
    size_t length = 0;
    while (length < sizeof member->host && member->host[length] != '\0') {
        length++;
    }
    return length;
}

static bool same_place(const struct member *a, const struct member *b)
{
    const size_t length = host_length(a);
    if (length != host_length(b) || memcmp(a->host, b->host, length) != 0) {
        return false;
    }
    return a->port == b->port || a->peer_port == b->peer_port || a->port == b->peer_port ||
           a->peer_port == b->port;
}

static const char *reject_member(const struct configuration *c, uint32_t index)
{
    const struct member *member = &c->members[index];
    const size_t length = host_length(member);
    if (length == 0 || length >= sizeof member->host) {
        return "a member without a host name, or with one that is too long";
    }
    if (member->port == 0 || member->peer_port == 0 || member->port == member->peer_port) {
        return "a member needs two different ports, one for clients and one for replicas";
    }
    if (member->role != MEMBER_ACTIVE && member->role != MEMBER_WITNESS) {
        return "a member with an unknown role";
    }
    if (member->replica_id == REPLICA_NONE) {
        return "a replica id that is out of range";
    }
    for (uint32_t i = 0; i < index; i++) {
        if (c->members[i].replica_id == member->replica_id) {
            return "two members with the same replica id";
        }
        if (same_place(&c->members[i], member)) {
            return "two members with the same address";
        }
    }
    return NULL;
}

const char *configuration_reject(const struct configuration *c)
{
    if (c->cluster_id == 0) {
        return "the cluster id is 0";
    }
    if (c->epoch < EPOCH_FIRST || c->epoch >= (1u << (64 - VIEW_BITS))) {
        return "the epoch is out of range";
    }
    if (c->member_count == 0 || c->member_count > REPLICAS_MAX) {
        return "a group has 1 to 9 members";
    }
    uint32_t witnesses = 0;
    for (uint32_t i = 0; i < c->member_count; i++) {
        const char *reason = reject_member(c, i);
        if (reason != NULL) {
            return reason;
        }
        witnesses += c->members[i].role == MEMBER_WITNESS ? 1u : 0u;
    }
    if (witnesses > configuration_faults_max(c)) {
        return "more witnesses than failures tolerated";
    }
    const struct cluster_parameters *p = &c->parameters;
    if (p->sessions_max == 0 || p->sessions_max > SESSIONS_MAX) {
        return "sessions_max is out of range";
    }
    if (p->operation_size_max == 0 || p->operation_size_max > OPERATION_SIZE_MAX) {
        return "operation_size_max is out of range";
    }
    if (p->reply_stored_max < REPLY_STORED_MIN || p->reply_stored_max > REPLY_STORED_MAX) {
        return "reply_stored_max is out of range";
    }
    if (p->checkpoint_interval == 0 || p->checkpoint_interval > CHECKPOINT_INTERVAL_MAX) {
        return "checkpoint_interval is out of range";
    }
    if (p->state_size_max < STATE_SIZE_MIN || p->state_size_max > STATE_SIZE_MAX) {
        return "state_size_max is out of range";
    }
    return NULL;
}

uint32_t configuration_quorum(const struct configuration *c)
{
    return c->member_count / 2 + 1;
}

uint32_t configuration_faults_max(const struct configuration *c)
{
    return (c->member_count - 1) / 2;
}

uint32_t configuration_index(const struct configuration *c, uint32_t replica_id)
{
    for (uint32_t i = 0; i < c->member_count; i++) {
        if (c->members[i].replica_id == replica_id) {
            return i;
        }
    }
    return REPLICAS_MAX;
}

uint32_t configuration_primary(const struct configuration *c, uint64_t view_number)
{
    uint32_t actives[REPLICAS_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < c->member_count; i++) {
        if (c->members[i].role == MEMBER_ACTIVE) {
            actives[count++] = i;
        }
    }
    INVARIANT(count > 0);
    return actives[view_within_epoch(view_number) % count];
}

bool configuration_has_origin(const struct configuration *c)
{
    return c->origin.low != 0 || c->origin.high != 0;
}

size_t configuration_encode(const struct configuration *c, uint8_t *bytes)
{
    uint8_t *at = bytes;
    const bool origin = configuration_has_origin(c);
    bytes_put_u16(at, origin ? CONFIGURATION_FORMAT_ORIGIN : CONFIGURATION_FORMAT);
    bytes_put_u64(at + 2, c->cluster_id);
    bytes_put_u32(at + 10, c->epoch);
    bytes_put_u32(at + 14, c->member_count);
    at += 18;
    for (uint32_t i = 0; i < c->member_count; i++) {
        const struct member *member = &c->members[i];
        const size_t length = host_length(member);
        bytes_put_u32(at, member->replica_id);
        at[4] = (uint8_t)member->role;
        bytes_put_u16(at + 5, (uint16_t)length);
        memcpy(at + 7, member->host, length);
        at += 7 + length;
        bytes_put_u16(at, member->port);
        bytes_put_u16(at + 2, member->peer_port);
        at += 4;
    }
    bytes_put_u32(at, c->parameters.sessions_max);
    bytes_put_u32(at + 4, c->parameters.operation_size_max);
    bytes_put_u32(at + 8, c->parameters.reply_stored_max);
    bytes_put_u32(at + 12, c->parameters.checkpoint_interval);
    bytes_put_u64(at + 16, c->parameters.state_size_max);
    at += PARAMETERS_SIZE;
    if (origin) {
        bytes_put_u64(at, c->origin.low);
        bytes_put_u64(at + 8, c->origin.high);
        at += ORIGIN_SIZE;
    }
    INVARIANT((size_t)(at - bytes) <= CONFIGURATION_ENCODED_MAX);
    return (size_t)(at - bytes);
}

static bool decode_member(const uint8_t **at, const uint8_t *end, struct member *member)
{
    if (end - *at < 7) {
        return false;
    }
    const size_t length = bytes_get_u16(*at + 5);
    member->replica_id = bytes_get_u32(*at);
    member->role = (enum member_role)(*at)[4];
    *at += 7;
    if (length >= sizeof member->host || (size_t)(end - *at) < length + 4) {
        return false;
    }
    memcpy(member->host, *at, length);
    member->port = bytes_get_u16(*at + length);
    member->peer_port = bytes_get_u16(*at + length + 2);
    *at += length + 4;
    /* A NUL inside the name would give the same member a second byte form. */
    return host_length(member) == length;
}

/* What is behind the members. */
static bool decode_rest(const uint8_t *at, size_t size, uint16_t format, struct configuration *c)
{
    const size_t expected = format == 1                      ? PARAMETERS_SIZE_1
                            : format == CONFIGURATION_FORMAT ? PARAMETERS_SIZE
                                                             : PARAMETERS_SIZE + ORIGIN_SIZE;
    if (size != expected) {
        return false;
    }
    c->parameters = cluster_parameters_default();
    c->parameters.sessions_max = bytes_get_u32(at);
    c->parameters.operation_size_max = bytes_get_u32(at + 4);
    c->parameters.reply_stored_max = bytes_get_u32(at + 8);
    if (format > 1) {
        c->parameters.checkpoint_interval = bytes_get_u32(at + 12);
        c->parameters.state_size_max = bytes_get_u64(at + 16);
    }
    if (format < CONFIGURATION_FORMAT_ORIGIN) {
        return true;
    }
    c->origin.low = bytes_get_u64(at + PARAMETERS_SIZE);
    c->origin.high = bytes_get_u64(at + PARAMETERS_SIZE + 8);
    return configuration_has_origin(c); /* without one it has another byte form */
}

bool configuration_decode(const uint8_t *bytes, size_t size, struct configuration *c)
{
    memset(c, 0, sizeof *c);
    const uint16_t format = size < 18 ? 0 : bytes_get_u16(bytes);
    if (format == 0 || format > CONFIGURATION_FORMAT_ORIGIN) {
        return false;
    }
    const uint8_t *at = bytes + 18;
    const uint8_t *end = bytes + size;
    c->cluster_id = bytes_get_u64(bytes + 2);
    c->epoch = bytes_get_u32(bytes + 10);
    c->member_count = bytes_get_u32(bytes + 14);
    if (c->member_count > REPLICAS_MAX) {
        return false;
    }
    for (uint32_t i = 0; i < c->member_count; i++) {
        if (!decode_member(&at, end, &c->members[i])) {
            return false;
        }
    }
    return decode_rest(at, (size_t)(end - at), format, c) && configuration_reject(c) == NULL;
}

uint64_t configuration_hash(const struct configuration *c)
{
    uint8_t bytes[CONFIGURATION_ENCODED_MAX];
    const size_t size = configuration_encode(c, bytes);
    return XXH3_64bits(bytes, size);
}
