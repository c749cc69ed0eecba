/* SPDX-License-Identifier: Apache-2.0 */
/* The sender: what shares a datagram, what is split, and how fast parts leave (M1, M2, M3, M6). */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/wire/sender.h"
#include "test/support/random_message.h"

enum { CAUGHT_MAX = 4096, MS = 1000000 };

/* What came out, datagram by datagram. */
struct caught {
    struct {
        struct net_address address;
        uint8_t *bytes;
        size_t size;
        unsigned batch; /* which call of emit() */
    } items[CAUGHT_MAX];
    size_t count;
    unsigned batches;
};

static struct caught caught;

static void catch_all(void *context, const struct wire_datagram *datagrams, size_t count)
{
    struct caught *to = context;
    ck_assert_uint_gt(count, 0);
    for (size_t i = 0; i < count; i++) {
        ck_assert_uint_lt(to->count, CAUGHT_MAX);
        to->items[to->count].address = datagrams[i].address;
        to->items[to->count].bytes = malloc(datagrams[i].size);
        memcpy(to->items[to->count].bytes, datagrams[i].bytes, datagrams[i].size);
        to->items[to->count].size = datagrams[i].size;
        to->items[to->count].batch = to->batches;
        to->count++;
    }
    to->batches++;
}

static void forget_caught(void)
{
    for (size_t i = 0; i < caught.count; i++) {
        free(caught.items[i].bytes);
    }
    memset(&caught, 0, sizeof caught);
}

static struct wire_sender_options options_for_test(void)
{
    struct wire_sender_options options;
    wire_sender_options_default(&options);
    options.cluster_id = 77;
    options.sender = 1;
    options.incarnation = 3;
    options.number = 9;
    options.emit = catch_all;
    options.emit_context = &caught;
    return options;
}

static struct wire_destination to_port(uint16_t port)
{
    return (struct wire_destination){.address = {.ip = {127, 0, 0, 1}, .port = port}};
}

static struct message goodbye(uint64_t view)
{
    return (struct message){
        .type = MESSAGE_GOODBYE,
        .goodbye = {.view_number = view_make(EPOCH_FIRST, view)},
    };
}

/* A request whose body is somewhat larger than `size`. */
static struct message request_of(const uint8_t *operation, uint32_t size)
{
    return (struct message){
        .type = MESSAGE_REQUEST,
        .request = {.client_id = {1, 2},
                    .session = 1,
                    .request_number = 1,
                    .kind = ENTRY_OPERATION,
                    .operation_size = size,
                    .operation = operation},
    };
}

static uint8_t zeros[OPERATION_SIZE_MAX];

/* Calls back for every message in a datagram. */
static size_t each_message(size_t index, struct wire_header *header,
                           void (*visit)(const struct message *message, void *context),
                           void *context)
{
    static _Alignas(ARENA_ALIGNMENT) uint8_t memory[4 * DATAGRAM_SIZE_MAX];
    struct arena arena;
    arena_init(&arena, memory, sizeof memory);
    struct wire_header unused;
    struct wire_cursor cursor;
    ck_assert_int_eq(wire_open(caught.items[index].bytes, caught.items[index].size,
                               &caught.items[index].address, header != NULL ? header : &unused,
                               &cursor),
                     WIRE_OK);
    struct message message;
    size_t count = 0;
    enum wire_drop drop;
    while ((drop = wire_next(&cursor, &arena, &message)) != WIRE_END) {
        ck_assert_int_eq(drop, WIRE_OK);
        if (visit != NULL) {
            visit(&message, context);
        }
        count++;
    }
    return count;
}

/* ---- Coalescing ----------------------------------------------------------------------------- */

struct views {
    uint64_t views[64];
    size_t count;
};

static void note_view(const struct message *message, void *context)
{
    struct views *views = context;
    ck_assert_int_eq(message->type, MESSAGE_GOODBYE);
    views->views[views->count++] = view_within_epoch(message->goodbye.view_number);
}

START_TEST(messages_to_one_destination_share_a_datagram)
{
    const struct wire_sender_options options = options_for_test();
    void *memory = malloc(wire_sender_memory_size(&options));
    struct wire_sender *sender = wire_sender_init(memory, &options);
    for (uint64_t i = 0; i < 12; i++) {
        const struct wire_destination to = to_port((uint16_t)(100 + i % 3));
        const struct message message = goodbye(i);
        wire_send(sender, &to, &message, 0);
    }
    ck_assert_uint_eq(caught.count, 0); /* nothing leaves before the flush */
    wire_flush(sender);
    wire_flush(sender);
    ck_assert_uint_eq(caught.batches, 1);
    ck_assert_uint_eq(caught.count, 3);
    for (size_t i = 0; i < 3; i++) {
        struct views views = {.count = 0};
        ck_assert_uint_eq(caught.items[i].address.port, 100 + i);
        ck_assert_uint_eq(each_message(i, NULL, note_view, &views), 4);
        for (size_t j = 0; j < 4; j++) {
            ck_assert_uint_eq(views.views[j], i + 3 * j);
        }
    }
    struct wire_sender_counters counters;
    wire_sender_counters(sender, &counters);
    ck_assert_uint_eq(counters.messages, 12);
    ck_assert_uint_eq(counters.datagrams, 3);
    forget_caught();
    free(memory);
}
END_TEST

