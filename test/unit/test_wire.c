/* SPDX-License-Identifier: Apache-2.0 */
/* Datagrams: what goes in comes out, and nothing else does. Most of it is PITFALLS section 10. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/bytes.h"
#include "common/wire/codec.h"
#include "common/wire/datagram.h"
#include "common/wire/sender.h"
#include "test/support/random_message.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

enum {
    ROUNDS = 300,
    BUDGET = DATAGRAM_SIZE_MAX,
    CLUSTER = 0x7f3a91c2,
};

static const struct net_address peer = {.ip = {127, 0, 0, 1}, .port = 8101};

/* ---- A datagram by hand --------------------------------------------------------------------- */

struct built {
    uint8_t bytes[DATAGRAM_SIZE_MAX + 1];
    size_t size;
    struct wire_header header;
};

static void build_start(struct built *built)
{
    built->size = WIRE_HEADER_SIZE;
    built->header = (struct wire_header){
        .version = WIRE_VERSION,
        .cluster_id = CLUSTER,
        .sender = 2,
        .incarnation = 7,
        .identity = 0x1d,
        .configuration_hash = 0xc0,
        .token = 0x70,
    };
}

static void build_frame(struct built *built, uint16_t type, const void *body, size_t size)
{
    ck_assert_uint_le(built->size + WIRE_FRAME_HEADER_SIZE + size, DATAGRAM_SIZE_MAX);
    datagram_write_frame(built->bytes + built->size, type, (uint32_t)size);
    if (size > 0) {
        memcpy(built->bytes + built->size + WIRE_FRAME_HEADER_SIZE, body, size);
    }
    built->size += WIRE_FRAME_HEADER_SIZE + size;
}

static void build_form(struct built *built, uint16_t type, const ProtobufCMessage *form)
{
    static uint8_t body[DATAGRAM_SIZE_MAX];
    ck_assert_uint_le(protobuf_c_message_get_packed_size(form), sizeof body);
    build_frame(built, type, body, protobuf_c_message_pack(form, body));
}

static void build_message(struct built *built, const struct message *message)
{
    static struct codec_form form;
    static uint8_t body[DATAGRAM_SIZE_MAX];
    codec_encode(&form, message);
    codec_pack(&form, body);
    build_frame(built, (uint16_t)message->type, body, form.size);
}

static void build_end(struct built *built)
{
    datagram_seal(built->bytes, built->size, &built->header);
}

static const struct message commit_message = {
    .type = MESSAGE_COMMIT,
    .from = 2,
    .incarnation = 7,
    .identity = 0x1d,
    .configuration_hash = 0xc0,
    .address = {.ip = {127, 0, 0, 1}, .port = 8101},
    .commit = {.view_number = (UINT64_C(1) << VIEW_BITS) + 3, .commit_number = 5, .op_number = 6},
};

static const struct message goodbye_message = {
    .type = MESSAGE_GOODBYE,
    .from = 2,
    .incarnation = 7,
    .identity = 0x1d,
    .configuration_hash = 0xc0,
    .address = {.ip = {127, 0, 0, 1}, .port = 8101},
    .goodbye = {.view_number = (UINT64_C(1) << VIEW_BITS) + 3},
};

static enum wire_drop open_built(struct built *built, struct wire_cursor *cursor)
{
    struct wire_header header;
    return wire_open(built->bytes, built->size, &peer, &header, cursor);
}

/* Opens a datagram and takes its first frame. */
static enum wire_drop take_first(struct built *built, struct message *message)
{
    static _Alignas(ARENA_ALIGNMENT) uint8_t memory[1024 * 1024];
    struct arena arena;
    arena_init(&arena, memory, sizeof memory);
    struct wire_cursor cursor;
    ck_assert_int_eq(open_built(built, &cursor), WIRE_OK);
    return wire_next(&cursor, &arena, message);
}

/* ---- Round trips ---------------------------------------------------------------------------- */

struct captured {
    uint8_t bytes[DATAGRAM_SIZE_MAX];
    size_t size;
    unsigned count;
};

static void capture(void *context, const struct wire_datagram *datagrams, size_t count)
{
    struct captured *captured = context;
    ck_assert_uint_eq(count, 1);
    memcpy(captured->bytes, datagrams[0].bytes, datagrams[0].size);
    captured->size = datagrams[0].size;
    captured->count++;
}

