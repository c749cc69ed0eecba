/* SPDX-License-Identifier: Apache-2.0 */
/* How one request goes out, waits, is sent again and ends (C2, C5). */
#include "client/proxy/requests.h"

#include "common/base/invariant.h"
#include "common/base/mark.h"

/* ---- how long to wait ---- */

uint64_t request_first_interval(const struct proxy *proxy)
{
    return max_u64(proxy->options.retry_first_ns, RETRY_RTTS * proxy->group.view.rtt_ns);
}

/* At most retry_max_ns apart in a request's first second, then rarer; never sooner than the first.
 */
uint64_t request_next_interval(const struct proxy *proxy, uint64_t interval_ns, uint64_t age_ns)
{
    const uint64_t cap = age_ns < FIRST_SECOND_NS
                             ? proxy->options.retry_max_ns
                             : max_u64(RETRY_LATE_FACTOR * proxy->options.retry_max_ns,
                                       RETRY_RTTS * proxy->group.view.rtt_ns);
    return min_u64(interval_ns + interval_ns / 2, cap);
}

/* Shortens a wait at random, so that clients which lost the same primary do not retry in step. */
uint64_t request_jittered(struct proxy *proxy, uint64_t interval_ns)
{
    return interval_ns - prng_below(&proxy->prng, interval_ns / RETRY_JITTER_DIVISOR + 1);
}

/* A megabyte on its way is no silence: lost parts of it are asked for (M6), and sending it all
 * again to everybody would only delay it. */
static uint64_t transfer_allowance(const struct session *session)
{
    return session->state == SESSION_REQUESTING ? session->operation_size * TRANSFER_NS_PER_BYTE
                                                : 0;
}

void request_measure_rtt(struct proxy *proxy, const struct session *session, uint64_t now_ns)
{
    if (!session->rtt_valid) {
        return;
    }
    /* From the first sending even if it was sent again: too long rather than too short, or a group
     * that became slow would never be measured again (Karn's problem). A pause is no round trip. */
    const uint64_t sample =
        min_u64(now_ns - session->submitted_ns, RETRY_LATE_FACTOR * proxy->options.retry_max_ns);
    uint64_t *rtt = &proxy->group.view.rtt_ns;
    *rtt = *rtt == 0 ? sample : *rtt - *rtt / RTT_WEIGHT + sample / RTT_WEIGHT;
}

void request_set_timer(struct proxy *proxy, struct session *session, uint64_t retry_ns)
{
    session_wake_at(&proxy->table, index_of(proxy, session),
                    min_u64(retry_ns, session->deadline_ns));
}

/* ---- sending ---- */

/* Puts a session on the list of those that have something to send; proxy_next_output() does it. */
void request_send(struct proxy *proxy, struct session *session, uint32_t mask, uint64_t now_ns)
{
    session->send_mask = mask;
    session->sent_ns = now_ns;
    session_move(&proxy->table, index_of(proxy, session), mask != 0 ? LIST_SEND : LIST_WAITING);
    const uint64_t wait_ns =
        request_jittered(proxy, session->interval_ns) + transfer_allowance(session);
    request_set_timer(proxy, session, add_saturating(now_ns, wait_ns));
}

uint32_t request_first_choice(const struct proxy *proxy)
{
    const uint32_t primary = group_primary(&proxy->group);
    return primary != TARGET_NONE ? 1u << primary : group_everybody(&proxy->group);
}

/* Stale reads spread over all replicas. */
static uint32_t choice_for(struct proxy *proxy, const struct session *session)
{
    const uint32_t everybody = group_everybody(&proxy->group);
    if (!is_stale_read(session) || everybody == 0) {
        return request_first_choice(proxy);
    }
    uint32_t count = 0;
    for (uint32_t rest = everybody; rest != 0; rest &= rest - 1) {
        count++;
    }
    uint32_t left = everybody;
    for (uint64_t skip = prng_below(&proxy->prng, count); skip > 0; skip--) {
        left &= left - 1;
    }
    return left & -left;
}

