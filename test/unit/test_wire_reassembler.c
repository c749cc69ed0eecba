/* SPDX-License-Identifier: Apache-2.0 */
/* The reassembler: any order, any loss, and nobody's patience or memory abused (M6). */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/wire/reassembler.h"
#include "common/wire/sender.h"
#include "test/support/random_message.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#define MS UINT64_C(1000000)

static uint8_t zeros[OPERATION_SIZE_MAX];

static void *reserve(size_t size)
{
    return aligned_alloc(64, (size + 63) / 64 * 64);
}

static struct wire_reassembler *make(const struct wire_reassembler_options *options)
{
    return wire_reassembler_init(reserve(wire_reassembler_memory_size(options)), options);
}

static struct wire_reassembler_counters counters_of(const struct wire_reassembler *reassembler)
{
    struct wire_reassembler_counters counters;
    wire_reassembler_counters(reassembler, &counters);
    return counters;
}

/* ---- Parts by hand -------------------------------------------------------------------------- */

/* A client's request of random bytes, encoded, to cut into parts. */
struct whole {
    struct message message;
    uint8_t operation[OPERATION_SIZE_MAX];
    uint8_t body[MESSAGE_SIZE_MAX];
    uint32_t size;
    uint32_t part_size;
    uint64_t id;
    struct net_address address;
    uint64_t incarnation;
};

static void note_body(void *context, const struct wire_datagram *datagrams, size_t count)
{
    struct whole *whole = context;
    ck_assert_uint_eq(count, 1);
    whole->size = (uint32_t)(datagrams[0].size - WIRE_OVERHEAD);
    memcpy(whole->body, datagrams[0].bytes + WIRE_OVERHEAD, whole->size);
}

/* At most 60,000 bytes: encoded by a sender whose datagrams it fits. */
static struct whole *whole_of(uint32_t operation_size, uint64_t id, uint16_t port)
{
    struct whole *whole = malloc(sizeof *whole);
    struct prng prng;
    prng_seed(&prng, id);
    for (uint32_t i = 0; i < operation_size; i++) {
        whole->operation[i] = (uint8_t)prng_next(&prng);
    }
    whole->message = (struct message){
        .type = MESSAGE_REQUEST,
        .from = REPLICA_NONE,
        .incarnation = 5,
        .identity = 6,
        .configuration_hash = 7,
        .address = {.ip = {127, 0, 0, 1}, .port = port},
        .request = {.client_id = {1, 2},
                    .session = 1,
                    .request_number = id + 1,
                    .kind = ENTRY_OPERATION,
                    .operation_size = operation_size,
                    .operation = whole->operation},
    };
    struct wire_sender_options options;
    wire_sender_options_default(&options);
    options.buffer_count = 1;
    options.datagram_size = options.datagram_size_max = DATAGRAM_SIZE_MAX;
    options.emit = note_body;
    options.emit_context = whole;
    void *memory = malloc(wire_sender_memory_size(&options));
    struct wire_sender *sender = wire_sender_init(memory, &options);
    const struct wire_destination to = {.address = whole->message.address};
    wire_send(sender, &to, &whole->message, 0);
    wire_flush(sender);
    free(memory);
    whole->part_size = 1000;
    whole->id = id;
    whole->address = whole->message.address;
    whole->incarnation = 5;
    return whole;
}

static uint32_t count_of(const struct whole *whole)
{
    return (whole->size + whole->part_size - 1) / whole->part_size;
}

static struct message part_of(const struct whole *whole, uint32_t index)
{
    const uint32_t start = index * whole->part_size;
    const uint32_t rest = whole->size - start;
    const struct message part = {
        .type = MESSAGE_PART,
        .from = REPLICA_NONE,
        .incarnation = whole->incarnation,
        .identity = whole->message.identity,
        .configuration_hash = whole->message.configuration_hash,
        .address = whole->address,
        .part = {.id = whole->id,
                 .type = MESSAGE_REQUEST,
                 .total_size = whole->size,
                 .part_size = whole->part_size,
                 .index = index,
                 .whole_checksum = XXH3_64bits(whole->body, whole->size),
                 .data_size = rest < whole->part_size ? rest : whole->part_size,
                 .data = whole->body + start},
    };
    ck_assert(message_validate(&part));
    return part;
}

static struct message received; /* borrows from the arena below until the next part */

static enum wire_drop give(struct wire_reassembler *reassembler, const struct message *part,
                           uint64_t now_ns)
{
    static _Alignas(ARENA_ALIGNMENT) uint8_t memory[3 * MESSAGE_SIZE_MAX];
    struct arena arena;
    arena_init(&arena, memory, sizeof memory);
    return wire_reassemble(reassembler, part, now_ns, &arena, &received);
}

static enum wire_drop give_part(struct wire_reassembler *reassembler, const struct whole *whole,
                                uint32_t index, uint64_t now_ns)
{
    const struct message part = part_of(whole, index);
    return give(reassembler, &part, now_ns);
}

struct asked {
    unsigned count;
    uint64_t id;
    struct net_address address;
    uint32_t bitmap_size;
    uint8_t bitmap[PARTS_BITMAP_MAX];
};