START_TEST(every_type_comes_back_as_it_went)
{
    struct prng prng;
    prng_seed(&prng, (uint64_t)_i);
    struct random_message *random = malloc(sizeof *random);
    struct captured *captured = calloc(1, sizeof *captured);
    struct wire_sender_options options;
    wire_sender_options_default(&options);
    options.datagram_size = options.datagram_size_max = BUDGET;
    options.kept_size = 4096;
    options.buffer_count = 1;
    options.emit = capture;
    options.emit_context = captured;
    void *memory = malloc(wire_sender_memory_size(&options));
    const size_t arena_size = wire_arena_size(BUDGET);
    void *arena_memory = aligned_alloc(ARENA_ALIGNMENT, arena_size / 16 * 16 + 16);
    for (int round = 0; round < ROUNDS; round++) {
        const enum message_type type = random_message_types[_i];
        random_message(&prng, type, (uint32_t)prng_between(&prng, 128, 60000), random);
        const struct message *sent = &random->message;
        options.cluster_id = prng_between(&prng, 1, UINT64_MAX);
        options.sender = sent->from;
        options.incarnation = sent->incarnation;
        options.identity = sent->identity;
        options.configuration_hash = sent->configuration_hash;
        struct wire_sender *sender = wire_sender_init(memory, &options);
        const struct wire_destination to = {.address = peer, .token = prng_next(&prng)};
        wire_send(sender, &to, sent, 0);
        wire_flush(sender);

        struct wire_header header;
        struct wire_cursor cursor;
        ck_assert_int_eq(
            wire_open(captured->bytes, captured->size, &sent->address, &header, &cursor), WIRE_OK);
        ck_assert_uint_eq(header.version, WIRE_VERSION);
        ck_assert_uint_eq(header.cluster_id, options.cluster_id);
        ck_assert_uint_eq(header.sender, sent->from);
        ck_assert_uint_eq(header.incarnation, sent->incarnation);
        ck_assert_uint_eq(header.token, to.token);
        ck_assert_uint_eq(header.flags, type == MESSAGE_REFUSED ? WIRE_FLAG_ERROR : 0);
        struct arena arena;
        arena_init(&arena, arena_memory, arena_size);
        struct message received;
        ck_assert_int_eq(wire_next(&cursor, &arena, &received), WIRE_OK);
        ck_assert_msg(message_equal(sent, &received), "%s, round %d", message_type_name(type),
                      round);
        ck_assert_int_eq(wire_next(&cursor, &arena, &received), WIRE_END);
        ck_assert_int_eq(wire_next(&cursor, &arena, &received), WIRE_END);
    }
    ck_assert_uint_eq(captured->count, ROUNDS);
    free(arena_memory);
    free(memory);
    free(captured);
    free(random);
}
END_TEST

/* Decodes every frame into an arena of just the size that wire_arena_size() names. */
static void decode_all(struct built *built)
{
    const size_t size = wire_arena_size(built->size);
    uint8_t *memory = aligned_alloc(ARENA_ALIGNMENT, size / 16 * 16 + 16);
    struct arena arena;
    arena_init(&arena, memory, size);
    struct wire_cursor cursor;
    struct message message;
    ck_assert_int_eq(open_built(built, &cursor), WIRE_OK);
    enum wire_drop drop;
    while ((drop = wire_next(&cursor, &arena, &message)) != WIRE_END) {
        ck_assert_msg(drop == WIRE_OK, "%s", wire_drop_name(drop));
    }
    free(memory);
}

/* An honest datagram never exhausts its arena: full of any one type, full of what takes most,
 * relative to its bytes, or of one Status with as many fields as can be. */
START_TEST(arena_size_is_enough)
{
    struct built *built = calloc(1, sizeof *built);
    struct random_message *random = malloc(sizeof *random);
    struct prng prng;
    prng_seed(&prng, 3);
    const size_t limits[] = {512, 1400, 9000, DATAGRAM_SIZE_MAX};
    for (size_t t = 0; t < 4 * RANDOM_MESSAGE_TYPES; t++) {
        const enum message_type type = random_message_types[t / 4];
        static struct codec_form form;
        build_start(built);
        for (;;) {
            random_message(&prng, type, 128, random);
            if (type == MESSAGE_REQUEST) {
                random->message.request =
                    (struct request){.client_id = {0, 1}, .kind = ENTRY_REGISTER};
            }
            codec_encode(&form, &random->message);
            if (built->size + WIRE_FRAME_HEADER_SIZE + form.size > limits[t % 4]) {
                break;
            }
            build_message(built, &random->message);
        }
        build_end(built);
        decode_all(built);
    }

    random_message(&prng, MESSAGE_STATUS, 128, random);
    random->report.version = random->report.note = "";
    random->report.counter_count = STATUS_COUNTERS_MAX;
    for (uint32_t i = 0; i < STATUS_COUNTERS_MAX; i++) {
        random->counters[i] = (struct status_counter){"n", 0};
    }
    build_start(built);
    build_message(built, &random->message);
    build_end(built);
    decode_all(built);
    free(random);
    free(built);
}
END_TEST

/* ---- Damage --------------------------------------------------------------------------------- */

static void build_two(struct built *built)
{
    build_start(built);
    build_message(built, &commit_message);
    build_message(built, &goodbye_message);
    build_end(built);
}

/* PITFALLS UDP-8: an own checksum over all of it. */
START_TEST(every_flipped_bit_is_noticed)
{
    struct built *built = malloc(sizeof *built);
    build_two(built);
    for (size_t at = 0; at < built->size; at++) {
        for (int bit = 0; bit < 8; bit++) {
            struct wire_cursor cursor;
            built->bytes[at] ^= (uint8_t)(1 << bit);
            const enum wire_drop drop = open_built(built, &cursor);
            ck_assert_int_eq(drop, at < 4 ? WIRE_DROP_MAGIC : WIRE_DROP_CHECKSUM);
            built->bytes[at] ^= (uint8_t)(1 << bit);
        }
        for (int value = 0; value < 256; value++) {
            const uint8_t before = built->bytes[at];
            struct wire_cursor cursor;
            built->bytes[at] = (uint8_t)value;
            ck_assert_int_eq(open_built(built, &cursor) == WIRE_OK, value == before);
            built->bytes[at] = before;
        }
    }
    free(built);
}
END_TEST

