/* SPDX-License-Identifier: Apache-2.0 */
/* The executor's state from bytes that come from a disk or a network: executor_parts.h has their
 * layout. Every field is judged before it is used; what no field can show, the digest does. */
#include <string.h>

#include "common/base/bytes.h"
#include "common/base/invariant.h"
#include "server/executor/executor_parts.h"

static struct checksum get_checksum(const uint8_t *at)
{
    return (struct checksum){bytes_get_u64(at), bytes_get_u64(at + 8)};
}

static void expect(struct load_state *load, enum load_stage stage, size_t size)
{
    load->stage = stage;
    load->piece_size = size;
    load->filled = 0;
}

/* The piece goes on: what is there belongs to it. */
static void expect_more(struct load_state *load, enum load_stage stage, size_t size)
{
    load->stage = stage;
    load->piece_size += size;
}

static void expect_session(struct load_state *load)
{
    if (load->sessions_left > 0) {
        expect(load, LOAD_SESSION, CUT_SESSION_SIZE);
    } else {
        load->stage = LOAD_APP;
    }
}

void executor_load_begin(struct executor *executor)
{
    executor_cut_abandon(executor);
    client_table_clear(&executor->table);
    executor->executed_op = 0;
    executor->timestamp = 0;
    executor->app->load_begin(executor->app->state);
    expect(&executor->load, LOAD_FRONT, CUT_FRONT_SIZE);
}

/* --- the front --- */

static bool same_parameters(const struct executor *executor, const uint8_t *at)
{
    return bytes_get_u32(at + 52) == executor->parameters.sessions_max &&
           bytes_get_u32(at + 56) == executor->parameters.operation_size_max &&
           bytes_get_u32(at + 60) == executor->parameters.reply_stored_max &&
           bytes_get_u64(at + 64) == executor->parameters.state_size_max;
}

static bool take_front(struct executor *executor)
{
    struct load_state *load = &executor->load;
    const uint8_t *at = load->piece;
    /* Sizes first: the rest is read by them. */
    if (bytes_get_u32(at) != EXECUTOR_CUT_FORMAT ||
        bytes_get_u32(at + 4) != executor->configuration_size || !same_parameters(executor, at)) {
        return false;
    }
    expect_more(load, LOAD_REST, (size_t)executor->configuration_size + CUT_CHECKSUM_SIZE);
    return true;
}

static bool take_rest(struct executor *executor)
{
    struct load_state *load = &executor->load;
    const uint8_t *at = load->piece;
    const size_t size = load->piece_size - CUT_CHECKSUM_SIZE;
    if (!checksum_equal(get_checksum(at + size), cut_front_checksum(at, size)) ||
        memcmp(at + CUT_FRONT_SIZE, executor->configuration, executor->configuration_size) != 0) {
        return false;
    }
    executor->executed_op = bytes_get_u64(at + 8);
    executor->timestamp = bytes_get_u64(at + 16);
    executor->table.evicted_count = bytes_get_u64(at + 24);
    load->digest = get_checksum(at + 32);
    load->sessions_left = bytes_get_u32(at + 48);
    expect_session(load);
    return load->sessions_left <= executor->parameters.sessions_max &&
           executor->table.evicted_count <= executor->executed_op;
}

bool executor_read_origin(const uint8_t *bytes, size_t size, struct configuration *configuration)
{
    if (size < CUT_FRONT_SIZE || bytes_get_u32(bytes) != EXECUTOR_CUT_FORMAT) {
        return false;
    }
    const size_t configuration_size = bytes_get_u32(bytes + 4);
    const size_t front_size = CUT_FRONT_SIZE + configuration_size;
    return configuration_size <= CONFIGURATION_ENCODED_MAX &&
           size >= front_size + CUT_CHECKSUM_SIZE &&
           checksum_equal(get_checksum(bytes + front_size),
                          cut_front_checksum(bytes, front_size)) &&
           configuration_decode(bytes + CUT_FRONT_SIZE, configuration_size, configuration);
}

void executor_begin_behind(struct executor *executor, uint64_t op_number, uint64_t timestamp)
{
    INVARIANT(executor->executed_op == 0);
    INVARIANT(executor->load.stage == LOAD_NONE);
    executor->executed_op = op_number;
    executor->timestamp = timestamp;
}

