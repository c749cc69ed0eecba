/* SPDX-License-Identifier: Apache-2.0 */
#include "client/proxy/seeds.h"

#include "client/proxy/requests.h"

enum {
    GRACE_RTTS = 4, /* of the slowest seed that answered */
    GRACE_MIN_MS = 20,
    GRACE_MAX_MS = 100,
};

void seeds_init(struct proxy *proxy)
{
    struct seed_check *check = &proxy->seeds;
    check->again_ns = UINT64_MAX;
    check->until_ns = UINT64_MAX;
    if (proxy->options.cluster_id == 0) {
        check->unheard = group_everybody(&proxy->group);
        check->holds = check->unheard != 0;
    }
}

void seeds_asked(struct proxy *proxy, uint64_t now_ns)
{
    if (!proxy->seeds.asked) {
        proxy->seeds.asked = true;
        proxy->seeds.asked_ns = now_ns;
    }
}

/* Two entries of the list may be one address. */
static uint32_t seeds_at(const struct proxy *proxy, const struct net_address *address)
{
    uint32_t mask = 0;
    for (uint32_t i = 0; i < proxy->options.seed_count; i++) {
        mask |= net_address_equal(&proxy->options.seeds[i], address) ? 1u << i : 0;
    }
    return mask;
}

bool seeds_is_unheard(const struct proxy *proxy, const struct net_address *address)
{
    return proxy->seeds.unheard != 0 && (proxy->seeds.unheard & seeds_at(proxy, address)) != 0;
}

bool seeds_hold(const struct proxy *proxy, uint64_t now_ns)
{
    return proxy->seeds.holds && now_ns < proxy->seeds.until_ns;
}

static void release(struct proxy *proxy, uint64_t now_ns)
{
    proxy->seeds.holds = false;
    proxy->seeds.ask_mask = 0;
    uint32_t index;
    while ((index = proxy->table.lists[LIST_HELD].first) != SESSION_NONE) {
        request_begin(proxy, session_at(proxy, index), now_ns);
    }
}

/* How long a seed that is silent may still be on its way, judged by those that answered. */
static void extend_grace(struct seed_check *check, uint64_t now_ns)
{
    const uint64_t took_ns = check->asked ? now_ns - check->asked_ns : 0;
    const uint64_t grace_ns = min_u64(max_u64(GRACE_RTTS * took_ns, GRACE_MIN_MS * NS_PER_MS),
                                      (uint64_t)GRACE_MAX_MS * NS_PER_MS);
    if (check->until_ns == UINT64_MAX) {
        check->first_heard_ns = now_ns;
        check->again_ns = add_saturating(now_ns, grace_ns / 2);
        check->until_ns = add_saturating(now_ns, grace_ns);
    } else {
        check->until_ns = max_u64(check->until_ns, add_saturating(check->first_heard_ns, grace_ns));
    }
}

void seeds_heard(struct proxy *proxy, const struct net_address *address, uint64_t now_ns)
{
    struct seed_check *check = &proxy->seeds;
    if (check->unheard == 0) {
        return;
    }
    check->unheard &= ~seeds_at(proxy, address);
    check->ask_mask &= check->unheard;
    if (!check->holds) {
        return;
    }
    if (check->unheard == 0) {
        release(proxy, now_ns);
    } else {
        extend_grace(check, now_ns);
    }
}

void seeds_found_wrong(struct proxy *proxy)
{
    proxy->seeds.wrong = true;
    request_give_up_all(proxy, request_refusal_error(&proxy->group.view));
}

void seeds_tick(struct proxy *proxy, uint64_t now_ns)
{
    struct seed_check *check = &proxy->seeds;
    if (!check->holds) {
        return;
    }
    if (check->until_ns <= now_ns) {
        release(proxy, now_ns);
    } else if (check->again_ns <= now_ns) {
        check->again_ns = UINT64_MAX;
        check->ask_mask = check->unheard;
    }
}

uint64_t seeds_deadline(const struct proxy *proxy)
{
    const struct seed_check *check = &proxy->seeds;
    const bool awaited = check->holds && proxy->table.lists[LIST_HELD].count > 0;
    return awaited ? min_u64(check->again_ns, check->until_ns) : UINT64_MAX;
}