static void note_ask(void *context, const struct net_address *address,
                     const struct message *message)
{
    struct asked *asked = context;
    ck_assert_int_eq(message->type, MESSAGE_PARTS_MISSING);
    ck_assert(message_validate(message));
    asked->count++;
    asked->id = message->parts_missing.id;
    asked->address = *address;
    asked->bitmap_size = message->parts_missing.bitmap_size;
    memcpy(asked->bitmap, message->parts_missing.bitmap, asked->bitmap_size);
}

static void ignore_ask(void *context, const struct net_address *address,
                       const struct message *message)
{
    (void)context;
    (void)address;
    (void)message;
}

/* ---- Whole again ---------------------------------------------------------------------------- */

START_TEST(any_order_will_do)
{
    struct wire_reassembler_options options;
    wire_reassembler_options_default(&options);
    options.source_size = MESSAGE_SIZE_MAX; /* less than all of them together */
    struct wire_reassembler *r = make(&options);
    struct prng prng;
    prng_seed(&prng, (uint64_t)_i);
    for (uint64_t id = 0; id < 60; id++) {
        struct whole *whole = whole_of((uint32_t)prng_between(&prng, 2000, 60000), id, 100);
        whole->part_size = (uint32_t)prng_between(&prng, PART_SIZE_MIN, whole->size - 1);
        const uint32_t count = count_of(whole);
        uint32_t order[400] = {0};
        for (uint32_t i = 0; i < count; i++) {
            order[i] = i;
        }
        for (uint32_t i = count - 1; i > 0; i--) {
            const uint32_t j = (uint32_t)prng_below(&prng, i + 1);
            const uint32_t swapped = order[i];
            order[i] = order[j];
            order[j] = swapped;
        }
        for (uint32_t i = 0; i < count; i++) {
            ck_assert_int_eq(give_part(r, whole, order[i], 0), WIRE_OK);
            ck_assert_int_eq(received.type, i + 1 < count ? MESSAGE_NONE : MESSAGE_REQUEST);
            if (i + 1 < count) { /* PITFALLS UDP-2: once more is harmless */
                ck_assert_int_eq(give_part(r, whole, order[i], 0), WIRE_DROP_PART_REPEATED);
            }
        }
        ck_assert_int_eq(give_part(r, whole, order[0], 0), WIRE_DROP_PART_REPEATED);
        /* give() above has reused the arena: make it whole from another port to look at it. */
        whole->address.port = 200;
        for (uint32_t i = 0; i < count; i++) {
            ck_assert_int_eq(give_part(r, whole, i, 0), WIRE_OK);
        }
        whole->message.address = whole->address;
        ck_assert(message_equal(&received, &whole->message));
        free(whole);
    }
    const struct wire_reassembler_counters counters = counters_of(r);
    ck_assert_uint_eq(counters.whole, 120);
    ck_assert_uint_eq(counters.unfinished, 0);
    ck_assert_uint_eq(counters.bytes_held, 0);
    ck_assert_uint_eq(counters.given_up, 0);
    free(r);
}
END_TEST

/* Parts of several messages and sources, mixed. */
START_TEST(sources_and_messages_do_not_mix)
{
    struct wire_reassembler_options options;
    wire_reassembler_options_default(&options);
    options.sources_max = 3; /* some share a bucket */
    struct wire_reassembler *r = make(&options);
    struct whole *wholes[4] = {whole_of(5000, 1, 100), whole_of(5000, 2, 100),
                               whole_of(5000, 1, 101), whole_of(5000, 1, 100)};
    wholes[2]->operation[0] ^= 1; /* the same ids, other bytes */
    wholes[3]->incarnation = 6 + (uint64_t)_i;
    wholes[2]->body[wholes[2]->size - 1] ^= 1;
    wholes[3]->body[wholes[3]->size - 1] ^= 2;
    for (uint32_t i = 0; i < count_of(wholes[0]); i++) {
        for (size_t w = 0; w < 4; w++) {
            ck_assert_int_eq(give_part(r, wholes[w], i, 0), WIRE_OK);
            if (i + 1 == count_of(wholes[0])) {
                ck_assert_int_eq(received.type, MESSAGE_REQUEST);
                ck_assert_uint_eq(received.incarnation, wholes[w]->incarnation);
                ck_assert_uint_eq(received.address.port, wholes[w]->address.port);
                const uint8_t last = wholes[w]->body[wholes[w]->size - 1];
                ck_assert_uint_eq(received.request.operation[4999], last);
            }
        }
    }
    for (size_t w = 0; w < 4; w++) {
        free(wholes[w]);
    }
    free(r);
}
END_TEST

/* ---- A lossy network ------------------------------------------------------------------------ */

enum { FLYING_MAX = 20000 };

/* Datagrams under way in one direction. */
struct flying {
    struct {
        uint64_t due_ns;
        uint8_t *bytes;
        size_t size;
    } items[FLYING_MAX];
    size_t count;
};

struct network {
    struct prng prng;
    uint32_t loss_percent;
    uint64_t now_ns;
    struct flying parts;
    struct flying asks;
    uint64_t sent;
};