/* PITFALLS UDP-3: cut short, down to the legal datagram of no bytes at all; or grown. */
START_TEST(every_other_length_is_noticed)
{
    struct built *built = malloc(sizeof *built);
    build_two(built);
    memset(built->bytes + built->size, 0, 64);
    const size_t size = built->size;
    for (size_t cut = 0; cut < size + 64; cut++) {
        struct wire_cursor cursor;
        built->size = cut;
        const enum wire_drop expected = cut == size              ? WIRE_OK
                                        : cut < WIRE_HEADER_SIZE ? WIRE_DROP_SIZE
                                                                 : WIRE_DROP_CHECKSUM;
        ck_assert_int_eq(open_built(built, &cursor), expected);
    }
    built->size = DATAGRAM_SIZE_MAX + 1;
    struct wire_cursor cursor;
    ck_assert_int_eq(open_built(built, &cursor), WIRE_DROP_SIZE);
    free(built);
}
END_TEST

START_TEST(opening_changes_no_byte)
{
    struct built *built = malloc(sizeof *built);
    struct built *before = malloc(sizeof *before);
    build_two(built);
    memcpy(before, built, sizeof *built);
    struct wire_cursor cursor;
    ck_assert_int_eq(open_built(built, &cursor), WIRE_OK);
    ck_assert_mem_eq(built->bytes, before->bytes, built->size);
    built->bytes[100] ^= 1;
    before->bytes[100] ^= 1;
    ck_assert_int_eq(open_built(built, &cursor), WIRE_DROP_CHECKSUM);
    ck_assert_mem_eq(built->bytes, before->bytes, built->size);
    free(before);
    free(built);
}
END_TEST

/* PITFALLS UDP-2: opening has no memory, so a repeated datagram is the same message again. */
START_TEST(repeated_datagram_opens_again)
{
    struct built *built = malloc(sizeof *built);
    build_two(built);
    for (int i = 0; i < 3; i++) {
        struct message message;
        ck_assert_int_eq(take_first(built, &message), WIRE_OK);
        ck_assert(message_equal(&message, &commit_message));
    }
    free(built);
}
END_TEST

/* ---- Strangers ------------------------------------------------------------------------------ */

/* M3: whoever runs another version gets told so: what an answer needs can be read. */
START_TEST(other_versions_can_be_answered)
{
    struct built *built = malloc(sizeof *built);
    const uint16_t versions[] = {0, WIRE_VERSION + 1, UINT16_MAX};
    for (size_t i = 0; i < 3; i++) {
        build_start(built);
        build_message(built, &commit_message);
        built->header.version = versions[i];
        built->header.flags = 0x8001; /* of a version to come */
        build_end(built);
        struct wire_header header;
        struct wire_cursor cursor;
        ck_assert_int_eq(wire_open(built->bytes, built->size, &peer, &header, &cursor),
                         WIRE_DROP_VERSION);
        ck_assert_uint_eq(header.version, versions[i]);
        ck_assert_uint_eq(header.cluster_id, CLUSTER);
        ck_assert_uint_eq(header.flags & WIRE_FLAG_ERROR, WIRE_FLAG_ERROR);
    }
    free(built);
}
END_TEST

/* M4 is to come: what is sealed today cannot be opened, and is not taken for what it is not. */
START_TEST(sealed_datagrams_are_not_opened)
{
    struct built *built = malloc(sizeof *built);
    struct wire_cursor cursor;
    build_start(built);
    built->header.key_id = 1;
    build_end(built);
    ck_assert_int_eq(open_built(built, &cursor), WIRE_DROP_KEY);
    build_start(built);
    built->header.flags = 2;
    build_end(built);
    ck_assert_int_eq(open_built(built, &cursor), WIRE_DROP_KEY);
    for (size_t at = DATAGRAM_NONCE_AT; at < DATAGRAM_CHECKSUM_AT; at++) {
        build_start(built);
        build_end(built);
        built->bytes[at] = 1;
        memset(built->bytes + DATAGRAM_CHECKSUM_AT, 0, 16);
        const XXH128_hash_t hash = XXH3_128bits(built->bytes, built->size);
        bytes_put_u64(built->bytes + DATAGRAM_CHECKSUM_AT, hash.low64);
        bytes_put_u64(built->bytes + DATAGRAM_CHECKSUM_AT + 8, hash.high64);
        ck_assert_int_eq(open_built(built, &cursor), WIRE_DROP_KEY);
    }
    free(built);
}
END_TEST

/* M7: who does not know the cluster may ask for status and register, and nothing else. */
START_TEST(without_a_cluster_only_two_questions)
{
    struct built *built = malloc(sizeof *built);
    struct random_message *random = malloc(sizeof *random);
    struct prng prng;
    prng_seed(&prng, 4);
    for (size_t t = 0; t < RANDOM_MESSAGE_TYPES; t++) {
        for (int round = 0; round < 20; round++) {
            random_message(&prng, random_message_types[t], 1000, random);
            build_start(built);
            built->header.cluster_id = 0;
            build_message(built, &random->message);
            build_end(built);
            struct message message;
            const enum wire_drop drop = take_first(built, &message);
            const bool allowed = random->message.type == MESSAGE_STATUS_REQUEST ||
                                 (random->message.type == MESSAGE_REQUEST &&
                                  random->message.request.kind == ENTRY_REGISTER);
            ck_assert_int_eq(drop, allowed ? WIRE_OK : WIRE_DROP_CLUSTER);
        }
    }
    free(random);
    free(built);
}
END_TEST

