/* SPDX-License-Identifier: Apache-2.0 */
#include "test/sim/network.h"

#include "common/base/invariant.h"

#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

static void *must(void *memory)
{
    INVARIANT(memory != NULL);
    return memory;
}

static uint32_t class_of(size_t size)
{
    uint32_t size_class = 0;
    while (((size_t)512 << size_class) < size) {
        size_class++;
    }
    INVARIANT(size_class < SIM_DATAGRAM_CLASSES);
    return size_class;
}

static uint8_t *buffer_take(struct sim_network *network, uint32_t size_class)
{
    if (network->free_buffer_count[size_class] > 0) {
        return network->free_buffers[size_class][--network->free_buffer_count[size_class]];
    }
    return must(malloc((size_t)512 << size_class));
}

static void buffer_give(struct sim_network *network, uint32_t size_class, uint8_t *buffer)
{
    if (network->free_buffer_count[size_class] == network->free_buffer_capacity[size_class]) {
        const size_t capacity = 2 * network->free_buffer_capacity[size_class] + 64;
        network->free_buffers[size_class] =
            must(realloc(network->free_buffers[size_class], capacity * sizeof(uint8_t *)));
        network->free_buffer_capacity[size_class] = capacity;
    }
    network->free_buffers[size_class][network->free_buffer_count[size_class]++] = buffer;
}

static uint32_t slot_take(struct sim_network *network)
{
    if (network->free_slot_count > 0) {
        return network->free_slots[--network->free_slot_count];
    }
    if (network->datagram_count == network->datagram_capacity) {
        const size_t capacity = 2 * network->datagram_capacity + 1024;
        network->datagrams =
            must(realloc(network->datagrams, capacity * sizeof *network->datagrams));
        network->free_slots =
            must(realloc(network->free_slots, capacity * sizeof *network->free_slots));
        network->datagram_capacity = capacity;
    }
    return (uint32_t)network->datagram_count++;
}

static void datagrams_drop(struct sim_network *network)
{
    for (size_t i = 0; i < network->datagram_count; i++) {
        if (network->datagrams[i].references > 0) {
            buffer_give(network, network->datagrams[i].size_class, network->datagrams[i].bytes);
        }
    }
    network->datagram_count = 0;
    network->free_slot_count = 0;
    memset(network->replay, 0, sizeof network->replay);
}

static void links_draw(struct sim_network *network)
{
    const struct sim_options *options = network->options;
    memset(network->links, 0, sizeof network->links);
    for (uint32_t from = 0; from < SIM_NODES_MAX; from++) {
        for (uint32_t to = 0; to < SIM_NODES_MAX; to++) {
            network->links[from][to].loss_ppm =
                options->loss_per_link
                    ? (uint32_t)prng_below(&network->prng, 2 * (uint64_t)options->loss_ppm + 1)
                    : options->loss_ppm;
        }
    }
}

void sim_network_reset(struct sim_network *network, const struct sim_options *options,
                       struct sim_schedule *schedule, uint64_t seed)
{
    datagrams_drop(network);
    network->options = options;
    network->schedule = schedule;
    network->healed = false;
    network->left_out = false;
    memset(&network->counts, 0, sizeof network->counts);
    network->seed = seed;
    memset(network->ordinals, 0, sizeof network->ordinals);
    prng_seed(&network->prng, seed);
    links_draw(network);
}

void sim_network_free(struct sim_network *network)
{
    datagrams_drop(network);
    for (uint32_t c = 0; c < SIM_DATAGRAM_CLASSES; c++) {
        for (size_t i = 0; i < network->free_buffer_count[c]; i++) {
            free(network->free_buffers[c][i]);
        }
        free(network->free_buffers[c]);
    }
    free(network->datagrams);
    free(network->free_slots);
    memset(network, 0, sizeof *network);
}

struct sim_datagram *sim_network_datagram(struct sim_network *network, uint64_t index)
{
    INVARIANT(index < network->datagram_count);
    INVARIANT(network->datagrams[index].references > 0);
    return &network->datagrams[index];
}

void sim_network_release(struct sim_network *network, uint64_t index)
{
    struct sim_datagram *datagram = sim_network_datagram(network, index);
    datagram->references--;
    if (datagram->references == 0) {
        buffer_give(network, datagram->size_class, datagram->bytes);
        network->free_slots[network->free_slot_count++] = (uint32_t)index;
    }
}

/* Each datagram is delayed for itself, so they overtake each other. */
static uint64_t draw_delay(struct sim_network *network)
{
    return network->options->delay_min_ns +
           sim_exponential(&network->prng, network->options->delay_mean_ns);
}

static void schedule_delivery(struct sim_network *network, uint32_t index, uint64_t at_ns)
{
    if (network->left_out) {
        return;
    }
    network->datagrams[index].references++;
    sim_schedule_add(network->schedule, (struct sim_event){.at_ns = at_ns,
                                                           .kind = SIM_EVENT_DATAGRAM,
                                                           .node = network->datagrams[index].to,
                                                           .argument = index});
}