/* Begins anew: to the primary, if it is known, with the shortest wait. */
void request_send_first(struct proxy *proxy, struct session *session, uint64_t now_ns)
{
    session->attempts = 1;
    session->tried_mask = 0;
    session->backing_off = false;
    session->interval_ns = request_first_interval(proxy);
    request_send(proxy, session, choice_for(proxy, session), now_ns);
}

static void request_send_again(struct proxy *proxy, struct session *session, uint32_t mask,
                               uint64_t now_ns)
{
    session->attempts++;
    session->retries++;
    session->interval_ns =
        request_next_interval(proxy, session->interval_ns, now_ns - session->submitted_ns);
    request_send(proxy, session, mask, now_ns);
}

/* ---- one probes, the others wait ---- */

static void park(struct proxy *proxy, struct session *session)
{
    VR_MARK(C5_one_asks_and_the_others_wait);
    session->send_mask = 0;
    session->rtt_valid = false;
    session_move(&proxy->table, index_of(proxy, session), LIST_PARKED);
    session_wake_at(&proxy->table, index_of(proxy, session), session->deadline_ns);
}

static bool another_probes(const struct proxy *proxy, const struct session *session)
{
    return proxy->probe != SESSION_NONE && proxy->probe != index_of(proxy, session);
}

static void start_probing(struct proxy *proxy, struct session *session, uint64_t now_ns)
{
    proxy->probe = index_of(proxy, session);
    if (proxy->group.view.silent_since_ns == 0) {
        const uint64_t since = session->attempts > 0 ? session->sent_ns : now_ns;
        proxy->group.view.silent_since_ns = since > 0 ? since : 1;
    }
}

/* The probe is gone and the group still silent: the next in line takes over. */
static void hand_over_probe(struct proxy *proxy, uint64_t now_ns)
{
    const uint32_t next = proxy->table.lists[LIST_PARKED].first;
    proxy->probe = SESSION_NONE;
    if (next == SESSION_NONE) {
        proxy->group.view.silent_since_ns = 0;
        return;
    }
    struct session *session = session_at(proxy, next);
    start_probing(proxy, session, now_ns);
    session->interval_ns = request_first_interval(proxy);
    session->tried_mask = 0;
    request_send_again(proxy, session, group_everybody(&proxy->group), now_ns);
}

/* The group answers: who waited goes on at once. */
void request_group_answers(struct proxy *proxy, uint64_t now_ns)
{
    proxy->answered = true;
    proxy->last_answer_ns = now_ns;
    proxy->probe = SESSION_NONE;
    proxy->group.view.silent_since_ns = 0;
    uint32_t index;
    while ((index = proxy->table.lists[LIST_PARKED].first) != SESSION_NONE) {
        struct session *session = session_at(proxy, index);
        session->retries += session->attempts > 0 ? 1 : 0;
        request_send_first(proxy, session, now_ns);
    }
}

/* Nobody was answered since this session last sent, its whole wait ago. */
static bool group_is_silent(const struct proxy *proxy, const struct session *session)
{
    return !proxy->answered || proxy->last_answer_ns <= session->sent_ns;
}

void request_retry(struct proxy *proxy, struct session *session, uint64_t now_ns)
{
    if (another_probes(proxy, session) && !is_stale_read(session)) {
        park(proxy, session);
        return;
    }
    if (session->backing_off) {
        session->backing_off = false;
        request_send_again(proxy, session, choice_for(proxy, session), now_ns);
        return;
    }
    if (proxy->probe == SESSION_NONE && group_is_silent(proxy, session) &&
        !is_stale_read(session)) {
        start_probing(proxy, session, now_ns);
    }
    request_send_again(proxy, session, group_everybody(&proxy->group), now_ns);
}

/* ---- completing ---- */