/* ---- Frames --------------------------------------------------------------------------------- */

START_TEST(a_bad_frame_spoils_only_itself)
{
    struct built *built = malloc(sizeof *built);
    static _Alignas(ARENA_ALIGNMENT) uint8_t memory[4096];
    struct arena arena;
    arena_init(&arena, memory, sizeof memory);
    build_start(built);
    build_message(built, &commit_message);
    build_frame(built, 24, "unknown", 7);
    build_frame(built, UINT16_MAX, "unknown", 7);
    build_frame(built, MESSAGE_COMMIT, "rubbish", 7);
    build_frame(built, WIRE_FRAME_PADDING, "padding", 7);
    build_frame(built, WIRE_FRAME_PADDING, NULL, 0);
    build_message(built, &goodbye_message);
    build_end(built);
    struct wire_cursor cursor;
    struct message message;
    ck_assert_int_eq(open_built(built, &cursor), WIRE_OK);
    ck_assert_int_eq(wire_next(&cursor, &arena, &message), WIRE_OK);
    ck_assert(message_equal(&message, &commit_message));
    ck_assert_int_eq(wire_next(&cursor, &arena, &message), WIRE_DROP_TYPE);
    ck_assert_int_eq(wire_next(&cursor, &arena, &message), WIRE_DROP_TYPE);
    ck_assert_int_eq(wire_next(&cursor, &arena, &message), WIRE_DROP_BODY);
    ck_assert_int_eq(wire_next(&cursor, &arena, &message), WIRE_OK);
    ck_assert(message_equal(&message, &goodbye_message));
    ck_assert_int_eq(wire_next(&cursor, &arena, &message), WIRE_END);
    free(built);
}
END_TEST

START_TEST(a_broken_frame_header_ends_the_datagram)
{
    struct built *built = malloc(sizeof *built);
    static _Alignas(ARENA_ALIGNMENT) uint8_t memory[4096];
    struct arena arena;
    arena_init(&arena, memory, sizeof memory);
    const uint32_t lengths[] = {9, 10, 1000, DATAGRAM_SIZE_MAX, 0x7fffffff, UINT32_MAX};
    for (size_t i = 0; i < 8; i++) {
        build_start(built);
        build_message(built, &commit_message);
        build_frame(built, MESSAGE_GOODBYE, "12345678", 8);
        uint8_t *frame = built->bytes + built->size - 16;
        if (i < 6) {
            bytes_put_u32(frame + 4, lengths[i]);
        } else if (i == 6) {
            bytes_put_u16(frame + 2, 1); /* flags */
        } else {
            built->size -= 9; /* seven bytes of a frame's header */
        }
        build_end(built);
        struct wire_cursor cursor;
        struct message message;
        ck_assert_int_eq(open_built(built, &cursor), WIRE_OK);
        ck_assert_int_eq(wire_next(&cursor, &arena, &message), WIRE_OK);
        ck_assert_int_eq(wire_next(&cursor, &arena, &message), WIRE_DROP_FRAME);
        ck_assert_int_eq(wire_next(&cursor, &arena, &message), WIRE_END);
        arena_reset(&arena);
    }
    free(built);
}
END_TEST

START_TEST(a_datagram_without_frames_is_empty)
{
    struct built *built = malloc(sizeof *built);
    struct message message;
    build_start(built);
    build_end(built);
    ck_assert_int_eq(take_first(built, &message), WIRE_END);
    free(built);
}
END_TEST

/* ---- PITFALLS UDP-9: hostile protobuf ------------------------------------------------------- */

static enum wire_drop take_body(uint16_t type, const void *body, size_t size)
{
    static struct built built;
    struct message message;
    build_start(&built);
    build_frame(&built, type, body, size);
    build_end(&built);
    return take_first(&built, &message);
}

static size_t encode_body(const struct message *message, uint8_t *body)
{
    static struct codec_form form;
    codec_encode(&form, message);
    codec_pack(&form, body);
    return form.size;
}

static const struct {
    enum message_type type;
    const ProtobufCMessageDescriptor *descriptor;
} straight_types[] = {
    {MESSAGE_REQUEST, &vr__request__descriptor}, {MESSAGE_REPLY, &vr__reply__descriptor},
    {MESSAGE_PREPARE, &vr__prepare__descriptor}, {MESSAGE_PREPARE_OK, &vr__prepare_ok__descriptor},
    {MESSAGE_COMMIT, &vr__commit__descriptor},
};

enum { STRAIGHT_TYPES = sizeof straight_types / sizeof straight_types[0] };

