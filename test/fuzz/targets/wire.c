/* SPDX-License-Identifier: Apache-2.0 */
/* Datagrams: opened, decoded, validated, put together from parts. Their checksum is made right, so
 * that what lies behind it is reached. What was decoded must say the same once it is encoded
 * again. */
#include "common/wire/codec.h"
#include "common/wire/reassembler.h"
#include "test/fuzz/targets/target.h"
#include "test/support/mutate.h"
#include "test/support/random_message.h"

static uint8_t datagram[DATAGRAM_SIZE_MAX];
static struct codec_form form;
static uint8_t body[MESSAGE_SIZE_MAX];
static struct arena arenas[2];

static void init(void)
{
    for (int i = 0; i < 2; i++) {
        const size_t size = wire_arena_size(MESSAGE_SIZE_MAX);
        arena_init(&arenas[i], malloc(size), size);
    }
}

static void encode_again(const struct message *message)
{
    struct message again = *message; /* the envelope is the datagram's */
    codec_encode(&form, message);
    FUZZ_EXPECT(form.size <= sizeof body);
    codec_pack(&form, body);
    arena_reset(&arenas[1]);
    FUZZ_EXPECT(codec_decode((uint32_t)message->type, body, form.size, &arenas[1], &again) ==
                WIRE_OK);
    FUZZ_EXPECT(message_equal(message, &again));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static const struct net_address from = {.port = 7};
    struct wire_header header;
    struct wire_cursor cursor;
    if (arenas[0].memory == NULL) {
        init();
    }
    if (size > sizeof datagram) {
        return 0;
    }
    memcpy(datagram, bytes, size);
    mutate_repair_checksum(datagram, size);
    if (wire_open(datagram, size, &from, &header, &cursor) != WIRE_OK) {
        return 0;
    }
    enum wire_drop drop = WIRE_OK;
    while (drop != WIRE_END) {
        struct message message;
        arena_reset(&arenas[0]);
        drop = wire_next(&cursor, &arenas[0], &message);
        if (drop == WIRE_OK) {
            FUZZ_EXPECT(message_validate(&message));
            encode_again(&message);
        }
    }
    return 0;
}
