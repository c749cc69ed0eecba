/* SPDX-License-Identifier: Apache-2.0 */
/* durable_state.c - what the durable state says and how a start changes it; no file in sight. */
#include <string.h>

#include "common/base/invariant.h"
#include "server/storage/state_file.h"

void durable_state_init(struct durable_state *state, const struct configuration *configuration,
                        uint32_t replica_id, uint64_t identity)
{
    const uint32_t own = configuration_index(configuration, replica_id);
    INVARIANT(configuration_reject(configuration) == NULL);
    INVARIANT(own < configuration->member_count);
    INVARIANT(identity != 0);
    *state = (struct durable_state){
        .configuration = *configuration,
        .replica_id = replica_id,
        .identity = identity,
        .clean_shutdown = true,
        .durability = DURABILITY_MEMORY,
        .vr =
            {
                .view_number = view_make(configuration->epoch, 0),
                .last_normal_view = VIEW_NONE,
                .log_valid = true,
            },
    };
    state->vr.identities[own] = identity;
}

const char *durable_state_reject(const struct durable_state *state)
{
    const char *reason = configuration_reject(&state->configuration);
    if (reason != NULL) {
        return reason;
    }
    const uint32_t own = configuration_index(&state->configuration, state->replica_id);
    if (own >= state->configuration.member_count) {
        return "the replica is not a member of its own configuration";
    }
    if (state->identity == 0 || state->vr.identities[own] != state->identity) {
        return "the data directory's identity is not the one bound to the replica";
    }
    if (state->durability < DURABILITY_MEMORY || state->durability > DURABILITY_SYNC) {
        return "an unknown durability mode";
    }
    if (view_epoch(state->vr.view_number) != state->configuration.epoch) {
        return "the view's epoch is not the configuration's";
    }
    if (state->vr.last_normal_view > state->vr.view_number) {
        return "the last normal view is above the view";
    }
    return NULL;
}

static bool is_same_boot(const struct durable_state *state, const uint8_t boot_id[BOOT_ID_SIZE])
{
    static const uint8_t unknown[BOOT_ID_SIZE];
    return memcmp(boot_id, unknown, BOOT_ID_SIZE) != 0 &&
           memcmp(boot_id, state->boot_id, BOOT_ID_SIZE) == 0;
}

bool durable_state_trusts_log(const struct durable_state *state,
                              const uint8_t boot_id[BOOT_ID_SIZE])
{
    if (state->incarnation == 0) {
        return state->vr.log_valid; /* init's word for an empty log (D3) */
    }
    switch (state->durability) {
    case DURABILITY_SYNC:
        return state->vr.log_valid;
    case DURABILITY_ASYNC:
        return state->vr.log_valid && (state->clean_shutdown || is_same_boot(state, boot_id));
    default:
        return false; /* memory is gone with its process */
    }
}

bool durable_state_was_writing(const struct durable_state *state, const struct wal_found *found,
                               const uint8_t boot_id[BOOT_ID_SIZE])
{
    return found->condition == WAL_FAULTY && !found->lost_durable && found->unreadable_bytes == 0 &&
           found->held_op >= found->commit_known && !state->clean_shutdown &&
           (found->tail_unfinished || !is_same_boot(state, boot_id));
}

bool durable_state_lost_log(const struct durable_state *state, const struct wal_found *found,
                            uint64_t base_op, const uint8_t boot_id[BOOT_ID_SIZE])
{
    return found->condition == WAL_BROKEN || found->base_op > base_op ||
           (found->condition == WAL_FAULTY && !durable_state_was_writing(state, found, boot_id));
}

void durable_state_expect(const struct durable_state *state, struct wal_options *options)
{
    options->named_segment = state->log_segment;
    options->end = state->clean_shutdown ? state->log_end : (struct wal_end){.segment = 0};
}

enum vr_start durable_state_start(struct durable_state *state, enum durability durability,
                                  const uint8_t boot_id[BOOT_ID_SIZE], bool log_counts)
{
    const bool first = state->incarnation == 0 && state->vr.log_valid;
    /* D11: a log that is not on disk is used up by this very start (D3). */
    const bool counts = log_counts && durability != DURABILITY_MEMORY;
    state->vr.log_valid = counts;
    state->clean_shutdown = false;
    memset(&state->log_end, 0, sizeof state->log_end);
    state->durability = durability;
    state->incarnation++;
    memcpy(state->boot_id, boot_id, BOOT_ID_SIZE);
    return first && (counts || durability == DURABILITY_MEMORY) ? VR_START_INITIAL
           : counts                                             ? VR_START_RESUME
                                                                : VR_START_RECOVER;
}

void durable_state_rebuild(struct durable_state *state)
{
    state->diverged = false;
    state->clean_shutdown = false;
    state->vr.log_valid = false;
    state->log_segment = 0;
    memset(&state->log_end, 0, sizeof state->log_end);
    memset(&state->checkpoint, 0, sizeof state->checkpoint);
}