/* What is written without protobuf-c is what protobuf-c writes, byte for byte. */
START_TEST(straight_bytes_are_protobufs)
{
    struct random_message *random = malloc(sizeof *random);
    static uint8_t body[DATAGRAM_SIZE_MAX];
    static uint8_t again[DATAGRAM_SIZE_MAX];
    struct prng prng;
    prng_seed(&prng, 12);
    for (int round = 0; round < ROUNDS; round++) {
        for (size_t t = 0; t < STRAIGHT_TYPES; t++) {
            random_message(&prng, straight_types[t].type, 1 + (uint32_t)prng_below(&prng, 3000),
                           random);
            const size_t size = encode_body(&random->message, body);
            ProtobufCMessage *form =
                protobuf_c_message_unpack(straight_types[t].descriptor, NULL, size, body);
            ck_assert_ptr_nonnull(form);
            ck_assert_uint_eq(protobuf_c_message_get_packed_size(form), size);
            ck_assert_uint_eq(protobuf_c_message_pack(form, again), size);
            ck_assert_mem_eq(body, again, size);
            protobuf_c_message_free_unpacked(form, NULL);
        }
    }
    free(random);
}
END_TEST

struct judged {
    enum wire_drop drop;
    struct message message;
};

static struct judged judge_body(enum message_type type, const uint8_t *body, size_t size, bool any,
                                uint8_t *memory)
{
    struct judged judged = {.message = commit_message};
    struct arena arena;
    arena_init(&arena, memory, wire_arena_size(DATAGRAM_SIZE_MAX));
    judged.message.type = MESSAGE_NONE;
    if (!any) {
        judged.drop = codec_decode(type, body, size, &arena, &judged.message);
        return judged;
    }
    judged.drop = codec_decode_any(type, body, size, &arena, &judged.message);
    if (judged.drop == WIRE_OK && !message_validate(&judged.message)) {
        judged.drop = WIRE_DROP_INVALID;
    }
    return judged;
}

/* What is read without protobuf-c is what protobuf-c reads, whatever became of the bytes. */
START_TEST(straight_reading_is_protobufs)
{
    struct random_message *random = malloc(sizeof *random);
    const size_t memory_size = (wire_arena_size(DATAGRAM_SIZE_MAX) / 16 + 1) * 16;
    uint8_t *memory = aligned_alloc(ARENA_ALIGNMENT, memory_size);
    uint8_t *other = aligned_alloc(ARENA_ALIGNMENT, memory_size);
    static uint8_t body[DATAGRAM_SIZE_MAX];
    struct prng prng;
    unsigned agreed[2] = {0};
    prng_seed(&prng, 13);
    for (int round = 0; round < 100 * ROUNDS; round++) {
        const enum message_type type = straight_types[prng_below(&prng, STRAIGHT_TYPES)].type;
        random_message(&prng, type, 1 + (uint32_t)prng_below(&prng, 40), random);
        size_t size = encode_body(&random->message, body);
        for (uint64_t i = prng_below(&prng, 3); i > 0; i--) {
            body[prng_below(&prng, size)] = (uint8_t)prng_next(&prng);
        }
        if (prng_chance(&prng, 1, 4)) { /* a field twice, one left out, one too many */
            const size_t from = (size_t)prng_below(&prng, size);
            const size_t count = (size_t)prng_below(&prng, size - from);
            const size_t to = (size_t)prng_below(&prng, size);
            memmove(body + to, body + from, count);
            size = prng_chance(&prng, 1, 2) && to + count > 0 ? to + count : size;
        }
        uint8_t *exact = malloc(size); /* so that a read beyond the end is seen */
        memcpy(exact, body, size);
        const struct judged straight = judge_body(type, exact, size, false, memory);
        const struct judged any = judge_body(type, exact, size, true, other);
        ck_assert_int_eq(straight.drop, any.drop);
        ck_assert(any.drop != WIRE_OK || message_equal(&straight.message, &any.message));
        agreed[any.drop == WIRE_OK]++;
        free(exact);
    }
    ck_assert_uint_gt(agreed[0], ROUNDS);
    ck_assert_uint_gt(agreed[1], ROUNDS);
    free(other);
    free(memory);
    free(random);
}
END_TEST

/* Every field is required, so what is cut anywhere lacks one. (A Status ends in its counters, of
 * which it may have any number.) */
START_TEST(bodies_cut_short_are_refused)
{
    struct random_message *random = malloc(sizeof *random);
    static uint8_t body[DATAGRAM_SIZE_MAX];
    struct prng prng;
    prng_seed(&prng, 5);
    for (size_t t = 0; t < RANDOM_MESSAGE_TYPES; t++) {
        const enum message_type type = random_message_types[t];
        random_message(&prng, type, 500, random);
        if (type == MESSAGE_CATCHUP_REQUEST) {
            random->message.catchup_request.restores = false; /* optional, and the last */
        }
        const size_t size = encode_body(&random->message, body);
        ck_assert_int_eq(take_body((uint16_t)type, body, size), WIRE_OK);
        for (size_t cut = 0; cut < size; cut++) {
            const enum wire_drop drop = take_body((uint16_t)type, body, cut);
            ck_assert_msg(drop != WIRE_OK || type == MESSAGE_STATUS, "%s cut to %zu",
                          message_type_name(type), cut);
        }
    }
    free(random);
}
END_TEST

/* Whatever the bytes, they are dropped or are a valid message: no crash (run under sanitizers), no
 * field out of bounds. */