/* Random messages to random destinations with budgets of their own: no datagram is larger than its
 * destination's budget (M2, PITFALLS UDP-1), no message is lost or out of order. */
struct order {
    uint64_t next[8]; /* by destination: the view that comes next */
    size_t destination;
    uint64_t total;
};

static void check_order(const struct message *message, void *context)
{
    struct order *order = context;
    if (message->type == MESSAGE_REQUEST) {
        ck_assert_uint_eq(message->request.session, 1 + order->next[order->destination]);
        order->next[order->destination]++;
        order->total++;
    }
}

START_TEST(budgets_hold_and_order_is_kept)
{
    struct prng prng;
    prng_seed(&prng, (uint64_t)_i);
    struct wire_sender_options options = options_for_test();
    options.datagram_size = DATAGRAM_SIZE_MIN;
    options.datagram_size_max = 9000;
    options.buffer_count = (uint32_t)prng_between(&prng, 1, 20);
    void *memory = malloc(wire_sender_memory_size(&options));
    struct wire_sender *sender = wire_sender_init(memory, &options);
    const uint32_t budgets[8] = {0, 512, 513, 600, 1400, 1400, 8999, 9000};
    uint64_t sent[8] = {0};
    for (int i = 0; i < 1000; i++) {
        const size_t d = (size_t)prng_below(&prng, 8);
        struct wire_destination to = to_port((uint16_t)(100 + d));
        to.budget = budgets[d];
        const uint32_t budget = budgets[d] != 0 ? budgets[d] : DATAGRAM_SIZE_MIN;
        const uint32_t room = budget - WIRE_OVERHEAD - 48;
        struct message message = request_of(zeros, (uint32_t)prng_below(&prng, room));
        message.request.session = 1 + sent[d]++;
        wire_send(sender, &to, &message, 0);
        if (prng_chance(&prng, 1, 50)) {
            wire_flush(sender);
        }
    }
    wire_flush(sender);
    struct order order = {.total = 0};
    for (size_t i = 0; i < caught.count; i++) {
        order.destination = (size_t)(caught.items[i].address.port - 100);
        const uint32_t budget = budgets[order.destination];
        ck_assert_uint_le(caught.items[i].size, budget != 0 ? budget : DATAGRAM_SIZE_MIN);
        each_message(i, NULL, check_order, &order);
    }
    ck_assert_uint_eq(order.total, 1000);
    ck_assert_uint_lt(caught.count, 1000); /* some did share */
    struct wire_sender_counters counters;
    wire_sender_counters(sender, &counters);
    ck_assert_uint_eq(counters.split, 0);
    forget_caught();
    free(memory);
}
END_TEST

/* Exactly full is full; one byte more and the message is split. */
START_TEST(a_message_may_fill_its_datagram)
{
    struct wire_sender_options options = options_for_test();
    options.datagram_size = 600;
    void *memory = malloc(wire_sender_memory_size(&options));
    struct wire_sender *sender = wire_sender_init(memory, &options);
    const struct wire_destination to = to_port(100);
    uint32_t size = 400;
    struct message message = request_of(zeros, size);
    wire_send(sender, &to, &message, 0);
    wire_flush(sender);
    const uint32_t overhead = (uint32_t)caught.items[0].size - size;
    size = 600 - overhead;
    message = request_of(zeros, size);
    wire_send(sender, &to, &message, 0);
    wire_flush(sender);
    ck_assert_uint_eq(caught.count, 2);
    ck_assert_uint_eq(caught.items[1].size, 600);
    message = request_of(zeros, size + 1);
    wire_send(sender, &to, &message, 0);
    wire_flush(sender);
    ck_assert_uint_eq(caught.count, 4); /* two parts */
    ck_assert_uint_le(caught.items[2].size, 600);
    forget_caught();
    free(memory);
}
END_TEST

