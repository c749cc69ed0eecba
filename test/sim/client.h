/* SPDX-License-Identifier: Apache-2.0 */
/* client.h - one client process: a real proxy, its sessions, and what they ask for.
 *
 * Each session is a closed loop: think, submit, wait for the outcome. What it was told is checked
 * at once against the model and the order of the log (I4). */
#ifndef VR_SIM_CLIENT_H
#define VR_SIM_CLIENT_H

#include "client/proxy/proxy.h"
#include "common/wire/reassembler.h"
#include "common/wire/sender.h"
#include "test/sim/memory.h"
#include "test/sim/model.h"
#include "test/sim/network.h"
#include "test/support/checkers.h"

struct sim;

enum { SIM_NAMES_MAX = 8 }; /* (session, request_number) pairs that one operation may be sent as */

struct sim_session {
    uint32_t index; /* of the proxy */
    struct client_id client_id;
    bool busy;
    bool is_read;
    enum read_mode read_mode; /* beside the log; 0: through it */
    uint64_t min_op;
    uint64_t acknowledged_before; /* at its submission */
    uint64_t submitted_ns;
    uint32_t name_count;
    struct sim_request_key names[SIM_NAMES_MAX];
    uint64_t done;      /* operations answered since healing began */
    uint8_t *operation; /* SIM_OPERATION_MAX bytes */
    size_t operation_size;
};

struct sim_client {
    struct sim *sim;
    uint32_t index;
    uint32_t node;
    uint64_t life;
    struct sim_memory memory;
    struct sim_memory sender_memory;
    struct sim_memory reassembler_memory;
    struct proxy *proxy;
    struct wire_sender *sender;
    struct wire_reassembler *reassembler;
    bool cluster_known;
    uint64_t tokens[SIM_REPLICAS_MAX]; /* what each replica wants echoed, for PartsMissing */
    uint64_t incarnation;
    uint64_t timer_at_ns;
    struct sim_session sessions[SIM_SESSIONS_MAX];
};

void sim_client_reset(struct sim_client *client, struct sim *sim, uint32_t index);
void sim_client_free(struct sim_client *client);

/* Starts, or starts anew after a crash: with new names, and no idea of what was in flight (C1). */
void sim_client_start(struct sim_client *client);

void sim_client_deliver(struct sim_client *client, uint64_t datagram);
void sim_client_event(struct sim_client *client, const struct sim_event *event);

/* Faults are over: each session asks for one more thing, and must get it (I9). */
void sim_client_heal(struct sim_client *client);
bool sim_client_is_served(const struct sim_client *client);

/* The run is over, and with it whatever is in flight. */
void sim_client_end(struct sim_client *client);

/* Adds what its sender counted. */
void sim_client_count(struct sim_client *client);

#endif