static void fly(struct network *network, struct flying *flying, const struct wire_datagram *d)
{
    network->sent++;
    if (prng_chance(&network->prng, network->loss_percent, 100)) {
        return;
    }
    const int copies = prng_chance(&network->prng, 1, 10) ? 2 : 1;
    for (int i = 0; i < copies; i++) {
        ck_assert_uint_lt(flying->count, FLYING_MAX);
        uint8_t *bytes = malloc(d->size);
        memcpy(bytes, d->bytes, d->size);
        flying->items[flying->count].bytes = bytes;
        flying->items[flying->count].size = d->size;
        flying->items[flying->count].due_ns =
            network->now_ns + prng_below(&network->prng, 3 * MS); /* reorders */
        flying->count++;
    }
}

static void fly_parts(void *context, const struct wire_datagram *datagrams, size_t count)
{
    struct network *network = context;
    for (size_t i = 0; i < count; i++) {
        ck_assert_uint_le(datagrams[i].size, DATAGRAM_SIZE_DEFAULT);
        fly(network, &network->parts, &datagrams[i]);
    }
}

static void fly_asks(void *context, const struct wire_datagram *datagrams, size_t count)
{
    struct network *network = context;
    for (size_t i = 0; i < count; i++) {
        fly(network, &network->asks, &datagrams[i]);
    }
}

/* Hands over what is due. */
static void land(struct flying *flying, uint64_t now_ns, const struct net_address *from,
                 void (*handle)(struct message *message, void *context), void *context)
{
    static _Alignas(ARENA_ALIGNMENT) uint8_t memory[16384];
    for (size_t i = 0; i < flying->count;) {
        if (flying->items[i].due_ns > now_ns) {
            i++;
            continue;
        }
        struct arena arena;
        arena_init(&arena, memory, sizeof memory);
        struct wire_header header;
        struct wire_cursor cursor;
        struct message message;
        ck_assert_int_eq(
            wire_open(flying->items[i].bytes, flying->items[i].size, from, &header, &cursor),
            WIRE_OK);
        while (wire_next(&cursor, &arena, &message) == WIRE_OK) {
            handle(&message, context);
        }
        free(flying->items[i].bytes);
        flying->items[i] = flying->items[--flying->count];
    }
}

static const struct net_address replica_address = {.ip = {127, 0, 0, 1}, .port = 8000};
static const struct net_address client_address = {.ip = {127, 0, 0, 1}, .port = 40000};

struct ends {
    struct wire_sender *client;
    struct wire_sender *replica;
    struct wire_reassembler *reassembler;
    struct network *network;
    const struct message *sent;
    unsigned completed;
};

static void at_replica(struct message *message, void *context)
{
    struct ends *ends = context;
    static _Alignas(ARENA_ALIGNMENT) uint8_t memory[2 * MESSAGE_SIZE_MAX];
    struct arena arena;
    arena_init(&arena, memory, sizeof memory);
    struct message whole;
    const enum wire_drop drop =
        wire_reassemble(ends->reassembler, message, ends->network->now_ns, &arena, &whole);
    ck_assert(drop == WIRE_OK || drop == WIRE_DROP_PART_REPEATED);
    if (drop == WIRE_OK && whole.type != MESSAGE_NONE) {
        ck_assert_int_eq(whole.type, MESSAGE_REQUEST);
        ck_assert_uint_eq(whole.request.operation_size, ends->sent->request.operation_size);
        ck_assert_mem_eq(whole.request.operation, ends->sent->request.operation,
                         whole.request.operation_size);
        ends->completed++;
    }
}

static void at_client(struct message *message, void *context)
{
    struct ends *ends = context;
    wire_sender_parts_missing(ends->client, message, ends->network->now_ns);
}

static void ask_client(void *context, const struct net_address *address,
                       const struct message *message)
{
    struct ends *ends = context;
    const struct wire_destination to = {.address = *address};
    wire_send(ends->replica, &to, message, ends->network->now_ns);
}

/* A message of 1 MiB in datagrams of 1,400 bytes over a network that loses, repeats and reorders:
 * sent once, made whole by PartsMissing alone, exactly once. */
