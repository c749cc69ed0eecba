/* SPDX-License-Identifier: Apache-2.0 */
#include "server/executor/client_table.h"

#include <string.h>

#include "common/base/digest.h"
#include "common/base/invariant.h"
#include "common/base/mark.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

/* --- memory --- */

/* At most half full, so that a probe is short: a power of two, twice sessions_max or more. */
static size_t slot_count(uint32_t sessions_max)
{
    size_t count = 2;
    while (count < 2 * (size_t)sessions_max) {
        count *= 2;
    }
    return count;
}

static size_t align16(size_t size)
{
    return (size + 15) & ~(size_t)15;
}

size_t client_table_memory_size(uint32_t sessions_max, uint32_t kept_max)
{
    return 2 * align16(sessions_max * sizeof(struct client_record)) +
           2 * align16(slot_count(sessions_max) * sizeof(uint32_t)) +
           align16(sessions_max * sizeof(uint32_t)) + 2 * (size_t)sessions_max * kept_max;
}

static void table_reset(struct client_table *table)
{
    table->fresh = 0;
    table->free = CLIENT_NONE;
    table->oldest = CLIENT_NONE;
    table->newest = CLIENT_NONE;
    table->count = 0;
    table->evicted_count = 0;
    table->digest = (struct checksum){0, 0};
    table->cut.active = false;
}

void client_table_clear(struct client_table *table)
{
    const size_t slots = (size_t)table->slot_mask + 1;
    memset(table->by_session, 0, slots * sizeof(uint32_t));
    memset(table->by_client, 0, slots * sizeof(uint32_t));
    table_reset(table);
}

void client_table_init(struct client_table *table, void *memory, uint32_t sessions_max,
                       uint32_t kept_max, uint64_t hash_seed)
{
    INVARIANT(sessions_max > 0);
    INVARIANT(sessions_max <= SESSIONS_MAX);
    const size_t slots = slot_count(sessions_max);
    uint8_t *at = memory;
    *table = (struct client_table){
        .sessions_max = sessions_max,
        .kept_max = kept_max,
        .hash_seed = hash_seed,
        .slot_mask = slots - 1,
    };
    table_reset(table);
    table->records = (struct client_record *)(void *)at;
    at += align16(sessions_max * sizeof(struct client_record));
    table->cut.records = (struct client_record *)(void *)at;
    at += align16(sessions_max * sizeof(struct client_record));
    table->cut.heap = (uint32_t *)(void *)at;
    at += align16(sessions_max * sizeof(uint32_t));
    table->by_session = (uint32_t *)(void *)at;
    at += align16(slots * sizeof(uint32_t));
    table->by_client = (uint32_t *)(void *)at;
    at += align16(slots * sizeof(uint32_t));
    table->kept = at;
    table->cut.kept = at + (size_t)sessions_max * kept_max;
}

static uint32_t record_index(const struct client_table *table, const struct client_record *record)
{
    return (uint32_t)(record - table->records);
}

/* --- the two hash tables --- */

/* Seeded: client ids are chosen by clients. */
static uint64_t hash_session(const struct client_table *table, const struct client_record *record)
{
    return XXH3_64bits_withSeed(&record->session, sizeof record->session, table->hash_seed);
}

static uint64_t hash_client(const struct client_table *table, const struct client_record *record)
{
    return XXH3_64bits_withSeed(&record->client_id, sizeof record->client_id, table->hash_seed);
}

typedef uint64_t hash_function(const struct client_table *, const struct client_record *);

static void slots_insert(const struct client_table *table, uint32_t *slots, hash_function *hash,
                         uint32_t index)
{
    uint64_t at = hash(table, &table->records[index]) & table->slot_mask;
    while (slots[at] != 0) {
        at = (at + 1) & table->slot_mask;
    }
    slots[at] = index + 1;
}

/* Empties the record's slot and moves back whatever a probe would no longer reach over the gap. */
static void slots_remove(const struct client_table *table, uint32_t *slots, hash_function *hash,
                         uint32_t index)
{
    const uint64_t mask = table->slot_mask;
    uint64_t gap = hash(table, &table->records[index]) & mask;
    while (slots[gap] != index + 1) {
        INVARIANT(slots[gap] != 0);
        gap = (gap + 1) & mask;
    }
    for (uint64_t at = (gap + 1) & mask; slots[at] != 0; at = (at + 1) & mask) {
        const uint64_t home = hash(table, &table->records[slots[at] - 1]) & mask;
        if (((at - home) & mask) >= ((at - gap) & mask)) {
            slots[gap] = slots[at];
            gap = at;
        }
    }
    slots[gap] = 0;
}

struct client_record *client_table_find(const struct client_table *table, uint64_t session)
{
    const struct client_record wanted = {.session = session};
    uint64_t at = hash_session(table, &wanted) & table->slot_mask;
    for (; table->by_session[at] != 0; at = (at + 1) & table->slot_mask) {
        struct client_record *record = &table->records[table->by_session[at] - 1];
        if (record->session == session) {
            return record;
        }
    }
    return NULL;
}

struct client_record *client_table_find_client(const struct client_table *table,
                                               struct client_id client_id)
{
    const struct client_record wanted = {.client_id = client_id};
    uint64_t at = hash_client(table, &wanted) & table->slot_mask;
    for (; table->by_client[at] != 0; at = (at + 1) & table->slot_mask) {
        struct client_record *record = &table->records[table->by_client[at] - 1];
        if (client_id_equal(record->client_id, client_id)) {
            return record;
        }
    }
    return NULL;
}

/* --- C4's order --- */

