/* SPDX-License-Identifier: Apache-2.0 */
/* network.h - the simulated network: directed links between nodes, and the datagrams under way.
 *
 * Nodes are numbered: replicas first, then clients. What happens to a datagram is decided when it
 * is sent; a cut drops what is sent while it lasts, and lets arrive what was sent before: that is
 * how very old messages come about. Datagrams are bytes; only the mask of the message types inside,
 * which the sender of the simulation knows, is looked at, to hold one type back.
 *
 * Ownership: sim_network_send() copies the bytes. A delivered datagram is borrowed until
 * sim_network_release(). */
#ifndef VR_SIM_NETWORK_H
#define VR_SIM_NETWORK_H

#include "common/base/limits.h"
#include "common/base/types.h"
#include "test/sim/options.h"
#include "test/sim/schedule.h"

enum {
    SIM_NODES_MAX = SIM_REPLICAS_MAX + SIM_PROXIES_MAX,
    SIM_DATAGRAM_CLASSES = 8, /* 512 bytes, 1 KiB ... 64 KiB */
    SIM_REPLAY_SLOTS = 128,   /* datagrams that may be replayed */
};

/* A replica has a socket for peers and one for clients (M5). */
enum sim_lane {
    SIM_LANE_PEERS,
    SIM_LANE_CLIENTS,
};

struct sim_datagram {
    uint8_t *bytes;
    uint32_t size;
    uint32_t size_class;
    uint32_t from; /* nodes */
    uint32_t to;
    enum sim_lane lane;  /* socket it goes to, and comes from */
    uint64_t types;      /* bit t: a message of type t is inside */
    uint32_t references; /* deliveries under way, and the replay slot */
    bool flipped;        /* its bytes were damaged on the way */
};

struct sim_link {
    bool cut;
    uint32_t loss_ppm;
    uint64_t size_limit;    /* larger datagrams vanish; 0: none do */
    uint64_t hold_types;    /* these wait ... */
    uint64_t hold_until_ns; /* ... until then */
};

/* One that was sent: its number in sim_without, and what it was. */
struct sim_sent {
    uint32_t number;
    uint32_t from;
    uint32_t to;
    uint64_t types;
};

struct sim_network_counts {
    uint64_t sent;
    uint64_t delivered;
    uint64_t lost;
    uint64_t cut;
    uint64_t duplicated;
    uint64_t replayed;
    uint64_t flipped;
    uint64_t held;
    uint64_t too_large;
};

struct sim_network {
    const struct sim_options *options;
    struct sim_schedule *schedule;
    struct prng prng;
    bool healed;   /* no more faults of its own */
    bool left_out; /* what is sent now never arrives */
    /* With options.steady, by from, to and types: how many were sent; and of all, in this order: */
    uint64_t seed;
    uint32_t ordinals[SIM_NODES_MAX][SIM_NODES_MAX][64];
    struct sim_sent *sent;                               /* SIM_DATAGRAMS_MAX; NULL: nobody asks */
    struct sim_link links[SIM_NODES_MAX][SIM_NODES_MAX]; /* [from][to] */
    struct sim_datagram *datagrams;
    size_t datagram_count; /* slots ever used in this run */
    size_t datagram_capacity;
    uint32_t *free_slots;
    size_t free_slot_count;
    uint8_t **free_buffers[SIM_DATAGRAM_CLASSES];
    size_t free_buffer_count[SIM_DATAGRAM_CLASSES];
    size_t free_buffer_capacity[SIM_DATAGRAM_CLASSES];
    uint32_t replay[SIM_REPLAY_SLOTS]; /* datagram index + 1; 0: none */
    struct sim_network_counts counts;
};

void sim_network_reset(struct sim_network *network, const struct sim_options *options,
                       struct sim_schedule *schedule, uint64_t seed);
void sim_network_free(struct sim_network *network);

/* Returns what befell it, in a word, or NULL if it is simply under way. */
const char *sim_network_send(struct sim_network *network, uint32_t from, uint32_t to,
                             enum sim_lane lane, const uint8_t *bytes, size_t size, uint64_t types);

struct sim_datagram *sim_network_datagram(struct sim_network *network, uint64_t index);
void sim_network_release(struct sim_network *network, uint64_t index);

/* Everything is connected and lossless from now on; what is under way still arrives. */
void sim_network_heal(struct sim_network *network);

#endif
