/* SPDX-License-Identifier: Apache-2.0 */
/* sender.c - two halves: datagrams that are being filled, and split messages that are kept.
 *
 * Datagrams. Buffers are used in order, from the first one again after each flush; so the order of
 * the buffers is the order of opening, and emitting them is one call. A small table finds the open
 * datagram of a destination; when that is full, the destination's entry moves on to a new buffer.
 *
 * Split messages. Their bodies live in one ring of memory, oldest first, each with one bitmap per
 * destination: the parts it still has to get. Sending a message sets every bit, PartsMissing sets
 * some again, and pump() clears them as fast as the pace allows, one part of each message in turn.
 * A part asked for twice is sent once, and asking changes nothing but bits. */
#include "common/wire/sender.h"

#include <string.h>

#include "common/base/invariant.h"
#include "common/wire/codec.h"
#include "common/wire/datagram.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

enum {
    /* The numbers in a Part's body at their longest: id 9, type 2, total_size 4, part_size 4,
     * index 3, whole_checksum 9, and 5 before the data. */
    PART_OVERHEAD = 36,
    NUMBER_BITS = 8, /* of an id, below the counter */
    CACHE_LINE = 64,
};
#define NS_PER_MS UINT64_C(1000000)

_Static_assert(DATAGRAM_SIZE_MIN - WIRE_OVERHEAD - PART_OVERHEAD >= PART_SIZE_MIN,
               "the smallest datagram holds a part");
_Static_assert(MESSAGE_SIZE_MAX < 1 << 21, "a Part's sizes take three bytes");
_Static_assert(PARTS_MAX < 1 << 14, "a Part's index takes two bytes");
_Static_assert(WIRE_OVERHEAD + PARTS_BITMAP_MAX + 16 <= DATAGRAM_SIZE_MIN,
               "PartsMissing is never split itself");
_Static_assert(WIRE_SENDER_NUMBER_MAX < 1 << NUMBER_BITS, "an id has room for the number");

/* A datagram that is being filled, or is full and waits for the flush. */
struct buffer {
    struct wire_destination destination;
    uint32_t budget;
    uint32_t size; /* header included; <= budget */
    uint16_t flags;
};

/* A split message. */
struct kept {
    uint64_t id;
    uint64_t whole_checksum;
    enum message_type type;
    uint32_t total_size;
    uint32_t part_size;
    uint32_t part_count;
    size_t offset;    /* in kept_memory: the body, then a bitmap per destination */
    size_t allocated; /* bytes from there on */
    uint64_t pending; /* bits set in all its bitmaps */
    uint32_t destination_count;
    struct {
        struct wire_destination destination;
        uint32_t pending_count; /* bits set in its bitmap */
        uint32_t scan_from;     /* no bit below is set */
    } to[WIRE_DESTINATIONS_MAX];
};

struct wire_sender {
    struct wire_sender_options options;
    struct wire_sender_counters counters;

    uint8_t *buffer_memory; /* buffer_count * buffer_stride bytes */
    size_t buffer_stride;
    struct buffer *buffers;          /* buffer_count */
    struct wire_datagram *datagrams; /* buffer_count, filled in by a flush */
    uint32_t buffers_used;
    uint64_t flush_count; /* pointers into buffers are valid while it stays */
    uint32_t *table;      /* open addressing by address: 1 + buffer index, 0 free */
    uint32_t table_mask;

    uint8_t *kept_memory;
    struct kept *kept; /* ring of kept_count_max */
    uint32_t kept_first;
    uint32_t kept_count;
    uint32_t turn;       /* whose part comes next: counted from kept_first */
    uint64_t pending;    /* bits set in all bitmaps */
    uint64_t id_counter; /* of the last split message */
    uint64_t allowance;  /* bytes of parts that may leave now; <= pace_burst */
    uint64_t paced_ns;   /* when allowance was brought up to date */
};

void wire_sender_options_default(struct wire_sender_options *options)
{
    *options = (struct wire_sender_options){
        .sender = REPLICA_NONE,
        .datagram_size = DATAGRAM_SIZE_DEFAULT,
        .datagram_size_max = DATAGRAM_SIZE_LOOPBACK,
        .buffer_count = 64,
        .kept_count_max = 256,
        .kept_size = 8 * 1024 * 1024,
        .pace_bytes_per_ms = 128 * 1024,
        /* Stays well within a socket's receive buffer as Linux has it unless told otherwise. */
        .pace_burst = 128 * 1024,
    };
}