START_TEST(mutated_bodies_do_no_harm)
{
    struct random_message *random = malloc(sizeof *random);
    static uint8_t body[DATAGRAM_SIZE_MAX];
    struct prng prng;
    prng_seed(&prng, 6);
    unsigned dropped = 0;
    unsigned passed = 0;
    for (int round = 0; round < 400; round++) {
        for (size_t t = 0; t < RANDOM_MESSAGE_TYPES; t++) {
            random_message(&prng, random_message_types[t], 300, random);
            const size_t size = encode_body(&random->message, body);
            for (uint64_t i = prng_between(&prng, 1, 4); i > 0; i--) {
                body[prng_below(&prng, size)] = (uint8_t)prng_next(&prng);
            }
            const uint16_t type = (uint16_t)(prng_chance(&prng, 1, 10) ? prng_below(&prng, 70)
                                                                       : random_message_types[t]);
            if (take_body(type, body, size) == WIRE_OK) {
                passed++;
            } else {
                dropped++;
            }
        }
    }
    ck_assert_uint_gt(passed, 0);
    ck_assert_uint_gt(dropped, 0);
    free(random);
}
END_TEST

START_TEST(random_bodies_do_no_harm)
{
    static uint8_t body[2000];
    struct prng prng;
    prng_seed(&prng, 7);
    for (int round = 0; round < 20000; round++) {
        const size_t size = (size_t)prng_below(&prng, sizeof body);
        for (size_t i = 0; i < size; i++) {
            body[i] = (uint8_t)prng_next(&prng);
        }
        (void)take_body((uint16_t)prng_below(&prng, 70), body, size);
    }
}
END_TEST

START_TEST(unknown_enum_values_are_refused)
{
    struct built *built = malloc(sizeof *built);
    struct message message;
    const int values[] = {INT32_MIN, -1, 0, 4, 1000, INT32_MAX};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        Vr__Request request = VR__REQUEST__INIT;
        request.client_id_low = 1;
        request.kind = (Vr__RequestKind)values[i];
        build_start(built);
        build_form(built, MESSAGE_REQUEST, &request.base);
        build_end(built);
        ck_assert_int_eq(take_first(built, &message), WIRE_DROP_INVALID);

        Vr__Refused refused = VR__REFUSED__INIT;
        refused.reason = (Vr__RefusedReason)(values[i] == 4 ? 6 : values[i]);
        build_start(built);
        build_form(built, MESSAGE_REFUSED, &refused.base);
        build_end(built);
        ck_assert_int_eq(take_first(built, &message), WIRE_DROP_INVALID);
    }
    free(built);
}
END_TEST

START_TEST(too_many_counters_are_refused)
{
    struct built *built = malloc(sizeof *built);
    struct random_message *random = malloc(sizeof *random);
    struct prng prng;
    prng_seed(&prng, 8);
    random_message(&prng, MESSAGE_STATUS, 128, random);
    random->report.counter_count = 0;
    static struct codec_form form;
    codec_encode(&form, &random->message);
    Vr__StatusCounter counter = VR__STATUS_COUNTER__INIT;
    counter.name = (char *)(uintptr_t) "n";
    static Vr__StatusCounter *pointers[STATUS_COUNTERS_MAX + 1];
    for (size_t i = 0; i <= STATUS_COUNTERS_MAX; i++) {
        pointers[i] = &counter;
    }
    form.status.counters = pointers;
    struct message message;
    for (size_t count = STATUS_COUNTERS_MAX; count <= STATUS_COUNTERS_MAX + 1; count++) {
        form.status.n_counters = count;
        build_start(built);
        build_form(built, MESSAGE_STATUS, &form.base);
        build_end(built);
        ck_assert_int_eq(take_first(built, &message),
                         count <= STATUS_COUNTERS_MAX ? WIRE_OK : WIRE_DROP_INVALID);
    }
    free(random);
    free(built);
}
END_TEST

/* A configuration in a Status has one byte form, like any other. */
START_TEST(malformed_configurations_are_refused)
{
    struct built *built = malloc(sizeof *built);
    struct random_message *random = malloc(sizeof *random);
    struct prng prng;
    prng_seed(&prng, 10);
    random_message(&prng, MESSAGE_STATUS, 128, random);
    random->configuration.member_count = 1; /* leaves room for a byte too many */
    random->report.silent_mask = random->report.bound_mask = random->report.suspect_mask = 0;
    static struct codec_form form;
    for (int i = -1; i <= 1; i++) {
        codec_encode(&form, &random->message);
        form.status.configuration.len = (size_t)((int)form.status.configuration.len + i);
        struct message message;
        build_start(built);
        build_form(built, MESSAGE_STATUS, &form.base);
        build_end(built);
        ck_assert_int_eq(take_first(built, &message), i == 0 ? WIRE_OK : WIRE_DROP_INVALID);
    }
    free(random);
    free(built);
}
END_TEST