START_TEST(out_of_buffers_it_flushes_by_itself)
{
    struct wire_sender_options options = options_for_test();
    options.buffer_count = 2;
    void *memory = malloc(wire_sender_memory_size(&options));
    struct wire_sender *sender = wire_sender_init(memory, &options);
    for (uint16_t i = 0; i < 5; i++) {
        const struct wire_destination to = to_port((uint16_t)(100 + i));
        const struct message message = goodbye(i);
        wire_send(sender, &to, &message, 0);
    }
    ck_assert_uint_eq(caught.count, 4);
    ck_assert_uint_eq(caught.batches, 2);
    wire_flush(sender);
    ck_assert_uint_eq(caught.count, 5);
    for (uint16_t i = 0; i < 5; i++) {
        struct views views = {.count = 0};
        ck_assert_uint_eq(caught.items[i].address.port, 100 + i);
        ck_assert_uint_eq(each_message(i, NULL, note_view, &views), 1);
        ck_assert_uint_eq(views.views[0], i);
    }
    forget_caught();
    free(memory);
}
END_TEST

/* A destination that came right after such a flush is found again: it does not get a datagram for
 * each message. */
START_TEST(after_a_flush_destinations_are_found_again)
{
    struct wire_sender_options options = options_for_test();
    options.buffer_count = 8;
    void *memory = malloc(wire_sender_memory_size(&options));
    struct wire_sender *sender = wire_sender_init(memory, &options);
    const struct message message = goodbye(1);
    for (uint16_t port = 1; port < 2000; port = (uint16_t)(port + 9)) {
        for (uint16_t i = 0; i < 9; i++) {
            const struct wire_destination to = to_port((uint16_t)(port + i));
            wire_send(sender, &to, &message, 0); /* the ninth flushes the others */
        }
        const struct wire_destination ninth = to_port((uint16_t)(port + 8));
        wire_send(sender, &ninth, &message, 0);
        wire_flush(sender);
        ck_assert_uint_eq(caught.count, 9);
        ck_assert_uint_eq(each_message(8, NULL, NULL, NULL), 2);
        forget_caught();
    }
    free(memory);
}
END_TEST

/* Encoded once, also where a flush takes the first copy away. */
START_TEST(many_destinations_get_the_same)
{
    struct wire_sender_options options = options_for_test();
    options.buffer_count = (uint32_t)_i;
    void *memory = malloc(wire_sender_memory_size(&options));
    struct wire_sender *sender = wire_sender_init(memory, &options);
    struct wire_destination to[WIRE_DESTINATIONS_MAX];
    for (size_t i = 0; i < WIRE_DESTINATIONS_MAX; i++) {
        to[i] = to_port((uint16_t)(100 + i));
    }
    const struct message first = goodbye(1);
    const struct message second = goodbye(2);
    wire_send(sender, &to[2], &first, 0);
    wire_send_many(sender, to, WIRE_DESTINATIONS_MAX, &second, 0);
    wire_flush(sender);
    size_t seconds = 0;
    for (size_t i = 0; i < caught.count; i++) {
        struct views views = {.count = 0};
        each_message(i, NULL, note_view, &views);
        seconds += views.views[views.count - 1] == 2 ? 1 : 0;
    }
    ck_assert_uint_eq(seconds, WIRE_DESTINATIONS_MAX);
    wire_send_many(sender, to, 0, &second, 0); /* nobody */
    forget_caught();

    uint8_t operation[300];
    for (size_t i = 0; i < sizeof operation; i++) {
        operation[i] = (uint8_t)i;
    }
    const struct message large = request_of(operation, sizeof operation);
    wire_send(sender, &to[0], &first, 0);
    wire_send_many(sender, to, 2, &large, 0);
    wire_flush(sender);
    const size_t last = caught.count - 1;
    ck_assert_mem_eq(caught.items[last].bytes + caught.items[last].size - sizeof operation,
                     operation, sizeof operation);
    forget_caught();
    free(memory);
}
END_TEST

/* ---- The header ----------------------------------------------------------------------------- */

/* PITFALLS UDP-6, M3: a client that has no token asks with as many bytes as it may be answered
 * with. */