/* ---- Memory --------------------------------------------------------------------------------- */

static uint32_t table_size(uint32_t buffer_count)
{
    uint32_t size = 2;
    while (size < 2 * buffer_count) {
        size *= 2;
    }
    return size;
}

/* Buffers start at odd multiples of a cache line, or all headers would share a few cache sets. */
static size_t buffer_stride(const struct wire_sender_options *options)
{
    const size_t lines = (options->datagram_size_max + CACHE_LINE - 1) / CACHE_LINE;
    return (lines | 1) * CACHE_LINE;
}

/* Cuts `memory` into the sender's regions, or only measures them where it is NULL. */
static size_t lay_out(const struct wire_sender_options *options, uint8_t *memory,
                      struct wire_sender *sender)
{
    const size_t sizes[] = {
        sizeof *sender,
        options->buffer_count * sizeof *sender->buffers,
        options->buffer_count * sizeof *sender->datagrams,
        table_size(options->buffer_count) * sizeof *sender->table,
        options->kept_count_max * sizeof *sender->kept,
        options->buffer_count * buffer_stride(options),
        options->kept_size,
    };
    enum { REGIONS = sizeof sizes / sizeof sizes[0] };
    uint8_t *regions[REGIONS];
    size_t used = 0;
    for (size_t i = 0; i < REGIONS; i++) {
        regions[i] = memory != NULL ? memory + used : NULL;
        used += (sizes[i] + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
    }
    if (sender != NULL) {
        sender->buffers = (struct buffer *)(void *)regions[1];
        sender->datagrams = (struct wire_datagram *)(void *)regions[2];
        sender->table = (uint32_t *)(void *)regions[3];
        sender->kept = (struct kept *)(void *)regions[4];
        sender->buffer_memory = regions[5];
        sender->kept_memory = regions[6];
    }
    return used;
}

size_t wire_sender_memory_size(const struct wire_sender_options *options)
{
    return lay_out(options, NULL, NULL);
}

struct wire_sender *wire_sender_init(void *memory, const struct wire_sender_options *options)
{
    INVARIANT(options->number <= WIRE_SENDER_NUMBER_MAX);
    INVARIANT(options->datagram_size >= DATAGRAM_SIZE_MIN);
    INVARIANT(options->datagram_size_max >= options->datagram_size);
    INVARIANT(options->datagram_size_max <= DATAGRAM_SIZE_MAX);
    INVARIANT(options->buffer_count >= 1);
    INVARIANT(options->kept_count_max >= 1);
    INVARIANT(options->pace_bytes_per_ms >= 1);
    INVARIANT(options->pace_burst >= options->datagram_size_max);
    struct wire_sender *sender = memory;
    *sender = (struct wire_sender){.options = *options};
    (void)lay_out(options, memory, sender);
    sender->buffer_stride = buffer_stride(options);
    sender->table_mask = table_size(options->buffer_count) - 1;
    memset(sender->table, 0, (sender->table_mask + 1) * sizeof *sender->table);
    sender->allowance = options->pace_burst;
    return sender;
}

void wire_sender_counters(const struct wire_sender *sender, struct wire_sender_counters *out)
{
    *out = sender->counters;
}

void wire_sender_set_cluster(struct wire_sender *sender, uint64_t cluster_id)
{
    wire_flush(sender);
    sender->options.cluster_id = cluster_id;
}

/* ---- Datagrams that are being filled -------------------------------------------------------- */

static uint8_t *buffer_bytes(const struct wire_sender *sender, uint32_t index)
{
    return sender->buffer_memory + index * sender->buffer_stride;
}

/* M3: up to the size that was asked for, if a padding frame still fits. */
static void pad(struct buffer *buffer, uint8_t *bytes)
{
    if (buffer->size >= buffer->destination.padded_size) {
        return;
    }
    uint32_t padding = buffer->destination.padded_size - buffer->size;
    if (padding < WIRE_FRAME_HEADER_SIZE) {
        padding = WIRE_FRAME_HEADER_SIZE;
    }
    if (padding > buffer->budget - buffer->size) {
        padding = buffer->budget - buffer->size;
    }
    if (padding < WIRE_FRAME_HEADER_SIZE) {
        return;
    }
    const uint32_t length = padding - WIRE_FRAME_HEADER_SIZE;
    datagram_write_frame(bytes + buffer->size, WIRE_FRAME_PADDING, length);
    memset(bytes + buffer->size + WIRE_FRAME_HEADER_SIZE, 0, length);
    buffer->size += padding;
}

void wire_flush(struct wire_sender *sender)
{
    if (sender->buffers_used == 0) {
        return;
    }
    const struct wire_sender_options *options = &sender->options;
    struct wire_header header = {
        .version = WIRE_VERSION,
        .cluster_id = options->cluster_id,
        .sender = options->sender,
        .incarnation = options->incarnation,
        .identity = options->identity,
        .configuration_hash = options->configuration_hash,
    };
    for (uint32_t i = 0; i < sender->buffers_used; i++) {
        struct buffer *buffer = &sender->buffers[i];
        uint8_t *bytes = buffer_bytes(sender, i);
        pad(buffer, bytes);
        header.flags = buffer->flags;
        header.token = buffer->destination.token;
        datagram_seal(bytes, buffer->size, &header);
        sender->datagrams[i] = (struct wire_datagram){
            .address = buffer->destination.address,
            .bytes = bytes,
            .size = buffer->size,
        };
        sender->counters.bytes += buffer->size;
    }
    sender->counters.datagrams += sender->buffers_used;
    options->emit(options->emit_context, sender->datagrams, sender->buffers_used);
    memset(sender->table, 0, (sender->table_mask + 1) * sizeof *sender->table);
    sender->buffers_used = 0;
    sender->flush_count++;
}

static uint32_t address_hash(const struct net_address *address)
{
    uint64_t high;
    uint64_t low;
    memcpy(&high, address->ip, sizeof high);
    memcpy(&low, address->ip + sizeof high, sizeof low);
    uint64_t hash = (high ^ (low << 1) ^ address->port) * UINT64_C(0x9e3779b97f4a7c15);
    hash ^= hash >> 32;
    return (uint32_t)(hash * UINT64_C(0x9e3779b97f4a7c15) >> 32);
}

/* The table's slot for an address: its own, or the free one where it belongs. There is one: the
 * table has twice as many slots as there are buffers. */
static uint32_t *find_slot(const struct wire_sender *sender, const struct net_address *address)
{
    for (uint32_t i = address_hash(address);; i++) {
        uint32_t *slot = &sender->table[i & sender->table_mask];
        if (*slot == 0 ||
            net_address_equal(&sender->buffers[*slot - 1].destination.address, address)) {
            return slot;
        }
    }
}

static uint32_t budget_of(const struct wire_sender *sender,
                          const struct wire_destination *destination)
{
    const uint32_t budget =
        destination->budget != 0 ? destination->budget : sender->options.datagram_size;
    INVARIANT(budget >= DATAGRAM_SIZE_MIN);
    INVARIANT(budget <= sender->options.datagram_size_max);
    return budget;
}

/* Takes the next buffer for a destination whose datagram is full, or which has none. */
static struct buffer *open_datagram(struct wire_sender *sender, uint32_t *slot,
                                    const struct wire_destination *destination, uint32_t budget)
{
    if (sender->buffers_used == sender->options.buffer_count) {
        wire_flush(sender);
        slot = find_slot(sender, &destination->address);
    }
    struct buffer *buffer = &sender->buffers[sender->buffers_used++];
    *slot = sender->buffers_used;
    *buffer = (struct buffer){
        .destination = *destination,
        .budget = budget,
        .size = WIRE_HEADER_SIZE,
    };
    return buffer;
}

/* Adds a frame to the destination's datagram; its body, of a size that fits a datagram, is the
 * caller's to write before anything else happens to the sender. */
static uint8_t *add_frame(struct wire_sender *sender, const struct wire_destination *destination,
                          enum message_type type, size_t size)
{
    const uint32_t budget = budget_of(sender, destination);
    INVARIANT(WIRE_OVERHEAD + size <= budget);
    uint32_t *slot = find_slot(sender, &destination->address);
    struct buffer *buffer = *slot != 0 ? &sender->buffers[*slot - 1] : NULL;
    if (buffer == NULL || buffer->size + WIRE_FRAME_HEADER_SIZE + size > buffer->budget) {
        buffer = open_datagram(sender, slot, destination, budget);
    }
    if (destination->token != 0) {
        buffer->destination.token = destination->token;
    }
    if (buffer->destination.padded_size < destination->padded_size) {
        buffer->destination.padded_size = destination->padded_size;
    }
    if (type == MESSAGE_REFUSED) {
        buffer->flags |= WIRE_FLAG_ERROR;
    }
    uint8_t *frame = buffer_bytes(sender, (uint32_t)(buffer - sender->buffers)) + buffer->size;
    datagram_write_frame(frame, (uint16_t)type, (uint32_t)size);
    buffer->size += WIRE_FRAME_HEADER_SIZE + (uint32_t)size;
    return frame + WIRE_FRAME_HEADER_SIZE;
}

/* ---- Split messages ------------------------------------------------------------------------- */

uint32_t wire_part_sender_number(uint64_t id)
{
    return (uint32_t)(id & WIRE_SENDER_NUMBER_MAX);
}

static size_t bitmap_size(const struct kept *kept)
{
    return (kept->part_count + 7) / 8;
}

static uint8_t *bitmap_of(const struct wire_sender *sender, const struct kept *kept, uint32_t to)
{
    return sender->kept_memory + kept->offset + kept->total_size + to * bitmap_size(kept);
}

static struct kept *kept_at(const struct wire_sender *sender, uint32_t age)
{
    return &sender->kept[(sender->kept_first + age) % sender->options.kept_count_max];
}

static void evict_oldest_kept(struct wire_sender *sender)
{
    const struct kept *oldest = kept_at(sender, 0);
    sender->pending -= oldest->pending;
    sender->counters.kept_evicted += oldest->pending > 0 ? 1 : 0;
    sender->kept_first = (sender->kept_first + 1) % sender->options.kept_count_max;
    sender->kept_count--;
    sender->turn -= sender->turn > 0 ? 1 : 0;
}

/* Where `size` bytes are free behind the newest kept message, in *offset; false if nowhere. */
static bool find_kept_room(const struct wire_sender *sender, size_t size, size_t *offset)
{
    const size_t end = sender->options.kept_size;
    if (sender->kept_count == 0) {
        *offset = 0;
        return size <= end;
    }
    const struct kept *oldest = kept_at(sender, 0);
    const struct kept *newest = kept_at(sender, sender->kept_count - 1);
    const size_t behind = newest->offset + newest->allocated;
    if (newest->offset < oldest->offset) { /* the ring has wrapped: free is what lies between */
        *offset = behind;
        return size <= oldest->offset - behind;
    }
    if (size <= end - behind) {
        *offset = behind;
        return true;
    }
    *offset = 0;
    return size <= oldest->offset;
}

/* Makes room, evicting the oldest as far as needed. NULL if it is more than there is. */
static struct kept *allocate_kept(struct wire_sender *sender, size_t size)
{
    if (size > sender->options.kept_size) {
        return NULL;
    }
    size_t offset = 0;
    while (sender->kept_count == sender->options.kept_count_max ||
           !find_kept_room(sender, size, &offset)) {
        evict_oldest_kept(sender);
    }
    struct kept *kept = kept_at(sender, sender->kept_count++);
    *kept = (struct kept){.offset = offset, .allocated = size};
    return kept;
}

static void refill_allowance(struct wire_sender *sender, uint64_t now_ns)
{
    const uint64_t rate = sender->options.pace_bytes_per_ms;
    const uint64_t burst = sender->options.pace_burst;
    const uint64_t elapsed_ns = now_ns > sender->paced_ns ? now_ns - sender->paced_ns : 0;
    if (elapsed_ns >= burst * NS_PER_MS / rate) {
        sender->allowance = burst;
        sender->paced_ns = now_ns;
        return;
    }
    const uint64_t gained = elapsed_ns * rate / NS_PER_MS;
    if (gained > 0) {
        sender->allowance = sender->allowance + gained < burst ? sender->allowance + gained : burst;
        sender->paced_ns = now_ns;
    }
}

/* What one part of the message takes of the allowance. */
static uint32_t part_cost(const struct kept *kept)
{
    return WIRE_OVERHEAD + PART_OVERHEAD + kept->part_size;
}

static void send_part(struct wire_sender *sender, const struct kept *kept, uint32_t index,
                      const struct wire_destination *destination)
{
    const uint32_t start = index * kept->part_size;
    const uint32_t rest = kept->total_size - start;
    const struct message message = {
        .type = MESSAGE_PART,
        .part =
            {
                .id = kept->id,
                .type = kept->type,
                .total_size = kept->total_size,
                .part_size = kept->part_size,
                .index = index,
                .whole_checksum = kept->whole_checksum,
                .data_size = rest < kept->part_size ? rest : kept->part_size,
                .data = sender->kept_memory + kept->offset + start,
            },
    };
    struct codec_form form;
    codec_encode(&form, &message);
    codec_pack(&form, add_frame(sender, destination, MESSAGE_PART, form.size));
    sender->counters.parts++;
}

/* The first pending part of a destination goes out. */
static void send_next_part(struct wire_sender *sender, struct kept *kept, uint32_t to)
{
    uint8_t *bitmap = bitmap_of(sender, kept, to);
    uint32_t index = kept->to[to].scan_from;
    while ((bitmap[index / 8] & (1u << (index % 8))) == 0) {
        index++;
        INVARIANT(index < kept->part_count);
    }
    bitmap[index / 8] &= (uint8_t) ~(1u << (index % 8));
    kept->to[to].scan_from = index + 1;
    kept->to[to].pending_count--;
    kept->pending--;
    sender->pending--;
    send_part(sender, kept, index, &kept->to[to].destination);
}

/* The kept message whose turn it is; something is pending. */
static struct kept *next_in_turn(struct wire_sender *sender)
{
    for (;;) {
        if (sender->turn >= sender->kept_count) {
            sender->turn = 0;
        }
        struct kept *kept = kept_at(sender, sender->turn);
        if (kept->pending > 0) {
            return kept;
        }
        sender->turn++;
    }
}

/* Sends pending parts as far as the pace allows. What the allowance protects is a receiver's
 * socket buffer, and a message's destinations are different receivers: so a part costs once. */
static void pump(struct wire_sender *sender, uint64_t now_ns)
{
    refill_allowance(sender, now_ns);
    while (sender->pending > 0) {
        struct kept *kept = next_in_turn(sender);
        if (sender->allowance < part_cost(kept)) {
            return;
        }
        sender->allowance -= part_cost(kept);
        for (uint32_t i = 0; i < kept->destination_count; i++) {
            if (kept->to[i].pending_count > 0) {
                send_next_part(sender, kept, i);
            }
        }
        sender->turn++;
    }
}

static void split(struct wire_sender *sender, const struct wire_destination *const *destinations,
                  uint32_t count, const struct message *message, const struct codec_form *form,
                  uint64_t now_ns)
{
    uint32_t budget = budget_of(sender, destinations[0]);
    for (uint32_t i = 1; i < count; i++) {
        const uint32_t other = budget_of(sender, destinations[i]);
        budget = other < budget ? other : budget;
    }
    const uint32_t total_size = (uint32_t)form->size;
    const uint32_t part_size = budget - WIRE_OVERHEAD - PART_OVERHEAD;
    const uint32_t part_count = (total_size + part_size - 1) / part_size;
    struct kept *kept = allocate_kept(sender, total_size + count * (size_t)((part_count + 7) / 8));
    if (kept == NULL) {
        sender->counters.too_large++;
        return;
    }
    uint8_t *body = sender->kept_memory + kept->offset;
    codec_pack(form, body);
    kept->id = (++sender->id_counter << NUMBER_BITS) | sender->options.number;
    kept->type = message->type;
    kept->whole_checksum = XXH3_64bits(body, total_size);
    kept->total_size = total_size;
    kept->part_size = part_size;
    kept->part_count = part_count;
    kept->destination_count = count;
    for (uint32_t i = 0; i < count; i++) {
        kept->to[i].destination = *destinations[i];
        kept->to[i].pending_count = part_count;
        kept->to[i].scan_from = 0;
        /* Of the last byte too many, but pending_count ends before anybody comes there. */
        memset(bitmap_of(sender, kept, i), 0xff, bitmap_size(kept));
    }
    kept->pending = (uint64_t)part_count * count;
    sender->pending += kept->pending;
    sender->counters.split++;
    pump(sender, now_ns);
}

static void ask_again(struct wire_sender *sender, struct kept *kept, uint32_t to,
                      const struct parts_missing *missing)
{
    uint8_t *bitmap = bitmap_of(sender, kept, to);
    const uint32_t bits = missing->bitmap_size * 8;
    const uint32_t count = bits < kept->part_count ? bits : kept->part_count;
    for (uint32_t index = 0; index < count; index++) {
        const uint8_t bit = (uint8_t)(1u << (index % 8));
        if ((missing->bitmap[index / 8] & bit) == 0 || (bitmap[index / 8] & bit) != 0) {
            continue;
        }
        bitmap[index / 8] |= bit;
        kept->to[to].pending_count++;
        if (index < kept->to[to].scan_from) {
            kept->to[to].scan_from = index;
        }
        kept->pending++;
        sender->pending++;
        sender->counters.parts_asked++;
    }
}

void wire_sender_parts_missing(struct wire_sender *sender, const struct message *message,
                               uint64_t now_ns)
{
    INVARIANT(message->type == MESSAGE_PARTS_MISSING);
    for (uint32_t age = 0; age < sender->kept_count; age++) {
        struct kept *kept = kept_at(sender, age);
        if (kept->id != message->parts_missing.id) {
            continue;
        }
        for (uint32_t i = 0; i < kept->destination_count; i++) {
            if (net_address_equal(&kept->to[i].destination.address, &message->address)) {
                ask_again(sender, kept, i, &message->parts_missing);
                break;
            }
        }
        pump(sender, now_ns);
        return;
    }
}

void wire_sender_tick(struct wire_sender *sender, uint64_t now_ns)
{
    if (sender->pending > 0) {
        pump(sender, now_ns);
    }
}

uint64_t wire_sender_deadline(const struct wire_sender *sender)
{
    if (sender->pending == 0) {
        return UINT64_MAX;
    }
    /* The next part may be smaller; then the tick comes a little late, and sends more. */
    const uint64_t need = sender->options.datagram_size_max;
    if (sender->allowance >= need) {
        return sender->paced_ns;
    }
    const uint64_t rate = sender->options.pace_bytes_per_ms;
    return sender->paced_ns + ((need - sender->allowance) * NS_PER_MS + rate - 1) / rate;
}

/* ---- Sending -------------------------------------------------------------------------------- */

void wire_send(struct wire_sender *sender, const struct wire_destination *destination,
               const struct message *message, uint64_t now_ns)
{
    wire_send_many(sender, destination, 1, message, now_ns);
}

void wire_send_many(struct wire_sender *sender, const struct wire_destination *destinations,
                    size_t count, const struct message *message, uint64_t now_ns)
{
    INVARIANT(count <= WIRE_DESTINATIONS_MAX);
    struct codec_form form;
    codec_encode(&form, message);
    const struct wire_destination *too_small[WIRE_DESTINATIONS_MAX];
    uint32_t too_small_count = 0;
    const uint8_t *packed = NULL; /* valid while no flush came between */
    uint64_t packed_at = 0;
    for (size_t i = 0; i < count; i++) {
        if (WIRE_OVERHEAD + form.size > budget_of(sender, &destinations[i])) {
            too_small[too_small_count++] = &destinations[i];
            continue;
        }
        uint8_t *body = add_frame(sender, &destinations[i], message->type, form.size);
        if (packed != NULL && packed_at == sender->flush_count) {
            memcpy(body, packed, form.size);
        } else {
            codec_pack(&form, body);
        }
        packed = body;
        packed_at = sender->flush_count;
    }
    if (too_small_count > 0) {
        split(sender, too_small, too_small_count, message, &form, now_ns);
    }
    sender->counters.messages += count;
}
