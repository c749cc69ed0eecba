/* SPDX-License-Identifier: Apache-2.0 */
/* What of a core's memory a step can have changed, to and fro. A replica has room for large
 * groups, long logs and full datagrams; here a hundredth of it is ever touched, and all of that is
 * copied. */
#include <string.h>

#include "common/base/invariant.h"
#include "test/explore/world.h"

struct client_id world_client(uint32_t request)
{
    return (struct client_id){0xc11e, 1 + request};
}

/* In which buckets a core of this seed keeps the requests: asked of the real table. */
void world_find_buckets(struct world *world, uint32_t node, uint64_t life, uint64_t seed)
{
    static struct in_flight scratch;
    static const struct net_address nowhere;
    INVARIANT(life < WORLD_LIVES_MAX);
    for (uint32_t k = 0; k < WORLD_REQUESTS_MAX; k++) {
        in_flight_init(&scratch, seed);
        const struct entry entry = {
            .op_number = 1,
            .client_id = world_client(k),
            .session = 1,
            .kind = ENTRY_OPERATION,
            .body = (const uint8_t *)"",
        };
        in_flight_add(&scratch, &entry, &nowhere);
        uint32_t at = 0;
        while (scratch.buckets[at] == 0) {
            at++;
        }
        world->buckets[node][life][k] = at;
    }
}

static const uint32_t *buckets_of(const struct world *world, uint32_t node)
{
    return world->buckets[node][world->now.nodes[node].incarnation];
}

static void save_log(const struct vr_log *log, uint8_t *bottom, uint8_t *top)
{
    INVARIANT(vr_log_bytes_used(log) <= WORLD_LOG_TOP);
    memcpy(bottom, log->memory, WORLD_LOG_BOTTOM);
    memcpy(top, log->memory + WORLD_LOG_SIZE - WORLD_LOG_TOP, WORLD_LOG_TOP);
}

static void restore_log(void *memory, const uint8_t *bottom, const uint8_t *top)
{
    uint8_t *bytes = memory;
    memcpy(bytes, bottom, WORLD_LOG_BOTTOM);
    memcpy(bytes + WORLD_LOG_SIZE - WORLD_LOG_TOP, top, WORLD_LOG_TOP);
}

static void save_waiting(const struct replica *r, struct world_image *image)
{
    image->sync_count = 0;
    for (uint32_t i = 0; i < SYNC_WINDOW_MAX; i++) {
        const struct sync_slot *slot = &r->sync_slots[i];
        if (slot->from_op != 0) {
            const uint32_t at = image->sync_count++;
            image->sync[at].index = i;
            memcpy(image->sync[at].head, slot, sizeof image->sync[at].head);
            if (slot->held) {
                INVARIANT(slot->entries_size <= WORLD_KEPT_SIZE);
                memcpy(image->sync[at].entries, slot->entries, slot->entries_size);
            }
        }
    }
    image->stash_count = 0;
    for (uint32_t i = 0; i < STASH_MAX && image->stash_count < r->stash.count; i++) {
        const struct stash_slot *slot = &r->stash.slots[i];
        if (slot->first_op != 0) {
            INVARIANT(image->stash_count < WORLD_KEPT_MAX);
            const uint32_t at = image->stash_count++;
            INVARIANT(slot->entries_size <= WORLD_KEPT_SIZE);
            image->stash[at].index = i;
            memcpy(image->stash[at].head, slot, sizeof image->stash[at].head);
            memcpy(image->stash[at].entries, slot->entries, slot->entries_size);
        }
    }
}

static void restore_waiting(struct replica *r, const struct world_image *image)
{
    for (uint32_t i = 0; i < SYNC_WINDOW_MAX; i++) {
        r->sync_slots[i].from_op = 0;
    }
    for (uint32_t i = 0; i < image->sync_count; i++) {
        struct sync_slot *slot = &r->sync_slots[image->sync[i].index];
        memcpy(slot, image->sync[i].head, sizeof image->sync[i].head);
        if (slot->held) {
            memcpy(slot->entries, image->sync[i].entries, slot->entries_size);
        }
    }
    stash_clear(&r->stash);
    for (uint32_t i = 0; i < image->stash_count; i++) {
        struct stash_slot *slot = &r->stash.slots[image->stash[i].index];
        memcpy(slot, image->stash[i].head, sizeof image->stash[i].head);
        memcpy(slot->entries, image->stash[i].entries, slot->entries_size);
    }
    r->stash.count = image->stash_count;
}

void world_image_save(const struct world *world, uint32_t node, struct world_image *image)
{
    const struct replica *r = world->replicas[node];
    INVARIANT(r->catchup_count == 0);
    INVARIANT(r->chunk_queue_count == 0);
    INVARIANT(r->log.op_number <= WORLD_OPS_MAX);
    memcpy(image->head, r, sizeof image->head);
    memcpy(image->slots, r->in_flight.slots, sizeof image->slots);
    for (uint32_t k = 0; k < WORLD_REQUESTS_MAX; k++) {
        image->buckets[k] = r->in_flight.buckets[buckets_of(world, node)[k]];
    }
    save_log(&r->log, image->log_bottom[0], image->log_top[0]);
    save_log(&r->staging, image->log_bottom[1], image->log_top[1]);
    save_waiting(r, image);
}

/* world->now is already what it was. */
void world_image_restore(struct world *world, uint32_t node, const struct world_image *image)
{
    struct replica *r = world->replicas[node];
    /* A life that ended with the step had its requests in other buckets. */
    for (uint32_t life = 0; life < WORLD_LIVES_MAX; life++) {
        for (uint32_t k = 0; k < WORLD_REQUESTS_MAX; k++) {
            r->in_flight.buckets[world->buckets[node][life][k]] = 0;
        }
    }
    memcpy(r, image->head, sizeof image->head);
    memcpy(r->in_flight.slots, image->slots, sizeof image->slots);
    for (uint32_t k = 0; k < WORLD_REQUESTS_MAX; k++) {
        r->in_flight.buckets[buckets_of(world, node)[k]] = image->buckets[k];
    }
    r->in_flight.seed = r->options.seed;
    restore_log(r->log.memory, image->log_bottom[0], image->log_top[0]);
    restore_log(r->staging.memory, image->log_bottom[1], image->log_top[1]);
    restore_waiting(r, image);
}