START_TEST(token_less_datagrams_are_padded)
{
    const struct wire_sender_options options = options_for_test();
    void *memory = malloc(wire_sender_memory_size(&options));
    struct wire_sender *sender = wire_sender_init(memory, &options);
    for (uint32_t size = 0; size < 500; size++) {
        struct wire_destination to = to_port(100);
        to.padded_size = DATAGRAM_SIZE_MIN;
        const struct message request = request_of(zeros, size);
        wire_send(sender, &to, &request, 0);
        wire_flush(sender);
        ck_assert_uint_eq(caught.count, 1);
        ck_assert_uint_ge(caught.items[0].size, DATAGRAM_SIZE_MIN);
        ck_assert_uint_eq(each_message(0, NULL, NULL, NULL), 1);
        forget_caught();
    }
    /* One message in it that asks for padding is enough. */
    struct wire_destination plain = to_port(100);
    struct wire_destination padded = to_port(100);
    padded.padded_size = DATAGRAM_SIZE_MIN;
    const struct message message = goodbye(1);
    wire_send(sender, &plain, &message, 0);
    wire_send(sender, &padded, &message, 0);
    wire_send(sender, &plain, &message, 0);
    wire_flush(sender);
    ck_assert_uint_eq(caught.count, 1);
    ck_assert_uint_eq(caught.items[0].size, DATAGRAM_SIZE_MIN);
    forget_caught();
    /* The budget comes first: there is no room for a padding frame in the last bytes. */
    for (uint32_t size = 0; size < 400; size++) {
        struct wire_destination to = to_port(100);
        to.padded_size = DATAGRAM_SIZE_MIN;
        to.budget = DATAGRAM_SIZE_MIN;
        const struct message request = request_of(zeros, size);
        wire_send(sender, &to, &request, UINT64_MAX / 2);
        wire_flush(sender);
        for (size_t i = 0; i < caught.count; i++) {
            ck_assert_uint_le(caught.items[i].size, DATAGRAM_SIZE_MIN);
            ck_assert_uint_gt(caught.items[i].size, DATAGRAM_SIZE_MIN - WIRE_FRAME_HEADER_SIZE);
            each_message(i, NULL, NULL, NULL);
        }
        forget_caught();
    }
    free(memory);
}
END_TEST

START_TEST(header_says_who_sends)
{
    struct wire_sender_options options = options_for_test();
    options.cluster_id = 0;
    options.sender = REPLICA_NONE;
    options.identity = 5;
    options.configuration_hash = 6;
    void *memory = malloc(wire_sender_memory_size(&options));
    struct wire_sender *sender = wire_sender_init(memory, &options);
    struct wire_destination to = to_port(100);
    const struct message status = {.type = MESSAGE_STATUS_REQUEST};
    wire_send(sender, &to, &status, 0);
    wire_sender_set_cluster(sender, 77); /* of what comes from now on */
    to.token = 1234;
    wire_send(sender, &to, &status, 0);
    to.token = 0; /* keeps what is known */
    wire_send(sender, &to, &status, 0);
    const struct message refused = {.type = MESSAGE_REFUSED,
                                    .refused = {.reason = REFUSED_CLUSTER}};
    to = to_port(101);
    wire_send(sender, &to, &status, 0);
    wire_send(sender, &to, &refused, 0);
    wire_flush(sender);
    ck_assert_uint_eq(caught.count, 3);
    struct wire_header header;
    struct wire_cursor cursor;
    const uint64_t clusters[3] = {0, 77, 77};
    const uint64_t tokens[3] = {0, 1234, 0};
    for (size_t i = 0; i < 3; i++) {
        ck_assert_int_eq(wire_open(caught.items[i].bytes, caught.items[i].size,
                                   &caught.items[i].address, &header, &cursor),
                         WIRE_OK);
        ck_assert_uint_eq(header.cluster_id, clusters[i]);
        ck_assert_uint_eq(header.token, tokens[i]);
        ck_assert_uint_eq(header.sender, REPLICA_NONE);
        ck_assert_uint_eq(header.incarnation, 3);
        ck_assert_uint_eq(header.identity, 5);
        ck_assert_uint_eq(header.configuration_hash, 6);
        ck_assert_uint_eq(header.flags, i == 2 ? WIRE_FLAG_ERROR : 0);
    }
    forget_caught();
    free(memory);
}
END_TEST

/* ---- Splitting ------------------------------------------------------------------------------ */

struct parts {
    uint64_t id;
    uint32_t count_of[PARTS_MAX]; /* how often each part was sent */
    uint32_t count;
    uint32_t total_size;
    uint32_t part_size;
};

static void note_part(const struct message *message, void *context)
{
    struct parts *parts = context;
    ck_assert_int_eq(message->type, MESSAGE_PART);
    parts->id = message->part.id;
    parts->total_size = message->part.total_size;
    parts->part_size = message->part.part_size;
    ck_assert_uint_lt(message->part.index, PARTS_MAX);
    parts->count_of[message->part.index]++;
    parts->count++;
}

static struct parts take_parts(uint16_t port)
{
    static struct parts parts;
    memset(&parts, 0, sizeof parts);
    for (size_t i = 0; i < caught.count; i++) {
        if (caught.items[i].address.port == port) {
            each_message(i, NULL, note_part, &parts);
        }
    }
    return parts;
}

static size_t caught_bytes(void)
{
    size_t bytes = 0;
    for (size_t i = 0; i < caught.count; i++) {
        bytes += caught.items[i].size;
    }
    return bytes;
}

