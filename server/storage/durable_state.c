/* SPDX-License-Identifier: Apache-2.0 */
/* durable_state.c - what the durable state says and how a start changes it; no file in sight. */
#include <errno.h>
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

int durable_state_start(struct durable_state *state, enum durability durability,
                        const uint8_t boot_id[BOOT_ID_SIZE], enum vr_start *start,
                        struct storage_error *error)
{
    if (durability != DURABILITY_MEMORY) {
        return storage_error_set(error, -ENOTSUP,
                                 "durability %s needs a log on disk, which this version does not "
                                 "have: start with --durability memory",
                                 durability_name(durability));
    }
    /* D3: init's word for the empty log holds for the first start and no other. What a later
     * log_valid says is true of a log on disk (D6); memory is gone with its process. */
    const bool intact = state->vr.log_valid && state->incarnation == 0;
    *start = intact ? VR_START_INITIAL : VR_START_RECOVER;
    state->vr.log_valid = false;
    state->clean_shutdown = false;
    state->durability = durability;
    state->incarnation++;
    memcpy(state->boot_id, boot_id, BOOT_ID_SIZE);
    return 0;
}