static void one_mebibyte(uint32_t loss_percent, uint64_t seed)
{
    struct network *network = calloc(1, sizeof *network);
    network->loss_percent = loss_percent;
    prng_seed(&network->prng, seed);
    static uint8_t operation[VALUE_SIZE_MAX];
    for (size_t i = 0; i < sizeof operation; i++) {
        operation[i] = (uint8_t)prng_next(&network->prng);
    }
    const struct message message = {
        .type = MESSAGE_REQUEST,
        .request = {.client_id = {1, 1},
                    .session = 1,
                    .request_number = 1,
                    .kind = ENTRY_OPERATION,
                    .operation_size = sizeof operation,
                    .operation = operation},
    };
    struct wire_sender_options options;
    wire_sender_options_default(&options);
    options.cluster_id = 1;
    options.incarnation = 99;
    options.emit = fly_parts;
    options.emit_context = network;
    void *client_memory = reserve(wire_sender_memory_size(&options));
    struct wire_sender *client = wire_sender_init(client_memory, &options);
    options.sender = 0;
    options.emit = fly_asks;
    void *replica_memory = reserve(wire_sender_memory_size(&options));
    struct wire_sender *replica = wire_sender_init(replica_memory, &options);
    struct wire_reassembler_options reassembler_options;
    wire_reassembler_options_default(&reassembler_options);
    struct wire_reassembler *reassembler = make(&reassembler_options);
    struct ends ends = {client, replica, reassembler, network, &message, 0};

    const struct wire_destination to = {.address = replica_address};
    wire_send(client, &to, &message, 0);
    for (; network->now_ns < 2000 * MS; network->now_ns += MS / 2) {
        wire_sender_tick(client, network->now_ns);
        wire_flush(client);
        land(&network->parts, network->now_ns, &client_address, at_replica, &ends);
        wire_reassembler_tick(reassembler, network->now_ns, ask_client, &ends);
        wire_flush(replica);
        land(&network->asks, network->now_ns, &replica_address, at_client, &ends);
    }
    ck_assert_uint_eq(ends.completed, 1);
    ck_assert_uint_eq(network->parts.count + network->asks.count, 0);
    const struct wire_reassembler_counters counters = counters_of(reassembler);
    ck_assert_uint_eq(counters.whole, 1);
    ck_assert_uint_eq(counters.unfinished, 0);
    if (loss_percent == 0) {
        ck_assert_uint_le(network->sent, 900);
    } else {
        ck_assert_uint_gt(counters.asked, 0);
        /* 833 parts; what is lost, and a little for questions that came too early. */
        ck_assert_uint_le(network->sent, 900 + 900 * loss_percent * 2 / 100);
    }
    ck_assert_uint_eq(wire_reassembler_deadline(reassembler), UINT64_MAX);
    free(reassembler);
    free(client_memory);
    free(replica_memory);
    free(network);
}

START_TEST(one_mebibyte_without_loss)
{
    one_mebibyte(0, (uint64_t)_i);
}
END_TEST

START_TEST(one_mebibyte_with_1_percent_lost)
{
    one_mebibyte(1, (uint64_t)_i);
}
END_TEST

START_TEST(one_mebibyte_with_20_percent_lost)
{
    one_mebibyte(20, (uint64_t)_i);
}
END_TEST

/* ---- Time ----------------------------------------------------------------------------------- */

START_TEST(missing_parts_are_asked_for_when_it_is_quiet)
{
    struct wire_reassembler_options options;
    wire_reassembler_options_default(&options);
    options.quiet_ns = 5 * MS;
    struct wire_reassembler *r = make(&options);
    struct whole *whole = whole_of(9500, 3, 100); /* ten parts */
    ck_assert_uint_eq(count_of(whole), 10);
    struct asked asked = {.count = 0};
    ck_assert_uint_eq(wire_reassembler_deadline(r), UINT64_MAX);
    for (uint32_t i = 0; i < 9; i++) { /* part 9 never comes */
        if (i != 2) {
            ck_assert_int_eq(give_part(r, whole, i, i * 4 * MS), WIRE_OK);
        }
        wire_reassembler_tick(r, i * 4 * MS + 3 * MS, note_ask, &asked);
    }
    /* It was quiet only where part 2 is missing. */
    ck_assert_uint_eq(asked.count, 1);
    ck_assert_uint_eq(asked.bitmap[0], 0xfc);
    ck_assert_uint_eq(asked.bitmap[1], 0x03);

    /* The last part came at 32 ms. Asked 5 ms later, and without an answer after 10, 20, 40 ms ...
     */
    asked.count = 0;
    uint64_t now = 35 * MS;
    uint64_t times[16];
    while (counters_of(r).unfinished > 0 && asked.count < 16) {
        const unsigned before = asked.count;
        now = wire_reassembler_deadline(r);
        wire_reassembler_tick(r, now, note_ask, &asked);
        if (asked.count > before) {
            times[before] = now;
            ck_assert_uint_eq(asked.id, 3);
            ck_assert(net_address_equal(&asked.address, &whole->address));
            ck_assert_uint_eq(asked.bitmap_size, 2);
            ck_assert_uint_eq(asked.bitmap[0], 0x04);
            ck_assert_uint_eq(asked.bitmap[1], 0x02);
        }
    }
    ck_assert_uint_ge(asked.count, 4);
    ck_assert_uint_eq(times[0], 37 * MS);
    ck_assert_uint_eq(times[1], 47 * MS);
    for (unsigned i = 2; i < asked.count; i++) {
        ck_assert_uint_eq(times[i] - times[i - 1], 2 * (times[i - 1] - times[i - 2]));
    }
    ck_assert_uint_eq(now, 32 * MS + options.timeout_ns); /* ... and given up in the end */
    ck_assert_uint_eq(counters_of(r).given_up, 1);
    ck_assert_uint_eq(counters_of(r).bytes_held, 0);
    ck_assert_uint_eq(wire_reassembler_deadline(r), UINT64_MAX);
    free(whole);
    free(r);
}
END_TEST

/* A part now and then is progress, but not for ever. */
START_TEST(nobody_lives_for_ever)
{
    struct wire_reassembler_options options;
    wire_reassembler_options_default(&options);
    options.timeout_ns = 100 * MS;
    options.lifetime_ns = 1000 * MS;
    struct wire_reassembler *r = make(&options);
    struct whole *whole = whole_of(50000, 3, 100);
    uint64_t now = 0;
    for (uint32_t i = 0; counters_of(r).given_up == 0; i++) {
        ck_assert_uint_lt(i + 1, count_of(whole));
        ck_assert_int_eq(give_part(r, whole, i, now), WIRE_OK);
        now += 99 * MS;
        wire_reassembler_tick(r, now, ignore_ask, NULL);
    }
    ck_assert_uint_ge(now, 1000 * MS);
    ck_assert_uint_le(now, 1100 * MS);
    ck_assert_uint_eq(counters_of(r).bytes_held, 0);
    free(whole);
    free(r);
}
END_TEST

