/* SPDX-License-Identifier: Apache-2.0 */
/* executor_parts.h - what the files of the executor share, and nobody else sees.
 *
 * The front of a cut, all little-endian (docs/formats.md has the whole):
 *
 *    0  format              u32   EXECUTOR_CUT_FORMAT
 *    4  configuration_size  u32
 *    8  executed_op         u64
 *   16  timestamp           u64   of that entry
 *   24  evicted_count       u64
 *   32  digest              128   executor_digest()
 *   48  session_count       u32
 *   52  sessions_max        u32
 *   56  operation_size_max  u32
 *   60  reply_stored_max    u32
 *   64  state_size_max      u64
 *   72  configuration             its one byte form (configuration.h); may be absent
 *       checksum            128   XXH3 of all the above
 *
 * Then the sessions, each CUT_SESSION_SIZE bytes and what it keeps:
 *
 *    0  client_id           128
 *   16  session             u64
 *   24  request_number      u64
 *   32  operation_checksum  u64
 *   40  last_op             u64   rises from one to the next: C4's order
 *   48  kept                u8    enum kept
 *   49  kept_size           u32
 *   53  bytes
 *
 * Then the application's bytes, to the end. */
#ifndef VR_EXECUTOR_PARTS_H
#define VR_EXECUTOR_PARTS_H

#include "server/executor/client_table.h"
#include "server/executor/executor.h"

enum {
    EXECUTOR_CUT_FORMAT = 1,
    CUT_FRONT_SIZE = 72,
    CUT_CHECKSUM_SIZE = 16,
    CUT_FRONT_MAX = CUT_FRONT_SIZE + CONFIGURATION_ENCODED_MAX + CUT_CHECKSUM_SIZE,
    CUT_SESSION_SIZE = 53,
    KEPT_MAX =
        (int)READ_KEPT_MAX > (int)REPLY_STORED_MAX ? (int)READ_KEPT_MAX : (int)REPLY_STORED_MAX,
    CUT_SESSION_MAX = CUT_SESSION_SIZE + KEPT_MAX,
    CUT_PIECE_MAX = CUT_FRONT_MAX > CUT_SESSION_MAX ? CUT_FRONT_MAX : CUT_SESSION_MAX,
    CUT_SESSIONS_STEP = 256, /* sessions in one slice */
};

enum cut_stage {
    CUT_NONE,
    CUT_SESSIONS, /* the front is in the piece, or out; sessions follow */
    CUT_APP,
};

enum load_stage {
    LOAD_NONE,
    LOAD_FRONT,   /* its fixed part */
    LOAD_REST,    /* configuration and checksum */
    LOAD_SESSION, /* its fixed part */
    LOAD_KEPT,    /* what it keeps */
    LOAD_APP,     /* the application's */
    LOAD_DAMAGED, /* was refused */
};

/* Front and sessions are made, and collected, one piece at a time. */
struct cut_state {
    enum cut_stage stage;
    uint8_t piece[CUT_PIECE_MAX];
    size_t piece_size;
    size_t done; /* bytes of the piece that are out */
};

struct load_state {
    enum load_stage stage;
    uint8_t piece[CUT_PIECE_MAX];
    size_t piece_size; /* bytes it will have */
    size_t filled;     /* that it has */
    uint32_t sessions_left;
    struct checksum digest; /* what the state's is to be */
};

struct executor {
    struct cluster_parameters parameters;
    uint8_t configuration[CONFIGURATION_ENCODED_MAX];
    uint32_t configuration_size; /* 0: none was given */
    const struct app *app;
    uint64_t executed_op;
    uint64_t timestamp; /* of the last entry executed */
    struct client_table table;
    uint8_t *result; /* RESULT_SIZE_MAX bytes */
    struct cut_state cut;
    struct load_state load;
};

/* The checksum at the end of a front of `size` bytes, itself not counted. */
struct checksum cut_front_checksum(const uint8_t *front, size_t size);

#endif