/* Caps come before unpacking: a small message is small, unknown fields in it or not. */
START_TEST(oversized_bodies_are_refused_unseen)
{
    static uint8_t body[DATAGRAM_SIZE_MAX];
    for (size_t t = 0; t < RANDOM_MESSAGE_TYPES; t++) {
        const enum message_type type = random_message_types[t];
        const size_t max = codec_body_size_max(type);
        if (max > DATAGRAM_SIZE_MAX - WIRE_OVERHEAD) {
            continue;
        }
        ck_assert_int_eq(take_body((uint16_t)type, body, max + 1), WIRE_DROP_BODY_SIZE);
        ck_assert_int_ne(take_body((uint16_t)type, body, max), WIRE_DROP_BODY_SIZE);
    }
}
END_TEST

/* CVE-2022-48468's kind: a length that wraps, in a required field of bytes. */
START_TEST(lengths_that_wrap_are_refused)
{
    const uint8_t lengths[][10] = {
        {0xff, 0xff, 0xff, 0xff, 0x0f},
        {0xff, 0xff, 0xff, 0xff, 0x07},
        {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01},
        {0xfe, 0xff, 0xff, 0xff, 0x0f},
        {0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80},
    };
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        uint8_t body[64] = {0};
        body[0] = 6 << 3 | 2; /* Request.operation */
        memcpy(body + 1, lengths[i], sizeof lengths[i]);
        ck_assert_int_eq(take_body(MESSAGE_REQUEST, body, sizeof body), WIRE_DROP_BODY);
        body[0] = 24 << 3 & 0x7f;
        body[0] |= 0x82;
        body[1] = 1; /* Status.counters, a nested message */
        memcpy(body + 2, lengths[i], sizeof lengths[i]);
        ck_assert_int_eq(take_body(MESSAGE_STATUS, body, sizeof body), WIRE_DROP_BODY);
    }
}
END_TEST

/* A field that is repeated where it may not be takes arena for each copy: bounded, then dropped. */
START_TEST(memory_is_the_arena_and_no_more)
{
    struct random_message *random = malloc(sizeof *random);
    static uint8_t body[DATAGRAM_SIZE_MAX];
    struct built *built = malloc(sizeof *built);
    struct prng prng;
    prng_seed(&prng, 9);
    const size_t size_max = wire_arena_size(4096);
    uint8_t *memory = aligned_alloc(ARENA_ALIGNMENT, size_max / 16 * 16 + 64);
    for (size_t t = 0; t < RANDOM_MESSAGE_TYPES; t++) {
        const enum message_type type = random_message_types[t];
        random_message(&prng, type, 300, random);
        if (type == MESSAGE_STATUS) {
            random->report.counter_count = 30;
            for (uint32_t i = 0; i < 30; i++) {
                random->counters[i] = (struct status_counter){"counter", i};
            }
        }
        const size_t body_size = encode_body(&random->message, body);
        build_start(built);
        build_frame(built, (uint16_t)type, body, body_size);
        build_end(built);
        bool passed = false;
        for (size_t size = 0; size <= size_max && !passed; size += 16) {
            memset(memory + size, 0xa5, 48);
            struct arena arena;
            arena_init(&arena, memory, size);
            struct wire_cursor cursor;
            struct message message;
            ck_assert_int_eq(open_built(built, &cursor), WIRE_OK);
            const enum wire_drop drop = wire_next(&cursor, &arena, &message);
            ck_assert(drop == WIRE_OK || drop == WIRE_DROP_MEMORY);
            passed = drop == WIRE_OK;
            ck_assert_uint_le(arena.used, size);
            for (size_t i = 0; i < 48; i++) {
                ck_assert_uint_eq(memory[size + i], 0xa5);
            }
        }
        ck_assert_msg(passed, "%s", message_type_name(type));
    }

    /* 20,000 times the same required field, and as many unknown ones. */
    for (size_t i = 0; i + 2 <= 40000; i += 2) {
        body[i] = 6 << 3 | 2;
        body[i + 1] = 0;
    }
    ck_assert_int_ne(take_body(MESSAGE_REQUEST, body, 40000), WIRE_OK);
    for (size_t i = 0; i + 2 <= 40000; i += 2) {
        body[i] = 15 << 3;
    }
    ck_assert_int_ne(take_body(MESSAGE_REQUEST, body, 40000), WIRE_OK);
    free(memory);
    free(built);
    free(random);
}
END_TEST

/* What the straight reader took before it left a body to protobuf-c is given back: the largest
 * bodies, with a field behind them that is not known, fit the arena of their size. */
START_TEST(large_body_with_an_unknown_field_fits)
{
    static const enum message_type types[] = {MESSAGE_REQUEST, MESSAGE_REPLY, MESSAGE_PREPARE};
    static uint8_t body[MESSAGE_SIZE_MAX];
    struct random_message *random = malloc(sizeof *random);
    const size_t arena_size = wire_arena_size(MESSAGE_SIZE_MAX);
    uint8_t *memory = aligned_alloc(ARENA_ALIGNMENT, arena_size / 16 * 16 + 16);
    struct prng prng;
    prng_seed(&prng, 14);
    for (size_t t = 0; t < sizeof types / sizeof types[0]; t++) {
        size_t size;
        do {
            random_message(&prng, types[t], OPERATION_SIZE_MAX, random);
            size = encode_body(&random->message, body);
        } while (size < OPERATION_SIZE_MAX * 9 / 10);
        body[size++] = 15 << 3;
        body[size++] = 1;
        struct arena arena;
        arena_init(&arena, memory, arena_size);
        struct message message = random->message;
        const enum wire_drop drop = codec_decode(types[t], body, size, &arena, &message);
        ck_assert_msg(drop == WIRE_OK, "%s: %s", message_type_name(types[t]), wire_drop_name(drop));
        ck_assert(message_equal(&random->message, &message));
    }
    free(memory);
    free(random);
}
END_TEST