/* M6: paced. At no time has more left than the burst and what the rate allows since. */
START_TEST(parts_leave_at_their_pace)
{
    struct wire_sender_options options = options_for_test();
    options.pace_bytes_per_ms = 10000;
    options.pace_burst = 65536;
    void *memory = malloc(wire_sender_memory_size(&options));
    struct wire_sender *sender = wire_sender_init(memory, &options);
    struct wire_destination to = to_port(100);
    const struct message message = request_of(zeros, 1024 * 1024);
    const uint64_t start = 5000 * (uint64_t)MS;
    uint64_t now = start;
    ck_assert_uint_eq(wire_sender_deadline(sender), UINT64_MAX);
    wire_send(sender, &to, &message, now);
    wire_flush(sender);
    uint64_t ticks = 0;
    while (wire_sender_deadline(sender) != UINT64_MAX) {
        ck_assert_uint_le(caught_bytes(), 65536 + 10000 * (now - start) / MS);
        ck_assert_uint_ge(wire_sender_deadline(sender), now);
        now = wire_sender_deadline(sender);
        const size_t before = caught.count;
        wire_sender_tick(sender, now);
        wire_flush(sender);
        ck_assert_uint_gt(caught.count, before); /* a deadline is never idle */
        ticks++;
    }
    const uint64_t bytes = caught_bytes();
    ck_assert_uint_gt(ticks, 10);
    ck_assert_uint_le(bytes, 65536 + 10000 * (now - start) / MS);
    /* ... and not much slower than that, either. */
    ck_assert_uint_le((now - start) / MS, (bytes - 65536) / 10000 + 20);
    const struct parts parts = take_parts(100);
    for (uint32_t i = 0; i < parts.count; i++) {
        ck_assert_uint_eq(parts.count_of[i], 1);
    }
    ck_assert_uint_eq(parts.count, (parts.total_size + parts.part_size - 1) / parts.part_size);
    wire_sender_tick(sender, now + 1000 * (uint64_t)MS); /* nothing waits any more */
    wire_flush(sender);
    ck_assert_uint_eq(caught_bytes(), bytes);

    /* However long the pause was, a burst is a burst. */
    for (uint64_t pause_ms = 1; pause_ms < 20; pause_ms++) {
        forget_caught();
        now += 1000 * (uint64_t)MS;
        sender = wire_sender_init(memory, &options);
        wire_send(sender, &to, &message, now); /* takes the first burst */
        wire_flush(sender);
        const size_t burst = caught_bytes();
        wire_sender_tick(sender, now + pause_ms * MS);
        wire_flush(sender);
        ck_assert_uint_le(caught_bytes() - burst, pause_ms * 10000 + 2000);
        ck_assert_uint_le(caught_bytes() - burst, 65536);
    }
    forget_caught();
    sender = wire_sender_init(memory, &options);
    const struct message small = request_of(zeros, 3000);
    wire_send(sender, &to, &small, now);
    wire_send(sender, &to, &message, now + 6 * MS); /* would be more than a burst */
    wire_flush(sender);
    ck_assert_uint_le(caught_bytes(), 65536 + 10000);
    forget_caught();
    free(memory);
}
END_TEST

static struct message missing(uint64_t id, const uint8_t *bitmap, uint32_t size, uint16_t port)
{
    return (struct message){
        .type = MESSAGE_PARTS_MISSING,
        .address = to_port(port).address,
        .parts_missing = {.id = id, .bitmap_size = size, .bitmap = bitmap},
    };
}

START_TEST(only_missing_parts_are_sent_again)
{
    const struct wire_sender_options options = options_for_test();
    void *memory = malloc(wire_sender_memory_size(&options));
    struct wire_sender *sender = wire_sender_init(memory, &options);
    const struct wire_destination to[2] = {to_port(100), to_port(101)};
    const struct message message = request_of(zeros, 31000);
    wire_send_many(sender, to, 2, &message, 0);
    wire_flush(sender);
    const struct parts parts = take_parts(100);
    ck_assert_uint_eq(parts.count, 25);
    ck_assert_uint_eq(take_parts(101).count, 25);
    ck_assert_uint_eq(take_parts(101).id, parts.id); /* one message, encoded once */
    ck_assert_uint_eq(wire_part_sender_number(parts.id), 9);
    forget_caught();

    /* Parts 1, 9 and 24, asked for twice; bits that name no part say nothing. */
    const uint8_t bitmap[5] = {0x02, 0x02, 0x00, 0x01 | 0xfe, 0xff};
    const struct message ask = missing(parts.id, bitmap, 5, 101);
    wire_sender_parts_missing(sender, &ask, 0);
    wire_sender_parts_missing(sender, &ask, 0);
    wire_flush(sender);
    ck_assert_uint_eq(take_parts(100).count, 0);
    const struct parts again = take_parts(101);
    for (uint32_t i = 0; i < 25; i++) {
        ck_assert_uint_eq(again.count_of[i] > 0, i == 1 || i == 9 || i == 24);
    }
    forget_caught();

    /* Nobody else gets any, and no other message is meant. */
    const struct message stranger = missing(parts.id, bitmap, 5, 102);
    wire_sender_parts_missing(sender, &stranger, 0);
    const struct message unknown = missing(parts.id + 256, bitmap, 5, 101);
    wire_sender_parts_missing(sender, &unknown, 0);
    const struct message other_sender = missing(parts.id + 1, bitmap, 5, 101);
    wire_sender_parts_missing(sender, &other_sender, 0);
    wire_flush(sender);
    ck_assert_uint_eq(caught.count, 0);
    forget_caught();
    free(memory);
}
END_TEST