static void order_remove(struct client_table *table, struct client_record *record)
{
    if (record->older != CLIENT_NONE) {
        table->records[record->older].newer = record->newer;
    } else {
        table->oldest = record->newer;
    }
    if (record->newer != CLIENT_NONE) {
        table->records[record->newer].older = record->older;
    } else {
        table->newest = record->older;
    }
}

static void order_append(struct client_table *table, struct client_record *record)
{
    const uint32_t index = record_index(table, record);
    record->older = table->newest;
    record->newer = CLIENT_NONE;
    if (table->newest != CLIENT_NONE) {
        INVARIANT(table->records[table->newest].last_op < record->last_op);
        table->records[table->newest].newer = index;
    } else {
        table->oldest = index;
    }
    table->newest = index;
}

/* --- the digest --- */

static struct checksum record_digest(const struct client_table *table,
                                     const struct client_record *record)
{
    const XXH128_hash_t kept = XXH3_128bits(client_table_kept(table, record), record->kept_size);
    const uint64_t words[] = {
        record->client_id.low,
        record->client_id.high,
        record->session,
        record->request_number,
        record->operation_checksum,
        record->last_op,
        (uint64_t)record->kept << 32 | record->kept_size,
        kept.low64,
        kept.high64,
    };
    const XXH128_hash_t hash = XXH3_128bits(words, sizeof words);
    return (struct checksum){hash.low64, hash.high64};
}

static void digest_renew(struct client_table *table, struct client_record *record)
{
    table->digest = digest_subtract(table->digest, record->digest);
    record->digest = record_digest(table, record);
    table->digest = digest_add(table->digest, record->digest);
}

/* --- entry points that change the table --- */

/* Copies kept_size bytes. */
static void keep(const struct client_table *table, const struct client_record *record,
                 const uint8_t *bytes)
{
    if (record->kept_size > 0) {
        memcpy(table->kept + (size_t)record_index(table, record) * table->kept_max, bytes,
               record->kept_size);
    }
}

static uint32_t record_take(struct client_table *table)
{
    if (table->free == CLIENT_NONE) {
        INVARIANT(table->fresh < table->sessions_max);
        return table->fresh++;
    }
    const uint32_t index = table->free;
    table->free = table->records[index].newer;
    return index;
}

/* The newest record, with the given fields. */
static struct client_record *record_add(struct client_table *table,
                                        const struct client_record *fields, const uint8_t *bytes)
{
    const uint32_t index = record_take(table);
    struct client_record *record = &table->records[index];
    *record = *fields;
    record->digest = (struct checksum){0, 0};
    keep(table, record, bytes);
    slots_insert(table, table->by_session, hash_session, index);
    slots_insert(table, table->by_client, hash_client, index);
    order_append(table, record);
    digest_renew(table, record);
    table->count++;
    return record;
}

void client_table_unregister(struct client_table *table, struct client_record *record)
{
    const uint32_t index = record_index(table, record);
    INVARIANT(table->count > 0);
    client_table_cut_keep(table, record);
    slots_remove(table, table->by_session, hash_session, index);
    slots_remove(table, table->by_client, hash_client, index);
    order_remove(table, record);
    table->digest = digest_subtract(table->digest, record->digest);
    record->newer = table->free;
    table->free = index;
    table->count--;
}

struct client_record *client_table_register(struct client_table *table, struct client_id client_id,
                                            uint64_t op_number)
{
    INVARIANT(client_table_find_client(table, client_id) == NULL);
    if (table->count == table->sessions_max) {
        VR_MARK(C4_oldest_session_is_evicted);
        client_table_unregister(table, &table->records[table->oldest]);
        table->evicted_count++;
    }
    const struct client_record fields = {
        .client_id = client_id,
        .session = op_number,
        .last_op = op_number,
        .kept = KEPT_NOTHING,
    };
    return record_add(table, &fields, NULL);
}

bool client_table_load(struct client_table *table, const struct client_record *fields,
                       const uint8_t *bytes)
{
    const bool is_new = fields->request_number == 0;
    const uint64_t last_op =
        table->newest == CLIENT_NONE ? 0 : table->records[table->newest].last_op;
    if (table->count == table->sessions_max || fields->last_op <= last_op || fields->session == 0 ||
        fields->kept > KEPT_READ || fields->kept_size > table->kept_max ||
        (fields->kept == KEPT_NOTHING && fields->kept_size > 0)) {
        return false;
    }
    /* A session that asked nothing yet stands where it was opened, and keeps nothing. */
    if (is_new ? fields->last_op != fields->session || fields->kept != KEPT_NOTHING ||
                     fields->operation_checksum != 0
               : fields->last_op <= fields->session) {
        return false;
    }
    if (client_table_find(table, fields->session) != NULL ||
        client_table_find_client(table, fields->client_id) != NULL) {
        return false;
    }
    (void)record_add(table, fields, bytes);
    return true;
}

void client_table_executed(struct client_table *table, struct client_record *record,
                           uint64_t request_number, uint64_t operation_checksum, uint64_t op_number,
                           enum kept kept, const uint8_t *bytes, uint32_t size)
{
    INVARIANT(request_number > record->request_number);
    INVARIANT(op_number > record->last_op);
    INVARIANT(size <= table->kept_max);
    client_table_cut_keep(table, record);
    record->request_number = request_number;
    record->operation_checksum = operation_checksum;
    record->last_op = op_number;
    record->kept = kept;
    record->kept_size = size;
    keep(table, record, bytes);
    if (record->newer != CLIENT_NONE) {
        order_remove(table, record);
        order_append(table, record);
    }
    digest_renew(table, record);
}

const uint8_t *client_table_kept(const struct client_table *table,
                                 const struct client_record *record)
{
    return table->kept + (size_t)record_index(table, record) * table->kept_max;
}
