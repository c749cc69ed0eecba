/* SPDX-License-Identifier: Apache-2.0 */
/* When two states are the same: what cannot make a difference any more is left out, times are
 * distances from now, logs are the checksums of their chains. Whatever else is forgotten to be left
 * out costs states, never a violation. */
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "common/base/invariant.h"
#include "common/wire/codec.h"
#include "test/explore/world.h"

uint64_t world_mix(uint64_t hash, const void *bytes, size_t size)
{
    return XXH3_64bits_withSeed(bytes, size, hash);
}

/* A time, as its distance from now; 0 and TIMEOUT_NEVER mean something else. */
static void rebase(uint64_t *at, uint64_t now)
{
    if (*at != 0 && *at != TIMEOUT_NEVER) {
        *at -= now;
    }
}

static void rebase_peer(struct peer *peer, uint64_t now)
{
    uint64_t *const times[] = {
        &peer->heard_ns,        &peer->recovery_heard_ns,  &peer->vote_ns,
        &peer->acked_ns,        &peer->progress_ns,        &peer->pulled_ns,
        &peer->refused_sent_ns, &peer->start_view_sent_ns,
    };
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        rebase(times[i], now);
    }
}

static void rebase_all(struct replica *head, uint64_t now)
{
    for (uint32_t i = 0; i < WORLD_NODES; i++) {
        rebase_peer(&head->peers[i], now);
    }
    for (uint32_t i = 0; i < ROUNDS_REMEMBERED; i++) {
        rebase(&head->round_sent_ns[i], now);
    }
    for (uint32_t i = 0; i < TIMEOUT_COUNT; i++) {
        rebase(&head->timeouts.at_ns[i], now);
    }
    uint64_t *const times[] = {
        &head->get_view_sent_ns,  &head->sync.progress_ns, &head->sync.source_ns,
        &head->transfer.lost_ns,  &head->chunks_due_ns,    &head->asked_checkpoint_ns,
        &head->answers_window_ns, &head->lost_since_ns,
    };
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        rebase(times[i], now);
    }
}

/* What the next call overwrites. */
static void leave_out(struct replica *head)
{
    head->outputs = NULL;
    head->time = (struct vr_time){0};
    head->received_ns = 0;
    head->dropped_last = DROP_NONE;
    head->gap_last = false;
}

/* From a field up to another one. */
#define MIX_FIELDS(hash, head, from, to) \
    world_mix(hash, (const uint8_t *)(head) + offsetof(struct replica, from), \
              offsetof(struct replica, to) - offsetof(struct replica, from))

/* Options are the same all through a life; members that are not there, places in memory and what is
 * only counted make no difference. */
static uint64_t mix_head(uint64_t hash, const struct replica *head)
{
    hash = MIX_FIELDS(hash, head, self, peers[WORLD_NODES]);
    hash = MIX_FIELDS(hash, head, wanted, log);
    hash = MIX_FIELDS(hash, head, log.base_op, log.free_blocks);
    hash = MIX_FIELDS(hash, head, staging.base_op, staging.free_blocks);
    hash = MIX_FIELDS(hash, head, log_generation, checkpoints);
    return MIX_FIELDS(hash, head, checkpoints_gone, view_changes);
}

static uint64_t mix_log(uint64_t hash, const struct vr_log *log)
{
    const struct checksum head = vr_log_checksum(log, log->op_number);
    return world_mix(hash, &head, sizeof head);
}

/* Answers and Prepares that wait. */
static uint64_t mix_waiting(uint64_t hash, const struct replica *r, uint64_t now)
{
    for (uint32_t i = 0; i < SYNC_WINDOW_MAX; i++) {
        const struct sync_slot *slot = &r->sync_slots[i];
        if (slot->from_op != 0) {
            const uint64_t fields[] = {i,
                                       slot->from_op,
                                       slot->to_op,
                                       slot->asked_ns - now,
                                       slot->repeats,
                                       slot->held,
                                       slot->held ? slot->entry_count : 0};
            hash = world_mix(hash, fields, sizeof fields);
            hash = slot->held ? world_mix(hash, slot->entries, slot->entries_size) : hash;
        }
    }
    for (uint32_t i = 0, found = 0; i < STASH_MAX && found < r->stash.count; i++) {
        const struct stash_slot *slot = &r->stash.slots[i];
        if (slot->first_op != 0) {
            found++;
            hash = world_mix(hash, &slot->parent_checksum, sizeof slot->parent_checksum);
            hash = world_mix(hash, slot->entries, slot->entries_size);
        }
    }
    return hash;
}