static uint32_t datagram_new(struct sim_network *network, const struct sim_datagram *like,
                             const uint8_t *bytes)
{
    const uint32_t index = slot_take(network);
    struct sim_datagram *datagram = &network->datagrams[index];
    *datagram = *like;
    datagram->references = 0;
    datagram->size_class = class_of(like->size);
    datagram->bytes = buffer_take(network, datagram->size_class);
    memcpy(datagram->bytes, bytes, like->size);
    return index;
}

/* Keeps a copy of some datagrams, and lets an old one arrive again. */
static void replay_some(struct sim_network *network, uint32_t index)
{
    const uint64_t slot = prng_below(&network->prng, SIM_REPLAY_SLOTS);
    if (network->replay[slot] != 0 &&
        prng_chance(&network->prng, network->options->replay_ppm, 1000000)) {
        schedule_delivery(network, network->replay[slot] - 1,
                          network->schedule->now_ns + draw_delay(network));
        network->counts.replayed++;
    }
    if (!network->datagrams[index].flipped && prng_chance(&network->prng, 1, 8)) {
        if (network->replay[slot] != 0) {
            sim_network_release(network, network->replay[slot] - 1);
        }
        network->datagrams[index].references++;
        network->replay[slot] = index + 1;
    }
}

/* Why the link swallows a datagram, or NULL. */
static const char *lost_by(struct sim_network *network, const struct sim_link *link, size_t size)
{
    if (link->cut) {
        network->counts.cut++;
        return "cut";
    }
    if (link->size_limit != 0 && size > link->size_limit) {
        network->counts.too_large++;
        return "too large";
    }
    if (!network->healed && link->loss_ppm > 0 &&
        prng_chance(&network->prng, link->loss_ppm, 1000000)) {
        network->counts.lost++;
        return "lost";
    }
    return NULL;
}

/* Once is how often a datagram arrives at the least; some come damaged, some again. */
static void disturb(struct sim_network *network, uint32_t index)
{
    const struct sim_options *options = network->options;
    struct sim_datagram *datagram = &network->datagrams[index];
    if (options->flip_ppm > 0 && prng_chance(&network->prng, options->flip_ppm, 1000000)) {
        const uint64_t bit = prng_below(&network->prng, 8 * (uint64_t)datagram->size);
        datagram->bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        datagram->flipped = true;
        network->counts.flipped++;
    }
    if (options->duplicate_ppm > 0 &&
        prng_chance(&network->prng, options->duplicate_ppm, 1000000)) {
        schedule_delivery(network, index, network->schedule->now_ns + draw_delay(network));
        network->counts.duplicated++;
    }
    if (options->replay_ppm > 0) {
        replay_some(network, index);
    }
}

/* A run that is shrunk: the datagram's chance is its own, and it is left out if its number is. Two
 * of one number are rare, and go together. */
static void be_steady(struct sim_network *network, uint32_t from, uint32_t to, uint64_t types)
{
    const struct sim_without *without = network->options->without;
    const uint64_t ordinal = network->ordinals[from][to][types % 61]++;
    const uint64_t key[] = {network->seed, from, to, types, ordinal};
    const uint64_t hash = XXH3_64bits(key, sizeof key);
    const uint32_t number = (uint32_t)(hash % SIM_DATAGRAMS_MAX);
    prng_seed(&network->prng, hash);
    network->left_out = without != NULL && without->datagrams[number] != 0;
    if (network->sent != NULL && network->counts.sent < SIM_DATAGRAMS_MAX) {
        network->sent[network->counts.sent] = (struct sim_sent){number, from, to, types};
    }
}

const char *sim_network_send(struct sim_network *network, uint32_t from, uint32_t to,
                             enum sim_lane lane, const uint8_t *bytes, size_t size, uint64_t types)
{
    const struct sim_link *link = &network->links[from][to];
    network->left_out = false;
    if (network->options->steady) {
        be_steady(network, from, to, types);
    }
    network->counts.sent++;
    const char *lost = lost_by(network, link, size);
    if (lost != NULL) {
        return lost;
    }
    const struct sim_datagram like = {
        .size = (uint32_t)size, .from = from, .to = to, .lane = lane, .types = types};
    const uint32_t index = datagram_new(network, &like, bytes);
    uint64_t at_ns = network->schedule->now_ns + draw_delay(network);
    const bool held = (link->hold_types & types) != 0 && at_ns < link->hold_until_ns;
    if (held) {
        at_ns = link->hold_until_ns + draw_delay(network);
        network->counts.held++;
    }
    schedule_delivery(network, index, at_ns);
    if (!network->healed) {
        disturb(network, index);
    }
    if (network->left_out) {
        network->left_out = false;
        network->datagrams[index].references++;
        sim_network_release(network, index);
        return NULL;
    }
    return held ? "held back" : NULL;
}

void sim_network_heal(struct sim_network *network)
{
    network->healed = true;
    memset(network->links, 0, sizeof network->links);
}
