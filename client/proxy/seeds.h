/* SPDX-License-Identifier: Apache-2.0 */
/* seeds.h - do all addresses of the list lead to one group (M7)? The first id that answers is
 * adopted, and the other seeds might still name another one: so the first operations wait, once
 * registered, until every seed was heard, or for a short grace after the first answer, which is all
 * that a dead seed costs. A seed that turns out to be foreign later is an error all the same.
 *
 * Threads: one caller at a time. */
#ifndef VR_PROXY_SEEDS_H
#define VR_PROXY_SEEDS_H

#include "client/proxy/proxy.h"

struct seed_check {
    uint32_t unheard;  /* bit i: seed i has not shown yet that it belongs to the group */
    uint32_t ask_mask; /* bit i: still to be asked once more, at its own address */
    bool holds;        /* operations wait */
    bool asked;
    bool wrong; /* the list leads to something else, too: nothing is sent any more */
    uint64_t asked_ns;
    uint64_t first_heard_ns;
    uint64_t again_ns; /* when the unheard are asked once more; UINT64_MAX: not now */
    uint64_t until_ns; /* when the grace is over; UINT64_MAX: nobody answered yet */
};

/* A cluster that is known beforehand needs no check: its id is in every datagram. */
void seeds_init(struct proxy *proxy);

/* All seeds are asked now. */
void seeds_asked(struct proxy *proxy, uint64_t now_ns);

/* Something of the right group came from this address. */
void seeds_heard(struct proxy *proxy, const struct net_address *address, uint64_t now_ns);

/* True if this is a seed that was not heard as one of the group. */
bool seeds_is_unheard(const struct proxy *proxy, const struct net_address *address);

/* True while operations must not be sent yet. */
bool seeds_hold(const struct proxy *proxy, uint64_t now_ns);

/* The list is wrong: whatever is in flight ends, and so does all that comes. */
void seeds_found_wrong(struct proxy *proxy);

void seeds_tick(struct proxy *proxy, uint64_t now_ns);
uint64_t seeds_deadline(const struct proxy *proxy);

#endif
