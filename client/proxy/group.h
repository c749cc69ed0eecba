/* SPDX-License-Identifier: Apache-2.0 */
/* group.h - what a proxy knows of the group: where its replicas are, who they said they are, the
 * latest normal view, and so who is primary (C6). All of it is hints, but for the cluster id.
 *
 * Threads: one caller at a time. */
#ifndef VR_PROXY_GROUP_H
#define VR_PROXY_GROUP_H

#include "client/proxy/proxy.h"

enum { TARGET_NONE = UINT32_MAX };

struct group {
    struct proxy_view view; /* what callers may see */
    struct configuration configuration;
    uint64_t tokens[PROXY_SEEDS_MAX];        /* M3: what each target wants echoed; 0: none yet */
    uint64_t challenged_ns[PROXY_SEEDS_MAX]; /* when its last new token came */
    uint32_t answered_from; /* target that acted as primary last: the primary as long as no
                               configuration tells who it is */
    uint64_t view_learned_ns;
};

/* A view that was learned, judged by what was known before it. */
enum group_news {
    GROUP_SAME,    /* nothing new */
    GROUP_PLACED,  /* the primary is known now, and was not before */
    GROUP_CHANGED, /* there is another primary, or a later view of the same one */
};

void group_init(struct group *group, const struct proxy_options *options);

/* The target a message came from, by address, else by replica id: a host may answer from another of
 * its addresses (UDP-11). TARGET_NONE if it is neither. */
uint32_t group_find(const struct group *group, const struct message *message);

uint32_t group_find_address(const struct group *group, const struct net_address *address);

/* Something came from this target. */
void group_heard(struct group *group, uint32_t target, uint32_t replica_id, uint64_t now_ns);

/* All targets that have an address, as a mask. */
uint32_t group_everybody(const struct group *group);

/* The target that is primary of the latest known view, or TARGET_NONE. */
uint32_t group_primary(const struct group *group);

/* Hears of a normal view; earlier ones than the known are no news. `primary` is the target that
 * showed itself to be its acting primary, or TARGET_NONE if that was somebody else's word. */
enum group_news group_learn_view(struct group *group, uint64_t view_number, uint32_t primary,
                                 uint64_t now_ns);

/* A Reply came from this target, in this view, to a request that had to be sent to everybody and
 * was made after the known view was: the known one, if later, was a false hint, and goes. */
void group_correct_view(struct group *group, uint64_t view_number, uint32_t primary,
                        uint64_t now_ns);

/* Takes a first configuration, or one of a later epoch. */
enum group_news group_learn_configuration(struct group *group,
                                          const struct configuration *configuration);

/* True if no configuration is known, or one of an epoch before the known view's. */
bool group_wants_configuration(const struct group *group);

/* Replaces the targets by the configuration's members; unknown addresses are left out. Fills in
 * which target each old one became, or TARGET_NONE. Returns false, with nothing changed, if all
 * addresses are unknown. */
bool group_place_members(struct group *group, const struct net_address *addresses,
                         uint32_t became[PROXY_SEEDS_MAX]);

#endif