/* Parts of one message are all of one size: the smallest budget's. */
START_TEST(the_smallest_budget_decides)
{
    const struct wire_sender_options options = options_for_test();
    void *memory = malloc(wire_sender_memory_size(&options));
    struct wire_sender *sender = wire_sender_init(memory, &options);
    struct wire_destination to[4] = {to_port(100), to_port(101), to_port(102), to_port(103)};
    to[0].budget = 9000;
    to[1].budget = 600;
    to[2].budget = 1400;
    to[3].budget = 20000; /* takes it whole */
    const struct message message = request_of(zeros, 15000);
    wire_send_many(sender, to, 4, &message, 0);
    wire_flush(sender);
    size_t whole = 0;
    for (size_t i = 0; i < caught.count; i++) {
        const uint16_t port = caught.items[i].address.port;
        whole += port == 103 ? 1 : 0;
        ck_assert_uint_le(caught.items[i].size, to[port - 100].budget);
    }
    ck_assert_uint_eq(whole, 1);
    for (uint16_t port = 100; port < 103; port++) {
        const struct parts parts = take_parts(port);
        ck_assert_uint_eq(parts.count, (parts.total_size + parts.part_size - 1) / parts.part_size);
        ck_assert_uint_lt(parts.part_size, 600);
    }
    forget_caught();
    free(memory);
}
END_TEST

/* While they wait for the pace, parts that are asked for again and again are sent once. */
START_TEST(impatience_sends_nothing_twice)
{
    struct wire_sender_options options = options_for_test();
    options.datagram_size_max = 1400;
    options.pace_burst = 1400;
    options.pace_bytes_per_ms = 1400;
    void *memory = malloc(wire_sender_memory_size(&options));
    struct wire_sender *sender = wire_sender_init(memory, &options);
    const struct wire_destination to = to_port(100);
    const struct message message = request_of(zeros, 31000);
    wire_send(sender, &to, &message, 0);
    wire_flush(sender);
    const uint64_t id = take_parts(100).id;
    uint8_t bitmap[4] = {0xfe, 0xff, 0xff, 0x01}; /* all but the first, which left */
    uint32_t left = 1;
    for (uint64_t now = 0; wire_sender_deadline(sender) != UINT64_MAX; now += MS) {
        const struct message ask = missing(id, bitmap, 4, 100);
        wire_sender_parts_missing(sender, &ask, now);
        wire_flush(sender);
        for (; left < caught.count; left++) {
            bitmap[left / 8] &= (uint8_t) ~(1u << (left % 8));
        }
    }
    const struct parts parts = take_parts(100);
    for (uint32_t i = 0; i < 25; i++) {
        ck_assert_uint_eq(parts.count_of[i], 1);
    }
    forget_caught();
    free(memory);
}
END_TEST

/* One large message does not make another one wait for its end. */
START_TEST(split_messages_take_turns)
{
    struct wire_sender_options options = options_for_test();
    options.datagram_size_max = 1400;
    options.pace_burst = 1400;
    options.pace_bytes_per_ms = 1400;
    void *memory = malloc(wire_sender_memory_size(&options));
    struct wire_sender *sender = wire_sender_init(memory, &options);
    const struct wire_destination first = to_port(100);
    const struct wire_destination second = to_port(101);
    const struct message large = request_of(zeros, 1024 * 1024);
    const struct message small = request_of(zeros, 10000);
    wire_send(sender, &first, &large, 0);
    wire_send(sender, &second, &small, 0);
    for (uint64_t now = 0; now < 40 * MS; now += MS) {
        wire_sender_tick(sender, now);
    }
    wire_flush(sender);
    const struct parts parts = take_parts(101);
    ck_assert_uint_eq(parts.count, (parts.total_size + parts.part_size - 1) / parts.part_size);
    ck_assert_uint_gt(take_parts(100).count, 10);
    forget_caught();
    free(memory);
}
END_TEST