START_TEST(arena_says_no)
{
    _Alignas(ARENA_ALIGNMENT) uint8_t memory[64];
    struct arena arena;
    arena_init(&arena, memory, sizeof memory);
    ck_assert_ptr_eq(arena_take(&arena, 1), memory);
    ck_assert_ptr_eq(arena_take(&arena, 48), memory + 16);
    ck_assert_ptr_null(arena_take(&arena, 1));
    ck_assert_ptr_null(arena_take(&arena, SIZE_MAX));
    ck_assert_ptr_null(arena_take(&arena, SIZE_MAX - 14));
    ck_assert_ptr_nonnull(arena_take(&arena, 0));
    arena_reset(&arena);
    ck_assert_ptr_eq(arena_take(&arena, 64), memory);
    arena_reset(&arena);
    ck_assert_ptr_eq(arena_take(&arena, 16), memory);
    const size_t mark = arena_mark(&arena);
    ck_assert_ptr_eq(arena_take(&arena, 48), memory + 16);
    arena_rewind(&arena, mark);
    ck_assert_ptr_eq(arena_take(&arena, 48), memory + 16);
}
END_TEST

/* ---- Tokens (M3) ---------------------------------------------------------------------------- */

START_TEST(a_token_names_one_address)
{
    uint8_t secret[WIRE_TOKEN_SECRET_SIZE] = {1, 2, 3};
    struct net_address address = {.ip = {[10] = 0xff, 0xff, 127, 0, 0, 1}, .port = 4000};
    const uint64_t token = wire_token(secret, &address);
    ck_assert_uint_ne(token, 0);
    ck_assert_uint_eq(wire_token(secret, &address), token);
    struct net_address other = address;
    other.local = 1; /* is ours, not the sender's */
    ck_assert_uint_eq(wire_token(secret, &other), token);
    other = address;
    other.port++;
    ck_assert_uint_ne(wire_token(secret, &other), token);
    other = address;
    other.scope_id++;
    ck_assert_uint_ne(wire_token(secret, &other), token);
    for (size_t i = 0; i < sizeof other.ip; i++) {
        other = address;
        other.ip[i] ^= 1;
        ck_assert_uint_ne(wire_token(secret, &other), token);
    }
    for (size_t i = 0; i < sizeof secret; i++) {
        secret[i] ^= 1;
        ck_assert_uint_ne(wire_token(secret, &address), token);
        secret[i] ^= 1;
    }
}
END_TEST

START_TEST(drops_have_names)
{
    for (int drop = WIRE_OK; drop < WIRE_DROP_COUNT; drop++) {
        for (int other = WIRE_OK; other < drop; other++) {
            ck_assert_str_ne(wire_drop_name((enum wire_drop)drop),
                             wire_drop_name((enum wire_drop)other));
        }
        ck_assert_str_ne(wire_drop_name((enum wire_drop)drop), "?");
    }
    ck_assert_str_eq(wire_drop_name(WIRE_DROP_COUNT), "?");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("wire");
    TCase *tests = tcase_create("datagrams");
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, every_type_comes_back_as_it_went, 0, RANDOM_MESSAGE_TYPES);
    tcase_add_test(tests, arena_size_is_enough);
    tcase_add_test(tests, every_flipped_bit_is_noticed);
    tcase_add_test(tests, every_other_length_is_noticed);
    tcase_add_test(tests, opening_changes_no_byte);
    tcase_add_test(tests, repeated_datagram_opens_again);
    tcase_add_test(tests, other_versions_can_be_answered);
    tcase_add_test(tests, sealed_datagrams_are_not_opened);
    tcase_add_test(tests, without_a_cluster_only_two_questions);
    tcase_add_test(tests, a_bad_frame_spoils_only_itself);
    tcase_add_test(tests, a_broken_frame_header_ends_the_datagram);
    tcase_add_test(tests, a_datagram_without_frames_is_empty);
    tcase_add_test(tests, straight_bytes_are_protobufs);
    tcase_add_test(tests, straight_reading_is_protobufs);
    tcase_add_test(tests, bodies_cut_short_are_refused);
    tcase_add_test(tests, mutated_bodies_do_no_harm);
    tcase_add_test(tests, random_bodies_do_no_harm);
    tcase_add_test(tests, unknown_enum_values_are_refused);
    tcase_add_test(tests, too_many_counters_are_refused);
    tcase_add_test(tests, malformed_configurations_are_refused);
    tcase_add_test(tests, oversized_bodies_are_refused_unseen);
    tcase_add_test(tests, lengths_that_wrap_are_refused);
    tcase_add_test(tests, memory_is_the_arena_and_no_more);
    tcase_add_test(tests, large_body_with_an_unknown_field_fits);
    tcase_add_test(tests, arena_says_no);
    tcase_add_test(tests, a_token_names_one_address);
    tcase_add_test(tests, drops_have_names);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