/* ---- Bounds --------------------------------------------------------------------------------- */

/* One source claims all it can: it gets its share, and everybody else is served as before. */
START_TEST(a_source_holds_its_share_and_no_more)
{
    struct wire_reassembler_options options;
    wire_reassembler_options_default(&options);
    options.source_size = MESSAGE_SIZE_MAX;
    options.memory_size = 2 * MESSAGE_SIZE_MAX;
    struct wire_reassembler *r = make(&options);
    struct whole *hog = whole_of(50000, 0, 666);
    uint64_t opened = 0;
    for (hog->id = 0; hog->id < 1000; hog->id++) {
        const enum wire_drop drop = give_part(r, hog, 0, 0);
        ck_assert(drop == WIRE_OK || drop == WIRE_DROP_PART_LIMIT);
        opened += drop == WIRE_OK ? 1 : 0;
    }
    ck_assert_uint_eq(opened, MESSAGE_SIZE_MAX / hog->size);
    ck_assert_uint_eq(counters_of(r).unfinished, opened);

    struct whole *other = whole_of(50000, 0, 100);
    for (uint32_t i = 0; i < count_of(other); i++) {
        ck_assert_int_eq(give_part(r, other, i, 0), WIRE_OK);
    }
    ck_assert_int_eq(received.type, MESSAGE_REQUEST);
    /* What it has opened goes on, too. */
    hog->id = 0;
    for (uint32_t i = 1; i < count_of(hog); i++) {
        ck_assert_int_eq(give_part(r, hog, i, 0), WIRE_OK);
    }
    ck_assert_int_eq(received.type, MESSAGE_REQUEST);
    free(other);
    free(hog);
    free(r);
}
END_TEST

/* A claim costs what arrives, not what it says: many sources with one part each of something large
 * leave room for an honest one. */
START_TEST(claims_alone_take_no_memory)
{
    struct wire_reassembler_options options;
    wire_reassembler_options_default(&options);
    options.memory_size = 4 * MESSAGE_SIZE_MAX;
    struct wire_reassembler *r = make(&options);
    struct whole *claim = whole_of(50000, 0, 1);
    struct message part = part_of(claim, 0);
    part.part.total_size = MESSAGE_SIZE_MAX;
    for (uint16_t port = 1; port <= 200; port++) {
        part.address.port = port;
        ck_assert_int_eq(give(r, &part, 0), WIRE_OK);
    }
    ck_assert_uint_le(counters_of(r).bytes_held, 200 * 8192);
    struct whole *other = whole_of(50000, 0, 1000);
    for (uint32_t i = 0; i < count_of(other); i++) {
        ck_assert_int_eq(give_part(r, other, i, 0), WIRE_OK);
    }
    ck_assert_int_eq(received.type, MESSAGE_REQUEST);
    free(other);
    free(claim);
    free(r);
}
END_TEST

/* Memory is full of messages that go on: a newcomer waits. Once they are stuck, the longest stuck
 * one makes room, and the others stay. */
START_TEST(only_the_stuck_make_room)
{
    struct wire_reassembler_options options;
    wire_reassembler_options_default(&options);
    options.memory_size = MESSAGE_SIZE_MAX;
    options.stuck_ns = 50 * MS;
    struct wire_reassembler *r = make(&options);
    struct whole *filler = whole_of(60000, 0, 1);
    uint16_t fillers = 0;
    enum wire_drop drop = WIRE_OK;
    uint64_t now = 0;
    const uint32_t last = count_of(filler) - 1;
    while (drop == WIRE_OK) { /* all but the last two parts of each */
        filler->address.port = ++fillers;
        now = fillers * MS;
        for (uint32_t i = 0; i + 1 < last && drop == WIRE_OK; i++) {
            drop = give_part(r, filler, i, now);
        }
    }
    ck_assert_int_eq(drop, WIRE_DROP_PART_LIMIT);
    ck_assert_uint_ge(fillers, 15);
    ck_assert_uint_le(counters_of(r).bytes_held, MESSAGE_SIZE_MAX + 8192);

    /* Filler 1 makes progress at 30 ms. At 52 ms filler 2, last heard at 2 ms, is stuck; a part of
     * it that is held already is no sign of life. */
    filler->address.port = 1;
    ck_assert_int_eq(give_part(r, filler, last - 1, 30 * MS), WIRE_OK);
    filler->address.port = 2;
    ck_assert_int_eq(give_part(r, filler, 0, 30 * MS), WIRE_DROP_PART_REPEATED);
    struct whole *newcomer = whole_of(20000, 0, 1000);
    ck_assert_int_eq(give_part(r, newcomer, 0, 51 * MS), WIRE_DROP_PART_LIMIT);
    ck_assert_uint_eq(counters_of(r).evicted, 0);
    for (uint32_t i = 0; i < count_of(newcomer); i++) {
        ck_assert_int_eq(give_part(r, newcomer, i, 52 * MS), WIRE_OK);
    }
    ck_assert_int_eq(received.type, MESSAGE_REQUEST);
    ck_assert_uint_eq(counters_of(r).evicted, 1);
    for (uint16_t port = 1; port < fillers; port++) { /* the others are as they were */
        filler->address.port = port;
        if (port > 2) {
            ck_assert_int_eq(give_part(r, filler, last - 1, 52 * MS), WIRE_OK);
        }
        if (port != 2) {
            ck_assert_int_eq(give_part(r, filler, last, 52 * MS), WIRE_OK);
            ck_assert_int_eq(received.type, MESSAGE_REQUEST);
        }
    }
    free(newcomer);
    free(filler);
    free(r);
}
END_TEST