void request_complete(struct proxy *proxy, struct session *session, enum proxy_outcome outcome,
                      enum proxy_error error)
{
    INVARIANT(in_flight(session));
    proxy->group.view.busy_since_ns = 0;
    session->outcome = outcome;
    session->error = error;
    session->view_number = proxy->group.view.view_number;
    session->op_number = 0;
    session->commit_number = 0;
    session->result = NULL;
    session->result_size = 0;
    session->state = SESSION_DONE;
    session->operation = NULL;
    session->send_mask = 0;
    session_move(&proxy->table, index_of(proxy, session), LIST_DONE);
    session_wake_at(&proxy->table, index_of(proxy, session), UINT64_MAX);
    proxy->in_flight_count--;
}

/* C5: what can be said of a request that was not answered. */
enum proxy_outcome request_outcome_unanswered(const struct session *session)
{
    return session->operation_sent && !session->is_read ? PROXY_UNKNOWN : PROXY_FAILED;
}

void request_give_up(struct proxy *proxy, struct session *session, enum proxy_error error,
                     uint64_t now_ns)
{
    VR_MARK_IF(request_outcome_unanswered(session) == PROXY_UNKNOWN, C5_silence_proves_nothing);
    const bool probed = proxy->probe == index_of(proxy, session);
    request_complete(proxy, session, request_outcome_unanswered(session), error);
    if (probed) {
        hand_over_probe(proxy, now_ns);
    }
}

/* Whoever is in flight, on any list. */
void request_give_up_all(struct proxy *proxy, enum proxy_error error)
{
    static const enum session_list lists[] = {LIST_PARKED, LIST_HELD, LIST_WAITING, LIST_SEND};
    proxy->probe = SESSION_NONE;
    proxy->group.view.silent_since_ns = 0;
    for (uint32_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        uint32_t index = proxy->table.lists[lists[i]].first;
        while (index != SESSION_NONE) {
            struct session *session = session_at(proxy, index);
            index = session->next;
            if (in_flight(session)) {
                request_complete(proxy, session, request_outcome_unanswered(session), error);
            }
        }
    }
}

/* ---- beginning ---- */

/* Its Register, harmless to a wrong group, was answered, or it needs none; the operation is not
 * sent yet. Until somebody answers at all, a read probes the group by that: it asked for its
 * status. */
static void hold(struct proxy *proxy, struct session *session, uint64_t now_ns)
{
    if (session->state == SESSION_READING && !is_stale_read(session) &&
        proxy->probe == SESSION_NONE && proxy->group.view.cluster_id == 0) {
        start_probing(proxy, session, now_ns);
    }
    session->send_mask = 0;
    session_move(&proxy->table, index_of(proxy, session), LIST_HELD);
    session_wake_at(&proxy->table, index_of(proxy, session), session->deadline_ns);
}

void request_begin(struct proxy *proxy, struct session *session, uint64_t now_ns)
{
    const bool reads = session->read_mode != 0;
    if (reads) {
        session->state = SESSION_READING;
        session->read_number++;
    }
    if ((reads || session->number != 0) && seeds_hold(proxy, now_ns)) {
        session->attempts = 0;
        hold(proxy, session, now_ns);
        return;
    }
    if (reads) {
        /* It is named already. */
    } else if (session->number == 0) {
        session->state = SESSION_REGISTERING;
    } else {
        session->state = SESSION_REQUESTING;
        session->request_number++;
    }
    session->submitted_ns = now_ns;
    session->rtt_valid = true;
    session->attempts = 0;
    if (is_stale_read(session)) {
        request_send_first(proxy, session, now_ns);
        return;
    }
    if (another_probes(proxy, session)) {
        park(proxy, session);
        return;
    }
    if (group_primary(&proxy->group) == TARGET_NONE) {
        start_probing(proxy, session, now_ns); /* everybody is asked: once is enough */
    }
    request_send_first(proxy, session, now_ns);
}

enum proxy_error request_refusal_error(const struct proxy_view *view)
{
    switch (view->refusal.reason) {
    case REFUSED_VERSION:
        return PROXY_ERROR_WRONG_VERSION;
    case REFUSED_PEERS_PORT:
        return PROXY_ERROR_WRONG_PORT;
    default:
        return PROXY_ERROR_WRONG_CLUSTER;
    }
}