/* ---- What is kept --------------------------------------------------------------------------- */

/* However sizes follow each other in the ring: memory stays within bounds (run under ASan), the
 * newest message can always be repaired, and what is repaired has the bytes that were sent. */
START_TEST(newest_messages_can_be_repaired)
{
    struct prng prng;
    prng_seed(&prng, (uint64_t)_i);
    struct wire_sender_options options = options_for_test();
    options.kept_count_max = (uint32_t)prng_between(&prng, 1, 10);
    options.kept_size = 50000;
    options.pace_bytes_per_ms = 1 << 30;
    options.pace_burst = 1 << 30;
    void *memory = malloc(wire_sender_memory_size(&options));
    struct wire_sender *sender = wire_sender_init(memory, &options);
    const struct wire_destination to = to_port(100);
    static uint8_t operation[50000];
    uint64_t ids[300];
    for (int i = 0; i < 300; i++) {
        const uint32_t size = (uint32_t)prng_between(&prng, 1500, 49000);
        memset(operation, i, size);
        const struct message message = request_of(operation, size);
        wire_send(sender, &to, &message, 0);
        wire_flush(sender);
        ids[i] = take_parts(100).id;
        forget_caught();
        bool kept = true;
        for (int j = i; j >= 0 && j > i - 12; j--) {
            const uint8_t bitmap[1] = {0x02}; /* the second part */
            const struct message ask = missing(ids[j], bitmap, 1, 100);
            wire_sender_parts_missing(sender, &ask, 0);
            wire_flush(sender);
            ck_assert(j < i || caught.count == 1);
            ck_assert(kept || caught.count == 0); /* the oldest go first */
            kept = caught.count == 1;
            if (kept) {
                ck_assert_uint_eq(take_parts(100).count_of[1], 1);
                const uint8_t *bytes = caught.items[0].bytes;
                ck_assert_uint_eq(bytes[caught.items[0].size - 1], (uint8_t)j);
            }
            forget_caught();
        }
    }
    free(memory);
}
END_TEST

START_TEST(the_oldest_makes_room)
{
    struct wire_sender_options options = options_for_test();
    options.kept_count_max = 3;
    void *memory = malloc(wire_sender_memory_size(&options));
    struct wire_sender *sender = wire_sender_init(memory, &options);
    const struct wire_destination to = to_port(100);
    const struct message message = request_of(zeros, 3000);
    uint64_t ids[4];
    for (int i = 0; i < 4; i++) {
        wire_send(sender, &to, &message, 0);
        wire_flush(sender);
        ids[i] = take_parts(100).id;
        ck_assert(i == 0 || ids[i] == ids[i - 1] + 256);
        forget_caught();
    }
    const uint8_t bitmap[1] = {0x01};
    for (int i = 0; i < 4; i++) {
        const struct message ask = missing(ids[i], bitmap, 1, 100);
        wire_sender_parts_missing(sender, &ask, 0);
        wire_flush(sender);
        ck_assert_uint_eq(caught.count, i == 0 ? 0 : 1);
        forget_caught();
    }
    struct wire_sender_counters counters;
    wire_sender_counters(sender, &counters);
    ck_assert_uint_eq(counters.kept_evicted, 0); /* it had been sent whole */
    free(memory);
}
END_TEST

START_TEST(what_is_evicted_unsent_is_counted)
{
    struct wire_sender_options options = options_for_test();
    options.kept_count_max = 2;
    options.datagram_size_max = 1400;
    options.pace_burst = 1400;
    void *memory = malloc(wire_sender_memory_size(&options));
    struct wire_sender *sender = wire_sender_init(memory, &options);
    const struct wire_destination to = to_port(100);
    const struct message message = request_of(zeros, 3000);
    for (int i = 0; i < 5; i++) {
        wire_send(sender, &to, &message, 0);
    }
    struct wire_sender_counters counters;
    wire_sender_counters(sender, &counters);
    ck_assert_uint_eq(counters.split, 5);
    ck_assert_uint_eq(counters.kept_evicted, 3);
    for (uint64_t now = 0; now < 1000 * (uint64_t)MS; now += MS) {
        wire_sender_tick(sender, now);
    }
    wire_flush(sender);
    ck_assert_uint_eq(wire_sender_deadline(sender), UINT64_MAX);
    wire_sender_counters(sender, &counters);
    ck_assert_uint_eq(counters.parts, 1 + 3 + 3); /* the burst's one, then the two that are left */
    forget_caught();
    free(memory);
}
END_TEST