/* The same within one source's share. */
START_TEST(only_the_stuck_make_room_in_a_share)
{
    struct wire_reassembler_options options;
    wire_reassembler_options_default(&options);
    options.source_size = MESSAGE_SIZE_MAX;
    options.stuck_ns = 50 * MS;
    struct wire_reassembler *r = make(&options);
    struct whole *whole = whole_of(60000, 0, 1);
    const uint64_t share = MESSAGE_SIZE_MAX / whole->size;
    for (whole->id = 0; whole->id < share; whole->id++) {
        ck_assert_int_eq(give_part(r, whole, 0, whole->id * MS), WIRE_OK);
    }
    whole->id = 0;
    ck_assert_int_eq(give_part(r, whole, 1, 30 * MS), WIRE_OK); /* then message 1 is the oldest */
    whole->id = 1000;
    ck_assert_int_eq(give_part(r, whole, 0, 50 * MS), WIRE_DROP_PART_LIMIT);
    ck_assert_int_eq(give_part(r, whole, 0, 51 * MS), WIRE_OK);
    ck_assert_uint_eq(counters_of(r).evicted, 1);
    for (whole->id = 0; whole->id < share; whole->id++) {
        if (whole->id != 1) {
            ck_assert_int_eq(give_part(r, whole, 0, 51 * MS), WIRE_DROP_PART_REPEATED);
        }
    }
    free(whole);
    free(r);
}
END_TEST

START_TEST(sources_and_messages_are_bounded)
{
    struct wire_reassembler_options options;
    wire_reassembler_options_default(&options);
    options.sources_max = 3;
    options.messages_max = 4;
    options.stuck_ns = 50 * MS;
    struct wire_reassembler *r = make(&options);
    struct whole *whole = whole_of(5000, 0, 1);
    for (uint16_t port = 1; port <= 3; port++) {
        whole->address.port = port;
        ck_assert_int_eq(give_part(r, whole, 0, port * MS), WIRE_OK);
    }
    whole->address.port = 4; /* a fourth source */
    ck_assert_int_eq(give_part(r, whole, 0, 10 * MS), WIRE_DROP_PART_LIMIT);
    whole->address.port = 1;
    whole->id = 1; /* a fourth message, then a fifth */
    ck_assert_int_eq(give_part(r, whole, 0, 10 * MS), WIRE_OK);
    whole->id = 2;
    ck_assert_int_eq(give_part(r, whole, 0, 10 * MS), WIRE_DROP_PART_LIMIT);

    /* When the second source's only message is stuck, its place goes to the fourth source. The
     * first one's is stuck before: that alone frees no source. */
    whole->id = 0;
    whole->address.port = 4;
    for (uint32_t i = 0; i < count_of(whole); i++) {
        ck_assert_int_eq(give_part(r, whole, i, 53 * MS), WIRE_OK);
    }
    ck_assert_int_eq(received.type, MESSAGE_REQUEST);
    ck_assert_uint_eq(counters_of(r).evicted, 2);
    /* Idle, it makes room at once. */
    whole->address.port = 5;
    ck_assert_int_eq(give_part(r, whole, 0, 53 * MS), WIRE_OK);
    ck_assert_uint_eq(counters_of(r).evicted, 2);
    free(whole);
    free(r);
}
END_TEST

/* Which source is forgotten first: the one that is idle longest. */
START_TEST(what_is_done_is_remembered_for_a_while)
{
    struct wire_reassembler_options options;
    wire_reassembler_options_default(&options);
    options.sources_max = 2;
    struct wire_reassembler *r = make(&options);
    struct whole *whole = whole_of(5000, 0, 1);
    for (uint16_t port = 1; port <= 2; port++) {
        whole->address.port = port;
        for (uint32_t i = 0; i < count_of(whole); i++) {
            ck_assert_int_eq(give_part(r, whole, i, 0), WIRE_OK);
        }
    }
    whole->address.port = 3; /* takes the place of the first */
    ck_assert_int_eq(give_part(r, whole, 0, 0), WIRE_OK);
    whole->address.port = 2;
    ck_assert_int_eq(give_part(r, whole, 0, 0), WIRE_DROP_PART_REPEATED);
    whole->address.port = 1; /* forgotten: begins anew, in the place of the second */
    ck_assert_int_eq(give_part(r, whole, 0, 0), WIRE_OK);
    ck_assert_uint_eq(counters_of(r).unfinished, 2);
    free(whole);
    free(r);
}
END_TEST