static uint64_t mix_in_flight(uint64_t hash, const struct in_flight *in_flight)
{
    for (uint32_t i = 0; i <= WORLD_OPS_MAX; i++) {
        const struct in_flight_slot *slot = &in_flight->slots[i];
        if (slot->op_number != 0) {
            const uint64_t fields[] = {slot->op_number, slot->client_id.low, slot->client_id.high,
                                       slot->is_latest, slot->looked_up,     slot->address.port};
            hash = world_mix(hash, fields, sizeof fields);
        }
    }
    return hash;
}

static uint64_t mix_disk(uint64_t hash, const struct world_node *node)
{
    const uint64_t fields[] = {
        node->incarnation,    node->disk.view_number, node->disk.last_normal_view,
        node->disk.log_valid, node->durable_op,       node->submitted,
        node->state_waits,    node->log_waits,        node->vote_heard,
    };
    hash = world_mix(hash, fields, sizeof fields);
    hash = world_mix(hash, node->disk.identities, sizeof node->disk.identities);
    if (node->state_waits) {
        const uint64_t writing[] = {node->state_number, node->state_writing.view_number,
                                    node->state_writing.last_normal_view};
        hash = world_mix(hash, writing, sizeof writing);
    }
    if (node->log_waits) {
        const uint64_t writing[] = {node->log_generation, node->log_op, node->log_cut};
        hash = world_mix(hash, writing, sizeof writing);
    }
    return hash;
}

uint64_t world_node_hash(const struct world *world, uint32_t node)
{
    static union {
        uint8_t bytes[offsetof(struct replica, in_flight)];
        struct replica replica; /* only its head is there */
    } copy;
    const struct replica *r = world->replicas[node];
    const uint64_t now = world->now.nodes[node].now_ns;
    memcpy(copy.bytes, r, sizeof copy.bytes);
    rebase_all(&copy.replica, now);
    leave_out(&copy.replica);
    uint64_t hash = mix_head(node, &copy.replica);
    hash = mix_log(hash, &r->log);
    hash = mix_log(hash, &r->staging);
    hash = mix_waiting(hash, r, now);
    hash = mix_in_flight(hash, &r->in_flight);
    return mix_disk(hash, &world->now.nodes[node]);
}

uint64_t world_letter_hash(const struct world_letter *letter)
{
    uint8_t bytes[2 * WORLD_KEPT_SIZE];
    static struct codec_form form;
    codec_encode(&form, &letter->message);
    INVARIANT(form.size <= sizeof bytes);
    codec_pack(&form, bytes);
    const uint64_t fields[] = {letter->from, letter->to, letter->message.type,
                               letter->message.incarnation};
    return world_mix(world_mix(0, fields, sizeof fields), bytes, form.size);
}

uint64_t world_hash(const struct world *world)
{
    const struct world_now *now = &world->now;
    const uint64_t fields[] = {
        now->left.submissions, now->left.suspicions, now->left.ticks,    now->left.crashes,
        now->nodes[0].hash,    now->nodes[1].hash,   now->nodes[2].hash, now->letters_hash,
        now->views_hash,       now->committed,       now->acknowledged,
    };
    uint64_t hash = world_mix(0, fields, sizeof fields);
    hash = world_mix(hash, now->committed_checksums,
                     (now->committed + 1) * sizeof now->committed_checksums[0]);
    return world_mix(hash, now->committed_views,
                     (now->committed + 1) * sizeof now->committed_views[0]);
}
