/* SPDX-License-Identifier: Apache-2.0 */
#include "client/proxy/group.h"

#include <string.h>

#include "common/base/invariant.h"

_Static_assert((int)REPLICAS_MAX <= (int)PROXY_SEEDS_MAX, "every member can be a target");
_Static_assert(PROXY_SEEDS_MAX <= 32, "sets of targets are 32-bit masks");

void group_init(struct group *group, const struct proxy_options *options)
{
    INVARIANT(options->seed_count <= PROXY_SEEDS_MAX);
    memset(group, 0, sizeof *group);
    group->answered_from = TARGET_NONE;
    group->view.cluster_id = options->cluster_id;
    group->view.view_number = VIEW_NONE;
    group->view.primary_id = REPLICA_NONE;
    group->view.target_count = options->seed_count;
    for (uint32_t i = 0; i < options->seed_count; i++) {
        group->view.targets[i].address = options->seeds[i];
        group->view.targets[i].replica_id = REPLICA_NONE;
    }
}

uint32_t group_find_address(const struct group *group, const struct net_address *address)
{
    for (uint32_t i = 0; i < group->view.target_count; i++) {
        if (net_address_equal(&group->view.targets[i].address, address)) {
            return i;
        }
    }
    return TARGET_NONE;
}

static uint32_t find_replica(const struct group *group, uint32_t replica_id)
{
    for (uint32_t i = 0; i < group->view.target_count && replica_id != REPLICA_NONE; i++) {
        if (group->view.targets[i].replica_id == replica_id) {
            return i;
        }
    }
    return TARGET_NONE;
}

uint32_t group_find(const struct group *group, const struct message *message)
{
    const uint32_t by_address = group_find_address(group, &message->address);
    return by_address != TARGET_NONE ? by_address : find_replica(group, message->from);
}

void group_heard(struct group *group, uint32_t target, uint32_t replica_id, uint64_t now_ns)
{
    group->view.targets[target].heard_ns = now_ns > 0 ? now_ns : 1;
    if (group->view.targets[target].replica_id == REPLICA_NONE) {
        group->view.targets[target].replica_id = replica_id;
    }
}

uint32_t group_everybody(const struct group *group)
{
    uint32_t mask = 0;
    for (uint32_t i = 0; i < group->view.target_count; i++) {
        mask |= net_address_known(&group->view.targets[i].address) ? 1u << i : 0;
    }
    return mask;
}

static bool can_compute_primary(const struct group *group)
{
    return group->view.configuration != NULL && group->view.view_number != VIEW_NONE &&
           view_epoch(group->view.view_number) == group->configuration.epoch;
}

/* C6: the view names its primary (V5); nothing else that an answer says does. */
static void name_primary(struct group *group)
{
    group->view.primary_id = REPLICA_NONE;
    if (can_compute_primary(group)) {
        const uint32_t index =
            configuration_primary(&group->configuration, group->view.view_number);
        group->view.primary_id = group->configuration.members[index].replica_id;
    } else if (group->answered_from != TARGET_NONE) {
        group->view.primary_id = group->view.targets[group->answered_from].replica_id;
    }
}

uint32_t group_primary(const struct group *group)
{
    const uint32_t target = can_compute_primary(group) ? find_replica(group, group->view.primary_id)
                                                       : group->answered_from;
    const bool reachable =
        target != TARGET_NONE && net_address_known(&group->view.targets[target].address);
    return reachable ? target : TARGET_NONE;
}

static enum group_news news_since(const struct group *group, uint32_t primary_before)
{
    const uint32_t primary = group_primary(group);
    if (primary == primary_before) {
        return GROUP_SAME;
    }
    return primary_before == TARGET_NONE ? GROUP_PLACED : GROUP_CHANGED;
}

static void set_view(struct group *group, uint64_t view_number, uint32_t primary, uint64_t now_ns)
{
    group->view.view_number = view_number;
    group->view_learned_ns = now_ns;
    group->answered_from = primary;
    name_primary(group);
}

enum group_news group_learn_view(struct group *group, uint64_t view_number, uint32_t primary,
                                 uint64_t now_ns)
{
    const uint32_t before = group_primary(group);
    if (view_number > group->view.view_number) {
        const bool first = group->view.view_number == VIEW_NONE;
        set_view(group, view_number, primary, now_ns);
        /* A later view counts as another primary even if it is the same replica: what it was sent
         * before is forgotten there. */
        return first ? news_since(group, before) : GROUP_CHANGED;
    }
    if (view_number == group->view.view_number && primary != TARGET_NONE) {
        group->answered_from = primary;
        name_primary(group);
        return news_since(group, before);
    }
    return GROUP_SAME;
}

void group_correct_view(struct group *group, uint64_t view_number, uint32_t primary,
                        uint64_t now_ns)
{
    INVARIANT(view_number < group->view.view_number);
    set_view(group, view_number, primary, now_ns);
}

enum group_news group_learn_configuration(struct group *group,
                                          const struct configuration *configuration)
{
    if (group->view.configuration != NULL && configuration->epoch <= group->configuration.epoch) {
        return GROUP_SAME;
    }
    const uint32_t before = group_primary(group);
    group->configuration = *configuration;
    group->view.configuration = &group->configuration;
    group->view.configuration_count++;
    name_primary(group);
    return news_since(group, before);
}

bool group_wants_configuration(const struct group *group)
{
    return group->view.configuration == NULL ||
           view_epoch(group->view.view_number) > group->configuration.epoch;
}

static void place_member(struct group *group, uint32_t index, const struct net_address *address,
                         const struct group *old, uint32_t known)
{
    group->view.targets[index].address = *address;
    group->view.targets[index].replica_id = group->configuration.members[index].replica_id;
    group->tokens[index] = 0;
    group->challenged_ns[index] = 0;
    group->view.targets[index].heard_ns = 0;
    group->view.targets[index].status = 0;
    if (known != TARGET_NONE) {
        group->tokens[index] = old->tokens[known];
        group->challenged_ns[index] = old->challenged_ns[known];
        group->view.targets[index].heard_ns = old->view.targets[known].heard_ns;
        group->view.targets[index].status = old->view.targets[known].status;
    }
}

bool group_place_members(struct group *group, const struct net_address *addresses,
                         uint32_t became[PROXY_SEEDS_MAX])
{
    const struct configuration *configuration = group->view.configuration;
    INVARIANT(configuration != NULL);
    bool any = false;
    for (uint32_t i = 0; i < configuration->member_count; i++) {
        any = any || net_address_known(&addresses[i]);
    }
    if (!any) {
        return false;
    }
    const struct group old = *group;
    for (uint32_t i = 0; i < PROXY_SEEDS_MAX; i++) {
        became[i] = TARGET_NONE;
    }
    for (uint32_t i = 0; i < configuration->member_count; i++) {
        const uint32_t known = group_find_address(&old, &addresses[i]);
        place_member(group, i, &addresses[i], &old, known);
        if (known != TARGET_NONE) {
            became[known] = i;
        }
    }
    group->view.target_count = configuration->member_count;
    if (group->answered_from != TARGET_NONE) {
        group->answered_from = became[group->answered_from];
    }
    name_primary(group);
    return true;
}
