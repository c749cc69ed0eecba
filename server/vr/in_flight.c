/* SPDX-License-Identifier: Apache-2.0 */
#include "server/vr/in_flight.h"

#include <string.h>

#include "common/base/invariant.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

/* Sessions are numbers the group gave; a Register has none yet and goes by its client's name. */
static bool same_key(const struct in_flight_slot *slot, enum entry_kind kind,
                     struct client_id client_id, uint64_t session)
{
    return slot->kind == kind && client_id_equal(slot->client_id, client_id) &&
           slot->session == session;
}

static uint32_t *bucket_of(struct in_flight *f, enum entry_kind kind, struct client_id client_id,
                           uint64_t session)
{
    const uint64_t key[4] = {client_id.low, client_id.high, session, (uint64_t)kind};
    return &f->buckets[XXH3_64bits_withSeed(key, sizeof key, f->seed) & (IN_FLIGHT_MAX - 1)];
}

void in_flight_init(struct in_flight *f, uint64_t seed)
{
    f->seed = seed;
    in_flight_clear(f);
}

void in_flight_clear(struct in_flight *f)
{
    memset(f->buckets, 0, sizeof f->buckets);
    for (uint32_t i = 0; i < IN_FLIGHT_MAX; i++) {
        f->slots[i].op_number = 0;
        f->slots[i].is_latest = false;
    }
}

struct in_flight_slot *in_flight_find(struct in_flight *f, enum entry_kind kind,
                                      struct client_id client_id, uint64_t session)
{
    uint32_t link = *bucket_of(f, kind, client_id, session);
    while (link != 0) {
        struct in_flight_slot *slot = &f->slots[link - 1];
        if (same_key(slot, kind, client_id, session)) {
            return slot;
        }
        link = slot->next;
    }
    return NULL;
}

static void unlink_slot(struct in_flight *f, struct in_flight_slot *slot)
{
    if (!slot->is_latest) {
        return;
    }
    const uint32_t wanted = (uint32_t)(slot - f->slots) + 1;
    uint32_t *link = bucket_of(f, slot->kind, slot->client_id, slot->session);
    while (*link != wanted) {
        INVARIANT(*link != 0);
        link = &f->slots[*link - 1].next;
    }
    *link = slot->next;
    slot->is_latest = false;
}

void in_flight_add(struct in_flight *f, const struct entry *entry,
                   const struct net_address *address)
{
    struct in_flight_slot *slot = &f->slots[entry->op_number & (IN_FLIGHT_MAX - 1)];
    unlink_slot(f, slot);
    struct in_flight_slot *before =
        in_flight_find(f, entry->kind, entry->client_id, entry->session);
    if (before != NULL) {
        unlink_slot(f, before);
    }
    uint32_t *bucket = bucket_of(f, entry->kind, entry->client_id, entry->session);
    *slot = (struct in_flight_slot){
        .op_number = entry->op_number,
        .client_id = entry->client_id,
        .session = entry->session,
        .request_number = entry->request_number,
        .operation_checksum = operation_checksum(entry->kind, entry->body, entry->body_size),
        .address = *address,
        .kind = entry->kind,
        .next = *bucket,
        .is_latest = true,
    };
    *bucket = (uint32_t)(slot - f->slots) + 1;
}

const struct in_flight_slot *in_flight_at(const struct in_flight *f, uint64_t op_number)
{
    const struct in_flight_slot *slot = &f->slots[op_number & (IN_FLIGHT_MAX - 1)];
    return slot->op_number == op_number ? slot : NULL;
}
