/* SPDX-License-Identifier: Apache-2.0 */
/* The executor's state as bytes: executor_parts.h has their layout. */
#include <string.h>

#include "common/base/bytes.h"
#include "common/base/invariant.h"
#include "server/executor/executor_parts.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

struct checksum cut_front_checksum(const uint8_t *front, size_t size)
{
    const XXH128_hash_t hash = XXH3_128bits(front, size);
    return (struct checksum){hash.low64, hash.high64};
}

static void put_checksum(uint8_t *at, struct checksum checksum)
{
    bytes_put_u64(at, checksum.low);
    bytes_put_u64(at + 8, checksum.high);
}

/* --- pieces --- */

static void encode_front(const struct executor *executor, struct cut_state *cut)
{
    const struct cluster_parameters *parameters = &executor->parameters;
    uint8_t *at = cut->piece;
    bytes_put_u32(at, EXECUTOR_CUT_FORMAT);
    bytes_put_u32(at + 4, executor->configuration_size);
    bytes_put_u64(at + 8, executor->executed_op);
    bytes_put_u64(at + 16, executor->timestamp);
    bytes_put_u64(at + 24, executor->table.evicted_count);
    put_checksum(at + 32, executor_digest(executor));
    bytes_put_u32(at + 48, executor->table.count);
    bytes_put_u32(at + 52, parameters->sessions_max);
    bytes_put_u32(at + 56, parameters->operation_size_max);
    bytes_put_u32(at + 60, parameters->reply_stored_max);
    bytes_put_u64(at + 64, parameters->state_size_max);
    memcpy(at + CUT_FRONT_SIZE, executor->configuration, executor->configuration_size);
    const size_t size = CUT_FRONT_SIZE + (size_t)executor->configuration_size;
    put_checksum(at + size, cut_front_checksum(at, size));
    cut->piece_size = size + CUT_CHECKSUM_SIZE;
    cut->done = 0;
}

static void encode_session(const struct client_record *record, const uint8_t *kept,
                           struct cut_state *cut)
{
    uint8_t *at = cut->piece;
    bytes_put_u64(at, record->client_id.low);
    bytes_put_u64(at + 8, record->client_id.high);
    bytes_put_u64(at + 16, record->session);
    bytes_put_u64(at + 24, record->request_number);
    bytes_put_u64(at + 32, record->operation_checksum);
    bytes_put_u64(at + 40, record->last_op);
    at[48] = (uint8_t)record->kept;
    bytes_put_u32(at + 49, record->kept_size);
    if (record->kept_size > 0) {
        memcpy(at + CUT_SESSION_SIZE, kept, record->kept_size);
    }
    cut->piece_size = CUT_SESSION_SIZE + (size_t)record->kept_size;
    cut->done = 0;
}

/* --- slices --- */

void executor_cut_begin(struct executor *executor)
{
    INVARIANT(executor->cut.stage == CUT_NONE);
    INVARIANT(executor->load.stage == LOAD_NONE);
    executor->cut.stage = CUT_SESSIONS;
    encode_front(executor, &executor->cut);
    client_table_cut_begin(&executor->table, executor->executed_op);
    executor->app->cut_begin(executor->app->state);
}

bool executor_cut_active(const struct executor *executor)
{
    return executor->cut.stage != CUT_NONE;
}

static size_t piece_out(struct cut_state *cut, uint8_t *out, size_t capacity)
{
    const size_t left = cut->piece_size - cut->done;
    const size_t size = left < capacity ? left : capacity;
    if (size > 0) {
        memcpy(out, cut->piece + cut->done, size);
        cut->done += size;
    }
    return size;
}

static void cut_sessions(struct executor *executor, uint8_t *out, size_t capacity, size_t *size)
{
    struct cut_state *cut = &executor->cut;
    for (uint32_t step = 0; step < CUT_SESSIONS_STEP; step++) {
        const uint8_t *kept;
        *size += piece_out(cut, out + *size, capacity - *size);
        if (cut->done < cut->piece_size) {
            return;
        }
        const struct client_record *record = client_table_cut_next(&executor->table, &kept);
        if (record == NULL) {
            cut->stage = CUT_APP; /* from the next slice on: a slice does one thing */
            return;
        }
        encode_session(record, kept, cut);
    }
}

bool executor_cut(struct executor *executor, uint8_t *out, size_t capacity, size_t *size)
{
    struct cut_state *cut = &executor->cut;
    INVARIANT(cut->stage != CUT_NONE);
    INVARIANT(capacity > 0);
    *size = 0;
    if (cut->stage == CUT_SESSIONS) {
        cut_sessions(executor, out, capacity, size);
        return true;
    }
    const bool more = executor->app->cut(executor->app->state, out, capacity, size);
    INVARIANT(*size <= capacity);
    cut->stage = more ? CUT_APP : CUT_NONE;
    return more;
}

void executor_cut_abandon(struct executor *executor)
{
    if (executor->cut.stage == CUT_NONE) {
        return;
    }
    executor->cut.stage = CUT_NONE;
    client_table_cut_abandon(&executor->table);
    executor->app->cut_abandon(executor->app->state);
}