START_TEST(what_cannot_be_kept_is_not_sent)
{
    struct wire_sender_options options = options_for_test();
    options.kept_size = 2000;
    void *memory = malloc(wire_sender_memory_size(&options));
    struct wire_sender *sender = wire_sender_init(memory, &options);
    const struct wire_destination to = to_port(100);
    const struct message message = request_of(zeros, 2000);
    wire_send(sender, &to, &message, 0);
    wire_flush(sender);
    ck_assert_uint_eq(caught.count, 0);
    struct wire_sender_counters counters;
    wire_sender_counters(sender, &counters);
    ck_assert_uint_eq(counters.too_large, 1);
    free(memory);
}
END_TEST

/* The largest message there is goes through the smallest datagrams. */
START_TEST(largest_message_fits_the_defaults)
{
    struct wire_sender_options options = options_for_test();
    options.datagram_size = DATAGRAM_SIZE_MIN;
    options.pace_burst = 1 << 30;
    void *memory = malloc(wire_sender_memory_size(&options));
    struct wire_sender *sender = wire_sender_init(memory, &options);
    const struct wire_destination to = to_port(100);
    const struct message message = request_of(zeros, OPERATION_SIZE_MAX);
    wire_send(sender, &to, &message, 0);
    wire_flush(sender);
    const struct parts parts = take_parts(100);
    ck_assert_uint_eq(parts.count, (parts.total_size + parts.part_size - 1) / parts.part_size);
    ck_assert_uint_gt(parts.count, 2000);
    forget_caught();
    free(memory);
}
END_TEST

/* ---- Determinism ---------------------------------------------------------------------------- */

/* PITFALLS TH-8: the same calls give the same bytes, whatever lay in memory before. */
START_TEST(same_calls_same_bytes)
{
    struct wire_sender_options options = options_for_test();
    options.datagram_size_max = 2000;
    options.pace_burst = 2000;
    const size_t size = wire_sender_memory_size(&options);
    void *memory = malloc(size);
    struct random_message *random = malloc(sizeof *random);
    uint8_t *first = NULL;
    size_t first_size = 0;
    for (int run = 0; run < 2; run++) {
        memset(memory, run == 0 ? 0x00 : 0xff, size);
        struct wire_sender *sender = wire_sender_init(memory, &options);
        struct prng prng;
        prng_seed(&prng, 11);
        for (uint64_t i = 0; i < 100; i++) {
            const enum message_type type =
                random_message_types[prng_below(&prng, RANDOM_MESSAGE_TYPES - 2)];
            random_message(&prng, type, 5000, random);
            const struct wire_destination to = to_port((uint16_t)prng_between(&prng, 1, 9));
            wire_send(sender, &to, &random->message, i * MS / 4);
        }
        wire_flush(sender);
        uint8_t *bytes = malloc(caught_bytes());
        size_t used = 0;
        for (size_t i = 0; i < caught.count; i++) {
            memcpy(bytes + used, caught.items[i].bytes, caught.items[i].size);
            used += caught.items[i].size;
        }
        forget_caught();
        if (run == 0) {
            first = bytes;
            first_size = used;
        } else {
            ck_assert_uint_eq(used, first_size);
            ck_assert_mem_eq(bytes, first, used);
            free(bytes);
        }
    }
    free(first);
    free(random);
    free(memory);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("wire_sender");
    TCase *tests = tcase_create("sender");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, messages_to_one_destination_share_a_datagram);
    tcase_add_loop_test(tests, budgets_hold_and_order_is_kept, 0, 20);
    tcase_add_test(tests, a_message_may_fill_its_datagram);
    tcase_add_test(tests, out_of_buffers_it_flushes_by_itself);
    tcase_add_test(tests, after_a_flush_destinations_are_found_again);
    tcase_add_loop_test(tests, many_destinations_get_the_same, 1, 12);
    tcase_add_test(tests, token_less_datagrams_are_padded);
    tcase_add_test(tests, header_says_who_sends);
    tcase_add_test(tests, parts_leave_at_their_pace);
    tcase_add_test(tests, only_missing_parts_are_sent_again);
    tcase_add_test(tests, the_smallest_budget_decides);
    tcase_add_test(tests, impatience_sends_nothing_twice);
    tcase_add_test(tests, split_messages_take_turns);
    tcase_add_loop_test(tests, newest_messages_can_be_repaired, 0, 10);
    tcase_add_test(tests, the_oldest_makes_room);
    tcase_add_test(tests, what_is_evicted_unsent_is_counted);
    tcase_add_test(tests, what_cannot_be_kept_is_not_sent);
    tcase_add_test(tests, largest_message_fits_the_defaults);
    tcase_add_test(tests, same_calls_same_bytes);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