/* --- sessions --- */

static struct client_record decode_session(const uint8_t *at)
{
    return (struct client_record){
        .client_id = {bytes_get_u64(at), bytes_get_u64(at + 8)},
        .session = bytes_get_u64(at + 16),
        .request_number = bytes_get_u64(at + 24),
        .operation_checksum = bytes_get_u64(at + 32),
        .last_op = bytes_get_u64(at + 40),
        .kept = at[48],
        .kept_size = bytes_get_u32(at + 49),
    };
}

/* A result is what the group keeps of them; an operation will be executed as the read it must be.
 */
static bool kept_fits(const struct executor *executor, const struct client_record *record,
                      const uint8_t *bytes)
{
    const struct app *app = executor->app;
    switch (record->kept) {
    case KEPT_NOTHING:
        return record->kept_size == 0;
    case KEPT_RESULT:
        return record->kept_size <= executor->parameters.reply_stored_max;
    case KEPT_READ:
        return record->kept_size <= READ_KEPT_MAX &&
               record->operation_checksum ==
                   operation_checksum(ENTRY_OPERATION, bytes, record->kept_size) &&
               app->is_read(app->state, bytes, record->kept_size);
    default:
        return false;
    }
}

static bool take_kept(struct executor *executor)
{
    struct load_state *load = &executor->load;
    const struct client_record record = decode_session(load->piece);
    const uint8_t *bytes = load->piece + CUT_SESSION_SIZE;
    if (record.last_op > executor->executed_op || !kept_fits(executor, &record, bytes) ||
        !client_table_load(&executor->table, &record, bytes)) {
        return false;
    }
    load->sessions_left--;
    expect_session(load);
    return true;
}

static bool take_session(struct executor *executor)
{
    struct load_state *load = &executor->load;
    const uint32_t kept_size = bytes_get_u32(load->piece + 49);
    if (kept_size > KEPT_MAX) {
        return false;
    }
    expect_more(load, LOAD_KEPT, kept_size);
    return kept_size > 0 || take_kept(executor);
}

/* --- bytes --- */

static bool take_piece(struct executor *executor)
{
    switch (executor->load.stage) {
    case LOAD_FRONT:
        return take_front(executor);
    case LOAD_REST:
        return take_rest(executor);
    case LOAD_SESSION:
        return take_session(executor);
    case LOAD_KEPT:
        return take_kept(executor);
    case LOAD_NONE:
    case LOAD_APP:
    case LOAD_DAMAGED:
        break;
    }
    return false;
}

/* Collects; takes the piece once it is whole. */
static bool load_piece(struct executor *executor, const uint8_t **bytes, size_t *size)
{
    struct load_state *load = &executor->load;
    const size_t left = load->piece_size - load->filled;
    const size_t taken = left < *size ? left : *size;
    INVARIANT(load->piece_size <= sizeof load->piece);
    memcpy(load->piece + load->filled, *bytes, taken);
    load->filled += taken;
    *bytes += taken;
    *size -= taken;
    return load->filled < load->piece_size || take_piece(executor);
}

bool executor_load(struct executor *executor, const uint8_t *bytes, size_t size)
{
    const struct app *app = executor->app;
    struct load_state *load = &executor->load;
    INVARIANT(load->stage != LOAD_NONE);
    while (size > 0 && load->stage != LOAD_APP && load->stage != LOAD_DAMAGED) {
        if (!load_piece(executor, &bytes, &size)) {
            load->stage = LOAD_DAMAGED;
        }
    }
    if (load->stage == LOAD_APP && size > 0 && !app->load(app->state, bytes, size)) {
        load->stage = LOAD_DAMAGED;
    }
    return load->stage != LOAD_DAMAGED;
}

bool executor_load_end(struct executor *executor)
{
    const struct app *app = executor->app;
    struct load_state *load = &executor->load;
    INVARIANT(load->stage != LOAD_NONE);
    const bool whole = load->stage == LOAD_APP && app->load_end(app->state) &&
                       checksum_equal(executor_digest(executor), load->digest);
    load->stage = whole ? LOAD_NONE : LOAD_DAMAGED;
    return whole;
}
