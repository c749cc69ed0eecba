/* SPDX-License-Identifier: Apache-2.0 */
/* workload.h - what one session of `flood` does, and whether what it reads may be.
 *
 * With `verify` a session is the only one that writes its keys. Its values say (run, session, key,
 * n) with n counting up, so what is read must lie between the last n that was acknowledged, or
 * seen, and the last that was sent: a smaller one was lost, a larger one invented, another
 * session's misplaced. (A request that was given up may still be executed, but not after a later
 * one of its session.)
 *
 * Threads: none of this is shared. */
#ifndef VR_CLI_WORKLOAD_H
#define VR_CLI_WORKLOAD_H

#include "client/cli/flood_options.h"
#include "client/cli/zipf.h"
#include "common/base/prng.h"
#include "common/wire/kv_codec.h"

enum { WORKLOAD_KEY_MAX = 64, VIOLATION_MAX = 512 };

struct workload_key {
    uint64_t floor; /* largest n that was acknowledged or seen; 0: none */
    uint64_t sent;  /* largest n that was sent; 0: none */
};

struct workload {
    const struct flood_options *options;
    uint64_t run; /* random: tells this run's values from an earlier one's */
    uint32_t session;
    struct prng prng;
    struct workload_key *keys; /* verify: of this session; else NULL */
    uint32_t key_count;        /* that it chooses from */
    struct zipf zipf;          /* over key_count, with that distribution */
    uint32_t readback_next;    /* key that the final pass reads next */

    /* The operation under way. */
    bool is_read;
    uint32_t key;
    uint8_t *operation;
    size_t operation_size;
    uint8_t *value; /* value_size bytes */
    uint32_t value_size;
};

enum workload_judgement {
    WORKLOAD_FINE,
    WORKLOAD_VIOLATION, /* the text says which key, and why */
    WORKLOAD_REFUSED,   /* the application did not accept the operation */
};

void workload_init(struct workload *workload, const struct flood_options *options, uint64_t run,
                   uint32_t session);
void workload_free(struct workload *workload);

/* Makes the next operation, in workload->operation. */
void workload_next(struct workload *workload);

/* Makes the next read of the final pass; false if all keys that were written have been read. */
bool workload_next_readback(struct workload *workload);

/* The operation was executed, with this result. `arena` has KV_ARENA_SIZE bytes. */
enum workload_judgement workload_judge(struct workload *workload, const uint8_t *result,
                                       size_t result_size, struct arena *arena,
                                       char violation[VIOLATION_MAX]);

#endif