/* ---- Lies ----------------------------------------------------------------------------------- */

START_TEST(contradictions_change_nothing)
{
    struct wire_reassembler_options options;
    wire_reassembler_options_default(&options);
    struct wire_reassembler *r = make(&options);
    struct whole *whole = whole_of(5000, 7, 100);
    ck_assert_int_eq(give_part(r, whole, 0, 0), WIRE_OK);
    struct message lie = part_of(whole, 1);
    lie.part.type = MESSAGE_REPLY;
    ck_assert_int_eq(give(r, &lie, 0), WIRE_DROP_PART_MISMATCH);
    lie = part_of(whole, 1);
    lie.part.total_size++;
    ck_assert_int_eq(give(r, &lie, 0), WIRE_DROP_PART_MISMATCH);
    lie = part_of(whole, 1);
    lie.part.whole_checksum++;
    ck_assert_int_eq(give(r, &lie, 0), WIRE_DROP_PART_MISMATCH);
    lie = part_of(whole, 1);
    lie.part.part_size = lie.part.data_size = 999;
    ck_assert_int_eq(give(r, &lie, 0), WIRE_DROP_PART_MISMATCH);
    for (uint32_t i = 1; i < count_of(whole); i++) {
        ck_assert_int_eq(give_part(r, whole, i, 0), WIRE_OK);
    }
    ck_assert(message_equal(&received, &whole->message));
    free(whole);
    free(r);
}
END_TEST

/* Halves of two messages that share an id, after a restart that forgot its counter, say, never
 * become one message. */
START_TEST(parts_that_do_not_belong_together_are_dropped)
{
    struct wire_reassembler_options options;
    wire_reassembler_options_default(&options);
    struct wire_reassembler *r = make(&options);
    struct whole *whole = whole_of(5000, 7, 100);
    const uint32_t count = count_of(whole);
    for (uint32_t i = 0; i + 1 < count; i++) {
        ck_assert_int_eq(give_part(r, whole, i, 0), WIRE_OK);
    }
    struct message last = part_of(whole, count - 1);
    whole->body[whole->size - 1] ^= 1; /* behind the checksum's back */
    ck_assert_int_eq(give(r, &last, 0), WIRE_DROP_PART_CHECKSUM);
    ck_assert_uint_eq(counters_of(r).unfinished, 0);
    ck_assert_uint_eq(counters_of(r).bytes_held, 0);
    /* It is not remembered as done: sent right, it arrives. */
    whole->body[whole->size - 1] ^= 1;
    for (uint32_t i = 0; i < count; i++) {
        ck_assert_int_eq(give_part(r, whole, i, 0), WIRE_OK);
    }
    ck_assert_int_eq(received.type, MESSAGE_REQUEST);
    free(whole);
    free(r);
}
END_TEST

START_TEST(impossible_claims_open_nothing)
{
    struct wire_reassembler_options options;
    wire_reassembler_options_default(&options);
    struct wire_reassembler *r = make(&options);
    struct whole *whole = whole_of(5000, 7, 100);
    struct message part = part_of(whole, 0);
    part.part.type = 24; /* no such message */
    ck_assert_int_eq(give(r, &part, 0), WIRE_DROP_TYPE);
    part.part.type = MESSAGE_PREPARE_OK; /* never that large */
    ck_assert_int_eq(give(r, &part, 0), WIRE_DROP_BODY_SIZE);
    ck_assert_uint_eq(counters_of(r).unfinished, 0);
    free(whole);
    free(r);
}
END_TEST

/* Whole, but rubbish: judged as any message is. */
START_TEST(whole_messages_are_validated)
{
    struct wire_reassembler_options options;
    wire_reassembler_options_default(&options);
    struct wire_reassembler *r = make(&options);
    struct whole *whole = whole_of(5000, 7, 100);
    memset(whole->body, 0xff, whole->size);
    enum wire_drop drop = WIRE_OK;
    for (uint32_t i = 0; i < count_of(whole); i++) {
        drop = give_part(r, whole, i, 0);
    }
    ck_assert_int_eq(drop, WIRE_DROP_BODY);

    struct whole *answer = whole_of(5000, 8, 100); /* a Reply that comes from no replica */
    for (uint32_t i = 0; i < count_of(answer); i++) {
        struct message part = part_of(answer, i);
        part.part.type = MESSAGE_REPLY;
        drop = give(r, &part, 0);
    }
    ck_assert_int_ne(drop, WIRE_OK);
    ck_assert_uint_eq(counters_of(r).unfinished, 0);
    free(answer);
    free(whole);
    free(r);
}
END_TEST

START_TEST(a_small_arena_drops_the_message)
{
    struct wire_reassembler_options options;
    wire_reassembler_options_default(&options);
    struct wire_reassembler *r = make(&options);
    struct whole *whole = whole_of(5000, 7, 100);
    _Alignas(ARENA_ALIGNMENT) uint8_t memory[1024];
    enum wire_drop drop = WIRE_OK;
    for (uint32_t i = 0; i < count_of(whole); i++) {
        struct arena arena;
        arena_init(&arena, memory, sizeof memory);
        const struct message part = part_of(whole, i);
        drop = wire_reassemble(r, &part, 0, &arena, &received);
    }
    ck_assert_int_eq(drop, WIRE_DROP_MEMORY);
    ck_assert_uint_eq(counters_of(r).unfinished, 0);
    free(whole);
    free(r);
}
END_TEST

/* ---- Anything at all ------------------------------------------------------------------------ */

/* Random parts from a few sources, with little memory, for a long time: the books balance. Run
 * under sanitizers. And the same parts give the same results, whatever lay in memory before. */
START_TEST(random_parts_keep_the_books_balanced)
{
    struct wire_reassembler_options options;
    wire_reassembler_options_default(&options);
    options.memory_size = MESSAGE_SIZE_MAX;
    options.source_size = MESSAGE_SIZE_MAX;
    options.messages_max = 20;
    options.sources_max = 6;
    const size_t size = wire_reassembler_memory_size(&options);
    void *memory = reserve(size);
    uint64_t digests[2] = {0};
    for (int run = 0; run < 2; run++) {
        memset(memory, run == 0 ? 0 : 0xff, size);
        struct wire_reassembler *r = wire_reassembler_init(memory, &options);
        struct prng prng;
        prng_seed(&prng, (uint64_t)_i);
        uint64_t now = 0;
        struct asked asked = {.count = 0};
        for (int i = 0; i < 20000; i++) {
            now += prng_below(&prng, MS);
            struct message part = {
                .type = MESSAGE_PART,
                .from = REPLICA_NONE,
                .incarnation = prng_below(&prng, 2),
                .address = {.ip = {127, 0, 0, 1}, .port = (uint16_t)prng_between(&prng, 1, 9)},
                .part = {.id = prng_below(&prng, 12), .type = MESSAGE_REQUEST, .data = zeros},
            };
            static const uint32_t sizes[12] = {1000,  2000,  3000,   9000,   20000,  50000,
                                               90000, 99999, 300000, 700000, 999999, 1054272};
            part.part.total_size = sizes[part.part.id];
            part.part.part_size = sizes[part.part.id] / 8 < 352 ? 352 : sizes[part.part.id] / 8;
            const uint32_t count =
                (part.part.total_size + part.part.part_size - 1) / part.part.part_size;
            part.part.index = (uint32_t)prng_below(&prng, count);
            const uint32_t rest = part.part.total_size - part.part.index * part.part.part_size;
            part.part.data_size = rest < part.part.part_size ? rest : part.part.part_size;
            part.part.whole_checksum = XXH3_64bits(zeros, 1) + part.part.id;
            ck_assert(message_validate(&part));
            const enum wire_drop drop = give(r, &part, now);
            digests[run] = digests[run] * 31 + (uint64_t)drop;
            if (prng_chance(&prng, 1, 20)) {
                wire_reassembler_tick(r, now, note_ask, &asked);
                digests[run] = digests[run] * 31 + asked.count + asked.id + asked.bitmap[0];
            }
            const struct wire_reassembler_counters counters = counters_of(r);
            ck_assert_uint_le(counters.unfinished, options.messages_max);
            ck_assert_uint_le(counters.bytes_held, MESSAGE_SIZE_MAX + 8192);
            ck_assert(counters.unfinished == 0 || wire_reassembler_deadline(r) != UINT64_MAX);
        }
        now += 2 * options.lifetime_ns;
        wire_reassembler_tick(r, now, note_ask, &asked);
        ck_assert_uint_eq(counters_of(r).unfinished, 0);
        ck_assert_uint_eq(counters_of(r).bytes_held, 0);
        ck_assert_uint_eq(wire_reassembler_deadline(r), UINT64_MAX);
        ck_assert_uint_gt(asked.count, 0);
    }
    ck_assert_uint_eq(digests[0], digests[1]);
    free(memory);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("wire_reassembler");
    TCase *tests = tcase_create("reassembler");
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, any_order_will_do, 0, 5);
    tcase_add_loop_test(tests, sources_and_messages_do_not_mix, 0, 20);
    tcase_add_loop_test(tests, one_mebibyte_without_loss, 0, 3);
    tcase_add_loop_test(tests, one_mebibyte_with_1_percent_lost, 0, 10);
    tcase_add_loop_test(tests, one_mebibyte_with_20_percent_lost, 0, 10);
    tcase_add_test(tests, missing_parts_are_asked_for_when_it_is_quiet);
    tcase_add_test(tests, nobody_lives_for_ever);
    tcase_add_test(tests, a_source_holds_its_share_and_no_more);
    tcase_add_test(tests, claims_alone_take_no_memory);
    tcase_add_test(tests, only_the_stuck_make_room);
    tcase_add_test(tests, only_the_stuck_make_room_in_a_share);
    tcase_add_test(tests, sources_and_messages_are_bounded);
    tcase_add_test(tests, what_is_done_is_remembered_for_a_while);
    tcase_add_test(tests, contradictions_change_nothing);
    tcase_add_test(tests, parts_that_do_not_belong_together_are_dropped);
    tcase_add_test(tests, impossible_claims_open_nothing);
    tcase_add_test(tests, whole_messages_are_validated);
    tcase_add_test(tests, a_small_arena_drops_the_message);
    tcase_add_loop_test(tests, random_parts_keep_the_books_balanced, 0, 5);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
